//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long a condition may take that takes milliseconds on an idle machine: long enough for a busy one.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(1);

/// Waits until `condition` holds, and panics with `what` when it does not within `deadline`.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        std::thread::sleep(POLL);
    }
}

/// How long something that should stay as it is is watched.
const WATCHED: Duration = Duration::from_millis(150);

/// Panics with `what` when `condition` does not hold all the time for a while.
#[track_caller]
pub fn assert_stays(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        assert!(condition(), "{what}: not any more after {:?}", start.elapsed());
        std::thread::sleep(POLL);
    }
}
