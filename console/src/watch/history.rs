//! The samples of a store over time, as columns to draw: read once, and from then on only what is new.

use std::collections::VecDeque;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Value, cmd, pipe};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::id::name_of;
use super::link::{AskError, Link};
use super::model::Key;
use super::sample::{EntryId, Names, Sample};
use super::shelf::Shelf;
use crate::store::stream_of;

/// Samples kept of a store: two hours of them, which is what a store keeps by itself.
pub const SAMPLES_MAX: usize = 7_200;
/// Entries of a stream read at a time: well under a millisecond of the server's time.
const ENTRIES_PER_READ: usize = 200;

/// The samples of the stores that somebody looks at.
#[derive(Debug)]
pub struct Histories {
    link: Arc<Link>,
    kept: Shelf<VecDeque<Arc<Sample>>>,
}

impl Histories {
    /// Histories of the stores behind this link.
    pub fn new(link: Arc<Link>) -> Histories {
        Histories { link, kept: Shelf::default() }
    }

    /// All samples of a store, or `points` of them, evenly thinned; the newest is always there.
    ///
    /// # Errors
    /// When the server is away, or there is no such store.
    pub async fn of(&self, key: &Key, points: Option<usize>) -> Result<History, AskError> {
        let mut connection = self.link.ask()?;
        let kept = self.kept.of(key);
        let mut samples = kept.lock().await;
        catch_up(&mut connection, key, &mut samples).await?;
        Ok(History { samples: thinned(&samples, points.unwrap_or(SAMPLES_MAX)) })
    }
}

/// Brings samples up to what the stream has now.
async fn catch_up(
    connection: &mut MultiplexedConnection,
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
        return Err(AskError::Missing(format!("no store {}", name_of(key))));
    }
    let none = Names::from([]);
    let (Some(first), Some(last)) = (entries(&first, &none).pop(), entries(&last, &none).pop()) else {
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
    match samples.back().map(|newest| newest.id) {
        Some(newest) => read_new(connection, &stream, newest, samples).await,
        None => {
            // All of it or nothing: whoever asked may go away meanwhile.
            *samples = read_back(connection, &stream, last).await?;
            Ok(())
        }
    }
}

/// Appends what is newer than `newest`.
async fn read_new(
    connection: &mut MultiplexedConnection,
    stream: &[u8],
    mut newest: EntryId,
    samples: &mut VecDeque<Arc<Sample>>,
) -> Result<(), AskError> {
    loop {
        let mut range = cmd("XRANGE");
        range.arg(stream).arg(format!("({newest}")).arg("+").arg("COUNT").arg(ENTRIES_PER_READ);
        let names = samples.back().map_or_else(|| Names::from([]), |last| last.names().clone());
        let page = entries(&range.query_async(connection).await?, &names);
        let is_last = page.len() < ENTRIES_PER_READ;
        newest = page.last().map_or(newest, |last| last.id);
        samples.extend(page.into_iter().map(Arc::new));
        while samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
        if is_last {
            return Ok(());
        }
    }
}

/// All samples up to `last`.
async fn read_back(
    connection: &mut MultiplexedConnection,
    stream: &[u8],
    last: Sample,
) -> Result<VecDeque<Arc<Sample>>, AskError> {
    let mut oldest = Arc::new(last);
    let mut samples = VecDeque::from([oldest.clone()]);
    while samples.len() < SAMPLES_MAX {
        let wanted = ENTRIES_PER_READ.min(SAMPLES_MAX - samples.len());
        let mut range = cmd("XREVRANGE");
        range.arg(stream).arg(format!("({}", oldest.id)).arg("-").arg("COUNT").arg(wanted);
        let page = entries(&range.query_async(connection).await?, oldest.names());
        let is_last = page.len() < wanted;
        for sample in page {
            oldest = Arc::new(sample);
            samples.push_front(oldest.clone());
        }
        if is_last {
            break;
        }
    }
    Ok(samples)
}

/// The samples of a reply; they share their names with each other.
fn entries(reply: &Value, names: &Names) -> Vec<Sample> {
    let Value::Array(entries) = reply else { return Vec::new() };
    let mut names = names.clone();
    let sample = |entry| {
        let sample = Sample::of_entry(entry, &names)?;
        names = sample.names().clone();
        Some(sample)
    };
    entries.iter().filter_map(sample).collect()
}

/// So many of the samples, at even steps, the first and the last among them.
fn thinned(samples: &VecDeque<Arc<Sample>>, points: usize) -> Vec<Arc<Sample>> {
    match (samples.len(), points) {
        (length, points) if length <= points => samples.iter().cloned().collect(),
        (_, 0) => Vec::new(),
        (_, 1) => samples.back().cloned().into_iter().collect(),
        (length, points) => (0..points).map(|point| samples[point * (length - 1) / (points - 1)].clone()).collect(),
    }
}

/// Samples as columns, oldest first: `{"at":[…],"metrics":{"placed":[…],…}}`.
#[derive(Clone, Debug)]
pub struct History {
    samples: Vec<Arc<Sample>>,
}

impl History {
    /// The samples, oldest first.
    pub fn samples(&self) -> &[Arc<Sample>] {
        &self.samples
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at: Vec<u64> = self.samples.iter().map(|sample| sample.at_ms()).collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("at", &at)?;
        map.serialize_entry("metrics", &Columns(&self.samples))?;
        map.end()
    }
}

/// A column for every field of the newest sample; null where an older one lacks it.
struct Columns<'a>(&'a [Arc<Sample>]);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names: &[String] = self.0.last().map_or(&[], |newest| newest.names());
        let mut map = serializer.serialize_map(Some(names.len()))?;
        for (index, name) in names.iter().enumerate() {
            let column: Vec<Option<i64>> = self.0.iter().map(|sample| sample.nth(index, name)).collect();
            map.serialize_entry(name, &column)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::entry;
    use super::*;

    fn samples(count: usize) -> VecDeque<Arc<Sample>> {
        let sample = |nth: usize| {
            let entry = entry(&format!("{nth}-0"), &[("placed", &nth.to_string()), ("late", "0")]);
            Arc::new(Sample::of_entry(&entry, &Names::from([])).expect("a sample"))
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let at = |count, points| -> Vec<u64> {
            thinned(&samples(count), points).iter().map(|sample| sample.at_ms()).collect()
        };
        assert_eq!(at(3, 10), [0, 1, 2]);
        assert_eq!(at(101, 5), [0, 25, 50, 75, 100]);
        assert_eq!(at(7, 2), [0, 6]);
        assert_eq!((at(7, 1), at(7, 0)), (vec![6], vec![]));
    }

    #[test]
    fn columns_have_a_value_for_every_time() {
        let mut all = samples(2);
        let other = entry("2-0", &[("late", "5")]);
        all.push_back(Arc::new(Sample::of_entry(&other, &Names::from([])).expect("a sample")));
        all.push_back(samples(4)[3].clone());
        let json = serde_json::to_string(&History { samples: thinned(&all, 9) }).expect("JSON");
        assert_eq!(json, r#"{"at":[0,1,2,3],"metrics":{"placed":[0,1,null,3],"late":[0,0,5,0]}}"#);
        assert_eq!(serde_json::to_string(&History { samples: vec![] }).expect("JSON"), r#"{"at":[],"metrics":{}}"#);
    }
}
