//! Units that come back: `ORDER.RETURN`.

use std::collections::BTreeMap;

use crate::base::units::{Ms, NIL};
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::reference::{Content, RefCommand};
use crate::record::returns::ReturnEvent;
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::items::{Item, Units, UnitsList};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, Shown, checked_sum};
use crate::terms::states::OrderState;

/// `ORDER.RETURN`.
#[derive(Clone, Copy, Debug)]
pub struct Return<'a> {
    pub order: &'a [u8],
    /// The customer the order has to be of. With a REF it stands for an order that is not remembered any more.
    pub customer: Option<&'a [u8]>,
    pub reference: Option<&'a [u8]>,
    /// Whether the units are written off rather than put back to on_hand.
    pub scrap: bool,
    pub items: &'a [Item<'a>],
}

/// Units of an item that come back.
struct Back {
    /// Which item of the order, counted from 0.
    at: usize,
    units: Units,
}

impl Store {
    /// Takes units of a completed order back; replies how many. Of an order that is not remembered any more, units that
    /// its customer has of forgotten orders and holds.
    pub fn return_units(&mut self, now: Ms, back: &Return<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let content = back.content();
        if let Some(reply) = self.remembered.replied(RefCommand::Return, back.reference, &content)? {
            return Ok(reply);
        }
        let units = match self.orders.find(back.order) {
            Some(slot) => self.return_of_order(now, slot, back, fx)?,
            None => self.return_of_past(now, back, fx)?,
        };
        self.counters.returned = self.counters.returned.saturating_add(units);
        self.remember(RefCommand::Return, back.reference, &content, units);
        fx.event(Event::OrderReturned);
        self.serve_line(fx);
        Ok(units)
    }

    fn return_of_order(&mut self, now: Ms, slot: u32, back: &Return<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let backs = self.check_return(slot, back)?;
        self.touch(now, fx);
        let units = backs.iter().map(|back| back.units.qty).sum();
        let event = ReturnEvent { at: self.now, units, scrap: back.scrap };
        self.changing_order(slot, |order, extra| {
            let returns = extra.seldom_mut().returns.get_or_insert_default();
            returns.units.resize(order.items().count(), 0);
            backs.iter().for_each(|back| returns.units[back.at] += back.units.qty);
            returns.push(event);
        });
        let items: UnitsList = backs.iter().map(|back| back.units).collect();
        self.bring_back(self.orders.at(slot).customer, back, &items, false, fx);
        Ok(units)
    }

    /// What comes back, of which item of the order.
    fn check_return(&self, slot: u32, back: &Return<'_>) -> Result<Vec<Back>, Refusal> {
        let order = self.orders.at(slot);
        let customer = self.customers.id(order.customer);
        if back.customer.is_some_and(|named| named != customer) {
            let (id, customer) = (Shown(back.order), Shown(customer));
            return Err(Refusal::Mismatch(format!("order {id} is of customer {customer}")));
        }
        if order.state() != OrderState::Completed {
            return Err(Refusal::order_is(order.state()));
        }
        let kept = order.kept(self.orders.extra(order)).enumerate();
        let by_sku: BTreeMap<u32, (usize, u64)> = kept.map(|(at, units)| (units.sku, (at, units.qty))).collect();
        let mut backs = Vec::with_capacity(back.items.len());
        for units in self.shelf.resolve(back.items)? {
            let kept = by_sku.get(&units.sku).copied();
            let has = kept.map_or(0, |(_, qty)| qty);
            if has < units.qty {
                let sku = Shown(&self.shelf.at(units.sku).id);
                return Err(Refusal::BadState(format!("order has {has} of {sku} to return, not {}", units.qty)));
            }
            self.check_room(&units)?;
            backs.extend(kept.map(|(at, _)| Back { at, units }));
        }
        Ok(backs)
    }

    fn check_room(&self, units: &Units) -> Result<(), Refusal> {
        checked_sum(self.shelf.at(units.sku).on_hand, units.qty, "qty").map(drop)
    }

    /// The books know what a customer has of forgotten orders and holds, not of which: no more than that can come back,
    /// so that the units of orders that are remembered stay theirs.
    fn return_of_past(&mut self, now: Ms, back: &Return<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let (Some(customer), Some(_)) = (back.customer, back.reference) else {
            return Err(Refusal::Forgotten(back.order.into()));
        };
        let items = self.shelf.resolve(back.items)?;
        let slot = self.customers.find(customer);
        for units in &items {
            let has = slot.map_or(0, |slot| self.customers.units_of(slot, units.sku).past);
            if has < units.qty {
                let (customer, sku) = (Shown(customer), Shown(&self.shelf.at(units.sku).id));
                let text = format!("customer {customer} has {has} of {sku} from forgotten orders, not {}", units.qty);
                return Err(Refusal::BadState(text));
            }
            self.check_room(units)?;
        }
        self.touch(now, fx);
        for units in &items {
            self.shelf.change(units.sku, |sku| sku.past -= units.qty);
        }
        self.bring_back(slot.unwrap_or(NIL), back, &items, true, fx);
        Ok(items.iter().map(|units| units.qty).sum())
    }

    /// Moves the stock, and takes the units off the customer: `past` says whether they are part of what is forgotten.
    fn bring_back(&mut self, customer: u32, back: &Return<'_>, items: &UnitsList, past: bool, fx: &mut Effects) {
        let (kind, how): (_, fn(u64) -> Move) =
            if back.scrap { ("scrap", Move::Scrap) } else { ("return", Move::Return) };
        for units in items {
            self.move_stock(units.sku, how(units.qty), Why::new(kind, back.order), fx);
        }
        let less = |units: &Units| {
            let change = UnitChange::less(*units);
            UnitChange { past: if past { change.units } else { 0 }, ..change }
        };
        let changes: UnitChanges = items.iter().map(less).collect();
        self.customers.change(customer, 0, &changes);
    }
}

impl Return<'_> {
    /// What is asked for. Without CUSTOMER and SCRAP it is what version 0.1 made of it.
    fn content(&self) -> Content {
        match (self.customer, self.scrap) {
            (None, false) => Content::with_items(&[b"return", self.order], self.items),
            (None, true) => Content::with_items(&[b"scrap", self.order], self.items),
            (Some(customer), false) => Content::with_items(&[b"return of", self.order, customer], self.items),
            (Some(customer), true) => Content::with_items(&[b"scrap of", self.order, customer], self.items),
        }
    }
}
