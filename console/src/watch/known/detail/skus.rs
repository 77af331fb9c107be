//! Which SKUs run out first.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use redis::pipe;
use serde::Serialize;

use super::scan::scan;
use crate::watch::known::id::name_of;
use crate::watch::known::link::{AskError, ask_all};
use crate::watch::known::model::Key;
use crate::watch::known::reply::{Pairs, items};

/// SKUs shown.
const SHOWN_MAX: usize = 100;
/// SKUs a scan for those under their low mark looks at in one command, and how many commands there are.
const LOW_PAGE: &str = "5000";
const LOW_PAGES: u32 = 10;
/// SKUs of any kind that are looked at for one detail: in a larger store the next detail looks at the next ones.
const WINDOW: usize = 2_000;
const WINDOW_PAGE: &str = "1000";
/// SKUs whose books are read for one detail, and in one command.
const BOOKS_MAX: usize = 4_000;
const BOOKS_PER_COMMAND: usize = 250;

/// The SKUs of a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skus {
    /// How many the store has.
    pub total: i64,
    /// Some were not looked at, this time.
    pub truncated: bool,
    /// Those at or under their low mark or with none available, fewest available first; then the others likewise.
    pub shown: Vec<SkuLine>,
}

/// A SKU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkuLine {
    /// For people.
    pub name: String,
    /// Its books, as INV.GET replies them: units.
    #[serde(flatten)]
    books: Pairs<i64>,
    #[serde(skip)]
    sku: Vec<u8>,
}

impl SkuLine {
    /// A SKU of these books.
    pub fn new(sku: &[u8], books: Pairs<i64>) -> SkuLine {
        SkuLine { name: name_of(sku), books, sku: sku.to_vec() }
    }

    /// A number of its books; 0 if it is missing.
    pub fn get(&self, name: &str) -> i64 {
        self.books.get(name).copied().unwrap_or(0)
    }

    /// Whether none is available.
    pub fn is_out(&self) -> bool {
        self.get("available") <= 0
    }

    /// Whether it is at or under its low mark.
    pub fn is_low(&self) -> bool {
        self.get("low") > 0 && self.get("available") <= self.get("low")
    }
}

/// The search for SKUs that run out: where it ended, and what it found before.
#[derive(Debug, Default)]
pub struct Search {
    cursor: u64,
    found: BTreeSet<Vec<u8>>,
}

impl Search {
    /// The SKUs that run out first, of those known and those the search comes by.
    pub async fn find(
        &mut self,
        connection: &mut MultiplexedConnection,
        key: &Key,
        total: i64,
    ) -> Result<Skus, AskError> {
        let mut found = std::mem::take(&mut self.found);
        let sees_all = total <= WINDOW as i64;
        if sees_all {
            self.cursor = 0;
        } else {
            find_low(connection, key, &mut found).await?;
        }
        for _ in 0..WINDOW / 1_000 {
            let (next, skus) = scan(connection, "INV.SCAN", key, self.cursor, &["COUNT", WINDOW_PAGE]).await?;
            found.extend(skus);
            self.cursor = next;
            if next == 0 {
                break;
            }
        }
        let mut lines = read_books(connection, key, found.into_iter().take(BOOKS_MAX).collect()).await?;
        lines.sort_by_cached_key(|sku| (!sku.is_out() && !sku.is_low(), sku.get("available"), sku.name.clone()));
        lines.truncate(SHOWN_MAX);
        self.found = lines.iter().map(|line| line.sku.clone()).collect();
        Ok(Skus { total, truncated: !sees_all, shown: lines })
    }
}

/// Those at or under their low mark.
async fn find_low(
    connection: &mut MultiplexedConnection,
    key: &Key,
    found: &mut BTreeSet<Vec<u8>>,
) -> Result<(), AskError> {
    let mut cursor = 0;
    for _ in 0..LOW_PAGES {
        let (next, skus) = scan(connection, "INV.SCAN", key, cursor, &["COUNT", LOW_PAGE, "LOW"]).await?;
        found.extend(skus);
        cursor = next;
        if cursor == 0 || found.len() >= BOOKS_MAX - WINDOW {
            break;
        }
    }
    Ok(())
}

async fn read_books(
    connection: &mut MultiplexedConnection,
    key: &Key,
    skus: Vec<Vec<u8>>,
) -> Result<Vec<SkuLine>, AskError> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let mut questions = pipe();
    for skus in skus.chunks(BOOKS_PER_COMMAND) {
        questions.cmd("INV.GET").arg(&**key).arg(skus);
    }
    let mut lines = Vec::with_capacity(skus.len());
    for (asked, reply) in skus.chunks(BOOKS_PER_COMMAND).zip(ask_all(connection, questions).await?) {
        let line = |(sku, books)| Some(SkuLine::new(sku, Pairs::of(books)?.ints()));
        lines.extend(asked.iter().map(Vec::as_slice).zip(items(reply?)).filter_map(line));
    }
    Ok(lines)
}
