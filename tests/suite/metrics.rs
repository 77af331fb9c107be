//! What a store counts, and the samples it writes to `…:metrics`.

use crate::common::{
    COUNTERS, Client, DEADLINE, Entry, Server, ServerBinary, claim_one, entries, info, open_store, rewrite_log,
    server_now_ms, tests, wait_until,
};

tests![
    a_sample_says_what_store_info_says,
    a_sample_a_second_while_anything_changes,
    a_quiet_store_writes_none,
    latencies_are_of_the_orders_since_the_last_sample,
    every_refusal_has_its_counter,
    looking_changes_nothing,
    refusals_travel_with_the_next_sample,
    replica_log_and_snapshot_have_the_same_samples,
    a_promoted_replica_goes_on_with_them,
    the_stream_is_capped_or_left_out,
    an_outsider_in_the_stream_stops_neither_sale_nor_samples,
    a_sample_breaks_no_transaction,
    oversold_is_what_was_counted_away,
    info_sums_all_stores,
    a_thousand_stores_are_all_sampled,
    samples_can_be_rarer_or_none,
];

const METRICS: &str = "{popup}:metrics";

const REFUSALS: &[&str] = &[
    "refused-nosku",
    "refused-nohold",
    "refused-noorder",
    "refused-outofstock",
    "refused-limit",
    "refused-notopen",
    "refused-closed",
    "refused-expired",
    "refused-badstate",
    "refused-mismatch",
    "refused-fenced",
    "refused-gap",
    "refused-err",
    "refused-nogate",
];

/// Gauges of a sample.
const GAUGES: &[&str] = &[
    "skus",
    "on-hand",
    "available",
    "held",
    "sold",
    "oversold",
    "queued",
    "in-work",
    "retrying",
    "dead-letters",
    "pending",
    "waitlisted",
    "overflow",
    "holds",
    "customers",
    "workers",
    "oldest-waiting-ms",
];

/// What only a sample has.
const TIMES: &[&str] = &["p50-ms", "p99-ms", "max-ms"];

/// A server with a store `popup` that keeps samples, with this many units of `sku-1`.
fn shop(binary: &ServerBinary, config: &[&str], units: i64) -> (Server, Client) {
    let server = Server::with(binary, config);
    let mut client = server.client();
    open_store(&mut client, "popup", units);
    client.ok("STORE.SET popup metrics 7200");
    (server, client)
}

fn number(entry: &Entry, field: &str) -> i64 {
    entry.text(field).parse().unwrap_or_else(|_| panic!("{field} of {entry:?} is no number"))
}

/// The last sample, once it has this number in this field.
#[track_caller]
fn sample_with(client: &mut Client, field: &str, wanted: i64) -> Entry {
    let mut last = None;
    wait_until(DEADLINE, &format!("a sample has {field} {wanted}"), || {
        last = entries(client, METRICS).pop();
        last.as_ref().is_some_and(|entry| number(entry, field) == wanted)
    });
    last.expect("a sample")
}

/// Makes a call that must be refused. ([`Client::refused`] compares digests, and would stop the samples.)
#[track_caller]
fn refuse(client: &mut Client, code: &str, command: &str) {
    assert_eq!(client.call(command).code(), code, "{command}");
}

/// Some of everything: two completed, one dead, one retrying, one in work, one cancelled, one returned unit, a hold
/// that expires, one that lives, and five refusals.
fn busy_day(client: &mut Client) {
    client.ok("STORE.SET popup backoff-ms 3600000 backoff-cap-ms 3600000 lease-ms 3600000");
    for order in 1..=6 {
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 2"));
    }
    client.text("ORDER.COMPLETE popup o-1");
    client.text("ORDER.COMPLETE popup o-2");
    client.int("ORDER.RETURN popup o-2 ITEMS sku-1 1");
    client.get("ORDER.FAIL popup o-3 FATAL");
    client.get("ORDER.FAIL popup o-4");
    client.int("ORDER.CANCEL popup o-6");
    assert_eq!(claim_one(client, "ORDER.CLAIM popup w-1").order, "o-5");
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the hold expires", || info(client, "expired") == 1);
    client.int("INV.RESERVE popup h-2 ITEMS sku-1 3");
    for _ in 0..4 {
        refuse(client, "OUTOFSTOCK", "ORDER.PLACE popup o-9 c-9 ITEMS sku-1 1000");
    }
    refuse(client, "NOORDER", "ORDER.COMPLETE popup o-9");
}

fn a_sample_says_what_store_info_says(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &[], 100);
    busy_day(&mut client);
    let sample = sample_with(&mut client, "refused-noorder", 1);
    let shared = [COUNTERS, REFUSALS, GAUGES].concat();
    assert_eq!(sample.names(), [&shared[..], TIMES].concat(), "every field, in the order that the contract gives them");
    let info_names: Vec<_> = client.get("STORE.INFO popup").pairs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(info_names, [&shared[..], &["completed-kept", "cancelled-kept", "next-due", "bytes"]].concat());
    for field in shared.into_iter().filter(|field| *field != "oldest-waiting-ms") {
        assert_eq!(number(&sample, field), info(&mut client, field), "{field}");
    }
    let told = ["placed", "completed", "dead-letters", "retrying", "in-work", "expired", "holds", "overflow"];
    assert_eq!(told.map(|field| number(&sample, field)), [6, 2, 1, 1, 1, 1, 1, 6 + 4 - 2]);
    assert_eq!(number(&sample, "sold"), number(&sample, "units-sold") - number(&sample, "returned"));
}

fn a_sample_a_second_while_anything_changes(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &[], 1_000_000);
    let mut placed = 0;
    wait_until(DEADLINE, "there are four samples", || {
        client.text(format!("ORDER.PLACE popup o-{placed} c-1 ITEMS sku-1 1"));
        placed += 1;
        client.int(format!("XLEN {METRICS}")) >= 4
    });
    let samples = entries(&mut client, METRICS);
    for pair in samples.windows(2) {
        assert!(pair[1].ms() - pair[0].ms() >= 1_000, "{} and {}", pair[0].id, pair[1].id);
        assert!(number(&pair[1], "placed") > number(&pair[0], "placed"));
    }
}

fn a_quiet_store_writes_none(binary: &ServerBinary) {
    const SAMPLE_MS: i64 = 3_000;
    let (_server, mut client) = shop(binary, &[&format!("holdfast.sample-ms {SAMPLE_MS}")], 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let last = sample_with(&mut client, "placed", 1);
    let length = client.int(format!("XLEN {METRICS}"));
    wait_until(DEADLINE, "time went by", || server_now_ms(&mut client) > last.ms() + SAMPLE_MS);
    client.get("ORDER.GET popup o-1");
    client.get("STORE.INFO popup");
    assert_eq!(client.int(format!("XLEN {METRICS}")), length, "nothing changed, nothing is told");
    // After a quiet time the next change is sampled at once, not one interval later.
    let before = server_now_ms(&mut client);
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    let next = sample_with(&mut client, "placed", 2);
    assert!(next.ms() - before < SAMPLE_MS, "it took {} ms", next.ms() - before);
}

fn latencies_are_of_the_orders_since_the_last_sample(binary: &ServerBinary) {
    const WAIT_MS: i64 = 40;
    let (_server, mut client) = shop(binary, &["holdfast.sample-ms 0"], 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let placed_ms = server_now_ms(&mut client);
    wait_until(DEADLINE, "some time went by", || server_now_ms(&mut client) > placed_ms + WAIT_MS);
    client.text("ORDER.COMPLETE popup o-1");
    let took_ms: i64 = entries(&mut client, "{popup}:complete")[0].text("took-ms").parse().expect("a number");
    client.ok("CONFIG SET holdfast.sample-ms 10");
    client.ok("STORE.SET popup limit 0");
    let sample = sample_with(&mut client, "completed", 1);
    let times = ["p50-ms", "p99-ms", "max-ms"].map(|field| number(&sample, field));
    // Right to within one in a hundred, and never less than the real time.
    assert!(times.iter().all(|ms| (took_ms..=took_ms + took_ms / 100 + 1).contains(ms)), "{times:?} of {took_ms}");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    let sample = sample_with(&mut client, "placed", 2);
    assert_eq!(["p50-ms", "p99-ms", "max-ms"].map(|field| number(&sample, field)), [0; 3], "nothing was completed");
}

fn every_refusal_has_its_counter(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &["holdfast.sample-ms 10"], 10);
    client.ok("STORE.SET popup limit 3");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-2");
    client.text("INV.SYNC popup feed 1 ITEMS sku-2 5");
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the hold expires", || info(&mut client, "expired") == 1);
    let calls = [
        ("NOSKU", "ORDER.PLACE popup o-9 c-9 ITEMS sku-9 1"),
        ("NOHOLD", "INV.RELEASE popup h-9"),
        ("NOORDER", "ORDER.CANCEL popup o-9"),
        ("NOGATE", "ORDER.PASS popup o-1 pay"),
        ("OUTOFSTOCK", "INV.RESERVE popup h-9 ITEMS sku-1 100"),
        ("LIMIT", "ORDER.PLACE popup o-9 c-1 ITEMS sku-1 3"),
        ("EXPIRED", "ORDER.PLACE popup o-9 c-9 HOLD h-1"),
        ("BADSTATE", "ORDER.COMPLETE popup o-2"),
        ("MISMATCH", "ORDER.PLACE popup o-1 c-2 ITEMS sku-1 1"),
        ("FENCED", "ORDER.RENEW popup o-1 TOKEN 7"),
        ("GAP", "INV.SYNC popup feed 9 ITEMS sku-2 5"),
        ("ERR", "ORDER.PLACE popup o-9 c-9 ITEMS sku-1 none"),
    ];
    for (code, call) in calls {
        refuse(&mut client, code, call);
    }
    client.ok("STORE.SET popup opens 9000000000000");
    refuse(&mut client, "NOTOPEN", "ORDER.PLACE popup o-9 c-9 ITEMS sku-1 1");
    client.ok("STORE.SET popup opens 0 closes 1");
    refuse(&mut client, "CLOSED", "ORDER.PLACE popup o-9 c-9 ITEMS sku-1 1");
    let sample = sample_with(&mut client, "refused-closed", 1);
    for field in REFUSALS.iter().filter(|field| **field != "refused-nogate") {
        assert_eq!((number(&sample, field), info(&mut client, field)), (1, 1), "{field}");
    }
}

/// A refused read is counted only in the server's errorstats, and makes no sample.
fn looking_changes_nothing(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &["holdfast.sample-ms 10"], 10);
    open_store(&mut client, "other", 10);
    client.ok("STORE.SET other metrics 7200");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    sample_with(&mut client, "placed", 1);
    let settled = server_now_ms(&mut client) + 100;
    wait_until(DEADLINE, "the last sample of the order is taken", || server_now_ms(&mut client) > settled);
    let length = client.int(format!("XLEN {METRICS}"));
    for (code, read) in [
        ("NOORDER", "ORDER.GET popup o-9"),
        ("NOHOLD", "INV.HOLD popup h-9"),
        ("ERR", "INV.HOLDS popup cursor"),
        ("ERR", "INV.SCAN popup 0 COUNT none"),
        ("ERR", "ORDER.SCAN popup 0 STATE asleep"),
        ("ERR", "STORE.GET popup colour"),
        ("NOSTORE", "INV.GET nowhere sku-1"),
    ] {
        refuse(&mut client, code, read);
    }
    // A refused write of another store is sampled: if the reads of this one were counted, they would be sampled by
    // then, too.
    refuse(&mut client, "NOORDER", "ORDER.CANCEL other o-9");
    wait_until(DEADLINE, "the other store has its sample", || {
        let last = entries(&mut client, "{other}:metrics").pop();
        last.is_some_and(|entry| number(&entry, "refused-noorder") == 1)
    });
    assert_eq!(client.int(format!("XLEN {METRICS}")), length, "a look makes no sample");
    for field in REFUSALS {
        assert_eq!(info(&mut client, field), 0, "{field}");
    }
    let counted = client.text("INFO holdfast");
    assert!(counted.lines().any(|line| line.trim() == "holdfast_noorder:1"), "the write alone: {counted}");
    for code in ["nohold", "err", "nostore"] {
        assert!(!counted.contains(&format!("holdfast_{code}:")), "{code}: {counted}");
    }
    assert_eq!(client.info("errorstats", "errorstat_NOORDER"), "count=2", "the server counts both");
}

fn refusals_travel_with_the_next_sample(binary: &ServerBinary) {
    let (server, mut client) = shop(binary, &["holdfast.sample-ms 0", "repl-ping-replica-period 3600"], 10);
    let replica = server.replica(binary);
    let mut reader = replica.client();
    let offset = |client: &mut Client| client.info("replication", "master_repl_offset");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the replica has the order", || info(&mut reader, "placed") == 1);
    let before = offset(&mut client);
    for _ in 0..1_000 {
        refuse(&mut client, "OUTOFSTOCK", "ORDER.PLACE popup o-9 c-9 ITEMS sku-1 11");
    }
    assert_eq!(offset(&mut client), before, "a refusal is replicated to nobody");
    assert_eq!(info(&mut client, "refused-outofstock"), 1_000, "and known here at once");
    client.ok("CONFIG SET holdfast.sample-ms 1000");
    refuse(&mut client, "OUTOFSTOCK", "ORDER.PLACE popup o-9 c-9 ITEMS sku-1 11");
    sample_with(&mut client, "refused-outofstock", 1_001);
    wait_until(DEADLINE, "the replica knows", || info(&mut reader, "refused-outofstock") == 1_001);
    // What a replica refuses is not a refusal of the store.
    reader.ok("CONFIG SET replica-read-only no");
    refuse(&mut reader, "NOORDER", "ORDER.CANCEL popup o-9");
    assert_eq!(info(&mut reader, "refused-noorder"), 0);
}

fn replica_log_and_snapshot_have_the_same_samples(binary: &ServerBinary) {
    let (mut server, mut client) =
        shop(binary, &["appendonly yes", "appendfsync always", "holdfast.sample-ms 50"], 100);
    let replica = server.replica(binary);
    busy_day(&mut client);
    sample_with(&mut client, "refused-noorder", 1);
    let digest = client.digest();
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == digest);
    let samples = entries(&mut client, METRICS);
    assert!(samples.len() > 1);
    assert_eq!(entries(&mut reader, METRICS), samples);
    // From the append-only file, from a rewritten one, and with what was counted since the last sample.
    client.text("ORDER.COMPLETE popup o-5");
    let digest = client.digest();
    let set = std::fs::read_to_string(server.dir().join("server.conf")).expect("its configuration");
    let set = set.replace("holdfast.sample-ms 50", "holdfast.sample-ms 0");
    std::fs::write(server.dir().join("server.conf"), set).expect("configuration written");
    server.kill9();
    server.start_again();
    let mut client = server.client();
    assert_eq!(client.digest(), digest, "the log leads to the same state");
    rewrite_log(&mut client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.digest(), digest, "so does the rewritten one");
    client.ok("CONFIG SET holdfast.sample-ms 50");
    client.ok("STORE.SET popup limit 0");
    let sample = sample_with(&mut client, "completed", 3);
    assert!(number(&sample, "max-ms") > 0, "the order of before the restart counts: {sample:?}");
}

fn a_promoted_replica_goes_on_with_them(binary: &ServerBinary) {
    let (mut server, mut client) = shop(binary, &["holdfast.sample-ms 0"], 100);
    let replica = server.replica(binary);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the order", || info(&mut reader, "placed") == 1);
    reader.ok("CONFIG SET holdfast.sample-ms 100");
    assert_eq!(reader.int(format!("XLEN {METRICS}")), 0, "a replica takes no samples");
    server.kill9();
    reader.ok("REPLICAOF NO ONE");
    reader.text("ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1");
    sample_with(&mut reader, "placed", 2);
}

fn the_stream_is_capped_or_left_out(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &["holdfast.sample-ms 1"], 1_000_000);
    client.ok("STORE.SET popup metrics 3");
    let mut placed = 0;
    let mut place = |client: &mut Client| {
        placed += 1;
        client.text(format!("ORDER.PLACE popup o-{placed} c-1 ITEMS sku-1 1"));
        sample_with(client, "placed", placed);
        client.int(format!("XLEN {METRICS}"))
    };
    let lengths: Vec<_> = (0..12).map(|_| place(&mut client)).collect();
    assert!(lengths.iter().all(|length| *length <= 3) && lengths.contains(&3), "{lengths:?}");
    client.ok("STORE.SET popup metrics 0");
    let last = entries(&mut client, METRICS).pop();
    client.text("ORDER.PLACE popup last c-1 ITEMS sku-1 1");
    // INFO has the sums as of the last sample, too, which shows that it was taken.
    wait_until(DEADLINE, "a sample is taken", || client.info("holdfast", "holdfast_placed") == "13");
    assert_eq!(entries(&mut client, METRICS).pop(), last);
}

fn an_outsider_in_the_stream_stops_neither_sale_nor_samples(binary: &ServerBinary) {
    let (server, mut client) = shop(binary, &["holdfast.sample-ms 10"], 100);
    let replica = server.replica(binary);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    sample_with(&mut client, "placed", 1);
    client.text(format!("XADD {METRICS} 9999999999999-7 ahead of-all"));
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the next sample is behind it", || {
        let last = entries(&mut client, METRICS).pop().expect("an entry");
        last.id == "9999999999999-8" && last.text("placed") == "2"
    });
    client.int(format!("DEL {METRICS}"));
    client.ok(format!("SET {METRICS} mine"));
    client.text("ORDER.PLACE popup o-3 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "a sample is taken", || client.info("holdfast", "holdfast_placed") == "3");
    assert_eq!(client.text(format!("GET {METRICS}")), "mine");
    client.int(format!("DEL {METRICS}"));
    client.text("ORDER.PLACE popup o-4 c-1 ITEMS sku-1 1");
    sample_with(&mut client, "placed", 4);
    wait_until(DEADLINE, "the replica is the same", || server.debug_digest() == replica.debug_digest());
}

fn a_sample_breaks_no_transaction(binary: &ServerBinary) {
    let (server, mut client) = shop(binary, &["holdfast.sample-ms 10"], 100);
    sample_with(&mut client, "on-hand", 100);
    client.ok("WATCH popup");
    let samples = client.int(format!("XLEN {METRICS}"));
    let mut other = server.client();
    refuse(&mut other, "NOORDER", "ORDER.CANCEL popup o-9");
    wait_until(DEADLINE, "a sample is taken", || other.int(format!("XLEN {METRICS}")) > samples);
    client.ok("MULTI");
    client.get("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    assert_eq!(client.get("EXEC").array().len(), 1, "the store did not change");
}

fn oversold_is_what_was_counted_away(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &["holdfast.sample-ms 10"], 10);
    client.int("INV.SET popup sku-2 10");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 8 sku-2 8");
    assert_eq!(info(&mut client, "oversold"), 0);
    client.int("INV.SET popup sku-1 5");
    client.int("INV.SET popup sku-2 7");
    assert_eq!(number(&sample_with(&mut client, "on-hand", 12), "oversold"), 3 + 1);
    client.int("INV.ADJUST popup sku-1 3");
    client.int("INV.ADJUST popup sku-2 1");
    assert_eq!(number(&sample_with(&mut client, "on-hand", 16), "oversold"), 0);
}

fn info_sums_all_stores(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &["holdfast.sample-ms 10"], 10);
    open_store(&mut client, "other", 5);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE other o-1 c-1 ITEMS sku-1 2");
    refuse(&mut client, "OUTOFSTOCK", "ORDER.PLACE other o-2 c-1 ITEMS sku-1 20");
    let wait_for = |client: &mut Client, wanted: [i64; 4]| {
        let names = ["stores", "placed", "available", "refused_outofstock"].map(|name| format!("holdfast_{name}"));
        let told = |client: &mut Client| names.clone().map(|name| client.info("holdfast", &name));
        let wanted = wanted.map(|number| number.to_string());
        wait_until(DEADLINE, &format!("INFO says {wanted:?}"), || told(client) == wanted);
    };
    wait_for(&mut client, [2, 2, 12, 1]);
    client.int("COPY other third");
    wait_for(&mut client, [3, 3, 15, 2]);
    client.int("UNLINK third");
    wait_for(&mut client, [2, 2, 12, 1]);
    client.ok("STORE.DROP popup");
    wait_for(&mut client, [1, 1, 3, 1]);
    client.ok("FLUSHALL ASYNC");
    wait_for(&mut client, [0, 0, 0, 0]);
}

fn a_thousand_stores_are_all_sampled(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for store in 0..1_000 {
        client.int(format!("INV.SET s-{store} sku-1 7"));
    }
    wait_until(DEADLINE, "every store has a sample", || {
        (0..1_000).all(|store| client.int(format!("XLEN {{s-{store}}}:metrics")) > 0)
    });
    assert_eq!(client.info("holdfast", "holdfast_on_hand"), "7000");
}

fn samples_can_be_rarer_or_none(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &[], 10);
    assert_eq!(client.get("CONFIG GET holdfast.sample-ms").field("holdfast.sample-ms").text(), "1000");
    for bad in ["-1", "3600001", "often"] {
        assert!(client.call(format!("CONFIG SET holdfast.sample-ms {bad}")).is_error(), "{bad}");
    }
    client.ok("CONFIG SET holdfast.sample-ms 0");
    let length = client.int(format!("XLEN {METRICS}"));
    let before = server_now_ms(&mut client);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "more than a second went by", || server_now_ms(&mut client) > before + 1_200);
    assert_eq!(client.int(format!("XLEN {METRICS}")), length);
    client.ok("CONFIG SET holdfast.sample-ms 1000");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    sample_with(&mut client, "placed", 2);
}
