//! One direction of a connection.

use std::collections::VecDeque;
use std::task::Waker;

/// Bytes on their way from one end to the other.
pub struct Pipe {
    pieces: VecDeque<Piece>,
    on_its_way: usize,
    window: usize,
    bytes_per_ms: u64,
    /// When the line is free again.
    line_free_ms: u64,
    last_ms: u64,
    stalled_until_ms: u64,
    end: Option<End>,
    refused: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Piece {
    at_ms: u64,
    bytes: Vec<u8>,
    given: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Broken,
}

/// What a reader gets.
pub enum Reading {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// Something arrives then.
    At(u64),
    /// Nothing is on its way; the reader will be woken.
    Nothing,
    /// The other end has closed.
    End,
    /// The connection is broken.
    Reset,
}

impl Pipe {
    pub fn new(window: usize, bytes_per_ms: u64) -> Pipe {
        Pipe {
            pieces: VecDeque::new(),
            on_its_way: 0,
            window,
            bytes_per_ms,
            line_free_ms: 0,
            last_ms: 0,
            stalled_until_ms: 0,
            end: None,
            refused: false,
            reader: None,
            writer: None,
        }
    }

    /// Bytes that may be sent now.
    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.on_its_way)
    }

    /// Bytes that have not been read.
    pub fn on_its_way(&self) -> usize {
        self.on_its_way
    }

    /// Whether nobody will read what is sent.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    pub fn send(&mut self, at_ms: u64, now_ms: u64, bytes: &[u8]) {
        let mut at_ms = at_ms;
        if let Some(took) = (bytes.len() as u64).checked_div(self.bytes_per_ms) {
            self.line_free_ms = self.line_free_ms.max(now_ms) + took;
            at_ms = at_ms.max(self.line_free_ms);
        }
        self.last_ms = self.last_ms.max(at_ms);
        self.on_its_way += bytes.len();
        self.pieces.push_back(Piece {
            at_ms: self.last_ms,
            bytes: bytes.to_vec(),
            given: 0,
        });
        self.wake_reader();
    }

    pub fn read(&mut self, now_ms: u64, max: usize, waker: &Waker) -> Reading {
        self.reader = Some(waker.clone());
        if self.stalled_until_ms > now_ms {
            return match self.stalled_until_ms {
                u64::MAX => Reading::Nothing,
                until => Reading::At(until),
            };
        }
        let Some(first) = self.pieces.front_mut() else {
            return match self.end {
                None => Reading::Nothing,
                Some(End::Closed) => Reading::End,
                Some(End::Broken) => Reading::Reset,
            };
        };
        if first.at_ms > now_ms {
            return Reading::At(first.at_ms);
        }
        let to = first.bytes.len().min(first.given + max);
        let bytes = first.bytes[first.given..to].to_vec();
        first.given = to;
        if to == first.bytes.len() {
            self.pieces.pop_front();
        }
        self.on_its_way -= bytes.len();
        self.wake_writer();
        Reading::Bytes(bytes)
    }

    pub fn wait_for_room(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    /// Nothing more is sent; what is on its way still arrives.
    pub fn end(&mut self) {
        self.end.get_or_insert(End::Closed);
        self.refused = true;
        self.wake_reader();
    }

    /// The reader is gone.
    pub fn refuse(&mut self) {
        self.refused = true;
        self.pieces.clear();
        self.on_its_way = 0;
        self.wake_writer();
    }

    /// Only `kept` bytes more arrive.
    pub fn cut(&mut self, kept: usize) {
        let mut left = kept;
        for piece in &mut self.pieces {
            let rest = piece.bytes.len() - piece.given;
            piece.bytes.truncate(piece.given + rest.min(left));
            left -= rest.min(left);
        }
        self.pieces.retain(|piece| piece.bytes.len() > piece.given);
        self.on_its_way = kept;
        self.end = Some(End::Broken);
        self.refused = true;
        if self.stalled_until_ms == u64::MAX {
            self.stalled_until_ms = 0;
        }
        self.wake_reader();
        self.wake_writer();
    }

    /// Nothing arrives before.
    pub fn stall(&mut self, until_ms: u64) {
        self.stalled_until_ms = until_ms;
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}
