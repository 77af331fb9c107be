//! What is on the screen: all that is drawn, and nothing that draws or asks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::foreign::safe;
use super::look_up::Records;
use super::shop::Shop;
use super::theme::Theme;
use crate::watch::known::ask::AskError;
use crate::watch::known::id::name_of;
use crate::watch::known::model::{Key, ServerState, StoreLine};
use crate::watch::known::series::{GAP_MS, Series};

/// How long a note is shown.
const NOTE_TIME: Duration = Duration::from_secs(8);

/// What is to be queued again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redrive {
    /// All that died of exactly this, and how many that are as far as is known.
    Reason(Vec<u8>, i64),
    Order(Vec<u8>),
}

/// An order that was looked up.
#[derive(Debug)]
pub struct OrderLook {
    pub id: Vec<u8>,
    /// Its id, safe to show.
    pub name: String,
    /// What was found; `None` until an answer has come.
    pub found: Option<Result<Json, AskError>>,
    pub top: usize,
}

impl OrderLook {
    pub fn new(id: Vec<u8>) -> OrderLook {
        OrderLook { name: safe(&name_of(&id)), id, found: None, top: 0 }
    }

    /// Its state, as ORDER.GET has it.
    pub fn state(&self) -> &str {
        let found = self.found.as_ref().and_then(|found| found.as_ref().ok());
        found.and_then(|order| order["state"].as_str()).unwrap_or_default()
    }
}

/// What is typed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Id,
    Filter,
}

/// What lies over the page.
#[derive(Debug)]
pub enum Dialog {
    /// What everything means, from this line on.
    Help(usize),
    Prompt(Ask, String),
    Order(OrderLook),
    /// The states of orders, of which this one is chosen.
    States(usize),
    Records(Records),
    Confirm(Redrive),
}

/// How fresh the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Connecting,
    Live,
    /// Nothing changes, which is no error.
    Quiet,
    Lost,
}

/// All that is drawn.
#[derive(Debug, Default)]
pub struct Screen {
    pub theme: Theme,
    /// Unix milliseconds, by the server's clock.
    pub now_ms: u64,
    /// Unix milliseconds, by this machine's clock.
    pub local_now_ms: u64,
    pub server: ServerState,
    pub writes: bool,
    /// Where the page is served as well, if it is.
    pub page: Option<String>,
    pub stores: Vec<StoreLine>,
    pub series: BTreeMap<Key, Series>,
    /// Stores are shown whose names contain this.
    pub filter: String,
    /// The store that is looked at; `None`: the list of stores.
    pub shop: Option<Shop>,
    pub dialogs: Vec<Dialog>,
    pub chosen_store: usize,
    note: Option<(String, Instant)>,
}

impl Screen {
    pub fn new(server: ServerState, writes: bool, theme: Theme) -> Screen {
        Screen { theme, server, writes, ..Screen::default() }
    }

    /// Shows the reader a note for some seconds.
    pub fn notify(&mut self, text: impl Into<String>) {
        self.note = Some((text.into(), Instant::now()));
    }

    /// The note that is shown at the moment.
    pub fn note(&self) -> Option<&str> {
        let (text, said) = self.note.as_ref()?;
        (said.elapsed() < NOTE_TIME).then_some(text)
    }

    /// Takes the note away: the reader goes on.
    pub fn hush(&mut self) {
        self.note = None;
    }

    /// The stores that are listed: what must not be comes first, then those where people wait for units; else by name.
    pub fn listed(&self) -> Vec<&StoreLine> {
        let wanted = self.filter.to_lowercase();
        let is_wanted = |line: &&StoreLine| line.name.to_lowercase().contains(&wanted);
        let mut listed: Vec<&StoreLine> = self.stores.iter().filter(is_wanted).collect();
        let is_any = |line: &StoreLine, name| number(line, name) > 0;
        listed.sort_by_key(|line| (!is_any(line, "oversold"), !is_any(line, "waitlisted")));
        listed
    }

    /// The key of the store that is chosen in the list.
    pub fn chosen_key(&self) -> Option<Key> {
        let listed = self.listed();
        let line = listed.get(self.chosen_store.min(listed.len().saturating_sub(1)))?;
        Some(Key::of_id(&line.id))
    }

    /// When the newest sample on the screen was taken.
    pub fn newest_at(&self) -> Option<i64> {
        let at = match &self.shop {
            Some(shop) => shop.at,
            None => self.stores.iter().filter_map(|line| line.at).max(),
        };
        at.map(|at| at as i64)
    }

    /// Milliseconds since the newest sample.
    pub fn age_ms(&self) -> Option<i64> {
        Some((self.now_ms as i64 - self.newest_at()?).max(0))
    }

    pub fn freshness(&self) -> Freshness {
        match (self.server.connected, self.age_ms()) {
            (false, _) if self.server.error.as_deref() == Some("connecting") => Freshness::Connecting,
            (false, _) => Freshness::Lost,
            (true, Some(age)) if age <= GAP_MS as i64 => Freshness::Live,
            (true, _) => Freshness::Quiet,
        }
    }

    /// Whether the server is there, and what is shown is up to date.
    pub fn is_fresh(&self) -> bool {
        self.server.connected
    }

    pub fn product(&self) -> &'static str {
        if self.server.product.as_deref() == Some("valkey") { "Valkey" } else { "Redis" }
    }

    /// The order on top, if one is.
    pub fn order(&mut self) -> Option<&mut OrderLook> {
        self.dialogs.iter_mut().rev().find_map(|dialog| match dialog {
            Dialog::Order(look) => Some(look),
            _ => None,
        })
    }
}

/// A number of a store in the list; 0 where there is none.
pub fn number(line: &StoreLine, name: &str) -> i64 {
    line.metrics.as_ref().map_or(0, |sample| sample.get(name))
}
