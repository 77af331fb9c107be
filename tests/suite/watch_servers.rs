//! The ways to a server: passwords, clusters, several databases. `watch`, `sale` and `replay` have the same.

use std::fs;
use std::path::PathBuf;

use crate::common::watcher::Watcher;
use crate::common::ways::{Sentinel, cluster_of_two, orders_file, replay, server_of, watch};
use crate::common::{DEADLINE, Server, ServerBinary, console, tests, wait_until};
use serde_json::Value as Json;

tests![
    passwords_come_from_files_and_the_environment,
    a_password_is_nowhere_to_be_seen,
    a_cluster_is_one_page,
    a_node_that_is_away_is_shown_as_such,
    stores_of_all_databases_are_shown,
    a_database_that_is_named_is_the_only_one,
];

const SECRET: &str = "s3cr3t-w0rd";

/// A name, and the arguments and the variables that lead to a server.
type Way<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);

/// A short sale.
const SALE: [&str; 7] = ["sale", "--duration", "5", "--units", "30", "--watch", "off"];

/// The ids of the stores on the page.
fn ids_of(watcher: &Watcher) -> Vec<String> {
    let all = watcher.json("/api/stores");
    let mut ids: Vec<_> =
        all["stores"].as_array().expect("stores").iter().map(|one| one["id"].as_str().expect("an id").into()).collect();
    ids.sort();
    ids
}

fn passwords_come_from_files_and_the_environment(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10");
    client.ok(format!("ACL SETUSER watcher on >{SECRET} ~* &* +@all"));
    client.ok(format!("CONFIG SET requirepass {SECRET}"));
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path: PathBuf = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("a path").to_string()
    };
    let bare = format!("127.0.0.1:{}", server.port());
    let url = format!("redis://watcher:{SECRET}@{bare}");
    let (password_file, url_file) = (file("password", &format!("{SECRET}\n")), file("url", &format!("{url}\n")));
    let ways: [Way; 5] = [
        ("auth", &["--url", &bare], &[("REDISCLI_AUTH", SECRET)]),
        ("file", &["--url", &bare, "--password-file", &password_file], &[]),
        ("user", &["--url", &bare, "--user", "watcher", "--password-file", &password_file], &[]),
        ("url-file", &["--url-file", &url_file], &[]),
        ("url", &[], &[("HOLDFAST_URL", &url)]),
    ];
    let stores = |name: &str| ["retail", "sale"].map(|what| format!("{what}-{name}"));
    let sales = ways.map(|(name, arguments, variables)| {
        let [_, store] = stores(name);
        console::start_with(binary, &[&SALE[..], &["--store", &store], arguments].concat(), variables)
    });
    for (name, arguments, variables) in ways {
        watch(binary, arguments, variables).wait_for("the store is found", "popup", |_| true);
        replay(binary, &stores(name)[0], arguments, variables);
    }
    sales.into_iter().for_each(|sale| sale.wait().assert_success());
    // Where nobody is named, they start a server of their own: it was this one.
    for store in ways.iter().flat_map(|(name, ..)| stores(name)) {
        assert!(client.get(format!("STORE.INFO {store}")).field("completed").int() > 0, "{store}");
    }
    let file = orders_file();
    for command in [&["watch"][..], &["sale", "--watch", "off"], &["replay", &file]] {
        let missing = console::holdfast(binary, &[command, &["--url-file", "/nowhere/at/all"]].concat());
        assert!(missing.code != Some(0) && missing.stderr.contains("/nowhere/at/all"), "{}", missing.stderr);
    }
}

fn a_password_is_nowhere_to_be_seen(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10");
    client.ok(format!("CONFIG SET requirepass {SECRET}"));
    let url = format!("redis://:{SECRET}@127.0.0.1:{}", server.port());
    let watcher = watch(binary, &["--url", &url, "--password", SECRET, "--allow-writes"], &[]);
    let seen = fs::read(format!("/proc/{}/cmdline", watcher.process.pid())).expect("its command line");
    let seen = String::from_utf8_lossy(&seen).replace('\0', " ");
    assert!(seen.contains("watch") && seen.contains("--allow-writes") && !seen.contains(SECRET), "{seen}");
    assert_eq!(watcher.get("/api/stores").status, 401, "the page's password is known");
    // What is wrong is said without it.
    for url in [format!("redis://:{SECRET}@127.0.0.1:1"), format!("http://:{SECRET}@127.0.0.1:1")] {
        let run = console::holdfast(binary, &["sale", "--url", &url, "--watch", "off"]);
        let said = run.stdout + &run.stderr;
        assert!(run.code != Some(0) && !said.contains(SECRET), "{said}");
    }
}

fn a_cluster_is_one_page(binary: &ServerBinary) {
    let (nodes, stores) = cluster_of_two(binary);
    let url = format!("redis://127.0.0.1:{}", nodes[0].port());
    let watcher = watch(binary, &["--url", &url, "--allow-writes"], &[]);
    for (node, store) in nodes.iter().zip(&stores) {
        let line = watcher.wait_for("the store is found, with its node", store, |line| line["node"].is_string());
        assert_eq!(line["node"], format!("127.0.0.1:{}", node.port()));
        node.client().text(format!("ORDER.PLACE {store} o-1 c-1 ITEMS sku-1 1"));
        watcher.wait_for("its numbers follow", store, |line| line["metrics"]["placed"] == 1);
        assert_eq!(watcher.json(&format!("/api/stores/{store}"))["info"]["placed"], 1);
        assert_eq!(watcher.json(&format!("/api/stores/{store}/orders/o-1"))["state"], "queued");
    }
    assert_eq!(watcher.get("/api/stores/nope").status, 404);
    assert_eq!(server_of(&watcher)["nodes"].as_array().map(Vec::len), Some(2));
    // A store that any node is named for is found where it is.
    for (number, store) in stores.iter().enumerate() {
        replay(binary, &format!("{{{store}}}-{number}"), &["--url", &url], &[]);
    }
    let sale = ["sale", "--duration", "6", "--units", "30", "--watch", "off", "--url", &url, "--store"];
    console::holdfast(binary, &[&sale[..], &[&format!("{{{}}}-sale", stores[1])]].concat()).assert_success();
}

fn a_node_that_is_away_is_shown_as_such(binary: &ServerBinary) {
    let (mut nodes, stores) = cluster_of_two(binary);
    let ports = [0, 1].map(|at: usize| nodes[at].port());
    let watcher = watch(binary, &["--url", &format!("127.0.0.1:{}", ports[0])], &[]);
    for store in &stores {
        watcher.wait_for("the store is found", store, |line| line["metrics"]["on-hand"] == 10);
    }
    // Of the two the one that was named goes: the other one is asked from now on.
    nodes[0].kill9();
    let away = watcher.wait_for("its store is marked", &stores[0], |line| line["away"] == true);
    assert_eq!(away["metrics"]["on-hand"], 10, "what was last seen stays");
    let server = server_of(&watcher);
    assert_eq!(server["connected"], true, "the other node answers");
    let seen = server["nodes"].as_array().expect("nodes");
    let state = |port: u16| seen.iter().find(|node| node["name"] == format!("127.0.0.1:{port}")).expect("a node");
    assert_eq!((&state(ports[0])["connected"], &state(ports[1])["connected"]), (&Json::from(false), &Json::from(true)));
    watcher.wait_for("the other store is not marked", &stores[1], |line| line["away"].is_null());
    let metrics = watcher.get("/metrics").body;
    for (port, up) in [(ports[0], 0), (ports[1], 1)] {
        assert!(metrics.contains(&format!("holdfast_node_up{{node=\"127.0.0.1:{port}\"}} {up}\n")), "{metrics}");
    }
    assert_eq!(watcher.get(&format!("/api/stores/{}", stores[0])).status, 503);
    // It comes back with nothing: its store is made anew.
    nodes[0].start_again();
    nodes[0].wait_for_cluster();
    nodes[0].client().int(format!("INV.SET {} sku-1 99", stores[0]));
    watcher.wait_for("it is back", &stores[0], |line| line["away"].is_null());
}

fn stores_of_all_databases_are_shown(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.int("INV.SET popup sku-1 10");
    let url = format!("redis://127.0.0.1:{}", server.port());
    let watcher = watch(binary, &["--url", &url], &[]);
    watcher.wait_for("the store is found", "popup", |_| true);
    client.ok("SELECT 3");
    client.int("INV.SET popup sku-1 30");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    let line = watcher.wait_for("the other database is found", "3:popup", |line| line["metrics"]["placed"] == 1);
    assert_eq!(line["name"], "popup (database 3)");
    assert_eq!(ids_of(&watcher), ["3:popup", "popup"]);
    assert_eq!(watcher.json("/api/stores/3:popup")["info"]["on-hand"], 30);
    assert_eq!(watcher.json("/api/stores/popup")["info"]["on-hand"], 10);
    assert_eq!(watcher.json("/api/stores/3:popup/orders/o-1")["state"], "queued");
    let metrics = watcher.get("/metrics").body;
    for series in [r#"{store="popup"} 10"#, r#"{store="popup",db="3"} 30"#] {
        assert!(metrics.contains(&format!("holdfast_on_hand{series}\n")), "{series} in {metrics}");
    }
    // One that is named is the only one.
    let one = watch(binary, &["--url", &format!("{url}/3")], &[]);
    one.wait_for("the store is found", "popup", |line| line["metrics"]["on-hand"] == 30);
    assert_eq!(ids_of(&one), ["popup"]);
    client.ok("FLUSHDB");
    wait_until(DEADLINE, "the database is empty", || ids_of(&watcher) == ["popup"]);
}

fn a_database_that_is_named_is_the_only_one(binary: &ServerBinary) {
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("socket").to_str().expect("a path").to_string();
    let server = Server::with(binary, &[&format!("unixsocket {socket}")]);
    let mut client = server.client();
    let sentinel = Sentinel::of(binary, &server);
    sentinel.wait_for_primary(&server);
    let urls = [
        format!("redis://127.0.0.1:{}/3", server.port()),
        format!("127.0.0.1:{}/4", server.port()),
        format!("unix://{socket}?db=5"),
        sentinel.url() + "/6",
    ];
    let sales = urls.each_ref().map(|url| {
        let sale = [&SALE[..], &["--url", url]].concat();
        console::start(binary, &sale, &std::env::temp_dir())
    });
    for url in &urls {
        replay(binary, "retail", &["--url", url], &[]);
        watch(binary, &["--url", url], &[]).wait_for("its store is found", "retail", |_| true);
    }
    sales.into_iter().for_each(|sale| sale.wait().assert_success());
    for (url, db) in urls.iter().zip(3..) {
        client.ok(format!("SELECT {db}"));
        assert_eq!(client.int("EXISTS retail popup"), 2, "{url}");
        client.ok("FLUSHDB");
    }
    let others = client.text("INFO keyspace");
    assert!(!others.contains("keys="), "somebody wrote elsewhere: {others}");
}
