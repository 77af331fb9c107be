//! `maxmemory`: while memory is full, only commands that add something are refused; everything that finishes, frees or
//! hands out continues, whether it comes from a client, a replica, a file or a deadline.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, cmd, entries, open_store, order_field,
    place_many, shop_of, stock, tests, wait_until,
};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

tests![
    the_whole_table_of_commands,
    the_same_call_again_gets_its_first_reply,
    transactions_and_scripts_are_no_way_around,
    what_is_evicted_for_makes_room,
    a_replica_and_a_log_take_what_the_primary_took,
    deadlines_and_waiting_callers_go_on,
    long_work_goes_on_below_what_is_used,
    a_sale_that_runs_into_the_limit_and_out_again,
];

/// What happens to a command while memory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Refused,
    GoesOn,
    /// Refused for clients at all times, with another code.
    NotForClients,
}
use Full::{GoesOn, NotForClients, Refused};

/// Calls in an order in which each finds what it needs ([`open_full_shop`]), and what happens to each.
const TABLE: &[(Full, &str)] = &[
    (Refused, "INV.SET other sku-1 5"),
    (Refused, "INV.SET popup sku-new 5"),
    (GoesOn, "INV.SET popup sku-1 500 LOW 3"),
    (Refused, "INV.SYNC other erp 1 ITEMS sku-1 5"),
    (Refused, "INV.SYNC popup erp 2 ITEMS sku-1 400 sku-new 5"),
    (GoesOn, "INV.SYNC popup erp 2 ITEMS sku-1 400 sku-2 400"),
    (GoesOn, "INV.SYNC popup erp 1 ITEMS sku-new 5"),
    (GoesOn, "INV.SYNC popup other-feed 1 ITEMS sku-1 400"),
    (GoesOn, "INV.ADJUST popup sku-1 5 REASON found REF r-1"),
    (GoesOn, "INV.GET popup sku-1"),
    (GoesOn, "INV.SCAN popup 0"),
    (Refused, "INV.RESERVE popup h-new ITEMS sku-1 1"),
    (Refused, "INV.RESERVE popup h-new REPLACE ITEMS sku-1 1"),
    (GoesOn, "INV.RESERVE popup h-1 TTL 3600000 REPLACE ITEMS sku-1 2"),
    (GoesOn, "INV.EXTEND popup h-1 7200000"),
    (GoesOn, "INV.COMMIT popup h-1 REF r-2 ITEMS sku-1 1"),
    (GoesOn, "INV.RELEASE popup h-1"),
    (GoesOn, "INV.HOLD popup h-1"),
    (GoesOn, "INV.HOLDS popup 0"),
    (Refused, "ORDER.PLACE popup o-new c-1 ITEMS sku-1 1"),
    (Refused, "ORDER.PLACE popup o-new c-1 HOLD h-2"),
    (GoesOn, "ORDER.CLAIM popup w-1 COUNT 2"),
    (GoesOn, "ORDER.RENEW popup o-1 TOKEN {token} LEASE 7200000"),
    (GoesOn, "ORDER.ADVANCE popup o-1 packed"),
    (Refused, "ORDER.PLACE popup o-new c-1 GATE pay 0 ITEMS sku-1 1"),
    (GoesOn, "ORDER.GATE popup o-5 pay 7200000"),
    (GoesOn, "ORDER.PASS popup o-5 pay"),
    (GoesOn, "ORDER.COMPLETE popup o-1 RESULT {} CLAIM w-1"),
    (GoesOn, "ORDER.FAIL popup o-2 REASON boom FATAL"),
    (GoesOn, "ORDER.REDRIVE popup o-2"),
    (GoesOn, "ORDER.FAIL popup o-3 REASON boom"),
    (GoesOn, "ORDER.REDRIVE popup ALL"),
    (GoesOn, "ORDER.PURGE popup"),
    (GoesOn, "ORDER.YIELD popup w-1"),
    (GoesOn, "ORDER.RETURN popup o-1 REF r-3 ITEMS sku-1 1"),
    (GoesOn, "ORDER.EDIT popup o-5 REF r-4 ITEMS sku-1 3"),
    (GoesOn, "ORDER.SPLIT popup o-5 o-new ITEMS sku-1 1"),
    (GoesOn, "ORDER.CANCEL popup o-4"),
    (GoesOn, "ORDER.GET popup o-1"),
    (GoesOn, "ORDER.SCAN popup 0"),
    (Refused, "LOCK.ACQUIRE doc-new ann 1000"),
    (GoesOn, "LOCK.RENEW doc {lock} 7200000"),
    (GoesOn, "LOCK.RELEASE doc {lock}"),
    (GoesOn, "LOCK.ACQUIRE doc bob 7200000"),
    (GoesOn, "LOCK.GET doc"),
    (GoesOn, "STORE.SET popup paused yes"),
    (GoesOn, "STORE.SET new limit 3"),
    (GoesOn, "STORE.GET popup"),
    (GoesOn, "STORE.INFO popup"),
    (GoesOn, "STORE.LANES popup"),
    (GoesOn, "STORE.AUDIT popup"),
    (GoesOn, "STORE.REPAIR popup"),
    (GoesOn, "STORE.DROP popup"),
    (NotForClients, "HOLDFAST.APPLY popup 1 SWEEP 1"),
    (GoesOn, "HOLDFAST.MAYWRITE popup"),
];

/// Makes everything that [`TABLE`] finishes, frees or hands out; returns the tokens of `o-1` and of the lock.
fn open_full_shop(client: &mut Client) -> [String; 2] {
    open_store(client, "popup", 1000);
    client.ok("STORE.SET popup journal 1000");
    client.int("INV.SET popup sku-2 1000");
    client.text("INV.SYNC popup erp 1 ITEMS sku-1 900");
    for hold in ["h-1", "h-2"] {
        client.int(format!("INV.RESERVE popup {hold} CUSTOMER c-1 TTL 3600000 ITEMS sku-1 3"));
    }
    for order in 1..=9 {
        client.text(format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 1"));
    }
    client.get("ORDER.FAIL popup o-9 REASON boom FATAL");
    let token = claim(client, "ORDER.CLAIM popup w-1 LEASE 3600000")[0].token;
    [token.to_string(), client.int("LOCK.ACQUIRE doc ann 3600000").to_string()]
}

/// Sets a limit at which every request for memory is refused.
fn fill_up(client: &mut Client) {
    client.ok("CONFIG SET maxmemory 1");
    assert_eq!(client.call("SET more memory").code(), "OOM");
}

fn the_whole_table_of_commands(binary: &ServerBinary) {
    for policy in ["noeviction", "volatile-lru"] {
        let server = Server::with(binary, &[&format!("maxmemory-policy {policy}")]);
        let mut client = server.client();
        let [token, lock] = open_full_shop(&mut client);
        fill_up(&mut client);
        let the_servers_own = client.call("SET more memory").error();
        for (full, command) in TABLE {
            let command = command.replace("{token}", &token).replace("{lock}", &lock);
            let before = client.digest();
            let reply = client.call(&command);
            match full {
                GoesOn => assert!(!reply.is_error(), "{policy}: {command}: {reply:?}"),
                Refused => assert_eq!(reply.error(), the_servers_own, "{policy}: {command}"),
                NotForClients => assert_eq!(reply.code(), "ERR", "{policy}: {command}: {reply:?}"),
            }
            assert!(
                *full == GoesOn || client.digest() == before,
                "{policy}: {command}: refused, but changed something"
            );
        }
        let name = |command: &str| command.split(' ').next().unwrap_or_default().to_lowercase();
        let tried: BTreeSet<String> = TABLE.iter().map(|(_, command)| name(command)).collect();
        let names = client.get("COMMAND LIST FILTERBY MODULE holdfast").texts();
        let there: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(there, tried, "every command of the module is in the table");
    }
}

/// After a lost reply: nothing is added, so nothing is refused.
fn the_same_call_again_gets_its_first_reply(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 100);
    client.int("INV.RESERVE popup h-2 CUSTOMER c-1 TTL 3600000 ITEMS sku-1 1");
    let calls = [
        "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1",
        "INV.RESERVE popup h-1 TTL 3600000 ITEMS sku-1 1",
        "ORDER.PLACE popup o-2 c-1 HOLD h-2",
        "INV.SYNC popup erp 7 ITEMS sku-2 5",
        "LOCK.ACQUIRE doc ann 3600000",
        "INV.RESERVE popup h-3 TTL 3600000 REPLACE ITEMS sku-1 1 sku-1 2",
    ];
    let mut first = calls.map(|call| client.get(call));
    // A number that was applied before is a duplicate.
    first[3] = Reply::Status(b"DUPLICATE".to_vec());
    fill_up(&mut client);
    assert_eq!(calls.map(|call| client.get(call)), first);
    // Other content with the same id is still a mistake.
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.refused("NOSTORE", "ORDER.PLACE nowhere o-1 c-1 ITEMS sku-1 1");
}

fn transactions_and_scripts_are_no_way_around(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 100);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    // Redis 7.0 queues no command once memory is full.
    client.ok("MULTI");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    fill_up(&mut server.client());
    let replies = client.get("EXEC");
    assert_eq!(replies.array()[0].code(), "OOM", "{replies:?}");
    assert!(!replies.array()[1].is_error(), "{replies:?}");
    let script = |words: &str| {
        let words: Vec<String> = words.split(' ').map(|word| format!("'{word}'")).collect();
        cmd!["EVAL", format!("return redis.call({})", words.join(",")), 1, "popup"]
    };
    assert_eq!(client.call(script("INV.RESERVE popup h-1 ITEMS sku-1 1")).code(), "OOM");
    assert_eq!(client.int(script("ORDER.RETURN popup o-1 ITEMS sku-1 1")), 1);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (100, 0, 100));
}

/// If a policy lets the server evict other keys, no command is refused while such keys exist.
fn what_is_evicted_for_makes_room(binary: &ServerBinary) {
    const VALUES: usize = 400;
    let server = Server::with(binary, &["maxmemory-policy volatile-lru"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 100_000);
    client.text("ORDER.PLACE popup first c-1 ITEMS sku-1 1");
    let used: u64 = client.info("memory", "used_memory").parse().expect("bytes");
    let value = vec![b'v'; 20_000];
    for number in 0..VALUES {
        client.ok(cmd!["SET", format!("cache-{number}"), &value, "EX", 3600]);
    }
    // Half of the cache fits: every order evicts more of it.
    client.ok(format!("CONFIG SET maxmemory {}", used + 4_000_000));
    place_many(&mut client, "popup", 0..5_000);
    let left = client.int("DBSIZE");
    assert!(left < VALUES as i64, "{left} keys are left");
    assert_eq!(client.int("XLEN {popup}:orders"), 5_001);
    // Nothing is left to evict.
    client.ok("CONFIG SET maxmemory 1");
    wait_until(DEADLINE, "the cache is gone", || {
        client.call("SET more memory");
        client.get("KEYS cache-*").array().is_empty()
    });
    client.refused("OOM", "ORDER.PLACE popup last c-1 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

/// A smaller limit on a replica, or while a file is loaded, refuses nothing that the primary did.
fn a_replica_and_a_log_take_what_the_primary_took(binary: &ServerBinary) {
    let aof = ["appendonly yes", "appendfsync always"];
    let mut primary = Server::with(binary, &aof);
    let replica = Server::with(
        binary,
        &[&format!("replicaof 127.0.0.1 {}", primary.port()), "replica-ignore-maxmemory no", "holdfast.sample-ms 0"],
    );
    replica.wait_for_link();
    replica.client().ok("CONFIG SET maxmemory 1");
    let mut client = primary.client();
    open_full_shop(&mut client);
    for number in 0..200 {
        client.int(format!("INV.SET popup more-{number} 5"));
        client.text(format!("ORDER.PLACE popup p-{number} c-1 ITEMS more-{number} 1"));
        client.int(format!("LOCK.ACQUIRE doc-{number} ann 3600000"));
    }
    let mut other = replica.client();
    wait_until(DEADLINE, "the replica has all of it", || other.digest() == client.digest());
    let digest = client.digest();
    primary.kill9();
    let config = primary.dir().join("server.conf");
    let lines = std::fs::read_to_string(&config).expect("its configuration");
    std::fs::write(&config, format!("{lines}maxmemory 1\n")).expect("configuration written");
    primary.start_again();
    let mut client = primary.client();
    assert_eq!(client.digest(), digest);
    assert_eq!(client.call("ORDER.PLACE popup after c-1 ITEMS sku-1 1").code(), "OOM");
}

fn deadlines_and_waiting_callers_go_on(binary: &ServerBinary) {
    let server = Server::with(binary, &["holdfast.sample-ms 20"]);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 100");
    client.ok("STORE.SET popup metrics 1000 attempts 1");
    let [mut worker, mut waiter, mut ann] = [server.client(), server.client(), server.client()];
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-3 c-1 ITEMS sku-1 1");
    client.int("INV.RESERVE popup h-1 TTL 500 ITEMS sku-1 7");
    claim(&mut client, "ORDER.CLAIM popup w-0 LEASE 500");
    claim(&mut client, "ORDER.CLAIM popup w-0 COUNT 2 LEASE 3600000");
    let token = client.int("LOCK.ACQUIRE doc ann 3600000");
    waiter.send("LOCK.ACQUIRE doc bob 3600000 WAIT 0").expect("sent");
    ann.send("ORDER.CLAIM popup w-9 BLOCK 0").expect("sent");
    wait_until(DEADLINE, "two wait", || client.info("clients", "blocked_clients") == "2");
    fill_up(&mut client);
    let sampled = |client: &mut Client, field: &str, value: &str| {
        entries(client, "{popup}:metrics").last().is_some_and(|entry| entry.text(field) == value)
    };
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").2 >= 97);
    wait_until(DEADLINE, "the lease ends, for the last time", || order_field(&mut client, "o-1", "state") == "dead");
    wait_until(DEADLINE, "samples go on", || sampled(&mut client, "expired", "1") && sampled(&mut client, "dead", "1"));
    assert_eq!(client.int("XLEN {popup}:dead"), 1);
    // An order that fails is given to the waiting worker, and a released lock to the waiting owner.
    client.get("ORDER.FAIL popup o-2 AFTER 0");
    client.int("ORDER.REDRIVE popup o-2");
    assert_eq!(ann.receive().expect("an order").array().len(), 1);
    client.int(format!("LOCK.RELEASE doc {token}"));
    assert!(waiter.receive().expect("the lock").int() > token);
    // A new caller waits for what exists, and gets it: only new things are refused.
    worker.send("LOCK.ACQUIRE doc eve 3600000 WAIT 0").expect("sent");
    wait_until(DEADLINE, "eve waits", || client.get("LOCK.GET doc").field("waiting").int() == 1);
    let token = client.get("LOCK.GET doc").field("token").int();
    client.int(format!("LOCK.RELEASE doc {token}"));
    assert!(worker.receive().expect("the lock").int() > token);
    assert_books_balance(&mut client, "popup");
}

/// A redrive, a repair and an audit of many slices, started with memory and continued without.
fn long_work_goes_on_below_what_is_used(binary: &ServerBinary) {
    const DEAD: usize = 20_000;
    for policy in ["noeviction", "volatile-lru"] {
        let server = Server::with(binary, &[&format!("maxmemory-policy {policy}")]);
        let mut client = server.client();
        open_store(&mut client, "popup", 10_000_000);
        place_many(&mut client, "popup", 0..DEAD);
        let all: Vec<_> = (0..DEAD).map(|n| cmd!["ORDER.FAIL", "popup", format!("order-{n:010}"), "FATAL"]).collect();
        for part in all.chunks(1000) {
            assert!(!client.pipeline(part).iter().any(Reply::is_error));
        }
        client.int("UNLINK {popup}:dead");
        let mut worker = server.client();
        for (command, wanted) in
            [("STORE.REPAIR popup", DEAD as i64), ("ORDER.REDRIVE popup ALL", DEAD as i64), ("STORE.REPAIR popup", 0)]
        {
            client.ok("CONFIG SET maxmemory 0");
            worker.send(command).expect("sent");
            wait_until(DEADLINE, "it is on its way", || {
                client.info("clients", "blocked_clients") == "1" || wanted == 0
            });
            fill_up(&mut client);
            assert_eq!(worker.receive().expect("a reply"), Reply::Int(wanted), "{policy}: {command}");
            // The same again, started without memory.
            assert_eq!(worker.call(command), Reply::Int(0), "{policy}: {command}");
        }
        assert_eq!(client.int("XLEN {popup}:orders"), DEAD as i64);
        assert_books_balance(&mut client, "popup");
    }
}

/// Buyers whose orders are refused for lack of memory try again; workers never stop. In the end each order that was
/// placed was worked on once, and every unit is sold once.
fn a_sale_that_runs_into_the_limit_and_out_again(binary: &ServerBinary) {
    const UNITS: usize = 6_000;
    const BUYERS: usize = 3;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", UNITS as i64);
    client.ok("STORE.SET popup attempts 100 backoff-ms 1 backoff-cap-ms 5 history 100");
    let used: u64 = client.info("memory", "used_memory").parse().expect("bytes");
    client.ok(format!("CONFIG SET maxmemory {}", used + 2_500_000));
    let (refused, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let done: Mutex<Vec<String>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..2 {
            let (mut client, over, done) = (server.client(), &over, &done);
            scope.spawn(move || work(&mut client, worker, over, done));
        }
        let buyers: Vec<_> = (0..BUYERS)
            .map(|buyer| {
                let (mut client, refused) = (server.client(), &refused);
                scope.spawn(move || (0..UNITS / BUYERS).for_each(|n| buy(&mut client, buyer, n, refused)))
            })
            .collect();
        let _guard = SetOnDrop(&over);
        wait_until(DEADLINE, "the limit is reached", || refused.load(Ordering::SeqCst));
        // The work is finished at the limit: all orders that were placed are completed.
        wait_until(DEADLINE, "the workers go on", || {
            let info = client.get("STORE.INFO popup");
            info.field("completed").int() > 0 && info.field("queued").int() + info.field("in-work").int() == 0
        });
        client.ok("CONFIG SET maxmemory 0");
        buyers.into_iter().for_each(|buyer| buyer.join().expect("a buyer"));
        wait_until(DEADLINE, "all are completed", || done.lock().expect("a lock").len() >= UNITS);
    });
    let done = done.into_inner().expect("a lock");
    assert_eq!((done.len(), done.iter().collect::<BTreeSet<_>>().len()), (UNITS, UNITS), "each order once");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (0, 0, 0));
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup late c-1 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

/// Sets a flag when it is dropped, also when the test fails, so that threads that read it end.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Places one order, and tries again when it is refused.
fn buy(client: &mut Client, buyer: usize, number: usize, refused: &AtomicBool) {
    let data = format!("\"{}\"", "x".repeat(600));
    let place = cmd!["ORDER.PLACE", "popup", format!("o-{buyer}-{number}"), "c-1", "DATA", data, "ITEMS", "sku-1", 1];
    wait_until(DEADLINE * 3, "an order is placed", || {
        let reply = client.call(&place);
        if reply.is_error() {
            assert_eq!(reply.code(), "OOM", "{reply:?}");
            refused.store(true, Ordering::SeqCst);
        }
        !reply.is_error()
    });
}

/// Claims and completes until it is stopped; every seventh attempt fails first.
fn work(client: &mut Client, worker: usize, over: &AtomicBool, done: &Mutex<Vec<String>>) {
    while !over.load(Ordering::SeqCst) {
        for claimed in claim(client, format!("ORDER.CLAIM popup w-{worker} COUNT 8 BLOCK 20")) {
            let (order, token) = (claimed.order, claimed.token);
            client.int(format!("ORDER.RENEW popup {order} TOKEN {token}"));
            client.int(format!("ORDER.ADVANCE popup {order} packed TOKEN {token}"));
            if order.ends_with('7') && claimed.attempt == 1 {
                client.get(format!("ORDER.FAIL popup {order} TOKEN {token} REASON boom"));
            } else {
                client.text(format!("ORDER.COMPLETE popup {order} TOKEN {token} RESULT 1"));
                done.lock().expect("a lock").push(order);
            }
        }
    }
}
