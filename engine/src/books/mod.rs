//! What looks at the whole of a store: its image, its audit, its digest, its defragmentation.

pub mod audit;
pub mod defrag;
pub mod digest;
pub mod image;
