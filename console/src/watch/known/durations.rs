//! How long orders took from placed to completed: read from the streams `…:complete`, since a sample has quantiles
//! only, and quantiles of several samples cannot be put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{RedisError, Value, cmd};
use tokio::sync::Mutex;

use super::link::Link;
use super::model::{Key, Model};
use super::reply::items;
use super::sample::EntryId;
use crate::connect::SlotConnection;
use crate::store::stream_of;

/// The upper bounds of the buckets, in milliseconds.
pub const BOUNDS_MS: [u64; 18] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000];
/// Entries in one read: well under a millisecond of the server's time.
const ENTRIES_PER_READ: usize = 200;
/// Entries read of one store before the next is read: of more, the newest are counted.
const ENTRIES_MAX: usize = 4_000;
/// Entries read of all stores, each time somebody asks.
const ENTRIES_MAX_ALL: usize = 20_000;

/// How many orders took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Orders by bucket, each without those of the buckets before it; the last ones took longer than any bound.
    pub counts: [u64; BOUNDS_MS.len() + 1],
    pub sum_ms: u64,
}

impl Histogram {
    fn record(&mut self, took_ms: u64) {
        self.counts[BOUNDS_MS.partition_point(|bound| *bound < took_ms)] += 1;
        self.sum_ms = self.sum_ms.saturating_add(took_ms);
    }
}

/// What was read of a store.
#[derive(Debug, Default)]
struct Read {
    /// The newest entry that was counted, or was there before.
    last: EntryId,
    /// The store's counter of completed orders at that time.
    completed: i64,
    histogram: Histogram,
}

/// The durations of all stores, counted from the first time that somebody asks.
#[derive(Debug)]
pub struct Durations {
    model: Arc<Model>,
    link: Arc<Link>,
    known: Mutex<BTreeMap<Key, Read>>,
}

impl Durations {
    pub fn new(model: Arc<Model>, link: Arc<Link>) -> Durations {
        Durations { model, link, known: Mutex::default() }
    }

    /// The stores' histograms as of now; of stores that cannot be read, as they were.
    pub async fn now(&self) -> BTreeMap<Key, Histogram> {
        let mut known = self.known.lock().await;
        known.retain(|key, _| self.model.store(key).is_some());
        let mut left = ENTRIES_MAX_ALL;
        for (key, completed) in self.changed(&known) {
            let Ok(mut connection) = self.link.ask(&key) else { continue };
            // One that cannot be read (a user's rights, an outsider's key) has no histogram.
            let _ = read(&mut connection, &key, completed, &mut known, &mut left).await;
        }
        known.iter().map(|(key, read)| (key.clone(), read.histogram.clone())).collect()
    }

    /// The stores in which orders were completed since they were read, with how many in all.
    fn changed(&self, known: &BTreeMap<Key, Read>) -> Vec<(Key, i64)> {
        let completed = |key: Key| {
            let completed = self.model.store(&key)?.sample?.get("completed");
            (known.get(&key).is_none_or(|read| read.completed != completed)).then_some((key, completed))
        };
        self.model.keys().into_iter().filter_map(completed).collect()
    }
}

/// Counts the entries that a store has written since it was last read; of one that was never read, those to come.
async fn read(
    connection: &mut SlotConnection,
    key: &Key,
    completed: i64,
    known: &mut BTreeMap<Key, Read>,
    left: &mut usize,
) -> Result<(), RedisError> {
    let stream = stream_of(key, "complete");
    let Some(read) = known.get_mut(key) else {
        let newest = page(connection, &stream, "+", EntryId::default(), 1).await?;
        let last = newest.first().map_or(EntryId::default(), |(id, _)| *id);
        known.insert(key.clone(), Read { last, completed, histogram: Histogram::default() });
        return Ok(());
    };
    let (after, mut end, mut of_store) = (read.last, "+".to_string(), ENTRIES_MAX.min(*left));
    while of_store > 0 {
        let entries = page(connection, &stream, &end, after, ENTRIES_PER_READ.min(of_store)).await?;
        of_store -= entries.len();
        *left -= entries.len();
        entries.iter().filter_map(|(_, took_ms)| *took_ms).for_each(|took_ms| read.histogram.record(took_ms));
        // The first page has the newest.
        entries.first().into_iter().for_each(|(id, _)| read.last = read.last.max(*id));
        match entries.last() {
            Some((oldest, _)) if entries.len() == ENTRIES_PER_READ => end = format!("({oldest}"),
            _ => break,
        }
    }
    read.completed = completed;
    Ok(())
}

/// Entries after `after`, newest first: their ids, and what their field `took-ms` says.
async fn page(
    connection: &mut SlotConnection,
    stream: &[u8],
    end: &str,
    after: EntryId,
    count: usize,
) -> Result<Vec<(EntryId, Option<u64>)>, RedisError> {
    let mut range = cmd("XREVRANGE");
    range.arg(stream).arg(end).arg(format!("({after}")).arg("COUNT").arg(count);
    let entries: Value = range.query_async(connection).await?;
    Ok(items(entries).iter().filter_map(took).collect())
}

fn took(entry: &Value) -> Option<(EntryId, Option<u64>)> {
    let Value::Array(parts) = entry else { return None };
    let [id, Value::Array(fields)] = parts.as_slice() else { return None };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().map(str::to_string),
        _ => None,
    };
    let took = fields.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some("took-ms"));
    Some((EntryId::of(&text(id)?)?, took.and_then(|pair| text(&pair[1])?.parse().ok())))
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::entry;
    use super::*;

    #[test]
    fn an_order_is_counted_in_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for took_ms in [0, 1, 2, 3, 3_600_000, 3_600_001] {
            histogram.record(took_ms);
        }
        assert_eq!(histogram.counts[..4], [2, 1, 1, 0]);
        assert_eq!(histogram.counts[BOUNDS_MS.len() - 1..], [1, 1]);
        assert_eq!(histogram.sum_ms, 7_200_007);
    }

    #[test]
    fn what_an_outsider_wrote_is_passed_over() {
        assert_eq!(took(&entry("5-1", &[("took-ms", "7")])), Some((EntryId { ms: 5, seq: 1 }, Some(7))));
        assert_eq!(took(&entry("5-1", &[("took-ms", "-7")])), Some((EntryId { ms: 5, seq: 1 }, None)));
        assert_eq!(took(&Value::Nil), None);
    }
}
