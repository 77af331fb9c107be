//! Images and logs of every version: a day of a shop ([`crate::modes`]) as each version wrote it, loaded on every
//! server of the matrix.
//!
//! `tests/data/logs` has, for version 1, 2 and 3 of the image, an append-only file that begins with a snapshot
//! (`…-snapshot`) and one that begins with commands (`…-commands`); both were rewritten at noon, so that the first part
//! has half of the day and the second, as commands, the rest. `tests/data/version-3.rdb` is the whole day in a snapshot
//! (versions 1 and 2 have theirs in [`crate::versions`]).
//!
//! They were written by Redis 7.0.15: `HOLDFAST_WRITE_FIXTURES=<version> HOLDFAST_MODULE=<module of that version>
//! cargo test --test suite -- redis-7.0.15::fixtures`. After a change of the image's version, add files of the new one,
//! and leave the old ones where they are.

use crate::common::{Server, ServerBinary, assert_books_balance, rewrite_log, tests};
use crate::modes::{DAY_OF_0_1, DAY_OF_0_2, assert_is, live, plain};
use std::fs;
use std::path::{Path, PathBuf};

tests![
    logs_of_version_1_that_begin_with_a_snapshot,
    logs_of_version_1_that_begin_with_commands,
    logs_of_version_2_that_begin_with_a_snapshot,
    logs_of_version_2_that_begin_with_commands,
    logs_of_version_3_that_begin_with_a_snapshot,
    logs_of_version_3_that_begin_with_commands,
    a_snapshot_of_version_3,
];

/// The folder of a log, in the folder of a server.
const LOG: &str = "appendonlydir";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// What a shop did in a version: until noon, and after it.
fn day_of(version: u32) -> (Vec<&'static str>, Vec<&'static str>) {
    if version >= 3 {
        return (DAY_OF_0_1.to_vec(), DAY_OF_0_2.to_vec());
    }
    let (morning, evening) = DAY_OF_0_1.split_at(DAY_OF_0_1.len() / 2);
    (morning.to_vec(), evening.to_vec())
}

/// Whether the files of this version are to be written, by this module.
fn is_to_be_written(version: u32) -> bool {
    std::env::var("HOLDFAST_WRITE_FIXTURES").is_ok_and(|wanted| wanted == version.to_string())
}

fn logs_of_version_1_that_begin_with_a_snapshot(binary: &ServerBinary) {
    log(binary, 1, "snapshot");
}

fn logs_of_version_1_that_begin_with_commands(binary: &ServerBinary) {
    log(binary, 1, "commands");
}

fn logs_of_version_2_that_begin_with_a_snapshot(binary: &ServerBinary) {
    log(binary, 2, "snapshot");
}

fn logs_of_version_2_that_begin_with_commands(binary: &ServerBinary) {
    log(binary, 2, "commands");
}

fn logs_of_version_3_that_begin_with_a_snapshot(binary: &ServerBinary) {
    log(binary, 3, "snapshot");
}

fn logs_of_version_3_that_begin_with_commands(binary: &ServerBinary) {
    log(binary, 3, "commands");
}

fn log(binary: &ServerBinary, version: u32, begin: &str) {
    let preamble = format!("aof-use-rdb-preamble {}", if begin == "snapshot" { "yes" } else { "no" });
    let config = ["appendonly yes", "appendfsync always", "holdfast.sample-ms 0", &preamble];
    let (morning, evening) = day_of(version);
    let files = data().join("logs").join(format!("version-{version}-{begin}"));
    if is_to_be_written(version) {
        let server = Server::with(binary, &config);
        let mut client = server.client();
        live(&mut client, "popup", &morning);
        client.int("LOCK.ACQUIRE doc owner-1 900000000");
        rewrite_log(&mut client);
        live(&mut client, "popup", &evening);
        copy_files(&server.dir().join(LOG), &files);
        return;
    }
    let wanted = plain(binary, &[&morning, &evening]);
    // A replica whose primary cannot be reached acts on no deadline that has passed since.
    let mut server = Server::with(binary, &[&config[..], &["replicaof 127.0.0.1 1"]].concat());
    server.kill9();
    copy_files(&files, &server.dir().join(LOG));
    server.start_again();
    assert_eq!(server.client().get("LOCK.GET doc").field("owner").text(), "owner-1");
    goes_on(&mut server, &wanted);
}

fn copy_files(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("files of a log") {
        let path = file.expect("a file").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

fn a_snapshot_of_version_3(binary: &ServerBinary) {
    let file = data().join("version-3.rdb");
    let (morning, evening) = day_of(3);
    if is_to_be_written(3) {
        let server = Server::with(binary, &["holdfast.sample-ms 0"]);
        let mut client = server.client();
        live(&mut client, "popup", &[morning, evening].concat());
        client.ok("SAVE");
        fs::copy(server.dir().join("dump.rdb"), file).expect("the file is written");
        return;
    }
    let wanted = plain(binary, &[&morning, &evening]);
    let mut server = Server::with(binary, &["holdfast.sample-ms 0", "replicaof 127.0.0.1 1"]);
    server.kill9();
    fs::copy(file, server.dir().join("dump.rdb")).expect("the file of a version");
    server.start_again();
    goes_on(&mut server, &wanted);
}

/// What was loaded is the whole day, also after a save and a load of this version's; and it sells.
fn goes_on(server: &mut Server, wanted: &(Vec<String>, Vec<usize>)) {
    let mut client = server.client();
    assert_is(&mut client, "popup", wanted);
    let digest = client.digest();
    client.ok("DEBUG RELOAD");
    assert_eq!(client.digest(), digest, "it is saved in the new version");
    assert_is(&mut client, "popup", wanted);
    client.ok("CONFIG SET replica-read-only no");
    for (call, reply) in [
        ("INV.ADJUST popup milk -3 REASON broken REF r-1", 47),
        ("INV.COMMIT popup live REF c-1 ITEMS tea 1", 3),
        ("ORDER.RETURN popup done REF rma-1 ITEMS tea 1", 1),
    ] {
        assert_eq!(client.int(call), reply, "{call}");
    }
    assert_eq!(client.text("INV.SYNC popup erp 42 ITEMS jam 12 oats 0"), "DUPLICATE");
    client.refused("MISMATCH", "ORDER.RETURN popup done REF rma-1 ITEMS tea 2");
    assert_eq!(client.digest(), digest, "what was done before the upgrade is known");
    client.ok("REPLICAOF NO ONE");
    client.text("ORDER.PLACE popup after zoe ITEMS milk 1");
    assert_books_balance(&mut client, "popup");
}
