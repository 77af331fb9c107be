//! What must not outlive the program: the processes it started and the folder it made for them.
//!
//! `Drop` is not enough: a signal ends the process without unwinding, and so does a panic where panics abort. So every
//! process is registered here, and ended on every way out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// The exit code of a shell command that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;
/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

static PROCESSES: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static HOOKS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());
static RUN_DIR: OnceLock<PathBuf> = OnceLock::new();
static EXITING: OnceLock<ThreadId> = OnceLock::new();
static INTERRUPT_CODE: AtomicI32 = AtomicI32::new(INTERRUPTED);

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes Ctrl-C, SIGTERM and SIGHUP clean up before the program ends. Call it once, first thing in `main`.
pub fn install() {
    if let Err(error) = ctrlc::set_handler(|| exit(INTERRUPT_CODE.load(Ordering::SeqCst))) {
        eprintln!("holdfast: Ctrl-C will not clean up: {error}");
    }
}

/// Makes a panic in any thread end the whole program, cleaned up: no other thread waits for the one that panicked.
pub fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // First, so that the report stays on the screen.
        run_hooks();
        report(panic);
        exit(PANICKED);
    }));
}

/// Runs the hooks, ends all processes, removes the folder of this run, and ends the program with `code`. The first
/// thread to call this decides the code: another one, whose server was killed by it, waits for the end.
pub fn exit(code: i32) -> ! {
    let this = std::thread::current().id();
    while *EXITING.get_or_init(|| this) != this {
        std::thread::park();
    }
    run_hooks();
    for pid in std::mem::take(&mut *lock(&PROCESSES)) {
        kill_and_reap(pid);
    }
    if let Some(dir) = RUN_DIR.get() {
        // The program is ending; a folder that stays in the temporary directory is not an error.
        let _ = std::fs::remove_dir_all(dir);
    }
    std::process::exit(code);
}

/// Has `hook` called first on every way out, perhaps more than once: it restores what must not stay changed even for
/// the time that the rest needs.
pub fn on_exit(hook: fn()) {
    lock(&HOOKS).push(hook);
}

fn run_hooks() {
    let hooks = lock(&HOOKS).clone();
    hooks.into_iter().for_each(|hook| hook());
}

/// The exit code of a Ctrl-C from now on: 0 once the work is done and the program only waits for its end.
pub fn interrupt_means(code: i32) {
    INTERRUPT_CODE.store(code, Ordering::SeqCst);
}

/// The folder of this run, in which every server has its own. It is removed by [`exit`].
///
/// # Panics
/// When no temporary folder can be made.
pub fn run_dir() -> &'static Path {
    RUN_DIR.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("holdfast-").tempdir();
        dir.expect("a temporary folder for this run").keep()
    })
}

/// Registers a child process that was started.
pub(crate) fn started(pid: u32) {
    lock(&PROCESSES).insert(pid);
}

/// Removes a child process that ends. Call it before the process is reaped: from then on its id may be another's.
pub(crate) fn ended(pid: u32) {
    lock(&PROCESSES).remove(&pid);
}

/// Kills a child of this program and waits for its end, so that it writes to its folder no more.
fn kill_and_reap(pid: u32) {
    let Ok(pid) = i32::try_from(pid).map(Pid::from_raw) else { return };
    // One that has just ended by itself is as good as killed.
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
}
