//! Data moves from a Redis to ours as an operator moves it, by `examples/move-from-redis.sh`, while clients write.

use std::time::Duration;

use damselfly_tests::migration::{Exactness, PREFIX, Writers, compare, run_script};
use damselfly_tests::{FaultProxy, RedisVersion, grouped};

use crate::redis_link::{RedisLink, counted};
use crate::{Result, Scale};

const CLIENTS: usize = 4;
/// How long they write before and after.
const AROUND: Duration = Duration::from_secs(3);

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    scale
        .redis_versions
        .iter()
        .try_for_each(|version| one(*version, scale))
}

fn one(version: RedisVersion, scale: &Scale) -> Result {
    let link = RedisLink::apart(version, &[], scale.seed)?;
    link.fill(scale.redis_keys / 4)?;
    let service = FaultProxy::new(link.redis.address());
    let writers = Writers::start(service.address(), CLIENTS);
    std::thread::sleep(AROUND);
    let before = writers.acknowledged();
    let said = run_script(link.redis.address(), link.ours.address(), &service)?;
    said.lines().for_each(|line| println!("      {line}"));
    let meanwhile = writers.acknowledged() - before;
    std::thread::sleep(AROUND);
    let moved = writers.stop(&mut link.patient(false)?)?;
    println!(
        "    {} writes acknowledged ({} while it moved), none is missing; {} sent again, {} of them executed twice",
        grouped(moved.acknowledged),
        grouped(meanwhile),
        moved.retried,
        moved.repeated
    );
    println!(
        "    the longest that a client's write took: {:.0} ms",
        moved.longest.as_secs_f64() * 1e3
    );
    let (mut redis, mut ours) = (link.patient(true)?, link.patient(false)?);
    let is_filled = |key: &[u8]| key.starts_with(PREFIX.as_bytes());
    let found = compare(&mut redis, &mut ours, Exactness::with(version), is_filled)?;
    println!(
        "    the other {} keys are equal value by value ({})",
        grouped(found.keys()),
        counted(&found.types)
    );
    match found.differences.is_empty() {
        true => Ok(()),
        false => Err(found.differences.join("\n").into()),
    }
}
