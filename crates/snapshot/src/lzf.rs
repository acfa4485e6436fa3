//! LZF decompression (the format of liblzf, which RDB strings may use).

/// Bytes that one compressed byte can at most become (a three-byte reference yields up to 264).
const MAX_RATIO: usize = 88;

/// Appends the `expected` decompressed bytes of `input` to `out`; on an error `out` has some more bytes than before.
pub(crate) fn decompress(
    input: &[u8],
    expected: usize,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    if expected > input.len().saturating_mul(MAX_RATIO) {
        return Err("the announced size is impossible");
    }
    let base = out.len();
    let end = base + expected;
    out.reserve(expected);
    let mut at = 0;
    while at < input.len() {
        let control = input[at] as usize;
        at += 1;
        if control < 32 {
            let run = input
                .get(at..at + control + 1)
                .ok_or("a literal run passes the end")?;
            out.extend_from_slice(run);
            at += control + 1;
        } else {
            at = copy_back(input, at, control, base, out)?;
        }
        if out.len() > end {
            return Err("more bytes than announced");
        }
    }
    if out.len() == end {
        Ok(())
    } else {
        Err("fewer bytes than announced")
    }
}

fn copy_back(
    input: &[u8],
    mut at: usize,
    control: usize,
    base: usize,
    out: &mut Vec<u8>,
) -> Result<usize, &'static str> {
    const CUT: &str = "a reference passes the end";
    let mut len = control >> 5;
    if len == 7 {
        len += *input.get(at).ok_or(CUT)? as usize;
        at += 1;
    }
    len += 2;
    let low = *input.get(at).ok_or(CUT)? as usize;
    let distance = ((control & 0x1f) << 8 | low) + 1;
    let from = out
        .len()
        .checked_sub(distance)
        .filter(|from| *from >= base)
        .ok_or("a reference before the start")?;
    if distance >= len {
        out.extend_from_within(from..from + len);
    } else {
        for i in from..from + len {
            out.push(out[i]);
        }
    }
    Ok(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_overlapping_references() {
        let mut out = b"x".to_vec();
        // two literals "ab", then a reference of 3 + 2 bytes at distance 2
        decompress(&[1, b'a', b'b', 3 << 5, 1], 7, &mut out).unwrap();
        assert_eq!(out, b"xabababa");
    }

    #[test]
    fn hostile_inputs_are_refused() {
        let mut out = Vec::new();
        assert!(decompress(&[5, 1], 6, &mut out).is_err());
        assert!(decompress(&[0, b'a', 3 << 5, 9], 9, &mut out).is_err());
        assert!(decompress(&[0, b'a'], usize::MAX, &mut out).is_err());
        assert!(decompress(&[0, b'a', 7 << 5], 2, &mut out).is_err());
    }
}
