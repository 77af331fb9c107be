//! What keys do. Whatever needs the server comes back as a [`Wish`].

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::look_up::{Chosen, Records, STATES, Wanted};
use super::screen::{Ask, Dialog, OrderLook, Redrive, Screen};
use super::shop::{DeadLine, TABS, Tab};
use crate::watch::known::model::Key;

/// Lines that a page key moves.
const PAGE: usize = 10;
/// The longest text that can be typed or pasted: longer than any id.
const INPUT_MAX: usize = 4_096;

/// What the reader wants that is not only a matter of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Quit,
    Open(Key),
    Close,
    LookUp(Vec<u8>),
    LookFor(Wanted),
    Redrive(Redrive),
}

/// Takes what was typed, pasted or resized.
pub fn take(screen: &mut Screen, event: &Event) -> Option<Wish> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => press(screen, *key),
        Event::Paste(text) => {
            // What is pasted is text and never a key: a pasted q must not end the program.
            if let Some(Dialog::Prompt(ask, input)) = screen.dialogs.last_mut() {
                let (ask, line) = (*ask, text.lines().next().unwrap_or_default().trim());
                input.extend(line.chars().take(INPUT_MAX.saturating_sub(input.len())));
                follow_filter(screen, ask);
            }
            None
        }
        _ => None,
    }
}

fn press(screen: &mut Screen, key: KeyEvent) -> Option<Wish> {
    screen.hush();
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && key.code == KeyCode::Char('c') {
        return Some(Wish::Quit);
    }
    if let Some(Dialog::Prompt(ask, input)) = screen.dialogs.last_mut() {
        let (ask, input) = (*ask, std::mem::take(input));
        return type_into(screen, ask, input, key);
    }
    if let Some(Dialog::Confirm(redrive)) = screen.dialogs.last() {
        let redrive = redrive.clone();
        return answer(screen, redrive, key.code);
    }
    match key.code {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Char('?') if matches!(screen.dialogs.last(), Some(Dialog::Help(_))) => drop(screen.dialogs.pop()),
        KeyCode::Char('?') => screen.dialogs.push(Dialog::Help(0)),
        KeyCode::Char('/') => ask(screen),
        KeyCode::Esc | KeyCode::Backspace => return back(screen),
        KeyCode::Char('r') => redrive(screen),
        KeyCode::Char('o') if screen.shop.is_some() && screen.dialogs.is_empty() => {
            screen.dialogs.push(Dialog::States(0));
        }
        _ if scroll(screen, key.code) => {}
        code => return choose(screen, code),
    }
    None
}

/// Opens the field to find something in.
fn ask(screen: &mut Screen) {
    let what = match screen.shop {
        Some(_) => Dialog::Prompt(Ask::Id, String::new()),
        None => Dialog::Prompt(Ask::Filter, std::mem::take(&mut screen.filter)),
    };
    screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Help(_)));
    screen.dialogs.push(what);
}

/// One step back: to what lies under this, to the list of stores.
fn back(screen: &mut Screen) -> Option<Wish> {
    if screen.dialogs.pop().is_some() {
        return None;
    }
    if screen.shop.is_some() {
        return Some(Wish::Close);
    }
    screen.filter.clear();
    None
}

fn type_into(screen: &mut Screen, ask: Ask, mut input: String, key: KeyEvent) -> Option<Wish> {
    let is_plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Esc => {
            screen.dialogs.pop();
            if ask == Ask::Filter {
                screen.filter.clear();
            }
            return None;
        }
        KeyCode::Enter => {
            screen.dialogs.pop();
            let id = input.trim();
            return (ask == Ask::Id && !id.is_empty()).then(|| {
                screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Order(_) | Dialog::Records(_)));
                look_for(screen, Wanted::Id(id.as_bytes().to_vec()))
            });
        }
        KeyCode::Char('u') if !is_plain => input.clear(),
        KeyCode::Backspace => drop(input.pop()),
        KeyCode::Char(char) if is_plain && input.len() < INPUT_MAX => input.push(char),
        _ => {}
    }
    if let Some(Dialog::Prompt(_, field)) = screen.dialogs.last_mut() {
        *field = input;
    }
    follow_filter(screen, ask);
    None
}

/// The list of stores follows what is typed.
fn follow_filter(screen: &mut Screen, ask: Ask) {
    if let (Ask::Filter, Some(Dialog::Prompt(_, input))) = (ask, screen.dialogs.last()) {
        screen.filter = input.trim().to_string();
        screen.chosen_store = 0;
    }
}

fn look_up(screen: &mut Screen, id: Vec<u8>) -> Wish {
    screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Order(_)));
    screen.dialogs.push(Dialog::Order(OrderLook::new(id.clone())));
    Wish::LookUp(id)
}

fn look_for(screen: &mut Screen, wanted: Wanted) -> Wish {
    screen.dialogs.push(Dialog::Records(Records::new(wanted.clone())));
    Wish::LookFor(wanted)
}

/// Yes or no; anything else is neither.
fn answer(screen: &mut Screen, redrive: Redrive, code: KeyCode) -> Option<Wish> {
    let is_yes = matches!(code, KeyCode::Char('y' | 'Y'));
    if is_yes || matches!(code, KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc) {
        screen.dialogs.pop();
    }
    is_yes.then_some(Wish::Redrive(redrive))
}

/// Asks whether what is chosen is to be queued again.
fn redrive(screen: &mut Screen) {
    match wanted_redrive(screen) {
        Err(text) => screen.notify(text),
        Ok(_) if !screen.writes => {
            screen.notify("Read-only. To redrive from here, start it as holdfast watch --tui --allow-writes.");
        }
        Ok(redrive) => screen.dialogs.push(Dialog::Confirm(redrive)),
    }
}

/// What is chosen to be queued again; otherwise, what the reader must do first.
fn wanted_redrive(screen: &mut Screen) -> Result<Redrive, &'static str> {
    if let Some(look) = screen.order() {
        return match look.state() {
            "dead" => Ok(Redrive::Order(look.id.clone())),
            _ => Err("This order is not dead: there is nothing to redrive."),
        };
    }
    let shop = screen.shop.as_mut().ok_or("Open a store first: dead letters are a store's.")?;
    if shop.dead_lines().is_empty() {
        return Err("No dead letters: no order ran out of attempts.");
    }
    if shop.tab != Tab::Dead {
        shop.tab = Tab::Dead;
        return Err("Choose a reason with the arrow keys, then press r again.");
    }
    match shop.dead_line() {
        Some(DeadLine::Reason { reason, count, .. }) => Ok(Redrive::Reason(reason, count)),
        Some(DeadLine::Order(order)) => Ok(Redrive::Order(crate::watch::known::id::bytes_of(&order.id))),
        _ => Err("Choose a reason or an order."),
    }
}

/// Moves through what is shown; `false` for another key.
fn scroll(screen: &mut Screen, code: KeyCode) -> bool {
    let moved = |line: usize| {
        Some(match code {
            KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => line + 1,
            KeyCode::PageUp => line.saturating_sub(PAGE),
            KeyCode::PageDown | KeyCode::Char(' ') => line + PAGE,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX / 2,
            _ => return None,
        })
    };
    let listed = screen.listed().len();
    let is_ours = moved(0).is_some();
    match (screen.dialogs.last_mut(), &mut screen.shop) {
        (Some(Dialog::Help(top) | Dialog::Order(OrderLook { top, .. })), _) => {
            *top = moved(*top).unwrap_or(*top);
        }
        (Some(Dialog::States(chosen)), _) => *chosen = moved(*chosen).unwrap_or(*chosen).min(STATES.len() - 1),
        (Some(Dialog::Records(records)), _) => records.choose(moved(records.at).unwrap_or(records.at)),
        (None, Some(shop)) => shop.choose(moved(shop.chosen()).unwrap_or(shop.chosen())),
        (None, None) => {
            let chosen = screen.chosen_store;
            screen.chosen_store = moved(chosen).unwrap_or(chosen).min(listed.saturating_sub(1));
        }
        _ => {}
    }
    is_ours
}

/// Opens what is chosen in what lies on top, or closes it.
fn enter(screen: &mut Screen) -> Option<Wish> {
    let chosen = match screen.dialogs.last() {
        Some(Dialog::States(chosen)) => return Some(look_for(screen, Wanted::State(STATES[*chosen].0))),
        Some(Dialog::Records(records)) => records.chosen(),
        _ => None,
    };
    match chosen {
        Some(Chosen::Order(id)) => return Some(look_up(screen, id)),
        Some(Chosen::Hold(id)) => return Some(look_for(screen, Wanted::Id(id))),
        None => drop(screen.dialogs.pop()),
    }
    None
}

/// Opens what is chosen, or turns to another tab.
fn choose(screen: &mut Screen, code: KeyCode) -> Option<Wish> {
    if !screen.dialogs.is_empty() {
        return if code == KeyCode::Enter { enter(screen) } else { None };
    }
    let now_ms = screen.now_ms;
    let Some(shop) = &mut screen.shop else {
        let is_open = matches!(code, KeyCode::Enter | KeyCode::Right | KeyCode::Char('l'));
        return is_open.then(|| screen.chosen_key()).flatten().map(Wish::Open);
    };
    match code {
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => shop.turn(1),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => shop.turn(-1),
        KeyCode::Char(digit @ '1'..='9') => {
            let tab = digit as usize - '1' as usize;
            shop.tab = TABS.get(tab).map_or(shop.tab, |(tab, _)| *tab);
        }
        KeyCode::Char('t') => shop.next_span(now_ms),
        KeyCode::Enter => {
            if let Some(id) = shop.chosen_order() {
                return Some(look_up(screen, id));
            }
            if let Some(DeadLine::Reason { reason, .. }) = shop.dead_line() {
                shop.toggle_reason(reason);
            }
        }
        _ => {}
    }
    None
}
