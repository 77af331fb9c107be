//! Customers and their habits.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};

use super::plan::{Customer, Habit};
use super::shop::{Refusal, Shop};

/// Mean times, as parts of the window: until a cart is ordered, until a doubt becomes a cancellation, until a customer
/// looks in again at a shop that was sold out.
const THINKS: f64 = 0.02;
const DOUBTS: f64 = 0.012;
const LOOKS_IN_AGAIN: f64 = 0.08;
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
            Habit::UsesCart => self.use_cart().await,
            Habit::LeavesCart => self.leave_cart().await,
            Habit::LateToCart => self.come_late_to_cart().await,
            Habit::Cancels => drop(self.buy_and_cancel().await),
            Habit::CancelsAndReturns => self.cancel_and_return().await,
        }
    }

    /// The id of this customer's n-th order. Sent again, it stays the same: that is what makes it safe to send again.
    fn order(&self, nth: u32) -> String {
        format!("o-{}-{nth}", self.customer.number)
    }

    fn hold(&self) -> String {
        format!("cart-{}", self.customer.number)
    }

    /// Buys one unit: waits for the opening when early, and looks in again when patient. The order's id.
    async fn buy(&mut self) -> Result<String, Refusal> {
        self.buy_as(self.order(1)).await
    }

    async fn buy_as(&mut self, order: String) -> Result<String, Refusal> {
        while let Err(refusal) = self.shop.place(&order, &self.customer, None).await {
            self.come_back_after(refusal).await?;
        }
        Ok(order)
    }

    /// Waits for the next try after a refusal, or gives up and hands the refusal back.
    async fn come_back_after(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        let schedule = self.shop.schedule;
        if refusal == "NOTOPEN" {
            let at = schedule.opens + self.some_time(BACK_AT_OPENING);
            self.shop.until(at.max(self.shop.elapsed())).await;
            return Ok(());
        }
        let later = self.shop.elapsed() + self.some_time(LOOKS_IN_AGAIN);
        if refusal == "OUTOFSTOCK" && self.customer.patient && later < schedule.closes {
            self.shop.until(later).await;
            return Ok(());
        }
        Err(refusal)
    }

    /// A random time, exponential around this part of the window.
    fn some_time(&mut self, mean_part: f64) -> Duration {
        let drawn: f64 = Exp1.sample(&mut self.random);
        self.shop.schedule.window().mul_f64(mean_part * drawn)
    }

    async fn send_twice(&mut self) {
        let order = self.order(1);
        let click = || self.shop.place(&order, &self.customer, None);
        // Both are on their way at once, as a doubled click sends them.
        let (first, second) = tokio::join!(click(), click());
        if let (Err(refusal), Err(_)) = (first, second)
            && self.come_back_after(refusal).await.is_ok()
            && self.buy().await.is_ok()
        {
            let _ = self.shop.place(&order, &self.customer, None).await;
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
            let _ = self.shop.place(&self.order(2), &self.customer, None).await;
        }
    }

    /// Puts a unit into the cart, as patiently as one buys.
    async fn fill_cart(&mut self) -> bool {
        while let Err(refusal) = self.shop.reserve(&self.hold(), self.customer.number).await {
            if self.come_back_after(refusal).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn use_cart(&mut self) {
        if self.shop.elapsed() > self.shop.schedule.at(CARTS_UNTIL) {
            // Little time is left: whoever thinks now would keep the unit until the window has closed.
            let _ = self.buy().await;
        } else if self.fill_cart().await {
            let at_most = self.shop.schedule.cart_ttl().mul_f64(THINKS_AT_MOST_OF_TTL);
            let thinks = self.some_time(THINKS).min(at_most);
            tokio::time::sleep(thinks).await;
            let _ = self.shop.place(&self.order(1), &self.customer, Some(&self.hold())).await;
        }
    }

    async fn leave_cart(&mut self) {
        if self.fill_cart().await {
            self.shop.ledger().counts.carts_left += 1;
        }
    }

    async fn come_late_to_cart(&mut self) {
        if !self.fill_cart().await {
            return;
        }
        self.shop.ledger().counts.carts_left += 1;
        tokio::time::sleep(self.shop.schedule.cart_ttl().mul_f64(1.0 + LATE_BY_OF_TTL)).await;
        let order = self.order(1);
        match self.shop.place(&order, &self.customer, Some(&self.hold())).await {
            Err(refusal) if refusal == "EXPIRED" => drop(self.buy_as(self.order(2)).await),
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
        self.shop.cancel(&order, self.customer.number).await
    }

    async fn cancel_and_return(&mut self) {
        if self.buy_and_cancel().await {
            let _ = self.buy_as(self.order(2)).await;
        }
    }
}
