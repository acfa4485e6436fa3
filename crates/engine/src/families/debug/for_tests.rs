//! What the tests of Redis ask of DEBUG.

use super::encoding_name;
use crate::command::{CommandError, CommandResult};
use crate::engine::new_replid;
use crate::families::glob::Glob;
use crate::session::{AsyncResult, Session};
use damselfly_replication::Lineage;
use damselfly_resp::{ReplyWriter, parse_i64};

/// Longest string that STRINGMATCH-LEN makes.
const MAX_MATCHED: usize = 1 << 20;
/// Largest threshold of packed elements in Redis.
const MAX_PACKED: u64 = (1 << 32) - (1 << 20);

/// From here on what replicas know of the history is no longer true: who comes back gets all data. Links that stand go on.
pub(super) fn change_repl_id(
    session: &mut Session,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    tracing::warn!("the replication ids change, because DEBUG CHANGE-REPL-ID says so");
    let engine = &session.thread.engine;
    engine.change_lineage(|lineage| *lineage = Lineage::new(new_replid()));
    out.ok();
    Ok(())
}

pub(super) fn error(_: &mut Session, args: &[&[u8]], _: &mut ReplyWriter<'_>) -> CommandResult {
    Err(CommandError::echo("", args[2], ""))
}

pub(super) fn log(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args[2]));
    out.ok();
    Ok(())
}

pub(super) fn packed_threshold(
    _: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    if memory(args[2]).is_none_or(|bytes| bytes > MAX_PACKED) {
        return Err(CommandError::text(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        ));
    }
    out.ok();
    Ok(())
}

/// An amount of memory, such as `10`, `100b`, `1k` (1,000) or `1kb` (1,024).
fn memory(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

pub(super) fn stringmatch(
    _: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let len = parse_i64(args[2]).and_then(|len| usize::try_from(len).ok());
    let len = len.filter(|len| *len <= MAX_MATCHED);
    let text = vec![b'a'; len.ok_or(CommandError::NotInteger)?];
    std::hint::black_box(Glob::new(args[3]).matches(&text));
    out.ok();
    Ok(())
}

pub(super) fn listpack<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let (db, key) = (session.db, args[2].to_vec());
        let shard = session.thread.engine.mesh.shard_of(&key);
        let found = session.thread.on_shard(shard, move |core| {
            let entry = core.space.live(db, &key)?;
            Some(encoding_name(entry.value()) == "listpack")
        });
        if !found.await.ok_or(CommandError::NoSuchKey)? {
            return Err(CommandError::text("ERR Not a listpack encoded object."));
        }
        ReplyWriter::new(out, session.proto).simple("Listpack structure printed on stdout");
        Ok(())
    })
}
