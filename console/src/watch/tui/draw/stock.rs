//! The card with the units left, and where all units are.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
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

/// What is in the card.
struct Card<'a> {
    theme: Theme,
    numbers: &'a Sample,
    sold_out: Option<String>,
}

pub fn draw(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop, numbers: &Sample) {
    let theme = screen.theme;
    let block = panel(theme, "Units available", String::new());
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let card = Card { theme, numbers, sold_out: sold_out_sentence(shop, numbers) };
    if area.height < LARGE {
        return card.small(frame, inside);
    }
    let digits = count(numbers.get("available"));
    let width = digits.chars().count() as u16 * DIGIT_COLUMNS;
    let is_narrow = f64::from(width) > DIGITS_MOST * f64::from(inside.width);
    let width = if is_narrow { width / 2 } else { width } + 2;
    let is_tall = area.height >= LARGE + 3;
    let rows = if is_tall { [DIGIT_ROWS, 2, 1] } else { [DIGIT_ROWS, 0, 0] }.map(Constraint::Length);
    let [top, bar, legend, why] = Layout::vertical([rows[0], rows[1], rows[2], Constraint::Fill(1)]).areas(inside);
    let [left, right] = Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(top);
    let size = if is_narrow { PixelSize::Quadrant } else { PixelSize::HalfHeight };
    let big = BigText::builder().pixel_size(size).style(theme.tone(Tone::Available)).lines(vec![digits.into()]).build();
    frame.render_widget(big, left);
    if is_tall {
        // All else is under the number.
        let [_, head] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(right);
        let lines = card.head().into_iter().map(Line::from).collect::<Vec<_>>();
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), head);
        card.stack(frame, bar, legend);
    } else {
        let [head, bar, legend] = Layout::vertical([1, 2, 1].map(Constraint::Length)).areas(right);
        frame.render_widget(Line::from_iter(card.head()), head);
        card.stack(frame, bar, legend);
    }
    frame.render_widget(Paragraph::new(AVAILABLE).wrap(Wrap { trim: true }).style(theme.quiet()), why);
}

impl Card<'_> {
    fn small(&self, frame: &mut Frame, area: Rect) {
        let [head, bar, legend] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
        let style = self.theme.tone(Tone::Available).patch(self.theme.strong());
        let mut line = vec![Span::styled(format!("{} ", count(self.numbers.get("available"))), style)];
        line.extend(self.head());
        if self.sold_out.is_none() {
            line.push(Span::styled("   what a customer can still buy", self.theme.quiet()));
        }
        frame.render_widget(Line::from(line), head);
        self.stack(frame, bar, legend);
    }

    /// What the units available are of, and what there is to say once none is left.
    fn head(&self) -> Vec<Span<'static>> {
        let style = self.theme.tone(Tone::Completed).patch(self.theme.strong());
        let sold_out = self.sold_out.as_ref().map(|sentence| Span::styled(format!("   ✓ {sentence}"), style));
        let of = Span::raw(format!("of {} on hand", count(self.numbers.get("on-hand"))));
        [Some(of), sold_out].into_iter().flatten().collect()
    }

    fn units(&self, segment: &Shown) -> i64 {
        match segment.name {
            "safety" => self.numbers.safety(),
            name => self.numbers.get(name).max(0),
        }
    }

    /// One bar of all units, and what its parts are; each has at least a column while it has a unit.
    fn stack(&self, frame: &mut Frame, bar: Rect, legend: Rect) {
        let (theme, width) = (self.theme, usize::from(bar.width));
        let units = SEGMENTS.each_ref().map(|segment| self.units(segment));
        let all: i64 = units.iter().sum();
        let (mut left, mut parts, mut names) = (width, Vec::new(), Vec::new());
        for (index, Shown { name, tone, label, .. }) in SEGMENTS.iter().enumerate() {
            let (units, after) = (units[index], units[index + 1..].iter().sum::<i64>());
            let columns = match (units, after) {
                (0, _) => 0,
                (_, 0) => left,
                _ => ((width as f64 * units as f64 / all as f64).round() as usize).max(1).min(left),
            };
            left -= columns;
            parts.push(Span::styled(theme.fill(*tone).repeat(columns), theme.tone(*tone)));
            if *name != "safety" || units > 0 {
                names.push(Span::styled(format!("{} ", theme.fill(*tone)), theme.tone(*tone)));
                names.push(Span::raw(format!("{label} ")));
                names.push(Span::styled(count(units), theme.strong()));
                names.push(Span::styled(format!(" {}   ", percent(units, all)), theme.quiet()));
            }
        }
        if all == 0 {
            parts = vec![Span::styled("╌".repeat(width), theme.frame())];
        }
        frame.render_widget(Text::from(vec![Line::from(parts); usize::from(bar.height)]), bar);
        frame.render_widget(Line::from(names), legend);
    }
}
