//! The model's holds.

use super::super::command::{Command, Id, Lines, Reply};
use super::super::published::Published;
use super::{Hold, HoldItem, MAX, Model, Outcome, Past, added_up};
use crate::terms::effects::Event;
use crate::terms::states::HoldState;

impl Model {
    pub(crate) fn reserve(&mut self, id: &Id, customer: &Option<Id>, ttl_ms: Option<u64>, lines: &Lines) -> Outcome {
        if let Some(hold) = self.holds.get(id) {
            if let Some(codes) = self.not_live(hold) {
                return Err(codes);
            }
            let items = hold.items.iter().map(|item| (item.sku.clone(), item.qty));
            let same = hold.customer == *customer && hold.ttl_ms == ttl_ms && added_up(lines) == items.collect();
            return if same { Ok(Reply::Time(hold.first_deadline)) } else { Err(vec!["MISMATCH"]) };
        }
        let items = self.merged(lines)?;
        let deadline = u128::from(self.now) + u128::from(ttl_ms.unwrap_or(self.setting("hold-ms")));
        let mut codes = self.window();
        codes.extend(self.too_big(&items));
        codes.extend(customer.iter().flat_map(|customer| self.limits(customer, &items)));
        codes.extend(self.stock(&items));
        if deadline > MAX || items.iter().map(|(_, qty)| qty).sum::<u128>() > MAX {
            codes.push("ERR");
        }
        if !codes.is_empty() {
            return Err(codes);
        }
        self.changed = true;
        let before = self.levels(items.iter().map(|(sku, _)| sku.clone()));
        let deadline = deadline.min(self.latest(self.now));
        let hold = self.new_hold(customer, ttl_ms, self.now, deadline as u64, items);
        let deltas: Vec<_> = hold.items.iter().map(|item| item.qty as i64).collect();
        self.holds.insert(id.clone(), hold);
        for (before, delta) in before.iter().zip(deltas) {
            self.moved(before, "reserve", delta, id, b"");
        }
        self.published.push(Published::Event(Event::HoldReserved));
        Ok(Reply::Time(deadline as u64))
    }

    fn new_hold(
        &mut self,
        customer: &Option<Id>,
        ttl_ms: Option<u64>,
        started_at: u64,
        deadline: u64,
        items: Vec<(Id, u128)>,
    ) -> Hold {
        let item = |(sku, qty): (Id, u128)| HoldItem { sku, qty: qty as u64, left: qty as u64, committed: 0 };
        Hold {
            place: self.next_place(),
            customer: customer.clone(),
            ttl_ms,
            items: items.into_iter().map(item).collect(),
            state: HoldState::Live,
            started_at,
            first_deadline: deadline,
            deadline,
            ended_at: 0,
            forget_at: 0,
            end: None,
        }
    }

    /// How long a hold can live that started then.
    fn latest(&self, started_at: u64) -> u128 {
        let max = u128::from(self.setting("hold-max-ms"));
        if max == 0 { u128::MAX } else { u128::from(started_at) + max }
    }

    fn too_big(&self, items: &[(Id, u128)]) -> Option<&'static str> {
        let max = u128::from(self.setting("hold-max-units"));
        (max > 0 && items.iter().map(|(_, qty)| qty).sum::<u128>() > max).then_some("ERR")
    }

    /// A hold becomes what the call says, whatever it was before.
    pub(crate) fn replace(&mut self, id: &Id, customer: &Option<Id>, ttl_ms: Option<u64>, lines: &Lines) -> Outcome {
        let old = self.holds[id].clone();
        let is_live = self.not_live(&old).is_none();
        let items = old.items.iter().map(|item| (item.sku.clone(), item.qty));
        let same = old.customer == *customer && old.ttl_ms == ttl_ms && added_up(lines) == items.collect();
        if is_live && same && old.items.iter().all(|item| item.left == item.qty) {
            return Ok(Reply::Time(old.first_deadline));
        }
        if old.state == HoldState::Ordered {
            return Err(vec!["BADSTATE"]);
        }
        let items = self.merged(lines)?;
        let deadline = u128::from(self.now) + u128::from(ttl_ms.unwrap_or(self.setting("hold-ms")));
        let codes = self.not_replaced(&old, customer, &items, deadline);
        if !codes.is_empty() {
            return Err(codes);
        }
        let started_at = if is_live { old.started_at } else { self.now };
        let latest = self.latest(started_at).max(if is_live { old.deadline.into() } else { 0 });
        let deadline = deadline.min(latest) as u64;
        self.put_in_place(id, customer, ttl_ms, &old, (started_at, deadline), items);
        self.serve_line();
        Ok(Reply::Time(deadline))
    }

    /// Why a hold may not become this. Its own units are in nobody's way, and with no more than before no limit is.
    fn not_replaced(
        &self,
        old: &Hold,
        customer: &Option<Id>,
        items: &[(Id, u128)],
        deadline: u128,
    ) -> Vec<&'static str> {
        let left = |sku: Option<&Id>| {
            let items = old.items.iter().filter(|item| sku.is_none_or(|sku| item.sku == *sku));
            items.map(|item| u128::from(item.left)).sum::<u128>()
        };
        let total: u128 = items.iter().map(|(_, qty)| qty).sum();
        let mut codes = self.window();
        codes.extend(self.too_big(items));
        let short = |(sku, qty): &&(Id, u128)| {
            let more = *qty as i128 - left(Some(sku)) as i128;
            more > 0 && more > i128::from(self.available(sku))
        };
        codes.extend(items.iter().filter(short).map(|_| "OUTOFSTOCK"));
        if let Some(id) = customer {
            let own = |sku: Option<&Id>| if old.customer == *customer { left(sku) } else { 0 };
            let has = |sku: Option<&Id>| u128::from(self.units(id, sku.map(|sku| &**sku))) - own(sku);
            let over = |limit: u64, sku: Option<&Id>, qty: u128| {
                limit > 0 && qty > own(sku) && has(sku) + qty > u128::from(limit)
            };
            let of_skus = items.iter().any(|(sku, qty)| over(self.skus[sku].limit, Some(sku), *qty));
            codes.extend((of_skus || over(self.setting("limit"), None, total)).then_some("LIMIT"));
            codes.extend((has(None) + total > MAX).then_some("ERR"));
        }
        codes.extend((deadline > MAX || total > MAX).then_some("ERR"));
        codes
    }

    fn put_in_place(
        &mut self,
        id: &Id,
        customer: &Option<Id>,
        ttl_ms: Option<u64>,
        old: &Hold,
        (started_at, deadline): (u64, u64),
        items: Vec<(Id, u128)>,
    ) {
        self.changed = true;
        let mut more: Vec<(Id, i64)> = items.iter().map(|(sku, qty)| (sku.clone(), *qty as i64)).collect();
        for item in &old.items {
            match more.iter_mut().find(|(sku, _)| *sku == item.sku) {
                Some((_, more)) => *more -= item.left as i64,
                None => more.push((item.sku.clone(), -(item.left as i64))),
            }
            let (sku, customer) = (item.sku.clone(), old.customer.clone());
            self.past.push(Past { sku, customer, units: item.committed });
        }
        more.retain(|(_, more)| *more != 0);
        let before = self.levels(more.iter().map(|(sku, _)| sku.clone()));
        let hold = self.new_hold(customer, ttl_ms, started_at, deadline, items);
        self.holds.insert(id.clone(), hold);
        for (before, (_, more)) in before.iter().zip(more) {
            self.moved(before, if more > 0 { "reserve" } else { "release" }, more, id, b"");
        }
        self.published.push(Published::Event(Event::HoldReserved));
    }

    /// Why a hold does not have its units any more.
    pub(crate) fn not_live(&self, hold: &Hold) -> Option<Vec<&'static str>> {
        match hold.state {
            HoldState::Live if hold.deadline > self.now => None,
            HoldState::Live | HoldState::Expired => Some(vec!["EXPIRED"]),
            _ => Some(vec!["BADSTATE"]),
        }
    }

    pub(crate) fn extend(&mut self, id: &Id, ms: u64) -> Outcome {
        let Some(hold) = self.holds.get(id) else { return Err(vec!["NOHOLD"]) };
        if let Some(codes) = self.not_live(hold) {
            return Err(codes);
        }
        let deadline = u128::from(self.now) + u128::from(ms);
        if deadline > MAX {
            return Err(vec!["ERR"]);
        }
        let deadline = deadline.min(self.latest(hold.started_at));
        if deadline as u64 <= hold.deadline {
            return Ok(Reply::Time(hold.deadline));
        }
        self.changed = true;
        self.holds.get_mut(id).unwrap().deadline = deadline as u64;
        self.published.push(Published::Event(Event::HoldExtended));
        Ok(Reply::Time(deadline as u64))
    }

    pub(crate) fn close(
        &mut self,
        command: &Command,
        id: &Id,
        commit: bool,
        reference: &Option<Id>,
        lines: Option<&Lines>,
    ) -> Outcome {
        if let Some(replied) = self.replied(reference, command) {
            return replied.map(Reply::Units);
        }
        let Some(hold) = self.holds.get(id) else { return Err(vec!["NOHOLD"]) };
        let ends_as = if commit { HoldState::Committed } else { HoldState::Released };
        let call = (commit, lines.map(added_up));
        if hold.state == ends_as && (lines.is_none() || hold.end.as_ref() == Some(&call)) {
            return Ok(Reply::Units(0));
        }
        if let Some(codes) = self.not_live(hold) {
            return Err(codes);
        }
        let all = || hold.items.iter().filter(|item| item.left > 0).map(|item| (item.sku.clone(), item.left.into()));
        let items = lines.map_or_else(|| Ok(all().collect()), |lines| self.merged(lines))?;
        let left = |sku: &Id| hold.items.iter().find(|item| item.sku == *sku).map_or(0, |item| item.left);
        if items.iter().any(|(sku, qty)| u128::from(left(sku)) < *qty) {
            return Err(vec!["BADSTATE"]);
        }
        self.changed = true;
        let before = self.levels(items.iter().map(|(sku, _)| sku.clone()));
        for (sku, qty) in &items {
            self.take_from_hold(id, sku, *qty as u64, commit);
        }
        for (before, (_, qty)) in before.iter().zip(&items) {
            self.moved(before, if commit { "commit" } else { "release" }, -(*qty as i64), id, b"");
        }
        let left = self.holds[id].items.iter().map(|item| item.left).sum();
        if left == 0 {
            self.end_hold(id, ends_as);
            self.holds.get_mut(id).unwrap().end = Some(call);
        }
        self.remember(reference, command, left);
        self.published.push(Published::Event(if commit { Event::HoldCommitted } else { Event::HoldReleased }));
        self.serve_line();
        Ok(Reply::Units(left))
    }

    fn take_from_hold(&mut self, id: &Id, sku: &Id, qty: u64, commit: bool) {
        let hold = self.holds.get_mut(id).unwrap();
        let item = hold.items.iter_mut().find(|item| item.sku == *sku).unwrap();
        item.left -= qty;
        if commit {
            item.committed += qty;
            let books = self.skus.get_mut(sku).unwrap();
            books.on_hand = books.on_hand.saturating_sub(qty);
            self.tally("units-sold", qty);
        }
    }

    pub(crate) fn end_hold(&mut self, id: &Id, state: HoldState) {
        let (now, forget_at) = (self.now, self.forget_at());
        let hold = self.holds.get_mut(id).unwrap();
        hold.items.iter_mut().for_each(|item| item.left = 0);
        hold.state = state;
        hold.ended_at = now;
        hold.forget_at = forget_at;
    }

    /// What a live hold gives back; the work it is, in records and items.
    pub(crate) fn expire(&mut self, id: &Id) -> u64 {
        let items = self.holds[id].items.clone();
        let units: Vec<_> = items.iter().filter(|item| item.left > 0).map(|item| (&item.sku, item.left)).collect();
        let before = self.levels(units.iter().map(|(sku, _)| (*sku).clone()));
        self.end_hold(id, HoldState::Expired);
        for (before, (_, qty)) in before.iter().zip(units) {
            self.moved(before, "expire", -(qty as i64), id, b"");
        }
        self.tally("expired", 1);
        self.published.push(Published::Event(Event::HoldExpired));
        1 + items.len() as u64 + self.serve_line()
    }

    pub(crate) fn forget_hold(&mut self, id: &Id) -> u64 {
        let hold = self.holds.remove(id).unwrap();
        for item in &hold.items {
            let customer = hold.customer.clone();
            self.past.push(Past { sku: item.sku.clone(), customer, units: item.committed });
        }
        1 + hold.items.len() as u64
    }
}
