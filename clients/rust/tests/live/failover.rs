//! What becomes of workers and customers when another server is the primary.

use redis::sentinel::{SentinelClient, SentinelServerType};

use super::*;

/// The primary that the sentinel names.
fn primary_of_sentinel() -> redis::Client {
    let mut sentinel =
        redis::Client::open(format!("redis://{}", address("sentinel"))).unwrap().get_connection().unwrap();
    let (host, port): (String, u16) =
        redis::cmd("SENTINEL").arg(&["GET-MASTER-ADDR-BY-NAME", "shop"]).query(&mut sentinel).unwrap();
    redis::Client::open(format!("redis://{host}:{port}")).unwrap()
}

fn sentinels() -> SentinelClient {
    let nodes = vec![format!("redis://{}", address("sentinel"))];
    SentinelClient::build(nodes, String::from("shop"), None, SentinelServerType::Master).unwrap()
}

/// Ends the primary when its replica has everything.
fn end_primary() {
    let mut primary = primary_of_sentinel().get_connection().unwrap();
    // WAIT is about the writes of its own connection, and what came before them.
    redis::cmd("SET").arg(&["last", "write"]).exec(&mut primary).unwrap();
    let replicas: u64 = redis::cmd("WAIT").arg(1).arg(PATIENCE.as_millis() as u64).query(&mut primary).unwrap();
    assert_eq!(replicas, 1);
    redis::cmd("SHUTDOWN").arg(&["NOSAVE", "NOW"]).exec(&mut primary).unwrap_err();
}

#[test]
fn a_worker_and_its_customers_go_on_at_the_replica_that_the_sentinel_promotes() {
    a_worker_and_its_customers_go_on(Arc::new(Mutex::new(sentinels())), primary_of_sentinel, end_primary);
}

/// The sentinel is asked again after an error, as the page says.
#[test]
fn an_asynchronous_call_goes_to_the_primary_that_the_sentinel_names() {
    let store = &new_store();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut sentinels = sentinels();
    let mut claim = async || {
        let waiter = AsyncWaiter::new(sentinels.async_get_client().await?);
        waiter.ask(&inv_set(store, "mug", 1)).await?;
        waiter.ask(&order_place(store, "o-1", "alice").items([("mug", 1)])).await?;
        waiter.wait(&order_claim(store, "w").lease_ms(1_000).block_ms(1)).await
    };
    // The other test ends the primary at some time.
    until("the primary", || match runtime.block_on(claim()) {
        Err(error) if error.is_passing() => false,
        orders => orders.unwrap().iter().any(|order| order.order == "o-1"),
    });
}

/// Connections stay with the old primary, which refuses writes from then on.
#[test]
fn a_worker_and_its_customers_go_on_at_the_server_to_which_their_address_leads() {
    let service = || redis::Client::open(format!("redis://{}", address("service"))).unwrap();
    a_worker_and_its_customers_go_on(service(), service, || assert_eq!(told("failover", ""), "done"));
}

fn a_worker_and_its_customers_go_on<C: Connect + Clone>(way: C, primary: fn() -> redis::Client, change: fn()) {
    const ORDERS: u64 = 20;
    let store = &new_store();
    let customer = &mut Waiter::new(way.clone());
    customer.ask(&inv_set(store, "mug", PLENTY)).unwrap();
    let handled = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let (ledger, promoted) = (Arc::clone(&handled), Arc::new(AtomicBool::new(false)));
    let release = Arc::clone(&promoted);
    let worker = Worker::new(way, store).lease_ms(MINUTES).concurrency(2);
    let stopper = worker.stopper();
    let handler = move |job: &Job| {
        *ledger.lock().unwrap().entry(job.order.order.clone()).or_default() += 1;
        // This one is in hand when the primary goes.
        if job.order.order == "o-0" {
            until("the failover", || release.load(Ordering::Relaxed));
        }
        Ok(Json::Null)
    };
    let crew = Working { stopper, thread: thread::spawn(move || worker.run(handler)) };
    let mut place = |from: u64| {
        for at in from..from + ORDERS {
            let order = order_place(store, &format!("o-{at}"), "alice").items([("mug", 1)]);
            until("the order", || match customer.ask(&order) {
                Err(error) if error.is_passing() => false,
                placed => placed.is_ok() || panic!("{placed:?}"),
            });
        }
    };
    let direct = || primary().get_connection().unwrap();
    place(0);
    until("all but one", || info(&mut direct(), store, "completed") == ORDERS - 1);
    change();
    place(ORDERS);
    promoted.store(true, Ordering::Relaxed);
    until("all orders", || info(&mut direct(), store, "completed") == 2 * ORDERS);
    crew.end();
    each_is_completed(&mut direct(), store, 2 * ORDERS, &handled.lock().unwrap());
}

/// Connects to a server, and then to another one.
struct Moving {
    ways: Mutex<Vec<redis::Client>>,
}

impl Connect for Moving {
    fn open(&self, timeout: Duration) -> RedisResult<Box<dyn Link>> {
        self.ways.lock().unwrap().pop().expect("no third connection").open(timeout)
    }
}

#[test]
fn a_connection_to_a_server_that_is_no_primary_any_more_is_not_used_again() {
    let store = &new_store();
    let mut waiter = Waiter::new(Moving { ways: Mutex::new(vec![client("url"), client("replica")]) });
    let refused = waiter.ask(&inv_set(store, "mug", 1)).unwrap_err();
    assert!(matches!(&refused, Error::Redis(error) if error.code() == Some("READONLY")), "{refused:?}");
    assert!(refused.is_passing());
    assert_eq!(waiter.ask(&inv_set(store, "mug", 1)).unwrap(), 1);
    // Another refusal ends no connection.
    waiter.ask(&order_get(store, "o-1")).unwrap_err();
    assert!(waiter.ask(&inv_get(store, &["mug"])).is_ok());
}
