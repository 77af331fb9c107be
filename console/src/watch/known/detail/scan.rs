//! What the parts of a detail share: how a store is asked, and the search through its keys.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, ToRedisArgs, Value, cmd, pipe};

use crate::watch::known::ask::{AskError, ask_all};
use crate::watch::known::id::Named;
use crate::watch::known::model::Key;
use crate::watch::known::reply::{self, Pairs};

/// An order's id.
pub type OrderRef = Named;

/// A store, and the connection over which it is asked.
pub struct Asker<'a> {
    pub connection: &'a mut MultiplexedConnection,
    pub key: &'a Key,
}

impl Asker<'_> {
    pub fn cmd(&self, name: &str) -> Cmd {
        cmd(name).arg(&**self.key).clone()
    }

    /// What a command says of the store.
    pub async fn map(&mut self, name: &str) -> Result<Pairs<Value>, AskError> {
        reply::map(name, self.cmd(name).query_async(self.connection).await?)
    }

    /// Sends a command once with each of the arguments, all in one pipeline.
    pub async fn ask_each<T: ToRedisArgs>(
        &mut self,
        name: &str,
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let mut questions = pipe();
        for argument in arguments {
            questions.cmd(name).arg(&**self.key).arg(argument);
        }
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        ask_all(self.connection, questions).await
    }
}

/// Orders read in one pipeline.
const ORDERS_PER_PIPELINE: usize = 100;

/// An order's id, and what ORDER.GET says of it.
pub type Order = (Vec<u8>, Pairs<Value>);

/// Those of the orders that are still there, `most` at most.
pub async fn read_orders(asker: &mut Asker<'_>, ids: BTreeSet<Vec<u8>>, most: usize) -> Result<Vec<Order>, AskError> {
    let ids: Vec<Vec<u8>> = ids.into_iter().take(most).collect();
    let mut orders = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ORDERS_PER_PIPELINE) {
        let replies = asker.ask_each("ORDER.GET", ids).await?;
        // One that has ended meanwhile, and was forgotten, is no error.
        let order = |(id, reply): (&Vec<u8>, Result<_, _>)| Some((id.clone(), Pairs::of(reply.ok()?)?));
        orders.extend(ids.iter().zip(replies).filter_map(order));
    }
    Ok(orders)
}

/// A search by INV.SCAN or ORDER.SCAN: where it ended, and what it found.
#[derive(Debug, Default)]
pub struct Search {
    pub cursor: u64,
    pub found: BTreeSet<Vec<u8>>,
}

impl Search {
    /// Goes on for `pages` commands, or until it has found `most` or is through the store.
    pub async fn go_on(
        &mut self,
        asker: &mut Asker<'_>,
        (command, options): (&str, &[&str]),
        pages: usize,
        most: usize,
    ) -> Result<(), RedisError> {
        for _ in 0..pages {
            let mut scan = asker.cmd(command);
            let (next, found): (u64, Vec<Vec<u8>>) =
                scan.arg(self.cursor).arg(options).query_async(asker.connection).await?;
            self.found.extend(found);
            self.cursor = next;
            if next == 0 || self.found.len() >= most {
                break;
            }
        }
        Ok(())
    }
}
