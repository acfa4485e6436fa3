//! One file on its way to the disk: a thread of its own takes what shards write, so that no shard waits for a disk.

use super::apart::Apart;
use super::error::FileError;
use damselfly_snapshot::wire::opcode;
use damselfly_snapshot::{Crc64, RdbWriter, Sink, ValuePiece};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// Bytes that wait for the disk, of all shards together, before a walk pauses.
const ROOM_BYTES: usize = 8 << 20;
/// How many times that may wait before writes to a shard pause too: each may have to serve a bucket first.
const BUDGET_ROOMS: usize = 2;

/// What one shard has handed on and the disk does not have yet.
pub(super) struct Outbox {
    waiting: AtomicUsize,
    room: usize,
    failed: AtomicBool,
    /// Walks that wait for room.
    walks: Mutex<Vec<Waker>>,
    /// Tells the shard that writes to it may go on.
    on_room: Box<dyn Fn() + Send + Sync>,
}

impl Outbox {
    /// Of one of so many shards, which is told by `on_room` whenever there is room again.
    pub(super) fn new(shards: usize, on_room: impl Fn() + Send + Sync + 'static) -> Arc<Outbox> {
        Arc::new(Outbox {
            waiting: AtomicUsize::new(0),
            room: (ROOM_BYTES / shards).max(64 * 1024),
            failed: AtomicBool::new(false),
            walks: Mutex::default(),
            on_room: Box::new(on_room),
        })
    }

    fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Acquire) < self.room
    }

    /// Whether the file cannot be written: nothing that is added gets anywhere.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut walks = self.walks();
        // Who makes room takes the lock afterwards.
        if self.has_room() {
            return Poll::Ready(());
        }
        if !walks.iter().any(|waker| waker.will_wake(context.waker())) {
            walks.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn walks(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.walks.lock().expect("nobody panics while holding it")
    }

    fn took(&self, bytes: usize) {
        let before = self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before >= self.room && before - bytes < self.room {
            let walks = std::mem::take(&mut *self.walks());
            walks.into_iter().for_each(Waker::wake);
            (self.on_room)();
        }
    }
}

enum Piece {
    Bytes(Vec<u8>, Arc<Outbox>),
    OfValue(ValuePiece, Arc<Outbox>),
    End,
}

/// A shard's way into a file. Every piece selects its database by itself, so that those of several shards may follow each other.
pub(super) struct FileSink {
    inbox: Sender<Piece>,
    outbox: Arc<Outbox>,
}

impl FileSink {
    fn send(&self, length: usize, piece: Piece) {
        self.outbox.waiting.fetch_add(length, Ordering::AcqRel);
        if self.inbox.send(piece).is_err() {
            self.outbox.took(length);
        }
    }
}

impl Sink for FileSink {
    fn write(&self, write: &mut dyn FnMut(&mut RdbWriter)) {
        if self.outbox.has_failed() {
            return;
        }
        let mut writer = RdbWriter::new();
        write(&mut writer);
        let bytes = writer.take();
        self.send(bytes.len(), Piece::Bytes(bytes, self.outbox.clone()));
    }

    fn write_piece(&self, piece: ValuePiece) {
        if !self.outbox.has_failed() {
            let length = piece.bytes.len();
            self.send(length, Piece::OfValue(piece, self.outbox.clone()));
        }
    }

    fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.outbox.poll_room(context)
    }

    fn is_over_budget(&self) -> bool {
        self.outbox.waiting.load(Ordering::Acquire) >= BUDGET_ROOMS * self.outbox.room
    }
}

/// A file that is complete and synced, still under its temporary name. Its lock lasts as long as this.
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    _file: File,
}

/// A file that is being written. Dropped before its end, nothing is left of it.
pub(super) struct FileWriter {
    inbox: Sender<Piece>,
    header: Sender<Vec<u8>>,
    written: oneshot::Receiver<Result<Written, FileError>>,
}

impl FileWriter {
    /// Creates the file and starts its thread.
    pub(super) async fn create(path: PathBuf) -> Result<FileWriter, FileError> {
        let (inbox, pieces) = channel();
        let (header, headers) = channel();
        let (tell_open, is_open) = oneshot::channel();
        let (tell_written, written) = oneshot::channel();
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        let shown = path.clone();
        let work = move || match create(&path) {
            Ok(file) => {
                drop(tell_open.send(Ok(())));
                let result = Writing::new(file, path).run(&headers, &pieces);
                drop(tell_written.send(result));
            }
            Err(error) => drop(tell_open.send(Err(error))),
        };
        let started = thread.spawn(work);
        started.map_err(|error| FileError::system(&shown, "starting its thread", &error))?;
        is_open.await.map_err(|_| FileError::GivenUp)??;
        Ok(FileWriter {
            inbox,
            header,
            written,
        })
    }

    /// A shard's way into it.
    pub(super) fn sink(&self, outbox: &Arc<Outbox>) -> FileSink {
        FileSink {
            inbox: self.inbox.clone(),
            outbox: outbox.clone(),
        }
    }

    /// Says what stands in front of all pieces; they wait for it.
    pub(super) fn begin(&self, header: Vec<u8>) {
        drop(self.header.send(header));
    }

    /// Says that all pieces have been given, and waits until they are safe.
    pub(super) async fn end(self) -> Result<Written, FileError> {
        drop(self.inbox.send(Piece::End));
        self.written.await.map_err(|_| FileError::GivenUp)?
    }
}

/// Creates a temporary file and locks it, so that others see that somebody still writes it.
fn create(path: &Path) -> Result<File, FileError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let file = opened.map_err(|error| FileError::system(path, "creating it", &error))?;
    if let Err(error) = file.try_lock() {
        tracing::debug!(path = %path.display(), %error, "the file system has no locks");
    }
    Ok(file)
}

/// What the thread has.
struct Writing {
    file: File,
    path: PathBuf,
    crc: Crc64,
    bytes: u64,
    apart: Apart,
}

impl Writing {
    fn new(file: File, path: PathBuf) -> Writing {
        Writing {
            apart: Apart::new(&path),
            file,
            path,
            crc: Crc64::new(),
            bytes: 0,
        }
    }

    fn run(
        mut self,
        headers: &Receiver<Vec<u8>>,
        pieces: &Receiver<Piece>,
    ) -> Result<Written, FileError> {
        let result = self.take(headers, pieces);
        if let Err(error) = result {
            let _ = std::fs::remove_file(&self.path);
            return Err(error);
        }
        Ok(Written {
            path: self.path,
            bytes: self.bytes,
            _file: self.file,
        })
    }

    fn take(
        &mut self,
        headers: &Receiver<Vec<u8>>,
        pieces: &Receiver<Piece>,
    ) -> Result<(), FileError> {
        let header = headers.recv().map_err(|_| FileError::GivenUp)?;
        let mut result = self.write(&header);
        loop {
            match pieces.recv().map_err(|_| FileError::GivenUp)? {
                Piece::Bytes(bytes, outbox) => {
                    if result.is_ok() {
                        result = self.write(&bytes);
                    }
                    outbox.failed.store(result.is_err(), Ordering::Release);
                    outbox.took(bytes.len());
                }
                Piece::OfValue(piece, outbox) => {
                    let length = piece.bytes.len();
                    if result.is_ok() {
                        result = self.take_piece(Arc::as_ptr(&outbox) as usize, piece);
                    }
                    outbox.failed.store(result.is_err(), Ordering::Release);
                    outbox.took(length);
                }
                Piece::End => {
                    result?;
                    return self.end();
                }
            }
        }
    }

    /// A piece of a big value of this shard: the value is written when it is whole.
    fn take_piece(&mut self, shard: usize, piece: ValuePiece) -> Result<(), FileError> {
        let db = piece.db;
        let Some(value) = self.apart.take(shard, piece)? else {
            return Ok(());
        };
        let mut head = RdbWriter::new();
        head.select(db);
        self.write(&head.take())?;
        let path = self.path.clone();
        value.read(&path, |bytes| self.write(bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.crc.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(|error| self.at(&error))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<(), FileError> {
        if self.apart.is_open() {
            // The walk that began the value was given up.
            return Err(FileError::GivenUp);
        }
        self.write(&[opcode::EOF])?;
        let crc = self.crc.value();
        self.write(&crc.to_le_bytes())?;
        let synced = self.file.sync_all();
        synced.map_err(|error| FileError::system(&self.path, "syncing it", &error))
    }

    fn at(&self, error: &io::Error) -> FileError {
        let action = format!("writing at offset {}", self.bytes);
        FileError::system(&self.path, action, error)
    }
}
