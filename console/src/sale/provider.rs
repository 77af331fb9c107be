//! The payment provider: takes the payments that orders wait for, and passes them on to the store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use redis::{RedisResult, cmd};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::DECLINED;
use super::plan::Trouble;
use super::shop::{PAYMENT, Shop};
use crate::connect::StoreConnection;
use crate::store;

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// A payment takes up to this part of the window, and not longer than this.
const PAYS_WITHIN: f64 = 0.004;
const PAYS_WITHIN_MAX: Duration = Duration::from_millis(500);
/// Of this part of the payments the provider reports twice that they were made.
const REPORTED_TWICE: f64 = 0.05;

pub struct Provider {
    shop: Arc<Shop>,
    connection: StoreConnection,
    /// Orders whose payment has begun.
    known: HashSet<String>,
    payments: JoinSet<()>,
}

impl Provider {
    /// A provider for this shop. Fails when the server cannot be reached.
    pub async fn new(shop: &Arc<Shop>) -> Result<Provider> {
        let (shop, connection) = (Arc::clone(shop), shop.connection(Duration::ZERO).await?);
        Ok(Provider { shop, connection, known: HashSet::new(), payments: JoinSet::new() })
    }

    /// Takes payments until the sale is over: an order waits for its payment from when it has its units, and for one
    /// on the waitlist that is later than its customer knows. So the provider asks the store.
    pub async fn work(mut self, done: watch::Receiver<bool>) {
        while !*done.borrow() {
            match self.shop.orders_in("pending", &mut self.connection).await {
                Ok(orders) => orders.into_iter().for_each(|order| self.begin(order)),
                Err(error) => self.shop.ledger().complaints.add(format!("ORDER.SCAN … STATE pending: {error}")),
            }
            while self.payments.try_join_next().is_some() {}
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        self.payments.join_all().await;
    }

    fn begin(&mut self, order: String) {
        if self.known.insert(order.clone()) {
            self.payments.spawn(pay(Arc::clone(&self.shop), self.connection.clone(), order));
        }
    }
}

/// One payment, from the order to what comes of it.
async fn pay(shop: Arc<Shop>, mut connection: StoreConnection, order: String) {
    let Some(customer) = shop.ledger().order(&order).map(|order| order.customer) else {
        return shop.ledger().complaints.add(format!("order {order} waits for a payment, and nobody sent it"));
    };
    let at_most = shop.schedule.window().mul_f64(PAYS_WITHIN).min(PAYS_WITHIN_MAX);
    tokio::time::sleep(at_most.mul_f64(shop.luck.drawn("payment", &order, 0))).await;
    match shop.luck.trouble(customer) {
        // The gate expires.
        Trouble::NeverPays => {}
        Trouble::Declined => drop(shop.cancel(&order, customer, DECLINED).await),
        _ => {
            pass(&shop, &mut connection, &order).await;
            if shop.luck.drawn("report", &order, 0) < REPORTED_TWICE {
                pass(&shop, &mut connection, &order).await;
            }
        }
    }
}

/// Lets an order pass that is paid.
async fn pass(shop: &Shop, connection: &mut StoreConnection, order: &str) {
    let command = cmd("ORDER.PASS").arg(&shop.name).arg(order).arg(PAYMENT).take();
    let reply: RedisResult<u64> = shop.send(connection, &command).await;
    let mut ledger = shop.ledger();
    match reply {
        Ok(0) => ledger.paid(order),
        // The customer has cancelled it, or it took too long: the payment is given back.
        Err(error) if store::code(&error) == "BADSTATE" => ledger.counts.paid_too_late += 1,
        reply => ledger.complaints.add(format!("ORDER.PASS {order}: {reply:?}, wanted 0")),
    }
}
