//! When keys expire.

use super::keys::delete_key;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext, WriteContext};
use crate::families::options::{TimeForm, Unit, Words, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::UnixMs;

/// EXPIRE and its relatives.
struct ExpireCommand<'a> {
    key: &'a [u8],
    at: UnixMs,
    conditions: Conditions,
}

/// When the expiry is to be set at all.
#[derive(Default)]
struct Conditions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Conditions {
    fn parse(args: &[&[u8]]) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for word in Words::from(args, 3) {
            *conditions.named(word)? = true;
        }
        conditions.check()?;
        Ok(conditions)
    }

    fn named(&mut self, word: &[u8]) -> Result<&mut bool, CommandError> {
        if is_word(word, "NX") {
            Ok(&mut self.if_none)
        } else if is_word(word, "XX") {
            Ok(&mut self.if_any)
        } else if is_word(word, "GT") {
            Ok(&mut self.if_later)
        } else if is_word(word, "LT") {
            Ok(&mut self.if_earlier)
        } else {
            Err(CommandError::echo("ERR Unsupported option ", word, ""))
        }
    }

    fn check(&self) -> CommandResult {
        if self.if_none && (self.if_any || self.if_later || self.if_earlier) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if self.if_later && self.if_earlier {
            return Err(CommandError::text(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(())
    }

    /// Never counts as infinitely late.
    fn hold(&self, now: Option<UnixMs>, wanted: UnixMs) -> bool {
        (!self.if_none || now.is_none())
            && (!self.if_any || now.is_some())
            && (!self.if_later || now.is_some_and(|now| wanted > now))
            && (!self.if_earlier || now.is_none_or(|now| wanted < now))
    }
}

impl<'a> ExpireCommand<'a> {
    fn parse(
        args: &[&'a [u8]],
        form: TimeForm,
        name: &str,
        now: UnixMs,
    ) -> Result<ExpireCommand<'a>, CommandError> {
        let conditions = Conditions::parse(args)?;
        Ok(ExpireCommand {
            key: args[1],
            at: form.any(args[2], now, name)?,
            conditions,
        })
    }

    fn run(&self, cx: &mut RewriteContext<'_>) -> bool {
        let Some(now) = cx.entry(self.key).map(|entry| entry.expire_at()) else {
            return false;
        };
        let holds = self.conditions.hold(now, self.at);
        if holds {
            expire_key(cx, self.key, self.at);
        }
        holds
    }
}

/// Sets the expiry of a key that is there, or deletes it if that lies in the past; with its event and its effect.
pub(in crate::families) fn expire_key(cx: &mut RewriteContext<'_>, key: &[u8], at: UnixMs) {
    if cx.has_passed(Some(at)) {
        delete_key(cx, key);
    } else if cx.expire_at(key) != Some(at) {
        cx.set_expiry(key, Some(at));
        cx.modified(EventClass::Generic, "expire", key);
        cx.effect(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}

/// Takes the expiry of a key away, with its event. Whether it had one.
pub(in crate::families) fn persist_key(cx: &mut WriteContext<'_>, key: &[u8]) -> bool {
    let expires = cx.expire_at(key).is_some();
    if expires {
        cx.set_expiry(key, None);
        cx.modified(EventClass::Generic, "persist", key);
    }
    expires
}

macro_rules! expire_handler {
    ($($name:ident, $form:expr;)*) => {$(
        pub(super) fn $name(cx: &mut RewriteContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
            let done = ExpireCommand::parse(args, $form, stringify!($name), cx.now())?.run(cx);
            out.integer(done.into());
            Ok(())
        }
    )*};
}
expire_handler! {
    expire, TimeForm::EX;
    pexpire, TimeForm::PX;
    expireat, TimeForm::EXAT;
    pexpireat, TimeForm::PXAT;
}

pub(super) fn persist(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(persist_key(cx, args[1]).into());
    Ok(())
}

/// The time of a key's expiry in a form: -1 where it never expires, -2 where there is no key.
fn tell(
    cx: &ReadContext<'_>,
    key: &[u8],
    form: TimeForm,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(match cx.peek(key).map(|entry| entry.expire_at()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => {
            let ms = if form.absolute {
                at
            } else {
                at.saturating_sub(cx.now())
            }
            .max(0);
            if form.unit == Unit::Seconds {
                ms.saturating_add(500) / 1000
            } else {
                ms
            }
        }
    });
    Ok(())
}

macro_rules! time_handler {
    ($($name:ident, $form:expr;)*) => {$(
        pub(super) fn $name(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
            tell(cx, args[1], $form, out)
        }
    )*};
}
time_handler! {
    ttl, TimeForm::EX;
    pttl, TimeForm::PX;
    expiretime, TimeForm::EXAT;
    pexpiretime, TimeForm::PXAT;
}
