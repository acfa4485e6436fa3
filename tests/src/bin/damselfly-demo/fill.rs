//! A million keys, while they are replicated, with a bar for each server.

use std::time::{Duration, Instant};

use damselfly_tests::load::{Fill, Load, LoadPlan};
use damselfly_tests::{Client, commands::Workload, grouped};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{Pair, Result, show};

/// What DEBUG POPULATE makes: keys, type and further arguments.
const POPULATED: [(u64, &str); 5] = [
    (250_000, "TYPE string"),
    (150_000, "TYPE hash ELEMENTS 4"),
    (150_000, "TYPE list ELEMENTS 4"),
    (150_000, "TYPE set ELEMENTS 4"),
    (150_000, "TYPE zset ELEMENTS 4"),
];
/// Keys of one DEBUG POPULATE, so that the bar moves.
const STEP_KEYS: u64 = 10_000;
const VALUE_BYTES: u64 = 32;
/// Strings that clients write with SET.
const WRITTEN_KEYS: u64 = 200_000;
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(60);

/// Fills the primary with more than a million keys of all types.
pub fn fill(pair: &mut Pair) -> Result {
    show::step("The primary is filled: DEBUG POPULATE of five types, SET, and mixed writes");
    let start = Instant::now();
    let total = POPULATED.iter().map(|(keys, _)| keys).sum::<u64>() + WRITTEN_KEYS;
    let bars = Bars::new(total);
    let load = mixed(pair);
    populate(pair, &bars)?;
    write(pair, &bars)?;
    let report = load.stop();
    catch_up(pair, &bars)?;
    bars.finish();
    println!(
        "  {} keys in {:.1} s on both, and {} mixed writes besides",
        grouped(pair.to_primary.integer("DBSIZE") as u64),
        start.elapsed().as_secs_f64(),
        grouped(report.commands)
    );
    Ok(())
}

/// Clients that write all types, with expiry, all the while.
fn mixed(pair: &Pair) -> Load {
    let plan = LoadPlan {
        pipeline: 8,
        rate: Some(4_000),
        ..LoadPlan::default()
    };
    Load::start(pair.primary.address(), plan, |_| {
        Workload::new(7, "mixed:", 2_000)
    })
}

fn populate(pair: &mut Pair, bars: &Bars) -> Result {
    for (keys, kind) in POPULATED {
        let name = kind.split(' ').nth(1).unwrap_or(kind);
        for step in 0..keys / STEP_KEYS {
            let line = format!("DEBUG POPULATE {STEP_KEYS} {name}:{step} {VALUE_BYTES} {kind}");
            pair.to_primary.ok(&line);
            bars.show(pair);
        }
    }
    Ok(())
}

fn write(pair: &mut Pair, bars: &Bars) -> Result {
    for step in 0..WRITTEN_KEYS / STEP_KEYS {
        let fill = Fill {
            keys: step * STEP_KEYS..(step + 1) * STEP_KEYS,
            value_bytes: VALUE_BYTES as usize,
            connections: 2,
        };
        fill.write(pair.primary.address())?;
        bars.show(pair);
    }
    Ok(())
}

/// Until the replica has as many keys; the digests are compared afterwards.
fn catch_up(pair: &mut Pair, bars: &Bars) -> Result {
    let start = Instant::now();
    while size(&mut pair.to_replica) < size(&mut pair.to_primary) {
        if start.elapsed() > CATCH_UP_DEADLINE {
            return Err("the replica does not catch up".into());
        }
        bars.show(pair);
        std::thread::sleep(Duration::from_millis(20));
    }
    bars.show(pair);
    Ok(())
}

fn size(client: &mut Client) -> u64 {
    client.integer("DBSIZE") as u64
}

/// One bar for each server.
struct Bars {
    primary: ProgressBar,
    replica: ProgressBar,
}

impl Bars {
    fn new(keys: u64) -> Bars {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template(
            "  {prefix}  {wide_bar:.cyan/blue} {human_pos:>9} of {human_len} keys  {elapsed}",
        )
        .expect("the template is right");
        let bar = |name: &'static str| {
            let bar = bars.add(ProgressBar::new(keys).with_style(style.clone()));
            bar.with_prefix(name)
        };
        Bars {
            primary: bar("primary"),
            replica: bar("replica"),
        }
    }

    fn show(&self, pair: &mut Pair) {
        self.primary.set_position(size(&mut pair.to_primary));
        self.replica.set_position(size(&mut pair.to_replica));
    }

    fn finish(&self) {
        self.primary.abandon();
        self.replica.abandon();
    }
}
