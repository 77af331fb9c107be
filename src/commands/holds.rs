//! INV.RESERVE, INV.EXTEND, INV.COMMIT, INV.RELEASE, INV.HOLD, INV.HOLDS: units set aside until a deadline.

use super::args::{Args, scan_count};
use super::reply::{field_int, field_text, field_time, scan};
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::store::keys::read_store;
use crate::store::write::{QUIET, Rule, write};
use holdfast_engine::calls::holds::{Close, Reserve};
use holdfast_engine::record::hold::HoldView;
use holdfast_engine::store::Store;
use holdfast_engine::terms::items::Item;
use holdfast_engine::terms::refusal::Refusal;

pub const RESERVE: Command = Command {
    about: About {
        name: c"INV.RESERVE",
        summary: "Holds units until a deadline: all items or none. With REPLACE the hold becomes exactly this, \
                  whatever it was before: live or ended, or of another customer",
        reply: "when the hold expires, Unix milliseconds; never later than `hold-max-ms` lets it live, whatever TTL \
                says. The same call sent again (with the items in any order) gets the same reply while the hold is \
                live, and `EXPIRED` or `BADSTATE` after it has ended, until it is forgotten (`keep-ms`). With \
                REPLACE the hold's own units are never in the way: of stock and limits only what it has more than \
                before is taken, and what it has less is given back. Units that were committed stay sold. A live \
                hold that is replaced keeps its start, from which `hold-max-ms` counts; one that ended starts anew. \
                A hold that became an order is refused with `BADSTATE`. Refused, the hold stays as it was",
        complexity: "O(N*log(H)) with N items and H holds",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("hold"),
            Arg::text("customer").after("CUSTOMER"),
            Arg::integer("ms").after("TTL"),
            Arg::word("replace", "REPLACE"),
            Arg::items(),
        ],
    },
    run: |call| reserve(call),
};

pub fn reserve<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let hold = args.id("hold")?;
    let (mut customer, mut ttl_ms, mut replace) = (None, None, false);
    while !args.keyword("ITEMS") {
        if args.keyword("CUSTOMER") {
            customer = Some(args.id("CUSTOMER")?);
        } else if args.keyword("TTL") {
            ttl_ms = Some(args.duration("TTL")?);
        } else if args.keyword("REPLACE") {
            replace = true;
        } else {
            args.needs("ITEMS")?;
        }
    }
    let items = args.items()?;
    let reserve = Reserve { hold, customer, ttl_ms, replace, items: &items };
    let new = |store: &Store| store.hold_len(hold).is_none_or(|len| replace && count_skus(&items) > len);
    let rule = Rule { frees: replace, takes_in: Some(&new), ..Rule::default() };
    let deadline = write(call, rule, |store, now, fx| store.reserve(now, &reserve, fx))?.reply;
    call.ctx.int(deadline as i64);
    Ok(())
}

/// How many SKUs are named: the same one twice is added up.
fn count_skus(items: &[Item<'_>]) -> usize {
    let mut skus: Vec<_> = items.iter().map(|item| item.sku).collect();
    skus.sort_unstable();
    skus.dedup();
    skus.len()
}

pub const EXTEND: Command = Command {
    about: About {
        name: c"INV.EXTEND",
        summary: "Moves a hold's deadline to this many milliseconds from now, never to an earlier time",
        reply: "when the hold expires now, Unix milliseconds; never later than `hold-max-ms` from its start",
        complexity: "O(log(H)) with H holds",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[Arg::key(), Arg::text("hold"), Arg::integer("ms")],
    },
    run: |call| extend(call),
};

pub fn extend<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (hold, ms) = (args.id("hold")?, args.duration("ms")?);
    args.end()?;
    let deadline = write(call, QUIET, |store, now, fx| store.extend(now, hold, ms, fx))?.reply;
    call.ctx.int(deadline as i64);
    Ok(())
}

const CLOSE_ARGS: &[Arg] = &[Arg::key(), Arg::text("hold"), Arg::text("id").after("REF"), Arg::items().opt()];

pub const COMMIT: Command = Command {
    about: About {
        name: c"INV.COMMIT",
        summary: "Sells a hold's units, or some of them: they are subtracted from on-hand",
        reply: "the units left in the hold",
        complexity: "O(N*log(H)) with N items and H holds",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: CLOSE_ARGS,
    },
    run: |call| close(call, true),
};

pub const RELEASE: Command = Command {
    about: About {
        name: c"INV.RELEASE",
        summary: "Releases a hold's units, or some of them: they can be sold again",
        reply: "the units left in the hold",
        complexity: "O(N*log(H)) with N items and H holds",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: CLOSE_ARGS,
    },
    run: |call| close(call, false),
};

pub fn close<H: Host>(call: &Call<'_, H>, commit: bool) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let hold = args.id("hold")?;
    let (mut reference, mut items) = (None, None);
    while args.more() {
        if args.keyword("REF") {
            reference = Some(args.id("REF")?);
        } else if args.keyword("ITEMS") {
            items = Some(args.items()?);
        } else {
            args.unknown()?;
        }
    }
    let close = Close { hold, commit, reference, items: items.as_deref() };
    let left =
        write(call, Rule { frees: true, ..Rule::default() }, |store, now, fx| store.close_hold(now, &close, fx))?.reply;
    call.ctx.int(left as i64);
    Ok(())
}

pub const HOLD: Command = Command {
    about: About {
        name: c"INV.HOLD",
        summary: "Returns everything that is known about a hold",
        reply: "a map: `hold` `state` (live, committed, released, expired or ordered) `customer` `expires-at` \
                `ended-at` (Unix milliseconds) `left` (units) `items` (maps: `sku` `qty` `left` `committed`); nil \
                for what is not set",
        complexity: "O(N) with N items",
        since: "0.1.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key(), Arg::text("hold")],
    },
    run: |call| hold(call),
};

pub fn hold<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let id = args.id("hold")?;
    args.end()?;
    let value = read_store(call.ctx, call.key)?;
    let view = value.store.hold(id).ok_or_else(|| Refusal::NoHold(id.into()))?;
    reply_hold(call.ctx, &view);
    Ok(())
}

fn reply_hold(ctx: impl Host, hold: &HoldView<'_>) {
    ctx.map(7);
    field_text(ctx, "hold", hold.id);
    field_text(ctx, "state", hold.state.name().as_bytes());
    field_text(ctx, "customer", hold.customer);
    field_time(ctx, "expires-at", hold.deadline);
    field_time(ctx, "ended-at", hold.ended_at);
    field_int(ctx, "left", hold.left as i64);
    ctx.bulk(b"items");
    ctx.array(hold.items.len());
    for item in &hold.items {
        ctx.map(4);
        field_text(ctx, "sku", item.sku);
        field_int(ctx, "qty", item.qty as i64);
        field_int(ctx, "left", item.left as i64);
        field_int(ctx, "committed", item.committed as i64);
    }
}

pub const HOLDS: Command = Command {
    about: About {
        name: c"INV.HOLDS",
        summary: "Iterates over the live holds of a store, or of one customer",
        reply: "an array of the next cursor (0 at the end) and an array of hold ids",
        complexity: "O(N) with COUNT N",
        since: "0.1.0",
        flags: "readonly",
        access: Access::Read,
        args: &[
            Arg::key(),
            Arg::integer("cursor"),
            Arg::text("customer").after("CUSTOMER"),
            Arg::integer("count").after("COUNT"),
        ],
    },
    run: |call| holds(call),
};

pub fn holds<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let cursor = args.cursor()?;
    let (mut customer, mut count) = (None, None);
    while args.more() {
        if args.keyword("CUSTOMER") {
            customer = Some(args.id("CUSTOMER")?);
        } else if args.keyword("COUNT") {
            count = Some(args.scan_count()?);
        } else {
            args.unknown()?;
        }
    }
    let value = read_store(call.ctx, call.key)?;
    scan(call.ctx, value.store.scan_holds(cursor, scan_count(count), customer));
    Ok(())
}
