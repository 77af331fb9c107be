//! The connections to the servers that are watched: to each one that waits for samples, and one that asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, ConnectionAddr, FromRedisValue, RedisError};
use tokio::time::{Instant, sleep};

use super::ask::AskError;
use super::model::{Key, Model, SourceId};
use crate::connect::{SlotConnection, Way};
use crate::store;

/// How long a question may take: past that the server counts as lost.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Codes of a node that does not have the store, or not any more, or not all of it.
const MOVES: [&str; 4] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];
/// How long a write waits for a store that moves, and from one look to the next.
const MOVE_PATIENCE: Duration = Duration::from_secs(5);
const MOVE_INTERVAL: Duration = Duration::from_millis(100);

/// A database of a node, and the connection over which it is asked.
#[derive(Debug)]
pub struct Source {
    pub id: SourceId,
    /// `host:port`, or what was named.
    pub name: String,
    pub db: i64,
    /// The number that keys of this database get.
    pub key_db: i64,
    /// A node of a cluster; `None`: wherever the way leads.
    node: Option<ConnectionAddr>,
    asking: Mutex<Option<SlotConnection>>,
    /// Where the last connection led.
    found: Mutex<Option<ConnectionAddr>>,
    is_cluster: AtomicBool,
}

impl Source {
    pub fn new(name: String, node: Option<ConnectionAddr>, db: i64, key_db: i64) -> Source {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (asking, found, is_cluster) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Source { id, name, db, key_db, node, asking, found, is_cluster }
    }

    /// Whether it is a node, rather than where a way leads.
    pub fn is_node(&self) -> bool {
        self.node.is_some()
    }

    pub fn is_at(&self, node: &ConnectionAddr) -> bool {
        self.node.as_ref() == Some(node)
    }

    /// Whether the server is a node of a cluster, where one command cannot read the streams of two slots.
    pub fn is_cluster(&self) -> bool {
        self.is_cluster.load(Ordering::Relaxed)
    }

    pub(super) fn set_cluster(&self, is_cluster: bool) {
        self.is_cluster.store(is_cluster, Ordering::Relaxed);
    }

    /// A new connection whose commands may take this long. Fails when nobody answers.
    pub async fn connect(&self, way: &Arc<Way>, answer_timeout: Duration) -> Result<SlotConnection, RedisError> {
        let at = match &self.node {
            Some(node) => node.clone(),
            None => way.find().await?,
        };
        *locked(&self.found) = Some(at.clone());
        SlotConnection::open(way, at, self.db, answer_timeout).await
    }

    /// Where the last connection led.
    pub fn found(&self) -> Option<ConnectionAddr> {
        locked(&self.found).clone()
    }

    /// Whether the sentinels know another primary than where the last connection led; said once, as it is looked for
    /// from then on.
    pub fn has_left(&self, way: &Way) -> bool {
        locked(&self.found).take_if(|found| way.has_left(found)).is_some()
    }

    /// From now on everybody asks over this connection; `None`: the server is lost.
    pub fn set(&self, connection: Option<SlotConnection>) {
        *locked(&self.asking) = connection;
    }

    pub fn asking(&self) -> Option<SlotConnection> {
        locked(&self.asking).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to the sources.
#[derive(Debug)]
pub struct Link {
    pub way: Arc<Way>,
    model: Arc<Model>,
    sources: Mutex<Vec<Arc<Source>>>,
}

impl Link {
    /// A link by this way; connects to nobody yet.
    pub fn new(way: Arc<Way>, model: Arc<Model>) -> Link {
        Link { way, model, sources: Mutex::default() }
    }

    /// The sources that are followed from now on.
    pub fn set_sources(&self, sources: Vec<Arc<Source>>) {
        *locked(&self.sources) = sources;
    }

    pub fn sources(&self) -> Vec<Arc<Source>> {
        locked(&self.sources).clone()
    }

    /// The source that has a store; for one that is not known, the only one that could. Fails while there is none.
    fn source(&self, key: &Key) -> Result<Arc<Source>, AskError> {
        let (sources, home) = (self.sources(), self.model.home(key));
        let mut of_db = sources.iter().filter(|source| source.key_db == key.db());
        let found = match home {
            Some(home) => of_db.find(|source| source.id == home).cloned(),
            None => match (of_db.next(), of_db.next()) {
                (_, Some(_)) => return Err(AskError::Missing(format!("no store {}", key.name()))),
                (only, None) => only.cloned(),
            },
        };
        found.ok_or_else(|| AskError::Away(format!("{} does not answer", self.way.shown())))
    }

    /// The connection over which to ask for a store. Fails while its server is lost.
    pub fn ask(&self, key: &Key) -> Result<SlotConnection, AskError> {
        let source = self.source(key)?;
        source.asking().ok_or_else(|| AskError::Away(format!("{} does not answer", source.name)))
    }

    /// Carries a write out; one that takes `long`, over a connection of its own: others should not wait for it. A store
    /// that moves to another node of a cluster is waited for: a node that says so has done nothing, or a part of what
    /// can be done again. Fails when the server is away, or refuses.
    pub async fn write<T: FromRedisValue>(&self, key: &Key, write: Cmd, long: Option<Duration>) -> Result<T, AskError> {
        let began = Instant::now();
        loop {
            let mut connection = match long {
                Some(time) => self.connect(key, time).await?,
                None => self.ask(key)?,
            };
            match write.query_async(&mut connection).await {
                Err(error) if !MOVES.contains(&store::code(&error)) => return Err(error.into()),
                Err(_) if began.elapsed() < MOVE_PATIENCE => sleep(MOVE_INTERVAL).await,
                Err(_) => return Err(AskError::Away("the store is on its way to another node: try again".into())),
                Ok(reply) => return Ok(reply),
            }
        }
    }

    /// The stores that can be asked after, by the connection over which to ask.
    pub fn by_source(&self, keys: Vec<Key>) -> Vec<(SlotConnection, Vec<Key>)> {
        let mut sorted: BTreeMap<SourceId, (SlotConnection, Vec<Key>)> = BTreeMap::new();
        for key in keys {
            let Ok(source) = self.source(&key) else { continue };
            let Some(connection) = source.asking() else { continue };
            sorted.entry(source.id).or_insert_with(|| (connection, Vec::new())).1.push(key);
        }
        sorted.into_values().collect()
    }

    /// A new connection to the server that has a store. Fails when nobody answers.
    pub async fn connect(&self, key: &Key, answer_timeout: Duration) -> Result<SlotConnection, AskError> {
        Ok(self.source(key)?.connect(&self.way, answer_timeout).await?)
    }
}
