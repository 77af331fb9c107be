//! What one sees of a sale when it is over.

use std::io::{BufRead, IsTerminal};

use anyhow::{Result, bail};

use super::ledger::{Latency, Ledger};
use super::shop::Shop;
use super::verify::Verdict;
use super::view::refusals;
use crate::cleanup;
use crate::server::Server;
use crate::text::{Paint, grouped, measured};
use crate::watch::Watch;

/// Columns of a label, and of the text behind it: a terminal of 80 columns shows both.
const LABEL_WIDTH: usize = 19;
const TEXT_WIDTH: usize = 58;

/// Prints what was sold and to whom, and what the checks say.
///
/// # Errors
/// When anything disagrees.
pub fn print(shop: &Shop, units: i64, verdict: &Verdict) -> Result<()> {
    let paint = Paint::for_stdout();
    let ledger = shop.ledger();
    let oversold = (verdict.sold - units).max(0);
    let headline = format!(
        "sold {} of {}, oversold {}, lost {}, doubled {}",
        grouped(verdict.sold),
        grouped(units),
        grouped(oversold),
        grouped(verdict.lost),
        grouped(verdict.doubled)
    );
    println!();
    println!("  {}", paint.strong(headline));
    println!();
    let all = [customer_rows(&ledger), work_rows(&ledger, verdict), time_rows(&ledger, shop.seed)];
    all.iter().flatten().for_each(|(label, text)| {
        for (nth, line) in wrapped(text, TEXT_WIDTH).iter().enumerate() {
            println!("  {}{line}", paint.quiet(format!("{:<LABEL_WIDTH$}", if nth == 0 { label } else { "" })));
        }
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

type Row = (&'static str, String);

/// What customers did.
fn customer_rows(ledger: &Ledger) -> Vec<Row> {
    let tally = &ledger.tally;
    let count = |number: u64| grouped(number);
    let mut rows = vec![
        ("customers", format!("{} came", count(tally.arrived))),
        (
            "orders",
            format!(
                "{} placed: {} completed, {} cancelled, {} dead",
                count(tally.placed),
                count(tally.completed),
                count(tally.cancelled),
                count(tally.dead)
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
        ("carts", format!("{} filled, {} left to expire", count(tally.carts), count(tally.carts_left))),
        ("sent twice", format!("{} orders, each got the first reply", count(tally.same_reply))),
        ("reply lost", format!("{} connections dropped, the order sent again", count(tally.replies_dropped))),
        ("refused", refusals(tally, ", ")),
    ];
    if tally.came_for_returned_units > 0 {
        let late = format!("{} sent for, as units were still to be had", count(tally.came_for_returned_units));
        rows.insert(1, ("late customers", late));
    }
    rows
}

/// What became of the work.
fn work_rows(ledger: &Ledger, verdict: &Verdict) -> Vec<Row> {
    let tally = &ledger.tally;
    let (count, counted) = (|number: u64| grouped(number), |name: &str| grouped(verdict.info.count(name)));
    vec![
        ("retries", format!("{}, after {} payments that failed", counted("retried-total"), counted("failed-total"))),
        (
            "workers",
            format!("{} died with {} orders in hand, and were replaced", count(tally.died), count(tally.died_with)),
        ),
        ("reclaimed", format!("{} orders, as the worker's lease had ended", counted("leases-ended-total"))),
        ("too late", format!("{} orders of slow workers, refused and not counted (FENCED)", count(tally.too_late))),
        ("leases", format!("{} made longer in time", count(tally.renewed))),
        (
            "went home early",
            format!("{} workers, who gave {} orders back", count(tally.went_home), count(tally.given_back)),
        ),
        (
            "counter",
            format!(
                "{} collected; {} a worker had too: the first one counts",
                count(tally.handed_over),
                count(tally.in_two_hands)
            ),
        ),
        ("dead letters", dead_letters(verdict)),
        ("queued anew", format!("{} dead letters, as the customer paid in another way", counted("redriven-total"))),
    ]
}

/// Dead letters by reason.
fn dead_letters(verdict: &Verdict) -> String {
    let reasons = verdict.dead.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count)));
    match verdict.dead.is_empty() {
        true => "none left".to_string(),
        false => reasons.collect::<Vec<_>>().join(", "),
    }
}

/// How long it all took.
fn time_rows(ledger: &Ledger, seed: u64) -> Vec<Row> {
    let tally = &ledger.tally;
    let mut rows = vec![
        ("longest wait", format!("{}, from placed to a worker's hands", measured(tally.longest_wait))),
        ("placing", percentiles(&ledger.placing)),
        ("placed → completed", percentiles(&ledger.fulfilling)),
        ("seed", seed.to_string()),
    ];
    if tally.connections_lost > 0 {
        rows.push(("connections lost", format!("{}, their commands sent again", grouped(tally.connections_lost))));
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
        format!("the clients' own ledger agrees: {} orders, none lost, none doubled", grouped(ledger.tally.placed)),
    ]
}

/// A text in lines of so many characters at most, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("one at least");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

/// Keeps our own server, and the page to watch it, up until Enter or Ctrl-C, where somebody sits at a terminal.
///
/// # Errors
/// When the terminal cannot be read.
pub fn stay(server: &Server, shop: &Shop, page: Option<&Watch>) -> Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    cleanup::interrupt_means(0);
    let paint = Paint::for_stdout();
    let name = &shop.name;
    let order = shop.ledger().an_order().unwrap_or("o-1-1").to_string();
    println!("  The server is still up. Look around:");
    println!();
    if let Some(page) = page {
        println!("    {}", paint.strong(page.url()));
    }
    println!("    {}", paint.strong(format!("redis-cli -p {}", server.port())));
    println!();
    for command in [
        format!("STORE.INFO {name}"),
        format!("ORDER.GET {name} {order}"),
        format!("XREVRANGE {} + - COUNT 3", shop.stream("complete")),
        format!("XRANGE {} - + COUNT 3", shop.stream("dead")),
    ] {
        println!("    {}", paint.cool(command));
    }
    println!();
    println!("  {}", paint.quiet("Enter or Ctrl-C ends it."));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_between_words() {
        assert_eq!(wrapped("placed → completed", 8), ["placed →", "completed"]);
        assert_eq!(wrapped("CLOSED 58, LIMIT 412", 80), ["CLOSED 58, LIMIT 412"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn dead_letters_are_told_by_reason() {
        let mut verdict = Verdict::default();
        assert_eq!(dead_letters(&verdict), "none left");
        verdict.dead = [("card stolen".to_string(), 19), ("payment declined".to_string(), 1_002)].into();
        assert_eq!(dead_letters(&verdict), "19 card stolen, 1,002 payment declined");
    }
}
