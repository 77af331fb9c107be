//! The calls of a run. There are only a few ids, so that calls meet: retries, other content, ended things.

use proptest::prelude::*;

/// The SKUs of the store.
pub const SKUS: [&str; 3] = ["s-0", "s-1", "s-2"];

/// Items: a SKU's number and units, each SKU once, in order.
pub type Items = Vec<(usize, i64)>;

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Limit(i64),
    Adjust { sku: usize, delta: i64, reference: Option<u8> },
    Reserve { hold: u8, customer: Option<u8>, items: Items },
    Close { hold: u8, commit: bool, reference: Option<u8>, items: Option<Items> },
    Place { order: u8, customer: u8, items: Items },
    PlaceHold { order: u8, customer: u8, hold: u8 },
    Complete { order: u8, result: Option<u8> },
    Cancel { order: u8 },
    Edit { order: u8, reference: Option<u8>, lost: bool, items: Items },
    Split { order: u8, new: u8, items: Items },
    Return { order: u8, reference: Option<u8>, scrap: bool, items: Items },
}

fn items() -> impl Strategy<Value = Items> {
    proptest::collection::btree_map(0..SKUS.len(), 1..4_i64, 1..3).prop_map(|items| items.into_iter().collect())
}

fn reference() -> impl Strategy<Value = Option<u8>> {
    proptest::option::of(0..6_u8)
}

/// Any call, the common ones more often.
pub fn call() -> impl Strategy<Value = Call> {
    let (order, hold, customer) = (0..12_u8, 0..10_u8, 0..4_u8);
    prop_oneof![
        1 => (0..9_i64).prop_map(|limit| Call::Limit(limit * limit)),
        2 => (0..SKUS.len(), -2..5_i64, reference())
            .prop_map(|(sku, delta, reference)| Call::Adjust { sku, delta, reference }),
        5 => (hold.clone(), proptest::option::of(customer.clone()), items())
            .prop_map(|(hold, customer, items)| Call::Reserve { hold, customer, items }),
        4 => (hold.clone(), any::<bool>(), reference(), proptest::option::of(items()))
            .prop_map(|(hold, commit, reference, items)| Call::Close { hold, commit, reference, items }),
        5 => (order.clone(), customer.clone(), items())
            .prop_map(|(order, customer, items)| Call::Place { order, customer, items }),
        3 => (order.clone(), customer, hold)
            .prop_map(|(order, customer, hold)| Call::PlaceHold { order, customer, hold }),
        4 => (order.clone(), proptest::option::weighted(0.2, 0..2_u8))
            .prop_map(|(order, result)| Call::Complete { order, result }),
        3 => order.clone().prop_map(|order| Call::Cancel { order }),
        3 => (order.clone(), reference(), proptest::bool::weighted(0.3), items())
            .prop_map(|(order, reference, lost, items)| Call::Edit { order, reference, lost, items }),
        3 => (order.clone(), 10..16_u8, items()).prop_map(|(order, new, items)| Call::Split { order, new, items }),
        3 => (order, reference(), proptest::bool::weighted(0.3), items())
            .prop_map(|(order, reference, scrap, items)| Call::Return { order, reference, scrap, items }),
    ]
}

fn listed(items: &Items) -> String {
    items.iter().map(|(sku, units)| format!(" {} {units}", SKUS[*sku])).collect()
}

fn option(word: &str, id: &str, number: Option<u8>) -> String {
    number.map_or(String::new(), |number| format!(" {word} {id}{number}"))
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

    /// The command, as a client sends it.
    pub fn command(&self) -> String {
        match self {
            Call::Limit(limit) => format!("STORE.SET popup limit {limit}"),
            Call::Adjust { sku, delta, reference } => {
                format!("INV.ADJUST popup {} {delta}{}", SKUS[*sku], option("REF", "r-", *reference))
            }
            Call::Reserve { hold, customer, items } => {
                let customer = option("CUSTOMER", "c-", *customer);
                format!("INV.RESERVE popup h-{hold}{customer} TTL 3600000 ITEMS{}", listed(items))
            }
            Call::Close { hold, commit, reference, items } => {
                let verb = if *commit { "COMMIT" } else { "RELEASE" };
                let items = items.as_ref().map_or(String::new(), |items| format!(" ITEMS{}", listed(items)));
                format!("INV.{verb} popup h-{hold}{}{items}", option("REF", "r-", *reference))
            }
            Call::Place { order, customer, items } => {
                format!("ORDER.PLACE popup o-{order} c-{customer} ITEMS{}", listed(items))
            }
            Call::PlaceHold { order, customer, hold } => {
                format!("ORDER.PLACE popup o-{order} c-{customer} HOLD h-{hold}")
            }
            Call::Complete { order, result } => {
                format!("ORDER.COMPLETE popup o-{order}{}", option("RESULT", "", *result))
            }
            Call::Cancel { order } => format!("ORDER.CANCEL popup o-{order}"),
            Call::Edit { order, reference, lost, items } => {
                let (reference, lost) = (option("REF", "r-", *reference), if *lost { " LOST" } else { "" });
                format!("ORDER.EDIT popup o-{order}{reference}{lost} ITEMS{}", listed(items))
            }
            Call::Split { order, new, items } => {
                format!("ORDER.SPLIT popup o-{order} o-{new} ITEMS{}", listed(items))
            }
            Call::Return { order, reference, scrap, items } => {
                let (reference, scrap) = (option("REF", "r-", *reference), if *scrap { " SCRAP" } else { "" });
                format!("ORDER.RETURN popup o-{order}{reference}{scrap} ITEMS{}", listed(items))
            }
        }
    }
}
