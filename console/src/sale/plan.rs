//! The plan of a sale: the window, who comes when, with which habits, and what goes wrong. One seed, one plan.

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
/// An order is to be paid within this part of the window, and in a short sale within this time.
const PAYMENT: f64 = 0.08;
const PAYMENT_MIN: Duration = Duration::from_millis(1_500);
/// Whoever never pays comes early enough that the unit is back at this part of the window.
const UNPAID_UNTIL: f64 = 0.8;
/// Share of the customers who come when the window has closed.
const STRAGGLER_SHARE: f64 = 0.004;
/// A worker's lease is this part of the window, within bounds: short, so that a dead worker's orders are soon back, and
/// long enough for a machine that has other things to do.
const LEASE: f64 = 0.036;
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(2);
/// Reasons of ORDER.FAIL, of which a later attempt helps against the first one only.
const SCANNER_DOWN: &str = "scanner down";
/// The shopkeeper can ask the customer for the address, and redrives the order.
pub const NO_ADDRESS: &str = "address unknown";
/// There is no use in trying again: the shopkeeper purges these orders.
pub const NO_DELIVERY: &str = "no delivery there";

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

    /// How long an order's payment may take: then its gate expires.
    pub fn payment(&self) -> Duration {
        self.window().mul_f64(PAYMENT).max(PAYMENT_MIN)
    }
}

/// Units in the shop when it opens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stock {
    pub sneakers: i64,
    pub laces: i64,
}

impl Stock {
    /// So many sneakers, and laces for all of these customers who want some: only sneakers are short.
    pub fn of(sneakers: i64, customers: &[Customer]) -> Stock {
        Stock { sneakers, laces: customers.iter().filter(|customer| customer.takes_laces()).count() as i64 }
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
    /// Fills a cart as a guest, with laces, signs in and takes them out or not, and orders what is left.
    ChangesCart,
    /// Puts the unit into a cart and never comes back.
    LeavesCart,
    /// Comes back to the cart when it has expired, and orders then.
    LateToCart,
    /// Orders, and cancels soon after.
    Cancels,
    /// Orders, cancels, and orders again.
    CancelsAndReturns,
    /// Sends back what was delivered, as good as new.
    SendsBack,
    /// Sends back what was delivered, damaged.
    SendsBackDamaged,
}

/// How many of a thousand customers have the habit.
const HABITS_PER_MILLE: [(Habit, u32); 12] = [
    (Habit::Buys, 650),
    (Habit::SendsTwice, 50),
    (Habit::LosesReply, 30),
    (Habit::WantsAnother, 40),
    (Habit::UsesCart, 60),
    (Habit::ChangesCart, 40),
    (Habit::LeavesCart, 35),
    (Habit::LateToCart, 15),
    (Habit::Cancels, 40),
    (Habit::CancelsAndReturns, 15),
    (Habit::SendsBack, 15),
    (Habit::SendsBackDamaged, 10),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// All goes well, but for the odd failure.
    None,
    /// The payment is declined.
    Declined,
    /// The customer never pays.
    NeverPays,
    /// The address is unknown: every attempt to send the parcel fails.
    NoAddress,
    /// Nobody delivers to where the customer lives: there is no use in trying again.
    NoDelivery,
}

/// How many of a thousand customers who just buy have this trouble.
const TROUBLES_PER_MILLE: [(Trouble, u32); 5] = [
    (Trouble::None, 954),
    (Trouble::Declined, 15),
    (Trouble::NeverPays, 20),
    (Trouble::NoAddress, 6),
    (Trouble::NoDelivery, 5),
];
/// How many of a thousand customers collect what they order at the counter, and pay there.
const COLLECTS_PER_MILLE: u32 = 100;
/// How many of a thousand of the others pay for express.
const EXPRESS_PER_MILLE: u32 = 100;
/// How many of a thousand customers order laces too.
const LACES_PER_MILLE: u32 = 150;
/// How many of a thousand customers come before the window opens.
const EARLY_PER_MILLE: u32 = 30;
/// How many of a thousand customers who find the shop sold out join the waitlist; how many of these leave it after a
/// while; and after how long, as a part of the window.
const PATIENT_PER_MILLE: u32 = 300;
const LEAVES_WAITLIST_PER_MILLE: u32 = 500;
const WAITS: std::ops::Range<f64> = 0.03..0.3;

#[derive(Clone, Copy, Debug)]
pub struct Customer {
    /// Names the customer: `c-17`.
    pub number: u64,
    pub arrives: Duration,
    pub habit: Habit,
    pub trouble: Trouble,
    /// Comes to the counter for it, and pays there.
    pub collects: bool,
    pub express: bool,
    /// Orders laces too.
    pub laces: bool,
    /// How long the customer waits for a unit when all are sold, 0 as long as it takes; none leaves at once.
    pub wait_ms: Option<u64>,
}

impl Customer {
    /// Somebody who is sent for, as there are units left.
    pub fn sent_for(number: u64, arrives: Duration) -> Customer {
        let (habit, trouble, wait_ms) = (Habit::Buys, Trouble::None, None);
        Customer { number, arrives, habit, trouble, collects: false, express: false, laces: false, wait_ms }
    }

    /// Whether laces of theirs are ever set aside.
    fn takes_laces(&self) -> bool {
        self.laces || self.habit == Habit::ChangesCart
    }
}

/// Everybody who will come, in order of arrival: about `expected` of them.
pub fn customers(schedule: &Schedule, expected: u64, seed: u64) -> Vec<Customer> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut arrivals = arrivals(schedule, expected, &mut random);
    arrivals.sort_unstable();
    let numbered = arrivals.into_iter().enumerate();
    numbered.map(|(nth, arrives)| customer(schedule, nth as u64 + 1, arrives, &mut random)).collect()
}

fn customer(schedule: &Schedule, number: u64, arrives: Duration, random: &mut StdRng) -> Customer {
    let habit = habit(schedule, arrives, random);
    let mut is_one_of = |per_mille| random.random_range(0..1_000) < per_mille;
    let collects = is_one_of(COLLECTS_PER_MILLE);
    let express = is_one_of(EXPRESS_PER_MILLE) && !collects;
    let (laces, is_patient) = (is_one_of(LACES_PER_MILLE), is_one_of(PATIENT_PER_MILLE));
    let leaves = is_one_of(LEAVES_WAITLIST_PER_MILLE);
    let trouble = match habit == Habit::Buys && !collects {
        true => trouble(schedule, arrives, random),
        false => Trouble::None,
    };
    // Whoever gives units back does it early, or not at all: they do not wait.
    let waits = is_patient && !habit.gives_back() && trouble == Trouble::None;
    let wait = if leaves { schedule.window().mul_f64(random.random_range(WAITS)) } else { Duration::ZERO };
    let wait_ms = waits.then(|| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    Customer { number, arrives, habit, trouble, collects, express, laces, wait_ms }
}

/// A unit that comes back should find a buyer too: so whoever comes late has no trouble.
fn trouble(schedule: &Schedule, arrives: Duration, random: &mut StdRng) -> Trouble {
    match drawn(&TROUBLES_PER_MILLE, random) {
        _ if arrives > schedule.at(GIVE_BACK_UNTIL) => Trouble::None,
        Trouble::NeverPays if arrives + schedule.payment() > schedule.at(UNPAID_UNTIL) => Trouble::None,
        trouble => trouble,
    }
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
        use Habit::{Cancels, CancelsAndReturns, LateToCart, LeavesCart, SendsBack, SendsBackDamaged};
        matches!(self, LeavesCart | LateToCart | Cancels | CancelsAndReturns | SendsBack | SendsBackDamaged)
    }
}

/// What goes wrong with orders, as the seed alone decides.
#[derive(Debug)]
pub struct Luck {
    seed: u64,
    failing_percent: u32,
    troubles: HashMap<u64, Trouble>,
}

impl Luck {
    /// The luck of these customers. Of a hundred attempts to pack an order, `failing_percent` fail without their doing.
    pub fn new(seed: u64, failing_percent: u32, customers: &[Customer]) -> Luck {
        let troubled = customers.iter().filter(|customer| customer.trouble != Trouble::None);
        let troubles = troubled.map(|customer| (customer.number, customer.trouble)).collect();
        Luck { seed, failing_percent, troubles }
    }

    pub fn trouble(&self, customer: u64) -> Trouble {
        self.troubles.get(&customer).copied().unwrap_or(Trouble::None)
    }

    /// Why an attempt to pack an order fails, if it does.
    pub fn packing(&self, customer: u64, order: &str, attempt: u64) -> Option<&'static str> {
        match self.trouble(customer) {
            Trouble::NoAddress => Some(NO_ADDRESS),
            Trouble::NoDelivery => Some(NO_DELIVERY),
            _ => (self.drawn("packing", order, attempt) < f64::from(self.failing_percent) / 100.0)
                .then_some(SCANNER_DOWN),
        }
    }

    /// A number from 0 to 1 that the seed, the purpose, the order and the attempt decide.
    pub fn drawn(&self, purpose: &str, order: &str, attempt: u64) -> f64 {
        // FNV-1a: any number that they decide.
        let bytes = purpose.bytes().chain(order.bytes()).chain(attempt.to_le_bytes());
        let mixed = bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        StdRng::seed_from_u64(self.seed ^ mixed).random()
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
        let has_trouble = |customer: &&Customer| customer.trouble != Trouble::None;
        assert!((100..800).contains(&all.iter().filter(has_trouble).count()), "troubles");
        let mut risky = all.iter().filter(|customer| has_trouble(customer) || customer.habit.gives_back());
        assert!(risky.all(|customer| customer.arrives <= schedule.at(GIVE_BACK_UNTIL) && customer.wait_ms.is_none()));
        let waits: Vec<u64> = all.iter().filter_map(|customer| customer.wait_ms).collect();
        let to_the_end = waits.iter().filter(|wait_ms| **wait_ms == 0).count();
        assert!(to_the_end > 1_000 && waits.len() - to_the_end > 1_000, "the waitlist");
    }

    #[test]
    fn the_given_part_fails_and_each_attempt_by_itself() {
        let luck = Luck::new(7, 10, &[]);
        let failed = |attempt| {
            let orders = (0..10_000).map(|number| format!("o-{number}-1"));
            orders.filter(|order| luck.packing(1, order, attempt).is_some()).collect::<Vec<_>>()
        };
        let (first, second) = (failed(1), failed(2));
        assert!((850..1_150).contains(&first.len()), "{}", first.len());
        let both = first.iter().filter(|order| second.contains(order)).count();
        assert!((50..150).contains(&both), "{both}");
    }

    #[test]
    fn some_troubles_never_pass() {
        let troubles = [(1, Trouble::NoAddress), (2, Trouble::NoDelivery), (3, Trouble::None)];
        let customer = |(number, trouble)| Customer { trouble, ..Customer::sent_for(number, Duration::ZERO) };
        let luck = Luck::new(7, 0, &troubles.map(customer));
        for attempt in 1..=5 {
            let failures = [1, 2, 3].map(|number| luck.packing(number, "o-1", attempt));
            assert_eq!(failures, [Some(NO_ADDRESS), Some(NO_DELIVERY), None]);
        }
    }
}
