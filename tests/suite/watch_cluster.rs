//! `watch` of a cluster that changes: a store is on the page once, with the node that has it now.

use crate::cluster::Pair;
use crate::common::watcher::Watcher;
use crate::common::ways::{FOLLOWED, cluster_of_two, join, names_of, server_of, watch};
use crate::common::{DEADLINE, Server, ServerBinary, tests, wait_until};
use crate::moves::errors;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use std::thread;
use std::time::Instant;

tests![
    a_store_that_moves_is_shown_with_its_new_node,
    a_store_whose_slot_stays_on_its_way_is_shown_and_written_to,
    a_write_waits_for_a_store_that_moves,
    a_primary_that_is_killed_is_replaced_by_its_replica,
    a_primary_that_stands_still_is_replaced_by_its_replica,
];

fn address_of(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// What the page has of a store: one line.
#[track_caller]
fn lines_of(watcher: &Watcher, store: &str) -> Vec<Json> {
    let all = watcher.json("/api/stores");
    all["stores"].as_array().expect("stores").iter().filter(|line| line["id"] == store).cloned().collect()
}

/// Waits until a store is on the page with this node, soon, and never twice.
#[track_caller]
fn wait_for_node(watcher: &Watcher, store: &str, node: &Server) {
    let started = Instant::now();
    wait_until(DEADLINE, "the store is shown with its new node", || {
        let lines = lines_of(watcher, store);
        assert!(lines.len() <= 1, "the store is there twice: {lines:?}");
        lines.iter().any(|line| line["node"] == address_of(node) && line["away"].is_null())
    });
    assert!(started.elapsed() < FOLLOWED, "it took {:?}", started.elapsed());
}

/// The page follows the store where it is now: what happens there, and nothing of it twice.
#[track_caller]
fn assert_followed(watcher: &Watcher, store: &str, node: &Server, placed: i64) {
    node.client().text(format!("ORDER.PLACE {store} o-{placed} c-1 ITEMS sku-1 1"));
    watcher.wait_for("its numbers follow", store, |line| line["metrics"]["placed"] == placed);
    wait_until(DEADLINE, "its details follow", || {
        watcher.json(&format!("/api/stores/{store}"))["info"]["placed"] == placed
    });
    let metrics = watcher.get("/metrics").body;
    let series = format!("holdfast_on_hand{{store=\"{store}\"");
    assert_eq!(metrics.matches(&series).count(), 1, "{metrics}");
}

fn a_store_that_moves_is_shown_with_its_new_node(binary: &ServerBinary) {
    let (nodes, [store, stays]) = cluster_of_two(binary);
    let ids = [0, 1].map(|at: usize| nodes[at].client().text("CLUSTER MYID"));
    let pair = Pair { nodes, ids };
    let watcher = watch(binary, &["--url", &address_of(&pair.nodes[0])], &[]);
    watcher.wait_for("the store is found", &store, |line| line["metrics"]["on-hand"] == 10);
    let page = watcher.events(&store);
    let slot = pair.client(0).int(format!("CLUSTER KEYSLOT {store}"));
    for (from, placed) in [(0, 1), (1, 2), (0, 3), (1, 4)] {
        pair.begin_move(slot, from);
        for key in pair.client(from).get(format!("KEYS *{store}*")).texts() {
            pair.move_key(&key, from);
        }
        pair.end_move_of(&store, slot, from);
        wait_for_node(&watcher, &store, &pair.nodes[1 - from]);
        assert_followed(&watcher, &store, &pair.nodes[1 - from], placed);
    }
    // Who looks at it sees it all the time.
    let events = page.names_so_far();
    assert!(events.contains(&"sample".to_string()) && !events.contains(&"gone".to_string()), "{events:?}");
    wait_for_node(&watcher, &stays, &pair.nodes[1]);
    assert_eq!(watcher.json("/api/stores")["stores"].as_array().map(Vec::len), Some(2));
}

/// A store on the first of two nodes, with an order that waits for a payment, three that are queued, and a dead one;
/// and a page that may write.
fn shop_of_two(binary: &ServerBinary) -> (Pair, String, Watcher) {
    let (nodes, [store, _]) = cluster_of_two(binary);
    let mut client = nodes[0].client();
    client.get(format!("ORDER.PLACE {store} unpaid c-1 GATE payment 0 ITEMS sku-1 1"));
    for order in ["o-1", "o-2", "o-3", "dead"] {
        client.text(format!("ORDER.PLACE {store} {order} c-1 ITEMS sku-1 1"));
    }
    client.get(format!("ORDER.FAIL {store} dead FATAL"));
    let watcher = watch(binary, &["--url", &address_of(&nodes[0]), "--allow-writes"], &[]);
    watcher.wait_for("its orders are seen", &store, |line| line["metrics"]["dead-letters"] == 1);
    let ids = [0, 1].map(|at: usize| nodes[at].client().text("CLUSTER MYID"));
    (Pair { nodes, ids }, store, watcher)
}

/// What the page's write comes to.
#[track_caller]
fn write(watcher: &Watcher, store: &str, action: &str, body: &Json) -> (u16, Json) {
    let answer = watcher.post(&format!("/api/stores/{store}/{action}"), &body.to_string());
    (answer.status, answer.json())
}

/// The move of a slot that was begun and is not ended, for however long.
fn a_store_whose_slot_stays_on_its_way_is_shown_and_written_to(binary: &ServerBinary) {
    let (pair, store, watcher) = shop_of_two(binary);
    let page = watcher.events(&store);
    let slot = pair.client(0).int(format!("CLUSTER KEYSLOT {store}"));
    pair.begin_move(slot, 0);
    pair.client(0).get("KEYS *").texts().iter().for_each(|key| pair.move_key(key, 0));
    let gate = json!({"order": "unpaid", "gate": "payment"});
    assert_eq!(write(&watcher, &store, "pass", &gate), (200, json!({"left": 0})));
    assert_eq!(write(&watcher, &store, "cancel", &json!({"order": "o-1"})), (200, json!({"units": 1})));
    assert_eq!(write(&watcher, &store, "redrive", &json!({"order": "dead"})), (200, json!({"redriven": 1})));
    assert_eq!(write(&watcher, &store, "pause", &json!({"paused": true})), (200, json!({"paused": true})));
    // No sample is taken until the slot has come: what is shown in detail is asked for.
    watcher.wait_for("it is shown as paused", &store, |line| line["paused"] == true);
    let detail = watcher.json(&format!("/api/stores/{store}"));
    assert_eq!((&detail["info"]["queued"], &detail["info"]["dead-letters"]), (&json!(4), &json!(0)));
    assert_eq!(watcher.json(&format!("/api/stores/{store}/orders/o-1"))["state"], "cancelled");
    assert_eq!(
        watcher.json(&format!("/api/stores/{store}/orders?state=queued"))["found"].as_array().map(Vec::len),
        Some(4)
    );
    // Who comes now finds it too, though it is not where its slot is.
    let late = watch(binary, &["--url", &address_of(&pair.nodes[0])], &[]);
    let line = late.wait_for("it is found", &store, |line| line["paused"] == true);
    assert_eq!((&line["metrics"]["placed"], &line["node"]), (&json!(5), &json!(address_of(&pair.nodes[0]))));
    assert_eq!(pair.client(0).call(format!("STORE.INFO {store}")).code(), "ASK", "nobody has ended the move");
    pair.end_move_of(&store, slot, 0);
    [&watcher, &late].into_iter().for_each(|watcher| wait_for_node(watcher, &store, &pair.nodes[1]));
    watcher.wait_for("its samples go on", &store, |line| line["metrics"]["cancelled"] == 1);
    // Who looks at it sees it all the time.
    let events = page.names_so_far();
    assert!(events.contains(&"detail".to_string()) && !events.contains(&"gone".to_string()), "{events:?}");
}

fn a_write_waits_for_a_store_that_moves(binary: &ServerBinary) {
    let (pair, store, watcher) = shop_of_two(binary);
    let mut old = pair.client(0);
    let slot = old.int(format!("CLUSTER KEYSLOT {store}"));
    pair.begin_move(slot, 0);
    // A part of what the write needs is on the other node.
    pair.move_key(&format!("{{{store}}}:orders"), 0);
    let (status, body) = write(&watcher, &store, "cancel", &json!({"order": "o-1"}));
    assert_eq!((status, &body["error"]), (503, &json!("the store is on its way to another node: try again")));
    let before = errors(&mut old, "TRYAGAIN");
    thread::scope(|scope| {
        let cancelled = scope.spawn(|| write(&watcher, &store, "cancel", &json!({"order": "o-1"})));
        wait_until(DEADLINE, "it waits", || errors(&mut old, "TRYAGAIN") > before);
        pair.client(0).get("KEYS *").texts().iter().for_each(|key| pair.move_key(key, 0));
        // Work on all the dead begins when the slot has come.
        let redriven = scope.spawn(|| write(&watcher, &store, "redrive", &json!({"reason": null})));
        wait_until(DEADLINE, "it waits too", || errors(&mut pair.client(1), "TRYAGAIN") > 0);
        pair.end_move_of(&store, slot, 0);
        assert_eq!(cancelled.join().expect("an answer"), (200, json!({"units": 1})));
        assert_eq!(redriven.join().expect("an answer"), (200, json!({"redriven": 1})));
    });
    wait_for_node(&watcher, &store, &pair.nodes[1]);
    assert_eq!(pair.client(1).get(format!("STORE.AUDIT {store}")).array().len(), 0);
}

/// Two primaries, a replica of the first, and a store that is there.
#[track_caller]
pub fn cluster_with_replica(binary: &ServerBinary) -> ([Server; 2], Server, String) {
    let nodes = [Server::cluster_node(binary), Server::cluster_node(binary)];
    join(&nodes, nodes[1].port());
    let replica = Server::cluster_node(binary);
    let mut client = replica.client();
    client.ok(format!("CLUSTER MEET 127.0.0.1 {} {}", nodes[0].port(), nodes[0].bus_port()));
    let id = nodes[0].client().text("CLUSTER MYID");
    wait_until(DEADLINE, "the primary is known", || !client.call(format!("CLUSTER REPLICATE {id}")).is_error());
    replica.wait_for_link();
    let [store, _] = names_of(&nodes[0]);
    nodes[0].client().int(format!("INV.SET {store} sku-1 10"));
    wait_until(DEADLINE, "all know each other", || {
        let all = [&nodes[0], &nodes[1], &replica].map(|node| node.client().text("CLUSTER NODES"));
        all.iter().all(|known| known.contains("8192-16383") && known.contains(&format!("slave {id}")))
    });
    wait_until(DEADLINE, "the replica has the store", || replica.client().int("DBSIZE") > 0);
    (nodes, replica, store)
}

fn a_primary_that_is_killed_is_replaced_by_its_replica(binary: &ServerBinary) {
    let (mut nodes, replica, store) = cluster_with_replica(binary);
    let watcher = watch(binary, &["--url", &address_of(&nodes[0])], &[]);
    watcher.wait_for("the store is found", &store, |line| line["metrics"]["on-hand"] == 10);
    nodes[0].kill9();
    let away = watcher.wait_for("its store is marked", &store, |line| line["away"] == true);
    assert_eq!(away["node"], address_of(&nodes[0]));
    take_over(&replica);
    wait_for_node(&watcher, &store, &replica);
    assert_followed(&watcher, &store, &replica, 1);
    // It comes back as a replica, which is none of those who have stores.
    nodes[0].start_again();
    let mut client = nodes[0].client();
    wait_until(2 * DEADLINE, "it is a replica", || client.text("INFO replication").contains("role:slave"));
    assert_followed(&watcher, &store, &replica, 2);
    assert_nodes(&watcher, &[&replica, &nodes[1]]);
}

/// It stands still, and so do its connections: no word says that it is away.
fn a_primary_that_stands_still_is_replaced_by_its_replica(binary: &ServerBinary) {
    let (nodes, replica, store) = cluster_with_replica(binary);
    let watcher = watch(binary, &["--url", &address_of(&nodes[0])], &[]);
    watcher.wait_for("the store is found", &store, |line| line["metrics"]["on-hand"] == 10);
    kill(Pid::from_raw(nodes[0].pid()), Signal::SIGSTOP).expect("a signal");
    take_over(&replica);
    wait_for_node(&watcher, &store, &replica);
    assert_followed(&watcher, &store, &replica, 1);
    assert_nodes(&watcher, &[&replica, &nodes[1]]);
    kill(Pid::from_raw(nodes[0].pid()), Signal::SIGCONT).expect("a signal");
}

/// Makes a replica the primary, and waits until it serves.
#[track_caller]
pub fn take_over(replica: &Server) {
    let mut client = replica.client();
    client.ok("CLUSTER FAILOVER TAKEOVER");
    wait_until(DEADLINE, "it is the primary", || client.text("INFO replication").contains("role:master"));
    client.ok("CONFIG SET holdfast.sample-ms 100");
}

/// The page has these nodes, and they are all there.
#[track_caller]
fn assert_nodes(watcher: &Watcher, nodes: &[&Server]) {
    let server = server_of(watcher);
    let mut seen: Vec<_> =
        server["nodes"].as_array().expect("nodes").iter().map(|node| node["name"].as_str()).collect();
    let mut wanted: Vec<_> = nodes.iter().map(|node| address_of(node)).collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted.iter().map(|node| Some(node.as_str())).collect::<Vec<_>>());
    assert!(server["nodes"].as_array().expect("nodes").iter().all(|node| node["connected"] == true), "{server}");
}
