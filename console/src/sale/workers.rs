//! Everybody who works in the shop, and for it: every worker who dies or goes home is replaced until the sale is over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::provider::Provider;
use super::shop::Shop;
use super::source::{self, Source};
use super::worker::{Behaviour, Leaving, Worker};

/// All units would be packed in this part of the window: slower than the rush, and done long before the end.
const PACKING_PART_OF_WINDOW: f64 = 0.22;
/// No order takes longer than this part of the window, on average: few units are no reason to be slow.
const PACKING_AT_MOST_OF_WINDOW: f64 = 0.01;
/// At the counter the goods stand ready.
const COUNTER_PACE: f64 = 0.3;
/// A worker is replaced after this part of the window.
const REPLACED_AFTER: f64 = 0.01;
/// Separates the random numbers of the counters from those of the workers.
const COUNTER_STREAM: u64 = 1 << 40;

pub struct Workers {
    done: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Starts this many workers and counters, and the payment provider. Fails when the server cannot be reached.
    pub async fn hire(shop: &Arc<Shop>, workers: usize, counters: usize, units: i64) -> Result<Workers> {
        source::make_group(shop).await?;
        let (done, is_done) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let share = units as f64 / workers as f64;
        let window = shop.schedule.window();
        let mean = window.mul_f64((PACKING_PART_OF_WINDOW / share).min(PACKING_AT_MOST_OF_WINDOW));
        for number in 1..=workers {
            tasks.spawn(keep_filled(Arc::clone(shop), number, share, mean, is_done.clone()));
        }
        for number in 1..=counters {
            let source = Source::stream(shop, number).await?;
            let (behaviour, random_stream) = (Behaviour::steady(COUNTER_PACE), COUNTER_STREAM + number as u64);
            let counter = Worker::new(source, behaviour, mean, random_stream, is_done.clone());
            tasks.spawn(async {
                counter.work().await;
            });
        }
        tasks.spawn(Provider::new(shop).await?.work(is_done));
        Ok(Workers { done, tasks })
    }

    /// The sale is over: everybody gives back what is in hand, and leaves.
    pub async fn send_home(self) {
        self.done.send_replace(true);
        self.tasks.join_all().await;
    }
}

/// Keeps the job of one worker filled, in which about `share` orders are packed in all.
async fn keep_filled(shop: Arc<Shop>, job: usize, share: f64, mean: Duration, done: watch::Receiver<bool>) {
    let mut nth = 0;
    while !*done.borrow() {
        // The server may be away for a moment: then the worker comes later.
        let behaviour = Behaviour::of(shop.seed, job, nth, share);
        let name = format!("packer-{job}-{}", nth + 1);
        if let Ok(source) = Source::claims(&shop, name, behaviour.express_first).await {
            let random_stream = job as u64 + (u64::from(nth) << 20);
            if Worker::new(source, behaviour, mean, random_stream, done.clone()).work().await == Leaving::Stays {
                break;
            }
            nth += 1;
        }
        tokio::time::sleep(shop.schedule.window().mul_f64(REPLACED_AFTER)).await;
    }
}
