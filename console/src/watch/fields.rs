//! The fields of an entry of `…:metrics`: what each of them is.

/// How a field moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counted since the store was made: only grows.
    Counter,
    /// As it was at the sample.
    Gauge,
}

/// A field of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the stream.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it is, with its unit, in a few words.
    pub about: &'static str,
}

/// What the names of counters of refusals begin with; the rest is the error's code in small letters.
pub const REFUSED: &str = "refused-";

const fn counter(name: &'static str, about: &'static str) -> Field {
    Field { name, kind: Kind::Counter, about }
}

const fn gauge(name: &'static str, about: &'static str) -> Field {
    Field { name, kind: Kind::Gauge, about }
}

/// All fields but those of refusals, in the order of an entry.
pub const FIELDS: &[Field] = &[
    counter("placed", "Orders placed"),
    counter("completed", "Orders completed"),
    counter("cancelled", "Orders cancelled"),
    counter("returned", "Units that came back from completed orders"),
    counter("failed", "Attempts at an order that failed, as workers said"),
    counter("retried", "Retries that became due"),
    counter("dead", "Orders that ran out of attempts or failed for good"),
    counter("expired", "Holds that expired"),
    counter("claimed", "Orders handed to workers"),
    counter("units-sold", "Units that left by completed orders and committed holds, returned ones included"),
    counter("lapsed", "Leases that ended: the worker was silent for too long"),
    counter("redriven", "Dead orders that were queued anew"),
    counter("late", "Orders that took longer than the promise of sla-ms"),
    gauge("skus", "SKUs in the store"),
    gauge("on-hand", "Units in the shop, held ones included"),
    gauge("available", "Units that can be sold now"),
    gauge("held", "Units in live holds and in orders that have not ended"),
    gauge("sold", "Units sold, less those that were returned"),
    gauge("oversold", "Units promised beyond what is on hand"),
    gauge("queued", "Orders that wait for a worker"),
    gauge("in-work", "Orders in workers' hands"),
    gauge("retrying", "Orders that wait for their retry"),
    gauge("dead-letters", "Dead orders that nobody has queued anew or cancelled"),
    gauge("overflow", "Orders asked for less orders completed"),
    gauge("holds", "Live holds"),
    gauge("customers", "Customers the store knows"),
    gauge("workers", "Workers with orders in hand"),
    gauge("oldest-ms", "Milliseconds since the order that is next was placed; 0: none waits"),
    gauge("p50-ms", "Milliseconds from placed to completed, median of the sample"),
    gauge("p99-ms", "Milliseconds from placed to completed, 99th percentile of the sample"),
    gauge("max-ms", "Milliseconds from placed to completed, longest of the sample"),
];

/// The code of a refusal whose counter has this name: `outofstock` of `refused-outofstock`.
pub fn refusal(name: &str) -> Option<&str> {
    name.strip_prefix(REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_engine() {
        let table = include_str!("../../../docs/metrics.md").lines().filter_map(|line| line.strip_prefix("| `"));
        let documented = table.map(|line| {
            let (name, rest) = line.split_once("` | ").expect("a name");
            (name, if rest.starts_with("counter |") { Kind::Counter } else { Kind::Gauge })
        });
        let documented: Vec<_> = documented.filter(|(name, _)| refusal(name).is_none()).collect();
        let known: Vec<_> = FIELDS.iter().map(|field| (field.name, field.kind)).collect();
        assert_eq!(known, documented);
    }
}
