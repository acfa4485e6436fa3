//! When fields of hashes expire, as in Redis 7.4.

use super::fields_now;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext, WriteContext};
use crate::families::collections::{at_least, removed};
use crate::families::options::{TimeForm, Unit, integer, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::UnixMs;
use damselfly_store::values::{Expiring, Hash};

/// The latest time that clients may set, in Unix milliseconds: a quarter of what Redis can store.
const MAX_MS: UnixMs = ((1 << 48) - 2) >> 2;

/// Answers for one field.
mod answer {
    /// There is no such field.
    pub(super) const NO_FIELD: i64 = -2;
    /// It never expires.
    pub(super) const NO_EXPIRY: i64 = -1;
    /// The condition does not hold.
    pub(super) const NOT_MET: i64 = 0;
    /// Done.
    pub(super) const DONE: i64 = 1;
    /// Its time has passed: it is gone.
    pub(super) const DELETED: i64 = 2;
}

/// When an expiry is to be set at all.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    IfNone,
    IfAny,
    IfLater,
    IfEarlier,
}

impl Condition {
    /// The condition that this word names.
    fn named(word: &[u8]) -> Option<Condition> {
        let all = [
            ("NX", Condition::IfNone),
            ("XX", Condition::IfAny),
            ("GT", Condition::IfLater),
            ("LT", Condition::IfEarlier),
        ];
        let found = all.into_iter().find(|(name, _)| is_word(word, name));
        found.map(|(_, condition)| condition)
    }

    /// Never counts as infinitely late.
    fn holds(self, old: Option<UnixMs>, new: UnixMs) -> bool {
        match self {
            Condition::Always => true,
            Condition::IfNone => old.is_none(),
            Condition::IfAny => old.is_some(),
            Condition::IfLater => old.is_some_and(|old| new > old),
            Condition::IfEarlier => old.is_none_or(|old| new < old),
        }
    }
}

/// The fields of `FIELDS number field…`, which stands at `at`; a bad number is an error with this text.
pub(super) fn fields_at<'a>(
    args: &'a [&'a [u8]],
    at: usize,
    bad_number: &'static str,
) -> Result<&'a [&'a [u8]], CommandError> {
    let (Some(word), Some(number)) = (args.get(at), args.get(at + 1)) else {
        return Err(NO_FIELDS);
    };
    if !is_word(word, "FIELDS") {
        return Err(NO_FIELDS);
    }
    let number = at_least(number, 1, bad_number)?;
    let fields = &args[at + 2..];
    if fields.len() as u64 != number as u64 {
        return Err(CommandError::text(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

const NO_FIELDS: CommandError =
    CommandError::text("ERR Mandatory argument FIELDS is missing or not at the right position");
/// What most of the family says of a bad number.
pub(super) const BAD_NUMBER: &str = "ERR Number of fields must be a positive integer";

/// The time that an argument means.
pub(super) fn time(
    arg: &[u8],
    form: TimeForm,
    now: UnixMs,
    command: &str,
) -> Result<UnixMs, CommandError> {
    let number = integer(arg)?;
    if number < 0 {
        return Err(CommandError::text("ERR invalid expire time, must be >= 0"));
    }
    let ms = match form.unit {
        Unit::Seconds => number.checked_mul(1000),
        Unit::Millis => Some(number),
    };
    let from = if form.absolute { 0 } else { now };
    ms.and_then(|ms| ms.checked_add(from))
        .filter(|at| *at <= MAX_MS)
        .ok_or_else(|| CommandError::InvalidExpire(command.to_owned()))
}

/// What is to become of which fields.
struct ExpireCommand<'a> {
    key: &'a [u8],
    at: UnixMs,
    condition: Condition,
    fields: &'a [&'a [u8]],
}

impl<'a> ExpireCommand<'a> {
    fn parse(
        args: &'a [&'a [u8]],
        form: TimeForm,
        now: UnixMs,
        name: &str,
    ) -> Result<ExpireCommand<'a>, CommandError> {
        let at = time(args[2], form, now, name)?;
        let condition = Condition::named(args[3]);
        let fields_from = 3 + usize::from(condition.is_some());
        Ok(ExpireCommand {
            key: args[1],
            at,
            condition: condition.unwrap_or(Condition::Always),
            fields: fields_at(
                args,
                fields_from,
                "ERR Parameter `numFields` should be greater than 0",
            )?,
        })
    }

    /// The answer for each field.
    fn run(&self, cx: &mut RewriteContext<'_>) -> Result<Vec<i64>, CommandError> {
        let passed = cx.has_passed(Some(self.at));
        let Some(mut hash) = cx.typed_mut::<Hash>(self.key)? else {
            return Ok(vec![answer::NO_FIELD; self.fields.len()]);
        };
        let (mut answers, mut changed) = (Vec::with_capacity(self.fields.len()), Vec::new());
        for &field in self.fields {
            let (answer, changes) = self.run_one(&mut hash, field, passed);
            answers.push(answer);
            if changes {
                changed.push(field);
            }
        }
        let is_empty = hash.is_empty();
        drop(hash);
        if changed.is_empty() {
            return Ok(answers);
        }
        if passed {
            removed(cx, EventClass::Hash, "hdel", self.key, is_empty);
            let effect: Vec<&[u8]> = [&b"HDEL"[..], self.key]
                .into_iter()
                .chain(changed)
                .collect();
            cx.effect(&effect);
        } else {
            cx.modified(EventClass::Hash, "hexpire", self.key);
            effect_of_expiry(cx, self.key, self.at, &changed);
        }
        Ok(answers)
    }

    /// The answer, and whether it changed anything.
    fn run_one(&self, hash: &mut Hash, field: &[u8], passed: bool) -> (i64, bool) {
        let old = hash.element_expiry(field);
        if !hash.contains(field) {
            (answer::NO_FIELD, false)
        } else if !self.condition.holds(old, self.at) {
            (answer::NOT_MET, false)
        } else if passed {
            (answer::DELETED, hash.remove(field))
        } else {
            hash.set_element_expiry(field, Some(self.at));
            (answer::DONE, old != Some(self.at))
        }
    }
}

/// Says in an effect when these fields expire.
pub(in crate::families) fn effect_of_expiry(
    cx: &mut RewriteContext<'_>,
    key: &[u8],
    at: UnixMs,
    fields: &[&[u8]],
) {
    let (mut time, mut number) = (itoa::Buffer::new(), itoa::Buffer::new());
    let time = time.format(at).as_bytes();
    let number = number.format(fields.len()).as_bytes();
    let head: [&[u8]; 5] = [b"HPEXPIREAT", key, time, b"FIELDS", number];
    cx.effect(&[&head, fields].concat());
}

macro_rules! expire_handler {
    ($($name:ident, $form:expr;)*) => {$(
        pub(super) fn $name(cx: &mut RewriteContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
            cx.typed::<Hash>(args[1])?;
            let answers = ExpireCommand::parse(args, $form, cx.now(), stringify!($name))?.run(cx)?;
            out.array(answers.len());
            answers.into_iter().for_each(|answer| out.integer(answer));
            Ok(())
        }
    )*};
}
expire_handler! {
    hexpire, TimeForm::EX;
    hpexpire, TimeForm::PX;
    hexpireat, TimeForm::EXAT;
    hpexpireat, TimeForm::PXAT;
}

pub(super) fn hpersist(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    cx.typed::<Hash>(key)?;
    let fields = fields_at(args, 2, BAD_NUMBER)?;
    let mut answers = vec![answer::NO_FIELD; fields.len()];
    if let Some(mut hash) = cx.typed_mut::<Hash>(key)? {
        for (answer, field) in answers.iter_mut().zip(fields) {
            *answer = match hash.element_expiry(field) {
                Some(_) => {
                    hash.set_element_expiry(field, None);
                    answer::DONE
                }
                None if hash.contains(field) => answer::NO_EXPIRY,
                None => answer::NO_FIELD,
            };
        }
    }
    if answers.contains(&answer::DONE) {
        cx.modified(EventClass::Hash, "hpersist", key);
    }
    out.array(answers.len());
    answers.into_iter().for_each(|answer| out.integer(answer));
    Ok(())
}

/// The times of fields in a form.
fn tell(
    cx: &ReadContext<'_>,
    args: &[&[u8]],
    form: TimeForm,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let hash = fields_now(cx, args[1])?;
    let fields = fields_at(args, 2, BAD_NUMBER)?;
    let from = if form.absolute { 0 } else { cx.now() };
    out.array(fields.len());
    for field in fields {
        let found = hash.filter(|hash| hash.contains(field));
        out.integer(match found.map(|hash| hash.element_expiry(field)) {
            None => answer::NO_FIELD,
            Some(None) => answer::NO_EXPIRY,
            Some(Some(at)) => match form.unit {
                Unit::Seconds => (at - from + 999) / 1000,
                Unit::Millis => at - from,
            },
        });
    }
    Ok(())
}

macro_rules! time_handler {
    ($($name:ident, $form:expr;)*) => {$(
        pub(super) fn $name(cx: &mut ReadContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
            tell(cx, args, $form, out)
        }
    )*};
}
time_handler! {
    httl, TimeForm::EX;
    hpttl, TimeForm::PX;
    hexpiretime, TimeForm::EXAT;
    hpexpiretime, TimeForm::PXAT;
}
