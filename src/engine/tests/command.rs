//! Every call of the engine as a value: what tests make up, log, replay and hand to the model.

use super::super::effects::Effects;
use super::super::holds::{Close, Reserve};
use super::super::orders::{Complete, Place, Take};
use super::super::refusal::Refusal;
use super::super::settings::Field;
use super::super::stock::{Adjust, SetStock, Sync, Synced};
use super::super::store::Store;
use super::super::streams::{EntryId, StreamKind};
use super::super::types::{Line, Ms};

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
        data: Id,
        take: Source,
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
        reference: Option<Id>,
        items: Lines,
    },
    Sweep {
        budget: u64,
    },
    /// The entry of an order, that of its end once it is completed, got another id: its own again, or one `ahead_ms` past
    /// the stream's last.
    Reentry {
        order: Id,
        ahead_ms: Option<Ms>,
    },
}

/// Where an order's units come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Items(Lines),
    Hold(Id),
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
    Synced(Synced),
    /// Whether anything was due.
    Swept(bool),
}

/// The lines as the engine takes them.
fn lines(list: &[(Id, u64)]) -> Vec<Line<'_>> {
    list.iter().map(|(sku, qty)| Line { sku, qty: *qty }).collect()
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
            Command::Sweep { budget } => Ok(Reply::Swept(store.sweep(now, *budget, fx))),
            Command::Reentry { order, ahead_ms } => {
                reenter(store, order, *ahead_ms, fx);
                Ok(Reply::Nothing)
            }
            _ => self.apply_order(store, now, fx),
        }
    }

    fn apply_count(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::SetStock { sku, on_hand, safety, low, limit } => {
                let set = SetStock { sku, on_hand: *on_hand, safety: *safety, low: *low, limit: *limit };
                store.set_stock(now, &set, fx).map(Reply::Available)
            }
            Command::Adjust { sku, delta, reason, reference } => {
                let adjust = Adjust { sku, delta: *delta, reason, reference: reference.as_deref() };
                store.adjust(now, &adjust, fx).map(Reply::OnHand)
            }
            Command::Sync { source, seq, counts } => {
                let sync = Sync { source, seq: *seq, counts: &lines(counts) };
                store.sync(now, &sync, fx).map(Reply::Synced)
            }
            other => unreachable!("{other:?} counts nothing"),
        }
    }

    fn apply_hold(&self, store: &mut Store, now: Ms, fx: &mut Effects) -> Result<Reply, Refusal> {
        match self {
            Command::Reserve { hold, customer, ttl_ms, items } => {
                let customer = customer.as_deref();
                let reserve = Reserve { hold, customer, ttl_ms: *ttl_ms, items: &lines(items) };
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
            Command::Place { order, customer, group, data, take } => {
                let items = if let Source::Items(items) = take { lines(items) } else { Vec::new() };
                let take = match take {
                    Source::Items(_) => Take::Items(&items),
                    Source::Hold(hold) => Take::Hold(hold),
                };
                let place = Place { order, customer, group: group.as_deref(), data, take };
                store.place(now, &place, fx).map(Reply::Entry)
            }
            Command::Complete { order, token, result } => {
                store.complete(now, &Complete { order, token: *token, result }, fx).map(Reply::Entry)
            }
            Command::Cancel { order, reason } => store.cancel(now, order, reason, fx).map(Reply::Units),
            Command::Return { order, reference, items } => {
                store.return_units(now, order, reference.as_deref(), &lines(items), fx).map(Reply::Units)
            }
            other => unreachable!("{other:?} is of no order"),
        }
    }
}

/// What the server does where a stream did not take the id it was given, or lost the entry.
fn reenter(store: &mut Store, order: &[u8], ahead_ms: Option<Ms>, fx: &mut Effects) {
    let Some(view) = store.order(0, order) else { return };
    let (kind, own) = match view.complete {
        Some(complete) => (StreamKind::Complete, complete),
        None if view.state.is_open() => (StreamKind::Orders, view.entry),
        None => return,
    };
    let id = ahead_ms.map_or(own, |ms| EntryId { ms: store.last_entry(kind).ms + ms, seq: 0 });
    store.reentry(kind, store.order_at(order), id);
    fx.changed = true;
}

/// The code of a refusal: the first word of its text.
pub fn code(refusal: &Refusal) -> String {
    refusal.to_string().split(' ').next().unwrap_or_default().to_string()
}
