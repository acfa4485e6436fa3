//! Numbers as Redis 7.0 reads and prints them.

use std::io::Write as _;

/// Reads a decimal integer as strictly as Redis (`util.c`, `string2ll`): an optional `-`, no `+`, no
/// leading zero, no blank, nothing after it, and within `i64`.
///
/// ```
/// use damselfly_resp::parse_i64;
/// assert_eq!(parse_i64(b"-12"), Some(-12));
/// assert_eq!(parse_i64(b"012"), None);
/// assert_eq!(parse_i64(b"9223372036854775808"), None);
/// ```
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        b"0" => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) || digits.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// Reads a floating point number as Redis reads a score or an argument (`util.c`, `string2d`):
/// decimal or hexadecimal, `inf` and `infinity` in any case, with a sign. No blanks, no `nan`,
/// nothing that overflows or that vanishes to zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value: f64 = fast_float2::parse(text).ok()?;
    (!value.is_nan()).then_some(value)
}

/// Reads a bound of a score range (`t_zset.c`, `zslParseRange`): as [`parse_f64`], but blanks in
/// front are skipped, and what is too large is infinite, what is too small zero.
pub fn parse_f64_lenient(text: &[u8]) -> Option<f64> {
    parse_f64(text.trim_ascii_start())
}

/// Appends a double as Redis 7.0 prints it in replies: `%.17g`, and `inf`, `-inf`, `nan`.
pub fn format_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    let _ = write!(out, "{value}");
}
