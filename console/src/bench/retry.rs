//! How punctual retries are: from the moment ORDER.FAIL says an order is due until a waiting worker has it in hand, for
//! orders that fail at moments of no pattern; and how soon many that are due in the same millisecond can be claimed.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use redis::{Cmd, FromRedisValue, Value, cmd};
use serde::Serialize;
use serde_json::json;

use super::clock::{early_in_a_millisecond, now_ms, now_us, sleep_until, stolen_ms};
use super::probe::{PingProbe, Waits, histogram};
use super::report::{Bar, Part};
use super::subject::{Subject, SubjectArgs};
use super::wire::Wire;
use super::workload::{Case, Held, STORE, claim};
use crate::store::Fields;
use crate::text::{grouped, ms};

/// One retry in a hundred may be later than this, in microseconds.
const LATE_P99_BAR_US: u64 = 5_000;
/// How long an order waits until it is tried again, in milliseconds.
const AFTER_MS: RangeInclusive<u64> = 5..=500;
/// From one failure to the next, in microseconds: one worker keeps up with as many retries.
const PAUSE_US: RangeInclusive<u64> = 1_000..=9_000;
const BATCH: u64 = 100;
/// FAILs in flight: few enough to be done within the millisecond they were meant for.
const FAILS_A_MILLISECOND: usize = 64;
/// A burst is due this long after it begins to be made: a fixed part and one for each order, for a slow machine.
const LEAD_MS: u64 = 2_000;
const LEAD_US_AN_ORDER: u64 = 100;
const CLAIM_COUNT: u64 = 1_000;
const POLL_INTERVAL: Duration = Duration::from_micros(200);
/// PINGs from this long before a burst is due count towards it.
const PROBE_AHEAD_MS: u64 = 20;
/// Later than this, in milliseconds, they do not come at all.
const BURST_DEADLINE_MS: u64 = 60_000;
const RETRY_STREAM: &str = "{bench}:retry";

#[derive(Debug, Serialize)]
struct BurstResult {
    orders: u64,
    /// Retries whose due time missed the millisecond; they are due just after it.
    missed: usize,
    /// With nobody waiting: from due until all could be claimed, milliseconds.
    all_claimable_ms: f64,
    /// PING meanwhile: how long others were left waiting.
    ping: Waits,
    /// With a worker waiting that claims many at once: from due until it had the first, and until it had all.
    first_claimed_ms: f64,
    all_claimed_ms: f64,
}

/// Lets `retries` orders fail one by one, and twice `burst` at once. Fails when the server does, or one never returns.
pub fn run(args: &SubjectArgs, retries: u64, burst: u64) -> Result<Part> {
    let mut subject = Subject::start(args, &[Case::Place], &[])?;
    let stolen = stolen_ms()?;
    let (lateness, early) = measure_lateness(&mut subject, retries)?;
    let burst = measure_burst(&mut subject, burst)?;
    let stolen_ms = stolen_ms()? - stolen;
    print(&lateness, early, &burst);
    println!("({stolen_ms} ms stolen)");
    let p99_us = lateness.p99_us;
    let bar = Bar {
        work: "a retry in a waiting worker's hand after it is due, p99".into(),
        bar: format!("at most {}, never early", ms(LATE_P99_BAR_US)),
        measured: format!("{}, {early} early", ms(p99_us)),
        reached: p99_us <= LATE_P99_BAR_US && early == 0,
    };
    Ok((json!({ "lateness": lateness, "early": early, "burst": burst, "stolen_ms": stolen_ms }), vec![bar]))
}

fn fail(held: &Held, after_ms: u64) -> Cmd {
    let reason = ("REASON", "courier", "AFTER", after_ms);
    cmd("ORDER.FAIL").arg(STORE).arg(&held.id).arg(("TOKEN", held.token)).arg(reason).take()
}

/// When an order is due in Unix milliseconds, of the reply to ORDER.FAIL.
fn due_of(failed: Value) -> Result<u64> {
    Ok(Fields::from_redis_value(failed)?.get("due")?)
}

/// Places this number of orders in an empty store and claims them.
fn hold(subject: &mut Subject, orders: u64) -> Result<Vec<Held>> {
    Case::Place.prepare(&mut subject.control)?;
    subject.fill(Case::Place, 0..orders, BATCH)?;
    let mut wire = subject.wire()?;
    let mut held = Vec::new();
    while (held.len() as u64) < orders {
        let claimed = Held::all(wire.call(&claim(BATCH))?)?;
        ensure!(!claimed.is_empty(), "{} of {orders} orders were handed out", held.len());
        held.extend(claimed);
    }
    Ok(held)
}

/// An order that came back to a worker, and when, in Unix microseconds.
type Arrival = (String, u64);

/// Waits for retries and completes them, until it had `orders` of them, `count` at a time.
fn work(mut wire: Wire, orders: usize, count: u64, arrivals: &Sender<Result<Arrival>>) -> Result<()> {
    let claim = claim(count).arg("BLOCK").arg(0).take();
    let (mut had, mut completions) = (0, Vec::new());
    while had < orders {
        // The completions and the next claim go out together, so that the worker hardly ever does not wait.
        let batch = completions.into_iter().chain([claim.clone()]).collect();
        let claimed = wire.exchange(&batch)?.pop().context("no reply to ORDER.CLAIM")?;
        let at_us = now_us();
        let held = Held::all(claimed)?;
        completions = held.iter().map(Held::complete).collect();
        had += held.len();
        let arrived = |held: Held| arrivals.send(Ok((held.id, at_us)));
        held.into_iter().try_for_each(arrived).context("nobody counts the retries")?;
    }
    wire.exchange(&completions.into_iter().collect()).map(drop)
}

/// Fails orders one by one; how late they came back, and how many came too early.
fn measure_lateness(subject: &mut Subject, retries: u64) -> Result<(Waits, u64)> {
    let held = hold(subject, retries)?;
    let orders = held.len();
    let arrivals = subject.start_worker(move |wire, arrivals| work(wire, orders, 1, arrivals))?;
    let due_ms = fail_one_by_one(&mut subject.wire()?, &held)?;
    let mut lateness = histogram();
    let mut early = 0;
    for _ in &held {
        let (order, at_us) = arrivals.recv().context("the worker ended")??;
        let due = due_ms.get(&order).context("an order came back that had not failed")?;
        match at_us.checked_sub(due * 1000) {
            Some(late_us) => lateness.saturating_record(late_us),
            None => early += 1,
        }
    }
    Ok((Waits::of(&lateness), early))
}

/// Fails every order at a moment of its own; when each is due, in Unix milliseconds.
fn fail_one_by_one(wire: &mut Wire, held: &[Held]) -> Result<HashMap<String, u64>> {
    let mut random = rand::rng();
    let mut due_ms = HashMap::new();
    for order in held {
        std::thread::sleep(Duration::from_micros(random.random_range(PAUSE_US)));
        let failed = wire.call(&fail(order, random.random_range(AFTER_MS)))?;
        due_ms.insert(order.id.clone(), due_of(failed)?);
    }
    Ok(due_ms)
}

/// Two bursts: one that nobody waits for, one for a waiting worker.
fn measure_burst(subject: &mut Subject, orders: u64) -> Result<BurstResult> {
    let held = hold(subject, orders)?;
    let (due_ms, missed) = fail_at_once(&mut subject.wire()?, &held)?;
    sleep_until(due_ms - PROBE_AHEAD_MS);
    let probe = PingProbe::start(subject)?;
    let all_claimable_ms = await_claimable(subject, due_ms, orders)?;
    let ping = probe.stop()?;

    let held = hold(subject, orders)?;
    let count = held.len();
    let arrivals = subject.start_worker(move |wire, arrivals| work(wire, count, CLAIM_COUNT, arrivals))?;
    let (due_ms, missed_again) = fail_at_once(&mut subject.wire()?, &held)?;
    let arrived = |_: &Held| Ok(arrivals.recv().context("the worker ended")??.1);
    let at_us = held.iter().map(arrived).collect::<Result<Vec<_>>>()?;
    let after_ms = |at_us: Option<&u64>| at_us.map_or(0.0, |at_us| ms_after(due_ms, *at_us));
    Ok(BurstResult {
        orders,
        missed: missed + missed_again,
        all_claimable_ms,
        ping,
        first_claimed_ms: after_ms(at_us.first()),
        all_claimed_ms: after_ms(at_us.last()),
    })
}

/// Fails all orders so that they are due in the same millisecond; which, and how many missed it.
fn fail_at_once(wire: &mut Wire, held: &[Held]) -> Result<(u64, usize)> {
    let due_ms = now_ms() + LEAD_MS + held.len() as u64 * LEAD_US_AN_ORDER / 1000;
    let mut missed = 0;
    for part in held.chunks(FAILS_A_MILLISECOND) {
        let after_ms = due_ms.saturating_sub(early_in_a_millisecond());
        ensure!(after_ms > 0, "making {} orders fail took too long: they are due already", held.len());
        for failed in wire.exchange(&part.iter().map(|order| fail(order, after_ms)).collect())? {
            missed += usize::from(due_of(failed)? != due_ms);
        }
    }
    Ok((due_ms, missed))
}

/// Waits until the stream of retries has an entry for every order; milliseconds after they were due.
fn await_claimable(subject: &mut Subject, due_ms: u64, orders: u64) -> Result<f64> {
    loop {
        let claimable: u64 = cmd("XLEN").arg(RETRY_STREAM).query(&mut subject.control)?;
        let at_us = now_us();
        if claimable == orders {
            return Ok(ms_after(due_ms, at_us));
        }
        ensure!(at_us / 1000 < due_ms + BURST_DEADLINE_MS, "of {orders} retries {claimable} could be claimed");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// From a Unix time in milliseconds to one in microseconds; below 0 where that is before.
fn ms_after(due_ms: u64, at_us: u64) -> f64 {
    (at_us as f64 - due_ms as f64 * 1e3) / 1e3
}

fn print(lateness: &Waits, early: u64, burst: &BurstResult) {
    println!("\nretries: from due until in the hand of a waiting worker");
    Waits::print("retries", [("one by one", lateness)]);
    println!(
        "{} due in the same millisecond: all claimable after {:.1} ms (PING waited {} at most); a waiting worker had \
         the first after {:.1} ms, all after {:.1} ms",
        grouped(burst.orders),
        burst.all_claimable_ms,
        ms(burst.ping.max_us),
        burst.first_claimed_ms,
        burst.all_claimed_ms
    );
    if burst.missed > 0 {
        println!("({} of them, of two bursts together, due a little later)", grouped(burst.missed as u64));
    }
    if early > 0 {
        println!("{early} RETRIES CAME BEFORE THEY WERE DUE");
    }
}
