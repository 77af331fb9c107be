//! What the server says about the commands: COMMAND INFO, COMMAND DOCS, key specs, ACL, and replies in both protocols.

use crate::common::{Client, Reply, Server, ServerBinary, open_store, tests};
use std::collections::BTreeSet;

tests![
    every_command_has_its_arity_and_flags,
    every_command_names_its_key,
    every_command_is_documented,
    arguments_are_documented,
    nothing_is_undocumented,
    acl_by_category_and_key,
    commands_have_their_own_acl_category,
    what_can_block_says_so,
    maps_are_maps_in_resp3_and_flat_in_resp2,
];

/// A command of the contract.
pub struct Contract {
    pub name: &'static str,
    /// As COMMAND INFO counts: the name included, negative for "at least".
    arity: i64,
    writes: bool,
    /// The keywords that its documentation must show.
    tokens: &'static [&'static str],
    /// A call with enough arguments.
    pub example: &'static str,
}

macro_rules! contract {
    ($($name:literal $arity:literal $kind:ident [$($token:literal)*] $example:literal;)*) => {
        &[$(Contract {
            name: $name,
            arity: $arity,
            writes: stringify!($kind).as_bytes()[0] == b'w',
            tokens: &[$($token),*],
            example: concat!($name, " ", $example),
        }),*]
    };
}

pub const CONTRACT: &[Contract] = contract! {
    "store.set" -4 write [] "popup limit 1";
    "store.get" -2 read [] "popup";
    "store.info" 2 read [] "popup";
    "store.lanes" 2 read [] "popup";
    "store.audit" 2 read [] "popup";
    "store.repair" 2 write [] "popup";
    "store.drop" 2 write [] "popup";
    "inv.set" -4 write ["SAFETY" "LOW" "LIMIT" "BACKLOG"] "popup sku-1 5";
    "inv.adjust" -4 write ["REASON" "REF"] "popup sku-1 5";
    "inv.get" -3 read [] "popup sku-1";
    "inv.scan" -3 read ["MATCH" "COUNT" "LOW"] "popup 0";
    "inv.reserve" -6 write ["CUSTOMER" "TTL" "REPLACE" "ITEMS"] "popup h-1 ITEMS sku-1 1";
    "inv.extend" 4 write [] "popup h-1 1000";
    "inv.commit" -3 write ["REF" "ITEMS"] "popup h-1";
    "inv.release" -3 write ["REF" "ITEMS"] "popup h-1";
    "inv.hold" 3 read [] "popup h-1";
    "inv.holds" -3 read ["CUSTOMER" "COUNT"] "popup 0";
    "inv.sync" -7 write ["ITEMS"] "popup erp 1 ITEMS sku-1 5";
    "order.place" -6 write ["GROUP" "LANE" "DATA" "GATE" "WAIT" "ITEMS" "HOLD"] "popup o-1 c-1 ITEMS sku-1 1";
    "order.claim" -3 write ["COUNT" "LEASE" "LANES" "ORDER" "BLOCK"] "popup w-1";
    "order.complete" -3 write ["TOKEN" "RESULT" "CLAIM" "LEASE"] "popup o-1";
    "order.fail" -3 write ["TOKEN" "REASON" "AFTER" "FATAL"] "popup o-1";
    "order.renew" -5 write ["TOKEN" "LEASE"] "popup o-1 TOKEN 1";
    "order.yield" 3 write [] "popup w-1";
    "order.gate" 5 write [] "popup o-1 pay 1000";
    "order.pass" 4 write [] "popup o-1 pay";
    "order.advance" -4 write ["FROM" "TOKEN"] "popup o-1 packed";
    "order.redrive" -3 write ["ALL" "REASON" "COUNT"] "popup o-1";
    "order.purge" -2 write ["REASON" "COUNT"] "popup";
    "order.edit" -6 write ["TOKEN" "REF" "LOST" "ITEMS"] "popup o-1 ITEMS sku-1 1";
    "order.split" -7 write ["TOKEN" "LANE" "ITEMS"] "popup o-1 o-2 ITEMS sku-1 1";
    "order.cancel" -3 write ["REASON"] "popup o-1";
    "order.return" -6 write ["CUSTOMER" "REF" "SCRAP" "ITEMS"] "popup o-1 ITEMS sku-1 1";
    "order.get" 3 read [] "popup o-1";
    "order.scan" -3 read ["STATE" "CUSTOMER" "LANE" "LATE" "COUNT"] "popup 0";
    "lock.acquire" -4 write ["WAIT"] "popup owner-1 1000";
    "lock.renew" 4 write [] "popup 1 1000";
    "lock.release" 3 write [] "popup 1";
    "lock.get" 2 read [] "popup";
};

/// COMMAND INFO of one command: its ten elements.
fn command_info(client: &mut Client, name: &str) -> Vec<Reply> {
    let reply = client.get(format!("COMMAND INFO {name}"));
    match &reply.array()[0] {
        Reply::Nil => panic!("no command {name}"),
        info => info.array().to_vec(),
    }
}

fn every_command_has_its_arity_and_flags(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for command in CONTRACT {
        let info = command_info(&mut client, command.name);
        assert_eq!(info[0].text().to_lowercase(), command.name);
        assert_eq!(info[1].int(), command.arity, "arity of {}", command.name);
        let flags: BTreeSet<String> = info[2].texts().into_iter().collect();
        assert!(flags.contains("module"), "{}: {flags:?}", command.name);
        assert_eq!(flags.contains("write"), command.writes, "{}: {flags:?}", command.name);
        assert_eq!(flags.contains("readonly"), !command.writes, "{}: {flags:?}", command.name);
        if binary.has_command_categories() {
            let categories: BTreeSet<String> = info[6].texts().into_iter().collect();
            let category = if command.writes { "@write" } else { "@read" };
            assert!(categories.contains(category), "{}: {categories:?}", command.name);
        }
    }
}

fn every_command_names_its_key(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for command in CONTRACT {
        let info = command_info(&mut client, command.name);
        let first_last_step = [info[3].int(), info[4].int(), info[5].int()];
        assert_eq!(first_last_step, [1, 1, 1], "key of {}", command.name);
        let reply = client.get(format!("COMMAND GETKEYSANDFLAGS {}", command.example));
        let [key_and_flags] = reply.array() else {
            panic!("{}: {reply:?}", command.name);
        };
        let [key, flags] = key_and_flags.array() else {
            panic!("{}: {reply:?}", command.name);
        };
        assert_eq!(key.text(), "popup", "{}", command.name);
        let flags = flags.texts();
        let readonly = flags.iter().any(|flag| flag == "RO");
        assert_eq!(readonly, !command.writes, "{}: {flags:?}", command.name);
    }
}

/// COMMAND DOCS of one command, requested in lower case; the reply has the case it was registered in.
fn command_docs(client: &mut Client, name: &str) -> Reply {
    let docs = client.get(format!("COMMAND DOCS {name}"));
    match docs.pairs().as_slice() {
        [(found, docs)] if found.eq_ignore_ascii_case(name) => docs.clone(),
        other => panic!("COMMAND DOCS {name}: {other:?}"),
    }
}

fn every_command_is_documented(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut resp2 = server.client();
    let mut resp3 = server.client().resp3();
    for command in CONTRACT {
        for client in [&mut resp2, &mut resp3] {
            let docs = command_docs(client, command.name);
            assert!(docs.field("summary").text().len() > 10, "{}: {docs:?}", command.name);
            assert!(!docs.field("since").text().is_empty(), "{}: {docs:?}", command.name);
            assert!(!docs.field("complexity").text().is_empty(), "{}: {docs:?}", command.name);
            let arguments = docs.field("arguments");
            let key = &arguments.array()[0];
            assert_eq!(key.field("name").text(), "key", "{}", command.name);
            assert_eq!(key.field("type").text(), "key", "{}", command.name);
            assert_eq!(key.field("key_spec_index").int(), 0, "{}", command.name);
        }
    }
}

/// The keywords of a tree of documented arguments.
fn tokens_of(arguments: &Reply, found: &mut BTreeSet<String>) {
    for argument in arguments.array() {
        for (name, value) in argument.pairs() {
            match name.as_str() {
                "token" => drop(found.insert(value.text())),
                "arguments" => tokens_of(&value, found),
                _ => {}
            }
        }
    }
}

fn arguments_are_documented(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for command in CONTRACT {
        let mut found = BTreeSet::new();
        tokens_of(&command_docs(&mut client, command.name).field("arguments"), &mut found);
        let missing: Vec<_> = command.tokens.iter().filter(|token| !found.contains(**token)).collect();
        assert!(missing.is_empty(), "{}: {missing:?} missing in {found:?}", command.name);
        if command.tokens.is_empty() {
            assert!(found.is_empty(), "{}: {found:?} is not in the contract", command.name);
        }
    }
}

/// A command that the module adds is documented, whether this suite knows it or not.
fn nothing_is_undocumented(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let names = client.get("COMMAND LIST FILTERBY MODULE holdfast").texts();
    let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let known: BTreeSet<&str> = CONTRACT.iter().map(|command| command.name).collect();
    let there: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let apart: Vec<_> = known.symmetric_difference(&there).collect();
    let own = [&"holdfast.apply", &"holdfast.maywrite"];
    assert_eq!(apart, own, "but for the module's own, the contract has them all");
    for name in there {
        let docs = command_docs(&mut client, name);
        assert!(!docs.field("summary").text().is_empty(), "{name}: {docs:?}");
    }
}

/// ACL rules for some commands: by category where modules can have them, else one by one.
fn rules(binary: &ServerBinary, allowed: fn(&Contract) -> bool) -> String {
    if binary.has_command_categories() {
        let both = CONTRACT.iter().any(|command| command.writes && allowed(command));
        return if both { "+@read +@write" } else { "+@read" }.to_string();
    }
    let names = CONTRACT.iter().filter(|command| allowed(command)).map(|command| format!("+{}", command.name));
    names.collect::<Vec<_>>().join(" ")
}

fn acl_by_category_and_key(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut admin = server.client();
    open_store(&mut admin, "popup", 5);
    open_store(&mut admin, "other", 5);
    admin.ok(format!("ACL SETUSER reader on >secret ~popup {}", rules(binary, |command| !command.writes)));
    admin.ok(format!("ACL SETUSER seller on >secret ~popup {}", rules(binary, |_| true)));
    let mut reader = server.client();
    reader.ok("AUTH reader secret");
    let mut seller = server.client();
    seller.ok("AUTH seller secret");
    for command in CONTRACT.iter().filter(|command| command.writes) {
        let reply = reader.call(command.example);
        assert_eq!(reply.code(), "NOPERM", "{} as reader: {reply:?}", command.name);
    }
    for command in CONTRACT {
        let elsewhere = command.example.replace("popup", "other");
        let reply = seller.call(&elsewhere);
        assert_eq!(reply.code(), "NOPERM", "{elsewhere}: {reply:?}");
    }
    assert_eq!(reader.get("INV.GET popup sku-1").array()[0].field("available").int(), 5);
    seller.text("ORDER.PLACE popup o-1 c-1 ITEMS sku-1 2");
    assert_eq!(reader.get("INV.GET popup sku-1").array()[0].field("available").int(), 3);
}

fn commands_have_their_own_acl_category(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    let reply = client.call("ACL CAT holdfast");
    if !binary.has_acl_categories() {
        assert!(reply.is_error(), "ACL CAT holdfast: {reply:?}");
        return;
    }
    // The command's own list: ACL CAT of Redis 7.4 leaves out the commands of modules.
    for command in CONTRACT {
        let info = client.get(format!("COMMAND INFO {}", command.name));
        let categories = acl_categories(&info.array()[0]);
        assert!(categories.contains("@holdfast"), "{} is only in {categories:?}", command.name);
    }
    client.ok("ACL SETUSER shop on >secret ~popup +@holdfast");
    let mut shop = server.client();
    shop.ok("AUTH shop secret");
    open_store(&mut shop, "popup", 5);
    assert_eq!(shop.call("PING").code(), "NOPERM");
}

/// The ACL categories that a command's COMMAND INFO names.
fn acl_categories(info: &Reply) -> BTreeSet<String> {
    const PLACE: usize = 6;
    info.array()[PLACE].texts().into_iter().collect()
}

/// Commands that can make a caller wait: for a lock, for an order, for the end of long work.
const BLOCKING: [&str; 6] =
    ["order.claim", "lock.acquire", "store.audit", "store.repair", "order.redrive", "order.purge"];

/// The flags that clients and proxies use. None has `deny-oom`: which call is refused while memory is full depends on
/// what it would make (see `memory_full`).
fn what_can_block_says_so(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    for command in CONTRACT {
        let info = command_info(&mut client, command.name);
        let flags: BTreeSet<String> = info[2].texts().into_iter().collect();
        let blocks = BLOCKING.contains(&command.name);
        assert_eq!(flags.contains("blocking"), blocks, "{}: {flags:?}", command.name);
        assert!(!flags.contains("denyoom"), "{}: {flags:?}", command.name);
        if binary.has_command_categories() {
            let categories = acl_categories(&Reply::Array(info));
            assert_eq!(categories.contains("@blocking"), blocks, "{}: {categories:?}", command.name);
        }
    }
}

/// A RESP3 map, flattened as RESP2 has it, at any depth.
fn flattened(reply: Reply) -> Reply {
    match reply {
        Reply::Map(pairs) => {
            let both = |(key, value)| [flattened(key), flattened(value)];
            Reply::Array(pairs.into_iter().flat_map(both).collect())
        }
        Reply::Array(items) | Reply::Set(items) => Reply::Array(items.into_iter().map(flattened).collect()),
        other => other,
    }
}

fn maps_are_maps_in_resp3_and_flat_in_resp2(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut resp2 = server.client();
    let mut resp3 = server.client().resp3();
    open_store(&mut resp2, "popup", 9);
    resp2.int("INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS sku-1 1");
    resp2.text("ORDER.PLACE popup o-1 c-1 DATA {} ITEMS sku-1 2");
    for command in ["STORE.GET popup", "STORE.GET popup limit paused", "INV.HOLD popup h-1", "ORDER.GET popup o-1"] {
        let map = resp3.get(command);
        assert!(matches!(map, Reply::Map(_)), "{command}: {map:?}");
        assert_eq!(resp2.get(command), flattened(map), "{command}");
    }
    // Ages change between two calls, so only the names of STORE.INFO are compared.
    let map = resp3.get("STORE.INFO popup");
    assert!(matches!(map, Reply::Map(_)), "STORE.INFO: {map:?}");
    let names = |reply: &Reply| reply.pairs().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&resp2.get("STORE.INFO popup")), names(&map));
    let items = resp3.get("INV.GET popup sku-1 sku-2");
    assert!(matches!(items.array(), [Reply::Map(_), Reply::Nil]), "INV.GET: {items:?}");
    assert_eq!(resp2.get("INV.GET popup sku-1 sku-2"), flattened(items));
}
