//! Decompression of blobs, bounded by the limit before anything is allocated.

use super::Limits;
use crate::error::{At, RdbError};
use crate::wire::opcode;
use std::io::Read;

/// Where an LZ4 frame says its flags (after the magic number).
const LZ4_FLAGS_AT: usize = 4;
/// Flag of an LZ4 frame: the content size is present.
const LZ4_HAS_SIZE: u8 = 1 << 3;
/// Where an LZ4 frame carries its content size, u64 LE.
const LZ4_SIZE_AT: usize = 6;
/// Bytes that one byte of LZ4 can at most become.
const LZ4_MAX_RATIO: u64 = 255;

/// Replaces `out` with the content of `frame`.
pub(super) fn decompress(
    code: u8,
    frame: &[u8],
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), RdbError> {
    out.clear();
    let (codec, size) = match code {
        opcode::ZSTD_BLOB => ("zstd", zstd_size(frame)),
        _ => ("lz4", lz4_size(frame)),
    };
    let fail = |why: String| RdbError::Compression {
        at: At::default(),
        codec,
        why,
    };
    let size = size.ok_or_else(|| fail("the frame does not carry its content size".into()))?;
    if size > limits.max_blob_content {
        return Err(RdbError::TooLarge {
            at: At::default(),
            what: "a blob's content",
            got: size,
            limit: limits.max_blob_content,
        });
    }
    let done = match code {
        opcode::ZSTD_BLOB => zstd_decode(frame, size, out),
        _ => lz4_decode(frame, size, out),
    };
    done.map_err(|error| fail(error.to_string()))?;
    if out.len() as u64 != size {
        return Err(fail(format!("{} bytes instead of {size}", out.len())));
    }
    Ok(())
}

fn zstd_size(frame: &[u8]) -> Option<u64> {
    zstd::zstd_safe::get_frame_content_size(frame)
        .ok()
        .flatten()
}

fn lz4_size(frame: &[u8]) -> Option<u64> {
    let flags = *frame.get(LZ4_FLAGS_AT)?;
    let bytes = frame.get(LZ4_SIZE_AT..)?.first_chunk()?;
    (flags & LZ4_HAS_SIZE != 0).then_some(u64::from_le_bytes(*bytes))
}

/// Decodes exactly one frame; grows with what is decoded, one byte beyond `size` at most.
fn zstd_decode(frame: &[u8], size: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    let decoder = zstd::stream::read::Decoder::with_buffer(frame)?.single_frame();
    decoder.take(size + 1).read_to_end(out)?;
    Ok(())
}

fn lz4_decode(frame: &[u8], size: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.reserve(size.min(frame.len() as u64 * LZ4_MAX_RATIO) as usize);
    lz4_flex::frame::FrameDecoder::new(frame)
        .take(size + 1)
        .read_to_end(out)?;
    Ok(())
}
