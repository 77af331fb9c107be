//! What the parts of a detail share: how a store is asked, and the search through its keys.

use std::collections::BTreeSet;

use redis::{Cmd, Pipeline, RedisError, ToRedisArgs, Value, cmd, pipe};

use crate::connect::SlotConnection;
use crate::watch::known::ask::{AskError, ask_all, outcome};
use crate::watch::known::id::Named;
use crate::watch::known::model::Key;
use crate::watch::known::reply::{self, Pairs};

/// An order's id.
pub type OrderRef = Named;

/// A store, and the connection over which it is asked.
pub struct Asker<'a> {
    pub connection: &'a mut SlotConnection,
    pub key: &'a Key,
}

/// A command on a store.
pub fn key_cmd(name: &str, key: &Key) -> Cmd {
    cmd(name).arg(&**key).clone()
}

impl Asker<'_> {
    pub fn cmd(&self, name: &str) -> Cmd {
        key_cmd(name, self.key)
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

/// Questions that are answered at one moment, so that their answers agree with each other.
#[derive(Clone, Debug, Default)]
pub struct Questions(Pipeline);

impl Questions {
    pub fn add(&mut self, question: Cmd) {
        self.0.add_command(question);
    }

    /// Asks for each of the orders, for [`Answers::orders`].
    pub fn add_orders(&mut self, key: &Key, ids: &[Vec<u8>]) {
        ids.iter().for_each(|id| self.add(key_cmd("ORDER.GET", key).arg(id).clone()));
    }

    /// The answers in the order of the questions. A user who may not use MULTI, or may not ask one of the questions,
    /// gets those that the server gives one by one; `apart` remembers that.
    pub async fn ask(self, connection: &mut SlotConnection, apart: &mut bool) -> Result<Answers, RedisError> {
        if !*apart {
            let mut replies = ask_all(connection, self.at_once()).await?;
            *apart = replies.iter().any(is_forbidden);
            if let Some(Ok(Value::Array(answers))) = replies.pop() {
                return Ok(Answers(answers.into_iter().map(outcome).collect::<Vec<_>>().into_iter()));
            }
            // Whoever may use MULTI and not EXEC is still in the transaction. Otherwise it is an error, and no harm.
            let _ = cmd("DISCARD").exec_async(connection).await;
        }
        Ok(Answers(ask_all(connection, self.0).await?.into_iter()))
    }

    /// All of them in a transaction. Not in one of the client's own: where MULTI is refused, redis-rs 1.8.1 counts the
    /// replies wrongly.
    fn at_once(&self) -> Pipeline {
        let mut all = pipe();
        all.cmd("MULTI");
        self.0.cmd_iter().for_each(|question| {
            all.add_command(question.clone());
        });
        all.cmd("EXEC");
        all
    }
}

fn is_forbidden(reply: &Result<Value, RedisError>) -> bool {
    reply.as_ref().is_err_and(|error| error.code() == Some("NOPERM"))
}

/// Answers to [`Questions`]: each is taken once, in the order of the questions.
#[derive(Debug)]
pub struct Answers(std::vec::IntoIter<Result<Value, RedisError>>);

impl Answers {
    /// The next one. Fails when the server refused it.
    pub fn take(&mut self) -> Result<Value, AskError> {
        let none = || AskError::Refused("the server left an answer out".to_string());
        Ok(self.0.next().ok_or_else(none)??)
    }

    /// The next one, or `instead` of one that was refused: an outsider's key, a user's rights, an older module.
    pub fn take_or<T>(&mut self, read: impl FnOnce(Value) -> T, instead: T) -> Result<T, AskError> {
        match self.take() {
            Ok(reply) => Ok(read(reply)),
            Err(AskError::Refused(_)) => Ok(instead),
            Err(error) => Err(error),
        }
    }

    pub fn map(&mut self, command: &str) -> Result<Pairs<Value>, AskError> {
        reply::map(command, self.take()?)
    }

    /// The answers about these orders. One that has ended meanwhile, and was forgotten, is no error.
    pub fn orders(&mut self, ids: &[Vec<u8>]) -> Vec<Order> {
        ids.iter().filter_map(|id| order_of(id, self.take().ok()?)).collect()
    }
}

/// Orders read in one pipeline.
const ORDERS_PER_PIPELINE: usize = 100;

/// An order's id, and what ORDER.GET says of it.
pub type Order = (Vec<u8>, Pairs<Value>);

fn order_of(id: &[u8], reply: Value) -> Option<Order> {
    Some((id.to_vec(), Pairs::of(reply)?))
}

/// Those of the orders that are still there, `most` at most.
pub async fn read_orders(asker: &mut Asker<'_>, ids: BTreeSet<Vec<u8>>, most: usize) -> Result<Vec<Order>, AskError> {
    let ids: Vec<Vec<u8>> = ids.into_iter().take(most).collect();
    let mut orders = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ORDERS_PER_PIPELINE) {
        let replies = asker.ask_each("ORDER.GET", ids).await?;
        // One that has ended meanwhile, and was forgotten, is no error.
        orders.extend(ids.iter().zip(replies).filter_map(|(id, reply)| order_of(id, reply.ok()?)));
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
