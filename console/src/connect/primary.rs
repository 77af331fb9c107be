//! The primary that sentinels know, looked for again and again: after a planned failover the old one still answers, for
//! ten seconds and more, and what it is told then is lost.

use std::sync::OnceLock;
use std::time::Duration;

use redis::ConnectionAddr;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::time::sleep;

use super::way::Way;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the sentinels said last, once somebody has asked for it; clones of before ask for themselves.
#[derive(Clone, Default)]
pub struct Primary(OnceLock<Receiver<Option<ConnectionAddr>>>);

impl Primary {
    /// Whether the primary is another one than this. Never of a way without sentinels.
    pub fn is_other(&self, way: &Way, at: &ConnectionAddr) -> bool {
        let Some(known) = self.known(way) else { return false };
        known.borrow().as_ref().is_some_and(|primary| primary != at)
    }

    /// Waits until the primary is another one than this. Waits for ever on a way without sentinels.
    pub async fn until_other(&self, way: &Way, at: &ConnectionAddr) {
        let is_other = |primary: &Option<ConnectionAddr>| primary.as_ref().is_some_and(|primary| primary != at);
        if let Some(known) = self.known(way)
            && known.clone().wait_for(is_other).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    fn known(&self, way: &Way) -> Option<&Receiver<Option<ConnectionAddr>>> {
        way.asks_sentinels().then(|| {
            self.0.get_or_init(|| {
                let (said, known) = channel(None);
                // A thread of its own: who asks may have no runtime.
                let way = way.clone();
                std::thread::spawn(move || look(&way, &said));
                known
            })
        })
    }
}

/// Looks until nobody wants to know any more.
fn look(way: &Way, said: &Sender<Option<ConnectionAddr>>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        while !said.is_closed() {
            // Sentinels that do not answer say nothing new.
            if let Ok(primary) = way.find().await {
                said.send_if_modified(|last| last.replace(primary.clone()).as_ref() != Some(&primary));
            }
            sleep(INTERVAL).await;
        }
    });
}
