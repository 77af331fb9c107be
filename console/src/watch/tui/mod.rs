//! `holdfast watch --tui`: what the page shows, in a terminal.
//!
//! A [`Screen`] is all there is to see. [`keys`] and what comes from the server change it; [`draw`] makes pictures of it,
//! some times a second. Whatever has to be asked for is asked in tasks of their own: keys are answered meanwhile.

mod draw;
mod foreign;
mod format;
mod keys;
mod screen;
mod series;
mod shop;
pub mod terminal;
mod theme;
mod words;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::cmd;
use serde_json::Value as Json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::keys::Wish;
use self::screen::{Freshness, Redrive, Screen};
use self::shop::Shop;
use self::theme::Theme;
use super::detail::{Detail, Details};
use super::history::{Histories, History};
use super::id::{bytes_of, pattern_of};
use super::link::{AskError, Link};
use super::model::{Key, Model, Update};
use super::order;

/// From one picture to the next, if no key is pressed: an age in tenths of a second runs smoothly.
const PICTURE_INTERVAL: Duration = Duration::from_millis(100);
/// An order that is looked at is asked for again so often at most.
const ORDER_INTERVAL: Duration = Duration::from_secs(1);
/// The histories of so many stores are asked for, for the small charts of the list; the others begin with what comes.
const HISTORIES_MAX: usize = 24;

/// What came of what was asked.
enum Answer {
    History(Key, Result<History, AskError>),
    Detail(Key, Result<Arc<Detail>, AskError>),
    Order(Vec<u8>, Result<Json, AskError>),
    Redriven(Redrive, Result<i64, AskError>),
}

/// The view: what is on the screen, and who is asked for more.
struct View {
    screen: Screen,
    model: Arc<Model>,
    link: Arc<Link>,
    histories: Arc<Histories>,
    details: Arc<Details>,
    answers: mpsc::UnboundedSender<Answer>,
    /// A detail is being made; something has changed since.
    is_making: bool,
    make_again: bool,
    /// When the order on the screen was asked for, and whether its answer is still to come.
    order_asked: Option<Instant>,
    is_asking_order: bool,
    /// The reader has been somewhere: the only store is not opened for him any more.
    has_chosen: bool,
}

/// Shows the model, which a feed keeps, until the reader leaves. `page` is where the page is served, if it is.
///
/// # Errors
/// When the terminal is lost.
pub async fn show(model: Arc<Model>, link: Arc<Link>, writes: bool, page: Option<String>) -> Result<()> {
    terminal::take()?;
    let mut events = terminal::events()?;
    let mut updates = model.subscribe();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut view = View::new(model, link, writes, answers);
    view.screen.page = page;
    view.look_anew();
    let mut pictures = interval(PICTURE_INTERVAL);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => {
                let event = event.context("the terminal is lost")?.context("reading keys")?;
                if let Some(wish) = keys::take(&mut view.screen, &event) {
                    if wish == Wish::Quit {
                        return Ok(());
                    }
                    view.fulfil(wish);
                }
            }
            update = updates.recv() => {
                match update {
                    Ok(update) => view.take_update(update),
                    Err(RecvError::Lagged(_)) => view.look_anew(),
                    Err(RecvError::Closed) => return Ok(()),
                }
                continue;
            }
            Some(answer) = answered.recv() => view.take_answer(answer),
            _ = pictures.tick() => view.refresh(),
        }
        if !terminal::draw(|frame| draw::draw(frame, &mut view.screen))? {
            // Given back: somebody else ends the program at this moment.
            std::future::pending::<()>().await;
        }
    }
}

impl View {
    fn new(model: Arc<Model>, link: Arc<Link>, writes: bool, answers: mpsc::UnboundedSender<Answer>) -> View {
        View {
            screen: Screen::new(model.server(), writes, Theme::of_env()),
            histories: Arc::new(Histories::new(link.clone())),
            details: Arc::new(Details::new(model.clone(), link.clone())),
            model,
            link,
            answers,
            is_making: false,
            make_again: false,
            order_asked: None,
            is_asking_order: false,
            has_chosen: false,
        }
    }

    /// Asks in a task of its own.
    fn ask(&self, question: impl Future<Output = Answer> + Send + 'static) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            // Nobody waits for it any more: the reader has left.
            let _ = answers.send(question.await);
        });
    }

    /// What the reader wants.
    fn fulfil(&mut self, wish: Wish) {
        self.has_chosen = true;
        match wish {
            Wish::Quit => {}
            Wish::Open(key) => self.open(&key),
            Wish::Close => self.screen.shop = None,
            Wish::LookUp(_) => self.ask_order(),
            Wish::Redrive(redrive) => self.redrive(redrive),
        }
    }

    fn open(&mut self, key: &Key) {
        let mut shop = Shop::new(key);
        shop.take_state(self.model.store(key));
        self.screen.shop = Some(shop);
        self.ask_history(key);
        self.make_detail();
    }

    fn ask_history(&self, key: &Key) {
        let (histories, key) = (self.histories.clone(), key.clone());
        self.ask(async move {
            let history = histories.of(&key, None).await;
            Answer::History(key, history)
        });
    }

    /// Has a detail made that shows what is there now.
    fn make_detail(&mut self) {
        let Some(shop) = &self.screen.shop else { return };
        if self.is_making {
            self.make_again = true;
            return;
        }
        self.is_making = true;
        let (details, key, now) = (self.details.clone(), shop.key.clone(), Instant::now());
        self.ask(async move {
            let detail = details.since(&key, now).await;
            Answer::Detail(key, detail)
        });
    }

    fn ask_order(&mut self) {
        let (Some(shop), Some(id)) = (&self.screen.shop, self.screen.dialogs.iter().rev().find_map(order_of)) else {
            return;
        };
        let (link, key, id) = (self.link.clone(), shop.key.clone(), id.to_vec());
        self.order_asked = Some(Instant::now());
        self.is_asking_order = true;
        self.ask(async move {
            let found = order::get(&link, &key, &id).await;
            Answer::Order(id, found)
        });
    }

    /// Asks for the order on the screen again, unless it has ended or was asked for just now.
    fn follow_order(&mut self) {
        let is_due = self.order_asked.is_none_or(|asked| asked.elapsed() >= ORDER_INTERVAL);
        let is_open = self.screen.order().is_some_and(|look| !matches!(look.state(), "completed" | "cancelled"));
        if is_open && is_due && !self.is_asking_order && self.screen.is_fresh() {
            self.ask_order();
        }
    }

    fn redrive(&mut self, redrive: Redrive) {
        let Some(shop) = &self.screen.shop else { return };
        let (link, key) = (self.link.clone(), shop.key.clone());
        let mut command = cmd("ORDER.REDRIVE");
        command.arg(&*key);
        match &redrive {
            Redrive::Reason(reason, _) => command.arg("ALL").arg("REASON").arg(pattern_of(reason)),
            Redrive::Order(id) => command.arg(id.as_slice()),
        };
        let details = self.details.clone();
        self.screen.notify("Redriving…");
        self.ask(async move {
            let done = order::redrive(&link, command).await;
            details.forget(&key).await;
            Answer::Redriven(redrive, done)
        });
    }

    /// Time goes on.
    fn refresh(&mut self) {
        self.screen.now_ms = self.model.now_ms();
        self.screen.local_now_ms = chrono::Utc::now().timestamp_millis().max(0) as u64;
        self.screen.server = self.model.server();
        self.screen.stores = self.model.stores();
        self.follow_order();
        // The only store is what the reader came for.
        let is_known = self.screen.freshness() != Freshness::Connecting && self.screen.server.connected;
        if let ([only], true, false) = (self.screen.stores.as_slice(), is_known, self.has_chosen) {
            let key = Key::from(bytes_of(&only.id));
            self.has_chosen = true;
            self.open(&key);
        }
    }

    /// Everything may be different.
    fn look_anew(&mut self) {
        self.refresh();
        for key in self.model.keys() {
            self.find(&key);
        }
        if let Some(shop) = &mut self.screen.shop {
            let key = shop.key.clone();
            shop.take_state(self.model.store(&key));
            self.ask_history(&key);
        }
        self.make_detail();
    }

    /// A store is there: its samples are wanted for the list.
    fn find(&mut self, key: &Key) {
        let known = self.screen.series.len();
        if known < HISTORIES_MAX || self.screen.series.contains_key(key) {
            self.ask_history(key);
        }
        self.screen.series.entry(key.clone()).or_default();
    }

    fn take_update(&mut self, update: Update) {
        let shown = self.screen.shop.as_ref().map(|shop| shop.key.clone());
        match update {
            // What came while the connection was lost is in the history.
            Update::Server => self.look_anew(),
            Update::Found(key) => {
                self.find(&key);
                if shown.as_ref() == Some(&key) {
                    self.look_anew();
                }
            }
            Update::Window(key) | Update::Unsampled(key) if shown.as_ref() == Some(&key) => {
                let state = self.model.store(&key);
                self.screen.shop.iter_mut().for_each(|shop| shop.take_state(state.clone()));
                self.make_detail();
            }
            Update::Sample(key, sample) => {
                self.screen.series.entry(key.clone()).or_default().push(&sample);
                if let Some(shop) = self.screen.shop.as_mut().filter(|shop| shop.key == key) {
                    shop.take_sample(&sample);
                    self.make_detail();
                }
            }
            Update::Gone(key) => {
                self.screen.series.remove(&key);
                if let Some(shop) = self.screen.shop.as_mut().filter(|shop| shop.key == key) {
                    *shop = Shop::new(&key);
                    shop.is_gone = true;
                }
            }
            Update::Window(_) | Update::Unsampled(_) => {}
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::History(key, Ok(history)) => {
                if let Some(series) = self.screen.series.get_mut(&key) {
                    series.load(history.samples());
                }
                if let Some(shop) = self.screen.shop.as_mut().filter(|shop| shop.key == key) {
                    shop.series.load(history.samples());
                }
            }
            Answer::Detail(key, made) => self.take_detail(&key, made),
            Answer::Order(id, found) => {
                self.is_asking_order = false;
                match self.screen.order() {
                    // One that was read once is not lost from sight because the server is away.
                    Some(look) if look.id == id && (found.is_ok() || look.state().is_empty()) => {
                        look.found = Some(found);
                    }
                    Some(look) if look.id != id => self.order_asked = None,
                    _ => {}
                }
            }
            Answer::Redriven(redrive, done) => {
                self.screen.notify(told(&redrive, done));
                self.order_asked = None;
                self.make_detail();
            }
            // The store or the server has gone: that is told by itself.
            Answer::History(_, Err(_)) => {}
        }
    }

    fn take_detail(&mut self, key: &Key, made: Result<Arc<Detail>, AskError>) {
        self.is_making = false;
        let is_shown = self.screen.shop.as_ref().is_some_and(|shop| shop.key == *key);
        if let (Some(shop), true, Ok(detail)) = (&mut self.screen.shop, is_shown, made) {
            shop.take_detail(detail);
        }
        if std::mem::take(&mut self.make_again) {
            self.make_detail();
        }
    }
}

fn order_of(dialog: &screen::Dialog) -> Option<&[u8]> {
    match dialog {
        screen::Dialog::Order(look) => Some(&look.id),
        _ => None,
    }
}

/// How a redrive went.
fn told(redrive: &Redrive, done: Result<i64, AskError>) -> String {
    let done = match done {
        Ok(done) => done,
        Err(error) => return format!("Not redriven: {}", foreign::safe(error.text())),
    };
    match redrive {
        Redrive::Order(id) => {
            let name = foreign::safe(&super::id::name_of(id));
            match done {
                0 => format!("Order {name} stayed dead: its stock is gone."),
                _ => format!("Order {name} queued anew."),
            }
        }
        Redrive::Reason(_, expected) => {
            let rest = match expected - done {
                left if left > 0 => {
                    format!(
                        " {} stayed dead: stock gone, or the customer's limit reached.",
                        format::plural(left, "order")
                    )
                }
                _ => String::new(),
            };
            format!("{} queued anew.{rest}", format::plural(done, "order"))
        }
    }
}
