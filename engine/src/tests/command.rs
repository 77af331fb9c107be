//! Every call of the engine as a value: what tests make up, log, replay and hand to the model.

use crate::base::units::Ms;
use crate::calls::edits::{Edit, Split};
use crate::calls::holds::{Close, Reserve};
use crate::calls::orders::{Complete, Place, ScanOrders, Take};
use crate::calls::returns::Return;
use crate::calls::steps::Advance;
use crate::calls::stock::{Adjust, SetStock, SyncCounts, Synced};
use crate::calls::work::{Claim, Fail, Failure, Pick};
use crate::record::gate::NewGate;
use crate::record::history::HistoryEvent;
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::items::Item;
use crate::terms::metrics::Refused;
use crate::terms::metrics::Sample;
use crate::terms::refusal::Code;
use crate::terms::refusal::Refusal;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

pub type Id = Vec<u8>;

/// `sku qty` pairs.
pub type Lines = Vec<(Id, u64)>;

/// A call that may change a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Configure(Vec<(Field, u64)>),
    SetStock {
        sku: Id,
        on_hand: u64,
        safety: Option<u64>,
        low: Option<u64>,
        limit: Option<u64>,
        backlog: Option<u64>,
    },
    Adjust {
        sku: Id,
        delta: i64,
        reason: Id,
        reference: Option<Id>,
    },
    Sync {
        source: Id,
        seq: u64,
        counts: Lines,
    },
    Reserve {
        hold: Id,
        customer: Option<Id>,
        ttl_ms: Option<Ms>,
        replace: bool,
        items: Lines,
    },
    Extend {
        hold: Id,
        ms: Ms,
    },
    Close {
        hold: Id,
        commit: bool,
        reference: Option<Id>,
        items: Option<Lines>,
    },
    Place {
        order: Id,
        customer: Id,
        group: Option<Id>,
        /// Empty: the default one.
        lane: Id,
        data: Id,
        /// Each with its milliseconds; 0: no end.
        gates: Lines,
        wait_ms: Option<Ms>,
        take: Source,
    },
    Gate {
        order: Id,
        gate: Id,
        ms: Ms,
    },
    Pass {
        order: Id,
        gate: Id,
    },
    Complete {
        order: Id,
        token: Option<u64>,
        result: Id,
    },
    Cancel {
        order: Id,
        reason: Id,
    },
    Return {
        order: Id,
        customer: Option<Id>,
        reference: Option<Id>,
        scrap: bool,
        items: Lines,
    },
    Edit {
        order: Id,
        token: Option<u64>,
        reference: Option<Id>,
        lost: bool,
        items: Lines,
    },
    Split {
        order: Id,
        new_order: Id,
        token: Option<u64>,
        lane: Option<Id>,
        items: Lines,
    },
    Claim {
        worker: Id,
        count: usize,
        pick: Picked,
        lease_ms: Option<Ms>,
    },
    Renew {
        order: Id,
        token: u64,
        lease_ms: Option<Ms>,
    },
    Yield {
        worker: Id,
    },
    TakeBack {
        order: Id,
        token: u64,
    },
    Fail {
        order: Id,
        token: Option<u64>,
        reason: Id,
        after_ms: Option<Ms>,
        fatal: bool,
    },
    Redrive {
        order: Id,
    },
    Advance {
        order: Id,
        step: Id,
        from: Option<Id>,
        token: Option<u64>,
    },
    CompleteAndClaim {
        order: Id,
        token: Option<u64>,
        result: Id,
        worker: Id,
        lease_ms: Option<Ms>,
    },
    Sweep {
        budget: u64,
    },
    /// Refusals since the last one, by the names of their counters.
    Sample {
        refused: Vec<(&'static str, u64)>,
    },
    /// An entry of an order got another id: its own again, or one `ahead_ms` past the stream's last. That of its end
    /// once it is completed, that in `…:dead` once it is dead, else the one in `…:orders`, or in `…:retry` on the
    /// `side`.
    Reentry {
        order: Id,
        side: bool,
        ahead_ms: Option<Ms>,
    },
}

/// Orders that stand for any, see [`Command::aimed`].
const ANY: [&[u8]; 4] = [b"o5", b"o6", b"o7", b"o8"];

/// Tokens below this stand for one that the order was claimed under.
const TOKENS_MEANT: u64 = 100;

/// Where an order's units come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Items(Lines),
    Hold(Id),
}

/// Which orders a claim can get.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Picked {
    #[default]
    Any,
    Lanes(Vec<Id>),
    Order(Id),
}

/// What a call replies.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Nothing,
    /// What is available.
    Available(i64),
    /// on_hand.
    OnHand(u64),
    /// Units left in a hold, or put back.
    Units(u64),
    /// A deadline.
    Time(Ms),
    Entry(EntryId),
    /// Gates still to pass.
    ToPass(u64),
    /// An order was placed that is not queued: it waits for stock or has gates to pass.
    Unlisted,
    Synced(Synced),
    /// Orders that were handed out, each with its token.
    Claimed(Vec<(Id, u64)>),
    /// How many orders were given back.
    Yielded(u64),
    Failed(Failure),
    /// Whether a dead order took its units again.
    Redriven(bool),
    /// How many steps an order has been at.
    Version(u64),
    /// The entry of a completed order, and the next one with its token.
    Next(EntryId, Option<(Id, u64)>),
    /// Whether anything was due.
    Swept(bool),
    Sampled(Box<Sample>),
}

/// Refusals as the engine takes them.
fn counts(refused: &[(&str, u64)]) -> Refused {
    let mut counts = Refused::default();
    for (name, count) in refused {
        let code = Code::ALL.iter().find(|code| code.metric() == *name).expect("the name of a counter");
        (0..*count).for_each(|_| counts.count(*code));
    }
    counts
}

/// The lines as the engine takes them.
pub fn lines(list: &[(Id, u64)]) -> Vec<Item<'_>> {
    list.iter().map(|(sku, qty)| Item { sku, qty: *qty }).collect()
}

impl Command {
    /// Makes the call at `now`.
    pub fn apply(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Configure(fields) => store.configure(now, fields, fx).map(|()| Reply::Nothing),
            Command::SetStock { .. } | Command::Adjust { .. } | Command::Sync { .. } => {
                self.apply_count(store, now, fx)
            }
            Command::Reserve { .. } | Command::Extend { .. } | Command::Close { .. } => self.apply_hold(store, now, fx),
            Command::Sample { refused } => Ok(Reply::Sampled(Box::new(store.sample(now, &counts(refused), fx)))),
            Command::Sweep { budget } => Ok(Reply::Swept(store.sweep(now, *budget, fx))),
            Command::Reentry { order, side, ahead_ms } => {
                reenter(store, order, *side, *ahead_ms, fx);
                Ok(Reply::Nothing)
            }
            Command::Place { .. } | Command::Complete { .. } | Command::Cancel { .. } | Command::Return { .. } => {
                self.apply_order(store, now, fx)
            }
            Command::Edit { .. } | Command::Split { .. } => self.apply_edit(store, now, fx),
            Command::Claim { .. } | Command::Yield { .. } | Command::CompleteAndClaim { .. } => {
                self.apply_worker(store, now, fx)
            }
            _ => self.apply_work(store, now, fx),
        }
    }

    /// The same command, aimed at what there is: at an order in the state it is meant for, where its own is one of
    /// those that stand for any; and under a token of one of its claims, 0 the last, 1 the one before, where it names a
    /// small one. Nobody can make up a token, but anybody may come with an old one.
    pub fn aimed(mut self, store: &Store) -> Command {
        let state = match self {
            Command::Redrive { .. } => Some(OrderState::Dead),
            Command::Return { .. } => Some(OrderState::Completed),
            Command::Claim { .. } => Some(OrderState::Queued),
            Command::Complete { .. } | Command::Cancel { .. } => None,
            Command::Gate { .. } => Some(OrderState::Queued),
            Command::Pass { .. } => Some(OrderState::Pending),
            Command::Split { new_order: ref named, .. } | Command::Edit { order: ref named, .. } => {
                match named.last().map(|digit| digit % 4) {
                    Some(1) => Some(OrderState::Pending),
                    Some(2) => Some(OrderState::Waitlisted),
                    Some(3) => None,
                    _ => Some(OrderState::Claimed),
                }
            }
            _ => Some(OrderState::Claimed),
        };
        let splits = matches!(self, Command::Split { .. } | Command::Edit { .. });
        let (order, token) = match &mut self {
            Command::Renew { order, token, .. } | Command::TakeBack { order, token } => (order, Some(token)),
            Command::Complete { order, token, .. }
            | Command::CompleteAndClaim { order, token, .. }
            | Command::Fail { order, token, .. }
            | Command::Edit { order, token, .. }
            | Command::Split { order, token, .. }
            | Command::Advance { order, token, .. } => (order, token.as_mut()),
            Command::Redrive { order }
            | Command::Return { order, .. }
            | Command::Gate { order, .. }
            | Command::Pass { order, .. }
            | Command::Cancel { order, .. } => (order, None),
            Command::Claim { pick: Picked::Order(order), .. } => (order, None),
            _ => return self,
        };
        let meant = store.scan_orders(0, 0, 1_000, &ScanOrders { state, ..ScanOrders::default() }).1;
        let number = usize::from(order.last().copied().unwrap_or_default());
        let is_known = store.orders.find(order).is_some();
        if (ANY.contains(&&order[..]) || splits && !is_known) && !meant.is_empty() {
            *order = meant[number % meant.len()].to_vec();
        }
        if let Some(token) = token.filter(|token| **token < TOKENS_MEANT) {
            let history = store.order(0, order).map_or_else(Vec::new, |view| view.history);
            let claimed = |event: &HistoryEvent| match event {
                HistoryEvent::Claimed { token, .. } => Some(*token),
                _ => None,
            };
            let mut tokens = history.iter().rev().filter_map(claimed);
            *token = tokens.nth(*token as usize).unwrap_or(*token + 1);
        }
        self.fitted(store)
    }

    /// Half of the first item of an order that is split, for a new order of an even number; and no token for an order
    /// that no worker has, mostly.
    fn fitted(mut self, store: &Store) -> Command {
        if let Command::Edit { order, token, .. } | Command::Split { order, token, .. } = &mut self
            && store.order(0, order).is_some_and(|view| view.state != OrderState::Claimed)
        {
            *token = token.filter(|token| *token > TOKENS_MEANT && token % 4 == 0);
        }
        if let Command::Split { order, new_order, items, .. } = &mut self
            && new_order.last().is_some_and(|digit| digit % 2 == 0)
            && let Some(item) = store.order(0, order).and_then(|view| view.items.into_iter().next())
        {
            *items = vec![(item.sku.to_vec(), item.qty.div_ceil(2))];
        }
        self
    }

    fn apply_count(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::SetStock { sku, on_hand, safety, low, limit, backlog } => {
                let (on_hand, safety, low) = (*on_hand, *safety, *low);
                let set = SetStock { sku, on_hand, safety, low, limit: *limit, backlog: *backlog };
                store.set_stock(now, &set, fx).map(Reply::Available)
            }
            Command::Adjust { sku, delta, reason, reference } => {
                let adjust = Adjust { sku, delta: *delta, reason, reference: reference.as_deref() };
                store.adjust(now, &adjust, fx).map(Reply::OnHand)
            }
            Command::Sync { source, seq, counts } => {
                let sync = SyncCounts { source, seq: *seq, counts: &lines(counts) };
                store.sync(now, &sync, fx).map(Reply::Synced)
            }
            other => unreachable!("{other:?} counts nothing"),
        }
    }

    fn apply_hold(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Reserve { hold, customer, ttl_ms, replace, items } => {
                let customer = customer.as_deref();
                let reserve = Reserve { hold, customer, ttl_ms: *ttl_ms, replace: *replace, items: &lines(items) };
                store.reserve(now, &reserve, fx).map(Reply::Time)
            }
            Command::Extend { hold, ms } => store.extend(now, hold, *ms, fx).map(Reply::Time),
            Command::Close { hold, commit, reference, items } => {
                let items = items.as_deref().map(lines);
                let reference = reference.as_deref();
                let close = Close { hold, commit: *commit, reference, items: items.as_deref() };
                store.close_hold(now, &close, fx).map(Reply::Units)
            }
            other => unreachable!("{other:?} is of no hold"),
        }
    }

    fn apply_order(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Place { order, customer, group, lane, data, gates, wait_ms, take } => {
                let items = if let Source::Items(items) = take { lines(items) } else { Vec::new() };
                let take = match take {
                    Source::Items(_) => Take::Items(&items),
                    Source::Hold(hold) => Take::Hold(hold),
                };
                let gates: Vec<_> = gates.iter().map(|(name, ms)| NewGate { name, ms: *ms }).collect();
                let (group, gates, wait_ms) = (group.as_deref(), &gates[..], *wait_ms);
                let place = Place { order, customer, group, lane, data, gates, wait_ms, take };
                store.place(now, &place, fx).map(|entry| entry.map_or(Reply::Unlisted, Reply::Entry))
            }
            Command::Complete { order, token, result } => {
                store.complete(now, &Complete { order, token: *token, result }, fx).map(Reply::Entry)
            }
            Command::Cancel { order, reason } => store.cancel(now, order, reason, fx).map(Reply::Units),
            Command::Return { order, customer, reference, scrap, items } => {
                let (customer, reference) = (customer.as_deref(), reference.as_deref());
                let back = Return { order, customer, reference, scrap: *scrap, items: &lines(items) };
                store.return_units(now, &back, fx).map(Reply::Units)
            }
            other => unreachable!("{other:?} is of no order"),
        }
    }

    fn apply_edit(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Edit { order, token, reference, lost, items } => {
                let (reference, items) = (reference.as_deref(), &lines(items));
                let edit = Edit { order, token: *token, reference, lost: *lost, items };
                store.edit(now, &edit, fx).map(Reply::Units)
            }
            Command::Split { order, new_order, token, lane, items } => {
                let (lane, items) = (lane.as_deref(), &lines(items));
                let split = Split { order, new_order, token: *token, lane, items };
                store.split(now, &split, fx).map(|entry| entry.map_or(Reply::Unlisted, Reply::Entry))
            }
            other => unreachable!("{other:?} changes no order"),
        }
    }

    fn apply_worker(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Claim { worker, count, pick, lease_ms } => {
                let lanes: Vec<&[u8]> = if let Picked::Lanes(lanes) = pick { refs(lanes) } else { Vec::new() };
                let pick = match pick {
                    Picked::Any => Pick::Any,
                    Picked::Lanes(_) => Pick::Lanes(&lanes),
                    Picked::Order(order) => Pick::Order(order),
                };
                let claim = Claim { worker, count: *count, pick, lease_ms: *lease_ms };
                let slots = store.claim(now, &claim, fx)?;
                Ok(Reply::Claimed(slots.into_iter().map(|slot| handed_out(store, slot)).collect()))
            }
            Command::Yield { worker } => Ok(Reply::Yielded(store.yield_all(now, worker, fx))),
            Command::CompleteAndClaim { order, token, result, worker, lease_ms } => {
                let complete = Complete { order, token: *token, result };
                let claim = Claim { worker, count: 1, pick: Pick::Any, lease_ms: *lease_ms };
                let (id, next) = store.complete_and_claim(now, &complete, &claim, fx)?;
                Ok(Reply::Next(id, next.map(|slot| handed_out(store, slot))))
            }
            other => unreachable!("{other:?} is of no worker"),
        }
    }

    fn apply_work(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Renew { order, token, lease_ms } => {
                store.renew(now, order, *token, *lease_ms, fx).map(Reply::Time)
            }
            Command::Gate { order, gate, ms } => {
                store.gate(now, order, &NewGate { name: gate, ms: *ms }, fx).map(Reply::Time)
            }
            Command::Pass { order, gate } => store.pass(now, order, gate, fx).map(Reply::ToPass),
            Command::TakeBack { order, token } => store.take_back(now, order, *token, fx).map(|()| Reply::Nothing),
            Command::Fail { order, token, reason, after_ms, fatal } => {
                let fail = Fail { order, token: *token, reason, after_ms: *after_ms, fatal: *fatal };
                store.fail(now, &fail, fx).map(Reply::Failed)
            }
            Command::Redrive { order } => store.redrive(now, order, fx).map(Reply::Redriven),
            Command::Advance { order, step, from, token } => {
                let advance = Advance { order, step, from: from.as_deref(), token: *token };
                store.advance(now, &advance, fx).map(Reply::Version)
            }
            other => unreachable!("{other:?} is of no work"),
        }
    }
}

fn refs(ids: &[Id]) -> Vec<&[u8]> {
    ids.iter().map(|id| &id[..]).collect()
}

/// An order that was handed out, and its token.
fn handed_out(store: &Store, slot: u32) -> (Id, u64) {
    let view = store.order_view(0, slot);
    (view.id.to_vec(), view.token)
}

/// What the server does where a stream did not take the id it was given, or lost the entry.
fn reenter(store: &mut Store, order: &[u8], side: bool, ahead_ms: Option<Ms>, fx: &mut Effects) {
    let Some(view) = store.order(0, order) else { return };
    let (kind, own) = match (view.state, view.side) {
        (OrderState::Completed, _) => (StreamKind::Complete, view.complete.unwrap_or_default()),
        (OrderState::Dead, Some(dead)) => (StreamKind::Dead, dead),
        (OrderState::Cancelled | OrderState::Dead | OrderState::Waitlisted, _) => return,
        (_, Some(retry)) if side => (StreamKind::Retry, retry),
        _ => match view.entry {
            Some(entry) => (StreamKind::Orders, entry),
            None => return,
        },
    };
    let id = ahead_ms.map_or(own, |ms| EntryId { ms: store.last_entry(kind).ms + ms, seq: 0 });
    store.reentry(kind, store.order_at(order), id);
    fx.changed = true;
}

/// The code of a refusal: the first word of its text.
pub fn code(refusal: &Refusal) -> String {
    refusal.to_string().split(' ').next().unwrap_or_default().to_string()
}
