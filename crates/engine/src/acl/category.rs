//! ACL categories.

/// All categories, in Redis's order (7.0, `acl.c`).
pub const NAMES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// A set of categories: bit *i* stands for the category *i* of [`NAMES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Categories(u32);

impl Categories {
    /// Of names, with or without the `@`.
    ///
    /// # Panics
    /// There is no such category.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Categories {
        let bit = |name: &str| {
            let name = name.trim_start_matches('@');
            let at = NAMES.iter().position(|known| *known == name);
            1 << at.unwrap_or_else(|| panic!("'{name}' is no category"))
        };
        Categories(names.into_iter().map(bit).fold(0, |all, bit| all | bit))
    }

    /// Whether the category of this index is among them.
    pub fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

/// The index of a category, whatever the case of its name.
pub fn find(name: &[u8]) -> Option<usize> {
    NAMES
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(name))
}
