//! After the sale: do the server, its audit and the clients' ledger tell the same story?

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use redis::aio::ConnectionManager;
use redis::streams::{StreamId, StreamRangeReply};
use redis::{Value, cmd};

use super::ledger::Ledger;
use super::shop::{Info, SKU, Shop, customer_id};
use super::shopkeeper;
use super::source::StreamGroup;
use crate::store::{self, SkuCounts};
use crate::text::grouped;

/// Entries of a stream read at a time.
const ENTRIES_PER_READ: usize = 1_000;

/// What the checks found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Units in completed orders, as the store's own stream tells.
    pub sold: i64,
    /// Customers with more than one unit: by the stream or by the ledger, whichever is worse.
    pub customers_with_more_than_one: u64,
    /// Acknowledged orders that neither ended nor are dead.
    pub lost: u64,
    /// Orders that were completed more than once: by the stream or by the ledger, whichever is worse.
    pub doubled: u64,
    /// Dead letters, by what they died of.
    pub dead: BTreeMap<String, u64>,
    /// The store's own counts.
    pub info: Info,
    /// A line for each disagreement.
    pub disagreements: Vec<String>,
}

impl Verdict {
    fn expect(&mut self, what: &str, found: i64, wanted: i64) {
        if found != wanted {
            let text = format!("{what}: {}, wanted {}", grouped(found), grouped(wanted));
            self.disagreements.push(text);
        }
    }
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

/// Asks the server everything that can be asked, and compares.
///
/// # Errors
/// When the server cannot be asked.
pub async fn verify(shop: &Shop, units: i64) -> Result<Verdict> {
    let mut connection = shop.own_connection().await?;
    let mut verdict = Verdict::default();
    let completed = read_completed(shop, &mut connection).await?;
    check_counts(shop, &mut connection, units, &mut verdict).await?;
    verdict.dead = shopkeeper::read_dead(shop, &mut connection).await?;
    check_info(shop, &mut connection, &mut verdict).await?;
    check_audit(shop, &mut connection, &mut verdict).await?;
    check_streams(shop, &mut connection, &mut verdict).await?;
    let ledger = shop.ledger();
    compare_with_ledger(&ledger, &completed, &mut verdict);
    check_ledger(&ledger, units, &mut verdict);
    Ok(verdict)
}

async fn read_completed(shop: &Shop, connection: &mut ConnectionManager) -> Result<Completed> {
    let stream = shop.stream("complete");
    let mut completed = Completed::default();
    let mut from = "-".to_string();
    loop {
        let page: StreamRangeReply = cmd("XRANGE")
            .arg(&stream)
            .arg(&from)
            .arg("+")
            .arg("COUNT")
            .arg(ENTRIES_PER_READ)
            .query_async(connection)
            .await
            .with_context(|| format!("reading {stream}"))?;
        page.ids.iter().for_each(|entry| completed.add(entry));
        match page.ids.last() {
            // An exclusive start: the entry after the last one read.
            Some(last) => from = format!("({}", last.id),
            None => return Ok(completed),
        }
    }
}

async fn check_counts(
    shop: &Shop,
    connection: &mut ConnectionManager,
    units: i64,
    verdict: &mut Verdict,
) -> Result<()> {
    let counts: Vec<Option<SkuCounts>> = cmd("INV.GET").arg(&shop.name).arg(SKU).query_async(connection).await?;
    let counts = counts.first().copied().flatten().context("the server no longer knows the product")?;
    let completed = i64::try_from(shop.ledger().tally.completed)?;
    verdict.expect("INV.GET on_hand", counts.on_hand, units - completed);
    verdict.expect("INV.GET held", counts.held, 0);
    verdict.expect("INV.GET available", counts.available, units - completed);
    verdict.expect("INV.GET sold", counts.sold, completed);
    Ok(())
}

/// Orders by state and live holds, as the store counts them; and each order completed once, as it counted them.
async fn check_info(shop: &Shop, connection: &mut ConnectionManager, verdict: &mut Verdict) -> Result<()> {
    let reply: Value = cmd("STORE.INFO").arg(&shop.name).query_async(connection).await?;
    verdict.info = Info::read(reply.clone())?;
    let [placed, completed, cancelled, dead, cancelled_dead] = {
        let tally = &shop.ledger().tally;
        [tally.placed, tally.completed, tally.cancelled, tally.dead, tally.cancelled_dead].map(|count| count as i64)
    };
    let none_left = ["queued", "claimed", "retrying", "holds", "workers"].map(|state| (state, 0));
    let ended = [("completed", completed), ("cancelled", cancelled), ("dead", dead)];
    // An order that died is dead still, or was queued anew, or cancelled.
    let died = dead + cancelled_dead + verdict.info.count("redriven-total");
    let counted = [("placed-total", placed), ("completed-total", completed), ("dead-total", died)];
    let wanted = [&none_left[..], &ended[..], &counted[..]].concat();
    verdict.disagreements.extend(store::info_findings(reply, &wanted)?);
    Ok(())
}

/// Nothing is left to do, not even in the pending list of a consumer group, and every dead letter is one that is known.
async fn check_streams(shop: &Shop, connection: &mut ConnectionManager, verdict: &mut Verdict) -> Result<()> {
    let dead = i64::try_from(shop.ledger().tally.dead)?;
    for (stream, wanted) in [("orders", 0), ("retry", 0), ("dead", dead)] {
        let stream = shop.stream(stream);
        let length: i64 = cmd("XLEN").arg(&stream).query_async(connection).await?;
        verdict.expect(&format!("entries in {stream}"), length, wanted);
    }
    let pending = StreamGroup::pending(shop, connection).await?;
    verdict.expect("entries pending in the counters' consumer group", pending, 0);
    Ok(())
}

async fn check_audit(shop: &Shop, connection: &mut ConnectionManager, verdict: &mut Verdict) -> Result<()> {
    let audit: Value = cmd("STORE.AUDIT").arg(&shop.name).query_async(connection).await?;
    let findings = store::audit_findings(audit)?;
    verdict.disagreements.extend(findings.into_iter().map(|finding| format!("STORE.AUDIT: {finding}")));
    Ok(())
}

/// Order by order: what the stream says was completed is what workers were told, and for whom.
fn compare_with_ledger(ledger: &Ledger, completed: &Completed, verdict: &mut Verdict) {
    verdict.sold = completed.units;
    verdict.disagreements.extend(completed.oddities.iter().cloned());
    let strangers = completed.orders.iter().filter(|(order, (customer, entry))| {
        ledger.completed_as(order) != Some(entry)
            || ledger.customer_of(order).map(customer_id).as_ref() != Some(customer)
    });
    verdict.doubled = completed.doubled.max(ledger.tally.doubled);
    verdict.expect("orders in the stream that no worker completed so", strangers.count() as i64, 0);
    let told = ledger.tally.completed as i64;
    verdict.expect("entries in the stream of completed orders", completed.orders.len() as i64, told);
    let greedy = completed.units_by_customer.values().filter(|&&units| units > 1).count() as u64;
    verdict.customers_with_more_than_one = greedy.max(ledger.customers_with_more_than_one());
    verdict.expect("customers with more than one unit", verdict.customers_with_more_than_one as i64, 0);
}

/// The ledger by itself: every order that was acknowledged ended once, and all units are sold.
fn check_ledger(ledger: &Ledger, units: i64, verdict: &mut Verdict) {
    let (lost, invented) = ledger.lost_and_invented();
    verdict.lost = lost;
    verdict.expect("acknowledged orders that never ended", lost as i64, 0);
    verdict.expect("refused orders that were worked on", invented as i64, 0);
    verdict.expect("units sold", verdict.sold, units);
    verdict.disagreements.extend(ledger.tally.complaints_kept.iter().cloned());
    let unsaid = ledger.tally.complaints - ledger.tally.complaints_kept.len() as u64;
    if unsaid > 0 {
        verdict.disagreements.push(format!("… and {} more of this kind", grouped(unsaid)));
    }
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
        let mut ledger = Ledger::new();
        for &(order, customer) in orders {
            ledger.sent(order, customer);
            ledger.placed(order, order);
            ledger.completed(order, &format!("{order}-0"));
        }
        ledger
    }

    #[test]
    fn agreement_is_silent() {
        let mut completed = Completed::default();
        completed.add(&entry("o-1", "c-1", r#"[["sneaker",1]]"#));
        let ledger = ledger(&[("o-1", 1)]);
        let mut verdict = Verdict::default();
        compare_with_ledger(&ledger, &completed, &mut verdict);
        check_ledger(&ledger, 1, &mut verdict);
        assert_eq!(verdict.disagreements, Vec::<String>::new());
        assert_eq!(verdict.sold, 1);
    }

    #[test]
    fn a_sale_too_many_is_found() {
        let mut completed = Completed::default();
        completed.add(&entry("o-1", "c-1", r#"[["sneaker",1]]"#));
        completed.add(&entry("o-2", "c-1", r#"[["sneaker",1]]"#));
        completed.add(&entry("o-2", "c-1", "not items"));
        let mut verdict = Verdict::default();
        compare_with_ledger(&ledger(&[("o-1", 1)]), &completed, &mut verdict);
        assert_eq!(verdict.customers_with_more_than_one, 1);
        assert_eq!(verdict.doubled, 1);
        assert_eq!(verdict.disagreements.len(), 5, "{:?}", verdict.disagreements);
    }

    #[test]
    fn an_order_that_is_neither_ended_nor_dead_is_lost() {
        let mut ledger = ledger(&[("o-1", 1)]);
        for (order, customer) in [("o-2", 2), ("o-3", 3)] {
            ledger.sent(order, customer);
            ledger.placed(order, order);
        }
        ledger.died("o-3");
        let mut verdict = Verdict::default();
        check_ledger(&ledger, 0, &mut verdict);
        assert_eq!(verdict.lost, 1);
    }
}
