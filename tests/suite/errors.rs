//! Every error of the contract: its exact first word, its text where the contract gives one, and that nothing changed.
//!
//! [`Client::refused`] compares DEBUG DIGEST before and after, so every refusal here also proves that nothing changed.

use crate::common::{
    Client, DEADLINE, IntoCommand, Server, ServerBinary, cmd, info, open_store, server_now_ms, shop_of, tests,
    wait_until,
};

tests![
    nostore,
    nosku,
    nohold,
    noorder,
    outofstock,
    limit,
    window,
    expired,
    badstate,
    mismatch,
    fenced,
    gap,
    wrongtype,
    arguments_are_named,
    an_argument_says_what_it_must_be,
    long_and_empty_ids_are_named,
    errorstats_count_the_codes,
    a_refusal_is_not_replicated,
    errors_are_the_same_in_lua_and_multi,
];

/// Every command that reads or changes an existing store `popup`: none of them makes a store.
const ON_A_STORE: &[&str] = &[
    "STORE.GET popup",
    "STORE.INFO popup",
    "STORE.LANES popup",
    "STORE.AUDIT popup",
    "STORE.REPAIR popup",
    "STORE.DROP popup",
    "INV.ADJUST popup sku-1 1",
    "INV.GET popup sku-1",
    "INV.SCAN popup 0",
    "INV.RESERVE popup h-1 ITEMS sku-1 1",
    "INV.RESERVE popup h-1 REPLACE ITEMS sku-1 1",
    "INV.EXTEND popup h-1 1000",
    "INV.COMMIT popup h-1",
    "INV.RELEASE popup h-1",
    "INV.HOLD popup h-1",
    "INV.HOLDS popup 0",
    "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1",
    "ORDER.PLACE popup o-1 c-1 HOLD h-1",
    "ORDER.COMPLETE popup o-1",
    "ORDER.EDIT popup o-1 ITEMS sku-1 1",
    "ORDER.SPLIT popup o-1 o-2 ITEMS sku-1 1",
    "ORDER.CANCEL popup o-1",
    "ORDER.RETURN popup o-1 ITEMS sku-1 1",
    "ORDER.CLAIM popup w-1",
    "ORDER.CLAIM popup w-1 LANES 1 express",
    "ORDER.CLAIM popup w-1 ORDER o-1",
    "ORDER.RENEW popup o-1 TOKEN 1",
    "ORDER.YIELD popup w-1",
    "ORDER.FAIL popup o-1",
    "ORDER.REDRIVE popup o-1",
    "ORDER.REDRIVE popup ALL",
    "ORDER.PURGE popup",
    "ORDER.ADVANCE popup o-1 packed",
    "ORDER.GATE popup o-1 pay 1000",
    "ORDER.PASS popup o-1 pay",
    "ORDER.GET popup o-1",
    "ORDER.SCAN popup 0",
];

/// The commands that make a store.
const MAKING_A_STORE: &[&str] =
    &["STORE.SET popup limit 1", "INV.SET popup sku-1 1", "INV.SYNC popup erp 1 ITEMS sku-1 1"];

/// A server, and a client of it with the store `popup` open: ten units of sku-1.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 10)
}

fn nostore(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for command in ON_A_STORE {
        client.refused("NOSTORE", *command);
        assert_eq!(client.int("DBSIZE"), 0, "{command} made something");
    }
    for command in MAKING_A_STORE {
        client.call(*command);
        assert_eq!(client.int("EXISTS popup"), 1, "{command}");
        client.ok("FLUSHALL");
    }
}

fn nosku(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for command in [
        "INV.ADJUST popup sku-9 1",
        "INV.RESERVE popup h-1 ITEMS sku-9 1",
        "INV.RESERVE popup h-1 ITEMS sku-1 1 sku-9 1",
        "ORDER.PLACE popup o-1 c-1 ITEMS sku-9 1",
    ] {
        client.refused_naming("NOSKU", "sku-9", command);
    }
}

fn nohold(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for command in [
        "INV.EXTEND popup h-9 1000",
        "INV.COMMIT popup h-9",
        "INV.RELEASE popup h-9",
        "INV.RELEASE popup h-9 ITEMS sku-1 1",
        "INV.HOLD popup h-9",
        "ORDER.PLACE popup o-1 c-1 HOLD h-9",
    ] {
        client.refused_naming("NOHOLD", "h-9", command);
    }
}

fn noorder(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for command in [
        "ORDER.COMPLETE popup o-9",
        "ORDER.COMPLETE popup o-9 TOKEN 5",
        "ORDER.EDIT popup o-9 ITEMS sku-1 1",
        "ORDER.SPLIT popup o-9 o-8 ITEMS sku-1 1",
        "ORDER.GATE popup o-9 pay 1000",
        "ORDER.PASS popup o-9 pay",
        "ORDER.CANCEL popup o-9",
        "ORDER.RETURN popup o-9 ITEMS sku-1 1",
        "ORDER.GET popup o-9",
    ] {
        client.refused_naming("NOORDER", "o-9", command);
    }
}

fn outofstock(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 9");
    for command in ["INV.RESERVE popup h-2 ITEMS sku-1 2", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2"] {
        assert_eq!(client.refused("OUTOFSTOCK", command), "OUTOFSTOCK sku-1 wanted 2 available 1");
    }
}

fn limit(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup limit 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    for command in ["ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1", "INV.RESERVE popup h-2 CUSTOMER c-1 ITEMS sku-1 1"] {
        let text = client.refused("LIMIT", command);
        assert!(text.starts_with("LIMIT customer c-1 limit 1 has 1"), "{text}");
    }
}

fn window(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let now_ms = server_now_ms(&mut client);
    client.ok(format!("STORE.SET popup opens {}", now_ms + 1_000_000));
    let commands = ["ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1", "INV.RESERVE popup h-1 ITEMS sku-1 1"];
    for command in commands {
        let text = client.refused("NOTOPEN", command);
        assert!(text.starts_with(&format!("NOTOPEN opens at {}", now_ms + 1_000_000)), "{text}");
    }
    client.ok(format!("STORE.SET popup opens 0 closes {}", now_ms - 1000));
    for command in commands {
        let text = client.refused("CLOSED", command);
        assert!(text.starts_with(&format!("CLOSED closed at {}", now_ms - 1000)), "{text}");
    }
}

fn expired(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int("INV.RESERVE popup h-1 TTL 1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the hold expires", || client.get("INV.HOLD popup h-1").field("state").text() == "expired");
    for command in ["INV.COMMIT popup h-1", "INV.EXTEND popup h-1 1000", "ORDER.PLACE popup o-1 c-1 HOLD h-1"] {
        client.refused_naming("EXPIRED", "h-1", command);
    }
}

fn badstate(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 2");
    client.refused("BADSTATE", "INV.COMMIT popup h-1 ITEMS sku-1 3");
    client.refused("BADSTATE", "INV.RELEASE popup h-1 ITEMS sku-1 3");
    client.int("INV.RELEASE popup h-1");
    client.refused("BADSTATE", "INV.COMMIT popup h-1");
    client.refused("BADSTATE", "INV.EXTEND popup h-1 1000");
    client.refused("BADSTATE", "ORDER.PLACE popup o-1 c-1 HOLD h-1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.refused("BADSTATE", "ORDER.CANCEL popup o-1"), "BADSTATE order is completed");
    client.refused("BADSTATE", "ORDER.RETURN popup o-1 ITEMS sku-1 2");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.int("ORDER.CANCEL popup o-2");
    assert_eq!(client.refused("BADSTATE", "ORDER.COMPLETE popup o-2"), "BADSTATE order is cancelled");
    let on_hand = client.get("INV.GET popup sku-1").array()[0].field("on-hand").int();
    let text = client.refused("BADSTATE", format!("INV.ADJUST popup sku-1 -{}", on_hand + 4));
    assert!(text.contains(&format!("on-hand {on_hand}")) && text.contains(&format!("-{}", on_hand + 4)), "{text}");
    assert_eq!(info(&mut client, "refused-outofstock"), 0, "no sale was missed");
}

fn mismatch(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.int("INV.ADJUST popup sku-1 1 REF r-1");
    client.refused("MISMATCH", "INV.ADJUST popup sku-1 2 REF r-1");
    client.int("INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS sku-1 2");
    client.refused("MISMATCH", "INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS sku-1 1");
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-2 HOLD h-1");
    client.int("INV.COMMIT popup h-1 REF r-2 ITEMS sku-1 1");
    client.refused("MISMATCH", "INV.COMMIT popup h-1 REF r-2");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-2 ITEMS sku-1 1");
    client.text("ORDER.COMPLETE popup o-1 RESULT 1");
    client.refused("MISMATCH", "ORDER.COMPLETE popup o-1 RESULT 2");
    client.int("ORDER.RETURN popup o-1 REF r-3 ITEMS sku-1 1");
    client.refused("MISMATCH", "ORDER.RETURN popup o-1 REF r-3 SCRAP ITEMS sku-1 1");
    client.refused("MISMATCH", "ORDER.RETURN popup o-1 CUSTOMER c-2 ITEMS sku-1 1");
}

fn fenced(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.refused("FENCED", "ORDER.COMPLETE popup o-1 TOKEN 12345");
    client.text("ORDER.COMPLETE popup o-1");
}

fn gap(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.text("INV.SYNC popup erp 7 ITEMS sku-1 1");
    assert_eq!(client.refused("GAP", "INV.SYNC popup erp 9 ITEMS sku-1 1"), "GAP expected 8");
}

fn wrongtype(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let making = [("SET popup text", "string"), ("XADD popup * f v", "stream"), ("HSET popup f v", "hash")];
    for (make, kind) in making {
        client.get(make);
        for command in ON_A_STORE.iter().chain(MAKING_A_STORE) {
            client.refused("WRONGTYPE", *command);
        }
        assert_eq!(client.text("TYPE popup"), kind);
        client.int("DEL popup");
    }
    open_store(&mut client, "popup", 1);
    client.refused("WRONGTYPE", "GET popup");
    client.refused("WRONGTYPE", "XLEN popup");
}

/// A call with one argument that does not parse, and that argument's name.
const BAD_ARGUMENTS: &[(&str, &str)] = &[
    ("on-hand", "INV.SET popup sku-1 many"),
    ("on-hand", "INV.SET popup sku-1 -1"),
    ("on-hand", "INV.SET popup sku-1 9007199254740992"),
    ("SAFETY", "INV.SET popup sku-1 5 SAFETY -1"),
    ("SAFETY", "INV.SET popup sku-1 5 SAFETY"),
    ("LOW", "INV.SET popup sku-1 5 LOW x"),
    ("LIMIT", "INV.SET popup sku-1 5 LIMIT 1.5"),
    ("BACKLOG", "INV.SET popup sku-1 5 BACKLOG -1"),
    ("BACKLOG", "INV.SET popup sku-1 5 BACKLOG"),
    ("delta", "INV.ADJUST popup sku-1 some"),
    ("delta", "INV.ADJUST popup sku-1 -9007199254740992"),
    ("REASON", "INV.ADJUST popup sku-1 1 REASON"),
    ("COUNT", "INV.SCAN popup 0 COUNT none"),
    ("MATCH", "INV.SCAN popup 0 MATCH"),
    ("cursor", "INV.SCAN popup here"),
    ("LANE", "ORDER.PLACE popup o-1 c-1 GROUP g-1 LANE"),
    ("LANE", "ORDER.SPLIT popup o-1 o-2 TOKEN 1 LANE"),
    ("LANES", "ORDER.CLAIM popup w-1 LANES many"),
    ("LANES", "ORDER.CLAIM popup w-1 LANES 0"),
    ("lane", "ORDER.CLAIM popup w-1 LANES 2 express"),
    ("ORDER", "ORDER.CLAIM popup w-1 ORDER o-1 BLOCK 0"),
    ("TTL", "INV.RESERVE popup h-1 TTL soon ITEMS sku-1 1"),
    ("qty", "INV.RESERVE popup h-1 ITEMS sku-1 0"),
    ("qty", "INV.RESERVE popup h-1 ITEMS sku-1 -1"),
    ("qty", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 0"),
    ("qty", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 9007199254740992"),
    ("ITEMS", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1"),
    ("ms", "INV.EXTEND popup h-1 later"),
    ("seq", "INV.SYNC popup erp next ITEMS sku-1 1"),
    ("on-hand", "INV.SYNC popup erp 1 ITEMS sku-1 many"),
    ("TOKEN", "ORDER.COMPLETE popup o-1 TOKEN mine"),
    ("WAIT", "ORDER.PLACE popup o-1 c-1 WAIT -1 ITEMS sku-1 1"),
    ("WAIT", "ORDER.PLACE popup o-1 c-1 WAIT 9007199254740992 ITEMS sku-1 1"),
    ("soon", "ORDER.PLACE popup o-1 c-1 WAIT soon ITEMS sku-1 1"),
    ("DATA", "ORDER.PLACE popup o-1 c-1 DATA {broken ITEMS sku-1 1"),
    ("RESULT", "ORDER.COMPLETE popup o-1 RESULT {broken"),
    ("STATE", "ORDER.SCAN popup 0 STATE somewhere"),
    ("LANE", "ORDER.SCAN popup 0 LANE"),
    ("COLOUR", "INV.SET popup sku-1 5 COLOUR red"),
    ("COLOUR", "INV.RESERVE popup h-1 COLOUR red ITEMS sku-1 1"),
    ("COLOUR", "ORDER.PLACE popup o-1 c-1 COLOUR red ITEMS sku-1 1"),
    ("COLOUR", "ORDER.CANCEL popup o-1 COLOUR red"),
    ("COLOUR", "INV.HOLDS popup 0 COLOUR red"),
];

fn arguments_are_named(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for (name, command) in BAD_ARGUMENTS {
        client.refused_naming("ERR", name, *command);
    }
}

/// A call with an argument that does not parse, and the whole text of the error: what must be, then what came.
const TEXTS: &[(&str, &str)] = &[
    (
        "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1 DATA {}",
        "ERR qty must be an integer from 1 to 9007199254740991, got '{}' (options such as DATA go before ITEMS)",
    ),
    ("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 two", "ERR qty must be an integer from 1 to 9007199254740991, got 'two'"),
    ("ORDER.PLACE popup o-1 c-1 GROUP g-1 DATA {}", "ERR ITEMS or HOLD must be given"),
    (
        "ORDER.RETURN popup o-1 ITEMS sku-1 1 scrap",
        "ERR ITEMS must be 1 to 2000 pairs of a SKU and a number, got 3 words (options such as SCRAP go before ITEMS)",
    ),
    ("INV.SET popup sku-1 5 LOW", "ERR LOW must be given"),
    (
        "INV.SET popup sku-1 5 COLOUR",
        "ERR syntax error: unexpected 'COLOUR' (COMMAND DOCS INV.SET lists the arguments)",
    ),
    ("INV.SET popup \"\" 5", "ERR sku must be 1 to 512 bytes, got 0"),
    ("INV.ADJUST popup sku-1 0", "ERR delta must not be 0"),
    ("INV.SCAN popup here", "ERR cursor must be 0 or a cursor that the last call replied, got 'here'"),
    ("STORE.SET popup paused maybe", "ERR paused must be yes or no, got 'maybe'"),
    ("STORE.SET popup opens 9 closes 5", "ERR closes must be after opens, 9, or 0, got 5"),
    (
        "ORDER.SCAN popup 0 STATE lost",
        "ERR STATE must be one of queued claimed retrying dead completed cancelled pending waitlisted, got 'lost'",
    ),
    (
        "ORDER.COMPLETE popup o-1 RESULT {x}",
        "ERR RESULT must be JSON, got '{x}' (key must be a string at line 1 column 2)",
    ),
    (
        "INV.SET {}x sku-1 5",
        "ERR key must have braces as in 'shop:{42}' or none, so that its streams are in its hash slot, got '{}x'",
    ),
];

fn an_argument_says_what_it_must_be(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for (command, text) in TEXTS {
        let words: Vec<Vec<u8>> =
            command.into_command().into_iter().map(|w| if w == b"\"\"" { vec![] } else { w }).collect();
        assert_eq!(client.refused("ERR", words), *text, "{command}");
    }
}

fn long_and_empty_ids_are_named(binary: &ServerBinary) {
    const MAX_ID_BYTES: usize = 512;
    let (_server, mut client) = shop(binary);
    let ids: &[(&str, &str)] = &[
        ("sku", "INV.SET popup ID 5"),
        ("sku", "ORDER.PLACE popup o-1 c-1 ITEMS ID 1"),
        ("REF", "INV.ADJUST popup sku-1 1 REF ID"),
        ("hold", "INV.RESERVE popup ID ITEMS sku-1 1"),
        ("CUSTOMER", "INV.RESERVE popup h-1 CUSTOMER ID ITEMS sku-1 1"),
        ("source", "INV.SYNC popup ID 1 ITEMS sku-1 1"),
        ("order", "ORDER.PLACE popup ID c-1 ITEMS sku-1 1"),
        ("customer", "ORDER.PLACE popup o-1 ID ITEMS sku-1 1"),
        ("GROUP", "ORDER.PLACE popup o-1 c-1 GROUP ID ITEMS sku-1 1"),
    ];
    for (name, template) in ids {
        for id in [Vec::new(), vec![b'x'; MAX_ID_BYTES + 1]] {
            let command: Vec<Vec<u8>> =
                template.into_command().into_iter().map(|word| if word == b"ID" { id.clone() } else { word }).collect();
            client.refused_naming("ERR", name, command);
        }
    }
    for key in [Vec::new(), vec![b'x'; MAX_ID_BYTES + 1]] {
        client.refused_naming("ERR", "key", cmd!["STORE.SET", &key, "limit", 1]);
        client.refused_naming("ERR", "key", cmd!["INV.SET", &key, "sku-1", 1]);
    }
}

fn errorstats_count_the_codes(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("CONFIG RESETSTAT");
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 11");
    client.refused("OUTOFSTOCK", "INV.RESERVE popup h-1 ITEMS sku-1 12");
    client.refused("NOSKU", "ORDER.PLACE popup o-1 c-1 ITEMS sku-9 1");
    client.refused("WRONGTYPE", "GET popup");
    for (code, count) in [("OUTOFSTOCK", 2), ("NOSKU", 1), ("WRONGTYPE", 1)] {
        let line = client.info("errorstats", &format!("errorstat_{code}"));
        assert_eq!(line, format!("count={count}"), "{code}");
    }
}

/// A refused command is not replicated.
fn a_refusal_is_not_replicated(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let replica = server.replica(binary);
    let offset = |client: &mut Client| client.info("replication", "master_repl_offset");
    // PINGs to the replica move the offset, too: if two readings are equal, nothing else moved it.
    client.ok("CONFIG SET repl-ping-replica-period 3600");
    client.int("WAIT 1 1000");
    let still = |client: &mut Client| {
        let before = offset(client);
        client.call("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 11");
        client.call("ORDER.CANCEL popup o-9");
        client.call("INV.RESERVE popup h-1 ITEMS sku-1 11");
        offset(client) == before
    };
    wait_until(DEADLINE, "refusals leave the offset where it is", || still(&mut client));
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let placed = offset(&mut client);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    assert_eq!(offset(&mut client), placed, "a retry changes nothing, so nothing is replicated");
    wait_until(DEADLINE, "the replica has the order", || replica.debug_digest() == server.debug_digest());
}

fn errors_are_the_same_in_lua_and_multi(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let place = "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 11";
    let plain = client.refused("OUTOFSTOCK", place);
    let script = "return redis.pcall('ORDER.PLACE', KEYS[1], 'o-1', 'c-1', 'ITEMS', 'sku-1', '11')";
    assert!(client.refused("OUTOFSTOCK", cmd!["EVAL", script, 1, "popup"]).starts_with(&plain));
    client.ok("MULTI");
    client.text(place);
    client.text("INV.ADJUST popup sku-1 5");
    let replies = client.get("EXEC");
    assert_eq!(replies.array()[0].error(), plain);
    assert_eq!(replies.array()[1].int(), 15);
}
