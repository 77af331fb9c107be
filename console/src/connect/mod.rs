//! The way to a server: one that is named, the primary that sentinels know, or the nodes of a cluster. All of
//! `watch`, `sale` and `replay` connect by it.

mod address;
mod asking;
mod follow;
mod home;
mod options;
mod passing;
mod patient;
mod primary;
pub mod secrets;
mod slot;
mod slots;
mod way;

pub use self::follow::StoreConnection;
pub use self::home::Home;
pub use self::options::ConnectArgs;
pub use self::passing::may_pass;
pub use self::patient::Connection;
pub use self::slot::SlotConnection;
pub use self::slots::{Node, primaries};
pub use self::way::{Way, host_of, lost, within};
