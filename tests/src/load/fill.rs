//! Filling a server with strings, fast.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::{Pipe, Replies};
use crate::rng::Rng;

/// Requests of one exchange.
const PIPELINE: u64 = 256;
/// Bytes of one exchange, about: less than what sockets buffer.
const EXCHANGE_BYTES: usize = 128 * 1024;
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// The name of key `number`: 16 bytes, and the same as `redis-benchmark -r` makes.
pub fn key_name(number: u64) -> String {
    format!("key:{number:012}")
}

/// Letters and digits out of a seed: each value is another slice of one long random text.
#[derive(Debug, Clone)]
pub struct Text {
    letters: Vec<u8>,
    rng: Rng,
}

impl Text {
    /// Length of the text that slices are taken from, beyond the longest slice.
    const SPARE: usize = 1 << 20;

    /// A text for slices of at most this many bytes.
    pub fn new(seed: u64, longest: usize) -> Text {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut rng = Rng::new(seed);
        let letters = (0..longest + Text::SPARE)
            .map(|_| ALPHABET[rng.index(ALPHABET.len())])
            .collect();
        Text { letters, rng }
    }

    /// Some slice of this length.
    ///
    /// # Panics
    /// When it is longer than the longest.
    pub fn slice(&mut self, length: usize) -> &[u8] {
        let start = self.rng.index(Text::SPARE);
        &self.letters[start..start + length]
    }
}

/// Strings to write.
#[derive(Debug, Clone)]
pub struct Fill {
    /// Numbers of the keys; [`key_name`] names them.
    pub keys: Range<u64>,
    /// Length of the values, which are letters and digits that do not compress.
    pub value_bytes: usize,
    /// Connections that write at the same time, each a share of the keys.
    pub connections: u64,
}

impl Fill {
    /// Writes all of them and waits until they are written.
    ///
    /// # Errors
    /// The system's, or how many commands the server refused.
    pub fn write(&self, address: SocketAddr) -> io::Result<()> {
        let share = (self.keys.end - self.keys.start).div_ceil(self.connections.max(1));
        let parts = (0..self.connections.max(1)).map(|part| {
            let start = self.keys.start + part * share;
            start..(start + share).min(self.keys.end)
        });
        std::thread::scope(|scope| {
            let writers: Vec<_> = parts
                .map(|part| scope.spawn(move || write_part(address, part, self.value_bytes)))
                .collect();
            writers
                .into_iter()
                .try_for_each(|writer| writer.join().expect("a writer does not panic"))
        })
    }
}

fn write_part(address: SocketAddr, keys: Range<u64>, value_bytes: usize) -> io::Result<()> {
    let mut pipe = Pipe::connect(address, REPLY_TIMEOUT)?;
    let mut text = Text::new(keys.start, value_bytes);
    let most = (EXCHANGE_BYTES / (value_bytes + 64)).clamp(1, PIPELINE as usize) as u64;
    for number in keys {
        let name = key_name(number);
        pipe.queue(&[b"SET", name.as_bytes(), text.slice(value_bytes)]);
        if pipe.queued() >= most {
            none_refused(pipe.exchange()?)?;
        }
    }
    none_refused(pipe.exchange()?)
}

fn none_refused(replies: Replies) -> io::Result<()> {
    match replies.errors {
        0 => Ok(()),
        errors => Err(io::Error::other(format!(
            "{errors} of {} commands were refused",
            replies.all
        ))),
    }
}
