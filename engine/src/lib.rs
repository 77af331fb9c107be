//! The store as a pure, deterministic state machine: (state, stamped command) → (state, reply, effects).
//!
//! Nothing in here knows Redis, reads a clock or draws a random number. The caller passes the time with every call; the
//! same calls with the same stamps lead to the same state on a primary, on a replica, in a log that is replayed and in
//! a test. Every call first checks everything that can be refused, then changes the state in a way that cannot fail.
//!
//! Each folder imports only from those above it in this list; `calls` and `books` stand next to each other.
#![forbid(unsafe_code)]

pub mod base;
pub mod books;
pub mod calls;
pub mod record;
pub mod store;
pub mod terms;
#[cfg(test)]
mod tests;

/// The naive model of the tests, for the tests of other crates: what the store has to do.
#[cfg(all(feature = "model", not(test)))]
#[path = "tests"]
#[allow(clippy::new_without_default, reason = "what is made in tests is made by name")]
pub mod oracle {
    pub mod build;
    pub mod command;
    pub mod compare;
    pub mod forge;
    pub mod generate;
    pub mod model;
    pub mod published;
    pub mod shop;
}
