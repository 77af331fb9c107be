//! What becomes of orders when handlers fail, leases are lost and connections break.

use super::*;

const ORDERS: usize = 400;
const HANDS: usize = 8;

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
    let crew = working(Worker::new(client("url"), &store).lease_ms(2_000), |job| {
        assert_eq!(job.order.order, "odd-\u{fffd}\u{fffd}");
        thread::sleep(Duration::from_millis(3_000));
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
fn a_lease_is_renewed_while_the_handler_runs_and_said_to_be_lost_when_it_is() {
    let redis = &mut connection();
    let (store, other) = (&new_store(), new_store());
    place(redis, store, 1);
    place(redis, &other, 1);
    let slow = working(Worker::new(client("url"), store).lease_ms(2_000), |_| {
        thread::sleep(Duration::from_millis(3_000));
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
