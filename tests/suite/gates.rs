//! ORDER.PLACE … GATE, ORDER.GET, ORDER.GATE and ORDER.PASS: orders that hold their units until a payment or a check
//! is passed.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, claim_one, cmd, entries, ids, info,
    open_store, order_field, server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    a_pending_order_holds_its_units_and_is_queued_with_its_last_gate,
    a_queued_order_that_gets_a_gate_keeps_its_place,
    a_retrying_order_that_gets_a_gate,
    a_gate_expires_within_ten_ms,
    a_gate_that_is_moved_expires_then,
    what_does_not_fit_is_refused,
    workers_leave_pending_orders_alone,
    passing_and_gating_are_idempotent_through_a_restart,
    blocked_claims_get_what_is_passed,
    events_tell_of_gates,
    deadlines_of_gates_follow_the_key,
    deadlines_of_gates_survive_restart_and_failover,
    replica_log_and_snapshot_have_the_same_gates,
    repair_and_audit_know_which_orders_are_listed,
    gates_in_multi_and_lua,
    many_gates_due_at_once,
    a_stream_that_is_ahead_gets_the_passed_order,
];

/// How late the end of a gate may be.
const GATE_SLACK_MS: i64 = 10;

/// A server with enough units to sell.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 1_000)
}

/// The gates of an order as ORDER.GET shows them: name, deadline (0: none), passed.
#[track_caller]
fn gates(client: &mut Client, order: &str) -> Vec<(String, i64, i64)> {
    let reply = client.get(format!("ORDER.GET popup {order}")).field("gates");
    let deadline = |gate: &Reply| if gate.field("deadline") == Reply::Nil { 0 } else { gate.field("deadline").int() };
    let gate = |gate: &Reply| (gate.field("gate").text(), deadline(gate), gate.field("passed").int());
    reply.array().iter().map(gate).collect()
}

#[track_caller]
fn state(client: &mut Client, order: &str) -> String {
    order_field(client, order, "state")
}

#[track_caller]
fn place_gated(client: &mut Client, order: &str, gates: &str) {
    let reply = client.get(format!("ORDER.PLACE popup {order} c-1 {gates} ITEMS sku-1 1"));
    assert_eq!(reply, Reply::Nil, "{order} is pending");
}

fn a_pending_order_holds_its_units_and_is_queued_with_its_last_gate(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let before = server_now_ms(&mut client);
    let place = "ORDER.PLACE popup o-1 c-1 DATA {} GATE pay 3600000 GATE fraud 0 ITEMS sku-1 2";
    assert_eq!(client.get(place), Reply::Nil);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 2, 998));
    assert_eq!((state(&mut client, "o-1"), order_field(&mut client, "o-1", "entry")), ("pending".into(), "".into()));
    assert_eq!((info(&mut client, "pending"), info(&mut client, "queued"), info(&mut client, "placed")), (1, 0, 1));
    assert_eq!(client.get("ORDER.SCAN popup 0 STATE pending").array()[1].texts(), ["o-1"]);
    assert_eq!(client.int("EXISTS {popup}:orders"), 0);
    let shown = gates(&mut client, "o-1");
    assert!((before..=server_now_ms(&mut client)).contains(&(shown[0].1 - 3_600_000)), "{shown:?}");
    assert_eq!((shown[0].2, &shown[1]), (0, &("fraud".to_string(), 0, 0)));
    assert_eq!(order_field(&mut client, "o-1", "due"), shown[0].1.to_string());
    assert!(claim(&mut client, "ORDER.CLAIM popup w COUNT 9").is_empty());
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    assert_eq!(client.int("ORDER.PASS popup o-1 pay"), 1);
    assert_eq!(client.int("ORDER.PASS popup o-1 fraud"), 0);
    let listed = entries(&mut client, "{popup}:orders");
    let fields = ["order", "customer", "items", "data"].map(|name| listed[1].text(name));
    assert_eq!(fields, ["o-1", "c-1", r#"[["sku-1",2]]"#, "{}"]);
    assert_eq!(order_field(&mut client, "o-1", "entry"), listed[1].id);
    assert_eq!(client.get(place), Reply::Nil, "the first reply");
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 9")), ["o-2", "o-1"], "at the end of the queue");
    let history = client.get("ORDER.GET popup o-1").field("history");
    let events: Vec<_> = history.array().iter().map(|event| event.field("event").text()).collect();
    assert_eq!(events, ["placed", "passed", "passed", "claimed"]);
    assert_eq!(history.array()[1].field("gate").text(), "pay");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.int("ORDER.PASS popup o-1 fraud"), 0);
    assert_books_balance(&mut client, "popup");
}

fn a_queued_order_that_gets_a_gate_keeps_its_place(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let entry = client.text("ORDER.PLACE popup a c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup b c-1 ITEMS sku-1 1");
    let before = server_now_ms(&mut client);
    let deadline_ms = client.int("ORDER.GATE popup a pay 3600000");
    assert!((before..=server_now_ms(&mut client)).contains(&(deadline_ms - 3_600_000)));
    assert_eq!((state(&mut client, "a"), order_field(&mut client, "a", "entry")), ("pending".into(), entry.clone()));
    assert_eq!(client.int("XLEN {popup}:orders"), 2, "readers of the stream find it where it was");
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 9")), ["b"]);
    client.int("ORDER.YIELD popup w");
    assert_eq!(client.int("ORDER.PASS popup a pay"), 0);
    assert_eq!(client.text("ORDER.PLACE popup a c-1 ITEMS sku-1 1"), entry);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 9")), ["a", "b"]);
    assert_books_balance(&mut client, "popup");
}

fn a_retrying_order_that_gets_a_gate(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for order in ["a", "b", "c"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
    }
    client.get("ORDER.FAIL popup b REASON lost AFTER 0");
    wait_until(DEADLINE, "the retry is due", || client.int("XLEN {popup}:retry") == 1);
    assert_eq!(client.int("ORDER.GATE popup b pay 0"), 0);
    assert_eq!((client.int("XLEN {popup}:retry"), client.int("XLEN {popup}:orders")), (0, 3));
    assert_eq!((info(&mut client, "retrying"), info(&mut client, "pending")), (0, 1));
    assert_eq!(client.int("ORDER.PASS popup b pay"), 0);
    let claimed = claim(&mut client, "ORDER.CLAIM popup w COUNT 9");
    assert_eq!((ids(&claimed), claimed[1].attempt), (vec!["a", "b", "c"], 2));
    assert_books_balance(&mut client, "popup");
}

/// Reads the clock and an order in one transaction until it is cancelled: (last time seen pending, first time seen
/// cancelled).
fn watch_gate(client: &mut Client, order: &str) -> (i64, i64) {
    let mut last_pending_ms = 0;
    loop {
        client.ok("MULTI");
        client.text("TIME");
        client.text(format!("ORDER.GET popup {order}"));
        let reply = client.get("EXEC");
        let time = reply.array()[0].texts();
        let now_ms = time[0].parse::<i64>().expect("s") * 1000 + time[1].parse::<i64>().expect("µs") / 1000;
        if reply.array()[1].field("state").text() == "cancelled" {
            return (last_pending_ms, now_ms);
        }
        last_pending_ms = now_ms;
    }
}

/// As for holds: a busy machine may stop the server itself, so one good round of a few is enough, and being early is
/// always an error.
fn a_gate_expires_within_ten_ms(binary: &ServerBinary) {
    const ROUNDS: usize = 5;
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup journal 100");
    let mut lateness = Vec::new();
    for round in 0..ROUNDS {
        let mut worst_ms = 0;
        for ms in [1, 5, 20, 50, 101] {
            let order = format!("o-{round}-{ms}");
            client.get(format!("ORDER.PLACE popup {order} c-1 GATE slow 900000 GATE pay {ms} ITEMS sku-1 2"));
            let deadline_ms = gates(&mut client, &order)[1].1;
            let (last_pending_ms, free_ms) = watch_gate(&mut client, &order);
            assert!(deadline_ms == 0 || free_ms >= deadline_ms, "cancelled at {free_ms}, before {deadline_ms}");
            worst_ms = worst_ms.max(last_pending_ms - deadline_ms * i64::from(last_pending_ms > 0));
        }
        if worst_ms <= GATE_SLACK_MS {
            break;
        }
        lateness.push(worst_ms);
    }
    assert!(lateness.len() < ROUNDS, "pending so many ms after the deadline: {lateness:?}");
    let order = client.get("ORDER.GET popup o-0-50");
    assert_eq!((order.field("reason").text(), order.field("entry")), ("gate pay expired".into(), Reply::Nil));
    let rounds = 5 * (lateness.len() as i64 + 1);
    assert_eq!((info(&mut client, "gates-expired"), info(&mut client, "cancelled")), (rounds, rounds));
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 0, 1_000));
    let moved = entries(&mut client, "{popup}:journal");
    let last = moved.last().expect("a movement");
    assert_eq!(["kind", "delta", "reason"].map(|name| last.text(name)), ["cancel", "-2", "gate pay expired"]);
    client.refused("BADSTATE", "ORDER.PASS popup o-0-50 pay");
    client.refused("BADSTATE", "ORDER.GATE popup o-0-50 pay 5");
    client.refused("BADSTATE", "ORDER.PLACE popup o-0-50 c-1 GATE slow 900000 GATE pay 50 ITEMS sku-1 2");
    assert_books_balance(&mut client, "popup");
}

fn a_gate_that_is_moved_expires_then(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place_gated(&mut client, "later", "GATE pay 200");
    place_gated(&mut client, "never", "GATE pay 200");
    place_gated(&mut client, "sooner", "GATE pay 3600000");
    let later_ms = client.int("ORDER.GATE popup later pay 600");
    assert_eq!(client.int("ORDER.GATE popup never pay 0"), 0);
    let sooner_ms = client.int("ORDER.GATE popup sooner pay 300");
    let (_, cancelled_ms) = watch_gate(&mut client, "sooner");
    assert!(cancelled_ms >= sooner_ms);
    let (last_pending_ms, cancelled_ms) = watch_gate(&mut client, "later");
    assert!(
        last_pending_ms > later_ms - 400 && cancelled_ms >= later_ms,
        "{last_pending_ms} {cancelled_ms} {later_ms}"
    );
    assert_eq!(state(&mut client, "never"), "pending");
    assert_eq!(client.int("ORDER.PASS popup never pay"), 0);
    assert_books_balance(&mut client, "popup");
}

fn what_does_not_fit_is_refused(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place_gated(&mut client, "o-1", "GATE pay 0");
    client.text("ORDER.PLACE popup plain c-1 ITEMS sku-1 1");
    for gate in ["nope", "PAY"] {
        let text = client.refused("NOGATE", format!("ORDER.PASS popup o-1 {gate}"));
        assert_eq!(text, format!("NOGATE order o-1 has no gate {gate}"));
    }
    client.refused("NOGATE", "ORDER.PASS popup plain pay");
    client.refused("NOORDER", "ORDER.PASS popup x pay");
    client.refused("NOORDER", "ORDER.GATE popup x pay 5");
    let nine: String = (1..=9).map(|number| format!("GATE g-{number} 0 ")).collect();
    client.refused_naming("ERR", "GATE", format!("ORDER.PLACE popup o-2 c-1 {nine} ITEMS sku-1 1"));
    client.refused_naming("ERR", "GATE", "ORDER.PLACE popup o-2 c-1 GATE a 1 GATE a 2 ITEMS sku-1 1");
    for ms in ["-1", "x", "1.5", "9007199254740992", ""] {
        client.refused_naming("ERR", "ms", cmd!["ORDER.GATE", "popup", "o-1", "new", ms]);
        let place = cmd!["ORDER.PLACE", "popup", "o-2", "c-1", "GATE", "new", ms, "ITEMS", "sku-1", 1];
        client.refused_naming("ERR", "ms", place);
    }
    client.refused("ERR", "ORDER.PLACE popup o-2 c-1 GATE pay 9007199254740991 ITEMS sku-1 1");
    client.refused("ERR", "ORDER.GATE popup o-1 new 9007199254740991");
    let long = "x".repeat(513);
    client.refused_naming("ERR", "gate", format!("ORDER.GATE popup o-1 {long} 5"));
    client.refused_naming("ERR", "gate", format!("ORDER.PASS popup o-1 {long}"));
    client.refused_naming("ERR", "gate", cmd!["ORDER.PASS", "popup", "o-1", ""]);
    client.refused_naming("ERR", "GATE go before ITEMS", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1 GATE pay 5");
    for number in 2..=8 {
        client.int(format!("ORDER.GATE popup o-1 g-{number} 0"));
    }
    client.refused_naming("ERR", "8", "ORDER.GATE popup o-1 g-9 0");
    // Binary names are as good as others.
    client.get(cmd!["ORDER.PLACE", "popup", "o-3", "c-1", "GATE", b"\0\xff\r\n", 0, "ITEMS", "sku-1", 1]);
    assert_eq!(client.int(cmd!["ORDER.PASS", "popup", "o-3", b"\0\xff\r\n"]), 0);
    for other in ["", "GATE pay 1", "GATE fraud 0", "GATE pay 0 GATE fraud 0"] {
        client.refused_naming("MISMATCH", "GATE", format!("ORDER.PLACE popup o-1 c-1 {other} ITEMS sku-1 1"));
    }
    client.refused_naming("MISMATCH", "GATE", "ORDER.PLACE popup plain c-1 GATE pay 0 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

fn workers_leave_pending_orders_alone(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup limit 3");
    place_gated(&mut client, "o-1", "GROUP g GATE pay 0");
    for command in ["COMPLETE popup o-1", "FAIL popup o-1", "FAIL popup o-1 FATAL", "ADVANCE popup o-1 packed"] {
        assert_eq!(client.refused("BADSTATE", format!("ORDER.{command}")), "BADSTATE order is pending");
    }
    client.refused("BADSTATE", "ORDER.REDRIVE popup o-1");
    client.refused("FENCED", "ORDER.COMPLETE popup o-1 TOKEN 5");
    client.text("ORDER.PLACE popup o-2 c-1 GROUP g ITEMS sku-1 1");
    client.refused("LIMIT", "ORDER.PLACE popup o-3 c-1 ITEMS sku-1 2");
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w").order, "o-2", "one that never was queued blocks no group");
    client.refused("BADSTATE", "ORDER.GATE popup o-2 pay 0");
    client.int("ORDER.YIELD popup w");
    client.int("ORDER.GATE popup o-2 pay 0");
    client.int("ORDER.PASS popup o-1 pay");
    assert!(claim(&mut client, "ORDER.CLAIM popup w COUNT 9").is_empty(), "o-2 is first of its group, and pending");
    assert_eq!(client.int("ORDER.CANCEL popup o-2"), 1);
    assert_eq!(client.int("XLEN {popup}:orders"), 1);
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w").order, "o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1_000, 1, 999));
    assert_books_balance(&mut client, "popup");
}

fn passing_and_gating_are_idempotent_through_a_restart(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.get("ORDER.PLACE popup o-1 c-1 GATE pay 3600000 GATE fraud 0 GATE age 0 ITEMS sku-1 1");
    let calls = ["ORDER.PASS popup o-1 fraud", "ORDER.PASS popup o-1 age", "ORDER.PASS popup o-1 pay"];
    let first = calls.map(|call| client.int(call));
    assert_eq!(first, [2, 1, 0]);
    client.int("ORDER.GATE popup o-1 late 0");
    for restart in [false, true] {
        if restart {
            server.restart();
            client = server.client();
        }
        let digest = client.digest();
        assert_eq!(calls.map(|call| client.int(call)), first);
        assert_eq!(client.int("ORDER.GATE popup o-1 late 0"), 0);
        let place = "ORDER.PLACE popup o-1 c-1 GATE age 0 GATE pay 3600000 GATE fraud 0 ITEMS sku-1 1";
        assert_eq!(client.get(place), Reply::Nil);
        client.refused_naming("BADSTATE", "gate pay is passed", "ORDER.GATE popup o-1 pay 5");
        assert_eq!(client.digest(), digest, "nothing changed");
    }
}

fn blocked_claims_get_what_is_passed(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    place_gated(&mut client, "o-1", "GATE pay 0");
    let mut worker = server.client();
    worker.send("ORDER.CLAIM popup w BLOCK 0").expect("sent");
    wait_until(DEADLINE, "the worker waits", || client.info("clients", "blocked_clients") == "1");
    client.int("ORDER.PASS popup o-1 pay");
    let reply = worker.receive().expect("a reply");
    assert_eq!(reply.array()[0].field("order").text(), "o-1");
}

fn events_tell_of_gates(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    client.ok("CONFIG SET notify-keyspace-events KEA");
    let mut listener = server.client();
    listener.get("SUBSCRIBE __keyspace@0__:popup");
    let mut next = || listener.receive().expect("a message").array()[2].text();
    place_gated(&mut client, "o-1", "GATE pay 0");
    assert_eq!(next(), "order.placed");
    client.int("ORDER.GATE popup o-1 fraud 1");
    assert_eq!(next(), "order.gated");
    assert_eq!(next(), "order.cancelled");
    place_gated(&mut client, "o-2", "GATE pay 0");
    client.int("ORDER.PASS popup o-2 pay");
    assert_eq!([next(), next(), next()], ["order.placed", "order.passed", "order.queued"]);
}

/// However a store changes its name or database, its gates expire there.
fn deadlines_of_gates_follow_the_key(binary: &ServerBinary) {
    let ways: &[(&[&str], &str, u8)] = &[
        (&["RENAME popup other"], "other", 0),
        (&["COPY popup other", "UNLINK popup"], "other", 0),
        (&["MOVE popup 2"], "popup", 2),
        (&["SWAPDB 0 1"], "popup", 1),
    ];
    let server = Server::start(binary);
    for (commands, key, database) in ways {
        let mut client = server.client();
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", 10);
        place_gated(&mut client, "o-1", "GATE pay 150");
        client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2");
        let deadline_ms = client.int("ORDER.GATE popup o-2 pay 170");
        for command in *commands {
            client.get(*command);
        }
        client.ok(format!("SELECT {database}"));
        wait_until(DEADLINE, "the gates expire", || stock(&mut client, key, "sku-1").1 == 0);
        assert!(server_now_ms(&mut client) >= deadline_ms, "{commands:?}");
        assert_eq!(client.get(format!("STORE.INFO {key}")).field("gates-expired").int(), 2);
        assert_books_balance(&mut client, key);
    }
}

fn deadlines_of_gates_survive_restart_and_failover(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    place_gated(&mut client, "soon", "GATE pay 400");
    place_gated(&mut client, "later", "GATE pay 0");
    let later_ms = client.int("ORDER.GATE popup later pay 3000");
    server.restart();
    let replica = server.replica(binary);
    let mut client = server.client();
    wait_until(DEADLINE, "the first gate expires", || stock(&mut client, "popup", "sku-1").1 == 1);
    let mut other = replica.client();
    wait_until(DEADLINE, "the replica follows", || other.digest() == client.digest());
    server.kill9();
    assert_eq!(state(&mut other, "later"), "pending");
    other.ok("REPLICAOF NO ONE");
    let (_, cancelled_ms) = watch_gate(&mut other, "later");
    assert!(cancelled_ms >= later_ms);
    assert_eq!(order_field(&mut other, "later", "reason"), "gate pay expired");
    assert_books_balance(&mut other, "popup");
}

/// Orders with gates in every state that they can have.
fn open_gated_store(client: &mut Client) {
    open_store(client, "popup", 1_000);
    place_gated(client, "o-1", "GROUP g GATE pay 3600000 GATE fraud 0");
    client.int("ORDER.PASS popup o-1 fraud");
    client.text("ORDER.PLACE popup o-2 c-2 GROUP g ITEMS sku-1 1");
    client.int("ORDER.GATE popup o-2 age 3600000");
    place_gated(client, "o-3", "GATE pay 3600000");
    client.int("ORDER.PASS popup o-3 pay");
    place_gated(client, "o-4", "GATE pay 1");
    wait_until(DEADLINE, "a gate expires", || state(client, "o-4") == "cancelled");
    place_gated(client, "o-5", "GATE pay 0");
    client.int("ORDER.PASS popup o-5 pay");
    client.get("ORDER.FAIL popup o-5 FATAL");
}

fn replica_log_and_snapshot_have_the_same_gates(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_gated_store(&mut client);
    let digest = client.digest();
    let mut other = replica.client();
    wait_until(DEADLINE, "the replica follows", || other.digest() == digest);
    assert_eq!(other.get("ORDER.GET popup o-1"), client.get("ORDER.GET popup o-1"));
    client.ok("DEBUG RELOAD");
    assert_eq!(client.digest(), digest);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.digest(), digest);
    assert_books_balance(&mut client, "popup");
    assert_books_balance(&mut other, "popup");
}

fn repair_and_audit_know_which_orders_are_listed(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    open_gated_store(&mut client);
    let listed = |client: &mut Client| {
        entries(client, "{popup}:orders").iter().map(|entry| entry.text("order")).collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut client), ["o-2", "o-3"]);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    client.int("DEL {popup}:orders");
    assert_eq!(client.get("STORE.AUDIT popup").array().len(), 1);
    assert_eq!(client.int("STORE.REPAIR popup"), 2);
    assert_eq!(listed(&mut client), ["o-2", "o-3"]);
    client.int("ORDER.PASS popup o-2 age");
    client.int("ORDER.PASS popup o-1 pay");
    assert_eq!(listed(&mut client), ["o-2", "o-3", "o-1"]);
    let stray = cmd!["XADD", "{popup}:orders", "*", "order", "o-6", "customer", "c", "items", "[]", "data", ""];
    client.text(stray);
    assert_eq!(client.int("STORE.REPAIR popup"), 1);
    assert_books_balance(&mut client, "popup");
}

fn gates_in_multi_and_lua(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("MULTI");
    client.text("ORDER.PLACE popup o-1 c-1 GATE pay 0 ITEMS sku-1 1");
    client.text("ORDER.PASS popup o-1 pay");
    client.text("ORDER.GATE popup o-1 fraud 0");
    assert_eq!(client.get("EXEC"), Reply::Array(vec![Reply::Nil, Reply::Int(0), Reply::Int(0)]));
    let script =
        "redis.call('ORDER.PASS', KEYS[1], 'o-1', 'fraud') return redis.pcall('ORDER.PASS', KEYS[1], 'o-1', 'x')";
    assert_eq!(client.call(cmd!["EVAL", script, 1, "popup"]).code(), "NOGATE");
    assert_eq!(state(&mut client, "o-1"), "queued");
    assert_eq!(info(&mut client, "refused-nogate"), 1);
}

fn many_gates_due_at_once(binary: &ServerBinary) {
    const ORDERS: i64 = 20_000;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", ORDERS);
    let deadline_ms = server_now_ms(&mut client) + 2_000;
    let mut kept = 0;
    for from in (0..ORDERS).step_by(1000) {
        let ms = (deadline_ms - server_now_ms(&mut client)).max(1);
        let place = |number| {
            let (order, customer) = (format!("o-{number}"), format!("c-{number}"));
            cmd!["ORDER.PLACE", "popup", order, customer, "GATE", "pay", ms, "ITEMS", "sku-1", 1]
        };
        let commands: Vec<_> = (from..from + 1000).map(place).collect();
        assert!(client.pipeline(&commands).iter().all(|reply| *reply == Reply::Nil));
        kept += i64::from(!client.call(format!("ORDER.PASS popup o-{from} pay")).is_error());
    }
    wait_until(DEADLINE, "all others are cancelled", || info(&mut client, "pending") == 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (ORDERS, kept, ORDERS - kept));
    assert_eq!((info(&mut client, "gates-expired"), client.int("XLEN {popup}:orders")), (ORDERS - kept, kept));
    assert_books_balance(&mut client, "popup");
}

fn a_stream_that_is_ahead_gets_the_passed_order(binary: &ServerBinary) {
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    place_gated(&mut client, "o-1", "GATE pay 0");
    client.text("XADD {popup}:orders 99999999999999-0 stray x");
    assert_eq!(client.int("ORDER.PASS popup o-1 pay"), 0);
    let listed = entries(&mut client, "{popup}:orders");
    assert_eq!(order_field(&mut client, "o-1", "entry"), listed[1].id);
    assert_eq!(listed[1].text("order"), "o-1");
    let mut other = replica.client();
    wait_until(DEADLINE, "the replica follows", || other.digest() == client.digest());
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w").order, "o-1");
}
