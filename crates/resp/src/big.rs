//! Natural numbers of any size: just what decimal long doubles need.

use std::cmp::Ordering;

/// 32-bit digits, the lowest first, no zeros at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Big(Vec<u32>);

const BILLION: u32 = 1_000_000_000;

impl Big {
    pub(crate) fn new(value: u64) -> Self {
        let mut big = Self(vec![value as u32, (value >> 32) as u32]);
        big.trim();
        big
    }

    /// From decimal digits (`b'0'..=b'9'`, checked by the caller).
    pub(crate) fn from_digits(digits: &[u8]) -> Self {
        let mut big = Self(Vec::new());
        for chunk in digits.chunks(9) {
            let value = chunk
                .iter()
                .fold(0, |value, &digit| value * 10 + u32::from(digit - b'0'));
            big.mul_add(10u32.pow(chunk.len() as u32), value);
        }
        big
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn mul_pow10(&mut self, mut power: u64) {
        while power > 0 {
            let step = power.min(9);
            self.mul_add(10u32.pow(step as u32), 0);
            power -= step;
        }
    }

    pub(crate) fn bit_len(&self) -> u64 {
        self.0.last().map_or(0, |top| {
            self.0.len() as u64 * 32 - u64::from(top.leading_zeros())
        })
    }

    pub(crate) fn shl(&mut self, bits: u64) {
        let (words, bits) = ((bits / 32) as usize, (bits % 32) as u32);
        if bits > 0 {
            self.mul_add(1 << bits, 0);
        }
        if !self.is_zero() {
            self.0.splice(0..0, std::iter::repeat_n(0, words));
        }
    }

    /// The highest 128 bits as an integer, how many bits were cut, and whether any of them was set.
    pub(crate) fn top_bits(&self) -> (u128, u64, bool) {
        let cut = self.bit_len().saturating_sub(128);
        let (words, shift) = ((cut / 32) as usize, cut % 32);
        let mut bits = 0u128;
        for (at, &word) in self.0[words..].iter().enumerate() {
            let place = at as i64 * 32 - shift as i64;
            bits |= if place < 0 {
                u128::from(word) >> -place
            } else {
                u128::from(word) << place
            };
        }
        let rest = self.0[..words].iter().any(|&word| word != 0);
        let partial = shift > 0 && self.0[words] & ((1 << shift) - 1) != 0;
        (bits, cut, rest || partial)
    }

    /// The quotient of `self` and `divisor`, both not zero, to at least 67 significant bits: the
    /// bits, the exponent of the last one, and whether something is left.
    pub(crate) fn divide(mut self, mut divisor: Big) -> (u128, i64, bool) {
        let distance = divisor.bit_len() as i64 - self.bit_len() as i64;
        if distance > 0 {
            self.shl(distance as u64)
        } else {
            divisor.shl(distance.unsigned_abs())
        }
        let mut quotient = 0u128;
        for _ in 0..QUOTIENT_BITS {
            quotient <<= 1;
            if self.compare(&divisor) != Ordering::Less {
                self.subtract(&divisor);
                quotient |= 1;
            }
            self.mul_add(2, 0);
        }
        (quotient, -distance - (QUOTIENT_BITS - 1), !self.is_zero())
    }

    /// Decimal digits.
    pub(crate) fn into_decimal(mut self) -> String {
        let mut chunks = Vec::new();
        while !self.is_zero() {
            chunks.push(self.divide_by_billion());
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:09}"));
        }
        text
    }

    fn mul_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn compare(&self, other: &Big) -> Ordering {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// `other` is not larger.
    fn subtract(&mut self, other: &Big) {
        let mut borrow = 0i64;
        for (at, word) in self.0.iter_mut().enumerate() {
            let value =
                i64::from(*word) - i64::from(other.0.get(at).copied().unwrap_or(0)) + borrow;
            *word = value as u32;
            borrow = value >> 32;
        }
        self.trim();
    }

    fn divide_by_billion(&mut self) -> u32 {
        let mut rest = 0u64;
        for word in self.0.iter_mut().rev() {
            let value = rest << 32 | u64::from(*word);
            *word = (value / u64::from(BILLION)) as u32;
            rest = value % u64::from(BILLION);
        }
        self.trim();
        rest as u32
    }

    fn trim(&mut self) {
        while self.0.pop_if(|top| *top == 0).is_some() {}
    }
}

/// 67 bits and one that may be zero.
const QUOTIENT_BITS: i64 = 68;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_there_and_back() {
        for text in [
            "0",
            "7",
            "4294967296",
            "1000000000",
            "340282366920938463463374607431768211456123",
        ] {
            assert_eq!(Big::from_digits(text.as_bytes()).into_decimal(), text);
        }
        let mut big = Big::new(3);
        big.mul_pow10(20);
        assert_eq!(big.into_decimal(), "300000000000000000000");
    }

    #[test]
    fn shifts_and_top_bits() {
        let mut big = Big::new(0b101);
        big.shl(130);
        assert_eq!(big.bit_len(), 133);
        assert_eq!(big.top_bits(), (0b101 << 125, 5, false));
        big.mul_add(1, 1);
        assert_eq!(big.top_bits(), (0b101 << 125, 5, true));
        assert_eq!(
            Big::new(u64::MAX).top_bits(),
            (u128::from(u64::MAX), 0, false)
        );
    }

    #[test]
    fn quotients() {
        let (bits, exponent, rest) = Big::new(3).divide(Big::new(4));
        assert_eq!(
            (bits as f64 * 2f64.powi(exponent as i32), rest),
            (0.75, false)
        );
        let (bits, exponent, rest) = Big::new(1_000_000).divide(Big::new(3));
        assert_eq!(
            (bits as f64 * 2f64.powi(exponent as i32), rest),
            (1_000_000.0 / 3.0, true)
        );
    }
}
