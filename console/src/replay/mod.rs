//! `holdfast replay`: a real shop's order lines through a store, and every SKU's count checked afterwards.

mod books;
mod check;
mod feed;
mod file;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::cmd;

use self::check::Findings;
use self::feed::{Feed, Pace, Tally};
use self::file::{Book, Day, Period};
use crate::display::Display;
use crate::server::TargetArgs;
use crate::store;
use crate::text::{Paint, clock, grouped};

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
    from: Option<Day>,
    /// Last day to take
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
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

/// Replays the file.
///
/// # Errors
/// When the file or the server cannot be used, or when the server's books disagree with the file.
pub fn run(args: ReplayArgs) -> Result<()> {
    let period = Period { from: args.from.clone(), to: args.to.clone() };
    let book = Book::read(&args.file, &period)?;
    if book.invoices.is_empty() {
        bail!("{} has no invoice in the days asked for", args.file.display());
    }
    let target = args.target.open(&[])?;
    let mut connection = target.connect()?;
    store::make_way(&mut connection, &args.store, args.force)?;

    let mut feed = Feed::new(connection, &args.store, &book, args.stock.is_some());
    open_store(&mut feed, &args, &book)?;
    let started = Instant::now();
    replay(&mut feed, &args, &book)?;
    let took = started.elapsed();

    let orders = feed.tally.orders;
    let movements = feed.books.movements().to_vec();
    let findings = check::check(feed.connection(), &args.store, &book.skus, &movements, orders)?;
    print_summary(&book, &feed.tally, &findings, took);
    verdict(&feed.tally, &findings)
}

/// Makes the store and receives its stock.
fn open_store(feed: &mut Feed, args: &ReplayArgs, book: &Book) -> Result<()> {
    cmd("STORE.SET")
        .arg(&args.store)
        .arg("keep-ms")
        .arg(KEEP_MS)
        // So that the stream of completed orders can be counted against the file.
        .arg("history")
        .arg(book.invoices.len() * 2)
        .query::<()>(feed.connection())
        .context("making the store with STORE.SET")?;
    match args.stock {
        Some(units) => feed.receive(&vec![units; book.skus.len()]),
        None => feed.receive(&feed::units_needed(book)),
    }
}

fn replay(feed: &mut Feed, args: &ReplayArgs, book: &Book) -> Result<()> {
    let mut pace = args.rate.map(Pace::new);
    let mut display = Display::new(LINE_INTERVAL);
    let started = Instant::now();
    for invoice in &book.invoices {
        if let Some(pace) = &mut pace {
            let wait = pace.wait();
            if !wait.is_zero() {
                feed.flush()?;
                std::thread::sleep(wait);
            }
            pace.count();
        }
        feed.invoice(invoice)?;
        if display.is_due() {
            let picture = || picture(book, &feed.tally, &invoice.time, started.elapsed());
            display.show(picture, || line(book, &feed.tally, &invoice.time, started.elapsed()))?;
        }
    }
    feed.flush()?;
    Ok(display.clear()?)
}

fn per_second(count: u64, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64().max(1e-9)).round() as u64
}

fn line(book: &Book, tally: &Tally, time: &str, took: Duration) -> String {
    format!(
        "{}  {time}  invoices {} of {}  orders {}  lines {}  units sold {}  returned {}  orders/s {}",
        clock(took),
        grouped(tally.invoices),
        grouped(book.invoices.len() as u64),
        grouped(tally.orders),
        grouped(tally.lines_read),
        grouped(tally.units_sold),
        grouped(tally.units_returned),
        grouped(per_second(tally.orders, took)),
    )
}

fn picture(book: &Book, tally: &Tally, time: &str, took: Duration) -> Vec<String> {
    const BAR_CELLS: usize = 40;
    let paint = Paint::for_stdout();
    let all = book.invoices.len();
    let done = usize::try_from(tally.invoices).unwrap_or(all);
    let filled = BAR_CELLS * done / all.max(1);
    let bar = format!("{}{}", paint.cool("█".repeat(filled)), paint.quiet("░".repeat(BAR_CELLS - filled)));
    let number = |label: &str, count: i128| format!("  {}{:>12}", paint.quiet(format!("{label:<16}")), grouped(count));
    vec![
        String::new(),
        format!("  {}  {}", paint.strong("replaying orders"), paint.quiet(time)),
        String::new(),
        format!("  {bar}  {} of {} invoices", grouped(done as u64), grouped(all as u64)),
        String::new(),
        number("orders", tally.orders.into()),
        number("lines", tally.lines_read.into()),
        number("units sold", tally.units_sold.into()),
        number("units returned", tally.units_returned.into()),
        number("orders/s", per_second(tally.orders, took).into()),
        String::new(),
    ]
}

fn print_summary(book: &Book, tally: &Tally, findings: &Findings, took: Duration) {
    let paint = Paint::for_stdout();
    let row = |label: &str, text: String| println!("  {}{text}", paint.quiet(format!("{label:<15}")));
    let day = |day: &Option<Day>| day.as_ref().map_or_else(String::new, |day| day.as_str().to_string());
    println!();
    println!(
        "  {}",
        paint.strong(format!(
            "replayed {} to {}: {} orders",
            day(&book.first_day),
            day(&book.last_day),
            grouped(tally.orders)
        ))
    );
    println!();
    row(
        "file",
        format!(
            "{} lines, {} invoices, {} SKUs",
            grouped(book.lines),
            grouped(book.invoices.len() as u64),
            grouped(book.skus.len() as u64)
        ),
    );
    row("sold", format!("{} units in {} lines, all completed", grouped(tally.units_sold), grouped(tally.order_lines)));
    row(
        "returned",
        format!(
            "{} units to {} orders ({} return invoices)",
            grouped(tally.units_returned),
            grouped(tally.returned_orders),
            grouped(tally.return_invoices)
        ),
    );
    print_left_out(tally, &row);
    row(
        "speed",
        format!(
            "{} orders/s, {} lines/s in {:.1} s (each placed, then completed)",
            grouped(per_second(tally.orders, took)),
            grouped(per_second(tally.order_lines, took)),
            took.as_secs_f64()
        ),
    );
    let right = format!("{} of {} SKUs", grouped(findings.skus_right as u64), grouped(book.skus.len() as u64));
    row("on_hand", format!("received - sold + returned, for {right}"));
    println!();
}

fn print_left_out(tally: &Tally, row: &impl Fn(&str, String)) {
    if tally.never_sold_lines > 0 {
        row(
            "never sold",
            format!(
                "{} units in {} return lines: not bought before ({} lines name nobody)",
                grouped(tally.never_sold_units),
                grouped(tally.never_sold_lines),
                grouped(tally.nameless_return_lines)
            ),
        );
    }
    if tally.adjustment_lines > 0 {
        row(
            "adjustments",
            format!(
                "{} lines skipped: counts corrected, breakage ({} units)",
                grouped(tally.adjustment_lines),
                grouped(tally.adjustment_units)
            ),
        );
    }
    if tally.invoices_split > 0 {
        row("long invoices", format!("{} became several orders", grouped(tally.invoices_split)));
    }
    for (code, count) in &tally.refused {
        row("refused", format!("{} orders, {code}", grouped(*count)));
    }
}

fn verdict(tally: &Tally, findings: &Findings) -> Result<()> {
    let paint = Paint::for_stdout();
    if tally.complaints == 0 && findings.disagreements.is_empty() {
        println!("  {} STORE.AUDIT is clean, and the server's counts are the file's", paint.good("✓"));
        println!();
        return Ok(());
    }
    for text in tally.complaints_kept.iter().chain(&findings.disagreements) {
        println!("  {} {text}", paint.bad("✗"));
    }
    bail!(
        "the server disagrees with the file: {} unexpected replies, {} findings",
        grouped(tally.complaints),
        grouped(findings.disagreements.len() as u64)
    )
}
