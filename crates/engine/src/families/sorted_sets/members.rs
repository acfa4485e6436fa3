//! Reading members of sorted sets by name or at random.

use super::scores::answer_stored;
use crate::command::CommandResult;
use crate::context::ReadContext;
use crate::families::collections::{RandomArgs, RandomSource, scan};
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Item, ZSet};

pub(super) fn zcard(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(cx.typed::<ZSet>(args[1])?.map_or(0, ZSet::len) as i64);
    Ok(())
}

pub(super) fn zscore(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer_score(cx.typed(args[1])?, args[2], out);
    Ok(())
}

pub(super) fn zmscore(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let zset = cx.typed(args[1])?;
    out.array(args.len() - 2);
    args[2..]
        .iter()
        .for_each(|member| answer_score(zset, member, out));
    Ok(())
}

fn answer_score(zset: Option<&ZSet>, member: &[u8], out: &mut ReplyWriter<'_>) {
    match zset.and_then(|zset| zset.score(member)) {
        Some(score) => out.double(score),
        None => out.null(),
    }
}

pub(super) fn zrank(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    answer_rank(
        cx.typed::<ZSet>(args[1])?
            .and_then(|zset| zset.rank(args[2])),
        out,
    );
    Ok(())
}

pub(super) fn zrevrank(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let from_behind = |zset: &ZSet| zset.rank(args[2]).map(|rank| zset.len() - 1 - rank);
    answer_rank(cx.typed::<ZSet>(args[1])?.and_then(from_behind), out);
    Ok(())
}

fn answer_rank(rank: Option<usize>, out: &mut ReplyWriter<'_>) {
    match rank {
        Some(rank) => out.integer(rank as i64),
        None => out.null(),
    }
}

impl<'z> RandomSource<Item<'z>, f64> for &'z ZSet {
    fn size(&self) -> usize {
        self.len()
    }

    fn pick(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'z>, f64)> {
        self.random(rng)
    }

    /// Redis begins with the highest score here.
    fn each(&self, visit: &mut dyn FnMut((Item<'z>, f64))) {
        self.iter_rev().for_each(visit);
    }
}

pub(super) fn zrandmember(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let wanted = RandomArgs::parse(args, "WITHSCORES")?;
    match (cx.typed::<ZSet>(args[1])?, wanted.count) {
        (None, None) => out.null(),
        (None, Some(_)) => out.array(0),
        (Some(zset), None) => match zset.random(&mut || cx.random()) {
            Some((member, _)) => out.bulk(member),
            None => out.null(),
        },
        (Some(zset), Some(count)) => {
            wanted.answer(count, out, &zset, &mut || cx.random(), |out, score| {
                out.double(score)
            })?;
        }
    }
    Ok(())
}

pub(super) fn zscan(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    scan(cx, args, out, 2, |zset: &ZSet, cursor, sink| {
        zset.scan(cursor, &mut |member, score| {
            sink(member, &mut |out| {
                out.bulk(member);
                answer_stored(zset, score, out);
            });
        })
    })
}
