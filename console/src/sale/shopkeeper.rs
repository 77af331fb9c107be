//! The shopkeeper: reads the alerts and the dead letters, calls customers and redrives their orders, and when the sale
//! is over ends what can no longer be sold.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::cmd;
use redis::streams::StreamRangeReply;

use super::ledger::{NOT_PAID, PURGED, SALE_OVER, WAITED_TOO_LONG};
use super::plan::{NO_ADDRESS, NO_DELIVERY};
use super::shop::{LACES, Shop};
use super::view::Now;
use crate::connect::StoreConnection;

/// From this part of the window on, and if there are units for them, customers whose address is unknown are called.
const CALLS_AT: f64 = 0.4;
/// One in this many of them knows it.
const KNOWS_ADDRESS: i64 = 2;
const ALERTS_PER_READ: usize = 1_000;

pub struct Shopkeeper {
    shop: Arc<Shop>,
    connection: StoreConnection,
    /// Dead letters at the last look.
    dead: i64,
    /// Orders of customers who were called are queued again.
    has_called: bool,
    /// The last alert that was read.
    alert: String,
}

/// An order that is dead, and why.
#[derive(PartialEq, Eq, Hash)]
pub struct DeadLetter {
    pub order: String,
    pub reason: String,
}

impl Shopkeeper {
    /// Fails when the server cannot be reached.
    pub async fn new(shop: &Arc<Shop>) -> Result<Shopkeeper> {
        let (shop, connection) = (Arc::clone(shop), shop.connection(Duration::ZERO).await?);
        Ok(Shopkeeper { shop, connection, dead: 0, has_called: false, alert: "0".to_string() })
    }

    /// Looks after what needs it, as the shop is now. Fails when the server can no longer be asked.
    pub async fn look(&mut self, now: &mut Now) -> Result<()> {
        self.read_alerts().await?;
        // Those who wait for a sneaker get all that come back, and take no laces: nobody wants them any more.
        if now.sneakers.available <= 0 && now.store.count("waitlisted") > 0 {
            self.take_off_laces(now).await?;
        }
        self.look_after_the_dead(now).await
    }

    /// Sends the laces that nobody has ordered back to the warehouse: the shop is sold out.
    async fn take_off_laces(&mut self, now: &mut Now) -> Result<()> {
        let left = now.laces.available;
        if left <= 0 {
            return Ok(());
        }
        let mut command = cmd("INV.ADJUST");
        let reference = format!("laces-{}", self.shop.ledger().counts.laces_taken_off);
        command
            .arg(&self.shop.name)
            .arg(LACES)
            .arg(-left)
            .arg("REASON")
            .arg("to the warehouse")
            .arg("REF")
            .arg(reference);
        self.shop.send::<i64>(&mut self.connection, &command).await.context("INV.ADJUST")?;
        self.shop.ledger().counts.laces_taken_off += left;
        // The next look may find no server and see this picture again: what is taken off is not in it any more.
        now.laces.available = 0;
        Ok(())
    }

    /// Enters what the store did by itself: orders that were not paid, or waited too long for a unit.
    async fn read_alerts(&mut self) -> Result<()> {
        let stream = self.shop.stream("alerts");
        loop {
            let mut command = cmd("XRANGE");
            command.arg(&stream).arg(format!("({}", self.alert)).arg("+").arg("COUNT").arg(ALERTS_PER_READ);
            let alerts: StreamRangeReply = self.shop.send(&mut self.connection, &command).await?;
            let Some(last) = alerts.ids.last() else { return Ok(()) };
            self.alert.clone_from(&last.id);
            let mut ledger = self.shop.ledger();
            for alert in &alerts.ids {
                let kind: String = alert.get("kind").unwrap_or_default();
                let reason = [NOT_PAID, WAITED_TOO_LONG].into_iter().find(|reason| *reason == kind);
                let order: String = alert.get("order").unwrap_or_default();
                reason.into_iter().for_each(|reason| ledger.expired(&order, reason));
            }
        }
    }

    async fn look_after_the_dead(&mut self, now: &Now) -> Result<()> {
        let (dead, left, elapsed) = (now.store.count("dead-letters"), now.sneakers.available, self.shop.elapsed());
        let schedule = self.shop.schedule;
        let is_closed = elapsed >= schedule.closes;
        if dead > 0 && (dead != self.dead || is_closed) {
            read_dead(&self.shop, &mut self.connection).await?;
        }
        self.dead = dead;
        if is_closed && dead > 0 && left > 0 {
            // Nobody else can order any more: what came back late is sold to those who still want one.
            self.redrive(None, left).await?;
        } else if dead > 0 && !self.has_called && elapsed >= schedule.at(CALLS_AT) {
            self.has_called = self.redrive(Some(NO_ADDRESS), (dead / KNOWS_ADDRESS).max(1)).await? > 0;
        }
        Ok(())
    }

    /// Queues dead orders again, as long as there are units for them; how many. None while the store moves: it is done
    /// at a later look.
    async fn redrive(&mut self, reason: Option<&str>, count: i64) -> Result<u64> {
        let mut command = cmd("ORDER.REDRIVE");
        command.arg(&self.shop.name).arg("ALL").arg(reason.map(|reason| ("REASON", reason))).arg("COUNT").arg(count);
        // Sent again after a lost reply it may queue more: each takes its unit, so there is never one too many.
        let redriven = self.shop.send_work(&mut self.connection, &command).await.context("ORDER.REDRIVE")?;
        Ok(redriven.unwrap_or(0))
    }

    /// Nothing more can come back: cancels those who still wait for a unit, and purges the orders that nobody can
    /// deliver. Fails when the server can no longer be asked.
    pub async fn close(&mut self, now: &mut Now) -> Result<()> {
        self.take_off_laces(now).await?;
        for order in self.shop.orders_in("waitlisted", &mut self.connection).await? {
            let customer = self.shop.ledger().order(&order).map_or(0, |order| order.customer);
            self.shop.cancel(&order, customer, SALE_OVER).await;
        }
        let before = read_dead(&self.shop, &mut self.connection).await?;
        if !before.iter().any(|letter| letter.reason == NO_DELIVERY) {
            return Ok(());
        }
        let purge = cmd("ORDER.PURGE").arg(&self.shop.name).arg("REASON").arg(NO_DELIVERY).take();
        self.shop.send_work::<u64>(&mut self.connection, &purge).await.context("ORDER.PURGE")?;
        // The streams say which: a count would be wrong if it was sent again after a lost reply. Those that are left,
        // while the store moves, are purged at the next look.
        let after: HashSet<DeadLetter> = read_dead(&self.shop, &mut self.connection).await?.into_iter().collect();
        let mut ledger = self.shop.ledger();
        before.iter().filter(|letter| !after.contains(letter)).for_each(|gone| ledger.cancelled(&gone.order, PURGED));
        Ok(())
    }
}

/// Reads the dead letters into the ledger: an order can die with its worker, and then nobody else knows.
/// Fails when the server cannot be asked.
pub async fn read_dead(shop: &Shop, connection: &mut StoreConnection) -> Result<Vec<DeadLetter>> {
    let stream = shop.stream("dead");
    let command = cmd("XRANGE").arg(&stream).arg("-").arg("+").take();
    let letters: StreamRangeReply =
        shop.send(connection, &command).await.with_context(|| format!("reading {stream}"))?;
    let mut ledger = shop.ledger();
    let read = letters.ids.iter().map(|letter| {
        let field = |name: &str| letter.get::<String>(name).unwrap_or_default();
        let letter = DeadLetter { order: field("order"), reason: field("reason") };
        ledger.died(&letter.order);
        letter
    });
    Ok(read.collect())
}
