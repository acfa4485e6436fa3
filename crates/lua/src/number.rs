//! Numbers as C prints them.

/// What `printf("%.*g", precision, value)` prints.
pub(crate) fn push_g(out: &mut Vec<u8>, value: f64, precision: usize) {
    if !value.is_finite() {
        let text: &[u8] = match (value.is_nan(), value.is_sign_negative()) {
            (true, true) => b"-nan",
            (true, false) => b"nan",
            (false, true) => b"-inf",
            (false, false) => b"inf",
        };
        return out.extend_from_slice(text);
    }
    if precision >= 14
        && value == value.trunc()
        && value.abs() < 1e14
        && !(value == 0.0 && value.is_sign_negative())
    {
        let mut text = itoa::Buffer::new();
        return out.extend_from_slice(text.format(value as i64).as_bytes());
    }
    let scientific = format!("{:.*e}", precision - 1, value);
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small number");
    if exponent < -4 || exponent >= precision as i32 {
        out.extend_from_slice(without_zeros(mantissa).as_bytes());
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    } else {
        let fixed = format!("{:.*}", (precision as i32 - 1 - exponent) as usize, value);
        out.extend_from_slice(without_zeros(&fixed).as_bytes());
    }
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Digits that Lua's own conversion of a number to a string has.
pub(crate) const LUA_DIGITS: usize = 14;

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// What C makes of a double where it needs a 64-bit integer (as x86 does it).
pub(crate) fn to_i64(value: f64) -> i64 {
    if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::push_g;

    #[test]
    fn numbers_are_printed_as_c_does() {
        for (value, precision, expected) in [
            (1.1, 17, "1.1000000000000001"),
            (1.1, 14, "1.1"),
            (1e15, 14, "1e+15"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (1e15, 17, "1000000000000000"),
            (1e17, 17, "1e+17"),
            (-0.0, 14, "-0"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (f64::INFINITY, 14, "inf"),
            (2.5, 14, "2.5"),
        ] {
            let mut out = Vec::new();
            push_g(&mut out, value, precision);
            assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
        }
    }
}
