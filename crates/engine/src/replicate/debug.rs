//! DEBUG REPLICA OFFSET|PAUSE|RESUME|SKIPPED.

use super::skipped::SkippedKey;
use crate::command::CommandError;
use crate::session::{AsyncResult, Session};
use damselfly_resp::ReplyWriter;

pub(crate) fn replica<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if args[2].eq_ignore_ascii_case(b"SKIPPED") {
            write_skipped(
                &mut ReplyWriter::new(out, session.proto),
                &session.thread.engine.skipped.listed(),
            );
            return Ok(());
        }
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
                    "ERR DEBUG REPLICA takes OFFSET, PAUSE, RESUME or SKIPPED",
                ));
            }
        }
        out.ok();
        Ok(())
    })
}

/// For each key: database, key, what was passed over first, how often.
fn write_skipped(out: &mut ReplyWriter<'_>, listed: &[SkippedKey]) {
    out.array(listed.len());
    for skipped in listed {
        out.array(4);
        out.integer(i64::from(skipped.db));
        out.bulk(&skipped.key);
        out.bulk(&skipped.why);
        out.integer(skipped.times as i64);
    }
}
