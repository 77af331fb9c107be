//! Holdfast, on one store or on many.

use std::sync::Arc;

use redis::{Cmd, cmd};

use super::connection::{Client, Commands, Connection, Pipelined};
use crate::bench::suite::work::{Order, Work};
use crate::bench::workload::{Held, LEASE_MS, STORE, WORKER};
use crate::store::stream;

#[derive(Clone)]
pub struct Holdfast {
    stores: Arc<[String]>,
}

impl Holdfast {
    pub fn on(stores: impl IntoIterator<Item = String>) -> Holdfast {
        Holdfast { stores: stores.into_iter().collect() }
    }

    pub fn on_one() -> Holdfast {
        Holdfast::on([STORE.to_string()])
    }

    /// The store that an order goes to: by the customer, whose limit is counted there.
    fn store_of(&self, customer: &str) -> &str {
        let hash = u64::from_str_radix(customer, 16).unwrap_or(0);
        &self.stores[(hash % self.stores.len() as u64) as usize]
    }
}

impl Commands for Holdfast {
    fn place(&self, _: Work, order: &Order) -> Cmd {
        let store = self.store_of(&order.customer);
        cmd("ORDER.PLACE").arg(store).arg(&order.id).arg(&order.customer).arg("ITEMS").arg(&order.items).take()
    }

    fn claim(&self, count: u64) -> Cmd {
        cmd("ORDER.CLAIM").arg(&self.stores[0]).arg(WORKER).arg(("COUNT", count, "LEASE", LEASE_MS)).take()
    }

    fn complete(&self, held: &Held) -> Vec<Cmd> {
        vec![cmd("ORDER.COMPLETE").arg(&self.stores[0]).arg(&held.id).arg(("TOKEN", held.token)).take()]
    }
}

impl Client for Holdfast {
    type Session = Pipelined<Holdfast>;

    fn session(&self, connection: Connection, work: Work) -> Self::Session {
        Pipelined { connection, commands: self.clone(), work }
    }

    fn stock(&self, work: Work) -> impl Iterator<Item = Cmd> {
        self.stores.iter().flat_map(move |store| {
            let limit = cmd("STORE.SET").arg(store).arg(("limit", work.limit())).take();
            let set = move |sku| cmd("INV.SET").arg(store).arg(sku).arg(work.on_hand()).take();
            [limit].into_iter().chain(work.sku_ids().map(set))
        })
    }

    fn queues(&self) -> Vec<String> {
        self.stores.iter().map(|store| stream(store, "orders")).collect()
    }
}
