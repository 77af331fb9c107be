//! The connections to the server that is watched: one that waits for samples, one that asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};

use super::id::name_of;
use crate::store;

/// How long a connection may take until it stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a question may take: past that the server counts as lost.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a question has no answer.
#[derive(Clone, Debug)]
pub enum AskError {
    Away(String),
    Missing(String),
    Refused(String),
}

impl AskError {
    /// What was wrong, in the server's words where it said something.
    pub fn text(&self) -> &str {
        match self {
            AskError::Away(text) | AskError::Missing(text) | AskError::Refused(text) => text,
        }
    }

    /// The same, with the name of the store where the store is missing.
    pub fn of_store(self, key: &[u8]) -> AskError {
        match self {
            AskError::Missing(text) if text.starts_with("NOSTORE") => {
                AskError::Missing(format!("no store {}", name_of(key)))
            }
            other => other,
        }
    }
}

impl From<RedisError> for AskError {
    fn from(error: RedisError) -> AskError {
        let loading = error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading);
        match store::code(&error) {
            _ if store::reply_was_lost(&error) || loading => AskError::Away(said(&error)),
            "NOSTORE" | "NOORDER" => AskError::Missing(said(&error)),
            _ => AskError::Refused(said(&error)),
        }
    }
}

/// An error as the server said it, its code first; what the client says where the server said nothing.
pub fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// A reply of a pipeline that ignores errors: each command's own outcome.
pub fn outcome(reply: Value) -> Result<Value, RedisError> {
    match reply {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

/// Carries out a pipeline whose commands may fail one by one. Fails when the connection fails.
pub async fn ask_all(
    connection: &mut MultiplexedConnection,
    mut pipeline: Pipeline,
) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
    let replies: Vec<Value> = pipeline.ignore_errors().query_async(connection).await?;
    Ok(replies.into_iter().map(outcome).collect())
}

/// The way to the server.
#[derive(Debug)]
pub struct Link {
    client: Client,
    url: String,
    asking: Mutex<Option<MultiplexedConnection>>,
}

impl Link {
    /// A link to the server at `url`; connects to nobody yet. Fails when `url` is not the address of a server.
    pub fn to(url: &str) -> Result<Link> {
        let client = Client::open(url)
            .with_context(|| format!("the address of a server must be redis://host:port, got '{}'", shown(url)))?;
        let info = client.get_connection_info();
        let db = match info.redis_settings().db() {
            0 => String::new(),
            db => format!("/{db}"),
        };
        let url = match info.addr() {
            redis::ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
            address => format!("redis://{address}{db}"),
        };
        Ok(Link { client, url, asking: Mutex::new(None) })
    }

    /// Where it leads, without a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A new connection whose commands may take this long. Fails when nobody answers.
    pub async fn connect(&self, answer_timeout: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_timeout));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// From now on everybody asks over this connection; `None`: the server is lost.
    pub fn set(&self, connection: Option<MultiplexedConnection>) {
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// The connection to ask over. Fails while the server is lost.
    pub fn ask(&self) -> Result<MultiplexedConnection, AskError> {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).clone();
        asking.ok_or_else(|| AskError::Away(format!("{} does not answer", self.url)))
    }
}

/// What was given as an address, without what could be its password.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let shown = |url| Link::to(url).map(|link| link.url).map_err(|error| error.to_string());
        assert_eq!(shown("redis://user:secret@shop:7000/2").expect("an address"), "redis://shop:7000/2");
        assert_eq!(shown("redis://127.0.0.1").expect("an address"), "redis://127.0.0.1:6379");
        let wrong = shown("http://user:secret@shop").expect_err("no address of a server");
        assert!(!wrong.contains("secret") && wrong.contains("shop"), "{wrong}");
    }
}
