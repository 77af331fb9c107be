//! The way of the orders: how many wait for units, for a gate, for a worker; in a line.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::foreign::{fit, safe};
use super::super::format::{countdown, fitted};
use super::super::shop::Shop;
use super::part::{Page, spread};
use crate::watch::known::sample::Sample;
use crate::watch::known::words::{FLOW, Tone};

/// Columns of a number.
const NUMBER: usize = 7;
/// The widest name of a SKU, in columns.
const NAME_MAX: usize = 20;
/// A gate that expires within this time is coloured.
const SOON_MS: i64 = 60_000;

/// Rows that it takes: none where no order ever waited for units or a gate.
pub fn height(numbers: &Sample) -> u16 {
    let names = ["pending", "waitlisted", "gates-expired", "waitlist-expired"];
    u16::from(names.into_iter().any(|name| numbers.get(name) > 0))
}

pub fn draw(frame: &mut Frame, area: Rect, page: Page) {
    if area.height == 0 {
        return;
    }
    let Page { numbers, theme, .. } = page;
    let mut spans = Vec::new();
    for one in FLOW {
        if !spans.is_empty() {
            spans.push(Span::styled(" → ", theme.quiet()));
        }
        let value = numbers.get(one.name);
        let style = if value > 0 { theme.tone(one.tone) } else { theme.quiet() };
        spans.push(Span::styled(format!("{} ", one.label), style));
        spans.push(Span::styled(fitted(value, NUMBER), if value > 0 { theme.strong() } else { theme.quiet() }));
    }
    let flow = Line::from(spans);
    let room = usize::from(area.width).saturating_sub(flow.width() + 3);
    let notes = [next_gate(page), waited_for(page)].into_iter().flatten();
    let mut right = Line::default();
    for note in notes {
        let gap = if right.width() > 0 { 3 } else { 0 };
        if right.width() + gap + note.width() <= room {
            right.push_span(Span::raw(" ".repeat(gap)));
            right.push_span(note);
        }
    }
    spread(frame, area, flow, right);
}

/// When the next order is cancelled for a gate or for its wait.
fn next_gate(Page { screen, shop, theme, .. }: Page) -> Option<Span<'static>> {
    let due = first_due(shop)?;
    let left_ms = due - screen.now_ms as i64;
    let style = if left_ms < SOON_MS { theme.strong_tone(Tone::Refused) } else { Style::new() };
    Some(Span::styled(format!("next expires in {}", countdown(left_ms)), style))
}

fn first_due(shop: &Shop) -> Option<i64> {
    shop.detail.as_ref()?.waits.shown.first()?.due
}

/// The SKU that most is waited for.
fn waited_for(Page { shop, theme, .. }: Page) -> Option<Span<'static>> {
    let sku = shop.detail.as_ref()?.skus.shown.first().filter(|sku| sku.waiting() > 0)?;
    let units = fitted(sku.waiting(), NUMBER);
    let text = format!("{units} × {} waited for", fit(&safe(&sku.name), NAME_MAX));
    Some(Span::styled(text, theme.tone(Tone::Overflow)))
}
