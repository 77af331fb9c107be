//! ORDER.PURGE: dead orders that nobody wants any more.

use crate::common::{
    Client, DEADLINE, Reply, ServerBinary, assert_books_balance, cmd, die_many, entries, info, shop_of, stock, tests,
    wait_until,
};

tests![
    dead_orders_are_cancelled_and_no_others,
    by_reason_and_so_many_at_a_time,
    many_do_not_stop_the_server,
    in_multi_and_lua_it_runs_to_its_end,
    a_replica_and_a_restart_agree,
];

fn die(client: &mut Client, order: &str, reason: &str) {
    client.text(format!("ORDER.PLACE popup {order} c-{order} ITEMS sku-1 1"));
    client.get(cmd!["ORDER.FAIL", "popup", order, "REASON", reason, "FATAL"]);
}

fn state(client: &mut Client, order: &str) -> String {
    client.get(format!("ORDER.GET popup {order}")).field("state").text()
}

fn dead_orders_are_cancelled_and_no_others(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.text("ORDER.PLACE popup open c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup done c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup done");
    client.get("ORDER.FAIL popup open AFTER 3600000");
    (0..3).for_each(|number| die(&mut client, &format!("o-{number}"), "boom"));
    assert_eq!(client.int("ORDER.PURGE popup"), 3);
    assert_eq!(
        ["o-0", "o-2", "open", "done"].map(|order| state(&mut client, order)),
        ["cancelled", "cancelled", "retrying", "completed"]
    );
    assert_eq!((info(&mut client, "dead-letters"), client.int("XLEN {popup}:dead")), (0, 0));
    assert_eq!(info(&mut client, "cancelled"), 3);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (99, 1, 98), "their units were back already");
    let digest = client.digest();
    assert_eq!(client.int("ORDER.PURGE popup"), 0);
    assert_eq!(client.digest(), digest);
    // It is as if each had been cancelled by hand.
    assert_eq!(client.int("ORDER.CANCEL popup o-1"), 0);
    client.refused("BADSTATE", "ORDER.REDRIVE popup o-1");
    assert_books_balance(&mut client, "popup");
}

fn by_reason_and_so_many_at_a_time(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    for number in 0..30 {
        die(&mut client, &format!("o-{number}"), if number % 2 == 0 { "payment declined" } else { "bad address" });
    }
    assert_eq!(client.int(cmd!["ORDER.PURGE", "popup", "COUNT", 4, "REASON", "pay*"]), 4);
    let dead: Vec<_> = entries(&mut client, "{popup}:dead").iter().map(|entry| entry.text("order")).collect();
    assert_eq!(dead[..5], ["o-1", "o-3", "o-5", "o-7", "o-8"], "the oldest are gone");
    assert_eq!(client.int(cmd!["ORDER.PURGE", "popup", "REASON", "pay*"]), 11);
    assert_eq!(client.int(cmd!["ORDER.PURGE", "popup", "REASON", "pay*"]), 0);
    assert_eq!(client.int("ORDER.PURGE popup COUNT 2"), 2);
    assert_eq!(client.int("ORDER.PURGE popup"), 13);
    for (name, call) in [("COUNT", "ORDER.PURGE popup COUNT 0"), ("syntax", "ORDER.PURGE popup o-1")] {
        client.refused_naming("ERR", name, call);
    }
    assert_books_balance(&mut client, "popup");
}

fn many_do_not_stop_the_server(binary: &ServerBinary) {
    const ORDERS: usize = 20_000;
    let (server, mut client) = shop_of(binary, 100_000);
    die_many(&mut client, ORDERS);
    let mut other = server.client();
    client.send("ORDER.PURGE popup").expect("sent");
    wait_until(DEADLINE, "it has begun", || info(&mut other, "cancelled") > 0);
    assert!(info(&mut other, "dead-letters") > 0, "it was not done in one go");
    assert_eq!(client.receive().expect("the reply").int(), ORDERS as i64);
    assert_eq!((info(&mut other, "dead-letters"), info(&mut other, "cancelled")), (0, ORDERS as i64));
    assert_books_balance(&mut client, "popup");
}

fn in_multi_and_lua_it_runs_to_its_end(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    die(&mut client, "o-1", "x");
    client.ok("MULTI");
    client.get("ORDER.PURGE popup");
    assert_eq!(client.get("EXEC").array()[0], Reply::Int(1));
    die(&mut client, "o-2", "x");
    assert_eq!(client.int(cmd!["EVAL", "return redis.call('ORDER.PURGE', KEYS[1])", 1, "popup"]), 1);
}

fn a_replica_and_a_restart_agree(binary: &ServerBinary) {
    let mut server = crate::common::Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    crate::common::open_store(&mut client, "popup", 100);
    (0..20).for_each(|number| die(&mut client, &format!("o-{number}"), ["a", "b"][number % 2]));
    assert_eq!(client.int("ORDER.PURGE popup REASON a COUNT 7"), 7);
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
    assert_eq!(reader.int("XLEN {popup}:dead"), 13);
    reader.refused("READONLY", "ORDER.PURGE popup");
    let digest = client.digest();
    server.kill9();
    server.start_again();
    assert_eq!(server.client().digest(), digest, "from the log");
}
