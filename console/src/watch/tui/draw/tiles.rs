//! The tiles: who orders, what is done, and what must never happen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Padding};

use super::super::format::{count, fitted, percent, plural, rate, short};
use super::super::theme::Theme;
use super::part::{NO_BREAK, Page, prose, rows_of};
use crate::watch::known::sample::Sample;
use crate::watch::known::series::Column;
use crate::watch::known::words::{self, FLOW, Shown, TILES};

/// Tiles next to each other.
const ACROSS: usize = 3;
/// Rows of a tile that its text does not have: the label's and the number's.
const ABOVE: u16 = 2;

/// Rows that all tiles need, if each has `rows` and there are `apart` between them.
pub fn height(rows: u16, apart: u16) -> u16 {
    2 * rows + apart
}

pub fn draw(frame: &mut Frame, area: Rect, page: Page, (rows, apart): (u16, u16)) {
    let tall = Layout::vertical([Constraint::Length(rows); 2]).spacing(apart).split(area);
    let wide = Layout::horizontal([Constraint::Fill(1); ACROSS]).spacing(1);
    let cells = tall.iter().flat_map(|row| wide.split(*row).to_vec());
    for (cell, tile) in cells.zip(TILES) {
        one(frame, cell, page, tile);
    }
}

fn one(frame: &mut Frame, area: Rect, page: Page, Shown { name, tone, label, meaning }: Shown) {
    let theme = page.theme;
    let value = value_of(name, page.numbers);
    let width = area.width.saturating_sub(2);
    let sub = fitting(said(name, value, page), width, area.height.saturating_sub(ABOVE));
    let is_alarm = name == "oversold" && value > 0;
    let style = if is_alarm { theme.alarm() } else { Style::new() };
    let accent = if is_alarm { style } else { theme.tone(tone) };
    let (label, value_style) = match name {
        "oversold" if is_alarm => (format!("▲ {}", label.to_uppercase()), accent),
        "oversold" => (format!("✓ {label}"), accent),
        _ => (label.to_string(), style),
    };
    let mut lines = vec![
        Line::styled(label, accent.patch(theme.strong())),
        Line::styled(fitted(value, usize::from(width)), theme.strong().patch(value_style)),
        sub.clone(),
    ];
    // An explanation that is cut off explains nothing.
    if ABOVE + rows_of(&sub.to_string(), width) + rows_of(meaning, width) <= area.height {
        lines.push(Line::styled(meaning, if is_alarm { style } else { theme.quiet() }));
    }
    let block = Block::new()
        .borders(Borders::LEFT)
        .border_type(BorderType::Thick)
        .border_style(accent)
        .padding(Padding::left(1));
    frame.render_widget(prose(lines).style(style).block(block), area);
}

fn value_of(name: &str, numbers: &Sample) -> i64 {
    match name {
        "processing" => numbers.processing(),
        "refused" => numbers.refused(),
        name => numbers.get(name),
    }
}

/// What is said of a tile's number: the same in fewer and fewer columns, as a sentence that is cut off says something
/// else.
fn said(name: &str, value: i64, Page { screen, shop, numbers, theme }: Page) -> Vec<Line<'static>> {
    let found_none = numbers.get("refused-outofstock");
    match name {
        "customers" => {
            let carts = numbers.get("holds");
            let open = format!("{} open now", plural(carts, "cart"));
            vec![open.into(), format!("{} carts open now", small(carts)).into()]
        }
        "processing" => processing(theme, numbers),
        "completed" if !screen.is_fresh() => vec![words::RATE_UNKNOWN.into()],
        "completed" => {
            let now = shop.series.rate(Column::Completed, screen.now_ms);
            vec![format!("{} a second now", rate(now)).into(), format!("{} a second now", short(now)).into()]
        }
        "overflow" => {
            [count(found_none), small(found_none)].map(|some| format!("{some} found none left").into()).into()
        }
        "refused" => top_refusal(numbers),
        _ if value > 0 => vec![words::IS_OVERSOLD.into()],
        _ => vec![words::IS_NOT_OVERSOLD.into()],
    }
}

/// The first of the texts that there is room for, or the last.
fn fitting(texts: Vec<Line<'static>>, width: u16, rows: u16) -> Line<'static> {
    let fits = |line: &Line| rows_of(&line.to_string(), width) <= rows;
    let at = texts.iter().position(fits).unwrap_or(texts.len().saturating_sub(1));
    texts.into_iter().nth(at).unwrap_or_default()
}

fn small(value: i64) -> String {
    short(value as f64)
}

/// How many orders are where; or where most of them are, and how many others there are; or the first of these alone.
fn processing(theme: Theme, numbers: &Sample) -> Vec<Line<'static>> {
    let mut steps: Vec<Shown> = FLOW.into_iter().filter(|one| numbers.get(one.name) > 0).collect();
    if steps.is_empty() {
        return vec![if numbers.get("placed") > 0 { words::ALL_DONE } else { words::NONE_YET }.into()];
    }
    let step = |Shown { name, tone, label, .. }: &Shown, written: fn(i64) -> String| {
        // Together on a line, wherever it is broken.
        let text = format!("{} {}", written(numbers.get(name)), label.to_lowercase()).replace(' ', NO_BREAK);
        Span::styled(text, theme.tone(*tone))
    };
    let all = |written: fn(i64) -> String| {
        let steps = steps.iter().map(|one| step(one, written));
        let between = std::iter::once(Span::raw("")).chain(std::iter::repeat(Span::raw(" · ")));
        Line::from_iter(between.zip(steps).flat_map(|(between, step)| [between, step]))
    };
    let [whole, shorter] = [all(count), all(small)];
    steps.sort_by_key(|one| -numbers.get(one.name));
    let others = numbers.processing() - numbers.get(steps[0].name);
    let most = step(&steps[0], small);
    let both = Line::from(vec![most.clone(), Span::raw(format!(", {} other", small(others)))]);
    vec![whole, shorter, both, most.into()]
}

/// The most frequent reason for a refusal: in words, or by the code that the list of refusals explains.
fn top_refusal(numbers: &Sample) -> Vec<Line<'static>> {
    let Some((top, value)) = numbers.refusals().into_iter().next() else { return vec![words::NOBODY_REFUSED.into()] };
    let part = percent(value, numbers.refused());
    vec![format!("{part} {}", top.label().to_lowercase()).into(), format!("{part} {}", top.word()).into()]
}
