//! `cargo xtask test`: everything but the long tests, in one go, with a verdict at the end.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    Result, peers,
    shell::{self, cargo, is_installed},
    sim, tidy,
};

/// How many seeds the simulator gets here; `cargo xtask sim` takes more.
const SIM_SEEDS: &str = "50";

/// The simulation is a feature, so that tests of servers are built without it; clippy looks at it too.
const SIM_FEATURE: &str = "damselfly-tests/sim";

/// Tests and checks, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

struct Stage {
    name: &'static str,
    run: fn() -> Result<(Counts, Result)>,
}

/// In this order, since a wrong format is told in seconds. All of them run, whatever fails.
const STAGES: &[Stage] = &[
    Stage {
        name: "peers",
        run: || Ok(one(peers::install())),
    },
    Stage {
        name: "fmt",
        run: || Ok(one(shell::run(cargo().args(["fmt", "--all", "--check"])))),
    },
    Stage {
        name: "tidy",
        run: || Ok(one(tidy::run(&[]))),
    },
    Stage {
        name: "clippy",
        run: || Ok(one(shell::run(&mut clippy()))),
    },
    Stage {
        name: "docs",
        run: || Ok(one(shell::run(&mut documentation()))),
    },
    Stage {
        name: "tests",
        run: || counted(&mut tests()),
    },
    Stage {
        name: "doctests",
        run: || counted(with_peers(cargo().args(["test", "--workspace", "--doc"]))),
    },
    Stage {
        name: "sim",
        run: || Ok(one(sim::run(&["--seeds".into(), SIM_SEEDS.into()]))),
    },
];

struct Outcome {
    name: &'static str,
    counts: Counts,
    error: Option<String>,
    took: Duration,
}

/// Runs the task: all stages, or those named.
pub(crate) fn run(args: &[String]) -> Result {
    let is_stage = |name: &String| STAGES.iter().any(|stage| stage.name == name);
    if let Some(unknown) = args.iter().find(|name| !is_stage(name)) {
        let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
        return Err(format!("no stage {unknown:?}; there are: {}", names.join(", ")).into());
    }
    let is_asked = |stage: &&Stage| args.is_empty() || args.iter().any(|name| name == stage.name);
    let outcomes: Vec<Outcome> = STAGES.iter().filter(is_asked).map(run_stage).collect();
    println!("\n{}", timings(&outcomes));
    let total = outcomes
        .iter()
        .fold(Counts::default(), |sum, outcome| sum.plus(outcome.counts));
    println!("{}", verdict(total));
    if total.failed == 0 {
        Ok(())
    } else {
        Err("not all passed".into())
    }
}

fn run_stage(stage: &Stage) -> Outcome {
    println!("\n==> {}", stage.name);
    let start = Instant::now();
    let (counts, verdict) = (stage.run)().unwrap_or_else(|error| one(Err(error)));
    let error = verdict.err().map(|error| error.to_string());
    if let Some(error) = &error {
        eprintln!("{} failed: {error}", stage.name);
    }
    Outcome {
        name: stage.name,
        counts,
        error,
        took: start.elapsed(),
    }
}

fn timings(outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|outcome| {
        let state = if outcome.error.is_some() {
            "FAILED"
        } else {
            "ok"
        };
        let Counts { passed, failed, .. } = outcome.counts;
        let seconds = outcome.took.as_secs_f64();
        format!(
            "{:<10}{state:<8}{passed:>6} passed {failed:>4} failed {seconds:>8.1} s\n",
            outcome.name
        )
    });
    rows.collect()
}

fn verdict(total: Counts) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = total;
    let skipped = if skipped == 0 {
        String::new()
    } else {
        format!(", {skipped} ignored")
    };
    format!("{passed} passed, {failed} failed{skipped}")
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// A stage that is one check.
fn one(verdict: Result) -> (Counts, Result) {
    let failed = verdict.is_err() as u64;
    let counts = Counts {
        passed: 1 - failed,
        failed,
        skipped: 0,
    };
    (counts, verdict)
}

fn clippy() -> Command {
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        SIM_FEATURE,
        "--",
        "-D",
        "warnings",
    ]);
    clippy
}

/// Broken links and the like in what `cargo doc` makes.
fn documentation() -> Command {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings");
    doc
}

/// Nextest where it is installed: it runs the tests of all packages at a time. It has no doctests.
fn tests() -> Command {
    let mut tests = cargo();
    if is_installed("cargo-nextest") {
        tests.args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--no-tests",
            "pass",
        ]);
        tests.args([
            "--status-level",
            "slow",
            "--final-status-level",
            "fail",
            "--show-progress",
            "none",
        ]);
    } else {
        tests.args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]);
    }
    tests.envs(peers::environment());
    tests
}

fn with_peers(command: &mut Command) -> &mut Command {
    command.envs(peers::environment())
}

/// A stage that says itself how many tests it ran. One that fails without a failed test (it did not compile) counts as
/// one failure; one that ran nothing is no success.
fn counted(command: &mut Command) -> Result<(Counts, Result)> {
    let (lines, verdict) = shell::tee(command)?;
    let mut counts = lines
        .iter()
        .filter_map(|line| summary(line))
        .fold(Counts::default(), Counts::plus);
    if verdict.is_err() && counts.failed == 0 {
        counts.failed = 1;
    }
    if verdict.is_ok() && counts == Counts::default() {
        return Ok(one(Err("no test was run".into())));
    }
    Ok((counts, verdict))
}

/// The counts in a summary line of nextest (`Summary [ 1.0s] 9 tests run: 8 passed (1 slow), 1 failed, 1 timed out, 1 exec
/// failed, 2 skipped`) or of
/// cargo (`test result: ok. 8 passed; 1 failed; 2 ignored; …`).
fn summary(line: &str) -> Option<Counts> {
    let line = without_colours(line);
    let tail = line.trim().strip_prefix("test result: ").or_else(|| {
        line.trim()
            .strip_prefix("Summary [")?
            .split_once("run:")
            .map(|(_, tail)| tail)
    })?;
    let words: Vec<&str> = tail
        .split(|c: char| c.is_whitespace() || ",;()".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let count = |names: &[&str]| -> u64 {
        let pairs = words.windows(2).filter(|pair| names.contains(&pair[1]));
        pairs.filter_map(|pair| pair[0].parse::<u64>().ok()).sum()
    };
    Some(Counts {
        passed: count(&["passed"]),
        failed: count(&["failed", "timed", "exec"]),
        skipped: count(&["skipped", "ignored"]),
    })
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let head = parts.next().unwrap_or_default().to_owned();
    parts.fold(head, |text, part| {
        text + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Option<Counts> {
        Some(Counts {
            passed,
            failed,
            skipped,
        })
    }

    #[test]
    fn summaries_of_both_runners_are_read() {
        let cargo = "test result: FAILED. 7 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.37s";
        assert_eq!(summary(cargo), counts(7, 1, 2));
        let nextest = "     Summary [   0.413s] 33 tests run: 31 passed (1 slow, 2 flaky), 1 failed, 1 timed out, 4 skipped";
        assert_eq!(summary(nextest), counts(31, 2, 4));
        let coloured = "\x1b[32;1m     Summary\x1b[0m [   0.4s] \x1b[1m3\x1b[0m tests run: \x1b[1m3\x1b[0m \x1b[32;1mpassed\x1b[0m, \x1b[1m0\x1b[0m \x1b[33;1mskipped\x1b[0m";
        assert_eq!(summary(coloured), counts(3, 0, 0));
        assert_eq!(summary("running 3 tests"), None);
    }

    #[test]
    fn the_verdict_is_one_line() {
        let (counts, _) = one(Err("no".into()));
        assert_eq!(verdict(counts), "0 passed, 1 failed");
        assert_eq!(
            verdict(summary("test result: ok. 2 passed; 0 failed; 1 ignored").expect("one")),
            "2 passed, 0 failed, 1 ignored"
        );
    }
}
