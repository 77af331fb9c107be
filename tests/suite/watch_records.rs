//! `holdfast watch`: orders, holds, SKUs and alerts page by page, look-ups by id, and what one may do to each.

use crate::common::watcher::Watcher;
use crate::common::{Client, DEADLINE, Server, ServerBinary, cmd, order_field, tests, wait_until};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

tests![
    every_order_is_reached_page_by_page,
    orders_are_found_by_state_lane_customer_and_lateness,
    a_lane_of_few_orders_is_found_among_many_in_few_commands,
    holds_and_skus_are_reached_page_by_page,
    alerts_are_reached_page_by_page,
    records_are_looked_up_by_id,
    looking_counts_as_no_refusal_and_makes_no_sample,
    what_cannot_be_asked_for_is_told,
    nothing_is_cancelled_passed_or_paused_unless_allowed,
    orders_are_cancelled_and_gates_passed,
    a_store_is_paused_and_none_is_made,
    workers_without_an_order_are_idle,
];

/// A store that was seen by the program.
fn watched(binary: &ServerBinary, options: &[&str]) -> (Server, Client, Watcher) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 1000000");
    let watcher = Watcher::with(binary, &server, options);
    watcher.wait_for("the store", "popup", |_| true);
    (server, client, watcher)
}

/// All pages from the first on; every page has at most `count` records.
#[track_caller]
fn walk(watcher: &Watcher, path: &str, count: usize) -> (Vec<Json>, usize) {
    let (mut cursor, mut found, mut pages) = ("0".to_string(), Vec::new(), 0);
    let glue = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = watcher.json(&format!("/api/stores/popup/{path}{glue}count={count}&cursor={cursor}"));
        let records = page["found"].as_array().expect("records").clone();
        assert!(records.len() <= count, "{} of {count}", records.len());
        found.extend(records);
        pages += 1;
        match page["next"].as_str() {
            Some(next) => {
                assert_ne!(cursor, next, "the same page again, without end");
                cursor = next.to_string();
            }
            None => return (found, pages),
        }
    }
}

fn names(records: &[Json]) -> Vec<String> {
    records.iter().map(|record| record["name"].as_str().expect("a name").to_string()).collect()
}

#[track_caller]
fn found(watcher: &Watcher, path: &str) -> Vec<String> {
    let mut names = names(&walk(watcher, path, 50).0);
    names.sort();
    names
}

fn every_order_is_reached_page_by_page(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    for number in 0..430 {
        client.text(format!("ORDER.PLACE popup o-{number} c-{} ITEMS sku-1 2", number % 7));
    }
    let all: BTreeSet<String> = (0..430).map(|number| format!("o-{number}")).collect();
    for count in [1, 7, 50, 200] {
        let (records, _) = walk(&watcher, "orders", count);
        assert_eq!(records.len(), all.len(), "none twice");
        assert_eq!(names(&records).into_iter().collect::<BTreeSet<_>>(), all);
    }
    let of_customer = walk(&watcher, "orders?customer=c-3", 50).0;
    let first = of_customer.iter().find(|order| order["name"] == "o-3").expect("the order");
    assert_eq!(
        (&first["name"], &first["state"], &first["customer"]["id"]),
        (&json!("o-3"), &json!("queued"), &json!("c-3"))
    );
    assert_eq!(first["items"], json!([[{"id": "sku-1", "name": "sku-1"}, 2]]));
    let placed = client.get("ORDER.GET popup o-3").field("placed-at").int();
    assert_eq!(first["placed-at"], placed);
}

fn orders_are_found_by_state_lane_customer_and_lateness(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    client.int("INV.SET popup rare 0");
    for place in [
        "o-1 ann LANE express ITEMS sku-1 1",
        "o-2 bob LANE express ITEMS sku-1 1",
        "o-3 ann ITEMS sku-1 1",
        "o-4 ann GATE payment 0 ITEMS sku-1 1",
        "o-5 ann WAIT ITEMS rare 1",
        "o-6 bob ITEMS sku-1 1",
        "o-7 bob ITEMS sku-1 1",
        "o-8 bob ITEMS sku-1 1",
    ] {
        client.get(format!("ORDER.PLACE popup {place}"));
    }
    client.get("ORDER.CLAIM popup w-1 ORDER o-8");
    client.get("ORDER.FAIL popup o-6 REASON lost FATAL");
    client.get("ORDER.FAIL popup o-2 REASON later AFTER 600000");
    client.int("ORDER.CANCEL popup o-7");
    for (state, orders) in [
        ("queued", ["o-1", "o-3"].as_slice()),
        ("claimed", &["o-8"]),
        ("retrying", &["o-2"]),
        ("dead", &["o-6"]),
        ("completed", &[]),
        ("cancelled", &["o-7"]),
        ("pending", &["o-4"]),
        ("waitlisted", &["o-5"]),
    ] {
        assert_eq!(found(&watcher, &format!("orders?state={state}")), orders, "{state}");
    }
    assert_eq!(found(&watcher, "orders?lane=express"), ["o-1", "o-2"]);
    assert_eq!(found(&watcher, "orders?lane=&customer=ann"), ["o-3", "o-4", "o-5"], "the default lane");
    assert_eq!(found(&watcher, "orders?lane=express&customer=ann&state=queued"), ["o-1"]);
    assert_eq!(found(&watcher, "orders?customer=nobody"), [""; 0]);
    let claimed = &walk(&watcher, "orders?state=claimed", 9).0[0];
    assert_eq!(claimed["worker"], "w-1");
    assert_eq!(walk(&watcher, "orders?state=pending", 9).0[0]["gates"], json!([{"id": "payment", "name": "payment"}]));
    assert_eq!(found(&watcher, "orders?late=1"), [""; 0]);
    client.ok("STORE.SET popup sla-ms 1");
    wait_until(DEADLINE, "all are late", || found(&watcher, "orders?late=1&state=queued").len() == 2);
}

/// A thousand times as many orders stand before it: the program reads those of the lane alone.
fn a_lane_of_few_orders_is_found_among_many_in_few_commands(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    let place = |number| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c-1", "ITEMS", "sku-1", 1];
    client.pipeline(&(0..4_000).map(place).collect::<Vec<_>>());
    for number in 0..4 {
        client.text(format!("ORDER.PLACE popup x-{number} c-1 LANE express ITEMS sku-1 1"));
    }
    let calls = |client: &mut Client, command: &str| {
        let text = client.text("INFO commandstats");
        let line = text.lines().find(|line| line.to_lowercase().starts_with(&format!("cmdstat_{command}:")));
        line.and_then(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = ["order.get", "order.scan"].map(|command| calls(&mut client, command));
    let (records, pages) = walk(&watcher, "orders?lane=express", 50);
    assert_eq!((records.len(), pages), (4, 1));
    let after = ["order.get", "order.scan"].map(|command| calls(&mut client, command));
    assert_eq!(after[0] - before[0], 4, "orders that were read");
    assert!(after[1] - before[1] <= 10, "{} commands", after[1] - before[1]);
}

fn holds_and_skus_are_reached_page_by_page(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    for number in 0..260 {
        client.int(format!("INV.SET popup cap-{number:03} {number} LOW 10"));
        client.int(format!("INV.RESERVE popup h-{number} CUSTOMER c-{} ITEMS sku-1 1", number % 2));
    }
    client.int("INV.RESERVE popup caps ITEMS cap-200 3 sku-1 1");
    client.int("INV.RELEASE popup h-7");
    assert_eq!(walk(&watcher, "holds", 60).0.len(), 260, "live ones alone");
    assert_eq!(walk(&watcher, "holds?customer=c-1", 60).0.len(), 129);
    let of_sku = watcher.json("/api/stores/popup/holds?sku=cap-200");
    assert_eq!(names(of_sku["found"].as_array().expect("holds")), ["caps"]);
    assert_eq!(of_sku["found"][0]["items"][0], json!([{"id": "cap-200", "name": "cap-200"}, 3, 0]));
    assert_eq!(walk(&watcher, "skus", 100).0.len(), 261);
    assert_eq!(walk(&watcher, "skus?part=P-25", 100).0.len(), 0, "as it is written");
    assert_eq!(walk(&watcher, "skus?part=p-25", 100).0.len(), 10);
    assert_eq!(walk(&watcher, "skus?low=1", 100).0.len(), 11);
    assert_eq!(walk(&watcher, "skus?part=*", 100).0.len(), 0, "a star is a star");
}

fn alerts_are_reached_page_by_page(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    for number in 0..65 {
        client.text(format!("ORDER.PLACE popup o-{number} c-1 ITEMS sku-1 1"));
        client.call(format!("ORDER.FAIL popup o-{number} FATAL"));
    }
    let alerts = |records: &[Json]| -> Vec<_> {
        records.iter().map(|alert| alert["order"]["name"].as_str().expect("an order").to_string()).collect()
    };
    let all: Vec<String> = (0..65).rev().map(|number| format!("o-{number}")).collect();
    for (count, pages) in [(1, 65), (5, 13), (64, 2), (65, 1)] {
        let (records, walked) = walk(&watcher, "alerts", count);
        assert_eq!((alerts(&records), walked), (all.clone(), pages), "newest first, none twice, none left out");
    }
    assert_eq!(watcher.json("/api/stores/popup")["alerts"]["truncated"], true);
    // What comes meanwhile moves nothing; what is trimmed, or deleted, is not there any more.
    let page = |cursor: &str| watcher.json(&format!("/api/stores/popup/alerts?count=10&cursor={cursor}"));
    let first = page("0");
    client.call("ORDER.PLACE popup late c-1 ITEMS sku-1 1");
    client.call("ORDER.FAIL popup late FATAL");
    let next = first["next"].as_str().expect("a next page");
    let second = page(next);
    assert_eq!(alerts(second["found"].as_array().expect("alerts")), all[10..20]);
    assert_eq!(alerts(page("0")["found"].as_array().expect("alerts"))[..2], ["late", "o-64"]);
    let last = second["next"].as_str().expect("a next page");
    client.int("XTRIM {popup}:alerts MAXLEN 25");
    assert_eq!(alerts(page(last)["found"].as_array().expect("alerts")), all[20..24]);
    client.int("DEL {popup}:alerts");
    for cursor in [next, "0"] {
        assert_eq!(page(cursor), json!({ "next": null, "looked": 0, "found": [] }), "the stream is gone");
    }
    let around = client.int("EXISTS {popup}:alerts");
    assert_eq!(around, 0, "looking makes none");
    // What others wrote into it is shown as far as it goes, and what they put in its place is told.
    for _ in 0..3 {
        client.text("XADD {popup}:alerts * some thing");
    }
    let (records, walked) = walk(&watcher, "alerts", 2);
    assert_eq!((records.len(), walked), (3, 2));
    client.int("DEL {popup}:alerts");
    client.text("SET {popup}:alerts x");
    let answer = watcher.get("/api/stores/popup/alerts");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("WRONGTYPE"), "{}", answer.body);
}

fn records_are_looked_up_by_id(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    client.int("INV.SET popup cap 9 SAFETY 1 LOW 2 LIMIT 3");
    client.int("INV.RESERVE popup h-1 CUSTOMER ann ITEMS cap 2");
    client.int("INV.COMMIT popup h-1 ITEMS cap 1");
    let sku = watcher.json("/api/stores/popup/skus/cap");
    let numbers =
        ["on-hand", "held", "safety", "low", "available", "sold", "limit", "waiting"].map(|name| sku[name].clone());
    assert_eq!(json!(numbers), json!([8, 1, 1, 2, 6, 1, 3, 0]), "{sku}");
    let hold = watcher.json("/api/stores/popup/holds/h-1");
    assert_eq!(
        (&hold["state"], &hold["customer"]["name"], &hold["units"]),
        (&json!("live"), &json!("ann"), &json!([2]))
    );
    assert_eq!(hold["items"], json!([[{"id": "cap", "name": "cap"}, 1, 1]]));
    assert_eq!(hold["expires-at"], client.get("INV.HOLD popup h-1").field("expires-at").int());
    client.text("ORDER.PLACE popup cap ann HOLD h-1");
    assert_eq!(watcher.json("/api/stores/popup/holds/h-1")["state"], "ordered");
    let kinds = |id: &str| watcher.json(&format!("/api/stores/popup/find/{id}"));
    assert_eq!(kinds("cap"), json!({"order": true, "sku": true, "hold": false}));
    assert_eq!(kinds("h-1"), json!({"order": false, "sku": false, "hold": true}));
    assert_eq!(kinds("ann"), json!({"order": false, "sku": false, "hold": false}));
    let links = &watcher.json("/api/stores/popup/orders/cap")["links"];
    assert_eq!(links, &json!({"customer": "ann", "hold": "h-1", "items": ["cap"], "gates": []}));
    // Ids of any bytes.
    let odd = [0xff, b'/', 0, b'%'];
    client.int(cmd!["INV.SET", "popup", odd, 4]);
    assert_eq!(watcher.json("/api/stores/popup/skus/%FF%2F%00%25")["available"], 4);
    assert_eq!(kinds("%FF%2F%00%25")["sku"], true);
}

fn looking_counts_as_no_refusal_and_makes_no_sample(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    watcher.wait_for("the last sample", "popup", |line| line["metrics"]["placed"] == 1);
    let before = client.int("XLEN {popup}:metrics");
    for (path, status) in [
        ("skus/nope", 404),
        ("holds/nope", 404),
        ("orders/nope", 404),
        ("find/nope", 200),
        ("orders?customer=nope&lane=nope", 200),
        ("holds?customer=nope&sku=nope", 200),
        ("skus?part=nope", 200),
        ("alerts", 200),
        ("alerts?cursor=1-1", 200),
        ("orders?state=nope", 400),
        ("orders?cursor=9007199254740991", 200),
    ] {
        assert_eq!(watcher.get(&format!("/api/stores/popup/{path}")).status, status, "{path}");
    }
    client.ok("STORE.SET other limit 1");
    assert!(client.call("ORDER.CANCEL other o-9").is_error());
    watcher.wait_for("a refused write is sampled", "other", |line| line["metrics"]["refused-noorder"] == 1);
    assert_eq!(client.int("XLEN {popup}:metrics"), before, "a look makes no sample");
    for (field, value) in client.get("STORE.INFO popup").pairs() {
        assert!(!field.starts_with("refused-") || value.int() == 0, "{field}");
    }
}

fn what_cannot_be_asked_for_is_told(binary: &ServerBinary) {
    let (_server, _client, watcher) = watched(binary, &[]);
    let long = "x".repeat(513);
    for (path, error) in [
        ("orders?state=lost", "state must be one of queued claimed"),
        ("orders?count=0", "count must be an integer from 1 to 200, got '0'"),
        ("orders?cursor=next", "cursor must be 0 or the next of the last page, got 'next'"),
        ("orders?customer=", "customer must be 1 to 512 bytes, got 0"),
        ("alerts?cursor=7", "cursor must be 0 or the next of the last page, got '7'"),
        ("alerts?count=201", "count must be an integer from 1 to 200, got '201'"),
        ("holds?sku=", "sku must be 1 to 512 bytes, got 0"),
        ("skus?low=yes", "low must be 0 or 1, got 'yes'"),
        (&format!("skus/{long}"), "sku must be 1 to 512 bytes, got 513"),
        (&format!("holds/{long}"), "hold must be 1 to 512 bytes, got 513"),
        (&format!("find/{long}"), "id must be 1 to 512 bytes, got 513"),
    ] {
        let answer = watcher.get(&format!("/api/stores/popup/{path}"));
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.json()["error"].as_str().expect("an error").starts_with(error), "{path}: {}", answer.body);
    }
    for path in ["orders", "holds", "skus", "alerts", "skus/x", "holds/x", "find/x"] {
        let answer = watcher.get(&format!("/api/stores/nope/{path}"));
        assert_eq!((answer.status, answer.json()), (404, json!({"error": "no store nope"})), "{path}");
    }
}

fn nothing_is_cancelled_passed_or_paused_unless_allowed(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    client.get("ORDER.PLACE popup o-1 c-1 GATE payment 0 ITEMS sku-1 1");
    let writes = [
        ("cancel", r#"{"order":"o-1"}"#),
        ("pass", r#"{"order":"o-1","gate":"payment"}"#),
        ("pause", r#"{"paused":true}"#),
    ];
    for (write, body) in writes {
        let answer = watcher.post(&format!("/api/stores/popup/{write}"), body);
        assert_eq!((answer.status, answer.json()), (403, json!({"error": "read-only: start with --allow-writes"})));
    }
    assert_eq!(order_field(&mut client, "o-1", "state"), "pending");
    assert_eq!(client.get("STORE.GET popup paused").field("paused").text(), "no");
}

fn orders_are_cancelled_and_gates_passed(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &["--allow-writes"]);
    for order in ["o-1 c-1 GATE payment 0 GATE fraud 0 ITEMS sku-1 1", "o-2 c-1 ITEMS sku-1 3", "o-3 c-1 ITEMS sku-1 1"]
    {
        client.get(format!("ORDER.PLACE popup {order}"));
    }
    client.text("ORDER.COMPLETE popup o-3");
    let post = |write: &str, body: &str| {
        let answer = watcher.post(&format!("/api/stores/popup/{write}"), body);
        (answer.status, answer.json())
    };
    assert_eq!(post("pass", r#"{"order":"o-1","gate":"payment"}"#), (200, json!({"left": 1})));
    assert_eq!(post("pass", r#"{"order":"o-1","gate":"payment"}"#), (200, json!({"left": 1})), "as the first time");
    assert_eq!(post("pass", r#"{"order":"o-1","gate":"fraud"}"#), (200, json!({"left": 0})));
    assert_eq!(order_field(&mut client, "o-1", "state"), "queued");
    assert_eq!(post("cancel", r#"{"order":"o-2","reason":"the customer called"}"#), (200, json!({"units": 3})));
    assert_eq!(order_field(&mut client, "o-2", "reason"), "the customer called");
    // Errors come in the server's words, and change nothing.
    let (status, body) = post("cancel", r#"{"order":"o-3"}"#);
    assert_eq!((status, &body["error"]), (409, &json!("BADSTATE order is completed")));
    let (status, body) = post("pass", r#"{"order":"o-1","gate":"nope"}"#);
    assert!(status == 409 && body["error"].as_str().expect("an error").starts_with("NOGATE"), "{body}");
    assert_eq!(post("cancel", r#"{"order":"nope"}"#).0, 404);
    for body in ["{}", "{", r#"{"order":"o-1","units":1}"#] {
        assert_eq!(post("cancel", body).0, 400, "{body}");
    }
    // No form and no script of another site can write.
    let path = "/api/stores/popup/cancel";
    let json = ("Content-Type", "application/json");
    assert_eq!(watcher.request("POST", path, &[json], r#"{"order":"o-1"}"#).status, 403);
    assert_eq!(watcher.request("POST", path, &[("X-Holdfast", "1")], r#"{"order":"o-1"}"#).status, 415);
    assert_eq!(watcher.get(path).status, 405);
    assert_eq!(order_field(&mut client, "o-1", "state"), "queued");
}

fn a_store_is_paused_and_none_is_made(binary: &ServerBinary) {
    let (server, mut client, watcher) = watched(binary, &["--allow-writes"]);
    for (body, paused) in [(r#"{"paused":true}"#, "yes"), (r#"{"paused":true}"#, "yes"), (r#"{"paused":false}"#, "no")]
    {
        assert_eq!(watcher.post("/api/stores/popup/pause", body).status, 200);
        assert_eq!(client.get("STORE.GET popup paused").field("paused").text(), paused);
    }
    // However busy the store is.
    let (stop, port) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), server.port());
    let busy = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut client = Client::connect(port).expect("connected");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                client.int("INV.ADJUST popup sku-1 1");
            }
        }
    });
    for _ in 0..20 {
        assert_eq!(watcher.post("/api/stores/popup/pause", r#"{"paused":true}"#).status, 200);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().expect("adjusted");
    client.ok("SET text x");
    for key in ["nope", "text"] {
        let answer = watcher.post(&format!("/api/stores/{key}/pause"), r#"{"paused":true}"#);
        assert!([404, 409].contains(&answer.status), "{key}: {} {}", answer.status, answer.body);
    }
    assert_eq!(client.int("EXISTS nope"), 0, "STORE.SET would have made it");
}

fn workers_without_an_order_are_idle(binary: &ServerBinary) {
    let (_server, mut client, watcher) = watched(binary, &[]);
    for order in ["o-1", "o-2", "o-3"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
    }
    // Nobody looked while this worker had its order.
    client.get("ORDER.CLAIM popup w-1");
    client.text("ORDER.COMPLETE popup o-1");
    client.get("ORDER.CLAIM popup w-2");
    client.get("ORDER.CLAIM popup w-3");
    let workers = |wanted: &dyn Fn(&Json) -> bool| {
        let mut found = Json::Null;
        wait_until(DEADLINE, "the workers are as wanted", || {
            found = watcher.json("/api/stores/popup")["workers"].clone();
            wanted(&found)
        });
        found
    };
    let idle = |found: &Json| names(found["idle"].as_array().expect("workers"));
    let found = workers(&|found| idle(found) == ["w-1"] && found["orders"] == 2);
    assert_eq!(found["idle"][0]["since"], client.get("ORDER.GET popup o-1").field("ended-at").int());
    client.int("ORDER.YIELD popup w-3");
    workers(&|found| idle(found) == ["w-3", "w-1"]);
    client.get("ORDER.CLAIM popup w-1");
    workers(&|found| idle(found) == ["w-3"]);
}
