//! What happens in a run: commands of clients, and what the world does to the servers.

use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Commands, sent at once. `<new>` is an order that nobody has named yet, `<3>` the fourth to last such order.
    Commands(Vec<String>),
    /// The same in a MULTI.
    Transaction(Vec<String>),
    /// The same in a script.
    Script(Vec<String>),
    /// Commands whose replies are lost: the primary is killed right behind them, and started again.
    KillPrimary(Vec<String>),
    /// A replica is killed and started again: the first, or the replica of that one.
    KillReplica(bool),
    /// The first replica becomes the primary.
    Failover,
    /// Writes wait, and deadlines pass meanwhile.
    Pause { ms: u16 },
    /// The wall clock of a server is set, so many milliseconds from the right time.
    Clock { server: usize, ahead_ms: i64 },
    /// A command of an outsider at the store's streams.
    Meddle(String),
    /// A command of an operator: everything is loaded anew, or a log is rewritten.
    Operate(&'static str),
    /// Memory is full while these commands come.
    Full(Vec<String>),
    /// The store is copied, and the copy dropped.
    Copy,
    /// The store is dumped, and restored under another name.
    Restore,
    /// The store is moved to another key and back.
    Rename,
    /// Deadlines pass.
    Wait { ms: u16 },
}

const STREAMS: [&str; 7] = ["orders", "complete", "journal", "retry", "dead", "metrics", "alerts"];

fn pick(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(choices).prop_map(str::to_owned)
}

/// An order: often a recent one.
fn order() -> impl Strategy<Value = String> {
    prop_oneof![(0..6_u8).prop_map(|back| format!("<{back}>")), (0..30_u8).prop_map(|back| format!("<{back}>"))]
}

/// One or two SKUs, a few units each. `lace` is always short.
fn items() -> impl Strategy<Value = String> {
    let some = (pick(&["shoe", "lace", "box"]), 1..4_u8);
    proptest::collection::vec(some, 1..3).prop_map(|items| {
        let words = items.iter().map(|(sku, units)| format!(" {sku} {units}"));
        format!("ITEMS{}", words.collect::<String>())
    })
}

/// An option that is there or not.
fn maybe(option: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::option::weighted(0.3, option).prop_map(|option| option.map_or(String::new(), |text| format!(" {text}")))
}

fn lasting(word: &'static str) -> impl Strategy<Value = String> {
    (10..300_u16).prop_map(move |ms| format!("{word} {ms}"))
}

fn of(from: u8, letter: char) -> impl Strategy<Value = String> {
    (0..from).prop_map(move |number| format!("{letter}-{number}"))
}

fn place() -> impl Strategy<Value = String> {
    let new = prop_oneof![8 => Just("<new>".to_string()), 1 => order()];
    let options = (
        maybe(of(3, 'g').prop_map(|group| format!("GROUP {group}"))),
        maybe(pick(&["LANE express", "LANE counter"])),
        maybe(lasting("GATE pay")),
        maybe(prop_oneof![Just("WAIT".to_string()), lasting("WAIT")]),
        items(),
    );
    (new, of(6, 'c'), options).prop_map(|(order, customer, (group, lane, gate, wait, items))| {
        format!("ORDER.PLACE popup {order} {customer}{group}{lane}{gate}{wait} {items}")
    })
}

/// What is done with stock, holds and settings.
fn stock() -> BoxedStrategy<String> {
    let sku = || pick(&["shoe", "lace", "box"]);
    let reserve = (of(12, 'h'), maybe(of(6, 'c').prop_map(|c| format!("CUSTOMER {c}"))), maybe(Just("REPLACE".into())));
    prop_oneof![
        3 => (sku(), -3..6_i8, maybe(of(9, 'r').prop_map(|r| format!("REF {r}"))))
            .prop_map(|(sku, delta, reference)| format!("INV.ADJUST popup {sku} {delta}{reference}")),
        1 => (sku(), 0..40_u8).prop_map(|(sku, count)| format!("INV.SET popup {sku} {count}")),
        1 => (sku(), 1..9_u8, 0..40_u8).prop_map(|(sku, seq, n)| format!("INV.SYNC popup erp {seq} ITEMS {sku} {n}")),
        4 => (reserve, lasting("TTL"), items()).prop_map(|((hold, customer, replace), ttl, items)| {
            format!("INV.RESERVE popup {hold}{customer} {ttl}{replace} {items}")
        }),
        2 => (pick(&["COMMIT", "RELEASE"]), of(12, 'h')).prop_map(|(verb, hold)| format!("INV.{verb} popup {hold}")),
        2 => (of(6, 'c'), of(12, 'h'))
            .prop_map(|(customer, hold)| format!("ORDER.PLACE popup <new> {customer} HOLD {hold}")),
        1 => pick(&["limit 0", "limit 9", "attempts 1", "attempts 3", "alerts 5", "history 20", "hold-max-units 4"])
            .prop_map(|setting| format!("STORE.SET popup {setting}")),
    ]
    .boxed()
}

/// What is done with orders.
fn orders() -> BoxedStrategy<String> {
    let lanes = maybe(pick(&["LANES 1 express", "LANES 2 counter express"]));
    prop_oneof![
        8 => place(),
        6 => (of(3, 'w'), 1..6_u8, lasting("LEASE"), lanes).prop_map(|(worker, count, lease, lanes)| {
            format!("ORDER.CLAIM popup {worker} COUNT {count} {lease}{lanes}")
        }),
        1 => (of(3, 'w'), order()).prop_map(|(worker, order)| format!("ORDER.CLAIM popup {worker} ORDER {order}")),
        4 => order().prop_map(|order| format!("ORDER.COMPLETE popup {order}")),
        1 => (order(), of(3, 'w')).prop_map(|(order, worker)| format!("ORDER.COMPLETE popup {order} CLAIM {worker}")),
        2 => (order(), maybe(pick(&["FATAL", "AFTER 20", "REASON boom"])))
            .prop_map(|(order, option)| format!("ORDER.FAIL popup {order}{option}")),
        2 => (order(), maybe(Just("REASON doubt".into())))
            .prop_map(|(order, reason)| format!("ORDER.CANCEL popup {order}{reason}")),
        1 => of(3, 'w').prop_map(|worker| format!("ORDER.YIELD popup {worker}")),
        2 => order().prop_map(|order| format!("ORDER.PASS popup {order} pay")),
        1 => (order(), 10..300_u16).prop_map(|(order, ms)| format!("ORDER.GATE popup {order} fraud {ms}")),
        1 => order().prop_map(|order| format!("ORDER.PASS popup {order} fraud")),
        2 => (order(), maybe(Just("LOST".into())), items())
            .prop_map(|(order, lost, items)| format!("ORDER.EDIT popup {order}{lost} {items}")),
        1 => (order(), items()).prop_map(|(order, items)| format!("ORDER.SPLIT popup {order} <new> {items}")),
        1 => (order(), maybe(Just("SCRAP".into())), items())
            .prop_map(|(order, scrap, items)| format!("ORDER.RETURN popup {order}{scrap} {items}")),
        1 => order().prop_map(|order| format!("ORDER.ADVANCE popup {order} picked")),
        1 => pick(&["ORDER.REDRIVE popup ALL", "ORDER.PURGE popup COUNT 2", "STORE.REPAIR popup"]),
        1 => pick(&["LOCK.ACQUIRE lock me 50", "LOCK.ACQUIRE lock you 500", "LOCK.RELEASE lock 1"]),
    ]
    .boxed()
}

pub fn commands(most: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(prop_oneof![1 => stock(), 3 => orders()], 1..most)
}

fn meddling() -> impl Strategy<Value = String> {
    let what = pick(&["DEL", "UNLINK", "XTRIM MAXLEN 0", "XTRIM MAXLEN 2", "XADD 1", "XADD 2", "PEXPIRE 1"]);
    (what, proptest::sample::select(&STREAMS[..])).prop_map(|(what, stream)| {
        let (verb, rest) = what.split_once(' ').unwrap_or((&what, ""));
        let rest = match (verb, rest) {
            ("XADD", "1") => "* order nobody".to_string(),
            // An hour ahead of everything that the store could write.
            ("XADD", _) => "<ahead>-0 order nobody".to_string(),
            _ => rest.to_string(),
        };
        format!("{verb} {{popup}}:{stream} {rest}")
    })
}

/// Anything that can happen; commands most often.
pub fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => commands(30).prop_map(Happening::Commands),
        2 => commands(6).prop_map(Happening::Transaction),
        2 => commands(6).prop_map(Happening::Script),
        2 => commands(12).prop_map(Happening::KillPrimary),
        1 => any::<bool>().prop_map(Happening::KillReplica),
        1 => Just(Happening::Failover),
        1 => (10..200_u16).prop_map(|ms| Happening::Pause { ms }),
        2 => (0..3_usize, prop_oneof![-86_400_000..0_i64, -900..900_i64])
            .prop_map(|(server, ahead_ms)| Happening::Clock { server, ahead_ms }),
        4 => meddling().prop_map(Happening::Meddle),
        2 => proptest::sample::select(&["DEBUG RELOAD", "DEBUG LOADAOF", "BGREWRITEAOF"][..])
            .prop_map(Happening::Operate),
        1 => commands(10).prop_map(Happening::Full),
        1 => Just(Happening::Copy),
        1 => Just(Happening::Restore),
        1 => Just(Happening::Rename),
        2 => (10..200_u16).prop_map(|ms| Happening::Wait { ms }),
    ]
}
