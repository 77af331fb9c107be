//! Asynchronous connections that nothing else uses, for calls that wait.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisError, RedisResult};

use crate::call::{Call, Command, Waiting};
use crate::error::Error;
use crate::link::{LONGEST_ROUND_MS, Nothing, SILENCE, round_ms};

/// How often a call follows a node of a cluster to another one.
const REDIRECTIONS: usize = 5;

/// A [`Waiter`](crate::Waiter) on asynchronous connections, for Tokio. In a cluster, the client is one for any node:
/// calls follow to the node that has the store.
pub struct AsyncWaiter {
    client: Client,
    silence: Duration,
}

impl AsyncWaiter {
    /// Connects for each call.
    pub fn new(client: Client) -> Self {
        AsyncWaiter { client, silence: SILENCE }
    }

    /// How long a reply may take beyond the time that its call waits; 5 seconds if it is not said.
    pub fn silence(self, silence: Duration) -> Self {
        AsyncWaiter { silence, ..self }
    }

    /// Waits for what the call waits for, in rounds. The connection is closed when the future is dropped. An order may
    /// have been handed out by then: after a claim that was dropped, give it back with
    /// [`order_yield`](crate::order_yield), or it waits for the end of its lease.
    pub async fn wait<K: Command>(&self, waiting: &Waiting<K>) -> Result<K::Reply, Error>
    where
        K::Reply: Nothing,
    {
        let mut own = self.connect(Duration::from_millis(LONGEST_ROUND_MS) + self.silence).await?;
        let start = Instant::now();
        loop {
            let round_ms = round_ms(waiting.ms, start.elapsed());
            let reply = own.sent(&waiting.round(round_ms)).await?;
            if !reply.is_nothing() || (waiting.ms > 0 && start.elapsed() >= Duration::from_millis(waiting.ms)) {
                return Ok(reply);
            }
        }
    }

    /// Sends a call that does not wait, but may take long: an audit of very many orders.
    pub async fn ask<K: Command>(&self, call: &Call<K>) -> Result<K::Reply, Error> {
        self.connect(self.silence).await?.sent(call).await
    }

    async fn connect(&self, timeout: Duration) -> RedisResult<Own> {
        Own::to(self.client.clone(), timeout).await
    }
}

/// A connection that nothing else uses.
struct Own {
    connection: MultiplexedConnection,
    client: Client,
    timeout: Duration,
}

impl Own {
    async fn to(client: Client, timeout: Duration) -> RedisResult<Own> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(timeout));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Own { connection, client, timeout })
    }

    /// Sends a call, to another node if this one names it: it has done nothing then.
    async fn sent<K: Command>(&mut self, call: &Call<K>) -> Result<K::Reply, Error> {
        for _ in 0..REDIRECTIONS {
            match call.query_async(&mut self.connection).await {
                Err(Error::Redis(error)) if error.redirect_node().is_some() => self.follow(&error).await?,
                done => return done,
            }
        }
        call.query_async(&mut self.connection).await
    }

    async fn follow(&mut self, error: &RedisError) -> RedisResult<()> {
        let info = self.client.get_connection_info().clone();
        let Some(node) = error.redirect_node().and_then(|(node, _)| address(info.addr(), node)) else {
            return Err(error.clone());
        };
        *self = Own::to(Client::open(info.set_addr(node))?, self.timeout).await?;
        if error.code() == Some("ASK") { redis::cmd("ASKING").exec_async(&mut self.connection).await } else { Ok(()) }
    }
}

/// The address of another node, `host:port`, to which one connects as to this one. Without a host it is the same.
fn address(known: &ConnectionAddr, node: &str) -> Option<ConnectionAddr> {
    let (host, port) = node.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host_or = |known: &str| if host.is_empty() { known } else { host }.to_owned();
    match known {
        ConnectionAddr::Tcp(known, _) => Some(ConnectionAddr::Tcp(host_or(known), port)),
        ConnectionAddr::TcpTls { host: known, insecure, tls_params, .. } => {
            let (host, insecure, tls_params) = (host_or(known), *insecure, tls_params.clone());
            Some(ConnectionAddr::TcpTls { host, port, insecure, tls_params })
        }
        _ => None,
    }
}
