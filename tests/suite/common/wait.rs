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
