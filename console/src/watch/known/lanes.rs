//! Lanes: the named parts of a store's queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisError, Value, pipe};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::ask::ask_all;
use super::id::{id_of, name_of};
use super::link::Link;
use super::model::{Key, Model};
use super::reply::{Pairs, items};
use crate::connect::SlotConnection;

/// At least this long from one question for the lanes of all stores to the next, however many ask.
const INTERVAL: Duration = Duration::from_secs(1);
/// Stores asked after in one pipeline.
const STORES_PER_PIPELINE: usize = 200;
/// A store whose orders name no lane is asked again after so long: a lane may be new.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A lane of a store's queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lane {
    /// Its name, for people; empty: orders that name no lane.
    pub name: String,
    /// The same, percent-encoded.
    pub id: String,
    /// Orders that wait for a worker.
    pub queued: i64,
    pub in_work: i64,
    pub retrying: i64,
    /// How long ago the order that is next was placed, milliseconds; 0: none waits.
    pub oldest_waiting_ms: i64,
}

impl Lane {
    /// What STORE.LANES replies, by name; empty if no order names a lane. Lanes whose names look the same are added up.
    pub fn all_of(reply: Value) -> Vec<Lane> {
        let mut lanes = BTreeMap::<String, Lane>::new();
        for fields in items(reply).into_iter().filter_map(Pairs::of) {
            let (name, id) = (name_of(&fields.bytes("lane")), id_of(&fields.bytes("lane")));
            let lane = lanes.entry(name.clone()).or_insert_with(|| Lane { name, id, ..Lane::default() });
            lane.queued += fields.int("queued");
            lane.in_work += fields.int("in-work");
            lane.retrying += fields.int("retrying");
            lane.oldest_waiting_ms = lane.oldest_waiting_ms.max(fields.int("oldest-waiting-ms"));
        }
        let lanes: Vec<Lane> = lanes.into_values().collect();
        if lanes.iter().any(|lane| !lane.name.is_empty()) { lanes } else { Vec::new() }
    }

    /// A number of it, by the name that STORE.LANES gives it.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "queued" => self.queued,
            "in-work" => self.in_work,
            "retrying" => self.retrying,
            "oldest-waiting-ms" => self.oldest_waiting_ms,
            _ => 0,
        }
    }
}

/// A store with its lanes, as they were at a moment.
type Looked = (Instant, Vec<Lane>);

/// The lanes of all stores, for whoever wants them of all at once.
#[derive(Debug)]
pub struct AllLanes {
    model: Arc<Model>,
    link: Arc<Link>,
    known: Mutex<(Option<Instant>, BTreeMap<Key, Looked>)>,
}

impl AllLanes {
    pub fn new(model: Arc<Model>, link: Arc<Link>) -> AllLanes {
        AllLanes { model, link, known: Mutex::default() }
    }

    /// The stores that have lanes, by key, as they were within the last second; while the server is away, as they were
    /// last.
    pub async fn now(&self) -> BTreeMap<Key, Vec<Lane>> {
        let mut known = self.known.lock().await;
        let (asked, lanes) = &mut *known;
        if asked.is_none_or(|asked| asked.elapsed() >= INTERVAL) {
            for (mut connection, wanted) in self.link.by_source(self.wanted(lanes)) {
                *asked = Some(Instant::now());
                // If the server is lost meanwhile, the next question finds out.
                let _ = look(&mut connection, &wanted, lanes).await;
            }
            lanes.retain(|key, _| self.model.store(key).is_some());
        }
        let has_lanes = |(key, (_, lanes)): (&Key, &Looked)| (!lanes.is_empty()).then(|| (key.clone(), lanes.clone()));
        lanes.iter().filter_map(has_lanes).collect()
    }

    /// The stores to ask: those that have lanes, and those that may have some by now.
    fn wanted(&self, known: &BTreeMap<Key, Looked>) -> Vec<Key> {
        let is_wanted = |key: &Key| match known.get(key) {
            Some((_, lanes)) if !lanes.is_empty() => true,
            Some((looked, _)) => looked.elapsed() >= LOOK_AGAIN && self.has_orders(key),
            None => self.has_orders(key),
        };
        self.model.keys().into_iter().filter(is_wanted).collect()
    }

    fn has_orders(&self, key: &Key) -> bool {
        self.model.store(key).and_then(|store| store.sample).is_some_and(|sample| sample.processing() > 0)
    }
}

async fn look(
    connection: &mut SlotConnection,
    keys: &[Key],
    known: &mut BTreeMap<Key, Looked>,
) -> Result<(), RedisError> {
    for keys in keys.chunks(STORES_PER_PIPELINE) {
        let mut questions = pipe();
        for key in keys {
            questions.cmd("STORE.LANES").arg(&**key);
        }
        let replies = ask_all(connection, questions).await?;
        for (key, reply) in keys.iter().zip(replies) {
            // A store that is gone, that the user may not read, or a module that knows no lanes: there are none.
            known.insert(key.clone(), (Instant::now(), reply.map(Lane::all_of).unwrap_or_default()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &[u8], [queued, in_work, retrying, oldest]: [i64; 4]) -> Value {
        let text = |text: &[u8]| Value::BulkString(text.to_vec());
        let numbers = [("queued", queued), ("in-work", in_work), ("retrying", retrying), ("oldest-waiting-ms", oldest)];
        let numbers = numbers.into_iter().flat_map(|(name, number)| [text(name.as_bytes()), Value::Int(number)]);
        Value::Array([text(b"lane"), text(name)].into_iter().chain(numbers).collect())
    }

    #[test]
    fn lanes_are_those_that_orders_name() {
        let own = [lane(b"", [4, 0, 0, 9]), lane(b"express", [2, 1, 3, 700])];
        let lanes = Lane::all_of(Value::Array(own.to_vec()));
        let names: Vec<_> = lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, ["", "express"]);
        let numbers = ["queued", "in-work", "retrying", "oldest-waiting-ms"].map(|name| lanes[1].get(name));
        assert_eq!(numbers, [2, 1, 3, 700]);
        assert_eq!(Lane::all_of(Value::Array(own[..1].to_vec())), [], "one lane without a name is none");
        assert_eq!(Lane::all_of(Value::Nil), []);
    }

    #[test]
    fn lanes_that_look_the_same_are_one() {
        let lanes = Value::Array(vec![lane(b"\xff", [1, 0, 0, 5]), lane(b"\\xff", [2, 1, 0, 3])]);
        let lanes = Lane::all_of(lanes);
        assert_eq!((lanes.len(), lanes[0].queued, lanes[0].in_work, lanes[0].oldest_waiting_ms), (1, 3, 1, 5));
    }
}
