//! What knows nothing of a shop: slots, the index from ids to slots, packed integers, units and times.

pub mod defrag;
pub mod index;
pub mod packed;
pub mod slab;
pub mod table;
pub mod units;
