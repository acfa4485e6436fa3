//! A Redis with every type and encoding is followed under writes of all families; its link breaks in every way.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::migration::{PREFIX, Sizes};
use damselfly_tests::{Args, RedisVersion, Rng, grouped, within, words};

use crate::pair::{SYNC_DEADLINE, described};
use crate::redis_link::{RedisLink, WIDE_KEYS};
use crate::{Result, Scale};

/// How long writes go on behind a full sync.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// More than the backlog that is left.
const MISSED_BYTES: usize = 8 << 20;
/// Every so many keys of a type are deleted while the replica is away.
const DELETED_STEP: usize = 5;

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    scale.redis_versions.iter().try_for_each(|version| {
        let is_diskless = match version {
            RedisVersion::V70 => "yes",
            RedisVersion::V62 => "no",
        };
        one(*version, &["--repl-diskless-sync", is_diskless], scale)
    })
}

fn one(version: RedisVersion, options: &[&str], scale: &Scale) -> Result {
    let link = RedisLink::apart(version, options, scale.seed)?;
    link.fill(scale.redis_keys)?;
    link.ours.client().ok("SET stale 1");
    full_sync(&link)?;
    cuts(&link, scale)?;
    full_again(&link, scale)
}

/// The full sync and what follows it, under writes.
fn full_sync(link: &RedisLink) -> Result {
    let load = link.writes(1);
    link.follow()?;
    std::thread::sleep(AFTERWARDS);
    println!("    under sync: {}", described(&load.stop()));
    link.settle()
}

/// Partial syncs, counted on both sides.
fn cuts(link: &RedisLink, scale: &Scale) -> Result {
    let mut rng = Rng::new(scale.seed);
    let (before, granted) = (link.psync(), link.granted());
    let load = link.writes(2);
    link.cut(&mut rng, scale.redis_cuts)?;
    let report = load.stop();
    let (after, now) = (link.psync(), link.granted());
    let theirs: Vec<u64> = now
        .iter()
        .zip(granted)
        .map(|(now, then)| now - then)
        .collect();
    println!("    {} cuts; {}", scale.redis_cuts, described(&report));
    println!(
        "    ours: {}; Redis: {} partial syncs granted, {} refused, {} full syncs",
        after.since(before),
        theirs[0],
        theirs[1],
        theirs[2]
    );
    link.settle()?;
    let ours = after.successes - before.successes;
    match ours >= scale.redis_cuts && theirs[0] >= ours && theirs[2] == 0 {
        true => Ok(()),
        false => Err("a cut was not made good by a partial sync".into()),
    }
}

/// The backlog is lost, and keys are deleted while the replica is away: nothing stale is left.
fn full_again(link: &RedisLink, scale: &Scale) -> Result {
    let before = link.psync();
    link.network.refuse(true);
    link.network.cut_all();
    let deleted = miss(link, scale)?;
    let load = link.writes(3);
    link.network.refuse(false);
    within(SYNC_DEADLINE, || {
        (link.psync().full_syncs > before.full_syncs).then_some(())
    })
    .ok_or("no full sync")?;
    link.synced()?;
    println!("    under the second sync: {}", described(&load.stop()));
    println!("    {}", link.psync().since(before));
    link.settle()?;
    let left = still_there(link, &deleted)?;
    println!(
        "    {} keys deleted while it was away, {left} of them still there",
        grouped(deleted.len() as u64)
    );
    match left {
        0 => Ok(()),
        _ => Err("what was deleted meanwhile is still there".into()),
    }
}

/// Deletes keys and whole databases, and writes more than the backlog holds. Nobody writes to these keys afterwards.
fn miss(link: &RedisLink, scale: &Scale) -> Result<Vec<Vec<u8>>> {
    let mut redis = link.patient(true)?;
    // The other way to send the data, this time.
    let is_diskless = if link.version == RedisVersion::V70 {
        "no"
    } else {
        "yes"
    };
    redis.ok(&format!("CONFIG SET repl-diskless-sync {is_diskless}"));
    redis.ok("CONFIG SET repl-backlog-size 1mb");
    redis.ok("SELECT 5");
    redis.ok("FLUSHDB");
    redis.ok("SELECT 0");
    // Beyond what the writes draw.
    let keys = (WIDE_KEYS..Sizes::of(scale.redis_keys).strings).step_by(DELETED_STEP);
    let deleted: Vec<Vec<u8>> = keys
        .map(|number| format!("{PREFIX}string:{number}").into_bytes())
        .collect();
    for part in deleted.chunks(1_000) {
        let mut command: Vec<&[u8]> = vec![b"DEL"];
        command.extend(part.iter().map(Vec::as_slice));
        redis.try_call(&command)?;
    }
    let value = "x".repeat(1 << 20);
    for _ in 0..MISSED_BYTES >> 20 {
        redis.ok(&format!("SET missed {value}"));
    }
    Ok(deleted)
}

fn still_there(link: &RedisLink, keys: &[Vec<u8>]) -> Result<i64> {
    let mut ours = link.patient(false)?;
    let mut left = ours.integer("EXISTS stale");
    for part in keys.chunks(1_000) {
        let mut command: Args = words("EXISTS");
        command.extend(part.iter().cloned());
        left += match ours.try_call(&command)? {
            Reply::Integer(found) => found,
            other => return Err(format!("EXISTS: {other:?}").into()),
        };
    }
    Ok(left)
}
