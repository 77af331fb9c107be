//! What can be asked of a store, a file a family of commands.

pub mod dead;
pub mod due;
pub mod edits;
pub mod entries;
pub mod gates;
pub mod holds;
pub mod info;
pub mod lanes;
pub mod locks;
pub mod metrics;
pub mod orders;
pub(crate) mod replace;
pub mod returns;
pub mod settings;
pub mod steps;
pub mod stock;
pub mod waits;
pub mod work;
