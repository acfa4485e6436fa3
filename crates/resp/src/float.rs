//! Exact numbers on their way to a binary floating point format.

/// A binary floating point format: value = mantissa × 2^exponent.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// Bits of the mantissa.
    precision: i64,
    /// Smallest exponent of the mantissa's last bit (denormal numbers).
    min_exponent: i64,
    /// Largest exponent of the last bit of a full mantissa.
    max_exponent: i64,
}

/// IEEE 754 binary64.
pub(crate) const DOUBLE: Format = Format {
    precision: 53,
    min_exponent: -1074,
    max_exponent: 1023 - 52,
};
/// The x87 80-bit format, which is `long double` where Redis runs most.
pub(crate) const EXTENDED: Format = Format {
    precision: 64,
    min_exponent: -16445,
    max_exponent: 16383 - 63,
};

/// A finite number: ± (bits + a rest below 1, if `sticky`) × 2^exponent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) negative: bool,
    pub(crate) bits: u128,
    pub(crate) sticky: bool,
    pub(crate) exponent: i64,
}

impl Parts {
    /// Rounds to nearest, ties to even: mantissa and exponent. `None`: too large.
    pub(crate) fn round(&self, format: Format) -> Option<(u64, i32)> {
        let len = 128 - i64::from(self.bits.leading_zeros());
        let drop = (len - format.precision)
            .max(format.min_exponent - self.exponent)
            .max(0);
        let mantissa = self.shift_rounded(drop);
        if mantissa == 0 {
            return Some((0, 0));
        }
        let top = 128 - i64::from(mantissa.leading_zeros()) + self.exponent + drop;
        if top > format.max_exponent + format.precision {
            return None;
        }
        // Rounding up may have made one bit more than the precision; that bit string ends in zeros.
        let shift = (128 - i64::from(mantissa.leading_zeros()) - format.precision).max(0);
        Some((
            (mantissa >> shift) as u64,
            (self.exponent + drop + shift) as i32,
        ))
    }

    /// The bits, `drop` of them cut and rounded, ties to even.
    pub(crate) fn shift_rounded(&self, drop: i64) -> u128 {
        match drop {
            0 => self.bits,
            1..128 => {
                let half = 1u128 << (drop - 1);
                let (kept, rest) = (self.bits >> drop, self.bits & ((half << 1) - 1));
                let up = rest > half || (rest == half && (self.sticky || kept & 1 == 1));
                kept + u128::from(up)
            }
            _ => u128::from(
                drop == 128 && (self.bits > 1 << 127 || (self.bits == 1 << 127 && self.sticky)),
            ),
        }
    }
}

/// Reads a hexadecimal number (C99): `None` if it does not begin as one, `Some(None)` if it begins
/// as one and then is none.
pub(crate) fn parse_hex(text: &[u8]) -> Option<Option<Parts>> {
    let (negative, unsigned) = split_sign(text);
    match unsigned {
        [b'0', b'x' | b'X', rest @ ..] => {
            Some(parse_hex_digits(rest).map(|parts| Parts { negative, ..parts }))
        }
        _ => None,
    }
}

/// Splits a leading `+` or `-` off; `true` is `-`.
pub(crate) fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

fn parse_hex_digits(text: &[u8]) -> Option<Parts> {
    let mut parts = Parts {
        negative: false,
        bits: 0,
        sticky: false,
        exponent: 0,
    };
    let (mut point, mut digits) = (false, 0);
    for (at, &byte) in text.iter().enumerate() {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) => {
                digits += 1;
                parts.push_hex(digit, point);
            }
            (None, b'.') if !point => point = true,
            (None, b'p' | b'P') if digits > 0 => {
                parts.exponent += parse_exponent(&text[at + 1..])?;
                return Some(parts);
            }
            _ => return None,
        }
    }
    (digits > 0).then_some(parts)
}

impl Parts {
    fn push_hex(&mut self, digit: u32, after_point: bool) {
        if self.bits >> 124 == 0 {
            self.bits = self.bits << 4 | u128::from(digit);
            self.exponent -= if after_point { 4 } else { 0 };
        } else {
            self.sticky |= digit != 0;
            self.exponent += if after_point { 0 } else { 4 };
        }
    }
}

/// Digits with a sign, at least one; beyond a million they are cut, as nothing is that far.
pub(crate) fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = char::from(*byte).to_digit(10)?;
        value = (value * 10 + i64::from(digit)).min(1 << 40);
    }
    Some(if negative { -value } else { value })
}
