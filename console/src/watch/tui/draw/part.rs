//! Parts that pictures are made of.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph, Wrap};
use textwrap::Options;
use textwrap::WordSeparator::AsciiSpace;
use textwrap::WordSplitter::NoHyphenation;

use super::super::foreign::{columns, fit};
use super::super::screen::Screen;
use super::super::shop::Shop;
use super::super::theme::Theme;
use crate::watch::known::sample::Sample;
use crate::watch::known::words::Tone;

/// A space at which no line is broken.
pub const NO_BREAK: &str = "\u{a0}";
/// Eighths of a bar's last column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// From this height on a panel has room to say what it shows.
const ROOM_TO_EXPLAIN: u16 = 8;

/// A store's page, of which each panel is a part.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    pub screen: &'a Screen,
    pub shop: &'a Shop,
    pub numbers: &'a Sample,
    pub theme: Theme,
}

pub fn prose<'a>(text: impl Into<Text<'a>>) -> Paragraph<'a> {
    Paragraph::new(text).wrap(Wrap { trim: true })
}

/// An area without its first and last column.
pub fn inset(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width - 2, ..area }
}

/// An area without its last `rows` rows, and those.
pub fn above(area: Rect, rows: u16) -> [Rect; 2] {
    Layout::vertical([Constraint::Fill(1), Constraint::Length(rows)]).areas(area)
}

/// Draws a frame with a title, and a number at its right. What is inside of it.
pub fn framed(frame: &mut Frame, area: Rect, theme: Theme, title: &str, number: String) -> Rect {
    let mut block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.frame())
        .padding(Padding::horizontal(1))
        .title(Line::styled(format!(" {title} "), theme.title()));
    if !number.is_empty() {
        block = block.title(Line::styled(format!(" {number} "), theme.title()).right_aligned());
    }
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

/// Draws the frame of a panel, and what it shows in a line where there is room. What is left of the area.
pub fn open_panel(frame: &mut Frame, area: Rect, theme: Theme, (title, meaning): (&str, &str), number: String) -> Rect {
    let inside = framed(frame, area, theme, title, number);
    if area.height < ROOM_TO_EXPLAIN {
        return inside;
    }
    let rows = rows_of(meaning, inside.width).min(2);
    let [top, rest] = Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(inside);
    frame.render_widget(prose(meaning).style(theme.quiet()), top);
    rest
}

/// How many rows a text takes when it is wrapped at spaces.
pub fn rows_of(text: &str, width: u16) -> u16 {
    wrapped(text, usize::from(width), Style::new()).len() as u16
}

/// A bar of `width` columns at most, to an eighth of a column.
pub fn bar(theme: Theme, tone: Tone, part: f64, width: u16) -> Span<'static> {
    let eighths = (part.clamp(0.0, 1.0) * f64::from(width) * 8.0).round() as usize;
    // Something is never drawn as nothing.
    let eighths = if part > 0.0 { eighths.max(1) } else { eighths };
    Span::styled(format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]), theme.tone(tone))
}

/// A line with one text at its left and one at its right; the left one gives way.
pub fn spread(frame: &mut Frame, area: Rect, left: Line, right: Line) {
    let right_width = (right.width() as u16).min(area.width);
    let gap = u16::from(right_width > 0);
    let [left_area, _, right_area] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(gap), Constraint::Length(right_width)]).areas(area);
    frame.render_widget(left, left_area);
    frame.render_widget(right, right_area);
}

/// Which of `length` lines are shown in `height` rows, so that the chosen one is among them.
pub fn window(length: usize, chosen: usize, height: u16) -> std::ops::Range<usize> {
    let height = usize::from(height);
    let begin = chosen.saturating_sub(height / 2).min(length.saturating_sub(height));
    begin..(begin + height).min(length)
}

/// Draws the lines of a list that there is room for, under a head; the chosen one is among them.
pub fn draw_list<'a>(
    frame: &mut Frame,
    area: Rect,
    head: Option<Line<'a>>,
    length: usize,
    chosen: Option<usize>,
    row: impl FnMut(usize) -> Line<'a>,
) {
    let height = area.height.saturating_sub(u16::from(head.is_some()));
    let rows = window(length, chosen.unwrap_or(0), height).map(row).map(|line| marked(line, usize::from(area.width)));
    frame.render_widget(Text::from_iter(head.into_iter().chain(rows)), area);
}

/// As much of a line as there is room for; what is cut off is marked.
fn marked(line: Line<'_>, width: usize) -> Line<'_> {
    if line.width() <= width {
        return line;
    }
    let mut left = width;
    let mut spans = Vec::new();
    for span in line.spans {
        let text = fit(&span.content, left);
        let is_cut = columns(&text) < span.width();
        left -= columns(&text);
        spans.push(Span::styled(text, span.style));
        if is_cut {
            break;
        }
    }
    Line::from(spans)
}

/// Draws a box over the middle of the page. What is inside of it.
pub fn popup(frame: &mut Frame, theme: Theme, title: &str, (width, height): (u16, u16)) -> Rect {
    let area = frame.area();
    let (width, height) = (width.min(area.width - 2), height.min(area.height - 2));
    let over = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    let title = fit(title, usize::from(width.saturating_sub(6)));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .padding(Padding::horizontal(1))
        .title(Line::styled(format!(" {title} "), theme.strong()));
    let inside = block.inner(over);
    frame.render_widget(Clear, over);
    frame.render_widget(block, over);
    inside
}

/// Draws lines from `top` on, which is brought into its bounds.
pub fn scrolled(frame: &mut Frame, area: Rect, theme: Theme, lines: Vec<Line>, top: &mut usize) {
    let height = usize::from(area.height.saturating_sub(1));
    let last_top = lines.len().saturating_sub(height);
    *top = (*top).min(last_top);
    let below = lines.len().saturating_sub(*top + height);
    let shown: Vec<Line> = lines.into_iter().skip(*top).take(height).collect();
    let [text, foot] = above(area, 1);
    frame.render_widget(Text::from(shown), text);
    let more = if below > 0 { format!("↓ {below} more   ") } else { String::new() };
    frame.render_widget(Line::styled(format!("{more}esc closes"), theme.quiet()).right_aligned(), foot);
}

/// Text in lines of this width, broken at spaces; a word that is longer is broken anywhere.
pub fn wrapped(text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    let options = Options::new(width).word_separator(AsciiSpace).word_splitter(NoHyphenation);
    let line = |line: Cow<str>| Line::from(Span::styled(line.into_owned(), style));
    textwrap::wrap(text, options).into_iter().map(line).collect()
}

/// A label in columns of its own, and next to it a text in as many rows as it needs.
pub fn labelled(label: &str, room: usize, text: Vec<Line<'static>>) -> Vec<Line<'static>> {
    let row = |(index, mut row): (usize, Line<'static>)| {
        row.spans.insert(0, Span::raw(padded(if index == 0 { label } else { "" }, room)));
        row
    };
    text.into_iter().enumerate().map(row).collect()
}

/// A text in exactly `width` columns.
pub fn padded(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let pad = width.saturating_sub(columns(&text));
    format!("{text}{}", " ".repeat(pad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_line_is_always_shown() {
        for chosen in 0..100 {
            let shown = window(100, chosen, 7);
            assert!(shown.contains(&chosen) && shown.len() == 7, "{chosen}: {shown:?}");
        }
        assert_eq!((window(3, 2, 7), window(0, 0, 7)), (0..3, 0..0));
    }

    #[test]
    fn something_is_never_drawn_as_nothing() {
        let drawn = |part| bar(Theme::Plain, Tone::Refused, part, 10).content.to_string();
        assert_eq!(
            (drawn(0.0), drawn(0.000_1), drawn(1.0), drawn(0.55)),
            ("".into(), "▏".into(), "█".repeat(10), "█████▌".into())
        );
    }
}
