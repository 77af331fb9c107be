//! The dashboards, as far as a test has to understand them.

use regex::Regex;
use serde_json::Value;
use std::path::Path;

/// The data source that reuses another panel's answer.
const SHARED: &str = "-- Dashboard --";

/// A dashboard of `grafana/dashboards`.
#[track_caller]
pub fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/dashboards").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a dashboard is JSON")
}

/// All panels that ask something, those in folded rows too.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = dashboard["panels"].as_array().into_iter().flatten();
    let all = outer.flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()));
    all.filter(|panel| panel["targets"].is_array()).collect()
}

/// The queries of a panel, or those of the panel whose answer it reuses.
#[track_caller]
pub fn queries<'a>(dashboard: &'a Value, panel: &'a Value) -> Vec<&'a Value> {
    let targets: Vec<&Value> = panel["targets"].as_array().expect("targets").iter().collect();
    let Some(shared) = targets.iter().find(|target| target["datasource"]["uid"] == SHARED) else { return targets };
    let asked = panels(dashboard).into_iter().find(|panel| panel["id"] == shared["panelId"]);
    queries(dashboard, asked.expect("the panel whose answer is reused"))
}

/// A variable of the dashboard.
#[track_caller]
pub fn variable<'a>(dashboard: &'a Value, name: &str) -> &'a Value {
    let list = dashboard["templating"]["list"].as_array().expect("variables");
    list.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("no variable {name}"))
}

/// A pattern as Grafana has it: between slashes, or the whole text.
#[track_caller]
pub fn pattern(text: &str) -> Regex {
    let inner = text.strip_prefix('/').and_then(|text| text.strip_suffix('/'));
    Regex::new(&inner.map_or_else(|| format!("^{text}$"), str::to_owned)).expect("a pattern")
}

/// The fields of its answer that a panel names, in transformations, in what it shows and in its overrides; those that
/// its transformations make are not among them.
pub fn fields_named(panel: &Value) -> Vec<String> {
    let mut made: Vec<String> = Vec::new();
    let mut named: Vec<String> = Vec::new();
    for transformation in panel["transformations"].as_array().into_iter().flatten() {
        let options = &transformation["options"];
        let places = ["/include/names", "/reduce/include", "/window/field", "/binary/left"];
        named.extend(places.iter().flat_map(|place| texts(options.pointer(place))));
        // A right side of a number is that number.
        named.extend(texts(options.pointer("/binary/right")).into_iter().filter(|text| text.parse::<f64>().is_err()));
        for names in ["excludeByName", "indexByName", "renameByName"] {
            named.extend(options[names].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
        }
        made.extend(texts(options.get("alias")));
        made.extend(options["renameByName"].as_object().into_iter().flatten().flat_map(|(_, name)| texts(Some(name))));
    }
    for one in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
        named.extend(texts(one.pointer("/matcher/options")));
    }
    named.retain(|name| !made.contains(name));
    named
}

/// A text, or all texts of an array.
fn texts(value: Option<&Value>) -> Vec<String> {
    let all = value.map_or(&[][..], |value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
