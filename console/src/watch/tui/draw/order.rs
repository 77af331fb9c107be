//! One order: what it is, and everything that happened to it.

use holdfast_engine::terms::states::OrderState;
use ratatui::Frame;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use serde::Deserialize;
use serde_json::Value as Json;

use super::super::foreign::safe;
use super::super::format::{clock, count, countdown, duration, exact_clock, moment, plural};
use super::super::screen::OrderLook;
use super::super::theme::Theme;
use super::part::{labelled, padded, popup, scrolled, wrapped};
use crate::watch::known::ask::AskError;
use crate::watch::known::words::{self, FACTS, FactKind, Tone};

/// The most columns and rows it takes.
const SIZE: (u16, u16) = (100, 60);
/// Columns of the name of a fact.
const FACT: usize = 16;
/// Columns of an event's dot, its time and what it took until then.
const TIME: usize = 26;
const GAP: usize = 12;

/// Draws it over the page; `now_ms` by the server's clock.
pub fn draw(frame: &mut Frame, theme: Theme, look: &mut OrderLook, now_ms: i64, writes: bool) {
    let width = usize::from(SIZE.0.min(frame.area().width - 2)).saturating_sub(4);
    let lines = match &look.found {
        None => vec![Line::styled("Looking it up…", theme.quiet())],
        Some(Err(error)) => missing(theme, error, width),
        Some(Ok(order)) => found(theme, order, now_ms, writes, width),
    };
    let height = (lines.len() as u16 + 3).min(SIZE.1);
    let inside = popup(frame, theme, &format!("Order {}", look.name), (SIZE.0, height));
    scrolled(frame, inside, theme, lines, &mut look.top);
}

fn missing(theme: Theme, error: &AskError, width: usize) -> Vec<Line<'static>> {
    let (lead, hint) = match error {
        AskError::Missing(_) => (words::UNKNOWN_ORDER, words::UNKNOWN_ORDER_WHY.into()),
        other => (words::UNREADABLE_ORDER, safe(other.text())),
    };
    let mut lines = vec![Line::styled(lead, theme.strong()), Line::default()];
    lines.extend(wrapped(&hint, width, theme.quiet()));
    lines
}

fn text<'a>(order: &'a Json, field: &str) -> &'a str {
    order[field].as_str().unwrap_or_default()
}

fn int(order: &Json, field: &str) -> i64 {
    order[field].as_i64().unwrap_or(0)
}

fn found(theme: Theme, order: &Json, now_ms: i64, writes: bool, width: usize) -> Vec<Line<'static>> {
    let state = OrderState::by_name(text(order, "state").as_bytes());
    let (label, tone) = state.map_or(("", Tone::Muted), |state| (state.label(), words::tone_of(state)));
    let state = Span::styled(format!("● {label}  "), theme.tone(tone).patch(theme.strong()));
    let mut lines = wrapped(&sentence(order), width.saturating_sub(state.width()), Style::new());
    lines[0].spans.insert(0, state);
    if text(order, "state") == "dead" {
        let how = if writes { "r redrives it" } else { "Read-only: redrive needs --allow-writes" };
        lines.push(Line::styled(how, theme.quiet()));
    }
    lines.push(Line::default());
    for (name, value) in facts(order, now_ms) {
        lines.extend(labelled(name, FACT, wrapped(&value, width.saturating_sub(FACT), Style::new())));
    }
    lines.extend([Line::default(), Line::styled("What happened", theme.strong())]);
    lines.extend(timeline(theme, order, now_ms, width));
    lines
}

fn sentence(order: &Json) -> String {
    let units: i64 = items(order).iter().map(|(_, quantity)| quantity).sum();
    let customer = safe(text(order, "customer"));
    let who = if customer.is_empty() { String::new() } else { format!(" for {customer}") };
    let state = text(order, "state");
    let known = OrderState::by_name(state.as_bytes());
    let took = match int(order, "ended-at") {
        0 => format!(": {}", known.map_or_else(|| safe(state), |state| state.meaning().into())),
        ended => format!(", {} after {}", safe(state), duration(ended - int(order, "placed-at"))),
    };
    format!("{}{who}{took}.", plural(units, "unit"))
}

fn items(order: &Json) -> Vec<(String, i64)> {
    let item = |item: &Json| (safe(item[0].as_str().unwrap_or_default()), item[1].as_i64().unwrap_or(0));
    order["items"].as_array().map(|items| items.iter().map(item).collect()).unwrap_or_default()
}

fn facts(order: &Json, now_ms: i64) -> Vec<(&'static str, String)> {
    let items: Vec<String> = items(order).iter().map(|(sku, units)| format!("{} × {sku}", count(*units))).collect();
    let plain = |field: &str| safe(text(order, field));
    let fact = |(field, label, kind)| {
        let value = match kind {
            FactKind::Text => plain(field),
            FactKind::Time => moment(int(order, field), now_ms),
            FactKind::Count if int(order, field) > 0 => count(int(order, field)),
            FactKind::Late if int(order, field) > 0 => words::IS_LATE.into(),
            FactKind::Count | FactKind::Late => String::new(),
        };
        (label, value)
    };
    let mut facts = vec![("Items", items.join(", ")), ("Waits for", waits_for(order)), ("Gates", gates(order, now_ms))];
    facts.extend(FACTS.map(fact));
    facts.extend([("Data", plain("data")), ("Result", plain("result"))]);
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// The units that a waitlisted order still waits for, and how many it has of them.
fn waits_for(order: &Json) -> String {
    let items = order["items"].as_array().into_iter().flatten();
    let item = |item: &Json| {
        let [qty, missing] = [1, 2].map(|at| item[at].as_i64().unwrap_or(0));
        let sku = safe(item[0].as_str().unwrap_or_default());
        (missing > 0).then(|| format!("{} × {sku} (has {} of {})", count(missing), count(qty - missing), count(qty)))
    };
    items.filter_map(item).collect::<Vec<_>>().join(", ")
}

/// The gates of an order: passed, or open until when.
fn gates(order: &Json, now_ms: i64) -> String {
    let gate = |gate: &Json| {
        let how = match (int(gate, "passed"), int(gate, "deadline")) {
            (0, 0) => words::GATE_OPEN.to_string(),
            (0, deadline) => {
                format!("{}, expires at {} (in {})", words::GATE_OPEN, clock(deadline), countdown(deadline - now_ms))
            }
            _ => words::GATE_PASSED.to_string(),
        };
        format!("{}: {how}", safe(text(gate, "gate")))
    };
    order["gates"].as_array().into_iter().flatten().map(gate).collect::<Vec<_>>().join("; ")
}

fn timeline(theme: Theme, order: &Json, now_ms: i64, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut before = None;
    for event in order["history"].as_array().into_iter().flatten() {
        let (title, what) = (safe(text(event, "title")), safe(text(event, "text")));
        let tone = Tone::deserialize(&event["tone"]).unwrap_or(Tone::Muted);
        let at = int(event, "at");
        let gap = before.map_or_else(String::new, |before| format!("+ {}", duration(at - before)));
        let mut line = vec![
            Span::styled("● ", theme.tone(tone)),
            Span::styled(format!("{}  ", exact_clock(at)), theme.quiet()),
            Span::styled(padded(&gap, GAP), theme.quiet()),
            Span::styled(title, theme.strong()),
        ];
        let used: usize = line.iter().map(Span::width).sum();
        let rows = wrapped(&what, width.saturating_sub(used + 2).max(20), theme.quiet());
        let mut rows = labelled("", 2, rows).into_iter();
        line.extend(rows.next().unwrap_or_default().spans.into_iter().map(|span| span.style(theme.quiet())));
        lines.push(Line::from(line));
        lines.extend(rows.flat_map(|row| labelled("", TIME, vec![row])));
        before = Some(at);
    }
    if let Some(last) = before {
        lines.push(Line::styled(tail(order, last, now_ms), theme.quiet()));
    }
    lines
}

/// How long ago the last event was, and what comes next.
fn tail(order: &Json, last_ms: i64, now_ms: i64) -> String {
    let next = match (text(order, "state"), int(order, "due")) {
        ("claimed", due) if due != 0 => format!("; its lease ends at {}", exact_clock(due)),
        ("pending", due) if due != 0 => format!("; a gate expires at {}", exact_clock(due)),
        ("waitlisted", due) if due != 0 => format!("; it stops waiting at {}", exact_clock(due)),
        ("retrying", due) if due != 0 => format!("; the next attempt is due at {}", exact_clock(due)),
        _ => String::new(),
    };
    format!("Last event {} ago{next}.", duration(now_ms - last_ms))
}
