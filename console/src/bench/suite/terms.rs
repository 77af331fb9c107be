//! The words of the suite: who is measured, at what work, how lasting, and with how many clients.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What takes orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// XADD of the four fields of an order's entry: the floor
    #[strum(to_string = "bare XADD")]
    Xadd,
    /// ORDER.PLACE, ORDER.CLAIM, ORDER.COMPLETE
    #[strum(to_string = "Holdfast")]
    Holdfast,
    /// Lua scripts that do the same, by EVALSHA
    #[strum(to_string = "Lua script")]
    Lua,
    /// The same scripts as functions of a library, by FCALL
    #[strum(to_string = "Redis Function")]
    Function,
    /// WATCH, a check in the client, MULTI and EXEC, again after a conflict
    #[strum(to_string = "MULTI/WATCH")]
    Watch,
    /// PostgreSQL: a row for each SKU, updated by each order
    #[strum(to_string = "PostgreSQL, hot row")]
    PostgresRow,
    /// PostgreSQL: a row for each unit, taken with SKIP LOCKED
    #[strum(to_string = "PostgreSQL, row a unit")]
    PostgresUnits,
    /// ORDER.PLACE from Node with ioredis
    #[strum(to_string = "Holdfast from Node")]
    HoldfastNode,
    /// BullMQ's Queue.add from Node with ioredis
    #[strum(to_string = "BullMQ from Node")]
    Bullmq,
}

impl Contender {
    pub fn is_postgres(self) -> bool {
        matches!(self, Contender::PostgresRow | Contender::PostgresUnits)
    }

    pub fn is_on_node(self) -> bool {
        matches!(self, Contender::HoldfastNode | Contender::Bullmq)
    }

    /// Whether it can do this work at all.
    pub fn can(self, workload: Workload) -> bool {
        match workload {
            Workload::SoldOut => !matches!(self, Contender::Xadd | Contender::Bullmq),
            Workload::Duplicates => self != Contender::Xadd,
            Workload::Life => self != Contender::Watch && !self.is_on_node(),
            _ => true,
        }
    }

    /// Whether it has a mode that is as lasting as this.
    pub fn has(self, durability: Durability) -> bool {
        !(self.is_postgres() && durability == Durability::None)
    }

    /// Whether one connection can have several orders under way: a WATCH belongs to its connection.
    pub fn can_pipeline(self) -> bool {
        self != Contender::Watch
    }
}

/// What an order is, and what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Orders of one item, all of the same SKU
    #[strum(to_string = "one hot SKU")]
    Hot,
    /// Orders of one item, over 100 SKUs
    #[strum(to_string = "place, 100 SKUs")]
    Place,
    /// Orders of one item, over 10,000 SKUs
    #[strum(to_string = "place, 10,000 SKUs")]
    Skus,
    /// Orders of ten items each, over 100 SKUs
    #[strum(to_string = "ten-item carts")]
    Cart,
    /// Orders for a SKU of which none is left: all are refused
    #[strum(to_string = "sold out: refusals")]
    SoldOut,
    /// Orders that were placed before, sent again with the same ids
    #[strum(to_string = "duplicates")]
    Duplicates,
    /// Placed, claimed by a worker and completed
    #[strum(to_string = "whole life")]
    Life,
}

/// What a server may lose of the orders it acknowledged when the machine fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// All: nothing is written to the disk
    #[strum(to_string = "no persistence")]
    None,
    /// The last second or so: appendfsync everysec, synchronous_commit off
    #[strum(to_string = "last second may be lost")]
    Second,
    /// Nothing: appendfsync always, synchronous_commit on
    #[strum(to_string = "nothing is lost")]
    Always,
}

/// Clients: each connection sends a pipeline of orders, waits for all replies, and sends the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub connections: u32,
    pub pipeline: u32,
}

impl Shape {
    pub const fn new(connections: u32, pipeline: u32) -> Shape {
        Shape { connections, pipeline }
    }

    /// This shape, or one order at a time where the contender can have no more under way.
    pub fn of(self, contender: Contender) -> Shape {
        if contender.can_pipeline() { self } else { Shape { pipeline: 1, ..self } }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connections = if self.connections == 1 { "connection" } else { "connections" };
        match self.pipeline {
            1 => write!(out, "{} {connections}, one order at a time", self.connections),
            pipeline => write!(out, "{} {connections}, pipelines of {pipeline}", self.connections),
        }
    }
}
