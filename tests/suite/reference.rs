//! `docs/commands.json`, from which the pages of `docs/commands/` are made as well, is what the server does: errors,
//! ranges of arguments, types of replies, what the server says of the commands. That no command gives any other error
//! or reply is checked in every call of every test (`common::documented`), and in the simulation.

use crate::common::documented::{COMMANDS, kind};
use crate::common::{Client, Server, ServerBinary, cmd, tests};
use serde_json::Value;
use std::collections::BTreeSet;

tests![
    every_error_is_given,
    arguments_past_their_range_are_refused,
    the_server_says_the_same,
    both_protocols_reply_as_documented,
];

/// A server with the store that the calls of the reference begin with.
fn shop(binary: &ServerBinary) -> (Server, Client) {
    let server = Server::start(binary);
    let mut client = server.client();
    open_shop(&mut client);
    (server, client)
}

fn open_shop(client: &mut Client) {
    client.ok("FLUSHALL");
    client.int("INV.SET popup mug 10");
}

fn commands() -> impl Iterator<Item = (&'static String, &'static Value)> {
    COMMANDS.as_object().expect("an object").iter()
}

fn list(value: &'static Value) -> impl Iterator<Item = &'static Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &'static Value) -> BTreeSet<String> {
    list(value).map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// A call with the token of the order that a worker has.
fn with_token(client: &mut Client, call: &str) -> String {
    if !call.contains("{token}") {
        return call.to_owned();
    }
    let history = client.get("ORDER.GET popup o-1").field("history");
    let mut tokens = history.array().iter().flat_map(|event| event.pairs()).filter(|(name, _)| name == "token");
    call.replace("{token}", &tokens.next().expect("a claim").1.text())
}

/// The calls that the reference gives for each error make the command give it, and it changes nothing.
fn every_error_is_given(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let mut given = 0;
    for (name, about) in commands() {
        for error in list(&about["errors"]) {
            let calls: Vec<_> = list(&error["calls"]).map(|call| call.as_str().expect("a call")).collect();
            let Some((last, before)) = calls.split_last().filter(|(last, _)| !last.is_empty()) else { continue };
            open_shop(&mut client);
            for call in before {
                let call = with_token(&mut client, call);
                client.get(call.as_str());
            }
            assert!(last.starts_with(&**name), "{name}: {last}");
            let (last, code) = (with_token(&mut client, last), error["code"].as_str().expect("a code"));
            let is_full = code == "OOM";
            client.ok(format!("CONFIG SET maxmemory {}", i32::from(is_full)));
            client.refused(code, last.as_str());
            client.ok("CONFIG SET maxmemory 0");
            given += 1;
        }
    }
    assert!(given > 180, "{given} errors in the reference");
}

/// A call in which one argument has a value, and the others are as in an example.
struct Words<'a> {
    /// The argument by its names from the outermost group on.
    wanted: &'a [&'a str],
    value: &'a str,
    words: Vec<Vec<u8>>,
}

impl Words<'_> {
    /// Adds an argument and its groups, if it is needed or wanted.
    fn add(&mut self, argument: &Value, path: &mut Vec<String>) {
        path.push(argument["name"].as_str().expect("a name").to_owned());
        let is_on_the_way = self.wanted.starts_with(&path.iter().map(String::as_str).collect::<Vec<_>>());
        if is_on_the_way || argument["optional"] != true {
            self.words.extend(argument["token"].as_str().map(|token| token.as_bytes().to_vec()));
            match argument["type"].as_str().expect("a type") {
                "oneof" => self.add(self.choice(argument, path), path),
                "block" => {
                    argument["arguments"].as_array().expect("parts").iter().for_each(|part| self.add(part, path))
                }
                "pure-token" => {}
                _ if is_on_the_way => self.words.push(self.value.as_bytes().to_vec()),
                "key" => self.words.push(b"popup".to_vec()),
                "string" if argument["name"] == "sku" => self.words.push(b"mug".to_vec()),
                "string" if argument["name"] == "field" => self.words.push(b"limit".to_vec()),
                "string" if argument["name"] == "json" => self.words.push(b"1".to_vec()),
                _ => self.words.push(b"1".to_vec()),
            }
        }
        path.pop();
    }

    /// The part that leads to the wanted argument, or the first one.
    fn choice<'v>(&self, argument: &'v Value, path: &[String]) -> &'v Value {
        let parts = argument["arguments"].as_array().expect("parts");
        let next = self.wanted.get(path.len());
        parts.iter().find(|part| next.is_some_and(|name| part["name"] == *name)).unwrap_or(&parts[0])
    }
}

fn call(name: &str, about: &Value, wanted: &[&str], value: &str) -> Vec<Vec<u8>> {
    let mut words = Words { wanted, value, words: vec![name.as_bytes().to_vec()] };
    about["arguments"].as_array().expect("arguments").iter().for_each(|argument| words.add(argument, &mut Vec::new()));
    words.words
}

/// Every argument that is no group of others: its names from the outermost group on.
fn leaves<'v>(argument: &'v Value, path: &[&'v str], into: &mut Vec<(Vec<&'v str>, &'v Value)>) {
    let path = [path, &[argument["name"].as_str().expect("a name")]].concat();
    match argument["arguments"].as_array() {
        Some(parts) => parts.iter().for_each(|part| leaves(part, &path, into)),
        None => into.push((path, argument)),
    }
}

/// The words in which the error says what an argument must be, with values just past it, and values just within.
fn bounds(argument: &Value) -> Option<(String, [String; 2], [String; 2])> {
    let number = |name: &str| argument["range"][name].as_i64();
    if let (Some(min), Some(max)) = (number("min"), number("max")) {
        let past = [(min - 1).to_string(), (max + 1).to_string()];
        return Some((format!("must be an integer from {min} to {max}"), past, [min.to_string(), max.to_string()]));
    }
    let (min, max) = (number("min_bytes")? as usize, number("max_bytes")? as usize);
    let past = ["x".repeat(min.saturating_sub(1)), "x".repeat(max + 1)];
    Some((format!("must be {min} to {max} bytes"), past, ["x".repeat(min), "x".repeat(max)]))
}

fn arguments_past_their_range_are_refused(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    let mut checked = 0;
    for (name, about) in commands() {
        let mut arguments = Vec::new();
        list(&about["arguments"]).for_each(|argument| leaves(argument, &[], &mut arguments));
        for (path, argument) in &arguments {
            let Some((must, past, within)) = bounds(argument) else { continue };
            for value in past.iter().filter(|value| !within.contains(value)) {
                let reply = client.call(call(name, about, path, value));
                // What looks at an existing store first, or takes an empty key for none, says so.
                let other = argument["type"] == "key" && reply.is_error() && reply.code() == "NOSTORE";
                let is_refused = reply.is_error() && reply.error().contains(&must);
                let is_free = argument["type"] == "key" && name.starts_with("LOCK.");
                assert!(is_refused || other || is_free, "{name} {path:?} {value:.20}: {must}: {reply:?}");
            }
            for value in &within {
                open_shop(&mut client);
                // Who waits for an order gets one.
                client.text("ORDER.PLACE popup o-9 ann ITEMS mug 1");
                let reply = client.call(call(name, about, path, value));
                let is_refused = reply.is_error() && reply.error().contains(&must);
                assert!(!is_refused, "{name} {path:?} {value:.20}: {reply:?}");
            }
            checked += 1;
        }
    }
    assert!(checked > 120, "{checked} arguments have a range");
}

/// COMMAND INFO and COMMAND DOCS say what the reference says.
fn the_server_says_the_same(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary);
    for (name, about) in commands() {
        let info = client.get(format!("COMMAND INFO {name}")).array()[0].array().to_vec();
        assert_eq!(info[1].int(), about["arity"].as_i64().expect("a number"), "{name}");
        let flags: BTreeSet<_> = info[2].texts().into_iter().collect();
        let missing: Vec<_> = texts(&about["command_flags"]).difference(&flags).cloned().collect();
        assert!(missing.is_empty(), "{name}: {missing:?} not in {flags:?}");
        if binary.has_acl_categories() {
            let categories: BTreeSet<_> = info[6].texts().into_iter().collect();
            assert_eq!(texts(&about["acl_categories"]), categories, "{name}");
        }
        let spec = info[8].array()[0].field("flags").texts().into_iter().collect::<BTreeSet<_>>();
        let flags = about["key_specs"][0].as_object().expect("a spec").iter().filter(|(_, value)| **value == true);
        assert_eq!(flags.map(|(flag, _)| flag.clone()).collect::<BTreeSet<_>>(), spec, "{name}");
        let docs = client.get(format!("COMMAND DOCS {name}")).pairs()[0].1.clone();
        for field in ["summary", "since", "complexity"] {
            assert_eq!(docs.field(field).text(), about[field].as_str().expect("a text"), "{name}");
        }
    }
}

/// Replies that are maps in RESP3 are arrays in RESP2, and no other reply differs.
fn both_protocols_reply_as_documented(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut clients = [("resp2", server.client()), ("resp3", server.client().resp3())];
    let mut seen = 0;
    for (name, about) in commands() {
        for (protocol, client) in &mut clients {
            open_shop(client);
            client.text("ORDER.PLACE popup 1 ann ITEMS mug 1");
            client.int("INV.RESERVE popup 2 ITEMS mug 1");
            let reply = client.call(call(name, about, &[], ""));
            let known: Vec<_> = list(&about["replies"]).map(|row| row[*protocol].as_str().expect("a type")).collect();
            if !reply.is_error() {
                assert!(known.contains(&kind(&reply)), "{name} in {protocol}: {reply:?}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 50, "{seen} replies");
    let mut client = server.client();
    assert!(client.call(cmd!["ORDER.PLACE", "popup"]).is_error());
}
