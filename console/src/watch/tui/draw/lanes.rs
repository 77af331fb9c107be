//! Lanes: the named parts of the queue.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, safe};
use super::super::format::{NONE, age, count, fitted};
use super::super::theme::Theme;
use super::part::{Page, above, bar, draw_list, open_panel, padded};
use crate::watch::known::lanes::Lane;
use crate::watch::known::words::{LANE_COLUMNS, LANES_PANEL, NO_LANE_WHY, NO_LANES, Tone};

/// Columns of a number, and of the age.
const NUMBER: usize = 9;
const AGE: usize = 15;
/// The widest name in columns, and the fewest columns in which a bar is drawn.
const NAME_MAX: usize = 40;
const BAR_LEAST: usize = 8;

pub fn draw(frame: &mut Frame, area: Rect, Page { screen, shop, theme, .. }: Page, chosen: Option<usize>) {
    let lanes = shop.lanes();
    let number = if lanes.is_empty() { String::new() } else { count(lanes.len() as i64) };
    let inside = open_panel(frame, area, theme, LANES_PANEL, number);
    if lanes.is_empty() {
        return frame.render_widget(Line::styled(NO_LANES, theme.quiet()), inside);
    }
    let made = shop.detail.as_ref().map_or(screen.now_ms, |detail| detail.now);
    let elapsed_ms = if screen.is_fresh() { screen.now_ms.saturating_sub(made) as i64 } else { 0 };
    let most = lanes.iter().map(|lane| lane.queued).max().unwrap_or(0).max(1);
    let room = usize::from(inside.width).saturating_sub(3 * NUMBER + AGE);
    let widest = lanes.iter().map(|lane| columns(&safe(&lane.name))).max().unwrap_or(0);
    let name = widest.clamp(6, NAME_MAX).min(room.max(6));
    let heads: String = LANE_COLUMNS.iter().map(|one| format!("{:>1$}", one.label, width(one.name))).collect();
    let has_default = lanes.iter().any(|lane| lane.name.is_empty());
    let [list, foot] = above(inside, u16::from(has_default));
    frame.render_widget(Line::styled(NO_LANE_WHY, theme.quiet()), foot);
    let head = Line::styled(format!("{}{heads}", padded("Lane", name)), theme.quiet());
    draw_list(frame, list, Some(head), lanes.len(), chosen, |index| {
        let room = room.saturating_sub(name + 2).min(30);
        let lane = Lane { oldest_waiting_ms: aged(lanes[index].oldest_waiting_ms, elapsed_ms), ..lanes[index].clone() };
        row(theme, &lane, chosen == Some(index), (name, room), most)
    });
}

/// How long ago it was placed by now; 0: nothing waits.
fn aged(waited_ms: i64, elapsed_ms: i64) -> i64 {
    if waited_ms > 0 { waited_ms + elapsed_ms } else { 0 }
}

fn width(column: &str) -> usize {
    if column == "oldest-waiting-ms" { AGE } else { NUMBER }
}

fn row(theme: Theme, lane: &Lane, is_chosen: bool, (name, room): (usize, usize), most: i64) -> Line<'static> {
    let label = if lane.name.is_empty() { NONE.to_string() } else { safe(&lane.name) };
    let mut line = vec![Span::styled(padded(&label, name), theme.line(is_chosen))];
    for one in LANE_COLUMNS {
        let (value, width) = (lane.get(one.name), width(one.name));
        let text = match one.name {
            "oldest-waiting-ms" if value == 0 => NONE.to_string(),
            "oldest-waiting-ms" => age(value),
            _ => fitted(value, NUMBER - 1),
        };
        let style = if value > 0 && one.tone != Tone::Muted { theme.tone(one.tone) } else { Style::new() };
        line.push(Span::styled(format!("{text:>width$}"), style));
    }
    if room >= BAR_LEAST {
        line.push(Span::raw("  "));
        line.push(bar(theme, Tone::Queued, lane.queued as f64 / most as f64, room as u16));
    }
    Line::from(line)
}
