//! The record of a group of orders.

use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::{Bytes, NIL};

/// Orders, first in first: a list through the orders themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderList {
    /// The slot of the first order, or [`NIL`].
    pub head: u32,
    /// The slot of the last order, or [`NIL`].
    pub tail: u32,
}

impl OrderList {
    pub const EMPTY: OrderList = OrderList { head: NIL, tail: NIL };
}

/// A group: its orders are given out one at a time, in the order placed.
pub(crate) struct Group {
    pub id: Bytes,
    /// Orders that name it, ended ones that are remembered included.
    pub refs: u64,
    /// Its open orders, first to last.
    pub orders: OrderList,
    vacant: Option<u32>,
}

impl Group {
    pub fn new(id: &[u8]) -> Self {
        Group { id: id.into(), refs: 0, orders: OrderList::EMPTY, vacant: None }
    }
}

impl Keyed for Group {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

impl Record for Group {
    fn vacant(next: u32) -> Self {
        Group { vacant: Some(next), ..Group::new(b"") }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}
