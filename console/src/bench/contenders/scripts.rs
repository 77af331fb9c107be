//! What ORDER.PLACE, CLAIM and COMPLETE do, as the scripts a shop writes by hand: by EVALSHA, or as a library of
//! functions by FCALL.

use redis::{Cmd, Connection as Control, RedisResult, cmd};

use super::connection::{Client, Commands, Connection, Pipelined};
use crate::bench::suite::terms::Workload;
use crate::bench::suite::work::{Order, Work};
use crate::bench::workload::{
    self, COMPLETE_STREAM, CUSTOMERS_HASH, HISTORY, Held, KEEP_MS, LEASE_MS, LEASES_ZSET, ORDER_HASH_PREFIX, ORDERS,
    QUEUE_LIST, RETRY_ZSET, SOLD_HASH, STOCK_HASH, TOKEN_KEY, WORKER, order_hash,
};

/// Each by its name.
const SCRIPTS: [(&str, &str); 3] = [
    ("place", workload::SCRIPT),
    ("claim", include_str!("../life/claim.lua")),
    ("complete", include_str!("../life/complete.lua")),
];

/// The scripts, loaded into a server.
#[derive(Clone)]
pub struct Scripts {
    /// EVALSHA or FCALL.
    call: &'static str,
    /// How place, claim and complete are named there.
    names: [String; 3],
}

impl Scripts {
    /// Loads them with SCRIPT LOAD. Fails when the server cannot compile them.
    pub fn load(server: &mut Control) -> RedisResult<Scripts> {
        let [place, claim, complete] = SCRIPTS.map(|(_, script)| workload::load(server, script));
        Ok(Scripts { call: "EVALSHA", names: [place?, claim?, complete?] })
    }

    /// Loads them as a library with FUNCTION LOAD. Fails when the server cannot compile them.
    pub fn load_library(server: &mut Control) -> RedisResult<Scripts> {
        let function = |(name, body)| format!("redis.register_function('{name}', function(KEYS, ARGV)\n{body}\nend)\n");
        let library = format!("#!lua name=bench\n{}", SCRIPTS.map(function).concat());
        cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library).exec(server)?;
        Ok(Scripts { call: "FCALL", names: SCRIPTS.map(|(name, _)| name.into()) })
    }

    fn call(&self, which: usize, keys: &[&str]) -> Cmd {
        cmd(self.call).arg(&self.names[which]).arg(keys.len()).arg(keys).take()
    }
}

impl Commands for Scripts {
    fn place(&self, work: Work, order: &Order) -> Cmd {
        let order_key = order_hash(&order.id);
        let mut keys = vec![&order_key[..], STOCK_HASH, CUSTOMERS_HASH, ORDERS];
        // Where nobody claims, the stream is the queue.
        keys.extend((work.workload == Workload::Life).then_some(QUEUE_LIST));
        let mut command = self.call(0, &keys);
        command.arg(&order.id).arg(&order.customer).arg(order.items_json()).arg("").arg(work.limit());
        command.arg(&order.items).take()
    }

    fn claim(&self, count: u64) -> Cmd {
        let mut command = self.call(1, &[QUEUE_LIST, RETRY_ZSET, LEASES_ZSET, TOKEN_KEY]);
        command.arg(WORKER).arg(LEASE_MS).arg(count).arg(ORDER_HASH_PREFIX).take()
    }

    fn complete(&self, held: &Held) -> Vec<Cmd> {
        let keys = [&order_hash(&held.id)[..], LEASES_ZSET, ORDERS, COMPLETE_STREAM, SOLD_HASH];
        vec![self.call(2, &keys).arg(&held.id).arg(held.token).arg("").arg(HISTORY).arg(KEEP_MS).take()]
    }
}

impl Client for Scripts {
    type Session = Pipelined<Scripts>;

    fn session(&self, connection: Connection, work: Work) -> Self::Session {
        Pipelined { connection, commands: self.clone(), work }
    }

    fn stock(&self, work: Work) -> impl Iterator<Item = Cmd> {
        work.sku_ids().map(move |sku| cmd("HSET").arg(STOCK_HASH).arg(sku).arg(work.on_hand()).take())
    }

    fn queues(&self) -> Vec<String> {
        vec![ORDERS.into()]
    }
}
