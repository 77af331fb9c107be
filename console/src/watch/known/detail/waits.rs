//! Orders that workers cannot get yet: they wait for a gate or for units.

use holdfast_engine::terms::states::OrderState;
use serde::Serialize;

use super::scan::{Asker, Order, OrderRef, Search, read_orders};
use crate::watch::known::ask::AskError;
use crate::watch::known::id::name_of;

/// Orders a scan looks at in one command, and how many commands there are for one detail: in a larger store the next
/// detail goes on where this one ended.
const PAGE: &str = "500";
const PAGES: usize = 20;
/// Orders of a state after which a scan stops, and how many are read for one detail.
const FOUND_MAX: usize = 500;
const READ_MAX: usize = 1_000;
/// Orders shown, of each state.
const SHOWN_MAX: usize = 40;

/// The states of orders that are not queued yet.
const STATES: [OrderState; 2] = [OrderState::Pending, OrderState::Waitlisted];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Orders that wait for gates, and for units.
    pub pending: i64,
    pub waitlisted: i64,
    /// Some of them, those that are cancelled first on top; then those that wait for ever, first placed first.
    pub shown: Vec<Wait>,
}

/// An order that is not queued yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    #[serde(flatten)]
    pub order: OrderRef,
    /// As ORDER.GET has it.
    pub state: String,
    /// The gates that are not passed, for people.
    pub gates: Vec<String>,
    /// Units that it still waits for, with the SKU for people.
    pub missing: Vec<(String, i64)>,
    /// When it is cancelled, Unix milliseconds by the server's clock; `None`: never.
    pub due: Option<i64>,
    #[serde(rename = "placed-at")]
    pub placed_at: i64,
    #[serde(skip)]
    id: Vec<u8>,
}

impl Wait {
    /// `None` for an order that waits for none of this any more.
    fn of((id, order): Order) -> Option<Wait> {
        let state = STATES.into_iter().find(|state| order.bytes("state") == state.name().as_bytes())?;
        let gates = order.maps("gates").filter(|gate| gate.int("passed") == 0);
        let missing = order.maps("items").map(|item| (name_of(&item.bytes("sku")), item.int("missing")));
        Some(Wait {
            order: OrderRef::of(&id),
            state: state.name().into(),
            gates: gates.map(|gate| name_of(&gate.bytes("gate"))).collect(),
            missing: missing.filter(|(_, units)| *units > 0).collect(),
            due: Some(order.int("due")).filter(|due| *due > 0),
            placed_at: order.int("placed-at"),
            id,
        })
    }

    #[cfg(test)]
    pub fn new(id: &str, state: OrderState, (gate, missing): (&str, &[(&str, i64)]), due: Option<i64>) -> Wait {
        Wait {
            order: OrderRef::of(id.as_bytes()),
            state: state.name().into(),
            gates: if gate.is_empty() { Vec::new() } else { vec![gate.into()] },
            missing: missing.iter().map(|(sku, units)| (sku.to_string(), *units)).collect(),
            due,
            placed_at: 0,
            id: id.as_bytes().to_vec(),
        }
    }
}

/// The searches for orders of [`STATES`].
pub type Searches = [Search; STATES.len()];

/// Looks for the orders that wait; `counts` of each of [`STATES`].
pub async fn search(searches: &mut Searches, asker: &mut Asker<'_>, counts: [i64; 2]) -> Result<(), AskError> {
    for ((search, state), count) in searches.iter_mut().zip(STATES).zip(counts) {
        if count == 0 {
            *search = Search::default();
            continue;
        }
        let options = ["STATE", state.name(), "COUNT", PAGE];
        search.go_on(asker, ("ORDER.SCAN", &options), PAGES, FOUND_MAX).await?;
        if search.found.len() > SHOWN_MAX {
            let orders = read_orders(asker, std::mem::take(&mut search.found), READ_MAX).await?;
            let mut found: Vec<Wait> = orders.into_iter().filter_map(Wait::of).collect();
            first_due_first(&mut found);
            search.found = found.into_iter().take(SHOWN_MAX).map(|wait| wait.id).collect();
        }
    }
    Ok(())
}

/// The orders that wait, by what the orders say that were found; `counts` of each of [`STATES`].
pub fn take(searches: &mut Searches, orders: Vec<Order>, [pending, waitlisted]: [i64; 2]) -> Waits {
    let mut shown: Vec<Wait> = orders.into_iter().filter_map(Wait::of).collect();
    first_due_first(&mut shown);
    for (search, state) in searches.iter_mut().zip(STATES) {
        let of_state = shown.iter().filter(|wait| wait.state == state.name());
        search.found = of_state.map(|wait| wait.id.clone()).collect();
    }
    Waits { pending, waitlisted, shown }
}

fn first_due_first(waits: &mut [Wait]) {
    waits.sort_by_cached_key(|wait| (wait.due.unwrap_or(i64::MAX), wait.placed_at, wait.order.name.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cancelled_first_is_on_top() {
        let wait = |id, due| Wait::new(id, OrderState::Pending, ("payment", &[]), due);
        let mut waits = vec![wait("never", None), wait("later", Some(9)), wait("soon", Some(5))];
        first_due_first(&mut waits);
        let names: Vec<_> = waits.iter().map(|wait| wait.order.name.as_str()).collect();
        assert_eq!(names, ["soon", "later", "never"]);
    }
}
