//! The ways to a server that the program knows: sentinels, the nodes of a cluster; and its runs on them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::binary::ServerBinary;
use super::client::Client;
use super::console::{self, Running};
use super::server::Server;
use super::watcher::Watcher;
use holdfast_lab::Process;
use holdfast_lab::wait::{DEADLINE, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

/// How soon after a failover the program must be where the primary is.
pub const FOLLOWED: Duration = Duration::from_secs(5);

/// A port that nobody listened on just now. It is none that the system gives to connections, which are many while tests
/// run: what starts later finds it free.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = PORTS.end - PORTS.start;
    // Another run of the tests begins elsewhere.
    let next = || std::process::id().wrapping_mul(997).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % ports;
    let numbers = (0..ports).map(|_| (PORTS.start + next()) as u16);
    let mut free = numbers.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a free port")
}

/// Starts to watch; the server is named by the arguments.
#[track_caller]
pub fn watch(binary: &ServerBinary, arguments: &[&str], variables: &[(&str, &str)]) -> Watcher {
    let arguments = [&["watch", "--listen", "127.0.0.1:0"], arguments].concat();
    Watcher::in_line_of(console::start_with(binary, &arguments, variables))
}

/// The server, as the page's API has it.
#[track_caller]
pub fn server_of(watcher: &Watcher) -> Json {
    watcher.json("/api/stores")["server"].clone()
}

/// The days of a real shop that the tests have.
pub fn orders_file() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/online-retail-2011-04.csv");
    file.to_str().expect("a path").to_string()
}

/// Starts to replay the days of a real shop that the tests have.
#[track_caller]
pub fn start_replay(binary: &ServerBinary, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let file = orders_file();
    let arguments = [&["replay", &file], arguments].concat();
    console::start_with(binary, &arguments, variables)
}

/// Replays a day of orders into a store: the books must balance in the end.
#[track_caller]
pub fn replay(binary: &ServerBinary, store: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let day = ["--store", store, "--from", "2011-04-10", "--to", "2011-04-10"];
    start_replay(binary, &[&day[..], arguments].concat(), variables).wait().assert_success();
}

/// How many orders of a store are completed; 0 while it is not there, or cannot be asked.
pub fn completed(port: u16, store: &str) -> i64 {
    let Ok(mut client) = Client::connect(port) else { return 0 };
    match client.try_call(format!("STORE.INFO {store}")) {
        Ok(info) if !info.is_error() => info.field("completed").int(),
        _ => 0,
    }
}

/// A sentinel that watches a primary by the name `shop`.
pub struct Sentinel {
    pub port: u16,
    process: Process,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    /// One that decides alone, and soon.
    pub fn of(binary: &ServerBinary, primary: &Server) -> Sentinel {
        Sentinel::with(binary, primary, "")
    }

    /// One with more lines of configuration.
    pub fn with(binary: &ServerBinary, primary: &Server, more: &str) -> Sentinel {
        Sentinel::at(binary, primary.port(), more)
    }

    /// One whose primary is at this port.
    pub fn at(binary: &ServerBinary, primary: u16, more: &str) -> Sentinel {
        let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let path = dir.path().join("sentinel.conf");
        let config = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor shop 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n{more}\n",
            dir.path().display(),
            primary,
        );
        fs::write(&path, config).expect("its configuration");
        let mut command = Command::new(binary.path());
        command.arg(&path).arg("--sentinel").envs(binary.environment()).stdout(Stdio::null());
        let process = Process::spawn(&mut command).expect("a sentinel");
        Sentinel { port, process, _dir: dir }
    }

    /// The address that leads to its primary.
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}/shop", self.port)
    }

    pub fn client(&self) -> Option<Client> {
        Client::connect(self.port).ok()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).expect("a signal");
    }

    /// Waits until it knows the primary and this many replicas.
    #[track_caller]
    pub fn wait_for(&self, replicas: &str) {
        wait_until(DEADLINE, "the sentinel knows the replicas", || {
            let Some(mut client) = self.client() else { return false };
            let known = client.get("SENTINEL MASTERS");
            known.array().iter().any(|one| one.field("num-slaves").text() == replicas)
        });
    }

    /// Waits until this server is the primary it names.
    #[track_caller]
    pub fn wait_for_primary(&self, server: &Server) {
        // Soon after its start, or after a failover.
        wait_until(DEADLINE, "the sentinel names the primary", || {
            let Some(mut client) = self.client() else { return false };
            let primary = client.try_call("SENTINEL GET-MASTER-ADDR-BY-NAME shop");
            primary.is_ok_and(|primary| primary.texts().get(1) == Some(&server.port().to_string()))
        });
    }

    /// Asks it for a failover.
    #[track_caller]
    pub fn fail_over(&self) {
        // It has heard of the replica, and may not have asked it yet.
        wait_until(DEADLINE, "a replica is good enough", || {
            let reply = self.client().expect("the sentinel").call("SENTINEL FAILOVER shop");
            assert!(!reply.is_error() || reply.code() == "NOGOODSLAVE", "{reply:?}");
            !reply.is_error()
        });
    }
}

/// Lets nobody write to a primary any more, and waits until its replicas have all that it acknowledged.
#[track_caller]
pub fn pause_writes(primary: &Server, replicas: &[&Server]) {
    // For longer than the sentinels take to make it a replica.
    primary.client().ok(format!("CLIENT PAUSE {} WRITE", 3 * DEADLINE.as_millis()));
    wait_until(DEADLINE, "the replicas have everything", || {
        let offset = |server: &Server| server.client().info("replication", "master_repl_offset");
        replicas.iter().all(|replica| offset(replica) == offset(primary))
    });
}

/// Waits until a server says that it is a primary.
#[track_caller]
pub fn wait_for_promotion(server: &Server) {
    // The sentinel closes connections when it promotes a replica.
    wait_until(DEADLINE, "the replica is promoted", || {
        server.client().try_call("ROLE").is_ok_and(|role| role.array()[0].text() == "master")
    });
}

/// Two nodes with half of the slots each, and the name of a store on each.
#[track_caller]
pub fn cluster_of_two(binary: &ServerBinary) -> ([Server; 2], [String; 2]) {
    let nodes = [Server::cluster_node(binary), Server::cluster_node(binary)];
    join(&nodes, nodes[1].port());
    let names = names_of(&nodes[0]);
    for (node, store) in nodes.iter().zip(&names) {
        node.client().int(format!("INV.SET {store} sku-1 10"));
    }
    (nodes, names)
}

/// Gives each of two nodes half of the slots, and makes them a cluster; at this port the second one is met.
#[track_caller]
pub fn join(nodes: &[Server; 2], port: u16) {
    let mut clients = [nodes[0].client(), nodes[1].client()];
    clients[0].ok("CLUSTER ADDSLOTSRANGE 0 8191");
    clients[1].ok("CLUSTER ADDSLOTSRANGE 8192 16383");
    clients[0].ok(format!("CLUSTER MEET 127.0.0.1 {port} {}", nodes[1].bus_port()));
    wait_until(DEADLINE, "both know it", || {
        clients.iter_mut().all(|client| {
            let nodes = client.text("CLUSTER NODES");
            nodes.contains("0-8191") && nodes.contains("8192-16383") && client.text("CLUSTER INFO").contains("state:ok")
        })
    });
}

/// A name with a slot in the lower half, and one in the upper.
pub fn names_of(node: &Server) -> [String; 2] {
    let mut client = node.client();
    let mut names = (0..).map(|number| format!("shop-{number}"));
    [0, 1].map(|half: i64| {
        let is_there = |name: &String| client.int(format!("CLUSTER KEYSLOT {name}")) / 8_192 == half;
        names.find(is_there).expect("a name")
    })
}
