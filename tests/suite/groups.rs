//! GROUP: one order at a time, in the order placed, through retries; a group that waits delays no other.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, claim, claim_one, cmd, ids, shop_of, tests,
    wait_until,
};
use std::time::Instant;

tests![
    one_at_a_time_in_the_order_placed,
    a_group_waits_for_its_retry,
    a_lease_that_ends_keeps_its_turn,
    the_end_of_one_lets_the_next_go,
    a_cancelled_follower_is_passed_over,
    a_blocked_group_in_front_costs_nothing,
    groups_survive_a_reload,
];

/// A server with enough units to sell.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    shop_of(binary, 10_000_000)
}

/// Places orders, each with its group; `-` for none.
fn place(client: &mut Client, orders: &[(&str, &str)]) {
    for (order, group) in orders {
        let group = if *group == "-" { String::new() } else { format!("GROUP {group}") };
        client.text(format!("ORDER.PLACE popup {order} c-1 {group} ITEMS sku-1 1"));
    }
}

/// All orders that a worker can get.
fn all(client: &mut Client) -> Vec<String> {
    let claimed = claim(client, "ORDER.CLAIM popup w COUNT 1000");
    claimed.into_iter().map(|claimed| claimed.order).collect()
}

fn one_at_a_time_in_the_order_placed(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &[("a1", "a"), ("a2", "a"), ("x", "-"), ("b1", "b"), ("a3", "a"), ("b2", "b"), ("y", "-")]);
    assert_eq!(all(&mut client), ["a1", "x", "b1", "y"]);
    client.text("ORDER.COMPLETE popup a1");
    assert_eq!(all(&mut client), ["a2"]);
    client.text("ORDER.COMPLETE popup b1");
    client.text("ORDER.COMPLETE popup a2");
    assert_eq!(all(&mut client), ["a3", "b2"]);
    assert_books_balance(&mut client, "popup");
}

fn a_group_waits_for_its_retry(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &[("a1", "a"), ("a2", "a"), ("b1", "b")]);
    let token = claim_one(&mut client, "ORDER.CLAIM popup w").token;
    client.get(format!("ORDER.FAIL popup a1 TOKEN {token} AFTER 3600000"));
    assert_eq!(all(&mut client), ["b1"], "a2 waits for a1, b1 for nobody");
    client.get("ORDER.FAIL popup a1 AFTER 1");
    let retry = claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000");
    assert_eq!((retry.order.as_str(), retry.attempt), ("a1", 3));
    assert!(all(&mut client).is_empty());
    client.get("ORDER.FAIL popup a1 FATAL");
    assert_eq!(all(&mut client), ["a2"], "a dead one is out of the way");
    client.int("ORDER.REDRIVE popup a1");
    client.text("ORDER.COMPLETE popup a2");
    assert_eq!(all(&mut client), ["a1"], "a redriven one is at the end anew");
    assert_books_balance(&mut client, "popup");
}

fn a_lease_that_ends_keeps_its_turn(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &[("a1", "a"), ("a2", "a")]);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup dead COUNT 5 LEASE 10")), ["a1"]);
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w BLOCK 20000").order, "a1");
    client.int("ORDER.YIELD popup w");
    assert_eq!(all(&mut client), ["a1"]);
}

fn the_end_of_one_lets_the_next_go(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &[("a1", "a"), ("a2", "a"), ("a3", "a"), ("a4", "a")]);
    client.int("ORDER.CANCEL popup a1");
    assert_eq!(all(&mut client), ["a2"]);
    let reply = client.get("ORDER.COMPLETE popup a2 CLAIM w");
    assert_eq!(reply.array()[1].field("order").text(), "a3", "in the same round trip");
    client.int("ORDER.CANCEL popup a3");
    assert_eq!(all(&mut client), ["a4"]);
}

fn a_cancelled_follower_is_passed_over(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &[("a1", "a"), ("a2", "a"), ("a3", "a")]);
    client.int("ORDER.CANCEL popup a2");
    // A trusted consumer may complete one out of order.
    place(&mut client, &[("a4", "a")]);
    client.text("ORDER.COMPLETE popup a4");
    assert_eq!(all(&mut client), ["a1"]);
    client.text("ORDER.COMPLETE popup a1");
    assert_eq!(all(&mut client), ["a3"]);
    assert_books_balance(&mut client, "popup");
}

fn a_blocked_group_in_front_costs_nothing(binary: &ServerBinary) {
    const ORDERS: usize = 200_000;
    let (_server, mut client) = shop(binary);
    let place_one =
        |number: usize| cmd!["ORDER.PLACE", "popup", format!("a-{number}"), "c", "GROUP", "a", "ITEMS", "sku-1", 1];
    for start in (0..ORDERS).step_by(1_000) {
        let commands: Vec<_> = (start..start + 1_000).map(place_one).collect();
        client.pipeline(&commands);
    }
    let others: Vec<_> =
        (0..2_000).map(|n| cmd!["ORDER.PLACE", "popup", format!("x-{n}"), "c", "ITEMS", "sku-1", 1]).collect();
    client.pipeline(&others);
    assert_eq!(claim_one(&mut client, "ORDER.CLAIM popup w").order, "a-0");
    let claim_other = cmd!["ORDER.CLAIM", "popup", "w"];
    let start = Instant::now();
    let replies = client.pipeline(&vec![claim_other; 2_000]);
    assert!(replies.iter().all(|reply| reply.array()[0].field("order").text().starts_with("x-")));
    // A walk over the group would visit 400 million orders, and take at least seconds.
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
}

fn groups_survive_a_reload(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    place(&mut client, &[("a1", "a"), ("b1", "b"), ("a2", "a"), ("x", "-"), ("a3", "a"), ("b2", "b")]);
    assert_eq!(ids(&claim(&mut client, "ORDER.CLAIM popup w COUNT 1")), ["a1"]);
    client.get("ORDER.FAIL popup b1 AFTER 1");
    wait_until(DEADLINE, "b1 is due", || client.int("XLEN {popup}:retry") == 1);
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!(client.digest(), digest);
    assert_eq!(all(&mut client), ["b1", "x"]);
    client.text("ORDER.COMPLETE popup a1");
    client.text("ORDER.COMPLETE popup b1");
    assert_eq!(all(&mut client), ["a2", "b2"]);
    client.text("ORDER.COMPLETE popup a2");
    assert_eq!(all(&mut client), ["a3"]);
    assert_books_balance(&mut client, "popup");
}
