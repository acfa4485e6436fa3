//! DEBUG: what tests and operators look behind the curtain with.

mod for_tests;
mod populate;

use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Keys, echoed};
use crate::digest::{self, Digest, Strictness};
use crate::session::{AsyncResult, Session, UNKNOWN_ECHO_BYTES};
use damselfly_resp::ReplyWriter;
use damselfly_store::Value;
use std::time::Duration;

/// Longest DEBUG SLEEP, in seconds.
const MAX_SLEEP_S: f64 = 86_400.0;

fn digest<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let strictness = match args.get(2) {
            None => Strictness::Redis,
            Some(word) if word.eq_ignore_ascii_case(b"STRICT") => Strictness::Strict,
            Some(_) => return Err(wrong_line(args)),
        };
        if args.len() > 3 {
            return Err(wrong_line(args));
        }
        let digest = digest::of_engine(&session.thread, strictness).await;
        ReplyWriter::new(out, session.proto).simple(digest.to_string());
        Ok(())
    })
}

fn digest_value<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let mut found = Vec::with_capacity(args.len());
        for key in &args[2..] {
            let (db, key) = (session.db, key.to_vec());
            let shard = session.thread.engine.mesh.shard_of(&key);
            let digest = session
                .thread
                .on_shard(shard, move |core| {
                    let entry = core.space.live(db, &key);
                    entry.map(|entry| {
                        Digest::of_value(entry.value(), entry.expire_at(), Strictness::Redis)
                    })
                })
                .await;
            found.push(digest.unwrap_or_default());
        }
        let mut out = ReplyWriter::new(out, session.proto);
        out.array(found.len());
        found
            .iter()
            .for_each(|digest| out.simple(digest.to_string()));
        Ok(())
    })
}

fn object<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let (db, key) = (session.db, args[2].to_vec());
        let shard = session.thread.engine.mesh.shard_of(&key);
        let line = session.thread.on_shard(shard, move |core| {
            let entry = core.space.live(db, &key)?;
            let value = entry.value();
            Some(format!(
                "Value at:0x{:x} refcount:1 encoding:{} serializedlength:{} lru:0 lru_seconds_idle:0 kind:{} heap:{}",
                std::ptr::from_ref(value).addr(),
                encoding_name(value),
                damselfly_snapshot::dump_value(value).len().saturating_sub(10),
                value.kind().name(),
                value.heap_size(),
            ))
        });
        let line = line.await.ok_or(CommandError::NoSuchKey)?;
        ReplyWriter::new(out, session.proto).simple(line);
        Ok(())
    })
}

/// The name of the encoding that Redis would use.
pub fn encoding_name(value: &Value) -> &'static str {
    match value {
        Value::Str(string) if string.as_int().is_some() => "int",
        Value::Str(string) if string.len() <= EMBSTR_BYTES => "embstr",
        Value::Str(_) => "raw",
        Value::List(list) => list.redis_encoding(),
        Value::Hash(hash) => hash.redis_encoding(),
        Value::Set(set) => set.redis_encoding(),
        Value::ZSet(zset) => zset.redis_encoding(),
        Value::Stream(stream) => stream.redis_encoding(),
        _ => "unknown",
    }
}

/// Longest string that Redis stores in one piece with its object.
const EMBSTR_BYTES: usize = 44;

fn sleep<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        // As in Redis what is no number is none at all.
        let seconds = damselfly_resp::parse_f64(args[2]).unwrap_or(0.0).max(0.0);
        if !(0.0..=MAX_SLEEP_S).contains(&seconds) {
            return Err(CommandError::text(
                "ERR the time to sleep is out of range (0 to 86400 seconds)",
            ));
        }
        // Like the original it stops everything: that is what it is for.
        let time = Duration::from_secs_f64(seconds);
        session
            .thread
            .on_all_threads(move |_| std::thread::sleep(time))
            .await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn set_active_expire<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let on = damselfly_resp::parse_i64(args[2]).is_some_and(|number| number != 0);
        session
            .thread
            .on_all_shards(move |core| core.expires = on)
            .await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn clock(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let by_ms = damselfly_resp::parse_i64(args[2]).ok_or(CommandError::NotInteger)?;
    crate::world::shift_clock(by_ms);
    session.thread.tick();
    out.ok();
    Ok(())
}

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Change the replication ids, so that replicas that come back need a full sync.",
    "CLOCK <milliseconds>",
    "    Let the server's time of day be so much later than it is (earlier, if negative).",
    "DIGEST [STRICT]",
    "    Output a hex signature of the whole data set; STRICT: expiry times count to the millisecond.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of the keys.",
    "ERROR <string>",
    "    Answer with this error.",
    "LISTPACK <key>",
    "    Say whether Redis would hold the value in a listpack.",
    "LOG <message>",
    "    Write the message to the server's log.",
    "OBJECT <key>",
    "    Show low level info about a key's value.",
    "POPULATE <count> [<prefix>] [<size>] [RAND] [TYPE <type>] [ELEMENTS <n>]",
    "    Create <count> keys named <prefix>:<number>.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Taken as Redis takes it, without effect: elements of any size are stored alike here.",
    "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
    "    Save the data set to files, discard it, and load it from there. NOSAVE: load what was saved last; NOFLUSH MERGE:",
    "    discard nothing, and replace only keys that the files have.",
    "REPLICA <OFFSET|PAUSE|RESUME|SKIPPED>",
    "    Show the link's number and the executed LSN of each flow; stop or go on reading from the primary; list what was",
    "    passed over of its data because it is not known here: database, key, what and why, how often.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Turn the deletion of expired keys in the background off or on.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>.",
    "STRINGMATCH-LEN <len> <pattern>",
    "    Match the pattern against a string of so many letters a.",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

/// What fits no subcommand.
fn unknown(_: &mut Session, args: &[&[u8]], _: &mut ReplyWriter<'_>) -> CommandResult {
    Err(wrong_line(args))
}

pub(super) fn wrong_line(args: &[&[u8]]) -> CommandError {
    let word = echoed(args[1], UNKNOWN_ECHO_BYTES);
    CommandError::echo(
        "ERR unknown subcommand or wrong number of arguments for '",
        word,
        "'. Try DEBUG HELP.",
    )
}

static SUBCOMMANDS: &[Command] = &[
    sub(
        "change-repl-id",
        2,
        Handler::Session(for_tests::change_repl_id),
        "Makes the history of the data set another one.",
    ),
    sub(
        "error",
        3,
        Handler::Session(for_tests::error),
        "Answers with an error.",
    )
    .takes("message"),
    sub(
        "listpack",
        3,
        Handler::Async(for_tests::listpack),
        "Whether Redis would hold a value in a listpack.",
    )
    .takes("key"),
    sub(
        "log",
        3,
        Handler::Session(for_tests::log),
        "Writes to the log.",
    )
    .takes("message"),
    sub(
        "quicklist-packed-threshold",
        3,
        Handler::Session(for_tests::packed_threshold),
        "Taken, without effect.",
    )
    .takes("size"),
    sub(
        "stringmatch-len",
        4,
        Handler::Session(for_tests::stringmatch),
        "Matches a pattern against a long string.",
    )
    .takes("length:integer pattern"),
    sub(
        "clock",
        3,
        Handler::Session(clock),
        "Shifts the server's time of day.",
    )
    .takes("milliseconds:integer"),
    sub(
        "digest",
        -2,
        Handler::Async(digest),
        "A hash of the whole data set.",
    )
    .takes("[STRICT]"),
    sub(
        "digest-value",
        -2,
        Handler::Async(digest_value),
        "Hashes of the values of keys.",
    )
    .takes("[key...]"),
    sub(
        "object",
        3,
        Handler::Async(object),
        "How a value is stored.",
    )
    .takes("key"),
    sub(
        "populate",
        -3,
        Handler::Async(populate::populate),
        "Creates many keys.",
    )
    .takes("count:integer [prefix] [size:integer] [RAND] [TYPE=type] [ELEMENTS=elements:integer]"),
    sub(
        "reload",
        -2,
        Handler::Async(crate::files::debug_reload),
        "Saves the data set, discards it, and loads it.",
    )
    .takes("[option...]"),
    sub(
        "sleep",
        3,
        Handler::Async(sleep),
        "Stops the server for a time.",
    )
    .takes("seconds:double"),
    sub(
        "replica",
        3,
        Handler::Async(crate::replicate::debug_replica),
        "The link to the primary, from inside.",
    )
    .takes("action(OFFSET|PAUSE|RESUME|SKIPPED)"),
    sub(
        "set-active-expire",
        3,
        Handler::Async(set_active_expire),
        "Turns active expiry off or on.",
    )
    .takes("enabled:integer"),
    sub("help", 2, Handler::Session(help), "Says what there is."),
];

/// The rows.
pub static COMMANDS: &[Command] = &[sub(
    "debug",
    -2,
    Handler::Session(unknown),
    "A container for debugging commands.",
)
.with(Flags::LOOSE_SUBCOMMANDS)
.container(SUBCOMMANDS)
.with(Flags::SYSTEM)];

const fn sub(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    let flags = Flags::ADMIN
        .or(Flags::NO_SCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE);
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Server,
        "1.0.0",
        handler,
        summary,
    )
    .with(flags)
}
