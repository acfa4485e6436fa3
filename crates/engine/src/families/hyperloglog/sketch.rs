//! The string of a HyperLogLog, as Redis lays it out (`hyperloglog.c`):
//!
//! ```text
//! 0 ..= 3   "HYLL"
//! 4         encoding: 0 dense, 1 sparse
//! 5 ..= 7   not used
//! 8 ..= 15  u64 little endian: the estimate when it was last made; highest bit set: something was added since
//! 16 ..     dense: 16,384 registers of 6 bits, the lowest bits of a byte first; sparse: see `sparse`
//! ```

use super::estimate;
use super::{murmur, sparse};
use crate::command::CommandError;

/// Bits of the hash that choose a register.
const INDEX_BITS: usize = 14;
/// The other bits of the hash.
pub(super) const HASH_BITS: usize = 64 - INDEX_BITS;
/// Registers.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
const SEED: u64 = 0xADC8_3B19;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const CACHE_AT: usize = 8;
/// The byte with the bit that says that the estimate is out of date.
pub(super) const STALE_AT: usize = 15;
pub(super) const STALE: u8 = 0x80;
/// Where registers begin.
pub(super) const HEADER: usize = 16;

const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u16 = 63;
/// The length of the dense form.
pub(super) const DENSE_LEN: usize = HEADER + REGISTERS * REGISTER_BITS / 8;

/// What stands behind a header that looks right turned out to be damaged.
pub(super) const CORRUPT: CommandError =
    CommandError::text("INVALIDOBJ Corrupted HLL object detected");
const NO_SKETCH: CommandError =
    CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

/// All registers, a byte each.
pub(super) type Registers = [u8; REGISTERS];

/// Where an element goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) register: usize,
    /// How many zeros its hash ends in, plus one.
    pub(super) value: u8,
}

impl Place {
    pub(super) fn of(element: &[u8]) -> Place {
        let hash = murmur::hash(element, SEED);
        let rest = hash >> INDEX_BITS | 1 << HASH_BITS;
        Place {
            register: hash as usize % REGISTERS,
            value: rest.trailing_zeros() as u8 + 1,
        }
    }
}

/// A string that has the header of a HyperLogLog.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sketch<'a> {
    bytes: &'a [u8],
}

impl<'a> Sketch<'a> {
    /// Looks at the header.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Sketch<'a>, CommandError> {
        let fits = match bytes.get(ENCODING_AT) {
            Some(&DENSE) => bytes.len() == DENSE_LEN,
            Some(&SPARSE) => bytes.len() >= HEADER,
            _ => false,
        };
        if fits && bytes.starts_with(MAGIC) {
            Ok(Sketch { bytes })
        } else {
            Err(NO_SKETCH)
        }
    }

    pub(super) fn is_dense(self) -> bool {
        self.bytes[ENCODING_AT] == DENSE
    }

    /// What stands behind the header.
    pub(super) fn body(self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }

    /// The estimate in the header, if it is up to date.
    fn cached(self) -> Option<u64> {
        let card = self.bytes[CACHE_AT..HEADER]
            .try_into()
            .expect("eight bytes");
        Some(u64::from_le_bytes(card)).filter(|_| self.bytes[STALE_AT] & STALE == 0)
    }

    /// How many different elements were added, about.
    pub(super) fn count(self) -> Result<u64, CommandError> {
        if let Some(cached) = self.cached() {
            return Ok(cached);
        }
        let mut histogram = estimate::NO_REGISTERS;
        if self.is_dense() {
            dense_values(self.body()).for_each(|value| histogram[usize::from(value)] += 1);
        } else {
            sparse::check(self.body())?;
            sparse::runs(self.body())
                .for_each(|run| histogram[usize::from(run.value)] += run.len as u32);
        }
        Ok(estimate::cardinality(&histogram))
    }

    /// Raises each of `registers` to what it is here.
    pub(super) fn merge_into(self, registers: &mut Registers) -> Result<(), CommandError> {
        if self.is_dense() {
            let pairs = registers.iter_mut().zip(dense_values(self.body()));
            pairs.for_each(|(register, value)| *register = value.max(*register));
            return Ok(());
        }
        sparse::check(self.body())?;
        let mut at = 0;
        for run in sparse::runs(self.body()) {
            if run.value > 0 {
                let covered = &mut registers[at..at + run.len];
                covered
                    .iter_mut()
                    .for_each(|register| *register = run.value.max(*register));
            }
            at += run.len;
        }
        Ok(())
    }
}

/// The estimate for registers that stand by themselves.
pub(super) fn count(registers: &Registers) -> u64 {
    let mut histogram = estimate::NO_REGISTERS;
    registers
        .iter()
        .for_each(|value| histogram[usize::from(*value)] += 1);
    estimate::cardinality(&histogram)
}

/// The values of the registers in the dense form.
fn dense_values(body: &[u8]) -> impl Iterator<Item = u8> + '_ {
    // Four registers are three bytes.
    let (groups, _) = body.as_chunks::<3>();
    groups.iter().flat_map(|&[a, b, c]| {
        let bits = u32::from_le_bytes([a, b, c, 0]);
        [0, 6, 12, 18].map(|shift| (bits >> shift) as u8 & REGISTER_MAX as u8)
    })
}

/// A register of the dense form: where its bits begin, and the one or two bytes that have them.
struct DenseRegister {
    at: usize,
    shift: usize,
    len: usize,
}

impl DenseRegister {
    fn new(register: usize) -> DenseRegister {
        let (at, shift) = (register * REGISTER_BITS / 8, register * REGISTER_BITS % 8);
        DenseRegister {
            at: HEADER + at,
            shift,
            len: 1 + usize::from(shift + REGISTER_BITS > 8),
        }
    }

    fn bits(&self, bytes: &[u8]) -> u16 {
        let high = if self.len == 2 { bytes[self.at + 1] } else { 0 };
        u16::from_le_bytes([bytes[self.at], high])
    }
}

/// The bytes to overwrite so that a register of the dense form `bytes` has at least the place's value: where, and with what.
/// `None`: it has.
pub(super) fn dense_raise(bytes: &[u8], place: Place) -> Option<(usize, [u8; 2], usize)> {
    let register = DenseRegister::new(place.register);
    let bits = register.bits(bytes);
    let value = u16::from(place.value);
    if (bits >> register.shift) & REGISTER_MAX >= value {
        return None;
    }
    let raised = bits & !(REGISTER_MAX << register.shift) | value << register.shift;
    Some((register.at, raised.to_le_bytes(), register.len))
}

/// The string of a HyperLogLog, to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SketchBuf(Vec<u8>);

impl SketchBuf {
    /// An empty one, sparse.
    pub(super) fn empty() -> SketchBuf {
        let mut bytes = vec![0; HEADER];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING_AT] = SPARSE;
        sparse::put_zeros(&mut bytes, REGISTERS);
        SketchBuf(bytes)
    }

    /// A copy of one.
    pub(super) fn copy_of(sketch: Sketch<'_>) -> SketchBuf {
        SketchBuf(sketch.bytes.to_vec())
    }

    /// To look at.
    pub(super) fn as_sketch(&self) -> Sketch<'_> {
        Sketch { bytes: &self.0 }
    }

    /// The string.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Raises a register; whether it was lower. A sparse one that would get too long becomes dense.
    pub(super) fn raise(&mut self, place: Place) -> Result<bool, CommandError> {
        if !self.as_sketch().is_dense() {
            match sparse::raise(&mut self.0, place)? {
                sparse::Raised::Done(changed) => return Ok(changed),
                sparse::Raised::TooLong => self.make_dense()?,
            }
        }
        let Some((at, bytes, len)) = dense_raise(&self.0, place) else {
            return Ok(false);
        };
        self.0[at..at + len].copy_from_slice(&bytes[..len]);
        Ok(true)
    }

    /// Takes the dense form.
    pub(super) fn make_dense(&mut self) -> Result<(), CommandError> {
        if self.as_sketch().is_dense() {
            return Ok(());
        }
        sparse::check(&self.0[HEADER..])?;
        let mut dense = vec![0; DENSE_LEN];
        dense[..HEADER].copy_from_slice(&self.0[..HEADER]);
        dense[ENCODING_AT] = DENSE;
        let mut register = 0;
        for run in sparse::runs(&self.0[HEADER..]) {
            // Registers begin as zeros.
            let raised = if run.value > 0 { run.len } else { 0 };
            for register in register..register + raised {
                let place = Place {
                    register,
                    value: run.value,
                };
                if let Some((at, bytes, len)) = dense_raise(&dense, place) {
                    dense[at..at + len].copy_from_slice(&bytes[..len]);
                }
            }
            register += run.len;
        }
        self.0 = dense;
        Ok(())
    }

    /// Says that the estimate in the header is out of date.
    pub(super) fn mark_stale(&mut self) {
        self.0[STALE_AT] |= STALE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(range: std::ops::Range<u32>) -> SketchBuf {
        let mut sketch = SketchBuf::empty();
        for number in range {
            sketch
                .raise(Place::of(&number.to_le_bytes()))
                .expect("it is sound");
        }
        sketch.mark_stale();
        sketch
    }

    #[test]
    fn places_are_those_of_redis() {
        // PFADD of "foo" and "" to an empty one, Redis 7.0.15: the bytes of GET tell the registers.
        assert!(Place::of(b"foo").register < REGISTERS);
        assert!((1..=51).contains(&Place::of(b"").value));
    }

    #[test]
    fn both_forms_say_the_same() {
        for most in [0, 1, 10, 100, 1_000, 3_000, 50_000] {
            let sketch = added(0..most);
            let mut dense = sketch.clone();
            dense.make_dense().expect("it is sound");
            let (mut left, mut right) = ([0; REGISTERS], [0; REGISTERS]);
            sketch.as_sketch().merge_into(&mut left).expect("sound");
            dense.as_sketch().merge_into(&mut right).expect("sound");
            assert!(left == right);
            let estimate = sketch.as_sketch().count().expect("sound");
            assert_eq!(dense.as_sketch().count(), Ok(estimate));
            assert_eq!(count(&left), estimate);
            let error = estimate.abs_diff(most.into()) as f64;
            assert!(
                error <= 0.03 * f64::from(most) + 0.5,
                "{estimate} for {most}"
            );
        }
    }

    #[test]
    fn adding_again_changes_nothing() {
        let mut sketch = added(0..2_000);
        let before = sketch.clone();
        for number in 0..2_000u32 {
            assert_eq!(sketch.raise(Place::of(&number.to_le_bytes())), Ok(false));
        }
        assert!(sketch == before);
    }

    #[test]
    fn any_bytes_are_refused_or_read() {
        let mut bytes = SketchBuf::empty().as_bytes().to_vec();
        for tail in 0..=255u8 {
            bytes.truncate(HEADER);
            bytes[STALE_AT] = STALE;
            bytes.extend([tail, 0xFF, tail]);
            let sketch = Sketch::of(&bytes).expect("the header is right");
            let _ = sketch.count();
            let mut copy = SketchBuf::copy_of(sketch);
            for register in [0, 5, 1_000, REGISTERS - 1] {
                for value in [1, 51] {
                    let _ = copy.raise(Place { register, value });
                }
            }
        }
        assert!(Sketch::of(b"HYLL").is_err() && Sketch::of(b"").is_err());
    }
}
