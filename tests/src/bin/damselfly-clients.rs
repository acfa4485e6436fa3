//! `cargo xtask clients [name…] [--server redis|damselfly]`: programs that use other people's client libraries, each against a fresh primary
//! and its replica. The programs are in `tests/clients`; each ends with a check of what came out.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use damselfly_tests::{Peer, PeerKind, Server, await_synced, replicaof, within};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(240);

/// How long a replica may take to follow an empty primary.
const SYNC_LIMIT: Duration = Duration::from_secs(20);

/// Threads of each server.
const THREADS: usize = 2;

/// BullMQ's scripts make names of keys.
const UNDECLARED_KEYS: Option<&str> = Some("--default_lua_flags=allow-undeclared-keys");

enum Language {
    Python,
    Node,
    Rust,
}

struct Program {
    name: &'static str,
    /// Its file in `tests/clients`.
    file: &'static str,
    language: Language,
    /// It kills its primary: what it tells is to be compared with what it tells of Redis.
    beside_redis: bool,
    /// A flag that our server needs for it.
    flag: Option<&'static str>,
}

const fn program(name: &'static str, file: &'static str, language: Language) -> Program {
    Program {
        name,
        file,
        language,
        beside_redis: false,
        flag: None,
    }
}

const PROGRAMS: &[Program] = &[
    program("redis-py", "redis_py.py", Language::Python),
    program("flask-caching", "cached_views.py", Language::Python),
    program("celery", "celery_app.py", Language::Python),
    program("ioredis", "ioredis.mjs", Language::Node),
    program("node-redis", "node_redis.mjs", Language::Node),
    Program {
        flag: UNDECLARED_KEYS,
        ..program("bullmq", "bullmq.mjs", Language::Node)
    },
    program("redis-rs", "damselfly-client-redis-rs", Language::Rust),
    Program {
        beside_redis: true,
        flag: UNDECLARED_KEYS,
        ..program("bullmq-failover", "failover.mjs", Language::Node)
    },
];

struct Options {
    programs: Vec<&'static Program>,
    server: PeerKind,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = damselfly_tests::end_children_on_signals()
        .map_err(Into::into)
        .and_then(|()| options(&arguments));
    match options.and_then(|options| run_all(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        programs: Vec::new(),
        server: PeerKind::Damselfly,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--server" {
            options.server = match arguments.next().map(String::as_str) {
                Some("redis") => PeerKind::Redis,
                Some("damselfly") => PeerKind::Damselfly,
                other => {
                    return Err(format!("--server is redis or damselfly, not {other:?}").into());
                }
            };
            continue;
        }
        let found = PROGRAMS.iter().find(|program| program.name == argument);
        options.programs.push(found.ok_or_else(|| {
            let names: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
            format!("no client {argument:?}; there are: {}", names.join(" "))
        })?);
    }
    if options.programs.is_empty() {
        options.programs = PROGRAMS.iter().collect();
    }
    Ok(options)
}

fn run_all(options: &Options) -> Result {
    let mut outcomes = Vec::new();
    for program in &options.programs {
        if program.beside_redis {
            outcomes.push((program.name, run(program, PeerKind::Redis)));
        }
        outcomes.push((program.name, run(program, options.server)));
    }
    println!();
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err());
    let failed = failed.count();
    for (name, outcome) in outcomes {
        let verdict = outcome.map_or_else(
            |error| format!("FAILED: {error}"),
            |took| format!("ok {:>6.1} s", took.as_secs_f64()),
        );
        println!("{name:<18}{verdict}");
    }
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} programs failed").into()),
    }
}

fn run(program: &Program, server: PeerKind) -> Result<Duration> {
    println!("\n==> {} with {}", program.name, server.name());
    let start = || match (server, program.flag) {
        (PeerKind::Damselfly, Some(flag)) => {
            Server::try_start(&[&format!("--proactor_threads={THREADS}"), flag])
                .map(Peer::Damselfly)
        }
        _ => server.start(THREADS),
    };
    let (mut primary, replica) = (start()?, start()?);
    let mut client = replica.client();
    replicaof(&mut client, primary.address());
    await_synced(SYNC_LIMIT, &mut client)?;
    let begun = Instant::now();
    let mut child = command(program)?
        .env("PRIMARY_PORT", primary.address().port().to_string())
        .env("REPLICA_PORT", replica.address().port().to_string())
        .env("PRIMARY_PID", primary.pid().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .spawn()
        .map_err(|error| format!("{}: {error}", program.file))?;
    let status = within(LIMIT, || child.try_wait().ok().flatten());
    let Some(status) = status else {
        child.kill()?;
        child.wait()?;
        return Err(format!("not done after {} s", LIMIT.as_secs()).into());
    };
    for (name, peer) in [("primary", &mut primary), ("replica", &mut { replica })] {
        let killed = program.beside_redis && name == "primary";
        if let Some(status) = peer.exit_status().filter(|_| !killed) {
            return Err(format!("the {name} ended: {status}\n{}", peer.log()).into());
        }
    }
    match status.success() {
        true => Ok(begun.elapsed()),
        false => Err(status.to_string().into()),
    }
}

fn command(program: &Program) -> Result<Command> {
    let folder = |variable: &str| -> Result<PathBuf> {
        let folder = std::env::var_os(variable).ok_or(format!(
            "{variable} is not set; start this by cargo xtask clients"
        ))?;
        Ok(folder.into())
    };
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = match program.language {
        Language::Python => Command::new(folder("CLIENTS_PYTHON")?),
        Language::Node => Command::new("node"),
        Language::Rust => Command::new(folder("CLIENTS_RUST")?.join(program.file)),
    };
    match program.language {
        // Where celery's worker finds its tasks, and node its modules.
        Language::Python => command.arg(program.file).current_dir(programs),
        Language::Node => command
            .arg(program.file)
            .current_dir(folder("CLIENTS_NODE")?),
        Language::Rust => &mut command,
    };
    Ok(command)
}
