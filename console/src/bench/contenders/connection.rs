//! A connection to a Redis server, for many of them in one thread.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use combine::parser::combinator::AnySendSyncPartialState;
use combine::stream::{Decoder, PointerOffset};
use redis::{Cmd, Value, parse_redis_value_async};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::drive::{Connect, Session};
use crate::bench::suite::terms::Workload;
use crate::bench::suite::work::{Expected, Order, Work};
use crate::bench::workload::Held;

/// The code of a refusal because of stock: the module's, and the scripts'.
const OUT_OF_STOCK: &str = "OUTOFSTOCK";

/// A connection that sends commands in pipelines.
pub struct Connection {
    stream: TcpStream,
    /// Holds what was read and belongs to later replies.
    decoder: Decoder<AnySendSyncPartialState, PointerOffset<[u8]>>,
    unsent: Vec<u8>,
    commands: usize,
}

impl Connection {
    /// Connects to 127.0.0.1:`port`. Fails when nobody answers.
    pub async fn open(port: u16) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting to redis-server")?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, decoder: Decoder::new(), unsent: Vec::new(), commands: 0 })
    }

    /// Adds a command to the next pipeline.
    pub fn push(&mut self, command: &Cmd) {
        command.write_packed_command(&mut self.unsent);
        self.commands += 1;
    }

    /// Sends the pipeline and waits for all replies, errors among them. Fails when the server is gone.
    pub async fn exchange(&mut self) -> Result<Vec<Value>> {
        self.stream.write_all(&self.unsent).await.context("sending commands")?;
        self.unsent.clear();
        let mut replies = Vec::with_capacity(self.commands);
        for _ in 0..std::mem::take(&mut self.commands) {
            replies.push(parse_redis_value_async(&mut self.decoder, &mut self.stream).await?);
        }
        Ok(replies)
    }

    /// As [`Connection::exchange`], where no reply may be an error.
    pub async fn succeed(&mut self) -> Result<Vec<Value>> {
        let replies = self.exchange().await?;
        replies.into_iter().map(|reply| Ok(reply.extract_error()?)).collect()
    }
}

/// The commands of a contender that takes an order in one.
pub trait Commands: Clone + Send + Sync {
    fn place(&self, work: Work, order: &Order) -> Cmd;

    /// What gives a worker up to `count` orders.
    fn claim(&self, count: u64) -> Cmd;

    /// The orders in the reply to a claim. Fails when it is something else.
    fn held(&self, reply: Value) -> Result<Vec<Held>> {
        Held::all(reply)
    }

    fn complete(&self, held: &Held) -> Vec<Cmd>;
}

/// Places orders, and takes them through their whole lives if that is the work.
pub struct Pipelined<C> {
    pub connection: Connection,
    pub commands: C,
    pub work: Work,
}

impl<C: Commands> Session for Pipelined<C> {
    async fn exchange(&mut self, numbers: Range<u64>) -> Result<()> {
        let count = numbers.end - numbers.start;
        for n in numbers {
            self.connection.push(&self.commands.place(self.work, &self.work.order(n)));
        }
        for reply in self.connection.exchange().await? {
            check(self.work, reply)?;
        }
        match self.work.workload {
            Workload::Life => self.work(count).await,
            _ => Ok(()),
        }
    }
}

impl<C: Commands> Pipelined<C> {
    /// Claims as many orders and completes them.
    async fn work(&mut self, count: u64) -> Result<()> {
        self.connection.push(&self.commands.claim(count));
        let reply = self.connection.succeed().await?.pop().context("a claim without a reply")?;
        let held = self.commands.held(reply)?;
        ensure!(held.len() as u64 == count, "{} of {count} orders were handed out", held.len());
        for held in &held {
            self.commands.complete(held).iter().for_each(|command| self.connection.push(command));
        }
        self.connection.succeed().await.map(drop)
    }
}

/// Whether the reply to an order is what the work wants.
pub fn check(work: Work, reply: Value) -> Result<()> {
    match (work.expected(), reply) {
        (Expected::Refused, Value::ServerError(error)) if error.code() == OUT_OF_STOCK => Ok(()),
        (Expected::Refused, reply) => bail!("an order was to be refused, the reply is {reply:?}"),
        (Expected::Placed, Value::Nil) => bail!("an order got no reply"),
        (Expected::Placed, reply) => Ok(reply.extract_error().map(drop)?),
    }
}

/// A kind of client of a Redis server.
pub trait Client: Clone + Send + Sync {
    type Session: Session;

    fn session(&self, connection: Connection, work: Work) -> Self::Session;

    /// The commands that make the stock in an empty server.
    fn stock(&self, work: Work) -> impl Iterator<Item = Cmd>;

    /// The streams in which orders wait.
    fn queues(&self) -> Vec<String>;
}

/// Connects clients to their servers, in turns.
pub struct Connector<C> {
    /// Each with the port of its server on 127.0.0.1.
    pub clients: Vec<(u16, C)>,
    pub work: Work,
}

impl<C: Client> Connect for Connector<C> {
    type Session = C::Session;

    async fn connect(&self, at: usize) -> Result<C::Session> {
        let (port, client) = &self.clients[at % self.clients.len()];
        Ok(client.session(Connection::open(*port).await?, self.work))
    }
}
