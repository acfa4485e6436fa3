//! CLIENT PAUSE and CLIENT UNPAUSE.

use damselfly_engine::families::options::is_word;
use damselfly_engine::pause::{self, Paused};
use damselfly_engine::resp::{ReplyWriter, parse_i64};
use damselfly_engine::session::AsyncResult;
use damselfly_engine::{CommandError, CommandResult, Session};
use std::time::Duration;

pub(super) fn pause<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let (time, paused) = wanted(args)?;
        pause::hold(&session.thread, paused, time).await;
        if !session.is_in_transaction() {
            pause::settled(&session.thread).await;
        }
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn wanted(args: &[&[u8]]) -> Result<(Duration, Paused), CommandError> {
    let paused = match args {
        [_, _, _] => Paused::All,
        [_, _, _, word] if is_word(word, "write") => Paused::Writes,
        [_, _, _, word] if is_word(word, "all") => Paused::All,
        [_, _, _, _] => {
            return Err(CommandError::text(
                "ERR CLIENT PAUSE mode must be WRITE or ALL",
            ));
        }
        _ => return Err(super::wrong_line(args)),
    };
    let time = parse_i64(args[2]).ok_or(CommandError::text(
        "ERR timeout is not an integer or out of range",
    ))?;
    let time = u64::try_from(time).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    Ok((Duration::from_millis(time), paused))
}

pub(super) fn unpause(
    session: &mut Session,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    pause::release(&session.thread);
    out.ok();
    Ok(())
}
