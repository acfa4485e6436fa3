//! The primary's part of the greeting: answers to REPLCONF (PROTOCOL 1).

use damselfly_resp::{Proto, ReplyWriter};

use crate::{
    config::{ACK_INTERVAL_CAPA, VERSION},
    ids::{ReplId, SyncId, write_vector},
    lineage::{Fork, Origin},
};

/// Longest announced name or address that is kept.
const MAX_NAME: usize = 256;

/// What a client told of itself with REPLCONF: kept with its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerGreeting {
    /// The port that it listens on, as it says.
    pub port: u16,
    /// The address that it wants to be known by.
    pub ip: Option<String>,
    /// Its name.
    pub client_id: Option<String>,
    /// Its protocol version; 0 until it says so.
    pub version: u64,
    /// `capa damselfly`: it understands extensions.
    pub extensions: bool,
    /// `capa psync2`.
    pub psync2: bool,
    /// `capa ack-ms=…`: how long it may say nothing.
    pub ack_interval_ms: Option<u64>,
}

/// How REPLCONF is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplconfAnswer {
    /// `+OK`
    Ok,
    /// Nothing at all (`ACK`, outside of a flow).
    Nothing,
    /// `capa dragonfly`: open a session, and answer with [`write_greeting`].
    OpenSession,
    /// An error reply.
    Error(String),
}

impl PeerGreeting {
    /// Takes a `REPLCONF` with all its arguments (the command's name first).
    pub fn handle_replconf(&mut self, args: &[&[u8]]) -> ReplconfAnswer {
        let pairs = args.get(1..).unwrap_or_default();
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return ReplconfAnswer::Error("ERR syntax error".to_owned());
        }
        let mut answer = ReplconfAnswer::Ok;
        for pair in pairs.chunks_exact(2) {
            match self.option(pair[0], pair[1]) {
                ReplconfAnswer::Ok => {}
                other @ ReplconfAnswer::Error(_) => return other,
                other => answer = other,
            }
        }
        answer
    }

    fn option(&mut self, name: &[u8], value: &[u8]) -> ReplconfAnswer {
        let text = || String::from_utf8_lossy(&value[..value.len().min(MAX_NAME)]).into_owned();
        let integer =
            || ReplconfAnswer::Error("ERR value is not an integer or out of range".to_owned());
        match name.to_ascii_lowercase().as_slice() {
            b"listening-port" => match text().parse() {
                Ok(port) => self.port = port,
                Err(_) => return integer(),
            },
            b"ip-address" => self.ip = Some(text()).filter(|ip| !ip.is_empty()),
            b"client-id" => self.client_id = Some(text()),
            b"client-version" => match text().parse() {
                Ok(version) => self.version = version,
                Err(_) => return integer(),
            },
            b"capa" => return self.capability(value),
            b"ack" | b"getack" => return ReplconfAnswer::Nothing,
            _ => {
                return ReplconfAnswer::Error(format!(
                    "ERR Unrecognized REPLCONF option: {}",
                    name.escape_ascii()
                ));
            }
        }
        ReplconfAnswer::Ok
    }

    /// Unknown capabilities are ignored.
    fn capability(&mut self, value: &[u8]) -> ReplconfAnswer {
        match value.to_ascii_lowercase().as_slice() {
            b"damselfly" => self.extensions = true,
            b"psync2" => self.psync2 = true,
            b"dragonfly" => return ReplconfAnswer::OpenSession,
            other => {
                if let Some(interval) = other.strip_prefix(ACK_INTERVAL_CAPA.as_bytes()) {
                    self.ack_interval_ms = std::str::from_utf8(interval)
                        .ok()
                        .and_then(|text| text.parse().ok());
                }
            }
        }
        ReplconfAnswer::Ok
    }
}

/// Who a primary is, for the array that answers `REPLCONF capa dragonfly`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryIdentity {
    /// Its replid.
    pub replid: ReplId,
    /// The history that it writes or relays.
    pub history: ReplId,
    /// Its number of shards.
    pub flows: usize,
    /// The extension level of this link; `None` to a peer that does not know of extensions.
    pub level: Option<u8>,
    /// Where its data set stands, if it leads.
    pub origin: Option<Origin>,
    /// Out of what it was started ([`Lineage::restored`](crate::Lineage::restored)).
    pub restored: Vec<Fork>,
}

/// Longest LSN vector in the greeting, and all of them together: who reads an answer there bounds it.
const MAX_VECTOR: usize = 4_000;
const MAX_VECTORS: usize = 8_000;

/// Writes the array that answers `REPLCONF capa dragonfly`.
pub fn write_greeting(out: &mut Vec<u8>, identity: &PrimaryIdentity, sync_id: SyncId) {
    let mut reply = ReplyWriter::new(out, Proto::Resp2);
    let origin = identity.level.and(identity.origin);
    let restored = match origin {
        Some(_) => short_enough(&identity.restored),
        None => Vec::new(),
    };
    reply.array(match (identity.level, origin) {
        (None, _) => 5,
        (Some(_), None) => 6,
        (Some(_), Some(_)) => 9 + 2 * restored.len(),
    });
    reply.simple(identity.replid.as_str());
    reply.simple(sync_id.to_string());
    reply.integer(identity.flows as i64);
    reply.integer(VERSION as i64);
    reply.simple(identity.history.as_str());
    if let Some(level) = identity.level {
        reply.integer(i64::from(level));
    }
    if let Some(origin) = origin {
        reply.simple(origin.family.as_str());
        reply.integer(origin.epoch as i64);
        reply.integer(i64::from(origin.blank));
    }
    for (history, vector) in restored {
        reply.simple(history.as_str());
        reply.simple(vector);
    }
}

/// The latest points that fit.
fn short_enough(points: &[Fork]) -> Vec<(ReplId, String)> {
    let mut total = 0;
    let texts = points.iter().map(|point| {
        let mut text = Vec::new();
        write_vector(&mut text, &point.lsns);
        (point.history, String::from_utf8_lossy(&text).into_owned())
    });
    texts
        .take_while(|(_, text)| {
            total += text.len();
            text.len() <= MAX_VECTOR && total <= MAX_VECTORS
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::Lineage;
    use damselfly_journal::Lsn;

    fn replconf(peer: &mut PeerGreeting, line: &str) -> ReplconfAnswer {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        peer.handle_replconf(&args)
    }

    #[test]
    fn a_dragonfly_replica_greets() {
        let mut peer = PeerGreeting::default();
        for line in [
            "REPLCONF listening-port 36361",
            "REPLCONF capa eof capa psync2",
        ] {
            assert_eq!(replconf(&mut peer, line), ReplconfAnswer::Ok);
        }
        assert_eq!(
            replconf(&mut peer, "REPLCONF capa dragonfly"),
            ReplconfAnswer::OpenSession
        );
        assert_eq!(
            replconf(&mut peer, "REPLCONF CLIENT-ID abc"),
            ReplconfAnswer::Ok
        );
        assert_eq!(
            replconf(&mut peer, "REPLCONF CLIENT-VERSION 5"),
            ReplconfAnswer::Ok
        );
        let expected = PeerGreeting {
            port: 36361,
            client_id: Some("abc".into()),
            version: 5,
            psync2: true,
            ..PeerGreeting::default()
        };
        assert_eq!(peer, expected);
        let replid = ReplId::parse(b"9f539ca1cd393c9a9bbcd700684d469d966ba9ca").expect("an id");
        let mut out = Vec::new();
        write_greeting(
            &mut out,
            &PrimaryIdentity {
                replid,
                history: replid,
                flows: 2,
                level: None,
                origin: Lineage::new(replid).announced(),
                restored: Vec::new(),
            },
            SyncId(1),
        );
        let expected = "*5\r\n+9f539ca1cd393c9a9bbcd700684d469d966ba9ca\r\n+SYNC1\r\n:2\r\n:4\r\n+9f539ca1cd393c9a9bbcd700684d469d966ba9ca\r\n";
        assert_eq!(out, expected.as_bytes());
    }

    #[test]
    fn only_a_leading_primary_tells_a_peer_with_extensions_of_its_origin() {
        let mut lineage = Lineage::new(ReplId::from_random([7; 20]));
        let elements = |level, lineage: &Lineage| {
            let mut out = Vec::new();
            let identity = PrimaryIdentity {
                replid: lineage.replid(),
                history: lineage.history(),
                flows: 2,
                level,
                origin: lineage.announced(),
                restored: lineage.restored().to_vec(),
            };
            write_greeting(&mut out, &identity, SyncId(1));
            out[..2].to_vec()
        };
        assert_eq!(elements(None, &lineage), b"*5");
        assert_eq!(elements(Some(1), &lineage), b"*9");
        let point = |lsns: Vec<Lsn>| Fork {
            history: ReplId::from_random([8; 20]),
            lsns,
        };
        lineage.restored_from(vec![point(vec![Lsn(5), Lsn(6)])]);
        assert_eq!(elements(None, &lineage), b"*5");
        assert_eq!(elements(Some(1), &lineage), b"*1", "11");
        // What the other end would not read is left out.
        lineage.restored_from(vec![point(vec![Lsn(1_000_000_000); 1_024])]);
        assert_eq!(elements(Some(1), &lineage), b"*9");
        lineage.adopt(None);
        assert_eq!(elements(Some(1), &lineage), b"*6");
    }

    #[test]
    fn extensions_and_bad_words() {
        let mut peer = PeerGreeting::default();
        assert_eq!(
            replconf(&mut peer, "REPLCONF capa damselfly"),
            ReplconfAnswer::Ok
        );
        assert!(peer.extensions);
        for (line, interval) in [
            ("REPLCONF capa damselfly capa ack-ms=60000", Some(60_000)),
            ("REPLCONF capa ack-ms=-1", None),
            ("REPLCONF capa ack-ms=", None),
            ("REPLCONF capa damselfly capa ACK-MS=2", Some(2)),
        ] {
            assert_eq!(replconf(&mut peer, line), ReplconfAnswer::Ok);
            assert_eq!(peer.ack_interval_ms, interval, "{line}");
        }
        assert_eq!(
            replconf(&mut peer, "REPLCONF ACK 12"),
            ReplconfAnswer::Nothing
        );
        for bad in [
            "REPLCONF",
            "REPLCONF capa",
            "REPLCONF listening-port x",
            "REPLCONF listening-port 70000",
            "REPLCONF what ever",
        ] {
            assert!(
                matches!(replconf(&mut peer, bad), ReplconfAnswer::Error(_)),
                "{bad}"
            );
        }
    }
}
