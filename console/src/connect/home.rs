//! Where a store is: on the server that is named, on the primary that sentinels know, or on the node of a cluster that
//! has the store's slot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{ConnectionAddr, RedisResult, cmd};
use tokio::sync::watch::Receiver;

use super::primary::{Primary, is_other};
use super::slots;
use super::way::{ANSWER_TIMEOUT, Way, first_of, host_of, lost, within};

/// How long the search for a store may take in all: a host that stands still costs a part of it.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a node may take to say who has the store, for those who look again and again.
const LOOK_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How many nodes that are not named are asked too.
const OTHERS: usize = 4;

/// Where a store is. Clones know the same.
#[derive(Clone)]
pub struct Home {
    pub way: Arc<Way>,
    store: Arc<str>,
    /// The node of a cluster that has it, for those who stay connected.
    node: Primary,
    cluster: Arc<Mutex<Cluster>>,
}

/// A cluster as one of its nodes knew it last. No node: there is no cluster.
#[derive(Default)]
struct Cluster {
    nodes: Vec<ConnectionAddr>,
    /// The node that answered: it is asked first again. Others may stand still.
    answered: Option<ConnectionAddr>,
}

impl Home {
    pub fn new(way: &Arc<Way>, store: &str) -> Home {
        Home { way: way.clone(), store: store.into(), node: Primary::default(), cluster: Arc::default() }
    }

    /// Where the store is now, or would be. Fails when nobody answers, or knows.
    pub async fn find(&self) -> RedisResult<ConnectionAddr> {
        let found = within(SEARCH_TIMEOUT, self.look(ANSWER_TIMEOUT)).await?;
        self.node.set(&found);
        Ok(found)
    }

    /// Whether the store is on a node of a cluster, as was found when it was looked for.
    pub fn is_in_cluster(&self) -> bool {
        !self.cluster().nodes.is_empty()
    }

    /// Whether another server has the store by now.
    pub fn has_left(&self, at: &ConnectionAddr) -> bool {
        self.known().is_some_and(|known| is_other(at, &known.borrow()))
    }

    /// Waits until another server than this has the store: for ever, where there is no other.
    pub async fn until_left(&self, at: &ConnectionAddr) {
        if let Some(mut known) = self.known()
            && known.wait_for(|now| is_other(at, now)).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Where the store is, looked for from now on. `None`: there is but one server.
    fn known(&self) -> Option<Receiver<Option<ConnectionAddr>>> {
        if self.way.asks_sentinels() {
            return self.way.known();
        }
        self.is_in_cluster().then(|| {
            self.node.known(|| {
                let home = Home { node: Primary::default(), ..self.clone() };
                async move || home.look(LOOK_TIMEOUT).await
            })
        })
    }

    /// Asks those who may know, each for so long at most.
    async fn look(&self, patience: Duration) -> RedisResult<ConnectionAddr> {
        if self.way.asks_sentinels() {
            return self.ask(&self.way.find().await?).await;
        }
        let hosts = self.candidates();
        first_of(hosts.iter().map(|host| within(patience, self.ask(host)))).await
    }

    /// Whom to ask: each host that is named may be a node that is away, and so may all of them.
    fn candidates(&self) -> Vec<ConnectionAddr> {
        let cluster = self.cluster();
        let mut hosts: Vec<ConnectionAddr> = Vec::new();
        let others = cluster.nodes.iter().take(OTHERS);
        for host in cluster.answered.iter().chain(self.way.hosts()).chain(others) {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        hosts
    }

    async fn ask(&self, host: &ConnectionAddr) -> RedisResult<ConnectionAddr> {
        let mut connection = self.way.open(host, 0, ANSWER_TIMEOUT).await?;
        let nodes = slots::primaries(&mut connection, &host_of(host)).await?;
        if nodes.is_empty() {
            return Ok(host.clone());
        }
        let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(&*self.store).query_async(&mut connection).await?;
        let node = nodes.iter().find(|node| node.has(slot)).ok_or_else(|| lost("no node has the store's slot"))?;
        let all = nodes.iter().map(|node| self.way.node(&node.host, node.port)).collect();
        *self.cluster() = Cluster { nodes: all, answered: Some(host.clone()) };
        Ok(self.way.node(&node.host, node.port))
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
