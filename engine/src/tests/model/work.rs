//! The model's workers: claims, leases, retries, dead orders, groups, steps, late orders.

use std::collections::BTreeSet;

use super::super::command::{Command, Id, Picked, Reply};
use super::super::published::Published;
use super::{MAX, Model, Order, Outcome, next_entry};
use crate::calls::work::Failure;
use crate::record::history::HistoryEvent;
use crate::terms::effects::Event;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

/// An order that waits, and how it stands: due retries first, by when they were due; then by the place in the queue.
type Turn = (bool, (u64, u64), u64);

impl Model {
    /// Whether it is an open order's turn in its group: no open one of the group was queued before it.
    fn is_first(&self, order: &Order) -> bool {
        let listed = |other: &Order| other.state.is_open() && other.entry.is_some();
        let before = |other: &Order| listed(other) && other.group == order.group && other.queued < order.queued;
        order.group.is_none() || !self.orders.values().any(before)
    }

    /// How an order stands among those that wait, if it waits and it is its turn.
    fn turn(&self, order: &Order) -> Option<Turn> {
        let waits = match order.state {
            OrderState::Queued => true,
            OrderState::Retrying => order.due.is_none(),
            _ => false,
        };
        let turn = (order.retry.is_none(), order.retry.unwrap_or_default(), order.queued);
        (waits && self.is_first(order)).then_some(turn)
    }

    /// The order that is handed out next, of those that fit.
    fn next_of(&self, fits: impl Fn(&Id, &Order) -> bool) -> Option<Id> {
        let waiting = self.orders.iter().filter(|(id, order)| fits(id, order));
        let waiting = waiting.filter_map(|(id, order)| Some((self.turn(order)?, id)));
        waiting.min().map(|(_, id)| id.clone())
    }

    /// The order that is handed out next.
    pub fn next_order(&self) -> Option<Id> {
        self.next_of(|_, _| true)
    }

    fn next_picked(&self, pick: &Picked) -> Option<Id> {
        match pick {
            Picked::Any => self.next_order(),
            Picked::Lanes(lanes) => lanes.iter().find_map(|lane| self.next_of(|_, order| order.lane == *lane)),
            Picked::Order(wanted) => self.next_of(|id, _| id == wanted),
        }
    }

    /// Lanes, other than the default one, that an order which has not ended is in.
    pub fn lanes(&self) -> BTreeSet<Id> {
        let ended = |order: &Order| matches!(order.state, OrderState::Completed | OrderState::Cancelled);
        let orders = self.orders.values().filter(|order| !ended(order) && !order.lane.is_empty());
        orders.map(|order| order.lane.clone()).collect()
    }

    /// Whether an order can be placed in a lane.
    pub fn has_room(&self, lane: &Id) -> bool {
        lane.is_empty() || self.lanes().contains(lane) || self.lanes().len() < 64
    }

    /// What is to be seen of a lane; none if no order that has not ended is in it.
    pub fn lane(&self, lane: &Id) -> Option<(u64, u64, u64, u64)> {
        let in_lane = |states: &[OrderState]| {
            let orders = self.orders.values().filter(|order| order.lane == *lane);
            orders.filter(|order| states.contains(&order.state)).count() as u64
        };
        let ended = in_lane(&[OrderState::Completed, OrderState::Cancelled]);
        if in_lane(&OrderState::ALL) == ended {
            return None;
        }
        let next = self.next_of(|_, order| order.lane == *lane).map(|id| self.orders[&id].placed_at);
        let [queued, in_work, retrying] =
            [OrderState::Queued, OrderState::Claimed, OrderState::Retrying].map(|state| in_lane(&[state]));
        Some((queued, in_work, retrying, next.unwrap_or(0)))
    }

    pub(crate) fn claim(&mut self, worker: &Id, count: usize, pick: &Picked, lease_ms: Option<u64>) -> Outcome {
        self.check_lease(lease_ms.unwrap_or(self.setting("lease-ms")))?;
        if matches!(pick, Picked::Order(order) if !self.orders.contains_key(order)) {
            return Err(vec!["NOORDER"]);
        }
        let mut claimed = Vec::new();
        while claimed.len() < count && self.setting("paused") == 0 {
            let Some(id) = self.next_picked(pick) else { break };
            let token = self.hand_out(&id, worker, lease_ms);
            claimed.push((id, token));
        }
        Ok(Reply::Claimed(claimed))
    }

    fn check_lease(&self, lease_ms: u64) -> Result<u64, Vec<&'static str>> {
        let deadline = u128::from(self.now) + u128::from(lease_ms);
        if deadline > MAX {
            return Err(vec!["ERR"]);
        }
        Ok(deadline as u64)
    }

    fn hand_out(&mut self, id: &Id, worker: &Id, lease_ms: Option<u64>) -> u64 {
        self.changed = true;
        let at = self.now;
        let deadline = at + lease_ms.unwrap_or(self.setting("lease-ms"));
        let token = (at * 1024).max(self.last_token + 1);
        self.last_token = token;
        let due = Some((deadline, self.next_place()));
        let order = self.orders.get_mut(id).unwrap();
        order.state = OrderState::Claimed;
        order.token = token;
        order.worker = Some(worker.clone());
        order.lease_ms = lease_ms;
        order.due = due;
        let attempt = order.attempts + 1;
        self.happened(id, HistoryEvent::Claimed { at, worker, token, attempt });
        self.tally("claimed", 1);
        self.published.push(Published::Event(Event::OrderClaimed));
        token
    }

    pub(crate) fn happened(&mut self, id: &Id, event: HistoryEvent<'_>) {
        self.orders.get_mut(id).unwrap().history.push(format!("{event:?}"));
    }

    /// Workers that have orders in hand.
    pub fn workers(&self) -> usize {
        let workers = self.orders.values().filter_map(|order| order.worker.as_ref());
        workers.collect::<std::collections::BTreeSet<_>>().len()
    }

    pub(crate) fn check_token(&self, order: &Order, token: Option<u64>) -> Result<(), Vec<&'static str>> {
        match token {
            Some(token) if token != order.token || token == 0 => Err(vec!["FENCED"]),
            _ => Ok(()),
        }
    }

    /// An order that a worker comes with under a token: it has to be open, and the token that of its claim.
    fn claimed(&self, id: &Id, token: Option<u64>) -> Result<&Order, Vec<&'static str>> {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        self.check_token(order, token)?;
        if order.state.is_for_workers() { Ok(order) } else { Err(vec!["BADSTATE"]) }
    }

    pub(crate) fn renew(&mut self, id: &Id, token: u64, lease_ms: Option<u64>) -> Outcome {
        let order = self.claimed(id, Some(token))?;
        let (until, asked) = (order.due.unwrap().0, order.lease_ms);
        let deadline = self.check_lease(lease_ms.or(asked).unwrap_or(self.setting("lease-ms")))?;
        if deadline <= until {
            return Ok(Reply::Time(until));
        }
        self.changed = true;
        let due = Some((deadline, self.next_place()));
        self.orders.get_mut(id).unwrap().due = due;
        self.published.push(Published::Event(Event::OrderRenewed));
        Ok(Reply::Time(deadline))
    }

    pub(crate) fn yield_all(&mut self, worker: &Id) -> Outcome {
        let of_worker = self.orders.iter().filter(|(_, order)| order.worker.as_ref() == Some(worker));
        let mut list: Vec<_> = of_worker.map(|(id, order)| (order.token, id.clone())).collect();
        list.sort_unstable();
        for (_, id) in &list {
            self.give_up(id);
        }
        Ok(Reply::Yielded(list.len() as u64))
    }

    pub(crate) fn take_back(&mut self, id: &Id, token: u64) -> Outcome {
        self.claimed(id, Some(token))?;
        self.give_up(id);
        Ok(Reply::Nothing)
    }

    fn give_up(&mut self, id: &Id) {
        self.changed = true;
        let at = self.now;
        self.wait_again(id);
        self.happened(id, HistoryEvent::Yielded { at });
        self.published.push(Published::Event(Event::OrderYielded));
    }

    /// Takes an order out of whatever hands and deadline it is in.
    pub(crate) fn take_away(&mut self, id: &Id) {
        let order = self.orders.get_mut(id).unwrap();
        order.due = None;
        order.token = 0;
        order.worker = None;
        order.lease_ms = None;
    }

    /// Back to where it waited before it was claimed.
    fn wait_again(&mut self, id: &Id) {
        self.take_away(id);
        let order = self.orders.get_mut(id).unwrap();
        order.state = if order.retry.is_some() { OrderState::Retrying } else { OrderState::Queued };
    }

    pub(crate) fn end_lease(&mut self, id: &Id) -> u64 {
        let at = self.now;
        self.wait_again(id);
        let order = self.orders.get_mut(id).unwrap();
        order.attempts += 1;
        let attempt = order.attempts;
        self.happened(id, HistoryEvent::LeaseEnded { at, attempt });
        self.tally("lapsed", 1);
        self.published.push(Published::Event(Event::OrderLeaseEnded));
        if attempt < self.setting("attempts") {
            return 1;
        }
        self.die(id, b"lease ended");
        4 + self.orders[id].items.len() as u64 + self.serve_line()
    }

    pub(crate) fn retry_due(&mut self, id: &Id) -> u64 {
        let entry = next_entry(&mut self.last_retry, self.now);
        let order = self.orders.get_mut(id).unwrap();
        order.retry = order.due.take();
        order.side = Some(entry);
        self.tally("retried", 1);
        self.published.extend([Published::Retry(id.clone(), entry), Published::Event(Event::OrderRetry)]);
        4
    }

    pub(crate) fn fail(
        &mut self,
        command: &Command,
        id: &Id,
        token: Option<u64>,
        reason: &Id,
        after_ms: Option<u64>,
        fatal: bool,
    ) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        if let Some(outcome) = self.failed_before(order, command, token) {
            return outcome;
        }
        let attempt = self.claimed(id, token)?.attempts + 1;
        self.check_lease(after_ms.unwrap_or(0))?;
        self.changed = true;
        let dies = fatal || attempt >= self.setting("attempts");
        let due = if dies { 0 } else { self.retry_at(id, attempt, after_ms) };
        self.end_attempt(id, attempt, due, reason);
        let state = self.orders[id].state;
        let failure = Failure { state, attempt: attempt as u32, due };
        self.orders.get_mut(id).unwrap().failed = Some((command.clone(), failure));
        Ok(Reply::Failed(failure))
    }

    /// The first reply to a call that is made again: under its token, or without one as long as nothing else happened.
    fn failed_before(&self, order: &Order, command: &Command, token: Option<u64>) -> Option<Outcome> {
        let (known, failure) = order.failed.as_ref().filter(|_| order.state != OrderState::Cancelled)?;
        let Command::Fail { token: known_token, .. } = known else { unreachable!("{known:?} is no failure") };
        let since = order.state != failure.state || order.retry.is_some();
        match (token == *known_token, known == command) {
            (true, true) if token.is_some() || !since => Some(Ok(Reply::Failed(*failure))),
            (true, false) if token.is_some() => Some(Err(vec!["MISMATCH"])),
            _ => None,
        }
    }

    /// When a retry is due: the backoff doubles with each attempt up to the cap, and of that is waited half at least.
    /// How much, only the engine knows.
    fn retry_at(&self, id: &Id, attempt: u64, after_ms: Option<u64>) -> u64 {
        if let Some(after_ms) = after_ms {
            return self.now + after_ms;
        }
        let mut full = u128::from(self.setting("backoff-ms"));
        let cap = u128::from(self.setting("backoff-cap-ms"));
        for _ in 1..attempt {
            full = cap.min(full * 2);
        }
        let full = cap.min(full);
        let at = |wait: u128| MAX.min(u128::from(self.now) + wait) as u64;
        let bounds = at(full.div_ceil(2))..=at(full);
        match &self.replied {
            Some(Reply::Failed(failure)) if bounds.contains(&failure.due) => failure.due,
            replied => panic!("{id:?} is to be retried within {bounds:?}, and not {replied:?}"),
        }
    }

    fn end_attempt(&mut self, id: &Id, attempt: u64, due: u64, reason: &Id) {
        let at = self.now;
        self.take_away(id);
        self.leave_retry(id);
        self.orders.get_mut(id).unwrap().attempts = attempt;
        self.happened(id, HistoryEvent::Failed { at, attempt, due, reason });
        self.tally("failed", 1);
        self.published.push(Published::Event(Event::OrderFailed));
        if due == 0 {
            self.die(id, reason);
            self.serve_line();
            return;
        }
        let place = self.next_place();
        let order = self.orders.get_mut(id).unwrap();
        order.state = OrderState::Retrying;
        order.note = reason.clone();
        order.due = Some((due, place));
    }

    fn die(&mut self, id: &Id, reason: &[u8]) {
        let at = self.now;
        let items = self.orders[id].items.clone();
        let before = self.levels(items.iter().map(|item| item.sku.clone()));
        self.leave_streams(id);
        let (died, entry) = (self.next_place(), next_entry(&mut self.last_dead, at));
        let order = self.orders.get_mut(id).unwrap();
        order.state = OrderState::Dead;
        order.note = reason.to_vec();
        order.died = died;
        order.side = Some(entry);
        self.happened(id, HistoryEvent::Dead { at, reason });
        for (before, item) in before.iter().zip(&items) {
            self.moved(before, "dead", -(item.qty as i64), id, reason);
        }
        self.tally("dead", 1);
        self.published.extend([Published::Died(id.clone(), entry), Published::Event(Event::OrderDead)]);
        self.alert("order.dead", b"", id, None, reason);
    }

    pub(crate) fn leave_retry(&mut self, id: &Id) {
        let order = self.orders.get_mut(id).unwrap();
        if order.retry.take().is_some() {
            let entry = order.side.take().expect("a due retry has an entry");
            self.published.push(Published::Left(StreamKind::Retry, entry));
        }
    }

    /// An order that ends, or dies, has no entry among those that wait any more; a dead one not among the dead.
    pub(crate) fn leave_streams(&mut self, id: &Id) {
        self.leave_retry(id);
        let order = self.orders.get_mut(id).unwrap();
        let (kind, entry) = match order.state {
            OrderState::Dead => (StreamKind::Dead, order.side.take().expect("a dead order has an entry")),
            _ => match order.entry {
                Some(entry) => (StreamKind::Orders, entry),
                None => return,
            },
        };
        self.published.push(Published::Left(kind, entry));
    }

    /// Dead orders, as they died.
    pub fn dead(&self) -> Vec<Id> {
        let dead = self.orders.iter().filter(|(_, order)| order.state == OrderState::Dead);
        let mut list: Vec<_> = dead.map(|(id, order)| (order.died, id.clone())).collect();
        list.sort_unstable();
        list.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn redrive(&mut self, id: &Id) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        if order.state != OrderState::Dead {
            return if order.redriven && order.state != OrderState::Cancelled {
                Ok(Reply::Redriven(true))
            } else {
                Err(vec!["BADSTATE"])
            };
        }
        let items: Vec<_> = order.items.iter().map(|item| (item.sku.clone(), u128::from(item.qty))).collect();
        if !self.stock(&items).is_empty() || !self.limits(&order.customer, &items).is_empty() {
            return Ok(Reply::Redriven(false));
        }
        self.changed = true;
        let before = self.levels(items.iter().map(|(sku, _)| sku.clone()));
        self.leave_streams(id);
        self.queue_anew(id);
        for (before, (_, qty)) in before.iter().zip(&items) {
            self.moved(before, "redrive", *qty as i64, id, b"");
        }
        self.tally("redriven", 1);
        self.published.push(Published::Event(Event::OrderRedriven));
        Ok(Reply::Redriven(true))
    }

    fn queue_anew(&mut self, id: &Id) {
        let (at, queued) = (self.now, self.next_place());
        let entry = next_entry(&mut self.last_orders, at);
        let order = self.orders.get_mut(id).unwrap();
        order.first_entry = order.first_entry.or(order.entry);
        order.entry = Some(entry);
        order.queued = queued;
        order.state = OrderState::Queued;
        order.attempts = 0;
        order.failed = None;
        order.note = Vec::new();
        order.redriven = true;
        self.happened(id, HistoryEvent::Redriven { at });
        self.published.push(Published::Queued(id.clone(), entry));
    }

    pub(crate) fn advance(
        &mut self,
        command: &Command,
        id: &Id,
        step: &Id,
        from: Option<&Id>,
        token: Option<u64>,
    ) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        let stands = !matches!(order.state, OrderState::Cancelled | OrderState::Dead);
        if let Some((_, version, _)) = order.step.as_ref().filter(|(_, _, known)| stands && known == command) {
            return Ok(Reply::Version(*version));
        }
        self.claimed(id, token)?;
        let is_at = order.step.as_ref().map(|(step, _, _)| step);
        if from.is_some() && from != is_at {
            return Err(vec!["BADSTATE"]);
        }
        self.changed = true;
        let version = order.step.as_ref().map_or(0, |(_, version, _)| *version) + 1;
        let at = self.now;
        self.orders.get_mut(id).unwrap().step = Some((step.clone(), version, command.clone()));
        self.happened(id, HistoryEvent::Step { at, step, version });
        self.published.push(Published::Event(Event::OrderAdvanced));
        Ok(Reply::Version(version))
    }

    pub(crate) fn complete_and_claim(
        &mut self,
        id: &Id,
        token: Option<u64>,
        result: &Id,
        worker: &Id,
        lease_ms: Option<u64>,
    ) -> Outcome {
        self.check_lease(lease_ms.unwrap_or(self.setting("lease-ms")))?;
        let Reply::Entry(entry) = self.complete(id, token, result)? else { unreachable!("no entry") };
        if self.changed {
            let Reply::Claimed(claimed) = self.claim(worker, 1, &Picked::Any, lease_ms)? else {
                unreachable!("no claim")
            };
            let next = claimed.first().cloned();
            self.orders.get_mut(id).unwrap().next = next.clone();
            return Ok(Reply::Next(entry, next));
        }
        // The first reply, as long as the same worker has that order under that claim.
        let has = |(next, token): &&(Id, u64)| {
            let order = self.orders.get(next);
            order.is_some_and(|order| order.token == *token && order.worker.as_ref() == Some(worker))
        };
        Ok(Reply::Next(entry, self.orders[id].next.as_ref().filter(has).cloned()))
    }

    /// The open order that is late next, and from when on.
    pub(crate) fn next_late(&self) -> Option<(u64, Id)> {
        let sla_ms = self.setting("sla-ms");
        let open = self.orders.iter().filter(|(_, order)| order.state.is_open() && !order.late && sla_ms > 0);
        let first = open.min_by_key(|(_, order)| (order.placed_at, order.queued))?;
        Some((first.1.placed_at + sla_ms + 1, first.0.clone()))
    }

    pub(crate) fn mark_late(&mut self, id: &Id) -> u64 {
        self.orders.get_mut(id).unwrap().late = true;
        self.tally("late", 1);
        self.published.push(Published::Event(Event::OrderLate));
        self.alert("order.late", b"", id, None, b"");
        1
    }
}
