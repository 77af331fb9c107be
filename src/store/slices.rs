//! Long work for a blocked caller, in slices: STORE.AUDIT, STORE.REPAIR, ORDER.REDRIVE ALL, ORDER.PURGE.
//!
//! One job runs at a time, first come, first served; a tick of a timer works on it for a moment and lets the clients
//! that wait go on. Inside MULTI and Lua, where nobody may be blocked, a job runs to its end at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::rc::Rc;

use super::keys::{read_store, same_store, streams_of, write_store};
use super::repair::{Comparison, Repair};
use super::streams::TRYAGAIN;
use super::value::StoreValue;
use super::write::{CANCELS, Rule, write};
use crate::host::blocked::Blocked;
use crate::host::clock::Boot;
use crate::host::key::Mode;
use crate::host::turn::{self, CLOSED_MS, Turn};
use crate::host::{Call, Ctx, Host, OwnStr, Stop, Str};
use holdfast_engine::books::audit::AUDIT_SLICE;
use holdfast_engine::terms::audit::Difference;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::streams::StreamKind;

/// The pause between two ticks, milliseconds.
const PAUSE_MS: u64 = 1;

/// Dead orders that one slice looks at: each may have an entry of a megabyte, which takes most of a millisecond.
const DEAD_SLICE: usize = 8;

/// Whether an order that died of this reason is wanted.
type Wanted = Rc<dyn Fn(&[u8]) -> bool>;

/// What a job does.
#[derive(Clone)]
pub enum Task {
    Audit,
    Repair,
    Dead(SomeDead),
}

/// Something to do with dead orders, in the order they died.
#[derive(Clone)]
pub struct SomeDead {
    pub act: AtDead,
    /// Which of them: by the reason.
    pub wanted: Wanted,
    /// With how many, at most.
    pub count: u64,
}

/// What is done with a dead order.
#[derive(Clone, Copy)]
pub enum AtDead {
    /// It is queued again, if its units can be taken again.
    Redrive,
    /// It is cancelled, as by ORDER.CANCEL without REASON.
    Cancel,
}

impl AtDead {
    /// Does it, as a command of its own: what stays dead is in nobody's log. Says whether it was done.
    fn run(self, host: impl Host, name: Str<'_>, id: Str<'_>) -> Result<bool, Stop> {
        let command = match self {
            AtDead::Redrive => c"ORDER.REDRIVE",
            AtDead::Cancel => c"ORDER.CANCEL",
        };
        let call = Call { ctx: host, name: command, key: name, rest: &[id], stamp: None };
        match self {
            AtDead::Redrive => {
                let (streams, leaves) = (&[StreamKind::Orders], &[StreamKind::Dead]);
                let rule = Rule { streams, leaves, stamped: true, ..Rule::default() };
                Ok(write(&call, rule, |store, now, fx| store.redrive(now, id.bytes(), fx))?.reply)
            }
            AtDead::Cancel => {
                let rule = Rule { stamped: true, ..CANCELS };
                write(&call, rule, |store, now, fx| store.cancel(now, id.bytes(), b"", fx)).map(|_| true)
            }
        }
    }
}

/// What came of a job.
pub enum Outcome {
    Differences(Vec<Difference>),
    /// How many entries were removed or written, or orders queued again or cancelled.
    Count(u64),
    Failed(Stop),
}

/// Jobs, the first of which is being worked on, and when that goes on.
#[derive(Default)]
struct Jobs {
    list: VecDeque<(Blocked, Job)>,
    next: Option<Boot>,
}

/// A task on its way.
pub struct Job {
    task: Task,
    db: c_int,
    key: OwnStr,
    uid: u64,
    started: bool,
    /// Audit: what the recount found, once it is done, and the comparison of the streams.
    recounted: Option<Vec<Difference>>,
    comparison: Comparison,
    repair: Repair,
    /// The position among the dead it has come to, and with how many of them something was done.
    at: u64,
    done: u64,
}

thread_local! {
    /// Only the server's main thread uses it.
    static JOBS: RefCell<Jobs> = const { RefCell::new(Jobs { list: VecDeque::new(), next: None }) };
}

/// Begins a task for the caller, who gets the reply when it is done.
///
/// # Errors
/// The key holds no store, or one whose streams are another's; otherwise [`Stop::Replied`].
pub fn begin(call: &Call<'_>, task: Task) -> Result<(), Stop> {
    let mut job = Job::new(call, task)?;
    if call.ctx.denies_blocking() {
        let outcome = loop {
            if let Some(outcome) = job.slice(call.ctx) {
                break outcome;
            }
        };
        reply(call.ctx, &outcome);
        return Err(Stop::Replied);
    }
    let client = Blocked::new(call.ctx);
    JOBS.with_borrow_mut(|jobs| jobs.list.push_back((client, job)));
    turn::request();
    Err(Stop::Replied)
}

/// When the next tick has something to do.
pub fn next_tick(_: Ctx<'_>) -> Option<Boot> {
    JOBS.with_borrow(|jobs| jobs.next)
}

/// Works on the first job until the turn is over.
pub fn tick(ctx: Ctx<'_>, turn: Turn) {
    let now = Boot::now();
    let first = |jobs: &mut Jobs| if jobs.next.is_none_or(|next| next <= now) { jobs.list.pop_front() } else { None };
    let Some((client, mut job)) = JOBS.with_borrow_mut(first) else { return };
    let (outcome, pause_ms) = match job.may_go_on(ctx) {
        Ok(true) => (job.work(ctx, turn), PAUSE_MS),
        Ok(false) => (None, CLOSED_MS),
        Err(stop) => (Some(Outcome::Failed(stop)), PAUSE_MS),
    };
    match outcome {
        Some(outcome) => client.reply(move |ctx| reply(ctx, &outcome)),
        None => JOBS.with_borrow_mut(|jobs| jobs.list.push_front((client, job))),
    }
    JOBS.with_borrow_mut(|jobs| jobs.next = (!jobs.list.is_empty()).then(|| Boot::now().plus_ms(pause_ms)));
}

impl Job {
    /// A task that is to begin.
    ///
    /// # Errors
    /// As [`begin`].
    pub fn new<H: Host>(call: &Call<'_, H>, task: Task) -> Result<Self, Stop> {
        let uid = match task {
            Task::Audit => read_store(call.ctx, call.key)?.uid,
            // A store whose streams are another's is refused.
            _ => write_store(call.ctx, call.key)?.store()?.uid,
        };
        let key = OwnStr::new(call.key.bytes());
        Ok(Job {
            task,
            db: call.ctx.db(),
            key,
            uid,
            started: false,
            recounted: None,
            comparison: Comparison::default(),
            repair: Repair::default(),
            at: 0,
            done: 0,
        })
    }

    /// Whether a job that writes may write now: it waits while writes are paused, say. One that is on a replica fails
    /// in its next slice.
    ///
    /// # Errors
    /// TRYAGAIN where the slot is on its way here or away: a client that asks again is sent to its owner.
    pub fn may_go_on(&self, host: impl Host) -> Result<bool, Stop> {
        let flags = host.flags();
        if matches!(self.task, Task::Audit) || !flags.primary() || !host.select(self.db) {
            return Ok(true);
        }
        let key = [self.key.get()];
        if flags.cluster() && !host.serves(&key) {
            return Err(Stop::Server(TRYAGAIN.into()));
        }
        Ok(host.may_write(&key))
    }

    /// Works until the turn is over; the outcome once it is done.
    fn work(&mut self, host: impl Host, turn: Turn) -> Option<Outcome> {
        loop {
            match self.slice(host) {
                None if !turn.is_over() => {}
                outcome => return outcome,
            }
        }
    }

    /// One slice; the outcome once it is done.
    pub fn slice<H: Host>(&mut self, host: H) -> Option<Outcome> {
        host.select(self.db);
        let mode = if matches!(self.task, Task::Audit) { Mode::Read } else { Mode::Write };
        let key = OwnStr::new(self.key.get().bytes());
        let Some(mut value) = same_store(host, key.get(), self.uid, mode) else {
            return Some(Outcome::Failed(Refusal::NoStore.into()));
        };
        match self.task.clone() {
            Task::Audit if self.recounted.is_some() => self.compare(host, key.get(), &value),
            Task::Audit => self.audit(host, key.get(), &mut value),
            Task::Repair => self.repair(host, key.get(), &mut value),
            Task::Dead(some) => {
                let (next, ids) = value.store.dead_from(self.at, DEAD_SLICE, |reason| (some.wanted)(reason));
                let ids: Vec<_> = ids.into_iter().map(OwnStr::new).collect();
                self.at = next;
                drop(value);
                self.at_dead(host, key.get(), &ids, &some)
            }
        }
    }

    /// Does the same with each of these dead orders.
    fn at_dead(&mut self, host: impl Host, name: Str<'_>, ids: &[OwnStr], some: &SomeDead) -> Option<Outcome> {
        if !host.flags().primary() {
            return Some(Outcome::Failed(Stop::Server(READONLY.into())));
        }
        for id in ids.iter().map(OwnStr::get) {
            if self.done == some.count {
                break;
            }
            match some.act.run(host, name, id) {
                Ok(done) => self.done += u64::from(done),
                Err(stop) => return Some(Outcome::Failed(stop)),
            }
        }
        (self.at == 0 || self.done == some.count).then_some(Outcome::Count(self.done))
    }

    fn audit(&mut self, host: impl Host, name: Str<'_>, value: &mut StoreValue) -> Option<Outcome> {
        // A store has one recount: another caller's, inside MULTI or Lua, may have replaced ours.
        if !std::mem::replace(&mut self.started, true) || !value.store.auditing() {
            value.store.audit_start();
        }
        let recounted = value.store.audit_slice(AUDIT_SLICE)?;
        // The streams next to a key may be another store's.
        if streams_of(host, name, value).is_some() {
            return Some(Outcome::Differences(recounted));
        }
        self.recounted = Some(recounted);
        None
    }

    fn compare(&mut self, host: impl Host, name: Str<'_>, value: &StoreValue) -> Option<Outcome> {
        match self.comparison.slice(host, name, &value.store) {
            Ok(differences) => {
                let mut all = self.recounted.take_if(|_| differences.is_some())?;
                all.extend(differences.unwrap_or_default());
                Some(Outcome::Differences(all))
            }
            Err(stop) => Some(Outcome::Failed(stop)),
        }
    }

    fn repair(&mut self, host: impl Host, name: Str<'_>, value: &mut StoreValue) -> Option<Outcome> {
        if !host.flags().primary() {
            return Some(Outcome::Failed(Stop::Server(READONLY.into())));
        }
        let now = value.time_at(host.now());
        match self.repair.slice(host, name, now, value) {
            Ok(done) => done.map(Outcome::Count),
            Err(stop) => Some(Outcome::Failed(stop)),
        }
    }
}

/// What the server says itself to a write on a replica.
const READONLY: &str = "READONLY You can't write against a read only replica.";

fn reply(ctx: Ctx<'_>, outcome: &Outcome) {
    match outcome {
        Outcome::Count(entries) => ctx.int(*entries as i64),
        Outcome::Failed(stop) => ctx.error(&stop.text().unwrap_or_default()),
        Outcome::Differences(differences) => {
            ctx.array(differences.len());
            for difference in differences {
                ctx.map(4);
                ctx.bulk(b"what");
                ctx.bulk(difference.what.as_bytes());
                ctx.bulk(b"id");
                ctx.bulk(&difference.id);
                ctx.bulk(b"books");
                ctx.int(difference.books);
                ctx.bulk(b"recount");
                ctx.int(difference.recount);
            }
        }
    }
}
