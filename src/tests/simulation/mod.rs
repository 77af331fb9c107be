//! A deterministic simulation of the module: a seed makes a world, the naive model of the engine's tests says what has
//! to be true in it.
//!
//! A world has a primary, two replicas and a replica of one of them ([`node`]), each a simulated server with clocks and
//! settings of its own, a disk (snapshots, also in the form of a rewritten log), and what was replicated, which is the
//! log too ([`history`]). The servers run the module's own commands and write path on words as a client sends them, and
//! the queues of blocked callers. What happens is a list of
//! plain actions ([`action`], [`generate`], [`shopping`]): commands, doubled, late and repeated; time; kills with the
//! end of the log cut off; failovers to replicas that are behind; wall clocks that step, jump, run fast or slow; paused
//! writes, full memory, long work in slices; slots that move, stream by stream; outsiders at the streams; callers who
//! wait, give up, are unblocked or gone in the moment of the answer ([`callers`]). A log is cut
//! at any byte ([`log`]).
//!
//! Most commands find what they are meant for ([`aim`]): a table of how each ended comes at the end of a run
//! ([`tally`]).
//!
//! After every turn ([`turn`]): the reply is the model's, the books are the model's in every detail, an audit is clean,
//! the streams are what the books say (unless an outsider changed them since a repair), what is refused or said again
//! changes nothing, what changes something is replicated, and nothing is made while its slot moves. OOM and TRYAGAIN
//! come exactly where they have to ([`expect`]). Who waits is served in order, from the lanes that it named, and nobody
//! waits while there is something for it. Whoever has
//! received or loaded the same has the same digest and the same streams. Then faults stop, and everything has to end
//! ([`settle`]).
//!
//! `make simulate` runs it for long, the usual tests for a moment. A world that fails is made shorter and printed as a
//! list for `replay` ([`run`]): with `use super::action::{Action::*, Meddling::*, Long::*}` and the enums of
//! `holdfast_engine::oracle::command` it is a test.
//!
//! Whether it would notice was tried by breaking the code by hand. Found within seconds: a slice of due work that is
//! not replicated; units that come back and wake nobody who waits; a stamp that is left out where the time has moved; a
//! REENTRY that is lost; an order that ends and stays in `…:retry`; deadlines that are met, or long work that goes
//! on, while writes are paused; an earlier deadline that is not registered; a time that stands still after a failover
//! to a clock that is behind; a command that frees units and does not look whether `…:orders` is here (60 worlds).

pub mod action;
mod aim;
mod callers;
mod expect;
pub mod generate;
pub mod history;
mod locks;
mod log;
pub mod node;
pub mod run;
mod settle;
mod shopping;
mod tally;
mod turn;
pub mod words;
mod work;
mod world;
