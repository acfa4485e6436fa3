//! The decoder: which lane is read, what containers are opened, checksum and places of errors.

use super::Limits;
use super::blob::decompress;
use super::event::{Checksum, ChunkId, Event, Format, KeyMeta, Part, StreamPart};
use super::lane::{Lane, LaneKind, Raw, RawKey, RawPart, RawStream, Span, State};
use super::scan::{Halt, Read};
use crate::crc::Crc64;
use crate::error::{At, RdbError};
use crate::wire::FIRST_CHECKED_VERSION;

/// Reads an RDB stream with the replication extensions, in whatever pieces it comes.
///
/// Give bytes with [`feed`](RdbDecoder::feed), then take events with [`next`](RdbDecoder::next) until it has none.
///
/// ```
/// use damselfly_snapshot::{Event, Part, RdbDecoder};
/// let mut decoder = RdbDecoder::default();
/// decoder.feed(b"REDIS0009\xfe\x00\x00\x03key\x05value\xff\0\0\0\0\0\0\0\0");
/// let mut values = 0;
/// while let Some(event) = decoder.next()? {
///     if let Event::Part { part: Part::Str(bytes), .. } = event {
///         assert_eq!(bytes, b"value");
///         values += 1;
///     }
/// }
/// assert_eq!(values, 1);
/// assert!(decoder.is_ended());
/// # Ok::<(), damselfly_snapshot::RdbError>(())
/// ```
#[derive(Debug)]
pub struct RdbDecoder {
    pub(super) limits: Limits,
    pub(super) outer: Lane,
    blob: Lane,
    /// Offset of the opcode of the blob being read.
    blob_at: Option<u64>,
    chunks: Vec<(ChunkId, Lane)>,
    /// The chunk being read: index in `chunks`, and payload bytes that are still to be moved there.
    window: Option<(usize, usize)>,
    /// Offset of that chunk's opcode, where it lies in the outer stream.
    chunk_at: u64,
    pub(super) scratch: Vec<u8>,
    crc: Crc64,
    /// Bytes of the outer buffer that the checksum has.
    hashed: usize,
    /// Nothing is to be hashed: there will be no trailer.
    unchecked: bool,
    pub(super) db: u32,
    failed: Option<RdbError>,
}

/// Opcode, id and length of a chunk.
const CHUNK_HEAD_BYTES: u64 = 9;

/// Which lane an event comes from.
#[derive(Clone, Copy)]
enum Source {
    Outer,
    Blob,
    Chunk(usize),
}

impl Default for RdbDecoder {
    fn default() -> RdbDecoder {
        RdbDecoder::new(Limits::default())
    }
}

impl RdbDecoder {
    /// A decoder at the start of a stream.
    pub fn new(limits: Limits) -> RdbDecoder {
        RdbDecoder {
            limits,
            outer: Lane::new(LaneKind::Outer),
            blob: Lane::new(LaneKind::Blob),
            blob_at: None,
            chunks: Vec::new(),
            window: None,
            chunk_at: 0,
            scratch: Vec::new(),
            crc: Crc64::new(),
            hashed: 0,
            unchecked: false,
            db: 0,
            failed: None,
        }
    }

    /// A decoder of a single value without key: a type byte and its body.
    pub(crate) fn of_payload(limits: Limits, format: Format) -> RdbDecoder {
        let mut decoder = RdbDecoder::new(limits);
        decoder.outer = Lane::new(LaneKind::Payload);
        decoder.outer.format = format;
        decoder
    }

    /// A decoder at the start of a stream that finds where values end without taking them apart: their bytes come as
    /// [`Event::Value`]. They are for decoders made by [`RdbDecoder::of_entries`], on as many threads as there are. What lies in
    /// compressed blobs and chunk streams comes in parts nevertheless.
    pub fn splitting(limits: Limits) -> RdbDecoder {
        let mut decoder = RdbDecoder::new(limits);
        decoder.outer.splits = true;
        decoder
    }

    /// The same, and entries of small values come many at a time, as [`Event::Run`].
    pub fn in_runs(mut self) -> RdbDecoder {
        self.outer.runs = self.outer.splits;
        self
    }

    /// Strings that are in the buffer to their ends come as one [`Event::Text`].
    pub fn with_whole_strings(mut self) -> RdbDecoder {
        self.outer.whole_strings = true;
        self.blob.whole_strings = true;
        self
    }

    /// A decoder of entries of a stream of `format`, without header and end. It computes no checksum.
    pub fn of_entries(limits: Limits, format: Format) -> RdbDecoder {
        let mut decoder = RdbDecoder::new(limits);
        decoder.outer.state = State::Opcode;
        decoder.outer.format = format;
        decoder.unchecked = true;
        decoder
    }

    /// Gives the next bytes. Events are to be taken before more is given; what is not yet read is kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.hash();
        self.hashed = 0;
        self.outer.push(bytes);
    }

    /// As [`feed`](RdbDecoder::feed), without copying where nothing waits to be read; leaves an empty buffer for reuse.
    pub fn feed_buffer(&mut self, bytes: &mut Vec<u8>) {
        if self.outer.unread() > 0 {
            self.feed(bytes);
        } else {
            self.feed(&[]);
            std::mem::swap(&mut self.outer.buf, bytes);
        }
        bytes.clear();
    }

    /// Bytes read so far: an offset in the stream.
    pub fn offset(&self) -> u64 {
        self.outer.offset()
    }

    /// The trailer has been read.
    pub fn is_ended(&self) -> bool {
        matches!(self.outer.state, State::Ended)
    }

    /// Nothing is half read: a stream that ends here was not cut inside an item (but has no trailer, unless
    /// [`RdbDecoder::is_ended`]).
    pub fn is_between_items(&self) -> bool {
        let outer = self.is_ended() || self.outer.is_between_entries();
        outer && self.blob_at.is_none() && self.chunks.is_empty()
    }

    /// The bytes after the trailer that were fed with it; later ones need not be fed.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.outer.buf.split_off(self.outer.pos);
        self.hashed = self.hashed.min(self.outer.pos);
        rest
    }

    /// The outer stream is what is read: no blob, no chunk.
    #[cfg(feature = "store")]
    #[inline]
    pub(super) fn is_outside(&self) -> bool {
        self.failed.is_none() && self.window.is_none() && self.blob_at.is_none()
    }

    /// The next event; `None`: more bytes are needed, or the trailer has been read.
    ///
    /// # Errors
    /// [`RdbError`] for the first malformed thing; it is final, and the same error comes again.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, RdbError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.advance() {
            Ok((source, raw)) => Ok(Some(self.event(source, raw))),
            Err(Halt::Need(_)) => Ok(None),
            Err(Halt::Error(error)) => {
                self.failed = Some((*error).clone());
                Err(*error)
            }
        }
    }

    /// The next event with the lane it lies in. Errors have their places already.
    #[inline]
    fn advance(&mut self) -> Read<(Source, Raw)> {
        loop {
            let (source, raw) = if self.window.is_some() {
                match self.poll_chunk()? {
                    Some(polled) => polled,
                    None => continue,
                }
            } else if self.blob_at.is_some() {
                match self.poll_blob()? {
                    Some(raw) => (Source::Blob, raw),
                    None => continue,
                }
            } else {
                let start = self.outer.offset();
                match self.outer.poll(&self.limits, &mut self.scratch) {
                    Ok(raw) => (Source::Outer, raw),
                    Err(halt) => {
                        return Err(located(
                            halt,
                            At {
                                offset: start.max(self.outer.offset()),
                                inner: None,
                            },
                        ));
                    }
                }
            };
            match raw {
                Raw::Blob(code, span) => {
                    let at = At {
                        offset: self.outer.offset(),
                        inner: None,
                    };
                    let frame = self.outer.resolve(span, &self.scratch);
                    self.blob.restart();
                    decompress(code, frame, &self.limits, &mut self.blob.buf)
                        .map_err(|error| error.located(at))?;
                    self.blob_at = Some(at.offset);
                }
                Raw::Chunk(id, len) => self.open_chunk(ChunkId(id), len)?,
                Raw::Select(db) => {
                    self.db = db;
                    return Ok((source, raw));
                }
                Raw::Cut => {
                    self.check_chunks_closed()?;
                    return Ok((source, raw));
                }
                Raw::Eof(expected) => {
                    self.check_chunks_closed()?;
                    self.check_trailer(expected)?;
                    return Ok((source, raw));
                }
                raw => return Ok((source, raw)),
            }
        }
    }

    fn poll_blob(&mut self) -> Read<Option<Raw>> {
        if self.blob.is_between_entries() {
            self.blob_at = None;
            self.blob.restart();
            return Ok(None);
        }
        let at = self.here(Source::Blob);
        match self.blob.poll(&self.limits, &mut self.scratch) {
            Ok(raw) => Ok(Some(raw)),
            Err(Halt::Need(_)) => Err(RdbError::Truncated {
                at,
                what: "a compressed blob",
            }
            .into()),
            Err(halt) => Err(located(halt, at)),
        }
    }

    fn open_chunk(&mut self, id: ChunkId, len: u32) -> Read<()> {
        let index = match self.chunks.iter().position(|(open, _)| *open == id) {
            Some(index) => index,
            None if self.chunks.len() >= self.limits.max_chunk_streams => {
                let at = self.here(Source::Outer);
                let limit = self.limits.max_chunk_streams as u64;
                return Err(RdbError::TooLarge {
                    at,
                    what: "the number of open chunk streams",
                    got: limit + 1,
                    limit,
                }
                .into());
            }
            None => {
                self.chunks.push((id, Lane::new(LaneKind::Chunks)));
                self.chunks.len() - 1
            }
        };
        self.window = Some((index, len as usize));
        self.chunk_at = self.outer.offset().saturating_sub(CHUNK_HEAD_BYTES);
        Ok(())
    }

    /// Moves payload that is there to its lane, and polls that. `None`: the chunk is finished.
    fn poll_chunk(&mut self) -> Read<Option<(Source, Raw)>> {
        let (index, left) = self.window.expect("only called inside a chunk");
        let inside_blob = self.blob_at.is_some();
        let container = if inside_blob {
            &mut self.blob
        } else {
            &mut self.outer
        };
        let moved = left.min(container.unread());
        let lane = &mut self.chunks[index].1;
        if moved > 0 {
            lane.push(&container.buf[container.pos..container.pos + moved]);
            container.pos += moved;
        }
        let left = left - moved;
        self.window = Some((index, left));
        let polled = lane.poll(&self.limits, &mut self.scratch);
        let at = self.here(Source::Chunk(index));
        match polled {
            Ok(Raw::KeyEnd) => {
                let extra = left + self.chunks[index].1.unread();
                if extra > 0 {
                    return Err(RdbError::Trailing {
                        at,
                        what: "the value of a chunk stream",
                        got: extra as u64,
                    }
                    .into());
                }
                Ok(Some((Source::Chunk(index), Raw::KeyEnd)))
            }
            Ok(raw) => Ok(Some((Source::Chunk(index), raw))),
            Err(Halt::Need(_)) if left == 0 => {
                self.window = None;
                Ok(None)
            }
            Err(Halt::Need(_)) if inside_blob => Err(RdbError::Truncated {
                at,
                what: "a compressed blob",
            }
            .into()),
            Err(halt) => Err(located(halt, at)),
        }
    }

    fn check_chunks_closed(&self) -> Read<()> {
        match self.chunks.first() {
            None => Ok(()),
            Some((id, _)) => Err(RdbError::OpenChunk {
                at: self.here(Source::Outer),
                id: id.0,
            }
            .into()),
        }
    }

    fn check_trailer(&mut self, expected: u64) -> Read<()> {
        const CRC_LEN: usize = 8;
        if self.outer.format.version < FIRST_CHECKED_VERSION {
            self.hashed = self.outer.pos;
            return Ok(());
        }
        let end = self.outer.pos - CRC_LEN;
        self.crc.update(&self.outer.buf[self.hashed..end]);
        self.hashed = self.outer.pos;
        let got = self.crc.value();
        if expected != 0 && expected != got {
            return Err(RdbError::BadChecksum {
                at: self.here(Source::Outer),
                expected,
                got,
            }
            .into());
        }
        Ok(())
    }

    fn hash(&mut self) {
        if !self.unchecked && !self.is_ended() {
            self.crc
                .update(&self.outer.buf[self.hashed..self.outer.pos]);
            self.hashed = self.outer.pos;
        }
    }

    /// The place that is being read.
    fn here(&self, source: Source) -> At {
        let container = match source {
            Source::Chunk(_) => self.chunk_at,
            _ => self.outer.offset(),
        };
        let offset = self.blob_at.unwrap_or(container);
        let inner = match source {
            Source::Chunk(index) => Some(self.chunks[index].1.offset()),
            _ if self.blob_at.is_some() => Some(self.blob.offset()),
            _ => None,
        };
        At { offset, inner }
    }

    #[inline]
    fn event(&mut self, source: Source, raw: Raw) -> Event<'_> {
        let (lane, stream) = match source {
            Source::Outer => (&self.outer, None),
            Source::Blob => (&self.blob, None),
            Source::Chunk(index) => {
                let stream = self.chunks[index].0;
                if let Raw::KeyEnd = raw {
                    self.chunks.swap_remove(index);
                    self.window = None;
                    return Event::KeyEnd {
                        stream: Some(stream),
                    };
                }
                (&self.chunks[index].1, Some(stream))
            }
        };
        let bytes = |span| lane.resolve(span, &self.scratch);
        match raw {
            Raw::Part(part) => Event::Part {
                stream,
                part: resolve_part(part, bytes),
            },
            Raw::Value(value, last) => Event::Value {
                bytes: bytes(value),
                last,
            },
            Raw::Run(span) => Event::Run {
                db: self.db,
                at: lane.offset() - span.len as u64,
                bytes: bytes(span),
                entries: &lane.run,
            },
            Raw::KeyEnd => Event::KeyEnd { stream },
            Raw::Text(key, value) => Event::Text {
                meta: key.resolved(self.db, stream, bytes),
                value: bytes(value),
            },
            Raw::Key(key) => {
                let meta = key.resolved(self.db, stream, bytes);
                match lane.state {
                    State::Split(_) => Event::Entry {
                        meta,
                        value_at: lane.offset(),
                    },
                    _ => Event::Key(meta),
                }
            }
            Raw::Header(format) => Event::Header(format),
            Raw::ModuleAux(module) => Event::ModuleAux(module),
            Raw::Aux(key, value) => Event::Aux {
                key: bytes(key),
                value: bytes(value),
            },
            Raw::Select(db) => Event::SelectDb(db),
            Raw::Resize(keys, expires) => Event::Resize { keys, expires },
            Raw::Function(code) => Event::Function(bytes(code)),
            Raw::Journal(entries, records) => Event::JournalBlob {
                entries,
                records: bytes(records),
            },
            Raw::Cut => Event::FullSyncCut,
            Raw::Offset(lsn) => Event::JournalOffset(lsn),
            Raw::Eof(0) => Event::Eof(Checksum::Absent),
            Raw::Eof(_) => Event::Eof(Checksum::Verified),
            Raw::Blob(..) | Raw::Chunk(..) => unreachable!("containers are opened, not handed out"),
        }
    }
}

impl RawKey {
    #[inline]
    fn resolved<'a>(
        self,
        db: u32,
        stream: Option<ChunkId>,
        bytes: impl Fn(Span) -> &'a [u8],
    ) -> KeyMeta<'a> {
        KeyMeta {
            key: bytes(self.key),
            db,
            kind: self.kind,
            type_byte: self.type_byte,
            expire_ms: self.props.expire_ms,
            sticky: self.props.sticky,
            mc_flags: self.props.mc_flags,
            used: self.props.used,
            stream,
        }
    }
}

#[inline]
fn resolve_part<'a>(part: RawPart, bytes: impl Fn(Span) -> &'a [u8]) -> Part<'a> {
    match part {
        RawPart::Str(text) => Part::Str(bytes(text)),
        RawPart::Item(item) => Part::Item(bytes(item)),
        RawPart::Member(member, None) => Part::Member(bytes(member)),
        RawPart::Member(member, Some(expire_ms)) => Part::MemberExpiring {
            member: bytes(member),
            expire_ms,
        },
        RawPart::Field(field, value, None) => Part::Field {
            field: bytes(field),
            value: bytes(value),
        },
        RawPart::Field(field, value, Some(expire_ms)) => Part::FieldExpiring {
            field: bytes(field),
            value: bytes(value),
            expire_ms,
        },
        RawPart::Scored(member, score) => Part::Scored {
            member: bytes(member),
            score,
        },
        RawPart::Opaque(raw) => Part::Opaque(bytes(raw)),
        RawPart::Stream(part) => Part::Stream(resolve_stream(part, bytes)),
    }
}

fn resolve_stream<'a>(part: RawStream, bytes: impl Fn(Span) -> &'a [u8]) -> StreamPart<'a> {
    match part {
        RawStream::Node(id, listpack) => StreamPart::Node {
            id,
            listpack: bytes(listpack),
        },
        RawStream::Totals(totals) => StreamPart::Totals(totals),
        RawStream::Group(name, last_id, entries_read) => StreamPart::Group {
            name: bytes(name),
            last_id,
            entries_read,
        },
        RawStream::Pending(id, delivered_ms, deliveries) => StreamPart::Pending {
            id,
            delivered_ms,
            deliveries,
        },
        RawStream::Consumer(name, seen_ms, active_ms) => StreamPart::Consumer {
            name: bytes(name),
            seen_ms,
            active_ms,
        },
        RawStream::Owned(id) => StreamPart::Owned { id },
        RawStream::GroupEnd => StreamPart::GroupEnd,
    }
}

#[cold]
fn located(halt: Halt, at: At) -> Halt {
    match halt {
        Halt::Error(error) => error.located(at).into(),
        need => need,
    }
}
