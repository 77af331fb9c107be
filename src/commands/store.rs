//! STORE.*: the store as a whole.

use super::args::Args;
use super::reply::{field_int, field_time, saturated};
use crate::host::ctx::Class;
use crate::host::register::{About, Access, Arg};
use crate::host::server::HostKey;
use crate::host::table::Command;
use crate::host::{Call, Ctx, Host, Stop};
use crate::store::keys::{any_store, read_store, streams_of};
use crate::store::slices::{Task, begin};
use crate::store::streams::Streams;
use crate::store::write::{Rule, write};
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::settings::{FIELDS, Field, Settings};
use holdfast_engine::terms::states::OrderState;

pub const SET: Command = Command {
    about: About {
        name: "STORE.SET",
        summary: "Sets fields of a store, which is made if there is none",
        reply: "OK",
        complexity: "O(N) with N fields",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -4,
        access: Access::Insert,
        args: &[Arg::key(), Arg::block("field-value", &[Arg::text("field"), Arg::text("value")]).many()],
    },
    name: c"STORE.SET",
    run: set,
    internal: false,
};

fn set(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut fields = Vec::with_capacity(FIELDS.len());
    while args.more() {
        let field = field(args.text("field")?)?;
        fields.push((field, value(&mut args, field)?));
    }
    let rule = Rule { makes: true, moves_nothing: true, ..Rule::default() };
    write(call, rule, |store, now, fx| store.configure(now, &fields, fx))?;
    call.ctx.status(c"OK");
    Ok(())
}

fn field(name: &[u8]) -> Result<Field, Refusal> {
    Field::by_name(name).ok_or_else(|| {
        let known: Vec<_> = FIELDS.iter().map(|field| field.name()).collect();
        Refusal::argument("field", format!("is {}, one of {} was wanted", super::args::shown(name), known.join(" ")))
    })
}

fn value(args: &mut Args<'_>, field: Field) -> Result<u64, Refusal> {
    if !field.is_switch() {
        return args.integer(field.name(), field.min() as i64, MAX_QUANTITY as i64).map(i64::unsigned_abs);
    }
    let text = args.text(field.name())?;
    match text.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(1),
        b"no" => Ok(0),
        _ => Err(Refusal::argument(field.name(), format!("is {}, yes or no was wanted", super::args::shown(text)))),
    }
}

pub const GET: Command = Command {
    about: About {
        name: "STORE.GET",
        summary: "Reads fields of a store, all of them if none is named",
        reply: "a map of the fields: integers, `paused` yes or no",
        complexity: "O(N) with N fields",
        since: "0.1.0",
        flags: "readonly fast",
        acl: "read fast",
        arity: -2,
        access: Access::Read,
        args: &[Arg::key(), Arg::text("field").opt().many()],
    },
    name: c"STORE.GET",
    run: get,
    internal: false,
};

fn get(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut fields = Vec::new();
    while args.more() {
        fields.push(field(args.text("field")?)?);
    }
    let value = read_store(call.ctx, call.key)?;
    let fields = if fields.is_empty() { FIELDS } else { &fields };
    call.ctx.map(fields.len());
    for field in fields {
        setting(call.ctx, value.store.settings(), *field);
    }
    Ok(())
}

fn setting(ctx: Ctx, settings: &Settings, field: Field) {
    let value = settings.get(field);
    if field.is_switch() {
        ctx.bulk(field.name().as_bytes());
        ctx.bulk(if value == 0 { b"no" } else { b"yes" });
    } else {
        field_int(ctx, field.name(), value as i64);
    }
}

pub const INFO: Command = Command {
    about: About {
        name: "STORE.INFO",
        summary: "Totals of a store: stock, orders by state, holds, customers, what is due, memory",
        reply: "a map: `skus`; `on_hand` `held` `available` `sold` over all SKUs (units); orders by state, `queued` to `cancelled`; live `holds`; `workers` with orders in hand; `customers`; `oldest-waiting-ms` (how long ago the order that is next was placed); `next-due` (time or nil); `bytes`; `oversold` (units held beyond what is on hand: 0 unless stock was counted below what is held); `overflow` (orders asked for, placed or refused OUTOFSTOCK, less completed); and what was counted since the store was made: `…-total`, and refusals by code, `refused-…`",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "readonly fast",
        acl: "read fast",
        arity: 2,
        access: Access::Read,
        args: &[Arg::key()],
    },
    name: c"STORE.INFO",
    run: info,
    internal: false,
};

fn info(call: &Call<'_>) -> Result<(), Stop> {
    let value = read_store(call.ctx, call.key)?;
    let (ctx, now) = (call.ctx, value.time_of(call));
    let mut info = value.store.info(now);
    info.counters.refused = info.counters.refused.with(&value.refused);
    let stock = [("on_hand", info.on_hand), ("held", info.held), ("available", info.available), ("sold", info.sold)];
    let counters = info.counters;
    let counted = [
        ("placed-total", counters.placed),
        ("completed-total", counters.completed),
        ("cancelled-total", counters.cancelled),
        ("units-returned-total", counters.returned),
        ("expired-total", counters.expired),
        ("units-sold-total", counters.units_sold),
        ("claimed-total", counters.claimed),
        ("failed-total", counters.failed),
        ("leases-ended-total", counters.lapsed),
        ("retried-total", counters.retried),
        ("dead-total", counters.dead),
        ("redriven-total", counters.redriven),
        ("late-total", counters.late),
    ];
    ctx.map(9 + stock.len() + OrderState::ALL.len() + counted.len() + Code::COUNT);
    field_int(ctx, "skus", info.skus as i64);
    stock.into_iter().for_each(|(name, sum)| field_int(ctx, name, saturated(sum)));
    OrderState::ALL.into_iter().for_each(|state| field_int(ctx, state.name(), info.orders[state as usize] as i64));
    field_int(ctx, "holds", info.holds as i64);
    field_int(ctx, "workers", info.workers as i64);
    field_int(ctx, "customers", info.customers as i64);
    field_int(ctx, "oldest-waiting-ms", info.oldest_waiting_ms as i64);
    field_time(ctx, "next-due", info.next_due);
    field_int(ctx, "bytes", value.bytes);
    field_int(ctx, "oversold", saturated(info.oversold));
    field_int(ctx, "overflow", info.overflow() as i64);
    counted.into_iter().for_each(|(name, count)| field_int(ctx, name, count as i64));
    Code::ALL.iter().for_each(|code| field_int(ctx, code.metric(), counters.refused.of(*code) as i64));
    Ok(())
}

pub const AUDIT: Command = Command {
    about: About {
        name: "STORE.AUDIT",
        summary: "Recounts the books from holds and orders, and compares the streams with them; lists what \
                  disagrees, nothing if they balance",
        reply: "an array of maps `what` `id` `books` `recount`; empty when the books balance. Of a stream: how many \
                entries it should have and has; where it has as many as it should but others, how many of them are right",
        complexity: "O(N) with N holds, orders, SKUs, customers and stream entries, in slices of about a millisecond",
        since: "0.1.0",
        flags: "readonly blocking",
        acl: "read slow blocking",
        arity: 2,
        access: Access::Read,
        args: &[Arg::key()],
    },
    name: c"STORE.AUDIT",
    run: |call| begin(call, Task::Audit),
    internal: false,
};

pub const REPAIR: Command = Command {
    about: About {
        name: "STORE.REPAIR",
        summary: "Makes the streams of orders, retries and dead letters what the books say: removes entries \
                  that belong to nothing, writes what is missing",
        reply: "how many entries it removed or wrote; an error, with nothing changed, if a stream takes no entry \
                any more: it says what to do",
        complexity: "O(M), and O(N*log(M)) if anything is missing, with N orders and M entries, in slices of about a \
                     millisecond",
        since: "0.1.0",
        flags: "write blocking",
        acl: "write slow blocking",
        arity: 2,
        access: Access::Update,
        args: &[Arg::key()],
    },
    name: c"STORE.REPAIR",
    run: |call| begin(call, Task::Repair),
    internal: false,
};

pub const DROP: Command = Command {
    about: About {
        name: "STORE.DROP",
        summary: "Removes a store and its streams; the memory is freed in the background",
        reply: "OK",
        complexity: "O(1), and O(N) in the background",
        since: "0.1.0",
        flags: "write",
        acl: "write slow",
        arity: 2,
        access: Access::Delete,
        args: &[Arg::key()],
    },
    name: c"STORE.DROP",
    run: drop_store,
    internal: false,
};

fn drop_store(call: &Call<'_>) -> Result<(), Stop> {
    let value = any_store(call.ctx, call.key)?.store()?;
    let stamp = value.time_of(call);
    // Streams that are another store's stay.
    if streams_of(call.ctx, call.key, &value).is_none() {
        Streams::new(call.ctx, call.key, stamp, call.stamp.is_none(), None).unlink()?;
    }
    value.into_key().unlink();
    call.ctx.signal_modified(call.key);
    if call.stamp.is_none() && !call.ctx.is_replayed() {
        call.ctx.replicate(call.key, stamp, call.name, call.rest);
    }
    call.ctx.notify(Class::Generic, c"del", call.key);
    call.ctx.status(c"OK");
    Ok(())
}
