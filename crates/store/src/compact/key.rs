//! [`Key`]: a byte string in 16 bytes.
//!
//! ```text
//! byte   0 ..= 7          8 ..= 14           15
//! short  the bytes        the bytes          0xF0 + length   (0..=15 bytes)
//! full   the bytes        the bytes          the 16th byte, if below 0xEF
//! heap   pointer          length, 56 bits    0xEF
//! ```
//! A key of 16 bytes whose last byte is 0xEF or more goes to the heap; text never ends so.

use super::heap;
use super::inline::{FULL, padded};
use std::fmt;
use std::mem::size_of;
use std::ptr;

const INLINE_MAX: usize = 15;
const TAG_HEAP: u8 = 0xEF;
const TAG_SHORT: u8 = 0xF0;
const LEN_MASK: u64 = (1 << 56) - 1;

/// A key: any bytes, at most 2^56. Up to 15 of them, and most keys of 16, take no memory beyond the 16 bytes of this type.
#[repr(C)]
pub struct Key {
    word: *mut u8,
    rest: [u8; 8],
}

const _: () = assert!(size_of::<Key>() == 16);

// SAFETY: a `Key` owns its block alone, nothing in it is shared, and `&Key` only reads.
unsafe impl Send for Key {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for Key {}

impl Key {
    /// A key of these bytes.
    #[inline]
    pub fn new(bytes: &[u8]) -> Key {
        if bytes.len() <= INLINE_MAX {
            return Key::short(bytes);
        }
        if bytes.len() == FULL && bytes[FULL - 1] < TAG_HEAP {
            return Key::from_raw(padded(bytes));
        }
        Key::on_heap(bytes)
    }

    #[inline]
    fn short(bytes: &[u8]) -> Key {
        let mut all = padded(bytes);
        all[FULL - 1] = TAG_SHORT + bytes.len() as u8;
        Key::from_raw(all)
    }

    #[inline]
    fn from_raw(all: [u8; FULL]) -> Key {
        let (word, rest) = all.split_at(8);
        let word = usize::from_ne_bytes(word.try_into().expect("eight bytes"));
        Key {
            word: ptr::without_provenance_mut(word),
            rest: rest.try_into().expect("eight bytes"),
        }
    }

    #[cold]
    #[inline(never)]
    fn on_heap(bytes: &[u8]) -> Key {
        Key {
            word: heap::copy_of(bytes),
            rest: Key::heap_rest(bytes.len()),
        }
    }

    fn heap_rest(len: usize) -> [u8; 8] {
        let mut rest = (len as u64 & LEN_MASK).to_le_bytes();
        rest[7] = TAG_HEAP;
        rest
    }

    #[inline]
    fn heap_len(&self) -> usize {
        (u64::from_le_bytes(self.rest) & LEN_MASK) as usize
    }

    #[inline]
    fn is_heap(&self) -> bool {
        self.rest[7] == TAG_HEAP
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let tag = self.rest[7];
        if tag == TAG_HEAP {
            // SAFETY: with the heap tag `word` is a block of `heap_len` bytes that lives as long as `self`.
            return unsafe { std::slice::from_raw_parts(self.word, self.heap_len()) };
        }
        let len = if tag < TAG_HEAP {
            FULL
        } else {
            (tag - TAG_SHORT) as usize
        };
        // SAFETY: the type is 16 initialized bytes without padding (`repr(C)`, asserted above), and `len <= 16`.
        unsafe { std::slice::from_raw_parts(ptr::from_ref(self).cast::<u8>(), len) }
    }

    /// The last of the 16 bytes.
    #[inline]
    pub(crate) fn tag(&self) -> u8 {
        self.rest[7]
    }

    /// Whether this is the key that `probe` looks for.
    #[inline]
    pub(crate) fn is(&self, probe: &KeyProbe<'_>) -> bool {
        if self.rest != probe.rest {
            return false;
        }
        if self.is_heap() {
            return self.as_bytes() == probe.bytes;
        }
        self.word.addr() == probe.word
    }

    /// Bytes on the heap that belong to this key.
    #[inline]
    pub fn heap_size(&self) -> usize {
        if self.is_heap() { self.heap_len() } else { 0 }
    }
}

/// A key to look for, in the form in which it compares fastest: short ones as two words.
pub(crate) struct KeyProbe<'a> {
    bytes: &'a [u8],
    word: usize,
    rest: [u8; 8],
}

impl<'a> KeyProbe<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> KeyProbe<'a> {
        let is_full = bytes.len() == FULL && bytes[FULL - 1] < TAG_HEAP;
        if !is_full && bytes.len() > INLINE_MAX {
            let rest = Key::heap_rest(bytes.len());
            return KeyProbe {
                bytes,
                word: 0,
                rest,
            };
        }
        let mut all = padded(bytes);
        if !is_full {
            all[FULL - 1] = TAG_SHORT + bytes.len() as u8;
        }
        let (word, rest) = all.split_at(8);
        let word = usize::from_ne_bytes(word.try_into().expect("eight bytes"));
        KeyProbe {
            bytes,
            word,
            rest: rest.try_into().expect("eight bytes"),
        }
    }
}

impl Drop for Key {
    #[inline]
    fn drop(&mut self) {
        if self.is_heap() {
            // SAFETY: the block was made by `on_heap` with this length, and nobody uses it afterwards.
            unsafe { heap::free(self.word, self.heap_len()) };
        }
    }
}

impl Clone for Key {
    fn clone(&self) -> Key {
        Key::new(self.as_bytes())
    }
}

impl Default for Key {
    #[inline]
    fn default() -> Key {
        Key {
            word: ptr::null_mut(),
            rest: [0, 0, 0, 0, 0, 0, 0, TAG_SHORT],
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_length_comes_back() {
        for len in 0..100usize {
            for last in [0u8, b'a', 0xEE, 0xEF, 0xF0, 0xFF] {
                let mut bytes = vec![b'x'; len];
                if let Some(byte) = bytes.last_mut() {
                    *byte = last;
                }
                let key = Key::new(&bytes);
                assert_eq!(key.as_bytes(), bytes);
                assert_eq!(key.clone(), key);
            }
        }
    }

    #[test]
    fn sixteen_bytes_of_text_are_inline() {
        assert_eq!(Key::new(b"key:000000000001").heap_size(), 0);
        assert_eq!(Key::new(&[0xFF; 16]).heap_size(), 16);
        assert_eq!(Key::default().as_bytes(), b"");
    }

    proptest! {
        #[test]
        fn a_key_is_its_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let key = Key::new(&bytes);
            let moved = [key, Key::default()];
            prop_assert_eq!(moved[0].as_bytes(), &bytes[..]);
        }

        #[test]
        fn a_probe_finds_its_key_only(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            other in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            prop_assert!(Key::new(&bytes).is(&KeyProbe::new(&bytes)));
            prop_assert_eq!(Key::new(&bytes).is(&KeyProbe::new(&other)), bytes == other);
            let mut longer = bytes.clone();
            longer.push(0);
            prop_assert!(!Key::new(&bytes).is(&KeyProbe::new(&longer)));
        }
    }
}
