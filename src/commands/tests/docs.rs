//! `docs/metrics.md`, from the engine's list of numbers; and what every page that is generated needs.

use crate::host::register::{Arg, Kind};
use holdfast_engine::terms::metrics::{METRICS, MetricKind};
use holdfast_engine::terms::prometheus::{self, SERVED};

/// An argument as Redis's own documentation writes it.
pub fn syntax(arg: &Arg) -> String {
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
pub fn wrapped(text: &str, indent: &str) -> String {
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
- `holdfast watch` serves them to Prometheus, in base units, by the names in the table: see
  [below](#what-holdfast-watch-serves-to-prometheus).
- Where RedisTimeSeries is loaded, each is a series `{popup}:ts:<name>` with the labels `store` and `metric` (`CONFIG
  SET holdfast.timeseries on|auto|off`). New series keep a week, and are not deleted with the store.

`INFO holdfast` has what concerns the server itself too. What the module does without a command (deadlines, audits and
repairs, callers that wait) is done in turns between commands: `longest_turn_us` is the CPU time of the longest one in
microseconds, and `longest_turn_at` when that was. Both count since the module was loaded; `CONFIG RESETSTAT` does not
reset them, as the server tells no module of it. How long commands take is in `INFO latencystats` and `SLOWLOG`.

Refusals are counted on the server that refuses, shown in `STORE.INFO` at once, and replicated with the next sample.
Only refused writes are counted: a read changes nothing (`INFO errorstats` counts its errors).

| field | kind | for Prometheus | meaning |
|---|---|---|---|
";

const ABOUT_PROMETHEUS: &str = "
## What `holdfast watch` serves to Prometheus

`/metrics` has the numbers above with the label `store`; refusals have the label `code` too. Times are in seconds. The
oldest waiting order's age goes on while the store is quiet and takes no samples. Keys that are not text have their
bytes written as `\\xff` in the label, and a backslash is written twice, so that no two stores have the same. A
store in another database than 0 has the label `db`, and in a cluster what concerns a server has the label `node`.

Of stores whose orders name lanes there are `holdfast_lane_queued`, `holdfast_lane_in_work`, `holdfast_lane_retrying`
and `holdfast_lane_oldest_waiting_seconds` with the label `lane` (empty for the orders that name none), as STORE.LANES
replies them; at most 65 lanes a store.

`holdfast_order_duration_seconds` is a histogram that the program makes itself, of the field `took-ms` of the entries
in `…:complete`: a sample has p50, p99 and the maximum of a second, and such numbers cannot be put together over a
longer time or over stores. It counts from the first scrape after the program began or the store was found. From one
scrape to the next it reads at most 4,000 entries of a store and 20,000 in all, the newest ones: of a store that
completes more, it is a part. Take quantiles from it, and numbers of orders from `holdfast_completed_total`. A store
with `history` 0, or a user who may not read `…:complete`, has none.

`/healthz` answers 200 while the server answers, and 503 while it is away. `/readyz` answers 200 once all stores were
found, too. Both ask for no password. Rules and alerts for Prometheus are in `grafana/rules`: see
[grafana.md](grafana.md#alerts).

| name | kind | labels | meaning |
|---|---|---|---|
";

fn metrics() -> String {
    let kind = |kind| if kind == MetricKind::Counter { "counter" } else { "gauge" };
    let rows = METRICS.iter().map(|metric| {
        let (name, kind, served) = (metric.name, kind(metric.kind), prometheus::name(metric));
        format!("| `{name}` | {kind} | `{served}` | {} |\n", metric.meaning)
    });
    ABOUT_METRICS.to_owned() + &rows.collect::<String>() + ABOUT_PROMETHEUS + &served()
}

/// What is served besides the numbers of samples.
fn served() -> String {
    let row = |served: &prometheus::Served| {
        let kind = if served.kind == prometheus::Kind::Histogram { "histogram" } else { "gauge" };
        let labels: Vec<String> = served.labels.split_whitespace().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {kind} | {} | {} |\n", served.name, labels.join(" "), served.meaning)
    };
    SERVED.iter().map(row).collect()
}

/// A file of `docs/`, if it is there.
pub fn read_written(name: &str) -> Option<String> {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/").to_owned() + name).ok()
}

/// Panics unless a file of `docs/` has this text; writes it first if `HOLDFAST_WRITE_DOCS` is set.
pub fn assert_written(name: &str, text: &str) {
    let path = std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/").to_owned() + name);
    if std::env::var_os("HOLDFAST_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("docs/ can be made");
        std::fs::write(&path, text).expect("a file of docs/ can be written");
    }
    let written = read_written(name).expect("a file of docs/");
    assert!(written == text, "docs/{name} is not what the table says: run `make docs`");
}

#[test]
fn the_reference_of_metrics_is_what_the_engine_says() {
    assert_written("metrics.md", &metrics());
}
