//! Where a worker's orders come from, and where their end is reported: claims under a lease, or the store's stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Cmd, ConnectionLike, ErrorKind, ParsingError, RedisError, RedisResult, Value, cmd, pipe};

use super::ledger::Counts;
use super::shop::{COLLECTS, EXPRESS, LACES, Shop, items};
use crate::connect::StoreConnection;
use crate::store::{self, Fields};

const GROUP: &str = "counter";
const ORDERS_AT_A_TIME: usize = 3;
const ENTRIES_AT_A_TIME: usize = 16;
/// How long a worker waits for an order before asking again.
const WAIT: Duration = Duration::from_secs(10);
const COUNTER_WAIT_MS: usize = 250;
/// What workers and counters say of an order that is done.
const PACKED: &str = r#"{"packed":true}"#;
const HANDED_OVER: &str = r#"{"handed-over":"at the counter"}"#;

#[derive(Clone, Debug)]
pub struct Work {
    pub order: String,
    pub attempt: u64,
    /// The right to it. Whoever took it from the stream has none, and is trusted.
    pub token: Option<u64>,
    /// From its placing to its claim, by the server's clock.
    pub waited: Option<Duration>,
    /// When its lease was given, or made longer.
    pub leased: Instant,
}

impl Work {
    /// An order as ORDER.CLAIM replies it, claimed for so long.
    fn claimed(order: &Fields, lease: Duration) -> Result<Work, ParsingError> {
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let claimed_at = order.get::<u64>("deadline")?.saturating_sub(lease_ms);
        Ok(Work {
            order: order.get("order")?,
            attempt: order.get("attempt")?,
            token: Some(order.get("token")?),
            waited: Some(Duration::from_millis(claimed_at.saturating_sub(order.get("placed-at")?))),
            leased: Instant::now(),
        })
    }
}

/// The count of orders lost as a refusal of ORDER.COMPLETE, ORDER.FAIL or ORDER.RENEW says; none for another error.
pub fn lost<'a>(error: &RedisError, counts: &'a mut Counts) -> Option<&'a mut u64> {
    let text = error.to_string();
    match store::code(error) {
        "FENCED" | "BADSTATE" if text.ends_with("is cancelled") => Some(&mut counts.cancelled_under_way),
        "FENCED" if text.ends_with("is completed") => Some(&mut counts.in_two_hands),
        // Completed with another RESULT than ours: by a worker, while it was on the counter.
        "MISMATCH" => Some(&mut counts.in_two_hands),
        // The lease expired: another worker has the order, or it waits for one.
        "FENCED" | "BADSTATE" => Some(&mut counts.too_late),
        _ => None,
    }
}

/// Where a worker's orders come from, and where their end is reported.
pub struct Source {
    pub shop: Arc<Shop>,
    connection: StoreConnection,
    worker: String,
    /// Claims express orders first.
    express_first: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By ORDER.CLAIM, under the store's lease. While `is_open` a claim was sent and its reply not read: whatever is in
    /// it is this worker's, who does not know of it.
    Claims { is_open: bool },
    /// From the store's stream of orders, read with a consumer group as any Redis client can, for a counter: the orders
    /// that are collected there and that no worker has claimed.
    Stream,
}

impl Source {
    /// The claims of a worker who is new in the shop. Fails when the server cannot be reached.
    pub async fn claims(shop: &Arc<Shop>, worker: String, express_first: bool) -> Result<Source> {
        let connection = shop.connection(WAIT).await?;
        Ok(Source { shop: Arc::clone(shop), connection, worker, express_first, kind: Kind::Claims { is_open: false } })
    }

    /// The stream, for a counter. Fails when the server cannot be reached.
    pub async fn stream(shop: &Arc<Shop>, number: usize) -> Result<Source> {
        let (connection, worker) = (shop.connection(Duration::ZERO).await?, format!("counter-{number}"));
        Ok(Source { shop: Arc::clone(shop), connection, worker, express_first: false, kind: Kind::Stream })
    }

    /// The next orders, for empty hands; none when there was nothing to do for a moment.
    pub async fn next(&mut self) -> RedisResult<Vec<Work>> {
        match self.kind {
            Kind::Claims { .. } => self.claim().await,
            Kind::Stream => self.read().await,
        }
    }

    async fn claim(&mut self) -> RedisResult<Vec<Work>> {
        if self.kind == (Kind::Claims { is_open: true }) {
            self.leave().await?;
        }
        let mut claim = cmd("ORDER.CLAIM");
        claim.arg(&self.shop.name).arg(&self.worker).arg("COUNT").arg(ORDERS_AT_A_TIME);
        if self.express_first {
            // Of the express lane, and only then of the one without a name.
            claim.arg("LANES").arg(2).arg(EXPRESS).arg("");
        }
        claim.arg("BLOCK").arg(WAIT.as_millis() as u64);
        self.kind = Kind::Claims { is_open: true };
        let claimed: Vec<Fields> = claim.query_async(&mut self.connection).await?;
        self.kind = Kind::Claims { is_open: false };
        let lease = self.shop.schedule.lease();
        Ok(claimed.iter().map(|order| Work::claimed(order, lease)).collect::<Result<_, _>>()?)
    }

    async fn read(&mut self) -> RedisResult<Vec<Work>> {
        // NOACK: the store remembers what is unfinished, so the group needs no list of pending entries, which would
        // otherwise keep each entry until an XACK. What a counter misses, a worker claims.
        let options = StreamReadOptions::default().group(GROUP, &self.worker).noack();
        let options = options.count(ENTRIES_AT_A_TIME).block(COUNTER_WAIT_MS);
        let stream = self.shop.stream("orders");
        let reply: Option<StreamReadReply> = self.connection.xread_options(&[stream], &[">"], &options).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let collected = entries.filter(|entry| entry.get::<String>("data").as_deref() == Some(COLLECTS));
        let work = |entry: StreamId| {
            let order = entry.get("order")?;
            Some(Work { order, attempt: 1, token: None, waited: None, leased: Instant::now() })
        };
        Ok(collected.filter_map(work).collect())
    }

    /// A command about an order, with the worker's token where it has one.
    fn about(&self, command: &str, work: &Work) -> Cmd {
        let mut command = cmd(command);
        command.arg(&self.shop.name).arg(&work.order).arg(work.token.map(|token| ("TOKEN", token)));
        command
    }

    /// Whether an order in hand is still to be worked on.
    pub async fn is_wanted(&mut self, work: &Work) -> RedisResult<bool> {
        if work.token.is_some() {
            // It is nobody else's while the lease lasts, and the server says so when it has expired.
            return Ok(true);
        }
        let order: Fields = self.about("ORDER.GET", work).query_async(&mut self.connection).await?;
        // What a worker has claimed is the worker's to pack. Between this look and the end somebody may claim it still:
        // then the first of the two to complete it does, and the other is refused.
        Ok(order.get::<String>("state")? == "queued")
    }

    /// Reports that an order is done. The id of its entry in the stream of completed orders, and the next order.
    pub async fn complete(&mut self, work: &Work) -> RedisResult<(String, Option<Work>)> {
        let mut command = self.about("ORDER.COMPLETE", work);
        command.arg("RESULT").arg(if self.kind == Kind::Stream { HANDED_OVER } else { PACKED });
        if self.kind == Kind::Stream || self.express_first {
            return Ok((command.query_async(&mut self.connection).await?, None));
        }
        // One round trip ends an order and begins the next, of whatever lane. Sent again, it gives the same next order.
        command.arg("CLAIM").arg(&self.worker);
        let (entry, next): (String, Option<Fields>) = command.query_async(&mut self.connection).await?;
        Ok((entry, next.map(|order| Work::claimed(&order, self.shop.schedule.lease())).transpose()?))
    }

    /// Takes the laces out of an order, and out of the books: they are not there. Sent again, it changes nothing.
    pub async fn write_off_laces(&mut self, work: &Work) -> RedisResult<()> {
        let mut command = self.about("ORDER.EDIT", work);
        command.arg("LOST").arg("ITEMS").arg(items(false));
        command.exec_async(&mut self.connection).await
    }

    /// Whether an order has no laces, or none any more.
    pub async fn is_without_laces(&mut self, work: &Work) -> RedisResult<bool> {
        let command = cmd("ORDER.GET").arg(&self.shop.name).arg(&work.order).take();
        let order: Fields = command.query_async(&mut self.connection).await?;
        let items: Vec<Fields> = order.get("items")?;
        Ok(!items.iter().any(|item| item.get::<String>("sku").is_ok_and(|sku| sku == LACES)))
    }

    /// Reports that an attempt failed; whether the order is dead.
    pub async fn fail(&mut self, work: &Work, reason: &str, fatal: bool) -> RedisResult<bool> {
        let mut command = self.about("ORDER.FAIL", work);
        command.arg("REASON").arg(reason).arg(fatal.then_some("FATAL"));
        let failed: Fields = command.query_async(&mut self.connection).await?;
        Ok(failed.get::<String>("state")? == "dead")
    }

    /// Asks for more time for these orders, which are under a lease; an answer each.
    pub async fn renew(&mut self, work: &[Work]) -> RedisResult<Vec<RedisResult<()>>> {
        let mut commands = pipe();
        for work in work {
            commands.add_command(self.about("ORDER.RENEW", work));
        }
        let replies: Vec<RedisResult<Value>> = commands.ignore_errors().query_async(&mut self.connection).await?;
        Ok(replies.into_iter().map(|reply| reply.map(drop)).collect())
    }

    /// Gives everything back; how many orders that was.
    pub async fn leave(&mut self) -> RedisResult<u64> {
        match self.kind {
            Kind::Stream => return Ok(0),
            Kind::Claims { is_open: false } => {}
            Kind::Claims { is_open: true } => {
                // The server reads nothing from a connection that waits. When it drops, the claim is off.
                let connection = self.shop.connection(WAIT).await;
                self.connection = connection.map_err(|error| (ErrorKind::Io, "connecting again", error.to_string()))?;
            }
        }
        let command = cmd("ORDER.YIELD").arg(&self.shop.name).arg(&self.worker).take();
        let given_back = command.query_async(&mut self.connection).await?;
        self.kind = Kind::Claims { is_open: false };
        Ok(given_back)
    }
}

/// Makes the counters' consumer group, before the first order is placed. Fails when the server refuses.
pub async fn make_group(shop: &Shop) -> Result<()> {
    let mut connection = shop.connection(Duration::ZERO).await?;
    let made = connection.xgroup_create_mkstream(shop.stream("orders"), GROUP, "0").await;
    made.context("making the counters' consumer group")
}

/// Entries that the group has not acknowledged: none, as it reads with NOACK. Fails when the server refuses.
pub fn pending(shop: &Shop, connection: &mut dyn ConnectionLike) -> Result<i64> {
    let (pending, ..): (i64, Value, Value, Value) =
        cmd("XPENDING").arg(shop.stream("orders")).arg(GROUP).query(connection)?;
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::FromRedisValue;

    #[test]
    fn the_wait_is_measured_by_the_servers_clock() {
        let numbers = [("token", 77), ("attempt", 1), ("placed-at", 10_000), ("deadline", 13_500)];
        let text = |text: &str| Value::SimpleString(text.into());
        let mut reply: Vec<_> = numbers.iter().map(|(name, number)| (text(name), Value::Int(*number))).collect();
        reply.push((text("order"), text("o-1")));
        let order = Fields::from_redis_value(Value::Map(reply)).expect("a map");
        let work = Work::claimed(&order, Duration::from_secs(2)).expect("an order");
        assert_eq!((work.order.as_str(), work.token, work.attempt), ("o-1", Some(77), 1));
        assert_eq!(work.waited, Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_refusal_says_why_the_order_is_lost() {
        for (text, count) in [
            ("FENCED current token 77", [0, 0, 1]),
            ("FENCED current token 0, nobody has the order: it is queued", [0, 0, 1]),
            ("FENCED current token 0, nobody has the order: it is cancelled", [1, 0, 0]),
            ("FENCED current token 0, nobody has the order: it is completed", [0, 1, 0]),
            ("BADSTATE order is cancelled", [1, 0, 0]),
            ("MISMATCH order o-1 was completed with another RESULT", [0, 1, 0]),
            ("LOADING Redis is loading", [0; 3]),
        ] {
            let reply = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("a reply");
            let (error, mut counts) = (reply.extract_error().expect_err("an error"), Counts::default());
            lost(&error, &mut counts).into_iter().for_each(|count| *count += 1);
            assert_eq!([counts.cancelled_under_way, counts.in_two_hands, counts.too_late], count, "{text}");
        }
    }
}
