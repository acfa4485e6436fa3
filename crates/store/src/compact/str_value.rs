//! [`StrValue`]: a string value in 16 bytes.
//!
//! ```text
//! byte   0 ..= 7    8 ..= 14           15 (tag)
//! text   the bytes  the bytes          Text0 ..= Text15, the length
//! int    i64        zero               Int     decimal integers of 16 to 20 characters
//! exact  pointer    length, 56 bits    Exact   a block of exactly the length
//! grown  pointer    length, 56 bits    Grown   a block that begins with its capacity (usize), then the bytes
//! ```
//! The other values of the tag are the niche in which [`crate::Value`] keeps its own.

use super::heap;
use super::inline::padded;
use std::borrow::Cow;
use std::fmt;
use std::mem::{size_of, take};
use std::ptr;

const INLINE_MAX: usize = 15;
const LEN_MASK: u64 = (1 << 56) - 1;
/// Where the bytes begin in a grown block: after its capacity.
const GROWN_HEADER: usize = size_of::<usize>();
/// A grown block doubles up to this many bytes, and grows by as much from there on (as Redis does).
const GROWTH_STEP_MAX: usize = 1 << 20;
/// The longest text of an `i64`: `-9223372036854775808`.
pub const INT_TEXT_MAX: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    Text0,
    Text1,
    Text2,
    Text3,
    Text4,
    Text5,
    Text6,
    Text7,
    Text8,
    Text9,
    Text10,
    Text11,
    Text12,
    Text13,
    Text14,
    Text15,
    Int,
    Exact,
    Grown,
}

impl Tag {
    #[rustfmt::skip]
    const TEXT: [Tag; INLINE_MAX + 1] = [
        Tag::Text0, Tag::Text1, Tag::Text2, Tag::Text3, Tag::Text4, Tag::Text5, Tag::Text6, Tag::Text7,
        Tag::Text8, Tag::Text9, Tag::Text10, Tag::Text11, Tag::Text12, Tag::Text13, Tag::Text14, Tag::Text15,
    ];
}

/// A string value of any bytes, at most 2^56. Up to 15 bytes and all canonical decimal `i64` take no
/// memory beyond the 16 bytes of this type; longer ones a block of exactly their length until they are appended to.
#[repr(C)]
pub struct StrValue {
    word: *mut u8,
    rest: [u8; 7],
    tag: Tag,
}

const _: () = assert!(size_of::<StrValue>() == 16);

// SAFETY: a `StrValue` owns its block alone, nothing in it is shared, and `&StrValue` only reads.
unsafe impl Send for StrValue {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for StrValue {}

impl StrValue {
    /// A string of these bytes.
    #[inline]
    pub fn new(bytes: &[u8]) -> StrValue {
        if bytes.len() <= INLINE_MAX {
            return StrValue::text(bytes);
        }
        if bytes.len() <= INT_TEXT_MAX
            && let Some(int) = parse_canonical(bytes)
        {
            return StrValue::int(int);
        }
        StrValue::on_heap(Tag::Exact, heap::copy_of(bytes), bytes.len())
    }

    /// The decimal text of `int`.
    pub fn from_int(int: i64) -> StrValue {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(int).as_bytes();
        if text.len() <= INLINE_MAX {
            StrValue::text(text)
        } else {
            StrValue::int(int)
        }
    }

    #[inline]
    fn text(bytes: &[u8]) -> StrValue {
        let all = padded(bytes);
        let (word, rest) = all.split_at(8);
        let word = usize::from_ne_bytes(word.try_into().expect("eight bytes"));
        StrValue {
            word: ptr::without_provenance_mut(word),
            rest: rest[..7].try_into().expect("seven bytes"),
            tag: Tag::TEXT[bytes.len()],
        }
    }

    fn int(int: i64) -> StrValue {
        StrValue {
            word: ptr::without_provenance_mut(int as u64 as usize),
            rest: [0; 7],
            tag: Tag::Int,
        }
    }

    fn on_heap(tag: Tag, block: *mut u8, len: usize) -> StrValue {
        let len = (len as u64 & LEN_MASK).to_le_bytes();
        let rest = len[..7].try_into().expect("seven bytes");
        StrValue {
            word: block,
            rest,
            tag,
        }
    }

    #[inline]
    fn heap_len(&self) -> usize {
        let mut len = [0; 8];
        len[..7].copy_from_slice(&self.rest);
        u64::from_le_bytes(len) as usize
    }

    fn set_heap_len(&mut self, len: usize) {
        self.rest.copy_from_slice(&(len as u64).to_le_bytes()[..7]);
    }

    #[inline]
    fn int_value(&self) -> i64 {
        self.word.addr() as u64 as i64
    }

    /// The capacity of a grown block, its header not counted.
    fn grown_capacity(&self) -> usize {
        debug_assert!(self.tag == Tag::Grown);
        // SAFETY: with the tag `Grown` the block begins with its capacity; it may be unaligned for `usize`.
        unsafe { self.word.cast::<usize>().read_unaligned() }
    }

    /// The bytes, if they stand in memory as such: all but the form `Int`.
    #[inline]
    fn stored(&self) -> Option<&[u8]> {
        let (start, len) = match self.tag {
            Tag::Int => return None,
            Tag::Exact => (self.word.cast_const(), self.heap_len()),
            // SAFETY: a grown block is longer than its header.
            Tag::Grown => (
                unsafe { self.word.add(GROWN_HEADER) }.cast_const(),
                self.heap_len(),
            ),
            text => (ptr::from_ref(self).cast::<u8>(), text as usize),
        };
        // SAFETY: inline: this type is 16 initialized bytes and `len <= 15`. On the heap: `len` bytes from
        // `start` are initialized and live as long as `self`.
        Some(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// The length of [`StrValue::bytes`].
    #[inline]
    pub fn len(&self) -> usize {
        match self.tag {
            Tag::Int => itoa::Buffer::new().format(self.int_value()).len(),
            Tag::Exact | Tag::Grown => self.heap_len(),
            text => text as usize,
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value, if the bytes are the canonical decimal text of an `i64` (as `itoa` writes it: no sign `+`, no leading zeros, no `-0`).
    pub fn as_int(&self) -> Option<i64> {
        match self.tag {
            Tag::Int => Some(self.int_value()),
            Tag::Exact if self.heap_len() > INT_TEXT_MAX => None,
            Tag::Grown if self.heap_len() > INT_TEXT_MAX => None,
            _ => parse_canonical(self.stored()?),
        }
    }

    /// The bytes; borrowed but for integers of more than 15 characters.
    #[inline]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.stored() {
            Some(bytes) => Cow::Borrowed(bytes),
            None => Cow::Owned(
                itoa::Buffer::new()
                    .format(self.int_value())
                    .as_bytes()
                    .to_vec(),
            ),
        }
    }

    /// The bytes without ever allocating: `scratch` takes the text of an integer.
    #[inline]
    pub fn read<'a>(&'a self, scratch: &'a mut [u8; INT_TEXT_MAX]) -> &'a [u8] {
        match self.stored() {
            Some(bytes) => bytes,
            None => {
                let mut buffer = itoa::Buffer::new();
                let text = buffer.format(self.int_value()).as_bytes();
                scratch[..text.len()].copy_from_slice(text);
                &scratch[..text.len()]
            }
        }
    }

    /// The first byte as it stands in memory, 0 if there is none.
    #[inline]
    pub(crate) fn first_byte(&self) -> u8 {
        self.stored()
            .and_then(|bytes| bytes.first())
            .copied()
            .unwrap_or(0)
    }

    /// Appends `bytes`. Repeated appends cost amortised O(appended).
    pub fn append(&mut self, bytes: &[u8]) {
        let old_len = self.len();
        let end = old_len
            .checked_add(bytes.len())
            .expect("a string fits the address space");
        self.grow_zeroed(end)[old_len..].copy_from_slice(bytes);
    }

    /// Overwrites the bytes from `offset` on with `bytes`; a gap behind the old end is filled with zeros. An empty `bytes` changes nothing.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset
            .checked_add(bytes.len())
            .expect("a string fits the address space");
        let len = end.max(self.len());
        self.grow_zeroed(len)[offset..end].copy_from_slice(bytes);
    }

    /// Bytes on the heap that belong to this value.
    #[inline]
    pub fn heap_size(&self) -> usize {
        match self.tag {
            Tag::Exact => self.heap_len(),
            Tag::Grown => self.grown_capacity() + GROWN_HEADER,
            _ => 0,
        }
    }

    /// Makes the value `len` bytes long (never shorter), new bytes zero, and gives all of them to write to.
    fn grow_zeroed(&mut self, len: usize) -> &mut [u8] {
        let old_len = self.len();
        if len <= INLINE_MAX && self.tag != Tag::Exact && self.tag != Tag::Grown {
            let mut scratch = [0; INT_TEXT_MAX];
            let mut text = [0; INLINE_MAX];
            text[..old_len].copy_from_slice(self.read(&mut scratch));
            *self = StrValue::text(&text[..len]);
        } else if self.tag == Tag::Exact && len == old_len {
            // Written to in place.
        } else {
            self.make_grown(len);
            self.zero_up_to(len);
        }
        self.stored_mut()
    }

    fn zero_up_to(&mut self, len: usize) {
        let old_len = self.heap_len();
        debug_assert!(self.tag == Tag::Grown && old_len <= len && len <= self.grown_capacity());
        // SAFETY: both ends lie within the capacity of the block.
        unsafe { ptr::write_bytes(self.word.add(GROWN_HEADER + old_len), 0, len - old_len) };
        self.set_heap_len(len);
    }

    /// Takes the form `Grown` with room for `len` bytes, the contents unchanged.
    fn make_grown(&mut self, len: usize) {
        if self.tag == Tag::Grown && len <= self.grown_capacity() {
            return;
        }
        let capacity = len + len.min(GROWTH_STEP_MAX);
        let block = if self.tag == Tag::Grown {
            self.resized(capacity)
        } else {
            self.copied(capacity)
        };
        // SAFETY: the block has `GROWN_HEADER + capacity` bytes.
        unsafe { block.cast::<usize>().write_unaligned(capacity) };
    }

    fn resized(&mut self, capacity: usize) -> *mut u8 {
        let old = GROWN_HEADER + self.grown_capacity();
        // SAFETY: a grown block has that many bytes; the old pointer is replaced at once.
        self.word = unsafe { heap::resize(self.word, old, GROWN_HEADER + capacity) };
        self.word
    }

    fn copied(&mut self, capacity: usize) -> *mut u8 {
        let block = heap::uninit(GROWN_HEADER + capacity);
        let mut scratch = [0; INT_TEXT_MAX];
        let bytes = self.read(&mut scratch);
        let len = bytes.len();
        // SAFETY: `len <= capacity`, and the block is fresh.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block.add(GROWN_HEADER), len) };
        *self = StrValue::on_heap(Tag::Grown, block, len);
        block
    }

    fn stored_mut(&mut self) -> &mut [u8] {
        let (start, len) = match self.tag {
            Tag::Int => return &mut [],
            Tag::Exact => (self.word, self.heap_len()),
            // SAFETY: a grown block is longer than its header.
            Tag::Grown => (unsafe { self.word.add(GROWN_HEADER) }, self.heap_len()),
            text => (ptr::from_mut(self).cast::<u8>(), text as usize),
        };
        // SAFETY: as in `stored`, and `self` is borrowed mutably. Inline, the slice ends before the tag.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }
}

/// Strict: only what formatting the result gives back.
fn parse_canonical(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] | [b'0', _, ..] => return None,
        [b'0'] => return (!negative).then_some(0),
        _ if digits.len() >= INT_TEXT_MAX => return None,
        _ => {}
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit); // at most 19 digits: below 2^64
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

impl Drop for StrValue {
    #[inline]
    fn drop(&mut self) {
        let len = self.heap_size();
        if len > 0 {
            // SAFETY: `heap_size` is the length that the block was made with, and nobody uses it afterwards.
            unsafe { heap::free(self.word, len) };
        }
    }
}

impl Clone for StrValue {
    fn clone(&self) -> StrValue {
        match self.tag {
            Tag::Exact | Tag::Grown => {
                let bytes = self.stored().unwrap_or_default();
                if bytes.is_empty() {
                    StrValue::default()
                } else {
                    StrValue::new(bytes)
                }
            }
            tag => StrValue {
                word: self.word,
                rest: self.rest,
                tag,
            },
        }
    }
}

impl Default for StrValue {
    #[inline]
    fn default() -> StrValue {
        StrValue {
            word: ptr::null_mut(),
            rest: [0; 7],
            tag: Tag::Text0,
        }
    }
}

impl PartialEq for StrValue {
    fn eq(&self, other: &StrValue) -> bool {
        self.read(&mut [0; INT_TEXT_MAX]) == other.read(&mut [0; INT_TEXT_MAX])
    }
}

impl Eq for StrValue {}

impl fmt::Debug for StrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StrValue({})", self.bytes().escape_ascii())
    }
}

impl From<&[u8]> for StrValue {
    fn from(bytes: &[u8]) -> StrValue {
        StrValue::new(bytes)
    }
}

impl StrValue {
    /// Gives the value away and leaves the empty string.
    pub fn take(&mut self) -> StrValue {
        take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_of_every_size_come_back() {
        for int in [
            0,
            1,
            -1,
            42,
            999_999_999_999_999,
            1_000_000_000_000_000,
            i64::MAX,
            i64::MIN,
            i64::MAX - 1,
        ] {
            let text = int.to_string();
            for value in [StrValue::from_int(int), StrValue::new(text.as_bytes())] {
                assert_eq!(value.as_int(), Some(int));
                assert_eq!(&*value.bytes(), text.as_bytes());
                assert_eq!(value.len(), text.len());
                assert_eq!(value.heap_size(), 0);
            }
        }
    }

    #[test]
    fn only_canonical_text_is_an_integer() {
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "01",
            "1 ",
            " 1",
            "1a",
            "9223372036854775808",
            "-9223372036854775809",
            "00000000000000000001",
            "99999999999999999999",
        ] {
            let value = StrValue::new(text.as_bytes());
            assert_eq!(value.as_int(), None, "{text}");
            assert_eq!(&*value.bytes(), text.as_bytes());
        }
    }

    #[test]
    fn a_long_string_takes_exactly_its_length() {
        assert_eq!(StrValue::new(&[7; 64]).heap_size(), 64);
        assert_eq!(StrValue::new(&[7; 15]).heap_size(), 0);
    }

    #[test]
    fn appends_grow_in_big_steps() {
        let mut value = StrValue::default();
        let mut capacities = std::collections::BTreeSet::new();
        for _ in 0..100_000 {
            value.append(b"0123456789");
            capacities.insert(value.heap_size());
        }
        assert_eq!(value.len(), 1_000_000);
        assert!(capacities.len() < 20, "{} reallocations", capacities.len());
    }

    #[derive(Clone, Debug)]
    enum Op {
        New(Vec<u8>),
        Int(i64),
        Append(Vec<u8>),
        SetRange(usize, Vec<u8>),
        Clone,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Op::New),
            any::<i64>().prop_map(Op::Int),
            (-50i64..50).prop_map(Op::Int),
            prop::collection::vec(any::<u8>(), 0..30).prop_map(Op::Append),
            (0usize..60, prop::collection::vec(any::<u8>(), 0..30))
                .prop_map(|(at, bytes)| Op::SetRange(at, bytes)),
            Just(Op::Clone),
        ]
    }

    fn apply(value: &mut StrValue, model: &mut Vec<u8>, op: Op) {
        match op {
            Op::New(bytes) => (*value, *model) = (StrValue::new(&bytes), bytes),
            Op::Int(int) => {
                (*value, *model) = (StrValue::from_int(int), int.to_string().into_bytes())
            }
            Op::Append(bytes) => {
                value.append(&bytes);
                model.extend(bytes);
            }
            Op::SetRange(_, bytes) if bytes.is_empty() => value.set_range(1000, &bytes),
            Op::SetRange(at, bytes) => {
                value.set_range(at, &bytes);
                let end = at + bytes.len();
                model.resize(model.len().max(end), 0);
                model[at..end].copy_from_slice(&bytes);
            }
            Op::Clone => *value = value.clone(),
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(ops in prop::collection::vec(op(), 1..40)) {
            let (mut value, mut model) = (StrValue::default(), Vec::new());
            for op in ops {
                apply(&mut value, &mut model, op);
                prop_assert_eq!(&*value.bytes(), &model[..]);
                prop_assert_eq!(value.len(), model.len());
                let int = std::str::from_utf8(&model).ok().and_then(|t| t.parse::<i64>().ok()).filter(|i| i.to_string().as_bytes() == model);
                prop_assert_eq!(value.as_int(), int);
            }
        }
    }
}
