//! The clients' own ledger: what the server acknowledged to them, kept apart from anything the server keeps.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::plan::Customer;
use crate::check::Complaints;
use crate::text::measured;

const LATENCY_DIGITS: u8 = 3;
/// A day, which is as long as a sale can be.
const LATENCY_MAX_MICROS: u64 = 24 * 3_600 * 1_000_000;
/// Why orders are cancelled: as the customer says, the payment, the shop when the sale is over …
pub const CHANGED_MIND: &str = "changed my mind";
pub const DECLINED: &str = "payment declined";
pub const SALE_OVER: &str = "sale over";
pub const PURGED: &str = "purged";
/// … and by the store itself, which tells it in its stream of alerts.
pub const NOT_PAID: &str = "gate.expired";
pub const WAITED_TOO_LONG: &str = "waitlist.expired";

#[derive(Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, LATENCY_DIGITS).expect("bounds that are in order"))
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
    /// The first acknowledgement of ORDER.PLACE: the id of its entry in the stream; empty as long as it has none.
    entry: Option<String>,
    /// It was sent at least once without a reply: it may be in the store though no reply says so.
    unanswered: bool,
    /// It was placed when all was sold.
    waited: bool,
    express: bool,
    /// It is to be paid before a worker may have it.
    gated: bool,
    paid: bool,
    /// It has laces too, as far as the shop knows.
    pub laces: bool,
    taken: bool,
    /// It was dead at some time: the shopkeeper has asked its customer for the address since.
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
    fn new(customer: &Customer) -> Order {
        let &Customer { number, express, laces, collects, .. } = customer;
        Order {
            customer: number,
            sent: Instant::now(),
            entry: None,
            unanswered: false,
            waited: false,
            express,
            gated: !collects,
            paid: false,
            laces,
            taken: false,
            died: false,
            state: State::Sent,
        }
    }

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
        let was_dead = u64::from(self.state == State::Dead);
        counts.dead -= was_dead;
        match state {
            State::Sent | State::Open => {}
            State::Dead => counts.dead += 1,
            State::Cancelled => counts.cancelled_dead += was_dead,
            State::Completed(_) => {
                counts.completed += 1;
                counts.laces_sold += u64::from(self.laces);
            }
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
    /// Orders cancelled, by the reason.
    pub cancelled: BTreeMap<&'static str, u64>,
    /// Cancellations refused, as the order had been completed.
    pub too_late_to_cancel: u64,
    pub completed: u64,
    /// Orders a worker had taken up when their customer cancelled them.
    pub cancelled_under_way: u64,
    /// Orders that were dead when they were cancelled.
    pub cancelled_dead: u64,
    pub dead: u64,
    /// Passes of the payment that were sent again and got the first reply, and those that came too late.
    pub passed_twice: u64,
    pub paid_too_late: u64,
    /// Laces in completed orders, and those that no picker found.
    pub laces_sold: u64,
    pub laces_lost: u64,
    /// Laces that the shopkeeper sent back to the warehouse.
    pub laces_taken_off: i64,
    /// Units sent back: those on sale again, and those written off.
    pub restocked: u64,
    pub scrapped: u64,
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
    /// Carts of guests who signed in and changed what was in them.
    pub carts_changed: u64,
    /// Orders sent again under the same id that got the first reply.
    pub same_reply: u64,
    /// Connections dropped before the reply to an order could be read.
    pub replies_dropped: u64,
    /// Commands sent again after a lost connection nobody planned.
    pub connections_lost: u64,
    pub refused: BTreeMap<String, u64>,
}

impl Counts {
    pub fn all_cancelled(&self) -> u64 {
        self.cancelled.values().sum()
    }

    pub fn cancelled_as(&self, reason: &str) -> u64 {
        self.cancelled.get(reason).copied().unwrap_or(0)
    }
}

#[derive(Debug, Default)]
pub struct Ledger {
    orders: HashMap<String, Order>,
    pub counts: Counts,
    pub complaints: Complaints,
    pub placing: Latency,
    pub fulfilling: Latency,
    /// From placed to a worker's hands: of orders without express, and with it.
    pub waits: [Latency; 2],
}

impl Ledger {
    /// Enters that a customer sends an order, for the first time or again.
    pub fn sent(&mut self, order: &str, customer: &Customer) {
        let order = self.orders.entry(order.to_string()).or_insert_with(|| Order::new(customer));
        if order.state == State::Sent {
            order.laces = customer.laces;
            // Refused before, it is placed now at the earliest.
            order.sent = if order.unanswered { order.sent } else { Instant::now() };
        }
    }

    /// Enters that no reply says that the order was placed, though it may be in the store.
    pub fn unanswered(&mut self, order: &str) {
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

    /// Enters that an acknowledged order was placed when all was sold.
    pub fn waits(&mut self, id: &str) {
        self.orders.get_mut(id).into_iter().for_each(|order| order.waited = true);
    }

    /// Enters that the payment of an order was passed on to the store, which had it as not cancelled.
    pub fn paid(&mut self, id: &str) {
        match self.orders.get_mut(id).filter(|order| order.gated) {
            Some(order) => self.counts.passed_twice += u64::from(std::mem::replace(&mut order.paid, true)),
            None => self.complaints.add(format!("order {id} waited for a payment, and nobody sent it so")),
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
        // Time on the waitlist is no worker's.
        if !std::mem::replace(&mut order.taken, true) && !order.waited {
            let waited = waited.unwrap_or(order.sent.elapsed());
            self.counts.longest_wait = self.counts.longest_wait.max(waited);
            self.waits[usize::from(order.express)].record(waited);
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
    pub fn cancelled(&mut self, id: &str, reason: &'static str) {
        match self.orders.get_mut(id) {
            Some(order) if !order.has_ended() => {
                order.change(State::Cancelled, &mut self.counts);
                *self.counts.cancelled.entry(reason).or_default() += 1;
            }
            _ => self.complaints.add(format!("order {id}, {reason}: it had ended before or never been sent")),
        }
    }

    /// Enters that the server cancelled an order at somebody's wish, and how many units it put back.
    pub fn put_back(&mut self, id: &str, units: u64, reason: &'static str) {
        let (waited, has) = self.order(id).map_or((false, 0), |order| (order.waited, 1 + u64::from(order.laces)));
        if units > has {
            self.complaints.add(format!("order {id} was cancelled and put back {units} units, and had {has}"));
        }
        // A dead one's units are back already.
        if units == 0 && !waited {
            self.died(id);
        }
        self.cancelled(id, reason);
    }

    /// Enters that the store itself cancelled an order, as its alert says: maybe for the second time, after a crash.
    pub fn expired(&mut self, id: &str, reason: &'static str) {
        let order = self.orders.get(id);
        if order.is_some_and(|order| reason == NOT_PAID && order.paid) {
            self.complaints.add(format!("order {id} was paid, and cancelled as if it were not"));
        }
        if order.is_none_or(|order| order.state != State::Cancelled) {
            self.cancelled(id, reason);
        }
    }

    /// Enters that an order has no laces any more, as the picker found none.
    pub fn laces_lost(&mut self, id: &str) {
        let order = self.orders.get_mut(id);
        self.counts.laces_lost += order.map_or(0, |order| u64::from(std::mem::replace(&mut order.laces, false)));
    }

    /// Enters that a unit of a completed order came back.
    pub fn sent_back(&mut self, id: &str, damaged: bool) {
        if self.order(id).and_then(Order::completed_as).is_none() {
            self.complaints.add(format!("order {id} was sent back, and had not been completed"));
        }
        let count = if damaged { &mut self.counts.scrapped } else { &mut self.counts.restocked };
        *count += 1;
    }

    /// Enters that the server completed an order: the id of its entry in the stream of completed orders.
    pub fn completed(&mut self, id: &str, entry: &str) {
        match self.orders.get_mut(id) {
            Some(order) if !order.has_ended() => {
                order.change(State::Completed(entry.to_string()), &mut self.counts);
                if !order.waited {
                    self.fulfilling.record(order.sent.elapsed());
                }
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
        let counts = &self.counts;
        counts.placed.saturating_sub(counts.completed + counts.all_cancelled() + counts.dead)
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

    fn count(&self, wanted: impl Fn(&Order) -> bool) -> u64 {
        self.orders.values().filter(|order| wanted(order)).count() as u64
    }

    /// Acknowledged orders that neither ended nor are dead; and orders that were worked on although every reply to
    /// their customer was a refusal.
    pub fn lost_and_invented(&self) -> (u64, u64) {
        let lost = self.count(|order| order.entry.is_some() && order.state == State::Open);
        let is_invented = |order: &Order| order.entry.is_none() && !order.unanswered;
        (lost, self.count(|order| is_invented(order) && (order.has_ended() || order.died)))
    }

    /// Orders whose payment was passed; and completed ones that were to be paid, and were not.
    pub fn paid_and_unpaid(&self) -> (u64, u64) {
        let is_unpaid = |order: &Order| order.gated && !order.paid && order.completed_as().is_some();
        (self.count(|order| order.paid), self.count(is_unpaid))
    }

    /// Orders that joined the waitlist, and those of them that were completed.
    pub fn waited_and_served(&self) -> (u64, u64) {
        let is_served = |order: &Order| order.waited && order.completed_as().is_some();
        (self.count(|order| order.waited), self.count(is_served))
    }

    /// Completed orders that were paid as express.
    pub fn express(&self) -> u64 {
        self.count(|order| order.express && order.completed_as().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(number: u64) -> Customer {
        Customer::sent_for(number, Duration::ZERO)
    }

    fn placed(order: &str) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.sent(order, &customer(1));
        ledger.placed(order, "5-0");
        ledger
    }

    #[test]
    fn a_latency_may_be_long() {
        let mut latency = Latency::default();
        [1, 2_000, 7_000].iter().for_each(|ms| latency.record(Duration::from_millis(*ms)));
        assert_eq!(latency.p50_p99(), ["2.0 s", "7.0 s"]);
    }

    #[test]
    fn a_second_yes_must_be_the_first() {
        let mut ledger = placed("o-1");
        ledger.sent("o-1", &customer(1));
        ledger.placed("o-1", "5-0");
        assert_eq!((ledger.counts.placed, ledger.counts.same_reply, ledger.complaints.count), (1, 1, 0));
        ledger.placed("o-1", "6-0");
        ledger.refused("o-1", "OUTOFSTOCK", "OUTOFSTOCK …");
        assert_eq!(ledger.complaints.count, 2);
    }

    #[test]
    fn an_order_ends_once() {
        let mut ledger = placed("o-1");
        ledger.cancelled("o-1", CHANGED_MIND);
        ledger.completed("o-1", "6-0");
        assert_eq!((ledger.counts.all_cancelled(), ledger.counts.completed, ledger.complaints.count), (1, 0, 1));
        assert_eq!((ledger.open(), ledger.counts.doubled), (0, 0));
        ledger.sent("o-2", &customer(2));
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
            ledger.sent(order, &customer(1));
            ledger.taken(order, Some(Duration::from_secs(seconds)));
        }
        assert_eq!(ledger.counts.longest_wait, Duration::from_secs(3));
    }

    #[test]
    fn finds_what_was_lost_invented_or_given_twice() {
        let mut ledger = Ledger::default();
        for (order, number) in [("o-1", 1), ("o-2", 1), ("o-3", 2), ("o-4", 3)] {
            ledger.sent(order, &customer(number));
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

    #[test]
    fn what_the_store_cancels_is_entered_once_and_never_after_the_payment() {
        let mut ledger = placed("o-1");
        ledger.expired("o-1", NOT_PAID);
        ledger.expired("o-1", NOT_PAID);
        assert_eq!((ledger.counts.cancelled_as(NOT_PAID), ledger.complaints.count), (1, 0));
        ledger.sent("o-2", &customer(2));
        ledger.placed("o-2", "");
        ledger.paid("o-2");
        ledger.paid("o-2");
        assert_eq!((ledger.counts.passed_twice, ledger.paid_and_unpaid()), (1, (1, 0)));
        ledger.expired("o-2", NOT_PAID);
        assert_eq!(ledger.complaints.count, 1);
    }

    #[test]
    fn laces_are_lost_once_and_not_sold() {
        let mut ledger = Ledger::default();
        for order in ["o-1", "o-2"] {
            ledger.sent(order, &Customer { laces: true, ..customer(1) });
        }
        ledger.laces_lost("o-1");
        ledger.laces_lost("o-1");
        ledger.completed("o-1", "6-0");
        ledger.completed("o-2", "7-0");
        assert_eq!((ledger.counts.laces_lost, ledger.counts.laces_sold), (1, 1));
        assert_eq!(ledger.paid_and_unpaid(), (0, 2), "both were handed to a worker unpaid");
    }

    #[test]
    fn only_what_was_delivered_is_sent_back() {
        let mut ledger = placed("o-1");
        ledger.sent_back("o-1", true);
        ledger.completed("o-1", "6-0");
        ledger.sent_back("o-1", false);
        assert_eq!((ledger.counts.scrapped, ledger.counts.restocked, ledger.complaints.count), (1, 1, 1));
    }
}
