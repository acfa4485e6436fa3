//! Commands whose keys live on several shards.

use super::Session;
use crate::command::{Command, CommandError, CommandResult, Handler, KeyPositions, Merge, Spread};
use crate::context::{Effects, ReadContext};
use crate::coordinator::{Scope, ShardPlan, Transaction};
use crate::core::{HopWrites, KeyLock, LockMode, ShardCore, key_hash};
use crate::events::HeldEvents;
use crate::keyspace::Keyspace;
use crate::pubsub::Space;
use damselfly_replication::{DataError, TransactionPart};
use damselfly_resp::{Proto, ReplyWriter};
use damselfly_store::{DbIndex, UnixMs, Value};
use std::collections::BTreeMap;

/// An entry on its way between threads.
pub(crate) type Moved = Option<(Value, Option<UnixMs>)>;

/// A copy of an entry, with its database and key.
type Fetched = (DbIndex, Vec<u8>, Value, Option<UnixMs>);

/// Told of a primary's command that fails: what that means for those after it.
type Refused<'a> = dyn Fn(DbIndex, &[&[u8]], CommandError) -> Result<(), DataError> + 'a;

impl Session {
    /// Runs a command of several shards as one transaction.
    pub(crate) async fn run_spread(
        &mut self,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let plans = self.plan(row, args)?;
        let global = is_global(row) || row.looks_further(args);
        if row.is_write() {
            plans.iter().for_each(|plan| self.note_written(plan.shard));
        }
        let transaction = Transaction::begin(
            &self.thread,
            plans,
            Scope {
                global,
                replays: self.is_internal,
            },
        )
        .await?;
        self.run_in(&transaction, row, args, out).await
    }

    /// Executes a primary's commands, each with its database, in one transaction.
    /// `refused` gets each command that fails, and says whether the others go on; `relayed` is appended to the journal of
    /// its shard in the same transaction.
    pub(crate) async fn apply(
        &mut self,
        commands: Vec<(DbIndex, Vec<Vec<u8>>)>,
        refused: &Refused<'_>,
        relayed: Option<(usize, TransactionPart)>,
    ) -> Result<(), DataError> {
        let terminal = |error: CommandError| DataError::terminal(error.to_string());
        let (mut plans, mut global) = (BTreeMap::new(), false);
        for (_, args) in &commands {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let row = self.find(&args).map_err(terminal)?;
            self.add_to_plan(row, &args, &mut plans).map_err(terminal)?;
            global |= row.looks_further(&args);
        }
        if let Some((shard, _)) = &relayed {
            plans
                .entry(*shard)
                .or_insert_with(|| ShardPlan {
                    shard: *shard,
                    ..ShardPlan::default()
                })
                .writes = true;
        }
        let plans = plans.into_values().collect();
        let scope = Scope {
            global,
            replays: true,
        };
        let transaction = Transaction::begin(&self.thread, plans, scope)
            .await
            .map_err(terminal)?;
        let mut reply = Vec::new();
        for (db, args) in &commands {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            self.db = *db;
            reply.clear();
            let row = self.find(&args).map_err(terminal)?;
            if let Some(space) = row.publishes() {
                self.replay_publish(&transaction, space, &args).await;
                continue;
            }
            let timer = self.thread.slow.borrow().begin(row, &args);
            let result = self.run_in(&transaction, row, &args, &mut reply).await;
            if let Some(begun) = timer {
                self.note_if_slow(row, &args, begun.elapsed());
            }
            let result = match result {
                Ok(()) if reply.first() == Some(&b'-') => Err(CommandError::owned(
                    String::from_utf8_lossy(&reply[1..]).trim_end().to_owned(),
                )),
                result => result,
            };
            if let Err(error) = result {
                refused(*db, &args, error)?;
            }
        }
        match relayed {
            Some((shard, part)) => {
                transaction
                    .hop(shard, HopWrites::NOTHING, move |core, _| core.relay(&part))
                    .answer()
                    .await
            }
            None => Ok(()),
        }
    }

    /// Publishes what a primary has published, and records it for replicas of this server.
    async fn replay_publish(&self, transaction: &Transaction, space: Space, args: &[&[u8]]) {
        crate::pubsub::replay(space, args);
        let (db, args) = (self.db, owned(args));
        let hop = transaction.hop(0, HopWrites::NOTHING, move |_, effects| {
            if effects.is_wanted() {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                effects.push(db, &args);
            }
        });
        hop.answer().await;
    }

    /// The shards and locks that a command needs.
    pub(super) fn plan(
        &self,
        row: &'static Command,
        args: &[&[u8]],
    ) -> Result<Vec<ShardPlan>, CommandError> {
        let mut plans = BTreeMap::new();
        self.add_to_plan(row, args, &mut plans)?;
        Ok(plans.into_values().collect())
    }

    pub(super) fn add_to_plan(
        &self,
        row: &'static Command,
        args: &[&[u8]],
        plans: &mut BTreeMap<usize, ShardPlan>,
    ) -> CommandResult {
        let mesh = &self.thread.engine.mesh;
        let writes = row.is_write() || row.publishes().is_some();
        if is_everywhere(row) || row.looks_further(args) {
            for shard in 0..mesh.shards() {
                let plan = plans.entry(shard).or_insert_with(|| ShardPlan {
                    shard,
                    ..ShardPlan::default()
                });
                plan.writes |= writes && is_everywhere(row);
                plan.grows |= row.grows() && row.changes_libraries().is_some();
            }
        }
        let mode = if writes {
            LockMode::Exclusive
        } else {
            LockMode::Shared
        };
        for at in row.keys.positions(args)? {
            let key = args[at as usize];
            let shard = mesh.shard_of(key);
            let plan = plans.entry(shard).or_insert_with(|| ShardPlan {
                shard,
                ..ShardPlan::default()
            });
            plan.writes |= writes;
            plan.grows |= row.grows();
            plan.locks.push(KeyLock {
                key: key_hash(key),
                mode,
            });
        }
        if writes && row.keys.positions(args)?.is_empty() && !is_everywhere(row) {
            plans
                .entry(0)
                .or_insert_with(|| ShardPlan {
                    shard: 0,
                    ..ShardPlan::default()
                })
                .writes = true;
        }
        Ok(())
    }

    /// Runs a command of any spread inside a transaction that covers its shards.
    pub(crate) async fn run_in(
        &self,
        transaction: &Transaction,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        if let Some(handler) = row.changes_libraries() {
            return self.change_libraries(transaction, handler, args, out).await;
        }
        if is_everywhere(row) {
            let merge = if let Spread::All(merge) = row.spread {
                merge
            } else {
                Merge::Same
            };
            return self
                .run_everywhere(transaction, row, args, merge, out)
                .await;
        }
        match row.spread {
            Spread::Split(merge) => self.run_split(transaction, row, args, merge, out).await,
            Spread::KeyByKey(found) => {
                let tried = self.run_keys(transaction, row, found, args, out).await?;
                match tried.nothing() {
                    Some(wait) => Err(CommandError::Wait(wait)),
                    None => Ok(()),
                }
            }
            Spread::Chain(chain) => self.run_chain(transaction, chain, args, out).await,
            _ => self.run_gathered(transaction, row, args, out).await,
        }
    }

    async fn run_everywhere(
        &self,
        transaction: &Transaction,
        row: &'static Command,
        args: &[&[u8]],
        merge: Merge,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let parts = (0..self.thread.engine.mesh.shards())
            .map(|shard| Part {
                shard,
                args: owned(args),
                keys: KeyPositions::new(),
                order: Vec::new(),
            })
            .collect();
        self.run_parts(transaction, row, parts, merge, out).await
    }

    async fn run_split(
        &self,
        transaction: &Transaction,
        row: &'static Command,
        args: &[&[u8]],
        merge: Merge,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        for (order, at) in row.keys.positions(args)?.into_iter().enumerate() {
            let at = at as usize;
            let shard = self.thread.engine.mesh.shard_of(args[at]);
            let part = parts
                .entry(shard)
                .or_insert_with(|| Part::new(shard, args[0]));
            part.order.push(order);
            part.keys.push(part.args.len() as u32);
            part.args.extend(
                args[at..(at + row.keys.step()).min(args.len())]
                    .iter()
                    .map(|arg| arg.to_vec()),
            );
        }
        self.run_parts(transaction, row, parts.into_values().collect(), merge, out)
            .await
    }

    async fn run_parts(
        &self,
        transaction: &Transaction,
        row: &'static Command,
        parts: Vec<Part>,
        merge: Merge,
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let (db, proto, caller) = (self.db, self.proto, self.caller(row.is_read()));
        let orders: Vec<_> = parts.iter().map(|part| part.order.clone()).collect();
        let hops: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let writes = match row.handler {
                    Handler::Global(_) => HopWrites::Everything,
                    _ if row.is_write() => HopWrites::Keys(part.written(db)),
                    _ => HopWrites::NOTHING,
                };
                transaction.hop(part.shard, writes, move |core, effects| {
                    core.as_caller(caller, |core| part.run(core, effects, row, db, proto))
                })
            })
            .collect();
        let mut replies = Vec::with_capacity(hops.len());
        for hop in hops {
            replies.push(hop.answer().await);
        }
        merge_replies(merge, &replies, &orders, out, proto)
    }

    /// Brings the values of all keys here, runs the command on them, and takes back what it changed.
    async fn run_gathered(
        &self,
        transaction: &Transaction,
        row: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> CommandResult {
        let mut scratch = Keyspace::new(self.thread.engine.options.dbnum, self.id);
        scratch.tick(crate::thread::unix_ms());
        scratch.noted = Some(Vec::new());
        let (held, hub) = (HeldEvents::default(), &self.thread.engine.events);
        scratch.events = held.before(hub).unwrap_or_default();
        let keys = row.keys.positions(args)?;
        let keys = keys.iter().map(|at| args[*at as usize].to_vec()).collect();
        self.gather(transaction, row, keys, &mut scratch).await;
        self.gather_further(transaction, row, args, &mut scratch)
            .await;
        let mut reply = ReplyWriter::new(out, self.proto);
        if !row.is_write() {
            let result = crate::core::read(&scratch, row, self.db, args, &mut reply);
            held.tell(hub);
            return result;
        }
        let (mut effects, replays) = (Effects::new(false), self.is_internal);
        let result = crate::core::write(
            &mut scratch,
            row,
            self.db,
            args,
            &mut effects,
            replays,
            &mut reply,
        );
        self.take_back(transaction, scratch).await;
        held.tell(hub);
        result
    }

    async fn gather(
        &self,
        transaction: &Transaction,
        row: &Command,
        keys: Vec<Vec<u8>>,
        scratch: &mut Keyspace,
    ) {
        let dbs = if row.reaches_other_databases() {
            0..scratch.store.dbnum()
        } else {
            self.db.0..self.db.0 + 1
        };
        let hops: Vec<_> = self
            .by_shard(keys.into_iter())
            .into_iter()
            .map(|(shard, keys)| {
                let (dbs, caller) = (dbs.clone(), self.caller(row.is_read()));
                transaction.hop(shard, HopWrites::NOTHING, move |core, _| {
                    core.as_caller(caller, |core| fetch(core, dbs, keys))
                })
            })
            .collect();
        for hop in hops {
            for (db, key, value, expire_at) in hop.answer().await {
                scratch.store.insert(db, &key, value, expire_at);
            }
        }
    }

    /// Brings what the command looks at beyond the keys that it names.
    async fn gather_further(
        &self,
        transaction: &Transaction,
        row: &Command,
        args: &[&[u8]],
        scratch: &mut Keyspace,
    ) {
        let Spread::Follow(follow) = row.spread else {
            return;
        };
        let now = scratch.now;
        if self.is_internal {
            // What stood there for the primary stands there still, whatever the time is.
            scratch.now = UnixMs::MIN;
        }
        for round in follow.rounds {
            let cx = ReadContext {
                space: scratch,
                db: self.db,
            };
            let mut keys = round(&cx, args);
            keys.sort_unstable();
            keys.dedup();
            self.gather(transaction, row, keys, scratch).await;
        }
        scratch.now = now;
    }

    async fn take_back(&self, transaction: &Transaction, mut scratch: Keyspace) {
        let mut noted = scratch.noted.take().unwrap_or_default();
        noted.sort();
        noted.dedup();
        let mut by_shard: BTreeMap<usize, Vec<(DbIndex, Vec<u8>, Moved)>> = BTreeMap::new();
        for (db, key) in noted {
            let moved = scratch.store.remove(db, &key);
            by_shard
                .entry(self.thread.engine.mesh.shard_of(&key))
                .or_default()
                .push((db, key, moved));
        }
        let hops: Vec<_> = by_shard
            .into_iter()
            .map(|(shard, entries)| {
                let writes = HopWrites::Keys(
                    entries
                        .iter()
                        .map(|(db, key, _)| (*db, key.clone()))
                        .collect(),
                );
                let caller = self.caller(false);
                transaction.hop(shard, writes, move |core, effects| {
                    core.as_caller(caller, |core| store(core, effects, entries))
                })
            })
            .collect();
        for hop in hops {
            hop.answer().await;
        }
    }

    fn by_shard(&self, keys: impl Iterator<Item = Vec<u8>>) -> BTreeMap<usize, Vec<Vec<u8>>> {
        let mut shards: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for key in keys {
            shards
                .entry(self.thread.engine.mesh.shard_of(&key))
                .or_default()
                .push(key);
        }
        shards
    }
}

/// Whether the command runs on every shard.
pub(crate) fn is_everywhere(row: &Command) -> bool {
    matches!(row.spread, Spread::All(_)) || is_global(row)
}

fn is_global(row: &Command) -> bool {
    matches!(row.handler, Handler::Global(_) | Handler::Library(_))
}

pub(super) fn owned(args: &[&[u8]]) -> Vec<Vec<u8>> {
    args.iter().map(|arg| arg.to_vec()).collect()
}

/// One shard's part of a split command.
struct Part {
    shard: usize,
    args: Vec<Vec<u8>>,
    keys: KeyPositions,
    /// Which of the command's keys these are.
    order: Vec<usize>,
}

impl Part {
    fn new(shard: usize, name: &[u8]) -> Part {
        Part {
            shard,
            args: vec![name.to_vec()],
            keys: KeyPositions::new(),
            order: Vec::new(),
        }
    }

    fn written(&self, db: DbIndex) -> Vec<(DbIndex, Vec<u8>)> {
        self.keys
            .iter()
            .map(|at| (db, self.args[*at as usize].clone()))
            .collect()
    }

    fn run(
        self,
        core: &mut ShardCore,
        effects: &mut Effects,
        row: &'static Command,
        db: DbIndex,
        proto: Proto,
    ) -> Vec<u8> {
        let args: Vec<&[u8]> = self.args.iter().map(Vec::as_slice).collect();
        let mut reply = Vec::new();
        core.run_in_transaction(
            row,
            db,
            &args,
            &self.keys,
            effects,
            &mut ReplyWriter::new(&mut reply, proto),
        );
        reply
    }
}

/// Copies of the live entries under these keys. (What a replica has is alive: only its primary lets keys expire.)
fn fetch(core: &mut ShardCore, dbs: std::ops::Range<u16>, keys: Vec<Vec<u8>>) -> Vec<Fetched> {
    core.note_read(keys.iter().map(Vec::as_slice));
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        for db in dbs.clone().map(DbIndex) {
            let entry = if core.is_replica {
                core.space.store.get(db, &key)
            } else {
                core.space.live(db, &key)
            };
            if let Some(entry) = entry {
                core.space.touch(&entry);
                found.push((db, key.clone(), entry.value().clone(), entry.expire_at()));
            }
        }
    }
    found
}

/// Puts entries in their place, with DEL or RESTORE as their effect.
fn store(core: &mut ShardCore, effects: &mut Effects, entries: Vec<(DbIndex, Vec<u8>, Moved)>) {
    for (db, key, moved) in entries {
        match moved {
            None => {
                if let Some((value, _)) = core.space.store.remove(db, &key) {
                    core.space.discard(value);
                    effects.push(db, &[b"DEL", &key]);
                }
            }
            Some((value, expire_at)) => {
                if effects.is_wanted() {
                    push_restore(effects, db, &key, &value, expire_at);
                } else {
                    effects.push(db, &[]);
                }
                if let Some(old) = core.space.store.insert(db, &key, value, expire_at) {
                    core.space.discard(old);
                }
            }
        }
        core.space.note_change(db, &key);
    }
}

/// The effect that puts a whole value in place.
pub(crate) fn push_restore(
    effects: &mut Effects,
    db: DbIndex,
    key: &[u8],
    value: &Value,
    expire_at: Option<UnixMs>,
) {
    let payload = damselfly_snapshot::dump_value(value);
    let ttl = expire_at.unwrap_or(0).to_string();
    effects.push(
        db,
        &[
            b"RESTORE",
            key,
            ttl.as_bytes(),
            &payload,
            b"REPLACE",
            b"ABSTTL",
        ],
    );
}

/// One reply of the shards' replies.
fn merge_replies(
    merge: Merge,
    replies: &[Vec<u8>],
    orders: &[Vec<usize>],
    out: &mut Vec<u8>,
    proto: Proto,
) -> CommandResult {
    if let Some(error) = replies.iter().find(|reply| reply.first() == Some(&b'-')) {
        out.extend_from_slice(error);
        return Ok(());
    }
    let mut writer = ReplyWriter::new(out, proto);
    match merge {
        Merge::Same => writer.raw(replies.first().map_or(b"+OK\r\n", Vec::as_slice)),
        Merge::Sum => writer.integer(replies.iter().filter_map(|reply| integer(reply)).sum()),
        Merge::Append => {
            let parts: Vec<_> = replies.iter().map(|reply| elements(reply)).collect();
            writer.array(parts.iter().map(Vec::len).sum());
            parts
                .iter()
                .flatten()
                .for_each(|element| writer.raw(element));
        }
        Merge::ByKey => {
            let mut placed: Vec<&[u8]> = vec![b""; orders.iter().map(Vec::len).sum()];
            for (reply, order) in replies.iter().zip(orders) {
                for (element, at) in elements(reply).into_iter().zip(order) {
                    placed[*at] = element;
                }
            }
            writer.array(placed.len());
            placed.iter().for_each(|element| writer.raw(element));
        }
    }
    Ok(())
}

fn integer(reply: &[u8]) -> Option<i64> {
    damselfly_resp::parse_i64(reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?)
}

/// The encoded elements of an encoded array of bulk strings and nulls, as our own shards wrote it.
fn elements(reply: &[u8]) -> Vec<&[u8]> {
    let mut rest = &reply[line_len(reply)..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let head = line_len(rest);
        let body = match rest
            .strip_prefix(b"$")
            .and_then(|line| damselfly_resp::parse_i64(&line[..head - 3]))
        {
            Some(len) if len >= 0 => len as usize + 2,
            _ => 0,
        };
        let (element, after) = rest.split_at(head + body);
        found.push(element);
        rest = after;
    }
    found
}

fn line_len(bytes: &[u8]) -> usize {
    bytes
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .map_or(bytes.len(), |at| at + 2)
}
