//! Frees what is big away from the main thread. The server does so for UNLINK alone: DEL, FLUSHALL SYNC, a RESTORE that
//! replaces or an expired key would free a store of a million orders in place.

use std::any::Any;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// What is heavier is freed elsewhere, in allocations: as many are freed in about a tenth of a millisecond.
const HEAVY: usize = 1_000;

type Freed = Box<dyn Any + Send>;

/// The thread, once it is needed; none where none can be started.
static THREAD: OnceLock<Option<Sender<Freed>>> = OnceLock::new();

thread_local! {
    static IS_MAIN: Cell<bool> = const { Cell::new(false) };
}

/// Says that this is the server's main thread, when the module is loaded.
pub fn start() {
    IS_MAIN.set(true);
}

/// Whether something of this weight is to be freed by [`free`].
pub fn is_heavy(weight: usize) -> bool {
    weight > HEAVY && IS_MAIN.get()
}

/// Frees a value in a thread of its own.
pub fn free(value: Freed) {
    match THREAD.get_or_init(thread) {
        // A value that cannot be sent comes back in the error, and is freed with it.
        Some(thread) => drop(thread.send(value)),
        None => drop(value),
    }
}

fn thread() -> Option<Sender<Freed>> {
    let (sender, values) = channel::<Freed>();
    let thread = std::thread::Builder::new().name("holdfast_free".into());
    thread.spawn(move || values.into_iter().for_each(drop)).ok().map(|_| sender)
}
