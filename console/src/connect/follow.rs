//! Connections to the server that holds a store. They find it again: after a failover, after the store has moved to
//! another node of a cluster, after a lost connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::aio::{ConnectionLike as AsyncConnectionLike, MultiplexedConnection};
use redis::{Cmd, ConnectionAddr, ConnectionLike, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::Mutex;

use super::way::{CONNECT_TIMEOUT, Way, lost, within};
use crate::store;

/// Codes of a server that does not have the store, or not any more: another one has it, or will.
const ELSEWHERE: [&str; 4] = ["MOVED", "ASK", "READONLY", "CLUSTERDOWN"];
/// How long a connection that waits for its reply looks for the store again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Whether the store has to be looked for before the command is sent again.
fn is_elsewhere(error: &RedisError) -> bool {
    store::reply_was_lost(error) || ELSEWHERE.contains(&store::code(error))
}

/// A connection for tasks. After an error that says so, and after a failover that sentinels tell of, the next command
/// looks for the store again; no command is sent twice. Clones share the connection.
#[derive(Clone)]
pub struct StoreConnection {
    way: Arc<Way>,
    store: Arc<str>,
    answer_timeout: Duration,
    current: Arc<Mutex<Current>>,
}

/// The connection of the time, with a number, so that a late error closes no later connection.
#[derive(Default)]
struct Current {
    number: u64,
    open: Option<(ConnectionAddr, MultiplexedConnection)>,
}

impl StoreConnection {
    /// Connects to the server that holds the store, or would. Fails when it cannot be reached.
    pub async fn open(way: &Arc<Way>, store: &str, answer_timeout: Duration) -> Result<StoreConnection> {
        let connection =
            StoreConnection { way: way.clone(), store: store.into(), answer_timeout, current: Arc::default() };
        connection.current().await.with_context(|| format!("connecting to {}", way.shown()))?;
        Ok(connection)
    }

    /// A connection of one's own, that finds nothing again. Fails when the server cannot be reached.
    pub async fn single(&self) -> Result<MultiplexedConnection, RedisError> {
        Ok(self.connect().await?.1)
    }

    async fn connect(&self) -> Result<(ConnectionAddr, MultiplexedConnection), RedisError> {
        let at = within(CONNECT_TIMEOUT, self.way.find_store(&self.store)).await?;
        let connection = self.way.open(&at, self.way.db().unwrap_or(0), self.answer_timeout).await?;
        Ok((at, connection))
    }

    async fn current(&self) -> Result<(u64, ConnectionAddr, MultiplexedConnection), RedisError> {
        let mut current = self.current.lock().await;
        if let Some((at, connection)) = &current.open
            && !self.way.has_left(at)
        {
            return Ok((current.number, at.clone(), connection.clone()));
        }
        // Whatever the reason, sentinels that disagree among them: it may pass.
        let (at, connection) = self.connect().await.map_err(|error| lost(&error.to_string()))?;
        *current = Current { number: current.number + 1, open: Some((at.clone(), connection.clone())) };
        Ok((current.number, at, connection))
    }

    /// Sends something, and waits for what comes back as long as the server is the one to ask.
    async fn send<T>(&self, send: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>) -> RedisResult<T> {
        let (number, at, mut connection) = self.current().await?;
        let reply = tokio::select! {
            reply = send(&mut connection) => reply,
            () = self.way.until_left(&at) => Err(lost("another server is the primary now")),
        };
        if reply.as_ref().is_err_and(is_elsewhere) {
            let mut current = self.current.lock().await;
            if current.number == number {
                current.open = None;
            }
        }
        reply
    }
}

impl AsyncConnectionLike for StoreConnection {
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
        self.way.db().unwrap_or(0)
    }
}

/// A connection that waits for each reply. A command whose reply is lost is sent again, to whoever holds the store
/// then: all that is sent over it may be carried out twice without harm.
pub struct Connection {
    way: Arc<Way>,
    store: String,
    inner: Option<(ConnectionAddr, redis::Connection)>,
}

impl Connection {
    /// Connects to the server that holds the store, or would. Fails when it cannot be reached.
    pub fn open(way: &Arc<Way>, store: &str) -> Result<Connection> {
        let mut connection = Connection { way: way.clone(), store: store.to_string(), inner: None };
        connection.connect().with_context(|| format!("connecting to {}", way.shown()))?;
        Ok(connection)
    }

    fn connect(&mut self) -> RedisResult<&mut redis::Connection> {
        self.inner.take_if(|(at, _)| self.way.has_left(at));
        if self.inner.is_none() {
            let at = wait_for(within(CONNECT_TIMEOUT, self.way.find_store(&self.store)))?;
            let client = self.way.client(&at, self.way.db().unwrap_or(0))?;
            self.inner = Some((at, client.get_connection_with_timeout(CONNECT_TIMEOUT)?));
        }
        self.inner.as_mut().map(|(_, connection)| connection).ok_or_else(|| lost("no connection"))
    }

    /// Sends until there is a reply of the server that holds the store, or patience ends.
    fn until_answered<T>(&mut self, send: impl Fn(&mut redis::Connection) -> RedisResult<T>) -> RedisResult<T> {
        let began = Instant::now();
        loop {
            match self.connect().and_then(&send) {
                Err(error) if is_elsewhere(&error) && began.elapsed() < PATIENCE => {
                    self.inner = None;
                    std::thread::sleep(INTERVAL);
                }
                reply => return reply,
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.until_answered(|connection| connection.req_packed_command(command))
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.until_answered(|connection| {
            let replies = connection.req_packed_commands(commands, offset, count)?;
            // In a pipeline each reply is looked at by itself: one that another server should give makes all go again.
            match replies.iter().find_map(elsewhere) {
                Some(error) => Err(error),
                None => Ok(replies),
            }
        })
    }

    fn get_db(&self) -> i64 {
        self.way.db().unwrap_or(0)
    }

    fn check_connection(&mut self) -> bool {
        self.inner.as_mut().is_some_and(|(_, connection)| connection.check_connection())
    }

    fn is_open(&self) -> bool {
        self.inner.as_ref().is_some_and(|(_, connection)| connection.is_open())
    }
}

fn elsewhere(reply: &Value) -> Option<RedisError> {
    let Value::ServerError(error) = reply else { return None };
    Some(RedisError::from(error.clone())).filter(is_elsewhere)
}

/// Waits for a future on a thread of its own: the caller may be a task already.
fn wait_for<T: Send>(work: impl Future<Output = RedisResult<T>> + Send) -> RedisResult<T> {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| Err(lost("the search for the store ended")))
}
