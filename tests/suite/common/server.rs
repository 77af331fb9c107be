//! A server of the matrix: started and ended by `holdfast-lab`, and every failure fails the test.

use super::binary::ServerBinary;
use super::client::Client;
use super::wall_clock::WallClock;
use std::path::{Path, PathBuf};

/// What every server of the suite has in common. A diskless sync would let a new replica wait for its first second to
/// be over before it gets any command.
const CONFIG: [&str; 3] = ["appendonly no", "enable-debug-command yes", "repl-diskless-sync no"];

/// The setting that says how often samples are taken.
const SAMPLE_MS: &str = "holdfast.sample-ms";

/// A running server with its modules loaded. It ends when the value is dropped; one that ended by itself before that
/// (a crash) fails the test.
pub struct Server(holdfast_lab::Server);

/// The value, or the test fails with the whole error.
#[track_caller]
fn done<T>(result: Result<T, impl std::fmt::Display>) -> T {
    result.unwrap_or_else(|error| panic!("{error:#}"))
}

fn options(binary: &ServerBinary, config: &[&str], environment: &[(&'static str, PathBuf)]) -> holdfast_lab::Options {
    let options = holdfast_lab::Options {
        program: Some(binary.path().to_owned()),
        modules: binary.modules(),
        environment: binary.environment().into_iter().chain(environment.iter().cloned()).collect(),
        ..holdfast_lab::Options::default()
    };
    options.with(&CONFIG).with(config)
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
        Server(done(holdfast_lab::Server::start(&options(binary, config, &[]))))
    }

    /// Starts a server with a wall clock of its own.
    #[track_caller]
    pub fn with_clock(binary: &ServerBinary, config: &[&str], clock: &WallClock) -> Server {
        Server(done(holdfast_lab::Server::start(&options(binary, config, &clock.environment()))))
    }

    /// Starts a Sentinel: the same program, without modules.
    #[track_caller]
    pub fn sentinel(binary: &ServerBinary, config: &[&str]) -> Server {
        let options = holdfast_lab::Options {
            program: Some(binary.path().to_owned()),
            environment: binary.environment().into_iter().collect(),
            arguments: vec!["--sentinel".to_owned()],
            ..holdfast_lab::Options::default()
        };
        Server(done(holdfast_lab::Server::start(&options.with(config))))
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
        Server::cluster_node_with(binary, &[])
    }

    /// Starts a node of a cluster without slots, with more lines of configuration.
    #[track_caller]
    pub fn cluster_node_with(binary: &ServerBinary, config: &[&str]) -> Server {
        Server(done(holdfast_lab::Server::cluster_node(&options(binary, config, &[]))))
    }

    /// Waits until the node sees a cluster that is up.
    #[track_caller]
    pub fn wait_for_cluster(&self) {
        done(self.0.wait_for_cluster());
    }

    /// Starts a replica of this server, and waits for its link. Once promoted it takes no samples of its own: what it
    /// has is compared with what its primary had.
    #[track_caller]
    pub fn replica(&self, binary: &ServerBinary) -> Server {
        let no_samples = format!("{SAMPLE_MS} 0");
        Server(done(self.0.replica(&options(binary, &[&no_samples], &[]))))
    }

    /// Waits until this replica's link to its primary is up.
    #[track_caller]
    pub fn wait_for_link(&self) {
        done(self.0.wait_for_link());
    }

    /// Kills the process, as a power cut would.
    pub fn kill9(&mut self) {
        self.0.kill();
    }

    /// Starts the process again on the ports and the files it had, after [`Server::kill9`] or [`Server::shutdown`].
    /// Unless its configuration says how often, it takes no samples any more: what it has is compared with what it had.
    #[track_caller]
    pub fn start_again(&mut self) {
        let config = self.dir().join("server.conf");
        let lines = std::fs::read_to_string(&config).expect("its configuration");
        if !lines.contains(SAMPLE_MS) {
            std::fs::write(&config, format!("{lines}{SAMPLE_MS} 0\n")).expect("configuration written");
        }
        done(self.0.start_again());
    }

    /// Ends the server in good order; what is persistent is on the disk.
    #[track_caller]
    pub fn shutdown(&mut self) {
        done(self.0.shutdown());
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
        match Client::connect(self.port()) {
            Ok(client) => client,
            Err(error) => panic!("port {}: {error}\n{}", self.port(), self.log_tail()),
        }
    }

    /// DEBUG DIGEST over a new connection.
    #[track_caller]
    pub fn debug_digest(&self) -> String {
        self.client().digest()
    }

    /// The port on the loopback.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The port that nodes of a cluster talk to each other on.
    pub fn bus_port(&self) -> u16 {
        self.0.bus_port()
    }

    /// The process id.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.0.pid().expect("a running server") as i32
    }

    /// The folder with its files.
    pub fn dir(&self) -> &Path {
        self.0.dir()
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        self.0.log_tail()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.0.has_crashed() {
            eprintln!("server crashed:\n{}", self.0.log());
            assert!(std::thread::panicking(), "the server crashed");
        }
    }
}
