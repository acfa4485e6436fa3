//! Keys that are handed over to another server: what stands under a key, and its end here if that is still so.

use super::Session;
use crate::command::{Command, CommandResult, Group, Handler, Keys};
use crate::context::RewriteContext;
use crate::families::generic::delete_key;
use damselfly_resp::ReplyWriter;
use damselfly_snapshot::dump_value;
use damselfly_store::UnixMs;

/// A key on its way to another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// The key.
    pub key: Vec<u8>,
    /// Its value, as DUMP gives it.
    pub payload: Vec<u8>,
    /// When it expires.
    pub expire_at: Option<UnixMs>,
    /// How long it has until then, in milliseconds.
    pub ttl_ms: Option<i64>,
}

/// `name key payload time`, which no client can ask for: deletes a key that holds just this.
static END: Command = Command::new(
    "handover",
    4,
    Keys::ONE,
    Group::Generic,
    "1.0.0",
    Handler::Rewrite(end),
    "Deletes a key that another server has taken.",
);

fn end(cx: &mut RewriteContext<'_>, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let key = args[1];
    let is_same = cx.entry(key).is_some_and(|entry| {
        time_text(entry.expire_at()).as_bytes() == args[3] && dump_value(entry.value()) == args[2]
    });
    if is_same {
        delete_key(cx, key);
    }
    out.integer(is_same.into());
    Ok(())
}

fn time_text(expire_at: Option<UnixMs>) -> String {
    expire_at.map_or_else(String::new, |at| at.to_string())
}

impl Session {
    /// What stands under a key of the connection's database; `None` if there is no such key.
    pub async fn hand_over(&self, key: &[u8]) -> Option<HandedOver> {
        let shard = self.thread.engine.mesh.shard_of(key);
        let (db, key) = (self.db, key.to_vec());
        let found = self.thread.on_shard(shard, move |core| {
            let space = &core.space;
            let entry = space.live(db, &key)?;
            let expire_at = entry.expire_at();
            Some(HandedOver {
                payload: dump_value(entry.value()),
                expire_at,
                ttl_ms: expire_at.map(|at| at - space.now),
                key,
            })
        });
        found.await
    }

    /// Deletes a key that another server has taken. Whether it still held what was handed over: otherwise it stays.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn end_of(&mut self, taken: &HandedOver) -> Result<bool, crate::CommandError> {
        let time = time_text(taken.expire_at);
        let args: [&[u8]; 4] = [
            END.name.as_bytes(),
            &taken.key,
            &taken.payload,
            time.as_bytes(),
        ];
        let mut reply = Vec::new();
        self.run_spread(&END, &args, &mut reply).await?;
        Ok(reply == b":1\r\n")
    }
}
