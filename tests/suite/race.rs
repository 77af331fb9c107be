//! Many clients at once: every unit is sold once and every order ends once, whatever is sent twice or interrupted.

use crate::common::{
    Client, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, entries, open_store, shop_of, stock, tests,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

tests![
    sixty_four_race_for_the_last_units,
    carts_and_orders_race_for_the_last_units,
    completion_races_cancellation,
    one_a_customer,
    the_same_order_from_everywhere,
    workers_share_the_orders,
];

/// Connections that run at the same time.
const CLIENTS: usize = 64;

/// Numbers that are the same in every run, one sequence for each client.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// Runs `work` in one thread for each client, and returns what each returned.
fn race<T: Send>(server: &Server, clients: usize, work: impl Fn(usize, Client, Dice) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let start = |number: usize| {
            let (client, work) = (server.client(), &work);
            scope.spawn(move || work(number, client, Dice(0x9E37_79B9 + number as u64)))
        };
        let threads: Vec<_> = (0..clients).map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, T>| thread.join().expect("a client's thread");
        threads.into_iter().map(join).collect()
    })
}

/// Sends a command as an unreliable client does: sometimes twice, sometimes over a connection that breaks before the
/// reply, so that it is sent again over a new one. Returns the last reply; all others must be the same.
fn insist(server: &Server, client: &mut Client, dice: &mut Dice, command: &str) -> Reply {
    if dice.roll(4) == 0 {
        let mut flaky = server.client();
        flaky.send(command).expect("sent");
        // Half of them disconnect at once, the other half while the reply is on its way.
        if dice.roll(2) == 0 {
            flaky.receive().expect("a reply");
        }
    }
    let reply = client.call(command);
    if dice.roll(4) == 0 && !reply.is_error() {
        assert_eq!(client.call(command), reply, "the same call again: {command}");
    }
    reply
}

fn sixty_four_race_for_the_last_units(binary: &ServerBinary) {
    const UNITS: i64 = 2000;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", UNITS);
    let sold = race(&server, CLIENTS, |number, mut client, mut dice| {
        let mut sold = Vec::new();
        for order in 0.. {
            let quantity = 1 + dice.roll(3);
            let command = format!("ORDER.PLACE popup o-{number}-{order} c-{number} ITEMS sku-1 {quantity}");
            let reply = insist(&server, &mut client, &mut dice, &command);
            match reply {
                Reply::Error(_) => {
                    assert_eq!(reply.code(), "OUTOFSTOCK", "{reply:?}");
                    if quantity == 1 {
                        break;
                    }
                }
                reply => sold.push((format!("o-{number}-{order}"), reply.text(), quantity)),
            }
        }
        sold
    });
    let sold: Vec<_> = sold.into_iter().flatten().collect();
    let units: u64 = sold.iter().map(|(_, _, quantity)| quantity).sum();
    // An order whose replies were all lost may have been placed, too: the stream shows it.
    let stream = entries(&mut client, "{popup}:orders");
    let by_order: BTreeMap<String, String> = stream.iter().map(|e| (e.text("order"), e.id.clone())).collect();
    assert_eq!(by_order.len(), stream.len(), "no order is in the stream twice");
    for (order, id, _) in &sold {
        assert_eq!(by_order.get(order), Some(id), "{order}");
    }
    assert_eq!(sold.len(), stream.len(), "every order in the stream was acknowledged");
    assert_eq!(units as i64, UNITS, "every unit was sold once");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (UNITS, UNITS, 0));
    assert_books_balance(&mut client, "popup");
}

fn carts_and_orders_race_for_the_last_units(binary: &ServerBinary) {
    const UNITS: i64 = 600;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", UNITS);
    let ordered = AtomicU64::new(0);
    race(&server, CLIENTS, |number, mut client, mut dice| {
        for cart in 0.. {
            if ordered.load(Ordering::SeqCst) >= UNITS as u64 {
                return;
            }
            let (hold, order) = (format!("h-{number}-{cart}"), format!("o-{number}-{cart}"));
            // Short, so that a hold whose reply was lost does not hold its units forever.
            let reserve = format!("INV.RESERVE popup {hold} CUSTOMER c-{number} TTL 500 ITEMS sku-1 1");
            if insist(&server, &mut client, &mut dice, &reserve).is_error() {
                continue;
            }
            // One cart in three is released.
            let (command, wins) = match dice.roll(3) {
                0 => (format!("INV.RELEASE popup {hold}"), 0),
                _ => (format!("ORDER.PLACE popup {order} c-{number} HOLD {hold}"), 1),
            };
            match insist(&server, &mut client, &mut dice, &command) {
                Reply::Error(text) => assert!(text.starts_with(b"EXPIRED"), "{command}: {}", text.escape_ascii()),
                _ => drop(ordered.fetch_add(wins, Ordering::SeqCst)),
            }
        }
    });
    assert_eq!(ordered.load(Ordering::SeqCst), UNITS as u64);
    assert_eq!(client.int("XLEN {popup}:orders"), UNITS);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (UNITS, UNITS, 0));
    assert_books_balance(&mut client, "popup");
}

fn completion_races_cancellation(binary: &ServerBinary) {
    const ORDERS: usize = 500;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", ORDERS as i64);
    for order in 0..ORDERS {
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1"));
    }
    let won = race(&server, 16, |number, mut client, mut dice| {
        let verb = if number % 2 == 0 { "COMPLETE" } else { "CANCEL" };
        let mut won = BTreeSet::new();
        for order in 0..ORDERS {
            let order = if number % 4 < 2 { order } else { ORDERS - 1 - order };
            let reply = insist(&server, &mut client, &mut dice, &format!("ORDER.{verb} popup o-{order}"));
            match reply {
                Reply::Error(_) => assert_eq!(reply.code(), "BADSTATE", "{reply:?}"),
                _ => drop(won.insert(order)),
            }
        }
        (verb, won)
    });
    let of = |wanted: &str| -> BTreeSet<usize> {
        won.iter().filter(|(verb, _)| *verb == wanted).flat_map(|(_, won)| won.iter().copied()).collect()
    };
    let (completed, cancelled) = (of("COMPLETE"), of("CANCEL"));
    assert!(completed.is_disjoint(&cancelled), "an order that was both completed and cancelled");
    assert_eq!(completed.len() + cancelled.len(), ORDERS);
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
    assert_eq!(entries(&mut client, "{popup}:complete").len(), completed.len());
    let left = (ORDERS - completed.len()) as i64;
    assert_eq!(stock(&mut client, "popup", "sku-1"), (left, 0, left));
    assert_books_balance(&mut client, "popup");
}

fn one_a_customer(binary: &ServerBinary) {
    const CUSTOMERS: usize = 100;
    let (server, mut client) = shop_of(binary, 10_000);
    client.ok("STORE.SET popup limit 1");
    let won = race(&server, 32, |number, mut client, mut dice| {
        let mut won = Vec::new();
        for customer in 0..CUSTOMERS {
            let place = format!("ORDER.PLACE popup o-{number}-{customer} c-{customer} ITEMS sku-1 1");
            let reply = insist(&server, &mut client, &mut dice, &place);
            match reply {
                Reply::Error(_) => assert_eq!(reply.code(), "LIMIT", "{reply:?}"),
                _ => won.push(customer),
            }
        }
        won
    });
    let mut won: Vec<usize> = won.into_iter().flatten().collect();
    won.sort_unstable();
    assert_eq!(won, (0..CUSTOMERS).collect::<Vec<_>>(), "each customer got one, and one only");
    assert_books_balance(&mut client, "popup");
}

fn the_same_order_from_everywhere(binary: &ServerBinary) {
    const ORDERS: usize = 50;
    let (server, mut client) = shop_of(binary, 1000);
    let replies = race(&server, CLIENTS, |_, mut client, _| {
        let place = |order| format!("ORDER.PLACE popup o-{order} c-1 ITEMS sku-1 3").into_command();
        client.pipeline(&(0..ORDERS).map(place).collect::<Vec<_>>())
    });
    assert!(replies.iter().all(|of_one| *of_one == replies[0]), "all get the first call's reply");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1000, 150, 850));
    assert_eq!(client.int("XLEN {popup}:orders"), ORDERS as i64);
    assert_books_balance(&mut client, "popup");
}

fn workers_share_the_orders(binary: &ServerBinary) {
    const ORDERS: u64 = 2000;
    let server = Server::start(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", ORDERS as i64);
    client.ok("XGROUP CREATE {popup}:orders workers $ MKSTREAM");
    let (placed, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let (server_ref, placed_ref, done_ref) = (&server, &placed, &done);
    race(&server, 16, |number, mut client, mut dice| {
        if number < 8 {
            while let order @ 0..ORDERS = placed_ref.fetch_add(1, Ordering::SeqCst) {
                let place = format!("ORDER.PLACE popup o-{order} c-{number} ITEMS sku-1 1");
                assert!(!insist(server_ref, &mut client, &mut dice, &place).is_error());
            }
            return;
        }
        let read = format!("XREADGROUP GROUP workers w-{number} COUNT 5 BLOCK 50 STREAMS {{popup}}:orders >");
        while done_ref.load(Ordering::SeqCst) < ORDERS {
            let Reply::Array(streams) = client.get(&read) else { continue };
            for entry in streams[0].array()[1].array() {
                let order = entry.array()[1].field("order").text();
                client.text(format!("ORDER.COMPLETE popup {order}"));
                done_ref.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    assert_eq!(done.load(Ordering::SeqCst), ORDERS, "each order was handed to one worker");
    assert_eq!(client.int("XLEN {popup}:complete"), ORDERS as i64);
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (0, 0, 0));
    assert_books_balance(&mut client, "popup");
}
