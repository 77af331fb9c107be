//! What locks survive: restarts, failovers, moves of their key, hostile bytes. Their tokens only grow.

use super::locks::{A_MOMENT, LONG, acquire, owner, reply_of, waiter, waiting};
use crate::common::{
    Client, DEADLINE, Server, ServerBinary, cmd, forge_payload, payload_body, rewrite_log, server_now_ms, tests,
    wait_until,
};

tests![
    an_idle_lock_disappears,
    tokens_grow_whatever_happens,
    tokens_stay_above_those_of_keys_that_went,
    tokens_grow_over_a_failover,
    a_log_that_is_loaded_leaves_tokens_as_they_are,
    snapshots_and_logs_keep_locks,
    dump_copy_and_digest,
    replicas_follow,
    a_promoted_replica_goes_on,
    a_demoted_primary_sends_its_waiters_away,
    leases_wait_while_writes_are_paused,
    hostile_payloads,
];

/// The ways in which a server persists its data.
const PERSISTENCES: [&[&str]; 4] = [
    &[],
    &["appendonly yes", "appendfsync always"],
    &["appendonly yes", "aof-use-rdb-preamble yes"],
    &["appendonly yes", "aof-use-rdb-preamble no"],
];

/// Appends an integer in the format of a lock's image.
fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A payload of a lock as DUMP would make it: owner, token, acquired-at, deadline, changed-at.
fn forged(client: &mut Client, owner: &str, numbers: [u64; 4]) -> Vec<u8> {
    let mut image = vec![1, owner.len() as u8];
    image.extend_from_slice(owner.as_bytes());
    numbers.into_iter().for_each(|n| varint(&mut image, n));
    forged_image(client, &image)
}

/// A payload with these bytes as the image.
fn forged_image(client: &mut Client, image: &[u8]) -> Vec<u8> {
    /// The value's type, the module type's id, and the word for a string.
    const HEAD_BYTES: usize = 11;
    assert!(image.len() < 64, "a string whose length is one byte");
    client.int("LOCK.ACQUIRE a-real-one ann 1000");
    let payload = client.get("DUMP a-real-one").bytes().to_vec();
    let (body, version) = payload_body(&payload);
    forge_payload(&[&body[..HEAD_BYTES], &[image.len() as u8], image, &[0]].concat(), version)
}

fn an_idle_lock_disappears(binary: &ServerBinary) {
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let mut client = server.client();
    // Released a long time ago.
    let payload = forged(&mut client, "", [1 << 52, 0, 0, 1]);
    client.ok(cmd!["RESTORE", "doc", 0, &payload]);
    wait_until(DEADLINE, "the idle lock goes", || client.int("EXISTS doc") == 0);
    wait_until(DEADLINE, "the replica's goes", || {
        replica.client().int("EXISTS doc") == 0 && replica.client().digest() == client.digest()
    });
    // A lock that was just released stays for a while; one that is held or waited for stays.
    let token = acquire(&mut client, "doc", "ann", LONG);
    assert_eq!(token, (1 << 52) + 1, "tokens stay above those of the key that went");
    client.int(format!("LOCK.RELEASE doc {token}"));
    assert_eq!(client.int("EXISTS doc"), 1);
}

fn tokens_grow_whatever_happens(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    let mut last = 0;
    let mut next = |client: &mut Client, why: &str| {
        let token = client.int(format!("LOCK.ACQUIRE doc ann-{why} 1 WAIT 10000"));
        assert!(token > last, "{why}: {token} after {last}");
        last = token;
        token
    };
    for _ in 0..50 {
        let token = next(&mut client, "released");
        client.int(format!("LOCK.RELEASE doc {token}"));
    }
    for way in ["DEL doc", "FLUSHALL", "RENAME doc other", "SET doc x", "DEL doc"] {
        next(&mut client, "again");
        client.get(way);
        client.get("DEL doc");
    }
    next(&mut client, "gone");
    server.kill9();
    server.start_again();
    next(&mut server.client(), "killed");
}

/// A clock that is behind the tokens: they grow all the same, even if only the floor remembers them.
fn tokens_stay_above_those_of_keys_that_went(binary: &ServerBinary) {
    const AHEAD: i64 = 1 << 52;
    for (number, config) in PERSISTENCES.into_iter().enumerate() {
        let mut server = Server::with(binary, config);
        let mut client = server.client();
        let payload = forged(&mut client, "", [AHEAD as u64, 0, 0, server_now_ms(&mut server.client()) as u64]);
        client.ok(cmd!["RESTORE", "doc", 0, &payload]);
        assert_eq!(acquire(&mut client, "doc", "ann", 1), AHEAD + 1);
        client.int("DEL doc");
        let replica = server.replica(binary);
        assert_eq!(acquire(&mut client, "doc", "ann", LONG), AHEAD + 2, "above the key that went");
        client.int("DEL doc");
        acquire(&mut client, "stays", "ann", LONG);
        match number {
            0 => client.ok("SAVE"),
            1 => {}
            _ => rewrite_log(&mut client),
        }
        client.ok("FLUSHALL");
        assert_eq!(acquire(&mut client, "doc", "ann", LONG), AHEAD + 4, "FLUSHALL forgets no token");
        wait_until(DEADLINE, "the replica has the same", || replica.client().digest() == client.digest());
        if number == 0 {
            client.ok("SAVE");
        }
        server.restart();
        let mut client = server.client();
        assert_eq!(client.get("LOCK.GET doc").field("token").int(), AHEAD + 4, "{config:?}");
        assert_eq!(acquire(&mut client, "new", "ann", LONG), AHEAD + 5, "{config:?}");
    }
}

fn tokens_grow_over_a_failover(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let mut client = primary.client();
    let payload = forged(&mut client, "", [1 << 52, 0, 0, server_now_ms(&mut primary.client()) as u64]);
    client.ok(cmd!["RESTORE", "doc", 0, &payload]);
    client.int("DEL doc");
    let replica = primary.replica(binary);
    let mut last = 0;
    for _ in 0..20 {
        last = acquire(&mut client, "doc", "ann", LONG);
        client.int("DEL doc");
    }
    acquire(&mut client, "other", "ann", LONG);
    wait_until(DEADLINE, "the replica follows", || replica.client().digest() == client.digest());
    primary.kill9();
    let mut client = replica.client();
    client.ok("REPLICAOF NO ONE");
    assert!(acquire(&mut client, "doc", "bob", LONG) > last);
}

/// Locks in every state.
fn some_locks(client: &mut Client) -> i64 {
    let token = acquire(client, "held", "ann", LONG);
    let free = acquire(client, "free", "ann", LONG);
    client.int(format!("LOCK.RELEASE free {free}"));
    acquire(client, "expired", "ann", 1);
    wait_until(DEADLINE, "the lease ends", || owner(client, "expired").is_empty());
    let renewed = client.int(cmd!["LOCK.ACQUIRE", b"\0odd\xff", b"\r\n\0", LONG]);
    client.int(cmd!["LOCK.RENEW", b"\0odd\xff", renewed, 2 * LONG]);
    token
}

/// DEBUG LOADAOF replays the append-only file over what the server knew: the floor of tokens then comes from the file
/// only.
fn a_log_that_is_loaded_leaves_tokens_as_they_are(binary: &ServerBinary) {
    for preamble in ["yes", "no"] {
        let server = Server::with(
            binary,
            &["appendonly yes", "appendfsync always", &format!("aof-use-rdb-preamble {preamble}")],
        );
        let mut client = server.client();
        let names: Vec<String> = (0..5).map(|number| format!("lock-{number}")).collect();
        let tokens: Vec<i64> = names.iter().map(|name| acquire(&mut client, name, "ann", LONG)).collect();
        for round in 0..3 {
            client.ok("DEBUG LOADAOF");
            for (name, token) in names.iter().zip(&tokens) {
                assert_eq!(client.get(format!("LOCK.GET {name}")).field("token").int(), *token, "{name}, load {round}");
            }
            // One more that is larger than all: later ones are larger than it.
            let last = acquire(&mut client, &format!("more-{round}"), "bob", LONG);
            assert!(tokens.iter().all(|token| last > *token));
        }
        for (name, token) in names.iter().zip(&tokens) {
            assert_eq!(client.int(format!("LOCK.RENEW {name} {token} {LONG}")), 1, "{name} is lost");
        }
    }
}

fn snapshots_and_logs_keep_locks(binary: &ServerBinary) {
    for (number, config) in PERSISTENCES.into_iter().enumerate() {
        let mut server = Server::with(binary, config);
        let mut client = server.client();
        let token = some_locks(&mut client);
        if number > 1 {
            rewrite_log(&mut client);
        }
        let mut soon = waiter(&server, "held", "bob", LONG);
        acquire(&mut client, "soon", "ann", 1_000);
        // The timer may end the lease of `expired` at this moment: then it is in the digest.
        let digest = client.digest();
        if number == 0 {
            client.ok("SAVE");
        }
        server.restart();
        assert!(soon.receive().is_err(), "the server that was asked is gone");
        let mut client = server.client();
        if owner(&mut client, "soon") == "ann" {
            assert_eq!(client.digest(), digest, "{config:?}");
        }
        assert_eq!(waiting(&mut client, "held"), 0);
        assert_eq!(client.int(format!("LOCK.RENEW held {token} {LONG}")), 1);
        assert!(client.int(format!("LOCK.ACQUIRE soon bob {LONG} WAIT 10000")) > token, "{config:?}");
        let digest = client.digest();
        client.ok("DEBUG RELOAD");
        assert_eq!(client.digest(), digest, "{config:?}");
    }
}

fn dump_copy_and_digest(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let mut seen = Vec::new();
    let token = acquire(&mut client, "doc", "ann", LONG);
    let commands = [
        "PING".to_owned(),
        format!("LOCK.RENEW doc {token} {}", 2 * LONG),
        format!("LOCK.RELEASE doc {token}"),
        format!("LOCK.ACQUIRE doc bob {LONG}"),
    ];
    for command in commands {
        client.get(&command);
        let digest = client.digest_value("doc");
        assert!(!seen.contains(&digest), "{command} leaves the digest as it was");
        seen.push(digest);
    }
    let payload = client.get("DUMP doc").bytes().to_vec();
    client.ok(cmd!["RESTORE", "again", 0, &payload]);
    assert_eq!(client.get("DUMP again").bytes(), payload, "the same state is the same bytes");
    assert_eq!(client.int("COPY doc copy"), 1);
    assert_eq!(client.digest_value("copy"), client.digest_value("doc"));
    let token = client.get("LOCK.GET doc").field("token").int();
    assert_eq!(client.int(format!("LOCK.RELEASE copy {token}")), 1);
    assert_eq!(owner(&mut client, "doc"), "bob", "the copy is a lock of its own");
    let bytes = client.int("MEMORY USAGE doc");
    assert!((50..400).contains(&bytes), "{bytes}");
}

fn replicas_follow(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    let token = some_locks(&mut client);
    let mut bob = waiter(&primary, "held", "bob", 1);
    let mut cyd = waiter(&primary, "held", "cyd", LONG);
    client.ok("MULTI");
    client.text(format!("LOCK.RELEASE held {token}"));
    client.text("LOCK.ACQUIRE other ann 1");
    client.get("EXEC");
    reply_of(&mut bob);
    let token = reply_of(&mut cyd).int();
    let script =
        "local t = redis.call('LOCK.ACQUIRE', KEYS[1], 'lua', 5) return redis.call('LOCK.RELEASE', KEYS[1], t)";
    assert_eq!(client.int(cmd!["EVAL", script, 1, "lua"]), 1);
    wait_until(DEADLINE, "the lease ends", || owner(&mut client, "other").is_empty());
    let mut reader = replica.client();
    wait_until(DEADLINE, "both have the same digest", || reader.digest() == client.digest());
    let held = reader.get("LOCK.GET held");
    assert_eq!((held.field("owner").text(), held.field("token").int()), ("cyd".into(), token));
    assert_eq!(held.field("waiting").int(), 0);
    for write in ["LOCK.ACQUIRE new ann 1 WAIT 0", "LOCK.RENEW held 1 1", "LOCK.RELEASE held 1"] {
        reader.refused("READONLY", write);
    }
    let late = primary.replica(binary);
    wait_until(DEADLINE, "a late replica has the same digest", || late.client().digest() == client.digest());
}

fn a_promoted_replica_goes_on(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    let passed = acquire(&mut client, "passed", "ann", 100);
    let later = acquire(&mut client, "later", "ann", 700);
    let held = acquire(&mut client, "held", "ann", LONG);
    let deadline_ms = client.get("LOCK.GET passed").field("deadline").int();
    wait_until(DEADLINE, "the replica follows", || replica.client().digest() == client.digest());
    primary.kill9();
    let mut client = replica.client();
    wait_until(DEADLINE, "a lease ends", || server_now_ms(&mut client) > deadline_ms);
    client.ok("REPLICAOF NO ONE");
    assert!(acquire(&mut client, "passed", "bob", LONG) > passed);
    assert!(client.int(format!("LOCK.ACQUIRE later bob {LONG} WAIT 10000")) > later);
    assert_eq!(client.int(format!("LOCK.RENEW held {held} {LONG}")), 1);
    let mut bob = waiter(&replica, "held", "bob", LONG);
    client.int(format!("LOCK.RELEASE held {held}"));
    assert!(reply_of(&mut bob).int() > held);
}

fn a_demoted_primary_sends_its_waiters_away(binary: &ServerBinary) {
    let one = Server::start(binary);
    let other = one.replica(binary);
    let mut client = one.client();
    let token = acquire(&mut client, "doc", "ann", LONG);
    let mut bob = waiter(&one, "doc", "bob", LONG);
    wait_until(DEADLINE, "the replica follows", || other.client().digest() == client.digest());
    client.ok(format!("FAILOVER TO 127.0.0.1 {}", other.port()));
    assert_eq!(reply_of(&mut bob).code(), "UNBLOCKED");
    one.wait_for_link();
    let mut client = other.client();
    assert_eq!((owner(&mut client, "doc"), waiting(&mut client, "doc")), ("ann".into(), 0));
    let mut bob = waiter(&other, "doc", "bob", LONG);
    assert_eq!(client.int(format!("LOCK.RELEASE doc {token}")), 1);
    assert!(reply_of(&mut bob).int() > token);
    let mut reader = one.client();
    wait_until(DEADLINE, "the old primary follows", || reader.digest() == client.digest());
    assert_eq!(waiting(&mut reader, "doc"), 0);
}

fn leases_wait_while_writes_are_paused(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let token = acquire(&mut client, "doc", "ann", 100);
    let deadline_ms = client.get("LOCK.GET doc").field("deadline").int();
    let mut bob = waiter(&server, "doc", "bob", LONG);
    let digest = client.digest();
    client.ok("CLIENT PAUSE 60000 WRITE");
    wait_until(DEADLINE, "the lease has ended", || server_now_ms(&mut client) > deadline_ms + 50);
    assert!(bob.is_silent(A_MOMENT));
    assert_eq!(client.digest(), digest, "nothing is written meanwhile");
    client.ok("CLIENT UNPAUSE");
    assert!(reply_of(&mut bob).int() > token);
}

fn hostile_payloads(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let now = server_now_ms(&mut client) as u64;
    let most = (1u64 << 53) - 1;
    let bad: [Vec<u8>; 8] = [
        forged(&mut client, "", [most + 1, 0, 0, 0]),
        forged(&mut client, "", [1, 1, 0, 0]),
        forged(&mut client, "", [1, 0, 1, 0]),
        forged(&mut client, "ann", [1, 0, 0, now]),
        forged(&mut client, "ann", [u64::MAX, u64::MAX, u64::MAX, u64::MAX]),
        forged_image(&mut client, b""),
        forged_image(&mut client, b"\x02\0\x01\0\0\0"),
        forged_image(&mut client, &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    ];
    for payload in &bad {
        assert!(client.call(cmd!["RESTORE", "bad", 0, payload]).is_error(), "{}", payload.escape_ascii());
    }
    assert_eq!(client.int("EXISTS bad"), 0);
    // The largest possible token: this lock cannot be acquired again, all others can.
    let payload = forged(&mut client, "", [most, 0, 0, now]);
    client.ok(cmd!["RESTORE", "end", 0, &payload]);
    client.refused("BADSTATE", format!("LOCK.ACQUIRE end ann {LONG}"));
    client.refused("BADSTATE", format!("LOCK.ACQUIRE end ann {LONG} WAIT 0"));
    client.int("DEL end");
    for number in 0..10 {
        acquire(&mut client, &format!("new-{number}"), "ann", LONG);
    }
    let payload = forged(&mut client, "ann", [most, 1, most, now]);
    client.ok(cmd!["RESTORE", "held", 0, &payload]);
    let mut bob = waiter(&server, "held", "bob", LONG);
    assert_eq!(client.int(format!("LOCK.RELEASE held {most}")), 1);
    assert_eq!(reply_of(&mut bob).code(), "BADSTATE");
}
