//! Stores that no client calls while something happens to their servers: whoever has them afterwards gives their units
//! back when a hold is over, without a word from anybody.

use super::client::Roamer;
use super::dice::Dice;
use super::load::{TAGS, tag};
use super::nodes::{Nodes, SHARDS};
use crate::common::{Client, DEADLINE, Entry, assert_books_balance, cmd, wait_until};

/// Holds end after so many milliseconds: before an event, during it, after it.
const HOLD_MS: [u64; 4] = [20, 200, 600, 1_500];

const UNITS: u64 = 1_000;

fn store(tag: &str) -> String {
    format!("untouched:{{{tag}}}")
}

fn each() -> impl Iterator<Item = (String, String)> {
    (0..TAGS).map(tag).map(|tag| (store(&tag), tag))
}

/// Opens one in each slot.
pub fn open(client: &mut Roamer) {
    for (store, tag) in each() {
        let settings = cmd!["STORE.SET", &store, "journal", 1_000_000, "keep-ms", 86_400_000];
        assert!(!client.write(&tag, settings).reply.is_error(), "{store}");
        assert_eq!(client.write(&tag, cmd!["INV.SET", &store, "cup", UNITS]).reply.int(), UNITS as i64);
    }
}

/// A hold in each, before something happens.
pub fn hold(client: &mut Roamer, round: usize, dice: &mut Dice) {
    for (store, tag) in each() {
        let hold_ms = HOLD_MS[dice.below(HOLD_MS.len())];
        let words = cmd!["INV.RESERVE", &store, format!("hold-{round}"), "TTL", hold_ms, "ITEMS", "cup", 1];
        let reply = client.write(&tag, words).reply;
        assert!(!reply.is_error(), "{store}: {reply:?}");
    }
}

/// While no client calls: all holds end. The journal is read, and not the store, as a command would do what is due.
pub fn check(nodes: &Nodes, after: &str) {
    let mut clients: Vec<Client> = (0..SHARDS).map(|shard| nodes.of_primary(shard)).collect();
    for (store, tag) in each() {
        let last = cmd!["XREVRANGE", format!("{store}:journal"), "+", "-", "COUNT", 1];
        let mut owner = 0;
        wait_until(DEADLINE, &format!("the holds of {store} end after {after}"), || {
            // A slot may have come over a moment ago, and not all nodes have heard of it.
            owner = nodes.owner_of(&tag);
            let reply = clients[owner].call(last.clone());
            !reply.is_error() && reply.array().first().is_some_and(|entry| Entry::of(entry).text("held") == "0")
        });
        assert_books_balance(&mut clients[owner], &store);
    }
}
