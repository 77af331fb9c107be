//! The queue: which order is next, and which open order is late next.
//!
//! An order that names no group is in a list through the orders themselves, first in, first out: placing and claiming
//! cost the same whatever its length. What cannot be there (an order given back, the first of a group, one that was
//! redriven) is among the ready ones, sorted by when it was queued. The orders of a group are in a list of their own;
//! only its first is ever offered, so a blocked group is never looked at.

use std::collections::{BTreeMap, VecDeque};

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::base::units::{Ms, NIL};
use crate::record::due::DueKey;
use crate::record::group::{Group, OrderList};
use crate::record::order::{Extra, Order, Position, Stage};
use crate::store::orders::Orders;
use crate::terms::streams::EntryId;

/// How an order stands among those to be given out: due retries first, by when they were due, then all others, by when
/// they were queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Retry(DueKey),
    Queued(EntryId),
}

/// The orders of a lane that wait, in the order in which they are given out.
pub(crate) struct Line {
    /// Those that came and wait.
    fifo: OrderList,
    /// Orders to be given out that are not in that list, by when they were queued.
    ready: BTreeMap<EntryId, u32>,
    /// Due retries, by when they were due.
    retries: BTreeMap<DueKey, u32>,
    /// How its next order stands, as the index of lanes has it.
    turn: Option<Turn>,
}

/// The lanes that have an order to give out, by how the next order of each stands. There are so few that a sorted list
/// takes less time than a tree; mostly the first lane of it becomes the first or the last again.
#[derive(Default)]
pub(crate) struct Turns(VecDeque<(Turn, u32)>);

impl Turns {
    #[inline]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn first(&self) -> Option<(Turn, u32)> {
        self.0.front().copied()
    }

    /// Where a turn is, or would be.
    fn find(&self, turn: Turn) -> Result<usize, usize> {
        match (self.0.front(), self.0.back()) {
            (Some((first, _)), _) if *first >= turn => {
                if *first == turn {
                    Ok(0)
                } else {
                    Err(0)
                }
            }
            (_, Some((last, _))) if *last < turn => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| known.cmp(&turn)),
        }
    }

    /// The lane whose next order stands so.
    pub fn get(&self, turn: Turn) -> Option<u32> {
        self.find(turn).ok().map(|at| self.0[at].1)
    }

    pub fn insert(&mut self, turn: Turn, lane: u32) {
        let at = self.find(turn).unwrap_or_else(|at| at);
        self.0.insert(at, (turn, lane));
    }

    fn remove(&mut self, turn: Turn) {
        if let Ok(at) = self.find(turn) {
            self.0.remove(at);
        }
    }

    /// Breaks the list on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> &mut VecDeque<(Turn, u32)> {
        &mut self.0
    }
}

/// The orders that wait, in the order in which they are given out.
pub(crate) struct Queue {
    /// Those of the default lane.
    line: Line,
    /// The first order of its list that was not late so far.
    late_from: u32,
    /// Open orders that are not in the list and were not late so far, by age.
    aging: BTreeMap<(Ms, EntryId), u32>,
    groups: Table<Group>,
    /// The other lanes that have an order to give out, by slot.
    lanes: BTreeMap<u32, Line>,
    /// The same lanes, by how the next order of each stands.
    turns: Turns,
}

impl Line {
    fn new() -> Self {
        Line { fifo: OrderList::EMPTY, ready: BTreeMap::new(), retries: BTreeMap::new(), turn: None }
    }

    /// The order that is given out next: due retries first, then by when they were queued.
    #[inline]
    fn next(&self, orders: &Orders) -> Option<u32> {
        if let Some((_, slot)) = self.retries.first_key_value() {
            return Some(*slot);
        }
        let head = self.fifo.head;
        let ready = self.ready.first_key_value().map(|(queued_as, slot)| (*queued_as, *slot));
        match (head, ready) {
            (NIL, ready) => ready.map(|(_, slot)| slot),
            (head, None) => Some(head),
            (head, Some(ready)) => Some((orders.queued_as(orders.at(head)), head).min(ready).1),
        }
    }

    /// How its next order stands.
    pub fn next_turn(&self, orders: &Orders) -> Option<Turn> {
        match self.retries.first_key_value() {
            Some((since, _)) => Some(Turn::Retry(*since)),
            None => self.next(orders).map(|slot| Turn::Queued(orders.queued_as(orders.at(slot)))),
        }
    }

    /// Whether no order could be given out.
    #[inline]
    fn is_empty(&self) -> bool {
        self.fifo.head == NIL && self.ready.is_empty() && self.retries.is_empty()
    }

    /// The list of those that came and wait.
    pub fn fifo(&self) -> &OrderList {
        &self.fifo
    }

    /// Orders to be given out that are not in that list.
    pub fn ready(&self) -> &BTreeMap<EntryId, u32> {
        &self.ready
    }

    /// Due retries.
    pub fn retries(&self) -> &BTreeMap<DueKey, u32> {
        &self.retries
    }

    /// How its next order stands, as the index of lanes has it.
    pub fn turn(&self) -> Option<Turn> {
        self.turn
    }
}

impl Queue {
    pub fn new(seed: u64) -> Self {
        Queue {
            line: Line::new(),
            late_from: NIL,
            aging: BTreeMap::new(),
            groups: Table::new(seed),
            lanes: BTreeMap::new(),
            turns: Turns::default(),
        }
    }

    /// Puts an order behind all others: at the end of its lane, or of its group.
    #[inline]
    pub fn enqueue(&mut self, orders: &mut Orders, slot: u32) {
        match orders.extra(orders.at(slot)) {
            None => self.join_fifo(orders, slot),
            Some(extra) => {
                let (group, lane) = (extra.group(), extra.lane());
                self.enqueue_in(orders, slot, group, lane);
            }
        }
    }

    #[inline(never)]
    fn enqueue_in(&mut self, orders: &mut Orders, slot: u32, group: Option<u32>, lane: Option<u32>) {
        match (group, lane) {
            (None, None) => self.join_fifo(orders, slot),
            (None, Some(lane)) => self.join_lane(orders, lane, slot),
            (Some(group), _) => {
                self.age(orders, slot);
                self.join_group(orders, group, slot);
                self.offer(orders, slot);
            }
        }
    }

    /// Puts an order that names neither a group nor a lane at the end of the list.
    pub fn join_fifo(&mut self, orders: &mut Orders, slot: u32) {
        self.line.fifo.push(orders, slot);
        let order = orders.queued_mut(slot);
        order.position = Position::Fifo;
        if self.late_from == NIL && !order.late {
            self.late_from = slot;
        }
    }

    /// Puts an order that names no group at the end of a lane's list.
    fn join_lane(&mut self, orders: &mut Orders, lane: u32, slot: u32) {
        self.age(orders, slot);
        self.changing_lane(orders, lane, |line, orders| line.fifo.push(orders, slot));
        orders.queued_mut(slot).position = Position::Lane;
    }

    /// Changes the line of a lane; the index of lanes follows.
    fn changing_lane<R>(&mut self, orders: &mut Orders, lane: u32, change: impl FnOnce(&mut Line, &mut Orders) -> R) {
        let line = self.lanes.entry(lane).or_insert_with(Line::new);
        change(line, orders);
        let (before, turn) = (line.turn, line.next_turn(orders));
        line.turn = turn;
        if turn != before {
            before.into_iter().for_each(|before| self.turns.remove(before));
            turn.into_iter().for_each(|turn| self.turns.insert(turn, lane));
        }
        if turn.is_none() {
            self.lanes.remove(&lane);
        }
    }

    /// The same for the lane that an order is in, which may be the default one.
    fn changing_line<R>(&mut self, orders: &mut Orders, slot: u32, change: impl FnOnce(&mut Line, &mut Orders) -> R) {
        match orders.lane(orders.at(slot)) {
            None => drop(change(&mut self.line, orders)),
            Some(lane) => self.changing_lane(orders, lane, change),
        }
    }

    /// Puts an order behind the others of its group, without offering it.
    pub fn join_group(&mut self, orders: &mut Orders, group: u32, slot: u32) {
        self.groups.at_mut(group).orders.push(orders, slot);
        orders.queued_mut(slot).position = Position::InGroup;
    }

    /// Offers an order that waits to the workers, unless it is not its turn in its group.
    pub fn offer(&mut self, orders: &mut Orders, slot: u32) {
        let order = orders.at(slot);
        let turn = orders.group(order).is_none_or(|group| self.groups.at(group).orders.head == slot);
        let retry = orders.extra(order).and_then(|extra| extra.stage.retry());
        let position = match (turn, retry) {
            (false, _) => Position::InGroup,
            (true, Some(retry)) => {
                self.changing_line(orders, slot, |line, _| line.retries.insert(retry.since, slot));
                Position::Retry
            }
            (true, None) => {
                let queued_as = orders.queued_as(order);
                self.changing_line(orders, slot, |line, _| line.ready.insert(queued_as, slot));
                Position::Ready
            }
        };
        orders.queued_mut(slot).position = position;
    }

    /// Takes an open order from its position. One that stays open has to be among the aging then ([`Self::age`]).
    #[inline]
    pub fn withdraw(&mut self, orders: &mut Orders, slot: u32) {
        match orders.at(slot).position {
            Position::Fifo => self.leave_fifo(orders, slot),
            Position::Lane | Position::Ready | Position::Retry => self.leave_line(orders, slot),
            Position::InGroup | Position::None | Position::Ended => {}
        }
        orders.queued_mut(slot).position = Position::None;
    }

    /// Takes an order out of the line of its lane, if it is not in the list of the default one.
    #[inline(never)]
    fn leave_line(&mut self, orders: &mut Orders, slot: u32) {
        let order = orders.at(slot);
        match order.position {
            Position::Lane => self.changing_line(orders, slot, |line, orders| line.fifo.remove(orders, slot)),
            Position::Ready => {
                let queued_as = orders.queued_as(order);
                self.changing_line(orders, slot, |line, _| line.ready.remove(&queued_as));
            }
            Position::Retry => {
                let retry = orders.extra(order).and_then(|extra| extra.stage.retry());
                let since = retry.map_or(DueKey::default(), |retry| retry.since);
                self.changing_line(orders, slot, |line, _| line.retries.remove(&since));
            }
            Position::InGroup | Position::None | Position::Ended | Position::Fifo => {}
        }
    }

    fn leave_fifo(&mut self, orders: &mut Orders, slot: u32) {
        if self.late_from == slot {
            self.late_from = orders.at(slot).next;
        }
        self.line.fifo.remove(orders, slot);
    }

    /// Takes an order that ends, or dies, out of every list, and offers the next of its group.
    pub fn leave(&mut self, orders: &mut Orders, slot: u32) {
        let order = orders.at(slot);
        if order.position != Position::Fifo {
            self.aging.remove(&orders.age(order));
        }
        let group = orders.group(order);
        self.withdraw(orders, slot);
        let Some(group) = group.filter(|_| orders.is_listed(orders.at(slot))) else { return };
        let list = &mut self.groups.at_mut(group).orders;
        let was_first = list.head == slot;
        list.remove(orders, slot);
        let next = list.head;
        if was_first && next != NIL && orders.at(next).position == Position::InGroup {
            self.offer(orders, next);
        }
    }

    /// The order that is offered when this one ends: the next of its group.
    pub fn behind(&self, orders: &Orders, slot: u32) -> Option<u32> {
        let (order, group) = (orders.at(slot), orders.group(orders.at(slot))?);
        let is_first = orders.is_listed(order) && self.groups.at(group).orders.head == slot;
        let next = Some(order.next).filter(|next| is_first && *next != NIL)?;
        (orders.at(next).position == Position::InGroup).then_some(next)
    }

    /// The order that is given out next: due retries first, then by when they were queued, whatever their lanes.
    #[inline]
    pub fn next(&self, orders: &Orders) -> Option<u32> {
        if self.turns.is_empty() { self.line.next(orders) } else { self.next_of_all(orders) }
    }

    #[inline(never)]
    fn next_of_all(&self, orders: &Orders) -> Option<u32> {
        let (turn, lane) = self.turns.first()?;
        let is_before = self.line.next_turn(orders).is_some_and(|own| own < turn);
        if is_before { self.line.next(orders) } else { self.next_in(orders, Some(lane)) }
    }

    /// The order of a lane that is given out next.
    pub fn next_in(&self, orders: &Orders, lane: Option<u32>) -> Option<u32> {
        self.line(lane)?.next(orders)
    }

    /// What waits in the default lane, or in another one; none if that has no order to give out.
    pub fn line(&self, lane: Option<u32>) -> Option<&Line> {
        lane.map_or(Some(&self.line), |lane| self.lanes.get(&lane))
    }

    /// The lanes that have an order to give out; the default one first, if it is among them.
    pub fn lanes_to_give(&self) -> impl Iterator<Item = Option<u32>> {
        let default = (!self.line.is_empty()).then_some(None);
        default.into_iter().chain(self.lanes.keys().copied().map(Some))
    }

    /// Whether no order could be given out.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.turns.is_empty()
    }

    /// Notes an open order that is not in the list and was not late so far.
    pub fn age(&mut self, orders: &Orders, slot: u32) {
        let order = orders.at(slot);
        if !order.late {
            self.aging.insert(orders.age(order), slot);
        }
    }

    /// Takes an order out of those that [`Self::age`] noted: its age is to change.
    pub fn forget_age(&mut self, orders: &Orders, slot: u32) {
        self.aging.remove(&orders.age(orders.at(slot)));
    }

    /// The open order that is late next, and from when on it is. Those in the list are sorted by age.
    #[inline]
    pub fn next_late(&self, orders: &Orders, sla_ms: Ms) -> Option<(Ms, u32)> {
        if sla_ms == 0 {
            return None;
        }
        let listed = (self.late_from != NIL).then(|| (orders.age(orders.at(self.late_from)), self.late_from));
        let aging = self.aging.first_key_value().map(|(age, slot)| (*age, *slot));
        let ((placed_at, _), slot) = listed.into_iter().chain(aging).min()?;
        Some((placed_at.saturating_add(sla_ms).saturating_add(1), slot))
    }

    /// Marks an order as late: it is not late again.
    pub fn mark_late(&mut self, orders: &mut Orders, slot: u32) {
        if self.late_from == slot {
            self.late_from = orders.at(slot).next;
        } else {
            self.aging.remove(&orders.age(orders.at(slot)));
        }
        orders.queued_mut(slot).late = true;
    }

    /// Puts the open orders of a store that is loaded into the queue; they come in the order they were queued.
    pub fn seat(&mut self, orders: &mut Orders, open: &[u32]) {
        let mut last_placed = 0;
        for slot in open.iter().copied() {
            let order = orders.at(slot);
            let placed_at = orders.placed_at(order);
            // The list is sorted by age, and those that were late come first in it; others are among the ready.
            let in_fifo = placed_at >= last_placed && !(order.late && self.late_from != NIL);
            match orders.group(order) {
                Some(group) if orders.is_listed(order) => self.join_group(orders, group, slot),
                Some(_) => {}
                None if !is_queued(orders, order) => {}
                None if let Some(lane) = orders.lane(order) => self.join_lane(orders, lane, slot),
                None if in_fifo => {
                    last_placed = placed_at;
                    self.join_fifo(orders, slot);
                }
                _ => {}
            }
        }
        for slot in open.iter().copied() {
            if matches!(orders.at(slot).position, Position::Fifo | Position::Lane) {
                continue;
            }
            orders.queued_mut(slot).position = Position::None;
            self.age(orders, slot);
            if waits(orders, orders.at(slot)) {
                self.offer(orders, slot);
            }
        }
    }

    /// The slot of a group that one more order names; it is made if it is new.
    pub fn name_group(&mut self, id: &[u8]) -> u32 {
        let slot = self.groups.find_or_insert(id, || Group::new(id));
        self.groups.at_mut(slot).refs += 1;
        slot
    }

    /// Drops one order's reference to a group; removes the group with the last one.
    pub fn drop_group(&mut self, slot: u32) {
        let group = self.groups.at_mut(slot);
        group.refs -= 1;
        if group.refs == 0 {
            self.groups.remove(slot);
        }
    }

    /// The groups, for reading.
    pub fn groups(&self) -> &Slab<Group> {
        &self.groups
    }

    /// The list of those that came and wait in the default lane.
    #[cfg(test)]
    pub fn fifo(&self) -> &OrderList {
        &self.line.fifo
    }

    /// Lanes other than the default one that have an order to give out.
    pub fn lanes(&self) -> &BTreeMap<u32, Line> {
        &self.lanes
    }

    /// The same, by how the next order of each stands.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Open orders that are not in the list and were not late so far.
    pub fn aging(&self) -> &BTreeMap<(Ms, EntryId), u32> {
        &self.aging
    }

    /// The slot of a group.
    #[cfg(test)]
    pub fn find_group(&self, id: &[u8]) -> Option<u32> {
        self.groups.find(id)
    }

    /// Breaks the queue on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> Broken<'_> {
        Broken {
            fifo: &mut self.line.fifo,
            ready: &mut self.line.ready,
            retries: &mut self.line.retries,
            aging: &mut self.aging,
            groups: &mut self.groups,
            lanes: &mut self.lanes,
            turns: &mut self.turns,
        }
    }
}

fn is_queued(orders: &Orders, order: &Order) -> bool {
    orders.extra(order).map_or(order.end().is_none(), |extra| extra.stage == Stage::Queued)
}

/// Whether an order waits for a worker, or for its turn in its group: nobody has it, and its retry is due.
pub(crate) fn waits(orders: &Orders, order: &Order) -> bool {
    let retry_due = |extra: &Extra| matches!(extra.stage, Stage::RetryDue(_));
    is_queued(orders, order) || orders.extra(order).is_some_and(retry_due)
}

/// What a test can break.
#[cfg(test)]
pub(crate) struct Broken<'a> {
    pub fifo: &'a mut OrderList,
    pub ready: &'a mut BTreeMap<EntryId, u32>,
    pub retries: &'a mut BTreeMap<DueKey, u32>,
    pub aging: &'a mut BTreeMap<(Ms, EntryId), u32>,
    pub groups: &'a mut Table<Group>,
    pub lanes: &'a mut BTreeMap<u32, Line>,
    pub turns: &'a mut Turns,
}
