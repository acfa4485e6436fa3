//! Executing records whose keys live on several shards, or that belong together.

use super::replica::commands;
use crate::command::KeyPositions;
use crate::coordinator::{Scope, ShardPlan, Transaction};
use crate::core::{HopWrites, KeyLock, LockMode, key_hash};
use crate::session::Session;
use crate::thread::Thread;
use damselfly_replication::{DataError, TransactionPart, is_global_command};
use damselfly_store::DbIndex;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Executes the parts of one transaction at one point.
pub(super) async fn transaction(
    thread: &Rc<Thread>,
    parts: Vec<(usize, TransactionPart)>,
) -> Result<(), DataError> {
    let relays = thread.on_shard(0, |core| core.relays).await;
    if !relays {
        return spread_all(thread, &parts).await;
    }
    let mut plans = Vec::with_capacity(parts.len());
    for (shard, part) in &parts {
        thread.engine.mesh.raise_txid(part.txid());
        plans.push(ShardPlan {
            shard: *shard,
            locks: locks(thread, part)?,
            writes: true,
            grows: false,
        });
    }
    let scope = Scope {
        global: false,
        replays: true,
    };
    let transaction = Transaction::begin(thread, plans, scope)
        .await
        .map_err(|error| DataError::terminal(error.to_string()))?;
    let hops: Vec<_> = parts
        .into_iter()
        .map(|(shard, part)| {
            let engine = thread.engine.clone();
            let writes = HopWrites::Keys(keys(thread, &part));
            transaction.hop(shard, writes, move |core, _| {
                core.apply(&engine.table, &part)
            })
        })
        .collect();
    for hop in hops {
        hop.answer().await?;
    }
    Ok(())
}

/// Executes a global command once; every flow's record of it is relayed.
pub(super) async fn global(
    thread: &Rc<Thread>,
    parts: Vec<(usize, TransactionPart)>,
) -> Result<(), DataError> {
    let Some((_, first)) = parts.first() else {
        return Ok(());
    };
    thread.engine.mesh.raise_txid(first.txid());
    let transaction = Transaction::begin_global_replay(thread)
        .await
        .map_err(|error| DataError::terminal(error.to_string()))?;
    let mut by_shard: BTreeMap<usize, TransactionPart> = parts.iter().cloned().collect();
    let relays = by_shard.len() == thread.engine.mesh.shards();
    let hops: Vec<_> = (0..thread.engine.mesh.shards())
        .map(|shard| {
            let part = by_shard
                .remove(&shard)
                .filter(|_| relays)
                .unwrap_or_else(|| first.clone());
            let engine = thread.engine.clone();
            transaction.hop(shard, HopWrites::Everything, move |core, _| {
                core.apply(&engine.table, &part)
            })
        })
        .collect();
    for hop in hops {
        hop.answer().await?;
    }
    Ok(())
}

/// Executes a part of a primary with another number of shards.
pub(super) async fn spread(thread: &Rc<Thread>, part: &TransactionPart) -> Result<(), DataError> {
    if part.len() == 1
        && let Some(shard) = only_shard(thread, part)
    {
        return on_shard(thread, shard, part.clone()).await;
    }
    spread_all(thread, &[(0, part.clone())]).await
}

async fn on_shard(
    thread: &Rc<Thread>,
    shard: usize,
    part: TransactionPart,
) -> Result<(), DataError> {
    let applied = thread.call(shard, move |thread, answer| {
        let done = Box::new(move |result| answer.send(result));
        let job = crate::core::ApplyJob::new(thread.engine.clone(), part, done);
        thread.with_core(|core| core.submit(Box::new(job)));
    });
    applied.await
}

/// Executes the commands of parts in their order, in one transaction over all shards that their keys live on.
async fn spread_all(
    thread: &Rc<Thread>,
    parts: &[(usize, TransactionPart)],
) -> Result<(), DataError> {
    let mut session = Session::new(thread.clone(), Rc::new(()));
    session.is_internal = true;
    let error = session.apply(in_order(parts)).await;
    error.map_err(|error| DataError::terminal(error.to_string()))
}

/// The commands of all parts. A global command among others stands in every part, and runs once: behind what stands
/// before it in all of them.
fn in_order(parts: &[(usize, TransactionPart)]) -> Vec<(DbIndex, Vec<Vec<u8>>)> {
    let mut parts: Vec<_> = parts.iter().map(|(_, part)| commands(part)).collect();
    let mut ordered = Vec::new();
    loop {
        let mut global = None;
        for part in &mut parts {
            for (db, args) in part.by_ref() {
                let is_global = is_global_command(&args);
                let command = (db, args.iter().map(|arg| arg.to_vec()).collect());
                if is_global {
                    global = Some(command);
                    break;
                }
                ordered.push(command);
            }
        }
        match global {
            Some(command) => ordered.push(command),
            None => return ordered,
        }
    }
}

fn only_shard(thread: &Rc<Thread>, part: &TransactionPart) -> Option<usize> {
    let (_, args) = commands(part).next()?;
    let row = thread.engine.table.find(args.first()?)?;
    let keys = row.keys.positions(&args).ok()?;
    let mut shards = keys
        .iter()
        .map(|at| thread.engine.mesh.shard_of(args[*at as usize]));
    let first = shards.next()?;
    shards.all(|shard| shard == first).then_some(first)
}

fn locks(thread: &Rc<Thread>, part: &TransactionPart) -> Result<Vec<KeyLock>, DataError> {
    let mut found = Vec::new();
    for (_, args) in commands(part) {
        let row = crate::core::writer(&thread.engine.table, &args)?;
        let keys: KeyPositions = row
            .keys
            .positions(&args)
            .map_err(|error| DataError::terminal(error.to_string()))?;
        found.extend(keys.iter().map(|at| KeyLock {
            key: key_hash(args[*at as usize]),
            mode: LockMode::Exclusive,
        }));
    }
    Ok(found)
}

fn keys(thread: &Rc<Thread>, part: &TransactionPart) -> Vec<(DbIndex, Vec<u8>)> {
    let mut found = Vec::new();
    for (db, args) in commands(part) {
        let Some(row) = thread.engine.table.find(args[0]) else {
            continue;
        };
        let dbs = if row.reaches_other_databases() {
            0..thread.engine.options.dbnum
        } else {
            db.0..db.0 + 1
        };
        for at in row.keys.positions(&args).unwrap_or_default() {
            found.extend(
                dbs.clone()
                    .map(|db| (DbIndex(db), args[at as usize].to_vec())),
            );
        }
    }
    found
}
