//! `cargo xtask bench [--quick] [--noise] [chapter | case…]`: the tables of DESIGN 9 and beyond, ours beside `redis-server`, in one run.
//!
//! The two servers take turns, round by round, and the table gives medians: what the machine does
//! besides hits both. A complete run writes `docs/performance.md`. `--noise` puts `redis-server` in
//! our place: how far its ratios are from 1 is what a ratio means.

mod case;
mod collections;
mod files;
mod full_sync;
mod import;
mod memory;
mod mixed;
mod report;
mod scripts;
mod speed;
mod stable;
mod suite;

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

impl Options {
    fn wants(&self, case: &Case) -> bool {
        self.cases.iter().any(|wanted| wanted.name == case.name)
    }
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

/// A table of its own.
struct Chapter {
    /// Stands for all its cases.
    name: &'static str,
    title: &'static str,
    families: &'static [&'static [Case]],
}

const CHAPTERS: &[Chapter] = &[
    Chapter {
        name: "main",
        title: "Speed, replication, memory",
        families: &[
            speed::CASES,
            full_sync::CASES,
            stable::CASES,
            import::CASES,
            files::CASES,
            memory::CASES,
        ],
    },
    Chapter {
        name: "memory-collections",
        title: "Memory of small collections",
        families: &[collections::CASES],
    },
    Chapter {
        name: "redis-benchmark",
        title: "redis-benchmark, all its default tests",
        families: &[suite::CASES],
    },
    Chapter {
        name: "scripts",
        title: "Scripts",
        families: &[scripts::CASES],
    },
];

impl Chapter {
    fn cases(&self) -> impl Iterator<Item = &'static Case> + use<> {
        self.families.iter().copied().flatten()
    }
}

fn all_cases() -> impl Iterator<Item = &'static Case> {
    CHAPTERS.iter().flat_map(Chapter::cases)
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
    let mut tables = Vec::new();
    for chapter in CHAPTERS {
        let mut outcomes = Vec::new();
        for case in chapter.cases().filter(|case| options.wants(case)) {
            outcomes.extend(measure(case, &scale, options.ours)?);
        }
        if !outcomes.is_empty() {
            tables.push(format!(
                "## {}\n\n{}",
                chapter.title,
                report::table(&outcomes)
            ));
        }
    }
    let table = tables.join("\n\n");
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
        } else if let Some(chapter) = CHAPTERS.iter().find(|chapter| chapter.name == argument) {
            options.cases.extend(chapter.cases());
        } else if let Some(case) = all_cases().find(|case| case.name == argument) {
            options.cases.push(case);
        } else {
            let chapters = CHAPTERS.iter().map(|chapter| chapter.name);
            let names: Vec<_> = chapters.chain(all_cases().map(|case| case.name)).collect();
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
    if let Some(command) = case.needs
        && !has_command(ours, command)?
    {
        println!("    left out: there is no {command} yet");
        return Ok(Vec::new());
    }
    let outcomes = case.measure(scale, ours)?;
    for outcome in &outcomes {
        println!("    {}", report::line(outcome));
    }
    Ok(outcomes)
}

/// Whether the server has this command.
fn has_command(kind: PeerKind, command: &str) -> Result<bool> {
    let reply = kind
        .start(1)?
        .client()
        .try_call(&["COMMAND", "INFO", command])?;
    let found = reply.as_items().and_then(|items| items.first()?.as_items());
    Ok(found.is_some())
}
