//! The records of a store, a file each.

pub mod crew;
pub mod customer;
pub mod history;
pub mod hold;
pub mod order;
pub mod reference;
pub mod sku;
