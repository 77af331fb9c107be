//! `maxmemory`: what takes in more is refused while the server is full, everything else goes on.
//!
//! The commands do not have the flag `deny-oom`, which refuses a command before the module sees it: that would refuse the
//! same ORDER.PLACE again after a lost reply as well, and INV.SET of a SKU that is there. The module asks, once it knows
//! that the command would make something new, and the answer is the server's own.

use std::ffi::c_int;

use redis_module::raw;

use super::call::{Call, Stop};
use super::ctx::{Flags, api};
use super::keys::beside;

/// What the server says itself to a command with the flag `deny-oom`.
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// errno of a call that the server refuses for want of memory.
const ENOSPC: c_int = 28;

/// Refuses a client's call that makes something new while the server is full. What a primary or a log says is done.
#[inline]
pub fn admit(call: &Call<'_>, flags: Flags, takes_in: impl FnOnce() -> bool) -> Result<(), Stop> {
    if flags.memory_full() && call.stamp.is_none() && takes_in() && server_refuses(call) {
        return Err(Stop::Server(OOM.into()));
    }
    Ok(())
}

/// Whether the server would refuse a command that needs memory. Above the limit it does not where it still evicts other
/// keys, nor on a replica that ignores the limit, and a script is judged by how it was when it began: only the server
/// knows all that. LPUSHX on a key that is not there does nothing and needs memory by its flags.
#[cold]
fn server_refuses(call: &Call<'_>) -> bool {
    let (name, word) = (beside(call.key.bytes(), &[b":none"]), c"none");
    // SAFETY: the format takes a string and a C string; the reply is ours to free.
    unsafe {
        let reply =
            api!(RedisModule_Call(call.ctx.0, c"LPUSHX".as_ptr(), c"Msc".as_ptr(), name.get().0, word.as_ptr()));
        if reply.is_null() {
            return std::io::Error::last_os_error().raw_os_error() == Some(ENOSPC);
        }
        api!(RedisModule_FreeCallReply(reply));
    }
    false
}
