//! Observers: who must see a bucket before it changes.

use crate::db::{BucketId, BucketView, DbIndex};
use crate::table::Table;

/// A point in the order of a shard's writes. Cuts ascend; a bucket whose version is older than a cut has not changed since it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CutVersion(pub u64);

/// Names a registered observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObserverId(u64);

/// Sees every bucket once before its first change after the observer was registered. Snapshots are observers.
pub trait Observer {
    /// The bucket as it was at the observer's cut. It is about to change, or the walk came to it
    /// ([`crate::Shard::serialize_bucket`]). Called at most once for a bucket, never for an empty one,
    /// and never for one that got its entries after the cut.
    fn before_change(&mut self, bucket: &BucketView<'_>);
}

struct Registered {
    id: ObserverId,
    cut: CutVersion,
    observer: Box<dyn Observer>,
}

/// The observers of a shard, oldest cut first.
#[derive(Default)]
pub(crate) struct Observers {
    registered: Vec<Registered>,
    /// The newest cut ever made; new buckets are stamped with it.
    last_cut: u64,
}

impl Observers {
    pub(crate) fn register(&mut self, observer: Box<dyn Observer>) -> (ObserverId, CutVersion) {
        self.last_cut += 1;
        let (id, cut) = (ObserverId(self.last_cut), CutVersion(self.last_cut));
        self.registered.push(Registered { id, cut, observer });
        (id, cut)
    }

    pub(crate) fn remove(&mut self, id: ObserverId) -> Option<Box<dyn Observer>> {
        let position = self
            .registered
            .iter()
            .position(|registered| registered.id == id)?;
        Some(self.registered.remove(position).observer)
    }

    pub(crate) fn last_cut(&self) -> u64 {
        self.last_cut
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.registered.is_empty()
    }

    /// The newest cut that somebody still observes; 0 if nobody does.
    pub(crate) fn newest(&self) -> u64 {
        self.registered
            .last()
            .map_or(0, |registered| registered.cut.0)
    }

    /// Calls the observers that have not seen this bucket, oldest cut first, then stamps it.
    pub(crate) fn serve(&mut self, db: DbIndex, table: &mut Table, segment: usize, bucket: usize) {
        let version = table.segment(segment).version(bucket);
        if version >= self.newest() {
            return;
        }
        let id = BucketId {
            db,
            segment,
            bucket,
        };
        let view = BucketView::new(db, table, id);
        let registered = self.registered.iter_mut();
        let unserved = registered.filter(|registered| registered.cut.0 > version);
        if !view.is_empty() {
            unserved.for_each(|registered| registered.observer.before_change(&view));
        }
        table.set_version(segment, bucket, self.last_cut);
    }

    /// [`Observers::serve`] for every bucket of a segment.
    pub(crate) fn serve_segment(&mut self, db: DbIndex, table: &mut Table, segment: usize) {
        for bucket in 0..table.segment(segment).buckets() {
            self.serve(db, table, segment, bucket);
        }
    }
}
