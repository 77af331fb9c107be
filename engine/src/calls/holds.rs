//! Holds: `INV.RESERVE`, `INV.EXTEND`, `INV.COMMIT`, `INV.RELEASE`, `INV.HOLD`, `INV.HOLDS`.

use std::collections::BTreeMap;

use crate::base::units::{Ms, NIL};
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::hold::{Hold, HoldItem, HoldItemView, HoldView};
use crate::record::reference::{Content, RefCommand};
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::items::{Item, Units, UnitsList, same_units};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, Shown, checked_sum, refuse};
use crate::terms::states::HoldState;

/// `INV.RESERVE`.
#[derive(Clone, Copy, Debug)]
pub struct Reserve<'a> {
    pub hold: &'a [u8],
    pub customer: Option<&'a [u8]>,
    /// How long the hold lasts; none: the store's `hold-ms`.
    pub ttl_ms: Option<Ms>,
    /// Whether the hold becomes exactly this, whatever it was before.
    pub replace: bool,
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

/// Units to take from an item of a hold.
struct Taken {
    /// Which item, counted from 0.
    at: usize,
    qty: u64,
}

/// How a hold ends.
struct Ending {
    state: HoldState,
    at: Ms,
    /// The fingerprint of the call that ends it.
    call: u128,
    forget_at: Ms,
}

impl Ending {
    fn end(&self, hold: &mut Hold) {
        hold.state = self.state;
        hold.ended_at = self.at;
        hold.end_call = self.call;
        hold.due.at = self.forget_at;
    }
}

impl Store {
    /// Sets units aside; replies when the hold expires.
    pub fn reserve(&mut self, now: Ms, reserve: &Reserve<'_>, fx: &mut Effects) -> Result<Ms, Refusal> {
        if let Some(slot) = self.holds.find(reserve.hold) {
            if reserve.replace {
                return self.replace_hold(slot, now, reserve, fx);
            }
            return self.reserved_before(slot, self.stamp(now), reserve);
        }
        let now = self.stamp(now);
        let items = self.shelf.resolve(reserve.items)?;
        self.check_window(now)?;
        self.check_hold_units(&items)?;
        let customer = reserve.customer.map(|id| self.customers.look_up(id));
        match &customer {
            Some(customer) => self.check_limits(customer, &items)?,
            None => drop(items.iter().try_fold(0, |sum, item| checked_sum(sum, item.qty, "qty"))?),
        }
        self.shelf.check_available(&items)?;
        let asked = checked_sum(now, reserve.ttl_ms.unwrap_or(self.settings.hold_ms), "TTL")?;
        let deadline = asked.min(self.latest_deadline(now));
        self.touch(now, fx);
        let changes: UnitChanges = items.iter().map(|item| UnitChange::more(*item)).collect();
        let customer = customer.map_or(NIL, |customer| self.customers.join(&customer, &changes));
        let mut hold = Hold::new(reserve.hold);
        hold.begin(customer, reserve.ttl_ms, self.agenda.key(deadline), now, &items);
        self.add_hold(hold);
        for item in &items {
            self.move_stock(item.sku, Move::Hold(item.qty), Why::new("reserve", reserve.hold), fx);
        }
        fx.event(Event::HoldReserved);
        Ok(deadline)
    }

    /// When a hold started, if it was neither replaced nor cut short by `hold-max-ms`.
    pub(crate) fn usual_start(&self, hold: &Hold) -> Ms {
        let ttl_ms = if hold.ttl_ms > 0 { hold.ttl_ms } else { self.settings.hold_ms };
        hold.first_deadline.saturating_sub(ttl_ms)
    }

    /// How long a hold can live at most that started then.
    pub(crate) fn latest_deadline(&self, started_at: Ms) -> Ms {
        match self.settings.hold_max_ms {
            0 => Ms::MAX,
            max => started_at.saturating_add(max),
        }
    }

    /// Whether one hold may have so many units.
    pub(crate) fn check_hold_units(&self, items: &[Units]) -> Result<(), Refusal> {
        let max = self.settings.hold_max_units;
        if max == 0 {
            return Ok(());
        }
        let units: u128 = items.iter().map(|item| u128::from(item.qty)).sum();
        if units <= u128::from(max) {
            return Ok(());
        }
        let problem = || format!("must add up to at most {max} units (hold-max-units), got {units}");
        Err(refuse(|| Refusal::argument("ITEMS", problem())))
    }

    /// The first reply, if the hold is live with the same content. Of one that ended, only its end matters: a caller
    /// that gets a time takes the units for held.
    fn reserved_before(&self, slot: u32, now: Ms, reserve: &Reserve<'_>) -> Result<Ms, Refusal> {
        self.check_live(slot, now)?;
        let hold = self.holds.at(slot);
        let other =
            |what: &str| Err(Refusal::Mismatch(format!("hold {} was reserved with another {what}", Shown(&hold.id))));
        let customer = (hold.customer != NIL).then(|| self.customers.id(hold.customer));
        if customer != reserve.customer {
            return other("CUSTOMER");
        }
        if hold.ttl_ms != reserve.ttl_ms.unwrap_or(0) {
            return other("TTL");
        }
        let items = hold.items.iter().map(|item| Units { sku: item.sku, qty: item.qty });
        if !self.shelf.resolve(reserve.items).is_ok_and(|list| same_units(items, list.into_iter())) {
            return other("list of items");
        }
        Ok(hold.first_deadline)
    }

    /// Moves a live hold's deadline to `ms` from now, never to an earlier time, nor past what `hold-max-ms` lets it
    /// live; replies it.
    pub fn extend(&mut self, now: Ms, id: &[u8], ms: Ms, fx: &mut Effects) -> Result<Ms, Refusal> {
        let now = self.stamp(now);
        let slot = self.holds.slot(id)?;
        self.check_live(slot, now)?;
        let hold = self.holds.at(slot);
        let deadline = checked_sum(now, ms, "ms")?.min(self.latest_deadline(hold.started_at));
        if deadline <= hold.deadline {
            return Ok(hold.deadline);
        }
        self.touch(now, fx);
        self.changing_hold(slot, |hold| {
            hold.due.at = deadline;
            hold.deadline = deadline;
        });
        fx.event(Event::HoldExtended);
        Ok(deadline)
    }

    /// Commits or releases a hold or a part of it; replies the units left in it.
    pub fn close_hold(&mut self, now: Ms, close: &Close<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let (by, content) = close.content();
        if let Some(reply) = self.remembered.replied(by, close.reference, &content)? {
            return Ok(reply);
        }
        let slot = self.holds.slot(close.hold)?;
        let ends_as = if close.commit { HoldState::Committed } else { HoldState::Released };
        let hold = self.holds.at(slot);
        if hold.state == ends_as && (close.items.is_none() || content.is(hold.end_call)) {
            return Ok(0);
        }
        self.check_live(slot, self.stamp(now))?;
        let taken = self.check_close(slot, close)?;
        self.touch(now, fx);
        let left = self.take_from_hold(slot, close, &taken, &self.ending(ends_as, content.call), fx);
        self.remember(by, close.reference, &content, left);
        fx.event(if close.commit { Event::HoldCommitted } else { Event::HoldReleased });
        self.serve_line(fx);
        Ok(left)
    }

    /// What is to be taken of which item.
    fn check_close(&self, slot: u32, close: &Close<'_>) -> Result<Vec<Taken>, Refusal> {
        let hold = self.holds.at(slot);
        let Some(items) = close.items else {
            return Ok(hold.items.iter().enumerate().map(|(at, item)| Taken { at, qty: item.left }).collect());
        };
        let by_sku: BTreeMap<u32, usize> = hold.items.iter().enumerate().map(|(at, item)| (item.sku, at)).collect();
        let mut taken = Vec::with_capacity(items.len());
        for wanted in self.shelf.resolve(items)? {
            let at = by_sku.get(&wanted.sku).copied();
            let left = at.map_or(0, |at| hold.items[at].left);
            if left < wanted.qty {
                let sku = Shown(&self.shelf.at(wanted.sku).id);
                return Err(Refusal::BadState(format!("hold has {left} of {sku} left, not {}", wanted.qty)));
            }
            taken.extend(at.map(|at| Taken { at, qty: wanted.qty }));
        }
        Ok(taken)
    }

    /// Takes units from a hold, which ends with the last of them; what is left in it.
    fn take_from_hold(
        &mut self,
        slot: u32,
        close: &Close<'_>,
        taken: &[Taken],
        ending: &Ending,
        fx: &mut Effects,
    ) -> u64 {
        let kind = if close.commit { "commit" } else { "release" };
        let (units, left) = self.changing_hold(slot, |hold| {
            let mut units = UnitsList::new();
            for Taken { at, qty } in taken.iter().filter(|taken| taken.qty > 0) {
                let item = &mut hold.items[*at];
                item.left -= qty;
                item.committed += if close.commit { *qty } else { 0 };
                units.push(Units { sku: item.sku, qty: *qty });
            }
            let left = hold.left();
            if left == 0 {
                ending.end(hold);
            }
            (units, left)
        });
        let mut changes = UnitChanges::new();
        for Units { sku, qty } in units {
            let how = if close.commit {
                self.counters.units_sold = self.counters.units_sold.saturating_add(qty);
                Move::Ship(qty)
            } else {
                changes.push(UnitChange::less(Units { sku, qty }));
                Move::Free(qty)
            };
            self.move_stock(sku, how, Why::new(kind, close.hold), fx);
        }
        if !changes.is_empty() {
            self.customers.change(self.holds.at(slot).customer, 0, &changes);
        }
        left
    }

    /// Gives up what a hold still has, for the customer, and ends it; the stock is the caller's to move.
    pub(crate) fn empty_hold(&mut self, slot: u32, state: HoldState) {
        let hold = self.holds.at(slot);
        let left = hold.items.iter().map(|item| Units { sku: item.sku, qty: item.left });
        let changes: UnitChanges = left.map(UnitChange::less).collect();
        self.customers.change(hold.customer, 0, &changes);
        let ending = self.ending(state, 0);
        self.changing_hold(slot, |hold| {
            hold.items.iter_mut().for_each(|item| item.left = 0);
            ending.end(hold);
        });
    }

    /// How a hold ends now, to be remembered for `keep-ms`.
    fn ending(&self, state: HoldState, call: u128) -> Ending {
        Ending { state, at: self.now, call, forget_at: self.forget_at() }
    }

    /// How many SKUs a hold has or had, live or ended; none if the store does not know it.
    pub fn hold_len(&self, id: &[u8]) -> Option<usize> {
        self.holds.find(id).map(|slot| self.holds.at(slot).items.len())
    }

    /// Everything known of a hold.
    pub fn hold(&self, id: &[u8]) -> Option<HoldView<'_>> {
        let hold = self.holds.at(self.holds.find(id)?);
        let view = |item: &HoldItem| {
            let sku = &*self.shelf.at(item.sku).id;
            HoldItemView { sku, qty: item.qty, left: item.left, committed: item.committed }
        };
        Some(HoldView {
            id: &hold.id,
            state: hold.state,
            customer: self.customers.id(hold.customer),
            deadline: hold.deadline,
            ended_at: hold.ended_at,
            left: hold.left(),
            items: hold.items.iter().map(view).collect(),
        })
    }

    /// Ids of live holds from a cursor on, and the next cursor, 0 at the end. Looks at `count` holds, however many fit.
    pub fn scan_holds(&self, cursor: u64, count: usize, customer: Option<&[u8]>) -> (u64, Vec<&[u8]>) {
        let known = customer.map(|id| self.customers.find(id));
        let fits = |hold: &Hold| hold.is_live() && known.is_none_or(|c| c == Some(hold.customer));
        self.holds.records().scan(cursor, count, |hold| fits(hold).then_some(&*hold.id))
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
