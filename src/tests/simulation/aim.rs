//! Aims commands at what there is: a command whose ids are made up finds nothing most of the time.

use holdfast_engine::oracle::build;
use holdfast_engine::oracle::command::{Command, Id, Lines, Picked, Source};
use holdfast_engine::oracle::model::{Hold, Model};
use holdfast_engine::store::Store;
use holdfast_engine::terms::states::{HoldState, OrderState};

/// A number that a command has by its id, to choose by.
fn number(id: &Id) -> usize {
    usize::from(id.last().copied().unwrap_or_default())
}

/// The one of a list that a number stands for.
fn chosen<T>(mut list: Vec<T>, number: usize) -> Option<T> {
    let len = list.len();
    (len > 0).then(|| list.swap_remove(number % len))
}

/// Whether an id is left as it is: a few have to find nothing.
fn is_left(id: &Id) -> bool {
    number(id).is_multiple_of(5)
}

/// The same command, aimed at what there is: at an order in the state that it is meant for, at a live hold; and at
/// units that these have.
pub fn aimed(command: Command, store: &Store, model: &Model) -> Command {
    let mut command = command.aimed(store);
    match &mut command {
        Command::Extend { hold, .. } | Command::Place { take: Source::Hold(hold), .. } => aim_at_hold(hold, model),
        Command::Close { hold, items, .. } => {
            aim_at_hold(hold, model);
            if let (Some(items), Some(hold)) = (items, model.holds.get(hold)) {
                fit_to_hold(items, hold);
            }
        }
        Command::Return { order, items, .. } => fit_to_order(items, order, store, |qty, returned| qty - returned),
        Command::Split { order, items, .. } => fit_to_order(items, order, store, |qty, _| qty),
        Command::Yield { worker } => {
            let working = model.orders.values().filter(|order| order.state == OrderState::Claimed);
            let workers = working.filter_map(|order| order.worker.clone()).collect();
            *worker = chosen(workers, number(worker)).unwrap_or_else(|| worker.clone());
        }
        Command::Pass { order, gate } | Command::Gate { order, gate, .. } => {
            let gates = model.orders.get(order).map_or(Vec::new(), |order| order.gates.clone());
            if let Some(known) = chosen(gates, number(gate)).filter(|_| !is_left(gate)) {
                *gate = known.name;
            }
        }
        _ => {}
    }
    command
}

/// What has to happen before a command so that it finds what it is meant for; none, if nothing has to, or nothing can.
pub fn prepared(command: &Command, model: &Model, number: usize) -> Option<Command> {
    let has = |is: fn(OrderState) -> bool| model.orders.values().any(|order| is(order.state));
    let is_live = |hold: &Hold| hold.state == HoldState::Live;
    match command {
        Command::Close { .. } | Command::Extend { .. } | Command::Place { take: Source::Hold(_), .. } => {
            (!model.holds.values().any(is_live)).then(|| reserved(model, number))
        }
        Command::Claim { pick: Picked::Any, .. } => {
            (!has(|state| state == OrderState::Queued)).then(|| placed(model, number, Lines::new()))
        }
        Command::Pass { gate, .. } => {
            (!has(|state| state == OrderState::Pending)).then(|| placed(model, number, vec![(gate.clone(), 0)]))
        }
        Command::Redrive { .. } if !has(|state| state == OrderState::Dead) => {
            let order = open_order(model)?;
            let reason = b"no".to_vec();
            Some(Command::Fail { order, token: None, reason, after_ms: None, fatal: true })
        }
        Command::Return { .. } if !has(|state| state == OrderState::Completed) => {
            Some(Command::Complete { order: open_order(model)?, token: None, result: Vec::new() })
        }
        Command::Complete { .. }
        | Command::CompleteAndClaim { .. }
        | Command::Fail { .. }
        | Command::Renew { .. }
        | Command::Advance { .. }
        | Command::Yield { .. }
        | Command::Edit { .. }
        | Command::Split { .. }
            if !has(|state| state == OrderState::Claimed) =>
        {
            let claim = Command::Claim { worker: b"w1".to_vec(), count: 2, pick: Picked::Any, lease_ms: Some(500) };
            Some(if has(OrderState::is_for_workers) { claim } else { placed(model, number, Lines::new()) })
        }
        _ => None,
    }
}

/// An order that workers can end.
fn open_order(model: &Model) -> Option<Id> {
    model.orders.iter().find(|(_, order)| order.state.is_for_workers()).map(|(id, _)| id.clone())
}

/// The SKU of which most is available, if any is.
fn best_sku(model: &Model) -> Option<Id> {
    let skus = model.skus.keys().map(|sku| (model.available(sku), sku));
    skus.max().filter(|(available, _)| *available > 2).map(|(_, sku)| sku.clone())
}

/// A new hold; or units for one.
fn reserved(model: &Model, number: usize) -> Command {
    let hold = format!("cart-{number}").into_bytes();
    match best_sku(model) {
        Some(sku) => {
            Command::Reserve { hold, customer: None, ttl_ms: Some(2_000), replace: false, items: vec![(sku, 2)] }
        }
        None => build::adjust("tea", 9),
    }
}

/// A new order; or units for one.
fn placed(model: &Model, number: usize, gates: Lines) -> Command {
    let (order, customer) = (format!("new-{number}").into_bytes(), format!("guest-{}", number % 7).into_bytes());
    let Some(sku) = best_sku(model) else { return build::adjust("tea", 9) };
    let take = Source::Items(vec![(sku, 2)]);
    Command::Place { order, customer, group: None, lane: Vec::new(), data: Vec::new(), gates, wait_ms: None, take }
}

fn aim_at_hold(hold: &mut Id, model: &Model) {
    let live: Vec<_> = model.holds.iter().filter(|(_, hold)| hold.state == HoldState::Live).map(|(id, _)| id).collect();
    if !is_left(hold)
        && let Some(id) = chosen(live, number(hold))
    {
        *hold = id.clone();
    }
}

/// Has some of the lines name units that a hold has left.
fn fit_to_hold(items: &mut Lines, hold: &Hold) {
    let left: Vec<_> = hold.items.iter().filter(|item| item.left > 0).collect();
    let number = items_number(items);
    if let ([(sku, qty), ..], Some(item)) = (&mut items[..], chosen(left, number))
        && *qty < 5
    {
        (*sku, *qty) = (item.sku.clone(), item.left.min(*qty));
        items.truncate(1);
    }
}

fn items_number(items: &Lines) -> usize {
    items.iter().map(|(sku, qty)| number(sku) + *qty as usize).sum()
}

/// The same for an order, by how many units of an item can be named.
fn fit_to_order(items: &mut Lines, order: &Id, store: &Store, named: impl Fn(u64, u64) -> u64) {
    let Some(view) = store.order(0, order) else { return };
    let has: Vec<_> = view.items.iter().filter(|item| named(item.qty, item.returned) > 0).collect();
    if let [(sku, qty @ 1)] = &mut items[..]
        && let Some(item) = chosen(has, sku.len())
    {
        (*sku, *qty) = (item.sku.to_vec(), 1);
    }
}
