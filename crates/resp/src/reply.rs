//! A reply, decoded.

/// A reply of a server, of either protocol version. Texts are bytes.
///
/// Attributes of RESP3 (`|`) are read and dropped. An array or string of length -1 (RESP2) and `_`
/// (RESP3) are the same [`Reply::Null`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// `+`: a line of text.
    Simple(Vec<u8>),
    /// `-`, or `!` in its long form: the code and the text, such as `ERR no such key`.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `*`
    Array(Vec<Reply>),
    /// `_`, `$-1` or `*-1`.
    Null,
    /// `,`
    Double(f64),
    /// `#`
    Boolean(bool),
    /// `(`: the decimal digits, with a sign if negative.
    BigNumber(Vec<u8>),
    /// `=`
    Verbatim {
        /// Three letters: `txt` or `mkd`.
        format: [u8; 3],
        /// The text itself.
        text: Vec<u8>,
    },
    /// `%`: keys and values.
    Map(Vec<(Reply, Reply)>),
    /// `~`
    Set(Vec<Reply>),
    /// `>`: not an answer to a command.
    Push(Vec<Reply>),
}

impl Reply {
    /// The bytes of a simple, bulk or verbatim string; `None` for anything else.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) | Self::Bulk(text) | Self::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The code and text of an error; `None` for anything else.
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer, or of a string that is one (Redis's strict form).
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            other => crate::number::parse_i64(other.as_text()?),
        }
    }

    /// The items of an array, set or push; `None` for anything else.
    pub fn as_items(&self) -> Option<&[Reply]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }
}
