//! What every test uses: servers, clients, conditions to wait for, and readers of the store's streams.

mod binary;
mod client;
mod command;
pub mod console;
pub mod documented;
mod dump;
mod random;
mod resp;
mod server;
mod shop;
pub mod stack;
mod stream;
pub mod terminal;
mod wall_clock;
pub mod watcher;
pub mod ways;
mod work;

pub use binary::ServerBinary;
pub use client::Client;
pub use command::{Arg, IntoCommand};
pub use dump::{forge_payload, payload_body};
pub use holdfast_lab::wait::{DEADLINE, assert_stays, wait_until};
pub use random::check;
pub use resp::{Reply, encode, read_commands};
pub use server::Server;
pub use shop::{COUNTERS, assert_books_balance, info, open_store, place_many, server_now_ms, shop_of, stock};
pub use stream::{Entry, entries, ids_of};
pub use wall_clock::WallClock;
pub use work::{Claimed, blocked, claim, claim_one, die_many, ids, order_field, rewrite_log, waiter};

/// A test: it gets the server binary it is to run on, and panics when it fails.
pub type TestFn = fn(&ServerBinary);

/// The table of a file's tests, by their names. A test that is not in it is dead code, and the build says so.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[(&str, crate::common::TestFn)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use tests;

/// A command of arguments of any kind (`&str`, bytes, integers): binary safe, where a plain string is split at spaces.
macro_rules! cmd {
    ($($arg:expr),+ $(,)?) => {{
        use crate::common::Arg as _;
        vec![$(($arg).to_arg()),+]
    }};
}
pub(crate) use cmd;
