//! How much work it is to match a pattern: Lua's own functions can't be interrupted, and some short patterns take longer than
//! anybody lives. So the work is bounded by a formula first, and where that is too much, counted by doing it, which is given up
//! at a limit. (The rules of matching are those of the Lua 5.1 manual, 5.4.1; what is found is of no interest here.)

/// Steps of one call that are allowed: about a second. (A build for debugging takes twenty times as long for one.)
const MAX_STEPS: u64 = if cfg!(debug_assertions) {
    10_000_000
} else {
    200_000_000
};
/// Captures of a pattern; Lua has no more.
const MAX_CAPTURES: usize = 32;

/// What a function does with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// It looks for the first match, from here on.
    First(usize),
    /// It looks for so many matches, one behind the other. `^` may be a sign like any other.
    All { most: usize, may_anchor: bool },
}

/// Whether matching is more work than may be done.
pub(super) fn is_too_much(subject: &[u8], pattern: &[u8], search: Search) -> bool {
    // For Lua a pattern ends where C's strings do.
    let end = pattern.iter().position(|byte| *byte == 0);
    let pattern = &pattern[..end.unwrap_or(pattern.len())];
    if most_steps(subject.len(), pattern) <= MAX_STEPS {
        return false;
    }
    let mut matcher = Matcher {
        subject,
        pattern,
        captures: [Capture::default(); MAX_CAPTURES],
        level: 0,
        steps: 0,
    };
    matcher.search(search) == Err(Stop::TooMuch)
}

/// A bound that is quickly known: every repetition may begin and end anywhere.
fn most_steps(subject: usize, pattern: &[u8]) -> u64 {
    let count = |signs: &[u8]| pattern.iter().filter(|byte| signs.contains(byte)).count();
    let repetitions = u32::try_from(count(b"*+-")).unwrap_or(u32::MAX);
    let choices = u32::try_from(count(b"?")).unwrap_or(u32::MAX);
    (subject as u64 + 1)
        .saturating_pow(repetitions.saturating_add(1))
        .saturating_mul(2u64.saturating_pow(choices))
        .saturating_mul(pattern.len() as u64 + 1)
}

/// Why matching ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    TooMuch,
    /// Lua says what is wrong.
    Malformed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Capture {
    start: usize,
    /// Open until its parenthesis closes; of a position it never does.
    len: Option<usize>,
    is_position: bool,
}

type Matched = Result<Option<usize>, Stop>;

struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; MAX_CAPTURES],
    level: usize,
    steps: u64,
}

impl Matcher<'_> {
    fn search(&mut self, search: Search) -> Result<(), Stop> {
        let (mut at, most, may_anchor) = match search {
            Search::First(from) => (from.min(self.subject.len()), 1, true),
            Search::All { most, may_anchor } => (0, most, may_anchor),
        };
        let is_anchored = may_anchor && self.pattern.first() == Some(&b'^');
        let begin = usize::from(is_anchored);
        let mut found = 0;
        while found < most {
            self.level = 0;
            let end = self.matches(at, begin)?;
            found += usize::from(end.is_some());
            match end {
                Some(end) if end > at => at = end,
                _ if at < self.subject.len() => at += 1,
                _ => break,
            }
            if is_anchored {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, steps: usize) -> Result<(), Stop> {
        self.steps += steps as u64;
        if self.steps > MAX_STEPS {
            Err(Stop::TooMuch)
        } else {
            Ok(())
        }
    }

    /// Where a match that begins here ends.
    fn matches(&mut self, mut at: usize, mut item: usize) -> Matched {
        loop {
            self.step(1)?;
            let Some(&sign) = self.pattern.get(item) else {
                return Ok(Some(at));
            };
            match (sign, self.pattern.get(item + 1)) {
                (b'(', next) => return self.open(at, item + 1, next == Some(&b')')),
                (b')', _) => return self.close(at, item + 1),
                (b'$', None) => return Ok((at == self.subject.len()).then_some(at)),
                (b'%', Some(b'b')) => match self.balanced(at, item + 2)? {
                    Some(end) => (at, item) = (end, item + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => match self.frontier(at, item + 2)? {
                    Some(next) => item = next,
                    None => return Ok(None),
                },
                (b'%', Some(digit @ b'0'..=b'9')) => match self.again(at, *digit)? {
                    Some(end) => (at, item) = (end, item + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(item)?;
                    let fits = self.fits(at, item, end)?;
                    match self.pattern.get(end) {
                        Some(b'*') => return self.longest(at, item, end),
                        Some(b'+') if fits => return self.longest(at + 1, item, end),
                        Some(b'-') => return self.shortest(at, item, end),
                        Some(b'?') => {
                            if fits && let Some(end) = self.matches(at + 1, end + 1)? {
                                return Ok(Some(end));
                            }
                            item = end + 1;
                        }
                        _ if !fits => return Ok(None),
                        _ => (at, item) = (at + 1, end),
                    }
                }
            }
        }
    }

    fn longest(&mut self, at: usize, item: usize, end: usize) -> Matched {
        let mut last = at;
        while self.fits(last, item, end)? {
            last += 1;
        }
        while last >= at {
            if let Some(end) = self.matches(last, end + 1)? {
                return Ok(Some(end));
            }
            if last == at {
                break;
            }
            last -= 1;
        }
        Ok(None)
    }

    fn shortest(&mut self, mut at: usize, item: usize, end: usize) -> Matched {
        loop {
            if let Some(end) = self.matches(at, end + 1)? {
                return Ok(Some(end));
            }
            if !self.fits(at, item, end)? {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, at: usize, item: usize, is_position: bool) -> Matched {
        let place = self.captures.get_mut(self.level).ok_or(Stop::Malformed)?;
        *place = Capture {
            start: at,
            len: None,
            is_position,
        };
        self.level += 1;
        let found = self.matches(at, item + usize::from(is_position))?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, item: usize) -> Matched {
        let mut open = self.captures[..self.level].iter_mut().rev();
        let capture = open.find(|capture| capture.len.is_none() && !capture.is_position);
        let capture = capture.ok_or(Stop::Malformed)?;
        capture.len = Some(at - capture.start);
        let start = capture.start;
        let found = self.matches(at, item)?;
        if found.is_none() {
            let same = |capture: &&mut Capture| capture.start == start && capture.len.is_some();
            let mut closed = self.captures[..self.level].iter_mut();
            closed
                .find(same)
                .into_iter()
                .for_each(|capture| capture.len = None);
        }
        Ok(found)
    }

    /// The end of what has been captured, once more.
    fn again(&mut self, at: usize, digit: u8) -> Matched {
        let number = usize::from(digit - b'0').checked_sub(1);
        let capture = number.and_then(|number| self.captures[..self.level].get(number));
        let (start, len) = capture
            .and_then(|capture| Some((capture.start, capture.len?)))
            .ok_or(Stop::Malformed)?;
        self.step(len)?;
        let here = self.subject.get(at..at + len);
        Ok((here == Some(&self.subject[start..start + len])).then_some(at + len))
    }

    fn balanced(&mut self, at: usize, item: usize) -> Matched {
        let [open, close] = self.pattern.get(item..item + 2).ok_or(Stop::Malformed)? else {
            return Err(Stop::Malformed);
        };
        if self.subject.get(at) != Some(open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (further, byte) in self.subject[at + 1..].iter().enumerate() {
            if byte == close {
                depth -= 1;
            } else if byte == open {
                depth += 1;
            }
            if depth == 0 {
                self.step(further)?;
                return Ok(Some(at + further + 2));
            }
        }
        self.step(self.subject.len() - at)?;
        Ok(None)
    }

    /// The item behind a frontier that is here.
    fn frontier(&mut self, at: usize, item: usize) -> Matched {
        if self.pattern.get(item) != Some(&b'[') {
            return Err(Stop::Malformed);
        }
        let end = self.class_end(item)?;
        let before = at.checked_sub(1).map_or(0, |before| self.subject[before]);
        let here = self.subject.get(at).copied().unwrap_or(0);
        self.step(end - item)?;
        let set = &self.pattern[item..end];
        Ok((!is_in_set(before, set) && is_in_set(here, set)).then_some(end))
    }

    /// Where a single item, without what follows it, ends.
    fn class_end(&self, item: usize) -> Result<usize, Stop> {
        let sign = |at: usize| self.pattern.get(at).copied();
        match sign(item) {
            Some(b'%') => sign(item + 1).map(|_| item + 2).ok_or(Stop::Malformed),
            Some(b'[') => {
                let mut at = item + 1 + usize::from(sign(item + 1) == Some(b'^'));
                loop {
                    let escapes = sign(at).ok_or(Stop::Malformed)? == b'%';
                    at += 1 + usize::from(escapes && sign(at + 1).is_some());
                    if sign(at) == Some(b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }

    /// Whether the sign here is one of those that the item stands for.
    fn fits(&mut self, at: usize, item: usize, end: usize) -> Result<bool, Stop> {
        self.step(end - item)?;
        let Some(&sign) = self.subject.get(at) else {
            return Ok(false);
        };
        let class = &self.pattern[item..end];
        Ok(match class {
            [b'.'] => true,
            [b'%', class] => is_of_class(sign, *class),
            [b'[', ..] => is_in_set(sign, class),
            _ => class == [sign],
        })
    }
}

/// A set with its brackets.
fn is_in_set(sign: u8, set: &[u8]) -> bool {
    let inner = &set[1..set.len() - 1];
    let (is_complement, mut inner) = match inner {
        [b'^', inner @ ..] => (true, inner),
        inner => (false, inner),
    };
    let mut is_in = false;
    while let [first, rest @ ..] = inner {
        (is_in, inner) = match (*first, rest) {
            (b'%', [class, rest @ ..]) => (is_in || is_of_class(sign, *class), rest),
            (first, [b'-', last, rest @ ..]) => (is_in || (first..=*last).contains(&sign), rest),
            (first, rest) => (is_in || first == sign, rest),
        };
    }
    is_in != is_complement
}

fn is_of_class(sign: u8, class: u8) -> bool {
    let is_of = match class.to_ascii_lowercase() {
        b'a' => sign.is_ascii_alphabetic(),
        b'c' => sign.is_ascii_control(),
        b'd' => sign.is_ascii_digit(),
        b'l' => sign.is_ascii_lowercase(),
        b'p' => sign.is_ascii_punctuation(),
        b's' => matches!(sign, b' ' | 9..=13),
        b'u' => sign.is_ascii_uppercase(),
        b'w' => sign.is_ascii_alphanumeric(),
        b'x' => sign.is_ascii_hexdigit(),
        b'z' => sign == 0,
        _ => return class == sign,
    };
    is_of != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Search = Search::All {
        most: usize::MAX,
        may_anchor: true,
    };

    /// The end of the first match, counted without the bound.
    fn end_of_first(subject: &str, pattern: &str) -> Matched {
        let mut matcher = Matcher {
            subject: subject.as_bytes(),
            pattern: pattern.as_bytes(),
            captures: [Capture::default(); MAX_CAPTURES],
            level: 0,
            steps: 0,
        };
        matcher.matches(0, 0)
    }

    #[test]
    fn patterns_match_as_in_lua() {
        for (subject, pattern, end) in [
            ("hello", "l", None),
            ("hello", "h.-l", Some(3)),
            ("hello", "h.*l", Some(4)),
            ("abab", "(ab)%1", Some(4)),
            ("abac", "(ab)%1", None),
            ("(a(b)c)d", "%b()", Some(7)),
            ("THE (quick)", "%f[%a]%a+", Some(3)),
            ("x1]", "[%w%]]+$", Some(3)),
            ("]]", "[]]+", Some(2)),
            ("a-z", "[a%-z]+", Some(3)),
            ("key=val", "()%w+()=", Some(4)),
            ("colour", "colou?r", Some(6)),
            ("color", "colou?r$", Some(5)),
            ("", "$", Some(0)),
            ("aXb", "%l%u%l", Some(3)),
        ] {
            assert_eq!(
                end_of_first(subject, pattern),
                Ok(end),
                "{subject} {pattern}"
            );
        }
        for pattern in ["%", "[a", "(a))", "%1", "%f", "%b("] {
            assert_eq!(
                end_of_first("aaa", pattern),
                Err(Stop::Malformed),
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let subject = "a".repeat(1_000);
        for (pattern, is_long) in [
            (".-.-.-.-b", true),
            ("a*a*a*a*b", true),
            ("(.*)(.*)(.*)x", true),
            ("a*b", false),
            ("a+", false),
            ("^a-b", false),
            ("a-", false),
        ] {
            let found = is_too_much(subject.as_bytes(), pattern.as_bytes(), Search::First(0));
            assert_eq!(found, is_long, "{pattern}");
        }
        let choices = "a?".repeat(40) + &"a".repeat(40);
        assert!(is_too_much(
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            choices.as_bytes(),
            ALL
        ));
        assert!(!is_too_much(&[b'x'; 100_000], b"%w+", ALL));
    }
}
