//! INV.SET, INV.ADJUST, INV.GET, INV.SCAN, INV.SYNC: counts of stock.

use super::args::{Args, scan_count};
use super::glob;
use super::reply::{field_int, scan};
use crate::host::register::{About, Access, Arg, Kind};
use crate::host::table::Command;
use crate::host::{Call, Ctx, Stop};
use crate::store::keys::read_store;
use crate::store::write::{Rule, write};
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::calls::stock::{Adjust, SetStock, SyncCounts, Synced};
use holdfast_engine::record::sku::SkuView;
use holdfast_engine::store::Store;
use holdfast_engine::terms::refusal::Refusal;

pub const SET: Command = Command {
    about: About {
        name: "INV.SET",
        summary: "Sets the count of a SKU; makes store and SKU; replies what is available",
        reply: "the units available, negative when the count is below what is held",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -4,
        access: Access::Insert,
        args: &[
            Arg::key(),
            Arg::text("sku"),
            Arg::integer("on-hand"),
            Arg::integer("safety").after("SAFETY"),
            Arg::integer("low").after("LOW"),
            Arg::integer("limit").after("LIMIT"),
        ],
    },
    name: c"INV.SET",
    run: set,
    internal: false,
};

fn set(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut set =
        SetStock { sku: args.id("sku")?, on_hand: args.count("on-hand")?, safety: None, low: None, limit: None };
    while args.more() {
        if args.keyword("SAFETY") {
            set.safety = Some(args.count("SAFETY")?);
        } else if args.keyword("LOW") {
            set.low = Some(args.count("LOW")?);
        } else if args.keyword("LIMIT") {
            set.limit = Some(args.count("LIMIT")?);
        } else {
            args.unknown()?;
        }
    }
    let new = |store: &Store| !store.has_sku(set.sku);
    let rule = Rule { makes: true, takes_in: Some(&new), ..Rule::default() };
    let available = write(call, rule, |store, now, fx| store.set_stock(now, &set, fx))?.reply;
    call.ctx.int(available);
    Ok(())
}

pub const ADJUST: Command = Command {
    about: About {
        name: "INV.ADJUST",
        summary: "Adds to or takes from the count of a SKU, never below 0; replies on_hand",
        reply: "on_hand; `BADSTATE` with on-hand and the delta where it would fall below 0",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -4,
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("sku"),
            Arg::integer("delta"),
            Arg::text("reason").after("REASON"),
            Arg::text("id").after("REF"),
        ],
    },
    name: c"INV.ADJUST",
    run: adjust,
    internal: false,
};

fn adjust(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let sku = args.id("sku")?;
    let delta = args.integer("delta", -(MAX_QUANTITY as i64), MAX_QUANTITY as i64)?;
    if delta == 0 {
        return Err(Refusal::argument("delta", "is 0, units more or less were wanted").into());
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
    let on_hand = write(call, Rule::default(), |store, now, fx| store.adjust(now, &adjust, fx))?.reply;
    call.ctx.int(on_hand as i64);
    Ok(())
}

pub const GET: Command = Command {
    about: About {
        name: "INV.GET",
        summary: "The books of SKUs: a map each, nil for one that is not known",
        reply: "an array of maps: `on_hand` `held` `safety` `low` `available` `sold` `limit` (units); nil for a SKU that is not known",
        complexity: "O(N) with N SKUs",
        since: "0.1.0",
        flags: "readonly fast",
        acl: "read fast",
        arity: -3,
        access: Access::Read,
        args: &[Arg::key(), Arg::text("sku").many()],
    },
    name: c"INV.GET",
    run: get,
    internal: false,
};

fn get(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut skus = Vec::with_capacity(call.rest.len());
    while args.more() {
        skus.push(args.id("sku")?);
    }
    let value = read_store(call.ctx, call.key)?;
    call.ctx.array(skus.len());
    for sku in skus {
        match value.store.sku(sku) {
            Some(view) => books(call.ctx, &view),
            None => call.ctx.null(),
        }
    }
    Ok(())
}

fn books(ctx: Ctx, sku: &SkuView) {
    ctx.map(7);
    field_int(ctx, "on_hand", sku.on_hand as i64);
    field_int(ctx, "held", sku.held as i64);
    field_int(ctx, "safety", sku.safety as i64);
    field_int(ctx, "low", sku.low as i64);
    field_int(ctx, "available", sku.available);
    field_int(ctx, "sold", sku.sold as i64);
    field_int(ctx, "limit", sku.limit as i64);
}

pub const SCAN: Command = Command {
    about: About {
        name: "INV.SCAN",
        summary: "Goes through the SKUs of a store",
        reply: "the next cursor (0 at the end) and an array of SKUs",
        complexity: "O(N) with COUNT N",
        since: "0.1.0",
        flags: "readonly",
        acl: "read slow",
        arity: -3,
        access: Access::Read,
        args: &[
            Arg::key(),
            Arg::integer("cursor"),
            Arg { kind: Kind::Pattern, ..Arg::text("pattern").after("MATCH") },
            Arg::integer("count").after("COUNT"),
            Arg::word("low", "LOW"),
        ],
    },
    name: c"INV.SCAN",
    run: scan_skus,
    internal: false,
};

fn scan_skus(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let cursor = args.cursor()?;
    let (mut pattern, mut count, mut low) = (None, None, false);
    while args.more() {
        if args.keyword("MATCH") {
            pattern = Some(glob::compile(args.text("MATCH")?)?);
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
        name: "INV.SYNC",
        summary: "Applies counts from an outside system's numbered feed, each number once and in order",
        reply: "APPLIED, or DUPLICATE for a number that was applied before. The counts are absolute, as by INV.SET: one that was taken before an order completed, and applied after, puts the units back that were sold in between. A source that can tell changes is better applied with INV.ADJUST and a REF",
        complexity: "O(N) with N SKUs",
        since: "0.1.0",
        flags: "write",
        acl: "write slow",
        arity: -7,
        access: Access::Insert,
        args: &[
            Arg::key(),
            Arg::text("source"),
            Arg::integer("seq"),
            Arg::block("items", &[Arg::text("sku"), Arg::integer("on-hand")]).with("ITEMS").many(),
        ],
    },
    name: c"INV.SYNC",
    run: sync,
    internal: false,
};

fn sync(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (source, seq) = (args.id("source")?, args.count("seq")?);
    if !args.keyword("ITEMS") {
        args.unknown()?;
    }
    let counts = args.counts()?;
    let sync = SyncCounts { source, seq, counts: &counts };
    let new = |store: &Store| store.sync_makes_skus(&sync);
    let rule = Rule { makes: true, takes_in: Some(&new), ..Rule::default() };
    let synced = write(call, rule, |store, now, fx| store.sync(now, &sync, fx))?.reply;
    call.ctx.status(match synced {
        Synced::Applied => c"APPLIED",
        Synced::Duplicate => c"DUPLICATE",
    });
    Ok(())
}
