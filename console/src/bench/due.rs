//! A million holds are due in the same millisecond: how long do others wait, and when are all the units back?

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::{Value, cmd};
use serde::Serialize;
use serde_json::json;

use super::clock::{CpuTime, early_in_a_millisecond, now_ms, sleep_until, stolen_ms};
use super::probe::{PingProbe, Waits};
use super::report::{Bar, Part};
use super::stalls::{Longest, TRACK_SLOWEST};
use super::subject::{Subject, SubjectArgs};
use super::wire::{Batch, Wire};
use super::workload::{Case, STORE, order_id, reserve, sku_id};
use crate::store::SkuCounts;
use crate::text::{counted, grouped};

/// Nobody may wait longer for the server, in microseconds.
const STALL_BAR_US: u64 = 10_000;
/// All units are to be back after this many milliseconds.
const BACK_BAR_MS: u64 = 5_000;
/// Commands in flight: few enough to be done within the millisecond they were meant for.
const BATCH: usize = 128;
/// How far off the deadline is: a fixed part and one for each hold, for a machine many times slower than needed.
const LEAD_MS: u64 = 10_000;
const LEAD_US_A_HOLD: u64 = 30;
/// Reserving must be done this long before the deadline, for the quiet time that is measured as well.
const QUIET_MS: u64 = 2_000;
/// PINGs from this long before the deadline count towards it.
const PROBE_AHEAD_MS: u64 = 20;
const POLL_INTERVAL: Duration = Duration::from_millis(2);
const BACK_DEADLINE_MS: u64 = 120_000;

#[derive(Debug, Serialize)]
struct Back {
    /// PING from just before the deadline until all units are back.
    ping: Waits,
    /// From the deadline until the first unit was seen to be back, milliseconds.
    first_back_ms: u64,
    all_back_ms: u64,
    /// CPU of the main thread a hold, microseconds, replies to INV.GET and PING included.
    cpu_us: f64,
    stolen_ms: u64,
    longest: Longest,
}

/// Lets `holds` holds of one unit be due at once. Fails when the server does, or units never come back.
pub fn run(subject: &SubjectArgs, holds: u64) -> Result<Part> {
    let mut subject = Subject::start(subject, &[Case::Reserve], &TRACK_SLOWEST)?;
    Case::Reserve.prepare(&mut subject.control)?;
    let on_hand = available(&mut subject)?;
    let deadline_ms = now_ms() + LEAD_MS + holds * LEAD_US_A_HOLD / 1000;
    let late_holds = reserve_all(&subject, holds, deadline_ms)?;
    let left_ms = deadline_ms as i64 - now_ms() as i64;
    ensure!(left_ms > QUIET_MS as i64, "reserving {holds} holds took too long: they are due in {left_ms} ms already");
    let held = on_hand - available(&mut subject)?;
    ensure!(held == holds as i64, "{held} units are held, {holds} were reserved");
    let probe = PingProbe::start(&subject)?;
    sleep_until(deadline_ms - PROBE_AHEAD_MS);
    let quiet = probe.stop()?;
    let back = watch(&mut subject, holds, deadline_ms, on_hand)?;
    print(holds, late_holds, &quiet, &back);
    let bars = bars(&grouped(holds), &quiet, &back);
    let mut result = json!(back);
    result["holds"] = json!(holds);
    // Their deadline could not be brought to the very millisecond; they are due just after it.
    result["late_holds"] = json!(late_holds);
    // PING while nothing is due: what the machine does to it anyway.
    result["quiet"] = json!(quiet);
    Ok((result, bars.into()))
}

/// Looks at the stock until it is all back, while another client probes.
fn watch(subject: &mut Subject, holds: u64, deadline_ms: u64, on_hand: i64) -> Result<Back> {
    cmd("CONFIG").arg("RESETSTAT").exec(&mut subject.control)?;
    let stolen = stolen_ms()?;
    let before = CpuTime::when_idle(subject.pid)?;
    let probe = PingProbe::start(subject)?;
    let least = available(subject)?;
    let mut first_back_ms = None;
    loop {
        let units = available(subject)?;
        let past_ms = now_ms().saturating_sub(deadline_ms);
        if units > least {
            first_back_ms.get_or_insert(past_ms);
        }
        if units == on_hand {
            let cpu_us = CpuTime::now(subject.pid)?.since(before).main_ns as f64 / 1e3 / holds as f64;
            let (ping, first_back_ms) = (probe.stop()?, first_back_ms.unwrap_or(past_ms));
            let (stolen_ms, longest) = (stolen_ms()? - stolen, Longest::of(subject)?);
            return Ok(Back { ping, first_back_ms, all_back_ms: past_ms, cpu_us, stolen_ms, longest });
        }
        ensure!(past_ms < BACK_DEADLINE_MS, "{} units were not back after {past_ms} ms", on_hand - units);
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Units available of the one SKU that is held.
fn available(subject: &mut Subject) -> Result<i64> {
    let counts: Vec<SkuCounts> = cmd("INV.GET").arg(STORE).arg(sku_id(0)).query(&mut subject.control)?;
    Ok(counts.first().context("INV.GET replied no SKU")?.available)
}

/// Reserves all holds, again and again those that missed the millisecond; how many still miss it in the end.
///
/// A deadline is given as a duration and the server adds its clock, so a hold whose command came a millisecond too late
/// is due as much too late. It is released then and made again under another id.
fn reserve_all(subject: &Subject, holds: u64, deadline_ms: u64) -> Result<usize> {
    let mut wire = subject.wire()?;
    let mut numbers = 0..u64::MAX;
    let mut wanted = usize::try_from(holds)?;
    while wanted > 0 {
        let late = reserve_batches(&mut wire, numbers.by_ref().take(wanted).collect(), deadline_ms)?;
        wanted = late.len();
        if now_ms() + 2 * QUIET_MS > deadline_ms {
            break;
        }
        release(&mut wire, &late)?;
    }
    Ok(wanted)
}

/// Reserves a hold for each number; the numbers of those that are due too late.
fn reserve_batches(wire: &mut Wire, numbers: Vec<u64>, deadline_ms: u64) -> Result<Vec<u64>> {
    let on_time = Value::Int(i64::try_from(deadline_ms)?);
    let mut late = Vec::new();
    for part in numbers.chunks(BATCH) {
        let ttl_ms = deadline_ms.saturating_sub(early_in_a_millisecond()).max(1);
        let batch = part.iter().map(|&n| reserve(n).arg("TTL").arg(ttl_ms).arg(("ITEMS", sku_id(0), 1)).take());
        let replies = wire.exchange(&batch.collect())?;
        late.extend(part.iter().zip(replies).filter(|(_, due)| *due != on_time).map(|(n, _)| n));
    }
    Ok(late)
}

fn release(wire: &mut Wire, numbers: &[u64]) -> Result<()> {
    let release = |n: &u64| cmd("INV.RELEASE").arg(STORE).arg(order_id(*n)).take();
    let batch = |part: &[u64]| part.iter().map(release).collect::<Batch>();
    numbers.chunks(BATCH).try_for_each(|part| wire.exchange(&batch(part)).map(drop))
}

fn print(holds: u64, late_holds: usize, quiet: &Waits, back: &Back) {
    println!("\ndue: {} holds due in the same millisecond", grouped(holds));
    if late_holds > 0 {
        println!("({} of them a little later)", grouped(late_holds as u64));
    }
    Waits::print("PING", [("before the deadline", quiet), ("from the deadline on", &back.ping)]);
    let units = counted!("first unit back after {} ms, all after {} ms", back.first_back_ms, back.all_back_ms);
    println!("{units}; {:.2} µs CPU a hold; {} ms stolen", back.cpu_us, back.stolen_ms);
}

fn bars(holds: &str, quiet: &Waits, back: &Back) -> [Bar; 3] {
    let own = format!("by the server's own clock, {holds} holds due at once");
    let stall = format!("worst stall, {holds} holds due at once");
    [
        Bar::wait(stall, back.ping.max_us, STALL_BAR_US, ("nothing due", quiet.max_us)),
        Bar {
            work: format!("all units back, {holds} holds due at once"),
            bar: format!("within {} ms", grouped(BACK_BAR_MS)),
            measured: format!("{} ms", grouped(back.all_back_ms)),
            reached: back.all_back_ms <= BACK_BAR_MS,
        },
        back.longest.bar(own),
    ]
}
