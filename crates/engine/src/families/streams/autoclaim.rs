//! XAUTOCLAIM.

use super::entries::write_entry;
use super::groups::no_such_group;
use super::ids::{self, write_id};
use super::propagate::GroupChanges;
use super::read_group::enter;
use crate::command::{CommandError, CommandResult};
use crate::context::RewriteContext;
use crate::families::collections::at_least;
use crate::families::options::{Words, is_word};
use damselfly_resp::{ReplyWriter, parse_i64};
use damselfly_store::values::stream::{Entries, Group, PendingEntry, Stream, StreamId};

/// Entries that are looked at, for each one that is wanted.
const TRIES: usize = 10;
/// Entries that are claimed where the client does not say.
const DEFAULT_COUNT: usize = 100;
const BAD_COUNT: &str = "ERR COUNT must be > 0";
/// The greatest count.
const MAX_COUNT: i64 = i64::MAX / 16;

/// The arguments of XAUTOCLAIM behind the consumer.
struct ClaimArgs {
    min_idle_ms: i64,
    first: StreamId,
    count: usize,
    just_id: bool,
}

impl ClaimArgs {
    /// Reads `min-idle-time start [COUNT n] [JUSTID]`.
    fn parse(args: &[&[u8]]) -> Result<ClaimArgs, CommandError> {
        let min_idle_ms = parse_i64(args[4]).ok_or(CommandError::text(
            "ERR Invalid min-idle-time argument for XAUTOCLAIM",
        ))?;
        let mut claim = ClaimArgs {
            min_idle_ms: min_idle_ms.max(0),
            first: ids::start(args[5])?,
            count: DEFAULT_COUNT,
            just_id: false,
        };
        let mut words = Words::from(args, 6);
        while let Some(word) = words.next() {
            if is_word(word, "COUNT") && words.left() > 0 {
                let count = at_least(words.value()?, 1, BAD_COUNT)?;
                if count > MAX_COUNT {
                    return Err(CommandError::text(BAD_COUNT));
                }
                claim.count = count as usize;
            } else if is_word(word, "JUSTID") {
                claim.just_id = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(claim)
    }
}

pub(super) fn xautoclaim(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name, now) = (args[1], args[2], cx.now());
    let claim = ClaimArgs::parse(args)?;
    let stream = cx.source::<Stream>(key)?;
    if stream.is_none_or(|stream| stream.group(name).is_none()) {
        return Err(no_such_group(key, name, ""));
    }
    let mut changes = GroupChanges::new(key, name, args[3]);
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)?
        && let Some((entries, mut group)) = stream.entries_and_group(name)
    {
        let next = claim.run(entries, &mut group, now, &mut changes);
        write_reply(out, entries, &changes, next, claim.just_id);
        changes.last_id = group.last_id();
    }
    if !changes.is_empty() {
        cx.modified_unwatched(key);
        changes.record(cx);
    }
    Ok(())
}

impl ClaimArgs {
    /// Claims what has been pending for long enough, and removes what is gone. Returns where the next call goes on.
    fn run(
        &self,
        entries: &Entries,
        group: &mut Group,
        now: i64,
        changes: &mut GroupChanges<'_>,
    ) -> StreamId {
        // One more than are looked at: it is where the next call begins.
        let most = self.count.saturating_mul(TRIES);
        let pending: Vec<PendingEntry> = group
            .pending_range(self.first, StreamId::MAX)
            .take(most.saturating_add(1))
            .collect();
        let mut consumer = None;
        let mut pending = pending.iter().enumerate().peekable();
        while changes.removed.len() + changes.delivered.len() < self.count
            && let Some((_, old)) = pending.next_if(|(index, _)| *index < most)
        {
            if !entries.contains(old.id) {
                group.remove_pending(old.id);
                changes.removed.push(old.id);
            } else if self.min_idle_ms == 0
                || now.wrapping_sub(old.delivered_ms) >= self.min_idle_ms
            {
                // Seen, and made if need be, when there is something for it.
                let consumer = *consumer.get_or_insert_with(|| {
                    enter(group, changes.consumer, now, &mut changes.created)
                });
                let entry = PendingEntry {
                    consumer,
                    delivered_ms: now,
                    deliveries: old.deliveries.wrapping_add(u64::from(!self.just_id)),
                    ..*old
                };
                group.set_pending(entry);
                changes.delivered.push(entry);
            }
        }
        pending.next().map_or(StreamId::MIN, |(_, entry)| entry.id)
    }
}

/// Where the next call goes on, what has been claimed, and the ids of what is gone.
fn write_reply(
    out: &mut ReplyWriter<'_>,
    entries: &Entries,
    changes: &GroupChanges<'_>,
    next: StreamId,
    just_id: bool,
) {
    out.array(3);
    write_id(out, next);
    out.array(changes.delivered.len());
    for claimed in &changes.delivered {
        match entries.get(claimed.id) {
            Some(entry) if !just_id => write_entry(out, entry),
            _ => write_id(out, claimed.id),
        }
    }
    out.array(changes.removed.len());
    changes.removed.iter().for_each(|id| write_id(out, *id));
}
