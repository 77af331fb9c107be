//! SKUs: those that are out or low first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns as width_of, safe};
use super::super::format::{NONE, count, fitted, short};
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
    let widest = skus.shown.iter().map(|line| width_of(&safe(&line.name))).max().unwrap_or(0);
    // Where nobody ever waited for anything, there is no column for it.
    let is_waited_for = skus.shown.iter().any(|sku| sku.waiting() > 0 || sku.backlog().is_some());
    let columns: Vec<&str> =
        SKU_COLUMNS.iter().map(|one| one.name).filter(|it| is_waited_for || *it != "waiting").collect();
    let numbers = columns.len() * NUMBER + MARK + 1;
    let name = widest.clamp(6, usize::from(list.width).saturating_sub(numbers).max(6));
    let shown = SKU_COLUMNS.iter().filter(|one| columns.contains(&one.name));
    let heads: String = shown.map(|column| format!("{:>NUMBER$}", column.label)).collect();
    let head = Line::styled(format!("{:name$} {:MARK$}{heads}", "SKU", ""), theme.quiet());
    draw_list(frame, list, Some(head), skus.shown.len(), chosen, |index| {
        row(theme, &skus.shown[index], chosen == Some(index), (name, &columns), list.width)
    });
    frame.render_widget(
        Line::styled(format!("and {} with more available: INV.SCAN lists all", count(left)), theme.quiet()),
        foot,
    );
}

fn row(theme: Theme, sku: &SkuLine, is_chosen: bool, (name, columns): (usize, &[&str]), all: u16) -> Line<'static> {
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
    for column in columns {
        let value = match (*column, sku.get(column)) {
            ("low", 0) => NONE.into(),
            ("waiting", waiting) => waited_for(waiting, sku.backlog()),
            (_, value) => fitted(value, NUMBER - 1),
        };
        let style = match *column {
            "available" => strong,
            "waiting" if sku.waiting() > 0 => theme.strong_tone(Tone::Overflow),
            _ => Style::new(),
        };
        line.push(Span::styled(format!("{value:>NUMBER$}"), style));
    }
    let room = usize::from(all).saturating_sub(name + MARK + 1 + columns.len() * NUMBER + 2).min(40);
    let units = sku.get("on-hand") + sku.get("sold");
    if room >= BAR_LEAST && units > 0 {
        line.push(Span::raw("  "));
        line.push(bar(theme, tone, sku.get("available") as f64 / units as f64, room as u16));
    }
    Line::from(line)
}

/// How many units are waited for, of how many at most; without the latter where there is no room.
fn waited_for(waiting: i64, backlog: Option<i64>) -> String {
    let number = |value: i64| short(value as f64);
    match (waiting, backlog) {
        (0, None) => NONE.into(),
        (waiting, None) => fitted(waiting, NUMBER - 1),
        (waiting, Some(backlog)) => {
            let both = format!("{}/{}", number(waiting), number(backlog));
            if both.len() < NUMBER { both } else { number(waiting) }
        }
    }
}
