//! The sparse form: registers as runs of equal values.
//!
//! ```text
//! 00llllll            l + 1 zeros
//! 01llllll llllllll   l + 1 zeros, big endian
//! 1vvvvvll            l + 1 registers of value v + 1
//! ```
//!
//! Which of the equivalent strings comes of an addition is Redis's choice too, so that replicas and dumps agree with it:
//! a run is split in place, and then runs of equal values near by are joined (`hllSparseSet`, Redis, `hyperloglog.c`).

use super::sketch::{CORRUPT, HEADER, Place, REGISTERS};
use crate::command::CommandError;

/// Longest run of zeros in one byte.
const SHORT_ZEROS: usize = 64;
/// Longest run of a value.
const VALUES: usize = 4;
/// Highest value of a run.
const VALUE_MAX: u8 = 32;
/// `hll-sparse-max-bytes`: a string that would get longer becomes dense.
const MAX_BYTES: usize = 3_000;
/// How many runs are looked at for joining after a change.
const JOINED_RUNS: usize = 5;

const LONG: u8 = 0x40;
const VALUE: u8 = 0x80;

/// Equal registers beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) len: usize,
    /// Bytes that say so.
    bytes: usize,
}

impl Run {
    /// The run that begins `bytes`; the second byte of a long one that is cut off counts as zero.
    fn first_of(bytes: &[u8]) -> Option<Run> {
        let first = *bytes.first()?;
        Some(if first & VALUE != 0 {
            Run {
                value: (first >> 2 & 0x1F) + 1,
                len: usize::from(first & 3) + 1,
                bytes: 1,
            }
        } else if first & LONG != 0 {
            let low = bytes.get(1).copied().unwrap_or(0);
            Run {
                value: 0,
                len: usize::from(u16::from_be_bytes([first & 0x3F, low])) + 1,
                bytes: 2,
            }
        } else {
            Run {
                value: 0,
                len: usize::from(first) + 1,
                bytes: 1,
            }
        })
    }

    /// Whether it is of the form with two bytes.
    pub(super) fn is_long(self) -> bool {
        self.bytes == 2
    }
}

/// The runs of a body.
pub(super) fn runs(mut body: &[u8]) -> impl Iterator<Item = Run> + '_ {
    std::iter::from_fn(move || {
        let run = Run::first_of(body)?;
        body = body.get(run.bytes..).unwrap_or_default();
        Some(run)
    })
}

/// Whether the runs of a body are all registers, no more and no less.
pub(super) fn check(body: &[u8]) -> Result<(), CommandError> {
    let mut covered = 0;
    for run in runs(body) {
        covered += run.len;
        if covered > REGISTERS {
            return Err(CORRUPT);
        }
    }
    if covered == REGISTERS {
        Ok(())
    } else {
        Err(CORRUPT)
    }
}

/// Appends a run of zeros, which may be empty.
pub(super) fn put_zeros(out: &mut Vec<u8>, len: usize) {
    match len {
        0 => {}
        1..=SHORT_ZEROS => out.push(len as u8 - 1),
        _ => out.extend((u16::from(LONG) << 8 | (len - 1) as u16).to_be_bytes()),
    }
}

/// Appends a run of a value, which may be empty.
fn put_values(out: &mut Vec<u8>, value: u8, len: usize) {
    debug_assert!((1..=VALUE_MAX).contains(&value) && len <= VALUES);
    if len > 0 {
        out.push(VALUE | (value - 1) << 2 | (len as u8 - 1));
    }
}

/// What came of [`raise`].
pub(super) enum Raised {
    /// Whether the register was lower.
    Done(bool),
    /// The sparse form can't hold it, or not within its limit: nothing has changed.
    TooLong,
}

/// Raises a register of the sparse string `bytes` (header included).
pub(super) fn raise(bytes: &mut Vec<u8>, place: Place) -> Result<Raised, CommandError> {
    if place.value > VALUE_MAX {
        return Ok(Raised::TooLong);
    }
    let (mut at, mut first, mut before) = (HEADER, 0, None);
    let run = loop {
        let Some(run) = Run::first_of(&bytes[at.min(bytes.len())..]) else {
            return Err(CORRUPT);
        };
        if place.register < first + run.len {
            break run;
        }
        before = Some(at);
        at += run.bytes;
        first += run.len;
    };
    if run.value >= place.value {
        return Ok(Raised::Done(false));
    }
    let split = split(run, place.register - first, place.value);
    if split.len() > run.bytes && bytes.len() + split.len() - run.bytes > MAX_BYTES {
        return Ok(Raised::TooLong);
    }
    let end = (at + run.bytes).min(bytes.len());
    bytes.splice(at..end, split);
    join(bytes, before.unwrap_or(HEADER));
    Ok(Raised::Done(true))
}

/// A run with one register in it raised.
fn split(run: Run, index: usize, value: u8) -> Vec<u8> {
    let put = |out: &mut Vec<u8>, len| match run.value {
        0 => put_zeros(out, len),
        old => put_values(out, old, len),
    };
    let mut out = Vec::with_capacity(5);
    put(&mut out, index);
    put_values(&mut out, value, 1);
    put(&mut out, run.len - index - 1);
    out
}

/// Joins runs of equal values, looking at a few runs from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS {
        let Some(run) = Run::first_of(bytes.get(at..).unwrap_or_default()) else {
            return;
        };
        let next = Run::first_of(&bytes[(at + run.bytes).min(bytes.len())..]);
        match next {
            Some(next)
                if run.value > 0 && next.value == run.value && run.len + next.len <= VALUES =>
            {
                let mut joined = Vec::with_capacity(1);
                put_values(&mut joined, run.value, run.len + next.len);
                bytes.splice(at..at + 2, joined);
            }
            _ => at += run.bytes,
        }
    }
}
