//! Memory accounting: what is used, per type, known without walking.

use crate::value::{Kind, Value};

/// What one type of values uses in a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindUsage {
    /// Keys that hold a value of this type.
    pub keys: usize,
    /// Heap bytes of those values. The 16 bytes in the table itself are counted in [`MemoryByKind::table`].
    pub bytes: usize,
}

/// The memory of a database, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryByKind {
    kinds: [KindUsage; Kind::COUNT],
    /// Heap bytes of the keys that are not in place.
    pub keys: usize,
    /// Heap bytes of all values.
    values: usize,
    /// The table: buckets with the 16-byte forms of keys and values, last uses, expiry times, directory.
    pub table: usize,
}

impl MemoryByKind {
    /// The usage of one type.
    pub fn kind(&self, kind: Kind) -> KindUsage {
        self.kinds[kind as usize]
    }

    /// Everything together.
    pub fn total(&self) -> usize {
        self.keys + self.table + self.values
    }

    pub(crate) fn with_table(self, table: usize) -> MemoryByKind {
        MemoryByKind { table, ..self }
    }

    #[inline]
    pub(crate) fn add_value(&mut self, value: &Value) {
        self.add(value.kind(), value.heap_size());
    }

    #[inline]
    pub(crate) fn subtract_value(&mut self, value: &Value) {
        self.subtract(value.kind(), value.heap_size());
    }

    #[inline]
    pub(crate) fn add(&mut self, kind: Kind, bytes: usize) {
        let usage = &mut self.kinds[kind as usize];
        usage.keys += 1;
        usage.bytes += bytes;
        self.values += bytes;
    }

    #[inline]
    pub(crate) fn subtract(&mut self, kind: Kind, bytes: usize) {
        let usage = &mut self.kinds[kind as usize];
        usage.keys -= 1;
        usage.bytes -= bytes;
        self.values -= bytes;
    }
}

impl std::ops::AddAssign for MemoryByKind {
    fn add_assign(&mut self, other: MemoryByKind) {
        for (mine, theirs) in self.kinds.iter_mut().zip(other.kinds) {
            mine.keys += theirs.keys;
            mine.bytes += theirs.bytes;
        }
        self.keys += other.keys;
        self.values += other.values;
        self.table += other.table;
    }
}
