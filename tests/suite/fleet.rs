//! A fleet of worker processes that get killed: every order is completed exactly once, in order within its group.

use crate::common::{
    Claimed, Client, Entry, Reply, Server, ServerBinary, assert_books_balance, cmd, entries, info, open_store, tests,
    wait_until,
};
use holdfast_lab::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

tests![eight_workers_one_killed_every_second, eight_workers_and_a_server_that_is_killed];

const WORKERS: usize = 8;
const ORDERS: usize = 100_000;
const GROUPS: usize = 1_000;

/// One worker is killed so often.
const KILL_EVERY: Duration = Duration::from_secs(1);

/// How long a dead worker's orders stay in its hands.
const LEASE_MS: u64 = 500;

/// How long the whole may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Set for a process that is to work: the server's port, and the worker's name.
const WORKER: &str = "HOLDFAST_TEST_WORKER";

/// Whether this process is a worker of a test, and not the tests.
pub fn is_worker() -> bool {
    std::env::var_os(WORKER).is_some()
}

/// Claims and completes orders until it is killed, or the server is gone for good.
pub fn work() -> ExitCode {
    let what = std::env::var(WORKER).expect("a worker's task");
    let (port, name) = what.split_once(' ').expect("a port and a name");
    let port = port.parse().expect("a port");
    let mut last_seen = Instant::now();
    while last_seen.elapsed() < Duration::from_secs(20) {
        if let Ok(client) = Client::connect(port) {
            if serve(client, name).is_ok() {
                return ExitCode::SUCCESS;
            }
            last_seen = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ExitCode::SUCCESS
}

/// Works over one connection until it breaks.
fn serve(mut client: Client, name: &str) -> std::io::Result<()> {
    loop {
        let reply = client.try_call(format!("ORDER.CLAIM popup {name} COUNT 8 LEASE {LEASE_MS} BLOCK 500"))?;
        if reply.is_error() {
            // The store is not there (yet), or is being loaded.
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        let claimed = Claimed::all(&reply);
        let complete = |order: &Claimed| cmd!["ORDER.COMPLETE", "popup", order.order, "TOKEN", order.token];
        for order in &claimed {
            client.send(complete(order))?;
        }
        for _ in &claimed {
            // FENCED: the lease ended, somebody else has it.
            client.receive()?;
        }
    }
}

/// Worker processes, killed when this is dropped.
struct Fleet {
    port: u16,
    workers: Vec<Process>,
    hired: usize,
}

impl Fleet {
    fn hire(port: u16) -> Fleet {
        let mut fleet = Fleet { port, workers: Vec::new(), hired: 0 };
        for _ in 0..WORKERS {
            let worker = fleet.worker();
            fleet.workers.push(worker);
        }
        fleet
    }

    fn worker(&mut self) -> Process {
        self.hired += 1;
        let mut worker = Command::new(std::env::current_exe().expect("this program"));
        worker.env(WORKER, format!("{} w-{}", self.port, self.hired)).stdout(Stdio::null());
        Process::spawn(&mut worker).expect("a worker")
    }

    /// Kills one as a power cut would, and hires another in its place.
    fn kill_one(&mut self) {
        drop(self.workers.remove(0));
        let worker = self.worker();
        self.workers.push(worker);
    }
}

/// Places orders `from..to`, each in the group of its number.
fn place(client: &mut Client, from: usize, to: usize) {
    let one = |number: usize| {
        let (order, group) = (format!("o-{number}"), format!("g-{}", number % GROUPS));
        cmd!["ORDER.PLACE", "popup", order, "c-1", "GROUP", group, "ITEMS", "sku-1", 1]
    };
    let commands: Vec<_> = (from..to).map(one).collect();
    let refused = client.pipeline(&commands).into_iter().find(Reply::is_error);
    assert_eq!(refused, None);
}

/// Each order is in the stream once, and after all before it in its group.
fn assert_done_once_and_in_order(completed: &[Entry], orders: usize) {
    let numbers: Vec<usize> =
        completed.iter().map(|entry| entry.text("order")[2..].parse().expect("an order's number")).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), orders, "every order was completed");
    assert_eq!(numbers.len(), orders, "no order was completed twice");
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for number in numbers {
        if let Some(before) = last.insert(number % GROUPS, number) {
            assert!(before < number, "order {number} after {before} of its group");
        }
    }
}

fn open(client: &mut Client) {
    open_store(client, "popup", 10_000_000);
    client.ok("STORE.SET popup attempts 1000000 history 1000000");
}

fn assert_all_done(client: &mut Client, orders: usize) {
    assert_done_once_and_in_order(&entries(client, "{popup}:complete"), orders);
    let left = ["queued", "in-work", "retrying", "dead-letters", "workers", "held"].map(|name| info(client, name));
    assert_eq!(left, [0; 6]);
    assert_eq!(info(client, "completed"), orders as i64);
    assert_eq!(client.int("XLEN {popup}:orders") + client.int("EXISTS {popup}:dead"), 0);
    assert_books_balance(client, "popup");
}

fn eight_workers_one_killed_every_second(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    open(&mut client);
    let mut fleet = Fleet::hire(server.port());
    let (start, mut killed, mut placed) = (Instant::now(), 0u32, 0);
    // The orders come over some seconds, so that many a worker dies with orders in hand.
    wait_until(PATIENCE, "all orders are done", || {
        if placed < ORDERS && info(&mut client, "queued") < 2_000 {
            place(&mut client, placed, placed + 500);
            placed += 500;
        }
        if start.elapsed() > KILL_EVERY * (killed + 1) {
            fleet.kill_one();
            killed += 1;
        }
        placed == ORDERS && info(&mut client, "completed") == ORDERS as i64
    });
    assert!(killed > 0, "{:?} for all", start.elapsed());
    assert_all_done(&mut client, ORDERS);
}

fn eight_workers_and_a_server_that_is_killed(binary: &ServerBinary) {
    const FEWER: usize = 4_000;
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    open(&mut server.client());
    let mut fleet = Fleet::hire(server.port());
    for round in 1..=4 {
        let mut client = server.client();
        place(&mut client, FEWER * (round - 1) / 4, FEWER * round / 4);
        let enough = (FEWER * round / 4 - FEWER / 8) as i64;
        wait_until(PATIENCE, "half of them are done", || info(&mut client, "completed") >= enough);
        fleet.kill_one();
        server.kill9();
        server.start_again();
    }
    let mut client = server.client();
    wait_until(PATIENCE, "all orders are done", || info(&mut client, "completed") == FEWER as i64);
    assert_all_done(&mut client, FEWER);
}
