//! A client that waits for keys, as its connection and the shards share it.

use crate::command::{Blocks, Command};
use damselfly_resp::Proto;
use damselfly_store::DbIndex;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// What became of the waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was served; this is the encoded reply.
    Served(Vec<u8>),
    /// A key is ready, and held for the client: its connection runs the command, which needs several shards.
    Turn,
    /// A shard tried in vain while a key of another shard became ready: all of them are to be tried once more.
    Again,
    /// The time is up, or somebody says so (CLIENT UNBLOCK).
    TimedOut,
    /// CLIENT UNBLOCK … ERROR.
    Unblocked,
    /// This server has become a replica.
    RoleChanged,
}

/// Who decides over a waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Whoever claims it first.
    Waiting,
    /// The shard that serves it, or the connection whose turn it is.
    Claimed {
        /// Another shard wanted to serve it meanwhile.
        missed: bool,
    },
    /// Nobody any more.
    Over,
}

/// A client that waits.
pub struct Waiter {
    /// Waiters with lower numbers began to wait before.
    pub id: u64,
    /// What it waits with.
    pub row: &'static Command,
    /// How that blocks.
    pub blocks: &'static Blocks,
    /// Its database.
    pub db: DbIndex,
    /// The protocol of its reply.
    pub proto: Proto,
    /// Whether the command needs several shards, and so is run by the connection.
    pub apart: bool,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

impl Waiter {
    /// A client that begins to wait. `None`: the command doesn't block.
    pub fn new(
        id: u64,
        row: &'static Command,
        db: DbIndex,
        proto: Proto,
        apart: bool,
    ) -> Option<Waiter> {
        let state = State {
            stage: Stage::Waiting,
            outcome: None,
            waker: None,
        };
        Some(Waiter {
            id,
            row,
            blocks: row.blocks.as_ref()?,
            db,
            proto,
            apart,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Whether nothing can become of it any more.
    pub fn is_over(&self) -> bool {
        self.state().stage == Stage::Over
    }

    /// Whether somebody decides over it.
    pub(crate) fn is_claimed(&self) -> bool {
        matches!(self.state().stage, Stage::Claimed { .. })
    }

    /// The right to decide over it. `false`: somebody else has it, and will know that this was asked for.
    pub(crate) fn claim(&self) -> bool {
        let mut state = self.state();
        let free = state.stage == Stage::Waiting;
        match &mut state.stage {
            Stage::Claimed { missed } => *missed = true,
            stage if free => *stage = Stage::Claimed { missed: false },
            _ => {}
        }
        free
    }

    /// Gives the right back: it goes on waiting.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        if let Stage::Claimed { missed } = state.stage {
            state.stage = Stage::Waiting;
            if missed {
                tell(state, Outcome::Again);
            }
        }
    }

    /// Tells the connection that the claimed waiter's turn has come.
    pub(crate) fn give_turn(&self) {
        tell(self.state(), Outcome::Turn);
    }

    /// The end of a claimed waiter.
    pub(crate) fn served(&self, reply: Vec<u8>) {
        let mut state = self.state();
        state.stage = Stage::Over;
        tell(state, Outcome::Served(reply));
    }

    /// Ends the waiting, unless somebody decides over it already. Whether it did.
    pub fn end(&self, outcome: Outcome) -> bool {
        let mut state = self.state();
        if state.stage != Stage::Waiting {
            return false;
        }
        state.stage = Stage::Over;
        tell(state, outcome);
        true
    }

    /// The client is gone, or has its reply.
    pub(crate) fn leave(&self) {
        self.state().stage = Stage::Over;
    }

    /// What became of it, once.
    pub(crate) fn take_outcome(&self) -> Option<Outcome> {
        self.state().outcome.take()
    }

    /// Ready when there is an outcome to be taken.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.outcome.is_some() {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

fn tell(mut state: MutexGuard<'_, State>, outcome: Outcome) {
    // Nobody overwrites a turn: only its owner goes on from there.
    state.outcome = Some(outcome);
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
