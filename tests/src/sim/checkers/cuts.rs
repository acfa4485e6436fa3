//! No stable sync before everything that stood at the cut has arrived, on all flows.

use std::collections::BTreeMap;

use damselfly_replication::SyncId;

use super::Verdict;

/// A replica asks for stable sync. `flows`: whether partial sync was granted, and whether the cut has arrived.
pub fn on_start_stable(sync_id: SyncId, flows: &BTreeMap<usize, (Option<bool>, bool)>) -> Verdict {
    for (flow, (partial, cut)) in flows {
        if *partial != Some(true) && !cut {
            return Err(format!(
                "stable sync of {sync_id} is asked for before the cut of flow {flow}"
            ));
        }
    }
    Ok(())
}
