//! `watch` and `sale` behind sentinels: they follow the primary at once, whatever the old one still answers, and need
//! no sentinel while nothing changes.

use crate::common::ways::{FOLLOWED, Sentinel, completed, pause_writes, replay, server_of, wait_for_promotion, watch};
use crate::common::{DEADLINE, Server, ServerBinary, console, tests, wait_until};
use nix::sys::signal::Signal;
use std::time::Instant;

tests![
    a_failover_is_followed,
    a_planned_failover_loses_nothing,
    an_old_primary_that_answers_is_left,
    a_replica_that_syncs_for_long_holds_nobody_up,
    a_sale_outlives_its_sentinels,
    the_page_outlives_its_sentinels,
    sentinels_have_passwords_of_their_own,
];

/// A short sale, of a store with the name that is used if none is said.
const SALE: [&str; 7] = ["sale", "--duration", "6", "--units", "30", "--watch", "off"];

fn a_failover_is_followed(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let mut client = primary.client();
    client.int("INV.SET popup sku-1 10");
    let replica = primary.replica(binary);
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for("1");
    // The first sentinel that is named is away.
    let url = format!("redis-sentinel://127.0.0.1:1,127.0.0.1:{}/shop", sentinel.port);
    let watcher = watch(binary, &["--url", &url], &[]);
    watcher.wait_for("the store is found", "popup", |_| true);
    assert_eq!(server_of(&watcher)["url"], url);
    replay(binary, "retail", &["--url", &url], &[]);
    primary.kill9();
    sentinel.wait_for_primary(&replica);
    let promoted = Instant::now();
    let mut client = replica.client();
    client.ok("CONFIG SET holdfast.sample-ms 100");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    watcher.wait_for("the new primary is watched", "popup", |line| line["metrics"]["placed"] == 1);
    assert!(promoted.elapsed() < FOLLOWED, "it took {:?}", promoted.elapsed());
    assert_eq!(server_of(&watcher)["role"], "master");
    assert_eq!(watcher.json("/api/stores/popup")["info"]["placed"], 1);
}

/// As docs/running/upgrades.md says, in the middle of a sale: its books are right in the end.
fn a_planned_failover_loses_nothing(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for("1");
    let url = format!("redis-sentinel://127.0.0.1:{}/shop", sentinel.port);
    let arguments = ["sale", "--url", &url, "--duration", "12", "--units", "400", "--watch", "off"];
    let sale = console::start(binary, &arguments, &std::env::temp_dir());
    wait_until(DEADLINE, "the sale goes on", || completed(primary.port(), "popup") > 40);
    pause_writes(&primary, &[&replica]);
    let sold = completed(primary.port(), "popup");
    sentinel.fail_over();
    wait_for_promotion(&replica);
    wait_until(FOLLOWED, "the sale goes on there", || completed(replica.port(), "popup") > sold);
    sale.wait().assert_success();
}

/// A sentinel makes the old primary a replica ten seconds after it has promoted another, and more: until then it
/// answers as if nothing had been.
fn an_old_primary_that_answers_is_left(binary: &ServerBinary) {
    let primary = Server::start(binary);
    primary.client().int("INV.SET popup sku-1 10");
    let replica = primary.replica(binary);
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for("1");
    let watcher = watch(binary, &["--url", &sentinel.url()], &[]);
    watcher.wait_for("the store is found", "popup", |_| true);
    sentinel.fail_over();
    wait_for_promotion(&replica);
    let promoted = Instant::now();
    let mut client = replica.client();
    client.ok("CONFIG SET holdfast.sample-ms 100");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    watcher.wait_for("the new primary is watched", "popup", |line| line["metrics"]["placed"] == 1);
    assert_eq!(server_of(&watcher)["role"], "master");
    assert!(promoted.elapsed() < FOLLOWED, "it took {:?}", promoted.elapsed());
    assert_eq!(primary.client().text("PING"), "PONG");
    // Nor is it gone back to once it is a replica.
    wait_until(2 * DEADLINE, "the old primary is a replica", || {
        primary.client().try_call("ROLE").is_ok_and(|role| role.array()[0].text() == "slave")
    });
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    watcher.wait_for("the new primary is watched", "popup", |line| line["metrics"]["placed"] == 2);
    assert_eq!(server_of(&watcher)["role"], "master");
}

/// The sentinel goes on naming the old primary as the one it watches until every replica follows the new one.
fn a_replica_that_syncs_for_long_holds_nobody_up(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let [first, second] = [(); 2].map(|()| primary.replica(binary));
    // The second cannot go on where it is, and what it gets instead does not begin.
    let mut client = first.client();
    client.ok("CONFIG SET repl-diskless-sync yes");
    client.ok("CONFIG SET repl-diskless-sync-delay 600");
    client.ok("DEBUG CHANGE-REPL-ID");
    // The first is the one that is promoted.
    second.client().ok("CONFIG SET replica-priority 0");
    let sentinel = Sentinel::with(binary, &primary, "sentinel failover-timeout shop 600000");
    sentinel.wait_for("2");
    let url = sentinel.url();
    let sale = ["sale", "--url", &url, "--duration", "12", "--units", "400", "--watch", "off"];
    let sale = console::start(binary, &sale, &std::env::temp_dir());
    let watcher = watch(binary, &["--url", &url], &[]);
    watcher.wait_for("the store is found", "popup", |_| true);
    wait_until(DEADLINE, "the sale goes on", || completed(primary.port(), "popup") > 40);
    pause_writes(&primary, &[&first]);
    let sold = completed(primary.port(), "popup");
    sentinel.fail_over();
    wait_for_promotion(&first);
    first.client().ok("CONFIG SET holdfast.sample-ms 100");
    wait_until(FOLLOWED, "the sale goes on there", || completed(first.port(), "popup") > sold);
    watcher.wait_for("the page shows it", "popup", |line| line["metrics"]["completed"].as_i64() > Some(sold));
    let known = sentinel.client().expect("the sentinel").get("SENTINEL MASTERS");
    assert_eq!(known.array()[0].field("port").text(), primary.port().to_string(), "the failover is not over");
    sale.wait().assert_success();
}

/// They stand still, and then they are killed: the primary is well, and a worker who dies is replaced.
fn a_sale_outlives_its_sentinels(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let sentinels = [(); 2].map(|()| Sentinel::of(binary, &primary));
    sentinels.iter().for_each(|sentinel| sentinel.wait_for_primary(&primary));
    let url = format!("redis-sentinel://127.0.0.1:{},127.0.0.1:{}/shop", sentinels[0].port, sentinels[1].port);
    let sale = ["sale", "--url", &url, "--duration", "12", "--units", "400", "--watch", "off", "--workers", "1"];
    let sale = console::start(binary, &sale, &std::env::temp_dir());
    let sold = || completed(primary.port(), "popup");
    wait_until(DEADLINE, "the sale is under way", || sold() > 0);
    sentinels.iter().for_each(|sentinel| sentinel.signal(Signal::SIGSTOP));
    let before = sold();
    wait_until(DEADLINE, "it goes on while they stand still", || sold() > before + 40);
    drop(sentinels);
    let before = sold();
    wait_until(DEADLINE, "it goes on without them", || sold() > before);
    sale.wait().assert_success();
}

fn the_page_outlives_its_sentinels(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let mut client = primary.client();
    client.int("INV.SET popup sku-1 10");
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for_primary(&primary);
    let watcher = watch(binary, &["--url", &sentinel.url()], &[]);
    watcher.wait_for("the store is found", "popup", |_| true);
    drop(sentinel);
    client.ok("SELECT 3");
    client.int("INV.SET popup sku-1 30");
    watcher.wait_for("another database is found", "3:popup", |_| true);
    // The primary closes its connections: it is found where it was.
    client.int("CLIENT KILL TYPE normal SKIPME yes");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    watcher.wait_for("its numbers follow", "3:popup", |line| line["metrics"]["placed"] == 1);
    wait_until(DEADLINE, "it is back", || server_of(&watcher)["connected"] == true);
}

fn sentinels_have_passwords_of_their_own(binary: &ServerBinary) {
    const SERVERS: &str = "of-the-servers";
    const SENTINELS: &str = "of-the-sentinels";
    const USERS: &str = "of-a-user";
    let primary = Server::start(binary);
    let mut client = primary.client();
    client.int("INV.SET popup sku-1 10");
    client.ok(format!("CONFIG SET requirepass {SERVERS}"));
    let config = format!(
        "sentinel auth-pass shop {SERVERS}\nrequirepass {SENTINELS}\n\
         user watcher on >{USERS} -@all +sentinel|get-master-addr-by-name",
    );
    let sentinel = Sentinel::with(binary, &primary, &config);
    let url = sentinel.url();
    let (auth, password) = (("REDISCLI_AUTH", SERVERS), |password| ("HOLDFAST_SENTINEL_PASSWORD", password));
    let user = ("HOLDFAST_SENTINEL_USER", "watcher");
    for (name, variables) in [("all", &[auth, password(SENTINELS)][..]), ("one", &[auth, user, password(USERS)])] {
        watch(binary, &["--url", &url], variables).wait_for("the store is found", "popup", |_| true);
        replay(binary, &format!("retail-{name}"), &["--url", &url], variables);
        let store = format!("sale-{name}");
        console::start_with(binary, &[&SALE[..], &["--url", &url, "--store", &store]].concat(), variables)
            .wait()
            .assert_success();
    }
    for (why, variables) in [("NOAUTH", &[auth][..]), ("authentication failed", &[auth, password(SERVERS)])] {
        let watcher = watch(binary, &["--url", &url], variables);
        wait_until(DEADLINE, "it says why not", || server_of(&watcher)["error"].to_string().contains(why));
        assert_eq!(server_of(&watcher)["connected"], false, "{why}");
        let sale = console::start_with(binary, &[&SALE[..], &["--url", &url]].concat(), variables).wait();
        let said = sale.stdout + &sale.stderr;
        assert!(sale.code == Some(1) && said.contains(why) && !said.contains("of-the-"), "{why}: {said}");
    }
}
