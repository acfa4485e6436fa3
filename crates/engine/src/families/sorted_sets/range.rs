//! Ranges of sorted sets: by rank, by score, by name.

use super::bounds;
use super::range_args::{By, Form, RangeArgs};
use super::scores::{self, settle};
use crate::command::CommandResult;
use crate::context::{ReadContext, WriteContext};
use crate::families::collections::{pair_header, pairs_header, store};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::Value;
use damselfly_store::values::{Item, ZSet, ZSetIter};

const BY_RANK: Form = Form {
    by: Some(By::Rank),
    reverse: Some(true),
    stores: false,
};
const BY_SCORE: Form = Form {
    by: Some(By::Score),
    reverse: Some(false),
    stores: false,
};
const BY_NAME: Form = Form {
    by: Some(By::Name),
    reverse: Some(false),
    stores: false,
};

pub(super) fn zrange(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, Form::default(), out)
}

pub(super) fn zrevrange(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, BY_RANK, out)
}

pub(super) fn zrangebyscore(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, BY_SCORE, out)
}

pub(super) fn zrevrangebyscore(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(
        cx,
        args,
        Form {
            reverse: Some(true),
            ..BY_SCORE
        },
        out,
    )
}

pub(super) fn zrangebylex(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(cx, args, BY_NAME, out)
}

pub(super) fn zrevrangebylex(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer(
        cx,
        args,
        Form {
            reverse: Some(true),
            ..BY_NAME
        },
        out,
    )
}

fn answer(
    cx: &ReadContext<'_>,
    args: &[&[u8]],
    form: Form,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let range = RangeArgs::parse(&args[1..], form)?;
    let Some(zset) = cx.typed::<ZSet>(args[1])? else {
        out.array(0);
        return Ok(());
    };
    let (members, count) = select(zset, &range);
    pairs_header(out, count, range.with_scores);
    members.for_each(|(member, score)| {
        pair_header(out, range.with_scores);
        out.bulk(member);
        if range.with_scores {
            out.double(score);
        }
    });
    Ok(())
}

/// The members of a range in the order that is asked for, and how many they are.
fn select<'z>(
    zset: &'z ZSet,
    range: &RangeArgs<'_>,
) -> (impl Iterator<Item = (Item<'z>, f64)>, usize) {
    let ranks = range.ranks(zset);
    let count = ranks.len();
    let iter: ZSetIter<'z> = if range.reverse {
        zset.iter_rev_from_rank(ranks.end.wrapping_sub(1))
    } else {
        zset.iter_from_rank(ranks.start)
    };
    (iter.take(count), count)
}

pub(super) fn zrangestore(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let range = RangeArgs::parse(
        &args[2..],
        Form {
            stores: true,
            ..Form::default()
        },
    )?;
    let mut result = ZSet::new();
    // Where Redis does not know the size beforehand, the result begins packed.
    let insert = match range.is_by_rank() {
        true => ZSet::insert,
        false => scores::insert,
    };
    if let Some(zset) = cx.source::<ZSet>(args[2])? {
        select(zset, &range).0.for_each(|(member, score)| {
            insert(&mut result, &member, score);
        });
    }
    out.integer(result.len() as i64);
    store(
        cx,
        EventClass::SortedSet,
        "zrangestore",
        args[1],
        Value::from(settle(result)),
    );
    Ok(())
}

pub(super) fn zcount(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (min, max) = bounds::scores(args[2], args[3])?;
    let zset = cx.typed::<ZSet>(args[1])?;
    out.integer(zset.map_or(0, |zset| zset.score_ranks(min, max).len()) as i64);
    Ok(())
}

pub(super) fn zlexcount(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (min, max) = bounds::names(args[2], args[3])?;
    let zset = cx.typed::<ZSet>(args[1])?;
    out.integer(zset.map_or(0, |zset| zset.lex_ranks(min, max).len()) as i64);
    Ok(())
}
