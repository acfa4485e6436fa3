//! LMOVE and RPOPLPUSH between lists of different shards.

use super::ends::End;
use crate::command::CommandResult;
use crate::session::{ChainResult, ChainRun};
use damselfly_resp::{Reply, ReplyWriter};

pub(super) fn rpoplpush<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(move_between(run, args, End::Right, End::Left, out))
}

pub(super) fn lmove<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(async move {
        let (from, to) = (End::parse(args[3])?, End::parse(args[4])?);
        move_between(run, args, from, to, out).await
    })
}

async fn move_between(
    run: &ChainRun<'_>,
    args: &[&[u8]],
    from: End,
    to: End,
    out: &mut Vec<u8>,
) -> CommandResult {
    let (source, target) = (args[1], args[2]);
    let mut reply = ReplyWriter::new(out, run.proto());
    if run.run(&[b"LLEN", source]).await? == Reply::Integer(0) {
        reply.null();
        return Ok(());
    }
    run.run(&[b"LLEN", target]).await?;
    if let Reply::Bulk(element) = run.run(&[from.pop_name().as_bytes(), source]).await? {
        run.run(&[to.push_event().as_bytes(), target, &element])
            .await?;
        reply.bulk(&element);
    }
    Ok(())
}
