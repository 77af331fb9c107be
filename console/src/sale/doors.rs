//! The doors of the shop: lets customers in as planned, sends for more when units come back late, and shows it all.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::pipe;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::customer::Visit;
use super::plan::Customer;
use super::shop::{LACES, SNEAKER, Shop};
use super::shopkeeper::Shopkeeper;
use super::view::{Now, View};
use crate::connect::{StoreConnection, may_pass};
use crate::display::Display;
use crate::store::{Fields, SkuCounts};

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// From this part of the window on, more customers are sent for when those still to come are too few.
const SEND_FOR_MORE_FROM: f64 = 0.6;
/// At this part of the window all units should be sold.
const SOLD_BY: f64 = 0.92;
/// Of the customers still to come, this share is counted on to buy a unit.
const COUNTED_ON: f64 = 0.7;
/// How much faster than just in time late customers are sent for.
const HASTE: f64 = 3.0;
/// When the sale has ended, workers go on with what is left. It is given up once no order has ended for so long: a slow
/// machine takes its time.
const AFTER_HOURS: Duration = Duration::from_secs(30);

pub struct Doors {
    shop: Arc<Shop>,
    connection: StoreConnection,
    shopkeeper: Shopkeeper,
    planned: std::vec::IntoIter<Customer>,
    visits: JoinSet<()>,
    late_visits: JoinSet<()>,
    next_number: u64,
    view: View,
    display: Display,
    now: Now,
    /// How many orders have ended, and when that was seen first.
    ended: (i64, Duration),
}

impl Doors {
    /// Doors for these customers. Fails when the server cannot be reached.
    pub async fn new(shop: &Arc<Shop>, planned: Vec<Customer>, view: View) -> Result<Doors> {
        Ok(Doors {
            shop: Arc::clone(shop),
            connection: shop.connection(Duration::ZERO).await?,
            shopkeeper: Shopkeeper::new(shop).await?,
            next_number: planned.len() as u64 + 1,
            planned: planned.into_iter(),
            visits: JoinSet::new(),
            late_visits: JoinSet::new(),
            view,
            display: Display::new(LINE_INTERVAL),
            now: Now::default(),
            ended: (0, Duration::ZERO),
        })
    }

    /// Lets everybody in, until they have left and no order waits. Fails when the server or the display does.
    pub async fn run(mut self) -> Result<()> {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = self.planned.next();
        while !self.is_over(next.is_none()) {
            let arrives = next.map_or(Duration::ZERO, |customer| customer.arrives);
            tokio::select! {
                () = self.shop.until(arrives), if next.is_some() => {
                    if let Some(customer) = std::mem::replace(&mut next, self.planned.next()) {
                        self.visits.spawn(Visit::new(Arc::clone(&self.shop), customer).run());
                    }
                }
                _ = look.tick() => self.look_around(next.is_none()).await?,
            }
        }
        Ok(self.display.clear()?)
    }

    fn is_over(&self, all_came: bool) -> bool {
        let (elapsed, ends) = (self.shop.elapsed(), self.shop.schedule.ends);
        let all_gone = self.now.laces.available <= 0 && self.shop.ledger().open() == 0;
        let all_done = self.nothing_comes_back(all_came) && all_gone;
        (all_done && elapsed >= ends) || elapsed >= self.ended.1.max(ends) + AFTER_HOURS
    }

    /// Whether everybody has left, and nothing that is set aside can come back to be sold.
    fn nothing_comes_back(&self, all_came: bool) -> bool {
        let Now { store, sneakers, .. } = &self.now;
        let all_left = all_came && self.visits.is_empty() && self.late_visits.is_empty();
        // As long as a unit is left, the shopkeeper finds it a customer among those whose orders died.
        let all_sold = sneakers.available <= 0 || store.count("dead-letters") == 0;
        all_left && all_sold && self.now.open_orders() == 0 && store.count("holds") == 0
    }

    async fn look_around(&mut self, all_came: bool) -> Result<()> {
        let mut questions = pipe();
        questions.cmd("STORE.INFO").arg(&self.shop.name);
        questions.cmd("INV.GET").arg(&self.shop.name).arg(SNEAKER).arg(LACES);
        match questions.query_async::<(Fields, [SkuCounts; 2])>(&mut self.connection).await {
            Ok((store, [sneakers, laces])) => self.now = Now { store, sneakers, laces },
            // A failover: keep the last picture, and look again.
            Err(error) if may_pass(&error) => {}
            Err(error) => return Err(error).context("looking at the shop with STORE.INFO and INV.GET"),
        }
        let ended = self.now.store.count("completed") + self.now.store.count("cancelled");
        if ended != self.ended.0 {
            self.ended = (ended, self.shop.elapsed());
        }
        self.shopkeeper.look(&mut self.now).await?;
        if self.shop.elapsed() >= self.shop.schedule.closes && self.nothing_comes_back(all_came) {
            self.shopkeeper.close(&mut self.now).await?;
        }
        while self.visits.try_join_next().is_some() {}
        while self.late_visits.try_join_next().is_some() {}
        for _ in 0..self.more_wanted() {
            let customer = Customer::sent_for(self.next_number, self.shop.elapsed());
            self.next_number += 1;
            self.shop.ledger().counts.came_for_returned_units += 1;
            self.late_visits.spawn(Visit::new(Arc::clone(&self.shop), customer).run());
        }
        self.view.record(self.shop.elapsed(), &self.shop.ledger().counts);
        self.show()
    }

    /// How many customers to send for now: those still to come may be too few for the units that came back.
    fn more_wanted(&self) -> u64 {
        let (elapsed, schedule) = (self.shop.elapsed(), self.shop.schedule);
        if elapsed < schedule.at(SEND_FOR_MORE_FROM) || elapsed >= schedule.closes {
            return 0;
        }
        let to_come = self.planned.as_slice().partition_point(|customer| customer.arrives < schedule.closes);
        let under_way = self.late_visits.len() as f64;
        let missing = self.now.sneakers.available as f64 - COUNTED_ON * to_come as f64 - under_way;
        if missing <= 0.0 {
            return 0;
        }
        let looks_left = schedule.at(SOLD_BY).saturating_sub(elapsed).as_secs_f64() / LOOK_INTERVAL.as_secs_f64();
        (missing * HASTE / looks_left.max(HASTE)).ceil() as u64
    }

    fn show(&mut self) -> Result<()> {
        if !self.display.is_due() {
            return Ok(());
        }
        let ledger = self.shop.ledger();
        let at = self.shop.elapsed();
        let (view, now) = (&self.view, &self.now);
        Ok(self.display.show(|| view.picture(at, now, &ledger), || view.line(at, now, &ledger))?)
    }
}
