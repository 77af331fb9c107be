//! The model: what the contract says, written in the simplest way.

use super::calls::{Call, Items, LANES, Pick, SKUS};
use crate::common::Reply;
use std::collections::BTreeMap;

/// The expected reply of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Int(i64),
    /// A refusal, by its code.
    Refused(&'static str),
    /// A string that was given before.
    Text(String),
    /// Any string.
    NewText,
    /// Any time.
    NewTime,
    /// OK.
    Done,
    Nil,
    /// A map.
    Map,
    /// This order, or none, for a worker.
    Claimed(Option<u8>),
}

/// What the call that made an order replied.
#[derive(Clone, Debug, PartialEq)]
enum First {
    /// The id of its entry, which the server has not said yet.
    Unknown,
    Id(String),
    Nil,
}

#[derive(Clone, Copy, Default)]
struct Sku {
    on_hand: i64,
    held: i64,
    sold: i64,
    backlog: Option<i64>,
}

#[derive(Clone)]
struct Hold {
    customer: Option<u8>,
    reserved: Items,
    left: Items,
    state: &'static str,
    /// The call that ended it, without its REF.
    ended_by: Option<Call>,
    expires_at: Option<i64>,
}

#[derive(Clone)]
struct Order {
    customer: u8,
    /// The call that made it: PLACE or SPLIT.
    placed_by: Call,
    items: Items,
    /// What it still waits for.
    lacks: BTreeMap<usize, i64>,
    lane: usize,
    /// Each with how many were to pass when it was passed.
    gates: Vec<(u8, Option<i64>)>,
    /// The worker that has it, and the token, once the server said it.
    worker: Option<u8>,
    token: Option<i64>,
    /// The last EDIT: whether units were lost, the items, and the token.
    edited_by: Option<(bool, Items, Option<i64>)>,
    /// Whether its entry is another one than that call replied.
    is_listed_again: bool,
    returned: BTreeMap<usize, i64>,
    state: &'static str,
    result: Option<u8>,
    first: First,
    /// The id of its entry in `…:complete`.
    complete: Option<String>,
    /// Units that its cancelling put back.
    put_back: i64,
}

impl Order {
    fn is_open(&self) -> bool {
        matches!(self.state, "queued" | "claimed" | "pending" | "waitlisted")
    }

    fn to_pass(&self) -> i64 {
        self.gates.iter().filter(|(_, passed)| passed.is_none()).count() as i64
    }

    fn lacks(&self, sku: usize) -> i64 {
        self.lacks.get(&sku).copied().unwrap_or(0)
    }

    /// Units of each item that it has.
    fn has(&self) -> Items {
        self.items.iter().map(|(sku, units)| (*sku, units - self.lacks(*sku))).collect()
    }
}

/// The books of one store.
pub struct Books {
    limit: i64,
    skus: [Sku; SKUS.len()],
    holds: BTreeMap<u8, Hold>,
    orders: BTreeMap<u8, Order>,
    /// Orders by the time their entries were written.
    listed: Vec<u8>,
    /// Orders by the time they were queued.
    queue: Vec<u8>,
    /// Orders that wait for stock, as they came; a part of one behind it.
    line: Vec<u8>,
    /// The order that each order of the line was a part of, or itself: these came together.
    came: BTreeMap<u8, u8>,
    /// Calls that had a REF and their replies, by the name of the command.
    refs: BTreeMap<(&'static str, u8), (Call, i64)>,
    units: BTreeMap<u8, i64>,
}

fn total(items: &Items) -> i64 {
    items.iter().map(|(_, units)| units).sum()
}

/// The units of a SKU among items.
fn of(items: &Items, sku: usize) -> i64 {
    items.iter().find(|(found, _)| *found == sku).map_or(0, |(_, units)| *units)
}

impl Books {
    /// A store with so many units of each SKU.
    pub fn new(units: i64) -> Books {
        Books {
            limit: 0,
            skus: [Sku { on_hand: units, ..Sku::default() }; SKUS.len()],
            holds: BTreeMap::new(),
            orders: BTreeMap::new(),
            listed: Vec::new(),
            queue: Vec::new(),
            line: Vec::new(),
            came: BTreeMap::new(),
            refs: BTreeMap::new(),
            units: BTreeMap::new(),
        }
    }

    /// Does a call and returns the expected reply.
    pub fn apply(&mut self, call: &Call) -> Expected {
        let expected = self.call(call);
        self.serve();
        expected
    }

    fn call(&mut self, call: &Call) -> Expected {
        match call {
            Call::Limit(limit) => {
                self.limit = *limit;
                Expected::Done
            }
            Call::Backlog { sku, units } => {
                self.skus[*sku].backlog = Some(*units);
                Expected::Int(self.free(*sku))
            }
            // A delta of 0 is not an adjustment.
            Call::Adjust { delta: 0, .. } => Expected::Refused("ERR"),
            Call::Adjust { sku, delta, reference } => self.with_reference(call, *reference, |books| {
                let sku = &mut books.skus[*sku];
                if sku.on_hand + delta < 0 {
                    return Err("BADSTATE");
                }
                sku.on_hand += delta;
                Ok((sku.on_hand, true))
            }),
            Call::Close { reference, .. } => self.with_reference(call, *reference, |books| books.close(call)),
            Call::Return { order, reference, scrap, items } => self.with_reference(call, *reference, |books| {
                books.give_back(*order, items, *scrap).map(|units| (units, true))
            }),
            Call::Reserve { hold, customer, replace: true, items } if self.holds.contains_key(hold) => {
                self.replace(*hold, *customer, items)
            }
            Call::Reserve { hold, customer, items, .. } => self.reserve(*hold, *customer, items),
            Call::Place { order, .. } | Call::PlaceHold { order, .. } => self.place(*order, call),
            Call::Edit { order, token, reference, lost, items } => {
                let token = self.token(*order).filter(|_| *token);
                self.with_reference(call, *reference, |books| {
                    books.edit(*order, (*lost, items.clone(), token), reference.is_some())
                })
            }
            Call::Split { order, new, .. } => self.split(call, *order, *new),
            Call::Complete { order, result } => self.complete(*order, *result),
            Call::Cancel { order } => self.cancel(*order).map_or_else(Expected::Refused, Expected::Int),
            Call::Gate { order, gate } => self.gate(*order, *gate).map_or_else(Expected::Refused, Expected::Int),
            Call::Pass { order, gate } => self.pass(*order, *gate).map_or_else(Expected::Refused, Expected::Int),
            Call::Claim { worker, pick } => self.claim(*worker, pick),
            Call::Yield { worker } => self.give_up(*worker),
            Call::Die { order } => self.die(*order),
            Call::Purge => self.purge(),
        }
    }

    /// Notes what only the server decides: times, tokens and ids of entries.
    pub fn learn(&mut self, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Reserve { hold, .. }, Reply::Int(time)) => {
                self.holds.get_mut(hold).and_then(|hold| hold.expires_at.get_or_insert(*time).checked_add(0));
            }
            (
                Call::Place { order, .. } | Call::PlaceHold { order, .. } | Call::Split { new: order, .. },
                Reply::Bulk(_),
            ) => {
                let order = self.orders.get_mut(order).filter(|order| order.first == First::Unknown);
                order.into_iter().for_each(|order| order.first = First::Id(reply.text()));
            }
            (Call::Complete { order, .. }, Reply::Bulk(_)) => {
                self.orders.get_mut(order).map(|order| order.complete.get_or_insert(reply.text()).len());
            }
            (Call::Claim { .. }, Reply::Array(claimed)) => {
                for claim in claimed {
                    let name = claim.field("order").text();
                    let id = name[2..].parse::<u8>().expect("an order of the model");
                    self.orders.get_mut(&id).expect("it is there").token = Some(claim.field("token").int());
                }
            }
            _ => {}
        }
    }

    /// The token under which a worker has an order.
    pub fn token(&self, order: u8) -> Option<i64> {
        self.orders.get(&order).filter(|order| order.state == "claimed").and_then(|order| order.token)
    }

    /// Units of a SKU that are available, or that are held too many.
    fn free(&self, sku: usize) -> i64 {
        self.skus[sku].on_hand - self.skus[sku].held
    }

    /// Units of a SKU that orders wait for.
    fn waiting_for(&self, sku: usize) -> i64 {
        self.line.iter().map(|id| self.orders[id].lacks(sku)).sum()
    }

    /// What is available goes to those who wait for it, first come, first served.
    fn serve(&mut self) {
        for id in self.line.clone() {
            for (sku, lacks) in self.orders[&id].lacks.clone() {
                let units = lacks.min(self.free(sku).max(0));
                self.skus[sku].held += units;
                let lacks = self.orders.get_mut(&id).and_then(|order| order.lacks.get_mut(&sku));
                lacks.into_iter().for_each(|lacks| *lacks -= units);
            }
            self.end_wait(id);
        }
    }

    /// An order that lacks nothing waits no longer.
    fn end_wait(&mut self, id: u8) {
        let order = self.orders.get_mut(&id).expect("it is there");
        order.lacks.retain(|_, lacks| *lacks > 0);
        if order.state == "waitlisted" && order.lacks.is_empty() {
            self.line.retain(|waits| *waits != id);
            self.let_in(id);
        }
    }

    /// An order that has its units is pending or queued.
    fn let_in(&mut self, id: u8) {
        let order = self.orders.get_mut(&id).expect("it is there");
        order.state = if order.to_pass() > 0 { "pending" } else { "queued" };
        if order.state == "queued" && !self.queue.contains(&id) {
            self.queue.push(id);
            self.listed.push(id);
        }
    }

    /// A REF gets the first reply for the same call, and refuses another call. It is remembered with a call that
    /// changed something: `run` returns the reply and whether something changed.
    fn with_reference(
        &mut self,
        call: &Call,
        reference: Option<u8>,
        run: impl FnOnce(&mut Books) -> Result<(i64, bool), &'static str>,
    ) -> Expected {
        let reference = reference.map(|reference| (call.name(), reference));
        if let Some((known, reply)) = reference.and_then(|reference| self.refs.get(&reference)) {
            return if *known == call.content() { Expected::Int(*reply) } else { Expected::Refused("MISMATCH") };
        }
        let reply = run(self);
        if let (Some(reference), Ok((reply, true))) = (reference, reply) {
            self.refs.insert(reference, (call.content(), reply));
        }
        reply.map_or_else(Expected::Refused, |(reply, _)| Expected::Int(reply))
    }

    /// Whether a customer may have more, and whether it is available.
    fn check(&self, customer: Option<u8>, items: &Items) -> Result<(), &'static str> {
        self.check_limit(customer, items)?;
        let short = |(sku, units): &(usize, i64)| self.skus[*sku].on_hand - self.skus[*sku].held < *units;
        if items.iter().any(short) {
            return Err("OUTOFSTOCK");
        }
        Ok(())
    }

    fn check_limit(&self, customer: Option<u8>, items: &Items) -> Result<(), &'static str> {
        let has = customer.and_then(|customer| self.units.get(&customer)).unwrap_or(&0);
        if customer.is_some() && self.limit > 0 && has + total(items) > self.limit {
            return Err("LIMIT");
        }
        Ok(())
    }

    /// Counts units for a customer, if there is one.
    fn count(&mut self, customer: Option<u8>, units: i64) {
        if let Some(customer) = customer {
            *self.units.entry(customer).or_default() += units;
        }
    }

    fn hold_units(&mut self, items: &Items, sign: i64) {
        items.iter().for_each(|(sku, units)| self.skus[*sku].held += sign * units);
    }

    fn sell_units(&mut self, items: &Items) {
        for (sku, units) in items {
            let sku = &mut self.skus[*sku];
            // A count may have been set below what was promised: units sold beyond it leave 0.
            sku.on_hand = (sku.on_hand - units).max(0);
            (sku.held, sku.sold) = (sku.held - units, sku.sold + units);
        }
    }

    fn reserve(&mut self, id: u8, customer: Option<u8>, items: &Items) -> Expected {
        if let Some(hold) = self.holds.get(&id) {
            if hold.state != "live" {
                return Expected::Refused("BADSTATE");
            }
            let same = hold.customer == customer && hold.reserved == *items;
            return match hold.expires_at.filter(|_| same) {
                Some(time) => Expected::Int(time),
                None => Expected::Refused("MISMATCH"),
            };
        }
        if let Err(code) = self.check(customer, items) {
            return Expected::Refused(code);
        }
        self.hold_units(items, 1);
        self.count(customer, total(items));
        let (reserved, left) = (items.clone(), items.clone());
        self.holds.insert(id, Hold { customer, reserved, left, state: "live", ended_by: None, expires_at: None });
        Expected::NewTime
    }

    /// A hold becomes exactly this; its own units are never in the way.
    fn replace(&mut self, id: u8, customer: Option<u8>, items: &Items) -> Expected {
        let hold = self.holds[&id].clone();
        let is_whole = hold.state == "live" && hold.left == hold.reserved;
        if is_whole && hold.customer == customer && hold.reserved == *items {
            return hold.expires_at.map_or(Expected::NewTime, Expected::Int);
        }
        if hold.state == "ordered" {
            return Expected::Refused("BADSTATE");
        }
        let (before, want) = (total(&hold.left), total(items));
        let own = if hold.customer == customer { before } else { 0 };
        let has = customer.and_then(|customer| self.units.get(&customer)).unwrap_or(&0) - own;
        if customer.is_some() && self.limit > 0 && want > own && has + want > self.limit {
            return Expected::Refused("LIMIT");
        }
        let more = |(sku, units): &(usize, i64)| units - of(&hold.left, *sku);
        if items.iter().any(|item| more(item) > 0 && self.free(item.0) < more(item)) {
            return Expected::Refused("OUTOFSTOCK");
        }
        self.hold_units(&hold.left, -1);
        self.hold_units(items, 1);
        self.count(hold.customer, -before);
        self.count(customer, want);
        let (reserved, left) = (items.clone(), items.clone());
        self.holds.insert(id, Hold { customer, reserved, left, state: "live", ended_by: None, expires_at: None });
        Expected::NewTime
    }

    /// COMMIT or RELEASE: units left and whether that changed anything, or the refusal.
    fn close(&mut self, call: &Call) -> Result<(i64, bool), &'static str> {
        let Call::Close { hold: id, commit, items, .. } = call else { unreachable!("a call of another kind") };
        let bare = Call::Close { hold: *id, commit: *commit, reference: None, items: items.clone() };
        let hold = self.holds.get(id).cloned().ok_or("NOHOLD")?;
        let ends_as = if *commit { "committed" } else { "released" };
        if hold.state == ends_as && (items.is_none() || hold.ended_by.as_ref() == Some(&bare)) {
            return Ok((0, false));
        }
        if hold.state != "live" {
            return Err("BADSTATE");
        }
        let closed = items.clone().unwrap_or_else(|| hold.left.clone());
        if closed.iter().any(|(sku, units)| of(&hold.left, *sku) < *units) {
            return Err("BADSTATE");
        }
        if *commit {
            self.sell_units(&closed);
        } else {
            self.hold_units(&closed, -1);
            self.count(hold.customer, -total(&closed));
        }
        let hold = self.holds.get_mut(id).expect("it is there");
        hold.left.iter_mut().for_each(|(sku, units)| *units -= of(&closed, *sku));
        let left = total(&hold.left);
        if left == 0 {
            (hold.state, hold.ended_by) = (ends_as, Some(bare));
        }
        Ok((left, true))
    }

    fn place(&mut self, id: u8, call: &Call) -> Expected {
        if let Some(order) = self.orders.get(&id) {
            return order.made_before(call);
        }
        let taken = match call {
            Call::Place { customer, items, wait, .. } => self.take_items(*customer, items, *wait),
            Call::PlaceHold { customer, hold, .. } => {
                self.take_hold(*customer, *hold).map(|(customer, items)| (customer, items, BTreeMap::new()))
            }
            _ => unreachable!("a call of another kind"),
        };
        let (customer, items, lacks) = match taken {
            Ok(taken) => taken,
            Err(code) => return Expected::Refused(code),
        };
        let (lane, gates) = match call {
            Call::Place { lane, gates, .. } => (*lane, gates.iter().map(|gate| (*gate, None)).collect()),
            _ => (0, Vec::new()),
        };
        self.came.insert(id, id);
        self.add(id, Order { lacks, lane, gates, ..Order::new(call, customer, items) }, None)
    }

    /// Adds an order, which waits for stock if it lacks any: behind those that came with another one, or at the end.
    fn add(&mut self, id: u8, mut order: Order, with: Option<u8>) -> Expected {
        let waits = !order.lacks.is_empty();
        let is_nil = waits || order.to_pass() > 0;
        (order.state, order.first) = ("waitlisted", if is_nil { First::Nil } else { First::Unknown });
        self.orders.insert(id, order);
        if waits {
            let last = self.line.iter().rposition(|other| with.is_some() && self.came.get(other) == with.as_ref());
            self.line.insert(last.map_or(self.line.len(), |at| at + 1), id);
        } else {
            self.let_in(id);
        }
        if is_nil { Expected::Nil } else { Expected::NewText }
    }

    /// Gives an order other items; its entry is the last one then.
    fn list_again(&mut self, id: u8, items: Items) {
        let order = self.orders.get_mut(&id).expect("it is there");
        order.items = items;
        if self.queue.contains(&id) {
            order.is_listed_again = true;
            self.listed.retain(|listed| *listed != id);
            self.listed.push(id);
        }
    }

    /// Why the items of an order may not change.
    fn check_changeable(&self, id: u8, token: bool) -> Result<(), &'static str> {
        let order = &self.orders[&id];
        match order.state {
            "claimed" if !token || order.token.is_none() => Err("FENCED"),
            _ if !order.is_open() => Err("BADSTATE"),
            _ => Ok(()),
        }
    }

    /// EDIT: units of the order then and whether that changed anything, or the refusal.
    fn edit(
        &mut self,
        id: u8,
        edit: (bool, Items, Option<i64>),
        has_reference: bool,
    ) -> Result<(i64, bool), &'static str> {
        let order = self.orders.get(&id).cloned().ok_or("NOORDER")?;
        let (lost, items, token) = &edit;
        let (units, mut had) = (total(items), order.items.clone());
        had.sort_unstable();
        let stands = order.is_open() || order.state == "completed";
        if stands && !has_reference && had == *items && order.edited_by.as_ref() == Some(&edit) {
            return Ok((units, false));
        }
        self.check_changeable(id, token.is_some())?;
        if had == *items {
            return Ok((units, true));
        }
        let more: Items = items.iter().map(|(sku, units)| (*sku, (units - of(&had, *sku)).max(0))).collect();
        let less: Items = had.iter().map(|(sku, units)| (*sku, (units - of(items, *sku)).max(0))).collect();
        let growth = total(&more) - total(&less);
        if self.limit > 0 && growth > 0 && self.units[&order.customer] + growth > self.limit {
            return Err("LIMIT");
        }
        let lacks = self.check_stock(&more, order.state == "waitlisted")?;
        self.take_less(id, &less, *lost);
        let order = self.orders.get_mut(&id).expect("it is there");
        for (sku, units) in more {
            let short = lacks.get(&sku).copied().unwrap_or(0);
            self.skus[sku].held += units - short;
            *order.lacks.entry(sku).or_default() += short;
        }
        order.edited_by = Some(edit.clone());
        let customer = order.customer;
        self.count(Some(customer), growth);
        self.list_again(id, items.clone());
        self.end_wait(id);
        Ok((units, true))
    }

    /// An order gives up units: first those that it lacks.
    fn take_less(&mut self, id: u8, less: &Items, lost: bool) {
        let order = self.orders.get_mut(&id).expect("it is there");
        for (sku, units) in less {
            let lacked = order.lacks(*sku).min(*units);
            *order.lacks.entry(*sku).or_default() -= lacked;
            let (sku, units) = (&mut self.skus[*sku], units - lacked);
            sku.held -= units;
            sku.on_hand = if lost { (sku.on_hand - units).max(0) } else { sku.on_hand };
        }
    }

    fn split(&mut self, call: &Call, id: u8, new: u8) -> Expected {
        let Call::Split { token, lane, items, .. } = call else { unreachable!("a call of another kind") };
        if let Some(order) = self.orders.get(&new) {
            return order.made_before(call);
        }
        let Some(order) = self.orders.get(&id).cloned() else { return Expected::Refused("NOORDER") };
        if let Err(code) = self.check_changeable(id, *token) {
            return Expected::Refused(code);
        }
        if items.iter().any(|(sku, units)| of(&order.items, *sku) < *units) {
            return Expected::Refused("BADSTATE");
        }
        let kept = order.items.iter().map(|(sku, units)| (*sku, units - of(items, *sku)));
        let kept: Items = kept.filter(|(_, units)| *units > 0).collect();
        if kept.is_empty() {
            return Expected::Refused("ERR");
        }
        // The part gets first what is gathered.
        let lacks = items.iter().map(|(sku, units)| (*sku, (units - of(&order.has(), *sku)).max(0)));
        let lacks: BTreeMap<usize, i64> = lacks.filter(|(_, units)| *units > 0).collect();
        let of_order = self.orders.get_mut(&id).expect("it is there");
        lacks.iter().for_each(|(sku, units)| *of_order.lacks.entry(*sku).or_default() -= units);
        self.list_again(id, kept);
        let gates = if matches!(order.state, "pending" | "waitlisted") { order.gates.clone() } else { Vec::new() };
        let part = Order::new(call, order.customer, items.clone());
        let came = self.came.get(&id).copied();
        if let Some(came) = came {
            self.came.insert(new, came);
        }
        let expected = self.add(new, Order { lacks, gates, lane: lane.unwrap_or(order.lane), ..part }, came);
        self.end_wait(id);
        expected
    }

    fn gate(&mut self, id: u8, gate: u8) -> Result<i64, &'static str> {
        let order = self.orders.get_mut(&id).ok_or("NOORDER")?;
        if !order.is_open() || order.state == "claimed" {
            return Err("BADSTATE");
        }
        match order.gates.iter().find(|(known, _)| *known == gate) {
            Some((_, Some(_))) => return Err("BADSTATE"),
            Some((_, None)) => {}
            None => order.gates.push((gate, None)),
        }
        if order.state == "queued" {
            order.state = "pending";
        }
        Ok(0)
    }

    fn pass(&mut self, id: u8, gate: u8) -> Result<i64, &'static str> {
        let order = self.orders.get_mut(&id).ok_or("NOORDER")?;
        let left = order.to_pass() - 1;
        let (_, passed) = order.gates.iter_mut().find(|(known, _)| *known == gate).ok_or("NOGATE")?;
        if order.state == "cancelled" {
            return Err("BADSTATE");
        }
        if let Some(left) = passed {
            return Ok(*left);
        }
        *passed = Some(left);
        if order.state == "pending" && left == 0 {
            self.let_in(id);
        }
        Ok(left)
    }

    fn claim(&mut self, worker: u8, pick: &Pick) -> Expected {
        let first = |fits: &dyn Fn(u8, &Order) -> bool| {
            let open = |id: &&u8| self.orders[*id].state == "queued" && fits(**id, &self.orders[*id]);
            self.queue.iter().find(open).copied()
        };
        let found = match pick {
            Pick::Any => first(&|_, _| true),
            Pick::Order(id) if !self.orders.contains_key(id) => return Expected::Refused("NOORDER"),
            Pick::Order(wanted) => first(&|id, _| id == *wanted),
            Pick::Lanes(lanes) => lanes.iter().find_map(|lane| first(&|_, order| order.lane == *lane)),
        };
        if let Some(order) = found.and_then(|id| self.orders.get_mut(&id)) {
            (order.state, order.worker, order.token) = ("claimed", Some(worker), None);
        }
        Expected::Claimed(found)
    }

    fn give_up(&mut self, worker: u8) -> Expected {
        let has = |order: &&mut Order| order.state == "claimed" && order.worker == Some(worker);
        let given = self.orders.values_mut().filter(has).map(|order| order.state = "queued");
        Expected::Int(given.count() as i64)
    }

    fn die(&mut self, id: u8) -> Expected {
        let Some(order) = self.orders.get_mut(&id) else { return Expected::Refused("NOORDER") };
        match order.state {
            "queued" | "claimed" => order.state = "dead",
            "dead" => return Expected::Map,
            _ => return Expected::Refused("BADSTATE"),
        }
        let (customer, items) = (order.customer, order.items.clone());
        self.hold_units(&items, -1);
        self.count(Some(customer), -total(&items));
        Expected::Map
    }

    fn purge(&mut self) -> Expected {
        let dead = self.orders.values_mut().filter(|order| order.state == "dead");
        Expected::Int(dead.map(|order| order.state = "cancelled").count() as i64)
    }

    /// What an order of these items lacks, if it may wait for that.
    fn check_stock(&self, items: &Items, waits: bool) -> Result<BTreeMap<usize, i64>, &'static str> {
        let mut lacks = BTreeMap::new();
        for (sku, units) in items {
            let short = units - self.free(*sku).clamp(0, *units);
            let backlog = self.skus[*sku].backlog.unwrap_or(i64::MAX);
            if short > 0 && (!waits || short > (backlog - self.waiting_for(*sku)).max(0)) {
                return Err("OUTOFSTOCK");
            }
            if short > 0 {
                lacks.insert(*sku, short);
            }
        }
        Ok(lacks)
    }

    fn take_items(&mut self, customer: u8, items: &Items, wait: bool) -> Result<Taken, &'static str> {
        self.check_limit(Some(customer), items)?;
        let lacks = self.check_stock(items, wait)?;
        for (sku, units) in items {
            self.skus[*sku].held += units - lacks.get(sku).copied().unwrap_or(0);
        }
        self.count(Some(customer), total(items));
        Ok((customer, items.clone(), lacks))
    }

    fn take_hold(&mut self, customer: u8, id: u8) -> Result<(u8, Items), &'static str> {
        let hold = self.holds.get(&id).cloned().ok_or("NOHOLD")?;
        if hold.state != "live" {
            return Err("BADSTATE");
        }
        let items: Items = hold.left.into_iter().filter(|(_, units)| *units > 0).collect();
        match hold.customer {
            Some(owner) if owner != customer => return Err("MISMATCH"),
            Some(_) => {}
            None => {
                self.check_limit(Some(customer), &items)?;
                self.count(Some(customer), total(&items));
            }
        }
        let hold = self.holds.get_mut(&id).expect("it is there");
        hold.state = "ordered";
        hold.left.iter_mut().for_each(|(_, units)| *units = 0);
        Ok((customer, items))
    }

    fn complete(&mut self, id: u8, result: Option<u8>) -> Expected {
        let Some(order) = self.orders.get_mut(&id) else { return Expected::Refused("NOORDER") };
        match order.state {
            "queued" | "claimed" => {}
            "completed" if order.result == result => {
                return order.complete.clone().map_or(Expected::NewText, Expected::Text);
            }
            "completed" => return Expected::Refused("MISMATCH"),
            _ => return Expected::Refused("BADSTATE"),
        }
        (order.state, order.result) = ("completed", result);
        let items = order.items.clone();
        self.sell_units(&items);
        Expected::NewText
    }

    fn cancel(&mut self, id: u8) -> Result<i64, &'static str> {
        let order = self.orders.get_mut(&id).ok_or("NOORDER")?;
        match order.state {
            "cancelled" => return Ok(order.put_back),
            "completed" => return Err("BADSTATE"),
            _ => {}
        }
        let (was_dead, customer, has) = (order.state == "dead", order.customer, order.has());
        let units = total(&order.items);
        order.state = "cancelled";
        if was_dead {
            return Ok(0);
        }
        order.put_back = total(&has);
        order.lacks.clear();
        self.line.retain(|waits| *waits != id);
        self.hold_units(&has, -1);
        self.count(Some(customer), -units);
        Ok(total(&has))
    }

    fn give_back(&mut self, id: u8, items: &Items, scrap: bool) -> Result<i64, &'static str> {
        let order = self.orders.get_mut(&id).ok_or("NOORDER")?;
        let rest = |sku: usize| of(&order.items, sku) - order.returned.get(&sku).unwrap_or(&0);
        if order.state != "completed" || items.iter().any(|(sku, units)| rest(*sku) < *units) {
            return Err("BADSTATE");
        }
        for (sku, units) in items {
            *order.returned.entry(*sku).or_default() += units;
            let sku = &mut self.skus[*sku];
            sku.on_hand += if scrap { 0 } else { *units };
            sku.sold -= units;
        }
        let customer = order.customer;
        self.count(Some(customer), -total(items));
        Ok(total(items))
    }

    fn sku(&self, name: &str) -> Sku {
        self.skus[SKUS.iter().position(|sku| *sku == name).expect("a SKU of the model")]
    }

    /// A SKU's (on-hand, held, available).
    pub fn stock(&self, name: &str) -> (i64, i64, i64) {
        let sku = self.sku(name);
        (sku.on_hand, sku.held, sku.on_hand - sku.held)
    }

    /// Units of a SKU that were sold and not returned.
    pub fn sold(&self, name: &str) -> i64 {
        self.sku(name).sold
    }

    /// Every order and its state.
    pub fn orders(&self) -> impl Iterator<Item = (String, &'static str)> + '_ {
        self.orders.iter().map(|(id, order)| (format!("o-{id}"), order.state))
    }

    /// Every hold, its state and the units left in it.
    pub fn holds(&self) -> impl Iterator<Item = (String, &'static str, i64)> + '_ {
        self.holds.iter().map(|(id, hold)| (format!("h-{id}"), hold.state, total(&hold.left)))
    }

    /// The orders that wait or are worked on, as they are listed, each with the id of its entry where a reply said it.
    pub fn waiting(&self) -> Vec<(String, Option<String>)> {
        let open = self.listed.iter().map(|id| (id, &self.orders[id])).filter(|(_, order)| order.is_open());
        let entry = |order: &Order| match &order.first {
            First::Id(id) if !order.is_listed_again => Some(id.clone()),
            _ => None,
        };
        open.map(|(id, order)| (format!("o-{id}"), entry(order))).collect()
    }

    /// Units of a SKU that orders wait for.
    pub fn waited_for(&self, name: &str) -> i64 {
        self.waiting_for(SKUS.iter().position(|sku| *sku == name).expect("a SKU of the model"))
    }

    /// Orders that wait for a worker, and that one has, in each lane that has any.
    pub fn lanes(&self) -> BTreeMap<&'static str, (i64, i64)> {
        let mut lanes = BTreeMap::new();
        for order in self.orders.values() {
            let (queued, in_work) = lanes.entry(LANES[order.lane]).or_insert((0, 0));
            *queued += i64::from(order.state == "queued");
            *in_work += i64::from(order.state == "claimed");
        }
        lanes.retain(|_, orders| *orders != (0, 0));
        lanes
    }
}

/// Whose order it is, its items and what it lacks.
type Taken = (u8, Items, BTreeMap<usize, i64>);

impl Order {
    fn new(call: &Call, customer: u8, items: Items) -> Order {
        Order {
            customer,
            placed_by: call.content(),
            items,
            lacks: BTreeMap::new(),
            lane: 0,
            gates: Vec::new(),
            worker: None,
            token: None,
            edited_by: None,
            is_listed_again: false,
            returned: BTreeMap::new(),
            state: "queued",
            result: None,
            first: First::Unknown,
            complete: None,
            put_back: 0,
        }
    }

    /// What a call gets that names an order which is there: the first reply, if it is the call that made it.
    fn made_before(&self, call: &Call) -> Expected {
        let is_same = self.placed_by == call.content();
        match (&self.first, self.state) {
            // PLACE looks at the state first, SPLIT at the call.
            (_, "cancelled") if is_same || !matches!(call, Call::Split { .. }) => Expected::Refused("BADSTATE"),
            _ if !is_same => Expected::Refused("MISMATCH"),
            (First::Nil, _) => Expected::Nil,
            (First::Id(id), _) => Expected::Text(id.clone()),
            (First::Unknown, _) => Expected::NewText,
        }
    }
}
