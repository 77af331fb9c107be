//! What somebody should look at: the last entries of the stream `…:alerts`.

use holdfast_engine::terms::alerts::AlertKind;
use redis::{Value, cmd};
use serde::Serialize;

use super::scan::{Answers, OrderRef, Questions};
use crate::store::stream_of;
use crate::watch::known::ask::AskError;
use crate::watch::known::id::name_of;
use crate::watch::known::model::Key;
use crate::watch::known::reply::{Pairs, bytes, entry, items};
use crate::watch::known::words::{Tone, tone_of_alert};

/// Alerts that are shown: the last.
const SHOWN: usize = 50;

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertLine {
    /// The id of its entry: no other alert has it.
    pub entry: String,
    /// When it was written, Unix milliseconds by the server's clock.
    pub at: i64,
    pub kind: String,
    /// The kind, for people.
    pub label: String,
    pub tone: Tone,
    /// The SKU, for people; empty where it is about an order.
    pub sku: String,
    /// Units of the SKU that were available then.
    pub available: Option<i64>,
    pub order: Option<OrderRef>,
    pub reason: String,
}

impl AlertLine {
    fn of(alert: Value) -> Option<AlertLine> {
        let id = String::from_utf8(bytes(items(alert.clone()).into_iter().next()?)?).ok()?;
        let at = id.split('-').next()?.parse().ok()?;
        Some(AlertLine::new(id, at, &entry(alert)?))
    }

    fn new(entry: String, at: i64, fields: &Pairs<Value>) -> AlertLine {
        let text = |name| name_of(&fields.bytes(name));
        let kind = text("kind");
        // A later version may know more kinds.
        let known = AlertKind::ALL.iter().find(|known| known.name() == kind);
        let order = fields.bytes("order");
        AlertLine {
            entry,
            at,
            label: known.map_or(kind.clone(), |kind| kind.label().to_string()),
            tone: known.map_or(Tone::Muted, |kind| tone_of_alert(*kind)),
            kind,
            sku: text("sku"),
            available: text("available").parse().ok(),
            order: (!order.is_empty()).then(|| OrderRef::of(&order)),
            reason: text("reason"),
        }
    }
}

/// Asks for the last alerts.
pub fn ask(key: &Key, questions: &mut Questions) {
    let mut range = cmd("XREVRANGE");
    range.arg(stream_of(key, "alerts")).arg("+").arg("-").arg("COUNT").arg(SHOWN);
    questions.add(range);
}

/// The last alerts, newest first.
pub fn take(answers: &mut Answers) -> Result<Vec<AlertLine>, AskError> {
    // An outsider put something else in place of the stream: everything else can be shown.
    let entries = answers.take_or(items, Vec::new())?;
    Ok(entries.into_iter().filter_map(AlertLine::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: &str, fields: &[(&str, &str)]) -> Value {
        let text = |text: &str| Value::BulkString(text.into());
        let fields = fields.iter().flat_map(|(name, value)| [text(name), text(value)]);
        Value::Array(vec![text(id), Value::Array(fields.collect())])
    }

    #[test]
    fn an_alert_says_what_when_and_of_what() {
        let out = [("kind", "stock.out"), ("sku", "mug"), ("order", ""), ("available", "-3"), ("reason", "")];
        let line = AlertLine::of(alert("1700-5", &out)).expect("an alert");
        assert_eq!((line.entry.as_str(), line.at, line.label.as_str()), ("1700-5", 1_700, "Sold out"));
        assert_eq!((line.sku.as_str(), line.available, line.order), ("mug", Some(-3), None));
        let dead = [("kind", "order.dead"), ("sku", ""), ("order", "o-1"), ("available", ""), ("reason", "lost")];
        let line = AlertLine::of(alert("1701-0", &dead)).expect("an alert");
        assert_eq!((line.order, line.available, line.reason.as_str()), (Some(OrderRef::of(b"o-1")), None, "lost"));
    }

    #[test]
    fn what_others_wrote_is_shown_as_far_as_it_goes() {
        let line = AlertLine::of(alert("1-1", &[("kind", "moon.full")])).expect("an alert");
        assert_eq!((line.label.as_str(), line.tone, line.available), ("moon.full", Tone::Muted, None));
        assert_eq!(AlertLine::of(alert("later", &[])), None);
        assert_eq!(AlertLine::of(Value::Nil), None);
    }
}
