//! A store as one would write it down without a thought for speed: lists of what is, and every sum made anew whenever
//! it is asked for. What it says is what the engine has to say.

mod edits;
mod gates;
mod holds;
mod metrics;
mod orders;
mod stock;
mod waits;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use super::command::{Command, Id, Lines, Reply};
use super::published::Published;
use crate::calls::work::Failure;
use crate::terms::alerts::{Alert, AlertKind};
use crate::terms::effects::Event;
use crate::terms::journal::Movement;
use crate::terms::settings::Field;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

const MAX: u128 = (1 << 53) - 1;

/// What a call comes to: its reply, or the codes it may be refused with.
pub type Outcome = Result<Reply, Vec<&'static str>>;

#[derive(Clone, Debug, Default)]
pub struct Sku {
    pub on_hand: u64,
    pub safety: u64,
    pub low: u64,
    pub limit: u64,
    pub backlog: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct HoldItem {
    pub sku: Id,
    pub qty: u64,
    pub left: u64,
    pub committed: u64,
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub place: u64,
    pub customer: Option<Id>,
    pub ttl_ms: Option<u64>,
    pub items: Vec<HoldItem>,
    pub state: HoldState,
    pub started_at: u64,
    pub first_deadline: u64,
    pub deadline: u64,
    pub ended_at: u64,
    pub forget_at: u64,
    /// The call that ended it: commit or release, of what.
    pub end: Option<(bool, Option<BTreeMap<Id, u64>>)>,
}

#[derive(Clone, Debug)]
pub struct OrderItem {
    pub sku: Id,
    pub qty: u64,
    pub returned: u64,
    /// Units it has, while the order waits for stock.
    pub has: u64,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub customer: Id,
    pub group: Option<Id>,
    /// Empty: the default one.
    pub lane: Id,
    pub data: Id,
    pub hold: Option<Id>,
    pub items: Vec<OrderItem>,
    pub state: OrderState,
    /// Its place in the queue.
    pub queued: u64,
    /// None, if it was never queued.
    pub entry: Option<EntryId>,
    pub gates: Vec<Gate>,
    /// Whether ORDER.PLACE replied nil, as it had to wait for stock, or ORDER.SPLIT.
    pub unlisted: bool,
    /// When it came, among all that wait for stock; parts of an order came when that did.
    pub came: u64,
    /// What ORDER.PLACE or ORDER.SPLIT replied, where it has another entry since.
    pub first_entry: Option<EntryId>,
    /// The items it was placed with, where they changed since.
    pub placed_items: Option<BTreeMap<Id, u64>>,
    /// The last ORDER.EDIT.
    pub edited: Option<Command>,
    /// The ORDER.SPLIT that made it.
    pub split_off: Option<Command>,
    pub placed_at: u64,
    pub ended_at: u64,
    pub complete: Option<EntryId>,
    pub note: Id,
    /// When units came back, how many, and whether they were written off.
    pub returns: Vec<(u64, u64, bool)>,
    /// When its lease ends, its retry is due or it is forgotten, and the number of that deadline.
    pub due: Option<(u64, u64)>,
    /// The deadline of the retry that is waited for or worked on.
    pub retry: Option<(u64, u64)>,
    /// When it died, among all that did.
    pub died: u64,
    /// Its entry in `…:retry` or `…:dead`.
    pub side: Option<EntryId>,
    /// The token of the claim it is under, or that it was completed with; 0: none.
    pub token: u64,
    pub worker: Option<Id>,
    pub lease_ms: Option<u64>,
    pub attempts: u64,
    /// All that ever happened to it, as it would be written for debugging.
    pub history: Vec<String>,
    /// The last ORDER.FAIL, and its reply.
    pub failed: Option<(Command, Failure)>,
    /// The step it is at, how many it was at, and the call that brought it there.
    pub step: Option<(Id, u64, Command)>,
    /// What was handed out with its completion.
    pub next: Option<(Id, u64)>,
    pub redriven: bool,
    pub was_dead: bool,
    /// Units it lacked when it was cancelled.
    pub missing: u64,
    /// Whether it was counted as late.
    pub late: bool,
}

#[derive(Clone, Debug)]
pub struct Gate {
    pub name: Id,
    /// What ORDER.PLACE named it with, if it did.
    pub placed_ms: Option<u64>,
    /// 0: no end.
    pub until: u64,
    /// How long it can be passed from when the order has its units, while it waits for them.
    pub waits_ms: Option<u64>,
    /// How many were to pass as it was passed.
    pub passed: Option<u64>,
}

#[derive(Clone, Debug)]
struct Reference {
    place: u64,
    command: Command,
    reply: u64,
    forget_at: u64,
}

/// Units sold by a hold or order that is forgotten.
#[derive(Clone, Debug)]
struct Past {
    sku: Id,
    customer: Option<Id>,
    units: u64,
}

#[derive(Clone, Default)]
pub struct Model {
    now: u64,
    places: u64,
    settings: BTreeMap<&'static str, u64>,
    pub skus: BTreeMap<Id, Sku>,
    pub holds: BTreeMap<Id, Hold>,
    pub orders: BTreeMap<Id, Order>,
    /// The orders that wait for stock, as they came.
    pub line: Vec<Id>,
    /// Units that came free in the call at hand, for those who wait.
    aside: BTreeMap<Id, u64>,
    /// REFs, by the name of their command.
    references: BTreeMap<(&'static str, Id), Reference>,
    pub sources: BTreeMap<Id, (u64, BTreeMap<Id, u64>)>,
    past: Vec<Past>,
    pub last_orders: EntryId,
    pub last_complete: EntryId,
    pub last_journal: EntryId,
    pub last_retry: EntryId,
    pub last_dead: EntryId,
    pub last_token: u64,
    pub last_metrics: EntryId,
    pub last_alerts: EntryId,
    /// The SKU that the call at hand makes: it was not out before.
    new_sku: Option<Id>,
    /// What was counted, by name, refusals included.
    pub counters: BTreeMap<&'static str, u64>,
    /// How long the orders took that were completed since the last sample.
    pub took_ms: Vec<u64>,
    /// When that was, and whether anything changed since.
    pub sampled: (u64, bool),
    /// What the engine replied: how much of a backoff is jitter is its own to say, within bounds.
    pub replied: Option<Reply>,
    /// What the call at hand tells.
    published: Vec<Published>,
    changed: bool,
}

/// Whether a SKU is out of stock, and whether it is low.
type Level = (bool, bool);

impl Model {
    /// Makes a call; what it comes to, what it tells, and whether it changed anything.
    pub fn apply(&mut self, clock: u64, command: &Command) -> (Outcome, Vec<Published>, bool) {
        let (before, now) = (self.now, self.now.max(clock));
        self.published.clear();
        self.changed = false;
        self.now = now;
        let outcome = self.call(command);
        match command {
            Command::Sample { .. } => self.sampled = (self.now, false),
            Command::Reentry { .. } => {}
            _ => self.sampled.1 |= self.changed,
        }
        // A stream's other word about an id comes without a time.
        if !self.changed || matches!(command, Command::Reentry { .. }) {
            self.now = before;
        }
        (outcome, std::mem::take(&mut self.published), self.changed)
    }

    fn call(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Configure(fields) => self.configure(fields),
            Command::SetStock { sku, on_hand, safety, low, limit, backlog } => {
                self.set_stock(sku, *on_hand, [*safety, *low, *limit, *backlog])
            }
            Command::Adjust { sku, delta, reason, reference } => self.adjust(command, sku, *delta, reason, reference),
            Command::Sync { source, seq, counts } => self.sync(source, *seq, counts),
            Command::Reserve { hold, customer, ttl_ms, replace: true, items } if self.holds.contains_key(hold) => {
                self.replace(hold, customer, *ttl_ms, items)
            }
            Command::Reserve { hold, customer, ttl_ms, items, .. } => self.reserve(hold, customer, *ttl_ms, items),
            Command::Extend { hold, ms } => self.extend(hold, *ms),
            Command::Close { hold, commit, reference, items } => {
                self.close(command, hold, *commit, reference, items.as_ref())
            }
            Command::Place { order, customer, group, lane, data, gates, wait_ms, take } => {
                self.place(order, customer, (group, lane), data, (gates, *wait_ms), take)
            }
            Command::Gate { order, gate, ms } => self.gate(order, gate, *ms),
            Command::Pass { order, gate } => self.pass(order, gate),
            Command::Complete { order, token, result } => self.complete(order, *token, result),
            Command::Cancel { order, reason } => self.cancel(order, reason),
            Command::Return { order, customer, reference, scrap, items } => {
                self.give_back(command, order, customer.as_ref(), reference, *scrap, items)
            }
            Command::Edit { order, token, reference, lost, items } => {
                self.edit(command, order, *token, reference, *lost, items)
            }
            Command::Split { order, new_order, token, lane, items } => {
                self.split(command, order, new_order, *token, (lane.as_ref(), items))
            }
            Command::Claim { worker, count, pick, lease_ms } => self.claim(worker, *count, pick, *lease_ms),
            Command::Renew { order, token, lease_ms } => self.renew(order, *token, *lease_ms),
            Command::Yield { worker } => self.yield_all(worker),
            Command::TakeBack { order, token } => self.take_back(order, *token),
            Command::Fail { order, token, reason, after_ms, fatal } => {
                self.fail(command, order, *token, reason, *after_ms, *fatal)
            }
            Command::Redrive { order } => self.redrive(order),
            Command::Advance { order, step, from, token } => self.advance(command, order, step, from.as_ref(), *token),
            Command::CompleteAndClaim { order, token, result, worker, lease_ms } => {
                self.complete_and_claim(order, *token, result, worker, *lease_ms)
            }
            Command::Sweep { budget } => self.sweep(*budget),
            Command::Sample { refused } => self.sample(refused),
            Command::Reentry { order, side, ahead_ms } => self.reentry(order, *side, *ahead_ms),
        }
    }

    fn configure(&mut self, fields: &[(Field, u64)]) -> Outcome {
        let mut settings = self.settings.clone();
        for (field, value) in fields {
            let fits = match field.name() {
                "paused" => *value <= 1,
                "hold-ms" | "lease-ms" | "attempts" | "backoff-ms" | "backoff-cap-ms" | "keep-ms" => {
                    *value >= 1 && u128::from(*value) <= MAX
                }
                _ => u128::from(*value) <= MAX,
            };
            if !fits {
                return Err(vec!["ERR"]);
            }
            settings.insert(field.name(), *value);
        }
        let get = |name| settings.get(name).copied().unwrap_or(0);
        if get("closes") != 0 && get("closes") <= get("opens") {
            return Err(vec!["ERR"]);
        }
        self.settings = settings;
        self.changed = true;
        self.published.push(Published::Event(Event::StoreChanged));
        Ok(Reply::Nothing)
    }

    /// A setting, or what the contract says it is until it is set.
    pub fn setting(&self, name: &'static str) -> u64 {
        self.settings.get(name).copied().unwrap_or(match name {
            "hold-ms" => 600_000,
            "lease-ms" => 30_000,
            "attempts" => 5,
            "backoff-ms" => 100,
            "backoff-cap-ms" => 60_000,
            "keep-ms" => 86_400_000,
            "history" => 100_000,
            "metrics" => 7_200,
            "alerts" => 10_000,
            _ => 0,
        })
    }

    fn next_place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }

    fn forget_at(&self) -> u64 {
        self.now + self.setting("keep-ms")
    }

    /// Units of live holds and open orders, what those have that wait, and what came free for them.
    pub fn held(&self, sku: &[u8]) -> u64 {
        let live = self.holds.values().filter(|hold| hold.state == HoldState::Live).flat_map(|hold| &hold.items);
        let open = self
            .orders
            .values()
            .filter(|order| order.state.is_open() && order.state != OrderState::Waitlisted)
            .flat_map(|o| &o.items);
        let waiting = self.orders.values().filter(|order| order.state == OrderState::Waitlisted).flat_map(|o| &o.items);
        live.filter(|item| item.sku == sku).map(|item| item.left).sum::<u64>()
            + open.filter(|item| item.sku == sku).map(|item| item.qty).sum::<u64>()
            + waiting.filter(|item| item.sku == sku).map(|item| item.has).sum::<u64>()
            + self.aside.get(sku).copied().unwrap_or(0)
    }

    /// Units committed from holds and of completed orders, net of returns, forgotten ones included.
    pub fn sold(&self, sku: &[u8]) -> u64 {
        let committed = self.holds.values().flat_map(|hold| &hold.items).filter(|item| item.sku == sku);
        let completed = self.orders.values().filter(|order| order.state == OrderState::Completed);
        let completed = completed.flat_map(|order| &order.items).filter(|item| item.sku == sku);
        let past = self.past.iter().filter(|past| past.sku == sku);
        committed.map(|item| item.committed).sum::<u64>()
            + completed.map(|item| item.qty - item.returned).sum::<u64>()
            + past.map(|past| past.units).sum::<u64>()
    }

    pub fn available(&self, sku: &[u8]) -> i64 {
        let books = &self.skus[sku];
        books.on_hand as i64 - self.held(sku) as i64 - books.safety as i64
    }

    /// Units a customer has, of one SKU or of all.
    pub fn units(&self, customer: &[u8], sku: Option<&[u8]>) -> u64 {
        let wanted = |of: &Id| sku.is_none_or(|sku| sku == of);
        let mut units = 0;
        for hold in self.holds.values().filter(|hold| hold.customer.as_deref() == Some(customer)) {
            for item in hold.items.iter().filter(|item| wanted(&item.sku)) {
                units += item.committed + if hold.state == HoldState::Live { item.left } else { 0 };
            }
        }
        for order in self.orders.values().filter(|order| order.customer == customer) {
            if !matches!(order.state, OrderState::Cancelled | OrderState::Dead) {
                units += order.items.iter().filter(|item| wanted(&item.sku)).map(|i| i.qty - i.returned).sum::<u64>();
            }
        }
        let past = self.past.iter().filter(|past| past.customer.as_deref() == Some(customer) && wanted(&past.sku));
        units + past.map(|past| past.units).sum::<u64>()
    }

    /// Customers that a hold or an order names, or that have units.
    pub fn customers(&self) -> usize {
        let of_holds = self.holds.values().filter_map(|hold| hold.customer.as_ref());
        let of_orders = self.orders.values().map(|order| &order.customer);
        let of_past = self.past.iter().filter(|past| past.units > 0).filter_map(|past| past.customer.as_ref());
        of_holds.chain(of_orders).chain(of_past).collect::<BTreeSet<_>>().len()
    }

    /// Everything that has a deadline: when, its place, and what.
    fn dues(&self) -> BTreeMap<(u64, u64), (char, Id)> {
        let mut dues = BTreeMap::new();
        for (id, hold) in &self.holds {
            let due = if hold.state == HoldState::Live { hold.deadline } else { hold.forget_at };
            dues.insert((due, hold.place), ('h', id.clone()));
        }
        for (id, order) in &self.orders {
            dues.extend(order.due.map(|due| (due, ('o', id.clone()))));
        }
        for ((kind, id), reference) in &self.references {
            let id = [kind.as_bytes(), b" ", id].concat();
            dues.insert((reference.forget_at, reference.place), ('r', id));
        }
        dues
    }

    pub fn next_due(&self) -> Option<u64> {
        let due = self.dues().first_key_value().map(|((due, _), _)| *due);
        due.into_iter().chain(self.next_late().map(|(late, _)| late)).min()
    }

    /// What is due first, an order that gets late after all else of that millisecond.
    fn sweep(&mut self, budget: u64) -> Outcome {
        let mut spent = 0;
        while spent < budget {
            let due = self.dues().pop_first().map(|((due, _), what)| (due, what)).filter(|(due, _)| *due <= self.now);
            let late = self.next_late().filter(|(late, _)| *late <= self.now);
            let late = late.filter(|(late, _)| due.as_ref().is_none_or(|(due, _)| late < due));
            spent += match (late, due) {
                (Some((_, id)), _) => self.mark_late(&id),
                (None, Some((_, (kind, id)))) => self.do_due(kind, &id),
                (None, None) => break,
            };
            self.changed = true;
        }
        Ok(Reply::Swept(spent > 0))
    }

    fn do_due(&mut self, kind: char, id: &Id) -> u64 {
        match kind {
            'h' if self.holds[id].state == HoldState::Live => self.expire(id),
            'h' => self.forget_hold(id),
            'o' => match self.orders[id].state {
                OrderState::Claimed => self.end_lease(id),
                OrderState::Retrying => self.retry_due(id),
                OrderState::Pending => self.expire_gate(id),
                OrderState::Waitlisted => self.stop_waiting(id),
                _ => self.forget_order(id),
            },
            _ => {
                self.references.retain(|(kind, name), _| [kind.as_bytes(), b" ", name].concat() != *id);
                1
            }
        }
    }

    fn level(&self, sku: &[u8]) -> Level {
        let (available, low) = (self.available(sku), self.skus[sku].low);
        (available <= 0, low > 0 && available <= low as i64)
    }

    fn levels(&self, skus: impl IntoIterator<Item = Id>) -> Vec<(Id, Level)> {
        let known = skus.into_iter().map(|sku| (self.level(&sku), sku));
        known.map(|(level, sku)| (sku, level)).collect()
    }

    /// Tells that the stock of a SKU moved: what it is now is the state's, what it was the caller's to remember.
    fn moved(&mut self, before: &(Id, Level), kind: &'static str, delta: i64, reference: &[u8], reason: &[u8]) {
        let (sku, (was_out, was_low)) = before;
        self.write_down(sku, kind, delta, reference, reason);
        self.set_aside(sku);
        let (out, low) = self.level(sku);
        if out && !was_out {
            self.published.push(Published::Event(Event::StockOut));
        }
        if low && !was_low {
            self.published.push(Published::Event(Event::StockLow));
        }
        let is_in = !out && *was_out && self.new_sku.as_ref() != Some(sku);
        let turned = [(out && !was_out, "stock.out"), (low && !was_low, "stock.low"), (is_in, "stock.in")];
        for (_, kind) in turned.into_iter().filter(|(is_so, _)| *is_so) {
            self.alert(kind, sku, b"", Some(self.available(sku)), b"");
        }
    }

    fn write_down(&mut self, sku: &Id, kind: &'static str, delta: i64, reference: &[u8], reason: &[u8]) {
        if self.setting("journal") > 0 {
            let id = next_entry(&mut self.last_journal, self.now);
            let (on_hand, held) = (self.skus[sku].on_hand, self.held(sku));
            let (reference, reason) = (reference.into(), reason.into());
            let sku = sku.as_slice().into();
            self.published.push(Published::Moved(Movement { id, kind, sku, delta, on_hand, held, reference, reason }));
        }
    }

    pub(crate) fn alert(&mut self, kind: &str, sku: &[u8], order: &[u8], available: Option<i64>, reason: &[u8]) {
        if self.setting("alerts") > 0 {
            let id = next_entry(&mut self.last_alerts, self.now);
            let kind = *AlertKind::ALL.iter().find(|known| known.name() == kind).expect("a kind of the contract");
            let (sku, order, reason) = (sku.into(), order.into(), reason.into());
            self.published.push(Published::Alert(Alert { id, kind, sku, order, available, reason }));
        }
    }

    /// The first reply of a REF that is known, or the refusal of another call.
    fn replied(&self, reference: &Option<Id>, command: &Command) -> Option<Result<u64, Vec<&'static str>>> {
        let known = self.references.get(&(of_command(command), reference.clone()?))?;
        Some(if known.command == content(command) { Ok(known.reply) } else { Err(vec!["MISMATCH"]) })
    }

    fn remember(&mut self, reference: &Option<Id>, command: &Command, reply: u64) {
        if let Some(id) = reference {
            let (place, forget_at) = (self.next_place(), self.forget_at());
            let reference = Reference { place, command: content(command), reply, forget_at };
            self.references.insert((of_command(command), id.clone()), reference);
        }
    }

    /// Why the sale window does not let anything be sold now.
    fn window(&self) -> Vec<&'static str> {
        let (opens, closes) = (self.setting("opens"), self.setting("closes"));
        if opens > self.now {
            vec!["NOTOPEN"]
        } else if closes != 0 && closes <= self.now {
            vec!["CLOSED"]
        } else {
            Vec::new()
        }
    }

    /// Why a customer may not have these units on top of what it has.
    fn limits(&self, customer: &[u8], items: &[(Id, u128)]) -> Vec<&'static str> {
        let mut codes = Vec::new();
        let wanted: u128 = items.iter().map(|(_, qty)| qty).sum();
        let has = u128::from(self.units(customer, None));
        for (sku, qty) in items {
            let limit = u128::from(self.skus[sku].limit);
            if limit > 0 && u128::from(self.units(customer, Some(sku))) + qty > limit {
                codes.push("LIMIT");
            }
        }
        let limit = u128::from(self.setting("limit"));
        if limit > 0 && has + wanted > limit {
            codes.push("LIMIT");
        }
        if has + wanted > MAX {
            codes.push("ERR");
        }
        codes
    }

    /// Why these units cannot be taken from what is available.
    fn stock(&self, items: &[(Id, u128)]) -> Vec<&'static str> {
        let short = items.iter().filter(|(sku, qty)| i128::from(self.available(sku)) < *qty as i128);
        short.map(|_| "OUTOFSTOCK").collect()
    }

    /// The lines by SKU, in the order they are named first; `NOSKU` or `ERR` where they cannot be.
    fn merged(&self, lines: &Lines) -> Result<Vec<(Id, u128)>, Vec<&'static str>> {
        let mut list: Vec<(Id, u128)> = Vec::new();
        for (sku, qty) in lines {
            match list.iter_mut().find(|(known, _)| known == sku) {
                Some((_, sum)) => *sum += u128::from(*qty),
                None => list.push((sku.clone(), u128::from(*qty))),
            }
        }
        if list.iter().any(|(sku, _)| !self.skus.contains_key(sku)) {
            return Err(vec!["NOSKU", "ERR"]);
        }
        if list.iter().any(|(_, sum)| *sum > MAX) {
            return Err(vec!["ERR"]);
        }
        Ok(list)
    }
}

/// The command a REF belongs to.
fn of_command(command: &Command) -> &'static str {
    match command {
        Command::Adjust { .. } => "adjust",
        Command::Close { commit: true, .. } => "commit",
        Command::Close { commit: false, .. } => "release",
        Command::Return { .. } => "return",
        Command::Edit { .. } => "edit",
        other => unreachable!("{other:?} has no REF"),
    }
}

/// A call as what it asks for: its items in no order, each SKU once.
fn content(command: &Command) -> Command {
    let mut command = command.clone();
    match &mut command {
        Command::Return { items, .. } | Command::Close { items: Some(items), .. } => {
            *items = added_up(items).into_iter().collect();
        }
        // The same edit or split under another token is the same.
        Command::Edit { items, token, .. } | Command::Split { items, token, .. } => {
            *items = added_up(items).into_iter().collect();
            *token = None;
        }
        _ => {}
    }
    command
}

fn added_up(lines: &Lines) -> BTreeMap<Id, u64> {
    let mut sums = BTreeMap::new();
    for (sku, qty) in lines {
        *sums.entry(sku.clone()).or_default() += qty;
    }
    sums
}

/// The id of a stream's next entry.
fn next_entry(last: &mut EntryId, now: u64) -> EntryId {
    *last = if now > last.ms { EntryId { ms: now, seq: 0 } } else { EntryId { ms: last.ms, seq: last.seq + 1 } };
    *last
}
