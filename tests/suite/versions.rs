//! Files that earlier versions wrote must load in all later versions.
//!
//! `tests/data/version-1.rdb` and `version-2.rdb` have the store of [`open_full_store`] and a lock, in version 1 and 2
//! of the image, as Redis 7.0.15 wrote them. After a change of the image's version, add a file of the new one with
//! `HOLDFAST_WRITE_FIXTURE=<path> cargo test --test suite -- versions::`, run on the oldest server of the matrix, and
//! leave the old one where it is.

use crate::common::{Client, Reply, Server, ServerBinary, assert_books_balance, entries, tests};
use crate::modes::told;
use crate::persistence::open_full_store;
use std::path::Path;

tests![a_file_of_version_1_loads, a_file_of_version_2_loads, what_version_1_remembered_of_calls_and_returns_is_known,];

const VERSION_1: &str = "tests/data/version-1.rdb";
const VERSION_2: &str = "tests/data/version-2.rdb";

/// Calls with several items, with and without REF, and an order of 151 returns; nothing in it is ever forgotten.
const VERSION_1_RETURNS: &str = "tests/data/version-1-returns.rdb";

/// A replica whose primary cannot be reached: it has what is in the file, and acts on no deadline that has passed
/// since.
fn frozen(binary: &ServerBinary, file: &Path) -> Server {
    let mut server = Server::with(binary, &["replicaof 127.0.0.1 1"]);
    server.kill9();
    std::fs::copy(file, server.dir().join("dump.rdb")).expect("the file of an earlier version");
    server.start_again();
    server
}

/// Calls with a REF from before the upgrade get the same reply as then, and change nothing. A replica acts on no
/// deadlines, so that the REFs are still there.
fn knows_its_refs(old: &mut Client) {
    old.ok("CONFIG SET replica-read-only no");
    let digest = old.digest();
    for (call, reply) in [
        ("INV.ADJUST popup sku-2 -3 REASON broken REF r-1", 497),
        ("ORDER.RETURN popup o-3 REF ret-3 ITEMS sku-1 1", 1),
        ("INV.RELEASE popup h-1 REF rel-1 ITEMS sku-1 1", 3),
    ] {
        assert_eq!(old.int(call), reply, "{call}");
    }
    old.refused("MISMATCH", "ORDER.RETURN popup o-3 REF ret-3 ITEMS sku-1 2");
    assert_eq!(old.digest(), digest);
    old.ok("CONFIG SET replica-read-only yes");
}

fn a_file_of_version_1_loads(binary: &ServerBinary) {
    loads(binary, VERSION_1);
}

fn a_file_of_version_2_loads(binary: &ServerBinary) {
    loads(binary, VERSION_2);
}

/// A store that is made now and the one in the file are told apart by nothing but the day.
fn loads(binary: &ServerBinary, file: &str) {
    let fresh = Server::with(binary, &["holdfast.sample-ms 0"]);
    let mut client = fresh.client();
    open_full_store(&mut client, "popup");
    client.int("LOCK.ACQUIRE doc owner-1 3600000");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if let Some(path) = std::env::var_os("HOLDFAST_WRITE_FIXTURE") {
        client.ok("SAVE");
        std::fs::copy(fresh.dir().join("dump.rdb"), path).expect("the file is written");
    }
    let server = frozen(binary, &file);
    let mut old = server.client();
    let (found, wanted) = (told(&mut old, "popup"), told(&mut client, "popup"));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), wanted.len());
    assert_books_balance(&mut old, "popup");
    for name in ["orders", "retry", "dead", "complete", "journal"] {
        let stream = format!("{{popup}}:{name}");
        assert_eq!(entries(&mut old, &stream).len(), entries(&mut client, &stream).len(), "{stream}");
    }
    assert_eq!(old.get("LOCK.GET doc").field("owner").text(), "owner-1");
    knows_its_refs(&mut old);
    // It continues from there: everything due by now is handled, and it sells.
    old.ok("REPLICAOF NO ONE");
    old.text("ORDER.PLACE popup after c-new ITEMS sku-1 1");
    assert_books_balance(&mut old, "popup");
    assert_ne!(old.get("LOCK.ACQUIRE doc owner-1 1000"), Reply::Nil);
}

/// Version 1 remembered a call with its items as they were named, a REF without its command, and every return.
fn what_version_1_remembered_of_calls_and_returns_is_known(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["holdfast.sample-ms 0"]);
    server.kill9();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(VERSION_1_RETURNS);
    std::fs::copy(file, server.dir().join("dump.rdb")).expect("the file of an earlier version");
    server.start_again();
    let mut client = server.client();
    assert_books_balance(&mut client, "popup");
    let digest = client.digest();
    for (call, reply) in [
        ("ORDER.RETURN popup o-1 REF rma-1 ITEMS sku-2 2 sku-1 1", 3),
        ("INV.COMMIT popup h-1 REF rma-2 ITEMS sku-2 2 sku-1 1", 7),
        ("INV.COMMIT popup h-2 ITEMS sku-2 2 sku-1 1", 0),
    ] {
        assert_eq!(client.int(call), reply, "{call}");
    }
    assert_eq!(client.text("INV.SYNC popup erp 7 ITEMS sku-3 3 sku-2 900"), "DUPLICATE");
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 400 sku-2 400");
    // The file does not say which command a REF belonged to: it is refused rather than applied.
    client.refused("MISMATCH", "INV.ADJUST popup sku-1 1 REF rma-1");
    client.refused("MISMATCH", "INV.COMMIT popup h-1 REF rma-2 ITEMS sku-2 1");
    assert_eq!(client.digest(), digest);
    let order = client.get("ORDER.GET popup o-1");
    let returned = order.field("items").array().iter().map(|item| item.field("returned").int()).sum::<i64>();
    let history = order.field("history");
    let sum = history.array()[2].clone();
    assert_eq!((history.array().len(), sum.field("returns").int()), (103, 51));
    let units = history.array()[3..].iter().map(|event| event.field("units").int()).sum::<i64>();
    assert_eq!(units + sum.field("units").int(), returned);
    client.int("ORDER.RETURN popup o-1 REF rma-3 SCRAP ITEMS sku-1 1");
    let digest = client.digest();
    client.ok("SAVE");
    server.restart();
    assert_eq!(server.debug_digest(), digest, "it is saved in the new version");
}
