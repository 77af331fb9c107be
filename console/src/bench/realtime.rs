//! Real-time priority, so that other programs on a busy machine do not take the core away from what is measured.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The lowest real-time priority: above everything that has none, below what the system itself runs with.
const PRIORITY: &str = "1";

/// Gives the process (or thread) `id` the scheduling policy SCHED_FIFO; threads it starts later inherit it. Fails when
/// `chrt` of util-linux is missing or the user may not (CAP_SYS_NICE).
pub fn favour(id: u32) -> Result<()> {
    let output = Command::new("chrt")
        .args(["--fifo", "--pid", PRIORITY, &id.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("starting chrt (of util-linux), which --realtime wants")?;
    if !output.status.success() {
        let problem = String::from_utf8_lossy(&output.stderr);
        bail!("--realtime wants root or CAP_SYS_NICE: {}", problem.trim());
    }
    Ok(())
}

/// As [`favour`], for the calling thread, where `wanted`: whoever waits for a favoured server is to be as quick. Fails
/// when `chrt` is missing, the user may not, or /proc does not know the thread's id.
pub fn favour_this_thread(wanted: bool) -> Result<()> {
    if !wanted {
        return Ok(());
    }
    let path = std::fs::read_link("/proc/thread-self").context("asking for this thread's id")?;
    let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    favour(id.with_context(|| format!("/proc/thread-self leads to {}", path.display()))?)
}
