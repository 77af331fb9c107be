//! What all threads of a world share: whether to go on, and a ledger of what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub struct Shared {
    pub ports: Vec<u16>,
    /// For each node a key in a slot of its shard that does not move.
    marks: Vec<String>,
    /// Whether servers are lost with what no replica has confirmed.
    pub rough: bool,
    /// Open while clients may call; closed by whoever compares servers.
    gate: RwLock<()>,
    /// Calls that were answered.
    pub calls: AtomicU64,
    /// Whether nothing new is begun any more.
    pub stop: AtomicBool,
    /// Whether workers go home.
    pub over: AtomicBool,
    ledger: Mutex<Ledger>,
}

impl Shared {
    pub fn new(ports: Vec<u16>, marks: Vec<String>, rough: bool) -> Shared {
        Shared {
            ports,
            marks,
            rough,
            gate: RwLock::new(()),
            calls: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            over: AtomicBool::new(false),
            ledger: Mutex::new(Ledger::default()),
        }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key that a client may write at a node at any time.
    pub fn mark_of(&self, port: u16) -> &str {
        let node = self.ports.iter().position(|of| *of == port).expect("a node's port");
        &self.marks[node % self.marks.len()]
    }

    /// As long as a client calls.
    pub fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As long as no client may call.
    pub fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What clients know of an order. What is not sure may be lost with a server, and is not taken down.
#[derive(Default)]
pub struct Known {
    pub is_placed: bool,
    /// The id of its entry in `…:complete`, and the token that it was completed with.
    pub completed: Option<(String, Option<i64>)>,
    pub is_cancelled: bool,
    /// Tokens of its claims, sure or not.
    pub tokens: Vec<i64>,
}

/// A store, and an order in it.
pub type Name = (String, String);

#[derive(Default)]
pub struct Ledger {
    pub orders: BTreeMap<Name, Known>,
    /// To whom tokens of a key were given: orders of a store, owners of a lock.
    tokens: BTreeMap<(String, i64), String>,
    /// What adjustments added to a SKU.
    pub added: BTreeMap<Name, i64>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Ledger {
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub fn add(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    pub fn order(&mut self, name: &Name) -> &mut Known {
        if !self.orders.contains_key(name) {
            self.orders.insert(name.clone(), Known::default());
        }
        self.orders.get_mut(name).expect("just inserted")
    }

    /// A token was given to an order, or an owner: never one that another has had.
    pub fn token(&mut self, key: &str, token: i64, to: &str) {
        let before = self.tokens.insert((key.to_string(), token), to.to_string());
        assert!(before.as_deref().is_none_or(|before| before == to), "{key}: {token} was {before:?}'s, now {to}'s");
    }

    /// An order was completed, for sure.
    pub fn completed(&mut self, name: &Name, entry: &str, token: Option<i64>) {
        let known = self.order(name);
        assert!(!known.is_cancelled, "{name:?} was cancelled, and is completed");
        let before = known.completed.get_or_insert_with(|| (entry.to_string(), token));
        assert_eq!(before.0, entry, "{name:?} is completed twice");
        self.count("completed");
    }

    pub fn cancelled(&mut self, name: &Name) {
        let known = self.order(name);
        assert!(known.completed.is_none(), "{name:?} was completed, and is cancelled");
        known.is_cancelled = true;
        self.count("cancelled");
    }
}
