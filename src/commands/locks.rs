//! LOCK.ACQUIRE, LOCK.RENEW, LOCK.RELEASE, LOCK.GET: one owner at a time for a document that lives elsewhere.

use super::args::Args;
use super::reply::{field_int, field_text, field_time};
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Stop};
use crate::lock::{change, waiting};

pub const ACQUIRE: Command = Command {
    about: About {
        name: "LOCK.ACQUIRE",
        summary: "Takes a lock for so many milliseconds, or waits for it; replies a token that grows with every owner",
        reply: "the token, or nil: another owner has it (with `WAIT`: had it for so long, or the key went away). An owner who has it already gets the same token, and the lease begins anew",
        complexity: "O(log(L)) with L locks",
        since: "0.1.0",
        flags: "write fast blocking",
        acl: "write fast blocking",
        arity: -4,
        access: Access::Insert,
        args: &[Arg::key(), Arg::text("owner"), Arg::integer("ttl"), Arg::integer("ms").after("WAIT")],
    },
    name: c"LOCK.ACQUIRE",
    run: acquire,
    internal: false,
};

fn acquire(call: &Call<'_>) -> Result<(), Stop> {
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
        name: "LOCK.RENEW",
        summary: "Begins the lease of a lock anew, for so many milliseconds from now",
        reply: "1, or 0: the lock is not held under this token any more",
        complexity: "O(log(L)) with L locks",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: 4,
        access: Access::Update,
        args: &[Arg::key(), Arg::integer("token"), Arg::integer("ttl")],
    },
    name: c"LOCK.RENEW",
    run: renew,
    internal: false,
};

fn renew(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (token, ttl_ms) = (args.quantity("token")?, args.duration("ttl")?);
    args.end()?;
    call.ctx.int(change::renew(call, token, ttl_ms)?.into());
    Ok(())
}

pub const RELEASE: Command = Command {
    about: About {
        name: "LOCK.RELEASE",
        summary: "Lets go of a lock",
        reply: "1, or 0: the lock is not held under this token any more, because it was let go before or the lease ended",
        complexity: "O(log(L)) with L locks",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: 3,
        access: Access::Update,
        args: &[Arg::key(), Arg::integer("token")],
    },
    name: c"LOCK.RELEASE",
    run: release,
    internal: false,
};

fn release(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let token = args.quantity("token")?;
    args.end()?;
    call.ctx.int(change::release(call, token)?.into());
    Ok(())
}

pub const GET: Command = Command {
    about: About {
        name: "LOCK.GET",
        summary: "Who holds a lock, and who waits for it",
        reply: "a map: `owner` `token` `acquired-at` `deadline` `ttl-ms` (nil while it is free, also where there is no key) `waiting` (callers that wait for it)",
        complexity: "O(N) with N callers that wait",
        since: "0.1.0",
        flags: "readonly fast",
        acl: "read fast",
        arity: 2,
        access: Access::Read,
        args: &[Arg::key()],
    },
    name: c"LOCK.GET",
    run: get,
    internal: false,
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
