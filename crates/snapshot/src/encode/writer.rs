//! The stream around the entries: header, trailer, and the checksum over everything between.

use super::extension::put_blob;
use super::primitives::{put_aux, put_len, put_select};
use super::profile::Profile;
use crate::crc::Crc64;
use crate::wire::{EOF_TOKEN_LEN, RDB_VERSION, opcode};
use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
use std::io::Write;

/// Collects the bytes of one RDB stream, to be taken piece by piece, and keeps its checksum.
///
/// Its header announces RDB version 9, unless it is made for others ([`RdbWriter::for_readers`]). Entries are appended to [`RdbWriter::buffer`] with the `put_*` functions and [`Encoder`](super::Encoder).
///
/// ```
/// use damselfly_snapshot::{Encoder, EntryMeta, Head, Profile, RdbWriter};
/// let mut writer = RdbWriter::new();
/// writer.header(&[(b"redis-ver", b"6.2.11")]);
/// writer.select(0);
/// let meta = EntryMeta::new(b"key");
/// Encoder::new(Profile::Redis62).string(writer.buffer(), Head::Entry(&meta), b"value");
/// writer.end();
/// let file = writer.take();
/// assert!(file.starts_with(b"REDIS0009"));
/// ```
#[derive(Debug, Default)]
pub struct RdbWriter {
    out: Vec<u8>,
    hashed: usize,
    crc: Crc64,
    db: Option<u32>,
    /// The version that the header announces, if not [`RDB_VERSION`].
    version: Option<u16>,
}

impl RdbWriter {
    /// An empty stream.
    pub fn new() -> RdbWriter {
        RdbWriter::default()
    }

    /// An empty stream of the version that readers of `profile` know.
    pub fn for_readers(profile: Profile) -> RdbWriter {
        RdbWriter {
            version: Some(profile.rdb_version()),
            ..RdbWriter::default()
        }
    }

    /// Writes `REDIS`, the version, and the AUX fields.
    pub fn header(&mut self, aux: &[(&[u8], &[u8])]) {
        let version = self.version.unwrap_or(RDB_VERSION);
        self.out
            .extend_from_slice(format!("REDIS{version:04}").as_bytes());
        for (key, value) in aux {
            put_aux(&mut self.out, key, value);
        }
    }

    /// Selects a database, if it is not selected yet.
    pub fn select(&mut self, db: u32) {
        if self.db != Some(db) {
            self.db = Some(db);
            put_select(&mut self.out, db);
        }
    }

    /// Hints how many keys, and keys with an expiry, the selected database has.
    pub fn resize(&mut self, keys: u64, expires: u64) {
        self.out.push(opcode::RESIZE);
        put_len(&mut self.out, keys);
        put_len(&mut self.out, expires);
    }

    /// Where entries are appended. What stands there already must stay as it is.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes that wait to be taken.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// Writes the trailer: 255 and the checksum of everything before it, 255 included.
    pub fn end(&mut self) {
        self.out.push(opcode::EOF);
        self.hash();
        let crc = self.crc.value();
        self.out.extend_from_slice(&crc.to_le_bytes());
        self.hashed = self.out.len();
    }

    /// Writes a flow's EOF token, which stands after the trailer.
    pub fn token(&mut self, token: &[u8; EOF_TOKEN_LEN]) {
        self.out.extend_from_slice(token);
        self.hashed = self.out.len();
    }

    /// Takes the bytes written since the last call; they are final.
    pub fn take(&mut self) -> Vec<u8> {
        self.hash();
        self.hashed = 0;
        std::mem::take(&mut self.out)
    }

    /// As [`RdbWriter::take`], appending to `into` and keeping the buffer's memory.
    pub fn take_into(&mut self, into: &mut Vec<u8>) {
        self.hash();
        self.hashed = 0;
        into.append(&mut self.out);
    }

    fn hash(&mut self) {
        self.crc.update(&self.out[self.hashed..]);
        self.hashed = self.out.len();
    }
}

/// Appends `content` (opcodes and entries) as an LZ4 blob to `out`; says whether it did. It does not when compression
/// would save nothing: then `content` itself is to be written.
pub fn lz4_blob(out: &mut Vec<u8>, content: &[u8]) -> bool {
    let info = FrameInfo::new()
        .content_size(Some(content.len() as u64))
        .block_mode(BlockMode::Independent);
    let mut encoder =
        FrameEncoder::with_frame_info(info, Vec::with_capacity(content.len() / 2 + 64));
    // Writing into a vector fails only for a wrong content size, which is not the case.
    encoder.write_all(content).expect("writing to memory");
    let frame = encoder.finish().expect("the content size is the content's");
    let saves = frame.len() + 6 < content.len();
    if saves {
        put_blob(out, opcode::LZ4_BLOB, &frame);
    }
    saves
}
