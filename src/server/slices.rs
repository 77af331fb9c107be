//! Long work for a blocked caller, in slices: STORE.AUDIT, STORE.REPAIR, ORDER.REDRIVE ALL.
//!
//! One job runs at a time, first come, first served; a tick of a timer works on it for a moment and lets the clients that
//! wait go on. Inside MULTI and Lua, where nobody may be blocked, a job runs to its end at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::rc::Rc;
use std::time::{Duration, Instant};

use redis_module::raw;

use super::call::{Call, Stop};
use super::clock::Boot;
use super::ctx::{Ctx, OwnStr, Str, api};
use super::gate;
use super::keys::{Key, read_store, streams_of, write_store};
use super::repair::{Comparison, Repair};
use super::streams::TRYAGAIN;
use super::turn;
use super::value::StoreValue;
use super::write::{Rule, write};
use holdfast_engine::books::audit::{AUDIT_SLICE, Difference};
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::streams::StreamKind;

/// How long a tick works on a job.
const TICK: Duration = Duration::from_millis(1);

/// The pause between two ticks, milliseconds.
const PAUSE_MS: u64 = 1;

/// Dead orders that one slice of a redrive looks at.
const REDRIVE_SLICE: usize = 100;

/// Whether an order that died of this reason is wanted.
type Wanted = Rc<dyn Fn(&[u8]) -> bool>;

/// What a job does.
#[derive(Clone)]
pub enum Task {
    Audit,
    Repair,
    /// Queues dead orders anew until so many are.
    Redrive {
        wanted: Wanted,
        count: u64,
    },
}

/// What came out.
enum Outcome {
    Differences(Vec<Difference>),
    /// How many entries were removed or written, or orders queued anew.
    Count(u64),
    Failed(Stop),
}

/// Jobs, the first of which is being worked on, and when that goes on.
#[derive(Default)]
struct Jobs {
    list: VecDeque<Job>,
    next: Option<Boot>,
}

struct Job {
    client: *mut raw::RedisModuleBlockedClient,
    task: Task,
    db: c_int,
    key: OwnStr,
    uid: u64,
    started: bool,
    /// Audit: what the recount found, once it is done, and the comparison of the streams.
    recounted: Option<Vec<Difference>>,
    comparison: Comparison,
    repair: Repair,
    /// Redrive: the place among the dead it has come to, and orders queued anew.
    place: u64,
    queued: u64,
}

thread_local! {
    /// Only the server's main thread uses it.
    static JOBS: RefCell<Jobs> = const { RefCell::new(Jobs { list: VecDeque::new(), next: None }) };
}

/// Begins a task for the caller, who gets the reply when it is done.
pub fn begin(call: &Call<'_>, task: Task) -> Result<(), Stop> {
    let (key, value) = match task {
        Task::Audit => read_store(call.ctx, call.key)?,
        // A store whose streams are another's is refused.
        _ => write_store(call.ctx, call.key).and_then(|(key, value)| Ok((key, value.ok_or(Refusal::NoStore)?)))?,
    };
    let mut job = Job {
        client: std::ptr::null_mut(),
        task,
        db: call.ctx.db(),
        key: OwnStr::new(call.key.bytes()),
        uid: value.uid,
        started: false,
        recounted: None,
        comparison: Comparison::default(),
        repair: Repair::default(),
        place: 0,
        queued: 0,
    };
    drop(key);
    if call.ctx.denies_blocking() {
        let outcome = loop {
            if let Some(outcome) = job.slice(call.ctx) {
                break outcome;
            }
        };
        reply(call.ctx, &outcome);
        return Err(Stop::Replied);
    }
    // SAFETY: the context is a command's, which may block; the callbacks are functions of this module.
    job.client = unsafe { api!(RedisModule_BlockClient(call.ctx.0, Some(on_reply), None, Some(free_outcome), 0)) };
    JOBS.with_borrow_mut(|jobs| jobs.list.push_back(job));
    turn::request();
    Err(Stop::Replied)
}

/// When the next tick has something to do.
pub fn next_tick() -> Option<Boot> {
    JOBS.with_borrow(|jobs| jobs.next)
}

/// Works on the first job for a moment.
pub fn tick(ctx: Ctx) {
    let now = Boot::now();
    let first = |jobs: &mut Jobs| if jobs.next.is_none_or(|next| next <= now) { jobs.list.pop_front() } else { None };
    let Some(mut job) = JOBS.with_borrow_mut(first) else { return };
    let (outcome, pause_ms) = match job.may_go_on(ctx) {
        Ok(true) => (job.work(ctx), PAUSE_MS),
        Ok(false) => (None, turn::CLOSED_MS),
        Err(stop) => (Some(Outcome::Failed(stop)), PAUSE_MS),
    };
    match outcome {
        // SAFETY: the client was blocked by `begin`; the outcome is freed by `free_outcome`, also if it went away.
        Some(outcome) => unsafe {
            api!(RedisModule_UnblockClient(job.client, Box::into_raw(Box::new(outcome)).cast()));
        },
        None => JOBS.with_borrow_mut(|jobs| jobs.list.push_front(job)),
    }
    JOBS.with_borrow_mut(|jobs| jobs.next = (!jobs.list.is_empty()).then(|| Boot::now().plus_ms(pause_ms)));
}

impl Job {
    /// Whether a job that writes may write now: it waits while writes are paused, say. One that is on a replica is told so
    /// by its next slice.
    ///
    /// # Errors
    /// TRYAGAIN where the slot is on its way here or away: who asks again is sent to its owner.
    fn may_go_on(&self, ctx: Ctx) -> Result<bool, Stop> {
        if matches!(self.task, Task::Audit) || !ctx.is_primary() || !ctx.select(self.db) {
            return Ok(true);
        }
        let key = [self.key.get()];
        if ctx.in_cluster() && !gate::serves(ctx, &key) {
            return Err(Stop::Server(TRYAGAIN.into()));
        }
        Ok(gate::may_write(ctx) && gate::may_write_keys(ctx, &key))
    }

    /// Works for a moment; the outcome once it is done.
    fn work(&mut self, ctx: Ctx) -> Option<Outcome> {
        let started = Instant::now();
        loop {
            match self.slice(ctx) {
                None if started.elapsed() < TICK => {}
                outcome => return outcome,
            }
        }
    }

    /// One slice; the outcome once it is done.
    fn slice(&mut self, ctx: Ctx) -> Option<Outcome> {
        ctx.select(self.db);
        let name = self.key.get();
        let key = Key::open(ctx, name, !matches!(self.task, Task::Audit));
        // SAFETY: the job opens one store at a time.
        let value = key.as_ref().and_then(|key| unsafe { key.store() }).filter(|value| value.uid == self.uid);
        let Some(value) = value else {
            return Some(Outcome::Failed(Refusal::NoStore.into()));
        };
        match self.task.clone() {
            Task::Audit if self.recounted.is_some() => self.compare(ctx, name, value),
            Task::Audit => self.audit(ctx, name, value),
            Task::Repair => self.repair(ctx, name, value),
            Task::Redrive { wanted, count } => {
                let (next, ids) = value.store.dead_from(self.place, REDRIVE_SLICE, |reason| wanted(reason));
                let ids: Vec<_> = ids.into_iter().map(OwnStr::new).collect();
                self.place = next;
                drop(key);
                self.redrive(ctx, name, &ids, count)
            }
        }
    }

    /// Queues these dead orders anew, each as a command of its own: what stays dead is in nobody's log.
    fn redrive(&mut self, ctx: Ctx, name: Str, ids: &[OwnStr], count: u64) -> Option<Outcome> {
        if !ctx.is_primary() {
            return Some(Outcome::Failed(Stop::Server(READONLY.into())));
        }
        let rule =
            Rule { streams: &[StreamKind::Orders], leaves: &[StreamKind::Dead], stamped: true, ..Rule::default() };
        for id in ids.iter().map(OwnStr::get) {
            if self.queued == count {
                break;
            }
            let call = Call { ctx, name: c"ORDER.REDRIVE", key: name, rest: &[id], stamp: None };
            match write(&call, rule, |store, now, fx| store.redrive(now, id.bytes(), fx)) {
                Ok(written) => self.queued += u64::from(written.reply),
                Err(stop) => return Some(Outcome::Failed(stop)),
            }
        }
        (self.place == 0 || self.queued == count).then_some(Outcome::Count(self.queued))
    }

    fn audit(&mut self, ctx: Ctx, name: Str, value: &mut StoreValue) -> Option<Outcome> {
        // A store has one recount: another caller's, inside MULTI or Lua, may have taken the place of ours.
        if !std::mem::replace(&mut self.started, true) || !value.store.auditing() {
            value.store.audit_start();
        }
        let recounted = value.store.audit_slice(AUDIT_SLICE)?;
        // The streams beside a key may be another store's.
        if streams_of(ctx, name, value).is_some() {
            return Some(Outcome::Differences(recounted));
        }
        self.recounted = Some(recounted);
        None
    }

    fn compare(&mut self, ctx: Ctx, name: Str, value: &StoreValue) -> Option<Outcome> {
        match self.comparison.slice(ctx, name, &value.store) {
            Ok(differences) => {
                let mut all = self.recounted.take_if(|_| differences.is_some())?;
                all.extend(differences.unwrap_or_default());
                Some(Outcome::Differences(all))
            }
            Err(stop) => Some(Outcome::Failed(stop)),
        }
    }

    fn repair(&mut self, ctx: Ctx, name: Str, value: &mut StoreValue) -> Option<Outcome> {
        if !ctx.is_primary() {
            return Some(Outcome::Failed(Stop::Server(READONLY.into())));
        }
        let now = value.time();
        match self.repair.slice(ctx, name, now, &mut value.store) {
            Ok(done) => done.map(Outcome::Count),
            Err(stop) => Some(Outcome::Failed(stop)),
        }
    }
}

/// What the server says itself to a write on a replica.
const READONLY: &str = "READONLY You can't write against a read only replica.";

extern "C" fn on_reply(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the private data is the outcome that `tick` passed; the server frees it afterwards.
    unsafe {
        let outcome = api!(RedisModule_GetBlockedClientPrivateData(ctx)).cast::<Outcome>();
        reply(Ctx::new(ctx), &*outcome);
    }
    raw::REDISMODULE_OK as c_int
}

extern "C" fn free_outcome(_: *mut raw::RedisModuleCtx, outcome: *mut c_void) {
    // SAFETY: boxed by `tick`, freed once.
    drop(unsafe { Box::from_raw(outcome.cast::<Outcome>()) });
}

fn reply(ctx: Ctx, outcome: &Outcome) {
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
