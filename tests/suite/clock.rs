//! A wall clock that is wrong, is set, or differs between servers: durations continue, and none is cut short.
//!
//! A server gets a wall clock that the test sets; the time since boot is the real one and continues.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, WallClock, assert_books_balance, claim_one, cmd, open_store,
    order_field, stock, tests, wait_until,
};
use std::time::{Duration, Instant};

tests![
    set_back_by_an_hour,
    set_back_and_forth,
    set_forward_for_a_moment,
    set_forward_and_left_there,
    a_command_under_a_clock_that_was_ahead,
    promoted_with_a_clock_behind,
    loaded_with_a_clock_behind,
    moved_to_a_server_with_a_clock_behind,
    the_time_of_a_store_never_steps_back,
];

const HOUR_MS: i64 = 3_600_000;

/// How long each duration of these tests is.
const WAIT_MS: u64 = 300;

/// The longest it may take, on a busy machine too: half of the delay that the contract allows, which is twice the
/// duration.
const LATEST_MS: u64 = WAIT_MS + 150;

fn server(binary: &ServerBinary, clock: &WallClock) -> (Server, Client) {
    let server = Server::with_clock(binary, &[], clock);
    let mut client = server.client();
    open_shop(&mut client);
    (server, client)
}

/// Ten units, two of them in orders that no worker has.
fn open_shop(client: &mut Client) {
    open_store(client, "popup", 10);
    for order in ["leased", "retried"] {
        client.text(format!("ORDER.PLACE popup {order} c ITEMS sku-1 1"));
    }
}

/// One of everything that has a deadline, started at once: each is due after [`WAIT_MS`].
struct Begun {
    at: Instant,
    claimer: Client,
    locker: Client,
}

/// Starts one of everything in the shop of [`open_shop`].
fn begin(server: &Server, client: &mut Client) -> Begun {
    let at = Instant::now();
    client.int(format!("INV.RESERVE popup hold TTL {WAIT_MS} ITEMS sku-1 4"));
    assert_eq!(claim_one(client, format!("ORDER.CLAIM popup w LEASE {WAIT_MS}")).order, "leased");
    client.get(format!("ORDER.FAIL popup retried AFTER {WAIT_MS}"));
    client.int(format!("LOCK.ACQUIRE lock one {WAIT_MS}"));
    open_store(client, "empty", 1);
    let [mut claimer, mut locker] = [(); 2].map(|()| server.client());
    claimer.send(format!("ORDER.CLAIM empty w BLOCK {WAIT_MS}")).expect("sent");
    locker.send(format!("LOCK.ACQUIRE lock two 3600000 WAIT {}", 3 * WAIT_MS)).expect("sent");
    Begun { at, claimer, locker }
}

impl Begun {
    /// Each ends at its time: not early, and not much later.
    #[track_caller]
    fn ends_in_time(mut self, client: &mut Client) {
        let mut after = [None; 3];
        wait_until(DEADLINE, "hold, lease and retry end", || {
            let ended = [
                stock(client, "popup", "sku-1").1 == 2,
                order_field(client, "leased", "state") == "queued",
                client.int("XLEN {popup}:retry") == 1,
            ];
            let now = self.at.elapsed();
            after.iter_mut().zip(ended).for_each(|(after, ended)| *after = after.or(ended.then_some(now)));
            after.iter().all(Option::is_some)
        });
        for (what, after) in ["hold", "lease", "retry"].into_iter().zip(after) {
            assert_in_time(what, after.expect("ended"));
        }
        assert_eq!(self.claimer.receive().expect("a reply"), Reply::Array(Vec::new()));
        assert!(self.locker.receive().expect("the lock").int() > 0, "the lock's lease did not end in time");
        assert_books_balance(client, "popup");
    }
}

#[track_caller]
fn assert_in_time(what: &str, after: Duration) {
    let early = Duration::from_millis(WAIT_MS - 5);
    let late = Duration::from_millis(LATEST_MS);
    assert!(after >= early && after <= late, "{what}: {WAIT_MS} ms took {after:?}");
}

fn set_back_by_an_hour(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(0);
    let (server, mut client) = server(binary, &clock);
    let begun = begin(&server, &mut client);
    clock.set(-HOUR_MS);
    begun.ends_in_time(&mut client);
    // And those that start after it.
    client.text("ORDER.COMPLETE popup retried");
    client.text("ORDER.PLACE popup next c ITEMS sku-1 1");
    client.int("LOCK.ACQUIRE other one 3600000");
    let at = Instant::now();
    client.int(format!("INV.RESERVE popup again TTL {WAIT_MS} ITEMS sku-1 1"));
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 2);
    assert_in_time("a hold after the step", at.elapsed());
}

fn set_back_and_forth(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(0);
    let (server, mut client) = server(binary, &clock);
    let begun = begin(&server, &mut client);
    for step in 0..20 {
        clock.set([-HOUR_MS, HOUR_MS, -1_000, 1_000, 0][step % 5]);
        client.int("INV.ADJUST popup sku-1 1");
    }
    begun.ends_in_time(&mut client);
}

fn set_forward_for_a_moment(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(0);
    let (server, mut client) = server(binary, &clock);
    let begun = begin(&server, &mut client);
    clock.set(100_000);
    begun.ends_in_time(&mut client);
    clock.set(0);
    client.text("ORDER.COMPLETE popup retried");
    client.text("ORDER.PLACE popup retried-2 c ITEMS sku-1 1");
    let at = Instant::now();
    client.int(format!("INV.RESERVE popup again TTL {WAIT_MS} ITEMS sku-1 1"));
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 2);
    assert_in_time("a hold after the step", at.elapsed());
}

/// A step that lasts is real: five seconds later the store's time is the wall clock's, even without a command.
fn set_forward_and_left_there(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(0);
    let (_server, mut client) = server(binary, &clock);
    client.int(format!("INV.RESERVE popup hold TTL {} ITEMS sku-1 4", HOUR_MS / 2));
    let at = Instant::now();
    clock.set(HOUR_MS);
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 2);
    assert!(at.elapsed() >= Duration::from_secs(5), "the step was believed after {:?}", at.elapsed());
}

/// The clock is an hour ahead for long enough to be believed, a command comes, and the clock is set back to the right
/// time.
fn a_command_under_a_clock_that_was_ahead(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(HOUR_MS);
    let (server, mut client) = server(binary, &clock);
    client.int("LOCK.ACQUIRE lock one 1");
    clock.set(0);
    wait_until(DEADLINE, "the lock is free", || client.get("LOCK.GET lock").field("owner") == Reply::Nil);
    begin(&server, &mut client).ends_in_time(&mut client);
}

fn promoted_with_a_clock_behind(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(-HOUR_MS);
    let primary = Server::start(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    client.int("LOCK.ACQUIRE lock one 3600000");
    client.int(format!("INV.RESERVE popup before TTL {WAIT_MS} ITEMS sku-1 1"));
    let at = Instant::now();
    let replicaof = format!("replicaof 127.0.0.1 {}", primary.port());
    let replica = Server::with_clock(binary, &[&replicaof], &clock);
    replica.wait_for_link();
    let mut promoted = replica.client();
    promoted.ok("REPLICAOF NO ONE");
    wait_until(DEADLINE, "what the primary began ends", || stock(&mut promoted, "popup", "sku-1").1 == 2);
    assert!(at.elapsed() >= Duration::from_millis(WAIT_MS - 5), "cut short: {:?}", at.elapsed());
    let token = promoted.get("LOCK.GET lock").field("token").int();
    assert_eq!(promoted.int(format!("LOCK.RELEASE lock {token}")), 1);
    begin(&replica, &mut promoted).ends_in_time(&mut promoted);
}

/// A restart on a machine whose clock is behind, from an RDB file and from an append-only file.
fn loaded_with_a_clock_behind(binary: &ServerBinary) {
    for config in [&["save 3600 1000000"][..], &["appendonly yes", "aof-use-rdb-preamble no"]] {
        let clock = WallClock::ahead_ms(0);
        let mut server = Server::with_clock(binary, config, &clock);
        let mut client = server.client();
        open_shop(&mut client);
        clock.set(-HOUR_MS);
        server.restart();
        let mut client = server.client();
        begin(&server, &mut client).ends_in_time(&mut client);
    }
}

/// DUMP and RESTORE, as MIGRATE does.
fn moved_to_a_server_with_a_clock_behind(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(-HOUR_MS);
    let source = Server::start(binary);
    let mut client = source.client();
    open_shop(&mut client);
    let dump = client.get("DUMP popup").bytes().to_vec();
    let target = Server::with_clock(binary, &[], &clock);
    let mut client = target.client();
    client.ok(cmd!["RESTORE", "popup", 0, dump]);
    client.int("STORE.REPAIR popup");
    begin(&target, &mut client).ends_in_time(&mut client);
}

fn the_time_of_a_store_never_steps_back(binary: &ServerBinary) {
    let clock = WallClock::ahead_ms(0);
    let (_server, mut client) = server(binary, &clock);
    let mut last = 0;
    for round in 0..200 {
        clock.set([0, 5_000, -5_000, HOUR_MS, -HOUR_MS][round % 5]);
        let expires = client.int(format!("INV.RESERVE popup h-{round} TTL 1000 ITEMS sku-1 1"));
        client.int(format!("INV.RELEASE popup h-{round}"));
        assert!(expires >= last, "{expires} after {last}, round {round}");
        last = expires;
    }
    assert_books_balance(&mut client, "popup");
}
