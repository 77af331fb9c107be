//! The ways an order can take from placed to completed, command by command, and what must be left of it at the end.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use redis::streams::StreamReadReply;
use redis::{Cmd, Connection, FromRedisValue, RedisResult, Value, cmd};
use serde::Serialize;

use crate::bench::wire::{Batch, Wire};
use crate::bench::workload::{
    self, COMPLETE_STREAM, Case, GROUP, HISTORY, Held, KEEP_MS, LEASE_MS, LEASES_ZSET, ORDER_HASH_PREFIX, ORDERS,
    QUEUE_LIST, RETRY_ZSET, SOLD_HASH, STORE, TOKEN_KEY, WORKER, order_hash, script,
};
use crate::store::Fields;

const CLAIM_SCRIPT: &str = include_str!("claim.lua");
const COMPLETE_SCRIPT: &str = include_str!("complete.lua");

/// A way from placed to completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// As many PINGs: what the way to the server and back costs alone
    #[strum(to_string = "as many PINGs")]
    Ping,
    /// ORDER.PLACE, ORDER.CLAIM, ORDER.COMPLETE
    #[strum(to_string = "Holdfast")]
    Holdfast,
    /// ORDER.PLACE, ORDER.COMPLETE … CLAIM: the next order comes with the reply
    #[strum(to_string = "Holdfast, COMPLETE … CLAIM")]
    HoldfastNext,
    /// Three scripts that do the same
    #[strum(to_string = "Lua scripts")]
    Lua,
    /// XADD, XREADGROUP, XACK and XDEL: the queue alone, no stock, no limit, no lease
    #[strum(to_string = "XADD, XREADGROUP, XACK, XDEL")]
    Streams,
    /// ORDER.PLACE, ORDER.CLAIM, ORDER.COMPLETE from Node with ioredis
    #[strum(to_string = "Holdfast from Node")]
    HoldfastNode,
    /// BullMQ: Node with ioredis
    #[strum(to_string = "BullMQ from Node")]
    Bullmq,
}

impl Flow {
    pub fn is_on_node(self) -> bool {
        matches!(self, Flow::HoldfastNode | Flow::Bullmq)
    }

    /// Empties the server and makes what the first order needs. Fails when the server refuses a command.
    pub fn prepare(self, server: &mut Connection) -> RedisResult<()> {
        match self {
            Flow::Holdfast | Flow::HoldfastNext | Flow::HoldfastNode => Case::Place.prepare(server),
            Flow::Lua => Case::Lua.prepare(server),
            Flow::Ping | Flow::Bullmq => Case::Ping.prepare(server),
            Flow::Streams => {
                Case::Xadd.prepare(server)?;
                cmd("XGROUP").arg("CREATE").arg(ORDERS).arg(GROUP).arg("$").arg("MKSTREAM").exec(server)
            }
        }
    }

    /// Fails when other than `orders` orders were completed, one is left, or the server refuses a command.
    pub fn verify(self, server: &mut Connection, orders: u64) -> Result<()> {
        let counts = match self {
            Flow::Ping => return Ok(()),
            Flow::Holdfast | Flow::HoldfastNext | Flow::HoldfastNode => count_store(server),
            Flow::Lua => count_scripts(server),
            Flow::Streams => count_stream(server),
            Flow::Bullmq => count_bullmq(server),
        };
        let (completed, open) = counts.with_context(|| format!("counting what {self} left"))?;
        ensure!(
            (completed, open) == (orders, 0),
            "{self}: of {orders} orders {completed} were completed and {open} are open"
        );
        Ok(())
    }
}

/// Orders completed, and orders still somewhere.
type Counts = (u64, u64);

fn count_store(server: &mut Connection) -> Result<Counts> {
    let info: Fields = cmd("STORE.INFO").arg(STORE).query(server)?;
    let count = |name: &str| info.get::<u64>(name);
    let open = most(server, &[("XLEN", ORDERS)])?;
    // One unit an order: what is sold and not held any more was completed.
    Ok((count("completed")?.min(count("sold")?), open.max(count("queued")?).max(count("held")?)))
}

fn count_scripts(server: &mut Connection) -> Result<Counts> {
    let sold: Vec<u64> = cmd("HVALS").arg(SOLD_HASH).query(server)?;
    let open = [("XLEN", ORDERS), ("LLEN", QUEUE_LIST), ("ZCARD", LEASES_ZSET), ("ZCARD", RETRY_ZSET)];
    Ok((sold.iter().sum(), most(server, &open)?))
}

fn count_stream(server: &mut Connection) -> Result<Counts> {
    let info: Fields = cmd("XINFO").arg("STREAM").arg(ORDERS).query(server)?;
    let added: u64 = info.get("entries-added")?;
    let (pending, ..): (u64, Value, Value, Value) = cmd("XPENDING").arg(ORDERS).arg(GROUP).query(server)?;
    let open = most(server, &[("XLEN", ORDERS)])?.max(pending);
    Ok((added.saturating_sub(open), open))
}

fn count_bullmq(server: &mut Connection) -> Result<Counts> {
    let added = cmd("GET").arg("bull:bench:id").query::<Option<u64>>(server)?.unwrap_or(0);
    let open = [("LLEN", "bull:bench:wait"), ("LLEN", "bull:bench:active"), ("ZCARD", "bull:bench:failed")];
    let open = most(server, &open)?;
    Ok((added.saturating_sub(open), open))
}

/// The largest of several lengths, each the reply to a command with a key.
fn most(server: &mut Connection, lengths: &[(&str, &str)]) -> RedisResult<u64> {
    let mut largest = 0;
    for (command, key) in lengths {
        largest = largest.max(cmd(command).arg(key).query(server)?);
    }
    Ok(largest)
}

/// The SHA1s of the scripts.
#[derive(Debug)]
pub struct Scripts {
    place: String,
    claim: String,
    complete: String,
}

impl Scripts {
    /// Loads them. Fails when the server cannot compile them.
    pub fn load(server: &mut Connection) -> RedisResult<Scripts> {
        let mut load = |script| workload::load(server, script);
        Ok(Scripts { place: load(workload::SCRIPT)?, claim: load(CLAIM_SCRIPT)?, complete: load(COMPLETE_SCRIPT)? })
    }
}

/// A client of one connection, producer and worker in one: it waits for every reply before it continues.
pub struct WireLives<'a> {
    flow: Flow,
    scripts: &'a Scripts,
    wire: Wire,
    /// What places the orders, encoded beforehand; and how many each places.
    places: Vec<(Batch, u64)>,
}

impl WireLives<'_> {
    /// A client for a flow that is not on Node, for orders 0 to `orders` - 1, `batch` at a time.
    pub fn new(flow: Flow, scripts: &Scripts, wire: Wire, orders: u64, batch: u64) -> WireLives<'_> {
        let part = |first: u64| {
            let end = orders.min(first + batch);
            ((first..end).map(|n| place(flow, scripts, n)).collect(), end - first)
        };
        let places = (0..orders).step_by(batch as usize).map(part).collect();
        WireLives { flow, scripts, wire, places }
    }

    /// Takes all orders through their lives. Fails on an error reply, or when not all that was placed is handed out.
    pub fn run(&mut self) -> Result<()> {
        let mut held = Vec::new();
        for (batch, count) in std::mem::take(&mut self.places) {
            self.wire.exchange(&batch)?;
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

    fn claim(&mut self, count: u64) -> Result<Vec<Held>> {
        let reply = self.wire.call(&self.claim_command(count))?;
        let held = match self.flow {
            Flow::Ping => vec![Held { id: String::new(), token: 0 }; usize::try_from(count)?],
            Flow::Streams => {
                let streams = StreamReadReply::from_redis_value(reply)?;
                let entries = streams.keys.into_iter().flat_map(|stream| stream.ids);
                // Nobody has a right to an entry: there is no token.
                entries.map(|entry| Held { id: entry.id, token: 0 }).collect()
            }
            _ => Held::all(reply)?,
        };
        ensure!(held.len() as u64 == count, "{} of {count} orders were handed out", held.len());
        Ok(held)
    }

    fn complete(&mut self, held: &[Held]) -> Result<()> {
        let batch = held.iter().flat_map(|held| self.complete_commands(held)).collect();
        self.wire.exchange(&batch).map(drop)
    }

    /// Completes each and has another for it.
    fn complete_and_claim(&mut self, held: &[Held]) -> Result<Vec<Held>> {
        let with_next = |held: &Held| held.complete().arg("CLAIM").arg(WORKER).arg("LEASE").arg(LEASE_MS).take();
        let replies = self.wire.exchange(&held.iter().map(with_next).collect())?;
        let next = |reply| <(Value, Option<Value>)>::from_redis_value(reply).map(|(_, next)| next);
        let next = replies.into_iter().map(next).collect::<Result<Vec<_>, _>>()?;
        next.into_iter().flatten().map(Held::of).collect()
    }

    fn claim_command(&self, count: u64) -> Cmd {
        match self.flow {
            Flow::Ping => cmd("PING"),
            Flow::Streams => workload::read_group("COUNT", count),
            Flow::Lua => {
                let keys = [QUEUE_LIST, RETRY_ZSET, LEASES_ZSET, TOKEN_KEY];
                eval(&self.scripts.claim, &keys).arg(WORKER).arg(LEASE_MS).arg(count).arg(ORDER_HASH_PREFIX).take()
            }
            _ => workload::claim(count),
        }
    }

    fn complete_commands(&self, held: &Held) -> Vec<Cmd> {
        match self.flow {
            Flow::Ping => vec![cmd("PING")],
            Flow::Streams => vec![
                cmd("XACK").arg(ORDERS).arg(GROUP).arg(&held.id).take(),
                cmd("XDEL").arg(ORDERS).arg(&held.id).take(),
            ],
            Flow::Lua => {
                let keys = [&order_hash(&held.id)[..], LEASES_ZSET, ORDERS, COMPLETE_STREAM, SOLD_HASH];
                let mut complete = eval(&self.scripts.complete, &keys);
                vec![complete.arg(&held.id).arg(held.token).arg("").arg(HISTORY).arg(KEEP_MS).take()]
            }
            _ => vec![held.complete()],
        }
    }
}

fn place(flow: Flow, scripts: &Scripts, n: u64) -> Cmd {
    match flow {
        Flow::Ping => cmd("PING"),
        Flow::Lua => script(&scripts.place, n, Some(QUEUE_LIST)),
        Flow::Streams => Case::Xadd.command(n, ""),
        _ => Case::Place.command(n, ""),
    }
}

fn eval(sha: &str, keys: &[&str]) -> Cmd {
    cmd("EVALSHA").arg(sha).arg(keys.len()).arg(keys).take()
}
