//! Where a snapshot's entries go: gathered, compressed if asked, handed to the sink.

use crate::encode::{Encoder, Profile, RdbWriter, lz4_blob};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Entries are handed on, or compressed, when so many bytes of them are gathered.
const GATHER_BYTES: usize = 32 * 1024;
/// Less than this is not worth compressing.
const MIN_COMPRESSED: usize = 256;

/// Takes what a snapshot writes: the full-sync stream of a flow, a file, a buffer.
///
/// The sink belongs to the stream: header, journal records between entries, cut and tail are written to the same
/// [`RdbWriter`] by whoever owns it, between two calls of the snapshot.
pub trait Sink {
    /// Lends the stream's writer to `write`; a stream that has ended may pass over the call.
    fn write(&self, write: &mut dyn FnMut(&mut RdbWriter));

    /// Takes a piece of a big value ([`Chunks::Apart`](super::Chunks)). The pieces of one stream, one behind the other, are the entry;
    /// other entries and pieces of others come between them. Only sinks of such snapshots are asked.
    fn write_piece(&self, piece: ValuePiece) {
        unreachable!(
            "stream {} goes apart to a sink of whole entries",
            piece.stream
        );
    }

    /// Whether a walk may add more now. Serving a bucket that is about to change does not ask.
    fn has_room(&self) -> bool {
        true
    }

    /// Ready when [`has_room`](Sink::has_room); wakes the task once it has, whoever of several asked.
    fn poll_room(&self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Whether writes to the shard should wait until the sink has passed on what it holds: each may have to serve a bucket.
    fn is_over_budget(&self) -> bool {
        false
    }
}

/// A part of an entry that is too big for one piece.
#[derive(Debug)]
pub struct ValuePiece {
    /// Which of the snapshot's big values it is of.
    pub stream: u32,
    /// The database of the entry.
    pub db: u32,
    /// The bytes that come next; the first are those of expiry, type and key.
    pub bytes: Vec<u8>,
    /// The entry ends here.
    pub is_last: bool,
}

impl Sink for Rc<RefCell<RdbWriter>> {
    fn write(&self, write: &mut dyn FnMut(&mut RdbWriter)) {
        write(&mut self.borrow_mut());
    }
}

/// Entries on their way to the sink.
pub(super) struct Output {
    sink: Box<dyn Sink>,
    pub(super) encoder: Encoder,
    /// Opcodes and entries of one database.
    gathered: Vec<u8>,
    db: u32,
    lz4: bool,
    /// Bytes gathered so far, before compression.
    pub(super) written: u64,
}

impl Output {
    pub(super) fn new(sink: Box<dyn Sink>, profile: Profile, lz4: bool) -> Output {
        Output {
            sink,
            encoder: Encoder::new(profile),
            gathered: Vec::new(),
            db: 0,
            lz4,
            written: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.sink.has_room()
    }

    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.sink.poll_room(context)
    }

    pub(super) fn is_over_budget(&self) -> bool {
        self.sink.is_over_budget()
    }

    /// Appends what `put` writes, which stands in database `db`.
    #[inline]
    pub(super) fn append(&mut self, db: u32, put: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        if self.db != db {
            self.flush();
            self.db = db;
        }
        let before = self.gathered.len();
        put(&mut self.encoder, &mut self.gathered);
        self.written += (self.gathered.len() - before) as u64;
        if self.gathered.len() >= GATHER_BYTES {
            self.flush();
        }
    }

    /// Hands on a piece of a value that the sink puts together.
    pub(super) fn piece(&mut self, piece: ValuePiece) {
        self.written += piece.bytes.len() as u64;
        self.sink.write_piece(piece);
    }

    /// The database of what was appended last.
    pub(super) fn db(&self) -> u32 {
        self.db
    }

    /// Hands everything on. Called before anything else can be written to the stream.
    pub(super) fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let Output {
            sink,
            gathered,
            db,
            lz4,
            ..
        } = self;
        sink.write(&mut |writer| {
            writer.select(*db);
            let blob =
                *lz4 && gathered.len() >= MIN_COMPRESSED && lz4_blob(writer.buffer(), gathered);
            if !blob {
                writer.buffer().extend_from_slice(gathered);
            }
        });
        self.gathered.clear();
    }

    /// Writes to the stream itself, behind everything.
    pub(super) fn direct(&mut self, write: &mut dyn FnMut(&mut RdbWriter)) {
        self.flush();
        self.sink.write(write);
    }
}
