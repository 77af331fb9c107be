//! A store: what it holds, and the few ways in which its books change. Everything else is built from these.

pub mod lookup;
pub mod queue;

use std::collections::BTreeMap;

use crate::base::index::Index;
use crate::base::slab::Slab;
use crate::base::units::{Bytes, Ms, NIL};
use crate::books::audit::Audit;
use crate::calls::due::Due;
use crate::calls::metrics::Sampling;
use crate::calls::stock::Source;
use crate::record::crew::{Group, Worker};
use crate::record::customer::{Customer, Many};
use crate::record::hold::Hold;
use crate::record::order::{Extra, Order};
use crate::record::reference::Ref;
use crate::record::sku::Sku;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::journal::{Move, Movement, Why};
use crate::terms::metrics::Counters;
use crate::terms::refusal::Refusal;
use crate::terms::settings::{Field, Settings};
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, LastIds, StreamKind};

/// Sums over all SKUs, kept as they change. 128 bits: each SKU may have 2^53 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub on_hand: u128,
    pub held: u128,
    pub sold: u128,
    /// Of SKUs that have any available.
    pub available: u128,
    /// Units that are held but not there: of SKUs that were counted below what is held.
    pub oversold: u128,
}

/// Orders, first in first: a list through the orders themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub head: u32,
    pub tail: u32,
}

/// A shop, dark store, warehouse, or one sale: the value of one key.
pub struct Store {
    pub(crate) settings: Settings,
    /// The stamp of the last change. Time never steps back in a store.
    pub(crate) now: Ms,
    /// Numbers holds, ended orders and REFs in the order they came.
    pub(crate) places: u64,
    pub(crate) last: LastIds,
    pub(crate) counters: Counters,
    pub(crate) sampling: Sampling,
    pub(crate) totals: Totals,
    pub(crate) skus: Slab<Sku>,
    pub(crate) sku_index: Index,
    pub(crate) customers: Slab<Customer>,
    pub(crate) customer_index: Index,
    pub(crate) many: BTreeMap<u32, Many>,
    pub(crate) holds: Slab<Hold>,
    pub(crate) hold_index: Index,
    pub(crate) live_holds: u64,
    pub(crate) orders: Slab<Order>,
    pub(crate) order_index: Index,
    pub(crate) extras: Slab<Extra>,
    pub(crate) by_state: [u64; 6],
    /// The line of waiting orders.
    pub(crate) queue: Queue,
    /// The first order in the line that was not late so far.
    pub(crate) late_from: u32,
    /// Orders to be handed out that are not in the line, by their place in the queue.
    pub(crate) ready: BTreeMap<EntryId, u32>,
    /// Due retries, by when they were due and their number.
    pub(crate) retries: BTreeMap<(Ms, u64), u32>,
    /// Open orders that are not in the line and were not late so far, by age.
    pub(crate) aging: BTreeMap<(Ms, EntryId), u32>,
    /// Dead orders, as they died.
    pub(crate) dead: BTreeMap<u64, u32>,
    pub(crate) groups: Slab<Group>,
    pub(crate) group_index: Index,
    pub(crate) workers: Slab<Worker>,
    pub(crate) worker_index: Index,
    /// The last token that was handed out.
    pub(crate) last_token: u64,
    /// Entries that are in `…:retry`.
    pub(crate) retry_entries: u64,
    pub(crate) refs: Slab<Ref>,
    pub(crate) ref_index: Index,
    pub(crate) sources: BTreeMap<Bytes, Source>,
    pub(crate) due: BTreeMap<(Ms, u64), Due>,
    pub(crate) audit: Option<Box<Audit>>,
    /// Whether the streams of its key were another store's when it came there: see [`Store::came_second`].
    pub(crate) second: bool,
    pub(crate) seed: u64,
}

impl Store {
    /// An empty store. `seed` keys the hash tables, so that nobody can choose ids that collide; it changes no result.
    pub fn new(seed: u64) -> Self {
        Store {
            settings: Settings::default(),
            now: 0,
            places: 0,
            last: LastIds::default(),
            counters: Counters::default(),
            sampling: Sampling::default(),
            totals: Totals::default(),
            skus: Slab::new(),
            sku_index: Index::new(),
            customers: Slab::new(),
            customer_index: Index::new(),
            many: BTreeMap::new(),
            holds: Slab::new(),
            hold_index: Index::new(),
            live_holds: 0,
            orders: Slab::new(),
            order_index: Index::new(),
            extras: Slab::new(),
            by_state: [0; 6],
            queue: Queue::EMPTY,
            late_from: NIL,
            ready: BTreeMap::new(),
            retries: BTreeMap::new(),
            aging: BTreeMap::new(),
            dead: BTreeMap::new(),
            groups: Slab::new(),
            group_index: Index::new(),
            workers: Slab::new(),
            worker_index: Index::new(),
            last_token: 0,
            retry_entries: 0,
            refs: Slab::new(),
            ref_index: Index::new(),
            sources: BTreeMap::new(),
            due: BTreeMap::new(),
            audit: None,
            second: false,
            seed,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets settings, all or none. Fields out of their range are refused.
    pub fn configure(&mut self, now: Ms, fields: &[(Field, u64)], fx: &mut Effects) -> Result<(), Refusal> {
        let mut settings = self.settings.clone();
        for (field, value) in fields {
            let (min, max) = (field.min(), field.max());
            if !(min..=max).contains(value) {
                return Err(Refusal::argument(field.name(), format!("must be from {min} to {max}, got {value}")));
            }
            settings.set(*field, *value);
        }
        if settings.closes != 0 && settings.closes <= settings.opens {
            let problem = format!("must be after opens, {}, or 0, got {}", settings.opens, settings.closes);
            return Err(Refusal::argument("closes", problem));
        }
        self.touch(now, fx);
        self.settings = settings;
        fx.event(Event::StoreChanged);
        Ok(())
    }

    /// The time a call happens at: the caller's stamp, but never before what has happened already.
    #[inline]
    pub(crate) fn stamp(&self, now: Ms) -> Ms {
        now.max(self.now)
    }

    /// Past this point a call changes the store and cannot fail.
    #[inline]
    pub(crate) fn touch(&mut self, now: Ms, fx: &mut Effects) {
        self.now = self.stamp(now);
        self.sampling.changed = true;
        fx.changed = true;
    }

    pub(crate) fn next_place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }

    /// Moves the stock of one SKU and tells the journal and the subscribers. The sums were checked before.
    pub(crate) fn move_stock(&mut self, slot: u32, how: Move, why: Why<'_>, fx: &mut Effects) {
        let before = self.skus.at(slot).level();
        self.move_stock_from(before, slot, how, why, fx);
    }

    /// The same, where the SKU's marks changed just now: `before` is its level before that.
    pub(crate) fn move_stock_from(&mut self, before: Level, slot: u32, how: Move, why: Why<'_>, fx: &mut Effects) {
        let sku = self.skus.at_mut(slot);
        self.totals.take(sku);
        let delta = sku.apply(how);
        self.totals.add(sku);
        sku.level().tell(before, fx);
        if self.settings.journal > 0 {
            let movement = Movement {
                id: self.last.next(StreamKind::Journal, self.now),
                kind: why.kind,
                sku: sku.id.clone(),
                delta,
                on_hand: sku.on_hand,
                held: sku.held,
                reference: why.reference.into(),
                reason: why.reason.into(),
            };
            fx.push(Effect::Moved(Box::new(movement)));
        }
    }

    pub(crate) fn set_order_state(&mut self, slot: u32, state: OrderState) {
        let order = self.orders.at_mut(slot);
        self.by_state[order.state() as usize] -= 1;
        self.by_state[state as usize] += 1;
        order.set_state(state);
    }

    /// The extra of an order, made if it has none.
    pub(crate) fn extra_mut(&mut self, slot: u32) -> &mut Extra {
        let order = self.orders.at_mut(slot);
        if order.extra == NIL {
            order.extra = self.extras.insert(Extra::default());
        }
        self.extras.at_mut(order.extra)
    }

    /// The extra of an order, if it has one.
    pub(crate) fn extra(&self, order: &Order) -> Option<&Extra> {
        (order.extra != NIL).then(|| self.extras.at(order.extra))
    }

    pub(crate) fn placed_at(&self, order: &Order) -> Ms {
        self.extra(order).and_then(|extra| extra.placed_at).unwrap_or(order.entry().ms)
    }

    /// An order's place in the queue: the id its entry had when it was queued.
    pub(crate) fn queued_as(&self, order: &Order) -> EntryId {
        self.extra(order).and_then(|extra| extra.queued_as).unwrap_or(order.entry())
    }

    /// The stamp of the last change; 0 before the first.
    #[inline]
    pub fn last_change(&self) -> Ms {
        self.now
    }

    /// What `STORE.INFO` shows. Ages are as of `now`.
    pub fn info(&self, now: Ms) -> StoreInfo {
        let oldest = self.next_order().map(|slot| self.placed_at(self.orders.at(slot)));
        StoreInfo {
            skus: self.skus.len() as u64,
            on_hand: self.totals.on_hand,
            held: self.totals.held,
            available: self.totals.available,
            oversold: self.totals.oversold,
            sold: self.totals.sold,
            orders: self.by_state,
            holds: self.live_holds,
            workers: self.workers.len() as u64,
            customers: self.customers.len() as u64,
            oldest_waiting_ms: oldest.map_or(0, |placed| now.saturating_sub(placed)),
            next_due: self.next_due().unwrap_or(0),
            counters: self.counters,
        }
    }

    /// Whether the streams of its key were another store's when it came there, by RENAME, COPY, MOVE or RESTORE. It is
    /// part of the store, so that a replica and a store that is loaded know which of two came first.
    pub fn came_second(&self) -> bool {
        self.second
    }

    /// Notes whether they are.
    pub fn set_second(&mut self, second: bool) {
        self.second = second;
    }

    /// How much work freeing the store is, in allocations, roughly: what the server weighs before it frees in place.
    pub fn weight(&self) -> usize {
        1 + self.skus.len() + self.customers.len() + self.holds.len() + self.orders.len() + self.refs.len()
    }

    /// Orders that wait or are being worked on.
    pub fn open_orders(&self) -> u64 {
        OrderState::ALL.iter().filter(|state| state.is_open()).map(|state| self.by_state[*state as usize]).sum()
    }

    /// How many entries a stream that lists orders has to have.
    pub fn entries(&self, kind: StreamKind) -> Option<u64> {
        match kind {
            StreamKind::Orders => Some(self.open_orders()),
            StreamKind::Retry => Some(self.retry_entries),
            StreamKind::Dead => Some(self.dead.len() as u64),
            StreamKind::Complete | StreamKind::Journal | StreamKind::Metrics => None,
        }
    }

    /// The id of the last entry of a stream.
    pub fn last_entry(&self, kind: StreamKind) -> EntryId {
        let mut last = self.last;
        *last.of(kind)
    }
}

impl Totals {
    pub(crate) fn take(&mut self, sku: &Sku) {
        self.on_hand -= u128::from(sku.on_hand);
        self.held -= u128::from(sku.held);
        self.sold -= u128::from(sku.sold);
        self.available -= u128::from(sku.available().max(0) as u64);
        self.oversold -= u128::from(sku.held.saturating_sub(sku.on_hand));
    }

    pub(crate) fn add(&mut self, sku: &Sku) {
        self.on_hand += u128::from(sku.on_hand);
        self.held += u128::from(sku.held);
        self.sold += u128::from(sku.sold);
        self.available += u128::from(sku.available().max(0) as u64);
        self.oversold += u128::from(sku.held.saturating_sub(sku.on_hand));
    }
}

/// What subscribers are told about a SKU's stock: whether there is any to sell, and whether it is low.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    out: bool,
    low: bool,
}

impl Level {
    fn tell(self, before: Level, fx: &mut Effects) {
        if self.out && !before.out {
            fx.event(Event::StockOut);
        }
        if self.low && !before.low {
            fx.event(Event::StockLow);
        }
    }
}

impl Sku {
    pub(crate) fn level(&self) -> Level {
        Level { out: self.available() <= 0, low: self.is_low() }
    }

    /// Applies a move that was checked, and says by how much it moved.
    fn apply(&mut self, how: Move) -> i64 {
        match how {
            Move::OnHand(delta) => {
                self.on_hand = self.on_hand.saturating_add_signed(delta);
                self.received += delta;
                delta
            }
            Move::Hold(qty) => {
                self.held += qty;
                qty as i64
            }
            Move::Free(qty) => {
                self.held -= qty;
                -(qty as i64)
            }
            Move::Ship(qty) => {
                // A count that came in below what was held: more units leave than were counted.
                let uncounted = qty.saturating_sub(self.on_hand);
                self.received += uncounted as i64;
                self.on_hand = self.on_hand + uncounted - qty;
                self.held -= qty;
                self.sold += qty;
                -(qty as i64)
            }
            Move::Return(qty) => {
                self.on_hand += qty;
                self.sold -= qty;
                qty as i64
            }
            // As if they were put back, and a count took them off again.
            Move::Scrap(qty) => {
                self.sold -= qty;
                self.received -= qty as i64;
                qty as i64
            }
        }
    }
}

/// What `STORE.INFO` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// SKUs.
    pub skus: u64,
    /// Units in the building.
    pub on_hand: u128,
    /// Units of live holds and open orders.
    pub held: u128,
    /// Units that can be sold.
    pub available: u128,
    /// Units held beyond what is on hand, of SKUs that were counted below what is held.
    pub oversold: u128,
    /// Units sold, net of returns.
    pub sold: u128,
    /// Orders by state, in the order of [`OrderState::ALL`].
    pub orders: [u64; 6],
    /// Live holds.
    pub holds: u64,
    /// Workers that have orders in hand.
    pub workers: u64,
    /// Customers with a hold, an order or units that count towards the limit.
    pub customers: u64,
    /// How long ago the order that is handed out next was placed; 0: none waits.
    pub oldest_waiting_ms: Ms,
    /// When something is due next; 0: nothing is.
    pub next_due: Ms,
    /// What was counted since the store was made.
    pub counters: Counters,
}
