//! The records of a store, a file each: plain data, packed where there are many of them.

pub mod customer;
pub mod due;
pub(crate) mod end;
pub mod gate;
pub mod group;
pub mod history;
pub mod hold;
pub(crate) mod lane;
pub mod order;
pub mod reference;
pub mod returns;
pub mod sampling;
pub mod sku;
pub mod worker;
