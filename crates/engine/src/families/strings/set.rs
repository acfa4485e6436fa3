//! SET and what it took the place of.

use super::get::reply_string;
use crate::command::{CommandError, CommandResult};
use crate::context::{RewriteContext, WriteContext};
use crate::families::generic::delete_key;
use crate::families::options::{TimeForm, Words, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::{StrValue, UnixMs, Value};

/// Whether SET depends on the key being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

/// What becomes of the key's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Clear,
    Keep,
    At(UnixMs),
}

/// SET with options.
struct SetCommand<'a> {
    key: &'a [u8],
    value: &'a [u8],
    condition: Condition,
    get: bool,
    keep_expiry: bool,
    time: Option<(TimeForm, &'a [u8])>,
}

impl<'a> SetCommand<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<SetCommand<'a>, CommandError> {
        let mut command = SetCommand {
            key: args[1],
            value: args[2],
            condition: Condition::Always,
            get: false,
            keep_expiry: false,
            time: None,
        };
        let mut words = Words::from(args, 3);
        while let Some(word) = words.next() {
            command.option(word, &mut words)?;
        }
        Ok(command)
    }

    fn option(&mut self, word: &'a [u8], words: &mut Words<'a>) -> CommandResult {
        if is_word(word, "NX") && self.condition != Condition::IfPresent {
            self.condition = Condition::IfAbsent;
        } else if is_word(word, "XX") && self.condition != Condition::IfAbsent {
            self.condition = Condition::IfPresent;
        } else if is_word(word, "GET") {
            self.get = true;
        } else if is_word(word, "KEEPTTL") && self.time.is_none() {
            self.keep_expiry = true;
        } else {
            let form = TimeForm::of_word(word)
                .filter(|_| !self.keep_expiry)
                .ok_or(CommandError::Syntax)?;
            if self.time.is_some_and(|(other, _)| other != form) {
                return Err(CommandError::Syntax);
            }
            self.time = Some((form, words.value()?));
        }
        Ok(())
    }

    fn run(&self, cx: &mut RewriteContext<'_>, out: &mut ReplyWriter<'_>) -> CommandResult {
        let expiry = match self.time {
            Some((form, text)) => Expiry::At(form.positive(text, cx.now(), "set")?),
            None if self.keep_expiry => Expiry::Keep,
            None => Expiry::Clear,
        };
        if self.get {
            reply_string(cx.source(self.key)?, out);
        }
        let wanted = match self.condition {
            Condition::Always => true,
            Condition::IfAbsent => !cx.exists(self.key),
            Condition::IfPresent => cx.exists(self.key),
        };
        if wanted {
            store(cx, self.key, self.value, expiry);
        }
        match (self.get, wanted) {
            (true, _) => {}
            (false, true) => out.ok(),
            (false, false) => out.null(),
        }
        Ok(())
    }
}

/// Puts the string there, with its event and its effect.
fn store(cx: &mut RewriteContext<'_>, key: &[u8], value: &[u8], expiry: Expiry) {
    match expiry {
        Expiry::Clear => {
            put(cx, key, value);
            cx.effect(&[b"SET", key, value]);
        }
        Expiry::Keep => {
            cx.put_keeping_expiry(key, Value::string(value));
            cx.modified(EventClass::String, "set", key);
            cx.effect(&[b"SET", key, value, b"KEEPTTL"]);
        }
        // It would be gone at once: only what was there before is.
        Expiry::At(at) if cx.has_passed(Some(at)) => delete_key(cx, key),
        Expiry::At(at) => {
            cx.put(key, Value::string(value), Some(at));
            cx.modified(EventClass::String, "set", key);
            cx.notify(EventClass::Generic, "expire", key);
            cx.effect(&[
                b"SET",
                key,
                value,
                b"PXAT",
                itoa::Buffer::new().format(at).as_bytes(),
            ]);
        }
    }
}

/// Puts a string without expiry there.
pub(super) fn put(cx: &mut WriteContext<'_>, key: &[u8], value: &[u8]) {
    cx.put(key, Value::string(value), None);
    cx.modified(EventClass::String, "set", key);
}

/// What a command line of SET does to its key: with GET it reads it, too.
pub(super) fn access(args: &[&[u8]]) -> &'static str {
    match args.iter().skip(3).any(|word| is_word(word, "GET")) {
        true => "RW access update",
        false => "OW update",
    }
}

pub(super) fn set(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    if let [_, key, value] = args {
        put(cx, key, value);
        cx.effect(args);
        out.ok();
        return Ok(());
    }
    SetCommand::parse(args)?.run(cx, out)
}

pub(super) fn setnx(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let absent = !cx.exists(args[1]);
    if absent {
        put(cx, args[1], args[2]);
    }
    out.integer(absent.into());
    Ok(())
}

pub(super) fn setex(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    set_for(TimeForm::EX, "setex", cx, args, out)
}

pub(super) fn psetex(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    set_for(TimeForm::PX, "psetex", cx, args, out)
}

fn set_for(
    form: TimeForm,
    command: &str,
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let at = form.positive(args[2], cx.now(), command)?;
    store(cx, args[1], args[3], Expiry::At(at));
    out.ok();
    Ok(())
}

pub(super) fn getset(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    reply_string(cx.source::<StrValue>(args[1])?, out);
    store(cx, args[1], args[2], Expiry::Clear);
    Ok(())
}
