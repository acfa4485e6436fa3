//! Which clients CLIENT LIST shows and CLIENT KILL closes (Redis 7.0, `networking.c`, `clientCommand`).

use crate::clients::{ClientEntry, ClientKind};
use crate::net::Address;
use damselfly_engine::CommandError;
use damselfly_engine::acl::{Acl, DEFAULT_NAME};
use damselfly_engine::families::options::is_word;
use damselfly_engine::replicate::UpstreamConnection;
use damselfly_engine::resp::parse_i64;

/// Conditions that all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// One of these ids.
    pub(super) ids: Option<Vec<u64>>,
    address: Option<String>,
    own_address: Option<String>,
    /// `Some(None)`: subscribers.
    kind: Option<Option<ClientKind>>,
    /// A user's name. (The link to the primary is nobody's.)
    user: Option<Vec<u8>>,
    max_age_s: Option<i64>,
    skipped: Option<u64>,
}

/// What the conditions are about.
struct Facts {
    id: u64,
    addr: Address,
    laddr: Address,
    kind: ClientKind,
    listens: bool,
    connected_at: i64,
}

impl Filter {
    /// Of the options of CLIENT LIST.
    pub(super) fn of_list(options: &[&[u8]]) -> Result<Filter, CommandError> {
        match options {
            [] => Ok(Filter::default()),
            [word, name] if is_word(word, "type") => Ok(Filter {
                kind: Some(kind(name)?),
                ..Filter::default()
            }),
            [word, ids @ ..] if is_word(word, "id") && !ids.is_empty() => {
                let id = |text: &&[u8]| {
                    parse_i64(text).ok_or(CommandError::text("ERR Invalid client ID"))
                };
                // No client has a negative id.
                let ids = ids
                    .iter()
                    .map(|text| id(text).map(|id| u64::try_from(id).unwrap_or(0)));
                Ok(Filter {
                    ids: Some(ids.collect::<Result<_, _>>()?),
                    ..Filter::default()
                })
            }
            _ => Err(CommandError::Syntax),
        }
    }

    /// Of the old form of CLIENT KILL.
    pub(super) fn of_address(address: &[u8]) -> Filter {
        Filter {
            address: Some(text(address)),
            ..Filter::default()
        }
    }

    /// Of the options of CLIENT KILL, sent by the client `me`.
    pub(super) fn of_kill(options: &[&[u8]], me: u64, acl: &Acl) -> Result<Filter, CommandError> {
        let mut filter = Filter {
            skipped: Some(me),
            ..Filter::default()
        };
        let (pairs, rest) = options.as_chunks::<2>();
        for [option, value] in pairs {
            filter.add(option, value, me, acl)?;
        }
        if rest.is_empty() {
            Ok(filter)
        } else {
            Err(CommandError::Syntax)
        }
    }

    fn add(&mut self, option: &[u8], value: &[u8], me: u64, acl: &Acl) -> Result<(), CommandError> {
        match option {
            _ if is_word(option, "id") => {
                self.ids = Some(vec![positive(value, "client-id")? as u64])
            }
            _ if is_word(option, "type") => self.kind = Some(kind(value)?),
            _ if is_word(option, "addr") => self.address = Some(text(value)),
            _ if is_word(option, "laddr") => self.own_address = Some(text(value)),
            _ if is_word(option, "user") && acl.user(value).is_some() => {
                self.user = Some(value.to_vec());
            }
            _ if is_word(option, "user") => {
                return Err(CommandError::owned(format!(
                    "ERR No such user '{}'",
                    text(value)
                )));
            }
            _ if is_word(option, "maxage") => self.max_age_s = Some(positive(value, "maxage")?),
            _ if is_word(option, "skipme") => match value {
                _ if is_word(value, "yes") => self.skipped = Some(me),
                _ if is_word(value, "no") => self.skipped = None,
                _ => return Err(CommandError::Syntax),
            },
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    }

    /// Whether all conditions hold for a connection to this server's primary.
    pub(super) fn takes_upstream(&self, connection: &UpstreamConnection, now: i64) -> bool {
        let facts = Facts {
            id: connection.id,
            addr: connection.addr.into(),
            laddr: connection.laddr.into(),
            kind: ClientKind::Master,
            listens: false,
            connected_at: connection.connected_at,
        };
        self.user.is_none() && self.holds(&facts, now)
    }

    /// Whether all conditions hold for a client.
    pub(super) fn takes(&self, entry: &ClientEntry, now: i64) -> bool {
        let facts = Facts {
            id: entry.id,
            addr: entry.addr.clone(),
            laddr: entry.laddr.clone(),
            kind: entry.kind.get(),
            listens: entry.listens(),
            connected_at: entry.connected_at,
        };
        self.is_of_user(entry) && self.holds(&facts, now)
    }

    fn is_of_user(&self, entry: &ClientEntry) -> bool {
        let is = |name: &Vec<u8>| match entry.user() {
            Some(user) => user.name == *name,
            None => name == DEFAULT_NAME,
        };
        self.user.as_ref().is_none_or(is)
    }

    fn holds(&self, facts: &Facts, now: i64) -> bool {
        let is = |wanted: &Option<String>, address: &Address| {
            wanted
                .as_ref()
                .is_none_or(|wanted| *wanted == address.to_string())
        };
        self.skipped != Some(facts.id)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&facts.id))
            && is(&self.address, &facts.addr)
            && is(&self.own_address, &facts.laddr)
            && self.kind.is_none_or(|kind| match kind {
                Some(kind) => kind == facts.kind && !facts.listens,
                None => facts.listens,
            })
            && self
                .max_age_s
                .is_none_or(|age| (now - facts.connected_at) / 1000 >= age)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
            ("id 0", "ERR client-id should be greater than 0"),
            ("type x", "ERR Unknown client type 'x'"),
            ("user bob", "ERR No such user 'bob'"),
            ("skipme maybe", "ERR syntax error"),
            ("id 1 addr", "ERR syntax error"),
            ("foo bar", "ERR syntax error"),
        ] {
            assert_eq!(killed(options, 1), Err(expected.to_owned()), "{options}");
        }
        assert_eq!(
            Filter::of_list(&args("id x")),
            Err(CommandError::text("ERR Invalid client ID"))
        );
        assert_eq!(Filter::of_list(&args("type")), Err(CommandError::Syntax));
    }
}
