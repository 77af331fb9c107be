//! Lanes: named parts of the queue, the callers who wait for some of them, and claims of one order.

use crate::common::{
    Claimed, Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, blocked, claim, claim_one, cmd,
    entries, ids, open_store, order_field, shop_of, tests, wait_until, waiter,
};
use std::time::Duration;

tests![
    a_worker_names_the_lanes_it_serves,
    without_lanes_all_are_one_queue_by_the_time_placed,
    a_lane_shows_what_is_in_it,
    a_store_has_64_lanes_at_most,
    the_lane_is_content_of_the_order,
    groups_hold_across_lanes,
    callers_of_different_lanes_get_the_first_order_of_theirs,
    callers_of_some_lanes_and_of_all_are_served_in_the_order_they_came,
    callers_who_get_nothing_hold_up_nobody,
    a_newcomer_overtakes_only_those_who_want_something_else,
    a_caller_of_a_lane_that_gives_up_is_passed_over,
    count_holds_for_callers_of_lanes_who_wait,
    lanes_are_replicated_and_kept,
    an_order_with_gates_waits_in_its_lane,
    what_is_split_off_waits_in_a_lane,
    that_very_order_is_claimed,
    a_reader_of_the_stream_claims_what_it_read,
    arguments_of_a_claim_that_exclude_each_other,
];

/// How long a caller that should stay blocked is watched.
const WATCHED: Duration = Duration::from_millis(100);

/// A server with enough units to sell.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 100_000)
}

/// Places orders, each in the lane its id starts with; `-` is the default one.
fn place(client: &mut Client, orders: &[&str]) {
    for order in orders {
        client.text(ask(order));
    }
}

fn ask(order: &str) -> Vec<Vec<u8>> {
    let mut words = cmd!["ORDER.PLACE", "popup", order, "c-1"];
    if !order.starts_with('-') {
        words.extend(cmd!["LANE", &order[..1]]);
    }
    words.extend(cmd!["ITEMS", "sku-1", 1]);
    words
}

fn got(client: &mut Client, arguments: &str) -> Vec<String> {
    claim(client, format!("ORDER.CLAIM popup {arguments}")).into_iter().map(|claimed| claimed.order).collect()
}

/// A worker that waits for orders of these lanes.
fn of_lanes(server: &Server, lanes: &str) -> Client {
    waiter(server, &format!("popup w {lanes} BLOCK 0"))
}

#[track_caller]
fn handed(waiter: &mut Client) -> Vec<String> {
    let claimed = Claimed::all(&waiter.receive().expect("a reply"));
    ids(&claimed).into_iter().map(str::to_string).collect()
}

fn a_worker_names_the_lanes_it_serves(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a1", "-1", "b1", "a2", "b2", "-2"]);
    let reply = client.get("ORDER.CLAIM popup w LANES 1 a");
    assert_eq!(
        (reply.array()[0].field("order").text(), reply.array()[0].field("lane").text()),
        ("a1".into(), "a".into())
    );
    assert_eq!(got(&mut client, "w COUNT 9 LANES 2 b a"), ["b1", "b2", "a2"], "the first named that has something");
    assert!(got(&mut client, "w LANES 3 b a nobody's").is_empty());
    let reply = client.get(cmd!["ORDER.CLAIM", "popup", "w", "LANES", 1, ""]);
    assert_eq!(
        (reply.array()[0].field("order").text(), reply.array()[0].field("lane").text()),
        ("-1".into(), "".into())
    );
    assert_eq!(
        (order_field(&mut client, "a1", "lane"), order_field(&mut client, "-2", "lane")),
        ("a".into(), "".into())
    );
    assert_eq!(got(&mut client, "w"), ["-2"]);
    assert_books_balance(&mut client, "popup");
}

fn without_lanes_all_are_one_queue_by_the_time_placed(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a1", "-1", "b1", "a2", "b2"]);
    assert_eq!(got(&mut client, "w COUNT 2"), ["a1", "-1"]);
    client.get("ORDER.FAIL popup -1 AFTER 1");
    let retry = claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000 LANES 1 a");
    assert_eq!(retry.order, "a2", "the retry is of another lane");
    wait_until(DEADLINE, "the retry is due", || client.int("XLEN {popup}:retry") == 1);
    assert_eq!(got(&mut client, "w COUNT 9"), ["-1", "b1", "b2"]);
    let completed = client.get("ORDER.COMPLETE popup b1 CLAIM w");
    assert_eq!(completed.array()[1], Reply::Nil);
    place(&mut client, &["b3", "-3"]);
    let completed = client.get("ORDER.COMPLETE popup b2 CLAIM w");
    assert_eq!(completed.array()[1].field("lane").text(), "b");
}

fn a_lane_shows_what_is_in_it(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    assert_eq!(client.get("STORE.LANES popup"), Reply::Array(Vec::new()));
    place(&mut client, &["b1", "b2", "b3", "-1", "a1"]);
    got(&mut client, "w COUNT 2 LANES 1 b");
    client.get("ORDER.FAIL popup b2 AFTER 3600000");
    let mut shown = || {
        let row = |lane: &Reply| {
            let numbers = ["queued", "in-work", "retrying"].map(|name| lane.field(name).int());
            (lane.field("lane").text(), numbers, lane.field("oldest-waiting-ms").int() >= 0)
        };
        client.get("STORE.LANES popup").array().iter().map(row).collect::<Vec<_>>()
    };
    let wanted = [("", [1, 0, 0]), ("a", [1, 0, 0]), ("b", [1, 1, 1])];
    assert_eq!(shown(), wanted.map(|(lane, numbers)| (lane.to_string(), numbers, true)));
    client.int("ORDER.CANCEL popup a1");
    client.text("ORDER.COMPLETE popup -1");
    let lanes = client.get("STORE.LANES popup");
    assert_eq!(lanes.array().len(), 1, "a lane that no order is in is gone: {lanes:?}");
}

fn a_store_has_64_lanes_at_most(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for number in 0..64 {
        client.text(format!("ORDER.PLACE popup o-{number} c-1 LANE lane-{number} ITEMS sku-1 1"));
    }
    let more = "ORDER.PLACE popup more c-1 LANE more ITEMS sku-1 1";
    client.refused_naming("ERR", "LANE", more);
    place(&mut client, &["-1"]);
    client.text("ORDER.COMPLETE popup o-7");
    client.text(more);
    let names: Vec<String> = (0..64).map(|number| format!("lane-{number}")).collect();
    assert_eq!(got(&mut client, &format!("w COUNT 100 LANES 64 {}", names.join(" "))).len(), 63);
    assert_eq!(got(&mut client, "w COUNT 100"), ["-1", "more"]);
}

fn the_lane_is_content_of_the_order(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let first = client.text(ask("a1"));
    assert_eq!(client.text(ask("a1")), first);
    client.refused("MISMATCH", "ORDER.PLACE popup a1 c-1 ITEMS sku-1 1");
    client.refused("MISMATCH", "ORDER.PLACE popup a1 c-1 LANE b ITEMS sku-1 1");
    let first = client.text(cmd!["ORDER.PLACE", "popup", "-1", "c-1", "LANE", "", "ITEMS", "sku-1", 1]);
    assert_eq!(client.text(ask("-1")), first, "the default lane is the empty one");
    client.text("ORDER.COMPLETE popup a1");
    client.refused("MISMATCH", "ORDER.PLACE popup a1 c-1 ITEMS sku-1 1");
}

fn groups_hold_across_lanes(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    for (order, lane) in [("o1", "a"), ("o2", "b"), ("o3", "a")] {
        client.text(format!("ORDER.PLACE popup {order} c-1 GROUP g LANE {lane} ITEMS sku-1 1"));
    }
    let mut of_b = waiter(&server, "popup w LANES 1 b BLOCK 0");
    assert!(of_b.is_silent(WATCHED), "it is the turn of o1");
    assert_eq!(got(&mut client, "w COUNT 9"), ["o1"]);
    client.text("ORDER.COMPLETE popup o1");
    assert_eq!(handed(&mut of_b), ["o2"]);
    let mut of_a = waiter(&server, "popup w LANES 1 a BLOCK 0");
    client.int("ORDER.CANCEL popup o2");
    assert_eq!(handed(&mut of_a), ["o3"]);
    assert_books_balance(&mut client, "popup");
}

fn callers_of_different_lanes_get_the_first_order_of_theirs(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiters = ["a", "b", "a", "c", "b"].map(|lane| of_lanes(&server, &format!("LANES 1 {lane}")));
    // In one turn, and in another order than they came.
    client.pipeline(&["c1", "b1", "a1", "b2", "a2"].map(ask));
    let orders = waiters.each_mut().map(|waiter| handed(waiter).remove(0));
    assert_eq!(orders, ["a1", "b1", "a2", "c1", "b2"]);
    let mut two = waiter(&server, "popup w COUNT 9 LANES 2 a b BLOCK 0");
    client.pipeline(&[cmd!["MULTI"], ask("b3"), ask("a3"), cmd!["EXEC"]]);
    assert_eq!(handed(&mut two), ["a3", "b3"]);
    assert_books_balance(&mut client, "popup");
}

fn callers_of_some_lanes_and_of_all_are_served_in_the_order_they_came(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiters = ["LANES 1 a", "", "LANES 2 a b", "LANES 1 b", ""].map(|lanes| of_lanes(&server, lanes));
    client.pipeline(&["a1", "a2", "a3", "b1", "-1"].map(ask));
    let orders = waiters.each_mut().map(|waiter| handed(waiter).remove(0));
    assert_eq!(orders, ["a1", "a2", "a3", "b1", "-1"]);
    // Each way in which an order of a lane becomes claimable wakes who waits for that lane.
    let mut of_a = waiter(&server, "popup x LANES 1 a BLOCK 0");
    client.get("ORDER.FAIL popup a1 AFTER 3");
    assert_eq!(handed(&mut of_a), ["a1"]);
    let mut of_a = waiter(&server, "popup x LANES 1 a BLOCK 0");
    client.get("ORDER.FAIL popup a2 FATAL");
    assert_eq!(client.int("ORDER.REDRIVE popup a2"), 1);
    assert_eq!(handed(&mut of_a), ["a2"]);
    let mut of_a = waiter(&server, "popup y LANES 1 a BLOCK 0");
    assert!(client.int("ORDER.YIELD popup x") > 0);
    assert_eq!(handed(&mut of_a), ["a1"]);
}

fn callers_who_get_nothing_hold_up_nobody(binary: &ServerBinary) {
    const IN_FRONT: usize = 1_000;
    let (server, mut client) = shop(binary);
    let mut in_front: Vec<Client> = (0..IN_FRONT).map(|_| server.client()).collect();
    for (number, waiter) in in_front.iter_mut().enumerate() {
        waiter.send(format!("ORDER.CLAIM popup w LANES 2 x lane-{number} BLOCK 0")).expect("sent");
    }
    wait_until(DEADLINE, "all are blocked", || blocked(&mut client) == IN_FRONT);
    // Neither those who wait behind them, nor those who come.
    let mut behind = waiter(&server, "popup w LANES 1 a BLOCK 0");
    for number in 0..300 {
        let order = format!("a{number}");
        place(&mut client, &[&order]);
        assert_eq!(handed(&mut behind), [order]);
        behind.send("ORDER.CLAIM popup w LANES 1 a BLOCK 0").expect("sent");
        wait_until(DEADLINE, "it is blocked", || blocked(&mut client) == IN_FRONT + 1);
        let order = format!("b{number}");
        place(&mut client, &[&order]);
        assert_eq!(got(&mut client, "w LANES 1 b"), [order]);
    }
    // What nobody wants waits, and those in front get theirs.
    place(&mut client, &["b-left"]);
    for number in [IN_FRONT - 1, 17] {
        client.text(format!("ORDER.PLACE popup o-{number} c-1 LANE lane-{number} ITEMS sku-1 1"));
        assert_eq!(handed(&mut in_front[number]), [format!("o-{number}")]);
    }
    place(&mut client, &["x1"]);
    assert_eq!(handed(&mut in_front[0]), ["x1"]);
    assert_books_balance(&mut client, "popup");
}

fn a_newcomer_overtakes_only_those_who_want_something_else(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut of_a = waiter(&server, "popup first LANES 1 a BLOCK 0");
    // In one piece: the newcomer's claim is read before any waiting caller could be woken.
    let claims = |lane: &str| cmd!["ORDER.CLAIM", "popup", "second", "LANES", 1, lane];
    let replies = client.pipeline(&[ask("b1"), claims("b"), ask("a1"), claims("a")]);
    assert_eq!(ids(&Claimed::all(&replies[1])), ["b1"]);
    assert_eq!(replies[3], Reply::Array(Vec::new()));
    assert_eq!(handed(&mut of_a), ["a1"]);
    let mut of_a = waiter(&server, "popup first LANES 1 a BLOCK 0");
    let replies = client.pipeline(&[ask("a2"), cmd!["ORDER.CLAIM", "popup", "second", "ORDER", "a2"]]);
    assert_eq!(replies[1], Reply::Array(Vec::new()), "who waited has it");
    assert_eq!(handed(&mut of_a), ["a2"]);
}

fn a_caller_of_a_lane_that_gives_up_is_passed_over(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    assert_eq!(client.get("ORDER.CLAIM popup w LANES 2 a b BLOCK 20"), Reply::Array(Vec::new()));
    let gone = waiter(&server, "popup gone LANES 3 a b a BLOCK 0");
    let mut unblocked = server.client();
    let id = unblocked.int("CLIENT ID");
    unblocked.send("ORDER.CLAIM popup w LANES 1 b BLOCK 0").expect("sent");
    wait_until(DEADLINE, "two are blocked", || blocked(&mut client) == 2);
    let mut stays = waiter(&server, "popup stays LANES 2 b a BLOCK 0");
    drop(gone);
    assert_eq!(client.int(format!("CLIENT UNBLOCK {id}")), 1);
    wait_until(DEADLINE, "the server knows", || blocked(&mut client) == 1);
    place(&mut client, &["a1"]);
    assert_eq!(handed(&mut stays), ["a1"]);
    let mut of_store = waiter(&server, "popup w LANES 1 a BLOCK 0");
    client.int("DEL popup");
    assert_eq!(handed(&mut of_store), [""; 0]);
}

fn count_holds_for_callers_of_lanes_who_wait(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiting = waiter(&server, "popup w COUNT 3 LEASE 3600000 LANES 2 b a BLOCK 0");
    client.pipeline(&[cmd!["MULTI"], ask("a1"), ask("-1"), ask("b1"), ask("a2"), ask("a3"), cmd!["EXEC"]]);
    assert_eq!(handed(&mut waiting), ["b1", "a1", "a2"]);
    assert_eq!(got(&mut client, "w COUNT 9"), ["-1", "a3"]);
}

fn lanes_are_replicated_and_kept(binary: &ServerBinary) {
    let primary = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_store(&mut client, "popup", 1_000);
    for number in 0..20 {
        let mut waiting = waiter(&primary, "popup waits LEASE 3600000 LANES 3 a b \u{fffd} BLOCK 0");
        place(&mut client, &[&format!("-{number}"), &format!("c{number}"), &format!("b{number}")]);
        assert_eq!(handed(&mut waiting), [format!("b{number}")]);
    }
    client.int("ORDER.YIELD popup waits");
    place(&mut client, &["a1", "a2"]);
    got(&mut client, "w COUNT 5 LEASE 3600000 LANES 1 b");
    client.get("ORDER.FAIL popup b3 FATAL");
    client.text("ORDER.COMPLETE popup b4");
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has all of it", || reader.digest() == client.digest());
    let lanes = client.get("STORE.LANES popup");
    let without_age = |lanes: &Reply| {
        let row = |lane: &Reply| ["queued", "in-work", "retrying"].map(|name| lane.field(name).int());
        lanes.array().iter().map(|lane| (lane.field("lane").text(), row(lane))).collect::<Vec<_>>()
    };
    assert_eq!(without_age(&reader.get("STORE.LANES popup")), without_age(&lanes));
    let digest = client.digest();
    for reload in ["DEBUG LOADAOF", "DEBUG RELOAD"] {
        client.ok(reload);
        assert_eq!(client.digest(), digest, "{reload}");
        assert_eq!(without_age(&client.get("STORE.LANES popup")), without_age(&lanes));
        assert_books_balance(&mut client, "popup");
    }
    let waiting = got(&mut client, "w COUNT 100 LANES 1 a");
    assert!(waiting.iter().all(|order| order.starts_with('a')), "{waiting:?}");
    assert_eq!(client.int("ORDER.REDRIVE popup b3"), 1);
    assert!(got(&mut client, "w COUNT 100 LANES 1 b").contains(&"b3".to_string()), "redriven into its lane");
}

/// It is in no worker's reach before, and keeps its lane in use.
fn an_order_with_gates_waits_in_its_lane(binary: &ServerBinary) {
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 1_000);
    let mut other = waiter(&server, "popup other LANES 1 b BLOCK 0");
    let mut waiting = waiter(&server, "popup waits LANES 1 a BLOCK 0");
    client.get("ORDER.PLACE popup a1 c-1 LANE a GATE pay 0 ITEMS sku-1 1");
    let lanes = |client: &mut Client| {
        let row = |lane: &Reply| (lane.field("lane").text(), lane.field("queued").int());
        client.get("STORE.LANES popup").array().iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(lanes(&mut client), [("a".to_string(), 0)]);
    assert_eq!(order_field(&mut client, "a1", "lane"), "a");
    assert!(got(&mut client, "w ORDER a1").is_empty(), "no worker could get it");
    place(&mut client, &["c1"]);
    client.int("ORDER.GATE popup c1 check 0");
    assert!(got(&mut client, "w").is_empty());
    assert_eq!(client.int("ORDER.PASS popup a1 pay"), 0);
    assert_eq!(handed(&mut waiting), ["a1"]);
    place(&mut client, &["b1"]);
    assert_eq!(handed(&mut other), ["b1"]);
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has all of it", || reader.digest() == client.digest());
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!(
        (client.digest(), lanes(&mut client)),
        (digest, ["a", "b", "c"].map(|lane| (lane.to_string(), 0)).to_vec())
    );
    client.int("ORDER.PASS popup c1 check");
    assert_eq!(got(&mut client, "w LANES 1 c"), ["c1"]);
    assert_books_balance(&mut client, "popup");
}

/// In that of the order it comes from, where the call names none.
fn what_is_split_off_waits_in_a_lane(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    client.text("ORDER.PLACE popup a1 c-1 LANE a ITEMS sku-1 9");
    client.text("ORDER.SPLIT popup a1 a2 ITEMS sku-1 1");
    let mut waiting = waiter(&server, "popup waits LANES 1 b BLOCK 0");
    let entry = client.text("ORDER.SPLIT popup a1 b1 LANE b ITEMS sku-1 1");
    assert_eq!(handed(&mut waiting), ["b1"]);
    client.text(cmd!["ORDER.SPLIT", "popup", "a1", "-1", "LANE", "", "ITEMS", "sku-1", 1]);
    assert_eq!(client.text("ORDER.SPLIT popup a1 b1 LANE b ITEMS sku-1 1"), entry);
    client.refused("MISMATCH", "ORDER.SPLIT popup a1 b1 LANE c ITEMS sku-1 1");
    client.refused("MISMATCH", "ORDER.SPLIT popup a1 b1 ITEMS sku-1 1");
    client.int("ORDER.EDIT popup a1 ITEMS sku-1 2");
    assert_eq!(got(&mut client, "w COUNT 9 LANES 1 a"), ["a1", "a2"]);
    assert_eq!(got(&mut client, "w COUNT 9"), ["-1"]);
    assert_books_balance(&mut client, "popup");
}

fn that_very_order_is_claimed(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["-1", "a1", "-2"]);
    assert_eq!(got(&mut client, "w ORDER -2"), ["-2"], "whatever stands before it");
    assert_eq!(got(&mut client, "w LEASE 3600000 ORDER a1"), ["a1"]);
    assert!(got(&mut client, "other ORDER a1").is_empty(), "a worker has it");
    client.get("ORDER.FAIL popup a1 AFTER 20");
    assert!(got(&mut client, "w ORDER a1").is_empty(), "its retry is not due");
    wait_until(DEADLINE, "the retry is due", || got(&mut client, "w ORDER a1") == ["a1"]);
    client.text("ORDER.COMPLETE popup a1");
    assert!(got(&mut client, "w ORDER a1").is_empty(), "it is completed");
    client.refused("NOORDER", "ORDER.CLAIM popup w ORDER nobody's");
    client.ok("STORE.SET popup paused yes");
    assert!(got(&mut client, "w ORDER -1").is_empty());
    client.ok("STORE.SET popup paused no");
    for order in ["g1", "g2"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 GROUP g ITEMS sku-1 1"));
    }
    assert!(got(&mut client, "w ORDER g2").is_empty(), "it is not its turn in its group");
    assert_eq!(got(&mut client, "w ORDER g1"), ["g1"]);
    client.text("ORDER.COMPLETE popup g1");
    assert_eq!(got(&mut client, "w ORDER g2"), ["g2"]);
    assert_eq!(got(&mut client, "w COUNT 9"), ["-1"]);
    assert_books_balance(&mut client, "popup");
}

fn a_reader_of_the_stream_claims_what_it_read(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a1", "-1", "b1"]);
    let read = entries(&mut client, "{popup}:orders");
    for entry in read.iter().rev() {
        let order = entry.text("order");
        let claimed = claim_one(&mut client, format!("ORDER.CLAIM popup w ORDER {order}"));
        assert_eq!(claimed.order, order);
        client.text(format!("ORDER.COMPLETE popup {order} TOKEN {}", claimed.token));
    }
    assert_eq!(client.int("XLEN {popup}:orders"), 0);
}

fn arguments_of_a_claim_that_exclude_each_other(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &["a1"]);
    for arguments in
        ["COUNT 2 ORDER a1", "ORDER a1 COUNT 2", "ORDER a1 LANES 1 a", "LANES 1 a ORDER a1", "ORDER a1 BLOCK 0"]
    {
        client.refused_naming("ERR", "ORDER", format!("ORDER.CLAIM popup w {arguments}"));
    }
    for arguments in ["LANES", "LANES 0", "LANES 66", "LANES a", "LANES -1 a"] {
        client.refused_naming("ERR", "LANES", format!("ORDER.CLAIM popup w {arguments}"));
    }
    client.refused_naming("ERR", "lane", "ORDER.CLAIM popup w LANES 2 a");
    let long = "l".repeat(513);
    client.refused_naming("ERR", "lane", format!("ORDER.CLAIM popup w LANES 1 {long}"));
    client.refused_naming("ERR", "LANE", format!("ORDER.PLACE popup o c-1 LANE {long} ITEMS sku-1 1"));
    assert_eq!(got(&mut client, "w COUNT 1 ORDER a1"), ["a1"]);
}
