//! Whatever a client sends, and whatever a payload contains, is refused with nothing changed, and never crashes the
//! server.

use crate::common::{
    Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, check, cmd, entries,
    forge_payload, open_store, payload_body, server_now_ms, shop_of, stock, tests, wait_until,
};
use proptest::prelude::*;

tests![
    too_few_and_too_many_arguments,
    quantities_at_the_bounds,
    sums_past_the_bound,
    times_at_the_bounds,
    ids_at_the_bounds,
    keys_with_awkward_braces,
    a_store_renamed_to_awkward_braces,
    json_that_is_none,
    a_thousand_items_in_one_order,
    huge_arguments,
    in_multi_and_lua,
    random_commands_never_crash,
    truncated_payloads_never_crash,
    flipped_payloads_never_crash,
    random_payloads_never_crash,
];

/// The largest quantity: 2^53 - 1.
const MAX: i64 = (1 << 53) - 1;

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 512;

/// A server, and a client of it with the store `popup` open: ten units of sku-1.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 10)
}

/// A complete call of every command.
const CALLS: &[&str] = &[
    "STORE.SET popup limit 1",
    "STORE.GET popup",
    "STORE.INFO popup",
    "STORE.LANES popup",
    "STORE.AUDIT popup",
    "STORE.REPAIR popup",
    "STORE.DROP popup",
    "INV.SET popup sku-1 5",
    "INV.ADJUST popup sku-1 5",
    "INV.GET popup sku-1",
    "INV.SCAN popup 0",
    "INV.RESERVE popup h-1 ITEMS sku-1 1",
    "INV.RESERVE popup h-1 REPLACE ITEMS sku-1 1",
    "INV.EXTEND popup h-1 1000",
    "INV.COMMIT popup h-1",
    "INV.RELEASE popup h-1",
    "INV.HOLD popup h-1",
    "INV.HOLDS popup 0",
    "INV.SYNC popup erp 1 ITEMS sku-1 5",
    "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1",
    "ORDER.PLACE popup o-1 c-1 WAIT 5 ITEMS sku-1 1",
    "ORDER.COMPLETE popup o-1",
    "ORDER.EDIT popup o-1 ITEMS sku-1 1",
    "ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1",
    "ORDER.CANCEL popup o-1",
    "ORDER.RETURN popup o-1 ITEMS sku-1 1",
    "ORDER.CLAIM popup w-1",
    "ORDER.RENEW popup o-1 TOKEN 1",
    "ORDER.YIELD popup w-1",
    "ORDER.FAIL popup o-1",
    "ORDER.REDRIVE popup o-1",
    "ORDER.PURGE popup",
    "ORDER.ADVANCE popup o-1 packed",
    "ORDER.GATE popup o-1 pay 1000",
    "ORDER.PASS popup o-1 pay",
    "ORDER.GET popup o-1",
    "ORDER.SCAN popup 0",
];

fn too_few_and_too_many_arguments(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for call in CALLS {
        let words = call.into_command();
        // STORE.GET needs only a key, and a few others need no more.
        for length in 1..words.len() {
            let short = &words[..length];
            let whole = CALLS.iter().any(|call| call.into_command() == short);
            if !whole {
                client.refused("ERR", short);
            }
        }
        let mut long = words.clone();
        long.push(b"surplus".to_vec());
        if !matches!(words[0].as_slice(), b"INV.GET") {
            client.refused("ERR", long);
        }
    }
}

fn quantities_at_the_bounds(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int(format!("INV.SET popup much {MAX}"));
    let bad =
        ["0", "-0", "-1", "9007199254740992", "18446744073709551616", "1e3", "0x10", "+1", " 1", "1 ", "", "١", "1\0"];
    for quantity in bad {
        client.refused_naming("ERR", "qty", cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "ITEMS", "much", quantity]);
        client.refused_naming("ERR", "qty", cmd!["INV.RESERVE", "popup", "h-1", "ITEMS", "much", quantity]);
        client.refused("ERR", cmd!["ORDER.RETURN", "popup", "o-1", "ITEMS", "much", quantity]);
        client.refused_naming("ERR", "qty", cmd!["ORDER.EDIT", "popup", "o-1", "ITEMS", "much", quantity]);
        client.refused_naming("ERR", "qty", cmd!["ORDER.SPLIT", "popup", "o-1", "o-2", "ITEMS", "much", quantity]);
        client.refused("ERR", cmd!["INV.COMMIT", "popup", "h-1", "ITEMS", "much", quantity]);
    }
    client.text(format!("ORDER.PLACE popup o-max c-1 ITEMS much {MAX}"));
    assert_eq!(stock(&mut client, "popup", "much"), (MAX, MAX, 0));
    client.text("ORDER.COMPLETE popup o-max");
    assert_eq!(client.int(format!("ORDER.RETURN popup o-max ITEMS much {MAX}")), MAX);
    assert_eq!(stock(&mut client, "popup", "much"), (MAX, 0, MAX));
    assert_books_balance(&mut client, "popup");
}

fn sums_past_the_bound(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int(format!("INV.SET popup a {MAX}"));
    client.int(format!("INV.SET popup b {MAX}"));
    client.refused("ERR", "INV.ADJUST popup a 1");
    client.refused("ERR", format!("INV.ADJUST popup sku-1 {MAX}"));
    client.refused("ERR", format!("ORDER.PLACE popup o-1 c-1 ITEMS a {MAX} a 1"));
    client.refused("ERR", format!("ORDER.PLACE popup o-1 c-1 ITEMS a {MAX} a {MAX} a {MAX} b {MAX}"));
    client.refused("ERR", format!("ORDER.PLACE popup o-1 c-1 ITEMS a {MAX} b 1"));
    client.refused("ERR", format!("INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS a {MAX} b {MAX}"));
    client.text(format!("ORDER.PLACE popup o-1 c-1 ITEMS a {MAX}"));
    client.refused("ERR", "ORDER.PLACE popup o-2 c-1 ITEMS b 1");
    client.refused("ERR", format!("ORDER.EDIT popup o-1 ITEMS a {MAX} b 1"));
    client.refused("ERR", format!("ORDER.EDIT popup o-1 ITEMS a {MAX} a {MAX}"));
    client.refused("ERR", format!("ORDER.SPLIT popup o-1 o-2 ITEMS a {MAX} a {MAX}"));
    client.text("ORDER.COMPLETE popup o-1");
    // Everything that was sold may come back, so there is no room for more.
    client.refused("ERR", "INV.SET popup a 5");
    client.refused("ERR", "INV.ADJUST popup a 1");
    client.refused("ERR", "INV.SYNC popup erp 1 ITEMS a 1");
    assert_eq!(client.int(format!("ORDER.RETURN popup o-1 ITEMS a {MAX}")), MAX);
    assert_books_balance(&mut client, "popup");
    client.get("STORE.INFO popup");
}

fn times_at_the_bounds(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.refused("ERR", format!("INV.RESERVE popup h-1 TTL {MAX} ITEMS sku-1 1"));
    client.int("INV.RESERVE popup h-1 TTL 1000000000000 ITEMS sku-1 1");
    client.refused("ERR", format!("INV.EXTEND popup h-1 {MAX}"));
    client.refused("ERR", "INV.EXTEND popup h-1 18446744073709551615");
    client.ok(format!("STORE.SET popup hold-ms {MAX} keep-ms {MAX} backoff-cap-ms {MAX} sla-ms {MAX}"));
    client.refused("ERR", "INV.RESERVE popup h-2 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    client.int("INV.RELEASE popup h-1");
    client.get("ORDER.SCAN popup 0 LATE");
    client.refused("ERR", "INV.SYNC popup erp 9007199254740992 ITEMS sku-1 1");
    client.refused("ERR", "ORDER.COMPLETE popup o-1 TOKEN 18446744073709551616");
    client.text(format!("INV.SYNC popup erp {MAX} ITEMS sku-1 9"));
    client.refused("ERR", "INV.SYNC popup erp 9007199254740992 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

fn ids_at_the_bounds(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let longest = vec![0xFE; MAX_ID_BYTES];
    let id = longest.as_slice();
    client.int(cmd!["INV.SET", "popup", id, 9]);
    client.int(cmd!["INV.ADJUST", "popup", id, 1, "REF", id]);
    client.int(cmd!["INV.RESERVE", "popup", id, "CUSTOMER", id, "ITEMS", id, 1]);
    client.text(cmd!["ORDER.PLACE", "popup", id, id, "GROUP", id, "ITEMS", id, 2]);
    client.text(cmd!["INV.SYNC", "popup", id, 1, "ITEMS", id, 20]);
    client.int(cmd!["ORDER.EDIT", "popup", id, "REF", id, "ITEMS", id, 3]);
    client.text(cmd!["ORDER.SPLIT", "popup", id, &id[1..], "ITEMS", id, 1]);
    client.text(cmd!["ORDER.COMPLETE", "popup", id]);
    assert_eq!(client.get(cmd!["ORDER.GET", "popup", id]).field("customer").bytes(), id);
    let key = vec![b'k'; MAX_ID_BYTES];
    client.int(cmd!["INV.SET", &key, "sku-1", 9]);
    client.text(cmd!["ORDER.PLACE", &key, "o-1", "c-1", "ITEMS", "sku-1", 1]);
    let stream = [b"{".as_slice(), &key, b"}:orders"].concat();
    assert_eq!(client.int(cmd!["XLEN", stream]), 1);
    assert_books_balance(&mut client, "popup");
}

/// The part of a key that a cluster hashes.
fn hash_tag(key: &str) -> &str {
    let Some(open) = key.find('{') else { return key };
    match key[open + 1..].find('}') {
        None | Some(0) => key,
        Some(length) => &key[open + 1..open + 1 + length],
    }
}

/// The name of a store's stream, by the contract: next to the store's key, in its slot.
fn stream_of(key: &str, kind: &str) -> String {
    let tagged = hash_tag(key) != key;
    if tagged { format!("{key}:{kind}") } else { format!("{{{key}}}:{kind}") }
}

fn keys_with_awkward_braces(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for key in [
        "{", "}", "{}", "}{", "a{b", "a}b", "{}x", "x{}", "a{b}c", "}a{", "{a", "a}", "{{a}}", "{a}{b}", "{}{a}", "{{",
        "}}",
    ] {
        let stream = stream_of(key, "orders");
        if hash_tag(&stream) == hash_tag(key) {
            open_store(&mut client, key, 5);
            client.text(cmd!["ORDER.PLACE", key, "o-1", "c-1", "ITEMS", "sku-1", 1]);
            assert_eq!(client.int(cmd!["XLEN", &stream]), 1, "{key}: wanted the stream {stream}");
            client.text(cmd!["ORDER.COMPLETE", key, "o-1"]);
            client.get(cmd!["STORE.DROP", key]);
        } else {
            for command in ["STORE.SET KEY limit 1", "INV.SET KEY sku-1 5", "INV.SYNC KEY erp 1 ITEMS sku-1 5"] {
                client.refused_naming("ERR", "key", command.replace("KEY", key));
            }
        }
        assert_eq!(client.int("DBSIZE"), 0, "{key}");
    }
}

/// RENAME puts a store where no command would have made it. It works again once it is renamed back, and until then its
/// deadlines write to no stream in another slot.
fn a_store_renamed_to_awkward_braces(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup journal 10");
    let deadline_ms = client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 4");
    client.ok("RENAME popup a}b");
    client.refused_naming("ERR", "key", "ORDER.PLACE a}b o-1 c-1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the deadline has passed", || server_now_ms(&mut client) > deadline_ms + 50);
    let mut keys = client.get("KEYS *").texts();
    keys.sort();
    assert_eq!(keys, ["a}b", "{popup}:journal"]);
    client.ok("RENAME a}b popup");
    wait_until(DEADLINE, "the units are back", || stock(&mut client, "popup", "sku-1").1 == 0);
    assert_books_balance(&mut client, "popup");
}

fn json_that_is_none(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.text("ORDER.PLACE popup o-done c-1 ITEMS sku-1 1");
    let deep = "[".repeat(100_000);
    let bad: &[&[u8]] = &[
        b"{",
        b"nope",
        b"{\"a\":}",
        b"[1,]",
        b"\"open",
        b"{} {}",
        b"'a'",
        b"\xff",
        b"\"\0\"",
        b"NaN",
        b"01",
        deep.as_bytes(),
    ];
    for json in bad {
        client.refused_naming(
            "ERR",
            "DATA",
            cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "DATA", json, "ITEMS", "sku-1", 1],
        );
        client.refused_naming("ERR", "RESULT", cmd!["ORDER.COMPLETE", "popup", "o-done", "RESULT", json]);
    }
    let good: &[&str] =
        &["{}", "null", "0", "\"text\"", "[1, 2, {\"a\": [true]}]", " {\"a\" : 1} ", "1e400", "\"\\u0000\""];
    for (number, json) in good.iter().enumerate() {
        client.int("INV.SET popup sku-1 1000");
        client.text(cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c-1", "DATA", json, "ITEMS", "sku-1", 1]);
        let stored = client.get(format!("ORDER.GET popup o-{number}")).field("data").text();
        assert_eq!(stored, *json, "as it was sent");
    }
}

fn a_thousand_items_in_one_order(binary: &ServerBinary) {
    const ITEMS: usize = 1000;
    let (_server, mut client) = shop(binary);
    let (mut sync, mut place, mut ordered) =
        (cmd!["INV.SYNC", "popup", "erp", 1, "ITEMS"], cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "ITEMS"], vec![]);
    for item in 0..ITEMS {
        sync.extend(cmd![format!("many-{item}"), 5]);
        place.extend(cmd![format!("many-{item}"), 2]);
        ordered.push(serde_json::json!([format!("many-{item}"), 2]));
    }
    assert_eq!(client.text(sync), "APPLIED");
    let id = client.text(&place);
    assert_eq!(client.text(&place), id);
    let entry = &entries(&mut client, "{popup}:orders")[0];
    let items: serde_json::Value = serde_json::from_str(&entry.text("items")).expect("items are JSON");
    assert_eq!(items, serde_json::Value::Array(ordered));
    let mut same = cmd!["ORDER.PLACE", "popup", "o-2", "c-1", "ITEMS"];
    (0..ITEMS).for_each(|_| same.extend(cmd!["many-7", 1]));
    client.refused("OUTOFSTOCK", same);
    assert_books_balance(&mut client, "popup");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(stock(&mut client, "popup", "many-999"), (3, 0, 3));
    assert_books_balance(&mut client, "popup");
}

/// Two megabytes in place of each argument, as text and as JSON.
fn huge_arguments(binary: &ServerBinary) {
    const HUGE: usize = 2 << 20;
    let (_server, mut client) = shop(binary);
    let text = vec![b'7'; HUGE];
    let json = [b"\"".as_slice(), &text, b"\""].concat();
    for call in CALLS {
        let words = call.into_command();
        for at in 1..words.len() {
            let mut command = words.clone();
            command[at] = text.clone();
            assert!(client.call(command).is_error(), "{call}: argument {at} of {HUGE} bytes");
        }
    }
    let before = client.digest();
    let reply = client.call(cmd!["ORDER.PLACE", "popup", "o-1", "c-1", "DATA", json, "ITEMS", "sku-1", 1]);
    if reply.is_error() {
        assert_eq!(reply.code(), "ERR", "{reply:?}");
        assert_eq!(client.digest(), before);
    }
    client.refused("ERR", cmd!["INV.ADJUST", "popup", "sku-1", 1, "REF", &text]);
    assert_books_balance(&mut client, "popup");
}

fn in_multi_and_lua(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("MULTI");
    for call in CALLS {
        assert_eq!(client.text(*call), "QUEUED");
    }
    let replies = client.get("EXEC");
    assert_eq!(replies.array().len(), CALLS.len());
    for call in CALLS {
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", 10);
        let mut words = call.into_command();
        words.remove(1);
        let places: Vec<String> = (1..words.len()).map(|at| format!("ARGV[{at}]")).collect();
        let arguments = [vec!["KEYS[1]".to_string()], places].concat().join(", ");
        let script = format!("return redis.pcall('{}', {arguments})", String::from_utf8_lossy(&words[0]));
        let mut eval = cmd!["EVAL", script, 1, "popup"];
        eval.extend_from_slice(&words[1..]);
        let reply = client.call(eval);
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", 10);
        let plain = client.call(*call);
        assert_eq!(reply.is_error(), plain.is_error(), "{call}: {reply:?} in Lua, {plain:?} else");
        if plain.is_error() {
            assert_eq!(reply.code(), plain.code(), "{call}");
        }
    }
}

/// Words that some command knows, and words that no command knows.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "popup",
        "sku-1",
        "sku-2",
        "h-1",
        "o-1",
        "c-1",
        "r-1",
        "0",
        "1",
        "2",
        "5",
        "-1",
        "1000",
        "9007199254740991",
        "18446744073709551615",
        "ITEMS",
        "HOLD",
        "REF",
        "REASON",
        "CUSTOMER",
        "TTL",
        "GROUP",
        "DATA",
        "LOST",
        "RESULT",
        "TOKEN",
        "MATCH",
        "COUNT",
        "LOW",
        "SAFETY",
        "LIMIT",
        "STATE",
        "LATE",
        "queued",
        "*",
        "{}",
        "[",
        "limit",
        "journal",
        "alerts",
        "hold-max-ms",
        "hold-max-units",
        "REPLACE",
        "keep-ms",
        "paused",
        "yes",
        "opens",
        "closes",
        "history",
        "",
    ]);
    prop_oneof![
        8 => known.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names: Vec<Vec<u8>> = CALLS.iter().map(|call| call.into_command().remove(0)).collect();
    let key = prop_oneof![9 => Just(b"popup".to_vec()), 1 => word()];
    (prop::sample::select(names), key, prop::collection::vec(word(), 0..9))
        .prop_map(|(name, key, words)| [vec![name, key], words].concat())
}

fn random_commands_never_crash(binary: &ServerBinary) {
    let server = Server::start(binary);
    check(300, &prop::collection::vec(command(), 40), |commands| {
        let mut client = server.client();
        open_store(&mut client, "popup", 1000);
        let whole = ["INV.RESERVE popup h-1 ITEMS sku-1 2", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1"];
        whole.iter().for_each(|call| drop(client.call(*call)));
        client.pipeline(&commands);
        if client.text("TYPE popup") == "holdstore" {
            assert_books_balance(&mut client, "popup");
        }
        client.digest();
        client.ok("FLUSHALL");
    });
}

/// A payload that contains every kind of record, in a few hundred bytes.
fn payload(client: &mut Client) -> Vec<u8> {
    for call in [
        "STORE.SET popup metrics 0 limit 100 journal 10",
        "INV.SET popup sku-1 100 SAFETY 2 LOW 3 LIMIT 50",
        "INV.SET popup sku-2 5",
        "INV.SYNC popup erp 7 ITEMS sku-3 30",
        "INV.ADJUST popup sku-1 5 REF r-1",
        "INV.RESERVE popup h-1 CUSTOMER c-1 TTL 90000000 ITEMS sku-1 3 sku-2 1",
        "INV.RESERVE popup h-2 TTL 90000000 ITEMS sku-1 1",
        "INV.RESERVE popup h-3 TTL 90000000 ITEMS sku-1 1",
        "INV.RESERVE popup h-1 CUSTOMER c-1 TTL 90000000 REPLACE ITEMS sku-1 4 sku-2 1",
        "INV.COMMIT popup h-1 REF r-2 ITEMS sku-1 1",
        "INV.RELEASE popup h-2",
        "ORDER.PLACE popup o-1 c-1 GROUP g-1 DATA {} ITEMS sku-1 2 sku-2 1",
        "ORDER.PLACE popup o-2 c-2 ITEMS sku-1 1",
        "ORDER.PLACE popup o-3 c-2 HOLD h-3",
        "ORDER.PLACE popup o-4 c-3 ITEMS sku-1 1",
        "ORDER.COMPLETE popup o-2 RESULT {}",
        "ORDER.RETURN popup o-2 REF r-3 SCRAP ITEMS sku-1 1",
        "ORDER.CANCEL popup o-3",
        "ORDER.PLACE popup w-1 c-4 GROUP g-1 ITEMS sku-1 1",
        "ORDER.CLAIM popup worker COUNT 1 LEASE 90000000",
        "ORDER.ADVANCE popup w-1 packed",
        "ORDER.FAIL popup w-1 REASON r AFTER 90000000",
        "ORDER.FAIL popup o-4 REASON r FATAL",
        "STORE.SET popup sla-ms 90000000",
        "ORDER.PLACE popup o-5 c-3 GROUP g-1 GATE pay 90000000 GATE fraud 0 ITEMS sku-1 1",
        "ORDER.PASS popup o-5 fraud",
        "ORDER.PLACE popup o-6 c-3 ITEMS sku-1 1",
        "ORDER.GATE popup o-6 pay 90000000",
    ] {
        client.get(call);
    }
    let payload = client.get("DUMP popup").bytes().to_vec();
    client.get("STORE.DROP popup");
    payload
}

/// Restores a damaged payload. Whether it is refused or accepted, the server survives, and an accepted store can be
/// used.
#[track_caller]
fn restore(client: &mut Client, payload: &[u8]) -> bool {
    let reply = client.call(cmd!["RESTORE", "popup", 0, payload, "REPLACE"]);
    if reply.is_error() {
        return false;
    }
    for call in [
        "STORE.INFO popup",
        "STORE.GET popup",
        "STORE.AUDIT popup",
        "INV.SCAN popup 0 COUNT 1000",
        "INV.HOLDS popup 0 COUNT 1000",
        "ORDER.SCAN popup 0 COUNT 1000",
        "INV.GET popup sku-1 sku-2",
        "INV.HOLD popup h-1",
        "ORDER.GET popup o-1",
        "ORDER.GET popup o-2",
        "ORDER.GET popup o-5",
        "ORDER.PASS popup o-5 pay",
        "ORDER.GATE popup o-6 pay 0",
        "ORDER.PASS popup o-6 pay",
        "ORDER.PLACE popup o-new c-1 ITEMS sku-1 1",
        "ORDER.COMPLETE popup o-1",
        "ORDER.RETURN popup o-2 ITEMS sku-1 1",
        "ORDER.CANCEL popup o-4",
        "INV.COMMIT popup h-1",
        "STORE.REPAIR popup",
        "DEBUG DIGEST",
        "DUMP popup",
        "MEMORY USAGE popup",
        "STORE.DROP popup",
    ] {
        client.call(call);
    }
    client.int("DEL popup {popup}:orders {popup}:complete {popup}:journal");
    true
}

fn truncated_payloads_never_crash(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let payload = payload(&mut client);
    assert!(restore(&mut client, &payload), "the payload as it was dumped");
    let (body, version) = payload_body(&payload);
    assert!(restore(&mut client, &forge_payload(body, version)), "the trailer is made as the server makes it");
    for length in 0..body.len() {
        let forged = forge_payload(&body[..length], version);
        // The trailer can happen to begin with the bytes that are missing: then nothing is.
        let taken = restore(&mut client, &forged) && !forged.starts_with(body);
        assert!(!taken, "{length} of {} bytes were taken for a whole store", body.len());
    }
}

fn flipped_payloads_never_crash(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let payload = payload(&mut client);
    let (body, version) = payload_body(&payload);
    let mut refused = 0;
    for at in 0..body.len() {
        for flip in [0x01, 0x02, 0x10, 0x40, 0x80, 0xFF] {
            let mut flipped = body.to_vec();
            flipped[at] ^= flip;
            refused += usize::from(!restore(&mut client, &forge_payload(&flipped, version)));
        }
    }
    assert!(refused > body.len(), "only {refused} flips of {} bytes were refused", body.len());
}

/// Edits of a payload: bytes are replaced, inserted or removed, often with invalid lengths.
fn random_payloads_never_crash(binary: &ServerBinary) {
    let server = Server::start(binary);
    let original = payload(&mut server.client());
    let (body, version) = payload_body(&original);
    // RDB lengths of 32 and 64 bits, and numbers at their limits.
    let lengths = prop::sample::select(vec![
        b"\x80\xff\xff\xff\xff".to_vec(),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x81\x00\x00\x00\x7f\xff\xff\xff\xff".to_vec(),
        b"\x81\x00\x20\x00\x00\x00\x00\x00\x00".to_vec(),
        b"\x80\x7f\xff\xff\xff".to_vec(),
        b"\x00".to_vec(),
    ]);
    let bytes = prop_oneof![lengths, prop::collection::vec(any::<u8>(), 0..6)];
    let edit = (any::<prop::sample::Index>(), 0..9_usize, bytes);
    check(6000, &prop::collection::vec(edit, 1..4), |edits| {
        let mut tampered = body.to_vec();
        for (at, removed, inserted) in edits {
            let at = at.index(tampered.len());
            let end = (at + removed).min(tampered.len());
            tampered.splice(at..end, inserted);
            if tampered.is_empty() {
                break;
            }
        }
        restore(&mut server.client(), &forge_payload(&tampered, version));
    });
    assert_eq!(server.client().call("PING"), Reply::Status(b"PONG".to_vec()));
}
