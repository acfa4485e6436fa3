//! Glob patterns as KEYS, SCAN and PSUBSCRIBE take them (Redis's `util.c`, `stringmatchlen`).

/// A pattern of `*`, `?`, `[a-z]`, `[^a]` and `\` escapes, over bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glob<'a> {
    pattern: &'a [u8],
}

impl<'a> Glob<'a> {
    /// Any bytes are a pattern: an unfinished class ends with the pattern, a last `\` stands for itself.
    pub const fn new(pattern: &'a [u8]) -> Glob<'a> {
        Glob { pattern }
    }

    /// The pattern itself.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.pattern
    }

    /// Whether the pattern is exactly `*`, which needs no look at the text.
    pub fn is_everything(&self) -> bool {
        self.pattern == b"*"
    }

    /// Whether all of `text` matches, in time O(pattern × text) at worst. As in Redis only the empty pattern matches the empty text.
    ///
    /// ```
    /// use damselfly_engine::families::glob::Glob;
    /// assert!(Glob::new(b"h[a-e]llo*").matches(b"hello world"));
    /// assert!(!Glob::new(b"h[^e]llo").matches(b"hello"));
    /// assert!(!Glob::new(b"*").matches(b""));
    /// ```
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            return self.pattern.is_empty();
        }
        let (mut pattern, mut rest) = (self.pattern, text);
        // Where to go on when the part after the last star fails: that part, and the text it was last tried on.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            if let [b'*', after @ ..] = pattern {
                if after.iter().all(|byte| *byte == b'*') {
                    return true;
                }
                retry = (!rest.is_empty()).then_some((after, rest));
                pattern = after;
            } else if rest.is_empty() && pattern.is_empty() {
                return true;
            } else if let Some(after) = rest.first().and_then(|byte| one(pattern, *byte)) {
                (pattern, rest) = (after, &rest[1..]);
            } else {
                match retry {
                    Some((after, [_, next @ ..])) if !next.is_empty() => {
                        retry = Some((after, next));
                        (pattern, rest) = (after, next);
                    }
                    _ => return false,
                }
            }
        }
    }
}

/// Matches one byte; the pattern behind it.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', after @ ..] => Some(after),
        [b'[', class @ ..] => {
            let (matches, after) = in_class(class, byte);
            matches.then_some(after)
        }
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (*literal == byte).then_some(after),
    }
}

/// Whether the byte is in the class that begins here (behind its `[`), and the pattern behind the class.
fn in_class(class: &[u8], byte: u8) -> (bool, &[u8]) {
    let (negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        class = match class {
            [] => break,
            [b']', rest @ ..] => {
                class = rest;
                break;
            }
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [from, b'-', to, rest @ ..] => {
                found |= in_range(*from, *to, byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found != negated, class)
}

/// The order is that of C's `char`, which is signed where Redis runs most; the ends may be swapped.
fn in_range(from: u8, to: u8, byte: u8) -> bool {
    let (from, to, byte) = (from as i8, to as i8, byte as i8);
    (from.min(to)..=from.max(to)).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_redis_does() {
        for (pattern, text, expected) in [
            (&b"a*b*c"[..], &b"axxbyyc"[..], true),
            (b"a*b*c", b"axxbyycd", false),
            (b"*a*", b"a", true),
            (b"a**", b"a", true),
            (b"**", b"", false),
            (b"", b"", true),
            (b"", b"a", false),
            (b"?", b"", false),
            (b"h\\*llo", b"h*llo", true),
            (b"h\\*llo", b"hello", false),
            (b"a\\", b"a\\", true),
            (b"[ab", b"b", true),
            (b"[", b"x", false),
            (b"[^", b"x", true),
            (b"[]]", b"]", false),
            (b"[\\]]", b"]", true),
            (b"[z-a]", b"m", true),
            (b"[a-]", b"-", false),
            (b"[a-", b"-", true),
            (b"*[0-9]", b"key12", true),
            (b"*[0-9]x", b"key12", false),
            (b"*?", b"ab", true),
        ] {
            let (shown, on) = (pattern.escape_ascii(), text.escape_ascii());
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{shown} on {on}"
            );
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = [&b"a*".repeat(60)[..], b"b"].concat();
        assert!(!Glob::new(&pattern).matches(&b"a".repeat(2_000)));
    }
}
