//! The module's clock: what a store's time is taken from, and what waits are measured by.
//!
//! Two clocks are read together: the wall clock, which says what time it is and may be set at any moment, and the time
//! since boot, which only grows, at the same pace. The module's clock follows the time since boot, corrected by the
//! wall clock with caution ([`Filter`]), so that a moment of wrong wall clock changes nothing, and its time never
//! stands still and never steps back. A value whose last stamp is ahead of it, made under a clock that ran ahead,
//! continues on from that stamp ([`Ahead`]).

use std::cell::Cell;

use nix::time::{ClockId, clock_gettime};
use redis_module::raw;

use holdfast_engine::base::units::{MAX_QUANTITY, Ms};

/// Nanoseconds in a millisecond.
const NS_A_MS: u64 = 1_000_000;

/// Wall clock and time since boot are read one after the other. They count as agreeing up to this difference,
/// nanoseconds: between the two readings the process may have had to wait for a processor.
const TOLERANCE_NS: u64 = NS_A_MS;

/// How often both clocks are read before the first reading is believed.
const FIRST_READINGS: usize = 16;

/// How long the wall clock has to stay ahead before the module's clock follows, nanoseconds. A shorter step is a
/// mistake that somebody corrects.
const BELIEVED_AFTER_NS: u64 = 5_000 * NS_A_MS;

/// While the wall clock is behind, the module's clock loses one part in this many, until the wall clock has caught up.
/// No duration takes longer than that: 200 ms take 213. A clock that is an hour ahead has lost it in 16 hours.
const SLOWED_BY: u64 = 16;

/// What is left of a duration at the slower pace.
fn slowed(ns: u64) -> u64 {
    ns - ns / SLOWED_BY
}

/// A point in time that no change of the wall clock moves: nanoseconds since boot, those the machine slept included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boot(u64);

impl Boot {
    /// Now.
    pub fn now() -> Boot {
        Boot(read(BOOT_CLOCK))
    }

    /// `ms` milliseconds later.
    pub fn plus_ms(self, ms: Ms) -> Boot {
        self.plus_ns(ms.saturating_mul(NS_A_MS))
    }

    fn plus_ns(self, ns: u64) -> Boot {
        Boot(self.0.saturating_add(ns))
    }

    /// Nanoseconds since boot.
    pub fn ns(self) -> u64 {
        self.0
    }

    fn since(self, earlier: Boot) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The clock that counts on while the machine sleeps, where there is one.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT_CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// CPU time that the calling thread has used, nanoseconds: what the host does meanwhile is not in it.
pub fn cpu_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: ClockId) -> u64 {
    // Every system the server runs on has both clocks.
    let time = clock_gettime(clock).expect("the system has this clock");
    let (seconds, ns) = (time.tv_sec().max(0) as u64, time.tv_nsec().max(0) as u64);
    seconds.saturating_mul(1_000 * NS_A_MS).saturating_add(ns)
}

/// The server's own wall clock where it tells it to the microsecond (Redis 7.2), so that both are always the same.
fn wall_ns() -> u64 {
    // SAFETY: reads a pointer that the server set before it called the module, and calls it; it takes nothing.
    let server_us = unsafe { raw::RedisModule_Microseconds.map(|microseconds| microseconds()) };
    server_us.map_or_else(|| read(ClockId::CLOCK_REALTIME), |us| u64::try_from(us).unwrap_or(0).saturating_mul(1_000))
}

/// One reading of the module's clock: what time it is, and by the time since boot when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub boot: Boot,
    /// Nanoseconds since 1970.
    ns: u64,
}

impl Now {
    /// Unix milliseconds.
    pub fn ms(self) -> Ms {
        self.ns / NS_A_MS
    }

    /// A reading that a test makes up, at a time in Unix milliseconds.
    #[cfg(test)]
    pub fn simulated(ms: Ms) -> Now {
        Now { boot: Boot::default().plus_ms(ms), ns: ms * NS_A_MS }
    }

    /// When the clock reaches a time, if it keeps its pace.
    pub fn boot_at(self, at: Ms) -> Boot {
        self.boot.plus_ns(at.saturating_mul(NS_A_MS).saturating_sub(self.ns))
    }
}

thread_local! {
    /// Only the server's main thread reads the clock: commands, timers and events run there.
    static FILTER: Cell<Option<Filter>> = const { Cell::new(None) };
}

/// Reads the clock.
pub fn now() -> Now {
    // The wall clock last: if the process has to wait in between, the wall clock seems ahead, which has to last, and
    // never behind, which would slow the module's clock at once.
    let (boot, wall_ns) = (Boot::now(), wall_ns());
    let filter = FILTER.get().map_or_else(first, |filter| filter.next(boot, wall_ns));
    FILTER.set(Some(filter));
    filter.now
}

/// The clock as it starts: from the reading in which the process waited least between the two clocks, as it is
/// believed.
#[cold]
fn first() -> Filter {
    let reading = || {
        let (before, wall_ns, after) = (Boot::now(), wall_ns(), Boot::now());
        (after.since(before), before, wall_ns)
    };
    let (_, boot, wall_ns) = std::iter::repeat_with(reading).take(FIRST_READINGS).min().unwrap_or_else(reading);
    Filter::new(boot, wall_ns)
}

/// The wall clock made steady.
#[derive(Clone, Copy, Debug)]
struct Filter {
    now: Now,
    /// Since when the wall clock has been ahead without a break, and by how much at least, nanoseconds.
    ahead: Option<(Boot, u64)>,
}

impl Filter {
    fn new(boot: Boot, wall_ns: u64) -> Self {
        Filter { now: Now { boot, ns: wall_ns }, ahead: None }
    }

    /// The clock after a further reading of both clocks.
    fn next(self, boot: Boot, wall_ns: u64) -> Self {
        let passed = boot.since(self.now.boot);
        let steady = self.now.ns.saturating_add(passed);
        let at = |ns: u64| Now { boot, ns };
        if steady > wall_ns.saturating_add(TOLERANCE_NS) {
            let slow = self.now.ns.saturating_add(slowed(passed));
            return Filter { now: at(slow.max(wall_ns)), ahead: None };
        }
        let lead = wall_ns.saturating_sub(steady);
        if lead <= TOLERANCE_NS {
            return Filter { now: at(steady), ahead: None };
        }
        let (since, least) = self.ahead.map_or((boot, lead), |(since, least)| (since, least.min(lead)));
        if boot.since(since) < BELIEVED_AFTER_NS {
            return Filter { now: at(steady), ahead: Some((since, least)) };
        }
        Filter { now: at(steady.saturating_add(least)), ahead: None }
    }
}

/// How a value's time continues when its last stamp is ahead of the clock: from that stamp, at a slower pace, until the
/// clock has caught up. It is this server's alone, neither replicated nor saved.
#[derive(Clone, Debug, Default)]
pub struct Ahead(Cell<Option<(Boot, Ms)>>);

impl Ahead {
    /// The time of a value that was changed last at `last`, Unix milliseconds. Never before that, and it never stands
    /// still.
    #[inline]
    pub fn time(&self, now: Now, last: Ms) -> Ms {
        if self.0.get().is_none() && last <= now.ms() {
            return now.ms();
        }
        self.time_ahead(now, last)
    }

    #[cold]
    fn time_ahead(&self, now: Now, last: Ms) -> Ms {
        let runs = |(since, from): (Boot, Ms)| from.saturating_add(slowed(now.boot.since(since)) / NS_A_MS);
        // A forged image may claim the last time there is: an image with a later one could not be loaded.
        let time = self.0.get().map_or(0, runs).min(MAX_QUANTITY);
        if now.ms() >= time.max(last) {
            self.0.set(None);
            return now.ms();
        }
        if last > time {
            // New: or a primary with another clock has changed the value since.
            self.0.set(Some((now.boot, last)));
            return last;
        }
        time
    }

    /// When a value is to be looked at by the module's clock, for what is due at `due` by its own time: the earliest it
    /// can be, or less than a millisecond after that. Looked at then, it may have to be looked at again.
    pub fn look_at(&self, now: Now, last: Ms, due: Ms) -> Ms {
        now.ms().saturating_add(due.saturating_sub(self.time(now, last)))
    }
}

/// The module's clock of a simulated server, whose two sources the test moves.
#[cfg(test)]
pub struct TestClock {
    pub boot_ms: Cell<Ms>,
    pub wall_ms: Cell<Ms>,
    filter: Cell<Filter>,
}

#[cfg(test)]
impl TestClock {
    pub fn new(boot_ms: Ms, wall_ms: Ms) -> Self {
        let filter = Filter::new(Boot::default().plus_ms(boot_ms), wall_ms * NS_A_MS);
        TestClock { boot_ms: Cell::new(boot_ms), wall_ms: Cell::new(wall_ms), filter: Cell::new(filter) }
    }

    /// Reads it.
    pub fn now(&self) -> Now {
        let boot = Boot::default().plus_ms(self.boot_ms.get());
        self.filter.set(self.filter.get().next(boot, self.wall_ms.get() * NS_A_MS));
        self.filter.get().now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any time: 2026.
    const START_MS: u64 = 1_790_000_000_000;
    const HOUR_MS: u64 = 3_600_000;

    /// A clock whose two sources the test moves.
    struct Clocks {
        boot_ms: u64,
        wall_ms: u64,
        filter: Filter,
    }

    impl Clocks {
        fn new() -> Self {
            let (boot, wall_ns) = (Boot::default().plus_ms(5), START_MS * NS_A_MS);
            Clocks { boot_ms: 5, wall_ms: START_MS, filter: Filter::new(boot, wall_ns) }
        }

        /// Lets time pass, read every `step_ms`.
        fn pass(&mut self, ms: u64, step_ms: u64) -> u64 {
            for _ in 0..ms / step_ms {
                self.boot_ms += step_ms;
                self.wall_ms += step_ms;
                self.read();
            }
            self.time()
        }

        fn read(&mut self) {
            let before = self.filter.now.ns;
            self.filter = self.filter.next(Boot::default().plus_ms(self.boot_ms), self.wall_ms * NS_A_MS);
            assert!(self.filter.now.ns >= before, "stepped back");
        }

        fn time(&self) -> u64 {
            self.filter.now.ms()
        }
    }

    #[test]
    fn it_follows_a_wall_clock_that_is_right() {
        assert_eq!(Clocks::new().pass(10_000, 7), START_MS + 10_000 / 7 * 7);
    }

    #[test]
    fn a_step_forward_changes_nothing_for_five_seconds() {
        let mut clocks = Clocks::new();
        clocks.wall_ms += HOUR_MS;
        assert_eq!(clocks.pass(4_900, 100), START_MS + 4_900);
        clocks.wall_ms -= HOUR_MS;
        assert_eq!(clocks.pass(20_000, 100), START_MS + 24_900);
    }

    #[test]
    fn a_step_forward_that_lasts_is_followed_as_far_as_it_lasted() {
        let mut clocks = Clocks::new();
        clocks.wall_ms += 2 * HOUR_MS;
        clocks.pass(2_000, 100);
        clocks.wall_ms -= HOUR_MS;
        assert_eq!(clocks.pass(3_100, 100), START_MS + HOUR_MS + 5_100);
    }

    #[test]
    fn steps_forward_do_not_add_up_to_one_that_lasts() {
        let mut clocks = Clocks::new();
        for _ in 0..10 {
            clocks.wall_ms += HOUR_MS;
            clocks.pass(3_000, 100);
            clocks.wall_ms -= HOUR_MS;
            clocks.pass(100, 100);
        }
        assert_eq!(clocks.time(), START_MS + 31_000);
    }

    #[test]
    fn behind_a_wall_clock_that_steps_back_it_goes_on_more_slowly() {
        let mut clocks = Clocks::new();
        clocks.wall_ms -= 1_000;
        assert_eq!(clocks.pass(8_000, 10), START_MS + 7_500);
        assert_eq!(clocks.pass(8_000, 10), START_MS + 15_000);
        assert_eq!(clocks.pass(1_000, 10), START_MS + 16_000);
    }

    #[test]
    fn one_that_is_read_seldom_is_as_steady() {
        let mut clocks = Clocks::new();
        clocks.wall_ms -= 1_000;
        assert_eq!(clocks.pass(60_000, 60_000), START_MS + 59_000);
        clocks.wall_ms += HOUR_MS;
        assert_eq!(clocks.pass(60_000, 60_000), START_MS + 119_000);
        assert_eq!(clocks.pass(60_000, 60_000), START_MS + 179_000 + HOUR_MS);
    }

    #[test]
    fn a_value_ahead_goes_on_from_its_last_stamp_more_slowly() {
        let now =
            |passed_ms: u64| Now { boot: Boot::default().plus_ms(passed_ms), ns: (START_MS + passed_ms) * NS_A_MS };
        let (ahead, last) = (Ahead::default(), START_MS + 100);
        assert_eq!(ahead.time(now(0), last), last);
        assert_eq!(ahead.time(now(160), last), last + 150);
        // A change at that time, and what is due 60 later: within 64 by the clock, and looked at after 60.
        let last = last + 150;
        assert_eq!(ahead.look_at(now(160), last, last + 60), START_MS + 220);
        assert_eq!(ahead.time(now(224), last), last + 60);
        // The clock has passed the last stamp, and not yet the time that the value has come to since.
        assert_eq!(ahead.time(now(1_584), last), START_MS + 1_585);
        assert_eq!(ahead.time(now(1_616), last), START_MS + 1_616);
        assert_eq!(ahead.time(now(1_632), last), START_MS + 1_632);
    }

    #[test]
    fn the_time_of_a_forged_value_stays_in_its_range() {
        let now = |passed_ms: u64| Now { boot: Boot::default().plus_ms(passed_ms), ns: START_MS * NS_A_MS };
        let ahead = Ahead::default();
        assert_eq!([0, 10_000].map(|passed_ms| ahead.time(now(passed_ms), MAX_QUANTITY)), [MAX_QUANTITY; 2]);
    }

    #[test]
    fn a_value_that_another_primary_moved_on_is_followed() {
        let now = Now { boot: Boot::default(), ns: START_MS * NS_A_MS };
        let ahead = Ahead::default();
        assert_eq!(ahead.time(now, START_MS + 5_000), START_MS + 5_000);
        assert_eq!(ahead.time(now, START_MS + 9_000), START_MS + 9_000);
    }
}
