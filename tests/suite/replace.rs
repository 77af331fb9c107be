//! INV.RESERVE … REPLACE, and the bounds of a hold: hold-max-ms and hold-max-units.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, server_now_ms, shop_of, stock, tests, wait_until,
};

tests![
    a_cart_changes_in_one_step,
    the_same_replace_again_changes_nothing,
    a_refused_replace_leaves_the_hold_as_it_was,
    a_guest_signs_in,
    an_ended_hold_begins_anew,
    a_hold_that_became_an_order_stays_ended,
    what_was_committed_stays_sold,
    a_replica_a_restart_and_a_copy_agree,
    a_hold_lives_no_longer_than_hold_max_ms,
    a_hold_has_at_most_hold_max_units,
    a_replaced_hold_expires_at_its_new_deadline,
];

fn a_cart_changes_in_one_step(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.int("INV.SET popup sku-2 3");
    client.int("INV.RESERVE popup cart CUSTOMER c-1 ITEMS sku-1 5");
    // All of it is in this cart: nobody else gets any of it in between, and the cart itself is not in the way.
    client.int("INV.RESERVE popup cart CUSTOMER c-1 REPLACE ITEMS sku-1 4 sku-2 3");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (5, 4, 1));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (3, 3, 0));
    let items = client.get("INV.HOLD popup cart").field("items");
    let items: Vec<_> = items.array().iter().map(|item| (item.field("sku").text(), item.field("left").int())).collect();
    assert_eq!(items, [("sku-1".to_string(), 4), ("sku-2".to_string(), 3)]);
    client.int("INV.RESERVE popup cart customer c-1 replace ttl 5000 ITEMS sku-1 1");
    assert_eq!(stock(&mut client, "popup", "sku-2"), (3, 0, 3));
    assert_books_balance(&mut client, "popup");
}

fn the_same_replace_again_changes_nothing(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    client.int("INV.SET popup sku-2 3");
    client.int("INV.RESERVE popup cart CUSTOMER c-1 ITEMS sku-1 5");
    let replace = "INV.RESERVE popup cart CUSTOMER c-1 TTL 60000 REPLACE ITEMS sku-1 2 sku-2 1";
    let first = client.int(replace);
    let digest = client.digest();
    assert_eq!(client.int(replace), first);
    assert_eq!(
        client.int("INV.RESERVE popup cart REPLACE TTL 60000 CUSTOMER c-1 ITEMS sku-2 1 sku-1 1 sku-1 1"),
        first
    );
    assert_eq!(client.int("INV.RESERVE popup cart CUSTOMER c-1 TTL 60000 ITEMS sku-1 2 sku-2 1"), first);
    assert_eq!(client.digest(), digest);
    client.refused("MISMATCH", "INV.RESERVE popup cart CUSTOMER c-1 ITEMS sku-1 5");
}

fn a_refused_replace_leaves_the_hold_as_it_was(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.ok("STORE.SET popup limit 6 hold-max-units 8");
    client.int("INV.RESERVE popup cart CUSTOMER c-1 ITEMS sku-1 4");
    let refused = |client: &mut Client, items: &str, text: &str| {
        let call = format!("INV.RESERVE popup cart CUSTOMER c-1 REPLACE ITEMS {items}");
        let code = text.split(' ').next().unwrap_or_default();
        assert_eq!(client.refused(code, call), text);
    };
    refused(&mut client, "sku-1 6", "OUTOFSTOCK sku-1 wanted 6 available 5");
    refused(&mut client, "sku-1 7", "LIMIT customer c-1 limit 6 has 0");
    refused(&mut client, "sku-1 9", "ERR ITEMS must add up to at most 8 units (hold-max-units), got 9");
    refused(&mut client, "sku-9 1", "NOSKU no SKU sku-9 in this store");
    assert_eq!(client.get("INV.HOLD popup cart").field("left").int(), 4);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (5, 4, 1));
}

fn a_guest_signs_in(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.ok("STORE.SET popup limit 5");
    client.int("INV.RESERVE popup cart ITEMS sku-1 5");
    client.int("INV.RESERVE popup cart CUSTOMER c-1 REPLACE ITEMS sku-1 5");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (5, 5, 0));
    let text = client.refused("LIMIT", "INV.RESERVE popup other CUSTOMER c-1 ITEMS sku-1 1");
    assert_eq!(text, "LIMIT customer c-1 limit 5 has 5", "the units count for the customer");
    // And into other hands: then they count for c-2, and for c-1 no more.
    client.int("INV.RESERVE popup cart CUSTOMER c-2 REPLACE ITEMS sku-1 4");
    client.int("INV.RESERVE popup other CUSTOMER c-1 ITEMS sku-1 1");
    assert_eq!(client.get("INV.HOLD popup cart").field("customer").text(), "c-2");
    assert_books_balance(&mut client, "popup");
}

fn an_ended_hold_begins_anew(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    let cart = "INV.RESERVE popup cart CUSTOMER c-1 TTL 60000 REPLACE ITEMS sku-1 2";
    client.int(cart);
    client.int("INV.RELEASE popup cart");
    client.int(cart);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (9, 2, 7));
    client.int("INV.COMMIT popup cart");
    client.int(cart);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (7, 2, 5));
    client.int("INV.RESERVE popup cart TTL 1 REPLACE ITEMS sku-1 5");
    wait_until(DEADLINE, "it expires", || client.get("INV.HOLD popup cart").field("state").text() == "expired");
    client.int(cart);
    assert_eq!(client.get("INV.HOLD popup cart").field("state").text(), "live");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (7, 2, 5));
    assert_books_balance(&mut client, "popup");
}

fn a_hold_that_became_an_order_stays_ended(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    client.int("INV.RESERVE popup cart ITEMS sku-1 2");
    client.text("ORDER.PLACE popup o-1 c-1 HOLD cart");
    for items in ["sku-1 2", "sku-1 1"] {
        let text = client.refused("BADSTATE", format!("INV.RESERVE popup cart REPLACE ITEMS {items}"));
        assert_eq!(text, "BADSTATE hold is ordered");
    }
    assert_eq!(stock(&mut client, "popup", "sku-1"), (9, 2, 7));
}

fn what_was_committed_stays_sold(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    client.ok("STORE.SET popup limit 6");
    client.int("INV.RESERVE popup cart CUSTOMER c-1 ITEMS sku-1 4");
    client.int("INV.COMMIT popup cart ITEMS sku-1 1");
    client.int("INV.RESERVE popup cart CUSTOMER c-1 REPLACE ITEMS sku-1 5");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (8, 5, 3));
    assert_eq!(client.get("INV.GET popup sku-1").array()[0].field("sold").int(), 1);
    client.refused("LIMIT", "INV.RESERVE popup cart CUSTOMER c-1 REPLACE ITEMS sku-1 6");
    client.ok("DEBUG RELOAD");
    assert_books_balance(&mut client, "popup");
    assert_eq!(client.int("ORDER.RETURN popup gone CUSTOMER c-1 REF rma-1 ITEMS sku-1 1"), 1);
    client.int("INV.RESERVE popup cart CUSTOMER c-1 REPLACE ITEMS sku-1 6");
    assert_books_balance(&mut client, "popup");
}

fn a_replica_a_restart_and_a_copy_agree(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    crate::common::open_store(&mut client, "popup", 50);
    client.ok("STORE.SET popup hold-max-ms 7200000 journal 100");
    for round in 0..20 {
        let (ttl, units) = (3_600_000 + round, 1 + round % 7);
        client.int(format!("INV.RESERVE popup cart CUSTOMER c-{} TTL {ttl} REPLACE ITEMS sku-1 {units}", round % 3));
        if round % 4 == 3 {
            client.int("INV.COMMIT popup cart ITEMS sku-1 1");
        }
    }
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
    assert_books_balance(&mut reader, "popup");
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!(client.digest(), digest);
    client.int("COPY popup other");
    assert_eq!(client.digest_value("other"), client.digest_value("popup"));
    client.int("DEL other");
    server.kill9();
    server.start_again();
    assert_eq!(server.client().digest(), digest, "from the log");
}

fn a_hold_lives_no_longer_than_hold_max_ms(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    client.ok("STORE.SET popup hold-max-ms 100000");
    let before_ms = server_now_ms(&mut client);
    let longest = client.int("INV.RESERVE popup cart TTL 600000 ITEMS sku-1 1");
    assert!((before_ms + 100_000..=server_now_ms(&mut client) + 100_000).contains(&longest), "TTL is cut");
    client.int("INV.RESERVE popup other TTL 1000 ITEMS sku-1 1");
    let extended = client.int("INV.EXTEND popup other 600000");
    assert!((before_ms + 100_000..=server_now_ms(&mut client) + 100_000).contains(&extended), "extensions too");
    assert_eq!(client.int("INV.EXTEND popup other 700000"), extended);
    wait_until(DEADLINE, "the clock moves", || server_now_ms(&mut client) > longest - 100_000 + 5);
    assert_eq!(client.int("INV.RESERVE popup cart TTL 600000 REPLACE ITEMS sku-1 2"), longest, "its start is the same");
    client.ok("DEBUG RELOAD");
    assert_eq!(client.int("INV.EXTEND popup cart 600000"), longest, "after a load too");
    client.int("INV.RELEASE popup cart");
    assert!(client.int("INV.RESERVE popup cart TTL 600000 REPLACE ITEMS sku-1 2") > longest, "it starts anew");
    // Lowered, it changes no hold that is live.
    client.ok("STORE.SET popup hold-max-ms 1");
    assert_eq!(client.int("INV.EXTEND popup other 600000"), extended);
    assert_eq!(client.get("INV.HOLD popup other").field("state").text(), "live");
}

fn a_hold_has_at_most_hold_max_units(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    client.int("INV.SET popup sku-2 9");
    client.ok("STORE.SET popup hold-max-units 3");
    client.int("INV.RESERVE popup cart ITEMS sku-1 2 sku-2 1");
    let text = client.refused("ERR", "INV.RESERVE popup other ITEMS sku-1 2 sku-2 1 sku-1 1");
    assert_eq!(text, "ERR ITEMS must add up to at most 3 units (hold-max-units), got 4");
    // An order is no hold.
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    client.ok("STORE.SET popup hold-max-units 1");
    client.int("INV.RESERVE popup cart ITEMS sku-1 2 sku-2 1");
}

fn a_replaced_hold_expires_at_its_new_deadline(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 9);
    client.int("INV.RESERVE popup longer TTL 60000 ITEMS sku-1 2");
    client.int("INV.RESERVE popup shorter TTL 50 ITEMS sku-1 2");
    client.int("INV.RESERVE popup longer TTL 50 REPLACE ITEMS sku-1 3");
    client.int("INV.RESERVE popup shorter TTL 60000 REPLACE ITEMS sku-1 3");
    wait_until(DEADLINE, "one expires", || stock(&mut client, "popup", "sku-1") == (9, 3, 6));
    assert_eq!(client.get("INV.HOLD popup longer").field("state").text(), "expired");
    assert_eq!(client.get("INV.HOLD popup shorter").field("state").text(), "live");
}
