//! Orders at work: `ORDER.CLAIM`, `ORDER.RENEW`, `ORDER.YIELD`, `ORDER.FAIL`, and what happens when a lease ends or a
//! retry is due.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::units::{MAX_QUANTITY, Ms};
use crate::calls::due::Due;
use crate::calls::orders::{Complete, Tallied};
use crate::record::customer::Change;
use crate::record::history::HistoryEvent;
use crate::record::order::Failed;
use crate::record::reference::fingerprint;
use crate::store::Store;
use crate::store::lookup::checked_sum;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::refusal::Refusal;
use crate::terms::refusal::Shown;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// The most orders one ORDER.CLAIM hands out: at about a microsecond each, a millisecond.
pub const CLAIM_MAX: usize = 1_000;

/// One ORDER.CLAIM hands out no further order once those it has carry so many bytes of ids, items and data: 4 MiB.
const CLAIM_BYTES: usize = 4 << 20;

/// The most orders one ORDER.YIELD gives back, the first claimed first: a few milliseconds.
pub const YIELD_MAX: usize = 10_000;

/// What an entry that is written counts in a budget of due work, beside one for the record: it takes as long as so many.
pub(crate) const ENTRY_WEIGHT: u64 = 3;

/// Tokens a millisecond of the clock stands for: a token is at least the clock times this.
const TOKENS_A_MS: u64 = 1024;

/// The reason of an order that died of the end of its last lease.
const LEASE_ENDED: &[u8] = b"lease ended";

/// `ORDER.CLAIM`.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub worker: &'a [u8],
    /// At most so many orders; more than [`CLAIM_MAX`] are never handed out at once.
    pub count: usize,
    /// The store's `lease-ms` where none is named.
    pub lease_ms: Option<Ms>,
}

/// `ORDER.FAIL`.
#[derive(Clone, Copy, Debug)]
pub struct Fail<'a> {
    pub order: &'a [u8],
    pub token: Option<u64>,
    pub reason: &'a [u8],
    /// When the retry is due, from now on, instead of the backoff.
    pub after_ms: Option<Ms>,
    /// Whether there is no use in another attempt.
    pub fatal: bool,
}

/// What ORDER.FAIL replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Retrying or dead.
    pub state: OrderState,
    /// The attempt that failed; 1 is the first.
    pub attempt: u32,
    /// When the retry is due; 0: the order is dead.
    pub due: Ms,
}

impl Store {
    /// Hands orders to a worker; their slots, as they are handed out. None while the store is paused.
    pub fn claim(&mut self, now: Ms, claim: &Claim<'_>, fx: &mut Effects) -> Result<Vec<u32>, Refusal> {
        self.check_claim(now, claim)?;
        let (mut slots, mut bytes) = (Vec::new(), 0);
        while slots.len() < claim.count.min(CLAIM_MAX) && bytes < CLAIM_BYTES && self.has_work() {
            let Some(slot) = self.next_order() else { break };
            if slots.is_empty() {
                self.touch(now, fx);
            }
            self.hand_out(slot, claim, fx);
            bytes += self.orders.at(slot).packed_bytes();
            slots.push(slot);
        }
        Ok(slots)
    }

    /// Whether a claim can be made at all: afterwards it cannot fail.
    fn check_claim(&self, now: Ms, claim: &Claim<'_>) -> Result<(), Refusal> {
        checked_sum(self.stamp(now), claim.lease_ms.unwrap_or(self.settings.lease_ms), "LEASE")?;
        checked_sum(self.last_token, CLAIM_MAX as u64, "token").map(drop)
    }

    fn hand_out(&mut self, slot: u32, claim: &Claim<'_>, fx: &mut Effects) {
        self.audit_order(slot, -1);
        self.unseat(slot);
        self.age(slot);
        self.set_order_state(slot, OrderState::Claimed);
        let token = self.next_token();
        let worker = self.worker_or_new(claim.worker);
        self.workers.at_mut(worker).claims.insert(token, slot);
        let now = self.now;
        let deadline = now.saturating_add(claim.lease_ms.unwrap_or(self.settings.lease_ms)).min(MAX_QUANTITY);
        let extra = self.extra_mut(slot);
        extra.token = token;
        extra.worker = Some(worker);
        extra.lease_ms = claim.lease_ms.unwrap_or(0);
        let attempt = u64::from(extra.attempts) + 1;
        extra.history.push(HistoryEvent::Claimed { at: now, worker: claim.worker, token, attempt });
        self.set_order_due(slot, deadline);
        self.audit_order(slot, 1);
        self.counters.claimed = self.counters.claimed.saturating_add(1);
        fx.event(Event::OrderClaimed);
    }

    /// The larger of the last and 1 and of the clock: it grows also where the last ones were lost with a server.
    fn next_token(&mut self) -> u64 {
        let clock = self.now.min(MAX_QUANTITY / TOKENS_A_MS / 2) * TOKENS_A_MS;
        self.last_token = clock.max(self.last_token + 1);
        self.last_token
    }

    /// Gives an order a new deadline, and a new number among all that is due.
    pub(crate) fn set_order_due(&mut self, slot: u32, at: Ms) {
        let place = self.next_place();
        let extra = self.extra_mut(slot);
        extra.due_at = at;
        extra.due_place = place;
        self.due.insert((at, place), Due::Order(slot));
    }

    /// Takes an order's deadline away, if it has one.
    fn clear_order_due(&mut self, slot: u32) {
        let extra = self.extra_mut(slot);
        let key = (extra.due_at, extra.due_place);
        if key.0 != 0 {
            (extra.due_at, extra.due_place) = (0, 0);
            self.due.remove(&key);
        }
    }

    /// Ends the claim of a worker on an order, if there is one. Where the order goes is the caller's to say.
    fn end_claim(&mut self, slot: u32) {
        let extra = self.extra_mut(slot);
        let token = std::mem::take(&mut extra.token);
        if let Some(worker) = extra.worker.take() {
            extra.lease_ms = 0;
            self.take_claim(worker, token);
        }
    }

    /// Takes an order from wherever it is on its way: a worker's hands, a line, a deadline.
    fn take_away(&mut self, slot: u32) {
        self.unseat(slot);
        if self.orders.at(slot).extra != crate::base::units::NIL {
            self.clear_order_due(slot);
            self.end_claim(slot);
        }
    }

    /// Takes an order that ends, or dies, out of everything it is in, its entries included.
    pub(crate) fn take_off(&mut self, slot: u32, fx: &mut Effects) {
        self.leave_queue(slot);
        self.take_away(slot);
        self.leave_retry(slot, fx);
        fx.push(Effect::Left { kind: StreamKind::Orders, id: self.orders.at(slot).entry() });
    }

    /// Takes the entry of a retry that is over out of `…:retry`.
    fn leave_retry(&mut self, slot: u32, fx: &mut Effects) {
        if self.extra(self.orders.at(slot)).is_none_or(|extra| extra.retry.is_none()) {
            return;
        }
        let extra = self.extra_mut(slot);
        extra.retry = None;
        let id = std::mem::take(&mut extra.side);
        self.retry_entries -= 1;
        fx.push(Effect::Left { kind: StreamKind::Retry, id });
    }

    /// Whether the token, if there is one, is that of the order's claim, or that it was completed with.
    pub(crate) fn check_token(&self, slot: u32, token: Option<u64>) -> Result<(), Refusal> {
        let Some(token) = token else { return Ok(()) };
        let order = self.orders.at(slot);
        let current = self.extra(order).map_or(0, |extra| extra.token);
        if token == current && token != 0 {
            return Ok(());
        }
        Err(Refusal::Fenced { current, state: order.state() })
    }

    pub(crate) fn check_open(&self, slot: u32) -> Result<(), Refusal> {
        match self.orders.at(slot).state() {
            state if state.is_open() => Ok(()),
            state => Err(Refusal::order_is(state)),
        }
    }

    /// Makes the lease of a claim longer, never shorter; replies its new deadline.
    pub fn renew(
        &mut self,
        now: Ms,
        id: &[u8],
        token: u64,
        lease_ms: Option<Ms>,
        fx: &mut Effects,
    ) -> Result<Ms, Refusal> {
        let now = self.stamp(now);
        let slot = self.order_slot(id)?;
        self.check_token(slot, Some(token))?;
        self.check_open(slot)?;
        let asked = self.extra(self.orders.at(slot)).map_or((0, 0), |extra| (extra.lease_ms, extra.due_at));
        let lease_ms = lease_ms.unwrap_or(if asked.0 > 0 { asked.0 } else { self.settings.lease_ms });
        let deadline = checked_sum(now, lease_ms, "LEASE")?;
        if deadline <= asked.1 {
            return Ok(asked.1);
        }
        self.touch(now, fx);
        self.clear_order_due(slot);
        self.set_order_due(slot, deadline);
        fx.event(Event::OrderRenewed);
        Ok(deadline)
    }

    /// Gives a worker's orders back to their old places, uncounted as attempts; replies how many: all it has, but not
    /// more than [`YIELD_MAX`].
    pub fn yield_all(&mut self, now: Ms, worker: &[u8], fx: &mut Effects) -> u64 {
        let Some(worker) = self.find_worker(worker) else { return 0 };
        let slots: Vec<u32> = self.workers.at(worker).claims.values().copied().take(YIELD_MAX).collect();
        self.touch(now, fx);
        slots.iter().for_each(|slot| self.hand_back(*slot, fx));
        slots.len() as u64
    }

    /// Gives back the one order that was handed out under a token, if it still is: its worker never got to know.
    pub fn take_back(&mut self, now: Ms, id: &[u8], token: u64, fx: &mut Effects) -> Result<(), Refusal> {
        let slot = self.order_slot(id)?;
        self.check_token(slot, Some(token))?;
        self.check_open(slot)?;
        self.touch(now, fx);
        self.hand_back(slot, fx);
        Ok(())
    }

    /// Takes a claimed order out of its worker's hands, uncounted.
    fn hand_back(&mut self, slot: u32, fx: &mut Effects) {
        self.audit_order(slot, -1);
        self.take_away(slot);
        let at = self.now;
        self.extra_mut(slot).history.push(HistoryEvent::Yielded { at });
        self.give_back(slot);
        self.audit_order(slot, 1);
        fx.event(Event::OrderYielded);
    }

    /// Puts an order that is in nobody's hands any more back to its old place.
    fn give_back(&mut self, slot: u32) {
        let retries = self.extra(self.orders.at(slot)).is_some_and(|extra| extra.retry.is_some());
        self.set_order_state(slot, if retries { OrderState::Retrying } else { OrderState::Queued });
        self.offer(slot);
    }

    /// The lease of an order ended: that was an attempt. Says how many records and items it worked on.
    pub(crate) fn end_lease(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        self.audit_order(slot, -1);
        self.take_away(slot);
        let at = self.now;
        let extra = self.extra_mut(slot);
        extra.attempts = extra.attempts.saturating_add(1);
        let attempts = u64::from(extra.attempts);
        extra.history.push(HistoryEvent::LeaseEnded { at, attempt: attempts });
        self.counters.lapsed = self.counters.lapsed.saturating_add(1);
        fx.event(Event::OrderLeaseEnded);
        let spent = if attempts >= self.settings.attempts {
            self.die(slot, LEASE_ENDED, fx)
        } else {
            self.give_back(slot);
            1
        };
        self.audit_order(slot, 1);
        spent
    }

    /// The backoff of an order is over: workers get it before all that is not a due retry.
    pub(crate) fn retry_due(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        self.audit_order(slot, -1);
        let id = self.last.next(StreamKind::Retry, self.now);
        let extra = self.extra_mut(slot);
        extra.retry = Some((extra.due_at, extra.due_place));
        (extra.due_at, extra.due_place) = (0, 0);
        extra.side = id;
        self.retry_entries += 1;
        self.counters.retried = self.counters.retried.saturating_add(1);
        self.offer(slot);
        self.audit_order(slot, 1);
        fx.push(Effect::Retry { order: slot, id });
        fx.event(Event::OrderRetry);
        1 + ENTRY_WEIGHT
    }

    /// An attempt failed: the order is retried later, or dead.
    pub fn fail(&mut self, now: Ms, fail: &Fail<'_>, fx: &mut Effects) -> Result<Failure, Refusal> {
        let slot = self.order_slot(fail.order)?;
        let call = fail.fingerprint();
        if let Some(failure) = self.failed_before(slot, fail, call)? {
            return Ok(failure);
        }
        self.check_token(slot, fail.token)?;
        self.check_open(slot)?;
        checked_sum(self.stamp(now), fail.after_ms.unwrap_or(0), "AFTER")?;
        self.touch(now, fx);
        self.audit_order(slot, -1);
        let failure = self.end_attempt(slot, fail, fx);
        self.audit_order(slot, 1);
        let (token, attempt, due) = (fail.token.unwrap_or(0), failure.attempt, failure.due);
        self.extra_mut(slot).failed = Some(Box::new(Failed { token, call, attempt, due }));
        Ok(failure)
    }

    fn end_attempt(&mut self, slot: u32, fail: &Fail<'_>, fx: &mut Effects) -> Failure {
        self.take_away(slot);
        self.age(slot);
        self.leave_retry(slot, fx);
        let attempts = self.settings.attempts;
        let extra = self.extra_mut(slot);
        extra.attempts = extra.attempts.saturating_add(1);
        let attempt = extra.attempts;
        let dies = fail.fatal || u64::from(attempt) >= attempts;
        let wait_ms = fail.after_ms.unwrap_or_else(|| self.backoff_ms(fail.order, attempt));
        let (at, due) = (self.now, if dies { 0 } else { self.now.saturating_add(wait_ms).min(MAX_QUANTITY) });
        let event = HistoryEvent::Failed { at, attempt: u64::from(attempt), due, reason: fail.reason };
        self.extra_mut(slot).history.push(event);
        self.counters.failed = self.counters.failed.saturating_add(1);
        fx.event(Event::OrderFailed);
        let state = if dies {
            self.die(slot, fail.reason, fx);
            OrderState::Dead
        } else {
            self.extra_mut(slot).note = fail.reason.into();
            self.set_order_state(slot, OrderState::Retrying);
            self.set_order_due(slot, due);
            OrderState::Retrying
        };
        Failure { state, attempt, due }
    }

    /// How long an order waits after a failed attempt: `backoff-ms`, doubled with each, up to the cap; of that a part
    /// between half and all, which its id and the attempt decide, so that orders that failed together come back apart.
    fn backoff_ms(&self, id: &[u8], attempt: u32) -> Ms {
        let doublings = attempt.saturating_sub(1).min(63);
        let full = u128::from(self.settings.backoff_ms) << doublings;
        let full = full.min(u128::from(self.settings.backoff_cap_ms)) as u64;
        let jitter = xxh3_64(&[id, &attempt.to_le_bytes()[..]].concat()) % (full / 2 + 1);
        (full - jitter).max(1)
    }

    /// The first reply, where this is the call that failed the order last: under the same token, or without one while
    /// nothing has happened to the order since.
    fn failed_before(&self, slot: u32, fail: &Fail<'_>, call: u128) -> Result<Option<Failure>, Refusal> {
        let order = self.orders.at(slot);
        let Some(extra) = self.extra(order) else { return Ok(None) };
        let Some(failed) = &extra.failed else { return Ok(None) };
        let state = if failed.due == 0 { OrderState::Dead } else { OrderState::Retrying };
        let failure = Failure { state, attempt: failed.attempt, due: failed.due };
        // There is no retry of an order that was cancelled since: the call is judged as any other.
        if order.state() == OrderState::Cancelled {
            return Ok(None);
        }
        if let Some(token) = fail.token {
            return match (failed.token == token && token != 0, failed.call == call) {
                (true, true) => Ok(Some(failure)),
                (true, false) => {
                    let id = Shown(fail.order);
                    Err(Refusal::Mismatch(format!(
                        "order {id} failed under token {token} with another REASON, AFTER or FATAL"
                    )))
                }
                _ => Ok(None),
            };
        }
        let since = order.state() != state || extra.retry.is_some();
        Ok(Some(failure).filter(|_| failed.token == 0 && failed.call == call && !since))
    }

    /// Counts an order's units for its customer, or no longer.
    pub(crate) fn tally_items(&mut self, slot: u32, sign: i64) {
        let order = self.orders.at(slot);
        let tallied: Tallied = order.items().map(|item| (item.sku, sign * item.qty as i64, 0)).collect();
        self.change_customer(order.customer, &Change { refs: 0, units: &tallied });
    }

    /// Completes an order and hands the next one to the same worker: the id of the entry in `…:complete`, and the slot of
    /// the next order. The same call again gives the same order, while the worker still has it under that claim.
    pub fn complete_and_claim(
        &mut self,
        now: Ms,
        complete: &Complete<'_>,
        claim: &Claim<'_>,
        fx: &mut Effects,
    ) -> Result<(EntryId, Option<u32>), Refusal> {
        self.check_claim(now, claim)?;
        let slot = self.order_slot(complete.order)?;
        let before = self.orders.at(slot).state() == OrderState::Completed;
        let id = self.complete(now, complete, fx)?;
        if before {
            return Ok((id, self.handed_out_with(slot, claim.worker)));
        }
        let next = self.claim(now, claim, fx)?.first().copied();
        if let Some(token) = next.and_then(|next| self.extra(self.orders.at(next))).map(|extra| extra.token) {
            self.extra_mut(slot).next_token = token;
        }
        Ok((id, next))
    }

    fn handed_out_with(&self, slot: u32, worker: &[u8]) -> Option<u32> {
        let token = self.extra(self.orders.at(slot))?.next_token;
        self.workers.at(self.find_worker(worker)?).claims.get(&token).copied()
    }
}

/// An order as it is handed to a worker. Borrowed from the store.
#[derive(Debug)]
pub struct ClaimView<'a> {
    pub order: &'a [u8],
    pub token: u64,
    /// The attempt this is; 1 is the first.
    pub attempt: u64,
    pub customer: &'a [u8],
    /// SKU, units.
    pub items: SmallVec<[(&'a [u8], u64); 4]>,
    /// JSON, or empty.
    pub data: &'a [u8],
    pub placed_at: Ms,
    /// When its lease ends.
    pub deadline: Ms,
}

impl Store {
    /// The claimed order in a slot, as its worker sees it.
    pub fn claimed(&self, slot: u32) -> ClaimView<'_> {
        let order = self.orders.at(slot);
        let (items, data) = order.content();
        let work = self.extra(order).map(|extra| (extra.token, u64::from(extra.attempts) + 1, extra.due_at));
        let (token, attempt, deadline) = work.unwrap_or_default();
        ClaimView {
            order: order.id(),
            token,
            attempt,
            customer: self.customers.at(order.customer).id(),
            items: items.map(|item| (&*self.skus.at(item.sku).id, item.qty)).collect(),
            data,
            placed_at: self.placed_at(order),
            deadline,
        }
    }
}

impl Fail<'_> {
    fn fingerprint(&self) -> u128 {
        let after = self.after_ms.map_or([0xff; 8], u64::to_le_bytes);
        fingerprint([b"fail", self.reason, &after, &[u8::from(self.fatal)]])
    }
}
