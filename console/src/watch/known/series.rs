//! The samples of a store over time, and the points that charts draw of them. Rates and gaps are computed here, for the
//! page and for the terminal view.
//!
//! Counters only grow, and a quiet store writes no sample. So a rate is what a counter grew by, over the time since the
//! sample before; over a quiet gap it is zero; and levels stay what they were.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use strum::{IntoStaticStr, VariantArray};

use super::sample::{Sample, metric_at};

/// Samples kept of a store: two hours of them, which is what a store keeps by itself.
pub const SAMPLES_MAX: usize = 7_200;
/// Samples that are enough to say how fast the counters grow at the last one.
const RECENT_MAX: usize = 16;
/// A store that changes is sampled once a second.
const NOMINAL_MS: u64 = 1_000;
/// After so long without a sample, the store was quiet.
pub const GAP_MS: u64 = 2_500;
/// Rates are taken over at least this long: the first and last samples of a busy time are close to their neighbours.
const RATE_SPAN_MS: u64 = 800;
/// Of the points of a frame, the part that is left for samples, however many gaps there are.
const LEAST_PART: usize = 3;

/// What is drawn over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Column {
    Placed,
    Completed,
    /// Refusals of all kinds, a second.
    Refused,
    Queued,
    InWork,
    Retrying,
    Pending,
    Waitlisted,
    Holds,
    Available,
    Sold,
    #[serde(rename = "p50-ms")]
    #[strum(serialize = "p50-ms")]
    P50,
    #[serde(rename = "p99-ms")]
    #[strum(serialize = "p99-ms")]
    P99,
}

/// How a column is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Draw {
    /// How fast it grows, a second.
    Rate,
    /// Of several samples in one point, the highest.
    Level,
    /// Of several samples in one point, the last.
    Stock,
    /// As a level, and nothing where it is 0: nothing was completed.
    Latency,
}

const COLUMNS: usize = Column::VARIANTS.len();

impl Column {
    /// The name of the metric that is drawn; `refused` for the sum of all refusals.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether its rate is drawn, rather than its value.
    pub fn is_rate(self) -> bool {
        self.draw() == Draw::Rate
    }

    fn draw(self) -> Draw {
        match self {
            Column::Placed | Column::Completed | Column::Refused => Draw::Rate,
            Column::Queued | Column::InWork | Column::Retrying => Draw::Level,
            Column::Pending | Column::Waitlisted | Column::Holds => Draw::Level,
            Column::Available | Column::Sold => Draw::Stock,
            Column::P50 | Column::P99 => Draw::Latency,
        }
    }
}

/// The indexes of the columns' metrics.
static METRICS_OF: LazyLock<[Option<usize>; COLUMNS]> =
    LazyLock::new(|| std::array::from_fn(|index| metric_at(Column::VARIANTS[index].name())));

#[derive(Clone, Copy, Debug)]
struct Point {
    at: u64,
    values: [i64; COLUMNS],
}

impl Point {
    fn of(sample: &Sample) -> Point {
        let mut values = METRICS_OF.map(|index| index.and_then(|index| sample.at(index)).unwrap_or(0));
        values[Column::Refused as usize] = sample.refused();
        Point { at: sample.at_ms(), values }
    }
}

/// The points to draw of some columns; all columns have the same times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Unix milliseconds, ascending.
    pub at: Vec<u64>,
    /// A value for each time; `None` where there is nothing to draw.
    pub columns: Vec<(Column, Vec<Option<f64>>)>,
}

impl Frame {
    fn of(columns: &[Column]) -> Frame {
        Frame { at: Vec::new(), columns: columns.iter().map(|column| (*column, Vec::new())).collect() }
    }

    fn add(&mut self, at: u64, value: impl Fn(Column) -> Option<f64>) {
        self.at.push(at);
        self.columns.iter_mut().for_each(|(column, values)| values.push(value(*column)));
    }
}

/// `{"at":[…],"placed":[…],…}`
impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.columns.len()))?;
        map.serialize_entry("at", &self.at)?;
        for (column, values) in &self.columns {
            map.serialize_entry(column.name(), values)?;
        }
        map.end()
    }
}

/// The samples of a store, oldest first.
#[derive(Clone, Debug)]
pub struct Series {
    points: VecDeque<Point>,
    most: usize,
}

impl Default for Series {
    fn default() -> Series {
        Series { points: VecDeque::new(), most: SAMPLES_MAX }
    }
}

impl Series {
    /// A series that keeps the last few samples only.
    pub fn recent() -> Series {
        Series { points: VecDeque::new(), most: RECENT_MAX }
    }

    /// Takes a history in place of all that was known; what came later than it stays.
    pub fn load(&mut self, samples: &[Arc<Sample>]) {
        let newest = samples.last().map_or(0, |sample| sample.at_ms());
        let later: Vec<Point> = self.points.iter().filter(|point| point.at > newest).copied().collect();
        self.points = samples.iter().map(|sample| Point::of(sample)).chain(later).collect();
    }

    /// Adds a sample. One that is known already is passed over.
    pub fn push(&mut self, sample: &Sample) {
        if self.points.back().is_some_and(|last| sample.at_ms() <= last.at) {
            return;
        }
        self.points.push_back(Point::of(sample));
        if self.points.len() > self.most {
            self.points.pop_front();
        }
    }

    /// When the first and the last sample were taken, Unix milliseconds.
    pub fn ends(&self) -> Option<(u64, u64)> {
        Some((self.points.front()?.at, self.points.back()?.at))
    }

    /// How fast a counter grows by the last sample, a second; 0 once the store is quiet.
    pub fn rate(&self, column: Column, now_ms: u64) -> f64 {
        match self.points.len() {
            length if length >= 2 && now_ms.saturating_sub(self.points[length - 1].at) <= GAP_MS => {
                self.rate_at(column, length - 1, length - 2)
            }
            _ => 0.0,
        }
    }

    /// When nothing was available first since a time, Unix milliseconds: before it opens, a store may have nothing to
    /// sell yet.
    pub fn sold_out_at(&self, since: u64) -> Option<u64> {
        let is_sold_out = |point: &&Point| point.at > since && point.values[Column::Available as usize] <= 0;
        self.points.iter().find(is_sold_out).map(|point| point.at)
    }

    /// What the last sample adds to what is drawn: its point, after those of the quiet time before it.
    pub fn newest(&self) -> Frame {
        let mut frame = Frame::of(Column::VARIANTS);
        if let Some(last) = self.points.len().checked_sub(1) {
            self.draw(&mut frame, last, last, last.checked_sub(1));
        }
        frame
    }

    /// What to draw of the columns from a time on (Unix milliseconds), in about so many points. It begins with the last
    /// sample before that time. Up to `until` the store is known not to have changed since its last sample.
    pub fn frame(&self, columns: &[Column], from: u64, until: Option<u64>, points: usize) -> Frame {
        let mut frame = Frame::of(columns);
        let first = self.points.partition_point(|point| point.at < from);
        let mut before = first.checked_sub(1);
        if let Some(index) = before {
            frame.add(self.points[index].at, |column| self.value(column, index, index, index.checked_sub(1)));
        }
        let group = self.samples_a_point(first, points);
        for begin in (first..self.points.len()).step_by(group) {
            let end = (begin + group).min(self.points.len()) - 1;
            self.draw(&mut frame, begin, end, before);
            before = Some(end);
        }
        let is_quiet = |last: usize, until: u64| until.saturating_sub(self.points[last].at) > NOMINAL_MS * 3 / 2;
        if let Some((last, until)) = before.zip(until).filter(|(last, until)| is_quiet(*last, *until)) {
            self.draw_quiet(&mut frame, last, until);
        }
        frame
    }

    fn samples_a_point(&self, first: usize, points: usize) -> usize {
        let samples = self.points.len() - first;
        if samples <= points / 2 {
            return 1;
        }
        let gaps = (first.max(1)..self.points.len()).filter(|index| self.is_gap(index - 1, *index)).count();
        match samples + 2 * gaps <= points {
            true => 1,
            false => samples.div_ceil(points.saturating_sub(2 * gaps).max(points / LEAST_PART).max(1)),
        }
    }

    fn is_gap(&self, before: usize, index: usize) -> bool {
        self.points[index].at - self.points[before].at > GAP_MS
    }

    /// One point that stands for the samples from `begin` to `end`, after the quiet time before them if there was one.
    fn draw(&self, frame: &mut Frame, begin: usize, end: usize, before: Option<usize>) {
        if let Some(before) = before.filter(|before| self.is_gap(*before, begin)) {
            self.draw_quiet(frame, before, self.points[begin].at - NOMINAL_MS);
        }
        frame.add(self.points[end].at, |column| self.value(column, begin, end, before));
    }

    /// A quiet time from a sample on to `end`: no flow, levels as they were, nothing completed.
    fn draw_quiet(&self, frame: &mut Frame, before: usize, end: u64) {
        let level = |column: Column| match column.draw() {
            Draw::Rate => Some(0.0),
            Draw::Latency => None,
            Draw::Level | Draw::Stock => Some(self.points[before].values[column as usize] as f64),
        };
        let begin = (self.points[before].at + NOMINAL_MS).min(end);
        frame.add(begin, level);
        if end > begin {
            frame.add(end, level);
        }
    }

    fn value(&self, column: Column, begin: usize, end: usize, before: Option<usize>) -> Option<f64> {
        let of = |index: usize| self.points[index].values[column as usize];
        let highest = || (begin..=end).map(of).max().unwrap_or(0);
        match column.draw() {
            Draw::Rate => Some(before.map_or(0.0, |before| self.rate_at(column, end, before))),
            Draw::Stock => Some(of(end) as f64),
            Draw::Level => Some(highest() as f64),
            Draw::Latency => Some(highest()).filter(|highest| *highest > 0).map(|highest| highest as f64),
        }
    }

    /// What a counter grew by between two samples, a second.
    fn rate_at(&self, column: Column, end: usize, before: usize) -> f64 {
        let since = |start: usize| self.points[end].at - self.points[start].at;
        let mut start = before;
        while start > 0 && since(start) < RATE_SPAN_MS && !self.is_gap(start - 1, start) {
            start -= 1;
        }
        let grown = self.points[end].values[column as usize] - self.points[start].values[column as usize];
        // After a quiet time the first sample comes at once: what it counted happened just now.
        let span_ms = if end > 0 && self.is_gap(end - 1, end) { NOMINAL_MS } else { since(start).max(RATE_SPAN_MS) };
        grown.max(0) as f64 * 1e3 / span_ms as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::sample;
    use super::*;

    /// Samples of (ms, placed, queued, p50).
    fn series(samples: &[(u64, i64, i64, i64)]) -> Series {
        let mut series = Series::default();
        for (at, placed, queued, p50) in samples {
            series.push(&sample(*at, &[("placed", *placed), ("queued", *queued), ("p50-ms", *p50)]));
        }
        series
    }

    fn values(frame: Frame) -> (Vec<u64>, Vec<Option<f64>>) {
        (frame.at, frame.columns.into_iter().next().expect("a column").1)
    }

    #[test]
    fn a_rate_is_zero_over_a_quiet_time() {
        let series = series(&[(10_000, 0, 0, 0), (11_000, 50, 7, 4), (20_000, 60, 3, 9)]);
        let (at, placed) = values(series.frame(&[Column::Placed], 0, Some(25_000), 100));
        assert_eq!(at, [10_000, 11_000, 12_000, 19_000, 20_000, 21_000, 25_000]);
        assert_eq!(placed, [0.0, 50.0, 0.0, 0.0, 10.0, 0.0, 0.0].map(Some));
        assert_eq!((series.rate(Column::Placed, 20_500), series.rate(Column::Placed, 29_000)), (10.0, 0.0));
        let (at, placed) = values(series.newest());
        assert_eq!((at, placed), (vec![12_000, 19_000, 20_000], [0.0, 0.0, 10.0].map(Some).to_vec()));
    }

    #[test]
    fn a_rate_is_what_was_counted_by_the_time_it_took() {
        let even = series(&[(10_000, 0, 0, 0), (11_000, 50, 0, 0), (13_000, 150, 0, 0)]);
        assert_eq!(values(even.frame(&[Column::Placed], 0, None, 100)).1, [0.0, 50.0, 50.0].map(Some));
        let close = series(&[(10_000, 0, 0, 0), (11_000, 100, 0, 0), (11_010, 108, 0, 0)]);
        assert!(close.rate(Column::Placed, 11_010) < 120.0, "samples close together make no spikes");
    }

    #[test]
    fn levels_stay_and_latencies_stop() {
        let series = series(&[(10_000, 0, 0, 0), (11_000, 50, 7, 4), (20_000, 60, 3, 9)]);
        let (at, queued) = values(series.frame(&[Column::Queued], 10_500, None, 100));
        assert_eq!(at, [10_000, 11_000, 12_000, 19_000, 20_000]);
        assert_eq!(queued, [0.0, 7.0, 7.0, 7.0, 3.0].map(Some));
        let (_, p50) = values(series.frame(&[Column::P50], 10_500, Some(25_000), 100));
        assert_eq!(p50, [None, Some(4.0), None, None, Some(9.0), None, None]);
    }

    #[test]
    fn many_samples_share_a_point_and_peaks_stay() {
        let all: Vec<_> = (0..1_000).map(|n| (n * 1_000, n as i64, if n == 501 { 99 } else { 1 }, 0)).collect();
        let series = series(&all);
        let (at, queued) = values(series.frame(&[Column::Queued], 0, None, 100));
        assert_eq!((at.len(), at.last()), (100, Some(&999_000)));
        assert_eq!(queued.iter().filter(|value| **value == Some(99.0)).count(), 1);
        let (_, placed) = values(series.frame(&[Column::Placed], 0, None, 100));
        assert!(placed[1..].iter().all(|rate| *rate == Some(1.0)), "{placed:?}");
    }

    #[test]
    fn what_came_later_than_the_history_stays() {
        let mut known = series(&[(1_000, 9, 0, 0), (2_000, 12, 0, 0)]);
        known.load(&[Arc::new(sample(1_500, &[]))]);
        assert_eq!(known.ends(), Some((1_500, 2_000)));
        known.load(&[]);
        assert_eq!(known.ends(), Some((1_500, 2_000)));
        assert!(Series::default().frame(&[Column::Sold], 0, Some(1), 10).at.is_empty());
    }
}
