//! RESP2 and RESP3 codec: requests, inline commands and replies, incremental and bounded.
//!
//! What it is: the bytes of the Redis protocol in both directions, for servers
//! ([`RequestDecoder`], [`ReplyWriter`]) and for clients ([`encode_command`], [`ReplyDecoder`]),
//! with the texts, number formats and limits of Redis 7.0.
//!
//! What it is not: it opens no socket, owns no input buffer, knows no command. Whoever reads from
//! the network keeps the bytes of an unfinished request and calls again when there are more.
//!
//! ```
//! use damselfly_resp::{ArgVec, Proto, ReplyWriter, RequestDecoder};
//!
//! let mut decoder = RequestDecoder::default();
//! let input = b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n";
//! let (mut at, mut output) = (0, Vec::new());
//! loop {
//!     let mut args = ArgVec::new();
//!     let Some(used) = decoder.decode(&input[at..], &mut args)? else { break };
//!     at += used;
//!     let mut reply = ReplyWriter::new(&mut output, Proto::Resp2);
//!     match args[..] {
//!         [b"ECHO", text] => reply.bulk(text),
//!         _ => reply.simple("PONG"),
//!     }
//! }
//! assert_eq!(output, b"$2\r\nhi\r\n+PONG\r\n");
//! # Ok::<(), damselfly_resp::ProtocolError>(())
//! ```

mod big;
mod command;
mod error;
mod float;
mod inline;
mod long_double;
mod number;
mod reply;
mod reply_decoder;
mod reply_writer;
mod request;

pub use command::encode_command;
pub use error::ProtocolError;
pub use inline::split_words;
pub use long_double::{LongDouble, format_long_double};
pub use number::{format_double, parse_f64, parse_f64_lenient, parse_i64};
pub use reply::Reply;
pub use reply_decoder::{ReplyDecoder, ReplyLimits};
pub use reply_writer::{Proto, ReplyWriter};
pub use request::{ArgVec, RequestDecoder, RequestLimits};
