//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a condition may take that takes milliseconds on an idle machine: long enough for a busy one.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(1);

/// How long something that should stay as it is is watched.
const WATCHED: Duration = Duration::from_millis(150);

/// Waits until `look` finds something, and gives it. `what` completes "waited 20 s in vain until …".
///
/// # Errors
/// The error of `look`, or that `deadline` has passed.
pub fn wait_for<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() >= deadline {
            bail!("waited {deadline:?} in vain until {what}");
        }
        std::thread::sleep(POLL);
    }
}

/// Waits until `condition` holds, and panics with `what` when it does not within `deadline`.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    if let Err(error) = wait_for(deadline, what, || Ok(condition().then_some(()))) {
        panic!("{error}");
    }
}

/// Panics with `what` when `condition` does not hold all the time for a while.
#[track_caller]
pub fn assert_stays(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        assert!(condition(), "{what}: not any more after {:?}", start.elapsed());
        std::thread::sleep(POLL);
    }
}
