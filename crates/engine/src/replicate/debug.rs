//! DEBUG REPLICA OFFSET|PAUSE|RESUME.

use crate::command::CommandError;
use crate::session::{AsyncResult, Session};
use damselfly_resp::ReplyWriter;

pub(crate) fn replica<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let link = session.thread.engine.replication().link.link();
        let link = link.ok_or(CommandError::text("ERR this server is no replica"))?;
        let mut out = ReplyWriter::new(out, session.proto);
        match args[2].to_ascii_uppercase().as_slice() {
            b"PAUSE" => link.pause(true),
            b"RESUME" => link.pause(false),
            b"OFFSET" => {
                let status = link.status();
                out.array(2);
                out.bulk(status.sync_id.map_or_else(String::new, |id| id.to_string()));
                out.array(status.executed.len());
                status
                    .executed
                    .iter()
                    .for_each(|lsn| out.integer(lsn.0 as i64));
                return Ok(());
            }
            _ => {
                return Err(CommandError::text(
                    "ERR DEBUG REPLICA takes OFFSET, PAUSE or RESUME",
                ));
            }
        }
        out.ok();
        Ok(())
    })
}
