//! Places on the globe: sorted sets whose scores are geohashes.

mod args;
mod hash;
mod members;
mod search;
mod search_args;
mod shape;

use crate::command::{Command, Flags, Group, Handler, Keys};

use Handler::{Read, Rewrite};

/// The source is the first argument, and a destination may stand among the options, which begin at `from`.
const fn with_store(from: u8) -> Keys {
    Keys::OneAndAfter {
        words: &["STORE", "STOREDIST"],
        from,
        skips: &[],
    }
}
const GROWS: Flags = Flags::DENY_OOM;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("geoadd", -5, Keys::ONE, "3.2.0", Rewrite(members::geoadd), "Sets the places of members.").with(GROWS).access("RW update")
        .takes("key [condition(NX|XX)@6.2.0] [CH=change:token@6.2.0] longitude_latitude_member(longitude:double latitude:double member)..."),
    row("geodist", -4, Keys::ONE, "3.2.0", Read(members::geodist), "The distance between two members.")
        .takes("key member1 member2 [unit(M|KM|FT|MI)]"),
    row("geohash", -2, Keys::ONE, "3.2.0", Read(members::geohash), "The places of members as geohashes in letters.")
        .takes("key member..."),
    row("geopos", -2, Keys::ONE, "3.2.0", Read(members::geopos), "The longitudes and latitudes of members.")
        .takes("key member..."),
    row("georadius", -6, with_store(6), "3.2.0", Rewrite(search::georadius), "Members within a radius of a place, to be stored if asked; the old GEOSEARCH.").with(GROWS).access("RO access;OW update")
        .takes("key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count(COUNT=count:integer [ANY@6.2.0])] [order(ASC|DESC)] [STORE=key] [STOREDIST=key]").changes(&[("7.0.0", "Units may be written in capitals.")]).replaced("6.2.0", "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS`"),
    row("georadius_ro", -6, Keys::ONE, "3.2.10", Read(search::georadius_ro), "Members within a radius of a place.")
        .takes("key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count(COUNT=count:integer [ANY@6.2.0])] [order(ASC|DESC)]").replaced("6.2.0", "`GEOSEARCH` with `BYRADIUS`"),
    row("georadiusbymember", -5, with_store(5), "3.2.0", Rewrite(search::georadiusbymember), "Members within a radius of another, to be stored if asked; the old GEOSEARCH.").with(GROWS).access("RO access;OW update")
        .takes("key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count(COUNT=count:integer [ANY])] [order(ASC|DESC)] [STORE=key] [STOREDIST=key]").changes(&[("7.0.0", "Units may be written in capitals.")]).replaced("6.2.0", "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`"),
    row("georadiusbymember_ro", -5, Keys::ONE, "3.2.10", Read(search::georadiusbymember_ro), "Members within a radius of another.")
        .takes("key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count(COUNT=count:integer [ANY])] [order(ASC|DESC)]").replaced("6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`"),
    row("geosearch", -7, Keys::ONE, "6.2.0", Read(search::geosearch), "Members inside a circle or a box.")
        .takes("key from(FROMMEMBER=member|FROMLONLAT=longitude_latitude(longitude:double latitude:double)) by(circle(BYRADIUS=radius:double unit(M|KM|FT|MI))|box(BYBOX=width:double height:double unit(M|KM|FT|MI))) [order(ASC|DESC)] [count(COUNT=count:integer [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]").changes(&[("7.0.0", "Units may be written in capitals.")]),
    row("geosearchstore", -8, Keys::TWO, "6.2.0", Rewrite(search::geosearchstore), "Stores the members inside a circle or a box.").with(GROWS).access("OW update;RO access")
        .takes("destination:key source:key from(FROMMEMBER=member|FROMLONLAT=longitude_latitude(longitude:double latitude:double)) by(circle(BYRADIUS=radius:double unit(M|KM|FT|MI))|box(BYBOX=width:double height:double unit(M|KM|FT|MI))) [order(ASC|DESC)] [count(COUNT=count:integer [ANY])] [STOREDIST]").changes(&[("7.0.0", "Units may be written in capitals.")]),
];

const fn row(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, keys, Group::Geo, since, handler, summary)
}
