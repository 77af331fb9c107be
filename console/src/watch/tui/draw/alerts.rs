//! Alerts: what somebody should look at, newest first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, safe};
use super::super::format::{count, moment};
use super::super::shop::Tab;
use super::super::theme::Theme;
use super::part::{Page, above, draw_list, open_panel, padded};
use crate::watch::known::detail::AlertLine;
use crate::watch::known::words::{ALERTS_PANEL, NO_ALERTS, Tone};

/// Columns of what turned.
const LABEL: usize = 14;
/// The widest name of a SKU or an order, in columns.
const NAME_MAX: usize = 40;

pub fn draw(frame: &mut Frame, area: Rect, Page { screen, shop, theme, .. }: Page) {
    let inside = open_panel(frame, area, theme, ALERTS_PANEL, String::new());
    let lines = shop.alert_lines();
    if lines.is_empty() {
        return frame.render_widget(Line::styled(NO_ALERTS, theme.tone(Tone::Completed)), inside);
    }
    let is_part = shop.detail.as_ref().is_some_and(|detail| detail.alerts.truncated);
    let [list, foot] = above(inside, u16::from(is_part));
    let chosen = shop.chosen_in(Tab::Alerts);
    let widest = lines.iter().map(|line| columns(&name_of(line))).max().unwrap_or(0);
    let width = widest.min(NAME_MAX).min(usize::from(list.width) * 2 / 5);
    draw_list(frame, list, None, lines.len(), chosen, |index| {
        row(theme, &lines[index], chosen == Some(index), width, screen.now_ms as i64)
    });
    let all = format!("the newest {}; of all: XREVRANGE {{…}}:alerts + -", lines.len());
    frame.render_widget(Line::styled(all, theme.quiet()), foot);
}

fn name_of(line: &AlertLine) -> String {
    line.order.as_ref().or(line.sku.as_ref()).map(|it| safe(&it.name)).unwrap_or_default()
}

fn row(theme: Theme, line: &AlertLine, is_chosen: bool, width: usize, now_ms: i64) -> Line<'static> {
    let available = line.available.map(|units| format!("{} available", count(units)));
    let rest: Vec<String> = available.into_iter().chain([safe(&line.reason)]).filter(|text| !text.is_empty()).collect();
    Line::from(vec![
        Span::styled(format!("{}  ", moment(line.at, now_ms)), theme.quiet()),
        Span::styled(padded(&safe(&line.label), LABEL), theme.tone(line.tone)),
        Span::styled(padded(&name_of(line), width), theme.line(is_chosen)),
        Span::styled(format!("  {}", rest.join("   ")), theme.quiet()),
    ])
}
