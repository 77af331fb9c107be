//! The bytes of `docs/running/sizing.md` are what a server takes: measured here, on many records of each kind.

use crate::common::{Client, Server, ServerBinary, tests};
use regex::Regex;
use std::collections::BTreeMap;

tests![the_sizes_in_the_documents_are_measured];

/// Records of each kind. Enough that what a server takes for itself does not count.
const RECORDS: u64 = 10_000;
const PIPELINE: u64 = 1_000;
/// Servers differ by their allocators and streams, and tables grow in steps.
const TOLERANCE_PERCENT: u64 = 15;

/// What one more record takes, and the calls that make it; `#` is its number, in ten digits.
const KINDS: &[(&str, &[&str])] = &[
    ("a SKU", &["INV.SET other sku-00# 5"]),
    ("an open order of one item, of a known customer", &["ORDER.PLACE popup order-# ann ITEMS sku-1 1"]),
    ("an open order of one item, of a new customer", &["ORDER.PLACE popup order-# buyer-# ITEMS sku-1 1"]),
    (
        "an open order of three items, of a known customer",
        &["ORDER.PLACE popup order-# ann ITEMS sku-1 1 sku-2 1 sku-3 1"],
    ),
    (
        "an open order with 100 bytes of DATA, of a known customer",
        &["ORDER.PLACE popup order-# ann DATA \
           \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" \
           ITEMS sku-1 1"],
    ),
    ("a pending order with one gate", &["ORDER.PLACE popup order-# ann GATE payment 86400000 ITEMS sku-1 1"]),
    ("a waitlisted order", &["ORDER.PLACE popup order-# ann WAIT ITEMS sku-0 1"]),
    (
        "a completed order that is remembered, with its entry in `…:complete`",
        &["ORDER.PLACE popup order-# ann ITEMS sku-1 1", "ORDER.COMPLETE popup order-#"],
    ),
    (
        "a cancelled order that is remembered",
        &["ORDER.PLACE popup order-# ann ITEMS sku-1 1", "ORDER.CANCEL popup order-#"],
    ),
    ("a live hold of one item, of a known customer", &["INV.RESERVE popup hold-0# CUSTOMER ann ITEMS sku-1 1"]),
    ("a live hold of one item, of a new customer", &["INV.RESERVE popup hold-0# CUSTOMER buyer-# ITEMS sku-1 1"]),
    ("an entry of `…:journal`", &["INV.ADJUST logged sku-1 1"]),
];

/// A server in which nothing is forgotten or sampled while it is measured.
fn empty_server(binary: &ServerBinary) -> (Server, Client) {
    let server = Server::with(binary, &["holdfast.sample-ms 0"]);
    let mut client = server.client();
    client.ok("STORE.SET popup history 1000000");
    client.ok("STORE.SET logged journal 1000000");
    for sku in ["sku-1", "sku-2", "sku-3"] {
        client.int(format!("INV.SET popup {sku} 1000000000"));
    }
    client.int("INV.SET popup sku-0 0");
    client.int("INV.SET logged sku-1 1");
    client.int("INV.SET other sku-1 1");
    (server, client)
}

fn used_bytes(client: &mut Client) -> u64 {
    client.info("memory", "used_memory").parse().expect("a number")
}

/// Bytes for each record of a kind.
fn measure(binary: &ServerBinary, calls: &[&str]) -> u64 {
    let (server, mut client) = empty_server(binary);
    let before = used_bytes(&mut client);
    for batch in 0..RECORDS / PIPELINE {
        let numbers = (0..PIPELINE).map(|at| format!("{:010}", batch * PIPELINE + at));
        let commands: Vec<Vec<Vec<u8>>> =
            numbers.flat_map(|number| calls.iter().map(move |call| words(&call.replace('#', &number)))).collect();
        let replies = client.pipeline(&commands);
        assert!(replies.iter().all(|reply| !reply.is_error()), "{:?}", replies[0]);
    }
    // A new connection has no large buffers.
    let mut client = server.client();
    (used_bytes(&mut client) - before) / RECORDS
}

fn words(call: &str) -> Vec<Vec<u8>> {
    call.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// The table of the document: what, and bytes.
fn documented() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/running/sizing.md")).expect("a page");
    let row = Regex::new(r"(?m)^\| (.+?) \| (\d+) \|$").expect("a pattern");
    row.captures_iter(&text).map(|row| (row[1].to_owned(), row[2].parse().expect("a number"))).collect()
}

fn the_sizes_in_the_documents_are_measured(binary: &ServerBinary) {
    let documented = documented();
    let measured: Vec<_> = KINDS.iter().map(|(what, calls)| (*what, measure(binary, calls))).collect();
    println!("{measured:#?}");
    for (what, bytes) in &measured {
        let known = *documented.get(*what).unwrap_or_else(|| panic!("no row: {what}: {measured:#?}"));
        let is_near = known.abs_diff(*bytes) * 100 <= known * TOLERANCE_PERCENT;
        assert!(is_near, "{what}: {bytes} bytes, and not {known}: {measured:#?}");
    }
    assert_eq!(documented.len(), KINDS.len(), "rows that nothing measures");
}
