//! What waits: the lanes of the queue, and the orders that are not queued yet.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::super::shop::Tab;
use super::part::Page;
use super::{lanes, waits};

/// From this width on the two stand next to each other.
const WIDE: u16 = 160;
/// Rows of the panel of lanes above and below its lines: its frame, what it shows, its head, and what a dash is.
const AROUND_LANES: u16 = 6;

pub fn draw(frame: &mut Frame, area: Rect, page: Page) {
    let lines = page.shop.lanes().len();
    let chosen = page.shop.chosen_in(Tab::Queue);
    let [upper, lower] = match lines {
        0 => [Rect::ZERO, area],
        _ if area.width >= WIDE => Layout::horizontal([Constraint::Fill(1); 2]).areas(area),
        lines => {
            let rows = (lines as u16 + AROUND_LANES).min(area.height / 2);
            Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(area)
        }
    };
    if lines > 0 {
        lanes::draw(frame, upper, page, chosen.filter(|line| *line < lines));
    }
    waits::draw(frame, lower, page, chosen.and_then(|line| line.checked_sub(lines)));
}
