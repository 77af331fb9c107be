//! Servers with RedisTimeSeries loaded beside Holdfast.
//!
//! `HOLDFAST_STACK` names the folder that `make servers` fills: `redistimeseries.so`, the `redis-server` that it was
//! released with, and the OpenSSL 1.1 that both want. The module loads in every server of the matrix as well.

use super::binary::ServerBinary;
use std::path::PathBuf;

/// The server of the matrix, and the redis-server that RedisTimeSeries was released with, each with both modules;
/// none, and a line that says so, where RedisTimeSeries could not be had.
#[track_caller]
pub fn with_timeseries(binary: &ServerBinary) -> Vec<ServerBinary> {
    let Some(dir) = stack_dir() else {
        eprintln!("skipped: no RedisTimeSeries (HOLDFAST_STACK names no folder; `make servers` fetches it)");
        return Vec::new();
    };
    let module = dir.join("redistimeseries.so");
    let released_with = match binary.other(&dir.join("redis-server"), &dir) {
        Ok(server) => server,
        Err(message) => panic!("HOLDFAST_STACK: {message}"),
    };
    [binary, &released_with].map(|server| server.with_module(&module, &dir)).to_vec()
}

fn stack_dir() -> Option<PathBuf> {
    std::env::var_os("HOLDFAST_STACK").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}
