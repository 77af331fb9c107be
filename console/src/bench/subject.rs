//! The server that is measured: one of our own, so that its process can be watched and its state thrown away.

use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use holdfast_lab::Server;
use holdfast_lab::wait::wait_for;
use procfs::{CpuInfo, Current};
use redis::{Connection, InfoDict, RedisResult, cmd};

use super::wire::{Batch, Wire};
use super::workload::{self, Case};
use crate::target::{OwnArgs, connect};

/// How long other clients may take to disconnect from the server.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);

/// The lowest real-time priority: above everything that has none, below what the system itself runs with.
const PRIORITY: &str = "1";

/// Which server to start for a measurement.
#[derive(clap::Args, Clone, Debug)]
pub struct SubjectArgs {
    #[command(flatten)]
    pub own: OwnArgs,
    /// Whether the servers keep an append-only file
    #[arg(long, value_enum, default_value = "no")]
    aof: Aof,
    /// Run the servers with real-time priority, against the noise of a busy machine (wants CAP_SYS_NICE)
    #[arg(long)]
    realtime: bool,
}

impl SubjectArgs {
    /// These, for a server without an append-only file.
    pub fn without_aof(&self) -> SubjectArgs {
        self.with_aof(Aof::No)
    }

    /// These, with another append-only file.
    pub fn with_aof(&self, aof: Aof) -> SubjectArgs {
        SubjectArgs { aof, ..self.clone() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Aof {
    /// No append-only file
    No,
    /// appendfsync everysec
    Everysec,
    /// appendfsync always
    Always,
}

impl Aof {
    fn config(self) -> &'static [&'static str] {
        // No rewrite in between: the fork would be charged to whatever happens to run.
        match self {
            Aof::No => &[],
            Aof::Everysec => &["appendonly yes", "appendfsync everysec", "auto-aof-rewrite-percentage 0"],
            Aof::Always => &["appendonly yes", "appendfsync always", "auto-aof-rewrite-percentage 0"],
        }
    }
}

/// A running server with a control connection.
pub struct Subject {
    pub server: Server,
    /// For everything but the load itself.
    pub control: Connection,
    /// The SHA1 of the script that is compared with.
    pub script_sha: String,
    pub pid: u32,
    realtime: bool,
}

impl Subject {
    /// Starts a server, with the module where `cases` hold a command of it. Fails when the server does not start.
    pub fn start(args: &SubjectArgs, cases: &[Case], config: &[&str]) -> Result<Subject> {
        let with_module = cases.iter().any(|case| case.needs_module());
        let server = args.own.start(with_module, &[config, args.aof.config()].concat())?;
        let pid = server.pid().context("the server has ended")?;
        if args.realtime {
            favour(pid)?;
        }
        let mut control = connect(&server.url())?;
        let script_sha = workload::load(&mut control, workload::SCRIPT).context("loading the script")?;
        Ok(Subject { server, control, script_sha, pid, realtime: args.realtime })
    }

    pub fn wire(&self) -> Result<Wire> {
        Wire::connect(&self.server.url())
    }

    /// Starts a thread with a connection of its own. Its error is its last report. Fails when the server is gone.
    pub fn start_worker<T: Send + 'static>(
        &self,
        work: impl FnOnce(Wire, &Sender<Result<T>>) -> Result<()> + Send + 'static,
    ) -> Result<Receiver<Result<T>>> {
        let (wire, realtime) = (self.wire()?, self.realtime);
        let (reports, received) = channel();
        std::thread::spawn(move || {
            if let Err(error) = favour_this_thread(realtime).and_then(|()| work(wire, &reports)) {
                // Nobody may listen any more: then there was another error before.
                let _ = reports.send(Err(error));
            }
        });
        Ok(received)
    }

    pub fn batches(&self, case: Case, numbers: Range<u64>, depth: u64) -> impl Iterator<Item = Batch> {
        let firsts = numbers.clone().step_by(depth as usize);
        firsts.map(move |first| {
            (first..numbers.end.min(first + depth)).map(|n| case.command(n, &self.script_sha)).collect()
        })
    }

    /// Runs commands `numbers` of `case` in pipelines of `depth`. Fails on an error reply.
    pub fn fill(&self, case: Case, numbers: Range<u64>, depth: u64) -> Result<()> {
        let mut wire = self.wire()?;
        self.batches(case, numbers, depth)
            .try_for_each(|batch| wire.exchange(&batch).map(drop))
            .with_context(|| case.to_string())
    }

    /// One section of INFO. Fails when the server is gone.
    pub fn info(&mut self, section: &str) -> RedisResult<InfoDict> {
        cmd("INFO").arg(section).query(&mut self.control)
    }

    fn info_number(&mut self, section: &str, field: &str) -> Result<u64> {
        self.info(section)?.get(field).with_context(|| format!("INFO {section} has no number {field}"))
    }

    /// Bytes the server's data takes, once the connections that sent it are gone. Fails when they stay.
    pub fn settled_memory_bytes(&mut self) -> Result<u64> {
        wait_for(SETTLE_DEADLINE, "the server has no other clients and frees nothing", || {
            let is_settled = self.info_number("clients", "connected_clients")? == 1
                && self.info_number("memory", "lazyfree_pending_objects")? == 0;
            Ok(is_settled.then_some(()))
        })?;
        self.info_number("memory", "used_memory")
    }

    /// What MEMORY USAGE says of `key`, in full; 0 where there is no such key. Fails when the server is gone.
    pub fn memory_usage_bytes(&mut self, key: &str) -> Result<u64> {
        let bytes: Option<u64> = cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0).query(&mut self.control)?;
        Ok(bytes.unwrap_or(0))
    }

    /// The server's version, allocator and persistence, the machine's cores and kernel. Fails when the server is gone.
    pub fn conditions(&mut self) -> Result<String> {
        let (server, memory) = (self.info("server")?, self.info("memory")?);
        let appendfsync: Vec<String> = cmd("CONFIG").arg("GET").arg("appendfsync").query(&mut self.control)?;
        let cpu = CpuInfo::current().ok();
        let aof = self.info_number("persistence", "aof_enabled")? == 1;
        let field = |section: &InfoDict, name: &str| section.get::<String>(name).unwrap_or_default();
        Ok(format!(
            "redis-server {}, {}, {}{}; {}, {} cores, {}",
            field(&server, "redis_version"),
            field(&memory, "mem_allocator"),
            if aof { format!("AOF {}", appendfsync.join(" ")) } else { "no persistence".to_string() },
            if self.realtime { ", real-time priority" } else { "" },
            cpu.as_ref().and_then(|cpu| cpu.model_name(0)).unwrap_or("unknown CPU"),
            std::thread::available_parallelism().map_or(0, usize::from),
            field(&server, "os"),
        ))
    }
}

/// Gives the process (or thread) `id` the scheduling policy SCHED_FIFO; threads it starts later inherit it. Fails when
/// `chrt` of util-linux is missing or the user may not (CAP_SYS_NICE).
fn favour(id: u32) -> Result<()> {
    let output = Command::new("chrt")
        .args(["--fifo", "--pid", PRIORITY, &id.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("starting chrt (of util-linux), which --realtime wants")?;
    if !output.status.success() {
        let problem = String::from_utf8_lossy(&output.stderr);
        bail!("--realtime wants root or CAP_SYS_NICE: {}", problem.trim());
    }
    Ok(())
}

/// As [`favour`], for the calling thread, where `wanted`: whoever waits for a favoured server is to be as quick. Fails
/// when `chrt` is missing, the user may not, or /proc does not know the thread's id.
fn favour_this_thread(wanted: bool) -> Result<()> {
    if !wanted {
        return Ok(());
    }
    let path = std::fs::read_link("/proc/thread-self").context("asking for this thread's id")?;
    let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    favour(id.with_context(|| format!("/proc/thread-self leads to {}", path.display()))?)
}
