//! Intersection, union and difference of sets.

use super::members_now;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::collections::{at_least, store};
use crate::families::options::{Words, is_word};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::Value;
use damselfly_store::values::{Expiring, Item, Set, SetAt};
use smallvec::SmallVec;

/// The sets of a command, in the order of its keys; `None` where there is no such key.
type Sets<'s> = SmallVec<[Option<SetAt<'s>>; 8]>;

fn read_sets<'s>(cx: &ReadContext<'s>, keys: &[&[u8]]) -> Result<Sets<'s>, CommandError> {
    keys.iter().map(|key| members_now(cx, key)).collect()
}

fn written_sets<'s>(cx: &'s WriteContext<'_>, keys: &[&[u8]]) -> Result<Sets<'s>, CommandError> {
    let now = cx.alive_at();
    let set = |key: &&[u8]| Ok(cx.source::<Set>(key)?.map(|set| set.at(now)));
    keys.iter().map(set).collect()
}

/// What is in all sets, in the order of the smallest one.
fn intersection<'s>(sets: &[Option<SetAt<'s>>]) -> impl Iterator<Item = Item<'s>> {
    let all: Option<SmallVec<[SetAt<'s>; 8]>> = sets.iter().copied().collect();
    let mut all = all.unwrap_or_default();
    all.sort_by_key(SetAt::len);
    let smallest = all.first().copied();
    smallest
        .into_iter()
        .flat_map(SetAt::iter)
        .filter(move |member| all[1..].iter().all(|set| set.contains(member)))
}

fn union(sets: &[Option<SetAt<'_>>]) -> Set {
    let mut result = Set::new();
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        result.insert(&member);
    }
    result
}

fn difference(sets: &[Option<SetAt<'_>>]) -> Set {
    let mut result = Set::new();
    let others = &sets[1..];
    let is_in_others = |member: &Item<'_>| others.iter().flatten().any(|set| set.contains(member));
    for member in sets[0]
        .into_iter()
        .flat_map(SetAt::iter)
        .filter(|member| !is_in_others(member))
    {
        result.insert(&member);
    }
    result
}

pub(super) fn sinter(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let found: Vec<_> = intersection(&read_sets(cx, &args[1..])?).collect();
    out.set(found.len());
    found.iter().for_each(|member| out.bulk(member));
    Ok(())
}

pub(super) fn sunion(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(&union(&read_sets(cx, &args[1..])?), out);
    Ok(())
}

pub(super) fn sdiff(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(&difference(&read_sets(cx, &args[1..])?), out);
    Ok(())
}

fn answer(set: &Set, out: &mut ReplyWriter<'_>) {
    out.set(set.len());
    set.iter().for_each(|member| out.bulk(member));
}

pub(super) fn sintercard(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (keys, limit) = intercard_args(args)?;
    let found = intersection(&read_sets(cx, keys)?).take(limit).count();
    out.integer(found as i64);
    Ok(())
}

/// The keys, and the number from which nobody counts on.
fn intercard_args<'a>(args: &'a [&'a [u8]]) -> Result<(&'a [&'a [u8]], usize), CommandError> {
    let keys = at_least(args[1], 1, "ERR numkeys should be greater than 0")? as usize;
    if keys > args.len() - 2 {
        return Err(CommandError::text(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let mut limit = 0;
    let mut words = Words::from(args, keys + 2);
    while let Some(word) = words.next() {
        if !is_word(word, "LIMIT") {
            return Err(CommandError::Syntax);
        }
        limit = at_least(words.value()?, 0, "ERR LIMIT can't be negative")?;
    }
    Ok((
        &args[2..keys + 2],
        if limit == 0 {
            usize::MAX
        } else {
            limit as usize
        },
    ))
}

pub(super) fn sinterstore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let mut result = Set::new();
    for member in intersection(&written_sets(cx, &args[2..])?) {
        result.insert(&member);
    }
    store_set(cx, "sinterstore", args[1], result, out);
    Ok(())
}

pub(super) fn sunionstore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let result = union(&written_sets(cx, &args[2..])?);
    store_set(cx, "sunionstore", args[1], result, out);
    Ok(())
}

pub(super) fn sdiffstore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let result = difference(&written_sets(cx, &args[2..])?);
    store_set(cx, "sdiffstore", args[1], result, out);
    Ok(())
}

fn store_set(
    cx: &mut WriteContext<'_>,
    event: &'static str,
    key: &[u8],
    set: Set,
    out: &mut ReplyWriter<'_>,
) {
    out.integer(set.len() as i64);
    store(cx, EventClass::Set, event, key, Value::from(set));
}
