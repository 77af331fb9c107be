//! The dashboards of `grafana/` take names, legends and descriptions of metrics from the engine's list.

use std::collections::BTreeSet;

use holdfast_engine::terms::metrics::{METRICS, Metric};
use holdfast_engine::terms::prometheus::{self, SERVED};
use regex::Regex;
use serde_json::Value;

/// Fields of a panel that are no metrics: what the data source adds, what the dashboard calculates, what other streams
/// have.
const OTHER_FIELDS: [&str; 10] = [
    "$time",
    "Value",
    "asked total",
    "asked mean",
    "asked half",
    "asked",
    "done mean",
    "done half",
    "done",
    "attempts",
];

fn dashboard(name: &str) -> Value {
    let path = format!("{}/grafana/dashboards/holdfast-{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("a dashboard")).expect("JSON")
}

/// All panels, those of folded rows included.
fn panels(of: &Value) -> Vec<&Value> {
    let own = of["panels"].as_array().into_iter().flatten();
    own.flat_map(|panel| [vec![panel], panels(panel)].concat()).collect()
}

fn by_name(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The names a regular expression finds in the text of a part of a dashboard.
fn found(pattern: &str, part: &Value) -> BTreeSet<String> {
    let text = part.to_string();
    Regex::new(pattern).expect("a pattern").captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

/// The metrics that a panel of Prometheus's dashboard asks for, by the names they are served under.
fn asked_of_prometheus(part: &Value) -> Vec<&'static Metric> {
    let other: Vec<&str> = SERVED.iter().map(|served| served.name).chain([prometheus::REFUSED]).collect();
    let is_other = |name: &String| {
        let family = name.trim_end_matches("_bucket");
        other.contains(&family) || name.starts_with("holdfast_lane_")
    };
    let names = found("(holdfast_[a-z0-9_]+)", part).into_iter().filter(|name| !is_other(name));
    let metric = |name: String| METRICS.iter().find(|metric| prometheus::name(metric) == name).ok_or(name);
    names.map(|name| metric(name).unwrap_or_else(|name| panic!("there is no metric {name}"))).collect()
}

/// The fields of the metrics stream that a panel of the Redis dashboard reads.
fn fields(panel: &Value) -> BTreeSet<String> {
    let mut names = found(r#""fields":"/\^([a-z0-9-]+)\$/""#, panel);
    let lists = [r#""(?:names|include)":\[([^\]]*)\]"#, r"metric=\(([^)]*)\)"];
    for list in lists.iter().flat_map(|pattern| found(pattern, panel)) {
        names.extend(list.split(',').map(|name| name.trim_matches('"').to_owned()));
    }
    names.extend(found(r#""(?:field|left|right)":"([^"]+)""#, panel).into_iter().filter(|name| name != "2"));
    names
}

#[track_caller]
fn assert_describes(panel: &Value, meaning: &str) {
    let (first, rest) = meaning.split_at(1);
    let meaning = format!("{}{rest}.", first.to_uppercase());
    let description = panel["description"].as_str().unwrap_or_default();
    assert!(description.starts_with(&meaning), "{}: {description:?} does not begin with {meaning:?}", panel["title"]);
}

#[test]
fn the_dashboard_of_redis_has_the_words_of_the_metrics() {
    let dashboard = dashboard("redis");
    let mut metrics_read = 0;
    for panel in panels(&dashboard) {
        let names = fields(panel);
        for name in names.iter().filter(|name| !OTHER_FIELDS.contains(&name.as_str())) {
            assert!(by_name(name).is_some(), "panel {}: there is no metric {name}", panel["title"]);
            metrics_read += 1;
        }
        let only = names.iter().next().filter(|_| panel["type"] == "stat").and_then(|name| by_name(name));
        only.into_iter().for_each(|metric| assert_describes(panel, metric.meaning));
        for field in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
            let Some(metric) = field["matcher"]["options"].as_str().and_then(by_name) else { continue };
            let legend = found(r#""displayName","value":"([^"]+)""#, &field["properties"]);
            assert_eq!(legend, [metric.label.to_owned()].into(), "panel {}, {}", panel["title"], metric.name);
        }
    }
    assert!(metrics_read > 20, "the patterns of this test find only {metrics_read} metrics");
}

#[test]
fn the_dashboard_of_prometheus_has_the_words_of_the_metrics() {
    let dashboard = dashboard("prometheus");
    assert!(asked_of_prometheus(&dashboard).len() > 20, "the pattern of this test finds too few metrics");
    for panel in panels(&dashboard) {
        if let ("stat", [metric]) = (panel["type"].as_str().unwrap_or_default(), &asked_of_prometheus(panel)[..]) {
            assert_describes(panel, &prometheus::meaning(metric));
        }
        for target in
            panel["targets"].as_array().into_iter().flatten().filter(|target| target["legendFormat"] != "__auto")
        {
            let [metric] = asked_of_prometheus(&target["expr"])[..] else { continue };
            if !target["expr"].to_string().contains("holdfast_refused_total") {
                assert_eq!(target["legendFormat"], metric.label, "panel {}, {}", panel["title"], metric.name);
            }
        }
    }
}
