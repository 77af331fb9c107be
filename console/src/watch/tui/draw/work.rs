//! Workers and the orders in their hands, with the time left on each lease.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, safe};
use super::super::format::{age, count, duration, plural};
use super::super::screen::Screen;
use super::super::shop::Tab;
use super::part::{Page, above, bar, draw_list, open_panel, padded, window};
use crate::watch::known::detail::{Idle, InWork, Worker};
use crate::watch::known::sample::Sample;
use crate::watch::known::words::{self, Tone, WORKERS_PANEL};

/// Under this part of its lease an order is marked.
const SHORT_PART: f64 = 0.25;
/// Columns of the time that is left.
const LEFT: usize = 8;

pub fn draw(frame: &mut Frame, area: Rect, Page { screen, shop, numbers, theme }: Page) {
    let workers = numbers.get("workers");
    let number = if workers > 0 { count(workers) } else { String::new() };
    let inside = open_panel(frame, area, theme, WORKERS_PANEL, number);
    let waiting = waiting(numbers);
    let [list, foot] = above(inside, u16::from(waiting.is_some()));
    frame.render_widget(Line::styled(waiting.unwrap_or_default(), theme.quiet()), foot);
    let (lines, idle) = (shop.work_lines(), shop.idle_lines());
    let length = lines.len() + idle.len();
    if length == 0 {
        let none = if numbers.get("claimed") == 0 { words::NO_CLAIM_YET } else { words::NO_CLAIM };
        return frame.render_widget(Line::raw(none), list);
    }
    let chosen = shop.chosen_in(Tab::Workers);
    let widths = widths(&lines, idle, list.width);
    let (worker, order) = widths;
    let head = format!("{:worker$}  {:order$}  {:>LEFT$}  lease", "Worker", "Order", "left");
    let first = window(length, chosen.unwrap_or(0), list.height.saturating_sub(1)).start;
    draw_list(frame, list, Some(Line::styled(head, theme.quiet())), length, chosen, |index| {
        if let Some(idle) = index.checked_sub(lines.len()).map(|index| &idle[index]) {
            return idle_row(screen, idle, worker, chosen == Some(index));
        }
        let is_first = index == first || lines[index].0.name != lines[index - 1].0.name;
        row(screen, lines[index], is_first, chosen == Some(index), widths, list.width)
    });
}

fn waiting(numbers: &Sample) -> Option<String> {
    let queued = numbers.get("queued");
    let oldest = match numbers.get("oldest-waiting-ms") {
        0 => String::new(),
        ms => format!(", the next since {}", age(ms)),
    };
    (queued > 0).then(|| format!("{} waiting for a worker{oldest}.", plural(queued, "order")))
}

/// Columns of the worker and of the order.
fn widths(lines: &[(&Worker, &InWork)], idle: &[Idle], all: u16) -> (usize, usize) {
    let widest = |names: &mut dyn Iterator<Item = &String>| names.map(|name| columns(&safe(name))).max().unwrap_or(0);
    let workers = lines.iter().map(|(worker, _)| &worker.name).chain(idle.iter().map(|idle| &idle.name));
    let all = usize::from(all);
    let worker = widest(&mut { workers }).clamp(6, (all / 4).max(6));
    let order = widest(&mut lines.iter().map(|(_, order)| &order.order.name)).clamp(5, (all * 2 / 5).max(5));
    (worker, order)
}

/// A worker that has no order now.
fn idle_row(screen: &Screen, idle: &Idle, width: usize, is_chosen: bool) -> Line<'static> {
    let theme = screen.theme;
    let since = format!("  no order, last seen with one {} ago", duration(screen.now_ms as i64 - idle.since));
    let name = Span::styled(padded(&safe(&idle.name), width), theme.strong().patch(theme.line(is_chosen)));
    Line::from(vec![name, Span::styled(since, theme.quiet())])
}

fn row(
    screen: &Screen,
    (worker, order): (&Worker, &InWork),
    is_first: bool,
    is_chosen: bool,
    (worker_width, order_width): (usize, usize),
    all: u16,
) -> Line<'static> {
    let theme = screen.theme;
    let left_ms = order.deadline - screen.now_ms as i64;
    let lease_ms = order.deadline - order.claimed_at;
    let part = if lease_ms > 0 { left_ms as f64 / lease_ms as f64 } else { 0.0 };
    let tone = if part < SHORT_PART { Tone::Retry } else { Tone::Work };
    let left = match left_ms {
        ms if ms <= 0 => "ended".into(),
        ms => duration(((ms + 50) / 100 * 100).max(100)),
    };
    let name = if is_first { padded(&safe(&worker.name), worker_width) } else { " ".repeat(worker_width) };
    let again = if order.attempt > 1 { format!("  attempt {}", order.attempt) } else { String::new() };
    let used = worker_width + order_width + LEFT + 6 + again.len();
    let room = usize::from(all).saturating_sub(used).min(30) as u16;
    Line::from(vec![
        Span::styled(name, theme.strong()),
        Span::raw("  "),
        Span::styled(padded(&safe(&order.order.name), order_width), theme.line(is_chosen)),
        Span::styled(format!("  {left:>LEFT$}  "), theme.tone(tone)),
        bar(theme, tone, part, room),
        Span::styled(again, theme.tone(Tone::Retry)),
    ])
}
