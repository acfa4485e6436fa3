//! The link is cut at random bytes, in either direction, in every phase, under load.

use std::time::Duration;

use damselfly_tests::load::{Fill, LoadPlan};
use damselfly_tests::{Direction, Rng, is_synced, within};

use crate::pair::{Pair, SYNC_DEADLINE, described};
use crate::{Result, Scale};

const PLAN: LoadPlan = LoadPlan {
    connections: 3,
    pipeline: 16,
    rate: Some(10_000),
    timeout: Duration::from_secs(60),
};
/// Strings that make a full sync long enough to be cut in its middle.
const FILLED_KEYS: u64 = 50_000;
/// The contents are compared after so many cuts.
const CUTS_BETWEEN_LOOKS: u64 = 20;
/// A cut that its byte does not bring about is made after this time.
const CUT_DEADLINE: Duration = Duration::from_secs(2);
/// The longest pause before the next cut, when nothing is waited for.
const LONGEST_PAUSE_MS: u64 = 400;

/// What happened so far.
#[derive(Default)]
struct Tally {
    /// Cuts of a replica in stable sync, after which it was waited for.
    resumable: u64,
    /// After how many of them it went on without a full sync.
    resumed: u64,
}

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    let pair = Pair::synced()?;
    let fill = Fill {
        keys: 0..FILLED_KEYS,
        value_bytes: 64,
        connections: 1,
    };
    fill.write(pair.primary.address())?;
    let mut rng = Rng::new(scale.seed);
    let mut tally = Tally::default();
    let mut done = 0;
    while done < scale.cuts {
        let load = pair.load(PLAN, scale.seed.wrapping_add(done));
        let until = (done + CUTS_BETWEEN_LOOKS).min(scale.cuts);
        for _ in done..until {
            cut(&pair, &mut rng, &mut tally)?;
        }
        done = until;
        let report = load.stop();
        println!("    {done} cuts; {}", described(&report));
        pair.settle()?;
    }
    verdict(&pair, &tally)
}

fn verdict(pair: &Pair, tally: &Tally) -> Result {
    println!(
        "    {} connections through the link; {:?}; {} of {} cuts in stable sync were resumed without a full sync",
        pair.link.accepted(),
        pair.psync(),
        tally.resumed,
        tally.resumable
    );
    match tally.resumed == tally.resumable {
        true => Ok(()),
        false => Err("the backlog holds what was missed, but it was not used".into()),
    }
}

fn cut(pair: &Pair, rng: &mut Rng, tally: &mut Tally) -> Result {
    let mut replica = pair.replica.client();
    let (was_synced, before) = (is_synced(&mut replica), pair.psync());
    let cuts = pair.link.cuts();
    let (direction, bytes) = place(rng);
    pair.link.cut_after(direction, bytes);
    if within(CUT_DEADLINE, || (pair.link.cuts() > cuts).then_some(())).is_none() {
        pair.link.cut_never();
        pair.link.cut_all();
    }
    if rng.percent(50) {
        std::thread::sleep(Duration::from_millis(rng.below(LONGEST_PAUSE_MS)));
        return Ok(());
    }
    within(SYNC_DEADLINE, || is_synced(&mut replica).then_some(()))
        .ok_or("the replica does not come back")?;
    if was_synced {
        within(CUT_DEADLINE, || {
            (pair.psync().attempts > before.attempts).then_some(())
        });
        tally.resumable += 1;
        tally.resumed += u64::from(pair.psync().successes > before.successes);
    }
    Ok(())
}

/// The replica says little: a greeting and acks. The primary says a lot.
fn place(rng: &mut Rng) -> (Direction, u64) {
    let most = *rng.pick(&[100, 1_000, 20_000, 2_000_000]);
    match rng.percent(30) {
        true => (Direction::ToTarget, rng.below(most.min(1_000))),
        false => (Direction::FromTarget, rng.below(most)),
    }
}
