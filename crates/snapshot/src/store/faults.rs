//! Bugs on purpose: the simulator has to find them. Each thread has its own switches.

use std::cell::Cell;

thread_local! {
    static SKIP_BUCKETS: Cell<Option<u32>> = const { Cell::new(None) };
}

/// From here on every eighth bucket that changes is not serialized before.
pub fn skip_buckets(skip: bool) {
    SKIP_BUCKETS.set(skip.then_some(0));
}

pub(super) fn skips_bucket() -> bool {
    let Some(changes) = SKIP_BUCKETS.get() else {
        return false;
    };
    SKIP_BUCKETS.set(Some(changes + 1));
    changes % 8 == 0
}
