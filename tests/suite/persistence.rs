//! What survives: snapshots, append-only files, and the commands that move whole keys.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, cmd, entries, open_store, place_many,
    rewrite_log, server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    digest_tells_stores_apart,
    snapshot_survives_a_restart,
    append_only_file_survives_a_restart,
    rewrite_of_the_append_only_file,
    debug_reload_keeps_everything,
    deadlines_are_armed_after_a_load,
    deadlines_that_passed_while_down_are_acted_on,
    idempotency_survives_a_restart,
    dump_and_restore,
    copy_is_a_store_of_its_own,
    rename_keeps_everything,
    move_and_swapdb_keep_everything,
    deadlines_follow_the_key,
    deleting_a_store_disarms_it,
    flushall_disarms_everything,
    unlink_of_a_big_store_does_not_block,
    memory_usage_is_what_memory_grows_by,
    memory_usage_counts_ids_that_moved,
    what_takes_no_memory_adds_nothing_to_memory_usage,
    what_is_forgotten_gives_its_memory_back,
];

/// A store with some of everything: settings, stock, live and ended holds, orders in every state, REFs, a source.
pub fn open_full_store(client: &mut Client, key: &str) {
    open_store(client, key, 10_000);
    client.ok(format!("STORE.SET {key} limit 5000 journal 300 history 40 sla-ms 900000"));
    client.int(format!("INV.SET {key} sku-2 500 SAFETY 5 LOW 20 LIMIT 400"));
    client.int(cmd!["INV.SET", key, b"\0odd\xff", 7]);
    client.text(format!("INV.SYNC {key} erp 42 ITEMS sku-3 30 sku-4 0"));
    client.int(format!("INV.ADJUST {key} sku-2 -3 REASON broken REF r-1"));
    for number in 0..60 {
        let customer = number % 11;
        client.int(format!("INV.RESERVE {key} h-{number} CUSTOMER c-{customer} ITEMS sku-1 3 sku-2 1"));
        client.text(format!("ORDER.PLACE {key} o-{number} c-{customer} GROUP g-{customer} DATA {{}} ITEMS sku-1 2"));
        match number % 6 {
            0 => drop(client.int(format!("INV.COMMIT {key} h-{number}"))),
            1 => drop(client.int(format!("INV.RELEASE {key} h-{number} REF rel-{number} ITEMS sku-1 1"))),
            2 => drop(client.text(format!("ORDER.PLACE {key} x-{number} c-{customer} HOLD h-{number}"))),
            3 => drop(client.text(format!("ORDER.COMPLETE {key} o-{number} RESULT {{}}"))),
            4 => drop(client.int(format!("ORDER.CANCEL {key} o-{number} REASON none"))),
            _ => drop(client.int(format!("INV.EXTEND {key} h-{number} 9000000"))),
        }
    }
    client.int(format!("ORDER.RETURN {key} o-3 REF ret-3 ITEMS sku-1 1"));
    client.text(cmd!["ORDER.PLACE", key, b"\0\xff", b"\r\n", "ITEMS", b"\0odd\xff", 2]);
    put_to_work(client, key);
}

/// Orders that are claimed, in backoff, due again, dead and redriven.
fn put_to_work(client: &mut Client, key: &str) {
    let retries = client.int(format!("XLEN {}", stream(key, "retry")));
    for number in 0..8 {
        client.text(format!("ORDER.PLACE {key} w-{number} c-w GROUP w-{} ITEMS sku-1 1", number % 3));
    }
    claim(client, format!("ORDER.CLAIM {key} worker-1 COUNT 4 LEASE 3600000"));
    client.get(format!("ORDER.FAIL {key} w-3 REASON later AFTER 3600000"));
    client.get(format!("ORDER.FAIL {key} w-4 REASON never FATAL"));
    client.get(format!("ORDER.FAIL {key} w-5 REASON never FATAL"));
    client.int(format!("ORDER.REDRIVE {key} w-5"));
    client.int(format!("ORDER.ADVANCE {key} w-6 packed"));
    client.get(format!("ORDER.FAIL {key} w-0 REASON soon AFTER 1"));
    wait_until(DEADLINE, "the retry is due", || client.int(format!("XLEN {}", stream(key, "retry"))) > retries);
}

/// The key of a stream of a store.
fn stream(key: &str, name: &str) -> String {
    if key.contains('{') { format!("{key}:{name}") } else { format!("{{{key}}}:{name}") }
}

fn digest_tells_stores_apart(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let mut seen = vec![client.digest_value("popup")];
    for command in [
        "STORE.SET popup limit 4",
        "INV.SET popup sku-1 11",
        "INV.SET popup sku-1 11 LOW 3",
        "INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 1",
        "INV.RESERVE popup h-1 TTL 60000 REPLACE ITEMS sku-1 2",
        "INV.EXTEND popup h-1 90000",
        "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1",
        "INV.RELEASE popup h-1",
        "ORDER.COMPLETE popup o-1",
        "ORDER.RETURN popup o-1 REF r-1 ITEMS sku-1 1",
        "INV.SYNC popup erp 1 ITEMS sku-1 11",
        "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1",
        "ORDER.ADVANCE popup o-2 picked",
        "ORDER.CLAIM popup w-1 LEASE 3600000",
        "ORDER.YIELD popup w-1",
        "ORDER.FAIL popup o-2 AFTER 3600000",
        "ORDER.FAIL popup o-2 FATAL",
        "ORDER.REDRIVE popup o-2",
        "ORDER.GATE popup o-2 pay 3600000",
        "ORDER.GATE popup o-2 pay 7200000",
        "ORDER.GATE popup o-2 fraud 0",
        "ORDER.PASS popup o-2 pay",
        "ORDER.PASS popup o-2 fraud",
    ] {
        client.get(command);
        let digest = client.digest_value("popup");
        assert!(!seen.contains(&digest), "{command} leaves the digest as it was");
        seen.push(digest);
    }
}

fn snapshot_survives_a_restart(binary: &ServerBinary) {
    let mut server = Server::start(binary);
    let mut client = server.client();
    open_full_store(&mut client, "popup");
    open_full_store(&mut client, "shop:{42}");
    let digest = client.digest();
    let order = client.get("ORDER.GET popup o-3");
    client.ok("SAVE");
    server.restart();
    let mut client = server.client();
    assert_eq!(client.digest(), digest);
    assert_eq!(client.get("ORDER.GET popup o-3"), order);
    assert_books_balance(&mut client, "popup");
    assert_books_balance(&mut client, "shop:{42}");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    go_on(&mut client);
}

/// The store continues to work as before.
fn go_on(client: &mut Client) {
    let before = stock(client, "popup", "sku-1");
    client.text("ORDER.PLACE popup after c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup after");
    client.text("ORDER.COMPLETE popup o-0");
    client.int("ORDER.CANCEL popup o-1");
    client.int("INV.RELEASE popup h-5");
    let after = stock(client, "popup", "sku-1");
    assert_eq!((after.0, after.1), (before.0 - 3, before.1 - 2 - 2 - 3));
    assert_eq!(entries(client, "{popup}:complete").last().expect("an entry").text("order"), "o-0");
    assert_books_balance(client, "popup");
}

fn append_only_file_survives_a_restart(binary: &ServerBinary) {
    for fsync in ["always", "everysec"] {
        let mut server = Server::with(binary, &["appendonly yes", &format!("appendfsync {fsync}")]);
        let mut client = server.client();
        open_full_store(&mut client, "popup");
        client.int("INV.RESERVE popup h-short TTL 1 ITEMS sku-1 2");
        wait_until(DEADLINE, "the hold expires", || {
            client.get("INV.HOLD popup h-short").field("state").text() == "expired"
        });
        let digest = client.digest();
        server.restart();
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "appendfsync {fsync}");
        go_on(&mut client);
        let digest = client.digest();
        server.restart();
        assert_eq!(server.debug_digest(), digest, "appendfsync {fsync}");
    }
}

fn rewrite_of_the_append_only_file(binary: &ServerBinary) {
    for preamble in ["yes", "no"] {
        let preamble = format!("aof-use-rdb-preamble {preamble}");
        let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", &preamble]);
        let mut client = server.client();
        open_full_store(&mut client, "popup");
        rewrite_log(&mut client);
        client.text("ORDER.PLACE popup later c-1 ITEMS sku-1 1");
        let digest = client.digest();
        server.restart();
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "{preamble}");
        rewrite_log(&mut client);
        go_on(&mut client);
        let digest = client.digest();
        server.restart();
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "{preamble}");
        assert_books_balance(&mut client, "popup");
    }
}

fn debug_reload_keeps_everything(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_full_store(&mut client, "popup");
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!(client.digest(), digest);
    go_on(&mut client);
}

fn deadlines_are_armed_after_a_load(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 300 ITEMS sku-1 4");
    client.ok("DEBUG RELOAD");
    assert_eq!(stock(&mut client, "popup", "sku-1").1, 4);
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 0);
    assert!(server_now_ms(&mut client) >= deadline_ms);
    assert_books_balance(&mut client, "popup");
}

fn deadlines_that_passed_while_down_are_acted_on(binary: &ServerBinary) {
    for append_only in ["no", "yes"] {
        let append_only = format!("appendonly {append_only}");
        let mut server = Server::with(binary, &[&append_only, "appendfsync always"]);
        let mut client = server.client();
        open_store(&mut client, "popup", 10);
        client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 4");
        let later_ms = client.int("INV.RESERVE popup h-2 TTL 1500 ITEMS sku-1 3");
        client.ok("SAVE");
        server.shutdown();
        let down = std::time::Instant::now();
        wait_until(DEADLINE, "the deadline passes", || down.elapsed().as_millis() > 150);
        server.start_again();
        let mut client = server.client();
        wait_until(DEADLINE, "the first hold expires", || stock(&mut client, "popup", "sku-1").1 <= 3);
        wait_until(DEADLINE, "the second hold expires", || stock(&mut client, "popup", "sku-1").1 == 0);
        assert!(server_now_ms(&mut client) >= later_ms, "{append_only}");
        client.refused("EXPIRED", "INV.COMMIT popup h-1");
        assert_books_balance(&mut client, "popup");
    }
}

fn idempotency_survives_a_restart(binary: &ServerBinary) {
    let mut server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    let calls = [
        "INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 2",
        "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2",
        "ORDER.COMPLETE popup o-1 RESULT {}",
        "ORDER.RETURN popup o-1 REF r-1 ITEMS sku-1 1",
        "INV.ADJUST popup sku-1 5 REF r-2",
        "INV.COMMIT popup h-1 REF r-3 ITEMS sku-1 1",
    ];
    let first: Vec<Reply> = calls.iter().map(|call| client.get(*call)).collect();
    let digest = client.digest();
    client.ok("SAVE");
    server.restart();
    let mut client = server.client();
    for (call, first) in calls.iter().zip(&first) {
        assert_eq!(client.get(*call), *first, "{call}");
    }
    assert_eq!(client.digest(), digest);
    client.refused("MISMATCH", "INV.ADJUST popup sku-1 6 REF r-2");
}

/// DUMP of a key, as bytes.
fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    client.get(cmd!["DUMP", key]).bytes().to_vec()
}

fn dump_and_restore(binary: &ServerBinary) {
    let server = Server::start(binary);
    let elsewhere = Server::start(binary);
    let mut client = server.client();
    open_full_store(&mut client, "popup");
    let payload = dump(&mut client, "popup");
    let mut other = elsewhere.client();
    other.ok(cmd!["RESTORE", "popup", 0, &payload]);
    assert_eq!(other.digest_value("popup"), client.digest_value("popup"));
    assert_eq!(dump(&mut other, "popup"), payload, "the same state is the same bytes");
    assert_eq!(other.get("INV.GET popup sku-1 sku-2"), client.get("INV.GET popup sku-1 sku-2"));
    // The streams were not restored: a repair writes them.
    let open = client.int("XLEN {popup}:orders");
    let listed = client.int("XLEN {popup}:retry") + client.int("XLEN {popup}:dead");
    assert_eq!(other.int("STORE.REPAIR popup"), open + listed);
    assert_eq!(other.int("XLEN {popup}:orders"), open);
    assert_books_balance(&mut other, "popup");
    client.ok(cmd!["RESTORE", "popup", 0, &payload, "REPLACE"]);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    go_on(&mut client);
}

fn copy_is_a_store_of_its_own(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_full_store(&mut client, "popup");
    assert_eq!(client.int("COPY popup second"), 1);
    let digest = client.digest_value("popup");
    assert_eq!(client.digest_value("second"), digest);
    let streams = entries(&mut client, "{popup}:orders");
    client.text("ORDER.PLACE second o-new c-1 ITEMS sku-1 1");
    client.int("INV.SET second sku-1 1");
    client.text("ORDER.COMPLETE second o-0");
    client.get("STORE.REPAIR second");
    assert_eq!(client.digest_value("popup"), digest);
    assert_eq!(entries(&mut client, "{popup}:orders"), streams, "the first store's streams are its own");
    assert_eq!(client.int("XLEN {second}:orders"), streams.len() as i64);
    assert_books_balance(&mut client, "second");
    client.get("STORE.DROP second");
    assert_eq!(client.digest_value("popup"), digest);
    assert_eq!(client.int("EXISTS {second}:orders {second}:complete {second}:journal"), 0);
    assert_eq!(entries(&mut client, "{popup}:orders"), streams);
    go_on(&mut client);
}

fn rename_keeps_everything(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_full_store(&mut client, "popup");
    let digest = client.digest_value("popup");
    let open = client.int("XLEN {popup}:orders");
    let listed = client.int("XLEN {popup}:retry") + client.int("XLEN {popup}:dead");
    client.ok("RENAME popup other");
    assert_eq!(client.digest_value("other"), digest);
    assert_eq!(client.int("STORE.REPAIR other"), open + listed, "streams are found by the store's name");
    client.text("ORDER.COMPLETE other o-0");
    assert_eq!(client.int("XLEN {other}:orders"), open - 1);
    assert_eq!(client.int("XLEN {popup}:orders"), open);
    assert_books_balance(&mut client, "other");
    client.refused("NOSTORE", "STORE.INFO popup");
}

fn move_and_swapdb_keep_everything(binary: &ServerBinary) {
    if !binary.returns_from_other_databases() {
        return;
    }
    let server = Server::start(binary);
    let mut client = server.client();
    open_full_store(&mut client, "popup");
    let digest = client.digest_value("popup");
    for key in ["", ":orders", ":complete", ":journal", ":retry", ":dead", ":alerts"] {
        let key = if key.is_empty() { "popup".to_owned() } else { format!("{{popup}}{key}") };
        assert_eq!(client.int(format!("MOVE {key} 3")), 1, "{key}");
    }
    client.refused("NOSTORE", "STORE.INFO popup");
    client.ok("SELECT 3");
    assert_eq!(client.digest_value("popup"), digest);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    client.ok("SWAPDB 3 5");
    client.refused("NOSTORE", "STORE.INFO popup");
    client.ok("SELECT 5");
    assert_eq!(client.digest_value("popup"), digest);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    go_on(&mut client);
    client.ok("SELECT 0");
    assert_eq!(client.int("DBSIZE"), 0, "nothing was written to the database it was in before");
}

/// However a store changes its name or database, its holds expire there.
fn deadlines_follow_the_key(binary: &ServerBinary) {
    let ways: &[(&str, &[&str], &str, u8)] = &[
        ("RENAME", &["RENAME popup other"], "other", 0),
        ("COPY", &["COPY popup other", "UNLINK popup"], "other", 0),
        ("COPY to a database", &["COPY popup other DB 4", "DEL popup"], "other", 4),
        ("MOVE", &["MOVE popup 2"], "popup", 2),
        ("SWAPDB", &["SWAPDB 0 1"], "popup", 1),
        ("SWAPDB twice", &["SWAPDB 0 1", "SWAPDB 1 2"], "popup", 2),
        ("RENAME over a store", &["INV.SET other sku-1 9", "RENAME popup other"], "other", 0),
    ];
    let server = Server::start(binary);
    for (way, commands, key, database) in ways {
        let mut client = server.client();
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", 10);
        let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 150 ITEMS sku-1 4");
        for command in *commands {
            client.get(*command);
        }
        client.ok(format!("SELECT {database}"));
        wait_until(DEADLINE, &format!("the hold expires after {way}"), || stock(&mut client, key, "sku-1").1 == 0);
        assert!(server_now_ms(&mut client) >= deadline_ms, "{way}");
        assert_books_balance(&mut client, key);
    }
    let mut client = server.client();
    client.ok("FLUSHALL");
    open_store(&mut client, "popup", 10);
    client.int("INV.RESERVE popup h-1 TTL 150 ITEMS sku-1 4");
    let payload = dump(&mut client, "popup");
    client.int("DEL popup");
    client.ok(cmd!["RESTORE", "elsewhere", 0, payload]);
    wait_until(DEADLINE, "the hold expires after RESTORE", || stock(&mut client, "elsewhere", "sku-1").1 == 0);
}

/// Every way to remove a store while one of its holds is due. At the deadline nothing is found, and nothing breaks.
fn deleting_a_store_disarms_it(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for (number, way) in
        ["DEL popup", "UNLINK popup", "SET popup text", "PEXPIRE popup 5", "STORE.DROP popup"].iter().enumerate()
    {
        open_store(&mut client, "popup", 10);
        let deadline_ms = client.int(format!("INV.RESERVE popup h-{number} TTL 40 ITEMS sku-1 4"));
        client.get(*way);
        wait_until(DEADLINE, "the deadline passes", || server_now_ms(&mut client) > deadline_ms + 20);
        wait_until(DEADLINE, "the store is gone", || client.text("TYPE popup") != "holdstore");
        client.ok("FLUSHALL");
    }
    // A new store at the old key is not changed by the old one's deadlines.
    open_store(&mut client, "popup", 10);
    client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 4");
    client.int("DEL popup");
    open_store(&mut client, "popup", 10);
    client.int("INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 3");
    let now_ms = server_now_ms(&mut client);
    wait_until(DEADLINE, "the old deadline passes", || server_now_ms(&mut client) > now_ms + 120);
    assert_eq!(stock(&mut client, "popup", "sku-1").1, 3);
}

fn flushall_disarms_everything(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for way in ["FLUSHALL ASYNC", "FLUSHALL SYNC", "FLUSHDB"] {
        for number in 0..20 {
            open_store(&mut client, &format!("store-{number}"), 10);
            client.int(format!("INV.RESERVE store-{number} h-1 TTL 50 ITEMS sku-1 4"));
        }
        client.ok(way);
        assert_eq!(client.int("DBSIZE"), 0);
        open_store(&mut client, "store-1", 10);
        client.int("INV.RESERVE store-1 h-1 TTL 80 ITEMS sku-1 4");
        wait_until(DEADLINE, "the new store's hold expires", || stock(&mut client, "store-1", "sku-1").1 == 0);
        assert_eq!(client.int("DBSIZE"), 1);
        client.ok("FLUSHALL");
    }
}

fn unlink_of_a_big_store_does_not_block(binary: &ServerBinary) {
    const ORDERS: usize = 50_000;
    const SLOWEST_US: i64 = 5_000;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", ORDERS as i64);
    place_many(&mut client, "popup", 0..ORDERS);
    client.ok(format!("CONFIG SET slowlog-log-slower-than {SLOWEST_US}"));
    client.ok("SLOWLOG RESET");
    assert_eq!(client.int("UNLINK popup"), 1);
    let slow = client.get("SLOWLOG GET");
    let unlinks = slow.array().iter().filter(|entry| entry.array()[3].texts()[0] == "UNLINK");
    assert_eq!(unlinks.count(), 0, "over {SLOWEST_US} µs: {slow:?}");
    wait_until(DEADLINE, "it is freed in the background", || client.info("memory", "lazyfree_pending_objects") == "0");
    open_store(&mut client, "popup", 10);
}

fn memory_usage_is_what_memory_grows_by(binary: &ServerBinary) {
    memory_usage_follows(binary, 50_000, |_| ());
}

/// A store whose stream somebody pushed ahead remembers two ids for each order.
fn memory_usage_counts_ids_that_moved(binary: &ServerBinary) {
    memory_usage_follows(binary, 10_000, |client| {
        client.text("XADD {popup}:orders 99999999999999-1 not an-order");
    });
}

fn memory_usage_follows(binary: &ServerBinary, orders: usize, prepare: fn(&mut Client)) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", orders as i64);
    prepare(&mut client);
    // The client's buffers have reached their size before anything is measured.
    place_many(&mut client, "popup", 0..2000);
    let used = |client: &mut Client| client.info("memory", "used_memory").parse::<f64>().expect("a number");
    let said = |client: &mut Client| {
        let of = |client: &mut Client, key: &str| client.int(format!("MEMORY USAGE {key} SAMPLES 0")) as f64;
        of(client, "popup") + of(client, "{popup}:orders")
    };
    let (used_before, said_before) = (used(&mut client), said(&mut client));
    place_many(&mut client, "popup", 2000..orders);
    let (grown, said) = (used(&mut client) - used_before, said(&mut client) - said_before);
    let ratio = said / grown;
    assert!((0.9..=1.1).contains(&ratio), "MEMORY USAGE grew by {said}, used_memory by {grown}: {ratio:.3}");
}

/// What a call refuses, replies and publishes is freed elsewhere than it was allocated: none of it is the store's.
fn what_takes_no_memory_adds_nothing_to_memory_usage(binary: &ServerBinary) {
    const ROUNDS: usize = 500;
    const MOST_BYTES: i64 = 4096;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.ok("STORE.SET popup journal 10 metrics 10");
    place_many(&mut client, "popup", 0..10);
    let mut said = Vec::new();
    // Of the first round on, each order's history has as many events as it may.
    for _ in 0..3 {
        for _ in 0..ROUNDS {
            client.refused("OUTOFSTOCK", "ORDER.PLACE popup one-too-many a-customer ITEMS sku-1 1");
            assert_eq!(client.get("ORDER.CLAIM popup a-worker COUNT 10").array().len(), 10);
            assert_eq!(client.int("ORDER.YIELD popup a-worker"), 10);
            client.int("INV.ADJUST popup sku-1 1");
            client.int("INV.ADJUST popup sku-1 -1");
        }
        said.push(client.int("MEMORY USAGE popup SAMPLES 0"));
    }
    assert!((said[2] - said[1]).abs() < MOST_BYTES, "MEMORY USAGE of a store that stays the same: {said:?}");
}

/// A store that sells the same volume again and again, and forgets what ended, stops growing.
fn what_is_forgotten_gives_its_memory_back(binary: &ServerBinary) {
    const ORDERS: usize = 5000;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", (ORDERS * 10) as i64);
    client.ok("STORE.SET popup keep-ms 1 history 10");
    let mut bytes = Vec::new();
    for _ in 0..5 {
        place_many(&mut client, "popup", 0..ORDERS);
        for from in (0..ORDERS).step_by(1000) {
            let complete = |number| cmd!["ORDER.COMPLETE", "popup", format!("order-{number:010}")];
            let commands: Vec<_> = (from..from + 1000).map(complete).collect();
            assert!(client.pipeline(&commands).iter().all(|reply| !reply.is_error()));
        }
        let first = "ORDER.GET popup order-0000000000";
        let last = format!("ORDER.GET popup order-{:010}", ORDERS - 1);
        for order in [first, &last] {
            wait_until(DEADLINE, "ended orders are forgotten", || client.call(order).is_error());
        }
        bytes.push(client.get("STORE.INFO popup").field("bytes").int());
    }
    assert!(bytes[4] <= bytes[1] + bytes[1] / 10, "bytes after each round: {bytes:?}");
    assert_books_balance(&mut client, "popup");
}
