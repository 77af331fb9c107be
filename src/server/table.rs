//! The table of commands, and the one C function that stands in front of each of them.

use std::ffi::c_int;
use std::sync::OnceLock;

use redis_module::raw;

use super::call::{Call, Stop};
use super::ctx::{Ctx, Str};
use super::info;
use super::register::{About, Access, Function, command};
use super::write;

/// One command: what it is, and what runs it.
pub struct Command {
    pub about: About,
    /// Runs it, and replies.
    pub run: fn(&Call<'_>) -> Result<(), Stop>,
}

/// The commands, once the module is loaded.
static TABLE: OnceLock<&'static [&'static Command]> = OnceLock::new();

/// The C function of the command at place `I` of the table.
unsafe extern "C" fn entry<const I: usize>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server passes `argc` live strings and a live context; `Str` is such a pointer.
    let (ctx, argv) = unsafe { (Ctx::new(ctx), std::slice::from_raw_parts(argv.cast::<Str>(), argc as usize)) };
    let Some(command) = TABLE.get().and_then(|table| table.get(I)) else { return raw::REDISMODULE_ERR as c_int };
    let (Some(key), Some(rest)) = (argv.get(1), argv.get(2..)) else {
        ctx.error("ERR wrong number of arguments");
        return raw::REDISMODULE_OK as c_int;
    };
    let call = Call { ctx, name: command.about.name, key: *key, rest, stamp: None };
    if let Err(stop) = (command.run)(&call) {
        refuse(&call, &stop, command.about.access);
    }
    raw::REDISMODULE_OK as c_int
}

/// Replies the error. Only a refused write is counted: a read changes nothing, not even a counter, as a counter that
/// changes makes a sample. The server's own errorstats count both.
fn refuse(call: &Call<'_>, stop: &Stop, access: Access) {
    let is_write = access != Access::Read;
    if let Stop::Refused(refusal) = stop {
        if is_write {
            write::count_refusal(call, refusal);
        }
    }
    if let Some(text) = stop.text() {
        if is_write {
            info::count_refusal(&text);
        }
        call.ctx.error(&text);
    }
}

/// Places in the table there are functions for.
const PLACES: usize = 48;

macro_rules! entries {
    ($($place:literal)*) => { [$(entry::<$place>),*] };
}

static ENTRIES: [Function; PLACES] = entries![
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42
    43 44 45 46 47
];

/// Registers all commands.
pub fn register(ctx: Ctx, table: &'static [&'static Command]) -> bool {
    let _ = TABLE.set(table);
    table.len() <= PLACES && table.iter().zip(ENTRIES).all(|(row, function)| command(ctx, &row.about, function))
}

/// The command of a name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let table = TABLE.get()?;
    table.iter().copied().find(|command| command.about.name.to_bytes().eq_ignore_ascii_case(name))
}
