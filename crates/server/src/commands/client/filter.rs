//! Which clients CLIENT LIST shows and CLIENT KILL closes: the conditions of Redis 7.0 (`networking.c`, `clientCommand`), `MAXAGE`
//! of 7.4, and those of Valkey 9, whose words are the fields of a line, each with an opposite (`NOT-…`).

use crate::clients::{ClientEntry, ClientKind};
use crate::net::Address;
use damselfly_engine::CommandError;
use damselfly_engine::acl::{Acl, DEFAULT_NAME};
use damselfly_engine::families::options::is_word;
use damselfly_engine::replicate::UpstreamConnection;
use damselfly_engine::resp::parse_i64;
use std::mem::discriminant;

/// Conditions that all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    wanted: Vec<Condition>,
    unwanted: Vec<Condition>,
    skipped: Option<u64>,
}

/// What can be asked of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// Its id is one of these.
    Ids(Vec<u64>),
    Address(String),
    OwnAddress(String),
    /// Its address without the port.
    Ip(String),
    /// `None`: a subscriber.
    Kind(Option<ClientKind>),
    /// A user's name. (The link to the primary is nobody's.)
    User(Vec<u8>),
    /// It has been connected for so many seconds, at least.
    Age(i64),
    /// It has said nothing for so many seconds, at least.
    Idle(i64),
    /// It has all of these letters.
    Flags(String),
    Name(Vec<u8>),
    LibraryName(Vec<u8>),
    LibraryVersion(Vec<u8>),
    Db(u16),
}

impl Filter {
    /// Of the options of CLIENT LIST.
    pub(super) fn of_list(options: &[&[u8]], acl: &Acl) -> Result<Filter, CommandError> {
        let mut filter = Filter::default();
        filter.read(options, acl, bad_listed_id)?;
        Ok(filter)
    }

    /// Of the old form of CLIENT KILL.
    pub(super) fn of_address(address: &[u8]) -> Filter {
        Filter {
            wanted: vec![Condition::Address(text(address))],
            ..Filter::default()
        }
    }

    /// Of the options of CLIENT KILL, sent by the client `me`.
    pub(super) fn of_kill(options: &[&[u8]], me: u64, acl: &Acl) -> Result<Filter, CommandError> {
        let mut filter = Filter {
            skipped: Some(me),
            ..Filter::default()
        };
        let mut others: Vec<&[u8]> = Vec::with_capacity(options.len());
        let mut rest = options;
        while let Some((word, after)) = rest.split_first() {
            rest = match after {
                [value, after @ ..] if is_word(word, "skipme") => {
                    filter.skipped = match value {
                        _ if is_word(value, "yes") => Some(me),
                        _ if is_word(value, "no") => None,
                        _ => return Err(CommandError::Syntax),
                    };
                    after
                }
                _ => {
                    others.push(word);
                    after
                }
            };
        }
        filter.read(&others, acl, bad_killed_id)?;
        Ok(filter)
    }

    /// The ids that are asked for, in the order of the asking.
    pub(super) fn ids(&self) -> Option<&[u64]> {
        self.wanted.iter().find_map(|condition| match condition {
            Condition::Ids(ids) => Some(ids.as_slice()),
            _ => None,
        })
    }

    fn read<'a>(
        &mut self,
        mut options: &'a [&'a [u8]],
        acl: &Acl,
        bad_id: fn() -> CommandError,
    ) -> Result<(), CommandError> {
        while let [word, rest @ ..] = options {
            let opposite = word.get(..4).filter(|start| is_word(start, "not-"));
            let name = opposite.map_or(*word, |start| &word[start.len()..]);
            let (condition, rest) = if is_word(name, "id") {
                ids(rest, bad_id)?
            } else {
                let [value, rest @ ..] = rest else {
                    return Err(CommandError::Syntax);
                };
                (condition(name, value, opposite.is_some(), acl)?, rest)
            };
            let conditions = match opposite {
                Some(_) => &mut self.unwanted,
                None => &mut self.wanted,
            };
            // The last one of a kind holds, as in Redis.
            conditions.retain(|other| discriminant(other) != discriminant(&condition));
            conditions.push(condition);
            options = rest;
        }
        Ok(())
    }

    /// Whether all conditions hold for a connection to this server's primary.
    pub(super) fn takes_upstream(&self, connection: &UpstreamConnection, now: i64) -> bool {
        self.takes_subject(&Subject::Upstream(connection), now)
    }

    /// Whether all conditions hold for a client.
    pub(super) fn takes(&self, entry: &ClientEntry, now: i64) -> bool {
        self.takes_subject(&Subject::Client(entry), now)
    }

    fn takes_subject(&self, subject: &Subject<'_>, now: i64) -> bool {
        self.skipped != Some(subject.id())
            && self.wanted.iter().all(|wanted| wanted.holds(subject, now))
            && !self
                .unwanted
                .iter()
                .any(|unwanted| unwanted.holds(subject, now))
    }
}

/// As many ids as follow, one at least.
fn ids<'a>(
    options: &'a [&'a [u8]],
    bad: fn() -> CommandError,
) -> Result<(Condition, &'a [&'a [u8]]), CommandError> {
    let [first, ..] = options else {
        return Err(CommandError::Syntax);
    };
    let id = |text: &&[u8]| parse_i64(text);
    let first = id(first).ok_or_else(bad)?;
    if first <= 0 && bad() != bad_listed_id() {
        return Err(bad());
    }
    let count = options.iter().map_while(&id).count();
    let ids = options[..count].iter().filter_map(id);
    // No client has a negative id.
    let ids = ids.map(|id| u64::try_from(id).unwrap_or(0)).collect();
    Ok((Condition::Ids(ids), &options[count..]))
}

fn bad_listed_id() -> CommandError {
    CommandError::text("ERR Invalid client ID")
}

fn bad_killed_id() -> CommandError {
    CommandError::text("ERR client-id should be greater than 0")
}

fn condition(
    name: &[u8],
    value: &[u8],
    is_opposite: bool,
    acl: &Acl,
) -> Result<Condition, CommandError> {
    Ok(match name {
        _ if is_word(name, "type") => Condition::Kind(kind(value)?),
        _ if is_word(name, "addr") => Condition::Address(text(value)),
        _ if is_word(name, "laddr") => Condition::OwnAddress(text(value)),
        _ if is_word(name, "ip") => Condition::Ip(text(value)),
        _ if is_word(name, "user") && acl.user(value).is_some() => Condition::User(value.to_vec()),
        _ if is_word(name, "user") => {
            return Err(CommandError::echo("ERR No such user '", value, "'"));
        }
        _ if is_word(name, "maxage") && !is_opposite => Condition::Age(positive(value, "maxage")?),
        _ if is_word(name, "idle") && !is_opposite => Condition::Idle(positive(value, "idle")?),
        _ if is_word(name, "flags") => Condition::Flags(flags(value)?),
        _ if is_word(name, "name") => Condition::Name(value.to_vec()),
        _ if is_word(name, "lib-name") => Condition::LibraryName(value.to_vec()),
        _ if is_word(name, "lib-ver") => Condition::LibraryVersion(value.to_vec()),
        _ if is_word(name, "db") => {
            let db = parse_i64(value).and_then(|db| u16::try_from(db).ok());
            Condition::Db(db.ok_or(CommandError::text("ERR DB index is out of range"))?)
        }
        _ => return Err(CommandError::Syntax),
    })
}

/// Whom a condition is about.
enum Subject<'a> {
    Client(&'a ClientEntry),
    Upstream(&'a UpstreamConnection),
}

impl Subject<'_> {
    fn id(&self) -> u64 {
        match self {
            Subject::Client(entry) => entry.id,
            Subject::Upstream(connection) => connection.id,
        }
    }

    fn address(&self) -> Address {
        match self {
            Subject::Client(entry) => entry.addr.clone(),
            Subject::Upstream(connection) => connection.addr.into(),
        }
    }

    fn own_address(&self) -> Address {
        match self {
            Subject::Client(entry) => entry.laddr.clone(),
            Subject::Upstream(connection) => connection.laddr.into(),
        }
    }

    /// When it connected, and when it was active last.
    fn times(&self, now: i64) -> (i64, i64) {
        match self {
            Subject::Client(entry) => (entry.connected_at, now - entry.idle_ms(now)),
            Subject::Upstream(connection) => (connection.connected_at, connection.active_at),
        }
    }

    fn is_of(&self, kind: Option<ClientKind>) -> bool {
        match (self, kind) {
            (Subject::Client(entry), None) => entry.listens(),
            (Subject::Client(entry), Some(kind)) => kind == entry.kind.get() && !entry.listens(),
            (Subject::Upstream(_), kind) => kind == Some(ClientKind::Master),
        }
    }

    /// Whether something holds of a client that is not the link to the primary.
    fn has(&self, holds: impl FnOnce(&ClientEntry) -> bool) -> bool {
        match self {
            Subject::Client(entry) => holds(entry),
            Subject::Upstream(_) => false,
        }
    }
}

impl Condition {
    fn holds(&self, subject: &Subject<'_>, now: i64) -> bool {
        let (connected_at, active_at) = subject.times(now);
        match self {
            Condition::Ids(ids) => ids.contains(&subject.id()),
            Condition::Address(wanted) => *wanted == subject.address().to_string(),
            Condition::OwnAddress(wanted) => *wanted == subject.own_address().to_string(),
            Condition::Ip(wanted) => *wanted == subject.address().host(),
            Condition::Kind(kind) => subject.is_of(*kind),
            Condition::User(name) => subject.has(|entry| is_of_user(entry, name)),
            Condition::Age(age) => (now - connected_at) / 1000 >= *age,
            Condition::Idle(idle) => (now - active_at) / 1000 >= *idle,
            Condition::Flags(letters) => {
                let has = |flags: &str| letters.chars().all(|letter| flags.contains(letter));
                match subject {
                    Subject::Client(entry) => has(&entry.flag_letters()),
                    Subject::Upstream(_) => has("M"),
                }
            }
            Condition::Name(name) => subject.has(|entry| entry.name() == *name),
            Condition::LibraryName(name) => subject.has(|entry| entry.library().0 == *name),
            Condition::LibraryVersion(version) => {
                subject.has(|entry| entry.library().1 == *version)
            }
            Condition::Db(db) => subject.has(|entry| entry.db() == *db),
        }
    }
}

fn is_of_user(entry: &ClientEntry, name: &[u8]) -> bool {
    match entry.user() {
        Some(user) => user.name == name,
        None => name == DEFAULT_NAME,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Letters of `flags=`.
fn flags(value: &[u8]) -> Result<String, CommandError> {
    let unknown = value
        .iter()
        .find(|letter| !b"NOSMPxbtRBdeTcuAUr".contains(letter));
    match (unknown, value) {
        (Some(_), _) | (_, []) => Err(CommandError::echo(
            "ERR Unknown flags found in the provided filter: ",
            value,
            "",
        )),
        _ => Ok(text(value)),
    }
}

fn positive(value: &[u8], name: &str) -> Result<i64, CommandError> {
    let number = parse_i64(value).filter(|number| *number > 0);
    number.ok_or_else(|| CommandError::owned(format!("ERR {name} should be greater than 0")))
}

fn kind(name: &[u8]) -> Result<Option<ClientKind>, CommandError> {
    match name {
        _ if is_word(name, "pubsub") => Ok(None),
        _ if is_word(name, "slave") => Ok(Some(ClientKind::Replica)),
        _ => [ClientKind::Normal, ClientKind::Master, ClientKind::Replica]
            .into_iter()
            .find(|kind| is_word(name, kind.name()))
            .map(Some)
            .ok_or_else(|| {
                CommandError::owned(format!("ERR Unknown client type '{}'", text(name)))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio_util::sync::CancellationToken;

    fn client(id: u64, port: u16) -> ClientEntry {
        let addr = SocketAddr::from(([127, 0, 0, 1], port)).into();
        ClientEntry::new(
            id,
            addr,
            SocketAddr::from(([127, 0, 0, 1], 6379)).into(),
            9,
            CancellationToken::new(),
        )
    }

    fn args(text: &str) -> Vec<&[u8]> {
        text.split_whitespace().map(str::as_bytes).collect()
    }

    fn killed(options: &str, me: u64) -> Result<Vec<u64>, String> {
        let clients = [client(1, 1001), client(2, 1002), client(3, 1003)];
        clients[2].kind.set(ClientKind::Replica);
        let acl = Acl::new(&damselfly_engine::CommandTable::new(&[]));
        let filter =
            Filter::of_kill(&args(options), me, &acl).map_err(|error| error.to_string())?;
        let now = clients[0].connected_at + 5_000;
        Ok(clients
            .iter()
            .filter(|client| filter.takes(client, now))
            .map(|client| client.id)
            .collect())
    }

    #[test]
    fn conditions_of_kill_hold_together() {
        for (options, expected) in [
            ("type normal", &[2][..]),
            ("not-type normal", &[3]),
            ("not-id 2 3 skipme no", &[1]),
            ("id 1 2 3", &[2, 3]),
            ("id 1 2 3 id 3", &[3]),
            ("ip 127.0.0.1 flags N", &[2]),
            ("flags S", &[3]),
            ("not-flags S skipme no", &[1, 2]),
            ("name x", &[]),
            ("not-name x db 0", &[2, 3]),
            ("db 1", &[]),
            ("lib-name x", &[]),
            ("not-lib-ver x not-user default", &[]),
            ("idle 4", &[2, 3]),
            ("idle 6", &[]),
            ("TYPE NORMAL SKIPME no", &[1, 2]),
            ("type slave user default", &[3]),
            ("type pubsub", &[]),
            ("addr 127.0.0.1:1002", &[2]),
            ("addr 127.0.0.1:1002 type replica", &[]),
            ("laddr 127.0.0.1:6379", &[2, 3]),
            ("id 1", &[]),
            ("id 1 skipme no", &[1]),
            ("maxage 5", &[2, 3]),
            ("maxage 60", &[]),
        ] {
            assert_eq!(killed(options, 1), Ok(expected.to_vec()), "{options}");
        }
    }

    #[test]
    fn what_is_no_condition_is_an_error() {
        for (options, expected) in [
            ("id x", "ERR client-id should be greater than 0"),
            ("not-maxage 5", "ERR syntax error"),
            (
                "flags ?",
                "ERR Unknown flags found in the provided filter: ?",
            ),
            ("id", "ERR syntax error"),
            ("id 0", "ERR client-id should be greater than 0"),
            ("type x", "ERR Unknown client type 'x'"),
            ("user bob", "ERR No such user 'bob'"),
            ("skipme maybe", "ERR syntax error"),
            ("id 1 addr", "ERR syntax error"),
            ("foo bar", "ERR syntax error"),
        ] {
            assert_eq!(killed(options, 1), Err(expected.to_owned()), "{options}");
        }
        let acl = Acl::new(&damselfly_engine::CommandTable::new(&[]));
        let list = |options| Filter::of_list(&args(options), &acl);
        assert_eq!(
            list("id x"),
            Err(CommandError::text("ERR Invalid client ID"))
        );
        assert_eq!(list("type"), Err(CommandError::Syntax));
    }
}
