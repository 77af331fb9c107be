//! What `holdfast watch` serves to Prometheus besides the samples of stores, and to those who keep it running.

use crate::common::watcher::Watcher;
use crate::common::{Client, DEADLINE, Server, ServerBinary, cmd, tests, wait_until};
use std::collections::BTreeMap;

tests![
    keys_that_look_alike_are_two_stores,
    durations_are_counted_from_the_first_scrape,
    a_waiting_order_gets_older_without_a_sample,
    replicas_memory_and_eviction_are_served,
    the_program_says_whether_the_server_is_there,
];

/// The values of `/metrics` by name and labels, as they stand.
fn values(watcher: &Watcher) -> BTreeMap<String, f64> {
    let text = watcher.get("/metrics").body;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut values = BTreeMap::new();
    for line in lines {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let earlier = values.insert(series.to_string(), value.parse().expect("a number"));
        assert_eq!(earlier, None, "{series} is there twice");
    }
    values
}

/// Waits until a line has a value that is as wanted.
#[track_caller]
fn wait_for(watcher: &Watcher, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let mut found = None;
    wait_until(DEADLINE, series, || {
        found = values(watcher).get(series).copied();
        found.is_some_and(&wanted)
    });
    found.expect("a value")
}

/// Places, and completes, as many orders.
fn complete(client: &mut Client, orders: std::ops::Range<usize>) {
    for order in orders {
        client.text(format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 1"));
        client.text(format!("ORDER.COMPLETE popup o-{order}"));
    }
}

fn keys_that_look_alike_are_two_stores(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for (units, key) in [&b"a\xff"[..], &b"a\\xff"[..], &b"a\\\\xff"[..]].into_iter().enumerate() {
        client.int(cmd!["INV.SET", key, "sku-1", units as i64 + 1]);
    }
    let watcher = Watcher::of(binary, &server);
    // In the text format a backslash of a label is written twice.
    wait_for(&watcher, r#"holdfast_on_hand{store="a\\xff"}"#, |value| value == 1.0);
    wait_for(&watcher, r#"holdfast_on_hand{store="a\\\\xff"}"#, |value| value == 2.0);
    wait_for(&watcher, r#"holdfast_on_hand{store="a\\\\\\\\xff"}"#, |value| value == 3.0);
}

fn durations_are_counted_from_the_first_scrape(binary: &ServerBinary) {
    let server = Server::with(binary, &["holdfast.sample-ms 50"]);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10000");
    complete(&mut client, 0..3);
    let watcher = Watcher::of(binary, &server);
    let count = r#"holdfast_order_duration_seconds_count{store="popup"}"#;
    wait_for(&watcher, count, |value| value == 0.0);
    // More than one read, and one order that took longer.
    client.text("ORDER.PLACE popup slow c-1 ITEMS sku-1 1");
    let placed_at = std::time::Instant::now();
    complete(&mut client, 3..453);
    wait_until(DEADLINE, "time went by", || placed_at.elapsed().as_millis() > 30);
    client.text("ORDER.COMPLETE popup slow");
    wait_for(&watcher, count, |value| value == 451.0);
    let values = values(&watcher);
    let bucket = |le: &str| values[&format!(r#"holdfast_order_duration_seconds_bucket{{le="{le}",store="popup"}}"#)];
    assert_eq!(bucket("+Inf"), 451.0);
    assert!(bucket("0.025") < 451.0, "one took longer");
    assert!(bucket("0.5") >= bucket("0.025") && bucket("3600.0") >= bucket("0.5"));
    let sum = values[r#"holdfast_order_duration_seconds_sum{store="popup"}"#];
    assert!(sum >= 0.03, "{sum}");
    // The same store anew goes on.
    client.ok("STORE.DROP popup");
    client.int("INV.SET popup sku-1 10");
    complete(&mut client, 0..2);
    wait_for(&watcher, r#"holdfast_completed_total{store="popup"}"#, |value| value == 2.0);
}

fn a_waiting_order_gets_older_without_a_sample(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup sla-ms 1500 paused yes");
    client.int("INV.SET popup sku-1 10");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let watcher = Watcher::of(binary, &server);
    wait_for(&watcher, r#"holdfast_queued{store="popup"}"#, |value| value == 1.0);
    let samples = client.int("XLEN {popup}:metrics");
    wait_for(&watcher, r#"holdfast_oldest_waiting_seconds{store="popup"}"#, |value| value > 3.0);
    assert!(client.int("XLEN {popup}:metrics") <= samples + 1, "the store is quiet");
    let values = values(&watcher);
    assert_eq!(values[r#"holdfast_sla_seconds{store="popup"}"#], 1.5);
    assert_eq!(values[r#"holdfast_paused{store="popup"}"#], 1.0);
    client.int("ORDER.CANCEL popup o-1");
    wait_for(&watcher, r#"holdfast_oldest_waiting_seconds{store="popup"}"#, |value| value == 0.0);
}

fn replicas_memory_and_eviction_are_served(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10");
    let watcher = Watcher::of(binary, &server);
    let version = format!(r#"holdfast_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    wait_for(&watcher, &version, |value| value == 1.0);
    wait_for(&watcher, r#"holdfast_evicts_stores{policy="noeviction"}"#, |value| value == 0.0);
    wait_for(&watcher, "holdfast_memory_used_bytes", |value| value > 0.0);
    let values = values(&watcher);
    assert_eq!((values["holdfast_memory_max_bytes"], values["holdfast_stores"]), (0.0, 1.0));
    let is_of_server =
        |series: &&String| series.starts_with("holdfast_server_info{") && series.contains("role=\"master\"");
    assert_eq!(values.keys().filter(is_of_server).count(), 1);
    assert!(!values.contains_key("holdfast_primary_link_up"), "it is no replica");
    client.ok("CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru");
    wait_for(&watcher, r#"holdfast_evicts_stores{policy="allkeys-lru"}"#, |value| value == 1.0);
    wait_for(&watcher, "holdfast_memory_max_bytes", |value| value == f64::from(1 << 30));
    let replica = server.replica(binary);
    let lag = format!(r#"holdfast_replica_lag_bytes{{replica="127.0.0.1:{}"}}"#, replica.port());
    wait_for(&watcher, &lag, |value| value == 0.0);
    let follower = Watcher::of(binary, &replica);
    wait_for(&follower, "holdfast_primary_link_up", |value| value == 1.0);
    drop(server);
    wait_for(&follower, "holdfast_primary_link_up", |value| value == 0.0);
}

fn the_program_says_whether_the_server_is_there(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes"]);
    server.client().int("INV.SET popup sku-1 10");
    // Whoever keeps the program running knows no password.
    let watcher = Watcher::with(binary, &server, &["--password", "open sesame"]);
    let asked = |path: &str| watcher.get(path).status;
    let both = |status: u16| asked("/healthz") == status && asked("/readyz") == status;
    wait_until(DEADLINE, "it is ready", || both(200));
    assert_eq!(watcher.raw_status("GET /healthz HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(asked("/healthz/x"), 401);
    server.kill9();
    wait_until(DEADLINE, "it says that the server is away", || both(503));
    let answer = watcher.get("/healthz");
    assert_eq!(answer.body, "the server is away\n");
    assert_eq!(answer.header("cache-control"), "no-store");
    server.start_again();
    wait_until(DEADLINE, "it is ready again", || both(200));
}
