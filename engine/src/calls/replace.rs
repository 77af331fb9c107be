//! `INV.RESERVE … REPLACE`: a hold becomes exactly what the call says, whatever it was before. Its own units are
//! never in the way: only what it has more than before is taken, and only what it has less is given back.

use std::collections::BTreeMap;

use crate::base::units::{Ms, NIL};
use crate::calls::holds::Reserve;
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::hold::Hold;
use crate::store::Store;
use crate::store::customers::Named;
use crate::terms::effects::{Effects, Event};
use crate::terms::items::{Units, UnitsList, same_units};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, checked_sum, refuse};
use crate::terms::states::HoldState;

/// Units by the slot of their SKU.
type BySku = BTreeMap<u32, u64>;

/// What a hold becomes.
struct Replacement {
    items: UnitsList,
    started_at: Ms,
    deadline: Ms,
}

impl Store {
    /// Replaces a hold that is known; replies when the new one expires.
    #[cold]
    pub(crate) fn replace_hold(
        &mut self,
        slot: u32,
        now: Ms,
        reserve: &Reserve<'_>,
        fx: &mut Effects,
    ) -> Result<Ms, Refusal> {
        let now = self.stamp(now);
        let hold = self.holds.at(slot);
        if self.is_replaced(hold, now, reserve) {
            return Ok(hold.first_deadline);
        }
        if hold.state == HoldState::Ordered {
            return Err(refuse(|| Refusal::BadState(format!("hold is {}", hold.state.name()))));
        }
        let had: UnitsList = hold.items.iter().map(|item| Units { sku: item.sku, qty: item.left }).collect();
        let own: BySku = had.iter().map(|units| (units.sku, units.qty)).collect();
        let customer = reserve.customer.map(|id| self.customers.look_up(id));
        let new = self.check_replace(hold, now, reserve, customer.as_ref(), &own)?;
        self.touch(now, fx);
        let changes: UnitChanges = new.items.iter().map(|item| UnitChange::more(*item)).collect();
        let customer = customer.map_or(NIL, |customer| self.customers.join(&customer, &changes));
        self.forget_replaced(slot);
        let due = self.agenda.key(new.deadline);
        self.changing_hold(slot, |hold| {
            hold.begin(customer, reserve.ttl_ms, due, new.started_at, &new.items);
        });
        self.move_net(&had, own, &new.items, reserve.hold, fx);
        fx.event(Event::HoldReserved);
        self.serve_line(fx);
        Ok(new.deadline)
    }

    /// Whether the hold is live and exactly what the call asks for: then the call is made again.
    fn is_replaced(&self, hold: &Hold, now: Ms, reserve: &Reserve<'_>) -> bool {
        let is_whole = hold.is_live() && hold.deadline > now && hold.items.iter().all(|item| item.left == item.qty);
        let customer = (hold.customer != NIL).then(|| self.customers.id(hold.customer));
        let items = hold.items.iter().map(|item| Units { sku: item.sku, qty: item.qty });
        is_whole
            && customer == reserve.customer
            && hold.ttl_ms == reserve.ttl_ms.unwrap_or(0)
            && self.shelf.resolve(reserve.items).is_ok_and(|list| same_units(items, list.into_iter()))
    }

    /// The window, the limits and the stock, where the hold's own units are out of the way.
    fn check_replace(
        &self,
        hold: &Hold,
        now: Ms,
        reserve: &Reserve<'_>,
        customer: Option<&Named<'_>>,
        own: &BySku,
    ) -> Result<Replacement, Refusal> {
        let items = self.shelf.resolve(reserve.items)?;
        self.check_window(now)?;
        self.check_hold_units(&items)?;
        match customer {
            // Units of another customer's hold do not count for this one yet.
            Some(customer) if customer.slot == Some(hold.customer) => self.check_limits_with(customer, &items, own)?,
            Some(customer) => self.check_limits(customer, &items)?,
            None => drop(items.iter().try_fold(0, |sum, item| checked_sum(sum, item.qty, "qty"))?),
        }
        self.check_available_with(&items, own)?;
        // A live hold keeps its start, so that replacing it again and again is no way around hold-max-ms.
        let is_live = hold.is_live() && hold.deadline > now;
        let started_at = if is_live { hold.started_at } else { now };
        let asked = checked_sum(now, reserve.ttl_ms.unwrap_or(self.settings.hold_ms), "TTL")?;
        let latest = self.latest_deadline(started_at).max(if is_live { hold.deadline } else { 0 });
        Ok(Replacement { items, started_at, deadline: asked.min(latest) })
    }

    /// As [`Store::check_limits`], for units in the place of those that count for the customer already. Where it has
    /// no more than before, no limit is in the way, also one that was lowered since.
    fn check_limits_with(&self, customer: &Named<'_>, items: &[Units], own: &BySku) -> Result<(), Refusal> {
        let slot = customer.slot.unwrap_or(NIL);
        let over = |limit, has, sku: Option<u32>| {
            let sku = sku.map(|sku| self.shelf.at(sku).id.clone());
            Err(refuse(|| Refusal::Limit { customer: customer.id().into(), limit, has, sku }))
        };
        let mut want = 0u64;
        for item in items {
            want = checked_sum(want, item.qty, "qty")?;
            let (limit, before) = (self.shelf.at(item.sku).limit, own.get(&item.sku).copied().unwrap_or(0));
            let has = self.customers.units_of(slot, item.sku).units.saturating_sub(before);
            if limit > 0 && item.qty > before && has.saturating_add(item.qty) > limit {
                return over(limit, has, Some(item.sku));
            }
        }
        let before = own.values().sum();
        let has = self.customers.total(slot).saturating_sub(before);
        let limit = self.settings.limit;
        if limit > 0 && want > before && has.saturating_add(want) > limit {
            return over(limit, has, None);
        }
        checked_sum(has, want, "qty").map(drop)
    }

    /// Whether every SKU has the units available that are not the hold's own.
    fn check_available_with(&self, items: &[Units], own: &BySku) -> Result<(), Refusal> {
        for item in items {
            let before = own.get(&item.sku).copied().unwrap_or(0);
            let sku = self.shelf.at(item.sku);
            if item.qty > before && sku.available() < (item.qty - before) as i64 {
                let available = sku.available().max(0) + before as i64;
                return Err(refuse(|| Refusal::OutOfStock { sku: sku.id.clone(), wanted: item.qty, available }));
            }
        }
        Ok(())
    }

    /// The customer of the hold as it was has its units no more. What was committed of it stays sold, for the customer
    /// and in the books, as if the hold were forgotten.
    fn forget_replaced(&mut self, slot: u32) {
        let hold = self.holds.at(slot);
        let (customer, items) = (hold.customer, hold.items.clone());
        for item in items.iter().filter(|item| item.committed > 0) {
            self.shelf.change(item.sku, |sku| sku.past += item.committed);
        }
        let change = |sku, left: u64, committed: u64| UnitChange { sku, units: -(left as i64), past: committed as i64 };
        let changes: UnitChanges = items.iter().map(|item| change(item.sku, item.left, item.committed)).collect();
        self.customers.change(customer, -1, &changes);
    }

    /// Moves the stock by what a hold has more or less of each SKU than it had.
    fn move_net(&mut self, had: &[Units], mut own: BySku, items: &[Units], hold: &[u8], fx: &mut Effects) {
        for item in items {
            let before = own.remove(&item.sku).unwrap_or(0);
            if item.qty > before {
                self.move_stock(item.sku, Move::Hold(item.qty - before), Why::new("reserve", hold), fx);
            } else if item.qty < before {
                self.move_stock(item.sku, Move::Free(before - item.qty), Why::new("release", hold), fx);
            }
        }
        for item in had.iter().filter(|item| item.qty > 0 && own.contains_key(&item.sku)) {
            self.move_stock(item.sku, Move::Free(item.qty), Why::new("release", hold), fx);
        }
    }
}
