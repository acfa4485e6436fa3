//! SMOVE between sets of different shards.

use crate::session::{ChainResult, ChainRun};
use damselfly_resp::{Reply, ReplyWriter};

pub(super) fn smove<'a>(
    run: &'a ChainRun<'a>,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> ChainResult<'a> {
    Box::pin(async move {
        let (source, target, member) = (args[1], args[2], args[3]);
        let mut moved = 0;
        if run.run(&[b"SCARD", source]).await? != Reply::Integer(0) {
            run.run(&[b"SCARD", target]).await?;
            if run.run(&[b"SREM", source, member]).await? == Reply::Integer(1) {
                run.run(&[b"SADD", target, member]).await?;
                moved = 1;
            }
        }
        ReplyWriter::new(out, run.proto()).integer(moved);
        Ok(())
    })
}
