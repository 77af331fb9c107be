//! What the model counts, and what a sample of it says.

use super::super::command::Reply;
use super::super::published::Published;
use super::next_entry;
use super::{Model, Outcome};
use crate::terms::metrics::{METRICS, Sample};
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;

impl Model {
    pub(crate) fn tally(&mut self, name: &'static str, by: u64) {
        *self.counters.entry(name).or_default() += by;
    }

    /// What was counted under a name.
    pub fn counted(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn sample(&mut self, refused: &[(&'static str, u64)]) -> Outcome {
        self.changed = true;
        refused.iter().for_each(|(name, count)| self.tally(name, *count));
        let sample = Box::new(Sample(METRICS.map(|metric| self.number(metric.name))));
        self.took_ms.clear();
        if self.setting("metrics") > 0 {
            let id = next_entry(&mut self.last_metrics, self.now);
            self.published.push(Published::Sampled(id, sample.clone()));
        }
        Ok(Reply::Sampled(sample))
    }

    /// A number of a sample, made anew from what is.
    pub fn number(&self, name: &str) -> u64 {
        let in_state = |state| self.orders.values().filter(|order| order.state == state).count() as u64;
        let over_skus = |of: &dyn Fn(&Vec<u8>) -> u64| self.skus.keys().map(of).sum::<u64>();
        match name {
            "skus" => self.skus.len() as u64,
            "on-hand" => over_skus(&|sku| self.skus[sku].on_hand),
            "available" => over_skus(&|sku| self.available(sku).max(0) as u64),
            "held" => over_skus(&|sku| self.held(sku)),
            "sold" => over_skus(&|sku| self.sold(sku)),
            "oversold" => over_skus(&|sku| self.held(sku).saturating_sub(self.skus[sku].on_hand)),
            "queued" => in_state(OrderState::Queued),
            "in-work" => in_state(OrderState::Claimed),
            "retrying" => in_state(OrderState::Retrying),
            "dead-letters" => in_state(OrderState::Dead),
            "pending" => in_state(OrderState::Pending),
            "waitlisted" => in_state(OrderState::Waitlisted),
            "overflow" => self.counted("placed") + self.counted("refused-outofstock") - self.counted("completed"),
            "holds" => self.holds.values().filter(|hold| hold.state == HoldState::Live).count() as u64,
            "customers" => self.customers() as u64,
            "workers" => self.workers() as u64,
            "oldest-waiting-ms" => {
                self.next_order().map_or(0, |id| self.now.saturating_sub(self.orders[&id].placed_at))
            }
            "p50-ms" => self.quantile(50),
            "p99-ms" => self.quantile(99),
            "max-ms" => self.quantile(100),
            counted => self.counted(counted),
        }
    }

    /// The time that so many of a hundred orders took at most, rounded up as two significant digits round.
    fn quantile(&self, percent: u64) -> u64 {
        let mut sorted = self.took_ms.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as u64 * percent).div_ceil(100).max(1) - 1;
        let Some(exact) = sorted.get(place as usize) else { return 0 };
        // Up to 255 a value stands for itself; of larger ones the highest eight bits are kept.
        let dropped = (64 - exact.leading_zeros()).saturating_sub(8);
        (((exact >> dropped) + 1) << dropped) - 1
    }
}
