//! A short pop-up sale, from the opening to the audit, as `holdfast sale` runs it.

use crate::common::{
    Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, console, entries, info, stock, tests,
    wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

tests![
    every_unit_is_sold_once,
    what_waits_changes_and_comes_back_is_accounted_for,
    a_small_shop_with_one_worker_sells_out,
    packing_that_often_fails_leaves_nothing_unsold,
    crashes_of_the_server_lose_nothing,
    stock_that_somebody_else_adds_is_told,
    an_entry_left_in_the_counters_pending_list_is_told,
    an_interrupt_leaves_nothing_behind,
];

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
    assert!(run.stdout.contains("sold 400 of 400, oversold 0, lost 0, doubled 0"), "{}", run.stdout);
    for label in ["retries", "workers", "reclaimed", "went home early"] {
        assert!(told(&run.stdout, label) > 0, "{label}:\n{}", run.stdout);
    }
    let mut client = server.client();
    assert_eq!(client.int("XLEN shop:{7}:retry"), 0);
    let info = client.get("STORE.INFO shop:{7}");
    for (label, count) in [("retries", "retried"), ("reclaimed", "lapsed")] {
        assert_eq!(told(&run.stdout, label), info.field(count).int(), "{label}:\n{}", run.stdout);
    }
    assert_eq!(client.int("XLEN shop:{7}:dead"), info.field("dead-letters").int());
    assert_eq!(stock(&mut client, "shop:{7}", "sneaker"), (0, 0, 0));
    // What came back and was sold again was completed twice.
    assert_eq!(client.int("XLEN shop:{7}:complete"), 400 + told(&run.stdout, "sent back"));
    assert_eq!(client.int("XLEN shop:{7}:orders"), 0);
    let groups = client.get("XINFO GROUPS shop:{7}:orders").array().to_vec();
    assert_eq!(groups.len(), 1, "the counters have read with a group");
    assert!(groups.iter().all(|group| group.field("pending").int() == 0), "left for ever: {groups:?}");
    assert_books_balance(&mut client, "shop:{7}");
    for code in ["NOTOPEN", "OUTOFSTOCK", "LIMIT", "CLOSED"] {
        assert!(run.stdout.contains(code), "nobody was refused with {code}:\n{}", run.stdout);
    }
}

/// Each of them happened, by the server's own counts, and the summary says the same.
fn what_waits_changes_and_comes_back_is_accounted_for(binary: &ServerBinary) {
    let (server, summary) = sell(binary, "900", &["--duration", "12", "--seed", "23"]);
    let mut client = server.client();
    let info = client.get("STORE.INFO popup");
    let entries = entries(&mut client, "{popup}:alerts");
    let alerts = |kind: &str| entries.iter().filter(|entry| entry.text("kind") == kind).count() as i64;
    for (label, count, kind) in
        [("never paid", "gates-expired", "gate.expired"), ("waitlist", "waitlist-expired", "waitlist.expired")]
    {
        assert!(told(&summary, label) > 0 && info.field(count).int() > 0, "{label}:\n{summary}");
        assert_eq!(alerts(kind), info.field(count).int(), "{kind}");
    }
    assert_eq!(told(&summary, "never paid"), info.field("gates-expired").int(), "{summary}");
    let in_waitlist = numbers(&summary, "waitlist");
    assert!(in_waitlist.iter().all(|count| *count > 0), "{summary}");
    assert_eq!(in_waitlist[2], info.field("waitlist-expired").int(), "{summary}");
    let sent_back = numbers(&summary, "sent back");
    assert!(sent_back.iter().all(|count| *count > 0), "{summary}");
    assert_eq!(sent_back.iter().sum::<i64>(), info.field("returned").int(), "{summary}");
    let laces = numbers(&summary, "laces");
    assert!(laces[1] > 0, "{summary}");
    assert_eq!(stock(&mut client, "popup", "laces"), (0, 0, 0));
    assert_eq!(stock(&mut client, "popup", "sneaker"), (0, 0, 0));
    for label in ["payments", "carts changed", "express lane", "queued again", "purged"] {
        assert!(told(&summary, label) > 0, "{label}:\n{summary}");
    }
    assert_eq!(told(&summary, "queued again"), info.field("redriven").int(), "{summary}");
    for state in ["waitlisted", "pending"] {
        assert_eq!(info.field(state).int(), 0, "{state}");
    }
}

/// Runs a sale of this many units in the store `popup` of a new server. Returns the server and the summary.
fn sell(binary: &ServerBinary, units: &str, options: &[&str]) -> (Server, String) {
    let server = Server::start(binary);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let run = console::holdfast(binary, &[&["sale", "--url", &url, "--units", units], options].concat());
    run.assert_success();
    let sold = format!("sold {units} of {units}, oversold 0, lost 0, doubled 0");
    assert!(run.stdout.contains(&sold), "{}", run.stdout);
    assert_books_balance(&mut server.client(), "popup");
    (server, run.stdout)
}

fn a_small_shop_with_one_worker_sells_out(binary: &ServerBinary) {
    let (_server, summary) = sell(binary, "100", &["--duration", "5", "--workers", "1", "--consumers", "0"]);
    // Its first two workers die, each with at least one order.
    assert!(told(&summary, "workers") > 0, "{summary}");
}

fn packing_that_often_fails_leaves_nothing_unsold(binary: &ServerBinary) {
    let (server, summary) = sell(binary, "300", &["--duration", "6", "--failures", "50", "--seed", "3"]);
    assert!(info(&mut server.client(), "dead") > 0, "nothing died:\n{summary}");
}

/// The first number of a line of the summary.
fn told(summary: &str, label: &str) -> i64 {
    numbers(summary, label)[0]
}

/// The numbers of a line of the summary.
fn numbers(summary: &str, label: &str) -> Vec<i64> {
    let text = summary.lines().find_map(|line| line.trim_start().strip_prefix(label)?.strip_prefix(' '));
    let text = text.unwrap_or_else(|| panic!("no line {label} in\n{summary}")).replace(',', "");
    let numbers: Vec<i64> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
    assert!(!numbers.is_empty(), "no number behind {label} in\n{summary}");
    numbers
}

fn crashes_of_the_server_lose_nothing(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always"]);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let arguments = ["sale", "--url", &url, "--duration", "12", "--units", "600", "--seed", "5"];
    let sale = console::start(binary, &arguments, &std::env::temp_dir());
    for completed in [100, 250, 400] {
        let mut client = server.client();
        wait_until(DEADLINE, "orders are completed", || client.int("XLEN {popup}:complete") >= completed);
        server.kill9();
        server.start_again();
    }
    let run = sale.wait();
    run.assert_success();
    assert!(run.stdout.contains("sold 600 of 600, oversold 0"), "{}", run.stdout);
    assert!(run.stdout.contains("connections lost"), "nobody noticed the crashes:\n{}", run.stdout);
    assert_books_balance(&mut server.client(), "popup");
}

fn stock_that_somebody_else_adds_is_told(binary: &ServerBinary) {
    let server = Server::start(binary);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let sale =
        console::start(binary, &["sale", "--url", &url, "--duration", "6", "--units", "200"], &std::env::temp_dir());
    let mut client = server.client();
    wait_until(DEADLINE, "units are sold", || client.int("XLEN {popup}:complete") > 0);
    client.int("INV.ADJUST popup sneaker 3");
    let run = sale.wait();
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(run.stdout.contains("sold 203 of 200, oversold 3"), "{}", run.stdout);
    assert!(run.stdout.contains("units sold: 203, wanted 200"), "{}", run.stdout);
}

/// A reader in the counter's group that neither uses NOACK nor acknowledges leaves its entry pending.
fn an_entry_left_in_the_counters_pending_list_is_told(binary: &ServerBinary) {
    let server = Server::start(binary);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let sale =
        console::start(binary, &["sale", "--url", &url, "--duration", "6", "--units", "200"], &std::env::temp_dir());
    let mut client = server.client();
    wait_until(DEADLINE, "units are sold", || client.int("XLEN {popup}:complete") > 0);
    let read = "XREADGROUP GROUP counter stranger BLOCK 20000 COUNT 1 STREAMS {popup}:orders >";
    assert_ne!(client.get(read), Reply::Nil, "the stranger was given no order");
    let run = sale.wait();
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    let wanted = "entries pending in the counters' consumer group: 1, wanted 0";
    assert!(run.stdout.contains(wanted), "{}", run.stdout);
}

fn an_interrupt_leaves_nothing_behind(binary: &ServerBinary) {
    let temp = tempfile::tempdir().expect("a folder");
    let sale = console::start(binary, &["sale", "--duration", "600"], temp.path());
    wait_until(DEADLINE, "the sale has opened its shop", || server_of(temp.path()).is_some_and(opened));
    let port = server_of(temp.path()).expect("its port");
    kill(Pid::from_raw(sale.pid()), Signal::SIGINT).expect("interrupted");
    let run = sale.wait();
    assert_eq!(run.code, Some(130), "{}{}", run.stdout, run.stderr);
    assert!(Client::connect(port).is_err(), "the server is left");
    assert_eq!(std::fs::read_dir(temp.path()).expect("the folder").count(), 0, "a folder is left");
}

/// The port of the server that a sale started in this folder, once its configuration file exists.
fn server_of(temp: &std::path::Path) -> Option<u16> {
    let first_in = |folder: &std::path::Path| Some(std::fs::read_dir(folder).ok()?.next()?.expect("an entry").path());
    let config = std::fs::read_to_string(first_in(&first_in(temp)?)?.join("server.conf")).ok()?;
    config.lines().find_map(|line| line.strip_prefix("port ")?.parse().ok())
}

/// Whether the shop has opened: the server replies, and the store exists.
fn opened(port: u16) -> bool {
    Client::connect(port).is_ok_and(|mut client| client.int("EXISTS popup") == 1)
}
