//! Every command, and what becomes of orders when workers fail, stop and die, and when connections break.

mod cluster;
mod commands;
mod failover;
mod stops;
mod timeouts;
mod worker;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holdfast_client::*;
use redis::{Cmd, Connection, ConnectionLike, RedisResult, Value};
use serde_json::{Value as Json, json};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const MINUTES: u64 = 600_000;
const PLENTY: u64 = 1_000_000;

/// The servers and proxies of clients/tests/lab.py: they end with this program.
fn lab() -> &'static Json {
    static LAB: OnceLock<(Mutex<Child>, Json)> = OnceLock::new();
    let (_, found) = LAB.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/lab.py");
        let pipes = || Stdio::piped();
        let mut lab = Command::new("python3")
            .args([script, "--cluster", "--sentinel", "--service"])
            .stdin(pipes())
            .stdout(pipes())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(lab.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (Mutex::new(lab), serde_json::from_str(&line).expect("a line of JSON from the lab"))
    });
    found
}

/// What a listener of the lab replies to a line.
fn told(listener: &str, line: &str) -> String {
    let mut asked = TcpStream::connect(address(listener)).unwrap();
    writeln!(asked, "{line}").unwrap();
    let mut reply = String::new();
    BufReader::new(asked).read_line(&mut reply).unwrap();
    reply.trim().to_owned()
}

/// Host and port.
fn address(way: &str) -> String {
    let found = &lab()[way];
    format!("{}:{}", found[0].as_str().unwrap(), found[1])
}

fn client(way: &str) -> redis::Client {
    redis::Client::open(lab()[way].as_str().unwrap()).unwrap()
}

fn connection() -> Connection {
    client("url").get_connection().unwrap()
}

/// A store that no other test has.
fn new_store() -> String {
    static STORES: AtomicU64 = AtomicU64::new(0);
    format!("store-{}", STORES.fetch_add(1, Ordering::Relaxed))
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} for: {what}");
        thread::sleep(POLL);
    }
}

fn place(redis: &mut Connection, store: &str, orders: usize) {
    inv_set(store, "mug", orders as u64 + 10).query(redis).unwrap();
    for at in 0..orders {
        order_place(store, &format!("o-{at}"), &format!("c-{at}")).items([("mug", 1)]).query(redis).unwrap();
    }
}

/// A number of STORE.INFO by its name; 0 as long as there is no store.
fn info(redis: &mut Connection, store: &str, name: &str) -> u64 {
    let found: RedisResult<HashMap<String, Option<u64>>> = redis::cmd("STORE.INFO").arg(store).query(redis);
    found.map_or(0, |info| info[name].unwrap())
}

/// A worker in a thread.
fn working(worker: Worker<redis::Client>, handler: impl Fn(&Job) -> Outcome + Send + Sync + 'static) -> Working {
    let stopper = worker.stopper();
    let thread = thread::spawn(move || worker.block_ms(200).warn(|_| {}).run(handler));
    Working { stopper, thread }
}

struct Working {
    stopper: Stopper,
    thread: JoinHandle<Result<(), Error>>,
}

impl Working {
    fn end(self) {
        self.stopper.stop();
        self.thread.join().unwrap().unwrap();
    }
}

/// Each order is completed by the first handler that had it, and no unit is sold twice.
fn each_is_completed(redis: &mut dyn ConnectionLike, store: &str, placed: u64, handled: &HashMap<String, u64>) {
    assert_eq!((handled.len() as u64, handled.values().max()), (placed, Some(&1)));
    for id in handled.keys() {
        let order = order_get(store, id).query(redis).unwrap();
        assert_eq!((order.state.as_str(), order.attempts), ("completed", 0), "{order:?}");
    }
    let mug = inv_get(store, &["mug"]).query(redis).unwrap().remove(0).unwrap();
    assert_eq!((mug.on_hand, mug.held, mug.sold), (PLENTY - placed, 0, placed));
    let Info { completed, queued, in_work, retrying, lapsed, .. } = store_info(store).query(redis).unwrap();
    assert_eq!([completed, queued, in_work, retrying, lapsed], [placed, 0, 0, 0, 0]);
    assert_eq!(store_audit(store).query(redis).unwrap(), []);
}
