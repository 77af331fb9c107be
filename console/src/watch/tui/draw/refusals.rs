//! Refusals by reason: how often which no, and what it means.

use holdfast_engine::terms::refusal::Code;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use super::super::format::{count, percent};
use super::super::shop::Tab;
use super::part::{Page, bar, open_panel, window, wrapped};
use crate::watch::known::words::{NEVER_REFUSED, NO_REFUSALS, REFUSALS_PANEL, Tone};

/// Columns of the reason, of its code, of the number and of its part.
const SAYS: usize = 24;
const CODE: usize = 11;
const NUMBER: usize = 10;
const PART: usize = 7;
/// The fewest columns in which a bar is drawn.
const BAR_LEAST: usize = 8;

pub fn draw(frame: &mut Frame, area: Rect, Page { shop, numbers, theme, .. }: Page) {
    let all = numbers.refused();
    let inside = open_panel(frame, area, theme, REFUSALS_PANEL, count(all));
    let some = numbers.refusals();
    if some.is_empty() {
        return frame.render_widget(Line::raw(NO_REFUSALS), inside);
    }
    let chosen = shop.chosen_in(Tab::Refusals);
    // With room for it, each reason has a second line that says why.
    let with_why = usize::from(inside.height) > 2 * some.len();
    let shown = window(some.len(), chosen.unwrap_or(0), inside.height / if with_why { 2 } else { 1 });
    let most = some[0].1;
    let width = usize::from(inside.width);
    let mut lines = Vec::new();
    for (index, (code, value)) in some.iter().enumerate().take(shown.end).skip(shown.start) {
        let style = if chosen == Some(index) { theme.chosen() } else { theme.strong() };
        let mut line = vec![Span::styled(format!("{:SAYS$}", code.label()), style)];
        if width >= SAYS + CODE + NUMBER + PART {
            line.push(Span::styled(format!(" {:CODE$}", code.word()), theme.quiet()));
        }
        line.push(Span::styled(format!("{:>NUMBER$}", count(*value)), theme.strong()));
        if width >= SAYS + NUMBER + PART {
            line.push(Span::styled(format!("{:>PART$}  ", percent(*value, all)), theme.quiet()));
        }
        let room = width.saturating_sub(line.iter().map(Span::width).sum());
        if room >= BAR_LEAST {
            line.push(bar(theme, Tone::Refused, *value as f64 / most as f64, room as u16));
        }
        lines.push(Line::from(line));
        if with_why {
            lines.push(Line::styled(format!("  {}", code.why()), theme.quiet()));
        }
    }
    let never: Vec<&str> =
        Code::ALL.iter().filter(|code| numbers.get(code.metric()) == 0).map(|code| code.word()).collect();
    if !never.is_empty() && shown.end == some.len() {
        lines.extend(wrapped(&format!("{NEVER_REFUSED}: {}", never.join(", ")), width, theme.quiet()));
    }
    frame.render_widget(Text::from(lines), inside);
}
