//! Patterns that make a key of an element: `weight_*`, `object_*->field`, `#`.

use super::Lookup;
use damselfly_store::Value;
use damselfly_store::values::Expiring;
use std::borrow::Cow;

/// What is looked at for an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// The element itself.
    Element,
    /// The string of a key, or a field of its hash.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
    /// Nothing: a pattern without a place for the element.
    Nothing,
}

impl<'a> Pattern<'a> {
    /// The pattern of GET. As in Redis, what is special ends at a NUL byte, yet the rest belongs to the key.
    pub(super) fn new(text: &'a [u8]) -> Pattern<'a> {
        let visible = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if visible == b"#" {
            return Pattern::Element;
        }
        let Some(star) = visible.iter().position(|byte| *byte == b'*') else {
            return Pattern::Nothing;
        };
        let (before, after) = (&text[..star], &text[star + 1..]);
        let arrow = visible[star + 1..]
            .windows(2)
            .position(|pair| pair == b"->")
            // The field must have a name that C can see.
            .filter(|at| visible.len() > star + 1 + at + 2);
        Pattern::Key {
            before,
            after: &after[..arrow.unwrap_or(after.len())],
            field: arrow.map(|at| &after[at + 2..]),
        }
    }

    /// The pattern of BY; `None` where it has no place for the element.
    pub(super) fn of_weight(text: &'a [u8]) -> Option<Pattern<'a>> {
        Some(Pattern::new(text)).filter(|pattern| matches!(pattern, Pattern::Key { .. }))
    }

    /// The key that it looks at.
    pub(super) fn key(&self, element: &[u8]) -> Option<Vec<u8>> {
        match self {
            Pattern::Key { before, after, .. } => Some([before, element, after].concat()),
            _ => None,
        }
    }

    /// What it finds for an element.
    pub(super) fn value<'r, 'v: 'r>(
        &self,
        element: &'r [u8],
        lookup: Lookup<'_, 'v>,
    ) -> Option<Cow<'r, [u8]>> {
        let Pattern::Key { field, .. } = self else {
            return (*self == Pattern::Element).then_some(Cow::Borrowed(element));
        };
        match ((lookup.key)(&self.key(element)?)?, field) {
            (Value::Str(string), None) => Some(string.bytes()),
            (Value::Hash(hash), Some(field)) => {
                let is_due = hash
                    .element_expiry(field)
                    .is_some_and(|at| at <= lookup.now);
                let value = hash.get(field).filter(|_| !is_due)?;
                Some(Cow::Owned(value.to_vec()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(before: &'a str, after: &'a str, field: Option<&'a str>) -> Pattern<'a> {
        Pattern::Key {
            before: before.as_bytes(),
            after: after.as_bytes(),
            field: field.map(str::as_bytes),
        }
    }

    #[test]
    fn patterns_are_read_as_c_reads_them() {
        for (text, expected) in [
            ("#", Pattern::Element),
            ("nosort", Pattern::Nothing),
            ("w_*", key("w_", "", None)),
            ("w_*_x*", key("w_", "_x*", None)),
            ("o_*->f", key("o_", "", Some("f"))),
            ("o_*:x->f->g", key("o_", ":x", Some("f->g"))),
            ("o_*->", key("o_", "->", None)),
            ("o->f*", key("o->f", "", None)),
            ("a\0*", Pattern::Nothing),
            ("*\0->f", key("", "\0->f", None)),
        ] {
            assert_eq!(Pattern::new(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(Pattern::of_weight(b"#"), None);
    }
}
