//! The system's clock, which is the server's too; and the CPU time a server has used, as the kernel counts it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use procfs::process::{Process, Schedstat, Task};
use procfs::{CurrentSI, KernelStats};

/// How long a server that has answered everything may go on being busy.
const IDLE_DEADLINE: Duration = Duration::from_secs(30);

/// A batch is sent in this first part of a millisecond, so that the server's clock still shows the same one.
const EARLY_US: u64 = 250;

/// Unix time in microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    now_us() / 1000
}

pub fn sleep_until(unix_ms: u64) {
    std::thread::sleep(Duration::from_millis(unix_ms.saturating_sub(now_ms())));
}

/// Waits for the beginning of a millisecond of the clock and says which. It spins: a sleep would end too late.
pub fn early_in_a_millisecond() -> u64 {
    loop {
        let us = now_us();
        if us % 1000 < EARLY_US {
            return us / 1000;
        }
        std::hint::spin_loop();
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
        let (process, start) = (process(pid)?, Instant::now());
        while process.stat()?.state != 'S' {
            let deadline_s = IDLE_DEADLINE.as_secs();
            ensure!(
                start.elapsed() < IDLE_DEADLINE,
                "redis-server (process {pid}) was still busy after {deadline_s} s"
            );
            std::thread::yield_now();
        }
        CpuTime::now(pid)
    }

    /// Reads at once; up to a scheduler tick behind while the server is busy. Fails as [`CpuTime::when_idle`] does.
    pub fn now(pid: u32) -> Result<CpuTime> {
        let process = process(pid)?;
        let Schedstat { sum_exec_runtime: main_ns, run_delay: waited_ns, .. } =
            process.task_main_thread()?.schedstat()?;
        // A thread may end between the listing and the reading; its time is then lost, and small.
        let ran_ns = |task: Task| Some(task.schedstat().ok()?.sum_exec_runtime);
        let process_ns = process.tasks()?.flatten().filter_map(ran_ns).sum();
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

/// CPU time of a process and of its children that live, user and system together, in nanoseconds. Fails when the
/// process is gone.
pub fn cpu_ns_of_tree(pid: u32) -> Result<u64> {
    let parent = process(pid)?.pid;
    let is_child = |process: &Process| process.stat().is_ok_and(|stat| stat.ppid == parent);
    let children = procfs::process::all_processes()?.flatten().filter(is_child);
    let ns = |pid: i32| CpuTime::now(u32::try_from(pid)?).map(|time| time.process_ns);
    // One that has just ended has no time to tell.
    Ok(ns(parent)? + children.filter_map(|child| ns(child.pid).ok()).sum::<u64>())
}

fn process(pid: u32) -> Result<Process> {
    Ok(Process::new(i32::try_from(pid)?)?)
}

/// How long the hypervisor has kept cores of this machine for others since boot, in milliseconds of one core. Such time
/// is counted as CPU time of whatever seemed to run, and looks like a stall: a measurement is as good as it is small.
/// Fails when /proc/stat does not say.
pub fn stolen_ms() -> Result<u64> {
    KernelStats::current()?.total.steal_ms().context("/proc/stat has no stolen time")
}

#[cfg(test)]
mod tests {
    use super::CpuTime;
    use holdfast_lab::wait::{DEADLINE, wait_until};

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
