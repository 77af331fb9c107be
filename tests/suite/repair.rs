//! STORE.REPAIR makes the streams of orders exactly match the books, in both directions, and counts its changes;
//! STORE.AUDIT lists every difference. The same on a replica and from an append-only file.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, claim, cmd, entries, info, open_store,
    server_now_ms, tests, wait_until,
};

tests![
    repair_removes_what_belongs_to_nothing,
    repair_writes_anew_what_says_something_else,
    repair_in_a_transaction_and_a_script,
    repair_gives_no_id_twice,
    a_retry_whose_lease_ended_is_left_alone,
    an_audit_compares_entries_not_only_lengths,
    leftovers_of_an_older_store,
    leftovers_of_a_store_whose_time_was_over,
    a_full_stream_is_refused_and_told,
    a_full_log_goes_without_entries,
    a_store_that_shares_its_streams_is_not_repaired,
    repair_lets_others_work,
];

const ORDERS: &str = "{popup}:orders";
const RETRY: &str = "{popup}:retry";
const DEAD: &str = "{popup}:dead";
const COMPLETE: &str = "{popup}:complete";
const JOURNAL: &str = "{popup}:journal";

/// The largest possible id.
const GREATEST: &str = "18446744073709551615-18446744073709551615";

/// A server with an append-only file and a replica.
fn with_replica(binary: &ServerBinary) -> (Server, Server) {
    let server = Server::with(binary, &["appendonly yes", "appendfsync always", "holdfast.sample-ms 0"]);
    let replica = server.replica(binary);
    (server, replica)
}

/// Waits until the replica is the same, and loads the append-only file: the result is the same, too.
#[track_caller]
fn assert_all_the_same(server: &Server, replica: &Server) {
    let (mut client, mut reader) = (server.client(), replica.client());
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
    let digest = client.digest();
    client.ok("DEBUG LOADAOF");
    assert_eq!(client.digest(), digest, "the log leads to the same state");
}

/// What the audit says about the streams: name, books, recount.
#[track_caller]
fn streams_differ(client: &mut Client) -> Vec<(String, i64, i64)> {
    let row = |reply: &Reply| {
        assert_eq!(reply.field("what").text(), "stream", "{reply:?}");
        (reply.field("id").text(), reply.field("books").int(), reply.field("recount").int())
    };
    client.get("STORE.AUDIT popup").array().iter().map(row).collect()
}

/// A store with entries in all its streams of orders: o-0 to o-3 wait, o-4 is a due retry, o-5 and o-6 are dead, o-7 is
/// completed.
fn open_shop(client: &mut Client) {
    open_store(client, "popup", 100);
    for number in 0..8 {
        client.text(format!("ORDER.PLACE popup o-{number} c-{number} DATA {{}} ITEMS sku-1 2"));
    }
    client.get("ORDER.FAIL popup o-4 REASON late AFTER 0");
    client.get("ORDER.FAIL popup o-5 REASON gone FATAL");
    client.get("ORDER.FAIL popup o-6 REASON gone FATAL");
    client.text("ORDER.COMPLETE popup o-7");
    wait_until(DEADLINE, "the retry is due", || client.int(format!("XLEN {RETRY}")) == 1);
}

fn repair_removes_what_belongs_to_nothing(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    // Older than all later ones.
    client.text(format!("XADD {ORDERS} 5-1 not an-order"));
    client.text(format!("XADD {DEAD} 5-18446744073709551615 order o-5"));
    open_shop(&mut client);
    client.text(format!("XADD {ORDERS} * order o-1 customer c-1 items [[\"sku-1\",2]] data {{}}"));
    client.text(format!("XADD {ORDERS} * order o-7 customer c-7 items [[\"sku-1\",2]] data {{}}"));
    client.text(format!("XADD {ORDERS} * order nobody customer c-1 items [] data x"));
    client.text(format!("XADD {ORDERS} * 1 2 3 4 5 6 7 8 9 10"));
    client.text(format!("XADD {RETRY} * order o-0 attempt 2 reason late"));
    client.text(format!("XADD {DEAD} 9999999999999-18446744073709551615 order o-5 attempts 1 reason gone"));
    let whole = [ORDERS, RETRY, DEAD].map(|stream| client.int(format!("XLEN {stream}")));
    assert_eq!(whole, [5 + 5, 1 + 1, 2 + 2]);
    let differ = [("orders", 5, 10), ("retry", 1, 2), ("dead", 2, 4)].map(|(id, b, r)| (id.to_string(), b, r));
    assert_eq!(streams_differ(&mut client), differ);
    assert_eq!(client.int("STORE.REPAIR popup"), 5 + 1 + 2);
    assert_books_balance(&mut client, "popup");
    let left = entries(&mut client, ORDERS).iter().map(|entry| entry.text("order")).collect::<Vec<_>>();
    assert_eq!(left, ["o-0", "o-1", "o-2", "o-3", "o-4"]);
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_all_the_same(&server, &replica);
    assert_books_balance(&mut replica.client(), "popup");
    // An entry that was written after an id from the future is found by its order.
    client.get("ORDER.FAIL popup o-0 FATAL");
    client.int("ORDER.REDRIVE popup ALL");
    (0..7).for_each(|number| drop(client.text(format!("ORDER.COMPLETE popup o-{number}"))));
    assert_eq!([ORDERS, RETRY, DEAD].map(|stream| client.int(format!("XLEN {stream}"))), [0; 3]);
    assert_all_the_same(&server, &replica);
}

/// Another client wrote a stream again, under the same ids.
fn repair_writes_anew_what_says_something_else(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    for (stream, field) in
        [(ORDERS, "customer"), (ORDERS, "items"), (ORDERS, "data"), (RETRY, "reason"), (DEAD, "attempts")]
    {
        let before = entries(&mut client, stream);
        client.int(format!("DEL {stream}"));
        for (at, entry) in before.iter().enumerate() {
            let mut words = cmd!["XADD", stream, &entry.id];
            for (name, value) in &entry.fields {
                let value = if at == 0 && name == field { b"7777777".to_vec() } else { value.clone() };
                words.extend([name.as_bytes().to_vec(), value]);
            }
            client.text(words);
        }
        let (id, books) = (stream.rsplit(':').next().expect("a name").to_string(), before.len() as i64);
        assert_eq!(streams_differ(&mut client), [(id, books, books - 1)], "{stream} {field}");
        assert_eq!(client.int("STORE.REPAIR popup"), 2, "{stream} {field}: removed and written anew");
        assert_books_balance(&mut client, "popup");
        let bare = |entry: &crate::common::Entry| entry.fields.clone();
        let mut after = entries(&mut client, stream).iter().map(bare).collect::<Vec<_>>();
        after.rotate_right(1);
        assert_eq!(after, before.iter().map(bare).collect::<Vec<_>>(), "{stream} {field}");
    }
    assert_all_the_same(&server, &replica);
}

/// No caller can wait there: it is done at once.
fn repair_in_a_transaction_and_a_script(binary: &ServerBinary) {
    const MANY: usize = 3_000;
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    let foreign: Vec<_> = (0..MANY).map(|number| cmd!["XADD", ORDERS, "*", "order", number]).collect();
    client.pipeline(&foreign);
    client.ok("MULTI");
    client.text("STORE.REPAIR popup");
    client.text("STORE.AUDIT popup");
    assert_eq!(client.get("EXEC"), Reply::Array(vec![Reply::Int(MANY as i64), Reply::Array(Vec::new())]));
    client.pipeline(&foreign);
    client.int(format!("DEL {DEAD}"));
    let repaired = client.int(cmd!["EVAL", "return redis.call('STORE.REPAIR', KEYS[1])", 1, "popup"]);
    assert_eq!(repaired, MANY as i64 + 2);
    assert_books_balance(&mut client, "popup");
    assert_all_the_same(&server, &replica);
}

/// Orders are visited as they are in memory, not by age. One that is older than entries written before gets a new id,
/// never the id of an order that is visited later.
fn repair_gives_no_id_twice(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for round in 0..5 {
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", 1000);
        let place = |number: usize| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c-1", "ITEMS", "sku-1", 1];
        client.pipeline(&(0..450).map(place).collect::<Vec<_>>());
        // Ten slots in memory become free, and new orders use them.
        client.ok("STORE.SET popup keep-ms 1");
        for number in 0..10 {
            client.int(format!("ORDER.CANCEL popup o-{number}"));
        }
        wait_until(DEADLINE, "they are forgotten", || info(&mut client, "cancelled-kept") == 0);
        // Mostly in one millisecond.
        client.ok("MULTI");
        (450..510).for_each(|number| drop(client.text(place(number))));
        assert_eq!(client.get("EXEC").array().len(), 60);
        client.int(format!("DEL {ORDERS}"));
        assert_eq!(client.int("STORE.REPAIR popup"), 500, "round {round}");
        assert_books_balance(&mut client, "popup");
        assert_eq!(client.int("STORE.REPAIR popup"), 0, "round {round}");
    }
}

/// When a lease expires, that is another attempt, and the entry in `…:retry` does not change: that is no difference.
fn a_retry_whose_lease_ended_is_left_alone(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    assert_eq!(claim(&mut client, "ORDER.CLAIM popup w-1 LEASE 1")[0].order, "o-4");
    wait_until(DEADLINE, "the lease ends", || info(&mut client, "lapsed") == 1);
    assert_eq!(entries(&mut client, RETRY)[0].text("attempt"), "2");
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    client.int(format!("DEL {RETRY}"));
    assert_eq!(client.int("STORE.REPAIR popup"), 1);
    assert_eq!(entries(&mut client, RETRY)[0].text("attempt"), "3", "the attempt that is next");
    assert_books_balance(&mut client, "popup");
    assert_all_the_same(&server, &replica);
}

fn an_audit_compares_entries_not_only_lengths(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_shop(&mut client);
    for stream in [ORDERS, RETRY, DEAD] {
        let first = entries(&mut client, stream)[0].id.clone();
        client.int(format!("XDEL {stream} {first}"));
        client.text(format!("XADD {stream} * order o-9 customer c-1 items [] data x"));
    }
    let differ = [("orders", 5, 4), ("retry", 1, 0), ("dead", 2, 1)].map(|(id, b, r)| (id.to_string(), b, r));
    assert_eq!(streams_differ(&mut client), differ);
    assert_eq!(client.int("STORE.REPAIR popup"), 6);
    assert_books_balance(&mut client, "popup");
}

/// What a deleted store left behind: its streams, with entries of unknown orders.
#[track_caller]
fn leave_behind(server: &Server, replica: &Server, go: impl FnOnce(&mut Client)) {
    let mut client = server.client();
    open_shop(&mut client);
    go(&mut client);
    assert_eq!(client.call("STORE.AUDIT popup").code(), "NOSTORE");
    open_store(&mut client, "popup", 50);
    let differ = [("orders", 0, 5), ("retry", 0, 1), ("dead", 0, 2)].map(|(id, b, r)| (id.to_string(), b, r));
    assert_eq!(streams_differ(&mut client), differ);
    let first = entries(&mut client, ORDERS)[0].text("order");
    client.refused("NOORDER", format!("ORDER.COMPLETE popup {first}"));
    client.text(format!("ORDER.PLACE popup {first} c-9 ITEMS sku-1 1"));
    assert_eq!(client.int("STORE.REPAIR popup"), 8);
    assert_books_balance(&mut client, "popup");
    assert_eq!(entries(&mut client, ORDERS).len(), 1);
    assert_eq!(entries(&mut client, ORDERS)[0].text("customer"), "c-9");
    assert_all_the_same(server, replica);
}

fn leftovers_of_an_older_store(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    leave_behind(&server, &replica, |client| assert_eq!(client.int("DEL popup"), 1));
}

fn leftovers_of_a_store_whose_time_was_over(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    leave_behind(&server, &replica, |client| {
        // The next command finds it expired.
        client.ok("DEBUG SET-ACTIVE-EXPIRE 0");
        client.int("PEXPIRE popup 1");
        let now_ms = server_now_ms(client);
        wait_until(DEADLINE, "its time is over", || server_now_ms(client) > now_ms + 1);
    });
}

/// After an entry with the largest possible id nothing can be added: orders continue without an entry, and a repair
/// says what to do.
fn a_full_stream_is_refused_and_told(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    for (retried, (stream, name)) in (2..).zip([(ORDERS, "orders"), (RETRY, "retry"), (DEAD, "dead")]) {
        client.text(format!("XADD {stream} {GREATEST} not an-order"));
        client.text(format!("ORDER.PLACE popup {name}-1 c-1 ITEMS sku-1 1"));
        client.text(format!("ORDER.PLACE popup {name}-2 c-1 ITEMS sku-1 1"));
        client.get(format!("ORDER.FAIL popup {name}-1 FATAL"));
        client.get(format!("ORDER.FAIL popup {name}-2 AFTER 0"));
        wait_until(DEADLINE, "the retry is due", || info(&mut client, "retried") == retried);
        let differ = streams_differ(&mut client);
        let books = differ.first().map_or(0, |(_, books, _)| *books);
        assert_eq!(differ, [(name.to_string(), books, books - 1)], "{stream}");
        for _ in 0..2 {
            let error = client.refused("ERR", "STORE.REPAIR popup");
            for wanted in [stream, "takes no more entries", "DEL", "STORE.REPAIR"] {
                assert!(error.contains(wanted), "no {wanted} in {error}");
            }
        }
        assert_eq!(streams_differ(&mut client), differ, "nothing was changed");
        assert_all_the_same(&server, &replica);
        client.int(format!("DEL {stream}"));
        assert_eq!(client.int("STORE.REPAIR popup"), books, "{stream}");
        assert_books_balance(&mut client, "popup");
        assert_all_the_same(&server, &replica);
    }
}

/// The same for the log streams: a full one gets no more entries, and is the same on every server.
fn a_full_log_goes_without_entries(binary: &ServerBinary) {
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    client.ok("STORE.SET popup journal 4 history 4");
    for stream in [JOURNAL, COMPLETE] {
        for last in ["18446744073709551615-7", GREATEST] {
            client.text(format!("XADD {stream} {last} not an-entry"));
            let before = client.int(format!("XLEN {stream}"));
            for number in 0..8 {
                client.text(format!("ORDER.PLACE popup {stream}{last}{number} c-1 ITEMS sku-1 1"));
                client.text(format!("ORDER.COMPLETE popup {stream}{last}{number}"));
            }
            assert_eq!(client.int(format!("XLEN {stream}")), before, "{stream} {last}");
            assert_all_the_same(&server, &replica);
        }
        client.int(format!("DEL {stream}"));
        client.text(format!("ORDER.PLACE popup {stream} c-1 ITEMS sku-1 1"));
        client.text(format!("ORDER.COMPLETE popup {stream}"));
        assert!(client.int(format!("XLEN {stream}")) > 0);
        assert_all_the_same(&server, &replica);
    }
    // More than a signed number of 64 bits can hold.
    for stream in [JOURNAL, COMPLETE, ORDERS, RETRY, DEAD] {
        client.int(format!("DEL {stream}"));
        client.text(format!("XADD {stream} 10223372036854775807-5 not an-entry"));
    }
    client.text("ORDER.PLACE popup far-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup far-2 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup far-1");
    client.get("ORDER.FAIL popup far-2 FATAL");
    client.int("INV.ADJUST popup sku-1 1");
    client.int("STORE.REPAIR popup");
    assert_books_balance(&mut client, "popup");
    assert_all_the_same(&server, &replica);
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!(client.digest(), digest, "an image carries it too");
    assert_books_balance(&mut client, "popup");
}

/// `popup` and `{popup}` have the same streams. They belong to the store that was there first.
fn a_store_that_shares_its_streams_is_not_repaired(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_shop(&mut client);
    open_store(&mut client, "other", 10);
    client.ok("RENAME other {popup}");
    let before = client.int(format!("XLEN {ORDERS}"));
    client.refused("ERR", "STORE.REPAIR {popup}");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    assert_eq!(client.int(format!("XLEN {ORDERS}")), before);
    assert_books_balance(&mut client, "popup");
    client.int("DEL popup");
    // Now the streams belong to the other store, which has no orders.
    assert!(client.int("STORE.REPAIR {popup}") >= before);
    assert_books_balance(&mut client, "{popup}");
}

fn repair_lets_others_work(binary: &ServerBinary) {
    const MANY: usize = 60_000;
    let (server, replica) = with_replica(binary);
    let mut client = server.client();
    open_shop(&mut client);
    client.ok("CONFIG SET appendfsync no");
    let foreign: Vec<_> = (0..MANY).map(|number| cmd!["XADD", ORDERS, "*", "order", number]).collect();
    foreign.chunks(2_000).for_each(|part| drop(client.pipeline(part)));
    let mut mender = server.client();
    mender.send("STORE.REPAIR popup").expect("sent");
    let mut served = 0;
    while mender.is_silent(std::time::Duration::from_millis(1)) {
        client.text(format!("ORDER.PLACE popup meanwhile-{served} c-1 ITEMS sku-1 1"));
        if served % 3 == 0 {
            client.text(format!("ORDER.COMPLETE popup meanwhile-{served}"));
        }
        served += 1;
    }
    assert_eq!(mender.receive().expect("a reply"), Reply::Int(MANY as i64), "what was placed meanwhile stays");
    assert!(served >= 3, "{served} orders were placed while {MANY} entries were removed");
    assert_books_balance(&mut client, "popup");
    assert_all_the_same(&server, &replica);
}
