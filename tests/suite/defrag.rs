//! Active defragmentation, on a server whose allocator can do it: the redis-server that RedisTimeSeries comes with.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, cmd, open_store, stack, tests, wait_until,
};

tests![memory_is_defragmented_and_the_store_says_the_same];

const ORDERS: usize = 40_000;

/// Whether an order stays. Some regions of memory lose more of their orders than others: where all are alike, an
/// allocator sees no better place.
fn stays(number: usize) -> bool {
    const REGION: usize = 500;
    number.is_multiple_of(2 + number / REGION % 15)
}

/// A number of a line of INFO.
fn number(client: &mut Client, section: &str, name: &str) -> f64 {
    client.info(section, name).parse().expect("a number")
}

/// What the allocator has for pieces in use, by what the pieces take: 1 where nothing is wasted.
fn fragmentation(client: &mut Client) -> f64 {
    number(client, "memory", "allocator_frag_ratio")
}

/// A store of orders with much data, most of which ended and are forgotten: holes are left between the others.
fn leave_holes(client: &mut Client) {
    open_store(client, "popup", ORDERS as i64);
    client.ok("STORE.SET popup keep-ms 1 history 0 metrics 0");
    let data = format!("{{\"note\":\"{}\"}}", "x".repeat(400));
    let place = |n: usize| cmd!["ORDER.PLACE", "popup", format!("o-{n}"), "c-1", "DATA", &data, "ITEMS", "sku-1", "1"];
    let numbers: Vec<usize> = (0..ORDERS).collect();
    let all: Vec<_> = numbers.iter().map(|n| place(*n)).collect();
    let most = numbers.iter().filter(|n| !stays(**n));
    let goes: Vec<_> = most.map(|n| cmd!["ORDER.CANCEL", "popup", format!("o-{n}")]).collect();
    for batch in all.chunks(1_000).chain(goes.chunks(1_000)) {
        client.pipeline(batch);
    }
    wait_until(DEADLINE, "the cancelled orders are forgotten", || {
        client.get("STORE.INFO popup").field("cancelled-kept").int() == 0
    });
}

fn memory_is_defragmented_and_the_store_says_the_same(binary: &ServerBinary) {
    let servers: Vec<_> = stack::with_timeseries(binary).iter().filter_map(ServerBinary::to_load_later).collect();
    let mut defragmented = servers.is_empty();
    for (binary, _) in servers {
        let server = Server::with(&binary, &["active-defrag-ignore-bytes 1mb", "active-defrag-threshold-lower 1"]);
        let mut client = server.client();
        leave_holes(&mut client);
        let (digest, mut before) = (client.digest(), fragmentation(&mut client));
        if client.call("CONFIG SET activedefrag yes").is_error() {
            // The servers of Debian and of Valkey's wheel: their allocators cannot.
            continue;
        }
        let wasted = |fragmentation: f64| fragmentation - 1.0;
        wait_until(DEADLINE, "pieces are moved, and half of the holes are gone", || {
            let now = fragmentation(&mut client);
            // The server looks at its allocator ten times a second: what it said first may be of before the last holes.
            before = before.max(now);
            wasted(now) < wasted(before) / 2.0
        });
        assert!(before > 1.4, "{before}: there were holes");
        assert!(number(&mut client, "stats", "active_defrag_hits") > 0.0);
        assert_eq!(client.digest(), digest);
        assert_books_balance(&mut client, "popup");
        assert_eq!(client.get("ORDER.GET popup o-8").field("state").text(), "queued");
        defragmented = true;
    }
    assert!(defragmented, "a server that can was among them");
}
