//! Samples of a store: its counters, its gauges and how long orders took, once a second while they change.
//!
//! A sample is a call like any other: the primary stamps it and hands over what it refused since the last one, a replica
//! comes to the same numbers.

use hdrhistogram::Histogram;

use crate::base::packed::{put, take};
use crate::base::units::{MAX_QUANTITY, Ms};
use crate::store::{Store, StoreInfo};
use crate::terms::effects::{Effect, Effects};
use crate::terms::metrics::{GAUGES_COUNT, METRICS_COUNT, QUANTILES, Refused, Sample};
use crate::terms::refusal::Code;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

/// Significant decimal digits of the times in the sketch: they are right to within 1 %.
const DIGITS: u8 = 2;

/// How long the orders took that were completed since the last sample, from placed to completed. Integers alone decide
/// what it says, so that every server says the same.
#[derive(Debug, Default)]
pub(crate) struct Latency(Option<Box<Histogram<u32>>>);

impl Latency {
    /// Counts an order.
    pub fn record(&mut self, took_ms: Ms) {
        self.record_many(took_ms, 1);
    }

    fn record_many(&mut self, took_ms: Ms, count: u32) {
        let new = || Box::new(Histogram::new(DIGITS).expect("digits within 0 to 5"));
        // A histogram grows with what it has to hold: up to 2^53 that is 25 KB, which can always be counted.
        let recorded = self.0.get_or_insert_with(new).record_n(took_ms.min(MAX_QUANTITY), count);
        debug_assert!(recorded.is_ok(), "a histogram that grows takes any value");
    }

    /// The time that half of the orders took at most, that 99 of 100 did, and the longest; 0 where there are none.
    fn quantiles(&self) -> [Ms; QUANTILES] {
        let Some(taken) = &self.0 else { return [0; QUANTILES] };
        [taken.value_at_quantile(0.5), taken.value_at_quantile(0.99), taken.max()].map(|ms| ms.min(MAX_QUANTITY))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let buckets = || self.0.iter().flat_map(|taken| taken.iter_recorded());
        put(out, buckets().count() as u64);
        for bucket in buckets() {
            put(out, bucket.value_iterated_to());
            put(out, u64::from(bucket.count_at_value()));
        }
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut latency = Latency::default();
        for _ in 0..take(rest)? {
            let took_ms = take(rest).filter(|ms| *ms <= 2 * MAX_QUANTITY)?;
            latency.record_many(took_ms, take(rest).and_then(|count| u32::try_from(count).ok())?);
        }
        Some(latency)
    }
}

/// What a store knows of its sampling.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    /// Whether anything changed since the last sample.
    pub changed: bool,
    /// When that was.
    pub last: Ms,
    pub latency: Latency,
}

impl Sampling {
    pub fn write(&self, out: &mut Vec<u8>) {
        put(out, u64::from(self.changed));
        put(out, self.last);
        self.latency.write(out);
    }

    pub fn read(rest: &mut &[u8]) -> Option<Self> {
        let changed = take(rest)? != 0;
        let last = take(rest).filter(|last| *last <= MAX_QUANTITY)?;
        Some(Sampling { changed, last, latency: Latency::read(rest)? })
    }
}

impl Store {
    /// When the next sample is due, `every_ms` behind the last one, if anything changed since that or, as `refused` says,
    /// was refused.
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
    /// Orders that were asked for, placed or refused for want of stock, less those that were completed.
    pub fn overflow(&self) -> u64 {
        let asked = self.counters.placed.saturating_add(self.counters.refused.of(Code::OutOfStock));
        asked.saturating_sub(self.counters.completed)
    }

    /// The numbers of [`METRICS`](crate::terms::metrics::METRICS), in that order, without the quantiles at its end: those
    /// exist only in a sample.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.counters.all().into_iter().chain(self.gauges())
    }

    /// The gauges but for the quantiles.
    fn gauges(&self) -> [u64; GAUGES_COUNT - QUANTILES] {
        let units = |sum: u128| u64::try_from(sum).map_or(i64::MAX as u64, |sum| sum.min(i64::MAX as u64));
        let orders = |state: OrderState| self.orders[state as usize];
        [
            self.skus,
            units(self.on_hand),
            units(self.available),
            units(self.held),
            units(self.sold),
            units(self.oversold),
            orders(OrderState::Queued),
            orders(OrderState::Claimed),
            orders(OrderState::Retrying),
            orders(OrderState::Dead),
            self.overflow(),
            self.holds,
            self.customers,
            self.workers,
            self.oldest_waiting_ms,
        ]
    }
}
