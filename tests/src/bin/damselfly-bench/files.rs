//! SAVE, and a start from what it wrote: both of our formats beside the RDB of a `redis-server`, the same keys in it. Both sync their
//! files to the disk, and both find them in the page cache when they load them.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use damselfly_tests::load::Fill;
use damselfly_tests::machine::cpu_seconds;
use damselfly_tests::{Client, Peer, PeerKind, Redis, RedisVersion, Server, TempDir};

use crate::case::{Case, Ratio, Round, Rounds, Row, Scale, Target};
use crate::full_sync::{SMALL_BYTES, THREADS};

const LOAD_DEADLINE: Duration = Duration::from_secs(120);
/// A SAVE of everything takes its time.
const SAVE_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks at a server that loads.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
const NAME: &str = "bench";

const fn seconds(what: &'static str) -> Row {
    row(what, Target::RatioAtLeast(3.0))
}

const fn row(what: &'static str, target: Target) -> Row {
    Row {
        what,
        unit: "s",
        ratio: Ratio::Theirs,
        target,
    }
}

/// Writing and reading.
pub const CASES: &[Case] = &[
    Case {
        name: "save",
        summary: "SAVE of strings with 16 B keys and 64 B values; Redis writes one RDB file for either row",
        rows: &[
            seconds("SAVE, one RDB file"),
            row("… CPU", Target::None),
            seconds("SAVE, a file for each shard"),
            row("… CPU", Target::None),
        ],
        rounds: Rounds::Half,
        needs: None,
        start: save,
    },
    Case {
        name: "load",
        summary: "a start from these files, until the first command is served",
        rows: &[
            seconds("load of one RDB file"),
            row("… CPU", Target::None),
            seconds("load of a file for each shard"),
            row("… CPU", Target::None),
        ],
        rounds: Rounds::Half,
        needs: None,
        start: load,
    },
];

/// The formats of ours, as SAVE calls them.
const FORMATS: [&str; 2] = ["RDB", "DF"];

/// A server whose files are in `dir`; it loads what is there.
fn start_in(kind: PeerKind, dir: &Path) -> io::Result<Peer> {
    let dir = dir.to_string_lossy();
    match kind {
        PeerKind::Redis => {
            let file = format!("{NAME}.rdb");
            let options = ["--dir", &dir, "--dbfilename", &file];
            Redis::try_start(RedisVersion::V70, &options).map(Peer::Redis)
        }
        PeerKind::Damselfly => Server::try_start(&[
            &format!("--proactor_threads={THREADS}"),
            &format!("--dir={dir}"),
            &format!("--dbfilename={NAME}"),
        ])
        .map(Peer::Damselfly),
    }
}

fn filled(kind: PeerKind, dir: &Path, scale: Scale) -> io::Result<Peer> {
    let server = start_in(kind, dir)?;
    let fill = Fill {
        keys: 0..scale.import_keys,
        value_bytes: SMALL_BYTES,
        connections: 2,
    };
    fill.write(server.address())?;
    Ok(server)
}

/// Saves once; the seconds it took, and the server's of the processor.
fn save_once(server: &Peer, format: &str) -> io::Result<[f64; 2]> {
    let mut client = server.client();
    client.set_timeout(Some(SAVE_TIMEOUT))?;
    let command: &[&str] = match server {
        Peer::Redis(_) => &["SAVE"],
        Peer::Damselfly(_) => &["SAVE", format, NAME],
    };
    let (before, start) = (cpu_seconds(server.pid()), Instant::now());
    let reply = client.try_call(command)?;
    if let Some(error) = reply.as_error() {
        let error = String::from_utf8_lossy(error);
        return Err(io::Error::other(format!("SAVE: {error}")));
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok([seconds, cpu_seconds(server.pid()) - before])
}

/// What one server gives for all rows: `measure` of either format of ours, of the only one of Redis's twice.
fn rows_of(
    kind: PeerKind,
    mut measure: impl FnMut(&'static str) -> io::Result<[f64; 2]>,
) -> io::Result<Vec<f64>> {
    let first = measure(FORMATS[0])?;
    let second = match kind {
        PeerKind::Redis => first,
        PeerKind::Damselfly => measure(FORMATS[1])?,
    };
    Ok([first, second].concat())
}

fn save(kind: PeerKind, scale: Scale) -> io::Result<Round> {
    let dir = TempDir::new("bench-save")?;
    let server = filled(kind, dir.path(), scale)?;
    Ok(Box::new(move || {
        let _dir = &dir;
        rows_of(kind, |format| save_once(&server, format))
    }))
}

fn load(kind: PeerKind, scale: Scale) -> io::Result<Round> {
    let dirs = [TempDir::new("bench-load")?, TempDir::new("bench-load")?];
    let server = filled(kind, dirs[1].path(), scale)?;
    save_once(&server, FORMATS[0])?;
    // The other directory is for the other format.
    let file = format!("{NAME}.rdb");
    std::fs::rename(dirs[1].path().join(&file), dirs[0].path().join(&file))?;
    if kind == PeerKind::Damselfly {
        save_once(&server, FORMATS[1])?;
    }
    drop(server);
    Ok(Box::new(move || {
        rows_of(kind, |format| {
            let dir = &dirs[usize::from(format == FORMATS[1])];
            load_once(kind, dir.path(), scale.import_keys)
        })
    }))
}

/// Starts a server and waits until it has everything.
fn load_once(kind: PeerKind, dir: &Path, keys: u64) -> io::Result<[f64; 2]> {
    let start = Instant::now();
    let server = start_in(kind, dir)?;
    await_loaded(&mut server.client(), keys)?;
    Ok([start.elapsed().as_secs_f64(), cpu_seconds(server.pid())])
}

fn await_loaded(client: &mut Client, keys: u64) -> io::Result<()> {
    let start = Instant::now();
    loop {
        let reply = client.try_call(&["DBSIZE"])?;
        match reply.as_integer() {
            Some(found) if found == keys as i64 => return Ok(()),
            Some(found) => return Err(io::Error::other(format!("{found} keys were loaded"))),
            None if start.elapsed() > LOAD_DEADLINE => {
                return Err(io::Error::other(format!("it is loading still: {reply:?}")));
            }
            None => std::thread::sleep(LOOK_PAUSE),
        }
    }
}
