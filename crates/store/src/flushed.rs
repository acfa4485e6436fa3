//! What a flush left behind, to be freed in slices.

use crate::table::Table;
use crate::value::Value;

/// Tables that nobody reaches any more. Dropping this frees them at once; [`Flushed::free_slice`] does it in small steps.
/// Their memory is no longer counted in the shard.
#[must_use = "dropping it frees everything at once"]
#[derive(Default)]
pub struct Flushed {
    tables: Vec<Table>,
    /// The next bucket of the last segment of the last table.
    bucket: usize,
    /// Collections that were met and are not small.
    big: Vec<Value>,
}

impl Flushed {
    pub(crate) fn new(tables: Vec<Table>) -> Flushed {
        Flushed {
            tables,
            ..Flushed::default()
        }
    }

    /// How many keys are left to free.
    pub fn len(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// Whether no key is left to free.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees about `max_items` keys or elements of collections; true when all is done.
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        if let Some(value) = self.big.last_mut() {
            if value.free_slice(max_items) {
                self.big.pop();
            }
            return false;
        }
        let Some(table) = self.tables.last_mut() else {
            return true;
        };
        let big = &mut self.big;
        let keep_big = &mut |value: Value| {
            if value.element_count() > max_items {
                big.push(value);
            }
        };
        if table.dismantle(
            &mut self.bucket,
            &mut |slot| keep_big(slot.value),
            max_items,
        ) {
            self.tables.pop();
            self.bucket = 0;
        }
        self.tables.is_empty() && self.big.is_empty()
    }
}
