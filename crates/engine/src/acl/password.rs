//! Passwords: kept as hashes, compared in a time that does not tell how much of them is right.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Digits of a hash in hexadecimal.
const HEX_DIGITS: usize = 64;

/// The SHA-256 of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// Of a password in the clear.
    pub fn of(password: &[u8]) -> PasswordHash {
        PasswordHash(Sha256::digest(password).into())
    }

    /// Of 64 hexadecimal digits, letters small.
    pub fn from_hex(text: &[u8]) -> Option<PasswordHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if text.len() != HEX_DIGITS {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.as_chunks::<2>().0) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(PasswordHash(hash))
    }

    /// As 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether two are the same, in constant time.
    pub fn matches(&self, other: &PasswordHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Hexadecimal digits for a new password of so many bits, from the system's source of randomness.
///
/// # Errors
/// The system has none to give.
pub fn generate(bits: usize) -> Result<String, getrandom::Error> {
    let digits = bits.div_ceil(4);
    let mut bytes = vec![0u8; digits.div_ceil(2)];
    getrandom::fill(&mut bytes)?;
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_sha_256_and_come_back_from_their_digits() {
        let empty = PasswordHash::of(b"");
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty.to_hex(), hex);
        assert!(PasswordHash::from_hex(hex.as_bytes()).is_some_and(|hash| hash.matches(&empty)));
        assert!(!PasswordHash::of(b"x").matches(&empty));
        for wrong in [&hex[1..], &hex.to_uppercase(), &format!("{hex}0")] {
            assert!(
                PasswordHash::from_hex(wrong.as_bytes()).is_none(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn generated_passwords_have_the_digits_asked_for_and_differ() {
        let lengths = [1, 4, 5, 256].map(|bits| generate(bits).expect("randomness").len());
        assert_eq!(lengths, [1, 1, 2, 64]);
        assert_ne!(generate(256).ok(), generate(256).ok());
    }
}
