//! Clusters: streams are in the slot of their store, and during resharding nothing is lost or duplicated.

use crate::common::{
    Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, assert_stays, claim, cmd,
    entries, ids_of, open_store, server_now_ms, stock, tests, wait_until,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

tests![
    commands_work_in_a_cluster,
    no_key_is_made_in_another_slot,
    a_restored_store_makes_no_key_in_another_slot,
    a_store_on_another_node_is_moved,
    a_drop_during_resharding_leaves_nothing,
    resharding_store_first,
    resharding_streams_first,
    an_expiry_during_resharding_doubles_no_stream,
    a_sample_during_resharding_doubles_no_stream,
    deadlines_during_resharding_wait_for_the_streams,
    a_stream_that_expired_during_resharding_is_not_left_out,
    a_consumer_group_on_a_store_without_orders_moves_with_its_slot,
    resharding_under_traffic,
    repair_and_audit_wait_for_the_streams,
    a_lock_moves_with_its_slot,
    callers_are_sent_away_when_their_node_is_replaced,
];

const ORDERS: &str = "{popup}:orders";
const COMPLETE: &str = "{popup}:complete";
const JOURNAL: &str = "{popup}:journal";
const DEAD: &str = "{popup}:dead";
const ALERTS: &str = "{popup}:alerts";

fn commands_work_in_a_cluster(binary: &ServerBinary) {
    let server = Server::cluster(binary);
    let mut client = server.client();
    for key in ["popup", "shop:{42}", "{a}{b}", "plain:store:1"] {
        open_store(&mut client, key, 10);
        client.ok(format!("STORE.SET {key} journal 100"));
        client.int(format!("INV.RESERVE {key} h-1 CUSTOMER c-1 ITEMS sku-1 2"));
        client.text(format!("ORDER.PLACE {key} o-1 c-1 HOLD h-1"));
        client.text(format!("ORDER.PLACE {key} o-2 c-1 ITEMS sku-1 1"));
        client.text(format!("ORDER.COMPLETE {key} o-1"));
        client.int(format!("ORDER.CANCEL {key} o-2"));
        client.text(format!("ORDER.PLACE {key} o-3 c-1 ITEMS sku-1 1"));
        client.get(format!("ORDER.FAIL {key} o-3 AFTER 0"));
        client.get(format!("ORDER.CLAIM {key} w-1 BLOCK 20000"));
        client.get(format!("ORDER.FAIL {key} o-3 FATAL"));
        client.int(format!("INV.RESERVE {key} h-2 TTL 1 ITEMS sku-1 1"));
        wait_until(DEADLINE, "the hold expires", || stock(&mut client, key, "sku-1").1 == 0);
        assert_eq!(client.int(format!("STORE.REPAIR {key}")), 0);
        assert_books_balance(&mut client, key);
        assert_all_in_one_slot(&mut client);
        client.get(format!("STORE.DROP {key}"));
        assert_eq!(client.int("DBSIZE"), 0, "{key}");
    }
}

/// Every key is in the same slot.
#[track_caller]
fn assert_all_in_one_slot(client: &mut Client) {
    let keys = client.get("KEYS *");
    let slots: BTreeSet<i64> =
        keys.array().iter().map(|key| client.int(cmd!["CLUSTER", "KEYSLOT", key.bytes()])).collect();
    assert!(slots.len() <= 1, "{keys:?} are in the slots {slots:?}");
}

fn no_key_is_made_in_another_slot(binary: &ServerBinary) {
    let server = Server::cluster(binary);
    let mut client = server.client();
    let (mut taken, mut refused) = (0, 0);
    for key in
        ["{", "}", "{}", "}{", "a{b", "a}b", "{}x", "x{}", "a{b}c", "}a{", "{a", "a}", "{{a}}", "{a}{b}", "{}{a}"]
    {
        let reply = client.call(cmd!["INV.SET", key, "sku-1", 5]);
        if reply.is_error() {
            assert_eq!(reply.code(), "ERR", "{key}: {reply:?}");
            assert_eq!(client.int("DBSIZE"), 0, "{key}");
            refused += 1;
            continue;
        }
        taken += 1;
        client.ok(cmd!["STORE.SET", key, "journal", 10]);
        client.text(cmd!["ORDER.PLACE", key, "o-1", "c-1", "ITEMS", "sku-1", 1]);
        client.text(cmd!["ORDER.PLACE", key, "o-2", "c-1", "ITEMS", "sku-1", 1]);
        client.text(cmd!["ORDER.COMPLETE", key, "o-1"]);
        assert_all_in_one_slot(&mut client);
        client.get(cmd!["STORE.DROP", key]);
        assert_eq!(client.int("DBSIZE"), 0, "{key}");
    }
    assert!(taken >= 6 && refused >= 4, "{taken} taken, {refused} refused");
}

/// RESTORE puts a store where no command would have made it. Whatever it does there, it writes to no other slot.
fn a_restored_store_makes_no_key_in_another_slot(binary: &ServerBinary) {
    let server = Server::cluster(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.ok("STORE.SET popup journal 10");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.int("INV.RESERVE popup h-1 TTL 150 ITEMS sku-1 1");
    let payload = client.get("DUMP popup").bytes().to_vec();
    client.get("STORE.DROP popup");
    let key = "a}b";
    client.ok(cmd!["RESTORE", key, 0, payload]);
    let commands = [
        "ORDER.PLACE KEY o-2 c-1 ITEMS sku-1 1",
        "ORDER.COMPLETE KEY o-1",
        "STORE.REPAIR KEY",
        "INV.ADJUST KEY sku-1 1",
    ];
    for command in commands {
        client.call(command.replace("KEY", key));
        assert_all_in_one_slot(&mut client);
    }
    let now_ms = server_now_ms(&mut client);
    wait_until(DEADLINE, "the hold's deadline has passed", || server_now_ms(&mut client) > now_ms + 200);
    assert_all_in_one_slot(&mut client);
    assert_eq!(client.int(cmd!["UNLINK", key]), 1);
    assert_eq!(client.int("DBSIZE"), 0);
}

/// Two nodes of a cluster; the first has every slot at the start.
pub struct Pair {
    pub nodes: [Server; 2],
    pub ids: [String; 2],
}

impl Pair {
    pub fn start(binary: &ServerBinary) -> Pair {
        let nodes = [Server::cluster(binary), Server::cluster_node(binary)];
        let ids = [0, 1].map(|at: usize| nodes[at].client().text("CLUSTER MYID"));
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", nodes[1].port(), nodes[1].bus_port());
        nodes[0].client().ok(meet);
        nodes[1].wait_for_cluster();
        for node in &nodes {
            let mut client = node.client();
            wait_until(DEADLINE, "the nodes know each other", || {
                let known = client.text("CLUSTER NODES");
                ids.iter().all(|id| known.contains(id)) && !known.contains("handshake")
            });
        }
        Pair { nodes, ids }
    }

    pub fn client(&self, node: usize) -> Client {
        self.nodes[node].client()
    }

    /// Starts to move a slot from one node to the other.
    pub fn begin_move(&self, slot: i64, from: usize) {
        let to = 1 - from;
        self.client(to).ok(format!("CLUSTER SETSLOT {slot} IMPORTING {}", self.ids[from]));
        self.client(from).ok(format!("CLUSTER SETSLOT {slot} MIGRATING {}", self.ids[to]));
    }

    /// Moves one key.
    #[track_caller]
    pub fn move_key(&self, key: &str, from: usize) {
        let port = self.nodes[1 - from].port();
        self.client(from).ok(format!("MIGRATE 127.0.0.1 {port} {key} 0 5000"));
    }

    /// Assigns the slot of the store `popup` to the other node.
    #[track_caller]
    pub fn end_move(&self, slot: i64, from: usize) {
        self.end_move_of("popup", slot, from);
    }

    /// Assigns the slot of a key to the other node.
    #[track_caller]
    pub fn end_move_of(&self, key: &str, slot: i64, from: usize) {
        let owner = &self.ids[1 - from];
        for node in [1 - from, from] {
            self.client(node).ok(format!("CLUSTER SETSLOT {slot} NODE {owner}"));
        }
        for node in [0, 1] {
            let mut client = self.client(node);
            let mut is_away = || client.call(format!("EXISTS {key}")).is_error();
            wait_until(DEADLINE, "the slot has its owner", || is_away() == (node == from));
        }
        // Until the old owner knows the epoch of the new one, a packet of its own could take the slot back.
        let mut clients = [0, 1].map(|node| self.client(node));
        wait_until(DEADLINE, "both nodes know the new owner's epoch", || {
            let [mine, other] = [1 - from, from].map(|node| epoch_of(&mut clients[node], owner));
            mine == other
        });
    }

    /// Checks that no key is on both nodes.
    #[track_caller]
    pub fn assert_nothing_doubled(&self) {
        let keys = [0, 1].map(|node| BTreeSet::from_iter(self.client(node).get("KEYS *").texts()));
        let both: Vec<_> = keys[0].intersection(&keys[1]).collect();
        assert!(both.is_empty(), "{both:?} are on both nodes");
    }
}

/// The configuration epoch of a node, as the other node knows it.
fn epoch_of(client: &mut Client, id: &str) -> u64 {
    let nodes = client.text("CLUSTER NODES");
    let line = nodes.lines().find(|line| line.starts_with(id)).expect("the node is known");
    line.split(' ').nth(6).and_then(|epoch| epoch.parse().ok()).expect("an epoch")
}

fn a_store_on_another_node_is_moved(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    open_store(&mut pair.client(0), "popup", 10);
    let mut other = pair.client(1);
    for command in
        ["INV.SET popup sku-1 5", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1", "INV.GET popup sku-1", "STORE.DROP popup"]
    {
        assert_eq!(other.call(command).code(), "MOVED", "{command}");
    }
    assert_eq!(other.int("DBSIZE"), 0);
}

/// A store with its streams on the first node: twenty orders, two of them completed. Returns its slot.
fn open_shop(pair: &Pair) -> i64 {
    let mut client = pair.client(0);
    open_store(&mut client, "popup", 1000);
    client.ok("STORE.SET popup journal 100");
    for order in 0..20 {
        client.text(format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 1"));
    }
    client.text("ORDER.COMPLETE popup o-0");
    client.text("ORDER.COMPLETE popup o-1");
    client.int("CLUSTER KEYSLOT popup")
}

/// What clients try while a slot is moving; `round` makes the ids new.
fn attempts(round: usize) -> Vec<String> {
    vec![
        format!("ORDER.PLACE popup new-{round} c-1 ITEMS sku-1 1"),
        format!("ORDER.COMPLETE popup o-{}", 2 + round),
        format!("ORDER.CANCEL popup o-{}", 10 + round),
        format!("INV.RESERVE popup h-{round} TTL 3600000 ITEMS sku-1 1"),
        "INV.ADJUST popup sku-1 1".to_string(),
        format!("ORDER.FAIL popup o-{} REASON lost FATAL", [9, 17, 18, 19, 20, 21, 22][round]),
        format!("ORDER.CLAIM popup w-{round} LEASE 3600000"),
    ]
}

/// Sends the attempts to both nodes, as a client would that was redirected. Each is done, or refused with a
/// redirection; returns those that were done.
#[track_caller]
fn try_everywhere(pair: &Pair, from: usize, round: usize) -> Vec<String> {
    let mut done = Vec::new();
    for command in attempts(round) {
        let mut reply = pair.client(from).call(&command);
        if reply.is_error() && reply.code() == "ASK" {
            let mut target = pair.client(1 - from);
            target.ok("ASKING");
            reply = target.call(&command);
        }
        match reply.is_error() {
            true => assert!(["ASK", "TRYAGAIN", "MOVED"].contains(&reply.code().as_str()), "{command}: {reply:?}"),
            false => done.push(command),
        }
        pair.assert_nothing_doubled();
    }
    done
}

/// Moves the slot key by key, in this order, while clients try at every step, and checks the books at the end.
fn reshard(binary: &ServerBinary, keys: [&str; 6]) {
    let pair = Pair::start(binary);
    let slot = open_shop(&pair);
    let mut client = pair.client(0);
    for order in 20..23 {
        client.text(format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 1"));
    }
    // All streams exist: one that was never made could be on the other node, and is not made while the slot moves.
    client.get("ORDER.FAIL popup o-2 FATAL");
    assert_eq!(client.int("ORDER.REDRIVE popup o-2"), 1);
    pair.begin_move(slot, 0);
    let mut done = try_everywhere(&pair, 0, 0);
    assert_eq!(done.len(), attempts(0).len(), "nothing has moved yet: all work");
    for (number, key) in keys.iter().enumerate() {
        pair.move_key(key, 0);
        done.extend(try_everywhere(&pair, 0, number + 1));
    }
    pair.end_move(slot, 0);
    let mut client = pair.client(1);
    assert_eq!(pair.client(0).int("DBSIZE"), 0);
    // Everything that was done is sent again: the same replies, nothing changed.
    let idempotent = |command: &&String| !["INV.ADJUST", "ORDER.CLAIM"].iter().any(|verb| command.starts_with(verb));
    let digest = client.digest();
    done.iter().filter(idempotent).for_each(|command| drop(client.get(command)));
    assert_eq!(client.digest(), digest);
    let count = |verb: &str| done.iter().filter(|command| command.starts_with(verb)).count() as i64;
    let (placed, completed, cancelled) = (count("ORDER.PLACE"), count("ORDER.COMPLETE"), count("ORDER.CANCEL"));
    let dead = count("ORDER.FAIL");
    let open = 21 + placed - completed - cancelled - dead;
    assert_eq!(client.int(format!("XLEN {ORDERS}")), open);
    assert_eq!(client.int(format!("XLEN {DEAD}")), dead);
    assert_eq!(client.int(format!("XLEN {COMPLETE}")), 2 + completed);
    let on_hand = 1000 - 2 - completed + count("INV.ADJUST");
    let held = open + count("INV.RESERVE");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (on_hand, held, on_hand - held));
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut client, "popup");
}

fn resharding_store_first(binary: &ServerBinary) {
    reshard(binary, ["popup", ORDERS, COMPLETE, JOURNAL, DEAD, ALERTS]);
}

fn resharding_streams_first(binary: &ServerBinary) {
    reshard(binary, [ALERTS, DEAD, ORDERS, JOURNAL, COMPLETE, "popup"]);
}

/// While a stream of orders is on the other node, this node cannot know or write its entries. Afterwards a repair
/// removes entries that came with it and belong to no order.
fn repair_and_audit_wait_for_the_streams(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    let slot = open_shop(&pair);
    let mut client = pair.client(0);
    client.get("ORDER.FAIL popup o-2 FATAL");
    client.text(format!("XADD {ORDERS} * order o-0 customer c-1"));
    client.text(format!("XADD {DEAD} * order o-0 customer c-1"));
    assert_eq!(client.get("STORE.AUDIT popup").array().len(), 2);
    let waits = |client: &mut Client, asking: bool| {
        for command in ["STORE.AUDIT popup", "STORE.REPAIR popup"] {
            if asking {
                client.ok("ASKING");
            }
            assert_eq!(client.call(command).code(), "TRYAGAIN", "{command}");
        }
        pair.assert_nothing_doubled();
    };
    pair.begin_move(slot, 0);
    pair.move_key(DEAD, 0);
    waits(&mut client, false);
    pair.move_key("popup", 0);
    let mut importing = pair.client(1);
    waits(&mut importing, true);
    [ORDERS, COMPLETE, JOURNAL, ALERTS].iter().for_each(|key| pair.move_key(key, 0));
    pair.end_move(slot, 0);
    assert_eq!(importing.get("STORE.AUDIT popup").array().len(), 2);
    assert_eq!(importing.int("STORE.REPAIR popup"), 2);
    assert_books_balance(&mut importing, "popup");
}

/// A deadline comes while the store and its journal are on different nodes: the units come back, and no stream is made
/// twice.
fn an_expiry_during_resharding_doubles_no_stream(binary: &ServerBinary) {
    for keys in [["popup", ORDERS, COMPLETE, JOURNAL], [JOURNAL, COMPLETE, ORDERS, "popup"]] {
        let pair = Pair::start(binary);
        let slot = open_shop(&pair);
        let mut client = pair.client(0);
        let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 300 ITEMS sku-1 7");
        pair.begin_move(slot, 0);
        pair.move_key(keys[0], 0);
        wait_until(DEADLINE, "the deadline has passed", || server_now_ms(&mut client) > deadline_ms + 30);
        pair.assert_nothing_doubled();
        keys[1..].iter().for_each(|key| pair.move_key(key, 0));
        pair.end_move(slot, 0);
        let mut client = pair.client(1);
        wait_until(DEADLINE, "the units are back", || stock(&mut client, "popup", "sku-1").1 == 18);
        assert_books_balance(&mut client, "popup");
    }
}

/// A lease expires for the last time, and a retry becomes due, while store and streams are on different nodes: both
/// wait until store and streams are together, and no entry is left over.
fn deadlines_during_resharding_wait_for_the_streams(binary: &ServerBinary) {
    for keys in [["popup", ORDERS, COMPLETE, JOURNAL], [JOURNAL, COMPLETE, ORDERS, "popup"]] {
        let pair = Pair::start(binary);
        let slot = open_shop(&pair);
        let mut client = pair.client(0);
        client.ok("STORE.SET popup attempts 1");
        assert_eq!(claim(&mut client, "ORDER.CLAIM popup w COUNT 2 LEASE 200").len(), 2);
        client.ok("STORE.SET popup attempts 5");
        client.get("ORDER.FAIL popup o-9 AFTER 200");
        client.ok("STORE.SET popup attempts 1");
        pair.begin_move(slot, 0);
        let (first, rest) = keys.split_at(if keys[0] == "popup" { 1 } else { 3 });
        first.iter().for_each(|key| pair.move_key(key, 0));
        let mut holder = pair.client(usize::from(keys[0] == "popup"));
        let mut in_work = || {
            holder.ok("ASKING");
            holder.get("STORE.INFO popup").field("in-work").int()
        };
        let began = std::time::Instant::now();
        wait_until(DEADLINE, "the leases would have ended", || began.elapsed().as_millis() > 250);
        assert_stays("they wait", || in_work() == 2);
        rest.iter().for_each(|key| pair.move_key(key, 0));
        pair.end_move(slot, 0);
        let mut client = pair.client(1);
        wait_until(DEADLINE, "two are dead, one is due", || {
            client.int(format!("XLEN {DEAD}")) == 2 && client.int("XLEN {popup}:retry") == 1
        });
        assert_eq!(client.int(format!("XLEN {ORDERS}")), 16);
        assert_books_balance(&mut client, "popup");
        assert_eq!(client.int("STORE.REPAIR popup"), 0);
    }
}

/// While its slot moves, a stream whose time to live is over is not here, though it is not deleted yet: what is due
/// waits, as its entry would be left out here, and written on replicas.
fn a_stream_that_expired_during_resharding_is_not_left_out(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    let mut client = pair.client(0);
    open_store(&mut client, "popup", 10);
    client.ok("STORE.SET popup attempts 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.get("ORDER.FAIL popup o-1 FATAL");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    let slot = client.int("CLUSTER KEYSLOT popup");
    client.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    client.int(format!("PEXPIRE {DEAD} 1"));
    pair.begin_move(slot, 0);
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w LEASE 50").len(), 1);
    let began = std::time::Instant::now();
    wait_until(DEADLINE, "the lease would have ended", || began.elapsed().as_millis() > 100);
    assert_stays("it waits", || client.get("STORE.INFO popup").field("in-work").int() == 1);
    for node in [0, 1] {
        pair.client(node).ok(format!("CLUSTER SETSLOT {slot} STABLE"));
    }
    wait_until(DEADLINE, "it is dead", || client.int(format!("XLEN {DEAD}")) == 1);
    assert_eq!(client.int("STORE.REPAIR popup"), 1, "what expired with the stream is written anew");
    assert_books_balance(&mut client, "popup");
}

/// A consumer has made its group, and with it a stream that the store does not know. The store moves first, and a sale
/// on its new node must not make that stream a second time.
fn a_consumer_group_on_a_store_without_orders_moves_with_its_slot(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    let mut client = pair.client(0);
    open_store(&mut client, "popup", 10);
    client.ok(format!("XGROUP CREATE {ORDERS} pickers 0 MKSTREAM"));
    let slot = client.int("CLUSTER KEYSLOT popup");
    pair.begin_move(slot, 0);
    pair.move_key("popup", 0);
    let mut target = pair.client(1);
    for command in ["ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1"] {
        target.ok("ASKING");
        assert_eq!(target.call(command).code(), "TRYAGAIN");
    }
    pair.assert_nothing_doubled();
    pair.move_key(ORDERS, 0);
    target.ok("ASKING");
    target.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    pair.end_move(slot, 0);
    let read = target.get(format!("XREADGROUP GROUP pickers p-1 COUNT 1 NOACK STREAMS {ORDERS} >"));
    assert_eq!(ids_of(&read).len(), 1);
    assert_books_balance(&mut target, "popup");
}

/// Samples are due while the store and their stream are on different nodes: no sample is lost, no stream is made twice,
/// and a node that has the store but does not own its slot yet takes none.
fn a_sample_during_resharding_doubles_no_stream(binary: &ServerBinary) {
    const METRICS: &str = "{popup}:metrics";
    for keys in [["popup", ORDERS, COMPLETE, JOURNAL, METRICS], [METRICS, JOURNAL, COMPLETE, ORDERS, "popup"]] {
        let pair = Pair::start(binary);
        (0..2).for_each(|node| pair.client(node).ok("CONFIG SET holdfast.sample-ms 20"));
        let slot = open_shop(&pair);
        let mut client = pair.client(0);
        client.ok("STORE.SET popup metrics 100");
        let sampled = |client: &mut Client, placed: &str| {
            entries(client, METRICS).last().is_some_and(|entry| entry.text("placed") == placed)
        };
        wait_until(DEADLINE, "there are samples", || sampled(&mut client, "20"));
        pair.begin_move(slot, 0);
        pair.move_key(keys[0], 0);
        // A refusal is the only change, on the node that has the store.
        let store_first = keys[0] == "popup";
        let mut holder = pair.client(usize::from(store_first));
        holder.ok("ASKING");
        assert_eq!(holder.call("ORDER.CLAIM popup w COUNT 0").code(), "ERR");
        let sampled_once = |client: &mut Client| client.info("holdfast", "holdfast_refused_err") == "1";
        if store_first {
            assert_stays("a node that does not own the slot takes no sample", || !sampled_once(&mut holder));
        } else {
            wait_until(DEADLINE, "a sample is taken without its stream", || sampled_once(&mut holder));
        }
        pair.assert_nothing_doubled();
        keys[1..].iter().for_each(|key| pair.move_key(key, 0));
        pair.end_move(slot, 0);
        if store_first {
            wait_until(DEADLINE, "the sample is taken once the slot is owned", || sampled_once(&mut holder));
        }
        let mut client = pair.client(1);
        client.text("ORDER.PLACE popup after c-1 ITEMS sku-1 1");
        wait_until(DEADLINE, "the next sample is in the one stream", || sampled(&mut client, "21"));
        assert_eq!(entries(&mut client, METRICS).last().expect("a sample").text("refused-err"), "1");
        assert_books_balance(&mut client, "popup");
    }
}

/// STORE.DROP while the store and its streams are on different nodes: refused for now, or done completely.
fn a_drop_during_resharding_leaves_nothing(binary: &ServerBinary) {
    for keys in [["popup", ORDERS, COMPLETE, JOURNAL], [ORDERS, JOURNAL, COMPLETE, "popup"]] {
        let pair = Pair::start(binary);
        let slot = open_shop(&pair);
        pair.begin_move(slot, 0);
        pair.move_key(keys[0], 0);
        let mut holder = pair.client(usize::from(keys[0] == "popup"));
        if keys[0] == "popup" {
            holder.ok("ASKING");
        }
        let reply = holder.call("STORE.DROP popup");
        if reply.is_error() {
            assert!(["ASK", "TRYAGAIN"].contains(&reply.code().as_str()), "{reply:?}");
        }
        for key in &keys[1..] {
            if pair.client(0).text(format!("TYPE {key}")) != "none" {
                pair.move_key(key, 0);
            }
        }
        pair.end_move(slot, 0);
        let mut client = pair.client(1);
        if reply.is_error() {
            assert_books_balance(&mut client, "popup");
            client.get("STORE.DROP popup");
        }
        assert_eq!(client.get("KEYS *").texts(), Vec::<String>::new(), "STORE.DROP said {reply:?}, and this is left");
    }
}

/// Places orders, and completes every second one, through a client that follows redirections, until it is stopped.
/// Returns the orders that were acknowledged: all of them, and those completed.
fn trade(port: u16, number: usize, stop: &AtomicBool) -> (Vec<String>, Vec<String>) {
    let url = format!("redis://127.0.0.1:{port}/");
    let cluster = redis::cluster::ClusterClientBuilder::new(vec![url]).retries(50).build().expect("a cluster client");
    let mut connection = cluster.get_connection().expect("a connection to the cluster");
    let mut call = |command: String| {
        let words = command.as_str().into_command();
        let mut cmd = redis::cmd(&String::from_utf8_lossy(&words[0]));
        for word in &words[1..] {
            cmd.arg(word.as_slice());
        }
        // Redirections and TRYAGAIN that last longer than the client tries: a shop would send the command again.
        let mut tries = 0;
        loop {
            match cmd.query::<redis::Value>(&mut connection) {
                Ok(_) => return,
                Err(error) => {
                    tries += 1;
                    let code = error.code().unwrap_or_default().to_string();
                    let moving = ["TRYAGAIN", "ASK", "MOVED", "CLUSTERDOWN"].contains(&code.as_str());
                    assert!(moving && tries < 200, "{command}: {error}");
                }
            }
        }
    };
    let (mut placed, mut completed) = (Vec::new(), Vec::new());
    for order in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let id = format!("t-{number}-{order}");
        call(format!("ORDER.PLACE popup {id} c-{number} ITEMS sku-1 1"));
        if order % 2 == 0 {
            call(format!("ORDER.COMPLETE popup {id}"));
            completed.push(id.clone());
        }
        placed.push(id);
    }
    (placed, completed)
}

/// Stops the traders when the test fails, so that it ends.
pub struct StopOnPanic<'a>(pub &'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Moves the slot with all its keys, as `redis-cli --cluster reshard` does.
fn move_slot(pair: &Pair, slot: i64, from: usize) {
    pair.begin_move(slot, from);
    let mut client = pair.client(from);
    loop {
        let keys = client.get(format!("CLUSTER GETKEYSINSLOT {slot} 1"));
        let [key] = keys.array() else { break };
        pair.move_key(&key.text(), from);
    }
    pair.end_move(slot, from);
}

fn resharding_under_traffic(binary: &ServerBinary) {
    const MOVES: usize = 6;
    let pair = Pair::start(binary);
    let mut client = pair.client(0);
    open_store(&mut client, "popup", 1_000_000);
    let slot = client.int("CLUSTER KEYSLOT popup");
    let stop = AtomicBool::new(false);
    let traded = thread::scope(|scope| {
        let _guard = StopOnPanic(&stop);
        let start = |number| {
            let (stop, port) = (&stop, pair.nodes[0].port());
            scope.spawn(move || trade(port, number, stop))
        };
        let threads: Vec<_> = (0..4).map(start).collect();
        for round in 0..MOVES {
            let mut owner = pair.client(round % 2);
            let length = owner.int(format!("XLEN {ORDERS}"));
            wait_until(DEADLINE, "there is traffic", || owner.int(format!("XLEN {ORDERS}")) > length + 20);
            move_slot(&pair, slot, round % 2);
            pair.assert_nothing_doubled();
        }
        stop.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().expect("a trader")).collect::<Vec<_>>()
    });
    let placed: BTreeSet<String> = traded.iter().flat_map(|(placed, _)| placed.clone()).collect();
    let completed: BTreeSet<String> = traded.iter().flat_map(|(_, completed)| completed.clone()).collect();
    let mut client = pair.client(MOVES % 2);
    let in_stream = |client: &mut Client, stream: &str| -> Vec<String> {
        entries(client, stream).iter().map(|entry| entry.text("order")).collect()
    };
    let mut open = in_stream(&mut client, ORDERS);
    open.sort();
    assert_eq!(open, placed.difference(&completed).cloned().collect::<Vec<_>>());
    let mut done = in_stream(&mut client, COMPLETE);
    done.sort();
    assert_eq!(done, completed.iter().cloned().collect::<Vec<_>>());
    let (sold, open) = (completed.len() as i64, open.len() as i64);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000_000 - sold, open, 1_000_000 - sold - open));
    assert_eq!(client.call("STORE.REPAIR popup"), Reply::Int(0));
    assert_books_balance(&mut client, "popup");
}

/// A caller that waits when the slot moves gets a redirection, asks again, and learns the new node; the holder keeps
/// its token.
fn a_lock_moves_with_its_slot(binary: &ServerBinary) {
    let pair = Pair::start(binary);
    let mut client = pair.client(0);
    let token = client.int("LOCK.ACQUIRE popup ann 600000");
    let mut bob = pair.client(0);
    bob.send("LOCK.ACQUIRE popup bob 600000 WAIT 0").expect("sent");
    wait_until(DEADLINE, "bob waits", || client.get("LOCK.GET popup").field("waiting").int() == 1);
    let slot = client.int("CLUSTER KEYSLOT popup");
    pair.begin_move(slot, 0);
    pair.move_key("popup", 0);
    assert_eq!(bob.receive().expect("a reply"), Reply::Nil);
    assert_eq!(bob.call("LOCK.ACQUIRE popup bob 600000 WAIT 0").code(), "ASK");
    pair.end_move(slot, 0);
    assert_eq!(bob.call("LOCK.ACQUIRE popup bob 600000 WAIT 0").code(), "MOVED");
    let (mut client, mut bob) = (pair.client(1), pair.client(1));
    assert_eq!(client.get("LOCK.ACQUIRE popup bob 600000"), Reply::Nil);
    bob.send("LOCK.ACQUIRE popup bob 600000 WAIT 0").expect("sent");
    wait_until(DEADLINE, "bob waits again", || client.get("LOCK.GET popup").field("waiting").int() == 1);
    assert_eq!(client.int(format!("LOCK.RELEASE popup {token}")), 1);
    assert!(bob.receive().expect("a reply").int() > token);
    pair.assert_nothing_doubled();
}

/// Callers who wait without end at a primary that becomes a replica are sent away: nobody would answer them there.
fn callers_are_sent_away_when_their_node_is_replaced(binary: &ServerBinary) {
    const ASKED: [&str; 2] = ["ORDER.CLAIM popup w-1 BLOCK 0", "LOCK.ACQUIRE {popup}doc bob 600000 WAIT 0"];
    let (primary, replica) = (Server::cluster(binary), Server::cluster_node(binary));
    let (mut client, mut next) = (primary.client(), replica.client());
    client.ok("CLUSTER SET-CONFIG-EPOCH 1");
    next.ok("CLUSTER SET-CONFIG-EPOCH 2");
    client.ok(format!("CLUSTER MEET 127.0.0.1 {} {}", replica.port(), replica.bus_port()));
    let id = client.text("CLUSTER MYID");
    wait_until(DEADLINE, "the nodes know each other", || !next.call(format!("CLUSTER REPLICATE {id}")).is_error());
    replica.wait_for_link();
    replica.wait_for_cluster();
    open_store(&mut client, "popup", 10);
    client.int("LOCK.ACQUIRE {popup}doc ann 600000");
    let mut waiting: Vec<Client> = ASKED.iter().map(|_| primary.client()).collect();
    waiting.iter_mut().zip(ASKED).for_each(|(waiting, asked)| waiting.send(asked).expect("sent"));
    wait_until(DEADLINE, "both wait", || client.info("clients", "blocked_clients") == "2");
    next.ok("CLUSTER FAILOVER TAKEOVER");
    wait_until(DEADLINE, "the primary is a replica", || client.info("replication", "role") == "slave");
    for (waiting, asked) in waiting.iter_mut().zip(ASKED) {
        let reply = waiting.receive().expect("an answer");
        let sent_away = match &reply {
            Reply::Error(_) => ["UNBLOCKED", "MOVED"].contains(&reply.code().as_str()),
            reply => *reply == Reply::Nil || *reply == Reply::Array(Vec::new()),
        };
        assert!(sent_away, "{asked}: {reply:?}");
        let again = asked.replace(" BLOCK 0", "").replace(" WAIT 0", "");
        assert_eq!(primary.client().call(again).code(), "MOVED");
    }
}
