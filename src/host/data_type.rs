//! Types of keys: the callbacks that the server has for them, and the values that it keeps for the module.
//!
//! The server owns a value by a pointer. Whoever opens the key gets at it by a guard, which owns the open key and lends
//! the value: [`Read`] gives `&V`, [`Write`] gives `&mut V`. A value that is open for writing cannot be opened again,
//! however it is reached, and it is not freed as long as a guard has it.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use redis_module::raw;

use super::api::api;
use super::call::Stop;
use super::ctx::Ctx;
use super::key::Key;
use super::replicate::APPLY;
use super::string::Str;

/// Where a value is: its database and its key.
pub type At<'a> = (c_int, Str<'a>);

/// A value of a type of the module's own.
pub trait Value: Sized + 'static {
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
    fn raw(&self) -> *mut raw::RedisModuleType {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the server keeps a pointer to.
pub struct Kept<V> {
    /// How many guards read the value; [`WRITTEN`] if one writes it. Only the server's main thread opens values; it is
    /// atomic as another thread of the server may free them.
    open: AtomicI32,
    value: UnsafeCell<V>,
}

/// One guard writes the value.
const WRITTEN: i32 = -1;

impl<V> Kept<V> {
    /// A value for the server to keep; the pointer is to be given back to [`Kept::free`].
    pub(super) fn new(value: V) -> NonNull<Kept<V>> {
        NonNull::from(Box::leak(Box::new(Kept { open: AtomicI32::new(0), value: UnsafeCell::new(value) })))
    }

    /// Frees the value, unless somebody has it open: then it is leaked, which is better than a pointer to nothing.
    ///
    /// # Safety
    /// The pointer must come from [`Kept::new`], and be used by nobody afterwards but a guard that has it already.
    pub(super) unsafe fn free(kept: NonNull<Kept<V>>) {
        // SAFETY: live until now.
        let open = unsafe { kept.as_ref() }.open.load(Ordering::Relaxed);
        debug_assert_eq!(open, 0, "a value is freed while it is open");
        if open == 0 {
            // SAFETY: made by `new`, and nobody has it.
            drop(unsafe { Box::from_raw(kept.as_ptr()) });
        }
    }

    /// Runs `read` on the value, unless somebody writes it now: the server may ask for a value in the middle of a
    /// change, when another module listens to its events.
    fn read<T>(&self, read: impl FnOnce(&V) -> T) -> Option<T> {
        let readers = self.open.load(Ordering::Relaxed);
        if readers == WRITTEN {
            return None;
        }
        self.open.store(readers + 1, Ordering::Relaxed);
        // SAFETY: nobody writes the value, and nobody can open it for writing until this ends.
        let done = read(unsafe { &*self.value.get() });
        self.open.store(readers, Ordering::Relaxed);
        Some(done)
    }
}

/// An open key that may have a value.
///
/// # Safety
/// What [`ValueKey::kept`] gives must be a value that was kept for this type, not freed as long as the key is open, but
/// by [`Kept::free`].
pub unsafe trait ValueKey {
    /// The value that is there, unless the key holds something else.
    fn kept<V: Value>(&self) -> Option<NonNull<Kept<V>>>;

    /// Puts a value there; one that was there is removed.
    fn put<V: Value>(&mut self, value: V);
}

// SAFETY: the server keeps the type with each value, and frees values by `free` alone.
unsafe impl ValueKey for Key<'_> {
    #[inline]
    fn kept<V: Value>(&self) -> Option<NonNull<Kept<V>>> {
        if self.kind() != raw::REDISMODULE_KEYTYPE_MODULE {
            return None;
        }
        // SAFETY: the key is open and holds a module's value.
        unsafe {
            let is_ours = api!(RedisModule_ModuleTypeGetType(self.raw())) == V::data_type().raw();
            if is_ours { NonNull::new(api!(RedisModule_ModuleTypeGetValue(self.raw())).cast()) } else { None }
        }
    }

    fn put<V: Value>(&mut self, value: V) {
        let kept = Kept::new(value);
        // SAFETY: the key is open; the server owns the value from now on and frees it by `free`.
        let status =
            unsafe { api!(RedisModule_ModuleTypeSetValue(self.raw(), V::data_type().raw(), kept.as_ptr().cast())) };
        debug_assert_eq!(status, raw::REDISMODULE_OK as c_int, "a key that was to take a value");
        if status != raw::REDISMODULE_OK as c_int {
            // SAFETY: the server has not taken it.
            unsafe { Kept::free(kept) };
        }
    }
}

/// Why a key has no value to lend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is empty, or holds something else.
    OtherType,
    /// Its value is being changed: by a command that another module called, say, in the middle of a change of ours.
    InUse,
}

impl From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::OtherType => Stop::wrong_type(),
            Unfit::InUse => Stop::Server("ERR the key is being changed by another command".into()),
        }
    }
}

/// A value that is read, with its open key.
pub struct Read<K, V> {
    kept: NonNull<Kept<V>>,
    /// Open for as long as the value is read.
    _key: K,
}

impl<K: ValueKey, V: Value> Read<K, V> {
    /// Reads the value at a key.
    ///
    /// # Errors
    /// There is none, or it is being changed.
    pub fn open(key: K) -> Result<Self, Unfit> {
        let kept = key.kept::<V>().ok_or(Unfit::OtherType)?;
        // SAFETY: the value is not freed as long as the key is open.
        let open = unsafe { &kept.as_ref().open };
        let readers = open.load(Ordering::Relaxed);
        if readers == WRITTEN {
            return Err(Unfit::InUse);
        }
        open.store(readers + 1, Ordering::Relaxed);
        Ok(Read { kept, _key: key })
    }
}

impl<K, V> Deref for Read<K, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        // SAFETY: the value is not freed as long as it is open, and nobody can open it for writing.
        unsafe { &*self.kept.as_ref().value.get() }
    }
}

impl<K, V> Drop for Read<K, V> {
    fn drop(&mut self) {
        // SAFETY: the value is not freed as long as it is open.
        let open = unsafe { &self.kept.as_ref().open };
        let readers = open.load(Ordering::Relaxed);
        debug_assert!(readers > 0, "a value that is read has a reader");
        open.store(readers - 1, Ordering::Relaxed);
    }
}

/// A value that is changed, with its open key. The key may be one that the server opened for reading: then the change
/// is not one of the data set, but of what the module keeps with the value.
pub struct Write<K, V> {
    kept: NonNull<Kept<V>>,
    key: K,
}

impl<K: ValueKey, V: Value> Write<K, V> {
    /// Opens the value at a key.
    ///
    /// # Errors
    /// There is none, or it is open already.
    #[inline]
    pub fn open(key: K) -> Result<Self, Unfit> {
        let kept = key.kept::<V>().ok_or(Unfit::OtherType)?;
        // SAFETY: the value is not freed as long as the key is open.
        let open = unsafe { &kept.as_ref().open };
        if open.load(Ordering::Relaxed) != 0 {
            return Err(Unfit::InUse);
        }
        open.store(WRITTEN, Ordering::Relaxed);
        Ok(Write { kept, key })
    }

    /// The open key, for removing it: the value is nobody's by then.
    pub fn into_key(self) -> K {
        self.release();
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the key is moved out once: what it was in is not dropped.
        unsafe { std::ptr::read(&this.key) }
    }
}

impl<K, V> Write<K, V> {
    fn release(&self) {
        // SAFETY: the value is not freed as long as it is open.
        let open = unsafe { &self.kept.as_ref().open };
        debug_assert_eq!(open.load(Ordering::Relaxed), WRITTEN, "a value that is written has one writer");
        open.store(0, Ordering::Relaxed);
    }
}

impl<K, V> Deref for Write<K, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        // SAFETY: the value is not freed as long as it is open, and nobody else can open it.
        unsafe { &*self.kept.as_ref().value.get() }
    }
}

impl<K, V> DerefMut for Write<K, V> {
    #[inline]
    fn deref_mut(&mut self) -> &mut V {
        // SAFETY: the value is not freed as long as it is open, and nobody else can open it.
        unsafe { &mut *self.kept.as_ref().value.get() }
    }
}

impl<K, V> Drop for Write<K, V> {
    fn drop(&mut self) {
        self.release();
    }
}

/// Registers the type.
pub fn register<V: Value>(ctx: Ctx<'_>) -> bool {
    let extra = V::HAS_EXTRA;
    // Redis 7.0 knows `aux_save` alone; later servers take `aux_save2` before it, and write nothing where it does not.
    let mut methods = raw::RedisModuleTypeMethods {
        version: raw::REDISMODULE_TYPE_METHOD_VERSION as u64,
        rdb_load: Some(rdb_load::<V>),
        rdb_save: Some(rdb_save::<V>),
        aof_rewrite: Some(aof_rewrite::<V>),
        mem_usage: None,
        digest: Some(digest::<V>),
        free: Some(free::<V>),
        aux_load: if extra { Some(aux_load::<V>) } else { None },
        aux_save: if extra { Some(aux_save::<V>) } else { None },
        aux_save_triggers: if extra { raw::REDISMODULE_AUX_BEFORE_RDB as c_int } else { 0 },
        free_effort: None,
        unlink: None,
        copy: None,
        defrag: None,
        mem_usage2: Some(mem_usage::<V>),
        free_effort2: Some(free_effort::<V>),
        unlink2: Some(unlink::<V>),
        copy2: Some(copy::<V>),
        aux_save2: if extra { Some(aux_save2::<V>) } else { None },
    };
    // SAFETY: called while the module loads; the server copies the methods.
    let made = unsafe { api!(RedisModule_CreateDataType(ctx.raw(), V::NAME.as_ptr(), V::ENCODING, &mut methods)) };
    V::data_type().0.store(made, Ordering::Relaxed);
    !made.is_null()
}

/// What the server reads a value from.
pub struct Pieces<'a>(*mut raw::RedisModuleIO, PhantomData<&'a ()>);

impl<'a> Pieces<'a> {
    /// The next piece.
    ///
    /// # Errors
    /// The file ends, or is broken.
    pub fn next(&self) -> Result<Vec<u8>, String> {
        let mut len = 0;
        // SAFETY: the io is live; on an error the server gives no buffer, otherwise one of `len` bytes that is ours.
        unsafe {
            let buffer = api!(RedisModule_LoadStringBuffer(self.0, &mut len));
            if buffer.is_null() || api!(RedisModule_IsIOError(self.0)) != 0 {
                return Err("a value is cut off".into());
            }
            let piece = std::slice::from_raw_parts(buffer.cast::<u8>(), len).to_vec();
            api!(RedisModule_Free(buffer.cast()));
            Ok(piece)
        }
    }

    /// The database and key that the value is loaded into.
    fn at(&self) -> Option<At<'a>> {
        // SAFETY: the io is live; the name lives as long.
        unsafe {
            let key = api!(RedisModule_GetKeyNameFromIO(self.0));
            (!key.is_null()).then(|| (api!(RedisModule_GetDbIdFromIO(self.0)), Str::new(key.cast_mut())))
        }
    }

    /// Says in the log what is wrong with a value.
    fn warn(&self, text: &str) {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: the format takes one string, which is there.
        unsafe { api!(RedisModule_LogIOError(self.0, c"warning".as_ptr(), c"%s".as_ptr(), text.as_ptr())) }
    }
}

/// A log that is being rewritten, at a key.
pub struct Log<'a> {
    io: *mut raw::RedisModuleIO,
    key: Str<'a>,
}

impl Log<'_> {
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

/// The value behind a pointer that the server kept for us.
///
/// # Safety
/// The pointer must be one that the server passes to a callback of this type, and be used within the callback.
unsafe fn kept<'a, V: Value>(value: *const c_void) -> &'a Kept<V> {
    // SAFETY: a pointer of `Kept::new` that the server has not freed.
    unsafe { &*value.cast::<Kept<V>>() }
}

/// Why a value that is being saved or copied has to be at rest.
const IN_USE: &str = "a value is saved or copied in the middle of a change";

unsafe extern "C" fn rdb_save<V: Value>(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    let mut write = |piece: &[u8]| {
        // SAFETY: the server passes a live io; it copies the bytes.
        unsafe { api!(RedisModule_SaveStringBuffer(io, piece.as_ptr().cast(), piece.len())) }
    };
    // SAFETY: the server passes a value of this type.
    unsafe { kept::<V>(value) }.read(|value| value.save(&mut write)).expect(IN_USE);
}

unsafe extern "C" fn rdb_load<V: Value>(io: *mut raw::RedisModuleIO, encoding: c_int) -> *mut c_void {
    // The server passes a live io, which is used within this callback.
    let pieces = Pieces(io, PhantomData);
    let known = if encoding == V::ENCODING {
        Ok(())
    } else {
        Err(format!("{} of encoding {encoding}, this module reads {}", V::NAME.to_string_lossy(), V::ENCODING))
    };
    match known.and_then(|()| V::load(&pieces)) {
        Ok(mut value) => {
            if let Some(at) = pieces.at() {
                value.placed(at);
            }
            Kept::new(value).as_ptr().cast()
        }
        Err(problem) => {
            pieces.warn(&problem);
            std::ptr::null_mut()
        }
    }
}

unsafe extern "C" fn aof_rewrite<V: Value>(
    io: *mut raw::RedisModuleIO,
    key: *mut raw::RedisModuleString,
    value: *mut c_void,
) {
    // SAFETY: the server passes a live io and the value's key, which are used within this callback.
    let log = Log { io, key: unsafe { Str::new(key) } };
    // SAFETY: the server passes a value of this type.
    unsafe { kept::<V>(value) }.read(|value| value.rewrite(&log)).expect(IN_USE);
}

unsafe extern "C" fn digest<V: Value>(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    // SAFETY: the server passes a value of this type.
    let sum = unsafe { kept::<V>(value) }.read(V::digest).unwrap_or(0).to_le_bytes();
    // SAFETY: the server passes a live digest; it copies the bytes.
    unsafe {
        api!(RedisModule_DigestAddStringBuffer(digest, sum.as_ptr().cast(), sum.len()));
        api!(RedisModule_DigestEndSequence(digest));
    }
}

unsafe extern "C" fn free<V: Value>(value: *mut c_void) {
    if let Some(kept) = NonNull::new(value.cast::<Kept<V>>()) {
        // SAFETY: the server gives up a value of this type. It may be a thread of its own that frees it: of what is
        // shared, a value touches nothing but what is atomic.
        unsafe { Kept::free(kept) };
    }
}

unsafe extern "C" fn mem_usage<V: Value>(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void, _: usize) -> usize {
    // SAFETY: the server passes a value of this type.
    unsafe { kept::<V>(value) }.read(V::bytes).unwrap_or(0)
}

unsafe extern "C" fn free_effort<V: Value>(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> usize {
    // SAFETY: the server passes a value of this type.
    unsafe { kept::<V>(value) }.read(V::weight).unwrap_or(1)
}

unsafe extern "C" fn unlink<V: Value>(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) {
    // SAFETY: the server passes a value of this type, on the main thread.
    unsafe { kept::<V>(value) }.read(V::unlinked);
}

unsafe extern "C" fn copy<V: Value>(copy: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void {
    // SAFETY: the server passes a live context; the name lives for this callback.
    let to = unsafe {
        let key = api!(RedisModule_GetToKeyNameFromOptCtx(copy));
        (!key.is_null()).then(|| (api!(RedisModule_GetToDbIdFromOptCtx(copy)), Str::new(key.cast_mut())))
    };
    // SAFETY: the server passes a value of this type.
    let copied = unsafe { kept::<V>(value) }.read(|value| value.copy(to)).expect(IN_USE);
    let Some(mut copied) = copied else { return std::ptr::null_mut() };
    if let Some(at) = to {
        copied.placed(at);
    }
    Kept::new(copied).as_ptr().cast()
}

unsafe extern "C" fn aux_save<V: Value>(io: *mut raw::RedisModuleIO, _: c_int) {
    // SAFETY: the server passes a live io.
    unsafe { api!(RedisModule_SaveUnsigned(io, V::extra())) };
}

/// A file of a server that has never had such a number stays readable without the module.
unsafe extern "C" fn aux_save2<V: Value>(io: *mut raw::RedisModuleIO, when: c_int) {
    if V::extra() > 0 {
        // SAFETY: the server passes a live io.
        unsafe { aux_save::<V>(io, when) };
    }
}

unsafe extern "C" fn aux_load<V: Value>(io: *mut raw::RedisModuleIO, encoding: c_int, _: c_int) -> c_int {
    // SAFETY: the server passes a live io.
    let (number, failed) = unsafe { (api!(RedisModule_LoadUnsigned(io)), api!(RedisModule_IsIOError(io)) != 0) };
    if failed || encoding != V::ENCODING {
        return raw::REDISMODULE_ERR as c_int;
    }
    V::set_extra(number);
    raw::REDISMODULE_OK as c_int
}
