//! Orders that are not queued yet: they wait for a gate or for units.

use holdfast_engine::terms::states::OrderState;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, fit, safe};
use super::super::format::{count, countdown, fitted};
use super::super::screen::Screen;
use super::part::{Page, above, draw_list, open_panel, padded};
use crate::watch::known::detail::Wait;
use crate::watch::known::words::{FOR_EVER, NO_WAITS, Tone, WAITS_PANEL, tone_of};

/// Columns of the state, and of the time that is left.
const STATE: usize = 11;
const LEFT: usize = 14;
/// The widest id of an order, in columns.
const NAME_MAX: usize = 40;
/// Columns of a number within a text.
const NUMBER: usize = 9;
/// An order that is cancelled within this time is marked.
const SOON_MS: i64 = 60_000;

pub fn draw(frame: &mut Frame, area: Rect, Page { screen, shop, numbers, .. }: Page, chosen: Option<usize>) {
    let theme = screen.theme;
    let all = numbers.waiting();
    let number = if all > 0 { count(all) } else { String::new() };
    let inside = open_panel(frame, area, theme, WAITS_PANEL, number);
    let lines = shop.wait_lines();
    if lines.is_empty() && all == 0 {
        return frame.render_widget(Line::styled(NO_WAITS, theme.tone(Tone::Completed)), inside);
    }
    let left = all - lines.len() as i64;
    let [list, foot] = above(inside, u16::from(left > 0));
    let widest = lines.iter().map(|line| columns(&safe(&line.order.name))).max().unwrap_or(0);
    let name = widest.min(NAME_MAX).min(usize::from(inside.width) * 2 / 5).max(6);
    draw_list(frame, list, None, lines.len(), chosen, |index| {
        row(screen, &lines[index], chosen == Some(index), name, usize::from(inside.width))
    });
    frame.render_widget(
        Line::styled(format!("and {} more: ORDER.SCAN … STATE waitlisted, or pending", count(left)), theme.quiet()),
        foot,
    );
}

fn row(screen: &Screen, line: &Wait, is_chosen: bool, name: usize, all: usize) -> Line<'static> {
    let theme = screen.theme;
    let state = OrderState::by_name(line.state.as_bytes());
    let (label, tone) = state.map_or(("", Tone::Muted), |state| (state.label(), tone_of(state)));
    let left_ms = line.due.map(|due| due - screen.now_ms as i64);
    let is_soon = left_ms.is_some_and(|left_ms| left_ms < SOON_MS);
    let left_style = if is_soon { theme.strong_tone(Tone::Refused) } else { theme.quiet() };
    let left = left_ms.map_or(FOR_EVER.to_string(), countdown);
    let room = all.saturating_sub(name + STATE + LEFT + 4);
    Line::from(vec![
        Span::styled(padded(&safe(&line.order.name), name), theme.line(is_chosen)),
        Span::raw("  "),
        Span::styled(padded(label, STATE), theme.tone(tone)),
        Span::styled(format!("{left:>LEFT$}"), left_style),
        Span::raw("  "),
        Span::raw(fit(&waits_for(line), room)),
    ])
}

/// The gates and the units that it waits for.
fn waits_for(line: &Wait) -> String {
    let units = line.missing.iter().map(|(sku, units)| format!("{} × {}", fitted(*units, NUMBER), safe(sku)));
    units.chain(line.gates.iter().map(|gate| safe(gate))).collect::<Vec<_>>().join(", ")
}
