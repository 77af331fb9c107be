//! The journal: one entry for each movement of stock, from which on-hand and held of every SKU can be computed.

use crate::common::{
    Client, DEADLINE, Entry, Server, ServerBinary, assert_books_balance, claim, cmd, entries, ids, info, place_many,
    stock, tests, wait_until,
};
use std::collections::BTreeMap;

tests![the_books_follow_from_the_journal, the_books_follow_while_many_write, of_a_capped_journal_the_last_entry_tells,];

const JOURNAL: &str = "{popup}:journal";

/// What a reader of the journal knows about a SKU: on-hand and held.
pub type Books = BTreeMap<String, (i64, i64)>;

/// Adds up the movements, first to last, and checks that each sum is the one in the entry.
#[track_caller]
pub fn follow(journal: &[Entry]) -> Books {
    let mut books = Books::new();
    for entry in journal {
        let number = |field: &str| entry.text(field).parse::<i64>().expect("a number");
        let (on_hand, held) = books.entry(entry.text("sku")).or_default();
        match entry.text("kind").as_str() {
            "scrap" => {}
            "set" | "adjust" | "sync" | "return" => *on_hand += number("delta"),
            // After a low count more units may leave than the books have: on-hand stops at 0.
            "commit" | "complete" | "lost" => {
                (*on_hand, *held) = ((*on_hand + number("delta")).max(0), *held + number("delta"));
            }
            "reserve" | "place" | "release" | "expire" | "cancel" | "dead" | "redrive" | "edit" | "waitlist" => {
                *held += number("delta");
            }
            kind => panic!("a movement of a kind that the contract does not know: {kind}"),
        }
        assert_eq!((*on_hand, *held), (number("on-hand"), number("held")), "{entry:?}");
    }
    books
}

/// Panics unless the sums of the journal are what INV.GET replies, for every SKU.
#[track_caller]
fn assert_follows(client: &mut Client) {
    let books = follow(&entries(client, JOURNAL));
    let skus = client.get("INV.SCAN popup 0 COUNT 1000").array()[1].texts();
    assert_eq!(books.len(), skus.len());
    for sku in skus {
        let (on_hand, held, _) = stock(client, "popup", &sku);
        assert_eq!(books.get(&sku), Some(&(on_hand, held)), "{sku}");
    }
    assert_books_balance(client, "popup");
}

/// A server that keeps a journal of everything.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup journal 1000000 attempts 2 backoff-ms 1 backoff-cap-ms 2 lease-ms 20");
    (server, client)
}

fn the_books_follow_from_the_journal(binary: &ServerBinary) {
    let (mut server, mut client) = shop(binary);
    let story = [
        "INV.SET popup tea 10",
        "INV.SET popup milk 5 SAFETY 1",
        "INV.ADJUST popup tea -2 REASON broken",
        "INV.SYNC popup erp 1 ITEMS milk 20 jam 3",
        "INV.RESERVE popup cart-1 ITEMS tea 2 milk 3",
        "INV.COMMIT popup cart-1 ITEMS tea 1",
        "INV.RELEASE popup cart-1 ITEMS milk 1",
        "ORDER.PLACE popup o-1 ann HOLD cart-1",
        "ORDER.PLACE popup o-2 bob ITEMS tea 2 jam 1",
        "ORDER.PLACE popup o-3 cyd ITEMS jam 2",
        "ORDER.COMPLETE popup o-1",
        "ORDER.RETURN popup o-1 ITEMS milk 1",
        "ORDER.RETURN popup o-1 SCRAP ITEMS tea 1",
        "ORDER.FAIL popup o-2 REASON lost FATAL",
        "ORDER.REDRIVE popup o-2",
        "ORDER.CANCEL popup o-3 REASON late",
        "INV.SET popup rare 1",
        "ORDER.PLACE popup o-4 dee WAIT ITEMS rare 3 tea 1",
        "ORDER.PLACE popup o-5 eve WAIT ITEMS rare 2",
        "INV.ADJUST popup rare 1",
        "ORDER.CANCEL popup o-4",
        // More units are held than counted now, and they leave.
        "INV.SET popup tea 1",
        "ORDER.COMPLETE popup o-2",
        "INV.RESERVE popup cart-2 TTL 1 ITEMS jam 1",
    ];
    for command in story {
        assert!(!client.get(command).is_error(), "{command}");
    }
    wait_until(DEADLINE, "the cart expires", || info(&mut client, "expired") == 1);
    assert_follows(&mut client);
    let kinds: Vec<_> = entries(&mut client, JOURNAL).iter().map(|entry| entry.text("kind")).collect();
    for kind in ["commit", "release", "expire", "cancel", "dead", "redrive", "return", "scrap", "sync", "waitlist"] {
        assert!(kinds.iter().any(|told| told == kind), "no {kind} in {kinds:?}");
    }
    client.ok("SAVE");
    server.restart();
    assert_follows(&mut server.client());
}

/// Customers, workers that fail or die, and deadlines, all at the same time.
fn the_books_follow_while_many_write(binary: &ServerBinary) {
    const ORDERS: usize = 400;
    let (server, mut client) = shop(binary);
    client.int("INV.SET popup sku-1 1000");
    let replica = server.replica(binary);
    std::thread::scope(|threads| {
        for customer in 0..2 {
            let mut client = server.client();
            threads.spawn(move || {
                for number in 0..ORDERS {
                    let cart = format!("cart-{customer}-{number}");
                    client.call(cmd!["INV.RESERVE", "popup", &cart, "TTL", 1 + number % 7, "ITEMS", "sku-1", 1]);
                    let order = format!("o-{customer}-{number}");
                    client.call(cmd!["ORDER.PLACE", "popup", &order, "c-1", "ITEMS", "sku-1", 1 + number % 3]);
                    if number % 9 == 0 {
                        client.call(format!("ORDER.CANCEL popup {order}"));
                    }
                }
            });
        }
        for worker in 0..2 {
            let mut client = server.client();
            threads.spawn(move || {
                for turn in 0..ORDERS {
                    let claimed = claim(&mut client, format!("ORDER.CLAIM popup w-{worker} COUNT 2"));
                    // Every third order is left until its lease expires, every fourth fails.
                    for order in ids(&claimed).into_iter().filter(|_| turn % 3 > 0) {
                        let verb = if turn % 4 == 0 { "FAIL" } else { "COMPLETE" };
                        client.call(format!("ORDER.{verb} popup {order}"));
                    }
                }
            });
        }
    });
    client.get("ORDER.REDRIVE popup ALL");
    wait_until(DEADLINE, "all carts are expired", || info(&mut client, "holds") == 0);
    wait_until(DEADLINE, "all leases are over", || info(&mut client, "in-work") == 0);
    assert!(info(&mut client, "lapsed") > 0 && info(&mut client, "dead") > 0);
    assert_follows(&mut client);
    wait_until(DEADLINE, "the replica has the same", || replica.debug_digest() == server.debug_digest());
    assert_follows(&mut replica.client());
}

fn of_a_capped_journal_the_last_entry_tells(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("STORE.SET popup journal 10");
    client.int("INV.SET popup sku-1 1000");
    place_many(&mut client, "popup", 0..300);
    let journal = entries(&mut client, JOURNAL);
    assert!((1..=10).contains(&journal.len()), "{}", journal.len());
    let last = journal.last().expect("an entry");
    assert_eq!((last.text("on-hand"), last.text("held")), ("1000".into(), "300".into()));
}
