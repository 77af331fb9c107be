//! What one sees of a sale when it is over.

use std::io::{BufRead, IsTerminal};

use anyhow::{Result, bail};
use holdfast_lab::{Server, cleanup};
use textwrap::WordSplitter;

use super::ledger::{CHANGED_MIND, Counts, DECLINED, Latency, Ledger, NOT_PAID, PURGED, SALE_OVER, WAITED_TOO_LONG};
use super::shop::Shop;
use super::verify::Verdict;
use super::view::refusals;
use crate::text::{Paint, counted, grouped, measured};
use crate::watch::Watch;

/// Columns of a label, and of the text behind it: a terminal of 80 columns shows both.
const LABEL_WIDTH: usize = 19;
const TEXT_WIDTH: usize = 58;

/// Prints what was sold and to whom, and what the checks say. Fails when anything disagrees.
pub fn print(shop: &Shop, verdict: &Verdict) -> Result<()> {
    let paint = Paint::for_stdout();
    let ledger = shop.ledger();
    let units = verdict.stock.sneakers;
    let (sold, oversold) = (verdict.sold, (verdict.sold - units).max(0));
    let (lost, doubled) = (verdict.lost, verdict.doubled);
    let headline = counted!("sold {} of {}, oversold {}, lost {}, doubled {}", sold, units, oversold, lost, doubled);
    println!("\n  {}\n", paint.strong(headline));
    let wrapping = textwrap::Options::new(TEXT_WIDTH).word_splitter(WordSplitter::NoHyphenation);
    let rows = [
        customer_rows(&ledger.counts),
        order_rows(&ledger),
        work_rows(&ledger, verdict),
        time_rows(&ledger, shop.seed),
    ];
    for (label, text) in rows.iter().flatten() {
        for (nth, line) in textwrap::wrap(text, &wrapping).iter().enumerate() {
            println!("  {}{line}", paint.quiet(format!("{:<LABEL_WIDTH$}", if nth == 0 { label } else { "" })));
        }
    }
    println!();
    let findings = &verdict.findings.0;
    if findings.is_empty() {
        let greedy = verdict.customers_with_more_than_one;
        for text in [
            "STORE.AUDIT is clean: stock, holds, orders and queues add up".to_string(),
            counted!("customers with more than one sneaker: {}", greedy),
            counted!("the clients' own ledger agrees: {} orders, none lost, none doubled", ledger.counts.placed),
        ] {
            println!("  {} {text}", paint.good("✓"));
        }
        println!();
        return Ok(());
    }
    findings.iter().for_each(|text| println!("  {} {text}", paint.bad("✗")));
    println!();
    bail!("the sale did not come out right: {} findings (seed {})", findings.len(), shop.seed)
}

type Row = (&'static str, String);

fn customer_rows(counts: &Counts) -> Vec<Row> {
    let mut rows = vec![("customers", counted!("{} came", counts.arrived))];
    if counts.came_for_returned_units > 0 {
        let late = counted!("{} sent for, as units were still to be had", counts.came_for_returned_units);
        rows.push(("late customers", late));
    }
    let &Counts { carts, carts_left, carts_changed, same_reply, replies_dropped, .. } = counts;
    rows.extend([
        ("carts", counted!("{} filled, {} left to expire", carts, carts_left)),
        ("carts changed", counted!("{} by guests who signed in, in one step (REPLACE)", carts_changed)),
        ("sent twice", counted!("{} orders, each got the first reply", same_reply)),
        ("reply lost", counted!("{} connections dropped, the order sent again", replies_dropped)),
        ("refused", refusals(counts, ", ")),
    ]);
    rows
}

fn order_rows(ledger: &Ledger) -> Vec<Row> {
    let counts = &ledger.counts;
    let &Counts { placed, completed, dead, cancelled_under_way: taken, too_late_to_cancel: late, .. } = counts;
    let &Counts { restocked, scrapped, laces_sold, laces_lost, passed_twice, paid_too_late: given_back, .. } = counts;
    let cancelled = counts.all_cancelled();
    let [own, declined, not_paid, gave_up, in_vain] =
        [CHANGED_MIND, DECLINED, NOT_PAID, WAITED_TOO_LONG, SALE_OVER].map(|reason| counts.cancelled_as(reason));
    let ((paid, _), (waited, served)) = (ledger.paid_and_unpaid(), ledger.waited_and_served());
    let taken_off = counts.laces_taken_off;
    vec![
        ("orders", counted!("{} placed: {} completed, {} cancelled, {} dead", placed, completed, cancelled, dead)),
        ("cancelled", counted!("{} by customers, {} while packed; {} came too late", own, taken, late)),
        (
            "payments",
            counted!("{} passed, {} twice; {} declined, {} given back", paid, passed_twice, declined, given_back),
        ),
        ("never paid", counted!("{} orders, whose gate expired", not_paid)),
        ("waitlist", counted!("{} joined: {} got a pair, {} gave up, {} got none", waited, served, gave_up, in_vain)),
        ("sent back", counted!("{} sold again; {} damaged and written off (SCRAP)", restocked, scrapped)),
        ("laces", counted!("{} sold, {} not found (LOST), {} to the warehouse", laces_sold, laces_lost, taken_off)),
    ]
}

fn work_rows(ledger: &Ledger, verdict: &Verdict) -> Vec<Row> {
    let counts = &ledger.counts;
    let [retried, failed, expired, redriven] =
        ["retried", "failed", "lapsed", "redriven"].map(|name| verdict.info.count(name));
    let &Counts { died, died_with, went_home, given_back, handed_over, in_two_hands, .. } = counts;
    vec![
        ("retries", counted!("{}, after {} attempts that failed", retried, failed)),
        ("workers", counted!("{} died with {} orders in hand, and were replaced", died, died_with)),
        ("reclaimed", counted!("{} orders, as the worker's lease had ended", expired)),
        ("too late", counted!("{} orders of slow workers, refused, not counted (FENCED)", counts.too_late)),
        ("leases", counted!("{} made longer in time", counts.renewed)),
        ("went home early", counted!("{} workers, who gave {} orders back", went_home, given_back)),
        ("counter", counted!("{} collected; {} a worker had too: the first one counts", handed_over, in_two_hands)),
        ("dead letters", dead_letters(verdict)),
        ("queued again", counted!("{} dead letters, as the customer gave an address", redriven)),
        ("purged", counted!("{} dead letters, as nobody delivers there", counts.cancelled_as(PURGED))),
    ]
}

fn dead_letters(verdict: &Verdict) -> String {
    let reasons = verdict.dead.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count)));
    if verdict.dead.is_empty() { "none left".to_string() } else { reasons.collect::<Vec<_>>().join(", ") }
}

fn time_rows(ledger: &Ledger, seed: u64) -> Vec<Row> {
    let counts = &ledger.counts;
    let percentiles = |latency: &Latency| {
        let [p50, p99] = latency.p50_p99();
        format!("p50 {p50}, p99 {p99}")
    };
    let [[others, _], [express, _]] = [0, 1].map(|lane| ledger.waits[lane].p50_p99());
    let express = format!("{} orders, p50 {express} to a worker's hands; others {others}", grouped(ledger.express()));
    let mut rows = vec![
        ("express lane", express),
        ("longest wait", format!("{}, from placed to a worker's hands", measured(counts.longest_wait))),
        ("placing", percentiles(&ledger.placing)),
        ("placed → completed", percentiles(&ledger.fulfilling)),
        ("seed", seed.to_string()),
    ];
    if counts.connections_lost > 0 {
        rows.push(("connections lost", counted!("{}, their commands sent again", counts.connections_lost)));
    }
    rows
}

/// Keeps our server and its page up until Enter or Ctrl-C, at a terminal. Fails when that cannot be read.
pub fn stay(server: &Server, shop: &Shop, page: Option<&Watch>) -> Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    cleanup::interrupt_means(0);
    let paint = Paint::for_stdout();
    let name = &shop.name;
    let order = shop.ledger().an_order().unwrap_or("o-1-1").to_string();
    println!("  The server is still up. Look around:\n");
    if let Some(page) = page {
        println!("    {}", paint.strong(page.url()));
    }
    println!("    {}\n", paint.strong(format!("redis-cli -p {}", server.port())));
    for command in [
        format!("STORE.INFO {name}"),
        format!("ORDER.GET {name} {order}"),
        format!("XREVRANGE {} + - COUNT 3", shop.stream("complete")),
        format!("XRANGE {} - + COUNT 3", shop.stream("dead")),
        format!("XREVRANGE {} + - COUNT 3", shop.stream("alerts")),
    ] {
        println!("    {}", paint.cool(command));
    }
    println!("\n  {}", paint.quiet("Enter or Ctrl-C ends it."));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_counted_by_reason() {
        let mut verdict = Verdict::default();
        assert_eq!(dead_letters(&verdict), "none left");
        verdict.dead = [("card stolen".to_string(), 19), ("payment declined".to_string(), 1_002)].into();
        assert_eq!(dead_letters(&verdict), "19 card stolen, 1,002 payment declined");
    }
}
