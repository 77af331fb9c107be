//! `maxmemory`: what takes in more is refused while the server is full, everything else continues.
//!
//! The commands do not have the flag `deny-oom`, which refuses a command before the module sees it: that would refuse
//! the same ORDER.PLACE again after a lost reply as well, and INV.SET of a SKU that is there. The module asks, once it
//! knows that the command would make something new, and the answer is the server's own.

use std::ffi::c_int;

use super::ctx::Ctx;
use super::query::{Manner, ask};
use super::slot::with_suffix;
use super::string::{OwnStr, Str};

/// What the server says itself to a command with the flag `deny-oom`.
pub const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// errno of a call that the server refuses for want of memory.
const ENOSPC: c_int = 28;

/// Whether the server would refuse a command that needs memory, on a key in the slot of this one. Above the limit it
/// does not where it still evicts other keys, nor on a replica that ignores the limit, and a script is judged by how it
/// was when it began: only the server knows all that. LPUSHX on a key that is not there does nothing and needs memory
/// by its flags.
#[cold]
pub fn refuses_memory(ctx: Ctx<'_>, key: Str<'_>) -> bool {
    let (name, word) = (with_suffix(key.bytes(), &[b":none"]), OwnStr::new(b"none"));
    ask(ctx, c"LPUSHX", Manner::IN_MEMORY, &[name.get(), word.get()]).is_err_and(|errno| errno == Some(ENOSPC))
}
