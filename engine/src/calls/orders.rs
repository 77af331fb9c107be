//! Orders: `ORDER.PLACE`, `ORDER.COMPLETE`, `ORDER.CANCEL`, `ORDER.GET`, `ORDER.SCAN`. What workers do with them in
//! between is in [`super::work`], and what comes back in [`super::returns`].

use std::sync::LazyLock;

use crate::base::table::{Key, Keyed};
use crate::base::units::{Ms, NIL};
use crate::calls::edits::placed_content;
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::gate::{Gate, Gates, NewGate};
use crate::record::order::{Cancelled, Completed, Extra, Order, OrderItemView, OrderView, Pending, Stage, Waitlisted};
use crate::record::returns::{EarlierReturns, Returns};
use crate::store::Store;
use crate::store::customers::Named;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::items::{Item, Units, UnitsList, same_units};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, Shown};
use crate::terms::states::{HoldState, OrderState};
use crate::terms::streams::{EntryId, StreamKind};

/// `ORDER.PLACE`.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub order: &'a [u8],
    pub customer: &'a [u8],
    pub group: Option<&'a [u8]>,
    /// The lane it waits in; empty: the default one.
    pub lane: &'a [u8],
    /// JSON, or empty.
    pub data: &'a [u8],
    /// What it has to pass before workers get it.
    pub gates: &'a [NewGate<'a>],
    /// Where units are short: how long it waits for them, 0 for ever; none: it is refused.
    pub wait_ms: Option<Ms>,
    pub take: Take<'a>,
}

/// Where an order's units come from.
#[derive(Clone, Copy, Debug)]
pub enum Take<'a> {
    /// From what is available.
    Items(&'a [Item<'a>]),
    /// From a hold, without letting go of them.
    Hold(&'a [u8]),
}

/// `ORDER.COMPLETE`.
#[derive(Clone, Copy, Debug)]
pub struct Complete<'a> {
    pub order: &'a [u8],
    pub token: Option<u64>,
    /// JSON, or empty.
    pub result: &'a [u8],
}

/// What an order has that has no [`Extra`].
static PLAIN: LazyLock<Extra> = LazyLock::new(Extra::default);

/// `ORDER.SCAN`: which orders are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanOrders<'a> {
    /// Any state where none is named.
    pub state: Option<OrderState>,
    /// Of any customer where none is named.
    pub customer: Option<&'a [u8]>,
    /// In any lane where none is named; empty: the default lane.
    pub lane: Option<&'a [u8]>,
    /// Those that took, or take, longer than `sla-ms`.
    pub late: bool,
}

impl Store {
    /// Places an order; replies the id of its entry in `…:orders`; none while it waits for stock or for gates.
    pub fn place(&mut self, now: Ms, place: &Place<'_>, fx: &mut Effects) -> Result<Option<EntryId>, Refusal> {
        let key = self.orders.key(place.order);
        if let Some(slot) = self.orders.find_key(&key) {
            return self.placed_before(slot, place);
        }
        let now = self.stamp(now);
        if !place.gates.is_empty() {
            self.check_new_gates(now, place.gates)?;
        }
        if !place.lane.is_empty() {
            self.check_lane(place.lane)?;
        }
        let customer = self.customers.look_up(place.customer);
        match place.take {
            Take::Items(named) => {
                let items = match self.check_place(now, &customer, named) {
                    Ok(items) => items,
                    Err(short) => return self.place_waiting(now, place, named, short, fx).map(|()| None),
                };
                self.touch(now, fx);
                let entry = self.new_order(place, &key, &customer, &items, fx);
                for item in &items {
                    self.move_stock(item.sku, Move::Hold(item.qty), Why::new("place", place.order), fx);
                }
                fx.event(Event::OrderPlaced);
                Ok(entry)
            }
            Take::Hold(hold) => {
                let (hold_slot, items) = self.check_place_hold(now, &customer, hold)?;
                self.touch(now, fx);
                // The order is in the books before the hold leaves them, so that the customer is never removed.
                let entry = self.new_order(place, &key, &customer, &items, fx);
                self.empty_hold(hold_slot, HoldState::Ordered);
                fx.event(Event::OrderPlaced);
                Ok(entry)
            }
        }
    }

    /// The window, the limits and the stock, for an order of available units.
    fn check_place(&self, now: Ms, customer: &Named<'_>, items: &[Item<'_>]) -> Result<UnitsList, Refusal> {
        let items = self.shelf.resolve(items)?;
        self.check_window(now)?;
        self.check_limits(customer, &items)?;
        self.shelf.check_available(&items)?;
        Ok(items)
    }

    /// A live hold of the same customer, or of nobody: then its units count for the customer from now on.
    fn check_place_hold(&self, now: Ms, customer: &Named<'_>, id: &[u8]) -> Result<(u32, UnitsList), Refusal> {
        let slot = self.holds.slot(id)?;
        self.check_live(slot, now)?;
        let hold = self.holds.at(slot);
        let left = hold.items.iter().filter(|item| item.left > 0);
        let items: UnitsList = left.map(|item| Units { sku: item.sku, qty: item.left }).collect();
        if hold.customer == NIL {
            self.check_limits(customer, &items)?;
        } else if customer.slot != Some(hold.customer) {
            let owner = Shown(self.customers.id(hold.customer));
            return Err(Refusal::Mismatch(format!("hold {} is of customer {owner}", Shown(id))));
        }
        Ok((slot, items))
    }

    /// Adds an order, which was checked, to the books and the queue; the id of its entry, if it is queued.
    fn new_order(
        &mut self,
        place: &Place<'_>,
        key: &Key<'_>,
        customer: &Named<'_>,
        items: &[Units],
        fx: &mut Effects,
    ) -> Option<EntryId> {
        let entry = self.last.next(StreamKind::Orders, self.now);
        let changes: UnitChanges = items.iter().map(|item| UnitChange::more(*item)).collect();
        let customer = self.customers.join(customer, &changes);
        let order = Order::new(place.order, customer, entry, items, place.data);
        let is_usual = place.group.is_none() && place.lane.is_empty() && place.gates.is_empty();
        let is_plain = is_usual && entry.ms == self.now && matches!(place.take, Take::Items(_));
        self.counters.placed = self.counters.placed.saturating_add(1);
        let slot = if is_plain {
            self.orders.insert(key, order)
        } else {
            let extra = self.extra_of_new(place, entry);
            let slot = self.orders.insert_with(key, order, extra);
            if !place.gates.is_empty() {
                self.queue.age(&self.orders, slot);
                return self.admit(slot, fx);
            }
            slot
        };
        self.queue.enqueue(&mut self.orders, slot);
        fx.push(Effect::Queued { order: slot, id: entry });
        Some(entry)
    }

    /// What few orders have from the start.
    #[cold]
    pub(crate) fn extra_of_new(&mut self, place: &Place<'_>, entry: EntryId) -> Extra {
        let mut extra = Extra::default();
        extra.set_group(place.group.map(|id| self.queue.name_group(id)));
        extra.set_lane(self.orders.name_lane(place.lane));
        if let Take::Hold(hold) = place.take {
            extra.seldom_mut().hold = Some(hold.into());
        }
        if self.now != entry.ms {
            extra.origin_mut().placed_at = Some(self.now);
        }
        if !place.gates.is_empty() {
            extra.origin_mut().unlisted = true;
            extra.seldom_mut().gates = Some(Box::new(Gates::placed(place.gates)));
            extra.stage = Stage::Pending(Pending { due: None });
        }
        extra
    }

    /// The first reply, if the order is known with the same content. Nobody gets the units of a cancelled one, so it is
    /// not answered as if it were placed.
    #[cold]
    fn placed_before(&self, slot: u32, place: &Place<'_>) -> Result<Option<EntryId>, Refusal> {
        let order = self.orders.at(slot);
        if order.state() == OrderState::Cancelled {
            return Err(Refusal::order_is(OrderState::Cancelled));
        }
        let extra = self.orders.extra(order);
        let (items, data) = order.content();
        let mismatch = |problem: &str| Err(Refusal::Mismatch(format!("order {} {problem}", Shown(place.order))));
        let other = |what: &str| mismatch(&format!("was placed with another {what}"));
        let changed = extra.and_then(Extra::changed).copied().unwrap_or_default();
        if changed.split_off != 0 {
            return mismatch("was not placed, but split off another order");
        }
        if self.customers.id(order.customer) != place.customer {
            return other("customer");
        }
        if self.orders.group(order).map(|group| &*self.queue.groups().at(group).id) != place.group {
            return other("GROUP");
        }
        if self.orders.lane_id(order) != place.lane {
            return other("LANE");
        }
        if data != place.data {
            return other("DATA");
        }
        let hold = extra.and_then(Extra::seldom).and_then(|seldom| seldom.hold.as_deref());
        let same = match place.take {
            Take::Hold(id) => hold == Some(id),
            Take::Items(named) => {
                hold.is_none()
                    && match changed.placed {
                        0 => self.shelf.resolve(named).is_ok_and(|list| same_units(items, list.into_iter())),
                        placed => placed_content(named) == placed,
                    }
            }
        };
        if !same {
            return other("content");
        }
        let gates = extra.and_then(Extra::gates);
        if !gates.map_or(place.gates.is_empty(), |gates| gates.were_placed(place.gates)) {
            return other("GATE");
        }
        // One that was placed with gates, or had to wait for stock, got its entry later.
        let waited = extra.and_then(Extra::origin).is_some_and(|origin| origin.waited);
        let was_queued = !waited && !gates.is_some_and(Gates::any_placed);
        Ok(was_queued.then(|| extra.and_then(Extra::first_entry).unwrap_or(order.entry())))
    }

    /// Completes an order: its units are sold. Replies the id of its entry in `…:complete`.
    pub fn complete(&mut self, now: Ms, complete: &Complete<'_>, fx: &mut Effects) -> Result<EntryId, Refusal> {
        let slot = self.orders.slot(complete.order)?;
        self.check_token(slot, complete.token)?;
        match self.orders.at(slot).state() {
            OrderState::Completed => return self.completed_before(slot, complete),
            state if !state.is_for_workers() => return Err(Refusal::order_is(state)),
            _ => {}
        }
        self.touch(now, fx);
        let units = self.move_items(slot, Why::new("complete", complete.order), Move::Ship, fx);
        let entry = self.last.next(StreamKind::Complete, self.now);
        self.take_off(slot, fx);
        let forget = self.agenda.key(self.forget_at());
        let completed = Completed::new(self.now, entry, complete.token.unwrap_or(0), forget);
        self.changing_order(slot, |_, extra| {
            extra.stage = Stage::Completed(completed);
            extra.set_note(complete.result);
        });
        self.counters.completed = self.counters.completed.saturating_add(1);
        self.counters.units_sold = self.counters.units_sold.saturating_add(units);
        let took_ms = self.now.saturating_sub(self.orders.placed_at(self.orders.at(slot)));
        self.sampling.latency.record(took_ms);
        fx.push(Effect::Completed { order: slot, id: entry });
        fx.event(Event::OrderCompleted);
        Ok(entry)
    }

    fn completed_before(&self, slot: u32, complete: &Complete<'_>) -> Result<EntryId, Refusal> {
        let known = self.orders.full(self.orders.at(slot)).filter(|extra| extra.result() == complete.result);
        match known.and_then(|extra| extra.stage.completed().map(Completed::entry)) {
            Some(entry) => Ok(entry),
            None => {
                let id = Shown(complete.order);
                Err(Refusal::Mismatch(format!("order {id} was completed with another RESULT")))
            }
        }
    }

    /// Moves the stock of every item of an order; says how many units.
    pub(crate) fn move_items(&mut self, slot: u32, why: Why<'_>, how: fn(u64) -> Move, fx: &mut Effects) -> u64 {
        let items: UnitsList = self.orders.at(slot).items().collect();
        for item in &items {
            self.move_stock(item.sku, how(item.qty), why, fx);
        }
        items.iter().map(|item| item.qty).sum()
    }

    /// Counts an order's units for its customer, or no longer: `change` says which.
    pub(crate) fn count_items(&mut self, slot: u32, change: fn(Units) -> UnitChange) {
        let order = self.orders.at(slot);
        let changes: UnitChanges = order.items().map(change).collect();
        self.customers.change(order.customer, 0, &changes);
    }

    /// Takes an order that ends, or dies, out of the queue, and its entries out of the streams.
    pub(crate) fn take_off(&mut self, slot: u32, fx: &mut Effects) {
        self.queue.leave(&mut self.orders, slot);
        let order = self.orders.at(slot);
        if let Some(retry) = self.orders.extra(order).and_then(|extra| extra.stage.retry()) {
            fx.push(Effect::Left { kind: StreamKind::Retry, id: retry.entry });
        }
        if self.orders.is_listed(order) {
            fx.push(Effect::Left { kind: StreamKind::Orders, id: order.entry() });
        }
    }

    /// Cancels an order that is open, or dead; replies the units put back (those of a dead one are back already, and
    /// one that waits for stock has only those that it gathered).
    pub fn cancel(&mut self, now: Ms, id: &[u8], reason: &[u8], fx: &mut Effects) -> Result<u64, Refusal> {
        let slot = self.orders.slot(id)?;
        let state = self.orders.at(slot).state();
        match state {
            OrderState::Cancelled => return self.cancelled_before(slot, id, reason),
            OrderState::Completed => return Err(Refusal::order_is(state)),
            _ => {}
        }
        self.touch(now, fx);
        let units = self.call_off(slot, id, reason, fx);
        self.serve_line(fx);
        Ok(units)
    }

    /// Cancels an order for a reason; the units put back.
    pub(crate) fn call_off(&mut self, slot: u32, id: &[u8], reason: &[u8], fx: &mut Effects) -> u64 {
        let state = self.orders.at(slot).state();
        let (was_dead, why) = (state == OrderState::Dead, Why { kind: "cancel", reference: id, reason });
        let (units, missing) = match state {
            OrderState::Dead => {
                self.leave_dead(slot, fx);
                (0, 0)
            }
            OrderState::Waitlisted => self.leave_lines(slot, why, fx),
            _ => (self.move_items(slot, why, Move::Free, fx), 0),
        };
        if !was_dead {
            self.count_items(slot, UnitChange::less);
            self.take_off(slot, fx);
        }
        let cancelled = Cancelled { at: self.now, was_dead, missing, forget: self.agenda.key(self.forget_at()) };
        self.changing_order(slot, |_, extra| {
            extra.stage = Stage::Cancelled(cancelled);
            extra.set_note(reason);
        });
        self.counters.cancelled = self.counters.cancelled.saturating_add(1);
        fx.event(Event::OrderCancelled);
        units
    }

    fn cancelled_before(&self, slot: u32, id: &[u8], reason: &[u8]) -> Result<u64, Refusal> {
        let order = self.orders.at(slot);
        let known = self.orders.full(order).filter(|extra| extra.reason() == reason);
        match known.as_ref().map(|extra| &extra.stage) {
            Some(Stage::Cancelled(cancelled)) if cancelled.was_dead => Ok(0),
            Some(Stage::Cancelled(cancelled)) => {
                Ok(order.items().map(|item| item.qty).sum::<u64>() - cancelled.missing)
            }
            Some(_) => Ok(0),
            None => Err(Refusal::Mismatch(format!("order {} was cancelled with another REASON", Shown(id)))),
        }
    }

    /// Everything known of an order.
    pub fn order(&self, now: Ms, id: &[u8]) -> Option<OrderView<'_>> {
        self.orders.find(id).map(|slot| self.order_view(now, slot))
    }

    /// The order in a slot that an effect named.
    pub fn order_view(&self, now: Ms, slot: u32) -> OrderView<'_> {
        let order = self.orders.at(slot);
        let extra = self.orders.extra(order).unwrap_or(&PLAIN);
        let (full, returns) = (self.orders.full(order), extra.returns());
        let stage = full.as_ref().map_or(&PLAIN.stage, |extra| &extra.stage);
        let (history, history_lost) = self.orders.history(order);
        OrderView {
            id: order.id(),
            state: order.state(),
            customer: self.customers.id(order.customer),
            group: extra.group().map_or(b"", |group| &self.queue.groups().at(group).id),
            lane: self.orders.lane_id(order),
            hold: extra.seldom().and_then(|seldom| seldom.hold.as_deref()).unwrap_or_default(),
            data: order.data(),
            items: self.item_views(order, returns, stage.waitlisted()),
            entry: (!extra.is_unlisted()).then(|| order.entry()),
            placed_at: self.orders.placed_at(order),
            ended_at: stage.ended_at(),
            complete: stage.completed().map(Completed::entry),
            result: extra.result(),
            reason: extra.reason(),
            late: self.is_late(order, now),
            returns: returns.map_or(&[][..], Returns::list),
            returns_lost: returns.map_or(EarlierReturns::default(), Returns::earlier),
            attempts: extra.attempts,
            worker: stage.claimed().map_or(b"", |claimed| &self.workers.records().at(claimed.worker).id),
            token: stage.token(),
            due: stage.due().filter(|_| order.state().is_open()).map_or(0, |due| due.at),
            gates: extra.gates().map_or_else(Vec::new, |gates| gates.0.iter().map(Gate::view).collect()),
            step: extra.step().map_or(b"", |step| &step.name),
            version: extra.step().map_or(0, |step| step.version),
            side: stage.retry().map(|retry| retry.entry).or(stage.dead().map(|dead| dead.entry)),
            history,
            history_lost,
        }
    }

    fn item_views<'a>(
        &'a self,
        order: &'a Order,
        returns: Option<&Returns>,
        waitlisted: Option<&Waitlisted>,
    ) -> Vec<OrderItemView<'a>> {
        let returned = |at: usize| returns.and_then(|returns| returns.units.get(at)).copied().unwrap_or(0);
        let view = |(at, units): (usize, Units)| {
            let sku = &*self.shelf.at(units.sku).id;
            let missing = waitlisted.map_or(0, |waitlisted| waitlisted.missing_of(units.sku));
            OrderItemView { sku, qty: units.qty, returned: returned(at), missing }
        };
        order.items().enumerate().map(view).collect()
    }

    fn is_late(&self, order: &Order, now: Ms) -> bool {
        let ended = self.orders.stage(order).map_or(0, |stage| stage.ended_at());
        let until = if ended == 0 { now } else { ended };
        let sla_ms = self.settings.sla_ms;
        sla_ms > 0 && until.saturating_sub(self.orders.placed_at(order)) > sla_ms
    }

    /// Ids of orders from a cursor on, and the next cursor, 0 at the end. Looks at `count` orders, however many fit.
    pub fn scan_orders(&self, now: Ms, cursor: u64, count: usize, wanted: &ScanOrders<'_>) -> (u64, Vec<&[u8]>) {
        let customer = wanted.customer.map(|id| self.customers.find(id).unwrap_or(NIL));
        let lane = wanted.lane.map(|id| (self.orders.lanes().find(id), id.is_empty()));
        let is_in = |order: &Order, (slot, is_default): (Option<u32>, bool)| match self.orders.lane(order) {
            None => is_default,
            in_lane => in_lane == slot,
        };
        let fits = |order: &Order| {
            wanted.state.is_none_or(|state| state == order.state())
                && customer.is_none_or(|customer| customer == order.customer)
                && lane.is_none_or(|lane| is_in(order, lane))
                && (!wanted.late || self.is_late(order, now))
        };
        self.orders.records().scan(cursor, count, |order| fits(order).then_some(order.id()))
    }
}
