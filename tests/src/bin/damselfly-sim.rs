//! `cargo xtask sim [--seeds N] [--seed S] [--fault NAME] [--jobs N] [--events] [--key KEY]`, `cargo xtask sim --prove [--seeds N]`: runs simulations.
//!
//! Seeds S, S + 1, … are run on as many threads as there are processors. The first that fails ends the program with the last events, and
//! the command that repeats it. `--fault` puts a bug in, and says which seed found it; `--prove` does so for every fault there is.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use damselfly_tests::sim::{self, Fault, Outcome, Show};

/// A seed that takes longer hangs in a loop that never gives its thread back.
const HANG: Duration = Duration::from_secs(120);
/// So often a seed is run twice, to see that it repeats.
const REPEAT_EVERY: u64 = 50;
/// Seeds that a fault gets to be found, unless told otherwise.
const PROVE_SEEDS: u64 = 200;

struct Options {
    first: u64,
    seeds: u64,
    fault: Option<Fault>,
    jobs: usize,
    show: Show,
    prove: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    sim::prepare();
    if !sim::repeats() {
        println!("this build does not repeat seeds exactly; `cargo xtask sim` makes one that does");
    }
    let passed = if options.prove {
        prove(&options)
    } else {
        search(&options)
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        first: 1,
        seeds: 0,
        fault: None,
        jobs,
        show: Show::default(),
        prove: false,
    };
    let mut seed = None;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| {
            text.parse()
                .map_err(|_| format!("{arg} needs a number, got {text:?}"))
        };
        match arg.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--seed" => seed = Some(number(value()?)?),
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "--fault" => options.fault = Some(named(&value()?)?),
            "--events" => options.show.events = true,
            "--key" => options.show.key = Some(value()?.into_bytes()),
            "--prove" => options.prove = true,
            other => {
                return Err(format!(
                    "no option {other}; there are --seeds, --seed, --fault, --jobs, --events, --key, --prove"
                ));
            }
        }
    }
    let usual = match (options.prove, seed) {
        (true, _) => PROVE_SEEDS,
        (false, Some(_)) => 1,
        (false, None) => 100,
    };
    (options.first, options.seeds) = (
        seed.unwrap_or(1),
        if options.seeds == 0 {
            usual
        } else {
            options.seeds
        },
    );
    Ok(options)
}

fn named(name: &str) -> Result<Fault, String> {
    let names = || Fault::ALL.map(Fault::name).join(", ");
    Fault::parse(name).ok_or_else(|| format!("no fault {name:?}; there are {}", names()))
}

/// What a run over seeds came to.
struct Findings {
    /// The lowest seed that failed.
    failed: Option<(u64, Outcome)>,
    run: u64,
    virtual_ms: u64,
    counts: sim::Counts,
    took: Duration,
}

fn search(options: &Options) -> bool {
    let found = run(options, options.fault);
    let (seconds, virtual_s) = (found.took.as_secs_f64(), found.virtual_ms / 1_000);
    let Some((seed, outcome)) = found.failed else {
        let faulty = options
            .fault
            .map(|fault| format!(" in spite of {}", fault.name()))
            .unwrap_or_default();
        println!(
            "{} seeds passed{faulty} in {seconds:.1} s ({virtual_s} s of virtual time)",
            found.run
        );
        let counted = found
            .counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"));
        println!("{}", counted.collect::<Vec<_>>().join(", "));
        return options.fault.is_none();
    };
    outcome.events.iter().for_each(|line| println!("{line}"));
    println!(
        "\nseed {seed} failed: {}",
        outcome.violation.unwrap_or_default()
    );
    println!("to repeat it: {}", command(seed, options.fault));
    options.fault.is_some()
}

fn prove(options: &Options) -> bool {
    let mut missed = Vec::new();
    for fault in Fault::ALL {
        let found = run(options, Some(fault));
        let seconds = found.took.as_secs_f64();
        match found.failed {
            Some((seed, outcome)) => {
                let tried = seed - options.first + 1;
                println!(
                    "{:<17} found by seed {seed} (seed number {tried}, {seconds:.1} s): {}",
                    fault.name(),
                    outcome.violation.unwrap_or_default()
                );
                println!("{:<17} {}", "", command(seed, Some(fault)));
            }
            None => {
                println!(
                    "{:<17} NOT FOUND in {} seeds, {seconds:.1} s",
                    fault.name(),
                    found.run
                );
                missed.push(fault.name());
            }
        }
    }
    println!(
        "{} of {} faults found",
        Fault::ALL.len() - missed.len(),
        Fault::ALL.len()
    );
    missed.is_empty()
}

fn command(seed: u64, fault: Option<Fault>) -> String {
    let fault = fault
        .map(|fault| format!(" --fault {}", fault.name()))
        .unwrap_or_default();
    format!("cargo xtask sim --seed {seed}{fault} --events")
}

fn run(options: &Options, fault: Option<Fault>) -> Findings {
    let (next, stop, virtual_ms, done) = (
        AtomicU64::new(0),
        AtomicBool::new(false),
        AtomicU64::new(0),
        AtomicU64::new(0),
    );
    let failed: Mutex<Option<(u64, Outcome)>> = Mutex::new(None);
    let counts: Mutex<sim::Counts> = Mutex::default();
    let began = Instant::now();
    let (progress, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        for worker in 0..options.jobs.min(options.seeds as usize) {
            let progress = progress.clone();
            let (next, stop, virtual_ms, done) = (&next, &stop, &virtual_ms, &done);
            let (failed, counts) = (&failed, &counts);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let index = next.fetch_add(1, Relaxed);
                    if index >= options.seeds {
                        break;
                    }
                    let seed = options.first + index;
                    let _ = progress.send((worker, Some(seed)));
                    let mut outcome = sim::run(seed, fault, &options.show);
                    if index % REPEAT_EVERY == REPEAT_EVERY - 1
                        && sim::repeats()
                        && !outcome.has_repeated(seed, fault)
                    {
                        outcome.violation = Some("the seed does not repeat".to_owned());
                    }
                    virtual_ms.fetch_add(outcome.virtual_ms, Relaxed);
                    done.fetch_add(1, Relaxed);
                    let mut counts = counts.lock().expect("nobody panics here");
                    outcome
                        .counts
                        .iter()
                        .for_each(|(what, count)| *counts.entry(what).or_default() += count);
                    drop(counts);
                    if outcome.violation.is_some() {
                        stop.store(true, Relaxed);
                        let mut failed = failed.lock().expect("nobody panics here");
                        if failed.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                            *failed = Some((seed, outcome));
                        }
                    }
                }
                let _ = progress.send((worker, None));
            });
        }
        drop(progress);
        watch(&heard, options, fault);
    });
    Findings {
        failed: failed.into_inner().expect("nobody panics there"),
        run: done.into_inner(),
        counts: counts.into_inner().expect("nobody panics there"),
        virtual_ms: virtual_ms.into_inner(),
        took: began.elapsed(),
    }
}

/// Ends the program when a seed hangs; returns when all workers have ended.
fn watch(heard: &mpsc::Receiver<(usize, Option<u64>)>, options: &Options, fault: Option<Fault>) {
    let mut at: Vec<Option<(u64, Instant)>> = vec![None; options.jobs];
    loop {
        match heard.recv_timeout(Duration::from_secs(1)) {
            Ok((worker, seed)) => at[worker] = seed.map(|seed| (seed, Instant::now())),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if let Some((seed, _)) = at
            .iter()
            .flatten()
            .find(|(_, since)| since.elapsed() > HANG)
        {
            println!(
                "seed {seed} hangs: it has run for more than {} s",
                HANG.as_secs()
            );
            println!("to repeat it: {}", command(*seed, fault));
            std::process::exit(1);
        }
    }
}
