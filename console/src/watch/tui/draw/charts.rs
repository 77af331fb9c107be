//! Charts of what happens over time.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, BorderType, Chart, Dataset, GraphType};

use super::super::format::{self, clock, duration, short};
use super::part::Page;
use crate::watch::known::series::Column;
use crate::watch::known::words;

/// Points to a column of the terminal: what braille can show.
const POINTS_PER_COLUMN: usize = 2;

/// From this height on the time is shown under the lines.
const ROOM_FOR_TIMES: u16 = 7;

/// How the values of a chart are written at its axis and in its legend, and the lowest that its highest value can be.
struct Scale {
    axis: fn(f64) -> String,
    legend: fn(f64) -> String,
    least: f64,
}

fn scale_of(chart: &words::Chart) -> Scale {
    let whole = |value: f64| format::count(value.round() as i64);
    match chart.scale {
        words::Scale::Rate => Scale { axis: format::rate, legend: format::rate, least: 1.0 },
        words::Scale::Count => Scale { axis: short, legend: whole, least: 2.0 },
        words::Scale::Duration => Scale { axis: time, legend: latency, least: 10.0 },
    }
}

fn time(value: f64) -> String {
    if value == 0.0 { "0".into() } else { duration(value.round() as i64) }
}

fn latency(value: f64) -> String {
    if value == 0.0 { format::NONE.into() } else { time(value) }
}

/// A line to draw, in pieces: (seconds since the left edge, value). Between two pieces there is nothing.
type Pieces = Vec<Vec<(f64, f64)>>;

pub fn draw(frame: &mut Frame, area: Rect, page: Page, chart: &words::Chart) {
    let Page { screen, shop, theme, .. } = page;
    let scale = scale_of(chart);
    let block = block(area, page, chart);
    let inside = block.inner(area);
    let (span, _) = shop.shown_time(screen.now_ms, screen.is_fresh());
    if shop.series.ends().is_none() || inside.height < 3 {
        frame.render_widget(block, area);
        let empty = Line::styled(words::NOTHING_MEASURED, theme.quiet()).centered();
        let middle = Rect { y: inside.y + inside.height / 2, height: inside.height.min(1), ..inside };
        return frame.render_widget(empty, middle);
    }
    let until = screen.is_fresh().then(|| screen.now_ms.min(span.end));
    let points = usize::from(inside.width) * POINTS_PER_COLUMN;
    let columns: Vec<Column> = chart.lines.iter().map(|line| line.column).collect();
    let drawn = shop.series.frame(&columns, span.start, until, points);
    let lines: Vec<Pieces> = drawn.columns.iter().map(|(_, values)| pieces(&drawn.at, values, &span)).collect();
    let highest = lines.iter().flatten().flatten().map(|(_, value)| *value).fold(scale.least, f64::max);
    let top = ceiling(highest);
    // What comes first is drawn last, and lies on top.
    let mut datasets = Vec::new();
    // What many stores have none of is drawn only where there is some.
    let is_drawn = |line: &words::ChartLine, pieces: &Pieces| {
        !line.is_seldom || pieces.iter().flatten().any(|(_, value)| *value > 0.0)
    };
    for (line, pieces) in chart.lines.iter().zip(&lines).rev().filter(|(line, pieces)| is_drawn(line, pieces)) {
        let dataset =
            Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(theme.tone(line.tone));
        datasets.extend(pieces.iter().map(|piece| dataset.clone().data(piece)));
    }
    let seconds = (span.end - span.start) as f64 / 1e3;
    // Where there are few rows, all of them are for the lines.
    let has_times = inside.height >= ROOM_FOR_TIMES;
    let times = [span.start, span.start + (span.end - span.start) / 2, span.end].into_iter().filter(|_| has_times);
    let times = times.map(|at| Line::styled(clock(at as i64), theme.quiet()));
    let y = Axis::default()
        .bounds([0.0, top])
        .labels([0.0, top / 2.0, top].map(|value| Line::styled((scale.axis)(value), theme.quiet())))
        .style(theme.frame());
    let x = Axis::default().bounds([0.0, seconds]).labels(times).style(theme.frame());
    let chart = Chart::new(datasets).block(block).legend_position(None).x_axis(x).y_axis(y);
    frame.render_widget(chart, area);
}

fn pieces(at: &[u64], values: &[Option<f64>], span: &Range<u64>) -> Pieces {
    let seconds = |at: u64| (at.clamp(span.start, span.end) - span.start) as f64 / 1e3;
    let points: Vec<_> = at.iter().zip(values).map(|(at, value)| value.map(|value| (seconds(*at), value))).collect();
    let pieces = points.split(Option::is_none).filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.iter().copied().flatten().collect()).collect()
}

/// The frame: what the chart shows, over which time, and what its lines are at.
fn block<'a>(area: Rect, page: Page, chart: &'a words::Chart) -> Block<'a> {
    let Page { screen, shop, theme, .. } = page;
    let room = usize::from(area.width.saturating_sub(4));
    let (time, name) = shop.shown_time(screen.now_ms, screen.is_fresh());
    let span = format!(" {name} · {} ", duration((time.end - time.start) as i64));
    let span = Span::styled(if name.is_empty() { String::new() } else { span }, theme.quiet());
    // What does not fit next to the title is left out: first the time, which stands under the lines too.
    let free = room.saturating_sub(chart.title.len() + 3);
    let mut right = latencies(page, chart);
    if right.width() > 0 && right.width() + span.width() > free {
        right.spans.pop();
        right.push_span(Span::raw(" "));
    } else {
        right.push_span(span);
    }
    if right.width() > free {
        right = Line::default();
    }
    let mut title = vec![Span::styled(format!(" {} ", chart.title), theme.title())];
    if chart.title.len() + chart.meaning.len() + right.width() + 6 <= room {
        title.push(Span::styled(format!("· {} ", chart.meaning), theme.quiet()));
    }
    let ways = [(true, true), (false, true), (false, false)];
    let names = ways.map(|(values, seldom)| legend(page, chart, values, seldom));
    let [.., least] = &names;
    let names = names.iter().find(|names| names.width() <= room).unwrap_or(least).clone();
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.frame())
        .title(Line::from(title))
        .title(right.right_aligned())
        .title_bottom(names)
}

/// How long the orders took that were just completed, shown with how many they were.
fn latencies(Page { numbers, theme, .. }: Page, chart: &words::Chart) -> Line<'static> {
    if chart.lines[0].column != Column::Placed {
        return Line::default();
    }
    let mut spans = Vec::new();
    for (label, name) in [(" p50 ", "p50-ms"), (" p99 ", "p99-ms")] {
        let value = latency(numbers.get(name) as f64);
        spans.extend([Span::styled(label, theme.quiet()), Span::styled(value, theme.title())]);
    }
    spans.push(Span::raw(" ─"));
    Line::from(spans)
}

/// The names of the lines, and what they are at; of those that many stores have none of, where there is room for them.
fn legend(page: Page, chart: &words::Chart, with_values: bool, with_seldom: bool) -> Line<'static> {
    let Page { screen, shop, numbers, theme } = page;
    let mut spans = vec![Span::raw(" ")];
    let is_shown = |one: &&words::ChartLine| !one.is_seldom || with_seldom && numbers.get(one.column.name()) > 0;
    for one in chart.lines.iter().filter(is_shown) {
        spans.push(Span::styled("● ", theme.tone(one.tone)));
        spans.push(Span::styled(format!("{} ", one.label), theme.quiet()));
        if with_values {
            let value = match one.column.is_rate() {
                true => shop.series.rate(one.column, screen.now_ms),
                false => numbers.get(one.column.name()) as f64,
            };
            spans.push(Span::styled(format!("{} ", (scale_of(chart).legend)(value)), theme.title()));
        }
    }
    Line::from(spans)
}

/// The next number that is good to read, as is its half.
fn ceiling(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.999_999).unwrap_or(10.0);
    step * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_numbers_that_are_good_to_read() {
        let tops = [1.0, 1.01, 3.0, 47.0, 80.0, 81.0, 1_500.0].map(ceiling);
        assert_eq!(tops, [1.0, 2.0, 4.0, 60.0, 80.0, 100.0, 2_000.0]);
    }
}
