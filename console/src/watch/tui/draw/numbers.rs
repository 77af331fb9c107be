//! Every number of the store, with its meaning.

use holdfast_engine::terms::metrics::{Metric, Unit};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use super::super::format::{count, duration};
use super::part::{Page, labelled, open_panel, padded, window, wrapped};
use crate::watch::known::words::{NUMBERS_PANEL, groups, meaning};

/// Columns of a label, of a number at least, and after it.
const LABEL: usize = 24;
const NUMBER: usize = 14;
const GAP: usize = 3;

pub fn draw(frame: &mut Frame, area: Rect, Page { shop, numbers, theme, .. }: Page) {
    let inside = open_panel(frame, area, theme, NUMBERS_PANEL, String::new());
    let (mut lines, mut chosen_line, mut index) = (Vec::new(), 0, 0);
    let value_of = |metric: &Metric| match metric.unit {
        Unit::Ms => duration(numbers.get(metric.name)),
        _ => count(numbers.get(metric.name)),
    };
    let widest = groups().flat_map(|(_, metrics)| metrics).map(|metric| value_of(metric).len()).max().unwrap_or(0);
    let number = widest.max(NUMBER);
    for (group, metrics) in groups() {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(group.label(), theme.strong()));
        for metric in metrics {
            let (label, value) = (metric.label, value_of(metric));
            let is_chosen = index == shop.chosen();
            if is_chosen {
                chosen_line = lines.len();
            }
            let room = usize::from(inside.width).saturating_sub(LABEL + number + GAP);
            let meaning = wrapped(&meaning(metric), room, theme.quiet());
            let mut rows = labelled("", LABEL + number + GAP, meaning);
            let value = Span::styled(format!("{value:>number$}{:GAP$}", ""), theme.strong());
            rows[0].spans.splice(..1, [Span::styled(padded(label, LABEL), theme.line(is_chosen)), value]);
            lines.extend(rows);
            index += 1;
        }
    }
    let shown = window(lines.len(), chosen_line, inside.height);
    let lines: Vec<Line> = lines.drain(shown).collect();
    frame.render_widget(Text::from(lines), inside);
}
