//! A connection for load: requests are gathered, replies are counted, not kept.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use damselfly_resp::encode_command;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const INPUT_BYTES: usize = 64 * 1024;

/// How many replies came, and how many of them were errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replies {
    /// All replies, errors included.
    pub all: u64,
    /// Replies that were errors.
    pub errors: u64,
}

/// A connection that sends many requests at once and counts the replies (RESP2).
#[derive(Debug)]
pub struct Pipe {
    stream: TcpStream,
    output: Vec<u8>,
    queued: u64,
    input: Vec<u8>,
    counter: ReplyCounter,
}

impl Pipe {
    /// Connects. Sending and receiving wait as long as `timeout`.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Pipe> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Pipe {
            stream,
            output: Vec::new(),
            queued: 0,
            input: vec![0; INPUT_BYTES],
            counter: ReplyCounter::default(),
        })
    }

    /// Adds a request to the next exchange.
    pub fn queue(&mut self, args: &[&[u8]]) {
        encode_command(&mut self.output, args);
        self.queued += 1;
    }

    /// Requests that wait for the next exchange.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Bytes of the requests that wait for the next exchange.
    pub fn queued_bytes(&self) -> usize {
        self.output.len()
    }

    /// Sends what is queued and waits for all replies. The requests must fit into what the two
    /// sockets buffer, or the server must read on while it answers.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` when the server closed the connection.
    pub fn exchange(&mut self) -> io::Result<Replies> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        let wanted = std::mem::take(&mut self.queued);
        let mut replies = Replies::default();
        while replies.all < wanted {
            let length = match self.stream.read(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.counter.count(&self.input[..length], &mut replies);
        }
        Ok(replies)
    }
}

/// Finds the ends of replies in a stream of bytes. It trusts the server: this is for load.
#[derive(Debug, Default)]
struct ReplyCounter {
    /// The line that is being read, up to its type and length.
    line: Vec<u8>,
    /// Bytes of a bulk string still to come.
    skip: usize,
    /// Items of arrays still to come.
    items: u64,
}

/// Type, sign and digits of the longest length.
const LINE_KEPT: usize = 24;

impl ReplyCounter {
    fn count(&mut self, mut bytes: &[u8], replies: &mut Replies) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                if self.skip == 0 {
                    self.end_item(replies);
                }
                continue;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            let room = LINE_KEPT.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
            if end.is_some() {
                self.end_line(replies);
            }
        }
    }

    fn end_line(&mut self, replies: &mut Replies) {
        let kind = self.line.first().copied().unwrap_or_default();
        let length = match kind {
            b'$' | b'*' => number(&self.line[1..]),
            _ => None,
        };
        self.line.clear();
        match (kind, length) {
            (b'$', Some(length)) => self.skip = length + 2,
            (b'*', Some(length)) if length > 0 => {
                // The array itself is one item of what holds it.
                self.items += length as u64;
                if self.items > length as u64 {
                    self.items -= 1;
                }
            }
            _ => {
                if kind == b'-' && self.items == 0 {
                    replies.errors += 1;
                }
                self.end_item(replies);
            }
        }
    }

    /// Items of nested arrays are counted together: only the end of the last one ends the reply.
    fn end_item(&mut self, replies: &mut Replies) {
        self.items = self.items.saturating_sub(1);
        if self.items == 0 {
            replies.all += 1;
        }
    }
}

/// `None` for the -1 of a null.
fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_wherever_they_are_split() {
        let stream = b"+OK\r\n-ERR no\r\n:1\r\n$3\r\na\nb\r\n$-1\r\n*2\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n*0\r\n$0\r\n\r\n*1\r\n-ERR in\r\n*-1\r\n";
        let expected = Replies { all: 10, errors: 1 };
        for size in [1, 2, 3, 7, stream.len()] {
            let (mut counter, mut replies) = (ReplyCounter::default(), Replies::default());
            stream
                .chunks(size)
                .for_each(|piece| counter.count(piece, &mut replies));
            assert_eq!(replies, expected, "pieces of {size}");
        }
    }
}
