//! Client for Holdfast, the Redis module for a shop's busiest minute, on
//! redis-rs.
//!
//! ```no_run
//! # fn main() -> Result<(), holdfast_client::Error> {
//! use holdfast_client::{inv_set, order_place};
//!
//! let mut redis = redis::Client::open("redis://127.0.0.1:6379")?.get_connection()?;
//! inv_set("popup", "mug", 100).query(&mut redis)?;
//! order_place("popup", "o-1", "alice").items([("mug", 2)]).query(&mut redis)?;
//! # Ok(())
//! # }
//! ```
//!
//! Every command is a function that returns a [`Call`]; its options are methods, and `query` or `query_async` sends it.
//! Calls that wait need a [`Waiter`], which has a connection of its own. [`Worker`] is the loop that works on orders.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "aio")]
mod aio;
mod call;
mod commands;
mod error;
mod ids;
mod json;
mod link;
mod reply;
mod worker;

#[cfg(feature = "aio")]
pub use aio::AsyncWaiter;
pub use call::{Call, Command, Waiting};
pub use commands::*;
pub use error::Error;
#[cfg(feature = "aio")]
pub use ids::AsyncIds;
pub use ids::Ids;
pub use link::{Connect, Link, Nothing, Waiter};
pub use reply::{
    ClaimedOrder, Completion, Difference, Failure, Gate, Hold, HoldItem, Info, Lane, LockState, Map, Order, OrderItem,
    Page, Sku,
};
pub use worker::{Failed, Job, Outcome, Stopper, Worker};
