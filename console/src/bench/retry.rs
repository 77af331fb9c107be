//! How punctual retries are: from the moment ORDER.FAIL says an order is due until a waiting worker has it in hand, for
//! orders that fail at moments of no pattern; and how soon many that are due in the same millisecond can be claimed.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use serde::Serialize;

use super::clock::{early_in_a_millisecond, now, now_us, sleep_until};
use super::cputime::stolen;
use super::lab::{Lab, LabOptions};
use super::probe::{Waits, histogram};
use super::realtime;
use super::reply::Reply;
use super::report::{self, Bar};
use super::wire::{Wire, encode};
use super::workload::{Case, STORE};

/// One retry in a hundred may be later than this, in microseconds.
const LATE_P99_BAR_US: u64 = 5_000;
/// How long an order waits until it is tried again, in milliseconds.
const AFTER_MS: std::ops::RangeInclusive<u64> = 5..=500;
/// From one failure to the next, in microseconds: one worker keeps up with as many retries.
const PAUSE_US: std::ops::RangeInclusive<u64> = 1_000..=9_000;
/// Orders placed, claimed and completed together.
const BATCH: u64 = 100;
/// FAILs in flight: few enough to be done within the millisecond they were meant for.
const FAILS_A_MILLISECOND: usize = 64;
/// A burst is due so long after it begins to be made: a fixed part and one for each order, for a slow machine.
const LEAD_MS: u64 = 2_000;
const LEAD_US_AN_ORDER: u64 = 100;
/// Orders a worker claims at once in a burst.
const CLAIM_COUNT: &[u8] = b"1000";
/// Between two looks at the stream of retries.
const POLL_INTERVAL: Duration = Duration::from_micros(200);
/// PINGs from so long before a burst is due count towards it.
const PROBE_AHEAD_MS: u64 = 20;
/// Later than this, in milliseconds, they do not come at all.
const BURST_DEADLINE_MS: u64 = 60_000;
/// Longer than a run: the leases of the orders that are to fail must not end by themselves.
const LEASE_MS: &[u8] = b"600000";
const RETRY_STREAM: &str = "{bench}:retry";
/// Claims the orders that fail, and then their retries.
const WORKER: &[u8] = b"worker-1";

/// What was measured.
#[derive(Debug, Serialize)]
pub struct RetryResult {
    /// From due until in the worker's hand.
    lateness: Waits,
    /// Retries that were handed out before they were due.
    early: u64,
    burst: BurstResult,
    /// How long the hypervisor kept cores for others meanwhile, milliseconds of one core.
    stolen_ms: u64,
}

/// What became of many retries that were due in the same millisecond.
#[derive(Debug, Serialize)]
struct BurstResult {
    orders: u64,
    /// Retries whose due time missed the millisecond; they are due just after it.
    missed: u64,
    /// With nobody waiting: from due until all could be claimed, milliseconds.
    all_claimable_ms: f64,
    /// PING meanwhile: how long others were left waiting.
    ping: Waits,
    /// With a worker waiting that claims many at once: from due until it had the first, and until it had all.
    first_claimed_ms: f64,
    all_claimed_ms: f64,
}

/// Lets `retries` orders fail one by one, and twice `burst` orders for the same millisecond.
///
/// # Errors
/// When the server does not start, answers a command with an error, or an order never comes back.
pub fn run(lab_options: &LabOptions, retries: u64, burst: u64) -> Result<RetryResult> {
    let mut lab = Lab::start(lab_options, &[Case::Place], &[])?;
    let stolen_before = stolen()?;
    let (lateness, early) = measure_lateness(&mut lab, retries)?;
    let burst = measure_burst(&mut lab, burst)?;
    let stolen_ms = u64::try_from(stolen()?.saturating_sub(stolen_before).as_millis())?;
    let result = RetryResult { lateness, early, burst, stolen_ms };
    print(&result);
    Ok(result)
}

/// An order in a worker's hand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    id: Vec<u8>,
    token: Vec<u8>,
}

impl Held {
    /// Those of a reply to ORDER.CLAIM.
    fn all_of(claimed: &Reply) -> Result<Vec<Held>> {
        let text = |order: &Reply, name| Ok::<_, anyhow::Error>(order.field(name)?.bytes().into_owned());
        let held = |order| Ok(Held { id: text(order, "order")?, token: text(order, "token")? });
        claimed.elements().iter().map(held).collect()
    }

    fn encode_fail(&self, after_ms: u64, out: &mut Vec<u8>) {
        let after = after_ms.to_string();
        let (store, after) = (STORE.as_bytes(), after.as_bytes());
        encode(out, &[b"ORDER.FAIL", store, &self.id, b"TOKEN", &self.token, b"REASON", b"courier", b"AFTER", after]);
    }

    fn encode_complete(&self, out: &mut Vec<u8>) {
        encode(out, &[b"ORDER.COMPLETE", STORE.as_bytes(), &self.id, b"TOKEN", &self.token]);
    }
}

/// Places so many orders in an empty store and claims them.
fn hold(lab: &mut Lab, orders: u64) -> Result<Vec<Held>> {
    Case::Place.prepare(&mut lab.control)?;
    lab.fill(Case::Place, 0..orders, BATCH)?;
    let mut wire = lab.wire()?;
    let mut claim = Vec::new();
    let count = BATCH.to_string();
    encode(&mut claim, &[b"ORDER.CLAIM", STORE.as_bytes(), WORKER, b"COUNT", count.as_bytes(), b"LEASE", LEASE_MS]);
    let mut held = Vec::new();
    while (held.len() as u64) < orders {
        let claimed = Held::all_of(&wire.call(&claim, 1)?[0])?;
        ensure!(!claimed.is_empty(), "{} of {orders} orders were handed out", held.len());
        held.extend(claimed);
    }
    Ok(held)
}

/// An order that came back to a worker, and when, in Unix microseconds.
type Arrival = (Vec<u8>, u64);

/// Starts a worker that waits for retries and completes them, until it had `orders` of them, `count` at a time.
fn start_worker(lab: &Lab, orders: usize, count: &'static [u8]) -> Result<Receiver<Result<Arrival>>> {
    let (wire, favoured) = (lab.wire()?, lab.realtime());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        if let Err(error) = work(wire, orders, count, favoured, &tell) {
            // Nobody may listen any more: then there was another error before.
            let _ = tell.send(Err(error));
        }
    });
    Ok(told)
}

fn work(mut wire: Wire, orders: usize, count: &[u8], favoured: bool, tell: &Sender<Result<Arrival>>) -> Result<()> {
    if favoured {
        realtime::favour_this_thread()?;
    }
    let mut claim = Vec::new();
    let store = STORE.as_bytes();
    encode(&mut claim, &[b"ORDER.CLAIM", store, WORKER, b"COUNT", count, b"LEASE", LEASE_MS, b"BLOCK", b"0"]);
    let (mut had, mut batch, mut replies) = (0, Vec::new(), 0);
    while had < orders {
        // The completions and the next claim go out together, so that the worker hardly ever does not wait.
        batch.extend_from_slice(&claim);
        let claimed = wire.call(&batch, replies + 1)?.pop().context("no reply to ORDER.CLAIM")?;
        let at_us = now_us();
        let held = Held::all_of(&claimed)?;
        batch.clear();
        held.iter().for_each(|held| held.encode_complete(&mut batch));
        replies = held.len() as u64;
        had += held.len();
        held.into_iter().try_for_each(|held| tell.send(Ok((held.id, at_us)))).context("nobody counts the retries")?;
    }
    wire.exchange(&batch, replies)
}

/// Fails orders one by one; how late they came back, and how many came too early.
fn measure_lateness(lab: &mut Lab, retries: u64) -> Result<(Waits, u64)> {
    let held = hold(lab, retries)?;
    let arrivals = start_worker(lab, held.len(), b"1")?;
    let due_ms = fail_one_by_one(&mut lab.wire()?, &held)?;
    let mut lateness = histogram()?;
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
fn fail_one_by_one(wire: &mut Wire, held: &[Held]) -> Result<HashMap<Vec<u8>, u64>> {
    let mut random = rand::rng();
    let mut fail = Vec::new();
    let mut due_ms = HashMap::new();
    for order in held {
        std::thread::sleep(Duration::from_micros(random.random_range(PAUSE_US)));
        fail.clear();
        order.encode_fail(random.random_range(AFTER_MS), &mut fail);
        let replies = wire.call(&fail, 1)?;
        due_ms.insert(order.id.clone(), due_of(&replies[0])?);
    }
    Ok(due_ms)
}

/// When an order is due, of the reply to ORDER.FAIL.
fn due_of(failed: &Reply) -> Result<u64> {
    Ok(u64::try_from(failed.field("due")?.number()?)?)
}

/// Two bursts: one that nobody waits for, one for a waiting worker.
fn measure_burst(lab: &mut Lab, orders: u64) -> Result<BurstResult> {
    let held = hold(lab, orders)?;
    let (due_ms, missed) = fail_at_once(&mut lab.wire()?, &held)?;
    sleep_until(due_ms - PROBE_AHEAD_MS);
    let probe = lab.probe()?;
    let all_claimable_ms = await_claimable(lab, due_ms, orders)?;
    let ping = probe.stop()?;

    let held = hold(lab, orders)?;
    let arrivals = start_worker(lab, held.len(), CLAIM_COUNT)?;
    let (due_ms, missed_again) = fail_at_once(&mut lab.wire()?, &held)?;
    let at_us = held.iter().map(|_| Ok(arrivals.recv().context("the worker ended")??.1)).collect::<Result<Vec<_>>>()?;
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
fn fail_at_once(wire: &mut Wire, held: &[Held]) -> Result<(u64, u64)> {
    let due_ms = now().0 + LEAD_MS + held.len() as u64 * LEAD_US_AN_ORDER / 1000;
    let (mut fails, mut missed) = (Vec::new(), 0);
    for part in held.chunks(FAILS_A_MILLISECOND) {
        let after_ms = due_ms.saturating_sub(early_in_a_millisecond());
        ensure!(after_ms > 0, "making {} orders fail took too long: they are due already", held.len());
        fails.clear();
        part.iter().for_each(|order| order.encode_fail(after_ms, &mut fails));
        for reply in wire.call(&fails, part.len() as u64)? {
            missed += u64::from(due_of(&reply)? != due_ms);
        }
    }
    Ok((due_ms, missed))
}

/// Waits until the stream of retries has an entry for every order; milliseconds after they were due.
fn await_claimable(lab: &mut Lab, due_ms: u64, orders: u64) -> Result<f64> {
    loop {
        let claimable: u64 = redis::cmd("XLEN").arg(RETRY_STREAM).query(&mut lab.control)?;
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

fn print(result: &RetryResult) {
    println!("\nretries: from due until in the hand of a waiting worker");
    println!("{}", report::table(&Waits::header("retries"), [result.lateness.row("one by one")]));
    let burst = &result.burst;
    println!(
        "{} due in the same millisecond: all claimable after {:.1} ms (PING waited {} at most); a waiting worker had \
         the first after {:.1} ms, all after {:.1} ms",
        report::thousands(burst.orders),
        burst.all_claimable_ms,
        report::ms(burst.ping.max_us),
        burst.first_claimed_ms,
        burst.all_claimed_ms
    );
    if burst.missed > 0 {
        println!("({} of them, of two bursts together, due a little later)", report::thousands(burst.missed));
    }
    if result.early > 0 {
        println!("{} RETRIES CAME BEFORE THEY WERE DUE", result.early);
    }
    println!("({} ms stolen)", result.stolen_ms);
}

/// The bar for punctuality.
pub fn bars(result: &RetryResult) -> Vec<Bar> {
    vec![Bar {
        work: "a retry in a waiting worker's hand after it is due, p99".into(),
        bar: format!("at most {}, never early", report::ms(LATE_P99_BAR_US)),
        measured: format!("{}, {} early", report::ms(result.lateness.p99_us), result.early),
        reached: result.lateness.p99_us <= LATE_P99_BAR_US && result.early == 0,
    }]
}

#[cfg(test)]
mod tests {
    use super::{BurstResult, Held, Reply, RetryResult, Waits, bars, due_of, ms_after};

    fn result(p99_us: u64, early: u64) -> RetryResult {
        let lateness = Waits { count: 1, p50_us: 1, p99_us, p999_us: p99_us, max_us: p99_us };
        let burst = BurstResult {
            orders: 1,
            missed: 0,
            all_claimable_ms: 0.0,
            ping: lateness.clone(),
            first_claimed_ms: 0.0,
            all_claimed_ms: 0.0,
        };
        RetryResult { lateness, early, burst, stolen_ms: 0 }
    }

    #[test]
    fn a_retry_may_be_a_little_late_and_never_early() {
        assert!(bars(&result(5_000, 0))[0].reached);
        assert!(!bars(&result(5_001, 0))[0].reached);
        assert!(!bars(&result(1_000, 1))[0].reached);
    }

    #[test]
    fn reads_claims_and_failures() {
        let read = |text: &str| Reply::read(&mut text.as_bytes()).unwrap();
        let claimed = read("*1\r\n*4\r\n$5\r\norder\r\n$3\r\no-1\r\n$5\r\ntoken\r\n:7\r\n");
        assert_eq!(Held::all_of(&claimed).unwrap(), vec![Held { id: b"o-1".to_vec(), token: b"7".to_vec() }]);
        assert_eq!(Held::all_of(&Reply::Nil).unwrap(), vec![]);
        let failed = read("*6\r\n$5\r\nstate\r\n$8\r\nretrying\r\n$7\r\nattempt\r\n:1\r\n$3\r\ndue\r\n:1700\r\n");
        assert_eq!(due_of(&failed).unwrap(), 1_700);
    }

    #[test]
    fn tells_how_long_after_a_millisecond() {
        assert_eq!(ms_after(1_000, 1_002_500), 2.5);
        assert_eq!(ms_after(1_000, 999_000), -1.0);
    }
}
