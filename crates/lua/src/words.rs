//! Strings side by side in one buffer that is used again and again.

/// Some strings of bytes.
#[derive(Debug, Default, Clone)]
pub struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Bytes of a buffer that are kept for the next use.
const KEPT_BYTES: usize = 64 << 10;

impl Words {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.clear();
        self.ends.shrink_to(KEPT_BYTES / 64);
    }

    /// Adds one.
    pub fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    /// Adds what `write` appends.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, &end| {
            let word = &self.bytes[*start..end];
            *start = end;
            Some(word)
        })
    }
}

impl<'a> Extend<&'a [u8]> for Words {
    fn extend<I: IntoIterator<Item = &'a [u8]>>(&mut self, words: I) {
        words.into_iter().for_each(|word| self.push(word));
    }
}
