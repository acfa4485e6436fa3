//! The estimate from the registers: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
//! arXiv:1702.01284, algorithm 6. The same operations in the same order as Redis, so that the same number comes of it.

use super::sketch::{HASH_BITS, REGISTERS};

/// `1 / (2 ln 2)`.
const ALPHA_INFINITY: f64 = 0.721_347_520_444_481_7;

/// How many registers have each value. Only values up to 51 are reached by adding; a string may hold any of 6 bits.
pub(super) type Histogram = [u32; 64];

/// To count in.
pub(super) const NO_REGISTERS: Histogram = [0; 64];

pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let beyond = f64::from(histogram[HASH_BITS + 1]);
    let mut z = registers * tau((registers - beyond) / registers);
    for count in histogram[1..=HASH_BITS].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += registers * sigma(f64::from(histogram[0]) / registers);
    (ALPHA_INFINITY * registers * registers / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_zero_and_any_histogram_ends() {
        let mut histogram = [0; 64];
        histogram[0] = REGISTERS as u32;
        assert_eq!(cardinality(&histogram), 0);
        for value in 1..64 {
            let mut histogram = [0; 64];
            histogram[value] = REGISTERS as u32;
            cardinality(&histogram);
        }
    }
}
