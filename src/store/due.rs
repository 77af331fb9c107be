//! What is due in a store, done without a command: deadlines and samples.

use std::cell::Cell;
use std::ffi::CStr;

use super::gate::{Open, may_write_store};
use super::keys::{same_store, streams_of};
use super::value::StoreValue;
use super::{config, timeseries, write};
use crate::host::deadlines::{Due, look_again};
use crate::host::key::Mode;
use crate::host::{Call, Ctx, Host};
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::metrics::Sample;

/// Holds that a piece of a turn ends, at most, of a store whose streams are on another node.
const HOLDS_A_PIECE: u32 = 256;

/// A sweep is no client's command.
const NO_COMMAND: &CStr = c"";

thread_local! {
    /// Slices of due work done since the module was loaded.
    static SWEEPS: Cell<u64> = const { Cell::new(0) };
}

/// Slices of due work done since the module was loaded.
pub fn sweeps() -> u64 {
    SWEEPS.get()
}

/// What was done of what is due in a store.
pub struct Done {
    /// Whether more is due.
    #[cfg(test)]
    pub more: bool,
    /// The sample that was taken, unless another store has the streams: the series next to a key are of the store that
    /// has them.
    sample: Option<Sample>,
    /// The store's time at which it was done.
    time: Ms,
}

/// Does a slice of what is due in a store, for the tick of deadlines; false if the key does not hold the store.
pub fn handle(ctx: Ctx<'_>, due: &Due<'_>) -> bool {
    let Some(done) = do_due(ctx, due) else { return false };
    if let Some(sample) = done.sample {
        timeseries::write(ctx, due.key, done.time, &sample);
    }
    true
}

/// Does what is due in a store, or as much of it as may be done now; none if the key does not hold the store.
pub fn do_due<H: Host>(host: H, due: &Due<'_>) -> Option<Done> {
    let mut value = same_store(host, due.key, due.uid, Mode::Write)?;
    let open = may_write_store(host, due.key, &value.store);
    let time = value.time_at(due.now);
    if open == Open::Nothing {
        host.look_at(due.uid, due.key, Some(look_again(due.now)));
        return Some(Done {
            #[cfg(test)]
            more: false,
            sample: None,
            time,
        });
    }
    let call = Call { ctx: host, name: NO_COMMAND, key: due.key, rest: &[], stamp: None };
    sweep(&call, &mut value, time, open);
    SWEEPS.set(SWEEPS.get() + 1);
    let sample = value.sample_due().filter(|due| *due <= time).map(|_| {
        let refused = std::mem::take(&mut value.refused);
        write::sample(&call, &mut value, time, &refused)
    });
    #[cfg(test)]
    let more = value.store.next_due().is_some_and(|due| due <= time) && open == Open::All;
    let again = if open == Open::All { value.next_look(host.now()) } else { Some(look_again(due.now)) };
    host.look_at(due.uid, due.key, again);
    let sample = sample.filter(|_| streams_of(host, due.key, &value).is_none());
    Some(Done {
        #[cfg(test)]
        more,
        sample,
        time,
    })
}

/// Does a slice of what is due in a store, or what of it may be done now.
fn sweep<H: Host>(call: &Call<'_, H>, value: &mut StoreValue, time: Ms, open: Open) {
    let due = |value: &StoreValue| value.store.next_due().is_some_and(|due| due <= time);
    match open {
        Open::All => write::sweep(call, value, time, config::sweep_slice_of(call.ctx)),
        // One by one, up to the first that has to wait.
        Open::Holds => {
            for _ in 0..HOLDS_A_PIECE {
                if due(value) && value.store.next_due_leaves_orders() {
                    write::sweep(call, value, time, 1);
                }
            }
        }
        Open::Nothing => {}
    }
}
