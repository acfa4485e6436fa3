//! XADD, XTRIM, XDEL and XSETID.

use super::ids::{self, IdText, NewId, write_id};
use super::trim_args::{AddArgs, parse_trim};
use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::options::{Words, integer, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::Value;
use damselfly_store::values::stream::{AppendError, Stream, StreamId};
use smallvec::SmallVec;

const NOT_GREATER: CommandError = CommandError::text(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);
const TOO_LARGE: CommandError = CommandError::text("ERR Elements are too large to be stored");

/// What XADD has done.
struct Added {
    id: StreamId,
    trimmed: usize,
    /// How many entries there are now.
    left: usize,
}

impl AddArgs<'_> {
    /// Adds the entry, and trims.
    fn apply(&self, stream: &mut Stream, now_ms: u64) -> Result<Added, CommandError> {
        let last = stream.last_id();
        if last == StreamId::MAX {
            return Err(CommandError::text(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        // Redis has this error for a millisecond without ids, too.
        let id = self.id.choose(last, now_ms).ok_or(TOO_LARGE)?;
        let pairs = self.pairs.iter().map(|[field, value]| (*field, *value));
        stream.append(id, pairs).map_err(|error| match error {
            AppendError::NotGreater => NOT_GREATER,
            _ => TOO_LARGE,
        })?;
        Ok(Added {
            id,
            trimmed: self.trim.map_or(0, |trim| stream.trim(trim)),
            left: stream.len(),
        })
    }

    /// The record of it: with the id that was chosen, and the length that the trim has left.
    fn record(&self, cx: &mut RewriteContext<'_>, key: &[u8], added: &Added) {
        let (id, left) = (IdText::of(added.id), added.left.to_string());
        let mut record: SmallVec<[&[u8]; 16]> = SmallVec::from_slice(&[b"XADD", key]);
        if added.trimmed > 0 {
            record.extend_from_slice(&[b"MAXLEN", b"=", left.as_bytes()]);
        }
        record.push(id.as_ref());
        record.extend_from_slice(self.pairs.as_flattened());
        cx.effect(&record);
    }
}

/// Adds the entry to the stream, which is made if it may be. `None`: there is none.
fn apply_or_create(
    cx: &mut WriteContext<'_>,
    key: &[u8],
    add: &AddArgs<'_>,
    now_ms: u64,
) -> Result<Option<Added>, CommandError> {
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)? {
        return add.apply(&mut stream, now_ms).map(Some);
    }
    if !add.makes {
        return Ok(None);
    }
    let mut stream = Stream::new();
    let added = add.apply(&mut stream, now_ms)?;
    cx.put(key, Value::from(stream), None);
    Ok(Some(added))
}

pub(super) fn xadd(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, now_ms) = (args[1], cx.now().unsigned_abs());
    let add = AddArgs::parse(args, cx.replays)?;
    if add.id == NewId::Exact(StreamId::MIN) {
        return Err(CommandError::text(
            "ERR The ID specified in XADD must be greater than 0-0",
        ));
    }
    let Some(added) = apply_or_create(cx, key, &add, now_ms)? else {
        out.null();
        return Ok(());
    };
    write_id(out, added.id);
    cx.modified(EventClass::Stream, "xadd", key);
    if added.trimmed > 0 {
        cx.notify(EventClass::Stream, "xtrim", key);
    }
    add.record(cx, key, &added);
    Ok(())
}

pub(super) fn xtrim(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, trim) = (args[1], parse_trim(args, cx.replays)?);
    let (trimmed, left) = match cx.typed_mut::<Stream>(key)? {
        Some(mut stream) => (stream.trim(trim), stream.len()),
        None => (0, 0),
    };
    if trimmed > 0 {
        cx.modified(EventClass::Stream, "xtrim", key);
        cx.effect(&[b"XTRIM", key, b"MAXLEN", b"=", left.to_string().as_bytes()]);
    }
    out.integer(trimmed as i64);
    Ok(())
}

pub(super) fn xdel(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    if cx.typed::<Stream>(key)?.is_none() {
        out.integer(0);
        return Ok(());
    }
    let ids = ids::exact_all(&args[2..])?;
    let mut deleted = 0;
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)? {
        deleted = ids.iter().filter(|id| stream.delete(**id)).count();
    }
    if deleted > 0 {
        cx.modified(EventClass::Stream, "xdel", key);
    }
    out.integer(deleted as i64);
    Ok(())
}

/// The arguments of XSETID.
struct SetIdArgs {
    last: StreamId,
    added: Option<u64>,
    max_deleted: StreamId,
}

impl SetIdArgs {
    fn parse(args: &[&[u8]]) -> Result<SetIdArgs, CommandError> {
        let mut parsed = SetIdArgs {
            last: ids::exact(args[2])?,
            added: None,
            max_deleted: StreamId::MIN,
        };
        let mut words = Words::from(args, 3);
        while let Some(word) = words.next() {
            if is_word(word, "ENTRIESADDED") && words.left() > 0 {
                let added = u64::try_from(integer(words.value()?)?);
                parsed.added = Some(
                    added.map_err(|_| CommandError::text("ERR entries_added must be positive"))?,
                );
            } else if is_word(word, "MAXDELETEDID") && words.left() > 0 {
                parsed.max_deleted = ids::exact(words.value()?)?;
                if parsed.last < parsed.max_deleted {
                    return Err(CommandError::text(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(parsed)
    }

    fn check(&self, stream: &Stream) -> CommandResult {
        if stream.last().is_some_and(|entry| self.last < entry.id()) {
            return Err(CommandError::text(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if self.added.is_some_and(|added| added < stream.len() as u64) {
            return Err(CommandError::text(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
        Ok(())
    }
}

pub(super) fn xsetid(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, new) = (args[1], SetIdArgs::parse(args)?);
    let found = cx.typed::<Stream>(key)?;
    new.check(found.ok_or(CommandError::NoSuchKey)?)?;
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)? {
        stream.set_last_id(new.last);
        if let Some(added) = new.added {
            stream.set_entries_added(added);
        }
        if new.max_deleted != StreamId::MIN {
            stream.set_max_deleted_id(new.max_deleted);
        }
    }
    cx.modified_unwatched(key);
    cx.notify(EventClass::Stream, "xsetid", key);
    out.ok();
    Ok(())
}
