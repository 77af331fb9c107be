//! When the module's own work is done: at the end of a turn of the server's event loop, never inside a command.
//!
//! Three parts of the module work without a command: deadlines, waiting callers, and long work in slices. Each has a
//! [`Tick`], and says when it wants the next one. A timer of the operating system that counts the time since boot wakes
//! the event loop for it. The server's module timers alone would not do: they run by the wall clock, and where that is
//! set back by an hour, none of them fires for an hour.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::OnceLock;

use redis_module::raw;

use super::api::api;
use super::clock::{self, Boot};
use super::ctx::Ctx;
use holdfast_engine::base::units::Ms;

/// The longest the module sleeps, milliseconds: it then looks at the clock, so that a wall clock that was set forward
/// is noticed on a server without commands too.
const LONGEST_SLEEP_MS: u64 = 1_000;

/// Nanoseconds in a microsecond.
const NS_A_US: u64 = 1_000;

/// When a turn that was asked for, and should be over in microseconds, is asked for again, milliseconds.
const LOST_TURN_MS: u64 = 10;

/// How long a tick that may not write now waits before it looks again, milliseconds.
pub const CLOSED_MS: u64 = 10;

/// How long the module works in a turn, milliseconds: then the clients that wait are served.
const TURN_MS: u64 = 1;

/// A turn that is under way. Work of any length is done in pieces, each of a few tenths of a millisecond at most, and
/// goes on for as long as the turn is not over.
#[derive(Clone, Copy)]
pub struct Turn {
    until: Boot,
}

impl Turn {
    /// Begins now.
    pub fn begin() -> Turn {
        Turn { until: Boot::now().plus_ms(TURN_MS) }
    }

    /// Whether what is left has to wait for the next one.
    pub fn is_over(self) -> bool {
        self.is_over_after(0)
    }

    /// The same, where what was done so far costs the server as much time afterwards, microseconds.
    pub fn is_over_after(self, us: u64) -> bool {
        Boot::now().ns().saturating_add(us * NS_A_US) >= self.until.ns()
    }
}

/// A part of the module that works without a command.
pub struct Tick {
    /// Does what is to be done now: a piece of it, and more until the turn is over.
    pub run: fn(Ctx<'_>, Turn),
    /// When there is something to do next.
    pub next: fn(Ctx<'_>) -> Option<Boot>,
}

/// The turn in which the module's own work took the longest.
#[derive(Clone, Copy, Default)]
pub struct Longest {
    /// CPU time of the server's main thread, microseconds.
    pub us: u64,
    /// When it ended, Unix milliseconds.
    pub at: Ms,
}

/// The parts, in the order in which they work.
static TICKS: OnceLock<&'static [Tick]> = OnceLock::new();

thread_local! {
    /// A context that is always there, for setting timers.
    static CONTEXT: Cell<Option<Ctx<'static>>> = const { Cell::new(None) };

    /// The server's timer for the end of this turn, if it has been asked for. Only the main thread uses these.
    static TURN: Cell<Option<raw::RedisModuleTimerID>> = const { Cell::new(None) };

    /// When the event loop will be woken.
    static WAKE: Cell<Option<Boot>> = const { Cell::new(None) };

    static LONGEST: Cell<Longest> = const { Cell::new(Longest { us: 0, at: 0 }) };
}

/// The longest turn since the module was loaded.
pub fn longest() -> Longest {
    LONGEST.get()
}

fn note_turn(us: u64) {
    if us > LONGEST.get().us {
        LONGEST.set(Longest { us, at: clock::now().ms() });
    }
}

/// Has the ticks run at the end of this turn of the event loop.
pub fn request() {
    let Some(ctx) = CONTEXT.get().filter(|_| TURN.get().is_none()) else { return };
    // SAFETY: the callback is a function of this module, which is never unloaded; it takes no data.
    let timer = unsafe { api!(RedisModule_CreateTimer(ctx.raw(), 0, Some(on_turn), std::ptr::null_mut())) };
    TURN.set(Some(timer));
    // The timer is the server's, and so by the wall clock: if that is set back right now, it would not fire.
    wake_at(Boot::now().plus_ms(LOST_TURN_MS));
}

/// Has the ticks run at a time, or earlier.
pub fn wake_at(at: Boot) {
    if WAKE.get().is_none_or(|wake| at < wake) {
        WAKE.set(Some(at));
        alarm::set(at);
    }
}

unsafe extern "C" fn on_turn(ctx: *mut raw::RedisModuleCtx, _: *mut c_void) {
    TURN.set(None);
    // SAFETY: the context of this callback, used within it.
    let ctx = unsafe { Ctx::new(ctx) };
    let ticks = TICKS.get().copied().unwrap_or_default();
    let started_ns = clock::cpu_ns();
    let turn = Turn::begin();
    ticks.iter().for_each(|tick| (tick.run)(ctx, turn));
    note_turn(clock::cpu_ns().saturating_sub(started_ns) / NS_A_US);
    let longest = Boot::now().plus_ms(LONGEST_SLEEP_MS);
    wake_at(ticks.iter().filter_map(|tick| (tick.next)(ctx)).fold(longest, Boot::min));
}

/// The event loop was woken: the ticks run in this turn, in a context that may write.
fn woken() {
    WAKE.set(None);
    if let (Some(ctx), Some(lost)) = (CONTEXT.get(), TURN.take()) {
        // SAFETY: the timer is live: its callback clears `TURN` before anything else. No data belongs to it.
        unsafe { api!(RedisModule_StopTimer(ctx.raw(), lost, std::ptr::null_mut())) };
    }
    request();
}

/// Makes the alarm, when the module is loaded.
pub fn start(ctx: Ctx<'_>, ticks: &'static [Tick]) -> bool {
    let _ = TICKS.set(ticks);
    CONTEXT.set(Some(ctx.detached()));
    if !alarm::start() {
        ctx.warn("the timer that deadlines need could not be made");
        return false;
    }
    request();
    true
}

/// A timer of the operating system in the server's event loop.
#[cfg(target_os = "linux")]
mod alarm {
    use std::cell::OnceCell;
    use std::ffi::{c_int, c_void};
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use redis_module::raw;

    use super::{Boot, api};

    thread_local! {
        static ALARM: OnceCell<TimerFd> = const { OnceCell::new() };
    }

    pub fn start() -> bool {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let Ok(timer) = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags) else { return false };
        let (fd, readable) = (timer.as_fd().as_raw_fd(), raw::REDISMODULE_EVENTLOOP_READABLE as c_int);
        // SAFETY: the timer is kept for as long as the process lives; the callback takes no data.
        let added = unsafe { api!(RedisModule_EventLoopAdd(fd, readable, Some(on_alarm), std::ptr::null_mut())) };
        added == raw::REDISMODULE_OK as c_int && ALARM.with(|alarm| alarm.set(timer).is_ok())
    }

    pub fn set(at: Boot) {
        let expiration = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(at.ns().max(1))));
        // Setting an existing timer fails only for an invalid time.
        ALARM.with(|alarm| alarm.get().map(|timer| timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)));
    }

    unsafe extern "C" fn on_alarm(_: c_int, _: *mut c_void, _: c_int) {
        // Does not block: unless it is read, the event loop is woken without end.
        ALARM.with(|alarm| alarm.get().map(TimerFd::wait));
        super::woken();
    }
}

/// Elsewhere the server's timers have to do, wall clock and all.
#[cfg(not(target_os = "linux"))]
mod alarm {
    use std::cell::Cell;
    use std::ffi::c_void;

    use redis_module::raw;

    use super::{Boot, CONTEXT, api};

    thread_local! {
        static ALARM: Cell<Option<raw::RedisModuleTimerID>> = const { Cell::new(None) };
    }

    pub fn start() -> bool {
        true
    }

    pub fn set(at: Boot) {
        let Some(ctx) = CONTEXT.get() else { return };
        let wait_ms = at.ns().saturating_sub(Boot::now().ns()).div_ceil(1_000_000) as i64;
        // SAFETY: the callback is a function of this module and takes no data; a timer that is stopped is live, as its
        // callback forgets it.
        unsafe {
            if let Some(timer) = ALARM.take() {
                api!(RedisModule_StopTimer(ctx.raw(), timer, std::ptr::null_mut()));
            }
            ALARM.set(Some(api!(RedisModule_CreateTimer(ctx.raw(), wait_ms, Some(on_alarm), std::ptr::null_mut()))));
        }
    }

    unsafe extern "C" fn on_alarm(_: *mut raw::RedisModuleCtx, _: *mut c_void) {
        ALARM.set(None);
        super::woken();
    }
}
