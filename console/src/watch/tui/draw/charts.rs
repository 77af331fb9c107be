//! Charts of what happens over time.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, BorderType, Chart, Dataset, GraphType, Paragraph};

use super::super::format::{self, clock, duration, short};
use super::super::screen::Screen;
use super::super::series::{Column, Pieces};
use super::super::shop::Shop;
use super::super::theme::Tone;

/// Points to a column of the terminal: what braille can show.
const POINTS_PER_COLUMN: usize = 2;

/// Rows from which on the time is told under the lines.
const ROOM_FOR_TIMES: u16 = 7;

/// A line of a chart.
struct Series {
    column: Column,
    field: &'static str,
    label: &'static str,
    tone: Tone,
}

/// A chart.
pub struct Kind {
    title: &'static str,
    meaning: &'static str,
    scale: fn(f64) -> String,
    read: fn(f64) -> String,
    /// No chart's highest value is lower.
    least: f64,
    series: &'static [Series],
}

const fn series(column: Column, field: &'static str, label: &'static str, tone: Tone) -> Series {
    Series { column, field, label, tone }
}

fn whole(value: f64) -> String {
    format::count(value.round() as i64)
}

fn time(value: f64) -> String {
    if value == 0.0 { "0".into() } else { duration(value.round() as i64) }
}

fn latency(value: f64) -> String {
    if value == 0.0 { format::NONE.into() } else { time(value) }
}

/// All charts, the most telling first.
pub const CHARTS: [Kind; 4] = [
    Kind {
        title: "Orders a second",
        meaning: "How many are ordered, completed and refused, each second.",
        scale: format::rate,
        read: format::rate,
        least: 1.0,
        series: &[
            series(Column::Placed, "placed", "Ordered", Tone::Placed),
            series(Column::Completed, "completed", "Completed", Tone::Completed),
            series(Column::Refused, "refused", "Refused", Tone::Refused),
        ],
    },
    Kind {
        title: "Orders on their way",
        meaning: "Waiting for a worker, in a worker's hands, or waiting for another try.",
        scale: short,
        read: whole,
        least: 2.0,
        series: &[
            series(Column::Queued, "queued", "In queue", Tone::Queued),
            series(Column::InWork, "in-work", "In work", Tone::Work),
            series(Column::Retrying, "retrying", "To retry", Tone::Retry),
        ],
    },
    Kind {
        title: "Units",
        meaning: "What is left to sell, and what has been sold. Carts: how many are open.",
        scale: short,
        read: whole,
        least: 2.0,
        series: &[
            series(Column::Available, "available", "Available", Tone::Available),
            series(Column::Sold, "sold", "Sold", Tone::Completed),
            series(Column::Holds, "holds", "Carts open", Tone::Placed),
        ],
    },
    Kind {
        title: "From ordered to completed",
        meaning: "How long orders took: half of them no longer (p50), 99 of 100 no longer (p99).",
        scale: time,
        read: latency,
        least: 10.0,
        series: &[
            series(Column::P50, "p50-ms", "p50", Tone::Work),
            series(Column::P99, "p99-ms", "p99", Tone::Overflow),
        ],
    },
];

/// Draws a chart of the store.
pub fn draw(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop, kind: &Kind) {
    let theme = screen.theme;
    let block = block(area, screen, shop, kind);
    let inside = block.inner(area);
    let (span, _) = shop.shown_time(screen.now_ms, screen.is_fresh());
    if shop.series.ends().is_none() || inside.height < 3 {
        frame.render_widget(block, area);
        let empty = Paragraph::new("Nothing measured yet").alignment(Alignment::Center).style(theme.quiet());
        let middle = Rect { y: inside.y + inside.height / 2, height: inside.height.min(1), ..inside };
        return frame.render_widget(empty, middle);
    }
    let until = screen.is_fresh().then(|| screen.now_ms.min(span.to));
    let points = usize::from(inside.width) * POINTS_PER_COLUMN;
    let lines: Vec<(&Series, Pieces)> =
        kind.series.iter().rev().map(|one| (one, shop.series.line(one.column, span, until, points))).collect();
    let values = lines.iter().flat_map(|(_, pieces)| pieces.iter().flatten()).map(|(_, value)| *value);
    let top = ceiling(values.fold(kind.least, f64::max));
    let dataset = |one: &Series, piece| {
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(theme.tone(one.tone)).data(piece)
    };
    let datasets = lines.iter().flat_map(|(one, pieces)| pieces.iter().map(|piece| dataset(one, piece))).collect();
    let seconds = (span.to - span.from) as f64 / 1e3;
    let times = [span.from, span.from + (span.to - span.from) / 2, span.to]
        .map(|at| Line::styled(clock(at as i64), theme.quiet()));
    let y = Axis::default()
        .bounds([0.0, top])
        .labels([0.0, top / 2.0, top].map(|value| Line::styled((kind.scale)(value), theme.quiet())))
        .style(theme.frame());
    // Where there are few rows, all of them are for the lines.
    let times = if inside.height < ROOM_FOR_TIMES { Vec::new() } else { times.to_vec() };
    let x = Axis::default().bounds([0.0, seconds]).labels(times).style(theme.frame());
    let chart = Chart::new(datasets).block(block).legend_position(None).x_axis(x).y_axis(y);
    frame.render_widget(chart, area);
}

/// The frame: what the chart shows, over which time, and what its lines are at.
fn block<'a>(area: Rect, screen: &Screen, shop: &Shop, kind: &'a Kind) -> Block<'a> {
    let theme = screen.theme;
    let room = usize::from(area.width.saturating_sub(4));
    let (time, name) = shop.shown_time(screen.now_ms, screen.is_fresh());
    let span = match name {
        "" => String::new(),
        name => format!(" {name} · {} ", duration((time.to - time.from) as i64)),
    };
    // What does not fit beside the title gives way: the time that is shown first, it stands under the lines too.
    let free = room.saturating_sub(kind.title.len() + 3);
    let mut right = latencies(screen, shop, kind);
    let span = Span::styled(span, theme.quiet());
    if right.width() > 0 && right.width() + span.width() > free {
        right.spans.pop();
        right.push_span(Span::raw(" "));
    } else {
        right.push_span(span);
    }
    if right.width() > free {
        right = Line::default();
    }
    let mut title = vec![Span::styled(format!(" {} ", kind.title), theme.title())];
    if kind.title.len() + kind.meaning.len() + right.width() + 6 <= room {
        title.push(Span::styled(format!("· {} ", kind.meaning), theme.quiet()));
    }
    let mut legend = legend(screen, shop, kind, true);
    if legend.width() > room {
        legend = self::legend(screen, shop, kind, false);
    }
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.frame())
        .title(Line::from(title))
        .title(right.right_aligned())
        .title_bottom(legend)
}

/// How long orders took that were just completed, beside how many they were: what nobody should have to look for.
fn latencies(screen: &Screen, shop: &Shop, kind: &Kind) -> Line<'static> {
    let (Some(numbers), true) = (&shop.numbers, kind.series[0].column == Column::Placed) else {
        return Line::default();
    };
    let theme = screen.theme;
    let [half, most] = ["p50-ms", "p99-ms"].map(|name| latency(numbers.get(name) as f64));
    Line::from(vec![
        Span::styled(" p50 ", theme.quiet()),
        Span::styled(half, theme.title()),
        Span::styled(" p99 ", theme.quiet()),
        Span::styled(most, theme.title()),
        Span::raw(" ─"),
    ])
}

fn legend(screen: &Screen, shop: &Shop, kind: &Kind, with_values: bool) -> Line<'static> {
    let theme = screen.theme;
    let mut spans = vec![Span::raw(" ")];
    for one in kind.series {
        spans.push(Span::styled("● ", theme.tone(one.tone)));
        spans.push(Span::styled(format!("{} ", one.label), theme.quiet()));
        if with_values {
            let value = (kind.read)(value(screen, shop, one));
            spans.push(Span::styled(format!("{value} "), theme.title()));
        }
    }
    Line::from(spans)
}

/// What a line is at now.
fn value(screen: &Screen, shop: &Shop, one: &Series) -> f64 {
    match one.column {
        Column::Placed | Column::Completed | Column::Refused => shop.series.rate(one.column, screen.now_ms),
        _ => shop.numbers.as_ref().map_or(0.0, |numbers| numbers.get(one.field) as f64),
    }
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
