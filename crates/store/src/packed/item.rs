//! What a collection hands out: the bytes of an element, borrowed or spelled out.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use super::entry::Raw;

/// `i64::MIN` has a sign and 19 digits.
const MAX_INT_BYTES: usize = 20;

/// The bytes of one element of a collection.
///
/// It derefs to `[u8]`. Elements that a packed form keeps as integers are spelled out in place, so
/// no item ever allocates.
#[derive(Clone, Copy)]
pub struct Item<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Bytes(&'a [u8]),
    Digits {
        len: u8,
        digits: [u8; MAX_INT_BYTES],
    },
}

impl<'a> Item<'a> {
    /// The item that borrows `bytes`.
    pub fn borrowed(bytes: &'a [u8]) -> Self {
        Item(Repr::Bytes(bytes))
    }

    /// The item that spells `int`.
    pub fn from_int(int: i64) -> Item<'static> {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(int).as_bytes();
        let mut digits = [0; MAX_INT_BYTES];
        digits[..text.len()].copy_from_slice(text);
        Item(Repr::Digits {
            len: text.len() as u8,
            digits,
        })
    }

    pub(crate) fn from_raw(raw: Raw<'a>) -> Self {
        match raw {
            Raw::Bytes(bytes) => Item::borrowed(bytes),
            Raw::Int(int) => Item::from_int(int),
            Raw::Score(_) => unreachable!("scores are read by `Raw::score`"),
        }
    }

    /// The bytes of the element.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Bytes(bytes) => bytes,
            Repr::Digits { len, digits } => &digits[..usize::from(*len)],
        }
    }

    /// The bytes, borrowed from the collection where it has them.
    pub fn into_cow(self) -> Cow<'a, [u8]> {
        match self.0 {
            Repr::Bytes(bytes) => Cow::Borrowed(bytes),
            Repr::Digits { .. } => Cow::Owned(self.to_vec()),
        }
    }
}

impl Deref for Item<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Item<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Item<'_> {}

impl PartialOrd for Item<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialEq<[u8]> for Item<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

impl PartialEq<&[u8]> for Item<'_> {
    fn eq(&self, other: &&[u8]) -> bool {
        self.as_bytes() == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Item<'_> {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.as_bytes() == other.as_slice()
    }
}

impl From<Item<'_>> for Vec<u8> {
    fn from(item: Item<'_>) -> Vec<u8> {
        item.to_vec()
    }
}
