//! Everybody who works in the shop: every worker who dies or goes home is replaced until the sale is over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::behaviour::{Behaviour, Leaving};
use super::shop::Shop;
use super::source::{self, Source};
use super::worker::Worker;

/// The workers together would pack all units in this part of the window: slower than the rush, so that orders wait, and
/// fast enough to be done long before the end.
const PACKING_PART_OF_WINDOW: f64 = 0.22;
/// No order takes longer than this part of the window, on average: few units are no reason to be slow.
const PACKING_AT_MOST_OF_WINDOW: f64 = 0.01;
/// At the counter the goods stand ready.
const COUNTER_PACE: f64 = 0.3;
/// A worker is replaced after this part of the window.
const REPLACED_AFTER: f64 = 0.01;
/// Separates the random numbers of the counters from those of the workers.
const COUNTER_STREAM: u64 = 1 << 40;

/// The workers and the counters.
pub struct Workers {
    done: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The job of one worker at a time.
struct Job {
    shop: Arc<Shop>,
    number: usize,
    /// Orders that are packed here in all, about.
    share: f64,
    mean: Duration,
    done: watch::Receiver<bool>,
}

impl Workers {
    /// Starts this many workers and counters. Fails when the server cannot be reached.
    pub async fn hire(shop: &Arc<Shop>, workers: usize, counters: usize, units: i64) -> Result<Workers> {
        source::make_group(shop).await?;
        let (done, is_done) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let share = units as f64 / workers as f64;
        let window = shop.schedule.window();
        let mean = window.mul_f64((PACKING_PART_OF_WINDOW / share).min(PACKING_AT_MOST_OF_WINDOW));
        for number in 1..=workers {
            let job = Job { shop: Arc::clone(shop), number, share, mean, done: is_done.clone() };
            tasks.spawn(job.keep_filled());
        }
        for number in 1..=counters {
            let source = Source::stream(shop, number).await?;
            let (behaviour, random_stream) = (Behaviour::steady(COUNTER_PACE), COUNTER_STREAM + number as u64);
            let counter = Worker::new(shop, source, behaviour, mean, random_stream, is_done.clone());
            tasks.spawn(async {
                counter.work().await;
            });
        }
        Ok(Workers { done, tasks })
    }

    /// The sale is over: everybody gives back what is in hand, and leaves.
    pub async fn send_home(self) {
        self.done.send_replace(true);
        self.tasks.join_all().await;
    }
}

impl Job {
    async fn keep_filled(self) {
        let mut nth = 0;
        while !*self.done.borrow() {
            // The server may be away for a moment: then the worker comes later.
            let name = format!("packer-{}-{}", self.number, nth + 1);
            if let Ok(source) = Source::claims(&self.shop, name).await {
                if self.worker(source, nth).work().await == Leaving::Stays {
                    return;
                }
                nth += 1;
            }
            tokio::time::sleep(self.shop.schedule.window().mul_f64(REPLACED_AFTER)).await;
        }
    }

    fn worker(&self, source: Source, nth: u32) -> Worker {
        let behaviour = Behaviour::of(self.shop.seed, self.number, nth, self.share);
        let random_stream = self.number as u64 + (u64::from(nth) << 20);
        Worker::new(&self.shop, source, behaviour, self.mean, random_stream, self.done.clone())
    }
}
