//! `holdfast watch`: what the API and `/metrics` say is what the server says.

use crate::common::watcher::Watcher;
use crate::common::{
    COUNTERS, Client, DEADLINE, Reply, Server, ServerBinary, cmd, console, entries, tests, wait_until,
};
use holdfast_engine::terms::metrics::{METRICS, Unit};
use holdfast_engine::terms::prometheus;
use holdfast_lab::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

tests![
    the_overview_is_the_last_sample,
    a_detail_is_what_the_server_says,
    a_history_is_the_stream,
    an_order_is_told_with_its_history,
    keys_and_ids_of_any_bytes_are_served,
    what_is_not_there_is_told,
    skus_that_run_out_are_found_in_a_large_store,
    a_crowd_at_work_is_cut_short,
    every_line_for_prometheus_is_right,
    a_sale_says_where_to_watch_it,
    a_server_without_the_module_is_told,
];

/// A store in which a bit of everything happened: 3 SKUs, orders in every state, two workers, two reasons.
fn busy_shop(client: &mut Client) {
    client.ok("STORE.SET popup closes 9000000000000 attempts 1 journal 100 limit 50");
    for sku in ["sku-1 100 LOW 10", "sku-2 3 LOW 5", "sku-3 0"] {
        client.int(format!("INV.SET popup {sku}"));
    }
    for order in 1..=8 {
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 2"));
    }
    for (worker, count) in [("w-1", 6), ("w-2", 1)] {
        client.get(format!("ORDER.CLAIM popup {worker} COUNT {count}"));
    }
    client.text("ORDER.COMPLETE popup o-1");
    client.get(cmd!["ORDER.FAIL", "popup", "o-2", "REASON", "card declined"]);
    client.get(cmd!["ORDER.FAIL", "popup", "o-3", "REASON", "card declined"]);
    client.get(cmd!["ORDER.FAIL", "popup", "o-4", "REASON", "why? [no*]"]);
    client.int("ORDER.CANCEL popup o-8");
    assert!(client.call("ORDER.PLACE popup o-9 c-9 ITEMS sku-3 1").is_error());
}

/// The numbers of STORE.INFO.
fn info(client: &mut Client, key: &str) -> BTreeMap<String, Json> {
    let number = |reply: Reply| if let Reply::Int(number) = reply { json!(number) } else { Json::Null };
    client.get(format!("STORE.INFO {key}")).pairs().into_iter().map(|(name, value)| (name, number(value))).collect()
}

fn the_overview_is_the_last_sample(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    busy_shop(&mut client);
    let watcher = Watcher::of(binary, &server);
    let line = watcher.wait_for("everything was counted", "popup", |line| line["metrics"]["cancelled"] == 1);
    let last = entries(&mut client, "{popup}:metrics").pop().expect("a sample");
    assert_eq!(line["at"], last.ms());
    let metrics = line["metrics"].as_object().expect("fields");
    assert_eq!(metrics.len(), last.names().len());
    for name in last.names() {
        assert_eq!(metrics[name].to_string(), last.text(name), "{name}");
    }
    let info = info(&mut client, "popup");
    for counter in COUNTERS.iter().copied() {
        assert_eq!(metrics[counter], info[counter], "{counter}");
    }
    assert_eq!((&line["closes"], &line["paused"]), (&json!(9_000_000_000_000_i64), &json!(false)));
    let all = watcher.json("/api/stores");
    assert_eq!(all["server"]["connected"], true);
    assert_eq!(all["server"]["role"], "master");
    let version = binary.label().rsplit_once('-').expect("a version").1;
    assert_eq!(all["server"]["version"], version);
    // A setting moves no stock, and writes no sample: it is seen all the same.
    client.ok("STORE.SET popup paused yes opens 7");
    watcher.wait_for("the setting is seen", "popup", |line| line["paused"] == true && line["opens"] == 7);
}

fn a_detail_is_what_the_server_says(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    busy_shop(&mut client);
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("everything was counted", "popup", |line| line["metrics"]["cancelled"] == 1);
    let detail = watcher.json("/api/stores/popup");
    let settings = detail["settings"].as_object().expect("settings");
    for (name, value) in client.get("STORE.GET popup").pairs() {
        match value {
            Reply::Int(number) => assert_eq!(settings[&name], number, "{name}"),
            other => assert_eq!(settings[&name], other.text() == "yes", "{name}"),
        }
    }
    let told: BTreeMap<String, Json> = serde_json::from_value(detail["info"].clone()).expect("numbers");
    assert_eq!(told, info(&mut client, "popup"));
    assert_eq!(detail["skus"]["total"], 3);
    let skus = detail["skus"]["shown"].as_array().expect("SKUs");
    let names: Vec<_> = skus.iter().map(|sku| sku["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["sku-3", "sku-2", "sku-1"], "those that run out first");
    for sku in skus {
        let books = client.get(format!("INV.GET popup {}", sku["name"].as_str().expect("a name")));
        for (field, value) in books.array()[0].pairs() {
            let told = if value == Reply::Nil { Json::Null } else { json!(value.int()) };
            assert_eq!(sku[&field], told, "{field} of {sku}");
        }
    }
    let workers = &detail["workers"];
    assert_eq!((&workers["orders"], &workers["truncated"]), (&json!(3), &json!(false)));
    let held = |worker: &Json| worker["orders"].as_array().expect("orders").len();
    let shown: Vec<_> = workers["shown"].as_array().expect("workers").iter().map(|w| (&w["name"], held(w))).collect();
    assert_eq!(shown, [(&json!("w-1"), 2), (&json!("w-2"), 1)]);
    let in_hand = &workers["shown"][0]["orders"][0];
    let order = client.get("ORDER.GET popup o-5");
    assert_eq!((&in_hand["id"], &in_hand["attempt"]), (&json!("o-5"), &json!(1)));
    assert_eq!(in_hand["deadline"], order.field("due").int());
    assert_eq!(in_hand["claimed-at"], order.field("history").array()[1].field("at").int());
    let dead = &detail["dead"];
    assert_eq!((&dead["total"], &dead["counted"]), (&json!(3), &json!(3)));
    assert_eq!((&dead["reasons"][0]["reason"], &dead["reasons"][0]["count"]), (&json!("card declined"), &json!(2)));
    assert_eq!(dead["reasons"][1]["orders"], json!([{"id": "o-4", "name": "o-4"}]));
    let alerts = detail["alerts"]["shown"].as_array().expect("alerts").iter();
    let alerts: Vec<_> = alerts.map(|alert| (alert["entry"].clone(), alert["kind"].clone())).collect();
    let stream = entries(&mut client, "{popup}:alerts").into_iter().rev();
    let stream: Vec<_> = stream.map(|entry| (json!(entry.id), json!(entry.text("kind")))).collect();
    assert_eq!(alerts, stream, "newest first");
    assert!(alerts.iter().any(|(_, kind)| kind == "order.dead"), "{alerts:?}");
}

fn a_history_is_the_stream(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let watcher = Watcher::of(binary, &server);
    busy_shop(&mut client);
    let ats = |watcher: &Watcher, path: &str| watcher.json(path)["at"].as_array().expect("times").clone();
    watcher.wait_for("everything was counted", "popup", |line| line["metrics"]["cancelled"] == 1);
    // Asked for once before there is more of it: what is new is read on top of what was kept.
    assert!(!ats(&watcher, "/api/stores/popup/history").is_empty());
    for order in 10..13 {
        let stream = || "{popup}:metrics";
        let before = client.int(format!("XLEN {}", stream()));
        client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1"));
        wait_until(DEADLINE, "a sample", || client.int(format!("XLEN {}", stream())) > before);
    }
    let samples = entries(&mut client, "{popup}:metrics");
    let history = watcher.json("/api/stores/popup/history");
    let at: Vec<Json> = samples.iter().map(|sample| json!(sample.ms())).collect();
    assert_eq!(history["at"].as_array().expect("times"), &at);
    for name in samples[0].names() {
        let column: Vec<String> = samples.iter().map(|sample| sample.text(name)).collect();
        let told: Vec<String> = history["metrics"][name].as_array().expect(name).iter().map(Json::to_string).collect();
        assert_eq!(told, column, "{name}");
    }
    assert_eq!(ats(&watcher, "/api/stores/popup/history?points=2"), [at[0].clone(), at[at.len() - 1].clone()]);
    assert_eq!(watcher.get("/api/stores/popup/history?points=x").status, 400);
    let drawn = &history["lines"];
    assert_eq!(drawn["at"].as_array().expect("times").last(), at.last());
    assert_eq!(drawn["available"].as_array().expect("values").len(), drawn["at"].as_array().expect("times").len());
    // The stream is the history: who trims it shortens both.
    client.int("XTRIM {popup}:metrics MAXLEN 1");
    assert_eq!(ats(&watcher, "/api/stores/popup/history"), [at[at.len() - 1].clone()]);
}

fn an_order_is_told_with_its_history(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    busy_shop(&mut client);
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the store is found", "popup", |_| true);
    let told = watcher.json("/api/stores/popup/orders/o-4");
    let order = client.get("ORDER.GET popup o-4");
    for (name, value) in order.pairs() {
        match value {
            Reply::Int(number) => assert_eq!(told[&name], number, "{name}"),
            Reply::Nil => assert_eq!(told[&name], Json::Null, "{name}"),
            Reply::Bulk(_) => assert_eq!(told[&name], value.text(), "{name}"),
            _ => {}
        }
    }
    assert_eq!(told["items"], json!([["sku-1", 2, 0]]));
    assert_eq!(told["state"], "dead");
    let events: Vec<_> =
        told["history"].as_array().expect("events").iter().map(|event| event["event"].clone()).collect();
    let wanted: Vec<_> =
        order.field("history").array().iter().map(|event| Json::from(event.field("event").text())).collect();
    assert_eq!(events, wanted);
    let died = told["history"].as_array().and_then(|events| events.last()).expect("the last event");
    assert_eq!(
        (&died["title"], &died["tone"], &died["text"]),
        (&json!("Died"), &json!("refused"), &json!("why? [no*]"))
    );
}

fn keys_and_ids_of_any_bytes_are_served(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let key: &[u8] = b"sh\xffop {7}/\"?#&+%";
    client.ok(cmd!["STORE.SET", key, "attempts", 1]);
    client.int(cmd!["INV.SET", key, &b"sku\x00\xfe"[..], 5]);
    client.text(cmd!["ORDER.PLACE", key, &b"o/\xff?1"[..], "c-1", "ITEMS", &b"sku\x00\xfe"[..], 1]);
    client.get(cmd!["ORDER.CLAIM", key, &b"w\xfd"[..]]);
    let watcher = Watcher::with(binary, &server, &["--allow-writes"]);
    let id = "sh%FFop%20%7B7%7D%2F%22%3F%23%26%2B%25";
    let line = watcher.wait_for("the claim was counted", id, |line| line["metrics"]["claimed"] == 1);
    assert_eq!(line["name"], "sh\\xffop {7}/\"?#&+%");
    let detail = watcher.json(&format!("/api/stores/{id}"));
    assert_eq!(detail["skus"]["shown"][0]["name"], "sku\u{0}\\xfe");
    let worker = &detail["workers"]["shown"][0];
    assert_eq!((&worker["name"], &worker["orders"][0]["id"]), (&json!("w\\xfd"), &json!("o%2F%FF%3F1")));
    let order = watcher.json(&format!("/api/stores/{id}/orders/o%2F%FF%3F1"));
    assert_eq!((&order["order"], &order["state"]), (&json!("o/\\xff?1"), &json!("claimed")));
    assert_eq!(watcher.json(&format!("/api/stores/{id}/history"))["at"].as_array().map(Vec::is_empty), Some(false));
    watcher.events(id).wait_for("detail", |detail| detail["id"] == id);
    client.get(cmd!["ORDER.FAIL", key, &b"o/\xff?1"[..], "REASON", "lost"]);
    let answer = watcher.post(&format!("/api/stores/{id}/redrive"), r#"{"order":"o%2F%FF%3F1"}"#);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"redriven":1}"#));
}

fn what_is_not_there_is_told(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET popup metrics 0");
    client.ok("SET other value");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the store is found", "popup", |line| line["at"].is_null() && line["metrics"].is_null());
    let error = |path: &str, status: u16| {
        let answer = watcher.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        answer.json()["error"].as_str().expect("an error").to_string()
    };
    assert_eq!(error("/api/stores/nope", 404), "no store nope");
    assert_eq!(error("/api/stores/nope/history", 404), "no store nope");
    assert_eq!(error("/api/stores/nope/orders/o-1", 404), "no store nope");
    assert!(error("/api/stores/popup/orders/o-1", 404).starts_with("NOORDER"));
    assert!(error("/api/stores/other", 409).starts_with("WRONGTYPE"));
    error("/api/nothing", 404);
    error("/../Cargo.toml", 404);
    let detail = watcher.json("/api/stores/popup");
    assert!(detail["at"].is_null(), "it writes no samples: {detail}");
    assert_eq!(detail["metrics"]["skus"], 0, "the numbers are those of STORE.INFO");
    let history = watcher.json("/api/stores/popup/history");
    assert_eq!((&history["at"], &history["metrics"], &history["lines"]["at"]), (&json!([]), &json!({}), &json!([])));
}

fn skus_that_run_out_are_found_in_a_large_store(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let set = |sku: usize| cmd!["INV.SET", "popup", format!("sku-{sku:05}"), 1_000 + sku as i64, "LOW", 10];
    client.pipeline(&(0..5_000).map(set).collect::<Vec<_>>());
    client.int("INV.SET popup sku-04990 3 LOW 10");
    client.int("INV.SET popup sku-04991 0 LOW 10");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the store is found", "popup", |_| true);
    let skus = watcher.json("/api/stores/popup")["skus"].clone();
    assert_eq!((&skus["total"], &skus["truncated"]), (&json!(5_000), &json!(true)));
    let shown = skus["shown"].as_array().expect("SKUs");
    let names: Vec<_> = shown.iter().take(3).map(|sku| sku["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["sku-04991", "sku-04990", "sku-00000"]);
    assert_eq!(shown.len(), 100);
}

fn a_crowd_at_work_is_cut_short(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10000");
    crate::common::place_many(&mut client, "popup", 0..900);
    client.get("ORDER.CLAIM popup w-1 COUNT 900");
    let watcher = Watcher::of(binary, &server);
    watcher.wait_for("the claims were counted", "popup", |line| line["metrics"]["in-work"] == 900);
    let workers = watcher.json("/api/stores/popup")["workers"].clone();
    assert_eq!((&workers["orders"], &workers["truncated"]), (&json!(900), &json!(true)));
    assert_eq!(workers["shown"][0]["orders"].as_array().map(Vec::len), Some(500));
}

/// A line of the exposition: name, labels as they stand, value.
fn parse(line: &str) -> (String, String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number in {line:?}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("open labels in {line:?}"));
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(name.starts_with("holdfast_") && name.chars().all(is_name), "{line:?}");
    (name.to_string(), labels.to_string(), value)
}

/// Every value by name and labels; checks that each has its type, that counters end in `_total`, and nothing is twice.
fn exposition(text: &str) -> BTreeMap<(String, String), f64> {
    let mut types = BTreeMap::new();
    let mut values = BTreeMap::new();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.pop(), Some("# EOF"));
    for line in lines {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(types.insert(name.to_string(), kind.to_string()), None, "{line}");
        } else if !line.starts_with("# HELP ") {
            let (name, labels, value) = parse(line);
            let part = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| name.strip_suffix(part));
            let (family, kind) = match (name.strip_suffix("_total"), part) {
                (Some(family), _) => (family, "counter"),
                (None, Some(family)) => (family, "histogram"),
                (None, None) => (name.as_str(), "gauge"),
            };
            assert_eq!(types.get(family).map(String::as_str), Some(kind), "{line}");
            assert_eq!(values.insert((name, labels), value), None, "{line}");
        }
    }
    values
}

fn every_line_for_prometheus_is_right(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    busy_shop(&mut client);
    client.int("INV.SET other sku-1 7");
    let watcher = Watcher::of(binary, &server);
    let line = watcher.wait_for("everything was counted", "popup", |line| line["metrics"]["cancelled"] == 1);
    watcher.wait_for("the other store is counted", "other", |line| line["metrics"]["on-hand"] == 7);
    let answer = watcher.get("/metrics");
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"), "{:?}", answer.headers);
    let values = exposition(&answer.body);
    let value = |name: &str, labels: &str| {
        let key = (name.to_string(), labels.to_string());
        *values.get(&key).unwrap_or_else(|| panic!("no {name}{{{labels}}} in {}", answer.body))
    };
    assert_eq!(value("holdfast_up", ""), 1.0);
    let popup = r#"store="popup""#;
    let info = info(&mut client, "popup");
    for counter in COUNTERS.iter().copied() {
        let name = format!("holdfast_{}_total", counter.replace('-', "_"));
        assert_eq!(Some(value(&name, popup)), info[counter].as_f64(), "{name}");
    }
    // Every field of the sample is there, under its name.
    for (name, number) in line["metrics"].as_object().expect("fields") {
        let metric = METRICS.iter().find(|metric| metric.name == name).expect("a metric");
        let labels = name.strip_prefix("refused-").map(|code| format!("{popup},code=\"{code}\""));
        let found = value(&prometheus::name(metric), &labels.unwrap_or_else(|| popup.to_string()));
        let wanted = number.as_f64().expect("a number") / if metric.unit == Unit::Ms { 1_000.0 } else { 1.0 };
        // What waits gets older without a sample.
        assert!(found == wanted || name == "oldest-waiting-ms" && found > wanted, "{name}: {found}, not {wanted}");
    }
    assert_eq!(value("holdfast_refused_total", &format!("{popup},code=\"outofstock\"")), 1.0);
    assert_eq!(value("holdfast_on_hand", r#"store="other""#), 7.0);
    let taken = line["at"].as_f64().map(|at_ms| at_ms / 1_000.0);
    assert_eq!(Some(value("holdfast_sample_timestamp_seconds", popup)), taken);
}

fn a_sale_says_where_to_watch_it(binary: &ServerBinary) {
    let server = Server::start(binary);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let arguments = ["sale", "--url", &url, "--duration", "6", "--units", "100", "--watch", "127.0.0.1:0"];
    let watcher = Watcher::in_line_of(console::start(binary, &arguments, &std::env::temp_dir()));
    watcher.wait_for("orders are completed", "popup", |line| line["metrics"]["completed"].as_i64() > Some(0));
    // The server is somebody else's: it is only looked at.
    assert_eq!(watcher.json("/api/stores")["writes"], false);
    assert_eq!(watcher.get("/").status, 200);
    watcher.process.wait().assert_success();
    // On a server of its own the page may write. It ends with the sale, and with it the server.
    let arguments = ["sale", "--duration", "600", "--watch", "127.0.0.1:0"];
    let own = Watcher::in_line_of(console::start(binary, &arguments, &std::env::temp_dir()));
    own.wait_for("the store is made", "popup", |_| true);
    assert_eq!(own.json("/api/stores")["writes"], true);
    kill(Pid::from_raw(own.process.pid()), Signal::SIGTERM).expect("signalled");
    assert_eq!(own.process.wait().code, Some(130));
    let off = console::holdfast(binary, &["sale", "--url", &url, "--watch", "0.0.0.0:0"]);
    assert!(off.code != Some(0) && off.stderr.contains("loopback"), "{}", off.stderr);
}

fn a_server_without_the_module_is_told(binary: &ServerBinary) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("redis.sock");
    let [socket_path, dir] = [socket.as_path(), folder.path()].map(|path| path.to_str().expect("a path"));
    // Its folder is its own: it could not load a file with a store in it that was left where the tests are run.
    let bare = ["--port", "0", "--save", "", "--dir", dir, "--unixsocket", socket_path];
    let server = Process::spawn(Command::new(binary.path()).args(bare).stdout(Stdio::null())).expect("a server");
    let url = format!("unix://{}", socket.display());
    let arguments = ["watch", "--url", &url, "--listen", "127.0.0.1:0"];
    let watcher = Watcher::in_line_of(console::start(binary, &arguments, folder.path()));
    wait_until(DEADLINE, "it is told", || {
        let told = watcher.json("/api/stores")["server"].clone();
        told["connected"] == true && told["error"].as_str().is_some_and(|error| error.contains("not loaded Holdfast"))
    });
    drop(server);
}
