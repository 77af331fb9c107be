//! ORDER.FAIL and ORDER.REDRIVE: backoff, dead letters, and redriving.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, claim_one, cmd, die_many, entries, ids,
    info, server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    backoff_doubles_up_to_the_cap,
    after_names_the_wait,
    a_due_retry_comes_before_all_else,
    a_failed_order_is_not_claimable_before_it_is_due,
    past_its_attempts_an_order_is_dead,
    fatal_is_dead_at_once,
    a_repeated_fail_gives_the_first_reply,
    redrive_takes_the_stock_anew,
    redrive_leaves_dead_what_cannot_be,
    redrive_all_by_reason_so_many_at_a_time,
    redrive_all_of_many_does_not_stop_the_server,
    redrive_in_multi_and_lua_runs_to_its_end,
    a_redriven_order_keeps_what_it_was,
    repair_writes_back_retries_and_dead_letters,
    a_stream_of_another_type_stops_nothing_that_is_due,
    drop_removes_every_stream,
];

/// A server with enough units to sell.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 1_000)
}

/// Places an order and fails it until it is dead.
fn die(client: &mut Client, order: &str, reason: &str) {
    client.text(format!("ORDER.PLACE popup {order} c-{order} ITEMS sku-1 1"));
    client.get(cmd!["ORDER.FAIL", "popup", order, "REASON", reason, "FATAL"]);
}

fn backoff_doubles_up_to_the_cap(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup backoff-ms 100000 backoff-cap-ms 350000 attempts 100");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    for (attempt, full) in [(1, 100_000), (2, 200_000), (3, 350_000), (4, 350_000)] {
        let before = server_now_ms(&mut client);
        let reply = client.get(format!("ORDER.FAIL popup o-1 REASON r-{attempt}"));
        let after = server_now_ms(&mut client);
        assert_eq!((reply.field("state").text(), reply.field("attempt").int()), ("retrying".into(), attempt));
        let due = reply.field("due").int();
        // Jitter subtracts up to half of it.
        assert!((before + full / 2..=after + full).contains(&due), "attempt {attempt}: {} of {full}", due - before);
    }
    assert_books_balance(&mut client, "popup");
}

fn after_names_the_wait(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let before = server_now_ms(&mut client);
    let due = client.get("ORDER.FAIL popup o-1 AFTER 3600000").field("due").int();
    let after = server_now_ms(&mut client);
    assert!((before..=after).contains(&(due - 3_600_000)));
    client.get("ORDER.FAIL popup o-1 AFTER 0");
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000").attempt, 3);
}

fn a_due_retry_comes_before_all_else(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for order in ["a", "b", "c"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
    }
    client.get("ORDER.FAIL popup c AFTER 1");
    client.get("ORDER.FAIL popup b AFTER 5");
    wait_until(DEADLINE, "both are due", || client.int("XLEN {popup}:retry") == 2);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 3")), ["c", "b", "a"]);
    client.int("ORDER.YIELD popup w");
    assert_eq!(info(&mut client, "retrying"), 2, "what was given back is a retry again");
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 3")), ["c", "b", "a"]);
    assert_books_balance(&mut client, "popup");
}

fn a_failed_order_is_not_claimable_before_it_is_due(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    for _ in 0..20 {
        let token = claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000").token;
        let due = client.get(format!("ORDER.FAIL popup o-1 TOKEN {token} AFTER 7")).field("due").int();
        client.ok("STORE.SET popup attempts 1000");
        let again = claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000");
        assert!(server_now_ms(&mut client) >= due);
        client.get(format!("ORDER.FAIL popup o-1 TOKEN {} AFTER 0", again.token));
    }
    assert_books_balance(&mut client, "popup");
}

fn past_its_attempts_an_order_is_dead(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup attempts 3 backoff-ms 1 journal 100");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    for attempt in 1..=3 {
        let claimed = claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000");
        assert_eq!(claimed.attempt, attempt);
        let reply = client.get(format!("ORDER.FAIL popup o-1 TOKEN {} REASON r-{attempt}", claimed.token));
        let state = if attempt < 3 { "retrying" } else { "dead" };
        assert_eq!((reply.field("state").text(), reply.field("attempt").int()), (state.into(), attempt));
        assert_eq!(reply.field("due") == Reply::Nil, attempt == 3);
    }
    let dead = entries(&mut client, "{popup}:dead");
    assert_eq!(dead[0].names(), ["order", "attempts", "reason"]);
    assert_eq!(["order", "attempts", "reason"].map(|name| dead[0].text(name)), ["o-1", "3", "r-3"]);
    let lengths = ["orders", "retry", "dead", "complete"].map(|name| client.int(format!("XLEN {{popup}}:{name}")));
    assert_eq!(lengths, [0, 0, 1, 0]);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 0, 1_000));
    let moved = entries(&mut client, "{popup}:journal");
    let last = moved.last().expect("a movement");
    assert_eq!(["kind", "delta", "ref", "reason"].map(|name| last.text(name)), ["dead", "-4", "o-1", "r-3"]);
    let counted = ["failed", "retried", "dead", "dead-letters", "claimed"];
    assert_eq!(counted.map(|name| info(&mut client, name)), [3, 2, 1, 1, 3]);
    assert_books_balance(&mut client, "popup");
}

fn fatal_is_dead_at_once(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    die(&mut client, "o-1", "no such address");
    client.refused("BADSTATE", "ORDER.COMPLETE popup o-1");
    client.refused("BADSTATE", "ORDER.FAIL popup o-1 REASON other");
    assert_eq!(client.get("ORDER.GET popup o-1").field("reason").text(), "no such address");
    assert_eq!(client.get("ORDER.SCAN popup 0 STATE dead").array()[1].texts(), ["o-1"]);
}

fn a_repeated_fail_gives_the_first_reply(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup backoff-ms 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let token = claim_one(&mut client, "ORDER.CLAIM popup w").token;
    let command = format!("ORDER.FAIL popup o-1 TOKEN {token} REASON boom");
    let first = client.get(&command);
    assert_eq!(client.get(&command), first);
    claim_one(&mut client, "ORDER.CLAIM popup w-2 BLOCK 20000");
    let digest = client.digest();
    assert_eq!(client.get(&command), first, "also when somebody else has the order by now");
    assert_eq!(client.digest(), digest);
    client.refused("MISMATCH", format!("ORDER.FAIL popup o-1 TOKEN {token} REASON other"));
    client.refused("MISMATCH", format!("ORDER.FAIL popup o-1 TOKEN {token} REASON boom FATAL"));
}

fn redrive_takes_the_stock_anew(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    die(&mut client, "o-1", "x");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 0, 1_000));
    assert_eq!(client.int("ORDER.REDRIVE popup o-1"), 1);
    assert_eq!(client.int("ORDER.REDRIVE popup o-1"), 1, "the same call again");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 1, 999));
    assert_eq!(client.int("XLEN {popup}:dead"), 0);
    assert_eq!(entries(&mut client, "{popup}:orders")[0].text("order"), "o-1");
    let claimed = claim_one(&mut client, "ORDER.CLAIM popup w");
    assert_eq!((claimed.order.as_str(), claimed.attempt), ("o-1", 1));
    client.text(format!("ORDER.COMPLETE popup o-1 TOKEN {}", claimed.token));
    assert_books_balance(&mut client, "popup");
}

fn redrive_leaves_dead_what_cannot_be(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int("INV.SET popup sku-1 1");
    die(&mut client, "o-1", "x");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    assert_eq!(client.int("ORDER.REDRIVE popup o-1"), 0, "its stock is gone");
    assert_eq!(client.int("ORDER.REDRIVE popup ALL"), 0);
    client.int("ORDER.CANCEL popup o-2");
    client.ok("STORE.SET popup limit 1");
    client.int("INV.ADJUST popup sku-1 1");
    client.text("ORDER.PLACE popup o-3 c-o-1 ITEMS sku-1 1");
    assert_eq!(client.int("ORDER.REDRIVE popup o-1"), 0, "its customer has bought up to the limit");
    client.int("ORDER.CANCEL popup o-3");
    assert_eq!(client.int("ORDER.REDRIVE popup o-1"), 1);
    assert_books_balance(&mut client, "popup");
}

fn redrive_all_by_reason_so_many_at_a_time(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for number in 0..30 {
        die(&mut client, &format!("o-{number}"), if number % 2 == 0 { "payment declined" } else { "bad address" });
    }
    assert_eq!(client.int(cmd!["ORDER.REDRIVE", "popup", "all", "COUNT", 4, "REASON", "pay*"]), 4);
    let claimed = claim(&mut client, "ORDER.CLAIM popup w COUNT 100");
    assert_eq!(ids(&claimed), ["o-0", "o-2", "o-4", "o-6"], "as they died");
    assert_eq!(client.int(cmd!["ORDER.REDRIVE", "popup", "ALL", "REASON", "pay*"]), 11);
    assert_eq!(client.int(cmd!["ORDER.REDRIVE", "popup", "ALL", "REASON", "pay*"]), 0);
    assert_eq!(client.int(cmd!["ORDER.REDRIVE", "popup", "ALL"]), 15);
    assert_eq!((info(&mut client, "dead-letters"), client.int("XLEN {popup}:dead")), (0, 0));
    assert_books_balance(&mut client, "popup");
}

fn redrive_all_of_many_does_not_stop_the_server(binary: &ServerBinary) {
    const ORDERS: usize = 20_000;
    let (server, mut client) = shop(binary);
    client.int("INV.SET popup sku-1 100000");
    die_many(&mut client, ORDERS);
    let mut other = server.client();
    client.send("ORDER.REDRIVE popup ALL").expect("sent");
    // Other clients are served during the work: they see some orders queued and some still dead.
    wait_until(DEADLINE, "it has begun", || info(&mut other, "queued") > 0);
    assert!(info(&mut other, "dead-letters") > 0, "it was not done in one go");
    assert_eq!(client.receive().expect("the reply").int(), ORDERS as i64);
    assert_eq!((info(&mut other, "dead-letters"), info(&mut other, "queued")), (0, ORDERS as i64));
    assert_books_balance(&mut client, "popup");
}

fn redrive_in_multi_and_lua_runs_to_its_end(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    die(&mut client, "o-1", "x");
    client.ok("MULTI");
    client.get("ORDER.REDRIVE popup ALL");
    assert_eq!(client.get("EXEC").array()[0], Reply::Int(1));
    client.get("ORDER.FAIL popup o-1 FATAL");
    assert_eq!(client.int(cmd!["EVAL", "return redis.call('ORDER.REDRIVE', KEYS[1], 'ALL')", 1, "popup"]), 1);
}

fn a_redriven_order_keeps_what_it_was(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let place = cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "GROUP", "g", "DATA", "[1]", "ITEMS", "sku-1", 2];
    let entry = client.text(&place);
    let placed_at = client.get("ORDER.GET popup o-1").field("placed-at");
    client.get("ORDER.FAIL popup o-1 FATAL");
    wait_until(DEADLINE, "the clock moves", || server_now_ms(&mut client) > placed_at.int());
    client.int("ORDER.REDRIVE popup o-1");
    let order = client.get("ORDER.GET popup o-1");
    assert_eq!(order.field("placed-at"), placed_at);
    assert_ne!(order.field("entry").text(), entry, "it is queued anew");
    assert_eq!(client.text(&place), entry, "the same call again gives the first reply");
    client.ok("DEBUG RELOAD");
    assert_eq!(client.text(&place), entry);
    let claimed = client.get("ORDER.CLAIM popup w");
    assert_eq!(claimed.array()[0].field("placed-at"), placed_at);
}

fn repair_writes_back_retries_and_dead_letters(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for number in 0..5 {
        die(&mut client, &format!("dead-{number}"), "x");
        client.text(format!("ORDER.PLACE popup r-{number} c ITEMS sku-1 1"));
        client.get(format!("ORDER.FAIL popup r-{number} AFTER 1 REASON y"));
    }
    wait_until(DEADLINE, "the retries are due", || client.int("XLEN {popup}:retry") == 5);
    let before = ["retry", "dead"].map(|name| entries(&mut client, &format!("{{popup}}:{name}")));
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    client.int("DEL {popup}:retry");
    client.int(format!("XDEL {{popup}}:dead {}", before[1][2].id));
    let what: Vec<String> =
        client.get("STORE.AUDIT popup").array().iter().map(|difference| difference.field("id").text()).collect();
    assert_eq!(what, ["retry", "dead"]);
    assert_eq!(client.int("STORE.REPAIR popup"), 6);
    assert_books_balance(&mut client, "popup");
    let orders = |entries: &[crate::common::Entry]| {
        let mut orders: Vec<String> = entries.iter().map(|entry| entry.text("order")).collect();
        orders.sort();
        orders
    };
    let after = ["retry", "dead"].map(|name| entries(&mut client, &format!("{{popup}}:{name}")));
    assert_eq!(before.each_ref().map(|list| orders(list)), after.each_ref().map(|list| orders(list)));
    for order in ["r-0", "dead-2"] {
        client.int(format!("ORDER.CANCEL popup {order}"));
    }
    assert_eq!(["retry", "dead"].map(|name| client.int(format!("XLEN {{popup}}:{name}"))), [4, 4]);
}

fn a_stream_of_another_type_stops_nothing_that_is_due(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("SET {popup}:retry mine");
    client.ok("SET {popup}:dead mine");
    client.ok("STORE.SET popup attempts 1");
    client.text("ORDER.PLACE popup o-1 c ITEMS sku-1 1");
    client.refused("WRONGTYPE", "ORDER.FAIL popup o-1 FATAL");
    // An expiring lease cannot be refused.
    claim_one(&mut client, "ORDER.CLAIM popup w LEASE 1");
    wait_until(DEADLINE, "the order is dead", || info(&mut client, "dead-letters") == 1);
    assert_eq!(client.text("GET {popup}:dead"), "mine");
    client.int("DEL {popup}:dead");
    assert_eq!(client.int("STORE.REPAIR popup"), 1);
    assert_eq!(entries(&mut client, "{popup}:dead")[0].text("order"), "o-1");
}

fn drop_removes_every_stream(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    die(&mut client, "dead", "x");
    client.text("ORDER.PLACE popup retries c ITEMS sku-1 1");
    client.get("ORDER.FAIL popup retries AFTER 1");
    wait_until(DEADLINE, "the retry is due", || client.int("XLEN {popup}:retry") == 1);
    client.ok("STORE.DROP popup");
    assert_eq!(client.int("DBSIZE"), 0);
}
