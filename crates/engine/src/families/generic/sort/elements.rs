//! The elements of what is sorted, in order.

use super::Lookup;
use super::args::{Ordering as Order, SortArgs};
use crate::command::CommandError;
use crate::families::partial_sort::partial_sort;
use damselfly_resp::parse_f64;
use damselfly_store::values::{Expiring, Item, List, SetAt, ZSet};
use damselfly_store::{UnixMs, Value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// Where elements come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'v> {
    List(&'v List),
    Set(SetAt<'v>),
    ZSet(&'v ZSet),
    Absent,
}

impl<'v> Source<'v> {
    /// The value as a source, at this time.
    ///
    /// # Errors
    /// [`CommandError::WrongType`].
    pub(super) fn of(value: Option<&'v Value>, now: UnixMs) -> Result<Source<'v>, CommandError> {
        match value {
            Some(Value::List(list)) => Ok(Source::List(list)),
            Some(Value::Set(set)) => Ok(Source::Set(set.at(now))),
            Some(Value::ZSet(zset)) => Ok(Source::ZSet(zset)),
            None => Ok(Source::Absent),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::List(list) => list.len(),
            Source::Set(set) => set.len(),
            Source::ZSet(zset) => zset.len(),
            Source::Absent => 0,
        }
    }

    /// All elements, in the order they have.
    pub(super) fn all(self) -> Box<dyn Iterator<Item = Item<'v>> + 'v> {
        match self {
            Source::List(list) => Box::new(list.iter()),
            Source::Set(set) => Box::new(set.iter()),
            Source::ZSet(zset) => Box::new(zset.iter().map(|(member, _)| member)),
            Source::Absent => Box::new(std::iter::empty()),
        }
    }

    /// Some of the elements, counted from the end where `descending`; a set has no end.
    fn part(self, part: Range<usize>, descending: bool) -> Vec<Item<'v>> {
        let (skip, take) = (part.start, part.len());
        match self {
            Source::List(list) if descending => list.iter_rev().skip(skip).take(take).collect(),
            Source::List(list) => list.iter_from(skip).take(take).collect(),
            Source::ZSet(zset) if take == 0 => {
                let _ = zset;
                Vec::new()
            }
            Source::ZSet(zset) => {
                let members = if descending {
                    zset.iter_rev_from_rank(zset.len() - 1 - skip)
                } else {
                    zset.iter_from_rank(skip)
                };
                members.take(take).map(|(member, _)| member).collect()
            }
            source => source.all().skip(skip).take(take).collect(),
        }
    }
}

/// An element, with what it is sorted by.
struct Weighed<'v> {
    element: Item<'v>,
    weight: Weight,
}

enum Weight {
    Number(f64),
    /// Where a pattern found nothing, it is before all texts.
    Text(Option<Vec<u8>>),
    /// The element's own text.
    Own,
}

/// Elements in the order that is asked for, at least where they are wanted.
pub(super) struct Elements<'v> {
    items: Vec<Item<'v>>,
    wanted: Range<usize>,
}

impl<'v> Elements<'v> {
    /// Looks the source up, and sorts.
    ///
    /// # Errors
    /// It has no elements, or one has a weight that is no number.
    pub(super) fn sorted(
        args: &SortArgs<'_>,
        lookup: Lookup<'_, 'v>,
    ) -> Result<Elements<'v>, CommandError> {
        let source = Source::of((lookup.key)(args.key), lookup.now)?;
        let wanted = args.wanted(source.len());
        let order = args.ordering(source);
        if order == Order::None {
            let items = source.part(wanted, args.descending);
            return Ok(Elements {
                wanted: 0..items.len(),
                items,
            });
        }
        let mut weighed = weigh(source, args, order, lookup)?;
        let compare = |left: &Weighed<'_>, right: &Weighed<'_>| {
            let ascending = compare(left, right, args.destination.is_some());
            if args.descending {
                ascending.reverse()
            } else {
                ascending
            }
        };
        match args.weights() {
            Some(_) => partial_sort(&mut weighed, wanted.clone(), compare),
            None => weighed.sort_by(compare),
        }
        Ok(Elements {
            items: weighed.into_iter().map(|weighed| weighed.element).collect(),
            wanted,
        })
    }

    /// The elements that are wanted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Item<'v>> {
        self.items[self.wanted.clone()].iter()
    }
}

fn weigh<'v>(
    source: Source<'v>,
    args: &SortArgs<'_>,
    order: Order,
    lookup: Lookup<'_, 'v>,
) -> Result<Vec<Weighed<'v>>, CommandError> {
    let alphabetic = order == Order::Alphabetic;
    let weight = |element: &Item<'v>| match args.weights() {
        None if alphabetic => Ok(Weight::Own),
        None => number(element).map(Weight::Number),
        Some(by) => {
            let found = by.value(element, lookup);
            if alphabetic {
                Ok(Weight::Text(found.map(Cow::into_owned)))
            } else {
                found
                    .map_or(Ok(0.0), |text| number(&text))
                    .map(Weight::Number)
            }
        }
    };
    source
        .all()
        .map(|element| {
            Ok(Weighed {
                weight: weight(&element)?,
                element,
            })
        })
        .collect()
}

/// A weight as C's `strtod` reads it: blanks in front are skipped, a NUL byte is the end, and nothing at all is 0.
fn number(text: &[u8]) -> Result<f64, CommandError> {
    const WRONG: CommandError =
        CommandError::text("ERR One or more scores can't be converted into double");
    let text = text_of_c(text);
    if text.is_empty() {
        return Ok(0.0);
    }
    let blanks = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | 9..=13))
        .count();
    parse_f64(&text[blanks..])
        .filter(|number| !number.is_subnormal())
        .ok_or(WRONG)
}

/// The bytes that C's functions see.
fn text_of_c(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whatever is stored is compared byte by byte; for an answer Redis compares texts of C.
fn compare(left: &Weighed<'_>, right: &Weighed<'_>, stores: bool) -> Ordering {
    let texts = |left: &[u8], right: &[u8]| {
        if stores {
            left.cmp(right)
        } else {
            text_of_c(left).cmp(text_of_c(right))
        }
    };
    match (&left.weight, &right.weight) {
        (Weight::Number(of_left), Weight::Number(of_right)) => of_left
            .partial_cmp(of_right)
            .unwrap_or(Ordering::Equal)
            .then_with(|| left.element.cmp(&right.element)),
        (Weight::Text(Some(of_left)), Weight::Text(Some(of_right))) => texts(of_left, of_right),
        (Weight::Text(of_left), Weight::Text(of_right)) => {
            of_left.is_some().cmp(&of_right.is_some())
        }
        _ => texts(&left.element, &right.element),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_c_reads_them() {
        for (text, expected) in [
            (&b""[..], Some(0.0)),
            (b"\0x", Some(0.0)),
            (b" \t12", Some(12.0)),
            (b"0x10", Some(16.0)),
            (b"inf", Some(f64::INFINITY)),
            (b" ", None),
            (b"1 ", None),
            (b"nan", None),
            (b"1e400", None),
            (b"1e-310", None),
        ] {
            assert_eq!(number(text).ok(), expected, "{}", text.escape_ascii());
        }
    }
}
