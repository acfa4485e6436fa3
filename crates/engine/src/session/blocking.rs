//! Commands that wait for keys: the connection's end.
//!
//! The first try runs like any command; if it finds nothing, the client has its places at the keys in the same step (one shard) or the
//! same transaction (several), and the session is *blocked*. Whoever drives it waits for [`Session::unblocked`] and then calls
//! [`Session::try_unblock`], until that says that the command has ended.

use super::Session;
use crate::command::{Command, CommandError, CommandResult, KeyPositions, Spread, Wait, WaitKeys};
use crate::coordinator::{Scope, Transaction, on_core};
use crate::core::{BlockJob, FirstTry, HopWrites, seats};
use crate::waiter::{Outcome, Waiter};
use crate::waits::{KeyId, Seat};
use damselfly_resp::{ArgVec, ReplyWriter};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const UNBLOCKED: CommandError = CommandError::text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
const ROLE_CHANGED: CommandError = CommandError::text(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);

/// A command of a session that waits.
pub struct Blocked {
    waiter: Arc<Waiter>,
    args: Vec<Vec<u8>>,
    /// Its places, by shard.
    places: Vec<(usize, Vec<KeyId>)>,
    deadline: Option<Instant>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.waiter.leave();
    }
}

/// Places at keys.
type Seats = Vec<(KeyId, Seat)>;

impl Session {
    /// Runs a command that can wait. The session is blocked if it has to.
    pub(super) async fn run_blocking(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let keys = row.keys.positions(args)?;
        let only = self.only_shard(args, &keys);
        let id = self.thread.engine.mesh.next_waiter();
        let waiter = Waiter::new(id, row, self.db, self.proto, only.is_none() && leads(row));
        let waiter = Arc::new(waiter.ok_or(CommandError::Syntax)?);
        if row.is_write() {
            let shards = keys.iter().map(|at| self.shard_at(args, *at));
            let shards: Vec<usize> = shards.collect();
            shards
                .into_iter()
                .for_each(|shard| self.note_written(shard));
        }
        let tried = match only {
            Some(shard) => self.try_on_shard(shard, &waiter, args, &keys).await,
            None => self.try_apart(&waiter, args, &keys).await?,
        };
        match tried {
            FirstTry::Answered(reply) => out.extend_from_slice(&reply),
            FirstTry::Waits(wait) => self.block(waiter, args, &keys, &wait),
        }
        Ok(())
    }

    fn shard_at(&self, args: &[&[u8]], at: u32) -> usize {
        self.thread.engine.mesh.shard_of(args[at as usize])
    }

    fn block(&mut self, waiter: Arc<Waiter>, args: &[&[u8]], keys: &KeyPositions, wait: &Wait) {
        let mut places: BTreeMap<usize, Vec<KeyId>> = BTreeMap::new();
        for at in waiter.blocks.keys.of(keys) {
            let key = args[*at as usize].into();
            let here = places.entry(self.shard_at(args, *at)).or_default();
            here.push(KeyId { db: waiter.db, key });
        }
        let deadline = wait
            .timeout_ms
            .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        self.blocked = Some(Blocked {
            waiter,
            args: args.iter().map(|arg| arg.to_vec()).collect(),
            places: places.into_iter().collect(),
            deadline,
        });
    }

    async fn try_on_shard(
        &self,
        shard: usize,
        waiter: &Arc<Waiter>,
        args: &[&[u8]],
        keys: &KeyPositions,
    ) -> FirstTry {
        let caller = self.caller(waiter.row.is_read());
        if self.thread.owns(shard)
            && let Some(tried) = self.thread.with_core(|core| {
                core.as_caller(caller, |core| core.try_blocking(waiter, args, keys))
            })
        {
            return tried;
        }
        let mut job = BlockJob {
            waiter: waiter.clone(),
            args: args.iter().map(|arg| arg.to_vec()).collect(),
            keys: keys.clone(),
            caller,
            done: None,
        };
        let call = self.thread.call(shard, move |thread, answer| {
            job.done = Some(Box::new(move |tried| answer.send(tried)));
            thread.with_core(|core| core.submit(Box::new(job)));
            thread.clean_up();
        });
        call.await
    }

    /// The first try where the keys live on several shards: one transaction, in which the client has its places if there is nothing.
    async fn try_apart(
        &self,
        waiter: &Arc<Waiter>,
        args: &[&[u8]],
        keys: &KeyPositions,
    ) -> Result<FirstTry, CommandError> {
        let transaction = self.begin_blocking(waiter.row, args).await?;
        let mut reply = Vec::new();
        let (wait, places) = match waiter.row.spread {
            Spread::KeyByKey(found) => {
                let tried = self
                    .run_keys(&transaction, waiter.row, found, args, &mut reply)
                    .await?;
                let Some(wait) = tried.nothing() else {
                    return Ok(FirstTry::Answered(reply));
                };
                let places = tried.seats(waiter);
                (wait, places)
            }
            _ => match self
                .run_in(&transaction, waiter.row, args, &mut reply)
                .await
            {
                Ok(()) => return Ok(FirstTry::Answered(reply)),
                Err(CommandError::Wait(wait)) => {
                    let places = seats(waiter, args, keys, &wait);
                    (wait, places)
                }
                Err(error) => return Err(error),
            },
        };
        self.take_places(&transaction, places).await;
        Ok(FirstTry::Waits(wait))
    }

    async fn begin_blocking(
        &self,
        row: &'static Command,
        args: &[&[u8]],
    ) -> Result<Transaction, CommandError> {
        let scope = Scope {
            global: false,
            replays: self.is_internal,
        };
        Transaction::begin(&self.thread, self.plan(row, args)?, scope).await
    }

    async fn take_places(&self, transaction: &Transaction, places: Seats) {
        let mut shards: BTreeMap<usize, Seats> = BTreeMap::new();
        for (id, seat) in places {
            let shard = self.thread.engine.mesh.shard_of(&id.key);
            shards.entry(shard).or_default().push((id, seat));
        }
        let hops: Vec<_> = shards
            .into_iter()
            .map(|(shard, places)| {
                transaction.hop(shard, HopWrites::NOTHING, move |core, _| {
                    for (id, seat) in places {
                        core.space.waits.add(id, seat);
                    }
                })
            })
            .collect();
        for hop in hops {
            hop.answer().await;
        }
    }

    /// Who waits, if the session is blocked.
    pub fn waiter(&self) -> Option<&Arc<Waiter>> {
        self.blocked.as_ref().map(|blocked| &blocked.waiter)
    }

    /// Until something has become of the waiting, or its time is up. Can be dropped and called anew.
    pub async fn unblocked(&self) {
        let Some(blocked) = &self.blocked else {
            return;
        };
        let outcome = std::future::poll_fn(|cx| blocked.waiter.poll(cx));
        match blocked.deadline {
            None => outcome.await,
            Some(deadline) => {
                if tokio::time::timeout_at(deadline, outcome).await.is_err()
                    && !blocked.waiter.end(Outcome::TimedOut)
                {
                    // Somebody was faster, and what it is comes right away.
                    std::future::poll_fn(|cx| blocked.waiter.poll(cx)).await;
                }
            }
        }
    }

    /// Ends the waiting command if its time has come: its reply is in `out` then. `false`: it waits on.
    pub async fn try_unblock(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(blocked) = self.blocked.take() else {
            return true;
        };
        match self.unblock(&blocked, out).await {
            Ok(true) => {}
            Ok(false) => {
                self.blocked = Some(blocked);
                return false;
            }
            Err(error) => {
                self.close |= error == ROLE_CHANGED;
                let row = blocked.waiter.row;
                self.thread.stats.borrow_mut().failed(row, &error);
                error.write(&mut ReplyWriter::new(out, blocked.waiter.proto));
            }
        }
        self.leave(blocked);
        true
    }

    /// Waits in place until the blocked command has ended: for drivers that have nothing else to look after.
    pub async fn wait_unblocked(&mut self, out: &mut Vec<u8>) {
        while self.blocked.is_some() {
            self.unblocked().await;
            self.try_unblock(out).await;
        }
    }

    /// Whether the command has ended, and how.
    async fn unblock(&self, blocked: &Blocked, out: &mut Vec<u8>) -> Result<bool, CommandError> {
        match blocked.waiter.take_outcome() {
            None => return Ok(false),
            Some(Outcome::Served(reply)) => out.extend_from_slice(&reply),
            Some(Outcome::TimedOut) => ReplyWriter::new(out, blocked.waiter.proto).null_array(),
            Some(Outcome::Turn) => return self.take_turn(blocked, out).await,
            Some(Outcome::Again) => {
                for (shard, keys) in blocked.places.clone() {
                    on_core(&self.thread, shard, move |core| core.serve_again(&keys));
                }
                return Ok(false);
            }
            Some(Outcome::Unblocked) => return Err(UNBLOCKED),
            Some(Outcome::RoleChanged) => return Err(ROLE_CHANGED),
        }
        Ok(true)
    }

    /// Runs the command for which a key is held. Whether there was anything.
    async fn take_turn(&self, blocked: &Blocked, out: &mut Vec<u8>) -> Result<bool, CommandError> {
        let args: ArgVec<'_> = blocked.args.iter().map(Vec::as_slice).collect();
        let (waiter, row) = (&blocked.waiter, blocked.waiter.row);
        let transaction = match self.begin_blocking(row, &args).await {
            Err(CommandError::ReadOnly) => return Err(ROLE_CHANGED),
            begun => begun?,
        };
        match self.run_in(&transaction, row, &args, out).await {
            Err(CommandError::Wait(_)) => {
                waiter.release();
                Ok(false)
            }
            result => {
                waiter.leave();
                result.map(|()| true)
            }
        }
    }

    /// The session waits no more, and has no places.
    fn leave(&self, mut blocked: Blocked) {
        blocked.waiter.leave();
        for (shard, keys) in std::mem::take(&mut blocked.places) {
            let waiter = blocked.waiter.clone();
            on_core(&self.thread, shard, move |core| core.leave(&waiter, &keys));
        }
    }

    /// The client is gone: nothing is served to it from here on.
    pub fn stop_waiting(&mut self) {
        if let Some(blocked) = self.blocked.take() {
            self.leave(blocked);
        }
    }
}

/// Whether the command's first key is the only one that it waits for, and others have to be there with it.
fn leads(row: &Command) -> bool {
    row.blocks
        .is_some_and(|blocks| blocks.keys == WaitKeys::First)
}
