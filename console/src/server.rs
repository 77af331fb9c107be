//! A redis-server of one's own: free loopback port, temp directory, the module loaded, gone when it is dropped.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cleanup;

/// How long a fresh server may take until it answers PING, loading its data included.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to end on SIGTERM (it may be saving) before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks at a condition that is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// A free port can be taken by somebody else between the look and the start: so many looks.
const PORT_ATTEMPTS: u32 = 5;
/// Lines of the server's log that are shown when it does not start.
const LOG_LINES_SHOWN: usize = 20;
/// The file name of the built module.
const MODULE_FILE: &str = "libholdfast.so";
const CONFIG_FILE: &str = "redis.conf";
const LOG_FILE: &str = "redis.log";

/// Command line options every subcommand shares: which server to work on.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// Work on this server (redis://host:port) instead of starting one
    #[arg(long)]
    pub url: Option<String>,
    /// The module to load [default: libholdfast.so beside this program, or in ../lib]
    #[arg(long, value_name = "PATH", env = "HOLDFAST_MODULE")]
    pub module: Option<PathBuf>,
    /// The redis-server to start [default: the one in PATH]
    #[arg(long, value_name = "PATH", env = "REDIS_SERVER")]
    pub redis_server: Option<PathBuf>,
}

impl TargetArgs {
    /// The server to work on: `--url`, or one of our own with `config` added to its configuration.
    ///
    /// # Errors
    /// When the server, its binary or the module is missing, or when it does not start.
    pub fn open(&self, config: &[&str]) -> Result<Target> {
        match &self.url {
            Some(url) => Ok(Target::Given(url.clone())),
            None => Ok(Target::Own(Server::start(&self.server_options(config)?)?)),
        }
    }

    /// Options for a server with the module loaded and `config` added to its configuration.
    ///
    /// # Errors
    /// When the module is nowhere to be found.
    pub fn server_options(&self, config: &[&str]) -> Result<ServerOptions> {
        Ok(ServerOptions {
            redis_server: self.redis_server.clone(),
            module: Some(find_module(self.module.as_deref())?),
            config: config.iter().map(ToString::to_string).collect(),
            dir: None,
        })
    }
}

/// The server a subcommand works on.
#[derive(Debug)]
pub enum Target {
    /// Somebody else's: left as it is.
    Given(String),
    /// Our own: ends when this is dropped.
    Own(Server),
}

impl Target {
    /// Where to connect to.
    pub fn url(&self) -> &str {
        match self {
            Target::Given(url) => url,
            Target::Own(server) => server.url(),
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// When the address is none, or nobody answers there.
    pub fn connect(&self) -> Result<redis::Connection> {
        let url = self.url();
        let client = redis::Client::open(url)
            .with_context(|| format!("'{url}' is no address of a server: wanted redis://host:port"))?;
        client.get_connection().with_context(|| format!("connecting to {url}"))
    }

    /// The server, when it is our own.
    pub fn own(&self) -> Option<&Server> {
        match self {
            Target::Given(_) => None,
            Target::Own(server) => Some(server),
        }
    }
}

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The binary; `None` takes `redis-server` from PATH.
    pub redis_server: Option<PathBuf>,
    /// The module to load; `None` starts a bare server.
    pub module: Option<PathBuf>,
    /// Lines added at the end of the configuration, so that they win.
    pub config: Vec<String>,
    /// A directory to work in and to leave in place; `None` makes a temp directory and removes it.
    pub dir: Option<PathBuf>,
}

/// A running server. Dropping it kills the process and removes its temp directory.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    url: String,
    port: u16,
    dir: PathBuf,
    dir_is_temp: bool,
}

impl Server {
    /// Starts a server and waits until it answers PING.
    ///
    /// # Errors
    /// When the binary is missing or the server does not get ready; the end of its log is in the error.
    pub fn start(options: &ServerOptions) -> Result<Server> {
        let mut attempt = 1;
        loop {
            let mut server = Server::spawn(options)?;
            match server.wait_ready() {
                Ok(()) => return Ok(server),
                Err(_) if attempt < PORT_ATTEMPTS && server.port_was_taken() => attempt += 1,
                Err(error) => return Err(error.context(server.log_tail())),
            }
        }
    }

    fn spawn(options: &ServerOptions) -> Result<Server> {
        let binary = options.redis_server.clone().unwrap_or_else(|| PathBuf::from("redis-server"));
        let (dir, dir_is_temp) = match &options.dir {
            Some(dir) => (dir.clone(), false),
            None => (make_temp_dir()?, true),
        };
        let port = free_port()?;
        let child = write_config(&dir, port, options).and_then(|()| spawn_process(&binary, &dir));
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                if dir_is_temp {
                    let _ = fs::remove_dir_all(&dir);
                }
                return Err(error);
            }
        };
        cleanup::register(child.id(), dir_is_temp.then(|| dir.clone()));
        Ok(Server { child: Some(child), url: format!("redis://127.0.0.1:{port}"), port, dir, dir_is_temp })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let client = redis::Client::open(self.url.as_str())?;
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            if let Some(status) = self.exited()? {
                bail!("redis-server ended before it was ready ({status})");
            }
            match ping(&client) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    bail!("redis-server was not ready after {} s: {error}", READY_DEADLINE.as_secs())
                }
                Err(_) => std::thread::sleep(POLL_INTERVAL),
            }
        }
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().context("asking after redis-server"),
            None => Ok(None),
        }
    }

    fn port_was_taken(&self) -> bool {
        fs::read_to_string(self.log_path()).is_ok_and(|log| log.contains("Address already in use"))
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        format!("redis-server did not start; the end of its log:\n{}", shown.join("\n"))
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join(LOG_FILE)
    }

    /// Where to connect to: `redis://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory with the configuration, the log and whatever the server saves.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id, 0 once stopped.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Asks the server to end (it saves first, if save points are set) and waits; kills it when it takes too long.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    #[allow(dead_code, reason = "for subcommands that start a server again on what it saved")]
    pub fn stop(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        let pid = libc::pid_t::try_from(child.id()).context("a process id that is no pid_t")?;
        // SAFETY: a system call on a child that has not been reaped, so the id is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let deadline = Instant::now() + STOP_DEADLINE;
        while child.try_wait().context("waiting for redis-server")?.is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
        }
        self.kill();
        Ok(())
    }

    /// Lets the process and its directory live on after this program.
    #[allow(dead_code, reason = "for subcommands that leave a server behind")]
    pub fn detach(mut self) -> String {
        if let Some(child) = self.child.take() {
            cleanup::forget(child.id());
        }
        self.dir_is_temp = false;
        self.url.clone()
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Forgotten before it is reaped: from then on its id may be another process's.
            cleanup::forget(child.id());
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.dir_is_temp {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn ping(client: &redis::Client) -> redis::RedisResult<()> {
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    redis::cmd("PING").query::<String>(&mut connection).map(drop)
}

fn make_temp_dir() -> Result<PathBuf> {
    let dir = tempfile::Builder::new().prefix("holdfast-").tempdir().context("making a temp directory")?;
    Ok(dir.keep())
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Settings go through a file: a path or value with blanks in it survives there, and the log names the line in error.
fn write_config(dir: &Path, port: u16, options: &ServerOptions) -> Result<()> {
    let dir_text = dir.to_str().with_context(|| format!("the directory {} is not UTF-8", dir.display()))?;
    let mut lines = vec![
        "bind 127.0.0.1".to_string(),
        format!("port {port}"),
        "daemonize no".to_string(),
        "save \"\"".to_string(),
        format!("dir \"{dir_text}\""),
        // An empty name is standard output, which goes to the log file together with what precedes the log.
        "logfile \"\"".to_string(),
    ];
    if let Some(module) = &options.module {
        let module = module.canonicalize().with_context(|| format!("no module at {}", module.display()))?;
        lines.push(format!("loadmodule \"{}\"", module.display()));
    }
    lines.extend(options.config.iter().cloned());
    let path = dir.join(CONFIG_FILE);
    fs::write(&path, lines.join("\n") + "\n").with_context(|| format!("writing {}", path.display()))
}

fn spawn_process(binary: &Path, dir: &Path) -> Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join(LOG_FILE))?;
    Command::new(binary)
        .arg(dir.join(CONFIG_FILE))
        .stdin(Stdio::null())
        // A configuration that does not parse is told here, not in the log file; send both to one place.
        .stdout(log.try_clone()?)
        .stderr(log)
        // A group of its own: Ctrl-C in the terminal is for this program, which then ends the server in order.
        .process_group(0)
        .spawn()
        .with_context(|| {
            format!("starting {} (set --redis-server, or install redis-server 7 or later)", binary.display())
        })
}

/// The module: what was asked for, else the file beside this program, else in ../lib.
///
/// # Errors
/// When there is no such file; the error lists where it looked.
pub fn find_module(wanted: Option<&Path>) -> Result<PathBuf> {
    let candidates = match wanted {
        Some(path) => vec![path.to_path_buf()],
        None => module_places()?,
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => {
            let looked: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
            bail!("no module found; looked for {} (say where with --module or HOLDFAST_MODULE)", looked.join(", "))
        }
    }
}

fn module_places() -> Result<Vec<PathBuf>> {
    let program = std::env::current_exe().context("asking for this program's own path")?;
    let beside = program.parent().unwrap_or(Path::new("."));
    Ok(vec![beside.join(MODULE_FILE), beside.join("../lib").join(MODULE_FILE)])
}
