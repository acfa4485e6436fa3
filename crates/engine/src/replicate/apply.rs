//! Executing records whose keys live on several shards, or that belong together.

use super::replica::commands;
use super::skipped::shown;
use crate::command::{Command, CommandError};
use crate::coordinator::{Scope, ShardPlan, Transaction};
use crate::core::{HopWrites, KeyLock, LockMode, key_hash, no_database, writer, writer_with_keys};
use crate::session::Session;
use crate::thread::{Pending, Thread};
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
        return spread_all(thread, &parts, None).await;
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
    if let Some((_, part)) = parts.first() {
        libraries(thread, part)?;
    }
    let hops: Vec<_> = parts
        .into_iter()
        .map(|(shard, part)| {
            let engine = thread.engine.clone();
            let writes = match commands(&part).any(|(_, args)| is_global_command(&args)) {
                true => HopWrites::Everything,
                false => HopWrites::Keys(keys(thread, &part)),
            };
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
    let known = all_known(thread, first)?;
    thread.engine.mesh.raise_txid(first.txid());
    let transaction = Transaction::begin_global_replay(thread)
        .await
        .map_err(|error| DataError::terminal(error.to_string()))?;
    let known = libraries(thread, first)? && known;
    let mut by_shard: BTreeMap<usize, TransactionPart> = parts.iter().cloned().collect();
    let relays = by_shard.len() == thread.engine.mesh.shards();
    let hops: Vec<_> = (0..thread.engine.mesh.shards())
        .map(|shard| {
            let part = by_shard
                .remove(&shard)
                .filter(|_| relays)
                .unwrap_or_else(|| first.clone());
            let engine = thread.engine.clone();
            transaction.hop(shard, HopWrites::Everything, move |core, _| match known {
                true => core.apply(&engine.table, &part),
                false => core.relay(&part),
            })
        })
        .collect();
    for hop in hops {
        hop.answer().await?;
    }
    Ok(())
}

/// Changes the libraries of functions as a part says, which is the same in the parts of all shards. Whether all of it could be
/// done, where what can't is passed over.
fn libraries(thread: &Rc<Thread>, part: &TransactionPart) -> Result<bool, DataError> {
    let engine = &thread.engine;
    let mut done = true;
    for (db, args) in commands(part) {
        let row = engine.table.resolve(&args);
        let Some(handler) = row.and_then(Command::changes_libraries) else {
            continue;
        };
        if let Err(error) = Session::replay_libraries(thread, handler, &args) {
            let error = DataError::terminal(format!("record {}: {error}", shown(&args)));
            engine.skipped.record(row, db, &args, error)?;
            done = false;
        }
    }
    Ok(done)
}

/// Whether there is a row for every command of a part. What has none is passed over here, if that is wanted: once, not on
/// every shard.
fn all_known(thread: &Rc<Thread>, part: &TransactionPart) -> Result<bool, DataError> {
    let mut known = true;
    for (db, args) in commands(part) {
        if let Err(error) = writer(&thread.engine.table, &args) {
            thread.engine.skipped.record(None, db, &args, error)?;
            known = false;
        }
    }
    Ok(known)
}

/// Executes a part of a primary with another number of shards.
pub(super) async fn spread(thread: &Rc<Thread>, part: &TransactionPart) -> Result<(), DataError> {
    if part.len() == 1
        && let Some(shard) = only_shard(thread, part)
    {
        return on_shard(thread, shard, vec![part.clone()]).await;
    }
    spread_all(thread, &[(0, part.clone())], None).await
}

/// Whether all keys of a part live on `shard`, as far as it is known where they are.
pub(super) fn is_home(thread: &Rc<Thread>, shard: usize, part: &TransactionPart) -> bool {
    commands(part).all(|(_, args)| {
        let keys = writer_with_keys(&thread.engine.table, &args)
            .map(|(_, keys)| keys)
            .unwrap_or_default();
        keys.iter()
            .all(|at| thread.engine.mesh.shard_of(args[*at as usize]) == shard)
    })
}

/// Executes a part that came over flow `shard` and has keys of other shards, and relays it where it came: Dragonfly records
/// the result of PFMERGE on every shard that had a source.
pub(super) async fn foreign(
    thread: &Rc<Thread>,
    shard: usize,
    part: &TransactionPart,
) -> Result<(), DataError> {
    thread.engine.mesh.raise_txid(part.txid());
    spread_all(
        thread,
        &[(shard, part.clone())],
        Some((shard, part.clone())),
    )
    .await
}

/// Executes parts one after the other on the shard that has all their keys.
pub(super) fn on_shard(
    thread: &Rc<Thread>,
    shard: usize,
    parts: Vec<TransactionPart>,
) -> Pending<Result<(), DataError>> {
    thread.call(shard, move |thread, answer| {
        let done = Box::new(move |result| answer.send(result));
        let job = crate::core::ApplyJob::new(thread.engine.clone(), parts, done);
        thread.with_core(|core| core.submit(Box::new(job)));
    })
}

/// Executes the commands of parts in their order, in one transaction over all shards that their keys live on.
pub(super) async fn spread_all(
    thread: &Rc<Thread>,
    parts: &[(usize, TransactionPart)],
    relayed: Option<(usize, TransactionPart)>,
) -> Result<(), DataError> {
    let mut session = Session::new(thread.clone(), Rc::new(()));
    session.is_internal = true;
    let (engine, dbnum) = (&thread.engine, thread.engine.options.dbnum);
    let mut known = Vec::new();
    for (db, args) in in_order(parts) {
        let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        if db.0 >= dbnum {
            return Err(no_database(db.0, dbnum));
        }
        match writer_with_keys(&engine.table, &words) {
            Ok(_) => known.push((db, args)),
            Err(error) => {
                let row = engine.table.resolve(&words);
                engine.skipped.record(row, db, &words, error)?;
            }
        }
    }
    let refused = |db: DbIndex, args: &[&[u8]], error: CommandError| {
        let error = DataError::terminal(format!("record {}: {error}", shown(args)));
        let row = engine.table.resolve(args);
        engine.skipped.record(row, db, args, error)
    };
    session.apply(known, &refused, relayed).await
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
    let row = thread.engine.table.resolve(&args)?;
    if row.looks_further(&args) {
        return None;
    }
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
        let keys = match writer_with_keys(&thread.engine.table, &args) {
            Ok((_, keys)) => keys,
            // It will be passed over: it needs no lock.
            Err(_) if thread.engine.skipped.is_enabled() => continue,
            Err(error) => return Err(error),
        };
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
        let Some(row) = thread.engine.table.resolve(&args) else {
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
