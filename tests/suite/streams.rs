//! The streams of a store: what is in them, who is woken by them, and what an outsider can do to them.

use crate::common::{
    assert_books_balance, cmd, entries, ids_of, open_store, server_now_ms, stock, tests, wait_until, Client, Reply,
    Server, ServerBinary, DEADLINE,
};
use std::time::Duration;

tests![
    orders_entries,
    complete_entries,
    journal_entries,
    journal_of_an_expiry,
    journal_is_capped,
    journal_is_off_by_default,
    streams_share_the_slot_of_the_store,
    blocked_group_reader_is_woken,
    blocked_readers_are_woken_in_turn,
    blocked_reader_of_complete_is_woken,
    blocked_reader_of_the_journal_is_woken_by_an_expiry,
    workers_by_consumer_group,
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
    keyspace_events,
    stock_events,
];

const ORDERS: &str = "{popup}:orders";
const COMPLETE: &str = "{popup}:complete";
const JOURNAL: &str = "{popup}:journal";

/// How long a blocked caller is watched to be sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(30);

fn orders_entries(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.int("INV.SET popup sku-2 10");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2 sku-2 1");
    client.text(cmd![
        "ORDER.PLACE",
        "popup",
        "o-2",
        "c-2",
        "GROUP",
        "g",
        "DATA",
        r#"{"note": "a \"b\""}"#,
        "ITEMS",
        "sku-2",
        1
    ]);
    client.int(cmd!["INV.SET", "popup", "quo\"te\\back\u{e9}\n", 1]);
    client.text(cmd!["ORDER.PLACE", "popup", "o-3", "c-3", "ITEMS", "quo\"te\\back\u{e9}\n", 1]);
    let orders = entries(&mut client, ORDERS);
    for entry in &orders {
        assert_eq!(entry.names(), ["order", "customer", "items", "data"]);
    }
    let texts = |name| orders.iter().map(|entry| entry.text(name)).collect::<Vec<_>>();
    assert_eq!(texts("order"), ["o-1", "o-2", "o-3"]);
    assert_eq!(texts("customer"), ["c-1", "c-2", "c-3"]);
    assert_eq!(texts("data"), ["", r#"{"note": "a \"b\""}"#, ""]);
    assert_eq!(texts("items")[..2], [r#"[["sku-1",2],["sku-2",1]]"#, r#"[["sku-2",1]]"#]);
    let odd: serde_json::Value = serde_json::from_str(&texts("items")[2]).expect("items are JSON");
    assert_eq!(odd, serde_json::json!([["quo\"te\\back\u{e9}\n", 1]]));
}

fn complete_entries(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.text("ORDER.PLACE popup o-2 c-2 DATA {} ITEMS sku-1 1");
    let placed_ms: Vec<i64> = entries(&mut client, ORDERS).iter().map(|entry| entry.ms()).collect();
    client.text(cmd!["ORDER.COMPLETE", "popup", "o-2", "RESULT", r#"{"parcel": 7}"#]);
    client.text("ORDER.COMPLETE popup o-1");
    let complete = entries(&mut client, COMPLETE);
    let names = ["order", "customer", "items", "placed-at", "took-ms", "result"];
    assert_eq!(complete[0].names(), names);
    assert_eq!(complete[1].names(), names);
    let texts = |name| complete.iter().map(|entry| entry.text(name)).collect::<Vec<_>>();
    assert_eq!(texts("order"), ["o-2", "o-1"]);
    assert_eq!(texts("customer"), ["c-2", "c-1"]);
    assert_eq!(texts("items"), [r#"[["sku-1",1]]"#, r#"[["sku-1",2]]"#]);
    assert_eq!(texts("placed-at"), [placed_ms[1].to_string(), placed_ms[0].to_string()]);
    assert_eq!(texts("result"), [r#"{"parcel": 7}"#, ""]);
    for (entry, placed_ms) in complete.iter().zip([placed_ms[1], placed_ms[0]]) {
        assert_eq!(entry.text("took-ms"), (entry.ms() - placed_ms).to_string());
    }
}

/// The journal, an entry a line: kind sku delta on-hand held ref reason.
fn journal(client: &mut Client) -> Vec<String> {
    let line = |entry: &crate::common::Entry| {
        assert_eq!(entry.names(), ["kind", "sku", "delta", "on-hand", "held", "ref", "reason"]);
        let values: Vec<String> = entry.names().iter().map(|name| entry.text(name)).collect();
        values.join(" ")
    };
    entries(client, JOURNAL).iter().map(line).collect()
}

/// Delta, by kind: `set`, `adjust`, `sync` and `return` move on_hand; `reserve` and `place` add to held; `release`,
/// `expire` and `cancel` take from held; `commit` and `complete` take from both.
fn journal_entries(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0 journal 1000");
    client.int("INV.SET popup sku-1 10");
    client.int("INV.ADJUST popup sku-1 -2 REASON broken REF r-1");
    client.int("INV.ADJUST popup sku-1 -2 REASON broken REF r-1");
    client.text("INV.SYNC popup erp 5 ITEMS sku-1 20");
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 6");
    client.int("INV.COMMIT popup h-1 ITEMS sku-1 1");
    client.int("INV.RELEASE popup h-1 ITEMS sku-1 2");
    client.text("ORDER.PLACE popup o-1 c-1 HOLD h-1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 4");
    client.text("ORDER.COMPLETE popup o-1");
    client.int("ORDER.CANCEL popup o-2 REASON late");
    client.int("ORDER.RETURN popup o-1 REF r-2 ITEMS sku-1 1");
    let wanted = [
        "set sku-1 10 10 0  ",
        "adjust sku-1 -2 8 0 r-1 broken",
        "sync sku-1 12 20 0 erp ",
        "reserve sku-1 6 20 6 h-1 ",
        "commit sku-1 -1 19 5 h-1 ",
        "release sku-1 -2 19 3 h-1 ",
        "place sku-1 4 19 7 o-2 ",
        "complete sku-1 -3 16 4 o-1 ",
        "cancel sku-1 -4 16 0 o-2 late",
        "return sku-1 1 17 0 o-1 ",
    ];
    assert_eq!(journal(&mut client), wanted);
}

fn journal_of_an_expiry(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0 journal 1000");
    client.int("INV.SET popup sku-1 10");
    let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 30 ITEMS sku-1 6");
    wait_until(DEADLINE, "the hold expires", || client.int(format!("XLEN {JOURNAL}")) == 3);
    assert_eq!(journal(&mut client)[2], "expire sku-1 -6 10 0 h-1 ");
    let expired_ms = entries(&mut client, JOURNAL)[2].ms();
    assert!(expired_ms >= deadline_ms, "expired at {expired_ms}, the deadline is {deadline_ms}");
}

fn journal_is_capped(binary: &ServerBinary) {
    const CAP: i64 = 50;
    /// A capped stream may keep whole nodes: the default of `stream-node-max-entries`.
    const NODE: i64 = 100;
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok(format!("STORE.SET popup metrics 0 journal {CAP}"));
    for count in 1..=1000 {
        client.int(format!("INV.SET popup sku-1 {count}"));
    }
    let length = client.int(format!("XLEN {JOURNAL}"));
    assert!((CAP..=CAP + NODE).contains(&length), "{length} entries with a cap of {CAP}");
    let last = journal(&mut client).pop();
    assert_eq!(last.as_deref(), Some("set sku-1 1 1000 0  "));
}

fn journal_is_off_by_default(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.int(format!("EXISTS {JOURNAL}")), 0);
}

fn streams_share_the_slot_of_the_store(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for (store, stream) in [("popup", "{popup}:orders"), ("shop:{42}", "shop:{42}:orders"), ("{a}{b}", "{a}{b}:orders")]
    {
        open_store(&mut client, store, 10);
        client.text(format!("ORDER.PLACE {store} o-1 c-1 ITEMS sku-1 4"));
        assert_eq!(client.text(format!("TYPE {stream}")), "stream", "{store}");
    }
    assert_eq!(client.int("DBSIZE"), 6);
}

/// Waits until so many callers are blocked in the server.
#[track_caller]
fn wait_for_blocked(client: &mut Client, count: usize) {
    wait_until(DEADLINE, "the callers are blocked", || client.info("clients", "blocked_clients") == count.to_string());
}

fn blocked_group_reader_is_woken(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.ok(format!("XGROUP CREATE {ORDERS} workers $ MKSTREAM"));
    let mut worker = server.client();
    worker.send(format!("XREADGROUP GROUP workers w-1 BLOCK 0 STREAMS {ORDERS} >")).expect("sent");
    wait_for_blocked(&mut client, 1);
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-0 c-1 ITEMS sku-1 11");
    assert!(worker.is_silent(SILENCE), "a refused order wakes nobody");
    let id = client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    assert_eq!(ids_of(&worker.receive().expect("woken")), [id]);
}

fn blocked_readers_are_woken_in_turn(binary: &ServerBinary) {
    const WORKERS: usize = 5;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.ok(format!("XGROUP CREATE {ORDERS} workers $ MKSTREAM"));
    let mut workers: Vec<Client> = Vec::new();
    for number in 0..WORKERS {
        let mut worker = server.client();
        worker.send(format!("XREADGROUP GROUP workers w-{number} COUNT 1 BLOCK 0 STREAMS {ORDERS} >")).expect("sent");
        wait_for_blocked(&mut client, number + 1);
        workers.push(worker);
    }
    for (number, worker) in workers.iter_mut().enumerate() {
        let id = client.text(format!("ORDER.PLACE popup o-{number} c-1 ITEMS sku-1 1"));
        assert_eq!(ids_of(&worker.receive().expect("woken")), [id], "first come, first served");
    }
}

fn blocked_reader_of_complete_is_woken(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    let mut follower = server.client().resp3();
    follower.send(format!("XREAD BLOCK 0 STREAMS {COMPLETE} {JOURNAL} 0 0")).expect("sent");
    wait_for_blocked(&mut client, 1);
    let id = client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(ids_of(&follower.receive().expect("woken")), [id]);
}

fn blocked_reader_of_the_journal_is_woken_by_an_expiry(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0 journal 100");
    client.int("INV.SET popup sku-1 10");
    let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 200 ITEMS sku-1 4");
    let mut follower = server.client();
    follower.send(format!("XREAD BLOCK 0 STREAMS {JOURNAL} $")).expect("sent");
    let reply = follower.receive().expect("woken");
    assert_eq!(ids_of(&reply).len(), 1, "{reply:?}");
    assert!(server_now_ms(&mut client) >= deadline_ms);
}

/// Workers need no commands of their own: a consumer group and ORDER.COMPLETE do.
fn workers_by_consumer_group(binary: &ServerBinary) {
    const COUNT: usize = 50;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", COUNT as i64);
    client.ok(format!("XGROUP CREATE {ORDERS} workers $ MKSTREAM"));
    for number in 0..COUNT {
        client.text(format!("ORDER.PLACE popup o-{number} c-1 ITEMS sku-1 1"));
    }
    let mut done = 0;
    while done < COUNT {
        let reply = client.get(format!("XREADGROUP GROUP workers w-1 COUNT 7 STREAMS {ORDERS} >"));
        for entry in reply.array()[0].array()[1].array() {
            let order = entry.array()[1].field("order").text();
            client.text(format!("ORDER.COMPLETE popup {order}"));
            client.int(format!("XACK {ORDERS} workers {}", entry.array()[0].text()));
            done += 1;
        }
    }
    assert_eq!(client.int(format!("XLEN {ORDERS}")), 0);
    assert_eq!(client.int(format!("XLEN {COMPLETE}")), COUNT as i64);
    assert_eq!(client.get(format!("XPENDING {ORDERS} workers")).array()[0].int(), 0);
    assert_books_balance(&mut client, "popup");
}

/// A store with orders o-0 to o-9, the sixth cancelled, the seventh completed.
fn ten_orders(client: &mut Client) {
    open_store(client, "popup", 100);
    for number in 0..10 {
        client.text(format!("ORDER.PLACE popup o-{number} c-{number} DATA {{}} ITEMS sku-1 2"));
    }
    client.int("ORDER.CANCEL popup o-5");
    client.text("ORDER.COMPLETE popup o-6");
}

/// The orders of the stream, in its order.
fn in_stream(client: &mut Client) -> Vec<String> {
    entries(client, ORDERS).iter().map(|entry| entry.text("order")).collect()
}

/// What the store knows of the ten orders, whatever became of the stream.
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
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
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
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    client.text(format!("XADD {ORDERS} 5-1 not an-order"));
    ten_orders(&mut client);
    client.text(format!("XADD {ORDERS} * order o-99 customer c items [] data x"));
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_no_order_lost(&mut client);
    client.refused("NOORDER", "ORDER.COMPLETE popup o-99");
    assert_eq!(client.int("XLEN {popup}:orders"), 9, "seven orders and the two foreign entries");
}

fn an_entry_far_in_the_future_does_no_harm(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
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

/// No id is left to append with. Whether the order is refused or taken, nothing is lost and nothing crashes.
fn a_stream_without_ids_left_does_no_harm(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
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
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
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
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.int(format!("RPUSH {COMPLETE} mine"));
    client.refused("WRONGTYPE", "ORDER.COMPLETE popup o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (100, 2, 98));
    client.int(format!("DEL {COMPLETE}"));
    client.text("ORDER.COMPLETE popup o-1");
}

fn wrong_typed_journal_is_refused(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
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

/// A deadline cannot be refused: the units come back, with or without an entry.
fn an_expiry_survives_a_wrong_typed_journal(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    client.ok("STORE.SET popup journal 10");
    client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 2");
    client.int(format!("DEL {JOURNAL}"));
    client.ok(format!("SET {JOURNAL} mine"));
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1") == (100, 0, 100));
    assert_eq!(client.text(format!("GET {JOURNAL}")), "mine");
    assert_books_balance(&mut client, "popup");
}

/// A connection that gets all keyspace events of the store.
fn subscriber(server: &Server) -> Client {
    let mut client = server.client();
    client.ok("CONFIG SET notify-keyspace-events KA");
    client.get("SUBSCRIBE __keyspace@0__:popup");
    client
}

/// The next `count` events.
#[track_caller]
fn events(subscriber: &mut Client, count: usize) -> Vec<String> {
    let next = |_| match subscriber.receive().expect("an event") {
        Reply::Array(message) => message[2].text(),
        other => panic!("not a message: {other:?}"),
    };
    (0..count).map(next).collect()
}

fn keyspace_events(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    let mut subscriber = subscriber(&server);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    assert_eq!(events(&mut subscriber, 1), ["order.placed"]);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(events(&mut subscriber, 1), ["order.completed"], "a retry and a refusal are no events");
    client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1");
    assert_eq!(events(&mut subscriber, 1), ["order.returned"]);
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2");
    client.int("ORDER.CANCEL popup o-2");
    assert_eq!(events(&mut subscriber, 2), ["order.placed", "order.cancelled"]);
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 2");
    assert_eq!(events(&mut subscriber, 2), ["hold.reserved", "hold.expired"]);
}

fn stock_events(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0");
    client.int("INV.SET popup sku-1 5 LOW 2");
    let mut subscriber = subscriber(&server);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    assert_eq!(events(&mut subscriber, 1), ["order.placed"]);
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    let mut both = events(&mut subscriber, 2);
    both.sort();
    assert_eq!(both, ["order.placed", "stock.low"]);
    client.text("ORDER.PLACE popup o-3 c-1 ITEMS sku-1 2");
    let mut both = events(&mut subscriber, 2);
    both.sort();
    assert_eq!(both, ["order.placed", "stock.out"]);
    assert!(subscriber.is_silent(SILENCE));
}
