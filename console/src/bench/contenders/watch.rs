//! The optimistic loop: WATCH and read, check in the client, then MULTI … EXEC; after a conflict all over again.
//!
//! Two round trips an order without a conflict. Each SKU and customer has a key of its own, so that only orders for the
//! same SKU are in each other's way.

use std::ops::Range;

use anyhow::{Result, ensure};
use redis::{Cmd, FromRedisValue, Value, cmd};

use super::connection::{Client, Connection};
use super::drive::Session;
use crate::bench::suite::work::{Expected, Order, Work};
use crate::bench::workload::{ORDERS, order_hash};

#[derive(Clone)]
pub struct Watch;

pub struct WatchSession {
    connection: Connection,
    work: Work,
}

/// What the server knows before an order.
struct Known {
    order: Option<[Option<String>; 3]>,
    customer_units: u64,
    available: Vec<u64>,
}

fn stock_key(sku: &str) -> String {
    format!("{{bench}}:stock:{sku}")
}

fn customer_key(customer: &str) -> String {
    format!("{{bench}}:customer:{customer}")
}

impl WatchSession {
    /// Places an order; whether it was taken, or was known. Fails on an error reply.
    async fn place(&mut self, order: &Order) -> Result<bool> {
        loop {
            let known = self.read(order).await?;
            if let Some([customer, items, _]) = &known.order {
                let is_same = customer.as_ref() == Some(&order.customer) && items.as_ref() == Some(&order.items_json());
                ensure!(is_same, "order {} has other content", order.id);
                self.forget().await?;
                return Ok(true);
            }
            let units: u64 = order.items.iter().map(|(_, quantity)| quantity).sum();
            ensure!(known.customer_units + units <= self.work.limit(), "customer {} has a limit", order.customer);
            let is_short = |((_, wanted), available): (&(String, u64), &u64)| available < wanted;
            if order.items.iter().zip(&known.available).any(is_short) {
                self.forget().await?;
                return Ok(false);
            }
            if self.write(order, units).await? {
                return Ok(true);
            }
        }
    }

    async fn read(&mut self, order: &Order) -> Result<Known> {
        let (order_key, customer_key) = (order_hash(&order.id), customer_key(&order.customer));
        let stock_keys: Vec<String> = order.items.iter().map(|(sku, _)| stock_key(sku)).collect();
        self.connection.push(cmd("WATCH").arg(&order_key).arg(&customer_key).arg(&stock_keys));
        self.connection.push(cmd("HMGET").arg(&order_key).arg(&["customer", "items", "data"]));
        self.connection.push(cmd("MGET").arg(&customer_key).arg(&stock_keys));
        let [_, order, counts]: [Value; 3] =
            self.connection.succeed().await?.try_into().map_err(|_| anyhow::anyhow!("three replies are wanted"))?;
        let order = <[Option<String>; 3]>::from_redis_value(order)?;
        let counts: Vec<Option<u64>> = FromRedisValue::from_redis_value(counts)?;
        let mut counts = counts.into_iter().map(Option::unwrap_or_default);
        let customer_units = counts.next().unwrap_or_default();
        Ok(Known { order: order[0].is_some().then_some(order), customer_units, available: counts.collect() })
    }

    async fn forget(&mut self) -> Result<()> {
        self.connection.push(&cmd("UNWATCH"));
        self.connection.succeed().await.map(drop)
    }

    /// Whether nothing that was read has changed, so that the order is taken.
    async fn write(&mut self, order: &Order, units: u64) -> Result<bool> {
        let items = order.items_json();
        let (id, customer) = (&*order.id, &*order.customer);
        self.connection.push(&cmd("MULTI"));
        for (sku, quantity) in &order.items {
            self.connection.push(cmd("DECRBY").arg(stock_key(sku)).arg(quantity));
        }
        self.connection.push(cmd("INCRBY").arg(customer_key(customer)).arg(units));
        let fields = [("order", id), ("customer", customer), ("items", &items), ("data", "")];
        self.connection.push(cmd("XADD").arg(ORDERS).arg("*").arg(&fields));
        let fields = [("state", "queued"), ("customer", customer), ("items", &items), ("data", "")];
        self.connection.push(cmd("HSET").arg(order_hash(id)).arg(&fields));
        self.connection.push(&cmd("EXEC"));
        Ok(self.connection.succeed().await?.pop() != Some(Value::Nil))
    }
}

impl Session for WatchSession {
    async fn exchange(&mut self, numbers: Range<u64>) -> Result<()> {
        for n in numbers {
            let is_taken = self.place(&self.work.order(n)).await?;
            ensure!(is_taken == (self.work.expected() == Expected::Placed), "order {n}: taken: {is_taken}");
        }
        Ok(())
    }
}

impl Client for Watch {
    type Session = WatchSession;

    fn session(&self, connection: Connection, work: Work) -> WatchSession {
        WatchSession { connection, work }
    }

    fn stock(&self, work: Work) -> impl Iterator<Item = Cmd> {
        work.sku_ids().map(move |sku| cmd("SET").arg(stock_key(&sku)).arg(work.on_hand()).take())
    }

    fn queues(&self) -> Vec<String> {
        vec![ORDERS.into()]
    }
}
