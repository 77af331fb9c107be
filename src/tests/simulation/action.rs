//! What happens in a world, step by step.

use super::locks::LockCall;
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::command::Command;
use holdfast_engine::terms::streams::StreamKind;

/// The servers of a world: a primary and its replicas, of which the last one follows another replica, [`RELAY`].
pub const NODES: usize = 4;

/// The replica that has one of its own.
pub const RELAY: usize = 2;

/// A step. What makes no sense where it comes does nothing, so that any part of a list is a list too.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The servers are nodes of a cluster from now on.
    Cluster,
    /// A client's command arrives.
    Call(Command),
    /// The command of so many calls ago arrives once more: its reply was lost, or the network doubled it.
    Again(usize),
    /// Time passes, by the clock that nobody sets.
    Pass(Ms),
    /// The primary does what is due.
    Tick,
    /// A replica gets the next of what was replicated: so many commands.
    Deliver(usize, usize),
    /// A server saves everything.
    Snapshot(usize),
    /// The same, in the form that a rewritten log has.
    Rewrite(usize),
    /// The primary saves and loads everything.
    Reload,
    /// The primary is killed and comes back from snapshot and log: so many last bytes of the log are lost.
    Crash(usize),
    /// A server that is no primary is killed and comes back.
    Restart(usize),
    /// A replica becomes the primary: what it has not got is lost. The old primary becomes its replica.
    Promote(usize),
    /// A server's wall clock is set forward or back, milliseconds.
    Wall(usize, i64),
    /// A server's wall clock runs at so many thousandths of its pace.
    Pace(usize, u64),
    /// A server does so many records of due work at a time (`holdfast.sweep-slice`).
    Slices(usize, i64),
    /// Writes are paused, or go on.
    Pause(bool),
    /// The primary's memory is full, or not any more.
    Full(bool),
    /// An outsider changes a stream.
    Meddle(StreamKind, Meddling),
    /// A stream is sent to another node of the cluster.
    SendStream(StreamKind),
    /// So is the store itself: what follows happens on the other node.
    SendStore,
    /// All keys have arrived.
    Arrive,
    /// A client has something long done.
    Begin(Long),
    /// A slice of it is done.
    Slice,
    /// A caller claims orders and waits for so long, milliseconds, where there are none; 0: without end.
    Block(Command, Ms),
    /// One who waits goes away.
    HangUp(usize),
    /// One who waits goes away in the moment in which it is answered.
    MissReply(usize),
    /// One who waits is unblocked.
    Unblock(usize),
    /// A server has time for so many pieces of work in a turn of its event loop.
    Pieces(usize, u32),
    /// A client's command on the lock.
    Lock(LockCall),
    /// The commands that follow are in MULTI, or not any more.
    Multi(bool),
    /// The store is dropped, and a new one is made.
    Drop,
}

/// What an outsider does to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Adds an entry, milliseconds ahead of the clock.
    Push(Ms),
    /// Removes an entry.
    Remove(usize),
    /// Keeps so many entries.
    Trim(usize),
    /// Deletes the stream.
    Delete,
    /// Gives it a time to live that is over now.
    Expire,
    /// Adds the last entry there can be.
    Fill,
}

/// Long work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Long {
    Audit,
    Repair,
    RedriveAll,
    Purge,
}

impl Action {
    /// The name of a fault, if it is one.
    pub fn fault(&self) -> Option<&'static str> {
        Some(match self {
            Action::Again(1) => "doubled request",
            Action::Again(_) => "late or repeated request",
            Action::Reload => "reload",
            Action::Crash(0) => "crash",
            Action::Crash(_) => "crash with a cut log",
            Action::Restart(_) => "replica killed",
            Action::Promote(_) => "failover",
            Action::Wall(_, 0..) => "wall clock set forward",
            Action::Wall(..) => "wall clock set back",
            Action::Pace(..) => "wall clock too fast or slow",
            Action::Pause(true) => "writes paused",
            Action::Full(true) => "memory full",
            Action::Meddle(_, Meddling::Push(_)) => "stream pushed ahead",
            Action::Meddle(_, Meddling::Fill) => "stream filled up",
            Action::Meddle(_, Meddling::Expire) => "stream expired",
            Action::Meddle(..) => "stream cut or deleted",
            Action::SendStream(_) => "stream moved",
            Action::SendStore => "store moved",
            Action::Block(..) => "caller who may have to wait",
            Action::HangUp(_) => "caller gone",
            Action::MissReply(_) => "caller gone before the reply",
            Action::Unblock(_) => "caller unblocked",
            Action::Drop => "store dropped",
            _ => return None,
        })
    }
}
