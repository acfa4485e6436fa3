//! Clients that wait for keys: their first try, and serving them.
//!
//! A command, or a transaction when it is concluded, notes the keys that it changed and that somebody waits for. They are served right there,
//! before anything else runs: each client that waits for the type which stands there, in the order in which they began to wait, as one more command of this shard.
//! Where serving has to wait itself it is parked in front of everything else, and keeps its key from later commands.

use super::{Job, LockMode, ShardCore, Step, key_hash};
use crate::command::{Command, CommandError, KeyPositions, Wait};
use crate::waiter::{Outcome, Waiter};
use crate::waits::{KeyId, Seat};
use damselfly_resp::{ArgVec, ReplyWriter};
use damselfly_store::{DbIndex, Kind};
use std::sync::Arc;

/// What the first try of a command that can wait came to.
#[derive(Debug)]
pub(crate) enum FirstTry {
    /// This encoded reply.
    Answered(Vec<u8>),
    /// Nothing yet.
    Waits(Box<Wait>),
}

impl ShardCore {
    /// Runs a command that can wait, whose keys all live here; its client waits from then on if it found nothing. `None`: it is to be parked.
    pub(crate) fn try_blocking(
        &mut self,
        waiter: &Arc<Waiter>,
        args: &[&[u8]],
        keys: &KeyPositions,
    ) -> Option<FirstTry> {
        let row = waiter.row;
        if self.admits(row, waiter.db, args, keys) == Step::Parked {
            return None;
        }
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, waiter.proto);
        let result = self.run_alone(row, waiter.db, args, keys, &mut out);
        let tried = match result {
            Err(CommandError::Wait(wait)) => {
                for (id, seat) in seats(waiter, args, keys, &wait) {
                    self.space.waits.add(id, seat);
                }
                FirstTry::Waits(wait)
            }
            result => {
                self.reply(row, result, &mut out);
                FirstTry::Answered(reply)
            }
        };
        self.serve_ready(false);
        Some(tried)
    }

    /// Serves the clients that wait for keys which have changed. `settled`: a transaction has just been concluded, and none has been made ready since,
    /// so that locks are of transactions that have not begun.
    pub(crate) fn serve_ready(&mut self, settled: bool) {
        while self.space.waits.has_ready() {
            for id in self.space.waits.take_ready() {
                if self.space.waits.begin(&id, false)
                    && self.serve_key(&id, settled) == Step::Parked
                {
                    self.space.waits.hold(&id);
                    self.parked.push_front(Box::new(ServeJob(id)));
                }
            }
        }
    }

    fn serve_key(&mut self, id: &KeyId, settled: bool) -> Step {
        let mut after = 0;
        while let Some(kind) = self.kind_at(id)
            && let Some(seat) = self.space.waits.next(id, kind, after)
        {
            after = seat.waiter.id;
            if self.serve(id, &seat, settled) == Step::Parked {
                return Step::Parked;
            }
        }
        for seat in self.space.waits.gone(id, self.kind_at(id)) {
            if self.serve(id, &seat, settled) == Step::Parked {
                return Step::Parked;
            }
        }
        Step::Done
    }

    /// The type of what stands under a key.
    fn kind_at(&self, id: &KeyId) -> Option<Kind> {
        let entry = if self.is_replica {
            self.space.store.get(id.db, &id.key)
        } else {
            self.space.live(id.db, &id.key)
        };
        Some(entry?.value().kind())
    }

    /// Tries to serve one client.
    fn serve(&mut self, id: &KeyId, seat: &Seat, settled: bool) -> Step {
        let waiter = &seat.waiter;
        if waiter.is_over() {
            self.space.waits.remove(id, waiter);
            return Step::Done;
        }
        if waiter.apart {
            return give_turn(waiter);
        }
        let args: ArgVec<'_> = seat.args.iter().map(Vec::as_slice).collect();
        let Ok(keys) = waiter.row.keys.positions(&args) else {
            return Step::Done;
        };
        if self.holds_back(waiter.row, waiter.db, &args, &keys, settled) {
            return Step::Parked;
        }
        if !waiter.claim() {
            return Step::Done;
        }
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, waiter.proto);
        self.space.waits.serving = true;
        let result = self.execute(waiter.row, waiter.db, &args, &keys, &mut out);
        self.space.waits.serving = false;
        if let Err(CommandError::Wait(_)) = result {
            waiter.release();
            return Step::Done;
        }
        self.reply(waiter.row, result, &mut out);
        self.space.waits.remove(id, waiter);
        waiter.served(reply);
        Step::Done
    }

    /// Whether a waiting client's command can't run right now.
    fn holds_back(
        &self,
        row: &Command,
        db: DbIndex,
        args: &[&[u8]],
        keys: &KeyPositions,
        settled: bool,
    ) -> bool {
        let mode = if row.is_write() {
            LockMode::Exclusive
        } else {
            LockMode::Shared
        };
        keys.iter().map(|at| args[*at as usize]).any(|key| {
            (!settled && self.locks.conflicts(key_hash(key), mode))
                || (row.is_write() && self.is_blocked(db, key))
        })
    }

    /// Takes a client's places here away.
    pub(crate) fn leave(&mut self, waiter: &Waiter, keys: &[KeyId]) {
        for id in keys {
            self.space.waits.remove(id, waiter);
        }
        if waiter.apart {
            // Its key may have been held for it.
            self.run_parked();
        }
    }

    /// Tries everybody who waits for one of these keys once more.
    pub(crate) fn serve_again(&mut self, keys: &[KeyId]) {
        keys.iter()
            .for_each(|id| self.space.waits.touch(id.db, &id.key));
        self.serve_ready(false);
    }

    /// Nobody waits here any more.
    pub(crate) fn unblock_all(&mut self, outcome: &Outcome) {
        self.space.waits.waiters().for_each(|waiter| {
            waiter.end(outcome.clone());
        });
    }
}

/// Holds a key for a client whose command needs more than this shard, until its connection has run it.
fn give_turn(waiter: &Waiter) -> Step {
    if waiter.is_claimed() {
        return Step::Parked;
    }
    if waiter.claim() {
        waiter.give_turn();
        return Step::Parked;
    }
    Step::Done
}

/// The places of a client at the keys that it waits for.
pub(crate) fn seats(
    waiter: &Arc<Waiter>,
    args: &[&[u8]],
    keys: &KeyPositions,
    wait: &Wait,
) -> Vec<(KeyId, Seat)> {
    let again: Option<ArgVec<'_>> = wait
        .args
        .as_ref()
        .map(|args| args.iter().map(Vec::as_slice).collect());
    let args = again.as_deref().unwrap_or(args);
    let keys = waiter.blocks.keys.of(keys).iter().map(|at| *at as usize);
    keys.map(|at| {
        let id = KeyId {
            db: waiter.db,
            key: args[at].into(),
        };
        let seat = Seat {
            waiter: waiter.clone(),
            args: (waiter.blocks.only)(args, at).into(),
        };
        (id, seat)
    })
    .collect()
}

/// A command that can wait, and that can't even be tried yet.
pub(crate) struct BlockJob {
    pub(crate) waiter: Arc<Waiter>,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) keys: KeyPositions,
    /// For whom it runs.
    pub(crate) caller: crate::tracking::Caller,
    pub(crate) done: Option<Box<dyn FnOnce(FirstTry) + Send>>,
}

impl Job for BlockJob {
    fn step(&mut self, core: &mut ShardCore) -> Step {
        let args: ArgVec<'_> = self.args.iter().map(Vec::as_slice).collect();
        let tried = core.as_caller(self.caller, |core| {
            core.try_blocking(&self.waiter, &args, &self.keys)
        });
        let Some(tried) = tried else {
            return Step::Parked;
        };
        if let Some(done) = self.done.take() {
            done(tried);
        }
        Step::Done
    }

    fn keys(&self, visit: &mut dyn FnMut(u64)) {
        for at in &self.keys {
            visit(key_hash(&self.args[*at as usize]));
        }
    }
}

/// The serving of a key that has to wait.
struct ServeJob(KeyId);

impl Job for ServeJob {
    fn step(&mut self, core: &mut ShardCore) -> Step {
        if core.is_over_budget() || !matches!(core.freeze, super::Freeze::None) {
            return Step::Parked;
        }
        if !core.space.waits.begin(&self.0, true) {
            return Step::Done;
        }
        let step = core.serve_key(&self.0, false);
        if step == Step::Parked {
            core.space.waits.hold(&self.0);
        }
        core.serve_ready(false);
        step
    }

    fn keys(&self, visit: &mut dyn FnMut(u64)) {
        visit(key_hash(&self.0.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;
    use crate::core::{CommandBatch, Hop, HopWrites, KeyLock, TxId, TxShared, TxSpec};
    use damselfly_journal::JournalOptions;
    use damselfly_resp::Proto;

    struct Shard {
        core: ShardCore,
        table: CommandTable,
        waiters: u64,
    }

    impl Shard {
        fn new() -> Shard {
            Shard {
                core: ShardCore::new(0, 1, 1, JournalOptions::default()),
                table: CommandTable::new(crate::families::ALL),
                waiters: 0,
            }
        }

        /// The reply, if the command has run.
        fn run(&mut self, line: &str) -> Option<String> {
            let (row, args, keys) = parsed(&self.table, line);
            let mut reply = Vec::new();
            let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
            let step = self
                .core
                .try_command(row, DbIndex(0), &args, &keys, &mut out);
            (step == Step::Done).then(|| String::from_utf8_lossy(&reply).into_owned())
        }

        /// A client that waits.
        fn waits(&mut self, line: &str) -> Arc<Waiter> {
            let (row, args, keys) = parsed(&self.table, line);
            self.waiters += 1;
            let waiter = Waiter::new(self.waiters, row, DbIndex(0), Proto::Resp2, false);
            let waiter = Arc::new(waiter.expect("a command that blocks"));
            let tried = self.core.try_blocking(&waiter, &args, &keys);
            assert!(
                matches!(tried, Some(FirstTry::Waits(_))),
                "{line}: {tried:?}"
            );
            waiter
        }

        /// A transaction that stands at the head of the queue, with this key.
        fn transaction(&mut self, id: u64, key: &[u8]) -> TxId {
            let lock = KeyLock {
                key: key_hash(key),
                mode: LockMode::Exclusive,
            };
            let spec = TxSpec {
                shared: Arc::new(TxShared::new(TxId(id))),
                locks: vec![lock],
                global: false,
                writes: true,
                grows: false,
                replays: false,
            };
            self.core.schedule(spec, Box::new(|| {}));
            TxId(id)
        }

        fn hop(&mut self, id: TxId, line: &str) {
            let (row, args, keys) = parsed(&self.table, line);
            let mut batch = CommandBatch::new(Proto::Resp2);
            batch.push(
                row,
                DbIndex(0),
                &args,
                keys,
                crate::tracking::Caller::default(),
            );
            let run = move |core: &mut ShardCore, effects: &mut crate::context::Effects| {
                batch.run_in_transaction(core, effects);
                Box::new(()) as Box<dyn std::any::Any + Send>
            };
            let hop = Hop {
                writes: HopWrites::NOTHING,
                run: Box::new(run),
                reply: Box::new(drop),
            };
            self.core.hop(id, hop);
        }
    }

    fn parsed<'a>(
        table: &CommandTable,
        line: &'a str,
    ) -> (&'static Command, Vec<&'a [u8]>, KeyPositions) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let row = table.find(args[0]).expect("a command");
        let keys = row.keys.positions(&args).expect("keys");
        (row, args, keys)
    }

    fn served(waiter: &Waiter) -> Option<String> {
        match waiter.take_outcome()? {
            Outcome::Served(reply) => Some(String::from_utf8_lossy(&reply).into_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn serving_that_has_to_wait_keeps_its_key() {
        let mut shard = Shard::new();
        let waiter = shard.waits("BLMOVE x y LEFT RIGHT 0");
        let transaction = shard.transaction(1, b"y");
        assert_eq!(shard.run("RPUSH x one"), Some(":1\r\n".to_owned()));
        assert_eq!(served(&waiter), None);
        assert_eq!(shard.run("LPOP x"), None, "it takes what another waits for");
        // Whatever else happens to the key, one serving waits.
        shard.core.wake();
        assert_eq!(shard.core.parked_len(), 1);
        shard.core.conclude(transaction, 0);
        assert_eq!(served(&waiter), Some("$3\r\none\r\n".to_owned()));
        assert_eq!(shard.core.parked_len(), 0);
        assert_eq!(shard.run("LPOP x"), Some("$-1\r\n".to_owned()));
        assert_eq!(shard.run("LPOP y"), Some("$3\r\none\r\n".to_owned()));
        assert!(shard.core.space.waits.is_empty());
    }

    #[test]
    fn what_a_transaction_pushes_is_served_when_it_is_over() {
        let mut shard = Shard::new();
        let waiter = shard.waits("BLPOP other k 0");
        let transaction = shard.transaction(1, b"k");
        shard.hop(transaction, "RPUSH k one");
        assert!(shard.run("SET unrelated 1").is_some());
        assert_eq!(served(&waiter), None);
        shard.hop(transaction, "RPUSH k two");
        // The next one has not begun: its lock is no hindrance.
        let next = shard.transaction(2, b"k");
        shard.core.conclude(transaction, 0);
        let expected = "*2\r\n$1\r\nk\r\n$3\r\none\r\n";
        assert_eq!(served(&waiter), Some(expected.to_owned()));
        shard.core.cancel(next);
        assert_eq!(shard.run("LLEN k"), Some(":1\r\n".to_owned()));
    }

    #[test]
    fn what_another_shard_serves_is_left_alone_and_not_forgotten() {
        let mut shard = Shard::new();
        let waiter = shard.waits("BLPOP k 0");
        assert!(waiter.claim());
        assert!(shard.run("RPUSH k one").is_some());
        assert_eq!(waiter.take_outcome(), None);
        waiter.release();
        assert_eq!(waiter.take_outcome(), Some(Outcome::Again));
        let id = KeyId {
            db: DbIndex(0),
            key: (*b"k").into(),
        };
        shard.core.serve_again(&[id]);
        assert!(served(&waiter).is_some());
        // Who is over is passed over.
        let gone = shard.waits("BLPOP k 0");
        assert!(gone.end(Outcome::TimedOut) && !gone.end(Outcome::Unblocked));
        assert!(shard.run("RPUSH k two").is_some());
        assert_eq!(gone.take_outcome(), Some(Outcome::TimedOut));
        assert_eq!(shard.run("LLEN k"), Some(":1\r\n".to_owned()));
    }
}
