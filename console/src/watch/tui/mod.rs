//! `holdfast watch --tui`: what the page shows, in a terminal.
//!
//! A [`Screen`] is everything that is shown. Keys and what comes from the server change it; [`draw`] makes pictures of
//! it, ten times a second. Whatever has to be asked for is asked in a task of its own: keys are answered meanwhile.

mod draw;
mod foreign;
mod format;
mod keys;
mod look_up;
mod screen;
mod shop;
pub mod terminal;
mod theme;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::keys::Wish;
use self::look_up::{Found, Wanted};
use self::screen::{Dialog, Freshness, OrderLook, Redrive, Screen};
use self::shop::Shop;
use self::theme::Theme;
use super::known::ask::AskError;
use super::known::follow::{Follower, News};
use super::known::history::History;
use super::known::id::name_of;
use super::known::model::Key;
use super::known::series::Series;
use super::known::server::Known;
use super::known::{order, words};

/// From one picture to the next, if no key is pressed: an age in tenths of a second runs smoothly.
const PICTURE_INTERVAL: Duration = Duration::from_millis(100);
/// At least this long from one question for the order on the screen to the next.
const ORDER_INTERVAL: Duration = Duration::from_secs(1);
/// How many histories are asked for, for the small charts of the list; other stores begin with the next sample.
const HISTORIES_MAX: usize = 24;

/// What came of what was asked.
enum Answer {
    History(Key, Result<History, AskError>),
    Order(Vec<u8>, Result<Json, AskError>),
    Found(Wanted, Result<Box<Found>, AskError>),
    Redriven(Redrive, Result<i64, AskError>),
}

/// The view: what is on the screen, and who is asked for more.
struct View {
    screen: Screen,
    known: Arc<Known>,
    follower: Follower,
    answers: mpsc::UnboundedSender<Answer>,
    /// When the order on the screen was asked for, and whether its answer is still to come.
    order_asked: Option<Instant>,
    is_asking_order: bool,
    /// The reader has been somewhere: the only store is not opened by itself any more.
    has_chosen: bool,
}

/// Shows what a feed keeps, until the reader leaves. `page` is where the page is served, if it is. Fails when the
/// terminal is lost.
pub async fn show(known: Arc<Known>, writes: bool, page: Option<String>) -> Result<()> {
    terminal::take()?;
    let mut events = terminal::events()?;
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut screen = Screen::new(known.model.server(), writes, Theme::of_env());
    screen.page = page;
    let mut view = View {
        screen,
        follower: Follower::new(known.clone(), None, None),
        known,
        answers,
        order_asked: None,
        is_asking_order: false,
        has_chosen: false,
    };
    let mut pictures = interval(PICTURE_INTERVAL);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => {
                let event = event.context("the terminal is lost")?.context("reading keys")?;
                match keys::take(&mut view.screen, &event) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(wish) => view.fulfil(wish),
                    None => {}
                }
            }
            news = view.follower.next() => {
                view.take_news(news);
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
    /// Asks in a task of its own.
    fn ask<T: Future<Output = Answer> + Send + 'static>(&self, question: impl FnOnce(Arc<Known>) -> T) {
        let (answers, question) = (self.answers.clone(), question(self.known.clone()));
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
            Wish::Close => {
                self.screen.shop = None;
                self.follower.choose(None);
            }
            Wish::LookUp(_) => self.ask_order(),
            Wish::LookFor(wanted) => self.look_for(wanted),
            Wish::Redrive(redrive) => self.redrive(redrive),
        }
    }

    fn open(&mut self, key: &Key) {
        self.screen.shop = Some(Shop::new(key));
        self.take_state();
        self.follower.choose(Some(key.clone()));
    }

    /// What the model knows of the store that is looked at.
    fn take_state(&mut self) {
        if let Some(shop) = &mut self.screen.shop {
            shop.take_state(self.known.model.store(&shop.key));
        }
    }

    fn look_for(&mut self, wanted: Wanted) {
        let Some(shop) = &self.screen.shop else { return };
        let key = shop.key.clone();
        self.ask(|known| async move {
            let found = look_up::look_for(&known.link, &key, &wanted).await;
            Answer::Found(wanted, found)
        });
    }

    /// Shows what was found, if it is still wanted; an order as an order.
    fn take_found(&mut self, wanted: &Wanted, found: Result<Box<Found>, AskError>) {
        let is_wanted = |dialog: &Dialog| match dialog {
            Dialog::Records(records) => records.wanted == *wanted && records.found.is_none(),
            _ => false,
        };
        let Some(place) = self.screen.dialogs.iter().rposition(is_wanted) else { return };
        let order = found.as_ref().is_ok_and(|found| found.is_order);
        let is_alone = found.as_ref().is_ok_and(|found| found.is_order_alone());
        if let Dialog::Records(records) = &mut self.screen.dialogs[place] {
            records.found = Some(found);
        }
        if let (Wanted::Id(id), true) = (wanted, order) {
            let replaced = if is_alone { place..place + 1 } else { place + 1..place + 1 };
            self.screen.dialogs.splice(replaced, [Dialog::Order(OrderLook::new(id.clone()))]);
            self.ask_order();
        }
    }

    fn ask_order(&mut self) {
        let id = self.screen.order().map(|look| look.id.clone());
        let (Some(shop), Some(id)) = (&self.screen.shop, id) else { return };
        let key = shop.key.clone();
        self.order_asked = Some(Instant::now());
        self.is_asking_order = true;
        self.ask(|known| async move {
            let found = order::get(&known.link, &key, &id).await;
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
        let key = shop.key.clone();
        let command = match &redrive {
            Redrive::Reason(reason, _) => order::redrive_reason(&key, Some(reason), None),
            Redrive::Order(id) => order::redrive_order(&key, id),
        };
        self.screen.notify("Redriving…");
        self.ask(|known| async move {
            let done = order::redrive(&known.link, &key, command).await;
            known.details.forget(&key).await;
            Answer::Redriven(redrive, done)
        });
    }

    /// Time goes on.
    fn refresh(&mut self) {
        let (screen, model) = (&mut self.screen, &self.known.model);
        screen.now_ms = model.now_ms();
        screen.local_now_ms = chrono::Utc::now().timestamp_millis().max(0) as u64;
        screen.server = model.server();
        screen.stores = model.stores();
        model.keys().into_iter().for_each(|key| self.find(key));
        self.follow_order();
        // The only store is what the reader came for.
        let is_known = self.screen.freshness() != Freshness::Connecting && self.screen.server.connected;
        if let ([only], true, false) = (self.screen.stores.as_slice(), is_known, self.has_chosen) {
            let key = Key::of_id(&only.id);
            self.has_chosen = true;
            self.open(&key);
        }
    }

    /// A store is there: its samples are wanted for the list.
    fn find(&mut self, key: Key) {
        let known = self.screen.series.len();
        if self.screen.series.contains_key(&key) {
            return;
        }
        self.screen.series.insert(key.clone(), Series::default());
        if known < HISTORIES_MAX {
            self.ask(|known| async move {
                let history = known.histories.of(&key, None).await;
                Answer::History(key, history)
            });
        }
    }

    fn take_news(&mut self, news: News) {
        match news {
            // What came while the connection was lost is in the histories.
            News::Everything => {
                self.screen.series.clear();
                self.refresh();
                self.take_state();
            }
            News::Lost => {}
            News::Stores => {
                if let Some(shop) = &mut self.screen.shop {
                    shop.window = self.known.model.store(&shop.key).map_or(shop.window, |store| store.window);
                }
            }
            News::History(key, history) => self.take_history(&key, &history),
            News::Detail(detail) => {
                let shop = self.screen.shop.as_mut().filter(|shop| Key::of_id(&detail.id) == shop.key);
                if let Some(shop) = shop {
                    shop.take_detail(detail);
                }
            }
            News::Sample(key, sample, _) => {
                self.screen.series.entry(key.clone()).or_default().push(&sample);
                if let Some(shop) = self.screen.shop.as_mut().filter(|shop| shop.key == key) {
                    shop.take_sample(&sample);
                }
            }
            News::Gone(key) => {
                self.screen.series.remove(&key);
                if let Some(shop) = self.screen.shop.as_mut().filter(|shop| shop.key == key) {
                    *shop = Shop::new(&key);
                    shop.is_gone = true;
                }
            }
        }
    }

    fn take_history(&mut self, key: &Key, history: &History) {
        if let Some(series) = self.screen.series.get_mut(key) {
            series.load(&history.samples);
        }
        if let Some(shop) = self.screen.shop.as_mut().filter(|shop| shop.key == *key) {
            shop.is_gone = false;
            shop.series.load(&history.samples);
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::History(key, Ok(history)) => self.take_history(&key, &history),
            // The store or the server has gone: that is news of its own.
            Answer::History(_, Err(_)) => {}
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
            Answer::Found(wanted, found) => self.take_found(&wanted, found),
            Answer::Redriven(redrive, done) => {
                self.screen.notify(outcome(&redrive, done));
                self.order_asked = None;
                self.follower.ask_detail();
            }
        }
    }
}

/// How a redrive went.
fn outcome(redrive: &Redrive, done: Result<i64, AskError>) -> String {
    let orders = |count| format::plural(count, "order");
    match (redrive, done) {
        (_, Err(error)) => format!("Not redriven: {}", foreign::safe(error.text())),
        (Redrive::Order(id), Ok(0)) => format!("Order {} {}", foreign::safe(&name_of(id)), words::STAYED_DEAD),
        (Redrive::Order(id), Ok(_)) => format!("Order {} is queued again.", foreign::safe(&name_of(id))),
        (Redrive::Reason(_, expected), Ok(done)) if *expected > done => {
            format!("{} queued again. {} {}", orders(done), orders(expected - done), words::STAYED_DEAD)
        }
        (Redrive::Reason(..), Ok(done)) => format!("{} queued again.", orders(done)),
    }
}
