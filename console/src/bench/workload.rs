//! The commands that are measured, encoded beforehand, and the state they start from.

use clap::ValueEnum;
use redis::Connection;
use serde::Serialize;

use super::wire::encode;

/// The store every measurement works on.
pub const STORE: &str = "bench";
/// The stream ORDER.PLACE writes to; XADD and the script write to one of the same name, in rounds of their own.
pub const ORDERS: &str = "{bench}:orders";
/// SKUs the orders are spread over.
pub const SKUS: u64 = 100;
/// Units on hand of each SKU: more than any measurement sells.
const ON_HAND: u64 = 1_000_000_000;
/// Units a customer may have. Every order comes from a customer of its own, so it is checked and never in the way.
const LIMIT: &str = "10";
/// The length of every id, in bytes.
const ID_BYTES: usize = 16;

const STOCK_HASH: &str = "{bench}:stock";
const CUSTOMERS_HASH: &str = "{bench}:customers";
/// What the script calls an order's hash, before its id.
pub const ORDER_HASH_PREFIX: &str = "{bench}:order:";
const SCRIPT: &str = include_str!("place.lua");

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// PING: what any command costs at least.
    Ping,
    /// XADD of the four fields ORDER.PLACE writes.
    Xadd,
    /// ORDER.PLACE of one item.
    Place,
    /// INV.RESERVE of one item.
    Reserve,
    /// EVALSHA of a script that does what ORDER.PLACE does.
    Lua,
}

impl Case {
    /// How it is called in a table.
    pub fn label(self) -> &'static str {
        match self {
            Case::Ping => "PING",
            Case::Xadd => "XADD",
            Case::Place => "ORDER.PLACE",
            Case::Reserve => "INV.RESERVE",
            Case::Lua => "Lua script",
        }
    }

    /// Whether it is one of the module's commands.
    pub fn needs_module(self) -> bool {
        matches!(self, Case::Place | Case::Reserve)
    }

    /// Appends the case's command number `n` to `out`. Two numbers never name the same order or customer.
    pub fn encode(self, n: u64, script_sha: &str, out: &mut Vec<u8>) {
        let (order, customer, sku) = (order_id(n), customer_id(n), sku_id(n % SKUS));
        match self {
            Case::Ping => encode(out, &[b"PING"]),
            Case::Xadd => {
                let key = ORDERS.as_bytes();
                let items = items_json(&sku);
                encode(
                    out,
                    &[b"XADD", key, b"*", b"order", &order, b"customer", &customer, b"items", &items, b"data", b""],
                );
            }
            Case::Place => {
                encode(out, &[b"ORDER.PLACE", STORE.as_bytes(), &order, &customer, b"ITEMS", &sku, b"1"]);
            }
            Case::Reserve => {
                encode(out, &[b"INV.RESERVE", STORE.as_bytes(), &order, b"CUSTOMER", &customer, b"ITEMS", &sku, b"1"])
            }
            Case::Lua => encode_script(script_sha, n, None, out),
        }
    }

    /// Empties the server and makes what the case's commands need: stock, and the window and limit to check.
    ///
    /// # Errors
    /// When the server refuses a command.
    pub fn prepare(self, server: &mut Connection) -> redis::RedisResult<()> {
        redis::cmd("FLUSHALL").arg("SYNC").exec(server)?;
        match self {
            Case::Ping | Case::Xadd => Ok(()),
            Case::Place | Case::Reserve => {
                redis::cmd("STORE.SET").arg(STORE).arg("limit").arg(LIMIT).exec(server)?;
                (0..SKUS).try_for_each(|n| redis::cmd("INV.SET").arg(STORE).arg(&sku_id(n)).arg(ON_HAND).exec(server))
            }
            Case::Lua => {
                (0..SKUS).try_for_each(|n| redis::cmd("HSET").arg(STOCK_HASH).arg(&sku_id(n)).arg(ON_HAND).exec(server))
            }
        }
    }
}

/// Loads the script the module is compared with; its SHA1 is what [`Case::encode`] wants.
///
/// # Errors
/// When the server cannot compile it.
pub fn load_script(server: &mut Connection) -> redis::RedisResult<String> {
    load(server, SCRIPT)
}

/// Loads a script; its SHA1.
///
/// # Errors
/// When the server cannot compile it.
pub fn load(server: &mut Connection, script: &str) -> redis::RedisResult<String> {
    redis::cmd("SCRIPT").arg("LOAD").arg(script).query(server)
}

/// Appends a call of the script for order number `n`; with `queue` the order waits in that list too.
pub fn encode_script(sha: &str, n: u64, queue: Option<&str>, out: &mut Vec<u8>) {
    let (order, customer, sku) = (order_id(n), customer_id(n), sku_id(n % SKUS));
    let order_key = order_hash(&order);
    let items = items_json(&sku);
    let mut keys = vec![&order_key[..], STOCK_HASH.as_bytes(), CUSTOMERS_HASH.as_bytes(), ORDERS.as_bytes()];
    keys.extend(queue.map(str::as_bytes));
    let key_count = keys.len().to_string();
    let mut arguments = vec![b"EVALSHA", sha.as_bytes(), key_count.as_bytes()];
    arguments.extend(keys);
    arguments.extend([&order[..], &customer, &items, b"", LIMIT.as_bytes(), &sku, b"1"]);
    encode(out, &arguments);
}

/// The key of the hash in which the scripts keep an order.
pub fn order_hash(order: &[u8]) -> Vec<u8> {
    [ORDER_HASH_PREFIX.as_bytes(), order].concat()
}

/// One item as the `items` field of an entry holds it.
fn items_json(sku: &[u8]) -> Vec<u8> {
    [b"[[\"", sku, b"\",1]]"].concat()
}

/// The id of order (and of hold) number `n`: unlike its neighbours, so that nothing gains from ids in sequence.
pub fn order_id(n: u64) -> [u8; ID_BYTES] {
    hex(scramble(n))
}

pub fn customer_id(n: u64) -> [u8; ID_BYTES] {
    hex(scramble(n ^ 1 << 63))
}

/// The id of SKU number `n`, below [`SKUS`].
pub fn sku_id(n: u64) -> [u8; ID_BYTES] {
    hex(scramble(n ^ 1 << 62))
}

/// The finalizer of splitmix64: a bijection, so two numbers never give the same id.
fn scramble(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn hex(n: u64) -> [u8; ID_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|place| DIGITS[(n >> (60 - 4 * place) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::{Case, customer_id, hex, order_id, sku_id};
    use std::collections::HashSet;

    #[test]
    fn ids_are_sixteen_hex_digits_and_never_the_same() {
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        let ids: HashSet<_> = (0..1000).flat_map(|n| [order_id(n), customer_id(n), sku_id(n)]).collect();
        assert_eq!(ids.len(), 3000);
    }

    #[test]
    fn the_script_and_xadd_write_the_same_items() {
        let encoded = |case: Case| {
            let mut out = Vec::new();
            case.encode(7, "sha", &mut out);
            String::from_utf8(out).unwrap()
        };
        let items = format!("[[\"{}\",1]]", String::from_utf8(sku_id(7).to_vec()).unwrap());
        assert!(encoded(Case::Xadd).contains(&items));
        assert!(encoded(Case::Lua).contains(&items));
    }
}
