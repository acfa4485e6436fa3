//! Sorting of which only a part is wanted, in the order that Redis gives to what is equal.
//!
//! Where everything is wanted, Redis takes the C library's stable merge sort; otherwise the quicksort of Bentley and McIlroy
//! ("Engineering a Sort Function", 1993) without the partitions that nobody asked for. It is not stable, so the same
//! steps have to be taken for the same order of equals.

use std::cmp::Ordering;
use std::ops::Range;

/// Below this, insertion.
const SMALL: usize = 7;
/// From this on, the pivot is the median of three medians.
const LARGE: usize = 40;

/// Puts those items in place that belong to `wanted`; the others stand before and behind it in no particular order.
///
/// # Panics
/// When `wanted` reaches beyond the items.
pub(super) fn partial_sort<T>(
    items: &mut [T],
    wanted: Range<usize>,
    mut compare: impl FnMut(&T, &T) -> Ordering,
) {
    assert!(wanted.end <= items.len(), "what is wanted is there");
    if wanted == (0..items.len()) {
        items.sort_by(compare);
    } else if !wanted.is_empty() {
        let effort = 4 * items.len().ilog2();
        quicksort(items, wanted, effort, &mut compare);
    }
}

type Compare<'c, T> = &'c mut dyn FnMut(&T, &T) -> Ordering;

/// `effort` bounds the depth: an order made to spoil the pivots ends in the other sort.
fn quicksort<T>(
    mut items: &mut [T],
    mut wanted: Range<usize>,
    effort: u32,
    compare: Compare<'_, T>,
) {
    let mut effort = effort;
    loop {
        if items.len() < SMALL {
            return insertion_sort(items, compare);
        }
        let Some(left) = effort.checked_sub(1) else {
            return items.sort_by(compare);
        };
        effort = left;
        let (below, above) = partition(items, compare);
        let (low, rest) = items.split_at_mut(below);
        let beyond = rest.len() - above;
        let high = &mut rest[beyond..];
        let start = below + beyond;
        let of_high = wanted.start.max(start) - start..wanted.end.max(start) - start;
        let of_low = wanted.start.min(below)..wanted.end.min(below);
        let [(shorter, of_shorter), (longer, of_longer)] = if low.len() <= high.len() {
            [(low, of_low), (high, of_high)]
        } else {
            [(high, of_high), (low, of_low)]
        };
        if !of_shorter.is_empty() {
            quicksort(shorter, of_shorter, effort, compare);
        }
        if of_longer.is_empty() {
            return;
        }
        (items, wanted) = (longer, of_longer);
    }
}

fn insertion_sort<T>(items: &mut [T], compare: Compare<'_, T>) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Parts the items into those below a pivot, those equal to it, and those above it; returns how many are below, and above.
fn partition<T>(items: &mut [T], compare: Compare<'_, T>) -> (usize, usize) {
    let len = items.len();
    items.swap(0, pivot(items, compare));
    // What is equal gathers at both ends: before `equal_low`, and behind `equal_high`.
    let (mut equal_low, mut low) = (1, 1);
    let (mut equal_high, mut high) = (len, len);
    loop {
        while low < high {
            match compare(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(equal_low, low);
                    equal_low += 1;
                }
                Ordering::Less => {}
            }
            low += 1;
        }
        while low < high {
            match compare(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    items.swap(high - 1, equal_high - 1);
                    equal_high -= 1;
                }
                Ordering::Greater => {}
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    let (below, above) = (low - equal_low, equal_high - high);
    swap_ends(&mut items[..low], equal_low.min(below));
    swap_ends(&mut items[low..], (len - equal_high).min(above));
    (below, above)
}

/// Exchanges the first and the last `count` items.
fn swap_ends<T>(items: &mut [T], count: usize) {
    let (first, last) = items.split_at_mut(items.len() - count);
    first[..count].swap_with_slice(last);
}

/// The index of the item to part by.
fn pivot<T>(items: &[T], compare: Compare<'_, T>) -> usize {
    let (first, mut middle, last) = (0, items.len() / 2, items.len() - 1);
    if items.len() > SMALL {
        let mut ends = [first, last];
        if items.len() > LARGE {
            let far = items.len() / 8;
            ends = [
                median(items, [first, first + far, first + 2 * far], compare),
                median(items, [last - 2 * far, last - far, last], compare),
            ];
            middle = median(items, [middle - far, middle, middle + far], compare);
        }
        middle = median(items, [ends[0], middle, ends[1]], compare);
    }
    middle
}

/// The index of the item between the two others.
fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: Compare<'_, T>) -> usize {
    let mut is_less = |left: usize, right: usize| compare(&items[left], &items[right]).is_lt();
    if is_less(a, b) {
        if is_less(b, c) {
            b
        } else if is_less(a, c) {
            c
        } else {
            a
        }
    } else if is_less(c, b) {
        b
    } else if is_less(a, c) {
        a
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers with many equals, by a linear congruence.
    fn numbers(len: usize, most: u32) -> Vec<(u32, usize)> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % most
        };
        (0..len).map(|at| (next(), at)).collect()
    }

    #[test]
    fn what_is_wanted_is_in_place() {
        for len in [1, 2, 6, 7, 8, 39, 41, 500] {
            for most in [1, 3, 20, 1 << 20] {
                let items = numbers(len, most);
                let mut sorted: Vec<u32> = items.iter().map(|item| item.0).collect();
                sorted.sort_unstable();
                for wanted in [0..len, 0..len / 2, len / 3..len, len / 3..len / 2, 0..1] {
                    let mut items = items.clone();
                    partial_sort(&mut items, wanted.clone(), |a, b| a.0.cmp(&b.0));
                    let got: Vec<u32> = items.iter().map(|item| item.0).collect();
                    assert_eq!(got[wanted.clone()], sorted[wanted.clone()], "{len} {most}");
                    let mut places: Vec<usize> = items.iter().map(|item| item.1).collect();
                    places.sort_unstable();
                    assert_eq!(places, (0..len).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn a_spoilt_order_ends_too() {
        let mut items: Vec<u32> = (0..2000).collect();
        quicksort(&mut items, 0..1, 0, &mut |a, b| b.cmp(a));
        assert_eq!(items[0], 1999);
    }
}
