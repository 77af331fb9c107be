//! STORE.SET, GET, INFO, AUDIT, REPAIR and DROP.

use std::time::Duration;

use crate::common::{
    Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, cmd, entries, open_store,
    server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    set_makes_a_store_with_defaults,
    get_of_named_fields,
    set_is_all_or_nothing,
    every_field_can_be_set,
    paused_is_yes_or_no,
    keywords_in_any_case,
    window_opens_and_closes,
    a_hold_taken_in_time_is_placed_after_closing,
    limit_counts_holds_and_orders,
    limit_counts_for_as_long_as_the_store_lives,
    limit_of_a_sku,
    a_hold_turned_into_an_order_counts_once,
    history_caps_the_complete_stream,
    audit_of_a_busy_store_is_clean,
    info_counts_what_there_is,
    info_tells_what_is_due_and_how_long_orders_wait,
    drop_removes_store_and_streams,
    drop_of_a_big_store_does_not_block,
    drop_in_multi_runs_to_its_end,
    stores_are_apart,
    watch_sees_every_change,
    caches_of_clients_hear_of_every_change,
    names_are_written_with_dashes_everywhere_but_in_info,
];

/// The fields of the contract and their defaults.
const DEFAULTS: &[(&str, &str)] = &[
    ("opens", "0"),
    ("closes", "0"),
    ("limit", "0"),
    ("hold-ms", "600000"),
    ("lease-ms", "30000"),
    ("attempts", "5"),
    ("backoff-ms", "100"),
    ("backoff-cap-ms", "60000"),
    ("keep-ms", "86400000"),
    ("sla-ms", "0"),
    ("history", "100000"),
    ("journal", "0"),
    ("metrics", "7200"),
    ("alerts", "10000"),
    ("hold-max-ms", "0"),
    ("hold-max-units", "0"),
    ("paused", "no"),
];

fn fields(client: &mut Client, command: &str) -> Vec<(String, String)> {
    let pairs = client.get(command).pairs();
    pairs.into_iter().map(|(name, value)| (name, value.text())).collect()
}

fn set_makes_a_store_with_defaults(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.refused("NOSTORE", "STORE.GET popup");
    client.ok("STORE.SET popup limit 0");
    assert_eq!(client.text("TYPE popup"), "holdstore");
    let mut wanted: Vec<(String, String)> =
        DEFAULTS.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut found = fields(&mut client, "STORE.GET popup");
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    assert_eq!(client.int("EXISTS {popup}:orders {popup}:complete"), 0, "a new store has no streams of orders yet");
}

fn get_of_named_fields(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup limit 7 sla-ms 900000");
    let found = fields(&mut client, "STORE.GET popup sla-ms limit");
    let wanted = [("sla-ms", "900000"), ("limit", "7")].map(|(name, value)| (name.to_string(), value.to_string()));
    assert_eq!(found, wanted);
    client.refused_naming("ERR", "colour", "STORE.GET popup colour");
}

fn set_is_all_or_nothing(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.refused_naming("ERR", "hold-ms", "STORE.SET popup limit 3 hold-ms soon");
    assert_eq!(client.int("EXISTS popup"), 0, "a refused STORE.SET makes no store");
    client.ok("STORE.SET popup limit 3");
    client.refused_naming("ERR", "colour", "STORE.SET popup limit 4 colour red");
    client.refused("ERR", "STORE.SET popup limit 4 hold-ms");
    assert_eq!(fields(&mut client, "STORE.GET popup limit")[0].1, "3");
}

fn every_field_can_be_set(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for (index, (name, _)) in DEFAULTS.iter().enumerate().filter(|(_, (name, _))| *name != "paused") {
        let value = 1000 + index;
        client.ok(format!("STORE.SET popup {name} {value}"));
        assert_eq!(fields(&mut client, &format!("STORE.GET popup {name}"))[0].1, value.to_string(), "{name}");
        for bad in ["-1", "x", "1.5", "9007199254740992", "99999999999999999999999", ""] {
            let command: Vec<Vec<u8>> =
                ["STORE.SET", "popup", name, bad].iter().map(|word| word.as_bytes().to_vec()).collect();
            client.refused_naming("ERR", name, command);
        }
    }
    assert_eq!(fields(&mut client, "STORE.GET popup").len(), DEFAULTS.len());
}

fn paused_is_yes_or_no(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup paused YES");
    assert_eq!(fields(&mut client, "STORE.GET popup paused")[0].1, "yes");
    client.refused_naming("ERR", "paused", "STORE.SET popup paused maybe");
    client.ok("STORE.SET popup paused no");
    assert_eq!(fields(&mut client, "STORE.GET popup paused")[0].1, "no");
}

fn keywords_in_any_case(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("store.set popup LIMIT 5 Metrics 0");
    assert_eq!(client.int("Inv.Set popup sku-1 9 safety 1 Low 2"), 8);
    client.int("inv.reserve popup h-1 customer c-1 ttl 60000 items sku-1 1");
    client.text("order.place popup o-1 c-1 data {} group g-1 items sku-1 1");
    client.text("order.complete popup o-1 result {}");
    assert_eq!(client.get("inv.scan popup 0 match sku* count 10").array()[1].texts(), ["sku-1"]);
    assert_eq!(client.int("inv.commit popup h-1 ref r-1 Items sku-1 1"), 0);
}

fn window_opens_and_closes(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    let now_ms = server_now_ms(&mut client);
    client.ok(format!("STORE.SET popup opens {}", now_ms + 3_600_000));
    let place = "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1";
    let reserve = "INV.RESERVE popup h-1 ITEMS sku-1 1";
    for command in [place, reserve] {
        client.refused_naming("NOTOPEN", &format!("opens at {}", now_ms + 3_600_000), command);
    }
    client.ok(format!("STORE.SET popup opens {} closes {}", now_ms - 2000, now_ms - 1000));
    for command in [place, reserve] {
        client.refused_naming("CLOSED", &format!("closed at {}", now_ms - 1000), command);
    }
    client.ok(format!("STORE.SET popup closes {}", now_ms + 3_600_000));
    client.text(place);
    client.int(reserve);
}

fn a_hold_taken_in_time_is_placed_after_closing(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    let expiry = client.int("INV.RESERVE popup h-1 ITEMS sku-1 2");
    let placed = client.text("ORDER.PLACE popup o-0 c-1 ITEMS sku-1 1");
    let now_ms = server_now_ms(&mut client);
    client.ok(format!("STORE.SET popup closes {}", now_ms - 1));
    client.refused("CLOSED", "INV.RESERVE popup h-2 ITEMS sku-1 1");
    assert_eq!(client.int("INV.RESERVE popup h-1 ITEMS sku-1 2"), expiry, "a retry is answered after closing");
    assert_eq!(client.text("ORDER.PLACE popup o-0 c-1 ITEMS sku-1 1"), placed, "a retry is answered after closing");
    client.text("ORDER.PLACE popup o-1 c-1 HOLD h-1");
    client.text("ORDER.COMPLETE popup o-1");
    assert_books_balance(&mut client, "popup");
}

fn limit_counts_holds_and_orders(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 50);
    client.ok("STORE.SET popup limit 3");
    client.int("INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let text = client.refused("LIMIT", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2");
    assert!(text.starts_with("LIMIT customer c-1 limit 3 has 2"), "{text}");
    client.refused("LIMIT", "INV.RESERVE popup h-2 CUSTOMER c-1 ITEMS sku-1 2");
    client.int("INV.RESERVE popup h-3 ITEMS sku-1 20");
    client.text("ORDER.PLACE popup o-3 c-2 ITEMS sku-1 3");
    client.text("ORDER.PLACE popup o-4 c-1 ITEMS sku-1 1");
    client.refused("LIMIT", "ORDER.PLACE popup o-5 c-1 ITEMS sku-1 1");
    client.int("INV.RELEASE popup h-1");
    client.get("ORDER.CANCEL popup o-4");
    client.text("ORDER.PLACE popup o-5 c-1 ITEMS sku-1 2");
    client.refused("LIMIT", "ORDER.PLACE popup o-6 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-5");
    client.refused("LIMIT", "ORDER.PLACE popup o-6 c-1 ITEMS sku-1 1");
    client.get("ORDER.RETURN popup o-5 REF r-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-6 c-1 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

/// A customer's units count longer than their order is remembered.
fn limit_counts_for_as_long_as_the_store_lives(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 50);
    client.ok("STORE.SET popup limit 1 keep-ms 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    wait_until(DEADLINE, "the ended order is forgotten", || client.call("ORDER.GET popup o-1").is_error());
    client.refused("LIMIT", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

fn limit_of_a_sku(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 50);
    client.int("INV.SET popup rare 50 LIMIT 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS rare 1 sku-1 9");
    client.refused("LIMIT", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1 rare 1");
    client.refused("LIMIT", "INV.RESERVE popup h-2 CUSTOMER c-1 ITEMS rare 1");
    client.refused("LIMIT", "ORDER.PLACE popup o-3 c-2 ITEMS rare 2");
    client.refused("LIMIT", "ORDER.PLACE popup o-3 c-2 ITEMS rare 1 rare 1");
    client.text("ORDER.PLACE popup o-3 c-2 ITEMS rare 1");
    client.get("ORDER.CANCEL popup o-1");
    client.text("ORDER.PLACE popup o-4 c-1 ITEMS rare 1");
    assert_books_balance(&mut client, "popup");
}

fn a_hold_turned_into_an_order_counts_once(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 50);
    client.ok("STORE.SET popup limit 1");
    client.int("INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-1 c-1 HOLD h-1");
    client.refused("LIMIT", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    // A hold without a customer counts for the customer that orders it.
    client.int("INV.RESERVE popup h-2 ITEMS sku-1 2");
    client.refused("LIMIT", "ORDER.PLACE popup o-3 c-3 HOLD h-2");
    client.get("ORDER.CANCEL popup o-1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

fn history_caps_the_complete_stream(binary: &ServerBinary) {
    const ORDERS: i64 = 1000;
    const HISTORY: i64 = 10;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", ORDERS);
    client.ok(format!("STORE.SET popup history {HISTORY}"));
    for order in 0..ORDERS {
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1"));
        client.text(format!("ORDER.COMPLETE popup o-{order}"));
    }
    assert_eq!(client.int("XLEN {popup}:complete"), HISTORY);
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
    // A long stream is trimmed by a few entries at a time.
    client.ok("STORE.SET popup history 400");
    for order in ORDERS..2 * ORDERS {
        client.int("INV.ADJUST popup sku-1 1");
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1"));
        client.text(format!("ORDER.COMPLETE popup o-{order}"));
    }
    let length = client.int("XLEN {popup}:complete");
    assert!((375..=400).contains(&length), "{length} entries with a history of 400");
    let last = entries(&mut client, "{popup}:complete").pop().expect("an entry");
    assert_eq!(last.text("order"), format!("o-{}", 2 * ORDERS - 1));
}

/// Reserves, places, completes, cancels, commits and returns in one store: some of everything.
fn keep_busy(client: &mut Client, key: &str) {
    for number in 0..200 {
        let customer = number / 5 % 7;
        match number % 5 {
            0 => drop(client.int(format!("INV.RESERVE {key} h-{number} CUSTOMER c-{customer} ITEMS sku-1 1 sku-2 2"))),
            1 => drop(client.text(format!("ORDER.PLACE {key} o-{number} c-{customer} HOLD h-{}", number - 1))),
            2 => drop(client.text(format!("ORDER.PLACE {key} o-{number} c-{customer} ITEMS sku-1 3"))),
            3 => drop(client.text(format!("ORDER.COMPLETE {key} o-{}", number - 2))),
            _ => drop(client.get(format!("ORDER.CANCEL {key} o-{}", number - 2))),
        }
    }
    client.int(format!("INV.RESERVE {key} h-last ITEMS sku-2 2"));
    client.int(format!("INV.COMMIT {key} h-last ITEMS sku-2 1"));
    client.get(format!("ORDER.RETURN {key} o-1 REF r-1 ITEMS sku-2 1"));
}

fn audit_of_a_busy_store_is_clean(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5000);
    client.int("INV.SET popup sku-2 5000 SAFETY 10");
    keep_busy(&mut client, "popup");
    let (on_hand, held, available) = stock(&mut client, "popup", "sku-2");
    // 40 orders of a hold are completed, one unit was committed, one came back.
    assert_eq!((on_hand, held, available), (5000 - 40 * 2 - 1 + 1, 1, 5000 - 80 - 1 - 10));
    assert_books_balance(&mut client, "popup");
    // On-hand counts may fall below what is held: that is not an error in the books.
    client.int("INV.RESERVE popup h-over ITEMS sku-1 100");
    assert_eq!(client.int("INV.SET popup sku-1 3"), -97);
    assert_books_balance(&mut client, "popup");
}

fn info_counts_what_there_is(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5000);
    client.int("INV.SET popup sku-2 5000 SAFETY 10");
    keep_busy(&mut client, "popup");
    let info = client.get("STORE.INFO popup");
    let number = |name| info.field(name).int();
    let (one, two) = (stock(&mut client, "popup", "sku-1"), stock(&mut client, "popup", "sku-2"));
    assert_eq!(number("skus"), 2);
    assert_eq!([number("on-hand"), number("held"), number("available")], [one.0 + two.0, one.1 + two.1, one.2 + two.2]);
    // Of each five: one order completed, one cancelled, the hold is the order's.
    assert_eq!([number("queued"), number("completed"), number("cancelled")], [0, 40, 40]);
    assert_eq!([number("holds"), number("customers")], [1, 7]);
    assert_eq!(number("sold"), 40 * 3 + 1 - 1);
    assert!(number("bytes") > 1000);
    client.refused("NOSTORE", "STORE.INFO nothing");
}

fn info_tells_what_is_due_and_how_long_orders_wait(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let info = |client: &mut Client, name: &str| client.get("STORE.INFO popup").field(name);
    assert_eq!(info(&mut client, "oldest-waiting-ms").int(), 0);
    assert_eq!(info(&mut client, "next-due"), Reply::Nil);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the order has waited", || info(&mut client, "oldest-waiting-ms").int() >= 20);
    let first_ms = client.int("INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 1");
    client.int("INV.RESERVE popup h-2 TTL 70000 ITEMS sku-1 1");
    assert_eq!(info(&mut client, "next-due").int(), first_ms);
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(info(&mut client, "oldest-waiting-ms").int(), 0);
}

fn drop_removes_store_and_streams(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.refused("NOSTORE", "STORE.DROP popup");
    open_store(&mut client, "popup", 5);
    client.ok("STORE.SET popup journal 100");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    client.int("INV.RESERVE popup h-1 TTL 50 ITEMS sku-1 1");
    client.ok("SET {popup}:mine untouched");
    assert!(client.int("DBSIZE") >= 4);
    client.get("STORE.DROP popup");
    assert_eq!(client.get("KEYS *").texts(), ["{popup}:mine"]);
    client.refused("NOSTORE", "STORE.INFO popup");
    // A new store of the same name has nothing of the old one.
    open_store(&mut client, "popup", 7);
    client.refused("NOORDER", "ORDER.GET popup o-2");
    client.text("ORDER.PLACE popup o-2 c-9 ITEMS sku-1 7");
    assert_books_balance(&mut client, "popup");
}

fn drop_of_a_big_store_does_not_block(binary: &ServerBinary) {
    const ORDERS: usize = 50_000;
    const SLOWEST_US: i64 = 50_000;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", ORDERS as i64);
    let orders: Vec<_> = (0..ORDERS)
        .map(|order| format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1").into_command())
        .collect();
    for part in orders.chunks(1000) {
        assert!(client.pipeline(part).iter().all(|reply| !reply.is_error()));
    }
    client.ok(format!("CONFIG SET slowlog-log-slower-than {SLOWEST_US}"));
    client.ok("SLOWLOG RESET");
    client.get("STORE.AUDIT popup");
    client.get("STORE.DROP popup");
    assert_eq!(client.int("DBSIZE"), 0);
    let slow = client.get("SLOWLOG GET");
    let slow: Vec<&Reply> =
        slow.array().iter().filter(|entry| !entry.array()[3].texts().concat().contains("CONFIG")).collect();
    assert!(slow.is_empty(), "over {SLOWEST_US} µs: {slow:?}");
}

fn drop_in_multi_runs_to_its_end(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.ok("MULTI");
    for command in ["STORE.AUDIT popup", "STORE.REPAIR popup", "STORE.DROP popup", "EXISTS popup {popup}:orders"] {
        assert_eq!(client.text(command), "QUEUED");
    }
    let replies = client.get("EXEC");
    let replies = replies.array();
    assert_eq!(replies[0], Reply::Array(Vec::new()), "audit");
    assert_eq!(replies[1].int(), 0, "repair");
    assert!(!replies[2].is_error(), "drop: {:?}", replies[2]);
    assert_eq!(replies[3].int(), 0, "keys after the drop");
    open_store(&mut client, "popup", 5);
    let call = |name: &str| format!("redis.call('STORE.{name}', KEYS[1])");
    let script = format!("return {{{}}}", ["AUDIT", "REPAIR", "DROP"].map(call).join(", "));
    client.get(cmd!["EVAL", script, 1, "popup"]);
    assert_eq!(client.int("EXISTS popup"), 0);
}

fn stores_are_apart(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    open_store(&mut client, "shop:{42}", 6);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE shop:{42} o-1 c-2 ITEMS sku-1 2");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (5, 1, 4));
    assert_eq!(stock(&mut client, "shop:{42}", "sku-1"), (6, 2, 4));
    let mut keys = client.get("KEYS *").texts();
    keys.sort();
    assert_eq!(keys, ["popup", "shop:{42}", "shop:{42}:orders", "{popup}:orders"]);
}

/// WATCH on the store and its streams notices commands and deadlines, but not a command that changed nothing.
fn watch_sees_every_change(binary: &ServerBinary) {
    let server = Server::start(binary);
    let (mut client, mut other) = (server.client(), server.client());
    open_store(&mut client, "popup", 10);
    client.text("ORDER.PLACE popup o-0 c-1 ITEMS sku-1 1");
    let mut survives = |key: &str, change: &mut dyn FnMut(&mut Client)| {
        client.ok(format!("WATCH {key}"));
        change(&mut other);
        client.ok("MULTI");
        client.text("PING");
        client.get("EXEC") != Reply::Nil
    };
    let place = "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1";
    assert!(!survives("popup", &mut |other| drop(other.text(place))), "an order");
    assert!(survives("popup", &mut |other| drop(other.text(place))), "a retry");
    assert!(survives("popup", &mut |other| drop(other.refused("NOORDER", "ORDER.CANCEL popup o-9"))), "a refusal");
    assert!(survives("popup", &mut |other| drop(other.get("STORE.INFO popup"))), "a read");
    assert!(!survives("{popup}:orders", &mut |other| drop(other.text("ORDER.COMPLETE popup o-1"))), "its stream");
    assert!(!survives("{popup}:orders", &mut |other| drop(other.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1"))));
    let expire = &mut |other: &mut Client| {
        other.int("INV.RESERVE popup h-1 TTL 60 ITEMS sku-1 1");
    };
    assert!(!survives("popup", expire), "a hold");
    let wait = &mut |other: &mut Client| {
        wait_until(DEADLINE, "the hold expires", || stock(other, "popup", "sku-1").1 == 2);
    };
    assert!(!survives("popup", wait), "a deadline");
    assert!(!survives("popup", &mut |other| drop(other.get("STORE.DROP popup"))), "a drop");
}

/// CLIENT TRACKING: who keeps what it read is told of commands and of deadlines.
fn caches_of_clients_hear_of_every_change(binary: &ServerBinary) {
    let server = Server::start(binary);
    let (mut client, mut reader, mut ear) = (server.client(), server.client(), server.client());
    open_store(&mut client, "popup", 10);
    let id = ear.int("CLIENT ID");
    ear.get("SUBSCRIBE __redis__:invalidate");
    reader.ok(format!("CLIENT TRACKING ON REDIRECT {id}"));
    let mut told = |what: &str, change: &mut dyn FnMut()| {
        reader.get("INV.GET popup sku-1");
        change();
        let message = ear.receive().expect(what);
        assert_eq!(message.array()[2].texts(), ["popup"], "{what}");
        assert!(ear.is_silent(Duration::from_millis(20)), "{what}: told once");
    };
    told("a hold", &mut || drop(client.get("INV.RESERVE popup h-1 TTL 1000 ITEMS sku-1 1")));
    told("its end", &mut || {});
    told("an order", &mut || drop(client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1")));
    told("a claim", &mut || drop(client.get("ORDER.CLAIM popup w-1 LEASE 1000")));
    told("the end of its lease", &mut || {});
    told("a drop", &mut || drop(client.get("STORE.DROP popup")));
}

/// The names in a reply: of maps, at any depth.
fn names(reply: &Reply, found: &mut Vec<String>) {
    match reply {
        Reply::Map(pairs) => {
            for (name, value) in pairs {
                found.push(name.text());
                names(value, found);
            }
        }
        Reply::Array(list) => list.iter().for_each(|reply| names(reply, found)),
        _ => {}
    }
}

fn names_are_written_with_dashes_everywhere_but_in_info(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.get("HELLO 3");
    client.ok("STORE.SET popup metrics 10 journal 10 sla-ms 1");
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 1");
    client.get("ORDER.PLACE popup o-0 c-1 GATE pay 0 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-1 c-1 LANE fast ITEMS sku-1 2");
    client.int("ORDER.EDIT popup o-1 ITEMS sku-1 3");
    let mut found = Vec::new();
    let replies = [
        "ORDER.CLAIM popup w-1",
        "ORDER.FAIL popup o-1 FATAL",
        "ORDER.GET popup o-0",
        "ORDER.GET popup o-1",
        "INV.GET popup sku-1",
        "INV.HOLD popup h-1",
        "STORE.GET popup",
        "STORE.INFO popup",
        "STORE.LANES popup",
    ];
    for command in replies {
        let before = found.len();
        names(&client.get(command), &mut found);
        assert!(found.len() > before, "{command} has names");
    }
    client.int("ORDER.REDRIVE popup o-1");
    client.text("ORDER.COMPLETE popup o-1");
    let kinds = ["complete", "journal", "alerts", "metrics"];
    for kind in kinds {
        let stream = format!("{{popup}}:{kind}");
        wait_until(DEADLINE, "the stream has an entry", || !entries(&mut client, &stream).is_empty());
        found.extend(entries(&mut client, &stream)[0].names().into_iter().map(str::to_string));
    }
    for name in ["on-hand", "placed-at", "in-work", "oldest-waiting-ms", "hold-max-ms", "gates-expired", "took-ms"] {
        assert!(found.iter().any(|found| found == name), "{name} is among {found:?}");
    }
    let wrong: Vec<_> = found.iter().filter(|name| name.contains('_')).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let info = client.text("INFO holdfast");
    let names = info.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(':').next());
    let wrong: Vec<_> = names.filter(|name| name.contains('-')).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
