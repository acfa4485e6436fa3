//! Random members of sets.

use super::members_now;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext};
use crate::families::collections::{RandomArgs, RandomSource, generator, random_count, removed};
use crate::families::options::not_negative;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Item, Set, SetAt};

impl<'s> RandomSource<Item<'s>, ()> for SetAt<'s> {
    fn size(&self) -> usize {
        self.len()
    }

    fn pick(&self, rng: &mut dyn FnMut() -> u64) -> Option<(Item<'s>, ())> {
        self.random(rng).map(|member| (member, ()))
    }

    fn each(&self, visit: &mut dyn FnMut((Item<'s>, ()))) {
        self.iter().for_each(|member| visit((member, ())));
    }
}

pub(super) fn srandmember(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let count = match args[2..] {
        [] => None,
        [count] => Some(random_count(count)?),
        _ => return Err(CommandError::Syntax),
    };
    let set = members_now(cx, args[1])?;
    let mut rng = || cx.random();
    match (set, count) {
        (set, None) => match set.and_then(|set| set.random(&mut rng)) {
            Some(member) => out.bulk(member),
            None => out.null(),
        },
        (None, Some(_)) => out.array(0),
        (Some(set), Some(count)) => {
            RandomArgs::NAMES.answer(count, out, &set, &mut rng, |_, ()| {})?;
        }
    }
    Ok(())
}

pub(super) fn spop(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let count = match args[2..] {
        [] => None,
        [count] => Some(not_negative(count)? as usize),
        _ => return Err(CommandError::Syntax),
    };
    let key = args[1];
    let Some(len) = cx.typed::<Set>(key)?.map(Set::len) else {
        if count.is_some() {
            out.set(0)
        } else {
            out.null()
        }
        return Ok(());
    };
    if let Some(count) = count {
        out.set(count.min(len));
    }
    match count.unwrap_or(1) {
        0 => Ok(()),
        count if count >= len => pop_all(cx, key, out),
        count => pop_some(cx, key, count, out),
    }
}

/// Pops all members. The effect is a DEL.
fn pop_all(cx: &mut RewriteContext<'_>, key: &[u8], out: &mut ReplyWriter<'_>) -> CommandResult {
    if let Some(set) = cx.typed::<Set>(key)? {
        set.iter().for_each(|member| out.bulk(member));
    }
    cx.remove(key);
    cx.modified(EventClass::Set, "spop", key);
    cx.modified(EventClass::Generic, "del", key);
    cx.effect(&[b"DEL", key]);
    Ok(())
}

/// Pops fewer members than there are. The effect is an SREM of them.
fn pop_some(
    cx: &mut RewriteContext<'_>,
    key: &[u8],
    count: usize,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let mut rng = generator(cx.random());
    let mut popped = Vec::with_capacity(count);
    if let Some(mut set) = cx.typed_mut::<Set>(key)? {
        popped.extend((0..count).filter_map(|_| set.pop_random(&mut rng)));
    }
    removed(cx, EventClass::Set, "spop", key, false);
    popped.iter().for_each(|member| out.bulk(member));
    if !cx.wants_effects() {
        cx.effect(&[]);
        return Ok(());
    }
    let line = [&b"SREM"[..], key]
        .into_iter()
        .chain(popped.iter().map(Vec::as_slice));
    cx.effect(&line.collect::<Vec<_>>());
    Ok(())
}
