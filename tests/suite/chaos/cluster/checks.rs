//! What has to be so of a cluster.

use super::client::Roamer;
use super::load::{LACES, MANY, TAGS, stores, tag};
use super::nodes::{Nodes, SHARDS};
use super::shared::{Known, Name, Shared};
use super::untouched;
use crate::common::{Client, DEADLINE, assert_books_balance, cmd, entries, wait_until};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// States of orders that are not over.
const OPEN: [&str; 6] = ["queued", "claimed", "retrying", "pending", "waitlisted", "dead"];

/// What an idle store has none of.
const BUSY: [&str; 7] = ["queued", "in-work", "retrying", "pending", "waitlisted", "dead-letters", "holds"];

pub fn open_stores(client: &mut Roamer) {
    for (store, tag) in stores() {
        let settings = "journal 1000000 metrics 1000 keep-ms 86400000 lease-ms 400 attempts 4 backoff-ms 5";
        let mut words = cmd!["STORE.SET", &store];
        words.extend(settings.split(' ').map(|word| word.as_bytes().to_vec()));
        client.write(&tag, words);
        for (sku, units) in [("shoe", MANY), ("lace", LACES), ("ticket", MANY)] {
            assert_eq!(client.write(&tag, cmd!["INV.SET", &store, sku, units]).reply.int(), units);
        }
    }
}

/// While no client calls: each key is on its slot's owner alone, replicas are as their primaries, books balance, and
/// what was acknowledged is there.
pub fn check_quiet(nodes: &Nodes, shared: &Shared, after: &str) {
    let _closed = shared.close();
    check_places(nodes, after);
    untouched::check(nodes, after);
    check_replicas(nodes, after);
    let owners: BTreeMap<String, usize> = (0..TAGS).map(tag).map(|tag| (tag.clone(), nodes.owner_of(&tag))).collect();
    let mut clients: Vec<Client> = (0..SHARDS).map(|shard| nodes.of_primary(shard)).collect();
    for (store, tag) in stores() {
        let client = &mut clients[owners[&tag]];
        assert_books_balance(client, &store);
        check_stock(client, &store);
        check_known(client, shared, &store, after);
    }
}

/// Nothing is orphaned, and nothing is there twice.
fn check_places(nodes: &Nodes, after: &str) {
    let mut wrong = Vec::new();
    // A server may still be dropping the keys of a slot that moved.
    let sound = || {
        wrong.clear();
        let mut client = nodes.client(0);
        for (shard, keys) in nodes.keys() {
            for key in keys {
                let slot = client.int(cmd!["CLUSTER", "KEYSLOT", &key]);
                if nodes.owner(slot) != shard {
                    wrong.push((key, shard));
                }
            }
        }
        wrong.is_empty()
    };
    let found = holdfast_lab::wait::wait_for(DEADLINE, "keys are with their owners", {
        let mut sound = sound;
        move || Ok(sound().then_some(()))
    });
    assert!(found.is_ok(), "after {after}: keys on shards that do not own them: {:?}", found);
}

fn check_replicas(nodes: &Nodes, after: &str) {
    for shard in 0..SHARDS {
        let mut pair = [nodes.of_primary(shard), nodes.client(nodes.replica(shard))];
        wait_until(DEADLINE * 3, &format!("the replica of {shard} is as its primary after {after}"), || {
            let [one, other] = pair.each_mut().map(|client| client.text("DEBUG DIGEST"));
            one == other
        });
    }
}

fn check_stock(client: &mut Client, store: &str) {
    for sku in ["shoe", "lace", "ticket"] {
        let found = client.get(format!("INV.GET {store} {sku}")).array()[0].clone();
        let of = |name: &str| found.field(name).int();
        assert!(of("on-hand") >= 0 && of("held") >= 0, "{store}: {found:?}");
        assert!(of("waiting") == 0 || of("available") <= 0, "{store}: somebody waits for what is there: {found:?}");
    }
}

/// The orders of a store in the ledger.
fn known_of<'a>(
    orders: &'a BTreeMap<Name, Known>,
    store: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Known)> + 'a {
    let from = (store.to_string(), String::new());
    orders.range(from..).take_while(move |((of, _), _)| of == store).map(|((_, order), known)| (order, known))
}

/// Each acknowledged order is there, and what ended is as it ended.
fn check_known(client: &mut Client, shared: &Shared, store: &str, after: &str) {
    let ledger = shared.ledger();
    let known: Vec<_> = known_of(&ledger.orders, store).collect();
    let commands: Vec<_> = known.iter().map(|(order, _)| cmd!["ORDER.GET", store, order]).collect();
    for ((order, known), found) in known.into_iter().zip(client.pipeline(&commands)) {
        if found.is_error() {
            let is_lost = known.is_placed || known.completed.is_some() || known.is_cancelled;
            assert!(!is_lost, "after {after}: {store} {order} was acknowledged: {found:?}");
            continue;
        }
        let state = found.field("state").text();
        if let Some((entry, token)) = &known.completed {
            assert_eq!(state, "completed", "after {after}: {store} {order}");
            assert_eq!(&found.field("complete").text(), entry, "after {after}: {store} {order}");
            let late = known.tokens.iter().find(|other| token.is_some_and(|token| **other > token));
            assert_eq!(late, None, "{store} {order} was completed with {token:?}, when another had it");
        }
        assert!(!known.is_cancelled || state == "cancelled", "after {after}: {store} {order} is {state}");
    }
}

/// Nothing happens any more: every order ends, every hold, and every caller who waits is answered.
pub fn finish_orders(client: &mut Roamer, worker: &str) {
    for (store, tag) in stores() {
        for words in [["ORDER.REDRIVE", "ALL"], ["INV.ADJUST", "lace 1000000 REF end"], ["STORE.SET", "attempts 1000"]]
        {
            let mut command = cmd![words[0], &store];
            command.extend(words[1].split(' ').map(|word| word.as_bytes().to_vec()));
            let reply = client.call(&tag, command);
            assert!(!reply.is_error(), "{store} {words:?}: {reply:?}");
        }
        wait_until(DEADLINE, &format!("every order of {store} ends"), || finish_some(client, &store, &tag, worker));
    }
}

fn finish_some(client: &mut Roamer, store: &str, tag: &str, worker: &str) -> bool {
    let info = client.call(tag, cmd!["STORE.INFO", store]);
    if BUSY.iter().all(|name| info.field(name).int() == 0) {
        return true;
    }
    client.call(tag, cmd!["ORDER.REDRIVE", store, "ALL"]);
    for order in scan(client, store, tag, "pending") {
        client.call(tag, cmd!["ORDER.PASS", store, order, "pay"]);
    }
    let claimed = client.call(tag, cmd!["ORDER.CLAIM", store, worker, "COUNT", 100]);
    for order in claimed.array() {
        client.call(tag, cmd!["ORDER.COMPLETE", store, order.field("order").bytes()]);
    }
    false
}

fn scan(client: &mut Roamer, store: &str, tag: &str, state: &str) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_string(), Vec::new());
    loop {
        let reply = client.call(tag, cmd!["ORDER.SCAN", store, &cursor, "STATE", state, "COUNT", 1000]);
        found.extend(reply.array()[1].texts());
        cursor = reply.array()[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

/// An order for each store, so that whoever waits for one without end gets it.
pub fn release_waiters(client: &mut Roamer, round: usize) {
    for (store, tag) in stores() {
        for lane in ["express", "counter"] {
            let words =
                cmd!["ORDER.PLACE", &store, format!("last-{lane}-{round}"), "c-last", "LANE", lane, "ITEMS", "shoe", 1];
            client.call(&tag, words);
        }
    }
}

/// When all is over.
pub fn check_end(nodes: &Nodes, shared: &Shared) {
    shared.stop.store(true, Ordering::SeqCst);
    for node in 0..nodes.count() {
        let mut client = nodes.client(node);
        wait_until(DEADLINE, "nobody is blocked", || client.info("clients", "blocked_clients") == "0");
    }
    let mut roamer = Roamer::new(shared);
    for (store, tag) in stores() {
        let mut client = nodes.of_primary(nodes.owner_of(&tag));
        check_streams(&mut client, &mut roamer, &store, &tag);
        check_sold(&mut client, shared, &store);
        assert_eq!(client.int(cmd!["STORE.REPAIR", &store]), 0, "{store}");
        assert_books_balance(&mut client, &store);
    }
}

fn prefix(store: &str) -> String {
    if store.contains('{') { store.to_string() } else { format!("{{{store}}}") }
}

/// The streams say what the store says.
fn check_streams(client: &mut Client, roamer: &mut Roamer, store: &str, tag: &str) {
    let prefix = prefix(store);
    for stream in ["orders", "retry", "dead"] {
        assert_eq!(client.int(format!("XLEN {prefix}:{stream}")), 0, "{store} {stream}");
    }
    for state in OPEN {
        assert_eq!(scan(roamer, store, tag, state), Vec::<String>::new(), "{store} {state}");
    }
    let completed: BTreeSet<String> = scan(roamer, store, tag, "completed").into_iter().collect();
    let listed: Vec<String> = entries(client, &format!("{prefix}:complete")).iter().map(|e| e.text("order")).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), completed, "{store}: what is completed");
    assert_eq!(listed.len(), completed.len(), "{store}: once");
    // The last movement of each SKU leaves what is there.
    let mut last = BTreeMap::new();
    for entry in entries(client, &format!("{prefix}:journal")) {
        last.insert(entry.text("sku"), (entry.text("on-hand"), entry.text("held")));
    }
    for (sku, (on_hand, held)) in last {
        let now = client.get(format!("INV.GET {store} {sku}")).array()[0].clone();
        assert_eq!((now.field("on-hand").text(), now.field("held").text()), (on_hand, held), "{store} {sku}");
    }
}

/// What came in, less what is sold, is there.
fn check_sold(client: &mut Client, shared: &Shared, store: &str) {
    let added = shared.ledger().added.get(&(store.to_string(), "lace".to_string())).copied().unwrap_or(0);
    for (sku, came) in [("shoe", MANY), ("lace", LACES + added + MANY), ("ticket", MANY)] {
        let found = client.get(format!("INV.GET {store} {sku}")).array()[0].clone();
        let of = |name: &str| found.field(name).int();
        assert_eq!(of("held"), 0, "{store} {sku}");
        assert_eq!(of("on-hand") + of("sold"), came, "{store} {sku}: {found:?}");
    }
}
