//! ORDER.PLACE, COMPLETE, CANCEL, RETURN, GET and SCAN.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, cmd, entries, server_now_ms, shop_of, stock,
    tests, wait_until,
};
use std::collections::BTreeSet;

tests![
    place_takes_units_and_queues,
    place_is_all_or_nothing,
    place_is_idempotent,
    place_again_in_every_state,
    place_of_the_same_sku_twice_adds_up,
    complete_commits_the_units,
    complete_is_idempotent,
    cancel_puts_units_back,
    cancel_is_idempotent,
    ended_orders_refuse,
    token_of_an_unclaimed_order_is_fenced,
    return_puts_units_back,
    return_never_more_than_it_had,
    return_with_a_ref_applies_once,
    get_tells_the_whole_history,
    scan_by_state_and_customer,
    scan_of_late_orders,
    scan_keeps_what_stays_while_others_come_and_go,
    binary_ids_go_through,
    groups_are_kept,
    entry_ids_only_grow,
];

fn state(client: &mut Client, order: &str) -> String {
    client.get(format!("ORDER.GET popup {order}")).field("state").text()
}

fn place_takes_units_and_queues(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 4");
    let before_ms = server_now_ms(&mut client);
    let id = client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3 sku-2 1");
    let after_ms = server_now_ms(&mut client);
    let orders = entries(&mut client, "{popup}:orders");
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].id, id);
    assert!((before_ms..=after_ms).contains(&orders[0].ms()), "{id} is not between {before_ms} and {after_ms}");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 3, 7));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (4, 1, 3));
    assert_eq!(state(&mut client, "o-1"), "queued");
    assert_books_balance(&mut client, "popup");
}

fn place_is_all_or_nothing(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 4");
    let text = client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3 sku-2 5");
    assert_eq!(text, "OUTOFSTOCK sku-2 wanted 5 available 4");
    client.refused_naming("NOSKU", "sku-9", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3 sku-9 1");
    client.refused("NOORDER", "ORDER.GET popup o-1");
    assert_eq!(client.int("EXISTS {popup}:orders"), 0);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 10 sku-2 4");
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
}

fn place_is_idempotent(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let place =
        cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "GROUP", "g-1", "DATA", r#"{"gift":true}"#, "ITEMS", "sku-1", 3];
    let id = client.text(&place);
    let digest = client.digest();
    assert_eq!(client.text(&place), id);
    assert_eq!(client.digest(), digest, "a retry changes nothing");
    for (at, other) in [(3, "c-2"), (5, "g-2"), (7, "{}"), (10, "4")] {
        let mut command = place.clone();
        command[at] = other.into();
        client.refused_naming("MISMATCH", "o-1", command);
    }
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 3, 7));
}

fn place_again_in_every_state(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let place = |order: &str| format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1");
    let completed = client.text(place("o-completed"));
    client.text("ORDER.COMPLETE popup o-completed");
    client.text(place("o-cancelled"));
    client.get("ORDER.CANCEL popup o-cancelled");
    // Stock, limit and window are not checked again for a repeated call.
    client.int("INV.SET popup sku-1 0");
    client.ok("STORE.SET popup limit 1 closes 1");
    let digest = client.digest();
    assert_eq!(client.text(place("o-completed")), completed);
    assert_eq!(client.refused("BADSTATE", place("o-cancelled")), "BADSTATE order is cancelled");
    assert_eq!(client.digest(), digest);
    assert_eq!(state(&mut client, "o-cancelled"), "cancelled");
}

fn place_of_the_same_sku_twice_adds_up(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 10");
    let id = client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3 sku-2 1 sku-1 4");
    for same in ["sku-1 7 sku-2 1", "sku-2 1 sku-1 7", "sku-1 1 sku-2 1 sku-1 6"] {
        assert_eq!(client.text(format!("ORDER.PLACE popup o-1 c-1 ITEMS {same}")), id, "{same}");
    }
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1 sku-2 7");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 7, 3));
    assert_eq!(entries(&mut client, "{popup}:orders")[0].text("items"), r#"[["sku-1",7],["sku-2",1]]"#);
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2 sku-1 2");
    client.get("ORDER.CANCEL popup o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
}

fn complete_commits_the_units(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    let id = client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(entries(&mut client, "{popup}:complete")[0].id, id);
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (7, 0, 7));
    assert_eq!(state(&mut client, "o-1"), "completed");
    assert_books_balance(&mut client, "popup");
}

fn complete_is_idempotent(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    let complete = cmd!["ORDER.COMPLETE", "popup", "o-1", "RESULT", r#"{"parcel":7}"#];
    let id = client.text(&complete);
    let digest = client.digest();
    assert_eq!(client.text(&complete), id);
    assert_eq!(client.digest(), digest);
    client.refused_naming("MISMATCH", "o-1", cmd!["ORDER.COMPLETE", "popup", "o-1", "RESULT", r#"{"parcel":8}"#]);
    client.refused("MISMATCH", "ORDER.COMPLETE popup o-1");
    assert_eq!(client.int("XLEN {popup}:complete"), 1);
}

fn cancel_puts_units_back(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 4");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3 sku-2 2");
    assert_eq!(client.int("ORDER.CANCEL popup o-1 REASON changed-my-mind"), 5);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (4, 0, 4));
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
    assert_eq!(client.int("EXISTS {popup}:complete"), 0);
    assert_books_balance(&mut client, "popup");
}

fn cancel_is_idempotent(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    assert_eq!(client.int("ORDER.CANCEL popup o-1 REASON r"), 3);
    let digest = client.digest();
    assert_eq!(client.int("ORDER.CANCEL popup o-1 REASON r"), 3);
    assert_eq!(client.digest(), digest);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
}

fn ended_orders_refuse(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-completed c-1 ITEMS sku-1 3");
    client.text("ORDER.COMPLETE popup o-completed");
    client.text("ORDER.PLACE popup o-cancelled c-1 ITEMS sku-1 3");
    client.get("ORDER.CANCEL popup o-cancelled");
    let text = client.refused("BADSTATE", "ORDER.CANCEL popup o-completed");
    assert_eq!(text, "BADSTATE order is completed");
    let text = client.refused("BADSTATE", "ORDER.COMPLETE popup o-cancelled");
    assert_eq!(text, "BADSTATE order is cancelled");
    client.refused("BADSTATE", "ORDER.RETURN popup o-cancelled ITEMS sku-1 1");
    for command in [
        "ORDER.COMPLETE popup o-9",
        "ORDER.CANCEL popup o-9",
        "ORDER.RETURN popup o-9 ITEMS sku-1 1",
        "ORDER.GET popup o-9",
    ] {
        client.refused_naming("NOORDER", "o-9", command);
    }
}

fn token_of_an_unclaimed_order_is_fenced(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    client.refused("FENCED", "ORDER.COMPLETE popup o-1 TOKEN 1");
    client.refused_naming("ERR", "TOKEN", "ORDER.COMPLETE popup o-1 TOKEN x");
    client.text("ORDER.COMPLETE popup o-1");
}

fn return_puts_units_back(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 4");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3 sku-2 2");
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1 sku-2 2"), 3);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (8, 0, 8));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (4, 0, 4));
    assert_eq!(state(&mut client, "o-1"), "completed");
    assert_books_balance(&mut client, "popup");
}

fn return_never_more_than_it_had(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 4");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    client.text("ORDER.COMPLETE popup o-1");
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 4");
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 2 sku-1 2");
    let reply = client.call("ORDER.RETURN popup o-1 ITEMS sku-1 1 sku-2 1");
    assert!(reply.is_error(), "a SKU that it did not have: {reply:?}");
    assert_eq!(client.int("ORDER.RETURN popup o-1 ITEMS sku-1 2"), 2);
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 2");
    assert_eq!(client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1"), 1);
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
    assert_books_balance(&mut client, "popup");
}

fn return_with_a_ref_applies_once(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.int("ORDER.RETURN popup o-1 REF r-1 ITEMS sku-1 1"), 1);
    let digest = client.digest();
    assert_eq!(client.int("ORDER.RETURN popup o-1 REF r-1 ITEMS sku-1 1"), 1);
    assert_eq!(client.digest(), digest);
    client.refused_naming("MISMATCH", "r-1", "ORDER.RETURN popup o-1 REF r-1 ITEMS sku-1 2");
    assert_eq!(client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1"), 1);
    assert_eq!(client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1"), 1, "without REF it applies each time");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (9, 0, 9));
}

fn get_tells_the_whole_history(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let before_ms = server_now_ms(&mut client);
    client.text(cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "GROUP", "g-1", "DATA", r#"{"a":1}"#, "ITEMS", "sku-1", 2]);
    let open = client.get("ORDER.GET popup o-1");
    assert_eq!(open.field("order").text(), "o-1");
    assert_eq!(open.field("customer").text(), "c-1");
    assert_eq!(open.field("group").text(), "g-1");
    assert_eq!(open.field("data").text(), r#"{"a":1}"#);
    assert_eq!(open.field("state").text(), "queued");
    let placed_ms = open.field("placed-at").int();
    client.text("ORDER.COMPLETE popup o-1 RESULT {}");
    client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1");
    let after_ms = server_now_ms(&mut client);
    assert!((before_ms..=after_ms).contains(&placed_ms));
    let ended = client.get("ORDER.GET popup o-1");
    assert_eq!(ended.field("state").text(), "completed");
    assert_eq!(ended.field("placed-at").int(), placed_ms);
    let history = ended.field("history");
    let events: Vec<String> = history.array().iter().map(|step| step.field("event").text()).collect();
    assert_eq!(events, ["placed", "completed", "returned"]);
    let times: Vec<i64> = history.array().iter().map(|step| step.field("at").int()).collect();
    assert_eq!(times[0], placed_ms);
    assert!(times.is_sorted() && times[2] <= after_ms, "{times:?}");
}

/// Iterates with ORDER.SCAN to the end.
fn scan(client: &mut Client, options: &str) -> BTreeSet<String> {
    let (mut cursor, mut found) = ("0".to_string(), BTreeSet::new());
    loop {
        let reply = client.get(format!("ORDER.SCAN popup {cursor} {options}"));
        found.extend(reply.array()[1].texts());
        cursor = reply.array()[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

fn scan_by_state_and_customer(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1000);
    for number in 0..300 {
        client.text(format!("ORDER.PLACE popup o-{number} c-{} ITEMS sku-1 1", number % 4));
        match number % 3 {
            1 => drop(client.text(format!("ORDER.COMPLETE popup o-{number}"))),
            2 => drop(client.int(format!("ORDER.CANCEL popup o-{number}"))),
            _ => {}
        }
    }
    let wanted = |keep: &dyn Fn(i32) -> bool| -> BTreeSet<String> {
        (0..300).filter(|number| keep(*number)).map(|number| format!("o-{number}")).collect()
    };
    for count in ["", "COUNT 1", "COUNT 17", "COUNT 100000"] {
        assert_eq!(scan(&mut client, count), wanted(&|_| true), "{count}");
    }
    assert_eq!(scan(&mut client, "STATE queued COUNT 17"), wanted(&|number| number % 3 == 0));
    assert_eq!(scan(&mut client, "STATE COMPLETED COUNT 17"), wanted(&|number| number % 3 == 1));
    assert_eq!(scan(&mut client, "STATE cancelled"), wanted(&|number| number % 3 == 2));
    assert_eq!(scan(&mut client, "CUSTOMER c-1 COUNT 17"), wanted(&|number| number % 4 == 1));
    assert_eq!(scan(&mut client, "CUSTOMER c-1 STATE queued"), wanted(&|number| number % 12 == 9));
    assert!(scan(&mut client, "CUSTOMER nobody").is_empty());
    for (order, lane) in [("x-1", "LANE express"), ("x-2", "LANE express"), ("x-3", "LANE counter"), ("x-4", "")] {
        client.text(format!("ORDER.PLACE popup {order} c-9 {lane} ITEMS sku-1 1"));
    }
    client.text("ORDER.COMPLETE popup x-2");
    let names = |orders: &[&str]| orders.iter().map(|order| order.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(scan(&mut client, "LANE express COUNT 17"), names(&["x-1", "x-2"]));
    assert_eq!(scan(&mut client, "LANE express STATE queued"), names(&["x-1"]));
    let default = client.get(cmd!["ORDER.SCAN", "popup", 0, "CUSTOMER", "c-9", "LANE", "", "COUNT", 1000]);
    assert_eq!(default.array()[1].texts(), ["x-4"], "the default lane");
    assert!(scan(&mut client, "LANE nowhere").is_empty());
    client.refused_naming("ERR", "LANE", cmd!["ORDER.SCAN", "popup", 0, "LANE", "x".repeat(513)]);
    client.refused_naming("ERR", "STATE", "ORDER.SCAN popup 0 STATE lost");
    client.refused("ERR", "ORDER.SCAN popup x");
    client.refused_naming("ERR", "COUNT", "ORDER.SCAN popup 0 COUNT -1");
}

fn scan_of_late_orders(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert!(scan(&mut client, "LATE").is_empty(), "without sla-ms none is late");
    client.ok("STORE.SET popup sla-ms 3600000");
    assert!(scan(&mut client, "LATE").is_empty());
    client.ok("STORE.SET popup sla-ms 1");
    let both = BTreeSet::from(["o-1".to_string(), "o-2".to_string()]);
    wait_until(DEADLINE, "both are late", || scan(&mut client, "LATE") == both);
}

/// During a scan other orders are placed, ended and forgotten: slots of the store are reused all the time.
fn scan_keeps_what_stays_while_others_come_and_go(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1_000_000);
    client.ok("STORE.SET popup keep-ms 1");
    let stays: BTreeSet<String> = (0..300).map(|number| format!("stays-{number}")).collect();
    for (number, order) in stays.iter().enumerate() {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
        client.int(format!("INV.RESERVE popup {order} CUSTOMER c-1 ITEMS sku-1 1"));
        // Leaves holes between orders that stay.
        client.text(format!("ORDER.PLACE popup hole-{number} c-2 ITEMS sku-1 1"));
        client.int(format!("ORDER.CANCEL popup hole-{number}"));
    }
    for scan in ["ORDER.SCAN popup", "INV.HOLDS popup"] {
        let (mut cursor, mut found, mut come) = ("0".to_string(), BTreeSet::new(), 0);
        loop {
            let reply = client.get(format!("{scan} {cursor} COUNT 10"));
            found.extend(reply.array()[1].texts());
            cursor = reply.array()[0].text();
            if cursor == "0" {
                break;
            }
            for _ in 0..if come < 2000 { 40 } else { 0 } {
                come += 1;
                client.text(format!("ORDER.PLACE popup {cursor}-{come} c-3 ITEMS sku-1 1"));
                client.int(format!("INV.RESERVE popup {cursor}-{come} TTL 1 ITEMS sku-1 1"));
                client.int(format!("ORDER.CANCEL popup {cursor}-{come}"));
            }
        }
        let missed: Vec<_> = stays.difference(&found).collect();
        assert!(missed.is_empty(), "{scan} missed {missed:?}");
    }
    assert_books_balance(&mut client, "popup");
}

fn binary_ids_go_through(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let odd: &[u8] = b"\0\xff \r\n\"{}\x01";
    // Braces in a key have a special meaning.
    let key: &[u8] = b"\0\xff \r\n\"\x01";
    client.int(cmd!["INV.SET", key, odd, 5]);
    client.ok(cmd!["STORE.SET", key, "metrics", 0]);
    client.int(cmd!["INV.RESERVE", key, odd, "CUSTOMER", odd, "ITEMS", odd, 1]);
    client.text(cmd!["ORDER.PLACE", key, odd, odd, "GROUP", odd, "ITEMS", odd, 2]);
    let order = client.get(cmd!["ORDER.GET", key, odd]);
    assert_eq!(order.field("order").bytes(), odd);
    assert_eq!(order.field("customer").bytes(), odd);
    assert_eq!(client.get(cmd!["ORDER.SCAN", key, 0]).array()[1].array()[0].bytes(), odd);
    assert_eq!(client.get(cmd!["INV.HOLDS", key, 0]).array()[1].array()[0].bytes(), odd);
    assert_eq!(client.get(cmd!["INV.SCAN", key, 0]).array()[1].array()[0].bytes(), odd);
    client.text(cmd!["ORDER.COMPLETE", key, odd]);
    client.int(cmd!["ORDER.RETURN", key, odd, "REF", odd, "ITEMS", odd, 1]);
    let text = client.refused("NOSKU", cmd!["ORDER.PLACE", key, "o-2", odd, "ITEMS", b"\0\xfe", 1]);
    assert!(text.is_ascii(), "an error is a line of plain text: {text:?}");
}

fn groups_are_kept(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 GROUP table-7 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert_eq!(client.get("ORDER.GET popup o-1").field("group").text(), "table-7");
    assert_eq!(client.get("ORDER.GET popup o-2").field("group"), Reply::Nil);
}

/// An entry's id as numbers, to compare.
fn numbers(id: &str) -> (u64, u64) {
    let (ms, seq) = id.split_once('-').expect("ms-seq");
    (ms.parse().expect("ms"), seq.parse().expect("seq"))
}

fn entry_ids_only_grow(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5000);
    let commands: Vec<_> = (0..2000)
        .map(|number| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c-1", "ITEMS", "sku-1", 1])
        .collect();
    let ids: Vec<_> = client.pipeline(&commands).iter().map(|reply| numbers(&reply.text())).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let stream: Vec<_> = entries(&mut client, "{popup}:orders").iter().map(|entry| numbers(&entry.id)).collect();
    assert_eq!(stream, ids, "first in, first out");
}
