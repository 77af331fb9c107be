//! What the Redis data source 2.x for Grafana sends for a query, and what it makes of the reply.

use crate::common::Reply;
use serde_json::Value;

/// The variable `store` of the dashboard, as it was chosen.
pub struct Chosen {
    /// What `${store}` stands for.
    pub value: String,
    /// What `${store:text}` stands for.
    pub text: String,
}

impl Chosen {
    fn fill(&self, text: &str) -> String {
        text.replace("${store:text}", &self.text).replace("${store}", &self.value)
    }
}

/// The command of a query, over a time range of Unix milliseconds.
#[track_caller]
pub fn command(query: &Value, store: &Chosen, (from_ms, to_ms): (i64, i64)) -> Vec<Vec<u8>> {
    let name = query["command"].as_str().expect("a command");
    let mut words = vec![name.to_owned()];
    match name {
        "xlen" => words.push(key(query, store)),
        "xrange" => words.extend([key(query, store), bound(query, "start", from_ms), bound(query, "end", to_ms)]),
        "xrevrange" => words.extend([key(query, store), bound(query, "end", to_ms), bound(query, "start", from_ms)]),
        "ts.mrange" => words.extend(series(query, store, (from_ms, to_ms))),
        other => panic!("a panel asks {other}, which no test knows"),
    }
    if let Some(count) = query["count"].as_i64() {
        words.extend(["COUNT".to_owned(), count.to_string()]);
    }
    words.into_iter().map(String::into_bytes).collect()
}

fn key(query: &Value, store: &Chosen) -> String {
    store.fill(query["keyName"].as_str().expect("a key"))
}

fn bound(query: &Value, name: &str, ms: i64) -> String {
    query[name].as_str().map_or_else(|| format!("{ms}-0"), str::to_owned)
}

fn series(query: &Value, store: &Chosen, (from_ms, to_ms): (i64, i64)) -> Vec<String> {
    let text = |name: &str| query[name].as_str().unwrap_or_else(|| panic!("no {name} in {query}"));
    let filters = shlex::split(&store.fill(text("filter"))).expect("quotes that end");
    let bucket_ms = query["bucket"].as_i64().expect("a bucket");
    let range = [from_ms.to_string(), to_ms.to_string()];
    let aggregation = ["AGGREGATION".to_owned(), text("aggregation").to_owned(), bucket_ms.to_string()];
    let labels = ["WITHLABELS", "FILTER"].map(str::to_owned);
    range.into_iter().chain(aggregation).chain(labels).chain(filters).collect()
}

/// A column of a frame.
#[derive(Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub values: Vec<String>,
}

impl Field {
    fn new(name: impl Into<String>, values: Vec<String>) -> Field {
        Field { name: name.into(), values }
    }

    /// Whether every value is a number.
    pub fn is_numeric(&self) -> bool {
        self.values.iter().all(|value| value.parse::<f64>().is_ok_and(f64::is_finite))
    }
}

/// The columns of all frames of a reply.
#[track_caller]
pub fn fields(query: &Value, reply: &Reply) -> Vec<Field> {
    match query["command"].as_str() {
        Some("xlen") => vec![Field::new("Value", vec![reply.int().to_string()])],
        Some("ts.mrange") => reply.array().iter().flat_map(|series| series_fields(query, series)).collect(),
        _ => stream_fields(reply.array()),
    }
}

/// A series' column is called by the label that the query names, and so is its frame.
fn series_fields(query: &Value, series: &Reply) -> Vec<Field> {
    let [_key, labels, points] = series.array() else { panic!("not a series: {series:?}") };
    let label = |name: &str| {
        let pair = labels.array().iter().map(Reply::texts).find(|pair| pair[0] == name);
        pair.unwrap_or_else(|| panic!("no label {name} in {labels:?}")).swap_remove(1)
    };
    let named = |what: &str| label(query[what].as_str().expect("a label"));
    assert_eq!(named("legend"), named("value"));
    let column = |of: fn(&[Reply]) -> String| points.array().iter().map(|point| of(point.array())).collect();
    vec![
        Field::new("time", column(|point| point[0].int().to_string())),
        Field::new(named("value"), column(|point| point[1].text())),
    ]
}

/// All entries have the same fields: the plugin would fill up those that lack one with zeros.
fn stream_fields(entries: &[Reply]) -> Vec<Field> {
    let ids: Vec<String> = entries.iter().map(|entry| entry.array()[0].text()).collect();
    let times = ids.iter().map(|id| id.split('-').next().unwrap_or_default().to_owned()).collect();
    let mut fields = vec![Field::new("$streamId", ids), Field::new("$time", times)];
    let rows: Vec<_> = entries.iter().map(|entry| entry.array()[1].pairs()).collect();
    for (place, (name, _)) in rows.first().into_iter().flatten().enumerate() {
        let value = |row: &Vec<(String, Reply)>| {
            assert_eq!(&row[place].0, name, "every entry has the same fields");
            row[place].1.text()
        };
        fields.push(Field::new(name, rows.iter().map(value).collect()));
    }
    fields
}
