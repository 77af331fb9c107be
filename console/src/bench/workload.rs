//! The commands that are measured, and the state they start from.

use anyhow::Result;
use clap::ValueEnum;
use redis::{Cmd, Connection, FromRedisValue, RedisResult, Value, cmd};
use serde::Serialize;

use crate::store::Fields;

/// Where a store keeps its last 100,000 completed orders and remembers each for a day, the scripts do so too.
pub const HISTORY: u64 = 100_000;
pub const KEEP_MS: u64 = 86_400_000;

pub const QUEUE_LIST: &str = "{bench}:queue";
pub const RETRY_ZSET: &str = "{bench}:retry";
pub const LEASES_ZSET: &str = "{bench}:leases";
pub const TOKEN_KEY: &str = "{bench}:token";
pub const COMPLETE_STREAM: &str = "{bench}:complete";
pub const SOLD_HASH: &str = "{bench}:sold";

pub const STORE: &str = "bench";
/// The stream ORDER.PLACE writes to; XADD and the script write to one of the same name, in rounds of their own.
pub const ORDERS: &str = "{bench}:orders";
pub const WORKER: &str = "worker-1";
/// Longer than a run, in milliseconds: a lease that expires would give an order out twice.
pub const LEASE_MS: u64 = 600_000;
/// The consumer group of those who read the stream with XREADGROUP.
pub const GROUP: &str = "workers";
/// Commands in flight while a server is filled.
pub const FILL_PIPELINE: u64 = 64;
pub const SKUS: u64 = 100;
/// Units on hand of each SKU: more than any measurement sells.
pub const ON_HAND: u64 = 1_000_000_000;
/// Units a customer may have. Every order comes from a customer of its own, so it is checked and never refused.
pub const LIMIT: u64 = 10;

pub const STOCK_HASH: &str = "{bench}:stock";
pub const CUSTOMERS_HASH: &str = "{bench}:customers";
/// What the script calls an order's hash, before its id.
pub const ORDER_HASH_PREFIX: &str = "{bench}:order:";
/// What the module is compared with.
pub const SCRIPT: &str = include_str!("place.lua");

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// PING: what any command costs at least.
    #[strum(to_string = "PING")]
    Ping,
    /// XADD of the four fields ORDER.PLACE writes.
    #[strum(to_string = "XADD")]
    Xadd,
    /// ORDER.PLACE of one item.
    #[strum(to_string = "ORDER.PLACE")]
    Place,
    /// INV.RESERVE of one item.
    #[strum(to_string = "INV.RESERVE")]
    Reserve,
    /// EVALSHA of a script that does what ORDER.PLACE does.
    #[strum(to_string = "Lua script")]
    Lua,
}

impl Case {
    pub fn needs_module(self) -> bool {
        matches!(self, Case::Place | Case::Reserve)
    }

    /// The case's command number `n`. Two numbers never name the same order or customer.
    pub fn command(self, n: u64, script_sha: &str) -> Cmd {
        let (order, customer, sku) = (order_id(n), customer_id(n), sku_id(n % SKUS));
        match self {
            Case::Ping => cmd("PING"),
            Case::Xadd => {
                let fields =
                    [("order", order), ("customer", customer), ("items", items_json(&sku)), ("data", "".into())];
                cmd("XADD").arg(ORDERS).arg("*").arg(&fields).take()
            }
            Case::Place => cmd("ORDER.PLACE").arg(STORE).arg(order).arg(customer).arg(&("ITEMS", sku, 1)).take(),
            Case::Reserve => reserve(n).arg(&("ITEMS", sku, 1)).take(),
            Case::Lua => script(script_sha, n, None),
        }
    }

    /// Empties the server and makes the stock and the limit that the case needs. Fails when a command is refused.
    pub fn prepare(self, server: &mut Connection) -> RedisResult<()> {
        cmd("FLUSHALL").arg("SYNC").exec(server)?;
        let (command, key) = match self {
            Case::Ping | Case::Xadd => return Ok(()),
            Case::Place | Case::Reserve => ("INV.SET", STORE),
            Case::Lua => ("HSET", STOCK_HASH),
        };
        if self.needs_module() {
            cmd("STORE.SET").arg(STORE).arg("limit").arg(LIMIT).exec(server)?;
        }
        (0..SKUS).try_for_each(|n| cmd(command).arg(key).arg(sku_id(n)).arg(ON_HAND).exec(server))
    }
}

/// XREADGROUP of new orders, with this option.
pub fn read_group(option: &str, number: u64) -> Cmd {
    let streams = ("STREAMS", ORDERS, ">");
    cmd("XREADGROUP").arg(("GROUP", GROUP, WORKER)).arg((option, number)).arg(streams).take()
}

/// INV.RESERVE of hold number `n` for a customer of its own, without its items.
pub fn reserve(n: u64) -> Cmd {
    cmd("INV.RESERVE").arg(STORE).arg(order_id(n)).arg("CUSTOMER").arg(customer_id(n)).take()
}

/// Loads a script; its SHA1. Fails when the server cannot compile it.
pub fn load(server: &mut Connection, script: &str) -> RedisResult<String> {
    cmd("SCRIPT").arg("LOAD").arg(script).query(server)
}

/// A call of the script for order number `n`; with `queue` the order waits in that list too.
pub fn script(sha: &str, n: u64, queue: Option<&str>) -> Cmd {
    let (order, sku) = (order_id(n), sku_id(n % SKUS));
    let order_key = order_hash(&order);
    let mut keys = vec![&order_key[..], STOCK_HASH, CUSTOMERS_HASH, ORDERS];
    keys.extend(queue);
    let mut command = cmd("EVALSHA");
    command.arg(sha).arg(keys.len()).arg(keys).arg(order).arg(customer_id(n)).arg(items_json(&sku)).arg("");
    command.arg(LIMIT).arg(&(sku, 1)).take()
}

/// The key of the hash in which the scripts keep an order.
pub fn order_hash(order: &str) -> String {
    format!("{ORDER_HASH_PREFIX}{order}")
}

/// One item as the `items` field of an entry holds it.
fn items_json(sku: &str) -> String {
    format!("[[\"{sku}\",1]]")
}

/// The id of order (and of hold) number `n`: unlike its neighbours, so that nothing gains from ids in sequence.
pub fn order_id(n: u64) -> String {
    id(n)
}

/// The id of the customer of order number `n`.
pub fn customer_id(n: u64) -> String {
    id(n ^ 1 << 63)
}

/// The id of SKU number `n`, below [`SKUS`].
pub fn sku_id(n: u64) -> String {
    id(n ^ 1 << 62)
}

/// Sixteen hex digits of the finalizer of splitmix64: a bijection, so two numbers never give the same id.
fn id(n: u64) -> String {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("{:016x}", n ^ (n >> 31))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: String,
    pub token: u64,
}

impl Held {
    /// The order in a map of ORDER.CLAIM. Fails when the map lacks a field.
    pub fn of(order: Value) -> Result<Held> {
        let order = Fields::from_redis_value(order)?;
        Ok(Held { id: order.get("order")?, token: order.get("token")? })
    }

    /// The orders in a reply of ORDER.CLAIM. Fails when it is something else.
    pub fn all(claimed: Value) -> Result<Vec<Held>> {
        Vec::<Value>::from_redis_value(claimed)?.into_iter().map(Held::of).collect()
    }

    pub fn complete(&self) -> Cmd {
        cmd("ORDER.COMPLETE").arg(STORE).arg(&self.id).arg("TOKEN").arg(self.token).take()
    }
}

pub fn claim(count: u64) -> Cmd {
    cmd("ORDER.CLAIM").arg(STORE).arg(WORKER).arg("COUNT").arg(count).arg("LEASE").arg(LEASE_MS).take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_sixteen_hex_digits_and_never_the_same() {
        let ids: HashSet<_> = (0..1000).flat_map(|n| [order_id(n), customer_id(n), sku_id(n)]).collect();
        assert_eq!(ids.len(), 3000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }

    #[test]
    fn the_script_and_xadd_write_the_same_items() {
        let items = items_json(&sku_id(7));
        for case in [Case::Xadd, Case::Lua] {
            let command = case.command(7, "sha").get_packed_command();
            assert!(String::from_utf8(command).expect("text").contains(&items));
        }
    }

    #[test]
    fn an_order_is_completed_with_its_token() {
        let reply = redis::parse_redis_value(b"*1\r\n*4\r\n$5\r\ntoken\r\n:7\r\n$5\r\norder\r\n$5\r\ntoken\r\n");
        let held = Held::all(reply.expect("a reply")).expect("orders");
        assert_eq!(held, [Held { id: "token".into(), token: 7 }]);
        assert!(held[0].complete().get_packed_command().ends_with(b"$5\r\nTOKEN\r\n$1\r\n7\r\n"));
        assert!(Held::all(Value::Nil).expect("nil is no order").is_empty());
    }
}
