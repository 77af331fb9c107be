//! A bare stream: the floor. XADD of the four fields of an order's entry, and for a whole life XREADGROUP, XACK, XDEL.
//! No stock, no limit, no idempotency, no lease.

use anyhow::Result;
use redis::streams::StreamReadReply;
use redis::{Cmd, FromRedisValue, Value, cmd};

use super::connection::{Client, Commands, Connection, Pipelined};
use crate::bench::suite::work::{Order, Work};
use crate::bench::workload::{GROUP, Held, ORDERS, read_group};

#[derive(Clone)]
pub struct Xadd;

impl Commands for Xadd {
    fn place(&self, _: Work, order: &Order) -> Cmd {
        let items = order.items_json();
        let fields = [("order", &*order.id), ("customer", &order.customer), ("items", &items), ("data", "")];
        cmd("XADD").arg(ORDERS).arg("*").arg(&fields).take()
    }

    fn claim(&self, count: u64) -> Cmd {
        read_group("COUNT", count)
    }

    fn held(&self, reply: Value) -> Result<Vec<Held>> {
        let entries = StreamReadReply::from_redis_value(reply)?.keys.into_iter().flat_map(|stream| stream.ids);
        // Nobody has a right to an entry: there is no token.
        Ok(entries.map(|entry| Held { id: entry.id, token: 0 }).collect())
    }

    fn complete(&self, held: &Held) -> Vec<Cmd> {
        let ack = cmd("XACK").arg(ORDERS).arg(GROUP).arg(&held.id).take();
        vec![ack, cmd("XDEL").arg(ORDERS).arg(&held.id).take()]
    }
}

impl Client for Xadd {
    type Session = Pipelined<Xadd>;

    fn session(&self, connection: Connection, work: Work) -> Self::Session {
        Pipelined { connection, commands: self.clone(), work }
    }

    fn stock(&self, _: Work) -> impl Iterator<Item = Cmd> {
        [cmd("XGROUP").arg("CREATE").arg(ORDERS).arg(GROUP).arg("$").arg("MKSTREAM").take()].into_iter()
    }

    fn queues(&self) -> Vec<String> {
        vec![ORDERS.into()]
    }
}
