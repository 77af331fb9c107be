//! The tiles: who orders, what is done, and what must never happen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Padding};

use super::super::foreign::{columns, fit};
use super::super::format::{count, fitted, percent, plural, rate};
use super::super::theme::Theme;
use super::part::{NO_BREAK, Page, prose, rows_of};
use crate::watch::known::sample::Sample;
use crate::watch::known::series::Column;
use crate::watch::known::words::{self, FLOW, Shown, TILES};

/// Tiles next to each other.
const ACROSS: usize = 3;
/// Rows of a tile with a single one for its text.
const SMALL: u16 = 3;
/// Columns of a number within a text.
const NUMBER: usize = 9;

/// Rows that all tiles need, if each has `rows` and there are `apart` between them.
pub fn height(rows: u16, apart: u16) -> u16 {
    2 * rows + apart
}

pub fn draw(frame: &mut Frame, area: Rect, page: Page, (rows, apart): (u16, u16)) {
    let tall = Layout::vertical([Constraint::Length(rows); 2]).spacing(apart).split(area);
    let wide = Layout::horizontal([Constraint::Fill(1); ACROSS]).spacing(1);
    let cells = tall.iter().flat_map(|row| wide.split(*row).to_vec());
    for (cell, tile) in cells.zip(TILES) {
        one(frame, cell, page, tile);
    }
}

fn one(frame: &mut Frame, area: Rect, page: Page, Shown { name, tone, label, meaning }: Shown) {
    let theme = page.theme;
    let (value, sub) = shown(name, page);
    let width = area.width.saturating_sub(2);
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
        Line::styled(fitted(value, usize::from(width)), theme.strong().patch(value_style)),
        // Where there is one row for it, what is cut off is marked.
        if area.height <= SMALL { cut(sub.clone(), usize::from(width)) } else { sub.clone() },
    ];
    // An explanation that is cut off explains nothing.
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
        "overflow" => format!("{} found none left", count(numbers.get("refused-outofstock"))).into(),
        "refused" => top_refusal(numbers).into(),
        _ if value > 0 => words::IS_OVERSOLD.into(),
        _ => words::IS_NOT_OVERSOLD.into(),
    };
    (value, sub)
}

/// As much of a line as there is room for.
fn cut(line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let mut left = width;
    let mut spans = Vec::new();
    for span in line.spans {
        let text = fit(&span.content, left);
        let is_cut = columns(&text) < span.width();
        left -= columns(&text);
        spans.push(Span::styled(text, span.style));
        if is_cut {
            break;
        }
    }
    Line::from(spans)
}

fn processing(theme: Theme, numbers: &Sample) -> Line<'static> {
    let mut spans = Vec::new();
    for Shown { name, tone, label, .. } in FLOW.into_iter().filter(|one| numbers.get(one.name) > 0) {
        if !spans.is_empty() {
            spans.push(Span::raw(" · "));
        }
        // Together on a line, wherever it is broken.
        let label = format!("{} {}", fitted(numbers.get(name), NUMBER), label.to_lowercase()).replace(' ', NO_BREAK);
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
