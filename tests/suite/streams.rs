//! The streams of a store: their entries, the readers they wake, and what another client can do to them.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, cmd, entries, ids_of, open_store,
    server_now_ms, shop_of, tests, wait_until,
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
    keyspace_events,
    stock_events,
];

const ORDERS: &str = "{popup}:orders";
const COMPLETE: &str = "{popup}:complete";
const JOURNAL: &str = "{popup}:journal";

/// How long a blocked caller is watched to be sure that it gets nothing.
const SILENCE: Duration = Duration::from_millis(30);

fn orders_entries(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
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
    let (_server, mut client) = shop_of(binary, 10);
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

/// The journal, one entry in each line: kind sku delta on-hand held ref reason.
fn journal(client: &mut Client) -> Vec<String> {
    let line = |entry: &crate::common::Entry| {
        assert_eq!(entry.names(), ["kind", "sku", "delta", "on-hand", "held", "ref", "reason"]);
        let values: Vec<String> = entry.names().iter().map(|name| entry.text(name)).collect();
        values.join(" ")
    };
    entries(client, JOURNAL).iter().map(line).collect()
}

/// Delta, by kind: `set`, `adjust`, `sync` and `return` change on-hand; `reserve` and `place` add to held; `release`,
/// `expire` and `cancel` subtract from held; `commit` and `complete` subtract from both.
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
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok(format!("STORE.SET popup metrics 0 journal {CAP}"));
    for count in 1..=1000 {
        client.int(format!("INV.SET popup sku-1 {count}"));
    }
    let length = client.int(format!("XLEN {JOURNAL}"));
    assert!((CAP - CAP / 16..=CAP).contains(&length), "{length} entries with a cap of {CAP}");
    let last = journal(&mut client).pop();
    assert_eq!(last.as_deref(), Some("set sku-1 1 1000 0  "));
}

fn journal_is_off_by_default(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
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

/// Waits until this many callers are blocked in the server.
#[track_caller]
fn wait_for_blocked(client: &mut Client, count: usize) {
    wait_until(DEADLINE, "the callers are blocked", || client.info("clients", "blocked_clients") == count.to_string());
}

fn blocked_group_reader_is_woken(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10);
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
    let (server, mut client) = shop_of(binary, 10);
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
    let (server, mut client) = shop_of(binary, 10);
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

/// Workers need no commands of the module to read: a consumer group and ORDER.COMPLETE are enough.
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
    let (server, mut client) = shop_of(binary, 100);
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
