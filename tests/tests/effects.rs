//! Every effect replayed: generated commands for every writing row of the command table run on a primary's shard, the
//! records of its journal on a replica's shard under a clock that is wrong by years, and the contents must be the same.
//!
//! `EFFECTS_SEED=n` runs one seed, `EFFECTS_SEEDS=n` that many.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use damselfly_engine::core::{ShardCore, Step};
use damselfly_engine::digest::{Digest, Strictness};
use damselfly_engine::replication::TransactionPart;
use damselfly_engine::resp::{Proto, ReplyWriter};
use damselfly_engine::store::{DbIndex, EntryRef, Value};
use damselfly_engine::{Command, CommandTable, families};
use damselfly_journal::{
    Consumer, JournalOptions, Record, RecordDecoder, RecordLimits, RecordWriter, Run, StreamLevel,
};
use damselfly_tests::commands::{
    Compare, Family, Generator, NEWER_WRITES, RANDOM_WRITES, ROWS, Row, Words,
};
use damselfly_tests::{Args, Rng, words};

const DATABASES: u16 = 4;
/// Commands of one seed.
const COMMANDS: usize = 1_500;
/// Commands after which contents are compared.
const COMPARE_EVERY: usize = 25;
/// What the primary's clock begins with: a moment in 2026.
const START_MS: i64 = 1_795_000_000_000;
/// The replica's clock is ahead by this: to it everything that expires has expired.
const REPLICA_AHEAD_MS: i64 = 1_000 * 365 * 86_400_000;

/// Writes that whole-server tests don't draw, or too seldom to be sure of.
#[rustfmt::skip]
static MORE_ROWS: &[Row] = &[
    write("COPY <any> <any> (REPLACE|DB <db>)*"),
    write("MOVE <any> <db>"),
    write("SWAPDB <db> <db>"),
    write("PERSIST <any>"),
    often("(EXPIRE|EXPIREAT) <any> (50|1000000|5000000000) (NX|XX|GT|LT)?"),
    often("PEXPIRE <any> (900|40000|-1) (XX|GT)?"),
    often("SET <string> <value> (NX|XX)? GET? (PX 700|EX 5000|PXAT 4000000000000|KEEPTTL)?"),
    write("SET <string> <value> XX KEEPTTL GET"),
    often("GETEX <string> (EX 20|PERSIST|EXAT 1000|PXAT 4000000000000)?"),
    write("INCRBYFLOAT <string> 0.5"),
    often("LREM <list> 0 <member>"),
    often("LINSERT <list> (BEFORE|AFTER) <member> <member>"),
    often("SMOVE <set> <set> <member>"),
    write("FLUSHDB"),
    seldom("FLUSHALL"),
    write("SPOP <set> <count>"),
    often("XADD <stream> <newid> <member> <value>"),
    often("XGROUP CREATE <stream> <group> 0"),
    often("XREADGROUP GROUP <group> <consumer> STREAMS <stream> >"),
    often("(XDEL <stream>|XACK <stream> <group>) (160-0|160-1|160-2|160-4|48-0|48-1|48-2)+"),
    often("XCLAIM <stream> <group> <consumer> 0 (160-0|160-1|160-2|160-4|48-0|48-1|48-2)+"),
    write("XGROUP DELCONSUMER <stream> <group> <consumer>"),
];

const fn write(template: &'static str) -> Row {
    row(2, template)
}

const fn often(template: &'static str) -> Row {
    row(10, template)
}

const fn seldom(template: &'static str) -> Row {
    row(1, template)
}

const fn row(weight: u32, template: &'static str) -> Row {
    Row {
        family: Family::Keys,
        weight,
        write: true,
        compare: Compare::Exact,
        template,
    }
}

/// Keeps what the journal hands out.
#[derive(Clone, Default)]
struct Records(Rc<RefCell<Vec<Rc<Run>>>>);

impl Consumer for Records {
    fn on_run(&mut self, run: &Rc<Run>) {
        self.0.borrow_mut().push(run.clone());
    }
}

/// A primary's shard and a replica's, with the stream between them.
struct Pair {
    table: CommandTable,
    primary: ShardCore,
    replica: ShardCore,
    records: Records,
    writer: RecordWriter,
    decoder: RecordDecoder,
    /// Names of commands that had an effect.
    effective: BTreeSet<String>,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let shard = |seed| ShardCore::new(0, DATABASES, seed, JournalOptions::default());
        let mut pair = Pair {
            table: CommandTable::new(families::ALL),
            primary: shard(seed),
            replica: shard(!seed),
            records: Records::default(),
            writer: RecordWriter::stable(StreamLevel::Extended),
            decoder: RecordDecoder::stable(StreamLevel::Extended, RecordLimits::default()),
            effective: BTreeSet::new(),
        };
        pair.primary.space.now = START_MS;
        pair.primary
            .journal
            .add_consumer(Box::new(pair.records.clone()));
        pair.replica.is_replica = true;
        pair
    }

    /// Runs a command on the primary, and its effects on the replica.
    fn run(&mut self, db: DbIndex, args: &Args) {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let Some(row) = self
            .table
            .resolve(&args)
            .filter(|row| row.is_write() && row.accepts(args.len()))
        else {
            return;
        };
        execute(&mut self.primary, row, db, &args);
        if self.replay(&args) {
            self.effective.insert(self.table.full_name(row));
        }
        for at in row.keys.positions(&args).unwrap_or_default() {
            self.assert_same_key(args[at as usize], &args);
        }
    }

    /// A command's key, in every database.
    fn assert_same_key(&self, key: &[u8], after: &[&[u8]]) {
        for db in (0..DATABASES).map(DbIndex) {
            let entry = |core: &ShardCore| core.space.store.get(db, key).map(described);
            let (primary, replica) = (entry(&self.primary), entry(&self.replica));
            assert_eq!(
                primary,
                replica,
                "key {} of {db:?} after {}",
                key.escape_ascii(),
                shown(after)
            );
        }
    }

    /// Whether there was anything to replay.
    fn replay(&mut self, cause: &[&[u8]]) -> bool {
        let mut wire = Vec::new();
        for run in self.records.0.borrow_mut().drain(..) {
            self.writer.run(&mut wire, &run);
        }
        if wire.is_empty() {
            return false;
        }
        self.writer.end_write(&mut wire);
        self.decoder.feed(&wire);
        self.replica.space.now = self.primary.space.now + REPLICA_AHEAD_MS;
        loop {
            let db = self.decoder.db();
            match self.decoder.next().expect("the stream is our own") {
                Some(Record::Command { args, .. }) => {
                    let mut part = TransactionPart::new();
                    part.start(0, 1, None);
                    part.push_command(db, args.iter());
                    let applied = self
                        .replica
                        .try_apply(&self.table, &part)
                        .expect("nothing holds it up");
                    applied.unwrap_or_else(|error| panic!("{}: {error}", shown(cause)));
                }
                Some(_) => {}
                None => return true,
            }
        }
    }

    /// The contents, expired keys included: a key that has expired is there until its DEL.
    fn assert_same(&self, after: &str) {
        let (primary, replica) = (contents(&self.primary), contents(&self.replica));
        for (id, value) in &primary {
            assert_eq!(
                Some(value),
                replica.get(id),
                "after {after}: key {} of database {}",
                id.1.escape_ascii(),
                id.0
            );
        }
        let extra: Vec<_> = replica
            .keys()
            .filter(|id| !primary.contains_key(*id))
            .collect();
        assert!(
            extra.is_empty(),
            "after {after}: the replica has {extra:?} too"
        );
    }
}

fn execute(core: &mut ShardCore, row: &'static Command, db: DbIndex, args: &[&[u8]]) -> Vec<u8> {
    let mut reply = Vec::new();
    let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
    match row.keys.positions(args) {
        Ok(keys) => assert_eq!(core.try_command(row, db, args, &keys, &mut out), Step::Done),
        Err(error) => out.error(error.to_string()),
    }
    reply
}

fn shown(args: &[&[u8]]) -> String {
    args.iter()
        .map(|arg| arg.escape_ascii().to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The value, as a hash, and its expiry.
type Described = (String, Option<i64>);

fn described(entry: EntryRef<'_>) -> Described {
    let digest = Digest::of_value(entry.value(), None, Strictness::Strict);
    (digest.to_string(), entry.expire_at())
}

fn contents(core: &ShardCore) -> BTreeMap<(u16, Vec<u8>), Described> {
    let mut found = BTreeMap::new();
    for db in 0..DATABASES {
        let mut cursor = 0;
        loop {
            cursor = core.space.store.scan(DbIndex(db), cursor, &mut |entry| {
                found.insert((db, entry.key().to_vec()), described(entry));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    found
}

/// RESTORE with a payload that a live value gives.
fn restore(pair: &Pair, db: DbIndex, rng: &mut Rng) -> Option<Args> {
    let entry = pair
        .primary
        .space
        .store
        .random(db, &mut || rng.next_u64())?;
    let payload = damselfly_snapshot::dump_value(entry.value());
    let key = if matches!(entry.value(), Value::Str(_)) {
        "string:0"
    } else {
        "any:restored"
    };
    let ttl = rng.pick(&["0", "100", "5000000", "1"]).as_bytes().to_vec();
    let name = *rng.pick(&["RESTORE", "RESTORE-ASKING"]);
    let mut args = vec![name.into(), key.into(), ttl, payload];
    args.extend(rng.percent(80).then(|| b"REPLACE".to_vec()));
    args.extend(rng.percent(20).then(|| b"ABSTTL".to_vec()));
    Some(args)
}

/// Families that some seeds keep to.
const FAMILIES: [Family; 7] = [
    Family::Lists,
    Family::Hashes,
    Family::Strings,
    Family::SortedSets,
    Family::Geo,
    Family::Sets,
    Family::Sort,
];

/// Half of the seeds draw from all families; the others keep to one and to the rows here, so that every command meets what it needs.
fn is_drawn(seed: u64, family: Family) -> bool {
    let keeps_to = FAMILIES[(seed / 4) as usize % FAMILIES.len()];
    (seed / 2).is_multiple_of(2) || family == keeps_to
}

fn run_seed(seed: u64) -> BTreeSet<String> {
    let mut rng = Rng::new(seed);
    let mut pair = Pair::new(seed);
    let words = if seed.is_multiple_of(2) {
        Words::hostile()
    } else {
        Words {
            keys: 6,
            members: 40,
            ..Words::tame("", 6)
        }
    };
    // Much has to come together until something is pending: a few seeds are of streams alone.
    let of_streams = seed.is_multiple_of(6);
    let drawn = |row: &&Row| is_drawn(seed, row.family);
    let rows = ROWS.iter().chain(RANDOM_WRITES).filter(drawn);
    let more = || MORE_ROWS.iter().chain(NEWER_WRITES);
    let all = ROWS.iter().chain(more());
    let rows: Vec<&'static Row> = match of_streams {
        true => all
            .filter(|row| row.template.contains("<stream>"))
            .collect(),
        false => rows.chain(more()).collect(),
    };
    let mut generator = Generator::new(rows, words);
    for index in 0..COMMANDS {
        let db = DbIndex(if rng.percent(80) {
            0
        } else {
            rng.below(DATABASES.into()) as u16
        });
        let args = match rng
            .percent(3)
            .then(|| restore(&pair, db, &mut rng))
            .flatten()
        {
            Some(args) => args,
            None => generator.draw(&mut rng).1,
        };
        pair.run(db, &args);
        pair.primary.space.now += match rng.below(100) {
            0..70 => 0,
            70..95 => rng.between(1, 400),
            95..99 => rng.between(1, 60_000),
            _ => rng.between(1, 20_000_000),
        };
        if rng.percent(10) {
            pair.primary.expire_slice();
            pair.replay(&[b"active expiry"]);
        }
        if index % COMPARE_EVERY == 0 {
            pair.assert_same(&format!("command {index} of seed {seed}"));
        }
    }
    pair.assert_same(&format!("seed {seed}"));
    pair.effective
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

#[test]
fn a_replica_of_the_effects_holds_the_same() {
    let first = number("EFFECTS_SEED").unwrap_or(1);
    let count = if number("EFFECTS_SEED").is_some() {
        1
    } else {
        number("EFFECTS_SEEDS").unwrap_or(36)
    };
    let mut effective = BTreeSet::new();
    for seed in first..first + count {
        effective.extend(run_seed(seed));
    }
    if number("EFFECTS_SEED").is_none() {
        let table = CommandTable::new(families::ALL);
        let rows = table.rows().iter().copied();
        let rows = rows.flat_map(|row| std::iter::once(row).chain(row.subcommands));
        // Libraries of functions are no shard's: `replicas_have_the_libraries` in tests/scripts has them.
        let silent: Vec<_> = rows
            .filter(|row| row.is_write() && row.changes_libraries().is_none())
            .map(|row| table.full_name(row))
            .filter(|name| !effective.contains(name))
            .collect();
        assert!(
            silent.is_empty(),
            "no generated command had an effect, add a row to the generator: {silent:?}"
        );
    }
}

/// Commands that change nothing leave no record, whatever they answer.
#[test]
fn what_changes_nothing_has_no_effect() {
    let mut pair = Pair::new(1);
    for line in [
        "SET string:1 10",
        "SET list:1 a PX 100000",
        "PFADD hll:1 a b c",
        "SADDEX set:1 20 a b",
        "HSET hash:1 a 1 b 2",
        "HPEXPIREAT hash:1 1995000000000 FIELDS 1 a",
        "PEXPIREAT string:1 1995000000000",
    ] {
        pair.run(DbIndex(0), &words(line));
    }
    let silent = [
        "SET string:1 x NX",
        "SET nothing x XX",
        "SETNX string:1 x",
        "SETBIT string:1 2 1",
        "BITFIELD string:1 GET u8 0 SET u8 0 49",
        "BITFIELD string:1 OVERFLOW FAIL INCRBY u2 0 9",
        "BITFIELD nothing GET u8 100",
        "BITOP AND nothing no never",
        "HPEXPIREAT hash:1 1995000000000 FIELDS 1 a",
        "HEXPIRE hash:1 100 NX FIELDS 1 a",
        "HEXPIRE hash:1 0 XX FIELDS 2 b c",
        "HEXPIRE nothing 100 FIELDS 1 a",
        "HPERSIST hash:1 FIELDS 2 b c",
        "SADDEX set:1 KEEPTTL 10 a",
        "FIELDEXPIREAT set:1 1795000020 a",
        "FIELDEXPIRE nothing 100 a",
        "HPERSIST nothing FIELDS 1 a",
        "PFADD hll:1 a b",
        "PFADD hll:1",
        "PFMERGE hll:1 hll:1 nothing",
        "PFDEBUG ENCODING hll:1",
        "MSETNX nothing x string:1 y",
        "GETDEL nothing",
        "GETEX string:1",
        "GETEX nothing PERSIST",
        "GETEX string:1 PXAT 1995000000000",
        "INCRBY string:1 x",
        "DECRBY string:1 -9223372036854775808",
        "INCRBYFLOAT string:1 x",
        "DEL nothing",
        "UNLINK nothing no",
        "EXPIRE nothing 10",
        "PEXPIRE string:1 1 NX",
        "PEXPIREAT string:1 1995000000000",
        "PERSIST nothing",
        "RENAME nothing else",
        "RENAME string:1 string:1",
        "RENAMENX string:1 list:1",
        "MOVE nothing 1",
        "COPY nothing else",
        "COPY string:1 list:1",
        "SWAPDB 1 1",
        "SET nothing x PXAT 1000",
        "PEXPIREAT nothing 1",
    ];
    let empty = |line| [words(line), vec![Vec::new()]].concat();
    let appends = [
        empty("SETRANGE nothing 10"),
        empty("SETRANGE string:1 1"),
        empty("APPEND string:1"),
    ];
    for args in silent.map(words).into_iter().chain(appends) {
        pair.effective.clear();
        pair.run(DbIndex(0), &args);
        assert!(
            pair.effective.is_empty(),
            "{}",
            args.join(&b' ').escape_ascii()
        );
    }
    pair.assert_same("all of it");
}

/// What the records of commands look like (PROTOCOL 4).
#[test]
fn effects_are_absolute_and_final() {
    let effects = [
        ("SET k v EX 10", "SET k v PXAT 1795000010000"),
        ("SET k v NX GET", ""),
        ("SET k w XX GET KEEPTTL", "SET k w KEEPTTL"),
        ("GETEX k PX 5000", "PEXPIREAT k 1795000005000"),
        ("GETEX k PERSIST", "PERSIST k"),
        ("EXPIRE k 7", "PEXPIREAT k 1795000007000"),
        ("EXPIRE k -1", "DEL k"),
        ("SETEX k 3 10.5", "SET k 10.5 PXAT 1795000003000"),
        ("INCRBYFLOAT k 0.25", "SET k 10.75 KEEPTTL"),
        ("GETSET k 5", "SET k 5"),
        ("INCR k", "INCR k"),
        ("GETDEL k", "DEL k"),
        ("PSETEX k 1 x", "SET k x PXAT 1795000000001"),
        ("SET k x PXAT 1", "DEL k"),
        ("HSET h f 1 g 2", "HSET h f 1 g 2"),
        (
            "HEXPIRE h 10 FIELDS 3 f g no",
            "HPEXPIREAT h 1795000010000 FIELDS 2 f g",
        ),
        (
            "HINCRBYFLOAT h f 0.5",
            "HSET h f 1.5; HPEXPIREAT h 1795000010000 FIELDS 1 f",
        ),
        ("HPERSIST h FIELDS 1 f", "HPERSIST h FIELDS 1 f"),
        ("HEXPIREAT h 1 FIELDS 1 g", "HDEL h g"),
        ("HGETDEL h FIELDS 2 g f", "HDEL h f"),
        ("SADD s a b", "SADD s a b"),
        (
            "SADDEX s 100 b c",
            "SADDEX s 100 b c; FIELDEXPIREAT s 1795000100 b c",
        ),
        (
            "SADDEX s KEEPTTL 50 b d",
            "SADDEX s 50 d; FIELDEXPIREAT s 1795000050 d",
        ),
        (
            "FIELDEXPIREAT s 1795000100 a b",
            "FIELDEXPIRE s 100 a; FIELDEXPIREAT s 1795000100 a",
        ),
        ("FIELDEXPIRE s 0 a no d", "SREM s a d"),
        (
            "HSETEX j FNX EX 10 FIELDS 1 f v",
            "HSET j f v; HPEXPIREAT j 1795000010000 FIELDS 1 f",
        ),
        ("HSETEX j FNX FIELDS 2 f v g v", ""),
        ("HSETEX j FXX FIELDS 2 f v g v", ""),
        (
            "HSETEX j KEEPTTL FIELDS 2 f w g w",
            "HSET j f w g w; HPEXPIREAT j 1795000010000 FIELDS 1 f",
        ),
        ("HSETEX j FIELDS 1 f x", "HSET j f x"),
        (
            "HSETEX j NX 20 f y h y",
            "HSET j h y; HPEXPIREAT j 1795000020000 FIELDS 1 h",
        ),
        (
            "HGETEX j PX 5 FIELDS 3 f no g",
            "HPEXPIREAT j 1795000000005 FIELDS 2 f g",
        ),
        ("HGETEX j PERSIST FIELDS 2 f no", "HPERSIST j FIELDS 1 f"),
        ("HGETEX j FIELDS 2 f no", ""),
        ("HGETEX j EXAT 1 FIELDS 2 f no", "HDEL j f"),
        ("HSETEX j PXAT 1 FIELDS 2 g x i x", "HDEL j g"),
        ("HSET i f 1 g 2", "HSET i f 1 g 2"),
        (
            "FIELDEXPIRE i 10 f g",
            "HPEXPIREAT i 1795000010000 FIELDS 2 f g",
        ),
    ];
    let mut pair = Pair::new(1);
    for (line, expected) in effects {
        let args = words(line);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        execute(
            &mut pair.primary,
            pair.table.find(args[0]).unwrap(),
            DbIndex(0),
            &args,
        );
        let runs: Vec<_> = pair.records.0.borrow_mut().drain(..).collect();
        let mut wire = Vec::new();
        let mut writer = RecordWriter::blobs(StreamLevel::Extended);
        runs.iter().for_each(|run| writer.run(&mut wire, run));
        let mut decoder = RecordDecoder::blobs(StreamLevel::Extended, RecordLimits::default());
        decoder.feed(&wire);
        let mut seen = Vec::new();
        while let Some(record) = decoder.next().unwrap() {
            if let Record::Command { args, .. } = record {
                seen.push(shown(&args.iter().collect::<Vec<_>>()));
            }
        }
        assert_eq!(seen.join("; "), expected, "{line}");
    }
}

/// A key that has expired in another database is in nobody's way, and its end is recorded before what takes its place.
#[test]
fn expired_keys_of_other_databases_make_room() {
    for line in ["MOVE k 1", "COPY k k DB 1"] {
        let mut pair = Pair::new(1);
        pair.run(DbIndex(1), &words("SET k old PX 100"));
        pair.run(DbIndex(0), &words("SET k new"));
        pair.run(DbIndex(0), &words(line));
        pair.assert_same("it was in the way");
        pair.primary.space.now += 101;
        pair.run(DbIndex(0), &words(line));
        pair.assert_same("it had expired");
        let moved = pair.primary.space.store.get(DbIndex(1), b"k");
        assert_eq!(moved.map(|entry| entry.expire_at()), Some(None), "{line}");
    }
}

/// Fields whose time has come are no more for whoever reads; their end is recorded before what is written next, or when the
/// primary comes by.
#[test]
fn expired_fields_are_deleted_by_the_primary_alone() {
    let mut pair = Pair::new(1);
    for line in [
        "HSET h a 1 b 2 c 3",
        "HPEXPIRE h 100 FIELDS 2 a b",
        "HPEXPIRE h 200 FIELDS 1 c",
    ] {
        pair.run(DbIndex(0), &words(line));
    }
    let read = |pair: &mut Pair, line: &str| {
        let args = words(line);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let row = pair.table.find(args[0]).unwrap();
        execute(&mut pair.primary, row, DbIndex(0), &args)
    };
    pair.primary.space.now += 100;
    assert_eq!(read(&mut pair, "HLEN h"), b":1\r\n");
    assert_eq!(read(&mut pair, "HMGET h a c"), b"*2\r\n$-1\r\n$1\r\n3\r\n");
    pair.assert_same("nobody has deleted anything");
    pair.run(DbIndex(0), &words("HSETNX h a 4"));
    assert_eq!(
        read(&mut pair, "HGETALL h"),
        b"*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\na\r\n$1\r\n4\r\n"
    );
    pair.assert_same("a write came by");
    pair.run(DbIndex(0), &words("HEXPIRE h 1 FIELDS 1 a"));
    pair.primary.space.now += 1_000;
    assert_eq!(read(&mut pair, "HLEN h"), b":0\r\n");
    assert!(pair.primary.expire_slice() == 2 && pair.replay(&[b"active expiry"]));
    assert_eq!(
        (contents(&pair.primary).len(), contents(&pair.replica).len()),
        (0, 0)
    );
}

/// Members of sets are no more once their time has come, for all commands that look at sets; only the primary deletes them.
#[test]
fn expired_members_are_deleted_by_the_primary_alone() {
    let mut pair = Pair::new(1);
    for line in [
        "SADD s a b c",
        "SADDEX s 10 b d",
        "FIELDEXPIRE s 20 c",
        "SADD t b c x",
        "SADDEX u 10 only",
    ] {
        pair.run(DbIndex(0), &words(line));
    }
    let read = |pair: &mut Pair, line: &str| {
        let args = words(line);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let row = pair.table.find(args[0]).unwrap();
        let reply = execute(&mut pair.primary, row, DbIndex(0), &args);
        String::from_utf8(reply).unwrap().replace("\r\n", " ")
    };
    assert_eq!(read(&mut pair, "FIELDTTL s b"), ":10 ");
    assert_eq!(read(&mut pair, "FIELDTTL s a"), ":-1 ");
    assert_eq!(read(&mut pair, "FIELDTTL s z"), ":-3 ");
    assert_eq!(read(&mut pair, "FIELDTTL no z"), ":-2 ");
    pair.primary.space.now += 10_000;
    for (line, reply) in [
        ("FIELDTTL s b", ":-3 "),
        ("SCARD s", ":2 "),
        ("SMEMBERS s", "*2 $1 a $1 c "),
        ("SISMEMBER s b", ":0 "),
        ("SMISMEMBER s a b c", "*3 :1 :0 :1 "),
        ("SINTER s t", "*1 $1 c "),
        ("SINTERCARD 2 s t", ":1 "),
        ("SDIFF t s", "*2 $1 b $1 x "),
        ("SUNION s u", "*2 $1 a $1 c "),
        ("SRANDMEMBER u", "$-1 "),
        ("SRANDMEMBER s 9", "*2 $1 a $1 c "),
        ("SSCAN s 0", "*2 $1 0 *2 $1 a $1 c "),
        ("ZUNION 2 s u", "*2 $1 a $1 c "),
        ("SORT_RO s ALPHA", "*2 $1 a $1 c "),
        ("SCARD u", ":0 "),
    ] {
        assert_eq!(read(&mut pair, line), reply, "{line}");
    }
    pair.assert_same("nobody has deleted anything");
    pair.run(DbIndex(0), &words("SUNIONSTORE v s u"));
    assert_eq!(read(&mut pair, "SMEMBERS v"), "*2 $1 a $1 c ");
    assert!(pair.primary.space.store.get(DbIndex(0), b"u").is_none());
    pair.assert_same("a write came by");
    pair.run(DbIndex(0), &words("SADDEX w 1 a b"));
    pair.primary.space.now += 20_000;
    assert!(pair.primary.expire_slice() == 3 && pair.replay(&[b"active expiry"]));
    pair.assert_same("active expiry");
    assert_eq!(read(&mut pair, "EXISTS w"), ":0 ");
}
