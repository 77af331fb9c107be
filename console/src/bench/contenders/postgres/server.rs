//! A PostgreSQL server of our own: its data in a folder of this run, its port free, its user no root.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_lab::wait::wait_for;
use holdfast_lab::{Process, cleanup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use rand::distr::{Alphanumeric, SampleString};
use tempfile::TempDir;
use tokio_postgres::Config;

/// Where Debian's packages have the programs, the version in between; and the version that is wanted first.
const PACKAGES: &str = "/usr/lib/postgresql";
const WANTED: u32 = 15;
const USER: &str = "bench";
/// Users that PostgreSQL may run as where this program runs as root, which it refuses.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
const PASSWORD_LENGTH: usize = 24;
const READY_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Only this user may look into the folder.
const PRIVATE: u32 = 0o700;
/// Others may pass through to folders of their own.
const PASSABLE: u32 = 0o711;

/// As an expert would have it for this work, and nothing that weakens what is promised: fsync and full pages stay on.
/// Checkpoints do not fall into a round. The tables are small and hot: the planner shall use their indexes.
pub const TUNING: &[&str] = &[
    "shared_buffers = 512MB",
    "max_connections = 600",
    "wal_buffers = 64MB",
    "max_wal_size = 16GB",
    "min_wal_size = 2GB",
    "checkpoint_timeout = 1h",
    "wal_compression = on",
    "wal_init_zero = on",
    "random_page_cost = 1.1",
    "jit = off",
    "max_parallel_workers_per_gather = 0",
    "plan_cache_mode = force_generic_plan",
    "autovacuum_naptime = 1h",
    "update_process_title = off",
];

/// Not tuning: where it is, and that it says nothing of orders that are refused on purpose.
const CONFIG: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
log_min_messages = fatal
log_min_error_statement = panic
";

/// A running server. It is stopped when the value is dropped, and its folder removed.
pub struct PostgresServer {
    process: Option<Process>,
    dir: TempDir,
    port: u16,
    password: String,
    version: String,
}

impl PostgresServer {
    /// Makes a database cluster and starts it. Fails when PostgreSQL is missing or does not start.
    pub fn start() -> Result<PostgresServer> {
        let programs = find()?;
        let dir = tempfile::tempdir_in(cleanup::run_dir()).context("making a folder for PostgreSQL")?;
        let user = unprivileged_user()?;
        give(dir.path(), user.as_ref())?;
        let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH);
        initialize(&programs, dir.path(), user.as_ref(), &password)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?.local_addr()?.port();
        fs::write(dir.path().join("data/suite.conf"), format!("{CONFIG}port = {port}\n{}\n", TUNING.join("\n")))?;
        let log = fs::File::create(dir.path().join("server.log"))?;
        let mut command = as_user(programs.join("postgres"), user.as_ref());
        command.arg("-D").arg(dir.path().join("data")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0);
        let process = Process::spawn(&mut command).context("starting postgres")?;
        let mut server = PostgresServer { process: Some(process), dir, port, password, version: version(&programs)? };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        // The line that the server writes into this file when it takes connections.
        let state = self.dir.path().join("data/postmaster.pid");
        let outcome = wait_for(READY_DEADLINE, "PostgreSQL takes connections", || {
            let has_ended = self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            ensure!(!has_ended, "it ended");
            Ok(fs::read_to_string(&state).is_ok_and(|text| text.contains("\nready")).then_some(()))
        });
        outcome.with_context(|| {
            let log = fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default();
            format!("PostgreSQL did not start; its log: {}", log.trim())
        })
    }

    /// As the server says it: "15.14 (Debian 15.14-0+deb12u1)".
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("PostgreSQL has ended")?.id())
    }

    /// How to connect to it.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(USER).password(&self.password).dbname("postgres");
        config
    }
}

impl Drop for PostgresServer {
    /// Stops it in good order: killed, it would leave a segment of shared memory behind.
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let Ok(pid) = i32::try_from(process.id()) else { return };
        // SIGINT is its "fast" shutdown. One that has ended by itself is as good as stopped.
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        let _ = wait_for(STOP_DEADLINE, "PostgreSQL has stopped", || Ok(process.try_wait()?));
    }
}

/// The folder with the programs: those of the wanted version, else of the newest, else what is in PATH.
pub fn find() -> Result<PathBuf> {
    let versions = fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let version = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let packaged = versions.filter_map(version).max_by_key(|&found| (found == WANTED, found));
    let packaged = packaged.map(|version| PathBuf::from(format!("{PACKAGES}/{version}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = packaged.into_iter().chain(std::env::split_paths(&path));
    let has_both = |folder: &PathBuf| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file());
    folders.find(has_both).with_context(|| format!("no initdb and postgres in {PACKAGES}/*/bin and PATH"))
}

fn version(programs: &Path) -> Result<String> {
    let output = Command::new(programs.join("postgres")).arg("--version").output().context("starting postgres")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("postgres (PostgreSQL) ").to_string())
}

/// Whom to run as; none where that is not root anyway.
fn unprivileged_user() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = UNPRIVILEGED.iter().find_map(|name| User::from_name(name).ok().flatten());
    found.map(Some).with_context(|| format!("PostgreSQL does not run as root, and no user is named {UNPRIVILEGED:?}"))
}

/// Makes a folder the user's own, and lets the user reach it.
fn give(dir: &Path, user: Option<&User>) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    fs::set_permissions(cleanup::run_dir(), PermissionsExt::from_mode(PASSABLE))?;
    fs::set_permissions(dir, PermissionsExt::from_mode(PRIVATE))?;
    chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())).context("giving PostgreSQL its folder")
}

fn as_user(program: PathBuf, user: Option<&User>) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    // The folder this program runs in may be one that the user cannot enter.
    command.current_dir("/");
    command
}

fn initialize(programs: &Path, dir: &Path, user: Option<&User>, password: &str) -> Result<()> {
    let password_file = dir.join("password");
    fs::write(&password_file, password)?;
    fs::set_permissions(&password_file, PermissionsExt::from_mode(0o600))?;
    if let Some(user) = user {
        chown(&password_file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let mut initdb = as_user(programs.join("initdb"), user);
    initdb.arg("-D").arg(dir.join("data")).arg("--pwfile").arg(&password_file).args(["-U", USER]);
    initdb.args(["--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]).stdin(Stdio::null());
    let output = initdb.output().context("starting initdb")?;
    if !output.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let config = dir.join("data/postgresql.conf");
    let text = fs::read_to_string(&config)? + "\ninclude 'suite.conf'\n";
    fs::write(&config, text).context("configuring PostgreSQL")
}
