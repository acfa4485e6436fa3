//! A bound on what is logged of things that others can make happen as often as they like.

/// Lets so many lines through in a while, and counts the rest.
#[derive(Debug)]
pub struct LineLimit {
    lines: u32,
    window_ms: u64,
    /// When the present while began: with the first line in it.
    since_ms: Option<u64>,
    count: u32,
    unsaid: u64,
}

impl LineLimit {
    /// `lines` within `window_ms` milliseconds.
    pub const fn new(lines: u32, window_ms: u64) -> LineLimit {
        LineLimit {
            lines,
            window_ms,
            since_ms: None,
            count: 0,
            unsaid: 0,
        }
    }

    /// Whether a line may be logged: `Some` with the number of those that were not, since one was.
    pub fn admit(&mut self, now_ms: u64) -> Option<u64> {
        let is_within = |since| now_ms.saturating_sub(since) < self.window_ms;
        if !self.since_ms.is_some_and(is_within) {
            (self.since_ms, self.count) = (Some(now_ms), 0);
        }
        self.count += 1;
        if self.count > self.lines {
            self.unsaid += 1;
            return None;
        }
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_counted_and_told_of_later() {
        let mut limit = LineLimit::new(2, 1_000);
        let said: Vec<_> = [5, 6, 7, 8, 1_004, 1_005, 1_006, 1_007]
            .map(|now_ms| limit.admit(now_ms))
            .into();
        let expected = [Some(0), Some(0), None, None, None, Some(3), Some(0), None];
        assert_eq!(said, expected);
    }
}
