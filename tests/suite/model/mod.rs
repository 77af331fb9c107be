//! Random calls, checked one by one against a model of the contract: a few dozen lines of maps without a server.
//!
//! After each run everything that the model knows is read from the server; a restored copy and a replica must agree.

mod books;
mod calls;

use crate::common::{
    Client, DEADLINE, Entry, IntoCommand, Server, ServerBinary, assert_books_balance, check, cmd, entries, stock,
    tests, wait_until,
};
use crate::journal::follow;
use books::{Books, Expected};
use calls::{Call, SKUS, call};

tests![random_calls_do_what_the_model_does];

/// Runs, and calls in each.
const RUNS: u32 = 60;
const CALLS: usize = 120;

/// Units of each SKU at the start: few, so that they run out.
const UNITS: i64 = 12;

fn random_calls_do_what_the_model_does(binary: &ServerBinary) {
    let server = Server::start(binary);
    let replica = server.replica(binary);
    let strategy = proptest::collection::vec(call(), CALLS);
    check(RUNS, &strategy, |calls| run(&server, &replica, &calls));
}

/// One run on a fresh store.
fn run(server: &Server, replica: &Server, calls: &[Call]) {
    let mut client = server.client();
    client.ok("FLUSHALL");
    client.ok("STORE.SET popup metrics 0 journal 1000");
    for sku in SKUS {
        client.int(format!("INV.SET popup {sku} {UNITS}"));
    }
    let mut books = Books::new(UNITS);
    for call in calls {
        let command = call.command();
        let expected = books.apply(call);
        let reply = client.call(command.as_str().into_command());
        books.learn(call, &reply);
        assert!(expected.fits(&reply), "{command}: {reply:?}, the model has {expected:?}");
    }
    compare(&mut client, &books);
    let payload = client.get("DUMP popup").bytes().to_vec();
    client.ok(cmd!["RESTORE", "copy", 0, payload]);
    assert_eq!(client.digest_value("copy"), client.digest_value("popup"), "a restored copy is the same");
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
}

/// Reads everything that the model knows from the server.
fn compare(client: &mut Client, books: &Books) {
    for sku in SKUS {
        assert_eq!(stock(client, "popup", sku), books.stock(sku), "{sku}");
        let sold = client.get(format!("INV.GET popup {sku}")).array()[0].field("sold").int();
        assert_eq!(sold, books.sold(sku), "sold of {sku}");
    }
    for (order, state) in books.orders() {
        assert_eq!(client.get(format!("ORDER.GET popup {order}")).field("state").text(), state, "{order}");
    }
    for (hold, state, left) in books.holds() {
        let found = client.get(format!("INV.HOLD popup {hold}"));
        assert_eq!((found.field("state").text().as_str(), found.field("left").int()), (state, left), "{hold}");
    }
    let stream = entries(client, "{popup}:orders");
    let waiting = books.waiting();
    let known = |(entry, (_, id)): (&Entry, &(String, Option<String>))| id.as_ref().map(|_| entry.id.clone());
    let found = stream.iter().zip(&waiting).map(|pair| (pair.0.text("order"), known(pair)));
    assert_eq!((stream.len(), found.collect::<Vec<_>>()), (waiting.len(), waiting.clone()), "first in, first out");
    assert_books_balance(client, "popup");
    assert_eq!(client.int("STORE.REPAIR popup"), 0);
    let told = follow(&entries(client, "{popup}:journal"));
    for sku in SKUS {
        let (on_hand, held, _) = books.stock(sku);
        assert_eq!(told.get(sku), Some(&(on_hand, held)), "the journal of {sku}");
    }
}

impl Expected {
    /// Whether a reply is what the model expects.
    fn fits(&self, reply: &crate::common::Reply) -> bool {
        use crate::common::Reply;
        match (self, reply) {
            (Expected::Int(number), Reply::Int(found)) => number == found,
            (Expected::Refused(code), Reply::Error(_)) => reply.code() == *code,
            (Expected::Text(text), Reply::Bulk(found)) => text.as_bytes() == found,
            (Expected::NewText, Reply::Bulk(_)) | (Expected::NewTime, Reply::Int(_)) => true,
            (Expected::Done, Reply::Status(text)) => text == b"OK",
            _ => false,
        }
    }
}
