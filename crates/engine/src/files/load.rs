//! Reading a snapshot: a thread per file reads ahead, the thread of the file's shard takes its entries.

use super::error::FileError;
use super::names::{FileSettings, Source, Target};
use super::point::Point;
use super::save::{self, SHARD_COUNT_AUX, SHARD_ID_AUX, SNAPSHOT_ID_AUX};
use crate::engine::{Role, new_replid};
use crate::replicate::{EngineFlow, begin_journals, discard_all, role};
use crate::thread::{Thread, join};
use damselfly_journal::Lsn;
use damselfly_replication::{Origin, ReplicaFlowSink};
use damselfly_snapshot::{Event, RdbDecoder};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes that are read, and decoded before others get their turn, at once.
const BLOCK_BYTES: usize = 128 * 1024;
/// Blocks that are read ahead.
const BLOCKS_AHEAD: usize = 8;

/// The newest snapshot with the configured name, if there is one, after making good what a crash left. For a start: it reads the disk.
///
/// # Errors
/// [`FileError`]: the directory cannot be read, or a file in it not renamed.
pub fn find(settings: &FileSettings) -> Result<Option<Source>, FileError> {
    if settings.name.is_empty() {
        return Ok(None);
    }
    super::tidy::tidy_up(&settings.dir)?;
    Source::newest(settings)
}

/// Loads a snapshot into an engine that is empty, and loading.
///
/// # Errors
/// [`FileError`]; a part of it may be there then.
pub async fn load(thread: &Rc<Thread>, source: &Source) -> Result<(), FileError> {
    let point = fill(thread, source).await?;
    let origin = point.journals.as_ref().and_then(|journals| journals.origin);
    let points = point.journals.as_ref().map(|journals| journals.points());
    adopt(thread, point, origin).await;
    let points = points.unwrap_or_default();
    let engine = &thread.engine;
    engine.change_lineage(|lineage| lineage.restored_from(points));
    Ok(())
}

/// What replaces the data set.
pub(super) enum Replacement {
    /// A file from anywhere: it is read once to its end before anything is discarded.
    File(Source),
    /// The data itself, by way of files.
    Itself(Target),
}

/// Replaces the data set of a primary by a snapshot's. Commands are refused meanwhile. With `keeps` the data stays, except where
/// the snapshot has the key (or library), and a new history begins.
///
/// # Errors
/// [`FileError`]. Nothing has changed then, unless the file has become another one since it was checked: then the data set is empty,
/// or with `keeps` has a part of the snapshot.
pub(super) async fn replace(
    thread: &Rc<Thread>,
    by: Replacement,
    keeps: bool,
) -> Result<(), FileError> {
    let engine = &thread.engine;
    if let Replacement::File(source) = &by {
        let source = source.clone();
        blocking(move || check(&source)).await?;
    }
    engine.set_loading(true);
    // Who is about to write is told to ask again, and hears of the loading.
    role::change(thread, Role::Replica).await;
    let saved = match by {
        Replacement::File(source) => Ok(source),
        Replacement::Itself(target) => {
            let source = target.source();
            let begun = save::begin(thread, target, save::Of::BeforeReload).await;
            match begun {
                Ok(saving) => saving.finish().await.map(|()| source),
                Err(error) => Err(error),
            }
        }
    };
    let result = match saved {
        Ok(source) if keeps => merge(thread, &source).await,
        Ok(source) => refill(thread, &source).await,
        Err(error) => Err(error),
    };
    role::change(thread, Role::Primary).await;
    engine.set_loading(false);
    result
}

/// Why replicas are sent away.
const WHY: &str = "the data set is replaced by a file's";

/// Adds a snapshot to what is there. The sum is of no history but its own.
async fn merge(thread: &Rc<Thread>, source: &Source) -> Result<(), FileError> {
    let engine = &thread.engine;
    let origin = engine.lineage().origin();
    let _ = engine.change_lineage(|lineage| lineage.full_sync_begun(new_replid()));
    begin_journals(thread, WHY).await;
    let filled = fill(thread, source).await;
    adopt(thread, Point::default(), Some(origin)).await;
    filled.map(drop)
}

async fn refill(thread: &Rc<Thread>, source: &Source) -> Result<(), FileError> {
    let engine = &thread.engine;
    // The server is who it was, however old the file is: its replicas follow it.
    let origin = engine.lineage().origin();
    let _ = engine.change_lineage(|lineage| lineage.full_sync_begun(new_replid()));
    discard_all(thread, WHY).await;
    let loaded = fill(thread, source).await;
    match loaded {
        Ok(point) => adopt(thread, point, Some(origin)).await,
        Err(error) => {
            discard_all(thread, WHY).await;
            let _ = engine.change_lineage(|lineage| lineage.data_replaced(new_replid()));
            return Err(error);
        }
    }
    Ok(())
}

/// Loads all files of a snapshot into empty shards.
async fn fill(thread: &Rc<Thread>, source: &Source) -> Result<Point, FileError> {
    let engine = &thread.engine;
    let begun = std::time::Instant::now();
    let listed = source.clone();
    let (summary, files, bytes) = blocking(move || files_of(&listed)).await?;
    let path = source.path().display().to_string();
    tracing::info!(path, bytes, "loading");
    engine.files.loading.begin(bytes);
    if summary.is_some() {
        // What belongs to no shard.
        load_file(source.path().to_owned(), Content::Summary).await?;
    }
    let calls: Vec<_> = files
        .into_iter()
        .enumerate()
        .map(|(index, file)| {
            let expected = summary.as_ref().map(|summary| (summary.id, index));
            let content = match expected {
                None => Content::AllShards,
                Some((id, shard)) => Content::Shard { id, shard },
            };
            thread.call(index % engine.mesh.shards(), move |_, answer| {
                tokio::task::spawn_local(async move {
                    answer.send(load_file(file, content).await);
                });
            })
        })
        .collect();
    let mut point = summary.map(|summary| summary.point);
    let mut result = Ok(());
    for loaded in join(calls).await {
        match loaded {
            Ok(found) => point = Some(point.take().unwrap_or(found.point)),
            Err(error) => result = result.and(Err(error)),
        }
    }
    engine.files.loading.end();
    result?;
    let keys = engine.files.loading.keys.load(Relaxed);
    let ms = begun.elapsed().as_millis() as u64;
    engine.slow.note_event("loading", begun.elapsed());
    tracing::info!(path, keys, bytes, ms, "loaded");
    Ok(point.unwrap_or_default())
}

/// Goes on in the history that the data comes with, or begins one.
async fn adopt(thread: &Rc<Thread>, mut point: Point, origin: Option<Origin>) {
    let engine = &thread.engine;
    let shards = engine.mesh.shards();
    // The LSNs of other shards say nothing of these.
    point.journals = point.journals.filter(|journals| {
        let of = journals.lsns.len();
        if of != shards {
            tracing::warn!(
                file_shards = of,
                shards,
                "the file is of another number of shards: a new history begins, and links of shard flows start with a full sync"
            );
        }
        of == shards
    });
    let (lsns, history, keeps_backlog) = match &point.journals {
        Some(journals) => (
            journals.lsns.clone(),
            journals.history,
            journals.keeps_backlog,
        ),
        None => (vec![Lsn::FIRST; shards], new_replid(), false),
    };
    engine.change_lineage(|lineage| {
        match point.resume() {
            Some(resume) => lineage.loaded(new_replid(), history, &lsns, resume),
            None => _ = lineage.data_replaced(new_replid()),
        }
        origin
            .into_iter()
            .for_each(|origin| lineage.came_of(origin));
    });
    *engine.redis_position.lock().await = point.redis;
    let changes = thread.on_all_shards(move |core| {
        core.journal.start_at(lsns[usize::from(core.id)]);
        core.journal.keep_backlog(keeps_backlog);
        core.space.changes
    });
    let changes = changes.await.iter().sum();
    engine
        .files
        .change_status(|status| status.changes = changes);
}

/// What a file says of itself.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The save that wrote it.
    pub(super) id: Option<u64>,
    shard: Option<usize>,
    shards: Option<usize>,
    point: Point,
    keys: u64,
}

impl Found {
    fn take(&mut self, event: &Event<'_>) {
        let Event::Aux { key, value } = event else {
            self.keys += match event {
                Event::Run { entries, .. } => entries.len() as u64,
                Event::KeyEnd { .. } | Event::Entry { .. } | Event::Text { .. } => 1,
                _ => 0,
            };
            return;
        };
        let text = || std::str::from_utf8(value).ok();
        match *key {
            SNAPSHOT_ID_AUX => self.id = text().and_then(|id| id.parse().ok()),
            SHARD_ID_AUX => self.shard = text().and_then(|id| id.parse().ok()),
            SHARD_COUNT_AUX => self.shards = text().and_then(|count| count.parse().ok()),
            key => self.point.take(key, value),
        }
    }

    /// Whether it is this file of this snapshot. Files of others (Dragonfly's) do not say.
    fn belongs(&self, (id, shard): (Option<u64>, usize)) -> Result<(), &'static str> {
        match (self.id == id, self.shard) {
            (false, _) => Err("it belongs to another snapshot than its summary"),
            (true, Some(of)) if of != shard => Err("it is another shard's file"),
            _ => Ok(()),
        }
    }
}

/// The summary, if there is one, the files with entries, and their bytes.
fn files_of(source: &Source) -> Result<(Option<Found>, Vec<PathBuf>, u64), FileError> {
    let (summary, files) = match source.shard_file(0) {
        None => (None, vec![source.path().to_owned()]),
        Some(_) => {
            let summary = read_whole(source.path())?;
            let named = (0..).map_while(|shard| source.shard_file(shard));
            let files = match summary.shards {
                Some(count) => named.take(count).collect(),
                None => named.take_while(|file| file.exists()).collect(),
            };
            (Some(summary), files)
        }
    };
    let mut bytes = 0;
    for file in &files {
        let found = std::fs::metadata(file);
        bytes += found
            .map_err(|error| FileError::system(file, "opening it", &error))?
            .len();
    }
    Ok((summary, files, bytes))
}

/// Reads all files of a snapshot to their ends.
fn check(source: &Source) -> Result<(), FileError> {
    let (summary, files, _) = files_of(source)?;
    for (shard, file) in files.iter().enumerate() {
        let found = read_whole(file)?;
        let expected = summary.as_ref().map(|summary| (summary.id, shard));
        if let Some(Err(why)) = expected.map(|expected| found.belongs(expected)) {
            return Err(FileError::content(file, why));
        }
    }
    Ok(())
}

/// Reads a file to its end, and keeps only what it says of itself.
pub(super) fn read_whole(path: &Path) -> Result<Found, FileError> {
    let mut blocks = Blocks::open(path)?;
    let mut decoding = Decoding::new(path);
    while let Some(block) = blocks.next()? {
        decoding.take(&block, |_| Ok(()))?;
    }
    decoding.end()
}

/// What a file has in it.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Entries of all shards: all of them take them apart.
    AllShards,
    /// Those of one, mostly.
    Shard { id: Option<u64>, shard: usize },
    /// None.
    Summary,
}

impl Content {
    /// The number of the file, for errors.
    fn number(self) -> usize {
        match self {
            Content::Shard { shard, .. } => shard,
            Content::AllShards | Content::Summary => 0,
        }
    }
}

/// Loads one file; on the thread of its shard, if it is one's.
async fn load_file(path: PathBuf, content: Content) -> Result<Found, FileError> {
    let engine = Thread::current().engine.clone();
    let progress = &engine.files.loading;
    let mut blocks = read_ahead(&path)?;
    let mut decoding = Decoding::new(&path);
    let mut flow = match content {
        Content::AllShards | Content::Shard { .. } => {
            let limits = engine.options.replication.replica.limits.rdb.clone();
            decoding.decoder = RdbDecoder::splitting(limits).in_runs();
            let file = std::fs::metadata(&path);
            let file = file.map_err(|error| FileError::system(&path, "opening it", &error))?;
            EngineFlow::of_file(content.number(), true).bounded_by(file.len())
        }
        Content::Summary => EngineFlow::of_file(0, false),
    };
    let mut keys = 0;
    while let Some(block) = blocks.recv().await {
        let block = block?;
        decoding.take(&block, |event| {
            flow.load(event).map_err(|error| error.to_string())
        })?;
        let kept_pace = flow.keep_pace().await;
        kept_pace.map_err(|error| FileError::content(&path, error))?;
        progress.loaded_bytes.fetch_add(block.len() as u64, Relaxed);
        progress.keys.fetch_add(decoding.found.keys - keys, Relaxed);
        keys = decoding.found.keys;
        tokio::task::yield_now().await;
    }
    let settled = flow.settle().await;
    settled.map_err(|error| FileError::content(&path, error))?;
    let found = decoding.end()?;
    if let Content::Shard { id, shard } = content
        && let Err(why) = found.belongs((id, shard))
    {
        return Err(FileError::content(&path, why));
    }
    Ok(found)
}

/// Takes a file apart, block by block.
struct Decoding<'p> {
    path: &'p Path,
    decoder: RdbDecoder,
    found: Found,
}

impl Decoding<'_> {
    fn new(path: &Path) -> Decoding<'_> {
        Decoding {
            path,
            decoder: RdbDecoder::default().with_whole_strings(),
            found: Found::default(),
        }
    }

    fn take(
        &mut self,
        block: &[u8],
        mut load: impl FnMut(&Event<'_>) -> Result<(), String>,
    ) -> Result<(), FileError> {
        let Decoding {
            path,
            decoder,
            found,
        } = self;
        decoder.feed(block);
        loop {
            let event = decoder.next();
            let event = event.map_err(|error| FileError::content(path, error))?;
            let Some(event) = event else {
                return Ok(());
            };
            found.take(&event);
            if let Err(why) = load(&event) {
                let at = decoder.offset();
                return Err(FileError::content(path, format!("offset {at}: {why}")));
            }
        }
    }

    fn end(self) -> Result<Found, FileError> {
        if self.decoder.is_ended() {
            return Ok(self.found);
        }
        let why = format!("it ends at offset {}, too early", self.decoder.offset());
        Err(FileError::content(self.path, why))
    }
}

/// A file, read block by block.
struct Blocks {
    file: File,
    path: PathBuf,
    offset: u64,
}

impl Blocks {
    fn open(path: &Path) -> Result<Blocks, FileError> {
        let file = File::open(path);
        Ok(Blocks {
            file: file.map_err(|error| FileError::system(path, "opening it", &error))?,
            path: path.to_owned(),
            offset: 0,
        })
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = (&mut self.file)
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block);
        let read = read.map_err(|error| {
            let action = format!("reading at offset {}", self.offset);
            FileError::system(&self.path, action, &error)
        })?;
        self.offset += read as u64;
        Ok((read > 0).then_some(block))
    }
}

/// Reads a file in a thread of its own.
fn read_ahead(path: &Path) -> Result<Receiver<Result<Vec<u8>, FileError>>, FileError> {
    let (sender, receiver) = channel(BLOCKS_AHEAD);
    let mut blocks = Blocks::open(path)?;
    let thread = std::thread::Builder::new().name("loading".to_owned());
    let work = move || {
        while let Some(block) = blocks.next().transpose() {
            let last = block.is_err();
            if sender.blocking_send(block).is_err() || last {
                return;
            }
        }
    };
    let started = thread.spawn(work);
    started.map_err(|error| FileError::system(path, "starting its thread", &error))?;
    Ok(receiver)
}

/// Runs what waits for a disk away from the shards.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(FileError::GivenUp))
}
