//! The replica's part of the greeting (PROTOCOL 1): one request at a time, and what the answers tell of the peer.

use damselfly_resp::{Reply, ReplyDecoder, ReplyLimits};

use super::{
    answer::{accepted, bad_answer, expect_text, words},
    request::{auth_args, encode_strings},
};
use crate::{
    config::{ACK_INTERVAL_CAPA, ReplicaConfig, VERSION},
    dataset::{Dialect, Upstream},
    error::LinkError,
    ids::{MAX_FLOWS, ReplId, SyncId, parse_vector},
    lineage::{Fork, Origin},
};

/// Bounds of an answer in the greeting: nothing in it is long.
const REPLY_LIMITS: ReplyLimits = ReplyLimits {
    max_line: 4 << 10,
    max_bulk_len: 4 << 10,
    max_bytes: 16 << 10,
    max_items: 64,
    max_depth: 4,
};

/// A peer that was greeted, and expects flows now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// Who it is.
    pub upstream: Upstream,
    /// Its number for this link.
    pub sync_id: SyncId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Auth,
    Ping,
    Port,
    Address,
    CapaPsync,
    CapaDamselfly,
    CapaDragonfly,
    ClientId,
    ClientVersion,
    Done,
}

const STEPS: [Step; 10] = [
    Step::Auth,
    Step::Ping,
    Step::Port,
    Step::Address,
    Step::CapaPsync,
    Step::CapaDamselfly,
    Step::CapaDragonfly,
    Step::ClientId,
    Step::ClientVersion,
    Step::Done,
];

/// The machine of the greeting: send what [`poll_transmit`](Self::poll_transmit) gives, hand in what comes with
/// [`handle_bytes`](Self::handle_bytes), until that returns the greeted peer or an error.
#[derive(Debug)]
pub struct Greeting {
    config: ReplicaConfig,
    own_replid: ReplId,
    address: String,
    step: Step,
    transmit: Vec<u8>,
    replies: ReplyDecoder,
    peer: Option<Greeted>,
}

impl Greeting {
    /// Greets the peer at `address` (a name for messages). `own_replid` tells whether it is oneself.
    pub fn new(config: ReplicaConfig, address: impl Into<String>, own_replid: ReplId) -> Greeting {
        let mut greeting = Greeting {
            config,
            own_replid,
            address: address.into(),
            step: Step::Auth,
            transmit: Vec::new(),
            replies: ReplyDecoder::new(REPLY_LIMITS),
            peer: None,
        };
        if !greeting.request() {
            greeting.advance();
        }
        greeting
    }

    /// What is to be sent; empty when an answer is waited for.
    pub fn poll_transmit(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.transmit)
    }

    /// The request that has not been answered yet, for messages.
    pub fn step(&self) -> &'static str {
        self.step.name()
    }

    /// Takes what the peer sent. `Some` when the greeting is complete.
    ///
    /// # Errors
    /// Any [`LinkError`] of the greeting.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<Greeted>, LinkError> {
        let mut input = bytes;
        while let Some(reply) = self.decode(&mut input)? {
            if self.step == Step::Done {
                return Err(bad_answer("the greeting", "nothing more", &reply));
            }
            self.handle_reply(reply)?;
            self.advance();
        }
        Ok((self.step == Step::Done)
            .then(|| self.peer.clone())
            .flatten())
    }

    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, LinkError> {
        let start = words(input.get(..64).unwrap_or(input));
        self.replies
            .decode(input)
            .map_err(|error| LinkError::NotRedis {
                why: format!("{error}, in \"{start}\""),
            })
    }

    fn handle_reply(&mut self, reply: Reply) -> Result<(), LinkError> {
        let name = self.step.name();
        match self.step {
            Step::Ping => expect_text(name, reply, "PONG"),
            Step::CapaDragonfly => {
                self.peer = Some(self.read_peer(reply)?);
                Ok(())
            }
            // A refusal of these is not fatal (PROTOCOL 1).
            Step::Address | Step::ClientId if reply.as_error().is_some() => {
                tracing::info!(
                    step = name,
                    answer = words(reply.as_error().unwrap_or_default()),
                    "the primary does not take it"
                );
                Ok(())
            }
            _ => expect_text(name, reply, "OK"),
        }
    }

    /// The array that a shard-flow primary answers (PROTOCOL 1).
    fn read_peer(&self, reply: Reply) -> Result<Greeted, LinkError> {
        let step = Step::CapaDragonfly.name();
        let reply = accepted(step, reply)?;
        if reply
            .as_text()
            .is_some_and(|text| text.eq_ignore_ascii_case(b"OK"))
        {
            return Ok(self.psync_peer());
        }
        let bad = |expected| bad_answer(step, expected, &reply);
        let items = reply
            .as_items()
            .filter(|items| items.len() >= 3)
            .ok_or_else(|| bad("an array of at least three"))?;
        let replid = items[0]
            .as_text()
            .and_then(ReplId::parse)
            .ok_or_else(|| bad("a replication id of 40 hex digits"))?;
        let sync_id = items[1]
            .as_text()
            .and_then(SyncId::parse)
            .ok_or_else(|| bad("a sync id SYNC<n>"))?;
        let flows = items[2].as_integer().ok_or_else(|| bad("a flow count"))?;
        let number = |index: usize| {
            items
                .get(index)
                .and_then(Reply::as_integer)
                .and_then(|value| u64::try_from(value).ok())
        };
        let lineage = items
            .get(4)
            .and_then(Reply::as_text)
            .and_then(ReplId::parse);
        if replid == self.own_replid {
            return Err(LinkError::SelfReplication);
        }
        let flows = usize::try_from(flows)
            .ok()
            .filter(|flows| (1..=MAX_FLOWS).contains(flows))
            .ok_or(LinkError::FlowCount { got: flows })?;
        let level = number(5).unwrap_or(0).min(u64::from(self.config.level)) as u8;
        // A Dragonfly's lineage outlives forks of its contents, so only its replid names what it holds.
        let history = if level > 0 {
            lineage.unwrap_or(replid)
        } else {
            replid
        };
        let upstream = Upstream {
            address: self.address.clone(),
            dialect: Dialect::Flows,
            replid,
            history,
            flows,
            version: number(3).unwrap_or(0),
            level,
            origin: origin(items).filter(|_| level > 0),
            restored: if level > 0 {
                restored(items)
            } else {
                Vec::new()
            },
        };
        Ok(Greeted { upstream, sync_id })
    }

    /// A plain Redis or Valkey: who it is comes with its answer to `PSYNC`.
    fn psync_peer(&self) -> Greeted {
        Greeted {
            upstream: Upstream {
                address: self.address.clone(),
                dialect: Dialect::Psync,
                replid: ReplId::UNKNOWN,
                history: ReplId::UNKNOWN,
                flows: 1,
                version: 0,
                level: 0,
                origin: None,
                restored: Vec::new(),
            },
            sync_id: SyncId(0),
        }
    }

    fn speaks_psync(&self) -> bool {
        let peer = self.peer.as_ref();
        peer.is_some_and(|peer| peer.upstream.dialect == Dialect::Psync)
    }

    /// Goes to the next step that has something to ask.
    fn advance(&mut self) {
        while self.step != Step::Done {
            self.step = STEPS[self.step as usize + 1];
            if self.request() {
                return;
            }
        }
    }

    /// Writes the request of the present step, if it has one.
    fn request(&mut self) -> bool {
        let config = &self.config;
        let (port, version) = (config.announce_port.to_string(), VERSION.to_string());
        let capa = |words: &[&str]| {
            [&["REPLCONF"], words]
                .concat()
                .iter()
                .map(|word| word.to_string())
                .collect()
        };
        let args: Vec<String> = match self.step {
            Step::Auth => match &config.auth {
                Some(auth) => auth_args(auth),
                None => return false,
            },
            Step::Ping => vec!["PING".into()],
            Step::Port => capa(&["listening-port", &port]),
            Step::Address => match &config.announce_ip {
                Some(ip) => capa(&["ip-address", ip]),
                None => return false,
            },
            Step::CapaPsync => capa(&["capa", "eof", "capa", "psync2"]),
            Step::CapaDamselfly if config.level == 0 => return false,
            Step::CapaDamselfly => {
                let acks = format!("{ACK_INTERVAL_CAPA}{}", config.ack_interval_ms);
                capa(&["capa", "damselfly", "capa", &acks])
            }
            Step::CapaDragonfly => capa(&["capa", "dragonfly"]),
            Step::ClientId | Step::ClientVersion if self.speaks_psync() => return false,
            Step::ClientId => capa(&["CLIENT-ID", &config.client_id]),
            Step::ClientVersion => capa(&["CLIENT-VERSION", &version]),
            Step::Done => return false,
        };
        encode_strings(&mut self.transmit, &args);
        true
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Auth => "AUTH",
            Step::Ping => "PING",
            Step::Port => "REPLCONF listening-port",
            Step::Address => "REPLCONF ip-address",
            Step::CapaPsync => "REPLCONF capa eof capa psync2",
            Step::CapaDamselfly => "REPLCONF capa damselfly",
            Step::CapaDragonfly => "REPLCONF capa dragonfly",
            Step::ClientId => "REPLCONF CLIENT-ID",
            Step::ClientVersion => "REPLCONF CLIENT-VERSION",
            Step::Done => "the greeting",
        }
    }
}

/// Where the peer's data set stands, if it tells.
fn origin(items: &[Reply]) -> Option<Origin> {
    let [family, epoch, blank, ..] = items.get(6..)? else {
        return None;
    };
    Some(Origin {
        family: ReplId::parse(family.as_text()?)?,
        epoch: u64::try_from(epoch.as_integer()?).ok()?,
        blank: blank.as_integer()? == 1,
    })
}

/// Out of what the peer was started, if it tells.
fn restored(items: &[Reply]) -> Vec<Fork> {
    let pairs = items.get(9..).unwrap_or_default().chunks_exact(2);
    let point = |pair: &[Reply]| {
        Some(Fork {
            history: ReplId::parse(pair[0].as_text()?)?,
            lsns: parse_vector(pair[1].as_text()?)?,
        })
    };
    pairs.map_while(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Credentials, error::Severity};

    const REPLID: &str = "9f539ca1cd393c9a9bbcd700684d469d966ba9ca";

    fn own() -> ReplId {
        ReplId::from_random([1; 20])
    }

    /// Answers one request after the other; gives the requests, as words, and the result.
    fn talk(
        config: ReplicaConfig,
        answers: &[&str],
    ) -> (Vec<String>, Result<Option<Greeted>, LinkError>) {
        let mut greeting = Greeting::new(config, "peer:6379", own());
        let mut requests = Vec::new();
        let mut last = Ok(None);
        for answer in answers {
            requests.push(readable(&greeting.poll_transmit()));
            last = greeting.handle_bytes(answer.as_bytes());
            if last.is_err() {
                break;
            }
        }
        assert!(
            greeting.poll_transmit().is_empty() || last == Ok(None),
            "it does not go on after its end"
        );
        (requests, last)
    }

    fn readable(request: &[u8]) -> String {
        let text = String::from_utf8(request.to_vec()).expect("text");
        text.split("\r\n")
            .skip(1)
            .filter(|line| !line.starts_with('$') && !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn array(parts: &[&str]) -> String {
        format!("*{}\r\n{}\r\n", parts.len(), parts.join("\r\n"))
    }

    #[test]
    fn a_damselfly_primary() {
        let lineage = "+0123456789012345678901234567890123456789";
        let peer = array(&[
            &format!("+{REPLID}"),
            "+SYNC7",
            ":4",
            ":4",
            lineage,
            ":1",
            "+more",
        ]);
        let config = ReplicaConfig {
            auth: Some(Credentials {
                user: Some("repl".into()),
                password: "se cret".into(),
            }),
            announce_port: 6380,
            announce_ip: Some("10.0.0.2".into()),
            client_id: "me".into(),
            ..ReplicaConfig::default()
        };
        let answers = [
            "+OK\r\n",
            "+PONG\r\n",
            "+OK\r\n",
            "-ERR no\r\n",
            "+OK\r\n",
            "+OK\r\n",
            &peer,
            "-ERR no\r\n",
            "+OK\r\n",
        ];
        let (requests, result) = talk(config, &answers);
        let expected = [
            "AUTH repl se cret",
            "PING",
            "REPLCONF listening-port 6380",
            "REPLCONF ip-address 10.0.0.2",
            "REPLCONF capa eof capa psync2",
            "REPLCONF capa damselfly capa ack-ms=1000",
            "REPLCONF capa dragonfly",
            "REPLCONF CLIENT-ID me",
            "REPLCONF CLIENT-VERSION 4",
        ];
        assert_eq!(requests, expected);
        let greeted = result.expect("greeted").expect("complete");
        assert_eq!(greeted.sync_id, SyncId(7));
        let upstream = greeted.upstream;
        assert_eq!(
            (upstream.flows, upstream.version, upstream.level),
            (4, 4, 1)
        );
        assert_eq!(
            (upstream.replid.as_str(), upstream.history.as_str()),
            (REPLID, &lineage[1..])
        );
    }

    #[test]
    fn a_dragonfly_primary_is_known_by_its_replid_alone() {
        let peer = array(&[
            &format!("+{REPLID}"),
            "+SYNC1",
            ":2",
            ":5",
            "+0123456789012345678901234567890123456789",
        ]);
        let config = ReplicaConfig {
            level: 0,
            ..ReplicaConfig::default()
        };
        let (_, result) = talk(
            config,
            &[
                "+PONG\r\n",
                "+OK\r\n",
                "+OK\r\n",
                &peer,
                "+OK\r\n",
                "+OK\r\n",
            ],
        );
        let upstream = result.expect("greeted").expect("complete").upstream;
        assert_eq!(
            (upstream.level, upstream.version, upstream.history),
            (0, 5, upstream.replid)
        );
    }

    #[test]
    fn a_plain_redis_is_known_by_its_ok() {
        let (requests, result) = talk(
            ReplicaConfig::default(),
            &["+PONG\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n"],
        );
        assert_eq!(
            requests.last().map(String::as_str),
            Some("REPLCONF capa dragonfly")
        );
        let upstream = result.expect("greeted").expect("complete").upstream;
        assert_eq!(
            (upstream.dialect, upstream.flows, upstream.history),
            (Dialect::Psync, 1, ReplId::UNKNOWN)
        );
        assert!(!upstream.is_relayed_by(1));
    }

    #[test]
    fn other_peers_are_named_errors() {
        let own = format!("+{}", own());
        let id = format!("+{REPLID}");
        for (answers, expected) in [
            (
                vec!["HTTP/1.1 400 Bad Request\r\n"],
                "not a Redis-compatible server",
            ),
            (
                vec!["SSH-2.0-OpenSSH_9.2\r\n"],
                "not a Redis-compatible server",
            ),
            (vec!["-LOADING wait\r\n"], "not ready"),
            (
                vec!["-NOAUTH Authentication required.\r\n"],
                "authentication failed",
            ),
            (vec!["+HELLO\r\n"], "bad answer to PING"),
            (
                vec!["+PONG\r\n", ":1\r\n"],
                "bad answer to REPLCONF listening-port",
            ),
            (
                vec!["+PONG\r\n", "-ERR unknown command\r\n"],
                "refused REPLCONF listening-port",
            ),
        ] {
            let (_, result) = talk(ReplicaConfig::default(), &answers);
            let error = result.expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.is_terminal(), expected != "not ready", "{error}");
        }
        for (peer, expected) in [
            (array(&[&own, "+SYNC1", ":2"]), "this server itself"),
            (array(&[&id, "+SYNC1", ":0"]), "0 flows"),
            (array(&[&id, "+SYNC1", ":100000"]), "100000 flows"),
            (array(&[&id, "+SYNC1", ":-1"]), "-1 flows"),
            (array(&["+short", "+SYNC1", ":2"]), "replication id"),
            (array(&[&id, "+SINK1", ":2"]), "sync id"),
            (array(&[&id, "+SYNC1"]), "at least three"),
        ] {
            let (_, result) = talk(
                ReplicaConfig::default(),
                &["+PONG\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n", &peer],
            );
            let error = result.expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.severity(), Severity::Terminal);
        }
    }

    #[test]
    fn endless_answers_are_refused() {
        let mut greeting = Greeting::new(ReplicaConfig::default(), "peer", own());
        let result = greeting.handle_bytes(&[b'+'; 1 << 20]);
        assert!(matches!(result, Err(LinkError::NotRedis { .. })));
    }
}
