//! What must not outlive the program: servers it started, their directories, a hidden cursor.
//!
//! `Drop` is not enough: a signal ends the process without unwinding, and so does a panic where panics abort. So
//! everything that needs an end is registered here, and ended on every way out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// The exit code of a shell command that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

/// What one started server leaves behind when nobody ends it.
#[derive(Debug)]
struct Leftover {
    pid: u32,
    temp_dir: Option<PathBuf>,
}

static LEFTOVERS: Mutex<BTreeMap<u32, Leftover>> = Mutex::new(BTreeMap::new());
static INTERRUPT_CODE: AtomicI32 = AtomicI32::new(INTERRUPTED);
static INSTALL: Once = Once::new();
static GIVE_BACK: Mutex<Option<fn()>> = Mutex::new(None);

fn leftovers() -> MutexGuard<'static, BTreeMap<u32, Leftover>> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes Ctrl-C, SIGTERM, SIGHUP and a panic clean up before the process ends. Call it once, first thing in `main`.
pub fn install() {
    INSTALL.call_once(|| {
        let handler = || exit(INTERRUPT_CODE.load(Ordering::SeqCst));
        if let Err(error) = ctrlc::set_handler(handler) {
            eprintln!("holdfast: Ctrl-C will not clean up: {error}");
        }
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // First, so that the report stays on the screen.
            give_back();
            report(panic);
            // A panic in another thread must not leave the main thread waiting for it for ever.
            exit(101);
        }));
    });
}

/// Ends what is registered, gives the terminal back and ends the process with `code`.
pub fn exit(code: i32) -> ! {
    give_back();
    end_all();
    show_cursor();
    std::process::exit(code);
}

/// Has `give_back` called first of all on every way out, perhaps more than once: it gives back what must not stay taken
/// even for the time that the rest needs.
pub fn on_exit(give_back: fn()) {
    *GIVE_BACK.lock().unwrap_or_else(PoisonError::into_inner) = Some(give_back);
}

fn give_back() {
    let give_back = *GIVE_BACK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(give_back) = give_back {
        give_back();
    }
}

/// The exit code of a Ctrl-C from now on: 0 once the work is done and the program only waits to be told to end.
pub fn interrupt_means(code: i32) {
    INTERRUPT_CODE.store(code, Ordering::SeqCst);
}

/// Registers a server process, and the directory to remove once it is gone (`None` keeps the directory).
pub fn register(pid: u32, temp_dir: Option<PathBuf>) {
    leftovers().insert(pid, Leftover { pid, temp_dir });
}

/// Forgets a server that has ended, or that is meant to live on.
pub fn forget(pid: u32) {
    leftovers().remove(&pid);
}

fn end_all() {
    for (_, leftover) in std::mem::take(&mut *leftovers()) {
        kill_and_reap(leftover.pid);
        if let Some(dir) = leftover.temp_dir {
            // Nothing is left to tell: the process is ending, and a directory in the temp dir is no error.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// Kills a child of this process and waits for its end, so that it writes to its directory no more.
fn kill_and_reap(pid: u32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return;
    };
    let mut status = 0;
    // SAFETY: plain system calls on a child's process id; it is registered only while not yet reaped, so that the id
    // cannot have been given to another process. `status` outlives the call.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, &mut status, 0);
    }
}

fn show_cursor() {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        let _ = crossterm::execute!(std::io::stdout(), crossterm::cursor::Show);
    }
}
