//! What lies over the page: a field to type into, a question, and what everything means.

use ratatui::Frame;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use super::super::foreign::{columns, safe};
use super::super::format::plural;
use super::super::screen::{Ask, Redrive};
use super::super::theme::Theme;
use super::part::{labelled, popup, scrolled, wrapped};
use crate::watch::known::id::name_of;
use crate::watch::known::words::{self, NO_REASON, NOTES, TILES, groups};

const PROMPT_WIDTH: u16 = 70;
const CONFIRM_WIDTH: u16 = 66;
const HELP_SIZE: (u16, u16) = (100, 50);
/// Columns of a key, and of a label.
const KEY: usize = 18;
const LABEL: usize = 24;

const KEYS: [(&str, &str); 10] = [
    ("1 … 9, tab, ← →", "the parts of a store's page"),
    ("↑ ↓, j k, page", "through a list"),
    ("enter", "open what is chosen: a store, an order, the orders of a reason"),
    ("/", "find an order, SKU, cart or customer by its id; in the list of stores: filter by name"),
    ("o", "the orders of a store by state"),
    ("t", "how much time the charts show: 5 min, 15 min, all"),
    ("r", "redrive what is chosen among the dead letters (with --allow-writes)"),
    ("esc", "back: close what lies on top; from a store, to the list of stores"),
    ("?", "this help"),
    ("q, ctrl-c", "leave"),
];

pub fn prompt(frame: &mut Frame, theme: Theme, ask: Ask, input: &str) {
    let title = match ask {
        Ask::Id => "Find an order, SKU, cart or customer by its id",
        Ask::Filter => "Filter stores by name",
    };
    let inside = popup(frame, theme, title, (PROMPT_WIDTH, 3));
    let input = safe(input);
    let room = usize::from(inside.width).saturating_sub(2);
    let mut shown = input.as_str();
    while columns(shown) > room {
        let mut chars = shown.chars();
        chars.next();
        shown = chars.as_str();
    }
    let line = Line::from(vec![Span::raw(shown.to_string()), Span::styled(" ", theme.chosen())]);
    frame.render_widget(line, inside);
}

pub fn confirm(frame: &mut Frame, theme: Theme, redrive: &Redrive) {
    let (title, text) = match redrive {
        Redrive::Reason(reason, count) => {
            let reason = if reason.is_empty() { NO_REASON.to_string() } else { safe(&name_of(reason)) };
            let text = format!("All orders that died of “{reason}” {}", words::REDRIVES_REASON);
            (format!("Redrive {}?", plural(*count, "order")), text)
        }
        Redrive::Order(id) => (format!("Redrive order {}?", safe(&name_of(id))), words::REDRIVES_ORDER.to_string()),
    };
    let width = CONFIRM_WIDTH.min(frame.area().width - 2) - 4;
    let mut lines = wrapped(&text, usize::from(width), Style::new());
    lines.truncate(usize::from(frame.area().height.saturating_sub(8)));
    lines.push(Line::default());
    lines.push(Line::from(vec![
        Span::styled(" y ", theme.chosen()),
        " redrive     ".into(),
        Span::styled(" n ", theme.chosen()),
        " cancel".into(),
    ]));
    let inside = popup(frame, theme, &title, (CONFIRM_WIDTH, lines.len() as u16 + 2));
    frame.render_widget(Text::from(lines), inside);
}

/// Draws what everything means, from `top` on.
pub fn help(frame: &mut Frame, theme: Theme, top: &mut usize) {
    let width = usize::from(HELP_SIZE.0.min(frame.area().width - 2)).saturating_sub(4);
    let own = |(label, what): (&'static str, &str)| (label, what.to_string());
    let now = TILES.map(|tile| (tile.label, tile.meaning));
    let mut sections = vec![
        ("Keys", KEY, KEYS.map(own).to_vec()),
        ("Now", LABEL, [&[("Units available", words::AVAILABLE)][..], &now].concat().into_iter().map(own).collect()),
        ("Notes", LABEL, NOTES.map(own).to_vec()),
    ];
    for (group, metrics) in groups() {
        let entries = metrics.iter().map(|metric| (metric.label, words::meaning(metric)));
        sections.push((group.label(), LABEL, entries.collect()));
    }
    let mut lines = Vec::new();
    for (title, room, entries) in sections {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(title, theme.strong()));
        for (label, what) in entries {
            lines.extend(labelled(label, room, wrapped(&what, width.saturating_sub(room), theme.quiet())));
        }
    }
    let inside = popup(frame, theme, "What am I looking at?", HELP_SIZE);
    scrolled(frame, inside, theme, lines, top);
}
