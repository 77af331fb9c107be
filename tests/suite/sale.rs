//! A short pop-up sale, from the opening to the audit, as `holdfast sale` runs it.

use crate::common::{assert_books_balance, console, stock, tests, Server, ServerBinary};

tests![every_unit_is_sold_once];

/// Long enough for carts to expire and units to be sold again.
const SECONDS: &str = "8";

fn every_unit_is_sold_once(binary: &ServerBinary) {
    let server = Server::start(binary);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let run = console::holdfast(
        binary,
        &["sale", "--url", &url, "--duration", SECONDS, "--units", "400", "--seed", "7", "--store", "shop:{7}"],
    );
    run.assert_success();
    assert!(run.stdout.contains("sold 400 of 400, oversold 0"), "{}", run.stdout);
    let mut client = server.client();
    assert_eq!(stock(&mut client, "shop:{7}", "sneaker"), (0, 0, 0));
    assert_eq!(client.int("XLEN shop:{7}:complete"), 400);
    assert_eq!(client.int("XLEN shop:{7}:orders"), 0);
    assert_books_balance(&mut client, "shop:{7}");
    for code in ["NOTOPEN", "OUTOFSTOCK", "LIMIT", "CLOSED"] {
        assert!(run.stdout.contains(code), "nobody was refused with {code}:\n{}", run.stdout);
    }
}
