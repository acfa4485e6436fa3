//! Union, intersection and difference of sorted sets; plain sets count with scores of 1.

use super::algebra_args::{AlgebraArgs, AlgebraOptions, Form, Purpose, zero_if_nan};
use super::scores::settle;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::collections::{pair_header, pairs_header, store};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Expiring, Item, SetAt, ZSet};
use damselfly_store::{UnixMs, Value};
use smallvec::SmallVec;

/// Where members come from.
#[derive(Clone, Copy)]
enum Source<'s> {
    ZSet(&'s ZSet),
    Set(SetAt<'s>),
    Absent,
}

impl<'s> Source<'s> {
    fn of(value: Option<&'s Value>, now: UnixMs) -> Result<Source<'s>, CommandError> {
        match value {
            None => Ok(Source::Absent),
            Some(Value::ZSet(zset)) => Ok(Source::ZSet(zset)),
            Some(Value::Set(set)) => Ok(Source::Set(set.at(now))),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::ZSet(zset) => zset.len(),
            Source::Set(set) => set.len(),
            Source::Absent => 0,
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::ZSet(zset) => zset.score(member),
            Source::Set(set) => set.contains(member).then_some(1.0),
            Source::Absent => None,
        }
    }

    fn iter(self) -> impl Iterator<Item = (Item<'s>, f64)> {
        let (zset, set) = match self {
            Source::ZSet(zset) => (Some(zset), None),
            Source::Set(set) => (None, Some(set)),
            Source::Absent => (None, None),
        };
        let members = set
            .into_iter()
            .flat_map(SetAt::iter)
            .map(|member| (member, 1.0));
        zset.into_iter().flat_map(ZSet::iter).chain(members)
    }
}

/// The sources of a command in the order of its keys.
type Sources<'s> = SmallVec<[Source<'s>; 8]>;

/// The sources with their weights, the smallest first: that is the order in which Redis adds scores up.
fn weighted<'s>(
    sources: &[Source<'s>],
    options: &AlgebraOptions,
) -> SmallVec<[(Source<'s>, f64); 8]> {
    let mut weighted: SmallVec<_> = sources
        .iter()
        .copied()
        .zip(options.weights.iter().copied())
        .collect();
    weighted.sort_by_key(|(source, _): &(Source<'s>, f64)| source.len());
    weighted
}

fn union(sources: &[Source<'_>], options: &AlgebraOptions) -> ZSet {
    let mut result = ZSet::new();
    for (source, weight) in weighted(sources, options) {
        for (member, score) in source.iter() {
            let score = zero_if_nan(weight * score);
            match result.score(&member) {
                Some(old) => replace(
                    &mut result,
                    &member,
                    old,
                    options.aggregate.combine(old, score),
                ),
                None => {
                    result.insert(&member, score);
                }
            }
        }
    }
    result
}

/// Sets a score, 0 and -0 kept apart.
fn replace(zset: &mut ZSet, member: &[u8], old: f64, new: f64) {
    if old.to_bits() != new.to_bits() {
        zset.remove(member);
        zset.insert(member, new);
    }
}

fn intersection<'s>(
    sources: &[Source<'s>],
    options: &AlgebraOptions,
) -> impl Iterator<Item = (Item<'s>, f64)> {
    let weighted = weighted(sources, options);
    let aggregate = options.aggregate;
    let (smallest, weight) = weighted[0];
    smallest.iter().filter_map(move |(member, score)| {
        let first = zero_if_nan(weight * score);
        let score = weighted[1..]
            .iter()
            .try_fold(first, |score, (source, weight)| {
                Some(aggregate.combine(score, source.score(&member)? * weight))
            })?;
        Some((member, score))
    })
}

fn difference<'s>(sources: &[Source<'s>]) -> impl Iterator<Item = (Item<'s>, f64)> {
    let others = &sources[1..];
    sources[0]
        .iter()
        .filter(|(member, _)| others.iter().all(|other| other.score(member).is_none()))
}

fn collect<'s>(members: impl Iterator<Item = (Item<'s>, f64)>) -> ZSet {
    let mut result = ZSet::new();
    for (member, score) in members {
        result.insert(&member, score);
    }
    result
}

/// What is done with the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

impl Operation {
    fn run(self, sources: &[Source<'_>], options: &AlgebraOptions) -> ZSet {
        match self {
            Operation::Union => union(sources, options),
            Operation::Intersection => collect(intersection(sources, options)),
            Operation::Difference => collect(difference(sources)),
        }
    }

    fn form(self, name: &'static str, purpose: Purpose) -> Form {
        Form {
            name,
            combines: self != Operation::Difference,
            purpose,
        }
    }
}

pub(super) fn zunion(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, Operation::Union, "zunion", out)
}

pub(super) fn zinter(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, Operation::Intersection, "zinter", out)
}

pub(super) fn zdiff(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, Operation::Difference, "zdiff", out)
}

fn read_sources<'s>(cx: &ReadContext<'s>, keys: &[&[u8]]) -> Result<Sources<'s>, CommandError> {
    keys.iter()
        .map(|key| Source::of(cx.entry(key).map(|entry| entry.value()), cx.now()))
        .collect()
}

fn answer(
    cx: &ReadContext<'_>,
    args: &[&[u8]],
    operation: Operation,
    name: &'static str,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let form = operation.form(name, Purpose::Answer);
    let parsed = AlgebraArgs::parse(&args[1..], form)?;
    let sources = read_sources(cx, parsed.keys)?;
    let options = parsed.options(form)?;
    let result = operation.run(&sources, &options);
    pairs_header(out, result.len(), options.with_scores);
    for (member, score) in result.iter() {
        pair_header(out, options.with_scores);
        out.bulk(member);
        if options.with_scores {
            out.double(score);
        }
    }
    Ok(())
}

pub(super) fn zintercard(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let form = Operation::Intersection.form("zintercard", Purpose::Count);
    let parsed = AlgebraArgs::parse(&args[1..], form)?;
    let sources = read_sources(cx, parsed.keys)?;
    let options = parsed.options(form)?;
    out.integer(intersection(&sources, &options).take(options.limit).count() as i64);
    Ok(())
}

pub(super) fn zunionstore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    store_result(cx, args, Operation::Union, "zunionstore", out)
}

pub(super) fn zinterstore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    store_result(cx, args, Operation::Intersection, "zinterstore", out)
}

pub(super) fn zdiffstore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    store_result(cx, args, Operation::Difference, "zdiffstore", out)
}

/// The event has the command's name.
fn store_result(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    operation: Operation,
    name: &'static str,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let form = operation.form(name, Purpose::Store);
    let parsed = AlgebraArgs::parse(&args[2..], form)?;
    let result = {
        let found = parsed.keys.iter().map(|key| {
            Source::of(
                cx.source_entry(key).map(|entry| entry.value()),
                cx.alive_at(),
            )
        });
        let sources: Sources<'_> = found.collect::<Result<_, _>>()?;
        operation.run(&sources, &parsed.options(form)?)
    };
    out.integer(result.len() as i64);
    store(
        cx,
        EventClass::SortedSet,
        name,
        args[1],
        Value::from(settle(result)),
    );
    Ok(())
}
