//! GEOSEARCH, GEORADIUS and their like.

use super::hash::Place;
use super::members::{answer_distance, answer_place};
use super::search_args::{Order, Search, Syntax};
use super::shape::Shape;
use crate::command::CommandResult;
use crate::context::{ReadContext, RewriteContext};
use crate::families::collections::store_effect;
use crate::families::partial_sort::partial_sort;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::Value;
use damselfly_store::values::{Item, ScoreBound, ZSet};
use std::cmp::Ordering;

/// A member that was found.
struct Found<'z> {
    member: Item<'z>,
    score: f64,
    place: Place,
    /// In metres from the centre.
    distance: f64,
}

/// The members inside the shape, in the order in which Redis comes upon them; no more than `most`.
fn walk<'z>(zset: &'z ZSet, shape: &Shape, most: usize) -> Vec<Found<'z>> {
    let mut found = Vec::new();
    for cell in shape.cells() {
        let scores = cell.scores();
        let ranks = zset.score_ranks(
            ScoreBound::Inclusive(scores.start),
            ScoreBound::Exclusive(scores.end),
        );
        let inside = zset
            .iter_from_rank(ranks.start)
            .take(ranks.len())
            .filter_map(|(member, score)| {
                let place = Place::of_score(score);
                let distance = shape.distance_within(place)?;
                Some(Found {
                    member,
                    score,
                    place,
                    distance,
                })
            });
        found.extend(inside.take(most - found.len()));
    }
    found
}

/// What a search finds, sorted and cut to what is wanted.
fn find<'z>(zset: Option<&'z ZSet>, search: &Search<'_>) -> Vec<Found<'z>> {
    let (Some(zset), Some(shape)) = (zset, &search.shape) else {
        return Vec::new();
    };
    let count = search.count.unwrap_or(usize::MAX);
    let mut found = walk(zset, shape, if search.any { count } else { usize::MAX });
    let wanted = count.min(found.len());
    if let Some(order) = search.order {
        partial_sort(&mut found, 0..wanted, |left, right| {
            by_distance(left, right, order)
        });
    }
    found.truncate(wanted);
    found
}

fn by_distance(left: &Found<'_>, right: &Found<'_>, order: Order) -> Ordering {
    let ascending = left.distance.total_cmp(&right.distance);
    match order {
        Order::Ascending => ascending,
        Order::Descending => ascending.reverse(),
    }
}

fn answer(found: &[Found<'_>], search: &Search<'_>, out: &mut ReplyWriter<'_>) {
    let unit = search.shape.map_or(1.0, |shape| shape.unit);
    let extras = [search.with_distance, search.with_score, search.with_place];
    let extras = extras.into_iter().filter(|wanted| *wanted).count();
    out.array(found.len());
    for one in found {
        if extras > 0 {
            out.array(extras + 1);
        }
        out.bulk(one.member);
        if search.with_distance {
            answer_distance(one.distance / unit, out);
        }
        if search.with_score {
            out.integer(one.score as i64);
        }
        if search.with_place {
            answer_place(one.place, out);
        }
    }
}

fn read(
    cx: &ReadContext<'_>,
    syntax: Syntax,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let zset = cx.typed::<ZSet>(args[syntax.source()])?;
    let search = Search::parse(syntax, args, zset)?;
    answer(&find(zset, &search), &search, out);
    Ok(())
}

pub(super) fn geosearch(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    read(cx, Syntax::Search, args, out)
}

pub(super) fn georadius_ro(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    read(cx, Syntax::Coordinates { stores: false }, args, out)
}

pub(super) fn georadiusbymember_ro(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    read(cx, Syntax::Member { stores: false }, args, out)
}

/// Answers, or stores where a destination is given.
fn store(
    cx: &mut RewriteContext<'_>,
    syntax: Syntax,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let zset = cx.source::<ZSet>(args[syntax.source()])?;
    let search = Search::parse(syntax, args, zset)?;
    let found = find(zset, &search);
    let Some(destination) = search.destination else {
        answer(&found, &search, out);
        return Ok(());
    };
    out.integer(found.len() as i64);
    let result = as_zset(&found, &search);
    let event = match syntax {
        Syntax::SearchStore => "geosearchstore",
        _ => "georadiusstore",
    };
    store_effect(
        cx,
        EventClass::SortedSet,
        event,
        destination,
        Value::from(result),
    );
    Ok(())
}

fn as_zset(found: &[Found<'_>], search: &Search<'_>) -> ZSet {
    let unit = search.shape.map_or(1.0, |shape| shape.unit);
    let mut result = ZSet::new();
    for one in found {
        let distance = one.distance / unit;
        // Antipodes may be no number apart, by rounding.
        let by_distance = search.store_distance && !distance.is_nan();
        result.insert(&one.member, if by_distance { distance } else { one.score });
    }
    result
}

pub(super) fn georadius(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    store(cx, Syntax::Coordinates { stores: true }, args, out)
}

pub(super) fn georadiusbymember(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    store(cx, Syntax::Member { stores: true }, args, out)
}

pub(super) fn geosearchstore(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    store(cx, Syntax::SearchStore, args, out)
}
