//! The store as a pure, deterministic state machine: (state, stamped command) → (state, reply, effects).
//!
//! Nothing in here knows Redis, reads a clock or draws a random number. A caller hands over the time with every call;
//! the same calls with the same stamps lead to the same state on a primary, on a replica, in a log that is replayed and
//! in a test. Every call first checks everything that can be refused, then changes the state in a way that cannot fail.
#![forbid(unsafe_code)]

mod audit;
mod counters;
mod crew;
mod customer;
mod dead;
mod digest;
mod due;
mod effects;
mod history;
mod hold;
mod holds;
mod image;
mod index;
mod journal;
mod locks;
mod lookup;
mod metrics;
mod order;
mod orders;
mod packed;
mod queue;
mod refs;
mod refusal;
mod returns;
mod settings;
mod sku;
mod slab;
mod steps;
mod stock;
mod store;
mod streams;
#[cfg(test)]
mod tests;
mod types;
mod work;

pub use audit::{Difference, AUDIT_SLICE};
#[cfg(test)]
pub use counters::Counters;
pub use counters::{Code, Refused};
pub use effects::{Effect, Effects};
pub use history::Happening;
pub use hold::HoldView;
pub use holds::{Close, Reserve};
pub use image::Loader;
pub use journal::Movement;
pub use locks::{Lock, Taken, FLOOR_MAX};
#[cfg(test)]
pub use metrics::GAUGE_DOCS;
pub use metrics::{Sample, METRICS};
pub use order::{OrderState, OrderView};
pub use orders::{Complete, Place, Take};
pub use refusal::Refusal;
pub use returns::Return;
pub use settings::{Field, Settings, FIELDS};
pub use sku::SkuView;
pub use steps::Advance;
pub use stock::{Adjust, SetStock, Sync, Synced};
pub use store::Store;
pub use streams::{EntryId, StreamKind};
pub use types::{Line, Ms, MAX_DATA_BYTES, MAX_ID_BYTES, MAX_ITEMS, MAX_QUANTITY};
pub use work::{Claim, ClaimView, Fail, CLAIM_MAX};
