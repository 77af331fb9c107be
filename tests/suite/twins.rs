//! `popup` and `{popup}` would have the same streams: the one that came second writes to none, and says so.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, cmd, entries, open_store, server_now_ms, stock,
    tests, wait_until,
};

tests![
    a_copy_to_the_twin_is_refused,
    a_store_renamed_to_the_twin_writes_to_no_stream,
    a_store_restored_under_the_twin_writes_to_no_stream,
    the_second_is_free_once_the_first_is_gone,
    which_came_second_is_known_after_a_restart_and_on_a_replica,
    a_replica_follows_a_store_without_streams,
];

const STREAMS: [&str; 3] = ["{popup}:orders", "{popup}:dead", "{popup}:journal"];

/// Every entry of the existing streams.
fn written(client: &mut Client) -> Vec<Vec<String>> {
    STREAMS.map(|stream| entries(client, stream).into_iter().map(|entry| entry.id).collect()).to_vec()
}

/// `popup` sells; the second store comes from `other`, which has an order, and a hold and a lease that expire soon.
fn two_stores(client: &mut Client) {
    for key in ["popup", "other"] {
        open_store(client, key, 10);
        client.ok(format!("STORE.SET {key} journal 100 attempts 1"));
        client.text(format!("ORDER.PLACE {key} o-1 c-1 ITEMS sku-1 1"));
    }
    client.int("INV.RESERVE other h-1 TTL 150 ITEMS sku-1 2");
    client.get("ORDER.CLAIM other w-1 LEASE 150");
}

/// The second store can be read, refuses writes, acts on its deadlines, and does not touch the streams.
#[track_caller]
fn assert_leaves_streams_alone(client: &mut Client, second: &str, first: &str) {
    let before = written(client);
    for command in [
        "ORDER.PLACE KEY o-9 c-1 ITEMS sku-1 1",
        "ORDER.CLAIM KEY w-9",
        "ORDER.REDRIVE KEY ALL",
        "ORDER.PURGE KEY",
        "INV.RESERVE KEY h-9 ITEMS sku-1 1",
        "INV.SET KEY sku-1 5",
        "STORE.SET KEY limit 4",
        "STORE.REPAIR KEY",
    ] {
        let text = client.refused("ERR", command.replace("KEY", second));
        assert_eq!(
            text,
            format!("ERR key must not share its streams with the store {first}: RENAME or delete one of them")
        );
    }
    wait_until(DEADLINE, "the hold and the lease end", || {
        client.get(format!("STORE.INFO {second}")).field("dead-letters").int() == 1
            && client.get(format!("INV.GET {second} sku-1")).array()[0].field("held").int() == 0
    });
    assert_books_balance(client, second);
    assert_eq!(written(client), before);
    // The first one continues as before.
    client.text(format!("ORDER.PLACE {first} o-next c-1 ITEMS sku-1 1"));
    assert_eq!(client.int(format!("STORE.REPAIR {first}")), 0);
    assert_books_balance(client, first);
}

fn a_copy_to_the_twin_is_refused(binary: &ServerBinary) {
    if !binary.returns_from_other_databases() {
        return;
    }
    let server = Server::start(binary);
    let mut client = server.client();
    for (from, to) in [("popup", "{popup}"), ("{shop}", "shop"), ("third", "{popup}")] {
        if client.int(format!("EXISTS {from}")) == 0 {
            open_store(&mut client, from, 10);
        }
        let digest = client.digest();
        for options in ["", " REPLACE"] {
            assert!(client.call(format!("COPY {from} {to}{options}")).is_error(), "COPY {from} {to}{options}");
        }
        assert_eq!(client.digest(), digest);
        assert!(server.log_tail().contains("must not share its streams with the store"), "the log says why");
    }
    assert_eq!(client.int("COPY popup {popup} DB 3"), 1, "another database has streams of its own");
    assert_eq!(client.int("COPY popup elsewhere"), 1);
    client.ok("SELECT 3");
    client.text("ORDER.PLACE {popup} o-1 c-1 ITEMS sku-1 1");
    assert_eq!(client.int("XLEN {popup}:orders"), 1);
    assert_books_balance(&mut client, "{popup}");
}

fn a_store_renamed_to_the_twin_writes_to_no_stream(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    two_stores(&mut client);
    client.ok("RENAME other {popup}");
    assert_leaves_streams_alone(&mut client, "{popup}", "popup");
    // Dropping it deletes no stream.
    let before = written(&mut client);
    client.ok("STORE.DROP {popup}");
    assert_eq!(written(&mut client), before);
    // The other way round.
    client.ok("FLUSHALL");
    two_stores(&mut client);
    client.ok("RENAME popup {popup}");
    client.ok("RENAME other popup");
    assert_leaves_streams_alone(&mut client, "popup", "{popup}");
}

fn a_store_restored_under_the_twin_writes_to_no_stream(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    two_stores(&mut client);
    let payload = client.get("DUMP other").bytes().to_vec();
    client.ok(cmd!["RESTORE", "{popup}", 0, payload]);
    assert_leaves_streams_alone(&mut client, "{popup}", "popup");
    client.ok("FLUSHALL");
    two_stores(&mut client);
    client.ok("RENAME other {popup}");
    client.int("MOVE {popup} 3");
    client.ok("SELECT 3");
    client.text("ORDER.PLACE {popup} o-2 c-1 ITEMS sku-1 1");
    client.ok("SELECT 0");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.ok("SELECT 3");
    // Back again, with a name of its own in between.
    client.ok("RENAME {popup} other");
    client.int("MOVE other 0");
    client.ok("SELECT 0");
    client.text("ORDER.PLACE other o-3 c-1 ITEMS sku-1 1");
}

fn the_second_is_free_once_the_first_is_gone(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    two_stores(&mut client);
    client.ok("RENAME other {popup}");
    client.refused("ERR", "ORDER.PLACE {popup} o-2 c-1 ITEMS sku-1 1");
    client.ok("RENAME popup elsewhere");
    client.text("ORDER.PLACE {popup} o-2 c-1 ITEMS sku-1 1");
    assert!(entries(&mut client, "{popup}:orders").iter().any(|entry| entry.text("order") == "o-2"));
    client.int("STORE.REPAIR {popup}");
    // It has the streams now: a store that comes back is the second.
    client.ok("RENAME elsewhere popup");
    client.refused_naming("ERR", "{popup}", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE {popup} o-3 c-1 ITEMS sku-1 1");
    client.int("DEL {popup}");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
}

fn which_came_second_is_known_after_a_restart_and_on_a_replica(binary: &ServerBinary) {
    for config in [&["save ''"][..], &["appendonly yes", "aof-use-rdb-preamble no"]] {
        let mut server = Server::with(binary, config);
        let replica = server.replica(binary);
        let mut client = server.client();
        two_stores(&mut client);
        client.ok("RENAME other {popup}");
        client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
        wait_until(DEADLINE, "hold and lease end", || stock(&mut client, "{popup}", "sku-1").1 == 0);
        let digest = client.digest();
        wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
        if config.len() == 1 {
            client.ok("SAVE");
        }
        server.restart();
        let mut client = server.client();
        client.refused_naming("ERR", "popup", "ORDER.PLACE {popup} o-3 c-1 ITEMS sku-1 1");
        client.text("ORDER.PLACE popup o-3 c-1 ITEMS sku-1 1");
        let digest = client.digest();
        wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
    }
}

/// A store whose key has no streams, or another store's: the primary acts on deadlines, and the replica follows.
fn a_replica_follows_a_store_without_streams(binary: &ServerBinary) {
    for key in ["a}b", "{popup}"] {
        let server = Server::start(binary);
        let replica = server.replica(binary);
        let mut client = server.client();
        two_stores(&mut client);
        let deadline_ms = client.int("INV.RESERVE other h-2 TTL 100 ITEMS sku-1 1");
        client.ok(format!("RENAME other {key}"));
        wait_until(DEADLINE, "the deadlines have passed", || server_now_ms(&mut client) > deadline_ms + 200);
        let digest = client.digest();
        wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
        client.ok(format!("RENAME {key} other"));
        assert_eq!(stock(&mut client, "other", "sku-1"), (10, 0, 10), "all of it is back");
        let digest = client.digest();
        wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
    }
}
