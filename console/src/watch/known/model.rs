//! What is known of a server and its stores: plain data, kept by the feed, read by whoever shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast;

use super::id::{id_of, name_of};
use super::sample::{EntryId, Sample};
use super::series::{Frame, Series};

/// Updates a subscriber may be behind: one that is further behind gets an error, and looks at everything again.
const UPDATES_KEPT: usize = 8_192;

/// A store's key.
pub type Key = Arc<[u8]>;

/// The server as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServerState {
    /// Its address, without a password.
    pub url: String,
    pub connected: bool,
    /// What is wrong, if anything is: nobody answers, the module is not loaded.
    pub error: Option<String>,
    /// `redis` or `valkey`.
    pub product: Option<String>,
    pub version: Option<String>,
    /// `master` or `slave`, in the words of INFO.
    pub role: Option<String>,
    /// Since when it answers, or does not: Unix milliseconds.
    pub since: u64,
}

/// What INFO says of the server's memory and its replicas, for those who keep watch over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    pub memory_used_bytes: u64,
    /// 0: no bound.
    pub memory_max_bytes: u64,
    /// What is deleted once memory is full, in the server's words.
    pub eviction_policy: String,
    pub replicas: Vec<Replica>,
    /// Whether a replica reaches its primary; `None` for a server that is no replica.
    pub primary_link_up: Option<bool>,
}

/// A replica as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// `host:port`.
    pub address: String,
    pub lag_bytes: u64,
    /// Since it last confirmed anything.
    pub ack_age_seconds: u64,
}

/// A store's window and whether it hands out work, as STORE.GET says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Unix milliseconds; 0: no bound.
    pub opens: i64,
    /// Unix milliseconds; 0: no bound.
    pub closes: i64,
    /// Nothing is handed to workers.
    pub paused: bool,
    /// How long an order may take; 0: no promise.
    #[serde(skip)]
    pub sla_ms: i64,
}

/// A store as it was last seen.
#[derive(Clone, Debug, Default)]
pub struct StoreState {
    pub window: Window,
    /// The last sample; `None` while it has written none.
    pub sample: Option<Arc<Sample>>,
}

/// Something changed in the model.
#[derive(Clone, Debug)]
pub enum Update {
    /// The connection was lost, or came back, or the server changed its role.
    Server,
    Found(Key),
    Window(Key),
    /// A store that writes no samples may have changed.
    Unsampled(Key),
    /// A store wrote a sample; what that adds to what is drawn of the store.
    Sample(Key, Arc<Sample>, Arc<Frame>),
    Gone(Key),
}

/// A store, and its last samples: how fast its counters grow is read off them once, for all who look.
#[derive(Debug)]
struct Followed {
    store: StoreState,
    recent: Series,
}

#[derive(Debug)]
struct State {
    server: ServerState,
    stores: BTreeMap<Key, Followed>,
    /// The server's clock less this machine's, milliseconds.
    clock_ahead_ms: i64,
    vitals: Vitals,
    /// Whether the keyspace was gone through since the server answers.
    is_complete: bool,
}

/// What is known, and who subscribed to it. All methods return at once.
#[derive(Debug)]
pub struct Model {
    state: Mutex<State>,
    updates: broadcast::Sender<Update>,
}

/// The body of `/api/stores`: the server, and every store with its last sample.
#[derive(Serialize)]
pub struct Overview {
    /// Unix milliseconds, by the server's clock.
    pub now: u64,
    pub server: ServerState,
    pub writes: bool,
    pub stores: Vec<StoreLine>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StoreLine {
    /// Its key, percent-encoded.
    pub id: String,
    /// Its key, for people.
    pub name: String,
    /// When the sample was taken; `None` where there is none.
    pub at: Option<u64>,
    pub metrics: Option<Arc<Sample>>,
    #[serde(flatten)]
    pub window: Window,
}

impl Model {
    /// A model of a server that has not answered yet.
    pub fn new(url: String) -> Model {
        let error = Some("connecting".to_string());
        let server = ServerState { url, error, since: local_now_ms(), ..ServerState::default() };
        let state =
            State { server, stores: BTreeMap::new(), clock_ahead_ms: 0, vitals: Vitals::default(), is_complete: false };
        Model { state: state.into(), updates: broadcast::Sender::new(UPDATES_KEPT) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, updates: impl IntoIterator<Item = Update>) {
        for update in updates {
            // An error says that nobody listens.
            let _ = self.updates.send(update);
        }
    }

    /// Every update from now on. Subscribe before you read, and you miss nothing.
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.updates.subscribe()
    }

    /// Unix milliseconds by the server's clock, as far as it is known.
    pub fn now_ms(&self) -> u64 {
        local_now_ms().saturating_add_signed(self.state().clock_ahead_ms)
    }

    pub fn server(&self) -> ServerState {
        self.state().server.clone()
    }

    pub fn vitals(&self) -> Vitals {
        self.state().vitals.clone()
    }

    /// Whether the server answers, and all its stores were found.
    pub fn is_complete(&self) -> bool {
        let state = self.state();
        state.server.connected && state.is_complete
    }

    pub fn store(&self, key: &[u8]) -> Option<StoreState> {
        self.state().stores.get(key).map(|followed| followed.store.clone())
    }

    pub fn keys(&self) -> Vec<Key> {
        self.state().stores.keys().cloned().collect()
    }

    pub fn stores(&self) -> Vec<StoreLine> {
        let line = |(key, Followed { store, .. }): (&Key, &Followed)| StoreLine {
            id: id_of(key),
            name: name_of(key),
            at: store.sample.as_ref().map(|sample| sample.at_ms()),
            metrics: store.sample.clone(),
            window: store.window,
        };
        let mut lines: Vec<StoreLine> = self.state().stores.iter().map(line).collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }

    /// Everything at a glance; `writes` is passed on.
    pub fn overview(&self, writes: bool) -> Overview {
        Overview { now: self.now_ms(), server: self.server(), writes, stores: self.stores() }
    }

    /// For each store, the entry of its `…:metrics` that was seen last.
    pub(super) fn seen(&self) -> Vec<(Key, EntryId)> {
        let seen = |store: &StoreState| store.sample.as_ref().map_or(EntryId::default(), |sample| sample.id);
        self.state().stores.iter().map(|(key, followed)| (key.clone(), seen(&followed.store))).collect()
    }

    pub(super) fn set_vitals(&self, vitals: Vitals) {
        self.state().vitals = vitals;
    }

    /// The keyspace was gone through, or has to be gone through again.
    pub(super) fn set_complete(&self, is_complete: bool) {
        self.state().is_complete = is_complete;
    }

    /// Sets the server's time: Unix milliseconds.
    pub(super) fn set_clock(&self, server_now_ms: u64) {
        self.state().clock_ahead_ms = server_now_ms as i64 - local_now_ms() as i64;
    }

    /// The server is as `change` makes it; subscribers hear of it if that is news.
    pub(super) fn set_server(&self, change: impl FnOnce(&mut ServerState)) {
        let changed = {
            let server = &mut self.state().server;
            let before = server.clone();
            change(server);
            if server.connected != before.connected {
                server.since = local_now_ms();
            }
            *server != before
        };
        self.publish(changed.then_some(Update::Server));
    }

    /// A store is there, with its last sample. Samples of an earlier server are forgotten: what is there now counts.
    pub fn set_store(&self, key: &Key, found: StoreState) {
        let mut recent = Series::recent();
        found.sample.iter().for_each(|sample| recent.push(sample));
        let update = match self.state().stores.insert(key.clone(), Followed { store: found, recent }) {
            None => Update::Found(key.clone()),
            Some(_) => Update::Window(key.clone()),
        };
        self.publish([update]);
    }

    pub(super) fn set_window(&self, key: &Key, window: Window) {
        let set = |followed: &mut Followed| std::mem::replace(&mut followed.store.window, window) != window;
        let changed = self.state().stores.get_mut(key).is_some_and(set);
        self.publish(changed.then(|| Update::Window(key.clone())));
    }

    /// A store writes no samples: whoever shows it has to look again now and then.
    pub(super) fn remind_of(&self, key: &Key) {
        self.publish([Update::Unsampled(key.clone())]);
    }

    pub(super) fn add_sample(&self, key: &Key, sample: Sample) {
        let sample = Arc::new(sample);
        let updates = self.state().stores.get_mut(key).map(|Followed { store, recent }| {
            let is_new = store.sample.replace(sample.clone()).is_some_and(|before| sample.is_of_a_new_store(&before));
            if is_new {
                *recent = Series::recent();
            }
            recent.push(&sample);
            let added = Update::Sample(key.clone(), sample.clone(), Arc::new(recent.newest()));
            [is_new.then(|| Update::Found(key.clone())), Some(added)]
        });
        self.publish(updates.into_iter().flatten().flatten());
    }

    pub(super) fn remove(&self, key: &Key) {
        let known = self.state().stores.remove(key).is_some();
        self.publish(known.then(|| Update::Gone(key.clone())));
    }
}

/// Unix milliseconds by this machine's clock.
fn local_now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
