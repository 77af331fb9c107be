//! Samples of a store: its counters, its gauges and how long orders took, once a second while they change.
//!
//! A sample is a call like any other: the primary stamps it and passes what it refused since the last one, a replica
//! comes to the same numbers.

use crate::base::units::Ms;
use crate::calls::info::StoreInfo;
use crate::record::sampling::{Latency, Sampling};
use crate::store::Store;
use crate::terms::effects::{Effect, Effects};
use crate::terms::metrics::{GAUGES_COUNT, METRICS_COUNT, QUANTILES, Refused, Sample};
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

impl Store {
    /// When the next sample is due, `every_ms` behind the last one, if anything changed since that or, as `refused`
    /// says, was refused.
    #[inline]
    pub fn sample_due(&self, every_ms: Ms, refused: bool) -> Option<Ms> {
        (self.sampling.changed || refused).then_some(self.sampling.last.saturating_add(every_ms))
    }

    /// Takes a sample. `refused` is what was refused since the last one: a refusal changes nothing by itself.
    pub fn sample(&mut self, now: Ms, refused: &Refused, fx: &mut Effects) -> Sample {
        self.touch(now, fx);
        self.counters.refused = self.counters.refused.with(refused);
        let sample = self.numbers();
        self.sampling = Sampling { changed: false, last: self.now, latency: Latency::default() };
        if self.settings.metrics > 0 {
            let id = self.last.next(StreamKind::Metrics, self.now);
            fx.push(Effect::Sampled { id, sample: Box::new(sample.clone()) });
        }
        sample
    }

    /// The numbers of a sample as they are now.
    pub fn numbers(&self) -> Sample {
        let info = self.info(self.now);
        let all = info.numbers().chain(self.sampling.latency.quantiles());
        let mut numbers = [0; METRICS_COUNT];
        numbers.iter_mut().zip(all).for_each(|(to, number)| *to = number);
        Sample(numbers)
    }
}

impl StoreInfo {
    /// The numbers of [`METRICS`](crate::terms::metrics::METRICS), in that order, without the quantiles at its end:
    /// those exist only in a sample.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.counters.all().into_iter().chain(gauges(self))
    }
}

/// The gauges but for the quantiles.
fn gauges(info: &StoreInfo) -> [u64; GAUGES_COUNT - QUANTILES] {
    let units = |sum: u128| u64::try_from(sum).map_or(i64::MAX as u64, |sum| sum.min(i64::MAX as u64));
    let orders = |state: OrderState| info.orders[state as usize];
    [
        info.skus,
        units(info.on_hand),
        units(info.available),
        units(info.held),
        units(info.sold),
        units(info.oversold),
        orders(OrderState::Queued),
        orders(OrderState::Claimed),
        orders(OrderState::Retrying),
        orders(OrderState::Dead),
        orders(OrderState::Pending),
        orders(OrderState::Waitlisted),
        info.overflow(),
        info.holds,
        info.customers,
        info.workers,
        info.oldest_waiting_ms,
    ]
}
