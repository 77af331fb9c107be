//! What is on the screen, at every size and in every state; and what keys do.

use std::sync::Arc;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::states::OrderState;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::draw::draw;
use super::keys::{self, Wish};
use super::look_up::{Found, Records, Wanted};
use super::screen::{Dialog, OrderLook, Redrive, Screen};
use super::shop::{Shop, TABS, Tab};
use super::theme::Theme;
use crate::watch::known::browse::{Hold, HoldLine, OrderLine};
use crate::watch::known::detail::{
    AlertLine, Alerts, DeadLetters, Detail, Idle, InWork, OrderRef, Reason, SkuLine, Skus, Wait, Waits, Worker, Workers,
};
use crate::watch::known::id::{Named, id_of, name_of};
use crate::watch::known::lanes::Lane;
use crate::watch::known::model::{Key, ServerState, StoreLine, StoreState, Window};
use crate::watch::known::reply::Pairs;
use crate::watch::known::sample::{self, Sample};
use crate::watch::known::words::{self, Tone};

const NOW_MS: u64 = 1_700_000_100_000;
const SIZES: [(u16, u16); 4] = [(80, 20), (80, 24), (120, 40), (200, 60)];
/// An id that would clear the screen, write the other way round and move everything after it.
const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07\u{202e}店舗\r\n\u{200b}👟";

/// A sample in the middle of a sale; `changes` are other values of some fields.
fn sample(at: u64, changes: &[(&str, i64)]) -> Arc<Sample> {
    let usual = "placed 5912 completed 5400 failed 61 retried 55 lapsed 7 late 2 dead 3 claimed 5480 \
        refused-outofstock 1900 refused-limit 300 refused-notopen 41 skus 2 on-hand 4600 available 4034 held 566 \
        sold 5400 oversold 0 queued 450 in-work 9 retrying 4 dead-letters 3 overflow 2412 holds 54 customers 5821 \
        workers 2 oldest-waiting-ms 840 p50-ms 412 p99-ms 1430 max-ms 2000";
    let words: Vec<&str> = usual.split_whitespace().collect();
    let usual = words.chunks(2).map(|pair| (pair[0], pair[1].parse().expect("a number")));
    // What comes first counts.
    let fields: Vec<(&str, i64)> = changes.iter().copied().chain(usual).collect();
    Arc::new(sample::tests::sample(at, &fields))
}

fn detail(key: &Key, reason: &str, id: &str) -> Arc<Detail> {
    let order = |id: &str| OrderRef::of(id.as_bytes());
    let in_work = |id, attempt| InWork {
        order: order(id),
        attempt,
        deadline: NOW_MS as i64 + 4_000,
        claimed_at: NOW_MS as i64 - 6_000,
    };
    let worker = |name: &str, orders| Worker { name: name.into(), orders };
    let letters = |text: &str, count| Reason {
        reason: text.into(),
        id: id_of(text.as_bytes()),
        count,
        orders: vec![order(id), order("o-17")],
    };
    let sku = |name: &str, books: [i64; 5]| {
        let names = ["available", "held", "on-hand", "sold", "low"].map(String::from);
        SkuLine::new(name.as_bytes(), Pairs(names.into_iter().zip(books).collect()))
    };
    let alert = |entry: &str, kind: &str, tone, (sku, available): (&str, _), order| AlertLine {
        entry: entry.into(),
        at: NOW_MS as i64 - 5_000,
        kind: kind.into(),
        label: kind.into(),
        tone,
        sku: (!str::is_empty(sku)).then(|| OrderRef::of(sku.as_bytes())),
        available,
        order,
        reason: reason.into(),
    };
    Arc::new(Detail {
        id: id_of(key),
        name: name_of(key),
        now: NOW_MS,
        settings: Pairs(vec![("metrics".into(), 7_200.into())]),
        info: Pairs(vec![]),
        at: Some(NOW_MS),
        metrics: sample(NOW_MS, &[]),
        skus: Skus {
            total: 2,
            truncated: false,
            shown: vec![sku(id, [0, 0, 0, 90, 5]), sku("mug", [4_034, 566, 4_600, 5_310, 10])],
        },
        workers: Workers {
            orders: 9,
            truncated: false,
            shown: vec![worker(id, vec![in_work(id, 1)]), worker("w-2", vec![in_work("o-8", 2), in_work("o-9", 1)])],
            idle: vec![Idle { name: "w-3".into(), since: 0 }],
        },
        alerts: Alerts {
            truncated: false,
            shown: vec![
                alert("1", "stock.out", Tone::Refused, (id, Some(0)), None),
                alert("2", "order.dead", Tone::Refused, ("", None), Some(order(id))),
            ],
        },
        lanes: vec![],
        waits: Waits::default(),
        dead: DeadLetters { total: 3, counted: 3, reasons: vec![letters(reason, 2), letters("", 1)] },
    })
}

fn server() -> ServerState {
    ServerState {
        url: "redis://127.0.0.1:6379".into(),
        connected: true,
        error: None,
        product: Some("redis".into()),
        version: Some("7.0.15".into()),
        role: Some("master".into()),
        since: NOW_MS - 60_000,
        nodes: vec![],
    }
}

/// The list of stores, with these in it.
fn list(theme: Theme, stores: &[(&str, &[(&str, i64)])]) -> Screen {
    let mut screen = Screen::new(server(), false, theme);
    (screen.now_ms, screen.local_now_ms) = (NOW_MS, NOW_MS);
    let line = |(name, changes): &(&str, &[(&str, i64)])| StoreLine {
        id: id_of(name.as_bytes()),
        name: name.to_string(),
        node: None,
        away: false,
        at: Some(NOW_MS - 400),
        metrics: Some(sample(NOW_MS - 400, changes)),
        window: Window { opens: NOW_MS as i64 - 19_000, closes: NOW_MS as i64 + 41_000, ..Window::default() },
    };
    screen.stores = stores.iter().map(line).collect();
    screen
}

/// A store in the middle of its sale, of this name, in which everything is called `id`.
fn sale(name: &str, id: &str, changes: &[(&str, i64)]) -> Screen {
    let mut screen = list(Theme::Full, &[(name, changes)]);
    let key = Key::from(name.as_bytes());
    let mut shop = Shop::new(&key);
    for second in 0..18 {
        let placed = [("placed", 300 * second), ("completed", 280 * second), ("p99-ms", 100 * second)];
        shop.take_sample(&sample(NOW_MS - 18_400 + second as u64 * 1_000, &placed));
    }
    let window = screen.stores[0].window;
    let last = sample(NOW_MS - 400, changes);
    shop.take_state(Some(StoreState { window, sample: Some(last) }));
    let mut detail = Detail::clone(&detail(&key, if id == "o-1" { "card declined" } else { id }, id));
    (detail.at, detail.metrics) = (shop.at, shop.numbers.clone().expect("numbers"));
    shop.take_detail(Arc::new(detail));
    screen.shop = Some(shop);
    screen
}

fn picture(screen: &mut Screen, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, screen)).expect("a picture");
    terminal.backend().buffer().clone()
}

/// The picture as text; nothing in it can do anything to a terminal.
fn text(screen: &mut Screen, size: (u16, u16)) -> String {
    let buffer = picture(screen, size);
    let mut text = String::new();
    for y in 0..size.1 {
        let mut skip = 0;
        for x in 0..size.0 {
            let symbol = buffer[(x, y)].symbol();
            assert!(!symbol.chars().any(|char| char.is_control() || "\u{202e}\u{200b}".contains(char)), "{symbol:?}");
            if skip == 0 {
                text.push_str(symbol);
                skip = super::foreign::columns(symbol).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        text.push('\n');
    }
    text.replace('\u{a0}', " ")
}

#[track_caller]
fn assert_shows(text: &str, all: &[&str]) {
    for one in all {
        assert!(text.contains(one), "no {one:?} in\n{text}");
    }
}

/// Presses a key; what the reader wants by that.
fn press(screen: &mut Screen, code: KeyCode) -> Option<Wish> {
    keys::take(screen, &Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_all(screen: &mut Screen, text: &str) {
    for char in text.chars() {
        assert_eq!(press(screen, KeyCode::Char(char)), None);
    }
}

#[test]
fn the_dashboard_tells_everything_that_counts_at_every_size() {
    for size in SIZES {
        let text = text(&mut sale("popup", "o-1", &[]), size);
        assert_shows(&text, &["Holdfast / popup", "● Open  closes in 0:41", "live · 0.4 s ago", "Units available"]);
        assert_shows(&text, &["of 4,600 on hand", "Sold 5,400 54 %", "Held 566", "Available 4,034 40 %"]);
        assert_shows(&text, &["Customers ordering", "5,821", "Orders processing", "463", "Orders completed", "5,400"]);
        assert_shows(&text, &["Not served", "2,412", "Refused", "2,241", "✓ Oversold"]);
        assert_shows(&text, &["54 carts open now", "450 queued", "1,900 found none left", "85 % "]);
        assert_shows(&text, &["Orders a second", "● Placed", "p50 412 ms p99 1.4 s", "as it must be", "q quit"]);
        let braille = text.chars().filter(|char| ('\u{2801}'..='\u{28ff}').contains(char)).count();
        assert!(braille > 20, "no chart is drawn at {size:?}:\n{text}");
    }
}

/// What the tiles say of their numbers, in the order of the tiles, out of the picture of a dashboard.
fn said_by_tiles(screen: &mut Screen, size: (u16, u16)) -> Vec<String> {
    let shown = text(screen, size);
    let row = |label: &str| shown.lines().position(|line| line.contains(label)).unwrap_or_else(|| panic!("{shown}"));
    let [upper, lower] = ["Customers ordering", "Not served"].map(row);
    // From a thick line to the next: a tile each, over the rows that are not its label's and its number's.
    let tiles = |from: usize, to: usize| {
        let rows: Vec<Vec<&str>> = shown
            .lines()
            .take(to)
            .skip(from + 2)
            .map(|line| line.split('┃').skip(1).map(str::trim).collect())
            .collect();
        (0..3).map(move |tile| {
            let parts = rows.iter().filter_map(|row| row.get(tile)).filter(|part| !part.is_empty());
            parts.copied().collect::<Vec<_>>().join(" ")
        })
    };
    let end = lower + 2 + shown.lines().skip(lower + 2).take_while(|line| line.contains('┃')).count();
    tiles(upper, lower).chain(tiles(lower, end)).collect()
}

#[test]
fn no_tile_says_half_a_sentence() {
    let sold = ("placed", 9);
    let orders = ["queued", "in-work", "retrying"];
    let flow = |value| orders.map(|name| (name, value));
    let usual = ["54 carts open now", "450 queued, 13 other", "640 a second now", "1,900 found none left"];
    let told = said_by_tiles(&mut sale("popup", "o-1", &[]), (80, 20));
    assert_eq!(told, [&usual[..], &["85 % OUTOFSTOCK", "as it must be"]].concat());
    let told = said_by_tiles(&mut sale("popup", "o-1", &[]), (80, 24));
    assert_eq!(told[1], "450 queued · 9 in work · 4 retrying");
    assert_eq!(told[4], "85 % not enough units left");
    // As many of everything as there can be, or nothing at all.
    let most = [&flow(1_000_000_000)[..], &[("holds", 123_456_789), ("refused-outofstock", 1_234_567_890)]].concat();
    let told = said_by_tiles(&mut sale("popup", "o-1", &[&most[..], &[("oversold", 3)]].concat()), (80, 20));
    assert_eq!(told[..2], ["123.5M carts open now", "1B queued, 2B other"]);
    assert_eq!(told[3..], ["1.2B found none left", ">99 % OUTOFSTOCK", "promised, not on hand"]);
    let none =
        [&flow(0)[..], &[sold, ("refused-outofstock", 0), ("refused-limit", 0), ("refused-notopen", 0)]].concat();
    let told = said_by_tiles(&mut sale("popup", "o-1", &none), (80, 20));
    assert_eq!((told[1].as_str(), told[4].as_str()), ("all done", "nobody was turned away"));
    let waits = [("waitlisted", 1_000_000_000), ("pending", 1_000_000_000), ("in-work", 0), ("retrying", 0)];
    let told = said_by_tiles(&mut sale("popup", "o-1", &waits), (80, 20));
    assert_eq!(told[1], "1B waitlisted, 1B other");
    for code in Code::ALL {
        let top = [(code.metric(), 1_000_000)];
        let told = said_by_tiles(&mut sale("popup", "o-1", &top), (80, 20)).swap_remove(4);
        let whole = [code.label().to_lowercase(), code.word().to_string()].map(|what| format!(">99 % {what}"));
        assert!(whole.contains(&told), "{told}: neither of {whole:?}");
    }
    let mut old = sale("popup", "o-1", &[]);
    old.server.connected = false;
    assert_eq!(said_by_tiles(&mut old, (80, 20))[2], "how fast is not known");
}

#[test]
fn there_is_more_where_there_is_more_room() {
    let middle = text(&mut sale("popup", "o-1", &[]), (120, 40));
    assert_shows(
        &middle,
        &["people with units in a cart", "placed and not finished yet", "what a customer can still buy: on hand"],
    );
    assert_shows(&middle, &["Orders on their way", "Refusals by reason", "OUTOFSTOCK", "Retries and dead letters"]);
    assert_shows(&middle, &["card declined", "Orders are taken from"]);
    let large = text(&mut sale("popup", "o-1", &[]), (200, 60));
    assert_shows(&large, &["From placed to completed", "p50 412 ms", "p99 1.4 s", "Workers", "Stock by SKU", "w-2"]);
    assert_shows(&large, &["450 orders waiting for a worker, the next since 0.8 s.", "no reason given", "4.0 s"]);
}

#[test]
fn what_stands_side_by_side_is_whole() {
    for size in [(80, 60), (100, 34), (100, 60), (120, 40), (139, 50), (140, 50)] {
        let shown = text(&mut sale("popup", "o-1", &[("retried", 12_345)]), size);
        assert_shows(
            &shown,
            &["╭ Orders a second ", "p50 412 ms p99 1.4 s", "Leases expired 7", "Late 2", "Retried 12,345"],
        );
        let refused = shown.lines().find(|line| line.contains("Customer's limit reached")).unwrap_or_default();
        assert!(refused.contains(" 300 "), "{shown}");
    }
}

#[test]
fn every_tab_and_dialog_draws_at_every_size() {
    for width in [1, 2, 41, 79, 80, 99, 140, 230] {
        for height in [1, 3, 19, 20, 24, 37, 48, 75] {
            let mut screen = sale("popup", "o-1", &[("oversold", 3)]);
            for (tab, _) in TABS {
                screen.shop.as_mut().expect("a store").tab = tab;
                picture(&mut screen, (width, height));
            }
            type_all(&mut screen, "?G/");
            picture(&mut screen, (width, height));
            screen.dialogs.push(Dialog::Confirm(Redrive::Reason("x ".repeat(500).into(), 7)));
            picture(&mut screen, (width, height));
            let mut stores = list(Theme::Sixteen, &[("a", &[]), (HOSTILE, &[("oversold", 1)])]);
            let small = text(&mut stores, (width, height));
            if (width < 80 || height < 20) && width > 40 && height > 4 {
                assert_shows(&small, &["make it larger"]);
            }
        }
    }
}

#[test]
fn alerts_are_listed_and_lead_to_their_orders() {
    for size in SIZES {
        let mut screen = sale("popup", "o-1", &[]);
        press(&mut screen, KeyCode::Char('8'));
        let shown = text(&mut screen, size);
        assert_shows(&shown, &["8 Alerts", "stock.out", "0 available", "order.dead", "card declined"]);
        assert!(shown.find("stock.out") < shown.find("order.dead"), "newest first:\n{shown}");
        press(&mut screen, KeyCode::Down);
        assert!(matches!(press(&mut screen, KeyCode::Enter), Some(Wish::LookUp(_))));
    }
    let mut hostile = sale("popup", HOSTILE, &[]);
    press(&mut hostile, KeyCode::Char('8'));
    assert_shows(&text(&mut hostile, (120, 40)), &["店舗"]);
}

#[test]
fn a_list_of_a_part_says_what_lists_all() {
    for size in SIZES {
        let mut screen = sale("popup", "o-1", &[]);
        let shop = screen.shop.as_mut().expect("a store");
        let mut detail = Detail::clone(shop.detail.as_ref().expect("a detail"));
        detail.skus.total = 902;
        detail.dead.reasons[0].count = 902;
        detail.alerts.truncated = true;
        shop.take_detail(Arc::new(detail));
        shop.tab = Tab::Stock;
        assert_shows(&text(&mut screen, size), &["and 900 with more available: INV.SCAN lists all"]);
        screen.shop.as_mut().expect("a store").tab = Tab::Dead;
        press(&mut screen, KeyCode::Enter);
        assert_shows(&text(&mut screen, size), &["and 900 more: ORDER.SCAN … STATE dead"]);
        screen.shop.as_mut().expect("a store").tab = Tab::Alerts;
        assert_shows(&text(&mut screen, size), &["the newest 2; of all: XREVRANGE {…}:alerts + -"]);
    }
}

/// Numbers of a sale in which people wait for units and for gates.
const WAITING: [(&str, i64); 4] = [("waitlisted", 12), ("pending", 3), ("gates-expired", 2), ("waitlist-expired", 1)];

/// The sale with lanes, gates and waits, in which everything is called `id`, and every number of units is `units`.
fn crowded(id: &str, units: i64) -> Screen {
    let changes = ["on-hand", "sold", "held", "available"].map(|name| (name, units)).into_iter();
    let changes: Vec<_> = WAITING.into_iter().chain(changes.filter(|_| units > 0)).collect();
    let mut screen = sale("popup", id, &changes);
    let shop = screen.shop.as_mut().expect("a store");
    let mut detail = Detail::clone(shop.detail.as_ref().expect("a detail"));
    let lane = |name: &str, queued, oldest_waiting_ms| Lane {
        id: id_of(name.as_bytes()),
        name: name.into(),
        queued,
        in_work: 2,
        retrying: 0,
        oldest_waiting_ms,
    };
    detail.lanes = vec![lane("", 400, 840), lane(id, 48, 61_000), lane("counter", 0, 0)];
    let due = |ms| Some(NOW_MS as i64 + ms);
    let shown = vec![
        Wait::new(id, OrderState::Pending, ("payment", &[]), due(12_000)),
        Wait::new("o-31", OrderState::Pending, (id, &[]), due(125_000)),
        Wait::new("o-32", OrderState::Waitlisted, ("", &[(id, units.max(2)), ("cap", 1)]), None),
    ];
    detail.waits = Waits { pending: 3, waitlisted: 12, shown };
    let books = [("available", 0), ("held", units), ("on-hand", units), ("sold", units), ("waiting", units.max(9))];
    let books = books.into_iter().chain([("backlog", 500), ("low", units)]);
    let books = Pairs(books.map(|(name, value)| (name.to_string(), value)).collect());
    detail.skus.shown[0] = SkuLine::new(id.as_bytes(), books);
    shop.take_detail(Arc::new(detail));
    screen
}

#[test]
fn who_waits_is_seen_at_a_glance_at_every_size() {
    for size in SIZES {
        let shown = text(&mut crowded("o-1", 0), size);
        assert_shows(&shown, &["Waitlisted 12 → Pending 3 → Queued 450 → In work 9 → Retrying 4", "478"]);
        assert_shows(&shown, &["Orders a second", "p50 412 ms p99 1.4 s"]);
        let calm = text(&mut sale("popup", "o-1", &[]), size);
        assert!(!calm.contains("Waitlisted"), "nobody waits:\n{calm}");
    }
    let wide = text(&mut crowded("o-1", 0), (120, 40));
    assert_shows(&wide, &["next expires in 0:12"]);
    assert_shows(&text(&mut crowded("o-1", 0), (200, 60)), &["9 × o-1 waited for", "Waiting", "9/500"]);
    let mut stores = list(Theme::Full, &[("a", &[]), ("b", &[("waitlisted", 7)])]);
    let shown = text(&mut stores, (80, 24));
    assert_shows(&shown, &["7 waitlisted"]);
    assert!(shown.find("7 waitlisted") < shown.find("a    "), "where people wait comes first:\n{shown}");
}

#[test]
fn lanes_and_those_who_are_not_queued_are_listed() {
    for size in SIZES {
        let mut screen = crowded("o-1", 0);
        press(&mut screen, KeyCode::Char('9'));
        let shown = text(&mut screen, size);
        assert_shows(&shown, &["9 Queue", "Lanes", "Oldest waiting", "400", "0.8 s", "counter", "Before the queue"]);
        assert_shows(&shown, &["o-31", "Pending", "0:12", "payment", "Waitlisted", "no end", "2 × o-1, 1 × cap"]);
        assert!(shown.find("0:12") < shown.find("2:05"), "what expires first is on top:\n{shown}");
        assert_shows(&shown, &["and 12 more: ORDER.SCAN … STATE waitlisted, or pending"]);
        assert_eq!(press(&mut screen, KeyCode::Enter), None, "a lane is no order");
        for _ in 0..3 {
            press(&mut screen, KeyCode::Down);
        }
        assert_eq!(press(&mut screen, KeyCode::Enter), Some(Wish::LookUp(b"o-1".to_vec())));
    }
    let mut screen = sale("popup", "o-1", &[]);
    press(&mut screen, KeyCode::Char('9'));
    let shown = text(&mut screen, (80, 20));
    assert_shows(&shown, &["No order waits for a gate or for units."]);
    assert!(!shown.contains("Lanes"), "there are none:\n{shown}");
}

/// A letter of which long names are made: it is in no word of the screen, and two bytes long.
const LETTER: char = 'þ';
const LARGEST: i64 = 1_000_000_000_000_000;

/// What touches a long name, or lies over it; and what runs into a frame.
fn overlaps(shown: &str) -> Vec<String> {
    let is_frame = |char| "│╭╮╰╯─".contains(char);
    let wrong = |&(before, after): &(char, char)| match (before, after) {
        (LETTER, after) => !(after == LETTER || " …,.:;”)".contains(after)),
        (before, LETTER) => !" “(".contains(before),
        // A mark of what is cut off is the end of a text, or stands for a part of a command.
        ('…', after) => !" })".contains(after),
        _ => false,
    };
    // A chart and its times go up to its frame; nothing else does.
    let is_drawn = |char: char| is_frame(char) || char == ' ' || ('\u{2800}'..='\u{28ff}').contains(&char);
    let is_clock = |word: &str| word.len() == 8 && word.chars().all(|char| char.is_ascii_digit() || char == ':');
    let runs_out = |line: &str| {
        let Some(line) = line.strip_suffix('│') else { return false };
        !line.ends_with(is_drawn) && !line.rsplit(' ').next().is_some_and(is_clock)
    };
    let faults = |line: &str| {
        let pairs: Vec<_> = line.chars().zip(line.chars().skip(1)).filter(wrong).collect();
        (!pairs.is_empty() || runs_out(line)).then(|| format!("{pairs:?} in {line}"))
    };
    shown.lines().filter_map(faults).collect()
}

#[track_caller]
fn assert_tidy(shown: &str) {
    assert_eq!(overlaps(shown), Vec::<String>::new(), "in\n{shown}");
    let mut framed = shown.lines().filter(|line| line.starts_with('│'));
    assert!(framed.all(|line| line.ends_with('│')), "a frame is broken:\n{shown}");
}

#[test]
fn long_ids_and_large_numbers_break_nothing() {
    let long = LETTER.to_string().repeat(256);
    for size in SIZES {
        let mut screen = crowded(&long, LARGEST);
        for (index, (_, name)) in TABS.iter().enumerate() {
            press(&mut screen, KeyCode::Char(char::from(b'1' + index as u8)));
            let shown = text(&mut screen, size);
            assert_shows(&shown, &[name]);
            // Of the dashboard a part is framed.
            if index > 0 {
                assert_tidy(&shown)
            } else {
                assert_eq!(overlaps(&shown), Vec::<String>::new())
            }
            assert!(!shown.contains(&format!("{LETTER} ")), "cut off without a mark:\n{shown}");
        }
        press(&mut screen, KeyCode::Char('6'));
        assert_shows(&text(&mut screen, size), &["1000T"]);
        press(&mut screen, KeyCode::Char('7'));
        assert_shows(&text(&mut screen, size), &["1,000,000,000,000,000"]);
        press(&mut screen, KeyCode::Char('4'));
        press(&mut screen, KeyCode::Enter);
        assert_tidy(&text(&mut screen, size));
    }
}

#[test]
fn long_names_and_large_numbers_break_no_list_of_stores() {
    let long = LETTER.to_string().repeat(256);
    let large = ["on-hand", "available", "sold", "held", "queued", "completed"].map(|name| (name, LARGEST));
    let late = [&large[..], &[("waitlisted", LARGEST)]].concat();
    let alarm = [&large[..], &[("oversold", LARGEST)]].concat();
    for size in SIZES.into_iter().chain([(86, 20), (100, 30), (140, 40)]) {
        let mut screen =
            list(Theme::Full, &[(&long, &large), (&long[2..], &late), (&long[4..], &alarm), ("calm", &[])]);
        let shown = text(&mut screen, size);
        assert_tidy(&shown);
        assert_shows(&shown, &["þ… ", "OVERSOLD 1000T ", "1000T waitlisted ", " Open ", "calm ", " 1000T "]);
        let ends: Vec<usize> =
            shown.lines().filter(|line| line.contains('…')).map(|line| line.chars().count()).collect();
        assert_eq!(ends, vec![usize::from(size.0); 3], "a line each:\n{shown}");
    }
}

#[test]
fn long_ids_and_large_numbers_break_no_order() {
    let long = LETTER.to_string().repeat(256);
    let at = NOW_MS - 60_000;
    let event = |title: &str| serde_json::json!({ "at": at, "title": title, "tone": "placed", "text": &long });
    let order = serde_json::json!({
        "state": "waitlisted", "customer": &long, "lane": &long, "worker": &long, "step": &long, "group": &long,
        "hold": &long, "reason": &long, "data": &long, "result": &long, "attempts": LARGEST, "late": 1,
        "placed-at": NOW_MS - 60_000, "due": NOW_MS + 60_000,
        "items": [[&long, LARGEST, LARGEST / 2], ["cap", LARGEST, 0]],
        "gates": [{ "gate": &long, "deadline": NOW_MS + 41_000, "passed": 0 }],
        "history": [event("Placed"), event("Waits for units"), event("Not enough units came free in time")],
    });
    for size in SIZES {
        let mut look = OrderLook::new(long.clone().into_bytes());
        look.found = Some(Ok(order.clone()));
        let mut screen = sale("popup", "o-1", &[]);
        screen.dialogs.push(Dialog::Order(look));
        let mut seen = String::new();
        // Down to its last line.
        loop {
            let shown = text(&mut screen, size);
            let within = |line: &str| Some(line.split_once('│')?.1.rsplit_once('│')?.0.to_string());
            let inside: Vec<String> = shown.lines().filter_map(within).collect();
            assert!(!inside.is_empty(), "no dialog:\n{shown}");
            assert_eq!(overlaps(&inside.join("\n")), Vec::<String>::new(), "in\n{shown}");
            seen.push_str(&shown);
            if !shown.contains("more   esc closes") {
                break;
            }
            press(&mut screen, KeyCode::Down);
        }
        let facts = ["Customer ", "Lane ", "Worker ", "Step ", "Group ", "Cart ", "Reason ", "Data ", "Result "];
        assert_shows(&seen, &facts);
        assert_shows(&seen, &["1,000,000,000,000,000 ×", "2,000,000,000,000,000 units", "it stops waiting at"]);
        assert_shows(&seen, &["not passed yet, expires at", "Placed  ", "Not enough units came free in time"]);
    }
}

#[test]
fn an_order_says_what_it_waits_for() {
    let mut look = OrderLook::new(b"o-1".to_vec());
    look.found = Some(Ok(serde_json::json!({
        "state": "waitlisted", "customer": "ann", "lane": "express",
        "placed-at": NOW_MS - 60_000, "due": NOW_MS + 60_000,
        "items": [["tea", 5, 3], ["cap", 1, 0]],
        "gates": [{ "gate": "payment", "deadline": NOW_MS + 41_000, "passed": 0 },
            { "gate": "fraud", "deadline": null, "passed": 1 }, { "gate": "age", "deadline": null, "passed": 0 }],
        "history": [{ "event": "placed", "at": NOW_MS - 60_000, "title": "Placed", "tone": "placed", "text": "" }],
    })));
    let mut screen = sale("popup", "o-1", &[]);
    screen.dialogs.push(Dialog::Order(look));
    for size in [(80, 24), (120, 40)] {
        let shown = text(&mut screen, size);
        assert_shows(&shown, &["● Waitlisted", "5 × tea, 1 × cap", "3 × tea (has 2 of 5)", "express"]);
        assert_shows(&shown, &["payment: not passed yet, expires at", "fraud: passed", "age: not"]);
        assert_shows(&shown, &["it stops waiting at"]);
    }
}

/// A record of each kind, all of it called `id`.
fn found(id: &str) -> [Found; 3] {
    let named = Named::of(id.as_bytes());
    let hold = HoldLine {
        hold: named.clone(),
        customer: named.clone(),
        expires_at: NOW_MS as i64 + 60_000,
        items: vec![(named.clone(), 2, 1)],
    };
    let order = |state: OrderState| OrderLine {
        order: named.clone(),
        state: state.name().into(),
        customer: named.clone(),
        lane: named.clone(),
        items: vec![(named.clone(), 4)],
        placed_at: NOW_MS as i64 - 60_000,
        due: None,
        worker: String::new(),
        reason: id.into(),
        late: true,
        gates: vec![],
    };
    let books = ["available", "held", "on-hand", "sold", "low"].map(|name| (name.to_string(), LARGEST));
    let sku = SkuLine::new(id.as_bytes(), Pairs(books.to_vec()));
    let ended = Hold { line: hold.clone(), state: "expired".into(), units: vec![3], ended_at: NOW_MS as i64 - 5_000 };
    let orders = vec![order(OrderState::Queued), order(OrderState::Cancelled)];
    [
        Found { sku: Some(sku), holds: vec![hold.clone()], is_part: true, ..Found::default() },
        Found { hold: Some(ended), ..Found::default() },
        Found { holds: vec![hold], orders, ..Found::default() },
    ]
}

#[test]
fn what_is_looked_up_is_whole_at_every_size() {
    let part = "There are more: the page of holdfast watch lists all.";
    let words: [(&[&str], &str); 3] = [
        (&["Available", "Limit a customer", "none of its own", "no bound", "Cart ", "expires "], part),
        (&["expired", "Would have expired", "3 ×"], "(2 left, 1 sold)"),
        // Three units of the cart, four of the order that is not cancelled.
        (&["Customer", "7 units of 9", "Queued", "Cancelled", "4 ×", "placed ", "late"], words::CUSTOMER_SUM),
    ];
    for (id, size) in
        ["c-1", &LETTER.to_string().repeat(256), HOSTILE].into_iter().flat_map(|id| SIZES.map(|size| (id, size)))
    {
        for (found, (words, whole)) in found(id).into_iter().zip(words) {
            let mut screen = sale("popup", "o-1", &[]);
            let shop = screen.shop.as_mut().expect("a store");
            let mut detail = Detail::clone(shop.detail.as_ref().expect("a detail"));
            detail.settings = Pairs(vec![("limit".into(), 9.into())]);
            shop.detail = Some(Arc::new(detail));
            let mut records = Records::new(Wanted::Id(id.as_bytes().to_vec()));
            records.found = Some(Ok(Box::new(found)));
            screen.dialogs.push(Dialog::Records(records));
            // Down to its last line.
            let mut seen = String::new();
            for _ in 0..20 {
                seen.push_str(&text(&mut screen, size));
                press(&mut screen, KeyCode::Down);
            }
            assert_shows(&seen, words);
            // Where the dialog is as wide as the screen, but for two columns, nothing stands between its lines.
            let middle = |line: &str| line.chars().skip(1).take(78).collect::<String>();
            let is_text = |char: &char| !char.is_whitespace() && *char != '│';
            let squeezed = |text: &str| text.chars().filter(is_text).collect::<String>();
            if size.0 == 80 {
                let inside: String = seen.lines().map(middle).collect();
                assert_shows(&squeezed(&inside), &[&squeezed(whole)]);
            }
        }
    }
}

#[test]
fn a_look_up_that_saw_a_part_says_so() {
    let shown = |wanted: Wanted, found: Found| {
        let mut screen = sale("popup", "o-1", &[]);
        let mut records = Records::new(wanted);
        records.found = Some(Ok(Box::new(found)));
        screen.dialogs.push(Dialog::Records(records));
        text(&mut screen, (120, 30))
    };
    let [_, _, customer] = found("c-1");
    let seen = shown(Wanted::Id(b"c-1".to_vec()), Found { is_part: true, ..customer });
    assert_shows(&seen, &["7 units, in what is listed here."]);
    for wanted in [Wanted::Id(b"c-1".to_vec()), Wanted::State(OrderState::Pending)] {
        let seen = shown(wanted.clone(), Found { is_part: true, ..Found::default() });
        assert_shows(&seen, &["Nothing was found in the part of the store that was looked through."]);
        let seen = shown(wanted, Found::default());
        assert!(!seen.contains("part of the store"), "{seen}");
    }
}

#[test]
fn what_is_found_leads_to_its_records() {
    let mut screen = sale("popup", "o-1", &[]);
    type_all(&mut screen, "/c-1");
    let wanted = Wanted::Id(b"c-1".to_vec());
    assert_eq!(press(&mut screen, KeyCode::Enter), Some(Wish::LookFor(wanted.clone())));
    assert_shows(&text(&mut screen, (80, 20)), &["c-1", "Looking it up…"]);
    let [_, _, customer] = found("c-1");
    if let Some(Dialog::Records(records)) = screen.dialogs.last_mut() {
        records.found = Some(Ok(Box::new(customer)));
    }
    // A cart is first, then the orders.
    assert_eq!(press(&mut screen, KeyCode::Enter), Some(Wish::LookFor(wanted)));
    press(&mut screen, KeyCode::Esc);
    press(&mut screen, KeyCode::Down);
    assert_eq!(press(&mut screen, KeyCode::Enter), Some(Wish::LookUp(b"c-1".to_vec())));
    for _ in 0..2 {
        press(&mut screen, KeyCode::Esc);
    }
    assert!(screen.dialogs.is_empty(), "{:?}", screen.dialogs);
    type_all(&mut screen, "ojj");
    assert_shows(
        &text(&mut screen, (80, 20)),
        &["Orders by state", "Waitlisted", "first come, first served", "Cancelled"],
    );
    assert_eq!(press(&mut screen, KeyCode::Enter), Some(Wish::LookFor(Wanted::State(OrderState::Queued))));
    if let Some(Dialog::Records(records)) = screen.dialogs.last_mut() {
        records.found = Some(Ok(Box::default()));
    }
    assert_shows(&text(&mut screen, (80, 20)), &["Orders: Queued", "Nothing of this kind."]);
}

#[test]
fn idle_workers_stand_under_those_with_orders() {
    for size in SIZES {
        let mut screen = sale("popup", "o-1", &[]);
        screen.shop.as_mut().expect("a store").tab = Tab::Workers;
        press(&mut screen, KeyCode::End);
        let shown = text(&mut screen, size);
        let line = shown.lines().find(|line| line.contains("w-3")).unwrap_or_else(|| panic!("no w-3 in\n{shown}"));
        assert!(line.contains("no order, last seen with one") && line.contains(" ago"), "{shown}");
        assert!(shown.find("w-2") < shown.find("w-3"), "{shown}");
        assert_eq!(press(&mut screen, KeyCode::Enter), None, "it has no order");
    }
}

#[test]
fn the_keys_are_whole_at_every_size() {
    for size in SIZES {
        let shown = text(&mut sale("popup", "o-1", &[]), size);
        assert_shows(&shown, &["1-9 ←→ turn  / find  o orders  t time  r redrive  esc stores  ? help  q quit"]);
    }
}

#[test]
fn a_server_without_stores_says_how_to_begin() {
    for size in SIZES {
        let text = text(&mut list(Theme::Full, &[]), size);
        assert_shows(&text, &["No store yet", "STORE.SET popup limit 2 hold-ms 600000", "ORDER.PLACE popup o-1001"]);
    }
    let mut bare = sale("popup", "o-1", &[("placed", 0), ("sold", 0), ("holds", 0), ("skus", 0)]);
    assert_shows(&text(&mut bare, (80, 24)), &["Nothing to sell yet", "INV.SET popup mug 100 LOW 10"]);
    let mut unsold = sale("popup", "o-1", &[("placed", 0), ("sold", 0), ("holds", 0)]);
    assert_shows(&text(&mut unsold, (80, 24)), &["No orders yet", "ORDER.PLACE popup o-1001 alice"]);
}

#[test]
fn a_store_that_is_sold_out_says_so() {
    let sold_out = [("available", 0), ("on-hand", 0), ("held", 0), ("queued", 0), ("in-work", 0), ("retrying", 0)];
    for size in SIZES {
        let settled = [&sold_out[..], &[("holds", 0)]].concat();
        let shown = text(&mut sale("popup", "o-1", &settled), size);
        assert_shows(&shown, &["✓ Sold out 18 s after opening, and every order is", "settled.", "all done"]);
        let shown = text(&mut sale("popup", "o-1", &sold_out), size);
        assert_shows(&shown, &["Sold out 18 s after opening. 54 carts still to"]);
    }
}

#[test]
fn oversold_is_loud() {
    for size in SIZES {
        let mut screen = sale("popup", "o-1", &[("oversold", 3)]);
        assert_shows(
            &text(&mut screen, size),
            &["▲ OVERSOLD", "Oversold by 3: more units are promised", "promised, not on hand"],
        );
        let red = |screen: &mut Screen| {
            let buffer = picture(screen, size);
            buffer.content().iter().filter(|cell| cell.bg == Color::from_u32(0xc81e3a)).count()
        };
        assert!(red(&mut screen) > 100, "red: {}", red(&mut screen));
        assert_eq!(red(&mut sale("popup", "o-1", &[])), 0);
    }
    let mut stores = list(Theme::Full, &[("a", &[]), ("b", &[("oversold", 7)])]);
    let shown = text(&mut stores, (80, 24));
    assert_shows(&shown, &["OVERSOLD 7"]);
    assert!(shown.find("OVERSOLD 7") < shown.find("a    "), "what must not be comes first:\n{shown}");
}

#[test]
fn keys_lead_everywhere_and_back() {
    let mut screen = sale("popup", "o-1", &[]);
    for (index, (tab, name)) in TABS.iter().enumerate() {
        let digit = char::from(b'1' + index as u8);
        press(&mut screen, KeyCode::Char(digit));
        assert_eq!(screen.shop.as_ref().map(|shop| shop.tab), Some(*tab));
        assert_shows(&text(&mut screen, (80, 24)), &[name]);
    }
    press(&mut screen, KeyCode::Tab);
    assert_eq!(screen.shop.as_ref().map(|shop| shop.tab), Some(Tab::Now));
    press(&mut screen, KeyCode::Char('?'));
    assert_shows(&text(&mut screen, (80, 24)), &["What am I looking at?", "find an order, SKU, cart or customer"]);
    press(&mut screen, KeyCode::End);
    assert_shows(&text(&mut screen, (80, 24)), &["an argument is missing or out of range"]);
    press(&mut screen, KeyCode::Char('?'));
    assert_eq!(press(&mut screen, KeyCode::Esc), Some(Wish::Close));
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Some(Wish::Quit));
    let control_c = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    type_all(&mut screen, "/q");
    assert_eq!(keys::take(&mut screen, &control_c), Some(Wish::Quit));
}

#[test]
fn a_store_that_keeps_no_samples_is_told_by_its_info() {
    let mut screen = sale("popup", "o-1", &[]);
    let key = Key::from(*b"popup");
    let mut detail = Detail::clone(&detail(&key, "x", "o-1"));
    detail.settings = Pairs(vec![("metrics".into(), 0.into())]);
    let info =
        [("on-hand", 77), ("available", 70), ("in-work", 2), ("claimed", 9), ("lapsed", 4), ("refused-limit", 5)];
    let info = Pairs(info.map(|(name, value)| (name.to_string(), Some(value))).to_vec());
    (detail.at, detail.metrics) = (None, Arc::new(Sample::of_info(&info)));
    screen.shop.as_mut().expect("a store").take_detail(Arc::new(detail));
    assert_shows(
        &text(&mut screen, (80, 24)),
        &["Nothing is sampled here", "STORE.SET popup metrics 7200", "of 77 on hand"],
    );
    screen.shop.as_mut().expect("a store").tab = Tab::Numbers;
    let shown = text(&mut screen, (120, 60));
    let line = |label: &str| shown.lines().find(|line| line.contains(label)).unwrap_or_default().to_string();
    assert!(
        line("In work").contains(" 2 ") && line("Claimed").contains(" 9 ") && line("Leases expired").contains(" 4 ")
    );
}
