//! Writers whose every value tells who wrote it, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use damselfly_tests::Rng;
use damselfly_tests::load::{Pipe, Source, Text, key_name};

/// Bytes of a value.
pub const VALUE_BYTES: usize = 64;
/// Connections that write.
pub const WRITERS: usize = 4;
/// Keys of the transaction of a batch. Enough that they are never all on one shard.
pub const TOGETHER: u64 = 8;
/// Commands of a batch: a transaction with MULTI and EXEC, what the writer knows, and single writes.
pub const BATCH: u64 = 32;
const EXEC: u64 = TOGETHER + 1;
const KNOWN: u64 = EXEC + 1;
const SINGLES: u64 = BATCH - KNOWN - 1;
/// What a stamp begins with; no value of the filling does.
const MARK: char = '#';

/// All writers.
pub struct Writers {
    seed: u64,
    pub keys: u64,
    /// Of each the last batch that was answered.
    answered: Arc<[AtomicU64; WRITERS]>,
}

impl Writers {
    pub fn new(seed: u64, keys: u64) -> Writers {
        Writers {
            seed,
            keys,
            answered: Arc::default(),
        }
    }

    pub fn count(&self) -> usize {
        WRITERS
    }

    /// The commands of one.
    pub fn source(&self, number: usize) -> Writer {
        Writer {
            number,
            batch: 0,
            at: 0,
            choice: self.choice(number),
            text: Text::new(number as u64, VALUE_BYTES),
            answered: self.answered.clone(),
        }
    }

    /// Which keys the single writes of a writer go to.
    pub fn choice(&self, number: usize) -> Choice {
        Choice {
            number: number as u64,
            rng: Rng::new(self.seed.wrapping_mul(1_000) + number as u64),
            share: self.keys / WRITERS as u64,
        }
    }
}

/// Draws the keys of single writes: those whose number is the writer's, modulo the writers.
pub struct Choice {
    number: u64,
    rng: Rng,
    share: u64,
}

impl Choice {
    /// The number of the next key, counted among the writer's own.
    fn next(&mut self) -> u64 {
        self.rng.below(self.share)
    }

    /// Those of the next batch.
    pub fn batch(&mut self) -> [u64; SINGLES as usize] {
        std::array::from_fn(|_| self.next())
    }

    fn next_name(&mut self) -> String {
        let own = self.next();
        key_name(own * WRITERS as u64 + self.number)
    }
}

/// The name of a key of a writer's transactions.
pub fn together(writer: usize, index: u64) -> String {
    format!("together:{writer}:{index}")
}

/// Where a writer notes what it knows.
pub fn known(writer: usize) -> String {
    format!("known:{writer}")
}

/// The batch that a value was written by; 0 is the filling.
pub fn stamp(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let number = text
        .strip_prefix(MARK)
        .and_then(|rest| rest.split(':').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What a writer knew to be answered, of each writer, when it wrote this.
pub fn knowledge(value: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(value);
    text.split(':')
        .skip(1)
        .filter_map(|batch| batch.parse().ok())
        .collect()
}

/// Draws the commands of one writer.
pub struct Writer {
    number: usize,
    batch: u64,
    at: u64,
    choice: Choice,
    text: Text,
    answered: Arc<[AtomicU64; WRITERS]>,
}

impl Writer {
    fn queue(&mut self, pipe: &mut Pipe, at: u64) {
        let batch = self.batch;
        match at {
            0 => pipe.queue(&[b"MULTI"]),
            1..EXEC => {
                let value = format!("{MARK}{batch}");
                set(pipe, &together(self.number, at - 1), value.as_bytes());
            }
            EXEC => pipe.queue(&[b"EXEC"]),
            KNOWN => {
                let answered: Vec<String> = self
                    .answered
                    .iter()
                    .map(|batch| batch.load(SeqCst).to_string())
                    .collect();
                let value = format!("{MARK}{batch}:{}", answered.join(":"));
                set(pipe, &known(self.number), value.as_bytes());
            }
            _ => {
                let mut value = format!("{MARK}{batch}:").into_bytes();
                value.extend_from_slice(self.text.slice(VALUE_BYTES - value.len()));
                set(pipe, &self.choice.next_name(), &value);
            }
        }
    }
}

fn set(pipe: &mut Pipe, key: &str, value: &[u8]) {
    pipe.queue(&[b"SET", key.as_bytes(), value]);
}

impl Source for Writer {
    fn draw(&mut self, pipe: &mut Pipe) {
        if self.at == 0 {
            // A batch is drawn when the one before it has been answered.
            self.answered[self.number].store(self.batch, SeqCst);
            self.batch += 1;
        }
        self.queue(pipe, self.at);
        self.at = (self.at + 1) % BATCH;
    }
}
