//! LATENCY HISTOGRAM.

use super::is_asked;
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::stats::{CommandStats, RowStats};
use damselfly_engine::thread::Thread;
use damselfly_engine::{CommandError, Session};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What ran, on all threads and shards.
async fn statistics(session: &Session) -> CommandStats {
    let of_thread = |thread: &Rc<Thread>| {
        let mut stats = thread.stats.borrow().clone();
        thread.try_with_core(|core| stats.add(&core.stats));
        stats
    };
    let mut sum = CommandStats::default();
    for stats in session.thread.on_all_threads(of_thread).await {
        sum.add(&stats);
    }
    sum
}

pub(super) fn histogram<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let stats = statistics(session).await;
        let table = &session.thread.engine.table;
        let asked = &args[2..];
        let named = stats.rows().map(|row| (table.full_name(row.row), row));
        let wanted = named.filter(|(name, row)| {
            row.samples > 0 && row.calls > 0 && (asked.is_empty() || is_asked(name, asked))
        });
        let found: BTreeMap<String, &RowStats> = wanted.collect();
        let mut out = ReplyWriter::new(out, session.proto);
        out.map(found.len());
        found
            .iter()
            .for_each(|(name, row)| write(name, row, &mut out));
        Ok::<(), CommandError>(())
    })
}

/// Of the calls that were not timed as many are counted in each step as of those that were.
fn write(name: &str, row: &RowStats, out: &mut ReplyWriter<'_>) {
    out.bulk(name);
    out.map(2);
    out.bulk("calls");
    out.integer(row.calls as i64);
    out.bulk("histogram_usec");
    let steps = row.histogram.cumulative();
    out.map(steps.len());
    for (usec, count) in steps {
        out.integer(usec as i64);
        let calls = u128::from(count) * u128::from(row.calls) / u128::from(row.samples.max(1));
        out.integer(calls as i64);
    }
}
