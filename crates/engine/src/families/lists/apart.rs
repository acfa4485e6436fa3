//! LMOVE and RPOPLPUSH between lists of different shards.

use super::ends::End;
use crate::command::{CommandError, CommandResult};
use crate::session::{ChainResult, ChainRun};
use damselfly_resp::{Reply, ReplyWriter};

pub(super) fn rpoplpush<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(move_or_nil(run, args, End::Right, End::Left, out))
}

pub(super) fn lmove<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(async move {
        let (from, to) = (End::parse(args[3])?, End::parse(args[4])?);
        move_or_nil(run, args, from, to, out).await
    })
}

async fn move_or_nil(
    run: &ChainRun<'_>,
    args: &[&[u8]],
    from: End,
    to: End,
    out: &mut Vec<u8>,
) -> CommandResult {
    if !move_between(run, args, from, to, out).await? {
        ReplyWriter::new(out, run.proto()).null();
    }
    Ok(())
}

/// Moves an element and answers with it. `false`: there is none.
pub(super) async fn move_between(
    run: &ChainRun<'_>,
    args: &[&[u8]],
    from: End,
    to: End,
    out: &mut Vec<u8>,
) -> Result<bool, CommandError> {
    let (source, target) = (args[1], args[2]);
    if run.run(&[b"LLEN", source]).await? == Reply::Integer(0) {
        return Ok(false);
    }
    run.run(&[b"LLEN", target]).await?;
    let popped = run.run(&[from.pop_name().as_bytes(), source]).await?;
    let Reply::Bulk(element) = popped else {
        return Ok(false);
    };
    run.run(&[to.push_event().as_bytes(), target, &element])
        .await?;
    ReplyWriter::new(out, run.proto()).bulk(&element);
    Ok(true)
}
