//! `docs/commands.md`, from the table of commands, and `docs/metrics.md`, from the engine's list of numbers.

use crate::commands::TABLE;
use crate::host::register::{Access, Arg, Kind};
use holdfast_engine::terms::alerts::AlertKind;
use holdfast_engine::terms::metrics::{METRICS, MetricKind};
use holdfast_engine::terms::settings::FIELDS;

/// An argument as Redis's own documentation writes it.
fn syntax(arg: &Arg) -> String {
    let parts: Vec<_> = arg.parts.iter().map(syntax).collect();
    let inner = match arg.kind {
        Kind::OneOf => format!("<{}>", parts.join(" | ")),
        Kind::Block => parts.join(" "),
        Kind::Word => String::new(),
        _ => arg.name.to_owned(),
    };
    let text = [arg.token.unwrap_or_default(), &inner].join(" ");
    let repeated = if arg.token_again { &text } else { &inner };
    let again = if arg.multiple { format!(" [{repeated} …]") } else { String::new() };
    let text = format!("{}{again}", text.trim());
    if arg.optional { format!("[{text}]") } else { text }
}

/// A paragraph in lines of at most 120 columns, each after the first with this indent. Code in backquotes is not
/// broken.
fn wrapped(text: &str, indent: &str) -> String {
    const COLUMNS: usize = 120;
    let (mut out, mut column, mut in_code) = (String::new(), 0, false);
    for word in text.split_inclusive(|letter| {
        in_code ^= letter == '`';
        letter == ' ' && !in_code
    }) {
        let length = word.trim_end().chars().count();
        if column > 0 && column + length > COLUMNS {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(indent);
            column = indent.len();
        }
        out.push_str(word);
        column += word.chars().count();
    }
    out.push('\n');
    out
}

fn reference() -> String {
    let mut out =
        String::from("# Commands\n\nGenerated from the table of commands (`make docs`). For errors see the README.\n");
    for command in TABLE.iter().filter(|command| !command.about.is_internal()) {
        let (about, name) = (&command.about, command.about.title());
        let args: Vec<_> = about.args.iter().map(syntax).collect();
        out.push_str(&format!("\n## {}\n\n```\n{} {}\n```\n\n", name, name, args.join(" ")));
        let what = if name.starts_with("LOCK.") { "lock" } else { "store" };
        let key = match about.access {
            Access::Read => format!("reads the {what}"),
            Access::Update => format!("changes the {what}"),
            Access::Insert => format!("changes the {what}, creates it if it does not exist"),
            Access::Delete => format!("deletes the {what}"),
        };
        let flags = format!("{}; ACL categories: {} holdfast", about.flags, about.acl());
        out.push_str(&wrapped(&format!("{}.", about.summary), ""));
        out.push('\n');
        let facts = [about.reply, about.complexity, &flags, &key, about.since];
        for (name, fact) in ["reply", "complexity", "flags", "key", "since"].into_iter().zip(facts) {
            out.push_str(&wrapped(&format!("- {name}: {fact}"), "  "));
        }
    }
    out.push_str("\n## Settings of STORE.SET\n\n| setting | default | minimum | meaning |\n|---|---|---|---|\n");
    let defaults = holdfast_engine::terms::settings::Settings::default();
    for field in FIELDS {
        let default = defaults.get(*field);
        let (default, min) = if field.is_switch() {
            ("no".to_owned(), "no".to_owned())
        } else {
            (default.to_string(), field.min().to_string())
        };
        out.push_str(&format!("| `{}` | {default} | {min} | {} |\n", field.name(), field.doc()));
    }
    out.push_str(ABOUT_ALERTS);
    for kind in AlertKind::ALL {
        out.push_str(&format!("| `{}` | {} |\n", kind.name(), kind.meaning()));
    }
    out
}

const ABOUT_ALERTS: &str = "
## Alerts

An entry of `…:alerts` has the fields `kind` `sku` `order` `available` `reason`, each empty where there is nothing to
say. It is written when something turns, so a store that sells calmly writes none. No command is refused because an
alert cannot be written: while `…:alerts` is a key of another type, or on another node, alerts are left out.

| kind | meaning |
|---|---|
";

const ABOUT_METRICS: &str = "\
# Metrics

Generated from the engine's list of metrics (`make docs`). Every entry of `{popup}:metrics` has all fields below, in
this order, as integers. A counter counts since the store was created and never falls; a gauge is the value at that
moment. Samples are taken once a second while anything changes (`CONFIG SET holdfast.sample-ms`: how often; 0: never),
the first one at once after a quiet time, and a last one after the last change. The stream keeps `metrics` entries.

The same names are used everywhere:

- `STORE.INFO` has all of them at the moment of the call, except `p50-ms`, `p99-ms` and `max-ms`, which exist only in
  a sample.
- `INFO holdfast` has the sums over all stores, as of their last samples, with underscores instead of dashes. Times
  are not summed.
- `holdfast watch` serves them to Prometheus as `holdfast_<name>`, with underscores instead of dashes; counters end in
  `_total`, and refusals are `holdfast_refused_total` with the label `code`. Of stores whose orders name lanes it has
  `holdfast_lane_queued`, `holdfast_lane_in_work`, `holdfast_lane_retrying` and `holdfast_lane_oldest_waiting_ms` with
  the label `lane` (empty for the orders that name none), as STORE.LANES replies them; at most 65 lanes a store.
- Where RedisTimeSeries is loaded, each is a series `{popup}:ts:<name>` with the labels `store` and `metric` (`CONFIG
  SET holdfast.timeseries on|auto|off`). New series keep a week, and are not deleted with the store.

`INFO holdfast` has what concerns the server itself too. What the module does without a command (deadlines, audits and
repairs, callers that wait) is done in turns between commands: `longest_turn_us` is the CPU time of the longest one in
microseconds, and `longest_turn_at` when that was. Both count since the module was loaded; `CONFIG RESETSTAT` does not
reset them, as the server tells no module of it. How long commands take is in `INFO latencystats` and `SLOWLOG`.

Refusals are counted on the server that refuses, shown in `STORE.INFO` at once, and replicated with the next sample.
Only refused writes are counted: a read changes nothing (`INFO errorstats` counts its errors).

| field | kind | meaning |
|---|---|---|
";

fn metrics() -> String {
    let kind = |kind| if kind == MetricKind::Counter { "counter" } else { "gauge" };
    let rows = METRICS.iter().map(|metric| (metric.name, kind(metric.kind), metric.meaning));
    let rows = rows.map(|(name, kind, meaning)| format!("| `{name}` | {kind} | {meaning} |\n"));
    ABOUT_METRICS.to_owned() + &rows.collect::<String>()
}

/// Panics unless a file of `docs/` has this text; writes it first if `HOLDFAST_WRITE_DOCS` is set.
fn assert_written(name: &str, text: &str) {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/");
    if std::env::var_os("HOLDFAST_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(dir).expect("docs/ can be made");
        std::fs::write(dir.to_owned() + name, text).expect("a file of docs/ can be written");
    }
    let written = std::fs::read_to_string(dir.to_owned() + name).expect("a file of docs/");
    assert!(written == text, "docs/{name} is not what the table says: run `make docs`");
}

#[test]
fn the_reference_is_what_the_table_says() {
    assert_written("commands.md", &reference());
}

#[test]
fn the_reference_of_metrics_is_what_the_engine_says() {
    assert_written("metrics.md", &metrics());
}
