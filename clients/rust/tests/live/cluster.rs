//! Workers and waiting calls in a cluster, whose slots move.

use super::*;

/// Workers of a store that moves, one after the other.
const CREWS: usize = 2;
/// A store is half moved until so many calls were refused.
const REFUSALS: u64 = 3;

/// Those who look at what waits on the cluster: one after the other.
fn cluster_alone() -> impl Drop {
    static CLUSTER: Mutex<()> = Mutex::new(());
    CLUSTER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[test]
fn a_cluster_is_asked_where_the_store_is() {
    let _alone = cluster_alone();
    let cluster = redis::cluster::ClusterClient::new(nodes()).unwrap();
    let redis = &mut cluster.get_connection().unwrap();
    for store in ["popup", "drop", "darkstore", "kiosk"] {
        inv_set(store, "mug", 10).query(redis).unwrap();
        let worker = Worker::new(cluster.clone(), store).block_ms(200).warn(|_| {});
        let stopper = worker.stopper();
        let thread = thread::spawn(move || worker.run(|_| Ok(Json::Null)));
        order_place(store, "o-1", "alice").items([("mug", 1)]).query(redis).unwrap();
        until("the order", || store_info(store).query(redis).unwrap().completed == 1);
        stopper.stop();
        thread.join().unwrap().unwrap();
    }
}

/// An asynchronous client of any node follows to the one that has the store, and after it when it moves.
#[test]
fn an_asynchronous_call_that_waits_follows_its_store() {
    let _alone = cluster_alone();
    let cluster = redis::cluster::ClusterClient::new(nodes()).unwrap();
    let redis = &mut cluster.get_connection().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for at in 0..nodes().len() {
        let store = new_store();
        inv_set(&store, "mug", PLENTY).query(redis).unwrap();
        let waiter = AsyncWaiter::new(redis::Client::open(nodes()[at]).unwrap());
        let claim = order_claim(&store, "w").block_ms(0);
        let waits = runtime.spawn(async move { waiter.wait(&claim).await });
        until("the claim", || waiting_in_cluster().len() == 1);
        assert!(move_slot(&store, 0) > 0);
        until("the claim at the other node", || waiting_in_cluster().len() == 1);
        order_place(&store, "o-1", "alice").items([("mug", 1)]).query(redis).unwrap();
        assert_eq!(runtime.block_on(waits).unwrap().unwrap()[0].order, "o-1");
    }
}

/// A store that is made while its slot moves is made at the other node, which is asked by ASKING.
#[test]
fn an_asynchronous_call_asks_the_node_to_which_a_slot_moves() {
    let _alone = cluster_alone();
    let open = |url| redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut there: Vec<Connection> = nodes().into_iter().map(open).collect();
    let name = |node: &mut Connection| redis::cmd("CLUSTER").arg("MYID").query::<String>(node).unwrap();
    let names: Vec<String> = there.iter_mut().map(name).collect();
    let store = &new_store();
    let slot: u16 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(store).query(&mut there[0]).unwrap();
    let has_slot = |node: &mut Connection| inv_get(store, &["mug"]).query(node).unwrap_err().code() == Some("NOSTORE");
    let from = there.iter_mut().position(has_slot).unwrap();
    let to = (from + 1) % names.len();
    let mut set = |at: usize, how: &str, name: usize| {
        redis::cmd("CLUSTER").arg("SETSLOT").arg(slot).arg(how).arg(&names[name]).exec(&mut there[at]).unwrap();
    };
    set(to, "IMPORTING", from);
    set(from, "MIGRATING", to);
    let names_hosts = |how| {
        let setting = ["SET", "cluster-preferred-endpoint-type", how];
        redis::cmd("CONFIG").arg(&setting).exec(&mut open(nodes()[from])).unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let waiter = AsyncWaiter::new(redis::Client::open(nodes()[from]).unwrap());
    let made = runtime.block_on(waiter.ask(&inv_set(store, "mug", 3)));
    // The other node may be named by its port alone.
    names_hosts("unknown-endpoint");
    let seen = runtime.block_on(waiter.ask(&inv_get(store, &["mug"])));
    names_hosts("ip");
    set(to, "NODE", to);
    set(from, "NODE", to);
    assert_eq!((made.unwrap(), seen.unwrap()[0].as_ref().unwrap().on_hand), (3, 3));
    let mug = inv_get(store, &["mug"]).query(&mut there[to]).unwrap().remove(0).unwrap();
    assert_eq!(mug.on_hand, 3);
}

/// Moves the slot of a store to another node of the cluster, or back; how many keys moved. After the first, waits until
/// so many calls were refused with TRYAGAIN.
fn move_slot(store: &str, refusals: u64) -> u64 {
    told("moves", &format!("{store} {refusals}")).parse().expect("the slot has moved")
}

/// The addresses of the cluster's nodes.
fn nodes() -> Vec<&'static str> {
    lab()["cluster"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect()
}

/// The callers that wait on the nodes of the cluster: a connection to the node, and the caller's number there.
fn waiting_in_cluster() -> Vec<(Connection, String)> {
    let waiting = |url: &str| {
        let connection = || redis::Client::open(url).unwrap().get_connection().unwrap();
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection()).unwrap();
        let waiting = clients.lines().filter(|line| line.contains(" flags=b"));
        let numbers = waiting.map(|line| line["id=".len()..].split(' ').next().unwrap().to_owned());
        numbers.map(|number| (connection(), number)).collect::<Vec<_>>()
    };
    nodes().into_iter().flat_map(waiting).collect()
}

#[test]
fn a_store_moves_while_its_workers_wait_and_work() {
    let _alone = cluster_alone();
    let store = &new_store();
    let cluster = redis::cluster::ClusterClient::new(nodes()).unwrap();
    let redis = &mut cluster.get_connection().unwrap();
    inv_set(store, "mug", PLENTY).query(redis).unwrap();
    let handled = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let start = |concurrency| {
        let worker = Worker::new(cluster.clone(), store).lease_ms(MINUTES).concurrency(concurrency);
        let (stopper, ledger) = (worker.stopper(), Arc::clone(&handled));
        let handler = move |job: &Job| {
            *ledger.lock().unwrap().entry(job.order.order.clone()).or_default() += 1;
            Ok(Json::Null)
        };
        Working { stopper, thread: thread::spawn(move || worker.run(handler)) }
    };
    let moving = |refusals| {
        let store = store.clone();
        thread::spawn(move || move_slot(&store, refusals))
    };
    let mut placed = 0;
    for _ in 0..CREWS {
        let crew = start(2);
        until("both to wait for an order", || waiting_in_cluster().len() == 2);
        assert!(move_slot(store, 0) > 1);
        let busy = moving(REFUSALS);
        while !busy.is_finished() {
            order_place(store, &format!("o-{placed}"), "alice").items([("mug", 1)]).query(redis).unwrap();
            placed += 1;
        }
        until("some orders", || !handled.lock().unwrap().is_empty());
        let stopping = moving(0);
        crew.end();
        stopping.join().unwrap();
        assert_eq!(store_info(store).query(redis).unwrap().in_work, 0);
    }
    let last = start(1);
    until("all orders", || store_info(store).query(redis).unwrap().completed == placed);
    last.end();
    each_is_completed(redis, store, placed, &handled.lock().unwrap());
}

#[test]
fn a_claim_whose_connection_breaks_is_not_sent_again_on_a_cluster() {
    let _alone = cluster_alone();
    let store = &new_store();
    let cluster = redis::cluster::ClusterClient::new(nodes()).unwrap();
    inv_set(store, "mug", 1).query(&mut cluster.get_connection().unwrap()).unwrap();
    let claim = order_claim(store, "w").block_ms(0);
    let waits = thread::spawn(move || Waiter::new(cluster).wait(&claim));
    until("the claim", || waiting_in_cluster().len() == 1);
    let (mut node, number) = waiting_in_cluster().remove(0);
    redis::cmd("CLIENT").arg(&["KILL", "ID", &number]).exec(&mut node).unwrap();
    until("what becomes of the claim", || waits.is_finished() || !waiting_in_cluster().is_empty());
    assert!(waits.is_finished(), "the claim was sent again");
    assert!(waits.join().unwrap().unwrap_err().is_passing());
}

#[test]
fn a_claim_whose_reply_does_not_come_is_not_sent_again_on_a_cluster() {
    let _alone = cluster_alone();
    let store = &new_store();
    let cluster = redis::cluster::ClusterClient::new(nodes()).unwrap();
    let redis = &mut cluster.get_connection().unwrap();
    inv_set(store, "mug", PLENTY).query(redis).unwrap();
    let mut waiter = Waiter::new(cluster).silence(Duration::from_millis(100));
    let claim = order_claim(store, "w").block_ms(10);
    assert!(waiter.wait(&claim).unwrap().is_empty());
    for at in 0..CREWS {
        order_place(store, &format!("o-{at}"), "alice").items([("mug", 1)]).query(redis).unwrap();
    }
    for node in nodes() {
        let mut node = redis::Client::open(node).unwrap().get_connection().unwrap();
        redis::cmd("CLIENT").arg(&["PAUSE", "1000"]).exec(&mut node).unwrap();
    }
    assert!(waiter.wait(&claim).unwrap_err().is_passing());
    // This is answered after the pause, and after the claim.
    let in_work = store_info(store).query(redis).unwrap().in_work;
    assert!(in_work <= 1, "{in_work} orders were handed out");
}
