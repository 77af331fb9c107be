//! `docs/commands.json`: the shape of Redis's own commands.json, with more: what arguments may be, replies, errors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::facts::{Fact, Range};
use super::{described, errors, replies};
use crate::commands::TABLE;
use crate::host::register::{About, Access, Arg, Kind};

/// All commands, by name.
pub fn commands() -> String {
    let about = TABLE.iter().map(|command| &command.about).filter(|about| !about.is_internal());
    let all: BTreeMap<_, _> = about.map(|about| (about.title(), command(about))).collect();
    serde_json::to_string_pretty(&all).expect("JSON") + "\n"
}

fn command(about: &About) -> Value {
    let name = about.title();
    let (family, _) = name.split_once('.').unwrap_or((name, ""));
    let categories: Vec<_> = about.acl().split(' ').chain(["holdfast"]).map(|word| format!("@{word}")).collect();
    let facts: BTreeMap<_, _> = described(about).into_iter().map(|row| (row.path, row.fact)).collect();
    let replies: Vec<_> = replies::replies(name)
        .iter()
        .map(|reply| json!({ "resp2": reply.resp2, "resp3": reply.resp3, "what": reply.what }))
        .collect();
    let errors: Vec<_> = errors::errors(name)
        .into_iter()
        .map(
            |(code, when, calls)| json!({ "code": code, "when": when, "calls": calls.split("; ").collect::<Vec<_>>() }),
        )
        .collect();
    let mut value = json!({
        "summary": about.summary,
        "since": about.since,
        "group": family.to_lowercase(),
        "module": "holdfast",
        "complexity": about.complexity,
        "acl_categories": categories,
        "arity": about.arity(),
        "command_flags": about.flags.split(' ').collect::<Vec<_>>(),
        "key_specs": [key_spec(about.access)],
        "arguments": about.args.iter().map(|arg| argument(arg, "", &facts)).collect::<Vec<_>>(),
        "reply": about.reply,
        "replies": replies,
        "errors": errors,
    });
    if !replies::history(name).is_empty() {
        value["history"] = json!(replies::history(name));
    }
    value
}

/// The flags of the key, as COMMAND INFO and commands.json call them.
pub fn key_flags(access: Access) -> &'static [&'static str] {
    match access {
        Access::Read => &["RO", "access"],
        Access::Update => &["RW", "access", "update"],
        Access::Insert => &["RW", "update"],
        Access::Delete => &["RM", "delete"],
    }
}

fn key_spec(access: Access) -> Value {
    let mut spec: Map<_, _> = key_flags(access).iter().map(|flag| ((*flag).to_owned(), json!(true))).collect();
    spec.insert("begin_search".to_owned(), json!({ "type": "index", "spec": { "index": 1 } }));
    let range = json!({ "type": "range", "spec": { "lastkey": 0, "keystep": 1, "limit": 0 } });
    spec.insert("find_keys".to_owned(), range);
    Value::Object(spec)
}

fn argument(arg: &Arg, above: &str, facts: &BTreeMap<String, &'static Fact>) -> Value {
    let kind = match arg.kind {
        Kind::Key => "key",
        Kind::Text => "string",
        Kind::Integer => "integer",
        Kind::Pattern => "pattern",
        Kind::Word => "pure-token",
        Kind::OneOf => "oneof",
        Kind::Block => "block",
    };
    let mut value = json!({ "name": arg.name, "type": kind, "display_text": arg.name });
    let flags = [("optional", arg.optional), ("multiple", arg.multiple), ("multiple_token", arg.token_again)];
    flags.into_iter().filter(|(_, is_set)| *is_set).for_each(|(flag, _)| value[flag] = json!(true));
    if arg.kind == Kind::Key {
        value["key_spec_index"] = json!(0);
    }
    if let Some(token) = arg.token {
        value["token"] = json!(token);
    }
    let path = format!("{above}/{}", arg.name);
    if let Some(fact) = facts.get(&path) {
        describe(&mut value, fact);
    }
    if !arg.parts.is_empty() {
        value["arguments"] = arg.parts.iter().map(|part| argument(part, &path, facts)).collect();
    }
    value
}

fn describe(value: &mut Value, fact: &Fact) {
    value["meaning"] = json!(fact.meaning);
    value["range"] = match fact.range {
        Range::Int(min, max) => json!({ "min": min, "max": max }),
        Range::Id | Range::Key => json!({ "min_bytes": 1, "max_bytes": 512 }),
        Range::Lane => json!({ "min_bytes": 0, "max_bytes": 512 }),
        other => json!(other.text()),
    };
    let texts = [("unit", fact.unit), ("default", fact.default)];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(name, text)| value[name] = json!(text));
}
