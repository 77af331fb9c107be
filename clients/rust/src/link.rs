//! Connections that nothing else uses, for calls that wait.

use std::time::{Duration, Instant};

use redis::{Connection, ConnectionLike, RedisResult};

use crate::call::{Call, Command, Waiting};
use crate::error::Error;
use crate::ids::Ids;
use crate::reply::Page;

/// A round of a call that waits, on the server; then comes the next one.
pub(crate) const LONGEST_ROUND_MS: u64 = 5_000;
/// How long a reply may take beyond the time that its call waits on the server.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// Something to connect to: a [`redis::Client`], with the feature `cluster` a `redis::cluster::ClusterClient`, or with
/// the feature `sentinel` a `redis::sentinel::SentinelClient` in an `Arc<Mutex<…>>`.
pub trait Connect: Send + Sync + 'static {
    /// A new connection. It gives up a reply that takes longer than `timeout`.
    fn open(&self, timeout: Duration) -> RedisResult<Box<dyn Link>>;
}

/// A connection whose time-out can be set.
pub trait Link: ConnectionLike + Send {
    /// Gives up replies that take longer.
    fn set_timeout(&self, timeout: Duration) -> RedisResult<()>;
}

impl Link for Connection {
    fn set_timeout(&self, timeout: Duration) -> RedisResult<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

impl Connect for redis::Client {
    fn open(&self, timeout: Duration) -> RedisResult<Box<dyn Link>> {
        let connection = self.get_connection_with_timeout(timeout)?;
        connection.set_timeout(timeout)?;
        Ok(Box::new(connection))
    }
}

#[cfg(feature = "cluster")]
mod cluster {
    use std::time::Duration;

    use redis::cluster::{ClusterClient, ClusterConnection, Connect as ConnectNode};
    use redis::{Cmd, Connection, ConnectionLike, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, Value};

    use super::{Connect, Link};

    /// A connection to one node. redis-rs sends a call again to which no reply came, whatever it was, but not after the
    /// errors of this one: the second claim would get another order, and nobody would know of the first.
    struct Node(Connection);

    fn not_again(error: RedisError) -> RedisError {
        let is_servers = error.code().is_some();
        if is_servers { error } else { (ErrorKind::Client, "no reply", error.to_string()).into() }
    }

    impl ConnectionLike for Node {
        fn req_command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
            self.0.req_command(cmd).map_err(not_again)
        }

        fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
            self.0.req_packed_command(cmd).map_err(not_again)
        }

        fn req_packed_commands(&mut self, cmd: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
            self.0.req_packed_commands(cmd, offset, count).map_err(not_again)
        }

        fn get_db(&self) -> i64 {
            self.0.get_db()
        }

        fn check_connection(&mut self) -> bool {
            self.0.check_connection()
        }

        fn is_open(&self) -> bool {
            self.0.is_open()
        }
    }

    impl ConnectNode for Node {
        fn connect<T: IntoConnectionInfo>(info: T, timeout: Option<Duration>) -> RedisResult<Self> {
            <Connection as ConnectNode>::connect(info, timeout).map(Node)
        }

        fn send_packed_command(&mut self, cmd: &[u8]) -> RedisResult<()> {
            self.0.send_packed_command(cmd).map_err(not_again)
        }

        fn set_write_timeout(&self, timeout: Option<Duration>) -> RedisResult<()> {
            self.0.set_write_timeout(timeout)
        }

        fn set_read_timeout(&self, timeout: Option<Duration>) -> RedisResult<()> {
            self.0.set_read_timeout(timeout)
        }

        fn recv_response(&mut self) -> RedisResult<Value> {
            self.0.recv_response().map_err(not_again)
        }
    }

    impl<C: ConnectionLike + ConnectNode + Send> Link for ClusterConnection<C> {
        fn set_timeout(&self, timeout: Duration) -> RedisResult<()> {
            self.set_read_timeout(Some(timeout))?;
            self.set_write_timeout(Some(timeout))
        }
    }

    impl Connect for ClusterClient {
        fn open(&self, timeout: Duration) -> RedisResult<Box<dyn Link>> {
            // Public, but not on redis-rs's pages: if it is ever gone, this does not compile.
            let connection = self.get_generic_connection::<Node>()?;
            connection.set_timeout(timeout)?;
            Ok(Box::new(connection))
        }
    }
}

/// Each connection is one to the server that the sentinels name at that time.
#[cfg(feature = "sentinel")]
impl Connect for std::sync::Arc<std::sync::Mutex<redis::sentinel::SentinelClient>> {
    fn open(&self, timeout: Duration) -> RedisResult<Box<dyn Link>> {
        let client = self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_client()?;
        client.open(timeout)
    }
}

/// A connection of its own for calls that wait: it is closed when a reply does not come in time, so that the server
/// hands nothing to a caller who is gone.
pub struct Waiter<C> {
    client: C,
    link: Option<Box<dyn Link>>,
    silence: Duration,
}

impl<C: Connect> Waiter<C> {
    /// Connects when it is first used, and again after an error.
    pub fn new(client: C) -> Self {
        Waiter { client, link: None, silence: SILENCE }
    }

    /// How long a reply may take beyond the time that its call waits; 5 seconds if it is not said.
    pub fn silence(self, silence: Duration) -> Self {
        Waiter { silence, ..self }
    }

    /// Waits for what the call waits for, in rounds.
    pub fn wait<K: Command>(&mut self, waiting: &Waiting<K>) -> Result<K::Reply, Error>
    where
        K::Reply: Nothing,
    {
        let start = Instant::now();
        loop {
            let round_ms = round_ms(waiting.ms, start.elapsed());
            let reply = self.round(waiting, round_ms)?;
            if !reply.is_nothing() || (waiting.ms > 0 && start.elapsed() >= Duration::from_millis(waiting.ms)) {
                return Ok(reply);
            }
        }
    }

    /// Sends a call that does not wait. An audit of very many orders may take longer than the silence.
    pub fn ask<K: Command>(&mut self, call: &Call<K>) -> Result<K::Reply, Error> {
        self.sent(call, self.silence)
    }

    /// Iterates over the ids that a call lists: see [`Call::iter`].
    pub fn iter<K: Command<Reply = Page>>(&mut self, call: Call<K>) -> Ids<'_, K> {
        Ids::new(call, Box::new(|call| self.ask(call)))
    }

    pub(crate) fn round<K: Command>(&mut self, waiting: &Waiting<K>, ms: u64) -> Result<K::Reply, Error> {
        self.sent(&waiting.round(ms), Duration::from_millis(ms) + self.silence)
    }

    fn sent<K: Command>(&mut self, call: &Call<K>, timeout: Duration) -> Result<K::Reply, Error> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.client.open(self.silence)?,
        };
        link.set_timeout(timeout)?;
        let reply = call.query(&mut *link as &mut dyn ConnectionLike);
        if !matches!(&reply, Err(error) if error.broke()) {
            self.link = Some(link);
        }
        reply
    }
}

pub(crate) fn round_ms(wanted_ms: u64, waited: Duration) -> u64 {
    let waited_ms = waited.as_millis() as u64;
    if wanted_ms == 0 { LONGEST_ROUND_MS } else { wanted_ms.saturating_sub(waited_ms).clamp(1, LONGEST_ROUND_MS) }
}

/// A reply that may say that nothing came in time.
pub trait Nothing {
    /// Whether it says so.
    fn is_nothing(&self) -> bool;
}

impl<T> Nothing for Vec<T> {
    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Nothing for Option<T> {
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}
