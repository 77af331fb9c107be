//! ORDER.CLAIM … BLOCK: which callers wake, when, and in which order.

use crate::common::{
    Claimed, Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, assert_books_balance, blocked, claim,
    claim_one, cmd, entries, ids, open_store, shop_of, tests, wait_until, waiter,
};
use std::time::Duration;

tests![
    every_way_an_order_becomes_claimable_wakes,
    callers_are_served_in_the_order_they_came,
    a_newcomer_does_not_overtake_those_who_wait,
    an_order_whose_lease_just_ended_is_for_those_who_wait,
    the_next_of_a_group_is_for_those_who_wait,
    one_that_disconnects_is_passed_over,
    an_order_handed_to_one_that_went_is_not_lost,
    nobody_blocks_in_multi_or_lua,
    nobody_is_served_inside_a_transaction,
    block_ends_with_an_empty_array,
    an_order_that_comes_with_the_timeout_is_answered_either_way,
    client_unblock_ends_it,
    client_unblock_in_the_turn_of_another_end_gives_one_answer,
    client_unblock_in_the_turn_of_the_answer_delivers_it,
    the_lease_begins_when_the_order_is_handed_out,
    count_and_lease_hold_for_those_who_wait,
    a_store_that_goes_ends_the_waiting,
    many_waiters_each_get_one,
    waiters_of_different_stores_and_databases_are_apart,
    what_was_handed_out_is_replicated,
    a_completion_that_claims_comes_after_those_who_wait,
    a_primary_that_becomes_a_replica_sends_its_waiters_away,
];

/// How long a caller that should stay blocked is watched.
const WATCHED: Duration = Duration::from_millis(100);

/// A server with enough units to sell.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 100_000)
}

fn place(client: &mut Client, order: &str) {
    client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
}

/// The orders that the waiter gets.
#[track_caller]
fn handed(waiter: &mut Client) -> Vec<Claimed> {
    Claimed::all(&waiter.receive().expect("a reply"))
}

fn every_way_an_order_becomes_claimable_wakes(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut wakes = |what: &str, order: &str, cause: &mut dyn FnMut(&mut Client)| {
        let mut waiting = waiter(&server, "popup w BLOCK 0");
        cause(&mut client);
        assert_eq!(ids(&handed(&mut waiting)), [order], "{what}");
    };
    wakes("placed", "a", &mut |client| place(client, "a"));
    wakes("failed, and its retry is due", "a", &mut |client| drop(client.get("ORDER.FAIL popup a AFTER 3")));
    wakes("given back", "a", &mut |client| assert_eq!(client.int("ORDER.YIELD popup w"), 1));
    client.text("ORDER.COMPLETE popup a");
    place(&mut client, "b");
    claim_one(&mut client, "ORDER.CLAIM popup dead LEASE 300");
    let mut wakes = |what: &str, order: &str, cause: &mut dyn FnMut(&mut Client)| {
        let mut waiting = waiter(&server, "popup w BLOCK 0");
        cause(&mut client);
        assert_eq!(ids(&handed(&mut waiting)), [order], "{what}");
    };
    wakes("the lease ended", "b", &mut |_| {});
    wakes("first of its group", "g1", &mut |client| {
        client.text("ORDER.PLACE popup g1 c-1 GROUP g ITEMS sku-1 1");
        client.text("ORDER.PLACE popup g2 c-1 GROUP g ITEMS sku-1 1");
    });
    wakes("the one before it in its group is done", "g2", &mut |client| {
        client.text("ORDER.COMPLETE popup g1");
    });
    wakes("unpaused", "p", &mut |client| {
        client.ok("STORE.SET popup paused yes");
        place(client, "p");
        client.ok("STORE.SET popup paused no");
    });
    wakes("redriven", "p", &mut |client| {
        client.get("ORDER.FAIL popup p FATAL");
        assert_eq!(client.int("ORDER.REDRIVE popup ALL"), 1);
    });
    wakes("placed from a hold", "h", &mut |client| {
        client.int("INV.RESERVE popup hold-1 ITEMS sku-1 1");
        client.text("ORDER.PLACE popup h c-1 HOLD hold-1");
    });
    assert_books_balance(&mut client, "popup");
}

fn callers_are_served_in_the_order_they_came(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiters: Vec<Client> =
        (0..10).map(|number| waiter(&server, &format!("popup w-{number} BLOCK 0"))).collect();
    let place = |number: usize| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c", "ITEMS", "sku-1", 1];
    client.pipeline(&(0..10).map(place).collect::<Vec<_>>());
    let mut last = 0;
    for (number, waiter) in waiters.iter_mut().enumerate() {
        let claimed = handed(waiter).remove(0);
        assert_eq!(claimed.order, format!("o-{number}"));
        assert!(claimed.token > last);
        last = claimed.token;
    }
}

fn a_newcomer_does_not_overtake_those_who_wait(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut first = waiter(&server, "popup first BLOCK 0");
    // In one piece: the newcomer's claim is read before any waiting caller could be woken.
    let commands =
        [cmd!["ORDER.PLACE", "popup", "a", "c", "ITEMS", "sku-1", 1], cmd!["ORDER.CLAIM", "popup", "second"]];
    let replies = client.pipeline(&commands);
    assert_eq!(replies[1], Reply::Array(Vec::new()));
    assert_eq!(ids(&handed(&mut first)), ["a"]);
    let mut first = waiter(&server, "popup first BLOCK 0");
    let commands = [
        cmd!["ORDER.PLACE", "popup", "b", "c", "ITEMS", "sku-1", 1],
        cmd!["ORDER.COMPLETE", "popup", "a", "CLAIM", "w"],
    ];
    let replies = client.pipeline(&commands);
    assert_eq!(replies[1].array()[1], Reply::Nil);
    assert_eq!(ids(&handed(&mut first)), ["b"]);
}

fn an_order_whose_lease_just_ended_is_for_those_who_wait(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    place(&mut client, "a");
    claim_one(&mut client, "ORDER.CLAIM popup dead LEASE 300");
    let mut first = waiter(&server, "popup first BLOCK 0");
    // In one piece: the lease ends in the sleep, and no deadline is met before the newcomer's claim is read.
    let replies = client.pipeline(&[cmd!["DEBUG", "SLEEP", "0.4"], cmd!["ORDER.CLAIM", "popup", "second"]]);
    assert_eq!(replies[1], Reply::Array(Vec::new()));
    assert_eq!(ids(&handed(&mut first)), ["a"]);
}

fn the_next_of_a_group_is_for_those_who_wait(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let replica = server.replica(binary);
    for order in ["a", "b", "c"] {
        client.text(format!("ORDER.PLACE popup {order} c-1 GROUP g ITEMS sku-1 1"));
    }
    claim_one(&mut client, "ORDER.CLAIM popup me");
    let mut first = waiter(&server, "popup first BLOCK 0");
    let done = client.get("ORDER.COMPLETE popup a CLAIM me");
    assert_eq!(done.array()[1], Reply::Nil);
    assert_eq!(ids(&handed(&mut first)), ["b"]);
    assert_eq!(client.get("ORDER.COMPLETE popup a CLAIM me"), done, "the same call again gets the first reply");
    // One who waits for another lane is not passed over by it.
    let mut express = waiter(&server, "popup express LANES 1 express BLOCK 0");
    let done = client.get("ORDER.COMPLETE popup b CLAIM me");
    assert_eq!(Claimed::of(&done.array()[1]).order, "c");
    assert!(express.is_silent(WATCHED));
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has all of it", || reader.digest() == client.digest());
}

fn one_that_disconnects_is_passed_over(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let gone = waiter(&server, "popup gone BLOCK 0");
    let mut stays = waiter(&server, "popup stays BLOCK 0");
    drop(gone);
    wait_until(DEADLINE, "the server knows", || blocked(&mut client) == 1);
    place(&mut client, "a");
    assert_eq!(ids(&handed(&mut stays)), ["a"]);
    assert_eq!(client.get("STORE.INFO popup").field("claimed").int(), 1);
}

fn an_order_handed_to_one_that_went_is_not_lost(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    for round in 0..20 {
        let mut gone = server.client();
        let id = gone.int("CLIENT ID");
        gone.send("ORDER.CLAIM popup gone LEASE 3600000 BLOCK 0").expect("sent");
        wait_until(DEADLINE, "it is blocked", || blocked(&mut client) == 1);
        // In one piece: the newcomer's claim hands the order to the waiting caller, which disconnects before it gets
        // the reply.
        let order = format!("o-{round}");
        let replies = client.pipeline(&[
            cmd!["ORDER.PLACE", "popup", order, "c", "ITEMS", "sku-1", 1],
            cmd!["ORDER.CLAIM", "popup", "newcomer"],
            cmd!["ORDER.GET", "popup", order],
            cmd!["CLIENT", "KILL", "ID", id],
        ]);
        assert_eq!(replies[1], Reply::Array(Vec::new()));
        assert_eq!(replies[2].field("worker").text(), "gone");
        let claimed = claim_one(&mut client, "ORDER.CLAIM popup next BLOCK 20000");
        assert_eq!((claimed.order, claimed.attempt), (order, 1));
    }
    assert_books_balance(&mut client, "popup");
}

fn nobody_blocks_in_multi_or_lua(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    client.ok("MULTI");
    client.get("ORDER.CLAIM popup w BLOCK 0");
    assert_eq!(client.get("EXEC"), Reply::Array(vec![Reply::Array(Vec::new())]));
    let script = "return redis.call('ORDER.CLAIM', KEYS[1], 'w', 'BLOCK', '0')";
    assert_eq!(client.get(cmd!["EVAL", script, 1, "popup"]), Reply::Array(Vec::new()));
}

fn nobody_is_served_inside_a_transaction(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiting = waiter(&server, "popup w BLOCK 0");
    // An order that a transaction places can be cancelled and claimed in it before anyone else gets it.
    client.ok("MULTI");
    client.get("ORDER.PLACE popup a c ITEMS sku-1 1");
    client.get("ORDER.CLAIM popup own");
    client.get("ORDER.PLACE popup b c ITEMS sku-1 1");
    client.get("ORDER.CANCEL popup b");
    client.get("ORDER.PLACE popup d c ITEMS sku-1 1");
    let replies = client.get("EXEC");
    assert_eq!(ids(&Claimed::all(&replies.array()[1])), ["a"]);
    assert_eq!(ids(&handed(&mut waiting)), ["d"]);
    let mut waiting = waiter(&server, "popup w BLOCK 0");
    let script = "redis.call('ORDER.PLACE', KEYS[1], 'e', 'c', 'ITEMS', 'sku-1', 1)
        return redis.call('ORDER.GET', KEYS[1], 'e')[4]";
    assert_eq!(client.text(cmd!["EVAL", script, 1, "popup"]), "queued");
    assert_eq!(ids(&handed(&mut waiting)), ["e"]);
    assert_books_balance(&mut client, "popup");
}

fn block_ends_with_an_empty_array(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    assert_eq!(client.get("ORDER.CLAIM popup w BLOCK 20"), Reply::Array(Vec::new()));
    // A caller that gave up gets nothing any more.
    place(&mut client, "a");
    assert!(client.is_silent(WATCHED));
    assert_eq!(claim_one(&mut server.client(), "ORDER.CLAIM popup w").order, "a");
}

/// Redis 7.0 forgets the reply of a client whose own timeout falls due in the turn in which it is answered.
fn an_order_that_comes_with_the_timeout_is_answered_either_way(binary: &ServerBinary) {
    const ROUNDS: usize = 300;
    const BLOCK_MS: u64 = 5;
    let (server, mut client) = shop(binary);
    let mut worker = server.client();
    let mut got = 0;
    for round in 0..ROUNDS {
        worker.send(format!("ORDER.CLAIM popup w BLOCK {BLOCK_MS}")).expect("sent");
        // As close to the timeout as possible, sometimes before it, sometimes after it.
        std::thread::sleep(Duration::from_micros(BLOCK_MS * 1_000 - 800 + 8 * round as u64));
        place(&mut client, &format!("o-{round}"));
        let claimed = handed(&mut worker);
        got += claimed.len();
        for order in claimed {
            worker.text(format!("ORDER.COMPLETE popup {} TOKEN {}", order.order, order.token));
        }
    }
    let left = claim_rest(&mut worker);
    assert_eq!(got + left, ROUNDS, "every order was handed out once");
    assert_books_balance(&mut client, "popup");
}

/// Claims what is left, and returns how many orders that was.
fn claim_rest(worker: &mut Client) -> usize {
    worker.get("ORDER.CLAIM popup w COUNT 1000").array().len()
}

fn client_unblock_ends_it(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiting = server.client();
    let id = waiting.int("CLIENT ID");
    waiting.send("ORDER.CLAIM popup w BLOCK 0").expect("sent");
    wait_until(DEADLINE, "it can be unblocked", || client.int(format!("CLIENT UNBLOCK {id}")) == 1);
    assert_eq!(waiting.receive().expect("a reply"), Reply::Array(Vec::new()));
    place(&mut client, "a");
    assert_eq!(claim_one(&mut waiting, "ORDER.CLAIM popup w").order, "a");
}

/// Two events end a wait in one turn of the server's event loop: the caller gets one reply, and can continue.
fn client_unblock_in_the_turn_of_another_end_gives_one_answer(binary: &ServerBinary) {
    let ends = ["DEL popup lock", "UNLINK popup lock", "FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1"];
    let server = Server::start(binary);
    let mut client = server.client();
    for (round, end) in ends.iter().enumerate() {
        for how in ["", " TIMEOUT", " ERROR"] {
            let what = format!("{end}, CLIENT UNBLOCK{how}");
            open_store(&mut client, "popup", 1);
            client.int("LOCK.ACQUIRE lock one 3600000");
            let [mut claimer, mut locker] = [(); 2].map(|()| server.client());
            let ids = [&mut claimer, &mut locker].map(|waiting| waiting.int("CLIENT ID"));
            claimer.send("ORDER.CLAIM popup w BLOCK 0").expect("sent");
            locker.send("LOCK.ACQUIRE lock two 1000 WAIT 0").expect("sent");
            wait_until(DEADLINE, "both wait", || blocked(&mut client) == 2);
            let unblock = |id: i64| format!("CLIENT UNBLOCK {id}{how}").into_command();
            let words = |command: &str| command.into_command();
            client.pipeline(&[words("MULTI"), words(end), unblock(ids[0]), unblock(ids[1]), words("EXEC")]);
            let ended_by_error = |reply: &Reply| how == " ERROR" && reply.is_error() && reply.code() == "UNBLOCKED";
            let claimed = claimer.receive().unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
            assert!(claimed == Reply::Array(Vec::new()) || ended_by_error(&claimed), "{what}: {claimed:?}");
            let locked = locker.receive().unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
            assert!(locked == Reply::Nil || ended_by_error(&locked), "{what}: {locked:?}");
            for waiting in [&mut claimer, &mut locker] {
                assert_eq!(waiting.text(format!("ECHO {round}")), round.to_string(), "{what}: another answer");
            }
            client.ok("FLUSHALL");
        }
    }
}

/// A caller that is served by another client's command, and unblocked after it in the same turn, has the order.
fn client_unblock_in_the_turn_of_the_answer_delivers_it(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    for how in ["TIMEOUT", "ERROR"] {
        let order = format!("o-{how}");
        let mut waiting = server.client();
        let id = waiting.int("CLIENT ID");
        waiting.send("ORDER.CLAIM popup w LEASE 3600000 BLOCK 0").expect("sent");
        wait_until(DEADLINE, "it waits", || blocked(&mut client) == 1);
        // The claim after the order serves the callers that waited before.
        let place = cmd!["ORDER.PLACE", "popup", &order, "c-1", "ITEMS", "sku-1", 1];
        client.pipeline(&[place, cmd!["ORDER.CLAIM", "popup", "late"], cmd!["CLIENT", "UNBLOCK", id, how]]);
        let reply = waiting.receive().expect("a reply");
        if reply.is_error() {
            assert_eq!(reply.code(), "UNBLOCKED");
            // It did not get the order: the next caller does.
            wait_until(DEADLINE, "it is taken back", || !claim(&mut client, "ORDER.CLAIM popup next").is_empty());
        } else {
            assert_eq!(ids(&Claimed::all(&reply)), [&order]);
        }
        assert_eq!(waiting.text("ECHO on"), "on");
        client.text(format!("ORDER.COMPLETE popup {order}"));
    }
    assert_books_balance(&mut client, "popup");
}

fn the_lease_begins_when_the_order_is_handed_out(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiting = waiter(&server, "popup w LEASE 3600000 BLOCK 0");
    assert!(waiting.is_silent(WATCHED));
    let before = crate::common::server_now_ms(&mut client);
    place(&mut client, "a");
    let claimed = handed(&mut waiting).remove(0);
    assert!(claimed.deadline >= before + 3_600_000, "{claimed:?}");
}

fn count_and_lease_hold_for_those_who_wait(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiting = waiter(&server, "popup w COUNT 3 LEASE 20 BLOCK 0");
    let place = |number: usize| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c", "ITEMS", "sku-1", 1];
    client.pipeline(&(0..5).map(place).collect::<Vec<_>>());
    let claimed = handed(&mut waiting);
    assert!((1..=3).contains(&claimed.len()), "{claimed:?}");
    wait_until(DEADLINE, "its lease ends", || client.get("STORE.INFO popup").field("queued").int() == 5);
}

fn a_store_that_goes_ends_the_waiting(binary: &ServerBinary) {
    for end in ["DEL popup", "UNLINK popup", "STORE.DROP popup", "FLUSHALL", "RENAME popup other", "MOVE popup 5"] {
        let (server, mut client) = shop(binary);
        let mut waiting = waiter(&server, "popup w BLOCK 0");
        client.get(end);
        assert_eq!(waiting.receive().expect("a reply"), Reply::Array(Vec::new()), "{end}");
        waiting.refused("NOSTORE", "ORDER.CLAIM popup w BLOCK 0");
    }
}

fn many_waiters_each_get_one(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let mut waiters = many_waiters(&server, &mut client);
    client.pipeline(&orders_in_one_turn());
    assert_each_got_one(&mut waiters);
    assert_books_balance(&mut client, "popup");
}

/// More callers than one tick serves.
const MANY: usize = 1_200;

fn many_waiters(server: &Server, client: &mut Client) -> Vec<Client> {
    let mut waiters: Vec<Client> = (0..MANY).map(|_| server.client()).collect();
    for (number, waiter) in waiters.iter_mut().enumerate() {
        waiter.send(format!("ORDER.CLAIM popup w-{number} LEASE 3600000 BLOCK 0")).expect("sent");
    }
    wait_until(DEADLINE, "all are blocked", || blocked(client) == MANY);
    waiters
}

/// An order for each of them, all in one transaction.
fn orders_in_one_turn() -> Vec<Vec<Vec<u8>>> {
    let place = |number: usize| cmd!["ORDER.PLACE", "popup", format!("o-{number}"), "c", "ITEMS", "sku-1", 1];
    [cmd!["MULTI"]].into_iter().chain((0..MANY).map(place)).chain([cmd!["EXEC"]]).collect()
}

fn assert_each_got_one(waiters: &mut [Client]) {
    let mut orders: Vec<String> = waiters.iter_mut().map(|waiter| handed(waiter).remove(0).order).collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), MANY, "nobody got another's");
}

/// They get the orders; its own order is completed all the same, on a replica too.
fn a_completion_that_claims_comes_after_those_who_wait(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let replica = server.replica(binary);
    place(&mut client, "mine");
    let mine = claim_one(&mut client, "ORDER.CLAIM popup me LEASE 3600000");
    let mut waiters = many_waiters(&server, &mut client);
    let mut commands = orders_in_one_turn();
    let complete = format!("ORDER.COMPLETE popup mine TOKEN {} RESULT {{}} CLAIM me", mine.token);
    commands.push(complete.as_str().into_command());
    let replies = client.pipeline(&commands);
    let [entry, next] = replies.last().expect("a reply").array() else { panic!("two, got {:?}", replies.last()) };
    assert!(*entry != Reply::Nil && *next == Reply::Nil, "{entry:?} {next:?}");
    assert_each_got_one(&mut waiters);
    assert_eq!(client.get("ORDER.GET popup mine").field("result").text(), "{}");
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has all of it", || reader.digest() == client.digest());
    assert_books_balance(&mut client, "popup");
}

fn waiters_of_different_stores_and_databases_are_apart(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    open_store(&mut client, "other", 10);
    let mut there = server.client();
    there.ok("SELECT 3");
    open_store(&mut there, "popup", 10);
    let mut here = waiter(&server, "popup w BLOCK 0");
    let mut other = waiter(&server, "other w BLOCK 0");
    there.send("ORDER.CLAIM popup w BLOCK 0").expect("sent");
    wait_until(DEADLINE, "three are blocked", || blocked(&mut client) == 3);
    let mut third = server.client();
    third.ok("SELECT 3");
    third.text("ORDER.PLACE popup in-three c ITEMS sku-1 1");
    assert_eq!(ids(&handed(&mut there)), ["in-three"]);
    assert!(here.is_silent(WATCHED) && other.is_silent(Duration::from_millis(1)));
    place(&mut client, "here");
    client.text("ORDER.PLACE other other c ITEMS sku-1 1");
    assert_eq!((ids(&handed(&mut here))[0], ids(&handed(&mut other))[0]), ("here", "other"));
}

fn what_was_handed_out_is_replicated(binary: &ServerBinary) {
    let primary = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = primary.replica(binary);
    let mut client = primary.client();
    open_store(&mut client, "popup", 100);
    for number in 0..20 {
        let mut waiting = waiter(&primary, "popup w COUNT 2 LEASE 3600000 BLOCK 0");
        place(&mut client, &format!("o-{number}"));
        handed(&mut waiting);
    }
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has all of it", || reader.digest() == client.digest());
    assert_eq!(reader.get("STORE.INFO popup").field("in-work").int(), 20);
    let digest = client.digest();
    client.ok("DEBUG LOADAOF");
    assert_eq!(client.digest(), digest);
    assert_eq!(entries(&mut client, "{popup}:orders").len(), 20);
}

fn a_primary_that_becomes_a_replica_sends_its_waiters_away(binary: &ServerBinary) {
    let (server, mut client) = shop(binary);
    let other = Server::start(binary);
    let mut waiting = waiter(&server, "popup w BLOCK 0");
    client.ok(format!("REPLICAOF 127.0.0.1 {}", other.port()));
    assert_eq!(waiting.receive().expect("a reply").code(), "UNBLOCKED");
    client.ok("REPLICAOF NO ONE");
    open_store(&mut client, "again", 10);
    client.text("ORDER.PLACE again a c ITEMS sku-1 1");
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM again w BLOCK 0").order, "a");
}
