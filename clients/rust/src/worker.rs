//! The loop that works on orders, in threads.

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
use crate::reply::ClaimedOrder;
use crate::{Call, Command, order_claim, order_complete, order_fail, order_renew, order_yield};

/// A round of ORDER.CLAIM waits this long, so that a worker that is to stop does so soon.
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
}

impl Job {
    /// Whether its lease is lost: another worker may have it now.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Why a handler failed. Any error becomes one that is retried, by `?`.
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

impl<E: StdError> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed::Retry { reason: error.to_string(), after_ms: None }
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
/// SIGTERM and SIGINT end it gracefully (feature `signals`): handlers may finish for some time, then what is left is
/// given back with ORDER.YIELD.
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
    warn: fn(&str),
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
            warn: |text| eprintln!("holdfast: {text}"),
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

    /// How long a lease lasts until it is renewed or lost.
    pub fn lease_ms(self, lease_ms: u64) -> Self {
        Worker { lease_ms, ..self }
    }

    /// How many handlers run at a time, each in a thread of its own.
    pub fn concurrency(self, concurrency: usize) -> Self {
        Worker { concurrency, ..self }
    }

    /// How long a round of ORDER.CLAIM waits.
    pub fn block_ms(self, block_ms: u64) -> Self {
        Worker { block_ms, ..self }
    }

    /// How long handlers may go on after the stop.
    pub fn stop_within(self, stop_within: Duration) -> Self {
        Worker { stop_within, ..self }
    }

    /// How long a reply may take beyond the time that its call waits.
    pub fn silence(self, silence: Duration) -> Self {
        Worker { silence, ..self }
    }

    /// Where warnings go; standard error if it is not said.
    pub fn warn(self, warn: fn(&str)) -> Self {
        Worker { warn, ..self }
    }

    /// Ends this worker when it is told to.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Works until it is stopped; an error is one that no attempt would mend.
    pub fn run(self, handler: impl Fn(&Job) -> Outcome + Send + Sync + 'static) -> Result<(), Error> {
        #[cfg(feature = "signals")]
        let signals = stopped_by_signals(&self.stopper);
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
        #[cfg(feature = "signals")]
        signals.into_iter().for_each(|id| {
            signal_hook::low_level::unregister(id);
        });
        let mut ended = locked(&crew.ended);
        ended.drain(..).find_map(Result::err).map_or(Ok(()), Err)
    }
}

#[cfg(feature = "signals")]
fn stopped_by_signals(stopper: &Stopper) -> Vec<signal_hook::SigId> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let register = |signal| signal_hook::flag::register(signal, Arc::clone(&stopper.asked)).ok();
    [SIGTERM, SIGINT].into_iter().filter_map(register).collect()
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
                    for order in orders.into_iter().filter(|_| !self.is_stopping()) {
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
        self.warn(&format!("{error}; trying again in {} ms", wait.as_millis()));
        let end = Instant::now() + wait;
        while !self.is_stopping() && Instant::now() < end {
            thread::sleep(LOOK.min(end - Instant::now().min(end)));
        }
    }

    fn handle(&self, connection: &mut Waiter<C>, order: ClaimedOrder, handler: &(impl Fn(&Job) -> Outcome + ?Sized)) {
        let job = Job { order, lost: Arc::default() };
        locked(&self.in_hand).push(job.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| handler(&job)))
            .unwrap_or_else(|_| Err(Failed::Retry { reason: "the handler panicked".to_owned(), after_ms: None }));
        let (store, order, token) = (&self.worker.store, &job.order.order, job.order.token);
        match outcome {
            Ok(result) => self.report(connection, order, &order_complete(store, order).token(token).result(&result)),
            Err(failed) => self.report(connection, order, &failure(order_fail(store, order).token(token), failed)),
        }
        locked(&self.in_hand).retain(|held| held.order.token != token);
    }

    /// Sends the outcome until the server has it: the token makes that safe, whoever has the order by then.
    fn report<K: Command>(&self, connection: &mut Waiter<C>, order: &str, call: &Call<K>) {
        let mut waits = Waits::new();
        loop {
            match connection.ask(call) {
                Ok(_) => return,
                Err(error) if error.is_passing() => thread::sleep(waits.next()),
                Err(error) => return self.warn(&format!("order {order} was not ours any more: {error}")),
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
        match connection.ask(&order_renew(&self.worker.store, order, token).lease_ms(self.worker.lease_ms)) {
            Ok(_) => {}
            Err(error) if error.is_passing() => self.warn(&format!("cannot renew order {order} yet: {error}")),
            // It may have been completed meanwhile.
            Err(error) => {
                if locked(&self.in_hand).iter().any(|held| held.order.token == token) {
                    self.warn(&format!("the lease of order {order} is lost: {error}"));
                    job.lost.store(true, Ordering::Relaxed);
                }
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
        Failed::Retry { reason, after_ms: None } => call.reason(&reason),
        Failed::Retry { reason, after_ms: Some(ms) } => call.reason(&reason).after_ms(ms),
        Failed::Fatal(reason) => call.reason(&reason).fatal(),
    }
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
