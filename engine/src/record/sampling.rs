//! What a store knows of its samples: when the last was taken, and how long orders took since.

use hdrhistogram::Histogram;

use crate::base::packed::{put, take};
use crate::base::units::{MAX_QUANTITY, Ms};
use crate::terms::metrics::QUANTILES;

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
    pub fn quantiles(&self) -> [Ms; QUANTILES] {
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
