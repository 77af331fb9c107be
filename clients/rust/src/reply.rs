//! What replies are made of. Times are Unix milliseconds. Ids are text; what is no UTF-8 in them is replaced.

use redis::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map as Object, Number, Value as Json};

use crate::Error;

/// Names and values: settings, an event.
pub type Map = Object<String, Json>;

macro_rules! records {
    ($($(#[$attribute:meta])* $name:ident { $($(#[doc = $fdoc:literal])* $field:ident: $type:ty),* $(,)? })*) => { $(
        #[derive(Clone, Debug, Deserialize, PartialEq)]
        #[serde(rename_all = "kebab-case")]
        $(#[$attribute])*
        #[non_exhaustive]
        #[allow(missing_docs)]
        pub struct $name { $($(#[doc = $fdoc])* pub $field: $type),* }
    )* };
}

records! {
    /// Counters and gauges of a store; docs/metrics.md says what each means. What an earlier server does not have is 0.
    #[derive(Default)]
    #[serde(default)]
    Info {
        placed: u64, completed: u64, cancelled: u64, returned: u64, failed: u64, retried: u64, dead: u64, expired: u64,
        claimed: u64, units_sold: u64, lapsed: u64, redriven: u64, late: u64, gates_expired: u64, waitlist_expired: u64,
        refused_nosku: u64, refused_nohold: u64, refused_noorder: u64, refused_outofstock: u64, refused_limit: u64,
        refused_notopen: u64, refused_closed: u64, refused_expired: u64, refused_badstate: u64, refused_mismatch: u64,
        refused_fenced: u64, refused_gap: u64, refused_err: u64, refused_nogate: u64, skus: u64, on_hand: u64,
        available: u64, held: u64, sold: u64, oversold: u64, queued: u64, in_work: u64, retrying: u64,
        dead_letters: u64, pending: u64, waitlisted: u64, overflow: u64, holds: u64, customers: u64, workers: u64,
        oldest_waiting_ms: u64, completed_kept: u64, cancelled_kept: u64, next_due: Option<u64>, bytes: u64,
    }
    /// Counts of a SKU.
    Sku {
        on_hand: u64, held: u64, safety: u64, low: u64, available: i64, sold: u64, limit: u64, waiting: u64,
        backlog: Option<u64>,
    }
    /// An item of a hold.
    HoldItem { sku: String, qty: u64, left: u64, committed: u64 }
    /// Everything that is known about a hold.
    Hold {
        hold: String, state: String, customer: Option<String>, expires_at: Option<u64>, ended_at: Option<u64>,
        left: u64, items: Vec<HoldItem>,
    }
    /// What became of an order that failed.
    Failure { state: String, attempt: u64, due: Option<u64> }
    /// A lane of a store.
    Lane { lane: String, queued: u64, in_work: u64, retrying: u64, oldest_waiting_ms: u64 }
    /// Something that does not agree with its recount.
    Difference { what: String, id: String, books: Json, recount: Json }
    /// An item of an order.
    OrderItem { sku: String, qty: u64, returned: u64, missing: u64 }
    /// A gate of an order; `passed` is 0 or 1. Without a deadline it has no end.
    Gate { gate: String, deadline: Option<u64>, passed: u64 }
    /// Everything that is known about an order; `late` is 0 or 1.
    Order {
        order: String, state: String, customer: String, group: Option<String>, lane: String, hold: Option<String>,
        items: Vec<OrderItem>,
        /// The JSON text that the order was placed with.
        data: Option<String>,
        entry: Option<String>, placed_at: u64, ended_at: Option<u64>, complete: Option<String>,
        /// The JSON text that the order was completed with.
        result: Option<String>,
        reason: Option<String>, late: u64, attempts: u64, worker: Option<String>, token: Option<u64>,
        due: Option<u64>, gates: Vec<Gate>, step: Option<String>, version: u64, history: Vec<Map>,
    }
    /// Who owns a lock, and how many wait for it.
    LockState {
        owner: Option<String>, token: Option<u64>, acquired_at: Option<u64>, deadline: Option<u64>,
        ttl_ms: Option<u64>, waiting: u64,
    }
}

/// An order that a worker has, under a lease until `deadline`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct ClaimedOrder {
    pub order: String,
    pub token: u64,
    pub attempt: u64,
    pub customer: String,
    pub lane: String,
    pub items: Vec<(String, u64)>,
    /// The JSON text that the order was placed with.
    pub data: Option<String>,
    pub placed_at: u64,
    pub deadline: u64,
    /// Its id as the server has it, which may be no UTF-8.
    #[serde(skip)]
    pub(crate) id: Vec<u8>,
}

/// A page of an iteration: the next cursor (`"0"` at the end), and ids.
pub type Page = (String, Vec<String>);

/// The reply to ORDER.COMPLETE.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Completion {
    /// The id of its entry in the stream of completed orders.
    pub entry: String,
    /// With CLAIM the next order.
    pub next: Option<ClaimedOrder>,
}

impl ClaimedOrder {
    /// The value that the order was placed with.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.data.as_deref().unwrap_or("null"))
            .map_err(|error| Error::Content(format!("the order's DATA is something else: {error}")))
    }

    /// The W3C trace context in the data of the order, if there is one.
    pub fn traceparent(&self) -> Option<String> {
        self.data_as::<Json>().ok()?.get("traceparent")?.as_str().map(str::to_owned)
    }
}

fn unexpected(error: impl std::fmt::Display) -> Error {
    Error::Content(format!("a reply must be as documented, got something else: {error}"))
}

pub(crate) fn done(_: Value) -> Result<(), Error> {
    Ok(())
}

pub(crate) fn truth(reply: Value) -> Result<bool, Error> {
    json::<u64>(reply).map(|number| number == 1)
}

/// A reply as a value of this type. Maps come as maps (RESP3) or as flat arrays (RESP2).
pub(crate) fn json<T: DeserializeOwned>(reply: Value) -> Result<T, Error> {
    let reply = plain(reply)?;
    T::deserialize(&reply).or_else(|_| T::deserialize(with_maps(reply))).map_err(unexpected)
}

pub(crate) fn claimed(reply: Value) -> Result<Vec<ClaimedOrder>, Error> {
    let ids: Vec<_> = reply.as_sequence().unwrap_or_default().iter().map(|order| id_of(order).to_vec()).collect();
    let mut orders: Vec<ClaimedOrder> = json(reply)?;
    orders.iter_mut().zip(ids).for_each(|(order, id)| order.id = id);
    Ok(orders)
}

fn id_of(order: &Value) -> &[u8] {
    let is_name = |name: &Value| matches!(name, Value::BulkString(bytes) if bytes == b"order");
    let id = match order {
        Value::Map(pairs) => pairs.iter().find(|(name, _)| is_name(name)).map(|(_, id)| id),
        Value::Array(flat) => flat.iter().step_by(2).position(is_name).and_then(|at| flat.get(2 * at + 1)),
        _ => None,
    };
    if let Some(Value::BulkString(id)) = id { id } else { &[] }
}

pub(crate) fn map(reply: Value) -> Result<Map, Error> {
    match plain(reply)? {
        Json::Array(flat) => pairs(flat).ok_or_else(|| unexpected("no map")),
        Json::Object(map) => Ok(map),
        other => Err(unexpected(other)),
    }
}

pub(crate) fn completion(reply: Value) -> Result<Completion, Error> {
    match reply {
        Value::Array(mut parts) if parts.len() == 2 => {
            let next = json(parts.remove(1))?;
            Ok(Completion { entry: json(parts.remove(0))?, next })
        }
        entry => Ok(Completion { entry: json(entry)?, next: None }),
    }
}

fn plain(reply: Value) -> Result<Json, Error> {
    Ok(match reply {
        Value::Nil => Json::Null,
        Value::Int(number) => Json::Number(Number::from(number)),
        Value::BulkString(bytes) => Json::String(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) => Json::String(text),
        Value::Okay => Json::String("OK".to_owned()),
        Value::Boolean(is) => Json::Bool(is),
        Value::Array(parts) => Json::Array(parts.into_iter().map(plain).collect::<Result<_, _>>()?),
        Value::Map(pairs) => {
            let named = |(name, value)| match plain(name)? {
                Json::String(name) => Ok((name, plain(value)?)),
                other => Err(unexpected(other)),
            };
            Json::Object(pairs.into_iter().map(named).collect::<Result<_, _>>()?)
        }
        other => return Err(unexpected(format!("{other:?}"))),
    })
}

/// The same with flat arrays as maps, where they can be maps: an even number of parts, every other one a name.
fn with_maps(reply: Json) -> Json {
    match reply {
        Json::Array(parts) if is_map(&parts) => {
            let map = pairs(parts).into_iter().flatten().map(|(name, value)| (name, with_maps(value)));
            Json::Object(map.collect())
        }
        Json::Array(parts) => Json::Array(parts.into_iter().map(with_maps).collect()),
        other => other,
    }
}

/// An item is a SKU and its units, and a page a cursor and its ids: those are no maps.
fn is_map(parts: &[Json]) -> bool {
    parts.len() > 2 && parts.len().is_multiple_of(2) && parts.iter().step_by(2).all(Json::is_string)
}

fn pairs(flat: Vec<Json>) -> Option<Map> {
    let mut parts = flat.into_iter();
    let mut map = Map::new();
    while let Some(name) = parts.next() {
        map.insert(name.as_str()?.to_owned(), parts.next()?);
    }
    Some(map)
}
