//! What the parts of a detail share: a step through the keys of a store, and how an order is referred to.

use redis::aio::MultiplexedConnection;
use serde::Serialize;

use crate::watch::known::id::{id_of, name_of};
use crate::watch::known::link::AskError;
use crate::watch::known::model::Key;

/// An order's id, for URLs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderRef {
    /// Percent-encoded.
    pub id: String,
    /// For people.
    pub name: String,
}

impl OrderRef {
    /// Of the id's bytes.
    pub fn of(order: &[u8]) -> OrderRef {
        OrderRef { id: id_of(order), name: name_of(order) }
    }
}

/// One step of INV.SCAN or ORDER.SCAN: the next cursor, and what was found.
pub async fn scan(
    connection: &mut MultiplexedConnection,
    command: &str,
    key: &Key,
    cursor: u64,
    rest: &[&str],
) -> Result<(u64, Vec<Vec<u8>>), AskError> {
    let mut scan = redis::cmd(command);
    scan.arg(&**key).arg(cursor).arg(rest);
    Ok(scan.query_async(connection).await?)
}
