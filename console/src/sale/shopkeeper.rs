//! The shopkeeper: reads the dead letters, calls their customers, and queues again what is paid in another way.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use redis::aio::ConnectionManager;
use redis::cmd;
use redis::streams::StreamRangeReply;

use super::payments::DECLINED_PATTERN;
use super::shop::Shop;
use crate::store::Fields;

/// At this part of the window the shopkeeper calls customers whose payments were declined.
const CALLS_AT: f64 = 0.5;
/// One in this many of them has another way to pay.
const PAYS_OTHERWISE: i64 = 2;

#[derive(Debug, Default)]
pub struct Shopkeeper {
    /// Dead letters at the last look.
    dead: i64,
    has_called: bool,
}

impl Shopkeeper {
    /// Looks after the dead letters, as the shop is now. Fails when the server can no longer be asked.
    pub async fn look(&mut self, shop: &Shop, connection: &mut ConnectionManager, now: &Fields) -> Result<()> {
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
