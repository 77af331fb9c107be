//! The value of a store's key: the engine's store, and the server's callbacks for its type.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use redis_module::raw;

use super::clock::{self, Ahead, Now};
use super::config;
use super::ctx::{Ctx, Str, api};
use super::deadlines;
use super::keys::check_new;
use super::line;
use super::memory;
use super::tally::Tally;
use holdfast_engine::base::units::Ms;
use holdfast_engine::books::image::Loader;
use holdfast_engine::store::Store;
use holdfast_engine::terms::metrics::Refused;

/// The name of the type; nine characters, as the server wants it.
const TYPE_NAME: &std::ffi::CStr = c"holdstore";

/// The version of how pieces are laid in an RDB file. What is in a piece has a version of its own, in the engine.
const ENCODING: c_int = 1;

static STORE_TYPE: AtomicPtr<raw::RedisModuleType> = AtomicPtr::new(std::ptr::null_mut());

static NEXT_UID: AtomicU64 = AtomicU64::new(1);

/// A number that no other value of this process has, of whatever type.
pub(super) fn next_uid() -> u64 {
    NEXT_UID.fetch_add(1, Ordering::Relaxed)
}

/// The type of a store's key, once the module is loaded.
pub(super) fn store_type() -> *mut raw::RedisModuleType {
    STORE_TYPE.load(Ordering::Relaxed)
}

/// A store and what the server's side knows of it.
pub struct StoreValue {
    /// Tells values apart, in this process.
    pub uid: u64,
    pub store: Store,
    /// What the store takes, in bytes, as the server's allocator counts.
    pub bytes: i64,
    /// When the store is registered to be due, or 0.
    pub due: u64,
    /// What was refused since the last sample, on this server.
    pub refused: Refused,
    /// What the store adds to the sums over all stores.
    pub tally: Tally,
    /// How its time goes on where it is ahead of the clock.
    ahead: Ahead,
}

impl StoreValue {
    /// A value for a store; `bytes` is what the store takes already.
    pub fn new(store: Store, bytes: i64) -> Box<Self> {
        let tally = Tally::of(&store.numbers());
        Box::new(StoreValue {
            uid: next_uid(),
            store,
            bytes,
            due: 0,
            refused: Refused::default(),
            tally,
            ahead: Ahead::default(),
        })
    }

    /// An empty store.
    pub fn empty() -> Box<Self> {
        let before = memory::net();
        let mut value = Self::new(Store::new(seed()), 0);
        value.bytes = memory::net() - before;
        value
    }

    /// The store's time now, Unix milliseconds: what a change that is made now is stamped with.
    #[inline]
    pub fn time(&mut self) -> Ms {
        self.time_at(clock::now())
    }

    /// The store's time at a reading of the clock.
    #[inline]
    pub fn time_at(&mut self, now: Now) -> Ms {
        self.ahead.time(now, self.store.last_change())
    }

    /// When the store is to be looked at, by the module's clock, for what is due at a time of its own.
    pub fn look_at(&mut self, now: Now, due: Ms) -> Ms {
        self.ahead.look_at(now, self.store.last_change(), due)
    }

    /// When the store wants to be looked at next, by itself or for a sample.
    #[inline]
    pub fn next_due(&self) -> Option<Ms> {
        match (self.store.next_due(), self.sample_due()) {
            (Some(due), Some(sample)) => Some(due.min(sample)),
            (due, sample) => due.or(sample),
        }
    }

    /// When the next sample is due; none while there is nothing new to tell.
    #[inline]
    pub fn sample_due(&self) -> Option<Ms> {
        config::sample_ms().and_then(|every_ms| self.store.sample_due(every_ms, !self.refused.is_empty()))
    }
}

/// A random key for the hash tables of a store.
pub fn seed() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the server fills exactly these bytes.
    unsafe { api!(RedisModule_GetRandomBytes(bytes.as_mut_ptr(), bytes.len())) };
    u64::from_ne_bytes(bytes)
}

/// A type that does nothing yet: what a type's own methods are put into.
pub(super) const NO_METHODS: raw::RedisModuleTypeMethods = raw::RedisModuleTypeMethods {
    version: raw::REDISMODULE_TYPE_METHOD_VERSION as u64,
    rdb_load: None,
    rdb_save: None,
    aof_rewrite: None,
    mem_usage: None,
    digest: None,
    free: None,
    aux_load: None,
    aux_save: None,
    aux_save_triggers: 0,
    free_effort: None,
    unlink: None,
    copy: None,
    defrag: None,
    mem_usage2: None,
    free_effort2: None,
    unlink2: None,
    copy2: None,
    aux_save2: None,
};

/// Registers the type.
pub fn register(ctx: Ctx) -> bool {
    let mut methods = raw::RedisModuleTypeMethods {
        rdb_load: Some(rdb_load),
        rdb_save: Some(rdb_save),
        aof_rewrite: Some(aof_rewrite),
        digest: Some(digest),
        free: Some(free),
        mem_usage2: Some(mem_usage),
        free_effort2: Some(free_effort),
        unlink2: Some(unlink),
        copy2: Some(copy),
        ..NO_METHODS
    };
    // SAFETY: called while the module loads; the server copies the methods.
    let made = unsafe { api!(RedisModule_CreateDataType(ctx.0, TYPE_NAME.as_ptr(), ENCODING, &mut methods)) };
    STORE_TYPE.store(made, Ordering::Relaxed);
    !made.is_null()
}

/// The value behind a pointer the server kept for us.
unsafe fn value_of<'a>(value: *const c_void) -> &'a StoreValue {
    &*value.cast::<StoreValue>()
}

extern "C" fn rdb_save(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    // SAFETY: the server passes a value of this type, and a live io.
    let value = unsafe { value_of(value) };
    value.store.save(&mut |piece| unsafe {
        api!(RedisModule_SaveStringBuffer(io, piece.as_ptr().cast(), piece.len()));
    });
}

extern "C" fn rdb_load(io: *mut raw::RedisModuleIO, encoding: c_int) -> *mut c_void {
    // SAFETY: the server passes a live io.
    let io = unsafe { Io::new(io) };
    if encoding != ENCODING {
        io.warn(&format!("a store of encoding {encoding}, this module reads {ENCODING}"));
        return std::ptr::null_mut();
    }
    let before = memory::net();
    match io.load() {
        Ok(store) => {
            let mut value = StoreValue::new(*store, 0);
            value.bytes = memory::net() - before;
            if let Some((db, key)) = io.place() {
                deadlines::note(db, key, &mut value);
            }
            Box::into_raw(value).cast()
        }
        Err(problem) => {
            io.warn(&problem);
            std::ptr::null_mut()
        }
    }
}

/// What the server reads and writes a value through.
pub(super) struct Io(*mut raw::RedisModuleIO);

impl Io {
    /// # Safety
    /// The io must be the one of the running callback.
    pub(super) unsafe fn new(io: *mut raw::RedisModuleIO) -> Self {
        Io(io)
    }

    fn load(&self) -> Result<Box<Store>, String> {
        let mut loader = Loader::new(seed());
        loop {
            match loader.piece(&self.piece()?).map_err(|corrupt| corrupt.to_string())? {
                Ok(store) => return Ok(store),
                Err(more) => loader = more,
            }
        }
    }

    /// The next string.
    pub(super) fn piece(&self) -> Result<Vec<u8>, String> {
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
    pub(super) fn place(&self) -> Option<(c_int, Str)> {
        // SAFETY: the io is live; the name lives as long.
        unsafe {
            let key = api!(RedisModule_GetKeyNameFromIO(self.0));
            (!key.is_null()).then(|| (api!(RedisModule_GetDbIdFromIO(self.0)), Str(key.cast_mut())))
        }
    }

    /// Says in the log what is wrong with a value.
    pub(super) fn warn(&self, text: &str) {
        let text = std::ffi::CString::new(text).unwrap_or_default();
        // SAFETY: the format takes one string, which is there.
        unsafe { api!(RedisModule_LogIOError(self.0, c"warning".as_ptr(), c"%s".as_ptr(), text.as_ptr())) }
    }
}

/// Writes the store to a log as calls of the internal command, a piece each: a store of any size, in bounded commands.
extern "C" fn aof_rewrite(io: *mut raw::RedisModuleIO, key: *mut raw::RedisModuleString, value: *mut c_void) {
    // SAFETY: the server passes a value of this type, its key and a live io.
    let value = unsafe { value_of(value) };
    value.store.save(&mut |piece| unsafe {
        let name = super::wire::APPLY.as_ptr();
        let load = super::wire::LOAD.as_ptr();
        api!(RedisModule_EmitAOF(io, name, c"slcb".as_ptr(), key, 0i64, load, piece.as_ptr(), piece.len()));
    });
}

/// Stores whose pieces are coming, by database and key, and the bytes they take so far.
type Loading = HashMap<(c_int, Vec<u8>), (Loader, i64)>;

thread_local! {
    /// What is coming from a log, or from a primary.
    static LOADING: RefCell<Loading> = RefCell::new(HashMap::new());
}

/// Takes the next piece of a store from a log; the store, once it is whole.
pub fn load_piece(db: c_int, key: &[u8], piece: &[u8]) -> Result<Option<Box<StoreValue>>, String> {
    LOADING.with_borrow_mut(|loading| {
        let before = memory::net();
        // A head begins anew: what came before it was cut off, with the migration of a slot that failed, say.
        let begun = loading.remove(&(db, key.to_vec())).filter(|_| !Loader::is_head(piece));
        let (loader, bytes) = begun.unwrap_or_else(|| (Loader::new(seed()), 0));
        match loader.piece(piece).map_err(|corrupt| corrupt.to_string())? {
            Ok(store) => {
                let mut value = StoreValue::new(*store, 0);
                value.bytes = bytes + memory::net() - before;
                Ok(Some(value))
            }
            Err(more) => {
                let bytes = bytes + memory::net() - before;
                loading.insert((db, key.to_vec()), (more, bytes));
                Ok(None)
            }
        }
    })
}

/// Forgets stores of which only some pieces came.
pub fn forget_pieces() {
    LOADING.with_borrow_mut(HashMap::clear);
}

extern "C" fn digest(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    // SAFETY: the server passes a value of this type and a live digest; it copies the bytes.
    let value = unsafe { value_of(value) };
    let sum = value.store.digest().to_le_bytes();
    unsafe {
        api!(RedisModule_DigestAddStringBuffer(digest, sum.as_ptr().cast(), sum.len()));
        api!(RedisModule_DigestEndSequence(digest));
    }
}

extern "C" fn free(value: *mut c_void) {
    // SAFETY: the pointer came from Box::into_raw and the server gives it up. It may be a thread of the server's own
    // that frees: of what is shared, a value touches nothing but the sums, which are atomic.
    drop(unsafe { Box::from_raw(value.cast::<StoreValue>()) });
}

extern "C" fn mem_usage(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void, _: usize) -> usize {
    // SAFETY: the server passes a value of this type.
    usize::try_from(unsafe { value_of(value) }.bytes).unwrap_or(0)
}

extern "C" fn free_effort(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> usize {
    // SAFETY: the server passes a value of this type.
    unsafe { value_of(value) }.store.weight()
}

extern "C" fn unlink(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) {
    // SAFETY: the server passes a value of this type, on the main thread.
    let uid = unsafe { value_of(value) }.uid;
    deadlines::forget(uid);
    line::leave(uid);
}

extern "C" fn copy(ctx: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void {
    // SAFETY: the server passes a value of this type and a live context.
    let value = unsafe { value_of(value) };
    if unsafe { is_refused(ctx) } {
        return std::ptr::null_mut();
    }
    let before = memory::net();
    let mut loader = Some(Loader::new(seed()));
    let mut made = None;
    value.store.save(&mut |piece| match loader.take().map(|loader| loader.piece(piece)) {
        Some(Ok(Ok(store))) => made = Some(store),
        Some(Ok(Err(more))) => loader = Some(more),
        _ => {}
    });
    let Some(store) = made else { return std::ptr::null_mut() };
    let mut copy = StoreValue::new(*store, 0);
    copy.bytes = memory::net() - before;
    // SAFETY: the context and the name live for this call.
    unsafe {
        let key = api!(RedisModule_GetToKeyNameFromOptCtx(ctx));
        if !key.is_null() {
            deadlines::note(api!(RedisModule_GetToDbIdFromOptCtx(ctx)), Str(key.cast_mut()), &mut copy);
        }
    }
    Box::into_raw(copy).cast()
}

/// Whether a COPY is refused, as a new store would be: its streams would be another store's. The server's reply to that has
/// no reason in it, the log has. A replica and a log do as the primary did.
///
/// # Safety
/// The context must be the one of the running callback.
unsafe fn is_refused(copy: *mut raw::RedisModuleKeyOptCtx) -> bool {
    let (db, key) = (api!(RedisModule_GetToDbIdFromOptCtx(copy)), api!(RedisModule_GetToKeyNameFromOptCtx(copy)));
    if key.is_null() {
        return false;
    }
    // The callback has no context to open keys with: this one is used on the server's main thread, and freed here.
    let raw_ctx = api!(RedisModule_GetThreadSafeContext(std::ptr::null_mut()));
    let (ctx, key) = (Ctx::new(raw_ctx), Str(key.cast_mut()));
    let decides = ctx.select(db) && ctx.is_primary() && !ctx.is_replayed();
    let problem = if decides { check_new(ctx, key).err().and_then(|stop| stop.text()) } else { None };
    if let Some(problem) = &problem {
        ctx.warn(&format!("a COPY to {} was refused: {problem}", key.bytes().escape_ascii()));
    }
    api!(RedisModule_FreeThreadSafeContext(raw_ctx));
    problem.is_some()
}
