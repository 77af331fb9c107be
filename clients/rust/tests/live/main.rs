//! Every command, and what becomes of orders when workers fail, stop and die, and when connections break.

mod cluster;
mod failover;

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
const MOST: u64 = (1 << 53) - 1;
const MINUTES: u64 = 600_000;
const ORDERS: usize = 400;
const HANDS: usize = 8;
const PLENTY: u64 = 1_000_000;
/// Claims that run into a time-out, and how many of them at a time.
const CLAIMS: usize = 1000;
const AT_A_TIME: usize = 250;

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

fn info(redis: &mut Connection, store: &str, name: &str) -> u64 {
    store_info(store).query(redis).map_or(0, |info| info[name].as_u64().unwrap())
}

/// A connection that remembers what was sent on it.
struct Recorded {
    real: Connection,
    sent: Vec<Json>,
}

impl ConnectionLike for Recorded {
    fn req_command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let mut line = Vec::new();
        for arg in cmd.args_iter() {
            let redis::Arg::Simple(arg) = arg else { unreachable!("no cursor is sent") };
            let arg = String::from_utf8(arg.to_vec()).unwrap();
            let of_lock = line.len() == 2 && ["LOCK.RENEW", "LOCK.RELEASE"].contains(&line[0]);
            let is_token = of_lock || line.last().is_some_and(|word| *word == "TOKEN");
            line.push(if is_token { "<token>" } else { String::leak(arg) });
        }
        self.sent.push(json!(line));
        self.real.req_command(cmd)
    }

    fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
        self.real.req_packed_command(cmd)
    }

    fn req_packed_commands(&mut self, cmd: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.real.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.real.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.real.check_connection()
    }

    fn is_open(&self) -> bool {
        self.real.is_open()
    }
}

fn is_time(at: u64) {
    assert!(at > 1_700_000_000_000, "a time, got {at}");
}

/// The calls of clients/tests/session.jsonl, with what they are to return.
fn session(redis: &mut Recorded) -> Result<(), Error> {
    store_set("popup").limit(40).paused(false).query(redis)?;
    assert_eq!(inv_set("popup", "mug", 50).safety(1).low(5).limit(30).backlog(40).query(redis)?, 49);
    assert_eq!(inv_set("popup", "cup", 10).query(redis)?, 10);
    let adjust = inv_adjust("popup", "mug", -1).reason("chipped").reference("adj-1");
    assert_eq!(adjust.query(redis)?, 49);
    assert_eq!(inv_sync("popup", "erp", 7, [("pen", 5), ("ink", MOST)]).query(redis)?, "APPLIED");
    let skus = inv_get("popup", &["mug", "nothing", "ink"]).query(redis)?;
    let (mug, ink) = (skus[0].as_ref().unwrap(), skus[2].as_ref().unwrap());
    assert_eq!((mug.on_hand, mug.backlog, skus[1].is_none(), ink.on_hand), (49, Some(40), true, MOST));
    let scanned = inv_scan("popup", "0").matching("m*").count(100).low().query(redis)?;
    assert_eq!(scanned, ("0".to_owned(), vec![]));
    let reserve = inv_reserve("popup", "cart-1", [("mug", 4)]).customer("alice").ttl_ms(60_000).replace();
    is_time(reserve.query(redis)?);
    is_time(inv_extend("popup", "cart-1", 120_000).query(redis)?);
    assert_eq!(inv_commit("popup", "cart-1").reference("part-1").items([("mug", 1)]).query(redis)?, 3);
    assert_eq!(inv_release("popup", "cart-1").reference("part-2").items([("mug", 1)]).query(redis)?, 2);
    let hold = inv_hold("popup", "cart-1").query(redis)?;
    assert_eq!((hold.state.as_str(), hold.customer.as_deref(), hold.left), ("live", Some("alice"), 2));
    assert_eq!((hold.items[0].qty, hold.items[0].committed), (4, 1));
    let holds = inv_holds("popup", "0").customer("alice").count(100).query(redis)?;
    assert_eq!(holds.1, ["cart-1"]);
    let order = order_place("popup", "o-1", "alice").group("robot").lane("express").data(&json!({"gift": true}));
    let order = order.gate("payment", 60_000).gate("fraud", 0).wait_ms(60_000).items([("mug", 2), ("cup", 1)]);
    assert_eq!(order.query(redis)?, None);
    assert!(order_place("popup", "o-2", "alice").hold("cart-1").query(redis)?.is_some());
    is_time(order_gate("popup", "o-1", "payment", 90_000).query(redis)?);
    assert_eq!(order_pass("popup", "o-1", "fraud").query(redis)?, 1);
    assert_eq!(order_pass("popup", "o-1", "payment").query(redis)?, 0);
    let lanes = store_lanes("popup").query(redis)?;
    assert_eq!((lanes[1].lane.as_str(), lanes[1].queued), ("express", 1));
    let claim = order_claim("popup", "w-1").count(1).lease_ms(60_000).lanes(&["express", "counter"]);
    let waiting = claim.block_ms(10);
    let first = recorded_wait(redis, &waiting)?.remove(0);
    assert_eq!((first.order.as_str(), first.attempt, first.items.len()), ("o-1", 1, 2));
    assert_eq!(first.data_as::<Json>()?, json!({"gift": true}));
    let token = first.token;
    is_time(order_renew("popup", "o-1", token).lease_ms(90_000).query(redis)?);
    assert_eq!(order_advance("popup", "o-1", "accepted").query(redis)?, 1);
    assert_eq!(order_advance("popup", "o-1", "picked").from("accepted").token(token).query(redis)?, 2);
    let edit = order_edit("popup", "o-1", [("mug", 2)]).token(token).reference("edit-1").lost();
    assert_eq!(edit.query(redis)?, 2);
    let split = order_split("popup", "o-1", "o-3", [("mug", 1)]).token(token).lane("counter");
    assert!(split.query(redis)?.is_some());
    let complete = order_complete("popup", "o-1").token(token).result(&json!({"parcel": "JD014"}));
    let next = complete.claim("w-1").lease_ms(60_000).query(redis)?.next.unwrap();
    assert_eq!((next.order.as_str(), next.data.as_ref()), ("o-2", None));
    let fail = order_fail("popup", "o-2").token(next.token).reason("no label").after_ms(50).query(redis)?;
    assert_eq!((fail.state.as_str(), fail.attempt, fail.due.is_some()), ("retrying", 1, true));
    let dead = || order_fail("popup", "o-2").reason("no label").fatal();
    assert_eq!(dead().query(redis)?.state, "dead");
    assert_eq!(order_redrive("popup", "o-2").query(redis)?, 1);
    assert_eq!(dead().query(redis)?.due, None);
    assert_eq!(order_redrive_all("popup").reason("no*").count(10).query(redis)?, 1);
    dead().query(redis)?;
    assert_eq!(order_purge("popup").reason("no*").count(10).query(redis)?, 1);
    assert_eq!(order_claim("popup", "w-1").order("o-3").query(redis)?[0].lane, "counter");
    assert_eq!(order_yield("popup", "w-1").query(redis)?, 1);
    assert_eq!(order_cancel("popup", "o-3").reason("too late").query(redis)?, 1);
    let back = order_return("popup", "o-1", [("mug", 1)]).customer("alice").reference("rma-1").scrap();
    assert_eq!(back.query(redis)?, 1);
    let order = order_get("popup", "o-1").query(redis)?;
    assert_eq!((order.state.as_str(), order.group.as_deref(), order.late), ("completed", Some("robot"), 0));
    assert_eq!((order.gates[0].passed, order.items[0].returned, order.step.as_deref()), (1, 1, Some("picked")));
    assert_eq!(order.history[0]["event"], "placed");
    let done = order_scan("popup", "0").state("completed").customer("alice").lane("").late().count(100).query(redis)?;
    assert!(done.1.is_empty());
    let lock = recorded_wait(redis, &lock_acquire("doc:7", "editor-1", 30_000).wait_ms(10))?.unwrap();
    assert!(lock_renew("doc:7", lock, 30_000).query(redis)?);
    let held = lock_get("doc:7").query(redis)?;
    assert_eq!((held.owner.as_deref(), held.token, held.waiting), (Some("editor-1"), Some(lock), 0));
    assert!(lock_release("doc:7", lock).query(redis)?);
    let settings = store_get("popup", &["limit", "paused"]).query(redis)?;
    assert_eq!((&settings["limit"], &settings["paused"]), (&json!(40), &json!("no")));
    assert_eq!(store_info("popup").query(redis)?["completed"], 1);
    assert_eq!(store_audit("popup").query(redis)?, []);
    assert_eq!(store_repair("popup").query(redis)?, 0);
    store_drop("popup").query(redis)
}

/// Sends one round of a call that waits on the recorded connection.
fn recorded_wait<K: holdfast_client::Command>(redis: &mut Recorded, waiting: &Waiting<K>) -> Result<K::Reply, Error> {
    waiting.once().query(redis)
}

#[test]
fn every_command_does_and_returns_what_it_should() {
    let lines = include_str!("../../../tests/session.jsonl").lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Json> = lines.collect();
    let url = lab()["url"].as_str().unwrap();
    for url in [url.to_owned(), format!("{url}/?protocol=resp3")] {
        let real = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut recorded = Recorded { real, sent: Vec::new() };
        session(&mut recorded).unwrap();
        assert_eq!(recorded.sent, lines);
    }
}

#[test]
fn refusals_are_variants_with_what_they_say() {
    let redis = &mut connection();
    let store = &new_store();
    assert!(matches!(order_get(store, "o-1").query(redis), Err(Error::NoStore(_))));
    inv_set(store, "mug", 1).query(redis).unwrap();
    let out = order_place(store, "o-1", "alice").items([("mug", 2)]).query(redis).unwrap_err();
    assert!(matches!(&out, Error::OutOfStock { sku, wanted: 2, available: 1, .. } if sku == "mug"), "{out:?}");
    assert_eq!((out.code(), out.to_string().as_str()), (Some("OUTOFSTOCK"), "OUTOFSTOCK mug wanted 2 available 1"));
    let bad = order_place(store, "o-1", "alice").items([("mug", 0)]).query(redis).unwrap_err();
    assert!(matches!(&bad, Error::BadArgument(message) if message.contains("qty")), "{bad:?}");
    order_place(store, "o-1", "alice").items([("mug", 1)]).query(redis).unwrap();
    let token = order_claim(store, "w").query(redis).unwrap()[0].token;
    let fenced = order_complete(store, "o-1").token(token - 1).query(redis).unwrap_err();
    assert!(matches!(fenced, Error::Fenced { current, .. } if current == token), "{fenced:?}");
    redis::cmd("SET").arg("text").arg("x").exec(redis).unwrap();
    assert!(matches!(store_info("text").query(redis), Err(Error::WrongType(_))));
}

#[test]
fn each_code_of_the_server_is_a_variant() {
    let terms = include_str!("../../../../engine/src/terms/refusal.rs");
    let ours = include_str!("../../src/error.rs");
    let codes: Vec<&str> =
        terms.lines().filter_map(|line| line.split_once(", \"")?.1.split_once("\", \"")).map(|c| c.0).collect();
    assert!(codes.len() > 10);
    for code in codes.into_iter().filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase())) {
        assert!(ours.contains(&format!("\"{code}\"")), "{code}");
    }
}

#[test]
fn a_part_without_a_reference_counts_once_however_often_it_is_sent() {
    let redis = &mut connection();
    let store = &new_store();
    inv_set(store, "mug", 5).query(redis).unwrap();
    inv_reserve(store, "cart", [("mug", 3)]).query(redis).unwrap();
    let part = inv_commit(store, "cart").items([("mug", 1)]);
    assert_eq!((part.query(redis).unwrap(), part.query(redis).unwrap()), (2, 2));
    let more = inv_adjust(store, "mug", 1).once();
    assert_eq!((more.query(redis).unwrap(), more.query(redis).unwrap()), (5, 5));
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

#[test]
fn what_a_handler_returns_is_what_becomes_of_the_order() {
    let redis = &mut connection();
    let store = &new_store();
    place(redis, store, 5);
    let worker =
        working(Worker::new(client("url"), store), |job| match (job.order.order.as_str(), job.order.attempt) {
            ("o-1", _) => Err(Failed::Fatal("no such address".to_owned())),
            ("o-2", 1) => Err(Failed::Retry { reason: "no paper".to_owned(), after_ms: Some(1) }),
            ("o-3", 1) => Ok("none".parse::<u64>().map(Json::from)?),
            ("o-4", 1) => panic!("a mistake"),
            _ => Ok(json!({"attempt": job.order.attempt})),
        });
    until("all orders", || info(redis, store, "completed") == 4 && info(redis, store, "dead") == 1);
    worker.end();
    let mut order = |id| order_get(store, id).query(redis).unwrap();
    assert_eq!(order("o-1").reason.as_deref(), Some("no such address"));
    assert_eq!((order("o-2").result.as_deref(), order("o-2").attempts), (Some(r#"{"attempt":2}"#), 1));
    let mut reason =
        |id| order(id).history.into_iter().find(|event| event["event"] == "failed").unwrap()["reason"].clone();
    assert_eq!(
        (reason("o-3"), reason("o-4")),
        (json!("invalid digit found in string"), json!("the handler panicked: a mistake"))
    );
}

/// What a handler gives that cannot be kept is a failed attempt, once.
#[test]
fn what_a_handler_gives_is_kept_or_is_a_failed_attempt() {
    type Odd = (&'static str, fn() -> Outcome, &'static str);
    let odd: [Odd; 4] = [
        ("too-large", || Ok(json!("x".repeat(2 << 20))), "ERR RESULT must be at most 1048576 bytes"),
        ("verbose", || Err(Failed::Fatal("ü".repeat(1 << 20))), "ü"),
        ("late", || Err(Failed::Retry { reason: "later".to_owned(), after_ms: Some(u64::MAX) }), "later"),
        ("panic", || panic!("a mistake"), "the handler panicked: a mistake"),
    ];
    let (redis, store) = (&mut connection(), new_store());
    store_set(&store).attempts(1).query(redis).unwrap();
    inv_set(&store, "mug", PLENTY).query(redis).unwrap();
    for (order, ..) in odd {
        order_place(&store, order, "alice").items([("mug", 1)]).query(redis).unwrap();
    }
    let [handled, dead] = [(); 2].map(|()| Arc::<AtomicU64>::default());
    let (counted, told) = (Arc::clone(&handled), Arc::clone(&dead));
    let worker = Worker::new(client("url"), &store).warn(move |said| {
        told.fetch_add(u64::from(said.contains(" is dead after attempt 1: ")), Ordering::Relaxed);
    });
    let stopper = worker.stopper();
    let handler = move |job: &Job| {
        counted.fetch_add(1, Ordering::Relaxed);
        odd.iter().find(|(order, ..)| *order == job.order.order).expect("one of them").1()
    };
    let crew = Working { stopper, thread: thread::spawn(move || worker.run(handler)) };
    until("all orders", || info(redis, &store, "dead-letters") == odd.len() as u64);
    crew.end();
    assert_eq!((handled.load(Ordering::Relaxed), dead.load(Ordering::Relaxed)), (4, 4));
    for (order, _, reason) in odd {
        let found = order_get(&store, order).query(redis).unwrap().reason.unwrap();
        assert!(found.starts_with(reason), "{order}: {found}");
    }
}

/// Ids are bytes: an order whose id is no text is worked on as any other.
#[test]
fn an_id_that_is_no_text_stops_no_worker() {
    let (redis, store) = (&mut connection(), new_store());
    inv_set(&store, "mug", 1).query(redis).unwrap();
    let odd = [b"odd-\xff\xfe".as_slice(), b"odd-\xc3", b"\xf0\x9f"];
    redis::cmd("INV.SET").arg(&store).arg(odd[2]).arg(1).exec(redis).unwrap();
    let place = redis::cmd("ORDER.PLACE").arg(&store).arg(odd[0]).arg(odd[1]).arg("ITEMS").arg(odd[2]).arg(1).clone();
    place.exec(redis).unwrap();
    let crew = working(Worker::new(client("url"), &store).lease_ms(300), |job| {
        assert_eq!(job.order.order, "odd-\u{fffd}\u{fffd}");
        thread::sleep(Duration::from_millis(600));
        Ok(json!(job.order.customer))
    });
    until("the order", || info(redis, &store, "completed") == 1);
    crew.end();
    assert_eq!((info(redis, &store, "lapsed"), info(redis, &store, "failed")), (0, 0));
}

#[test]
fn any_error_and_any_text_is_a_failed_attempt() {
    let boxed = |text: &str| -> Result<(), Box<dyn std::error::Error>> { Err(text.into()) };
    let handlers: [&dyn Fn() -> Outcome; 4] = [
        &|| Err("a text".into()),
        &|| Err(format!("a {}", "text"))?,
        &|| Ok(boxed("a text").map(|()| Json::Null)?),
        &|| Ok(String::from_utf8(vec![0xff]).map(Json::from)?),
    ];
    for handler in handlers {
        let Err(Failed::Retry { reason, after_ms: None }) = handler() else { panic!("it is to be tried again") };
        assert!(reason == "a text" || reason.starts_with("invalid utf-8"), "{reason}");
    }
    let caused = std::io::Error::other(Error::NoStore("NOSTORE no store".to_owned()));
    let Failed::Retry { reason, .. } = Failed::from(caused) else { panic!("it is to be tried again") };
    assert!(reason.starts_with("NOSTORE no store"), "{reason}");
}

#[test]
fn an_error_names_the_sku_as_it_was_given() {
    let (redis, store) = (&mut connection(), new_store());
    for given in ["tasse ☕ 大", "a wanted 3 available 7", "back\\slash\n\t'\""] {
        inv_set(&store, given, 1).backlog(0).query(redis).unwrap();
        let order = || order_place(&store, "o-1", "alice").items([(given, 9)]);
        for refused in [order().query(redis), order().wait_ms(1_000).query(redis)] {
            let Err(Error::OutOfStock { sku, wanted, available, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!((sku.as_str(), wanted, available), (given, 9, 1));
        }
    }
}

#[test]
fn a_lease_is_renewed_while_the_handler_runs_and_said_to_be_lost_when_it_is() {
    let redis = &mut connection();
    let (store, other) = (&new_store(), new_store());
    place(redis, store, 1);
    place(redis, &other, 1);
    let slow = working(Worker::new(client("url"), store).lease_ms(400), |_| {
        thread::sleep(Duration::from_millis(1200));
        Ok(Json::Null)
    });
    let lost = Arc::new(AtomicU64::new(0));
    let (seen, name) = (Arc::clone(&lost), other.clone());
    let loses = working(Worker::new(client("url"), &other).lease_ms(300), move |job| {
        order_cancel(&name, &job.order.order).query(&mut connection()).unwrap();
        until("the loss", || job.is_lost());
        seen.store(1, Ordering::Relaxed);
        Ok(Json::Null)
    });
    until("the order", || info(redis, store, "completed") == 1);
    until("the handler", || lost.load(Ordering::Relaxed) == 1);
    assert_eq!(info(redis, store, "lapsed"), 0);
    slow.end();
    loses.end();
}

#[test]
fn lanes_are_served_as_named_and_a_store_that_is_made_later_is_waited_for() {
    let redis = &mut connection();
    let store = &new_store();
    let worker = working(Worker::new(client("url"), store).lanes(&["express"]), |_| Ok(Json::Null));
    thread::sleep(POLL);
    inv_set(store, "mug", 5).query(redis).unwrap();
    order_place(store, "other", "c").items([("mug", 1)]).query(redis).unwrap();
    order_place(store, "o", "c").lane("express").items([("mug", 1)]).query(redis).unwrap();
    until("the order", || info(redis, store, "completed") == 1);
    worker.end();
    assert_eq!(order_get(store, "other").query(redis).unwrap().state, "queued");
}

#[test]
fn what_no_attempt_would_mend_ends_the_worker() {
    redis::cmd("SET").arg("no-store").arg("x").exec(&mut connection()).unwrap();
    let ended = Worker::new(client("url"), "no-store").warn(|_| {}).run(|_| Ok(Json::Null));
    assert!(matches!(ended, Err(Error::WrongType(_))), "{ended:?}");
}

const CREW: &str = "HOLDFAST_CREW";

/// No test of its own: a worker as a program, which tests start, stop and kill.
#[test]
fn crew() {
    let Ok(said) = std::env::var(CREW) else { return };
    let said: Vec<&str> = said.split(' ').collect();
    let [url, store, name, lease_ms, how] = said[..] else { panic!("five words") };
    let worker = Worker::new(redis::Client::open(url).unwrap(), store).name(name).lease_ms(lease_ms.parse().unwrap());
    let hangs = ["hangs", "stays"].contains(&how);
    let ended = worker.stop_within(Duration::from_secs(2)).block_ms(200).run(move |job| {
        println!("has {}", job.order.order);
        thread::sleep(Duration::from_secs(if hangs { 3600 } else { 1 }));
        Ok(Json::Null)
    });
    println!("ended {ended:?}");
    if how == "stays" {
        thread::sleep(Duration::from_secs(3600));
    }
}

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(store: &str, name: &str, lease_ms: u64, how: &str) -> Program {
        let said = format!("{} {store} {name} {lease_ms} {how}", lab()["url"].as_str().unwrap());
        let mut crew = Command::new(std::env::current_exe().unwrap());
        crew.args(["--exact", "crew", "--nocapture"]).env(CREW, said);
        let mut child = crew.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { child, lines }
    }

    fn next(&mut self, word: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(word)).expect("a line of the program")
    }

    fn signal(&self, name: &str) {
        // The shell's own kill: a small system has no program of that name.
        Command::new("sh").args(["-c", &format!("kill {name} {}", self.child.id())]).status().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_worker_that_is_killed_with_an_order_in_hand_loses_none() {
    let redis = &mut connection();
    let store = &new_store();
    place(redis, store, 1);
    let mut first = Program::start(store, "w-1", 1000, "hangs");
    assert_eq!(first.next("has"), "has o-0");
    first.signal("-KILL");
    let mut second = Program::start(store, "w-2", 1000, "works");
    assert_eq!(second.next("has"), "has o-0");
    until("the order", || info(redis, store, "completed") == 1);
    second.signal("-TERM");
    assert_eq!(second.next("ended"), "ended Ok(())");
    assert_eq!((info(redis, store, "lapsed"), order_get(store, "o-0").query(redis).unwrap().attempts), (1, 1));
}

/// A claim ends with its round; what it gets until then goes back at once.
#[test]
fn an_order_that_comes_with_the_stop_is_given_back() {
    let (redis, store) = (&mut connection(), new_store());
    place(redis, &store, 0);
    let worker = Worker::new(client("url"), &store).lease_ms(MINUTES).stop_within(Duration::ZERO).warn(|_| {});
    let stopper = worker.stopper();
    let running = thread::spawn(move || worker.run(|_| panic!("it is stopped")));
    let callers = |redis: &mut Connection| -> String { redis::cmd("CLIENT").arg("LIST").query(redis).unwrap() };
    until("the claim", || callers(redis).contains("flags=b"));
    stopper.stop();
    running.join().unwrap().unwrap();
    order_place(&store, "o-1", "alice").items([("mug", 1)]).query(redis).unwrap();
    until("the order", || info(redis, &store, "queued") == 1);
    assert_eq!((info(redis, &store, "in-work"), info(redis, &store, "lapsed")), (0, 0));
}

#[test]
fn a_signal_after_the_first_does_what_it_does_without_a_worker() {
    let redis = &mut connection();
    // While the handler runs, and when the worker has ended and its program has not.
    for waits_for in [None, Some("ended")] {
        let store = &new_store();
        place(redis, store, 1);
        let mut worker = Program::start(store, "w-1", MINUTES, "stays");
        worker.next("has");
        worker.signal("-TERM");
        if let Some(word) = waits_for {
            worker.next(word);
        }
        worker.signal("-INT");
        let ended = worker.child.wait().unwrap();
        assert_eq!(ended.signal(), Some(2), "{ended}");
    }
}

#[test]
fn sigterm_lets_a_handler_finish_or_gives_its_order_back() {
    let redis = &mut connection();
    for (how, completed) in [("works", 1), ("hangs", 0)] {
        let store = &new_store();
        place(redis, store, 2);
        let mut worker = Program::start(store, "w-1", MINUTES, how);
        assert_eq!(worker.next("has"), "has o-0");
        worker.signal("-TERM");
        assert_eq!(worker.next("ended"), "ended Ok(())");
        let mut found = |name| info(redis, store, name);
        assert_eq!((found("completed"), found("queued"), found("in-work")), (completed, 2 - completed, 0));
        assert_eq!((found("failed"), found("lapsed")), (0, 0));
    }
}

/// A client whose first connections, once it is told, cannot be made.
#[derive(Clone)]
struct Failing {
    real: redis::Client,
    failures: Arc<AtomicU64>,
}

impl Connect for Failing {
    fn open(&self, timeout: Duration) -> RedisResult<Box<dyn Link>> {
        let fails = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if fails.is_ok() { Err(std::io::Error::other("a failure").into()) } else { self.real.open(timeout) }
    }
}

#[test]
fn a_stop_insists_on_giving_back_what_a_worker_has() {
    let redis = &mut connection();
    let store = &new_store();
    place(redis, store, 1);
    let client = Failing { real: client("url"), failures: Arc::default() };
    let failures = Arc::clone(&client.failures);
    let worker = Worker::new(client, store).lease_ms(MINUTES).stop_within(Duration::ZERO).warn(|_| {});
    let stopper = worker.stopper();
    let thread = thread::spawn(move || {
        worker.run(|_| {
            thread::sleep(Duration::from_secs(3600));
            Ok(Json::Null)
        })
    });
    until("the claim", || info(redis, store, "in-work") == 1);
    failures.store(2, Ordering::Relaxed);
    stopper.stop();
    thread.join().unwrap().unwrap();
    assert_eq!(failures.load(Ordering::Relaxed), 0);
    assert_eq!((info(redis, store, "queued"), order_get(store, "o-0").query(redis).unwrap().attempts), (1, 0));
}

/// Makes a call until it has a reply, on new connections.
fn insist<K: holdfast_client::Command>(waiter: &mut Waiter<redis::Client>, call: &Call<K>) -> K::Reply {
    loop {
        match waiter.ask(call) {
            Ok(reply) => return reply,
            Err(error) => assert!(error.is_passing(), "{error}"),
        }
    }
}

#[test]
fn through_a_proxy_that_cuts_connections_nothing_is_lost_or_doubled() {
    let redis = &mut connection();
    let store = new_store();
    inv_set(&store, "mug", ORDERS as u64).query(redis).unwrap();
    let handled = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let ledger = Arc::clone(&handled);
    let worker = Worker::new(client("cut"), &store).lease_ms(MINUTES).concurrency(HANDS);
    let worker = working(worker, move |job| {
        *ledger.lock().unwrap().entry(job.order.order.clone()).or_default() += 1;
        Ok(Json::Null)
    });
    let buy = |first| {
        let store = store.clone();
        thread::spawn(move || {
            let mut waiter = Waiter::new(client("cut"));
            for at in (first..ORDERS).step_by(HANDS) {
                let order = order_place(&store, &format!("o-{at}"), &format!("c-{at}"));
                insist(&mut waiter, &order.items([("mug", 1)]));
            }
        })
    };
    (0..HANDS).map(buy).collect::<Vec<_>>().into_iter().for_each(|buyer| buyer.join().unwrap());
    until("all orders", || info(redis, &store, "completed") == ORDERS as u64);
    worker.end();
    let mut waiter = Waiter::new(client("cut"));
    for _ in 0..50 {
        insist(&mut waiter, &inv_adjust(&store, "mug", 1).once());
    }
    let handled = handled.lock().unwrap();
    assert_eq!((handled.len(), handled.values().max()), (ORDERS, Some(&1)));
    let mug = inv_get(&store, &["mug"]).query(redis).unwrap().remove(0).unwrap();
    assert_eq!((mug.on_hand, mug.held, mug.sold), (50, 0, ORDERS as u64));
    assert_eq!((info(redis, &store, "lapsed"), store_audit(&store).query(redis).unwrap()), (0, vec![]));
}

/// All orders wait, and the next worker gets each of them, at its first attempt.
fn nothing_is_left_behind(redis: &mut Connection, store: &str) {
    let mut found = |name| info(redis, store, name);
    assert_eq!((found("queued"), found("in-work"), found("lapsed")), (CLAIMS as u64, 0, 0));
    let orders = order_claim(store, "next").count(CLAIMS as u64).query(redis).unwrap();
    assert!(orders.len() == CLAIMS && orders.iter().all(|order| order.attempt == 1));
}

/// Whether a claim has waited for longer than those of other tests do.
fn is_anyone_left_waiting() -> bool {
    let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection()).unwrap();
    let waiting = clients.lines().filter(|line| line.contains("cmd=ORDER.CLAIM") && line.contains(" flags=b"));
    let idle = |line: &str| line.split(" idle=").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    waiting.filter_map(idle).any(|seconds| seconds >= 4)
}

#[test]
fn calls_that_wait_in_vain_are_not_waited_for_on_the_server() {
    let redis = &mut connection();
    let store = new_store();
    inv_set(&store, "mug", 5).query(redis).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let claims = (0..AT_A_TIME).map(|number| {
        let store = store.clone();
        runtime.spawn(async move {
            let waiter = AsyncWaiter::new(client("stall")).silence(Duration::from_millis(1));
            for _ in 0..CLAIMS / AT_A_TIME {
                let claim = order_claim(&store, &format!("w-{number}")).block_ms(0);
                assert!(waiter.wait(&claim).await.unwrap_err().is_passing());
            }
        })
    });
    let claims: Vec<_> = claims.collect();
    claims.into_iter().for_each(|claim| runtime.block_on(claim).unwrap());
    until("the server to see that the connections are closed", || !is_anyone_left_waiting());
    place(redis, &store, CLAIMS);
    let audit = AsyncWaiter::new(client("url")).silence(PATIENCE);
    assert_eq!(runtime.block_on(audit.ask(&store_audit(&store))).unwrap(), []);
    nothing_is_left_behind(redis, &store);
}

#[test]
fn a_worker_gives_back_the_orders_whose_claims_timed_out() {
    static TIMED_OUT: AtomicU64 = AtomicU64::new(0);
    let redis = &mut connection();
    let store = &new_store();
    place(redis, store, CLAIMS);
    let worker = Worker::new(client("stall"), store).lease_ms(MINUTES).concurrency(AT_A_TIME).warn(|_| {
        TIMED_OUT.fetch_add(1, Ordering::Relaxed);
    });
    let stopper = worker.stopper();
    let thread = thread::spawn(move || worker.run(|_| Ok(Json::Null)));
    let end = Instant::now() + PATIENCE;
    while TIMED_OUT.load(Ordering::Relaxed) < CLAIMS as u64 {
        assert!(Instant::now() < end);
        thread::sleep(POLL);
    }
    stopper.stop();
    thread.join().unwrap().unwrap();
    nothing_is_left_behind(redis, store);
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
    let info = store_info(store).query(redis).unwrap();
    let found = ["completed", "queued", "in-work", "retrying", "lapsed"].map(|name| info[name].as_u64().unwrap());
    assert_eq!(found, [placed, 0, 0, 0, 0]);
    assert_eq!(store_audit(store).query(redis).unwrap(), []);
}

#[test]
fn a_trace_context_comes_with_the_order() {
    let redis = &mut connection();
    let store = &new_store();
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    inv_set(store, "mug", 1).query(redis).unwrap();
    let order = order_place(store, "o-1", "alice").data(&json!({"traceparent": context}));
    order.items([("mug", 1)]).query(redis).unwrap();
    assert_eq!(order_claim(store, "w").query(redis).unwrap()[0].traceparent().as_deref(), Some(context));
}

#[path = "../../examples/popup.rs"]
mod popup;

const SELL: &str = "HOLDFAST_SELL";

/// No test of its own: the example as a program.
#[test]
fn sell() {
    if std::env::var(SELL).is_ok() {
        popup::main().unwrap();
    }
}

#[test]
fn the_example_sells_out() {
    for _ in 0..2 {
        let mut shop = Command::new(std::env::current_exe().unwrap());
        shop.args(["--exact", "sell", "--nocapture"]).env(SELL, "yes").env("REDIS_URL", lab()["url"].as_str().unwrap());
        let sold = shop.output().unwrap();
        let said = String::from_utf8(sold.stdout).unwrap();
        assert!(sold.status.success() && said.contains("\nsold 20 of 20, left 0\n"), "{said}");
    }
}

/// The row of docs/workers.md: gives up after, its connection then, sends the claim again, the next order goes to.
fn row(library: &str) -> Vec<&'static str> {
    let rows = include_str!("../../../../docs/workers.md").lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells.into_iter().find(|cells| cells[0] == library).expect("a row in docs/workers.md")[1..5].to_vec()
}

/// Places an order and waits until somebody or nobody has it: a worker has it, who does not answer.
fn next_order_is_claimed(store: &str) {
    let redis = &mut connection();
    order_place(store, "o-1", "alice").items([("mug", 1)]).query(redis).unwrap();
    until("the claim", || info(redis, store, "in-work") == 1);
}

#[test]
fn what_redis_rs_does_with_a_claim_that_waits() {
    let (patient, hasty) = (new_store(), new_store());
    for store in [&patient, &hasty] {
        inv_set(store, "mug", 1).query(&mut connection()).unwrap();
    }
    // It never gives up: still there after twice as long as the other one waits.
    assert_eq!(row("redis-rs 1.8 `Connection`"), ["never", "", "no", "the caller"]);
    let claim = |store: &str| order_claim(store, "w").block_ms(0).once();
    let waiting = claim(&patient);
    let waits = thread::spawn(move || waiting.query(&mut connection()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    assert_eq!(row("redis-rs 1.8 `MultiplexedConnection`"), ["0.5 s", "open", "no", "nobody"]);
    let start = Instant::now();
    runtime.block_on(async {
        let mut shared = client("url").get_multiplexed_async_connection().await.unwrap();
        let error = claim(&hasty).query_async(&mut shared).await.unwrap_err();
        assert!(matches!(&error, Error::Redis(error) if error.is_timeout()), "{error:?}");
        assert!(start.elapsed() >= Duration::from_millis(500));
        // The caller is gone, the connection is not: the order goes to nobody.
        next_order_is_claimed(&hasty);
        drop(shared);
    });
    assert!(!waits.is_finished());
    next_order_is_claimed(&patient);
    assert_eq!(waits.join().unwrap().unwrap()[0].order, "o-1");
}
