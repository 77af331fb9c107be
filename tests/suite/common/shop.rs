//! A store to test with, and what must be true of every store.

use super::binary::ServerBinary;
use super::client::Client;
use super::cmd;
use super::resp::Reply;
use super::server::Server;
use std::ops::Range;

/// Counters of a sample and of STORE.INFO, in their order; those of refusals follow.
pub const COUNTERS: &[&str] = &[
    "placed",
    "completed",
    "cancelled",
    "returned",
    "failed",
    "retried",
    "dead",
    "expired",
    "claimed",
    "units-sold",
    "lapsed",
    "redriven",
    "late",
    "gates-expired",
    "waitlist-expired",
];

/// Opens the store `key` with one SKU `sku-1` of `on_hand` units. Metrics are off: they write once a second, and a test
/// that compares digests wants nothing written but by its own commands.
#[track_caller]
pub fn open_store(client: &mut Client, key: &str, on_hand: i64) {
    client.ok(format!("STORE.SET {key} metrics 0"));
    assert_eq!(client.int(format!("INV.SET {key} sku-1 {on_hand}")), on_hand);
}

/// A server, and a client of it with the store `popup` open: so many units of `sku-1`.
#[track_caller]
pub fn shop_of(binary: &ServerBinary, units: i64) -> (Server, Client) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", units);
    (server, client)
}

/// The value of a line of STORE.INFO of the store `popup`.
#[track_caller]
pub fn info(client: &mut Client, name: &str) -> i64 {
    client.get("STORE.INFO popup").field(name).int()
}

/// Places the orders of these numbers, of one item each, with 16-byte ids.
#[track_caller]
pub fn place_many(client: &mut Client, key: &str, numbers: Range<usize>) {
    /// Commands a pipeline carries.
    const PIPELINE: usize = 1000;
    let all: Vec<usize> = numbers.collect();
    for part in all.chunks(PIPELINE) {
        let place = |number: &usize| {
            let (order, customer) = (format!("order-{number:010}"), format!("buyer-{number:010}"));
            cmd!["ORDER.PLACE", key, order, customer, "ITEMS", "sku-1", 1]
        };
        let commands: Vec<_> = part.iter().map(place).collect();
        let refused = client.pipeline(&commands).into_iter().find(Reply::is_error);
        assert_eq!(refused, None);
    }
}

/// A SKU's (on_hand, held, available).
#[track_caller]
pub fn stock(client: &mut Client, key: &str, sku: &str) -> (i64, i64, i64) {
    let reply = client.get(format!("INV.GET {key} {sku}"));
    let number = |name| reply.array()[0].field(name).int();
    (number("on-hand"), number("held"), number("available"))
}

/// The server's own clock, in Unix milliseconds.
#[track_caller]
pub fn server_now_ms(client: &mut Client) -> i64 {
    let now = client.get("TIME").texts();
    let part = |index: usize| now[index].parse::<i64>().expect("a number of TIME");
    part(0) * 1000 + part(1) / 1000
}

/// Panics unless STORE.AUDIT finds nothing that disagrees.
#[track_caller]
pub fn assert_books_balance(client: &mut Client, key: &str) {
    assert_eq!(client.get(format!("STORE.AUDIT {key}")), Reply::Array(Vec::new()), "audit of {key}");
}
