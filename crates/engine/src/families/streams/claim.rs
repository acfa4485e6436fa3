//! XCLAIM.

use super::entries::{array_of, write_entry};
use super::groups::no_such_group;
use super::ids::{self, write_id};
use super::propagate::GroupChanges;
use super::read_group::enter;
use crate::command::{CommandError, CommandResult};
use crate::context::RewriteContext;
use crate::families::options::{Words, is_word};
use damselfly_resp::{ReplyWriter, parse_i64};
use damselfly_store::values::stream::{ConsumerId, Entries, Group, PendingEntry, Stream, StreamId};

/// The arguments of XCLAIM behind the consumer.
struct ClaimArgs {
    min_idle_ms: i64,
    ids: Vec<StreamId>,
    force: bool,
    just_id: bool,
    /// When the entries are taken to have been delivered.
    delivered_ms: i64,
    deliveries: Option<u64>,
    last_id: StreamId,
}

impl ClaimArgs {
    /// Reads `min-idle-time id… [IDLE ms] [TIME unix-ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]`.
    fn parse(args: &[&[u8]], now: i64, replays: bool) -> Result<ClaimArgs, CommandError> {
        let min_idle_ms = number(args[4], "min-idle-time argument")?.max(0);
        let ids: Vec<StreamId> = args[5..]
            .iter()
            .map_while(|arg| ids::exact(arg).ok())
            .collect();
        let mut claim = ClaimArgs {
            min_idle_ms,
            force: false,
            just_id: false,
            delivered_ms: now,
            deliveries: None,
            last_id: StreamId::MIN,
            ids,
        };
        let mut words = Words::from(args, 5 + claim.ids.len());
        while let Some(word) = words.next() {
            claim.take(word, &mut words, now, replays)?;
        }
        // Whoever replays does not know better.
        if !replays && !(0..=now).contains(&claim.delivered_ms) {
            claim.delivered_ms = now;
        }
        Ok(claim)
    }

    fn take(
        &mut self,
        word: &[u8],
        words: &mut Words<'_>,
        now: i64,
        replays: bool,
    ) -> CommandResult {
        if is_word(word, "FORCE") {
            self.force = true;
        } else if is_word(word, "JUSTID") {
            self.just_id = true;
        } else if is_word(word, "IDLE") && words.left() > 0 {
            let idle_ms = number(words.value()?, "IDLE option argument")?;
            self.delivered_ms = now.wrapping_sub(idle_ms);
        } else if is_word(word, "TIME") && words.left() > 0 {
            self.delivered_ms = number(words.value()?, "TIME option argument")?;
        } else if is_word(word, "RETRYCOUNT") && words.left() > 0 {
            let count = number(words.value()?, "RETRYCOUNT option argument")?;
            // A count that has wrapped comes from a primary.
            self.deliveries = (count >= 0 || replays).then_some(count.cast_unsigned());
        } else if is_word(word, "LASTID") && words.left() > 0 {
            self.last_id = ids::exact(words.value()?)?;
        } else {
            return Err(CommandError::echo(
                "ERR Unrecognized XCLAIM option '",
                word,
                "'",
            ));
        }
        Ok(())
    }
}

fn number(arg: &[u8], what: &str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or_else(|| CommandError::owned(format!("ERR Invalid {what} for XCLAIM")))
}

pub(super) fn xclaim(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name, now) = (args[1], args[2], cx.now());
    let stream = cx.source::<Stream>(key)?;
    if stream.is_none_or(|stream| stream.group(name).is_none()) {
        return Err(no_such_group(key, name, ""));
    }
    let claim = ClaimArgs::parse(args, now, cx.replays)?;
    let mut changes = GroupChanges::new(key, name, args[3]);
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)?
        && let Some((entries, mut group)) = stream.entries_and_group(name)
    {
        let moves = claim.last_id > group.last_id();
        if moves {
            group.set_last_id(claim.last_id);
        }
        let mut claiming = Claiming {
            entries,
            group: &mut group,
            consumer: None,
            claim: &claim,
            now,
            changes: &mut changes,
        };
        claiming.write(out);
        changes.last_id = group.last_id();
        // Records of claims have the last id with them.
        changes.read = (moves && changes.delivered.is_empty()).then(|| group.entries_read());
    }
    if !changes.is_empty() {
        cx.modified_unwatched(key);
        changes.record(cx);
    }
    Ok(())
}

/// A claim under way.
struct Claiming<'a, 'k> {
    entries: &'a Entries,
    group: &'a mut Group,
    /// Who claims: seen, and made if need be, when there is something for it.
    consumer: Option<ConsumerId>,
    claim: &'a ClaimArgs,
    now: i64,
    changes: &'a mut GroupChanges<'k>,
}

impl Claiming<'_, '_> {
    fn write(&mut self, out: &mut ReplyWriter<'_>) {
        let (claim, entries) = (self.claim, self.entries);
        array_of(out, |out| {
            let claimed = claim.ids.iter().filter(|id| self.claim_one(**id));
            claimed
                .map(|id| match entries.get(*id) {
                    Some(entry) if !claim.just_id => write_entry(out, entry),
                    _ => write_id(out, *id),
                })
                .count()
        });
    }

    /// Gives an entry to the consumer. Whether it may have it.
    fn claim_one(&mut self, id: StreamId) -> bool {
        let pending = self.group.pending(id);
        if !self.entries.contains(id) {
            self.changes
                .removed
                .extend(self.group.remove_pending(id).map(|entry| entry.id));
            return false;
        }
        let deliveries = match pending {
            Some(pending) if self.is_busy(&pending) => return false,
            Some(pending) => pending.deliveries,
            // An entry that is forced counts as delivered once before.
            None if self.claim.force => 1,
            None => return false,
        };
        let consumer = self.enter();
        let again = u64::from(!self.claim.just_id);
        let entry = PendingEntry {
            id,
            consumer,
            delivered_ms: self.claim.delivered_ms,
            deliveries: self
                .claim
                .deliveries
                .unwrap_or(deliveries.wrapping_add(again)),
        };
        self.group.set_pending(entry);
        self.changes.delivered.push(entry);
        true
    }

    fn enter(&mut self) -> ConsumerId {
        let changes = &mut *self.changes;
        *self.consumer.get_or_insert_with(|| {
            enter(self.group, changes.consumer, self.now, &mut changes.created)
        })
    }

    /// Whether it has been delivered too short a time ago.
    fn is_busy(&self, pending: &PendingEntry) -> bool {
        let least = self.claim.min_idle_ms;
        least > 0 && self.now.wrapping_sub(pending.delivered_ms) < least
    }
}
