//! REFs: ids for changes that have none of their own, remembered for `keep-ms` with what was asked and replied.

use xxhash_rust::xxh3::xxh3_128;

use super::slab::Record;
use super::types::{Bytes, Ms};

/// A remembered REF.
#[derive(Clone, Debug)]
pub(super) struct Ref {
    pub id: Bytes,
    /// Its number in the store.
    pub place: u64,
    /// What was asked.
    pub call: u128,
    /// What was replied.
    pub reply: u64,
    /// When it is forgotten.
    pub due: Ms,
    vacant: Option<u32>,
}

impl Ref {
    pub fn new(id: &[u8], call: u128, reply: u64) -> Self {
        Ref { id: id.into(), place: 0, call, reply, due: 0, vacant: None }
    }
}

impl Record for Ref {
    fn vacant(next: u32) -> Self {
        Ref { vacant: Some(next), ..Ref::new(b"", 0, 0) }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}

/// The fingerprint of a call: XXH3-128 over its parts, each with its length, so that no two lists of parts run together.
pub(super) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    let mut bytes = Vec::new();
    for part in parts {
        super::packed::put_bytes(&mut bytes, part);
    }
    xxh3_128(&bytes)
}
