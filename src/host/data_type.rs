//! Types of keys: what a value of the module's own has to say to the server, and what the server hands it for that.

use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use redis_module::raw;

use super::api::api;
use super::replicate::APPLY;
use super::string::Str;

/// Where a value is: its database and its key.
pub type At<'a> = (c_int, Str<'a>);

/// A value of a type of the module's own. The server may free a value on a thread of its own.
pub trait Value: Sized + Send + 'static {
    /// The name of the type; nine characters, as the server wants it.
    const NAME: &'static CStr;

    /// The version of how pieces are laid in an RDB file. What is in a piece has a version of its own, in the engine.
    const ENCODING: c_int;

    /// Whether the type has a number of its own in each RDB file ([`Value::extra`]).
    const HAS_EXTRA: bool = false;

    /// The type, once it is registered.
    fn data_type() -> &'static DataType<Self>;

    /// Writes the value, in pieces of bounded size.
    fn save(&self, write: &mut dyn FnMut(&[u8]));

    /// Reads a value that [`Value::save`] wrote.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    fn load(pieces: &Pieces<'_>) -> Result<Self, String>;

    /// Writes the value to a log as calls of the internal command.
    fn rewrite(&self, log: &Log<'_>);

    /// A sum of all that replicas have in common.
    fn digest(&self) -> u128;

    /// The memory it takes, bytes.
    fn bytes(&self) -> usize;

    /// How long freeing it takes, in allocations: the server frees what is large off the main thread.
    fn weight(&self) -> usize {
        1
    }

    /// A step of putting its small pieces of memory elsewhere. The cursor is 0 at first, then what the last step
    /// returned, which is 0 at the end.
    fn defrag(&mut self, _: u64, _: &mut dyn FnMut(Vec<u8>) -> Vec<u8>) -> u64 {
        0
    }

    /// A copy for another key, if it is not refused.
    fn copy(&self, to: Option<At<'_>>) -> Option<Self>;

    /// It has come to a key: by loading or by a copy.
    fn placed(&mut self, at: At<'_>);

    /// It is about to leave the keyspace.
    fn unlinked(&self);

    /// The number for RDB files.
    fn extra() -> u64 {
        0
    }

    /// Takes the number of an RDB file.
    fn set_extra(_: u64) {}
}

/// A number that no other value of this process has, of whatever type.
pub fn next_uid() -> u64 {
    static NEXT_UID: AtomicU64 = AtomicU64::new(1);
    NEXT_UID.fetch_add(1, Ordering::Relaxed)
}

/// A type of the server's, for values `V`.
pub struct DataType<V>(AtomicPtr<raw::RedisModuleType>, PhantomData<fn() -> V>);

impl<V: Value> DataType<V> {
    /// One that is not registered yet.
    pub const fn new() -> Self {
        DataType(AtomicPtr::new(std::ptr::null_mut()), PhantomData)
    }

    #[inline]
    pub(super) fn raw(&self) -> *mut raw::RedisModuleType {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, made: *mut raw::RedisModuleType) {
        self.0.store(made, Ordering::Relaxed);
    }
}

/// What the server reads a value from.
pub struct Pieces<'a>(*mut raw::RedisModuleIO, PhantomData<&'a ()>);

impl<'a> Pieces<'a> {
    /// # Safety
    /// The io must be live for `'a`: until the callback that was given it returns.
    pub(super) unsafe fn new(io: *mut raw::RedisModuleIO) -> Self {
        Pieces(io, PhantomData)
    }

    /// The next piece.
    ///
    /// # Errors
    /// The file ends, or is broken.
    pub fn next(&self) -> Result<Piece, String> {
        let mut len = 0;
        // SAFETY: the io is live; on an error the server gives no buffer, otherwise one of `len` bytes that is ours.
        unsafe {
            let buffer = api!(RedisModule_LoadStringBuffer(self.0, &mut len));
            if buffer.is_null() || api!(RedisModule_IsIOError(self.0)) != 0 {
                return Err("a value is cut off".into());
            }
            Ok(Piece { buffer: buffer.cast(), len })
        }
    }

    /// The database and key that the value is loaded into.
    pub(super) fn at(&self) -> Option<At<'a>> {
        // SAFETY: the io is live; the name lives as long.
        unsafe {
            let key = api!(RedisModule_GetKeyNameFromIO(self.0));
            (!key.is_null()).then(|| (api!(RedisModule_GetDbIdFromIO(self.0)), Str::new(key.cast_mut())))
        }
    }

    /// Says in the log what is wrong with a value.
    pub(super) fn warn(&self, text: &str) {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: the format takes one string, which is there.
        unsafe { api!(RedisModule_LogIOError(self.0, c"warning".as_ptr(), c"%s".as_ptr(), text.as_ptr())) }
    }
}

/// A piece in the server's memory, which is freed with it.
pub struct Piece {
    buffer: *mut u8,
    len: usize,
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the buffer has `len` bytes, and is freed by nobody but [`Drop`].
        unsafe { std::slice::from_raw_parts(self.buffer, self.len) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: the server gave the buffer for us to free.
        unsafe { api!(RedisModule_Free(self.buffer.cast())) }
    }
}

/// A log that is being rewritten, at a key.
pub struct Log<'a> {
    io: *mut raw::RedisModuleIO,
    key: Str<'a>,
}

impl<'a> Log<'a> {
    /// # Safety
    /// The io must be live for `'a`: until the callback that was given it returns.
    pub(super) unsafe fn new(io: *mut raw::RedisModuleIO, key: Str<'a>) -> Self {
        Log { io, key }
    }

    /// Writes a call of the internal command with one argument.
    pub fn apply(&self, word: &CStr, image: &[u8]) {
        let (name, format) = (APPLY.as_ptr(), c"slcb".as_ptr());
        // SAFETY: the io is live; the format takes a string, an integer, a C string and a buffer with its length.
        unsafe {
            let (key, word, image_ptr) = (self.key.raw(), word.as_ptr(), image.as_ptr());
            api!(RedisModule_EmitAOF(self.io, name, format, key, 0i64, word, image_ptr, image.len()));
        }
    }

    /// Writes a call of the internal command with an argument and a number, at most that of a signed integer.
    pub fn apply_with(&self, word: &CStr, image: &[u8], number: u64) {
        let (name, format) = (APPLY.as_ptr(), c"slcbl".as_ptr());
        // SAFETY: as above, with an integer more.
        unsafe {
            let (key, word, image_ptr) = (self.key.raw(), word.as_ptr(), image.as_ptr());
            api!(RedisModule_EmitAOF(self.io, name, format, key, 0i64, word, image_ptr, image.len(), number as i64));
        }
    }
}
