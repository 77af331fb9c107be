//! A connection to a node of a cluster, that goes on to the node which a slot is on its way to.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ConnectionAddr, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::Mutex;

use super::asking;
use super::passing::error_of;
use super::way::{Way, lost};

/// A connection to a server. Where that is a node of a cluster and says of a command that another node has the key
/// already (ASK), the other one is asked. Clones share the connections.
#[derive(Clone)]
pub struct SlotConnection {
    way: Arc<Way>,
    db: i64,
    answer_timeout: Duration,
    pub at: ConnectionAddr,
    connection: MultiplexedConnection,
    /// To the node that was asked last.
    asked: Arc<Mutex<Option<(ConnectionAddr, MultiplexedConnection)>>>,
}

impl std::fmt::Debug for SlotConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SlotConnection").field(&self.at).finish()
    }
}

impl SlotConnection {
    /// Connects to a server, whose commands may take this long. Fails when it does not answer.
    pub async fn open(way: &Arc<Way>, at: ConnectionAddr, db: i64, answer_timeout: Duration) -> RedisResult<Self> {
        let connection = way.open(&at, db, answer_timeout).await?;
        Ok(SlotConnection { way: way.clone(), db, answer_timeout, at, connection, asked: Arc::default() })
    }

    /// Sends commands, and those that another node should be asked for to that one.
    async fn send(&mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut replies = self.connection.req_packed_commands(commands, 0, commands.len()).await?;
        let asked = |reply: &Value| self.way.asked(&error_of(reply)?, &self.at);
        let places: Vec<usize> = (0..replies.len()).filter(|place| asked(&replies[*place]).is_some()).collect();
        let Some(node) = places.first().and_then(|place| asked(&replies[*place])) else { return Ok(replies) };
        // Where that one does not answer, the owner's word stands: this connection is not the one that is lost.
        let Ok(answers) = self.ask(&node, &asking::pipeline(commands, &places)).await else { return Ok(replies) };
        for (place, answer) in places.into_iter().zip(asking::without_asking(answers)) {
            replies[place] = answer;
        }
        Ok(replies)
    }

    async fn ask(&self, node: &ConnectionAddr, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut connection = self.connection_to(node).await?;
        let replies = connection.req_packed_commands(commands, 0, commands.len()).await;
        if replies.is_err() {
            *self.asked.lock().await = None;
        }
        replies
    }

    async fn connection_to(&self, node: &ConnectionAddr) -> Result<MultiplexedConnection, RedisError> {
        let mut asked = self.asked.lock().await;
        if let Some((_, connection)) = asked.as_ref().filter(|(at, _)| at == node) {
            return Ok(connection.clone());
        }
        let connection = self.way.open(node, self.db, self.answer_timeout).await?;
        *asked = Some((node.clone(), connection.clone()));
        Ok(connection)
    }
}

impl ConnectionLike for SlotConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let replies = self.send(redis::pipe().add_command(command.clone())).await?;
            replies.into_iter().next().ok_or_else(|| lost("the server gave no reply"))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        // No transaction of the client's is sent: each command has its reply.
        Box::pin(async move { Ok(self.send(pipeline).await?.into_iter().skip(offset).take(count).collect()) })
    }

    fn get_db(&self) -> i64 {
        self.db
    }
}
