//! GET, GETDEL, GETEX.

use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext};
use crate::families::generic::{delete_key, expire_key, persist_key};
use crate::families::options::{TimeForm, Words, is_word};
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};

/// The string, or null.
#[inline]
pub(super) fn reply_string(string: Option<&StrValue>, out: &mut ReplyWriter<'_>) {
    match string {
        Some(string) => out.bulk(string.read(&mut [0; INT_TEXT_MAX])),
        None => out.null(),
    }
}

pub(super) fn get(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    reply_string(cx.typed(args[1])?, out);
    Ok(())
}

pub(super) fn getdel(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    reply_string(cx.source(args[1])?, out);
    delete_key(cx, args[1]);
    Ok(())
}

/// What GETEX does to the expiry.
enum Change<'a> {
    None,
    Remove,
    Set(TimeForm, &'a [u8]),
}

impl<'a> Change<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Change<'a>, CommandError> {
        let mut change = Change::None;
        let mut words = Words::from(args, 2);
        while let Some(word) = words.next() {
            change = match change {
                Change::None | Change::Remove if is_word(word, "PERSIST") => Change::Remove,
                Change::Remove => return Err(CommandError::Syntax),
                other => other.with_time(word, &mut words)?,
            };
        }
        Ok(change)
    }

    /// The same time option may come again, and the last counts; another may not.
    fn with_time(self, word: &'a [u8], words: &mut Words<'a>) -> Result<Change<'a>, CommandError> {
        let form = TimeForm::of_word(word).ok_or(CommandError::Syntax)?;
        match self {
            Change::Set(other, _) if other != form => Err(CommandError::Syntax),
            _ => Ok(Change::Set(form, words.value()?)),
        }
    }
}

pub(super) fn getex(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    let change = Change::parse(args)?;
    let Some(string) = cx.source::<StrValue>(key)? else {
        out.null();
        return Ok(());
    };
    let at = match change {
        Change::Set(form, text) => Some(form.positive(text, cx.now(), "getex")?),
        _ => None,
    };
    reply_string(Some(string), out);
    match (change, at) {
        (_, Some(at)) => expire_key(cx, key, at),
        (Change::Remove, None) if persist_key(cx, key) => cx.effect(&[b"PERSIST", key]),
        _ => {}
    }
    Ok(())
}
