//! A connection for tasks to the server that holds a store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::Mutex;

use super::home::Home;
use super::passing::{Replies, may_pass};
use super::slot::SlotConnection;
use super::way::lost;

/// After an error that says so, and after a failover, the next command looks for the store again; no command is sent to
/// a server twice. While the store is on its way to another node of a cluster, that one is asked for what it has.
/// Clones share the connection.
#[derive(Clone)]
pub struct StoreConnection {
    home: Home,
    answer_timeout: Duration,
    current: Arc<Mutex<Current>>,
}

/// The connection of the time, with a number, so that a late error closes no later connection.
#[derive(Default)]
struct Current {
    number: u64,
    open: Option<SlotConnection>,
}

impl StoreConnection {
    /// Connects to the server that holds the store, or would. Fails when it cannot be reached.
    pub async fn open(home: &Home, answer_timeout: Duration) -> Result<StoreConnection> {
        let connection = StoreConnection { home: home.clone(), answer_timeout, current: Arc::default() };
        connection.current().await.with_context(|| format!("connecting to {}", home.way.shown()))?;
        Ok(connection)
    }

    /// A connection of one's own, that finds nothing again. Fails when the server cannot be reached.
    pub async fn single(&self) -> Result<MultiplexedConnection, RedisError> {
        let at = self.home.find().await?;
        self.home.way.open(&at, self.get_db(), self.answer_timeout).await
    }

    async fn connect(&self) -> Result<SlotConnection, RedisError> {
        let at = self.home.find().await?;
        SlotConnection::open(&self.home.way, at, self.get_db(), self.answer_timeout).await
    }

    async fn current(&self) -> Result<(u64, SlotConnection), RedisError> {
        let mut current = self.current.lock().await;
        if let Some(open) = &current.open
            && !self.home.has_left(&open.at)
        {
            return Ok((current.number, open.clone()));
        }
        // Whatever the reason, sentinels that disagree among them: it may pass.
        let open = self.connect().await.map_err(|error| lost(&error.to_string()))?;
        *current = Current { number: current.number + 1, open: Some(open.clone()) };
        Ok((current.number, open))
    }

    /// Sends something, and waits for what comes back as long as the server is the one to ask.
    async fn send<T: Replies>(&self, send: impl AsyncFnOnce(&mut SlotConnection) -> RedisResult<T>) -> RedisResult<T> {
        let (number, mut connection) = self.current().await?;
        let at = connection.at.clone();
        let reply = tokio::select! {
            reply = send(&mut connection) => reply,
            () = self.home.until_left(&at) => Err(lost("another server has the store now")),
        };
        let is_elsewhere = reply.as_ref().map_or_else(may_pass, |replies| replies.passing().is_some());
        if is_elsewhere {
            let mut current = self.current.lock().await;
            if current.number == number {
                current.open = None;
            }
        }
        reply
    }
}

impl ConnectionLike for StoreConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.send(async |connection| connection.req_packed_command(command).await))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.send(async move |connection| connection.req_packed_commands(pipeline, offset, count).await))
    }

    fn get_db(&self) -> i64 {
        self.home.way.db().unwrap_or(0)
    }
}
