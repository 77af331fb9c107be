//! `holdfast watch --tui`, on a pseudo-terminal, as a person sees it.

use crate::common::terminal::Terminal;
use crate::common::{
    Client, DEADLINE, Server, ServerBinary, claim_one, cmd, console, entries, info, order_field, tests, wait_until,
};

tests![
    the_numbers_are_those_of_the_store,
    every_number_is_that_of_the_last_sample,
    it_fits_every_size,
    a_sale_is_seen_while_it_happens,
    orders_are_looked_up,
    records_are_looked_up_and_orders_listed_by_state,
    workers_without_an_order_are_listed,
    dead_orders_are_redriven,
    nothing_is_written_unless_allowed,
    stores_are_listed_and_opened,
    leases_are_counted_down,
    a_lost_server_is_told_and_found_again,
];

/// Columns and rows with room for everything to be explained.
pub const MIDDLE: (u16, u16) = (120, 40);

/// The view of a server on a terminal.
pub fn watch(binary: &ServerBinary, server: &Server, more: &[&str], size: (u16, u16)) -> Terminal {
    let url = format!("redis://127.0.0.1:{}", server.port());
    Terminal::start(binary, &[&["watch", "--tui", "--url", &url][..], more].concat(), size, &[])
}

/// A server with a store in which a bit of everything happened.
pub fn busy_shop(binary: &ServerBinary) -> (Server, Client) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup closes 9000000000000 attempts 1 limit 50");
    for sku in ["mug 1300 LOW 10", "poster 3 LOW 5", "sticker 0"] {
        client.int(format!("INV.SET popup {sku}"));
    }
    for order in 1..=9 {
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS mug 2"));
    }
    client.get("INV.RESERVE popup h-1 CUSTOMER c-20 ITEMS mug 3");
    for (worker, count) in [("w-1", 6), ("w-2", 1)] {
        client.get(format!("ORDER.CLAIM popup {worker} COUNT {count}"));
    }
    client.text("ORDER.COMPLETE popup o-1");
    client.get(cmd!["ORDER.FAIL", "popup", "o-2", "REASON", "card declined"]);
    client.get(cmd!["ORDER.FAIL", "popup", "o-3", "REASON", "card declined"]);
    client.get(cmd!["ORDER.FAIL", "popup", "o-4", "REASON", "why? [no*]"]);
    client.int("ORDER.CANCEL popup o-9");
    assert!(client.call("ORDER.PLACE popup o-10 c-9 ITEMS sticker 1").is_error());
    assert!(client.call("ORDER.PLACE popup o-11 c-9 ITEMS nothing 1").is_error());
    (server, client)
}

/// `12345` as `12,345`.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// The number under the label of a tile.
#[track_caller]
fn tile(text: &str, label: &str) -> String {
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let row = text.lines().position(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label}:\n{text}"));
    let line: String = rows[row].iter().collect();
    let before = line[..line.find(label).unwrap_or(0)].chars().count();
    // A tile begins with a thick line.
    let edge = rows[row][..before].iter().rposition(|char| *char == '┃');
    let left = edge.unwrap_or_else(|| panic!("no tile:\n{text}"));
    let value: String = rows[row + 1][left + 1..].iter().collect();
    value.trim_start().split(' ').next().unwrap_or_default().to_string()
}

/// What the tiles must show by STORE.INFO.
fn wanted(client: &mut Client) -> Vec<(&'static str, i64)> {
    let mut number = |name| info(client, name);
    let waiting = number("pending") + number("waitlisted");
    let processing = waiting + number("queued") + number("in-work") + number("retrying");
    vec![
        ("Customers ordering", number("customers")),
        ("Orders processing", processing),
        ("Orders completed", number("completed")),
        ("Not served", number("overflow")),
        ("Refused", number("refused-outofstock") + number("refused-nosku")),
        ("Oversold", number("oversold")),
    ]
}

/// Waits until the tiles and the stock say what STORE.INFO says.
#[track_caller]
fn assert_shows_info(terminal: &Terminal, client: &mut Client) {
    let wanted: Vec<_> = wanted(client).into_iter().map(|(label, value)| (label, grouped(value))).collect();
    let on_hand = format!("of {} on hand", grouped(info(client, "on-hand")));
    let units = [("Available", "available"), ("Held", "held"), ("Sold", "sold")];
    let units = units.map(|(label, name)| format!("█ {label} {} ", grouped(info(client, name))));
    terminal.wait_for(&format!("{wanted:?}, {on_hand}, {units:?} are"), |text| {
        text.contains("Oversold")
            && text.contains(&on_hand)
            && units.iter().all(|units| text.contains(units))
            && wanted.iter().all(|(label, value)| tile(text, label) == *value)
    });
}

fn the_numbers_are_those_of_the_store(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let terminal = watch(binary, &server, &[], MIDDLE);
    assert_shows_info(&terminal, &mut client);
    terminal.wait_for_all(&[
        "Holdfast / popup",
        "● Open",
        "closes in",
        "Units available",
        "card declined",
        "✓ Oversold",
    ]);
    // What happens next is seen without a key.
    client.text("ORDER.PLACE popup o-20 c-20 ITEMS mug 40");
    client.int("ORDER.CANCEL popup o-8");
    assert_shows_info(&terminal, &mut client);
    assert_eq!(info(&mut client, "oversold"), 0);
    // Counted down below what is held: loud.
    client.int("INV.SET popup mug 2");
    assert!(info(&mut client, "oversold") > 0);
    let text = terminal.wait_for_all(&["▲ OVERSOLD", "Oversold by", "promised, not on hand"]);
    assert_eq!(tile(&text, "▲ OVERSOLD"), grouped(info(&mut client, "oversold")));
    let red = |screen: &vt100::Screen| {
        let is_red = |row, column| screen.cell(row, column).is_some_and(|cell| cell.bgcolor() != vt100::Color::Default);
        (0..MIDDLE.1)
            .flat_map(|row| (0..MIDDLE.0).map(move |column| (row, column)))
            .filter(|(r, c)| is_red(*r, *c))
            .count()
    };
    assert!(terminal.with_screen(red) > 100, "{}", terminal.text());
}

fn every_number_is_that_of_the_last_sample(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let mut terminal = watch(binary, &server, &[], (120, 75));
    assert_shows_info(&terminal, &mut client);
    terminal.press("7");
    terminal.wait_for_all(&["Every number", "Call not understood"]);
    let shown = [
        ("Units shipped", "units-sold"),
        ("Carts open", "holds"),
        ("Placed", "placed"),
        ("Queued", "queued"),
        ("In work", "in-work"),
        ("Cancelled", "cancelled"),
        ("Claimed", "claimed"),
        ("Failed attempts", "failed"),
        ("Died", "dead"),
        ("Dead letters", "dead-letters"),
        ("On hand", "on-hand"),
        ("Held", "held"),
        ("Unknown product", "refused-nosku"),
        ("Not enough units left", "refused-outofstock"),
        ("SKUs", "skus"),
    ];
    let mut last = None;
    wait_until(DEADLINE, "there is a sample of how it is", || {
        last = entries(&mut client, "{popup}:metrics").pop();
        let is_of_now =
            |field: &str| last.as_ref().map(|last| last.text(field)) == Some(info(&mut client, field).to_string());
        shown.iter().map(|(_, field)| *field).all(is_of_now)
    });
    let last = last.expect("a sample");
    for (label, field) in shown {
        let wanted = grouped(last.text(field).parse().expect("a number"));
        terminal.wait_for(&format!("{label} is {wanted}"), |text| {
            let of = |line: &str| {
                let rest = line.trim_matches(['│', ' ']).strip_prefix(label)?.trim_start();
                Some(rest.split(' ').next()? == wanted)
            };
            text.lines().any(|line| of(line) == Some(true))
        });
    }
}

fn it_fits_every_size(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let mut terminal = watch(binary, &server, &[], (80, 24));
    for size in [(80, 24), (200, 60), (80, 20), (132, 43), (81, 24)] {
        terminal.resize(size);
        assert_shows_info(&terminal, &mut client);
        let text = terminal.wait_for_all(&["Orders a second", "q quit"]);
        assert_eq!(text.lines().next().map(|line| line.contains("Holdfast / popup")), Some(true), "{text}");
    }
    terminal.resize((60, 10));
    terminal.wait_for_all(&["This terminal is 60 x 10.", "80 x 20: make it larger."]);
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
    terminal.assert_given_back();
}

fn a_sale_is_seen_while_it_happens(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut terminal = watch(binary, &server, &[], MIDDLE);
    terminal.wait_for_all(&["No store yet", "STORE.SET popup limit 2"]);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let arguments = ["sale", "--url", &url, "--duration", "8", "--units", "300", "--seed", "7"];
    let run = console::start(binary, &arguments, &std::env::temp_dir());
    terminal.wait_for_all(&["Holdfast / popup", "live · ", "Orders a second"]);
    terminal.wait_for("lines are drawn", |text| {
        text.chars().filter(|char| ('\u{2801}'..='\u{28ff}').contains(char)).count() > 30
    });
    terminal.wait_for_all(&["✓ Sold out"]);
    run.wait().assert_success();
    let mut client = server.client();
    let done = grouped(info(&mut client, "completed"));
    let text =
        terminal.wait_for("all is completed", |text| text.contains("quiet") && tile(text, "Orders completed") == done);
    assert_eq!((tile(&text, "Oversold"), tile(&text, "Orders processing")), ("0".into(), "0".into()), "{text}");
    assert!(text.contains("of 0 on hand"), "{text}");
    terminal.press("3");
    let refused = grouped(info(&mut client, "refused-outofstock"));
    terminal.wait_for("refusals are told", |text| {
        text.lines().any(|line| line.contains("OUTOFSTOCK") && line.contains(&format!(" {refused} ")))
    });
}

fn orders_are_looked_up(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let mut terminal = watch(binary, &server, &[], MIDDLE);
    terminal.wait_for_all(&["Holdfast / popup", "Oversold"]);
    terminal.press("/o-2\r");
    let words =
        ["Order o-2", "● Dead", "2 units for c-2", "2 × mug", "Claimed by w-1", "attempt 1: card declined", "Died"];
    terminal.wait_for_all(&words);
    terminal.press("\x1b");
    terminal.wait_for("the order is closed", |text| !text.contains("Order o-2"));
    // Pasted, with a line break that must not end up as a key.
    terminal.press("/\x1b[200~o-5\nq\x1b[201~\r");
    terminal.wait_for_all(&["Order o-5", "● In work", "its lease ends at"]);
    // An order that is looked at is followed.
    client.text("ORDER.COMPLETE popup o-5");
    terminal.wait_for_all(&["● Completed", "its units left the building"]);
    terminal.press("\x1b/no-such\r");
    terminal.wait_for_all(&["no-such", "No order, SKU, cart or customer of this store has this id."]);
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
}

/// On the smallest terminal.
fn records_are_looked_up_and_orders_listed_by_state(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    client.text("ORDER.PLACE popup poster c-1 ITEMS mug 1");
    let mut terminal = watch(binary, &server, &[], (80, 20));
    terminal.wait_for_all(&["Holdfast / popup", "Oversold"]);
    let mut look_up = |id: &str, words: &[&str]| {
        terminal.press(&format!("/{id}\r"));
        terminal.wait_for_all(words);
    };
    look_up(
        "sticker",
        &["SKU", "Available           0", "Low mark            none", "Limit a customer    none of its own"],
    );
    look_up("h-1", &["Cart", "State               live", "Customer            c-20", "3 × mug (3 left, 0 sold)"]);
    // What is ordered and what is in the cart.
    look_up("c-20", &["Customer", "3 units of 50 that a customer may have.", "• Cart h-1 · 3 × mug · c-20 · expires"]);
    look_up("c-5", &["2 units of 50", "• o-5 · In work · 2 × mug · c-5 · placed"]);
    look_up("no-such", &["No order, SKU, cart or customer of this store has this id."]);
    // An order and a SKU: one lies over the other.
    look_up("poster", &["Order poster", "● Queued", "1 unit for c-1"]);
    terminal.press("\x1b");
    terminal.wait_for_all(&["SKU", "On hand             3", "Low mark            5"]);
    terminal.press("\x1b");
    terminal.wait_for("it is closed", |text| !text.contains("On hand "));
    terminal.press("o");
    let queued = format!("Queued        {:>14}", info(&mut client, "queued"));
    terminal.wait_for_all(&["Orders by state", &queued, "Cancelled                  1", "first come, first served"]);
    terminal.press("jj\r");
    terminal.wait_for_all(&["Orders: Queued", "• o-8 · Queued · 2 × mug · c-8 · placed"]);
    terminal.press("\r");
    terminal.wait_for_all(&["Order o-8", "● Queued"]);
    terminal.press("\x1b");
    terminal.wait_for_all(&["Orders: Queued", "• o-8"]);
    terminal.press("\x1b");
    terminal.wait_for("it leads back", |text| !text.contains("Orders: Queued") && text.contains("Orders by state"));
}

fn workers_without_an_order_are_listed(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let mut terminal = watch(binary, &server, &[], (80, 20));
    terminal.wait_for_all(&["Oversold"]);
    client.text("ORDER.COMPLETE popup o-7");
    terminal.press("5");
    terminal.wait_for("w-2 has no order", |text| {
        text.lines().any(|line| line.contains("w-2") && line.contains("no order, last seen with one"))
    });
    client.text("ORDER.PLACE popup again c-8 ITEMS mug 1");
    client.get("ORDER.CLAIM popup w-2 COUNT 9");
    terminal.wait_for("it has one again", |text| !text.contains("last seen with one") && text.contains("w-2"));
}

fn dead_orders_are_redriven(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let mut terminal = watch(binary, &server, &["--allow-writes"], MIDDLE);
    terminal.wait_for_all(&["▸ card declined", "▸ why? [no*]"]);
    terminal.press("4");
    terminal.wait_for_all(&["r redrives"]);
    terminal.press("r");
    terminal.wait_for_all(&["Redrive 2 orders?", "“card declined”"]);
    terminal.press("n");
    terminal.wait_for("the question is gone", |text| !text.contains("Redrive 2 orders?"));
    assert_eq!(info(&mut client, "dead-letters"), 3);
    terminal.press("r");
    terminal.wait_for_all(&["Redrive 2 orders?"]);
    terminal.press("y");
    terminal.wait_for_all(&["2 orders queued again."]);
    for (order, state) in [("o-2", "queued"), ("o-3", "queued"), ("o-4", "dead")] {
        assert_eq!(order_field(&mut client, order, "state"), state, "{order}");
    }
    // The other reason looks like a pattern, and is taken as it is; this time by one of its orders.
    terminal.wait_for("the reason is gone", |text| !text.contains("▸ card declined"));
    terminal.press("\r");
    terminal.wait_for_all(&["▾ why? [no*]", "o-4"]);
    terminal.press("j\r");
    terminal.wait_for_all(&["Order o-4", "● Dead", "r redrives it"]);
    terminal.press("r");
    terminal.wait_for_all(&["Redrive order o-4?"]);
    terminal.press("y");
    terminal.wait_for_all(&["Order o-4 is queued again.", "● Queued", "Redriven"]);
    assert_eq!(info(&mut client, "dead-letters"), 0);
    terminal.press("\x1b");
    terminal.wait_for_all(&["No dead letters: no order ran out of attempts."]);
}

fn nothing_is_written_unless_allowed(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let mut terminal = watch(binary, &server, &[], (80, 24));
    terminal.wait_for_all(&["Oversold"]);
    terminal.press("4");
    terminal.wait_for_all(&["▸ card declined", "read-only: redrive needs --allow-writes"]);
    terminal.press("r");
    terminal.wait_for_all(&["Read-only. To redrive from here, start it as holdfast watch --tui"]);
    terminal.press("y");
    terminal.wait_for_all(&["q quit"]);
    assert_eq!(info(&mut client, "dead-letters"), 3);
}

fn stores_are_listed_and_opened(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for (store, units) in [("alpha", 5), ("beta", 7_000), ("gamma", 9)] {
        client.int(format!("INV.SET {store} mug {units}"));
    }
    let mut terminal = watch(binary, &server, &[], MIDDLE);
    let text = terminal.wait_for_all(&["3 stores on", "alpha", "beta", "gamma", "7,000", "7,014 units available"]);
    assert!(!text.contains("Units available"), "{text}");
    terminal.press("\x1b[B\r");
    terminal.wait_for_all(&["Holdfast / beta", "of 7,000 on hand", "No orders yet"]);
    terminal.press("\x1b");
    terminal.wait_for_all(&["3 stores on"]);
    terminal.press("/GAM\r");
    terminal.wait_for("others are not listed", |text| text.contains("gamma") && !text.contains("beta"));
    terminal.press("\r");
    terminal.wait_for_all(&["Holdfast / gamma"]);
    client.int("DEL gamma");
    terminal.wait_for_all(&["There is no store “gamma”."]);
    client.int("INV.SET gamma mug 4");
    terminal.wait_for_all(&["of 4 on hand"]);
}

fn leases_are_counted_down(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup mug 10");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS mug 1");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS mug 1");
    let claimed = claim_one(&mut client, "ORDER.CLAIM popup w-1 LEASE 90000");
    let mut terminal = watch(binary, &server, &[], (80, 24));
    terminal.wait_for_all(&["Oversold"]);
    terminal.press("5");
    terminal.wait_for_all(&["w-1", &claimed.order, "1 min 2", "1 order waiting for a worker"]);
    terminal.wait_for_all(&["1 min 1"]);
    terminal.press("\r");
    terminal.wait_for_all(&["Order o-1", "● In work"]);
}

fn a_lost_server_is_told_and_found_again(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    client.int("INV.SET popup mug 77");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS mug 1");
    let mut terminal = watch(binary, &server, &[], (80, 24));
    terminal.wait_for_all(&["of 77 on hand", "● Open"]);
    server.shutdown();
    let words = ["connection lost, retrying", "is away since", "What you see is from", "of 77 on hand"];
    terminal.wait_for_all(&words);
    server.start_again();
    terminal.wait_for("it is back", |text| !text.contains("connection lost") && text.contains("of 77 on hand"));
    let mut client = server.client();
    client.ok("CONFIG SET holdfast.sample-ms 1000");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS mug 6");
    terminal.wait_for_all(&["Held 7 ", "live · "]);
    server.shutdown();
    terminal.wait_for_all(&["connection lost, retrying"]);
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
    terminal.assert_given_back();
    server.start_again();
}
