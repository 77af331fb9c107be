//! Finds the stores of a source, and reads what changes without a sample: the window, the server's role and clock.

use std::collections::HashMap;
use std::time::Duration;

use redis::{FromRedisValue, RedisError, Value, cmd, pipe};
use tokio::time::{MissedTickBehavior, interval};

use super::ask::ask_all;
use super::link::Source;
use super::model::{Key, Model, NodeState, Replica, SourceState, StoreState, Vitals, Window};
use super::sample::Sample;
use crate::connect::SlotConnection;
use crate::store::{self, stream_of};

/// Between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// Keys a SCAN looks at: well under a millisecond of the server's time.
const KEYS_PER_SCAN: usize = 500;
/// SCANs a round sends: a large keyspace is gone through in many rounds, for ever a small part of the server's time.
const SCANS_PER_ROUND: u32 = 8;
/// Stores asked after in one pipeline.
const STORES_PER_PIPELINE: usize = 200;

/// What is read of every store in each round.
const SETTINGS: [&str; 5] = ["opens", "closes", "paused", "sla-ms", "metrics"];

/// Goes through one database of one server, round after round.
pub struct Discovery<'a> {
    model: &'a Model,
    source: &'a Source,
    connection: SlotConnection,
    cursor: u64,
    /// The keyspace was gone through once.
    knows_all: bool,
}

impl<'a> Discovery<'a> {
    pub fn new(model: &'a Model, source: &'a Source, connection: SlotConnection) -> Discovery<'a> {
        Discovery { model, source, connection, cursor: 0, knows_all: false }
    }

    /// Reads everything again: known stores may be gone, or be others of that name. Fails when the server does not
    /// answer.
    pub async fn begin(&mut self) -> Result<(), RedisError> {
        // A server that is loading its data answers some questions, but not this one.
        cmd("PING").query_async::<()>(&mut self.connection).await?;
        let known = self.model.keys_of(self.source.id);
        self.look_at(&known, true).await?;
        self.round().await
    }

    /// Rounds for ever. Fails when the server does not answer any more.
    pub async fn run(mut self) -> Result<(), RedisError> {
        let mut ticks = interval(ROUND_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first time through the keyspace, all at once: what is there should be seen.
            if self.knows_all {
                ticks.tick().await;
            }
            self.round().await?;
        }
    }

    async fn round(&mut self) -> Result<(), RedisError> {
        let about = self.ask_server().await?;
        match about.node.error {
            // Its nodes are followed one by one, each as a source of its own.
            None if self.is_seed() => self.knows_all = true,
            None => self.sweep().await?,
            Some(_) => self.knows_all = true,
        }
        let known = self.model.keys_of(self.source.id);
        self.look_at(&known, false).await?;
        // At the end: whoever learns that the server is there finds its stores too.
        let is_complete = self.knows_all;
        self.model.set_source(self.source.id, |state| *state = SourceState { is_complete, ..about });
        Ok(())
    }

    /// Whether it is a node of a cluster of which only the address of one was named.
    fn is_seed(&self) -> bool {
        self.source.is_cluster() && !self.source.is_node()
    }

    /// The server's clock, version and role; an error if it does not know the module's commands.
    async fn ask_server(&mut self) -> Result<SourceState, RedisError> {
        let mut questions = pipe();
        questions.cmd("TIME").cmd("INFO").arg("server").cmd("INFO").arg("replication").cmd("INFO").arg("memory");
        questions.cmd("COMMAND").arg("INFO").arg("STORE.GET");
        let mut replies = ask_all(&mut self.connection, questions).await?.into_iter();
        let mut next = || replies.next().and_then(Result::ok).unwrap_or(Value::Nil);
        if let Ok((seconds, micros)) = <(u64, u64)>::from_redis_value(next()) {
            self.model.set_clock(seconds * 1_000 + micros / 1_000);
        }
        let [mut server, mut replication, memory] = [(); 3].map(|()| info_lines(next()));
        let vitals = vitals(&replication, &memory);
        // If the server does not say, the stores are looked for: they are found, or not.
        let has_module = !matches!(next(), Value::Array(commands) if matches!(commands.first(), Some(Value::Nil)));
        // Valkey 9 has no `redis_mode` any more.
        let mode = server.get("redis_mode").or_else(|| server.get("server_mode"));
        self.source.set_cluster(mode.is_some_and(|mode| mode == "cluster"));
        let error = (!has_module).then(|| "this server has not loaded Holdfast".to_string());
        Ok(SourceState {
            node: NodeState { name: self.source.name.clone(), connected: true, error },
            product: Some(server.remove("server_name").unwrap_or_else(|| "redis".to_string())),
            version: server.remove("valkey_version").or_else(|| server.remove("redis_version")),
            role: replication.remove("role"),
            vitals,
            is_complete: false,
        })
    }

    /// Some steps through the keyspace; the next round goes on where this one ended.
    async fn sweep(&mut self) -> Result<(), RedisError> {
        for _ in 0..SCANS_PER_ROUND {
            let mut scan = cmd("SCAN");
            scan.arg(self.cursor).arg("TYPE").arg("holdstore").arg("COUNT").arg(KEYS_PER_SCAN);
            let (cursor, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut self.connection).await?;
            let key = |bytes| Key::in_db(self.source.key_db, bytes);
            let is_new = |key: &Key| self.model.home(key) != Some(self.source.id);
            let new: Vec<Key> = keys.into_iter().map(key).filter(is_new).collect();
            self.look_at(&new, true).await?;
            self.cursor = cursor;
            if cursor == 0 {
                self.knows_all = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads stores into the model, those that are `new` to it with their last samples; takes out those that are gone.
    async fn look_at(&mut self, keys: &[Key], new: bool) -> Result<(), RedisError> {
        for keys in keys.chunks(STORES_PER_PIPELINE) {
            let mut questions = pipe();
            for key in keys {
                questions.cmd("STORE.GET").arg(&**key).arg(&SETTINGS);
                if new {
                    questions.cmd("XREVRANGE").arg(stream_of(key, "metrics")).arg("+").arg("-").arg("COUNT").arg(1);
                }
            }
            let mut replies = ask_all(&mut self.connection, questions).await?.into_iter();
            for key in keys {
                let seen = replies.next().and_then(Seen::of);
                let last = if new { replies.next().and_then(Result::ok) } else { None };
                match seen {
                    Some(Seen::Moved { to }) if self.model.home(key).is_none() => self.take_ahead(key, &to).await?,
                    seen => self.take(key, seen, new, last),
                }
            }
        }
        Ok(())
    }

    /// Brings a store into the model that is here already while its slot is still `owner`'s, whose source follows it.
    async fn take_ahead(&mut self, key: &Key, owner: &str) -> Result<(), RedisError> {
        let Some(home) = self.model.source_of(owner) else { return Ok(()) };
        let mut questions = pipe();
        questions.cmd("ASKING").cmd("STORE.GET").arg(&**key).arg(&SETTINGS);
        questions.cmd("ASKING").cmd("XREVRANGE").arg(stream_of(key, "metrics")).arg("+").arg("-").arg("COUNT").arg(1);
        let mut replies = ask_all(&mut self.connection, questions).await?.into_iter().skip(1).step_by(2);
        if let Some(Seen::There { window, .. }) = replies.next().and_then(Seen::of) {
            let last = replies.next().and_then(Result::ok);
            self.model.set_store(key, found(window, last), home);
        }
        Ok(())
    }

    /// Brings what was seen of a store into the model.
    fn take(&self, key: &Key, seen: Option<Seen>, new: bool, last: Option<Value>) {
        match seen {
            None => {}
            Some(Seen::Gone) => self.model.remove(key, self.source.id),
            Some(Seen::Moved { to }) => self.model.move_home(key, self.source.id, &to),
            Some(Seen::There { window, .. }) if new => {
                self.model.set_store(key, found(window, last), self.source.id);
            }
            Some(Seen::There { window, is_silent }) => {
                window.into_iter().for_each(|window| self.model.set_window(key, window));
                if is_silent {
                    self.model.remind_of(key);
                }
            }
        }
    }
}

/// A store with its last sample.
fn found(window: Option<Window>, last: Option<Value>) -> StoreState {
    let sample = last.and_then(|last| Sample::all_of(&last).pop()).map(Into::into);
    StoreState { window: window.unwrap_or_default(), sample }
}

/// What STORE.GET says of a key.
enum Seen {
    /// A store; its window is `None` for a user who may not read it.
    There { window: Option<Window>, is_silent: bool },
    /// The node that has its slot now, as `host:port`.
    Moved { to: String },
    /// No store.
    Gone,
}

impl Seen {
    /// `None` where it is not known: leave things as they are.
    fn of(reply: Result<Value, RedisError>) -> Option<Seen> {
        match reply.map(HashMap::<String, Value>::from_redis_value) {
            Ok(Ok(fields)) => {
                let int = |name: &str| fields.get(name).and_then(|value| i64::from_redis_value_ref(value).ok());
                let paused = fields.get("paused").is_some_and(|paused| store::plain(paused) == "yes");
                let (opens, closes, sla_ms) = (int("opens")?, int("closes")?, int("sla-ms")?);
                let window = Window { opens, closes, paused, sla_ms };
                Some(Seen::There { window: Some(window), is_silent: int("metrics") == Some(0) })
            }
            Ok(Err(_)) => None,
            Err(error) => match store::code(&error) {
                "MOVED" => error.redirect_node().map(|(to, _)| Seen::Moved { to: to.to_string() }),
                "NOSTORE" | "WRONGTYPE" => Some(Seen::Gone),
                "NOPERM" => Some(Seen::There { window: None, is_silent: false }),
                _ => None,
            },
        }
    }
}

/// What INFO says of replication and memory.
fn vitals(replication: &HashMap<String, String>, memory: &HashMap<String, String>) -> Vitals {
    let number = |name: &str| memory.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let offset = replication.get("master_repl_offset").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut replicas: Vec<Replica> = replication
        .iter()
        .filter(|(name, _)| name.strip_prefix("slave").is_some_and(|rest| rest.parse::<u32>().is_ok()))
        .filter_map(|(_, text)| replica(text, offset))
        .collect();
    replicas.sort_by(|a, b| a.address.cmp(&b.address));
    Vitals {
        memory_used_bytes: number("used_memory"),
        memory_max_bytes: number("maxmemory"),
        eviction_policy: memory.get("maxmemory_policy").cloned().unwrap_or_default(),
        replicas,
        primary_link_up: replication.get("master_link_status").map(|status| status == "up"),
    }
}

/// A replica out of `ip=127.0.0.1,port=6380,state=online,offset=42,lag=0`.
fn replica(text: &str, primary_offset: u64) -> Option<Replica> {
    let fields: HashMap<&str, &str> = text.split(',').filter_map(|field| field.split_once('=')).collect();
    Some(Replica {
        address: format!("{}:{}", fields.get("ip")?, fields.get("port")?),
        lag_bytes: primary_offset.saturating_sub(fields.get("offset")?.parse().ok()?),
        ack_age_seconds: fields.get("lag")?.parse().unwrap_or(0),
    })
}

fn info_lines(reply: Value) -> HashMap<String, String> {
    let text = store::plain(&reply);
    let line = |line: &str| line.split_once(':').map(|(name, value)| (name.to_string(), value.trim().to_string()));
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ask::outcome;
    use super::*;

    #[test]
    fn a_replica_is_behind_by_what_it_has_not_confirmed() {
        let lines = |text: &str| info_lines(Value::BulkString(text.as_bytes().to_vec()));
        let replication = lines(
            "role:master\r\nslave0:ip=10.0.0.2,port=6380,state=online,offset=90,lag=3\r\nslave_read_only:1\r\n\
             master_repl_offset:100\r\n",
        );
        let memory = lines("used_memory:7\r\nmaxmemory:9\r\nmaxmemory_policy:noeviction\r\n");
        let vitals = vitals(&replication, &memory);
        let replica = Replica { address: "10.0.0.2:6380".into(), lag_bytes: 10, ack_age_seconds: 3 };
        assert_eq!((vitals.replicas, vitals.primary_link_up), (vec![replica], None));
        assert_eq!((vitals.memory_used_bytes, vitals.memory_max_bytes), (7, 9));
    }

    #[test]
    fn a_store_whose_window_is_secret_is_there_all_the_same() {
        let error = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).and_then(outcome);
        assert!(matches!(Seen::of(error("NOSTORE no store")), Some(Seen::Gone)));
        assert!(matches!(Seen::of(error("NOPERM no")), Some(Seen::There { window: None, .. })));
        assert!(Seen::of(error("LOADING soon")).is_none());
        assert!(matches!(Seen::of(error("MOVED 3 a:1")), Some(Seen::Moved { to }) if to == "a:1"));
    }
}
