//! Opcodes and integers, PROTOCOL section 4.

/// SELECT: db index.
pub(crate) const OP_SELECT: u8 = 6;
/// EXPIRED: as COMMAND; no longer written.
pub(crate) const OP_EXPIRED: u8 = 9;
/// COMMAND: txid, shard count, number of strings, total bytes, strings.
pub(crate) const OP_COMMAND: u8 = 10;
/// PING: nothing.
pub(crate) const OP_PING: u8 = 13;
/// LSN: the LSN of the record written last.
pub(crate) const OP_LSN: u8 = 15;
/// CHECK (level 1): CRC32C, u32 little endian.
pub(crate) const OP_CHECK: u8 = 32;
/// TXN (level 1): txid, number of shards, number of records that follow.
pub(crate) const OP_TXN: u8 = 33;

/// The most shards a server may have, and so the most that a transaction may touch.
pub const MAX_SHARDS: u16 = 1024;

/// The highest transaction id that is taken from a peer: above it one's own ids have to go on, and ids never wrap.
pub const MAX_TXID: u64 = 1 << 62;

/// An RDB length takes at most this many bytes.
pub(crate) const MAX_UINT_BYTES: usize = 9;
/// CHECK: opcode and CRC32C.
pub(crate) const CHECK_BYTES: usize = 1 + size_of::<u32>();

const PREFIX_32: u8 = 0x80;
const PREFIX_64: u8 = 0x81;

/// Appends `value` in the shortest RDB length encoding.
pub(crate) fn put_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&[0x40 | (value >> 8) as u8, value as u8]),
        0x4000..=0xffff_ffff => {
            out.push(PREFIX_32);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(PREFIX_64);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// How many bytes [`put_uint`] writes.
pub(crate) fn uint_len(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// The prefix of an integer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPrefix(pub u8);

/// Reads an integer at the start of `buf`: its value and how many bytes it took; `None` when more are needed.
#[inline]
pub(crate) fn get_uint(buf: &[u8]) -> Result<Option<(u64, usize)>, BadPrefix> {
    let Some(&first) = buf.first() else {
        return Ok(None);
    };
    Ok(match first {
        0..0x40 => Some((first as u64, 1)),
        0x40..0x80 => buf
            .get(1)
            .map(|&low| ((first as u64 & 0x3f) << 8 | low as u64, 2)),
        PREFIX_32 => buf
            .get(1..5)
            .map(|b| (u32::from_be_bytes(b.try_into().expect("4 bytes")) as u64, 5)),
        PREFIX_64 => buf
            .get(1..9)
            .map(|b| (u64::from_be_bytes(b.try_into().expect("8 bytes")), 9)),
        _ => return Err(BadPrefix(first)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_the_documented_bytes() {
        let cases: [(u64, &[u8]); 7] = [
            (0, &[0]),
            (63, &[0x3f]),
            (64, &[0x40, 64]),
            (0x3fff, &[0x7f, 0xff]),
            (0x4000, &[0x80, 0, 0, 0x40, 0]),
            (u32::MAX as u64, &[0x80, 0xff, 0xff, 0xff, 0xff]),
            (u32::MAX as u64 + 1, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            put_uint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(uint_len(value), bytes.len());
            assert_eq!(get_uint(&out), Ok(Some((value, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(get_uint(&out[..cut]), Ok(None));
            }
        }
        assert_eq!(get_uint(&[0xc3]), Err(BadPrefix(0xc3)));
        assert_eq!(get_uint(&[0x82]), Err(BadPrefix(0x82)));
    }
}
