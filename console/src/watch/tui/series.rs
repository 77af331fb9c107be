//! The samples of a store over time, and the lines that charts draw of them, by the rules of the page
//! (`console/web/series.js`).
//!
//! Counters only grow, and a quiet store writes no sample. So a rate is what a counter grew by, over the time since the
//! sample before; over a quiet gap it is zero; and levels stay what they were.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::fields::REFUSED;
use super::super::history::SAMPLES_MAX;
use super::super::sample::Sample;

/// A store that changes is sampled once a second.
const NOMINAL_MS: u64 = 1_000;
/// So long without a sample is a quiet gap.
const GAP_MS: u64 = 2_500;
/// Rates are taken over at least this long: the first and last samples of a busy time are close to their neighbours.
const RATE_SPAN_MS: u64 = 800;

/// What is drawn over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Orders placed, a counter.
    Placed,
    /// Orders completed, a counter.
    Completed,
    /// Refusals of all kinds, a counter.
    Refused,
    /// Orders that wait.
    Queued,
    /// Orders in workers' hands.
    InWork,
    /// Orders that wait for their retry.
    Retrying,
    /// Live holds.
    Holds,
    /// Units that can be sold.
    Available,
    /// Units sold.
    Sold,
    /// Median latency; 0: nothing was completed.
    P50,
    /// 99th percentile of the latency; 0: nothing was completed.
    P99,
}

/// How a column is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// How fast it grows, a second.
    Rate,
    /// Of several samples in one point, the highest.
    Level,
    /// Of several samples in one point, the last.
    Stock,
    /// As a level, and nothing where it is 0.
    Latency,
}

const COLUMNS: usize = 11;
/// The fields of the columns, in their order; `refused` is a sum.
const FIELDS: [&str; COLUMNS] =
    ["placed", "completed", "", "queued", "in-work", "retrying", "holds", "available", "sold", "p50-ms", "p99-ms"];

impl Column {
    fn kind(self) -> Kind {
        match self {
            Column::Placed | Column::Completed | Column::Refused => Kind::Rate,
            Column::Queued | Column::InWork | Column::Retrying | Column::Holds => Kind::Level,
            Column::Available | Column::Sold => Kind::Stock,
            Column::P50 | Column::P99 => Kind::Latency,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: u64,
    values: [i64; COLUMNS],
}

impl Point {
    fn of(sample: &Sample) -> Point {
        let mut values = FIELDS.map(|field| sample.get(field).unwrap_or(0));
        values[Column::Refused as usize] = refused_in(sample);
        Point { at: sample.at_ms(), values }
    }
}

/// The sum of the refusals of a sample.
pub fn refused_in(sample: &Sample) -> i64 {
    sample.fields().filter(|(name, _)| name.starts_with(REFUSED)).map(|(_, value)| value).sum()
}

/// A line to draw, in pieces: (seconds since the left edge, value). Between two pieces there is nothing.
pub type Pieces = Vec<Vec<(f64, f64)>>;

/// The time a chart shows, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The left edge.
    pub from: u64,
    /// The right edge.
    pub to: u64,
}

/// The samples of a store, oldest first.
#[derive(Debug, Default)]
pub struct Series {
    points: VecDeque<Point>,
}

impl Series {
    /// Takes a history in place of all that was known; what came later than it stays.
    pub fn load(&mut self, samples: &[Arc<Sample>]) {
        let newest = samples.last().map_or(0, |sample| sample.at_ms());
        let later: Vec<Point> = self.points.iter().filter(|point| point.at > newest).copied().collect();
        self.points = samples.iter().map(|sample| Point::of(sample)).collect();
        for point in later {
            self.add(point);
        }
    }

    /// Adds a sample. One that is known already is passed over; a store made anew begins anew.
    pub fn push(&mut self, sample: &Sample) {
        self.add(Point::of(sample));
    }

    fn add(&mut self, point: Point) {
        if let Some(last) = self.points.back() {
            if point.at <= last.at {
                return;
            }
            if point.values[Column::Placed as usize] < last.values[Column::Placed as usize] {
                self.points.clear();
            }
        }
        self.points.push_back(point);
        if self.points.len() > SAMPLES_MAX {
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

    /// When nothing was available first since a time, Unix milliseconds: before it opens, a store may have had nothing to
    /// sell yet.
    pub fn sold_out_at(&self, since: u64) -> Option<u64> {
        let is_sold_out = |point: &&Point| point.at > since && point.values[Column::Available as usize] <= 0;
        self.points.iter().find(is_sold_out).map(|point| point.at)
    }

    /// What to draw of a column, in about so many points. Up to `until` the store is known not to have changed since
    /// its last sample.
    pub fn line(&self, column: Column, span: Span, until: Option<u64>, points: usize) -> Pieces {
        let first = self.points.partition_point(|point| point.at < span.from);
        let group = (self.points.len() - first).div_ceil(points.max(1)).max(1);
        let mut pen = Pen::new(span);
        let mut before = first.checked_sub(1);
        if let Some(index) = before {
            pen.to(span.from, self.value(column, index, index, index.checked_sub(1)));
        }
        for begin in (first..self.points.len()).step_by(group) {
            let end = (begin + group).min(self.points.len()) - 1;
            if let Some(before) = before.filter(|before| self.is_gap(*before, begin)) {
                self.quiet(&mut pen, column, before, self.points[begin].at - NOMINAL_MS);
            }
            pen.to(self.points[end].at, self.value(column, begin, end, before));
            before = Some(end);
        }
        if let (Some(last), Some(until)) = (before, until) {
            if until.saturating_sub(self.points[last].at) > NOMINAL_MS * 3 / 2 {
                self.quiet(&mut pen, column, last, until);
            }
        }
        pen.pieces
    }

    fn is_gap(&self, before: usize, index: usize) -> bool {
        self.points[index].at - self.points[before].at > GAP_MS
    }

    /// A quiet time from a sample on to `end`: no flow, levels as they were, nothing completed.
    fn quiet(&self, pen: &mut Pen, column: Column, before: usize, end: u64) {
        let value = match column.kind() {
            Kind::Rate => Some(0.0),
            Kind::Latency => None,
            Kind::Level | Kind::Stock => Some(self.points[before].values[column as usize] as f64),
        };
        let begin = (self.points[before].at + NOMINAL_MS).min(end);
        pen.to(begin, value);
        pen.to(end, value);
    }

    /// The value of one point that stands for the samples from `begin` to `end`.
    fn value(&self, column: Column, begin: usize, end: usize, before: Option<usize>) -> Option<f64> {
        let of = |index: usize| self.points[index].values[column as usize];
        let highest = || (begin..=end).map(of).max().unwrap_or(0);
        match column.kind() {
            Kind::Rate => Some(before.map_or(0.0, |before| self.rate_at(column, end, before))),
            Kind::Stock => Some(of(end) as f64),
            Kind::Level => Some(highest() as f64),
            Kind::Latency => Some(highest()).filter(|highest| *highest > 0).map(|highest| highest as f64),
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

/// Draws a line from left to right.
struct Pen {
    span: Span,
    pieces: Pieces,
    is_down: bool,
}

impl Pen {
    fn new(span: Span) -> Pen {
        Pen { span, pieces: Vec::new(), is_down: false }
    }

    fn to(&mut self, at: u64, value: Option<f64>) {
        let Some(value) = value else {
            self.is_down = false;
            return;
        };
        if !self.is_down {
            self.pieces.push(Vec::new());
            self.is_down = true;
        }
        let at = at.clamp(self.span.from, self.span.to) - self.span.from;
        if let Some(piece) = self.pieces.last_mut() {
            piece.push((at as f64 / 1e3, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{Names, tests::entry};
    use super::*;

    /// Samples of (ms, placed, queued, p50).
    fn series(samples: &[(u64, i64, i64, i64)]) -> Series {
        let mut series = Series::default();
        for (at, placed, queued, p50) in samples {
            let fields = [("placed", placed), ("queued", queued), ("p50-ms", p50)].map(|(n, v)| (n, v.to_string()));
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            let entry = entry(&format!("{at}-0"), &fields);
            series.push(&Sample::of_entry(&entry, &Names::from([])).expect("a sample"));
        }
        series
    }

    #[test]
    fn a_rate_is_zero_over_a_quiet_time() {
        let series = series(&[(10_000, 0, 0, 0), (11_000, 50, 7, 4), (20_000, 60, 3, 9)]);
        let span = Span { from: 10_000, to: 30_000 };
        let line = series.line(Column::Placed, span, Some(25_000), 100);
        assert_eq!(line, [[(0.0, 0.0), (1.0, 50.0), (2.0, 0.0), (9.0, 0.0), (10.0, 10.0), (11.0, 0.0), (15.0, 0.0)]]);
        assert_eq!((series.rate(Column::Placed, 20_500), series.rate(Column::Placed, 29_000)), (10.0, 0.0));
    }

    #[test]
    fn levels_stay_and_latencies_stop() {
        let series = series(&[(10_000, 0, 0, 0), (11_000, 50, 7, 4), (20_000, 60, 3, 9)]);
        let span = Span { from: 10_500, to: 30_000 };
        let queued = series.line(Column::Queued, span, None, 100);
        assert_eq!(queued, [[(0.0, 0.0), (0.5, 7.0), (1.5, 7.0), (8.5, 7.0), (9.5, 3.0)]]);
        assert_eq!(series.line(Column::P50, span, Some(25_000), 100), [[(0.5, 4.0)], [(9.5, 9.0)]]);
    }

    #[test]
    fn many_samples_share_a_point_and_peaks_stay() {
        let all: Vec<_> = (0..1_000).map(|n| (n * 1_000, n as i64, if n == 501 { 99 } else { 1 }, 0)).collect();
        let series = series(&all);
        let line = series.line(Column::Queued, Span { from: 0, to: 999_000 }, None, 100);
        assert_eq!(line[0].len(), 100);
        assert_eq!(line[0].iter().filter(|(_, value)| *value == 99.0).count(), 1);
    }

    #[test]
    fn a_store_made_anew_begins_anew() {
        let mut known = series(&[(1_000, 9, 0, 0), (2_000, 2, 0, 0)]);
        assert_eq!(known.ends(), Some((2_000, 2_000)));
        known.load(&[]);
        assert_eq!(known.ends(), Some((2_000, 2_000)), "what came later than the history stays");
        assert_eq!(Series::default().line(Column::Sold, Span { from: 0, to: 1 }, Some(1), 10), Pieces::new());
    }
}
