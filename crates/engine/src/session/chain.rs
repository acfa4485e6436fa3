//! Commands that move one element between keys of different shards: a few ordinary commands, one after
//! another, in one transaction. Their values stay where they are, however big.

use super::Session;
use crate::command::{CommandError, CommandResult};
use crate::coordinator::Transaction;
use crate::core::HopWrites;
use damselfly_resp::{Proto, Reply, ReplyDecoder, ReplyWriter};
use damselfly_store::UnixMs;
use std::pin::Pin;

/// A command as a chain of others. It writes the reply.
pub type Chain = for<'a> fn(&'a ChainRun<'a>, &'a [&'a [u8]], &'a mut Vec<u8>) -> ChainResult<'a>;

/// What a [`Chain`] returns.
pub type ChainResult<'a> = Pin<Box<dyn Future<Output = CommandResult> + 'a>>;

/// The transaction that a chain runs in.
pub struct ChainRun<'a> {
    session: &'a Session,
    transaction: &'a Transaction,
}

impl ChainRun<'_> {
    /// Runs one command, whose only key is its first argument, on the key's shard. An error reply is an error here.
    pub async fn run(&self, args: &[&[u8]]) -> Result<Reply, CommandError> {
        let row = self.session.find(args)?;
        let keys = row.keys.positions(args)?;
        let shard = self.session.thread.engine.mesh.shard_of(args[1]);
        let db = self.session.db;
        let writes = if row.is_write() {
            HopWrites::Keys(vec![(db, args[1].to_vec())])
        } else {
            HopWrites::NOTHING
        };
        let owned: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        let (replays, caller) = (self.session.is_internal, self.session.caller(row.is_read()));
        let hop = self.transaction.hop(shard, writes, move |core, effects| {
            let args: Vec<&[u8]> = owned.iter().map(Vec::as_slice).collect();
            let mut reply = Vec::new();
            let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
            let now = core.space.now;
            if replays {
                // What stood there for the primary stands there still, whatever the time is.
                core.space.now = UnixMs::MIN;
            }
            core.space.probes = !row.is_write();
            core.as_caller(caller, |core| {
                core.run_in_transaction(row, db, &args, &keys, effects, &mut out);
            });
            core.space.probes = false;
            core.space.now = now;
            reply
        });
        let reply = hop.answer().await;
        let decoded = ReplyDecoder::default().decode(&mut reply.as_slice());
        match decoded
            .expect("replies of our own commands are well-formed")
            .expect("and complete")
        {
            Reply::Error(text) => Err(CommandError::owned(
                String::from_utf8_lossy(&text).into_owned(),
            )),
            reply => Ok(reply),
        }
    }

    /// The protocol of the reply.
    pub fn proto(&self) -> Proto {
        self.session.proto
    }
}

impl Session {
    pub(super) async fn run_chain(
        &self,
        transaction: &Transaction,
        chain: Chain,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let run = ChainRun {
            session: self,
            transaction,
        };
        chain(&run, args, out).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, EngineOptions, start_tasks};
    use crate::thread::Thread;
    use damselfly_store::values::List;
    use damselfly_store::{DbIndex, Value};
    use std::rc::Rc;

    /// Two threads of an engine, both driven by this one.
    async fn replays(engine: std::sync::Arc<Engine>) {
        let threads = [0, 1].map(|index| Thread::new(index, engine.clone()));
        threads.iter().for_each(start_tasks);
        threads
            .iter()
            .for_each(|thread| thread.with_core(|core| core.is_replica = true));
        let key = |shard| {
            (0..)
                .map(|n| format!("list:{n}"))
                .find(|key| engine.mesh.shard_of(key.as_bytes()) == shard)
        };
        let [source, target] =
            [0, 1].map(|shard| key(shard).expect("some key is there").into_bytes());
        let mut list = List::new();
        list.push_back(b"element");
        let long_ago = Some(1_000);
        threads[0].with_core(|core| {
            core.space
                .store
                .insert(DbIndex(0), &source, Value::from(list), long_ago)
        });
        let mut session = Session::new(threads[1].clone(), Rc::new(()));
        session.is_internal = true;
        let record = [b"LMOVE", &source[..], &target[..], b"LEFT", b"RIGHT"].map(<[u8]>::to_vec);
        let commands = vec![(DbIndex(0), record.to_vec())];
        let refused = |_, _: &[&[u8]], error: CommandError| panic!("{error}");
        session
            .apply(commands, &refused, None)
            .await
            .expect("it is a known write");
        let moved =
            threads[1].with_core(|core| core.space.store.get(DbIndex(0), &target).is_some());
        assert!(
            moved,
            "the primary moved an element out of a list that has expired since"
        );
    }

    #[test]
    fn replaying_ignores_the_clock() {
        let options = EngineOptions {
            threads: 2,
            shards: 2,
            ..EngineOptions::default()
        };
        let engine = Engine::new(options, &[]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.expect("a runtime of timers alone");
        tokio::task::LocalSet::new().block_on(&runtime, replays(engine));
    }
}
