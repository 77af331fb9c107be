//! What is checked before something changes, by more than one family of calls.

use crate::base::units::Ms;
use crate::store::Store;
use crate::store::customers::Named;
use crate::terms::items::Units;
use crate::terms::refusal::{Refusal, checked_sum, refuse};
use crate::terms::settings::Window;
use crate::terms::states::HoldState;

impl Store {
    /// Whether the sale window is open.
    pub(crate) fn check_window(&self, now: Ms) -> Result<(), Refusal> {
        match self.settings.window(now) {
            Window::Open => Ok(()),
            Window::NotOpen => Err(refuse(|| Refusal::NotOpen { opens: self.settings.opens, now })),
            Window::Closed => Err(refuse(|| Refusal::Closed { closes: self.settings.closes, now })),
        }
    }

    /// Whether the customer may have the units on top of what it has, by the store's limit and the SKUs'.
    pub(crate) fn check_limits(&self, customer: &Named<'_>, items: &[Units]) -> Result<(), Refusal> {
        let slot = customer.slot;
        let mut want = 0u64;
        for item in items {
            want = checked_sum(want, item.qty, "qty")?;
            let limit = self.shelf.at(item.sku).limit;
            if limit > 0 {
                let has = slot.map_or(0, |slot| self.customers.units_of(slot, item.sku).units);
                if has.saturating_add(item.qty) > limit {
                    return Err(refuse(|| {
                        let sku = Some(self.shelf.at(item.sku).id.clone());
                        Refusal::Limit { customer: customer.id().into(), limit, has, sku }
                    }));
                }
            }
        }
        let has = slot.map_or(0, |slot| self.customers.total(slot));
        let limit = self.settings.limit;
        if limit > 0 && has.saturating_add(want) > limit {
            return Err(refuse(|| Refusal::Limit { customer: customer.id().into(), limit, has, sku: None }));
        }
        checked_sum(has, want, "qty").map(drop)
    }

    /// Whether the units of which too few are available may be waited for, by the SKUs' backlogs.
    pub(crate) fn check_backlog(&self, items: &[Units]) -> Result<(), Refusal> {
        for item in items {
            let sku = self.shelf.at(item.sku);
            let missing = item.qty - sku.takes(item.qty);
            if missing > 0 && missing > sku.backlog.saturating_sub(sku.waiting) {
                let (wanted, available) = (item.qty, sku.available());
                let (waiting, backlog) = (sku.waiting, sku.backlog);
                return Err(Refusal::Backlog { sku: sku.id.clone(), wanted, available, waiting, backlog });
            }
        }
        Ok(())
    }

    /// Whether the hold still has its units at `now`. One whose deadline passed has not, swept or not.
    pub(crate) fn check_live(&self, slot: u32, now: Ms) -> Result<(), Refusal> {
        let hold = self.holds.at(slot);
        match hold.state {
            HoldState::Live if hold.deadline > now => Ok(()),
            HoldState::Live | HoldState::Expired => {
                Err(refuse(|| Refusal::Expired { hold: hold.id.clone(), at: hold.deadline }))
            }
            state => Err(refuse(|| Refusal::BadState(format!("hold is {}", state.name())))),
        }
    }

    /// Whether the order has neither ended nor died.
    pub(crate) fn check_open(&self, slot: u32) -> Result<(), Refusal> {
        match self.orders.at(slot).state() {
            state if state.is_open() => Ok(()),
            state => Err(refuse(|| Refusal::order_is(state))),
        }
    }

    /// Whether workers have the order, or get it in its turn.
    pub(crate) fn check_for_workers(&self, slot: u32) -> Result<(), Refusal> {
        match self.orders.at(slot).state() {
            state if state.is_for_workers() => Ok(()),
            state => Err(refuse(|| Refusal::order_is(state))),
        }
    }

    /// Whether the token, if one is named, is that of the order's claim, or that it was completed with.
    pub(crate) fn check_token(&self, slot: u32, token: Option<u64>) -> Result<(), Refusal> {
        let Some(token) = token else { return Ok(()) };
        let order = self.orders.at(slot);
        let current = self.orders.stage(order).map_or(0, |stage| stage.token());
        if token == current && token != 0 {
            return Ok(());
        }
        Err(refuse(|| Refusal::Fenced { current, state: order.state() }))
    }
}
