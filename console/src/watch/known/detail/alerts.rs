//! What somebody should look at: the stream `…:alerts`, its last entries in a detail, all of it page by page.

use holdfast_engine::terms::alerts::AlertKind;
use redis::{Cmd, RedisError, Value, cmd};
use serde::Serialize;

use super::scan::{Answers, Asker, OrderRef, Questions};
use crate::store::stream_of;
use crate::watch::known::ask::AskError;
use crate::watch::known::id::{Named, name_of};
use crate::watch::known::model::Key;
use crate::watch::known::reply::{Pairs, bytes, entry, items};
use crate::watch::known::sample::EntryId;
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
    /// `None` where it is about an order.
    pub sku: Option<Named>,
    /// Units of the SKU that were available then.
    pub available: Option<i64>,
    pub order: Option<OrderRef>,
    pub reason: String,
}

impl AlertLine {
    fn of(alert: Value) -> Option<AlertLine> {
        let id = id_of_entry(&alert)?;
        Some(AlertLine::new(id, &entry(alert)?))
    }

    fn new(id: EntryId, fields: &Pairs<Value>) -> AlertLine {
        let text = |name| name_of(&fields.bytes(name));
        let kind = text("kind");
        // A later version may know more kinds.
        let known = AlertKind::ALL.iter().find(|known| known.name() == kind);
        let named = |name| Some(fields.bytes(name)).filter(|id| !id.is_empty()).map(|id| Named::of(&id));
        AlertLine {
            entry: id.to_string(),
            at: i64::try_from(id.ms).unwrap_or(i64::MAX),
            label: known.map_or(kind.clone(), |kind| kind.label().to_string()),
            tone: known.map_or(Tone::Muted, |kind| tone_of_alert(*kind)),
            kind,
            sku: named("sku"),
            available: text("available").parse().ok(),
            order: named("order"),
            reason: text("reason"),
        }
    }
}

/// The last alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Alerts {
    /// Whether there are older ones.
    pub truncated: bool,
    /// Newest first.
    pub shown: Vec<AlertLine>,
}

/// Asks for the last alerts.
pub fn ask(key: &Key, questions: &mut Questions) {
    questions.add(range(key, None, SHOWN));
}

/// The last alerts, newest first.
pub fn take(answers: &mut Answers) -> Result<Alerts, AskError> {
    // An outsider put something else in place of the stream: everything else can be shown.
    let AlertPart { found, next, .. } = part_of(answers.take_or(items, Vec::new())?, SHOWN);
    Ok(Alerts { truncated: next.is_some(), shown: found })
}

/// A part of all alerts, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertPart {
    pub found: Vec<AlertLine>,
    /// The entry that older ones come after, if there are any.
    pub next: Option<EntryId>,
    /// Entries that were looked at.
    pub looked: usize,
}

/// The alerts that are older than an entry, or all, `count` at most. Fails when the server is away, or refuses.
pub async fn read_alerts(
    asker: &mut Asker<'_>,
    before: Option<EntryId>,
    count: usize,
) -> Result<AlertPart, RedisError> {
    let entries: Value = range(asker.key, before, count).query_async(asker.connection).await?;
    Ok(part_of(items(entries), count))
}

/// Asks for one more than `count`: whether there is one.
fn range(key: &Key, before: Option<EntryId>, count: usize) -> Cmd {
    let start = before.map_or("+".into(), |id| format!("({id}"));
    cmd("XREVRANGE").arg(stream_of(key, "alerts")).arg(start).arg("-").arg("COUNT").arg(count + 1).clone()
}

fn part_of(mut entries: Vec<Value>, count: usize) -> AlertPart {
    let is_more = entries.len() > count;
    entries.truncate(count);
    let next = entries.last().filter(|_| is_more).and_then(id_of_entry);
    let looked = entries.len();
    AlertPart { found: entries.into_iter().filter_map(AlertLine::of).collect(), next, looked }
}

fn id_of_entry(entry: &Value) -> Option<EntryId> {
    let id = bytes(items(entry.clone()).into_iter().next()?)?;
    EntryId::of(str::from_utf8(&id).ok()?)
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
        assert_eq!((line.sku, line.available, line.order), (Some(Named::of(b"mug")), Some(-3), None));
        let dead = [("kind", "order.dead"), ("sku", ""), ("order", "o-1"), ("available", ""), ("reason", "lost")];
        let line = AlertLine::of(alert("1701-0", &dead)).expect("an alert");
        assert_eq!((line.order, line.available, line.reason.as_str()), (Some(OrderRef::of(b"o-1")), None, "lost"));
    }

    #[test]
    fn a_part_says_whether_there_is_another() {
        let entries = |ids: &[&str]| ids.iter().map(|id| alert(id, &[("kind", "stock.low")])).collect::<Vec<_>>();
        let part = part_of(entries(&["9-0", "8-1", "8-0"]), 2);
        let found: Vec<_> = part.found.iter().map(|line| line.entry.as_str()).collect();
        assert_eq!((found, part.next, part.looked), (vec!["9-0", "8-1"], Some(EntryId { ms: 8, seq: 1 }), 2));
        assert_eq!(part_of(entries(&["9-0", "8-1"]), 2).next, None);
        assert_eq!(part_of(Vec::new(), 2), AlertPart { found: Vec::new(), next: None, looked: 0 });
    }

    #[test]
    fn what_others_wrote_is_shown_as_far_as_it_goes() {
        let line = AlertLine::of(alert("1-1", &[("kind", "moon.full")])).expect("an alert");
        assert_eq!((line.label.as_str(), line.tone, line.available), ("moon.full", Tone::Muted, None));
        assert_eq!(AlertLine::of(alert("later", &[])), None);
        assert_eq!(AlertLine::of(Value::Nil), None);
    }
}
