//! `/api/events`: what changes, pushed to a page as it happens.
//!
//! Each page has a task of its own that hands events to its connection through a short queue. A page that reads slowly
//! holds up its own task alone; the updates it misses meanwhile are dropped, and everything is sent again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::app::App;
use super::connections::PagePlace;
use crate::watch::known::follow::{Follower, News};
use crate::watch::known::model::Key;

/// From one sign of life to the next.
const BEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Points of the history that a page gets: more than it has columns of pixels to draw them.
const HISTORY_POINTS: usize = 1_200;
/// Events that wait for the connection to take them.
const QUEUE: usize = 8;
/// A page that lets an event wait for longer is behind.
const BEHIND: Duration = Duration::from_secs(1);
/// A page that takes nothing for this long is given up: it connects again if it is still there.
const GIVE_UP: Duration = Duration::from_secs(30);

/// An event as the response takes it.
pub type Sent = Result<Event, Infallible>;

/// The page has gone, or takes nothing any more.
struct Left;

struct Sender {
    app: Arc<App>,
    /// The store it looks at; `None`: all.
    store: Option<Key>,
    follower: Follower,
    events: mpsc::Sender<Sent>,
    /// It reads slowly: what changed meanwhile is not sent step by step.
    is_behind: bool,
}

/// Starts to send events to a page; `place` is given back when it leaves.
pub fn send(app: &Arc<App>, store: Option<Key>, place: PagePlace) -> mpsc::Receiver<Sent> {
    let (events, received) = mpsc::channel(QUEUE);
    let follower = Follower::new(app.known.clone(), store.clone(), Some(HISTORY_POINTS));
    let sender = Sender { app: app.clone(), store, follower, events, is_behind: false };
    tokio::spawn(async move {
        // It ends when the page leaves, and not before.
        let Err(Left) = sender.run().await;
        drop(place);
    });
    received
}

impl Sender {
    async fn run(mut self) -> Result<Infallible, Left> {
        let mut beats = interval(BEAT_INTERVAL);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                news = self.follower.next() => self.tell(news).await?,
                _ = beats.tick() => {
                    let now = self.app.known.model.now_ms();
                    self.send("beat", &json!({ "now": now })).await?;
                }
                () = self.events.closed() => return Err(Left),
            }
            if std::mem::take(&mut self.is_behind) {
                self.follower.start_over();
            }
        }
    }

    async fn tell(&mut self, news: News) -> Result<(), Left> {
        let is_looked_at = |key: &Key| self.store.as_ref().is_none_or(|store| store == key);
        match news {
            News::Everything => {
                self.send_server().await?;
                // However long that took: what changed since is sent step by step, or nothing else would ever be.
                self.is_behind = false;
            }
            News::Lost => self.send_server().await?,
            News::Stores => self.send_stores().await?,
            News::History(_, history) => {
                self.send("history", &history).await?;
                self.is_behind = false;
            }
            News::Detail(detail) => self.send("detail", &*detail).await?,
            News::Sample(key, sample, lines) if is_looked_at(&key) => {
                let event = json!({ "id": key.id(), "at": sample.at_ms(), "metrics": sample, "lines": lines });
                self.send("sample", &event).await?;
            }
            News::Gone(key) if is_looked_at(&key) => self.send("gone", &json!({ "id": key.id() })).await?,
            News::Sample(..) | News::Gone(_) => {}
        }
        Ok(())
    }

    async fn send_server(&mut self) -> Result<(), Left> {
        let (model, writes) = (&self.app.known.model, self.app.writes);
        let event = json!({ "now": model.now_ms(), "server": model.server(), "writes": writes });
        self.send("server", &event).await?;
        self.send_stores().await
    }

    async fn send_stores(&mut self) -> Result<(), Left> {
        let overview = self.app.known.model.overview(self.app.writes, self.store.as_ref());
        self.send("stores", &overview).await
    }

    async fn send(&mut self, name: &str, data: &impl Serialize) -> Result<(), Left> {
        // What is sent are our own structures, and they all become JSON.
        let json = serde_json::to_string(data).map_err(|_| Left)?;
        let event = Event::default().event(name).data(json);
        let began = Instant::now();
        let sent = self.events.send_timeout(Ok(event), GIVE_UP).await;
        self.is_behind |= began.elapsed() > BEHIND;
        sent.map_err(|_| Left)
    }
}
