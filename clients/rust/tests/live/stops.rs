//! What becomes of orders when workers are stopped or killed.

use super::*;

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
        crew.args(["--exact", "stops::crew", "--nocapture"]).env(CREW, said);
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
