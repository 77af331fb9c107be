//! STORE.*: the store as a whole.

use super::args::Args;
use super::reply::{field_int, field_time, saturated};
use crate::server::keys::{any_store, read_store, streams_of};
use crate::server::register::{About, Access, Arg};
use crate::server::slices::{Task, begin};
use crate::server::streams::{Streams, signal_modified};
use crate::server::table::Command;
use crate::server::wire;
use crate::server::write::{Rule, write};
use crate::server::{Call, Ctx, Stop};
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::terms::metrics::METRICS;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::settings::{FIELDS, Field, Settings};
use holdfast_engine::terms::states::OrderState;

pub const SET: Command = Command {
    about: About {
        name: c"STORE.SET",
        summary: "Sets settings of a store, and creates the store if it does not exist",
        reply: "OK. The settings, their units and defaults: see the table at the end",
        complexity: "O(N) with N settings",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Insert,
        args: &[Arg::key(), Arg::block("field-value", &[Arg::text("field"), Arg::text("value")]).many()],
    },
    run: set,
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
        Refusal::argument("field", format!("must be one of {}, got {}", known.join(" "), super::args::shown(name)))
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
        _ => Err(Refusal::argument(field.name(), format!("must be yes or no, got {}", super::args::shown(text)))),
    }
}

pub const GET: Command = Command {
    about: About {
        name: c"STORE.GET",
        summary: "Returns settings of a store, or all of them",
        reply: "a map of the settings: integers, `paused` yes or no",
        complexity: "O(N) with N settings",
        since: "0.1.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key(), Arg::text("field").opt().many()],
    },
    run: get,
};

fn get(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let mut fields = Vec::new();
    while args.more() {
        fields.push(field(args.text("field")?)?);
    }
    let (_key, value) = read_store(call.ctx, call.key)?;
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
        name: c"STORE.INFO",
        summary: "Returns counters and totals of a store: stock, orders by state, holds, customers, workers, next \
                  deadline, memory",
        reply: "a map: the numbers of `…:metrics` under the same names and in the same order, without those that \
                exist only in a sample (`p50-ms` `p99-ms` `max-ms`); `completed-kept` `cancelled-kept` (ended orders \
                that are still remembered, see `keep-ms`); `next-due` (the next deadline, Unix milliseconds, nil if \
                there is no deadline); `bytes` (memory)",
        complexity: "O(1)",
        since: "0.1.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key()],
    },
    run: info,
};

fn info(call: &Call<'_>) -> Result<(), Stop> {
    let (_key, value) = read_store(call.ctx, call.key)?;
    let (ctx, now) = (call.ctx, call.time(value));
    let mut info = value.store.info(now);
    info.counters.refused = info.counters.refused.with(&value.refused);
    let kept = |state: OrderState| info.orders[state as usize];
    let numbers: Vec<u64> = info.numbers().collect();
    ctx.map(numbers.len() + 4);
    METRICS.iter().zip(numbers).for_each(|(metric, number)| field_int(ctx, metric.name, saturated(number.into())));
    field_int(ctx, "completed-kept", kept(OrderState::Completed) as i64);
    field_int(ctx, "cancelled-kept", kept(OrderState::Cancelled) as i64);
    field_time(ctx, "next-due", info.next_due);
    field_int(ctx, "bytes", value.bytes);
    Ok(())
}

pub const AUDIT: Command = Command {
    about: About {
        name: c"STORE.AUDIT",
        summary: "Recounts stock, customers and queues from the holds and orders, compares the streams with them, \
                  and lists what differs",
        reply: "an array of maps `what` `id` `books` `recount`; empty when nothing differs. For a stream: how many \
                entries it should have and has; if these are equal but some entries are wrong, how many are right",
        complexity: "O(N) with N holds, orders, SKUs, customers and stream entries, in slices of about a millisecond",
        since: "0.1.0",
        flags: "readonly blocking",
        access: Access::Read,
        args: &[Arg::key()],
    },
    run: |call| begin(call, Task::Audit),
};

pub const REPAIR: Command = Command {
    about: About {
        name: c"STORE.REPAIR",
        summary: "Repairs the streams of open orders, retries and dead letters: removes entries that belong to no \
                  order, writes missing ones",
        reply: "how many entries it removed or wrote. If a stream can take no more entries: an error that says what \
                to do, and nothing is changed",
        complexity: "O(M), and O(N*log(M)) if entries are missing, with N orders and M entries, in slices of about a \
                     millisecond",
        since: "0.1.0",
        flags: "write blocking",
        access: Access::Update,
        args: &[Arg::key()],
    },
    run: |call| begin(call, Task::Repair),
};

pub const DROP: Command = Command {
    about: About {
        name: c"STORE.DROP",
        summary: "Deletes a store and its streams; the memory is freed in the background",
        reply: "OK",
        complexity: "O(1), and O(N) in the background",
        since: "0.1.0",
        flags: "write",
        access: Access::Delete,
        args: &[Arg::key()],
    },
    run: drop_store,
};

fn drop_store(call: &Call<'_>) -> Result<(), Stop> {
    let (key, value) = any_store(call.ctx, call.key)?;
    let value = value.ok_or(Refusal::NoStore)?;
    let stamp = call.time(value);
    // Streams that belong to another store are not deleted.
    if streams_of(call.ctx, call.key, value).is_none() {
        Streams::new(call.ctx, call.key, stamp, call.stamp.is_none(), None).unlink()?;
    }
    key.unlink();
    drop(key);
    signal_modified(call.ctx, call.key);
    if call.stamp.is_none() && !call.ctx.is_replayed() {
        wire::replicate(call.ctx, call.key, stamp, call.name, call.rest);
    }
    call.ctx.notify_deleted(call.key);
    call.ctx.status(c"OK");
    Ok(())
}
