//! A connection for a thread that waits for each reply, and for the server that holds the store.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::{ConnectionAddr, ConnectionLike, RedisError, RedisResult, Value};

use super::asking;
use super::home::Home;
use super::passing::{Replies, may_pass};
use super::way::{CONNECT_TIMEOUT, lost};
use crate::store;

/// How long it looks for the store again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it waits for a store whose keys are on two nodes, and for its audit, until the slot has moved.
const MOVE_PATIENCE: Duration = Duration::from_secs(120);
/// How long a server may take for its reply until it is asked whether another one has the store.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// A command whose reply is lost is sent again, to whoever holds the store then: all that is sent over it may be
/// carried out twice without harm.
pub struct Connection {
    home: Home,
    owner: Option<Open>,
    /// To the node that the store is on its way to.
    asked: Option<Open>,
}

/// A connection, and the server it leads to.
struct Open {
    at: ConnectionAddr,
    connection: redis::Connection,
}

/// Commands as they are sent.
struct Request {
    commands: Vec<u8>,
    /// How many.
    count: usize,
}

impl Request {
    fn send(&self, connection: &mut redis::Connection) -> RedisResult<Vec<Value>> {
        connection.req_packed_commands(&self.commands, 0, self.count)
    }

    /// Sends them to a node that the store is on its way to.
    fn send_asking(&self, connection: &mut redis::Connection) -> RedisResult<Vec<Value>> {
        let replies = connection.req_packed_commands(&asking::packed(&self.commands), 0, 2 * self.count)?;
        Ok(asking::without_asking(replies))
    }
}

impl Connection {
    /// Connects to the server that holds the store, or would. Fails when it cannot be reached.
    pub fn open(home: &Home) -> Result<Connection> {
        let mut connection = Connection { home: home.clone(), owner: None, asked: None };
        connection.owner = Some(connection.find().with_context(|| format!("connecting to {}", home.way.shown()))?);
        Ok(connection)
    }

    fn find(&self) -> RedisResult<Open> {
        self.connect(wait_for(self.home.find())?)
    }

    fn connect(&self, at: ConnectionAddr) -> RedisResult<Open> {
        let client = self.home.way.client(&at, self.get_db())?;
        Ok(Open { connection: client.get_connection_with_timeout(CONNECT_TIMEOUT)?, at })
    }

    /// Sends until there are replies of the server that holds the store, or patience ends.
    fn until_answered(&mut self, commands: &[u8], count: usize) -> RedisResult<Vec<Value>> {
        let (began, request) = (Instant::now(), Arc::new(Request { commands: commands.to_vec(), count }));
        loop {
            match self.ask(&request) {
                Err(error) if began.elapsed() < patience(&error) => std::thread::sleep(INTERVAL),
                replies => return replies,
            }
        }
    }

    /// Asks the store's owner, and the node that it names, if it has given the store away already.
    fn ask(&mut self, request: &Arc<Request>) -> RedisResult<Vec<Value>> {
        let owner = match self.owner.take().filter(|open| !self.home.has_left(&open.at)) {
            Some(open) => open,
            // Whatever the reason, sentinels that disagree among them: it may pass.
            None => self.find().map_err(|error| lost(&error.to_string()))?,
        };
        let at = owner.at.clone();
        let (open, replies) = self.answers(owner, &at, request, Request::send)?;
        // One of a pipeline that another server should give makes all go again.
        let Some(error) = replies.passing() else {
            self.owner = Some(open);
            return Ok(replies);
        };
        let node = self.home.way.asked(&error, &at).ok_or(error)?;
        self.owner = Some(open);
        let asked = match self.asked.take().filter(|open| open.at == node) {
            Some(open) => open,
            None => self.connect(node)?,
        };
        let (open, replies) = self.answers(asked, &at, request, Request::send_asking)?;
        self.asked = Some(open);
        replies.passing().map_or(Ok(replies), Err)
    }

    /// Sends, and waits for the replies as long as the store's owner is this one. A server that stands still, or takes
    /// no writes before a planned failover, may never answer: so the wait is a thread's, which is left to it then.
    fn answers(
        &self,
        open: Open,
        owner: &ConnectionAddr,
        request: &Arc<Request>,
        send: fn(&Request, &mut redis::Connection) -> RedisResult<Vec<Value>>,
    ) -> RedisResult<(Open, Vec<Value>)> {
        let ((tell, told), Open { at, mut connection }, request) = (channel(), open, request.clone());
        std::thread::spawn(move || {
            let replies = send(&request, &mut connection);
            // Nobody waits for it any more: the connection ends here.
            let _ = tell.send((connection, replies));
        });
        loop {
            match told.recv_timeout(SILENCE) {
                Ok((connection, replies)) => return Ok((Open { at, connection }, replies?)),
                Err(RecvTimeoutError::Timeout) if !self.home.has_left(owner) => {}
                Err(_) => return Err(lost("another server has the store now")),
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let replies = self.until_answered(command, 1)?;
        replies.into_iter().next().ok_or_else(|| lost("the server gave no reply"))
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        // No transaction is sent: each command has its reply.
        Ok(self.until_answered(commands, offset + count)?.into_iter().skip(offset).collect())
    }

    fn get_db(&self) -> i64 {
        self.home.way.db().unwrap_or(0)
    }

    fn check_connection(&mut self) -> bool {
        self.owner.as_mut().is_some_and(|open| open.connection.check_connection())
    }

    fn is_open(&self) -> bool {
        self.owner.as_ref().is_some_and(|open| open.connection.is_open())
    }
}

/// For how long a command that got this error is sent again.
fn patience(error: &RedisError) -> Duration {
    match store::code(error) {
        "TRYAGAIN" => MOVE_PATIENCE,
        _ if may_pass(error) => PATIENCE,
        _ => Duration::ZERO,
    }
}

/// Waits for a future on a thread of its own: the caller may be a task already.
fn wait_for<T: Send>(work: impl Future<Output = RedisResult<T>> + Send) -> RedisResult<T> {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| Err(lost("the search for the store ended")))
}
