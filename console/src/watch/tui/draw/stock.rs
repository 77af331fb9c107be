//! The card with the units left, and where all units are.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use tui_big_text::{BigText, PixelSize};

use super::super::format::{count, duration, percent, plural, short};
use super::super::shop::Shop;
use super::super::theme::Theme;
use super::part::{Page, framed, prose};
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
fn sold_out_sentence(shop: &Shop, numbers: &Sample) -> Option<String> {
    if !numbers.is_sold_out() {
        return None;
    }
    let opens = shop.window.opens.max(0);
    let at = shop.series.sold_out_at(opens as u64).filter(|_| opens > 0);
    let after = at.map(|at| format!(" {} after opening", duration(at as i64 - opens))).unwrap_or_default();
    let open = [(numbers.processing(), "order"), (numbers.get("holds"), "cart")];
    let left: Vec<String> =
        open.into_iter().filter(|(value, _)| *value > 0).map(|(value, name)| plural(value, name)).collect();
    Some(match left.is_empty() {
        true => format!("Sold out{after}, and every order is settled."),
        false => format!("Sold out{after}. {} still to settle.", left.join(" and ")),
    })
}

pub fn draw(frame: &mut Frame, area: Rect, page: Page) {
    let Page { shop, numbers, theme, .. } = page;
    let inside = framed(frame, area, theme, "Units available", String::new());
    let digits = count(numbers.get("available"));
    let sold_out = sold_out_sentence(shop, numbers);
    let of = Span::raw(format!("of {} on hand", count(numbers.get("on-hand"))));
    let check = |sentence| Span::styled(format!("   ✓ {sentence}"), theme.strong_tone(Tone::Completed));
    if area.height < LARGE {
        let why = Span::styled("   what a customer can still buy", theme.quiet());
        let units = Span::styled(format!("{digits} "), theme.strong_tone(Tone::Available));
        let [head, bar, legend] = Layout::vertical([Constraint::Length(1); 3]).areas(inside);
        let room = usize::from(head.width).saturating_sub(units.width() + of.width());
        let what = sold_out.map(check).or((why.width() <= room).then_some(why));
        frame.render_widget(Line::from_iter([units, of].into_iter().chain(what)), head);
        return stack(frame, bar, legend, page);
    }
    let is_tall = area.height >= LARGE + 3;
    let rows = if is_tall { [DIGIT_ROWS, 2, 1] } else { [DIGIT_ROWS, 0, 0] }.map(Constraint::Length);
    let [top, bar, legend, why] = Layout::vertical([rows[0], rows[1], rows[2], Constraint::Fill(1)]).areas(inside);
    let right = draw_digits(frame, top, theme, digits);
    let head = [Some(of), sold_out.map(check)].into_iter().flatten();
    if is_tall {
        // All else is under the number.
        let [_, area] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(right);
        frame.render_widget(prose(head.map(Line::from).collect::<Vec<_>>()), area);
        stack(frame, bar, legend, page);
    } else {
        let [area, bar, legend] = Layout::vertical([1, 2, 1].map(Constraint::Length)).areas(right);
        frame.render_widget(Line::from_iter(head), area);
        stack(frame, bar, legend, page);
    }
    frame.render_widget(prose(AVAILABLE).style(theme.quiet()), why);
}

/// Draws a number in large digits. What is left of the area.
fn draw_digits(frame: &mut Frame, area: Rect, theme: Theme, digits: String) -> Rect {
    let width = digits.chars().count() as u16 * DIGIT_COLUMNS;
    let is_narrow = f64::from(width) > DIGITS_MOST * f64::from(area.width);
    let (width, size) = if is_narrow { (width / 2, PixelSize::Quadrant) } else { (width, PixelSize::HalfHeight) };
    let [left, right] = Layout::horizontal([Constraint::Length(width + 2), Constraint::Fill(1)]).areas(area);
    let big = BigText::builder().pixel_size(size).style(theme.tone(Tone::Available)).lines(vec![digits.into()]).build();
    frame.render_widget(big, left);
    right
}

/// One bar of all units, and what its parts are; each has at least a column while it has a unit.
fn stack(frame: &mut Frame, bar: Rect, legend: Rect, Page { numbers, theme, .. }: Page) {
    let width = usize::from(bar.width);
    let units = SEGMENTS.map(|segment| match segment.name {
        "safety" => numbers.safety(),
        name => numbers.get(name).max(0),
    });
    let all: i64 = units.iter().sum();
    let names = legend_of(theme, &units, all, count);
    let is_long = names.width() > usize::from(legend.width);
    let names = if is_long { legend_of(theme, &units, all, |units| short(units as f64)) } else { names };
    let (mut left, mut parts) = (width, Vec::new());
    for (index, Shown { tone, .. }) in SEGMENTS.into_iter().enumerate() {
        let (units, after) = (units[index], units[index + 1..].iter().sum::<i64>());
        let columns = match (units, after) {
            (0, _) => 0,
            (_, 0) => left,
            _ => ((width as f64 * units as f64 / all as f64).round() as usize).max(1).min(left),
        };
        left -= columns;
        parts.push(Span::styled(theme.fill(tone).repeat(columns), theme.tone(tone)));
    }
    if all == 0 {
        parts = vec![Span::styled("╌".repeat(width), theme.frame())];
    }
    frame.render_widget(Text::from(vec![Line::from(parts); usize::from(bar.height)]), bar);
    frame.render_widget(names, legend);
}

/// What the parts of the bar are, how many units each has, and which part of all.
fn legend_of(theme: Theme, units: &[i64], all: i64, number: impl Fn(i64) -> String) -> Line<'static> {
    let mut names = Vec::new();
    let shown = SEGMENTS.into_iter().zip(units).filter(|(one, units)| one.name != "safety" || **units > 0);
    for (Shown { tone, label, .. }, units) in shown {
        names.push(Span::styled(format!("{} ", theme.fill(tone)), theme.tone(tone)));
        names.push(Span::raw(format!("{label} ")));
        names.push(Span::styled(number(*units), theme.strong()));
        names.push(Span::styled(format!(" {}   ", percent(*units, all)), theme.quiet()));
    }
    Line::from(names)
}
