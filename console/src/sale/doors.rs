//! The doors of the shop: lets customers in as planned, sends for more when units come back late, and shows it all. The
//! shopkeeper, who reads the dead letters, calls their customers, and queues again what is paid in another way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::ConnectionManager;
use redis::cmd;
use redis::streams::StreamRangeReply;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::customer::Visit;
use super::plan::{Customer, DECLINED_PATTERN};
use super::shop::Shop;
use super::view::{self, View};
use crate::display::Display;
use crate::store::Fields;

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
/// At this part of the window the shopkeeper calls customers whose payments were declined.
const CALLS_AT: f64 = 0.5;
/// One in this many of them has another way to pay.
const PAYS_OTHERWISE: i64 = 2;
/// How long workers may take for what is left when the sale has ended.
const AFTER_HOURS: Duration = Duration::from_secs(30);

pub struct Doors {
    shop: Arc<Shop>,
    connection: ConnectionManager,
    /// Dead letters at the last look.
    dead: i64,
    has_called: bool,
    planned: std::vec::IntoIter<Customer>,
    visits: JoinSet<()>,
    late_visits: JoinSet<()>,
    next_number: u64,
    view: View,
    display: Display,
    now: Fields,
}

impl Doors {
    /// Doors for these customers. Fails when the server cannot be reached.
    pub async fn new(shop: &Arc<Shop>, planned: Vec<Customer>, view: View) -> Result<Doors> {
        Ok(Doors {
            shop: Arc::clone(shop),
            connection: shop.connection(Duration::ZERO).await?,
            dead: 0,
            has_called: false,
            next_number: planned.len() as u64 + 1,
            planned: planned.into_iter(),
            visits: JoinSet::new(),
            late_visits: JoinSet::new(),
            view,
            display: Display::new(LINE_INTERVAL),
            now: Fields::default(),
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
                _ = look.tick() => self.look_around().await?,
            }
        }
        Ok(self.display.clear()?)
    }

    fn is_over(&self, all_came: bool) -> bool {
        let (elapsed, now) = (self.shop.elapsed(), &self.now);
        let all_left = all_came && self.visits.is_empty() && self.late_visits.is_empty();
        // As long as a unit is left, the shopkeeper finds it a customer among those whose orders died.
        let all_sold = now.count("available") <= 0 || now.count("dead-letters") == 0;
        let all_done = all_left && all_sold && view::waiting(now) == 0 && self.shop.ledger().open() == 0;
        let ends = self.shop.schedule.ends;
        (all_done && elapsed >= ends) || elapsed >= ends + AFTER_HOURS
    }

    async fn look_around(&mut self) -> Result<()> {
        match cmd("STORE.INFO").arg(&self.shop.name).query_async::<Fields>(&mut self.connection).await {
            Ok(info) => self.now = info,
            // A failover: keep the last picture, and look again.
            Err(error) if super::shop::may_pass(&error) => {}
            Err(error) => return Err(error).context("looking at the shop with STORE.INFO"),
        }
        self.look_after_the_dead().await?;
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
        let missing = self.now.count("available") as f64 - COUNTED_ON * to_come as f64 - under_way;
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

    /// Looks after the dead letters, as the shop is now. Fails when the server can no longer be asked.
    async fn look_after_the_dead(&mut self) -> Result<()> {
        let (shop, now, connection) = (&self.shop, &self.now, &mut self.connection);
        let (dead, left, elapsed) = (now.count("dead-letters"), now.count("available"), shop.elapsed());
        let is_closed = elapsed >= shop.schedule.closes;
        if dead > 0 && (dead != self.dead || is_closed) {
            read_dead(shop, connection).await?;
        }
        self.dead = dead;
        if is_closed && dead > 0 && left > 0 {
            // Nobody else can order any more: what came back late is sold to those who still want one.
            redrive(shop, connection, None, left).await?;
        } else if dead > 0 && !self.has_called && elapsed >= shop.schedule.at(CALLS_AT) {
            self.has_called = true;
            redrive(shop, connection, Some(DECLINED_PATTERN), (dead / PAYS_OTHERWISE).max(1)).await?;
        }
        Ok(())
    }
}

async fn redrive(shop: &Shop, connection: &mut ConnectionManager, reason: Option<&str>, count: i64) -> Result<()> {
    let mut command = cmd("ORDER.REDRIVE");
    command.arg(&shop.name).arg("ALL").arg(reason.map(|reason| ("REASON", reason))).arg("COUNT").arg(count);
    // Sent again after a lost reply it may queue more: each takes its unit, so there is never one too many.
    shop.send::<u64>(connection, &command).await.map(drop).context("ORDER.REDRIVE")
}

/// Reads the dead letters into the ledger: an order can die with its worker, and then nobody else knows.
/// Replies how many died of what. Fails when the server cannot be asked.
pub async fn read_dead(shop: &Shop, connection: &mut ConnectionManager) -> Result<BTreeMap<String, u64>> {
    let stream = shop.stream("dead");
    let mut command = cmd("XRANGE");
    command.arg(&stream).arg("-").arg("+");
    let letters: StreamRangeReply =
        shop.send(connection, &command).await.with_context(|| format!("reading {stream}"))?;
    let mut reasons = BTreeMap::new();
    let mut ledger = shop.ledger();
    for letter in &letters.ids {
        let field = |name: &str| letter.get::<String>(name).unwrap_or_default();
        ledger.died(&field("order"));
        *reasons.entry(field("reason")).or_default() += 1;
    }
    Ok(reasons)
}
