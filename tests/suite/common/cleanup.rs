//! Nothing is left behind: servers and their folders go with the test, on a panic and on Ctrl-C too.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The exit code of a program that was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

static SERVERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn servers() -> MutexGuard<'static, BTreeSet<i32>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of this run, in which every server has its own.
pub fn run_dir() -> &'static Path {
    static RUN_DIR: OnceLock<PathBuf> = OnceLock::new();
    RUN_DIR.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("holdfast-suite-").tempdir().expect("a temporary folder for the run");
        dir.keep()
    })
}

/// Removes the folder of this run; says so when it cannot.
pub fn remove_run_dir() {
    if let Err(error) = std::fs::remove_dir_all(run_dir()) {
        eprintln!("holdfast tests: {}: {error}", run_dir().display());
    }
}

/// Notes a server that was started, so that an interrupt ends it.
pub fn started(pid: u32) {
    servers().insert(pid as i32);
}

/// Forgets a server that has ended.
pub fn ended(pid: u32) {
    servers().remove(&(pid as i32));
}

/// Ends all servers and removes the folder when the run is interrupted or terminated.
pub fn install() {
    let handler = || {
        for pid in servers().iter() {
            // One that has just ended by itself is as good as killed.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        remove_run_dir();
        std::process::exit(INTERRUPTED);
    };
    ctrlc::set_handler(handler).expect("a handler for Ctrl-C");
}
