//! The store moves to another server in the middle of a replay, or of a sale: each order ends once all the same, and
//! every SKU's count is what it must be.

use std::collections::BTreeSet;

use crate::cluster::Pair;
use crate::common::console::Running;
use crate::common::ways::{FOLLOWED, Sentinel, completed, pause_writes, start_replay, wait_for_promotion};
use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, console, entries, server_now_ms, tests, wait_until,
};
use crate::replay::{assert_counts, data, parse, sell};
use crate::watch_cluster::{cluster_with_replica, take_over};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

tests![
    a_primary_that_is_killed_is_replaced,
    a_planned_failover_loses_nothing,
    a_frozen_primary_is_replaced,
    a_slot_that_moves_key_by_key_is_followed,
    a_sale_goes_on_while_its_slot_moves,
    a_replay_goes_on_while_its_slot_stays_on_its_way,
    a_sale_goes_on_while_its_slot_stays_on_its_way,
    a_sale_goes_on_while_a_part_of_its_keys_stays_behind,
    a_node_of_a_cluster_hands_over,
    a_node_of_a_cluster_that_stands_still_is_replaced,
];

/// Invoices a second: the replay takes about three seconds.
const RATE: &str = "100";
/// So many orders are completed before the store moves.
const BEFORE: i64 = 40;
/// The store of a sale that is in the slot of the replay's store.
const SALE: &str = "{popup}-sale";

/// A replay into the store `popup`, by this way, that is under way.
#[track_caller]
fn replay_under_way(binary: &ServerBinary, url: &str, server: &Server) -> Running {
    let replay = start_replay(binary, &["--url", url, "--store", "popup", "--rate", RATE], &[]);
    wait_until(DEADLINE, "the replay is under way", || completed(server.port(), "popup") > BEFORE);
    replay
}

/// The replay ended well, and the server that has the store now has each order of the file once.
#[track_caller]
fn assert_replayed(replay: Running, server: &Server) {
    replay.wait().assert_success();
    let text = data();
    let outcome = sell(&parse(&text, |_| true), None);
    let mut client = server.client();
    assert_counts(&mut client, "popup", &outcome);
    let done: Vec<String> = entries(&mut client, "{popup}:complete").iter().map(|entry| entry.text("order")).collect();
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), done.len(), "an order is completed once");
}

/// A primary, its replica, and a sentinel that knows both.
fn watched_pair(binary: &ServerBinary) -> (Server, Server, Sentinel) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for("1");
    (primary, replica, sentinel)
}

fn a_primary_that_is_killed_is_replaced(binary: &ServerBinary) {
    let (mut primary, replica, sentinel) = watched_pair(binary);
    let replay = replay_under_way(binary, &sentinel.url(), &primary);
    // What is acknowledged is on the replica too: a failover loses nothing of it.
    pause_writes(&primary, &[&replica]);
    let before = completed(replica.port(), "popup");
    primary.kill9();
    wait_for_promotion(&replica);
    wait_until(DEADLINE, "it goes on there", || completed(replica.port(), "popup") > before);
    assert_replayed(replay, &replica);
}

/// As docs/running/upgrades.md says. The old primary answers nothing until the sentinel makes it a replica, which takes
/// it ten seconds and more: nobody waits for that.
fn a_planned_failover_loses_nothing(binary: &ServerBinary) {
    let (primary, replica, sentinel) = watched_pair(binary);
    let replay = replay_under_way(binary, &sentinel.url(), &primary);
    pause_writes(&primary, &[&replica]);
    let before = completed(replica.port(), "popup");
    sentinel.fail_over();
    wait_for_promotion(&replica);
    wait_until(FOLLOWED, "it goes on there", || completed(replica.port(), "popup") > before);
    assert_replayed(replay, &replica);
}

/// It stands still, and so do its connections: no word says that it is away.
fn a_frozen_primary_is_replaced(binary: &ServerBinary) {
    let (primary, replica, sentinel) = watched_pair(binary);
    let replay = replay_under_way(binary, &sentinel.url(), &primary);
    pause_writes(&primary, &[&replica]);
    let before = completed(replica.port(), "popup");
    kill(Pid::from_raw(primary.pid()), Signal::SIGSTOP).expect("a signal");
    wait_for_promotion(&replica);
    wait_until(FOLLOWED, "it goes on there", || completed(replica.port(), "popup") > before);
    assert_replayed(replay, &replica);
    kill(Pid::from_raw(primary.pid()), Signal::SIGCONT).expect("a signal");
}

/// How often a node has replied an error.
pub fn errors(client: &mut Client, code: &str) -> i64 {
    let text = client.text("INFO errorstats");
    let count = text.lines().find_map(|line| line.strip_prefix(&format!("errorstat_{code}:count="))?.parse().ok());
    count.unwrap_or(0)
}

/// Moves the store `popup` from the first node to the second, key by key, while somebody writes to it.
#[track_caller]
fn move_store(pair: &Pair) {
    let [mut old, mut new] = [0, 1].map(|node| pair.client(node));
    let slot = old.int("CLUSTER KEYSLOT popup");
    pair.begin_move(slot, 0);
    // At first some of its streams are over there, and the store is not.
    pair.move_key("{popup}:complete", 0);
    wait_until(DEADLINE, "somebody is asked to try again", || errors(&mut old, "TRYAGAIN") > 0);
    // Then the store is, and its other streams are not.
    pair.move_key("popup", 0);
    wait_until(DEADLINE, "somebody is sent elsewhere", || errors(&mut old, "ASK") > 0);
    for key in old.get("KEYS *").texts() {
        pair.move_key(&key, 0);
    }
    let before = completed_there(&mut new);
    pair.end_move(slot, 0);
    wait_until(DEADLINE, "it goes on there", || completed(pair.nodes[1].port(), "popup") > before);
}

fn a_slot_that_moves_key_by_key_is_followed(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    // Any node is named: the one that has nothing.
    let url = format!("redis://127.0.0.1:{}", pair.nodes[1].port());
    let replay = replay_under_way(binary, &url, &pair.nodes[0]);
    move_store(&pair);
    assert_replayed(replay, &pair.nodes[1]);
    pair.assert_nothing_doubled();
}

fn a_sale_goes_on_while_its_slot_moves(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    let url = format!("redis://127.0.0.1:{}", pair.nodes[0].port());
    let arguments = ["sale", "--url", &url, "--duration", "12", "--units", "400", "--watch", "off"];
    let sale = console::start(binary, &arguments, &std::env::temp_dir());
    wait_until(DEADLINE, "the sale is under way", || completed(pair.nodes[0].port(), "popup") > BEFORE);
    move_store(&pair);
    sale.wait().assert_success();
    pair.assert_nothing_doubled();
}

/// Moves the store `popup` and its streams from the first node to the second, but for those that stay. Its slot is on
/// its way from then on.
#[track_caller]
fn move_and_leave(pair: &Pair, stays: &[&str]) -> i64 {
    let mut old = pair.client(0);
    let slot = old.int("CLUSTER KEYSLOT popup");
    pair.begin_move(slot, 0);
    let keys = old.get("KEYS *").texts();
    for key in keys.iter().filter(|key| !stays.contains(&key.as_str())) {
        pair.move_key(key, 0);
    }
    assert_eq!(old.get("KEYS *").texts(), stays);
    slot
}

/// What a node replies to which the slot is on its way.
fn ask_there(client: &mut Client, command: &str) -> Reply {
    client.ok("ASKING");
    client.get(command)
}

/// How many orders are completed over there.
fn completed_there(client: &mut Client) -> i64 {
    ask_there(client, "STORE.INFO popup").field("completed").int()
}

/// Waits for the audit, which looks at all streams: those that were never made may be on either node.
fn a_replay_goes_on_while_its_slot_stays_on_its_way(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    let replay = replay_under_way(binary, &either(&pair.nodes), &pair.nodes[0]);
    let slot = move_and_leave(&pair, &[]);
    let (mut new, all) = (pair.client(1), sell(&parse(&data(), |_| true), None).orders);
    wait_until(DEADLINE, "all orders are completed there", || completed_there(&mut new) == all);
    wait_until(DEADLINE, "the audit waits", || errors(&mut new, "TRYAGAIN") > 0);
    pair.assert_nothing_doubled();
    pair.end_move(slot, 0);
    assert_replayed(replay, &pair.nodes[1]);
}

/// A sale whose slot is on its way from when it is under way until the shop has closed.
#[track_caller]
fn sell_on_the_way(binary: &ServerBinary, stays: &[&str]) {
    let pair = Pair::start(binary);
    let url = either(&pair.nodes);
    let arguments = ["sale", "--url", &url, "--duration", "12", "--units", "400", "--watch", "off"];
    let sale = console::start(binary, &arguments, &std::env::temp_dir());
    wait_until(DEADLINE, "the sale is under way", || completed(pair.nodes[0].port(), "popup") > BEFORE);
    // While a slot is on its way no stream is made, as it might be on the other node: all are there before.
    let mut old = pair.client(0);
    for name in ["orders", "retry", "dead", "complete", "alerts", "metrics"] {
        old.call(format!("XGROUP CREATE {{popup}}:{name} nobody $ MKSTREAM"));
    }
    let slot = move_and_leave(&pair, stays);
    let mut new = pair.client(1);
    let before = completed_there(&mut new);
    wait_until(DEADLINE, "it goes on there", || completed_there(&mut new) > before + BEFORE);
    let closes = ask_there(&mut new, "STORE.GET popup closes").field("closes").int();
    wait_until(DEADLINE, "the shop closes", || server_now_ms(&mut new) > closes);
    pair.assert_nothing_doubled();
    stays.iter().for_each(|key| pair.move_key(key, 0));
    pair.end_move(slot, 0);
    sale.wait().assert_success();
}

fn a_sale_goes_on_while_its_slot_stays_on_its_way(binary: &ServerBinary) {
    sell_on_the_way(binary, &[]);
}

/// The stream of samples is left out, which nobody waits for.
fn a_sale_goes_on_while_a_part_of_its_keys_stays_behind(binary: &ServerBinary) {
    sell_on_the_way(binary, &["{popup}:metrics"]);
}

/// The addresses of two nodes: any of them may be away.
fn either(nodes: &[Server; 2]) -> String {
    format!("redis://127.0.0.1:{},127.0.0.1:{}", nodes[0].port(), nodes[1].port())
}

/// A sale beside a replay, in another store of the same slot: both are under way.
#[track_caller]
fn sale_and_replay(binary: &ServerBinary, sale_url: &str, replay_url: &str, server: &Server) -> [Running; 2] {
    let sale = ["sale", "--url", sale_url, "--duration", "12", "--units", "400", "--watch", "off", "--store", SALE];
    let sale = console::start(binary, &sale, &std::env::temp_dir());
    let replay = replay_under_way(binary, replay_url, server);
    wait_until(DEADLINE, "the sale is under way", || completed(server.port(), SALE) > BEFORE);
    [sale, replay]
}

/// A planned failover in a cluster: the replica has everything before it takes over.
fn a_node_of_a_cluster_hands_over(binary: &ServerBinary) {
    let (nodes, replica, _) = cluster_with_replica(binary);
    let url = either(&nodes);
    let [sale, replay] = sale_and_replay(binary, &url, &url, &nodes[0]);
    replica.client().ok("CLUSTER FAILOVER");
    wait_for_promotion(&replica);
    let before = completed(replica.port(), SALE);
    wait_until(FOLLOWED, "the sale goes on there", || completed(replica.port(), SALE) > before);
    assert_replayed(replay, &replica);
    sale.wait().assert_success();
}

/// Its connections stand still too, those of claims that wait among them. Of two, the sale names the one that does, and
/// has learned of the other.
fn a_node_of_a_cluster_that_stands_still_is_replaced(binary: &ServerBinary) {
    let (nodes, replica, _) = cluster_with_replica(binary);
    let first = format!("redis://127.0.0.1:{}", nodes[0].port());
    let [sale, replay] = sale_and_replay(binary, &first, &either(&nodes), &nodes[0]);
    pause_writes(&nodes[0], &[&replica]);
    let stores = ["popup", SALE];
    let before = stores.map(|store| completed(nodes[0].port(), store));
    kill(Pid::from_raw(nodes[0].pid()), Signal::SIGSTOP).expect("a signal");
    take_over(&replica);
    for (store, before) in stores.into_iter().zip(before) {
        wait_until(FOLLOWED, "it goes on there", || completed(replica.port(), store) > before);
    }
    assert_replayed(replay, &replica);
    sale.wait().assert_success();
    kill(Pid::from_raw(nodes[0].pid()), Signal::SIGCONT).expect("a signal");
}
