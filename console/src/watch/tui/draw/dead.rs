//! Retries and dead letters: orders that ran out of attempts, by reason.

use holdfast_engine::terms::metrics::Metric;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, fit, safe};
use super::super::format::count;
use super::super::screen::Screen;
use super::super::shop::{DeadLine, Shop, Tab};
use super::super::theme::Theme;
use super::part::{NO_BREAK, Page, above, bar, draw_list, open_panel, padded, prose, rows_of};
use crate::watch::known::sample::Sample;
use crate::watch::known::words::{DEAD_PANEL, NO_DEAD, TROUBLE, Tone, metric};

/// Columns and rows from which on the small numbers are explained.
const ROOM_TO_EXPLAIN: (u16, u16) = (72, 12);
/// Columns of a count.
const NUMBER: usize = 9;
/// The longest reason in a list, in columns, and the part of the width it may have.
const REASON_MAX: usize = 60;

pub fn draw(frame: &mut Frame, area: Rect, page: Page) {
    let Page { numbers, theme, .. } = page;
    let total = numbers.get("dead-letters");
    let number = if total > 0 { count(total) } else { String::new() };
    let inside = open_panel(frame, area, theme, DEAD_PANEL, number);
    let explains = inside.height >= ROOM_TO_EXPLAIN.1 && inside.width >= ROOM_TO_EXPLAIN.0;
    let numbers = trouble_lines(theme, numbers, explains);
    let rows: u16 = numbers.iter().map(|line| rows_of(&line.to_string(), inside.width)).sum();
    let [trouble, _, list] = Layout::vertical([
        Constraint::Length(rows),
        Constraint::Length(u16::from(inside.height > 5)),
        Constraint::Fill(1),
    ])
    .areas(inside);
    frame.render_widget(prose(numbers), trouble);
    reasons(frame, list, page, total);
}

/// The small numbers: a line each where there is room to explain them, else all in one.
fn trouble_lines(theme: Theme, numbers: &Sample, explains: bool) -> Vec<Line<'static>> {
    if explains {
        let line = |name| {
            let Metric { label, meaning, .. } = metric(name);
            Line::from(vec![
                Span::raw(format!("{label:16}")),
                Span::styled(format!("{:>10}", count(numbers.get(name))), theme.strong()),
                Span::styled(format!("   {meaning}"), theme.quiet()),
            ])
        };
        return TROUBLE.map(line).to_vec();
    }
    let mut spans = Vec::new();
    for name in TROUBLE {
        let label = metric(name).label;
        let label = label.strip_suffix(" attempts").unwrap_or(label).replace(' ', NO_BREAK);
        if !spans.is_empty() {
            spans.push(Span::styled(" · ", theme.quiet()));
        }
        spans.push(Span::raw(format!("{label}{NO_BREAK}")));
        spans.push(Span::styled(count(numbers.get(name)), theme.strong()));
    }
    vec![Line::from(spans)]
}

fn reasons(frame: &mut Frame, area: Rect, Page { screen, shop, theme, .. }: Page, total: i64) {
    let lines = shop.dead_lines();
    if total == 0 {
        return frame.render_widget(Line::styled(NO_DEAD, theme.tone(Tone::Completed)), area);
    }
    let foot = foot(screen, shop, shop.tab == Tab::Dead);
    let [area, foot_area] = above(area, u16::from(foot.is_some()));
    let chosen = shop.chosen_in(Tab::Dead);
    let of_reason = |line: &DeadLine| if let DeadLine::Reason { count, .. } = line { *count } else { 1 };
    let most = lines.iter().map(of_reason).max().unwrap_or(1);
    // What says where the rest is, is a sentence and may be wider.
    let is_named = |line: &&DeadLine| !matches!(line, DeadLine::More(_));
    let widest = lines.iter().filter(is_named).map(|line| columns(&name_of(line))).max().unwrap_or(0);
    let width = widest.min(REASON_MAX).min(usize::from(area.width) * 3 / 5) + 2;
    draw_list(frame, area, None, lines.len(), chosen, |index| {
        row(theme, &lines[index], chosen == Some(index), (width, area.width), most)
    });
    frame.render_widget(Line::styled(foot.unwrap_or_default(), theme.quiet()), foot_area);
}

fn name_of(line: &DeadLine) -> String {
    match line {
        DeadLine::Reason { name, .. } => name.clone(),
        DeadLine::Order(order) => format!("  {}", safe(&order.name)),
        DeadLine::More(more) => format!("  and {} more: ORDER.SCAN … STATE dead", count(*more)),
    }
}

fn row(theme: Theme, line: &DeadLine, is_chosen: bool, (width, all): (usize, u16), most: i64) -> Line<'static> {
    let name = padded(&name_of(line), width);
    let style = theme.line(is_chosen);
    match line {
        DeadLine::Reason { count: value, is_open, .. } => {
            let room = all.saturating_sub((width + NUMBER + 6) as u16);
            Line::from(vec![
                Span::styled(if *is_open { "▾ " } else { "▸ " }, theme.quiet()),
                Span::styled(name, style),
                Span::styled(format!("{:>NUMBER$}  ", count(*value)), theme.strong()),
                bar(theme, Tone::Refused, *value as f64 / most as f64, room),
            ])
        }
        DeadLine::Order(_) => Line::from(vec![Span::raw("  "), Span::styled(name, style)]),
        DeadLine::More(_) => {
            Line::from(vec![Span::raw("  "), Span::styled(fit(&name_of(line), all.into()), style.patch(theme.quiet()))])
        }
    }
}

/// What can be done, and what is not counted.
fn foot(screen: &Screen, shop: &Shop, is_open: bool) -> Option<String> {
    let dead = &shop.detail.as_ref()?.dead;
    if dead.counted < dead.total {
        let (counted, total) = (count(dead.counted), count(dead.total));
        return Some(format!("Counted by reason: the last {counted} of {total} that died."));
    }
    match (is_open, screen.writes) {
        (false, _) => None,
        (true, true) => Some("enter shows the orders   r redrives".into()),
        (true, false) => Some("enter shows the orders   read-only: redrive needs --allow-writes".into()),
    }
}
