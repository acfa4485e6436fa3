//! The CRC64 of RDB trailers and DUMP payloads (Jones polynomial, reflected, initial value 0, as in Redis).

use crc_fast::{CrcAlgorithm, Digest};

/// A running checksum.
#[derive(Clone)]
pub struct Crc64(Digest);

impl Crc64 {
    /// The checksum of nothing: 0.
    pub fn new() -> Crc64 {
        Crc64(Digest::new(CrcAlgorithm::Crc64Redis))
    }

    /// Goes on over `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.update(bytes);
        }
    }

    /// The checksum so far.
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Crc64 {
        Crc64::new()
    }
}

impl std::fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crc64({:016x})", self.value())
    }
}

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_check_value() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut running = Crc64::new();
        assert_eq!(running.value(), 0);
        running.update(b"1234");
        running.update(b"");
        running.update(b"56789");
        assert_eq!(running.value(), 0xe9c6_d914_c4b8_d9ca);
    }
}
