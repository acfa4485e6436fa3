//! The flag that a misspelt one was meant to be.

use super::{ignored, table};

/// The known flag nearest to a name, if it is near enough to be a slip: at most a third of its letters differ.
pub fn nearest(name: &str) -> Option<&'static str> {
    let refused = ignored::REFUSED.iter().map(|row| row.name);
    let ours = table::FLAGS
        .iter()
        .map(|flag| flag.name)
        .chain(["flagfile", "help", "version"]);
    ours.chain(ignored::BOOLEANS.iter().copied())
        .chain(ignored::VALUES.iter().copied())
        .chain(refused)
        .map(|known| (distance(name.as_bytes(), known.as_bytes()), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Insertions, deletions, replacements and swaps of neighbours, one each ("optimal string alignment").
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut least = replaced.min(row[j] + 1).min(last[j + 1] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("port", "port", 0),
            ("prt", "port", 1),
            ("prot", "port", 1),
        ] {
            assert_eq!(
                distance(left.as_bytes(), right.as_bytes()),
                expected,
                "{left} {right}"
            );
        }
    }

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        assert_eq!(nearest("proactor_thread"), Some("proactor_threads"));
        assert_eq!(nearest("maxmemroy"), Some("maxmemory"));
        assert_eq!(nearest("version_chek"), Some("version_check"));
        assert_eq!(nearest("qqqqqqqqqqqqq"), None);
    }
}
