//! After the sale: do the server, its audit and the clients' ledger agree?

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result};
use redis::streams::{StreamId, StreamRangeReply};
use redis::{Connection, cmd};

use super::doors;
use super::ledger::{Ledger, Order};
use super::shop::{SKU, Shop, customer_id};
use super::source;
use crate::check::{self, Findings};
use crate::store::{Fields, SkuCounts};

const ENTRIES_PER_READ: usize = 1_000;

#[derive(Debug, Default)]
pub struct Verdict {
    /// Units in completed orders, as the store's own stream has them.
    pub sold: i64,
    /// Customers with more than one unit: by the stream or by the ledger, whichever is worse.
    pub customers_with_more_than_one: u64,
    /// Acknowledged orders that neither ended nor are dead.
    pub lost: u64,
    /// Orders that were completed more than once: by the stream or by the ledger, whichever is worse.
    pub doubled: u64,
    pub dead: BTreeMap<String, u64>,
    pub info: Fields,
    pub findings: Findings,
}

/// What the stream of completed orders says, added up.
#[derive(Debug, Default)]
struct Completed {
    /// The customer, and the id of the entry, by order.
    orders: HashMap<String, (String, String)>,
    doubled: u64,
    units: i64,
    units_by_customer: HashMap<String, i64>,
    oddities: Vec<String>,
}

impl Completed {
    fn read(shop: &Shop, connection: &mut Connection) -> Result<Completed> {
        let stream = shop.stream("complete");
        let mut completed = Completed::default();
        let mut from = "-".to_string();
        loop {
            let mut read = cmd("XRANGE");
            read.arg(&stream).arg(&from).arg("+").arg("COUNT").arg(ENTRIES_PER_READ);
            let page: StreamRangeReply = read.query(connection).with_context(|| format!("reading {stream}"))?;
            page.ids.iter().for_each(|entry| completed.add(entry));
            match page.ids.last() {
                // An exclusive start: the entry after the last one read.
                Some(last) => from = format!("({}", last.id),
                None => return Ok(completed),
            }
        }
    }

    fn add(&mut self, entry: &StreamId) {
        let field = |name: &str| entry.get::<String>(name).unwrap_or_default();
        let (order, customer) = (field("order"), field("customer"));
        match serde_json::from_str::<Vec<(String, i64)>>(&field("items")) {
            Ok(items) => {
                let units: i64 = items.iter().map(|(_, units)| units).sum();
                self.units += units;
                *self.units_by_customer.entry(customer.clone()).or_default() += units;
            }
            Err(error) => self.oddities.push(format!("items of entry {}: {error}", entry.id)),
        }
        if self.orders.insert(order.clone(), (customer, entry.id.clone())).is_some() {
            self.doubled += 1;
            self.oddities.push(format!("order {order} was completed twice"));
        }
    }
}

/// Asks the server everything that can be asked, and compares. Fails when the server cannot be asked.
pub async fn verify(shop: &Shop, connection: &mut Connection, units: i64) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let completed = Completed::read(shop, connection)?;
    check_stock(shop, connection, units, &mut verdict.findings)?;
    verdict.dead = doors::read_dead(shop, &mut shop.connection(Duration::ZERO).await?).await?;
    verdict.info = check::info(connection, &shop.name)?;
    let ledger = shop.ledger();
    check_info(&ledger, &mut verdict);
    verdict.findings.check_audit(connection, &shop.name)?;
    // Nothing is left to do, not even in the pending list of a consumer group, and every dead letter is known.
    let lengths = [("orders", 0), ("retry", 0), ("dead", i64::try_from(ledger.counts.dead)?)];
    verdict.findings.check_streams(connection, &shop.name, &lengths)?;
    let pending = source::pending(shop, connection)?;
    verdict.findings.expect("entries pending in the counters' consumer group", pending, 0);
    compare_with_ledger(&ledger, &completed, &mut verdict);
    check_ledger(&ledger, units, &mut verdict);
    Ok(verdict)
}

fn check_stock(shop: &Shop, connection: &mut Connection, units: i64, findings: &mut Findings) -> Result<()> {
    let counts: Vec<Option<SkuCounts>> = cmd("INV.GET").arg(&shop.name).arg(SKU).query(connection)?;
    let counts = counts.first().copied().flatten().context("the server no longer knows the product")?;
    let completed = i64::try_from(shop.ledger().counts.completed)?;
    findings.expect("INV.GET on-hand", counts.on_hand, units - completed);
    findings.expect("INV.GET held", counts.held, 0);
    findings.expect("INV.GET available", counts.available, units - completed);
    findings.expect("INV.GET sold", counts.sold, completed);
    Ok(())
}

/// Orders by state and live holds, as the store counts them; and each order completed once, as it counted them.
fn check_info(ledger: &Ledger, verdict: &mut Verdict) {
    let counts = &ledger.counts;
    let [placed, completed, cancelled, dead, cancelled_dead] =
        [counts.placed, counts.completed, counts.cancelled, counts.dead, counts.cancelled_dead].map(|n| n as i64);
    let none_left = ["queued", "in-work", "retrying", "holds", "workers"].map(|state| (state, 0));
    let ended = [("completed-kept", completed), ("cancelled-kept", cancelled), ("dead-letters", dead)];
    // An order that died is dead still, or was queued again, or cancelled.
    let died = dead + cancelled_dead + verdict.info.count("redriven");
    let counted = [("placed", placed), ("completed", completed), ("dead", died)];
    verdict.findings.check_info(&verdict.info, &[&none_left[..], &ended, &counted].concat());
}

/// Order by order: what the stream says was completed is what workers heard, and for whom.
fn compare_with_ledger(ledger: &Ledger, completed: &Completed, verdict: &mut Verdict) {
    verdict.sold = completed.units;
    verdict.findings.0.extend(completed.oddities.iter().cloned());
    let is_strange = |(order, (customer, entry)): &(&String, &(String, String))| {
        let known = ledger.order(order);
        known.and_then(Order::completed_as) != Some(entry)
            || known.map(|known| customer_id(known.customer)).as_ref() != Some(customer)
    };
    let strangers = completed.orders.iter().filter(is_strange).count() as i64;
    verdict.findings.expect("orders in the stream that no worker completed so", strangers, 0);
    let entries = completed.orders.len() as i64;
    verdict.findings.expect("entries in the stream of completed orders", entries, ledger.counts.completed as i64);
    verdict.doubled = completed.doubled.max(ledger.counts.doubled);
    let greedy = completed.units_by_customer.values().filter(|&&units| units > 1).count() as u64;
    verdict.customers_with_more_than_one = greedy.max(ledger.customers_with_more_than_one());
    verdict.findings.expect("customers with more than one unit", verdict.customers_with_more_than_one as i64, 0);
}

/// The ledger by itself: every order that was acknowledged ended once, and all units are sold.
fn check_ledger(ledger: &Ledger, units: i64, verdict: &mut Verdict) {
    let (lost, invented) = ledger.lost_and_invented();
    verdict.lost = lost;
    verdict.findings.expect("acknowledged orders that never ended", lost as i64, 0);
    verdict.findings.expect("refused orders that were worked on", invented as i64, 0);
    verdict.findings.expect("units sold", verdict.sold, units);
    verdict.findings.add_complaints(&ledger.complaints);
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::Value;

    fn entry(order: &str, customer: &str, items: &str) -> StreamId {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = [("order", order), ("customer", customer), ("items", items)];
        let map = fields.into_iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        StreamId { id: format!("{order}-0"), map, ..StreamId::default() }
    }

    fn ledger(orders: &[(&str, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for &(order, customer) in orders {
            ledger.sent(order, customer);
            ledger.placed(order, order);
            ledger.completed(order, &format!("{order}-0"));
        }
        ledger
    }

    #[test]
    fn a_sale_too_many_is_found() {
        let mut completed = Completed::default();
        completed.add(&entry("o-1", "c-1", r#"[["sneaker",1]]"#));
        let mut verdict = Verdict::default();
        compare_with_ledger(&ledger(&[("o-1", 1)]), &completed, &mut verdict);
        assert_eq!((verdict.sold, verdict.findings.0.len()), (1, 0), "agreement is silent");
        completed.add(&entry("o-2", "c-1", r#"[["sneaker",1]]"#));
        completed.add(&entry("o-2", "c-1", "not items"));
        let mut verdict = Verdict::default();
        compare_with_ledger(&ledger(&[("o-1", 1)]), &completed, &mut verdict);
        assert_eq!(verdict.customers_with_more_than_one, 1);
        assert_eq!(verdict.doubled, 1);
        assert_eq!(verdict.findings.0.len(), 5, "{:?}", verdict.findings);
    }
}
