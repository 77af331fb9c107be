//! Orders at a steady pace with a worker that waits: how long each takes from the moment it was to be placed until its
//! completion was acknowledged.
//!
//! The pace is kept whatever the server does: an order that could be sent only late waits from when it was due.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::clock::stolen_ms;
use super::probe::{Waits, histogram};
use super::report::{Bar, Part};
use super::subject::{Aof, Subject, SubjectArgs};
use super::wire::{Batch, Wire};
use super::workload::{Case, Held, claim, order_id};
use crate::text::{grouped, ms};

/// One order in a hundred may take longer, in microseconds.
const P99_BAR_US: u64 = 5_000;
const TICK: Duration = Duration::from_millis(1);
const TICKS_A_SECOND: u64 = 1_000;
/// The first orders find cold code and empty tables: they do not count.
const WARM_S: u64 = 1;
/// Orders a worker takes at once, at most.
const CLAIM_COUNT: u64 = 200;

/// Places `per_s` orders a second for `seconds`, after one to warm up. Fails when the server does.
pub fn run(args: &SubjectArgs, per_s: u64, seconds: u64) -> Result<Part> {
    let mut subject = Subject::start(&args.with_aof(Aof::Everysec), &[Case::Place], &[])?;
    Case::Place.prepare(&mut subject.control)?;
    let a_tick = per_s.div_ceil(TICKS_A_SECOND);
    let ticks = (WARM_S + seconds) * TICKS_A_SECOND;
    let (orders, stolen) = (a_tick * ticks, stolen_ms()?);
    let batches: Vec<Batch> = subject.batches(Case::Place, 0..orders, a_tick).collect();
    let completions = subject.start_worker(move |wire, done| work(wire, orders, done))?;
    let start = Instant::now() + TICK;
    place(&mut subject.wire()?, &batches, start)?;
    let completed = completions.recv().context("the worker ended")??;
    let numbers: HashMap<String, u64> = (0..orders).map(|n| (order_id(n), n)).collect();
    let mut waits = histogram();
    for (order, at) in completed {
        let tick = numbers.get(&order).context("an order came that was not placed")? / a_tick;
        if tick >= WARM_S * TICKS_A_SECOND {
            let due = start + TICK * u32::try_from(tick)?;
            waits.saturating_record(u64::try_from(at.saturating_duration_since(due).as_micros())?);
        }
    }
    let (waits, stolen_ms) = (Waits::of(&waits), stolen_ms()? - stolen);
    let per_s = a_tick * TICKS_A_SECOND;
    println!("\npace: {} orders a second, AOF everysec, one waiting worker", grouped(per_s));
    Waits::print("from … until", [("due to be placed, completed", &waits)]);
    let bar = Bar {
        work: format!("placed → completed with a waiting worker, {} orders/s, p99", grouped(per_s)),
        bar: format!("at most {}", ms(P99_BAR_US)),
        measured: format!("{} (p50 {})", ms(waits.p99_us), ms(waits.p50_us)),
        reached: waits.p99_us <= P99_BAR_US,
    };
    Ok((json!({ "orders_per_s": per_s, "waits": waits, "stolen_ms": stolen_ms }), vec![bar]))
}

/// Sends a batch each tick, or as soon as the one before was answered.
fn place(wire: &mut Wire, batches: &[Batch], start: Instant) -> Result<()> {
    for (tick, batch) in (0..).zip(batches) {
        std::thread::sleep((start + TICK * tick).saturating_duration_since(Instant::now()));
        wire.exchange(batch)?;
    }
    Ok(())
}

/// An order that was completed, and when that was acknowledged.
type Completion = (String, Instant);

/// Waits for orders and completes them, until all are.
fn work(mut wire: Wire, orders: u64, done: &Sender<Result<Vec<Completion>>>) -> Result<()> {
    let next = claim(CLAIM_COUNT).arg("BLOCK").arg(0).take();
    let mut completed = Vec::new();
    while (completed.len() as u64) < orders {
        let held = Held::all(wire.call(&next)?)?;
        ensure!(!held.is_empty(), "a claim gave no order");
        wire.exchange(&held.iter().map(Held::complete).collect())?;
        let at = Instant::now();
        completed.extend(held.into_iter().map(|held| (held.id, at)));
    }
    done.send(Ok(completed)).context("nobody counts the orders")
}
