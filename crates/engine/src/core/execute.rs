//! Running a command on the keyspace, and journalling what it did.

use super::{ShardCore, Step};
use crate::command::{Command, CommandError, CommandResult, Handler, KeyPositions};
use crate::context::{Effects, ReadContext, RewriteContext, WriteContext};
use crate::keyspace::{EventClass, Keyspace};
use damselfly_resp::ReplyWriter;
use damselfly_store::values::Expiring;
use damselfly_store::{DbIndex, Intent, UnixMs, Value};
use smallvec::SmallVec;

impl ShardCore {
    /// Tries a command whose keys all live here, and journals it. The reply goes to `out` when it is done.
    pub fn try_command(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        out: &mut ReplyWriter<'_>,
    ) -> Step {
        if self.admits(row, db, args, keys) == Step::Parked {
            if !self.scripts.is_busy() {
                return Step::Parked;
            }
            // It would wait for the script, nobody knows how long.
            self.reply(row, Err(self.scripts.busy_error()), out);
            return Step::Done;
        }
        let timer = self.stats.begin(row).or_else(|| self.slow.begin(row, args));
        let result = self.run_alone(row, db, args, keys, out);
        self.reply(row, result, out);
        if let Some(begun) = timer {
            let took = begun.elapsed();
            self.stats.took(row, took);
            self.slow.note(row, args, took);
        }
        if self.space.waits.has_ready() {
            self.serve_ready(false);
        }
        Step::Done
    }

    /// Runs an admitted command as a transaction of its own, if it may run now.
    pub(super) fn run_alone(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        out: &mut ReplyWriter<'_>,
    ) -> CommandResult {
        // The session has looked at the role before; it may have changed since.
        if self.is_replica && row.is_write() {
            return Err(CommandError::ReadOnly);
        }
        if row.is_write() && row.grows() && !self.has_room() {
            return Err(CommandError::OutOfMemory);
        }
        self.execute(row, db, args, keys, out)
    }

    /// Runs a command as a transaction of its own, and journals it.
    pub(super) fn execute(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        out: &mut ReplyWriter<'_>,
    ) -> CommandResult {
        if !row.is_write() {
            self.commands_run += 1;
            self.note_read(keys.iter().map(|at| args[*at as usize]));
            return read(&self.space, row, db, args, out);
        }
        let mut effects = Effects::new(self.journal.is_active());
        let result = self.write(row, db, args, keys, &mut effects, out);
        self.journal_alone(effects);
        result
    }

    /// Runs a command inside a transaction: its effects are collected, not yet journalled.
    pub(crate) fn run_in_transaction(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        effects: &mut Effects,
        out: &mut ReplyWriter<'_>,
    ) {
        let result = self.run_part(row, db, args, keys, effects, out);
        self.reply(row, result, out);
    }

    /// [`ShardCore::run_in_transaction`], for callers that make the reply of an error themselves.
    pub(crate) fn run_part(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        effects: &mut Effects,
        out: &mut ReplyWriter<'_>,
    ) -> CommandResult {
        let timer = self.stats.begin_part(row);
        let result = if row.is_write() {
            self.write(row, db, args, keys, effects, out)
        } else {
            self.commands_run += 1;
            self.note_read(keys.iter().map(|at| args[*at as usize]));
            read(&self.space, row, db, args, out)
        };
        self.stats.ended(row, timer);
        result
    }

    /// An error becomes the reply; anything else has been written by the handler.
    pub(super) fn reply(
        &mut self,
        row: &'static Command,
        result: CommandResult,
        out: &mut ReplyWriter<'_>,
    ) {
        if let Err(error) = result {
            if error.is_error() {
                self.stats.failed(row, &error);
            }
            error.write(out);
        }
    }

    fn write(
        &mut self,
        row: &'static Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        effects: &mut Effects,
        out: &mut ReplyWriter<'_>,
    ) -> CommandResult {
        self.commands_run += 1;
        for at in keys {
            self.expire_before_write(db, args[*at as usize], effects);
        }
        self.serialize_sources(db, args, keys);
        write(
            &mut self.space,
            row,
            db,
            args,
            effects,
            self.is_replica,
            out,
        )
    }

    /// The record of a command that reads other keys than it writes is executed by a replica whose full sync is under way, too:
    /// what stood under all of its keys has to be there before.
    pub(super) fn serialize_sources(&mut self, db: DbIndex, args: &[&[u8]], keys: &KeyPositions) {
        if keys.len() < 2 || !self.space.store.is_observed() {
            return;
        }
        for at in keys {
            let (key, mut unseen) = (args[*at as usize], SmallVec::<[_; 2]>::new());
            if self.space.store.get(db, key).is_some() {
                let store = &self.space.store;
                store.prepare(db, key, Intent::Update, &mut |bucket| {
                    unseen.push(bucket.id())
                });
            }
            for bucket in unseen {
                self.space.store.serialize_bucket(bucket);
            }
        }
    }

    /// A write that meets an expired key, or a hash or set with expired elements, deletes these first, with their own record.
    fn expire_before_write(&mut self, db: DbIndex, key: &[u8], effects: &mut Effects) {
        if self.is_replica {
            return;
        }
        if self.space.store.expires_len(db) > 0
            && self
                .space
                .store
                .get(db, key)
                .is_some_and(|entry| self.space.has_passed(entry.expire_at()))
        {
            delete_expired(&mut self.space, db, key, effects);
        }
        if self.space.store.timed_len(db) > 0 {
            delete_expired_elements(&mut self.space, db, key, usize::MAX, effects);
        }
    }

    /// Journals the effects of a command that touched only this shard.
    pub(crate) fn journal_alone(&mut self, effects: Effects) {
        self.journal_effects(effects, 0, 1);
    }

    /// Appends one contiguous run of records. A relay's journal has its primary's records, and nothing of its own.
    pub(super) fn journal_effects(&mut self, mut effects: Effects, txid: u64, shards: u16) {
        if self.relays {
            return;
        }
        effects.journal(
            &mut self.journal,
            txid,
            shards,
            self.space.now.unsigned_abs(),
        );
        self.space.snapshots.on_recorded();
    }
}

/// Deletes a key whose time has come, as an effect.
pub(crate) fn delete_expired(space: &mut Keyspace, db: DbIndex, key: &[u8], effects: &mut Effects) {
    if let Some((value, _)) = space.store.remove(db, key) {
        space.discard(value);
        space.count_expired();
        space.note_change(db, key);
        effects.push(db, &[b"DEL", key]);
        space.events.tell(db, EventClass::Expired, "expired", key);
    }
}

/// Elements that one HDEL or SREM names at most.
const ELEMENTS_PER_EFFECT: usize = 512;

/// Deletes up to `most` fields of a hash or members of a set whose time has come, and the key with the last one, as effects.
/// Returns how many.
pub(crate) fn delete_expired_elements(
    space: &mut Keyspace,
    db: DbIndex,
    key: &[u8],
    most: usize,
    effects: &mut Effects,
) -> usize {
    let (remove, class, event, due) = match space.store.get(db, key).map(|entry| entry.value()) {
        Some(Value::Hash(hash)) => {
            let due = due(&**hash, space.now, most);
            (&b"HDEL"[..], EventClass::Hash, "hexpired", due)
        }
        Some(Value::Set(set)) => {
            let due = due(&**set, space.now, most);
            (&b"SREM"[..], EventClass::Set, "sexpired", due)
        }
        _ => return 0,
    };
    if due.is_empty() {
        return 0;
    }
    let is_empty = match space.store.get_mut(db, key).as_deref_mut() {
        Some(Value::Hash(hash)) => without(&mut **hash, &due),
        Some(Value::Set(set)) => without(&mut **set, &due),
        _ => false,
    };
    if is_empty && let Some((value, _)) = space.store.remove(db, key) {
        space.discard(value);
    }
    space.note_change(db, key);
    space.events.tell(db, class, event, key);
    if is_empty {
        space.events.tell(db, EventClass::Generic, "del", key);
    }
    for elements in due.chunks(ELEMENTS_PER_EFFECT) {
        let elements = elements.iter().map(Vec::as_slice);
        let effect: Vec<&[u8]> = [remove, key].into_iter().chain(elements).collect();
        effects.push(db, &effect);
    }
    due.len()
}

fn due(value: &impl Expiring, now: UnixMs, most: usize) -> Vec<Vec<u8>> {
    let due = value.due_elements(now).take(most);
    due.map(|element| element.to_vec()).collect()
}

/// Removes elements; whether none are left.
fn without(value: &mut impl Expiring, elements: &[Vec<u8>]) -> bool {
    elements
        .iter()
        .for_each(|element| _ = value.remove_element(element));
    value.size() == 0
}

/// Runs a read handler.
pub(crate) fn read(
    space: &Keyspace,
    row: &'static Command,
    db: DbIndex,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    match row.handler {
        Handler::Read(handler) => handler(&mut ReadContext { space, db }, args, out),
        _ => Err(CommandError::text(
            "ERR the command does not run on a shard",
        )),
    }
}

/// Runs a writing handler and collects its effects.
pub(crate) fn write(
    space: &mut Keyspace,
    row: &'static Command,
    db: DbIndex,
    args: &[&[u8]],
    effects: &mut Effects,
    replays: bool,
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let mut context = WriteContext {
        space,
        db,
        changes: 0,
        effects,
        replays,
    };
    match row.handler {
        Handler::Write(handler) | Handler::Global(handler) => {
            let result = handler(&mut context, args, out);
            if context.changes > 0 {
                effects.push(db, args);
            }
            result
        }
        Handler::Rewrite(handler) => handler(&mut RewriteContext(context), args, out),
        _ => Err(CommandError::text(
            "ERR the command does not run on a shard",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;
    use damselfly_journal::JournalOptions;
    use damselfly_resp::Proto;
    use damselfly_snapshot::{RdbWriter, SnapshotOptions};
    use std::cell::RefCell;
    use std::rc::Rc;

    fn run(core: &mut ShardCore, table: &CommandTable, line: &str) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let row = table.find(args[0]).expect("a command");
        let keys = row.keys.positions(&args).expect("keys");
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
        let step = core.try_command(row, DbIndex(0), &args, &keys, &mut out);
        assert_eq!(step, Step::Done, "{line}");
        assert_ne!(reply.first(), Some(&b'-'), "{line}");
    }

    #[test]
    fn sources_are_in_the_snapshot_before_the_record_that_reads_them() {
        let table = CommandTable::new(crate::families::ALL);
        let mut core = ShardCore::new(0, 1, 1, JournalOptions::default());
        (0..500).for_each(|n| run(&mut core, &table, &format!("ZADD source:{n} 1 member:{n}")));
        let written = Rc::new(RefCell::new(RdbWriter::new()));
        let space = &mut core.space;
        let _snapshot =
            space
                .snapshots
                .begin(&mut space.store, SnapshotOptions::flow(), written.clone());
        run(&mut core, &table, "ZUNIONSTORE sum 2 source:7 source:123");
        run(&mut core, &table, "COPY source:321 copy");
        let stream = written.borrow_mut().take();
        for n in [7, 123, 321] {
            let member = format!("member:{n}");
            assert!(
                stream
                    .windows(member.len())
                    .any(|bytes| bytes == member.as_bytes()),
                "{member}"
            );
        }
    }
}
