//! Follows a source into a [`Model`]: one connection waits for the samples of its stores, however many look on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Value, cmd, pipe};
use tokio::time::{Instant, sleep, sleep_until};

use super::ask::{ask_all, said};
use super::discovery::Discovery;
use super::link::{ANSWER_TIMEOUT, Source};
use super::model::{Key, Model, NodeState};
use super::sample::{EntryId, Sample};
use super::server::Known;
use crate::connect::SlotConnection;
use crate::store::{self, stream_of};

/// How long a read waits for samples before it looks which stores there are now.
const BLOCK: Duration = Duration::from_secs(1);
/// From one read to the next: many stores that sample at different times are read together.
const READ_INTERVAL: Duration = Duration::from_millis(100);
/// From one read to the next where each stream is read by a command of its own.
const READ_APART_INTERVAL: Duration = Duration::from_millis(500);
/// How long streams are read apart after one of them could not be read: an outsider's key, a user's rights.
const APART_FOR: Duration = Duration::from_secs(10);
/// Samples of one store in one read.
const SAMPLES_PER_READ: usize = 100;
/// The wait before the first try to connect again; it doubles with each, up to the longest.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Follows a source until the task is dropped; connects again whenever it is lost.
pub async fn run(known: Arc<Known>, source: Arc<Source>) {
    let mut backoff = BACKOFF;
    loop {
        let Err(error) = session(&known, &source).await;
        source.set(None);
        let was_connected = known.model.source(source.id).is_some_and(|state| state.node.connected);
        if was_connected {
            backoff = BACKOFF;
        }
        known.model.set_source(source.id, |state| {
            state.node = NodeState { name: source.name.clone(), connected: false, error: Some(said(&error)) };
        });
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// As long as the connection lasts.
async fn session(known: &Known, source: &Source) -> Result<std::convert::Infallible, RedisError> {
    let (model, way) = (&*known.model, &known.link.way);
    let asking = source.connect(way, ANSWER_TIMEOUT).await?;
    let waiting = source.connect(way, BLOCK + ANSWER_TIMEOUT).await?;
    source.set(Some(asking.clone()));
    model.set_source(source.id, |state| state.is_complete = false);
    let mut discovery = Discovery::new(model, source, asking);
    discovery.begin().await?;
    let reader = Reader { model, source, connection: waiting, apart_until: None };
    tokio::select! {
        Err(error) = discovery.run() => Err(error),
        ended = reader.run() => ended,
    }
}

/// Reads the samples of all stores as they are written.
struct Reader<'a> {
    model: &'a Model,
    source: &'a Source,
    connection: SlotConnection,
    apart_until: Option<Instant>,
}

impl Reader<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, RedisError> {
        loop {
            let began = Instant::now();
            let mut updates = self.model.subscribe();
            let seen = self.model.seen(self.source.id);
            if seen.is_empty() {
                // Until a store is found; a look now and then does no harm.
                let _ = tokio::time::timeout(BLOCK, updates.recv()).await;
                continue;
            }
            let apart = self.source.is_cluster() || self.apart_until.is_some_and(|until| began < until);
            let interval = match apart {
                true => self.read_apart(&seen).await.map(|()| READ_APART_INTERVAL)?,
                false => self.read_together(&seen).await.map(|()| READ_INTERVAL)?,
            };
            sleep_until(began + interval).await;
        }
    }

    /// One command for all streams, that waits until there is something.
    async fn read_together(&mut self, seen: &[(Key, EntryId)]) -> Result<(), RedisError> {
        match read(seen, Some(BLOCK)).query_async::<Value>(&mut self.connection).await {
            Ok(reply) => self.take(seen, reply),
            Err(error) if concerns_a_key(&error) => self.apart_until = Some(Instant::now() + APART_FOR),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A command for each stream, that does not wait.
    async fn read_apart(&mut self, seen: &[(Key, EntryId)]) -> Result<(), RedisError> {
        let mut reads = pipe();
        for one in seen {
            reads.add_command(read(std::slice::from_ref(one), None));
        }
        for reply in ask_all(&mut self.connection, reads).await? {
            match reply {
                Ok(reply) => self.take(seen, reply),
                Err(error) if concerns_a_key(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Brings what was read into the model.
    fn take(&self, seen: &[(Key, EntryId)], reply: Value) {
        let streams = Vec::<(Vec<u8>, Value)>::from_redis_value(reply).unwrap_or_default();
        if streams.is_empty() {
            return;
        }
        let keys: HashMap<Vec<u8>, &Key> = seen.iter().map(|(key, _)| (stream_of(key, "metrics"), key)).collect();
        for (name, entries) in streams {
            let Some(key) = keys.get(&name) else { continue };
            Sample::all_of(&entries).into_iter().for_each(|sample| self.model.add_sample(key, sample));
        }
    }
}

/// XREAD of the streams of these stores, each after the entry that was seen last.
fn read(seen: &[(Key, EntryId)], block: Option<Duration>) -> Cmd {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(SAMPLES_PER_READ);
    if let Some(block) = block {
        read.arg("BLOCK").arg(block.as_millis() as u64);
    }
    read.arg("STREAMS");
    for (key, _) in seen {
        read.arg(stream_of(key, "metrics"));
    }
    for (_, last) in seen {
        read.arg(last.to_string());
    }
    read
}

/// Whether it is one of the keys that cannot be read, and the others can.
fn concerns_a_key(error: &RedisError) -> bool {
    let answered = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
    answered && matches!(store::code(error), "WRONGTYPE" | "NOPERM" | "CROSSSLOT" | "MOVED" | "ASK" | "TRYAGAIN")
}
