//! The machine and the programs on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use holdfast_lab::cleanup;
use procfs::{CpuInfo, Current, Meminfo};

use super::results::Machine;
use crate::bench::contenders::Setup;
use crate::bench::probe::{Waits, histogram};
use crate::bench::suite::terms::Durability;

const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";
const WRITES: usize = 200;
const WRITE_BYTES: usize = 4096;

/// What the figures depend on. Fails when the folder of this run cannot be written.
pub fn machine() -> Result<Machine> {
    let cpu = CpuInfo::current().ok();
    Ok(Machine {
        cpu: cpu.as_ref().and_then(|cpu| cpu.model_name(0)).unwrap_or("unknown").to_string(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: Meminfo::current()?.mem_total,
        kernel: std::fs::read_to_string(KERNEL_RELEASE)?.trim().to_string(),
        filesystem: filesystem()?,
        fsync_p50_us: fsync_p50_us().context("writing to the folder of this run")?,
        stolen_ms: 0,
    })
}

/// The type of the file system that the servers write to: of the mount with the longest path above their folder.
fn filesystem() -> Result<String> {
    let dir = cleanup::run_dir().canonicalize()?;
    let mounts = procfs::process::Process::myself()?.mountinfo()?;
    let above = mounts.0.into_iter().filter(|mount| dir.starts_with(&mount.mount_point));
    let nearest = above.max_by_key(|mount| mount.mount_point.components().count());
    Ok(nearest.map_or("unknown".into(), |mount| mount.fs_type))
}

/// How long a small write takes until it is on the disk.
fn fsync_p50_us() -> Result<u64> {
    let path = cleanup::run_dir().join("fsync");
    let mut file = File::create(&path)?;
    let mut waits = histogram();
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        waits.saturating_record(u64::try_from(start.elapsed().as_micros())?);
    }
    std::fs::remove_file(path)?;
    Ok(Waits::of(&waits).p50_us)
}

/// The version of each program that takes part. Fails when a server does not start.
pub fn versions(setup: &Setup) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::from([("holdfast".to_string(), env!("CARGO_PKG_VERSION").to_string())]);
    let server = setup.redis(Durability::None, &[])?.info("server")?;
    let name = if server.get::<String>("valkey_version").is_some() { "valkey" } else { "redis" };
    versions.insert(name.into(), server.get(&format!("{name}_version")).context("a server without a version")?);
    if let Some(postgres) = &setup.postgres {
        versions.insert("postgresql".into(), postgres.version().to_string());
    }
    if setup.node_dir.is_some() {
        versions.insert("node".into(), output("node", "--version")?.trim_start_matches('v').to_string());
        let package: serde_json::Value = serde_json::from_str(crate::bench::node::PACKAGE)?;
        for name in ["bullmq", "ioredis"] {
            versions.insert(name.into(), package["dependencies"][name].as_str().unwrap_or_default().into());
        }
    }
    Ok(versions)
}

fn output(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().with_context(|| format!("starting {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
