//! One error type for everything that is read here: says where, what was expected and what came.

use std::fmt;

/// A place in what was fed: bytes since the first one, and bytes inside a decompressed blob or chunk stream there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// Offset in the outer stream (of the blob's or chunk's opcode when the fault lies inside it).
    pub offset: u64,
    /// Offset inside the blob's content or the chunk stream.
    pub inner: Option<u64>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inner {
            None => write!(f, "offset {}", self.offset),
            Some(inner) => write!(f, "offset {}, {} bytes inside it", self.offset, inner),
        }
    }
}

/// Why bytes are not a valid RDB stream. The peer (or the file) is at fault in all of them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RdbError {
    /// The stream begins neither with `REDIS` and four digits nor with `VALKEY` and three.
    #[error("{at}: expected \"REDIS\" or \"VALKEY\" and a version, got \"{got}\"", got = .got.escape_ascii())]
    BadMagic {
        /// Where.
        at: At,
        /// The nine bytes.
        got: Vec<u8>,
    },
    /// A version outside of [`MIN_RDB_VERSION`](crate::wire::MIN_RDB_VERSION) to
    /// [`MAX_RDB_VERSION`](crate::wire::MAX_RDB_VERSION), or of Valkey other than
    /// [`VALKEY_RDB_VERSION`](crate::wire::VALKEY_RDB_VERSION).
    #[error("{at}: RDB version {got} is not readable, only 1 to {max} and 80 of Valkey are")]
    BadVersion {
        /// Where.
        at: At,
        /// The announced version.
        got: u16,
        /// The newest readable.
        max: u16,
    },
    /// A byte or number that cannot stand there.
    #[error("{at}: expected {expected}, got {got}")]
    Unexpected {
        /// Where.
        at: At,
        /// What could stand there.
        expected: &'static str,
        /// What does.
        got: u64,
    },
    /// An opcode nobody knows, or one that may not stand here.
    #[error("{at}: opcode or type {got} is not known or not allowed here")]
    UnknownOpcode {
        /// Where.
        at: At,
        /// The byte.
        got: u8,
    },
    /// A value type that this system does not have.
    #[error("{at}: key {key:?} has type {got} ({name}), which is not supported", key = String::from_utf8_lossy(.key))]
    UnsupportedType {
        /// Where the type byte stands.
        at: At,
        /// The type byte.
        got: u8,
        /// Its name.
        name: &'static str,
        /// The key, as far as it is known.
        key: Vec<u8>,
    },
    /// Something that is known, but not read.
    #[error("{at}: {what} is not supported")]
    Unsupported {
        /// Where.
        at: At,
        /// What it is.
        what: &'static str,
    },
    /// A length over its limit.
    #[error("{at}: {what} of {got} bytes or items exceeds the limit of {limit}")]
    TooLarge {
        /// Where.
        at: At,
        /// Which length.
        what: &'static str,
        /// The announced length.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// A packed collection (ziplist, listpack, intset, zipmap) or LZF string is malformed.
    #[error("{at}: malformed {what}: {why}")]
    Malformed {
        /// Where the value begins.
        at: At,
        /// Which encoding.
        what: &'static str,
        /// What is wrong in it.
        why: &'static str,
    },
    /// A compressed blob cannot be decompressed.
    #[error("{at}: {codec} blob: {why}")]
    Compression {
        /// Where the blob's opcode stands.
        at: At,
        /// `zstd` or `lz4`.
        codec: &'static str,
        /// What the library says.
        why: String,
    },
    /// The trailer's checksum differs from that of the bytes.
    #[error("{at}: checksum mismatch: the trailer says {expected:016x}, the bytes give {got:016x}")]
    BadChecksum {
        /// Where.
        at: At,
        /// What the trailer says.
        expected: u64,
        /// What the bytes give.
        got: u64,
    },
    /// A chunk stream was still open where all must be closed.
    #[error("{at}: chunk stream {id} is still open")]
    OpenChunk {
        /// Where.
        at: At,
        /// The stream's id.
        id: u32,
    },
    /// A blob, chunk stream or payload ended in the middle of something, or the input was ended too early.
    #[error("{at}: {what} ends in the middle of an item")]
    Truncated {
        /// Where.
        at: At,
        /// What ended.
        what: &'static str,
    },
    /// Bytes after the end of what should have ended.
    #[error("{at}: {got} bytes too many after {what}")]
    Trailing {
        /// Where.
        at: At,
        /// What had ended.
        what: &'static str,
        /// How many.
        got: u64,
    },
}

impl RdbError {
    /// The same fault at its place.
    pub(crate) fn located(mut self, place: At) -> RdbError {
        match &mut self {
            RdbError::BadMagic { at, .. }
            | RdbError::BadVersion { at, .. }
            | RdbError::Unexpected { at, .. }
            | RdbError::UnknownOpcode { at, .. }
            | RdbError::UnsupportedType { at, .. }
            | RdbError::Unsupported { at, .. }
            | RdbError::TooLarge { at, .. }
            | RdbError::Malformed { at, .. }
            | RdbError::Compression { at, .. }
            | RdbError::BadChecksum { at, .. }
            | RdbError::OpenChunk { at, .. }
            | RdbError::Truncated { at, .. }
            | RdbError::Trailing { at, .. } => *at = place,
        }
        self
    }

    /// The same fault in a stream in which what was read stands elsewhere.
    pub fn moved_to(self, offset: u64) -> RdbError {
        let inner = self.at().inner;
        self.located(At { offset, inner })
    }

    /// Where the fault is.
    pub fn at(&self) -> At {
        match self {
            RdbError::BadMagic { at, .. }
            | RdbError::BadVersion { at, .. }
            | RdbError::Unexpected { at, .. }
            | RdbError::UnknownOpcode { at, .. }
            | RdbError::UnsupportedType { at, .. }
            | RdbError::Unsupported { at, .. }
            | RdbError::TooLarge { at, .. }
            | RdbError::Malformed { at, .. }
            | RdbError::Compression { at, .. }
            | RdbError::BadChecksum { at, .. }
            | RdbError::OpenChunk { at, .. }
            | RdbError::Truncated { at, .. }
            | RdbError::Trailing { at, .. } => *at,
        }
    }
}
