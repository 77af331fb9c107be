//! The calls of a run. There are only a few ids, so that calls meet: retries, other content, ended things.

use super::books::Books;
use proptest::prelude::*;

/// The SKUs of the store.
pub const SKUS: [&str; 3] = ["s-0", "s-1", "s-2"];

/// The lanes of orders, the default one first.
pub const LANES: [&str; 3] = ["", "fast", "slow"];

/// Items: a SKU's number and units, each SKU once, in order.
pub type Items = Vec<(usize, i64)>;

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Limit(i64),
    Backlog { sku: usize, units: i64 },
    Adjust { sku: usize, delta: i64, reference: Option<u8> },
    Reserve { hold: u8, customer: Option<u8>, replace: bool, items: Items },
    Close { hold: u8, commit: bool, reference: Option<u8>, items: Option<Items> },
    Place { order: u8, customer: u8, lane: usize, gates: Vec<u8>, wait: bool, items: Items },
    PlaceHold { order: u8, customer: u8, hold: u8 },
    Gate { order: u8, gate: u8 },
    Pass { order: u8, gate: u8 },
    Claim { worker: u8, pick: Pick },
    Yield { worker: u8 },
    Die { order: u8 },
    Purge,
    Complete { order: u8, result: Option<u8> },
    Cancel { order: u8 },
    Edit { order: u8, token: bool, reference: Option<u8>, lost: bool, items: Items },
    Split { order: u8, new: u8, token: bool, lane: Option<usize>, items: Items },
    Return { order: u8, reference: Option<u8>, scrap: bool, items: Items },
}

/// Which order a worker asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    Any,
    Lanes(Vec<usize>),
    Order(u8),
}

/// How calls reach the server: one alone, several in a transaction, one from a script.
#[derive(Clone, Debug)]
pub enum Sent {
    Alone(Call),
    Together(Vec<Call>),
    Scripted(Call),
}

fn items() -> impl Strategy<Value = Items> {
    proptest::collection::btree_map(0..SKUS.len(), 1..4_i64, 1..3).prop_map(|items| items.into_iter().collect())
}

fn reference() -> impl Strategy<Value = Option<u8>> {
    proptest::option::of(0..6_u8)
}

fn gates() -> impl Strategy<Value = Vec<u8>> {
    let some = proptest::collection::btree_set(0..3_u8, 1..3).prop_map(|gates| gates.into_iter().collect());
    prop_oneof![3 => Just(Vec::new()), 1 => some]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        2 => Just(Pick::Any),
        2 => Just(vec![0, 1, 2]).prop_shuffle().prop_flat_map(|lanes| {
            (1..=lanes.len()).prop_map(move |count| Pick::Lanes(lanes[..count].to_vec()))
        }),
        1 => (0..12_u8).prop_map(Pick::Order),
    ]
}

fn of_hold() -> impl Strategy<Value = Call> {
    let (hold, customer) = (0..10_u8, 0..4_u8);
    prop_oneof![
        5 => (hold.clone(), proptest::option::of(customer), proptest::bool::weighted(0.4), items())
            .prop_map(|(hold, customer, replace, items)| Call::Reserve { hold, customer, replace, items }),
        4 => (hold, any::<bool>(), reference(), proptest::option::of(items()))
            .prop_map(|(hold, commit, reference, items)| Call::Close { hold, commit, reference, items }),
    ]
}

fn of_place() -> impl Strategy<Value = Call> {
    let (order, hold, customer) = (0..12_u8, 0..10_u8, 0..4_u8);
    prop_oneof![
        9 => (order.clone(), customer.clone(), 0..LANES.len(), gates(), proptest::bool::weighted(0.7), items())
            .prop_map(|(order, customer, lane, gates, wait, items)| {
                Call::Place { order, customer, lane, gates, wait, items }
            }),
        3 => (order.clone(), customer, hold)
            .prop_map(|(order, customer, hold)| Call::PlaceHold { order, customer, hold }),
        2 => (order.clone(), 0..3_u8).prop_map(|(order, gate)| Call::Gate { order, gate }),
        5 => (0..16_u8, 0..3_u8).prop_map(|(order, gate)| Call::Pass { order, gate }),
    ]
}

fn of_worker() -> impl Strategy<Value = Call> {
    let order = 0..16_u8;
    prop_oneof![
        6 => (0..3_u8, pick()).prop_map(|(worker, pick)| Call::Claim { worker, pick }),
        1 => (0..3_u8).prop_map(|worker| Call::Yield { worker }),
        2 => order.clone().prop_map(|order| Call::Die { order }),
        1 => Just(Call::Purge),
        4 => (order, proptest::option::weighted(0.2, 0..2_u8))
            .prop_map(|(order, result)| Call::Complete { order, result }),
    ]
}

fn of_order() -> impl Strategy<Value = Call> {
    let (order, token) = (0..16_u8, proptest::bool::weighted(0.8));
    prop_oneof![
        2 => order.clone().prop_map(|order| Call::Cancel { order }),
        5 => (order.clone(), token, reference(), proptest::bool::weighted(0.3), items())
            .prop_map(|(order, token, reference, lost, items)| Call::Edit { order, token, reference, lost, items }),
        5 => (order.clone(), 10..16_u8, token, proptest::option::weighted(0.3, 0..LANES.len()), items())
            .prop_map(|(order, new, token, lane, items)| Call::Split { order, new, token, lane, items }),
        3 => (order, reference(), proptest::bool::weighted(0.3), items())
            .prop_map(|(order, reference, scrap, items)| Call::Return { order, reference, scrap, items }),
    ]
}

/// Any call, the common ones more often.
fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => (0..9_i64).prop_map(|limit| Call::Limit(limit * limit)),
        1 => (0..SKUS.len(), 0..9_i64).prop_map(|(sku, units)| Call::Backlog { sku, units }),
        3 => (0..SKUS.len(), -2..5_i64, reference())
            .prop_map(|(sku, delta, reference)| Call::Adjust { sku, delta, reference }),
        7 => of_hold(),
        14 => of_place(),
        9 => of_worker(),
        13 => of_order(),
    ]
}

/// Calls as clients send them.
pub fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        12 => call().prop_map(Sent::Alone),
        1 => proptest::collection::vec(call(), 1..4).prop_map(Sent::Together),
        2 => call().prop_map(Sent::Scripted),
    ]
}

fn listed(items: &Items) -> String {
    items.iter().map(|(sku, units)| format!(" {} {units}", SKUS[*sku])).collect()
}

fn option(word: &str, id: &str, number: Option<u8>) -> String {
    number.map_or(String::new(), |number| format!(" {word} {id}{number}"))
}

/// A word of a command, quoted where it is empty.
fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| if word == "''" { Vec::new() } else { word.as_bytes().to_vec() }).collect()
}

fn lane_named(lane: usize) -> &'static str {
    if LANES[lane].is_empty() { "''" } else { LANES[lane] }
}

impl Call {
    /// The command that a REF belongs to.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Adjust { .. } => "INV.ADJUST",
            Call::Close { commit: true, .. } => "INV.COMMIT",
            Call::Close { commit: false, .. } => "INV.RELEASE",
            Call::Edit { .. } => "ORDER.EDIT",
            Call::Return { .. } => "ORDER.RETURN",
            other => unreachable!("{other:?} has no REF"),
        }
    }

    /// What two calls have in common that ask for the same: whoever waits, and whatever the token.
    pub fn content(&self) -> Call {
        let mut call = self.clone();
        match &mut call {
            Call::Place { wait: flag, .. } | Call::Edit { token: flag, .. } | Call::Split { token: flag, .. } => {
                *flag = false;
            }
            _ => {}
        }
        call
    }

    /// The command, as a client sends it.
    pub fn command(&self, books: &Books) -> Vec<Vec<u8>> {
        let token = |order: u8, named: bool| {
            let token = books.token(order).filter(|_| named);
            token.map_or(String::new(), |token| format!(" TOKEN {token}"))
        };
        words(&match self {
            Call::Limit(limit) => format!("STORE.SET popup limit {limit}"),
            Call::Backlog { sku, units } => {
                format!("INV.SET popup {} {} BACKLOG {units}", SKUS[*sku], books.stock(SKUS[*sku]).0)
            }
            Call::Adjust { sku, delta, reference } => {
                format!("INV.ADJUST popup {} {delta}{}", SKUS[*sku], option("REF", "r-", *reference))
            }
            Call::Reserve { hold, customer, replace, items } => {
                let replace = if *replace { " REPLACE" } else { "" };
                let customer = option("CUSTOMER", "c-", *customer);
                format!("INV.RESERVE popup h-{hold}{customer} TTL 3600000{replace} ITEMS{}", listed(items))
            }
            Call::Close { hold, commit, reference, items } => {
                let verb = if *commit { "COMMIT" } else { "RELEASE" };
                let items = items.as_ref().map_or(String::new(), |items| format!(" ITEMS{}", listed(items)));
                format!("INV.{verb} popup h-{hold}{}{items}", option("REF", "r-", *reference))
            }
            Call::Place { order, customer, lane, gates, wait, items } => {
                let gates: String = gates.iter().map(|gate| format!(" GATE g-{gate} 0")).collect();
                let wait = if *wait { " WAIT" } else { "" };
                let lane = lane_named(*lane);
                format!("ORDER.PLACE popup o-{order} c-{customer} LANE {lane}{gates}{wait} ITEMS{}", listed(items))
            }
            Call::PlaceHold { order, customer, hold } => {
                format!("ORDER.PLACE popup o-{order} c-{customer} HOLD h-{hold}")
            }
            Call::Gate { order, gate } => format!("ORDER.GATE popup o-{order} g-{gate} 0"),
            Call::Pass { order, gate } => format!("ORDER.PASS popup o-{order} g-{gate}"),
            Call::Claim { worker, pick } => {
                let pick = match pick {
                    Pick::Any => String::new(),
                    Pick::Order(order) => format!(" ORDER o-{order}"),
                    Pick::Lanes(lanes) => {
                        let names: String = lanes.iter().map(|lane| format!(" {}", lane_named(*lane))).collect();
                        format!(" LANES {}{names}", lanes.len())
                    }
                };
                format!("ORDER.CLAIM popup w-{worker} LEASE 3600000{pick}")
            }
            Call::Yield { worker } => format!("ORDER.YIELD popup w-{worker}"),
            Call::Die { order } => format!("ORDER.FAIL popup o-{order} FATAL"),
            Call::Purge => "ORDER.PURGE popup".to_string(),
            Call::Complete { order, result } => {
                format!("ORDER.COMPLETE popup o-{order}{}", option("RESULT", "", *result))
            }
            Call::Cancel { order } => format!("ORDER.CANCEL popup o-{order}"),
            Call::Edit { order, token: named, reference, lost, items } => {
                let (reference, lost) = (option("REF", "r-", *reference), if *lost { " LOST" } else { "" });
                let token = token(*order, *named);
                format!("ORDER.EDIT popup o-{order}{token}{reference}{lost} ITEMS{}", listed(items))
            }
            Call::Split { order, new, token: named, lane, items } => {
                let lane = lane.map_or(String::new(), |lane| format!(" LANE {}", lane_named(lane)));
                let token = token(*order, *named);
                format!("ORDER.SPLIT popup o-{order} o-{new}{token}{lane} ITEMS{}", listed(items))
            }
            Call::Return { order, reference, scrap, items } => {
                let (reference, scrap) = (option("REF", "r-", *reference), if *scrap { " SCRAP" } else { "" });
                format!("ORDER.RETURN popup o-{order}{reference}{scrap} ITEMS{}", listed(items))
            }
        })
    }
}
