//! Expiry of the fields of a hash or the members of a set under one command, as in Dragonfly.
//!
//! Members expire at full seconds, rounded up: that is what Dragonfly's format of such sets has.

use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext, Typed};
use crate::families::collections::removed;
use crate::families::options::integer;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_snapshot::wire::MEMBER_EXPIRY_BASE_S;
use damselfly_store::values::{Expiring, Hash, Set};
use damselfly_store::{UnixMs, Value};

/// Most seconds that an element may be given (Dragonfly's limit).
const MAX_SECONDS: i64 = 1 << 26;
/// Latest time that is taken, in Unix seconds: what the format can say.
const MAX_UNIX_SECONDS: i64 = MEMBER_EXPIRY_BASE_S + i32::MAX as i64;

/// Seconds from now, within Dragonfly's limit.
#[derive(Clone, Copy)]
pub(super) struct Ttl(i64);

impl Ttl {
    /// When that is over, in full seconds.
    pub(super) fn end(self, now: UnixMs) -> UnixMs {
        let end = (now + 999).div_euclid(1000) + self.0;
        end.clamp(MEMBER_EXPIRY_BASE_S + 1, MAX_UNIX_SECONDS) * 1000
    }
}

/// Seconds, at least so many.
pub(super) fn seconds(arg: &[u8], least: i64) -> Result<Ttl, CommandError> {
    let seconds = integer(arg)?;
    if (least..=MAX_SECONDS).contains(&seconds) {
        Ok(Ttl(seconds))
    } else {
        Err(CommandError::NotInteger)
    }
}

/// Says in effects when these elements of a set expire: first as a command of Dragonfly's says it, in seconds from now, then
/// exactly, for our own replicas.
pub(super) fn effects_of_expiry(
    cx: &mut RewriteContext<'_>,
    command: &[u8],
    key: &[u8],
    ttl: Ttl,
    at: UnixMs,
    elements: &[&[u8]],
) {
    let mut number = itoa::Buffer::new();
    let relative: [&[u8]; 3] = [command, key, number.format(ttl.0).as_bytes()];
    cx.effect(&[&relative, elements].concat());
    let mut number = itoa::Buffer::new();
    let absolute: [&[u8]; 3] = [b"FIELDEXPIREAT", key, number.format(at / 1000).as_bytes()];
    cx.own_effect(&[&absolute, elements].concat());
}

/// Answers for one element.
mod answer {
    pub(super) const NONE: i64 = -2;
    pub(super) const DONE: i64 = 1;
    pub(super) const DELETED: i64 = 2;
}

/// What differs between the types.
trait Family: Typed + Expiring {
    const CLASS: EventClass;
    const REMOVED: &'static str;
    const EXPIRES: &'static str;
    const REMOVE: &'static [u8];
}

impl Family for Hash {
    const CLASS: EventClass = EventClass::Hash;
    const REMOVED: &'static str = "hdel";
    const EXPIRES: &'static str = "hexpire";
    const REMOVE: &'static [u8] = b"HDEL";
}

impl Family for Set {
    const CLASS: EventClass = EventClass::Set;
    const REMOVED: &'static str = "srem";
    const EXPIRES: &'static str = "sexpire";
    const REMOVE: &'static [u8] = b"SREM";
}

/// When elements are to expire.
#[derive(Clone, Copy)]
enum When {
    Now,
    At(UnixMs),
}

/// What was found and done.
struct Done<'a> {
    answers: Vec<i64>,
    changed: Vec<&'a [u8]>,
}

/// Lets elements expire at a time, or removes them where that has passed; gives the effects of removal only.
fn expire<'a, T: Family>(
    cx: &mut RewriteContext<'_>,
    key: &[u8],
    when: When,
    elements: &[&'a [u8]],
) -> Result<Done<'a>, CommandError> {
    let (at, passed) = match when {
        When::Now => (UnixMs::MIN, true),
        When::At(at) => (at, cx.has_passed(Some(at))),
    };
    let mut done = Done {
        answers: vec![answer::NONE; elements.len()],
        changed: Vec::new(),
    };
    let Some(mut value) = cx.typed_mut::<T>(key)? else {
        return Ok(done);
    };
    for (answer, &element) in done.answers.iter_mut().zip(elements) {
        if !value.has(element) {
            continue;
        }
        let changes = passed || value.element_expiry(element) != Some(at);
        *answer = if passed {
            value.remove_element(element);
            answer::DELETED
        } else {
            value.set_element_expiry(element, Some(at));
            answer::DONE
        };
        if changes {
            done.changed.push(element);
        }
    }
    let is_empty = value.size() == 0;
    drop(value);
    if done.changed.is_empty() {
        return Ok(done);
    }
    if passed {
        removed(cx, T::CLASS, T::REMOVED, key, is_empty);
        cx.effect(&[&[T::REMOVE, key], &done.changed[..]].concat());
        done.changed.clear();
    } else {
        cx.modified(T::CLASS, T::EXPIRES, key);
    }
    Ok(done)
}

/// Runs on whichever type stands there; whether that was a set.
fn expire_any<'a>(
    cx: &mut RewriteContext<'_>,
    key: &[u8],
    when: When,
    elements: &[&'a [u8]],
) -> Result<(Done<'a>, bool), CommandError> {
    let is_set = matches!(
        cx.entry(key).map(|entry| entry.value()),
        Some(Value::Set(_))
    );
    let done = if is_set {
        expire::<Set>(cx, key, when, elements)
    } else {
        expire::<Hash>(cx, key, when, elements)
    };
    Ok((done?, is_set))
}

fn effect_on_hash(cx: &mut RewriteContext<'_>, key: &[u8], at: UnixMs, fields: &[&[u8]]) {
    super::hashes::effect_of_expiry(cx, key, at, fields);
}

fn answer_all(answers: &[i64], out: &mut ReplyWriter<'_>) {
    out.array(answers.len());
    answers.iter().for_each(|answer| out.integer(*answer));
}

/// `FIELDEXPIRE key seconds element…`.
pub(super) fn fieldexpire(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, ttl) = (args[1], seconds(args[2], 0)?);
    let at = ttl.end(cx.now());
    let when = if ttl.0 == 0 { When::Now } else { When::At(at) };
    let (done, is_set) = expire_any(cx, key, when, &args[3..])?;
    if !done.changed.is_empty() {
        if is_set {
            effects_of_expiry(cx, b"FIELDEXPIRE", key, ttl, at, &done.changed);
        } else {
            effect_on_hash(cx, key, at, &done.changed);
        }
    }
    answer_all(&done.answers, out);
    Ok(())
}

/// `FIELDEXPIREAT key unix-seconds element…`, ours: what a replica is told.
pub(super) fn fieldexpireat(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    let seconds = integer(args[2])?;
    if !(0..=MAX_UNIX_SECONDS).contains(&seconds) {
        return Err(CommandError::NotInteger);
    }
    let at = seconds.max(MEMBER_EXPIRY_BASE_S + 1) * 1000;
    let (done, is_set) = expire_any(cx, key, When::At(at), &args[3..])?;
    if !done.changed.is_empty() {
        if is_set {
            let left = (at - cx.now()).div_euclid(1000).clamp(1, MAX_SECONDS);
            effects_of_expiry(cx, b"FIELDEXPIRE", key, Ttl(left), at, &done.changed);
        } else {
            effect_on_hash(cx, key, at, &done.changed);
        }
    }
    answer_all(&done.answers, out);
    Ok(())
}

/// Seconds that an element has left; -1: it never expires, -3: there is none.
fn seconds_left<T: Expiring>(value: &T, element: &[u8], now: UnixMs) -> i64 {
    let value = value.at(now);
    match value.element_expiry(element) {
        _ if !value.contains(element) => -3,
        None => -1,
        Some(at) => (at - now + 999) / 1000,
    }
}

/// `FIELDTTL key element`; -2: there is no such key.
pub(super) fn fieldttl(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let now = cx.now();
    let left = match cx.entry(args[1]).map(|entry| entry.value()) {
        None => -2,
        Some(Value::Hash(hash)) => seconds_left(&**hash, args[2], now),
        Some(Value::Set(set)) => seconds_left(&**set, args[2], now),
        Some(_) => return Err(CommandError::WrongType),
    };
    out.integer(left);
    Ok(())
}
