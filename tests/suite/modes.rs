//! One day of a shop, with every command that changes a store, in every way a server can run: plain, with a log, with a
//! replica, in a cluster. What a store has in the end is the same, and says the same, wherever it was kept.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, entries, order_field, rewrite_log, tests, wait_until,
};

tests![
    a_day_on_a_plain_server,
    a_day_with_a_log_that_begins_with_a_snapshot,
    a_day_with_a_log_of_commands,
    a_day_with_a_replica,
    a_day_in_a_cluster,
];

/// What 0.1 could do. KEY stands for the store's key.
pub const DAY_OF_0_1: &[&str] = &[
    "STORE.SET KEY metrics 0 limit 60 journal 100 history 20 sla-ms 90000000 attempts 3",
    "INV.SET KEY tea 100 SAFETY 5 LOW 20 LIMIT 40",
    "INV.SET KEY milk 50",
    "INV.SYNC KEY erp 42 ITEMS jam 12 oats 0",
    "INV.ADJUST KEY milk -3 REASON broken REF r-1",
    "INV.RESERVE KEY live CUSTOMER ann TTL 900000000 ITEMS tea 3 milk 1",
    "INV.COMMIT KEY live REF c-1 ITEMS tea 1",
    "INV.EXTEND KEY live 900000000",
    "INV.RESERVE KEY sold CUSTOMER bob ITEMS milk 2",
    "INV.COMMIT KEY sold",
    "INV.RESERVE KEY left ITEMS milk 2",
    "INV.RELEASE KEY left REF l-1 ITEMS milk 1",
    "INV.RELEASE KEY left",
    "INV.RESERVE KEY cart CUSTOMER cyd ITEMS jam 2",
    "ORDER.PLACE KEY of-cart cyd HOLD cart",
    "ORDER.PLACE KEY done ann DATA {\"n\":1} ITEMS tea 4 milk 1",
    "ORDER.COMPLETE KEY done RESULT {\"ok\":true}",
    "ORDER.RETURN KEY done REF rma-1 ITEMS tea 1",
    "ORDER.PLACE KEY off bob ITEMS tea 1",
    "ORDER.CANCEL KEY off REASON changed",
    "ORDER.PLACE KEY taken dee GROUP g ITEMS tea 1",
    "ORDER.PLACE KEY later dee ITEMS tea 1",
    "ORDER.PLACE KEY behind dee GROUP g ITEMS tea 1",
    "ORDER.CLAIM KEY w-0 COUNT 9 LEASE 900000000",
    "ORDER.YIELD KEY w-0",
    "ORDER.CLAIM KEY w-1 COUNT 2 LEASE 900000000",
    "ORDER.ADVANCE KEY taken picked",
    "ORDER.ADVANCE KEY taken packed FROM picked",
    "ORDER.FAIL KEY later REASON van AFTER 900000000",
    "ORDER.PLACE KEY dies fay ITEMS milk 1",
    "ORDER.FAIL KEY dies REASON never FATAL",
    "ORDER.PLACE KEY again fay ITEMS milk 1",
    "ORDER.FAIL KEY again REASON once FATAL",
    "ORDER.REDRIVE KEY again",
    "ORDER.PLACE KEY soon gus ITEMS milk 1",
    "ORDER.FAIL KEY soon REASON soon AFTER 0",
];

/// What came with 0.2.
pub const DAY_OF_0_2: &[&str] = &[
    "STORE.SET KEY alerts 100 hold-max-ms 9000000000 hold-max-units 30",
    "INV.SET KEY rare 1 BACKLOG 9",
    "INV.RESERVE KEY basket CUSTOMER hal TTL 900000000 ITEMS milk 1",
    "INV.RESERVE KEY basket CUSTOMER ida TTL 900000000 REPLACE ITEMS milk 2 tea 1",
    "ORDER.PLACE KEY first ida ITEMS rare 1",
    "ORDER.PLACE KEY waits ida LANE express WAIT ITEMS rare 2",
    "ORDER.PLACE KEY waits-too hal WAIT 900000000 ITEMS rare 1 tea 1",
    "INV.ADJUST KEY rare 1",
    "ORDER.PLACE KEY pays jan GATE pay 900000000 GATE fraud 0 ITEMS tea 2",
    "ORDER.PASS KEY pays fraud",
    "ORDER.PLACE KEY checked jan ITEMS tea 1",
    "ORDER.GATE KEY checked age 900000000",
    "ORDER.PLACE KEY fast jan LANE express ITEMS tea 1",
    "ORDER.CLAIM KEY w-2 COUNT 1 LEASE 900000000 LANES 1 express",
    "ORDER.PLACE KEY slow jan ITEMS tea 1",
    "ORDER.CLAIM KEY w-3 ORDER slow LEASE 900000000",
    "ORDER.PLACE KEY changes kim ITEMS tea 3",
    "ORDER.EDIT KEY changes REF e-1 LOST ITEMS tea 1 milk 1",
    "ORDER.PLACE KEY parts kim ITEMS milk 4",
    "ORDER.SPLIT KEY parts part LANE counter ITEMS milk 1",
    "ORDER.PLACE KEY junk lea ITEMS milk 1",
    "ORDER.FAIL KEY junk REASON junk FATAL",
    "ORDER.PURGE KEY REASON junk",
    "ORDER.RETURN KEY done REF rma-2 SCRAP ITEMS milk 1",
];

/// The streams of a store.
const STREAMS: [&str; 6] = ["orders", "retry", "dead", "complete", "journal", "alerts"];

/// Does these commands on a store, none of which may be refused.
pub fn live(client: &mut Client, key: &str, commands: &[&str]) {
    for command in commands {
        client.get(command.replace("KEY", key));
    }
    if commands.iter().any(|command| command.ends_with("AFTER 0")) {
        wait_until(DEADLINE, "the retry is due", || client.int(format!("XLEN {{{key}}}:retry")) > 0);
    }
}

/// What a store replies that depends neither on when it was made nor on the server.
pub fn told(client: &mut Client, key: &str) -> Vec<String> {
    const OF_THE_DAY: [&str; 3] = ["oldest-waiting-ms", "next-due", "bytes"];
    const LASTING: [&str; 12] = [
        "state", "customer", "items", "data", "group", "lane", "attempts", "reason", "result", "left", "step",
        "version",
    ];
    let mut told = Vec::new();
    for (name, value) in client.get(format!("STORE.INFO {key}")).pairs() {
        if !OF_THE_DAY.contains(&name.as_str()) {
            told.push(format!("{name} {value:?}"));
        }
    }
    told.push(format!("{:?}", client.get(format!("STORE.GET {key}"))));
    for sku in sorted(client, format!("INV.SCAN {key} 0 COUNT 1000")) {
        told.push(format!("{:?}", client.get(vec![b"INV.GET".to_vec(), key.into(), sku])));
    }
    for (scan, get) in [("ORDER.SCAN", "ORDER.GET"), ("INV.HOLDS", "INV.HOLD")] {
        for id in sorted(client, format!("{scan} {key} 0 COUNT 1000")) {
            let view = client.get(vec![get.as_bytes().to_vec(), key.into(), id.clone()]);
            let lasting = view.pairs().into_iter().filter(|(name, _)| LASTING.contains(&name.as_str()));
            told.push(format!("{id:?} {:?}", lasting.collect::<Vec<_>>()));
        }
    }
    told
}

/// The ids that a scan finds, sorted: their order is that of memory.
fn sorted(client: &mut Client, scan: String) -> Vec<Vec<u8>> {
    let found = client.get(scan).array()[1].clone();
    let mut ids: Vec<_> = found.array().iter().map(|id| id.bytes().to_vec()).collect();
    ids.sort();
    ids
}

/// How many entries each stream of a store has.
pub fn lengths(client: &mut Client, key: &str) -> Vec<usize> {
    STREAMS.map(|name| entries(client, &format!("{{{key}}}:{name}")).len()).to_vec()
}

/// The books balance, and what the store tells and its streams have is what a plain server has.
#[track_caller]
pub fn assert_is(client: &mut Client, key: &str, wanted: &(Vec<String>, Vec<usize>)) {
    assert_books_balance(client, key);
    let found = told(client, key);
    for (found, wanted) in found.iter().zip(&wanted.0) {
        assert_eq!(found, wanted);
    }
    assert_eq!((found.len(), lengths(client, key)), (wanted.0.len(), wanted.1.clone()));
}

/// A whole day on a plain server.
pub fn plain(binary: &ServerBinary, days: &[&[&str]]) -> (Vec<String>, Vec<usize>) {
    let server = Server::with(binary, &["holdfast.sample-ms 0"]);
    let mut client = server.client();
    live(&mut client, "popup", &days.concat());
    (told(&mut client, "popup"), lengths(&mut client, "popup"))
}

fn a_day_on_a_plain_server(binary: &ServerBinary) {
    let mut server = Server::with(binary, &["holdfast.sample-ms 0"]);
    let mut client = server.client();
    live(&mut client, "popup", &[DAY_OF_0_1, DAY_OF_0_2].concat());
    let (figures, digest) = ((told(&mut client, "popup"), lengths(&mut client, "popup")), client.digest());
    // Figures worked out by hand: tea 100 - 1 of `live`, - 4 and 1 back of `done`, - 2 that `changes` lost.
    assert_eq!(crate::common::stock(&mut client, "popup", "tea"), (94, 13, 76));
    assert_eq!(crate::common::stock(&mut client, "popup", "rare"), (2, 2, 0));
    for (order, state) in [
        ("done", "completed"),
        ("off", "cancelled"),
        ("junk", "cancelled"),
        ("dies", "dead"),
        ("taken", "claimed"),
        ("behind", "queued"),
        ("later", "retrying"),
        ("waits", "waitlisted"),
        ("pays", "pending"),
        ("part", "queued"),
    ] {
        assert_eq!(order_field(&mut client, order, "state"), state, "{order}");
    }
    assert_is(&mut client, "popup", &figures);
    client.ok("SAVE");
    server.restart();
    let mut client = server.client();
    assert_eq!(client.digest(), digest);
    assert_is(&mut client, "popup", &figures);
}

fn a_day_with_a_log_that_begins_with_a_snapshot(binary: &ServerBinary) {
    day_with_log(binary, "yes");
}

fn a_day_with_a_log_of_commands(binary: &ServerBinary) {
    day_with_log(binary, "no");
}

/// The log is rewritten at noon, and read after a good end and after a kill.
fn day_with_log(binary: &ServerBinary, preamble: &str) {
    let wanted = plain(binary, &[DAY_OF_0_1, DAY_OF_0_2]);
    let preamble = format!("aof-use-rdb-preamble {preamble}");
    let config = ["appendonly yes", "appendfsync always", "holdfast.sample-ms 0", &preamble];
    let mut server = Server::with(binary, &config);
    let mut client = server.client();
    live(&mut client, "popup", DAY_OF_0_1);
    rewrite_log(&mut client);
    live(&mut client, "popup", DAY_OF_0_2);
    let digest = client.digest();
    for is_killed in [false, true] {
        if is_killed {
            server.kill9();
            server.start_again();
        } else {
            server.restart();
        }
        let mut client = server.client();
        assert_eq!(client.digest(), digest, "{preamble}, killed: {is_killed}");
        assert_is(&mut client, "popup", &wanted);
    }
}

/// The replica comes at noon and gets everything; then its link is cut, and it gets what it missed.
fn a_day_with_a_replica(binary: &ServerBinary) {
    let wanted = plain(binary, &[DAY_OF_0_1, DAY_OF_0_2]);
    let primary = Server::with(binary, &["holdfast.sample-ms 0", "repl-backlog-size 10mb"]);
    let mut client = primary.client();
    live(&mut client, "popup", DAY_OF_0_1);
    let replica = primary.replica(binary);
    let (morning, evening) = DAY_OF_0_2.split_at(DAY_OF_0_2.len() / 2);
    live(&mut client, "popup", morning);
    client.int("CLIENT KILL TYPE replica");
    live(&mut client, "popup", evening);
    replica.wait_for_link();
    let mut reader = replica.client();
    wait_until(DEADLINE, "primary and replica have the same digest", || client.digest() == reader.digest());
    let syncs = ["sync_full", "sync_partial_ok"].map(|name| client.info("stats", name));
    assert_eq!(syncs, ["1", "1"], "one full resync, and one of what was missed");
    assert_is(&mut reader, "popup", &wanted);
    reader.ok("REPLICAOF NO ONE");
    reader.text("ORDER.PLACE popup after zoe ITEMS tea 1");
    assert_books_balance(&mut reader, "popup");
}

/// Three nodes, each with a store of its own; one of another node is MOVED.
fn a_day_in_a_cluster(binary: &ServerBinary) {
    let wanted = plain(binary, &[DAY_OF_0_1, DAY_OF_0_2]);
    // The slots of the keys: 393, 10267, 14682.
    let nodes = [("popup", "0 5460"), ("kiosk", "5461 10922"), ("lamp", "10923 16383")];
    let mut servers: Vec<_> = nodes.iter().map(|_| Server::cluster_node(binary)).collect();
    for (server, (_, slots)) in servers.iter().zip(nodes) {
        server.client().ok(format!("CLUSTER ADDSLOTSRANGE {slots}"));
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", servers[0].port(), servers[0].bus_port());
        server.client().ok(meet);
    }
    servers.iter().for_each(Server::wait_for_cluster);
    for (at, (key, _)) in nodes.into_iter().enumerate() {
        let (mut client, mut other) = (servers[at].client(), servers[(at + 1) % 3].client());
        client.ok("CONFIG SET holdfast.sample-ms 0");
        live(&mut client, key, &[DAY_OF_0_1, DAY_OF_0_2].concat());
        assert_is(&mut client, key, &wanted);
        other.refused("MOVED", format!("ORDER.PLACE {key} o-1 zoe ITEMS tea 1"));
        other.refused("MOVED", format!("ORDER.GET {key} taken"));
        let digest = client.digest();
        client.ok("SAVE");
        servers[at].restart();
        let mut client = servers[at].client();
        servers[at].wait_for_cluster();
        assert_eq!(client.digest(), digest);
        assert_is(&mut client, key, &wanted);
    }
}
