//! Numbers as Redis 7.0 reads and prints them, except long doubles.

use std::io::Write as _;

use crate::float::{DOUBLE, Parts, parse_hex};

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
    // 19 digits are always within u64.
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
/// decimal or hexadecimal (`0x1.8p3`), `inf` and `infinity` in any case, with a sign. No blanks, no
/// `nan`, nothing that overflows, nothing but zero that rounds to zero.
///
/// ```
/// use damselfly_resp::parse_f64;
/// assert_eq!(parse_f64(b"+1.5e3"), Some(1500.0));
/// assert_eq!(parse_f64(b"-INF"), Some(f64::NEG_INFINITY));
/// assert_eq!((parse_f64(b"1e400"), parse_f64(b"nan"), parse_f64(b" 1")), (None, None, None));
/// ```
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value = parse_any(text)?;
    let out_of_range = (value.is_infinite() && text.iter().any(u8::is_ascii_digit))
        || (value == 0.0 && !is_literal_zero(text));
    (!out_of_range).then_some(value)
}

/// Reads a bound of a score range (`t_zset.c`, `zslParseRange`, after its `(`): as [`parse_f64`], but
/// blanks in front are skipped, what is too large is infinite, what is too small zero; an empty text is
/// zero, and a NUL byte ends the text.
pub fn parse_f64_lenient(text: &[u8]) -> Option<f64> {
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    let text = &text[..end];
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | 9..=13))
        .count();
    parse_any(&text[blanks..])
}

/// Any number but NaN, rounded to the nearest double, infinity and zero included.
fn parse_any(text: &[u8]) -> Option<f64> {
    if let Some(hex) = parse_hex(text) {
        return Some(from_parts(hex?));
    }
    let value: f64 = fast_float2::parse(text).ok()?;
    (!value.is_nan()).then_some(value)
}

fn from_parts(parts: Parts) -> f64 {
    let magnitude = match parts.round(DOUBLE) {
        Some((0, _)) => 0.0,
        // Two exact steps: 2^exponent alone may be below the smallest normal number.
        Some((mantissa, exponent)) => {
            let half = exponent / 2;
            mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - half)
        }
        None => f64::INFINITY,
    };
    if parts.negative {
        -magnitude
    } else {
        magnitude
    }
}

/// Whether the mantissa has no digit but zero.
fn is_literal_zero(text: &[u8]) -> bool {
    let unsigned = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let (digits, exponent_mark) = match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => (digits, b'p'),
        digits => (digits, b'e'),
    };
    digits
        .iter()
        .take_while(|byte| byte.to_ascii_lowercase() != exponent_mark)
        .all(|byte| matches!(byte, b'0' | b'.'))
}

/// Significant digits of a double in replies.
const PRECISION: i32 = 17;

/// Appends a double as Redis 7.0 prints it in replies (`networking.c`, `addReplyDouble`): `%.17g`,
/// and `inf`, `-inf`, `nan`. Not the shortest form: 0.1 is `0.10000000000000001`.
///
/// ```
/// let mut out = Vec::new();
/// damselfly_resp::format_double(&mut out, 1e20);
/// assert_eq!(out, b"1e+20");
/// ```
pub fn format_double(out: &mut Vec<u8>, value: f64) {
    if value.fract() == 0.0 && value.abs() < 1e17 && (value != 0.0 || value.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        return;
    }
    if !value.is_finite() {
        let text: &[u8] = if value.is_nan() { b"nan" } else { b"inf" };
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { text });
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let (digits, exponent) = significant_digits(value.abs());
    let used = digits
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(1, |last| last + 1);
    print_general(out, &digits[..used], exponent);
}

/// The 17 digits of a finite number, correctly rounded, and the decimal exponent of the first one.
fn significant_digits(value: f64) -> ([u8; PRECISION as usize], i32) {
    let mut buffer = [0u8; 32];
    let mut rest = &mut buffer[..];
    write!(rest, "{value:.16e}").expect("d, point, 16 digits, e-324 are 24 bytes");
    let len = 32 - rest.len();
    let mut digits = [b'0'; PRECISION as usize];
    digits[0] = buffer[0];
    digits[1..].copy_from_slice(&buffer[2..18]);
    let exponent = parse_i64(&buffer[19..len]).unwrap_or(0);
    (digits, exponent as i32)
}

/// `%g` for digits without trailing zeros.
fn print_general(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    match exponent {
        -4..0 => {
            out.extend_from_slice(&b"0.000"[..(1 - exponent) as usize]);
            out.extend_from_slice(digits);
        }
        0..PRECISION => {
            let whole = exponent as usize + 1;
            let split = whole.min(digits.len());
            out.extend_from_slice(&digits[..split]);
            out.resize(out.len() + whole - split, b'0');
            push_fraction(out, &digits[split..]);
        }
        _ => {
            out.push(digits[0]);
            push_fraction(out, &digits[1..]);
            let _ = write!(
                out,
                "e{}{:02}",
                if exponent < 0 { '-' } else { '+' },
                exponent.abs()
            );
        }
    }
}

fn push_fraction(out: &mut Vec<u8>, digits: &[u8]) {
    if !digits.is_empty() {
        out.push(b'.');
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: f64) -> String {
        let mut out = Vec::new();
        format_double(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_strict() {
        for good in [
            "0",
            "1",
            "-1",
            "10",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert_eq!(parse_i64(good.as_bytes()), good.parse().ok(), "{good}");
        }
        for bad in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1x",
            "x",
            "9223372036854775808",
            "-9223372036854775809",
            "10000000000000000000",
            "99999999999999999999",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
        }
    }

    /// Every row as `redis-server` 7.0.15 answered ZADD and ZSCORE.
    #[test]
    fn doubles_print_as_redis_does() {
        let rows = [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (1e20, "1e+20"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1.5e-7, "1.4999999999999999e-07"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            (1e-310, "9.9999999999999694e-311"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9007199254740993.0, "9007199254740992"),
            (6.02214076, "6.0221407600000001"),
            (1e22, "1e+22"),
            (1e23, "9.9999999999999992e+22"),
            (123456.789, "123456.789"),
            (1e15, "1000000000000000"),
            (1e-7, "9.9999999999999995e-08"),
            (1.0000000000000002, "1.0000000000000002"),
            (17179869184.25, "17179869184.25"),
            (-2.5, "-2.5"),
            (-0.0, "-0"),
            (0.0, "0"),
            (f64::NAN, "nan"),
            (2.1267647932558654e37, "2.1267647932558654e+37"),
            (99999999999999984.0, "99999999999999984"),
            (0.0009999999999999999, "0.0009999999999999998"),
        ];
        for (value, text) in rows {
            assert_eq!(printed(value), text);
        }
    }

    /// Every row as `redis-server` 7.0.15 answered ZADD.
    #[test]
    fn doubles_parse_as_redis_does() {
        let good = [
            ("+inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("iNf", f64::INFINITY),
            ("0x1p3", 8.0),
            ("0X1P-3", 0.125),
            ("0x.8", 0.5),
            ("-0x1.8p1", -3.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("5.e3", 5000.0),
            ("1E5", 1e5),
            ("+5", 5.0),
            ("0e-400", 0.0),
            ("0x0.000p-5000", 0.0),
            ("3e-324", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffffp0", 1.9999999999999998),
            ("0x1p-1074", 5e-324),
            ("0x1.8p-1074", 1e-323),
            (
                "0x10000000000000000000000000000000.8",
                2.1267647932558654e37,
            ),
            ("0x1p1023", 2f64.powi(1023)),
            ("00012", 12.0),
        ];
        for (text, value) in good {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        let bad = [
            "nan",
            "-nan",
            "nan(1)",
            "0x",
            "0xg",
            "0x1p",
            "0x1p+",
            "1e400",
            "-1e400",
            "1e-400",
            "1e-324",
            "1.7976931348623159e308",
            ".",
            "1e",
            "1e+",
            "+-5",
            "--5",
            "",
            " 1",
            "1 ",
            "1\0",
            "1_0",
            "1,5",
            "infi",
            "infinit",
            "0x1p-1080",
            "0x1p1024",
            "0x.p1",
            "-",
            "e5",
            "0x1.8p1x",
            "0x-1",
        ];
        for text in bad {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn range_bounds_are_lenient() {
        let rows = [
            ("", Some(0.0)),
            (" 1", Some(1.0)),
            ("1\0x", Some(1.0)),
            ("1e400", Some(f64::INFINITY)),
            ("0x1p-5000", Some(0.0)),
            ("-0x1p5000", Some(f64::NEG_INFINITY)),
            ("1 ", None),
            (" ", None),
            ("nan", None),
            ("infi", None),
        ];
        for (text, value) in rows {
            assert_eq!(parse_f64_lenient(text.as_bytes()), value, "{text}");
        }
    }
}
