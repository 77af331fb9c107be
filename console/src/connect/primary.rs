//! The primary that sentinels know, or that has a store in a cluster, looked for again and again: after a planned
//! failover the old one still answers, for ten seconds and more, and what it is told then is lost.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use redis::{ConnectionAddr, RedisError};
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::sleep;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was found last. Clones share it.
#[derive(Clone, Default)]
pub struct Primary(Arc<Shared>);

#[derive(Default)]
struct Shared {
    last: Sender<Option<ConnectionAddr>>,
    looks: OnceLock<()>,
}

impl Primary {
    /// It was found.
    pub fn set(&self, primary: &ConnectionAddr) {
        self.0.last.send_if_modified(|last| last.replace(primary.clone()).as_ref() != Some(primary));
    }

    /// Where it was found last.
    pub fn last(&self) -> Option<ConnectionAddr> {
        self.0.last.borrow().clone()
    }

    /// Looks by `find` from now on, if nobody has wanted to know before. `find` has no clone of this value.
    pub fn known<F>(&self, find: impl FnOnce() -> F) -> Receiver<Option<ConnectionAddr>>
    where
        F: AsyncFn() -> Result<ConnectionAddr, RedisError> + Send + 'static,
    {
        self.0.looks.get_or_init(|| {
            let (shared, find) = (Arc::downgrade(&self.0), find());
            // A thread of its own: who wants to know may have no runtime.
            std::thread::spawn(move || look(&find, &shared));
        });
        self.0.last.subscribe()
    }
}

/// Looks until nobody wants to know any more.
fn look(find: &impl AsyncFn() -> Result<ConnectionAddr, RedisError>, shared: &Weak<Shared>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        loop {
            // Sentinels that do not answer say nothing new.
            let found = find().await;
            let Some(primary) = shared.upgrade().map(Primary) else { return };
            found.iter().for_each(|found| primary.set(found));
            drop(primary);
            sleep(INTERVAL).await;
        }
    });
}

/// Whether another server than this was found.
pub fn is_other(at: &ConnectionAddr, found: &Option<ConnectionAddr>) -> bool {
    found.as_ref().is_some_and(|found| found != at)
}
