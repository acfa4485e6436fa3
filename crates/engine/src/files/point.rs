//! Where a data set stands in which history, as AUX fields say it: with it a replica that was started from a file goes on with partial
//! sync, and a primary that was lets its old replicas go on.

use damselfly_journal::Lsn;
use damselfly_replication::driver::LinkStatus;
use damselfly_replication::{
    Dialect, Fork, Lineage, LsnVector, Origin, ReplId, Resume, Upstream, parse_vector, write_vector,
};

/// Ours: history, upstream's replid, whether a backlog was kept, LSN of each shard, family, epoch, and pairs of a history and the LSNs of
/// each of its flows.
const LINEAGE: &[u8] = b"damselfly-lineage";
/// Restarts that a file tells of.
const MAX_OTHERS: usize = 8;
/// Redis's fields for the same: its replication id, the offset, the selected database.
const REPL_ID: &[u8] = b"repl-id";
const REPL_OFFSET: &[u8] = b"repl-offset";
const REPL_DB: &[u8] = b"repl-stream-db";

/// The point at which a snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Point {
    /// In the journals of the shards: history, the replid of the primary followed or of its own, the next LSNs.
    pub(super) journals: Option<Journals>,
    /// In the stream of a Redis that was followed.
    pub(super) redis: Option<RedisPosition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journals {
    pub(super) history: ReplId,
    pub(super) upstream: ReplId,
    pub(super) keeps_backlog: bool,
    pub(super) lsns: LsnVector,
    /// Where it stands among data sets of one beginning; files of before there were epochs do not say.
    pub(super) origin: Option<Origin>,
    /// What else it holds of which histories, the latest first: where earlier ones were left at restarts, or the primary's, where its
    /// LSNs are not those of the journals.
    pub(super) others: Vec<Fork>,
}

/// A place in the stream of a Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RedisPosition {
    pub(crate) replid: ReplId,
    /// Bytes of the stream that have been executed.
    pub(crate) offset: u64,
    /// The database that is selected there.
    pub(crate) db: u16,
}

impl RedisPosition {
    /// Follows a link that has entered stable sync at `lsns`.
    pub(crate) fn entered(
        position: &mut Option<RedisPosition>,
        upstream: &Upstream,
        full: bool,
        lsns: &[Lsn],
    ) {
        let replid = upstream.replid;
        *position = match (upstream.dialect, full, &position) {
            (Dialect::Flows, _, _) => None,
            // Redis selects a database in front of the first command after a full sync.
            (Dialect::Psync, true, _) => lsns.first().map(|next| RedisPosition {
                replid,
                offset: next.0.saturating_sub(1),
                db: 0,
            }),
            // What came since the last command was none.
            (Dialect::Psync, false, Some(position)) => Some(RedisPosition {
                replid,
                ..*position
            }),
            (Dialect::Psync, false, None) => None,
        };
    }
}

impl Point {
    /// The AUX fields.
    pub(super) fn fields(&self) -> Vec<(&'static [u8], Vec<u8>)> {
        let mut fields = Vec::new();
        if let Some(journals) = &self.journals {
            fields.push((LINEAGE, journals.text().into_bytes()));
        }
        if let Some(redis) = &self.redis {
            fields.push((REPL_DB, redis.db.to_string().into_bytes()));
            fields.push((REPL_ID, redis.replid.as_bytes().to_vec()));
            fields.push((REPL_OFFSET, redis.offset.to_string().into_bytes()));
        }
        fields
    }

    /// Takes an AUX field, if it is one of these.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        let redis = || RedisPosition {
            replid: ReplId::UNKNOWN,
            offset: 0,
            db: 0,
        };
        match key {
            LINEAGE => self.journals = Journals::parse(value),
            REPL_ID => {
                self.redis.get_or_insert_with(redis).replid =
                    ReplId::parse(value).unwrap_or(ReplId::UNKNOWN);
            }
            REPL_OFFSET => {
                self.redis.get_or_insert_with(redis).offset = number().unwrap_or(0);
            }
            REPL_DB => {
                let db = number().and_then(|db| u16::try_from(db).ok());
                self.redis.get_or_insert_with(redis).db = db.unwrap_or(0);
            }
            _ => {}
        }
    }

    /// What a data set of this point may offer to a primary.
    pub(super) fn resume(&self) -> Option<Resume> {
        let of_redis = self.redis.filter(|redis| redis.replid != ReplId::UNKNOWN);
        if let Some(redis) = of_redis {
            return Some(Resume {
                replid: redis.replid,
                history: redis.replid,
                lsns: vec![Lsn(redis.offset + 1)],
                db: redis.db,
            });
        }
        let journals = self.journals.as_ref()?;
        Some(Resume {
            replid: journals.upstream,
            history: journals.history,
            lsns: journals.lsns.clone(),
            db: 0,
        })
    }
}

impl Journals {
    /// The journals of a data set of this lineage at these LSNs; none if it is not whole.
    pub(super) fn of(lineage: &Lineage, link: Option<LinkStatus>, lsns: LsnVector) -> Option<Self> {
        let upstream = link.as_ref().and_then(|link| link.upstream.as_ref());
        let upstream = upstream.map_or(lineage.history(), |upstream| upstream.replid);
        lineage.reached_stable().then(|| Journals {
            history: lineage.history(),
            upstream,
            keeps_backlog: false,
            lsns,
            origin: Some(lineage.origin()),
            others: others(lineage, link),
        })
    }

    /// All that it holds of which histories, the latest first.
    pub(super) fn points(&self) -> Vec<Fork> {
        let own = Fork {
            history: self.history,
            lsns: self.lsns.clone(),
        };
        std::iter::once(own).chain(self.others.clone()).collect()
    }

    fn text(&self) -> String {
        let Journals {
            history,
            upstream,
            keeps_backlog,
            ..
        } = self;
        let mut text = format!(
            "{history} {upstream} {} {}",
            u8::from(*keeps_backlog),
            vector(&self.lsns)
        );
        if let Some(Origin { family, epoch, .. }) = &self.origin {
            text.push_str(&format!(" {family} {epoch}"));
            for Fork { history, lsns } in &self.others {
                text.push_str(&format!(" {history} {}", vector(lsns)));
            }
        }
        text
    }

    fn parse(text: &[u8]) -> Option<Journals> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let mut word = || words.next();
        let history = ReplId::parse(word()?.as_bytes())?;
        let upstream = ReplId::parse(word()?.as_bytes())?;
        let keeps_backlog = word()? == "1";
        let known = |lsn: &str| {
            lsn.parse()
                .ok()
                .filter(|lsn| (1..=Lsn::MAX.0).contains(lsn))
        };
        let lsns: Option<Vec<Lsn>> = word()?.split('-').map(|lsn| known(lsn).map(Lsn)).collect();
        let mut origin = || {
            Some(Origin {
                family: ReplId::parse(word()?.as_bytes())?,
                epoch: word()?.parse().ok()?,
                blank: false,
            })
        };
        let (lsns, origin) = (lsns?, origin());
        let other = || {
            Some(Fork {
                history: ReplId::parse(word()?.as_bytes())?,
                lsns: parse_vector(word()?.as_bytes())?,
            })
        };
        Some(Journals {
            history,
            upstream,
            keeps_backlog,
            lsns,
            origin,
            others: std::iter::from_fn(other).take(MAX_OTHERS).collect(),
        })
    }
}

fn vector(lsns: &[Lsn]) -> String {
    let mut text = Vec::new();
    write_vector(&mut text, lsns);
    String::from_utf8_lossy(&text).into_owned()
}

/// See [`Journals::others`].
fn others(lineage: &Lineage, link: Option<LinkStatus>) -> Vec<Fork> {
    let flows = link.filter(|link| !lineage.is_relay() && !link.executed.is_empty());
    let followed = flows.and_then(|link| {
        let upstream = link.upstream?;
        (upstream.dialect == Dialect::Flows).then_some(Fork {
            history: upstream.history,
            lsns: link.executed,
        })
    });
    let restored = lineage.restored().iter().cloned();
    followed
        .into_iter()
        .chain(restored)
        .take(MAX_OTHERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let point = Point {
            journals: Some(Journals {
                history: ReplId::from_random([1; 20]),
                upstream: ReplId::from_random([2; 20]),
                keeps_backlog: true,
                lsns: vec![Lsn(7), Lsn(1)],
                origin: Some(Origin {
                    family: ReplId::from_random([4; 20]),
                    epoch: 5,
                    blank: false,
                }),
                others: vec![Fork {
                    history: ReplId::from_random([6; 20]),
                    lsns: vec![Lsn(3), Lsn(4), Lsn(5)],
                }],
            }),
            redis: Some(RedisPosition {
                replid: ReplId::from_random([3; 20]),
                offset: 99,
                db: 4,
            }),
        };
        let mut read = Point::default();
        for (key, value) in point.fields() {
            read.take(key, &value);
        }
        assert_eq!(read, point);
        assert_eq!(read.resume().unwrap().lsns, vec![Lsn(100)]);
        let journals = point.journals.as_ref().unwrap();
        let text = journals.text();
        let words = |count: usize| text.split(' ').take(count).collect::<Vec<_>>().join(" ");
        let read = Journals::parse(words(6).as_bytes()).unwrap();
        assert_eq!((read.origin, read.others), (journals.origin, vec![]));
        let read = Journals::parse(words(5).as_bytes()).unwrap();
        assert_eq!((read.origin, read.lsns), (None, journals.lsns.clone()));
        for bad in ["", "x", "1 2 3 4", "0 0 0 0-"] {
            assert_eq!(Journals::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
