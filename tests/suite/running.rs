//! The pages of docs/running: what they say to type is typed on real servers, and what they say happens does happen.

use crate::common::ways::{completed, wait_for_promotion};
use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, claim_one, console, open_store, server_now_ms, stock,
    tests, wait_until,
};
use crate::docs::document::{Block, blocks, read};
use crate::replication::Stopped;
use regex::{Captures, Regex};
use std::process::{Command, Stdio};

tests![
    a_cluster_is_made_and_its_slots_move,
    a_cluster_with_replicas_hands_over,
    what_a_failover_loses_is_what_the_page_says,
];

const CLUSTER: &str = "docs/running/cluster.md";

/// Each line of a shell on the page of clusters.
struct Typed {
    create: String,
    check: String,
    create_with_replicas: String,
    reshard: String,
    failover: String,
}

fn blocks_of(page: &str, language: &str) -> Vec<Block> {
    blocks(&read(page)).into_iter().filter(|block| block.language == language).collect()
}

fn typed() -> Typed {
    let lines: Vec<String> = blocks_of(CLUSTER, "sh").iter().flat_map(Block::shell).collect();
    let lines: Result<[String; 5], _> = lines.try_into();
    let [create, check, create_with_replicas, reshard, failover] = lines.expect("five lines: is a new one tested?");
    Typed { create, check, create_with_replicas, reshard, failover }
}

/// Nodes with the configuration of the page, which nothing has made a cluster of.
fn nodes(binary: &ServerBinary, count: usize) -> Vec<Server> {
    let config = blocks_of(CLUSTER, "conf").into_iter().next().expect("the file of a node").lines;
    // The module of this run is loaded already.
    let config: Vec<&str> = config.iter().map(String::as_str).filter(|line| !line.starts_with("loadmodule ")).collect();
    (0..count).map(|_| Server::with(binary, &config)).collect()
}

/// Types a line of the page, with these nodes for its machines, and agrees to whatever is asked. The output, and
/// whether it went well.
fn try_to_type(line: &str, nodes: &[Server]) -> (String, bool) {
    const PATIENCE_S: &str = "120";
    let address = Regex::new(r"10\.0\.0\.(\d):6379").expect("a pattern");
    let line = address.replace_all(line, |found: &Captures<'_>| {
        let node: usize = found[1].parse().expect("a digit");
        format!("127.0.0.1:{}", nodes[node - 1].port())
    });
    assert!(!line.contains("10.0.0."), "a machine that the test does not know: {line}");
    let mut shell = Command::new("timeout");
    shell.args([PATIENCE_S, "sh", "-c", &format!("echo yes | {line} 2>&1")]).stderr(Stdio::inherit());
    let output = shell.output().expect("a shell");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

#[track_caller]
fn type_in(line: &str, nodes: &[Server]) {
    let (said, is_well) = try_to_type(line, nodes);
    // For an error that the server replies, redis-cli ends well.
    assert!(is_well && !said.contains("ERR"), "{line}:\n{said}");
}

/// Waits until every node is in the cluster and the page's check finds nothing: they tell each other who has what.
#[track_caller]
fn wait_for_check(line: &str, nodes: &[Server]) {
    wait_until(DEADLINE, "the check finds nothing", || {
        let (said, is_well) = try_to_type(line, nodes);
        let known = format!("cluster_known_nodes:{}\r", nodes.len());
        let is_in = |node: &Server| node.client().text("CLUSTER INFO").contains(&known);
        is_well
            && nodes.iter().all(is_in)
            && said.contains("[OK] All nodes agree")
            && said.contains("[OK] All 16384 slots covered")
    });
}

/// A store that belongs to this node, in one of the first slots that there are.
#[track_caller]
fn store_of(node: &Server, first_slots: i64) -> String {
    let mut client = node.client();
    let mut names = (0..100_000).map(|number| format!("shop-{number}"));
    let is_there = |name: &String| {
        client.int(format!("CLUSTER KEYSLOT {name}")) < first_slots && !client.call(format!("EXISTS {name}")).is_error()
    };
    names.find(is_there).expect("a name")
}

/// While a store is sold on one node, a line of the page is typed that brings it to another one: nothing is lost.
#[track_caller]
fn sell_meanwhile(binary: &ServerBinary, nodes: &[Server], [from, to]: [&Server; 2], store: &str, line: &str) {
    /// So many orders are completed before the store goes.
    const BEFORE: i64 = 40;
    let url = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect::<Vec<_>>().join(",");
    let url = format!("redis://{url}");
    let sale = ["sale", "--url", &url, "--store", store, "--duration", "8", "--units", "280", "--watch", "off"];
    let sale = console::start(binary, &sale, &std::env::temp_dir());
    wait_until(DEADLINE, "the sale is under way", || completed(from.port(), store) > BEFORE);
    let sold = completed(from.port(), store);
    type_in(line, nodes);
    wait_for_promotion(to);
    sale.wait().assert_success();
    assert!(completed(to.port(), store) > sold, "the sale went on there");
    assert_books_balance(&mut to.client(), store);
}

fn a_cluster_is_made_and_its_slots_move(binary: &ServerBinary) {
    let Typed { create, check, reshard, .. } = typed();
    let nodes = nodes(binary, 3);
    type_in(&create, &nodes);
    wait_for_check(&check, &nodes);
    // Of the first node its first slots are moved.
    let store = store_of(&nodes[0], 40);
    sell_meanwhile(binary, &nodes, [&nodes[0], &nodes[1]], &store, &reshard);
    wait_for_check(&check, &nodes);
}

fn a_cluster_with_replicas_hands_over(binary: &ServerBinary) {
    let Typed { check, create_with_replicas, failover, .. } = typed();
    let nodes = nodes(binary, 6);
    type_in(&create_with_replicas, &nodes);
    wait_for_check(&check, &nodes);
    let replica = &nodes[3];
    replica.wait_for_link();
    let primary = replica.client().info("replication", "master_port");
    let primary = nodes.iter().find(|node| node.port().to_string() == primary).expect("the primary of the replica");
    wait_until_known(&nodes, primary, replica);
    let store = store_of(primary, i64::MAX);
    sell_meanwhile(binary, &nodes, [primary, replica], &store, &failover);
    wait_for_check(&check, &nodes);
}

/// Waits until every node knows whose replica this one is: a primary that does not yet would not vote for it.
#[track_caller]
fn wait_until_known(nodes: &[Server], primary: &Server, replica: &Server) {
    let [primary, replica] = [primary, replica].map(|node| node.client().text("CLUSTER MYID"));
    let is_known = |line: &str| line.starts_with(&replica) && line.contains(&format!("slave {primary}"));
    wait_until(DEADLINE, "all know the replica", || {
        nodes.iter().all(|node| node.client().text("CLUSTER NODES").lines().any(is_known))
    });
}

/// A primary with the store `popup`, and its replica.
struct Pair {
    primary: Server,
    replica: Server,
}

impl Pair {
    fn start(binary: &ServerBinary) -> Pair {
        // Nothing is written but by the test: what is lost is what it did.
        let primary = Server::with(binary, &["holdfast.sample-ms 0"]);
        let replica = primary.replica(binary);
        open_store(&mut primary.client(), "popup", 10);
        Pair { primary, replica }
    }

    /// Cuts the replica off, does something that the primary acknowledges, kills the primary and promotes the replica:
    /// the new primary, which has not heard of it, and what the old one said.
    #[track_caller]
    fn lose<T>(&mut self, lost: impl FnOnce(&mut Client) -> T) -> (Client, T) {
        let [mut old, mut new] = [self.primary.client(), self.replica.client()];
        wait_until(DEADLINE, "the replica has everything", || old.digest() == new.digest());
        let digest = old.digest();
        // While it stands still it cannot connect again.
        let stopped = Stopped::new(&self.replica);
        old.int("CLIENT KILL TYPE replica");
        let said = lost(&mut old);
        assert_ne!(old.digest(), digest, "something is lost");
        self.primary.kill9();
        drop(stopped);
        assert_eq!(new.digest(), digest, "it is lost");
        new.ok("REPLICAOF NO ONE");
        (new, said)
    }
}

/// A row of the table: what was lost, words of what happens next, and the test of that.
type Row = (&'static str, &'static str, fn(&mut Pair) -> Client);

const ROWS: &[Row] = &[
    ("an ORDER.PLACE", "The shop that got no reply sends it again and it is placed once.", a_place_is_lost),
    ("an ORDER.CLAIM", "is still in the queue and goes to another worker; the first one's token", a_claim_is_lost),
    ("an ORDER.COMPLETE", "the order is handed out again when its lease expires", a_complete_is_lost),
    ("an ORDER.PASS", "the order is pending still. The payment provider's webhook is to be sent again", a_pass_is_lost),
    ("an INV.SYNC", "the next message gets `GAP` and says from where to send again", a_sync_is_lost),
    ("an expiry", "it happens again on the new primary", an_expiry_is_lost),
];

fn what_a_failover_loses_is_what_the_page_says(binary: &ServerBinary) {
    let page = read("docs/running/replication.md");
    let lines = page.lines().skip_while(|line| !line.starts_with("| what was lost |")).skip(2);
    let rows: Vec<_> = lines.map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")).collect();
    assert_eq!(
        rows.iter().map(|(what, _)| *what).collect::<Vec<_>>(),
        ROWS.iter().map(|(what, ..)| *what).collect::<Vec<_>>(),
        "every row is tried"
    );
    for ((what, says), (_, words, happens)) in rows.iter().zip(ROWS) {
        assert!(says.contains(words), "{what}: the page says another thing than the test tries: {says}");
        let mut pair = Pair::start(binary);
        let mut client = happens(&mut pair);
        assert_books_balance(&mut client, "popup");
    }
}

const PLACE: &str = "ORDER.PLACE popup o-1 ann ITEMS sku-1 1";

fn a_place_is_lost(pair: &mut Pair) -> Client {
    let (mut client, _) = pair.lose(|client| client.text(PLACE));
    client.refused("NOORDER", "ORDER.GET popup o-1");
    let placed = client.text(PLACE);
    assert_eq!(client.text(PLACE), placed);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 1, 9));
    client
}

fn a_claim_is_lost(pair: &mut Pair) -> Client {
    /// Of the lost claim.
    const LEASE_MS: i64 = 600_000;
    pair.primary.client().text(PLACE);
    let (mut client, lost) = pair.lose(|client| claim_one(client, format!("ORDER.CLAIM popup w-1 LEASE {LEASE_MS}")));
    assert_eq!(client.get("ORDER.GET popup o-1").field("state").text(), "queued");
    let late = format!("ORDER.COMPLETE popup o-1 TOKEN {}", lost.token);
    client.refused("FENCED", &late);
    // A token is made of the clock: two primaries within the same millisecond give the same one.
    wait_until(DEADLINE, "a later millisecond", || server_now_ms(&mut client) > lost.deadline - LEASE_MS);
    let again = claim_one(&mut client, "ORDER.CLAIM popup w-2");
    assert_eq!((again.order.as_str(), again.attempt), ("o-1", 1));
    assert!(again.token > lost.token, "{again:?} after {lost:?}");
    client.refused("FENCED", &late);
    client.text(format!("ORDER.COMPLETE popup o-1 TOKEN {}", again.token));
    client
}

fn a_complete_is_lost(pair: &mut Pair) -> Client {
    let mut client = pair.primary.client();
    client.text(PLACE);
    let first = claim_one(&mut client, "ORDER.CLAIM popup w-1 LEASE 2000");
    let complete = format!("ORDER.COMPLETE popup o-1 TOKEN {}", first.token);
    let (mut client, _) = pair.lose(|client| client.text(&complete));
    let again = claim_one(&mut client, "ORDER.CLAIM popup w-2 BLOCK 20000");
    assert_eq!((again.order.as_str(), again.attempt), ("o-1", 2));
    assert!(server_now_ms(&mut client) >= first.deadline);
    client.refused("FENCED", &complete);
    client.text(format!("ORDER.COMPLETE popup o-1 TOKEN {}", again.token));
    assert_eq!(stock(&mut client, "popup", "sku-1"), (9, 0, 9));
    client
}

fn a_pass_is_lost(pair: &mut Pair) -> Client {
    const PASS: &str = "ORDER.PASS popup o-1 payment";
    pair.primary.client().get(PLACE.replace("ITEMS", "GATE payment 600000 ITEMS"));
    let (mut client, said) = pair.lose(|client| client.int(PASS));
    assert_eq!(client.get("ORDER.GET popup o-1").field("state").text(), "pending");
    assert_eq!(client.int(PASS), said);
    assert_eq!(client.get("ORDER.GET popup o-1").field("state").text(), "queued");
    client
}

fn a_sync_is_lost(pair: &mut Pair) -> Client {
    let sync = |number: i64| format!("INV.SYNC popup erp {number} ITEMS sku-1 {}", 20 + number);
    pair.primary.client().text(sync(1));
    let (mut client, said) = pair.lose(|client| client.text(sync(2)));
    let gap = client.refused("GAP", sync(3));
    assert!(gap.contains("expected 2"), "{gap}");
    assert_eq!(client.text(sync(2)), said);
    client.text(sync(3));
    assert_eq!(stock(&mut client, "popup", "sku-1"), (23, 0, 23));
    client
}

fn an_expiry_is_lost(pair: &mut Pair) -> Client {
    let expired = |client: &mut Client| client.get("INV.HOLD popup h-1").field("state").text() == "expired";
    pair.primary.client().int("INV.RESERVE popup h-1 TTL 2000 ITEMS sku-1 3");
    let (mut client, ()) = pair.lose(|client| wait_until(DEADLINE, "the hold expires", || expired(client)));
    wait_until(DEADLINE, "the hold expires again", || expired(&mut client));
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
    client
}
