//! Executing a primary's records: no admission by lock for readers, no clock, no
//! journalling of one's own effects; the records are relayed as they came.

use super::{Job, ShardCore, Step, key_hash};
use crate::command::{Command, CommandTable, KeyPositions};
use crate::context::Effects;
use crate::engine::Engine;
use crate::replicate::shown;
use damselfly_replication::{DataError, Effect, TransactionPart};
use damselfly_resp::{ArgVec, Proto, ReplyWriter};
use damselfly_store::DbIndex;
use smallvec::SmallVec;
use std::sync::Arc;

/// Bytes of an unread reply that are kept for the next.
const RETAINED_BYTES: usize = 64 << 10;

/// Takes the outcome of an [`ApplyJob`].
pub type Applied = Box<dyn FnOnce(Result<(), DataError>) + Send>;

impl ShardCore {
    /// Executes parts one after the other, up to the first that has to wait, or fails: how many were executed.
    pub fn apply_ready(
        &mut self,
        table: &CommandTable,
        parts: &[TransactionPart],
    ) -> (usize, Result<(), DataError>) {
        self.warm_for(parts);
        for (done, part) in parts.iter().enumerate() {
            match self.try_apply(table, part) {
                Some(Ok(())) => {}
                Some(Err(error)) => return (done, Err(error)),
                None => return (done, Ok(())),
            }
        }
        (parts.len(), Ok(()))
    }

    /// Fetches what the first commands of the parts will read, all at once. (Their keys are nearly always the first argument.)
    fn warm_for(&self, parts: &[TransactionPart]) {
        let Some((db, _)) = parts.first().and_then(TransactionPart::first_key) else {
            return;
        };
        let keys: SmallVec<[&[u8]; 32]> = parts
            .iter()
            .filter_map(|part| part.first_key().map(|(_, key)| key))
            .collect();
        if db < self.space.store.dbnum() {
            self.warm(DbIndex(db), &keys);
        }
    }

    /// Executes a part whose keys all live here, and relays it. `None`: it has to wait, nothing has changed.
    pub fn try_apply(
        &mut self,
        table: &CommandTable,
        part: &TransactionPart,
    ) -> Option<Result<(), DataError>> {
        match self.may_apply(table, part) {
            Ok(Step::Done) => {
                let applied = self.apply(table, part);
                self.serve_ready(false);
                Some(applied)
            }
            Ok(Step::Parked) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Executes a part inside a transaction that holds its keys, and relays it.
    pub fn apply(&mut self, table: &CommandTable, part: &TransactionPart) -> Result<(), DataError> {
        let mut effects = Effects::new(!self.relays && self.journal.is_active());
        for effect in part.effects() {
            if let Effect::Command { db, args } = effect {
                if db >= self.space.store.dbnum() {
                    return Err(no_database(db, self.space.store.dbnum()));
                }
                if let Err(error) = self.apply_command(table, DbIndex(db), &args, &mut effects) {
                    self.skipped
                        .record(table.resolve(&args), DbIndex(db), &args, error)?;
                }
            }
        }
        if self.relays {
            return self.relay(part);
        }
        self.journal_alone(effects);
        Ok(())
    }

    /// Appends a part to the journal under the primary's own numbers.
    pub fn relay(&mut self, part: &TransactionPart) -> Result<(), DataError> {
        let Some(first) = part.first_lsn().filter(|_| self.relays) else {
            return Ok(());
        };
        part.write_to(&mut self.relayed);
        let now_ms = self.space.now.unsigned_abs();
        let appended = self
            .journal
            .append_relayed(&mut self.relayed, first, now_ms);
        self.space.snapshots.on_recorded();
        appended
            .map(drop)
            .map_err(|error| DataError::terminal(error.to_string()))
    }

    fn apply_command(
        &mut self,
        table: &CommandTable,
        db: DbIndex,
        args: &ArgVec<'_>,
        effects: &mut Effects,
    ) -> Result<(), DataError> {
        let row = writer(table, args)?;
        if let Some(space) = row.publishes() {
            crate::pubsub::replay(space, args);
            if effects.is_wanted() {
                effects.push(db, args);
            }
            return Ok(());
        }
        if row.changes_libraries().is_some() {
            // Whoever has the parts of all shards has done it.
            effects.push_own(db, args);
            return Ok(());
        }
        if self.space.store.is_observed() {
            let (_, keys) = writer_with_keys(table, args)?;
            self.serialize_sources(db, args, &keys);
        }
        self.unread_reply.clear();
        self.unread_reply.shrink_to(RETAINED_BYTES);
        let mut out = ReplyWriter::new(&mut self.unread_reply, Proto::Resp2);
        self.commands_run += 1;
        let timer = self.slow.begin(row, args);
        let done = super::execute::write(&mut self.space, row, db, args, effects, true, &mut out);
        if let Some(begun) = timer {
            self.slow.note(row, args, begun.elapsed());
            if self.slow.has_found() {
                self.slow_log.add_records(self.slow.take());
            }
        }
        done.map_err(|error| DataError::terminal(format!("record {}: {error}", shown(args))))
    }

    fn may_apply(&self, table: &CommandTable, part: &TransactionPart) -> Result<Step, DataError> {
        for effect in part.effects() {
            let Effect::Command { db, args } = effect else {
                continue;
            };
            let (row, keys) = match writer_with_keys(table, &args) {
                Ok(found) => found,
                // It will be passed over: there is nothing to wait for.
                Err(_) if self.skipped.is_enabled() => continue,
                Err(error) => return Err(error),
            };
            if self.admits(row, DbIndex(db), &args, &keys) == Step::Parked {
                return Ok(Step::Parked);
            }
        }
        Ok(Step::Done)
    }
}

/// The row of a record's command, which must be one that has records.
pub(crate) fn writer(table: &CommandTable, args: &[&[u8]]) -> Result<&'static Command, DataError> {
    let row = table
        .resolve(args)
        .filter(|row| row.is_write() || row.publishes().is_some())
        .filter(|row| row.accepts(args.len()));
    row.ok_or_else(|| {
        DataError::terminal(format!("a record that is no known write: {}", shown(args)))
    })
}

/// The row of a record's command, and where its keys stand.
pub(crate) fn writer_with_keys(
    table: &CommandTable,
    args: &[&[u8]],
) -> Result<(&'static Command, KeyPositions), DataError> {
    let row = writer(table, args)?;
    let keys = row
        .keys
        .positions(args)
        .map_err(|error| DataError::terminal(format!("record {}: {error}", shown(args))))?;
    Ok((row, keys))
}

/// A record for a database that is not there: nothing to pass over, but a server set up with too few.
pub(crate) fn no_database(db: u16, dbnum: u16) -> DataError {
    DataError::terminal(format!(
        "a record for database {db}, which is beyond this server's {dbnum} (see --dbnum)"
    ))
}

/// Parts, one after the other, that wait for their turn.
pub struct ApplyJob {
    engine: Arc<Engine>,
    parts: Vec<TransactionPart>,
    /// How many of them are executed.
    next: usize,
    done: Option<Applied>,
}

impl ApplyJob {
    /// A job whose outcome goes to `done`.
    pub fn new(engine: Arc<Engine>, parts: Vec<TransactionPart>, done: Applied) -> ApplyJob {
        ApplyJob {
            engine,
            parts,
            next: 0,
            done: Some(done),
        }
    }
}

impl Job for ApplyJob {
    fn step(&mut self, core: &mut ShardCore) -> Step {
        let (done, result) = core.apply_ready(&self.engine.table, &self.parts[self.next..]);
        self.next += done;
        if result.is_ok() && self.next < self.parts.len() {
            return Step::Parked;
        }
        if let Some(done) = self.done.take() {
            done(result);
        }
        Step::Done
    }

    fn keys(&self, visit: &mut dyn FnMut(u64)) {
        let waiting = self.parts[self.next..].iter();
        for effect in waiting.flat_map(TransactionPart::effects) {
            let Effect::Command { args, .. } = effect else {
                continue;
            };
            let keys = writer(&self.engine.table, &args)
                .ok()
                .and_then(|row| row.keys.positions(&args).ok());
            for at in keys.into_iter().flatten() {
                visit(key_hash(args[at as usize]));
            }
        }
    }
}
