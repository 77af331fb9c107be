//! A store: its parts, each with private fields and the few ways in which it changes. What goes through several parts
//! at once (stock with its journal, an order with its deadline and its worker) changes here.

pub(crate) mod agenda;
mod alerts;
mod checks;
pub(crate) mod customers;
pub(crate) mod ends;
pub(crate) mod holds;
pub(crate) mod lanes;
pub(crate) mod names;
pub(crate) mod orders;
pub(crate) mod queue;
pub(crate) mod recount;
pub(crate) mod remembered;
pub(crate) mod shelf;
pub(crate) mod waitlist;
pub(crate) mod workers;

use crate::base::units::{MAX_QUANTITY, Ms};
use crate::record::due::Due;
use crate::record::hold::Hold;
use crate::record::order::{Extra, Order};
use crate::record::reference::{Content, Ref, RefCommand};
use crate::record::sampling::Sampling;
use crate::record::sku::Sku;
use crate::store::agenda::Agenda;
use crate::store::customers::Customers;
use crate::store::holds::Holds;
use crate::store::orders::Orders;
use crate::store::queue::Queue;
use crate::store::recount::AuditProgress;
use crate::store::remembered::Remembered;
use crate::store::shelf::{Level, Shelf};
use crate::store::waitlist::Waitlist;
use crate::store::workers::Workers;
use crate::terms::effects::{Effect, Effects};
use crate::terms::journal::{Move, Movement, Why};
use crate::terms::metrics::Counters;
use crate::terms::settings::Settings;
use crate::terms::streams::{EntryId, LastIds, StreamKind};

/// A shop, dark store, warehouse, or one sale: the value of one key.
pub struct Store {
    pub(crate) settings: Settings,
    /// The stamp of the last change. Time never steps back in a store.
    pub(crate) now: Ms,
    /// The last entry of each stream.
    pub(crate) last: LastIds,
    pub(crate) counters: Counters,
    pub(crate) sampling: Sampling,
    pub(crate) shelf: Shelf,
    pub(crate) customers: Customers,
    pub(crate) holds: Holds,
    pub(crate) orders: Orders,
    pub(crate) queue: Queue,
    pub(crate) waitlist: Waitlist,
    pub(crate) workers: Workers,
    pub(crate) agenda: Agenda,
    pub(crate) remembered: Remembered,
    pub(crate) audit: Option<Box<AuditProgress>>,
    /// Whether the streams of its key were another store's when it came there: see [`Store::came_second`].
    pub(crate) second: bool,
}

impl Store {
    /// An empty store. `seed` keys the hash tables, so that nobody can choose ids that collide; it changes no result.
    pub fn new(seed: u64) -> Self {
        Store {
            settings: Settings::default(),
            now: 0,
            last: LastIds::default(),
            counters: Counters::default(),
            sampling: Sampling::default(),
            shelf: Shelf::new(seed),
            customers: Customers::new(seed),
            holds: Holds::new(seed),
            orders: Orders::new(seed),
            queue: Queue::new(seed),
            waitlist: Waitlist::default(),
            workers: Workers::new(seed),
            agenda: Agenda::default(),
            remembered: Remembered::new(seed),
            audit: None,
            second: false,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The stamp of the last change; 0 before the first.
    #[inline]
    pub fn last_change(&self) -> Ms {
        self.now
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
        let (skus, customers) = (self.shelf.skus().len(), self.customers.records().len());
        let (holds, orders) = (self.holds.records().len(), self.orders.records().len());
        1 + skus + customers + holds + orders + self.remembered.refs().len()
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

    /// When what ends now is forgotten.
    pub(crate) fn forget_at(&self) -> Ms {
        self.now.saturating_add(self.settings.keep_ms)
    }

    /// Moves the stock of one SKU, writes the journal and publishes what turned. The sums were checked before.
    #[inline]
    pub(crate) fn move_stock(&mut self, slot: u32, how: Move, why: Why<'_>, fx: &mut Effects) {
        self.change_stock(slot, false, |_| how, why, fx);
    }

    /// The same, where the SKU is new or its marks change as well: `change` does that, and says what moves.
    pub(crate) fn change_stock(
        &mut self,
        slot: u32,
        is_new: bool,
        change: impl FnOnce(&mut Sku) -> Move,
        why: Why<'_>,
        fx: &mut Effects,
    ) {
        let (before, after, delta) = self.shelf.change(slot, |sku| {
            let before = Level::of(sku);
            let how = change(sku);
            let delta = sku.apply(how);
            (before, Level::of(sku), delta)
        });
        if self.settings.journal > 0 {
            self.write_journal(slot, delta, why, fx);
        }
        // Nobody waits for a SKU of which any is available: only where it was out somebody can wait.
        let after = if before.out && !after.out { self.set_aside(slot, fx) } else { after };
        if after != before {
            self.stock_turned(slot, before, after, is_new, fx);
        }
    }

    /// Sets units of a SKU that came free aside for the orders that wait for it, as far as they reach: others cannot
    /// take them any more. What level the SKU is at then.
    #[cold]
    #[inline(never)]
    fn set_aside(&mut self, slot: u32, fx: &mut Effects) -> Level {
        let sku = self.shelf.at(slot);
        let units = sku.takes(sku.waiting);
        if units > 0 {
            self.move_aside(slot, units as i64, fx);
        }
        Level::of(self.shelf.at(slot))
    }

    /// Moves units of a SKU to those that are set aside, or back to those that are available (negative).
    pub(crate) fn move_aside(&mut self, slot: u32, units: i64, fx: &mut Effects) {
        self.shelf.change(slot, |sku| {
            sku.held = sku.held.saturating_add_signed(units);
            sku.aside = sku.aside.saturating_add_signed(units);
            sku.waiting = sku.waiting.saturating_sub(units.max(0).unsigned_abs());
        });
        if self.settings.journal > 0 {
            self.write_journal(slot, units, Why::new("waitlist", b""), fx);
        }
        self.follow_line(slot);
    }

    /// Notes whether units of a SKU are to be handed on, after they were set aside or its line changed.
    pub(crate) fn follow_line(&mut self, slot: u32) {
        self.waitlist.follow(slot, self.shelf.at(slot).aside > 0);
        self.agenda.note_line(self.waitlist.has_turns());
    }

    fn write_journal(&mut self, slot: u32, delta: i64, why: Why<'_>, fx: &mut Effects) {
        let sku = self.shelf.at(slot);
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

    /// Adds a hold, and notes its deadline.
    pub(crate) fn add_hold(&mut self, hold: Hold) -> u32 {
        let due = hold.due;
        let slot = self.holds.insert(hold);
        self.agenda.insert(due, Due::Hold(slot));
        slot
    }

    /// Changes a hold; its deadline, the counts and a recount follow.
    pub(crate) fn changing_hold<R>(&mut self, slot: u32, change: impl FnOnce(&mut Hold) -> R) -> R {
        let (result, before, after) = self.holds.change(slot, change);
        self.agenda.move_due(Some(before), Some(after), Due::Hold(slot));
        result
    }

    /// Changes an order; its state, its deadline, the claims of its worker, the counts and a recount follow. Its
    /// position in the queue is the caller's: it decides who is next.
    #[inline]
    pub(crate) fn changing_order<R>(&mut self, slot: u32, change: impl FnOnce(&mut Order, &mut Extra) -> R) -> R {
        let (result, before, after) = self.orders.change(slot, change);
        self.agenda.move_order(&mut self.orders, slot, before.due, after.due);
        if let Some((worker, token)) = before.claim.filter(|_| before.claim != after.claim) {
            self.workers.remove_claim(worker, token);
        }
        result
    }

    /// Puts an order into the queue that is older than those that came last, which the list of those that came and wait
    /// cannot have, and has its entry written.
    pub(crate) fn queue_older(&mut self, slot: u32, entry: EntryId, fx: &mut Effects) {
        self.queue.age(&self.orders, slot);
        if let Some(group) = self.orders.group(self.orders.at(slot)) {
            self.queue.join_group(&mut self.orders, group, slot);
        }
        self.queue.offer(&mut self.orders, slot);
        fx.push(Effect::Queued { order: slot, id: entry });
    }

    /// Remembers a command's REF for `keep-ms`.
    pub(crate) fn remember(&mut self, by: RefCommand, id: Option<&[u8]>, content: &Content, reply: u64) {
        let Some(id) = id else { return };
        let due = self.agenda.key(self.forget_at());
        self.add_ref(Ref::new(by, id, content.call, reply, due));
    }

    /// Adds a REF, and notes its deadline.
    pub(crate) fn add_ref(&mut self, reference: Ref) {
        let due = reference.due;
        let slot = self.remembered.insert(reference);
        self.agenda.insert(due, Due::Ref(slot));
    }

    /// Whether a worker that asks now gets an order.
    pub fn has_work(&self) -> bool {
        !self.queue.is_empty() && self.settings.paused == 0
    }
}

const _: () = assert!(MAX_QUANTITY < u64::MAX / 2, "a time and a duration add up to 64 bits");
