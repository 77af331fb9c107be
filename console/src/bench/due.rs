//! A million holds that are due in the same millisecond: how long does the server leave others waiting, and how soon
//! are all the units back?

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::clock::{early_in_a_millisecond, now, sleep_until};
use super::cputime::{CpuTime, stolen};
use super::lab::{Lab, LabOptions};
use super::probe::Waits;
use super::report::{self, Bar};
use super::wire::{Wire, encode};
use super::workload::{Case, STORE, customer_id, order_id, sku_id};

/// Nobody may wait longer for the server, in microseconds.
const STALL_BAR_US: u64 = 10_000;
/// All units are to be back after so many milliseconds.
const BACK_BAR_MS: u64 = 5_000;
/// Commands in flight: few enough to be done within the millisecond they were meant for.
const BATCH: usize = 128;
/// The deadline lies so far off: a fixed part and one for each hold, for a machine many times slower than needed.
const LEAD_MS: u64 = 10_000;
const LEAD_US_A_HOLD: u64 = 30;
/// Reserving must be done so long before the deadline, for the quiet time that is measured as well.
const QUIET_MS: u64 = 2_000;
/// PINGs from so long before the deadline count towards it.
const PROBE_AHEAD_MS: u64 = 20;
/// Between two looks at the stock.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Later than this they do not come back at all.
const BACK_DEADLINE_MS: u64 = 120_000;

/// What happened at the deadline.
#[derive(Debug, Serialize)]
pub struct DueResult {
    holds: u64,
    /// Holds whose deadline could not be brought to the very millisecond; they are due just after it.
    late_holds: u64,
    /// PING on the same server while nothing is due: what the machine does to it anyway.
    quiet: Waits,
    /// PING from just before the deadline until all units are back.
    ping: Waits,
    /// From the deadline until the first unit was seen to be back, milliseconds.
    first_back_ms: u64,
    /// From the deadline until all units were back, milliseconds.
    all_back_ms: u64,
    /// CPU of the main thread a hold, microseconds, replies to INV.GET and PING included.
    cpu_us: f64,
    /// How long the hypervisor kept cores for others meanwhile, milliseconds of one core.
    stolen_ms: u64,
}

/// Reserves `holds` holds of one unit each for the same deadline, and waits for it.
///
/// # Errors
/// When the server does not start, answers a command with an error, or the units never come back.
pub fn run(lab_options: &LabOptions, holds: u64) -> Result<DueResult> {
    let mut lab = Lab::start(lab_options, &[Case::Reserve], &[])?;
    Case::Reserve.prepare(&mut lab.control)?;
    let on_hand = available(&mut lab)?;
    let deadline_ms = now().0 + LEAD_MS + holds * LEAD_US_A_HOLD / 1000;
    let late_holds = reserve_all(&lab, holds, deadline_ms)?;
    ensure!(
        now().0 + QUIET_MS < deadline_ms,
        "reserving {holds} holds took too long: they are due in {} ms already",
        deadline_ms as i64 - now().0 as i64
    );
    let held = on_hand - available(&mut lab)?;
    ensure!(held == holds as i64, "{held} units are held, {holds} were reserved");
    let quiet = lab.probe()?;
    sleep_until(deadline_ms - PROBE_AHEAD_MS);
    let quiet = quiet.stop()?;
    let stolen_before = stolen()?;
    let watched = watch(&mut lab, deadline_ms, on_hand)?;
    let result = DueResult {
        holds,
        late_holds,
        quiet,
        ping: watched.ping,
        first_back_ms: watched.first_back_ms,
        all_back_ms: watched.all_back_ms,
        cpu_us: watched.used.main_ns as f64 / 1e3 / holds as f64,
        stolen_ms: u64::try_from(stolen()?.saturating_sub(stolen_before).as_millis())?,
    };
    print(&result);
    Ok(result)
}

/// What was seen around the deadline.
#[derive(Debug)]
struct Watched {
    ping: Waits,
    first_back_ms: u64,
    all_back_ms: u64,
    used: CpuTime,
}

/// Looks at the stock until it is all back, while another client probes.
fn watch(lab: &mut Lab, deadline_ms: u64, on_hand: i64) -> Result<Watched> {
    let before = lab.cpu()?;
    let probe = lab.probe()?;
    let least = available(lab)?;
    let mut first_back_ms = None;
    loop {
        let units = available(lab)?;
        let past_ms = now().0.saturating_sub(deadline_ms);
        if units > least {
            first_back_ms.get_or_insert(past_ms);
        }
        if units == on_hand {
            let (used, ping) = (lab.cpu_now()?.since(before), probe.stop()?);
            return Ok(Watched { ping, first_back_ms: first_back_ms.unwrap_or(past_ms), all_back_ms: past_ms, used });
        }
        ensure!(past_ms < BACK_DEADLINE_MS, "{} units were not back after {past_ms} ms", on_hand - units);
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Units available of the one SKU that is held.
fn available(lab: &mut Lab) -> Result<i64> {
    let skus: Vec<HashMap<String, i64>> =
        redis::cmd("INV.GET").arg(STORE).arg(&sku_id(0)).query(&mut lab.control).context("INV.GET")?;
    skus.first().and_then(|sku| sku.get("available")).copied().context("INV.GET tells no available units")
}

/// Reserves all holds, again and again those that missed the millisecond; how many still miss it in the end.
///
/// A deadline is given as a duration and the server adds its clock, so a hold whose command came a millisecond too late
/// is due as much too late. It is released then and made again under another id.
fn reserve_all(lab: &Lab, holds: u64, deadline_ms: u64) -> Result<u64> {
    let mut wire = lab.wire()?;
    let mut numbers = 0..u64::MAX;
    let mut wanted = holds;
    while wanted > 0 {
        let late = reserve_batches(&mut wire, numbers.by_ref().take(wanted as usize), deadline_ms)?;
        wanted = late.len() as u64;
        if now().0 + 2 * QUIET_MS > deadline_ms {
            break;
        }
        release(&mut wire, &late)?;
    }
    Ok(wanted)
}

/// Reserves a hold for each number; the numbers of those that are due too late.
fn reserve_batches(wire: &mut Wire, numbers: impl Iterator<Item = u64>, deadline_ms: u64) -> Result<Vec<u64>> {
    let on_time = format!(":{deadline_ms}");
    let numbers: Vec<u64> = numbers.collect();
    let (mut batch, mut late) = (Vec::new(), Vec::new());
    for part in numbers.chunks(BATCH) {
        let ttl_ms = deadline_ms.saturating_sub(early_in_a_millisecond()).max(1).to_string();
        batch.clear();
        part.iter().for_each(|&n| encode_reserve(n, &ttl_ms, &mut batch));
        let mut held = part.iter();
        wire.exchange_with(&batch, part.len() as u64, |reply| {
            let number = held.next();
            late.extend(number.filter(|_| reply != on_time.as_bytes()));
        })?;
    }
    Ok(late)
}

fn encode_reserve(n: u64, ttl_ms: &str, out: &mut Vec<u8>) {
    let (hold, customer, sku) = (order_id(n), customer_id(n), sku_id(0));
    encode(
        out,
        &[
            b"INV.RESERVE",
            STORE.as_bytes(),
            &hold,
            b"CUSTOMER",
            &customer,
            b"TTL",
            ttl_ms.as_bytes(),
            b"ITEMS",
            &sku,
            b"1",
        ],
    );
}

fn release(wire: &mut Wire, numbers: &[u64]) -> Result<()> {
    let mut batch = Vec::new();
    for part in numbers.chunks(BATCH) {
        batch.clear();
        part.iter().for_each(|&n| encode(&mut batch, &[b"INV.RELEASE", STORE.as_bytes(), &order_id(n)]));
        wire.exchange(&batch, part.len() as u64)?;
    }
    Ok(())
}

fn print(result: &DueResult) {
    println!("\ndue: {} holds due in the same millisecond", report::thousands(result.holds));
    if result.late_holds > 0 {
        println!("({} of them a little later)", report::thousands(result.late_holds));
    }
    let rows = [result.quiet.row("before the deadline"), result.ping.row("from the deadline on")];
    println!("{}", report::table(&Waits::header("PING"), rows));
    println!(
        "first unit back after {} ms, all after {} ms; {:.2} µs CPU a hold; {} ms stolen",
        report::thousands(result.first_back_ms),
        report::thousands(result.all_back_ms),
        result.cpu_us,
        result.stolen_ms
    );
}

/// The bars for what is due at once.
pub fn bars(result: &DueResult) -> Vec<Bar> {
    let holds = report::thousands(result.holds);
    vec![
        Bar {
            work: format!("worst stall, {holds} holds due at once"),
            bar: format!("at most {}", report::ms(STALL_BAR_US)),
            measured: format!("{} (nothing due: {})", report::ms(result.ping.max_us), report::ms(result.quiet.max_us)),
            reached: result.ping.max_us <= STALL_BAR_US,
        },
        Bar {
            work: format!("all units back, {holds} holds due at once"),
            bar: format!("within {} ms", report::thousands(BACK_BAR_MS)),
            measured: format!("{} ms", report::thousands(result.all_back_ms)),
            reached: result.all_back_ms <= BACK_BAR_MS,
        },
    ]
}
