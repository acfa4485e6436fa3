//! Executing the commands of a Redis primary: one stream, whose keys live on any shard.

use super::apply::{on_shard, spread_all};
use super::replica::commands;
use crate::command::CommandTable;
use crate::core::writer;
use crate::thread::Thread;
use damselfly_replication::{DataError, TransactionPart};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Executes parts so that on every key they keep their order: those of one shard together, the shards side by side. A part
/// that touches several waits until all before it are executed. An error leaves it open how many of those behind it were executed.
pub(super) async fn apply_all(
    thread: &Rc<Thread>,
    parts: &[TransactionPart],
) -> (usize, Result<(), DataError>) {
    let mut at = 0;
    while at < parts.len() {
        let start = at;
        let mut batches: BTreeMap<usize, Vec<TransactionPart>> = BTreeMap::new();
        let spread = loop {
            let Some(part) = parts.get(at) else {
                break None;
            };
            let part = effective(&thread.engine.table, part);
            at += 1;
            match home(thread, &part) {
                Home::Shard(shard) => batches.entry(shard).or_default().push(part.into_owned()),
                Home::Nowhere => {}
                Home::Several => break Some(part),
            }
        };
        let batches: Vec<_> = batches
            .into_iter()
            .map(|(shard, parts)| on_shard(thread, shard, parts))
            .collect();
        for result in crate::thread::join(batches).await {
            if result.is_err() {
                return (start, result);
            }
        }
        if let Some(part) = spread {
            let part = part.into_owned();
            let result = match only_publishes(&thread.engine.table, &part) {
                // A message has its record on the first shard, and comes behind what it may tell of.
                true => on_shard(thread, 0, vec![part]).await,
                false => spread_all(thread, &[(0, part)], None).await,
            };
            if result.is_err() {
                return (at - 1, result);
            }
        }
    }
    (parts.len(), Ok(()))
}

/// Where the keys of a part live.
enum Home {
    Shard(usize),
    /// Several shards, all of them, or not known.
    Several,
    /// There is nothing to execute.
    Nowhere,
}

fn home(thread: &Rc<Thread>, part: &TransactionPart) -> Home {
    let mut home = None;
    for (_, args) in commands(part) {
        let row = thread.engine.table.resolve(&args);
        let Some(row) = row.filter(|row| !row.looks_further(&args)) else {
            return Home::Several;
        };
        let keys = row.keys.positions(&args).unwrap_or_default();
        if keys.is_empty() {
            return Home::Several;
        }
        for at in keys {
            let shard = thread.engine.mesh.shard_of(args[at as usize]);
            if *home.get_or_insert(shard) != shard {
                return Home::Several;
            }
        }
    }
    home.map_or(Home::Nowhere, Home::Shard)
}

fn only_publishes(table: &CommandTable, part: &TransactionPart) -> bool {
    commands(part).all(|(_, args)| {
        let row = writer(table, &args);
        row.is_ok_and(|row| row.publishes().is_some())
    })
}

/// A part without the commands that change nothing here. Redis propagates some such: PFCOUNT, which notes its result in the value
/// there, and 6.2 SCRIPT LOAD, whose scripts come as their effects all the same. Scripts that come themselves are no such thing:
/// who made Redis send them (`lua-replicate-commands no`) is told.
fn effective<'a>(table: &CommandTable, part: &'a TransactionPart) -> Cow<'a, TransactionPart> {
    let only_reads = |args: &[&[u8]]| {
        let row = table.resolve(args);
        writer(table, args).is_err() && row.is_some_and(|row| !row.is_write() && !row.is_script())
    };
    if !commands(part).any(|(_, args)| only_reads(&args)) {
        return Cow::Borrowed(part);
    }
    let mut kept = TransactionPart::new();
    kept.start(part.txid(), part.shards(), part.first_lsn());
    for (db, args) in commands(part).filter(|(_, args)| !only_reads(args)) {
        kept.push_command(db.0, args.iter().copied());
    }
    Cow::Owned(kept)
}
