//! Replicas: the same state to the byte of DEBUG DIGEST, only the primary acts on deadlines, no forged times.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, claim_one, cmd, open_store,
    read_commands, server_now_ms, shop_of, stock, tests, wait_until,
};
use nix::sys::signal::{Signal, kill};

tests![
    replica_attached_before_has_the_same_digest,
    replica_attached_during_a_load_has_the_same_digest,
    replica_of_a_replica_has_the_same_digest,
    a_replica_refuses_writes_and_answers_reads,
    expiry_is_replicated,
    a_replica_does_not_act_on_deadlines,
    promotion_arms_the_deadlines,
    scripts_and_transactions_replicate,
    idempotency_survives_a_failover,
    a_promoted_replica_goes_on_with_leases_and_backoffs,
    tokens_grow_over_a_failover_that_lost_writes,
    a_failover_under_traffic_loses_nothing,
    deadlines_wait_while_writes_are_paused,
    stamps_cannot_be_forged,
    deleted_and_renamed_stores_replicate,
    a_replica_keeps_what_it_got_in_its_own_log,
];

/// Does some of everything, `count` times; ids begin with `tag`.
fn trade(client: &mut Client, tag: &str, count: usize) {
    for number in 0..count {
        let customer = number % 13;
        client.int(format!("INV.RESERVE popup {tag}h-{number} CUSTOMER c-{customer} ITEMS sku-1 2 sku-2 1"));
        client.text(format!("ORDER.PLACE popup {tag}o-{number} c-{customer} DATA {{}} ITEMS sku-1 1"));
        match number % 6 {
            0 => drop(client.int(format!("INV.COMMIT popup {tag}h-{number}"))),
            1 => drop(client.int(format!("INV.RELEASE popup {tag}h-{number} ITEMS sku-1 1"))),
            2 => drop(client.text(format!("ORDER.PLACE popup {tag}x-{number} c-{customer} HOLD {tag}h-{number}"))),
            3 => drop(client.text(format!("ORDER.COMPLETE popup {tag}o-{number} RESULT {number}"))),
            4 => drop(client.int(format!("ORDER.CANCEL popup {tag}o-{number}"))),
            _ => drop(client.int(format!("INV.ADJUST popup sku-2 1 REF {tag}r-{number}"))),
        }
        toil(client, tag, number);
    }
}

/// What workers do, one of its kinds a number: orders `{tag}w-…` in groups, claimed, failed, yielded, dead, redriven.
fn toil(client: &mut Client, tag: &str, number: usize) {
    let order = format!("{tag}w-{number}");
    client.text(format!("ORDER.PLACE popup {order} c-w GROUP g-{} ITEMS sku-1 1", number % 5));
    let claimed = claim(client, format!("ORDER.CLAIM popup w-{} COUNT 2 LEASE 3600000", number % 4));
    for (at, claimed) in claimed.iter().enumerate() {
        let (order, token) = (&claimed.order, claimed.token);
        match (number + at) % 6 {
            0 => drop(client.get(format!("ORDER.FAIL popup {order} TOKEN {token} REASON r-{number} AFTER 3600000"))),
            1 => drop(client.get(format!("ORDER.FAIL popup {order} TOKEN {token} REASON boom FATAL"))),
            2 => drop(client.int(format!("ORDER.RENEW popup {order} TOKEN {token} LEASE 7200000"))),
            3 => drop(client.get(format!("ORDER.COMPLETE popup {order} TOKEN {token} CLAIM w-9 LEASE 3600000"))),
            4 => drop(client.int(format!("ORDER.ADVANCE popup {order} packed TOKEN {token}"))),
            _ => {
                client.int(format!("ORDER.YIELD popup w-{}", number % 4));
                break;
            }
        }
    }
    match number % 40 {
        7 => drop(client.int("ORDER.REDRIVE popup ALL COUNT 3")),
        21 => drop(client.int("ORDER.YIELD popup w-9")),
        27 => drop(client.int("ORDER.PURGE popup COUNT 1")),
        33 => drop(client.get(format!("ORDER.FAIL popup {order} AFTER 1"))),
        13 => {
            client.get(format!("ORDER.PLACE popup {tag}g-{number} c-w GROUP g-1 GATE pay 3600000 ITEMS sku-1 1"));
            client.get(format!("ORDER.PLACE popup {tag}f-{number} c-w GATE fraud 0 ITEMS sku-1 1"));
            client.int(format!("ORDER.PASS popup {tag}f-{number} fraud"));
            client.int(format!("ORDER.GATE popup {tag}f-{number} pay 3600000"));
        }
        _ => {}
    }
}

/// The store `popup` with many units of two SKUs, and its journal on.
fn open_shop(client: &mut Client) {
    open_store(client, "popup", 1_000_000);
    client.int("INV.SET popup sku-2 1000000 LOW 10");
    client.ok("STORE.SET popup journal 500 history 20");
}

/// Waits until both servers have the same digest, and returns it.
#[track_caller]
fn wait_for_same(primary: &Server, replica: &Server) -> String {
    let (mut one, mut other) = (primary.client(), replica.client());
    wait_until(DEADLINE, "primary and replica have the same digest", || one.digest() == other.digest());
    one.digest()
}

fn replica_attached_before_has_the_same_digest(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    trade(&mut client, "", 300);
    client.int("INV.RESERVE popup h-short TTL 1 ITEMS sku-1 2");
    wait_until(DEADLINE, "the hold expires", || {
        client.get("INV.HOLD popup h-short").field("state").text() == "expired"
    });
    wait_for_same(&primary, &replica);
    assert_books_balance(&mut replica.client(), "popup");
    assert_eq!(replica.client().int("XLEN {popup}:orders"), client.int("XLEN {popup}:orders"));
}

fn replica_attached_during_a_load_has_the_same_digest(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    trade(&mut client, "before-", 200);
    let replica = Server::with(binary, &[&format!("replicaof 127.0.0.1 {}", primary.port())]);
    trade(&mut client, "during-", 300);
    replica.wait_for_link();
    trade(&mut client, "after-", 50);
    wait_for_same(&primary, &replica);
    assert_books_balance(&mut replica.client(), "popup");
}

fn replica_of_a_replica_has_the_same_digest(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let middle = primary.replica(binary);
    let last = middle.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    trade(&mut client, "", 100);
    client.int("INV.RESERVE popup h-short TTL 1 ITEMS sku-1 2");
    trade(&mut client, "more-", 20);
    wait_for_same(&primary, &middle);
    wait_for_same(&primary, &last);
}

fn a_replica_refuses_writes_and_answers_reads(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    trade(&mut client, "", 10);
    wait_for_same(&primary, &replica);
    let mut reader = replica.client();
    for write in [
        "STORE.SET popup limit 1",
        "STORE.DROP popup",
        "STORE.REPAIR popup",
        "INV.SET popup sku-1 1",
        "ORDER.CANCEL popup o-1",
    ] {
        reader.refused("READONLY", write);
    }
    for read in [
        "STORE.GET popup",
        "INV.GET popup sku-1",
        "ORDER.GET popup o-1",
        "ORDER.SCAN popup 0 COUNT 1000",
        "INV.HOLDS popup 0 COUNT 1000",
        "STORE.AUDIT popup",
    ] {
        assert_eq!(reader.get(read), client.get(read), "{read}");
    }
}

fn expiry_is_replicated(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    for number in 0..100 {
        client.int(format!("INV.RESERVE popup h-{number} TTL {} ITEMS sku-1 1", 10 + number));
    }
    let mut reader = replica.client();
    wait_until(DEADLINE, "all units are back on the replica", || {
        reader.call("INV.GET popup sku-1").is_error() || stock(&mut reader, "popup", "sku-1").1 == 0
    });
    wait_until(DEADLINE, "all units are back on the primary", || stock(&mut client, "popup", "sku-1").1 == 0);
    wait_for_same(&primary, &replica);
}

/// A process that is stopped until this is dropped.
pub struct Stopped(nix::unistd::Pid);

impl Stopped {
    pub fn new(server: &Server) -> Stopped {
        let pid = nix::unistd::Pid::from_raw(server.pid());
        kill(pid, Signal::SIGSTOP).expect("SIGSTOP");
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // A server that was killed meanwhile need not continue.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

fn a_replica_does_not_act_on_deadlines(binary: &ServerBinary) {
    const PAST_MS: i64 = 100;
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 300 ITEMS sku-1 1");
    let digest = wait_for_same(&primary, &replica);
    let mut reader = replica.client();
    assert!(server_now_ms(&mut reader) < deadline_ms, "too slow a machine to look before the deadline");
    let stopped = Stopped::new(&primary);
    wait_until(DEADLINE, "the deadline has passed", || server_now_ms(&mut reader) > deadline_ms + PAST_MS);
    assert_eq!(stock(&mut reader, "popup", "sku-1").1, 1, "the replica waits for its primary");
    assert_eq!(reader.digest(), digest);
    drop(stopped);
    wait_until(DEADLINE, "the primary acts, the replica follows", || stock(&mut reader, "popup", "sku-1").1 == 0);
    wait_for_same(&primary, &replica);
}

fn promotion_arms_the_deadlines(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    let soon_ms = client.int("INV.RESERVE popup h-soon TTL 250 ITEMS sku-1 1");
    let later_ms = client.int("INV.RESERVE popup h-later TTL 900 ITEMS sku-1 2");
    wait_for_same(&primary, &replica);
    primary.kill9();
    let mut client = replica.client();
    // One deadline passes before the promotion, one after it.
    wait_until(DEADLINE, "the first deadline has passed", || server_now_ms(&mut client) > soon_ms);
    assert_eq!(stock(&mut client, "popup", "sku-1").1, 3);
    client.ok("REPLICAOF NO ONE");
    wait_until(DEADLINE, "the new primary acts on the first", || stock(&mut client, "popup", "sku-1").1 <= 2);
    wait_until(DEADLINE, "the new primary acts on the second", || stock(&mut client, "popup", "sku-1").1 == 0);
    assert!(server_now_ms(&mut client) >= later_ms);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1000000");
    assert_books_balance(&mut client, "popup");
}

fn scripts_and_transactions_replicate(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    let script = "for i = 1, 50 do redis.call('ORDER.PLACE', KEYS[1], 'lua-' .. i, 'c-1', 'ITEMS', 'sku-1', i) end \
                  redis.call('ORDER.COMPLETE', KEYS[1], 'lua-7') return redis.call('ORDER.CANCEL', KEYS[1], 'lua-9')";
    assert_eq!(client.int(cmd!["EVAL", script, 1, "popup"]), 9);
    client.ok("MULTI");
    for number in 0..20 {
        client.text(format!("ORDER.PLACE popup multi-{number} c-2 ITEMS sku-2 1"));
    }
    client.text("INV.RESERVE popup h-1 ITEMS sku-1 5");
    client.text("INV.COMMIT popup h-1 ITEMS sku-1 2");
    client.get("EXEC");
    wait_for_same(&primary, &replica);
    assert_eq!(replica.client().int("XLEN {popup}:orders"), 68);
}

fn idempotency_survives_a_failover(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    let calls = [
        "INV.RESERVE popup h-1 CUSTOMER c-1 TTL 60000 ITEMS sku-1 2",
        "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2",
        "ORDER.COMPLETE popup o-1 RESULT {}",
        "ORDER.RETURN popup o-1 REF r-1 ITEMS sku-1 1",
        "INV.ADJUST popup sku-2 5 REF r-2",
        "INV.COMMIT popup h-1 REF r-3 ITEMS sku-1 1",
    ];
    let first: Vec<Reply> = calls.iter().map(|call| client.get(*call)).collect();
    client.text("INV.SYNC popup erp 4 ITEMS sku-2 9");
    let digest = wait_for_same(&primary, &replica);
    primary.kill9();
    let mut client = replica.client();
    client.ok("REPLICAOF NO ONE");
    for (call, first) in calls.iter().zip(&first) {
        assert_eq!(client.get(*call), *first, "{call}");
    }
    assert_eq!(client.text("INV.SYNC popup erp 4 ITEMS sku-2 9"), "DUPLICATE");
    assert_eq!(client.digest(), digest, "retries change nothing");
}

fn a_promoted_replica_goes_on_with_leases_and_backoffs(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    client.ok("STORE.SET popup attempts 9");
    for order in ["a", "b", "c", "d"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
    }
    let short = claim_one(&mut client, "ORDER.CLAIM popup dies LEASE 300");
    let long = claim_one(&mut client, "ORDER.CLAIM popup lives LEASE 3600000");
    let retry_ms = client.get("ORDER.FAIL popup c AFTER 300").field("due").int();
    wait_for_same(&primary, &replica);
    primary.kill9();
    let mut client = replica.client();
    client.ok("REPLICAOF NO ONE");
    let mut orders = Vec::new();
    for _ in 0..3 {
        let claimed = claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000 LEASE 3600000");
        assert!(claimed.token > long.token, "{claimed:?}");
        assert!(claimed.order == "d" || server_now_ms(&mut client) >= retry_ms.min(short.deadline));
        orders.push((claimed.order, claimed.attempt));
    }
    orders.sort();
    assert_eq!(orders, [("a".into(), 2), ("c".into(), 2), ("d".into(), 1)]);
    client.refused("FENCED", format!("ORDER.COMPLETE popup a TOKEN {}", short.token));
    client.text(format!("ORDER.COMPLETE popup b TOKEN {}", long.token));
    assert_books_balance(&mut client, "popup");
}

fn tokens_grow_over_a_failover_that_lost_writes(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    for order in ["a", "b", "c"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
    }
    wait_for_same(&primary, &replica);
    // What the old primary hands out from now on does not reach the new one.
    replica.client().ok("REPLICAOF NO ONE");
    let lost = claim(&mut client, "ORDER.CLAIM popup w COUNT 3 LEASE 3600000");
    primary.kill9();
    let mut client = replica.client();
    // A token is made of the clock: two primaries within the same millisecond give the same one.
    wait_until(DEADLINE, "a later millisecond", || server_now_ms(&mut client) > lost[2].deadline - 3_600_000);
    let again = claim(&mut client, "ORDER.CLAIM popup w-2 COUNT 3 LEASE 3600000");
    assert_eq!((lost.len(), again.len()), (3, 3));
    assert!(again.iter().all(|claimed| claimed.token > lost[2].token), "{again:?} after {lost:?}");
    for claimed in &lost {
        client.refused("FENCED", format!("ORDER.COMPLETE popup {} TOKEN {}", claimed.order, claimed.token));
    }
}

/// Places orders and makes short holds on the primary until it is a replica; returns the acknowledged orders.
fn place_until_demoted(mut client: Client) -> Vec<String> {
    let mut placed = Vec::new();
    for number in 0.. {
        // A server that becomes a replica refuses commands that waited for the end of its failover.
        let mut done = |command: String| match client.call(&command) {
            Reply::Error(text) => {
                let turned_away = [b"READONLY".as_slice(), b"UNBLOCKED"].iter().any(|code| text.starts_with(code));
                assert!(turned_away, "{command}: {}", text.escape_ascii());
                false
            }
            _ => true,
        };
        if !done(format!("ORDER.PLACE popup f-{number} c-1 ITEMS sku-1 1")) {
            return placed;
        }
        placed.push(format!("f-{number}"));
        if !done(format!("INV.RESERVE popup fh-{number} TTL 5 ITEMS sku-1 1")) {
            return placed;
        }
    }
    unreachable!("there is always another order");
}

fn a_failover_under_traffic_loses_nothing(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    wait_for_same(&primary, &replica);
    let placed = std::thread::scope(|scope| {
        let trader = primary.client();
        let trading = scope.spawn(move || place_until_demoted(trader));
        wait_until(DEADLINE, "there is traffic", || client.int("XLEN {popup}:orders") > 100);
        client.ok(format!("FAILOVER TO 127.0.0.1 {}", replica.port()));
        wait_until(DEADLINE, "the replica is the primary", || replica.client().info("replication", "role") == "master");
        trading.join().expect("the trader")
    });
    primary.wait_for_link();
    let mut client = replica.client();
    for order in &placed {
        client.get(format!("ORDER.GET popup {order}"));
    }
    assert_eq!(client.int("XLEN {popup}:orders"), placed.len() as i64, "each order once");
    let held = placed.len() as i64;
    wait_until(DEADLINE, "the holds expire", || stock(&mut client, "popup", "sku-1").1 == held);
    wait_for_same(&replica, &primary);
    assert_books_balance(&mut client, "popup");
}

/// While writes are paused, as during a failover, a deadline changes nothing; afterwards it does.
fn deadlines_wait_while_writes_are_paused(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 1");
    client.ok("CLIENT PAUSE 60000 WRITE");
    wait_until(DEADLINE, "the deadline has passed", || server_now_ms(&mut client) > deadline_ms + 50);
    assert_eq!(stock(&mut client, "popup", "sku-1").1, 1);
    client.ok("CLIENT UNPAUSE");
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 0);
    assert_books_balance(&mut client, "popup");
}

/// The commands that the module writes to the append-only file: what an attacker would send.
fn stamped_commands(binary: &ServerBinary) -> Vec<Vec<Vec<u8>>> {
    let server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    open_shop(&mut client);
    trade(&mut client, "", 6);
    let mut stamped = Vec::new();
    for entry in std::fs::read_dir(server.dir().join("appendonlydir")).expect("the append-only folder") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().ends_with(".incr.aof") {
            stamped.extend(read_commands(&std::fs::read(path).expect("the append-only file")));
        }
    }
    stamped.retain(|command| command[0].to_ascii_uppercase().starts_with(b"HOLDFAST."));
    // The number depends on the machine's speed: changes in one millisecond share a time.
    assert!(!stamped.is_empty(), "the append-only file holds stamped commands");
    stamped
}

/// Through EVAL: KEYS and ARGV of one command.
fn in_lua(command: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut eval = cmd!["EVAL", "return redis.pcall(unpack(ARGV))", 1, "popup"];
    eval.extend_from_slice(command);
    eval
}

fn stamps_cannot_be_forged(binary: &ServerBinary) {
    let stamped = stamped_commands(binary);
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    wait_for_same(&primary, &replica);
    let mut reader = replica.client();
    for command in &stamped {
        client.refused("ERR", command);
        let text = client.refused("ERR", in_lua(command));
        assert!(!text.contains("unpack"), "{text}");
        let digest = reader.digest();
        for attempt in [command.clone(), in_lua(command)] {
            assert!(reader.call(attempt).is_error(), "on a replica: {command:?}");
        }
        assert_eq!(reader.digest(), digest);
        refused_in_multi(&mut client, command);
    }
    assert_books_balance(&mut client, "popup");
}

/// In MULTI the command is refused when it is queued or executed, and changes nothing.
#[track_caller]
fn refused_in_multi(client: &mut Client, command: &[Vec<u8>]) {
    let before = client.digest();
    client.ok("MULTI");
    client.call(command);
    match client.call("EXEC") {
        Reply::Error(text) => assert!(text.starts_with(b"EXECABORT"), "{}", text.escape_ascii()),
        replies => assert_eq!(replies.array()[0].code(), "ERR", "{replies:?}"),
    }
    assert_eq!(client.digest(), before);
}

fn deleted_and_renamed_stores_replicate(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_shop(&mut client);
    trade(&mut client, "", 30);
    client.ok("RENAME popup other");
    client.int("COPY other third");
    client.text("ORDER.PLACE third o-new c-1 ITEMS sku-1 1");
    client.get("STORE.REPAIR other");
    wait_for_same(&primary, &replica);
    client.get("STORE.DROP third");
    client.get("STORE.REPAIR other");
    wait_for_same(&primary, &replica);
    client.int("UNLINK other");
    wait_for_same(&primary, &replica);
}

/// What a replica received is in its own append-only file: promoted and restarted, or alone, it has everything.
fn a_replica_keeps_what_it_got_in_its_own_log(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let of = format!("replicaof 127.0.0.1 {}", primary.port());
    let mut replica = Server::with(binary, &["appendonly yes", "appendfsync always", "holdfast.sample-ms 0", &of]);
    replica.wait_for_link();
    let mut client = primary.client();
    open_shop(&mut client);
    trade(&mut client, "", 300);
    client.int("INV.RESERVE popup h-short TTL 1 ITEMS sku-1 2");
    client.int("LOCK.ACQUIRE doc owner-1 600000");
    wait_until(DEADLINE, "the hold expires", || {
        client.get("INV.HOLD popup h-short").field("state").text() == "expired"
    });
    let digest = wait_for_same(&primary, &replica);
    replica.client().ok("REPLICAOF NO ONE");
    let mut promoted = replica.client();
    assert_eq!(promoted.digest(), digest);
    promoted.text("ORDER.PLACE popup after c-1 ITEMS sku-1 1");
    let digest = promoted.digest();
    replica.kill9();
    let config = replica.dir().join("server.conf");
    let lines = std::fs::read_to_string(&config).expect("its configuration");
    std::fs::write(&config, lines.replace(&of, "")).expect("configuration written");
    replica.start_again();
    assert_eq!(replica.debug_digest(), digest);
    assert_books_balance(&mut replica.client(), "popup");
}
