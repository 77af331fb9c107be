//! The store that is looked at: its numbers, what is chosen of it, and the lines of its lists.

use std::ops::Range;
use std::sync::Arc;

use holdfast_engine::terms::metrics::METRICS_COUNT;
use serde_json::Value as Json;

use super::foreign::safe;
use crate::watch::known::detail::{AlertLine, Detail, Idle, InWork, OrderRef, Wait, Worker};
use crate::watch::known::id::bytes_of;
use crate::watch::known::lanes::Lane;
use crate::watch::known::model::{Key, StoreState, Window};
use crate::watch::known::sample::Sample;
use crate::watch::known::series::Series;
use crate::watch::known::words::NO_REASON;

/// The shortest time that a chart shows.
const LEAST_SPAN_MS: u64 = 30_000;
/// A history up to this long is shown whole unless the reader chooses.
const WHOLE_MS: u64 = 15 * 60_000;
/// The whole history is shown with this much of the quiet time after it, and a twentieth of its length.
const TAIL_MS: u64 = 10_000;

/// A part of the store's page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Now,
    OverTime,
    Refusals,
    Dead,
    Workers,
    Stock,
    Numbers,
    Alerts,
    Queue,
}

/// All tabs, with their names.
pub const TABS: [(Tab, &str); 9] = [
    (Tab::Now, "Now"),
    (Tab::OverTime, "Charts"),
    (Tab::Refusals, "Refusals"),
    (Tab::Dead, "Dead"),
    (Tab::Workers, "Workers"),
    (Tab::Stock, "Stock"),
    (Tab::Numbers, "Numbers"),
    (Tab::Alerts, "Alerts"),
    (Tab::Queue, "Queue"),
];

/// How much time the charts show, if the reader chose.
pub const SPANS: [(&str, u64); 3] = [("5 min", 5 * 60_000), ("15 min", WHOLE_MS), ("All", 0)];

/// A line of the list of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLine {
    Reason {
        reason: Vec<u8>,
        name: String,
        count: i64,
        is_open: bool,
    },
    Order(OrderRef),
    /// So many more died of it than are listed.
    More(i64),
}

/// A sample that is so much newer than the detail is shown in its place.
const DETAIL_OLD_MS: u64 = 3_000;

/// The store that is looked at.
#[derive(Debug, Default)]
pub struct Shop {
    pub key: Key,
    /// Its key, safe to show.
    pub name: String,
    /// Its numbers, of a sample or of STORE.INFO; `None` until they are known.
    pub numbers: Option<Arc<Sample>>,
    /// When the sample was taken, Unix milliseconds by the server's clock.
    pub at: Option<u64>,
    pub window: Window,
    /// It is no more; should it come again, it shows up by itself.
    pub is_gone: bool,
    pub series: Series,
    pub detail: Option<Arc<Detail>>,
    pub tab: Tab,
    /// Which of [`SPANS`] the charts show, if the reader chose.
    pub span: Option<usize>,
    chosen: [usize; TABS.len()],
    open_reason: Option<Vec<u8>>,
}

impl Shop {
    pub fn new(key: &Key) -> Shop {
        Shop { key: key.clone(), name: safe(&key.name()), ..Shop::default() }
    }

    /// What the model knows of it; `None`: no such store.
    pub fn take_state(&mut self, state: Option<StoreState>) {
        self.is_gone = state.is_none();
        let Some(state) = state else { return };
        self.window = state.window;
        if let Some(sample) = state.sample {
            self.take_sample(&sample);
        }
    }

    /// Numbers are shown of one moment, that of the detail. Where details do not come, they are of the last sample.
    pub fn take_sample(&mut self, sample: &Arc<Sample>) {
        self.is_gone = false;
        self.at = Some(sample.at_ms());
        self.series.push(sample);
        if self.detail.as_ref().is_none_or(|detail| detail.now + DETAIL_OLD_MS < sample.at_ms()) {
            self.numbers = Some(sample.clone());
        }
    }

    pub fn take_detail(&mut self, detail: Arc<Detail>) {
        self.is_gone = false;
        self.at = detail.at.map(|at| at.max(self.at.unwrap_or(0)));
        self.numbers = Some(detail.metrics.clone());
        self.detail = Some(detail);
        self.choose(self.chosen());
    }

    /// Whether the store keeps no samples.
    pub fn is_silent(&self) -> bool {
        let metrics = |detail: &Arc<Detail>| detail.settings.get("metrics").and_then(Json::as_i64);
        self.detail.as_ref().and_then(metrics) == Some(0)
    }

    /// The time that the charts show, and the name of that choice. `is_fresh`: up to now.
    pub fn shown_time(&self, now_ms: u64, is_fresh: bool) -> (Range<u64>, &'static str) {
        let Some((first, last)) = self.series.ends() else {
            return (now_ms.saturating_sub(LEAST_SPAN_MS)..now_ms, "");
        };
        let is_whole = last - first <= WHOLE_MS || now_ms.saturating_sub(last) > WHOLE_MS;
        let (name, length) = SPANS[self.span.unwrap_or(if is_whole { 2 } else { 1 })];
        let end = if is_fresh { now_ms.max(last) } else { last };
        if length == 0 {
            let to = end.min(last + TAIL_MS + (last - first) / 20).max(first + LEAST_SPAN_MS);
            return (first..to, name);
        }
        let from = end.saturating_sub(length).max(first).min(end.saturating_sub(LEAST_SPAN_MS));
        (from..end, name)
    }

    /// The next choice of how much time is shown.
    pub fn next_span(&mut self, now_ms: u64) {
        let (_, name) = self.shown_time(now_ms, true);
        let shown = SPANS.iter().position(|(known, _)| *known == name).unwrap_or(0);
        self.span = Some((shown + 1) % SPANS.len());
    }

    pub fn turn(&mut self, by: isize) {
        let next = ((self.tab as usize) as isize + by).rem_euclid(TABS.len() as isize);
        self.tab = TABS[next as usize].0;
    }

    /// Which line of the tab's list is chosen.
    pub fn chosen(&self) -> usize {
        self.chosen[self.tab as usize]
    }

    /// Which line of a tab's list is chosen, if that tab is shown.
    pub fn chosen_in(&self, tab: Tab) -> Option<usize> {
        (self.tab == tab).then(|| self.chosen())
    }

    /// Chooses a line of the tab's list, or the last there is.
    pub fn choose(&mut self, line: usize) {
        let last = self.lines().saturating_sub(1);
        self.chosen[self.tab as usize] = line.min(last);
    }

    /// How many lines the tab's list has.
    fn lines(&self) -> usize {
        match self.tab {
            Tab::Now | Tab::OverTime => 0,
            Tab::Refusals => self.numbers.as_ref().map_or(0, |numbers| numbers.refusals().len()),
            Tab::Dead => self.dead_lines().len(),
            Tab::Workers => self.work_lines().len() + self.idle_lines().len(),
            Tab::Stock => self.detail.as_ref().map_or(0, |detail| detail.skus.shown.len()),
            Tab::Numbers => METRICS_COUNT,
            Tab::Alerts => self.alert_lines().len(),
            Tab::Queue => self.lanes().len() + self.wait_lines().len(),
        }
    }

    /// Dead letters by reason, and the orders of the one that is open.
    pub fn dead_lines(&self) -> Vec<DeadLine> {
        let any = self.numbers.as_ref().is_some_and(|numbers| numbers.get("dead-letters") > 0);
        let Some(detail) = self.detail.as_ref().filter(|_| any) else { return Vec::new() };
        let mut lines = Vec::new();
        for one in &detail.dead.reasons {
            let reason = bytes_of(&one.id);
            let is_open = self.open_reason.as_ref() == Some(&reason);
            let name = if one.reason.is_empty() { NO_REASON.into() } else { safe(&one.reason) };
            lines.push(DeadLine::Reason { reason, name, count: one.count, is_open });
            if is_open {
                lines.extend(one.orders.iter().cloned().map(DeadLine::Order));
                let more = one.count - one.orders.len() as i64;
                lines.extend((more > 0).then_some(DeadLine::More(more)));
            }
        }
        lines
    }

    /// Alerts, newest first.
    pub fn alert_lines(&self) -> &[AlertLine] {
        self.detail.as_ref().map_or(&[], |detail| &detail.alerts.shown)
    }

    /// The lanes of the queue; empty if no order names one.
    pub fn lanes(&self) -> &[Lane] {
        self.detail.as_ref().map_or(&[], |detail| &detail.lanes)
    }

    /// Orders that are not queued yet, those that are cancelled first on top.
    pub fn wait_lines(&self) -> &[Wait] {
        let any = self.numbers.as_ref().is_some_and(|numbers| numbers.waiting() > 0);
        self.detail.as_ref().filter(|_| any).map_or(&[], |detail| &detail.waits.shown)
    }

    /// The line of the dead letters that is chosen, if they are shown.
    pub fn dead_line(&self) -> Option<DeadLine> {
        self.dead_lines().into_iter().nth(self.chosen_in(Tab::Dead)?)
    }

    /// Shows the orders that died of a reason, or hides them.
    pub fn toggle_reason(&mut self, reason: Vec<u8>) {
        self.open_reason = if self.open_reason.as_ref() == Some(&reason) { None } else { Some(reason) };
    }

    /// Orders in workers' hands as (worker, order), those whose lease ends first on top of each worker.
    pub fn work_lines(&self) -> Vec<(&Worker, &InWork)> {
        let any = self.numbers.as_ref().is_some_and(|numbers| numbers.get("in-work") > 0);
        let Some(detail) = self.detail.as_ref().filter(|_| any) else { return Vec::new() };
        let mut lines = Vec::new();
        for worker in &detail.workers.shown {
            let mut orders: Vec<_> = worker.orders.iter().collect();
            orders.sort_by_key(|order| order.deadline);
            lines.extend(orders.into_iter().map(|order| (worker, order)));
        }
        lines
    }

    /// Workers that were seen and have no order now, last seen first.
    pub fn idle_lines(&self) -> &[Idle] {
        self.detail.as_ref().map_or(&[], |detail| &detail.workers.idle)
    }

    /// The order that the chosen line tells of: its id's bytes.
    pub fn chosen_order(&self) -> Option<Vec<u8>> {
        let id = match (self.tab, self.dead_line()) {
            (_, Some(DeadLine::Order(order))) => order.id,
            (Tab::Workers, _) => self.work_lines().get(self.chosen())?.1.order.id.clone(),
            (Tab::Alerts, _) => self.alert_lines().get(self.chosen())?.order.as_ref()?.id.clone(),
            (Tab::Queue, _) => {
                let line = self.chosen().checked_sub(self.lanes().len())?;
                self.wait_lines().get(line)?.order.id.clone()
            }
            _ => return None,
        };
        Some(bytes_of(&id))
    }
}
