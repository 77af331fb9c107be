//! Reading an image that anyone may have made.

use xxhash_rust::xxh3::Xxh3;

use super::{Section, VERSION};
use crate::base::packed::{take, take_bytes, take_u32};
use crate::base::units::{MAX_DATA_BYTES, MAX_ID_BYTES, MAX_ITEMS, MAX_QUANTITY, Ms, NIL, Units, UnitsList};
use crate::calls::due::Due;
use crate::calls::metrics::Sampling;
use crate::calls::orders::Tallied;
use crate::calls::stock::Source;
use crate::record::customer::{Change, tallies, units_of};
use crate::record::history::{HISTORY_EVENTS_MAX, History};
use crate::record::hold::{Hold, HoldItem};
use crate::record::order::{Extra, Failed, Order, RETURNS_MAX, ReturnEvent, Returns, Seat, Step};
use crate::record::reference::{Ref, RefCommand};
use crate::store::Store;
use crate::terms::settings::Field;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// The most places an image may have given out: nobody lives to see as many again.
const PLACES_MAX: u64 = MAX_QUANTITY / 2;

/// Why an image is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt(pub &'static str);

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "corrupt store image: {}", self.0)
    }
}

type Loaded<T> = Result<T, Corrupt>;

/// Puts a store together again, piece by piece.
pub struct Loader {
    store: Store,
    /// The version of the image.
    version: u64,
    section: Option<Section>,
    pieces: u64,
    sum: Xxh3,
    /// Open orders by their place in the queue, to be seated in that order at the end.
    open: Vec<(EntryId, u32)>,
    /// The places of holds, REFs and orders that are due, ended or dead: no two are the same.
    places: Vec<u64>,
    /// The tokens of claimed orders: no two are the same.
    tokens: Vec<u64>,
    /// The slot of each customer, by the one it was saved with; [`NIL`] where there was none.
    customers: Vec<u32>,
    /// Forgotten units that customers have, by the slot of their SKU.
    past: Vec<u64>,
}

impl Loader {
    /// A loader of a store whose hash tables are keyed by `seed`.
    pub fn new(seed: u64) -> Self {
        Loader {
            store: Store::new(seed),
            version: VERSION,
            section: None,
            pieces: 0,
            sum: Xxh3::new(),
            open: Vec::new(),
            places: Vec::new(),
            tokens: Vec::new(),
            customers: Vec::new(),
            past: Vec::new(),
        }
    }

    /// Whether a piece is the first of a store.
    pub fn is_head(piece: &[u8]) -> bool {
        piece.first().is_some_and(|tag| *tag == Section::Head as u8)
    }

    /// Reads the next piece; the store, once it was the last.
    pub fn piece(mut self, piece: &[u8]) -> Loaded<Result<Box<Store>, Loader>> {
        let (tag, mut rest) =
            piece.split_first().filter(|(_, rest)| !rest.is_empty()).ok_or(Corrupt("an empty piece"))?;
        let section = Section::by_tag(*tag).ok_or(Corrupt("an unknown section"))?;
        let in_order = match self.section {
            None => section == Section::Head,
            Some(last) => section > Section::Head && section >= last,
        };
        if !in_order {
            return Err(Corrupt("a section out of order"));
        }
        self.section = Some(section);
        if section == Section::End {
            return self.end(rest).map(Ok);
        }
        self.pieces += 1;
        self.sum.update(piece);
        while !rest.is_empty() {
            self.record(section, &mut rest)?;
        }
        Ok(Err(self))
    }

    fn record(&mut self, section: Section, rest: &mut &[u8]) -> Loaded<()> {
        match section {
            Section::Head => self.head(rest),
            Section::Skus => self.sku(rest),
            Section::Customers => self.customer(rest),
            Section::Holds => self.hold(rest),
            Section::Orders => self.order(rest),
            Section::Refs => self.reference(rest),
            Section::Sources => self.source(rest),
            Section::End => Err(Corrupt("records behind the end")),
        }
    }

    fn end(mut self, mut rest: &[u8]) -> Loaded<Box<Store>> {
        let sum = self.sum.digest().to_le_bytes();
        if take(&mut rest) != Some(self.pieces) || rest != sum {
            return Err(Corrupt("the checksum does not fit"));
        }
        self.open.sort_unstable();
        self.places.sort_unstable();
        self.tokens.sort_unstable();
        let twice = |list: &[u64]| list.windows(2).any(|two| two[0] == two[1]);
        if self.open.windows(2).any(|two| two[0].0 == two[1].0) || twice(&self.places) || twice(&self.tokens) {
            return Err(Corrupt("a place or a token twice"));
        }
        self.seat();
        self.settle()?;
        Ok(Box::new(self.store))
    }

    /// Seats the open orders, in the order of their places in the queue.
    fn seat(&mut self) {
        let store = &mut self.store;
        let mut last_placed = 0;
        for (_, slot) in &self.open {
            let order = store.orders.at(*slot);
            let (placed_at, group) = (store.placed_at(order), store.group_of(order));
            // The line is sorted by age, and those that were late come first in it; others stand beside it.
            let in_line = order.state() == OrderState::Queued && placed_at >= last_placed;
            let in_line = in_line && !(order.late && store.late_from != NIL);
            match group {
                Some(group) => store.join_group(group, *slot),
                None if in_line => {
                    last_placed = placed_at;
                    store.join_line(*slot);
                }
                None => {}
            }
        }
        for (_, slot) in &self.open {
            let order = store.orders.at_mut(*slot);
            if order.seat == Seat::Line {
                continue;
            }
            order.seat = Seat::Away;
            store.age(*slot);
            if store.waits(store.orders.at(*slot)) {
                store.offer(*slot);
            }
        }
    }

    /// Sums that are only known at the end.
    fn settle(&mut self) -> Loaded<()> {
        let store = &mut self.store;
        for slot in 0..store.skus.end() {
            let sku = store.skus.at_mut(slot);
            let known = |n: u64| n <= MAX_QUANTITY;
            if !known(sku.on_hand + sku.sold) || !known(sku.held + sku.sold) {
                return Err(Corrupt("a SKU's units do not add up"));
            }
            sku.received = (sku.on_hand + sku.sold) as i64;
            store.totals.add(sku);
        }
        for (slot, customer) in store.customers.iter() {
            let units = tallies(customer, store.many.get(&slot));
            units.iter().try_fold(0, |total, (_, tally)| sum(total, tally.units))?;
            if units.is_empty() && customer.open().refs == 0 {
                return Err(Corrupt("a customer that nothing needs"));
            }
        }
        Ok(())
    }

    fn head(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        self.version = number(rest)?;
        if self.pieces > 1 || !(1..=VERSION).contains(&self.version) {
            return Err(Corrupt("a version this module does not know"));
        }
        let store = &mut self.store;
        store.now = quantity(rest)?;
        // Those to come have to load as well.
        store.places = quantity(rest).ok().filter(|places| *places <= PLACES_MAX).ok_or(Corrupt("too many places"))?;
        for kind in StreamKind::ALL {
            *store.last.of(kind) = entry(rest)?;
        }
        store.last_token = quantity(rest)?;
        let counters = store.counters.all_mut();
        if number(rest)? != counters.len() as u64 {
            return Err(Corrupt("another number of counters"));
        }
        for counter in counters {
            *counter = number(rest)?;
        }
        store.sampling = Sampling::read(rest).ok_or(Corrupt("what is known of samples"))?;
        for _ in 0..number(rest)? {
            let field = Field::by_name(bytes(rest, 64)?).ok_or(Corrupt("an unknown setting"))?;
            let value = quantity(rest)?;
            if !(field.min()..=field.max()).contains(&value) {
                return Err(Corrupt("a setting out of range"));
            }
            store.settings.set(field, value);
        }
        store.second = self.version > 1 && flag(rest)?;
        let window = (store.settings.opens, store.settings.closes);
        if window.1 != 0 && window.1 <= window.0 || !rest.is_empty() {
            return Err(Corrupt("a window that closes before it opens, or more than one head"));
        }
        Ok(())
    }

    fn sku(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = id(rest)?;
        if self.store.find_sku(id).is_some() {
            return Err(Corrupt("a SKU twice"));
        }
        let slot = self.store.sku_or_new(id);
        let sku = self.store.skus.at_mut(slot);
        for field in [&mut sku.on_hand, &mut sku.safety, &mut sku.low, &mut sku.limit, &mut sku.past] {
            *field = quantity(rest)?;
        }
        sku.sold = sku.past;
        Ok(())
    }

    fn customer(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = bytes(rest, MAX_ID_BYTES)?;
        if id.is_empty() {
            self.customers.push(NIL);
            return Ok(());
        }
        if self.store.find_customer(id).is_some() {
            return Err(Corrupt("a customer twice"));
        }
        let slot = self.store.new_customer(id);
        self.customers.push(slot);
        for _ in 0..number(rest)? {
            let (sku, past) = (self.sku_ref(rest)?, units(rest)?);
            self.add_past(sku, past)?;
            let past = past as i64;
            if units_of(self.store.customers.at(slot), self.store.many.get(&slot), sku) > 0 {
                return Err(Corrupt("a customer's SKU twice"));
            }
            self.store.change_customer(slot, &Change { refs: 0, units: &[(sku, past, past)] });
        }
        Ok(())
    }

    /// Customers have no more of a SKU's forgotten units than there are: they can bring them back.
    fn add_past(&mut self, sku: u32, past: u64) -> Loaded<()> {
        let at = sku as usize;
        self.past.resize(self.past.len().max(at + 1), 0);
        self.past[at] = sum(self.past[at], past)?;
        if self.past[at] > self.store.skus.at(sku).past {
            return Err(Corrupt("customers have more than was sold"));
        }
        Ok(())
    }

    fn hold(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = id(rest)?;
        if self.store.find_hold(id).is_some() {
            return Err(Corrupt("a hold twice"));
        }
        let mut hold = Hold::new(id);
        hold.customer = self.customer_ref(rest)?;
        hold.state = HoldState::by_number(number(rest)?).ok_or(Corrupt("an unknown state of a hold"))?;
        hold.place = self.place(rest)?;
        for field in [&mut hold.ttl_ms, &mut hold.due, &mut hold.first_deadline, &mut hold.deadline, &mut hold.ended_at]
        {
            *field = time(rest)?;
        }
        hold.end_call = wide(rest)?;
        let mut total = 0;
        for _ in 0..count(rest)? {
            let (sku, qty) = (self.sku_ref(rest)?, units(rest)?);
            let (left, committed) = (quantity(rest)?, quantity(rest)?);
            if left + committed > qty || left > 0 && !hold.is_live() {
                return Err(Corrupt("a hold's units do not add up"));
            }
            total = sum(total, qty)?;
            hold.items.push(HoldItem { sku, qty, left, committed });
        }
        if hold.is_live() && (hold.due != hold.deadline || hold.left() == 0) {
            return Err(Corrupt("a live hold's deadline, or its units"));
        }
        self.add_hold(hold)
    }

    fn add_hold(&mut self, hold: Hold) -> Loaded<()> {
        let mut tallied = Tallied::new();
        for item in &hold.items {
            let sku = self.store.skus.at_mut(item.sku);
            sku.held = sum(sku.held, item.left)?;
            sku.sold = sum(sku.sold, item.committed)?;
            tallied.push((item.sku, (item.left + item.committed) as i64, 0));
        }
        self.store.live_holds += u64::from(hold.is_live());
        let (customer, key) = (hold.customer, (hold.due, hold.place));
        let slot = self.store.add_hold(hold);
        self.store.change_customer(customer, &Change { refs: 1, units: &tallied });
        self.due(key, Due::Hold(slot))
    }

    fn order(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let (id, data) = (id(rest)?, bytes(rest, MAX_DATA_BYTES)?);
        if self.store.find_order(id).is_some() {
            return Err(Corrupt("an order twice"));
        }
        let customer = self.customer_ref(rest)?;
        let state = OrderState::by_number(number(rest)?).ok_or(Corrupt("an unknown state of an order"))?;
        if customer == NIL {
            return Err(Corrupt("an order of nobody"));
        }
        let late = flag(rest)?;
        let entry = entry_to(self.store.last.orders, rest)?;
        let (mut items, mut total) = (UnitsList::new(), 0);
        for _ in 0..count(rest)? {
            let units = Units { sku: self.sku_ref(rest)?, qty: units(rest)? };
            total = sum(total, units.qty)?;
            items.push(units);
        }
        let (extra, worker) = match flag(rest)? {
            false => (None, &b""[..]),
            true => self.extra(rest, state, &items).map(|(extra, worker)| (Some(extra), worker))?,
        };
        match &extra {
            Some(extra) => check_extra(state, extra, worker)?,
            None => check_extra(state, &Extra::default(), worker)?,
        }
        let mut order = Order::new(id, &items, data);
        order.customer = customer;
        order.set_entry(entry);
        order.set_state(state);
        order.late = late;
        self.add_order(order, &items, extra, worker)
    }

    fn add_order(&mut self, mut order: Order, items: &UnitsList, extra: Option<Extra>, worker: &[u8]) -> Loaded<()> {
        let (state, customer) = (order.state(), order.customer);
        let mut tallied = Tallied::new();
        for (i, item) in items.iter().enumerate() {
            let returns = extra.as_ref().and_then(|e| e.returns.as_deref());
            let back = returns.and_then(|returns| returns.units.get(i).copied()).unwrap_or(0);
            let sku = self.store.skus.at_mut(item.sku);
            match state {
                OrderState::Completed => sku.sold = sum(sku.sold, item.qty - back)?,
                state if state.is_open() => sku.held = sum(sku.held, item.qty)?,
                _ => continue,
            }
            tallied.push((item.sku, (item.qty - back) as i64, 0));
        }
        let queued_as = extra.as_ref().and_then(|e| e.queued_as).unwrap_or(order.entry());
        if let Some(extra) = extra {
            order.extra = self.store.extras.insert(extra);
        }
        let slot = self.store.add_order(order);
        self.store.by_state[state as usize] += 1;
        self.store.change_customer(customer, &Change { refs: 1, units: &tallied });
        if state.is_open() {
            self.open.push((queued_as, slot));
        }
        self.add_work(slot, state, worker)
    }

    /// What an order is in beside its queue: a worker's hands, the deadlines, the dead.
    fn add_work(&mut self, slot: u32, state: OrderState, worker: &[u8]) -> Loaded<()> {
        let at = self.store.orders.at(slot).extra;
        if at == NIL {
            return Ok(());
        }
        let extra = self.store.extras.at(at);
        let (token, key, retry) = (extra.token, (extra.due_at, extra.due_place), extra.retry);
        if state == OrderState::Claimed {
            let worker = self.store.worker_or_new(worker);
            self.store.workers.at_mut(worker).claims.insert(token, slot);
            self.store.extras.at_mut(at).worker = Some(worker);
            self.tokens.push(token);
        }
        if let Some((_, place)) = retry {
            self.store.retry_entries += 1;
            self.take_place(place)?;
        }
        if state == OrderState::Dead {
            self.take_place(key.1)?;
            self.store.dead.insert(key.1, slot);
        } else if key.0 > 0 {
            self.take_place(key.1)?;
            self.due(key, Due::Order(slot))?;
        }
        Ok(())
    }

    fn reference(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let by = if self.version == 1 { 0 } else { number(rest)? };
        let by = RefCommand::by_number(by).ok_or(Corrupt("a REF of an unknown command"))?;
        let id = id(rest)?;
        if self.store.find_ref(by, id).is_some() {
            return Err(Corrupt("a REF twice"));
        }
        let mut reference = Ref::new(by, id, wide(rest)?, 0);
        reference.place = self.place(rest)?;
        reference.reply = number(rest)?;
        reference.due = time(rest)?;
        let key = (reference.due, reference.place);
        let slot = self.store.add_ref(reference);
        self.due(key, Due::Ref(slot))
    }

    fn source(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = id(rest)?;
        let source = Source { seq: quantity(rest)?, call: wide(rest)? };
        match self.store.sources.insert(id.into(), source) {
            None => Ok(()),
            Some(_) => Err(Corrupt("a source twice")),
        }
    }

    fn due(&mut self, key: (Ms, u64), due: Due) -> Loaded<()> {
        match self.store.due.insert(key, due) {
            None => Ok(()),
            Some(_) => Err(Corrupt("a deadline twice")),
        }
    }

    fn place(&mut self, rest: &mut &[u8]) -> Loaded<u64> {
        let place = number(rest)?;
        self.take_place(place).map(|()| place)
    }

    fn take_place(&mut self, place: u64) -> Loaded<()> {
        if !(1..=self.store.places).contains(&place) {
            return Err(Corrupt("a place behind the last"));
        }
        self.places.push(place);
        Ok(())
    }

    fn sku_ref(&self, rest: &mut &[u8]) -> Loaded<u32> {
        let slot = take_u32(rest).ok_or(Corrupt("a SKU's number"))?;
        self.store.skus.get(slot).map(|_| slot).ok_or(Corrupt("a SKU that is not there"))
    }

    fn customer_ref(&self, rest: &mut &[u8]) -> Loaded<u32> {
        match take_u32(rest).ok_or(Corrupt("a customer's number"))? {
            0 => Ok(NIL),
            n => {
                let slot = self.customers.get(n as usize - 1).copied().filter(|slot| *slot != NIL);
                slot.ok_or(Corrupt("a customer that is not there"))
            }
        }
    }

    /// The extra of an order, and the id of the worker that has it.
    fn extra<'a>(&mut self, rest: &mut &'a [u8], state: OrderState, items: &UnitsList) -> Loaded<(Extra, &'a [u8])> {
        let last = self.store.last;
        let some = |id: EntryId| Some(id).filter(|id| *id != EntryId::default());
        let mut extra = Extra {
            placed_at: Some(time(rest)?).filter(|at| *at > 0),
            queued_as: some(entry_to(last.orders, rest)?),
            first_entry: some(entry_to(last.orders, rest)?),
            ..Extra::default()
        };
        let (group, hold) = (bytes(rest, MAX_ID_BYTES)?, bytes(rest, MAX_ID_BYTES)?);
        extra.group = (!group.is_empty()).then(|| self.store.name_group(group));
        extra.hold = (!hold.is_empty()).then(|| hold.into());
        extra.ended_at = time(rest)?;
        extra.due_at = time(rest)?;
        extra.due_place = quantity(rest)?;
        extra.complete = entry_to(last.complete, rest)?;
        extra.note = bytes(rest, MAX_DATA_BYTES)?.into();
        extra.token = self.token(rest)?;
        let worker = bytes(rest, MAX_ID_BYTES)?;
        extra.lease_ms = quantity(rest)?;
        extra.attempts = take_u32(rest).ok_or(Corrupt("a number of attempts"))?;
        extra.retry = Some((time(rest)?, quantity(rest)?)).filter(|retry| *retry != (0, 0));
        extra.side = entry_to(if state == OrderState::Dead { last.dead } else { last.retry }, rest)?;
        let (packed, lost) = (bytes(rest, MAX_HISTORY_BYTES)?, number(rest)?);
        extra.history = History::from_packed(packed, lost).ok_or(Corrupt("a history"))?;
        extra.failed = if flag(rest)? { Some(Box::new(self.failed(rest)?)) } else { None };
        extra.step = if flag(rest)? { Some(Box::new(step(rest)?)) } else { None };
        extra.next_token = self.token(rest)?;
        extra.redrives = take_u32(rest).ok_or(Corrupt("a number of redrives"))?;
        extra.was_dead = flag(rest)?;
        extra.returns = self.returns(rest, items)?;
        Ok((extra, worker))
    }

    fn failed(&self, rest: &mut &[u8]) -> Loaded<Failed> {
        let (token, attempt) = (self.token(rest)?, take_u32(rest).ok_or(Corrupt("a number of attempts"))?);
        Ok(Failed { token, attempt, due: time(rest)?, call: wide(rest)? })
    }

    fn returns(&self, rest: &mut &[u8], items: &UnitsList) -> Loaded<Option<Box<Returns>>> {
        let some = self.version == 1 || flag(rest)?;
        if !some {
            return Ok(None);
        }
        let mut back = Vec::new();
        for i in 0..number(rest)? as usize {
            back.push(quantity(rest)?);
            if items.get(i).is_none_or(|item| back[i] > item.qty) {
                return Err(Corrupt("more came back than was sold"));
            }
        }
        let lost = if self.version == 1 { (0, 0) } else { (quantity(rest)?, quantity(rest)?) };
        let count = number(rest)?;
        if self.version > 1 && count > RETURNS_MAX as u64 {
            return Err(Corrupt("more returns than an order remembers"));
        }
        let none = back.is_empty() && lost == (0, 0) && count == 0;
        let mut returns = Returns::new(back, lost);
        for _ in 0..count {
            let (at, units) = (time(rest)?, quantity(rest)?);
            returns.push(ReturnEvent { at, units, scrap: self.version > 1 && flag(rest)? });
        }
        Ok((!none).then(|| Box::new(returns)))
    }

    fn token(&self, rest: &mut &[u8]) -> Loaded<u64> {
        number(rest).ok().filter(|n| *n <= self.store.last_token).ok_or(Corrupt("a token behind the last"))
    }
}

/// The most a history can take: every event with the longest ids.
const MAX_HISTORY_BYTES: usize = HISTORY_EVENTS_MAX as usize * (MAX_ID_BYTES + 64);

fn step(rest: &mut &[u8]) -> Loaded<Step> {
    Ok(Step { name: id(rest)?.into(), version: number(rest)?, call: wide(rest)? })
}

/// Whether what an order has fits its state.
fn check_extra(state: OrderState, extra: &Extra, worker: &[u8]) -> Loaded<()> {
    let due = extra.due_at > 0;
    let fits = match state {
        OrderState::Queued => !due && extra.due_place == 0 && extra.token == 0 && extra.retry.is_none(),
        OrderState::Claimed => due && extra.token > 0,
        OrderState::Retrying => extra.token == 0 && due != extra.retry.is_some() && due == (extra.due_place > 0),
        OrderState::Dead => !due && extra.due_place > 0 && extra.token == 0 && extra.retry.is_none(),
        OrderState::Completed => due && extra.retry.is_none(),
        OrderState::Cancelled => due && extra.token == 0 && extra.retry.is_none(),
    };
    let in_side = extra.side != EntryId::default();
    let ended = matches!(state, OrderState::Completed | OrderState::Cancelled);
    if !fits
        || worker.is_empty() == (state == OrderState::Claimed)
        || in_side != (extra.retry.is_some() || state == OrderState::Dead)
        || (extra.ended_at > 0) != ended
        || extra.returns.is_some() && state != OrderState::Completed
        || extra.was_dead && state != OrderState::Cancelled
    {
        return Err(Corrupt("an order that cannot be"));
    }
    Ok(())
}

/// Yes or no.
fn flag(rest: &mut &[u8]) -> Loaded<bool> {
    match number(rest)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Corrupt("a switch that is neither on nor off")),
    }
}

fn number(rest: &mut &[u8]) -> Loaded<u64> {
    take(rest).ok_or(Corrupt("a number is cut off"))
}

fn quantity(rest: &mut &[u8]) -> Loaded<u64> {
    number(rest).ok().filter(|n| *n <= MAX_QUANTITY).ok_or(Corrupt("a number past 2^53 - 1"))
}

/// Units of an item: one at least.
fn units(rest: &mut &[u8]) -> Loaded<u64> {
    quantity(rest).and_then(|n| if n > 0 { Ok(n) } else { Err(Corrupt("no units")) })
}

/// A time: at most the largest duration behind the largest `now`.
fn time(rest: &mut &[u8]) -> Loaded<Ms> {
    number(rest).ok().filter(|at| *at <= 2 * MAX_QUANTITY).ok_or(Corrupt("a time past all times"))
}

fn sum(a: u64, b: u64) -> Loaded<u64> {
    a.checked_add(b).filter(|n| *n <= MAX_QUANTITY).ok_or(Corrupt("a sum past 2^53 - 1"))
}

fn count(rest: &mut &[u8]) -> Loaded<u64> {
    number(rest).ok().filter(|n| (1..=MAX_ITEMS as u64).contains(n)).ok_or(Corrupt("too many items, or none"))
}

fn bytes<'a>(rest: &mut &'a [u8], most: usize) -> Loaded<&'a [u8]> {
    take_bytes(rest).filter(|bytes| bytes.len() <= most).ok_or(Corrupt("bytes are cut off or too long"))
}

fn id<'a>(rest: &mut &'a [u8]) -> Loaded<&'a [u8]> {
    bytes(rest, MAX_ID_BYTES).ok().filter(|id| !id.is_empty()).ok_or(Corrupt("an id"))
}

fn entry(rest: &mut &[u8]) -> Loaded<EntryId> {
    Ok(EntryId { ms: number(rest)?, seq: take_u32(rest).ok_or(Corrupt("an entry's number"))? })
}

/// The id of an entry of a stream whose last one is known.
fn entry_to(last: EntryId, rest: &mut &[u8]) -> Loaded<EntryId> {
    entry(rest).and_then(|id| if id <= last { Ok(id) } else { Err(Corrupt("an entry behind the last")) })
}

fn wide(rest: &mut &[u8]) -> Loaded<u128> {
    let (n, after) = rest.split_first_chunk().ok_or(Corrupt("a fingerprint is cut off"))?;
    *rest = after;
    Ok(u128::from_le_bytes(*n))
}
