//! Bytes an open order takes: the server's own count of used memory before and after, divided by the orders.

use anyhow::Result;
use serde_json::json;

use super::report::{Bar, Part, table};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, ORDERS, STORE};
use crate::text::grouped;

/// An open order of one item and 16-byte ids may take this many bytes, its stream entry included.
const BYTES_BAR: f64 = 200.0;

/// Places `orders` open orders, and the same with XADD and with the script. Fails when the server does.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    let mut subject = Subject::start(args, &[Case::Place], &[])?;
    let each = |bytes: u64| bytes as f64 / orders as f64;
    let xadd = each(growth_bytes(&mut subject, Case::Xadd, orders)?);
    let lua = each(growth_bytes(&mut subject, Case::Lua, orders)?);
    let place = each(growth_bytes(&mut subject, Case::Place, orders)?);
    let [stream, store] = [each(subject.memory_usage_bytes(ORDERS)?), each(subject.memory_usage_bytes(STORE)?)];
    let measured = [
        ("place_bytes", "an open order (used memory)", place),
        ("stream_usage_bytes", "  of it the stream, by MEMORY USAGE", stream),
        ("store_usage_bytes", "  of it the store, by MEMORY USAGE", store),
        ("xadd_bytes", "the same entries by XADD (used memory)", xadd),
        ("lua_bytes", "the same orders by the Lua script (used memory)", lua),
    ];
    println!("\nmemory: {} open orders, one item, 16-byte ids", grouped(orders));
    let share = |bytes| format!("{:.0} %", bytes / place * 100.0);
    let rows = measured.map(|(_, what, bytes)| vec![what.to_string(), format!("{bytes:.1}"), share(bytes)]);
    println!("{}", table(&["", "bytes/order", "share"], rows));
    let mut result = json!({ "orders": orders });
    measured.iter().for_each(|(name, _, bytes)| result[name] = json!(bytes));
    let bar = Bar {
        work: format!("memory of an open order, of {}", grouped(orders)),
        bar: format!("at most {BYTES_BAR:.0} bytes"),
        measured: format!("{place:.1} bytes"),
        reached: place <= BYTES_BAR,
    };
    Ok((result, vec![bar]))
}

/// What `orders` commands of `case` add to the server's used memory.
fn growth_bytes(subject: &mut Subject, case: Case, orders: u64) -> Result<u64> {
    case.prepare(&mut subject.control)?;
    let before = subject.settled_memory_bytes()?;
    subject.fill(case, 0..orders, FILL_PIPELINE)?;
    Ok(subject.settled_memory_bytes()?.saturating_sub(before))
}
