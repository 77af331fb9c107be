//! The sale window: opens in, closes in, closed; by the server's clock.

use super::super::format::{countdown, duration, moment};
use crate::watch::known::model::Window;
use crate::watch::known::words::{PAUSED, Tone};

/// A countdown is marked when less than this is left.
const SOON_MS: i64 = 60_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its state in a word or two.
    pub label: &'static str,
    pub tone: Tone,
    /// `closes in`
    pub lead: &'static str,
    /// `0:41`
    pub value: String,
    /// The part of the window that is over, if it has two ends.
    pub part: Option<f64>,
    pub is_soon: bool,
    pub is_before: bool,
}

impl Phase {
    /// `closes in 0:41`
    pub fn sentence(&self) -> String {
        format!("{} {}", self.lead, self.value).trim().to_string()
    }
}

/// Where a store is in its window at a time.
pub fn phase(window: Window, now_ms: i64) -> Phase {
    let Window { opens, closes, .. } = window;
    let (part, is_soon, is_before) = (None, false, false);
    let phase = |label, tone, lead, value| Phase { label, tone, lead, value, part, is_soon, is_before };
    let (until_open, until_close) = (opens - now_ms, closes - now_ms);
    if until_open > 0 {
        let phase = phase("Not open yet", Tone::Placed, "opens in", countdown(until_open));
        return Phase { part: Some(0.0), is_soon: until_open < SOON_MS, is_before: true, ..phase };
    }
    if closes > 0 && until_close <= 0 {
        let phase = phase("Closed", Tone::Muted, "closed", format!("{} ago", duration(-until_close)));
        return Phase { part: Some(1.0), ..phase };
    }
    if closes > 0 {
        let part = (opens > 0 && closes > opens).then(|| -until_open as f64 / (closes - opens) as f64);
        let phase = phase("Open", Tone::Completed, "closes in", countdown(until_close));
        return Phase { part, is_soon: until_close < SOON_MS, ..phase };
    }
    match opens {
        0 => phase("Open", Tone::Completed, "", "no window set".into()),
        _ => phase("Open", Tone::Completed, "open for", duration(-until_open)),
    }
}

pub fn explain(window: Window, now_ms: i64) -> String {
    let [from, until] = [window.opens, window.closes].map(|at| moment(at, now_ms));
    let times = match (window.opens, window.closes) {
        (0, 0) => "Orders are taken at any time: no sale window is set.".into(),
        (_, 0) => format!("Orders are taken from {from}, with no end set."),
        (0, _) => format!("Orders are taken until {until}."),
        _ => format!("Orders are taken from {from} until {until}."),
    };
    if window.paused { format!("{times} {PAUSED}") } else { times }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_told_by_the_clock() {
        let shown = |opens, closes| {
            let phase = phase(Window { opens, closes, paused: false, sla_ms: 0 }, 100_000);
            (phase.label, phase.sentence(), phase.part)
        };
        assert_eq!(shown(0, 0), ("Open", "no window set".into(), None));
        assert_eq!(shown(141_000, 0), ("Not open yet", "opens in 0:41".into(), Some(0.0)));
        assert_eq!(shown(50_000, 150_000), ("Open", "closes in 0:50".into(), Some(0.5)));
        assert_eq!(shown(0, 150_000), ("Open", "closes in 0:50".into(), None));
        assert_eq!(shown(50_000, 0), ("Open", "open for 50 s".into(), None));
        assert_eq!(shown(50_000, 88_000), ("Closed", "closed 12 s ago".into(), Some(1.0)));
        let paused = explain(Window { paused: true, ..Window::default() }, 100_000);
        assert_eq!(
            paused,
            "Orders are taken at any time: no sale window is set. Paused: nothing is handed to workers."
        );
    }
}
