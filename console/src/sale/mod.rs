//! `holdfast sale`: a pop-up store is sold out in about a minute, and the books are checked afterwards.

mod customer;
mod doors;
mod ledger;
mod plan;
mod provider;
mod shop;
mod shopkeeper;
mod source;
mod summary;
mod verify;
mod view;
mod worker;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::RngExt;
use redis::cmd;

use self::doors::Doors;
use self::plan::{Luck, Schedule, Stock};
use self::shop::{LACES, SNEAKER, Shop};
use self::view::View;
use self::workers::Workers;
use crate::connect::{Connection, Home};
use crate::store;
use crate::target::TargetArgs;
use crate::text::Paint;
use crate::watch::{self, Watch};

/// Customers to a unit: demand exceeds supply, so that units that come back find a buyer.
const CUSTOMERS_PER_UNIT: f64 = 1.5;
/// Units of a product that a customer may have.
const LIMIT: i64 = 1;
/// Attempts an order has; the wait before the first retry, which doubles with each, and the longest one.
const ATTEMPTS: i64 = 5;
const BACKOFF_MS: i64 = 50;
const BACKOFF_CAP_MS: i64 = 1_000;
/// The server of a sale writes its file of commands once a second, as a shop's would.
const SERVER_CONFIG: [&str; 2] = ["appendonly yes", "appendfsync everysec"];
/// The streams of completed orders and of alerts keep this many more than twice what is expected: oversold units must
/// show.
const HISTORY_SPARE: i64 = 1_000;
/// Bounds of the options.
const UNITS_MAX: i64 = 10_000_000;
const CUSTOMERS_MAX: u64 = 50_000_000;
const WORKERS_MAX: i64 = 256;
const COUNTERS_MAX: i64 = 64;
const FAILURES_MAX_PERCENT: i64 = 50;
const DURATION_MIN_SECONDS: u64 = 5;
const DURATION_MAX_SECONDS: u64 = 24 * 3_600;

/// Options of `holdfast sale`.
#[derive(clap::Args, Debug)]
pub struct SaleArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How long it takes in all, in seconds
    #[arg(long, env = "DURATION", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(DURATION_MIN_SECONDS..=DURATION_MAX_SECONDS))]
    duration: u64,
    /// Sneakers on sale
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(i64).range(1..=UNITS_MAX))]
    units: i64,
    /// Customers who will come, about [default: 1.5 to a sneaker]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    customers: Option<u64>,
    /// Workers who claim orders, pack and complete them. Half of them die with orders in hand, half go home early, and
    /// all are replaced; every fourth is slow, another fourth takes express orders first
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX))]
    workers: u16,
    /// Counters that read the stream of orders with XREADGROUP, and hand over what is collected there and not
    /// yet claimed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=COUNTERS_MAX))]
    consumers: u16,
    /// Attempts to pack an order that fail, of a hundred; each by itself
    #[arg(long, value_name = "PERCENT", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=FAILURES_MAX_PERCENT))]
    failures: u32,
    /// The same seed plans the same sale [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The store's key
    #[arg(long, default_value = "popup")]
    store: String,
    /// Remove a store of that name that is there already
    #[arg(long)]
    force: bool,
    /// Where the page to watch the sale is served, on this machine alone; `off` for none. Where the port is taken, it
    /// is another one
    #[arg(long, value_name = "ADDR:PORT|off", default_value_t)]
    watch: watch::Beside,
}

/// Runs the sale. Fails when no server can be started or reached, or when anything does not come out right: units
/// unsold or oversold, an order lost, an audit that is not clean.
pub fn run(args: SaleArgs) -> Result<()> {
    let target = args.target.open(&SERVER_CONFIG)?;
    // On our own server the page may write: dead orders can be queued again, to see what happens.
    let page = Watch::beside(args.watch, &target.way, target.own.is_some());
    if let Some(page) = &page {
        println!("  Watch it live: {}", Paint::for_stdout().strong(page.url()));
        println!();
    }
    // One thread for all customers and workers: the other core is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let schedule = Schedule::of(Duration::from_secs(args.duration));
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(1..1_000_000));
    let customers = args.customers.unwrap_or((args.units as f64 * CUSTOMERS_PER_UNIT).ceil() as u64);
    let plan = plan::customers(&schedule, customers, seed);
    let (shop, verdict) = runtime.block_on(async {
        let home = Home::new(&target.way, &args.store);
        let mut connection = Connection::open(&home)?;
        store::make_way(&mut connection, &args.store, args.force)?;
        let luck = Luck::new(seed, args.failures, &plan);
        let shop = Arc::new(Shop::connect(&home, &args.store, schedule, seed, luck).await?);
        let stock = Stock::of(args.units, &plan);
        open(&mut connection, &shop, stock, plan.len())?;
        sell(&shop, &args, plan).await?;
        let verdict = verify::verify(&shop, &mut connection, stock).await?;
        anyhow::Ok((shop, verdict))
    })?;
    summary::print(&shop, &verdict)?;
    target.own.as_ref().map_or(Ok(()), |server| summary::stay(server, &shop, page.as_ref()))
}

/// Makes the store, with its window by the server's own clock, and receives the stock.
fn open(connection: &mut Connection, shop: &Shop, stock: Stock, customers: usize) -> Result<()> {
    let (seconds, micros): (i64, i64) = cmd("TIME").query(connection)?;
    let now_ms = seconds * 1_000 + micros / 1_000;
    let elapsed = shop.elapsed();
    let at_ms = |time: Duration| -> Result<i64> {
        let from_now = time.checked_sub(elapsed).context("the server was too slow to open the shop in time")?;
        Ok(now_ms + i64::try_from(from_now.as_millis())?)
    };
    let settings = [
        ("opens", at_ms(shop.schedule.opens)?),
        ("closes", at_ms(shop.schedule.closes)?),
        ("lease-ms", i64::try_from(shop.schedule.lease().as_millis())?),
        ("attempts", ATTEMPTS),
        ("backoff-ms", BACKOFF_MS),
        ("backoff-cap-ms", BACKOFF_CAP_MS),
        // Every completed order stays in the stream, to be counted in the end: also those there must not be. So does
        // every alert.
        ("history", 2 * stock.sneakers + HISTORY_SPARE),
        ("alerts", 2 * (stock.sneakers + customers as i64) + HISTORY_SPARE),
    ];
    cmd("STORE.SET").arg(&shop.name).arg(&settings).exec(connection).context("making the store with STORE.SET")?;
    for (sku, units) in [(SNEAKER, stock.sneakers), (LACES, stock.laces)] {
        let mut set = cmd("INV.SET");
        set.arg(&shop.name).arg(sku).arg(units).arg("LIMIT").arg(LIMIT);
        let available: i64 = set.query(connection).context("INV.SET")?;
        if available != units {
            bail!("INV.SET {sku} replied {available} available units, wanted {units}");
        }
    }
    Ok(())
}

async fn sell(shop: &Arc<Shop>, args: &SaleArgs, plan: Vec<plan::Customer>) -> Result<()> {
    let view = View::new(&args.store, shop.schedule, args.units);
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        println!("{}", Paint::for_stdout().strong(view.title()));
    }
    let workers = Workers::hire(shop, args.workers.into(), args.consumers.into(), args.units).await?;
    Doors::new(shop, plan, view).await?.run().await?;
    workers.send_home().await;
    Ok(())
}
