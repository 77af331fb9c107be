//! Reading an image that anyone may have made.

use std::borrow::Cow;
use std::collections::BTreeMap;

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use super::{Section, VERSION};
use crate::base::packed::{take, take_bytes, take_u32};
use crate::base::units::{MAX_DATA_BYTES, MAX_ID_BYTES, MAX_ITEMS, MAX_QUANTITY, Ms, NIL};
use crate::books::image::flat::{Flat, HAS_CHANGED, HAS_GATES, HAS_LANE, HAS_RETURNS, HAS_WAITED, Named};
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::due::{Due, DueKey};
use crate::record::gate::{GATES_MAX, Gate, GateState, Gates};
use crate::record::history::{HISTORY_EVENTS_MAX, History};
use crate::record::hold::{Hold, HoldItem};
use crate::record::order::{Changed, Extra, Failed, Order, Step, Waitlisted, kept};
use crate::record::reference::{Ref, RefCommand, Source};
use crate::record::returns::{EarlierReturns, RETURNS_MAX, ReturnEvent, Returns};
use crate::record::sampling::Sampling;
use crate::store::Store;
use crate::store::lanes::LANES_MAX;
use crate::store::waitlist::Came;
use crate::terms::items::{Units, UnitsList};
use crate::terms::settings::Field;
use crate::terms::states::{HoldState, OrderState};
use crate::terms::streams::{EntryId, StreamKind};

/// The highest number of a deadline an image may have reached: half of the range stays free for later numbers.
const SEQ_MAX: u64 = MAX_QUANTITY / 2;

/// How many counters, and counters of refusals, images had before version 3.
const COUNTERS_BEFORE_3: (usize, usize) = (13, 13);

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
    /// Open orders: they enter the queue at the end, in the order in which they were queued.
    open: Vec<u32>,
    /// When the last of them was queued, as long as they came in that order.
    open_to: Option<EntryId>,
    /// What is due.
    due: Vec<(DueKey, Due)>,
    /// The numbers of holds, REFs and orders that are due, ended or dead: no two are the same.
    seqs: Vec<u64>,
    /// Numbers of the orders that wait for stock: the parts of one have the same.
    came: Vec<u64>,
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
            open_to: Some(EntryId::default()),
            due: Vec::new(),
            seqs: Vec::new(),
            came: Vec::new(),
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
        if self.section != Some(section) {
            self.index_loaded()?;
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
        self.came.sort_unstable();
        self.came.dedup();
        self.seqs.append(&mut self.came);
        self.seqs.sort_unstable();
        self.tokens.sort_unstable();
        let twice = |list: &[u64]| list.windows(2).any(|two| two[0] == two[1]);
        if !self.sort_open() || twice(&self.seqs) || twice(&self.tokens) {
            return Err(Corrupt("an entry, a number or a token twice"));
        }
        self.store.queue.seat(&mut self.store.orders, &self.open);
        self.store.agenda.load(&mut self.store.orders, std::mem::take(&mut self.due));
        self.settle()?;
        Ok(Box::new(self.store))
    }

    /// Sorts open orders by when they were queued; false if two were queued under one id. Mostly they came sorted.
    fn sort_open(&mut self) -> bool {
        let orders = &self.store.orders;
        let queued_as = |slot: u32| orders.queued_as(orders.at(slot));
        if self.open_to.is_none() {
            self.open.sort_by_cached_key(|slot| queued_as(*slot));
        }
        self.open_to.is_some() || self.open.windows(2).all(|two| queued_as(two[0]) != queued_as(two[1]))
    }

    /// Puts the records of a section that is over into their index.
    fn index_loaded(&mut self) -> Loaded<()> {
        let store = &mut self.store;
        let (is_unique, why) = match self.section {
            Some(Section::Customers) => (store.customers.index_loaded(), "a customer twice"),
            Some(Section::Holds) => (store.holds.index_loaded(), "a hold twice"),
            Some(Section::Orders) => (store.orders.index_loaded(), "an order twice"),
            Some(Section::Refs) => (store.remembered.index_loaded(), "a REF twice"),
            _ => return Ok(()),
        };
        if is_unique { Ok(()) } else { Err(Corrupt(why)) }
    }

    /// Sums that are only known at the end.
    fn settle(&mut self) -> Loaded<()> {
        if !self.store.shelf.settle() {
            return Err(Corrupt("a SKU's units do not add up"));
        }
        for slot in 0..self.store.shelf.skus().end() {
            if self.store.shelf.at(slot).aside > 0 {
                self.store.follow_line(slot);
            }
        }
        let customers = &self.store.customers;
        if customers.records().iter().any(|(slot, _)| !customers.is_sound(slot)) {
            return Err(Corrupt("a customer that nothing needs, or has too much"));
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
        let seq = quantity(rest).ok().filter(|seq| *seq <= SEQ_MAX).ok_or(Corrupt("too many deadlines"))?;
        store.agenda.set_last_seq(seq);
        for kind in StreamKind::ALL.into_iter().filter(|kind| self.version > 2 || *kind != StreamKind::Alerts) {
            *store.last.of(kind) = entry(rest)?;
        }
        store.workers.set_last_token(quantity(rest)?);
        let known = if self.version > 2 { (usize::MAX, usize::MAX) } else { COUNTERS_BEFORE_3 };
        let counters = store.counters.first_mut(known);
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
        if self.store.shelf.find(id).is_some() {
            return Err(Corrupt("a SKU twice"));
        }
        let slot = self.store.shelf.find_or_add(id);
        let sku = self.store.shelf.loading(slot);
        for field in [&mut sku.on_hand, &mut sku.safety, &mut sku.low, &mut sku.limit, &mut sku.past] {
            *field = quantity(rest)?;
        }
        if self.version > 2 {
            sku.aside = quantity(rest)?;
            sku.backlog = quantity(rest)?;
        }
        (sku.sold, sku.held) = (sku.past, sku.aside);
        Ok(())
    }

    fn customer(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = bytes(rest, MAX_ID_BYTES)?;
        if id.is_empty() {
            self.customers.push(NIL);
            return Ok(());
        }
        let slot = self.store.customers.load(id);
        self.customers.push(slot);
        for _ in 0..number(rest)? {
            let (sku, past) = (self.sku_ref(rest)?, units(rest)?);
            self.add_past(sku, past)?;
            let past = past as i64;
            if self.store.customers.units_of(slot, sku).units > 0 {
                return Err(Corrupt("a customer's SKU twice"));
            }
            self.store.customers.change(slot, 0, &[UnitChange { sku, units: past, past }]);
        }
        Ok(())
    }

    /// Customers have no more of a SKU's forgotten units than there are: they can bring them back.
    fn add_past(&mut self, sku: u32, past: u64) -> Loaded<()> {
        let at = sku as usize;
        self.past.resize(self.past.len().max(at + 1), 0);
        self.past[at] = sum(self.past[at], past)?;
        if self.past[at] > self.store.shelf.at(sku).past {
            return Err(Corrupt("customers have more than was sold"));
        }
        Ok(())
    }

    fn hold(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = id(rest)?;
        let mut hold = Hold::new(id);
        hold.customer = self.customer_ref(rest)?;
        hold.state = HoldState::by_number(number(rest)?).ok_or(Corrupt("an unknown state of a hold"))?;
        hold.due.seq = self.seq(rest)?;
        let due = &mut hold.due.at;
        for field in [&mut hold.ttl_ms, due, &mut hold.first_deadline, &mut hold.deadline, &mut hold.ended_at] {
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
        hold.started_at = if self.version > 2 { time(rest)? } else { self.store.usual_start(&hold) };
        if hold.started_at > hold.first_deadline {
            return Err(Corrupt("a hold that starts after its deadline"));
        }
        if hold.is_live() && (hold.due.at != hold.deadline || hold.left() == 0) {
            return Err(Corrupt("a live hold's deadline, or its units"));
        }
        self.add_hold(hold)
    }

    fn add_hold(&mut self, hold: Hold) -> Loaded<()> {
        let mut changes = UnitChanges::new();
        for item in &hold.items {
            let sku = self.store.shelf.loading(item.sku);
            sku.held = sum(sku.held, item.left)?;
            sku.sold = sum(sku.sold, item.committed)?;
            changes.push(UnitChange::more(Units { sku: item.sku, qty: item.left + item.committed }));
        }
        self.store.customers.change(hold.customer, 1, &changes);
        let due = hold.due;
        self.due.push((due, Due::Hold(self.store.holds.load(hold))));
        Ok(())
    }

    fn order(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let (id, data) = (id(rest)?, bytes(rest, MAX_DATA_BYTES)?);
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
        if items.len() > 1 && names_twice(&items) {
            return Err(Corrupt("an order's SKU twice"));
        }
        let extra = match number(rest)? {
            0 if state == OrderState::Queued => None,
            1 => Some(self.extra(rest, state, &items)?),
            _ => return Err(Corrupt("an order that cannot be")),
        };
        let mut order = Order::new(id, customer, entry, &items, data);
        order.late = late;
        self.add_order(order, extra, &items)
    }

    fn add_order(&mut self, order: Order, extra: Option<Extra>, items: &UnitsList) -> Loaded<()> {
        let state = extra.as_ref().map_or(OrderState::Queued, |extra| extra.stage.state());
        let mut changes = UnitChanges::new();
        let counts = state.is_open() || state == OrderState::Completed;
        for units in kept(items.iter().copied(), extra.as_ref()).filter(|_| counts) {
            changes.push(UnitChange::more(units));
            if state == OrderState::Waitlisted {
                continue;
            }
            let sku = self.store.shelf.loading(units.sku);
            let to = if state.is_open() { &mut sku.held } else { &mut sku.sold };
            *to = sum(*to, units.qty)?;
        }
        if let Some(waitlisted) = extra.as_ref().and_then(|extra| extra.stage.waitlisted()) {
            self.add_waiting(waitlisted, items)?;
        }
        self.store.customers.change(order.customer, 1, &changes);
        if let Some(extra) = &extra {
            let (retry, dead) = (extra.stage.retry(), extra.stage.dead());
            let due = extra.stage.due().map(|due| due.seq);
            let came = extra.stage.waitlisted().map(|waitlisted| waitlisted.seq);
            let seqs = due.into_iter().chain(retry.map(|retry| retry.since.seq)).chain(dead.map(|dead| dead.seq));
            for seq in seqs {
                self.take_seq(seq)?;
            }
            if let Some(seq) = came {
                self.check_seq(seq)?;
                self.came.push(seq);
            }
        }
        let claim =
            extra.as_ref().and_then(|extra| extra.stage.claimed()).map(|claimed| (claimed.worker, claimed.token));
        let due = extra.as_ref().and_then(|extra| extra.stage.due());
        let waitlisted = extra.as_ref().and_then(|extra| extra.stage.waitlisted());
        let lines = waitlisted.map(|waitlisted| (waitlisted.seq, waitlisted.missing.clone()));
        let slot = self.store.orders.load(order, extra);
        if let Some((seq, missing)) = lines {
            let came = Came { seq, kept_free: self.store.orders.queued_as(self.store.orders.at(slot)) };
            missing.iter().for_each(|item| self.store.waitlist.join(item.sku, came, slot));
        }
        self.due.extend(due.map(|due| (due, Due::Order(slot))));
        if let Some((worker, token)) = claim {
            self.store.workers.add_claim(worker, token, slot);
            self.tokens.push(token);
        }
        if self.store.orders.lanes().used().len() > LANES_MAX {
            return Err(Corrupt("too many lanes"));
        }
        if state.is_open() {
            let queued_as = self.store.orders.queued_as(self.store.orders.at(slot));
            self.open_to = self.open_to.filter(|last| *last < queued_as).map(|_| queued_as);
            self.open.push(slot);
        }
        Ok(())
    }

    /// An order that waits for stock holds only what it gathered.
    fn add_waiting(&mut self, waitlisted: &Waitlisted, items: &UnitsList) -> Loaded<()> {
        for item in items {
            let (sku, missing) = (self.store.shelf.loading(item.sku), waitlisted.missing_of(item.sku));
            sku.held = sum(sku.held, item.qty - missing)?;
            sku.waiting = sum(sku.waiting, missing)?;
        }
        Ok(())
    }

    fn reference(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let by = if self.version == 1 { 0 } else { number(rest)? };
        let by = RefCommand::by_number(by).ok_or(Corrupt("a REF of an unknown command"))?;
        let id = id(rest)?;
        let call = wide(rest)?;
        let seq = self.seq(rest)?;
        let (reply, at) = (number(rest)?, time(rest)?);
        let due = DueKey { at, seq };
        let slot = self.store.remembered.load(Ref::new(by, id, call, reply, due));
        self.due.push((due, Due::Ref(slot)));
        Ok(())
    }

    fn source(&mut self, rest: &mut &[u8]) -> Loaded<()> {
        let id = id(rest)?;
        let source = Source { seq: quantity(rest)?, call: wide(rest)? };
        match self.store.remembered.set_source(id, source) {
            None => Ok(()),
            Some(_) => Err(Corrupt("a source twice")),
        }
    }

    fn seq(&mut self, rest: &mut &[u8]) -> Loaded<u64> {
        let seq = number(rest)?;
        self.take_seq(seq).map(|()| seq)
    }

    /// Notes a number, which has to be one that was given out.
    fn take_seq(&mut self, seq: u64) -> Loaded<()> {
        self.check_seq(seq)?;
        self.seqs.push(seq);
        Ok(())
    }

    fn check_seq(&self, seq: u64) -> Loaded<()> {
        let is_given = (1..=self.store.agenda.last_seq()).contains(&seq);
        if is_given { Ok(()) } else { Err(Corrupt("a number behind the last")) }
    }

    fn sku_ref(&self, rest: &mut &[u8]) -> Loaded<u32> {
        let slot = take_u32(rest).ok_or(Corrupt("a SKU's number"))?;
        self.store.shelf.skus().get(slot).map(|_| slot).ok_or(Corrupt("a SKU that is not there"))
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

    /// What few orders have, of an order in a state.
    fn extra(&mut self, rest: &mut &[u8], state: OrderState, items: &UnitsList) -> Loaded<Extra> {
        let flat = self.flat(rest, state, items)?;
        let history = History::from_packed(flat.history, flat.history_lost).ok_or(Corrupt("a history"))?;
        let group = (!flat.group.is_empty()).then(|| self.store.queue.name_group(flat.group));
        let lane = self.store.orders.name_lane(flat.lane);
        let worker = (!flat.worker.is_empty()).then(|| self.store.workers.find_or_add(flat.worker));
        flat.into_extra(history, &Named { group, lane, worker }).ok_or(Corrupt("an order that cannot be"))
    }

    /// The same, field by field, each within its range.
    fn flat<'a>(&self, rest: &mut &'a [u8], state: OrderState, items: &UnitsList) -> Loaded<Flat<'a>> {
        let last = self.store.last;
        let mut flat = Flat {
            state,
            placed_at: time(rest)?,
            queued_as: entry_to(last.orders, rest)?,
            first_entry: entry_to(last.orders, rest)?,
            group: bytes(rest, MAX_ID_BYTES)?,
            hold: bytes(rest, MAX_ID_BYTES)?,
            ended_at: time(rest)?,
            due: DueKey { at: time(rest)?, seq: quantity(rest)? },
            complete: entry_to(last.complete, rest)?,
            note: bytes(rest, MAX_DATA_BYTES)?,
            token: self.token(rest)?,
            worker: bytes(rest, MAX_ID_BYTES)?,
            lease_ms: quantity(rest)?,
            attempts: take_u32(rest).ok_or(Corrupt("a number of attempts"))?,
            retry: DueKey { at: time(rest)?, seq: quantity(rest)? },
            side: entry_to(if state == OrderState::Dead { last.dead } else { last.retry }, rest)?,
            history: bytes(rest, MAX_HISTORY_BYTES)?,
            history_lost: number(rest)?,
            failed: if flag(rest)? { Some(self.failed(rest)?) } else { None },
            step: if flag(rest)? { Some(step(rest)?) } else { None },
            next_token: self.token(rest)?,
            redrives: take_u32(rest).ok_or(Corrupt("a number of redrives"))?,
            was_dead: flag(rest)?,
            returns: None,
            waited: false,
            unlisted: false,
            missing: 0,
            came: 0,
            lacks: Cow::default(),
            changed: None,
            gates: None,
            lane: b"",
        };
        self.last_fields(rest, items, &mut flat)?;
        Ok(flat)
    }

    /// The fields that an order has only if a number before them says so.
    fn last_fields<'a>(&self, rest: &mut &'a [u8], items: &UnitsList, flat: &mut Flat<'a>) -> Loaded<()> {
        let has = match self.version {
            1 => HAS_RETURNS,
            2 => u64::from(flag(rest)?),
            _ => number(rest)?,
        };
        if has & !(HAS_RETURNS | HAS_CHANGED | HAS_GATES | HAS_WAITED | HAS_LANE) != 0 {
            return Err(Corrupt("a field that no order has"));
        }
        if has & HAS_RETURNS != 0 {
            flat.returns = self.returns(rest, items)?.map(Cow::Owned);
        }
        if has & HAS_CHANGED != 0 {
            flat.changed = Some(Changed { placed: wide(rest)?, edit: wide(rest)?, split_off: wide(rest)? });
        }
        if has & HAS_GATES != 0 {
            (flat.unlisted, flat.gates) = (flag(rest)?, Some(Cow::Owned(gates(rest)?)));
        }
        if has & HAS_LANE != 0 {
            flat.lane = id(rest)?;
        }
        if has & HAS_WAITED != 0 {
            (flat.waited, flat.unlisted) = (true, flag(rest)?);
            (flat.missing, flat.came) = (missing(rest, items)?, quantity(rest)?);
            if flat.came > 0 {
                flat.lacks = Cow::Owned(lacks(rest, items)?);
            }
        }
        Ok(())
    }

    fn failed(&self, rest: &mut &[u8]) -> Loaded<Failed> {
        let (token, attempt) = (self.token(rest)?, take_u32(rest).ok_or(Corrupt("a number of attempts"))?);
        Ok(Failed { token, attempt, due: time(rest)?, call: wide(rest)? })
    }

    fn returns(&self, rest: &mut &[u8], items: &UnitsList) -> Loaded<Option<Returns>> {
        let mut back = Vec::new();
        for i in 0..number(rest)? as usize {
            back.push(quantity(rest)?);
            if items.get(i).is_none_or(|item| back[i] > item.qty) {
                return Err(Corrupt("more came back than was sold"));
            }
        }
        let earlier = match self.version {
            1 => EarlierReturns::default(),
            _ => EarlierReturns { count: quantity(rest)?, units: quantity(rest)? },
        };
        let count = number(rest)?;
        if self.version > 1 && count > RETURNS_MAX as u64 {
            return Err(Corrupt("more returns than an order remembers"));
        }
        let none = back.is_empty() && earlier == EarlierReturns::default() && count == 0;
        let mut returns = Returns::new(back, earlier);
        for _ in 0..count {
            let (at, units) = (time(rest)?, quantity(rest)?);
            returns.push(ReturnEvent { at, units, scrap: self.version > 1 && flag(rest)? });
        }
        Ok((!none).then_some(returns))
    }

    fn token(&self, rest: &mut &[u8]) -> Loaded<u64> {
        number(rest).ok().filter(|n| *n <= self.store.workers.last_token()).ok_or(Corrupt("a token behind the last"))
    }
}

/// The most a history can take: every event with the longest ids.
const MAX_HISTORY_BYTES: usize = HISTORY_EVENTS_MAX * (MAX_ID_BYTES + 64);

/// Units that a cancelled order lacked: no more than it was to have.
fn missing(rest: &mut &[u8], items: &UnitsList) -> Loaded<u64> {
    let total = items.iter().map(|item| item.qty).sum();
    quantity(rest).ok().filter(|missing| *missing <= total).ok_or(Corrupt("more was missing than was ordered"))
}

/// What an order that waits for stock lacks of its items: of one of them something, of none more than it is to have.
fn lacks(rest: &mut &[u8], items: &UnitsList) -> Loaded<Vec<Units>> {
    let mut lacks = BTreeMap::new();
    for item in items {
        let qty =
            quantity(rest).ok().filter(|lacks| *lacks <= item.qty).ok_or(Corrupt("more is lacked than ordered"))?;
        if lacks.insert(item.sku, qty).is_some() {
            return Err(Corrupt("an order that waits twice for the same"));
        }
    }
    let lacks: Vec<_> = lacks.into_iter().filter(|(_, qty)| *qty > 0).map(|(sku, qty)| Units { sku, qty }).collect();
    if lacks.is_empty() { Err(Corrupt("an order that waits for nothing")) } else { Ok(lacks) }
}

fn step(rest: &mut &[u8]) -> Loaded<Step> {
    Ok(Step { name: id(rest)?.into(), version: number(rest)?, call: wide(rest)? })
}

fn gates(rest: &mut &[u8]) -> Loaded<Gates> {
    let count = number(rest)?;
    if count > GATES_MAX as u64 {
        return Err(Corrupt("more gates than an order can have"));
    }
    let gate = |rest: &mut &[u8]| {
        let (name, is_placed, ms) = (id(rest)?.into(), flag(rest)?, quantity(rest)?);
        let state = match (number(rest)?, quantity(rest)?) {
            (0, ms) => GateState::Waits(ms),
            (1, until) => GateState::Open(until),
            (2, left) => GateState::Passed(left),
            _ => return Err(Corrupt("an unknown state of a gate")),
        };
        Ok(Gate { name, placed_ms: is_placed.then_some(ms), state })
    };
    (0..count).map(|_| gate(rest)).collect::<Loaded<Vec<_>>>().map(Gates)
}

/// Whether a list names a SKU twice.
fn names_twice(items: &[Units]) -> bool {
    let mut skus: SmallVec<[u32; 16]> = items.iter().map(|item| item.sku).collect();
    skus.sort_unstable();
    skus.windows(2).any(|two| two[0] == two[1])
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

#[inline]
fn entry(rest: &mut &[u8]) -> Loaded<EntryId> {
    Ok(EntryId { ms: number(rest)?, seq: take_u32(rest).ok_or(Corrupt("an entry's number"))? })
}

/// The id of an entry of a stream whose last one is known.
#[inline]
fn entry_to(last: EntryId, rest: &mut &[u8]) -> Loaded<EntryId> {
    entry(rest).and_then(|id| if id <= last { Ok(id) } else { Err(Corrupt("an entry behind the last")) })
}

fn wide(rest: &mut &[u8]) -> Loaded<u128> {
    let (n, after) = rest.split_first_chunk().ok_or(Corrupt("a fingerprint is cut off"))?;
    *rest = after;
    Ok(u128::from_le_bytes(*n))
}
