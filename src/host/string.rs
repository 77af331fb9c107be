//! Strings of the server: arguments, names of keys, fields and values of entries.

use std::marker::PhantomData;

use redis_module::raw;

/// A string of the server that somebody else owns: the caller of a command, a callback, an [`OwnStr`].
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Str<'a>(*mut raw::RedisModuleString, PhantomData<&'a raw::RedisModuleString>);

impl<'a> Str<'a> {
    /// Wraps a string of the server.
    ///
    /// # Safety
    /// The string must be live and unchanged for `'a`.
    pub(super) unsafe fn new(string: *mut raw::RedisModuleString) -> Self {
        debug_assert!(!string.is_null());
        Str(string, PhantomData)
    }

    /// The string as the server's functions take it.
    pub(super) fn raw(self) -> *mut raw::RedisModuleString {
        self.0
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: the string is live and unchanged for 'a.
        unsafe { strings::bytes(self.0) }
    }

    /// Its value as an integer, read as the server reads integers; none if it is not one.
    pub fn integer(self) -> Option<i64> {
        // SAFETY: the string is live.
        unsafe { strings::integer(self.0) }
    }
}

/// A string of our own, freed when it is dropped.
pub struct OwnStr(*mut raw::RedisModuleString);

impl OwnStr {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        OwnStr(strings::create(bytes))
    }

    /// A number in decimal.
    pub fn number(number: u64) -> Self {
        OwnStr::new(itoa::Buffer::new().format(number).as_bytes())
    }

    /// Takes over a string that the server made for us.
    ///
    /// # Safety
    /// The string must be live, of a context without automatic memory, and freed by nobody else.
    pub(super) unsafe fn adopt(string: *mut raw::RedisModuleString) -> Self {
        debug_assert!(!string.is_null());
        OwnStr(string)
    }

    /// The string, for as long as `self` lives.
    #[inline]
    pub fn get(&self) -> Str<'_> {
        // SAFETY: the string is live until `self` is dropped, and nobody changes it.
        unsafe { Str::new(self.0) }
    }
}

impl Drop for OwnStr {
    fn drop(&mut self) {
        // SAFETY: made by `new`, or taken over, and freed once.
        unsafe { strings::free(self.0) }
    }
}

/// The server's strings.
#[cfg(not(test))]
mod strings {
    use std::ffi::c_int;

    use redis_module::raw;

    use crate::host::api::api;

    pub fn create(bytes: &[u8]) -> *mut raw::RedisModuleString {
        // SAFETY: the server copies `len` bytes; without a context the string is ours to free.
        unsafe { api!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())) }
    }

    /// # Safety
    /// The string must come from [`create`] or be given to us to free, and not be used afterwards.
    pub unsafe fn free(string: *mut raw::RedisModuleString) {
        // SAFETY: as above.
        unsafe { api!(RedisModule_FreeString(std::ptr::null_mut(), string)) }
    }

    /// # Safety
    /// The string must be live and unchanged for `'a`.
    pub unsafe fn bytes<'a>(string: *mut raw::RedisModuleString) -> &'a [u8] {
        let mut len = 0;
        // SAFETY: the string is live; the server gives a pointer to its `len` bytes.
        unsafe {
            let ptr = api!(RedisModule_StringPtrLen(string, &mut len));
            std::slice::from_raw_parts(ptr.cast(), len)
        }
    }

    /// # Safety
    /// The string must be live.
    pub unsafe fn integer(string: *mut raw::RedisModuleString) -> Option<i64> {
        let mut number = 0;
        // SAFETY: the string is live.
        let status = unsafe { api!(RedisModule_StringToLongLong(string, &mut number)) };
        (status == raw::REDISMODULE_OK as c_int).then_some(number)
    }
}

/// The same without a server, in unit tests: a string is a vector of bytes.
#[cfg(test)]
mod strings {
    use redis_module::raw;

    pub fn create(bytes: &[u8]) -> *mut raw::RedisModuleString {
        Box::into_raw(Box::new(bytes.to_vec())).cast()
    }

    pub unsafe fn free(string: *mut raw::RedisModuleString) {
        // SAFETY: made by `create`, freed once.
        drop(unsafe { Box::from_raw(string.cast::<Vec<u8>>()) });
    }

    pub unsafe fn bytes<'a>(string: *mut raw::RedisModuleString) -> &'a [u8] {
        // SAFETY: made by `create`, and live for 'a.
        unsafe { &*string.cast::<Vec<u8>>() }
    }

    pub unsafe fn integer(string: *mut raw::RedisModuleString) -> Option<i64> {
        // SAFETY: made by `create`, and live.
        let text = std::str::from_utf8(unsafe { bytes(string) }).ok()?;
        // As the server reads it: in one form only, without a plus and zeros in front.
        text.parse().ok().filter(|number: &i64| number.to_string() == text)
    }
}
