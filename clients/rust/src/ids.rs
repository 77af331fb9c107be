//! What a call with a cursor lists, page by page.

use std::vec::IntoIter;

use redis::ConnectionLike;

use crate::call::{Call, Command};
use crate::error::Error;
use crate::reply::Page;

/// How many elements an iterator has the server look at for one page, unless the call has a COUNT. It takes the server
/// well under a millisecond.
const PAGE: u64 = 1_000;

/// What an iterator has of the pages, and the call for the next one.
struct Pages<K> {
    call: Call<K>,
    ids: IntoIter<String>,
    is_last: bool,
}

impl<K: Command<Reply = Page>> Pages<K> {
    fn of(call: Call<K>) -> Self {
        Pages { call: call.counted(PAGE), ids: Vec::new().into_iter(), is_last: false }
    }

    /// Goes on with the page that came. After an error there is none.
    fn turn(&mut self, page: Result<Page, Error>) -> Result<(), Error> {
        self.is_last = true;
        let (cursor, ids) = page?;
        self.is_last = cursor == "0";
        self.ids = ids.into_iter();
        self.call.go_on_from(&cursor);
        Ok(())
    }
}

type Ask<'a, K> = Box<dyn FnMut(&Call<K>) -> Result<Page, Error> + 'a>;

/// The ids that a call lists, one by one: see [`Call::iter`].
#[must_use = "an iterator does nothing until it is asked"]
pub struct Ids<'a, K> {
    pages: Pages<K>,
    ask: Ask<'a, K>,
}

impl<'a, K: Command<Reply = Page>> Ids<'a, K> {
    pub(crate) fn new(call: Call<K>, ask: Ask<'a, K>) -> Self {
        Ids { pages: Pages::of(call), ask }
    }
}

impl<K: Command<Reply = Page>> Iterator for Ids<'_, K> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(id) = self.pages.ids.next() {
                return Some(Ok(id));
            }
            if self.pages.is_last {
                return None;
            }
            let page = (self.ask)(&self.pages.call);
            if let Err(error) = self.pages.turn(page) {
                return Some(Err(error));
            }
        }
    }
}

/// The same on an asynchronous connection: see [`Call::iter_async`].
#[cfg(feature = "aio")]
#[must_use = "an iterator does nothing until it is asked"]
pub struct AsyncIds<'a, K, C> {
    pages: Pages<K>,
    connection: &'a mut C,
}

#[cfg(feature = "aio")]
impl<K: Command<Reply = Page>, C: redis::aio::ConnectionLike> AsyncIds<'_, K, C> {
    /// The next id, or an error, after which there is none.
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        loop {
            if let Some(id) = self.pages.ids.next() {
                return Some(Ok(id));
            }
            if self.pages.is_last {
                return None;
            }
            let page = self.pages.call.query_async(self.connection).await;
            if let Err(error) = self.pages.turn(page) {
                return Some(Err(error));
            }
        }
    }
}

/// What has a cursor: INV.SCAN, INV.HOLDS and ORDER.SCAN.
impl<K: Command<Reply = Page>> Call<K> {
    /// How many are looked at for a page; 10 if it is not said, and 1000 by an iterator.
    pub fn count(self, count: u64) -> Self {
        self.named_count(count)
    }

    /// Iterates over the ids that it lists, from its cursor on. Asks for a page when it is needed, and ends with the
    /// last one or an error. The connection is in use meanwhile: `collect` the ids, or have another one.
    ///
    /// What is there all the time comes once, as it was when its page was made. What comes, goes or changes meanwhile
    /// may come or not. After a restart, a failover or a move of the store to another node begin anew: some may come
    /// twice or never.
    pub fn iter<'a>(self, connection: &'a mut (dyn ConnectionLike + 'a)) -> Ids<'a, K> {
        Ids::new(self, Box::new(|call| call.query(connection)))
    }

    /// The same on an asynchronous connection.
    #[cfg(feature = "aio")]
    pub fn iter_async<C: redis::aio::ConnectionLike>(self, connection: &mut C) -> AsyncIds<'_, K, C> {
        AsyncIds { pages: Pages::of(self), connection }
    }
}
