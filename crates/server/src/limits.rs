//! Limits that the operating system sets to this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beyond the clients': listeners, links, files, event queues.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Raises the limit of open descriptors as far as needed and allowed for `maxclients` clients.
/// Returns how many clients the limit holds.
pub fn make_room_for_clients(maxclients: u32) -> u64 {
    let needed = u64::from(maxclients) + RESERVED_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= needed {
        return u64::from(maxclients);
    }
    let raised = limit.maximum.unwrap_or(u64::MAX).min(needed).max(current);
    let reached = match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        },
    ) {
        Ok(()) => raised,
        Err(_) => current,
    };
    reached
        .saturating_sub(RESERVED_DESCRIPTORS)
        .min(u64::from(maxclients))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_need_is_met_and_a_huge_one_is_cut() {
        assert_eq!(make_room_for_clients(10), 10);
        let held = make_room_for_clients(u32::MAX);
        assert!(held > 0 && held <= u64::from(u32::MAX));
    }
}
