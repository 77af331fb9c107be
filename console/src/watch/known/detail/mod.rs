//! A store in detail: made at most once a second however many look on, and only of stores that somebody looks at.

mod alerts;
mod dead;
mod scan;
mod skus;
mod waits;
mod work;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;
use tokio::time::{Instant, sleep_until};

pub use self::alerts::AlertLine;
pub use self::dead::DeadLetters;
#[cfg(test)]
pub use self::dead::Reason;
use self::scan::Search;
pub use self::scan::{Asker, OrderRef, read_orders};
pub use self::skus::{SkuLine, Skus, read_books};
pub use self::waits::{Wait, Waits};
use self::work::Crew;
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

/// Everything the page shows of one store.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// The store's key, percent-encoded.
    pub id: String,
    /// The store's key, for people.
    pub name: String,
    /// When it was made, Unix milliseconds by the server's clock.
    pub now: u64,
    /// STORE.GET: numbers in their own units, and switches.
    pub settings: Pairs<Json>,
    /// STORE.INFO; a time that is not set is `None`.
    pub info: Pairs<Option<i64>>,
    /// When the sample was taken; `None`: the store keeps no samples, and the numbers are those of STORE.INFO.
    pub at: Option<u64>,
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
    /// What somebody should look at, newest first.
    pub alerts: Vec<AlertLine>,
}

/// What is remembered of a store from one detail to the next.
#[derive(Debug, Default)]
struct Made {
    last: Option<(Instant, Arc<Detail>)>,
    skus: Search,
    work: Search,
    crew: Crew,
    waits: waits::Searches,
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

    async fn make(&self, asker: &mut Asker<'_>, made: &mut Made) -> Result<Detail, AskError> {
        let key = asker.key;
        let settings = settings(asker.map("STORE.GET").await?);
        let info = info(asker.map("STORE.INFO").await?);
        let count = |name: &str| info.get(name).copied().flatten().unwrap_or(0);
        let is_off = settings.get("metrics").is_some_and(|metrics| *metrics == 0);
        let sample = self.model.store(key).and_then(|store| store.sample).filter(|_| !is_off);
        let work = (count("in-work"), i64::try_from(self.model.now_ms()).unwrap_or(i64::MAX));
        Ok(Detail {
            id: key.id(),
            name: key.name(),
            now: self.model.now_ms(),
            at: sample.as_ref().map(|sample| sample.at_ms()),
            metrics: sample.unwrap_or_else(|| Arc::new(Sample::of_info(&info))),
            skus: skus::find(&mut made.skus, asker, count("skus")).await?,
            workers: work::find((&mut made.work, &mut made.crew), asker, work).await?,
            lanes: lanes(asker).await?,
            waits: waits::find(&mut made.waits, asker, [count("pending"), count("waitlisted")]).await?,
            dead: dead::read(asker, count("dead-letters")).await?,
            alerts: alerts::read(asker).await?,
            settings,
            info,
        })
    }
}

async fn lanes(asker: &mut Asker<'_>) -> Result<Vec<Lane>, AskError> {
    match asker.cmd("STORE.LANES").query_async(asker.connection).await.map_err(AskError::from) {
        Ok(reply) => Ok(Lane::all_of(reply)),
        // A module that knows no lanes, or a user who may not ask: everything else can be shown.
        Err(AskError::Refused(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
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
