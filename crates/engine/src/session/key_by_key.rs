//! Commands that run for one key after another: BLPOP takes from the first key that has something, XREAD reads all that have.

use super::Session;
use crate::command::{Blocks, Command, CommandError, CommandResult, Found, ReadHandler, Wait};
use crate::context::{Effects, ReadContext};
use crate::coordinator::Transaction;
use crate::core::{HopWrites, ShardCore};
use crate::waiter::Waiter;
use crate::waits::{KeyId, Seat};
use damselfly_resp::{ArgVec, Proto, ReplyWriter};
use damselfly_store::DbIndex;
use std::sync::Arc;

/// A command line for one key.
#[derive(Clone)]
struct ForKey {
    key: Vec<u8>,
    args: Vec<Vec<u8>>,
}

/// What a command line for one key came to.
enum Tried {
    Answered(Vec<u8>),
    Waits(Box<Wait>),
    Failed(CommandError),
}

/// What a command came to that found nothing at some of its keys, or at all of them.
pub(super) struct TriedKeys {
    waits: Vec<(ForKey, Box<Wait>)>,
    answered: bool,
}

impl TriedKeys {
    /// The wait, if nothing has been answered.
    pub(super) fn nothing(&self) -> Option<Box<Wait>> {
        let (_, wait) = self.waits.first().filter(|_| !self.answered)?;
        Some(wait.clone())
    }

    /// Places at all keys.
    pub(super) fn seats(self, waiter: &Arc<Waiter>) -> Vec<(KeyId, Seat)> {
        let seat = |(line, wait): (ForKey, Box<Wait>)| {
            let id = KeyId {
                db: waiter.db,
                key: line.key.into(),
            };
            let args = wait.args.unwrap_or(line.args).into();
            let waiter = waiter.clone();
            (id, Seat { waiter, args })
        };
        self.waits.into_iter().map(seat).collect()
    }
}

impl Session {
    /// Runs a command key by key, in the order of its arguments; consecutive keys of a shard in one visit.
    pub(super) async fn run_keys(
        &self,
        transaction: &Transaction,
        row: &'static Command,
        found: Found,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<TriedKeys, CommandError> {
        let blocks = row.blocks.as_ref().ok_or(CommandError::Syntax)?;
        if let Some(check) = blocks.check {
            self.check_keys(transaction, check, self.lines(row, blocks, args)?)
                .await?;
        }
        let mut waits = Vec::new();
        let mut replies = Vec::new();
        for (shard, lines) in self.lines(row, blocks, args)? {
            let tried = self.visit(transaction, shard, row, found, lines).await;
            for (line, tried) in tried {
                match tried {
                    Tried::Answered(reply) => replies.push(reply),
                    Tried::Waits(wait) => waits.push((line, wait)),
                    Tried::Failed(error) => return Err(error),
                }
            }
            if found == Found::First && !replies.is_empty() {
                break;
            }
        }
        let answered = !replies.is_empty();
        match found {
            Found::First => out.extend(replies.into_iter().flatten()),
            Found::All => append(&replies, out),
        }
        Ok(TriedKeys { waits, answered })
    }

    /// Tries command lines without doing anything; the first error is that of the command.
    async fn check_keys(
        &self,
        transaction: &Transaction,
        check: ReadHandler,
        groups: Vec<(usize, Vec<ForKey>)>,
    ) -> CommandResult {
        let db = self.db;
        for (shard, lines) in groups {
            let hop = transaction.hop(shard, HopWrites::NOTHING, move |core, _| {
                lines
                    .iter()
                    .try_for_each(|line| line.check(core, check, db))
            });
            hop.answer().await?;
        }
        Ok(())
    }

    /// The command lines, in their order, in groups that run on one shard.
    fn lines(
        &self,
        row: &Command,
        blocks: &Blocks,
        args: &[&[u8]],
    ) -> Result<Vec<(usize, Vec<ForKey>)>, CommandError> {
        let mut groups: Vec<(usize, Vec<ForKey>)> = Vec::new();
        for at in row.keys.positions(args)? {
            let key = args[at as usize];
            let shard = self.thread.engine.mesh.shard_of(key);
            let line = ForKey {
                key: key.to_vec(),
                args: (blocks.only)(args, at as usize),
            };
            match groups.last_mut() {
                Some((last, lines)) if *last == shard => lines.push(line),
                _ => groups.push((shard, vec![line])),
            }
        }
        Ok(groups)
    }

    async fn visit(
        &self,
        transaction: &Transaction,
        shard: usize,
        row: &'static Command,
        found: Found,
        lines: Vec<ForKey>,
    ) -> Vec<(ForKey, Tried)> {
        let (db, proto) = (self.db, self.proto);
        let writes = if row.is_write() {
            HopWrites::Keys(lines.iter().map(|line| (db, line.key.clone())).collect())
        } else {
            HopWrites::NOTHING
        };
        let caller = self.caller(row.is_read());
        let hop = transaction.hop(shard, writes, move |core, effects| {
            let mut all = Vec::with_capacity(lines.len());
            for line in lines {
                let tried = core.as_caller(caller, |core| line.run(core, effects, row, db, proto));
                let ends = match tried {
                    Tried::Answered(_) => found == Found::First,
                    Tried::Waits(_) => false,
                    Tried::Failed(_) => true,
                };
                all.push((line, tried));
                if ends {
                    break;
                }
            }
            all
        });
        hop.answer().await
    }
}

impl ForKey {
    fn check(&self, core: &ShardCore, check: ReadHandler, db: DbIndex) -> CommandResult {
        let args: ArgVec<'_> = self.args.iter().map(Vec::as_slice).collect();
        let (space, mut reply) = (&core.space, Vec::new());
        let mut out = ReplyWriter::new(&mut reply, Proto::Resp2);
        check(&mut ReadContext { space, db }, &args, &mut out)
    }

    fn run(
        &self,
        core: &mut ShardCore,
        effects: &mut Effects,
        row: &'static Command,
        db: DbIndex,
        proto: Proto,
    ) -> Tried {
        let args: ArgVec<'_> = self.args.iter().map(Vec::as_slice).collect();
        let keys = match row.keys.positions(&args) {
            Ok(keys) => keys,
            Err(error) => return Tried::Failed(error),
        };
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, proto);
        match core.run_part(row, db, &args, &keys, effects, &mut out) {
            Ok(()) => Tried::Answered(reply),
            Err(CommandError::Wait(wait)) => Tried::Waits(wait),
            Err(error) => Tried::Failed(error),
        }
    }
}

/// One array, or map, of those of one element each. What is neither is nothing; it is the answer where there is nothing else.
fn append(replies: &[Vec<u8>], out: &mut Vec<u8>) {
    const HEADER: usize = b"*1\r\n".len();
    let is_one = |reply: &&Vec<u8>| reply.starts_with(b"*1\r\n") || reply.starts_with(b"%1\r\n");
    let found: Vec<&Vec<u8>> = replies.iter().filter(is_one).collect();
    let Some(first) = found.first() else {
        out.extend(replies.first().into_iter().flatten());
        return;
    };
    out.push(first[0]);
    out.extend_from_slice(found.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    for reply in found {
        out.extend_from_slice(&reply[HEADER..]);
    }
}

#[cfg(test)]
mod tests {
    use super::append;

    fn appended(replies: &[&str]) -> String {
        let replies: Vec<Vec<u8>> = replies
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        let mut out = Vec::new();
        append(&replies, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn answers_of_several_keys_become_one() {
        assert_eq!(
            appended(&["*1\r\n:1\r\n", "*-1\r\n", "*1\r\n:3\r\n"]),
            "*2\r\n:1\r\n:3\r\n"
        );
        assert_eq!(
            appended(&["_\r\n", "%1\r\n:1\r\n:2\r\n"]),
            "%1\r\n:1\r\n:2\r\n"
        );
        assert_eq!(appended(&["*-1\r\n", "*-1\r\n"]), "*-1\r\n");
    }
}
