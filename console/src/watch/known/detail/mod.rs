//! A store in detail: made at most once a second however many look on, and only of stores that somebody looks at.

mod alerts;
mod dead;
mod scan;
mod skus;
mod waits;
mod work;

use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, cmd};
use serde::Serialize;
use serde_json::Value as Json;
use tokio::time::{Instant, sleep_until};

#[cfg(test)]
pub use self::alerts::Alerts;
pub use self::alerts::{AlertLine, read_alerts};
pub use self::dead::DeadLetters;
#[cfg(test)]
pub use self::dead::Reason;
pub use self::scan::{Asker, OrderRef, read_orders};
use self::scan::{Questions, Search, key_cmd};
pub use self::skus::{SkuLine, Skus, read_books};
pub use self::waits::{Wait, Waits};
use self::work::Seen;
pub use self::work::{Idle, InWork, Worker, Workers};
use super::ask::AskError;
use super::lanes::Lane;
use super::link::Link;
use super::model::{Key, Model};
use super::reply::{self, Pairs};
use super::sample::Sample;
use super::shelf::Shelf;

/// From one detail of a store to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Orders that are read at the same moment as everything else: of more, the others are read right after.
const ORDERS_AT_ONCE: usize = 100;

/// Everything the page shows of one store.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// The store's key, percent-encoded.
    pub id: String,
    /// The store's key, for people.
    pub name: String,
    /// The moment that it shows, Unix milliseconds by the server's clock.
    pub now: u64,
    /// STORE.GET: numbers in their own units, and switches.
    pub settings: Pairs<Json>,
    /// STORE.INFO; a time that is not set is `None`.
    pub info: Pairs<Option<i64>>,
    /// When the last sample was taken; `None`: the store keeps none.
    pub at: Option<u64>,
    /// The numbers of `info`, and those that only a sample has.
    pub metrics: Arc<Sample>,
    /// SKUs, those that run out first.
    pub skus: Skus,
    /// Who has which orders in hand.
    pub workers: Workers,
    /// The lanes of the queue; empty if no order names one.
    pub lanes: Vec<Lane>,
    /// Who waits for gates and for units.
    pub waits: Waits,
    /// What died of what.
    pub dead: DeadLetters,
    /// What somebody should look at.
    pub alerts: alerts::Alerts,
}

/// What is remembered of a store from one detail to the next.
#[derive(Debug, Default)]
struct Made {
    last: Option<(Instant, Arc<Detail>)>,
    skus: Search,
    work: Search,
    seen: Seen,
    waits: waits::Searches,
    /// The user may not read all of it at one moment.
    reads_apart: bool,
}

/// The details of the stores that somebody looks at.
#[derive(Debug)]
pub struct Details {
    model: Arc<Model>,
    link: Arc<Link>,
    made: Shelf<Made>,
}

impl Details {
    pub fn new(model: Arc<Model>, link: Arc<Link>) -> Details {
        Details { model, link, made: Shelf::default() }
    }

    /// A store in detail, as it was within the last second. Fails when the server is away, or there is no such store.
    pub async fn of(&self, key: &Key) -> Result<Arc<Detail>, AskError> {
        let now = Instant::now();
        self.since(key, now.checked_sub(INTERVAL).unwrap_or(now)).await
    }

    /// A store in detail, as it was at `moment` or later. Waits until it is time for the next one. Fails as
    /// [`Details::of`] does.
    pub async fn since(&self, key: &Key, moment: Instant) -> Result<Arc<Detail>, AskError> {
        // While the server is lost, an old detail is not given as if it were new.
        let mut connection = self.link.ask(key)?;
        let shelf = self.made.of(key);
        let mut made = shelf.lock().await;
        if let Some((when, detail)) = &made.last {
            if *when >= moment {
                return Ok(detail.clone());
            }
            sleep_until(*when + INTERVAL).await;
        }
        let when = Instant::now();
        let mut asker = Asker { connection: &mut connection, key };
        let detail = Arc::new(self.make(&mut asker, &mut made).await.map_err(|error| error.of_store(&key.name()))?);
        made.last = Some((when, detail.clone()));
        Ok(detail)
    }

    /// Forgets what was made of a store: somebody changed it, and wants to see that.
    pub async fn forget(&self, key: &Key) {
        self.made.of(key).lock().await.last = None;
    }

    /// What is to be shown is looked for first, then all of it is read at one moment, so that the numbers agree.
    async fn make(&self, asker: &mut Asker<'_>, made: &mut Made) -> Result<Detail, AskError> {
        search(asker, made).await?;
        let orders = made.orders();
        let (first, others) = orders.split_at(orders.len().min(ORDERS_AT_ONCE));
        let mut answers = made.questions(asker.key, first).ask(asker.connection, &mut made.reads_apart).await?;
        let (seconds, micros) = <(i64, i64)>::from_redis_value(answers.take()?).map_err(redis::RedisError::from)?;
        let settings = settings(answers.map("STORE.GET")?);
        let info = info(answers.map("STORE.INFO")?);
        let count = |name: &str| info.get(name).copied().flatten().unwrap_or(0);
        // A module that knows no lanes, or a user who may not ask: everything else can be shown.
        let lanes = answers.take_or(Lane::all_of, Vec::new())?;
        let dead = dead::take(&mut answers, count("dead-letters"))?;
        let alerts = alerts::take(&mut answers)?;
        let skus = skus::take(&mut made.skus, &mut answers, count("skus"))?;
        let mut orders = answers.orders(first);
        orders.extend(scan::read_orders(asker, others.iter().cloned().collect(), others.len()).await?);
        let is_off = settings.get("metrics").is_some_and(|metrics| *metrics == 0);
        let sample = self.model.store(asker.key).and_then(|store| store.sample).filter(|_| !is_off);
        let (numbers, now) = (Sample::of_info(&info), seconds * 1_000 + micros / 1_000);
        Ok(Detail {
            id: asker.key.id(),
            name: asker.key.name(),
            now: now.unsigned_abs(),
            at: sample.as_ref().map(|sample| sample.at_ms()),
            metrics: Arc::new(sample.map_or(numbers.clone(), |sample| numbers.with_latency_of(&sample))),
            skus,
            workers: work::take((&mut made.work, &mut made.seen), orders.clone(), (count("in-work"), now)),
            lanes,
            waits: waits::take(&mut made.waits, orders, [count("pending"), count("waitlisted")]),
            dead,
            alerts,
            settings,
            info,
        })
    }
}

/// Looks for the SKUs and the orders that are to be shown.
async fn search(asker: &mut Asker<'_>, made: &mut Made) -> Result<(), AskError> {
    let info = info(asker.map("STORE.INFO").await?);
    let count = |name: &str| info.get(name).copied().flatten().unwrap_or(0);
    skus::search(&mut made.skus, asker, count("skus")).await?;
    work::search((&mut made.work, &mut made.seen), asker, count("in-work")).await?;
    waits::search(&mut made.waits, asker, [count("pending"), count("waitlisted")]).await
}

impl Made {
    /// The orders that were found: those of workers, and those that wait.
    fn orders(&self) -> Vec<Vec<u8>> {
        let waits = self.waits.iter().flat_map(|search| &search.found);
        self.work.found.iter().take(work::SHOWN_MAX).chain(waits).cloned().collect()
    }

    /// All that a detail shows, in the order in which it is taken.
    fn questions(&self, key: &Key, orders: &[Vec<u8>]) -> Questions {
        let mut questions = Questions::default();
        questions.add(cmd("TIME"));
        ["STORE.GET", "STORE.INFO", "STORE.LANES"].into_iter().for_each(|name| questions.add(key_cmd(name, key)));
        dead::ask(key, &mut questions);
        alerts::ask(key, &mut questions);
        skus::ask(&self.skus, key, &mut questions);
        questions.add_orders(key, orders);
        questions
    }
}

fn settings(reply: Pairs<redis::Value>) -> Pairs<Json> {
    let setting = |(name, value)| match reply::int(&value) {
        Some(number) => (name, number.into()),
        None => (name, (reply::bytes(value).as_deref() == Some(b"yes")).into()),
    };
    Pairs(reply.0.into_iter().map(setting).collect())
}

fn info(reply: Pairs<redis::Value>) -> Pairs<Option<i64>> {
    Pairs(reply.0.into_iter().map(|(name, value)| (name, reply::int(&value))).collect())
}
