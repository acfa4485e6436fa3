//! The `long double` of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis computes these commands in the 80-bit format of the x87: with doubles, 0.1 + 0.2 would not
//! be 0.3. Rust has no such type, so here is as much of it as the commands need.

use std::io::Write as _;

use crate::big::Big;
use crate::float::{EXTENDED, Parts, parse_exponent, parse_hex, split_sign};

/// Redis's MAX_LONG_DOUBLE_CHARS: longer texts are no numbers to it.
const MAX_CHARS: usize = 5 * 1024;
/// Decimal exponents beyond which every number is infinite or zero.
const FAR: i64 = 5000;
/// Decimals that are printed.
const DECIMALS: usize = 17;

/// A number in the x87 extended format: 64 bits of mantissa, exponents to ±16383. Never NaN.
///
/// ```
/// use damselfly_resp::{LongDouble, format_long_double};
///
/// let sum = LongDouble::parse(b"0.1").zip(LongDouble::parse(b"0.2")).and_then(|(a, b)| a.add(b));
/// let mut out = Vec::new();
/// format_long_double(&mut out, sum.expect("both are finite"));
/// assert_eq!(out, b"0.3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Magnitude {
    Zero,
    /// mantissa × 2^exponent, the mantissa's top bit set.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
    Infinite,
}

impl LongDouble {
    /// Reads a number as Redis does (`util.c`, `string2ld`): the forms of [`crate::parse_f64`], with
    /// the range of the wider format.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= MAX_CHARS {
            return None;
        }
        let (negative, unsigned) = split_sign(text);
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(Self {
                negative,
                magnitude: Magnitude::Infinite,
            });
        }
        let parts = match parse_hex(text) {
            Some(hex) => hex?,
            None => Parts {
                negative,
                ..parse_decimal(unsigned)?
            },
        };
        let value = Self::from_parts(parts);
        let vanished = value.magnitude == Magnitude::Zero && (parts.bits != 0 || parts.sticky);
        (value.is_finite() && !vanished).then_some(value)
    }

    /// Whether it is no infinity.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }

    /// The sum, rounded once. `None`: not a number (infinities of two signs).
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn add(self, other: Self) -> Option<Self> {
        use Magnitude::{Finite, Infinite, Zero};
        match (self.magnitude, other.magnitude) {
            (Infinite, Infinite) if self.negative != other.negative => None,
            (Infinite, _) => Some(self),
            (_, Infinite) => Some(other),
            (Zero, Zero) => Some(Self {
                negative: self.negative && other.negative,
                ..self
            }),
            (Zero, _) => Some(other),
            (_, Zero) => Some(self),
            (Finite { exponent: a, .. }, Finite { exponent: b, .. }) if a < b => other.add(self),
            (
                Finite {
                    mantissa: a,
                    exponent,
                },
                Finite {
                    mantissa: b,
                    exponent: lower,
                },
            ) => {
                let parts = add_aligned(
                    a,
                    b,
                    exponent.abs_diff(lower),
                    self.negative != other.negative,
                );
                let exponent = parts.exponent + i64::from(exponent);
                Some(Self::from_parts(Parts {
                    negative: self.negative != parts.negative,
                    exponent,
                    ..parts
                }))
            }
        }
    }

    fn from_parts(parts: Parts) -> Self {
        let magnitude = match parts.round(EXTENDED) {
            None => Magnitude::Infinite,
            Some((0, _)) => Magnitude::Zero,
            Some((mantissa, exponent)) => {
                let shift = mantissa.leading_zeros();
                Magnitude::Finite {
                    mantissa: mantissa << shift,
                    exponent: exponent - shift as i32,
                }
            }
        };
        Self {
            negative: parts.negative,
            magnitude,
        }
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        let bits = u128::from(value.unsigned_abs());
        Self::from_parts(Parts {
            negative: value < 0,
            bits,
            sticky: false,
            exponent: 0,
        })
    }
}

impl From<f64> for LongDouble {
    /// Exact. NaN, which there is none of here, becomes zero.
    fn from(value: f64) -> Self {
        let negative = value.is_sign_negative();
        if value.is_infinite() {
            return Self {
                negative,
                magnitude: Magnitude::Infinite,
            };
        }
        let bits = if value.is_nan() { 0 } else { value.to_bits() };
        let (field, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
        let mantissa = if field == 0 {
            fraction
        } else {
            fraction | 1 << 52
        };
        Self::from_parts(Parts {
            negative,
            bits: mantissa.into(),
            sticky: false,
            exponent: field.max(1) - 1075,
        })
    }
}

/// `a` ± `b` × 2^-distance, as bits from 2^-63 on. Negative when the difference is.
fn add_aligned(a: u64, b: u64, distance: u32, subtract: bool) -> Parts {
    let (x, full) = (u128::from(a) << 63, u128::from(b) << 63);
    let y = full.checked_shr(distance).unwrap_or(0);
    let sticky = y.checked_shl(distance).unwrap_or(0) != full;
    let (bits, negative) = match (subtract, x >= y) {
        (false, _) => (x + y, false),
        (true, true) => (x - y - u128::from(sticky), false),
        // Only with equal exponents, where nothing was shifted out.
        (true, false) => (y - x, true),
    };
    Parts {
        negative: negative && bits != 0,
        bits,
        sticky,
        exponent: -63,
    }
}

/// Digits, a point among them, an exponent: nothing else, and at least one digit.
fn parse_decimal(text: &[u8]) -> Option<Parts> {
    let mark = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (number, exponent) = match mark {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let point = number.iter().position(|&byte| byte == b'.');
    let fraction = point.map_or(0, |at| number.len() - at - 1);
    let digits: Vec<u8> = match point {
        Some(at) => [&number[..at], &number[at + 1..]].concat(),
        None => number.to_vec(),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(scale(&digits, exponent - fraction as i64))
}

/// digits × 10^exponent, to more bits than the format has.
fn scale(digits: &[u8], exponent: i64) -> Parts {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[zeros..];
    let zero = Parts {
        negative: false,
        bits: 0,
        sticky: false,
        exponent: 0,
    };
    let first = digits.len() as i64 + exponent;
    if digits.is_empty() {
        return zero;
    }
    if first.abs() > FAR {
        let exponent = if first > 0 {
            i64::from(i32::MAX)
        } else {
            i64::from(i32::MIN)
        };
        return Parts {
            bits: 1,
            exponent,
            ..zero
        };
    }
    let mut number = Big::from_digits(digits);
    if exponent >= 0 {
        number.mul_pow10(exponent as u64);
        let (bits, cut, sticky) = number.top_bits();
        return Parts {
            bits,
            sticky,
            exponent: cut as i64,
            ..zero
        };
    }
    let mut divisor = Big::new(1);
    divisor.mul_pow10(exponent.unsigned_abs());
    let (bits, exponent, sticky) = number.divide(divisor);
    Parts {
        bits,
        sticky,
        exponent,
        ..zero
    }
}

/// Appends a number as INCRBYFLOAT prints it (`util.c`, `ld2string` with LD_STR_HUMAN): `%.17Lf`
/// without trailing zeros, never an exponent; `-0` is `0`; `inf` and `-inf`.
pub fn format_long_double(out: &mut Vec<u8>, value: impl Into<LongDouble>) {
    let value = value.into();
    let (whole, fraction) = match value.magnitude {
        Magnitude::Zero => (String::from("0"), 0),
        Magnitude::Finite { mantissa, exponent } => split_decimal(mantissa, exponent),
        Magnitude::Infinite => (String::from("inf"), 0),
    };
    if value.negative && (fraction != 0 || whole != "0") {
        out.push(b'-');
    }
    out.extend_from_slice(whole.as_bytes());
    if fraction != 0 {
        let _ = write!(out, ".{fraction:0DECIMALS$}");
        let used = out
            .iter()
            .rposition(|&byte| byte != b'0')
            .map_or(0, |last| last + 1);
        out.truncate(used);
    }
}

/// The whole part, and the decimals as an integer, rounded half to even.
fn split_decimal(mantissa: u64, exponent: i32) -> (String, u64) {
    if exponent >= 0 {
        let mut whole = Big::new(mantissa);
        whole.shl(exponent.unsigned_abs().into());
        return (whole.into_decimal(), 0);
    }
    let scale = 10u64.pow(DECIMALS as u32);
    let shift = exponent.unsigned_abs();
    let whole = mantissa.checked_shr(shift).unwrap_or(0);
    let rest = mantissa - whole.checked_shl(shift).unwrap_or(0);
    let scaled = Parts {
        negative: false,
        bits: u128::from(rest) * u128::from(scale),
        sticky: false,
        exponent: 0,
    };
    let decimals = scaled.shift_rounded(i64::from(shift)) as u64;
    let carry = decimals / scale;
    ((whole + carry).to_string(), decimals % scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: LongDouble) -> String {
        let mut out = Vec::new();
        format_long_double(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn sum(a: &str, b: &str) -> LongDouble {
        LongDouble::parse(a.as_bytes())
            .unwrap()
            .add(LongDouble::parse(b.as_bytes()).unwrap())
            .unwrap()
    }

    /// Every row as `redis-server` 7.0.15 (x86-64) answered SET and INCRBYFLOAT.
    #[test]
    fn sums_are_those_of_redis() {
        let rows = [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3.0", "1.000000000000000001", "4"),
            ("1e18", "0.1", "1000000000000000000.125"),
            ("1e19", "0.1", "10000000000000000000"),
            ("1", "1e-17", "1.00000000000000001"),
            ("1", "5e-18", "1"),
            ("1", "6e-18", "1.00000000000000001"),
            ("1", "-1e-19", "1"),
            ("-0.1", "0.1", "0"),
            ("-0", "0", "0"),
            ("0", "-1e-18", "0"),
            ("3.3", "-1.1", "2.2"),
            ("0.3", "-0.1", "0.2"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("1e-4950", "0", "0"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551615", "0.5", "18446744073709551616"),
            ("123456.789", "0", "123456.78900000000000148"),
            ("0x1.fffffffffffff8p0", "0", "1.99999999999999989"),
            (
                "0x10000000000000000000000000000000.8",
                "0",
                "21267647932558653966460912964485513216",
            ),
            ("1.5e-7", "0", "0.00000015"),
            ("-123456.789", "0", "-123456.78900000000000148"),
            ("1e23", "0", "100000000000000000000000"),
        ];
        for (a, b, text) in rows {
            assert_eq!(printed(sum(a, b)), text, "{a} + {b}");
        }
        let large = printed(sum("1e4931", "-1"));
        assert_eq!(
            (large.len(), &large[..40]),
            (4932, "1000000000000000000006018949387963891323")
        );
    }

    #[test]
    fn the_edges_of_the_range() {
        for bad in [
            "1e5000", "1e-5000", "nan", "", " 1", "1 ", "1e", ".", "0x", "1e4933", "3e-4952",
            "1_0", "+-1",
        ] {
            assert_eq!(LongDouble::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(LongDouble::parse(&[b'1'; MAX_CHARS]), None);
        assert!(!sum("1.1897e4932", "1.1897e4932").is_finite());
        let inf = LongDouble::parse(b"-Infinity").unwrap();
        assert_eq!(
            (inf.add(LongDouble::from(f64::INFINITY)), printed(inf)),
            (None, "-inf".to_owned())
        );
        assert_eq!(inf.add(LongDouble::from(1)), Some(inf));
    }

    #[test]
    fn from_integers_and_doubles() {
        assert_eq!(printed(LongDouble::from(i64::MIN)), "-9223372036854775808");
        assert_eq!(printed(LongDouble::from(0.1)), "0.10000000000000001");
        assert_eq!(printed(LongDouble::from(-2.5)), "-2.5");
        assert_eq!(printed(LongDouble::from(5e-324)), "0");
        assert_eq!(
            printed(LongDouble::from(f64::MAX)),
            format!("{:.0}", f64::MAX)
        );
    }
}
