//! The way to a server: one that is named, the primary that sentinels know, or the nodes of a cluster. All of
//! `watch`, `sale` and `replay` connect by it.

mod address;
mod follow;
mod options;
mod passing;
mod primary;
pub mod secrets;
mod slots;
mod way;

pub use self::follow::{Connection, StoreConnection};
pub use self::options::ConnectArgs;
pub use self::passing::may_pass;
pub use self::slots::{Node, primaries};
pub use self::way::{Way, host_of, lost, within};
