//! Comparing what two servers hold by the commands that clients read with.

use std::collections::BTreeMap;
use std::io;

use damselfly_resp::{Reply, encode_command};

use crate::client::{Args, Client, words};
use crate::redis::RedisVersion;

/// Keys of one look.
const PAGE: &str = "1000";
/// How many differences are told.
const SHOWN: usize = 10;
/// How much of a value is told.
const SHOWN_BYTES: usize = 160;
/// What times of expiry may differ by where they are counted from the moment at which a server hears of them: Redis 6.2 passes on
/// some as they came, and they wait while a replica loads.
const CLOCKS_MS: u64 = 120_000;
/// What streams say of how they are kept, and of when consumers were seen.
const UNCOMPARED: [&[u8]; 4] = [
    b"radix-tree-keys",
    b"radix-tree-nodes",
    b"seen-time",
    b"active-time",
];
/// What a Redis does to groups and does not propagate, so that replicas of its own do not know it either: XREADGROUP goes on as XCLAIM,
/// which does not say how much was read; consumers that are given nothing, and who reads again what is pending, are not told of.
const UNPROPAGATED: [&[u8]; 2] = [b"entries-read", b"lag"];
/// What Redis 6.2 does not say of streams.
const NEWER: [&[u8]; 3] = [
    b"max-deleted-entry-id",
    b"entries-added",
    b"recorded-first-entry-id",
];

/// How exact a comparison can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exactness {
    /// Both servers tell times of expiry, and the counters of streams and groups.
    is_full: bool,
    /// Groups are compared with what a Redis does not propagate.
    is_still: bool,
}

impl Exactness {
    /// With a Redis of this version at one end.
    pub fn with(version: RedisVersion) -> Exactness {
        Exactness {
            is_full: version == RedisVersion::V70,
            is_still: false,
        }
    }

    /// Where nothing was written since the full sync.
    pub fn untouched(self) -> Exactness {
        Exactness {
            is_still: true,
            ..self
        }
    }

    /// Digests tell signs of zeros apart, in which the versions differ.
    pub fn has_digests(self) -> bool {
        self.is_full
    }

    fn time(self) -> &'static str {
        match self.is_full {
            true => "PEXPIRETIME",
            false => "PTTL",
        }
    }

    fn same_time(self, left: &Reply, right: &Reply) -> bool {
        let (Some(left), Some(right)) = (left.as_integer(), right.as_integer()) else {
            return false;
        };
        left == right || !self.is_full && left > 0 && right > 0 && left.abs_diff(right) < CLOCKS_MS
    }

    fn is_compared(self, name: &[u8]) -> bool {
        let is_told = self.is_full || !NEWER.contains(&name);
        let is_known = self.is_full && self.is_still || !UNPROPAGATED.contains(&name);
        !UNCOMPARED.contains(&name) && is_told && is_known
    }
}

/// What was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Keys, by type.
    pub types: BTreeMap<String, u64>,
    /// Keys that expire.
    pub expiring: u64,
    /// What differs: keys, and both values.
    pub differences: Vec<String>,
}

impl Found {
    /// All keys.
    pub fn keys(&self) -> u64 {
        self.types.values().sum()
    }
}

/// Reads all keys of all databases from both servers and compares types, times of expiry and values; of streams groups and what is
/// pending, too. Nobody may write meanwhile. Keys that `choose` leaves out are on either server or not.
///
/// # Errors
/// As [`Client::receive`].
pub fn compare(
    left: &mut Client,
    right: &mut Client,
    exactness: Exactness,
    choose: impl Fn(&[u8]) -> bool,
) -> io::Result<Found> {
    let mut comparison = Comparison {
        left,
        right,
        exactness,
        database: 0,
        found: Found::default(),
    };
    for database in 0..16 {
        comparison.database = database;
        comparison.both(&[words(&format!("SELECT {database}"))])?;
        comparison.database(&choose)?;
    }
    comparison.both(&[words("SELECT 0")])?;
    Ok(comparison.found)
}

/// [`compare`], and an error that tells what differs.
///
/// # Errors
/// As [`Client::receive`], or the differences.
pub fn differing(left: &mut Client, right: &mut Client, exactness: Exactness) -> io::Result<Found> {
    let found = compare(left, right, exactness, |_| true)?;
    match found.differences.is_empty() {
        true => Ok(found),
        false => Err(io::Error::other(format!(
            "values differ:\n{}",
            found.differences.join("\n")
        ))),
    }
}

struct Comparison<'c> {
    left: &'c mut Client,
    right: &'c mut Client,
    exactness: Exactness,
    database: usize,
    found: Found,
}

impl Comparison<'_> {
    /// Both servers work at the same time.
    fn both(&mut self, commands: &[Args]) -> io::Result<[Vec<Reply>; 2]> {
        let mut bytes = Vec::new();
        for command in commands {
            let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            encode_command(&mut bytes, &args);
        }
        self.left.send_raw(&bytes)?;
        self.right.send_raw(&bytes)?;
        let all = |client: &mut Client| {
            commands
                .iter()
                .map(|_| client.receive())
                .collect::<Result<_, _>>()
        };
        Ok([all(self.left)?, all(self.right)?])
    }

    fn database(&mut self, choose: &impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let (mut cursor, mut seen) = (b"0".to_vec(), 0);
        loop {
            let scan = [b"SCAN", cursor.as_slice(), b"COUNT", PAGE.as_bytes()];
            let page = self.left.try_call(&scan)?;
            let Some([next, keys]) = page.as_items() else {
                return Err(io::Error::other(format!("SCAN: {page:?}")));
            };
            let keys = keys.as_items().unwrap_or_default().iter();
            let keys: Vec<&[u8]> = keys.filter_map(Reply::as_text).collect();
            seen += keys.len();
            let chosen: Vec<&[u8]> = keys.into_iter().filter(|key| choose(key)).collect();
            self.page(&chosen)?;
            cursor = next.as_text().unwrap_or(b"0").to_vec();
            if cursor == b"0" {
                break;
            }
        }
        let [left, right] = self.both(&[words("DBSIZE")])?;
        // Where some are left out, others may be there. A key may come twice while a table shrinks.
        let all = choose(b"");
        if all && left != right {
            self.differ(b"DBSIZE", &format!("{left:?} | {right:?}, {seen} scanned"));
        }
        Ok(())
    }

    fn page(&mut self, keys: &[&[u8]]) -> io::Result<()> {
        let about = |key: &&[u8]| {
            ["TYPE", self.exactness.time()].map(|name| vec![name.as_bytes().to_vec(), key.to_vec()])
        };
        let questions: Vec<Args> = keys.iter().flat_map(about).collect();
        let [left, right] = self.both(&questions)?;
        let kinds: Vec<String> = left.iter().step_by(2).map(text).collect();
        let reads: Vec<Args> = keys
            .iter()
            .zip(&kinds)
            .map(|(key, kind)| reading(kind, key))
            .collect();
        let [left_values, right_values] = self.both(&reads)?;
        for (index, key) in keys.iter().enumerate() {
            let at = 2 * index;
            let heads = [&left, &right].map(|side| [&side[at], &side[at + 1]]);
            let values = [&left_values[index], &right_values[index]];
            self.key(key, &kinds[index], heads, values);
        }
        Ok(())
    }

    fn key(&mut self, key: &[u8], kind: &str, heads: [[&Reply; 2]; 2], values: [&Reply; 2]) {
        let [[left_kind, left_time], [right_kind, right_time]] = heads;
        if kind == "none" && right_kind == left_kind {
            // It expired since it was scanned.
            return;
        }
        *self.found.types.entry(kind.to_owned()).or_default() += 1;
        self.found.expiring += u64::from(left_time.as_integer().is_some_and(|time| time > 0));
        if left_kind != right_kind || !self.exactness.same_time(left_time, right_time) {
            let heads = format!("{left_kind:?} {left_time:?} | {right_kind:?} {right_time:?}");
            return self.differ(key, &heads);
        }
        if values[0] == values[1] {
            return;
        }
        let [left, right] = values.map(|value| self.normal(kind, value));
        if left != right {
            self.differ(key, &format!("{kind} {}", first_difference(&left, &right)));
        }
    }

    fn differ(&mut self, key: &[u8], how: &str) {
        if self.found.differences.len() < SHOWN {
            let line = format!("db {} {}: {how}", self.database, key.escape_ascii());
            self.found.differences.push(line);
        }
    }

    /// A value in an order of its own, without what is not compared.
    fn normal(&self, kind: &str, value: &Reply) -> Reply {
        let Some(items) = value.as_items() else {
            return value.clone();
        };
        let mut items = items.to_vec();
        let by_text = |left: &Reply, right: &Reply| left.as_text().cmp(&right.as_text());
        match kind {
            "set" => items.sort_by(by_text),
            "hash" => {
                let mut pairs: Vec<[Reply; 2]> = items
                    .chunks_exact(2)
                    .map(|pair| [pair[0].clone(), pair[1].clone()])
                    .collect();
                pairs.sort_by(|left, right| by_text(&left[0], &right[0]));
                items = pairs.into_iter().flatten().collect();
            }
            // Redis 6.2 packs the sign of a zero, too; 7.0, as ours, does not.
            "zset" if !self.exactness.is_full => {
                let scores = items.iter_mut().skip(1).step_by(2);
                let zeros = scores.filter(|score| score.as_text() == Some(b"-0"));
                zeros.for_each(|score| *score = Reply::Bulk(b"0".into()));
            }
            "stream" => return self.told(b"", value),
            _ => {}
        }
        Reply::Array(items)
    }

    /// What XINFO tells under a name, as far as it is compared.
    fn told(&self, name: &[u8], reply: &Reply) -> Reply {
        let Some(items) = reply.as_items() else {
            return reply.clone();
        };
        let is_map = items.len().is_multiple_of(2)
            && items.iter().step_by(2).all(|name| name.as_text().is_some());
        if is_map {
            let named = items
                .chunks_exact(2)
                .map(|pair| (pair[0].as_text(), &pair[1]));
            let named = named.filter_map(|(name, value)| Some((name?, value)));
            let kept = named.filter(|(name, _)| self.exactness.is_compared(name));
            let told =
                kept.flat_map(|(name, value)| [Reply::Bulk(name.into()), self.told(name, value)]);
            return Reply::Array(told.collect());
        }
        let is_propagated =
            |item: &&Reply| self.exactness.is_still || name != b"consumers" || has_pending(item);
        let kept = items.iter().filter(is_propagated);
        Reply::Array(kept.map(|item| self.told_item(name, item)).collect())
    }

    /// One of several things of this name. Of what is pending, id and consumer: when it was read again is not propagated.
    fn told_item(&self, name: &[u8], item: &Reply) -> Reply {
        match item.as_items() {
            Some(parts) if name == b"pending" && !self.exactness.is_still => {
                let texts = parts.iter().filter(|part| part.as_text().is_some());
                Reply::Array(texts.cloned().collect())
            }
            _ => self.told(b"", item),
        }
    }
}

/// Whether a consumer has been given anything that it has not acknowledged.
fn has_pending(consumer: &Reply) -> bool {
    let items = consumer.as_items().unwrap_or_default();
    let mut pairs = items.chunks_exact(2);
    let count = pairs.find(|pair| pair[0].as_text() == Some(b"pel-count"));
    count.is_none_or(|pair| pair[1].as_integer() != Some(0))
}

/// Where two values differ first: the items on the way there, and both.
fn first_difference(left: &Reply, right: &Reply) -> String {
    if let (Some(lefts), Some(rights)) = (left.as_items(), right.as_items())
        && lefts.len() == rights.len()
        && let Some(at) = (0..lefts.len()).find(|at| lefts[*at] != rights[*at])
    {
        let name = lefts[at.saturating_sub(1)].as_text().unwrap_or_default();
        let inner = first_difference(&lefts[at], &rights[at]);
        return format!("[{at} behind {}]{inner}", name.escape_ascii());
    }
    let shown = |reply: &Reply| {
        let text = match reply.as_text() {
            Some(text) => text.escape_ascii().to_string(),
            None => format!("{reply:?}"),
        };
        text[..text.floor_char_boundary(SHOWN_BYTES)].to_owned()
    };
    format!(" {} | {}", shown(left), shown(right))
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned()
}

/// The command that reads all of a value.
fn reading(kind: &str, key: &[u8]) -> Args {
    let (before, after) = match kind {
        "string" => ("GET", ""),
        "list" => ("LRANGE", "0 -1"),
        "set" => ("SMEMBERS", ""),
        "hash" => ("HGETALL", ""),
        "zset" => ("ZRANGE", "0 -1 WITHSCORES"),
        "stream" => ("XINFO STREAM", "FULL COUNT 0"),
        _ => ("EXISTS", ""),
    };
    let mut command = words(before);
    command.push(key.to_vec());
    command.extend(words(after));
    command
}
