//! What every number, code and event is called, and what it means: the words of the page (`console/web/words.js`).

use super::theme::Tone;

/// A reason for a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field of a sample that counts it.
    pub field: &'static str,
    /// The error's code.
    pub code: &'static str,
    /// What it says to the customer.
    pub says: &'static str,
    /// What lies behind it.
    pub why: &'static str,
}

const fn refusal(field: &'static str, code: &'static str, says: &'static str, why: &'static str) -> Refusal {
    Refusal { field, code, says, why }
}

/// All reasons.
pub const REFUSALS: [Refusal; 13] = [
    refusal("refused-outofstock", "OUTOFSTOCK", "Not enough units left", "more was wanted than is available"),
    refusal("refused-limit", "LIMIT", "Customer's limit reached", "one customer may have only so many units"),
    refusal("refused-notopen", "NOTOPEN", "Too early", "the sale has not opened yet"),
    refusal("refused-closed", "CLOSED", "Too late", "the sale has closed"),
    refusal("refused-expired", "EXPIRED", "Cart ran out", "the cart's time was over before it was ordered"),
    refusal(
        "refused-badstate",
        "BADSTATE",
        "Not possible any more",
        "the order or cart is past the point where this can be done",
    ),
    refusal("refused-mismatch", "MISMATCH", "Same id, other content", "a repeated call differs from the first"),
    refusal("refused-fenced", "FENCED", "Worker came too late", "its lease had passed on to another worker"),
    refusal("refused-gap", "GAP", "Feed skipped ahead", "a number is missing in an outside system's stock feed"),
    refusal("refused-nosku", "NOSKU", "Unknown product", "the store has no such SKU"),
    refusal("refused-nohold", "NOHOLD", "Unknown cart", "the store has no such hold, or has forgotten it"),
    refusal("refused-noorder", "NOORDER", "Unknown order", "the store has no such order, or has forgotten it"),
    refusal("refused-err", "ERR", "Call not understood", "an argument is missing or makes no sense"),
];

/// A field of a sample: its name, its label, its meaning.
pub type Named = (&'static str, &'static str, &'static str);

/// All other fields of a sample, in groups.
pub const GROUPS: [(&str, &[Named]); 5] = [
    (
        "Stock",
        &[
            ("skus", "SKUs", "products the store knows (stock-keeping units)"),
            ("on-hand", "On hand", "units in the building"),
            ("held", "Held", "units set aside for carts and open orders"),
            ("available", "Available", "units that can be sold right now"),
            ("sold", "Sold", "units that have left, less those returned"),
            ("oversold", "Oversold", "units promised beyond what is on hand; must stay 0"),
            ("units-sold", "Units shipped", "units that left with orders, returns not taken off"),
            ("returned", "Units returned", "units customers sent back"),
        ],
    ),
    (
        "Customers",
        &[
            ("customers", "Customers", "people with units in a cart or an order"),
            ("holds", "Carts open", "holds that are alive: units set aside until a deadline"),
            ("expired", "Carts expired", "holds whose time ran out; their units went back on sale"),
            ("overflow", "Overflow", "orders asked for, less those completed"),
        ],
    ),
    (
        "Orders",
        &[
            ("placed", "Placed", "orders taken since the store was made"),
            ("queued", "Queued", "orders that wait for a worker"),
            ("in-work", "In work", "orders in a worker's hands"),
            ("retrying", "Retrying", "orders whose attempt failed and that wait for the next"),
            ("completed", "Completed", "orders fulfilled"),
            ("cancelled", "Cancelled", "orders called off"),
            ("late", "Late", "orders that took longer than the store promises (sla-ms)"),
            ("oldest-ms", "Oldest waiting", "how long ago the order that is next was placed"),
        ],
    ),
    (
        "Work",
        &[
            ("workers", "Workers", "workers with orders in their hands"),
            ("claimed", "Claimed", "times an order was handed to a worker"),
            ("failed", "Failed attempts", "attempts that a worker reported as failed"),
            ("lapsed", "Leases ended", "orders taken back from workers that died or hung"),
            ("retried", "Retried", "failed orders handed out again"),
            ("dead", "Died", "orders that ran out of attempts, ever"),
            ("dead-letters", "Dead letters", "dead orders that somebody must look at now"),
            ("redriven", "Redriven", "dead orders queued anew"),
        ],
    ),
    (
        "Latency",
        &[
            ("p50-ms", "Half within", "of the orders just completed, half took no longer (p50)"),
            ("p99-ms", "99 % within", "of the orders just completed, 99 % took no longer (p99)"),
            ("max-ms", "Longest", "the longest of the orders just completed"),
        ],
    ),
];

/// The tiles: what each shows, its tone, its label and its meaning.
pub const TILES: [(&str, Tone, &str, &str); 6] = [
    ("customers", Tone::Placed, "Customers ordering", "people with units in a cart or an order"),
    ("processing", Tone::Queued, "Orders processing", "placed and not finished yet"),
    ("completed", Tone::Completed, "Orders completed", "fulfilled: their units left the building"),
    ("overflow", Tone::Overflow, "Overflow", "asked for, less completed: demand not served yet, or never"),
    ("refused", Tone::Refused, "Refused", "calls answered with no; the reasons are below"),
    ("oversold", Tone::Completed, "Oversold", "units promised beyond what is on hand: must stay 0"),
];

/// Where all units are: what, its tone and its label.
pub const SEGMENTS: [(&str, Tone, &str); 4] = [
    ("sold", Tone::Completed, "Sold"),
    ("held", Tone::Queued, "Set aside"),
    ("available", Tone::Available, "Available"),
    ("safety", Tone::Muted, "Kept back"),
];

/// What the units available are.
pub const AVAILABLE_WHY: &str = "what a customer can still buy: on hand, less set aside, less kept back";

/// The small numbers about work that did not go as it should.
pub const TROUBLE: [Named; 4] = [
    ("failed", "Failed attempts", "a worker said: it did not work"),
    ("retried", "Retried", "handed out again after a failure"),
    ("lapsed", "Leases ended", "taken back from a worker that died or hung"),
    ("late", "Late", "took longer than the store promises (sla-ms)"),
];

/// What is said where a worker gave no reason.
pub const NO_REASON: &str = "no reason given";

/// Notes on what is shown.
pub const NOTES: [(&str, &str); 4] = [
    (
        "Oversold",
        "Units promised to carts and orders beyond what is on hand. Orders cannot cause it: it is 0 unless somebody \
         counts stock down below what is already set aside.",
    ),
    (
        "Overflow",
        "Orders asked for (placed, and those refused because units ran out) less those completed: during a sale the \
         demand still to be served, after it the demand that found nothing.",
    ),
    ("Latency", "From placed to completed. p50: half of the orders took no longer; p99: 99 of 100 took no longer."),
    ("Rates", "Events a second, from one sample to the next; zero while the store is quiet."),
];

/// A state of an order: its label, its tone, what it means.
pub fn state(state: &str) -> Option<(&'static str, Tone, &'static str)> {
    Some(match state {
        "queued" => ("Queued", Tone::Queued, "waits for a worker"),
        "claimed" => ("In work", Tone::Work, "in a worker's hands"),
        "retrying" => ("Retrying", Tone::Retry, "an attempt failed; the next one is due soon"),
        "completed" => ("Completed", Tone::Completed, "fulfilled"),
        "cancelled" => ("Cancelled", Tone::Muted, "called off; its units went back on sale"),
        "dead" => ("Dead", Tone::Refused, "out of attempts; its units went back on sale"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::fields::FIELDS;
    use super::*;

    #[test]
    fn every_field_of_a_sample_has_its_words() {
        let named: Vec<&str> =
            GROUPS.iter().flat_map(|(_, fields)| fields.iter().map(|(field, _, _)| *field)).collect();
        let mut missing = FIELDS.iter().map(|field| field.name).filter(|name| !named.contains(name));
        assert_eq!(missing.next(), None);
        assert_eq!(named.len(), FIELDS.len());
    }

    #[test]
    fn the_words_are_those_of_the_page() {
        let scripts = [
            include_str!("../../../web/words.js"),
            include_str!("../../../web/tiles.js"),
            include_str!("../../../web/dead.js"),
            include_str!("../../../web/dialogs.js"),
        ];
        // A text that is put together from several lines, as one.
        let page = scripts.concat().split_whitespace().collect::<Vec<_>>().join(" ").replace("\" + \"", "");
        let states = ["queued", "claimed", "retrying", "completed", "cancelled", "dead"].into_iter().filter_map(state);
        let mut words: Vec<&str> = vec![AVAILABLE_WHY, NO_REASON];
        words.extend(REFUSALS.iter().flat_map(|one| [one.field, one.code, one.says, one.why]));
        words.extend(GROUPS.iter().flat_map(|(_, fields)| *fields).flat_map(|(field, label, why)| [field, label, why]));
        words.extend(TILES.iter().flat_map(|(_, _, label, why)| [*label, why]));
        words.extend(TROUBLE.iter().flat_map(|(field, label, why)| [*field, label, why]));
        words.extend(SEGMENTS.iter().map(|(_, _, label)| *label));
        words.extend(NOTES.iter().flat_map(|(label, why)| [*label, why]));
        words.extend(states.flat_map(|(label, _, means)| [label, means]));
        let missing: Vec<_> = words.into_iter().filter(|word| !page.contains(&format!("\"{word}\""))).collect();
        assert!(missing.is_empty(), "the page says otherwise: {missing:#?}");
    }
}
