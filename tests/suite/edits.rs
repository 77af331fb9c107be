//! ORDER.EDIT and ORDER.SPLIT: orders that change after they were placed.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, cmd, entries, ids, info, open_store,
    order_field, rewrite_log, shop_of, stock, tests, wait_until,
};

tests![
    an_order_becomes_exactly_these_items,
    an_edit_that_is_refused_changes_nothing,
    lost_units_are_written_off,
    only_the_worker_that_has_an_order_edits_it,
    an_edit_keeps_the_place_in_the_queue,
    a_ref_stands_for_one_edit,
    the_place_an_order_came_from_gets_its_first_reply,
    an_order_is_split_and_both_are_fulfilled,
    a_split_is_refused_or_done_once,
    a_split_wakes_a_waiting_worker,
    edits_and_splits_survive_a_restart_and_replicate,
    edited_entries_are_repaired,
    a_stream_that_is_ahead_of_the_store,
    a_stream_of_another_type_refuses_both,
    in_a_transaction_and_a_script,
    an_order_of_many_items_is_edited_and_split,
    a_part_of_a_pending_order_is_pending,
    orders_that_wait_for_stock_are_edited_and_split,
];

const ORDERS: &str = "{popup}:orders";

/// A server, and a client of it with a store of 20 units of sku-1 and of sku-2, and the order o-1 of 3 and 1.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    let (server, mut client) = shop_of(binary, 20);
    client.ok("STORE.SET popup journal 100");
    client.int("INV.SET popup sku-2 20");
    client.text("ORDER.PLACE popup o-1 c-1 DATA {} ITEMS sku-1 3 sku-2 1");
    (server, client)
}

/// The entries of `…:orders`: the order and its items.
#[track_caller]
fn listed(client: &mut Client) -> Vec<(String, String)> {
    entries(client, ORDERS).iter().map(|entry| (entry.text("order"), entry.text("items"))).collect()
}

fn pair(order: &str, items: &str) -> (String, String) {
    (order.to_string(), items.to_string())
}

/// SKU and units of an order.
#[track_caller]
fn items(client: &mut Client, order: &str) -> Vec<(String, i64)> {
    let items = client.get(format!("ORDER.GET popup {order}")).field("items");
    items.array().iter().map(|item| (item.field("sku").text(), item.field("qty").int())).collect()
}

/// An event of an order's history, by its name.
#[track_caller]
fn event(client: &mut Client, order: &str, name: &str) -> Reply {
    let history = client.get(format!("ORDER.GET popup {order}")).field("history");
    history.array().iter().find(|event| event.field("event").text() == name).expect("such an event").clone()
}

/// The last movement of the journal: kind, delta, on-hand, held, ref.
#[track_caller]
fn last_movement(client: &mut Client) -> [String; 5] {
    let journal = entries(client, "{popup}:journal");
    let last = journal.last().expect("an entry");
    ["kind", "delta", "on-hand", "held", "ref"].map(|field| last.text(field))
}

fn an_order_becomes_exactly_these_items(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let first = entries(&mut client, ORDERS)[0].clone();
    let mut subscriber = server.client();
    client.ok("CONFIG SET notify-keyspace-events KA");
    subscriber.get("SUBSCRIBE __keyspace@0__:popup");
    assert_eq!(client.int("ORDER.EDIT popup o-1 ITEMS sku-1 5"), 5);
    let Reply::Array(message) = subscriber.receive().expect("an event") else { panic!("no message") };
    assert_eq!(message[2].text(), "order.edited");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (20, 5, 15));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (20, 0, 20));
    assert_eq!(last_movement(&mut client), ["edit", "2", "20", "5", "o-1"]);
    assert_eq!(items(&mut client, "o-1"), [("sku-1".to_string(), 5)]);
    let now = entries(&mut client, ORDERS);
    assert_eq!((now.len(), now[0].text("customer"), now[0].text("data")), (1, "c-1".to_string(), "{}".to_string()));
    assert_eq!(now[0].text("items"), r#"[["sku-1",5]]"#);
    assert_ne!(now[0].id, first.id);
    let order = client.get("ORDER.GET popup o-1");
    assert_eq!((order.field("entry").text(), order.field("placed-at").int()), (now[0].id.clone(), first.ms()));
    assert_eq!(event(&mut client, "o-1", "edited").field("units").int(), 5);
    // The books sell what it has now, and no more comes back.
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (15, 0, 15));
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-2 1");
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 6");
    assert_eq!(client.int("ORDER.RETURN popup o-1 ITEMS sku-1 5"), 5);
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
}

fn an_edit_that_is_refused_changes_nothing(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let text = client.refused("OUTOFSTOCK", "ORDER.EDIT popup o-1 ITEMS sku-2 1 sku-1 21");
    assert_eq!(text, "OUTOFSTOCK sku-1 wanted 18 available 17");
    client.ok("STORE.SET popup limit 4");
    assert_eq!(client.refused("LIMIT", "ORDER.EDIT popup o-1 ITEMS sku-1 5"), "LIMIT customer c-1 limit 4 has 4");
    client.int("INV.SET popup sku-1 20 LIMIT 3");
    client.refused_naming("LIMIT", "sku-1", "ORDER.EDIT popup o-1 ITEMS sku-1 4");
    client.refused_naming("NOSKU", "sku-9", "ORDER.EDIT popup o-1 ITEMS sku-1 1 sku-9 1");
    client.refused_naming("NOORDER", "o-9", "ORDER.EDIT popup o-9 ITEMS sku-1 1");
    client.refused_naming("ERR", "ITEMS", "ORDER.EDIT popup o-1 LOST TOKEN 5 REF r-1");
    client.refused_naming("ERR", "syntax", "ORDER.EDIT popup o-1 FOUND ITEMS sku-1 1");
    client.refused_naming("ERR", "TOKEN", "ORDER.EDIT popup o-1 TOKEN 0 ITEMS sku-1 1");
    client.refused_naming("ERR", "qty", "ORDER.EDIT popup o-1 ITEMS sku-1 0");
    client.refused_naming("ERR", "options such as LOST", "ORDER.EDIT popup o-1 ITEMS sku-1 1 LOST");
    // What the order gives up makes room for what it takes; and the window was open when it came.
    client.ok("STORE.SET popup closes 1");
    assert_eq!(client.int("ORDER.EDIT popup o-1 ITEMS sku-2 4"), 4);
    for (order, end) in [("o-2", "ORDER.COMPLETE"), ("o-3", "ORDER.CANCEL"), ("o-4", "ORDER.FAIL")] {
        client.ok("STORE.SET popup closes 0 limit 0");
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
        client.get(format!("{end} popup {order}{}", if end == "ORDER.FAIL" { " FATAL" } else { "" }));
        client.refused("BADSTATE", format!("ORDER.EDIT popup {order} ITEMS sku-1 2"));
        client.refused("BADSTATE", format!("ORDER.SPLIT popup {order} o-new ITEMS sku-1 1"));
        client.int("INV.SET popup sku-1 20 LIMIT 0");
    }
    assert_books_balance(&mut client, "popup");
}

fn lost_units_are_written_off(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let worker = claim(&mut client, "ORDER.CLAIM popup w-1");
    let lost = format!("ORDER.EDIT popup o-1 TOKEN {} LOST ITEMS sku-1 2 sku-2 1", worker[0].token);
    assert_eq!(client.int(&lost), 3);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (19, 2, 17));
    assert_eq!(last_movement(&mut client), ["lost", "-1", "19", "2", "o-1"]);
    let digest = client.digest();
    assert_eq!(client.int(&lost), 3, "once");
    assert_eq!(client.digest(), digest);
    // A count that found less than is held: no more is written off than is there.
    client.int("INV.SET popup sku-1 0");
    let lost = lost.replace("sku-1 2 ", "");
    assert_eq!(client.int(lost), 1);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (0, 0, 0));
    client.text("ORDER.COMPLETE popup o-1");
    assert_books_balance(&mut client, "popup");
}

fn only_the_worker_that_has_an_order_edits_it(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let first = claim(&mut client, "ORDER.CLAIM popup w-1 LEASE 60000")[0].token;
    client.get("ORDER.YIELD popup w-1");
    let token = claim(&mut client, "ORDER.CLAIM popup w-2 LEASE 60000")[0].token;
    let fenced = format!("FENCED current token {token}");
    for stale in [String::new(), format!(" TOKEN {first}"), " TOKEN 5".to_string()] {
        let edit = format!("ORDER.EDIT popup o-1{stale} ITEMS sku-1 1");
        let split = format!("ORDER.SPLIT popup o-1 o-2{stale} ITEMS sku-1 1");
        assert_eq!(client.refused("FENCED", edit), fenced);
        assert_eq!(client.refused("FENCED", split), fenced);
    }
    assert_eq!(client.int(format!("ORDER.EDIT popup o-1 TOKEN {token} ITEMS sku-1 2")), 2);
    let split = client.text(format!("ORDER.SPLIT popup o-1 o-2 TOKEN {token} ITEMS sku-1 1"));
    let order = client.get("ORDER.GET popup o-1");
    assert_eq!((order.field("state").text(), order.field("token").int()), ("claimed".to_string(), token));
    assert_eq!(order_field(&mut client, "o-2", "state"), "queued");
    assert_eq!(order_field(&mut client, "o-2", "entry"), split);
    client.text(format!("ORDER.COMPLETE popup o-1 TOKEN {token}"));
    assert_eq!(stock(&mut client, "popup", "sku-1"), (19, 1, 18));
    assert_books_balance(&mut client, "popup");
}

fn an_edit_keeps_the_place_in_the_queue(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for order in ["o-2 c-1 GROUP g", "o-3 c-1", "o-4 c-1 GROUP g"] {
        client.text(format!("ORDER.PLACE popup {order} ITEMS sku-1 1"));
    }
    for order in ["o-3", "o-2", "o-1"] {
        client.int(format!("ORDER.EDIT popup {order} ITEMS sku-1 2"));
    }
    assert_eq!(
        listed(&mut client).into_iter().map(|(order, _)| order).collect::<Vec<_>>(),
        ["o-4", "o-3", "o-2", "o-1"]
    );
    let claimed = claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 9");
    assert_eq!(ids(&claimed), ["o-1", "o-2", "o-3"]);
    client.text("ORDER.COMPLETE popup o-2");
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1")[0].order, "o-4");
    assert_books_balance(&mut client, "popup");
}

fn a_ref_stands_for_one_edit(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let edit = "ORDER.EDIT popup o-1 REF call-7 ITEMS sku-1 2 sku-2 2";
    assert_eq!(client.int(edit), 4);
    assert_eq!(client.int("ORDER.EDIT popup o-1 REF call-8 ITEMS sku-1 1"), 1);
    let digest = client.digest();
    assert_eq!(client.int(edit), 4, "the first reply");
    assert_eq!(client.int("ORDER.EDIT popup o-1 TOKEN 9 REF call-7 ITEMS sku-2 2 sku-1 1 sku-1 1"), 4);
    for other in [" ITEMS sku-1 2", " LOST ITEMS sku-1 2 sku-2 2"] {
        client.refused_naming("MISMATCH", "call-7", format!("ORDER.EDIT popup o-1 REF call-7{other}"));
    }
    assert_eq!(client.digest(), digest);
    // A REF of another command is another REF. Without a REF, what the order has already changes nothing.
    client.int("INV.ADJUST popup sku-1 1 REF call-7");
    let digest = client.digest();
    assert_eq!(client.int("ORDER.EDIT popup o-1 ITEMS sku-1 1"), 1);
    assert_eq!(client.digest(), digest);
}

fn the_place_an_order_came_from_gets_its_first_reply(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let place = "ORDER.PLACE popup o-1 c-1 DATA {} ITEMS sku-2 1 sku-1 3";
    let first = client.text(place);
    client.int("ORDER.EDIT popup o-1 ITEMS sku-1 4");
    client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1");
    let digest = client.digest();
    assert_eq!(client.text(place), first);
    assert_eq!(client.digest(), digest);
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-1 DATA {} ITEMS sku-1 3");
    client.refused("MISMATCH", "ORDER.PLACE popup o-2 c-1 DATA {} ITEMS sku-1 1");
    client.get("ORDER.FAIL popup o-1 FATAL");
    client.int("ORDER.REDRIVE popup o-1");
    assert_eq!(client.text(place), first);
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.text(place), first);
}

fn an_order_is_split_and_both_are_fulfilled(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup limit 4");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    let moved = client.int("XLEN {popup}:journal");
    let entry = client.text("ORDER.SPLIT popup o-1 o-1b ITEMS sku-1 2 sku-2 1");
    assert_eq!(client.int("XLEN {popup}:journal"), moved, "no stock moves");
    let (left, split) = (r#"[["sku-1",1]]"#, r#"[["sku-1",2],["sku-2",1]]"#);
    assert_eq!(listed(&mut client), [pair("o-2", left), pair("o-1", left), pair("o-1b", split)]);
    assert_eq!(entries(&mut client, ORDERS)[2].id, entry);
    assert_eq!((stock(&mut client, "popup", "sku-1").1, stock(&mut client, "popup", "sku-2").1), (4, 1));
    for field in ["customer", "data", "placed-at"] {
        let order = client.get("ORDER.GET popup o-1").field(field);
        assert_eq!(client.get("ORDER.GET popup o-1b").field(field), order, "{field}");
    }
    let into = event(&mut client, "o-1", "split");
    assert_eq!((into.field("units").int(), into.field("into").text()), (3, "o-1b".to_string()));
    let from = event(&mut client, "o-1b", "split-off");
    assert_eq!((from.field("units").int(), from.field("from").text()), (3, "o-1".to_string()));
    client.refused("LIMIT", "ORDER.PLACE popup o-3 c-1 ITEMS sku-1 1");
    let claimed = claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 9");
    assert_eq!(ids(&claimed), ["o-1", "o-2", "o-1b"]);
    for order in claimed {
        client.text(format!("ORDER.COMPLETE popup {} TOKEN {}", order.order, order.token));
    }
    assert_eq!(stock(&mut client, "popup", "sku-1"), (16, 0, 16));
    assert_eq!((info(&mut client, "placed"), info(&mut client, "completed")), (3, 3));
    assert_books_balance(&mut client, "popup");
}

fn a_split_is_refused_or_done_once(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    let all = "ERR ITEMS must be fewer units than the order has, 4, got all of them";
    assert_eq!(client.refused("ERR", "ORDER.SPLIT popup o-1 o-3 ITEMS sku-1 3 sku-2 1"), all);
    let text = client.refused("BADSTATE", "ORDER.SPLIT popup o-1 o-3 ITEMS sku-1 4");
    assert_eq!(text, "BADSTATE order has 3 of sku-1 to split off, not 4");
    client.refused_naming("MISMATCH", "o-2", "ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1");
    client.refused_naming("MISMATCH", "o-1", "ORDER.SPLIT popup o-1 o-1 ITEMS sku-1 1");
    client.refused_naming("NOORDER", "o-9", "ORDER.SPLIT popup o-9 o-3 ITEMS sku-1 1");
    client.refused_naming("NOSKU", "sku-9", "ORDER.SPLIT popup o-1 o-3 ITEMS sku-9 1");
    client.refused_naming("ERR", "new-order", cmd!["ORDER.SPLIT", "popup", "o-1", "", "ITEMS", "sku-1", 1]);
    let split = "ORDER.SPLIT popup o-1 o-3 ITEMS sku-2 1 sku-1 1";
    let first = client.text(split);
    client.int("ORDER.EDIT popup o-3 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-1");
    let digest = client.digest();
    assert_eq!(client.text(split), first);
    assert_eq!(client.text("ORDER.SPLIT popup o-1 o-3 TOKEN 5 ITEMS sku-1 1 sku-2 1"), first);
    assert_eq!(client.digest(), digest);
    client.refused("MISMATCH", "ORDER.SPLIT popup o-1 o-3 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-3");
    assert_eq!(client.refused("BADSTATE", split), "BADSTATE order is cancelled");
    assert_books_balance(&mut client, "popup");
}

fn a_split_wakes_a_waiting_worker(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let token = claim(&mut client, "ORDER.CLAIM popup w-1")[0].token;
    let mut worker = server.client();
    worker.send("ORDER.CLAIM popup w-2 BLOCK 0").expect("sent");
    wait_until(DEADLINE, "the worker waits", || client.info("clients", "blocked_clients") == "1");
    client.text(format!("ORDER.SPLIT popup o-1 o-2 TOKEN {token} ITEMS sku-1 2"));
    let got = worker.receive().expect("an order");
    assert_eq!(got.array()[0].field("order").text(), "o-2");
}

fn edits_and_splits_survive_a_restart_and_replicate(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "aof-use-rdb-preamble no", "holdfast.sample-ms 0"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 50);
    let place = "ORDER.PLACE popup o-1 c-1 GROUP g ITEMS sku-1 9";
    let first = client.text(place);
    client.int("ORDER.EDIT popup o-1 REF r-1 ITEMS sku-1 8");
    let split = client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 2");
    client.int("ORDER.EDIT popup o-2 LOST ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-3 c-1 ITEMS sku-1 4");
    client.text("ORDER.SPLIT popup o-3 o-4 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-3");
    let (digest, list) = (client.digest(), listed(&mut client));
    wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
    assert_eq!(listed(&mut replica.client()), list);
    for rewrite in [false, true] {
        let mut client = server.client();
        if rewrite {
            rewrite_log(&mut client);
        }
        server.restart();
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "rewritten: {rewrite}");
        assert_eq!(client.text(place), first);
        assert_eq!(client.int("ORDER.EDIT popup o-1 REF r-1 ITEMS sku-1 8"), 8);
        assert_eq!(client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 2"), split);
        client.refused("MISMATCH", "ORDER.SPLIT popup o-3 o-4 ITEMS sku-1 2");
        assert_eq!((client.digest(), listed(&mut client)), (digest.clone(), list.clone()));
        assert_books_balance(&mut client, "popup");
    }
    let payload = server.client().get("DUMP popup").bytes().to_vec();
    let mut client = server.client();
    client.ok(cmd!["RESTORE", "copy", 0, payload]);
    assert_eq!(client.digest_value("copy"), client.digest_value("popup"));
}

fn edited_entries_are_repaired(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let old = entries(&mut client, ORDERS)[0].id.clone();
    client.int("ORDER.EDIT popup o-1 ITEMS sku-1 4");
    client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1");
    let list = entries(&mut client, ORDERS);
    client.int(format!("XDEL {ORDERS} {}", list[0].id));
    assert_eq!(client.get("STORE.AUDIT popup").array().len(), 1);
    assert_eq!(client.int("STORE.REPAIR popup"), 1);
    let mut repaired = listed(&mut client);
    repaired.sort();
    assert_eq!(repaired, [pair("o-1", r#"[["sku-1",3]]"#), pair("o-2", r#"[["sku-1",1]]"#)]);
    assert_books_balance(&mut client, "popup");
    // An entry with the items of before belongs to nothing.
    client.int(format!("UNLINK {ORDERS}"));
    let stale = ["order", "o-1", "customer", "c-1", "items", r#"[["sku-1",3],["sku-2",1]]"#, "data", "{}"];
    let mut add = cmd!["XADD", ORDERS, old];
    add.extend(stale.map(|word| word.as_bytes().to_vec()));
    client.text(add);
    assert_eq!(client.int("STORE.REPAIR popup"), 3);
    assert_books_balance(&mut client, "popup");
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1")[0].order, "o-1");
}

/// The stream's own next ids are taken then, and the replica takes the same.
fn a_stream_that_is_ahead_of_the_store(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let replica = server.replica(binary);
    let place = "ORDER.PLACE popup o-1 c-1 DATA {} ITEMS sku-1 3 sku-2 1";
    let first = client.text(place);
    let ahead = "99999999999999-0";
    client.text(format!("XADD {ORDERS} {ahead} stray 1"));
    client.int(format!("XDEL {ORDERS} {ahead}"));
    let split = client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1");
    let list = entries(&mut client, ORDERS);
    assert_eq!(list.iter().map(|entry| &entry.id[..]).collect::<Vec<_>>(), ["99999999999999-1", "99999999999999-2"]);
    assert_eq!((split.clone(), order_field(&mut client, "o-1", "entry")), (list[1].id.clone(), list[0].id.clone()));
    client.int("ORDER.EDIT popup o-1 ITEMS sku-1 5");
    assert_eq!(order_field(&mut client, "o-1", "entry"), "99999999999999-3");
    assert_eq!(client.text(place), first);
    assert_eq!(client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1"), split);
    assert_books_balance(&mut client, "popup");
    wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == server.debug_digest());
    let claimed = claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 9");
    assert_eq!(ids(&claimed), ["o-1", "o-2"]);
}

fn a_stream_of_another_type_refuses_both(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int(format!("UNLINK {ORDERS}"));
    client.ok(format!("SET {ORDERS} text"));
    client.refused_naming("WRONGTYPE", ORDERS, "ORDER.EDIT popup o-1 ITEMS sku-1 1");
    client.refused_naming("WRONGTYPE", ORDERS, "ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1");
    client.int(format!("UNLINK {ORDERS}"));
    client.int("ORDER.EDIT popup o-1 ITEMS sku-1 1");
    assert_eq!(listed(&mut client), [pair("o-1", r#"[["sku-1",1]]"#)]);
}

fn in_a_transaction_and_a_script(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let replica = server.replica(binary);
    client.ok("MULTI");
    client.text("ORDER.EDIT popup o-1 ITEMS sku-1 6");
    client.text("ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 2");
    client.text("ORDER.EDIT popup o-2 ITEMS sku-2 1");
    let replies = client.get("EXEC");
    assert_eq!((replies.array()[0].int(), replies.array()[2].int()), (6, 1));
    let script = "return redis.call('ORDER.SPLIT', KEYS[1], 'o-1', 'o-3', 'ITEMS', 'sku-1', '1')";
    let entry = client.text(cmd!["EVAL", script, 1, "popup"]);
    assert_eq!(order_field(&mut client, "o-3", "entry"), entry);
    assert_books_balance(&mut client, "popup");
    wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == server.debug_digest());
}

fn an_order_of_many_items_is_edited_and_split(binary: &ServerBinary) {
    const ITEMS: usize = 2_000;
    let (_server, mut client) = shop(binary);
    let with = |words: Vec<Vec<u8>>, range: std::ops::Range<usize>, units: u64| {
        let items = range.flat_map(|item| cmd![format!("many-{item}"), units]);
        words.into_iter().chain(items).collect::<Vec<_>>()
    };
    assert_eq!(client.text(with(cmd!["INV.SYNC", "popup", "erp", 1, "ITEMS"], 0..ITEMS, 5)), "APPLIED");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    assert_eq!(client.int(with(cmd!["ORDER.EDIT", "popup", "o-2", "ITEMS"], 0..ITEMS, 2)), 2 * ITEMS as i64);
    client.text(with(cmd!["ORDER.SPLIT", "popup", "o-2", "o-3", "ITEMS"], 0..ITEMS, 1));
    client.text(with(cmd!["ORDER.SPLIT", "popup", "o-2", "o-4", "ITEMS"], 1..ITEMS, 1));
    assert_eq!(items(&mut client, "o-2"), [("many-0".to_string(), 1)]);
    let turned = with(cmd!["ORDER.EDIT", "popup", "o-3", "ITEMS", "sku-2", 1], 7..8, 3);
    assert_eq!(client.int(turned), 4);
    assert_eq!(stock(&mut client, "popup", "many-7"), (5, 4, 1));
    assert_eq!(stock(&mut client, "popup", "many-1999"), (5, 1, 4));
    let mut most = with(cmd!["ORDER.EDIT", "popup", "o-3", "ITEMS"], 0..ITEMS, 1);
    most.extend(cmd!["sku-1", 1]);
    client.refused_naming("ERR", "ITEMS", most);
    assert_books_balance(&mut client, "popup");
}

fn a_part_of_a_pending_order_is_pending(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let replica = server.replica(binary);
    client.get("ORDER.PLACE popup o-2 c-1 GATE pay 3600000 GATE fraud 0 ITEMS sku-1 4");
    client.int("ORDER.PASS popup o-2 fraud");
    let split = "ORDER.SPLIT popup o-2 o-3 ITEMS sku-1 1";
    assert_eq!(client.get(split), Reply::Nil);
    assert_eq!(client.get("ORDER.GET popup o-3").field("gates"), client.get("ORDER.GET popup o-2").field("gates"));
    let part = client.get("ORDER.GET popup o-3");
    assert_eq!((part.field("state").text(), part.field("entry")), ("pending".to_string(), Reply::Nil));
    assert_eq!((stock(&mut client, "popup", "sku-1"), info(&mut client, "pending")), ((20, 7, 13), 2));
    assert_eq!(listed(&mut client).len(), 1, "neither is in the stream");
    assert_eq!(client.int("ORDER.PASS popup o-3 pay"), 0);
    assert_eq!(listed(&mut client)[1], pair("o-3", r#"[["sku-1",1]]"#));
    assert_eq!(client.get(split), Reply::Nil, "the first reply");
    assert_eq!(order_field(&mut client, "o-2", "state"), "pending");
    client.int("ORDER.CANCEL popup o-3");
    assert_eq!(client.refused("BADSTATE", split), "BADSTATE order is cancelled");
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == server.debug_digest());
}

fn orders_that_wait_for_stock_are_edited_and_split(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "aof-use-rdb-preamble no", "holdfast.sample-ms 0"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 2);
    client.int("INV.SET popup sku-2 0 BACKLOG 5");
    for (order, items) in [("o-1", "sku-1 5"), ("o-2", "sku-1 1"), ("o-3", "sku-2 2")] {
        assert_eq!(client.get(format!("ORDER.PLACE popup {order} c-1 WAIT 0 ITEMS {items}")), Reply::Nil);
    }
    // What an edit adds is waited for as well, within the backlog, and in the order in which the orders came.
    let text = client.refused("OUTOFSTOCK", "ORDER.EDIT popup o-1 ITEMS sku-1 6 sku-2 4");
    assert_eq!(text, "OUTOFSTOCK sku-2 wanted 4 available 0 backlog 2 of 5");
    assert_eq!(client.int("ORDER.EDIT popup o-1 ITEMS sku-1 6 sku-2 1"), 7);
    let waiting =
        |client: &mut Client, sku: &str| client.get(format!("INV.GET popup {sku}")).array()[0].field("waiting");
    assert_eq!((waiting(&mut client, "sku-1").int(), waiting(&mut client, "sku-2").int()), (5, 3));
    // The part gets first what is gathered: it is queued. Another one waits, at the place of the order.
    let first = client.text("ORDER.SPLIT popup o-1 o-1a ITEMS sku-1 2");
    assert_eq!(order_field(&mut client, "o-1a", "entry"), first);
    assert_eq!(client.get("ORDER.SPLIT popup o-1 o-1b ITEMS sku-1 3"), Reply::Nil);
    let digest = client.digest();
    wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
    for rewrite in [false, true] {
        if rewrite {
            rewrite_log(&mut server.client());
        }
        server.restart();
        assert_eq!(server.client().digest(), digest, "rewritten: {rewrite}");
    }
    let mut client = server.client();
    assert_eq!(client.text("ORDER.SPLIT popup o-1 o-1a ITEMS sku-1 2"), first);
    assert_eq!(client.int("INV.ADJUST popup sku-2 2"), 2);
    assert_eq!(client.int("INV.ADJUST popup sku-1 1"), 3);
    let states = |client: &mut Client| ["o-1", "o-1b", "o-2", "o-3"].map(|order| order_field(client, order, "state"));
    assert_eq!(states(&mut client), ["queued", "waitlisted", "waitlisted", "waitlisted"], "the order before its part");
    assert_eq!(client.int("INV.ADJUST popup sku-1 3"), 6);
    assert_eq!(states(&mut client), ["queued", "queued", "waitlisted", "waitlisted"], "and the part before others");
    assert_eq!(client.get("ORDER.SPLIT popup o-1 o-1b ITEMS sku-1 3"), Reply::Nil, "the first reply");
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
}
