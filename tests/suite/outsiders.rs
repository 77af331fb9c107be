//! What another client does to a store's streams: entries removed, added, added with a higher id, whole keys replaced.
//! No order is lost, and replicas and append-only files still lead to the same state.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, entries, open_store, rewrite_log, shop_of, stock,
    tests, wait_until,
};

tests![
    a_trimmed_stream_loses_no_order,
    a_deleted_stream_loses_no_order,
    repair_brings_back_what_is_missing,
    repair_finds_single_missing_entries,
    repair_leaves_a_whole_stream_alone,
    audit_tells_what_an_outsider_did,
    foreign_entries_do_no_harm,
    an_entry_far_in_the_future_does_no_harm,
    a_stream_without_ids_left_does_no_harm,
    wrong_typed_orders_is_refused,
    wrong_typed_complete_is_refused,
    wrong_typed_journal_is_refused,
    an_expiry_survives_a_wrong_typed_journal,
    replica_and_log_follow_through_all_of_it,
];

const ORDERS: &str = "{popup}:orders";
const COMPLETE: &str = "{popup}:complete";
const JOURNAL: &str = "{popup}:journal";

/// A store with orders o-0 to o-9, the sixth cancelled, the seventh completed.
fn ten_orders(client: &mut Client) {
    open_store(client, "popup", 100);
    for number in 0..10 {
        client.text(format!("ORDER.PLACE popup o-{number} c-{number} DATA {{}} ITEMS sku-1 2"));
    }
    client.int("ORDER.CANCEL popup o-5");
    client.text("ORDER.COMPLETE popup o-6");
}

/// The orders in the stream, in its order.
fn in_stream(client: &mut Client) -> Vec<String> {
    entries(client, ORDERS).iter().map(|entry| entry.text("order")).collect()
}

/// What the store knows about the ten orders, whatever happened to the stream.
#[track_caller]
fn assert_no_order_lost(client: &mut Client) {
    assert_eq!(stock(client, "popup", "sku-1"), (98, 16, 82));
    for (number, wanted) in (0..10).map(|number| {
        (
            number,
            ["queued", "cancelled", "completed"][match number {
                5 => 1,
                6 => 2,
                _ => 0,
            }],
        )
    }) {
        assert_eq!(client.get(format!("ORDER.GET popup o-{number}")).field("state").text(), wanted, "o-{number}");
    }
    client.text("ORDER.COMPLETE popup o-0");
    client.int("ORDER.CANCEL popup o-9");
    client.text("ORDER.PLACE popup o-10 c-1 ITEMS sku-1 1");
    assert_eq!(stock(client, "popup", "sku-1"), (96, 13, 83));
}

fn a_trimmed_stream_loses_no_order(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    ten_orders(&mut client);
    assert_eq!(client.int(format!("XTRIM {ORDERS} MAXLEN 0")), 8);
    assert_no_order_lost(&mut client);
    assert_eq!(in_stream(&mut client), ["o-10"]);
}

fn a_deleted_stream_loses_no_order(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    ten_orders(&mut client);
    assert_eq!(client.int(format!("DEL {ORDERS} {COMPLETE}")), 2);
    assert_no_order_lost(&mut client);
    assert_eq!(in_stream(&mut client), ["o-10"]);
    assert_eq!(entries(&mut client, COMPLETE).len(), 1);
}

fn repair_brings_back_what_is_missing(binary: &ServerBinary) {
    let open = ["o-0", "o-1", "o-2", "o-3", "o-4", "o-7", "o-8", "o-9"];
    let server = Server::start(binary);
    for damage in [format!("XTRIM {ORDERS} MAXLEN 0"), format!("DEL {ORDERS}")] {
        let mut client = server.client();
        client.ok("FLUSHALL");
        ten_orders(&mut client);
        client.int(&damage);
        assert_eq!(client.int("STORE.REPAIR popup"), open.len() as i64, "{damage}");
        let mut found = in_stream(&mut client);
        assert_eq!(found.len(), open.len(), "{damage}: {found:?}");
        found.sort();
        assert_eq!(found, open, "{damage}");
        for entry in entries(&mut client, ORDERS) {
            assert_eq!(entry.names(), ["order", "customer", "items", "data"]);
            assert_eq!((entry.text("items").as_str(), entry.text("data").as_str()), (r#"[["sku-1",2]]"#, "{}"));
        }
        assert_eq!(client.int("STORE.REPAIR popup"), 0, "{damage}: repaired once");
        assert_no_order_lost(&mut client);
        for order in &open[1..7] {
            client.text(format!("ORDER.COMPLETE popup {order}"));
        }
        assert_eq!(in_stream(&mut client), ["o-10"], "{damage}: entries written back go with their orders");
        assert_books_balance(&mut client, "popup");
    }
}

fn repair_finds_single_missing_entries(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    ten_orders(&mut client);
    let ids: Vec<String> = entries(&mut client, ORDERS).into_iter().map(|entry| entry.id).collect();
    assert_eq!(client.int(format!("XDEL {ORDERS} {} {}", ids[2], ids[7])), 2);
    assert_eq!(client.int("STORE.REPAIR popup"), 2);
    let mut found = in_stream(&mut client);
    found.sort();
    assert_eq!(found, ["o-0", "o-1", "o-2", "o-3", "o-4", "o-7", "o-8", "o-9"]);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut client, "popup");
    assert_no_order_lost(&mut client);
}

fn repair_leaves_a_whole_stream_alone(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    assert_eq!(client.int("STORE.REPAIR popup"), 0, "an empty store");
    client.ok("FLUSHALL");
    ten_orders(&mut client);
    let digest = client.digest();
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_eq!(client.digest(), digest);
}

fn audit_tells_what_an_outsider_did(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    ten_orders(&mut client);
    let differences = |client: &mut Client| client.get("STORE.AUDIT popup").array().len();
    assert_eq!(differences(&mut client), 0);
    let id = client.text(format!("XADD {ORDERS} * not an-order"));
    assert_eq!(differences(&mut client), 1, "an entry too many");
    client.int(format!("XDEL {ORDERS} {id}"));
    assert_eq!(differences(&mut client), 0);
    let first = entries(&mut client, ORDERS)[0].id.clone();
    client.int(format!("XDEL {ORDERS} {first}"));
    assert_eq!(differences(&mut client), 1, "an entry too few");
    client.int("STORE.REPAIR popup");
    assert_eq!(differences(&mut client), 0);
    client.int(format!("DEL {ORDERS}"));
    assert_eq!(differences(&mut client), 1, "no stream at all");
    client.int("STORE.REPAIR popup");
    assert_eq!(differences(&mut client), 0);
}

fn foreign_entries_do_no_harm(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.text(format!("XADD {ORDERS} 5-1 not an-order"));
    ten_orders(&mut client);
    client.text(format!("XADD {ORDERS} * order o-99 customer c items [] data x"));
    assert_no_order_lost(&mut client);
    client.refused("NOORDER", "ORDER.COMPLETE popup o-99");
    assert_eq!(client.int("XLEN {popup}:orders"), 9, "seven orders and the two foreign entries");
    assert_eq!(client.int("STORE.REPAIR popup"), 2, "the two foreign entries");
    assert_eq!(client.int("XLEN {popup}:orders"), 7);
    assert_books_balance(&mut client, "popup");
}

fn an_entry_far_in_the_future_does_no_harm(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.text(format!("XADD {ORDERS} 9999999999999-7 not an-order"));
    client.text(format!("XADD {COMPLETE} 9999999999999-18446744073709551615 not an-order"));
    ten_orders(&mut client);
    let ids: Vec<String> = entries(&mut client, ORDERS).into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 9, "{ids:?}");
    assert_eq!(client.int("XLEN {popup}:complete"), 2);
    assert_no_order_lost(&mut client);
    assert_eq!(client.int(format!("XDEL {ORDERS} 9999999999999-7")), 1);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut client, "popup");
}

/// There is no larger id to append with. Whether the order is refused or accepted, nothing is lost and nothing crashes.
fn a_stream_without_ids_left_does_no_harm(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.text(format!("XADD {ORDERS} 18446744073709551615-18446744073709551615 not an-order"));
    let reply = client.call("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    let held = stock(&mut client, "popup", "sku-1").1;
    if reply.is_error() {
        assert_eq!(held, 0, "refused: {reply:?}");
        client.refused("NOORDER", "ORDER.GET popup o-1");
    } else {
        assert_eq!(held, 2);
        client.text("ORDER.COMPLETE popup o-1");
    }
    client.int(format!("DEL {ORDERS}"));
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2");
    assert_books_balance(&mut client, "popup");
}

fn wrong_typed_orders_is_refused(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 2");
    client.ok(format!("SET {ORDERS} mine"));
    client.refused("WRONGTYPE", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.refused("WRONGTYPE", "ORDER.PLACE popup o-1 c-1 HOLD h-1");
    client.int(format!("DEL {ORDERS}"));
    client.text("ORDER.PLACE popup o-1 c-1 HOLD h-1");
    client.int(format!("DEL {ORDERS}"));
    client.ok(format!("SET {ORDERS} mine"));
    client.refused("WRONGTYPE", "STORE.REPAIR popup");
    assert_eq!(client.text(format!("GET {ORDERS}")), "mine");
}

fn wrong_typed_complete_is_refused(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.int(format!("RPUSH {COMPLETE} mine"));
    client.refused("WRONGTYPE", "ORDER.COMPLETE popup o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (100, 2, 98));
    client.int(format!("DEL {COMPLETE}"));
    client.text("ORDER.COMPLETE popup o-1");
}

fn wrong_typed_journal_is_refused(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2");
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 2");
    client.ok("STORE.SET popup journal 10");
    client.ok(format!("SET {JOURNAL} mine"));
    for command in [
        "INV.SET popup sku-1 5",
        "INV.ADJUST popup sku-1 5",
        "INV.SYNC popup erp 1 ITEMS sku-1 5",
        "INV.RESERVE popup h-2 ITEMS sku-1 1",
        "INV.COMMIT popup h-1",
        "INV.RELEASE popup h-1",
        "ORDER.PLACE popup o-3 c-1 ITEMS sku-1 1",
        "ORDER.COMPLETE popup o-1",
        "ORDER.CANCEL popup o-1",
    ] {
        client.refused("WRONGTYPE", command);
    }
    client.ok("STORE.SET popup journal 0");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.text(format!("GET {JOURNAL}")), "mine");
}

/// A deadline cannot be refused: the units come back, with or without a stream entry.
fn an_expiry_survives_a_wrong_typed_journal(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.ok("STORE.SET popup journal 10");
    client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 2");
    client.int(format!("DEL {JOURNAL}"));
    client.ok(format!("SET {JOURNAL} mine"));
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1") == (100, 0, 100));
    assert_eq!(client.text(format!("GET {JOURNAL}")), "mine");
    assert_books_balance(&mut client, "popup");
}

/// What other clients do, and what the store does at the same time.
const STORY: &[&str] = &[
    "STORE.SET popup journal 50 history 5",
    "ORDER.PLACE popup a-1 c-1 ITEMS sku-1 2",
    "XADD {popup}:orders 9999999999999-7 ahead of-all",
    "ORDER.PLACE popup a-2 c-1 ITEMS sku-1 2",
    "ORDER.PLACE popup a-3 c-1 ITEMS sku-1 2",
    "XADD {popup}:complete 9999999999999-7 ahead of-all",
    "ORDER.COMPLETE popup a-1",
    "ORDER.COMPLETE popup a-2 RESULT {}",
    "XADD {popup}:journal 9999999999999-18446744073709551615 ahead of-all",
    "INV.ADJUST popup sku-1 5 REASON found",
    "INV.RESERVE popup b-1 TTL 3600000 ITEMS sku-1 1",
    "XTRIM {popup}:orders MAXLEN 0",
    "ORDER.PLACE popup a-4 c-1 ITEMS sku-1 2",
    "STORE.REPAIR popup",
    "DEL {popup}:orders {popup}:journal",
    "ORDER.PLACE popup a-5 c-1 ITEMS sku-1 2",
    "STORE.REPAIR popup",
    "ORDER.CANCEL popup a-3",
    "DEL {popup}:complete",
    "ORDER.COMPLETE popup a-4",
    "RENAME {popup}:orders {popup}:elsewhere",
    "STORE.REPAIR popup",
    "ORDER.PLACE popup a-6 c-1 ITEMS sku-1 2",
    "INV.RELEASE popup b-1",
    "INV.RESERVE popup b-2 TTL 1 ITEMS sku-1 1",
];

fn replica_and_log_follow_through_all_of_it(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", "holdfast.sample-ms 0"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    for (number, command) in STORY.iter().enumerate() {
        client.get(*command);
        let mut reader = replica.client();
        // Both are asked until they agree: a hold may end between two questions.
        wait_until(DEADLINE, &format!("the replica follows call {number}: {command}"), || {
            reader.digest() == client.digest()
                && stock(&mut reader, "popup", "sku-1") == stock(&mut client, "popup", "sku-1")
        });
    }
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1") == (99, 4, 95));
    client.ok(format!("RENAME {JOURNAL} {{popup}}:kept"));
    client.ok(format!("SET {JOURNAL} mine"));
    client.ok("STORE.SET popup history 7");
    let digest = client.digest();
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == digest);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.digest(), digest, "the log leads to the same state");
    rewrite_log(&mut client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.digest(), digest, "so does the rewritten one");
    assert_books_balance(&mut client, "popup");
}
