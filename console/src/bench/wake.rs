//! How soon a waiting worker has an order in hand: from before ORDER.PLACE is sent until the reply to ORDER.CLAIM has
//! been read, two threads of one process on one clock. For comparison: the same with a list, with a stream, and a PING.

use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rand::RngExt;
use redis::{Cmd, cmd};
use serde::Serialize;
use serde_json::json;

use super::clock::stolen_ms;
use super::probe::{Waits, histogram};
use super::report::{Bar, Part};
use super::subject::{Subject, SubjectArgs};
use super::wire::{Batch, Wire};
use super::workload::{Case, GROUP, Held, ORDERS, STORE, WORKER, read_group};

/// One wake-up in a hundred may take longer than this, in microseconds.
const WAKE_P99_BAR_US: u64 = 1_000;
/// From one wake-up to the next, in microseconds: long enough for the worker to wait again, never in step with a timer.
const PAUSE_US: RangeInclusive<u64> = 1_000..=3_000;
/// How often the ways take turns, so that they meet the same machine.
const TURNS: u64 = 4;
/// The first wake-ups of a turn meet cold caches and do not count.
const WARM_UP: u64 = 20;
const LIST: &str = "{bench}:list";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
enum Way {
    #[strum(to_string = "ORDER.PLACE to ORDER.CLAIM")]
    Claim,
    #[strum(to_string = "LPUSH to BLPOP")]
    List,
    #[strum(to_string = "XADD to XREADGROUP")]
    Stream,
    /// No waiting: PING there and back, by one thread.
    #[strum(to_string = "PING and back")]
    Ping,
}

const WAYS: [Way; 4] = [Way::Claim, Way::List, Way::Stream, Way::Ping];

impl Way {
    fn prepare(self, subject: &mut Subject) -> Result<()> {
        let case = if self == Way::Claim { Case::Place } else { Case::Ping };
        case.prepare(&mut subject.control)?;
        if self == Way::Stream {
            cmd("XGROUP").arg("CREATE").arg(ORDERS).arg(GROUP).arg("$").arg("MKSTREAM").exec(&mut subject.control)?;
        }
        Ok(())
    }

    /// The command that waits; `None` where nobody does.
    fn wait(self) -> Option<Cmd> {
        match self {
            Way::Claim => Some(cmd("ORDER.CLAIM").arg(STORE).arg(WORKER).arg("BLOCK").arg(0).take()),
            Way::List => Some(cmd("BLPOP").arg(LIST).arg(0).take()),
            Way::Stream => Some(read_group("BLOCK", 0)),
            Way::Ping => None,
        }
    }

    fn wake(self, n: u64) -> Cmd {
        match self {
            Way::Claim => Case::Place.command(n, ""),
            Way::List => cmd("LPUSH").arg(LIST).arg("order").take(),
            Way::Stream => Case::Xadd.command(n, ""),
            Way::Ping => Case::Ping.command(n, ""),
        }
    }
}

/// Wakes a worker `wakes` times in each way. Fails when the server does, or hands out nothing.
pub fn run(args: &SubjectArgs, wakes: u64) -> Result<Part> {
    let mut subject = Subject::start(args, &[Case::Place], &[])?;
    let stolen = stolen_ms()?;
    let mut waits = WAYS.map(|way| (way, histogram()));
    for _ in 0..TURNS {
        for (way, waits) in &mut waits {
            way.prepare(&mut subject)?;
            turn(&subject, *way, wakes.div_ceil(TURNS), waits).with_context(|| way.to_string())?;
        }
    }
    let (waits, stolen_ms) = (waits.map(|(way, waits)| (way, Waits::of(&waits))), stolen_ms()? - stolen);
    println!("\nwake-ups of a waiting worker, one at a time");
    Waits::print("from … until it is in hand", waits.iter().map(|(way, waits)| (way.to_string(), waits)));
    println!("({stolen_ms} ms stolen)");
    let [(_, claim), (_, list), ..] = &waits;
    let work = "wake-up of a waiting worker, p99";
    let bar = Bar::wait(work, claim.p99_us, WAKE_P99_BAR_US, ("BLPOP", list.p99_us));
    let ways = waits.each_ref().map(|(way, waits)| json!({ "way": way, "waits": waits }));
    Ok((json!({ "ways": ways, "stolen_ms": stolen_ms }), vec![bar]))
}

fn turn(subject: &Subject, way: Way, wakes: u64, waits: &mut Histogram<u64>) -> Result<()> {
    let start = |wait| subject.start_worker(move |wire, times| work(way, wire, wait, wakes + WARM_UP, times));
    let worker = way.wait().map(start).transpose()?;
    // A thread of its own, so that its priority is nobody else's.
    let waker = subject.start_worker(move |wire, seen| Ok(seen.send(wake_all(way, wire, wakes, worker))?))?;
    waits.add(waker.recv().context("the waking thread panicked")??)?;
    Ok(())
}

/// When a worker began to wait and when it had read what it was given, in turn.
type Times = Receiver<Result<Instant>>;

/// Wakes the worker again and again, at moments of no pattern, and records how long each took.
fn wake_all(way: Way, mut wire: Wire, wakes: u64, worker: Option<Times>) -> Result<Histogram<u64>> {
    let next = || match &worker {
        Some(times) => times.recv().context("the worker ended")?,
        None => Ok(Instant::now()),
    };
    let (mut random, mut waits) = (rand::rng(), histogram());
    for n in 0..wakes + WARM_UP {
        let wake = Batch::from_iter([way.wake(n)]);
        next()?;
        std::thread::sleep(Duration::from_micros(random.random_range(PAUSE_US)));
        let sent = Instant::now();
        wire.exchange(&wake)?;
        let took = next()?.saturating_duration_since(sent);
        if n >= WARM_UP {
            waits.saturating_record(u64::try_from(took.as_micros())?);
        }
    }
    Ok(waits)
}

/// Waits, is woken, completes what it was given, and waits again; reports when it waits and when it was woken.
fn work(way: Way, mut wire: Wire, wait: Cmd, wakes: u64, times: &Sender<Result<Instant>>) -> Result<()> {
    let wait = Batch::from_iter([wait]);
    for _ in 0..wakes {
        wire.send(&wait)?;
        times.send(Ok(Instant::now())).context("nobody wakes the worker any more")?;
        let given = wire.receive()?;
        times.send(Ok(Instant::now())).context("nobody wakes the worker any more")?;
        if way == Way::Claim {
            let held = Held::all(given)?.pop().context("ORDER.CLAIM was woken and had no order")?;
            wire.call(&held.complete())?;
        }
    }
    Ok(())
}
