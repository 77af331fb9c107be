//! SKUs: those that are out or low first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, safe};
use super::super::format::{NONE, count};
use super::super::shop::Tab;
use super::super::theme::Theme;
use super::part::{Page, above, bar, draw_list, open_panel, padded};
use crate::watch::known::detail::SkuLine;
use crate::watch::known::words::{NO_SKUS, SKU_COLUMNS, SKUS_PANEL, Tone};

/// Columns of a number, and of the mark of what is out or low.
const NUMBER: usize = 10;
const MARK: usize = 5;
/// The fewest columns in which a bar is drawn.
const BAR_LEAST: usize = 8;

pub fn draw(frame: &mut Frame, area: Rect, Page { shop, theme, .. }: Page) {
    let skus = shop.detail.as_ref().map(|detail| &detail.skus);
    let number = skus.map(|skus| count(skus.total)).unwrap_or_default();
    let inside = open_panel(frame, area, theme, SKUS_PANEL, number);
    let Some(skus) = skus else { return };
    if skus.total == 0 {
        return frame.render_widget(Line::raw(NO_SKUS), inside);
    }
    let left = skus.total - skus.shown.len() as i64;
    let [list, foot] = above(inside, u16::from(left > 0));
    let chosen = shop.chosen_in(Tab::Stock);
    let widest = skus.shown.iter().map(|line| columns(&safe(&line.name))).max().unwrap_or(0);
    let numbers = SKU_COLUMNS.len() * NUMBER + MARK + 1;
    let name = widest.clamp(6, usize::from(list.width).saturating_sub(numbers).max(6));
    let heads: String = SKU_COLUMNS.iter().map(|column| format!("{:>NUMBER$}", column.label)).collect();
    let head = Line::styled(format!("{:name$} {:MARK$}{heads}", "SKU", ""), theme.quiet());
    draw_list(frame, list, Some(head), skus.shown.len(), chosen, |index| {
        row(theme, &skus.shown[index], chosen == Some(index), name, list.width)
    });
    frame.render_widget(Line::styled(format!("and {} with more available", count(left)), theme.quiet()), foot);
}

fn row(theme: Theme, sku: &SkuLine, is_chosen: bool, name: usize, all: u16) -> Line<'static> {
    let (mark, tone) = match (sku.is_out(), sku.is_low()) {
        (true, _) => ("out", Tone::Refused),
        (false, true) => ("low", Tone::Queued),
        _ => ("", Tone::Available),
    };
    let strong = theme.strong_tone(tone);
    let mut line = vec![
        Span::styled(padded(&safe(&sku.name), name), theme.line(is_chosen)),
        Span::raw(" "),
        Span::styled(format!("{mark:MARK$}"), strong),
    ];
    for column in SKU_COLUMNS.map(|column| column.name) {
        let value = if column == "low" && sku.get(column) == 0 { NONE.into() } else { count(sku.get(column)) };
        let style = if column == "available" { strong } else { Style::new() };
        line.push(Span::styled(format!("{value:>NUMBER$}"), style));
    }
    let room = usize::from(all).saturating_sub(name + MARK + 1 + SKU_COLUMNS.len() * NUMBER + 2).min(40);
    let units = sku.get("on-hand") + sku.get("sold");
    if room >= BAR_LEAST && units > 0 {
        line.push(Span::raw("  "));
        line.push(bar(theme, tone, sku.get("available") as f64 / units as f64, room as u16));
    }
    Line::from(line)
}
