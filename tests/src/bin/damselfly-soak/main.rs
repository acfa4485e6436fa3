//! `cargo xtask soak [--quick] [--seed N] [--redis 7.0|6.2] [--only scenario]…`: the long tests of whole servers.
//!
//! Each scenario prints figures and a verdict; one that fails does not stop the others. All
//! processes are ended by their id, whatever happens.

mod bgsave;
mod big_values;
mod chain;
mod crashes;
mod cuts;
mod failover;
mod from_redis;
mod frozen;
mod full_sync;
mod moving;
mod page;
mod pair;
mod prometheus;
mod pubsub;
mod redis_link;
mod sentinel;
mod takeover;
mod wait;

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use damselfly_tests::RedisVersion;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Where random numbers start.
    seed: u64,
    /// How often a link is cut.
    cuts: u64,
    /// How long a peer is frozen.
    freeze: Duration,
    /// How often each end is killed.
    crashes: u64,
    /// Keys of the large full sync.
    keys: u64,
    /// Fields of the big hash; the big list has half as many elements.
    big_fields: u64,
    /// Keys of a Redis that is followed; a chain has a quarter of them.
    redis_keys: u64,
    /// How often its link is cut.
    redis_cuts: u64,
    /// Of which versions it is, in turn, where several are followed.
    redis_versions: &'static [RedisVersion],
    /// Clients that subscribe to something.
    subscribers: u64,
    /// Messages that are published.
    messages: u64,
}

impl Scale {
    const FULL: Scale = Scale {
        seed: 1,
        cuts: 200,
        freeze: Duration::from_secs(40),
        crashes: 3,
        keys: 5_000_000,
        big_fields: 2_000_000,
        redis_keys: 2_000_000,
        redis_cuts: 50,
        redis_versions: &[RedisVersion::V70, RedisVersion::V62],
        subscribers: 10_000,
        messages: 100_000,
    };
    /// For trying the scenarios themselves.
    const QUICK: Scale = Scale {
        seed: 1,
        cuts: 10,
        freeze: Duration::from_secs(5),
        crashes: 1,
        keys: 200_000,
        big_fields: 100_000,
        redis_keys: 40_000,
        redis_cuts: 10,
        redis_versions: &[RedisVersion::V70, RedisVersion::V62],
        subscribers: 1_000,
        messages: 20_000,
    };
}

struct Scenario {
    name: &'static str,
    summary: &'static str,
    run: fn(&Scale) -> Result,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "cuts",
        summary: "the link is cut at random bytes, under load",
        run: cuts::run,
    },
    Scenario {
        name: "frozen-replica",
        summary: "SIGSTOP of a replica in stable sync, under load",
        run: frozen::replica_in_stable_sync,
    },
    Scenario {
        name: "frozen-full-sync",
        summary: "SIGSTOP of a replica in the middle of a full sync, under load",
        run: frozen::replica_in_full_sync,
    },
    Scenario {
        name: "frozen-primary",
        summary: "SIGSTOP of a primary, under load",
        run: frozen::primary,
    },
    Scenario {
        name: "killed-replica",
        summary: "kill -9 of a replica, under load",
        run: crashes::of_replica,
    },
    Scenario {
        name: "killed-primary",
        summary: "kill -9 of a primary, under load",
        run: crashes::of_primary,
    },
    Scenario {
        name: "full-sync",
        summary: "full sync of many keys under 50 K writes a second",
        run: full_sync::run,
    },
    Scenario {
        name: "bgsave",
        summary: "BGSAVE in both formats under 50 K writes a second: one point in time, memory, readers",
        run: bgsave::run,
    },
    Scenario {
        name: "big-values",
        summary: "a big hash and a big list among small keys, under writes to all of them",
        run: big_values::run,
    },
    Scenario {
        name: "from-redis",
        summary: "Redis 7.0 and 6.2 with every encoding are followed, under writes of all families; links are cut",
        run: from_redis::run,
    },
    Scenario {
        name: "chain",
        summary: "Redis, a replica of ours, a replica of that: links are cut, Redis is killed",
        run: chain::run,
    },
    Scenario {
        name: "moving",
        summary: "clients write on while their data moves from a Redis",
        run: moving::run,
    },
    Scenario {
        name: "pubsub",
        summary: "many subscribers, one of which stops reading",
        run: pubsub::run,
    },
    Scenario {
        name: "wait",
        summary: "the time of WAIT 1 on loopback",
        run: wait::run,
    },
    Scenario {
        name: "takeover",
        summary: "REPLTAKEOVER under load from 20 clients: refused where the replica cannot catch up, else nothing is lost",
        run: takeover::run,
    },
    Scenario {
        name: "prometheus",
        summary: "Prometheus scrapes a full sync and a stopped replica; its figures are compared with what is known",
        run: prometheus::run,
    },
    Scenario {
        name: "sentinel",
        summary: "Redis Sentinel and redis-py; the primary is killed, stopped, cut off, in turn",
        run: sentinel::run,
    },
    Scenario {
        name: "page",
        summary: "the status page in Chromium, with pictures, in each phase of a link",
        run: page::run,
    },
    Scenario {
        name: "failover-partial",
        summary: "the primary dies; a replica that is behind the new primary goes on",
        run: failover::behind,
    },
    Scenario {
        name: "failover-full",
        summary: "the primary dies; a replica that is ahead of the new primary starts over",
        run: failover::ahead,
    },
];

struct Options {
    scale: Scale,
    scenarios: Vec<&'static Scenario>,
}

fn main() -> ExitCode {
    // The verdict says it all; a backtrace through the harness helps nobody.
    std::panic::set_hook(Box::new(|panic| eprintln!("    {panic}")));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let prepared = damselfly_tests::end_children_on_signals()
        .map_err(Into::into)
        .and_then(|()| options(&arguments));
    match prepared {
        Ok(options) => run_all(&options),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut scale = Scale::FULL;
    let mut scenarios = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => {
                scale = Scale {
                    seed: scale.seed,
                    redis_versions: scale.redis_versions,
                    ..Scale::QUICK
                }
            }
            "--seed" => scale.seed = value()?.parse()?,
            "--redis" => scale.redis_versions = version(value()?)?,
            "--only" => scenarios.push(scenario(value()?)?),
            other => {
                return Err(
                    format!("{other:?}? There are --quick, --seed, --redis and --only").into(),
                );
            }
        }
    }
    if scenarios.is_empty() {
        scenarios = SCENARIOS.iter().collect();
    }
    Ok(Options { scale, scenarios })
}

fn version(name: &str) -> Result<&'static [RedisVersion]> {
    match name {
        "7.0" => Ok(&[RedisVersion::V70]),
        "6.2" => Ok(&[RedisVersion::V62]),
        _ => Err(format!("no Redis {name:?}; there are 7.0 and 6.2").into()),
    }
}

fn scenario(name: &str) -> Result<&'static Scenario> {
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            format!("no scenario {name:?}; there are: {} fuzz", names.join(" ")).into()
        })
}

fn run_all(options: &Options) -> ExitCode {
    let outcomes: Vec<_> = options
        .scenarios
        .iter()
        .map(|scenario| (scenario, run_one(scenario, &options.scale)))
        .collect();
    println!();
    for (scenario, verdict) in &outcomes {
        let verdict = verdict.as_ref().map_or_else(
            |error| format!("FAILED: {}", error.lines().next().unwrap_or_default()),
            |took| format!("ok      {:>6.1} s", took.as_secs_f64()),
        );
        println!("{:<18}{verdict}", scenario.name);
    }
    let failed = outcomes.iter().filter(|(_, verdict)| verdict.is_err());
    match failed.count() {
        0 => ExitCode::SUCCESS,
        count => {
            println!("{count} of {} scenarios failed", outcomes.len());
            ExitCode::FAILURE
        }
    }
}

fn run_one(scenario: &Scenario, scale: &Scale) -> std::result::Result<Duration, String> {
    println!("\n==> {}: {}", scenario.name, scenario.summary);
    let start = Instant::now();
    let verdict = catch_unwind(AssertUnwindSafe(|| (scenario.run)(scale)));
    let verdict = match verdict {
        Ok(verdict) => verdict.map_err(|error| error.to_string()),
        Err(panic) => Err(panic_text(panic.as_ref())),
    };
    damselfly_tests::wait_if_interrupted();
    match &verdict {
        Ok(()) => println!("    ok, {:.1} s", start.elapsed().as_secs_f64()),
        Err(error) => println!(
            "    FAILED: {error}\n    again: cargo xtask soak --only {} --seed {}",
            scenario.name, scale.seed
        ),
    }
    verdict.map(|()| start.elapsed())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}
