//! The ways an order can go from placed to completed, command by command, and what must be left of it at the end.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use redis::Connection;
use serde::Serialize;

use crate::bench::reply::Reply;
use crate::bench::wire::{Wire, encode};
use crate::bench::workload::{self, Case, ORDER_HASH_PREFIX, ORDERS, STORE, order_hash};

/// The one worker there is.
const WORKER: &[u8] = b"worker-1";
/// Longer than a run, in milliseconds: a lease that ends would give an order out twice.
const LEASE_MS: &[u8] = b"600000";
/// Where a store keeps its last 100,000 completed orders and remembers each for a day, the script does so too.
const HISTORY: &[u8] = b"100000";
const KEEP_MS: &[u8] = b"86400000";
/// XREADGROUP's consumer group.
const GROUP: &str = "workers";

const QUEUE_LIST: &str = "{bench}:queue";
const RETRY_ZSET: &str = "{bench}:retry";
const LEASES_ZSET: &str = "{bench}:leases";
const TOKEN_KEY: &str = "{bench}:token";
const COMPLETE_STREAM: &str = "{bench}:complete";
const SOLD_HASH: &str = "{bench}:sold";

const CLAIM_SCRIPT: &str = include_str!("claim.lua");
const COMPLETE_SCRIPT: &str = include_str!("complete.lua");

/// A way from placed to completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// As many PINGs: what the way to the server and back costs alone
    Ping,
    /// ORDER.PLACE, ORDER.CLAIM, ORDER.COMPLETE
    Holdfast,
    /// ORDER.PLACE, ORDER.COMPLETE … CLAIM: the next order comes with the reply
    HoldfastNext,
    /// Three scripts that do the same
    Lua,
    /// XADD, XREADGROUP, XACK and XDEL: the queue alone, no stock, no limit, no lease
    Streams,
    /// ORDER.PLACE, ORDER.CLAIM, ORDER.COMPLETE from Node with ioredis
    HoldfastNode,
    /// BullMQ: Node with ioredis
    Bullmq,
}

impl Flow {
    /// How it is called in a table.
    pub fn label(self) -> &'static str {
        match self {
            Flow::Ping => "as many PINGs",
            Flow::Holdfast => "Holdfast",
            Flow::HoldfastNext => "Holdfast, COMPLETE … CLAIM",
            Flow::Lua => "Lua scripts",
            Flow::Streams => "XADD, XREADGROUP, XACK, XDEL",
            Flow::HoldfastNode => "Holdfast from Node",
            Flow::Bullmq => "BullMQ from Node",
        }
    }

    /// Whether its client is the program on Node.
    pub fn is_on_node(self) -> bool {
        matches!(self, Flow::HoldfastNode | Flow::Bullmq)
    }

    /// Empties the server and makes what the first order needs.
    ///
    /// # Errors
    /// When the server refuses a command.
    pub fn prepare(self, server: &mut Connection) -> redis::RedisResult<()> {
        match self {
            Flow::Holdfast | Flow::HoldfastNext | Flow::HoldfastNode => Case::Place.prepare(server),
            Flow::Lua => Case::Lua.prepare(server),
            Flow::Ping | Flow::Bullmq => Case::Ping.prepare(server),
            Flow::Streams => {
                Case::Xadd.prepare(server)?;
                redis::cmd("XGROUP").arg("CREATE").arg(ORDERS).arg(GROUP).arg("$").arg("MKSTREAM").exec(server)
            }
        }
    }

    /// Makes sure that so many orders were placed and all of them completed.
    ///
    /// # Errors
    /// When they were not, or the server refuses a command.
    pub fn verify(self, server: &mut Connection, orders: u64) -> Result<()> {
        let counts = match self {
            Flow::Ping => return Ok(()),
            Flow::Holdfast | Flow::HoldfastNext | Flow::HoldfastNode => count_store(server),
            Flow::Lua => count_scripts(server),
            Flow::Streams => count_stream(server),
            Flow::Bullmq => count_bullmq(server),
        };
        let (completed, open) = counts.with_context(|| format!("counting what {} left", self.label()))?;
        ensure!(
            (completed, open) == (orders, 0),
            "{}: of {orders} orders {completed} were completed and {open} are open",
            self.label()
        );
        Ok(())
    }
}

/// Orders completed, and orders still somewhere.
type Counts = (u64, u64);

fn count_store(server: &mut Connection) -> Result<Counts> {
    let info: HashMap<String, Option<u64>> = redis::cmd("STORE.INFO").arg(STORE).query(server)?;
    let field = |name: &str| info.get(name).copied().flatten().with_context(|| format!("STORE.INFO has no {name}"));
    let open: u64 = redis::cmd("XLEN").arg(ORDERS).query(server)?;
    // One unit an order: what is sold and not held any more was completed.
    let completed = field("completed")?.min(field("sold")?);
    Ok((completed, open.max(field("queued")?).max(field("held")?)))
}

fn count_scripts(server: &mut Connection) -> Result<Counts> {
    let sold: Vec<u64> = redis::cmd("HVALS").arg(SOLD_HASH).query(server)?;
    let open = [("XLEN", ORDERS), ("LLEN", QUEUE_LIST), ("ZCARD", LEASES_ZSET), ("ZCARD", RETRY_ZSET)];
    Ok((sold.iter().sum(), most(server, &open)?))
}

fn count_stream(server: &mut Connection) -> Result<Counts> {
    let info: HashMap<String, redis::Value> = redis::cmd("XINFO").arg("STREAM").arg(ORDERS).query(server)?;
    let added = info.get("entries-added").context("XINFO STREAM tells no entries-added")?;
    let added: u64 = redis::from_redis_value(added.clone())?;
    let summary: Vec<redis::Value> = redis::cmd("XPENDING").arg(ORDERS).arg(GROUP).query(server)?;
    let pending = summary.into_iter().next().context("XPENDING tells nothing")?;
    let open = most(server, &[("XLEN", ORDERS)])?.max(redis::from_redis_value(pending)?);
    Ok((added - open.min(added), open))
}

fn count_bullmq(server: &mut Connection) -> Result<Counts> {
    let added: u64 = redis::cmd("GET").arg("bull:bench:id").query::<Option<u64>>(server)?.unwrap_or(0);
    let open = [("LLEN", "bull:bench:wait"), ("LLEN", "bull:bench:active"), ("ZCARD", "bull:bench:failed")];
    let open = most(server, &open)?;
    Ok((added - open.min(added), open))
}

/// The largest of several lengths, each the reply to a command with a key.
fn most(server: &mut Connection, lengths: &[(&str, &str)]) -> Result<u64> {
    let mut largest = 0;
    for (command, key) in lengths {
        largest = largest.max(redis::cmd(command).arg(key).query(server)?);
    }
    Ok(largest)
}

/// The SHA1s of the scripts.
#[derive(Clone, Debug)]
pub struct Scripts {
    place: String,
    claim: String,
    complete: String,
}

impl Scripts {
    /// Loads them.
    ///
    /// # Errors
    /// When the server cannot compile them.
    pub fn load(server: &mut Connection) -> redis::RedisResult<Scripts> {
        Ok(Scripts {
            place: workload::load_script(server)?,
            claim: workload::load(server, CLAIM_SCRIPT)?,
            complete: workload::load(server, COMPLETE_SCRIPT)?,
        })
    }
}

/// What a worker needs to complete what it has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    /// The order's id; of a stream, the entry's; of PING, nothing.
    id: Vec<u8>,
    /// The fencing token; of a stream and of PING, nothing.
    token: Vec<u8>,
}

impl Held {
    fn nothing() -> Held {
        Held { id: Vec::new(), token: Vec::new() }
    }

    fn of_order(order: &Reply) -> Result<Held> {
        Ok(Held { id: order.field("order")?.bytes().into_owned(), token: order.field("token")?.bytes().into_owned() })
    }

    /// Of XREADGROUP's reply: streams, each with its entries, each with its id first.
    fn of_streams(reply: &Reply) -> Vec<Held> {
        let entries = reply.elements().iter().flat_map(|stream| stream.elements().iter().skip(1));
        let ids = entries.flat_map(Reply::elements).filter_map(|entry| entry.elements().first());
        ids.map(|id| Held { id: id.bytes().into_owned(), token: Vec::new() }).collect()
    }
}

/// A client of one connection, producer and worker in one: it waits for every reply before it goes on.
#[derive(Debug)]
pub struct WireLives<'a> {
    flow: Flow,
    scripts: &'a Scripts,
    wire: &'a mut Wire,
    commands: Vec<u8>,
}

impl<'a> WireLives<'a> {
    /// A client for a flow that is not on Node.
    pub fn new(flow: Flow, scripts: &'a Scripts, wire: &'a mut Wire) -> WireLives<'a> {
        WireLives { flow, scripts, wire, commands: Vec::new() }
    }

    /// Takes orders 0 to `orders` - 1 through their lives, `batch` at a time.
    ///
    /// # Errors
    /// When the server answers with an error, or hands out other than was placed.
    pub fn run(&mut self, orders: u64, batch: u64) -> Result<()> {
        let mut held = Vec::new();
        for first in (0..orders).step_by(usize::try_from(batch)?) {
            let count = batch.min(orders - first);
            self.place(first, count)?;
            held = match held.is_empty() {
                true => self.claim(count)?,
                false => self.complete_and_claim(&held)?,
            };
            if self.flow != Flow::HoldfastNext {
                self.complete(&held)?;
                held.clear();
            }
        }
        self.complete(&held)
    }

    fn place(&mut self, first: u64, count: u64) -> Result<()> {
        self.commands.clear();
        for n in first..first + count {
            match self.flow {
                Flow::Ping => Case::Ping.encode(n, "", &mut self.commands),
                Flow::Lua => workload::encode_script(&self.scripts.place, n, Some(QUEUE_LIST), &mut self.commands),
                Flow::Streams => Case::Xadd.encode(n, "", &mut self.commands),
                _ => Case::Place.encode(n, "", &mut self.commands),
            }
        }
        self.wire.exchange(&self.commands, count)
    }

    /// Claims as many as there must be.
    fn claim(&mut self, count: u64) -> Result<Vec<Held>> {
        self.commands.clear();
        encode_claim(self.flow, self.scripts, count, &mut self.commands);
        let replies = self.wire.call(&self.commands, 1)?;
        let held: Vec<Held> = match self.flow {
            Flow::Ping => vec![Held::nothing(); usize::try_from(count)?],
            Flow::Streams => Held::of_streams(&replies[0]),
            _ => replies[0].elements().iter().map(Held::of_order).collect::<Result<_>>()?,
        };
        ensure!(held.len() as u64 == count, "{} of {count} orders were handed out", held.len());
        Ok(held)
    }

    fn complete(&mut self, held: &[Held]) -> Result<()> {
        self.commands.clear();
        let replies = held.iter().map(|held| encode_complete(self.flow, self.scripts, held, &mut self.commands)).sum();
        self.wire.exchange(&self.commands, replies)
    }

    /// Completes each and has another for it.
    fn complete_and_claim(&mut self, held: &[Held]) -> Result<Vec<Held>> {
        self.commands.clear();
        held.iter().for_each(|held| encode_complete_and_claim(held, &mut self.commands));
        let replies = self.wire.call(&self.commands, held.len() as u64)?;
        let next = replies.iter().filter_map(|reply| reply.elements().get(1)).filter(|next| **next != Reply::Nil);
        next.map(Held::of_order).collect()
    }
}

fn encode_claim(flow: Flow, scripts: &Scripts, count: u64, out: &mut Vec<u8>) {
    let count = count.to_string();
    let count = count.as_bytes();
    match flow {
        Flow::Ping => encode(out, &[b"PING"]),
        Flow::Streams => {
            let orders = ORDERS.as_bytes();
            encode(
                out,
                &[b"XREADGROUP", b"GROUP", GROUP.as_bytes(), WORKER, b"COUNT", count, b"STREAMS", orders, b">"],
            );
        }
        Flow::Lua => {
            let keys = [QUEUE_LIST, RETRY_ZSET, LEASES_ZSET, TOKEN_KEY].map(str::as_bytes);
            let arguments = [WORKER, LEASE_MS, count, ORDER_HASH_PREFIX.as_bytes()];
            encode_eval(&scripts.claim, &keys, &arguments, out);
        }
        _ => encode(out, &[b"ORDER.CLAIM", STORE.as_bytes(), WORKER, b"COUNT", count, b"LEASE", LEASE_MS]),
    }
}

/// Appends what completes an order; how many commands that are.
fn encode_complete(flow: Flow, scripts: &Scripts, held: &Held, out: &mut Vec<u8>) -> u64 {
    match flow {
        Flow::Ping => {
            encode(out, &[b"PING"]);
            1
        }
        Flow::Streams => {
            encode(out, &[b"XACK", ORDERS.as_bytes(), GROUP.as_bytes(), &held.id]);
            encode(out, &[b"XDEL", ORDERS.as_bytes(), &held.id]);
            2
        }
        Flow::Lua => {
            let order_key = order_hash(&held.id);
            let [leases, orders, complete, sold] = [LEASES_ZSET, ORDERS, COMPLETE_STREAM, SOLD_HASH].map(str::as_bytes);
            let arguments = [&held.id[..], &held.token, b"", HISTORY, KEEP_MS];
            encode_eval(&scripts.complete, &[&order_key, leases, orders, complete, sold], &arguments, out);
            1
        }
        _ => {
            encode(out, &[b"ORDER.COMPLETE", STORE.as_bytes(), &held.id, b"TOKEN", &held.token]);
            1
        }
    }
}

fn encode_complete_and_claim(held: &Held, out: &mut Vec<u8>) {
    let (store, order, token) = (STORE.as_bytes(), &held.id, &held.token);
    encode(out, &[b"ORDER.COMPLETE", store, order, b"TOKEN", token, b"CLAIM", WORKER, b"LEASE", LEASE_MS]);
}

fn encode_eval(sha: &str, keys: &[&[u8]], arguments: &[&[u8]], out: &mut Vec<u8>) {
    let count = keys.len().to_string();
    encode(out, &[&[b"EVALSHA", sha.as_bytes(), count.as_bytes()], keys, arguments].concat());
}

#[cfg(test)]
mod tests {
    use super::{Flow, Held, Scripts, encode_complete};
    use crate::bench::reply::Reply;

    fn read(text: &str) -> Reply {
        Reply::read(&mut text.as_bytes()).unwrap()
    }

    #[test]
    fn reads_what_was_claimed() {
        let order = read("*4\r\n$5\r\norder\r\n$3\r\no-1\r\n$5\r\ntoken\r\n:77\r\n");
        let held = Held { id: b"o-1".to_vec(), token: b"77".to_vec() };
        assert_eq!(Held::of_order(&order).unwrap(), held);
        let streams = read("*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*0\r\n*2\r\n$3\r\n1-2\r\n*0\r\n");
        let ids: Vec<_> = Held::of_streams(&streams).into_iter().map(|held| held.id).collect();
        assert_eq!(ids, vec![b"1-1".to_vec(), b"1-2".to_vec()]);
        assert_eq!(Held::of_streams(&Reply::Nil), vec![]);
    }

    #[test]
    fn an_order_is_completed_with_its_token() {
        let scripts = Scripts { place: "p".into(), claim: "c".into(), complete: "sha".into() };
        let held = Held { id: b"o-1".to_vec(), token: b"77".to_vec() };
        let encoded = |flow| {
            let mut out = Vec::new();
            let replies = encode_complete(flow, &scripts, &held, &mut out);
            (replies, String::from_utf8(out).unwrap())
        };
        let (replies, holdfast) = encoded(Flow::Holdfast);
        assert_eq!(replies, 1);
        assert!(holdfast.ends_with("$5\r\nTOKEN\r\n$2\r\n77\r\n"), "{holdfast}");
        assert_eq!(encoded(Flow::Streams).0, 2);
        let (_, lua) = encoded(Flow::Lua);
        assert!(lua.starts_with("*13\r\n$7\r\nEVALSHA\r\n$3\r\nsha\r\n$1\r\n5\r\n"), "{lua}");
    }
}
