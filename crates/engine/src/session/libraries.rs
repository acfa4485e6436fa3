//! Changing the libraries of functions, which all shards share.

use super::Session;
use super::spread::owned;
use crate::command::{CommandError, CommandResult};
use crate::coordinator::Transaction;
use crate::core::HopWrites;
use crate::script::LibrarySet;
use crate::thread::Thread;
use damselfly_resp::{Proto, ReplyWriter};
use std::rc::Rc;

/// Says what becomes of the libraries, and writes the reply. It changes nothing itself.
pub type LibraryHandler =
    fn(&Session, &LibrarySet, &[&[u8]], &mut ReplyWriter<'_>) -> Result<LibrarySet, CommandError>;

impl Session {
    /// Changes the libraries in a transaction over all shards, with a record on each.
    pub(super) async fn change_libraries(
        &self,
        transaction: &Transaction,
        handler: LibraryHandler,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        self.install_libraries(handler, args, &mut ReplyWriter::new(out, self.proto))?;
        let db = self.db;
        let hops: Vec<_> = (0..self.thread.engine.mesh.shards())
            .map(|shard| {
                let args = owned(args);
                transaction.hop(shard, HopWrites::NOTHING, move |_, effects| {
                    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                    effects.push_own(db, &args);
                })
            })
            .collect();
        for hop in hops {
            hop.answer().await;
        }
        Ok(())
    }

    fn install_libraries(
        &self,
        handler: LibraryHandler,
        args: &[&[u8]],
        out: &mut ReplyWriter<'_>,
    ) -> CommandResult {
        let scripts = &self.thread.engine.scripts;
        let next = handler(self, &scripts.libraries.current(), args, out)?;
        scripts.install(next);
        Ok(())
    }

    /// Changes the libraries as a primary has, within a transaction over all shards. The records are somebody else's.
    pub(crate) fn replay_libraries(
        thread: &Rc<Thread>,
        handler: LibraryHandler,
        args: &[&[u8]],
    ) -> CommandResult {
        let mut session = Session::new(thread.clone(), Rc::new(()));
        session.is_internal = true;
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
        session.install_libraries(handler, args, &mut out)
    }
}
