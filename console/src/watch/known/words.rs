//! What is shown, and how it is called: the words of the page and of the terminal view. Those of metrics, states and
//! refusals are the engine's; the others are here, once. The page gets all of them as one JSON.

use std::sync::LazyLock;

use holdfast_engine::terms::alerts::AlertKind;
use holdfast_engine::terms::metrics::{Group, METRICS, Metric, MetricKind};
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::states::OrderState;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::sample::metric_at;
use super::series::Column;

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Asked for and placed.
    Placed,
    Completed,
    Queued,
    Work,
    Retry,
    /// Refused, or dead.
    Refused,
    Available,
    /// Demand that is not served.
    Overflow,
    /// Nothing to look at.
    Muted,
}

/// The metric of this name.
///
/// # Panics
/// When it does not exist: a test checks the names in this program.
pub fn metric(name: &str) -> &'static Metric {
    &METRICS[metric_at(name).unwrap_or_else(|| panic!("no metric {name}"))]
}

/// What a metric means: of refusals the code, and why a call is refused with it.
pub fn meaning(metric: &Metric) -> String {
    match Code::ALL.iter().find(|code| code.metric() == metric.name) {
        Some(code) => format!("{}: {}", code.word(), code.why()),
        None => metric.meaning.to_string(),
    }
}

pub fn tone_of(state: OrderState) -> Tone {
    match state {
        OrderState::Queued => Tone::Queued,
        OrderState::Claimed => Tone::Work,
        OrderState::Retrying => Tone::Retry,
        OrderState::Dead => Tone::Refused,
        OrderState::Completed => Tone::Completed,
        OrderState::Cancelled => Tone::Muted,
        OrderState::Pending => Tone::Available,
        OrderState::Waitlisted => Tone::Overflow,
    }
}

pub fn tone_of_alert(kind: AlertKind) -> Tone {
    match kind {
        AlertKind::StockOut | AlertKind::OrderDead => Tone::Refused,
        AlertKind::StockLow | AlertKind::OrderLate => Tone::Retry,
        AlertKind::StockIn => Tone::Available,
        AlertKind::GateExpired | AlertKind::WaitlistExpired => Tone::Overflow,
    }
}

/// The metrics under their headings, gauges first, as they are listed: refusals last.
pub fn groups() -> impl Iterator<Item = (Group, Vec<&'static Metric>)> {
    Group::ALL.into_iter().map(|group| {
        let mut metrics: Vec<&Metric> = METRICS.iter().filter(|metric| metric.group == group).collect();
        metrics.sort_by_key(|metric| metric.kind == MetricKind::Counter);
        (group, metrics)
    })
}

/// A number with its name, its colour, its label and its meaning.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shown {
    /// The metric, or a name of its own for what is computed of several.
    pub name: &'static str,
    pub tone: Tone,
    pub label: &'static str,
    pub meaning: &'static str,
}

const fn shown(name: &'static str, tone: Tone, label: &'static str, meaning: &'static str) -> Shown {
    Shown { name, tone, label, meaning }
}

/// The tiles.
pub const TILES: [Shown; 6] = [
    shown("customers", Tone::Placed, "Customers ordering", "people with units in a cart or an order"),
    shown("processing", Tone::Queued, "Orders processing", "placed and not finished yet"),
    shown("completed", Tone::Completed, "Orders completed", "fulfilled: their units left the building"),
    shown("overflow", Tone::Overflow, "Not served", "orders asked for, less completed: not served yet, or never"),
    shown("refused", Tone::Refused, "Refused", "calls that were refused; the reasons are below"),
    shown("oversold", Tone::Completed, "Oversold", "units promised beyond what is on hand: must stay 0"),
];

/// Where all units are.
pub const SEGMENTS: [Shown; 4] = [
    shown("sold", Tone::Completed, "Sold", "left the building"),
    shown("held", Tone::Queued, "Held", "in carts and open orders"),
    shown("available", Tone::Available, "Available", "can be sold now"),
    shown("safety", Tone::Muted, "Kept back", "safety stock, never sold"),
];

/// The columns of the list of SKUs; the names are those of INV.GET.
pub const SKU_COLUMNS: [Shown; 6] = [
    shown("available", Tone::Available, "Available", "can be sold now"),
    shown("waiting", Tone::Overflow, "Waiting", "units that waitlisted orders wait for, of how many at most (BACKLOG)"),
    shown("held", Tone::Queued, "Held", "in carts and open orders"),
    shown("on-hand", Tone::Muted, "On hand", "in the building"),
    shown("sold", Tone::Completed, "Sold", "left, less those returned"),
    shown("low", Tone::Muted, "Low mark", "at or under it the event stock.low is published"),
];

/// The way of an order until it is done: how many are where.
pub const FLOW: [Shown; 5] = [
    shown("waitlisted", Tone::Overflow, "Waitlisted", "wait for units, first come, first served"),
    shown("pending", Tone::Available, "Pending", "hold their units until every gate is passed"),
    shown("queued", Tone::Queued, "Queued", "wait for a worker"),
    shown("in-work", Tone::Work, "In work", "workers have them under a lease"),
    shown("retrying", Tone::Retry, "Retrying", "an attempt failed; wait for the next one"),
];

/// The columns of the list of lanes; the names are those of STORE.LANES.
pub const LANE_COLUMNS: [Shown; 4] = [
    shown("queued", Tone::Queued, "Queued", "orders that wait for a worker"),
    shown("in-work", Tone::Work, "In work", "orders that workers have under a lease"),
    shown("retrying", Tone::Retry, "Retrying", "orders whose attempt failed and that wait for the next"),
    shown("oldest-waiting-ms", Tone::Muted, "Oldest waiting", "how long ago the order that is next was placed"),
];

/// The numbers of a store among all; `rate` is that of orders placed.
pub const STORE_NUMBERS: [Shown; 5] = [
    shown("available", Tone::Available, "Available", "units that can be sold now"),
    shown("queued", Tone::Queued, "Queued", "orders that wait for a worker"),
    shown("completed", Tone::Completed, "Completed", "orders fulfilled"),
    shown("rate", Tone::Placed, "Orders/s", "orders placed a second, now"),
    shown("refused", Tone::Refused, "Refused", "calls that were refused"),
];

/// The metrics about work that did not go as it should.
pub const TROUBLE: [&str; 4] = ["failed", "retried", "lapsed", "late"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    Rate,
    Count,
    Duration,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChartLine {
    #[serde(rename = "name")]
    pub column: Column,
    pub tone: Tone,
    pub label: &'static str,
    /// Whether the area under it is filled, where that can be drawn.
    #[serde(rename = "filled")]
    is_filled: bool,
    /// Whether many stores have none of it: then it is not in the legend.
    #[serde(rename = "seldom")]
    pub is_seldom: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Chart {
    pub title: &'static str,
    pub meaning: &'static str,
    pub scale: Scale,
    pub lines: &'static [ChartLine],
}

const fn area(column: Column, tone: Tone, label: &'static str) -> ChartLine {
    ChartLine { column, tone, label, is_filled: true, is_seldom: false }
}

const fn line(column: Column, tone: Tone, label: &'static str) -> ChartLine {
    ChartLine { column, tone, label, is_filled: false, is_seldom: false }
}

const fn seldom(column: Column, tone: Tone, label: &'static str) -> ChartLine {
    ChartLine { column, tone, label, is_filled: false, is_seldom: true }
}

/// All charts, the most telling first.
pub const CHARTS: [Chart; 4] = [
    Chart {
        title: "Orders a second",
        meaning: "How many are placed, completed and refused, each second.",
        scale: Scale::Rate,
        lines: &[
            area(Column::Placed, Tone::Placed, "Placed"),
            area(Column::Completed, Tone::Completed, "Completed"),
            line(Column::Refused, Tone::Refused, "Refused"),
        ],
    },
    Chart {
        title: "Orders on their way",
        meaning: "Waiting for units, a gate or a worker, being worked on, or waiting for another attempt.",
        scale: Scale::Count,
        lines: &[
            area(Column::Queued, Tone::Queued, "Queued"),
            line(Column::InWork, Tone::Work, "In work"),
            line(Column::Retrying, Tone::Retry, "Retrying"),
            seldom(Column::Pending, Tone::Available, "Pending"),
            seldom(Column::Waitlisted, Tone::Overflow, "Waitlisted"),
        ],
    },
    Chart {
        title: "Units",
        meaning: "What is left to sell, and what has been sold. Carts: how many are open.",
        scale: Scale::Count,
        lines: &[
            area(Column::Available, Tone::Available, "Available"),
            line(Column::Sold, Tone::Completed, "Sold"),
            line(Column::Holds, Tone::Queued, "Carts open"),
        ],
    },
    Chart {
        title: "From placed to completed",
        meaning: "How long orders took: half of them no longer (p50), 99 of 100 no longer (p99).",
        scale: Scale::Duration,
        lines: &[area(Column::P50, Tone::Work, "p50"), line(Column::P99, Tone::Overflow, "p99")],
    },
];

/// A panel's title, and what it shows.
pub type Panel = (&'static str, &'static str);

pub const REFUSALS_PANEL: Panel =
    ("Refusals by reason", "Calls that the store refused since it was made. A refused call changes nothing.");
pub const DEAD_PANEL: Panel = (
    "Retries and dead letters",
    "Orders out of attempts. Their units are back on sale; they stay until redriven or cancelled.",
);
pub const ALERTS_PANEL: Panel =
    ("Alerts", "What somebody should look at, newest first: it is written when something turns.");
pub const WORKERS_PANEL: Panel =
    ("Workers", "Who has which orders. When a lease expires, another worker gets the order.");
pub const LANES_PANEL: Panel = ("Lanes", "Named parts of the queue. A worker serves those that it names, or all.");
pub const WAITS_PANEL: Panel =
    ("Before the queue", "Orders that wait for a gate or for units; those that expire first on top.");
pub const SKUS_PANEL: Panel = ("Stock by SKU", "Those that people wait for on top, then those that are out or low.");
pub const BROWSE_PANEL: Panel =
    ("All records", "Every order, cart, SKU and alert of the store, page by page. An id leads to the record.");
pub const NUMBERS_PANEL: Panel =
    ("Every number", "All that is counted and measured, as in STORE.INFO and the metrics stream.");

/// Notes on what is shown.
pub const NOTES: [(&str, &str); 7] = [
    (
        "Live, quiet, lost",
        "How old the numbers are. Live: the store changes, and a sample comes every second. Quiet: nothing has changed \
         since, which is no error. Lost: there is no connection; it is tried again without your doing.",
    ),
    (
        "Oversold",
        "Units promised to carts and orders beyond what is on hand. Orders cannot cause it: it is 0 unless somebody \
         counts stock down below what is already held.",
    ),
    (
        "Not served",
        "Orders asked for (placed, and those refused because units ran out) less those completed: during a sale the \
         demand still to be served, after it the demand that found nothing (overflow in the metrics stream).",
    ),
    (
        "Waitlisted and pending",
        "A waitlisted order waits for units and gets those that come free, first come, first served. A pending one has \
         its units and waits for a gate: a payment, a check. Both are queued by themselves once they have what they \
         wait for, and cancelled if that does not come in time.",
    ),
    (
        "Lanes",
        "Parts of the queue that orders name: express, counter. “–” stands for the orders that name none. Where \
         no order names a lane, none are shown.",
    ),
    ("Latency", "From placed to completed. p50: half of the orders took no longer; p99: 99 of 100 took no longer."),
    ("Rates", "Events a second, from one sample to the next; zero while the store is quiet."),
];

/// The way of an order through a store: tone, name, what happens.
const WAY: [(Tone, &str, &str); 5] = [
    (Tone::Available, "Available", "in the building, for sale"),
    (Tone::Placed, "Cart", "held until a deadline; expires, or is ordered"),
    (Tone::Queued, "Queued", "ordered, waits for a worker"),
    (Tone::Work, "In work", "a worker has it, under a lease"),
    (Tone::Completed, "Completed", "the units left the building"),
];

/// The ways of an order that has to wait before it is queued, or whose work fails.
const SIDE_WAYS: [(Tone, &str, &str); 4] = [
    (Tone::Overflow, "Waitlisted", "units are short: the order gets those that come free, first come, first served"),
    (Tone::Available, "Pending", "a gate is not passed yet (a payment, a check): the order holds its units meanwhile"),
    (Tone::Retry, "Retrying", "an attempt failed, or a worker died: back to the queue after a short wait"),
    (Tone::Refused, "Dead", "out of attempts: the units go back on sale, the order waits for you to redrive it"),
];

/// How a fact about an order is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    Text,
    /// A count; not shown if it is 0.
    Count,
    Time,
    /// [`IS_LATE`], or not shown.
    Late,
}

/// Facts about an order: the field of ORDER.GET, its label, how it is written.
pub const FACTS: [(&str, &str, FactKind); 10] = [
    ("customer", "Customer", FactKind::Text),
    ("lane", "Lane", FactKind::Text),
    ("placed-at", "Placed", FactKind::Time),
    ("attempts", "Attempts failed", FactKind::Count),
    ("worker", "Worker", FactKind::Text),
    ("step", "Step", FactKind::Text),
    ("group", "Group", FactKind::Text),
    ("hold", "Cart", FactKind::Text),
    ("reason", "Reason", FactKind::Text),
    ("late", "Late", FactKind::Late),
];

/// What to do where there is nothing to see: a title, a sentence, and a command in which `{store}` and `{sku}` stand
/// for names.
pub type Hint = [&'static str; 3];

/// The store keeps no samples.
pub const HINT_OFF: Hint =
    ["Nothing is sampled here", "This store keeps no metrics. Switch them on:", "STORE.SET {store} metrics 7200"];
/// The store has no SKU.
pub const HINT_BARE: Hint = ["Nothing to sell yet", "Give the store some units:", "INV.SET {store} mug 100 LOW 10"];
/// The store has sold nothing.
pub const HINT_UNSOLD: Hint = [
    "No orders yet",
    "The first order or cart shows up here within a second:",
    "ORDER.PLACE {store} o-1001 alice ITEMS {sku} 1",
];

/// How to begin, where there is no store: a step, and its command.
pub const FIRST_STEPS: [(&str, &str); 4] = [
    ("Make a store: two units a customer, carts hold theirs for ten minutes", "STORE.SET popup limit 2 hold-ms 600000"),
    ("Give it something to sell", "INV.SET popup mug 100 LOW 10"),
    ("Sell it", "ORDER.PLACE popup o-1001 alice ITEMS mug 2"),
    ("Or watch a whole sale", "holdfast sale --url redis://127.0.0.1:6379"),
];

macro_rules! texts {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = $text] pub const $name: &str = $text;)*

        /// The texts with their names.
        const TEXTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

texts! {
    AVAILABLE = "what a customer can still buy: on hand less held less kept back";
    NO_REASON = "no reason given";
    IS_LATE = "yes: longer than the store promises (sla-ms)";
    NO_REFUSALS = "Nobody was refused anything yet.";
    NO_DEAD = "No dead letters: no order ran out of attempts.";
    NO_ALERTS = "No alerts: nothing ran out, nothing is late, nothing died.";
    NO_SKUS = "This store has no SKU yet. Make one: INV.SET store sku units.";
    NO_CLAIM_YET = "No worker has claimed an order yet.";
    NO_CLAIM = "No worker has an order right now.";
    NO_LANES = "No order names a lane: there is one queue.";
    NO_LANE = "no lane";
    WAY_OF_ORDERS = "The way of the orders: how many are where";
    NO_LANE_WHY = "–: orders that name no lane";
    NO_WAITS = "No order waits for a gate or for units.";
    FOR_EVER = "no end";
    GATE_OPEN = "not passed yet";
    GATE_PASSED = "passed";
    NEVER_REFUSED = "Not seen so far";
    NO_SUCH_NAME = "No store has such a name.";
    NO_STORE = "No store yet";
    FIRST_STEP = "A store is one key. The first write makes it, and it shows up here by itself. In redis-cli:";
    NOTHING_MEASURED = "Nothing measured yet";
    OVERSOLD_WHY = "Somebody counted stock down below what is held. Count again, or cancel orders.";
    IS_OVERSOLD = "promised, not on hand";
    IS_NOT_OVERSOLD = "as it must be";
    RATE_UNKNOWN = "how fast is not known";
    NOBODY_REFUSED = "nobody was turned away";
    ALL_DONE = "all done";
    NONE_YET = "none yet";
    UNKNOWN_ORDER = "This store knows no such order.";
    UNKNOWN_ORDER_WHY =
        "Either it was never placed here, or it ended so long ago that the store has forgotten it (keep-ms).";
    UNREADABLE_ORDER = "The order could not be read.";
    REDRIVES_ORDER = "It takes its units again and is queued again. If its stock is gone, it stays dead.";
    REDRIVES_REASON =
        "take their units again and are queued again. One whose stock is gone, or whose customer has reached the \
         limit, stays dead.";
    STAYED_DEAD = "stayed dead: stock gone, or the customer's limit reached.";
    CANCELS_ORDER = "Its units go back on sale. A cancelled order cannot be brought back.";
    PASSES_GATE = "the gate counts as passed. With its last gate the order is queued, and workers get it.";
    PAUSES = "Orders are taken on, but nothing is handed to workers. Work that they have goes on.";
    RESUMES = "Workers get orders again.";
    IS_PAUSED = "The store is paused: nothing is handed to workers.";
    IS_RESUMED = "The store is resumed: workers get orders again.";
    IDLE_WHY = "Were seen with an order, and have none now. Whether they still run, a store cannot tell.";
    BROWSE_HINT = "Choose what to see, then Show.";
    BROWSE_NONE = "Nothing of this kind.";
    UNKNOWN_RECORD = "This store knows nothing of this kind with such an id.";
    UNKNOWN_RECORD_WHY =
        "Either it was never here, or it ended so long ago that the store has forgotten it (keep-ms).";
    UNREADABLE_RECORD = "It could not be read.";
    FOUND_SEVERAL = "Several records have this id:";
    FOUND_NONE = "No order, SKU or cart has this id. A store lists no customers; look at what it has of one:";
    CUSTOMER_SUM =
        "In live carts and in orders that are remembered, less those cancelled, dead and returned. Limits also count \
         what is forgotten.";
    NO_HOLDS = "No open cart.";
    NO_HOLDS_OF_SKU = "No open cart has it.";
    NO_ORDERS = "No order that is remembered.";
    PAUSED = "Paused: nothing is handed to workers.";
}

/// All words, for the page.
pub fn json() -> &'static Json {
    static WORDS: LazyLock<Json> = LazyLock::new(all);
    &WORDS
}

fn all() -> Json {
    let groups =
        groups().map(|(group, metrics)| json!({ "label": group.label(), "metrics": each(metrics, metric_json) }));
    let state = |state: OrderState| {
        let about = json!({ "label": state.label(), "tone": tone_of(state), "meaning": state.meaning() });
        (state.name().to_string(), about)
    };
    json!({
        "groups": groups.collect::<Vec<_>>(),
        "refusals": each(Code::ALL, refusal_json),
        "states": OrderState::ALL.into_iter().map(state).collect::<Map<_, _>>(),
        "tiles": TILES,
        "segments": SEGMENTS,
        "skuColumns": SKU_COLUMNS,
        "flow": FLOW,
        "laneColumns": LANE_COLUMNS,
        "storeNumbers": STORE_NUMBERS,
        "trouble": each(TROUBLE, |name| metric_json(metric(name))),
        "charts": CHARTS,
        "panels": {
            "alerts": ALERTS_PANEL, "refusals": REFUSALS_PANEL, "dead": DEAD_PANEL,
            "workers": WORKERS_PANEL, "skus": SKUS_PANEL, "lanes": LANES_PANEL, "waits": WAITS_PANEL,
            "numbers": NUMBERS_PANEL, "browse": BROWSE_PANEL,
        },
        "notes": NOTES,
        "way": WAY,
        "sideWays": SIDE_WAYS,
        "facts": FACTS,
        "hints": { "off": HINT_OFF, "bare": HINT_BARE, "unsold": HINT_UNSOLD },
        "firstSteps": FIRST_STEPS,
        "texts": TEXTS.iter().map(|(name, text)| (name.to_string(), json!(text))).collect::<Map<_, _>>(),
    })
}

fn each<T>(all: impl IntoIterator<Item = T>, json: impl FnMut(T) -> Json) -> Vec<Json> {
    all.into_iter().map(json).collect()
}

fn refusal_json(code: &Code) -> Json {
    json!({ "name": code.metric(), "code": code.word(), "label": code.label(), "meaning": code.why() })
}

fn metric_json(metric: &Metric) -> Json {
    json!({ "name": metric.name, "label": metric.label, "meaning": meaning(metric) })
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn every_name_is_that_of_a_metric_and_has_its_label() {
        let computed = ["processing", "refused", "safety", "low", "rate", "waiting"];
        let shown = [&TILES[..], &SEGMENTS, &SKU_COLUMNS, &STORE_NUMBERS, &FLOW, &LANE_COLUMNS].concat();
        for one in shown.iter().filter(|one| !computed.contains(&one.name)) {
            let label = metric(one.name).label;
            assert!(one.label == label || TILES.iter().any(|tile| tile.label == one.label), "{one:?}: {label}");
        }
        TROUBLE.iter().for_each(|name| assert_eq!(metric(name).name, *name));
        let lines: Vec<_> = CHARTS.iter().flat_map(|chart| chart.lines).collect();
        let computed = ["Refused", "p50", "p99"];
        for line in lines.iter().filter(|line| !computed.contains(&line.label)) {
            assert_eq!(line.label, metric(line.column.name()).label);
        }
        assert_eq!(lines.len(), Column::VARIANTS.len());
    }

    #[test]
    fn the_page_gets_every_metric_once() {
        let groups = json()["groups"].as_array().expect("groups");
        let names = groups.iter().flat_map(|group| group["metrics"].as_array().expect("metrics"));
        assert_eq!(names.count(), METRICS.len());
        assert_eq!(json()["states"]["claimed"]["label"], "In work");
        assert_eq!(json()["texts"]["NO_REASON"], NO_REASON);
    }

    /// All that people read in a JSON: not the names of metrics, tones, columns and scales.
    fn read_in(json: &Json, read: &mut Vec<String>) {
        match json {
            Json::String(text) => read.push(text.clone()),
            Json::Array(all) => all.iter().for_each(|one| read_in(one, read)),
            Json::Object(all) => {
                let shown = all.iter().filter(|(key, _)| !["name", "tone", "column"].contains(&key.as_str()));
                shown.for_each(|(_, value)| read_in(value, read));
            }
            _ => {}
        }
    }

    #[test]
    fn words_that_users_did_not_understand_are_not_said() {
        let mut read = Vec::new();
        read_in(json(), &mut read);
        read.extend(AlertKind::ALL.iter().map(|kind| kind.label().to_string()));
        read.extend(METRICS.iter().flat_map(|metric| [metric.label, metric.meaning].map(String::from)));
        assert!(read.len() > 300 && read.iter().any(|text| text == "Not served"), "{} texts", read.len());
        // The ways of an order begin with their tone; what the stream calls a number is named as its name.
        let tone = |text: &str| text == "overflow";
        for text in read.iter().filter(|text| !tone(text)) {
            let rest = text.replace("(overflow in the metrics stream)", "").to_lowercase();
            assert!(!rest.contains("overflow") && !rest.contains("not once"), "{text}");
        }
    }
}
