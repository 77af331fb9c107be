//! The loop that works on orders, in threads.

use std::any::Any;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::call::random;
use crate::error::Error;
use crate::link::{Connect, SILENCE, Waiter};
use crate::reply::{ClaimedOrder, Failure};
use crate::{Call, Command, order_claim, order_complete, order_fail, order_renew, order_yield};

/// More of a reason is not sent, bytes; a store keeps 200.
const MOST_REASON: usize = 1_000;
/// The longest wait for a retry that is sent: with the time that it is now, what a command takes at most is 2^53 - 1.
const MOST_MS: u64 = 1 << 52;
/// A round of ORDER.CLAIM waits this long at most, so that a worker that is to stop does so soon.
const BLOCK_MS: u64 = 2_000;
/// A lease is renewed three times while it lasts.
const RENEWALS: u64 = 3;
/// What a connection that broke may take until the server sees that, beyond the time its call waits.
const SETTLING: Duration = Duration::from_secs(1);
/// After the stop, what is in hand is given back within this time, or its lease has to end.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(2);
/// Waits between attempts to reach the server: they double from the first to the longest, half of it random.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a stop that came by a signal is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// An order in the hands of a handler.
#[derive(Clone, Debug)]
pub struct Job {
    /// The order, with its items and data.
    pub order: ClaimedOrder,
    lost: Arc<AtomicBool>,
    /// Its outcome is on the way, and may have ended the lease.
    is_over: Arc<AtomicBool>,
}

impl Job {
    /// Whether its lease is lost: another worker may have it now.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Why a handler failed. Any error becomes one that is retried, by `?`; so does a text.
#[derive(Clone, Debug)]
pub enum Failed {
    /// The order is to be tried again, after so many milliseconds if they are given.
    Retry {
        /// Why.
        reason: String,
        /// Without it, the store's backoff.
        after_ms: Option<u64>,
    },
    /// No attempt will succeed: the order is dead at once.
    Fatal(String),
}

impl Failed {
    fn reason(&self) -> &str {
        let (Failed::Retry { reason, .. } | Failed::Fatal(reason)) = self;
        reason
    }
}

impl<E: Into<Box<dyn StdError>>> From<E> for Failed {
    /// To be tried again; the reason is the error and what caused it.
    fn from(error: E) -> Self {
        let error = error.into();
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(of) = cause {
            reason = format!("{reason}: {of}");
            cause = of.source();
        }
        Failed::Retry { reason, after_ms: None }
    }
}

/// What a handler comes to: a JSON value that is kept with the order, or why it failed.
pub type Outcome = Result<Json, Failed>;

/// Ends a worker gracefully, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Stopper {
    asked: Arc<AtomicBool>,
}

impl Stopper {
    /// Ends it.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Claims orders of a store and hands each to a handler.
///
/// What the handler returns becomes the order's result; an error or a panic is a failed attempt with its text as the
/// reason. While it runs, the lease is renewed. Each handler has a connection of its own, which is made anew, with
/// growing waits, when it breaks; an order that was handed out to a broken connection goes back to the queue at once.
/// The first SIGTERM or SIGINT ends it gracefully (feature `signals`): handlers may finish for some time, then what is
/// left is given back with ORDER.YIELD.
pub struct Worker<C> {
    client: C,
    store: String,
    name: String,
    lanes: Vec<String>,
    lease_ms: u64,
    concurrency: usize,
    block_ms: u64,
    stop_within: Duration,
    silence: Duration,
    stopper: Stopper,
    #[cfg(feature = "signals")]
    hears_signals: bool,
    warn: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<C: Connect + Clone> Worker<C> {
    /// A worker for a store, with a name of its own.
    pub fn new(client: C, store: &str) -> Self {
        Worker {
            client,
            store: store.to_owned(),
            name: format!("worker-{}-{:04x}", std::process::id(), random() as u16),
            lanes: Vec::new(),
            lease_ms: 30_000,
            concurrency: 1,
            block_ms: BLOCK_MS,
            stop_within: Duration::from_secs(25),
            silence: SILENCE,
            stopper: Stopper::default(),
            #[cfg(feature = "signals")]
            hears_signals: true,
            warn: Arc::new(|text| eprintln!("holdfast: {text}")),
        }
    }

    /// Its name, which has to belong to this worker alone. With a concurrency of n they claim as `name`, `name.2` …
    pub fn name(self, name: &str) -> Self {
        Worker { name: name.to_owned(), ..self }
    }

    /// The lanes that it serves, the dearest first; without, all.
    pub fn lanes(self, lanes: &[&str]) -> Self {
        Worker { lanes: lanes.iter().map(|lane| (*lane).to_owned()).collect(), ..self }
    }

    /// How long a lease lasts until it is renewed or lost, at least 1; 30,000 if it is not said.
    pub fn lease_ms(self, lease_ms: u64) -> Self {
        Worker { lease_ms: lease_ms.max(1), ..self }
    }

    /// How many handlers run at a time, each in a thread of its own; at least 1, which it is if it is not said.
    pub fn concurrency(self, concurrency: usize) -> Self {
        Worker { concurrency: concurrency.max(1), ..self }
    }

    /// How long one claim waits on the server, 1 to 2,000, which it is if it is not said: a worker that is to stop lets
    /// it end.
    pub fn block_ms(self, block_ms: u64) -> Self {
        Worker { block_ms: block_ms.clamp(1, BLOCK_MS), ..self }
    }

    /// How long handlers may go on after the stop; 25 seconds if it is not said.
    pub fn stop_within(self, stop_within: Duration) -> Self {
        Worker { stop_within, ..self }
    }

    /// How long a reply may take beyond the time that its call waits.
    pub fn silence(self, silence: Duration) -> Self {
        Worker { silence, ..self }
    }

    /// Where warnings go, and what is to be known of attempts that failed; standard error if it is not said.
    pub fn warn(self, warn: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Worker { warn: Arc::new(warn), ..self }
    }

    /// Leaves SIGTERM and SIGINT to the program, which has the [`stopper`](Self::stopper).
    #[cfg(feature = "signals")]
    pub fn without_signals(self) -> Self {
        Worker { hears_signals: false, ..self }
    }

    /// Ends this worker when it is told to.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Works until it is stopped; an error is one that no attempt would mend.
    pub fn run(self, handler: impl Fn(&Job) -> Outcome + Send + Sync + 'static) -> Result<(), Error> {
        #[cfg(feature = "signals")]
        let _signals = self.hears_signals.then(|| signals::stop(&self.stopper));
        let crew =
            Arc::new(Crew { worker: self, in_hand: Mutex::default(), ended: Mutex::default(), end: Condvar::new() });
        let handler = Arc::new(handler);
        for at in 0..crew.worker.concurrency {
            let (crew, handler) = (Arc::clone(&crew), Arc::clone(&handler));
            thread::spawn(move || crew.work(&crew.name_of(at), &*handler));
        }
        let keeper = Arc::clone(&crew);
        thread::spawn(move || keeper.keep_leases());
        crew.wait_for_the_end();
        crew.give_back();
        let mut ended = locked(&crew.ended);
        ended.drain(..).find_map(Result::err).map_or(Ok(()), Err)
    }
}

/// What SIGTERM and SIGINT do while workers run: the first one stops them, the next one does what it does by itself, as
/// it does when no worker runs any more.
#[cfg(feature = "signals")]
mod signals {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, OnceLock};

    use signal_hook::SigId;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag::{register, register_conditional_default};
    use signal_hook::low_level::unregister;

    use super::{Stopper, locked};

    const SIGNALS: [i32; 2] = [SIGTERM, SIGINT];

    /// How many workers run.
    static RUNNING: Mutex<usize> = Mutex::new(0);

    /// Whether none does. A signal that was handled once has no effect of its own any more: this brings that back.
    fn is_idle() -> &'static AtomicBool {
        static IDLE: OnceLock<Arc<AtomicBool>> = OnceLock::new();
        IDLE.get_or_init(|| {
            let idle = Arc::<AtomicBool>::default();
            for signal in SIGNALS {
                let _ = register_conditional_default(signal, Arc::clone(&idle));
            }
            idle
        })
    }

    /// Stops a worker at a signal, until it is dropped.
    pub struct Stops(Vec<SigId>);

    pub fn stop(stopper: &Stopper) -> Stops {
        let mut running = locked(&RUNNING);
        *running += 1;
        is_idle().store(false, Ordering::Relaxed);
        let asked = || Arc::clone(&stopper.asked);
        let both = |signal| [register_conditional_default(signal, asked()), register(signal, asked())];
        Stops(SIGNALS.into_iter().flat_map(both).flatten().collect())
    }

    impl Drop for Stops {
        fn drop(&mut self) {
            let mut running = locked(&RUNNING);
            *running -= 1;
            for id in self.0.drain(..) {
                unregister(id);
            }
            is_idle().store(*running == 0, Ordering::Relaxed);
        }
    }
}

/// What the threads of a worker share.
struct Crew<C> {
    worker: Worker<C>,
    in_hand: Mutex<Vec<Job>>,
    /// What each thread ended with.
    ended: Mutex<Vec<Result<(), Error>>>,
    end: Condvar,
}

/// A mutex that a handler's panic cannot have poisoned in a harmful way: no change of ours is done by halves.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<C: Connect + Clone> Crew<C> {
    fn name_of(&self, at: usize) -> String {
        if at == 0 { self.worker.name.clone() } else { format!("{}.{}", self.worker.name, at + 1) }
    }

    fn connection(&self) -> Waiter<C> {
        Waiter::new(self.worker.client.clone()).silence(self.worker.silence)
    }

    fn is_stopping(&self) -> bool {
        self.worker.stopper.is_asked()
    }

    fn warn(&self, text: &str) {
        (self.worker.warn)(text);
    }

    /// A thread: one handler at a time.
    fn work(&self, name: &str, handler: &(impl Fn(&Job) -> Outcome + ?Sized)) {
        let ended = self.claim_and_handle(name, handler);
        if ended.is_err() {
            self.worker.stopper.stop();
        }
        locked(&self.ended).push(ended);
        self.end.notify_all();
    }

    fn claim_and_handle(&self, name: &str, handler: &(impl Fn(&Job) -> Outcome + ?Sized)) -> Result<(), Error> {
        let mut connection = self.connection();
        let mut waits = Waits::new();
        let mut doubtful_until = None;
        while !self.is_stopping() {
            match self.claim(&mut connection, name, &mut doubtful_until) {
                Ok(orders) => {
                    waits = Waits::new();
                    if !orders.is_empty() && self.is_stopping() {
                        // They came with the stop, perhaps after it has given back what this worker had.
                        self.give_back_of(&mut connection, name, Instant::now() + GIVEN_BACK_WITHIN);
                        break;
                    }
                    for order in orders {
                        self.handle(&mut connection, order, handler);
                    }
                }
                Err(error) if error.is_passing() || matches!(error, Error::NoStore(_)) => {
                    doubtful_until = Some(Instant::now() + Duration::from_millis(self.worker.block_ms) + SETTLING);
                    self.pause(waits.next(), &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn claim(
        &self,
        connection: &mut Waiter<C>,
        name: &str,
        doubtful_until: &mut Option<Instant>,
    ) -> Result<Vec<ClaimedOrder>, Error> {
        let store = &self.worker.store;
        if let Some(until) = *doubtful_until {
            // Nothing is in hand now: what the server thinks this worker has was lost on the way.
            let now = Instant::now();
            connection.ask(&order_yield(store, name))?;
            if now >= until {
                *doubtful_until = None;
            }
        }
        let lanes: Vec<&str> = self.worker.lanes.iter().map(String::as_str).collect();
        let claim = order_claim(store, name).lease_ms(self.worker.lease_ms).lanes(&lanes);
        connection.round(&claim.block_ms(self.worker.block_ms), self.worker.block_ms)
    }

    fn pause(&self, wait: Duration, error: &Error) {
        self.warn(&format!("{}: {error}; trying again in {} ms", self.worker.store, wait.as_millis()));
        let end = Instant::now() + wait;
        while !self.is_stopping() && Instant::now() < end {
            thread::sleep(LOOK.min(end - Instant::now().min(end)));
        }
    }

    fn handle(&self, connection: &mut Waiter<C>, order: ClaimedOrder, handler: &(impl Fn(&Job) -> Outcome + ?Sized)) {
        let job = Job { order, lost: Arc::default(), is_over: Arc::default() };
        locked(&self.in_hand).push(job.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| handler(&job))).unwrap_or_else(|panic| Err(panicked(&*panic)));
        job.is_over.store(true, Ordering::Relaxed);
        let (store, order, token) = (&self.worker.store, &job.order.order, job.order.token);
        let kept = outcome.and_then(|result| {
            let complete = order_complete(store, order).of_order(&job.order.id).token(token).result(&result);
            self.report(connection, order, &complete).map(drop).map_err(Failed::from)
        });
        if let Err(failed) = kept {
            self.fail(connection, &job.order, failed);
        }
        locked(&self.in_hand).retain(|held| held.order.token != token);
    }

    fn fail(&self, connection: &mut Waiter<C>, order: &ClaimedOrder, failed: Failed) {
        let ClaimedOrder { order: id, token, .. } = order;
        let why = bounded(failed.reason()).to_owned();
        let fail = failure(order_fail(&self.worker.store, id).of_order(&order.id).token(*token), failed);
        match self.report(connection, id, &fail) {
            Ok(Some(Failure { state, attempt, .. })) => {
                self.warn(&format!("order {id} is {state} after attempt {attempt}: {why}"));
            }
            Ok(None) => {}
            Err(refused) => self.warn(&format!("order {id} keeps its lease until that ends: {refused}")),
        }
    }

    /// Sends the outcome until the server has it: the token makes that safe, whoever has the order by then. An error is
    /// one of what the handler gave.
    fn report<K: Command>(
        &self,
        connection: &mut Waiter<C>,
        order: &str,
        call: &Call<K>,
    ) -> Result<Option<K::Reply>, Error> {
        let mut waits = Waits::new();
        loop {
            match connection.ask(call) {
                Ok(reply) => return Ok(Some(reply)),
                Err(error) if error.is_passing() => thread::sleep(waits.next()),
                Err(refused @ Error::BadArgument(_)) => return Err(refused),
                Err(error) => {
                    self.warn(&format!("order {order} was not ours any more: {error}"));
                    return Ok(None);
                }
            }
        }
    }

    /// A thread: renews the leases of all orders in hand.
    fn keep_leases(&self) {
        let mut connection = self.connection();
        let pause = Duration::from_millis((self.worker.lease_ms / RENEWALS).max(1));
        while locked(&self.ended).len() < self.worker.concurrency {
            let in_hand = locked(&self.in_hand).clone();
            for job in in_hand {
                self.renew(&mut connection, &job);
            }
            thread::sleep(pause);
        }
    }

    fn renew(&self, connection: &mut Waiter<C>, job: &Job) {
        let (order, token) = (&job.order.order, job.order.token);
        let renew = order_renew(&self.worker.store, order, token).of_order(&job.order.id);
        match connection.ask(&renew.lease_ms(self.worker.lease_ms)) {
            Ok(_) => {}
            Err(error) if error.is_passing() => self.warn(&format!("cannot renew order {order} yet: {error}")),
            Err(_) if job.is_over.load(Ordering::Relaxed) => {}
            Err(error) => {
                self.warn(&format!("the lease of order {order} is lost: {error}"));
                job.lost.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Waits until it is to stop, then for the threads, as long as they may take.
    fn wait_for_the_end(&self) {
        let mut stop_at = None;
        let mut ended = locked(&self.ended);
        while ended.len() < self.worker.concurrency && stop_at.is_none_or(|at| Instant::now() < at) {
            if self.is_stopping() && stop_at.is_none() {
                stop_at = Some(Instant::now() + self.worker.stop_within);
            }
            ended = self.end.wait_timeout(ended, LOOK).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Gives back what is in hand, and what came after the stop.
    fn give_back(&self) {
        let (mut connection, end) = (self.connection(), Instant::now() + GIVEN_BACK_WITHIN);
        for name in (0..self.worker.concurrency).map(|at| self.name_of(at)) {
            self.give_back_of(&mut connection, &name, end);
        }
    }

    fn give_back_of(&self, connection: &mut Waiter<C>, name: &str, end: Instant) {
        let mut waits = Waits::new();
        loop {
            match connection.ask(&order_yield(&self.worker.store, name)) {
                Ok(_) => return,
                Err(error) if error.is_passing() && Instant::now() < end => thread::sleep(waits.next()),
                Err(error) => {
                    return self
                        .warn(&format!("cannot give back the orders of {name}, their leases will end: {error}"));
                }
            }
        }
    }
}

fn failure(call: Call<crate::OrderFail>, failed: Failed) -> Call<crate::OrderFail> {
    match failed {
        Failed::Retry { reason, after_ms: None } => call.reason(bounded(&reason)),
        Failed::Retry { reason, after_ms: Some(ms) } => call.reason(bounded(&reason)).after_ms(ms.min(MOST_MS)),
        Failed::Fatal(reason) => call.reason(bounded(&reason)).fatal(),
    }
}

fn bounded(reason: &str) -> &str {
    let most = (0..=MOST_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at));
    &reason[..most.unwrap_or(0)]
}

/// What a panic said.
fn panicked(panic: &(dyn Any + Send)) -> Failed {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failed::Retry { reason: format!("the handler panicked: {}", said.unwrap_or("no text")), after_ms: None }
}

/// Waits that double, up to a bound, half of each random.
struct Waits {
    next: Duration,
}

impl Waits {
    fn new() -> Self {
        Waits { next: FIRST_WAIT }
    }

    fn next(&mut self) -> Duration {
        let half = self.next / 2;
        self.next = (self.next * 2).min(LONGEST_WAIT);
        half + Duration::from_nanos(random() % half.as_nanos().max(1) as u64)
    }
}
