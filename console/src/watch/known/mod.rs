//! What is known of a server and its stores, and who follows it. Nothing in here knows the page or the terminal.
//!
//! The [`feed`] keeps a [`model`] of the server, over one connection however many look on; [`detail`] and [`history`]
//! ask for more of the stores that somebody looks at, and a [`follow::Follower`] says what changed of them.

pub mod action;
pub mod ask;
pub mod browse;
pub mod detail;
mod discovery;
pub mod durations;
mod feed;
pub mod fleet;
pub mod follow;
pub mod history;
pub mod id;
pub mod key;
pub mod lanes;
pub mod link;
pub mod model;
pub mod order;
pub mod reply;
pub mod sample;
pub mod series;
pub mod server;
mod shelf;
pub mod words;
