//! Bytes an open order takes, and one that ended and is remembered: the server's own count of used memory before and
//! after, divided by the orders.

use anyhow::{Result, ensure};
use redis::cmd;
use serde_json::json;

use super::report::{Bar, Part, table};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, Held, ORDERS, STORE, claim};
use crate::text::grouped;

/// An open order of one item and 16-byte ids may take this many bytes, its stream entry included.
const BYTES_BAR: f64 = 200.0;
/// One that was claimed and completed may take this many, its entry in `…:complete` included.
const ENDED_BYTES_BAR: f64 = 250.0;
/// Orders that are claimed and completed at once.
const BATCH: u64 = 1_000;

/// Places `orders` open orders, and the same with XADD and with the script. Fails when the server does.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    let mut subject = Subject::start(args, &[Case::Place], &[])?;
    let each = |bytes: u64| bytes as f64 / orders as f64;
    let xadd = each(growth_bytes(&mut subject, Case::Xadd, orders)?);
    let lua = each(growth_bytes(&mut subject, Case::Lua, orders)?);
    let empty = empty_bytes(&mut subject, Case::Place)?;
    subject.fill(Case::Place, 0..orders, FILL_PIPELINE)?;
    let place = each(subject.settled_memory_bytes()?.saturating_sub(empty));
    let [stream, store] = [each(subject.memory_usage_bytes(ORDERS)?), each(subject.memory_usage_bytes(STORE)?)];
    end_all(&mut subject, orders)?;
    let ended = each(subject.settled_memory_bytes()?.saturating_sub(empty));
    let measured = [
        ("place_bytes", "an open order (used memory)", place),
        ("stream_usage_bytes", "  of it the stream, by MEMORY USAGE", stream),
        ("store_usage_bytes", "  of it the store, by MEMORY USAGE", store),
        ("ended_bytes", "a completed order that is remembered (used memory)", ended),
        ("xadd_bytes", "the same entries by XADD (used memory)", xadd),
        ("lua_bytes", "the same orders by the Lua script (used memory)", lua),
    ];
    println!("\nmemory: {} open orders, one item, 16-byte ids", grouped(orders));
    let share = |bytes| format!("{:.0} %", bytes / place * 100.0);
    let rows = measured.map(|(_, what, bytes)| vec![what.to_string(), format!("{bytes:.1}"), share(bytes)]);
    println!("{}", table(&["", "bytes/order", "share"], rows));
    let mut result = json!({ "orders": orders });
    measured.iter().for_each(|(name, _, bytes)| result[name] = json!(bytes));
    let bar = |what, bytes: f64, most: f64| Bar {
        work: format!("memory of {what}, of {}", grouped(orders)),
        bar: format!("at most {most:.0} bytes"),
        measured: format!("{bytes:.1} bytes"),
        reached: bytes <= most,
    };
    let ended = bar("a completed order that is remembered", ended, ENDED_BYTES_BAR);
    Ok((result, vec![bar("an open order", place, BYTES_BAR), ended]))
}

/// What the server takes when there is nothing but the stock that `case` needs.
fn empty_bytes(subject: &mut Subject, case: Case) -> Result<u64> {
    case.prepare(&mut subject.control)?;
    subject.settled_memory_bytes()
}

/// What `orders` commands of `case` add to the server's used memory.
fn growth_bytes(subject: &mut Subject, case: Case, orders: u64) -> Result<u64> {
    let before = empty_bytes(subject, case)?;
    subject.fill(case, 0..orders, FILL_PIPELINE)?;
    Ok(subject.settled_memory_bytes()?.saturating_sub(before))
}

/// Claims and completes all orders; each stays in the history.
fn end_all(subject: &mut Subject, orders: u64) -> Result<()> {
    cmd("STORE.SET").arg(STORE).arg("history").arg(orders).exec(&mut subject.control)?;
    let mut wire = subject.wire()?;
    let mut ended = 0;
    while ended < orders {
        let held = Held::all(wire.call(&claim(BATCH))?)?;
        ensure!(!held.is_empty(), "{ended} of {orders} orders were handed out");
        wire.exchange(&held.iter().map(Held::complete).collect())?;
        ended += held.len() as u64;
    }
    Ok(())
}
