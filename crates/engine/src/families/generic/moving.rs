//! Keys that get another name or another database.

use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::options::{Words, db_index, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::DbIndex;

const SAME_OBJECT: CommandError =
    CommandError::text("ERR source and destination objects are the same");

pub(super) fn rename(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (from, to) = (args[1], args[2]);
    if !cx.exists(from) {
        return Err(CommandError::NoSuchKey);
    }
    if from != to {
        move_name(cx, from, to);
    }
    out.ok();
    Ok(())
}

pub(super) fn renamenx(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (from, to) = (args[1], args[2]);
    if !cx.exists(from) {
        return Err(CommandError::NoSuchKey);
    }
    let free = !cx.exists(to);
    if free {
        move_name(cx, from, to);
    }
    out.integer(free.into());
    Ok(())
}

fn move_name(cx: &mut WriteContext<'_>, from: &[u8], to: &[u8]) {
    if let Some((value, expire_at)) = cx.take(from) {
        let replaced = cx.exists(to);
        cx.put(to, value, expire_at);
        if replaced {
            // It is deleted and made anew, to whoever is told.
            cx.notify(EventClass::New, "new", to);
        }
        cx.modified(EventClass::Generic, "rename_from", from);
        cx.modified(EventClass::Generic, "rename_to", to);
    }
}

pub(super) fn move_key(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, from) = (args[1], cx.db);
    let to = db_index(args[2], cx.dbnum())?;
    if to == from {
        return Err(SAME_OBJECT);
    }
    let moves = cx.exists(key) && !exists_in(cx, to, key);
    if moves && let Some((value, expire_at)) = cx.take(key) {
        cx.put_in(to, key, value, expire_at);
        cx.modified(EventClass::Generic, "move_from", key);
        cx.modified_in(to, EventClass::Generic, "move_to", key);
        cx.effect(args);
    }
    out.integer(moves.into());
    Ok(())
}

/// Whether the key is there and alive. One that has expired is deleted, so that the effects find what the command found.
fn exists_in(cx: &mut RewriteContext<'_>, db: DbIndex, key: &[u8]) -> bool {
    let Some(expire_at) = cx.space().store.get(db, key).map(|entry| entry.expire_at()) else {
        return false;
    };
    let expired = cx.has_passed(expire_at);
    if expired {
        cx.expire_in(db, key);
    }
    !expired
}

/// COPY.
struct CopyCommand<'a> {
    from: &'a [u8],
    to: &'a [u8],
    to_db: DbIndex,
    replace: bool,
}

impl<'a> CopyCommand<'a> {
    fn parse(args: &[&'a [u8]], db: DbIndex, dbnum: u16) -> Result<CopyCommand<'a>, CommandError> {
        let mut command = CopyCommand {
            from: args[1],
            to: args[2],
            to_db: db,
            replace: false,
        };
        let mut words = Words::from(args, 3);
        while let Some(word) = words.next() {
            if is_word(word, "REPLACE") {
                command.replace = true;
            } else if is_word(word, "DB") {
                command.to_db = db_index(words.value()?, dbnum)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if command.to_db == db && command.from == command.to {
            Err(SAME_OBJECT)
        } else {
            Ok(command)
        }
    }

    fn run(&self, cx: &mut RewriteContext<'_>) -> bool {
        let Some(source) = cx.source_entry(self.from) else {
            return false;
        };
        let (value, expire_at) = (source.value().clone(), source.expire_at());
        let replaced = exists_in(cx, self.to_db, self.to);
        if replaced && !self.replace {
            return false;
        }
        cx.put_in(self.to_db, self.to, value, expire_at);
        if replaced {
            cx.notify_in(self.to_db, EventClass::New, "new", self.to);
        }
        cx.modified_in(self.to_db, EventClass::Generic, "copy_to", self.to);
        true
    }
}

pub(super) fn copy(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let copied = CopyCommand::parse(args, cx.db, cx.dbnum())?.run(cx);
    if copied {
        cx.effect(args);
    }
    out.integer(copied.into());
    Ok(())
}
