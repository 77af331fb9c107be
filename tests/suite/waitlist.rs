//! WAIT: orders that wait for stock, and get it first come, first served.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, claim_one, cmd, entries, ids, info,
    order_field, shop_of, stock, tests, wait_until,
};

tests![
    who_waits_gets_what_comes_free,
    a_caller_that_waits_for_an_order_gets_it,
    nobody_overtakes,
    a_backlog_bounds_the_waiting,
    a_wait_ends,
    ends_of_waits_follow_the_key,
    an_order_that_waits_is_cancelled,
    those_who_wait_survive_a_restart,
    a_replica_has_the_same_line,
    a_line_of_many_is_served_in_slices,
    a_line_is_served_with_memory_full,
    a_stream_that_is_none_refuses_what_frees_units,
    scripts_and_transactions_serve_the_line,
    who_came_in_time_is_served_after_the_sale_closed,
    units_that_are_waited_for_count_towards_the_limit,
];

const ORDERS: &str = "{popup}:orders";

/// Orders of one unit of `sku-1` each that wait for ever.
fn wait_in_line(client: &mut Client, orders: &[&str]) {
    for order in orders {
        let reply = client.get(format!("ORDER.PLACE popup {order} c-{order} WAIT ITEMS sku-1 1"));
        assert_eq!(reply, Reply::Nil, "{order}");
    }
}

/// The orders that have an entry, in the order of the entries.
fn listed(client: &mut Client) -> Vec<String> {
    entries(client, ORDERS).iter().map(|entry| entry.text("order")).collect()
}

fn who_waits_gets_what_comes_free(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 2);
    let mut subscriber = server.client();
    subscriber.ok("CONFIG SET notify-keyspace-events KA");
    subscriber.get("SUBSCRIBE __keyspace@0__:popup");
    let place = "ORDER.PLACE popup o-1 c-1 GROUP g DATA {} WAIT 0 ITEMS sku-1 3";
    assert_eq!(client.get(place), Reply::Nil);
    assert_eq!(client.get(place), Reply::Nil, "the same call again");
    let order = client.get("ORDER.GET popup o-1");
    assert_eq!((order.field("state").text(), order.field("entry")), ("waitlisted".to_string(), Reply::Nil));
    let item = order.field("items").array()[0].clone();
    assert_eq!((item.field("qty").int(), item.field("missing").int()), (3, 1), "it has two of three");
    assert_eq!((info(&mut client, "waitlisted"), client.int(format!("EXISTS {ORDERS}"))), (1, 0));
    let sku = client.get("INV.GET popup sku-1").array()[0].clone();
    assert_eq!((sku.field("waiting").int(), sku.field("held").int(), sku.field("backlog")), (1, 2, Reply::Nil));
    for command in ["ORDER.COMPLETE popup o-1", "ORDER.FAIL popup o-1", "ORDER.ADVANCE popup o-1 packed"] {
        assert_eq!(client.refused("BADSTATE", command), "BADSTATE order is waitlisted");
    }
    assert_eq!(client.int("INV.ADJUST popup sku-1 2"), 4);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (4, 3, 1));
    let entry = &entries(&mut client, ORDERS)[0];
    let fields = ["order", "customer", "items", "data"].map(|name| entry.text(name));
    assert_eq!(fields, ["o-1", "c-1", "[[\"sku-1\",3]]", "{}"]);
    assert_eq!(client.get("ORDER.GET popup o-1").field("entry").text(), entry.id);
    assert_eq!(client.get(place), Reply::Nil, "the first reply, although it is queued now");
    let events = client.get("ORDER.GET popup o-1").field("history");
    let events: Vec<_> = events.array().iter().map(|event| event.field("event").text()).collect();
    assert_eq!(events, ["placed", "gathered"]);
    let mut published: Vec<_> = (0..4).map(|_| subscriber.receive().expect("an event").array()[2].text()).collect();
    published.sort();
    assert_eq!(published, ["order.placed", "order.queued", "stock.changed", "stock.out"]);
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w").order, "o-1");
    client.text("ORDER.COMPLETE popup o-1");
    assert_books_balance(&mut client, "popup");
}

fn a_caller_that_waits_for_an_order_gets_it(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 1);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 1");
    wait_in_line(&mut client, &["a"]);
    let mut worker = server.client();
    worker.send("ORDER.CLAIM popup w BLOCK 0").expect("sent");
    wait_until(DEADLINE, "it waits", || client.info("clients", "blocked_clients") == "1");
    client.int("INV.RELEASE popup h-1");
    assert_eq!(worker.receive().expect("a reply").array()[0].field("order").text(), "a");
}

fn nobody_overtakes(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1);
    client.int("INV.SET popup sku-2 5");
    client.int("INV.RESERVE popup h-1 TTL 50 ITEMS sku-1 1");
    assert_eq!(client.get("ORDER.PLACE popup big c-1 WAIT ITEMS sku-1 2 sku-2 1"), Reply::Nil);
    wait_in_line(&mut client, &["small"]);
    wait_until(DEADLINE, "the hold expires", || info(&mut client, "expired") == 1);
    assert_eq!(listed(&mut client), [""; 0], "the unit is the first one's, who waits for another");
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup new c-2 ITEMS sku-1 1");
    client.refused("OUTOFSTOCK", "INV.RESERVE popup h-2 ITEMS sku-1 1");
    assert_eq!(client.text("INV.SYNC popup erp 1 ITEMS sku-1 3"), "APPLIED");
    assert_eq!(listed(&mut client), ["big", "small"]);
    assert_books_balance(&mut client, "popup");
}

fn a_backlog_bounds_the_waiting(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    client.int("INV.SET popup sku-1 0 BACKLOG 3");
    wait_in_line(&mut client, &["a", "b"]);
    let text = client.refused("OUTOFSTOCK", "ORDER.PLACE popup x c-1 WAIT ITEMS sku-1 2");
    assert_eq!(text, "OUTOFSTOCK sku-1 wanted 2 available 0 backlog 2 of 3");
    wait_in_line(&mut client, &["c"]);
    client.int("INV.SET popup sku-1 0 BACKLOG 0");
    let sku = client.get("INV.GET popup sku-1").array()[0].clone();
    assert_eq!((sku.field("waiting").int(), sku.field("backlog").int()), (3, 0));
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup x c-1 WAIT ITEMS sku-1 1");
    client.int("INV.SET popup sku-1 0 BACKLOG 9007199254740991");
    assert_eq!(client.get("INV.GET popup sku-1").array()[0].field("backlog"), Reply::Nil);
    wait_in_line(&mut client, &["d"]);
}

fn a_wait_ends(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1);
    assert_eq!(client.get("ORDER.PLACE popup a c-1 WAIT 40 ITEMS sku-1 2"), Reply::Nil);
    wait_in_line(&mut client, &["b"]);
    let due = client.get("ORDER.GET popup a").field("due").int();
    wait_until(DEADLINE, "it is cancelled", || order_field(&mut client, "a", "state") == "cancelled");
    let order = client.get("ORDER.GET popup a");
    assert_eq!(order.field("reason").text(), "waitlist expired");
    let ended = order.field("ended-at").int();
    assert!((due..due + 1_000).contains(&ended), "due at {due}, ended at {ended}");
    assert_eq!(listed(&mut client), ["b"], "its unit went on to the next");
    assert_eq!((info(&mut client, "waitlist-expired"), info(&mut client, "cancelled")), (1, 1));
    client.refused("BADSTATE", "ORDER.PLACE popup a c-1 WAIT 40 ITEMS sku-1 2");
    assert_books_balance(&mut client, "popup");
}

fn ends_of_waits_follow_the_key(binary: &ServerBinary) {
    let (mut server, mut client) = shop_of(binary, 0);
    assert_eq!(client.get("ORDER.PLACE popup a c-1 WAIT 300 ITEMS sku-1 2"), Reply::Nil);
    client.ok("SAVE");
    server.restart();
    let mut client = server.client();
    client.ok("RENAME popup other");
    client.int("COPY other third");
    for store in ["other", "third"] {
        let state = |client: &mut Client| client.get(format!("ORDER.GET {store} a")).field("state").text();
        wait_until(DEADLINE, "it is cancelled", || state(&mut client) == "cancelled");
        assert_books_balance(&mut client, store);
    }
}

fn an_order_that_waits_is_cancelled(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 2);
    assert_eq!(client.get("ORDER.PLACE popup a c-1 WAIT ITEMS sku-1 5"), Reply::Nil);
    wait_in_line(&mut client, &["b"]);
    assert_eq!(client.int("ORDER.CANCEL popup a REASON none"), 2, "the units that it had");
    assert_eq!(client.int("ORDER.CANCEL popup a REASON none"), 2);
    assert_eq!(listed(&mut client), ["b"]);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (2, 1, 1));
    assert_eq!(client.int(format!("XLEN {ORDERS}")), 1);
    assert_books_balance(&mut client, "popup");
}

/// A line of so many orders, each of one unit, and no stock.
fn long_line(client: &mut Client, count: usize) {
    const PIPELINE: usize = 1_000;
    let numbers: Vec<usize> = (0..count).collect();
    for part in numbers.chunks(PIPELINE) {
        let place = |number: &usize| {
            let (order, customer) = (format!("o-{number:07}"), format!("c-{number:07}"));
            cmd!["ORDER.PLACE", "popup", order, customer, "WAIT", "ITEMS", "sku-1", 1]
        };
        let commands: Vec<_> = part.iter().map(place).collect();
        let other = client.pipeline(&commands).into_iter().find(|reply| *reply != Reply::Nil);
        assert_eq!(other, None);
    }
}

fn those_who_wait_survive_a_restart(binary: &ServerBinary) {
    const COUNT: usize = 3_000;
    let mut server = Server::with(binary, &["appendonly yes"]);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0");
    client.int("INV.SET popup sku-1 0 BACKLOG 100000");
    long_line(&mut client, COUNT);
    for round in 0..3 {
        client.int("INV.ADJUST popup sku-1 500");
        wait_until(DEADLINE, "they are served", || info(&mut client, "queued") == 500 * (round + 1));
        let digest = client.digest();
        if round == 1 {
            client.ok("DEBUG RELOAD");
        } else {
            server.restart();
        }
        client = server.client();
        assert_eq!(client.digest(), digest, "round {round}");
    }
    assert_eq!(client.get("ORDER.PLACE popup o-0000000 c-0000000 ITEMS sku-1 1"), Reply::Nil);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 2")), ["o-0000000", "o-0000001"]);
    assert_books_balance(&mut client, "popup");
}

fn a_replica_has_the_same_line(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 0);
    long_line(&mut client, 1_000);
    let replica = server.replica(binary);
    replica.wait_for_link();
    let mut follower = replica.client();
    client.ok("STORE.SET popup journal 100");
    client.get("ORDER.PLACE popup short c-1 WAIT 20 ITEMS sku-1 2");
    client.int("INV.ADJUST popup sku-1 700");
    client.int("ORDER.CANCEL popup o-0000500");
    wait_until(DEADLINE, "they are served", || {
        info(&mut client, "queued") == 700 && info(&mut client, "waitlist-expired") == 1
    });
    wait_until(DEADLINE, "the replica has it", || follower.digest() == client.digest());
    assert_eq!(listed(&mut follower), listed(&mut client));
    assert_eq!(entries(&mut follower, "{popup}:journal").len(), entries(&mut client, "{popup}:journal").len());
    // The other server goes on with the line.
    follower.ok("REPLICAOF NO ONE");
    follower.int("INV.ADJUST popup sku-1 1000");
    wait_until(DEADLINE, "they are served", || info(&mut follower, "waitlisted") == 0);
    assert_books_balance(&mut follower, "popup");
}

/// The longest turn so far, microseconds.
fn longest_turn_us(client: &mut Client) -> u64 {
    client.info("holdfast", "holdfast_longest_turn_us").parse().expect("microseconds")
}

fn a_line_of_many_is_served_in_slices(binary: &ServerBinary) {
    const COUNT: usize = 100_000;
    let (server, mut client) = shop_of(binary, 0);
    long_line(&mut client, COUNT);
    let mut other = server.client();
    client.send(format!("INV.ADJUST popup sku-1 {COUNT}")).expect("sent");
    let mut served = 0;
    while info(&mut other, "waitlisted") > 0 {
        let reply = other.call("ORDER.PLACE popup new c-1 ITEMS sku-1 1");
        assert_eq!(reply.code(), "OUTOFSTOCK");
        served += 1;
    }
    assert_eq!(client.receive().expect("a reply").int(), COUNT as i64);
    assert!(served > 3, "others were served {served} times meanwhile");
    assert!(longest_turn_us(&mut other) < 1_000_000, "a turn took {} µs", longest_turn_us(&mut other));
    let queued = listed(&mut client);
    assert_eq!(queued.len(), COUNT);
    assert!(queued.is_sorted(), "first come, first served");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (COUNT as i64, COUNT as i64, 0));
    assert_books_balance(&mut client, "popup");
}

fn a_line_is_served_with_memory_full(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    long_line(&mut client, 1_000);
    client.ok("CONFIG SET maxmemory 1");
    client.refused("OOM", "ORDER.PLACE popup new c-1 WAIT ITEMS sku-1 1");
    client.int("INV.ADJUST popup sku-1 900");
    wait_until(DEADLINE, "they are served", || info(&mut client, "queued") == 900);
    client.int("ORDER.CANCEL popup o-0000999");
    client.ok("CONFIG SET maxmemory 0");
    assert_books_balance(&mut client, "popup");
}

fn a_stream_that_is_none_refuses_what_frees_units(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    wait_in_line(&mut client, &["a", "b"]);
    client.int("INV.SET popup sku-2 1");
    client.int("INV.RESERVE popup h-1 TTL 40 ITEMS sku-2 1");
    client.get("ORDER.PLACE popup c c-1 WAIT ITEMS sku-2 1");
    client.ok(format!("SET {ORDERS} text"));
    for command in ["INV.ADJUST popup sku-1 1", "INV.SET popup sku-1 1", "INV.SYNC popup erp 1 ITEMS sku-1 1"] {
        client.refused("WRONGTYPE", command);
    }
    // A deadline cannot be refused: the order is queued, and a repair writes its entry.
    wait_until(DEADLINE, "it is served", || order_field(&mut client, "c", "state") == "queued");
    client.int(format!("DEL {ORDERS}"));
    assert_eq!(client.int("STORE.REPAIR popup"), 1);
    assert_eq!(listed(&mut client), ["c"]);
    client.int("INV.ADJUST popup sku-1 2");
    assert_eq!(listed(&mut client), ["c", "a", "b"]);
    // Entries of those who wait belong to nothing.
    client.get("ORDER.PLACE popup d c-1 WAIT ITEMS sku-1 1");
    client.text(format!("XADD {ORDERS} * order d customer c-1 items x data x"));
    assert_eq!(client.int("STORE.REPAIR popup"), 1);
    assert_books_balance(&mut client, "popup");
}

fn scripts_and_transactions_serve_the_line(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    wait_in_line(&mut client, &["a", "b"]);
    client.get(cmd!["EVAL", "return redis.call('INV.ADJUST', KEYS[1], 'sku-1', '1')", 1, "popup"]);
    assert_eq!(listed(&mut client), ["a"]);
    client.ok("MULTI");
    client.text("INV.ADJUST popup sku-1 1");
    client.text("ORDER.PLACE popup c c-1 WAIT ITEMS sku-1 1");
    assert_eq!(client.get("EXEC").array()[1], Reply::Nil);
    assert_eq!(listed(&mut client), ["a", "b"]);
    assert_eq!(order_field(&mut client, "c", "state"), "waitlisted");
}

fn who_came_in_time_is_served_after_the_sale_closed(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    assert_eq!(client.get("ORDER.PLACE popup o-1 c-1 WAIT ITEMS sku-1 1"), Reply::Nil);
    client.ok("STORE.SET popup closes 1");
    client.refused("CLOSED", "ORDER.PLACE popup o-2 c-1 WAIT ITEMS sku-1 1");
    client.int("INV.ADJUST popup sku-1 1");
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w").order, "o-1");
}

fn units_that_are_waited_for_count_towards_the_limit(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    client.ok("STORE.SET popup limit 3");
    assert_eq!(client.get("ORDER.PLACE popup o-1 c-1 WAIT ITEMS sku-1 2"), Reply::Nil);
    let text = client.refused("LIMIT", "ORDER.PLACE popup o-2 c-1 WAIT ITEMS sku-1 2");
    assert_eq!(text, "LIMIT customer c-1 limit 3 has 2");
    assert_eq!(client.int("ORDER.CANCEL popup o-1"), 0);
    assert_eq!(client.get("ORDER.PLACE popup o-2 c-1 WAIT ITEMS sku-1 2"), Reply::Nil);
}
