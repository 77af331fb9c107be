//! Workers: they pick and pack an order and complete it; some are slow, doze off, die or go home early.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use redis::{RedisError, RedisResult};
use tokio::sync::watch;

use super::plan::NO_DELIVERY;
use super::shop::Shop;
use super::source::{self, Source, Work};
use crate::connect::may_pass;

/// After a failed call (a failover) a worker tries again so much later.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// An attempt that fails takes this part of the time an order takes.
const FAILING_PART: f64 = 0.2;
/// In this part of the orders with laces the picker finds none, though the books say that there are some.
const LACES_MISSING: f64 = 0.05;
/// No order takes longer than this many times the mean.
const LONGEST_OF_MEAN: f64 = 5.0;
/// A lease is made longer when this part of it is over.
const RENEW_AFTER: u32 = 3;
/// Whoever dozes off does so for this part of a lease: the first time too long, later sometimes just not.
const FIRST_DOZE: f64 = 1.5;
const DOZE: std::ops::Range<f64> = 0.7..1.6;
/// One job in this many is a slow worker's.
const SLOW_EVERY: usize = 4;
const SLOW_JOB: usize = 2;
const SLOW_PACE: f64 = 3.0;
/// One job in this many is for express orders first.
const EXPRESS_EVERY: usize = 4;
/// How many workers leave a job before the one who stays to the end.
const WORKERS_WHO_LEAVE: u32 = 2;
/// Each of them leaves after this part of what is packed in the job in all.
const LEAVE_AFTER: std::ops::Range<f64> = 0.05..0.35;
/// A slow worker dozes off each time after this part of it.
const DOZE_AFTER: f64 = 0.06;
const DOZE_AFTER_MIN: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    Stays,
    /// Is gone without a word, with orders in hand.
    Dies,
    /// Goes home, and gives back what is in hand.
    GoesHome,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// How many times as long as others this one takes.
    pub pace: f64,
    pub leaving: Leaving,
    pub leaves_after: u64,
    /// Dozes off each time after this many orders; 0: never.
    pub dozes_every: u64,
    /// Takes express orders first.
    pub express_first: bool,
}

impl Behaviour {
    pub fn steady(pace: f64) -> Behaviour {
        Behaviour { pace, leaving: Leaving::Stays, leaves_after: u64::MAX, dozes_every: 0, express_first: false }
    }

    /// The behaviour of the n-th worker (from 0) in a job (from 1) in which about `share` orders are packed in all.
    pub fn of(seed: u64, job: usize, nth: u32, share: f64) -> Behaviour {
        let mut random = StdRng::seed_from_u64(seed ^ (job as u64).rotate_left(40) ^ u64::from(nth).rotate_left(20));
        let leaving = match (nth < WORKERS_WHO_LEAVE, job % 2) {
            (false, _) => Leaving::Stays,
            (true, 1) => Leaving::Dies,
            (true, _) => Leaving::GoesHome,
        };
        let is_slow = job % SLOW_EVERY == SLOW_JOB;
        Behaviour {
            pace: if is_slow { SLOW_PACE } else { 1.0 },
            leaving,
            leaves_after: ((share * random.random_range(LEAVE_AFTER)) as u64).max(1),
            dozes_every: if is_slow { ((share * DOZE_AFTER) as u64).max(DOZE_AFTER_MIN) } else { 0 },
            express_first: job.is_multiple_of(EXPRESS_EVERY),
        }
    }
}

pub struct Worker {
    source: Source,
    behaviour: Behaviour,
    /// How long an order takes, more or less.
    mean: Duration,
    random: StdRng,
    hand: VecDeque<Work>,
    taken: u64,
    dozes_next: u64,
    done: watch::Receiver<bool>,
}

impl Worker {
    /// A worker who starts to work. `random_stream` separates one worker's random numbers from another's.
    pub fn new(
        source: Source,
        behaviour: Behaviour,
        mean: Duration,
        random_stream: u64,
        done: watch::Receiver<bool>,
    ) -> Worker {
        let random = StdRng::seed_from_u64(source.shop.seed ^ random_stream.rotate_left(48));
        Worker {
            source,
            behaviour,
            mean: mean.mul_f64(behaviour.pace),
            random,
            hand: VecDeque::new(),
            taken: 0,
            dozes_next: behaviour.dozes_every,
            done,
        }
    }

    /// Works until the shop is done, or until it is time to leave. Says how the worker left.
    pub async fn work(mut self) -> Leaving {
        while !*self.done.borrow() {
            if self.hand.is_empty() {
                self.take().await;
            } else if self.taken >= self.behaviour.leaves_after && self.behaviour.leaving != Leaving::Stays {
                return self.leave_early().await;
            } else {
                self.serve_first().await;
            }
        }
        self.give_back().await;
        Leaving::Stays
    }

    async fn take(&mut self) {
        let mut done = self.done.clone();
        let reply = tokio::select! {
            reply = self.source.next() => reply,
            _ = done.wait_for(|is_done| *is_done) => return,
        };
        match reply {
            Ok(orders) => orders.into_iter().for_each(|work| self.receive(work)),
            Err(error) => self.wait_after("taking orders", &error).await,
        }
    }

    fn receive(&mut self, work: Work) {
        self.source.shop.ledger().taken(&work.order, work.waited);
        self.taken += 1;
        self.hand.push_back(work);
    }

    async fn leave_early(mut self) -> Leaving {
        let in_hand = self.hand.len() as u64;
        if self.behaviour.leaving == Leaving::Dies {
            // In the middle of an order. The connection drops with the worker; nobody says a word.
            let packs = self.packing_time().mul_f64(0.5);
            tokio::time::sleep(packs).await;
            let mut ledger = self.source.shop.ledger();
            ledger.counts.died += 1;
            ledger.counts.died_with += in_hand;
        } else {
            let given_back = self.give_back().await;
            let mut ledger = self.source.shop.ledger();
            ledger.counts.went_home += 1;
            ledger.counts.given_back += given_back;
        }
        self.behaviour.leaving
    }

    /// Gives back what is in hand, uncounted as attempts. Where that fails, the leases end in a moment.
    async fn give_back(&mut self) -> u64 {
        let given_back = self.source.leave().await;
        given_back.inspect_err(|error| note_failure(&self.source.shop, "leaving", error)).unwrap_or(0)
    }

    /// Packs the first order in hand and completes it, if nothing is in the way.
    async fn serve_first(&mut self) {
        self.keep_leases().await;
        let Some(work) = self.hand.front().cloned() else { return };
        match self.source.is_wanted(&work).await {
            Ok(true) => {}
            Ok(false) => return drop(self.hand.pop_front()),
            Err(error) => return self.wait_after("looking at an order", &error).await,
        }
        let time = self.packing_time();
        match self.trouble(&work) {
            Some(reason) => {
                self.spend(time.mul_f64(FAILING_PART)).await;
                self.fail(&work, reason).await;
            }
            None => {
                self.pick_laces(&work).await;
                match self.doze() {
                    Some(doze) => tokio::time::sleep(doze).await,
                    None => self.spend(time).await,
                }
                self.complete(&work).await;
            }
        }
    }

    fn packing_time(&mut self) -> Duration {
        let drawn: f64 = Exp1.sample(&mut self.random);
        self.mean.mul_f64(drawn.min(LONGEST_OF_MEAN))
    }

    /// Why the attempt fails, if it does.
    fn trouble(&self, work: &Work) -> Option<&'static str> {
        let ledger = self.source.shop.ledger();
        // Nothing at the counter; and where the shopkeeper has called the customer, all is known.
        let order = ledger.order(&work.order).filter(|order| work.token.is_some() && !order.died)?;
        self.source.shop.luck.packing(order.customer, &work.order, work.attempt)
    }

    /// Picks the laces. If there are none, the order goes out without, and they are written off.
    async fn pick_laces(&mut self, work: &Work) {
        while self.has(work) && self.misses_laces(work) {
            let written_off = match self.source.write_off_laces(work).await {
                Ok(()) => true,
                Err(error) => {
                    self.after_refusal("ORDER.EDIT", work, &error).await;
                    // Out of hand, but an earlier try can have done it, of which the reply was lost.
                    !self.has(work) && self.source.is_without_laces(work).await.unwrap_or(false)
                }
            };
            if written_off {
                self.source.shop.ledger().laces_lost(&work.order);
            }
        }
    }

    fn misses_laces(&self, work: &Work) -> bool {
        let shop = &self.source.shop;
        let has_laces = work.token.is_some() && shop.ledger().order(&work.order).is_some_and(|order| order.laces);
        has_laces && shop.luck.drawn("laces", &work.order, 0) < LACES_MISSING
    }

    /// How long the worker dozes, if it is time for that: not a word to the server meanwhile.
    fn doze(&mut self) -> Option<Duration> {
        if self.behaviour.dozes_every == 0 || self.taken < self.dozes_next {
            return None;
        }
        let is_first = self.dozes_next == self.behaviour.dozes_every;
        self.dozes_next = self.taken + self.behaviour.dozes_every;
        let part = if is_first { FIRST_DOZE } else { self.random.random_range(DOZE) };
        Some(self.source.shop.schedule.lease().mul_f64(part))
    }

    /// Works for so long, and keeps the leases alive meanwhile.
    async fn spend(&mut self, time: Duration) {
        let ends = Instant::now() + time;
        let at_most = self.source.shop.schedule.lease() / RENEW_AFTER;
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(at_most)).await;
            if left <= at_most {
                return;
            }
            self.keep_leases().await;
        }
    }

    /// Asks for more time for orders that were leased a while ago. Those that are lost are out of hand.
    async fn keep_leases(&mut self) {
        let age = self.source.shop.schedule.lease() / RENEW_AFTER;
        let is_old = |work: &&Work| work.token.is_some() && work.leased.elapsed() >= age;
        let old: Vec<Work> = self.hand.iter().filter(is_old).cloned().collect();
        if old.is_empty() {
            return;
        }
        let asked = Instant::now();
        match self.source.renew(&old).await {
            Ok(answers) => old.iter().zip(answers).for_each(|(work, answer)| self.renewed(work, asked, answer)),
            Err(error) => note_failure(&self.source.shop, "making leases longer", &error),
        }
    }

    fn renewed(&mut self, work: &Work, asked: Instant, answer: RedisResult<()>) {
        match answer {
            Ok(()) => {
                self.hand.iter_mut().filter(|held| held.token == work.token).for_each(|held| held.leased = asked);
                self.source.shop.ledger().counts.renewed += 1;
            }
            Err(error) if is_lost(&self.source.shop, &error) => self.hand.retain(|held| held.token != work.token),
            Err(error) => note_failure(&self.source.shop, &format!("ORDER.RENEW {}", work.order), &error),
        }
    }

    fn has(&self, work: &Work) -> bool {
        self.hand.front().is_some_and(|held| held.order == work.order && held.token == work.token)
    }

    /// Sends the end of an order until the server has answered: completing twice is completing once.
    async fn complete(&mut self, work: &Work) {
        while self.has(work) {
            match self.source.complete(work).await {
                Ok((entry, next)) => {
                    self.hand.pop_front();
                    let mut ledger = self.source.shop.ledger();
                    ledger.completed(&work.order, &entry);
                    ledger.counts.handed_over += u64::from(work.token.is_none());
                    drop(ledger);
                    next.into_iter().for_each(|next| self.receive(next));
                }
                Err(error) => self.after_refusal("ORDER.COMPLETE", work, &error).await,
            }
        }
    }

    async fn fail(&mut self, work: &Work, reason: &str) {
        while self.has(work) {
            match self.source.fail(work, reason, reason == NO_DELIVERY).await {
                Ok(is_dead) => {
                    self.hand.pop_front();
                    if is_dead {
                        self.source.shop.ledger().died(&work.order);
                    }
                }
                Err(error) => self.after_refusal(&format!("ORDER.FAIL {reason}"), work, &error).await,
            }
        }
    }

    async fn after_refusal(&mut self, command: &str, work: &Work, error: &RedisError) {
        if is_lost(&self.source.shop, error) {
            return drop(self.hand.pop_front());
        }
        if !may_pass(error) {
            self.hand.pop_front();
        }
        self.wait_after(&format!("{command}, order {}", work.order), error).await;
    }

    async fn wait_after(&self, doing: &str, error: &RedisError) {
        note_failure(&self.source.shop, doing, error);
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Whether the order is no longer this worker's to end; if so, it is counted why.
fn is_lost(shop: &Shop, error: &RedisError) -> bool {
    source::lost(error, &mut shop.ledger().counts).map(|count| *count += 1).is_some()
}

fn note_failure(shop: &Shop, doing: &str, error: &RedisError) {
    let mut ledger = shop.ledger();
    match may_pass(error) {
        true => ledger.counts.connections_lost += 1,
        false => ledger.complaints.add(format!("{doing}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_die_some_are_slow_and_somebody_stays() {
        let behaviour = |job, nth| Behaviour::of(1, job, nth, 1_000.0);
        let count = |wanted: fn(Behaviour) -> bool| (1..=8).filter(|job| wanted(behaviour(*job, 0))).count();
        assert_eq!(count(|worker| worker.leaving == Leaving::Dies), 4);
        assert_eq!(count(|worker| worker.leaving == Leaving::GoesHome), 4);
        assert_eq!(count(|worker| worker.pace > 1.0 && worker.dozes_every > 0), 2);
        assert_eq!(count(|worker| worker.express_first && worker.pace == 1.0), 2);
        assert!((1..=8).all(|job| behaviour(job, WORKERS_WHO_LEAVE).leaving == Leaving::Stays));
        let in_a_small_shop = Behaviour::of(1, 1, 0, 0.5);
        assert_eq!((in_a_small_shop.leaving, in_a_small_shop.leaves_after), (Leaving::Dies, 1));
        assert_eq!(Behaviour::of(7, 3, 1, 800.0), Behaviour::of(7, 3, 1, 800.0));
        assert_ne!(Behaviour::of(7, 3, 1, 800.0), Behaviour::of(8, 3, 1, 800.0));
    }
}
