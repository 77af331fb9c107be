//! Customers and their habits.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};

use super::ledger::{CHANGED_MIND, Order};
use super::plan::{Customer, Habit};
use super::shop::{Filler, Origin, Refusal, Shop};

/// Mean times, as parts of the window: until a cart is ordered, until a doubt becomes a cancellation, until what was
/// delivered is sent back.
const THINKS: f64 = 0.02;
const DOUBTS: f64 = 0.012;
const TRIES_ON: f64 = 0.15;
/// How often somebody looks for a parcel, as a part of the window, and until when it may be sent back.
const LOOKS_FOR_PARCEL: f64 = 0.01;
const SENDS_BACK_UNTIL: f64 = 0.85;
/// A cart is ordered in this part of its time at the latest.
const THINKS_AT_MOST_OF_TTL: f64 = 0.5;
/// Carts are used until this part of the window.
const CARTS_UNTIL: f64 = 0.8;
/// Somebody too late to the cart comes this much later than it expired, as a part of its time.
const LATE_BY_OF_TTL: f64 = 0.1;
/// Those who were too early come back within this part of the window.
const BACK_AT_OPENING: f64 = 0.005;
/// The longest a lost connection may have lasted, in turns of all other tasks.
const TURNS_BEFORE_LOSS: u32 = 8;

pub struct Visit {
    shop: Arc<Shop>,
    customer: Customer,
    random: StdRng,
}

impl Visit {
    pub fn new(shop: Arc<Shop>, customer: Customer) -> Visit {
        let random = StdRng::seed_from_u64(shop.seed ^ customer.number.rotate_left(32));
        shop.ledger().counts.arrived += 1;
        Visit { shop, customer, random }
    }

    pub async fn run(mut self) {
        match self.customer.habit {
            Habit::Buys => drop(self.buy().await),
            Habit::SendsTwice => self.send_twice().await,
            Habit::LosesReply => self.lose_reply().await,
            Habit::WantsAnother => self.want_another().await,
            Habit::UsesCart => self.use_cart(Filler::Customer).await,
            Habit::ChangesCart => self.use_cart(Filler::Guest).await,
            Habit::LeavesCart => self.leave_cart().await,
            Habit::LateToCart => self.come_late_to_cart().await,
            Habit::Cancels => drop(self.buy_and_cancel().await),
            Habit::CancelsAndReturns => self.cancel_and_return().await,
            Habit::SendsBack => self.send_back(false).await,
            Habit::SendsBackDamaged => self.send_back(true).await,
        }
    }

    /// The id of this customer's n-th order. Sent again, it stays the same: that is what makes it safe to send again.
    fn order(&self, nth: u32) -> String {
        format!("o-{}-{nth}", self.customer.number)
    }

    fn hold(&self) -> String {
        format!("cart-{}", self.customer.number)
    }

    /// Buys one unit: waits for the opening when early, and on the waitlist when patient. The order's id.
    async fn buy(&mut self) -> Result<String, Refusal> {
        self.buy_as(self.order(1), Origin::Shelf).await
    }

    async fn buy_as(&mut self, order: String, mut from: Origin<'static>) -> Result<String, Refusal> {
        while let Err(refusal) = self.shop.place(&order, &self.customer, from).await {
            from = self.next_try(refusal, from).await?;
        }
        Ok(order)
    }

    /// How to try again after a refusal, when the shop has opened or on the waitlist; the refusal, if there is no use.
    async fn next_try(&mut self, refusal: Refusal, from: Origin<'_>) -> Result<Origin<'static>, Refusal> {
        match (refusal.as_str(), from, self.customer.wait_ms) {
            ("NOTOPEN", ..) => {
                let at = self.shop.schedule.opens + self.some_time(BACK_AT_OPENING);
                self.shop.until(at.max(self.shop.elapsed())).await;
                Ok(Origin::Shelf)
            }
            ("OUTOFSTOCK", Origin::Shelf, Some(wait_ms)) => {
                // Only sneakers are worth a wait.
                self.customer.laces = false;
                Ok(Origin::Waitlist(wait_ms))
            }
            _ => Err(refusal),
        }
    }

    /// A random time, exponential around this part of the window.
    fn some_time(&mut self, mean_part: f64) -> Duration {
        let drawn: f64 = Exp1.sample(&mut self.random);
        self.shop.schedule.window().mul_f64(mean_part * drawn)
    }

    async fn send_twice(&mut self) {
        let order = self.order(1);
        let click = || self.shop.place(&order, &self.customer, Origin::Shelf);
        // Both are on their way at once, as a doubled click sends them.
        let (first, second) = tokio::join!(click(), click());
        if let (Err(refusal), Err(_)) = (first, second)
            && let Ok(from) = self.next_try(refusal, Origin::Shelf).await
            && let Ok(order) = self.buy_as(order, from).await
        {
            let _ = self.shop.place(&order, &self.customer, from).await;
        }
    }

    async fn lose_reply(&mut self) {
        let patience = self.random.random_range(0..=TURNS_BEFORE_LOSS);
        self.shop.place_and_vanish(&self.order(1), &self.customer, patience).await;
        let _ = self.buy().await;
    }

    async fn want_another(&mut self) {
        if self.buy().await.is_ok() {
            // Must be refused: the store's limit is one a customer. The ledger finds out if it is not.
            let _ = self.shop.place(&self.order(2), &self.customer, Origin::Shelf).await;
        }
    }

    /// Fills the cart; whether it is full. Who finds all sold out joins the waitlist instead, if patient.
    async fn fill_cart(&mut self, filler: Filler) -> bool {
        while let Err(refusal) = self.shop.fill(&self.hold(), &self.customer, filler).await {
            match self.next_try(refusal, Origin::Shelf).await {
                Ok(Origin::Shelf) => {}
                Ok(from) => {
                    let _ = self.buy_as(self.order(1), from).await;
                    return false;
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Fills a cart, thinks, and orders what is in it. A guest signs in and changes it before.
    async fn use_cart(&mut self, filler: Filler) {
        if self.shop.elapsed() > self.shop.schedule.at(CARTS_UNTIL) {
            // Little time is left: whoever thinks now would keep the unit until the window has closed.
            let _ = self.buy().await;
        } else if self.fill_cart(filler).await {
            let at_most = self.shop.schedule.cart_ttl().mul_f64(THINKS_AT_MOST_OF_TTL);
            let thinks = self.some_time(THINKS).min(at_most);
            tokio::time::sleep(thinks).await;
            let (hold, customer) = (self.hold(), &self.customer);
            if filler == Filler::Customer || self.shop.fill(&hold, customer, Filler::SignedIn).await.is_ok() {
                let _ = self.shop.place(&self.order(1), customer, Origin::Cart(&hold)).await;
            }
        }
    }

    async fn leave_cart(&mut self) {
        if self.fill_cart(Filler::Customer).await {
            self.shop.ledger().counts.carts_left += 1;
        }
    }

    async fn come_late_to_cart(&mut self) {
        if !self.fill_cart(Filler::Customer).await {
            return;
        }
        self.shop.ledger().counts.carts_left += 1;
        tokio::time::sleep(self.shop.schedule.cart_ttl().mul_f64(1.0 + LATE_BY_OF_TTL)).await;
        let order = self.order(1);
        match self.shop.place(&order, &self.customer, Origin::Cart(&self.hold())).await {
            Err(refusal) if refusal == "EXPIRED" => drop(self.buy_as(self.order(2), Origin::Shelf).await),
            Err(_) => {}
            Ok(()) => {
                self.shop.ledger().complaints.add(format!("order {order} was placed from a cart that had expired"))
            }
        }
    }

    async fn buy_and_cancel(&mut self) -> bool {
        let Ok(order) = self.buy().await else { return false };
        let doubts = self.some_time(DOUBTS);
        tokio::time::sleep(doubts).await;
        self.shop.cancel(&order, self.customer.number, CHANGED_MIND).await
    }

    async fn cancel_and_return(&mut self) {
        if self.buy_and_cancel().await {
            let _ = self.buy_as(self.order(2), Origin::Shelf).await;
        }
    }

    /// Sends the sneaker back when it has come and was tried on, unless it is too late for that.
    async fn send_back(&mut self, damaged: bool) {
        let Ok(order) = self.buy().await else { return };
        let (shop, number) = (Arc::clone(&self.shop), self.customer.number);
        let until = shop.schedule.at(SENDS_BACK_UNTIL);
        while shop.ledger().order(&order).and_then(Order::completed_as).is_none() {
            if shop.elapsed() > until {
                return;
            }
            tokio::time::sleep(shop.schedule.window().mul_f64(LOOKS_FOR_PARCEL)).await;
        }
        let sends_back = shop.elapsed() + self.some_time(TRIES_ON);
        if sends_back <= until {
            shop.until(sends_back).await;
            shop.send_back(&order, number, damaged).await;
        }
    }
}
