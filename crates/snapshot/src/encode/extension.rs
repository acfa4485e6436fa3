//! The opcodes that full syncs between shards add to RDB. Source: PROTOCOL section 3.

use super::primitives::{put_len, put_raw_string};
use crate::wire::opcode;

/// Appends the full-sync cut: everything that stood in the shard at the cut has been sent.
pub fn put_cut(out: &mut Vec<u8>) {
    out.push(opcode::FULL_SYNC_CUT);
    out.extend_from_slice(&[0; 8]);
}

/// Appends serialized journal records as a journal blob of one entry.
pub fn put_journal_blob(out: &mut Vec<u8>, records: &[u8]) {
    out.push(opcode::JOURNAL_BLOB);
    put_len(out, 1);
    put_raw_string(out, records);
}

/// Appends the LSN of the next journal record.
pub fn put_journal_offset(out: &mut Vec<u8>, lsn: u64) {
    out.push(opcode::JOURNAL_OFFSET);
    out.extend_from_slice(&lsn.to_le_bytes());
}

/// Appends a tagged chunk.
///
/// # Panics
/// When `stream` is 0, or `payload` is empty or longer than 4 GiB: such chunks do not exist.
pub fn put_chunk(out: &mut Vec<u8>, stream: u32, payload: &[u8]) {
    assert!(
        stream != 0 && !payload.is_empty(),
        "a chunk has an id and a payload"
    );
    let len = u32::try_from(payload.len()).expect("a chunk is shorter than 4 GiB");
    out.push(opcode::TAGGED_CHUNK);
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Appends a compressed blob; `opcode` is [`opcode::ZSTD_BLOB`] or [`opcode::LZ4_BLOB`], `frame` one whole frame
/// that carries its content size.
pub fn put_blob(out: &mut Vec<u8>, opcode: u8, frame: &[u8]) {
    out.push(opcode);
    put_raw_string(out, frame);
}
