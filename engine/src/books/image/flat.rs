//! What few orders have, field by field: how every version of the image writes it, and the digest.
//!
//! In memory an order has what its stage has, and nothing else. In an image each field stands for itself, so a loader
//! has to look which of them go together: [`Flat::into_extra`] is the one place where that is done.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::base::packed::{put, put_all, put_bytes, put_wide};
use crate::base::units::Ms;
use crate::record::due::DueKey;
use crate::record::gate::{GATES_MAX, GateState, Gates};
use crate::record::history::History;
use crate::record::order::{
    Cancelled, Changed, Claimed, Completed, Dead, Extra, Failed, Origin, Pending, Retry, Stage, Step, Waitlisted,
};
use crate::record::returns::Returns;
use crate::store::Store;
use crate::terms::items::Units;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Bits of the number that says which of its last fields an order has: until version 2 it had only the first.
pub(crate) const HAS_RETURNS: u64 = 1;
pub(crate) const HAS_CHANGED: u64 = 2;
pub(crate) const HAS_GATES: u64 = 4;
pub(crate) const HAS_WAITED: u64 = 8;
pub(crate) const HAS_LANE: u64 = 16;

/// What few orders have. A field that an order does not have is 0 or empty, which it never is otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Flat<'a> {
    pub state: OrderState,
    pub placed_at: Ms,
    pub queued_as: EntryId,
    pub first_entry: EntryId,
    pub group: &'a [u8],
    pub lane: &'a [u8],
    pub hold: &'a [u8],
    pub ended_at: Ms,
    /// When its lease or a gate expires, its retry is due, or it is forgotten; of a dead order, its number among the
    /// dead.
    pub due: DueKey,
    /// The id of its entry in `…:complete`.
    pub complete: EntryId,
    /// The result it was completed with, the reason it was cancelled for or failed for last.
    pub note: &'a [u8],
    /// The token of the claim it is under, or that it was completed with.
    pub token: u64,
    pub worker: &'a [u8],
    pub lease_ms: Ms,
    pub attempts: u32,
    /// When the retry was due that it waits for or that a worker has.
    pub retry: DueKey,
    /// The id of its entry in `…:retry`, or in `…:dead`.
    pub side: EntryId,
    /// The history, packed.
    pub history: &'a [u8],
    pub history_lost: u64,
    pub failed: Option<Failed>,
    pub step: Option<Step>,
    pub next_token: u64,
    pub redrives: u32,
    pub was_dead: bool,
    pub returns: Option<Cow<'a, Returns>>,
    /// Whether it had to wait for stock when it was placed.
    pub waited: bool,
    /// Whether it was never queued: of an order that had to wait, or has gates.
    pub unlisted: bool,
    /// Units that it lacked when it was cancelled.
    pub missing: u64,
    /// Its number among the orders that came, and what it lacks, while it waits for stock.
    pub came: u64,
    pub lacks: Cow<'a, [Units]>,
    pub changed: Option<Changed>,
    pub gates: Option<Cow<'a, Gates>>,
}

/// The slots of those that an order names.
pub(crate) struct Named {
    pub group: Option<u32>,
    pub lane: Option<u32>,
    pub worker: Option<u32>,
}

impl<'a> Flat<'a> {
    /// That of an order.
    pub fn of(store: &'a Store, extra: &'a Extra) -> Flat<'a> {
        let (stage, origin) = (&extra.stage, extra.origin());
        let (claimed, completed) = (stage.claimed(), stage.completed());
        let retry = stage.retry();
        let dead = stage.dead();
        let numbered = |dead: Dead| DueKey { at: 0, seq: dead.seq };
        Flat {
            state: stage.state(),
            placed_at: origin.and_then(|origin| origin.placed_at).unwrap_or(0),
            queued_as: origin.and_then(|origin| origin.queued_as).unwrap_or_default(),
            first_entry: origin.and_then(|origin| origin.first_entry).unwrap_or_default(),
            group: extra.group().map_or(b"", |group| &store.queue.groups().at(group).id),
            lane: extra.lane().map_or(b"", |lane| store.orders.lanes().id(lane)),
            hold: extra.seldom().and_then(|seldom| seldom.hold.as_deref()).unwrap_or_default(),
            ended_at: stage.ended_at(),
            due: stage.due().or(dead.map(numbered)).unwrap_or_default(),
            complete: completed.map_or(EntryId::default(), Completed::entry),
            note: extra.note(),
            token: stage.token(),
            worker: claimed.map_or(b"", |claimed| &store.workers.records().at(claimed.worker).id),
            lease_ms: claimed.map_or(0, |claimed| claimed.lease_ms),
            attempts: extra.attempts,
            retry: retry.map_or(DueKey::default(), |retry| retry.since),
            side: retry.map(|retry| retry.entry).or(dead.map(|dead| dead.entry)).unwrap_or_default(),
            history: extra.history.packed(),
            history_lost: extra.history.lost(),
            failed: extra.failed().cloned(),
            step: extra.step().cloned(),
            next_token: completed.map_or(0, |completed| completed.next_token),
            redrives: origin.map_or(0, |origin| origin.redrives),
            was_dead: matches!(stage, Stage::Cancelled(cancelled) if cancelled.was_dead),
            returns: extra.returns().map(Cow::Borrowed),
            waited: origin.is_some_and(|origin| origin.waited),
            unlisted: extra.is_unlisted(),
            missing: if let Stage::Cancelled(cancelled) = stage { cancelled.missing } else { 0 },
            came: stage.waitlisted().map_or(0, |waitlisted| waitlisted.seq),
            lacks: stage.waitlisted().map_or(Cow::default(), |waitlisted| Cow::Borrowed(&*waitlisted.missing)),
            changed: extra.changed().copied(),
            gates: extra.gates().map(Cow::Borrowed),
        }
    }

    /// Appends it to an image, or to what is digested.
    pub fn write(&self, out: &mut Vec<u8>) {
        put(out, self.placed_at);
        put_entry(out, self.queued_as);
        put_entry(out, self.first_entry);
        put_bytes(out, self.group);
        put_bytes(out, self.hold);
        put_all(out, [self.ended_at, self.due.at, self.due.seq]);
        put_entry(out, self.complete);
        put_bytes(out, self.note);
        put(out, self.token);
        put_bytes(out, self.worker);
        put_all(out, [self.lease_ms, u64::from(self.attempts), self.retry.at, self.retry.seq]);
        put_entry(out, self.side);
        put_bytes(out, self.history);
        put_all(out, [self.history_lost, u64::from(self.failed.is_some())]);
        if let Some(failed) = &self.failed {
            put_all(out, [failed.token, u64::from(failed.attempt), failed.due]);
            put_wide(out, failed.call);
        }
        put(out, u64::from(self.step.is_some()));
        if let Some(step) = &self.step {
            put_bytes(out, &step.name);
            put(out, step.version);
            put_wide(out, step.call);
        }
        put_all(out, [self.next_token, u64::from(self.redrives), u64::from(self.was_dead)]);
        let has = [
            (self.returns.is_some(), HAS_RETURNS),
            (self.changed.is_some(), HAS_CHANGED),
            (self.gates.is_some(), HAS_GATES),
            (self.waited, HAS_WAITED),
            (!self.lane.is_empty(), HAS_LANE),
        ];
        put(out, has.iter().map(|(has, bit)| if *has { *bit } else { 0 }).sum());
        self.write_returns(out);
        if let Some(Changed { placed, edit, split_off }) = self.changed {
            [placed, edit, split_off].into_iter().for_each(|call| put_wide(out, call));
        }
        self.write_gates(out);
        if !self.lane.is_empty() {
            put_bytes(out, self.lane);
        }
    }

    fn write_gates(&self, out: &mut Vec<u8>) {
        let Some(gates) = &self.gates else { return };
        put_all(out, [u64::from(self.unlisted), gates.0.len() as u64]);
        for gate in &gates.0 {
            put_bytes(out, &gate.name);
            put_all(out, [u64::from(gate.placed_ms.is_some()), gate.placed_ms.unwrap_or(0)]);
            put_all(
                out,
                match gate.state {
                    GateState::Waits(ms) => [0, ms],
                    GateState::Open(until) => [1, until],
                    GateState::Passed(left) => [2, left],
                },
            );
        }
    }

    /// Appends how an order with these items waited for stock, if it had to.
    pub fn write_waits(&self, out: &mut Vec<u8>, items: impl Iterator<Item = Units>) {
        if !self.waited {
            return;
        }
        put_all(out, [u64::from(self.unlisted), self.missing, self.came]);
        let lacks: BTreeMap<u32, u64> = self.lacks.iter().map(|units| (units.sku, units.qty)).collect();
        if self.came > 0 {
            put_all(out, items.map(|item| lacks.get(&item.sku).copied().unwrap_or(0)));
        }
    }

    fn write_returns(&self, out: &mut Vec<u8>) {
        let Some(returns) = &self.returns else { return };
        put(out, returns.units.len() as u64);
        put_all(out, returns.units.iter().copied());
        put_all(out, [returns.earlier().count, returns.earlier().units, returns.list().len() as u64]);
        for back in returns.list() {
            put_all(out, [back.at, back.units, u64::from(back.scrap)]);
        }
    }

    /// What an order keeps of it in memory; `None`, if it has what an order in its state cannot have, or lacks what it
    /// must have. `named` are the slots of those that it names.
    pub fn into_extra(self, history: History, named: &Named) -> Option<Extra> {
        let stage = self.stage(named.worker)?;
        let mut extra = Extra::default();
        (extra.stage, extra.attempts, extra.history) = (stage, self.attempts, history);
        extra.set_group(named.group);
        extra.set_lane(named.lane);
        extra.set_note(self.note);
        let some = |id: EntryId| Some(id).filter(|id| *id != EntryId::default());
        let (queued_as, first_entry) = (some(self.queued_as), some(self.first_entry));
        let has_origin = self.placed_at > 0 || queued_as.is_some() || first_entry.is_some();
        if has_origin || self.redrives > 0 || self.changed.is_some() || self.waited {
            let placed_at = Some(self.placed_at).filter(|at| *at > 0);
            let (changed, redrives) = (self.changed.map(Box::new), self.redrives);
            let Flat { unlisted, waited, .. } = self;
            *extra.origin_mut() = Origin { placed_at, queued_as, first_entry, redrives, unlisted, waited, changed };
        }
        if !self.hold.is_empty() {
            extra.seldom_mut().hold = Some(self.hold.into());
        }
        if self.failed.is_some() || self.step.is_some() || self.returns.is_some() {
            let seldom = extra.seldom_mut();
            (seldom.failed, seldom.step) = (self.failed.map(Box::new), self.step.map(Box::new));
            seldom.returns = self.returns.map(|returns| Box::new(returns.into_owned()));
        }
        if self.unlisted {
            extra.origin_mut().unlisted = true;
        }
        if let Some(gates) = self.gates {
            extra.seldom_mut().gates = Some(Box::new(gates.into_owned()));
        }
        Some(extra)
    }

    /// The stage its state names, with what belongs to it.
    fn stage(&self, worker: Option<u32>) -> Option<Stage> {
        let (is_due, is_retry) = (self.due.at > 0, self.retry != DueKey::default());
        let is_dead = self.state == OrderState::Dead;
        let is_ended = matches!(self.state, OrderState::Completed | OrderState::Cancelled);
        let fits = worker.is_some() == (self.state == OrderState::Claimed)
            && (self.side != EntryId::default()) == (is_retry || is_dead)
            && (self.ended_at > 0) == is_ended
            && (self.returns.is_none() || self.state == OrderState::Completed)
            && (!self.was_dead || self.state == OrderState::Cancelled)
            && self.waits_fit()
            && (self.token == 0 || matches!(self.state, OrderState::Claimed | OrderState::Completed))
            && (!is_retry || matches!(self.state, OrderState::Claimed | OrderState::Retrying))
            && (self.due.seq > 0) == (is_due || is_dead)
            && self.gates_fit();
        let retry = is_retry.then_some(Retry { since: self.retry, entry: self.side });
        let stage = match (self.state, is_due) {
            (OrderState::Queued, false) => Stage::Queued,
            (OrderState::Pending, _) => Stage::Pending(Pending { due: Some(self.due).filter(|_| is_due) }),
            (OrderState::Claimed, true) if self.token > 0 => Stage::Claimed(Claimed {
                token: self.token,
                worker: worker?,
                lease_ms: self.lease_ms,
                lease: self.due,
                retry: retry.map(Box::new),
            }),
            (OrderState::Retrying, true) if retry.is_none() => Stage::Backoff(self.due),
            (OrderState::Retrying, false) => Stage::RetryDue(retry?),
            (OrderState::Dead, false) => Stage::Dead(Dead { seq: self.due.seq, entry: self.side }),
            (OrderState::Completed, true) => Stage::Completed(self.completed()),
            (OrderState::Cancelled, true) => Stage::Cancelled(self.cancelled()),
            (OrderState::Waitlisted, is_due) => Stage::Waitlisted(Box::new(Waitlisted {
                seq: self.came,
                until: is_due.then_some(self.due),
                missing: self.lacks.to_vec(),
            })),
            _ => return None,
        };
        fits.then_some(stage)
    }

    /// Whether it has gates as an order in its state can have them: each of a name of its own, and to be passed only
    /// before it is queued, or since it was cancelled.
    fn gates_fit(&self) -> bool {
        let (is_pending, waits) = (self.state == OrderState::Pending, self.state == OrderState::Waitlisted);
        let is_cancelled = self.state == OrderState::Cancelled;
        let unlisted_fits = !self.unlisted || is_pending || waits || is_cancelled;
        let Some(gates) = &self.gates else { return !is_pending && unlisted_fits && (!self.unlisted || self.waited) };
        let list = &gates.0;
        let names_fit = list.iter().enumerate().all(|(i, gate)| list[..i].iter().all(|other| other.name != gate.name));
        let states_fit = list.iter().all(|gate| match gate.state {
            GateState::Waits(_) => waits || is_cancelled && self.unlisted,
            GateState::Open(_) => is_pending || is_cancelled,
            GateState::Passed(left) => left < GATES_MAX as u64,
        });
        let due = gates.first_to_expire().map_or(0, |(until, _)| until);
        (1..=GATES_MAX).contains(&list.len())
            && names_fit
            && states_fit
            && unlisted_fits
            && (!is_pending || gates.to_pass() > 0 && due == self.due.at)
    }

    /// Whether it waited for stock as an order in its state can have.
    fn waits_fit(&self) -> bool {
        let (waits, ended) = (self.state == OrderState::Waitlisted, self.state == OrderState::Cancelled);
        (self.came > 0) == waits
            && (self.waited || !waits)
            && (self.unlisted || !waits)
            && (self.missing == 0 || ended && self.unlisted)
    }

    fn cancelled(&self) -> Cancelled {
        Cancelled { at: self.ended_at, was_dead: self.was_dead, missing: self.missing, forget: self.due }
    }

    fn completed(&self) -> Completed {
        let mut completed = Completed::new(self.ended_at, self.complete, self.token, self.due);
        completed.next_token = self.next_token;
        completed
    }
}

/// Appends the id of an entry.
pub(crate) fn put_entry(out: &mut Vec<u8>, id: EntryId) {
    put_all(out, [id.ms, u64::from(id.seq)]);
}
