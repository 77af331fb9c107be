//! Other clients change the streams of a store while it works: replicas and a replayed append-only file still have
//! the same DEBUG DIGEST, and a repair restores the streams.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, check, entries, open_store, server_now_ms, tests,
    wait_until,
};
use proptest::arbitrary::any;

tests![
    a_change_that_finds_a_stream_expired,
    a_change_that_finds_another_key_expired,
    full_logs_that_are_ahead,
    many_entries_of_one_command,
    ids_that_the_store_has_given_itself,
    random_meddling,
];

/// The streams of the store `popup`.
const STREAMS: [&str; 7] = ["orders", "complete", "journal", "retry", "dead", "metrics", "alerts"];

/// A server with an append-only file and a replica. Keys expire only when they are read, and no sample is taken.
fn with_replica(binary: &ServerBinary) -> (Server, Server) {
    let server = Server::with(binary, &["appendonly yes", "appendfsync no", "holdfast.sample-ms 0"]);
    let replica = server.replica(binary);
    server.client().ok("DEBUG SET-ACTIVE-EXPIRE 0");
    (server, replica)
}

#[track_caller]
fn assert_replica_follows(server: &Server, replica: &Server, what: &str) {
    let (mut client, mut reader) = (server.client(), replica.client());
    wait_until(DEADLINE, &format!("the replica is the same after {what}"), || reader.digest() == client.digest());
}

/// Checks that the replica is the same, and that loading the append-only file gives the same.
#[track_caller]
fn assert_all_the_same(server: &Server, replica: &Server, what: &str) {
    assert_replica_follows(server, replica, what);
    let mut client = server.client();
    let digest = client.digest();
    client.ok("DEBUG LOADAOF");
    assert_eq!(client.digest(), digest, "the log leads to the same after {what}");
}

/// Makes a key expire that nobody has read since.
#[track_caller]
fn expire(client: &mut Client, key: &str) {
    assert_eq!(client.int(format!("PEXPIRE {key} 1")), 1, "{key}");
    let now_ms = server_now_ms(client);
    wait_until(DEADLINE, "its time is over", || server_now_ms(client) > now_ms + 1);
}

/// A store with its journal on and entries in all its streams; of its orders, o-0 to o-3 wait.
fn open_shop(client: &mut Client) {
    open_store(client, "popup", 1000);
    client.ok("STORE.SET popup journal 100 metrics 100");
    for number in 0..7 {
        client.text(format!("ORDER.PLACE popup o-{number} c-1 ITEMS sku-1 1"));
    }
    client.text("ORDER.COMPLETE popup o-4");
    client.get("ORDER.FAIL popup o-5 FATAL");
    client.get("ORDER.FAIL popup o-6 AFTER 0");
    client.ok("CONFIG SET holdfast.sample-ms 10");
    client.ok("STORE.SET popup limit 0");
    wait_until(DEADLINE, "there is an entry in every stream", || {
        STREAMS.iter().all(|stream| client.int(format!("XLEN {{popup}}:{stream}")) > 0)
    });
    client.ok("CONFIG SET holdfast.sample-ms 0");
}

/// The server deletes an expired stream when it is opened: the replica must get the deletion before the change.
fn a_change_that_finds_a_stream_expired(binary: &ServerBinary) {
    let by_command = [
        "ORDER.PLACE popup new c-1 ITEMS sku-1 1",
        "ORDER.COMPLETE popup o-0 RESULT {}",
        "ORDER.COMPLETE popup o-0 CLAIM w-1",
        "ORDER.CANCEL popup o-0",
        "ORDER.CANCEL popup o-5",
        "ORDER.CANCEL popup o-6",
        "ORDER.FAIL popup o-0 FATAL",
        "ORDER.FAIL popup o-6 AFTER 3600000",
        "ORDER.REDRIVE popup o-5",
        "ORDER.REDRIVE popup ALL",
        "ORDER.PURGE popup",
        "ORDER.RETURN popup o-4 ITEMS sku-1 1",
        "INV.SET popup sku-1 7",
        "INV.RESERVE popup h-1 ITEMS sku-1 1",
        "STORE.REPAIR popup",
        "STORE.DROP popup",
    ];
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    for command in by_command {
        client.ok("FLUSHALL");
        open_shop(&mut client);
        STREAMS.iter().for_each(|stream| expire(&mut client, &format!("{{popup}}:{stream}")));
        client.get(command);
        assert_replica_follows(&server, &replica, command);
    }
    // What happens at a deadline: a sample, an expiry, a retry, a death. The last sample was a moment ago: the next one
    // comes when the streams have expired.
    let at_a_deadline = [
        ("CONFIG SET holdfast.sample-ms 500", "metrics", "STORE.SET popup limit 5"),
        ("INV.RESERVE popup h-2 TTL 20 ITEMS sku-1 1", "journal", "PING"),
        ("ORDER.FAIL popup o-0 AFTER 20", "retry", "PING"),
        ("ORDER.CLAIM popup w-1 LEASE 20", "dead", "STORE.SET popup attempts 1"),
        ("ORDER.CLAIM popup w-1 LEASE 20", "alerts", "STORE.SET popup attempts 1"),
    ];
    for (begin, stream, then) in at_a_deadline {
        client.ok("FLUSHALL");
        open_shop(&mut client);
        let before = entries(&mut client, &format!("{{popup}}:{stream}")).pop().expect("an entry");
        client.get(begin);
        client.get(then);
        for stream in STREAMS {
            client.int(format!("PEXPIRE {{popup}}:{stream} 1"));
        }
        wait_until(DEADLINE, &format!("an entry comes into the new stream of {begin}"), || {
            // Reading would delete it too: only the append-only file shows which came first.
            let now = entries(&mut replica.client(), &format!("{{popup}}:{stream}"));
            now.len() == 1 && now[0] != before
        });
        client.ok("CONFIG SET holdfast.sample-ms 0");
        assert_replica_follows(&server, &replica, begin);
    }
    assert_all_the_same(&server, &replica, "all of it");
}

/// The key of the store itself, the other key that would share its streams, a lock.
fn a_change_that_finds_another_key_expired(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    for command in ["STORE.SET popup limit 3", "INV.SET popup sku-1 3"] {
        open_shop(&mut client);
        expire(&mut client, "popup");
        client.get(command);
        assert_replica_follows(&server, &replica, command);
        expire(&mut client, "popup");
        client.get(command.replace("popup", "{popup}"));
        assert_replica_follows(&server, &replica, "a twin");
        client.ok("FLUSHALL");
    }
    open_shop(&mut client);
    client.int("INV.RESERVE popup h-1 TTL 30 ITEMS sku-1 1");
    client.int("PEXPIRE popup 1");
    client.int("LOCK.ACQUIRE lock me 60000");
    expire(&mut client, "lock");
    client.int("LOCK.ACQUIRE lock you 60000");
    let now_ms = server_now_ms(&mut client);
    wait_until(DEADLINE, "the deadline has passed", || server_now_ms(&mut client) > now_ms + 60);
    assert_replica_follows(&server, &replica, "a lock and a deadline");
    assert_eq!(client.int("EXISTS popup lock"), 1);
    client.int("DEL lock");
    assert_all_the_same(&server, &replica, "all of it");
}

/// A full log stream with a higher id from another client: the entry gets another id, and is trimmed after that.
fn full_logs_that_are_ahead(binary: &ServerBinary) {
    const CAP: i64 = 50;
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    client.ok(format!("STORE.SET popup journal {CAP} history {CAP} metrics {CAP}"));
    for stream in ["complete", "journal", "metrics"] {
        let length = |client: &mut Client| client.int(format!("XLEN {{popup}}:{stream}"));
        let mut number = 0;
        let mut grow = |client: &mut Client| {
            number += 1;
            client.text(format!("ORDER.PLACE popup {stream}-{number} c-1 ITEMS sku-1 1"));
            client.text(format!("ORDER.COMPLETE popup {stream}-{number}"));
            if stream == "metrics" {
                let before = entries(client, "{popup}:metrics").pop();
                client.ok("CONFIG SET holdfast.sample-ms 10");
                client.ok("STORE.SET popup limit 0");
                wait_until(DEADLINE, "a sample", || entries(client, "{popup}:metrics").pop() != before);
                client.ok("CONFIG SET holdfast.sample-ms 0");
            }
        };
        for (round, cap) in [CAP, CAP, 10].into_iter().enumerate() {
            while length(&mut client) < CAP {
                grow(&mut client);
            }
            let far_ms = server_now_ms(&mut client) + 3_600_000 * (1 + round as i64);
            client.text(format!("XADD {{popup}}:{stream} {far_ms}-7 ahead of-all"));
            client.ok(format!("STORE.SET popup journal {cap} history {cap} metrics {cap}"));
            grow(&mut client);
            assert!((cap - cap / 16..=cap).contains(&length(&mut client)), "{stream}: trimmed");
            assert_replica_follows(&server, &replica, &format!("{stream}, round {round}"));
        }
        client.ok(format!("STORE.SET popup journal {CAP} history {CAP} metrics {CAP}"));
    }
    assert_all_the_same(&server, &replica, "all of it");
}

/// Ten movements of one order, each an entry of a journal that is ahead, full, or takes no more entries.
fn many_entries_of_one_command(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 1000);
    let skus: Vec<String> = (0..10).map(|number| format!("s-{number}")).collect();
    for sku in &skus {
        client.int(format!("INV.SET popup {sku} 1000"));
    }
    let items: String = skus.iter().map(|sku| format!(" {sku} 1")).collect();
    for (round, cap) in [100, 34, 15, 4].into_iter().enumerate() {
        client.ok(format!("STORE.SET popup journal {cap}"));
        let now_ms = server_now_ms(&mut client);
        for (number, id) in
            [format!("{}-3", now_ms + 3_600_000), "18446744073709551615-18446744073709551615".into()].iter().enumerate()
        {
            client.text(format!("ORDER.PLACE popup a-{round}-{number} c-1 ITEMS{items}"));
            client.text(format!("XADD {{popup}}:journal {id} ahead of-all"));
            client.text(format!("ORDER.PLACE popup b-{round}-{number} c-1 ITEMS{items}"));
            let journal = entries(&mut client, "{popup}:journal");
            let found = journal.iter().filter(|entry| entry.names()[0] == "kind").map(|entry| entry.text("sku"));
            let found: Vec<String> = found.collect();
            if number == 0 {
                let last = found.len().min(cap - cap / 16).min(10);
                assert_eq!(found[found.len() - last..], skus[10 - last..], "cap {cap}: each once, in their order");
            }
            client.text(format!("ORDER.COMPLETE popup b-{round}-{number}"));
            assert_replica_follows(&server, &replica, &format!("cap {cap}, {id}"));
        }
        client.int("DEL {popup}:journal");
    }
    assert_all_the_same(&server, &replica, "all of it");
}

/// Another client's entry has an id between the ids of one command's entries.
fn ids_that_the_store_has_given_itself(binary: &ServerBinary) {
    const TRIES: usize = 200;
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 1000);
    client.ok("STORE.SET popup journal 1000");
    let skus: Vec<String> = (0..10).map(|number| format!("s-{number}")).collect();
    for sku in &skus {
        client.int(format!("INV.SET popup {sku} 1000"));
    }
    let items: String = skus.iter().map(|sku| format!(" {sku} 1")).collect();
    let mut within = 0;
    for number in 0..TRIES {
        // In one transaction, so mostly in one millisecond: the id of the third of ten movements is taken.
        client.ok("MULTI");
        client.text("INV.ADJUST popup sku-1 1");
        client.text("XADD {popup}:journal * not an-entry");
        client.text(format!("ORDER.PLACE popup o-{number} c-1 ITEMS{items}"));
        let replies = client.get("EXEC");
        let foreign = replies.array()[1].text();
        let journal = entries(&mut client, "{popup}:journal");
        let at = journal.iter().position(|entry| entry.id == foreign).expect("the outsider's entry");
        let found: Vec<String> = journal[at + 1..].iter().map(|entry| entry.text("sku")).collect();
        assert_eq!(found, skus, "each movement once, in their order");
        within += usize::from(foreign.split('-').next() == journal[at + 1].id.split('-').next());
        client.ok("STORE.SET popup journal 1000");
        client.int("DEL {popup}:journal");
    }
    assert!(within > 0, "never in one millisecond");
    assert_all_the_same(&server, &replica, "all of it");
}

/// Runs with random changes, and steps in each.
const RUNS: u32 = 12;
const STEPS: usize = 200;

/// After this many steps all servers are compared.
const BETWEEN: usize = 20;

fn random_meddling(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    check(RUNS, &any::<u64>(), |seed| meddle(binary, &server, &replica, seed));
}

/// SplitMix64: numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((n ^ (n >> 31)) % end as u64) as usize
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

fn meddle(binary: &ServerBinary, server: &Server, replica: &Server, seed: u64) {
    let mut client = server.client();
    client.ok("FLUSHALL");
    open_shop(&mut client);
    client.ok("CONFIG SET holdfast.sample-ms 10");
    let (mut random, mut done) = (Random(seed), Vec::new());
    for step in 0..STEPS {
        let command = match random.below(5) {
            0 | 1 => outsiders(&mut client, &mut random),
            _ => clients(&mut random, step),
        };
        // Many of them are refused: that does not matter here.
        let reply = client.call(&command);
        if reply.is_error() && reply.code() == "NOSTORE" {
            client.ok("STORE.SET popup journal 20 history 10 metrics 10 attempts 2");
            client.call("INV.SET popup sku-1 1000");
        }
        done.push(format!("{command} -> {reply:?}"));
        if step % BETWEEN == BETWEEN - 1 {
            let what = format!("seed {seed}, step {step}:\n{}", done[step + 1 - BETWEEN..].join("\n"));
            client.ok("CONFIG SET holdfast.sample-ms 0");
            assert_replica_follows(server, replica, &what);
            client.ok("CONFIG SET holdfast.sample-ms 10");
        }
    }
    client.ok("CONFIG SET holdfast.sample-ms 0");
    put_right(&mut client, seed);
    wait_until(DEADLINE, "nothing is due any more", || {
        let next = client.get("STORE.INFO popup").field("next-due").clone();
        next == crate::common::Reply::Nil || next.int() > server_now_ms(&mut client) + 600_000
    });
    let what = format!("seed {seed}:\n{}", done.join("\n"));
    assert_all_the_same(server, replica, &what);
    let late = server.replica(binary);
    assert_replica_follows(server, &late, &what);
    put_right(&mut client, seed);
    assert_books_balance(&mut client, "popup");
    assert_replica_follows(server, replica, &what);
    assert_replica_follows(server, &late, &what);
}

/// Repairs the store, and deletes the streams that a repair says must be deleted.
#[track_caller]
fn put_right(client: &mut Client, seed: u64) {
    // From now on nothing changes by itself.
    client.int("PERSIST popup");
    for stream in STREAMS {
        client.int(format!("PERSIST {{popup}}:{stream}"));
    }
    client.ok("STORE.SET popup limit 0");
    for _ in 0..=STREAMS.len() {
        let reply = client.call("STORE.REPAIR popup");
        if !reply.is_error() {
            return assert_books_balance(client, "popup");
        }
        let error = format!("{reply:?}");
        let stream = STREAMS.iter().map(|stream| format!("{{popup}}:{stream}")).find(|stream| error.contains(stream));
        let stream = stream.unwrap_or_else(|| panic!("seed {seed}: {error}"));
        assert_eq!(client.int(format!("DEL {stream}")), 1, "seed {seed}: {error}");
    }
    panic!("seed {seed}: never repaired");
}

/// What another client does to a stream.
fn outsiders(client: &mut Client, random: &mut Random) -> String {
    let stream = format!("{{popup}}:{}", random.one_of(&STREAMS));
    let now_ms = server_now_ms(client);
    match random.below(17) {
        0 => format!("XADD {stream} * not an-entry"),
        1 => format!("XADD {stream} {}-7 not an-entry", now_ms + 3_600_000),
        2 => format!("XADD {stream} {}-18446744073709551615 not an-entry", now_ms + 2),
        3 if random.below(3) == 0 => format!("XADD {stream} 18446744073709551615-18446744073709551615 not an-entry"),
        3 => format!("XADD {stream} 10223372036854775807-{} not an-entry", u64::MAX - 2),
        4 => format!("XTRIM {stream} MAXLEN {}", random.below(6)),
        5 | 6 => {
            let order = random.one_of(&["XRANGE KEY - +", "XREVRANGE KEY + -"]).replace("KEY", &stream);
            let found = client.call(format!("{order} COUNT 1"));
            let first = (!found.is_error()).then(|| found.array().first().map(|entry| entry.array()[0].text()));
            format!("XDEL {stream} {}", first.flatten().unwrap_or_else(|| "1-1".into()))
        }
        7 => format!("XSETID {stream} {}-0", now_ms + 10),
        8 => format!("DEL {stream}"),
        9 => format!("UNLINK {stream}"),
        10 => format!("RENAME {stream} {{popup}}:elsewhere"),
        11 => format!("RENAME {{popup}}:elsewhere {stream}"),
        12 => format!("COPY {stream} {{popup}}:{} REPLACE", random.one_of(&STREAMS)),
        13 | 14 => format!("PEXPIRE {stream} 1"),
        15 => format!("SET {stream} mine"),
        _ => format!("XGROUP CREATE {stream} workers $ MKSTREAM"),
    }
}

/// What clients of the store do.
fn clients(random: &mut Random, step: usize) -> String {
    let order = format!("r-{}", random.below(step + 1));
    match random.below(24) {
        0..=6 => format!("ORDER.PLACE popup r-{step} c-{} DATA {step} ITEMS sku-1 1", random.below(5)),
        7 | 8 => format!("ORDER.COMPLETE popup {order} RESULT {step}"),
        9 => format!("ORDER.CANCEL popup {order}"),
        10 => format!("ORDER.FAIL popup {order} AFTER {}", random.below(2)),
        11 => format!("ORDER.FAIL popup {order} REASON r-{step} FATAL"),
        12 => format!("ORDER.CLAIM popup w-{} COUNT 2 LEASE 1", random.below(3)),
        13 => format!("ORDER.CLAIM popup w-{} LEASE 3600000", random.below(3)),
        14 => format!("INV.RESERVE popup h-{step} TTL {} ITEMS sku-1 1", 1 + random.below(9)),
        15 => random.one_of(&["ORDER.REDRIVE popup ALL", "ORDER.PURGE popup COUNT 2"]).into(),
        16 => format!("ORDER.REDRIVE popup {order}"),
        17 => format!("INV.ADJUST popup sku-1 {}", random.below(9)),
        18 => {
            format!("STORE.SET popup history {0} journal {0} metrics {0} alerts {0}", [1, 3, 10, 40][random.below(4)])
        }
        19 => "STORE.REPAIR popup".into(),
        20 => "STORE.AUDIT popup".into(),
        21 => format!("ORDER.YIELD popup w-{}", random.below(3)),
        22 if random.below(6) == 0 => random.one_of(&["STORE.DROP popup", "DEL popup", "PEXPIRE popup 1"]).into(),
        _ => format!("ORDER.COMPLETE popup {order} CLAIM w-4 LEASE 1"),
    }
}
