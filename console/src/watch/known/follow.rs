//! Whoever looks on follows the server, and perhaps one of its stores: what changed comes step by step, and after a lag
//! or a lost connection everything comes again. The page's events and the terminal view are both made of this.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::ask::AskError;
use super::detail::Detail;
use super::history::History;
use super::model::{Key, Update};
use super::sample::{EntryId, Sample};
use super::series::Frame;
use super::server::Known;

/// From one [`News::Stores`] to the next.
const STORES_INTERVAL: Duration = Duration::from_secs(1);

/// What a follower gets.
#[derive(Debug)]
pub enum News {
    /// Everything may be different; the history and the detail of the store that is followed come next.
    Everything,
    Lost,
    Stores,
    /// The history of the store that is followed, in place of all samples before.
    History(Key, History),
    Detail(Arc<Detail>),
    /// A store wrote a sample, and what that adds to what is drawn of it.
    Sample(Key, Arc<Sample>, Arc<Frame>),
    /// A store is no more, or the store that is followed is not there.
    Gone(Key),
}

type Asked<T> = Option<JoinHandle<Result<T, AskError>>>;

/// Follows a server, and a store if one is chosen.
#[derive(Debug)]
pub struct Follower {
    known: Arc<Known>,
    store: Option<Key>,
    points: Option<usize>,
    updates: broadcast::Receiver<Update>,
    /// It has not begun yet, or begins again.
    begins: bool,
    /// When the next [`News::Stores`] is due, if something changed.
    stores_due: Option<Instant>,
    stores_sent: Option<Instant>,
    /// The newest sample of its store that was sent.
    newest: EntryId,
    history: Asked<History>,
    detail: Asked<Arc<Detail>>,
    /// Something changed since the detail was asked for.
    detail_again: bool,
}

impl Follower {
    /// A follower of the server, and of a store if one is given, that gets everything first. `points`: into how many
    /// points the store's history is thinned.
    pub fn new(known: Arc<Known>, store: Option<Key>, points: Option<usize>) -> Follower {
        Follower {
            updates: known.model.subscribe(),
            known,
            store,
            points,
            begins: true,
            stores_due: None,
            stores_sent: None,
            newest: EntryId::default(),
            history: None,
            detail: None,
            detail_again: false,
        }
    }

    /// Follows another store, or none, from now on.
    pub fn choose(&mut self, store: Option<Key>) {
        self.store = store;
        (self.detail, self.detail_again) = (None, false);
        self.ask_history();
    }

    /// Tells everything again: whoever follows has lost some of it.
    pub fn start_over(&mut self) {
        // Updates from before now are part of what is read from now on.
        self.updates = self.known.model.subscribe();
        self.begins = true;
    }

    /// What is new. May be dropped while it waits, and be called again: nothing is lost.
    pub async fn next(&mut self) -> News {
        loop {
            if std::mem::take(&mut self.begins) {
                self.ask_history();
                (self.stores_due, self.stores_sent) = (None, Some(Instant::now()));
                return News::Everything;
            }
            // Nothing else is sent before the history: samples that come meanwhile follow it.
            if self.history.is_some() {
                let history = finished(&mut self.history).await;
                if let Some(news) = self.take_history(history) {
                    return news;
                }
                continue;
            }
            let news = tokio::select! {
                update = self.updates.recv() => self.take_update(update),
                () = until(self.stores_due) => {
                    (self.stores_due, self.stores_sent) = (None, Some(Instant::now()));
                    Some(News::Stores)
                }
                detail = finished(&mut self.detail) => self.take_detail(detail),
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    /// Asks for a detail that shows what is there now, in a task of its own: news go on meanwhile.
    pub fn ask_detail(&mut self) {
        let Some(key) = self.store.clone() else { return };
        if self.detail.is_some() {
            self.detail_again = true;
            return;
        }
        let (known, now) = (self.known.clone(), Instant::now());
        self.detail = Some(tokio::spawn(async move { known.details.since(&key, now).await }));
    }

    fn ask_history(&mut self) {
        let (known, points) = (self.known.clone(), self.points);
        let asked = |key: Key| tokio::spawn(async move { known.histories.of(&key, points).await });
        self.history = self.store.clone().map(asked);
    }

    fn take_history(&mut self, history: Result<History, AskError>) -> Option<News> {
        let key = self.store.clone()?;
        match history {
            Ok(history) => {
                self.newest = history.samples.last().map_or(EntryId::default(), |newest| newest.id);
                self.ask_detail();
                Some(News::History(key, history))
            }
            Err(AskError::Missing(_)) => Some(News::Gone(key)),
            // The server is away, which is news of its own. When it is back, everything is sent again.
            Err(_) => None,
        }
    }

    fn take_detail(&mut self, detail: Result<Arc<Detail>, AskError>) -> Option<News> {
        if std::mem::take(&mut self.detail_again) {
            self.ask_detail();
        }
        // Without a detail, the store or the server has gone: that is news of its own.
        detail.ok().map(News::Detail)
    }

    fn take_update(&mut self, update: Result<Update, RecvError>) -> Option<News> {
        let update = match update {
            Ok(update) => update,
            Err(_) => {
                self.start_over();
                return None;
            }
        };
        if !matches!(update, Update::Server | Update::Unsampled(_)) && self.stores_due.is_none() {
            let now = Instant::now();
            self.stores_due = Some(self.stores_sent.map_or(now, |sent| now.max(sent + STORES_INTERVAL)));
        }
        match update {
            Update::Server if self.known.model.server().connected => self.start_over(),
            Update::Server => return Some(News::Lost),
            Update::Found(key) if self.is_followed(&key) => self.ask_history(),
            Update::Window(key) | Update::Unsampled(key) if self.is_followed(&key) => self.ask_detail(),
            Update::Sample(key, sample, _) if self.is_followed(&key) && sample.id <= self.newest => {}
            Update::Sample(key, sample, lines) => {
                if self.is_followed(&key) {
                    self.newest = sample.id;
                    self.ask_detail();
                }
                return Some(News::Sample(key, sample, lines));
            }
            Update::Gone(key) => return Some(News::Gone(key)),
            Update::Found(_) | Update::Window(_) | Update::Unsampled(_) => {}
        }
        None
    }

    fn is_followed(&self, key: &Key) -> bool {
        self.store.as_ref() == Some(key)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Waits for an answer, if something was asked.
async fn finished<T>(asked: &mut Asked<T>) -> Result<T, AskError> {
    let Some(task) = asked else { return std::future::pending().await };
    let outcome = task.await;
    *asked = None;
    outcome.unwrap_or_else(|error| Err(AskError::Away(error.to_string())))
}
