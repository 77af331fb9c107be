//! ORDER.CLAIM, RENEW, YIELD, ADVANCE and COMPLETE's CLAIM: who gets which order, under which lease and token.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, claim_one, cmd, entries, ids, info,
    open_store, order_field, place_many, server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    orders_are_handed_out_first_in_first_out,
    what_a_worker_gets_to_see,
    nothing_is_handed_out_while_paused,
    at_most_a_thousand_orders_and_four_mebibytes_at_once,
    a_lease_that_ends_gives_the_order_back_at_its_old_place,
    a_lease_that_ends_counts_as_an_attempt,
    the_late_worker_is_fenced,
    a_worker_whose_order_somebody_else_completed_is_fenced,
    tokens_only_grow,
    renew_makes_a_lease_longer,
    yield_gives_back_uncounted,
    complete_hands_out_the_next_in_one_round_trip,
    a_repeated_complete_with_claim_gives_the_same_next_order,
    consumers_with_xreadgroup_need_no_claim,
    a_claimed_and_a_native_consumer_meet,
    steps_are_conditional_and_kept,
    late_orders_are_counted_once_and_announced,
    history_tells_everything,
    a_cancelled_order_is_nobody_s,
    arguments_are_checked,
];

/// A server with enough units to sell.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 1_000)
}

/// Places orders of one unit each.
fn place(client: &mut Client, orders: &[&str]) {
    for order in orders {
        client.text(format!("ORDER.PLACE popup {order} c-{order} ITEMS sku-1 1"));
    }
}

fn orders_are_handed_out_first_in_first_out(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a", "b", "c", "d"]);
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w-1").order, "a");
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w-2 COUNT 2")), ["b", "c"]);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 9")), ["d"]);
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 9"), []);
    let states = ["queued", "in-work", "workers"].map(|name| info(&mut client, name));
    assert_eq!(states, [0, 4, 2]);
    assert_eq!(client.int("XLEN {popup}:orders"), 4, "an order that is worked on is in the stream");
    assert_books_balance(&mut client, "popup");
}

fn what_a_worker_gets_to_see(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    client.int("INV.SET popup sku-2 10");
    client.text("ORDER.PLACE popup o-1 c-1 DATA {\"gift\":true} ITEMS sku-1 2 sku-2 1");
    let before = server_now_ms(&mut client);
    let reply = client.get("ORDER.CLAIM popup w-1 LEASE 60000");
    let order = &reply.array()[0];
    let names: Vec<String> = order.pairs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["order", "token", "attempt", "customer", "lane", "items", "data", "placed-at", "deadline"]);
    assert_eq!((order.field("order").text(), order.field("customer").text()), ("o-1".into(), "c-1".into()));
    assert_eq!((order.field("attempt").int(), order.field("data").text()), (1, "{\"gift\":true}".into()));
    let items: Vec<(String, i64)> =
        order.field("items").array().iter().map(|item| (item.array()[0].text(), item.array()[1].int())).collect();
    assert_eq!(items, [("sku-1".into(), 2), ("sku-2".into(), 1)]);
    let lease = order.field("deadline").int() - before;
    assert!((60_000..70_000).contains(&lease), "{lease}");
    assert!(order.field("token").int() >= before * 1024, "a token is at least the clock times 1024");
    place(&mut client, &["o-2"]);
    let mut resp3 = server.client().resp3();
    let reply = resp3.get("ORDER.CLAIM popup w-1");
    assert!(matches!(&reply.array()[0], Reply::Map(pairs) if pairs.len() == 9), "{reply:?}");
    assert_eq!(reply.array()[0].field("data"), Reply::Nil);
}

fn nothing_is_handed_out_while_paused(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a"]);
    client.ok("STORE.SET popup paused yes");
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1"), []);
    place(&mut client, &["b"]);
    client.ok("STORE.SET popup paused no");
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 5")), ["a", "b"]);
}

fn at_most_a_thousand_orders_and_four_mebibytes_at_once(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int("INV.SET popup sku-1 10000");
    place_many(&mut client, "popup", 0..1_500);
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 1000000").len(), 1_000);
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 1000000").len(), 500);
    let data = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    for number in 0..10 {
        client.text(cmd!["ORDER.PLACE", "popup", format!("big-{number}"), "c", "DATA", data, "ITEMS", "sku-1", 1]);
    }
    let first = claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 10");
    assert_eq!(ids(&first), ["big-0", "big-1", "big-2", "big-3"]);
}

fn a_lease_that_ends_gives_the_order_back_at_its_old_place(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a", "b", "c"]);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup dead COUNT 2 LEASE 20")), ["a", "b"]);
    wait_until(DEADLINE, "both leases end", || info(&mut client, "queued") == 3);
    assert_eq!(info(&mut client, "workers"), 0);
    let again = claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 3");
    assert_eq!(ids(&again), ["a", "b", "c"]);
    assert_eq!(again.iter().map(|order| order.attempt).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(info(&mut client, "lapsed"), 2);
    assert_books_balance(&mut client, "popup");
}

fn a_lease_that_ends_counts_as_an_attempt(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup attempts 2");
    place(&mut client, &["a"]);
    for _ in 0..2 {
        assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup dead LEASE 10 BLOCK 20000").order, "a");
    }
    wait_until(DEADLINE, "the order is dead", || info(&mut client, "dead-letters") == 1);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 0, 1_000), "its units went back");
    let dead = entries(&mut client, "{popup}:dead");
    assert_eq!(
        (dead[0].text("order"), dead[0].text("attempts"), dead[0].text("reason")),
        ("a".into(), "2".into(), "lease ended".into())
    );
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
    assert_books_balance(&mut client, "popup");
}

fn the_late_worker_is_fenced(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a"]);
    let late = claim_one(&mut client, "ORDER.CLAIM popup late LEASE 10").token;
    wait_until(DEADLINE, "the lease ends", || info(&mut client, "queued") == 1);
    let commands = |token: i64| {
        [
            format!("ORDER.COMPLETE popup a TOKEN {token}"),
            format!("ORDER.COMPLETE popup a TOKEN {token} CLAIM late"),
            format!("ORDER.FAIL popup a TOKEN {token}"),
            format!("ORDER.FAIL popup a TOKEN {token} FATAL"),
            format!("ORDER.RENEW popup a TOKEN {token}"),
            format!("ORDER.ADVANCE popup a packed TOKEN {token}"),
        ]
    };
    // In turn: no worker has it, another worker has it, it waits for a retry, it is completed.
    commands(late).iter().for_each(|command| client.refused_naming("FENCED", "token 0", command));
    let current = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    let named = format!("current token {current}");
    commands(late).iter().for_each(|command| client.refused_naming("FENCED", &named, command));
    client.get(format!("ORDER.FAIL popup a TOKEN {current} AFTER 3600000"));
    commands(late).iter().for_each(|command| drop(client.refused("FENCED", command)));
    client.get("ORDER.FAIL popup a AFTER 0");
    let current = claim_one(&mut client, "ORDER.CLAIM popup w-2 BLOCK 20000").token;
    client.text(format!("ORDER.COMPLETE popup a TOKEN {current} RESULT 1"));
    commands(late).iter().for_each(|command| drop(client.refused("FENCED", command)));
    assert_eq!(order_field(&mut client, "a", "result"), "1", "what the successor did stands");
}

fn a_worker_whose_order_somebody_else_completed_is_fenced(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a"]);
    let token = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    // A worker that names no token is trusted.
    client.text("ORDER.COMPLETE popup a");
    client.refused("FENCED", format!("ORDER.COMPLETE popup a TOKEN {token}"));
    client.refused("FENCED", format!("ORDER.FAIL popup a TOKEN {token}"));
}

fn tokens_only_grow(binary: &ServerBinary) {
    let server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 1_000);
    place_many(&mut client, "popup", 0..500);
    let mut last = 0;
    for _ in 0..50 {
        for claimed in claim(&mut client, "ORDER.CLAIM popup w COUNT 10") {
            assert!(claimed.token > last, "{} after {last}", claimed.token);
            last = claimed.token;
        }
    }
    client.int("ORDER.YIELD popup w");
    for reload in ["DEBUG RELOAD", "DEBUG LOADAOF"] {
        client.ok(reload);
        let claimed = claim_one(&mut client, "ORDER.CLAIM popup w");
        assert!(claimed.token > last, "{} after {last} and {reload}", claimed.token);
        last = claimed.token;
    }
    assert!(last < 1 << 53);
}

fn renew_makes_a_lease_longer(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a", "b"]);
    let order = claim_one(&mut client, "ORDER.CLAIM popup w-1 LEASE 50000");
    let renewed = client.int(format!("ORDER.RENEW popup a TOKEN {} LEASE 90000", order.token));
    assert!(renewed >= order.deadline + 40_000);
    let same = client.int(format!("ORDER.RENEW popup a TOKEN {} LEASE 1000", order.token));
    assert_eq!(same, renewed, "never shorter");
    assert_eq!(order_field(&mut client, "a", "due"), renewed.to_string());
    // Without LEASE: as long as the claim asked for, not as the store's setting says.
    client.ok("STORE.SET popup lease-ms 10");
    let order = claim_one(&mut client, "ORDER.CLAIM popup w-1 LEASE 40000");
    wait_until(DEADLINE, "the clock moves", || server_now_ms(&mut client) > order.deadline - 40_000);
    let renewed = client.int(format!("ORDER.RENEW popup b TOKEN {}", order.token));
    assert!(renewed > order.deadline, "{renewed} and {}", order.deadline);
    client.text(format!("ORDER.COMPLETE popup b TOKEN {}", order.token));
    client.refused("BADSTATE", format!("ORDER.RENEW popup b TOKEN {}", order.token));
    client.refused("NOORDER", "ORDER.RENEW popup x TOKEN 1");
    assert_books_balance(&mut client, "popup");
}

fn yield_gives_back_uncounted(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a", "b", "c", "d"]);
    claim(&mut client, "ORDER.CLAIM popup w-1 COUNT 2");
    claim(&mut client, "ORDER.CLAIM popup w-2");
    assert_eq!(client.int("ORDER.YIELD popup w-1"), 2);
    assert_eq!(client.int("ORDER.YIELD popup w-1"), 0);
    assert_eq!(client.int("ORDER.YIELD popup nobody"), 0);
    let again = claim(&mut client, "ORDER.CLAIM popup w-3 COUNT 9");
    assert_eq!(ids(&again), ["a", "b", "d"]);
    assert!(again.iter().all(|order| order.attempt == 1), "{again:?}");
    assert_books_balance(&mut client, "popup");
}

fn complete_hands_out_the_next_in_one_round_trip(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    place(&mut client, &["a", "b"]);
    let mut token = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    let reply = client.get(format!("ORDER.COMPLETE popup a TOKEN {token} RESULT 7 CLAIM w-1 LEASE 60000"));
    let [entry, next] = reply.array() else { panic!("{reply:?}") };
    assert_eq!(entry.text(), entries(&mut client, "{popup}:complete")[0].id);
    assert_eq!(next.field("order").text(), "b");
    token = next.field("token").int();
    let reply = server.client().resp3().get(format!("ORDER.COMPLETE popup b TOKEN {token} CLAIM w-1"));
    assert_eq!(reply.array()[1], Reply::Nil);
    assert_eq!((info(&mut client, "completed"), info(&mut client, "workers")), (2, 0));
    client.refused_naming("ERR", "LEASE", "ORDER.COMPLETE popup b CLAIM w-1 LEASE 9007199254740991");
    assert_books_balance(&mut client, "popup");
}

fn a_repeated_complete_with_claim_gives_the_same_next_order(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a", "b", "c"]);
    let token = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    let command = format!("ORDER.COMPLETE popup a TOKEN {token} CLAIM w-1");
    let reply = client.get(&command);
    let digest = client.digest();
    assert_eq!(client.get(&command), reply, "the reply was lost: the same call again");
    assert_eq!(client.digest(), digest);
    let next = reply.array()[1].field("token").int();
    client.text(format!("ORDER.COMPLETE popup b TOKEN {next}"));
    assert_eq!(client.get(&command).array()[1], Reply::Nil, "the worker has given the next one up since");
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w-1").order, "c");
}

fn consumers_with_xreadgroup_need_no_claim(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("XGROUP CREATE {popup}:orders packers 0 MKSTREAM");
    client.ok("XGROUP CREATE {popup}:retry packers 0 MKSTREAM");
    client.ok("STORE.SET popup attempts 2");
    place(&mut client, &["done", "retried", "dies", "cancelled"]);
    let read = client.get("XREADGROUP GROUP packers c-1 COUNT 10 STREAMS {popup}:orders >");
    assert_eq!(read.array()[0].array()[1].array().len(), 4);
    client.text("ORDER.COMPLETE popup done");
    let failed = client.get("ORDER.FAIL popup retried REASON card AFTER 1");
    assert_eq!((failed.field("state").text(), failed.field("attempt").int()), ("retrying".into(), 1));
    client.get("ORDER.FAIL popup dies FATAL REASON never");
    client.int("ORDER.CANCEL popup cancelled");
    // When the retry is due, it comes in its own stream, to a reader that waits there.
    let read = client.get("XREADGROUP GROUP packers c-1 BLOCK 20000 STREAMS {popup}:retry >");
    assert_eq!(read.array()[0].array()[1].array().len(), 1);
    let retry = &entries(&mut client, "{popup}:retry")[0];
    assert_eq!(retry.names(), ["order", "attempt", "reason"]);
    let said = ["order", "attempt", "reason"].map(|name| retry.text(name));
    assert_eq!(said, ["retried", "2", "card"]);
    assert_eq!(client.int("XLEN {popup}:orders"), 1, "it is still not finished");
    client.text("ORDER.COMPLETE popup retried RESULT 2");
    let lengths = ["orders", "retry", "dead", "complete"].map(|name| client.int(format!("XLEN {{popup}}:{name}")));
    assert_eq!(lengths, [0, 0, 1, 2]);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (998, 0, 998));
    assert_books_balance(&mut client, "popup");
}

fn a_claimed_and_a_native_consumer_meet(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("XGROUP CREATE {popup}:orders packers 0 MKSTREAM");
    place(&mut client, &["a", "b", "c"]);
    client.get("XREADGROUP GROUP packers native COUNT 10 STREAMS {popup}:orders >");
    let tokens = claim(&mut client, "ORDER.CLAIM popup claimer COUNT 2");
    // The native reader is faster with the first, the claimer with the second; the third is still free.
    client.text("ORDER.COMPLETE popup a RESULT \"native\"");
    client.refused("FENCED", format!("ORDER.COMPLETE popup a TOKEN {} RESULT \"claimer\"", tokens[0].token));
    client.text(format!("ORDER.COMPLETE popup b TOKEN {} RESULT \"claimer\"", tokens[1].token));
    client.refused("MISMATCH", "ORDER.COMPLETE popup b RESULT \"native\"");
    client.get("ORDER.FAIL popup c AFTER 0");
    let third = claim_one(&mut client, "ORDER.CLAIM popup claimer BLOCK 20000");
    assert_eq!((third.order.as_str(), third.attempt), ("c", 2));
    // A trusted worker fails an order that another worker has claimed: the claim has ended.
    client.get("ORDER.FAIL popup c AFTER 0");
    client.refused("FENCED", format!("ORDER.COMPLETE popup c TOKEN {}", third.token));
    assert_eq!(info(&mut client, "workers"), 0);
    client.text("ORDER.COMPLETE popup c");
    let completed: Vec<String> = entries(&mut client, "{popup}:complete").iter().map(|e| e.text("order")).collect();
    assert_eq!(completed, ["a", "b", "c"], "each once");
    assert_books_balance(&mut client, "popup");
}

fn steps_are_conditional_and_kept(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a"]);
    assert_eq!(client.int("ORDER.ADVANCE popup a accepted"), 1);
    assert_eq!(client.int("ORDER.ADVANCE popup a picked FROM accepted"), 2);
    assert_eq!(client.int("ORDER.ADVANCE popup a picked FROM accepted"), 2, "the same call again");
    client.refused_naming("BADSTATE", "picked", "ORDER.ADVANCE popup a packed FROM accepted");
    let token = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    assert_eq!(client.int(format!("ORDER.ADVANCE popup a packed FROM picked TOKEN {token}")), 3);
    client.refused("FENCED", "ORDER.ADVANCE popup a gone TOKEN 1");
    assert_eq!(["step", "version"].map(|name| order_field(&mut client, "a", name)), ["packed", "3"]);
    client.text("ORDER.COMPLETE popup a");
    client.refused("BADSTATE", "ORDER.ADVANCE popup a gone");
    client.refused("NOORDER", "ORDER.ADVANCE popup x gone");
}

fn late_orders_are_counted_once_and_announced(binary: &ServerBinary) {
    let server = Server::with(binary, &["notify-keyspace-events KEA"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    let mut subscriber = server.client();
    subscriber.get("SUBSCRIBE __keyevent@0__:order.late");
    // Orders from before the setting count as well: waiting, claimed and grouped ones.
    place(&mut client, &["waits", "claimed", "done"]);
    client.text("ORDER.PLACE popup grouped c GROUP g ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup done");
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w-1")), ["waits"]);
    client.ok("STORE.SET popup sla-ms 5");
    wait_until(DEADLINE, "three are late", || info(&mut client, "late") == 3);
    for _ in 0..3 {
        assert_eq!(subscriber.receive().expect("an event").array()[2].text(), "popup");
    }
    client.ok("STORE.SET popup sla-ms 1");
    place(&mut client, &["fresh"]);
    wait_until(DEADLINE, "the fresh one is late too", || info(&mut client, "late") == 4);
    let scanned = client.get("ORDER.SCAN popup 0 LATE COUNT 100");
    let mut late: Vec<String> = scanned.array()[1].texts();
    late.sort();
    // A completed order that took longer is late as well, but nobody waits for it any more.
    late.retain(|id| id != "done");
    assert_eq!(late, ["claimed", "fresh", "grouped", "waits"]);
    assert!(server_now_ms(&mut client) > 0 && info(&mut client, "late") == 4, "each is counted once");
}

fn history_tells_everything(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup backoff-ms 1");
    place(&mut client, &["a"]);
    let token = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    client.int(format!("ORDER.ADVANCE popup a picked TOKEN {token}"));
    client.get(format!("ORDER.FAIL popup a TOKEN {token} REASON dropped"));
    claim_one(&mut client, "ORDER.CLAIM popup w-2 BLOCK 20000 LEASE 5");
    let last = claim_one(&mut client, "ORDER.CLAIM popup w-3 BLOCK 20000").token;
    client.int("ORDER.YIELD popup w-3");
    client.get("ORDER.FAIL popup a FATAL REASON lost");
    client.int("ORDER.REDRIVE popup a");
    client.text("ORDER.COMPLETE popup a");
    client.int("ORDER.RETURN popup a ITEMS sku-1 1");
    let history = client.get("ORDER.GET popup a").field("history");
    let events: Vec<String> = history.array().iter().map(|event| event.field("event").text()).collect();
    let wanted =
        "placed claimed step failed claimed lease-ended claimed yielded failed dead redriven completed returned";
    assert_eq!(events.join(" "), wanted);
    let times: Vec<i64> = history.array().iter().map(|event| event.field("at").int()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(history.array()[3].field("reason").text(), "dropped");
    assert_eq!(history.array()[6].field("token").int(), last);
}

fn a_cancelled_order_is_nobody_s(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a", "b"]);
    let token = claim_one(&mut client, "ORDER.CLAIM popup w-1").token;
    assert_eq!(client.int("ORDER.CANCEL popup a REASON changed-mind"), 1);
    client.refused_naming("FENCED", "cancelled", format!("ORDER.COMPLETE popup a TOKEN {token}"));
    client.refused("BADSTATE", "ORDER.COMPLETE popup a");
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w-1").order, "b");
    client.get("ORDER.FAIL popup b FATAL");
    assert_eq!(client.int("ORDER.CANCEL popup b"), 0, "a dead one's units are back already");
    assert_eq!(client.int("ORDER.CANCEL popup b"), 0);
    assert_eq!(client.int("XLEN {popup}:dead"), 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 0, 1_000));
    assert_books_balance(&mut client, "popup");
}

fn arguments_are_checked(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a"]);
    for (word, command) in [
        ("COUNT", "ORDER.CLAIM popup w COUNT 0"),
        ("COUNT", "ORDER.CLAIM popup w COUNT x"),
        ("LEASE", "ORDER.CLAIM popup w LEASE 0"),
        ("LEASE", "ORDER.CLAIM popup w LEASE 9007199254740991"),
        ("BLOCK", "ORDER.CLAIM popup w BLOCK -1"),
        ("BLOCK", "ORDER.CLAIM popup w BLOCK"),
        ("syntax", "ORDER.CLAIM popup w TIMES 3"),
        ("syntax", "ORDER.RENEW popup a LEASE 5 5"),
        ("TOKEN", "ORDER.RENEW popup a TOKEN 0"),
        ("AFTER", "ORDER.FAIL popup a AFTER -1"),
        ("AFTER", "ORDER.FAIL popup a AFTER 9007199254740991"),
        ("syntax", "ORDER.FAIL popup a SOON"),
        ("syntax", "ORDER.REDRIVE popup a b"),
        ("COUNT", "ORDER.REDRIVE popup ALL COUNT 0"),
        ("worker", "ORDER.COMPLETE popup a CLAIM"),
    ] {
        client.refused_naming("ERR", word, command);
    }
    let long = "w".repeat(513);
    client.refused_naming("ERR", "worker", format!("ORDER.CLAIM popup {long}"));
    client.refused_naming("ERR", "worker", format!("ORDER.YIELD popup {long}"));
    client.refused_naming("ERR", "step", format!("ORDER.ADVANCE popup a {long}"));
    for command in ["ORDER.CLAIM none w", "ORDER.CLAIM none w BLOCK 0", "ORDER.YIELD none w", "ORDER.REDRIVE none ALL"]
    {
        client.refused("NOSTORE", command);
    }
    for command in ["ORDER.FAIL popup x", "ORDER.REDRIVE popup x", "ORDER.COMPLETE popup x CLAIM w"] {
        client.refused("NOORDER", command);
    }
    client.refused("BADSTATE", "ORDER.REDRIVE popup a");
    client.text("SET text 1");
    client.refused("WRONGTYPE", "ORDER.CLAIM text w BLOCK 0");
}
