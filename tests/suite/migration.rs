//! Atomic slot migration: CLUSTER MIGRATESLOTS (Valkey 9), CLUSTER MIGRATION (Redis 8.4). On other servers of the
//! matrix these tests are skipped.

use crate::cluster::{Pair, StopOnPanic};
use crate::common::{
    Claimed, Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, claim_one, cmd, entries,
    open_store, place_many, server_now_ms, stock, tests, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

tests![
    a_store_that_is_not_owned_yet_does_nothing,
    the_new_owner_follows_what_the_old_one_does,
    who_waits_gets_one_answer,
    two_slots_with_deadlines_in_the_same_tick,
    a_migration_that_is_given_up_leaves_nothing,
    the_log_and_the_replica_of_the_new_owner_have_it_too,
    to_and_fro_under_load,
];

const STREAMS: [&str; 5] = ["{popup}:orders", "{popup}:retry", "{popup}:dead", "{popup}:complete", "{popup}:journal"];

/// The server's way of moving slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Valkey,
    Redis,
}

/// Two nodes that can move slots; the first owns them all, and no samples are taken.
struct Movers {
    pair: Pair,
    way: Way,
    slot: i64,
}

impl Movers {
    /// `None`, with a line of output, if the server cannot.
    fn start(binary: &ServerBinary) -> Option<Movers> {
        let server = Server::start(binary);
        let has = |command: &str| server.client().get(format!("COMMAND INFO {command}")).array()[0] != Reply::Nil;
        let way = match (has("cluster|migrateslots"), has("cluster|migration")) {
            (true, _) => Way::Valkey,
            (false, true) => Way::Redis,
            (false, false) => {
                eprintln!("skipped: {} has no atomic slot migration", binary.label());
                return None;
            }
        };
        let pair = Pair::start(binary);
        for node in 0..2 {
            pair.client(node).ok("CONFIG SET holdfast.sample-ms 0");
        }
        let slot = pair.client(0).int("CLUSTER KEYSLOT popup");
        Some(Movers { pair, way, slot })
    }

    fn client(&self, node: usize) -> Client {
        self.pair.client(node)
    }

    /// Starts to move the slot from one node to the other.
    fn begin(&self, from: usize) {
        let slot = self.slot;
        match self.way {
            Way::Valkey => {
                let to = &self.pair.ids[1 - from];
                self.client(from).ok(format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {to}"));
            }
            Way::Redis => drop(self.client(1 - from).text(format!("CLUSTER MIGRATION IMPORT {slot} {slot}"))),
        }
    }

    /// While it is held open, a migration continues up to the handover.
    fn hold_open(&self, from: usize, open: bool) {
        let mut client = self.client(from);
        match (self.way, open) {
            (Way::Valkey, _) => client.ok(format!("DEBUG SLOTMIGRATION PREVENT-PAUSE {}", u8::from(open))),
            (Way::Redis, true) => client.ok("DEBUG ASM-FAILPOINT migrate-main-channel handoff-prep"),
            (Way::Redis, false) => client.ok(cmd!["DEBUG", "ASM-FAILPOINT", "", ""]),
        }
    }

    /// Waits until all keys have been copied and are the same on both nodes.
    #[track_caller]
    fn wait_for_same(&self) {
        let (mut one, mut other) = (self.client(0), self.client(1));
        let mut keys = STREAMS.map(str::to_owned).to_vec();
        keys.extend(["popup".to_owned(), "{popup}:metrics".to_owned(), "{popup}doc".to_owned()]);
        wait_until(DEADLINE, "the nodes have the same", || {
            one.int("EXISTS popup") == 1 && keys.iter().all(|key| one.digest_value(key) == other.digest_value(key))
        });
    }

    /// Waits until the slot has moved from one node to the other.
    #[track_caller]
    fn wait_for_move(&self, from: usize) {
        let (mut old, mut new) = (self.client(from), self.client(1 - from));
        wait_until(DEADLINE, "the slot has its new owner", || {
            old.call("EXISTS popup").is_error() && !new.call("EXISTS popup").is_error() && old.int("DBSIZE") == 0
        });
    }

    fn give_up(&self, from: usize) {
        match self.way {
            Way::Valkey => self.client(from).ok("CLUSTER CANCELSLOTMIGRATIONS"),
            Way::Redis => drop(self.client(1 - from).get("CLUSTER MIGRATION CANCEL ALL")),
        }
    }
}

/// A store with orders, holds and a lease that are due in this many milliseconds, and a lock.
fn open_shop(client: &mut Client, due_ms: u32) {
    open_store(client, "popup", 1000);
    client.ok("STORE.SET popup journal 10000 attempts 3 backoff-ms 10 backoff-cap-ms 10");
    for order in 0..20 {
        client.text(format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 1"));
    }
    for hold in 0..30 {
        client.int(format!("INV.RESERVE popup h-{hold} TTL {due_ms} ITEMS sku-1 1"));
    }
    claim_one(client, format!("ORDER.CLAIM popup w-1 LEASE {due_ms}"));
    client.get(format!("ORDER.FAIL popup o-1 AFTER {due_ms}"));
    client.int(format!("LOCK.ACQUIRE {{popup}}doc ann {due_ms}"));
}

/// The old owner is stopped, and deadlines pass on the new one: they wait until the slot is its own, and are handled
/// then.
fn a_store_that_is_not_owned_yet_does_nothing(binary: &ServerBinary) {
    const DUE_MS: u32 = 1500;
    let Some(movers) = Movers::start(binary) else { return };
    let mut old = movers.client(0);
    open_shop(&mut old, DUE_MS);
    old.ok("STORE.SET popup metrics 1000");
    let due = server_now_ms(&mut old) + i64::from(DUE_MS);
    movers.hold_open(0, true);
    movers.begin(0);
    movers.wait_for_same();
    let mut new = movers.client(1);
    assert!(server_now_ms(&mut new) < due, "this machine is too slow for the test");
    let all = |client: &mut Client| {
        let keys = STREAMS.into_iter().chain(["popup", "{popup}:metrics", "{popup}doc"]);
        keys.map(|key| client.digest_value(key)).collect::<Vec<_>>()
    };
    let before = all(&mut new);
    new.ok("CONFIG SET holdfast.sample-ms 10");
    let pid = Pid::from_raw(movers.pair.nodes[0].pid());
    kill(pid, Signal::SIGSTOP).expect("stopped");
    wait_until(DEADLINE, "all is due", || server_now_ms(&mut new) > due + 200);
    let after = all(&mut new);
    kill(pid, Signal::SIGCONT).expect("goes on");
    assert_eq!(after, before, "nothing is swept, sampled or served before the slot is owned");
    movers.hold_open(0, false);
    movers.wait_for_move(0);
    wait_until(DEADLINE, "the holds expire", || stock(&mut new, "popup", "sku-1").1 == 20);
    wait_until(DEADLINE, "the lock is free", || new.get("LOCK.GET {popup}doc").field("owner") == Reply::Nil);
    wait_until(DEADLINE, "samples are taken", || new.int("XLEN {popup}:metrics") > 0);
    let state = |client: &mut Client, order: &str| client.get(format!("ORDER.GET popup {order}")).field("state").text();
    wait_until(DEADLINE, "the retry is due", || new.int("XLEN {popup}:retry") >= 1);
    assert_eq!(state(&mut new, "o-1"), "retrying");
    movers.pair.assert_nothing_doubled();
    assert_eq!(new.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut new, "popup");
}

/// What the old owner does by itself during the move (deadlines, samples, orders and locks for waiting callers) is
/// repeated on the new one, byte for byte.
fn the_new_owner_follows_what_the_old_one_does(binary: &ServerBinary) {
    let Some(movers) = Movers::start(binary) else { return };
    let (mut old, mut new) = (movers.client(0), movers.client(1));
    open_shop(&mut old, 500);
    old.ok("STORE.SET popup metrics 1000");
    old.int("LOCK.ACQUIRE {popup}other ann 400");
    let mut bob = movers.client(0);
    bob.send("LOCK.ACQUIRE {popup}doc bob 600000 WAIT 0").expect("sent");
    movers.hold_open(0, true);
    movers.begin(0);
    wait_until(DEADLINE, "the keys come", || new.digest_value("popup") == old.digest_value("popup"));
    for client in [&mut old, &mut new] {
        client.ok("CONFIG SET holdfast.sample-ms 20");
    }
    let token = bob.receive().expect("the lock").int();
    wait_until(DEADLINE, "the holds expire", || stock(&mut old, "popup", "sku-1").1 == 20);
    old.text("ORDER.PLACE popup another c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "there are samples", || old.int("XLEN {popup}:metrics") >= 1);
    // A worker waits, and gets the order that is placed.
    let mut worker = movers.client(0);
    old.get("ORDER.CLAIM popup w-all COUNT 100 LEASE 600000");
    worker.send("ORDER.CLAIM popup w-2 BLOCK 0 LEASE 600000").expect("sent");
    wait_until(DEADLINE, "a worker waits", || old.info("clients", "blocked_clients") == "1");
    old.text("ORDER.PLACE popup late c-1 ITEMS sku-1 1");
    let claimed = Claimed::all(&worker.receive().expect("an order"));
    assert_eq!(claimed.len(), 1);
    // A stream that another client deletes is made again, on both nodes.
    old.int("DEL {popup}:journal");
    old.text("ORDER.PLACE popup last c-1 ITEMS sku-1 1");
    old.ok("CONFIG SET holdfast.sample-ms 0");
    movers.wait_for_same();
    assert_eq!(entries(&mut old, "{popup}:journal").len(), 1);
    assert!(!entries(&mut old, "{popup}:metrics").is_empty());
    movers.hold_open(0, false);
    movers.wait_for_move(0);
    // Owners keep what they had, and tokens continue to grow.
    new.text(format!("ORDER.COMPLETE popup late TOKEN {}", claimed[0].token));
    assert_eq!(new.int(format!("LOCK.RELEASE {{popup}}doc {token}")), 1);
    assert!(new.int("LOCK.ACQUIRE {popup}doc eve 1000") > token);
    new.text("ORDER.PLACE popup later c-1 ITEMS sku-1 1");
    let next = Claimed::all(&new.get("ORDER.CLAIM popup w-3 COUNT 100"));
    assert!(next.iter().all(|order| order.token > claimed[0].token), "{next:?} after {claimed:?}");
    assert_eq!(new.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut new, "popup");
}

/// Callers that wait when the slot moves get one empty reply and learn the new node; they wait there and are served.
fn who_waits_gets_one_answer(binary: &ServerBinary) {
    const WAITERS: usize = 10;
    const MOMENT: Duration = Duration::from_millis(50);
    let Some(movers) = Movers::start(binary) else { return };
    for from in [0, 1] {
        let mut old = movers.client(from);
        old.int("INV.SET popup sku-1 1000");
        let token = old.int(format!("LOCK.ACQUIRE {{popup}}doc ann-{from} 600000"));
        let wait = |node: usize| -> Vec<Client> {
            let ask = |at: usize| match at % 2 {
                0 => format!("ORDER.CLAIM popup w-{at} BLOCK 0"),
                _ => format!("LOCK.ACQUIRE {{popup}}doc bob-{at} 600000 WAIT 0"),
            };
            let mut clients: Vec<Client> = (0..WAITERS).map(|_| movers.client(node)).collect();
            clients.iter_mut().enumerate().for_each(|(at, client)| client.send(ask(at)).expect("sent"));
            let mut client = movers.client(node);
            wait_until(DEADLINE, "all wait", || client.info("clients", "blocked_clients") == WAITERS.to_string());
            clients
        };
        let mut waiters = wait(from);
        movers.begin(from);
        movers.wait_for_move(from);
        for (at, waiter) in waiters.iter_mut().enumerate() {
            let reply = waiter.receive().expect("an answer");
            let nothing = if at % 2 == 0 { Reply::Array(Vec::new()) } else { Reply::Nil };
            assert_eq!(reply, nothing, "waiter {at}");
            assert!(waiter.is_silent(MOMENT), "waiter {at} gets one answer");
            assert_eq!(waiter.call("ORDER.CLAIM popup w-9 BLOCK 0").code(), "MOVED");
        }
        let mut waiters = wait(1 - from);
        let mut new = movers.client(1 - from);
        for order in 0..WAITERS {
            new.text(format!("ORDER.PLACE popup o-{from}-{order} c-1 ITEMS sku-1 1"));
        }
        new.int(format!("LOCK.RELEASE {{popup}}doc {token}"));
        for waiter in waiters.iter_mut().step_by(2) {
            assert_eq!(waiter.receive().expect("an order").array().len(), 1);
        }
        let mut last = waiters[1].receive().expect("the lock").int();
        assert!(last > token);
        for waiter in waiters.iter_mut().skip(3).step_by(2) {
            new.int(format!("LOCK.RELEASE {{popup}}doc {last}"));
            let next = waiter.receive().expect("the lock").int();
            assert!(next > last);
            last = next;
        }
        new.int(format!("LOCK.RELEASE {{popup}}doc {last}"));
        let orders = new.get("ORDER.CLAIM popup w-rest COUNT 100");
        assert!(orders.array().len() == WAITERS / 2, "each waiter got one order");
    }
}

/// A store of another slot, which does not move, has its deadlines in the same ticks.
fn two_slots_with_deadlines_in_the_same_tick(binary: &ServerBinary) {
    let Some(movers) = Movers::start(binary) else { return };
    let mut old = movers.client(0);
    for store in ["popup", "other"] {
        open_store(&mut old, store, 1000);
        old.ok(format!("STORE.SET {store} journal 10000"));
        for hold in 0..200 {
            old.int(format!("INV.RESERVE {store} h-{hold} TTL {} ITEMS sku-1 1", 300 + hold * 5));
        }
    }
    movers.hold_open(0, true);
    movers.begin(0);
    wait_until(DEADLINE, "all holds expire", || stock(&mut old, "popup", "sku-1").1 == 0);
    movers.wait_for_same();
    movers.hold_open(0, false);
    let mut new = movers.client(1);
    wait_until(DEADLINE, "the slot has its new owner", || !new.call("EXISTS popup").is_error());
    for (client, store) in [(&mut new, "popup"), (&mut old, "other")] {
        wait_until(DEADLINE, "all holds expire", || stock(client, store, "sku-1") == (1000, 0, 1000));
        assert_books_balance(client, store);
    }
}

/// Cancelled early, and cancelled late: the importing node drops the store and its deadlines, and can start again.
fn a_migration_that_is_given_up_leaves_nothing(binary: &ServerBinary) {
    const ORDERS: usize = 30_000;
    let Some(movers) = Movers::start(binary) else { return };
    let (mut old, mut new) = (movers.client(0), movers.client(1));
    open_store(&mut old, "popup", 1_000_000);
    place_many(&mut old, "popup", 0..ORDERS);
    old.int("INV.RESERVE popup h-1 TTL 3600000 ITEMS sku-1 1");
    old.int("LOCK.ACQUIRE {popup}doc ann 3600000");
    for late in [false, false, true] {
        movers.hold_open(0, true);
        movers.begin(0);
        if late {
            movers.wait_for_same();
        }
        movers.give_up(0);
        wait_until(DEADLINE, "the keys are dropped", || {
            new.digest_value("popup").trim_matches('0').is_empty()
                && new.info("holdfast", "holdfast_stores") == "0"
                && new.info("holdfast", "holdfast_stores_with_deadlines") == "0"
        });
        movers.hold_open(0, false);
        old.text(format!("ORDER.PLACE popup between-{late} c-1 ITEMS sku-1 1"));
        assert_books_balance(&mut old, "popup");
    }
    let digest = old.digest_value("popup");
    // Valkey takes a moment to end a cancelled migration.
    let mut begun = movers.client(0);
    wait_until(DEADLINE, "nothing is being moved", || match movers.way {
        Way::Redis => true,
        Way::Valkey => {
            let jobs = begun.get("CLUSTER GETSLOTMIGRATIONS");
            jobs.array().iter().all(|job| ["cancelled", "failed"].contains(&job.field("state").text().as_str()))
        }
    });
    movers.begin(0);
    movers.wait_for_move(0);
    assert_eq!(new.digest_value("popup"), digest);
    assert_eq!(new.int("XLEN {popup}:orders"), ORDERS as i64 + 2);
    assert_eq!(new.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut new, "popup");
}

/// A node that imports a slot writes what it receives to its replica and to its append-only file.
fn the_log_and_the_replica_of_the_new_owner_have_it_too(binary: &ServerBinary) {
    let Some(mut movers) = Movers::start(binary) else { return };
    let replica = Server::cluster_node(binary);
    let (mut old, mut new, mut copy) = (movers.client(0), movers.client(1), replica.client());
    copy.ok("CONFIG SET holdfast.sample-ms 0");
    new.ok("CONFIG SET appendfsync always");
    new.ok("CONFIG SET appendonly yes");
    new.ok("CONFIG REWRITE");
    new.ok(format!("CLUSTER MEET 127.0.0.1 {} {}", replica.port(), replica.bus_port()));
    let id = &movers.pair.ids[1];
    wait_until(DEADLINE, "the nodes know each other", || !copy.call(format!("CLUSTER REPLICATE {id}")).is_error());
    replica.wait_for_link();
    open_shop(&mut old, 400);
    movers.hold_open(0, true);
    movers.begin(0);
    movers.wait_for_same();
    old.text("ORDER.PLACE popup during c-1 ITEMS sku-1 1");
    old.text("ORDER.COMPLETE popup during");
    wait_until(DEADLINE, "the holds expire", || stock(&mut old, "popup", "sku-1").1 == 20);
    movers.wait_for_same();
    movers.hold_open(0, false);
    movers.wait_for_move(0);
    new.text("ORDER.PLACE popup after c-1 ITEMS sku-1 1");
    // Everything due is handled, so that nothing changes any more.
    wait_until(DEADLINE, "the retry is there", || new.int("XLEN {popup}:retry") == 1);
    wait_until(DEADLINE, "the lock is free", || new.get("LOCK.GET {popup}doc").field("owner") == Reply::Nil);
    let digest = new.digest();
    wait_until(DEADLINE, "the replica has the same", || copy.text("DEBUG DIGEST") == digest);
    movers.pair.nodes[1].kill9();
    movers.pair.nodes[1].start_again();
    let mut again = movers.client(1);
    wait_until(DEADLINE, "it has read its log", || again.info("persistence", "loading") == "0");
    assert_eq!(again.text("DEBUG DIGEST"), digest);
}

/// A client of both nodes that follows redirections.
struct Roamer<'a> {
    movers: &'a Movers,
    client: Client,
    at: usize,
}

impl<'a> Roamer<'a> {
    fn new(movers: &'a Movers) -> Self {
        Roamer { movers, client: movers.client(0), at: 0 }
    }

    /// A reply that is not a redirection.
    #[track_caller]
    fn call(&mut self, command: impl IntoCommand) -> Reply {
        let command = command.into_command();
        let mut last = Reply::Nil;
        let mut found = false;
        wait_until(DEADLINE * 3, "a node answers", || {
            last = self.client.call(command.as_slice());
            let elsewhere = last.is_error() && ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"].contains(&&*last.code());
            if elsewhere {
                self.at = 1 - self.at;
                self.client = self.movers.client(self.at);
            }
            found = !elsewhere;
            found
        });
        last
    }
}

/// What traders did, as far as it was acknowledged.
#[derive(Default)]
struct Ledger {
    placed: BTreeSet<String>,
    completed: Vec<String>,
    tokens: Vec<i64>,
}

/// Places orders, some from holds, and lets other holds expire, until it is stopped.
fn buy(movers: &Movers, buyer: usize, stop: &AtomicBool, ledger: &Mutex<Ledger>) {
    let mut shop = Roamer::new(movers);
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let id = format!("o-{buyer}-{number}");
        let reply = match number % 4 {
            0 => {
                let reply = shop.call(format!("INV.RESERVE popup h-{id} TTL 60000 ITEMS sku-1 1"));
                assert!(!reply.is_error(), "{reply:?}");
                shop.call(format!("ORDER.PLACE popup {id} c-{buyer} HOLD h-{id}"))
            }
            1 => {
                let reply = shop.call(format!("INV.RESERVE popup h-{id} TTL 40 ITEMS sku-1 2"));
                assert!(!reply.is_error(), "{reply:?}");
                shop.call(format!("ORDER.PLACE popup {id} c-{buyer} ITEMS sku-1 1"))
            }
            _ => shop.call(format!("ORDER.PLACE popup {id} c-{buyer} GROUP g-{} ITEMS sku-1 1", number % 7)),
        };
        assert!(!reply.is_error(), "{id}: {reply:?}");
        ledger.lock().expect("a lock").placed.insert(id);
    }
}

/// Claims, waiting for orders, and completes; some attempts fail, and some leases expire.
fn work(movers: &Movers, worker: usize, over: &AtomicBool, ledger: &Mutex<Ledger>) {
    let mut shop = Roamer::new(movers);
    let mut number = 0;
    while !over.load(Ordering::SeqCst) {
        number += 1;
        // Every ninth time it takes some orders and stops.
        let goes = number % 9 == 0;
        let lease_ms = if goes { 30 } else { 5_000 };
        let reply = shop.call(format!("ORDER.CLAIM popup w-{worker} COUNT 4 LEASE {lease_ms} BLOCK 200"));
        let claimed = Claimed::all(&reply);
        ledger.lock().expect("a lock").tokens.extend(claimed.iter().map(|order| order.token));
        for Claimed { order, token, attempt, .. } in claimed.into_iter().filter(|_| !goes) {
            if attempt == 1 && order.ends_with('5') {
                shop.call(format!("ORDER.FAIL popup {order} TOKEN {token} REASON boom AFTER 10"));
                continue;
            }
            let reply = shop.call(format!("ORDER.COMPLETE popup {order} TOKEN {token}"));
            match reply.is_error() {
                true => assert_eq!(reply.code(), "FENCED", "{order}: {reply:?}"),
                false => ledger.lock().expect("a lock").completed.push(order),
            }
        }
    }
}

fn to_and_fro_under_load(binary: &ServerBinary) {
    const MOVES: usize = 6;
    const UNITS: i64 = 1_000_000;
    let Some(movers) = Movers::start(binary) else { return };
    let mut client = movers.client(0);
    open_store(&mut client, "popup", UNITS);
    client.ok("STORE.SET popup attempts 1000 journal 100 metrics 100");
    (0..2).for_each(|node| movers.client(node).ok("CONFIG SET holdfast.sample-ms 20"));
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let ledger = Mutex::new(Ledger::default());
    thread::scope(|scope| {
        let (_stop, _over) = (StopOnPanic(&stop), StopOnPanic(&over));
        let (movers, stop, over, ledger) = (&movers, &stop, &over, &ledger);
        let buyers: Vec<_> = (0..2).map(|buyer| scope.spawn(move || buy(movers, buyer, stop, ledger))).collect();
        (0..3).for_each(|worker| drop(scope.spawn(move || work(movers, worker, over, ledger))));
        let count = || {
            let ledger = ledger.lock().expect("a lock");
            (ledger.placed.len(), ledger.completed.len())
        };
        for round in 0..MOVES {
            let (placed, completed) = count();
            wait_until(DEADLINE, "there is traffic", || {
                let now = count();
                now.0 > placed + 50 && now.1 > completed + 20
            });
            movers.begin(round % 2);
            movers.wait_for_move(round % 2);
            movers.pair.assert_nothing_doubled();
        }
        stop.store(true, Ordering::SeqCst);
        buyers.into_iter().for_each(|buyer| buyer.join().expect("a buyer"));
        wait_until(DEADLINE * 2, "all orders are completed", || count().0 <= count().1);
        over.store(true, Ordering::SeqCst);
    });
    let ledger = ledger.into_inner().expect("a lock");
    let completed: BTreeSet<String> = ledger.completed.iter().cloned().collect();
    assert_eq!(completed, ledger.placed, "each order that was placed is completed");
    assert_eq!(completed.len(), ledger.completed.len(), "once");
    let tokens: BTreeSet<i64> = ledger.tokens.iter().copied().collect();
    assert_eq!(tokens.len(), ledger.tokens.len(), "no token was given twice");
    let mut client = movers.client(MOVES % 2);
    let sold = completed.len() as i64;
    wait_until(DEADLINE, "the last holds expire", || {
        stock(&mut client, "popup", "sku-1") == (UNITS - sold, 0, UNITS - sold)
    });
    for (stream, length) in [("orders", 0), ("retry", 0), ("dead", 0), ("complete", sold)] {
        assert_eq!(client.int(format!("XLEN {{popup}}:{stream}")), length, "{stream}");
    }
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_books_balance(&mut client, "popup");
}
