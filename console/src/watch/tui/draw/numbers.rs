//! Every number of the store, with its meaning.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use super::super::format::{count, duration};
use super::super::screen::Screen;
use super::super::shop::{Numbers, Shop};
use super::super::words::{GROUPS, Named, REFUSALS};
use super::part::{open_panel, window};

const TITLE: &str = "Every number";
const MEANING: &str = "All that is counted and measured, as in STORE.INFO and the metrics stream.";
/// Columns of a label, and of a number.
const LABEL: usize = 24;
const NUMBER: usize = 14;

/// Draws the panel.
pub fn draw(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop, numbers: &Numbers) {
    let theme = screen.theme;
    let inside = open_panel(frame, area, theme, (TITLE, MEANING), String::new());
    let refusals: Vec<Named> = REFUSALS.iter().map(|one| (one.field, one.says, one.why)).collect();
    let groups = GROUPS.iter().copied().chain([("Refusals", refusals.as_slice())]);
    let (mut lines, mut chosen_line, mut index) = (Vec::new(), 0, 0);
    for (title, fields) in groups {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(title, theme.strong()));
        for (field, label, why) in fields {
            let value = numbers.get(field);
            let value = if field.ends_with("-ms") { duration(value) } else { count(value) };
            let is_chosen = index == shop.chosen();
            if is_chosen {
                chosen_line = lines.len();
            }
            let style = if is_chosen { theme.chosen() } else { ratatui::style::Style::new() };
            lines.push(Line::from(vec![
                Span::styled(format!("{label:LABEL$}"), style),
                Span::styled(format!("{value:>NUMBER$}"), theme.strong()),
                Span::styled(format!("   {why}"), theme.quiet()),
            ]));
            index += 1;
        }
    }
    let shown = window(lines.len(), chosen_line, inside.height);
    let lines: Vec<Line> = lines.drain(shown).collect();
    frame.render_widget(Text::from(lines), inside);
}
