//! A call on its way: what it says, and what its reply is read as.

use std::marker::PhantomData;

use redis::{Cmd, ConnectionLike, ToRedisArgs, Value};
use serde::Serialize;

use crate::Error;

/// A command of Holdfast.
pub trait Command {
    /// Its name.
    const NAME: &'static str;
    /// What its reply is.
    type Reply;
    /// Reads the reply.
    fn read(reply: Value) -> Result<Self::Reply, Error>;
}

/// A call of a command, made by the function of its name; methods add its options.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call<K> {
    options: Vec<Vec<u8>>,
    /// What has to come last: items take all that follows them.
    items: Vec<Vec<u8>>,
    problem: Option<Error>,
    has_ref: bool,
    has_count: bool,
    kind: PhantomData<K>,
}

impl<K> Clone for Call<K> {
    fn clone(&self) -> Self {
        let (options, items, problem) = (self.options.clone(), self.items.clone(), self.problem.clone());
        Call { options, items, problem, has_ref: self.has_ref, has_count: self.has_count, kind: PhantomData }
    }
}

impl<K: Command> Call<K> {
    pub(crate) fn new() -> Self {
        let (options, items) = (Vec::new(), Vec::new());
        Call { options, items, problem: None, has_ref: false, has_count: false, kind: PhantomData }
    }

    pub(crate) fn arg<A: ToRedisArgs>(mut self, arg: A) -> Self {
        self.options.extend(arg.to_redis_args());
        self
    }

    /// A value as JSON, which is sent as `form` makes it.
    pub(crate) fn json(
        mut self,
        word: &str,
        value: &(impl Serialize + ?Sized),
        form: fn(String) -> serde_json::Result<String>,
    ) -> Self {
        match serde_json::to_string(value).and_then(form) {
            Ok(text) => self.arg(word).arg(text),
            Err(error) => {
                self.problem = Some(Error::Content(format!("{word} must have a JSON: {error}")));
                self
            }
        }
    }

    pub(crate) fn items_of<S: AsRef<str>>(mut self, items: impl IntoIterator<Item = (S, u64)>) -> Self {
        self.items.push(b"ITEMS".to_vec());
        let before = self.items.len();
        for (sku, qty) in items {
            self.items.extend([sku.as_ref().as_bytes().to_vec(), qty.to_string().into_bytes()]);
        }
        if self.items.len() == before {
            let message = "ERR ITEMS must name a SKU, such as [(\"mug\", 2)], got none";
            self.problem = Some(Error::BadArgument(message.to_owned()));
        }
        self
    }

    /// The same of an order with this id, which may be no UTF-8; the order comes after the store.
    pub(crate) fn of_order(mut self, id: &[u8]) -> Self {
        self.options[1] = id.to_vec();
        self
    }

    pub(crate) fn last(mut self, word: &str, arg: &str) -> Self {
        self.items.extend([word.as_bytes().to_vec(), arg.as_bytes().to_vec()]);
        self
    }

    /// With a REF of its own, unless it has one: it counts once then, even if it is sent again.
    pub(crate) fn with_ref(self) -> Self {
        if self.has_ref { self } else { self.named_ref(&unique_id()) }
    }

    pub(crate) fn named_ref(self, id: &str) -> Self {
        Call { has_ref: true, ..self.arg("REF").arg(id) }
    }

    pub(crate) fn named_count(self, count: u64) -> Self {
        Call { has_count: true, ..self.arg("COUNT").arg(count) }
    }

    /// With this COUNT, unless it has one.
    pub(crate) fn counted(self, count: u64) -> Self {
        if self.has_count { self } else { self.named_count(count) }
    }

    /// The cursor comes after the store.
    pub(crate) fn go_on_from(&mut self, cursor: &str) {
        self.options[1] = cursor.as_bytes().to_vec();
    }

    /// The command as redis-rs sends it, for a pipeline.
    pub fn cmd(&self) -> Result<Cmd, Error> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let mut cmd = redis::cmd(K::NAME);
        self.options.iter().chain(&self.items).for_each(|arg| {
            cmd.arg(arg);
        });
        Ok(cmd)
    }

    /// Sends it on a connection.
    pub fn query(&self, connection: &mut dyn ConnectionLike) -> Result<K::Reply, Error> {
        K::read(self.cmd()?.query(connection)?)
    }

    /// Sends it on an asynchronous connection.
    #[cfg(feature = "aio")]
    pub async fn query_async(&self, connection: &mut impl redis::aio::ConnectionLike) -> Result<K::Reply, Error> {
        K::read(self.cmd()?.query_async(connection).await?)
    }
}

/// A call that waits on the server. It cannot be sent on a connection that others use, nor on one that gives up before
/// the server does: see [`Waiter`](crate::Waiter).
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Waiting<K> {
    pub(crate) call: Call<K>,
    pub(crate) word: &'static str,
    /// 0: without limit.
    pub(crate) ms: u64,
}

impl<K: Command> Waiting<K> {
    /// All of it as one call, for those who have a connection of their own that gives up later than the server.
    pub fn once(&self) -> Call<K> {
        self.round(self.ms)
    }

    /// One round of it, on the server.
    pub(crate) fn round(&self, ms: u64) -> Call<K> {
        self.call.clone().arg(self.word).arg(ms)
    }
}

/// An id that nothing else has: 128 bits from the system's randomness.
pub(crate) fn unique_id() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
