//! Errors that pass: the same command, sent again, is answered by the server that has the store then.

use redis::{RedisError, Value};

use crate::store;

/// Codes of a server that does not have the store, or not any more, or not yet; or that takes nothing for the moment.
const CODES: [&str; 10] =
    ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED", "LOADING", "BUSY"];

/// Whether the same command may well be answered in a moment: the connection was lost, or the server is loading, is
/// failing over or gives the store away.
pub fn may_pass(error: &RedisError) -> bool {
    store::reply_was_lost(error) || CODES.contains(&store::code(error))
}

/// The error that a reply is: a connection hands it over like any other reply.
pub fn error_of(reply: &Value) -> Option<RedisError> {
    let Value::ServerError(error) = reply else { return None };
    Some(error.clone().into())
}

/// What a connection hands over.
pub trait Replies {
    /// The first error that may pass.
    fn passing(&self) -> Option<RedisError>;
}

impl Replies for Value {
    fn passing(&self) -> Option<RedisError> {
        error_of(self).filter(may_pass)
    }
}

impl Replies for Vec<Value> {
    fn passing(&self) -> Option<RedisError> {
        self.iter().find_map(Replies::passing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_a_refusal() {
        let reply = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("a reply");
        for code in CODES {
            assert_eq!(reply(&format!("{code} text")).passing().as_ref().map(store::code), Some(code));
        }
        assert!(reply("OUTOFSTOCK sku-1 wanted 2 available 1").passing().is_none());
        assert!(vec![Value::Okay, reply("ASK 1 a:1")].passing().is_some());
        assert!(vec![Value::Okay, reply("ERR no")].passing().is_none());
    }
}
