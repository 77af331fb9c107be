//! A thousand claims that run into a time-out leave no order behind.

use super::*;

/// Claims that run into a time-out, and how many of them at a time.
const CLAIMS: usize = 1000;
const AT_A_TIME: usize = 250;

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

/// The rows of docs/workers.md that are of this library: its name with the first two numbers of its version, and how it
/// is used; gives up after, its connection then, sends the claim again, the next order goes to.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = include_str!("../../../../docs/workers.md").lines();
    let rows = lines.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.filter(|row| row.starts_with("redis-rs ")).map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// What the table calls the library that is here.
fn library() -> String {
    let lock = include_str!("../../../../Cargo.lock");
    let (_, version) = lock.split_once("name = \"redis\"\nversion = \"").expect("redis-rs in Cargo.lock");
    format!("redis-rs {}", version.split('.').take(2).collect::<Vec<_>>().join("."))
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
    let library = library();
    let names = ["Connection", "MultiplexedConnection"].map(|name| format!("{library} `{name}`"));
    let rows = rows();
    // Every row is tried.
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), names);
    // It never gives up: still there after twice as long as the other one waits.
    assert_eq!(rows[0][1..], ["never", "", "no", "the caller"]);
    let claim = |store: &str| order_claim(store, "w").block_ms(0).once();
    let waiting = claim(&patient);
    let waits = thread::spawn(move || waiting.query(&mut connection()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    assert_eq!(rows[1][1..], ["0.5 s", "open", "no", "nobody"]);
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
