//! What the module writes without a client's command waits whenever a client's command would be delayed or refused:
//! while writes are paused, during a failover, and while there are too few good replicas.

use crate::common::{
    Claimed, Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, assert_stays, claim_one, cmd, info,
    open_store, order_field, server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    a_redrive_waits_while_writes_are_paused,
    a_repair_waits_while_writes_are_paused,
    an_audit_goes_on_while_writes_are_paused,
    a_redrive_lives_through_a_failover,
    a_sample_waits_while_writes_are_paused,
    nobody_is_handed_an_order_while_writes_are_paused,
    a_worker_that_waits_in_a_pause_comes_before_the_end_of_its_lease,
    nobody_is_handed_anything_without_enough_replicas,
    deadlines_wait_for_enough_replicas,
    a_redrive_waits_for_enough_replicas,
    deadlines_wait_while_the_disk_fails,
];

/// Enough orders for a job of many slices.
const ORDERS: usize = 30_000;

/// A server with this many dead or open orders, and an append-only file: only replicated commands can go wrong.
fn with_orders(binary: &ServerBinary, dead: bool) -> (Server, Client) {
    let server = Server::with(binary, &["appendonly yes", "appendfsync no"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 10_000_000);
    for chunk in (0..ORDERS).collect::<Vec<_>>().chunks(2_000) {
        let place = |n: &usize| cmd!["ORDER.PLACE", "popup", format!("o-{n}"), "c", "ITEMS", "sku-1", 1];
        client.pipeline(&chunk.iter().map(place).collect::<Vec<_>>());
        if dead {
            let fail = |n: &usize| cmd!["ORDER.FAIL", "popup", format!("o-{n}"), "FATAL"];
            client.pipeline(&chunk.iter().map(fail).collect::<Vec<_>>());
        }
    }
    (server, client)
}

/// Bytes that were replicated or logged.
fn written(client: &mut Client) -> String {
    client.info("persistence", "aof_current_size")
}

/// A running job waits until a pause ends, and is then finished.
#[track_caller]
fn waits_for_the_end_of_a_pause(server: &Server, client: &mut Client, job: &str, begun: impl Fn(&mut Client) -> bool) {
    let mut caller = server.client();
    caller.send(job).expect("sent");
    wait_until(DEADLINE, "the job is under way", || begun(client));
    client.ok("CLIENT PAUSE 60000 WRITE");
    let before = written(client);
    assert_stays("nothing is written", || written(client) == before);
    assert!(caller.is_silent(std::time::Duration::from_millis(1)), "the job is over before it was paused");
    client.ok("CLIENT UNPAUSE");
    assert_eq!(caller.receive().expect("a reply").int(), ORDERS as i64);
    assert_books_balance(client, "popup");
}

fn a_redrive_waits_while_writes_are_paused(binary: &ServerBinary) {
    let (server, mut client) = with_orders(binary, true);
    let begun = |client: &mut Client| info(client, "queued") > 0;
    waits_for_the_end_of_a_pause(&server, &mut client, "ORDER.REDRIVE popup ALL", begun);
    assert_eq!(info(&mut client, "queued"), ORDERS as i64);
}

fn a_repair_waits_while_writes_are_paused(binary: &ServerBinary) {
    let (server, mut client) = with_orders(binary, false);
    client.int("DEL {popup}:orders");
    let begun = |client: &mut Client| client.int("XLEN {popup}:orders") > 0;
    waits_for_the_end_of_a_pause(&server, &mut client, "STORE.REPAIR popup", begun);
    assert_eq!(client.int("XLEN {popup}:orders"), ORDERS as i64);
}

fn an_audit_goes_on_while_writes_are_paused(binary: &ServerBinary) {
    let (_server, mut client) = with_orders(binary, false);
    client.ok("CLIENT PAUSE 60000 WRITE");
    assert_books_balance(&mut client, "popup");
}

/// FAILOVER pauses writes until the replica has everything, and then makes the replica the primary.
fn a_redrive_lives_through_a_failover(binary: &ServerBinary) {
    let (server, mut client) = with_orders(binary, true);
    let replica = server.replica(binary);
    let mut caller = server.client();
    caller.send("ORDER.REDRIVE popup ALL").expect("sent");
    wait_until(DEADLINE, "the job is under way", || info(&mut client, "queued") > 0);
    client.ok("FAILOVER");
    wait_until(DEADLINE, "the server is a replica", || client.text("INFO replication").contains("role:slave"));
    // One reply: that the server is a replica now, or the number, if the job was finished just before.
    let reply = caller.receive().expect("a reply");
    assert!(
        matches!(reply.code().as_str(), "UNBLOCKED" | "READONLY") || reply == Reply::Int(ORDERS as i64),
        "{reply:?}"
    );
    let mut promoted = replica.client();
    wait_until(DEADLINE, "the replica is the primary", || promoted.text("INFO replication").contains("role:master"));
    promoted.int("ORDER.REDRIVE popup ALL");
    assert_eq!(info(&mut promoted, "queued"), ORDERS as i64);
    assert_books_balance(&mut promoted, "popup");
}

fn a_sample_waits_while_writes_are_paused(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.ok("STORE.SET popup metrics 100");
    client.ok("CONFIG SET holdfast.sample-ms 20");
    let length = |client: &mut Client| client.int("XLEN {popup}:metrics");
    wait_until(DEADLINE, "there is a sample", || length(&mut client) > 0);
    client.pipeline(&[cmd!["INV.ADJUST", "popup", "sku-1", 1], cmd!["CLIENT", "PAUSE", 60_000, "WRITE"]]);
    let before = length(&mut client);
    assert_stays("no sample is taken", || length(&mut client) == before);
    client.ok("CLIENT UNPAUSE");
    wait_until(DEADLINE, "the sample is taken", || length(&mut client) > before);
}

/// A caller that waits for an order, as the worker `w`.
fn waiter(server: &Server, client: &mut Client) -> Client {
    let mut waiting = server.client();
    waiting.send("ORDER.CLAIM popup w BLOCK 0").expect("sent");
    wait_until(DEADLINE, "it waits", || client.info("clients", "blocked_clients") == "1");
    waiting
}

fn handed(waiting: &mut Client) -> String {
    Claimed::all(&waiting.receive().expect("an order")).remove(0).order
}

fn nobody_is_handed_an_order_while_writes_are_paused(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10);
    let mut waiting = waiter(&server, &mut client);
    // The order and the pause come in one turn of the event loop: the caller would be served after it.
    let place = cmd!["ORDER.PLACE", "popup", "a", "c", "ITEMS", "sku-1", 1];
    client.pipeline(&[cmd!["MULTI"], place, cmd!["CLIENT", "PAUSE", 60_000, "WRITE"], cmd!["EXEC"]]);
    assert_stays("nothing is handed out", || order_field(&mut client, "a", "state") == "queued");
    client.ok("CLIENT UNPAUSE");
    assert_eq!(handed(&mut waiting), "a");
}

/// A worker that renews or completes in time is in time, however long the pause is.
fn a_worker_that_waits_in_a_pause_comes_before_the_end_of_its_lease(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10);
    let claims = ["a", "b", "c"].map(|order| {
        client.text(format!("ORDER.PLACE popup {order} c ITEMS sku-1 1"));
        claim_one(&mut client, format!("ORDER.CLAIM popup {order} LEASE 200"))
    });
    client.ok("CLIENT PAUSE 60000 WRITE");
    let [mut renews, mut completes] = [server.client(), server.client()];
    renews.send(format!("ORDER.RENEW popup a TOKEN {} LEASE 60000", claims[0].token)).expect("sent");
    completes.send(format!("ORDER.COMPLETE popup b TOKEN {}", claims[1].token)).expect("sent");
    wait_until(DEADLINE, "all are due", || server_now_ms(&mut client) > claims[2].deadline);
    assert_stays("no lease ends", || info(&mut client, "in-work") == 3);
    client.ok("CLIENT UNPAUSE");
    assert!(renews.receive().expect("a reply").int() > claims[2].deadline);
    completes.receive().expect("a reply").text();
    wait_until(DEADLINE, "the lease of another one ends", || order_field(&mut client, "c", "state") == "queued");
    assert_eq!(order_field(&mut client, "a", "state"), "claimed");
    assert_books_balance(&mut client, "popup");
}

fn nobody_is_handed_anything_without_enough_replicas(binary: &ServerBinary) {
    let (server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup a c ITEMS sku-1 1");
    client.text("ORDER.PLACE popup b c ITEMS sku-1 1");
    claim_one(&mut client, "ORDER.CLAIM popup other LEASE 100");
    claim_one(&mut client, "ORDER.CLAIM popup other LEASE 3600000");
    client.int("LOCK.ACQUIRE lock one 100");
    let mut waiting = waiter(&server, &mut client);
    let mut lock = server.client();
    lock.send("LOCK.ACQUIRE lock two 3600000 WAIT 0").expect("sent");
    wait_until(DEADLINE, "both wait", || client.info("clients", "blocked_clients") == "2");
    client.ok("CONFIG SET min-replicas-to-write 1");
    wait_until(DEADLINE, "writes are refused", || client.call("INV.ADJUST popup sku-1 1").code() == "NOREPLICAS");
    let quiet = std::time::Duration::from_millis(150);
    assert!(waiting.is_silent(quiet), "an order was handed out");
    assert!(lock.is_silent(quiet), "the lock was handed on");
    client.ok("CONFIG SET min-replicas-to-write 0");
    assert_eq!(handed(&mut waiting), "a");
    assert!(lock.receive().expect("the lock").int() > 0);
}

fn deadlines_wait_for_enough_replicas(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.RESERVE popup h TTL 50 ITEMS sku-1 4");
    client.ok("CONFIG SET min-replicas-to-write 1");
    assert_stays("the hold is not expired", || stock(&mut client, "popup", "sku-1").1 == 4);
    client.ok("CONFIG SET min-replicas-to-write 0");
    wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 0);
}

fn a_redrive_waits_for_enough_replicas(binary: &ServerBinary) {
    let (server, mut client) = with_orders(binary, true);
    let mut caller = server.client();
    caller.send("ORDER.REDRIVE popup ALL").expect("sent");
    wait_until(DEADLINE, "the job is under way", || info(&mut client, "queued") > 0);
    client.ok("CONFIG SET min-replicas-to-write 1");
    let before = info(&mut client, "queued");
    assert_stays("nothing is queued", || info(&mut client, "queued") == before);
    client.ok("CONFIG SET min-replicas-to-write 0");
    assert_eq!(caller.receive().expect("a reply").int(), ORDERS as i64);
}

/// When a background save fails, the server refuses writes: workers cannot complete, so their leases must not expire.
fn deadlines_wait_while_the_disk_fails(binary: &ServerBinary) {
    let server = Server::with(binary, &["save 3600 1000000"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.text("ORDER.PLACE popup a c ITEMS sku-1 1");
    let dump = server.dir().join("dump.rdb");
    // A folder with the name of the file: the new file cannot replace it.
    std::fs::create_dir_all(dump.join("in-the-way")).expect("a folder");
    claim_one(&mut client, "ORDER.CLAIM popup w LEASE 200");
    client.get("BGSAVE");
    wait_until(DEADLINE, "the save fails", || client.info("persistence", "rdb_last_bgsave_status") == "err");
    assert_eq!(client.call("ORDER.COMPLETE popup a").code(), "MISCONF");
    assert_stays("the lease does not end", || order_field(&mut client, "a", "state") == "claimed");
    client.ok("CONFIG SET stop-writes-on-bgsave-error no");
    wait_until(DEADLINE, "the lease ends", || order_field(&mut client, "a", "state") == "queued");
    std::fs::remove_dir_all(dump).expect("removed");
}
