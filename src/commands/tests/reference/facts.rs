//! What the reference says of each argument, next to what the table of commands says: what it may be, its default, and
//! what it means. The suite sends values at and past the ends of each range.

use holdfast_engine::base::units::{MAX_DATA_BYTES, MAX_ID_BYTES, MAX_QUANTITY};
use holdfast_engine::calls::lanes::LANES_MAX;

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// The key of a store or lock.
    Key,
    /// An id, binary-safe.
    Id,
    /// The name of a lane: an id, or empty.
    Lane,
    /// Any bytes.
    Text,
    /// JSON.
    Json,
    /// A pattern as in KEYS.
    Pattern,
    /// 0, or what the last call replied.
    Cursor,
    /// An integer.
    Int(i64, i64),
    /// One of these words.
    Words(&'static str),
    /// A keyword alone.
    Keyword,
}

impl Range {
    /// The range in words.
    pub fn text(self) -> String {
        match self {
            Range::Key => format!("key, 1 to {MAX_ID_BYTES} bytes"),
            Range::Id => format!("1 to {MAX_ID_BYTES} bytes"),
            Range::Lane => format!("0 to {MAX_ID_BYTES} bytes"),
            Range::Text => format!("0 to {MAX_DATA_BYTES} bytes"),
            Range::Json => format!("JSON, at most {MAX_DATA_BYTES} bytes"),
            Range::Pattern => "a pattern as in KEYS".to_owned(),
            Range::Cursor => "0, or a cursor of the last reply".to_owned(),
            Range::Int(min, max) => format!("integer, {min} to {max}"),
            Range::Words(words) => words.to_owned(),
            Range::Keyword => "keyword".to_owned(),
        }
    }
}

/// What is known of an argument.
pub struct Fact {
    /// The command; empty: of every command that has such an argument.
    pub command: &'static str,
    /// Its keyword, or its name; behind a dot the name of a part that has no keyword: `ITEMS.qty`.
    pub arg: &'static str,
    pub range: Range,
    /// `ms`, `units` …; empty for what has none.
    pub unit: &'static str,
    /// What counts if it is left out; empty for what cannot be left out.
    pub default: &'static str,
    pub meaning: &'static str,
}

const MAX: i64 = MAX_QUANTITY as i64;
const FROM_0: Range = Range::Int(0, MAX);
const FROM_1: Range = Range::Int(1, MAX);

macro_rules! facts {
    ($($command:literal $arg:literal: $range:expr, $unit:literal, $default:literal, $meaning:literal;)*) => {
        &[$(Fact {
            command: $command,
            arg: $arg,
            range: $range,
            unit: $unit,
            default: $default,
            meaning: $meaning,
        }),*]
    };
}

/// An argument of a command first, then one that means the same in every command.
pub const FACTS: &[Fact] = facts! {
    "STORE.SET" "field": Range::Words("a name of the table of settings"), "", "",
        "the setting";
    "STORE.SET" "value": Range::Words("integer, or `yes` or `no`"), "", "",
        "its value; each setting has its own least value";
    "STORE.GET" "field": Range::Words("a name of the table of settings"), "", "all settings",
        "a setting that is wanted";

    "INV.SET" "on-hand": FROM_0, "units", "", "how many units there are now: an absolute count";
    "INV.SET" "SAFETY": FROM_0, "units", "as it was; at first 0", "units that are never sold";
    "INV.SET" "LOW": FROM_0, "units", "as it was; at first 0",
        "the low mark: when at most so many are available, `stock.low` is published";
    "INV.SET" "LIMIT": FROM_0, "units", "as it was; at first 0", "units of this SKU one customer may have; 0: no limit";
    "INV.SET" "BACKLOG": FROM_0, "units", "as it was; at first no bound",
        "units that may be waited for (ORDER.PLACE … WAIT); 0: nobody may wait, the largest number: no bound";
    "INV.ADJUST" "delta": Range::Int(-MAX, MAX), "units", "", "units to add, or with a minus to take away; not 0";
    "INV.ADJUST" "REASON": Range::Text, "", "empty", "why, for the journal; its first 200 bytes are kept";
    "INV.SCAN" "MATCH": Range::Pattern, "", "all", "only SKUs with a matching id";
    "INV.SCAN" "LOW": Range::Keyword, "", "all", "only SKUs that are at or below their low mark";
    "INV.SYNC" "source": Range::Id, "", "", "the feed: each source counts on its own";
    "INV.SYNC" "seq": FROM_0, "", "",
        "the number of this message in the feed: the last one + 1; the first of a source may be any";
    "INV.SYNC" "ITEMS.on-hand": FROM_0, "units", "", "how many units there are now: an absolute count";

    "INV.RESERVE" "hold": Range::Id, "", "", "the id of the hold, chosen by the caller: a cart, a checkout";
    "INV.RESERVE" "CUSTOMER": Range::Id, "", "nobody: no limit counts", "whose units they count as";
    "INV.RESERVE" "TTL": FROM_1, "ms", "`hold-ms` of the store", "how long the hold lasts; at most `hold-max-ms`";
    "INV.RESERVE" "REPLACE": Range::Keyword, "", "a hold that exists is not changed",
        "the hold becomes exactly this, whatever it was before";
    "INV.EXTEND" "ms": FROM_1, "ms", "", "how long the hold lasts from now";
    "INV.COMMIT" "ITEMS.sku": Range::Id, "", "all that is left", "a SKU of the hold";
    "INV.RELEASE" "ITEMS.sku": Range::Id, "", "all that is left", "a SKU of the hold";
    "INV.HOLDS" "CUSTOMER": Range::Id, "", "all customers", "only holds of this customer";

    "ORDER.PLACE" "order": Range::Id, "", "", "the id of the order, chosen by the caller; a repeated call has the same";
    "ORDER.PLACE" "GROUP": Range::Id, "", "none",
        "orders of a group are handed out one at a time, in the order placed";
    "ORDER.PLACE" "LANE": Range::Lane, "", "empty: the default lane",
        "the part of the queue; at most 64 named lanes at a time";
    "ORDER.PLACE" "DATA": Range::Json, "", "none", "what the worker needs to know; handed out with the order";
    "ORDER.PLACE" "GATE.gate": Range::Id, "", "no gate", "a gate to pass before workers get the order; up to 8";
    "ORDER.PLACE" "GATE.ms": FROM_0, "ms", "",
        "when the gate expires, from the moment the order has its units; 0: never";
    "ORDER.PLACE" "WAIT.ms": FROM_0, "ms", "0: without limit",
        "WAIT: where units are short, wait for them, at most so long; without WAIT the order is refused";
    "ORDER.PLACE" "HOLD": Range::Id, "", "", "a live hold that becomes the order, instead of ITEMS";
    "ORDER.CLAIM" "worker": Range::Id, "", "", "who asks; each process has a name of its own";
    "ORDER.CLAIM" "COUNT": FROM_1, "orders", "1", "the most orders to hand out; more than 1000 count as 1000";
    "ORDER.CLAIM" "LANES": Range::Int(1, 1 + LANES_MAX as i64), "lanes", "all lanes, in the order queued",
        "how many lanes follow: only orders of these, the first named first";
    "ORDER.CLAIM" "lanes.lane": Range::Lane, "", "", "a lane; empty: the default lane";
    "ORDER.CLAIM" "ORDER": Range::Id, "", "any order", "that very order, if a worker could get it now";
    "ORDER.CLAIM" "BLOCK": FROM_0, "ms", "reply at once", "wait for an order, at most so long; 0: without limit";
    "ORDER.COMPLETE" "RESULT": Range::Json, "", "none", "what came of it; part of the entry in `…:complete`";
    "ORDER.COMPLETE" "CLAIM": Range::Id, "", "no claim", "the worker that gets the next order in the same round trip";
    "ORDER.FAIL" "REASON": Range::Text, "", "empty", "why; its first 200 bytes are kept";
    "ORDER.FAIL" "AFTER": FROM_0, "ms", "a backoff that doubles (`backoff-ms`, `backoff-cap-ms`)",
        "when the retry is due, from now";
    "ORDER.FAIL" "FATAL": Range::Keyword, "", "retry while attempts are left", "the order is dead, without a retry";
    "ORDER.RENEW" "TOKEN": FROM_1, "", "", "the token of the claim";
    "ORDER.RENEW" "LEASE": FROM_1, "ms", "as long as the claim asked for", "how long the lease lasts from now";
    "ORDER.GATE" "ms": FROM_0, "ms", "", "when the gate expires, from now; 0: never";
    "ORDER.ADVANCE" "step": Range::Id, "", "", "the step that is reached: picked, packed, a name of yours";
    "ORDER.ADVANCE" "FROM": Range::Id, "", "any step", "only if this is the step now";
    "ORDER.REDRIVE" "order": Range::Id, "", "", "a dead order";
    "ORDER.REDRIVE" "ALL": Range::Keyword, "", "", "all dead orders, in the order they died, instead of one";
    "ORDER.REDRIVE" "REASON": Range::Pattern, "", "all", "only orders whose reason matches";
    "ORDER.REDRIVE" "COUNT": FROM_1, "orders", "all", "stop after so many";
    "ORDER.PURGE" "REASON": Range::Pattern, "", "all", "only orders whose reason matches";
    "ORDER.PURGE" "COUNT": FROM_1, "orders", "all", "stop after so many";
    "ORDER.EDIT" "LOST": Range::Keyword, "", "what it gives up is put back",
        "what the order gives up is written off: on-hand falls too";
    "ORDER.SPLIT" "new-order": Range::Id, "", "", "the id of the new order, chosen by the caller";
    "ORDER.SPLIT" "LANE": Range::Lane, "", "the lane of the order", "the lane of the new order";
    "ORDER.CANCEL" "REASON": Range::Text, "", "empty", "why; its first 200 bytes are kept";
    "ORDER.RETURN" "CUSTOMER": Range::Id, "", "whoever placed the order",
        "the customer; needed for an order that is forgotten";
    "ORDER.RETURN" "SCRAP": Range::Keyword, "", "they go back to on-hand", "the units are written off";
    "ORDER.SCAN" "STATE": Range::Words("a state"), "", "all states", "only orders in this state";
    "ORDER.SCAN" "CUSTOMER": Range::Id, "", "all customers", "only orders of this customer";
    "ORDER.SCAN" "LANE": Range::Lane, "", "all lanes", "only orders in this lane; empty: the default lane";
    "ORDER.SCAN" "LATE": Range::Keyword, "", "all", "only orders that took or take longer than `sla-ms`";

    "LOCK.ACQUIRE" "owner": Range::Id, "", "", "who asks: the same owner again gets the same token";
    "LOCK.ACQUIRE" "ttl": FROM_1, "ms", "", "how long the lease lasts";
    "LOCK.ACQUIRE" "WAIT": FROM_0, "ms", "reply at once", "wait for the lock, at most so long; 0: without limit";
    "LOCK.RENEW" "token": FROM_1, "", "", "the token that LOCK.ACQUIRE replied";
    "LOCK.RENEW" "ttl": FROM_1, "ms", "", "how long the lease lasts from now";
    "LOCK.RELEASE" "token": FROM_1, "", "", "the token that LOCK.ACQUIRE replied";

    "" "key": Range::Key, "", "", "the store. If it has braces, they must be as in `shop:{42}`";
    "" "sku": Range::Id, "", "", "a SKU of the store";
    "" "hold": Range::Id, "", "", "the id of the hold";
    "" "order": Range::Id, "", "", "the id of the order";
    "" "customer": Range::Id, "", "", "who orders; `limit` counts by it";
    "" "worker": Range::Id, "", "", "the worker, as it names itself in ORDER.CLAIM";
    "" "gate": Range::Id, "", "", "the name of the gate";
    "" "cursor": Range::Cursor, "", "", "where to go on; 0 at the start";
    "" "COUNT": FROM_1, "elements", "10",
        "how many elements to look at; more than 10000 count as 10000. A call may return fewer";
    "" "ITEMS.sku": Range::Id, "", "", "a SKU; up to 2000 pairs, and one that is named twice is added up";
    "" "ITEMS.qty": FROM_1, "units", "", "how many units of it";
    "" "TOKEN": FROM_1, "", "none: the caller is trusted",
        "the token of the claim: refused if it is not the current one";
    "" "LEASE": FROM_1, "ms", "`lease-ms` of the store", "how long the lease lasts";
    "" "REF": Range::Id, "", "none", "an id of this change: the same call with it again changes nothing";
};

/// The fact of an argument of a command.
pub fn fact(command: &str, arg: &str) -> &'static Fact {
    let of = |wanted: &str| FACTS.iter().find(|fact| fact.command == wanted && fact.arg == arg);
    of(command).or_else(|| of("")).unwrap_or_else(|| panic!("{command}: FACTS says nothing of the argument {arg}"))
}
