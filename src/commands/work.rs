//! ORDER.CLAIM, ORDER.RENEW, ORDER.YIELD, ORDER.FAIL, ORDER.REDRIVE, ORDER.PURGE, ORDER.ADVANCE: what workers do with
//! orders, and what becomes of those that died.

use std::rc::Rc;

use super::args::{Args, Lanes};
use super::glob;
use super::reply::{field_int, field_text, field_time};
use crate::host::callers::Callers;
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::store::claims::{reply, serve_first, wait};
use crate::store::keys::read_store;
use crate::store::slices::{AtDead, SomeDead, Task, begin};
use crate::store::write::{QUIET, Rule, write};
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::calls::steps::Advance;
use holdfast_engine::calls::work::{CLAIM_MAX, Claim, Fail, Pick, Slots};
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::streams::StreamKind;

pub const CLAIM: Command = Command {
    about: About {
        name: c"ORDER.CLAIM",
        summary: "Gives orders to a worker under a lease: due retries first, then first in, first out; can wait for \
                  orders",
        reply: "an array of maps `order` `token` `attempt` `customer` `lane` (empty for the default one) `items` (an \
                array of `[sku, qty]`) `data` (nil if not set) `placed-at` `deadline` (Unix milliseconds); empty if no \
                order came within BLOCK, or at once inside MULTI and Lua. At most 1,000 orders, or about 4 MiB of \
                data, whatever COUNT is. BLOCK 0 waits without limit. With LANES, orders of these lanes alone: of the \
                first named that has any, then of the next. With ORDER, that very order if a worker could get it now \
                (it waits, its retry is due, and it is its turn in its group), else an empty array; ORDER never waits",
        complexity: "O(N*log(M)) with N orders given out and M claimed orders, however many wait",
        since: "0.1.0",
        flags: "write blocking",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("worker"),
            Arg::integer("count").after("COUNT"),
            Arg::integer("lease-ms").after("LEASE"),
            Arg::one_of("pick", &[LANES, Arg::text("order").with("ORDER")]).opt(),
            Arg::integer("block-ms").after("BLOCK"),
        ],
    },
    run: |call| claim(call),
};

/// `LANES n lane [lane …]`.
const LANES: Arg = Arg::block("lanes", &[Arg::integer("numlanes").with("LANES"), Arg::text("lane").many()]);

pub fn claim<H: Callers>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut claim = Claim { worker: args.id("worker")?, count: 1, pick: Pick::Any, lease_ms: None };
    let (mut block_ms, mut lanes, mut order) = (None, Lanes::new(), None);
    while args.more() {
        if args.keyword("COUNT") {
            claim.count = args.quantity("COUNT")?.min(CLAIM_MAX as u64) as usize;
        } else if args.keyword("LEASE") {
            claim.lease_ms = Some(args.duration("LEASE")?);
        } else if args.keyword("BLOCK") {
            block_ms = Some(args.count("BLOCK")?);
        } else if args.keyword("LANES") {
            lanes = args.lanes()?;
        } else if args.keyword("ORDER") {
            order = Some(args.id("ORDER")?);
        } else {
            args.unknown()?;
        }
    }
    if let Some(order) = order {
        check_alone(&[("COUNT", claim.count > 1), ("LANES", !lanes.is_empty()), ("BLOCK", block_ms.is_some())])?;
        claim.pick = Pick::Order(order);
    } else if !lanes.is_empty() {
        claim.pick = Pick::Lanes(&lanes);
    }
    let mut slots = Slots::with_capacity(claim.count);
    if serve_first(call, &claim.pick) {
        write(call, QUIET, |store, now, fx| store.claim(now, &claim, fx).map(|claimed| slots.extend(claimed)))?;
    }
    let value = read_store(call.ctx, call.key)?;
    if let (true, Some(block_ms), false) = (slots.is_empty(), block_ms, call.ctx.flags().deny_blocking()) {
        return Err(wait(call, value.uid, &claim, block_ms));
    }
    call.ctx.array(slots.len());
    slots.into_iter().for_each(|slot| reply(call.ctx, &value.store.claimed(slot)));
    Ok(())
}

/// Refuses what is given together with ORDER and would have no meaning.
fn check_alone(options: &[(&str, bool)]) -> Result<(), Refusal> {
    match options.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => {
            let problem = format!("must be given without LANES, BLOCK and a COUNT over 1, got {option}");
            Err(Refusal::argument("ORDER", problem))
        }
        None => Ok(()),
    }
}

/// A token, as a worker got it.
pub fn token(args: &mut Args<'_>) -> Result<u64, Refusal> {
    args.integer("TOKEN", 1, MAX_QUANTITY as i64).map(i64::unsigned_abs)
}

pub const RENEW: Command = Command {
    about: About {
        name: c"ORDER.RENEW",
        summary: "Extends the lease of a claimed order; never shortens it",
        reply: "when the lease expires, Unix milliseconds. Without LEASE the lease is as long, from now, as the \
                claim asked for",
        complexity: "O(log(M)) with M deadlines",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::integer("token").with("TOKEN"),
            Arg::integer("lease-ms").after("LEASE"),
        ],
    },
    run: |call| renew(call),
};

pub fn renew<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let order = args.id("order")?;
    args.expect("TOKEN")?;
    let token = token(&mut args)?;
    let lease_ms = if args.keyword("LEASE") { Some(args.duration("LEASE")?) } else { None };
    args.end()?;
    let deadline = write(call, QUIET, |store, now, fx| store.renew(now, order, token, lease_ms, fx))?.reply;
    call.ctx.int(deadline as i64);
    Ok(())
}

pub const YIELD: Command = Command {
    about: About {
        name: c"ORDER.YIELD",
        summary: "Returns all orders of a worker to the queue, without counting an attempt, before the worker shuts \
                  down",
        reply: "how many orders it returned, at most 10,000 in one call",
        complexity: "O(N*log(M)) with N orders of the worker and M that wait or have a deadline",
        since: "0.1.0",
        flags: "write",
        access: Access::Update,
        args: &[Arg::key(), Arg::text("worker")],
    },
    run: |call| yield_all(call),
};

pub fn yield_all<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let worker = args.id("worker")?;
    args.end()?;
    let orders = write(call, QUIET, |store, now, fx| Ok(store.yield_all(now, worker, fx)))?.reply;
    call.ctx.int(orders as i64);
    Ok(())
}

pub const FAIL: Command = Command {
    about: About {
        name: c"ORDER.FAIL",
        summary: "Reports a failed attempt: the order is retried after a backoff, or is dead after its last attempt \
                  or with FATAL",
        reply: "a map `state` (`retrying` or `dead`) `attempt` (the one that failed; the first is 1) `due` (when the \
                retry is due, Unix milliseconds; nil if dead)",
        complexity: "O(N+log(M)) with N items, if it dies, and M deadlines",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::integer("token").after("TOKEN"),
            Arg::text("reason").after("REASON"),
            Arg::integer("ms").after("AFTER"),
            Arg::word("fatal", "FATAL"),
        ],
    },
    run: |call| fail(call),
};

pub fn fail<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut fail = Fail { order: args.id("order")?, token: None, reason: b"", after_ms: None, fatal: false };
    while args.more() {
        if args.keyword("TOKEN") {
            fail.token = Some(token(&mut args)?);
        } else if args.keyword("REASON") {
            fail.reason = args.text("REASON")?;
        } else if args.keyword("AFTER") {
            fail.after_ms = Some(args.count("AFTER")?);
        } else if args.keyword("FATAL") {
            fail.fatal = true;
        } else {
            args.unknown()?;
        }
    }
    let leaves = &[StreamKind::Orders, StreamKind::Retry];
    let rule = Rule { frees: true, streams: &[StreamKind::Dead], leaves, ..Rule::default() };
    let failure = write(call, rule, |store, now, fx| store.fail(now, &fail, fx))?.reply;
    call.ctx.map(3);
    field_text(call.ctx, "state", failure.state.name().as_bytes());
    field_int(call.ctx, "attempt", i64::from(failure.attempt));
    field_time(call.ctx, "due", failure.due);
    Ok(())
}

pub const REDRIVE: Command = Command {
    about: About {
        name: c"ORDER.REDRIVE",
        summary: "Queues a dead order again, or all of them, or those with a matching REASON: each takes its units \
                  again",
        reply: "how many orders were queued. An order whose stock is gone, or whose customer has reached the limit \
                since, stays dead. ALL takes the dead orders in the order they died; REASON is a pattern as in KEYS; \
                COUNT stops after that many",
        complexity: "O(N) with N items; ALL: with all dead orders and their items, in slices of about a millisecond",
        since: "0.1.0",
        flags: "write blocking",
        access: Access::Update,
        args: &[Arg::key(), Arg::one_of("which", &[Arg::text("order"), ALL])],
    },
    run: redrive,
};

/// `ALL [REASON glob] [COUNT n]`.
const ALL: Arg = Arg::block("all", &[Arg::word("all", "ALL").required(), REASON, COUNT]);

const REASON: Arg = Arg { kind: crate::host::register::Kind::Pattern, ..Arg::text("pattern").after("REASON") };

const COUNT: Arg = Arg::integer("count").after("COUNT");

fn redrive(call: &Call<'_>) -> Result<(), Stop> {
    match redrive_or_all(call)? {
        Some(all) => begin(call, Task::Dead(all)),
        None => Ok(()),
    }
}

/// Queues one order again; or which orders are to be, in slices.
pub fn redrive_or_all<H: Host>(call: &Call<'_, H>) -> Result<Option<SomeDead>, Stop> {
    let mut args = Args::new(call);
    if !args.keyword("ALL") {
        let order = args.id("order")?;
        args.end()?;
        let rule = Rule { streams: &[StreamKind::Orders], leaves: &[StreamKind::Dead], ..Rule::default() };
        let queued = write(call, rule, |store, now, fx| store.redrive(now, order, fx))?.reply;
        call.ctx.int(i64::from(queued));
        return Ok(None);
    }
    Ok(Some(some_dead(&mut args, AtDead::Redrive)?))
}

/// Reads `[REASON glob] [COUNT n]`: with which dead orders something is done.
fn some_dead(args: &mut Args<'_>, act: AtDead) -> Result<SomeDead, Refusal> {
    let (mut pattern, mut count) = (None, MAX_QUANTITY);
    while args.more() {
        if args.keyword("REASON") {
            pattern = Some(glob::compile("REASON", args.text("REASON")?)?);
        } else if args.keyword("COUNT") {
            count = args.quantity("COUNT")?;
        } else {
            args.unknown()?;
        }
    }
    let wanted = move |reason: &[u8]| pattern.as_ref().is_none_or(|pattern| pattern.is_match(reason));
    Ok(SomeDead { act, wanted: Rc::new(wanted), count })
}

pub const PURGE: Command = Command {
    about: About {
        name: c"ORDER.PURGE",
        summary: "Cancels dead orders: all of them, or those with a matching REASON",
        reply: "how many orders were cancelled, in the order they died. REASON is a pattern as in KEYS; COUNT stops \
                after that many. Each is cancelled as by ORDER.CANCEL without REASON; its units went back on sale \
                when it died",
        complexity: "O(N) with all dead orders, in slices of about a millisecond",
        since: "0.2.0",
        flags: "write blocking",
        access: Access::Update,
        args: &[Arg::key(), REASON, COUNT],
    },
    run: |call| begin(call, Task::Dead(purged(call)?)),
};

/// The dead orders that ORDER.PURGE names.
pub fn purged<H: Host>(call: &Call<'_, H>) -> Result<SomeDead, Refusal> {
    some_dead(&mut Args::new(call), AtDead::Cancel)
}

pub const ADVANCE: Command = Command {
    about: About {
        name: c"ORDER.ADVANCE",
        summary: "Sets the fulfilment step of an open order (accepted, picked, packed …) with its time; FROM makes \
                  it conditional",
        reply: "the version of the step: how many steps were set so far",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::text("step"),
            Arg::text("step").after("FROM"),
            Arg::integer("token").after("TOKEN"),
        ],
    },
    run: |call| advance(call),
};

pub fn advance<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut advance = Advance { order: args.id("order")?, step: args.id("step")?, from: None, token: None };
    while args.more() {
        if args.keyword("FROM") {
            advance.from = Some(args.id("FROM")?);
        } else if args.keyword("TOKEN") {
            advance.token = Some(token(&mut args)?);
        } else {
            args.unknown()?;
        }
    }
    let version = write(call, QUIET, |store, now, fx| store.advance(now, &advance, fx))?.reply;
    call.ctx.int(version as i64);
    Ok(())
}
