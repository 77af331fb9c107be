//! Workers: whoever packs the orders and completes them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::SeedableRng;
use rand_distr::{Distribution, Exp1};
use redis::aio::ConnectionManager;
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use redis::{cmd, pipe, AsyncCommands, RedisError, RedisResult, Value};
use tokio::sync::watch;

use super::shop::{self, Shop};
use crate::store;

/// The consumer group all workers read with.
const GROUP: &str = "packers";
/// Orders a worker takes at a time.
const ORDERS_AT_A_TIME: usize = 4;
/// How long a worker waits for an order before it looks whether the shop is done.
const WAIT_MS: usize = 100;
/// After a failed read (a failover) the worker tries again so much later.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// An order in a worker's hands.
#[derive(Debug)]
pub struct Work {
    pub order: String,
    entry: String,
}

/// What became of an order that a worker had packed.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Completed,
    /// The customer cancelled it meanwhile.
    Cancelled,
}

/// Where a worker's orders come from, and where their end is told.
pub trait WorkSource {
    /// The next orders; none when there was nothing to do for a moment.
    async fn next(&mut self) -> RedisResult<Vec<Work>>;
    /// Tells the server that an order is done.
    async fn complete(&mut self, work: &Work) -> RedisResult<Outcome>;
}

/// Reads the store's stream of orders with a consumer group, as any Redis client can.
pub struct StreamGroup {
    connection: ConnectionManager,
    store: String,
    stream: String,
    worker: String,
    /// A reply was lost: what it held is this worker's already, and has to be read again.
    reply_was_lost: bool,
}

impl StreamGroup {
    /// Makes the group, before the first order is placed.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn make(shop: &Shop) -> Result<()> {
        let mut connection = shop.own_connection().await?;
        let made: RedisResult<Value> = cmd("XGROUP")
            .arg("CREATE")
            .arg(shop.stream("orders"))
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM")
            .query_async(&mut connection)
            .await;
        made.map(drop).context("making the workers' consumer group")
    }

    /// A worker's place in the group.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn join(shop: &Shop, worker: usize) -> Result<StreamGroup> {
        Ok(StreamGroup {
            connection: shop.own_connection().await?,
            store: shop.name.clone(),
            stream: shop.stream("orders"),
            worker: format!("packer-{worker}"),
            reply_was_lost: false,
        })
    }
}

impl WorkSource for StreamGroup {
    async fn next(&mut self) -> RedisResult<Vec<Work>> {
        let options = StreamReadOptions::default().group(GROUP, &self.worker).count(ORDERS_AT_A_TIME).block(WAIT_MS);
        let from = if self.reply_was_lost { "0" } else { ">" };
        let reply: RedisResult<Option<StreamReadReply>> =
            self.connection.xread_options(&[&self.stream], &[from], &options).await;
        let reply = reply.inspect_err(|_| self.reply_was_lost = true)?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let work = |entry: StreamId| Some(Work { order: entry.get("order")?, entry: entry.id });
        // An entry without fields has left the stream meanwhile: its order has ended.
        let orders: Vec<Work> = entries.filter_map(work).collect();
        self.reply_was_lost &= !orders.is_empty();
        Ok(orders)
    }

    async fn complete(&mut self, work: &Work) -> RedisResult<Outcome> {
        let mut commands = pipe();
        commands.cmd("ORDER.COMPLETE").arg(&self.store).arg(&work.order).arg("RESULT").arg(r#"{"packed":true}"#);
        // The order left the stream with its end; the group's list of pending entries is the group's own.
        commands.cmd("XACK").arg(&self.stream).arg(GROUP).arg(&work.entry);
        let replies: Vec<RedisResult<Value>> = commands.ignore_errors().query_async(&mut self.connection).await?;
        match replies.into_iter().next() {
            Some(Err(error)) if store::code(&error) == "BADSTATE" => Ok(Outcome::Cancelled),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(Outcome::Completed),
        }
    }
}

/// Works until the shop says that there will be no more orders. An order takes `mean` to pack, more or less.
pub async fn work(
    shop: Arc<Shop>,
    mut source: impl WorkSource,
    number: usize,
    mean: Duration,
    done: watch::Receiver<bool>,
) {
    let mut random = StdRng::seed_from_u64(shop.seed.wrapping_add(number as u64));
    while !*done.borrow() {
        let orders = match source.next().await {
            Ok(orders) => orders,
            Err(error) => {
                note_failure(&shop, "reading orders", &error);
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
        };
        for work in orders {
            let packing: f64 = Exp1.sample(&mut random);
            tokio::time::sleep(mean.mul_f64(packing)).await;
            finish(&shop, &mut source, &work).await;
        }
    }
}

/// Tells the server until it has answered: completing twice is completing once.
async fn finish(shop: &Shop, source: &mut impl WorkSource, work: &Work) {
    loop {
        match source.complete(work).await {
            Ok(Outcome::Completed) => return shop.ledger().completed(&work.order),
            Ok(Outcome::Cancelled) => {
                shop.ledger().tally.cancelled_under_way += 1;
                return;
            }
            Err(error) => {
                note_failure(shop, &format!("ORDER.COMPLETE {}", work.order), &error);
                if !shop::may_pass(&error) {
                    return;
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

fn note_failure(shop: &Shop, doing: &str, error: &RedisError) {
    let mut ledger = shop.ledger();
    match shop::may_pass(error) {
        true => ledger.tally.connections_lost += 1,
        false => ledger.complain(format!("{doing}: {error}")),
    }
}
