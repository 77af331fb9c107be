//! Clients under load: each connection sends a pipeline of orders, waits for all replies, and sends the next.
//!
//! Few threads serve many connections, so that the client takes as little as possible of the machine it shares with
//! the server.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::runtime::{Builder, Runtime};

use crate::bench::probe::histogram;
use crate::bench::suite::terms::Shape;

/// More threads than this are not needed to keep a server of one thread busy.
const MOST_THREADS: usize = 4;

/// A load that has not ended so long after its time never does: the server hangs.
const REPLY_DEADLINE: Duration = Duration::from_secs(30);

/// One connection.
pub trait Session {
    /// Sends the orders with these numbers and waits for all replies. Fails when one is not what it should be.
    fn exchange(&mut self, numbers: Range<u64>) -> impl Future<Output = Result<()>>;
}

/// How connections are made.
pub trait Connect: Sync {
    type Session: Session;

    /// Makes connection number `at`. Fails when nobody answers.
    fn connect(&self, at: usize) -> impl Future<Output = Result<Self::Session>>;
}

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub shape: Shape,
    /// Under load before it counts.
    pub warm: Duration,
    pub time: Duration,
    /// The number of the first order.
    pub first: u64,
    /// The load ends early after this many orders.
    pub most_orders: u64,
}

/// What the clients did.
#[derive(Debug)]
pub struct Driven<M> {
    /// Orders that count, and the time they took.
    pub orders: u64,
    pub seconds: f64,
    pub latency_us: Histogram<u64>,
    /// The number that the next order has: those while warming up are used too.
    pub next: u64,
    /// What `mark` gave when the load began to count, and at its end.
    pub marks: [M; 2],
}

/// Runs a load. `mark` is called while all connections are open and none is used. Fails as the sessions do.
pub fn drive<C: Connect, M>(connect: &C, load: Load, mark: impl Fn() -> Result<M>) -> Result<Driven<M>> {
    let connections = load.shape.connections as usize;
    let threads = client_threads().min(connections);
    let shared = Shared {
        load,
        next: AtomicU64::new(load.first),
        barrier: Barrier::new(threads + 1),
        done: Mutex::new(Done { orders: 0, seconds: 0.0, latency_us: histogram() }),
    };
    let (marks, outcomes) = std::thread::scope(|scope| {
        let shared = &shared;
        let clients: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || shared.client(connect, (thread..connections).step_by(threads).collect())))
            .collect();
        let marks = [shared.pause(&mark), shared.pause(&mark)];
        let join = |client: ScopedJoinHandle<'_, _>| client.join().expect("a client that panics ends the program");
        (marks, clients.into_iter().map(join).collect::<Result<Vec<()>>>())
    });
    outcomes?;
    let [before, after] = marks;
    let Done { orders, seconds, latency_us } = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let next = shared.next.into_inner().min(load.first + load.most_orders);
    Ok(Driven { orders, seconds, latency_us, next, marks: [before?, after?] })
}

/// All cores but one, which is the server's.
fn client_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).clamp(1, MOST_THREADS)
}

struct Shared {
    load: Load,
    next: AtomicU64,
    barrier: Barrier,
    done: Mutex<Done>,
}

struct Done {
    orders: u64,
    /// Of the slowest thread.
    seconds: f64,
    latency_us: Histogram<u64>,
}

impl Shared {
    /// Waits until no client does anything, marks, and lets them go on.
    fn pause<M>(&self, mark: impl Fn() -> Result<M>) -> Result<M> {
        self.barrier.wait();
        let marked = mark();
        self.barrier.wait();
        marked
    }

    /// A thread with these connections. It comes to every pause even if it fails: others wait for it there.
    fn client<C: Connect>(&self, connect: &C, connections: Vec<usize>) -> Result<()> {
        let ready = self.ready(connect, connections);
        self.barrier.wait();
        self.barrier.wait();
        let outcome = ready.and_then(|(runtime, mut sessions)| {
            let done = runtime.block_on(self.run(&mut sessions, self.load.time));
            Ok((runtime, sessions, done?))
        });
        self.barrier.wait();
        self.barrier.wait();
        let (_runtime, _sessions, done) = outcome?;
        let mut all = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        all.orders += done.orders;
        all.seconds = all.seconds.max(done.seconds);
        all.latency_us.add(done.latency_us).context("adding latencies")
    }

    /// Connects and warms up.
    fn ready<C: Connect>(&self, connect: &C, connections: Vec<usize>) -> Result<(Runtime, Vec<C::Session>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sessions = runtime.block_on(async {
            let mut sessions = Vec::new();
            for at in connections {
                sessions.push(connect.connect(at).await.context("connecting")?);
            }
            self.run(&mut sessions, self.load.warm).await?;
            anyhow::Ok(sessions)
        })?;
        Ok((runtime, sessions))
    }

    async fn run<S: Session>(&self, sessions: &mut [S], time: Duration) -> Result<Done> {
        let done = RefCell::new(Done { orders: 0, seconds: 0.0, latency_us: histogram() });
        let start = Instant::now();
        let all = try_join_all(sessions.iter_mut().map(|session| self.send(session, start + time, &done)));
        tokio::time::timeout(time + REPLY_DEADLINE, all).await.context("a reply does not come")??;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Done { seconds, ..done.into_inner() })
    }

    async fn send<S: Session>(&self, session: &mut S, deadline: Instant, done: &RefCell<Done>) -> Result<()> {
        loop {
            let sent = Instant::now();
            let Some(numbers) = (sent < deadline).then(|| self.take()).flatten() else { return Ok(()) };
            let count = numbers.end - numbers.start;
            session.exchange(numbers).await?;
            let us = u64::try_from(sent.elapsed().as_micros())?;
            let mut done = done.borrow_mut();
            done.orders += count;
            done.latency_us.saturating_record_n(us, count);
        }
    }

    /// The numbers of the next pipeline; none when there were enough.
    fn take(&self) -> Option<Range<u64>> {
        let end = self.load.first + self.load.most_orders;
        let first = self.next.fetch_add(u64::from(self.load.shape.pipeline), Ordering::Relaxed);
        (first < end).then(|| first..end.min(first + u64::from(self.load.shape.pipeline)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Replies at once, and counts the orders that it got.
    #[derive(Clone)]
    pub struct Counter(Arc<AtomicU64>);

    impl Session for Counter {
        async fn exchange(&mut self, numbers: Range<u64>) -> Result<()> {
            self.0.fetch_add(numbers.end - numbers.start, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    impl Connect for Counter {
        type Session = Counter;

        async fn connect(&self, _: usize) -> Result<Counter> {
            Ok(self.clone())
        }
    }

    pub struct Nobody;

    impl Connect for Nobody {
        type Session = Counter;

        async fn connect(&self, _: usize) -> Result<Counter> {
            anyhow::bail!("nobody answers")
        }
    }

    const LOAD: Load = Load {
        shape: Shape::new(3, 4),
        warm: Duration::ZERO,
        time: Duration::from_secs(20),
        first: 100,
        most_orders: 1_002,
    };

    #[test]
    fn sends_each_number_once_and_no_more_than_it_should() {
        let sent = Counter(Arc::default());
        let driven = drive(&sent, LOAD, || Ok(sent.0.load(Ordering::Relaxed))).expect("driven");
        assert_eq!((driven.orders, driven.next, driven.latency_us.len()), (1_002, 1_102, 1_002));
        assert_eq!(driven.marks, [0, 1_002]);
    }

    #[test]
    fn a_connection_that_fails_ends_the_load() {
        let error = drive(&Nobody, LOAD, || Ok(())).expect_err("no connection");
        assert!(format!("{error:#}").contains("nobody answers"));
    }
}
