//! The shop's commands, sent again when a connection is lost, and every reply entered into the clients' ledger.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, cmd};

use super::ledger::Ledger;
use super::plan::{Customer, Luck, Schedule};
use crate::connect::{Home, StoreConnection, may_pass};
use crate::store;

/// Connections that the customers share: what they send goes out in pipelines.
const SHARED_CONNECTIONS: usize = 4;
/// A connection without a reply for this long counts as lost.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a command is sent again when connections are lost (a failover may take a while).
const SEND_ATTEMPTS: u32 = 200;
const RESEND_INTERVAL: Duration = Duration::from_millis(100);
/// Orders that the server looks at in one ORDER.SCAN.
const SCAN_COUNT: u64 = 5_000;
/// Refusals that belong to a sale. Any other is a fault.
const REFUSALS: [&str; 5] = ["NOTOPEN", "CLOSED", "OUTOFSTOCK", "LIMIT", "EXPIRED"];
pub const SNEAKER: &str = "sneaker";
pub const LACES: &str = "laces";
/// The lane of those who pay for express, and the gate that every order passes that is not paid at the counter.
pub const EXPRESS: &str = "express";
pub const PAYMENT: &str = "payment";

/// What an order says that its customer collects.
pub const COLLECTS: &str = r#"{"collects":true}"#;

/// Why the shop said no: one of the codes of a refusal, or `LOST` when it could not be asked at all.
pub type Refusal = String;

/// Where an order's units come from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    Shelf,
    Cart(&'a str),
    /// From whatever comes back; the customer waits for so long, in milliseconds, 0 without end.
    Waitlist(u64),
}

/// Who fills a cart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    Customer,
    /// The same customer, before signing in: with laces.
    Guest,
    /// The guest, who has signed in: the cart is the customer's now, with what the customer wants.
    SignedIn,
}

/// A sneaker, and laces if they are wanted.
pub fn items(laces: bool) -> Vec<(&'static str, i64)> {
    [(SNEAKER, 1)].into_iter().chain(laces.then_some((LACES, 1))).collect()
}

pub struct Shop {
    home: Home,
    connections: Vec<StoreConnection>,
    pub name: String,
    pub schedule: Schedule,
    pub seed: u64,
    pub luck: Luck,
    started: Instant,
    ledger: Mutex<Ledger>,
}

impl Shop {
    /// Connects to the server, and starts the clock. Fails when the server cannot be reached.
    pub async fn connect(home: &Home, name: &str, schedule: Schedule, seed: u64, luck: Luck) -> Result<Shop> {
        let mut connections = Vec::with_capacity(SHARED_CONNECTIONS);
        for _ in 0..SHARED_CONNECTIONS {
            connections.push(StoreConnection::open(home, RESPONSE_TIMEOUT).await?);
        }
        let (home, name) = (home.clone(), name.to_string());
        let (started, ledger) = (Instant::now(), Mutex::default());
        Ok(Shop { home, connections, name, schedule, seed, luck, started, ledger })
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
    pub async fn connection(&self, wait: Duration) -> Result<StoreConnection> {
        StoreConnection::open(&self.home, RESPONSE_TIMEOUT + wait).await
    }

    pub fn is_in_cluster(&self) -> bool {
        self.home.is_in_cluster()
    }

    pub fn stream(&self, name: &str) -> String {
        store::stream(&self.name, name)
    }

    fn connection_of(&self, customer: u64) -> StoreConnection {
        // A customer keeps to one connection: what they send arrives in the order they sent it.
        self.connections[customer as usize % self.connections.len()].clone()
    }

    /// Sends a command until its reply arrives. Sending it again is safe, as every write names its order or its hold.
    /// Fails with what the server answers, or when it could not be reached for a long time.
    pub async fn send<T: FromRedisValue>(&self, connection: &mut StoreConnection, command: &Cmd) -> RedisResult<T> {
        self.send_while(connection, command, may_pass).await
    }

    /// Sends a command for many orders. `None`: the store's slot is on its way to another node, and not all of the work
    /// is done, or nothing. Whoever has time asks again later.
    pub async fn send_work<T: FromRedisValue>(
        &self,
        connection: &mut StoreConnection,
        command: &Cmd,
    ) -> RedisResult<Option<T>> {
        let is_moving = |error: &RedisError| store::code(error) == "TRYAGAIN";
        match self.send_while(connection, command, |error| may_pass(error) && !is_moving(error)).await {
            Err(error) if is_moving(&error) => Ok(None),
            reply => reply.map(Some),
        }
    }

    async fn send_while<T: FromRedisValue>(
        &self,
        connection: &mut StoreConnection,
        command: &Cmd,
        goes_again: impl Fn(&RedisError) -> bool,
    ) -> RedisResult<T> {
        let mut attempt = 1;
        loop {
            match command.query_async(connection).await {
                Err(error) if attempt < SEND_ATTEMPTS && goes_again(&error) => {
                    self.ledger().counts.connections_lost += u64::from(attempt == 1);
                    attempt += 1;
                    tokio::time::sleep(RESEND_INTERVAL).await;
                }
                reply => return reply,
            }
        }
    }

    /// All orders in a state. Fails with what the server answers.
    pub async fn orders_in(&self, state: &str, connection: &mut StoreConnection) -> RedisResult<Vec<String>> {
        let (mut orders, mut cursor) = (Vec::new(), 0);
        loop {
            let mut command = cmd("ORDER.SCAN");
            command.arg(&self.name).arg(cursor).arg("STATE").arg(state).arg("COUNT").arg(SCAN_COUNT);
            let (next, page): (u64, Vec<String>) = self.send(connection, &command).await?;
            orders.extend(page);
            if next == 0 {
                return Ok(orders);
            }
            cursor = next;
        }
    }

    fn place_command(&self, order: &str, customer: &Customer, from: Origin<'_>) -> Cmd {
        let mut command = cmd("ORDER.PLACE");
        command.arg(&self.name).arg(order).arg(customer_id(customer.number));
        command.arg(customer.express.then_some(("LANE", EXPRESS)));
        match customer.collects {
            true => command.arg("DATA").arg(COLLECTS),
            false => command.arg("GATE").arg(PAYMENT).arg(ms(self.schedule.payment())),
        };
        match from {
            Origin::Cart(hold) => return command.arg("HOLD").arg(hold).take(),
            Origin::Waitlist(wait_ms) => command.arg("WAIT").arg(wait_ms),
            Origin::Shelf => &mut command,
        };
        command.arg("ITEMS").arg(items(customer.laces)).take()
    }

    /// Places an order. Fails with the refusal.
    pub async fn place(&self, order: &str, customer: &Customer, from: Origin<'_>) -> Result<(), Refusal> {
        let command = self.place_command(order, customer, from);
        self.ledger().sent(order, customer);
        let sent = Instant::now();
        // No entry's id while it waits for the payment, or for units.
        let reply: RedisResult<Option<String>> = self.send(&mut self.connection_of(customer.number), &command).await;
        let mut ledger = self.ledger();
        ledger.placing.record(sent.elapsed());
        let entry = reply.map_err(|error| refusal(&mut ledger, &error, "ORDER.PLACE", order))?;
        ledger.placed(order, &entry.unwrap_or_default());
        if matches!(from, Origin::Waitlist(_)) {
            ledger.waits(order);
        }
        Ok(())
    }

    /// Sends an order over a connection that is gone before the reply can be read: the order may have arrived, or not.
    pub async fn place_and_vanish(&self, order: &str, customer: &Customer, patience: u32) {
        self.ledger().sent(order, customer);
        let Ok(mut connection) = self.connection_of(customer.number).single().await else { return };
        let command = self.place_command(order, customer, Origin::Shelf);
        let turns = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = command.query_async::<Option<String>>(&mut connection) => {}
            () = turns => {}
        }
        let mut ledger = self.ledger();
        ledger.counts.replies_dropped += 1;
        ledger.unanswered(order);
    }

    /// Fills a cart, or changes what is in it. Fails with the refusal.
    pub async fn fill(&self, hold: &str, customer: &Customer, filler: Filler) -> Result<(), Refusal> {
        let is_guest = filler == Filler::Guest;
        let who = if is_guest { format!("guest-{}", customer.number) } else { customer_id(customer.number) };
        let mut command = cmd("INV.RESERVE");
        command.arg(&self.name).arg(hold).arg("CUSTOMER").arg(who).arg("TTL").arg(ms(self.schedule.cart_ttl()));
        command.arg((filler == Filler::SignedIn).then_some("REPLACE"));
        command.arg("ITEMS").arg(items(customer.laces || is_guest));
        let reply: RedisResult<i64> = self.send(&mut self.connection_of(customer.number), &command).await;
        let mut ledger = self.ledger();
        reply.map_err(|error| refusal(&mut ledger, &error, "INV.RESERVE", hold))?;
        let changed = u64::from(filler == Filler::SignedIn);
        ledger.counts.carts_changed += changed;
        ledger.counts.carts += 1 - changed;
        Ok(())
    }

    /// Cancels an order; whether it could still be cancelled.
    pub async fn cancel(&self, order: &str, customer: u64, reason: &'static str) -> bool {
        let mut command = cmd("ORDER.CANCEL");
        command.arg(&self.name).arg(order).arg("REASON").arg(reason);
        let reply: RedisResult<u64> = self.send(&mut self.connection_of(customer), &command).await;
        let mut ledger = self.ledger();
        match reply {
            Ok(units) => {
                ledger.put_back(order, units, reason);
                return true;
            }
            // It was completed, or it was not paid or waited too long and the store cancelled it.
            Err(error) if ["BADSTATE", "MISMATCH"].contains(&store::code(&error)) => {
                ledger.counts.too_late_to_cancel += 1;
            }
            Err(error) => ledger.complaints.add(format!("ORDER.CANCEL {order}: {error}")),
        }
        false
    }

    /// Sends the sneaker of a completed order back; a damaged one is not sold again.
    pub async fn send_back(&self, order: &str, customer: u64, damaged: bool) {
        let mut command = cmd("ORDER.RETURN");
        command.arg(&self.name).arg(order).arg("REF").arg(format!("rma-{order}"));
        command.arg(damaged.then_some("SCRAP")).arg("ITEMS").arg(items(false));
        let reply: RedisResult<u64> = self.send(&mut self.connection_of(customer), &command).await;
        let mut ledger = self.ledger();
        match reply {
            Ok(1) => ledger.sent_back(order, damaged),
            reply => ledger.complaints.add(format!("ORDER.RETURN {order}: {reply:?}, wanted 1")),
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub fn customer_id(number: u64) -> String {
    format!("c-{number}")
}

/// Enters the refusal of an order or a hold.
fn refusal(ledger: &mut Ledger, error: &RedisError, command: &str, id: &str) -> Refusal {
    let code = if store::reply_was_lost(error) { "LOST" } else { store::code(error) };
    if error.to_string().ends_with("order is cancelled") {
        // It was placed, the reply was lost, and before it was sent again its time to be paid was over.
        ledger.unanswered(id);
        return code.to_string();
    }
    if !REFUSALS.contains(&code) {
        ledger.complaints.add(format!("{command}: {error}"));
    }
    ledger.refused(id, code, &error.to_string());
    code.to_string()
}
