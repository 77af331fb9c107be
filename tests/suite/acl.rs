//! Users who may do only a part: what they cannot reach, what nobody can forge, and that nothing secret is logged.

use crate::cmd_info::CONTRACT;
use crate::common::{Client, Server, ServerBinary, assert_books_balance, cmd, open_store, rewrite_log, tests};

tests![
    who_may_only_place_orders_can_do_nothing_else,
    a_script_has_no_more_rights_than_its_caller,
    nobody_forges_a_stamp,
    a_replica_that_takes_writes_takes_no_stamp_from_a_client,
    nothing_that_a_command_says_is_logged,
];

/// What the module has for itself: a stamped command, the deadlines of a store, and the question whether writing is
/// allowed.
const FORGERIES: [&str; 5] = [
    "HOLDFAST.APPLY popup 9007199254740991 SWEEP 1000",
    "HOLDFAST.APPLY popup 1 ORDER.PLACE forged c-1 ITEMS sku-1 1",
    "HOLDFAST.APPLY popup 9007199254740991 ORDER.PLACE forged c-1 ITEMS sku-1 1",
    "HOLDFAST.APPLY popup 1 STORE.DROP",
    "HOLDFAST.APPLY other 1 STORE.SET limit 1",
];

/// Two stores, with an order each; and a user `web` who may place orders in one of them.
fn two_stores(server: &Server, rights: &str) -> (Client, Client) {
    let mut admin = server.client();
    for key in ["popup", "other"] {
        open_store(&mut admin, key, 5);
        admin.text(format!("ORDER.PLACE {key} o-1 c-1 ITEMS sku-1 1"));
    }
    admin.ok(format!("ACL SETUSER web on >secret ~popup -@all {rights}"));
    let mut web = server.client();
    web.ok("AUTH web secret");
    (admin, web)
}

fn denied(client: &mut Client, command: &str) {
    let reply = client.call(command);
    assert_eq!(reply.code(), "NOPERM", "{command}: {reply:?}");
}

fn who_may_only_place_orders_can_do_nothing_else(binary: &ServerBinary) {
    let server = Server::start(binary);
    let (mut admin, mut web) = two_stores(&server, "+order.place +multi +exec");
    let digest = admin.digest();
    for command in CONTRACT {
        if command.name != "order.place" {
            denied(&mut web, command.example);
        }
        denied(&mut web, &command.example.replace("popup", "other"));
    }
    FORGERIES.iter().for_each(|command| denied(&mut web, command));
    let around = [
        "XRANGE {popup}:orders - +",
        "XADD {popup}:orders * order o-1",
        "DEL popup",
        "COPY popup mine",
        "RENAME other popup",
        "RESTORE popup 0 x REPLACE",
        "DUMP popup",
        "EVAL return 0",
        "HOLDFAST.MAYWRITE popup",
        "CONFIG SET holdfast.sample-ms 1",
        "INFO holdfast",
    ];
    around.iter().for_each(|command| denied(&mut web, command));
    // A MULTI with one such command in it runs none of them.
    web.ok("MULTI");
    web.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    denied(&mut web, "INV.ADJUST popup sku-1 5");
    assert_eq!(web.call("EXEC").code(), "EXECABORT");
    assert_eq!(admin.digest(), digest, "what was denied changed nothing");
    // Not even the stock's level can be learned of the other store, and a hold of it is unknown here.
    admin.int("INV.RESERVE other h-1 ITEMS sku-1 1");
    assert_eq!(web.call("ORDER.PLACE popup o-2 c-1 HOLD h-1").code(), "NOHOLD");
    web.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert_eq!(admin.int("XLEN {popup}:orders"), 2, "the order is in a stream whose key the user cannot name");
}

fn a_script_has_no_more_rights_than_its_caller(binary: &ServerBinary) {
    let server = Server::start(binary);
    let (mut admin, mut web) = two_stores(&server, "+order.place +eval");
    let digest = admin.digest();
    let calls = CONTRACT.iter().filter(|command| command.name != "order.place").map(|command| command.example);
    for command in calls.chain(FORGERIES) {
        let words: Vec<String> = command.split(' ').map(|word| format!("'{word}'")).collect();
        let script = format!("return redis.pcall({})", words.join(","));
        let text = web.call(cmd!["EVAL", script, "1", "popup"]).error();
        let is_denied = ["can't run this command", "has no permissions"].iter().any(|denial| text.contains(denial));
        assert!(is_denied, "{command}: {text}");
    }
    assert_eq!(admin.digest(), digest);
}

/// Every way in which a client that may do everything can call a command.
fn nobody_forges_a_stamp(binary: &ServerBinary) {
    let server = Server::start(binary);
    let (mut admin, _) = two_stores(&server, "+order.place");
    let digest = admin.digest();
    let library = "#!lua name=forge\nredis.register_function('forge', function(keys, args) \
                   return redis.pcall('HOLDFAST.APPLY', keys[1], unpack(args)) end)";
    admin.get(cmd!["FUNCTION", "LOAD", library]);
    for command in FORGERIES {
        admin.refused("ERR", command);
        let words: Vec<&str> = command.split(' ').collect();
        let [_, key, rest @ ..] = words.as_slice() else { panic!("{command}") };
        let script = "return redis.pcall('HOLDFAST.APPLY', KEYS[1], unpack(ARGV))";
        let call = |first: &[&str]| -> Vec<Vec<u8>> {
            first.iter().chain(&["1", key]).chain(rest).map(|word| word.as_bytes().to_vec()).collect()
        };
        admin.refused("ERR", call(&["EVAL", script]));
        admin.refused("ERR", call(&["FCALL", "forge"]));
        admin.ok("MULTI");
        admin.text(command);
        assert!(admin.get("EXEC").array()[0].is_error(), "{command} in MULTI");
    }
    assert_eq!(admin.digest(), digest);
    assert_books_balance(&mut admin, "popup");
}

fn a_replica_that_takes_writes_takes_no_stamp_from_a_client(binary: &ServerBinary) {
    let server = Server::start(binary);
    let (mut admin, _) = two_stores(&server, "+order.place");
    let replica = server.replica(binary);
    let mut client = replica.client();
    client.ok("CONFIG SET replica-read-only no");
    for command in FORGERIES {
        client.refused("ERR", command);
    }
    admin.text("ORDER.PLACE popup o-2 c-1 ITEMS sku-1 1");
    assert_eq!(admin.int("WAIT 1 10000"), 1);
    assert_eq!(client.digest(), admin.digest(), "what the primary sends is applied all the same");
}

/// What shops keep in DATA, RESULT and reasons is of their customers; ids can be email addresses.
fn nothing_that_a_command_says_is_logged(binary: &ServerBinary) {
    const SECRET: &str = "4111-1111-1111-1111";
    let mut server = Server::with(binary, &["appendonly yes", "appendfsync always", "loglevel debug"]);
    let mut client = server.client();
    open_store(&mut client, "popup", 5);
    let replica = server.replica(binary);
    replica.client().ok("CONFIG SET loglevel debug");
    let data = format!("{{\"card\":\"{SECRET}\"}}");
    for order in ["o-1", "o-2", SECRET] {
        client.text(cmd!["ORDER.PLACE", "popup", order, SECRET, "DATA", &data, "ITEMS", "sku-1", "1"]);
    }
    client.get(cmd!["ORDER.FAIL", "popup", "o-2", "REASON", SECRET, "FATAL"]);
    client.text(cmd!["ORDER.COMPLETE", "popup", "o-1", "RESULT", &data]);
    client.int(cmd!["INV.RESERVE", "popup", SECRET, "CUSTOMER", SECRET, "ITEMS", "sku-1", "1"]);
    client.refused("NOSKU", cmd!["ORDER.PLACE", "popup", "o-3", SECRET, "DATA", &data, "ITEMS", SECRET, "1"]);
    client.refused("ERR", cmd!["ORDER.PLACE", "popup", "o-3", SECRET, "DATA", SECRET, "ITEMS", "sku-1", "-1"]);
    client.refused("ERR", cmd!["HOLDFAST.APPLY", "popup", "1", SECRET, SECRET]);
    assert_eq!(client.int("WAIT 1 10000"), 1);
    let mut logs = vec![replica.log()];
    client.ok("DEBUG RELOAD");
    rewrite_log(&mut client);
    logs.push(server.log());
    server.restart();
    let kept = format!("{:?}", server.client().get("ORDER.GET popup o-1"));
    assert!(kept.contains(SECRET), "{kept}");
    logs.push(server.log());
    for log in logs {
        assert!(log.len() > 1_000, "there is a log: {log}");
        assert!(!log.contains(SECRET), "{log}");
    }
}
