//! The shop's commands, sent again when a connection is lost, and every reply entered into the clients' ledger.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, cmd};

use super::ledger::Ledger;
use super::plan::{Customer, Payments, Schedule};
use crate::store;

/// Connections that the customers share: what they send goes out in pipelines.
const SHARED_CONNECTIONS: usize = 4;
/// A connection without a reply for this long counts as lost.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a command is sent again when connections are lost (a failover may take a while).
const SEND_ATTEMPTS: u32 = 200;
const RESEND_INTERVAL: Duration = Duration::from_millis(100);
/// Errors of a server that is loading, failing over or resharding: nothing was done, so ask again.
const PASSING_CODES: [&str; 6] = ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"];
/// Refusals that belong to a sale. Any other is a fault.
const REFUSALS: [&str; 5] = ["NOTOPEN", "CLOSED", "OUTOFSTOCK", "LIMIT", "EXPIRED"];
pub const SKU: &str = "sneaker";

/// What an order says that its customer collects.
pub const COLLECTS: &str = r#"{"collects":true}"#;

/// Why the shop said no: one of the codes of a refusal, or `LOST` when it could not be asked at all.
pub type Refusal = String;

pub struct Shop {
    client: redis::Client,
    connections: Vec<ConnectionManager>,
    pub name: String,
    pub schedule: Schedule,
    pub seed: u64,
    pub payments: Payments,
    started: Instant,
    ledger: Mutex<Ledger>,
}

impl Shop {
    /// Connects to the server, and starts the clock. Fails when the server cannot be reached.
    pub async fn connect(url: &str, name: &str, schedule: Schedule, seed: u64, payments: Payments) -> Result<Shop> {
        let client = redis::Client::open(url).with_context(|| format!("{url} is no address of a server"))?;
        let mut connections = Vec::with_capacity(SHARED_CONNECTIONS);
        for _ in 0..SHARED_CONNECTIONS {
            connections.push(manager(&client, Duration::ZERO).await?);
        }
        let (name, started, ledger) = (name.to_string(), Instant::now(), Mutex::default());
        Ok(Shop { client, connections, name, schedule, seed, payments, started, ledger })
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until a time of the run.
    pub async fn until(&self, time: Duration) {
        tokio::time::sleep_until((self.started + time).into()).await;
    }

    /// A connection of one's own, for calls that wait so long at the server. Fails when the server cannot be reached.
    pub async fn connection(&self, wait: Duration) -> Result<ConnectionManager> {
        manager(&self.client, wait).await
    }

    pub fn stream(&self, name: &str) -> String {
        store::stream(&self.name, name)
    }

    fn connection_of(&self, customer: u64) -> ConnectionManager {
        // A customer keeps to one connection: what they send arrives in the order they sent it.
        self.connections[customer as usize % self.connections.len()].clone()
    }

    /// Sends a command until its reply arrives. Sending it again is safe, as every write names its order or its hold.
    /// Fails with what the server answers, or when it could not be reached for a long time.
    pub async fn send<T: FromRedisValue>(&self, connection: &mut ConnectionManager, command: &Cmd) -> RedisResult<T> {
        let mut attempt = 1;
        loop {
            match command.query_async(connection).await {
                Err(error) if attempt < SEND_ATTEMPTS && may_pass(&error) => {
                    self.ledger().counts.connections_lost += u64::from(attempt == 1);
                    attempt += 1;
                    tokio::time::sleep(RESEND_INTERVAL).await;
                }
                reply => return reply,
            }
        }
    }

    fn place_command(&self, order: &str, customer: &Customer, cart: Option<&str>) -> Cmd {
        let mut command = cmd("ORDER.PLACE");
        command.arg(&self.name).arg(order).arg(customer_id(customer.number));
        command.arg(customer.collects.then_some(("DATA", COLLECTS)));
        match cart {
            Some(hold) => command.arg("HOLD").arg(hold),
            None => command.arg("ITEMS").arg(SKU).arg(1),
        };
        command
    }

    /// Places an order of what is in this cart, or of a unit off the shelf. Fails with the refusal.
    pub async fn place(&self, order: &str, customer: &Customer, cart: Option<&str>) -> Result<(), Refusal> {
        let command = self.place_command(order, customer, cart);
        self.ledger().sent(order, customer.number);
        let sent = Instant::now();
        let reply: RedisResult<String> = self.send(&mut self.connection_of(customer.number), &command).await;
        let mut ledger = self.ledger();
        ledger.placing.record(sent.elapsed());
        let entry = reply.map_err(|error| refusal(&mut ledger, &error, "ORDER.PLACE", order))?;
        ledger.placed(order, &entry);
        Ok(())
    }

    /// Sends an order over a connection that is gone before the reply can be read: the order may have arrived, or not.
    pub async fn place_and_vanish(&self, order: &str, customer: &Customer, patience: u32) {
        self.ledger().sent(order, customer.number);
        let Ok(mut connection) = self.client.get_multiplexed_async_connection().await else { return };
        let command = self.place_command(order, customer, None);
        let turns = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = command.query_async::<String>(&mut connection) => {}
            () = turns => {}
        }
        self.ledger().unanswered(order);
    }

    /// Puts a unit into a cart. Fails with the refusal.
    pub async fn reserve(&self, hold: &str, customer: u64) -> Result<(), Refusal> {
        let mut command = cmd("INV.RESERVE");
        let ttl_ms = u64::try_from(self.schedule.cart_ttl().as_millis()).unwrap_or(u64::MAX);
        command.arg(&self.name).arg(hold).arg("CUSTOMER").arg(customer_id(customer)).arg("TTL").arg(ttl_ms);
        command.arg("ITEMS").arg(SKU).arg(1);
        let reply: RedisResult<i64> = self.send(&mut self.connection_of(customer), &command).await;
        let mut ledger = self.ledger();
        reply.map_err(|error| refusal(&mut ledger, &error, "INV.RESERVE", hold))?;
        ledger.counts.carts += 1;
        Ok(())
    }

    /// Cancels an order; whether it could still be cancelled.
    pub async fn cancel(&self, order: &str, customer: u64) -> bool {
        let mut command = cmd("ORDER.CANCEL");
        command.arg(&self.name).arg(order).arg("REASON").arg("changed my mind");
        let reply: RedisResult<i64> = self.send(&mut self.connection_of(customer), &command).await;
        let mut ledger = self.ledger();
        match reply {
            // A dead one's unit is back already.
            Ok(units @ (0 | 1)) => {
                ledger.cancelled(order);
                ledger.counts.cancelled_dead += u64::from(units == 0);
                return true;
            }
            Ok(units) => ledger.complaints.add(format!("ORDER.CANCEL {order} put back {units} units, wanted 1")),
            Err(error) if store::code(&error) == "BADSTATE" => ledger.counts.too_late_to_cancel += 1,
            Err(error) => ledger.complaints.add(format!("ORDER.CANCEL {order}: {error}")),
        }
        false
    }
}

pub fn customer_id(number: u64) -> String {
    format!("c-{number}")
}

/// A connection that comes back when it is lost, for calls that wait this long at the server.
async fn manager(client: &redis::Client, wait: Duration) -> Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(RESPONSE_TIMEOUT + wait));
    let manager = ConnectionManager::new_with_config(client.clone(), config).await;
    manager.with_context(|| format!("connecting to {}", client.get_connection_info().addr()))
}

/// Whether the same command may well be answered in a moment.
pub fn may_pass(error: &RedisError) -> bool {
    store::reply_was_lost(error) || PASSING_CODES.contains(&store::code(error))
}

/// Enters the refusal of an order or a hold.
fn refusal(ledger: &mut Ledger, error: &RedisError, command: &str, id: &str) -> Refusal {
    let code = if store::reply_was_lost(error) { "LOST" } else { store::code(error) };
    if !REFUSALS.contains(&code) {
        ledger.complaints.add(format!("{command}: {error}"));
    }
    ledger.refused(id, code, &error.to_string());
    code.to_string()
}
