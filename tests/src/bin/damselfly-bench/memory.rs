//! Memory: what a key takes, and what a full sync takes besides.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use damselfly_tests::machine::MemoryWatch;
use damselfly_tests::{Peer, PeerKind};

use crate::case::{Case, Ratio, Round, Rounds, Row, Target};
use crate::full_sync::{SMALL_BYTES, THREADS, filled, follow, none_refused, overwrite};

/// 32 MiB, the backlog and the output limits of our defaults (DESIGN 9).
const EXTRA_MIB: f64 = 32.0 + 64.0 + THREADS as f64;
/// How long writers go on once the sync is done.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// The two of them.
pub const CASES: &[Case] = &[
    Case {
        name: "memory",
        summary: "resident memory of strings with 16 B keys and 64 B values",
        rows: &[Row {
            what: "memory, small strings",
            unit: "B/key",
            ratio: Ratio::Ours,
            target: Target::RatioAtMost(0.7),
        }],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| {
            Ok(Box::new(move || {
                let empty = kind.start(THREADS)?.resident_bytes();
                let full = filled(kind, scale.keys, SMALL_BYTES)?.resident_bytes();
                Ok(vec![full.saturating_sub(empty) as f64 / scale.keys as f64])
            }))
        },
    },
    Case {
        name: "extra-memory",
        summary: "peak of a full sync under unthrottled writes, less that of the same writes alone",
        rows: &[Row {
            what: "primary's extra memory, full sync under writes",
            unit: "MiB",
            ratio: Ratio::Ours,
            target: Target::OursAtMost(EXTRA_MIB),
        }],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| extra(kind, scale.keys),
    },
];

/// Both peaks on servers of their own, filled the same way.
fn extra(kind: PeerKind, keys: u64) -> io::Result<Round> {
    Ok(Box::new(move || {
        let primary = filled(kind, keys, SMALL_BYTES)?;
        let (with, writes) = peak_with_sync(kind, &primary, keys)?;
        drop(primary);
        let alone = filled(kind, keys, SMALL_BYTES)?;
        let without = peak_of_writes(alone.address(), alone.pid(), keys, writes)?;
        Ok(vec![(with as f64 - without as f64) / f64::from(1 << 20)])
    }))
}

/// The peak in bytes, and how many writes there were.
fn peak_with_sync(kind: PeerKind, primary: &Peer, keys: u64) -> io::Result<(u64, u64)> {
    let replica = kind.start(THREADS)?;
    let watch = MemoryWatch::start(primary.pid());
    let load = overwrite(primary.address(), keys, None);
    follow(&mut replica.client(), primary.address())?;
    std::thread::sleep(COOL_DOWN);
    let writes = none_refused(load)?;
    Ok((watch.peak(), writes))
}

fn peak_of_writes(address: SocketAddr, pid: u32, keys: u64, writes: u64) -> io::Result<u64> {
    let watch = MemoryWatch::start(pid);
    let load = overwrite(address, keys, None);
    while load.commands() < writes {
        std::thread::sleep(Duration::from_millis(1));
    }
    none_refused(load)?;
    Ok(watch.peak())
}
