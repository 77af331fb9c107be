//! A recount of what holds and orders add up to, for an audit. It goes through the slots in order; a record that
//! changes in a slot which was counted already is subtracted before and added after the change, so that at every moment
//! the recount is that of the slots so far.

use std::collections::BTreeMap;

use crate::base::units::{Ms, NIL};
use crate::record::due::DueKey;
use crate::record::hold::Hold;
use crate::record::order::{Extra, Order, Waitlisted};
use crate::terms::audit::Difference;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Numbers by slot, growing in chunks.
#[derive(Default)]
pub(crate) struct BySlot {
    chunks: Vec<Vec<[i64; 2]>>,
}

const CHUNK: usize = 4096;

impl BySlot {
    fn at_mut(&mut self, slot: u32) -> &mut [i64; 2] {
        let chunk = slot as usize / CHUNK;
        while self.chunks.len() <= chunk {
            self.chunks.push(Vec::new());
        }
        let numbers = &mut self.chunks[chunk];
        if numbers.is_empty() {
            numbers.resize(CHUNK, [0; 2]);
        }
        &mut numbers[slot as usize % CHUNK]
    }

    /// The numbers of a slot; 0 where none was counted.
    pub fn at(&self, slot: u32) -> [i64; 2] {
        let chunk = self.chunks.get(slot as usize / CHUNK);
        chunk.and_then(|chunk| chunk.get(slot as usize % CHUNK)).copied().unwrap_or_default()
    }
}

/// Makes units of different SKUs count differently: SplitMix64's finalizer.
pub(crate) fn weighted(sku: u32, units: i64) -> i64 {
    let mut n = u64::from(sku).wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    units.wrapping_mul((n ^ (n >> 31)) as i64)
}

/// Units that were recounted.
#[derive(Default)]
pub(crate) struct UnitSums {
    /// Held and sold units of a SKU.
    pub skus: BySlot,
    /// Units of a customer, and a sum that tells its SKUs apart.
    pub customers: BySlot,
}

impl UnitSums {
    fn count(&mut self, customer: u32, sku: u32, held: i64, sold: i64) {
        let [sku_held, sku_sold] = self.skus.at_mut(sku);
        *sku_held += held;
        *sku_sold += sold;
        if customer != NIL {
            let [units, mark] = self.customers.at_mut(customer);
            *units += held + sold;
            *mark = mark.wrapping_add(weighted(sku, held + sold));
        }
    }
}

/// What the holds add up to.
#[derive(Default)]
pub(crate) struct HoldRecount {
    /// Slots below this one are counted.
    pub counted: u32,
    pub units: UnitSums,
    pub live: i64,
}

impl HoldRecount {
    /// Adds a hold (`sign` 1) or subtracts it (-1).
    pub fn count(&mut self, hold: &Hold, sign: i64) {
        self.live += sign * i64::from(hold.is_live());
        for item in &hold.items {
            let held = if hold.is_live() { item.left as i64 } else { 0 };
            self.units.count(hold.customer, item.sku, sign * held, sign * item.committed as i64);
        }
    }
}

/// What the orders add up to.
#[derive(Default)]
pub(crate) struct OrderRecount {
    /// Slots below this one are counted.
    pub counted: u32,
    pub units: UnitSums,
    pub by_state: [i64; OrderState::COUNT],
    /// Orders that have a deadline.
    pub due: i64,
    /// Orders that have an entry in `…:retry`.
    pub retry_entries: i64,
    /// Open orders that have no entry in `…:orders`.
    pub unlisted: i64,
    /// Units of a SKU that orders wait for; and how many orders do, each once for every SKU.
    pub missing: BySlot,
    pub waits: i64,
    /// Orders by state in each lane but the default one, by its slot.
    pub lanes: BTreeMap<u32, [i64; OrderState::COUNT]>,
    /// Orders that have not ended, in each lane that has any.
    pub used_lanes: BTreeMap<u32, i64>,
}

impl OrderRecount {
    /// Adds an order (`sign` 1) or subtracts it (-1).
    pub fn count(&mut self, order: &Order, extra: Option<&Extra>, sign: i64) {
        let state = order.state();
        self.by_state[state as usize] += sign;
        if let Some(extra) = extra {
            self.due += sign * i64::from(extra.stage.due().is_some());
            self.retry_entries += sign * i64::from(extra.stage.retry().is_some());
            self.unlisted += sign * i64::from(state.is_open() && extra.is_unlisted());
            if let Some(lane) = extra.lane() {
                self.count_lane(lane, state, sign);
            }
            if let Some(waitlisted) = extra.stage.waitlisted() {
                return self.count_waiting(order, waitlisted, sign);
            }
        }
        for kept in order.kept(extra) {
            let qty = sign * kept.qty as i64;
            match state {
                OrderState::Completed => self.units.count(order.customer, kept.sku, 0, qty),
                state if state.is_open() => self.units.count(order.customer, kept.sku, qty, 0),
                _ => {}
            }
        }
    }
}

impl OrderRecount {
    /// An order that waits for stock holds what it gathered; all of it counts for its customer.
    fn count_waiting(&mut self, order: &Order, waitlisted: &Waitlisted, sign: i64) {
        for units in order.items() {
            self.units.count(order.customer, units.sku, sign * units.qty as i64, 0);
        }
        for missing in &waitlisted.missing {
            let qty = sign * missing.qty as i64;
            self.units.skus.at_mut(missing.sku)[0] -= qty;
            self.missing.at_mut(missing.sku)[0] += qty;
            self.waits += sign;
        }
    }

    #[cold]
    fn count_lane(&mut self, lane: u32, state: OrderState, sign: i64) {
        self.lanes.entry(lane).or_default()[state as usize] += sign;
        if state.is_in_lane() {
            let orders = self.used_lanes.entry(lane).or_default();
            *orders += sign;
            if *orders == 0 {
                self.used_lanes.remove(&lane);
            }
        }
    }
}

/// How far an audit has come, behind the recounts; and what it found.
#[derive(Default)]
pub(crate) struct AuditProgress {
    pub refs: u32,
    pub skus: u32,
    pub customers: u32,
    pub lanes: u32,
    /// The last entry checked of the ready orders, the due retries, the aging and the dead, each sorted by its own key.
    pub ready: Option<EntryId>,
    pub retries: Option<DueKey>,
    /// The lane whose ready orders and due retries are looked at; none: the default one.
    pub lane: Option<u32>,
    pub aging: Option<(Ms, EntryId)>,
    pub dead: Option<u64>,
    pub workers: u32,
    /// The last claim checked of the worker at hand.
    pub claims: Option<u64>,
    pub differences: Vec<Difference>,
}
