//! What is always in sight: where we are, how fresh the numbers are, what must not be missed, and the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::foreign::{columns, fit, safe};
use super::super::format::{age, count, moment};
use super::super::screen::{Dialog, Freshness, Screen};
use super::super::shop::{Shop, TABS, Tab};
use super::part::{spread, wrapped};
use super::window::{explain, phase};
use crate::watch::known::words::{OVERSOLD_WHY, Tone};

/// From this width on the line says in a sentence how fresh it is.
const WIDE: u16 = 110;
/// From this height on an alarm is explained.
const TALL: u16 = 30;
/// The longest name of a store at the top, in columns.
const NAME_MAX: usize = 24;
const NAME_MAX_WIDE: usize = 60;
/// The most columns of the bar that shows how much of the window is over.
const WINDOW_BAR: usize = 40;

pub fn head(frame: &mut Frame, area: Rect, screen: &Screen) {
    let theme = screen.theme;
    let mut left = vec![Span::styled("Holdfast", theme.strong_tone(Tone::Completed))];
    match &screen.shop {
        None => left.push(Span::styled(" / Stores", theme.strong())),
        Some(shop) => {
            let name = fit(&shop.name, if area.width >= WIDE { NAME_MAX_WIDE } else { NAME_MAX });
            left.extend([Span::styled(" / ", theme.quiet()), Span::styled(name, theme.strong()), Span::raw("  ")]);
            left.extend(state(screen, shop));
        }
    }
    spread(frame, area, Line::from(left), freshness(screen, area.width >= WIDE));
}

/// The store's window, and what else there is to say of it in a word.
fn state(screen: &Screen, shop: &Shop) -> Vec<Span<'static>> {
    let theme = screen.theme;
    let Some(numbers) = shop.numbers.as_ref().filter(|_| !shop.is_gone) else { return Vec::new() };
    let phase = phase(shop.window, screen.now_ms as i64);
    let value_style = if phase.is_soon { theme.strong_tone(Tone::Queued) } else { theme.strong() };
    let mut spans = vec![Span::styled(format!("● {}  ", phase.label), theme.tone(phase.tone))];
    if !phase.lead.is_empty() {
        spans.extend([Span::raw(format!("{} ", phase.lead)), Span::styled(phase.value, value_style)]);
    }
    if numbers.is_sold_out() {
        spans.push(Span::styled("  ✓ Sold out", theme.tone(Tone::Completed)));
    }
    if shop.window.paused {
        spans.push(Span::styled("  ‖ Paused", theme.tone(Tone::Queued)));
    }
    spans
}

fn freshness(screen: &Screen, is_wide: bool) -> Line<'static> {
    let theme = screen.theme;
    let old = screen.age_ms().map(age);
    let (tone, text) = match (screen.freshness(), old) {
        (Freshness::Connecting, _) => (Tone::Muted, "connecting…".to_string()),
        (Freshness::Live, Some(old)) => (Tone::Completed, format!("live · {old} ago")),
        (Freshness::Quiet, Some(old)) if is_wide => (Tone::Available, format!("quiet · nothing changed for {old}")),
        (Freshness::Quiet, Some(old)) => (Tone::Available, format!("quiet · {old}")),
        (Freshness::Live | Freshness::Quiet, None) => (Tone::Available, "live · nothing yet".to_string()),
        (Freshness::Lost, _) => return Line::styled(" connection lost, retrying ", theme.alarm()),
    };
    Line::from(vec![Span::styled("● ", theme.tone(tone)), Span::raw(text)])
}

/// Draws the window's times, and how much of it is over.
pub fn times(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop) {
    let theme = screen.theme;
    let now_ms = screen.now_ms as i64;
    if shop.numbers.is_none() || shop.is_gone {
        return;
    }
    let text = Line::styled(explain(shop.window, now_ms), theme.quiet());
    let room = usize::from(area.width).saturating_sub(text.width() + 3).min(WINDOW_BAR);
    let bar = |part: f64| {
        let over = (part.clamp(0.0, 1.0) * room as f64).round() as usize;
        let (over, left) = ("━".repeat(over), "─".repeat(room - over));
        Line::from_iter([Span::styled(over, theme.tone(Tone::Completed)), Span::styled(left, theme.frame())])
    };
    spread(frame, area, text, phase(shop.window, now_ms).part.map(bar).unwrap_or_default());
}

/// From this width on there is room between the tabs.
const TABS_APART: u16 = 87;

/// Draws the tabs; one where something waits for the reader is coloured.
pub fn tabs(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop) {
    let theme = screen.theme;
    let number = |name| shop.numbers.as_ref().map_or(0, |numbers| numbers.get(name));
    let (dead, waitlisted) = (number("dead-letters"), number("waitlisted"));
    let gap = if area.width < TABS_APART { " " } else { "  " };
    let mut spans = Vec::new();
    for (index, (tab, name)) in TABS.iter().enumerate() {
        let label = format!("{} {name}", index + 1);
        let style = match tab {
            tab if *tab == shop.tab => theme.chosen(),
            Tab::Dead if dead > 0 => theme.tone(Tone::Refused),
            Tab::Queue if waitlisted > 0 => theme.tone(Tone::Overflow),
            _ => theme.quiet(),
        };
        spans.extend([Span::styled(label, style), Span::raw(gap)]);
    }
    frame.render_widget(Line::from(spans), area);
}

/// What nobody may miss, in lines of this width.
pub fn banners(screen: &Screen, (width, height): (u16, u16)) -> Vec<Line<'static>> {
    let error = screen.server.error.as_deref().map(safe);
    let mut banners = Vec::new();
    match screen.freshness() {
        Freshness::Lost => banners.push(away(screen, error)),
        Freshness::Live | Freshness::Quiet => banners.extend(error),
        Freshness::Connecting => {}
    }
    let numbers = screen.shop.as_ref().and_then(|shop| shop.numbers.as_ref());
    let oversold = numbers.map_or(0, |numbers| numbers.get("oversold"));
    if oversold > 0 {
        let by = count(oversold);
        let what = format!("Oversold by {by}: more units are promised to carts and orders than are on hand.");
        banners.push(if height < TALL { what } else { format!("{what} {OVERSOLD_WHY}") });
    }
    let style = screen.theme.alarm();
    let lines = |banner: String| wrapped(&banner, usize::from(width).saturating_sub(2), style);
    let mut lines: Vec<Line> = banners.into_iter().flat_map(lines).collect();
    lines.iter_mut().for_each(|line| {
        // To the edge of the terminal.
        let pad = usize::from(width).saturating_sub(line.width() + 1);
        line.spans.insert(0, Span::styled(" ", style));
        line.push_span(Span::styled(" ".repeat(pad), style));
    });
    lines
}

fn away(screen: &Screen, error: Option<String>) -> String {
    let now = screen.local_now_ms as i64;
    let since = screen.server.since as i64;
    let of = screen.newest_at().map(|at| format!(" What you see is from {}.", moment(at, screen.now_ms as i64)));
    let of = of.unwrap_or_default();
    let error = error.map(|error| format!(" {error}")).unwrap_or_default();
    format!("{} is away since {} ({}).{of}{error}", screen.product(), moment(since, now), age(now - since))
}

/// What was just done, or cannot be: in the place of the keys, for some seconds.
pub fn note(screen: &Screen, width: usize) -> Vec<Line<'static>> {
    screen.note().map(|note| wrapped(note, width, screen.theme.strong())).unwrap_or_default()
}

/// Draws the last line: the keys, and the server.
pub fn foot(frame: &mut Frame, area: Rect, screen: &Screen) {
    let theme = screen.theme;
    let keys = match (&screen.shop, screen.dialogs.last()) {
        (_, Some(Dialog::Prompt(..))) => "enter find   esc cancel",
        (_, Some(Dialog::Confirm(_))) => "y redrive   n cancel",
        (_, Some(Dialog::States(_) | Dialog::Records(_))) => "↑↓ choose   enter open   esc close   q quit",
        (_, Some(_)) => "↑↓ scroll   esc close   q quit",
        (None, None) => "↑↓ choose   enter open   / filter   ? help   q quit",
        (Some(_), None) => "1-9 ←→ turn  / find  o orders  t time  r redrive  esc stores  ? help  q quit",
    };
    let server = &screen.server;
    let writes = if screen.writes { "writes allowed" } else { "read-only" };
    let version = match (&server.version, &server.role) {
        (Some(version), Some(role)) => format!(" · {} {version}, {role}", screen.product()),
        _ => String::new(),
    };
    let page = screen.page.as_ref().map(|page| format!("{page} · ")).unwrap_or_default();
    let about = safe(&format!("{page}{}{version} · {writes}", server.url));
    let room = usize::from(area.width).saturating_sub(columns(keys) + 3);
    let about = [&about, writes, ""].into_iter().find(|about| columns(about) <= room).unwrap_or_default();
    spread(frame, area, Line::styled(keys, theme.quiet()), Line::styled(about, theme.quiet()));
}
