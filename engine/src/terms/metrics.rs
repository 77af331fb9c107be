//! What a store counts and measures: every counter and gauge with its name, its unit and its meaning, once. The stream
//! `…:metrics`, STORE.INFO, INFO, docs/metrics.md, Prometheus, the page and the terminal view take their words from
//! here.

use crate::terms::refusal::Code;

/// How a number moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Counted since the store was made: it only grows.
    Counter,
    /// As it is when the sample is taken.
    Gauge,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Units of goods.
    Units,
    /// Orders, or attempts at one.
    Orders,
    /// Things of another kind, which the meaning names.
    Count,
    /// Milliseconds.
    Ms,
}

/// The part of a store that a number tells of: headings under which numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Stock,
    Customers,
    Orders,
    Work,
    Latency,
    /// Counters of refusals, one a code.
    Refusals,
}

impl Group {
    /// Every group, in the order they are shown.
    pub const ALL: [Group; 6] =
        [Group::Stock, Group::Customers, Group::Orders, Group::Work, Group::Latency, Group::Refusals];

    /// The heading.
    pub const fn label(self) -> &'static str {
        match self {
            Group::Stock => "Stock",
            Group::Customers => "Customers",
            Group::Orders => "Orders",
            Group::Work => "Work",
            Group::Latency => "Latency",
            Group::Refusals => "Refusals",
        }
    }
}

/// One number of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, the same wherever it is shown (INFO and Prometheus write underscores).
    pub name: &'static str,
    pub kind: MetricKind,
    pub unit: Unit,
    pub group: Group,
    /// A short title for people.
    pub label: &'static str,
    /// What it means, in a sentence without its full stop.
    pub meaning: &'static str,
}

macro_rules! counters {
    ($($field:ident, $name:literal, $unit:ident, $group:ident, $label:literal, $meaning:literal;)*) => {
        /// What a store has counted since it was made. Saturating; none of it decides anything.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $meaning] pub $field: u64,)*
            /// Refused writes.
            pub refused: Refused,
        }

        impl Counters {
            /// The counters but for those of refusals, in the order of [`Counters::all`].
            const METRICS: &'static [Metric] = &[$(Metric {
                name: $name,
                kind: MetricKind::Counter,
                unit: Unit::$unit,
                group: Group::$group,
                label: $label,
                meaning: $meaning,
            },)*];

            /// All of them, refusals last.
            pub(crate) fn all(&self) -> Vec<u64> {
                [$(self.$field,)*].into_iter().chain(self.refused.0).collect()
            }

            /// The first of them, and the first refusals, to be set: those that an image of some version has.
            pub(crate) fn first_mut(&mut self, (counters, refusals): (usize, usize)) -> Vec<&mut u64> {
                let first = [$(&mut self.$field,)*].into_iter().take(counters);
                first.chain(self.refused.0.iter_mut().take(refusals)).collect()
            }
        }
    };
}

counters! {
    placed, "placed", Orders, Orders, "Placed", "orders placed since the store was made";
    completed, "completed", Orders, Orders, "Completed", "orders completed: their units have left";
    cancelled, "cancelled", Orders, Orders, "Cancelled", "orders cancelled: their units went back on sale";
    returned, "returned", Units, Stock, "Units returned", "units that customers sent back";
    failed, "failed", Orders, Work, "Failed attempts", "attempts that a worker reported as failed";
    retried, "retried", Orders, Work, "Retried", "retries that came due and were offered to workers again";
    dead, "dead", Orders, Work, "Died", "orders that ran out of attempts or failed for good";
    expired, "expired", Count, Customers, "Carts expired", "holds that expired: their units went back on sale";
    claimed, "claimed", Orders, Work, "Claimed", "times an order was given to a worker";
    units_sold, "units-sold", Units, Stock, "Units shipped",
        "units that left with completed orders and committed holds, returns not subtracted";
    lapsed, "lapsed", Orders, Work, "Leases expired", "attempts that ended because the worker's lease expired";
    redriven, "redriven", Orders, Work, "Redriven", "dead orders that were queued again";
    late, "late", Orders, Orders, "Late", "orders that took longer than the store promises (sla-ms)";
    gates_expired, "gates-expired", Orders, Orders, "Gates expired",
        "orders cancelled because a gate (a payment, a check) was not passed in time";
    waitlist_expired, "waitlist-expired", Orders, Orders, "Waits expired",
        "orders cancelled because their units did not come in time";
}

macro_rules! gauges {
    ($($name:literal, $unit:ident, $group:ident, $label:literal, $meaning:literal;)*) => {
        /// The gauges, which follow the counters in a sample.
        const GAUGES: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::Gauge,
            unit: Unit::$unit,
            group: Group::$group,
            label: $label,
            meaning: $meaning,
        },)*];
    };
}

gauges! {
    "skus", Count, Stock, "SKUs", "SKUs (stock-keeping units) that the store knows";
    "on-hand", Units, Stock, "On hand", "units in the building, held ones included";
    "available", Units, Stock, "Available", "units that can be sold now: on-hand less held less safety";
    "held", Units, Stock, "Held", "units set aside for live holds and open orders";
    "sold", Units, Stock, "Sold", "units that have left, less those returned";
    "oversold", Units, Stock, "Oversold",
        "units promised beyond what is on hand: 0 unless somebody counts stock down below what is held";
    "queued", Orders, Orders, "Queued", "orders that wait for a worker";
    "in-work", Orders, Orders, "In work", "orders that workers have under a lease";
    "retrying", Orders, Orders, "Retrying", "orders whose attempt failed and that wait for the next";
    "dead-letters", Orders, Work, "Dead letters", "dead orders that nobody has redriven or cancelled yet";
    "pending", Orders, Orders, "Pending", "orders that hold their units until every gate is passed";
    "waitlisted", Orders, Orders, "Waitlisted", "orders that wait for units, first come, first served";
    "overflow", Orders, Customers, "Not served",
        "orders asked for (placed, or refused OUTOFSTOCK) less orders completed";
    "holds", Count, Customers, "Carts open", "live holds: units set aside until a deadline";
    "customers", Count, Customers, "Customers", "customers with a hold, an order or units that count towards the limit";
    "workers", Count, Work, "Workers", "workers that have orders under a lease";
    "oldest-waiting-ms", Ms, Orders, "Oldest waiting",
        "how long ago the order that is next was placed, milliseconds; 0: no order waits";
    "p50-ms", Ms, Latency, "Half within",
        "half of the orders completed since the last sample took no longer from placed to completed, milliseconds; 0: \
         there were none";
    "p99-ms", Ms, Latency, "99 % within",
        "99 of 100 of the orders completed since the last sample took no longer, milliseconds";
    "max-ms", Ms, Latency, "Longest", "the longest of the orders completed since the last sample, milliseconds";
}

/// The gauges at the end of which no sum over stores makes sense: an age, and times orders took.
const TIMES: usize = 4;

/// The quantiles at the end of the gauges.
pub(crate) const QUANTILES: usize = 3;

/// How many gauges there are.
pub(crate) const GAUGES_COUNT: usize = GAUGES.len();

/// How many numbers a sample has.
pub const METRICS_COUNT: usize = Counters::METRICS.len() + Code::COUNT + GAUGES.len();

/// The numbers of a sample, in the order they have in an entry of `…:metrics`: counters, refusals, gauges.
pub const METRICS: [Metric; METRICS_COUNT] = metrics();

const fn metrics() -> [Metric; METRICS_COUNT] {
    let mut metrics = [GAUGES[0]; METRICS_COUNT];
    let mut at = 0;
    while at < METRICS_COUNT {
        let refusal = at.wrapping_sub(Counters::METRICS.len());
        let gauge = refusal.wrapping_sub(Code::COUNT);
        metrics[at] = if at < Counters::METRICS.len() {
            Counters::METRICS[at]
        } else if refusal < Code::COUNT {
            refusals(Code::ALL[refusal])
        } else {
            GAUGES[gauge]
        };
        at += 1;
    }
    metrics
}

const fn refusals(code: Code) -> Metric {
    Metric {
        name: code.metric(),
        kind: MetricKind::Counter,
        unit: Unit::Count,
        group: Group::Refusals,
        label: code.label(),
        meaning: code.meaning(),
    }
}

/// The numbers of a store at a moment, in the order of [`METRICS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample(pub [u64; METRICS_COUNT]);

impl Sample {
    /// Those of the numbers, from the first on, that can be added up over stores.
    pub const SUMMABLE: usize = METRICS_COUNT - TIMES;
}

/// Refused writes by code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused(pub [u64; Code::COUNT]);

impl Refused {
    /// Counts one.
    pub fn count(&mut self, code: Code) {
        let count = &mut self.0[code as usize];
        *count = count.saturating_add(1);
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// Both added up.
    pub fn with(mut self, more: &Refused) -> Refused {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count = count.saturating_add(more));
        self
    }

    /// Writes refused with this code.
    pub fn of(&self, code: Code) -> u64 {
        self.0[code as usize]
    }
}
