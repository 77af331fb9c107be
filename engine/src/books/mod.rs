//! What looks at the whole of a store: its image, its audit, its digest.

pub mod audit;
pub mod digest;
pub mod image;
