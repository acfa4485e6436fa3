//! What a flush left behind, to be freed in slices.

use crate::compact::KeyProbe;
use crate::db::{BucketId, BucketView, DbIndex, EntryRef};
use crate::table::{Table, TableId, WalkCursor};
use crate::value::Value;

/// Collections of more elements are freed by themselves, in slices.
const SMALL_MAX: usize = 32;

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

    /// As [`Shard::walk_next`](crate::Shard::walk_next), over a table that was flushed and has not been freed yet. Its views say database 0.
    pub fn walk_next(
        &self,
        table: TableId,
        cursor: WalkCursor,
    ) -> Option<(BucketView<'_>, WalkCursor)> {
        let table = self.table(table)?;
        let (segment, bucket, next) = table.walk_next(cursor)?;
        let db = DbIndex(0);
        let id = BucketId {
            db,
            segment,
            bucket,
        };
        Some((BucketView::new(db, table, id), next))
    }

    /// The entry of a key in a table that was flushed; `hash` is [`Shard::hash_of`](crate::Shard::hash_of) it.
    pub fn get(&self, table: TableId, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        let table = self.table(table)?;
        let location = table.find(hash, &KeyProbe::new(key))?;
        Some(EntryRef::new(
            table.segment(location.segment),
            location.place,
        ))
    }

    /// Whether this is among what was flushed.
    pub fn has(&self, table: TableId) -> bool {
        self.table(table).is_some()
    }

    fn table(&self, id: TableId) -> Option<&Table> {
        self.tables.iter().find(|table| table.id() == id)
    }

    /// How many keys are left to free.
    pub fn len(&self) -> usize {
        self.tables.iter().map(Table::len).sum::<usize>() + self.big.len()
    }

    /// Whether no key is left to free.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees about `max_items` keys and elements of collections; true when all is done.
    pub fn free_slice(&mut self, max_items: usize) -> bool {
        let mut items = 0;
        while items < max_items.max(1) {
            if let Some(value) = self.big.last_mut() {
                let left = value.element_count();
                if !value.free_slice(max_items - items) {
                    return false;
                }
                items += left.min(max_items);
                self.big.pop();
            } else if let Some(freed) = self.free_bucket() {
                items += freed;
            } else {
                return true;
            }
        }
        false
    }

    /// Frees the small values of a bucket, and sets the others aside. The answer is how many keys and elements went; none at the end.
    fn free_bucket(&mut self) -> Option<usize> {
        let table = self.tables.last_mut()?;
        let mut items = 1;
        let mut free = |value: Value| match value.element_count() {
            count if count > SMALL_MAX => self.big.push(value),
            count => items += count,
        };
        if !table.dismantle(&mut self.bucket, &mut |slot| free(slot.value)) {
            self.tables.pop();
            self.bucket = 0;
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use crate::values::List;
    use crate::{DbIndex, Shard, ShardOptions, Value};

    #[test]
    fn a_slice_frees_no_more_than_asked() {
        let mut shard = Shard::new(ShardOptions::default());
        for key in 0..100u32 {
            let mut list = List::new();
            (0..1000u32).for_each(|i| list.push_back(&[i as u8; 100]));
            shard.insert(DbIndex(3), &key.to_le_bytes(), Value::from(list), None);
        }
        let mut flushed = shard.flush(None);
        let mut slices = 0;
        while !flushed.free_slice(500) {
            slices += 1;
        }
        // 100,000 elements; slices also end at borders of values and nodes.
        assert!((150..10_000).contains(&slices), "{slices} slices");
        assert!(flushed.is_empty() && shard.is_empty(DbIndex(3)));
    }
}
