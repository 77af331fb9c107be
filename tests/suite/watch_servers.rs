//! The ways to a server: TLS, passwords, sentinels, clusters, several databases. `watch`, `sale` and `replay` have the
//! same.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::watcher::Watcher;
use crate::common::{Client, DEADLINE, Server, ServerBinary, console, tests, wait_until};
use holdfast_lab::Process;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value as Json;

tests![
    tls_is_spoken_and_certificates_are_checked,
    passwords_come_from_files_and_the_environment,
    a_password_is_nowhere_to_be_seen,
    a_failover_is_followed,
    a_planned_failover_loses_nothing,
    a_cluster_is_one_page,
    a_node_that_is_away_is_shown_as_such,
    stores_of_all_databases_are_shown,
];

/// How soon after a failover the new primary must be on the page.
const FOLLOWED: Duration = Duration::from_secs(5);
const SECRET: &str = "s3cr3t-w0rd";

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn file_of(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).to_str().expect("a path").to_string()
}

/// Starts to watch; the server is named by the arguments.
#[track_caller]
fn watch(binary: &ServerBinary, arguments: &[&str], variables: &[(&str, &str)]) -> Watcher {
    let arguments = [&["watch", "--listen", "127.0.0.1:0"], arguments].concat();
    Watcher::in_line_of(console::start_with(binary, &arguments, variables))
}

fn server_of(watcher: &Watcher) -> Json {
    watcher.json("/api/stores")["server"].clone()
}

/// The ids of the stores on the page.
fn ids_of(watcher: &Watcher) -> Vec<String> {
    let all = watcher.json("/api/stores");
    let mut ids: Vec<_> =
        all["stores"].as_array().expect("stores").iter().map(|one| one["id"].as_str().expect("an id").into()).collect();
    ids.sort();
    ids
}

/// Replays a day of orders into a store: the books must balance in the end.
#[track_caller]
fn replay(binary: &ServerBinary, store: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let file = file_of("tests/data/online-retail-2011-04.csv");
    let day = ["--from", "2011-04-10", "--to", "2011-04-10"];
    let arguments = [&["replay", &file, "--store", store], &day[..], arguments].concat();
    console::start_with(binary, &arguments, variables).wait().assert_success();
}

/// An authority, and the certificates that it made, as files.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Certificates {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).expect("written");
        let named = |name: &str, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(hosts).expect("names");
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut params = named("an authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().expect("a key"));
        let authority = authority.expect("an authority");
        write("ca.pem", authority.pem());
        let other = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        write("other.pem", other.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().expect("a key");
            let params = named(name, &["localhost", "127.0.0.1"]);
            write(&format!("{name}.pem"), params.signed_by(&key, &authority).expect("signed").pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Certificates { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a path").to_string()
    }
}

/// Whether the server can speak TLS: it has OpenSSL.
fn speaks_tls(binary: &ServerBinary) -> bool {
    let text = fs::read(binary.path()).expect("the program");
    text.windows(b"SSL_CTX_new".len()).any(|part| part == b"SSL_CTX_new")
}

fn tls_is_spoken_and_certificates_are_checked(binary: &ServerBinary) {
    if !speaks_tls(binary) {
        return;
    }
    let (certificates, port) = (Certificates::make(), free_port());
    let [ca, cert, key] = ["ca.pem", "server.pem", "server.key"].map(|name| certificates.path(name));
    let config = [
        format!("tls-port {port}"),
        format!("tls-ca-cert-file {ca}"),
        format!("tls-cert-file {cert}"),
        format!("tls-key-file {key}"),
        "tls-auth-clients yes".to_string(),
    ];
    let server = Server::with(binary, &config.each_ref().map(String::as_str));
    server.client().int("INV.SET popup sku-1 10");
    let url = format!("rediss://127.0.0.1:{port}");
    let [cert, key, other] = ["client.pem", "client.key", "other.pem"].map(|name| certificates.path(name));
    let ours = ["--url", &url, "--cert", &cert, "--key", &key];
    let trusting = [&ours[..], &["--cacert", &ca]].concat();
    let watcher = watch(binary, &trusting, &[]);
    watcher.wait_for("the store is found over TLS", "popup", |_| true);
    assert_eq!(server_of(&watcher)["url"], url);
    watch(binary, &[&ours[..], &["--insecure"]].concat(), &[]).wait_for("any certificate will do", "popup", |_| true);
    replay(binary, "tls", &trusting, &[]);
    let sale =
        [&["sale", "--store", "sale", "--duration", "6", "--units", "30", "--watch", "off"], &trusting[..]].concat();
    console::holdfast(binary, &sale).assert_success();
    for wrong in [
        // Another authority; that of the system; no certificate of our own.
        &[&ours[..], &["--cacert", &other]].concat()[..],
        &ours,
        &["--url", &url, "--cacert", &ca],
    ] {
        let watcher = watch(binary, wrong, &[]);
        wait_until(DEADLINE, "it says why not", || {
            let error = server_of(&watcher)["error"].as_str().unwrap_or("connecting").to_string();
            error != "connecting"
        });
        assert_eq!(server_of(&watcher)["connected"], false, "{wrong:?}");
    }
    let plain = console::holdfast(binary, &["watch", "--url", "redis://localhost:1", "--insecure"]);
    assert!(plain.code != Some(0) && plain.stderr.contains("rediss://"), "{}", plain.stderr);
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
    let found = |arguments: &[&str], variables: &[(&str, &str)]| {
        watch(binary, arguments, variables).wait_for("the store is found", "popup", |_| true);
    };
    found(&["--url", &bare], &[("REDISCLI_AUTH", SECRET)]);
    found(&["--url", &bare, "--user", "watcher", "--password-file", &password_file], &[]);
    found(&["--url-file", &url_file], &[]);
    found(&[], &[("HOLDFAST_URL", &url)]);
    replay(binary, "retail", &["--url", &bare], &[("REDISCLI_AUTH", SECRET)]);
    let missing = console::holdfast(binary, &["watch", "--url-file", "/nowhere/at/all"]);
    assert!(missing.code != Some(0) && missing.stderr.contains("/nowhere/at/all"), "{}", missing.stderr);
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

/// A sentinel that watches a primary.
struct Sentinel {
    port: u16,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    fn of(binary: &ServerBinary, primary: &Server) -> Sentinel {
        let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let path = dir.path().join("sentinel.conf");
        let config = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor shop 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n",
            dir.path().display(),
            primary.port(),
        );
        fs::write(&path, config).expect("its configuration");
        let mut command = Command::new(binary.path());
        command.arg(&path).arg("--sentinel").envs(binary.environment()).stdout(Stdio::null());
        let process = Process::spawn(&mut command).expect("a sentinel");
        Sentinel { port, _process: process, _dir: dir }
    }

    fn client(&self) -> Option<Client> {
        Client::connect(self.port).ok()
    }

    /// Waits until it knows the primary and this many replicas.
    fn wait_for(&self, replicas: &str) {
        wait_until(DEADLINE, "the sentinel knows the replica", || {
            let Some(mut client) = self.client() else { return false };
            let known = client.get("SENTINEL MASTERS");
            known.array().iter().any(|one| one.field("num-slaves").text() == replicas)
        });
    }
}

fn a_failover_is_followed(binary: &ServerBinary) {
    let mut primary = Server::start(binary);
    let mut client = primary.client();
    client.int("INV.SET popup sku-1 10");
    let replica = primary.replica(binary);
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for("1");
    // The first sentinel that is named is away.
    let url = format!("redis-sentinel://127.0.0.1:1,127.0.0.1:{}/shop", sentinel.port);
    let watcher = watch(binary, &["--url", &url], &[]);
    watcher.wait_for("the store is found", "popup", |_| true);
    assert_eq!(server_of(&watcher)["url"], url);
    replay(binary, "retail", &["--url", &url], &[]);
    primary.kill9();
    // The sentinel closes connections when it promotes the replica.
    wait_until(DEADLINE, "the replica is promoted", || {
        let mut client = sentinel.client().expect("the sentinel");
        let primary = client.get("SENTINEL GET-MASTER-ADDR-BY-NAME shop");
        primary.texts().get(1) == Some(&replica.port().to_string())
    });
    let promoted = Instant::now();
    let mut client = replica.client();
    client.ok("CONFIG SET holdfast.sample-ms 100");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    watcher.wait_for("the new primary is watched", "popup", |line| line["metrics"]["placed"] == 1);
    assert!(promoted.elapsed() < FOLLOWED, "it took {:?}", promoted.elapsed());
    assert_eq!(server_of(&watcher)["role"], "master");
    assert_eq!(watcher.json("/api/stores/popup")["info"]["placed"], 1);
}

/// As docs/running/upgrades.md says, in the middle of a sale: its books are right in the end.
fn a_planned_failover_loses_nothing(binary: &ServerBinary) {
    let primary = Server::start(binary);
    let replica = primary.replica(binary);
    let sentinel = Sentinel::of(binary, &primary);
    sentinel.wait_for("1");
    let url = format!("redis-sentinel://127.0.0.1:{}/shop", sentinel.port);
    let arguments = ["sale", "--url", &url, "--duration", "12", "--units", "400", "--watch", "off"];
    let sale = console::start(binary, &arguments, &std::env::temp_dir());
    let mut old = primary.client();
    let completed = |client: &mut Client| {
        let is_there = client.int("EXISTS popup") == 1;
        if is_there { client.get("STORE.INFO popup").field("completed").int() } else { 0 }
    };
    wait_until(DEADLINE, "the sale goes on", || completed(&mut old) > 40);
    // For longer than the sentinels take to make it a replica.
    old.ok(format!("CLIENT PAUSE {} WRITE", 2 * DEADLINE.as_millis()));
    let sold = completed(&mut old);
    wait_until(DEADLINE, "the replica has everything", || {
        let offset = |server: &Server| server.client().info("replication", "master_repl_offset");
        offset(&replica) == offset(&primary)
    });
    sentinel.client().expect("the sentinel").ok("SENTINEL FAILOVER shop");
    // The sentinel closes connections when it promotes the replica.
    let is_promoted = || replica.client().try_call("ROLE").is_ok_and(|role| role.array()[0].text() == "master");
    wait_until(DEADLINE, "the replica is promoted", is_promoted);
    wait_until(FOLLOWED, "the sale goes on there", || completed(&mut replica.client()) > sold);
    sale.wait().assert_success();
}

/// Two nodes with half of the slots each, and the name of a store on each.
fn cluster_of_two(binary: &ServerBinary) -> ([Server; 2], [String; 2]) {
    let nodes = [Server::cluster_node(binary), Server::cluster_node(binary)];
    let mut clients = [nodes[0].client(), nodes[1].client()];
    clients[0].ok("CLUSTER ADDSLOTSRANGE 0 8191");
    clients[1].ok("CLUSTER ADDSLOTSRANGE 8192 16383");
    clients[0].ok(format!("CLUSTER MEET 127.0.0.1 {} {}", nodes[1].port(), nodes[1].bus_port()));
    wait_until(DEADLINE, "both know it", || {
        clients.iter_mut().all(|client| {
            let nodes = client.text("CLUSTER NODES");
            nodes.contains("0-8191") && nodes.contains("8192-16383") && client.text("CLUSTER INFO").contains("state:ok")
        })
    });
    let mut names = (0..).map(|number| format!("shop-{number}"));
    let mut store_of = |node: i64| {
        let is_here = |name: &String| clients[0].int(format!("CLUSTER KEYSLOT {name}")) / 8_192 == node;
        names.find(is_here).expect("a name")
    };
    let stores = [store_of(0), store_of(1)];
    for (client, store) in clients.iter_mut().zip(&stores) {
        client.int(format!("INV.SET {store} sku-1 10"));
    }
    (nodes, stores)
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
