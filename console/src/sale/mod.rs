//! `holdfast sale`: a pop-up store is sold out in about a minute, and the books are checked afterwards.

mod customer;
mod doors;
mod ledger;
mod plan;
mod shop;
mod summary;
mod verify;
mod view;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use rand::RngExt;
use redis::cmd;
use tokio::sync::watch;

use self::doors::Doors;
use self::plan::Schedule;
use self::shop::{Shop, SKU};
use self::verify::Verdict;
use self::view::View;
use self::worker::StreamGroup;
use crate::server::TargetArgs;
use crate::store;
use crate::text::Paint;

/// Customers to a unit: demand exceeds supply, so that units that come back find a buyer.
const CUSTOMERS_PER_UNIT: f64 = 1.3;
/// The workers together would pack all units in this part of the window: slower than the rush, so that orders wait, and
/// fast enough to be done long before the end.
const PACKING_PART_OF_WINDOW: f64 = 0.22;
/// The server of a sale writes its file of commands once a second, as a shop's would.
const SERVER_CONFIG: [&str; 2] = ["appendonly yes", "appendfsync everysec"];
/// The stream of completed orders keeps this many more than twice the units: oversold units must show.
const HISTORY_SPARE: i64 = 1_000;
/// Bounds of the options.
const UNITS_MAX: i64 = 10_000_000;
const CUSTOMERS_MAX: u64 = 50_000_000;
const WORKERS_MAX: i64 = 256;
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
    /// Units on sale
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..=UNITS_MAX))]
    units: i64,
    /// Customers who will come, about [default: 1.3 to a unit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    customers: Option<u64>,
    /// Workers who pack orders and complete them
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(i64).range(1..=WORKERS_MAX))]
    workers: i64,
    /// The same seed plans the same sale [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The store's key
    #[arg(long, default_value = "popup")]
    store: String,
    /// Remove a store of that name that is there already
    #[arg(long)]
    force: bool,
}

impl SaleArgs {
    fn expected_customers(&self) -> u64 {
        self.customers.unwrap_or((self.units as f64 * CUSTOMERS_PER_UNIT).ceil() as u64)
    }
}

/// Runs the sale.
///
/// # Errors
/// When no server can be started or reached, or when anything does not come out right: units unsold or oversold, an
/// order lost, an audit that is not clean.
pub fn run(args: SaleArgs) -> Result<()> {
    let target = args.target.open(&SERVER_CONFIG)?;
    // One thread for all customers and workers: the other core is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let schedule = Schedule::of(Duration::from_secs(args.duration));
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(1..1_000_000));
    let plan = plan::customers(&schedule, args.expected_customers(), seed);
    let (shop, verdict) = runtime.block_on(async {
        let mut connection = target.connect()?;
        store::make_way(&mut connection, &args.store, args.force)?;
        let shop = Shop::connect(target.url(), &args.store, schedule, seed).await?;
        open(&mut connection, &shop, args.units)?;
        let verdict = sell(&shop, &args, plan).await?;
        anyhow::Ok((shop, verdict))
    })?;
    summary::print(&shop, args.units, &verdict)?;
    target.own().map_or(Ok(()), |server| summary::stay(server, &shop))
}

/// Makes the store, with its window by the server's own clock, and receives the stock.
fn open(connection: &mut redis::Connection, shop: &Shop, units: i64) -> Result<()> {
    let (seconds, micros): (i64, i64) = cmd("TIME").query(connection)?;
    let now_ms = seconds * 1_000 + micros / 1_000;
    let elapsed = shop.elapsed();
    let at_ms = |time: Duration| -> Result<i64> {
        let from_now = time.checked_sub(elapsed).context("the server was too slow to open the shop in time")?;
        Ok(now_ms + i64::try_from(from_now.as_millis())?)
    };
    cmd("STORE.SET")
        .arg(&shop.name)
        .arg("limit")
        .arg(1)
        .arg("opens")
        .arg(at_ms(shop.schedule.opens)?)
        .arg("closes")
        .arg(at_ms(shop.schedule.closes)?)
        // Every completed order stays in the stream, to be counted in the end: also those there must not be.
        .arg("history")
        .arg(2 * units + HISTORY_SPARE)
        .query::<()>(connection)
        .context("making the store with STORE.SET")?;
    let available: i64 = cmd("INV.SET").arg(&shop.name).arg(SKU).arg(units).query(connection).context("INV.SET")?;
    if available != units {
        bail!("INV.SET replied {available} available units, wanted {units}");
    }
    Ok(())
}

async fn sell(shop: &Arc<Shop>, args: &SaleArgs, plan: Vec<plan::Customer>) -> Result<Verdict> {
    let view = View::new(&args.store, shop.schedule, args.units);
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        println!("{}", Paint::for_stdout().strong(view.title()));
    }
    let (done, workers) = hire(shop, args).await?;
    Doors::new(shop, plan, view).await?.run().await?;
    done.send_replace(true);
    workers.join_all().await;
    verify::verify(shop, args.units).await
}

/// Puts the workers to work; they stop when the sender says true.
async fn hire(shop: &Arc<Shop>, args: &SaleArgs) -> Result<(watch::Sender<bool>, tokio::task::JoinSet<()>)> {
    StreamGroup::make(shop).await?;
    let (done, is_done) = watch::channel(false);
    let mut workers = tokio::task::JoinSet::new();
    let packing_all = shop.schedule.window().mul_f64(PACKING_PART_OF_WINDOW);
    let mean = packing_all.mul_f64(args.workers as f64 / args.units as f64);
    for number in 1..=usize::try_from(args.workers)? {
        let source = StreamGroup::join(shop, number).await?;
        workers.spawn(worker::work(Arc::clone(shop), source, number, mean, is_done.clone()));
    }
    Ok((done, workers))
}
