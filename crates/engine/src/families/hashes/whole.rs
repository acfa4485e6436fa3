//! Commands on hashes as a whole.

use super::fields_now;
use crate::command::CommandResult;
use crate::context::ReadContext;
use crate::families::collections::{RandomArgs, RandomSource, scan};
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Expiring, Hash, HashAt, Item};

pub(super) fn hlen(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(fields_now(cx, args[1])?.map_or(0, |hash| hash.len()) as i64);
    Ok(())
}

pub(super) fn hgetall(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let hash = fields_now(cx, args[1])?;
    out.map(hash.map_or(0, |hash| hash.len()));
    for (field, value) in hash.into_iter().flat_map(HashAt::iter) {
        out.bulk(field);
        out.bulk(value);
    }
    Ok(())
}

pub(super) fn hkeys(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let hash = fields_now(cx, args[1])?;
    out.array(hash.map_or(0, |hash| hash.len()));
    hash.into_iter()
        .flat_map(HashAt::iter)
        .for_each(|(field, _)| out.bulk(field));
    Ok(())
}

pub(super) fn hvals(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let hash = fields_now(cx, args[1])?;
    out.array(hash.map_or(0, |hash| hash.len()));
    hash.into_iter()
        .flat_map(HashAt::iter)
        .for_each(|(_, value)| out.bulk(value));
    Ok(())
}

impl<'h> RandomSource<Item<'h>, Item<'h>> for HashAt<'h> {
    fn size(&self) -> usize {
        self.len()
    }

    fn pick(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'h>, Item<'h>)> {
        self.random(rng)
    }

    fn each(&self, visit: &mut dyn FnMut((Item<'h>, Item<'h>))) {
        self.iter().for_each(visit);
    }
}

pub(super) fn hrandfield(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let wanted = RandomArgs::parse(args, "WITHVALUES")?;
    match (fields_now(cx, args[1])?, wanted.count) {
        (None, None) => out.null(),
        (None, Some(_)) => out.array(0),
        (Some(hash), None) => match hash.random(&mut || cx.random()) {
            Some((field, _)) => out.bulk(field),
            None => out.null(),
        },
        (Some(hash), Some(count)) => {
            wanted.answer(count, out, &hash, &mut || cx.random(), |out, value| {
                out.bulk(value)
            })?;
        }
    }
    Ok(())
}

pub(super) fn hscan(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let now = cx.now();
    scan(cx, args, out, 2, |hash: &Hash, cursor, sink| {
        hash.at(now).scan(cursor, &mut |field, value| {
            sink(field, &mut |out| {
                out.bulk(field);
                out.bulk(value);
            });
        })
    })
}
