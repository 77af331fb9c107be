//! Whatever a test calls: what the server replies is what `docs/commands.json` says it can.

use super::resp::Reply;
use serde_json::Value;
use std::sync::LazyLock;

/// The commands, as the reference has them for programs.
pub static COMMANDS: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("docs/commands.json")).expect("JSON")
});

/// What the server itself can refuse, whatever the command.
const OF_THE_SERVER: [&str; 14] = [
    "NOPERM",
    "NOAUTH",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
    "CLUSTERDOWN",
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "EXECABORT",
    "UNBLOCKED",
];

/// Panics if a command of the module gets a reply that the reference does not name.
#[track_caller]
pub fn check(command: &[Vec<u8>], reply: &Reply) {
    let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let about = &COMMANDS[&*String::from_utf8_lossy(&name)];
    // Within MULTI the reply comes with EXEC.
    if about.is_null() || *reply == Reply::Status(b"QUEUED".to_vec()) {
        return;
    }
    let (field, keys, found) = match reply {
        Reply::Error(_) => ("errors", &["code"][..], reply.code()),
        _ => ("replies", &["resp2", "resp3"][..], kind(reply).to_owned()),
    };
    let known = about[field].as_array().expect("a list");
    let is_known = known.iter().any(|row| keys.iter().any(|key| row[*key] == *found));
    let is_servers = reply.is_error() && OF_THE_SERVER.contains(&&*found);
    let name = String::from_utf8_lossy(&name);
    assert!(is_known || is_servers, "{name}: the reference has no {found} among its {field}: {reply:?}");
}

/// The type of a reply, as the reference calls it.
pub fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Status(_) => "simple string",
        Reply::Bulk(_) => "bulk string",
        Reply::Int(_) => "integer",
        Reply::Nil => "nil",
        Reply::Array(_) => "array",
        Reply::Map(_) => "map",
        _ => "of another type",
    }
}
