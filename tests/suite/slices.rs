//! Long work in slices: audits and repairs that let other clients work, whatever happens to the store meanwhile.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, cmd, entries, open_store, place_many, shop_of,
    stock, tests, wait_until,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

tests![
    an_audit_lets_others_work,
    an_audit_changes_nothing_and_goes_on_while_writes_are_paused,
    audits_under_traffic_are_clean,
    repairs_under_traffic_double_nothing,
    an_audit_in_multi_does_not_hang_another,
    audits_wait_in_line,
    a_store_that_goes_while_it_is_audited,
    a_client_that_goes_while_it_waits,
    a_primary_that_becomes_a_replica_while_it_audits,
    refusals_count_in_info,
    the_slice_can_be_set,
    the_longest_turn_is_in_info,
    many_callers_are_served_in_pieces,
    many_callers_are_served_without_another_word,
    many_callers_leave_a_store_that_goes,
    a_big_store_is_freed_in_the_background,
];

/// Orders of a store that needs many slices.
const MANY: usize = 60_000;

/// How long a reply is waited for before something else is checked.
const MOMENT: Duration = Duration::from_millis(1);

/// A server with the store `popup` of many orders.
fn big_store(binary: &ServerBinary) -> (Server, Client) {
    let (server, mut client) = shop_of(binary, 10_000_000);
    place_many(&mut client, "popup", 0..MANY);
    (server, client)
}

/// Sends an audit, and returns once the server has started it.
fn start_audit(server: &Server, client: &mut Client, store: &str) -> Client {
    let mut auditor = server.client();
    auditor.send(format!("STORE.AUDIT {store}")).expect("sent");
    wait_until(DEADLINE, "the audit is on its way", || {
        client.info("clients", "blocked_clients") != "0" || !auditor.is_silent(MOMENT)
    });
    auditor
}

fn an_audit_lets_others_work(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    let mut auditor = start_audit(&server, &mut client, "popup");
    let mut served = 0;
    while auditor.is_silent(MOMENT) {
        client.text(format!("ORDER.PLACE popup meanwhile-{served} c-1 ITEMS sku-1 1"));
        served += 1;
    }
    assert_eq!(auditor.receive().expect("a reply"), Reply::Array(Vec::new()));
    assert!(served >= 3, "{served} commands were served while {MANY} orders were recounted");
}

fn an_audit_changes_nothing_and_goes_on_while_writes_are_paused(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    let mut auditor = start_audit(&server, &mut client, "popup");
    client.ok("CLIENT PAUSE 60000 WRITE");
    assert_eq!(auditor.receive().expect("a reply"), Reply::Array(Vec::new()));
    assert_eq!(client.get("STORE.AUDIT popup"), Reply::Array(Vec::new()), "nor does one that comes later wait");
    client.ok("CLIENT UNPAUSE");
}

/// Trades until it is stopped: places, completes, cancels, reserves, commits, releases, adjusts.
fn trade(mut client: Client, number: usize, stop: &AtomicBool, trades: &AtomicU64) {
    for round in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let id = format!("{number}-{round}");
        client.text(format!("ORDER.PLACE popup t-{id} c-{} ITEMS sku-1 2", round % 50));
        client.int(format!("INV.RESERVE popup h-{id} CUSTOMER c-{number} TTL 20 ITEMS sku-1 3"));
        match round % 4 {
            0 => drop(client.text(format!("ORDER.COMPLETE popup t-{id}"))),
            1 => drop(client.int(format!("ORDER.CANCEL popup t-{id}"))),
            // Its hold may have expired on a busy machine.
            2 => drop(client.call(format!("INV.COMMIT popup h-{id} ITEMS sku-1 1"))),
            _ => drop(client.call(format!("ORDER.PLACE popup x-{id} c-{number} HOLD h-{id}"))),
        }
        trades.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs `work` while other clients trade.
fn under_traffic(server: &Server, work: impl FnOnce(&AtomicU64)) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (stop, trades) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for number in 0..4 {
            let (client, stop, trades) = (server.client(), &stop, &trades);
            scope.spawn(move || trade(client, number, stop, trades));
        }
        wait_until(DEADLINE, "there is traffic", || trades.load(Ordering::SeqCst) > 20);
        work(&trades);
    });
}

fn audits_under_traffic_are_clean(binary: &ServerBinary) {
    const AUDITS: usize = 15;
    let (server, mut client) = shop_of(binary, 10_000_000);
    client.ok("STORE.SET popup keep-ms 30");
    place_many(&mut client, "popup", 0..MANY / 4);
    under_traffic(&server, |trades| {
        let before = trades.load(Ordering::SeqCst);
        for _ in 0..AUDITS {
            assert_books_balance(&mut client, "popup");
        }
        assert!(trades.load(Ordering::SeqCst) > before, "nobody traded during the audits");
    });
    assert_books_balance(&mut client, "popup");
}

fn repairs_under_traffic_double_nothing(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10_000_000);
    place_many(&mut client, "popup", 0..3000);
    under_traffic(&server, |_| {
        for _ in 0..10 {
            client.int("XTRIM {popup}:orders MAXLEN 1500");
            assert!(client.int("STORE.REPAIR popup") > 0);
        }
        client.int("DEL {popup}:orders");
        client.int("STORE.REPAIR popup");
    });
    client.int("STORE.REPAIR popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    let orders = entries(&mut client, "{popup}:orders");
    let distinct: BTreeSet<String> = orders.iter().map(|entry| entry.text("order")).collect();
    assert_eq!(distinct.len(), orders.len(), "an order is in the stream twice");
    let info = client.get("STORE.INFO popup");
    assert_eq!(info.field("queued").int(), orders.len() as i64);
    assert_books_balance(&mut client, "popup");
}

fn an_audit_in_multi_does_not_hang_another(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    let mut auditor = start_audit(&server, &mut client, "popup");
    client.ok("MULTI");
    client.text("STORE.AUDIT popup");
    assert_eq!(client.get("EXEC"), Reply::Array(vec![Reply::Array(Vec::new())]));
    assert_eq!(
        client.get(cmd!["EVAL", "return redis.call('STORE.AUDIT', KEYS[1])", 1, "popup"]),
        Reply::Array(Vec::new())
    );
    assert_eq!(auditor.receive().expect("a reply"), Reply::Array(Vec::new()));
    assert_books_balance(&mut client, "popup");
}

fn audits_wait_in_line(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    open_store(&mut client, "other", 10);
    let mut waiting: Vec<Client> = (0..6).map(|_| server.client()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        let command = ["STORE.AUDIT popup", "STORE.AUDIT other", "STORE.REPAIR popup"][number % 3];
        client.send(command).expect("sent");
    }
    for (number, client) in waiting.iter_mut().enumerate() {
        let wanted = if number % 3 == 2 { Reply::Int(0) } else { Reply::Array(Vec::new()) };
        assert_eq!(client.receive().expect("a reply"), wanted, "caller {number}");
    }
}

/// Deleted, renamed, replaced, moved: the audit ends with an error or a result, and the next one works.
fn a_store_that_goes_while_it_is_audited(binary: &ServerBinary) {
    let ways = [
        "UNLINK popup",
        "DEL popup",
        "RENAME popup elsewhere",
        "MOVE popup 3",
        "SWAPDB 0 3",
        "FLUSHALL ASYNC",
        "STORE.DROP popup",
        "SET popup text",
        "COPY other popup REPLACE",
        "DEBUG RELOAD",
    ];
    let server = Server::start(binary);
    let mut client = server.client();
    for way in ways {
        client.ok("FLUSHALL");
        open_store(&mut client, "other", 10);
        open_store(&mut client, "popup", MANY as i64);
        place_many(&mut client, "popup", 0..MANY / 4);
        let mut auditor = start_audit(&server, &mut client, "popup");
        client.get(way);
        match auditor.receive().expect("a reply") {
            Reply::Error(text) => assert!(text.starts_with(b"NOSTORE"), "{way}: {}", text.escape_ascii()),
            // Stores that were moved without their streams have no streams there.
            Reply::Array(_) => {}
            other => panic!("{way}: {other:?}"),
        }
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", 10);
        assert_books_balance(&mut client, "popup");
    }
}

fn a_client_that_goes_while_it_waits(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    for _ in 0..3 {
        let auditor = start_audit(&server, &mut client, "popup");
        drop(auditor);
    }
    wait_until(DEADLINE, "nobody waits any more", || client.info("clients", "blocked_clients") == "0");
    assert_books_balance(&mut client, "popup");
    assert_eq!(stock(&mut client, "popup", "sku-1").1, MANY as i64);
}

fn a_primary_that_becomes_a_replica_while_it_audits(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    let primary = Server::start(binary);
    open_store(&mut primary.client(), "popup", 7);
    for command in ["STORE.AUDIT popup", "STORE.REPAIR popup"] {
        let mut waiting = server.client();
        waiting.send(command).expect("sent");
        client.ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        // The server rejects blocked callers, or replies to them.
        let _ = waiting.receive();
        wait_until(DEADLINE, "the replica has its primary's store", || server.debug_digest() == primary.debug_digest());
        client.ok("REPLICAOF NO ONE");
        assert_books_balance(&mut client, "popup");
        open_store(&mut client, "popup", 10_000_000);
        place_many(&mut client, "popup", 0..MANY / 2);
    }
}

fn refusals_count_in_info(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("CONFIG SET holdfast.sample-ms 0");
    open_store(&mut client, "popup", 10);
    for _ in 0..3 {
        client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 11");
    }
    client.refused("NOSKU", "ORDER.PLACE popup o-1 c-1 ITEMS sku-9 1");
    let info = client.text("INFO holdfast");
    for wanted in ["holdfast_outofstock:3", "holdfast_nosku:1", "holdfast_stores_with_deadlines:0"] {
        assert!(info.lines().any(|line| line.trim() == wanted), "no {wanted} in {info}");
    }
    let due_ms = client.int("INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 1");
    let info = client.text("INFO holdfast");
    for wanted in ["holdfast_stores_with_deadlines:1".to_string(), format!("holdfast_next_due:{due_ms}")] {
        assert!(info.lines().any(|line| line.trim() == wanted), "no {wanted} in {info}");
    }
}

/// However small the slices are, everything due is handled, and the replica's slices are those of the primary.
fn the_slice_can_be_set(binary: &ServerBinary) {
    const HOLDS: usize = 500;
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let mut client = server.client();
    assert_eq!(client.get("CONFIG GET holdfast.sweep-slice").field("holdfast.sweep-slice").text(), "500");
    client.ok("CONFIG SET holdfast.sweep-slice 1");
    replica.client().ok("CONFIG SET holdfast.sweep-slice 77");
    for bad in ["0", "-1", "x", "100001"] {
        assert!(client.call(format!("CONFIG SET holdfast.sweep-slice {bad}")).is_error(), "{bad}");
    }
    open_store(&mut client, "popup", HOLDS as i64);
    client.ok("STORE.SET popup journal 10000");
    let reserve = |number| cmd!["INV.RESERVE", "popup", format!("h-{number}"), "TTL", 200, "ITEMS", "sku-1", 1];
    let commands: Vec<_> = (0..HOLDS).map(reserve).collect();
    assert!(client.pipeline(&commands).iter().all(|reply| !reply.is_error()));
    wait_until(DEADLINE, "all units are back", || stock(&mut client, "popup", "sku-1").1 == 0);
    assert_eq!(client.int("XLEN {popup}:journal"), 2 * HOLDS as i64);
    wait_until(DEADLINE, "the replica is the same", || server.debug_digest() == replica.debug_digest());
    assert_books_balance(&mut client, "popup");
}

fn the_longest_turn_is_in_info(binary: &ServerBinary) {
    let (server, mut client) = big_store(binary);
    let longest = |client: &mut Client| client.info("holdfast", "holdfast_longest_turn_us").parse::<u64>().expect("us");
    let before = longest(&mut client);
    assert_eq!(start_audit(&server, &mut client, "popup").receive().expect("a reply"), Reply::Array(Vec::new()));
    let after = longest(&mut client);
    assert!(after > before, "the longest turn was {before} µs, and {after} µs with an audit of {MANY} orders");
    let at_ms: i64 = client.info("holdfast", "holdfast_longest_turn_at").parse().expect("ms");
    let now_ms = 1000 * client.get("TIME").array()[0].text().parse::<i64>().expect("seconds");
    assert!((now_ms - 60_000..now_ms + 60_000).contains(&at_ms), "{at_ms} at {now_ms}");
}

/// More callers than a piece of a turn answers.
const CALLERS: usize = 200;

/// Clients that wait for an order of the store `popup`, the first of them before the others.
fn callers(server: &Server, client: &mut Client) -> Vec<Client> {
    let mut callers: Vec<_> = (0..CALLERS).map(|_| server.client()).collect();
    for (number, caller) in callers.iter_mut().enumerate() {
        caller.send(format!("ORDER.CLAIM popup w-{number} BLOCK 0")).expect("sent");
        let waiting = (number + 1).to_string();
        wait_until(DEADLINE, "it waits", || client.info("clients", "blocked_clients") == waiting);
    }
    callers
}

/// The order that a caller was given.
fn given(caller: &mut Client) -> String {
    caller.receive().expect("a reply").array()[0].field("order").text()
}

/// Each gets an order of its own, in the order in which they came; who comes later gets none of theirs.
fn many_callers_are_served_in_pieces(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10_000_000);
    let mut callers = callers(&server, &mut client);
    let place = |number| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c-1", "ITEMS", "sku-1", 1];
    // In one turn of the event loop, so that all orders are there when the first caller is served.
    let orders = std::iter::once(cmd!["MULTI"]).chain((0..=CALLERS).map(place)).chain([cmd!["EXEC"]]);
    let late = [
        cmd!["ORDER.CLAIM", "popup", "late"],
        cmd!["ORDER.PLACE", "popup", "mine", "c-1", "ITEMS", "sku-1", 1],
        cmd!["ORDER.COMPLETE", "popup", "mine", "CLAIM", "late"],
    ];
    let replies = client.pipeline(&orders.chain(late).collect::<Vec<_>>());
    let claimed = replies[CALLERS + 3].array().iter().map(|order| order.field("order").text()).collect::<Vec<_>>();
    assert!(claimed.is_empty() || claimed == [format!("o-{CALLERS}")], "{claimed:?}");
    let next = &replies[CALLERS + 5].array()[1];
    assert!(*next == Reply::Nil || next.field("order").text() == format!("o-{CALLERS}"), "{next:?}");
    let given: Vec<_> = callers.iter_mut().map(given).collect();
    assert_eq!(given, (0..CALLERS).map(|number| format!("o-{number}")).collect::<Vec<_>>());
    assert_books_balance(&mut client, "popup");
}

/// No command that comes later gives them what is theirs.
fn many_callers_are_served_without_another_word(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10_000_000);
    let mut callers = callers(&server, &mut client);
    let place = |number| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c-1", "ITEMS", "sku-1", 1];
    client.pipeline(
        &std::iter::once(cmd!["MULTI"]).chain((0..CALLERS).map(place)).chain([cmd!["EXEC"]]).collect::<Vec<_>>(),
    );
    let given: Vec<_> = callers.iter_mut().map(given).collect();
    assert_eq!(given, (0..CALLERS).map(|number| format!("o-{number}")).collect::<Vec<_>>());
}

/// They get nothing; those who come to a new store of the name afterwards are not sent away with them.
fn many_callers_leave_a_store_that_goes(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10_000_000);
    let mut callers = callers(&server, &mut client);
    client.pipeline(&[cmd!["DEL", "popup", "{popup}:orders"], cmd!["INV.SET", "popup", "sku-1", 10]]);
    let mut later = server.client();
    later.send("ORDER.CLAIM popup later BLOCK 0").expect("sent");
    for caller in &mut callers {
        assert_eq!(caller.receive().expect("a reply"), Reply::Array(Vec::new()));
    }
    wait_until(DEADLINE, "one waits", || client.info("clients", "blocked_clients") == "1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    assert_eq!(given(&mut later), "o-1");
}

fn a_big_store_is_freed_in_the_background(binary: &ServerBinary) {
    let (_server, mut client) = big_store(binary);
    let used = |client: &mut Client| client.info("memory", "used_memory").parse::<u64>().expect("bytes");
    let (full, store) = (used(&mut client), client.int("MEMORY USAGE popup SAMPLES 0").unsigned_abs());
    client.int("DEL popup");
    wait_until(DEADLINE, "its memory is free", || used(&mut client) < full - store / 2);
}
