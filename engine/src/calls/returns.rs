//! Units that come back: `ORDER.RETURN`.

use crate::base::units::{Item, Ms, NIL, Units, UnitsList};
use crate::calls::orders::Tallied;
use crate::record::customer::{Change, past_of};
use crate::record::order::ReturnEvent;
use crate::record::reference::{Content, RefCommand};
use crate::store::Store;
use crate::store::lookup::checked_sum;
use crate::terms::effects::{Effects, Event};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::Refusal;
use crate::terms::refusal::Shown;
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

impl Store {
    /// Takes units of a completed order back; replies how many. Of an order that is not remembered any more, units that
    /// its customer has of forgotten orders and holds.
    pub fn return_units(&mut self, now: Ms, back: &Return<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let content = back.content();
        if let Some(reply) = self.replied(back.reference, RefCommand::Return, &content)? {
            return Ok(reply);
        }
        let units = match self.find_order(back.order) {
            Some(slot) => self.return_of_order(now, slot, back, fx)?,
            None => self.return_of_past(now, back, fx)?,
        };
        self.counters.returned = self.counters.returned.saturating_add(units);
        self.remember(back.reference, RefCommand::Return, &content, units);
        fx.event(Event::OrderReturned);
        Ok(units)
    }

    fn return_of_order(&mut self, now: Ms, slot: u32, back: &Return<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let places = self.check_return(slot, back)?;
        self.touch(now, fx);
        self.audit_order(slot, -1);
        let (at, count) = (self.now, self.orders.at(slot).items().count());
        let returns = self.extra_mut(slot).returns.get_or_insert_default();
        returns.units.resize(count, 0);
        places.iter().for_each(|(item, units)| returns.units[*item] += units.qty);
        let units = places.iter().map(|(_, units)| units.qty).sum();
        returns.push(ReturnEvent { at, units, scrap: back.scrap });
        let items: UnitsList = places.iter().map(|(_, units)| *units).collect();
        self.bring_back(self.orders.at(slot).customer, back, &items, 0, fx);
        self.audit_order(slot, 1);
        Ok(units)
    }

    /// What comes back, each with its item's place in the order.
    fn check_return(&self, slot: u32, back: &Return<'_>) -> Result<Vec<(usize, Units)>, Refusal> {
        let order = self.orders.at(slot);
        let customer = self.customers.at(order.customer).id();
        if back.customer.is_some_and(|named| named != customer) {
            let (id, customer) = (Shown(back.order), Shown(customer));
            return Err(Refusal::Mismatch(format!("order {id} is of customer {customer}")));
        }
        if order.state() != OrderState::Completed {
            return Err(Refusal::order_is(order.state()));
        }
        let returned = self.returned(order);
        let by_sku: std::collections::BTreeMap<u32, (usize, u64)> = order
            .items()
            .enumerate()
            .map(|(i, u)| (u.sku, (i, u.qty - returned.get(i).copied().unwrap_or(0))))
            .collect();
        let mut places = Vec::with_capacity(back.items.len());
        for units in self.resolve(back.items)? {
            let place = by_sku.get(&units.sku).copied();
            let had = place.map_or(0, |(_, had)| had);
            if had < units.qty {
                let sku = Shown(&self.skus.at(units.sku).id);
                return Err(Refusal::BadState(format!("order has {had} of {sku} to return, not {}", units.qty)));
            }
            self.check_room(&units)?;
            places.extend(place.map(|(i, _)| (i, units)));
        }
        Ok(places)
    }

    fn check_room(&self, units: &Units) -> Result<(), Refusal> {
        checked_sum(self.skus.at(units.sku).on_hand, units.qty, "qty").map(drop)
    }

    /// The books know what a customer has of forgotten orders and holds, not of which: no more than that can come back,
    /// so that the units of orders that are remembered stay theirs.
    fn return_of_past(&mut self, now: Ms, back: &Return<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let (Some(customer), Some(_)) = (back.customer, back.reference) else {
            return Err(Refusal::Forgotten(back.order.into()));
        };
        let items = self.resolve(back.items)?;
        let slot = self.find_customer(customer);
        for units in &items {
            let has = slot.map_or(0, |s| past_of(self.customers.at(s), self.many.get(&s), units.sku));
            if has < units.qty {
                let (customer, sku) = (Shown(customer), Shown(&self.skus.at(units.sku).id));
                let text = format!("customer {customer} has {has} of {sku} from forgotten orders, not {}", units.qty);
                return Err(Refusal::BadState(text));
            }
            self.check_room(units)?;
        }
        self.touch(now, fx);
        for units in &items {
            self.skus.at_mut(units.sku).past -= units.qty;
        }
        self.bring_back(slot.unwrap_or(NIL), back, &items, 1, fx);
        Ok(items.iter().map(|units| units.qty).sum())
    }

    /// Moves the stock, and takes the units off the customer: `past` says whether they are part of what is forgotten.
    fn bring_back(&mut self, customer: u32, back: &Return<'_>, items: &UnitsList, past: i64, fx: &mut Effects) {
        let (kind, how): (_, fn(u64) -> Move) =
            if back.scrap { ("scrap", Move::Scrap) } else { ("return", Move::Return) };
        for units in items {
            self.move_stock(units.sku, how(units.qty), Why::new(kind, back.order), fx);
        }
        let tallied: Tallied =
            items.iter().map(|units| (units.sku, -(units.qty as i64), -past * units.qty as i64)).collect();
        self.change_customer(customer, &Change { refs: 0, units: &tallied });
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
