//! What is known of a server and its stores: plain data, kept by the feed, read by whoever shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast;

pub use super::key::Key;
use super::sample::{EntryId, Sample};
use super::series::{Frame, Series};

/// Updates a subscriber may be behind: one that is further behind gets an error, and looks at everything again.
const UPDATES_KEPT: usize = 8_192;

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
    /// The nodes, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeState>,
}

/// A node of a cluster as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeState {
    /// `host:port`.
    pub name: String,
    pub connected: bool,
    /// What is wrong, if anything is.
    pub error: Option<String>,
}

/// A database of a node, as a feed follows it.
pub type SourceId = u64;

/// What is known of a source.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    pub node: NodeState,
    pub product: Option<String>,
    pub version: Option<String>,
    pub role: Option<String>,
    pub vitals: Vitals,
    /// Whether its keyspace was gone through since it answers.
    pub is_complete: bool,
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
    /// Where it was found.
    home: SourceId,
    recent: Series,
}

#[derive(Debug)]
struct State {
    /// The sources taken together.
    server: ServerState,
    sources: BTreeMap<SourceId, SourceState>,
    stores: BTreeMap<Key, Followed>,
    /// The server's clock less this machine's, milliseconds.
    clock_ahead_ms: i64,
}

impl State {
    /// The sources taken together: the server answers if any node does.
    fn together(&self) -> ServerState {
        let first = self.sources.values().find(|source| source.node.connected).or(self.sources.values().next());
        let Some(first) = first.cloned() else { return self.server.clone() };
        let mut nodes: Vec<NodeState> = Vec::new();
        for SourceState { node, .. } in self.sources.values() {
            match nodes.iter_mut().find(|known| known.name == node.name) {
                Some(known) if !known.connected => *known = node.clone(),
                Some(_) => {}
                None => nodes.push(node.clone()),
            }
        }
        let nodes = if nodes.len() > 1 { nodes } else { Vec::new() };
        let NodeState { connected, error, .. } = first.node;
        let since = if connected == self.server.connected { self.server.since } else { local_now_ms() };
        let (product, version, role) = (first.product, first.version, first.role);
        ServerState { url: self.server.url.clone(), connected, error, product, version, role, since, nodes }
    }

    /// The node of a store, and whether it is away.
    fn node_of(&self, home: SourceId) -> (Option<&str>, bool) {
        let source = self.sources.get(&home);
        (source.map(|source| source.node.name.as_str()), !source.is_some_and(|source| source.node.connected))
    }
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
    /// The node that has it, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its node is away, while others answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
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
        let state = State { server, sources: BTreeMap::new(), stores: BTreeMap::new(), clock_ahead_ms: 0 };
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

    pub(super) fn source(&self, id: SourceId) -> Option<SourceState> {
        self.state().sources.get(&id).cloned()
    }

    /// The source of the node of this name, if it is followed.
    pub(super) fn source_of(&self, node: &str) -> Option<SourceId> {
        self.state().sources.iter().find(|(_, source)| source.node.name == node).map(|(id, _)| *id)
    }

    /// What is known of each node, by its name.
    pub fn sources(&self) -> BTreeMap<String, SourceState> {
        self.state().sources.values().map(|source| (source.node.name.clone(), source.clone())).collect()
    }

    /// Whether all nodes answer, and all their stores were found.
    pub fn is_complete(&self) -> bool {
        let state = self.state();
        let is_complete = |source: &SourceState| source.node.connected && source.is_complete;
        !state.sources.is_empty() && state.sources.values().all(is_complete)
    }

    /// Where a store was found last.
    pub fn home(&self, key: &Key) -> Option<SourceId> {
        self.state().stores.get(key).map(|followed| followed.home)
    }

    pub fn store(&self, key: &Key) -> Option<StoreState> {
        self.state().stores.get(key).map(|followed| followed.store.clone())
    }

    pub fn keys(&self) -> Vec<Key> {
        self.state().stores.keys().cloned().collect()
    }

    /// The stores that were found at a source.
    pub(super) fn keys_of(&self, home: SourceId) -> Vec<Key> {
        let state = self.state();
        state.stores.iter().filter(|(_, followed)| followed.home == home).map(|(key, _)| key.clone()).collect()
    }

    pub fn stores(&self) -> Vec<StoreLine> {
        self.lines_of(|_| true)
    }

    fn lines_of(&self, is_wanted: impl Fn(&Key) -> bool) -> Vec<StoreLine> {
        let state = self.state();
        let (has_nodes, is_up) = (!state.server.nodes.is_empty(), state.server.connected);
        let line = |(key, Followed { store, home, .. }): (&Key, &Followed)| {
            let (node, is_away) = state.node_of(*home);
            StoreLine {
                id: key.id(),
                name: key.name(),
                node: node.filter(|_| has_nodes).map(str::to_string),
                away: is_up && is_away,
                at: store.sample.as_ref().map(|sample| sample.at_ms()),
                metrics: store.sample.clone(),
                window: store.window,
            }
        };
        let mut lines: Vec<StoreLine> = state.stores.iter().filter(|(key, _)| is_wanted(key)).map(line).collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }

    /// Everything at a glance, or of the stores that have this key, in whatever database; `writes` is passed on.
    pub fn overview(&self, writes: bool, of: Option<&Key>) -> Overview {
        let stores = self.lines_of(|key| of.is_none_or(|of| **of == **key));
        Overview { now: self.now_ms(), server: self.server(), writes, stores }
    }

    /// For each store, the entry of its `…:metrics` that was seen last.
    pub(super) fn seen(&self, home: SourceId) -> Vec<(Key, EntryId)> {
        let seen = |store: &StoreState| store.sample.as_ref().map_or(EntryId::default(), |sample| sample.id);
        let state = self.state();
        let of_home = state.stores.iter().filter(|(_, followed)| followed.home == home);
        of_home.map(|(key, followed)| (key.clone(), seen(&followed.store))).collect()
    }

    /// Sets the server's time: Unix milliseconds.
    pub(super) fn set_clock(&self, server_now_ms: u64) {
        self.state().clock_ahead_ms = server_now_ms as i64 - local_now_ms() as i64;
    }

    /// A source is as `change` makes it, and is known from now on; subscribers hear of it if that is news.
    pub(super) fn set_source(&self, id: SourceId, change: impl FnOnce(&mut SourceState)) {
        self.change_sources(|sources| change(sources.entry(id).or_default()));
    }

    /// A source is followed no more. Its stores stay until they are found elsewhere, or nowhere.
    pub(super) fn remove_source(&self, id: SourceId) {
        self.change_sources(|sources| drop(sources.remove(&id)));
    }

    fn change_sources(&self, change: impl FnOnce(&mut BTreeMap<SourceId, SourceState>)) {
        let changed = {
            let mut state = self.state();
            change(&mut state.sources);
            let server = state.together();
            std::mem::replace(&mut state.server, server.clone()) != server
        };
        self.publish(changed.then_some(Update::Server));
    }

    /// All sources have been gone through: stores of those that are followed no more are gone.
    pub(super) fn remove_homeless(&self) {
        let state = self.state();
        let is_homeless = |(_, followed): &(&Key, &Followed)| !state.sources.contains_key(&followed.home);
        let homeless: Vec<_> =
            state.stores.iter().filter(is_homeless).map(|(key, followed)| (key.clone(), followed.home)).collect();
        drop(state);
        homeless.into_iter().for_each(|(key, home)| self.remove(&key, home));
    }

    /// A store is there, with its last sample. Samples of an earlier server are forgotten: what is there now counts.
    pub fn set_store(&self, key: &Key, found: StoreState, home: SourceId) {
        let mut recent = Series::recent();
        found.sample.iter().for_each(|sample| recent.push(sample));
        let update = match self.state().stores.insert(key.clone(), Followed { store: found, home, recent }) {
            None => Update::Found(key.clone()),
            Some(_) => Update::Window(key.clone()),
        };
        self.publish([update]);
    }

    /// A store has moved from a source to the node of this name, and whoever looks at it sees no gap. A node that is
    /// not followed yet will be in a moment: the store stays where it was until then. A node without a host is none of
    /// those that are followed by name: it is asked for all that it has, and so for this store.
    pub(super) fn move_home(&self, key: &Key, from: SourceId, to: &str) {
        if to.starts_with(':') {
            return self.remove(key, from);
        }
        let home = self.source_of(to);
        let mut state = self.state();
        let followed = state.stores.get_mut(key).filter(|followed| followed.home == from);
        let moved = home.zip(followed).map(|(home, followed)| followed.home = home);
        drop(state);
        self.publish(moved.map(|()| Update::Window(key.clone())));
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
        let updates = self.state().stores.get_mut(key).map(|Followed { store, recent, .. }| {
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

    /// A store is not at this source any more; one that was found at another meanwhile stays.
    pub(super) fn remove(&self, key: &Key, home: SourceId) {
        let is_here = self.home(key) == Some(home);
        let known = is_here && self.state().stores.remove(key).is_some();
        self.publish(known.then(|| Update::Gone(key.clone())));
    }
}

/// Unix milliseconds by this machine's clock.
fn local_now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
