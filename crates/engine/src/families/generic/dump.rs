//! DUMP and RESTORE.

use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext};
use crate::families::options::{Words, integer, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_snapshot::{LastUse, RestoreError};
use damselfly_store::Value;

pub(super) fn dump(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    match cx.entry(args[1]) {
        Some(entry) => out.bulk(damselfly_snapshot::dump_value(entry.value())),
        None => out.null(),
    }
    Ok(())
}

/// RESTORE.
struct RestoreCommand<'a> {
    key: &'a [u8],
    payload: &'a [u8],
    time: &'a [u8],
    replace: bool,
    absolute: bool,
    used: LastUse,
}

impl<'a> RestoreCommand<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<RestoreCommand<'a>, CommandError> {
        let mut command = RestoreCommand {
            key: args[1],
            time: args[2],
            payload: args[3],
            replace: false,
            absolute: false,
            used: LastUse::Untold,
        };
        let mut words = Words::from(args, 4);
        while let Some(word) = words.next() {
            if is_word(word, "REPLACE") {
                command.replace = true;
            } else if is_word(word, "ABSTTL") {
                command.absolute = true;
            } else {
                command.used = usage_option(word, &mut words, command.used)?;
            }
        }
        Ok(command)
    }

    /// When the key shall expire.
    fn expire_at(&self, now: i64) -> Result<Option<i64>, CommandError> {
        match integer(self.time)? {
            ..0 => Err(CommandError::text("ERR Invalid TTL value, must be >= 0")),
            0 => Ok(None),
            ms if self.absolute => Ok(Some(ms)),
            ms => Ok(Some(ms.saturating_add(now))),
        }
    }

    fn value(&self) -> Result<Value, CommandError> {
        damselfly_snapshot::restore_value(self.payload).map_err(|error| match error {
            RestoreError::Footer(_) => {
                CommandError::text("ERR DUMP payload version or checksum are wrong")
            }
            _ => CommandError::text("ERR Bad data format"),
        })
    }

    fn run(&self, cx: &mut RewriteContext<'_>) -> CommandResult {
        if !self.replace && cx.exists(self.key) {
            return Err(CommandError::text(
                "BUSYKEY Target key name already exists.",
            ));
        }
        let expire_at = self.expire_at(cx.now())?;
        let value = self.value()?;
        if cx.has_passed(expire_at) {
            super::delete_key(cx, self.key);
            return Ok(());
        }
        cx.put(self.key, value, expire_at);
        let db = cx.db;
        cx.space().set_last_use(db, self.key, self.used);
        cx.modified(EventClass::Generic, "restore", self.key);
        let mut buffer = itoa::Buffer::new();
        let time = buffer.format(expire_at.unwrap_or(0)).as_bytes();
        let mut number = itoa::Buffer::new();
        let used: &[&[u8]] = match self.used {
            LastUse::Idle(idle_s) => &[b"IDLETIME", number.format(idle_s).as_bytes()],
            LastUse::Frequency(count) => &[b"FREQ", number.format(count).as_bytes()],
            LastUse::Untold => &[],
        };
        let line: [&[u8]; 6] = [
            b"RESTORE",
            self.key,
            time,
            self.payload,
            b"REPLACE",
            b"ABSTTL",
        ];
        cx.effect(&[&line, used].concat());
        Ok(())
    }
}

fn usage_option<'a>(
    word: &[u8],
    words: &mut Words<'a>,
    before: LastUse,
) -> Result<LastUse, CommandError> {
    if is_word(word, "IDLETIME") && !matches!(before, LastUse::Frequency(_)) {
        return match u64::try_from(integer(words.value()?)?) {
            Ok(idle_s) => Ok(LastUse::Idle(idle_s)),
            Err(_) => Err(CommandError::text(
                "ERR Invalid IDLETIME value, must be >= 0",
            )),
        };
    }
    if is_word(word, "FREQ") && !matches!(before, LastUse::Idle(_)) {
        return match u8::try_from(integer(words.value()?)?) {
            Ok(count) => Ok(LastUse::Frequency(count)),
            Err(_) => Err(CommandError::text(
                "ERR Invalid FREQ value, must be >= 0 and <= 255",
            )),
        };
    }
    Err(CommandError::Syntax)
}

pub(super) fn restore(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    RestoreCommand::parse(args)?.run(cx)?;
    out.ok();
    Ok(())
}
