//! The tiles: who orders, what is done, and what must never happen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Padding, Paragraph, Wrap};

use super::super::format::{count, percent, plural, rate};
use super::super::screen::Screen;
use super::super::shop::Shop;
use super::super::theme::Theme;
use super::part::{NO_BREAK, rows_of};
use crate::watch::known::sample::Sample;
use crate::watch::known::series::Column;
use crate::watch::known::words::{self, Shown, TILES, Tone, metric};

/// Tiles next to each other.
const ACROSS: usize = 3;

/// Rows that all tiles need, if each has `rows`.
pub fn height(rows: u16) -> u16 {
    2 * rows + 1
}

pub fn draw(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop, numbers: &Sample, rows: u16) {
    let [first, _, second] =
        Layout::vertical([Constraint::Length(rows), Constraint::Length(1), Constraint::Length(rows)]).areas(area);
    for (index, tile) in TILES.iter().enumerate() {
        let row = if index < ACROSS { first } else { second };
        let across: [Rect; ACROSS] = Layout::horizontal([Constraint::Fill(1); ACROSS]).spacing(1).areas(row);
        one(frame, across[index % ACROSS], screen, shop, numbers, tile);
    }
}

fn one(
    frame: &mut Frame,
    area: Rect,
    screen: &Screen,
    shop: &Shop,
    numbers: &Sample,
    Shown { name, tone, label, meaning }: &Shown,
) {
    let theme = screen.theme;
    let (value, sub) = told(name, screen, shop, numbers);
    let is_alarm = *name == "oversold" && value > 0;
    let (style, label) = match (is_alarm, *name == "oversold") {
        (true, _) => (theme.alarm(), format!("▲ {}", label.to_uppercase())),
        (false, true) => (Style::new(), format!("✓ {label}")),
        _ => (Style::new(), (*label).to_string()),
    };
    let quiet = if is_alarm { style } else { theme.quiet() };
    let accent = if is_alarm { style } else { theme.tone(*tone) };
    let width = area.width.saturating_sub(2);
    let sub = Line::from(sub);
    let mut lines = vec![
        Line::styled(label, accent.patch(theme.strong())),
        Line::styled(count(value), theme.strong().patch(value_style(theme, name, is_alarm))),
        sub.clone(),
    ];
    // An explanation that is cut off explains nothing.
    if 2 + rows_of(&sub.to_string(), width) + rows_of(meaning, width) <= area.height {
        lines.push(Line::styled(*meaning, quiet));
    }
    let block = Block::new()
        .borders(Borders::LEFT)
        .border_type(BorderType::Thick)
        .border_style(accent)
        .padding(Padding::left(1));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).style(style).block(block), area);
}

fn value_style(theme: Theme, name: &str, is_alarm: bool) -> Style {
    match (name, is_alarm) {
        ("oversold", false) => theme.tone(Tone::Completed),
        ("oversold", true) => theme.alarm(),
        _ => Style::new(),
    }
}

/// A tile's number, and what is said of it.
fn told(name: &str, screen: &Screen, shop: &Shop, numbers: &Sample) -> (i64, Vec<Span<'static>>) {
    let plain = |text: String| vec![Span::raw(text)];
    match name {
        "customers" => (numbers.get(name), plain(format!("{} open now", plural(numbers.get("holds"), "cart")))),
        "processing" => (numbers.processing(), processing(screen.theme, numbers)),
        "completed" => {
            let sub = match screen.is_fresh() {
                true => format!("{} a second now", rate(shop.series.rate(Column::Completed, screen.now_ms))),
                false => words::RATE_UNKNOWN.into(),
            };
            (numbers.get(name), plain(sub))
        }
        "overflow" => {
            (numbers.get(name), plain(format!("{} found no units left", count(numbers.get("refused-outofstock")))))
        }
        "refused" => (numbers.refused(), plain(top_refusal(numbers))),
        _ => {
            let is_alarm = numbers.get(name) > 0;
            let sub = if is_alarm { words::IS_OVERSOLD } else { words::IS_NOT_OVERSOLD };
            (numbers.get(name), plain(sub.into()))
        }
    }
}

fn processing(theme: Theme, numbers: &Sample) -> Vec<Span<'static>> {
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
    spans
}

fn top_refusal(numbers: &Sample) -> String {
    match numbers.refusals().first() {
        None => words::NOBODY_REFUSED.into(),
        Some((top, value)) => format!("{} {}", percent(*value, numbers.refused()), top.label().to_lowercase()),
    }
}
