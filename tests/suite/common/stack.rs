//! Servers with RedisTimeSeries, RediSearch or RedisJSON loaded beside Holdfast.
//!
//! `HOLDFAST_STACK` names the folder that `make servers` fills: these modules, the `redis-server` that they were
//! released with, and the OpenSSL 1.1 that it wants. RedisTimeSeries loads in every server of the matrix as well.

use super::binary::ServerBinary;
use std::path::PathBuf;

/// The server of the matrix, and the redis-server that RedisTimeSeries was released with, each with both modules;
/// none, and a line that says so, where RedisTimeSeries could not be had.
#[track_caller]
pub fn with_timeseries(binary: &ServerBinary) -> Vec<ServerBinary> {
    let Some((dir, released_with)) = stack(binary, "RedisTimeSeries") else { return Vec::new() };
    let modules = [dir.join("redistimeseries.so")];
    [binary, &released_with].map(|server| server.with_modules(&modules, &dir)).to_vec()
}

/// The redis-server that RediSearch and RedisJSON were released with, with both beside Holdfast; none, and a line that
/// says so, where they could not be had. Other servers are too old for these, or too new.
#[track_caller]
pub fn with_search_and_json(binary: &ServerBinary) -> Option<ServerBinary> {
    let (dir, released_with) = stack(binary, "RediSearch and RedisJSON")?;
    Some(released_with.with_modules(&["redisearch.so", "rejson.so"].map(|name| dir.join(name)), &dir))
}

/// The folder with the modules, and the redis-server that they were released with.
#[track_caller]
fn stack(binary: &ServerBinary, what: &str) -> Option<(PathBuf, ServerBinary)> {
    let Some(dir) = stack_dir() else {
        eprintln!("skipped: no {what} (HOLDFAST_STACK names no folder; `make servers` fetches it)");
        return None;
    };
    match binary.other(&dir.join("redis-server"), &dir) {
        Ok(server) => Some((dir, server)),
        Err(message) => panic!("HOLDFAST_STACK: {message}"),
    }
}

fn stack_dir() -> Option<PathBuf> {
    std::env::var_os("HOLDFAST_STACK").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}
