//! A server of one's own: port, folder and process, gone with the value.

use super::binary::ServerBinary;
use super::cleanup;
use super::client::Client;
use super::resp::Reply;
use super::wait::{DEADLINE, wait_until};
use super::wall_clock::WallClock;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often a start is tried again when another program took the port between choosing and using it.
const START_TRIES: u32 = 5;

/// Lines of a server's log that a failed start shows.
const LOG_LINES: usize = 40;

/// What every server of the suite has in common. Later lines win, so a test's own come after. A diskless sync would let
/// a new replica wait for its first second to be over before it gets any command.
const CONFIG: &str = "\
bind 127.0.0.1
daemonize no
logfile server.log
save \"\"
appendonly no
enable-debug-command yes
repl-diskless-sync no
";

/// The setting that says how often samples are taken.
const SAMPLE_MS: &str = "holdfast.sample-ms";

/// A running server with its modules loaded. It ends when the value is dropped; one that ended by itself before that
/// (a crash) fails the test.
pub struct Server {
    program: PathBuf,
    modules: Vec<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
    port: u16,
    /// The port that nodes of a cluster talk to each other on.
    bus_port: u16,
    dir: TempDir,
    child: Option<Child>,
}

/// A port that nobody listened on just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Server {
    /// Starts a plain server.
    #[track_caller]
    pub fn start(binary: &ServerBinary) -> Server {
        Server::with(binary, &[])
    }

    /// Starts a server with more lines of configuration.
    #[track_caller]
    pub fn with(binary: &ServerBinary, config: &[&str]) -> Server {
        Server::start_in(binary, config, &[])
    }

    /// Starts a server with a wall clock of its own.
    #[track_caller]
    pub fn with_clock(binary: &ServerBinary, config: &[&str], clock: &WallClock) -> Server {
        Server::start_in(binary, config, &clock.environment())
    }

    #[track_caller]
    fn start_in(binary: &ServerBinary, config: &[&str], environment: &[(&'static str, PathBuf)]) -> Server {
        let mut last = String::new();
        for _ in 0..START_TRIES {
            match Server::try_start(binary, config, environment) {
                Ok(server) => return server,
                Err(log) if log.contains("Address already in use") => last = log,
                Err(log) => panic!("{} did not start:\n{log}", binary.label()),
            }
        }
        panic!("{} found no port in {START_TRIES} tries:\n{last}", binary.label());
    }

    /// Starts a node of a cluster, in which every slot is its own.
    #[track_caller]
    pub fn cluster(binary: &ServerBinary) -> Server {
        let server = Server::cluster_node(binary);
        server.client().ok("CLUSTER ADDSLOTSRANGE 0 16383");
        server.wait_for_cluster();
        server
    }

    /// Starts a node of a cluster without slots.
    #[track_caller]
    pub fn cluster_node(binary: &ServerBinary) -> Server {
        // A node that gives its last slot away stays a master: tests move slots there and back.
        let stays = "cluster-allow-replica-migration no";
        Server::with(binary, &["cluster-enabled yes", "cluster-node-timeout 5000", stays])
    }

    /// Waits until the node sees a cluster that is up.
    #[track_caller]
    pub fn wait_for_cluster(&self) {
        let mut client = self.client();
        wait_until(DEADLINE, "the cluster is up", || client.text("CLUSTER INFO").contains("cluster_state:ok"));
    }

    /// Starts a replica of this server, and waits for its link. Once promoted it takes no samples of its own: what it has
    /// is compared with what its primary had.
    #[track_caller]
    pub fn replica(&self, binary: &ServerBinary) -> Server {
        let replica = Server::with(binary, &[&format!("replicaof 127.0.0.1 {}", self.port), &format!("{SAMPLE_MS} 0")]);
        replica.wait_for_link();
        let online = format!("port={},state=online", replica.port);
        let mut client = self.client();
        wait_until(DEADLINE, "the replica is online", || client.text("INFO replication").contains(&online));
        replica
    }

    /// Waits until this replica's link to its primary is up.
    #[track_caller]
    pub fn wait_for_link(&self) {
        let mut client = self.client();
        wait_until(DEADLINE, "the replica's link is up", || {
            client.text("INFO replication").contains("master_link_status:up")
        });
    }

    fn try_start(
        binary: &ServerBinary,
        config: &[&str],
        environment: &[(&'static str, PathBuf)],
    ) -> Result<Server, String> {
        let dir = tempfile::tempdir_in(cleanup::run_dir()).expect("a folder for the server");
        let mut server = Server {
            program: binary.path().to_owned(),
            modules: binary.modules(),
            environment: binary.environment().into_iter().chain(environment.iter().cloned()).collect(),
            port: free_port(),
            bus_port: free_port(),
            dir,
            child: None,
        };
        server.write_config(config);
        server.launch()?;
        Ok(server)
    }

    fn write_config(&self, config: &[&str]) {
        let load: String = self.modules.iter().map(|module| format!("loadmodule {}\n", module.display())).collect();
        let text = format!(
            "{CONFIG}port {}\ncluster-port {}\ndir {}\n{load}{}\n",
            self.port,
            self.bus_port,
            self.dir.path().display(),
            config.join("\n")
        );
        std::fs::write(self.dir.path().join("server.conf"), text).expect("configuration written");
    }

    /// Starts the process and waits until it answers; its log when it does not.
    fn launch(&mut self) -> Result<(), String> {
        // A panic in the module is told on stderr.
        let stderr = File::options().create(true).append(true).open(self.dir.path().join("server.err"));
        let child = Command::new(&self.program)
            .arg(self.dir.path().join("server.conf"))
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.expect("a file for stderr"))
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        cleanup::started(child.id());
        self.child = Some(child);
        let start = Instant::now();
        while !self.answers() {
            if self.has_ended() || start.elapsed() > DEADLINE {
                self.kill9();
                return Err(self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let pong = |mut client: Client| client.try_call("PING");
        matches!(Client::connect(self.port).and_then(pong), Ok(Reply::Status(text)) if text == b"PONG")
    }

    fn has_ended(&mut self) -> bool {
        let ended = |child: &mut Child| child.try_wait().expect("the process is ours").is_some();
        self.child.as_mut().is_none_or(ended)
    }

    /// Kills the process, as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that ended by itself cannot be killed, and need not be.
            let _ = child.kill();
            child.wait().expect("the process ends");
            cleanup::ended(child.id());
        }
    }

    /// Starts the process anew on the port and the files it had, after [`Server::kill9`] or [`Server::shutdown`]. Unless
    /// its configuration says how often, it takes no samples any more: what it has is compared with what there was.
    #[track_caller]
    pub fn start_again(&mut self) {
        let config = self.dir.path().join("server.conf");
        let lines = std::fs::read_to_string(&config).expect("its configuration");
        if !lines.contains(SAMPLE_MS) {
            std::fs::write(&config, format!("{lines}{SAMPLE_MS} 0\n")).expect("configuration written");
        }
        let start = Instant::now();
        while let Err(log) = self.launch() {
            let taken = log.contains("Address already in use") && start.elapsed() < DEADLINE;
            assert!(taken, "did not start again:\n{log}");
        }
    }

    /// Ends the server in good order; what is persistent is on the disk.
    #[track_caller]
    pub fn shutdown(&mut self) {
        let mut client = self.client();
        client.send("SHUTDOWN").expect("SHUTDOWN sent");
        match client.receive() {
            Ok(reply) => panic!("SHUTDOWN: {reply:?}"),
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "SHUTDOWN hangs"),
        }
        let mut child = self.child.take().expect("a running server");
        let status = child.wait().expect("the process ends");
        cleanup::ended(child.id());
        assert!(status.success(), "SHUTDOWN ended with {status}:\n{}", self.log_tail());
    }

    /// SHUTDOWN and a new start.
    #[track_caller]
    pub fn restart(&mut self) {
        self.shutdown();
        self.start_again();
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        match Client::connect(self.port) {
            Ok(client) => client,
            Err(error) => panic!("port {}: {error}\n{}", self.port, self.log_tail()),
        }
    }

    /// DEBUG DIGEST over a new connection.
    #[track_caller]
    pub fn debug_digest(&self) -> String {
        self.client().digest()
    }

    /// The port on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port that nodes of a cluster talk to each other on.
    pub fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// The process id.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.child.as_ref().expect("a running server").id() as i32
    }

    /// The folder with its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What was said on stderr, and the last lines of the log.
    pub fn log_tail(&self) -> String {
        let said = self.read("server.err");
        let log = self.read("server.log");
        let lines: Vec<&str> = log.lines().collect();
        format!("{said}{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
    }

    /// A file of the server's folder, or why there is none.
    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.dir.path().join(name)).unwrap_or_else(|error| error.to_string().into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let crashed = self.child.is_some() && self.has_ended();
        self.kill9();
        if crashed {
            eprintln!("server crashed:\n{}{}", self.read("server.err"), self.read("server.log"));
            assert!(std::thread::panicking(), "the server crashed");
        }
    }
}
