//! What a store has of an id, and which of its orders are in a state: what the page's look-up and its lists find.

use holdfast_engine::terms::states::OrderState;

use super::foreign::safe;
use crate::watch::known::ask::AskError;
use crate::watch::known::browse::{self, Hold, HoldLine, OrderLine, Page, Place, WantedHolds, WantedOrders};
use crate::watch::known::detail::{Asker, SkuLine};
use crate::watch::known::id::{bytes_of, name_of};
use crate::watch::known::link::Link;
use crate::watch::known::model::Key;

/// Records that are listed at most, and how often the next page is asked for where few are found.
const LISTED: usize = 100;
const PAGES: usize = 10;

/// The states, in the order of an order's life, each with the number of STORE.INFO that counts its orders.
pub const STATES: [(OrderState, &str); 8] = [
    (OrderState::Waitlisted, "waitlisted"),
    (OrderState::Pending, "pending"),
    (OrderState::Queued, "queued"),
    (OrderState::Claimed, "in-work"),
    (OrderState::Retrying, "retrying"),
    (OrderState::Dead, "dead-letters"),
    (OrderState::Completed, "completed-kept"),
    (OrderState::Cancelled, "cancelled-kept"),
];

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Whatever has this id.
    Id(Vec<u8>),
    /// The orders in this state.
    State(OrderState),
}

impl Wanted {
    /// Its name, safe to show.
    pub fn name(&self) -> String {
        match self {
            Wanted::Id(id) => safe(&name_of(id)),
            Wanted::State(state) => format!("Orders: {}", state.label()),
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// There is an order of this id.
    pub is_order: bool,
    pub sku: Option<SkuLine>,
    pub hold: Option<Hold>,
    /// Carts of the SKU, or of the customer.
    pub holds: Vec<HoldLine>,
    /// Orders of the customer, or in the state.
    pub orders: Vec<OrderLine>,
    /// There are more carts or orders than are listed.
    pub is_part: bool,
}

impl Found {
    pub fn is_nothing(&self) -> bool {
        !self.is_order && self.sku.is_none() && self.hold.is_none() && self.holds.is_empty() && self.orders.is_empty()
    }

    /// Whether an order is all that has the id.
    pub fn is_order_alone(&self) -> bool {
        self.is_order && self.sku.is_none() && self.hold.is_none()
    }

    /// Whether carts and orders are those of a customer: nothing else has the id.
    pub fn is_customer(&self) -> bool {
        !self.is_order && self.sku.is_none() && self.hold.is_none() && !self.is_nothing()
    }
}

/// The record that is chosen in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    Hold(Vec<u8>),
    Order(Vec<u8>),
}

/// What lies over the page: what was looked for, and what was found.
#[derive(Debug)]
pub struct Records {
    pub wanted: Wanted,
    /// `None` until an answer has come.
    pub found: Option<Result<Box<Found>, AskError>>,
    /// The record of the list that is chosen, or behind the last one the end; where there is no list, the first line
    /// that is shown.
    pub at: usize,
}

impl Records {
    pub fn new(wanted: Wanted) -> Records {
        Records { wanted, found: None, at: 0 }
    }

    fn lists(&self) -> (&[HoldLine], &[OrderLine]) {
        match &self.found {
            Some(Ok(found)) => (&found.holds, &found.orders),
            _ => (&[], &[]),
        }
    }

    /// Chooses a record, or the end.
    pub fn choose(&mut self, at: usize) {
        let (holds, orders) = self.lists();
        let listed = holds.len() + orders.len();
        self.at = if listed > 0 { at.min(listed) } else { at };
    }

    pub fn chosen(&self) -> Option<Chosen> {
        let (holds, orders) = self.lists();
        match self.at.checked_sub(holds.len()) {
            None => Some(Chosen::Hold(bytes_of(&holds[self.at].hold.id))),
            Some(at) => Some(Chosen::Order(bytes_of(&orders.get(at)?.order.id))),
        }
    }
}

/// Looks for something. Fails when the server is away, or there is no such store.
pub async fn look_for(link: &Link, key: &Key, wanted: &Wanted) -> Result<Box<Found>, AskError> {
    let mut connection = link.ask(key)?;
    let mut asker = Asker { connection: &mut connection, key };
    let found = match wanted {
        Wanted::Id(id) => of_id(&mut asker, id).await,
        Wanted::State(state) => {
            let wanted = WantedOrders { state: Some(*state), ..WantedOrders::default() };
            orders(&mut asker, wanted, Found::default()).await
        }
    };
    found.map(Box::new).map_err(|error| error.of_store(&key.name()))
}

/// All that has an id. A customer is looked for where nothing else has it: that goes through all orders.
async fn of_id(asker: &mut Asker<'_>, id: &[u8]) -> Result<Found, AskError> {
    let kinds = browse::kinds(asker, id).await?;
    let mut found = Found { is_order: kinds.order, ..Found::default() };
    if kinds.hold {
        found.hold = Some(browse::hold(asker, id).await?);
    }
    if kinds.sku {
        found.sku = Some(browse::sku(asker, id).await?);
        return holds(asker, WantedHolds { sku: Some(id.to_vec()), customer: None }, found).await;
    }
    if !found.is_nothing() {
        return Ok(found);
    }
    let customer = Some(id.to_vec());
    let found = holds(asker, WantedHolds { customer: customer.clone(), sku: None }, found).await?;
    orders(asker, WantedOrders { customer, ..WantedOrders::default() }, found).await
}

async fn holds(asker: &mut Asker<'_>, wanted: WantedHolds, mut found: Found) -> Result<Found, AskError> {
    let mut cursor = Some(0);
    for _ in 0..PAGES {
        let Some(from) = cursor.filter(|_| found.holds.len() < LISTED) else { break };
        let page = browse::holds(asker, &wanted, Place { cursor: from, count: LISTED }).await?;
        cursor = next(&page);
        found.holds.extend(page.found);
    }
    found.is_part |= cursor.is_some();
    Ok(found)
}

async fn orders(asker: &mut Asker<'_>, wanted: WantedOrders, mut found: Found) -> Result<Found, AskError> {
    let mut cursor = Some(0);
    for _ in 0..PAGES {
        let Some(from) = cursor.filter(|_| found.orders.len() < LISTED) else { break };
        let page = browse::orders(asker, &wanted, Place { cursor: from, count: LISTED }).await?;
        cursor = next(&page);
        found.orders.extend(page.found);
    }
    found.is_part |= cursor.is_some();
    Ok(found)
}

fn next<T>(page: &Page<T>) -> Option<u64> {
    page.next.as_ref()?.parse().ok()
}
