//! The plan of a sale: the window, who comes when, with which habits, and whose payments fail. One seed, one plan.

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp, Poisson};

/// Share of the customers who come for the opening; the others come evenly until the window closes.
const RUSH_SHARE: f64 = 0.45;
/// How fast the rush fades, as a part of the window: after this long it is down to a third.
const RUSH_FADES: f64 = 0.08;
/// From this part of the window on, nobody gives units back: they could come too late to be sold again.
const GIVE_BACK_UNTIL: f64 = 0.7;
const CART_TTL: f64 = 0.1;
/// Share of the customers who come when the window has closed.
const STRAGGLER_SHARE: f64 = 0.004;
/// A worker's lease is this part of the window, within bounds: short, so that a dead worker's orders are soon back, and
/// long enough for a machine that has other things to do.
const LEASE: f64 = 0.036;
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(2);
/// Reasons of ORDER.FAIL. The shopkeeper redrives dead letters by the first one's first word.
const DECLINED: &str = "payment declined";
/// There is no use in trying again.
pub const STOLEN: &str = "card stolen";
/// The pattern of reasons after which a customer may well pay in another way.
pub const DECLINED_PATTERN: &str = "payment*";

/// When the window opens and closes and the sale ends, counted from the start of the run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pub opens: Duration,
    pub closes: Duration,
    pub ends: Duration,
}

impl Schedule {
    /// A sale that takes `total` in all, with a little before the window and after it for who is early or late.
    pub fn of(total: Duration) -> Schedule {
        Schedule { opens: total.mul_f64(0.05), closes: total.mul_f64(0.97), ends: total }
    }

    pub fn window(&self) -> Duration {
        self.closes - self.opens
    }

    /// The time at a part of the window, 0 when it opens, 1 when it closes.
    pub fn at(&self, part: f64) -> Duration {
        self.opens + self.window().mul_f64(part)
    }

    /// How long a worker may be silent about an order before others get it.
    pub fn lease(&self) -> Duration {
        self.window().mul_f64(LEASE).clamp(LEASE_MIN, LEASE_MAX)
    }

    pub fn cart_ttl(&self) -> Duration {
        self.window().mul_f64(CART_TTL)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Buys,
    /// Sends the same order twice (a doubled click, an impatient app).
    SendsTwice,
    /// Loses the connection before the reply, and sends the same order again.
    LosesReply,
    /// Orders, and tries a second order for another unit.
    WantsAnother,
    /// Puts the unit into a cart, thinks, and orders what is in the cart.
    UsesCart,
    /// Puts the unit into a cart and never comes back.
    LeavesCart,
    /// Comes back to the cart when it has expired, and orders then.
    LateToCart,
    /// Orders, and cancels soon after.
    Cancels,
    /// Orders, cancels, and orders again.
    CancelsAndReturns,
}

/// How many of a thousand customers have the habit.
const HABITS_PER_MILLE: [(Habit, u32); 9] = [
    (Habit::Buys, 675),
    (Habit::SendsTwice, 50),
    (Habit::LosesReply, 30),
    (Habit::WantsAnother, 40),
    (Habit::UsesCart, 100),
    (Habit::LeavesCart, 35),
    (Habit::LateToCart, 15),
    (Habit::Cancels, 40),
    (Habit::CancelsAndReturns, 15),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// It works, but for the odd failure.
    Good,
    /// It is empty: every payment is declined.
    Empty,
    /// It was reported stolen: there is no use in trying again.
    Stolen,
}

/// How many of a thousand customers have such a card.
const CARDS_PER_MILLE: [(Card, u32); 3] = [(Card::Good, 994), (Card::Empty, 4), (Card::Stolen, 2)];
/// How many of a thousand customers collect what they order at the counter, and pay there.
const COLLECTS_PER_MILLE: u32 = 100;
/// How many of a thousand customers come before the window opens.
const EARLY_PER_MILLE: u32 = 30;
/// How many of a thousand customers who find the shop sold out look in again later.
const PATIENT_PER_MILLE: u32 = 300;

#[derive(Clone, Copy, Debug)]
pub struct Customer {
    /// Names the customer: `c-17`.
    pub number: u64,
    pub arrives: Duration,
    pub habit: Habit,
    pub patient: bool,
    pub card: Card,
    /// Comes to the counter for it, and pays there.
    pub collects: bool,
}

impl Customer {
    /// Somebody who is sent for, as there are units left.
    pub fn sent_for(number: u64, arrives: Duration) -> Customer {
        Customer { number, arrives, habit: Habit::Buys, patient: false, card: Card::Good, collects: false }
    }
}

/// Everybody who will come, in order of arrival: about `expected` of them.
pub fn customers(schedule: &Schedule, expected: u64, seed: u64) -> Vec<Customer> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut arrivals = arrivals(schedule, expected, &mut random);
    arrivals.sort_unstable();
    let customer = |(number, arrives): (usize, Duration)| {
        let habit = habit(schedule, arrives, &mut random);
        // Whoever gives units back does it early, or not at all: they do not look in again.
        let patient = random.random_range(0..1_000) < PATIENT_PER_MILLE && !habit.gives_back();
        let card = match habit == Habit::Buys && arrives < schedule.at(GIVE_BACK_UNTIL) {
            true => drawn(&CARDS_PER_MILLE, &mut random),
            // A unit that comes back from a dead letter should find a buyer too.
            false => Card::Good,
        };
        let collects = random.random_range(0..1_000) < COLLECTS_PER_MILLE;
        Customer { number: number as u64 + 1, arrives, habit, patient, card, collects }
    };
    arrivals.into_iter().enumerate().map(customer).collect()
}

fn arrivals(schedule: &Schedule, expected: u64, random: &mut StdRng) -> Vec<Duration> {
    // As many as come when each comes by himself, and each at a time of his own: a Poisson process.
    let come = Poisson::new(expected as f64).expect("a mean above 0").sample(random);
    let rush = Exp::new(1.0 / RUSH_FADES).expect("a rate above 0");
    let mut arrival = || match random.random_range(0..1_000) < EARLY_PER_MILLE {
        true => schedule.opens.mul_f64(random.random()),
        false if random.random_bool(RUSH_SHARE) => schedule.at(f64::min(rush.sample(random), 1.0)),
        false => schedule.at(random.random()),
    };
    let mut arrivals: Vec<Duration> = (0..come as u64).map(|_| arrival()).collect();
    let stragglers = (expected as f64 * STRAGGLER_SHARE).ceil() as u64;
    let tail = schedule.ends - schedule.closes;
    // Not in the first moment of the tail: the window closes by the server's clock.
    arrivals.extend((0..stragglers).map(|_| schedule.closes + tail.mul_f64(random.random_range(0.2..0.9))));
    arrivals
}

fn drawn<T: Copy>(choices: &[(T, u32)], random: &mut StdRng) -> T {
    choices.choose_weighted(random, |(_, per_mille)| *per_mille).expect("choices with weights").0
}

fn habit(schedule: &Schedule, arrives: Duration, random: &mut StdRng) -> Habit {
    match drawn(&HABITS_PER_MILLE, random) {
        habit if habit.gives_back() && arrives > schedule.at(GIVE_BACK_UNTIL) => Habit::Buys,
        habit => habit,
    }
}

impl Habit {
    /// Whether units come back from such a customer.
    fn gives_back(self) -> bool {
        matches!(self, Habit::LeavesCart | Habit::LateToCart | Habit::Cancels | Habit::CancelsAndReturns)
    }
}

#[derive(Debug)]
pub struct Payments {
    seed: u64,
    failing_percent: u32,
    bad_cards: HashMap<u64, Card>,
}

impl Payments {
    /// Payments of these customers, of which `failing_percent` of a hundred fail though the card is good.
    pub fn new(seed: u64, failing_percent: u32, customers: &[Customer]) -> Payments {
        let bad = customers.iter().filter(|customer| customer.card != Card::Good);
        let bad_cards = bad.map(|customer| (customer.number, customer.card)).collect();
        Payments { seed, failing_percent, bad_cards }
    }

    /// Why an attempt to be paid for an order fails, if it does.
    pub fn attempt(&self, customer: u64, order: &str, attempt: u64) -> Option<&'static str> {
        match self.bad_cards.get(&customer) {
            Some(Card::Stolen) => Some(STOLEN),
            Some(Card::Empty) => Some(DECLINED),
            _ => self.has_bad_luck(order, attempt).then_some(DECLINED),
        }
    }

    fn has_bad_luck(&self, order: &str, attempt: u64) -> bool {
        // FNV-1a: any number that the order and the attempt decide.
        let mixed = order
            .bytes()
            .chain(attempt.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        StdRng::seed_from_u64(self.seed ^ mixed).random_range(0..100) < self.failing_percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_seed_one_plan() {
        let schedule = Schedule::of(MINUTE);
        let plan = |seed| {
            let all = customers(&schedule, 500, seed);
            all.into_iter().map(|customer| (customer.arrives, customer.habit)).collect::<Vec<_>>()
        };
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn customers_come_in_order_with_a_rush_first_and_nobody_gives_back_too_late() {
        let schedule = Schedule::of(MINUTE);
        let all = customers(&schedule, 20_000, 5);
        assert!((19_400..20_700).contains(&all.len()), "{}", all.len());
        assert!(all.is_sorted_by_key(|customer| customer.arrives));
        assert!(all[0].arrives < schedule.opens, "somebody is early");
        assert!((schedule.closes..schedule.ends).contains(&all[all.len() - 1].arrives), "somebody is late");
        let between = |from, to| {
            let times = schedule.at(from)..schedule.at(to);
            all.iter().filter(|customer| times.contains(&customer.arrives)).count()
        };
        assert!(between(0.0, 0.1) > 4 * between(0.5, 0.6) && between(0.9, 1.0) > 600, "a rush, and a tail to the end");
        let is_bad = |customer: &&Customer| customer.card != Card::Good;
        assert!((20..200).contains(&all.iter().filter(is_bad).count()), "cards");
        let mut risky = all.iter().filter(|customer| is_bad(customer) || customer.habit.gives_back());
        assert!(risky.all(|customer| customer.arrives <= schedule.at(GIVE_BACK_UNTIL)));
    }

    #[test]
    fn the_given_part_fails_and_each_attempt_by_itself() {
        let payments = Payments::new(7, 10, &[]);
        let failed = |attempt| {
            let orders = (0..10_000).map(|number| format!("o-{number}-1"));
            orders.filter(|order| payments.attempt(1, order, attempt).is_some()).collect::<Vec<_>>()
        };
        let (first, second) = (failed(1), failed(2));
        assert!((850..1_150).contains(&first.len()), "{}", first.len());
        let both = first.iter().filter(|order| second.contains(order)).count();
        assert!((50..150).contains(&both), "{both}");
    }

    #[test]
    fn bad_cards_never_work() {
        let cards = [(1, Card::Empty), (2, Card::Stolen), (3, Card::Good)];
        let customer = |(number, card)| Customer { card, ..Customer::sent_for(number, Duration::ZERO) };
        let payments = Payments::new(7, 0, &cards.map(customer));
        for attempt in 1..=5 {
            let failures = [1, 2, 3].map(|number| payments.attempt(number, "o-1", attempt));
            assert_eq!(failures, [Some(DECLINED), Some(STOLEN), None]);
        }
    }
}
