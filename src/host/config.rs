//! How settings of the module are registered with the server: `CONFIG SET holdfast.*`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;

/// Registers a number between two bounds. Its value, the default so far, is in `value`.
pub fn number(ctx: Ctx<'_>, name: &CStr, value: &'static AtomicI64, min: i64, max: i64) -> bool {
    // SAFETY: called while the module loads; what the callbacks get lives as long as the process.
    let registered = unsafe {
        api!(RedisModule_RegisterNumericConfig(
            ctx.raw(),
            name.as_ptr(),
            value.load(Ordering::Relaxed),
            raw::REDISMODULE_CONFIG_DEFAULT,
            min,
            max,
            Some(get_number),
            Some(set_number),
            None,
            std::ptr::from_ref(value).cast_mut().cast(),
        ))
    };
    registered == raw::REDISMODULE_OK as c_int
}

/// Registers a choice by name. Its value, the default so far, is in `value`: the position among the names.
pub fn choice<const N: usize>(ctx: Ctx<'_>, name: &CStr, value: &'static AtomicI32, names: [&'static CStr; N]) -> bool {
    let mut names = names.map(CStr::as_ptr);
    let values: [c_int; N] = std::array::from_fn(|at| at as c_int);
    // SAFETY: called while the module loads; the server copies names and values, and what the callbacks get lives as
    // long as the process.
    let registered = unsafe {
        api!(RedisModule_RegisterEnumConfig(
            ctx.raw(),
            name.as_ptr(),
            value.load(Ordering::Relaxed),
            raw::REDISMODULE_CONFIG_DEFAULT,
            names.as_mut_ptr(),
            values.as_ptr(),
            N as c_int,
            Some(get_choice),
            Some(set_choice),
            None,
            std::ptr::from_ref(value).cast_mut().cast(),
        ))
    };
    registered == raw::REDISMODULE_OK as c_int
}

/// Reads the settings that the server was started with, once all are registered.
pub fn load(ctx: Ctx<'_>) -> bool {
    // SAFETY: called while the module loads.
    unsafe { api!(RedisModule_LoadConfigs(ctx.raw())) == raw::REDISMODULE_OK as c_int }
}

unsafe extern "C" fn get_number(_: *const c_char, value: *mut c_void) -> i64 {
    // SAFETY: what the setting was registered with.
    unsafe { &*value.cast::<AtomicI64>() }.load(Ordering::Relaxed)
}

unsafe extern "C" fn set_number(
    _: *const c_char,
    new: i64,
    value: *mut c_void,
    _: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: what the setting was registered with. The server has checked the range.
    unsafe { &*value.cast::<AtomicI64>() }.store(new, Ordering::Relaxed);
    raw::REDISMODULE_OK as c_int
}

unsafe extern "C" fn get_choice(_: *const c_char, value: *mut c_void) -> c_int {
    // SAFETY: what the setting was registered with.
    unsafe { &*value.cast::<AtomicI32>() }.load(Ordering::Relaxed)
}

unsafe extern "C" fn set_choice(
    _: *const c_char,
    new: c_int,
    value: *mut c_void,
    _: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: what the setting was registered with. The server has checked that it is one of the values.
    unsafe { &*value.cast::<AtomicI32>() }.store(new, Ordering::Relaxed);
    raw::REDISMODULE_OK as c_int
}
