//! Payments: whether one goes through depends on the customer's card and on chance, which the seed decides.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::plan::{Card, Customer};

/// Reasons of ORDER.FAIL. The shopkeeper redrives dead letters by the first one's first word.
const DECLINED: &str = "payment declined";
/// There is no use in trying again.
pub const STOLEN: &str = "card stolen";
/// The pattern of reasons after which a customer may well pay in another way.
pub const DECLINED_PATTERN: &str = "payment*";

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
    use std::time::Duration;

    use super::*;

    fn customer(number: u64, card: Card) -> Customer {
        Customer { card, ..Customer::sent_for(number, Duration::ZERO) }
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
        let payments = Payments::new(7, 0, &[customer(1, Card::Empty), customer(2, Card::Stolen)]);
        for attempt in 1..=5 {
            assert_eq!(payments.attempt(1, "o-1-1", attempt), Some(DECLINED));
        }
        assert_eq!(payments.attempt(2, "o-2-1", 1), Some(STOLEN));
        assert_eq!(payments.attempt(3, "o-3-1", 1), None);
    }
}
