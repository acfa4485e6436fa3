//! XACK and XPENDING.

use super::entries::array_of;
use super::groups::no_such_group;
use super::ids::{self, write_id};
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::families::options::{integer, is_word};
use damselfly_resp::ReplyWriter;
use damselfly_store::values::stream::{Group, PendingEntry, Stream, StreamId};

pub(super) fn xack(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name) = (args[1], args[2]);
    let stream = cx.source::<Stream>(key)?;
    if stream.is_none_or(|stream| stream.group(name).is_none()) {
        out.integer(0);
        return Ok(());
    }
    let ids = ids::exact_all(&args[3..])?;
    let mut acknowledged = 0;
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)?
        && let Some(mut group) = stream.group_mut(name)
    {
        let removed = ids.iter().filter_map(|id| group.remove_pending(*id));
        acknowledged = removed.count();
    }
    if acknowledged > 0 {
        cx.modified_unwatched(key);
    }
    out.integer(acknowledged as i64);
    Ok(())
}

/// The pending entries that XPENDING is to list.
struct Listing<'a> {
    min_idle_ms: i64,
    first: StreamId,
    last: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Listing<'a> {
    /// Reads `[IDLE ms] start end count [consumer]`, or nothing at all.
    fn parse(args: &'a [&'a [u8]]) -> Result<Option<Listing<'a>>, CommandError> {
        /// Arguments of the long form.
        const LONG: std::ops::RangeInclusive<usize> = 6..=9;
        /// The least of them with IDLE.
        const WITH_IDLE: usize = 8;
        if args.len() == 3 {
            return Ok(None);
        }
        if !LONG.contains(&args.len()) {
            return Err(CommandError::Syntax);
        }
        let (mut min_idle_ms, mut rest) = (0, &args[3..]);
        if is_word(args[3], "IDLE") {
            min_idle_ms = integer(args[4])?;
            if args.len() < WITH_IDLE {
                return Err(CommandError::Syntax);
            }
            rest = &args[5..];
        }
        let count = integer(rest[2])?.max(0) as usize;
        Ok(Some(Listing {
            min_idle_ms,
            first: ids::start(rest[0])?,
            last: ids::end(rest[1])?,
            count,
            consumer: rest.get(3).copied(),
        }))
    }

    fn write(&self, group: &Group, now: i64, out: &mut ReplyWriter<'_>) {
        let (first, last) = (self.first, self.last);
        match self.consumer.map(|name| group.consumer_id(name)) {
            None => self.write_entries(group, group.pending_range(first, last), now, out),
            Some(None) => out.array(0),
            Some(Some(consumer)) => {
                let pending = group.consumer_pending_range(consumer, first, last);
                self.write_entries(group, pending, now, out)
            }
        }
    }

    fn write_entries(
        &self,
        group: &Group,
        pending: impl Iterator<Item = PendingEntry>,
        now: i64,
        out: &mut ReplyWriter<'_>,
    ) {
        let idle_ms = |entry: &PendingEntry| now.wrapping_sub(entry.delivered_ms);
        let wanted = pending
            .filter(|entry| self.min_idle_ms == 0 || idle_ms(entry) >= self.min_idle_ms)
            .take(self.count);
        array_of(out, |out| {
            wanted
                .map(|entry| {
                    out.array(4);
                    write_id(out, entry.id);
                    out.bulk(group.consumer(entry.consumer).name());
                    out.integer(idle_ms(&entry).max(0));
                    out.integer(entry.deliveries.cast_signed());
                })
                .count()
        });
    }
}

pub(super) fn xpending(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name) = (args[1], args[2]);
    let listing = Listing::parse(args)?;
    let stream = cx.typed::<Stream>(key)?;
    let group = stream
        .and_then(|stream| stream.group(name))
        .ok_or_else(|| no_such_group(key, name, ""))?;
    match listing {
        Some(listing) => listing.write(group, cx.now(), out),
        None => write_summary(group, out),
    }
    Ok(())
}

/// How many there are, the first and the last, and how many of each consumer.
fn write_summary(group: &Group, out: &mut ReplyWriter<'_>) {
    out.array(4);
    out.integer(group.pending_count() as i64);
    let Some((first, last)) = group.first_pending().zip(group.last_pending()) else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    write_id(out, first.id);
    write_id(out, last.id);
    let busy = || {
        let consumers = group.consumers();
        consumers.filter(|(_, consumer)| consumer.pending_count() > 0)
    };
    out.array(busy().count());
    for (_, consumer) in busy() {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_integer(consumer.pending_count() as i64);
    }
}
