//! The server as the module sees it. It knows no shop, and it has all unsafe code of the module.
//!
//! - Safe wrappers: [`string`], [`ctx`], [`key`], [`stream`], [`query`], [`replicate`], [`data_type`], [`callbacks`],
//!   [`opened`]
//! - [`server`]: the trait [`Host`], through which a store reaches the server; its one implementation for a real one
//!   is in [`real`]
//! - Work without a command: [`turn`] runs the ticks, [`deadlines`] says which value is due, [`callers`], [`waiters`]
//!   and [`blocked`] keep the callers that wait, [`gate`] says whether anything may be written
//! - What the module registers when it is loaded: [`table`], [`register`], [`config`], [`info`], [`events`],
//!   [`migration`]

pub mod api;
pub mod blocked;
pub mod call;
pub mod callbacks;
pub mod callers;
pub mod clock;
pub mod config;
pub mod ctx;
pub mod data_type;
pub mod deadlines;
mod defrag;
pub mod events;
pub mod flags;
pub mod free;
pub mod gate;
pub mod info;
pub mod key;
pub mod memory;
pub mod memory_full;
pub mod migration;
pub mod opened;
pub mod query;
mod real;
pub mod register;
pub mod replicate;
pub mod server;
#[cfg(test)]
pub mod simulated;
pub mod slot;
pub mod stream;
pub mod string;
pub mod table;
pub mod turn;
pub mod waiters;

pub use call::{Call, Stop};
pub use ctx::Ctx;
pub use server::Host;
pub use string::{OwnStr, Str};
