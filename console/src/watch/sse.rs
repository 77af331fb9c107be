//! `/api/events`: what changes, pushed to a page as it happens.
//!
//! Each page has a task of its own that hands events to its connection through a short queue. A page that reads slowly
//! holds up its own task alone; the updates it misses meanwhile are dropped, and it gets everything anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::connections::PagePlace;
use super::detail::Detail;
use super::http::App;
use super::id::id_of;
use super::link::AskError;
use super::model::{Key, ServerState, Update};
use super::sample::{EntryId, Sample};

/// From one sign of life to the next.
const BEAT_INTERVAL: Duration = Duration::from_secs(2);
/// From one `stores` to the next.
const STORES_INTERVAL: Duration = Duration::from_secs(1);
/// Samples of the history that a page gets: more than it has columns of pixels to draw them.
const HISTORY_POINTS: usize = 1_200;
/// Events that wait for the connection to take them.
const QUEUE: usize = 8;
/// A page that lets an event wait for so long is behind.
const BEHIND: Duration = Duration::from_secs(1);
/// A page that takes nothing for so long is given up: it connects anew if it is still there.
const GIVE_UP: Duration = Duration::from_secs(30);

/// An event as the response takes it.
pub type Sent = Result<Event, Infallible>;

/// The page has gone, or takes nothing any more.
struct Left;

/// What one page is told.
struct Teller {
    app: Arc<App>,
    /// The store it looks at; `None`: all.
    store: Option<Key>,
    events: mpsc::Sender<Sent>,
    updates: broadcast::Receiver<Update>,
    /// When the next `stores` is due, if something changed.
    stores_due: Option<Instant>,
    stores_sent: Option<Instant>,
    /// It reads slowly: what changed meanwhile is not told step by step.
    is_behind: bool,
    /// The newest sample of its store that was sent.
    newest: EntryId,
    /// The detail that is being made.
    making: Option<JoinHandle<Result<Arc<Detail>, AskError>>>,
    /// Something changed since that was begun.
    make_again: bool,
}

/// Starts to tell a page what happens; `place` is given back when it leaves.
pub fn tell(app: &Arc<App>, store: Option<Key>, place: PagePlace) -> mpsc::Receiver<Sent> {
    let (events, received) = mpsc::channel(QUEUE);
    let teller = Teller {
        // Before anything is read: nothing falls between what is read and what is told.
        updates: app.model.subscribe(),
        app: app.clone(),
        store,
        events,
        stores_due: None,
        stores_sent: None,
        is_behind: false,
        newest: EntryId::default(),
        making: None,
        make_again: false,
    };
    tokio::spawn(async move {
        // It ends when the page leaves, and not before.
        let Err(Left) = teller.run().await;
        drop(place);
    });
    received
}

#[derive(Serialize)]
struct ServerEvent {
    now: u64,
    server: ServerState,
    writes: bool,
}

#[derive(Serialize)]
struct SampleEvent<'a> {
    id: String,
    at: u64,
    metrics: &'a Sample,
}

#[derive(Serialize)]
struct GoneEvent {
    id: String,
}

#[derive(Serialize)]
struct BeatEvent {
    now: u64,
}

fn beats() -> Interval {
    let mut beats = interval(BEAT_INTERVAL);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

impl Teller {
    async fn run(mut self) -> Result<Infallible, Left> {
        let mut beats = beats();
        self.tell_everything().await?;
        loop {
            tokio::select! {
                update = self.updates.recv() => match update {
                    Ok(update) => self.tell_update(update).await?,
                    Err(RecvError::Lagged(_)) => self.tell_everything().await?,
                    Err(RecvError::Closed) => return Err(Left),
                },
                () = until(self.stores_due) => self.tell_stores().await?,
                detail = made(&mut self.making) => self.tell_detail(detail).await?,
                _ = beats.tick() => {
                    let now = self.app.model.now_ms();
                    self.send("beat", &BeatEvent { now }).await?;
                }
                () = self.events.closed() => return Err(Left),
            }
            if self.is_behind {
                self.tell_everything().await?;
            }
        }
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

    async fn tell_everything(&mut self) -> Result<(), Left> {
        // Updates from before now are part of what is read now.
        self.updates = self.app.model.subscribe();
        self.tell_server().await?;
        self.tell_stores().await?;
        self.tell_store().await?;
        // However long that took: what changed since is told step by step, or nothing else would ever be.
        self.is_behind = false;
        Ok(())
    }

    async fn tell_server(&mut self) -> Result<(), Left> {
        let model = &self.app.model;
        let event = ServerEvent { now: model.now_ms(), server: model.server(), writes: self.app.writes };
        self.send("server", &event).await
    }

    async fn tell_stores(&mut self) -> Result<(), Left> {
        (self.stores_due, self.stores_sent) = (None, Some(Instant::now()));
        let overview = self.app.model.overview(self.app.writes);
        self.send("stores", &overview).await
    }

    /// History and detail of the store it looks at.
    async fn tell_store(&mut self) -> Result<(), Left> {
        let Some(key) = self.store.clone() else { return Ok(()) };
        match self.app.histories.of(&key, Some(HISTORY_POINTS)).await {
            Ok(history) => {
                self.newest = history.samples().last().map_or(EntryId::default(), |newest| newest.id);
                self.send("history", &history).await?;
            }
            Err(AskError::Missing(_)) => return self.send("gone", &GoneEvent { id: id_of(&key) }).await,
            // The server is away, which has been told. When it is back, everything is told.
            Err(_) => return Ok(()),
        }
        self.make_detail();
        Ok(())
    }

    async fn tell_update(&mut self, update: Update) -> Result<(), Left> {
        if !matches!(update, Update::Server | Update::Unsampled(_)) && self.stores_due.is_none() {
            let now = Instant::now();
            self.stores_due = Some(self.stores_sent.map_or(now, |sent| now.max(sent + STORES_INTERVAL)));
        }
        let is_shown = |key: &Key| self.store.as_ref() == Some(key);
        match update {
            Update::Server if self.app.model.server().connected => self.tell_everything().await,
            Update::Server => {
                self.tell_server().await?;
                self.tell_stores().await
            }
            Update::Found(key) if is_shown(&key) => self.tell_store().await,
            Update::Window(key) | Update::Unsampled(key) if is_shown(&key) => {
                self.make_detail();
                Ok(())
            }
            Update::Sample(key, sample) => self.tell_sample(&key, &sample).await,
            Update::Gone(key) if self.store.is_none() || is_shown(&key) => {
                self.send("gone", &GoneEvent { id: id_of(&key) }).await
            }
            Update::Found(_) | Update::Window(_) | Update::Unsampled(_) | Update::Gone(_) => Ok(()),
        }
    }

    async fn tell_sample(&mut self, key: &Key, sample: &Sample) -> Result<(), Left> {
        if let Some(store) = &self.store {
            // The history had it already.
            if store != key || sample.id <= self.newest {
                return Ok(());
            }
            self.newest = sample.id;
            self.make_detail();
        }
        self.send("sample", &SampleEvent { id: id_of(key), at: sample.at_ms(), metrics: sample }).await
    }

    /// Has a detail made that shows what is there now, in a task of its own: events go on meanwhile.
    fn make_detail(&mut self) {
        let Some(key) = self.store.clone() else { return };
        if self.making.is_some() {
            self.make_again = true;
            return;
        }
        let (app, now) = (self.app.clone(), Instant::now());
        self.making = Some(tokio::spawn(async move { app.details.since(&key, now).await }));
    }

    async fn tell_detail(&mut self, made: Result<Arc<Detail>, AskError>) -> Result<(), Left> {
        if std::mem::take(&mut self.make_again) {
            self.make_detail();
        }
        match made {
            Ok(detail) => self.send("detail", &*detail).await,
            // The store or the server has gone: that is told by itself.
            Err(_) => Ok(()),
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Waits for the detail that is being made, if one is.
async fn made(making: &mut Option<JoinHandle<Result<Arc<Detail>, AskError>>>) -> Result<Arc<Detail>, AskError> {
    let Some(task) = making else { return std::future::pending().await };
    let outcome = task.await;
    *making = None;
    outcome.unwrap_or_else(|error| Err(AskError::Away(error.to_string())))
}
