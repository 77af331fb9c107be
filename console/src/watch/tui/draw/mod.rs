//! Pictures of a [`Screen`].

mod alerts;
mod charts;
mod dead;
mod dialogs;
mod flow;
mod lanes;
mod now;
mod numbers;
mod order;
mod part;
mod queue;
mod records;
mod refusals;
mod skus;
mod stock;
mod stores;
mod tiles;
mod top;
mod waits;
mod window;
mod work;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};

use self::part::{Page, inset, prose};
use super::screen::{Dialog, Screen};
use super::shop::{Shop, Tab};

/// The smallest terminal that has room for the numbers.
const LEAST: (u16, u16) = (80, 20);
/// From this height on there is a line for the window's times.
const TALL: u16 = 30;
/// Under this width charts stand under each other, if there is the height.
const NARROW: u16 = 100;
const STACKED: u16 = 48;

pub fn draw(frame: &mut Frame, screen: &mut Screen) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(frame, area);
    }
    let banners = top::banners(screen, (area.width, area.height));
    let note = top::note(screen, usize::from(area.width - 2));
    let has_tabs = screen.shop.is_some();
    let has_times = has_tabs && area.height >= TALL;
    let [head, times, tabs, banner, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(has_times)),
        Constraint::Length(u16::from(has_tabs)),
        Constraint::Length(banners.len() as u16),
        Constraint::Fill(1),
        Constraint::Length(note.len().max(1) as u16),
    ])
    .areas(area);
    top::head(frame, inset(head), screen);
    if let Some(shop) = &screen.shop {
        if has_times {
            top::times(frame, inset(times), screen, shop);
        }
        top::tabs(frame, inset(tabs), screen, shop);
        page(frame, body, screen, shop);
    } else {
        stores::draw(frame, body, screen);
    }
    frame.render_widget(Text::from(banners), banner);
    match note.is_empty() {
        true => top::foot(frame, inset(foot), screen),
        false => frame.render_widget(Text::from(note), inset(foot)),
    }
    dialog(frame, screen);
}

fn page(frame: &mut Frame, area: Rect, screen: &Screen, shop: &Shop) {
    let numbers = match &shop.numbers {
        _ if shop.is_gone => {
            let text = format!("There is no store “{}”. If it is made, it shows up here by itself.", shop.name);
            return centered(frame, area, &text);
        }
        None => return centered(frame, area, "Looking at the store…"),
        Some(numbers) => numbers,
    };
    let page = Page { screen, shop, numbers, theme: screen.theme };
    match shop.tab {
        Tab::Now => now::draw(frame, area, page),
        Tab::OverTime => {
            let is_stacked = area.width < NARROW && area.height >= STACKED;
            now::draw_charts(frame, area, page, if is_stacked { (4, 1) } else { (2, 2) });
        }
        Tab::Refusals => refusals::draw(frame, area, page),
        Tab::Dead => dead::draw(frame, area, page),
        Tab::Workers => work::draw(frame, area, page),
        Tab::Stock => skus::draw(frame, area, page),
        Tab::Numbers => numbers::draw(frame, area, page),
        Tab::Alerts => alerts::draw(frame, area, page),
        Tab::Queue => queue::draw(frame, area, page),
    }
}

fn dialog(frame: &mut Frame, screen: &mut Screen) {
    let (theme, now_ms, writes) = (screen.theme, screen.now_ms as i64, screen.writes);
    let (look, shop) = (records::Look::of(screen), screen.shop.as_ref());
    for dialog in &mut screen.dialogs {
        match dialog {
            Dialog::Help(top) => dialogs::help(frame, theme, top),
            Dialog::Prompt(ask, input) => dialogs::prompt(frame, theme, *ask, input),
            Dialog::Order(look) => order::draw(frame, theme, look, now_ms, writes),
            Dialog::States(chosen) => records::states(frame, theme, shop, *chosen),
            Dialog::Records(records) => records::draw(frame, look, records),
            Dialog::Confirm(redrive) => dialogs::confirm(frame, theme, redrive),
        }
    }
}

fn centered(frame: &mut Frame, area: Rect, text: &str) {
    let middle = Rect { y: area.y + area.height / 2, height: area.height.min(2), ..area };
    frame.render_widget(prose(text).centered(), middle);
}

fn too_small(frame: &mut Frame, area: Rect) {
    let (width, height) = LEAST;
    let lines = vec![
        Line::raw(format!("This terminal is {} x {}.", area.width, area.height)),
        Line::raw(format!("The numbers need {width} x {height}: make it larger.")),
        Line::raw("q leaves."),
    ];
    frame.render_widget(prose(lines), area);
}
