//! A sample of a store's numbers: one entry of its stream `…:metrics`.

use std::fmt;

use holdfast_engine::terms::metrics::{Group, METRICS, METRICS_COUNT, MetricKind};
use holdfast_engine::terms::refusal::Code;
use redis::Value;
use serde::ser::{Serialize, Serializer};

use super::reply::Pairs;

/// The id of a stream's entry: Unix milliseconds, and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    pub ms: u64,
    /// Distinguishes the entries of one millisecond, from 0.
    pub seq: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl EntryId {
    /// The id that a text is.
    pub fn of(text: &str) -> Option<EntryId> {
        let (ms, seq) = text.split_once('-')?;
        Some(EntryId { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }
}

/// Stands for a number that the entry does not have.
const MISSING: i64 = i64::MIN;

/// The index of a metric in [`METRICS`].
pub fn metric_at(name: &str) -> Option<usize> {
    METRICS.iter().position(|metric| metric.name == name)
}

/// What a store counted up to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The entry's id; its milliseconds are the time of the sample, by the server's clock.
    pub id: EntryId,
    values: Box<[i64; METRICS_COUNT]>,
}

impl Sample {
    fn of(id: EntryId, value: impl Fn(&str) -> Option<i64>) -> Sample {
        Sample { id, values: Box::new(METRICS.map(|metric| value(metric.name).unwrap_or(MISSING))) }
    }

    /// Reads an entry as XRANGE and XREAD reply it. A field that is no whole number, or no metric, is left out: only an
    /// outsider can have written it. `None` for what is no entry.
    fn of_entry(entry: &Value) -> Option<Sample> {
        let Value::Array(parts) = entry else { return None };
        let [id, Value::Array(fields)] = parts.as_slice() else { return None };
        let id = EntryId::of(text(id)?)?;
        let fields: Vec<(&str, i64)> = fields.chunks_exact(2).filter_map(pair).collect();
        // The fields come in the order of the metrics as a rule: each is looked for from where the last one was found.
        let mut next = fields.iter().cycle();
        let mut find = |name: &str| next.by_ref().take(fields.len()).find(|(known, _)| *known == name);
        let values = Box::new(METRICS.map(|metric| find(metric.name).map_or(MISSING, |(_, value)| *value)));
        Some(Sample { id, values })
    }

    pub fn all_of(entries: &Value) -> Vec<Sample> {
        let Value::Array(entries) = entries else { return Vec::new() };
        entries.iter().filter_map(Sample::of_entry).collect()
    }

    /// The numbers of a store that keeps no samples, out of STORE.INFO. A time that is not set is 0.
    pub fn of_info(info: &Pairs<Option<i64>>) -> Sample {
        Sample::of(EntryId::default(), |name| info.get(name).map(|value| value.unwrap_or(0)))
    }

    /// The same with the numbers that only a sample has: how long orders took lately.
    pub fn with_latency_of(mut self, sample: &Sample) -> Sample {
        let is_latency = |index: &usize| METRICS[*index].group == Group::Latency;
        (0..METRICS_COUNT).filter(is_latency).for_each(|index| self.values[index] = sample.values[index]);
        self
    }

    /// When it was taken, Unix milliseconds by the server's clock.
    pub fn at_ms(&self) -> u64 {
        self.id.ms
    }

    /// The value of the metric with this index in [`METRICS`]; `None` where the sample does not have it.
    pub fn at(&self, index: usize) -> Option<i64> {
        Some(self.values[index]).filter(|value| *value != MISSING)
    }

    /// The value of a metric; `None` where the sample does not have it.
    pub fn find(&self, name: &str) -> Option<i64> {
        self.at(metric_at(name)?)
    }

    /// The value of a metric; 0 where the sample does not have it.
    pub fn get(&self, name: &str) -> i64 {
        self.find(name).unwrap_or(0)
    }

    /// What it has: names and values, in the order of [`METRICS`].
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, i64)> {
        METRICS.iter().enumerate().filter_map(|(index, metric)| Some((metric.name, self.at(index)?)))
    }

    /// Orders placed and not finished yet.
    pub fn processing(&self) -> i64 {
        self.waiting() + self.get("queued") + self.get("in-work") + self.get("retrying")
    }

    /// Orders placed and not queued yet: they wait for gates or for units.
    pub fn waiting(&self) -> i64 {
        self.get("pending") + self.get("waitlisted")
    }

    /// Refused calls, by whatever code.
    pub fn refused(&self) -> i64 {
        let is_refusal = |index: &usize| METRICS[*index].group == Group::Refusals;
        (0..METRICS_COUNT).filter(is_refusal).filter_map(|index| self.at(index)).sum()
    }

    /// The codes with which somebody was refused, most frequent first.
    pub fn refusals(&self) -> Vec<(Code, i64)> {
        let mut some: Vec<_> = Code::ALL.iter().map(|code| (*code, self.get(code.metric()))).collect();
        some.retain(|(_, count)| *count > 0);
        some.sort_by_key(|(_, count)| -count);
        some
    }

    /// Units that are neither held nor for sale.
    pub fn safety(&self) -> i64 {
        (self.get("on-hand") - self.get("held") - self.get("available")).max(0)
    }

    /// Whether nothing is left, and something was sold.
    pub fn is_sold_out(&self) -> bool {
        self.get("available") <= 0 && self.get("sold") + self.get("held") > 0
    }

    /// Whether it must be of a store made after the one of `before`: a counter is smaller.
    pub fn is_of_a_new_store(&self, before: &Sample) -> bool {
        let is_counter = |index: &usize| METRICS[*index].kind == MetricKind::Counter;
        (0..METRICS_COUNT).filter(is_counter).any(|index| self.at(index) < before.at(index))
    }
}

/// The fields alone, as a map.
impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields())
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn pair(pair: &[Value]) -> Option<(&str, i64)> {
    Some((text(&pair[0])?, text(&pair[1])?.parse().ok()?))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An entry as a server replies it.
    pub fn entry(id: &str, fields: &[(&str, &str)]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = fields.iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
        Value::Array(vec![text(id), Value::Array(fields)])
    }

    pub fn sample(at_ms: u64, fields: &[(&str, i64)]) -> Sample {
        let value = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        Sample::of(EntryId { ms: at_ms, seq: 0 }, value)
    }

    #[test]
    fn an_entry_becomes_a_sample() {
        let sample = Sample::of_entry(&entry("1700-2", &[("p50-ms", "0"), ("placed", "7")])).expect("a sample");
        assert_eq!((sample.id, sample.at_ms()), (EntryId { ms: 1700, seq: 2 }, 1700));
        assert_eq!((sample.find("placed"), sample.find("late"), sample.get("late")), (Some(7), None, 0));
        assert_eq!(serde_json::to_string(&sample).expect("JSON"), r#"{"placed":7,"p50-ms":0}"#);
    }

    #[test]
    fn what_an_outsider_wrote_is_left_out() {
        let fields = [("placed", "x"), ("mine", "3"), ("late", "1")];
        let sample = Sample::of_entry(&entry("5-0", &fields)).expect("a sample");
        assert_eq!(sample.fields().collect::<Vec<_>>(), [("late", 1)]);
        assert_eq!(Sample::of_entry(&entry("never", &[])), None);
        assert_eq!(Sample::of_entry(&Value::Nil), None);
    }

    #[test]
    fn refusals_are_summed_up_most_frequent_first() {
        let sample = sample(1, &[("refused-limit", 2), ("refused-gap", 5), ("placed", 9)]);
        assert_eq!(sample.refusals(), [(Code::Gap, 5), (Code::Limit, 2)]);
        assert_eq!(sample.refused(), 7);
    }
}
