//! `holdfast replay`: a real shop's order lines through a store, and every SKU's count checked afterwards.

mod books;
mod feed;
mod file;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use redis::cmd;

use self::feed::{Counts, Feed};
use self::file::Book;
use crate::check::Findings;
use crate::connect::{Connection, Home};
use crate::display::Display;
use crate::store;
use crate::target::TargetArgs;
use crate::text::{Paint, clock, counted, grouped};

/// How long ended orders are remembered: a return may come months after its order, in file and in wall-clock time.
const KEEP_MS: i64 = 365 * 24 * 3_600 * 1_000;
/// Between two lines of progress where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// Options of `holdfast replay`.
#[derive(clap::Args, Debug)]
pub struct ReplayArgs {
    /// CSV of order lines, gzip or not, with the columns invoice, stock_code, quantity, invoice_date, unit_price,
    /// customer_id and country
    file: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// The store's key
    #[arg(long, default_value = "retail")]
    store: String,
    /// Remove a store of that name that is there already
    #[arg(long)]
    force: bool,
    /// First day to take, like 2010-12-01
    #[arg(long, value_name = "DAY")]
    from: Option<NaiveDate>,
    /// Last day to take
    #[arg(long, value_name = "DAY")]
    to: Option<NaiveDate>,
    /// Invoices a second [default: as fast as it goes]
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// Units received of every SKU [default: exactly what all orders need]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    stock: Option<i64>,
}

fn positive(text: &str) -> Result<f64> {
    let number: f64 = text.parse().context("wanted a number above 0")?;
    if !(number.is_finite() && number > 0.0) {
        bail!("wanted a number above 0");
    }
    Ok(number)
}

/// Replays the file. Fails when the file or the server cannot be used, or the two disagree.
pub fn run(args: ReplayArgs) -> Result<()> {
    let days = args.from.unwrap_or(NaiveDate::MIN)..=args.to.unwrap_or(NaiveDate::MAX);
    let book = Book::read(&args.file, &days)?;
    if book.invoices.is_empty() {
        bail!("{} has no invoice in the days asked for", args.file.display());
    }
    let target = args.target.open(&[])?;
    let mut connection = Connection::open(&Home::new(&target.way, &args.store))?;
    store::make_way(&mut connection, &args.store, args.force)?;

    let mut feed = Feed::new(connection, &args.store, &book, args.stock.is_some());
    open_store(&mut feed, &args, &book)?;
    let started = Instant::now();
    replay(&mut feed, &args, &book)?;
    let took = started.elapsed();

    let Feed { mut connection, books, counts, .. } = feed;
    let (findings, skus_right) = books::check(&mut connection, &args.store, &book.skus, &books)?;
    print_summary(&book, &counts, skus_right, took);
    verdict(&counts, &findings)
}

/// Makes the store and receives its stock.
fn open_store(feed: &mut Feed, args: &ReplayArgs, book: &Book) -> Result<()> {
    // The stream of completed orders must hold all of them: it is counted against the file.
    let settings = [("keep-ms", KEEP_MS), ("history", i64::try_from(book.invoices.len() * 2)?)];
    let mut make = cmd("STORE.SET");
    make.arg(&args.store).arg(&settings).exec(&mut feed.connection).context("making the store with STORE.SET")?;
    feed.receive(&args.stock.map_or_else(|| feed::units_needed(book), |units| vec![units; book.skus.len()]))
}

fn replay(feed: &mut Feed, args: &ReplayArgs, book: &Book) -> Result<()> {
    let mut display = Display::new(LINE_INTERVAL);
    let started = Instant::now();
    for (nth, invoice) in book.invoices.iter().enumerate() {
        let due = Duration::from_secs_f64(args.rate.map_or(0.0, |rate| nth as f64 / rate));
        let wait = due.saturating_sub(started.elapsed());
        if !wait.is_zero() {
            feed.flush()?;
            std::thread::sleep(wait);
        }
        feed.invoice(invoice)?;
        if display.is_due() {
            let picture = || picture(book, &feed.counts, &invoice.time, started.elapsed());
            display.show(picture, || line(book, &feed.counts, &invoice.time, started.elapsed()))?;
        }
    }
    feed.flush()?;
    Ok(display.clear()?)
}

fn per_second(count: u64, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64().max(1e-9)).round() as u64
}

fn line(book: &Book, counts: &Counts, time: &str, took: Duration) -> String {
    let done = counted!(
        "invoices {} of {}  orders {}  lines {}  units sold {}  returned {}  orders/s {}",
        counts.invoices,
        book.invoices.len() as u64,
        counts.orders,
        counts.lines_read,
        counts.units_sold,
        counts.units_returned,
        per_second(counts.orders, took),
    );
    format!("{}  {time}  {done}", clock(took))
}

fn picture(book: &Book, counts: &Counts, time: &str, took: Duration) -> Vec<String> {
    const BAR_CELLS: usize = 40;
    let paint = Paint::for_stdout();
    let all = book.invoices.len();
    let done = usize::try_from(counts.invoices).unwrap_or(all);
    let filled = BAR_CELLS * done / all.max(1);
    let bar = format!("{}{}", paint.cool("█".repeat(filled)), paint.quiet("░".repeat(BAR_CELLS - filled)));
    let number = |label: &str, count: i128| format!("  {}{:>12}", paint.quiet(format!("{label:<16}")), grouped(count));
    vec![
        String::new(),
        format!("  {}  {}", paint.strong("replaying orders"), paint.quiet(time)),
        String::new(),
        format!("  {bar}  {}", counted!("{} of {} invoices", done as u64, all as u64)),
        String::new(),
        number("orders", counts.orders.into()),
        number("lines", counts.lines_read.into()),
        number("units sold", counts.units_sold.into()),
        number("units returned", counts.units_returned.into()),
        number("orders/s", per_second(counts.orders, took).into()),
        String::new(),
    ]
}

fn print_summary(book: &Book, counts: &Counts, skus_right: usize, took: Duration) {
    let paint = Paint::for_stdout();
    let (first, last) = book.days.map_or_else(Default::default, |(first, last)| (first.to_string(), last.to_string()));
    let headline = format!("replayed {first} to {last}: {} orders", grouped(counts.orders));
    println!("\n  {}\n", paint.strong(headline));
    let (lines, invoices, skus) = (book.lines, book.invoices.len() as u64, book.skus.len() as u64);
    let returned = (counts.units_returned, counts.returned_orders, counts.return_invoices);
    let (orders_rate, lines_rate) = (per_second(counts.orders, took), per_second(counts.order_lines, took));
    let speed = counted!("{} orders/s, {} lines/s", orders_rate, lines_rate);
    let mut rows = vec![
        ("file", counted!("{} lines, {} invoices, {} SKUs", lines, invoices, skus)),
        ("sold", counted!("{} units in {} lines, all completed", counts.units_sold, counts.order_lines)),
        ("returned", counted!("{} units to {} orders ({} return invoices)", returned.0, returned.1, returned.2)),
    ];
    rows.extend(left_out(counts));
    rows.push(("speed", format!("{speed} in {:.1} s (each placed, then completed)", took.as_secs_f64())));
    rows.push(("on-hand", counted!("received - sold + returned, for {} of {} SKUs", skus_right as u64, skus)));
    for (label, text) in rows {
        println!("  {}{text}", paint.quiet(format!("{label:<15}")));
    }
    println!();
}

/// What was not sold and not returned, and why.
fn left_out(counts: &Counts) -> Vec<(&'static str, String)> {
    let &Counts { never_sold_units, never_sold_lines, nameless_return_lines: nameless, invoices_split, .. } = counts;
    let (lines, units) = (counts.adjustment_lines, counts.adjustment_units);
    let mut rows = Vec::new();
    if never_sold_lines > 0 {
        let lines = counted!("{} return lines: not bought before ({} lines name nobody)", never_sold_lines, nameless);
        rows.push(("never sold", format!("{} units in {lines}", grouped(never_sold_units))));
    }
    if lines > 0 {
        rows.push(("adjustments", counted!("{} lines skipped: counts corrected, breakage ({} units)", lines, units)));
    }
    if invoices_split > 0 {
        rows.push(("long invoices", counted!("{} became several orders", invoices_split)));
    }
    rows.extend(counts.refused.iter().map(|(code, count)| ("refused", format!("{} orders, {code}", grouped(*count)))));
    rows
}

fn verdict(counts: &Counts, findings: &Findings) -> Result<()> {
    let paint = Paint::for_stdout();
    if counts.complaints.count == 0 && findings.0.is_empty() {
        println!("  {} STORE.AUDIT is clean, and the server's counts are the file's\n", paint.good("✓"));
        return Ok(());
    }
    for text in counts.complaints.kept.iter().chain(&findings.0) {
        println!("  {} {text}", paint.bad("✗"));
    }
    let (unexpected, findings) = (counts.complaints.count, findings.0.len() as u64);
    let found = counted!("{} unexpected replies, {} findings", unexpected, findings);
    bail!("the server disagrees with the file: {found}")
}
