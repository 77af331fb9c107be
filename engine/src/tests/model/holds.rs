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
        let item = |(sku, qty): (Id, u128)| HoldItem { sku, qty: qty as u64, left: qty as u64, committed: 0 };
        let hold = Hold {
            place: self.next_place(),
            customer: customer.clone(),
            ttl_ms,
            items: items.into_iter().map(item).collect(),
            state: HoldState::Live,
            first_deadline: deadline as u64,
            deadline: deadline as u64,
            ended_at: 0,
            forget_at: 0,
            end: None,
        };
        let deltas: Vec<_> = hold.items.iter().map(|item| item.qty as i64).collect();
        self.holds.insert(id.clone(), hold);
        for (before, delta) in before.iter().zip(deltas) {
            self.moved(before, "reserve", delta, id, b"");
        }
        self.published.push(Published::Event(Event::HoldReserved));
        Ok(Reply::Time(deadline as u64))
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
