//! Orders, holds, SKUs and alerts page by page: everything that exists can be reached, and one page is never much work
//! for the server.

use std::collections::BTreeSet;

use holdfast_engine::terms::states::OrderState;
use serde::Serialize;

use super::ask::AskError;
use super::detail::{AlertLine, Asker, SkuLine, read_alerts, read_books, read_orders};
use super::id::{Named, pattern_of};
use super::reply::{self, Pairs};
use super::sample::EntryId;

/// Records of a page where nothing else is asked for, and the most.
pub const PAGE_DEFAULT: usize = 50;
pub const PAGE_MAX: usize = 200;
/// Records that one command looks at, at most: what the module does in well under a millisecond.
const LOOK_MAX: usize = 10_000;
/// Commands for one page. What they do not find is looked for from where they ended.
const COMMANDS_MAX: usize = 20;
/// Records that are read for one page where only reading tells which are wanted.
const READ_MAX: usize = 500;

/// Where a page begins, and how many records it has at most.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub cursor: u64,
    pub count: usize,
}

/// A part of what was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The cursor of the next page; `None`: there is no more. A page can be empty and not be the last.
    pub next: Option<String>,
    /// Records that were looked at for this page.
    pub looked: usize,
    pub found: Vec<T>,
}

impl<T> Page<T> {
    fn map<U>(self, found: impl FnOnce(Vec<T>) -> Vec<U>) -> Page<U> {
        Page { next: self.next, looked: self.looked, found: found(self.found) }
    }
}

/// Which orders are wanted; what is `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedOrders {
    pub state: Option<OrderState>,
    pub customer: Option<Vec<u8>>,
    /// Empty: those that name no lane.
    pub lane: Option<Vec<u8>>,
    pub late: bool,
}

/// An order in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OrderLine {
    #[serde(flatten)]
    pub order: Named,
    /// As ORDER.GET has it.
    pub state: String,
    pub customer: Named,
    pub lane: Named,
    /// Units by SKU that it has now: without those that came back.
    pub items: Vec<(Named, i64)>,
    pub placed_at: i64,
    /// When the lease ends, a retry is due, or it is cancelled; `None`: never.
    pub due: Option<i64>,
    /// The worker that has it, or had it last; empty: none.
    pub worker: String,
    pub reason: String,
    pub late: bool,
    /// The gates that are not passed.
    pub gates: Vec<Named>,
}

impl OrderLine {
    fn of(id: &[u8], order: &Pairs<redis::Value>) -> OrderLine {
        let text = |name: &str| Named::of(&order.bytes(name));
        let gates = order.maps("gates").filter(|gate| gate.int("passed") == 0);
        let item = |item: Pairs<redis::Value>| {
            (Named::of(&item.bytes("sku")), item.int("qty").saturating_sub(item.int("returned")))
        };
        OrderLine {
            order: Named::of(id),
            state: text("state").name,
            customer: text("customer"),
            lane: text("lane"),
            items: order.maps("items").map(item).collect(),
            placed_at: order.int("placed-at"),
            due: Some(order.int("due")).filter(|due| *due > 0),
            worker: text("worker").name,
            reason: text("reason").name,
            late: order.int("late") > 0,
            gates: gates.map(|gate| Named::of(&gate.bytes("gate"))).collect(),
        }
    }
}

/// Which holds are wanted; what is `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedHolds {
    pub customer: Option<Vec<u8>>,
    pub sku: Option<Vec<u8>>,
}

/// A live hold in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HoldLine {
    #[serde(flatten)]
    pub hold: Named,
    pub customer: Named,
    pub expires_at: i64,
    /// Units that it still has, by SKU; and those that were sold out of it.
    pub items: Vec<(Named, i64, i64)>,
}

impl HoldLine {
    fn of(id: &[u8], hold: &Pairs<redis::Value>) -> HoldLine {
        let item = |item: Pairs<redis::Value>| (Named::of(&item.bytes("sku")), item.int("left"), item.int("committed"));
        HoldLine {
            hold: Named::of(id),
            customer: Named::of(&hold.bytes("customer")),
            expires_at: hold.int("expires-at"),
            items: hold.maps("items").map(item).collect(),
        }
    }
}

/// Which SKUs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedSkus {
    /// A part of the id; empty: any.
    pub part: Vec<u8>,
    /// Those at or under their low mark alone.
    pub low: bool,
}

/// A page of the orders that are wanted, first placed first within it. Fails when the server is away, or refuses.
pub async fn orders(asker: &mut Asker<'_>, wanted: &WantedOrders, place: Place) -> Result<Page<OrderLine>, AskError> {
    let mut options = Vec::new();
    let mut option = |word: &str, value: Option<&[u8]>| {
        options.extend(value.map(|value| [word.as_bytes().to_vec(), value.to_vec()]).into_iter().flatten());
    };
    option("STATE", wanted.state.map(|state| state.name().as_bytes()));
    option("CUSTOMER", wanted.customer.as_deref());
    option("LANE", wanted.lane.as_deref());
    options.extend(wanted.late.then(|| b"LATE".to_vec()));
    let mut page = walk(asker, ("ORDER.SCAN", &options), place).await?;
    let ids = BTreeSet::from_iter(std::mem::take(&mut page.found));
    let read = read_orders(asker, ids, PAGE_MAX).await?;
    // One that went on meanwhile is not in this state any more.
    let is_state = |line: &OrderLine| wanted.state.is_none_or(|state| state.name() == line.state);
    let mut found: Vec<_> = read.iter().map(|(id, order)| OrderLine::of(id, order)).filter(is_state).collect();
    found.sort_by(|a, b| (a.placed_at, &a.order.id).cmp(&(b.placed_at, &b.order.id)));
    Ok(page.map(|_: Vec<Vec<u8>>| found))
}

/// A page of the live holds that are wanted, those that expire first on top of it. Fails as [`orders`] does.
pub async fn holds(asker: &mut Asker<'_>, wanted: &WantedHolds, place: Place) -> Result<Page<HoldLine>, AskError> {
    let customer = wanted.customer.clone().map(|customer| [b"CUSTOMER".to_vec(), customer]);
    let options: Vec<_> = customer.into_iter().flatten().collect();
    // Which SKUs a hold has is read, hold by hold.
    let place = Place { count: if wanted.sku.is_some() { READ_MAX } else { place.count }, ..place };
    let page = walk(asker, ("INV.HOLDS", &options), place).await?;
    let replies = asker.ask_each("INV.HOLD", &page.found).await?;
    let mut found = Vec::with_capacity(replies.len());
    for (id, reply) in page.found.iter().zip(replies) {
        // One that has ended meanwhile is none.
        let Some(hold) = reply.ok().and_then(Pairs::of).filter(|hold| hold.bytes("state") == b"live") else { continue };
        found.push(HoldLine::of(id, &hold));
    }
    let sku = wanted.sku.as_deref().map(Named::of);
    let has_sku = |line: &HoldLine| sku.as_ref().is_none_or(|sku| line.items.iter().any(|(item, ..)| item == sku));
    found.retain(has_sku);
    found.sort_by(|a, b| (a.expires_at, &a.hold.id).cmp(&(b.expires_at, &b.hold.id)));
    Ok(page.map(|_| found))
}

/// A page of the SKUs that are wanted, by name within it. Fails as [`orders`] does.
pub async fn skus(asker: &mut Asker<'_>, wanted: &WantedSkus, place: Place) -> Result<Page<SkuLine>, AskError> {
    let mut options = Vec::new();
    if !wanted.part.is_empty() {
        let pattern = [b"*", &pattern_of(&wanted.part)[..], b"*"].concat();
        options.extend([b"MATCH".to_vec(), pattern]);
    }
    options.extend(wanted.low.then(|| b"LOW".to_vec()));
    let page = walk(asker, ("INV.SCAN", &options), place).await?;
    let mut lines = read_books(asker, page.found.iter().cloned().collect()).await?;
    lines.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(page.map(|_| lines))
}

/// A page of the alerts that are older than an entry, or of all, newest first: those that come meanwhile move none of
/// them. Fails when the server is away, or there is no such store.
pub async fn alerts(asker: &mut Asker<'_>, before: Option<EntryId>, count: usize) -> Result<Page<AlertLine>, AskError> {
    // A stream that is not there is an empty one, whether or not there is a store.
    asker.map("STORE.INFO").await?;
    let part = read_alerts(asker, before, count).await?;
    Ok(Page { next: part.next.map(|id| id.to_string()), looked: part.looked, found: part.found })
}

/// Ids from a cursor on, a page of them. Looks at more in each command as long as little is found; what is more than a
/// page is asked for again with fewer, so that none is passed over.
async fn walk(
    asker: &mut Asker<'_>,
    (command, options): (&str, &[Vec<u8>]),
    Place { mut cursor, count }: Place,
) -> Result<Page<Vec<u8>>, AskError> {
    let (mut found, mut looked, mut look) = (Vec::new(), 0, count);
    for _ in 0..COMMANDS_MAX {
        let mut scan = asker.cmd(command);
        scan.arg(cursor).arg(options).arg("COUNT").arg(look);
        let (next, ids): (u64, Vec<Vec<u8>>) = scan.query_async(asker.connection).await?;
        if found.len() + ids.len() > count {
            if !found.is_empty() {
                break;
            }
            look = count;
            continue;
        }
        (cursor, looked) = (next, looked + look);
        found.extend(ids);
        if cursor == 0 || found.len() >= count {
            break;
        }
        look = (look * 2).min(LOOK_MAX);
    }
    Ok(Page { next: (cursor != 0).then(|| cursor.to_string()), looked, found })
}

/// A SKU with its books, as INV.GET says. Fails when the server is away, or there is no such SKU.
pub async fn sku(asker: &mut Asker<'_>, id: &[u8]) -> Result<SkuLine, AskError> {
    let found = read_books(asker, BTreeSet::from([id.to_vec()])).await?.pop();
    found.ok_or_else(|| AskError::Missing(format!("NOSKU {}", Named::of(id).name)))
}

/// A hold, live or ended, as INV.HOLD says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hold {
    #[serde(flatten)]
    pub line: HoldLine,
    /// live, committed, released, expired or ordered.
    pub state: String,
    /// Units of each item that it was made with.
    pub units: Vec<i64>,
    /// When it ended; 0: it is live.
    pub ended_at: i64,
}

/// A hold. Fails when the server is away, or there is no such hold.
pub async fn hold(asker: &mut Asker<'_>, id: &[u8]) -> Result<Hold, AskError> {
    let reply = asker.cmd("INV.HOLD").arg(id).query_async(asker.connection).await?;
    let hold = reply::map("INV.HOLD", reply)?;
    Ok(Hold {
        line: HoldLine::of(id, &hold),
        state: Named::of(&hold.bytes("state")).name,
        units: hold.maps("items").map(|item| item.int("qty")).collect(),
        ended_at: hold.int("ended-at"),
    })
}

/// What there is of one id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kinds {
    pub order: bool,
    pub sku: bool,
    pub hold: bool,
}

/// Which records have this id. Customers are not among them: a store tells who has which orders, but lists no
/// customers. Fails when the server is away, or there is no such store.
pub async fn kinds(asker: &mut Asker<'_>, id: &[u8]) -> Result<Kinds, AskError> {
    let is_there = |outcome: Result<(), AskError>| match outcome {
        Ok(()) => Ok(true),
        Err(AskError::Missing(text)) if !text.starts_with("NOSTORE") => Ok(false),
        Err(error) => Err(error),
    };
    let order: Result<redis::Value, _> = asker.cmd("ORDER.GET").arg(id).query_async(asker.connection).await;
    Ok(Kinds {
        order: is_there(order.map(drop).map_err(AskError::from))?,
        sku: is_there(sku(asker, id).await.map(drop))?,
        hold: is_there(hold(asker, id).await.map(drop))?,
    })
}
