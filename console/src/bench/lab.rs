//! A server to measure: our own, so that its process can be watched and its state thrown away.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::Connection;

use super::Aof;
use super::cputime::CpuTime;
use super::probe::PingProbe;
use super::realtime;
use super::wire::Wire;
use super::workload::{self, Case};
use crate::server::{Server, ServerOptions, TargetArgs};

/// How long the server may take until a condition holds that is waited for.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at such a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Which server to start for a measurement.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The server's binary and the module.
    pub target: TargetArgs,
    /// Whether the server keeps an append-only file.
    pub aof: Aof,
    /// Whether the server and whoever probes it run with real-time priority.
    pub realtime: bool,
}

impl LabOptions {
    fn aof_config(&self) -> &'static [&'static str] {
        // No rewrite in between: the fork would be charged to whatever happens to run.
        match self.aof {
            Aof::No => &[],
            Aof::Everysec => &["appendonly yes", "appendfsync everysec", "auto-aof-rewrite-percentage 0"],
            Aof::Always => &["appendonly yes", "appendfsync always", "auto-aof-rewrite-percentage 0"],
        }
    }

    /// Options for a server, with `config` added to its configuration.
    ///
    /// # Errors
    /// When the module is wanted and not found.
    fn server_options(&self, with_module: bool, config: &[&str]) -> Result<ServerOptions> {
        let mut lines = config.to_vec();
        lines.extend(self.aof_config());
        if with_module {
            return self.target.server_options(&lines);
        }
        Ok(ServerOptions {
            redis_server: self.target.redis_server.clone(),
            module: None,
            config: lines.iter().map(ToString::to_string).collect(),
            dir: None,
        })
    }
}

/// A running server with a control connection.
#[allow(missing_debug_implementations, reason = "redis::Connection has none")]
pub struct Lab {
    /// The server's process.
    pub server: Server,
    /// For everything but the load itself.
    pub control: Connection,
    /// The SHA1 of the script that is compared with.
    pub script_sha: String,
    realtime: bool,
}

impl Lab {
    /// Starts a server, with the module where `cases` hold a command of it.
    ///
    /// # Errors
    /// When the server does not start.
    pub fn start(options: &LabOptions, cases: &[Case], config: &[&str]) -> Result<Lab> {
        let with_module = cases.iter().any(|case| case.needs_module());
        let server = Server::start(&options.server_options(with_module, config)?)?;
        if options.realtime {
            realtime::favour(server.pid())?;
        }
        Lab::on(server, options.realtime)
    }

    fn on(server: Server, realtime: bool) -> Result<Lab> {
        let client = redis::Client::open(server.url())?;
        let mut control = client.get_connection().context("connecting to the server under test")?;
        let script_sha = workload::load_script(&mut control).context("loading the script")?;
        Ok(Lab { server, control, script_sha, realtime })
    }

    /// A connection to send load over.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn wire(&self) -> Result<Wire> {
        Wire::connect(self.server.port())
    }

    /// Whether the server runs with real-time priority, and whoever waits for it is to do so too.
    pub fn realtime(&self) -> bool {
        self.realtime
    }

    /// Starts to probe the server with PING.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn probe(&self) -> Result<PingProbe> {
        Ok(PingProbe::start(self.wire()?, self.realtime))
    }

    /// The CPU time used so far, read when the server has nothing to do.
    ///
    /// # Errors
    /// When the process is gone or does not get idle.
    pub fn cpu(&self) -> Result<CpuTime> {
        CpuTime::when_idle(self.server.pid())
    }

    /// The CPU time used so far, read at once.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_now(&self) -> Result<CpuTime> {
        CpuTime::now(self.server.pid())
    }

    /// Runs commands `numbers` of `case` in pipelines of `depth`, made as they are sent.
    ///
    /// # Errors
    /// When the server answers one with an error.
    pub fn fill(&self, case: Case, numbers: std::ops::Range<u64>, depth: u64) -> Result<()> {
        let mut wire = self.wire()?;
        let mut batch = Vec::new();
        let mut next = numbers.start;
        while next < numbers.end {
            let count = depth.min(numbers.end - next);
            batch.clear();
            (next..next + count).for_each(|n| case.encode(n, &self.script_sha, &mut batch));
            wire.exchange(&batch, count).with_context(|| format!("{} number {next}", case.label()))?;
            next += count;
        }
        Ok(())
    }

    /// One section of INFO as field and value.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn info(&mut self, section: &str) -> Result<HashMap<String, String>> {
        let text: String = redis::cmd("INFO").arg(section).query(&mut self.control)?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields.map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    /// One number of a section of INFO.
    ///
    /// # Errors
    /// When there is no such field or it is no number.
    pub fn info_number(&mut self, section: &str, field: &str) -> Result<u64> {
        let fields = self.info(section)?;
        let value = fields.get(field).with_context(|| format!("INFO {section} has no {field}"))?;
        value.parse().with_context(|| format!("INFO {section}: {field} is {value:?}"))
    }

    /// Bytes the server's data takes, once the connections that sent it are gone with their buffers.
    ///
    /// # Errors
    /// When they do not go.
    pub fn settled_memory_bytes(&mut self) -> Result<u64> {
        let deadline = Instant::now() + SETTLE_DEADLINE;
        while self.info_number("clients", "connected_clients")? > 1
            || self.info_number("memory", "lazyfree_pending_objects")? > 0
        {
            if Instant::now() > deadline {
                bail!("the server still had other clients after {} s", SETTLE_DEADLINE.as_secs());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        self.info_number("memory", "used_memory")
    }

    /// What MEMORY USAGE says of `key`, all of it counted and nothing sampled; 0 where there is no such key.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn memory_usage_bytes(&mut self, key: &str) -> Result<u64> {
        let bytes: Option<u64> =
            redis::cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0).query(&mut self.control)?;
        Ok(bytes.unwrap_or(0))
    }

    /// The server's version, allocator and persistence, the machine's cores and kernel.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn conditions(&mut self) -> Result<String> {
        let server = self.info("server")?;
        let memory = self.info("memory")?;
        let appendfsync: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("appendfsync").query(&mut self.control)?;
        let aof = self.info_number("persistence", "aof_enabled")? == 1;
        let field = |section: &HashMap<String, String>, name: &str| section.get(name).cloned().unwrap_or_default();
        Ok(format!(
            "redis-server {}, {}, {}{}; {}, {} cores, {}",
            field(&server, "redis_version"),
            field(&memory, "mem_allocator"),
            if aof { format!("AOF {}", appendfsync.join(" ")) } else { "no persistence".to_string() },
            if self.realtime { ", real-time priority" } else { "" },
            cpu_model(),
            std::thread::available_parallelism().map_or(0, usize::from),
            field(&server, "os"),
        ))
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown CPU".to_string(), |(_, name)| name.to_string())
}
