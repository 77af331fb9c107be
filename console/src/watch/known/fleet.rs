//! Which sources there are to follow: a server, its databases that have keys, the primary that sentinels know at the
//! time, the primaries of a cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, RedisError, cmd};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::feed;
use super::link::Source;
use super::reply;
use super::server::Known;
use crate::connect::{Node, host_of, lost, primaries, within};

/// From one look at what there is to the next: a failover is followed as fast.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a node may take to say which nodes there are, before another one is asked.
const NODE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long no node of a cluster may answer before those that were named are asked again.
const ALL_AWAY: Duration = Duration::from_secs(5);

/// Follows everything that the way leads to, until the task is dropped.
pub async fn run(known: Arc<Known>) {
    let mut fleet = Fleet { known, running: Vec::new(), answered: Instant::now() };
    fleet.follow(vec![fleet.first()]);
    loop {
        // If a server is lost meanwhile, its source finds out, and the next look is at another.
        let _ = fleet.look().await;
        sleep(INTERVAL).await;
    }
}

struct Fleet {
    known: Arc<Known>,
    running: Vec<Running>,
    /// When a source was connected last.
    answered: Instant,
}

/// A source, and the task that follows it.
struct Running {
    source: Arc<Source>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.source.set(None);
    }
}

impl Fleet {
    /// Where the way leads, before more is known.
    fn first(&self) -> Arc<Source> {
        let way = &self.known.link.way;
        Arc::new(Source::new(way.shown().to_string(), None, way.db().unwrap_or(0), 0))
    }

    /// Follows these from now on, those that are followed already without a break.
    fn follow(&mut self, wanted: Vec<Arc<Source>>) {
        let model = &self.known.model;
        let is_wanted = |running: &Running| wanted.iter().any(|source| source.id == running.source.id);
        let (kept, ended): (Vec<_>, Vec<_>) = self.running.drain(..).partition(is_wanted);
        self.running = kept;
        for source in &wanted {
            if !self.running.iter().any(|running| running.source.id == source.id) {
                model.set_source(source.id, |state| {
                    (state.node.name, state.node.error) = (source.name.clone(), Some("connecting".to_string()));
                });
                self.running.push(start(&self.known, source.clone()));
            }
        }
        self.known.link.set_sources(wanted);
        ended.iter().for_each(|running| model.remove_source(running.source.id));
    }

    /// Looks for what there is now. Fails when a server does not answer.
    async fn look(&mut self) -> Result<(), RedisError> {
        self.follow_failover();
        let sources = self.running.iter().map(|running| running.source.clone());
        let connected: Vec<_> = sources.filter(|source| source.asking().is_some()).collect();
        let Some(source) = connected.first() else {
            self.start_over();
            return Ok(());
        };
        self.answered = Instant::now();
        match (source.is_cluster(), self.known.link.way.db()) {
            (true, _) => self.look_at_nodes(&connected).await?,
            (false, None) => self.look_at_databases(source).await?,
            (false, Some(_)) => {}
        }
        if self.known.model.is_complete() {
            self.known.model.remove_homeless();
        }
        Ok(())
    }

    /// After a failover all sources connect to the new primary.
    fn follow_failover(&mut self) {
        for running in &mut self.running {
            if running.source.has_left(&self.known.link.way) {
                *running = start(&self.known, running.source.clone());
            }
        }
    }

    /// No node of the cluster answers: it may have moved as a whole, and those that were named may know.
    fn start_over(&mut self) {
        let has_nodes = self.running.iter().any(|running| running.source.is_node());
        if has_nodes && self.answered.elapsed() >= ALL_AWAY {
            self.answered = Instant::now();
            let mut sources: Vec<_> = self.running.iter().map(|running| running.source.clone()).collect();
            sources.retain(|source| source.is_node());
            sources.push(self.first());
            self.follow(sources);
        }
    }

    /// Asks which nodes there are. Fails when none of those that are connected answers: one may stand still.
    async fn look_at_nodes(&mut self, connected: &[Arc<Source>]) -> Result<(), RedisError> {
        let mut last = lost("no node is connected");
        for source in connected {
            let (Some(mut connection), Some(at)) = (source.asking(), source.found()) else { continue };
            match within(NODE_TIMEOUT, primaries(&mut connection, &host_of(&at))).await {
                Ok(nodes) => {
                    self.follow_nodes(&nodes);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn follow_nodes(&mut self, nodes: &[Node]) {
        let way = self.known.link.way.clone();
        let wanted = nodes.iter().map(|node| {
            let at = way.node(&node.host, node.port);
            self.source_at(&at).unwrap_or_else(|| {
                let name = format!("{}:{}", node.host, node.port);
                Arc::new(Source::new(name, Some(at), 0, 0))
            })
        });
        let wanted: Vec<_> = wanted.collect();
        if !wanted.is_empty() {
            self.follow(wanted);
        }
    }

    fn source_at(&self, node: &ConnectionAddr) -> Option<Arc<Source>> {
        self.running.iter().map(|running| &running.source).find(|source| source.is_at(node)).cloned()
    }

    /// Every database that has keys, and the first.
    async fn look_at_databases(&mut self, source: &Source) -> Result<(), RedisError> {
        let Some(mut connection) = source.asking() else { return Ok(()) };
        let keyspace: redis::Value = cmd("INFO").arg("keyspace").query_async(&mut connection).await?;
        let text = reply::bytes(keyspace).unwrap_or_default();
        let mut dbs: Vec<i64> = databases(&String::from_utf8_lossy(&text));
        if !dbs.contains(&0) {
            dbs.push(0);
        }
        let known: HashMap<i64, Arc<Source>> =
            self.running.iter().map(|running| (running.source.db, running.source.clone())).collect();
        let name = source.name.clone();
        let source_of =
            |db: i64| known.get(&db).cloned().unwrap_or_else(|| Arc::new(Source::new(name.clone(), None, db, db)));
        dbs.sort_unstable();
        self.follow(dbs.into_iter().map(source_of).collect());
        Ok(())
    }
}

fn start(known: &Arc<Known>, source: Arc<Source>) -> Running {
    let task = tokio::spawn(feed::run(known.clone(), source.clone())).abort_handle();
    Running { source, task }
}

/// The databases that have keys: `db3:keys=1,expires=0,avg_ttl=0`.
fn databases(keyspace: &str) -> Vec<i64> {
    let number = |line: &str| line.strip_prefix("db")?.split_once(':')?.0.parse().ok();
    keyspace.lines().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_those_with_keys() {
        let text = "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\ndb12:keys=3,expires=0,avg_ttl=0\r\n";
        assert_eq!(databases(text), [0, 12]);
        assert!(databases("").is_empty());
    }
}
