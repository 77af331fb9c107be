//! Bytes an open order takes: the server's own count of used memory before and after, divided by the orders.

use anyhow::Result;
use serde::Serialize;

use super::report::{Bar, Part, table};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, ORDERS, STORE};
use crate::text::grouped;

/// An open order of one item and 16-byte ids may take this many bytes, its stream entry included.
const BYTES_BAR: f64 = 200.0;

/// Memory an order.
#[derive(Debug, Serialize)]
struct MemoryResult {
    orders: u64,
    /// An open order, everything included.
    place_bytes: f64,
    /// Of it, what MEMORY USAGE counts for the stream `…:orders`.
    stream_usage_bytes: f64,
    /// Of it, what MEMORY USAGE counts for the store's own key.
    store_usage_bytes: f64,
    /// A bare XADD of the same entries, by used memory: what the stream really takes.
    xadd_bytes: f64,
    /// The script's keys for the same order: its hash, its customer, its entry.
    lua_bytes: f64,
}

/// Places `orders` open orders, and the same with XADD and with the script. Fails when the server does not start or
/// answers a command with an error.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    let mut subject = Subject::start(args, &[Case::Place], &[])?;
    let each = |bytes: u64| bytes as f64 / orders as f64;
    let xadd_bytes = each(growth_bytes(&mut subject, Case::Xadd, orders)?);
    let lua_bytes = each(growth_bytes(&mut subject, Case::Lua, orders)?);
    let place_bytes = each(growth_bytes(&mut subject, Case::Place, orders)?);
    let result = MemoryResult {
        orders,
        place_bytes,
        stream_usage_bytes: each(subject.memory_usage_bytes(ORDERS)?),
        store_usage_bytes: each(subject.memory_usage_bytes(STORE)?),
        xadd_bytes,
        lua_bytes,
    };
    print(&result);
    let bar = bar(&result);
    Part::new(result, [bar])
}

/// What `orders` commands of `case` add to the server's used memory.
fn growth_bytes(subject: &mut Subject, case: Case, orders: u64) -> Result<u64> {
    case.prepare(&mut subject.control)?;
    let before = subject.settled_memory_bytes()?;
    subject.fill(case, 0..orders, FILL_PIPELINE)?;
    Ok(subject.settled_memory_bytes()?.saturating_sub(before))
}

fn print(result: &MemoryResult) {
    println!("\nmemory: {} open orders, one item, 16-byte ids", grouped(result.orders));
    let row = |what: &str, bytes: f64| {
        let share = format!("{:.0} %", bytes / result.place_bytes * 100.0);
        vec![what.to_string(), format!("{bytes:.1}"), share]
    };
    let rows = [
        row("an open order (used memory)", result.place_bytes),
        row("  of it the stream, by MEMORY USAGE", result.stream_usage_bytes),
        row("  of it the store, by MEMORY USAGE", result.store_usage_bytes),
        row("the same entries by XADD (used memory)", result.xadd_bytes),
        row("the same orders by the Lua script (used memory)", result.lua_bytes),
    ];
    println!("{}", table(&["", "bytes/order", "share"], rows));
}

/// The bar for memory.
fn bar(result: &MemoryResult) -> Bar {
    Bar {
        work: format!("memory of an open order, of {}", grouped(result.orders)),
        bar: format!("at most {BYTES_BAR:.0} bytes"),
        measured: format!("{:.1} bytes", result.place_bytes),
        reached: result.place_bytes <= BYTES_BAR,
    }
}
