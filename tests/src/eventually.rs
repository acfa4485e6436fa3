//! Waiting on a condition, with a deadline.

use std::time::{Duration, Instant};

/// First pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Looks until `condition` holds, or panics after `deadline` with what was awaited.
#[track_caller]
pub fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(deadline, what, || condition().then_some(()));
}

/// Looks until there is something to return, or panics after `deadline` with what was awaited.
#[track_caller]
pub fn eventually_some<T>(deadline: Duration, what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    within(deadline, attempt).unwrap_or_else(|| panic!("not within {deadline:?}: {what}"))
}

/// Looks until there is something to return; `None` after `deadline`.
pub fn within<T>(deadline: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(found) = attempt() {
            return Some(found);
        }
        if start.elapsed() >= deadline {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_again_until_the_deadline() {
        let mut looks = 0;
        eventually(Duration::from_secs(5), "third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(within(Duration::from_millis(5), || None::<()>), None);
    }
}
