//! One order: what it is, and everything that happened to it.

use ratatui::Frame;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use serde_json::Value as Json;

use super::super::super::link::AskError;
use super::super::foreign::safe;
use super::super::format::{count, duration, exact_clock, moment, plural};
use super::super::screen::OrderLook;
use super::super::theme::{Theme, Tone};
use super::super::words;
use super::part::{popup, scrolled, wrapped};
use super::work::padded;

/// The most columns and rows it takes.
const SIZE: (u16, u16) = (100, 60);
/// Columns of the name of a fact.
const FACT: usize = 16;

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
        AskError::Missing(_) => (
            "This store knows no such order.",
            "Either it was never placed here, or it ended so long ago that the store has forgotten it (keep-ms)."
                .into(),
        ),
        other => ("The order could not be read.", safe(other.text())),
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
    let (label, tone, _) = words::state(text(order, "state")).unwrap_or(("", Tone::Muted, ""));
    let state = Span::styled(format!("● {label}  "), theme.tone(tone).patch(theme.strong()));
    let mut lines = wrapped(&sentence(order), width.saturating_sub(state.width()), Style::new());
    lines[0].spans.insert(0, state);
    if text(order, "state") == "dead" {
        let how = if writes { "r redrives it" } else { "Read-only: redrive needs --allow-writes" };
        lines.push(Line::styled(how, theme.quiet()));
    }
    lines.push(Line::default());
    for (name, value) in facts(order, now_ms) {
        let mut rows = wrapped(&value, width.saturating_sub(FACT), Style::new());
        for (index, row) in rows.iter_mut().enumerate() {
            let name = if index == 0 { name } else { "" };
            row.spans.insert(0, Span::styled(format!("{name:FACT$}"), theme.quiet()));
        }
        lines.extend(rows);
    }
    lines.extend([Line::default(), Line::styled("What happened", theme.strong())]);
    lines.extend(timeline(theme, order, now_ms, width));
    lines
}

fn sentence(order: &Json) -> String {
    let units: i64 = items(order).iter().map(|(_, quantity)| quantity).sum();
    let who = match text(order, "customer") {
        "" => String::new(),
        customer => format!(" for {}", safe(customer)),
    };
    let state = text(order, "state");
    let took = match int(order, "ended-at") {
        0 => {
            let means = words::state(state).map_or_else(|| format!("is {}", safe(state)), |(_, _, means)| means.into());
            format!("; it {means}")
        }
        ended => format!(", {} after {}", safe(state), duration(ended - int(order, "placed-at"))),
    };
    format!("{}{who}{took}.", plural(units, "unit"))
}

fn items(order: &Json) -> Vec<(String, i64)> {
    let item = |item: &Json| (safe(item[0].as_str().unwrap_or_default()), item[1].as_i64().unwrap_or(0));
    order["items"].as_array().map(|items| items.iter().map(item).collect()).unwrap_or_default()
}

fn facts(order: &Json, now_ms: i64) -> Vec<(&'static str, String)> {
    let state = text(order, "state");
    let items: Vec<String> = items(order).iter().map(|(sku, units)| format!("{} × {sku}", count(*units))).collect();
    let attempts = int(order, "attempts");
    let late = int(order, "late") != 0;
    let reason = if state == "cancelled" { "Reason" } else { "Last failure" };
    let plain = |field: &str| safe(text(order, field));
    let facts = [
        ("Items", items.join(", ")),
        ("Customer", plain("customer")),
        ("Placed", moment(int(order, "placed-at"), now_ms)),
        ("Attempts failed", if attempts > 0 { count(attempts) } else { String::new() }),
        ("Worker", plain("worker")),
        ("Step", plain("step")),
        ("Group", plain("group")),
        ("Cart", plain("hold")),
        (reason, plain("reason")),
        ("Late", if late { "yes: longer than the store promises (sla-ms)".into() } else { String::new() }),
        ("Data", plain("data")),
        ("Result", plain("result")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn timeline(theme: Theme, order: &Json, now_ms: i64, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut before = None;
    for event in order["history"].as_array().into_iter().flatten() {
        let (title, tone, what) = told(event);
        let at = int(event, "at");
        let gap = before.map_or_else(String::new, |before| format!("+ {}", duration(at - before)));
        let mut line = vec![
            Span::styled("● ", theme.tone(tone)),
            Span::styled(format!("{}  ", exact_clock(at)), theme.quiet()),
            Span::styled(padded(&gap, 12), theme.quiet()),
            Span::styled(title, theme.strong()),
        ];
        let used: usize = line.iter().map(Span::width).sum();
        let mut rows = wrapped(&what, width.saturating_sub(used + 2).max(20), theme.quiet()).into_iter();
        line.push(Span::raw("  "));
        line.extend(
            rows.next().map(|row| row.spans).unwrap_or_default().into_iter().map(|span| span.style(theme.quiet())),
        );
        lines.push(Line::from(line));
        lines.extend(rows.map(|row| Line::styled(format!("{:28}{row}", ""), theme.quiet())));
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
        (_, 0) => String::new(),
        ("claimed", due) => format!("; its lease ends at {}", exact_clock(due)),
        ("retrying", due) => format!("; the next attempt is due at {}", exact_clock(due)),
        _ => String::new(),
    };
    format!("Last event {} ago{next}.", duration(now_ms - last_ms))
}

/// What happened: title, tone and, where there is more to say, what.
fn told(event: &Json) -> (String, Tone, String) {
    let attempt = || format!("attempt {}", int(event, "attempt"));
    let reason = safe(text(event, "reason"));
    let said = |title: &str, tone, what: &str| (title.to_string(), tone, what.to_string());
    match text(event, "event") {
        "placed" => said("Placed", Tone::Placed, "checked, units taken, queued"),
        "forgotten" if int(event, "returns") > 0 => {
            let title = format!("{} returns left out", int(event, "returns"));
            let what = format!("{} units came back with them; only the last 100 are kept", int(event, "units"));
            (title, Tone::Muted, what)
        }
        "forgotten" => {
            let title = format!("{} events left out", int(event, "events"));
            (title, Tone::Muted, "only the last 100 are kept".into())
        }
        "claimed" => (format!("Claimed by {}", safe(text(event, "worker"))), Tone::Work, attempt()),
        "failed" if reason.is_empty() => said("Attempt failed", Tone::Retry, &attempt()),
        "failed" => said("Attempt failed", Tone::Retry, &format!("{}: {reason}", attempt())),
        "lease-ended" => {
            let what = format!("the worker did not finish {} in time; taken back", attempt());
            said("Lease ended", Tone::Retry, &what)
        }
        "yielded" => said("Given back", Tone::Muted, "the worker shut down; not counted as an attempt"),
        "dead" => said("Died", Tone::Refused, if reason.is_empty() { "out of attempts" } else { &reason }),
        "redriven" => said("Redriven", Tone::Placed, "took its units again and queued anew"),
        "step" => (format!("Step: {}", safe(text(event, "step"))), Tone::Work, "a step of fulfilment".into()),
        "completed" => said("Completed", Tone::Completed, "its units left the building"),
        "cancelled" => said("Cancelled", Tone::Muted, "its units went back on sale"),
        "returned" => {
            let units = int(event, "units");
            let what = match (units, int(event, "scrap")) {
                (1, 0) => "one unit came back",
                (1, _) => "one unit came back and was written off",
                (_, 0) => "units came back",
                _ => "units came back and were written off",
            };
            (format!("{units} returned"), Tone::Muted, what.into())
        }
        other => said(&safe(other), Tone::Muted, ""),
    }
}
