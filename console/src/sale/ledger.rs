//! The clients' own ledger: what the server acknowledged to them, kept apart from anything the server keeps.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::check::Complaints;
use crate::text::measured;

const LATENCY_DIGITS: u8 = 3;

#[derive(Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new(LATENCY_DIGITS).expect("a few digits"))
    }
}

impl Latency {
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The times that half of all, and 99 of a hundred, did not exceed; dashes when there is none yet.
    pub fn p50_p99(&self) -> [String; 2] {
        [0.5, 0.99].map(|share| match self.0.is_empty() {
            true => "–".to_string(),
            false => measured(Duration::from_micros(self.0.value_at_quantile(share))),
        })
    }
}

#[derive(Debug)]
pub struct Order {
    pub customer: u64,
    sent: Instant,
    /// The first acknowledgement of ORDER.PLACE: the id of its entry in the stream.
    entry: Option<String>,
    /// It was sent at least once without a reply: it may be in the store though no reply says so.
    unanswered: bool,
    taken: bool,
    /// It was dead at some time: its customer pays in another way since.
    pub died: bool,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Sent; nobody knows yet whether it is in the store.
    Sent,
    /// In the store: acknowledged, or seen by a worker.
    Open,
    /// Out of attempts, or hopeless: it waits for the shopkeeper.
    Dead,
    Cancelled,
    /// The id of its entry in the stream of completed orders, as its worker heard.
    Completed(String),
}

impl Order {
    fn has_ended(&self) -> bool {
        matches!(self.state, State::Cancelled | State::Completed(_))
    }

    /// The id of the entry that it was completed with, as the worker heard.
    pub fn completed_as(&self) -> Option<&str> {
        match &self.state {
            State::Completed(entry) => Some(entry),
            _ => None,
        }
    }

    fn change(&mut self, state: State, counts: &mut Counts) {
        // A worker can be faster than the reply to the customer.
        counts.placed += u64::from(self.state == State::Sent);
        counts.dead -= u64::from(self.state == State::Dead);
        match state {
            State::Sent | State::Open => {}
            State::Dead => counts.dead += 1,
            State::Cancelled => counts.cancelled += 1,
            State::Completed(_) => counts.completed += 1,
        }
        self.state = state;
    }
}

#[derive(Debug, Default)]
pub struct Counts {
    /// Customers who have come, planned or not.
    pub arrived: u64,
    /// Of these, those who heard that units had come back.
    pub came_for_returned_units: u64,
    /// Distinct orders that were acknowledged, or seen by a worker before their customer heard of it.
    pub placed: u64,
    pub cancelled: u64,
    /// Cancellations refused, as the order had been completed.
    pub too_late_to_cancel: u64,
    pub completed: u64,
    /// Orders a worker had taken up when their customer cancelled them.
    pub cancelled_under_way: u64,
    /// Orders that were dead when their customer cancelled them.
    pub cancelled_dead: u64,
    pub dead: u64,
    /// Orders that more than one worker has completed.
    pub doubled: u64,
    /// Workers who were gone without a word, and the orders they had in hand.
    pub died: u64,
    pub died_with: u64,
    /// Workers who went home before the end, and the orders they gave back.
    pub went_home: u64,
    pub given_back: u64,
    /// Orders that a worker came too late for: the lease had expired.
    pub too_late: u64,
    pub renewed: u64,
    pub handed_over: u64,
    /// Orders that the counter and a worker had at the same time: the first to complete it did, the other was refused.
    pub in_two_hands: u64,
    /// The longest time an order waited until a worker had it.
    pub longest_wait: Duration,
    pub carts: u64,
    pub carts_left: u64,
    /// Orders sent again under the same id that got the first reply.
    pub same_reply: u64,
    /// Connections dropped before the reply to an order could be read.
    pub replies_dropped: u64,
    /// Commands sent again after a lost connection nobody planned.
    pub connections_lost: u64,
    pub refused: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    orders: HashMap<String, Order>,
    pub counts: Counts,
    pub complaints: Complaints,
    pub placing: Latency,
    pub fulfilling: Latency,
}

impl Ledger {
    /// Enters that a customer sends an order, for the first time or again.
    pub fn sent(&mut self, order: &str, customer: u64) {
        let sent = Instant::now();
        let new =
            Order { customer, sent, entry: None, unanswered: false, taken: false, died: false, state: State::Sent };
        let order = self.orders.entry(order.to_string()).or_insert(new);
        // Refused before, it is placed now at the earliest.
        if order.state == State::Sent && !order.unanswered {
            order.sent = sent;
        }
    }

    /// Enters that the reply to an order can never arrive.
    pub fn unanswered(&mut self, order: &str) {
        self.counts.replies_dropped += 1;
        if let Some(order) = self.orders.get_mut(order) {
            order.unanswered = true;
        }
    }

    /// Enters that the server said yes to an order. A second yes must be the same as the first.
    pub fn placed(&mut self, id: &str, entry: &str) {
        let Some(order) = self.orders.get_mut(id) else {
            return self.complaints.add(format!("order {id} was acknowledged, and nobody sent it"));
        };
        match &order.entry {
            None => {
                order.entry = Some(entry.to_string());
                if order.state == State::Sent {
                    order.change(State::Open, &mut self.counts);
                }
            }
            Some(first) if first == entry => self.counts.same_reply += 1,
            Some(first) => {
                let complaint = format!("order {id} was acknowledged as {first}, and then as {entry}");
                self.complaints.add(complaint);
            }
        }
    }

    /// Enters a refusal of an order or a hold. An order that was acknowledged before cannot be refused afterwards.
    pub fn refused(&mut self, id: &str, code: &str, message: &str) {
        if self.orders.get(id).is_some_and(|order| order.entry.is_some()) {
            return self.complaints.add(format!("order {id} was acknowledged, and then refused: {message}"));
        }
        *self.counts.refused.entry(code.to_string()).or_default() += 1;
    }

    /// Enters that a worker has an order in hand, and how long it waited, where the worker knows.
    pub fn taken(&mut self, id: &str, waited: Option<Duration>) {
        let Some(order) = self.orders.get_mut(id).filter(|order| !order.has_ended()) else { return };
        if order.state == State::Dead {
            // It was queued again.
            order.change(State::Open, &mut self.counts);
        }
        if !std::mem::replace(&mut order.taken, true) {
            let waited = waited.unwrap_or(order.sent.elapsed());
            self.counts.longest_wait = self.counts.longest_wait.max(waited);
        }
    }

    /// Enters that an order is dead, as its worker heard, or as the stream of dead letters says.
    pub fn died(&mut self, id: &str) {
        let Some(order) = self.orders.get_mut(id) else {
            return self.complaints.add(format!("order {id} is dead, and nobody sent it"));
        };
        // What a worker heard may be late: the order can have been queued again, and have ended, since.
        if !order.has_ended() && order.state != State::Dead {
            order.died = true;
            order.change(State::Dead, &mut self.counts);
        }
    }

    /// Enters that the server cancelled an order.
    pub fn cancelled(&mut self, id: &str) {
        match self.orders.get_mut(id) {
            Some(order) if !order.has_ended() => order.change(State::Cancelled, &mut self.counts),
            _ => self.complaints.add(format!("order {id} was cancelled, and had ended before or never been sent")),
        }
    }

    /// Enters that the server completed an order: the id of its entry in the stream of completed orders.
    pub fn completed(&mut self, id: &str, entry: &str) {
        match self.orders.get_mut(id) {
            Some(order) if !order.has_ended() => {
                order.change(State::Completed(entry.to_string()), &mut self.counts);
                let took = order.sent.elapsed();
                self.fulfilling.record(took);
            }
            order => {
                let was_completed = order.is_some_and(|order| order.completed_as().is_some());
                self.counts.doubled += u64::from(was_completed);
                self.complaints.add(format!("order {id} was completed, and had ended before or never been sent"));
            }
        }
    }

    /// Orders acknowledged that have not ended and are not dead, as far as clients know.
    pub fn open(&self) -> u64 {
        self.counts.placed.saturating_sub(self.counts.completed + self.counts.cancelled + self.counts.dead)
    }

    pub fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(id)
    }

    fn all_completed(&self) -> impl Iterator<Item = (&String, &Order)> {
        self.orders.iter().filter(|(_, order)| order.completed_as().is_some())
    }

    /// An order that was completed, to show what became of one.
    pub fn an_order(&self) -> Option<&str> {
        self.all_completed().max_by_key(|(_, order)| order.sent).map(|(id, _)| id.as_str())
    }

    /// Customers with more than one unit in orders that were completed.
    pub fn customers_with_more_than_one(&self) -> u64 {
        let mut units: HashMap<u64, u64> = HashMap::new();
        self.all_completed().for_each(|(_, order)| *units.entry(order.customer).or_default() += 1);
        units.values().filter(|&&units| units > 1).count() as u64
    }

    /// Acknowledged orders that neither ended nor are dead; and orders that were worked on although every reply to
    /// their customer was a refusal.
    pub fn lost_and_invented(&self) -> (u64, u64) {
        let count = |wanted: fn(&Order) -> bool| self.orders.values().filter(|order| wanted(order)).count() as u64;
        let lost = count(|order| order.entry.is_some() && order.state == State::Open);
        let invented = count(|order| order.entry.is_none() && !order.unanswered && (order.has_ended() || order.died));
        (lost, invented)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(order: &str) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.sent(order, 1);
        ledger.placed(order, "5-0");
        ledger
    }

    #[test]
    fn a_second_yes_must_be_the_first() {
        let mut ledger = placed("o-1");
        ledger.sent("o-1", 1);
        ledger.placed("o-1", "5-0");
        assert_eq!((ledger.counts.placed, ledger.counts.same_reply, ledger.complaints.count), (1, 1, 0));
        ledger.placed("o-1", "6-0");
        ledger.refused("o-1", "OUTOFSTOCK", "OUTOFSTOCK …");
        assert_eq!(ledger.complaints.count, 2);
    }

    #[test]
    fn an_order_ends_once() {
        let mut ledger = placed("o-1");
        ledger.cancelled("o-1");
        ledger.completed("o-1", "6-0");
        assert_eq!((ledger.counts.cancelled, ledger.counts.completed, ledger.complaints.count), (1, 0, 1));
        assert_eq!((ledger.open(), ledger.counts.doubled), (0, 0));
        ledger.sent("o-2", 2);
        ledger.placed("o-2", "7-0");
        ledger.completed("o-2", "8-0");
        ledger.completed("o-2", "9-0");
        assert_eq!((ledger.counts.completed, ledger.counts.doubled), (1, 1));
        assert_eq!(ledger.order("o-2").and_then(Order::completed_as), Some("8-0"));
    }

    #[test]
    fn a_dead_order_waits_for_the_shopkeeper_and_may_be_worked_on_again() {
        let mut ledger = placed("o-1");
        ledger.died("o-1");
        ledger.died("o-1");
        assert_eq!((ledger.counts.dead, ledger.open(), ledger.lost_and_invented()), (1, 0, (0, 0)));
        ledger.taken("o-1", None);
        assert_eq!((ledger.counts.dead, ledger.open(), ledger.lost_and_invented()), (0, 1, (1, 0)));
        assert!(ledger.order("o-1").is_some_and(|order| order.died));
        ledger.completed("o-1", "6-0");
        ledger.died("o-1");
        assert_eq!((ledger.counts.dead, ledger.counts.completed, ledger.open()), (0, 1, 0));
    }

    #[test]
    fn the_longest_wait_is_until_the_first_worker() {
        let mut ledger = Ledger::default();
        for (order, seconds) in [("o-1", 1), ("o-2", 3), ("o-2", 9), ("o-3", 2)] {
            ledger.sent(order, 1);
            ledger.taken(order, Some(Duration::from_secs(seconds)));
        }
        assert_eq!(ledger.counts.longest_wait, Duration::from_secs(3));
    }

    #[test]
    fn finds_what_was_lost_invented_or_given_twice() {
        let mut ledger = Ledger::default();
        for (order, customer) in [("o-1", 1), ("o-2", 1), ("o-3", 2), ("o-4", 3)] {
            ledger.sent(order, customer);
        }
        for order in ["o-1", "o-2", "o-3"] {
            ledger.placed(order, order);
        }
        for order in ["o-1", "o-2", "o-4"] {
            ledger.completed(order, order);
        }
        assert_eq!(ledger.lost_and_invented(), (1, 1));
        assert_eq!(ledger.customers_with_more_than_one(), 1);
    }
}
