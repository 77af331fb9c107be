//! The callbacks that the server has for a type of the module's own.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;
use super::data_type::{Log, Pieces, Value};
use super::defrag::Defrag;
use super::opened::Kept;
use super::string::Str;

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
        defrag: Some(defragment::<V>),
        mem_usage2: Some(mem_usage::<V>),
        free_effort2: Some(free_effort::<V>),
        unlink2: Some(unlink::<V>),
        copy2: Some(copy::<V>),
        aux_save2: if extra { Some(aux_save2::<V>) } else { None },
    };
    // SAFETY: called while the module loads; the server copies the methods.
    let made = unsafe { api!(RedisModule_CreateDataType(ctx.raw(), V::NAME.as_ptr(), V::ENCODING, &mut methods)) };
    V::data_type().set(made);
    !made.is_null()
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
const IN_USE: &str = "a value is saved in the middle of a change";

unsafe extern "C" fn rdb_save<V: Value>(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    let mut write = |piece: &[u8]| {
        // SAFETY: the server passes a live io; it copies the bytes.
        unsafe { api!(RedisModule_SaveStringBuffer(io, piece.as_ptr().cast(), piece.len())) }
    };
    // SAFETY: the server passes a value of this type.
    unsafe { kept::<V>(value) }.read(|value| value.save(&mut write)).expect(IN_USE);
}

unsafe extern "C" fn rdb_load<V: Value>(io: *mut raw::RedisModuleIO, encoding: c_int) -> *mut c_void {
    // SAFETY: the server passes a live io, which is used within this callback.
    let pieces = unsafe { Pieces::new(io) };
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
    let log = unsafe { Log::new(io, Str::new(key)) };
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

/// The server defragments its memory: it asks for each value, for a large one in steps. 0: all of it was looked at.
unsafe extern "C" fn defragment<V: Value>(
    ctx: *mut raw::RedisModuleDefragCtx,
    _: *mut raw::RedisModuleString,
    value: *mut *mut c_void,
) -> c_int {
    // SAFETY: the server passes a live context, which is used within this callback, and a value of this type.
    let (defrag, kept) = unsafe { (Defrag::new(ctx), kept::<V>(*value)) };
    let mut cursor = defrag.cursor();
    loop {
        cursor = kept.write(|value| value.defrag(cursor, &mut |piece| defrag.put(piece))).unwrap_or(0);
        if cursor == 0 || defrag.stops_at(cursor) {
            return c_int::from(cursor != 0);
        }
    }
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
    // Another module may copy it in the middle of a change: that is refused, as a value that cannot be copied is.
    let copied = unsafe { kept::<V>(value) }.read(|value| value.copy(to)).flatten();
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
