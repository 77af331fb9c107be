//! The samples of a store over time: read once, and from then on only what is new.

use std::collections::VecDeque;
use std::sync::Arc;

use holdfast_engine::terms::metrics::METRICS;
use redis::{Value, cmd, pipe};
use serde::ser::{Serialize, SerializeMap, Serializer};
use strum::VariantArray;

use super::ask::AskError;
use super::link::Link;
use super::model::Key;
use super::reply::Pairs;
use super::sample::{EntryId, Sample};
use super::series::{Column, SAMPLES_MAX, Series};
use super::shelf::Shelf;
use crate::connect::SlotConnection;
use crate::store::stream_of;

/// Entries of a stream read at a time: well under a millisecond of the server's time.
const ENTRIES_PER_READ: usize = 200;

/// The samples of the stores that somebody looks at.
#[derive(Debug)]
pub struct Histories {
    link: Arc<Link>,
    kept: Shelf<VecDeque<Arc<Sample>>>,
}

impl Histories {
    pub fn new(link: Arc<Link>) -> Histories {
        Histories { link, kept: Shelf::default() }
    }

    /// All samples of a store, or `points` of them, evenly thinned; the newest is always there. Fails when the server
    /// is away, or there is no such store.
    pub async fn of(&self, key: &Key, points: Option<usize>) -> Result<History, AskError> {
        let mut connection = self.link.ask(key)?;
        let kept = self.kept.of(key);
        let mut samples = kept.lock().await;
        catch_up(&mut connection, key, &mut samples).await?;
        Ok(History { samples: samples.iter().cloned().collect(), points: points.unwrap_or(usize::MAX) })
    }
}

/// Brings samples up to what the stream has now.
async fn catch_up(
    connection: &mut SlotConnection,
    key: &Key,
    samples: &mut VecDeque<Arc<Sample>>,
) -> Result<(), AskError> {
    let stream = stream_of(key, "metrics");
    let mut ends = pipe();
    ends.cmd("TYPE").arg(&**key);
    ends.cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
    ends.cmd("XREVRANGE").arg(&stream).arg("+").arg("-").arg("COUNT").arg(1);
    let (kind, first, last): (String, Value, Value) = ends.query_async(connection).await?;
    if kind != "holdstore" {
        return Err(AskError::Missing(format!("no store {}", key.name())));
    }
    let (Some(first), Some(last)) = (Sample::all_of(&first).pop(), Sample::all_of(&last).pop()) else {
        samples.clear();
        return Ok(());
    };
    // A stream whose last entry is older than what was seen is another one, of that name.
    if samples.back().is_some_and(|newest| newest.id > last.id) {
        samples.clear();
    }
    while samples.front().is_some_and(|oldest| oldest.id < first.id) {
        samples.pop_front();
    }
    // All of it or nothing: whoever asked may leave meanwhile.
    let new = read_back(connection, &stream, samples.back().map(|newest| newest.id)).await?;
    samples.extend(new.into_iter().rev().map(Arc::new));
    samples.drain(..samples.len().saturating_sub(SAMPLES_MAX));
    Ok(())
}

/// The samples after `known`, or all, newest first; not many more than [`SAMPLES_MAX`].
async fn read_back(
    connection: &mut SlotConnection,
    stream: &[u8],
    known: Option<EntryId>,
) -> Result<Vec<Sample>, AskError> {
    let after = |id: EntryId| format!("({id}");
    let start = known.map_or("-".into(), after);
    let mut samples: Vec<Sample> = Vec::new();
    loop {
        let end = samples.last().map_or("+".into(), |oldest| after(oldest.id));
        let mut range = cmd("XREVRANGE");
        range.arg(stream).arg(end).arg(&start).arg("COUNT").arg(ENTRIES_PER_READ);
        let page = Sample::all_of(&range.query_async(connection).await?);
        let is_last = page.len() < ENTRIES_PER_READ;
        samples.extend(page);
        if is_last || samples.len() >= SAMPLES_MAX {
            return Ok(samples);
        }
    }
}

/// That many of the samples, at even steps, the first and the last among them.
fn thinned(samples: &[Arc<Sample>], points: usize) -> Vec<Arc<Sample>> {
    match (samples.len(), points) {
        (length, points) if length <= points => samples.to_vec(),
        (_, 0) => Vec::new(),
        (_, 1) => samples.last().cloned().into_iter().collect(),
        (length, points) => (0..points).map(|point| samples[point * (length - 1) / (points - 1)].clone()).collect(),
    }
}

/// The samples of a store, and in how many points they are written as JSON. `at` and `metrics` are columns of samples,
/// `lines` is the [`super::series::Frame`] that charts draw of them; `is_thinned` says that some samples are missing.
#[derive(Clone, Debug)]
pub struct History {
    /// The samples, oldest first.
    pub samples: Vec<Arc<Sample>>,
    points: usize,
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let samples = thinned(&self.samples, self.points);
        let mut series = Series::default();
        series.load(&self.samples);
        let at: Vec<u64> = samples.iter().map(|sample| sample.at_ms()).collect();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("at", &at)?;
        map.serialize_entry("metrics", &columns(&samples))?;
        map.serialize_entry("lines", &series.frame(Column::VARIANTS, 0, None, self.points))?;
        map.serialize_entry("is_thinned", &(samples.len() < self.samples.len()))?;
        map.end()
    }
}

/// A column for every field of the newest sample; null where an older one lacks it.
fn columns(samples: &[Arc<Sample>]) -> Pairs<Vec<Option<i64>>> {
    let is_known = |index: usize| samples.last().is_some_and(|newest| newest.at(index).is_some());
    let column = |index| samples.iter().map(|sample| sample.at(index)).collect();
    let named = METRICS.iter().enumerate().filter(|(index, _)| is_known(*index));
    Pairs(named.map(|(index, metric)| (metric.name.to_string(), column(index))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::tests::sample;
    use super::*;

    fn samples(count: u64) -> Vec<Arc<Sample>> {
        (0..count).map(|nth| Arc::new(sample(nth * 1_000, &[("placed", nth as i64), ("late", 0)]))).collect()
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let at = |count, points| -> Vec<u64> {
            thinned(&samples(count), points).iter().map(|sample| sample.at_ms() / 1_000).collect()
        };
        assert_eq!(at(3, 10), [0, 1, 2]);
        assert_eq!(at(101, 5), [0, 25, 50, 75, 100]);
        assert_eq!(at(7, 2), [0, 6]);
        assert_eq!((at(7, 1), at(7, 0)), (vec![6], vec![]));
    }

    #[test]
    fn columns_have_a_value_for_every_time() {
        let mut all = samples(2);
        all.push(Arc::new(sample(2_000, &[("late", 5)])));
        all.push(samples(4)[3].clone());
        let json = serde_json::to_value(History { samples: all, points: 9 }).expect("JSON");
        assert_eq!(json["at"], json!([0, 1_000, 2_000, 3_000]));
        assert_eq!(json["metrics"], json!({"placed": [0, 1, null, 3], "late": [0, 0, 5, 0]}));
        assert_eq!((&json["lines"]["placed"], &json["is_thinned"]), (&json!([0.0, 1.0, 0.0, 3.0]), &json!(false)));
    }

    #[test]
    fn two_hours_are_thinned() {
        let json = serde_json::to_value(History { samples: samples(7_200), points: 1_200 }).expect("JSON");
        let drawn = json["lines"]["at"].as_array().expect("times");
        assert!((800..=1_200).contains(&drawn.len()), "{}", drawn.len());
        assert_eq!((drawn.last(), &json["is_thinned"]), (Some(&json!(7_199_000)), &json!(true)));
    }
}
