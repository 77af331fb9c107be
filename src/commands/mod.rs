//! The commands: arguments → engine → reply. A file for each family; a command's description is next to its code.
//!
//! [`TABLE`] is the one list of them: registration, COMMAND DOCS and `docs/commands.md` come from it.

mod apply;
mod args;
mod edits;
mod gates;
mod glob;
mod holds;
mod locks;
mod orders;
mod reply;
mod stock;
mod store;
#[cfg(test)]
pub mod tests;
mod work;

use crate::host::table::Command;

/// Every command, in the order of the reference.
pub static TABLE: &[&Command] = &[
    &store::SET,
    &store::GET,
    &store::INFO,
    &store::LANES,
    &store::AUDIT,
    &store::REPAIR,
    &store::DROP,
    &stock::SET,
    &stock::ADJUST,
    &stock::GET,
    &stock::SCAN,
    &stock::SYNC,
    &holds::RESERVE,
    &holds::EXTEND,
    &holds::COMMIT,
    &holds::RELEASE,
    &holds::HOLD,
    &holds::HOLDS,
    &orders::PLACE,
    &work::CLAIM,
    &orders::COMPLETE,
    &work::FAIL,
    &work::RENEW,
    &work::YIELD,
    &gates::GATE,
    &gates::PASS,
    &work::ADVANCE,
    &edits::EDIT,
    &edits::SPLIT,
    &orders::CANCEL,
    &orders::RETURN,
    &work::REDRIVE,
    &work::PURGE,
    &orders::GET,
    &orders::SCAN,
    &locks::ACQUIRE,
    &locks::RENEW,
    &locks::RELEASE,
    &locks::GET,
    &apply::APPLY,
    &apply::MAY_WRITE,
];
