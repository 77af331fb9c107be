//! RediSearch and RedisJSON in the same server: what each keeps is kept, found, saved and loaded next to a store.

use crate::common::{Client, DEADLINE, Server, ServerBinary, assert_books_balance, cmd, stack, tests, wait_until};
use crate::modes::{DAY_OF_0_1, DAY_OF_0_2, assert_is, lengths, live, plain, told};

tests![
    a_day_next_to_search_and_json,
    an_order_and_its_documents_in_one_transaction,
    all_of_it_is_saved_and_loaded_together,
    what_another_module_keeps_under_the_name_of_a_stream_is_refused,
];

/// A server with all three modules, and a client.
fn server(binary: &ServerBinary, config: &[&str]) -> Option<(Server, Client)> {
    let binary = stack::with_search_and_json(binary)?;
    let server = Server::with(&binary, &[&["holdfast.sample-ms 0"], config].concat());
    let mut client = server.client();
    let modules = client.get("MODULE LIST");
    let modules: Vec<_> = modules.array().iter().map(|module| module.field("name").text()).collect();
    for name in ["search", "ReJSON", "holdfast"] {
        assert!(modules.iter().any(|module| module == name), "{name} in {modules:?}");
    }
    Some((server, client))
}

/// An index of hashes `order:…`, of customer and total.
fn make_index(client: &mut Client) {
    client.ok("FT.CREATE orders ON HASH PREFIX 1 order: SCHEMA customer TAG total NUMERIC");
}

/// How many orders of a customer the index finds.
fn found(client: &mut Client, customer: &str) -> i64 {
    client.get(cmd!["FT.SEARCH", "orders", format!("@customer:{{{customer}}}"), "NOCONTENT"]).array()[0].int()
}

fn a_day_next_to_search_and_json(binary: &ServerBinary) {
    let Some((_server, mut client)) = server(binary, &[]) else { return };
    make_index(&mut client);
    let wanted = plain(binary, &[DAY_OF_0_1, DAY_OF_0_2]);
    live(&mut client, "popup", &[DAY_OF_0_1, DAY_OF_0_2].concat());
    assert_is(&mut client, "popup", &wanted);
}

/// An order, its document and the hash that is searched for: all, in one step.
fn an_order_and_its_documents_in_one_transaction(binary: &ServerBinary) {
    let Some((server, mut client)) = server(binary, &[]) else { return };
    make_index(&mut client);
    client.ok("CONFIG SET notify-keyspace-events KEA");
    let mut listener = server.client();
    listener.get("PSUBSCRIBE __keyevent@0__:*");
    client.int("INV.SET popup tea 2");
    for (order, customer) in [("o-1", "ann"), ("o-2", "bob")] {
        client.ok("MULTI");
        client.text(format!("ORDER.PLACE popup {order} {customer} DATA {{\"to\":\"Main\"}} ITEMS tea 1"));
        client.text(cmd!["JSON.SET", format!("doc:{order}"), "$", r#"{"lines":[["tea",1]],"paid":false}"#]);
        client.text(format!("HSET order:{order} customer {customer} total 12"));
        let replies = client.get("EXEC");
        assert!(replies.array().iter().all(|reply| !reply.is_error()), "{replies:?}");
        client.text(cmd!["JSON.SET", format!("doc:{order}"), "$.paid", "true"]);
    }
    for event in ["order.placed", "json.set", "hset"] {
        wait_until(DEADLINE, event, || {
            let message = listener.receive().expect("an event").texts();
            message[2].ends_with(event)
        });
    }
    wait_until(DEADLINE, "both orders are found", || found(&mut client, "ann") == 1 && found(&mut client, "bob") == 1);
    assert_eq!(client.text("JSON.GET doc:o-1 $.paid"), "[true]");
    client.refused("OUTOFSTOCK", "ORDER.PLACE popup o-3 cyd ITEMS tea 1");
    assert_books_balance(&mut client, "popup");
}

/// RediSearch does not start with a log that begins with commands.
fn all_of_it_is_saved_and_loaded_together(binary: &ServerBinary) {
    for config in [&[][..], &["appendonly yes", "appendfsync always"]] {
        let Some((mut server, mut client)) = server(binary, config) else { return };
        make_index(&mut client);
        live(&mut client, "popup", &[DAY_OF_0_1, DAY_OF_0_2].concat());
        client.text("HSET order:o-1 customer ann total 12");
        client.ok(cmd!["JSON.SET", "doc:o-1", "$", r#"{"a":[1,2]}"#]);
        if config.is_empty() {
            client.ok("SAVE");
        } else {
            crate::common::rewrite_log(&mut client);
        }
        let figures = (told(&mut client, "popup"), lengths(&mut client, "popup"));
        let digest = client.digest_value("popup");
        server.restart();
        let mut client = server.client();
        assert_eq!(client.digest_value("popup"), digest, "{config:?}");
        assert_is(&mut client, "popup", &figures);
        assert_eq!(client.text("JSON.GET doc:o-1"), r#"{"a":[1,2]}"#);
        wait_until(DEADLINE, "the index finds the order", || found(&mut client, "ann") == 1);
    }
}

/// A document where a stream should be: the call is refused, and changes nothing.
fn what_another_module_keeps_under_the_name_of_a_stream_is_refused(binary: &ServerBinary) {
    let Some((_server, mut client)) = server(binary, &[]) else { return };
    client.int("INV.SET popup tea 2");
    client.ok(cmd!["JSON.SET", "{popup}:orders", "$", "1"]);
    client.ok(cmd!["JSON.SET", "doc", "$", "1"]);
    let digest = client.digest();
    client.refused("WRONGTYPE", "ORDER.PLACE popup o-1 ann ITEMS tea 1");
    client.refused("WRONGTYPE", "INV.SET doc tea 2");
    assert!(client.call("JSON.GET popup").is_error());
    assert_eq!(client.digest(), digest);
}
