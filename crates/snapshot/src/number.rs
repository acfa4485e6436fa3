//! Numbers as Redis writes and reads them in values.

/// The integer of which `text` is the canonical decimal (no plus sign, no leading zeros, no `-0`).
pub(crate) fn canonical_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
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

/// A score from its text: decimal, `inf`, `-inf`, `+inf`, `nan` in any case.
pub(crate) fn parse_score(text: &[u8]) -> Option<f64> {
    fast_float2::parse(text).ok()
}

/// The integer that a score is, where doubles are exact.
pub(crate) fn exact_int(score: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_negative_zero = score == 0.0 && score.is_sign_negative();
    (score.trunc() == score && score.abs() < EXACT && !is_negative_zero).then_some(score as i64)
}

/// The text of a score that is not an integer; `buffer` is only room.
pub(crate) fn score_text(buffer: &mut zmij::Buffer, score: f64) -> &[u8] {
    if score.is_nan() {
        b"nan"
    } else if score.is_infinite() {
        if score > 0.0 { b"inf" } else { b"-inf" }
    } else {
        buffer.format_finite(score).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_integers_only() {
        for value in [0, 1, -1, 9, 10, i64::MAX, i64::MIN, i64::MAX - 1] {
            assert_eq!(canonical_int(value.to_string().as_bytes()), Some(value));
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "1.0",
        ] {
            assert_eq!(canonical_int(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn scores_from_text() {
        assert_eq!(parse_score(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_score(b"inf"), Some(f64::INFINITY));
        assert_eq!(parse_score(b"80.626000000000005"), Some(80.626));
        assert_eq!(parse_score(b"1e16"), Some(1e16));
        assert_eq!(parse_score(b"x"), None);
    }
}
