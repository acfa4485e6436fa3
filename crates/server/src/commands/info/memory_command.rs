//! MEMORY: what takes how much.

use super::memory::Fragmentation;
use super::report::Report;
use super::text::human;
use crate::commands::write_help;
use damselfly_engine::context::ReadContext;
use damselfly_engine::families::options::{integer, is_word};
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::{
    Command, CommandError, CommandResult, Flags, Group, Handler, Keys, Session,
};

/// Below this nothing is told of ratios.
const SMALL_BYTES: u64 = 5 << 20;
/// A peak that is so much higher than the use of now is worth a word.
const HIGH_PEAK: f64 = 1.5;
/// So is resident memory so much greater than what is used,
const HIGH_RESIDENT: f64 = 1.4;
/// if it is more than so many bytes.
const HIGH_RESIDENT_BYTES: u64 = 10 << 20;
/// Bytes of buffers of one client on average that are worth a word,
const BIG_CLIENT_BYTES: u64 = 200 << 10;
/// and of all connections of replicas.
const BIG_REPLICA_BYTES: u64 = 10 << 20;

/// Collections know what they take: nothing has to be sampled.
fn usage(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let mut words = args[3..].iter();
    while let Some(word) = words.next() {
        match words.next() {
            Some(count) if is_word(word, "samples") && integer(count)? >= 0 => {}
            _ => return Err(CommandError::Syntax),
        }
    }
    match cx.glance(args[2]) {
        Some(entry) => out.integer(entry.memory() as i64),
        None => out.null(),
    }
    Ok(())
}

/// A field of MEMORY STATS.
enum Figure {
    Bytes(u64),
    Signed(i64),
    Ratio(f64),
}

impl Figure {
    fn write(&self, out: &mut ReplyWriter<'_>) {
        match self {
            Figure::Bytes(bytes) => out.integer(i64::try_from(*bytes).unwrap_or(i64::MAX)),
            Figure::Signed(number) => out.integer(*number),
            Figure::Ratio(ratio) => out.double(*ratio),
        }
    }
}

fn stats<'a>(session: &'a mut Session, _: &'a [&'a [u8]], out: &'a mut Vec<u8>) -> AsyncResult<'a> {
    Box::pin(async move {
        let report = Report::gather(session).await?;
        let (before, after) = figures(&report);
        let databases = report.sums.shards.databases.iter().enumerate();
        let databases: Vec<_> = databases
            .filter(|(_, database)| database.keys > 0)
            .collect();
        let mut out = ReplyWriter::new(out, session.proto);
        out.map(before.len() + databases.len() + after.len());
        let write = |(name, figure): &(&str, Figure), out: &mut ReplyWriter<'_>| {
            out.bulk(name);
            figure.write(out);
        };
        before.iter().for_each(|field| write(field, &mut out));
        for (number, database) in databases {
            out.bulk(format!("db.{number}"));
            out.map(3);
            for (name, bytes) in [
                ("overhead.hashtable.main", database.table_bytes),
                ("overhead.hashtable.expires", 0),
                ("overhead.hashtable.slot-to-keys", 0),
            ] {
                write(&(name, Figure::Bytes(bytes)), &mut out);
            }
        }
        after.iter().for_each(|field| write(field, &mut out));
        Ok(())
    })
}

type Figures = Vec<(&'static str, Figure)>;

/// What stands before the databases, and what behind them.
fn figures(report: &Report) -> (Figures, Figures) {
    use Figure::{Bytes, Ratio, Signed};
    let (clients, shards) = (&report.sums.clients, &report.sums.shards);
    let scripts = report.engine.scripts.cache.bytes();
    let functions = report.engine.scripts.libraries.current().bytes();
    let used = report.used_memory();
    let peak = report.shared.facts.peak_memory(used);
    let keys: u64 = shards.databases.iter().map(|database| database.keys).sum();
    let overhead = used - shards.used_bytes + shards.table_bytes;
    let dataset = used.saturating_sub(overhead);
    let Fragmentation {
        resident,
        ratio,
        bytes,
    } = Fragmentation::of(used);
    let percent = |part: u64, whole: u64| Ratio(part as f64 * 100.0 / whole.max(1) as f64);
    let before = vec![
        ("peak.allocated", Bytes(peak)),
        ("total.allocated", Bytes(used)),
        ("startup.allocated", Bytes(0)),
        ("replication.backlog", Bytes(shards.backlog_bytes)),
        ("clients.slaves", Bytes(clients.replica_bytes)),
        ("clients.normal", Bytes(clients.normal_bytes)),
        ("cluster.links", Bytes(0)),
        ("aof.buffer", Bytes(0)),
        ("lua.caches", Bytes(scripts as u64)),
        ("functions.caches", Bytes(functions as u64)),
    ];
    let after = vec![
        ("overhead.total", Bytes(overhead)),
        ("keys.count", Bytes(keys)),
        (
            "keys.bytes-per-key",
            Bytes(used.checked_div(keys).unwrap_or(0)),
        ),
        ("dataset.bytes", Bytes(dataset)),
        ("dataset.percentage", percent(dataset, used)),
        ("peak.percentage", percent(used, peak)),
        ("allocator.allocated", Bytes(used)),
        ("allocator.active", Bytes(resident)),
        ("allocator.resident", Bytes(resident)),
        ("allocator-fragmentation.ratio", Ratio(ratio)),
        ("allocator-fragmentation.bytes", Signed(bytes)),
        ("allocator-rss.ratio", Ratio(1.0)),
        ("allocator-rss.bytes", Bytes(0)),
        ("rss-overhead.ratio", Ratio(1.0)),
        ("rss-overhead.bytes", Bytes(0)),
        ("fragmentation", Ratio(ratio)),
        ("fragmentation.bytes", Signed(bytes)),
    ];
    (before, after)
}

fn doctor<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let report = Report::gather(session).await?;
        ReplyWriter::new(out, session.proto).verbatim(*b"txt", diagnosis(&report));
        Ok(())
    })
}

/// What is remarkable, a line each.
fn diagnosis(report: &Report) -> String {
    let used = report.used_memory();
    if used < SMALL_BYTES {
        return "Little memory is in use: there is nothing to be told of it yet.\n".to_owned();
    }
    let clients = &report.sums.clients;
    let peak = report.shared.facts.peak_memory(used);
    let Fragmentation {
        resident, ratio, ..
    } = Fragmentation::of(used);
    let mut found = Vec::new();
    if peak as f64 > used as f64 * HIGH_PEAK {
        found.push(format!(
            "peak: {} were in use once, {} are now; the allocator may keep some of the difference",
            human(peak),
            human(used)
        ));
    }
    if ratio > HIGH_RESIDENT && resident - used > HIGH_RESIDENT_BYTES {
        found.push(format!(
            "resident memory: {} for {} in use; buffers, threads and free places between allocations take the rest",
            human(resident),
            human(used)
        ));
    }
    if clients.normal_bytes / clients.normal.max(1) > BIG_CLIENT_BYTES {
        found.push(format!(
            "clients: their buffers take {}; see CLIENT LIST for who does not read its replies",
            human(clients.normal_bytes)
        ));
    }
    if clients.replica_bytes > BIG_REPLICA_BYTES {
        found.push(format!(
            "replicas: their buffers take {}",
            human(clients.replica_bytes)
        ));
    }
    if found.is_empty() {
        return "Nothing about the memory of this server is remarkable.\n".to_owned();
    }
    found.iter().map(|line| format!("* {line}\n")).collect()
}

/// The allocator has no report of its own; this is what the shards account for.
fn malloc_stats<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let report = Report::gather(session).await?;
        let (used, shards) = (report.used_memory(), &report.sums.shards);
        let Fragmentation { resident, .. } = Fragmentation::of(used);
        let text = format!(
            "allocator: mimalloc\nresident: {resident}\nused: {used}\nkeys and values: {}\ntables: {}\nfree slots of tables: {}\nbacklog: {}\nvalues to be freed: {}\n",
            shards.used_bytes - shards.table_bytes,
            shards.table_bytes,
            shards.free_slots_bytes,
            shards.backlog_bytes,
            shards.garbage,
        );
        ReplyWriter::new(out, session.proto).verbatim(*b"txt", text);
        Ok(())
    })
}

/// Frees what waits to be freed.
fn purge<'a>(session: &'a mut Session, _: &'a [&'a [u8]], out: &'a mut Vec<u8>) -> AsyncResult<'a> {
    Box::pin(async move {
        session
            .thread
            .on_all_threads(|thread| thread.clean_up())
            .await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    What is remarkable about the memory of the server.",
    "MALLOC-STATS",
    "    What the memory of the server is used for, as text.",
    "PURGE",
    "    Begins to free everything that waits to be freed.",
    "STATS",
    "    What the memory of the server is used for.",
    "USAGE <key> [SAMPLES <count>]",
    "    Bytes that <key> and its value take. Nothing is sampled: the count is exact.",
    "HELP",
    "    Prints this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    write_help(HELP, out);
    Ok(())
}

const TOLD: &str = "nondeterministic_output request_policy:all_shards response_policy:special";
const KEY: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

/// The row.
pub static COMMANDS: &[Command] = &[row(
    "memory",
    -2,
    Handler::Session(help),
    "A container for commands about memory.",
)
.container(SUBCOMMANDS)];

static SUBCOMMANDS: &[Command] = &[
    row(
        "doctor",
        2,
        Handler::Async(doctor),
        "Tells what is remarkable about memory.",
    )
    .hints(TOLD),
    row("help", 2, Handler::Session(help), "What MEMORY can do.")
        .with(Flags::LOADING.or(Flags::STALE)),
    row(
        "malloc-stats",
        2,
        Handler::Async(malloc_stats),
        "Tells what memory is used for, as text.",
    )
    .hints(TOLD),
    row(
        "purge",
        2,
        Handler::Async(purge),
        "Frees what waits to be freed.",
    )
    .hints("request_policy:all_shards response_policy:all_succeeded"),
    row(
        "stats",
        2,
        Handler::Async(stats),
        "Tells what memory is used for.",
    )
    .hints(TOLD),
    Command::new(
        "usage",
        -3,
        KEY,
        Group::Server,
        "4.0.0",
        Handler::Read(usage),
        "Bytes that a key and its value take.",
    )
    .access("RO")
    .takes("key [SAMPLES=count:integer]"),
];

const fn row(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Server,
        "4.0.0",
        handler,
        summary,
    )
}
