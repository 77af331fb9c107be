//! The dashboard: what is left, who orders, what is done; and as much of the rest as there is room for.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

use super::super::foreign::safe;
use super::charts;
use super::part::{Page, above, framed, inset};
use super::{dead, flow, refusals, skus, stock, tiles, work};
use crate::watch::known::words::{self, CHARTS, Hint, Tone};

/// From this width on the stock stands next to the tiles.
const WIDE: u16 = 140;
/// From this width on two charts, or lists, stand next to each other.
const HALVES: u16 = 100;
/// From this height on everything is explained.
const EXPLAINED: u16 = 34;
/// Rows of a tile: with its explanation; with a second row for its text; with neither.
const TILE_EXPLAINED: u16 = 5;
const TILE: u16 = 4;
const TILE_SMALL: u16 = 3;
/// Under this height tiles are small.
const LOW: u16 = 20;
/// Rows that charts or lists need at least, to be there.
const PANEL_LEAST: u16 = 8;

pub fn draw(frame: &mut Frame, area: Rect, page: Page) {
    let flow_height = flow::height(page.numbers);
    // Where there are few rows, the flow stands where there is nothing between the tiles.
    let apart = if area.height < LOW { 1 - flow_height } else { 1 };
    let tile = match area.height {
        height if height >= EXPLAINED => TILE_EXPLAINED,
        height if height >= LOW => TILE,
        _ => TILE_SMALL,
    };
    let tiles_height = tiles::height(tile, apart);
    if area.width >= WIDE && area.height >= EXPLAINED {
        let rows = [Constraint::Length(tiles_height), Constraint::Length(flow_height), Constraint::Fill(1)];
        let [top, way, rest] = Layout::vertical(rows).spacing(1).areas(area);
        flow::draw(frame, inset(way), page);
        let [left, right] = Layout::horizontal([Constraint::Percentage(40), Constraint::Fill(1)]).spacing(2).areas(top);
        stock::draw(frame, left, page);
        tiles::draw(frame, right, page, (tile, apart));
        return below(frame, rest, page);
    }
    let has_room = area.height >= EXPLAINED && area.width >= HALVES;
    let card = if has_room { stock::LARGE } else { stock::SMALL };
    let rows = [card, tiles_height, flow_height].map(Constraint::Length);
    let [top, middle, way, rest] = Layout::vertical(rows.into_iter().chain([Constraint::Fill(1)])).areas(area);
    stock::draw(frame, top, page);
    tiles::draw(frame, inset(middle), page, (tile, apart));
    flow::draw(frame, inset(way), page);
    below(frame, rest, page);
}

/// Charts, and lists under them.
fn below(frame: &mut Frame, area: Rect, page: Page) {
    if let Some(hint) = hint(page) {
        return show_hint(frame, area, page, hint);
    }
    let across = if area.width >= HALVES { 2 } else { 1 };
    let (rows, lists) = match area.height {
        height if height < 2 * PANEL_LEAST => (1, 0),
        height if height < 4 * PANEL_LEAST => (1, height * 9 / 20),
        height => (2, height * 9 / 20),
    };
    let [charts_area, lists_area] = above(area, lists);
    draw_charts(frame, charts_area, page, (rows, across));
    if lists > 0 {
        draw_lists(frame, lists_area, page);
    }
}

/// Draws the first charts, in rows and columns.
pub fn draw_charts(frame: &mut Frame, area: Rect, page: Page, (rows, across): (usize, usize)) {
    let areas = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
    let cells = areas.iter().flat_map(|row| Layout::horizontal(vec![Constraint::Fill(1); across]).split(*row).to_vec());
    for (cell, kind) in cells.zip(&CHARTS) {
        charts::draw(frame, cell, page, kind);
    }
}

fn draw_lists(frame: &mut Frame, area: Rect, page: Page) {
    let halves = |area| -> [Rect; 2] { Layout::horizontal([Constraint::Fill(1); 2]).areas(area) };
    let has_four = area.width >= WIDE && area.height >= 2 * PANEL_LEAST;
    let [upper, lower] = match has_four {
        true => Layout::vertical([Constraint::Fill(1); 2]).areas(area),
        false => [area, Rect::ZERO],
    };
    let [left, right] = halves(upper);
    refusals::draw(frame, left, page);
    dead::draw(frame, right, page);
    if has_four {
        let [left, right] = halves(lower);
        work::draw(frame, left, page);
        skus::draw(frame, right, page);
    }
}

/// What to do where there is nothing to see.
fn hint(Page { shop, numbers, .. }: Page) -> Option<Hint> {
    if shop.is_silent() {
        return Some(words::HINT_OFF);
    }
    let is_unsold = numbers.get("placed") + numbers.get("sold") + numbers.get("holds") == 0;
    is_unsold.then_some(if numbers.get("skus") == 0 { words::HINT_BARE } else { words::HINT_UNSOLD })
}

fn show_hint(frame: &mut Frame, area: Rect, Page { shop, theme, .. }: Page, [title, what, code]: Hint) {
    let sku = shop.detail.as_ref().and_then(|detail| detail.skus.shown.first());
    let code = code.replace("{store}", &shop.name).replace("{sku}", sku.map_or("mug", |sku| &sku.name));
    let inside = framed(frame, area, theme, title, String::new());
    let lines = vec![Line::raw(what), Line::styled(format!("  {}", safe(&code)), theme.tone(Tone::Available))];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), inside);
}
