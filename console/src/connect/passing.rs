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

/// The first error among replies that may pass.
pub fn first_passing(replies: &[Value]) -> Option<RedisError> {
    replies.iter().filter_map(error_of).find(may_pass)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_a_refusal() {
        let reply = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("a reply");
        for code in CODES {
            let replies = [Value::Okay, reply(&format!("{code} text"))];
            assert_eq!(first_passing(&replies).as_ref().map(store::code), Some(code));
        }
        assert!(first_passing(&[reply("OUTOFSTOCK sku-1 wanted 2 available 1"), reply("ERR no")]).is_none());
    }
}
