//! Values that the server keeps for the module, and how they are opened.
//!
//! The server owns a value by a pointer. Whoever opens the key reaches it by a guard, which owns the open key and lends
//! the value: [`Read`] gives `&V`, [`Write`] gives `&mut V`. A value that is open for writing cannot be opened again,
//! however it is reached, and it is not freed as long as a guard has it.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};

use redis_module::raw;

use super::api::api;
use super::call::Stop;
use super::data_type::Value;
use super::free;
use super::key::Key;

/// What the server keeps a pointer to.
pub struct Kept<V> {
    /// How many guards read the value; [`WRITTEN`] if one writes it. Only the server's main thread opens values; it is
    /// atomic as another thread of the server may free them.
    open: AtomicI32,
    value: UnsafeCell<V>,
}

/// One guard writes the value.
const WRITTEN: i32 = -1;

impl<V: Value> Kept<V> {
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
            let kept = unsafe { Box::from_raw(kept.as_ptr()) };
            if free::is_heavy(kept.read(V::weight).unwrap_or(0)) {
                free::free(kept);
            }
        }
    }

    /// Runs `read` on the value, unless somebody writes it now: the server may ask for a value in the middle of a
    /// change, when another module listens to its events.
    pub(super) fn read<T>(&self, read: impl FnOnce(&V) -> T) -> Option<T> {
        let readers = self.open.load(Ordering::Relaxed);
        if readers == WRITTEN {
            return None;
        }
        self.open.store(readers + 1, Ordering::Relaxed);
        // SAFETY: nobody writes the value, and nobody can open it for writing until this ends.
        let done = read(unsafe { &*self.value.get() });
        self.open.store(self.open.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        Some(done)
    }

    /// Runs `write` on the value, unless somebody has it open.
    pub(super) fn write<T>(&self, write: impl FnOnce(&mut V) -> T) -> Option<T> {
        if self.open.load(Ordering::Relaxed) != 0 {
            return None;
        }
        self.open.store(WRITTEN, Ordering::Relaxed);
        // SAFETY: nobody has the value, and nobody can open it until this ends.
        let done = write(unsafe { &mut *self.value.get() });
        self.open.store(0, Ordering::Relaxed);
        Some(done)
    }
}

/// An open key that may have a value.
///
/// # Safety
/// What [`ValueKey::kept`] gives must be a value that was kept for this type, and that only [`Kept::free`] frees,
/// as long as the key is open.
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
