//! INV.SET, ADJUST, GET, SCAN and SYNC.

use crate::common::{Client, Reply, Server, ServerBinary, assert_books_balance, shop_of, stock, tests};
use std::collections::BTreeSet;

tests![
    set_makes_store_and_sku,
    set_is_absolute,
    set_below_what_is_held_breaks_no_hold,
    on_hand_is_never_negative,
    safety_is_not_sold,
    adjust_adds_and_takes,
    adjust_with_a_ref_applies_once,
    get_of_many_with_nil_for_unknown,
    sold_counts_completed_less_returned,
    scan_finds_every_sku_once_per_round,
    scan_by_pattern,
    scan_of_low_stock,
    scan_keeps_what_stays_while_skus_come,
    sync_applies_in_order,
    sync_sources_are_apart,
    sync_is_all_or_nothing,
];

/// The largest quantity: 2^53 - 1.
const MAX: i64 = (1 << 53) - 1;

fn set_makes_store_and_sku(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    assert_eq!(client.int("INV.SET popup sku-1 10"), 10);
    assert_eq!(client.text("TYPE popup"), "holdstore");
    assert_eq!(client.int("INV.SET popup sku-2 10 SAFETY 3 LOW 5 LIMIT 2"), 7);
    let sku = client.get("INV.GET popup sku-2").array()[0].clone();
    let numbers = ["on-hand", "held", "safety", "low", "available", "sold"].map(|name| sku.field(name).int());
    assert_eq!(numbers, [10, 0, 3, 5, 7, 0]);
    assert_eq!(client.int("INV.SET popup sku-0 0"), 0);
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-1 c-1 ITEMS sku-0 1");
    assert_eq!(client.int(format!("INV.SET popup sku-max {MAX}")), MAX);
}

fn set_is_absolute(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    assert_eq!(client.int("INV.SET popup sku-1 20"), 16, "a count of what is there, held units among it");
    assert_eq!(client.int("INV.SET popup sku-1 20"), 16);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (20, 4, 16));
}

fn set_below_what_is_held_breaks_no_hold(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 4");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    assert_eq!(client.int("INV.SET popup sku-1 5"), -2);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (5, 7, -2));
    let text = client.refused("OUTOFSTOCK", "INV.RESERVE popup h-2 ITEMS sku-1 1");
    assert_eq!(text, "OUTOFSTOCK sku-1 wanted 1 available -2");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (2, 4, -2));
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("INV.RELEASE popup h-1"), 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (2, 0, 2));
    assert_books_balance(&mut client, "popup");
}

/// More was promised than exists. Whether the promise is kept or refused, no count falls below zero.
fn on_hand_is_never_negative(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 3");
    client.int("INV.SET popup sku-1 2");
    for command in ["ORDER.COMPLETE popup o-1", "INV.COMMIT popup h-1 ITEMS sku-1 2", "INV.COMMIT popup h-1"] {
        let before = stock(&mut client, "popup", "sku-1");
        let reply = client.call(command);
        let (on_hand, held, available) = stock(&mut client, "popup", "sku-1");
        assert!(on_hand >= 0 && held >= 0, "{command}: {reply:?}, on_hand {on_hand}, held {held}");
        assert_eq!(available, on_hand - held);
        if reply.is_error() {
            assert_eq!((on_hand, held, available), before, "{command}: {reply:?}");
        }
        assert_books_balance(&mut client, "popup");
    }
}

fn safety_is_not_sold(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10 SAFETY 4");
    let text = client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-1 c-1 ITEMS sku-1 7");
    assert_eq!(text, "OUTOFSTOCK sku-1 wanted 7 available 6");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 6");
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert_eq!(client.int("INV.SET popup sku-1 10 SAFETY 0"), 4);
    assert_eq!(client.int("INV.SET popup sku-1 3 SAFETY 5"), -8);
}

fn adjust_adds_and_takes(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    assert_eq!(client.int("INV.ADJUST popup sku-1 5 REASON found"), 15);
    assert_eq!(client.int("INV.ADJUST popup sku-1 -3"), 12);
    assert_eq!(client.int("INV.ADJUST popup sku-1 -3"), 9, "without REF it applies each time");
    assert_eq!(client.int("INV.ADJUST popup sku-1 -9"), 0);
    let text = client.refused("BADSTATE", "INV.ADJUST popup sku-1 -1");
    assert_eq!(text, "BADSTATE sku sku-1 has on-hand 0, a delta of -1 would take it below 0");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (0, 0, 0));
    assert_eq!(client.int(format!("INV.ADJUST popup sku-1 {MAX}")), MAX);
    client.refused("ERR", "INV.ADJUST popup sku-1 1");
}

fn adjust_with_a_ref_applies_once(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    assert_eq!(client.int("INV.ADJUST popup sku-1 5 REF r-1"), 15);
    assert_eq!(client.int("INV.ADJUST popup sku-1 1"), 16);
    let digest = client.digest();
    assert_eq!(client.int("INV.ADJUST popup sku-1 5 REF r-1"), 15, "the first call's reply");
    assert_eq!(client.digest(), digest, "a retry changes nothing");
    client.refused_naming("MISMATCH", "r-1", "INV.ADJUST popup sku-1 6 REF r-1");
    client.int("INV.SET popup sku-2 10");
    client.refused("MISMATCH", "INV.ADJUST popup sku-2 5 REF r-1");
    assert_eq!(client.int("INV.ADJUST popup sku-1 5 REF r-2"), 21);
}

fn get_of_many_with_nil_for_unknown(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 3");
    let reply = client.get("INV.GET popup sku-2 nothing sku-1 sku-2");
    let on_hand = |reply: &Reply| (*reply != Reply::Nil).then(|| reply.field("on-hand").int());
    let found: Vec<_> = reply.array().iter().map(on_hand).collect();
    assert_eq!(found, [Some(3), None, Some(10), Some(3)]);
}

fn sold_counts_completed_less_returned(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let sold = |client: &mut Client| client.get("INV.GET popup sku-1").array()[0].field("sold").int();
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 3");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 2");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(sold(&mut client), 3);
    client.get("ORDER.CANCEL popup o-2");
    assert_eq!(sold(&mut client), 3);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 2");
    client.int("INV.COMMIT popup h-1");
    assert_eq!(sold(&mut client), 5);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (5, 0, 5));
}

/// Iterates to the end of a scan: every id it returned, repeated ones included.
fn scan_all(client: &mut Client, command: &str, options: &str) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_string(), Vec::new());
    loop {
        let reply = client.get(format!("{command} {cursor} {options}"));
        let [next, ids] = reply.array() else {
            panic!("{command}: {reply:?}");
        };
        found.extend(ids.texts());
        cursor = next.text();
        if cursor == "0" {
            return found;
        }
    }
}

fn scan_finds_every_sku_once_per_round(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let wanted: BTreeSet<String> = (0..500).map(|number| format!("sku-{number}")).collect();
    for sku in &wanted {
        client.int(format!("INV.SET popup {sku} 5"));
    }
    for options in ["", "COUNT 1", "COUNT 7", "COUNT 100000"] {
        let found = scan_all(&mut client, "INV.SCAN popup", options);
        assert_eq!(found.len(), wanted.len(), "{options}: doubles in a store that stands still");
        assert_eq!(BTreeSet::from_iter(found), wanted, "{options}");
    }
    let first = client.get("INV.SCAN popup 0 COUNT 7");
    assert!(first.array()[1].array().len() <= 7, "COUNT bounds a page: {first:?}");
    for bad in ["INV.SCAN popup x", "INV.SCAN popup -1", "INV.SCAN popup 0 COUNT 0", "INV.SCAN popup 0 COUNT x"] {
        client.refused("ERR", bad);
    }
}

fn scan_by_pattern(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for sku in ["shirt-s", "shirt-m", "shirt-l", "cap", "[x]"] {
        client.int(format!("INV.SET popup {sku} 5"));
    }
    let mut found = |pattern: &str| {
        let mut found = scan_all(&mut client, "INV.SCAN popup", &format!("MATCH {pattern} COUNT 2"));
        found.sort();
        found
    };
    assert_eq!(found("shirt-*"), ["shirt-l", "shirt-m", "shirt-s"]);
    assert_eq!(found("shirt-[sm]"), ["shirt-m", "shirt-s"]);
    assert_eq!(found("?ap"), ["cap"]);
    assert_eq!(found("\\[x\\]"), ["[x]"]);
    assert_eq!(found("nothing*"), Vec::<String>::new());
    assert_eq!(found("shirt-[^s]"), ["shirt-l", "shirt-m"]);
}

fn scan_of_low_stock(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup plenty 50 LOW 5");
    client.int("INV.SET popup just 5 LOW 5");
    client.int("INV.SET popup short 6 LOW 5");
    client.int("INV.SET popup unmarked 1");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS short 2");
    let mut found = scan_all(&mut client, "INV.SCAN popup", "LOW");
    found.sort();
    assert_eq!(found, ["just", "short"]);
}

fn scan_keeps_what_stays_while_skus_come(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let stays: BTreeSet<String> = (0..300).map(|number| format!("sku-{number}")).collect();
    for sku in &stays {
        client.int(format!("INV.SET popup {sku} 5"));
    }
    let (mut cursor, mut found, mut added) = ("0".to_string(), BTreeSet::new(), 0);
    loop {
        let reply = client.get(format!("INV.SCAN popup {cursor} COUNT 10"));
        found.extend(reply.array()[1].texts());
        cursor = reply.array()[0].text();
        if cursor == "0" {
            break;
        }
        // Enough for the store to grow during the scan, but few enough for the scan to end.
        for _ in 0..if added < 3000 { 100 } else { 0 } {
            added += 1;
            client.int(format!("INV.SET popup new-{added} 5"));
        }
    }
    let missed: Vec<_> = stays.difference(&found).collect();
    assert!(missed.is_empty(), "missed {missed:?}");
}

fn sync_applies_in_order(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    assert_eq!(client.text("INV.SYNC popup erp 41 ITEMS sku-1 10 sku-2 20"), "APPLIED", "the first may be any");
    assert_eq!(stock(&mut client, "popup", "sku-2"), (20, 0, 20));
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    let digest = client.digest();
    assert_eq!(client.text("INV.SYNC popup erp 41 ITEMS sku-1 10 sku-2 20"), "DUPLICATE");
    assert_eq!(client.text("INV.SYNC popup erp 41 ITEMS sku-2 20 sku-1 10"), "DUPLICATE", "in another order");
    client.refused("MISMATCH", "INV.SYNC popup erp 41 ITEMS sku-2 10 sku-1 20");
    assert_eq!(client.text("INV.SYNC popup erp 7 ITEMS sku-1 1"), "DUPLICATE");
    assert_eq!(client.digest(), digest, "a duplicate changes nothing");
    let text = client.refused("GAP", "INV.SYNC popup erp 43 ITEMS sku-1 1");
    assert_eq!(text, "GAP expected 42");
    assert_eq!(client.text("INV.SYNC popup erp 42 ITEMS sku-1 9"), "APPLIED");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (9, 4, 5));
    assert_books_balance(&mut client, "popup");
}

fn sync_sources_are_apart(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    assert_eq!(client.text("INV.SYNC popup erp 1 ITEMS sku-1 10"), "APPLIED");
    assert_eq!(client.text("INV.SYNC popup wms 900 ITEMS sku-1 12"), "APPLIED");
    assert_eq!(client.text("INV.SYNC popup erp 2 ITEMS sku-1 11"), "APPLIED");
    assert_eq!(client.text("INV.SYNC popup wms 901 ITEMS sku-1 13"), "APPLIED");
    assert_eq!(stock(&mut client, "popup", "sku-1").0, 13);
    client.refused("GAP", "INV.SYNC popup wms 903 ITEMS sku-1 1");
    client.refused("GAP", "INV.SYNC popup erp 4 ITEMS sku-1 1");
}

fn sync_is_all_or_nothing(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.refused("ERR", "INV.SYNC popup erp 1 ITEMS sku-1 10 sku-2 -1");
    assert_eq!(client.int("EXISTS popup"), 0, "a refused INV.SYNC makes no store");
    client.text("INV.SYNC popup erp 1 ITEMS sku-1 10");
    client.refused("ERR", "INV.SYNC popup erp 2 ITEMS sku-1 10 sku-2 x");
    client.refused("ERR", "INV.SYNC popup erp 2 ITEMS sku-1");
    client.refused_naming("ERR", "seq", "INV.SYNC popup erp two ITEMS sku-1 1");
    assert_eq!(client.text("INV.SYNC popup erp 2 ITEMS sku-1 0"), "APPLIED", "an empty shelf is a count");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (0, 0, 0));
}
