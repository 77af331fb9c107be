//! Holds: `INV.RESERVE`, `INV.EXTEND`, `INV.COMMIT`, `INV.RELEASE`, `INV.HOLD`, `INV.HOLDS`.

use crate::base::units::{Item, Ms, NIL, Units, UnitsList};
use crate::calls::due::Due;
use crate::calls::orders::Tallied;
use crate::record::customer::Change;
use crate::record::hold::{Hold, HoldItem, HoldView};
use crate::record::reference::{Content, RefCommand};
use crate::store::Store;
use crate::store::lookup::{checked_sum, same_units};
use crate::terms::effects::{Effects, Event};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::Refusal;
use crate::terms::refusal::Shown;
use crate::terms::states::HoldState;

/// `INV.RESERVE`.
#[derive(Clone, Copy, Debug)]
pub struct Reserve<'a> {
    pub hold: &'a [u8],
    pub customer: Option<&'a [u8]>,
    /// How long the hold lasts; none: the store's `hold-ms`.
    pub ttl_ms: Option<Ms>,
    pub items: &'a [Item<'a>],
}

/// `INV.COMMIT` and `INV.RELEASE`.
#[derive(Clone, Copy, Debug)]
pub struct Close<'a> {
    pub hold: &'a [u8],
    /// Commit takes the units out of on_hand, release gives them back.
    pub commit: bool,
    pub reference: Option<&'a [u8]>,
    /// All of the hold where none are named.
    pub items: Option<&'a [Item<'a>]>,
}

impl Store {
    /// Sets units aside; replies when the hold expires.
    pub fn reserve(&mut self, now: Ms, reserve: &Reserve<'_>, fx: &mut Effects) -> Result<Ms, Refusal> {
        if let Some(slot) = self.find_hold(reserve.hold) {
            return self.reserved_before(slot, self.stamp(now), reserve);
        }
        let now = self.stamp(now);
        let items = self.resolve(reserve.items)?;
        self.check_window(now)?;
        let known = reserve.customer.and_then(|id| self.find_customer(id));
        match reserve.customer {
            Some(customer) => self.check_limits(known, customer, &items)?,
            None => drop(items.iter().try_fold(0, |sum, item| checked_sum(sum, item.qty, "qty"))?),
        }
        self.check_stock(&items)?;
        let deadline = checked_sum(now, reserve.ttl_ms.unwrap_or(self.settings.hold_ms), "TTL")?;
        self.touch(now, fx);
        let customer = reserve.customer.map_or(NIL, |id| known.unwrap_or_else(|| self.new_customer(id)));
        self.new_hold(reserve, customer, deadline, &items);
        let tallied: Tallied = items.iter().map(|item| (item.sku, item.qty as i64, 0)).collect();
        self.change_customer(customer, &Change { refs: 1, units: &tallied });
        for item in &items {
            self.move_stock(item.sku, Move::Hold(item.qty), Why::new("reserve", reserve.hold), fx);
        }
        fx.event(Event::HoldReserved);
        Ok(deadline)
    }

    fn new_hold(&mut self, reserve: &Reserve<'_>, customer: u32, deadline: Ms, items: &UnitsList) {
        let mut hold = Hold::new(reserve.hold);
        hold.place = self.next_place();
        hold.customer = customer;
        hold.ttl_ms = reserve.ttl_ms.unwrap_or(0);
        hold.due = deadline;
        hold.first_deadline = deadline;
        hold.deadline = deadline;
        hold.items = items.iter().map(|u| HoldItem { sku: u.sku, qty: u.qty, left: u.qty, committed: 0 }).collect();
        let key = (deadline, hold.place);
        let slot = self.add_hold(hold);
        self.live_holds += 1;
        self.due.insert(key, Due::Hold(slot));
        self.audit_hold(slot, 1);
    }

    /// The first reply, if the hold is live with the same content. Of one that ended, only its end matters: whoever is
    /// answered with a time takes the units for held.
    fn reserved_before(&self, slot: u32, now: Ms, reserve: &Reserve<'_>) -> Result<Ms, Refusal> {
        self.check_live(slot, now)?;
        let hold = self.holds.at(slot);
        let other =
            |what: &str| Err(Refusal::Mismatch(format!("hold {} was reserved with another {what}", Shown(&hold.id))));
        let customer = (hold.customer != NIL).then(|| self.customers.at(hold.customer).id());
        if customer != reserve.customer {
            return other("CUSTOMER");
        }
        if hold.ttl_ms != reserve.ttl_ms.unwrap_or(0) {
            return other("TTL");
        }
        let items = hold.items.iter().map(|item| Units { sku: item.sku, qty: item.qty });
        if !self.resolve(reserve.items).is_ok_and(|list| same_units(items, list.into_iter())) {
            return other("list of items");
        }
        Ok(hold.first_deadline)
    }

    /// Whether the hold still has its units at `now`. One whose deadline passed has not, swept or not.
    pub(crate) fn check_live(&self, slot: u32, now: Ms) -> Result<(), Refusal> {
        let hold = self.holds.at(slot);
        match hold.state {
            HoldState::Live if hold.deadline > now => Ok(()),
            HoldState::Live | HoldState::Expired => Err(Refusal::Expired { hold: hold.id.clone(), at: hold.deadline }),
            state => Err(Refusal::BadState(format!("hold is {}", state.name()))),
        }
    }

    /// Moves a live hold's deadline to `ms` from now, never to an earlier time; replies it.
    pub fn extend(&mut self, now: Ms, id: &[u8], ms: Ms, fx: &mut Effects) -> Result<Ms, Refusal> {
        let now = self.stamp(now);
        let slot = self.hold_slot(id)?;
        self.check_live(slot, now)?;
        let deadline = checked_sum(now, ms, "ms")?;
        let hold = self.holds.at(slot);
        if deadline <= hold.deadline {
            return Ok(hold.deadline);
        }
        self.touch(now, fx);
        self.set_hold_due(slot, deadline);
        self.holds.at_mut(slot).deadline = deadline;
        fx.event(Event::HoldExtended);
        Ok(deadline)
    }

    fn set_hold_due(&mut self, slot: u32, due: Ms) {
        let hold = self.holds.at_mut(slot);
        self.due.remove(&(hold.due, hold.place));
        hold.due = due;
        self.due.insert((due, hold.place), Due::Hold(slot));
    }

    /// Commits or releases a hold or a part of it; replies the units left in it.
    pub fn close_hold(&mut self, now: Ms, close: &Close<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let (by, content) = close.content();
        if let Some(reply) = self.replied(close.reference, by, &content)? {
            return Ok(reply);
        }
        let slot = self.hold_slot(close.hold)?;
        let ends_as = if close.commit { HoldState::Committed } else { HoldState::Released };
        let hold = self.holds.at(slot);
        if hold.state == ends_as && (close.items.is_none() || content.is(hold.end_call)) {
            return Ok(0);
        }
        self.check_live(slot, self.stamp(now))?;
        let units = self.check_close(slot, close)?;
        self.touch(now, fx);
        self.audit_hold(slot, -1);
        self.take_from_hold(slot, close, &units, fx);
        let left = self.holds.at(slot).left();
        if left == 0 {
            self.end_hold(slot, ends_as, content.call);
        }
        self.audit_hold(slot, 1);
        self.remember(close.reference, by, &content, left);
        fx.event(if close.commit { Event::HoldCommitted } else { Event::HoldReleased });
        Ok(left)
    }

    /// The items to close, by their place in the hold.
    fn check_close(&self, slot: u32, close: &Close<'_>) -> Result<Vec<(usize, u64)>, Refusal> {
        let hold = self.holds.at(slot);
        let Some(lines) = close.items else {
            return Ok(hold.items.iter().enumerate().map(|(i, item)| (i, item.left)).collect());
        };
        let by_sku: std::collections::BTreeMap<u32, usize> =
            hold.items.iter().enumerate().map(|(i, item)| (item.sku, i)).collect();
        let mut units = Vec::with_capacity(lines.len());
        for wanted in self.resolve(lines)? {
            let place = by_sku.get(&wanted.sku).copied();
            let left = place.map_or(0, |i| hold.items[i].left);
            if left < wanted.qty {
                let sku = Shown(&self.skus.at(wanted.sku).id);
                return Err(Refusal::BadState(format!("hold has {left} of {sku} left, not {}", wanted.qty)));
            }
            units.extend(place.map(|i| (i, wanted.qty)));
        }
        Ok(units)
    }

    fn take_from_hold(&mut self, slot: u32, close: &Close<'_>, units: &[(usize, u64)], fx: &mut Effects) {
        let kind = if close.commit { "commit" } else { "release" };
        let mut tallied = Tallied::new();
        for (i, qty) in units.iter().copied().filter(|(_, qty)| *qty > 0) {
            let item = &mut self.holds.at_mut(slot).items[i];
            item.left -= qty;
            let sku = item.sku;
            let how = if close.commit {
                item.committed += qty;
                self.counters.units_sold = self.counters.units_sold.saturating_add(qty);
                Move::Ship(qty)
            } else {
                tallied.push((sku, -(qty as i64), 0));
                Move::Free(qty)
            };
            self.move_stock(sku, how, Why::new(kind, close.hold), fx);
        }
        self.change_customer(self.holds.at(slot).customer, &Change { refs: 0, units: &tallied });
    }

    /// Gives up what a hold still has, for the customer; the stock is the caller's to move.
    pub(crate) fn empty_hold(&mut self, slot: u32) {
        let hold = self.holds.at_mut(slot);
        let tallied: Tallied = hold.items.iter().map(|item| (item.sku, -(item.left as i64), 0)).collect();
        hold.items.iter_mut().for_each(|item| item.left = 0);
        let customer = hold.customer;
        self.change_customer(customer, &Change { refs: 0, units: &tallied });
    }

    /// Ends a hold that has no units left, to be remembered for `keep-ms`.
    pub(crate) fn end_hold(&mut self, slot: u32, state: HoldState, call: u128) {
        let (now, forget_at) = (self.now, self.forget_at());
        self.live_holds -= 1;
        let hold = self.holds.at_mut(slot);
        hold.state = state;
        hold.ended_at = now;
        hold.end_call = call;
        self.set_hold_due(slot, forget_at);
    }

    /// Whether the store knows the hold, live or ended.
    pub fn has_hold(&self, id: &[u8]) -> bool {
        self.find_hold(id).is_some()
    }

    /// Everything known of a hold.
    pub fn hold(&self, id: &[u8]) -> Option<HoldView<'_>> {
        let hold = self.holds.at(self.find_hold(id)?);
        let items = hold.items.iter().map(|i| (&*self.skus.at(i.sku).id, i.qty, i.left, i.committed)).collect();
        Some(HoldView {
            id: &hold.id,
            state: hold.state,
            customer: if hold.customer == NIL { b"" } else { self.customers.at(hold.customer).id() },
            deadline: hold.deadline,
            ended_at: hold.ended_at,
            left: hold.left(),
            items,
        })
    }

    /// Ids of live holds from a cursor on, and the next cursor, 0 at the end. Looks at `count` holds, however many fit.
    pub fn scan_holds(&self, cursor: u64, count: usize, customer: Option<&[u8]>) -> (u64, Vec<&[u8]>) {
        let known = customer.map(|id| self.find_customer(id));
        let fits = |hold: &&Hold| hold.is_live() && known.is_none_or(|c| c == Some(hold.customer));
        crate::calls::stock::scan(cursor, count, self.holds.end(), |slot| {
            self.holds.get(slot).filter(fits).map(|hold| &*hold.id)
        })
    }
}

impl Close<'_> {
    /// The command, and what it asks for.
    fn content(&self) -> (RefCommand, Content) {
        let (by, kind): (RefCommand, &[u8]) =
            if self.commit { (RefCommand::Commit, b"commit") } else { (RefCommand::Release, b"release") };
        (by, Content::with_items(&[kind, self.hold], self.items.unwrap_or_default()))
    }
}
