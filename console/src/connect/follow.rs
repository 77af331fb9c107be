//! Connections to the server that holds a store. They find it again: after a failover, after the store has moved to
//! another node of a cluster, after a lost connection.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::aio::{ConnectionLike as AsyncConnectionLike, MultiplexedConnection};
use redis::{Cmd, ConnectionAddr, ConnectionLike, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::Mutex;

use super::passing::{Replies, may_pass};
use super::way::{CONNECT_TIMEOUT, SEARCH_TIMEOUT, Way, lost, within};

/// How long a connection that waits for its reply looks for the store again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a server may take for its reply until others are asked whether it still has the store.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

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
        let at = within(SEARCH_TIMEOUT, self.way.find_store(&self.store)).await?;
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
    async fn send<T: Replies>(
        &self,
        send: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let (number, at, mut connection) = self.current().await?;
        let reply = tokio::select! {
            reply = send(&mut connection) => reply,
            () = self.way.until_left(&at) => Err(lost("another server is the primary now")),
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
    inner: Option<Open>,
}

/// A connection, and the server it leads to.
struct Open {
    at: ConnectionAddr,
    connection: redis::Connection,
}

impl Connection {
    /// Connects to the server that holds the store, or would. Fails when it cannot be reached.
    pub fn open(way: &Arc<Way>, store: &str) -> Result<Connection> {
        let mut connection = Connection { way: way.clone(), store: store.to_string(), inner: None };
        connection.inner = Some(connection.connect().with_context(|| format!("connecting to {}", way.shown()))?);
        Ok(connection)
    }

    fn connect(&self) -> RedisResult<Open> {
        let at = self.find()?;
        let connection = self.way.client(&at, self.way.db().unwrap_or(0))?.get_connection_with_timeout(CONNECT_TIMEOUT);
        Ok(Open { at, connection: connection? })
    }

    /// The connection of the time, or a new one.
    fn take(&mut self) -> RedisResult<Open> {
        match self.inner.take().filter(|open| !self.way.has_left(&open.at)) {
            Some(open) => Ok(open),
            // Whatever the reason, sentinels that disagree among them: it may pass.
            None => self.connect().map_err(|error| lost(&error.to_string())),
        }
    }

    /// Whether another server has the store by now. Where nobody says so, this one does.
    fn has_left(&self, at: &ConnectionAddr) -> bool {
        match self.way.asks_sentinels() {
            true => self.way.has_left(at),
            false => self.find().is_ok_and(|now| now != *at),
        }
    }

    fn find(&self) -> RedisResult<ConnectionAddr> {
        wait_for(within(SEARCH_TIMEOUT, self.way.find_store(&self.store)))
    }

    /// Sends until there is a reply of the server that holds the store, or patience ends.
    fn until_answered<T: Replies + Send + 'static>(
        &mut self,
        send: impl Fn(&mut redis::Connection) -> RedisResult<T> + Send + Sync + 'static,
    ) -> RedisResult<T> {
        let (began, send) = (Instant::now(), Arc::new(send));
        loop {
            match self.take().and_then(|open| self.ask(open, send.clone())) {
                Err(error) if may_pass(&error) && began.elapsed() < PATIENCE => std::thread::sleep(INTERVAL),
                reply => return reply,
            }
        }
    }

    /// Sends, and waits for what comes back as long as the server is the one to ask. One that stands still, or takes no
    /// writes before a planned failover, may never answer: so the wait is a thread's, which is left to it then.
    fn ask<T: Replies + Send + 'static>(
        &mut self,
        open: Open,
        send: Arc<impl Fn(&mut redis::Connection) -> RedisResult<T> + Send + Sync + 'static>,
    ) -> RedisResult<T> {
        let ((tell, told), Open { at, mut connection }) = (channel(), open);
        std::thread::spawn(move || {
            let reply = send(&mut connection);
            // Nobody waits for it any more: the connection ends here.
            let _ = tell.send((connection, reply));
        });
        let (connection, reply) = loop {
            match told.recv_timeout(SILENCE) {
                Ok(told) => break told,
                Err(RecvTimeoutError::Timeout) if !self.has_left(&at) => {}
                Err(_) => return Err(lost("another server has the store now")),
            }
        };
        // One of a pipeline that another server should give makes all go again.
        if let Some(error) = reply.as_ref().ok().and_then(Replies::passing) {
            return Err(error);
        }
        if !reply.as_ref().is_err_and(may_pass) {
            self.inner = Some(Open { at, connection });
        }
        reply
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let command = command.to_vec();
        self.until_answered(move |connection| connection.req_packed_command(&command))
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let commands = commands.to_vec();
        self.until_answered(move |connection| connection.req_packed_commands(&commands, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.way.db().unwrap_or(0)
    }

    fn check_connection(&mut self) -> bool {
        self.inner.as_mut().is_some_and(|open| open.connection.check_connection())
    }

    fn is_open(&self) -> bool {
        self.inner.as_ref().is_some_and(|open| open.connection.is_open())
    }
}

/// Waits for a future on a thread of its own: the caller may be a task already.
fn wait_for<T: Send>(work: impl Future<Output = RedisResult<T>> + Send) -> RedisResult<T> {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| Err(lost("the search for the store ended")))
}
