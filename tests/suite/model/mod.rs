//! Random calls, alone, in transactions and from scripts, checked one by one against a model of the contract: maps
//! without a server.
//!
//! After each run everything that the model knows is read from the server; a restored copy and a replica must agree.

mod books;
mod calls;

use crate::common::{
    Client, DEADLINE, Entry, Reply, Server, ServerBinary, assert_books_balance, check, cmd, entries, stock, tests,
    wait_until,
};
use crate::journal::follow;
use books::{Books, Expected};
use calls::{Call, SKUS, Sent, sent};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

tests![random_calls_do_what_the_model_does];

/// Runs, and calls in each.
const RUNS: u32 = 60;
const CALLS: usize = 120;

/// Units of each SKU at the start: few, so that they run out.
const UNITS: i64 = 12;

/// After so many runs the server is restarted, and the next ones go on with it.
const RUNS_TO_RESTART: u32 = 15;

fn random_calls_do_what_the_model_does(binary: &ServerBinary) {
    let server = RefCell::new(Server::with(binary, &["appendonly yes"]));
    let replica = server.borrow().replica(binary);
    let (strategy, runs) = (proptest::collection::vec(sent(), CALLS), RefCell::new(0));
    let seen = RefCell::new(BTreeSet::new());
    check(RUNS, &strategy, |calls| {
        run(&server.borrow(), &replica, &calls, &mut seen.borrow_mut());
        *runs.borrow_mut() += 1;
        if *runs.borrow() % RUNS_TO_RESTART == 0 {
            let digest = server.borrow().client().digest();
            server.borrow_mut().restart();
            assert_eq!(server.borrow().client().digest(), digest, "a server that loads its log is the same");
        }
    });
    // Runs that only ever bore the server would prove nothing.
    for (name, replies) in OUTCOMES {
        for reply in replies.split(' ') {
            assert!(
                seen.borrow().contains(&format!("{name} {reply}")),
                "no {name} came to {reply}: {:?}",
                seen.borrow()
            );
        }
    }
}

/// Replies that the runs see, of the commands that are about more than one order.
const OUTCOMES: [(&str, &str); 14] = [
    ("INV.RESERVE", "int BADSTATE LIMIT MISMATCH OUTOFSTOCK"),
    ("ORDER.PLACE", "text nil BADSTATE LIMIT MISMATCH NOHOLD OUTOFSTOCK"),
    ("ORDER.GATE", "int BADSTATE NOORDER"),
    ("ORDER.PASS", "int NOGATE NOORDER"),
    ("ORDER.CLAIM", "order none NOORDER"),
    ("ORDER.YIELD", "int"),
    ("ORDER.FAIL", "map BADSTATE NOORDER"),
    ("ORDER.PURGE", "int"),
    ("ORDER.COMPLETE", "text BADSTATE MISMATCH NOORDER"),
    ("ORDER.CANCEL", "int BADSTATE NOORDER"),
    ("ORDER.EDIT", "int BADSTATE FENCED LIMIT MISMATCH NOORDER OUTOFSTOCK"),
    ("ORDER.SPLIT", "text nil ERR BADSTATE FENCED MISMATCH NOORDER"),
    ("ORDER.RETURN", "int BADSTATE NOORDER"),
    ("order", "waitlisted pending queued claimed completed cancelled dead"),
];

/// One run on a fresh store.
fn run(server: &Server, replica: &Server, calls: &[Sent], seen: &mut BTreeSet<String>) {
    let mut client = server.client();
    client.ok("FLUSHALL");
    client.ok("STORE.SET popup metrics 0 journal 10000");
    for sku in SKUS {
        client.int(format!("INV.SET popup {sku} {UNITS}"));
    }
    let mut books = Books::new(UNITS);
    for calls in calls {
        match calls {
            Sent::Alone(call) => {
                send(&mut books, &[call], seen, |commands| vec![client.call(commands[0].as_slice())]);
            }
            Sent::Scripted(call) => send(&mut books, &[call], seen, |commands| {
                let mut eval = cmd!["EVAL", "return redis.pcall(unpack(ARGV))", 1, "popup"];
                eval.extend(commands[0].iter().cloned());
                vec![client.call(eval)]
            }),
            Sent::Together(calls) => send(&mut books, &calls.iter().collect::<Vec<_>>(), seen, |commands| {
                client.ok("MULTI");
                for command in commands {
                    assert_eq!(client.text(command.as_slice()), "QUEUED");
                }
                client.get("EXEC").array().to_vec()
            }),
        }
    }
    compare(&mut client, &books);
    let payload = client.get("DUMP popup").bytes().to_vec();
    client.ok(cmd!["RESTORE", "copy", 0, payload]);
    assert_eq!(client.digest_value("copy"), client.digest_value("popup"), "a restored copy is the same");
    let mut reader = replica.client();
    wait_until(DEADLINE, "the replica has the same digest", || reader.digest() == client.digest());
}

/// Makes calls at once, and compares the replies with what the model has.
fn send(
    books: &mut Books,
    calls: &[&Call],
    seen: &mut BTreeSet<String>,
    send: impl FnOnce(&[Vec<Vec<u8>>]) -> Vec<Reply>,
) {
    let mut expected = Vec::new();
    let commands: Vec<_> = calls
        .iter()
        .map(|call| {
            let command = call.command(books);
            expected.push(books.apply(call));
            command
        })
        .collect();
    let replies = send(&commands);
    assert_eq!(replies.len(), calls.len());
    for (at, reply) in replies.iter().enumerate() {
        books.learn(calls[at], reply);
        let words: Vec<_> = commands[at].iter().map(|word| String::from_utf8_lossy(word)).collect();
        let (wanted, command) = (&expected[at], words.join(" "));
        assert!(wanted.fits(reply), "{command}: {reply:?}, the model has {wanted:?}");
        seen.insert(format!("{} {}", words[0], wanted.kind()));
    }
    seen.extend(books.orders().map(|(_, state)| format!("order {state}")));
}

/// Reads everything that the model knows from the server.
fn compare(client: &mut Client, books: &Books) {
    for sku in SKUS {
        assert_eq!(stock(client, "popup", sku), books.stock(sku), "{sku}");
        let sold = client.get(format!("INV.GET popup {sku}")).array()[0].field("sold").int();
        assert_eq!(sold, books.sold(sku), "sold of {sku}");
        let waiting = client.get(format!("INV.GET popup {sku}")).array()[0].field("waiting").int();
        assert_eq!(waiting, books.waited_for(sku), "waiting for {sku}");
        assert!(waiting == 0 || books.stock(sku).2 <= 0, "nobody waits for what is available");
    }
    let lanes = client.get("STORE.LANES popup");
    let lane = |lane: &Reply| (lane.field("lane").text(), ["queued", "in-work"].map(|name| lane.field(name).int()));
    let busy = lanes.array().iter().map(lane).filter(|(_, orders)| *orders != [0, 0]);
    let wanted = books.lanes().into_iter().map(|(lane, (queued, in_work))| (lane.to_string(), [queued, in_work]));
    assert_eq!(busy.collect::<BTreeMap<_, _>>(), wanted.collect::<BTreeMap<_, _>>());
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
    /// What kind of reply it is.
    fn kind(&self) -> &'static str {
        match self {
            Expected::Int(_) | Expected::NewTime => "int",
            Expected::Refused(code) => code,
            Expected::Text(_) | Expected::NewText => "text",
            Expected::Done => "ok",
            Expected::Nil => "nil",
            Expected::Map => "map",
            Expected::Claimed(None) => "none",
            Expected::Claimed(Some(_)) => "order",
        }
    }

    /// Whether a reply is what the model expects.
    fn fits(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Expected::Int(number), Reply::Int(found)) => number == found,
            (Expected::Refused(code), Reply::Error(_)) => reply.code() == *code,
            (Expected::Text(text), Reply::Bulk(found)) => text.as_bytes() == found,
            (Expected::NewText, Reply::Bulk(_)) | (Expected::NewTime, Reply::Int(_)) => true,
            (Expected::Done, Reply::Status(text)) => text == b"OK",
            (Expected::Nil, Reply::Nil) => true,
            // In RESP2 a map is a list of pairs.
            (Expected::Map, Reply::Array(_) | Reply::Map(_)) => true,
            (Expected::Claimed(None), Reply::Array(claimed)) => claimed.is_empty(),
            (Expected::Claimed(Some(order)), Reply::Array(claimed)) => {
                claimed.len() == 1 && claimed[0].field("order").text() == format!("o-{order}")
            }
            _ => false,
        }
    }
}
