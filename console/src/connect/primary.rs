//! The primary that sentinels know, looked for again and again: after a planned failover the old one still answers, for
//! ten seconds and more, and what it is told then is lost.

use std::sync::OnceLock;
use std::time::Duration;

use redis::{ConnectionAddr, RedisError};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::time::sleep;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was found last, once somebody wants to know; a clone of before looks by itself.
#[derive(Clone, Default)]
pub struct Primary(OnceLock<Receiver<Option<ConnectionAddr>>>);

impl Primary {
    /// Looks by `find` from now on, if nobody has wanted to know before.
    pub fn known<F>(&self, find: impl FnOnce() -> F) -> &Receiver<Option<ConnectionAddr>>
    where
        F: AsyncFn() -> Result<ConnectionAddr, RedisError> + Send + 'static,
    {
        self.0.get_or_init(|| {
            let ((said, known), find) = (channel(None), find());
            // A thread of its own: who wants to know may have no runtime.
            std::thread::spawn(move || look(&find, &said));
            known
        })
    }
}

/// Looks until nobody wants to know any more.
fn look(find: &impl AsyncFn() -> Result<ConnectionAddr, RedisError>, said: &Sender<Option<ConnectionAddr>>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        while !said.is_closed() {
            // Sentinels that do not answer say nothing new.
            if let Ok(primary) = find().await {
                said.send_if_modified(|last| last.replace(primary.clone()).as_ref() != Some(&primary));
            }
            sleep(INTERVAL).await;
        }
    });
}
