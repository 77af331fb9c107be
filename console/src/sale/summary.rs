//! What one sees of a sale when it is over.

use std::io::{BufRead, IsTerminal};

use anyhow::{bail, Result};

use super::ledger::{Latency, Ledger};
use super::shop::Shop;
use super::verify::Verdict;
use super::view::refusals;
use crate::cleanup;
use crate::server::Server;
use crate::text::{grouped, Paint};

/// Prints what was sold and to whom, and what the checks say.
///
/// # Errors
/// When anything disagrees.
pub fn print(shop: &Shop, units: i64, verdict: &Verdict) -> Result<()> {
    let paint = Paint::for_stdout();
    let ledger = shop.ledger();
    let oversold = (verdict.sold - units).max(0);
    let headline = format!("sold {} of {}, oversold {}", grouped(verdict.sold), grouped(units), grouped(oversold));
    println!();
    println!("  {}", paint.strong(headline));
    println!();
    rows(&ledger, shop.seed).iter().for_each(|(label, text)| {
        println!("  {}{text}", paint.quiet(format!("{label:<19}")));
    });
    println!();
    if verdict.disagreements.is_empty() {
        for text in agreements(&ledger, verdict) {
            println!("  {} {text}", paint.good("✓"));
        }
        println!();
        return Ok(());
    }
    for text in &verdict.disagreements {
        println!("  {} {text}", paint.bad("✗"));
    }
    println!();
    bail!("the sale did not come out right: {} findings (seed {})", verdict.disagreements.len(), shop.seed)
}

fn rows(ledger: &Ledger, seed: u64) -> Vec<(&'static str, String)> {
    let tally = &ledger.tally;
    let count = |number: u64| grouped(number);
    let mut rows = vec![
        ("customers", format!("{} came", count(tally.arrived))),
        (
            "orders",
            format!(
                "{} placed, {} completed, {} cancelled and their units sold again",
                count(tally.placed),
                count(tally.completed),
                count(tally.cancelled)
            ),
        ),
        (
            "cancelled",
            format!(
                "{} of them in a worker's hands; {} more came too late",
                count(tally.cancelled_under_way),
                count(tally.too_late_to_cancel)
            ),
        ),
        (
            "carts",
            format!(
                "{} filled, {} left to expire and their units sold again",
                count(tally.carts),
                count(tally.carts_left)
            ),
        ),
        ("sent twice", format!("{} under the same order id, each got the first reply", count(tally.same_reply))),
        ("reply lost", format!("{} dropped the connection and sent the order again", count(tally.replies_dropped))),
        ("refused", refusals(tally, ", ")),
        ("placing", percentiles(&ledger.placing)),
        ("placed → completed", percentiles(&ledger.fulfilling)),
        ("seed", seed.to_string()),
    ];
    if tally.came_for_returned_units > 0 {
        let late = format!("{} sent for, as units were still to be had", count(tally.came_for_returned_units));
        rows.insert(1, ("late customers", late));
    }
    if tally.connections_lost > 0 {
        rows.push(("connections lost", format!("{}, their commands sent again", count(tally.connections_lost))));
    }
    rows
}

fn percentiles(latency: &Latency) -> String {
    format!("p50 {}, p99 {}", latency.at(0.5), latency.at(0.99))
}

fn agreements(ledger: &Ledger, verdict: &Verdict) -> Vec<String> {
    vec![
        "STORE.AUDIT is clean: stock, holds, orders and queues add up".to_string(),
        format!("customers with more than one unit: {}", grouped(verdict.customers_with_more_than_one)),
        format!(
            "the clients' own ledger agrees: {} orders, each ended once, none was lost",
            grouped(ledger.tally.placed)
        ),
    ]
}

/// Keeps our own server up until Enter or Ctrl-C, where somebody sits at a terminal.
///
/// # Errors
/// When the terminal cannot be read.
pub fn stay(server: &Server, shop: &Shop) -> Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    cleanup::interrupt_means(0);
    let paint = Paint::for_stdout();
    let name = &shop.name;
    let order = shop.ledger().an_order().unwrap_or("o-1-1").to_string();
    println!("  The server is still up. Look around:");
    println!();
    println!("    {}", paint.strong(format!("redis-cli -p {}", server.port())));
    println!();
    for command in [
        format!("STORE.INFO {name}"),
        format!("ORDER.GET {name} {order}"),
        format!("XREVRANGE {} + - COUNT 3", shop.stream("complete")),
    ] {
        println!("    {}", paint.cool(command));
    }
    println!();
    println!("  {}", paint.quiet("Enter or Ctrl-C ends it."));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(())
}
