//! Writing a snapshot: one cut of all shards, a walk on each, a file for all or for each, and their names at the end.

use super::error::FileError;
use super::names::{Format, Part, Target};
use super::point::{Journals, Point};
use super::status::Claim;
use super::writer::{FileWriter, Outbox, Written};
use crate::coordinator::{Undecided, cut};
use crate::engine::Role;
use crate::families::connection::REDIS_VERSION;
use crate::replicate::{EngineSnapshot, TXID_AUX};
use crate::thread::Thread;
use damselfly_journal::Lsn;
use damselfly_replication::{LsnVector, ShardSnapshot};
use damselfly_snapshot::{RdbWriter, SnapshotOptions, put_function};
use damselfly_store::DbIndex;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Says which files belong together.
pub(super) const SNAPSHOT_ID_AUX: &[u8] = b"damselfly-snapshot";
/// Of how many shards they are.
pub(super) const SHARD_COUNT_AUX: &[u8] = b"shard-count";
/// Of which one a file is.
pub(super) const SHARD_ID_AUX: &[u8] = b"shard-id";

/// Writes a snapshot, and returns when it is safe.
///
/// # Errors
/// [`FileError`]; what was there before is there still.
pub async fn save(thread: &Rc<Thread>, target: Target) -> Result<(), FileError> {
    begin(thread, target, Of::Whole).await?.finish().await
}

/// What a snapshot may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Not of a data set that is being loaded: a part of it would take the place of the file of what was there before.
    Whole,
    /// Clients hear that it loads, but what is there stays until the snapshot is complete.
    BeforeReload,
}

/// A snapshot whose cut has been made.
pub(super) struct Saving {
    thread: Rc<Thread>,
    target: Target,
    claim: Claim,
    writers: Vec<FileWriter>,
    walks: Vec<oneshot::Receiver<Result<(), FileError>>>,
    point: Point,
    /// Texts of the libraries of functions.
    libraries: Vec<Vec<u8>>,
    lsns: LsnVector,
    changes: u64,
    keys: u64,
    /// Of each shard the keys of each database, and those of them that expire.
    sizes: Vec<Vec<(u64, u64)>>,
}

/// What a shard says at the cut.
#[derive(Debug, Clone, Default)]
struct AtCut {
    next_lsn: Lsn,
    keeps_backlog: bool,
    is_loading: bool,
    changes: u64,
    /// Keys of each database, and those of them that expire.
    sizes: Vec<(u64, u64)>,
}

impl AtCut {
    fn keys(&self) -> u64 {
        self.sizes.iter().map(|(keys, _)| keys).sum()
    }
}

/// Creates the files and makes the cut.
pub(super) async fn begin(
    thread: &Rc<Thread>,
    target: Target,
    of: Of,
) -> Result<Saving, FileError> {
    let engine = &thread.engine;
    if of == Of::Whole && engine.is_loading() {
        return Err(FileError::Loading);
    }
    let claim = Claim::take(engine)?;
    let begun = start(thread, target, of, claim).await;
    if let Err(error) = &begun {
        tracing::error!(%error, "cannot save");
    }
    begun
}

async fn start(
    thread: &Rc<Thread>,
    target: Target,
    of: Of,
    claim: Claim,
) -> Result<Saving, FileError> {
    let shards = thread.engine.mesh.shards();
    let parts: Vec<Part> = match target.format {
        Format::Rdb => vec![Part::Rdb],
        Format::Shards => (0..shards).map(Part::Shard).collect(),
    };
    let mut writers = Vec::with_capacity(parts.len());
    for part in &parts {
        writers.push(FileWriter::create(target.temporary(*part)).await?);
    }
    let (at, walks, point, libraries) = cut_all(thread, &writers, &target).await;
    // A full sync may have begun since: it says so before it discards anything.
    if of == Of::Whole && at.iter().any(|at| at.is_loading) {
        return Err(FileError::Loading);
    }
    let saving = Saving {
        thread: thread.clone(),
        claim,
        walks,
        point,
        libraries,
        lsns: at.iter().map(|at| at.next_lsn).collect(),
        changes: at.iter().map(|at| at.changes).sum(),
        keys: at.iter().map(AtCut::keys).sum(),
        sizes: at.into_iter().map(|at| at.sizes).collect(),
        writers,
        target,
    };
    for (writer, part) in saving.writers.iter().zip(parts) {
        writer.begin(saving.header(part));
    }
    let keys_total = saving.keys;
    thread
        .engine
        .files
        .change_status(|status| status.keys_total = keys_total);
    let path = saving.target.main_file();
    tracing::info!(path = %path.display(), keys = keys_total, "saving");
    Ok(saving)
}

type Walks = Vec<oneshot::Receiver<Result<(), FileError>>>;

/// Begins the walk of every shard, at one cut.
async fn cut_all(
    thread: &Rc<Thread>,
    writers: &[FileWriter],
    target: &Target,
) -> (Vec<AtCut>, Walks, Point, Vec<Vec<u8>>) {
    let engine = &thread.engine;
    let shards = engine.mesh.shards();
    let (format, readers) = (target.format, target.readers);
    let at = Arc::new(Mutex::new(vec![AtCut::default(); shards]));
    let seen = Arc::new(Mutex::new(None));
    // What a Redis sends is executed between two of these moments.
    let position = engine.redis_position.lock().await;
    let (collected, noted) = (at.clone(), seen.clone());
    let mut walks = Vec::with_capacity(shards);
    cut(thread, Undecided::Follow, |shard| {
        let told = thread.engine.clone();
        let outbox = Outbox::new(shards, move || {
            told.mesh
                .run_on(shard, Box::new(|thread| thread.wake_later()));
        });
        let sink = writers[shard % writers.len()].sink(&outbox);
        let (tell, walked) = oneshot::channel();
        walks.push(walked);
        let (collected, noted) = (collected.clone(), noted.clone());
        Box::new(move || {
            let thread = Thread::current();
            let (snapshot, at) = thread.with_core(|core| {
                let store = &core.space.store;
                let sizes = |db| (store.len(db) as u64, store.expires_len(db) as u64);
                let at = AtCut {
                    next_lsn: core.journal.next_lsn(),
                    keeps_backlog: core.journal.keeps_backlog(),
                    is_loading: thread.engine.is_loading(),
                    changes: core.space.changes,
                    sizes: (0..store.dbnum()).map(DbIndex).map(sizes).collect(),
                };
                let options = SnapshotOptions {
                    uses: core.told_uses(),
                    ..match format {
                        Format::Rdb => SnapshotOptions::file_for(readers),
                        Format::Shards => SnapshotOptions::shard_file(),
                    }
                };
                let space = &mut core.space;
                let snapshot = space.snapshots.begin(&mut space.store, options, sink);
                (snapshot, at)
            });
            collected.lock().expect("nobody panics while storing it")[shard] = at;
            if shard == 0 {
                let (lineage, libraries) = (
                    thread.engine.lineage(),
                    thread.engine.scripts.libraries.sources(),
                );
                *noted.lock().expect("nobody panics while storing it") = Some((lineage, libraries));
            }
            let snapshot = EngineSnapshot::new(thread.clone(), snapshot);
            tokio::task::spawn_local(walk(thread, snapshot, outbox, tell));
        })
    })
    .await;
    let redis = position.filter(|_| engine.role() == Role::Replica);
    drop(position);
    let at = std::mem::take(&mut *at.lock().expect("nobody panics while storing it"));
    let seen = seen.lock().expect("nobody panics while storing it").take();
    let (lineage, libraries) = seen.unzip();
    let link = engine.replication().link.status().1;
    let lsns = at.iter().map(|at| at.next_lsn).collect();
    let journals = lineage.and_then(|lineage| Journals::of(&lineage, link, lsns));
    let journals = journals.map(|journals| Journals {
        keeps_backlog: at.iter().any(|at| at.keeps_backlog),
        ..journals
    });
    let point = Point { journals, redis };
    (at, walks, point, libraries.unwrap_or_default())
}

/// Writes what stood in one shard at the cut.
async fn walk(
    thread: Rc<Thread>,
    mut snapshot: EngineSnapshot,
    outbox: Arc<Outbox>,
    tell: oneshot::Sender<Result<(), FileError>>,
) {
    let files = &thread.engine.files;
    let mut told = 0;
    let result = loop {
        if outbox.has_failed() || tell.is_closed() || files.gives_up.load(Relaxed) {
            break Err(FileError::GivenUp);
        }
        match snapshot.step().await {
            Ok(false) => tokio::task::yield_now().await,
            Ok(true) => break Ok(()),
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot go on");
                break Err(FileError::GivenUp);
            }
        }
        let entries = snapshot.entries();
        files.keys_processed.fetch_add(entries - told, Relaxed);
        told = entries;
    };
    drop(snapshot);
    drop(tell.send(result));
}

impl Saving {
    /// The next LSN of each shard at the cut.
    pub(super) fn lsns(&self) -> Vec<(usize, Lsn)> {
        self.lsns.iter().copied().enumerate().collect()
    }

    /// Waits until everything is written and has its name.
    pub(super) async fn finish(self) -> Result<(), FileError> {
        let (changes, keys, begun) = (self.changes, self.keys, self.claim.since());
        let path = self.target.main_file();
        let (claim, result) = self.complete().await;
        match &result {
            Ok(bytes) => {
                let ms = crate::world::unix_ms() - begun;
                tracing::info!(path = %path.display(), keys, bytes, ms, "saved");
                claim.saved(changes);
            }
            Err(error) => {
                tracing::error!(%error, "saving failed");
                drop(claim);
            }
        }
        result.map(|_| ())
    }

    async fn complete(mut self) -> (Claim, Result<u64, FileError>) {
        let walks = std::mem::take(&mut self.walks);
        let mut result = Ok(());
        for walk in walks {
            let walked = walk.await.unwrap_or(Err(FileError::GivenUp));
            result = result.and(walked);
        }
        let mut written = Vec::with_capacity(self.writers.len());
        for writer in std::mem::take(&mut self.writers) {
            match writer.end().await {
                Ok(file) => written.push(file),
                // Why the file could not be written says more than that the walk was given up.
                Err(error) => result = Err(error),
            }
        }
        let summary = self.header(Part::Summary);
        let Saving { target, claim, .. } = self;
        let work = move || match result.and_then(|()| name_all(&target, &written, &summary)) {
            Ok(()) => Ok(written.iter().map(|file| file.bytes).sum()),
            Err(error) => {
                for file in &written {
                    let _ = fs::remove_file(&file.path);
                }
                Err(error)
            }
        };
        let result = tokio::task::spawn_blocking(work).await;
        (claim, result.unwrap_or(Err(FileError::GivenUp)))
    }

    /// What stands in front of the entries of a file; of a summary that is all.
    fn header(&self, part: Part) -> Vec<u8> {
        let engine = &self.thread.engine;
        let text = |text: String| text.into_bytes();
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"redis-ver", text(REDIS_VERSION.to_owned())),
            (b"redis-bits", text(usize::BITS.to_string())),
            (b"ctime", text((self.claim.since() / 1000).to_string())),
            (b"damselfly-ver", text(env!("CARGO_PKG_VERSION").to_owned())),
            (TXID_AUX, text(engine.mesh.txids_end().to_string())),
        ];
        let shards = engine.mesh.shards().to_string();
        match part {
            Part::Rdb => fields.extend(self.point.fields()),
            Part::Summary => {
                fields.push((SNAPSHOT_ID_AUX, text(self.target.id.to_string())));
                fields.push((SHARD_COUNT_AUX, text(shards)));
                fields.extend(self.point.fields());
            }
            Part::Shard(shard) => {
                fields.push((SNAPSHOT_ID_AUX, text(self.target.id.to_string())));
                fields.push((SHARD_ID_AUX, text(shard.to_string())));
            }
        }
        let fields: Vec<(&[u8], &[u8])> = fields
            .iter()
            .map(|(key, value)| (*key, &value[..]))
            .collect();
        let mut writer = match part {
            Part::Rdb => RdbWriter::for_readers(self.target.readers),
            _ => RdbWriter::new(),
        };
        writer.header(&fields);
        if !matches!(part, Part::Shard(_)) {
            for source in &self.libraries {
                put_function(writer.buffer(), source);
            }
        }
        match part {
            Part::Rdb => Self::put_sizes(&mut writer, &self.sizes),
            Part::Shard(shard) => Self::put_sizes(&mut writer, &self.sizes[shard..=shard]),
            Part::Summary => writer.end(),
        }
        writer.take()
    }

    /// Tells how many keys will come, so that a reader makes room for all of them at once.
    fn put_sizes(writer: &mut RdbWriter, shards: &[Vec<(u64, u64)>]) {
        let databases = shards.iter().map(Vec::len).max().unwrap_or(0);
        for db in 0..databases {
            let of_shards = shards.iter().filter_map(|sizes| sizes.get(db));
            let (keys, expiring) =
                of_shards.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
            if keys > 0 {
                writer.select(db as u32);
                writer.resize(keys, expiring);
            }
        }
    }
}

/// Gives all files their names. A set of several is there from the moment on in which its summary is.
fn name_all(target: &Target, written: &[Written], summary: &[u8]) -> Result<(), FileError> {
    if target.format == Format::Rdb {
        rename(&written[0].path, &target.file(Part::Rdb))?;
        return sync_dir(target.dir());
    }
    let temporary = target.temporary(Part::Summary);
    if let Err(error) = write_small(&temporary, summary).and_then(|()| sync_dir(target.dir())) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    rename(&temporary, &target.file(Part::Summary))?;
    for (shard, file) in written.iter().enumerate() {
        rename(&file.path, &target.file(Part::Shard(shard)))?;
    }
    // What an older set of more shards left.
    let more = (written.len()..).map(|shard| target.file(Part::Shard(shard)));
    for file in more.take_while(|file| file.exists()) {
        let removed = fs::remove_file(&file);
        removed.map_err(|error| FileError::system(&file, "removing it", &error))?;
    }
    sync_dir(target.dir())
}

fn write_small(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| FileError::system(path, "writing it", &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|error| FileError::system(to, "renaming to it", &error))
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), FileError> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| FileError::system(dir, "syncing the directory", &error))
}
