//! Orders at work: `ORDER.CLAIM`, `ORDER.RENEW`, `ORDER.YIELD`, `ORDER.FAIL`, and what happens when a lease expires or
//! a retry is due.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::table::Keyed;
use crate::base::units::{MAX_QUANTITY, Ms};
use crate::calls::orders::Complete;
use crate::record::history::HistoryEvent;
use crate::record::order::{Claimed, Extra, Failed, Retry, Stage};
use crate::record::reference::fingerprint;
use crate::store::Store;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::items::Item;
use crate::terms::refusal::{Refusal, Shown, checked_sum};
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// The most orders one ORDER.CLAIM gives out: at about a microsecond each, a millisecond.
pub const CLAIM_MAX: usize = 1_000;

/// Bytes of ids, items and data after which one ORDER.CLAIM gives out no further order: 4 MiB.
const CLAIM_BYTES: usize = 4 << 20;

/// The most orders one ORDER.YIELD gives back, the first claimed first: a few milliseconds.
pub const YIELD_MAX: usize = 10_000;

/// What an entry that is written counts in a budget of due work, next to 1 for the record: it takes as long as 3
/// records.
pub(crate) const ENTRY_WEIGHT: u64 = 3;

/// The reason of an order that died of the end of its last lease.
const LEASE_EXPIRED: &[u8] = b"lease ended";

/// The slots of orders that are handed out: a few of them need no allocation.
pub type Slots = SmallVec<[u32; 8]>;

/// Which orders a claim can get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick<'a> {
    /// The next of all lanes.
    #[default]
    Any,
    /// The next of the first of these lanes that has one.
    Lanes(&'a [&'a [u8]]),
    /// This very order, if it can be given out now.
    Order(&'a [u8]),
}

/// `ORDER.CLAIM`.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub worker: &'a [u8],
    /// The most orders to give out; never more than [`CLAIM_MAX`].
    pub count: usize,
    pub pick: Pick<'a>,
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

/// An order as it is given to a worker. Borrowed from the store.
#[derive(Debug)]
pub struct ClaimView<'a> {
    pub order: &'a [u8],
    pub token: u64,
    /// The attempt this is; 1 is the first.
    pub attempt: u64,
    pub customer: &'a [u8],
    /// The lane it waited in; empty: the default one.
    pub lane: &'a [u8],
    pub items: SmallVec<[Item<'a>; 4]>,
    /// JSON, or empty.
    pub data: &'a [u8],
    pub placed_at: Ms,
    /// When its lease ends.
    pub deadline: Ms,
}

impl Store {
    /// Gives orders to a worker; their slots, in the order they are given out. None while the store is paused.
    pub fn claim(&mut self, now: Ms, claim: &Claim<'_>, fx: &mut Effects) -> Result<Slots, Refusal> {
        self.check_claim(now, claim)?;
        match claim.pick {
            Pick::Any => Ok(self.claim_while(now, claim, fx, |store| store.queue.next(&store.orders))),
            Pick::Lanes(names) => Ok(self.claim_of(now, claim, names, fx)),
            Pick::Order(id) => self.claim_order(now, claim, id, fx),
        }
    }

    /// Gives out the orders that `next` names, as many as the claim asks for.
    #[inline]
    fn claim_while(
        &mut self,
        now: Ms,
        claim: &Claim<'_>,
        fx: &mut Effects,
        mut next: impl FnMut(&Store) -> Option<u32>,
    ) -> Slots {
        let (mut slots, mut bytes) = (Slots::new(), 0);
        while slots.len() < claim.count.min(CLAIM_MAX) && bytes < CLAIM_BYTES && self.has_work() {
            let Some(slot) = next(self) else { break };
            if slots.is_empty() {
                self.touch(now, fx);
            }
            self.give_out(slot, claim, fx);
            bytes += self.orders.at(slot).packed_bytes();
            slots.push(slot);
        }
        slots
    }

    /// Gives out orders of these lanes: of the first that has one, then of the next. A lane that no order is in has
    /// nothing.
    #[inline(never)]
    fn claim_of(&mut self, now: Ms, claim: &Claim<'_>, names: &[&[u8]], fx: &mut Effects) -> Slots {
        // What is given out puts nothing into a lane: one that has nothing more is not looked at again.
        let mut names = names.iter();
        let mut lane = None;
        let next = |store: &Store| loop {
            if let Some(slot) = lane.and_then(|lane| store.queue.next_in(&store.orders, lane)) {
                return Some(slot);
            }
            lane = store.lane_named(names.next()?);
        };
        self.claim_while(now, claim, fx, next)
    }

    /// Gives out one order, if a worker could get it now: it waits, and it is its turn in its group.
    #[inline(never)]
    fn claim_order(&mut self, now: Ms, claim: &Claim<'_>, id: &[u8], fx: &mut Effects) -> Result<Slots, Refusal> {
        let slot = self.orders.slot(id)?;
        let next = |store: &Store| store.orders.at(slot).position.is_offered().then_some(slot);
        Ok(self.claim_while(now, claim, fx, next))
    }

    /// Whether a claim can be made at all: afterwards it cannot fail.
    fn check_claim(&self, now: Ms, claim: &Claim<'_>) -> Result<(), Refusal> {
        checked_sum(self.stamp(now), claim.lease_ms.unwrap_or(self.settings.lease_ms), "LEASE")?;
        checked_sum(self.workers.last_token(), CLAIM_MAX as u64, "token").map(drop)
    }

    fn give_out(&mut self, slot: u32, claim: &Claim<'_>, fx: &mut Effects) {
        self.queue.withdraw(&mut self.orders, slot);
        self.queue.age(&self.orders, slot);
        let at = self.now;
        let token = self.workers.next_token(at);
        let worker = self.workers.find_or_add(claim.worker);
        self.workers.add_claim(worker, token, slot);
        let expires = at.saturating_add(claim.lease_ms.unwrap_or(self.settings.lease_ms)).min(MAX_QUANTITY);
        let lease = self.agenda.key(expires);
        self.changing_order(slot, |_, extra| {
            let (lease_ms, retry) = (claim.lease_ms.unwrap_or(0), extra.stage.retry().map(Box::new));
            extra.stage = Stage::Claimed(Claimed { token, worker, lease_ms, lease, retry });
            let attempt = u64::from(extra.attempts) + 1;
            extra.history.push(HistoryEvent::Claimed { at, worker: claim.worker, token, attempt });
        });
        self.counters.claimed = self.counters.claimed.saturating_add(1);
        fx.event(Event::OrderClaimed);
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
        let slot = self.orders.slot(id)?;
        self.check_token(slot, Some(token))?;
        self.check_for_workers(slot)?;
        let claimed = self.orders.extra_at(slot).and_then(|extra| extra.stage.claimed());
        let (asked_ms, expires) = claimed.map_or((0, 0), |claimed| (claimed.lease_ms, claimed.lease.at));
        let lease_ms = lease_ms.unwrap_or(if asked_ms > 0 { asked_ms } else { self.settings.lease_ms });
        let deadline = checked_sum(now, lease_ms, "LEASE")?;
        if deadline <= expires {
            return Ok(expires);
        }
        self.touch(now, fx);
        let lease = self.agenda.key(deadline);
        self.changing_order(slot, |_, extra| {
            if let Stage::Claimed(claimed) = &mut extra.stage {
                claimed.lease = lease;
            }
        });
        fx.event(Event::OrderRenewed);
        Ok(deadline)
    }

    /// Gives a worker's orders back to their positions in the queue, uncounted as attempts; replies how many: all it
    /// has, but not more than [`YIELD_MAX`].
    pub fn yield_all(&mut self, now: Ms, worker: &[u8], fx: &mut Effects) -> u64 {
        let Some(worker) = self.workers.find(worker) else { return 0 };
        let claims = self.workers.records().at(worker).claims.values();
        let slots: Vec<u32> = claims.copied().take(YIELD_MAX).collect();
        self.touch(now, fx);
        slots.iter().for_each(|slot| self.give_back(*slot, fx));
        slots.len() as u64
    }

    /// Gives back the one order that was given out under a token, if it still is: its worker never received it.
    pub fn take_back(&mut self, now: Ms, id: &[u8], token: u64, fx: &mut Effects) -> Result<(), Refusal> {
        let slot = self.orders.slot(id)?;
        self.check_token(slot, Some(token))?;
        self.check_for_workers(slot)?;
        self.touch(now, fx);
        self.give_back(slot, fx);
        Ok(())
    }

    /// Takes a claimed order from its worker, uncounted.
    fn give_back(&mut self, slot: u32, fx: &mut Effects) {
        let at = self.now;
        self.changing_order(slot, |_, extra| {
            extra.stage = Stage::back(extra.stage.retry());
            extra.history.push(HistoryEvent::Yielded { at });
        });
        self.queue.offer(&mut self.orders, slot);
        fx.event(Event::OrderYielded);
    }

    /// When the lease expires, that counts as an attempt, and the order returns to its position in the queue, or dies.
    /// Says how many records and items it worked on.
    pub(crate) fn expire_lease(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        let at = self.now;
        let max_attempts = self.settings.attempts;
        let dies = self.changing_order(slot, |_, extra| {
            extra.attempts = extra.attempts.saturating_add(1);
            let attempt = u64::from(extra.attempts);
            extra.stage = Stage::back(extra.stage.retry());
            extra.history.push(HistoryEvent::LeaseEnded { at, attempt });
            attempt >= max_attempts
        });
        self.counters.lapsed = self.counters.lapsed.saturating_add(1);
        fx.event(Event::OrderLeaseEnded);
        if dies {
            return self.die(slot, LEASE_EXPIRED, fx) + self.serve_line(fx);
        }
        self.queue.offer(&mut self.orders, slot);
        1
    }

    /// The backoff of an order is over: workers get it before all that is not a due retry.
    pub(crate) fn retry_due(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        let entry = self.last.next(StreamKind::Retry, self.now);
        self.changing_order(slot, |_, extra| {
            if let Stage::Backoff(since) = extra.stage {
                extra.stage = Stage::RetryDue(Retry { since, entry });
            }
        });
        self.counters.retried = self.counters.retried.saturating_add(1);
        self.queue.offer(&mut self.orders, slot);
        fx.push(Effect::Retry { order: slot, id: entry });
        fx.event(Event::OrderRetry);
        1 + ENTRY_WEIGHT
    }

    /// An attempt failed: the order is retried later, or dead.
    pub fn fail(&mut self, now: Ms, fail: &Fail<'_>, fx: &mut Effects) -> Result<Failure, Refusal> {
        let slot = self.orders.slot(fail.order)?;
        let call = fail.fingerprint();
        if let Some(failure) = self.failed_before(slot, fail, call)? {
            return Ok(failure);
        }
        self.check_token(slot, fail.token)?;
        self.check_for_workers(slot)?;
        checked_sum(self.stamp(now), fail.after_ms.unwrap_or(0), "AFTER")?;
        self.touch(now, fx);
        let attempt = self.orders.extra_at(slot).map_or(0, |extra| extra.attempts).saturating_add(1);
        let dies = fail.fatal || u64::from(attempt) >= self.settings.attempts;
        let wait_ms = fail.after_ms.unwrap_or_else(|| self.backoff_ms(fail.order, attempt));
        let due = if dies { 0 } else { self.now.saturating_add(wait_ms).min(MAX_QUANTITY) };
        self.counters.failed = self.counters.failed.saturating_add(1);
        self.queue.withdraw(&mut self.orders, slot);
        self.queue.age(&self.orders, slot);
        let failed = Failed { token: fail.token.unwrap_or(0), call, attempt, due };
        let event = HistoryEvent::Failed { at: self.now, attempt: u64::from(attempt), due, reason: fail.reason };
        self.changing_order(slot, |_, extra| {
            extra.attempts = attempt;
            extra.seldom_mut().failed = Some(Box::new(failed));
            extra.history.push(event);
        });
        if dies {
            fx.event(Event::OrderFailed);
            self.die(slot, fail.reason, fx);
            self.serve_line(fx);
        } else {
            self.back_off(slot, due, fail.reason, fx);
            fx.event(Event::OrderFailed);
        }
        let state = if dies { OrderState::Dead } else { OrderState::Retrying };
        Ok(Failure { state, attempt, due })
    }

    /// Lets an order that failed wait until its retry is due.
    fn back_off(&mut self, slot: u32, due: Ms, reason: &[u8], fx: &mut Effects) {
        let due = self.agenda.key(due);
        let retry = self.changing_order(slot, |_, extra| {
            extra.set_note(reason);
            std::mem::replace(&mut extra.stage, Stage::Backoff(due)).retry()
        });
        if let Some(retry) = retry {
            fx.push(Effect::Left { kind: StreamKind::Retry, id: retry.entry });
        }
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
        let Some(extra) = self.orders.extra(order) else { return Ok(None) };
        let Some(failed) = extra.failed() else { return Ok(None) };
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
                    let what = "REASON, AFTER or FATAL";
                    Err(Refusal::Mismatch(format!("order {id} failed under token {token} with another {what}")))
                }
                _ => Ok(None),
            };
        }
        let since = order.state() != state || extra.stage.retry().is_some();
        Ok(Some(failure).filter(|_| failed.token == 0 && failed.call == call && !since))
    }

    /// Completes an order and gives the next one to the same worker: the id of the entry in `…:complete`, and the
    /// slot of the next order. The same call again gives the same order, while the worker still has it under that
    /// claim.
    pub fn complete_and_claim(
        &mut self,
        now: Ms,
        complete: &Complete<'_>,
        claim: &Claim<'_>,
        fx: &mut Effects,
    ) -> Result<(EntryId, Option<u32>), Refusal> {
        self.check_claim(now, claim)?;
        let slot = self.orders.slot(complete.order)?;
        let before = self.orders.at(slot).state() == OrderState::Completed;
        let id = self.complete(now, complete, fx)?;
        if before {
            return Ok((id, self.given_out_with(slot, claim.worker)));
        }
        let next = self.claim(now, claim, fx)?.first().copied();
        let token = next.and_then(|next| self.orders.extra_at(next)).map_or(0, |extra| extra.stage.token());
        if token > 0 {
            self.changing_order(slot, |_, extra| {
                if let Stage::Completed(completed) = &mut extra.stage {
                    completed.next_token = token;
                }
            });
        }
        Ok((id, next))
    }

    /// The order that was given to a worker with the completion of another, if it still has it.
    fn given_out_with(&self, slot: u32, worker: &[u8]) -> Option<u32> {
        let next_token = self.orders.stage(self.orders.at(slot))?.completed()?.next_token;
        self.workers.claim(worker, next_token)
    }

    /// The claimed order in a slot, as its worker sees it.
    pub fn claimed(&self, slot: u32) -> ClaimView<'_> {
        let order = self.orders.at(slot);
        let (items, data) = order.content();
        let extra = self.orders.extra(order);
        let claimed = extra.and_then(|extra| extra.stage.claimed());
        ClaimView {
            order: order.id(),
            token: claimed.map_or(0, |claimed| claimed.token),
            attempt: u64::from(extra.map_or(0, |extra: &Extra| extra.attempts)) + 1,
            customer: self.customers.id(order.customer),
            lane: self.orders.lane_id(order),
            items: items.map(|item| Item { sku: &self.shelf.at(item.sku).id, qty: item.qty }).collect(),
            data,
            placed_at: self.orders.placed_at(order),
            deadline: claimed.map_or(0, |claimed| claimed.lease.at),
        }
    }
}

impl Fail<'_> {
    fn fingerprint(&self) -> u128 {
        let after = self.after_ms.map_or([0xff; 8], u64::to_le_bytes);
        fingerprint([b"fail", self.reason, &after, &[u8::from(self.fatal)]])
    }
}
