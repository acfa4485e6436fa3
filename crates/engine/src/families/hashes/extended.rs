//! HSETEX and HGETEX of Redis 8, and HSETEX as Dragonfly has it.

use super::expiry::{BAD_NUMBER, effect_of_expiry, fields_at, time};
use crate::command::{CommandError, CommandResult};
use crate::context::RewriteContext;
use crate::families::collections::{at_least, change_or_create, removed};
use crate::families::element_expiry::seconds;
use crate::families::options::{TimeForm, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::{ReplyWriter, parse_i64};
use damselfly_store::UnixMs;
use damselfly_store::values::{Expiring, Hash};
use std::collections::BTreeMap;

/// When fields are set at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// None of them is there.
    None,
    /// All of them are.
    All,
    /// Each for itself that is not there.
    EachNew,
}

/// What becomes of the fields' times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Discard,
    Keep,
    At(UnixMs),
    /// Fields that are there keep theirs.
    NewAt(UnixMs),
}

struct SetCommand<'a> {
    condition: Condition,
    times: Times,
    pairs: &'a [[&'a [u8]; 2]],
}

const ARITY: fn() -> CommandError = || CommandError::Arity("hsetex".to_owned());

impl<'a> SetCommand<'a> {
    fn parse(args: &'a [&'a [u8]], now: UnixMs) -> Result<SetCommand<'a>, CommandError> {
        let (mut condition, mut times) = (Condition::Always, Times::Discard);
        let mut at = 2;
        while let Some(&word) = args.get(at) {
            at += 1;
            if is_word(word, "FIELDS") {
                return Ok(SetCommand {
                    condition,
                    times,
                    pairs: pairs_at(args, at)?,
                });
            } else if is_word(word, "FXX") || is_word(word, "FNX") {
                if condition != Condition::Always {
                    return Err(CommandError::text(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
                let all = is_word(word, "FXX");
                condition = if all { Condition::All } else { Condition::None };
            } else if is_word(word, "KEEPTTL") || TimeForm::of_word(word).is_some() {
                if times != Times::Discard {
                    return Err(CommandError::text(
                        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                    ));
                }
                times = Times::Keep;
                if let Some(form) = TimeForm::of_word(word) {
                    let number = args.get(at);
                    let number = number.ok_or(CommandError::text("ERR missing expire time"))?;
                    times = Times::At(time(number, form, now, "hsetex")?);
                    at += 1;
                }
            } else {
                return Err(CommandError::echo("ERR unknown argument: ", word, ""));
            }
        }
        Err(ARITY())
    }

    /// `[NX] [KEEPTTL] seconds field value…`; `None` if it is Redis's form.
    fn parse_dragonfly(
        args: &'a [&'a [u8]],
        now: UnixMs,
    ) -> Result<Option<SetCommand<'a>>, CommandError> {
        let mut at = 2;
        let mut word = |name| {
            let is_there = args.get(at).is_some_and(|arg| is_word(arg, name));
            at += usize::from(is_there);
            is_there
        };
        let (each_new, keeps) = (word("NX"), word("KEEPTTL"));
        let number = args.get(at).filter(|arg| parse_i64(arg).is_some());
        let Some(number) = number else {
            return Ok(None);
        };
        let end = seconds(number, 1)?.end(now);
        let (pairs, rest) = args[at + 1..].as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(ARITY());
        }
        Ok(Some(SetCommand {
            condition: if each_new {
                Condition::EachNew
            } else {
                Condition::Always
            },
            times: if keeps {
                Times::NewAt(end)
            } else {
                Times::At(end)
            },
            pairs,
        }))
    }

    fn holds(&self, hash: Option<&Hash>) -> bool {
        let has = |[field, _]: &[&[u8]; 2]| hash.is_some_and(|hash| hash.contains(field));
        match self.condition {
            Condition::Always | Condition::EachNew => true,
            Condition::None => !self.pairs.iter().any(has),
            Condition::All => self.pairs.iter().all(has),
        }
    }

    /// Sets the fields; returns those that were set, and how many are new.
    fn set(&self, hash: &mut Hash) -> (Vec<[&'a [u8]; 2]>, usize) {
        let mut new = 0;
        let mut set = Vec::with_capacity(self.pairs.len());
        for &[field, value] in self.pairs {
            let is_there = hash.contains(field);
            if is_there && self.condition == Condition::EachNew {
                continue;
            }
            new += usize::from(!is_there);
            set.push([field, value]);
            match self.times {
                Times::Discard => _ = hash.insert(field, value),
                _ => _ = hash.insert_keeping_expiry(field, value),
            }
            match self.times {
                Times::At(at) => _ = hash.set_element_expiry(field, Some(at)),
                Times::NewAt(at) if !is_there => _ = hash.set_element_expiry(field, Some(at)),
                _ => {}
            }
        }
        (set, new)
    }

    /// Whether it was done, and how many fields are new. The effects are HSET and HPEXPIREAT, or HDEL.
    fn run(&self, cx: &mut RewriteContext<'_>, key: &[u8]) -> Result<Option<usize>, CommandError> {
        if !self.holds(cx.typed::<Hash>(key)?) {
            return Ok(None);
        }
        if let Times::At(at) = self.times
            && cx.has_passed(Some(at))
        {
            let fields: Vec<&[u8]> = self.pairs.iter().map(|[field, _]| *field).collect();
            delete(cx, key, &fields)?;
            return Ok(Some(0));
        }
        let (set, new) = change_or_create(cx, key, |hash: &mut Hash| self.set(hash))?;
        if set.is_empty() {
            return Ok(Some(0));
        }
        cx.modified(EventClass::Hash, "hset", key);
        cx.effect(&[&[&b"HSET"[..], key], set.as_flattened()].concat());
        let mut timed = BTreeMap::<_, Vec<&[u8]>>::new();
        if let Some(hash) = cx.typed::<Hash>(key)? {
            for [field, _] in set {
                if let Some(at) = hash.element_expiry(field) {
                    timed.entry(at).or_default().push(field);
                }
            }
        }
        if matches!(self.times, Times::At(_) | Times::NewAt(_)) {
            cx.notify(EventClass::Hash, "hexpire", key);
        }
        for (at, fields) in timed {
            effect_of_expiry(cx, key, at, &fields);
        }
        Ok(Some(new))
    }
}

/// `number field value…` from `at` on.
fn pairs_at<'a>(args: &'a [&'a [u8]], at: usize) -> Result<&'a [[&'a [u8]; 2]], CommandError> {
    if at + 2 >= args.len() {
        return Err(ARITY());
    }
    let number = at_least(args[at], 1, "ERR invalid number of fields")?;
    let (pairs, rest) = args[at + 1..].as_chunks::<2>();
    if !rest.is_empty() || number as usize != pairs.len() {
        return Err(ARITY());
    }
    Ok(pairs)
}

/// Removes fields whose new time has passed already.
fn delete(cx: &mut RewriteContext<'_>, key: &[u8], fields: &[&[u8]]) -> CommandResult {
    let Some(mut hash) = cx.typed_mut::<Hash>(key)? else {
        return Ok(());
    };
    let there: Vec<&[u8]> = fields
        .iter()
        .copied()
        .filter(|field| hash.remove(field))
        .collect();
    let is_empty = hash.is_empty();
    drop(hash);
    if !there.is_empty() {
        removed(cx, EventClass::Hash, "hdel", key, is_empty);
        cx.effect(&[&[&b"HDEL"[..], key], &there[..]].concat());
    }
    Ok(())
}

pub(super) fn hsetex(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    if let Some(command) = SetCommand::parse_dragonfly(args, cx.now())? {
        let new = command.run(cx, args[1])?.unwrap_or(0);
        out.integer(new as i64);
        return Ok(());
    }
    let done = SetCommand::parse(args, cx.now())?.run(cx, args[1])?;
    out.integer(done.is_some().into());
    Ok(())
}

/// What HGETEX does besides reading.
enum Change {
    Nothing,
    Persist,
    At(UnixMs),
}

/// Its effects are HPEXPIREAT, HPERSIST or HDEL.
pub(super) fn hgetex(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    cx.typed::<Hash>(key)?;
    let (change, from) = if let Some(form) = TimeForm::of_word(args[2]) {
        (Change::At(time(args[3], form, cx.now(), "hgetex")?), 4)
    } else if is_word(args[2], "PERSIST") {
        (Change::Persist, 3)
    } else {
        (Change::Nothing, 2)
    };
    let fields = fields_at(args, from, BAD_NUMBER)?;
    out.array(fields.len());
    let hash = cx.typed::<Hash>(key)?;
    for field in fields {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => out.bulk(value),
            None => out.null(),
        }
    }
    match change {
        Change::Nothing => Ok(()),
        Change::At(at) if cx.has_passed(Some(at)) => delete(cx, key, fields),
        Change::At(at) => change_times(cx, key, fields, Some(at)),
        Change::Persist => change_times(cx, key, fields, None),
    }
}

fn change_times(
    cx: &mut RewriteContext<'_>,
    key: &[u8],
    fields: &[&[u8]],
    at: Option<UnixMs>,
) -> CommandResult {
    let Some(mut hash) = cx.typed_mut::<Hash>(key)? else {
        return Ok(());
    };
    let mut changed = Vec::new();
    for &field in fields {
        let differs = hash.element_expiry(field) != at;
        if differs && hash.set_element_expiry(field, at) {
            changed.push(field);
        }
    }
    drop(hash);
    if changed.is_empty() {
        return Ok(());
    }
    let Some(at) = at else {
        cx.modified(EventClass::Hash, "hpersist", key);
        let mut number = itoa::Buffer::new();
        let number = number.format(changed.len()).as_bytes();
        let head: [&[u8]; 4] = [b"HPERSIST", key, b"FIELDS", number];
        cx.effect(&[&head, &changed[..]].concat());
        return Ok(());
    };
    cx.modified(EventClass::Hash, "hexpire", key);
    effect_of_expiry(cx, key, at, &changed);
    Ok(())
}
