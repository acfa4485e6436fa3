//! Commands that move one element between keys of different shards: a few ordinary commands, one after
//! another, in one transaction. Their values stay where they are, however big.

use super::Session;
use crate::command::{CommandError, CommandResult};
use crate::coordinator::Transaction;
use crate::core::HopWrites;
use damselfly_resp::{Proto, Reply, ReplyDecoder, ReplyWriter};
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
        let hop = self.transaction.hop(shard, writes, move |core, effects| {
            let args: Vec<&[u8]> = owned.iter().map(Vec::as_slice).collect();
            let mut reply = Vec::new();
            let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
            core.run_in_transaction(row, db, &args, &keys, effects, &mut out);
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
