//! INV.SET, INV.ADJUST, INV.GET, INV.SCAN, INV.SYNC: counts of stock.

use super::args::{Args, scan_count};
use super::glob;
use super::reply::{field_int, field_text, scan};
use crate::host::register::{About, Access, Arg, Kind};
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::store::keys::read_store;
use crate::store::write::{Rule, write};
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::calls::stock::{Adjust, SetStock, SyncCounts, Synced};
use holdfast_engine::record::sku::SkuView;
use holdfast_engine::store::Store;
use holdfast_engine::terms::refusal::Refusal;

pub const SET: Command = Command {
    about: About {
        name: c"INV.SET",
        summary: "Sets the absolute count of a SKU; creates the store and the SKU if they do not exist",
        reply: "the units available; negative if the count is below the units held. Units that orders wait for go to \
                them. BACKLOG: at most so many units may be waited for (ORDER.PLACE … WAIT), 0: nobody may wait, \
                9007199254740991: no bound, as from the start",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Insert,
        args: &[
            Arg::key(),
            Arg::text("sku"),
            Arg::integer("on-hand"),
            Arg::integer("safety").after("SAFETY"),
            Arg::integer("low").after("LOW"),
            Arg::integer("limit").after("LIMIT"),
            Arg::integer("backlog").after("BACKLOG"),
        ],
    },
    run: |call| set(call),
};

pub fn set<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (sku, on_hand) = (args.id("sku")?, args.count("on-hand")?);
    let mut set = SetStock { sku, on_hand, safety: None, low: None, limit: None, backlog: None };
    while args.more() {
        if args.keyword("SAFETY") {
            set.safety = Some(args.count("SAFETY")?);
        } else if args.keyword("LOW") {
            set.low = Some(args.count("LOW")?);
        } else if args.keyword("LIMIT") {
            set.limit = Some(args.count("LIMIT")?);
        } else if args.keyword("BACKLOG") {
            set.backlog = Some(args.count("BACKLOG")?);
        } else {
            args.unknown()?;
        }
    }
    let new = |store: &Store| !store.has_sku(set.sku);
    let rule = Rule { makes: true, frees: true, takes_in: Some(&new), ..Rule::default() };
    let available = write(call, rule, |store, now, fx| store.set_stock(now, &set, fx))?.reply;
    call.ctx.int(available);
    Ok(())
}

pub const ADJUST: Command = Command {
    about: About {
        name: c"INV.ADJUST",
        summary: "Adds units to a SKU or removes some, never below 0",
        reply: "the new on-hand count; `BADSTATE` with on-hand and the delta if it would fall below 0",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("sku"),
            Arg::integer("delta"),
            Arg::text("reason").after("REASON"),
            Arg::text("id").after("REF"),
        ],
    },
    run: |call| adjust(call),
};

pub fn adjust<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let sku = args.id("sku")?;
    let delta = args.integer("delta", -(MAX_QUANTITY as i64), MAX_QUANTITY as i64)?;
    if delta == 0 {
        return Err(Refusal::argument("delta", "must not be 0").into());
    }
    let mut adjust = Adjust { sku, delta, reason: b"", reference: None };
    while args.more() {
        if args.keyword("REASON") {
            adjust.reason = args.text("REASON")?;
        } else if args.keyword("REF") {
            adjust.reference = Some(args.id("REF")?);
        } else {
            args.unknown()?;
        }
    }
    let rule = Rule { frees: true, ..Rule::default() };
    let on_hand = write(call, rule, |store, now, fx| store.adjust(now, &adjust, fx))?.reply;
    call.ctx.int(on_hand as i64);
    Ok(())
}

pub const GET: Command = Command {
    about: About {
        name: c"INV.GET",
        summary: "Returns the counts of SKUs",
        reply: "an array with a map for each SKU: `on-hand` `held` `safety` `low` `available` `sold` `limit` \
                `waiting` (units that orders wait for) `backlog` (the most that may be waited for; nil: no bound); \
                nil for an unknown SKU",
        complexity: "O(N) with N SKUs",
        since: "0.1.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key(), Arg::text("sku").many()],
    },
    run: |call| get(call),
};

pub fn get<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut skus = Vec::with_capacity(call.rest.len());
    while args.more() {
        skus.push(args.id("sku")?);
    }
    let value = read_store(call.ctx, call.key)?;
    call.ctx.array(skus.len());
    for sku in skus {
        match value.store.sku(sku) {
            Some(view) => reply_sku(call.ctx, &view),
            None => call.ctx.null(),
        }
    }
    Ok(())
}

fn reply_sku(ctx: impl Host, sku: &SkuView) {
    ctx.map(9);
    field_int(ctx, "on-hand", sku.on_hand as i64);
    field_int(ctx, "held", sku.held as i64);
    field_int(ctx, "safety", sku.safety as i64);
    field_int(ctx, "low", sku.low as i64);
    field_int(ctx, "available", sku.available);
    field_int(ctx, "sold", sku.sold as i64);
    field_int(ctx, "limit", sku.limit as i64);
    field_int(ctx, "waiting", sku.waiting as i64);
    match sku.backlog {
        Some(backlog) => field_int(ctx, "backlog", backlog as i64),
        None => field_text(ctx, "backlog", b""),
    }
}

pub const SCAN: Command = Command {
    about: About {
        name: c"INV.SCAN",
        summary: "Iterates over the SKUs of a store",
        reply: "an array of the next cursor (0 at the end) and an array of SKUs",
        complexity: "O(N) with COUNT N",
        since: "0.1.0",
        flags: "readonly",
        access: Access::Read,
        args: &[
            Arg::key(),
            Arg::integer("cursor"),
            Arg { kind: Kind::Pattern, ..Arg::text("pattern").after("MATCH") },
            Arg::integer("count").after("COUNT"),
            Arg::word("low", "LOW"),
        ],
    },
    run: |call| scan_skus(call),
};

pub fn scan_skus<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let cursor = args.cursor()?;
    let (mut pattern, mut count, mut low) = (None, None, false);
    while args.more() {
        if args.keyword("MATCH") {
            pattern = Some(glob::compile("MATCH", args.text("MATCH")?)?);
        } else if args.keyword("COUNT") {
            count = Some(args.scan_count()?);
        } else if args.keyword("LOW") {
            low = true;
        } else {
            args.unknown()?;
        }
    }
    let value = read_store(call.ctx, call.key)?;
    let wanted =
        |id: &[u8], is_low: bool| (!low || is_low) && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
    scan(call.ctx, value.store.scan_skus(cursor, scan_count(count), wanted));
    Ok(())
}

pub const SYNC: Command = Command {
    about: About {
        name: c"INV.SYNC",
        summary: "Applies counts from an external system's numbered feed, each number once and in order",
        reply: "APPLIED, or DUPLICATE if this number was applied before. The counts are absolute, as with INV.SET: a \
                count taken before an order completed, and applied after that, puts the units back that were sold in \
                between. If a source can send changes, use INV.ADJUST with REF instead",
        complexity: "O(N) with N SKUs",
        since: "0.1.0",
        flags: "write",
        access: Access::Insert,
        args: &[
            Arg::key(),
            Arg::text("source"),
            Arg::integer("seq"),
            Arg::block("items", &[Arg::text("sku"), Arg::integer("on-hand")]).with("ITEMS").many(),
        ],
    },
    run: |call| sync(call),
};

pub fn sync<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (source, seq) = (args.id("source")?, args.count("seq")?);
    args.expect("ITEMS")?;
    let counts = args.counts()?;
    let sync = SyncCounts { source, seq, counts: &counts };
    let new = |store: &Store| store.sync_makes_skus(&sync);
    let rule = Rule { makes: true, frees: true, takes_in: Some(&new), ..Rule::default() };
    let synced = write(call, rule, |store, now, fx| store.sync(now, &sync, fx))?.reply;
    call.ctx.status(match synced {
        Synced::Applied => c"APPLIED",
        Synced::Duplicate => c"DUPLICATE",
    });
    Ok(())
}
