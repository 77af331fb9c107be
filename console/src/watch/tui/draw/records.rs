//! What was found of an id, and orders by state.

use holdfast_engine::terms::states::OrderState;
use ratatui::Frame;
use ratatui::style::Style;
use ratatui::text::Line;

use super::super::foreign::safe;
use super::super::format::{NONE, count, moment, plural};
use super::super::look_up::{Found, Records, STATES, Wanted};
use super::super::screen::Screen;
use super::super::shop::Shop;
use super::super::theme::Theme;
use super::part::{labelled, popup, scrolled, wrapped};
use crate::watch::known::browse::{Hold, HoldLine, OrderLine};
use crate::watch::known::detail::SkuLine;
use crate::watch::known::id::Named;
use crate::watch::known::words::{self, tone_of};

/// The most columns and rows it takes.
const SIZE: (u16, u16) = (100, 60);
/// Columns of the name of a fact, of a state and of how many orders are in it.
const FACT: usize = 20;
const STATE: usize = 14;
const NUMBER: usize = 14;
const NOTHING: &str = "No order, SKU, cart or customer of this store has this id.";
const IS_PART: &str = "There are more: the page of holdfast watch lists all.";
/// Nothing was found in a part of a large store.
const NOT_FOUND_YET: &str = "Nothing was found in the part of the store that was looked through.";
const NOT_FOUND_YET_WHY: &str = "The store is too large to be looked through here: the page of holdfast watch goes on.";

/// What the lines are made with.
#[derive(Clone, Copy)]
pub struct Look {
    pub theme: Theme,
    pub now_ms: i64,
    /// Units that a customer may have; 0: any.
    pub limit: i64,
}

impl Look {
    pub fn of(screen: &Screen) -> Look {
        let settings = screen.shop.as_ref().and_then(|shop| shop.detail.as_ref()).map(|detail| &detail.settings);
        let limit = settings.and_then(|settings| settings.get("limit")?.as_i64()).unwrap_or(0);
        Look { theme: screen.theme, now_ms: screen.now_ms as i64, limit }
    }
}

/// Draws how many orders are in each state; one is chosen.
pub fn states(frame: &mut Frame, theme: Theme, shop: Option<&Shop>, chosen: usize) {
    let width = usize::from(SIZE.0.min(frame.area().width - 2)).saturating_sub(4);
    let info = shop.and_then(|shop| shop.detail.as_ref()).map(|detail| &detail.info);
    let mut lines = Vec::new();
    for (index, (state, number)) in STATES.iter().enumerate() {
        let orders = info.and_then(|info| info.get(number).copied().flatten()).map_or(NONE.into(), count);
        let meaning = wrapped(state.meaning(), width.saturating_sub(STATE + NUMBER + 2), theme.quiet());
        let mut rows = labelled(&format!("{:STATE$}{orders:>NUMBER$}", state.label()), STATE + NUMBER + 2, meaning);
        rows[0].spans[0].style = theme.line(index == chosen).patch(theme.tone(tone_of(*state)));
        lines.extend(rows);
    }
    let inside = popup(frame, theme, "Orders by state", (SIZE.0, lines.len() as u16 + 3));
    scrolled(frame, inside, theme, lines, &mut 0);
}

/// Draws what was looked for.
pub fn draw(frame: &mut Frame, look: Look, records: &mut Records) {
    let width = usize::from(SIZE.0.min(frame.area().width - 2)).saturating_sub(4);
    let theme = look.theme;
    // The lines, and where each record of the list begins.
    let (lines, starts) = match &records.found {
        None => (vec![Line::styled("Looking it up…", theme.quiet())], Vec::new()),
        Some(Err(error)) => (said(theme, words::UNREADABLE_RECORD, &safe(error.text()), width), Vec::new()),
        Some(Ok(found)) if found.is_nothing() && found.is_part => {
            (said(theme, NOT_FOUND_YET, NOT_FOUND_YET_WHY, width), Vec::new())
        }
        Some(Ok(found)) if found.is_nothing() => match &records.wanted {
            Wanted::Id(_) => (said(theme, NOTHING, words::UNKNOWN_RECORD_WHY, width), Vec::new()),
            Wanted::State(_) => (vec![Line::raw(words::BROWSE_NONE)], Vec::new()),
        },
        Some(Ok(found)) => {
            let mut lines = facts_of(look, &records.wanted, found, width);
            let starts = list(look, found, records.at, width, &mut lines);
            (lines, starts)
        }
    };
    let height = (lines.len() as u16 + 3).min(SIZE.1);
    let inside = popup(frame, theme, &records.wanted.name(), (SIZE.0, height));
    let rows = usize::from(inside.height.saturating_sub(1));
    let mut top = top_of(&starts, records.at, rows);
    scrolled(frame, inside, theme, lines, &mut top);
    if starts.is_empty() {
        records.at = top;
    }
}

/// The first line that is shown: what is said above the list as long as there is room, then the record that is chosen.
fn top_of(starts: &[usize], at: usize, rows: usize) -> usize {
    let Some(&start) = starts.get(at) else { return if starts.is_empty() { at } else { usize::MAX } };
    if at == 0 && start < rows {
        return 0;
    }
    let end = starts.get(at + 1).copied().unwrap_or(start + rows);
    end.saturating_sub(rows).min(start)
}

fn said(theme: Theme, lead: &str, why: &str, width: usize) -> Vec<Line<'static>> {
    let mut lines = wrapped(lead, width, theme.strong());
    lines.push(Line::default());
    lines.extend(wrapped(why, width, theme.quiet()));
    lines
}

/// What there is to say of the id itself.
fn facts_of(look: Look, wanted: &Wanted, found: &Found, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut add = |title: &'static str, facts: Vec<(&str, String)>| {
        lines.push(Line::styled(title, look.theme.strong()));
        for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
            lines.extend(labelled(name, FACT, wrapped(&value, width.saturating_sub(FACT), Style::new())));
        }
        lines.push(Line::default());
    };
    found.hold.iter().for_each(|hold| add("Cart", hold_facts(hold, look.now_ms)));
    found.sku.iter().for_each(|sku| add("SKU", sku_facts(sku)));
    if found.is_customer() && matches!(wanted, Wanted::Id(_)) {
        add("Customer", vec![("Units", units_of_customer(found, look.limit))]);
    }
    lines
}

/// Adds the carts and the orders; where each begins.
fn list(look: Look, found: &Found, at: usize, width: usize, lines: &mut Vec<Line<'static>>) -> Vec<usize> {
    let mut starts = Vec::new();
    let holds = found.holds.iter().map(|hold| hold_line(hold, look.now_ms));
    let orders = found.orders.iter().map(|order| order_line(order, look.now_ms));
    for (index, text) in holds.chain(orders).enumerate() {
        starts.push(lines.len());
        lines.extend(labelled("• ", 2, wrapped(&text, width.saturating_sub(2), look.theme.line(index == at))));
    }
    if found.is_part {
        lines.extend(wrapped(IS_PART, width, look.theme.quiet()));
    }
    starts
}

fn name(named: &Named) -> String {
    safe(&named.name)
}

fn hold_facts(hold: &Hold, now_ms: i64) -> Vec<(&'static str, String)> {
    let ended = hold.ended_at > 0;
    let items = hold.line.items.iter().zip(&hold.units).map(|((sku, left, sold), units)| {
        format!("{} × {} ({} left, {} sold)", count(*units), name(sku), count(*left), count(*sold))
    });
    vec![
        ("State", safe(&hold.state)),
        ("Customer", name(&hold.line.customer)),
        (if ended { "Would have expired" } else { "Expires" }, moment(hold.line.expires_at, now_ms)),
        ("Ended", if ended { moment(hold.ended_at, now_ms) } else { String::new() }),
        ("Items", items.collect::<Vec<_>>().join(", ")),
    ]
}

fn sku_facts(sku: &SkuLine) -> Vec<(&'static str, String)> {
    let number = |name: &str| count(sku.get(name));
    let bound = |name: &str, none: &str| if sku.get(name) > 0 { number(name) } else { none.to_string() };
    vec![
        ("Available", number("available")),
        ("On hand", number("on-hand")),
        ("Held", number("held")),
        ("Sold", number("sold")),
        ("Kept back", number("safety")),
        ("Low mark", bound("low", "none")),
        ("Limit a customer", bound("limit", "none of its own")),
        ("Waited for", number("waiting")),
        ("Waited for at most", sku.backlog().map_or("no bound".to_string(), count)),
    ]
}

/// The units that count for a customer, as the page adds them up.
fn units_of_customer(found: &Found, limit: i64) -> String {
    let carts = found.holds.iter().flat_map(|hold| &hold.items).map(|(_, left, sold)| left + sold);
    let counts = |order: &&OrderLine| !["cancelled", "dead"].contains(&order.state.as_str());
    let orders = found.orders.iter().filter(counts).flat_map(|order| &order.items).map(|(_, units)| units);
    let units: i64 = carts.sum::<i64>() + orders.sum::<i64>();
    let bound = if limit > 0 { format!(" of {} that a customer may have", count(limit)) } else { String::new() };
    let part = if found.is_part { ", in what is listed here" } else { "" };
    format!("{}{bound}{part}. {}", plural(units, "unit"), words::CUSTOMER_SUM)
}

fn hold_line(hold: &HoldLine, now_ms: i64) -> String {
    let items = hold.items.iter().map(|(sku, left, _)| format!("{} × {}", count(*left), name(sku)));
    let who = Some(name(&hold.customer)).filter(|who| !who.is_empty());
    let parts = [Some(format!("Cart {}", name(&hold.hold))), Some(items.collect::<Vec<_>>().join(", ")), who];
    let until = format!("expires {}", moment(hold.expires_at, now_ms));
    parts.into_iter().flatten().chain([until]).collect::<Vec<_>>().join(" · ")
}

fn order_line(order: &OrderLine, now_ms: i64) -> String {
    let state = OrderState::by_name(order.state.as_bytes());
    let label = state.map_or_else(|| safe(&order.state), |state| state.label().to_string());
    let items = order.items.iter().map(|(sku, units)| format!("{} × {}", count(*units), name(sku)));
    let placed = format!("placed {}", moment(order.placed_at, now_ms));
    let late = order.late.then(|| "late".to_string());
    let reason = Some(safe(&order.reason)).filter(|reason| !reason.is_empty());
    let parts = [name(&order.order), label, items.collect::<Vec<_>>().join(", "), name(&order.customer), placed];
    parts.into_iter().chain(late).chain(reason).collect::<Vec<_>>().join(" · ")
}
