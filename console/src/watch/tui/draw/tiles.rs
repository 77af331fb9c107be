//! The tiles: who orders, what is done, and what must never happen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Padding};

use super::super::format::{count, percent, plural, rate};
use super::super::theme::Theme;
use super::part::{NO_BREAK, Page, prose, rows_of};
use crate::watch::known::sample::Sample;
use crate::watch::known::series::Column;
use crate::watch::known::words::{self, Shown, TILES, Tone, metric};

/// Tiles next to each other.
const ACROSS: usize = 3;

/// Rows that all tiles need, if each has `rows`.
pub fn height(rows: u16) -> u16 {
    2 * rows + 1
}

pub fn draw(frame: &mut Frame, area: Rect, page: Page, rows: u16) {
    let tall = Layout::vertical([Constraint::Length(rows); 2]).spacing(1).split(area);
    let wide = Layout::horizontal([Constraint::Fill(1); ACROSS]).spacing(1);
    let cells = tall.iter().flat_map(|row| wide.split(*row).to_vec());
    for (cell, tile) in cells.zip(TILES) {
        one(frame, cell, page, tile);
    }
}

fn one(frame: &mut Frame, area: Rect, page: Page, Shown { name, tone, label, meaning }: Shown) {
    let theme = page.theme;
    let (value, sub) = shown(name, page);
    let is_alarm = name == "oversold" && value > 0;
    let style = if is_alarm { theme.alarm() } else { Style::new() };
    let accent = if is_alarm { style } else { theme.tone(tone) };
    let (label, value_style) = match name {
        "oversold" if is_alarm => (format!("▲ {}", label.to_uppercase()), accent),
        "oversold" => (format!("✓ {label}"), accent),
        _ => (label.to_string(), style),
    };
    let mut lines = vec![
        Line::styled(label, accent.patch(theme.strong())),
        Line::styled(count(value), theme.strong().patch(value_style)),
        sub.clone(),
    ];
    // An explanation that is cut off explains nothing.
    let width = area.width.saturating_sub(2);
    if 2 + rows_of(&sub.to_string(), width) + rows_of(meaning, width) <= area.height {
        lines.push(Line::styled(meaning, if is_alarm { style } else { theme.quiet() }));
    }
    let block = Block::new()
        .borders(Borders::LEFT)
        .border_type(BorderType::Thick)
        .border_style(accent)
        .padding(Padding::left(1));
    frame.render_widget(prose(lines).style(style).block(block), area);
}

/// A tile's number, and what is said of it.
fn shown(name: &str, Page { screen, shop, numbers, theme }: Page) -> (i64, Line<'static>) {
    let value = match name {
        "processing" => numbers.processing(),
        "refused" => numbers.refused(),
        name => numbers.get(name),
    };
    let sub = match name {
        "customers" => format!("{} open now", plural(numbers.get("holds"), "cart")).into(),
        "processing" => processing(theme, numbers),
        "completed" if !screen.is_fresh() => words::RATE_UNKNOWN.into(),
        "completed" => format!("{} a second now", rate(shop.series.rate(Column::Completed, screen.now_ms))).into(),
        "overflow" => format!("{} found no units left", count(numbers.get("refused-outofstock"))).into(),
        "refused" => top_refusal(numbers).into(),
        _ if value > 0 => words::IS_OVERSOLD.into(),
        _ => words::IS_NOT_OVERSOLD.into(),
    };
    (value, sub)
}

fn processing(theme: Theme, numbers: &Sample) -> Line<'static> {
    let kinds = [("queued", Tone::Queued), ("in-work", Tone::Work), ("retrying", Tone::Retry)];
    let mut spans = Vec::new();
    for (name, tone) in kinds.into_iter().filter(|(name, _)| numbers.get(name) > 0) {
        if !spans.is_empty() {
            spans.push(Span::raw(" · "));
        }
        // Together on a line, wherever it is broken.
        let label =
            format!("{} {}", count(numbers.get(name)), metric(name).label.to_lowercase()).replace(' ', NO_BREAK);
        spans.push(Span::styled(label, theme.tone(tone)));
    }
    if spans.is_empty() {
        spans.push(Span::raw(if numbers.get("placed") > 0 { words::ALL_DONE } else { words::NONE_YET }));
    }
    spans.into()
}

fn top_refusal(numbers: &Sample) -> String {
    match numbers.refusals().first() {
        None => words::NOBODY_REFUSED.into(),
        Some((top, value)) => format!("{} {}", percent(*value, numbers.refused()), top.label().to_lowercase()),
    }
}
