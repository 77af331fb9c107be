//! kill -9 in the middle of work, again and again: with `appendfsync always` no acknowledged write is lost.

use crate::common::{
    Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, entries, open_store, stock,
    tests, wait_until,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

tests![
    acknowledged_writes_survive_kill_9,
    a_rewrite_killed_in_the_middle_loses_nothing,
    a_torn_last_write_is_not_half_done,
    alerts_survive_kill_9,
];

const ROUNDS: usize = 5;
const CLIENTS: usize = 8;

/// Acknowledged writes in a round before the server is killed.
const WRITES_BEFORE_KILL: u64 = 400;

/// Units of stock: more than all rounds can sell.
const UNITS: i64 = 10_000_000;

/// A write that was acknowledged, and its reply.
type Acknowledged = (String, Reply);

/// The writes of one client, in order: each order is placed, and then completed, cancelled or left.
fn writes(round: usize, client: usize) -> impl Iterator<Item = String> {
    (0..).flat_map(move |number| {
        let order = format!("o-{round}-{client}-{number}");
        let place = format!("ORDER.PLACE popup {order} c-{client} ITEMS sku-1 {}", 1 + number % 3);
        let second = match number % 4 {
            0 => format!("ORDER.COMPLETE popup {order} RESULT {number}"),
            1 => format!("ORDER.CANCEL popup {order}"),
            2 => format!("INV.RESERVE popup h-{order} TTL 3600000 ITEMS sku-1 1"),
            _ => format!("INV.ADJUST popup sku-2 1 REF r-{order}"),
        };
        [place, second]
    })
}

/// Writes until the server dies; returns what was acknowledged, and the write whose reply is missing.
fn write_until_death(
    mut client: Client,
    writes: impl Iterator<Item = String>,
    count: &AtomicU64,
) -> (Vec<Acknowledged>, String) {
    let mut acknowledged = Vec::new();
    for command in writes {
        match client.try_call(&command) {
            Ok(reply) => {
                assert!(!reply.is_error(), "{command}: {reply:?}");
                acknowledged.push((command, reply));
                count.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => return (acknowledged, command),
        }
    }
    unreachable!("there is always another write");
}

/// Lets clients write, and kills the server once enough was acknowledged.
fn write_and_kill<I: Iterator<Item = String>>(
    server: &mut Server,
    round: usize,
    writes: impl Fn(usize, usize) -> I + Copy + Send,
) -> Vec<(Vec<Acknowledged>, String)> {
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        let start = |number| {
            let (client, count) = (server.client(), &count);
            scope.spawn(move || write_until_death(client, writes(round, number), count))
        };
        let threads: Vec<_> = (0..CLIENTS).map(start).collect();
        wait_until(DEADLINE, "enough was written", || count.load(Ordering::SeqCst) >= WRITES_BEFORE_KILL);
        server.kill9();
        threads.into_iter().map(|thread| thread.join().expect("a writer")).collect()
    })
}

/// Every acknowledged write is there: sent again, it gets its reply and changes nothing. An order that was cancelled
/// meanwhile is not placed again.
fn assert_all_there(client: &mut Client, acknowledged: &[Acknowledged]) {
    let digest = client.digest();
    let commands: Vec<_> = acknowledged.iter().map(|(command, _)| command.into_command()).collect();
    let replies = client.pipeline(&commands);
    let order = |command: &str| command.split(' ').nth(2).unwrap_or_default().to_string();
    let cancels = acknowledged.iter().filter(|(command, _)| command.starts_with("ORDER.CANCEL "));
    let cancelled: BTreeSet<String> = cancels.map(|(command, _)| order(command)).collect();
    for ((command, wanted), found) in acknowledged.iter().zip(&replies) {
        if command.starts_with("ORDER.PLACE ") && cancelled.contains(&order(command)) {
            assert_eq!(found.error(), "BADSTATE order is cancelled", "{command}");
        } else {
            assert_eq!(found, wanted, "lost: {command}");
        }
    }
    assert_eq!(client.digest(), digest, "an acknowledged write was not there, and was done a second time");
}

/// The stream has the open orders, each once, and the stock is the sum of the orders and holds.
fn assert_consistent(client: &mut Client) {
    assert_books_balance(client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0, "streams and store are one");
    let orders = entries(client, "{popup}:orders");
    let distinct: BTreeSet<String> = orders.iter().map(|entry| entry.text("order")).collect();
    assert_eq!(distinct.len(), orders.len());
    let (on_hand, held, available) = stock(client, "popup", "sku-1");
    assert_eq!(available, on_hand - held);
}

fn acknowledged_writes_survive_kill_9(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", "auto-aof-rewrite-percentage 0"]);
    let mut client = server.client();
    open_store(&mut client, "popup", UNITS);
    client.int("INV.SET popup sku-2 0");
    let mut all: Vec<Acknowledged> = Vec::new();
    for round in 0..ROUNDS {
        let of_clients = write_and_kill(&mut server, round, writes);
        server.start_again();
        let mut client = server.client();
        for (acknowledged, in_flight) in of_clients {
            all.extend(acknowledged);
            // A client sends the write again whose reply is missing.
            let reply = client.get(&in_flight);
            all.push((in_flight, reply));
        }
        assert_all_there(&mut client, &all);
        assert_consistent(&mut client);
        let adjusted = all.iter().filter(|(command, _)| command.starts_with("INV.ADJUST")).count();
        assert_eq!(stock(&mut client, "popup", "sku-2").0, adjusted as i64, "each adjustment was done once");
    }
}

fn a_rewrite_killed_in_the_middle_loses_nothing(binary: &ServerBinary) {
    for preamble in ["yes", "no"] {
        let preamble = format!("aof-use-rdb-preamble {preamble}");
        let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", &preamble]);
        let mut client = server.client();
        open_store(&mut client, "popup", UNITS);
        client.int("INV.SET popup sku-2 0");
        let commands: Vec<_> = writes(0, 0).take(6000).map(|command| command.into_command()).collect();
        assert!(client.pipeline(&commands).iter().all(|reply| !reply.is_error()));
        client.get("BGREWRITEAOF");
        let more: Vec<_> = writes(1, 0).take(100).map(|command| command.into_command()).collect();
        assert!(client.pipeline(&more).iter().all(|reply| !reply.is_error()));
        let digest = client.digest();
        server.kill9();
        server.start_again();
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "{preamble}");
        assert_consistent(&mut client);
    }
}

/// A machine that dies while it writes leaves a truncated last command: it is dropped completely, with its stream
/// entry.
fn a_torn_last_write_is_not_half_done(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", "aof-load-truncated yes"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    for order in 0..20 {
        client.text(format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 1"));
    }
    let digest = client.digest();
    client.text("ORDER.PLACE popup o-torn c-1 ITEMS sku-1 5");
    server.kill9();
    let folder = std::fs::read_dir(server.dir().join("appendonlydir")).expect("the append-only folder");
    let path = folder
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .expect("the append-only file");
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the append-only file");
    let length = file.metadata().expect("its length").len();
    file.set_len(length - 3).expect("cut");
    drop(file);
    server.start_again();
    let mut client = server.client();
    assert_eq!(client.digest(), digest);
    client.refused("NOORDER", "ORDER.GET popup o-torn");
    assert_consistent(&mut client);
}

/// The writes of one client that turn something: the only unit of a SKU of its own is taken and put back, and an order
/// dies.
fn turning_writes(round: usize, client: usize) -> impl Iterator<Item = String> {
    (0..).flat_map(move |number| {
        let id = format!("{round}-{client}-{number}");
        [
            format!("INV.RESERVE popup h-{id} TTL 3600000 ITEMS sku-{client} 1"),
            format!("INV.RELEASE popup h-{id}"),
            format!("ORDER.PLACE popup o-{id} c-1 ITEMS sku-{client} 1"),
            format!("ORDER.FAIL popup o-{id} REASON broken FATAL"),
        ]
    })
}

/// The alerts that a write has to have led to, but for the order of those of one write.
fn alerts_of(write: &str) -> Vec<String> {
    let words: Vec<&str> = write.split(' ').collect();
    let client = words[2].split('-').nth(2).expect("the client's number");
    match words[0] {
        "INV.RESERVE" | "ORDER.PLACE" => vec![format!("stock.out sku-{client} ")],
        "INV.RELEASE" => vec![format!("stock.in sku-{client} ")],
        _ => vec![format!("order.dead  {}", words[2]), format!("stock.in sku-{client} ")],
    }
}

fn alerts(client: &mut Client) -> Vec<(String, String)> {
    let told = |entry: &crate::common::Entry| {
        (entry.id.clone(), ["kind", "sku", "order"].map(|field| entry.text(field)).join(" "))
    };
    entries(client, "{popup}:alerts").iter().map(told).collect()
}

/// No alert of an acknowledged write is lost, none is written twice, and a replica has the same stream.
fn alerts_survive_kill_9(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", "auto-aof-rewrite-percentage 0"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0 alerts 1000000");
    for number in 0..CLIENTS {
        client.int(format!("INV.SET popup sku-{number} 1"));
    }
    let mut wanted: Vec<Vec<String>> = vec![Vec::new(); CLIENTS];
    for round in 0..ROUNDS {
        let of_clients = write_and_kill(&mut server, round, turning_writes);
        server.start_again();
        let mut client = server.client();
        for (number, (acknowledged, in_flight)) in of_clients.into_iter().enumerate() {
            client.get(&in_flight);
            let done = acknowledged.iter().map(|(command, _)| command).chain([&in_flight]);
            wanted[number].extend(done.flat_map(|write| alerts_of(write)));
            // The next round finds the unit there again.
            let last = in_flight.split(' ').nth(2).expect("an id");
            let undo = match in_flight.split(' ').next() {
                Some("INV.RESERVE") => format!("INV.RELEASE popup {last}"),
                Some("ORDER.PLACE") => format!("ORDER.FAIL popup {last} REASON broken FATAL"),
                _ => continue,
            };
            client.get(&undo);
            wanted[number].extend(alerts_of(&undo));
        }
        let told = alerts(&mut client);
        for (number, wanted) in wanted.iter_mut().enumerate() {
            let of_client = |text: &String| {
                text.contains(&format!(" sku-{number} ")) || text.split('-').nth(2) == Some(&number.to_string())
            };
            let mut found: Vec<_> = told.iter().map(|(_, text)| text.clone()).filter(of_client).collect();
            let (mut out_and_in, mut dead) = (true, 0);
            for text in found.iter().filter(|text| text.starts_with("stock.")) {
                assert_eq!(text.starts_with("stock.out"), out_and_in, "what turned turned once: {found:?}");
                out_and_in = !out_and_in;
            }
            dead += found.iter().filter(|text| text.starts_with("order.dead")).collect::<BTreeSet<_>>().len();
            assert_eq!(dead, found.iter().filter(|text| text.starts_with("order.dead")).count(), "each died once");
            found.sort();
            let mut wanted = wanted.clone();
            wanted.sort();
            assert_eq!(found, wanted, "of client {number} in round {round}");
        }
        let mut reader = replica.client();
        wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
        assert_eq!(alerts(&mut reader), told);
        assert_books_balance(&mut client, "popup");
    }
}
