//! Streams of the server, by their native calls.

use std::ffi::c_int;

use redis_module::raw;

use super::api::api;
use super::key::Key;
use super::string::{OwnStr, Str};

/// The id of an entry as the server has it: an outsider's may be beyond those that the engine knows.
pub type RawId = raw::RedisModuleStreamID;

/// An entry's fields and their values.
pub type Fields = Vec<(OwnStr, OwnStr)>;

/// Names and values of an entry that is added, one after the other.
pub type Pairs<'a> = smallvec::SmallVec<[Str<'a>; 16]>;

const OK: c_int = raw::REDISMODULE_OK as c_int;

/// What changes a stream wants the key for itself: no iterator may be on it.
impl Key<'_> {
    /// Adds an entry to the stream, which is made where the key is empty; false if the stream is ahead of the id.
    #[inline]
    pub(super) fn stream_add(&mut self, mut id: RawId, pairs: &[Str<'_>]) -> bool {
        debug_assert!(pairs.len().is_multiple_of(2), "a name without a value");
        let fields = pairs.as_ptr().cast_mut().cast::<*mut raw::RedisModuleString>();
        // SAFETY: the key is open; `Str` is the pointer that the server wants. It reads the strings and copies them.
        unsafe { api!(RedisModule_StreamAdd(self.raw(), 0, &mut id, fields, pairs.len() as i64 / 2)) == OK }
    }

    /// Deletes an entry of a stream; false if it is not there.
    pub(super) fn stream_delete(&mut self, mut id: RawId) -> bool {
        // SAFETY: the key is open; the server refuses one that is no stream.
        unsafe { api!(RedisModule_StreamDelete(self.raw(), &mut id)) == OK }
    }

    /// Trims a stream to a number of entries; says how many were removed.
    pub(super) fn stream_trim(&mut self, length: u64) -> u64 {
        // SAFETY: the key is open; the server refuses one that is no stream.
        let trimmed = unsafe { api!(RedisModule_StreamTrimByLength(self.raw(), 0, length as i64)) };
        u64::try_from(trimmed).unwrap_or(0)
    }
}

/// The entries of a stream, first to last.
pub struct Entries<'k>(&'k Key<'k>);

impl<'k> Entries<'k> {
    /// Those behind an entry, or all of them. None, if there is nothing behind it.
    pub(super) fn behind(key: &'k Key<'_>, after: Option<RawId>) -> Option<Self> {
        let exclusive = if after.is_some() { raw::REDISMODULE_STREAM_ITERATOR_EXCLUSIVE as c_int } else { 0 };
        let mut from = after.unwrap_or(RawId { ms: 0, seq: 0 });
        // SAFETY: the key is open; without an end it is the stream's. The server refuses a key that is no stream, or
        // that has an iterator already.
        let status =
            unsafe { api!(RedisModule_StreamIteratorStart(key.raw(), exclusive, &mut from, std::ptr::null_mut())) };
        (status == OK).then_some(Entries(key))
    }

    /// The entry of an id, if it is there.
    pub(super) fn only(key: &'k Key<'_>, id: RawId) -> Option<Self> {
        let (mut from, mut to) = (id, id);
        // SAFETY: as above.
        let status = unsafe { api!(RedisModule_StreamIteratorStart(key.raw(), 0, &mut from, &mut to)) };
        (status == OK).then_some(Entries(key))
    }

    fn field(&mut self) -> Option<(OwnStr, OwnStr)> {
        let (mut name, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the iterator is at an entry; the server makes both strings for us, in a context whose memory it does
        // not manage.
        unsafe {
            let status = api!(RedisModule_StreamIteratorNextField(self.0.raw(), &mut name, &mut value));
            (status == OK).then(|| (OwnStr::adopt(name), OwnStr::adopt(value)))
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = (RawId, Fields);

    /// The next entry. All its fields are read: only then does the server find the one behind it.
    fn next(&mut self) -> Option<(RawId, Fields)> {
        let mut id = RawId { ms: 0, seq: 0 };
        let mut count = 0;
        // SAFETY: the key has an iterator, which is stopped when `self` is dropped.
        let status = unsafe { api!(RedisModule_StreamIteratorNextID(self.0.raw(), &mut id, &mut count)) };
        (status == OK).then(|| (id, (0..count).map_while(|_| self.field()).collect()))
    }
}

impl Drop for Entries<'_> {
    fn drop(&mut self) {
        // SAFETY: the key is open and has an iterator.
        unsafe {
            api!(RedisModule_StreamIteratorStop(self.0.raw()));
        }
    }
}
