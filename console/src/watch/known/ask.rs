//! A question to a server: a reply, or why there is none.

use redis::{ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};

use crate::connect::SlotConnection;
use crate::store;

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
    pub fn of_store(self, name: &str) -> AskError {
        match self {
            AskError::Missing(text) if text.starts_with("NOSTORE") => AskError::Missing(format!("no store {name}")),
            other => other,
        }
    }
}

impl From<RedisError> for AskError {
    fn from(error: RedisError) -> AskError {
        let loading = error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading);
        match store::code(&error) {
            _ if store::reply_was_lost(&error) || loading => AskError::Away(said(&error)),
            "NOSTORE" | "NOORDER" | "NOHOLD" => AskError::Missing(said(&error)),
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
    connection: &mut SlotConnection,
    mut pipeline: Pipeline,
) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
    let replies: Vec<Value> = pipeline.ignore_errors().query_async(connection).await?;
    Ok(replies.into_iter().map(outcome).collect())
}
