//! The server that a subcommand works on: one that is given, or one of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use holdfast_lab::{Options, Server};

use crate::connect::{ConnectArgs, Way};

const MODULE_FILE: &str = "libholdfast.so";

/// Which server a subcommand works on.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TargetArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    pub own: OwnArgs,
}

/// How a subcommand starts a server of its own.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct OwnArgs {
    /// The module to load [default: libholdfast.so next to this program, or in ../lib]
    #[arg(long, value_name = "PATH", env = "HOLDFAST_MODULE")]
    module: Option<PathBuf>,
    /// The redis-server to start [default: the one in PATH]
    #[arg(long, value_name = "PATH", env = "REDIS_SERVER")]
    redis_server: Option<PathBuf>,
}

impl TargetArgs {
    /// The server to work on: the one that is named, or one of our own with `config` added to its configuration.
    /// Fails when the server, its binary or the module is missing, or when it does not start.
    pub fn open(&self, config: &[&str]) -> Result<Target> {
        if let Some(way) = self.connect.way(None)? {
            return Ok(Target { way: Arc::new(way), own: None });
        }
        let server = self.own.start(true, config)?;
        Ok(Target { way: Arc::new(Way::to(&server.url())?), own: Some(server) })
    }
}

impl OwnArgs {
    /// Starts a server with `config` added to its configuration. Fails when a file is missing, or it does not start.
    pub fn start(&self, with_module: bool, config: &[&str]) -> Result<Server> {
        Server::start(&self.options(with_module, config)?)
    }

    /// How to start such a server. Fails when the module is missing.
    pub fn options(&self, with_module: bool, config: &[&str]) -> Result<Options> {
        let modules = if with_module { vec![self.find_module()?] } else { Vec::new() };
        Ok(Options { program: self.redis_server.clone(), modules, ..Options::default() }.with(config))
    }

    /// The module: what was asked for, else the file next to this program, else in ../lib.
    pub fn find_module(&self) -> Result<PathBuf> {
        let candidates = match &self.module {
            Some(module) => vec![module.clone()],
            None => {
                let program = std::env::current_exe().context("asking for this program's own path")?;
                let folder = program.parent().unwrap_or(Path::new("."));
                vec![folder.join(MODULE_FILE), folder.join("../lib").join(MODULE_FILE)]
            }
        };
        if let Some(found) = candidates.iter().find(|path| path.is_file()) {
            return Ok(found.clone());
        }
        let looked: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        bail!("no module found; looked for {} (say where with --module or HOLDFAST_MODULE)", looked.join(", "))
    }
}

/// The server a subcommand works on.
#[derive(Debug)]
pub struct Target {
    pub way: Arc<Way>,
    /// The server, when it is our own: it ends when this is dropped.
    pub own: Option<Server>,
}

/// Connects to a server of our own. Fails when the address is invalid, or nobody answers there.
pub fn connect(url: &str) -> Result<redis::Connection> {
    let client = redis::Client::open(url)
        .with_context(|| format!("the address of a server must be redis://host:port, got '{url}'"))?;
    client.get_connection().with_context(|| format!("connecting to {url}"))
}
