//! The model's orders that change.

use std::collections::BTreeMap;

use super::super::command::{Command, Id, Lines, Reply};
use super::super::published::Published;
use super::{MAX, Model, Order, OrderItem, Outcome, content, next_entry};
use crate::record::history::HistoryEvent;
use crate::terms::effects::Event;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

impl Model {
    pub(crate) fn edit(
        &mut self,
        command: &Command,
        id: &Id,
        token: Option<u64>,
        reference: &Option<Id>,
        lost: bool,
        lines: &Lines,
    ) -> Outcome {
        if let Some(replied) = self.replied(reference, command) {
            return replied.map(Reply::Units);
        }
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        let items = self.merged(lines)?;
        let units: u128 = items.iter().map(|(_, qty)| qty).sum();
        if units > MAX {
            return Err(vec!["ERR"]);
        }
        let (had, has) = (units_by_sku(order), items.iter().map(|(sku, qty)| (sku.clone(), *qty as u64)).collect());
        let is_same = had == has;
        let stands = !matches!(order.state, OrderState::Dead | OrderState::Cancelled);
        let call = with_token(command, token);
        if is_same && reference.is_none() && stands && order.edited.as_ref() == Some(&call) {
            return Ok(Reply::Units(units as u64));
        }
        self.changeable(order, token)?;
        if is_same && reference.is_none() {
            return Ok(Reply::Units(units as u64));
        }
        self.check_edit(order, &had, &has, &items)?;
        self.changed = true;
        if !is_same {
            self.change_stock_of(id, &had, &has, &items, lost);
            let at = self.now;
            self.change_items(id, &items, HistoryEvent::Edited { at, units: units as u64 });
            self.orders.get_mut(id).unwrap().edited = Some(call);
            self.published.push(Published::Event(Event::OrderEdited));
            self.end_wait(id);
            self.serve_line();
        }
        self.remember(reference, command, units as u64);
        Ok(Reply::Units(units as u64))
    }

    /// Whether the items of an order may change: it is open, and nobody but the worker that has it changes them.
    fn changeable(&self, order: &Order, token: Option<u64>) -> Result<(), Vec<&'static str>> {
        if !order.state.is_open() {
            return Err(vec!["BADSTATE"]);
        }
        self.check_token(order, token)?;
        if order.state == OrderState::Claimed && token.is_none() { Err(vec!["FENCED"]) } else { Ok(()) }
    }

    /// Why an order may not have these items instead of its own: what it had is there for it again.
    fn check_edit(
        &self,
        order: &Order,
        had: &BTreeMap<Id, u64>,
        has: &BTreeMap<Id, u64>,
        items: &[(Id, u128)],
    ) -> Result<(), Vec<&'static str>> {
        let grown = |sku: &Id, qty: u128| qty as i128 - i128::from(had.get(sku).copied().unwrap_or(0));
        let mut codes = Vec::new();
        for (sku, qty) in items.iter().filter(|(sku, qty)| grown(sku, *qty) > 0) {
            let (more, limit) = (grown(sku, *qty), i128::from(self.skus[sku].limit));
            if limit > 0 && i128::from(self.units(&order.customer, Some(sku))) + more > limit {
                codes.push("LIMIT");
            }
            if order.state != OrderState::Waitlisted && i128::from(self.available(sku)) < more {
                codes.push("OUTOFSTOCK");
            }
        }
        if order.state == OrderState::Waitlisted {
            let added = items.iter().map(|(sku, qty)| (sku.clone(), grown(sku, *qty).max(0) as u128));
            codes.extend(self.may_wait(&added.collect::<Vec<_>>(), 0).err().unwrap_or_default());
        }
        let more = i128::from(has.values().sum::<u64>()) - i128::from(had.values().sum::<u64>());
        let (units, limit) = (i128::from(self.units(&order.customer, None)) + more, i128::from(self.setting("limit")));
        if more > 0 && limit > 0 && units > limit {
            codes.push("LIMIT");
        }
        if units > MAX as i128 {
            codes.push("ERR");
        }
        if codes.is_empty() { Ok(()) } else { Err(codes) }
    }

    /// What is given up goes back or is written off, then what is added is taken; each in the order it is named.
    fn change_stock_of(
        &mut self,
        id: &Id,
        had: &BTreeMap<Id, u64>,
        has: &BTreeMap<Id, u64>,
        items: &[(Id, u128)],
        lost: bool,
    ) {
        let old: Vec<Id> = self.orders[id].items.iter().map(|item| item.sku.clone()).collect();
        let (of, kind) = (|map: &BTreeMap<Id, u64>, sku: &Id| map.get(sku).copied().unwrap_or(0) as i64, "edit");
        let change = |sku: &Id| of(has, sku) - of(had, sku);
        let less: Vec<_> = old.iter().filter(|sku| change(sku) < 0).cloned().collect();
        let more: Vec<_> = items.iter().map(|(sku, _)| sku.clone()).filter(|sku| change(sku) > 0).collect();
        for sku in less.iter().chain(&more) {
            let (before, free) = (self.levels([sku.clone()]).remove(0), self.available(sku).max(0));
            // Held is what the order has, so it has to have it by the time the movement is told.
            let order = self.orders.get_mut(id).unwrap();
            let old = order.items.iter().find(|item| item.sku == *sku).cloned();
            let (qty, has_now) = (of(has, sku), old.as_ref().map_or(0, |item| item.has as i64));
            order.items.retain(|item| item.sku != *sku);
            let mut item = OrderItem { sku: sku.clone(), qty: qty as u64, returned: 0, has: 0 };
            let mut delta = change(sku);
            if order.state == OrderState::Waitlisted {
                // What it lacks is given up first; of what is added it gets what is there, and waits for the rest.
                let lacks = old.map_or(0, |item| (item.qty - item.has) as i64);
                let short = (delta - free).clamp(0, delta.max(0));
                item.has = (qty - (lacks + delta.min(0)).max(0) - short) as u64;
                delta = item.has as i64 - has_now;
            }
            order.items.push(item);
            if delta == 0 {
                continue;
            }
            let is_lost = lost && delta < 0;
            if is_lost {
                let books = self.skus.get_mut(sku).unwrap();
                books.on_hand = books.on_hand.saturating_sub(delta.unsigned_abs());
            }
            self.moved(&before, if is_lost { "lost" } else { kind }, delta, id, b"");
        }
        let order = self.orders.get_mut(id).unwrap();
        order.placed_items.get_or_insert_with(|| had.clone());
    }

    /// Gives an order these items, with a new entry at the end of the stream; it stays where it is in the queue.
    fn change_items(&mut self, id: &Id, items: &[(Id, u128)], event: HistoryEvent<'_>) {
        let order = self.orders.get_mut(id).unwrap();
        let had = units_by_sku(order);
        order.placed_items.get_or_insert(had);
        let has = |sku: &Id| order.items.iter().find(|item| item.sku == *sku).map_or(0, |item| item.has);
        let items =
            items.iter().map(|item| OrderItem { has: has(&item.0).min(item.1 as u64), ..order_item(item) }).collect();
        order.items = items;
        order.history.push(format!("{event:?}"));
        // One that was never queued has no entry that could be written anew.
        let Some(old) = order.entry else { return };
        let entry = next_entry(&mut self.last_orders, self.now);
        order.first_entry = order.first_entry.or(Some(old));
        order.entry = Some(entry);
        self.published.extend([Published::Left(StreamKind::Orders, old), Published::Queued(id.clone(), entry)]);
    }

    pub(crate) fn split(
        &mut self,
        command: &Command,
        id: &Id,
        new: &Id,
        token: Option<u64>,
        (lane, lines): (Option<&Id>, &Lines),
    ) -> Outcome {
        if let Some(known) = self.orders.get(new) {
            // The new order is named by the call as well.
            return match known.split_off == Some(content(command)) {
                false => Err(vec!["MISMATCH"]),
                true if known.state == OrderState::Cancelled => Err(vec!["BADSTATE"]),
                true if known.unlisted => Ok(Reply::Unlisted),
                true => Ok(Reply::Entry(known.first_entry.or(known.entry).unwrap())),
            };
        }
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        self.changeable(order, token)?;
        let moved = self.merged(lines)?;
        let had = units_by_sku(order);
        if moved.iter().any(|(sku, qty)| u128::from(had.get(sku).copied().unwrap_or(0)) < *qty) {
            return Err(vec!["BADSTATE"]);
        }
        let of = |sku: &Id| moved.iter().find(|(known, _)| known == sku).map_or(0, |(_, qty)| *qty);
        let kept = order.items.iter().map(|item| (item.sku.clone(), u128::from(item.qty) - of(&item.sku)));
        let kept: Vec<_> = kept.filter(|(_, qty)| *qty > 0).collect();
        if kept.is_empty() {
            return Err(vec!["ERR"]);
        }
        if lane.is_some_and(|lane| !self.has_room(lane)) {
            return Err(vec!["ERR"]);
        }
        self.changed = true;
        let (at, units) = (self.now, moved.iter().map(|(_, qty)| *qty as u64).sum());
        let (state, mut part) = (order.state, moved.iter().map(order_item).collect::<Vec<_>>());
        self.divide(id, &mut part);
        self.change_items(id, &kept, HistoryEvent::Split { at, units, into: new });
        let entry = next_entry(&mut self.last_orders, at);
        let event = HistoryEvent::SplitOff { at, units, from: id };
        let parent = self.orders[id].clone();
        let order = Order {
            group: parent.group,
            lane: lane.cloned().unwrap_or(parent.lane),
            data: parent.data,
            items: part,
            placed_at: parent.placed_at,
            history: vec![format!("{event:?}")],
            split_off: Some(content(command)),
            ..Order::queued(parent.customer, self.next_place(), Some(entry))
        };
        self.tally("placed", 1);
        self.orders.insert(new.clone(), order);
        let reply = if matches!(state, OrderState::Pending | OrderState::Waitlisted) {
            self.hold_back(id, new)
        } else {
            self.published.push(Published::Queued(new.clone(), entry));
            Reply::Entry(entry)
        };
        self.published.push(Published::Event(Event::OrderSplit));
        Ok(reply)
    }

    /// What of a part is gathered already: the part gets what it needs of it.
    fn divide(&mut self, id: &Id, part: &mut [OrderItem]) {
        let order = self.orders.get_mut(id).unwrap();
        for item in part.iter_mut().filter(|_| order.state == OrderState::Waitlisted) {
            let all = order.items.iter_mut().find(|all| all.sku == item.sku).unwrap();
            item.has = item.qty.min(all.has);
            all.has -= item.has;
        }
    }

    /// A part of an order that has to wait is as that is: it waits for stock, or for gates of its own.
    fn hold_back(&mut self, id: &Id, new: &Id) -> Reply {
        let parent = self.orders[id].clone();
        let place = parent.due.filter(|_| parent.state == OrderState::Waitlisted);
        let part = self.orders.get_mut(new).unwrap();
        (part.gates, part.entry, part.state, part.came) = (parent.gates, None, parent.state, parent.came);
        if part.state == OrderState::Waitlisted && part.items.iter().any(|item| item.has < item.qty) {
            part.unlisted = true;
            let due = place.map(|(until, _)| (until, self.next_place()));
            self.orders.get_mut(new).unwrap().due = due;
            let behind = self.line.partition_point(|other| self.orders[other].came <= parent.came);
            self.line.insert(behind, new.clone());
        } else {
            self.let_in(new);
            let part = self.orders.get_mut(new).unwrap();
            part.unlisted = part.entry.is_none();
        }
        self.end_wait(id);
        self.orders[new].entry.map_or(Reply::Unlisted, Reply::Entry)
    }
}

/// The very call: without a REF, it is known again only under the same token.
fn with_token(command: &Command, known: Option<u64>) -> Command {
    let mut call = content(command);
    if let Command::Edit { token, .. } = &mut call {
        *token = known;
    }
    call
}

pub(super) fn order_item((sku, qty): &(Id, u128)) -> OrderItem {
    OrderItem { sku: sku.clone(), qty: *qty as u64, returned: 0, has: 0 }
}

fn units_by_sku(order: &Order) -> BTreeMap<Id, u64> {
    order.items.iter().map(|item| (item.sku.clone(), item.qty)).collect()
}
