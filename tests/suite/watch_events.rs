//! `holdfast watch`: what changes is pushed, to everybody who looks on, whatever happens to the server.

use crate::common::watcher::{Events, Watcher};
use crate::common::{Client, DEADLINE, Server, ServerBinary, cmd, open_store, tests, wait_until};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

tests![
    everything_is_told_on_connect,
    a_change_is_pushed_at_once,
    all_stores_are_told_of_without_a_choice,
    a_lost_server_is_told_and_comes_back,
    a_store_that_goes_is_told_and_so_is_the_next,
    a_store_without_samples_is_looked_at_all_the_same,
    a_slow_reader_holds_up_nobody,
    details_are_made_once_for_all_who_look,
    streams_in_many_slots_are_followed,
    a_stream_that_is_none_hides_no_other,
];

/// How soon a change should be seen: a sample is at most a second away, the rest is slack for a busy machine.
const SOON: Duration = Duration::from_secs(2);

/// A store of a thousand units that writes samples.
fn open(client: &mut Client, key: &str) {
    assert_eq!(client.int(cmd!["INV.SET", key, "sku-1", 1_000]), 1_000);
}

fn place(client: &mut Client, key: &str, order: &str) {
    client.text(cmd!["ORDER.PLACE", key, order, "c-1", "ITEMS", "sku-1", 1]);
}

fn everything_is_told_on_connect(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open(&mut client, "popup");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the stock was counted", "popup", |line| line["metrics"]["on-hand"] == 1_000);
    let events = watcher.events("popup");
    let mut told = Vec::new();
    while told.len() < 4 {
        let (name, data) = events.next();
        if name != "beat" && name != "sample" {
            told.push((name, data));
        }
    }
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["server", "stores", "history", "detail"]);
    assert_eq!((&told[0].1["server"]["connected"], &told[0].1["writes"]), (&json!(true), &json!(false)));
    assert_eq!(told[1].1["stores"][0]["id"], "popup");
    assert_eq!(told[2].1["metrics"]["on-hand"].as_array().and_then(|all| all.last()), Some(&json!(1_000)));
    assert_eq!(told[3].1["info"]["on-hand"], 1_000);
    let beat = events.wait_for("beat", |_| true);
    assert!(beat["now"].as_u64() > Some(1_600_000_000_000), "{beat}");
}

fn a_change_is_pushed_at_once(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open(&mut client, "popup");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the stock was counted", "popup", |line| line["metrics"]["on-hand"] == 1_000);
    let (events, overview) = (watcher.events("popup"), watcher.events("popup"));
    events.wait_for("detail", |_| true);
    for round in 1..=3 {
        let start = Instant::now();
        place(&mut client, "popup", &format!("o-{round}"));
        let sample = events.wait_for("sample", |sample| sample["metrics"]["placed"] == round);
        assert!(start.elapsed() < SOON, "round {round}: after {:?}", start.elapsed());
        assert_eq!(sample["id"], "popup");
        assert_eq!(sample["lines"]["at"].as_array().and_then(|at| at.last()), Some(&sample["at"]));
        assert!(sample["lines"]["placed"].as_array().and_then(|rates| rates.last()?.as_f64()) > Some(0.0), "{sample}");
        let detail = events.wait_for("detail", |detail| detail["info"]["placed"] == round);
        assert_eq!(detail["metrics"]["placed"], round);
        overview.wait_for("stores", |all| all["stores"][0]["metrics"]["placed"] == round);
    }
    // Whoever comes later finds all of it in the history, and none of it twice.
    let later = watcher.events("popup");
    let history = later.wait_for("history", |_| true);
    assert_eq!(history["metrics"]["placed"].as_array().and_then(|all| all.last()), Some(&json!(3)));
    assert!(!later.names_within(Duration::from_millis(500)).contains(&"sample".to_string()));
}

fn all_stores_are_told_of_without_a_choice(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let watcher = Watcher::of(binary, &server);
    let events = watcher.events("");
    for key in ["a", "b", "c{7}"] {
        open(&mut client, key);
        place(&mut client, key, "o-1");
    }
    for id in ["a", "b", "c%7B7%7D"] {
        watcher.wait_for("the order was counted", id, |line| line["metrics"]["placed"] == 1);
    }
    place(&mut client, "b", "o-2");
    events.wait_for("sample", |sample| sample["id"] == "b" && sample["metrics"]["placed"] == 2);
    let names = |all: &Json| -> Vec<String> {
        let stores = all["stores"].as_array().expect("stores");
        stores.iter().map(|store| store["name"].as_str().expect("a name").to_string()).collect()
    };
    events.wait_for("stores", |all| names(all) == ["a", "b", "c{7}"] && all["stores"][1]["metrics"]["placed"] == 2);
    // Who looks at one hears of those of its name, and needs no list of all each second.
    client.ok("SELECT 3");
    open(&mut client, "b");
    watcher.wait_for("the store of the other database", "3:b", |_| true);
    assert_eq!(names(&watcher.events("b").wait_for("stores", |_| true)), ["b", "b (database 3)"]);
}

fn a_lost_server_is_told_and_comes_back(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", "holdfast.sample-ms 1000"]);
    let mut client = server.client();
    open(&mut client, "popup");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the stock was counted", "popup", |line| line["metrics"]["on-hand"] == 1_000);
    let events = watcher.events("popup");
    events.wait_for("detail", |_| true);
    server.kill9();
    let lost = events.wait_for("server", |told| told["server"]["connected"] == false);
    assert!(lost["server"]["error"].is_string(), "{lost}");
    let answer = watcher.get("/api/stores/popup");
    assert_eq!(answer.status, 503, "{}", answer.body);
    // What was last seen stays, with its time.
    assert_eq!(watcher.json("/api/stores")["stores"][0]["metrics"]["on-hand"], 1_000);
    assert!(watcher.get("/metrics").body.contains("holdfast_up 0"));
    server.start_again();
    events.wait_for("server", |told| told["server"]["connected"] == true && told["server"]["error"].is_null());
    events.wait_for("history", |history| history["at"].as_array().is_some_and(|at| !at.is_empty()));
    events.wait_for("detail", |detail| detail["info"]["on-hand"] == 1_000);
    place(&mut server.client(), "popup", "o-1");
    events.wait_for("sample", |sample| sample["metrics"]["placed"] == 1);
}

fn a_store_that_goes_is_told_and_so_is_the_next(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let watcher = Watcher::of(binary, &server);
    // Not there yet: whoever looks is told so, and then that it is.
    let events = watcher.events("popup");
    events.wait_for("gone", |gone| gone["id"] == "popup");
    open(&mut client, "popup");
    events.wait_for("detail", |detail| detail["info"]["on-hand"] == 1_000);
    client.ok("STORE.DROP popup");
    events.wait_for("gone", |gone| gone["id"] == "popup");
    events.wait_for("stores", |all| all["stores"] == json!([]));
    assert_eq!(watcher.get("/api/stores/popup").status, 404);
    assert!(!watcher.get("/metrics").body.contains("popup"));
    client.int("INV.SET popup sku-2 7");
    events.wait_for("history", |_| true);
    events.wait_for("detail", |detail| detail["info"]["on-hand"] == 7);
    client.ok("RENAME popup {popup}2");
    events.wait_for("gone", |gone| gone["id"] == "popup");
    client.ok("FLUSHALL");
    events.wait_for("stores", |all| all["stores"] == json!([]));
}

fn a_store_without_samples_is_looked_at_all_the_same(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 1_000);
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the store is found", "popup", |_| true);
    let events = watcher.events("popup");
    events.wait_for("detail", |detail| detail["info"]["placed"] == 0);
    place(&mut client, "popup", "o-1");
    let detail = events.wait_for("detail", |detail| detail["info"]["placed"] == 1);
    assert!(detail["metrics"]["placed"] == 1 && detail["at"].is_null(), "{detail}");
    client.ok("STORE.SET popup closes 1700000000000");
    events.wait_for("stores", |all| all["stores"][0]["closes"] == 1_700_000_000_000_i64);
}

fn a_slow_reader_holds_up_nobody(binary: &ServerBinary) {
    /// Stores enough for every `stores` to be larger than what a connection takes unread.
    const STORES: usize = 1_500;
    const ROUNDS: usize = 8;
    let server = Server::start(binary);
    let mut client = server.client();
    for store in 0..STORES {
        open(&mut client, &format!("popup-{store}"));
    }
    let watcher = Watcher::of(binary, &server);
    wait_until(DEADLINE, "all stores are found", || {
        watcher.json("/api/stores")["stores"].as_array().is_some_and(|all| all.len() == STORES)
    });
    let slow = watcher.ask_for_events("");
    let events = watcher.events("popup-0");
    events.wait_for("detail", |_| true);
    for round in 1..=ROUNDS {
        let order =
            |store| cmd!["ORDER.PLACE", format!("popup-{store}"), format!("o-{round}"), "c-1", "ITEMS", "sku-1", 1];
        client.pipeline(&(0..STORES).map(order).collect::<Vec<_>>());
        let start = Instant::now();
        events.wait_for("sample", |sample| sample["metrics"]["placed"] == round);
        assert!(start.elapsed() < 2 * SOON, "round {round}: after {:?}", start.elapsed());
    }
    assert_eq!(watcher.get("/api/stores").status, 200);
    // When it reads at last, the slow one finds a short backlog, and then what is there now.
    let slow = Events::read_from(slow);
    let is_done = |store: &Json| store["metrics"]["placed"] == ROUNDS;
    let mut samples = 0;
    loop {
        let (name, data) = slow.next();
        samples += usize::from(name == "sample");
        if name == "stores" && data["stores"].as_array().is_some_and(|all| all.iter().all(is_done)) {
            break;
        }
    }
    assert!(samples < ROUNDS * STORES * 3 / 4, "{samples} samples waited for it");
}

fn details_are_made_once_for_all_who_look(binary: &ServerBinary) {
    const LOOKERS: usize = 20;
    let server = Server::start(binary);
    let mut client = server.client();
    open(&mut client, "popup");
    open(&mut client, "other");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the stock was counted", "popup", |line| line["metrics"]["on-hand"] == 1_000);
    let calls = |client: &mut Client, command: &str| -> u64 {
        let stats = client.text("INFO commandstats").to_lowercase();
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().and_then(|count| count.parse().ok()).expect("a count"))
    };
    assert_eq!(calls(&mut client, "store.info"), 0, "nobody looks");
    let events: Vec<_> = (0..LOOKERS).map(|_| watcher.events("popup")).collect();
    let start = Instant::now();
    for round in 1..=3 {
        place(&mut client, "popup", &format!("o-{round}"));
        place(&mut client, "other", &format!("o-{round}"));
        for events in &events {
            events.wait_for("detail", |detail| detail["info"]["placed"] == round);
        }
    }
    // Each asks twice: what there is to look for, and then for all of it at one moment.
    let made = calls(&mut client, "store.info").div_ceil(2);
    let most = start.elapsed().as_secs() + 2;
    assert!((3..=most).contains(&made), "{made} details for {LOOKERS} who look, within {:?}", start.elapsed());
}

fn streams_in_many_slots_are_followed(binary: &ServerBinary) {
    let server = Server::cluster(binary);
    let mut client = server.client();
    open(&mut client, "a");
    open(&mut client, "b");
    let watcher = Watcher::of(binary, &server);
    let events = watcher.events("");
    for key in ["a", "b"] {
        watcher.wait_for("the stock was counted", key, |line| line["metrics"]["on-hand"] == 1_000);
        let start = Instant::now();
        place(&mut client, key, "o-1");
        events.wait_for("sample", |sample| sample["id"] == key && sample["metrics"]["placed"] == 1);
        assert!(start.elapsed() < 2 * SOON, "{key}: after {:?}", start.elapsed());
    }
}

fn a_stream_that_is_none_hides_no_other(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET a metrics 0");
    client.ok("SET {a}:metrics mine");
    open(&mut client, "b");
    let watcher = Watcher::of(binary, &server);
    let events = watcher.events("");
    watcher.wait_for("the other store is found", "a", |_| true);
    watcher.wait_for("the stock was counted", "b", |line| line["metrics"]["on-hand"] == 1_000);
    place(&mut client, "b", "o-1");
    events.wait_for("sample", |sample| sample["id"] == "b" && sample["metrics"]["placed"] == 1);
    assert_eq!(watcher.json("/api/stores")["server"]["connected"], true);
}
