//! Short byte strings as 16 bytes, without a call to `memcpy` of unknown length.

/// At most this many bytes fit.
pub(super) const FULL: usize = 16;

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half_word(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes(
        bytes[at..at + 4].try_into().expect("four bytes"),
    ))
}

/// `bytes` (at most 16), filled up with zeros. Two loads that overlap instead of a loop.
#[inline]
pub(super) fn padded(bytes: &[u8]) -> [u8; FULL] {
    let len = bytes.len();
    let (low, high) = match len {
        8..=FULL => {
            let unused_bits = 8 * (FULL - len) as u32;
            let high = word(bytes, len - 8).checked_shr(unused_bits);
            (word(bytes, 0), high.unwrap_or(0))
        }
        4..8 => (
            half_word(bytes, 0) | half_word(bytes, len - 4) << (8 * (len - 4)),
            0,
        ),
        1..4 => {
            let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
            (byte(0) | byte(len / 2) | byte(len - 1), 0)
        }
        _ => (0, 0),
    };
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_every_length() {
        let bytes: Vec<u8> = (1..=16).collect();
        for len in 0..=FULL {
            let mut expected = [0; FULL];
            expected[..len].copy_from_slice(&bytes[..len]);
            assert_eq!(padded(&bytes[..len]), expected);
        }
    }
}
