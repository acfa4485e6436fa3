//! Names of things on the wire: replication ids, sync ids, EOF tokens, LSN vectors.

use std::fmt;

use damselfly_journal::Lsn;

/// Digits of a replication id and of an EOF token.
pub const ID_LEN: usize = 40;

/// Most flows (shards of a primary) that are accepted (PROTOCOL 1).
pub const MAX_FLOWS: usize = 1024;

/// 40 lower-case hexadecimal digits that name one linear sequence of journal records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplId([u8; ID_LEN]);

impl ReplId {
    /// Forty zeros, as Redis shows an id that is not known.
    pub const UNKNOWN: ReplId = ReplId([b'0'; ID_LEN]);

    /// The id made of 20 random bytes.
    pub fn from_random(bytes: [u8; ID_LEN / 2]) -> ReplId {
        ReplId(hex(bytes))
    }

    /// Reads 40 hexadecimal digits; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<ReplId> {
        let digits: [u8; ID_LEN] = text.try_into().ok()?;
        digits
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then(|| ReplId(digits.map(|digit| digit.to_ascii_lowercase())))
    }

    /// The 40 digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The 40 digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only hexadecimal digits are stored")
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplId({})", self.as_str())
    }
}

/// The 40 bytes that end the full-sync part of a flow (PROTOCOL 2 and 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EofToken([u8; ID_LEN]);

impl EofToken {
    /// The token made of 20 random bytes.
    pub fn from_random(bytes: [u8; ID_LEN / 2]) -> EofToken {
        EofToken(hex(bytes))
    }

    /// Reads a token; `None` unless it has 40 bytes.
    pub fn parse(text: &[u8]) -> Option<EofToken> {
        Some(EofToken(text.try_into().ok()?))
    }

    /// The 40 bytes.
    pub fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }
}

/// A primary's number for one replica link; on the wire `SYNC<n>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SyncId(pub u64);

impl SyncId {
    /// Reads `SYNC<n>`.
    pub fn parse(text: &[u8]) -> Option<SyncId> {
        let digits = text.strip_prefix(b"SYNC")?;
        if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok().map(SyncId)
    }
}

impl fmt::Display for SyncId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SYNC{}", self.0)
    }
}

/// One LSN per flow: the next record that is wanted on each.
pub type LsnVector = Vec<Lsn>;

/// Writes `<lsn0>-<lsn1>-…`.
pub fn write_vector(out: &mut Vec<u8>, vector: &[Lsn]) {
    for (index, lsn) in vector.iter().enumerate() {
        if index > 0 {
            out.push(b'-');
        }
        out.extend_from_slice(lsn.0.to_string().as_bytes());
    }
}

/// Reads `<lsn0>-<lsn1>-…`; `None` if a part is no number, or there are more than [`MAX_FLOWS`].
pub fn parse_vector(text: &[u8]) -> Option<LsnVector> {
    let mut vector = LsnVector::new();
    for part in text.split(|byte| *byte == b'-') {
        if vector.len() == MAX_FLOWS {
            return None;
        }
        vector.push(parse_lsn(part)?);
    }
    Some(vector)
}

/// Reads one LSN (decimal, from 1).
pub fn parse_lsn(text: &[u8]) -> Option<Lsn> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number > 0).then_some(Lsn(number))
}

fn hex(bytes: [u8; ID_LEN / 2]) -> [u8; ID_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|index| {
        let byte = bytes[index / 2];
        let nibble = if index % 2 == 0 { byte >> 4 } else { byte & 15 };
        DIGITS[usize::from(nibble)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_refuse_others() {
        let id = ReplId::from_random(std::array::from_fn(|i| i as u8 * 13));
        assert_eq!(ReplId::parse(id.as_bytes()), Some(id));
        assert_eq!(ReplId::parse(b"xyz"), None);
        assert_eq!(ReplId::parse(&[b'g'; 40]), None);
        assert_eq!(SyncId::parse(b"SYNC17"), Some(SyncId(17)));
        for bad in [
            &b"SYNC"[..],
            b"SYNC-1",
            b"SYNCx",
            b"17",
            b"SYNC99999999999999999999",
        ] {
            assert_eq!(SyncId::parse(bad), None);
        }
        assert_eq!(SyncId(4).to_string(), "SYNC4");
    }

    #[test]
    fn vectors_round_trip_and_are_bounded() {
        let vector = vec![Lsn(1), Lsn(25), Lsn(u64::from(u32::MAX))];
        let mut text = Vec::new();
        write_vector(&mut text, &vector);
        assert_eq!(text, b"1-25-4294967295");
        assert_eq!(parse_vector(&text), Some(vector));
        for bad in [
            &b""[..],
            b"1-",
            b"-1",
            b"0",
            b"1-x",
            b"99999999999999999999",
        ] {
            assert_eq!(parse_vector(bad), None);
        }
        let long = vec![&b"1"[..]; MAX_FLOWS + 1].join(&b"-"[..]);
        assert_eq!(parse_vector(&long), None);
    }
}
