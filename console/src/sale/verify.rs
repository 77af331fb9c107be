//! After the sale: do the server, its audit and the clients' ledger agree?

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result};
use redis::streams::{StreamId, StreamRangeReply};
use redis::{ConnectionLike, cmd};

use super::ledger::{Ledger, NOT_PAID, Order, WAITED_TOO_LONG};
use super::plan::Stock;
use super::shop::{LACES, SNEAKER, Shop, customer_id, items};
use super::shopkeeper;
use super::source;
use crate::check::{self, Findings};
use crate::store::{Fields, SkuCounts};

const ENTRIES_PER_READ: usize = 1_000;

#[derive(Debug, Default)]
pub struct Verdict {
    pub stock: Stock,
    /// Sneakers in completed orders, as the store's own stream has them, less those that came back and were sold again.
    pub sold: i64,
    /// Customers with more than one sneaker in completed orders: by the stream or by the ledger, whichever is worse.
    pub customers_with_more_than_one: u64,
    /// Acknowledged orders that neither ended nor are dead.
    pub lost: u64,
    /// Orders that were completed more than once: by the stream or by the ledger, whichever is worse.
    pub doubled: u64,
    pub dead: BTreeMap<String, u64>,
    pub info: Fields,
    pub findings: Findings,
}

/// Reads a stream from its first entry to its last.
fn entries(
    shop: &Shop,
    connection: &mut dyn ConnectionLike,
    name: &str,
    mut each: impl FnMut(&StreamId),
) -> Result<()> {
    let stream = shop.stream(name);
    let mut from = "-".to_string();
    loop {
        let mut read = cmd("XRANGE");
        read.arg(&stream).arg(&from).arg("+").arg("COUNT").arg(ENTRIES_PER_READ);
        let page: StreamRangeReply = read.query(connection).with_context(|| format!("reading {stream}"))?;
        page.ids.iter().for_each(&mut each);
        match page.ids.last() {
            // An exclusive start: the entry after the last one read.
            Some(last) => from = format!("({}", last.id),
            None => return Ok(()),
        }
    }
}

/// An order as the stream of completed orders has it.
#[derive(Debug, PartialEq, Eq)]
struct Completion {
    customer: String,
    entry: String,
    items: Vec<(String, i64)>,
}

/// What the stream of completed orders says, added up.
#[derive(Debug, Default)]
struct Completed {
    orders: HashMap<String, Completion>,
    doubled: u64,
    /// Sneakers.
    units: i64,
    units_by_customer: HashMap<String, i64>,
    oddities: Vec<String>,
}

impl Completed {
    fn add(&mut self, entry: &StreamId) {
        let field = |name: &str| entry.get::<String>(name).unwrap_or_default();
        let (order, customer) = (field("order"), field("customer"));
        let items: Vec<(String, i64)> = serde_json::from_str(&field("items")).unwrap_or_else(|error| {
            self.oddities.push(format!("items of entry {}: {error}", entry.id));
            Vec::new()
        });
        let units: i64 = items.iter().filter(|(sku, _)| sku == SNEAKER).map(|(_, units)| units).sum();
        self.units += units;
        *self.units_by_customer.entry(customer.clone()).or_default() += units;
        let completion = Completion { customer, entry: entry.id.clone(), items };
        if self.orders.insert(order.clone(), completion).is_some() {
            self.doubled += 1;
            self.oddities.push(format!("order {order} was completed twice"));
        }
    }
}

/// Asks the server everything that can be asked, and compares. Fails when the server cannot be asked.
pub async fn verify(shop: &Shop, connection: &mut dyn ConnectionLike, stock: Stock) -> Result<Verdict> {
    let mut verdict = Verdict { stock, ..Verdict::default() };
    let mut completed = Completed::default();
    entries(shop, connection, "complete", |entry| completed.add(entry))?;
    check_stock(shop, connection, &mut verdict)?;
    for letter in shopkeeper::read_dead(shop, &mut shop.connection(Duration::ZERO).await?).await? {
        *verdict.dead.entry(letter.reason).or_default() += 1;
    }
    verdict.info = check::info(connection, &shop.name)?;
    let ledger = shop.ledger();
    check_info(&ledger, &mut verdict);
    check_alerts(shop, connection, &ledger, &mut verdict)?;
    verdict.findings.check_audit(connection, &shop.name)?;
    // Nothing is left to do, not even in the pending list of a consumer group, and every dead letter is known.
    let lengths = [("orders", 0), ("retry", 0), ("dead", i64::try_from(ledger.counts.dead)?)];
    verdict.findings.check_streams(connection, &shop.name, &lengths)?;
    let pending = source::pending(shop, connection)?;
    verdict.findings.expect("entries pending in the counters' consumer group", pending, 0);
    compare_with_ledger(&ledger, &completed, &mut verdict);
    check_ledger(&ledger, &mut verdict);
    Ok(verdict)
}

/// What is left, and what was sold of it: what came back is on sale again, or was written off and is not, like what was
/// never there.
fn check_stock(shop: &Shop, connection: &mut dyn ConnectionLike, verdict: &mut Verdict) -> Result<()> {
    let mut get = cmd("INV.GET");
    get.arg(&shop.name).arg(SNEAKER).arg(LACES);
    let found: [Option<SkuCounts>; 2] = get.query(connection)?;
    let ledger = shop.ledger();
    let counts = &ledger.counts;
    let [completed, restocked, scrapped, laces, laces_lost] =
        [counts.completed, counts.restocked, counts.scrapped, counts.laces_sold, counts.laces_lost].map(|n| n as i64);
    let laces_left = verdict.stock.laces - laces - laces_lost - counts.laces_taken_off;
    let sneakers_left = verdict.stock.sneakers - completed + restocked;
    let wanted = [(SNEAKER, sneakers_left, completed - restocked - scrapped), (LACES, laces_left, laces)];
    for ((sku, left, sold), found) in wanted.into_iter().zip(found) {
        let found = found.with_context(|| format!("the server no longer knows {sku}"))?;
        let counts = [("on-hand", found.on_hand, left), ("held", found.held, 0), ("available", found.available, left)];
        for (name, found, wanted) in counts.into_iter().chain([("sold", found.sold, sold)]) {
            verdict.findings.expect(&format!("INV.GET {sku} {name}"), found, wanted);
        }
    }
    Ok(())
}

/// Orders by state and live holds, as the store counts them; and each order that ended, as it counted them.
fn check_info(ledger: &Ledger, verdict: &mut Verdict) {
    let counts = &ledger.counts;
    let [placed, completed, cancelled, dead, cancelled_dead] =
        [counts.placed, counts.completed, counts.all_cancelled(), counts.dead, counts.cancelled_dead].map(|n| n as i64);
    let [not_paid, gave_up] = [NOT_PAID, WAITED_TOO_LONG].map(|reason| counts.cancelled_as(reason) as i64);
    let none_left =
        ["waitlisted", "pending", "queued", "in-work", "retrying", "holds", "workers"].map(|state| (state, 0));
    let ended = [("completed-kept", completed), ("cancelled-kept", cancelled), ("dead-letters", dead)];
    // An order that died is dead still, or was queued again, or cancelled.
    let died = dead + cancelled_dead + verdict.info.count("redriven");
    let counted = [("placed", placed), ("completed", completed), ("cancelled", cancelled), ("dead", died)];
    let expired = [("gates-expired", not_paid), ("waitlist-expired", gave_up)];
    let returned = [("returned", (counts.restocked + counts.scrapped) as i64)];
    verdict.findings.check_info(&verdict.info, &[&none_left[..], &ended, &counted, &expired, &returned].concat());
}

/// An alert for each order that was not paid, that waited too long, or that died. In a cluster some may be missing:
/// none is written while the stream is on another node than the store.
fn check_alerts(
    shop: &Shop,
    connection: &mut dyn ConnectionLike,
    ledger: &Ledger,
    verdict: &mut Verdict,
) -> Result<()> {
    let mut alerts: HashMap<String, i64> = HashMap::new();
    entries(shop, connection, "alerts", |alert| {
        *alerts.entry(alert.get("kind").unwrap_or_default()).or_default() += 1
    })?;
    let expired = [NOT_PAID, WAITED_TOO_LONG].map(|kind| (kind, ledger.counts.cancelled_as(kind) as i64));
    for (kind, wanted) in expired.into_iter().chain([("order.dead", verdict.info.count("dead"))]) {
        let found = alerts.get(kind).copied().unwrap_or(0);
        if found > wanted || !shop.is_in_cluster() {
            verdict.findings.expect(&format!("alerts {kind}"), found, wanted);
        }
    }
    Ok(())
}

/// Order by order: what the stream says was completed is what workers heard, for whom, and what was in it.
fn compare_with_ledger(ledger: &Ledger, completed: &Completed, verdict: &mut Verdict) {
    verdict.sold = completed.units - ledger.counts.restocked as i64;
    verdict.findings.0.extend(completed.oddities.iter().cloned());
    let is_strange = |(order, found): &(&String, &Completion)| {
        let known = ledger.order(order).and_then(|order| Some((order, order.completed_as()?)));
        known.is_none_or(|(order, entry)| **found != expected(order, entry))
    };
    let strangers = completed.orders.iter().filter(is_strange).count() as i64;
    verdict.findings.expect("orders in the stream that no worker completed so", strangers, 0);
    let entries = completed.orders.len() as i64;
    verdict.findings.expect("entries in the stream of completed orders", entries, ledger.counts.completed as i64);
    verdict.doubled = completed.doubled.max(ledger.counts.doubled);
    let greedy = completed.units_by_customer.values().filter(|&&units| units > 1).count() as u64;
    verdict.customers_with_more_than_one = greedy.max(ledger.customers_with_more_than_one());
    verdict.findings.expect("customers with more than one sneaker", verdict.customers_with_more_than_one as i64, 0);
}

/// A completed order as the ledger has it.
fn expected(order: &Order, entry: &str) -> Completion {
    let items = items(order.laces).into_iter().map(|(sku, units)| (sku.to_string(), units)).collect();
    Completion { customer: customer_id(order.customer), entry: entry.to_string(), items }
}

/// The ledger by itself: every order that was acknowledged ended once, what was completed was paid, and all is sold.
fn check_ledger(ledger: &Ledger, verdict: &mut Verdict) {
    let (lost, invented) = ledger.lost_and_invented();
    verdict.lost = lost;
    let (_, unpaid) = ledger.paid_and_unpaid();
    verdict.findings.expect("acknowledged orders that never ended", lost as i64, 0);
    verdict.findings.expect("refused orders that were worked on", invented as i64, 0);
    verdict.findings.expect("completed orders that nobody paid for", unpaid as i64, 0);
    verdict.findings.expect("units sold", verdict.sold, verdict.stock.sneakers);
    verdict.findings.add_complaints(&ledger.complaints);
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::super::plan::Customer;
    use super::*;

    fn entry(order: &str, customer: &str, items: &str) -> StreamId {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = [("order", order), ("customer", customer), ("items", items)];
        let map = fields.into_iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        StreamId { id: format!("{order}-0"), map, ..StreamId::default() }
    }

    fn ledger(orders: &[(&str, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for &(order, customer) in orders {
            ledger.sent(order, &Customer::sent_for(customer, Duration::ZERO));
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

    #[test]
    fn an_order_with_other_items_than_the_ledger_has_is_found() {
        for (items, findings) in [(r#"[["sneaker",1]]"#, 0), (r#"[["sneaker",1],["laces",1]]"#, 1)] {
            let (mut completed, mut verdict) = (Completed::default(), Verdict::default());
            completed.add(&entry("o-1", "c-1", items));
            compare_with_ledger(&ledger(&[("o-1", 1)]), &completed, &mut verdict);
            assert_eq!((verdict.sold, verdict.findings.0.len()), (1, findings), "{items}");
        }
    }
}
