//! The type `holdlocks` as the server sees it: the lock at a key, how it is changed and replicated, and how it is
//! handed to those who wait. There is no unsafe code in here.
//!
//! A lock's tokens grow while its key is there, because the key knows the last one. They grow past the end of the key
//! because of the floor: the highest token of any lock, one number for the whole server, which every lock begins above.
//! It is a part of the data set: saved next to the keys, and raised by the same commands on a replica.

pub mod change;
pub mod due;
pub mod value;
pub mod waiting;
