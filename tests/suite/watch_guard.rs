//! `holdfast watch`: who may look, and who may write.

use crate::common::watcher::Watcher;
use crate::common::{Client, Server, ServerBinary, cmd, console, order_field, tests};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

tests![
    an_address_open_to_others_needs_a_password,
    a_password_is_asked_for,
    a_name_of_another_machine_is_refused,
    every_answer_has_its_headers,
    nothing_is_written_unless_allowed,
    dead_orders_are_redriven,
    a_write_from_elsewhere_is_refused,
    a_signal_ends_it_while_pages_look_on,
    addresses_that_cannot_be_are_told,
    a_user_with_the_rights_of_the_example_sees_everything,
];

/// `anyone:open sesame`.
const SESAME: (&str, &str) = ("Authorization", "Basic YW55b25lOm9wZW4gc2VzYW1l");

fn an_address_open_to_others_needs_a_password(binary: &ServerBinary) {
    let server = Server::start(binary);
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let run = console::holdfast(binary, &["watch", "--listen", listen]);
        assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("password"), "{}", run.stderr);
        let run = console::holdfast(binary, &["watch", "--listen", listen, "--password", ""]);
        assert_eq!(run.code, Some(1), "an empty password is none: {}{}", run.stdout, run.stderr);
    }
    let open = ["--listen", "0.0.0.0:0", "--password", "open sesame"];
    let url = format!("redis://127.0.0.1:{}", server.port());
    let arguments = [&["watch", "--url", &url][..], &open].concat();
    let mut watcher = Watcher::in_line_of(console::start(binary, &arguments, &std::env::temp_dir()));
    watcher.address = watcher.address.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(watcher.get("/api/stores").status, 401);
    // With a password any name will do: the machine is known by many.
    let request = format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{}: {}\r\n\r\n", SESAME.0, SESAME.1);
    assert_eq!(watcher.raw_status(&request), 200);
}

fn a_password_is_asked_for(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = Watcher::with(binary, &server, &["--password", "open sesame", "--allow-writes"]);
    for path in ["/", "/app.js", "/metrics", "/api/stores", "/api/events", "/api/stores/popup", "/nothing"] {
        let answer = watcher.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{path}: {:?}", answer.headers);
        assert!(!answer.body.contains("sesame"), "{}", answer.body);
    }
    assert_eq!(watcher.post("/api/stores/popup/redrive", r#"{"reason":null}"#).status, 401);
    // "anyone:open Sesame", "open sesame:", no Base64, another scheme.
    for wrong in ["Basic YW55b25lOm9wZW4gU2VzYW1l", "Basic b3BlbiBzZXNhbWU6", "Basic ???", "Bearer b3BlbiBzZXNhbWU"] {
        assert_eq!(watcher.request("GET", "/api/stores", &[("Authorization", wrong)], "").status, 401, "{wrong}");
    }
    for path in ["/", "/metrics", "/api/stores"] {
        assert_eq!(watcher.request("GET", path, &[SESAME], "").status, 200, "{path}");
    }
}

fn a_name_of_another_machine_is_refused(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = Watcher::of(binary, &server);
    let status = |host: &str| watcher.raw_status(&format!("GET /api/stores HTTP/1.1\r\n{host}\r\n"));
    for host in ["localhost", "LocalHost:7070", "127.0.0.1:1", "[::1]:7070"] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7070", "10.1.2.3", ""] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 403, "{host}");
    }
    assert_ne!(status(""), 200, "no host at all");
    assert_ne!(status("Host: localhost\r\nHost: evil.example\r\n"), 200, "two hosts");
    for path in ["/", "/metrics", "/api/events", "/api/stores/popup"] {
        assert_eq!(watcher.raw_status(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n")), 403, "{path}");
    }
}

fn every_answer_has_its_headers(binary: &ServerBinary) {
    let server = Server::start(binary);
    let watcher = Watcher::of(binary, &server);
    for path in ["/", "/app.js", "/app.css", "/favicon.svg", "/metrics", "/api/stores", "/api/stores/nope", "/nothing"]
    {
        let answer = watcher.get(path);
        let security = answer.header("content-security-policy");
        assert!(security.contains("default-src 'self'") && security.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let kept = if path.starts_with("/api/") || path == "/metrics" { "no-store" } else { "no-" };
        assert!(answer.header("cache-control").starts_with(kept), "{path}: {:?}", answer.headers);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    assert!(watcher.get("/").header("content-type").starts_with("text/html"));
    assert!(watcher.get("/app.js").header("content-type").starts_with("text/javascript"));
    assert_eq!(watcher.request("DELETE", "/api/stores/popup", &[], "").status, 405);
}

/// A store with four dead orders of two reasons, one of which looks like a pattern.
fn graveyard(client: &mut Client) {
    client.ok("STORE.SET popup attempts 1");
    client.int("INV.SET popup sku-1 100");
    for (order, reason) in [("o-1", "card *"), ("o-2", "card *"), ("o-3", "card lost"), ("o-4", "card *")] {
        client.text(format!("ORDER.PLACE popup {order} c-1 ITEMS sku-1 1"));
        client.get("ORDER.CLAIM popup w-1");
        client.get(cmd!["ORDER.FAIL", "popup", order, "REASON", reason]);
    }
}

fn nothing_is_written_unless_allowed(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    graveyard(&mut client);
    let watcher = Watcher::of(binary, &server);
    let answer = watcher.post("/api/stores/popup/redrive", r#"{"order":"o-1"}"#);
    assert_eq!((answer.status, answer.json()), (403, json!({"error": "read-only: start with --allow-writes"})));
    assert_eq!(watcher.json("/api/stores")["writes"], false);
    assert_eq!(client.get("STORE.INFO popup").field("redriven").int(), 0);
}

fn dead_orders_are_redriven(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    graveyard(&mut client);
    let watcher = Watcher::with(binary, &server, &["--allow-writes"]);
    watcher.wait_for("the deaths were counted", "popup", |line| line["metrics"]["dead"] == 4);
    assert_eq!(watcher.json("/api/stores")["writes"], true);
    let redrive = |body: &str| {
        let answer = watcher.post("/api/stores/popup/redrive", body);
        (answer.status, answer.json())
    };
    let reasons = watcher.json("/api/stores/popup")["dead"]["reasons"].clone();
    assert_eq!((&reasons[0]["reason"], &reasons[0]["count"]), (&json!("card *"), &json!(3)));
    assert_eq!(redrive(r#"{"order":"o-1"}"#), (200, json!({"redriven": 1})));
    // Whoever changes something sees it at once.
    let detail = watcher.json("/api/stores/popup");
    assert_eq!((&detail["info"]["queued"], &detail["dead"]["total"]), (&json!(1), &json!(3)));
    assert_eq!(redrive(r#"{"reason":"card *","count":1}"#), (200, json!({"redriven": 1})));
    // The text is taken as it is: the other reason, which it would match as a pattern, stays.
    assert_eq!(redrive(r#"{"reason":"card *"}"#), (200, json!({"redriven": 1})));
    for (order, state) in [("o-1", "queued"), ("o-2", "queued"), ("o-3", "dead"), ("o-4", "queued")] {
        assert_eq!(order_field(&mut client, order, "state"), state, "{order}");
    }
    assert_eq!(redrive(r#"{"reason":null}"#), (200, json!({"redriven": 1})));
}

fn a_write_from_elsewhere_is_refused(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    graveyard(&mut client);
    let watcher = Watcher::with(binary, &server, &["--allow-writes"]);
    let (path, body) = ("/api/stores/popup/redrive", r#"{"reason":null}"#);
    let status = |headers: &[(&str, &str)], body: &str| watcher.request("POST", path, headers, body).status;
    let ours = ("X-Holdfast", "1");
    let json = ("Content-Type", "application/json");
    assert_eq!(status(&[json], body), 403, "what a script of another site can send without asking");
    assert_eq!(status(&[ours, ("Content-Type", "text/plain")], body), 415);
    assert_eq!(status(&[ours], body), 415);
    assert_eq!(status(&[("Content-Type", "application/x-www-form-urlencoded")], "reason="), 403, "a form");
    assert_eq!(status(&[ours, json], "{"), 400);
    assert_eq!(status(&[ours, json], "{}"), 400);
    assert_eq!(status(&[ours, json], &format!(r#"{{"reason":"{}"}}"#, "x".repeat(20_000))), 413);
    // A browser asks first whether another site may send that header: it may not.
    let asked = watcher.request("OPTIONS", path, &[("Origin", "http://evil.example")], "");
    assert!(asked.status >= 400 && asked.header("access-control-allow-headers").is_empty(), "{:?}", asked.headers);
    assert_eq!(client.get("STORE.INFO popup").field("redriven").int(), 0);
    assert_eq!(watcher.post("/api/stores/nope/redrive", body).status, 404);
    assert_eq!(watcher.post(path, r#"{"order":"nope"}"#).status, 404);
    assert_eq!(watcher.post(path, body).json()["redriven"], 4);
    assert_eq!(watcher.post(path, body).json()["redriven"], 0, "all are queued already");
}

fn a_signal_ends_it_while_pages_look_on(binary: &ServerBinary) {
    let server = Server::start(binary);
    server.client().ok("STORE.SET popup limit 1");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let watcher = Watcher::of(binary, &server);
        let events = watcher.events("popup");
        events.wait_for("detail", |_| true);
        kill(Pid::from_raw(watcher.process.pid()), signal).expect("signalled");
        let run = watcher.process.wait();
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{signal}: {}", run.stdout);
    }
}

fn addresses_that_cannot_be_are_told(binary: &ServerBinary) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    for (arguments, wanted) in [
        (["--listen", taken.as_str()], "in use"),
        (["--listen", "7070"], "such as 127.0.0.1:7070, got '7070'"),
        (["--url", "http://shop"], "must be redis://host:port"),
    ] {
        let run = console::holdfast(binary, &[&["watch"], &arguments[..]].concat());
        assert_eq!(run.code, Some(1), "{}", run.stdout);
        assert!(run.stderr.contains(wanted), "{wanted}: {}", run.stderr);
    }
}

/// The user that redis.conf.example proposes.
fn a_user_with_the_rights_of_the_example_sees_everything(binary: &ServerBinary) {
    let example = include_str!("../../redis.conf.example");
    let user = example.lines().find_map(|line| line.strip_prefix("# user watch ")).expect("a user to watch as");
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok(format!("ACL SETUSER watch {user} +order.redrive +order.cancel +order.pass +store.set +eval"));
    client.int("INV.SET popup sku-1 10 LOW 20");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    client.get("ORDER.FAIL popup o-1 REASON lost FATAL");
    client.get("ORDER.CLAIM popup w-1");
    let url = format!("redis://watch:secret@127.0.0.1:{}", server.port());
    let arguments = ["watch", "--url", &url, "--listen", "127.0.0.1:0", "--allow-writes"];
    let watcher = Watcher::in_line_of(console::start(binary, &arguments, &std::env::temp_dir()));
    watcher.wait_for("a sample", "popup", |store| store["metrics"]["placed"] == 2);
    let detail = watcher.json("/api/stores/popup");
    assert_eq!((&detail["workers"]["orders"], &detail["dead"]["total"]), (&json!(1), &json!(1)), "{detail}");
    assert_eq!(detail["skus"]["shown"][0]["name"], "sku-1", "{detail}");
    assert!(!watcher.json("/api/stores/popup/history")["at"].as_array().expect("times").is_empty());
    assert_eq!(watcher.json("/api/stores/popup/orders/o-1")["state"], "dead");
    assert_eq!(watcher.post("/api/stores/popup/redrive", r#"{"reason":"lost"}"#).json()["redriven"], 1);
    for path in ["orders?state=claimed", "holds?customer=c-1", "skus", "skus/sku-1", "find/o-1"] {
        assert_eq!(watcher.get(&format!("/api/stores/popup/{path}")).status, 200, "{path}");
    }
    assert_eq!(watcher.get("/api/stores/popup/holds/h-1").status, 404);
    assert_eq!(watcher.post("/api/stores/popup/cancel", r#"{"order":"o-1"}"#).json()["units"], 1);
    assert_eq!(watcher.post("/api/stores/popup/pause", r#"{"paused":true}"#).json()["paused"], true);
    assert_eq!(client.get("ACL LOG").array().len(), 0, "nothing was refused");
    // Whoever may not read all of a store at one moment sees it all the same.
    client.ok("ACL SETUSER watch -multi -exec");
    assert_eq!(watcher.post("/api/stores/popup/pause", r#"{"paused":false}"#).json()["paused"], false);
    let detail = watcher.json("/api/stores/popup");
    assert_eq!((&detail["workers"]["orders"], &detail["settings"]["paused"]), (&json!(1), &json!(false)), "{detail}");
}
