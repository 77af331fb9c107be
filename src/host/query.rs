//! Commands of the server that the module calls, and their replies.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;
use super::string::{OwnStr, Str};

/// How a command is called. Each format takes a vector of strings with its length.
#[derive(Clone, Copy)]
pub struct Manner(&'static CStr);

impl Manner {
    /// Without further checks.
    pub const PLAIN: Manner = Manner(c"v");

    /// Errors as replies: Valkey 9.1 reads past its memory where it makes none.
    pub const ERRORS: Manner = Manner(c"Ev");

    /// The same, with the checks that a script's command passes.
    pub const AS_A_SCRIPT: Manner = Manner(c"SEv");

    /// Refused where the server has no memory for it.
    pub const IN_MEMORY: Manner = Manner(c"Mv");

    /// The same, replicated as it is.
    pub const REPLICATED: Manner = Manner(c"!Mv");
}

/// Calls a command.
///
/// # Errors
/// The number of the error (errno), if the server does not run the command and makes no reply.
pub fn ask<'a>(ctx: Ctx<'a>, command: &CStr, manner: Manner, words: &[Str<'_>]) -> Result<Reply<'a>, Option<i32>> {
    // SAFETY: the format takes a vector of strings with its length; `Str` is the pointer that the server wants.
    let reply =
        unsafe { api!(RedisModule_Call(ctx.raw(), command.as_ptr(), manner.0.as_ptr(), words.as_ptr(), words.len())) };
    if reply.is_null() {
        return Err(std::io::Error::last_os_error().raw_os_error());
    }
    Ok(Reply(reply, PhantomData))
}

/// Whether a client would find the key here: in a cluster, its slot must be this node's.
pub fn has_key(ctx: Ctx<'_>, key: Str<'_>) -> bool {
    ask(ctx, c"EXISTS", Manner::PLAIN, &[key]).is_ok_and(|reply| reply.whole().integer() == Some(1))
}

/// The last id that a stream ever gave, from XINFO STREAM; none if there is no stream.
pub fn last_stream_id(ctx: Ctx<'_>, stream: Str<'_>) -> Option<(u64, u64)> {
    let word = OwnStr::new(b"STREAM");
    let reply = ask(ctx, c"XINFO", Manner::PLAIN, &[word.get(), stream]).ok()?;
    let text = |at: usize| reply.part(at).and_then(Part::text);
    let name = (0..reply.len()).find(|at| text(*at) == Some(b"last-generated-id"))?;
    let (ms, seq) = std::str::from_utf8(text(name + 1)?).ok()?.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// A reply, freed when it is dropped.
pub struct Reply<'a>(*mut raw::RedisModuleCallReply, PhantomData<&'a ()>);

impl Reply<'_> {
    /// The reply as one part.
    pub fn whole(&self) -> Part<'_> {
        Part(self.0, PhantomData)
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.whole().kind() == raw::REDISMODULE_REPLY_ERROR as c_int
    }

    /// The number of elements of an array.
    fn len(&self) -> usize {
        // SAFETY: the reply is live.
        unsafe { api!(RedisModule_CallReplyLength(self.0)) }
    }

    /// An element of an array.
    pub fn part(&self, at: usize) -> Option<Part<'_>> {
        // SAFETY: the reply is live.
        let part = unsafe { api!(RedisModule_CallReplyArrayElement(self.0, at)) };
        (!part.is_null()).then_some(Part(part, PhantomData))
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        // SAFETY: the reply is ours, freed once; its parts cannot live longer.
        unsafe { api!(RedisModule_FreeCallReply(self.0)) }
    }
}

/// A reply or an element of one, which owns it.
#[derive(Clone, Copy)]
pub struct Part<'a>(*mut raw::RedisModuleCallReply, PhantomData<&'a ()>);

impl<'a> Part<'a> {
    fn kind(self) -> c_int {
        // SAFETY: the reply that owns it is live for 'a.
        unsafe { api!(RedisModule_CallReplyType(self.0)) }
    }

    /// Its integer, if it is one.
    pub fn integer(self) -> Option<i64> {
        let is_integer = self.kind() == raw::REDISMODULE_REPLY_INTEGER as c_int;
        // SAFETY: as above.
        is_integer.then(|| unsafe { api!(RedisModule_CallReplyInteger(self.0)) })
    }

    /// Its bytes, if it is a string.
    fn text(self) -> Option<&'a [u8]> {
        let mut len = 0;
        // SAFETY: as above; the bytes belong to the reply.
        unsafe {
            let ptr = api!(RedisModule_CallReplyStringPtr(self.0, &mut len));
            (!ptr.is_null()).then(|| std::slice::from_raw_parts(ptr.cast::<u8>(), len))
        }
    }
}
