//! Orders that change after they were placed: `ORDER.EDIT`, `ORDER.SPLIT`.

use std::collections::BTreeMap;

use crate::base::table::Key;
use crate::base::units::Ms;
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::history::HistoryEvent;
use crate::record::order::{Changed, Extra, Order, Pending, Stage, Waitlisted};
use crate::record::reference::{Content, RefCommand, fingerprint};
use crate::store::Store;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::items::{Item, Units, UnitsList, same_units};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, Shown, checked_sum};
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// `ORDER.EDIT`.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    pub order: &'a [u8],
    pub token: Option<u64>,
    pub reference: Option<&'a [u8]>,
    /// Whether units that the order gives up are written off rather than put back.
    pub lost: bool,
    /// What the order has afterwards.
    pub items: &'a [Item<'a>],
}

/// `ORDER.SPLIT`.
#[derive(Clone, Copy, Debug)]
pub struct Split<'a> {
    pub order: &'a [u8],
    pub new_order: &'a [u8],
    pub token: Option<u64>,
    /// The lane of the new order; none: that of the order it comes from.
    pub lane: Option<&'a [u8]>,
    /// What the new order gets.
    pub items: &'a [Item<'a>],
}

/// What is split off an order.
struct Part<'a> {
    /// The slot of the order.
    from: u32,
    units: &'a UnitsList,
    /// What of it is still waited for, sorted by SKU.
    missing: Vec<Units>,
}

/// How an edit changes the units of an order.
struct Change {
    /// What the order has afterwards.
    items: UnitsList,
    more: UnitsList,
    less: UnitsList,
}

impl Store {
    /// Gives an order exactly these items; replies how many units it has then.
    pub fn edit(&mut self, now: Ms, edit: &Edit<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let content = edit.content();
        if let Some(units) = self.remembered.replied(RefCommand::Edit, edit.reference, &content)? {
            return Ok(units);
        }
        let slot = self.orders.slot(edit.order)?;
        let items = self.shelf.resolve(edit.items)?;
        let units = checked_total(&items)?;
        let is_same = same_units(self.orders.at(slot).items(), items.iter().copied());
        let call = edit.fingerprint(&content);
        if is_same && edit.reference.is_none() && self.edited_before(slot, call) {
            return Ok(units);
        }
        self.check_changeable(slot, edit.token)?;
        if is_same && edit.reference.is_none() {
            return Ok(units);
        }
        let change = Change::new(self.orders.at(slot), items);
        self.check_change(slot, &change)?;
        self.touch(now, fx);
        if !is_same {
            self.change_units(slot, edit, &change, fx);
            self.change_items(slot, &change.items, HistoryEvent::Edited { at: self.now, units }, fx);
            self.changing_order(slot, |_, extra| extra.changed_mut().edit = call);
            fx.event(Event::OrderEdited);
            self.end_wait(slot, fx);
            self.serve_line(fx);
        }
        self.remember(RefCommand::Edit, edit.reference, &content, units);
        Ok(units)
    }

    /// Whether this was the last ORDER.EDIT of an order that stands: one that was cancelled or died since does not have
    /// the units any more.
    fn edited_before(&self, slot: u32, call: u128) -> bool {
        let order = self.orders.at(slot);
        let stands = order.state().is_open() || order.state() == OrderState::Completed;
        stands && self.orders.extra(order).and_then(Extra::changed).is_some_and(|changed| changed.edit == call)
    }

    /// Whether the items of an order may change now: it is open, and if a worker has it, the token is that worker's.
    fn check_changeable(&self, slot: u32, token: Option<u64>) -> Result<(), Refusal> {
        self.check_open(slot)?;
        self.check_token(slot, token)?;
        let claimed = self.orders.extra_at(slot).and_then(|extra| extra.stage.claimed());
        match claimed.filter(|_| token.is_none()) {
            Some(claimed) => Err(Refusal::Fenced { current: claimed.token, state: OrderState::Claimed }),
            None => Ok(()),
        }
    }

    /// Whether an order's customer may have what is added, and it is there. What the order gives up makes room for it,
    /// so an edit that adds no units in sum is never over the store's limit.
    fn check_change(&self, slot: u32, change: &Change) -> Result<(), Refusal> {
        let customer = self.orders.at(slot).customer;
        let refused =
            |limit, has, sku| Err(Refusal::Limit { customer: self.customers.id(customer).into(), limit, has, sku });
        for units in &change.more {
            let sku = self.shelf.at(units.sku);
            let has = self.customers.units_of(customer, units.sku).units;
            if sku.limit > 0 && has.saturating_add(units.qty) > sku.limit {
                return refused(sku.limit, has, Some(sku.id.clone()));
            }
        }
        let growth = checked_total(&change.more)?.saturating_sub(checked_total(&change.less)?);
        let (has, limit) = (self.customers.total(customer), self.settings.limit);
        if growth > 0 && limit > 0 && has.saturating_add(growth) > limit {
            return refused(limit, has, None);
        }
        checked_sum(has, growth, "qty")?;
        // One that waits for stock waits for what is added as well, as ORDER.PLACE would have it wait.
        match self.orders.at(slot).state() {
            OrderState::Waitlisted => self.check_backlog(&change.more),
            _ => self.shelf.check_available(&change.more),
        }
    }

    /// Moves the stock that an edit takes and gives up, and counts it for the customer.
    fn change_units(&mut self, slot: u32, edit: &Edit<'_>, change: &Change, fx: &mut Effects) {
        let (kind, how): (_, fn(u64) -> Move) = if edit.lost { ("lost", Move::Lost) } else { ("edit", Move::Free) };
        // One that waits for stock gives up first what it lacks.
        let waits = self.orders.at(slot).state() == OrderState::Waitlisted;
        let less = if waits { self.give_up(slot, &change.less, fx) } else { change.less.clone() };
        for units in &less {
            self.move_stock(units.sku, how(units.qty), Why::new(kind, edit.order), fx);
        }
        if waits {
            self.want_more(slot, &change.more, Why::new("edit", edit.order), fx);
        } else {
            for units in &change.more {
                self.move_stock(units.sku, Move::Hold(units.qty), Why::new("edit", edit.order), fx);
            }
        }
        let less = change.less.iter().map(|units| UnitChange::less(*units));
        let changes: UnitChanges = less.chain(change.more.iter().map(|units| UnitChange::more(*units))).collect();
        self.customers.change(self.orders.at(slot).customer, 0, &changes);
    }

    /// Gives an order other items, which its units were counted for, and writes its entry in `…:orders` again.
    fn change_items(&mut self, slot: u32, items: &[Units], event: HistoryEvent<'_>, fx: &mut Effects) {
        let placed = self.items_fingerprint(slot);
        self.changing_order(slot, |order, extra| {
            order.set_items(items);
            let changed = extra.changed_mut();
            if changed.placed == 0 {
                changed.placed = placed;
            }
            extra.history.push(event);
        });
        self.list_again(slot, fx);
    }

    /// The fingerprint of an order's items, by which ORDER.PLACE knows them once they have changed.
    fn items_fingerprint(&self, slot: u32) -> u128 {
        let items = self.orders.at(slot).items();
        let items: Vec<_> = items.map(|units| Item { sku: &self.shelf.at(units.sku).id, qty: units.qty }).collect();
        placed_content(&items)
    }

    /// Replaces an order's entry in `…:orders` by one with its items of now. Its place in the queue, its age and what
    /// ORDER.PLACE replies stay as they are.
    fn list_again(&mut self, slot: u32, fx: &mut Effects) {
        let order = self.orders.at(slot);
        let Some(old) = self.entry_in(StreamKind::Orders, order) else { return };
        let (placed_at, queued_as) = (self.orders.placed_at(order), self.orders.queued_as(order));
        let entry = self.last.next(StreamKind::Orders, self.now);
        self.changing_order(slot, |order, extra| {
            let origin = extra.origin_mut();
            origin.placed_at = Some(placed_at).filter(|at| *at != entry.ms);
            origin.queued_as = Some(queued_as);
            origin.first_entry.get_or_insert(old);
            order.set_entry(entry);
        });
        fx.push(Effect::Left { kind: StreamKind::Orders, id: old });
        fx.push(Effect::Queued { order: slot, id: entry });
    }

    /// Moves units of an order into an order of their own; replies the id of its entry in `…:orders`; none while it
    /// is pending or waits for stock, as the order it is a part of.
    pub fn split(&mut self, now: Ms, split: &Split<'_>, fx: &mut Effects) -> Result<Option<EntryId>, Refusal> {
        let call = split.content().call;
        let key = self.orders.key(split.new_order);
        if let Some(known) = self.orders.find_key(&key) {
            return self.split_before(known, split, call);
        }
        let slot = self.orders.slot(split.order)?;
        self.check_changeable(slot, split.token)?;
        let moved = self.shelf.resolve(split.items)?;
        let kept = self.check_split(slot, &moved)?;
        if let Some(lane) = split.lane.filter(|lane| !lane.is_empty()) {
            self.check_lane(lane)?;
        }
        self.touch(now, fx);
        let (at, units) = (self.now, moved.iter().map(|item| item.qty).sum());
        let event = HistoryEvent::Split { at, units, into: split.new_order };
        let waits = self.orders.at(slot).state() == OrderState::Waitlisted;
        let missing = if waits { self.divide_wait(slot, &moved) } else { Vec::new() };
        self.change_items(slot, &kept, event, fx);
        let part = Part { from: slot, units: &moved, missing };
        let entry = self.split_off(split, &key, part, call, fx);
        self.end_wait(slot, fx);
        fx.event(Event::OrderSplit);
        Ok(entry)
    }

    /// The first reply, if the new order is known as one that this call made.
    fn split_before(&self, slot: u32, split: &Split<'_>, call: u128) -> Result<Option<EntryId>, Refusal> {
        let order = self.orders.at(slot);
        let extra = self.orders.extra(order);
        if extra.and_then(Extra::changed).is_none_or(|changed| changed.split_off != call) {
            let id = Shown(split.new_order);
            return Err(Refusal::Mismatch(format!("order {id} exists already, and is not from this split")));
        }
        if order.state() == OrderState::Cancelled {
            return Err(Refusal::order_is(OrderState::Cancelled));
        }
        let waited = extra.and_then(Extra::origin).is_some_and(|origin| origin.waited);
        Ok((!waited).then(|| extra.and_then(Extra::first_entry).unwrap_or(order.entry())))
    }

    /// What an order keeps when these units leave it: it has them all, and one more at least.
    fn check_split(&self, slot: u32, moved: &UnitsList) -> Result<UnitsList, Refusal> {
        let items: UnitsList = self.orders.at(slot).items().collect();
        let has = by_sku(&items);
        if let Some(units) = moved.iter().find(|units| has.get(&units.sku).is_none_or(|has| *has < units.qty)) {
            let (sku, has) = (Shown(&self.shelf.at(units.sku).id), has.get(&units.sku).copied().unwrap_or(0));
            return Err(Refusal::BadState(format!("order has {has} of {sku} to split off, not {}", units.qty)));
        }
        let kept = beyond(&items, moved);
        if kept.is_empty() {
            let units: u64 = items.iter().map(|item| item.qty).sum();
            let problem = format!("must be fewer units than the order has, {units}, got all of them");
            return Err(Refusal::argument("ITEMS", problem));
        }
        Ok(kept)
    }

    /// Adds the order that gets these units of another one: it stands behind all that are queued, is pending as the
    /// other one, or waits for stock at its place. Its customer has the units already. The id of its entry, if it is
    /// queued.
    fn split_off(
        &mut self,
        split: &Split<'_>,
        key: &Key<'_>,
        part: Part<'_>,
        call: u128,
        fx: &mut Effects,
    ) -> Option<EntryId> {
        let (at, entry) = (self.now, self.last.next(StreamKind::Orders, self.now));
        let parent = self.orders.at(part.from);
        let (customer, placed_at) = (parent.customer, self.orders.placed_at(parent));
        let order = Order::new(split.new_order, customer, entry, part.units, parent.data());
        let mut extra = self.extra_of_part(split, &part);
        *extra.changed_mut() = Changed { split_off: call, ..Changed::default() };
        if placed_at != entry.ms {
            extra.origin_mut().placed_at = Some(placed_at);
        }
        let units = part.units.iter().map(|item| item.qty).sum();
        extra.history.push(HistoryEvent::SplitOff { at, units, from: split.order });
        self.customers.change(customer, 1, &[]);
        let slot = self.orders.insert_with(key, order, extra);
        self.counters.placed = self.counters.placed.saturating_add(1);
        match self.orders.at(slot).state() {
            OrderState::Queued => {
                self.queue_older(slot, entry, fx);
                Some(entry)
            }
            state => self.split_off_waiting(slot, state, fx),
        }
    }

    /// The same for a part of an order that waited for stock or was pending.
    #[cold]
    fn split_off_waiting(&mut self, slot: u32, state: OrderState, fx: &mut Effects) -> Option<EntryId> {
        self.queue.age(&self.orders, slot);
        let entry = if state == OrderState::Waitlisted {
            self.wait_too(slot);
            None
        } else {
            self.admit(slot, fx)
        };
        if entry.is_none() {
            self.changing_order(slot, |_, extra| extra.origin_mut().waited = true);
        }
        entry
    }

    /// What a part of an order has from the start: its group, its lane, and what it waits for.
    fn extra_of_part(&mut self, split: &Split<'_>, part: &Part<'_>) -> Extra {
        let parent = self.orders.at(part.from);
        let group = self.orders.group(parent).map(|group| self.queue.groups().at(group).id.clone());
        let mut extra = Extra::default();
        extra.set_group(group.map(|id| self.queue.name_group(&id)));
        extra.set_lane(match split.lane {
            Some(lane) => self.orders.name_lane(lane),
            None => self.orders.lane(self.orders.at(part.from)),
        });
        let Some(parent) = self.orders.extra_at(part.from) else { return extra };
        let stage = match &parent.stage {
            Stage::Waitlisted(waitlisted) if !part.missing.is_empty() => {
                let until = waitlisted.until.map(|until| self.agenda.key(until.at));
                Stage::Waitlisted(Box::new(Waitlisted { until, missing: part.missing.clone(), ..**waitlisted }))
            }
            // Its gates decide, whose time may only begin.
            Stage::Waitlisted(_) | Stage::Pending(_) => Stage::Pending(Pending { due: None }),
            _ => return extra,
        };
        (extra.stage, extra.origin_mut().unlisted) = (stage, true);
        if let Some(gates) = parent.gates() {
            extra.seldom_mut().gates = Some(Box::new(gates.clone()));
        }
        extra
    }
}

/// The fingerprint of the items that an order was placed with, in whatever order they are named.
pub(crate) fn placed_content(items: &[Item<'_>]) -> u128 {
    Content::with_items(&[], items).call
}

/// The units of a list by SKU.
fn by_sku(list: &[Units]) -> BTreeMap<u32, u64> {
    list.iter().map(|units| (units.sku, units.qty)).collect()
}

/// What a list has beyond another one, in its own order. Neither names a SKU twice.
fn beyond(list: &[Units], other: &[Units]) -> UnitsList {
    let other = by_sku(other);
    let rest = |units: &Units| Units { qty: units.qty.saturating_sub(*other.get(&units.sku).unwrap_or(&0)), ..*units };
    list.iter().map(rest).filter(|units| units.qty > 0).collect()
}

fn checked_total(list: &[Units]) -> Result<u64, Refusal> {
    list.iter().try_fold(0, |total, units| checked_sum(total, units.qty, "qty"))
}

impl Change {
    fn new(order: &Order, items: UnitsList) -> Self {
        let had: UnitsList = order.items().collect();
        let (more, less) = (beyond(&items, &had), beyond(&had, &items));
        Change { items, more, less }
    }
}

impl Edit<'_> {
    /// What is asked for. Whoever has the order may ask for it again under a later token.
    fn content(&self) -> Content {
        Content::with_items(&[if self.lost { b"edit lost" } else { b"edit" }, self.order], self.items)
    }

    /// The very call, by which an edit without REF is known; 0 for one with a REF, which is known by that alone.
    fn fingerprint(&self, content: &Content) -> u128 {
        if self.reference.is_some() {
            return 0;
        }
        fingerprint([&content.call.to_le_bytes()[..], &self.token.unwrap_or(0).to_le_bytes()])
    }
}

impl Split<'_> {
    fn content(&self) -> Content {
        match self.lane {
            Some(lane) => Content::with_items(&[b"split", self.order, lane], self.items),
            None => Content::with_items(&[b"split", self.order], self.items),
        }
    }
}
