//! REFs: ids for changes that have none of their own, remembered for `keep-ms` with what was asked and replied.

use xxhash_rust::xxh3::xxh3_128;

use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::Bytes;
use crate::record::due::DueKey;
use crate::terms::items::Item;

/// The command a REF belongs to: the same id under another command is another REF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RefCommand {
    /// An image of version 1 does not say which: such a REF stands for any command until it is forgotten.
    Any = 0,
    Adjust = 1,
    Commit = 2,
    Release = 3,
    Return = 4,
    Edit = 5,
}

impl RefCommand {
    pub fn by_number(number: u64) -> Option<RefCommand> {
        use RefCommand::{Adjust, Any, Commit, Edit, Release, Return};
        [Any, Adjust, Commit, Release, Return, Edit].into_iter().find(|asker| *asker as u64 == number)
    }
}

/// The content of a call, as fingerprints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    /// Of the items sorted and added up: their order and repeated names make no other content.
    pub call: u128,
    /// Of the items as they were named, which is how version 0.1 remembered a call.
    as_named: u128,
}

impl Content {
    /// A call without items.
    pub fn plain<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let call = fingerprint(parts);
        Content { call, as_named: call }
    }

    /// A call with items.
    pub fn with_items(head: &[&[u8]], items: &[Item<'_>]) -> Self {
        let as_named = of_items(head, items);
        let sorted = sorted(items);
        let call = if *sorted == *items { as_named } else { of_items(head, &sorted) };
        Content { call, as_named }
    }

    /// Whether a remembered call had this content.
    pub fn is(&self, known: u128) -> bool {
        known == self.call || known == self.as_named
    }
}

/// The items by SKU, each SKU once. At most 2,000 items of at most 2^53 - 1 units: their sum fits 64 bits.
fn sorted<'a>(items: &[Item<'a>]) -> Vec<Item<'a>> {
    let mut items = items.to_vec();
    items.sort_by(|a, b| a.sku.cmp(b.sku));
    items.dedup_by(|item, kept| {
        let same = item.sku == kept.sku;
        if same {
            kept.qty = kept.qty.saturating_add(item.qty);
        }
        same
    });
    items
}

fn of_items(head: &[&[u8]], items: &[Item<'_>]) -> u128 {
    let numbers: Vec<_> = items.iter().map(|item| item.qty.to_le_bytes()).collect();
    let parts = items.iter().zip(&numbers).flat_map(|(item, qty)| [item.sku, &qty[..]]);
    fingerprint(head.iter().copied().chain(parts))
}

/// A remembered REF.
#[derive(Clone, Debug)]
pub(crate) struct Ref {
    pub by: RefCommand,
    pub id: Bytes,
    /// The fingerprint of what was asked.
    pub call: u128,
    /// What was replied.
    pub reply: u64,
    /// When it is forgotten.
    pub due: DueKey,
    vacant: Option<u32>,
}

impl Ref {
    pub fn new(by: RefCommand, id: &[u8], call: u128, reply: u64, due: DueKey) -> Self {
        Ref { by, id: id.into(), call, reply, due, vacant: None }
    }
}

impl Keyed for Ref {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

impl Record for Ref {
    fn vacant(next: u32) -> Self {
        Ref { vacant: Some(next), ..Ref::new(RefCommand::Any, b"", 0, 0, DueKey::default()) }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}

/// The fingerprint of a call: XXH3-128 over its parts, each with its length, so that no two lists of parts run
/// together.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    let mut bytes = Vec::new();
    for part in parts {
        crate::base::packed::put_bytes(&mut bytes, part);
    }
    xxh3_128(&bytes)
}

/// A numbered feed: the last number that was applied, and what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub seq: u64,
    /// The fingerprint of its counts.
    pub call: u128,
}
