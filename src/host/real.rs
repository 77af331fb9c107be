//! The real server, behind the traits of [`super::server`].

use std::ffi::{CStr, c_int};

use redis_module::raw;

use super::clock::{self, Now};
use super::ctx::{self, Class, Ctx};
use super::flags::Flags;
use super::key::{Key, Mode};
use super::memory_full::refuses_memory;
use super::server::{Host, HostKey};
use super::stream::{Entries, RawId};
use super::string::Str;
use super::{deadlines, gate, query, replicate, waiters};
use holdfast_engine::base::units::Ms;

impl<'a> Host for Ctx<'a> {
    type Key = Key<'a>;

    #[inline]
    fn open(self, name: Str<'_>, mode: Mode) -> Option<Key<'a>> {
        Key::open(self, name, mode)
    }

    #[inline]
    fn flags(self) -> Flags {
        Ctx::flags(self)
    }

    fn db(self) -> c_int {
        Ctx::db(self)
    }

    fn select(self, db: c_int) -> bool {
        Ctx::select(self, db)
    }

    #[inline]
    fn now(self) -> Now {
        clock::now()
    }

    fn seed(self) -> u64 {
        ctx::seed()
    }

    fn may_write(self, keys: &[Str<'_>]) -> bool {
        gate::may_write(self, keys)
    }

    fn serves(self, keys: &[Str<'_>]) -> bool {
        gate::serves(self, keys)
    }

    fn refuses_memory(self, key: Str<'_>) -> bool {
        refuses_memory(self, key)
    }

    #[inline]
    fn replicate_verbatim(self) {
        replicate::verbatim(self);
    }

    #[inline]
    fn replicate(self, key: Str<'_>, stamp: Ms, name: &CStr, rest: &[Str<'_>]) {
        replicate::stamped(self, key, stamp, name, rest);
    }

    fn log(self, name: &CStr, key: Str<'_>, rest: &[Str<'_>]) {
        replicate::log(self, name, key, rest);
    }

    #[inline]
    fn notify(self, class: Class, event: &CStr, key: Str<'_>) {
        Ctx::notify(self, class, event, key);
    }

    #[inline]
    fn signal_modified(self, key: Str<'_>) {
        Ctx::signal_modified(self, key);
    }

    fn last_stream_id(self, stream: Str<'_>) -> Option<(u64, u64)> {
        query::last_stream_id(self, stream)
    }

    fn look_at(self, uid: u64, key: Str<'_>, at: Option<Ms>) {
        deadlines::set(uid, self.db(), key.bytes(), at);
    }

    fn deadlines_wait(self) -> bool {
        deadlines::wait()
    }

    fn arm(self) {
        deadlines::arm(self);
    }

    #[inline]
    fn is_waited_for(self, uid: u64) -> bool {
        waiters::anybody(uid)
    }

    fn count_waiting(self, uid: u64) -> usize {
        waiters::count(uid)
    }

    fn wake_all(self, uid: u64) {
        waiters::schedule(uid);
    }

    fn wake<'p>(self, uid: u64, parts: impl Iterator<Item = &'p [u8]>) {
        waiters::schedule_of(uid, parts);
    }

    fn warn(self, text: &str) {
        Ctx::warn(self, text);
    }

    #[inline]
    fn int(self, n: i64) {
        Ctx::int(self, n);
    }

    #[inline]
    fn bulk(self, bytes: &[u8]) {
        Ctx::bulk(self, bytes);
    }

    #[inline]
    fn status(self, text: &CStr) {
        Ctx::status(self, text);
    }

    fn error(self, text: &str) {
        Ctx::error(self, text);
    }

    #[inline]
    fn null(self) {
        Ctx::null(self);
    }

    #[inline]
    fn array(self, len: usize) {
        Ctx::array(self, len);
    }

    #[inline]
    fn map(self, len: usize) {
        Ctx::map(self, len);
    }
}

impl HostKey for Key<'_> {
    type Entries<'k>
        = Entries<'k>
    where
        Self: 'k;

    #[inline]
    fn is_empty(&self) -> bool {
        self.kind() == raw::REDISMODULE_KEYTYPE_EMPTY
    }

    #[inline]
    fn is_stream(&self) -> bool {
        self.kind() == raw::REDISMODULE_KEYTYPE_STREAM
    }

    #[inline]
    fn len(&self) -> u64 {
        self.value_len()
    }

    fn unlink(&mut self) {
        self.remove();
    }

    #[inline]
    fn add(&mut self, id: RawId, pairs: &[Str<'_>]) -> bool {
        self.stream_add(id, pairs)
    }

    #[inline]
    fn delete(&mut self, id: RawId) -> bool {
        self.stream_delete(id)
    }

    fn trim(&mut self, length: u64) -> u64 {
        self.stream_trim(length)
    }

    fn entries(&self, after: Option<RawId>) -> Option<Entries<'_>> {
        Entries::behind(self, after)
    }

    fn has(&self, id: RawId) -> bool {
        Entries::only(self, id).is_some_and(|mut entries| entries.next().is_some())
    }
}
