//! All stores at a glance: a line each.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use super::super::foreign::{columns, safe};
use super::super::format::{NONE, count, fitted, plural, rate, short};
use super::super::screen::{Screen, number};
use super::super::theme::Theme;
use super::part::{bar, draw_list, framed, padded, prose, wrapped};
use super::window::phase;
use crate::watch::known::model::{Key, StoreLine};
use crate::watch::known::series::{Column, Series};
use crate::watch::known::words::{self, FIRST_STEPS, STORE_NUMBERS, Tone};

/// The time that the small charts show.
const SPARK_MS: u64 = 5 * 60_000;
const SPARKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Columns of a number, of the state, of the window, and what a bar and a small chart get at least.
const NUMBER: usize = 10;
const STATE: usize = 17;
const WINDOW: usize = 20;
const EXTRA: usize = 12;

pub fn draw(frame: &mut Frame, area: Rect, screen: &Screen) {
    if screen.stores.is_empty() {
        return empty(frame, area, screen);
    }
    let theme = screen.theme;
    let title = format!("{} on {}", plural(screen.stores.len() as i64, "store"), screen.server.url);
    let inside = framed(frame, area, theme, &title, String::new());
    let [summary_area, list] = Layout::vertical([Constraint::Length(2), Constraint::Fill(1)]).areas(inside);
    frame.render_widget(Line::styled(summary(screen, usize::from(inside.width)), theme.quiet()), summary_area);
    let listed = screen.listed();
    let columns = Columns::of(&listed, usize::from(inside.width));
    if listed.is_empty() {
        return frame.render_widget(Line::raw(words::NO_SUCH_NAME), list);
    }
    let chosen = screen.chosen_store.min(listed.len() - 1);
    let head = Line::styled(columns.head(), theme.quiet());
    draw_list(frame, list, Some(head), listed.len(), Some(chosen), |index| {
        row(screen, listed[index], index == chosen, &columns)
    });
}

fn summary(screen: &Screen, width: usize) -> String {
    let samples = || screen.stores.iter().filter_map(|line| line.metrics.as_ref());
    let sum = |field: &str| samples().map(|sample| sample.get(field)).sum::<i64>();
    let open: i64 = samples().map(|sample| sample.processing()).sum();
    let filter = if screen.filter.is_empty() { String::new() } else { format!("   / {}", safe(&screen.filter)) };
    let told = |number: &dyn Fn(i64) -> String| {
        let (available, open, completed) = (number(sum("available")), number(open), number(sum("completed")));
        format!("{available} units available · {open} orders processing · {completed} completed{filter}")
    };
    let whole = told(&count);
    if columns(&whole) <= width { whole } else { told(&|value| short(value as f64)) }
}

/// How wide what is; 0: not shown.
struct Columns {
    name: usize,
    window: usize,
    numbers: usize,
    bar: usize,
    spark: usize,
}

impl Columns {
    fn of(lines: &[&StoreLine], width: usize) -> Columns {
        let widest = lines.iter().map(|line| columns(&safe(&line.name))).max().unwrap_or(0);
        let numbers = if width >= 86 { STORE_NUMBERS.len() } else { STORE_NUMBERS.len() - 1 };
        let fixed = STATE + numbers * NUMBER + 1;
        let name = widest.clamp(8, width.saturating_sub(fixed).clamp(8, 40));
        let mut room = width.saturating_sub(fixed + name);
        let window = if room > WINDOW { WINDOW } else { 0 };
        room -= window;
        let extra = room.saturating_sub(4) / 2;
        let (bar, spark) = if extra >= EXTRA { (extra.min(30), extra.min(60)) } else { (0, 0) };
        Columns { name, window, numbers, bar, spark }
    }

    fn head(&self) -> String {
        let numbers: String =
            STORE_NUMBERS[..self.numbers].iter().map(|one| format!("{:>NUMBER$}", one.label)).collect();
        let spark = if self.spark > 0 { format!("  {:1$}  Orders", "", self.bar) } else { String::new() };
        format!("{:2$} {:3$}{numbers}{spark}", "Store", "", self.name, STATE + self.window)
    }
}

fn row(screen: &Screen, line: &StoreLine, is_chosen: bool, columns: &Columns) -> Line<'static> {
    let theme = screen.theme;
    let phase = phase(line.window, screen.now_ms as i64);
    let (state, style) = state(theme, line, &phase);
    let key = Key::of_id(&line.id);
    let series = screen.series.get(&key);
    let name_style = if is_chosen { theme.chosen() } else { theme.strong() };
    let mut spans = vec![
        Span::styled(padded(&safe(&titled(line)), columns.name), name_style),
        Span::raw(" "),
        Span::styled(padded(&state, STATE), style),
    ];
    if columns.window > 0 {
        spans.push(Span::styled(padded(&phase.sentence(), columns.window), theme.quiet()));
    }
    let orders = series.map_or(0.0, |series| series.rate(Column::Placed, screen.now_ms));
    let refused = line.metrics.as_ref().map_or(0, |sample| sample.refused());
    for one in &STORE_NUMBERS[..columns.numbers] {
        let value = match one.name {
            _ if line.metrics.is_none() => NONE.into(),
            "available" => fitted(number(line, one.name), NUMBER - 1),
            "rate" => rate(orders),
            "refused" => short(refused as f64),
            name => short(number(line, name) as f64),
        };
        let is_strong = matches!(one.name, "available" | "rate");
        let style = if is_strong { theme.strong_tone(one.tone) } else { Style::new() };
        spans.push(Span::styled(format!("{value:>NUMBER$}"), style));
    }
    if columns.spark > 0 {
        let units = (number(line, "on-hand") + number(line, "sold")).max(1);
        let filled = bar(theme, Tone::Available, number(line, "available") as f64 / units as f64, columns.bar as u16);
        let pad = " ".repeat(columns.bar.saturating_sub(filled.width()));
        spans.extend([Span::raw("  "), filled, Span::raw(pad), Span::raw("  ")]);
        let line = series.map(|series| spark(series, screen.now_ms, columns.spark)).unwrap_or_default();
        spans.push(Span::styled(line, theme.tone(Tone::Placed)));
    }
    Line::from(spans)
}

/// The store's name, with its node where there are several.
fn titled(line: &StoreLine) -> String {
    line.node.as_ref().map_or_else(|| line.name.clone(), |node| format!("{} on {node}", line.name))
}

/// What to say of a store in a word or two.
fn state(theme: Theme, line: &StoreLine, phase: &super::window::Phase) -> (String, Style) {
    let (oversold, waitlisted) = (number(line, "oversold"), number(line, "waitlisted"));
    let is_sold_out = line.metrics.as_ref().is_some_and(|sample| sample.is_sold_out());
    match () {
        () if line.away => ("Node is away".into(), theme.alarm()),
        () if oversold > 0 => (format!("OVERSOLD {}", short(oversold as f64)), theme.alarm()),
        () if line.window.paused => ("Paused".into(), theme.tone(Tone::Queued)),
        () if waitlisted > 0 => (format!("{} waitlisted", short(waitlisted as f64)), theme.tone(Tone::Overflow)),
        () if is_sold_out && !phase.is_before => ("Sold out".into(), theme.tone(Tone::Completed)),
        () => (phase.label.into(), theme.tone(phase.tone)),
    }
}

/// The highest rates of orders in equal parts of the time, as a row of blocks.
fn spark(series: &Series, now_ms: u64, width: usize) -> String {
    let from = now_ms.saturating_sub(SPARK_MS);
    let drawn = series.frame(&[Column::Placed], from, Some(now_ms), width);
    let mut values = vec![0.0_f64; width];
    for (at, value) in drawn.at.iter().zip(&drawn.columns[0].1) {
        let index = (at.saturating_sub(from) * width as u64 / SPARK_MS) as usize;
        let cell = &mut values[index.min(width - 1)];
        *cell = cell.max(value.unwrap_or(0.0));
    }
    let most = values.iter().copied().fold(0.0, f64::max);
    let block = |value: f64| match most > 0.0 && value > 0.0 {
        true => SPARKS[((value / most * 7.0).round() as usize).min(7)],
        false => " ",
    };
    values.into_iter().map(block).collect()
}

fn empty(frame: &mut Frame, area: Rect, screen: &Screen) {
    let theme = screen.theme;
    let inside = framed(frame, area, theme, "Stores", String::new());
    if !screen.server.connected {
        let text = format!("Connecting to {}…", screen.server.url);
        return frame.render_widget(prose(text), inside);
    }
    let mut lines = vec![Line::styled(words::NO_STORE, theme.strong()), Line::default()];
    lines.extend(wrapped(words::FIRST_STEP, usize::from(inside.width), Style::new()));
    for (text, code) in FIRST_STEPS {
        lines.extend([Line::default(), Line::styled(text, theme.quiet())]);
        lines.push(Line::styled(format!("  {code}"), theme.tone(Tone::Available)));
    }
    frame.render_widget(Text::from(lines), inside);
}
