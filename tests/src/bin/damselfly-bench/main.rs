//! `cargo xtask bench [--quick] [--noise] [case…]`: the table of DESIGN 9, ours beside `redis-server`, in one run.
//!
//! The two servers take turns, round by round, and the table gives medians: what the machine does
//! besides hits both. A complete run writes `docs/performance.md`. `--noise` puts `redis-server` in
//! our place: how far its ratios are from 1 is what a ratio means.

mod case;
mod full_sync;
mod memory;
mod report;
mod speed;
mod stable;

use std::error::Error;
use std::process::ExitCode;

use damselfly_tests::PeerKind;

use case::{Case, Outcome, Scale};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

struct Options {
    quick: bool,
    ours: PeerKind,
    cases: Vec<&'static Case>,
    complete: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            damselfly_tests::wait_if_interrupted();
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all_cases() -> impl Iterator<Item = &'static Case> {
    [speed::CASES, full_sync::CASES, stable::CASES, memory::CASES]
        .into_iter()
        .flatten()
}

fn run(arguments: &[String]) -> Result {
    damselfly_tests::end_children_on_signals()?;
    let options = options(arguments)?;
    let scale = if options.quick {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    let heading = report::heading(&scale);
    println!("{heading}\n");
    let mut outcomes = Vec::new();
    for case in &options.cases {
        outcomes.extend(measure(case, &scale, options.ours)?);
    }
    let table = report::table(&outcomes);
    println!("\n{heading}\n\n{table}");
    if options.complete {
        let file = report::write(&heading, &table)?;
        println!("written to {}", file.display());
    } else {
        println!("only a complete run (no option, no case) is written to docs/performance.md");
    }
    Ok(())
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        quick: false,
        ours: PeerKind::Damselfly,
        cases: Vec::new(),
        complete: false,
    };
    for argument in arguments {
        if argument == "--quick" {
            options.quick = true;
        } else if argument == "--noise" {
            options.ours = PeerKind::Redis;
        } else if let Some(case) = all_cases().find(|case| case.name == argument) {
            options.cases.push(case);
        } else {
            let names: Vec<_> = all_cases().map(|case| case.name).collect();
            return Err(format!("no case {argument:?}; there are: {}", names.join(" ")).into());
        }
    }
    if options.cases.is_empty() {
        options.cases = all_cases().collect();
        options.complete = !options.quick && options.ours == PeerKind::Damselfly;
    }
    Ok(options)
}

/// Both servers, round by round; each row of the case gets the medians.
fn measure(case: &'static Case, scale: &Scale, ours: PeerKind) -> Result<Vec<Outcome>> {
    println!("==> {}: {}", case.name, case.summary);
    let outcomes = case.measure(scale, ours)?;
    for outcome in &outcomes {
        println!("    {}", report::line(outcome));
    }
    Ok(outcomes)
}
