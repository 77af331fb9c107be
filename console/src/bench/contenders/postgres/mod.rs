//! PostgreSQL: an order is one call of a function, which is one transaction in one round trip.

mod server;

use std::ops::Range;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

pub use self::server::{PostgresServer, TUNING};
use super::drive::{Connect, Load, Session, drive};
use super::host::{Host, Marks, Round};
use crate::bench::clock::cpu_ns_of_tree;
use crate::bench::suite::terms::{Contender, Durability, Workload};
use crate::bench::suite::work::{Expected, Order, Work};
use crate::bench::workload::LEASE_MS;

const SCHEMA: &str = include_str!("schema.sql");
/// Orders a round: for the row a unit, as many rows are made in each round.
pub const MOST_ORDERS: u64 = 40_000;
const MOST_CARTS: u64 = 10_000;
/// What the schema raises where stock is short.
const OUT_OF_STOCK: &str = "HF003";
/// Claims after which a worker gives up.
const MOST_CLAIMS: u32 = 1_000;
const NEW_SCHEMA: &str = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;";
/// The name of the connections under load.
const LOAD: &str = "load";
/// Ends what a load that failed may have left running: it would hold locks.
const END_OTHERS: &str = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
  WHERE application_name = 'load'";

/// The server, and a connection for what is not measured.
pub struct PostgresHost {
    server: Rc<PostgresServer>,
    runtime: Runtime,
    control: Client,
    connector: Connector,
}

#[derive(Clone)]
struct Connector {
    config: Config,
    place: &'static str,
    is_synchronous: bool,
    work: Work,
}

impl PostgresHost {
    /// Connects to a server, in which the contender is then the only one. Fails when the server is gone.
    pub fn new(server: Rc<PostgresServer>, contender: Contender, durability: Durability) -> Result<PostgresHost> {
        let connector = Connector {
            config: server.config().application_name(LOAD).clone(),
            place: if contender == Contender::PostgresUnits { "place_units" } else { "place_row" },
            is_synchronous: durability == Durability::Always,
            work: Work { workload: Workload::Hot },
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let control = runtime.block_on(open(&server.config()))?;
        Ok(PostgresHost { server, runtime, control, connector })
    }

    fn number(&mut self, query: &str) -> Result<u64> {
        let row = self.runtime.block_on(self.control.query_one(query, &[]))?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
    }

    /// The stock as a row for each SKU and, where that is the scheme, for each unit.
    fn stock(&self, work: Work, most_orders: u64) -> String {
        let skus: Vec<String> = work.sku_ids().map(|sku| format!("('{sku}')")).collect();
        let skus = format!("(VALUES {}) AS v (sku)", skus.join(","));
        let units = match work.expected() {
            Expected::Refused => 0,
            Expected::Placed => (most_orders * work.items_an_order()).div_ceil(work.skus()),
        };
        match self.connector.place {
            "place_row" => format!("INSERT INTO stock SELECT sku, {} FROM {skus}", work.on_hand()),
            _ => format!("INSERT INTO units SELECT sku, unit FROM {skus}, generate_series(1, {units}) AS unit"),
        }
    }
}

impl Host for PostgresHost {
    fn prepare(&mut self, work: Work, load: &Load) -> Result<()> {
        self.connector.work = work;
        let stock = self.stock(work, load.most_orders);
        self.runtime.block_on(async {
            self.control.batch_execute(END_OTHERS).await?;
            self.control.batch_execute(NEW_SCHEMA).await?;
            self.control.batch_execute(SCHEMA).await?;
            self.control.batch_execute(&stock).await?;
            self.control.batch_execute("VACUUM ANALYZE stock, units, customers, orders").await?;
            // What was written until now is not for the round to pay.
            self.control.batch_execute("CHECKPOINT").await
        })?;
        Ok(())
    }

    fn run(&mut self, work: Work, load: Load) -> Result<Round> {
        self.connector.work = work;
        let pid = self.server.pid()?;
        Ok(drive(&self.connector, load, || Marks::of(cpu_ns_of_tree(pid)?))?.into())
    }

    fn stored_bytes(&mut self) -> Result<u64> {
        self.number("SELECT pg_total_relation_size('orders') + pg_total_relation_size('customers')")
    }

    fn waiting(&mut self) -> Result<u64> {
        self.number("SELECT count(*) FROM orders WHERE state = 0")
    }
}

/// The largest round that there is stock for.
pub fn most_orders(work: Work) -> u64 {
    if work.workload == Workload::Cart { MOST_CARTS } else { MOST_ORDERS }
}

/// Connects, and has the connection's work done in the background of this runtime.
async fn open(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await.context("connecting to PostgreSQL")?;
    // An error of the connection is the error of every query that waits for it.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

impl Connect for Connector {
    type Session = PostgresSession;

    async fn connect(&self, _: usize) -> Result<PostgresSession> {
        let client = open(&self.config).await?;
        let mode = if self.is_synchronous { "on" } else { "off" };
        client.batch_execute(&format!("SET synchronous_commit = {mode}")).await?;
        Ok(PostgresSession {
            place: client.prepare(&format!("SELECT {}($1, $2, $3, $4, $5, '', $6)", self.place)).await?,
            claim: client.prepare("SELECT claimed_id, claimed_token FROM claim($1, $2)").await?,
            complete: client.prepare("SELECT complete($1, $2)").await?,
            client,
            work: self.work,
        })
    }
}

struct PostgresSession {
    client: Client,
    place: Statement,
    claim: Statement,
    complete: Statement,
    work: Work,
}

impl PostgresSession {
    async fn place(&self, order: Order) -> Result<()> {
        let items = order.items_json();
        let (skus, quantities): (Vec<&str>, Vec<i64>) =
            order.items.iter().map(|(sku, quantity)| (&**sku, *quantity as i64)).unzip();
        let limit = self.work.limit() as i64;
        let values: [&(dyn ToSql + Sync); 6] = [&order.id, &order.customer, &skus, &quantities, &items, &limit];
        let outcome = self.client.query_one(&self.place, &values).await;
        match (self.work.expected(), outcome) {
            (Expected::Placed, Ok(row)) => {
                row.try_get::<_, i64>(0).context("an order without a number")?;
                Ok(())
            }
            (Expected::Refused, Err(error)) if error.code().is_some_and(|code| code.code() == OUT_OF_STOCK) => Ok(()),
            (Expected::Refused, Ok(_)) => bail!("an order was to be refused, it was taken"),
            (_, Err(error)) => Err(error).context("placing an order"),
        }
    }

    /// Claims as many orders and completes them. A claim can give fewer: it skips what others are claiming, and does
    /// not see what was placed after it began.
    async fn work(&self, count: u64) -> Result<()> {
        let mut left = count as i64;
        for _ in 0..MOST_CLAIMS {
            let held = self.client.query(&self.claim, &[&left, &(LEASE_MS as i64)]).await?;
            left -= held.len() as i64;
            try_join_all(held.iter().map(|row| self.complete(row))).await?;
            if left == 0 {
                return Ok(());
            }
        }
        bail!("{left} of {count} orders were not handed out")
    }

    async fn complete(&self, claimed: &Row) -> Result<()> {
        let (id, token): (&str, i64) = (claimed.try_get(0)?, claimed.try_get(1)?);
        self.client.query_one(&self.complete, &[&id, &token]).await.context("completing an order")?;
        Ok(())
    }
}

impl Session for PostgresSession {
    async fn exchange(&mut self, numbers: Range<u64>) -> Result<()> {
        let count = numbers.end - numbers.start;
        // Polled together, they go out together: the connection has a pipeline of them under way.
        try_join_all(numbers.map(|n| self.place(self.work.order(n)))).await?;
        if self.work.workload == Workload::Life { self.work(count).await } else { Ok(()) }
    }
}
