//! LOCK.ACQUIRE, LOCK.RENEW, LOCK.RELEASE, LOCK.GET: one owner at a time for a document that lives elsewhere.

use super::args::Args;
use super::reply::{field_int, field_text, field_time};
use crate::host::callers::Callers;
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::lock::{change, waiting};

pub const ACQUIRE: Command = Command {
    about: About {
        name: c"LOCK.ACQUIRE",
        summary: "Acquires a lock for `ttl` milliseconds, or waits for it",
        reply: "a token that is larger than those of all earlier owners, or nil: another owner has the lock (with \
                `WAIT`: had it all that time, or the key was deleted or moved). The current owner gets the same \
                token, and its lease starts again from now",
        complexity: "O(log(L)) with L locks",
        since: "0.1.0",
        flags: "write fast blocking",
        access: Access::Insert,
        args: &[Arg::key(), Arg::text("owner"), Arg::integer("ttl"), Arg::integer("ms").after("WAIT")],
    },
    run: |call| acquire(call),
};

pub fn acquire<H: Callers>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (owner, ttl_ms) = (args.id("owner")?, args.duration("ttl")?);
    let mut wait_ms = None;
    while args.more() {
        if args.keyword("WAIT") {
            wait_ms = Some(args.count("WAIT")?);
        } else {
            args.unknown()?;
        }
    }
    match waiting::acquire(call, owner, ttl_ms, wait_ms)? {
        Some(token) => call.ctx.int(token as i64),
        None => call.ctx.null(),
    }
    Ok(())
}

pub const RENEW: Command = Command {
    about: About {
        name: c"LOCK.RENEW",
        summary: "Restarts the lease of a lock: it lasts `ttl` milliseconds from now",
        reply: "1, or 0 if the lock is not held under this token any more",
        complexity: "O(log(L)) with L locks",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[Arg::key(), Arg::integer("token"), Arg::integer("ttl")],
    },
    run: |call| renew(call),
};

pub fn renew<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (token, ttl_ms) = (args.quantity("token")?, args.duration("ttl")?);
    args.end()?;
    call.ctx.int(change::renew(call, token, ttl_ms)?.into());
    Ok(())
}

pub const RELEASE: Command = Command {
    about: About {
        name: c"LOCK.RELEASE",
        summary: "Releases a lock",
        reply: "1, or 0 if the lock is not held under this token any more: it was released before, or the lease \
                expired",
        complexity: "O(log(L)) with L locks",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[Arg::key(), Arg::integer("token")],
    },
    run: |call| release(call),
};

pub fn release<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let token = args.quantity("token")?;
    args.end()?;
    call.ctx.int(change::release(call, token)?.into());
    Ok(())
}

pub const GET: Command = Command {
    about: About {
        name: c"LOCK.GET",
        summary: "Shows who owns a lock, and how many callers wait for it",
        reply: "a map: `owner` `token` `acquired-at` `deadline` (Unix milliseconds) `ttl-ms` (these are nil while \
                the lock is free, also if the key does not exist) `waiting` (callers that wait for it)",
        complexity: "O(N) with N callers that wait",
        since: "0.1.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key()],
    },
    run: get,
};

fn get(call: &Call<'_>) -> Result<(), Stop> {
    Args::new(call).end()?;
    let lock = change::view(call)?;
    let ctx = call.ctx;
    ctx.map(6);
    field_text(ctx, "owner", &lock.owner);
    field_time(ctx, "token", lock.token);
    field_time(ctx, "acquired-at", lock.taken_at);
    field_time(ctx, "deadline", lock.deadline);
    ctx.bulk(b"ttl-ms");
    if lock.deadline == 0 {
        ctx.null();
    } else {
        ctx.int(lock.ttl_ms as i64);
    }
    field_int(ctx, "waiting", lock.waiting as i64);
    Ok(())
}
