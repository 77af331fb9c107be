//! How soon a waiting worker has an order in hand: from before ORDER.PLACE is sent until the reply to ORDER.CLAIM has
//! been read, two threads of one process on one clock. Beside it what the machine takes for the like with a list, a
//! stream, and a PING.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use rand::RngExt;
use serde::Serialize;

use super::cputime::stolen;
use super::lab::{Lab, LabOptions};
use super::probe::{Waits, histogram};
use super::realtime;
use super::reply::Reply;
use super::report::{self, Bar};
use super::wire::{Wire, encode};
use super::workload::{Case, ORDERS, STORE};

/// One wake-up in a hundred may take longer than this, in microseconds.
const WAKE_P99_BAR_US: u64 = 1_000;
/// From one wake-up to the next, in microseconds: long enough for the worker to wait again, never in step with a timer.
const PAUSE_US: std::ops::RangeInclusive<u64> = 1_000..=3_000;
/// The ways take turns so many times, so that they meet the same machine.
const TURNS: u64 = 4;
/// The first wake-ups of a turn meet cold caches and do not count.
const WARM_UP: u64 = 20;
const LIST: &str = "{bench}:list";
const GROUP: &str = "workers";
const WORKER: &[u8] = b"worker-1";

/// A way to wait and to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    /// ORDER.CLAIM … BLOCK 0, and ORDER.PLACE.
    Claim,
    /// BLPOP and LPUSH.
    List,
    /// XREADGROUP BLOCK 0 and XADD.
    Stream,
    /// No waiting: PING there and back, by one thread.
    Ping,
}

const WAYS: [Way; 4] = [Way::Claim, Way::List, Way::Stream, Way::Ping];

impl Way {
    fn label(self) -> &'static str {
        match self {
            Way::Claim => "ORDER.PLACE to ORDER.CLAIM",
            Way::List => "LPUSH to BLPOP",
            Way::Stream => "XADD to XREADGROUP",
            Way::Ping => "PING and back",
        }
    }

    fn prepare(self, lab: &mut Lab) -> Result<()> {
        match self {
            Way::Claim => Ok(Case::Place.prepare(&mut lab.control)?),
            Way::List | Way::Ping => Ok(Case::Ping.prepare(&mut lab.control)?),
            Way::Stream => {
                Case::Ping.prepare(&mut lab.control)?;
                let mut create = redis::cmd("XGROUP");
                create.arg("CREATE").arg(ORDERS).arg(GROUP).arg("$").arg("MKSTREAM");
                Ok(create.exec(&mut lab.control)?)
            }
        }
    }

    /// Appends the command that waits.
    fn encode_wait(self, out: &mut Vec<u8>) {
        match self {
            Way::Claim => encode(out, &[b"ORDER.CLAIM", STORE.as_bytes(), WORKER, b"BLOCK", b"0"]),
            Way::List => encode(out, &[b"BLPOP", LIST.as_bytes(), b"0"]),
            Way::Stream => {
                let (group, orders) = (GROUP.as_bytes(), ORDERS.as_bytes());
                encode(out, &[b"XREADGROUP", b"GROUP", group, WORKER, b"BLOCK", b"0", b"STREAMS", orders, b">"]);
            }
            Way::Ping => {}
        }
    }

    /// Appends the command that wakes it.
    fn encode_wake(self, n: u64, out: &mut Vec<u8>) {
        match self {
            Way::Claim => Case::Place.encode(n, "", out),
            Way::List => encode(out, &[b"LPUSH", LIST.as_bytes(), b"order"]),
            Way::Stream => Case::Xadd.encode(n, "", out),
            Way::Ping => Case::Ping.encode(n, "", out),
        }
    }

    /// Appends what the worker does with what it was given; how many commands that are.
    fn encode_done(self, given: &Reply, out: &mut Vec<u8>) -> Result<u64> {
        if self != Way::Claim {
            return Ok(0);
        }
        let order = given.elements().first().context("ORDER.CLAIM was woken and had no order")?;
        let (id, token) = (order.field("order")?.bytes(), order.field("token")?.bytes());
        encode(out, &[b"ORDER.COMPLETE", STORE.as_bytes(), &id, b"TOKEN", &token]);
        Ok(1)
    }
}

/// How long wake-ups took.
#[derive(Debug, Serialize)]
pub struct WakeResult {
    ways: Vec<WayResult>,
    /// How long the hypervisor kept cores for others meanwhile, milliseconds of one core.
    stolen_ms: u64,
}

#[derive(Debug, Serialize)]
struct WayResult {
    way: Way,
    waits: Waits,
}

/// Wakes a worker `wakes` times in each way.
///
/// # Errors
/// When the server does not start, answers a command with an error, or hands out nothing.
pub fn run(lab_options: &LabOptions, wakes: u64) -> Result<WakeResult> {
    let mut lab = Lab::start(lab_options, &[Case::Place], &[])?;
    let stolen_before = stolen()?;
    let mut waits = WAYS.iter().map(|&way| Ok((way, histogram()?))).collect::<Result<Vec<_>>>()?;
    for _ in 0..TURNS {
        for (way, waits) in &mut waits {
            way.prepare(&mut lab)?;
            turn(&lab, *way, wakes.div_ceil(TURNS), waits).with_context(|| way.label())?;
        }
    }
    let result = WakeResult {
        ways: waits.iter().map(|(way, waits)| WayResult { way: *way, waits: Waits::of(waits) }).collect(),
        stolen_ms: u64::try_from(stolen()?.saturating_sub(stolen_before).as_millis())?,
    };
    print(&result);
    Ok(result)
}

fn turn(lab: &Lab, way: Way, wakes: u64, waits: &mut Histogram<u64>) -> Result<()> {
    let (mut waker, favoured) = (lab.wire()?, lab.realtime());
    let worker = start_worker(lab, way, wakes)?;
    // A thread of its own, so that its priority is nobody else's.
    std::thread::scope(|scope| {
        let waker = scope.spawn(move || {
            if favoured {
                realtime::favour_this_thread()?;
            }
            wake_all(way, &mut waker, wakes, waits, worker)
        });
        waker.join().map_err(|_| anyhow!("the waking thread panicked"))?
    })
}

/// What tells when the worker has begun to wait, and then when it has read what it was given.
type WorkerTells = Box<dyn Fn() -> Result<Instant> + Send>;

fn start_worker(lab: &Lab, way: Way, wakes: u64) -> Result<WorkerTells> {
    if way == Way::Ping {
        return Ok(Box::new(|| Ok(Instant::now())));
    }
    let (wire, favoured) = (lab.wire()?, lab.realtime());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        if let Err(error) = work(way, wire, wakes + WARM_UP, favoured, &tell) {
            // Nobody may listen any more: then there was another error before.
            let _ = tell.send(Err(error));
        }
    });
    Ok(Box::new(move || told.recv().context("the worker ended")?))
}

/// Wakes the worker again and again, at moments of no pattern, and records how long each took.
fn wake_all(way: Way, wire: &mut Wire, wakes: u64, waits: &mut Histogram<u64>, worker: WorkerTells) -> Result<()> {
    let mut random = rand::rng();
    let mut command = Vec::new();
    for n in 0..wakes + WARM_UP {
        command.clear();
        way.encode_wake(n, &mut command);
        worker()?;
        std::thread::sleep(Duration::from_micros(random.random_range(PAUSE_US)));
        let sent = Instant::now();
        wire.exchange(&command, 1)?;
        let took = worker()?.saturating_duration_since(sent);
        if n >= WARM_UP {
            waits.saturating_record(u64::try_from(took.as_micros())?);
        }
    }
    Ok(())
}

/// Waits, is woken, is done with what it was given, and waits again; tells when it waits and when it was woken.
fn work(way: Way, mut wire: Wire, wakes: u64, favoured: bool, tell: &Sender<Result<Instant>>) -> Result<()> {
    if favoured {
        realtime::favour_this_thread()?;
    }
    let (mut wait, mut done) = (Vec::new(), Vec::new());
    way.encode_wait(&mut wait);
    for _ in 0..wakes {
        wire.send(&wait)?;
        tell.send(Ok(Instant::now())).context("nobody wakes the worker any more")?;
        let given = wire.receive(1)?;
        tell.send(Ok(Instant::now())).context("nobody wakes the worker any more")?;
        done.clear();
        let replies = way.encode_done(&given[0], &mut done)?;
        wire.exchange(&done, replies)?;
    }
    Ok(())
}

fn print(result: &WakeResult) {
    println!("\nwake-ups of a waiting worker, one at a time");
    let rows = result.ways.iter().map(|way| way.waits.row(way.way.label()));
    println!("{}", report::table(&Waits::header("from … until it is in hand"), rows));
    println!("({} ms stolen)", result.stolen_ms);
}

/// The bar for wake-ups.
pub fn bars(result: &WakeResult) -> Vec<Bar> {
    let p99_us = |way| result.ways.iter().find(|result| result.way == way).map(|result| result.waits.p99_us);
    let bar = |p99: u64| Bar {
        work: "wake-up of a waiting worker, p99".into(),
        bar: format!("at most {}", report::ms(WAKE_P99_BAR_US)),
        measured: format!("{} (BLPOP: {})", report::ms(p99), p99_us(Way::List).map_or("?".into(), report::ms)),
        reached: p99 <= WAKE_P99_BAR_US,
    };
    p99_us(Way::Claim).map(bar).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{Reply, Waits, WakeResult, Way, WayResult, bars};

    fn result(p99_us: u64) -> WakeResult {
        let waits = Waits { count: 1, p50_us: 1, p99_us, p999_us: p99_us, max_us: p99_us };
        WakeResult { ways: vec![WayResult { way: Way::Claim, waits }], stolen_ms: 0 }
    }

    #[test]
    fn the_bar_is_about_the_99th_of_a_hundred() {
        assert!(bars(&result(1_000))[0].reached);
        assert!(!bars(&result(1_001))[0].reached);
    }

    #[test]
    fn a_claimed_order_is_completed_with_its_token() {
        let mut out = Vec::new();
        let given = Reply::read(&mut &b"*1\r\n*4\r\n$5\r\norder\r\n$3\r\no-1\r\n$5\r\ntoken\r\n:7\r\n"[..]).unwrap();
        assert_eq!(Way::Claim.encode_done(&given, &mut out).unwrap(), 1);
        assert!(out.ends_with(b"$3\r\no-1\r\n$5\r\nTOKEN\r\n$1\r\n7\r\n"));
        assert!(Way::Claim.encode_done(&Reply::Nil, &mut out).is_err());
    }
}
