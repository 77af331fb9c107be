//! A connection for tasks to the server that holds a store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ConnectionAddr, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::Mutex;

use super::asking;
use super::home::Home;
use super::passing::{error_of, first_passing, may_pass};
use super::way::lost;

/// After an error that says so, and after a failover, the next command looks for the store again; no command is carried
/// out twice. While the store is on its way to another node of a cluster, that one is asked for what it has already.
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
    open: Option<Open>,
    /// To the node that the store is on its way to.
    asked: Option<Open>,
}

/// A connection, and the server it leads to.
#[derive(Clone)]
struct Open {
    at: ConnectionAddr,
    connection: MultiplexedConnection,
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
        Ok(self.connect(&self.home.find().await?).await?.connection)
    }

    async fn connect(&self, at: &ConnectionAddr) -> Result<Open, RedisError> {
        let way = &self.home.way;
        let connection = way.open(at, way.db().unwrap_or(0), self.answer_timeout).await?;
        Ok(Open { at: at.clone(), connection })
    }

    async fn current(&self) -> Result<(u64, Open), RedisError> {
        let mut current = self.current.lock().await;
        if let Some(open) = &current.open
            && !self.home.has_left(&open.at)
        {
            return Ok((current.number, open.clone()));
        }
        let connect = async || self.connect(&self.home.find().await?).await;
        // Whatever the reason, sentinels that disagree among them: it may pass.
        let open = connect().await.map_err(|error| lost(&error.to_string()))?;
        *current = Current { number: current.number + 1, open: Some(open.clone()), asked: None };
        Ok((current.number, open))
    }

    /// The connection to a node that the store is on its way to.
    async fn asked(&self, at: &ConnectionAddr) -> Result<Open, RedisError> {
        let mut current = self.current.lock().await;
        if let Some(open) = current.asked.as_ref().filter(|open| open.at == *at) {
            return Ok(open.clone());
        }
        let open = self.connect(at).await.map_err(|error| lost(&error.to_string()))?;
        current.asked = Some(open.clone());
        Ok(open)
    }

    /// Sends commands, each to the server that has the store, and waits for their replies as long as it is that.
    async fn send(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let (number, owner) = self.current().await?;
        let replies = match self.answers(&owner.at, owner.connection, commands).await {
            Ok(replies) => self.ask_elsewhere(&owner.at, commands, replies).await,
            Err(error) => Err(error),
        };
        let is_elsewhere = replies.as_ref().map_or_else(may_pass, |replies| first_passing(replies).is_some());
        if is_elsewhere {
            let mut current = self.current.lock().await;
            if current.number == number {
                (current.open, current.asked) = (None, None);
            }
        }
        replies
    }

    /// The replies that a server gives, as long as the store's owner is the one that it was.
    async fn answers(
        &self,
        owner: &ConnectionAddr,
        mut connection: MultiplexedConnection,
        commands: &Pipeline,
    ) -> RedisResult<Vec<Value>> {
        tokio::select! {
            replies = connection.req_packed_commands(commands, 0, commands.len()) => replies,
            () = self.home.until_left(owner) => Err(lost("another server has the store now")),
        }
    }

    /// Sends those commands on of which the owner says that another node has the key already: it did nothing of them.
    async fn ask_elsewhere(
        &self,
        owner: &ConnectionAddr,
        commands: &Pipeline,
        mut replies: Vec<Value>,
    ) -> RedisResult<Vec<Value>> {
        let asked = |reply: &Value| self.home.way.asked(&error_of(reply)?, owner);
        let places: Vec<usize> = (0..replies.len()).filter(|place| asked(&replies[*place]).is_some()).collect();
        let Some(node) = places.first().and_then(|place| asked(&replies[*place])) else { return Ok(replies) };
        let open = self.asked(&node).await?;
        let answers = self.answers(owner, open.connection, &asking::pipeline(commands, &places)).await?;
        for (place, answer) in places.into_iter().zip(asking::without_asking(answers)) {
            replies[place] = answer;
        }
        Ok(replies)
    }
}

impl ConnectionLike for StoreConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let replies = self.send(redis::pipe().add_command(command.clone())).await?;
            replies.into_iter().next().ok_or_else(|| lost("the server gave no reply"))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        // No transaction is sent: each command has its reply.
        Box::pin(async move { Ok(self.send(pipeline).await?.into_iter().skip(offset).take(count).collect()) })
    }

    fn get_db(&self) -> i64 {
        self.home.way.db().unwrap_or(0)
    }
}
