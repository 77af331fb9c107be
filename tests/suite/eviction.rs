//! Eviction policies that could delete stores: the log warns, and INFO holdfast shows it.

use crate::common::{Client, Server, ServerBinary, open_store, tests};

tests![
    a_policy_that_evicts_stores_is_warned_of_at_start,
    a_change_of_the_settings_is_seen,
    stores_without_a_ttl_are_spared
];

fn risk(client: &mut Client) -> String {
    client.info("holdfast", "holdfast_eviction_risk")
}

/// Warnings about a policy in the server's log so far.
fn warnings(server: &Server, policy: &str) -> usize {
    let log = std::fs::read_to_string(server.dir().join("server.log")).expect("the log");
    log.lines().filter(|line| line.contains(&format!("maxmemory-policy is {policy}:"))).count()
}

fn a_policy_that_evicts_stores_is_warned_of_at_start(binary: &ServerBinary) {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        for (limit, wanted) in [("0", "1"), ("1gb", "2")] {
            let lines = [&format!("maxmemory-policy {policy}")[..], &format!("maxmemory {limit}")];
            let server = Server::with(binary, &lines);
            assert_eq!(risk(&mut server.client()), wanted, "{policy} {limit}");
            assert_eq!(warnings(&server, policy), 1, "{policy} {limit}:\n{}", server.log_tail());
        }
    }
    for policy in ["noeviction", "volatile-lru", "volatile-ttl"] {
        let server = Server::with(binary, &[&format!("maxmemory-policy {policy}"), "maxmemory 1gb"]);
        assert_eq!(risk(&mut server.client()), "0", "{policy}");
        assert_eq!(warnings(&server, policy), 0, "{policy}");
    }
}

fn a_change_of_the_settings_is_seen(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    assert_eq!(risk(&mut client), "0");
    client.ok("CONFIG SET maxmemory-policy allkeys-lru");
    assert_eq!((risk(&mut client), warnings(&server, "allkeys-lru")), ("1".to_string(), 1));
    client.ok("CONFIG SET hz 20");
    assert_eq!(warnings(&server, "allkeys-lru"), 1, "another setting is nothing new");
    // The limit that was not set yet.
    client.ok("CONFIG SET maxmemory 1gb");
    assert_eq!((risk(&mut client), warnings(&server, "allkeys-lru")), ("2".to_string(), 2));
    client.ok("CONFIG SET maxmemory 2gb");
    assert_eq!(warnings(&server, "allkeys-lru"), 2, "a larger limit is nothing new");
    client.ok("CONFIG SET maxmemory-policy volatile-lru");
    assert_eq!(risk(&mut client), "0");
    // Several settings in one command, where the policy is not the first.
    client.ok("CONFIG SET hz 10 maxmemory-policy allkeys-random");
    assert_eq!((risk(&mut client), warnings(&server, "allkeys-random")), ("2".to_string(), 1));
    client.ok("CONFIG SET maxmemory 0 maxmemory-policy noeviction");
    assert_eq!(risk(&mut client), "0");
}

/// What the warning says about a `volatile-*` policy: it evicts no store without a TTL.
fn stores_without_a_ttl_are_spared(binary: &ServerBinary) {
    let server = Server::with(binary, &["maxmemory-policy volatile-ttl"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 10);
    client.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 1");
    client.ok("SET cache value EX 3600");
    client.ok("CONFIG SET maxmemory 1");
    assert_eq!(client.call("SET more memory").code(), "OOM");
    assert_eq!(client.int("EXISTS cache"), 0);
    assert_eq!(client.int("EXISTS popup {popup}:orders"), 2);
}
