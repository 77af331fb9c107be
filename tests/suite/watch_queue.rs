//! `holdfast watch` of orders that wait: lanes, gates and the waitlist, on the page's API, for Prometheus and on the
//! terminal.

use crate::common::watcher::Watcher;
use crate::common::{Client, DEADLINE, Server, ServerBinary, cmd, server_now_ms, tests, wait_until};
use crate::tui::watch;
use serde_json::{Value as Json, json};

tests![
    lanes_are_those_of_the_server,
    who_waits_is_told_and_what_expires_first_is_on_top,
    an_order_tells_its_gates_and_what_it_lacks,
    lanes_are_served_to_prometheus,
    a_large_store_shows_what_expires_first_in_time,
    the_terminal_shows_who_waits,
    many_stores_cost_little,
];

/// A store with orders in two lanes and in none, two that wait for a gate, two that wait for units.
fn crowded_shop(client: &mut Client) {
    client.int("INV.SET popup mug 100");
    client.int("INV.SET popup cap 3 BACKLOG 500");
    client.int("INV.SET popup pin 0");
    for (order, lane) in [("o-1", ""), ("o-2", "LANE express"), ("o-3", "LANE express"), ("o-4", "LANE counter")] {
        client.text(format!("ORDER.PLACE popup {order} c-1 {lane} ITEMS mug 1"));
    }
    client.get("ORDER.CLAIM popup w-1 LANES 1 counter LEASE 3600000");
    for place in [
        "ORDER.PLACE popup g-1 c-2 GATE payment 3600000 GATE fraud 0 ITEMS mug 1",
        "ORDER.PLACE popup g-2 c-2 LANE express GATE payment 1800000 ITEMS mug 2",
        "ORDER.PLACE popup w-1 c-3 WAIT ITEMS cap 5 mug 1",
        "ORDER.PLACE popup w-2 c-3 WAIT 60000000 ITEMS cap 2",
    ] {
        client.get(place);
    }
}

fn watch_crowd(binary: &ServerBinary) -> (Server, Client, Watcher) {
    let server = Server::start(binary);
    let mut client = server.client();
    crowded_shop(&mut client);
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("all of them are counted", "popup", |line| {
        line["metrics"]["waitlisted"] == 2 && line["metrics"]["pending"] == 2
    });
    (server, client, watcher)
}

fn names(list: &Json) -> Vec<String> {
    let names = list.as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_string());
    names.collect()
}

fn lanes_are_those_of_the_server(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watch_crowd(binary);
    let lanes = watcher.json("/api/stores/popup")["lanes"].clone();
    assert_eq!(names(&lanes), ["", "counter", "express"]);
    for (shown, lane) in lanes.as_array().expect("lanes").iter().zip(client.get("STORE.LANES popup").array()) {
        assert_eq!(shown["name"], lane.field("lane").text());
        for number in ["queued", "in-work", "retrying"] {
            assert_eq!(shown[number], lane.field(number).int(), "{number} of {shown}");
        }
        let (shown, now) =
            (shown["oldest-waiting-ms"].as_i64().expect("an age"), lane.field("oldest-waiting-ms").int());
        assert!(shown <= now && (shown > 0) == (now > 0), "{shown} of {now}");
    }
    // A store in which no order names a lane has none to show.
    client.int("INV.SET plain mug 5");
    client.text("ORDER.PLACE plain o-1 c-1 ITEMS mug 1");
    watcher.wait_for("the other store is found", "plain", |line| line["metrics"]["queued"] == 1);
    assert_eq!(watcher.json("/api/stores/plain")["lanes"], json!([]));
}

fn who_waits_is_told_and_what_expires_first_is_on_top(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watch_crowd(binary);
    let detail = watcher.json("/api/stores/popup");
    let waits = &detail["waits"];
    assert_eq!((&waits["pending"], &waits["waitlisted"]), (&json!(2), &json!(2)));
    assert_eq!(names(&waits["shown"]), ["g-2", "g-1", "w-2", "w-1"], "what expires first, then what never does");
    let of = |order: &str| {
        let shown = waits["shown"].as_array().expect("orders").iter();
        shown.into_iter().find(|wait| wait["name"] == order).expect("it is shown").clone()
    };
    let (gated, waiting) = (of("g-1"), of("w-1"));
    assert_eq!((&gated["state"], &gated["gates"]), (&json!("pending"), &json!(["payment", "fraud"])));
    assert_eq!(gated["due"], client.get("ORDER.GET popup g-1").field("due").int());
    assert_eq!((&waiting["state"], &waiting["due"]), (&json!("waitlisted"), &Json::Null));
    assert_eq!(waiting["missing"], json!([["cap", 2]]), "it has three of five");
    // What people wait for is on top of the SKUs, also of one that is out.
    let skus = detail["skus"]["shown"].as_array().expect("SKUs");
    assert_eq!(names(&detail["skus"]["shown"]), ["cap", "pin", "mug"]);
    assert_eq!((&skus[0]["waiting"], &skus[0]["backlog"]), (&json!(4), &json!(500)));
    assert_eq!((&skus[1]["waiting"], skus[1].get("backlog")), (&json!(0), None));
    client.int("INV.ADJUST popup cap 4");
    client.int("ORDER.PASS popup g-2 payment");
    watcher.wait_for("they are queued", "popup", |line| {
        line["metrics"]["waitlisted"] == 0 && line["metrics"]["pending"] == 1
    });
    wait_until(DEADLINE, "they are gone from the list", || {
        names(&watcher.json("/api/stores/popup")["waits"]["shown"]) == ["g-1"]
    });
}

fn an_order_tells_its_gates_and_what_it_lacks(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watch_crowd(binary);
    client.int("ORDER.PASS popup g-1 fraud");
    let gated = watcher.json("/api/stores/popup/orders/g-1");
    let deadline = client.get("ORDER.GET popup g-1").field("gates").array()[0].field("deadline").int();
    let gates = json!([{ "gate": "payment", "deadline": deadline, "passed": 0 },
        { "gate": "fraud", "deadline": null, "passed": 1 }]);
    assert_eq!((&gated["gates"], &gated["due"]), (&gates, &json!(deadline)));
    assert_eq!(watcher.json("/api/stores/popup/orders/g-2")["lane"], "express");
    let waiting = watcher.json("/api/stores/popup/orders/w-1");
    assert_eq!((&waiting["items"], &waiting["gates"]), (&json!([["cap", 5, 2], ["mug", 1, 0]]), &json!([])));
    client.int("INV.ADJUST popup cap 4");
    let queued = watcher.json("/api/stores/popup/orders/w-1");
    let event = queued["history"].as_array().and_then(|events| events.last()).expect("an event").clone();
    assert_eq!((&event["event"], &event["title"]), (&json!("gathered"), &json!("Got its units")));
    assert_eq!(queued["items"], json!([["cap", 5, 0], ["mug", 1, 0]]));
    client.int("ORDER.EDIT popup w-1 ITEMS cap 4");
    client.text("ORDER.SPLIT popup w-1 w-9 ITEMS cap 1");
    let told = |order: &str| {
        let order = watcher.json(&format!("/api/stores/popup/orders/{order}"));
        let events = order["history"].as_array().expect("events").clone();
        events.into_iter().map(|event| event["text"].as_str().expect("a text").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told("w-1")[2..], ["it has 4 units now", "1 unit went into order w-9"]);
    assert_eq!(told("w-9")[1..], ["1 unit of order w-1"]);
}

fn lanes_are_served_to_prometheus(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watch_crowd(binary);
    client.int("INV.SET plain mug 5");
    client.text("ORDER.PLACE plain o-1 c-1 ITEMS mug 1");
    // Two names that look the same to people, and one that would break a line.
    for lane in [&b"a\xff"[..], &b"a\\xff"[..], &b"q\"\n"[..]] {
        client.text(cmd!["ORDER.PLACE", "popup", lane, "c-1", "LANE", lane, "ITEMS", "mug", 1]);
    }
    let mut text = String::new();
    wait_until(DEADLINE, "the lanes are served", || {
        text = watcher.get("/metrics").body;
        text.contains("lane=\"q\\\"\\n\"") && text.contains("holdfast_queued{store=\"plain\"} 1\n")
    });
    let has = |line: &str| text.lines().filter(|one| *one == line).count();
    for line in [
        r#"holdfast_lane_queued{store="popup",lane=""} 1"#,
        r#"holdfast_lane_queued{store="popup",lane="express"} 2"#,
        r#"holdfast_lane_in_work{store="popup",lane="counter"} 1"#,
        r#"holdfast_lane_retrying{store="popup",lane="counter"} 0"#,
        r#"holdfast_lane_oldest_waiting_seconds{store="popup",lane="counter"} 0"#,
        r#"holdfast_lane_queued{store="popup",lane="a\\xff"} 2"#,
    ] {
        assert_eq!(has(line), 1, "{line} in\n{text}");
    }
    assert!(!text.contains(r#"store="plain",lane="#), "a store without lanes has no more series");
    assert!(text.contains("# TYPE holdfast_lane_queued gauge\n"), "{text}");
}

/// More orders wait than are looked at in one go: what expires first is found all the same.
fn a_large_store_shows_what_expires_first_in_time(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup mug 100000");
    let place =
        |at: usize| cmd!["ORDER.PLACE", "popup", format!("o-{at}"), "c", "GATE", "pay", 86_400_000, "ITEMS", "mug", 1];
    client.pipeline(&(0..2_500).map(place).collect::<Vec<_>>());
    client.get("ORDER.PLACE popup urgent c GATE pay 600000 ITEMS mug 1");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("all are counted", "popup", |line| line["metrics"]["pending"] == 2_501);
    wait_until(DEADLINE, "the urgent one is on top", || {
        let waits = watcher.json("/api/stores/popup")["waits"].clone();
        assert!(waits["shown"].as_array().expect("orders").len() <= 40);
        waits["shown"][0]["name"] == "urgent"
    });
}

fn the_terminal_shows_who_waits(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    crowded_shop(&mut client);
    let mut terminal = watch(binary, &server, &[], (80, 20));
    terminal.wait_for_all(&["Waitlisted 2 → Pending 2 → Queued 3 → In work 1 → Retrying 0"]);
    terminal.press("9");
    terminal.wait_for_all(&["Lanes", "counter", "express", "–: orders that name no lane"]);
    terminal.wait_for_all(&["g-2", "Pending", "payment", "w-1", "Waitlisted", "no end", "2 × cap"]);
    terminal.press("6");
    terminal.wait_for_all(&["Waiting", "4/500"]);
    terminal.press("/w-1\r");
    terminal.wait_for_all(&["Order w-1", "● Waitlisted", "2 × cap (has 3 of 5)"]);
    // What it waits for comes: the order is followed.
    client.int("INV.ADJUST popup cap 4");
    terminal.wait_for_all(&["● Queued", "Got its units"]);
    terminal.press("\x1b/g-1\r");
    let gates = ["payment: not passed yet, expires at", "fraud: not passed yet"];
    terminal.wait_for_all(&[&["Order g-1", "● Pending"], &gates[..]].concat());
    client.int("ORDER.PASS popup g-1 fraud");
    terminal.wait_for_all(&["fraud: passed", "Passed: fraud"]);
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
}

/// Commands that the server was sent so far with this name.
fn calls(client: &mut Client, name: &str) -> i64 {
    let stats = client.get("INFO commandstats").text();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")).map(str::to_string));
    line.map_or(0, |line| line.split(',').next().and_then(|count| count.parse().ok()).expect("a count"))
}

/// Of many stores, those without lanes are asked for them seldom, however often somebody asks; nobody asks while nobody
/// looks.
fn many_stores_cost_little(binary: &ServerBinary) {
    const STORES: usize = 300;
    let server = Server::start(binary);
    let mut client = server.client();
    let set = |at: usize| cmd!["INV.SET", format!("shop-{at}"), "mug", 5];
    let place = |at: usize| cmd!["ORDER.PLACE", format!("shop-{at}"), "o-1", "c-1", "ITEMS", "mug", 1];
    client.pipeline(&(0..STORES).flat_map(|at| [set(at), place(at)]).collect::<Vec<_>>());
    client.text("ORDER.PLACE shop-7 o-2 c-1 LANE express ITEMS mug 1");
    let watcher = Watcher::of(binary, &server);
    wait_until(DEADLINE, "all stores are found", || {
        let all = watcher.json("/api/stores")["stores"].clone();
        let stores = all.as_array().expect("stores");
        stores.len() == STORES && stores.iter().all(|store| store["metrics"]["queued"].as_i64() > Some(0))
    });
    assert_eq!(calls(&mut client, "store.lanes"), 0, "nobody looks");
    let begun_ms = server_now_ms(&mut client);
    let mut asked = 0;
    wait_until(DEADLINE, "some seconds of looking are over", || {
        asked += 1;
        assert!(watcher.get("/metrics").body.contains(r#"holdfast_lane_queued{store="shop-7",lane="express"} 1"#));
        server_now_ms(&mut client) - begun_ms > 3_000
    });
    let (calls, seconds) = (calls(&mut client, "store.lanes"), (server_now_ms(&mut client) - begun_ms) / 1_000 + 1);
    // Each store once, and those without lanes again after ten seconds; the one with lanes once a second.
    let most = STORES as i64 * (1 + seconds / 10) + seconds;
    assert!(asked > 3 && calls <= most, "{calls} of at most {most} in {seconds} s, asked {asked} times");
}
