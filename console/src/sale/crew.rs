//! The crew of the shop: every place is filled until the sale is over, whoever dies or goes home.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::shop::Shop;
use super::source::{ClaimSource, StreamGroup};
use super::staff::{Leaving, Ways};
use super::worker::Worker;

/// The workers together would pack all units in this part of the window: slower than the rush, so that orders wait, and
/// fast enough to be done long before the end.
const PACKING_PART_OF_WINDOW: f64 = 0.22;
/// No order takes longer than this part of the window, on average: few units are no reason to be slow.
const PACKING_AT_MOST_OF_WINDOW: f64 = 0.01;
/// At the counter the goods stand ready.
const COUNTER_PACE: f64 = 0.3;
/// Somebody new is at a place after this part of the window.
const REPLACED_AFTER: f64 = 0.01;
/// Tells the luck of the counters from that of the workers.
const COUNTER_LUCK: u64 = 1 << 40;

/// Everybody who works in the shop.
pub struct Crew {
    done: watch::Sender<bool>,
    people: JoinSet<()>,
}

/// A place of a worker.
struct Place {
    shop: Arc<Shop>,
    number: usize,
    /// Orders that are packed here in all, about.
    share: f64,
    mean: Duration,
    done: watch::Receiver<bool>,
}

impl Crew {
    /// Puts so many workers and counters to work.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn hire(shop: &Arc<Shop>, workers: usize, counters: usize, units: i64) -> Result<Crew> {
        StreamGroup::make(shop).await?;
        let (done, is_done) = watch::channel(false);
        let mut people = JoinSet::new();
        let share = units as f64 / workers as f64;
        let window = shop.schedule.window();
        let mean = window.mul_f64((PACKING_PART_OF_WINDOW / share).min(PACKING_AT_MOST_OF_WINDOW));
        for number in 1..=workers {
            let place = Place { shop: Arc::clone(shop), number, share, mean, done: is_done.clone() };
            people.spawn(place.keep_filled());
        }
        for number in 1..=counters {
            let source = StreamGroup::join(shop, number).await?;
            let (ways, luck) = (Ways::steady(COUNTER_PACE), COUNTER_LUCK + number as u64);
            let counter = Worker::new(shop, source, ways, mean, luck, is_done.clone());
            people.spawn(async {
                counter.work().await;
            });
        }
        Ok(Crew { done, people })
    }

    /// The sale is over: everybody gives back what is in hand, and leaves.
    pub async fn send_home(self) {
        self.done.send_replace(true);
        self.people.join_all().await;
    }
}

impl Place {
    async fn keep_filled(self) {
        let mut nth = 0;
        while !*self.done.borrow() {
            // The server may be away for a moment: somebody comes then.
            let name = format!("packer-{}-{}", self.number, nth + 1);
            if let Ok(source) = ClaimSource::join(&self.shop, name).await {
                if self.worker(source, nth).work().await == Leaving::Stays {
                    return;
                }
                nth += 1;
            }
            tokio::time::sleep(self.shop.schedule.window().mul_f64(REPLACED_AFTER)).await;
        }
    }

    fn worker(&self, source: ClaimSource, nth: u32) -> Worker<ClaimSource> {
        let ways = Ways::of(self.shop.seed, self.number, nth, self.share);
        let luck = self.number as u64 + (u64::from(nth) << 20);
        Worker::new(&self.shop, source, ways, self.mean, luck, self.done.clone())
    }
}
