//! The model: what the contract says, written in the simplest way.

use super::calls::{Call, Items, SKUS};
use crate::common::Reply;
use std::collections::BTreeMap;

/// The expected reply of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Int(i64),
    /// A refusal, by its code.
    Refused(&'static str),
    /// A string that was given before.
    Text(String),
    /// Any string.
    NewText,
    /// Any time.
    NewTime,
    /// OK.
    Done,
}

#[derive(Clone, Copy, Default)]
struct Sku {
    on_hand: i64,
    held: i64,
    sold: i64,
}

#[derive(Clone)]
struct Hold {
    customer: Option<u8>,
    reserved: Items,
    left: Items,
    state: &'static str,
    /// The call that ended it, without its REF.
    ended_by: Option<Call>,
    expires_at: Option<i64>,
}

#[derive(Clone)]
struct Order {
    customer: u8,
    /// The call that made it: PLACE or SPLIT.
    placed_by: Call,
    items: Items,
    /// The last EDIT.
    edited_by: Option<Call>,
    /// Whether its entry is another one than that call replied.
    is_listed_again: bool,
    returned: BTreeMap<usize, i64>,
    state: &'static str,
    result: Option<u8>,
    /// Ids of its entries in `…:orders` and `…:complete`.
    entry: Option<String>,
    complete: Option<String>,
}

/// The books of one store.
pub struct Books {
    limit: i64,
    skus: [Sku; SKUS.len()],
    holds: BTreeMap<u8, Hold>,
    orders: BTreeMap<u8, Order>,
    /// Orders by the time their entries were written.
    listed: Vec<u8>,
    /// Calls that had a REF and their replies, by the name of the command.
    refs: BTreeMap<(&'static str, u8), (Call, i64)>,
    units: BTreeMap<u8, i64>,
}

fn total(items: &Items) -> i64 {
    items.iter().map(|(_, units)| units).sum()
}

/// The units of a SKU among items.
fn of(items: &Items, sku: usize) -> i64 {
    items.iter().find(|(found, _)| *found == sku).map_or(0, |(_, units)| *units)
}

impl Books {
    /// A store with so many units of each SKU.
    pub fn new(units: i64) -> Books {
        Books {
            limit: 0,
            skus: [Sku { on_hand: units, ..Sku::default() }; SKUS.len()],
            holds: BTreeMap::new(),
            orders: BTreeMap::new(),
            listed: Vec::new(),
            refs: BTreeMap::new(),
            units: BTreeMap::new(),
        }
    }

    /// Does a call and returns the expected reply.
    pub fn apply(&mut self, call: &Call) -> Expected {
        match call {
            Call::Limit(limit) => {
                self.limit = *limit;
                Expected::Done
            }
            // A delta of 0 is not an adjustment.
            Call::Adjust { delta: 0, .. } => Expected::Refused("ERR"),
            Call::Adjust { sku, delta, reference } => self.with_reference(call, *reference, |books| {
                let sku = &mut books.skus[*sku];
                if sku.on_hand + delta < 0 {
                    return Err("BADSTATE");
                }
                sku.on_hand += delta;
                Ok((sku.on_hand, true))
            }),
            Call::Close { reference, .. } => self.with_reference(call, *reference, |books| books.close(call)),
            Call::Return { order, reference, scrap, items } => self.with_reference(call, *reference, |books| {
                books.give_back(*order, items, *scrap).map(|units| (units, true))
            }),
            Call::Reserve { hold, customer, items } => self.reserve(*hold, *customer, items),
            Call::Place { order, .. } | Call::PlaceHold { order, .. } => self.place(*order, call),
            Call::Edit { order, reference, lost, items } => {
                self.with_reference(call, *reference, |books| books.edit(call, *order, items, *lost))
            }
            Call::Split { order, new, items } => self.split(call, *order, *new, items),
            Call::Complete { order, result } => self.complete(*order, *result),
            Call::Cancel { order } => self.cancel(*order).map_or_else(Expected::Refused, Expected::Int),
        }
    }

    /// Notes what only the server decides: times and ids of entries.
    pub fn learn(&mut self, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Reserve { hold, .. }, Reply::Int(time)) => {
                self.holds.get_mut(hold).and_then(|hold| hold.expires_at.get_or_insert(*time).checked_add(0));
            }
            (
                Call::Place { order, .. } | Call::PlaceHold { order, .. } | Call::Split { new: order, .. },
                Reply::Bulk(_),
            ) => {
                self.orders.get_mut(order).map(|order| order.entry.get_or_insert(reply.text()).len());
            }
            (Call::Complete { order, .. }, Reply::Bulk(_)) => {
                self.orders.get_mut(order).map(|order| order.complete.get_or_insert(reply.text()).len());
            }
            _ => {}
        }
    }

    /// A REF gets the first reply for the same call, and refuses another call. It is remembered with a call that
    /// changed something: `run` returns the reply and whether something changed.
    fn with_reference(
        &mut self,
        call: &Call,
        reference: Option<u8>,
        run: impl FnOnce(&mut Books) -> Result<(i64, bool), &'static str>,
    ) -> Expected {
        let reference = reference.map(|reference| (call.name(), reference));
        if let Some((known, reply)) = reference.and_then(|reference| self.refs.get(&reference)) {
            return if known == call { Expected::Int(*reply) } else { Expected::Refused("MISMATCH") };
        }
        let reply = run(self);
        if let (Some(reference), Ok((reply, true))) = (reference, reply) {
            self.refs.insert(reference, (call.clone(), reply));
        }
        reply.map_or_else(Expected::Refused, |(reply, _)| Expected::Int(reply))
    }

    /// Whether a customer may have more, and whether it is available.
    fn check(&self, customer: Option<u8>, items: &Items) -> Result<(), &'static str> {
        self.check_limit(customer, items)?;
        let short = |(sku, units): &(usize, i64)| self.skus[*sku].on_hand - self.skus[*sku].held < *units;
        if items.iter().any(short) {
            return Err("OUTOFSTOCK");
        }
        Ok(())
    }

    fn check_limit(&self, customer: Option<u8>, items: &Items) -> Result<(), &'static str> {
        let has = customer.and_then(|customer| self.units.get(&customer)).unwrap_or(&0);
        if customer.is_some() && self.limit > 0 && has + total(items) > self.limit {
            return Err("LIMIT");
        }
        Ok(())
    }

    /// Counts units for a customer, if there is one.
    fn count(&mut self, customer: Option<u8>, units: i64) {
        if let Some(customer) = customer {
            *self.units.entry(customer).or_default() += units;
        }
    }

    fn hold_units(&mut self, items: &Items, sign: i64) {
        items.iter().for_each(|(sku, units)| self.skus[*sku].held += sign * units);
    }

    fn sell_units(&mut self, items: &Items) {
        for (sku, units) in items {
            let sku = &mut self.skus[*sku];
            // A count may have been set below what was promised: units sold beyond it leave 0.
            sku.on_hand = (sku.on_hand - units).max(0);
            (sku.held, sku.sold) = (sku.held - units, sku.sold + units);
        }
    }

    fn reserve(&mut self, id: u8, customer: Option<u8>, items: &Items) -> Expected {
        if let Some(hold) = self.holds.get(&id) {
            if hold.state != "live" {
                return Expected::Refused("BADSTATE");
            }
            let same = hold.customer == customer && hold.reserved == *items;
            return match hold.expires_at.filter(|_| same) {
                Some(time) => Expected::Int(time),
                None => Expected::Refused("MISMATCH"),
            };
        }
        if let Err(code) = self.check(customer, items) {
            return Expected::Refused(code);
        }
        self.hold_units(items, 1);
        self.count(customer, total(items));
        let (reserved, left) = (items.clone(), items.clone());
        self.holds.insert(id, Hold { customer, reserved, left, state: "live", ended_by: None, expires_at: None });
        Expected::NewTime
    }

    /// COMMIT or RELEASE: units left and whether that changed anything, or the refusal.
    fn close(&mut self, call: &Call) -> Result<(i64, bool), &'static str> {
        let Call::Close { hold: id, commit, items, .. } = call else { unreachable!("a call of another kind") };
        let bare = Call::Close { hold: *id, commit: *commit, reference: None, items: items.clone() };
        let hold = self.holds.get(id).cloned().ok_or("NOHOLD")?;
        let ends_as = if *commit { "committed" } else { "released" };
        if hold.state == ends_as && (items.is_none() || hold.ended_by.as_ref() == Some(&bare)) {
            return Ok((0, false));
        }
        if hold.state != "live" {
            return Err("BADSTATE");
        }
        let closed = items.clone().unwrap_or_else(|| hold.left.clone());
        if closed.iter().any(|(sku, units)| of(&hold.left, *sku) < *units) {
            return Err("BADSTATE");
        }
        if *commit {
            self.sell_units(&closed);
        } else {
            self.hold_units(&closed, -1);
            self.count(hold.customer, -total(&closed));
        }
        let hold = self.holds.get_mut(id).expect("it is there");
        hold.left.iter_mut().for_each(|(sku, units)| *units -= of(&closed, *sku));
        let left = total(&hold.left);
        if left == 0 {
            (hold.state, hold.ended_by) = (ends_as, Some(bare));
        }
        Ok((left, true))
    }

    fn place(&mut self, id: u8, call: &Call) -> Expected {
        if let Some(order) = self.orders.get(&id) {
            if order.state == "cancelled" {
                return Expected::Refused("BADSTATE");
            }
            return match order.entry.clone().filter(|_| order.placed_by == *call) {
                Some(entry) => Expected::Text(entry),
                None => Expected::Refused("MISMATCH"),
            };
        }
        let taken = match call {
            Call::Place { customer, items, .. } => self.take_items(*customer, items),
            Call::PlaceHold { customer, hold, .. } => self.take_hold(*customer, *hold),
            _ => unreachable!("a call of another kind"),
        };
        let (customer, items) = match taken {
            Ok(taken) => taken,
            Err(code) => return Expected::Refused(code),
        };
        self.list(id, call, customer, items);
        Expected::NewText
    }

    /// Adds an order that waits.
    fn list(&mut self, id: u8, call: &Call, customer: u8, items: Items) {
        let order = Order {
            customer,
            placed_by: call.clone(),
            items,
            edited_by: None,
            is_listed_again: false,
            returned: BTreeMap::new(),
            state: "queued",
            result: None,
            entry: None,
            complete: None,
        };
        self.orders.insert(id, order);
        self.listed.push(id);
    }

    /// Gives an order other items; its entry is the last one then.
    fn list_again(&mut self, id: u8, items: Items) {
        let order = self.orders.get_mut(&id).expect("it is there");
        (order.items, order.is_listed_again) = (items, true);
        self.listed.retain(|listed| *listed != id);
        self.listed.push(id);
    }

    /// EDIT: units of the order then and whether that changed anything, or the refusal.
    fn edit(&mut self, call: &Call, id: u8, items: &Items, lost: bool) -> Result<(i64, bool), &'static str> {
        let Call::Edit { reference, .. } = call else { unreachable!("a call of another kind") };
        let order = self.orders.get(&id).cloned().ok_or("NOORDER")?;
        let units = total(items);
        let (mut had, bare) = (order.items.clone(), (lost, items.clone()));
        had.sort_unstable();
        let edited = order.edited_by.as_ref().map(|call| match call {
            Call::Edit { lost, items, .. } => (*lost, items.clone()),
            other => unreachable!("{other:?} edits nothing"),
        });
        let is_again = order.state == "completed" && had == *items && edited == Some(bare);
        if is_again && reference.is_none() {
            return Ok((units, false));
        }
        if order.state != "queued" {
            return Err("BADSTATE");
        }
        if had == *items {
            return Ok((units, true));
        }
        let more: Items = items.iter().map(|(sku, units)| (*sku, (units - of(&had, *sku)).max(0))).collect();
        let less: Items = had.iter().map(|(sku, units)| (*sku, (units - of(items, *sku)).max(0))).collect();
        let growth = total(&more) - total(&less);
        if self.limit > 0 && growth > 0 && self.units[&order.customer] + growth > self.limit {
            return Err("LIMIT");
        }
        let short = |(sku, units): &(usize, i64)| *units > 0 && self.skus[*sku].on_hand - self.skus[*sku].held < *units;
        if more.iter().any(short) {
            return Err("OUTOFSTOCK");
        }
        self.hold_units(&less, -1);
        self.hold_units(&more, 1);
        if lost {
            for (sku, units) in &less {
                self.skus[*sku].on_hand = (self.skus[*sku].on_hand - units).max(0);
            }
        }
        self.count(Some(order.customer), growth);
        self.list_again(id, items.clone());
        self.orders.get_mut(&id).expect("it is there").edited_by = Some(call.clone());
        Ok((units, true))
    }

    fn split(&mut self, call: &Call, id: u8, new: u8, items: &Items) -> Expected {
        if let Some(order) = self.orders.get(&new) {
            return match order.entry.clone().filter(|_| order.placed_by == *call) {
                Some(_) if order.state == "cancelled" => Expected::Refused("BADSTATE"),
                Some(entry) => Expected::Text(entry),
                None => Expected::Refused("MISMATCH"),
            };
        }
        let Some(order) = self.orders.get(&id).cloned() else { return Expected::Refused("NOORDER") };
        let has = |(sku, units): &(usize, i64)| of(&order.items, *sku) >= *units;
        if order.state != "queued" || !items.iter().all(has) {
            return Expected::Refused("BADSTATE");
        }
        let kept = order.items.iter().map(|(sku, units)| (*sku, units - of(items, *sku)));
        let kept: Items = kept.filter(|(_, units)| *units > 0).collect();
        if kept.is_empty() {
            return Expected::Refused("ERR");
        }
        self.list_again(id, kept);
        self.list(new, call, order.customer, items.clone());
        Expected::NewText
    }

    fn take_items(&mut self, customer: u8, items: &Items) -> Result<(u8, Items), &'static str> {
        self.check(Some(customer), items)?;
        self.hold_units(items, 1);
        self.count(Some(customer), total(items));
        Ok((customer, items.clone()))
    }

    fn take_hold(&mut self, customer: u8, id: u8) -> Result<(u8, Items), &'static str> {
        let hold = self.holds.get(&id).cloned().ok_or("NOHOLD")?;
        if hold.state != "live" {
            return Err("BADSTATE");
        }
        let items: Items = hold.left.into_iter().filter(|(_, units)| *units > 0).collect();
        match hold.customer {
            Some(owner) if owner != customer => return Err("MISMATCH"),
            Some(_) => {}
            None => {
                self.check_limit(Some(customer), &items)?;
                self.count(Some(customer), total(&items));
            }
        }
        let hold = self.holds.get_mut(&id).expect("it is there");
        hold.state = "ordered";
        hold.left.iter_mut().for_each(|(_, units)| *units = 0);
        Ok((customer, items))
    }

    fn complete(&mut self, id: u8, result: Option<u8>) -> Expected {
        let Some(order) = self.orders.get_mut(&id) else { return Expected::Refused("NOORDER") };
        match order.state {
            "queued" => {}
            "completed" if order.result == result => {
                return order.complete.clone().map_or(Expected::NewText, Expected::Text);
            }
            "completed" => return Expected::Refused("MISMATCH"),
            _ => return Expected::Refused("BADSTATE"),
        }
        (order.state, order.result) = ("completed", result);
        let items = order.items.clone();
        self.sell_units(&items);
        Expected::NewText
    }

    fn cancel(&mut self, id: u8) -> Result<i64, &'static str> {
        let order = self.orders.get_mut(&id).ok_or("NOORDER")?;
        let units = total(&order.items);
        match order.state {
            "queued" => order.state = "cancelled",
            "cancelled" => return Ok(units),
            _ => return Err("BADSTATE"),
        }
        let (customer, items) = (order.customer, order.items.clone());
        self.hold_units(&items, -1);
        self.count(Some(customer), -units);
        Ok(units)
    }

    fn give_back(&mut self, id: u8, items: &Items, scrap: bool) -> Result<i64, &'static str> {
        let order = self.orders.get_mut(&id).ok_or("NOORDER")?;
        let rest = |sku: usize| of(&order.items, sku) - order.returned.get(&sku).unwrap_or(&0);
        if order.state != "completed" || items.iter().any(|(sku, units)| rest(*sku) < *units) {
            return Err("BADSTATE");
        }
        for (sku, units) in items {
            *order.returned.entry(*sku).or_default() += units;
            let sku = &mut self.skus[*sku];
            sku.on_hand += if scrap { 0 } else { *units };
            sku.sold -= units;
        }
        let customer = order.customer;
        self.count(Some(customer), -total(items));
        Ok(total(items))
    }

    fn sku(&self, name: &str) -> Sku {
        self.skus[SKUS.iter().position(|sku| *sku == name).expect("a SKU of the model")]
    }

    /// A SKU's (on-hand, held, available).
    pub fn stock(&self, name: &str) -> (i64, i64, i64) {
        let sku = self.sku(name);
        (sku.on_hand, sku.held, sku.on_hand - sku.held)
    }

    /// Units of a SKU that were sold and not returned.
    pub fn sold(&self, name: &str) -> i64 {
        self.sku(name).sold
    }

    /// Every order and its state.
    pub fn orders(&self) -> impl Iterator<Item = (String, &'static str)> + '_ {
        self.orders.iter().map(|(id, order)| (format!("o-{id}"), order.state))
    }

    /// Every hold, its state and the units left in it.
    pub fn holds(&self) -> impl Iterator<Item = (String, &'static str, i64)> + '_ {
        self.holds.iter().map(|(id, hold)| (format!("h-{id}"), hold.state, total(&hold.left)))
    }

    /// The orders that wait, as they are listed, each with the id of its entry where a reply said it.
    pub fn waiting(&self) -> Vec<(String, Option<String>)> {
        let open = self.listed.iter().map(|id| (id, &self.orders[id])).filter(|(_, order)| order.state == "queued");
        let entry = |order: &Order| order.entry.clone().filter(|_| !order.is_listed_again);
        open.map(|(id, order)| (format!("o-{id}"), entry(order))).collect()
    }
}
