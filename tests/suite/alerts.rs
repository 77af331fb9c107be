//! `…:alerts`: what somebody should look at.

use crate::common::{
    Client, DEADLINE, Entry, Server, ServerBinary, assert_books_balance, entries, open_store, shop_of, stock, tests,
    wait_until,
};

tests![
    what_turns_is_an_entry_and_nothing_else_is,
    late_and_dead_orders,
    a_gate_that_expires,
    a_wait_that_ends,
    the_stream_is_capped,
    no_sale_is_refused_for_an_alert,
    a_stream_that_is_ahead_gets_the_entry,
    replica_log_and_load_have_the_same,
    in_a_cluster_each_is_written_once,
    a_drop_takes_it_along,
];

/// The entries, every field of each.
fn told(client: &mut Client) -> Vec<String> {
    const FIELDS: [&str; 5] = ["kind", "sku", "order", "available", "reason"];
    let entry = |entry: &Entry| {
        assert_eq!(entry.names(), FIELDS);
        FIELDS.map(|name| entry.text(name)).join("|")
    };
    entries(client, "{popup}:alerts").iter().map(entry).collect()
}

fn what_turns_is_an_entry_and_nothing_else_is(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.int("INV.SET popup sku-1 5 LOW 2");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.int("EXISTS {popup}:alerts"), 0, "a store that sells calmly writes none");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 4");
    assert_eq!(told(&mut client), ["stock.out|sku-1||0|", "stock.low|sku-1||0|"]);
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-3 c-1 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-2");
    assert_eq!(told(&mut client)[2..], ["stock.in|sku-1||4|"]);
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 4");
    wait_until(DEADLINE, "the hold expires", || told(&mut client).len() == 6);
    assert_eq!(told(&mut client)[3..], ["stock.out|sku-1||0|", "stock.low|sku-1||0|", "stock.in|sku-1||4|"]);
    client.ok("STORE.SET popup alerts 0");
    client.text("ORDER.PLACE popup o-4 c-1 ITEMS sku-1 4");
    assert_eq!(told(&mut client).len(), 6);
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0, "it is a log: the books say nothing of it");
}

fn late_and_dead_orders(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.ok("STORE.SET popup sla-ms 20 attempts 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "it is late", || told(&mut client) == ["order.late||o-1||"]);
    client.get("ORDER.FAIL popup o-1 REASON broken");
    assert_eq!(told(&mut client)[1..], ["order.dead||o-1||broken"]);
    client.ok("STORE.SET popup sla-ms 0");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.get("ORDER.CLAIM popup w-1 LEASE 1");
    wait_until(DEADLINE, "its lease ends", || told(&mut client).len() == 3);
    assert_eq!(told(&mut client)[2..], ["order.dead||o-2||lease ended"]);
}

/// On the primary, a replica, and from the log alike.
fn a_gate_that_expires(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 5);
    client.get("ORDER.PLACE popup o-1 c-1 LANE express GATE fraud 0 GATE pay 5 ITEMS sku-1 5");
    wait_until(DEADLINE, "its gate expires", || told(&mut client).len() == 3);
    let all = ["stock.out|sku-1||0|", "stock.in|sku-1||5|", "gate.expired||o-1||gate pay expired"];
    assert_eq!(told(&mut client), all);
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
    assert_eq!(told(&mut reader), all);
    let digest = client.digest();
    server.kill9();
    server.start_again();
    let mut client = server.client();
    assert_eq!((client.digest(), told(&mut client)), (digest, all.map(str::to_string).to_vec()));
}

fn a_wait_that_ends(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 0);
    client.get("ORDER.PLACE popup o-1 c-1 WAIT 5 ITEMS sku-1 1");
    wait_until(DEADLINE, "its wait ends", || told(&mut client) == ["waitlist.expired||o-1||waitlist expired"]);
}

fn the_stream_is_capped(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1);
    client.ok("STORE.SET popup alerts 10");
    for round in 0..40 {
        client.int(format!("INV.RESERVE popup h-{round} ITEMS sku-1 1"));
        client.int(format!("INV.RELEASE popup h-{round}"));
    }
    assert_eq!(told(&mut client).len(), 10);
}

/// Nothing is checked for an alert before a sale: one that cannot be written is left out.
fn no_sale_is_refused_for_an_alert(binary: &ServerBinary) {
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 1);
    client.ok("SET {popup}:alerts mine");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-1");
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1") == (1, 0, 1));
    assert_eq!(client.text("GET {popup}:alerts"), "mine");
    client.int("DEL {popup}:alerts");
    client.int("INV.RESERVE popup h-2 ITEMS sku-1 1");
    assert_eq!(told(&mut client), ["stock.out|sku-1||0|"]);
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
    assert_eq!(told(&mut reader), told(&mut client));
}

fn a_stream_that_is_ahead_gets_the_entry(binary: &ServerBinary) {
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 1);
    client.text("XADD {popup}:alerts 99999999999999-5 kind mine");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-1");
    let ids = |client: &mut Client| -> Vec<String> {
        entries(client, "{popup}:alerts").into_iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids(&mut client), ["99999999999999-5", "99999999999999-6", "99999999999999-7"]);
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same", || reader.digest() == client.digest());
    assert_eq!(ids(&mut reader), ids(&mut client));
}

fn replica_log_and_load_have_the_same(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 3);
    for round in 0..10 {
        client.text(format!("ORDER.PLACE popup o-{round} c-1 ITEMS sku-1 3"));
        client.get(format!("ORDER.FAIL popup o-{round} REASON r-{round} FATAL"));
    }
    client.ok("STORE.SET popup sla-ms 5");
    client.text("ORDER.PLACE popup late c-1 ITEMS sku-1 1");
    client.int("INV.RESERVE popup h-1 TTL 5 ITEMS sku-1 2");
    wait_until(DEADLINE, "all is due", || told(&mut client).len() == 33);
    let all = told(&mut client);
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
    assert_eq!(told(&mut reader), all);
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!((client.digest(), told(&mut client)), (digest.clone(), all.clone()));
    server.kill9();
    server.start_again();
    let mut client = server.client();
    assert_eq!((client.digest(), told(&mut client)), (digest, all), "from the log");
}

/// There a replica and the log get each alert from the primary, which alone knows where the stream is.
fn in_a_cluster_each_is_written_once(binary: &ServerBinary) {
    let server = Server::cluster(binary);
    let mut client = server.client();
    client.ok("CONFIG SET appendonly yes");
    wait_until(DEADLINE, "the log is begun", || {
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled"].iter().all(|name| client.info("persistence", name) == "0")
    });
    open_store(&mut client, "popup", 1);
    for round in 0..3 {
        client.text(format!("ORDER.PLACE popup o-{round} c-1 ITEMS sku-1 1"));
        client.get(format!("ORDER.FAIL popup o-{round} REASON lost FATAL"));
    }
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the hold expires", || told(&mut client).len() == 11);
    let (digest, all) = (client.digest(), told(&mut client));
    assert_eq!(all[1..3], ["stock.in|sku-1||1|", "order.dead||o-0||lost"]);
    client.ok("DEBUG LOADAOF");
    assert_eq!((client.digest(), told(&mut client)), (digest, all));
}

fn a_drop_takes_it_along(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    assert_eq!(client.int("EXISTS {popup}:alerts"), 1);
    client.get("STORE.DROP popup");
    assert_eq!(client.int("DBSIZE"), 0);
}
