//! SORT and SORT_RO.
//!
//! With BY and GET they look at keys that they don't name: those that a pattern makes of the elements. Which ones is known when
//! the elements are; [`FOLLOW`] says so to whoever has to bring keys of several shards together.

mod args;
mod elements;
mod pattern;

use self::args::SortArgs;
use self::elements::{Elements, Source};
use self::pattern::Pattern;
use crate::command::{CommandResult, Follow};
use crate::context::{ReadContext, RewriteContext};
use crate::families::collections::store_effect;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::List;
use damselfly_store::{UnixMs, Value};
use std::borrow::Cow;

/// Finds values that are alive.
#[derive(Clone, Copy)]
struct Lookup<'l, 'v> {
    /// Finds that of a key.
    key: &'l dyn Fn(&[u8]) -> Option<&'v Value>,
    /// When fields of hashes and members of sets have to be alive.
    now: UnixMs,
}

/// The keys that BY and GET look at.
pub(super) const FOLLOW: Follow = Follow {
    looks_further: |args| {
        SortArgs::parse(args, false).is_ok_and(|args| args.patterns().next().is_some())
    },
    rounds: &[weight_keys, result_keys],
    refuses: args::refused,
};

/// What the elements are weighed by.
fn weight_keys(cx: &ReadContext<'_>, args: &[&[u8]]) -> Vec<Vec<u8>> {
    let Ok(args) = SortArgs::parse(args, false) else {
        return Vec::new();
    };
    let Ok(source) = Source::of(scout(cx)(args.key), cx.now()) else {
        return Vec::new();
    };
    match args.weights() {
        Some(by) => source
            .all()
            .filter_map(|element| by.key(&element))
            .collect(),
        None => Vec::new(),
    }
}

/// What is asked for of the elements that are wanted, once they are in order.
fn result_keys(cx: &ReadContext<'_>, args: &[&[u8]]) -> Vec<Vec<u8>> {
    let Ok(args) = SortArgs::parse(args, false) else {
        return Vec::new();
    };
    let lookup = Lookup {
        key: &scout(cx),
        now: cx.now(),
    };
    let Ok(sorted) = Elements::sorted(&args, lookup) else {
        return Vec::new();
    };
    let keys = sorted
        .wanted()
        .flat_map(|element| args.gets.iter().filter_map(move |get| get.key(element)));
    keys.collect()
}

/// Finds values before the command runs: that is no use of them, and nobody is told of those that are not there.
fn scout<'v>(cx: &ReadContext<'v>) -> impl Fn(&[u8]) -> Option<&'v Value> {
    move |key| cx.space.live(cx.db, key).map(|entry| entry.value())
}

fn finder<'v>(cx: &ReadContext<'v>) -> impl Fn(&[u8]) -> Option<&'v Value> {
    move |key| cx.entry(key).map(|entry| entry.value())
}

/// What is returned or stored: the elements themselves, or what the patterns make of each.
fn results<'r, 'v>(
    sorted: &'r Elements<'v>,
    args: &'r SortArgs<'_>,
    lookup: Lookup<'r, 'v>,
) -> impl Iterator<Item = Option<Cow<'r, [u8]>>> {
    let itself: &[Pattern<'_>] = &[Pattern::Element];
    let gets = if args.gets.is_empty() {
        itself
    } else {
        &args.gets
    };
    sorted
        .wanted()
        .flat_map(move |element| gets.iter().map(move |get| get.value(element, lookup)))
}

fn answer<'v>(
    sorted: &Elements<'v>,
    args: &SortArgs<'_>,
    lookup: Lookup<'_, 'v>,
    out: &mut ReplyWriter<'_>,
) {
    out.array(sorted.wanted().count() * args.gets.len().max(1));
    for result in results(sorted, args, lookup) {
        match result {
            Some(text) => out.bulk(text),
            None => out.null(),
        }
    }
}

pub(super) fn sort_ro(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let args = SortArgs::parse(args, true)?;
    let lookup = Lookup {
        key: &finder(cx),
        now: cx.now(),
    };
    answer(&Elements::sorted(&args, lookup)?, &args, lookup, out);
    Ok(())
}

pub(super) fn sort(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let args = SortArgs::parse(args, false)?;
    let find = |key: &[u8]| {
        cx.source_entry(key)
            .filter(|entry| !cx.has_passed(entry.expire_at()))
            .map(|entry| entry.value())
    };
    let lookup = Lookup {
        key: &find,
        now: cx.alive_at(),
    };
    let sorted = Elements::sorted(&args, lookup)?;
    let Some(destination) = args.destination else {
        answer(&sorted, &args, lookup, out);
        return Ok(());
    };
    let mut list = List::new();
    for result in results(&sorted, &args, lookup) {
        list.push_back(&result.unwrap_or_default());
    }
    out.integer(list.len() as i64);
    let list = Value::from(list);
    store_effect(cx, EventClass::List, "sortstore", destination, list);
    Ok(())
}
