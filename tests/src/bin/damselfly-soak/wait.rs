//! How long WAIT takes on loopback.

use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::load::Latencies;

use crate::pair::Pair;
use crate::{Result, Scale};

const ROUNDS: u64 = 5_000;
/// What the median may be.
const TARGET: Duration = Duration::from_millis(2);

/// One client writes and waits for its replica, again and again.
pub fn run(scale: &Scale) -> Result {
    let pair = Pair::synced()?;
    let mut client = pair.primary.client();
    let mut times = Latencies::default();
    for round in 0..ROUNDS {
        let key = format!("wait:{}", (scale.seed + round) % 1_000);
        client.try_call(&["SET", &key, "1"])?;
        let begun = Instant::now();
        let reply = client.try_call(&["WAIT", "1", "0"])?;
        times.record(begun.elapsed());
        if reply != Reply::Integer(1) {
            return Err(format!("WAIT 1 0: {reply:?}").into());
        }
    }
    let (median, tail) = (times.percentile(0.5), times.percentile(0.99));
    println!(
        "    WAIT 1: median {median:?}, 99 % within {tail:?}, longest {:?}",
        times.longest()
    );
    match median < TARGET {
        true => Ok(()),
        false => Err(format!("the median is {median:?}, not below {TARGET:?}").into()),
    }
}
