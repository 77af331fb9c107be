//! Servers to try things on: tests, sales and measurements start them here, wait for them here, and leave nothing of
//! them behind.
//!
//! [`server`] starts one, [`process`] holds the process, [`wait`] waits for a condition, [`cleanup`] ends everything on
//! every way out of the program.

pub mod cleanup;
pub mod process;
pub mod server;
pub mod wait;

pub use process::Process;
pub use server::{Options, Server};
