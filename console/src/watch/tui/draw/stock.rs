//! The card with the units left, and where all units are.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use tui_big_text::{BigText, PixelSize};

use super::super::format::{count, duration, percent, plural};
use super::super::screen::Screen;
use super::super::shop::Shop;
use super::super::theme::Theme;
use super::part::panel;
use crate::watch::known::sample::Sample;
use crate::watch::known::words::{AVAILABLE, SEGMENTS, Shown, Tone};

/// Rows of a digit that is drawn large, and its columns.
const DIGIT_ROWS: u16 = 4;
const DIGIT_COLUMNS: u16 = 8;
/// The most of the card's width that the number may have; else it is drawn in half as many columns.
const DIGITS_MOST: f64 = 0.5;
/// Rows the card has where the number is drawn large.
pub const LARGE: u16 = 7;
/// Rows the card has where there is little room.
pub const SMALL: u16 = 5;

/// What to say once nothing can be bought any more.
pub fn sold_out_sentence(shop: &Shop, numbers: &Sample) -> Option<String> {
    if !numbers.is_sold_out() {
        return None;
    }
    let opens = shop.window.opens.max(0);
    let after = match shop.series.sold_out_at(opens as u64) {
        Some(at) if opens > 0 => format!(" {} after opening", duration(at as i64 - opens)),
        _ => String::new(),
    };
    let open = [(numbers.processing(), "order"), (numbers.get("holds"), "cart")];
    let left: Vec<String> =
        open.into_iter().filter(|(value, _)| *value > 0).map(|(value, name)| plural(value, name)).collect();
    Some(match left.is_empty() {
        true => format!("Sold out{after}, and every order is settled."),
        false => format!("Sold out{after}. {} still to settle.", left.join(" and ")),
    })
}

/// Draws the card, as large as there is room.
pub fn draw(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop, numbers: &Sample) {
    let theme = screen.theme;
    let block = panel(theme, "Units available", String::new());
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let sold_out = sold_out_sentence(shop, numbers);
    if area.height < LARGE {
        return small(frame, inside, theme, numbers, sold_out);
    }
    let digits = count(numbers.get("available"));
    let width = digits.chars().count() as u16 * DIGIT_COLUMNS;
    let is_narrow = f64::from(width) > DIGITS_MOST * f64::from(inside.width);
    let width = if is_narrow { width / 2 } else { width } + 2;
    if area.height >= LARGE + 3 {
        tall(frame, inside, theme, numbers, (digits, width), sold_out);
    } else {
        wide(frame, inside, theme, numbers, (digits, width), sold_out);
    }
}

fn small(frame: &mut Frame, area: Rect, theme: Theme, numbers: &Sample, sold_out: Option<String>) {
    let [head, bar, legend] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    let mut line = vec![
        Span::styled(count(numbers.get("available")), theme.tone(Tone::Available).patch(theme.strong())),
        Span::raw(of(numbers)),
    ];
    line.push(match sold_out {
        Some(sentence) => Span::styled(format!("  ✓ {sentence}"), theme.tone(Tone::Completed)),
        None => Span::styled("   what a customer can still buy", theme.quiet()),
    });
    frame.render_widget(Line::from(line), head);
    stack(frame, bar, theme, numbers);
    frame.render_widget(Line::from(legend_of(theme, numbers).concat()), legend);
}

/// The number at the left, all else at its right.
fn wide(
    frame: &mut Frame,
    area: Rect,
    theme: Theme,
    numbers: &Sample,
    (digits, width): (String, u16),
    sold_out: Option<String>,
) {
    let [top, why] = Layout::vertical([Constraint::Length(DIGIT_ROWS), Constraint::Fill(1)]).areas(area);
    let [left, right] = Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(top);
    big(frame, left, theme, digits);
    let [head, bar, legend] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(2), Constraint::Length(1)]).areas(right);
    frame.render_widget(head_of(theme, numbers, sold_out), head);
    stack(frame, bar, theme, numbers);
    frame.render_widget(Line::from(legend_of(theme, numbers).concat()), legend);
    frame.render_widget(Line::styled(AVAILABLE, theme.quiet()), why);
}

/// The number on top, all else under it.
fn tall(
    frame: &mut Frame,
    area: Rect,
    theme: Theme,
    numbers: &Sample,
    (digits, width): (String, u16),
    sold_out: Option<String>,
) {
    let rows = [DIGIT_ROWS, 2, 1].map(Constraint::Length);
    let [top, bar, legend, why] = Layout::vertical([rows[0], rows[1], rows[2], Constraint::Fill(1)]).areas(area);
    let [left, right] = Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(top);
    big(frame, left, theme, digits);
    let [_, head] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(right);
    let mut lines = vec![Line::raw(of(numbers))];
    lines.extend(sold_out.map(|sentence| Line::styled(format!("✓ {sentence}"), theme.tone(Tone::Completed))));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), head);
    stack(frame, bar, theme, numbers);
    frame.render_widget(Line::from(legend_of(theme, numbers).concat()), legend);
    frame.render_widget(Paragraph::new(AVAILABLE).wrap(Wrap { trim: true }).style(theme.quiet()), why);
}

fn of(numbers: &Sample) -> String {
    format!(" of {} on hand", count(numbers.get("on-hand")))
}

fn head_of(theme: Theme, numbers: &Sample, sold_out: Option<String>) -> Line<'static> {
    let mut head = vec![Span::raw(of(numbers).trim_start().to_string())];
    if let Some(sentence) = sold_out {
        head.push(Span::styled(format!("   ✓ {sentence}"), theme.tone(Tone::Completed).patch(theme.strong())));
    }
    Line::from(head)
}

fn big(frame: &mut Frame, area: Rect, theme: Theme, digits: String) {
    let style = theme.tone(Tone::Available);
    let is_narrow = usize::from(area.width) < digits.chars().count() * usize::from(DIGIT_COLUMNS);
    let size = if is_narrow { PixelSize::Quadrant } else { PixelSize::HalfHeight };
    let text = BigText::builder().pixel_size(size).style(style).lines(vec![digits.into()]).build();
    frame.render_widget(text, area);
}

fn units(numbers: &Sample, segment: &str) -> i64 {
    match segment {
        "safety" => numbers.safety(),
        name => numbers.get(name).max(0),
    }
}

fn all_units(numbers: &Sample) -> i64 {
    SEGMENTS.iter().map(|segment| units(numbers, segment.name)).sum()
}

/// One bar of all units; each part has at least a column while there is something of it.
fn stack(frame: &mut Frame, area: Rect, theme: Theme, numbers: &Sample) {
    let all = all_units(numbers);
    let mut left = usize::from(area.width);
    let mut parts = Vec::new();
    for (index, Shown { name, tone, .. }) in SEGMENTS.iter().enumerate() {
        let after: i64 = SEGMENTS[index + 1..].iter().map(|segment| units(numbers, segment.name)).sum();
        let units = units(numbers, name);
        let columns = match (units, after) {
            (0, _) => 0,
            (_, 0) => left,
            _ => (((area.width as i64 * units) as f64 / all as f64).round() as usize).clamp(1, left.max(1)),
        };
        let columns = columns.min(left);
        left -= columns;
        parts.push(Span::styled(theme.fill(*tone).repeat(columns), theme.tone(*tone)));
    }
    if all == 0 {
        parts = vec![Span::styled("╌".repeat(left), theme.frame())];
    }
    let rows = (0..area.height).map(|_| Line::from(parts.clone())).collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(rows), area);
}

fn legend_of(theme: Theme, numbers: &Sample) -> Vec<Vec<Span<'static>>> {
    let all = all_units(numbers);
    let entry = |Shown { name, tone, label, .. }: &Shown| {
        let units = units(numbers, name);
        vec![
            Span::styled(format!("{} ", theme.fill(*tone)), theme.tone(*tone)),
            Span::raw(format!("{label} ")),
            Span::styled(count(units), theme.strong()),
            Span::styled(format!(" {}   ", percent(units, all)), theme.quiet()),
        ]
    };
    let is_shown = |segment: &&Shown| segment.name != "safety" || numbers.safety() > 0;
    SEGMENTS.iter().filter(is_shown).map(entry).collect()
}
