//! Packed collections: several elements in one string. One reader for all four encodings, and the writers of those
//! that are written (listpack, ziplist, intset).

mod intset;
mod listpack;
mod ziplist;
mod zipmap;

pub(crate) use intset::put_intset;
pub(crate) use listpack::ListpackWriter;
pub(crate) use ziplist::ZiplistWriter;

/// An element of a packed collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// Bytes of the blob.
    Bytes {
        /// First byte.
        start: usize,
        /// Number of bytes.
        len: usize,
    },
    /// An integer, standing for its decimal digits.
    Int(i64),
}

/// Which packed encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Ziplist,
    Listpack,
    Intset,
    Zipmap,
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Ziplist => "ziplist",
            Encoding::Listpack => "listpack",
            Encoding::Intset => "intset",
            Encoding::Zipmap => "zipmap",
        }
    }
}

/// A position in a packed collection; the bytes are given at every call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    encoding: Encoding,
    at: usize,
}

/// What is wrong in a blob.
pub(crate) type Fault = &'static str;
/// An element and the offset of the next one, or the end.
pub(crate) type NextItem = Result<Option<(Item, usize)>, Fault>;

impl Reader {
    /// Checks the header of `blob`.
    pub(crate) fn open(encoding: Encoding, blob: &[u8]) -> Result<Reader, Fault> {
        let at = match encoding {
            Encoding::Ziplist => ziplist::open(blob)?,
            Encoding::Listpack => listpack::open(blob)?,
            Encoding::Intset => intset::open(blob)?,
            Encoding::Zipmap => zipmap::open(blob)?,
        };
        Ok(Reader { encoding, at })
    }

    /// Which encoding it reads.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The next element.
    pub(crate) fn next(&mut self, blob: &[u8]) -> Result<Option<Item>, Fault> {
        let next = match self.encoding {
            Encoding::Ziplist => ziplist::item(blob, self.at),
            Encoding::Listpack => listpack::item(blob, self.at),
            Encoding::Intset => intset::item(blob, self.at),
            Encoding::Zipmap => zipmap::item(blob, self.at),
        }?;
        Ok(next.map(|(item, at)| {
            self.at = at;
            item
        }))
    }
}

/// `N` bytes at `at`.
pub(crate) fn array<const N: usize>(blob: &[u8], at: usize) -> Result<[u8; N], Fault> {
    let bytes = at
        .checked_add(N)
        .and_then(|end| blob.get(at..end))
        .ok_or("an element passes the end")?;
    Ok(bytes.try_into().expect("a slice of N bytes"))
}

/// A string element of `len` bytes at `start`, checked against the end.
pub(crate) fn bytes_item(blob: &[u8], start: usize, len: usize) -> Result<(Item, usize), Fault> {
    let end = start
        .checked_add(len)
        .filter(|end| *end <= blob.len())
        .ok_or("an element passes the end")?;
    Ok((Item::Bytes { start, len }, end))
}

/// A little-endian signed 24-bit integer.
pub(crate) fn int24(bytes: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(encoding: Encoding, blob: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut reader = Reader::open(encoding, blob)?;
        let mut found = Vec::new();
        while let Some(item) = reader.next(blob)? {
            found.push(match item {
                Item::Bytes { start, len } => blob[start..start + len].to_vec(),
                Item::Int(value) => value.to_string().into_bytes(),
            });
        }
        Ok(found)
    }

    fn element() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            any::<i64>().prop_map(|i| i.to_string().into_bytes()),
            (-5000i64..5000).prop_map(|i| i.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 4090..4100),
            proptest::collection::vec(any::<u8>(), 16_380..16_390),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn listpack_and_ziplist_round_trip(items in proptest::collection::vec(element(), 0..40)) {
            let mut blob = Vec::new();
            let mut listpack = ListpackWriter::begin(&mut blob);
            items.iter().for_each(|item| listpack.push(item));
            listpack.end();
            prop_assert_eq!(all(Encoding::Listpack, &blob).unwrap(), items.clone());

            let mut blob = Vec::new();
            let mut ziplist = ZiplistWriter::begin(&mut blob);
            items.iter().for_each(|item| ziplist.push(item));
            ziplist.end();
            prop_assert_eq!(all(Encoding::Ziplist, &blob).unwrap(), items);
        }

        #[test]
        fn intset_round_trips_sorted(mut items in proptest::collection::vec(any::<i64>(), 0..40), shift in 0u32..60) {
            items.iter_mut().for_each(|item| *item >>= shift);
            items.sort_unstable();
            items.dedup();
            let mut blob = Vec::new();
            put_intset(&mut blob, &items);
            let texts: Vec<_> = items.iter().map(|i| i.to_string().into_bytes()).collect();
            prop_assert_eq!(all(Encoding::Intset, &blob).unwrap(), texts);
        }

        #[test]
        fn any_bytes_are_read_without_panic(blob in proptest::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [Encoding::Ziplist, Encoding::Listpack, Encoding::Intset, Encoding::Zipmap] {
                let _ = all(encoding, &blob);
            }
        }
    }

    #[test]
    fn zipmap_of_two_pairs() {
        let blob = b"\x02\x03foo\x03\x01bar?\x05hello\x05\x00world\xff";
        let expected: Vec<Vec<u8>> = [&b"foo"[..], b"bar", b"hello", b"world"]
            .map(<[u8]>::to_vec)
            .to_vec();
        assert_eq!(all(Encoding::Zipmap, blob).unwrap(), expected);
    }
}
