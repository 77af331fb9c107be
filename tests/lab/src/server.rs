//! A server of one's own: free ports, a folder, its modules loaded; ended and removed with its value.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::cleanup;
use crate::process::Process;
use crate::wait::{DEADLINE, wait_for};

/// The program that is started unless another is named.
const PROGRAM: &str = "redis-server";
/// The configuration, in a server's folder.
const CONFIG_FILE: &str = "server.conf";
/// What the server says, in its folder.
const LOG_FILE: &str = "server.log";
/// How long a server may take until it answers PING, loading its data included.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to end in good order: it may be saving.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(30);
/// How long a server may take to answer while it is looked at.
const REPLY_DEADLINE: Duration = Duration::from_secs(1);
/// Another program can take a free port before the server does: how often another port is tried.
const PORT_TRIES: u32 = 5;
/// Lines of the log that an error shows.
const LOG_LINES: usize = 40;
/// What the server logs when another program has its port.
const PORT_IS_TAKEN: &str = "Address already in use";

/// What every server has in common. Later lines win, so those of [`Options::config`] come after.
const CONFIG: &str = "\
bind 127.0.0.1
daemonize no
save \"\"
logfile \"\"
";

/// A node that gives its last slot away stays a primary: tests move slots there and back.
const CLUSTER_CONFIG: [&str; 3] =
    ["cluster-enabled yes", "cluster-node-timeout 5000", "cluster-allow-replica-migration no"];

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program; `None` takes `redis-server` from PATH.
    pub program: Option<PathBuf>,
    /// The modules to load, in order.
    pub modules: Vec<PathBuf>,
    /// Lines of configuration.
    pub config: Vec<String>,
    /// What the program is called with besides the configuration.
    pub arguments: Vec<String>,
    /// A program that starts it, with its arguments: a profiler, say. Empty: none.
    pub wrapper: Vec<String>,
    /// What is added to the environment.
    pub environment: Vec<(&'static str, PathBuf)>,
}

impl Options {
    /// These, with more lines of configuration.
    pub fn with(mut self, config: &[&str]) -> Options {
        self.config.extend(config.iter().map(ToString::to_string));
        self
    }
}

/// A running server. It is killed when the value is dropped, and its folder removed.
#[derive(Debug)]
pub struct Server {
    options: Options,
    port: u16,
    bus_port: u16,
    dir: TempDir,
    process: Option<Process>,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When the program or a module is missing, or the server does not get ready: the end of its log is in the error.
    pub fn start(options: &Options) -> Result<Server> {
        let mut tries = 0..PORT_TRIES;
        loop {
            tries.next();
            let mut server = Server::prepare(options)?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(_) if !tries.is_empty() && server.port_is_taken() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts a node of a cluster, without slots.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn cluster_node(options: &Options) -> Result<Server> {
        Server::start(&options.clone().with(&CLUSTER_CONFIG))
    }

    /// Starts a replica of this server, and waits until both see each other.
    ///
    /// # Errors
    /// As [`Server::start`], and when the link does not come up.
    pub fn replica(&self, options: &Options) -> Result<Server> {
        let replica = Server::start(&options.clone().with(&[&format!("replicaof 127.0.0.1 {}", self.port)]))?;
        replica.wait_for_link()?;
        let online = format!("port={},state=online", replica.port);
        self.wait_for("the replica is online", "INFO replication", &online)?;
        Ok(replica)
    }

    /// Waits until this replica's link to its primary is up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn wait_for_link(&self) -> Result<()> {
        self.wait_for("the replica's link is up", "INFO replication", "master_link_status:up")
    }

    /// Waits until this node sees a cluster that is up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn wait_for_cluster(&self) -> Result<()> {
        self.wait_for("the cluster is up", "CLUSTER INFO", "cluster_state:ok")
    }

    /// Waits until the reply to `command` holds `part`.
    fn wait_for(&self, what: &str, command: &str, part: &str) -> Result<()> {
        wait_for(DEADLINE, what, || match self.ask(command) {
            // A busy machine: it answers later.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            reply => Ok(reply?.contains(part).then_some(())),
        })
    }

    fn prepare(options: &Options) -> Result<Server> {
        let dir = tempfile::tempdir_in(cleanup::run_dir()).context("making a folder for a server")?;
        let options = options.clone();
        let server = Server { options, port: free_port()?, bus_port: free_port()?, dir, process: None };
        let config = server.dir().join(CONFIG_FILE);
        // Settings go through a file: a value with blanks in it survives there, and the log names the line in error.
        fs::write(&config, server.config()?).with_context(|| format!("writing {}", config.display()))?;
        Ok(server)
    }

    fn config(&self) -> Result<String> {
        let mut text = format!("{CONFIG}port {}\ncluster-port {}\n", self.port, self.bus_port);
        text += &format!("dir \"{}\"\n", self.dir().display());
        for module in &self.options.modules {
            let module = module.canonicalize().with_context(|| format!("no module at {}", module.display()))?;
            text += &format!("loadmodule \"{}\"\n", module.display());
        }
        Ok(text + &self.options.config.join("\n") + "\n")
    }

    /// Starts the process and waits until it answers.
    fn launch(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir().join(LOG_FILE))?;
        let program = self.options.program.clone().unwrap_or_else(|| PROGRAM.into());
        let mut command = match self.options.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        command.arg(self.dir().join(CONFIG_FILE)).args(&self.options.arguments);
        command.envs(self.options.environment.iter().cloned());
        // The log goes to standard output; what precedes it, and what a panic in a module says, to standard error.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C in the terminal is for this program, which then ends the server.
        command.process_group(0);
        let process = Process::spawn(&mut command).with_context(|| {
            format!("starting {} (name one with --redis-server, or install redis-server 7 or later)", program.display())
        })?;
        self.process = Some(process);
        let ready = wait_for(READY_DEADLINE, "it answers PING", || match self.has_ended() {
            true => Err(anyhow!("it ended")),
            false => Ok(self.ask("PING").is_ok_and(|reply| reply == "+PONG").then_some(())),
        });
        if let Err(error) = ready {
            self.kill();
            bail!("{} did not start: {error}; the end of its log:\n{}", program.display(), self.log_tail());
        }
        Ok(())
    }

    fn port_is_taken(&self) -> bool {
        self.log().contains(PORT_IS_TAKEN)
    }

    fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)))
    }

    /// Whether the process ended by itself.
    pub fn has_crashed(&mut self) -> bool {
        self.process.is_some() && self.has_ended()
    }

    /// Kills the process, as a power cut would. Its files stay.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends the server in good order: what is persistent is on the disk.
    ///
    /// # Errors
    /// When it refuses, takes too long or ends with an error.
    pub fn shutdown(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        if let Ok(reply) = self.ask("SHUTDOWN") {
            ensure!(reply.is_empty(), "SHUTDOWN was answered: {reply}");
        }
        let status = wait_for(SHUTDOWN_DEADLINE, "the server has shut down", || Ok(process.try_wait()?))?;
        ensure!(status.success(), "SHUTDOWN ended with {status}:\n{}", self.log_tail());
        Ok(())
    }

    /// Starts the process again on the ports and the files it had, after [`Server::kill`] or [`Server::shutdown`].
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_again(&mut self) -> Result<()> {
        wait_for(DEADLINE, "its port is free", || match self.launch() {
            Ok(()) => Ok(Some(())),
            Err(error) if error.to_string().contains(PORT_IS_TAKEN) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The reply to a command, where that is a line or a string.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` when the server is gone.
    fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(REPLY_DEADLINE))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        read_reply(&mut BufReader::new(stream))
    }

    /// Where to connect to: `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port that nodes of a cluster talk to each other on.
    pub fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// The process id, `None` once it was ended.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.id())
    }

    /// The folder with the configuration, the log and whatever the server saves.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything that the server said.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir().join(LOG_FILE)).unwrap_or_else(|error| error.to_string().into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

/// A port that nobody listened on just now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// A reply of one line as it is, or the text of a bulk string.
fn read_reply(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some(length) = line.strip_prefix('$').and_then(|length| length.parse().ok()) else {
        return Ok(line.to_string());
    };
    let mut text = String::new();
    reader.take(length).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_and_strings() {
        let read = |text: &str| read_reply(&mut text.as_bytes()).expect("a reply");
        assert_eq!(read("+PONG\r\n"), "+PONG");
        assert_eq!(read("$8\r\na:1\r\nb:2\r\n+PONG\r\n"), "a:1\r\nb:2");
        assert_eq!(read(""), "");
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        let error = |program: &str, module: Option<&str>| {
            let modules = module.map(PathBuf::from).into_iter().collect();
            let options = Options { program: Some(program.into()), modules, ..Options::default() };
            Server::start(&options.with(&["what cat shows"])).expect_err("no server").to_string()
        };
        let not_a_server = error("/bin/cat", None);
        assert!(not_a_server.contains("/bin/cat did not start"), "{not_a_server}");
        assert!(not_a_server.contains("what cat shows"), "{not_a_server}");
        assert!(error("/no/such/program", None).contains("/no/such/program"));
        assert!(error("/bin/cat", Some("/no/such/module.so")).contains("/no/such/module.so"));
        // This program ends without `cleanup::exit`.
        fs::remove_dir_all(cleanup::run_dir()).expect("the folder of this run");
    }
}
