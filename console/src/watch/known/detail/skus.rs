//! Which SKUs run out first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use redis::{Value, cmd};
use serde::Serialize;

use super::scan::{Answers, Asker, Questions, Search};
use crate::watch::known::ask::AskError;
use crate::watch::known::id::{id_of, name_of};
use crate::watch::known::model::Key;
use crate::watch::known::reply::{Pairs, items};

/// SKUs shown.
const SHOWN_MAX: usize = 100;
/// SKUs a scan for those under their low mark looks at in one command, and how many commands there are.
const LOW_PAGE: &str = "5000";
const LOW_PAGES: usize = 10;
/// SKUs of any kind that are looked at for one detail: in a larger store the next detail looks at the next ones.
const WINDOW: usize = 2_000;
const WINDOW_PAGE: &str = "1000";
/// SKUs whose books are read for one detail, and in one command.
const BOOKS_MAX: usize = 4_000;
const BOOKS_PER_COMMAND: usize = 250;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skus {
    pub total: i64,
    /// Some were not looked at, this time.
    pub truncated: bool,
    /// Those that orders wait for, most waited for first; then those at or under their low mark or with none available,
    /// fewest available first; then the others likewise.
    pub shown: Vec<SkuLine>,
}

/// A SKU, its name for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkuLine {
    /// Its id, percent-encoded.
    pub id: String,
    pub name: String,
    /// Its books, as INV.GET replies them: units.
    #[serde(flatten)]
    books: Pairs<i64>,
    #[serde(skip)]
    sku: Vec<u8>,
}

impl SkuLine {
    pub fn new(sku: &[u8], books: Pairs<i64>) -> SkuLine {
        SkuLine { id: id_of(sku), name: name_of(sku), books, sku: sku.to_vec() }
    }

    /// A number of its books; 0 if it is missing.
    pub fn get(&self, name: &str) -> i64 {
        self.books.get(name).copied().unwrap_or(0)
    }

    pub fn is_out(&self) -> bool {
        self.get("available") <= 0
    }

    /// Units that orders wait for.
    pub fn waiting(&self) -> i64 {
        self.get("waiting")
    }

    /// How many units may be waited for; `None`: any number.
    pub fn backlog(&self) -> Option<i64> {
        self.books.get("backlog").copied()
    }

    /// Where it stands in the list: what most people wait for is on top, then what is out or low.
    fn place(&self) -> impl Ord + use<> {
        (Reverse(self.waiting()), !self.is_out() && !self.is_low(), self.get("available"), self.name.clone())
    }

    /// Whether it is at or under its low mark.
    pub fn is_low(&self) -> bool {
        self.get("low") > 0 && self.get("available") <= self.get("low")
    }
}

/// Looks for the SKUs that run out first, of those known and those the search comes by; it has found them then.
pub async fn search(search: &mut Search, asker: &mut Asker<'_>, total: i64) -> Result<(), AskError> {
    if sees_all(total) {
        search.cursor = 0;
    } else {
        // Those at or under their low mark are looked for everywhere.
        let mut low = Search::default();
        low.go_on(asker, ("INV.SCAN", &["COUNT", LOW_PAGE, "LOW"]), LOW_PAGES, BOOKS_MAX - WINDOW).await?;
        search.found.append(&mut low.found);
    }
    search.go_on(asker, ("INV.SCAN", &["COUNT", WINDOW_PAGE]), WINDOW / 1_000, usize::MAX).await?;
    if search.found.len() > SHOWN_MAX {
        let mut lines = read_books(asker, std::mem::take(&mut search.found)).await?;
        lines.sort_by_cached_key(SkuLine::place);
        lines.truncate(SHOWN_MAX);
        search.found = lines.into_iter().map(|line| line.sku).collect();
    }
    Ok(())
}

/// Whether one search comes by all SKUs of a store that has so many.
fn sees_all(total: i64) -> bool {
    total <= WINDOW as i64
}

/// Asks for the books of the SKUs that were found.
pub fn ask(search: &Search, key: &Key, questions: &mut Questions) {
    if !search.found.is_empty() {
        let skus: Vec<&[u8]> = search.found.iter().map(Vec::as_slice).collect();
        questions.add(cmd("INV.GET").arg(&**key).arg(skus).clone());
    }
}

/// The SKUs that were found, with their books; `total` is how many the store has.
pub fn take(search: &mut Search, answers: &mut Answers, total: i64) -> Result<Skus, AskError> {
    let mut shown = Vec::new();
    if !search.found.is_empty() {
        shown = lines_of(&search.found, answers.take()?).collect();
    }
    shown.sort_by_cached_key(SkuLine::place);
    search.found = shown.iter().map(|line| line.sku.clone()).collect();
    Ok(Skus { total, truncated: !sees_all(total), shown })
}

/// What INV.GET replied of these SKUs; one that is unknown is left out.
fn lines_of<'a>(asked: impl IntoIterator<Item = &'a Vec<u8>>, reply: Value) -> impl Iterator<Item = SkuLine> {
    let line = |(sku, books): (&'a Vec<u8>, _)| Some(SkuLine::new(sku, Pairs::of(books)?.ints()));
    asked.into_iter().zip(items(reply)).filter_map(line)
}

/// The books of SKUs, [`BOOKS_MAX`] at most; one that is unknown is left out.
pub async fn read_books(asker: &mut Asker<'_>, skus: BTreeSet<Vec<u8>>) -> Result<Vec<SkuLine>, AskError> {
    let skus: Vec<Vec<u8>> = skus.into_iter().take(BOOKS_MAX).collect();
    let mut lines = Vec::with_capacity(skus.len());
    let replies = asker.ask_each("INV.GET", skus.chunks(BOOKS_PER_COMMAND)).await?;
    for (asked, reply) in skus.chunks(BOOKS_PER_COMMAND).zip(replies) {
        lines.extend(lines_of(asked, reply?));
    }
    Ok(lines)
}
