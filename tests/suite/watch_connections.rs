//! `holdfast watch` and its connections: nobody who opens many, or leaves them half used, keeps others out.

use crate::common::watcher::{Events, Watcher};
use crate::common::{DEADLINE, Server, ServerBinary, console, tests, wait_until};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

tests![
    half_sent_requests_keep_nobody_out,
    half_sent_requests_are_given_up,
    idle_connections_are_closed,
    a_body_that_does_not_come_is_given_up,
    pages_have_places_of_their_own,
    readers_who_take_nothing_are_given_up,
    long_heads_are_refused,
];

/// Files that the program may open: half as many connections can there be, and a quarter as many pages.
const FILES: usize = 256;
const PAGES: usize = FILES / 4;
/// More connections than the program may open files.
const MANY: usize = 300;
/// An answer that nothing holds up.
const SOON: Duration = Duration::from_secs(3);

const HALF: &str = "GET /api/stores HTTP/1.1\r\nHost: local";

/// A watcher of a server with one store, which may open few files.
fn watcher_of(binary: &ServerBinary, server: &Server) -> Watcher {
    server.client().int("INV.SET popup sku-1 10");
    let url = format!("redis://127.0.0.1:{}", server.port());
    let arguments = ["watch", "--url", &url, "--listen", "127.0.0.1:0", "--allow-writes"];
    let watcher = Watcher::in_line_of(console::start_with_files(binary, &arguments, FILES));
    watcher.wait_for("a store", "popup", |_| true);
    watcher
}

/// A connection over which something was sent.
fn sent(watcher: &Watcher, text: &str) -> TcpStream {
    let mut stream = watcher.connect();
    stream.write_all(text.as_bytes()).expect("sent");
    stream
}

/// Waits until the other side has closed a connection; what came over it until then.
#[track_caller]
fn until_closed(mut stream: TcpStream, patience: Duration) -> String {
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // Closed before it had read all that was sent.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed within {patience:?}: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn assert_answers_soon(watcher: &Watcher) {
    let start = Instant::now();
    assert_eq!(watcher.get("/api/stores").status, 200);
    assert_eq!(watcher.get("/").status, 200);
    watcher.events("popup").wait_for("detail", |_| true);
    assert!(start.elapsed() < SOON, "an answer took {:?}", start.elapsed());
}

fn half_sent_requests_keep_nobody_out(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    let half_sent: Vec<_> = (0..MANY).map(|_| sent(&watcher, HALF)).collect();
    assert_answers_soon(&watcher);
    // Nor do those that send nothing, or ask and stay.
    let silent: Vec<_> = (0..MANY).map(|_| watcher.connect()).collect();
    assert_answers_soon(&watcher);
    let asked = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", watcher.address);
    let idle: Vec<_> = (0..MANY).map(|_| sent(&watcher, &asked)).collect();
    assert_answers_soon(&watcher);
    drop((half_sent, silent, idle));
}

fn half_sent_requests_are_given_up(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    let half_sent = sent(&watcher, HALF);
    // One that goes on sending a little, and never comes to an end.
    let mut dripping = sent(&watcher, HALF);
    wait_until(DEADLINE, "the head that drips is given up", || {
        std::thread::sleep(Duration::from_millis(200));
        dripping.write_all(b"x").is_err()
    });
    until_closed(half_sent, DEADLINE);
}

fn idle_connections_are_closed(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    let silent = watcher.connect();
    let idle = sent(&watcher, &format!("GET /api/stores HTTP/1.1\r\nHost: {}\r\n\r\n", watcher.address));
    // A page that looks on is not idle, however little there is to tell.
    let page = watcher.events("popup");
    page.wait_for("detail", |_| true);
    let answer = until_closed(idle, DEADLINE);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    until_closed(silent, DEADLINE);
    page.wait_for("beat", |_| true);
}

fn a_body_that_does_not_come_is_given_up(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    let head = format!(
        "POST /api/stores/popup/redrive HTTP/1.1\r\nHost: {}\r\nX-Holdfast: 1\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{\"reason\":",
        watcher.address,
    );
    let answer = until_closed(sent(&watcher, &head), 2 * DEADLINE);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("the body took longer than"), "{answer}");
}

fn pages_have_places_of_their_own(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    let reads = watcher.events("popup");
    reads.wait_for("detail", |_| true);
    // The others take no event: they are there, and that is all.
    let mut pages: Vec<_> = (1..PAGES).map(|_| watcher.ask_for_events("popup")).collect();
    for page in &mut pages {
        let mut first = [0; 15];
        page.read_exact(&mut first).expect("the beginning of an answer");
        assert_eq!(first.escape_ascii().to_string(), "HTTP/1.0 200 OK");
    }
    let refused = watcher.get("/api/events");
    assert_eq!((refused.status, refused.json()["error"].to_string().contains("64 pages")), (503, true));
    // All pages there can be take nothing from anybody else; and nobody takes a page's place.
    let half_sent: Vec<_> = (0..MANY).map(|_| sent(&watcher, HALF)).collect();
    for path in ["/", "/metrics", "/api/stores", "/api/stores/popup"] {
        assert_eq!(watcher.get(path).status, 200, "{path}");
    }
    server.client().text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    reads.wait_for("sample", |sample| sample["metrics"]["placed"] == 1);
    let last = Events::read_from(pages.pop().expect("a page"));
    last.wait_for("sample", |sample| sample["metrics"]["placed"] == 1);
    // A place is free once a page has left.
    drop(pages.pop());
    wait_until(DEADLINE, "a place is free", || {
        let mut answer = [0; 15];
        watcher.ask_for_events("").read_exact(&mut answer).is_ok() && answer.ends_with(b"200 OK")
    });
    drop(half_sent);
}

/// How many files (and connections) the program has open.
fn open_files(watcher: &Watcher) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", watcher.process.pid())).expect("its files").count()
}

fn readers_who_take_nothing_are_given_up(binary: &ServerBinary) {
    const READERS: usize = 20;
    /// So many answers are more than both sides keep unread.
    const ANSWERS: usize = 400;
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    wait_until(DEADLINE, "the first connections are closed", || {
        watcher.get("/favicon.svg").status == 200 && open_files(&watcher) < READERS
    });
    let ask = format!("GET /vendor/uPlot.iife.min.js HTTP/1.1\r\nHost: {}\r\n\r\n", watcher.address);
    let readers: Vec<_> = (0..READERS).map(|_| sent(&watcher, &ask.repeat(ANSWERS))).collect();
    wait_until(DEADLINE, "all are connected", || open_files(&watcher) >= READERS);
    assert_answers_soon(&watcher);
    wait_until(3 * DEADLINE, "the program has let go of them", || open_files(&watcher) < READERS);
    drop(readers);
}

fn long_heads_are_refused(binary: &ServerBinary) {
    const LONG: usize = 48 * 1_024;
    let server = Server::start(binary);
    let watcher = watcher_of(binary, &server);
    let host = &watcher.address;
    let long = "x".repeat(LONG);
    for (what, head) in [
        ("a header", format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Long: {long}\r\n\r\n")),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X: 1\r\n".repeat(LONG / 6))),
        ("a URL", format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        ("no end of it", format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Long: {}", long.repeat(20))),
    ] {
        let mut stream = watcher.connect();
        // It may be refused, and closed, before all of it is sent.
        let _ = stream.write_all(head.as_bytes());
        let answer = until_closed(stream, DEADLINE);
        let is_refusal =
            ["HTTP/1.1 431 ", "HTTP/1.1 414 ", "HTTP/1.1 400 "].iter().any(|line| answer.starts_with(line));
        assert!(answer.is_empty() || is_refusal, "{what}: {answer}");
    }
    assert_answers_soon(&watcher);
}
