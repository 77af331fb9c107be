//! Sums over all stores of this server, for INFO.

use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_engine::terms::metrics::{METRICS, Sample};

/// How many of a sample's numbers are summed.
const NUMBERS: usize = Sample::SUMMABLE;

/// The sums, and how many stores there are. Atomic, as a store may be freed by a thread of the server's own; they wrap,
/// and are right again once all that was added is subtracted.
static TOTALS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];
static STORES: AtomicU64 = AtomicU64::new(0);

/// What one store has added to the sums: the numbers of its last sample. Subtracted when the store is freed.
pub struct Sums(Box<[u64; NUMBERS]>);

impl Sums {
    /// Adds a store.
    pub fn of(sample: &Sample) -> Self {
        STORES.fetch_add(1, Ordering::Relaxed);
        let mut sums = Sums(Box::new([0; NUMBERS]));
        sums.set(sample);
        sums
    }

    /// The store has other numbers now.
    pub fn set(&mut self, sample: &Sample) {
        for ((total, added), number) in TOTALS.iter().zip(self.0.iter_mut()).zip(sample.0) {
            total.fetch_add(number.wrapping_sub(*added), Ordering::Relaxed);
            *added = number;
        }
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        STORES.fetch_sub(1, Ordering::Relaxed);
        for (total, added) in TOTALS.iter().zip(self.0.iter()) {
            total.fetch_sub(*added, Ordering::Relaxed);
        }
    }
}

/// How many stores there are, and the sums by name, as of the stores' last samples.
pub fn totals() -> (u64, impl Iterator<Item = (&'static str, u64)>) {
    let sums = TOTALS.iter().map(|total| total.load(Ordering::Relaxed));
    (STORES.load(Ordering::Relaxed), METRICS.into_iter().map(|metric| metric.name).zip(sums))
}
