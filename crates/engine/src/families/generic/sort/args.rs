//! The arguments of SORT.

use super::elements::Source;
use super::pattern::Pattern;
use crate::command::CommandError;
use crate::families::options::{Words, integer, is_word};
use std::ops::Range;

/// What is to be sorted, and how.
pub(super) struct SortArgs<'a> {
    pub(super) key: &'a [u8],
    /// What elements are weighed by, where not by themselves.
    by: Option<Pattern<'a>>,
    /// Some BY had a pattern without a place for the element: nothing is sorted, whatever else is said.
    unsorted: bool,
    /// The first one wanted, and how many.
    limit: (i64, i64),
    /// What is asked for of each, where not the elements themselves.
    pub(super) gets: Vec<Pattern<'a>>,
    /// Weights are texts, not numbers.
    alpha: bool,
    pub(super) descending: bool,
    /// Where the result is stored.
    pub(super) destination: Option<&'a [u8]>,
}

/// How elements come into order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordering {
    /// They are in the order they have.
    None,
    /// As numbers.
    Numeric,
    /// As texts.
    Alphabetic,
}

impl<'a> SortArgs<'a> {
    /// Reads `key` and the options.
    ///
    /// # Errors
    /// Redis's.
    pub(super) fn parse(
        args: &'a [&'a [u8]],
        read_only: bool,
    ) -> Result<SortArgs<'a>, CommandError> {
        let mut sort = SortArgs {
            key: args.get(1).copied().ok_or(CommandError::Syntax)?,
            by: None,
            unsorted: false,
            limit: (0, -1),
            gets: Vec::new(),
            alpha: false,
            descending: false,
            destination: None,
        };
        let mut words = Words::from(args, 2);
        while let Some(word) = words.next() {
            match word {
                _ if is_word(word, "ASC") => sort.descending = false,
                _ if is_word(word, "DESC") => sort.descending = true,
                _ if is_word(word, "ALPHA") => sort.alpha = true,
                _ if is_word(word, "LIMIT") && words.left() >= 2 => {
                    sort.limit = (integer(words.value()?)?, integer(words.value()?)?);
                }
                _ if is_word(word, "STORE") && !read_only => {
                    sort.destination = Some(words.value()?);
                }
                _ if is_word(word, "BY") => {
                    sort.by = Pattern::of_weight(words.value()?);
                    sort.unsorted |= sort.by.is_none();
                }
                _ if is_word(word, "GET") => sort.gets.push(Pattern::new(words.value()?)),
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(sort)
    }

    /// The patterns that lead to other keys.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern<'a>> {
        let all = self.by.iter().chain(&self.gets);
        all.filter(|pattern| matches!(pattern, Pattern::Key { .. }))
    }

    /// Elements of a set have no order of their own: where one is stored unsorted, that has to be the same everywhere.
    fn is_settled(&self, source: Source<'_>) -> bool {
        self.unsorted && self.destination.is_some() && matches!(source, Source::Set(_))
    }

    /// How the elements of this source come into order.
    pub(super) fn ordering(&self, source: Source<'_>) -> Ordering {
        if self.is_settled(source) {
            Ordering::Alphabetic
        } else if self.unsorted {
            Ordering::None
        } else if self.alpha {
            Ordering::Alphabetic
        } else {
            Ordering::Numeric
        }
    }

    /// What elements are weighed by, where not by themselves.
    pub(super) fn weights(&self) -> Option<&Pattern<'a>> {
        self.by.as_ref().filter(|_| !self.unsorted)
    }

    /// Which of so many elements are wanted.
    pub(super) fn wanted(&self, len: usize) -> Range<usize> {
        let most = len as i64;
        let start = self.limit.0.clamp(0, most);
        let count = self.limit.1.clamp(-1, most);
        let end = if count < 0 {
            most
        } else {
            (start + count).min(most)
        };
        start as usize..end as usize
    }
}

/// What a user who may not read every key is told of the first option that asks for other keys; as Redis, which reads no further.
pub(super) fn refused(args: &[&[u8]]) -> Option<CommandError> {
    let mut words = Words::from(args, 2);
    while let Some(word) = words.next() {
        match word {
            _ if ["ASC", "DESC", "ALPHA"]
                .iter()
                .any(|plain| is_word(word, plain)) => {}
            _ if is_word(word, "LIMIT") => {
                integer(words.value().ok()?).ok()?;
                integer(words.value().ok()?).ok()?;
            }
            _ if is_word(word, "STORE") => _ = words.value().ok()?,
            _ if is_word(word, "BY") => {
                if words.value().ok()?.contains(&b'*') {
                    return Some(CommandError::text(
                        "ERR BY option of SORT denied due to insufficient ACL permissions.",
                    ));
                }
            }
            _ if is_word(word, "GET") && words.left() > 0 => {
                return Some(CommandError::text(
                    "ERR GET option of SORT denied due to insufficient ACL permissions.",
                ));
            }
            _ => return None,
        }
    }
    None
}
