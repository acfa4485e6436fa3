//! The project's tasks: `cargo xtask <task>`. `cargo xtask help` lists them.
//!
//! Each task is a module with `pub fn run(args: &[String]) -> Result`; [`TASKS`] is the only list of them.

mod bench;
mod clients;
mod demo;
mod fuzz;
mod long_runs;
mod package;
mod peers;
mod seeds;
mod shell;
mod sim;
mod soak;
mod test;
mod tidy;

use std::{env, process::ExitCode};

/// What a task ends with. The error's text is all that its user sees.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Task {
    name: &'static str,
    summary: &'static str,
    run: fn(&[String]) -> Result,
}

const TASKS: &[Task] = &[
    Task {
        name: "test",
        summary: "everything but the long tests: peers, format, tidy, clippy, documentation, tests, doctests, a short simulation; [stage…]",
        run: test::run,
    },
    Task {
        name: "tidy",
        summary: "dependency edges, banned calls, lengths, unsafe, licences; --bless lowers the baseline",
        run: tidy::run,
    },
    Task {
        name: "fuzz",
        summary: "fuzz targets: [target…] [--seconds N]",
        run: fuzz::run,
    },
    Task {
        name: "sim",
        summary: "both ends in virtual time over a seeded network: --seeds N",
        run: sim::run,
    },
    Task {
        name: "soak",
        summary: "the long tests: many cuts, frozen peers, millions of keys",
        run: soak::run,
    },
    Task {
        name: "bench",
        summary: "the table of speeds beside redis-server",
        run: bench::run,
    },
    Task {
        name: "demo",
        summary: "a primary and a replica on loopback, before your eyes",
        run: demo::run,
    },
    Task {
        name: "seeds",
        summary: "the page on secure replication, its command lines in order, before your eyes",
        run: seeds::run,
    },
    Task {
        name: "clients",
        summary: "programs with other people's client libraries, against a primary and its replica: [name…] [--server redis]",
        run: clients::run,
    },
    Task {
        name: "package",
        summary: "systemd unit, Kubernetes manifests, Debian package and image, built and tried in chroots: [stage…] [--profile dev]",
        run: package::run,
    },
    Task {
        name: "peers",
        summary: "installs the real servers that the tests run against, and says where they are",
        run: peers::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result {
    let Some((name, rest)) = args.split_first() else {
        return Err(format!("which task?\n{}", help()).into());
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        println!("{}", help());
        return Ok(());
    }
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(rest),
        None => Err(format!("no task {name:?}\n{}", help()).into()),
    }
}

fn help() -> String {
    let rows = TASKS
        .iter()
        .map(|task| format!("  cargo xtask {:<7} {}\n", task.name, task.summary));
    rows.collect()
}
