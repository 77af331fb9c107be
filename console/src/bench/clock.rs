//! The system's clock, which is the server's too; and the CPU time a server has used, as the kernel counts it.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

/// How long a server that has answered everything may go on being busy.
const IDLE_DEADLINE: Duration = Duration::from_secs(30);

/// The kernel counts in ticks of USER_HZ, which is 100 on every platform that shows it.
const MS_A_TICK: u64 = 10;

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

/// CPU time since the process started, user and system together, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// The thread that executes commands.
    pub main_ns: u64,
    /// All threads: the main one, background I/O and whatever else lives in the process.
    pub process_ns: u64,
    /// Time the main thread was ready to run but had to wait for a core: a measure of who else is on the machine.
    pub waited_ns: u64,
}

impl CpuTime {
    /// Waits until the main thread sleeps (its counter is behind while it runs), then reads. Fails when the process is
    /// gone, never gets idle, or the kernel keeps no such counters.
    pub fn when_idle(pid: u32) -> Result<CpuTime> {
        let deadline = Instant::now() + IDLE_DEADLINE;
        while !is_sleeping(pid)? {
            if Instant::now() > deadline {
                bail!("redis-server (process {pid}) was still busy after {} s", IDLE_DEADLINE.as_secs());
            }
            std::thread::yield_now();
        }
        CpuTime::now(pid)
    }

    /// Reads at once; up to a scheduler tick behind while the server is busy. Fails as [`CpuTime::when_idle`] does.
    pub fn now(pid: u32) -> Result<CpuTime> {
        let (main_ns, waited_ns) = schedstat(&format!("/proc/{pid}/task/{pid}"))?;
        let mut process_ns = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task")).context("listing the server's threads")? {
            // A thread may end between the listing and the reading; its time is then lost, and small.
            process_ns += schedstat(&task?.path().to_string_lossy()).map_or(0, |(ran_ns, _)| ran_ns);
        }
        Ok(CpuTime { main_ns, process_ns, waited_ns })
    }

    pub fn since(&self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            main_ns: self.main_ns - earlier.main_ns,
            process_ns: self.process_ns.saturating_sub(earlier.process_ns),
            waited_ns: self.waited_ns - earlier.waited_ns,
        }
    }
}

/// How long the hypervisor keeps cores of this machine for others, all cores together. Such time is counted as CPU time
/// of whatever seemed to run, and looks like a stall: a measurement is as good as it is small.
#[derive(Debug)]
pub struct Stolen(Duration);

impl Stolen {
    /// Begins to measure. Fails when /proc/stat cannot be read.
    pub fn start() -> Result<Stolen> {
        since_boot().map(Stolen)
    }

    /// Milliseconds of one core that were taken since. Fails as [`Stolen::start`].
    pub fn ms(&self) -> Result<u64> {
        Ok(u64::try_from(since_boot()?.saturating_sub(self.0).as_millis())?)
    }
}

fn since_boot() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let ticks = parse_stolen(&text).context("/proc/stat has no stolen time")?;
    Ok(Duration::from_millis(ticks * MS_A_TICK))
}

/// The eighth number of the line of all cores.
fn parse_stolen(stat: &str) -> Option<u64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    all.split_ascii_whitespace().nth(7)?.parse().ok()
}

/// Nanoseconds a task ran, and nanoseconds it waited for a core.
fn schedstat(task_dir: &str) -> Result<(u64, u64)> {
    let path = format!("{task_dir}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_schedstat(&text).with_context(|| format!("{path} holds {text:?}"))
}

fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn is_sleeping(pid: u32) -> Result<bool> {
    let path = format!("/proc/{pid}/task/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_state(&text).map(|state| state == 'S').with_context(|| format!("{path} holds {text:?}"))
}

/// The state comes after the program's name, which is in parentheses and may hold some itself.
fn parse_state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use super::{CpuTime, parse_schedstat, parse_state, parse_stolen};
    use holdfast_lab::wait::{DEADLINE, wait_until};

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(parse_schedstat("123456 789 12\n"), Some((123_456, 789)));
        assert_eq!(parse_schedstat("not numbers"), None);
        assert_eq!(parse_stolen("cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 2 3 4 5 6 7 44 9 10\n"), Some(88));
        assert_eq!(parse_state("42 (a (odd) name) S 1 42"), Some('S'));
    }

    #[test]
    fn counts_what_a_thread_uses() {
        const BUSY_NS: u64 = 20_000_000;
        let pid = std::process::id();
        let before = CpuTime::now(pid).expect("counters");
        wait_until(DEADLINE, "this thread's time is counted", || {
            // Threads of other tests that end meanwhile take their share out of the sum: it is read again.
            CpuTime::now(pid).is_ok_and(|now| now.since(before).process_ns >= BUSY_NS)
        });
    }
}
