//! What can be wrong with bytes that claim to be RESP.

/// A violation of the protocol by the peer. There is no way to find the start of the next message
/// after one: answer (a server, with [`crate::ReplyWriter::protocol_error`]) and close.
///
/// The texts of the request errors are those of Redis 7.0 (`networking.c`, `processInlineBuffer`
/// and `processMultibulkBuffer`), without the leading `ERR `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An inline command has no line end within the limit.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// An inline command has a quote that is not closed, or text right after a closing quote.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The line with the number of arguments has no end within the limit.
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// The number of arguments is no number, or above the limit.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More than 10 arguments before authentication.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The line with the length of an argument has no end within the limit.
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// An argument does not start with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*got))]
    ExpectedDollar {
        /// The byte found instead.
        got: u8,
    },
    /// The length of an argument is no number, negative, or above the limit.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// An argument of more than 16 KiB before authentication.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// A reply starts with a byte that is no RESP type.
    #[error("reply with unknown type byte 0x{got:02x}")]
    UnknownReplyType {
        /// The byte found.
        got: u8,
    },
    /// A line of a reply (simple string, error, number, length) is longer than the limit.
    #[error("reply line longer than {limit} bytes")]
    ReplyLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A length or count in a reply is no number, or its sign makes no sense.
    #[error("reply with an invalid length")]
    InvalidReplyLength,
    /// A number, boolean or null in a reply does not parse.
    #[error("reply with an invalid value of type '{}'", char::from(*kind))]
    InvalidReplyValue {
        /// The type byte.
        kind: u8,
    },
    /// A bulk string or the line end after it is not as announced.
    #[error("reply without CRLF where it belongs")]
    MissingLineEnd,
    /// A bulk string in a reply is longer than the limit.
    #[error("reply bulk of {len} bytes, limit {limit}")]
    ReplyBulkTooLong {
        /// The announced length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A reply has more items than the limit, counted over all its levels.
    #[error("reply of more than {limit} items")]
    ReplyTooManyItems {
        /// The limit.
        limit: usize,
    },
    /// A reply holds more bytes than the limit, counted over all its levels.
    #[error("reply of more than {limit} bytes")]
    ReplyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A reply is nested deeper than the limit.
    #[error("reply nested deeper than {limit} levels")]
    ReplyTooDeep {
        /// The limit.
        limit: usize,
    },
}

impl ProtocolError {
    /// The text for an error reply, as bytes: `expected '$', got '…'` repeats the offending byte as
    /// it came, which need not be UTF-8.
    pub fn reply_text(&self) -> Vec<u8> {
        match self {
            Self::ExpectedDollar { got } => {
                [b"Protocol error: expected '$', got '", &[*got][..], b"'"].concat()
            }
            other => other.to_string().into_bytes(),
        }
    }
}
