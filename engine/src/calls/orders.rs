//! Orders: `ORDER.PLACE`, `ORDER.COMPLETE`, `ORDER.CANCEL`, `ORDER.GET`, `ORDER.SCAN`. What workers do with them in
//! between is in [`crate::calls::work`], and what comes back in [`crate::calls::returns`].

use smallvec::SmallVec;

use crate::base::units::{Item, Ms, NIL, UnitsList};
use crate::record::customer::Change;
use crate::record::order::{EntryView, Order, OrderView};
use crate::store::Store;
use crate::store::lookup::same_units;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::Refusal;
use crate::terms::refusal::Shown;
use crate::terms::settings::Window;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// `ORDER.PLACE`.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub order: &'a [u8],
    pub customer: &'a [u8],
    pub group: Option<&'a [u8]>,
    /// JSON, or empty.
    pub data: &'a [u8],
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

/// Changes to a customer's tallies, one a SKU: units, and the forgotten part of them.
pub(crate) type Tallied = SmallVec<[(u32, i64, i64); 4]>;

impl Store {
    /// Places an order; replies the id of its entry in `…:orders`.
    pub fn place(&mut self, now: Ms, place: &Place<'_>, fx: &mut Effects) -> Result<EntryId, Refusal> {
        if let Some(slot) = self.find_order(place.order) {
            return self.placed_before(slot, place);
        }
        let now = self.stamp(now);
        let known = self.find_customer(place.customer);
        match place.take {
            Take::Items(lines) => {
                let items = self.check_place(now, known, place, lines)?;
                self.touch(now, fx);
                let slot = self.new_order(place, known, &items, fx);
                for item in &items {
                    self.move_stock(item.sku, Move::Hold(item.qty), Why::new("place", place.order), fx);
                }
                let tallied: Tallied = items.iter().map(|item| (item.sku, item.qty as i64, 0)).collect();
                Ok(self.finish_place(slot, &tallied, fx))
            }
            Take::Hold(hold) => {
                let (hold_slot, items, tallied) = self.check_place_hold(now, known, place, hold)?;
                self.touch(now, fx);
                let slot = self.new_order(place, known, &items, fx);
                self.extra_mut(slot).hold = Some(hold.into());
                // The order is in the books before the hold leaves them, so that the customer is never let go of.
                let entry = self.finish_place(slot, &tallied, fx);
                self.audit_hold(hold_slot, -1);
                self.empty_hold(hold_slot);
                self.end_hold(hold_slot, HoldState::Ordered, 0);
                self.audit_hold(hold_slot, 1);
                Ok(entry)
            }
        }
    }

    /// The window, the limits and the stock, for an order of available units.
    fn check_place(
        &self,
        now: Ms,
        known: Option<u32>,
        place: &Place<'_>,
        lines: &[Item<'_>],
    ) -> Result<UnitsList, Refusal> {
        let items = self.resolve(lines)?;
        self.check_window(now)?;
        self.check_limits(known, place.customer, &items)?;
        self.check_stock(&items)?;
        Ok(items)
    }

    pub(crate) fn check_window(&self, now: Ms) -> Result<(), Refusal> {
        match self.settings.window(now) {
            Window::Open => Ok(()),
            Window::NotOpen => Err(Refusal::NotOpen { opens: self.settings.opens, now }),
            Window::Closed => Err(Refusal::Closed { closes: self.settings.closes, now }),
        }
    }

    /// A live hold of the same customer, or of nobody: then its units count for the customer from now on.
    fn check_place_hold(
        &self,
        now: Ms,
        known: Option<u32>,
        place: &Place<'_>,
        id: &[u8],
    ) -> Result<(u32, UnitsList, Tallied), Refusal> {
        let slot = self.hold_slot(id)?;
        self.check_live(slot, now)?;
        let hold = self.holds.at(slot);
        let left = hold.items.iter().filter(|item| item.left > 0);
        let items: UnitsList = left.map(|item| crate::base::units::Units { sku: item.sku, qty: item.left }).collect();
        if hold.customer == NIL {
            self.check_limits(known, place.customer, &items)?;
        } else if self.customers.at(hold.customer).id() != place.customer {
            let owner = Shown(self.customers.at(hold.customer).id());
            return Err(Refusal::Mismatch(format!("hold {} is of customer {owner}", Shown(id))));
        }
        let tallied = items.iter().map(|item| (item.sku, item.qty as i64, 0)).collect();
        Ok((slot, items, tallied))
    }

    fn new_order(&mut self, place: &Place<'_>, known: Option<u32>, items: &UnitsList, fx: &mut Effects) -> u32 {
        let entry = self.last.next(StreamKind::Orders, self.now);
        let mut order = Order::new(place.order, items, place.data);
        order.set_entry(entry);
        order.customer = known.unwrap_or_else(|| self.new_customer(place.customer));
        let slot = self.add_order(order);
        if entry.ms != self.now {
            self.extra_mut(slot).placed_at = Some(self.now);
        }
        if let Some(group) = place.group {
            let group = self.name_group(group);
            self.extra_mut(slot).group = Some(group);
        }
        fx.push(Effect::Queued { order: slot, id: entry });
        slot
    }

    fn finish_place(&mut self, slot: u32, tallied: &Tallied, fx: &mut Effects) -> EntryId {
        self.by_state[OrderState::Queued as usize] += 1;
        self.counters.placed = self.counters.placed.saturating_add(1);
        self.enqueue(slot);
        self.change_customer(self.orders.at(slot).customer, &Change { refs: 1, units: tallied });
        self.audit_order(slot, 1);
        fx.event(Event::OrderPlaced);
        self.orders.at(slot).entry()
    }

    /// The first reply, if the order is known with the same content. Nobody gets the units of a cancelled one, so it is
    /// not answered as if it stood.
    fn placed_before(&self, slot: u32, place: &Place<'_>) -> Result<EntryId, Refusal> {
        let order = self.orders.at(slot);
        if order.state() == OrderState::Cancelled {
            return Err(Refusal::order_is(OrderState::Cancelled));
        }
        let extra = self.extra(order);
        let (items, data) = order.content();
        let other =
            |what: &str| Err(Refusal::Mismatch(format!("order {} was placed with another {what}", Shown(place.order))));
        if self.customers.at(order.customer).id() != place.customer {
            return other("customer");
        }
        if extra.and_then(|e| e.group).map(|group| &*self.groups.at(group).id) != place.group {
            return other("GROUP");
        }
        if data != place.data {
            return other("DATA");
        }
        let hold = extra.and_then(|e| e.hold.as_deref());
        let same = match place.take {
            Take::Hold(id) => hold == Some(id),
            Take::Items(lines) => hold.is_none() && self.resolve(lines).is_ok_and(|l| same_units(items, l.into_iter())),
        };
        if same { Ok(extra.and_then(|e| e.first_entry).unwrap_or(order.entry())) } else { other("content") }
    }

    /// Completes an order: its units are sold. Replies the id of its entry in `…:complete`.
    pub fn complete(&mut self, now: Ms, complete: &Complete<'_>, fx: &mut Effects) -> Result<EntryId, Refusal> {
        let slot = self.order_slot(complete.order)?;
        self.check_token(slot, complete.token)?;
        let order = self.orders.at(slot);
        match order.state() {
            OrderState::Completed => return self.completed_before(slot, complete),
            state if !state.is_open() => return Err(Refusal::order_is(state)),
            _ => {}
        }
        self.touch(now, fx);
        self.audit_order(slot, -1);
        let why = Why::new("complete", complete.order);
        let units = self.move_items(slot, why, Move::Ship, fx);
        let id = self.last.next(StreamKind::Complete, self.now);
        self.take_off(slot, fx);
        let extra = self.extra_mut(slot);
        extra.complete = id;
        extra.note = complete.result.into();
        extra.token = complete.token.unwrap_or(0);
        self.end_order(slot, OrderState::Completed);
        self.audit_order(slot, 1);
        self.counters.completed = self.counters.completed.saturating_add(1);
        self.counters.units_sold = self.counters.units_sold.saturating_add(units);
        let took_ms = self.now.saturating_sub(self.placed_at(self.orders.at(slot)));
        self.sampling.latency.record(took_ms);
        fx.push(Effect::Completed { order: slot, id });
        fx.event(Event::OrderCompleted);
        Ok(id)
    }

    fn completed_before(&self, slot: u32, complete: &Complete<'_>) -> Result<EntryId, Refusal> {
        match self.extra(self.orders.at(slot)) {
            Some(extra) if *extra.note == *complete.result => Ok(extra.complete),
            _ => {
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

    /// Ends an order that is in no line any more, to be remembered for `keep-ms`.
    fn end_order(&mut self, slot: u32, state: OrderState) {
        self.set_order_state(slot, state);
        let (now, forget_at) = (self.now, self.forget_at());
        self.extra_mut(slot).ended_at = now;
        self.set_order_due(slot, forget_at);
    }

    /// Cancels an order that is open, or dead; replies the units put back (those of a dead one are back already).
    pub fn cancel(&mut self, now: Ms, id: &[u8], reason: &[u8], fx: &mut Effects) -> Result<u64, Refusal> {
        let slot = self.order_slot(id)?;
        let state = self.orders.at(slot).state();
        match state {
            OrderState::Cancelled => return self.cancelled_before(slot, id, reason),
            OrderState::Completed => return Err(Refusal::order_is(state)),
            _ => {}
        }
        self.touch(now, fx);
        self.audit_order(slot, -1);
        let mut units = 0;
        if state == OrderState::Dead {
            self.leave_dead(slot, fx);
            self.extra_mut(slot).was_dead = true;
        } else {
            units = self.move_items(slot, Why { kind: "cancel", reference: id, reason }, Move::Free, fx);
            self.tally_items(slot, -1);
            self.take_off(slot, fx);
        }
        self.extra_mut(slot).note = reason.into();
        self.end_order(slot, OrderState::Cancelled);
        self.audit_order(slot, 1);
        self.counters.cancelled = self.counters.cancelled.saturating_add(1);
        fx.event(Event::OrderCancelled);
        Ok(units)
    }

    fn cancelled_before(&self, slot: u32, id: &[u8], reason: &[u8]) -> Result<u64, Refusal> {
        let order = self.orders.at(slot);
        match self.extra(order) {
            Some(extra) if *extra.note == *reason && extra.was_dead => Ok(0),
            Some(extra) if *extra.note == *reason => Ok(order.items().map(|item| item.qty).sum()),
            _ => Err(Refusal::Mismatch(format!("order {} was cancelled with another REASON", Shown(id)))),
        }
    }

    /// An entry of a stream got another id than the engine gave it, or was written back: later ids are past it.
    pub fn reentry(&mut self, kind: StreamKind, order: Option<u32>, id: EntryId) {
        let last = self.last.of(kind);
        *last = id.max(*last);
        match (kind, order) {
            (StreamKind::Orders, Some(slot)) => {
                let order = self.orders.at(slot);
                let (placed_at, queued_as) = (self.placed_at(order), self.queued_as(order));
                let extra = self.extra_mut(slot);
                extra.placed_at = Some(placed_at).filter(|at| *at != id.ms);
                extra.queued_as = Some(queued_as).filter(|queued| *queued != id);
                self.orders.at_mut(slot).set_entry(id);
            }
            (StreamKind::Complete, Some(slot)) => self.extra_mut(slot).complete = id,
            (StreamKind::Retry | StreamKind::Dead, Some(slot)) => self.extra_mut(slot).side = id,
            _ => {}
        }
    }

    /// The slot of an order, for [`Store::reentry`].
    pub fn order_at(&self, id: &[u8]) -> Option<u32> {
        self.find_order(id)
    }

    /// Orders with the entries they have to have in a stream, from a slot on: looks at `count` slots and says where to go
    /// on, 0 at the end.
    pub fn entries_from(&self, kind: StreamKind, from: u32, count: u32, found: &mut Vec<(EntryId, u32)>) -> u32 {
        let to = from.saturating_add(count).min(self.orders.end());
        let entry = |slot| Some((self.entry_in(kind, self.orders.get(slot)?)?, slot));
        found.extend((from..to).filter_map(entry));
        if to == self.orders.end() { 0 } else { to }
    }

    /// The slot of the order whose entry in a stream of orders has to have this id.
    pub fn listed_as(&self, kind: StreamKind, id: EntryId, order: &[u8]) -> Option<u32> {
        let slot = self.find_order(order)?;
        (self.entry_in(kind, self.orders.at(slot)) == Some(id)).then_some(slot)
    }

    /// The entry an order has to have in a stream of orders.
    fn entry_in(&self, kind: StreamKind, order: &Order) -> Option<EntryId> {
        let extra = self.extra(order);
        match kind {
            StreamKind::Orders => order.state().is_open().then(|| order.entry()),
            StreamKind::Retry => extra.filter(|extra| extra.retry.is_some()).map(|extra| extra.side),
            StreamKind::Dead => extra.filter(|_| order.state() == OrderState::Dead).map(|extra| extra.side),
            StreamKind::Complete | StreamKind::Journal | StreamKind::Metrics => None,
        }
    }

    /// Everything known of an order.
    pub fn order(&self, now: Ms, id: &[u8]) -> Option<OrderView<'_>> {
        self.find_order(id).map(|slot| self.order_view(now, slot))
    }

    /// What the entries of the order in a slot say of it beside its items.
    pub fn entry_view(&self, slot: u32) -> EntryView<'_> {
        let order = self.orders.at(slot);
        let extra = self.extra(order);
        EntryView {
            id: order.id(),
            customer: self.customers.at(order.customer).id(),
            data: order.data(),
            placed_at: self.placed_at(order),
            ended_at: extra.map_or(0, |extra| extra.ended_at),
            attempts: extra.map_or(0, |extra| extra.attempts),
            note: extra.map_or(&[][..], |extra| &extra.note),
        }
    }

    /// The order in a slot that an effect named.
    pub fn order_view(&self, now: Ms, slot: u32) -> OrderView<'_> {
        let order = self.orders.at(slot);
        let extra = self.extra(order);
        let returns = extra.and_then(|e| e.returns.as_deref());
        let returned = |i: usize| self.returned(order).get(i).copied().unwrap_or(0);
        let item =
            |(i, units): (usize, crate::base::units::Units)| (&*self.skus.at(units.sku).id, units.qty, returned(i));
        OrderView {
            id: order.id(),
            state: order.state(),
            customer: self.customers.at(order.customer).id(),
            group: extra.and_then(|e| e.group).map_or(b"", |group| &self.groups.at(group).id),
            hold: extra.and_then(|e| e.hold.as_deref()).unwrap_or_default(),
            data: order.data(),
            items: order.items().enumerate().map(item).collect(),
            entry: order.entry(),
            placed_at: self.placed_at(order),
            ended_at: extra.map_or(0, |e| e.ended_at),
            complete: (order.state() == OrderState::Completed).then(|| extra.map(|e| e.complete)).flatten(),
            note: extra.map_or(&[][..], |e| &e.note),
            late: self.is_late(order, now),
            returns: returns.map_or(&[][..], |returns| returns.list()),
            returns_lost: returns.map_or((0, 0), |returns| returns.lost()),
            attempts: extra.map_or(0, |e| e.attempts),
            worker: extra.and_then(|e| e.worker).map_or(b"", |worker| &self.workers.at(worker).id),
            token: extra.map_or(0, |e| e.token),
            due: extra.filter(|_| order.state().is_open()).map_or(0, |e| e.due_at),
            step: extra.and_then(|e| e.step.as_ref()).map_or(b"", |step| &step.name),
            version: extra.and_then(|e| e.step.as_ref()).map_or(0, |step| step.version),
            side: extra.map(|e| e.side).filter(|id| *id != EntryId::default()),
            history: extra.map_or_else(Vec::new, |e| e.history.list()),
            history_lost: extra.map_or(0, |e| e.history.lost()),
        }
    }

    fn is_late(&self, order: &Order, now: Ms) -> bool {
        let ended = self.extra(order).map_or(0, |extra| extra.ended_at);
        let until = if ended == 0 { now } else { ended };
        let sla_ms = self.settings.sla_ms;
        sla_ms > 0 && until.saturating_sub(self.placed_at(order)) > sla_ms
    }

    /// Ids of orders from a cursor on, and the next cursor, 0 at the end. Looks at `count` orders, however many fit.
    pub fn scan_orders(
        &self,
        now: Ms,
        cursor: u64,
        count: usize,
        state: Option<OrderState>,
        customer: Option<&[u8]>,
        late: bool,
    ) -> (u64, Vec<&[u8]>) {
        let wanted = customer.map(|id| self.find_customer(id).unwrap_or(NIL));
        let fits = |order: &&Order| {
            state.is_none_or(|s| s == order.state())
                && wanted.is_none_or(|c| c == order.customer)
                && (!late || self.is_late(order, now))
        };
        crate::calls::stock::scan(cursor, count, self.orders.end(), |slot| {
            self.orders.get(slot).filter(fits).map(|order| order.id())
        })
    }

    /// Appends the items of the order in a slot as JSON: `[["sku-1",2],["sku-2",1]]`.
    pub fn items_json(&self, slot: u32, out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, item) in self.orders.at(slot).items().enumerate() {
            out.extend_from_slice(if i == 0 { b"[" } else { b",[" });
            json_string(&self.skus.at(item.sku).id, out);
            out.push(b',');
            out.extend_from_slice(itoa::Buffer::new().format(item.qty).as_bytes());
            out.push(b']');
        }
        out.push(b']');
    }
}

/// Appends an id as a JSON string. One that is not UTF-8 is written byte by byte, each as the character of its number.
fn json_string(id: &[u8], out: &mut Vec<u8>) {
    // Nearly every SKU there is: nothing to escape.
    if id.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        out.push(b'"');
        out.extend_from_slice(id);
        return out.push(b'"');
    }
    match std::str::from_utf8(id) {
        Ok(text) => serde_json::to_writer(&mut *out, text),
        Err(_) => serde_json::to_writer(&mut *out, &id.iter().map(|b| *b as char).collect::<String>()),
    }
    .expect("a string is written to memory");
}
