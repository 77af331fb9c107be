//! What Grafana queries: every panel of the dashboards gets its data from live replies. That Grafana can draw it is
//! checked in `grafana/check`, with Grafana's own code and with entries of the same fields.

mod dashboard;
mod plugin;

use crate::common::watcher::Watcher;
use crate::common::{Client, DEADLINE, Server, ServerBinary, claim_one, cmd, server_now_ms, stack, tests, wait_until};
use dashboard::{fields_named, load, panels, pattern, queries, variable};
use plugin::{Chosen, Field};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

tests![
    the_panels_of_redis_are_drawn,
    the_panels_of_timeseries_are_drawn,
    the_stores_are_found,
    the_check_draws_what_a_server_answers,
    the_panels_of_prometheus_are_drawn,
    the_rules_name_what_is_exported,
];

const REDIS: &str = "holdfast-redis.json";
const PROMETHEUS: &str = "holdfast-prometheus.json";
const TIMESERIES: &str = "ts.mrange";

/// The time range of a dashboard when it is opened.
const RANGE_MS: i64 = 15 * 60 * 1000;

fn popup() -> Chosen {
    Chosen { value: "{popup}".into(), text: "popup".into() }
}

/// A server with a store `popup` that has everything a panel shows: units sold and held, orders that
/// wait, some in a lane, are in work, failed, were retried and died, alerts, and commands that were refused.
fn busy_shop(binary: &ServerBinary) -> (Server, Client) {
    let server = Server::with(binary, &["holdfast.sample-ms 20"]);
    let mut client = server.client();
    client.ok("STORE.SET popup attempts 2 backoff-ms 1 limit 5");
    client.int("INV.SET popup sku-1 6");
    let place =
        |client: &mut Client, order| client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1"));
    place(&mut client, 1);
    place(&mut client, 2);
    let sold = claim_one(&mut client, "ORDER.CLAIM popup w-1");
    client.text(format!("ORDER.COMPLETE popup {} TOKEN {}", sold.order, sold.token));
    let dying = claim_one(&mut client, "ORDER.CLAIM popup w-1");
    client.get(format!("ORDER.FAIL popup {} TOKEN {} REASON declined", dying.order, dying.token));
    let again = claim_one(&mut client, "ORDER.CLAIM popup w-1 BLOCK 20000");
    assert_eq!(again.order, dying.order);
    client.get(cmd!["ORDER.FAIL", "popup", again.order, "TOKEN", again.token, "REASON", "card declined"]);
    client.text("ORDER.PLACE popup o-9 c-9 LANE express ITEMS sku-1 1");
    place(&mut client, 3);
    place(&mut client, 4);
    claim_one(&mut client, "ORDER.CLAIM popup w-1");
    // Not `refused`, which stops the samples.
    assert_eq!(client.call("ORDER.PLACE popup o-5 c-5 ITEMS sku-1 5").code(), "OUTOFSTOCK");
    assert_eq!(client.call("ORDER.PLACE popup o-6 c-6 ITEMS sku-1 6").code(), "LIMIT");
    wait_until(DEADLINE, "a sample has it all", || {
        let last = client.get("XREVRANGE {popup}:metrics + - COUNT 1");
        let has = |name, value: &str| last.array().iter().any(|entry| entry.array()[1].field(name).text() == value);
        has("completed", "1") && has("dead-letters", "1") && has("in-work", "1") && has("refused-limit", "1")
    });
    (server, client)
}

/// The columns of the reply to a panel's query.
#[track_caller]
fn answer(client: &mut Client, query: &Value) -> Vec<Field> {
    // The range ends at the current millisecond: entries of this millisecond come with the next refresh.
    let now_ms = server_now_ms(client) + 1;
    let reply = client.get(plugin::command(query, &popup(), (now_ms - RANGE_MS, now_ms)));
    plugin::fields(query, &reply)
}

/// Panics unless every field that the panel names exists, and every number is a number.
#[track_caller]
fn assert_drawn(panel: &Value, fields: &[Field]) {
    let about = format!("panel {} of the fields {:?}", panel["title"], names(fields));
    assert!(fields.iter().all(|field| !field.values.is_empty()), "{about}: a field without values");
    for name in fields_named(panel) {
        assert!(fields.iter().any(|field| field.name == name), "{about}: no {name}");
    }
    if let Some(shown) = panel["options"]["reduceOptions"]["fields"].as_str().filter(|shown| !shown.is_empty()) {
        let count = fields.iter().filter(|field| pattern(shown).is_match(&field.name)).count();
        assert!(count == 1 || panel["type"] == "bargauge", "{about}: {count} are shown");
    }
    let words = ["$streamId", "order", "reason", "kind", "sku", "available"];
    let odd = fields.iter().find(|field| !words.contains(&field.name.as_str()) && !field.is_numeric());
    assert_eq!(odd, None, "{about}: not a number");
}

fn names(fields: &[Field]) -> Vec<&str> {
    fields.iter().map(|field| field.name.as_str()).collect()
}

fn the_panels_of_redis_are_drawn(binary: &ServerBinary) {
    let (_server, mut client) = busy_shop(binary);
    let dashboard = load(REDIS);
    let mut drawn = 0;
    for panel in panels(&dashboard) {
        for query in queries(&dashboard, panel).into_iter().filter(|query| query["command"] != TIMESERIES) {
            assert_drawn(panel, &answer(&mut client, query));
            drawn += 1;
        }
    }
    assert_eq!(drawn, 24, "every panel but those of RedisTimeSeries asks one query");
    let length = |client: &mut Client, title: &str| {
        let panel = panels(&dashboard).into_iter().find(|panel| panel["title"] == title).expect("a panel");
        answer(client, queries(&dashboard, panel)[0])[0].values[0].clone()
    };
    assert_eq!(length(&mut client, "Orders open"), "3");
    assert_eq!(length(&mut client, "Dead letters"), "1");
}

fn the_panels_of_timeseries_are_drawn(binary: &ServerBinary) {
    for binary in stack::with_timeseries(binary) {
        let (_server, mut client) = busy_shop(&binary);
        let dashboard = load(REDIS);
        let asking = |panel: &&Value| panel["targets"][0]["command"] == TIMESERIES;
        let all: Vec<&Value> = panels(&dashboard).into_iter().filter(asking).collect();
        assert_eq!(all.len(), 4);
        for panel in all {
            let query = &panel["targets"][0];
            let fields = answer(&mut client, query);
            assert_drawn(panel, &fields);
            let filter = query["filter"].as_str().expect("a filter");
            let (_, metrics) = filter.split_once("metric=(").expect("the metrics of the panel");
            let wanted: BTreeSet<&str> = metrics.trim_end_matches(')').split(',').collect();
            let found = names(&fields).into_iter().filter(|name| *name != "time").collect::<BTreeSet<_>>();
            assert_eq!(found, wanted, "panel {}", panel["title"]);
        }
    }
}

/// The variable `store` lists every store that has samples, by the name that its streams begin with.
fn the_stores_are_found(binary: &ServerBinary) {
    let (_server, mut client) = busy_shop(binary);
    client.int("INV.SET shop:{42} sku-1 1");
    client.int("RPUSH other:metrics x");
    wait_until(DEADLINE, "both stores have samples", || client.int("EXISTS shop:{42}:metrics") == 1);
    let dashboard = load(REDIS);
    let variable = variable(&dashboard, "store");
    let reply = client.get(variable["query"].as_str().expect("a query"));
    // The plugin makes one column of the whole reply, with the cursor first.
    let [cursor, keys] = reply.array() else { panic!("not a scan: {reply:?}") };
    let regex = pattern(variable["regex"].as_str().expect("a pattern"));
    let mut found: Vec<(String, String)> = [cursor.text()]
        .into_iter()
        .chain(keys.texts())
        .filter_map(|key| {
            let captures = regex.captures(&key)?;
            let value = captures["value"].to_owned();
            Some((captures.name("text").map_or_else(|| value.clone(), |text| text.as_str().to_owned()), value))
        })
        .collect();
    found.sort();
    let pair = |text: &str, value: &str| (text.to_owned(), value.to_owned());
    assert_eq!(found, [pair("popup", "{popup}"), pair("shop:{42}", "shop:{42}")]);
    let current = &variable["current"];
    assert_eq!((&current["text"], &current["value"]), (&"popup".into(), &"{popup}".into()));
}

/// The entries that the check in Node draws have the same fields as those of a server.
fn the_check_draws_what_a_server_answers(binary: &ServerBinary) {
    let (_server, mut client) = busy_shop(binary);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/check/entries.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).expect("recorded entries")).expect("JSON");
    for (stream, entries) in recorded.as_object().expect("entries by stream") {
        let live = client.get(cmd!["XREVRANGE", stream.as_str(), "+", "-", "COUNT", 1]);
        let live: Vec<String> = live.array()[0].array()[1].pairs().into_iter().map(|(name, _)| name).collect();
        let words = entries[0][1].as_array().expect("fields").iter().filter_map(Value::as_str);
        assert_eq!(words.step_by(2).collect::<Vec<_>>(), live, "record {stream} anew in grafana/check/entries.json");
    }
}

/// Every series that a panel queries in Prometheus is exported by the console.
fn the_panels_of_prometheus_are_drawn(binary: &ServerBinary) {
    let (server, _client) = busy_shop(binary);
    let watcher = Watcher::of(binary, &server);
    let mut exported = String::new();
    wait_until(DEADLINE, "the console has the last sample", || {
        exported = watcher.get("/metrics").body;
        exported.contains("holdfast_dead_letters{store=\"popup\"} 1\n") && exported.contains("lane=\"express\"")
    });
    let dashboard = load(PROMETHEUS);
    let all = panels(&dashboard);
    let asked = all.iter().flat_map(|panel| queries(&dashboard, panel)).map(|query| query["expr"].as_str());
    let stores = variable(&dashboard, "store")["query"]["query"].as_str();
    let expressions: Vec<&str> = asked.chain([stores]).map(|text| text.expect("an expression")).collect();
    assert!(expressions.len() > all.len());
    for expression in expressions {
        assert_exported(expression, &exported);
    }
}

/// Every number that a rule or an alert of Prometheus names is exported by the console.
fn the_rules_name_what_is_exported(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    let replica = server.replica(binary);
    let (watcher, follower) = (Watcher::of(binary, &server), Watcher::of(binary, &replica));
    client.text("ORDER.PLACE popup o-7 c-7 ITEMS sku-1 1");
    let mut exported = String::new();
    wait_until(DEADLINE, "the console knows the replica, and a histogram has begun", || {
        exported = watcher.get("/metrics").body + &follower.get("/metrics").body;
        ["holdfast_replica_lag_bytes{", "\nholdfast_primary_link_up ", "holdfast_order_duration_seconds_bucket{"]
            .into_iter()
            .all(|name| exported.contains(name))
    });
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/grafana/rules/holdfast.yml"));
    // Names that rules record have a colon before them, or one behind.
    let name = Regex::new(r"(?:^|[^:\w])(holdfast_\w+)(?:[^:\w]|$)").expect("a pattern");
    let rules = rules.expect("the rules");
    let names: BTreeSet<&str> =
        name.captures_iter(&rules).map(|found| found.get(1).expect("a name").as_str()).collect();
    assert!(names.len() > 15, "the pattern finds only {names:?}");
    // The nodes of a cluster: a test of `watch_servers` sees those.
    for name in names.into_iter().filter(|name| *name != "holdfast_node_up") {
        let is_exported =
            exported.lines().any(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']));
        assert!(is_exported, "{name} is not in\n{exported}");
    }
}

/// Panics unless each series in an expression is exported, with the labels that the expression uses.
#[track_caller]
fn assert_exported(expression: &str, exported: &str) {
    let selector = Regex::new(r"(holdfast_\w+)(?:\{([^}]*)\})?").expect("a pattern");
    let mut found = selector.captures_iter(expression).peekable();
    assert!(found.peek().is_some(), "{expression} asks for nothing of Holdfast");
    for selected in found {
        let labels = selected.get(2).map_or("", |labels| labels.as_str()).replace("$store", "popup");
        let wanted: Vec<&str> = labels.split(',').filter(|label| !label.is_empty()).collect();
        let matches = |line: &str| {
            let rest = line.strip_prefix(&selected[1]).filter(|rest| rest.starts_with(['{', ' ']));
            rest.is_some_and(|rest| wanted.iter().all(|label| rest.contains(label)))
        };
        assert!(exported.lines().any(matches), "{}{{{labels}}} of {expression} is not in\n{exported}", &selected[1]);
    }
}
