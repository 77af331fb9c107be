//! The system's clock, which is the server's too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A batch is sent in this first part of a millisecond, so that the server's clock still shows the same one.
const EARLY_US: u64 = 250;

/// Unix time in microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Unix time: milliseconds, and microseconds into the current one.
pub fn now() -> (u64, u64) {
    let us = now_us();
    (us / 1000, us % 1000)
}

pub fn sleep_until(unix_ms: u64) {
    std::thread::sleep(Duration::from_millis(unix_ms.saturating_sub(now().0)));
}

/// Waits for the beginning of a millisecond of the clock and says which. It spins: a sleep would end too late.
pub fn early_in_a_millisecond() -> u64 {
    loop {
        match now() {
            (ms, us) if us < EARLY_US => return ms,
            _ => std::hint::spin_loop(),
        }
    }
}
