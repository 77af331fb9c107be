//! The commands of stores, on a server that is none.

use super::super::{edits, gates, holds, locks, orders, stock, store, work};
use crate::host::callers::Callers;
use crate::host::{Call, Stop};
use crate::store::slices::Task;

/// Runs a command; none, if there is no such one. What is done in slices is given back, to be begun.
pub fn run<H: Callers>(call: &Call<'_, H>, name: &[u8]) -> Option<Result<Option<Task>, Stop>> {
    let done = match name {
        b"STORE.SET" => store::set(call),
        b"STORE.GET" => store::get(call),
        b"STORE.INFO" => store::info(call),
        b"STORE.LANES" => store::lanes(call),
        b"STORE.DROP" => store::drop_store(call),
        b"STORE.REPAIR" => return Some(Ok(Some(Task::Repair))),
        b"STORE.AUDIT" => return Some(Ok(Some(Task::Audit))),
        b"INV.SET" => stock::set(call),
        b"INV.ADJUST" => stock::adjust(call),
        b"INV.SYNC" => stock::sync(call),
        b"INV.GET" => stock::get(call),
        b"INV.SCAN" => stock::scan_skus(call),
        b"INV.HOLD" => holds::hold(call),
        b"INV.HOLDS" => holds::holds(call),
        b"INV.RESERVE" => holds::reserve(call),
        b"INV.EXTEND" => holds::extend(call),
        b"INV.COMMIT" => holds::close(call, true),
        b"INV.RELEASE" => holds::close(call, false),
        b"ORDER.PLACE" => orders::place(call),
        b"ORDER.GET" => orders::get(call),
        b"ORDER.SCAN" => orders::scan_orders(call),
        b"ORDER.CLAIM" => work::claim(call),
        b"ORDER.COMPLETE" => orders::complete(call),
        b"ORDER.FAIL" => work::fail(call),
        b"ORDER.RENEW" => work::renew(call),
        b"ORDER.YIELD" => work::yield_all(call),
        b"ORDER.GATE" => gates::gate(call),
        b"ORDER.PASS" => gates::pass(call),
        b"ORDER.ADVANCE" => work::advance(call),
        b"ORDER.EDIT" => edits::edit(call),
        b"ORDER.SPLIT" => edits::split(call),
        b"ORDER.CANCEL" => orders::cancel(call),
        b"ORDER.RETURN" => orders::return_units(call),
        b"ORDER.REDRIVE" => return Some(work::redrive_or_all(call).map(|all| all.map(Task::Dead))),
        b"ORDER.PURGE" => return Some(work::purged(call).map(|some| Some(Task::Dead(some))).map_err(Stop::from)),
        b"LOCK.ACQUIRE" => locks::acquire(call),
        b"LOCK.RENEW" => locks::renew(call),
        b"LOCK.RELEASE" => locks::release(call),
        _ => return None,
    };
    Some(done.map(|()| None))
}
