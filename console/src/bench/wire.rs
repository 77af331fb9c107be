//! A connection over which commands go out in batches, encoded beforehand.

use std::time::Duration;

use anyhow::{Context, Result};
use redis::{Cmd, Connection, Value};

use crate::target::connect;

/// A reply that takes longer than this never comes: the server hangs.
const REPLY_DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    commands: usize,
}

impl FromIterator<Cmd> for Batch {
    fn from_iter<I: IntoIterator<Item = Cmd>>(commands: I) -> Batch {
        let mut batch = Batch::default();
        for command in commands {
            command.write_packed_command(&mut batch.bytes);
            batch.commands += 1;
        }
        batch
    }
}

/// A connection that sends batches and waits for as many replies. An error among the replies is an error here.
pub struct Wire(Connection);

impl Wire {
    /// Connects. Fails when nobody answers there.
    pub fn connect(url: &str) -> Result<Wire> {
        let connection = connect(url)?;
        connection.set_read_timeout(Some(REPLY_DEADLINE))?;
        Ok(Wire(connection))
    }

    /// Sends commands whose replies are received later. Fails when the server is gone.
    pub fn send(&mut self, batch: &Batch) -> Result<()> {
        if batch.commands == 0 {
            return Ok(());
        }
        self.0.send_packed_command(&batch.bytes).context("sending commands")
    }

    /// Waits for the reply to one command that was sent. Fails when it is an error or does not come.
    pub fn receive(&mut self) -> Result<Value> {
        Ok(self.0.recv_response().and_then(Value::extract_error)?)
    }

    /// Sends a batch and waits for all replies. Fails as [`Wire::send`] and [`Wire::receive`].
    pub fn exchange(&mut self, batch: &Batch) -> Result<Vec<Value>> {
        self.send(batch)?;
        (0..batch.commands).map(|_| self.receive()).collect()
    }

    /// As [`Wire::exchange`], for one command. Fails as [`Wire::exchange`].
    pub fn call(&mut self, command: &Cmd) -> Result<Value> {
        Ok(command.query(&mut self.0)?)
    }
}
