//! Going over the keys of a database.

use crate::command::CommandResult;
use crate::context::ReadContext;
use crate::families::glob::Glob;
use crate::families::options::{ScanOptions, cursor};
use crate::keyspace::Keyspace;
use crate::session::{AsyncResult, Session};
use damselfly_resp::ReplyWriter;
use damselfly_store::{DbIndex, EntryRef};

/// Bits of a cursor that are the position in a shard; the shard stands above them.
const POSITION_BITS: u32 = 48;
/// Keys that SCAN looks at before other work of the shard gets its turn.
const SLICE_KEYS: usize = 1_000;
/// Buckets that SCAN looks at for each key asked for, where most are empty (as Redis does).
const BUCKETS_PER_KEY: usize = 10;
/// Random picks before RANDOMKEY looks for a key that is alive one by one.
const RANDOM_TRIES: usize = 100;

pub(super) fn dbsize(
    cx: &mut ReadContext<'_>,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(cx.space().store.len(cx.db) as i64);
    Ok(())
}

pub(super) fn keys(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (glob, space) = (Glob::new(args[1]), cx.space());
    let (mut found, mut count, mut cursor) = (Vec::new(), 0, 0);
    let mut bulks = ReplyWriter::new(&mut found, out.proto());
    loop {
        cursor = space.store.scan(cx.db, cursor, &mut |entry| {
            if (glob.is_everything() || glob.matches(entry.key()))
                && !space.has_passed(entry.expire_at())
            {
                bulks.bulk(entry.key());
                count += 1;
            }
        });
        if cursor == 0 {
            break;
        }
    }
    out.array(count);
    out.raw(&found);
    Ok(())
}

/// The options of SCAN, on their way to a shard.
#[derive(Clone)]
struct KeyFilter {
    pattern: Option<Vec<u8>>,
    kind: Option<Vec<u8>>,
}

impl KeyFilter {
    fn wants(&self, entry: &EntryRef<'_>) -> bool {
        self.pattern
            .as_deref()
            .is_none_or(|pattern| Glob::new(pattern).matches(entry.key()))
            && self.kind.as_deref().is_none_or(|kind| {
                kind.eq_ignore_ascii_case(entry.value().kind().name().as_bytes())
            })
    }
}

/// What a slice of SCAN found on one shard.
struct Page {
    keys: Vec<Vec<u8>>,
    position: u64,
    looked_at: usize,
    buckets: usize,
}

fn page(space: &Keyspace, db: DbIndex, position: u64, count: usize, filter: &KeyFilter) -> Page {
    let mut page = Page {
        keys: Vec::new(),
        position,
        looked_at: 0,
        buckets: 0,
    };
    loop {
        page.position = space.store.scan(db, page.position, &mut |entry| {
            page.looked_at += 1;
            if filter.wants(&entry) && !space.has_passed(entry.expire_at()) {
                page.keys.push(entry.key().to_vec());
            }
        });
        page.buckets += 1;
        if page.position == 0
            || page.looked_at >= count
            || page.buckets >= count.saturating_mul(BUCKETS_PER_KEY)
        {
            return page;
        }
    }
}

/// A SCAN on its way over the shards.
struct KeyScan {
    shard: usize,
    position: u64,
    left: usize,
    buckets_left: usize,
    found: Vec<Vec<u8>>,
}

impl KeyScan {
    fn new(cursor: u64, count: usize) -> KeyScan {
        KeyScan {
            shard: (cursor >> POSITION_BITS) as usize,
            position: cursor & ((1 << POSITION_BITS) - 1),
            left: count,
            buckets_left: count.saturating_mul(BUCKETS_PER_KEY),
            found: Vec::new(),
        }
    }

    /// The cursor to go on with; 0 after the last shard.
    fn cursor(&self, shards: usize) -> u64 {
        if self.shard >= shards {
            0
        } else {
            (self.shard as u64) << POSITION_BITS | self.position
        }
    }

    async fn run(&mut self, session: &Session, filter: &KeyFilter) {
        let shards = session.thread.engine.mesh.shards();
        while self.left > 0 && self.buckets_left > 0 && self.shard < shards {
            let (db, position, count) = (session.db, self.position, self.left.min(SLICE_KEYS));
            let filter = filter.clone();
            let visit = move |core: &mut crate::core::ShardCore| {
                page(&core.space, db, position, count, &filter)
            };
            let page = session.thread.on_shard(self.shard, visit).await;
            self.take(page);
            if self.left > SLICE_KEYS {
                tokio::task::yield_now().await;
            }
        }
    }

    fn take(&mut self, page: Page) {
        self.left = self.left.saturating_sub(page.looked_at);
        self.buckets_left = self.buckets_left.saturating_sub(page.buckets);
        self.position = page.position;
        self.shard += usize::from(page.position == 0);
        self.found.extend(page.keys);
    }
}

pub(super) fn scan<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let start = cursor(args[1])?;
        let options = ScanOptions::parse(args, 2, true)?;
        let filter = KeyFilter {
            pattern: options.pattern.map(|glob| glob.as_bytes().to_vec()),
            kind: options.kind.map(<[u8]>::to_vec),
        };
        let mut scan = KeyScan::new(start, options.count);
        scan.run(session, &filter).await;
        let mut out = ReplyWriter::new(out, session.proto);
        out.array(2);
        out.bulk(scan.cursor(session.thread.engine.mesh.shards()).to_string());
        out.array(scan.found.len());
        scan.found.iter().for_each(|key| out.bulk(key));
        Ok(())
    })
}

pub(super) fn randomkey<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let key = random_key(session).await;
        let mut out = ReplyWriter::new(out, session.proto);
        match key {
            Some(key) => out.bulk(key),
            None => out.null(),
        }
        Ok(())
    })
}

/// A key of a shard that is drawn by the number of its keys; of the next ones where it has none that is alive.
async fn random_key(session: &Session) -> Option<Vec<u8>> {
    let (thread, db) = (&session.thread, session.db);
    let lens = thread
        .on_all_shards(move |core| (core.space.store.len(db) as u64, core.space.random()))
        .await;
    let total: u64 = lens.iter().map(|(len, _)| len).sum();
    let mut nth = lens
        .iter()
        .fold(0, |sum, (_, random)| sum ^ random)
        .checked_rem(total)?;
    let first = lens.iter().position(|(len, _)| {
        let here = nth < *len;
        nth = nth.saturating_sub(*len);
        here
    })?;
    for shard in (first..lens.len()).chain(0..first) {
        if let Some(key) = thread
            .on_shard(shard, move |core| random_live(&core.space, db))
            .await
        {
            return Some(key);
        }
    }
    None
}

fn random_live(space: &Keyspace, db: DbIndex) -> Option<Vec<u8>> {
    let alive = |entry: &EntryRef<'_>| !space.has_passed(entry.expire_at());
    let picks = (0..RANDOM_TRIES).map_while(|_| space.store.random(db, &mut || space.random()));
    if let Some(entry) = picks.into_iter().find(alive) {
        return Some(entry.key().to_vec());
    }
    let (mut found, mut cursor) = (None, 0);
    loop {
        cursor = space.store.scan(db, cursor, &mut |entry| {
            if found.is_none() && alive(&entry) {
                found = Some(entry.key().to_vec());
            }
        });
        if found.is_some() || cursor == 0 {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_shard() {
        let mut scan = KeyScan::new(0, 10);
        assert_eq!((scan.shard, scan.position), (0, 0));
        scan.take(Page {
            keys: Vec::new(),
            position: 77,
            looked_at: 4,
            buckets: 1,
        });
        assert_eq!(scan.cursor(2), 77);
        scan.take(Page {
            keys: Vec::new(),
            position: 0,
            looked_at: 4,
            buckets: 1,
        });
        let cursor = scan.cursor(2);
        assert_eq!(cursor, 1 << POSITION_BITS);
        let again = KeyScan::new(cursor, 10);
        assert_eq!((again.shard, again.position), (1, 0));
        scan.take(Page {
            keys: Vec::new(),
            position: 0,
            looked_at: 4,
            buckets: 1,
        });
        assert_eq!(scan.cursor(2), 0);
    }
}
