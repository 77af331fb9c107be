//! The model's orders.

use std::collections::BTreeSet;

use super::super::command::{Command, Id, Lines, Reply, Source};
use super::super::published::Published;
use super::edits::order_item;
use super::{Model, Order, OrderItem, Outcome, Past, added_up, next_entry};
use crate::terms::effects::Event;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// The items of an order, and whether it has to wait for some of them.
type Wanted = (Vec<(Id, u128)>, bool);

impl Model {
    pub(crate) fn place(
        &mut self,
        id: &Id,
        customer: &Id,
        (group, lane): (&Option<Id>, &Id),
        data: &Id,
        (gates, wait_ms): (&Lines, Option<u64>),
        take: &Source,
    ) -> Outcome {
        if let Some(order) = self.orders.get(id) {
            if order.state == OrderState::Cancelled {
                return Err(vec!["BADSTATE"]);
            }
            let items = || order.items.iter().map(|item| (item.sku.clone(), item.qty)).collect();
            let placed = order.placed_items.clone().unwrap_or_else(items);
            let taken = match take {
                Source::Hold(hold) => order.hold.as_ref() == Some(hold),
                Source::Items(lines) => order.hold.is_none() && added_up(lines) == placed,
            };
            let taken = taken && order.split_off.is_none();
            let placed = order.gates.iter().filter_map(|gate| Some((gate.name.clone(), gate.placed_ms?)));
            let (placed, named): (BTreeSet<_>, BTreeSet<_>) = (placed.collect(), gates.iter().cloned().collect());
            let taken = taken && placed == named && named.len() == gates.len();
            let same = order.customer == *customer && order.group == *group && order.data == *data && taken;
            let same = same && order.lane == *lane;
            let first = order.first_entry.or(order.entry).filter(|_| gates.is_empty() && !order.unlisted);
            let reply = first.map_or(Reply::Unlisted, Reply::Entry);
            return if same { Ok(reply) } else { Err(vec!["MISMATCH"]) };
        }
        let checked = match take {
            Source::Items(lines) => self.check_items(customer, lines, wait_ms),
            Source::Hold(hold) => self.check_hold(customer, hold).map(|items| (items, false)),
        };
        let gates = match self.new_gates(gates) {
            Ok(gates) => gates,
            Err(codes) => return Err([codes, checked.err().unwrap_or_default()].concat()),
        };
        let has_room = self.has_room(lane);
        let (items, waits) = checked.map_err(|codes| if has_room { codes } else { [codes, vec!["ERR"]].concat() })?;
        if !has_room {
            return Err(vec!["ERR"]);
        }
        self.changed = true;
        let before = self.levels(items.iter().map(|(sku, _)| sku.clone()));
        // An order that is not queued keeps an id free.
        let entry = next_entry(&mut self.last_orders, self.now);
        let entry = Some(entry).filter(|_| gates.is_empty());
        let order = Order {
            gates,
            group: group.clone(),
            lane: lane.clone(),
            data: data.clone(),
            hold: if let Source::Hold(hold) = take { Some(hold.clone()) } else { None },
            items: items.iter().map(order_item).collect(),
            state: if entry.is_some() { OrderState::Queued } else { OrderState::Pending },
            placed_at: self.now,
            ..Order::queued(customer.clone(), self.next_place(), entry)
        };
        if waits {
            return self.place_waiting(id, order, wait_ms);
        }
        self.orders.insert(id.clone(), order);
        self.published.extend(entry.map(|entry| Published::Queued(id.clone(), entry)));
        self.time_gates(id);
        match take {
            Source::Hold(hold) => self.end_hold(hold, HoldState::Ordered),
            Source::Items(_) => {
                for (before, (_, qty)) in before.iter().zip(&items) {
                    self.moved(before, "place", *qty as i64, id, b"");
                }
            }
        }
        self.tally("placed", 1);
        self.published.push(Published::Event(Event::OrderPlaced));
        Ok(entry.map_or(Reply::Unlisted, Reply::Entry))
    }

    /// The items, and whether the order has to wait for some of them.
    fn check_items(&self, customer: &Id, lines: &Lines, wait_ms: Option<u64>) -> Result<Wanted, Vec<&'static str>> {
        let items = self.merged(lines)?;
        let (codes, short) = ([self.window(), self.limits(customer, &items)].concat(), self.stock(&items));
        match (codes.is_empty() && !short.is_empty(), wait_ms) {
            (true, Some(wait_ms)) => self.may_wait(&items, wait_ms).map(|()| (items, true)),
            (false, _) if codes.is_empty() => Ok((items, false)),
            _ => Err([codes, short].concat()),
        }
    }

    fn check_hold(&self, customer: &Id, id: &Id) -> Result<Vec<(Id, u128)>, Vec<&'static str>> {
        let Some(hold) = self.holds.get(id) else { return Err(vec!["NOHOLD"]) };
        if let Some(codes) = self.not_live(hold) {
            return Err(codes);
        }
        let left = hold.items.iter().filter(|item| item.left > 0);
        let items: Vec<_> = left.map(|item| (item.sku.clone(), u128::from(item.left))).collect();
        let codes = match &hold.customer {
            None => self.limits(customer, &items),
            Some(owner) if owner == customer => Vec::new(),
            Some(_) => vec!["MISMATCH"],
        };
        if codes.is_empty() { Ok(items) } else { Err(codes) }
    }

    /// Ends an order in a state; its units have to be moved by then.
    fn end_order(&mut self, id: &Id, state: OrderState, note: &Id) {
        self.take_away(id);
        let (now, due) = (self.now, Some((self.forget_at(), self.next_place())));
        let order = self.orders.get_mut(id).unwrap();
        order.state = state;
        order.note = note.clone();
        order.ended_at = now;
        order.due = due;
    }

    pub(crate) fn complete(&mut self, id: &Id, token: Option<u64>, result: &Id) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        self.check_token(order, token)?;
        match order.state {
            OrderState::Completed if order.note == *result => return Ok(Reply::Entry(order.complete.unwrap())),
            OrderState::Completed => return Err(vec!["MISMATCH"]),
            state if !state.is_for_workers() => return Err(vec!["BADSTATE"]),
            _ => {}
        }
        self.changed = true;
        let items = order.items.clone();
        self.leave_streams(id);
        let before = self.levels(items.iter().map(|item| item.sku.clone()));
        for item in &items {
            let books = self.skus.get_mut(&item.sku).unwrap();
            books.on_hand = books.on_hand.saturating_sub(item.qty);
            self.tally("units-sold", item.qty);
        }
        self.end_order(id, OrderState::Completed, result);
        for (before, item) in before.iter().zip(&items) {
            self.moved(before, "complete", -(item.qty as i64), id, b"");
        }
        let entry = next_entry(&mut self.last_complete, self.now);
        let order = self.orders.get_mut(id).unwrap();
        order.complete = Some(entry);
        order.token = token.unwrap_or(0);
        self.took_ms.push(self.now - order.placed_at);
        self.tally("completed", 1);
        self.published.extend([Published::Completed(id.clone(), entry), Published::Event(Event::OrderCompleted)]);
        Ok(Reply::Entry(entry))
    }

    pub(crate) fn cancel(&mut self, id: &Id, reason: &Id) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        let units = if order.was_dead || order.state == OrderState::Dead { 0 } else { units_of(order) };
        let units = units - order.missing;
        match order.state {
            OrderState::Cancelled if order.note == *reason => return Ok(Reply::Units(units)),
            OrderState::Cancelled => return Err(vec!["MISMATCH"]),
            OrderState::Completed => return Err(vec!["BADSTATE"]),
            _ => {}
        }
        self.changed = true;
        let units = self.call_off(id, reason);
        self.serve_line();
        Ok(Reply::Units(units))
    }

    /// Cancels an order; how many units it put back.
    pub(crate) fn call_off(&mut self, id: &Id, reason: &Id) -> u64 {
        let order = &self.orders[id];
        let (was_dead, waited) = (order.state == OrderState::Dead, order.state == OrderState::Waitlisted);
        let had = |item: &OrderItem| if waited { item.has } else { item.qty };
        let items = if was_dead { Vec::new() } else { order.items.clone() };
        let items: Vec<_> =
            items.iter().map(|item| (item.sku.clone(), had(item))).filter(|(_, had)| *had > 0).collect();
        let missing = if waited { order.items.iter().map(|item| item.qty - item.has).sum() } else { 0 };
        if !waited {
            self.leave_streams(id);
        }
        let before = self.levels(items.iter().map(|(sku, _)| sku.clone()));
        self.end_order(id, OrderState::Cancelled, reason);
        let order = self.orders.get_mut(id).unwrap();
        (order.was_dead, order.missing) = (was_dead, missing);
        self.line.retain(|other| other != id);
        for (before, (_, had)) in before.iter().zip(&items) {
            self.moved(before, "cancel", -(*had as i64), id, reason);
        }
        self.tally("cancelled", 1);
        self.published.push(Published::Event(Event::OrderCancelled));
        items.iter().map(|(_, had)| had).sum()
    }

    pub(crate) fn give_back(
        &mut self,
        command: &Command,
        id: &Id,
        customer: Option<&Id>,
        reference: &Option<Id>,
        scrap: bool,
        lines: &Lines,
    ) -> Outcome {
        if let Some(replied) = self.replied(reference, command) {
            return replied.map(Reply::Units);
        }
        let known = self.orders.get(id);
        if known.is_some_and(|order| customer.is_some_and(|customer| *customer != order.customer)) {
            return Err(vec!["MISMATCH"]);
        }
        if known.is_some_and(|order| order.state != OrderState::Completed) {
            return Err(vec!["BADSTATE"]);
        }
        if known.is_none() && (customer.is_none() || reference.is_none()) {
            return Err(vec!["NOORDER"]);
        }
        let items = self.merged(lines)?;
        let of_order = |order: &Order, sku: &Id| {
            order.items.iter().find(|item| item.sku == *sku).map_or(0, |item| item.qty - item.returned)
        };
        let had = |sku: &Id| known.map_or_else(|| self.past_units(customer, sku), |order| of_order(order, sku));
        if items.iter().any(|(sku, qty)| u128::from(had(sku)) < *qty) {
            return Err(vec!["BADSTATE"]);
        }
        self.changed = true;
        let (now, units) = (self.now, items.iter().map(|(_, qty)| *qty as u64).sum());
        let before = self.levels(items.iter().map(|(sku, _)| sku.clone()));
        for (sku, qty) in &items {
            let item = self.orders.get_mut(id).and_then(|o| o.items.iter_mut().find(|item| item.sku == *sku));
            match item {
                Some(item) => item.returned += *qty as u64,
                None => self.take_past(customer, sku, *qty as u64),
            }
            if !scrap {
                self.skus.get_mut(sku).unwrap().on_hand += *qty as u64;
            }
        }
        self.orders.get_mut(id).into_iter().for_each(|order| order.returns.push((now, units, scrap)));
        for (before, (_, qty)) in before.iter().zip(&items) {
            self.moved(before, if scrap { "scrap" } else { "return" }, *qty as i64, id, b"");
        }
        self.tally("returned", units);
        self.remember(reference, command, units);
        self.published.push(Published::Event(Event::OrderReturned));
        self.serve_line();
        Ok(Reply::Units(units))
    }

    /// Units that a customer has of forgotten holds and orders.
    fn past_units(&self, customer: Option<&Id>, sku: &Id) -> u64 {
        let of = |past: &&Past| past.customer.as_ref() == customer && past.sku == *sku;
        self.past.iter().filter(of).map(|past| past.units).sum()
    }

    fn take_past(&mut self, customer: Option<&Id>, sku: &Id, mut qty: u64) {
        for past in self.past.iter_mut().filter(|past| past.customer.as_ref() == customer && past.sku == *sku) {
            let part = qty.min(past.units);
            past.units -= part;
            qty -= part;
        }
        assert_eq!(qty, 0, "there was enough");
    }

    pub(crate) fn forget_order(&mut self, id: &Id) -> u64 {
        let order = self.orders.remove(id).unwrap();
        if order.state == OrderState::Completed {
            for item in &order.items {
                let (sku, customer) = (item.sku.clone(), Some(order.customer.clone()));
                self.past.push(Past { sku, customer, units: item.qty - item.returned });
            }
        }
        1 + order.items.len() as u64
    }

    fn last_of(&mut self, kind: StreamKind) -> &mut EntryId {
        match kind {
            StreamKind::Orders => &mut self.last_orders,
            StreamKind::Complete => &mut self.last_complete,
            StreamKind::Journal => &mut self.last_journal,
            StreamKind::Retry => &mut self.last_retry,
            StreamKind::Dead => &mut self.last_dead,
            StreamKind::Metrics => &mut self.last_metrics,
            StreamKind::Alerts => &mut self.last_alerts,
        }
    }

    /// A stream put an entry elsewhere, or it was written back; the id that it had, if it is an order's.
    pub fn entered(&mut self, kind: StreamKind, order: &[u8], id: EntryId) -> Option<EntryId> {
        let last = self.last_of(kind);
        *last = id.max(*last);
        let order = self.orders.get_mut(order)?;
        match kind {
            StreamKind::Orders => order.entry.replace(id),
            StreamKind::Complete => order.complete.replace(id),
            _ => order.side.replace(id),
        }
    }

    /// An entry of an order got another id: its own again, or one ahead of the stream's last.
    pub(crate) fn reentry(&mut self, id: &Id, side: bool, ahead_ms: Option<u64>) -> Outcome {
        let listed = |order: &&Order| order.state != OrderState::Cancelled && order.entry.is_some();
        let Some(order) = self.orders.get(id).filter(listed) else {
            return Ok(Reply::Nothing);
        };
        self.changed = true;
        let kind = match (order.state, order.side) {
            (OrderState::Completed, _) => StreamKind::Complete,
            (OrderState::Dead, _) => StreamKind::Dead,
            (_, Some(_)) if side => StreamKind::Retry,
            _ => StreamKind::Orders,
        };
        if let Some(ahead_ms) = ahead_ms {
            let ms = self.last_of(kind).ms + ahead_ms;
            self.entered(kind, id, EntryId { ms, seq: 0 });
        }
        Ok(Reply::Nothing)
    }
}

impl Order {
    /// An order that waits, as nothing but its place and its entry say.
    pub fn queued(customer: Id, queued: u64, entry: Option<EntryId>) -> Order {
        Order {
            queued,
            customer,
            gates: Vec::new(),
            group: None,
            lane: Id::new(),
            data: Vec::new(),
            hold: None,
            items: Vec::new(),
            state: OrderState::Queued,
            entry,
            unlisted: false,
            came: 0,
            missing: 0,
            placed_at: 0,
            ended_at: 0,
            complete: None,
            note: Vec::new(),
            returns: Vec::new(),
            first_entry: None,
            placed_items: None,
            edited: None,
            split_off: None,
            due: None,
            retry: None,
            died: 0,
            side: None,
            token: 0,
            worker: None,
            lease_ms: None,
            attempts: 0,
            history: Vec::new(),
            failed: None,
            step: None,
            next: None,
            redriven: false,
            was_dead: false,
            late: false,
        }
    }
}

fn units_of(order: &Order) -> u64 {
    order.items.iter().map(|item| item.qty).sum()
}
