//! Where a worker's orders come from, and where their end is told: claims under a lease, or the store's stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::aio::ConnectionManager;
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Cmd, ErrorKind, FromRedisValue, ParsingError, RedisError, RedisResult, Value, cmd, pipe};

use super::shop::{COLLECTS, Shop};
use crate::store;

/// The consumer group the counters read with.
const GROUP: &str = "counter";
/// Orders a worker has in hand at a time.
const ORDERS_AT_A_TIME: usize = 3;
/// Entries a counter looks through at a time.
const ENTRIES_AT_A_TIME: usize = 16;
/// How long a worker waits for an order before asking again.
const WAIT: Duration = Duration::from_secs(10);
/// How long a counter does.
const COUNTER_WAIT_MS: usize = 250;
/// What workers and counters say of an order that is done.
const PACKED: &str = r#"{"packed":true}"#;
const HANDED_OVER: &str = r#"{"handed-over":"at the counter"}"#;

/// An order in a worker's hands.
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

/// An order as ORDER.CLAIM replies it.
struct Claimed {
    order: String,
    attempt: u64,
    token: u64,
    placed_at: u64,
    deadline: u64,
}

impl FromRedisValue for Claimed {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields: Vec<(String, Value)> = Vec::from_redis_value(value)?;
        let field = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
            found.ok_or_else(|| ParsingError::from(format!("ORDER.CLAIM replied no field {name}")))
        };
        Ok(Claimed {
            order: String::from_redis_value(field("order")?)?,
            attempt: u64::from_redis_value(field("attempt")?)?,
            token: u64::from_redis_value(field("token")?)?,
            placed_at: u64::from_redis_value(field("placed-at")?)?,
            deadline: u64::from_redis_value(field("deadline")?)?,
        })
    }
}

impl Claimed {
    fn work(self, lease: Duration) -> Work {
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let claimed_at = self.deadline.saturating_sub(lease_ms);
        Work {
            order: self.order,
            attempt: self.attempt,
            token: Some(self.token),
            waited: Some(Duration::from_millis(claimed_at.saturating_sub(self.placed_at))),
            leased: Instant::now(),
        }
    }
}

/// Why an order is no longer this worker's to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The customer cancelled it.
    Cancelled,
    /// A worker and the counter had it at once, and the other one was first.
    InTwoHands,
    /// The lease ended, and the order went to somebody else, or waits for them.
    TooLate,
}

impl Lost {
    /// What a refusal of ORDER.COMPLETE, ORDER.FAIL or ORDER.RENEW says; nothing if it is another error.
    pub fn of(error: &RedisError) -> Option<Lost> {
        let text = error.to_string();
        match store::code(error) {
            "FENCED" | "BADSTATE" if text.ends_with("is cancelled") => Some(Lost::Cancelled),
            "FENCED" if text.ends_with("is completed") => Some(Lost::InTwoHands),
            // Completed with another RESULT than ours: by a worker, while it was on the counter.
            "MISMATCH" => Some(Lost::InTwoHands),
            "FENCED" | "BADSTATE" => Some(Lost::TooLate),
            _ => None,
        }
    }
}

/// What ORDER.COMPLETE replied: the id of the entry in the stream of completed orders, and the worker's next order.
#[derive(Debug)]
pub struct Completed {
    pub entry: String,
    pub next: Option<Work>,
}

/// Where a worker's orders come from, and where their end is told.
pub trait WorkSource {
    /// The next orders, for empty hands; none when there was nothing to do for a moment.
    async fn next(&mut self) -> RedisResult<Vec<Work>>;
    /// Whether an order in hand is still to be worked on.
    async fn is_wanted(&mut self, work: &Work) -> RedisResult<bool>;
    /// Tells the server that an order is done.
    async fn complete(&mut self, work: &Work) -> RedisResult<Completed>;
    /// Tells the server that an attempt failed; whether the order is dead.
    async fn fail(&mut self, work: &Work, reason: &str, fatal: bool) -> RedisResult<bool>;
    /// Asks for more time for these orders; an answer each.
    async fn renew(&mut self, work: &[Work]) -> RedisResult<Vec<RedisResult<()>>>;
    /// Gives everything back; how many orders that was.
    async fn leave(&mut self) -> RedisResult<u64>;
}

/// Claims orders under the store's lease, with ORDER.CLAIM.
pub struct ClaimSource {
    shop: Arc<Shop>,
    connection: ConnectionManager,
    worker: String,
    /// A claim was sent, and its reply not read: whatever is in it is this worker's, who does not know of it.
    claim_is_open: bool,
}

impl ClaimSource {
    /// A worker who is new in the shop.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn join(shop: &Arc<Shop>, worker: String) -> Result<ClaimSource> {
        let connection = shop.waiting_connection(WAIT).await?;
        Ok(ClaimSource { shop: Arc::clone(shop), connection, worker, claim_is_open: false })
    }

    fn about(&self, command: &str, work: &Work) -> Cmd {
        let mut command = cmd(command);
        command.arg(&self.shop.name).arg(&work.order);
        if let Some(token) = work.token {
            command.arg("TOKEN").arg(token);
        }
        command
    }
}

impl WorkSource for ClaimSource {
    async fn next(&mut self) -> RedisResult<Vec<Work>> {
        if self.claim_is_open {
            self.leave().await?;
        }
        let mut claim = cmd("ORDER.CLAIM");
        claim.arg(&self.shop.name).arg(&self.worker).arg("COUNT").arg(ORDERS_AT_A_TIME);
        claim.arg("BLOCK").arg(WAIT.as_millis() as u64);
        self.claim_is_open = true;
        let claimed: Vec<Claimed> = claim.query_async(&mut self.connection).await?;
        self.claim_is_open = false;
        let lease = self.shop.schedule.lease();
        Ok(claimed.into_iter().map(|claimed| claimed.work(lease)).collect())
    }

    async fn is_wanted(&mut self, _work: &Work) -> RedisResult<bool> {
        // It is nobody else's while the lease lasts, and the server says so when it has ended.
        Ok(true)
    }

    async fn complete(&mut self, work: &Work) -> RedisResult<Completed> {
        let mut command = self.about("ORDER.COMPLETE", work);
        // One round trip for the end of an order and the beginning of the next. The same call after a lost reply gives
        // the same next order.
        command.arg("RESULT").arg(PACKED).arg("CLAIM").arg(&self.worker);
        let (entry, next): (String, Option<Claimed>) = command.query_async(&mut self.connection).await?;
        Ok(Completed { entry, next: next.map(|claimed| claimed.work(self.shop.schedule.lease())) })
    }

    async fn fail(&mut self, work: &Work, reason: &str, fatal: bool) -> RedisResult<bool> {
        let mut command = self.about("ORDER.FAIL", work);
        command.arg("REASON").arg(reason);
        if fatal {
            command.arg("FATAL");
        }
        let fields: Vec<(String, Value)> = command.query_async(&mut self.connection).await?;
        Ok(fields.iter().any(|(name, value)| name == "state" && store::plain(value) == "dead"))
    }

    async fn renew(&mut self, work: &[Work]) -> RedisResult<Vec<RedisResult<()>>> {
        let mut commands = pipe();
        for work in work {
            commands.add_command(self.about("ORDER.RENEW", work));
        }
        let replies: Vec<RedisResult<Value>> = commands.ignore_errors().query_async(&mut self.connection).await?;
        Ok(replies.into_iter().map(|reply| reply.map(drop)).collect())
    }

    async fn leave(&mut self) -> RedisResult<u64> {
        if self.claim_is_open {
            // The server reads nothing from a connection that waits. When it drops, the claim is off.
            let anew = self.shop.waiting_connection(WAIT).await;
            self.connection = anew.map_err(|error| (ErrorKind::Io, "connecting anew", error.to_string()))?;
        }
        let mut command = cmd("ORDER.YIELD");
        command.arg(&self.shop.name).arg(&self.worker);
        let given_back = command.query_async(&mut self.connection).await?;
        self.claim_is_open = false;
        Ok(given_back)
    }
}

/// Reads the store's stream of orders with a consumer group, as any Redis client can, for a counter: takes the orders
/// that are collected there and that no worker has claimed.
pub struct StreamGroup {
    connection: ConnectionManager,
    store: String,
    stream: String,
    consumer: String,
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
        made.map(drop).context("making the counters' consumer group")
    }

    /// Entries that the group was given and has not acknowledged: none, as the counters read with NOACK.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn pending(shop: &Shop, connection: &mut ConnectionManager) -> Result<i64> {
        let summary: (i64, Value, Value, Value) =
            cmd("XPENDING").arg(shop.stream("orders")).arg(GROUP).query_async(connection).await?;
        Ok(summary.0)
    }

    /// A counter's place in the group.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn join(shop: &Shop, number: usize) -> Result<StreamGroup> {
        Ok(StreamGroup {
            connection: shop.own_connection().await?,
            store: shop.name.clone(),
            stream: shop.stream("orders"),
            consumer: format!("counter-{number}"),
        })
    }
}

impl WorkSource for StreamGroup {
    async fn next(&mut self) -> RedisResult<Vec<Work>> {
        // NOACK: the store remembers what is unfinished, so the group needs no list of pending entries, which would
        // otherwise keep each entry until an XACK. What a counter misses, a worker claims.
        let options = StreamReadOptions::default().group(GROUP, &self.consumer).noack();
        let options = options.count(ENTRIES_AT_A_TIME).block(COUNTER_WAIT_MS);
        let reply: Option<StreamReadReply> = self.connection.xread_options(&[&self.stream], &[">"], &options).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let collected = entries.filter(|entry| entry.get::<String>("data").as_deref() == Some(COLLECTS));
        let work = |entry: StreamId| {
            let order = entry.get("order")?;
            Some(Work { order, attempt: 1, token: None, waited: None, leased: Instant::now() })
        };
        Ok(collected.filter_map(work).collect())
    }

    async fn is_wanted(&mut self, work: &Work) -> RedisResult<bool> {
        let mut command = cmd("ORDER.GET");
        command.arg(&self.store).arg(&work.order);
        let fields: Vec<(String, Value)> = command.query_async(&mut self.connection).await?;
        // What a worker has claimed is the worker's to pack. Between this look and the end somebody may claim it still:
        // then the first of the two to complete it does, and the other is told.
        Ok(fields.iter().any(|(name, value)| name == "state" && store::plain(value) == "queued"))
    }

    async fn complete(&mut self, work: &Work) -> RedisResult<Completed> {
        let mut command = cmd("ORDER.COMPLETE");
        command.arg(&self.store).arg(&work.order).arg("RESULT").arg(HANDED_OVER);
        Ok(Completed { entry: command.query_async(&mut self.connection).await?, next: None })
    }

    async fn fail(&mut self, work: &Work, reason: &str, fatal: bool) -> RedisResult<bool> {
        let mut command = cmd("ORDER.FAIL");
        command.arg(&self.store).arg(&work.order).arg("REASON").arg(reason);
        if fatal {
            command.arg("FATAL");
        }
        command.exec_async(&mut self.connection).await.map(|()| fatal)
    }

    async fn renew(&mut self, work: &[Work]) -> RedisResult<Vec<RedisResult<()>>> {
        // There is no lease to make longer.
        Ok(work.iter().map(|_| Ok(())).collect())
    }

    async fn leave(&mut self) -> RedisResult<u64> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn the_wait_is_told_by_the_servers_clock() {
        let reply = vec![
            (text("order"), text("o-1")),
            (text("token"), Value::Int(77)),
            (text("attempt"), Value::Int(1)),
            (text("placed-at"), Value::Int(10_000)),
            (text("deadline"), Value::Int(13_500)),
        ];
        let work = Claimed::from_redis_value(Value::Map(reply)).expect("a map").work(Duration::from_secs(2));
        assert_eq!((work.order.as_str(), work.token, work.attempt), ("o-1", Some(77), 1));
        assert_eq!(work.waited, Some(Duration::from_millis(1_500)));
    }

    fn refused(text: &str) -> Option<Lost> {
        let reply = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("a reply");
        Lost::of(&reply.extract_error().expect_err("an error"))
    }

    #[test]
    fn a_refusal_says_why_the_order_is_lost() {
        assert_eq!(refused("FENCED current token 77"), Some(Lost::TooLate));
        assert_eq!(refused("FENCED current token 0, nobody has the order: it is queued"), Some(Lost::TooLate));
        let cancelled = refused("FENCED current token 0, nobody has the order: it is cancelled");
        assert_eq!(cancelled, Some(Lost::Cancelled));
        let completed = refused("FENCED current token 0, nobody has the order: it is completed");
        assert_eq!(completed, Some(Lost::InTwoHands));
        assert_eq!(refused("BADSTATE order is cancelled"), Some(Lost::Cancelled));
        assert_eq!(refused("MISMATCH order o-1 was completed with another RESULT"), Some(Lost::InTwoHands));
        assert_eq!(refused("LOADING Redis is loading"), None);
    }
}
