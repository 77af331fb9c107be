//! ORDER.RETURN: of a forgotten order, as scrap, and more often than an order lists.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, cmd, entries, info, open_store, rewrite_log, shop_of,
    stock, tests, wait_until,
};

tests![
    a_forgotten_order_is_returned_by_customer_and_ref,
    a_remembered_order_is_of_the_customer_that_is_named,
    scrap_goes_nowhere_and_frees_the_limit,
    returns_survive_a_restart_and_replicate,
    an_rma_number_is_the_ref_of_a_return_and_of_an_adjustment,
    an_order_of_many_returns_stays_small,
];

/// Completes an order of c-1 and waits until it is forgotten; later orders are remembered for long.
#[track_caller]
fn sell_and_forget(client: &mut Client, order: &str, units: u64) {
    client.ok("STORE.SET popup keep-ms 1");
    client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 {units}"));
    client.text(format!("ORDER.COMPLETE popup {order}"));
    wait_until(DEADLINE, "the order is forgotten", || client.call(format!("ORDER.GET popup {order}")).is_error());
    client.ok("STORE.SET popup keep-ms 86400000");
}

fn a_forgotten_order_is_returned_by_customer_and_ref(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 20);
    client.ok("STORE.SET popup limit 6");
    sell_and_forget(&mut client, "o-old", 4);
    client.text("ORDER.PLACE popup o-new c-1 ITEMS sku-1 2");
    client.text("ORDER.COMPLETE popup o-new");
    client.refused("LIMIT", "ORDER.PLACE popup o-more c-1 ITEMS sku-1 1");
    for short in ["", " CUSTOMER c-1", " REF rma-1"] {
        client.refused_naming("NOORDER", "CUSTOMER and REF", format!("ORDER.RETURN popup o-old{short} ITEMS sku-1 1"));
    }
    client.refused_naming("ERR", "ITEMS", "ORDER.RETURN popup o-old CUSTOMER c-1 REF rma-1");
    client.refused_naming("ERR", "syntax", "ORDER.RETURN popup o-old CUSTOMER c-1 REF rma-1 NOW ITEMS sku-1 1");
    let back = "ORDER.RETURN popup o-old CUSTOMER c-1 REF rma-1 ITEMS sku-1 3";
    assert_eq!(client.int(back), 3);
    let digest = client.digest();
    assert_eq!(client.int(back), 3, "once");
    assert_eq!(client.int("ORDER.RETURN popup o-old REF rma-1 CUSTOMER c-1 ITEMS sku-1 2 sku-1 1"), 3, "once");
    assert_eq!(client.digest(), digest);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (17, 0, 17));
    // One unit is left of the old order; the two of the new order do not count here.
    let text = client.refused("BADSTATE", "ORDER.RETURN popup o-old CUSTOMER c-1 REF rma-2 ITEMS sku-1 2");
    assert_eq!(text, "BADSTATE customer c-1 has 1 of sku-1 from forgotten orders, not 2");
    client.refused("BADSTATE", "ORDER.RETURN popup o-old CUSTOMER c-9 REF rma-2 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-more c-1 ITEMS sku-1 3");
    client.refused("LIMIT", "ORDER.PLACE popup o-most c-1 ITEMS sku-1 1");
    assert_books_balance(&mut client, "popup");
}

fn a_remembered_order_is_of_the_customer_that_is_named(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 20);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.text("ORDER.COMPLETE popup o-1");
    client.refused_naming("MISMATCH", "c-1", "ORDER.RETURN popup o-1 CUSTOMER c-2 REF r ITEMS sku-1 1");
    assert_eq!(client.int("ORDER.RETURN popup o-1 CUSTOMER c-1 ITEMS sku-1 1"), 1);
    assert_books_balance(&mut client, "popup");
}

fn scrap_goes_nowhere_and_frees_the_limit(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 20);
    client.ok("STORE.SET popup limit 3 journal 100");
    sell_and_forget(&mut client, "o-old", 1);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    client.text("ORDER.COMPLETE popup o-1");
    client.refused("LIMIT", "ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert_eq!(client.int("ORDER.RETURN popup o-1 SCRAP ITEMS sku-1 2"), 2);
    assert_eq!(client.int("ORDER.RETURN popup o-old CUSTOMER c-1 REF r SCRAP ITEMS sku-1 1"), 1);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (17, 0, 17));
    assert_eq!(client.get("INV.GET popup sku-1").array()[0].field("sold").int(), 0);
    assert_eq!(info(&mut client, "returned"), 3);
    let journal = entries(&mut client, "{popup}:journal");
    let last = journal.last().expect("an entry");
    assert_eq!(["kind", "delta", "on-hand", "ref"].map(|field| last.text(field)), ["scrap", "1", "17", "o-old"]);
    let history = client.get("ORDER.GET popup o-1").field("history");
    let back = history.array().last().expect("a return").clone();
    assert_eq!((back.field("event").text(), back.field("scrap").int()), ("returned".to_string(), 1));
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 3");
    assert_books_balance(&mut client, "popup");
}

fn returns_survive_a_restart_and_replicate(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "aof-use-rdb-preamble no"]);
    let replica = server.replica(binary);
    let mut client = server.client();
    open_store(&mut client, "popup", 50);
    sell_and_forget(&mut client, "o-old", 4);
    client.text("ORDER.PLACE popup o-1 c-2 ITEMS sku-1 9");
    client.text("ORDER.COMPLETE popup o-1");
    client.int("ORDER.RETURN popup o-old CUSTOMER c-1 REF r-1 ITEMS sku-1 1");
    client.int("ORDER.RETURN popup o-old CUSTOMER c-1 REF r-2 SCRAP ITEMS sku-1 2");
    client.int("ORDER.RETURN popup o-1 SCRAP ITEMS sku-1 2");
    for _ in 0..3 {
        client.int("ORDER.RETURN popup o-1 ITEMS sku-1 1");
    }
    let digest = client.digest();
    wait_until(DEADLINE, "the replica has it", || replica.debug_digest() == digest);
    for rewrite in [false, true] {
        let mut client = server.client();
        if rewrite {
            rewrite_log(&mut client);
        }
        server.restart();
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "rewritten: {rewrite}");
        assert_eq!(client.int("ORDER.RETURN popup o-old CUSTOMER c-1 REF r-2 SCRAP ITEMS sku-1 2"), 2);
        assert_eq!(client.digest(), digest);
        client.refused("BADSTATE", "ORDER.RETURN popup o-old CUSTOMER c-1 REF r-3 ITEMS sku-1 2");
        assert_books_balance(&mut client, "popup");
    }
}

fn an_rma_number_is_the_ref_of_a_return_and_of_an_adjustment(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 4");
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(client.int("ORDER.RETURN popup o-1 REF rma-5 ITEMS sku-1 2"), 2);
    assert_eq!(client.int("INV.ADJUST popup sku-1 -2 REASON broken REF rma-5"), 6);
    assert_eq!(client.int("ORDER.RETURN popup o-1 REF rma-5 ITEMS sku-1 2"), 2);
    assert_eq!(client.int("INV.ADJUST popup sku-1 -2 REASON broken REF rma-5"), 6);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (6, 0, 6));
    client.refused("MISMATCH", "ORDER.RETURN popup o-1 REF rma-5 ITEMS sku-1 1");
    client.refused("MISMATCH", "INV.ADJUST popup sku-1 -1 REASON broken REF rma-5");
}

fn an_order_of_many_returns_stays_small(binary: &ServerBinary) {
    const RETURNS: usize = 5_000;
    let (_server, mut client) = shop_of(binary, 2 * RETURNS as i64);
    client.text(format!("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 {}", 2 * RETURNS));
    client.text("ORDER.COMPLETE popup o-1");
    let dump_bytes = |client: &mut Client| client.get("DUMP popup").bytes().len();
    let back = vec![cmd!["ORDER.RETURN", "popup", "o-1", "ITEMS", "sku-1", 1]; RETURNS / 10];
    let mut after_the_first = 0;
    for round in 0..10 {
        assert!(client.pipeline(&back).iter().all(|reply| reply.int() == 1));
        after_the_first = if round == 0 { dump_bytes(&mut client) } else { after_the_first };
    }
    assert!(dump_bytes(&mut client) < after_the_first + 64, "{} bytes", dump_bytes(&mut client));
    let order = client.get("ORDER.GET popup o-1");
    assert_eq!(order.field("items").array()[0].field("returned").int(), RETURNS as i64);
    let history = order.field("history");
    let [placed, completed, forgotten, returns @ ..] = history.array() else { panic!("{history:?}") };
    let events = [placed, completed, forgotten].map(|event| event.field("event").text());
    assert_eq!(events, ["placed", "completed", "forgotten"]);
    assert_eq!(forgotten.field("returns").int(), RETURNS as i64 - 100);
    assert_eq!(forgotten.field("units").int(), RETURNS as i64 - 100);
    assert!(returns.len() == 100 && returns.iter().all(|event| event.field("event").text() == "returned"));
    assert_books_balance(&mut client, "popup");
}
