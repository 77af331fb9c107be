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
        name: "STORE.INFO",
        summary: "Totals of a store: stock, orders by state, holds, customers, what is due, memory",
        reply: "a map: the numbers of `…:metrics` under the same names and in the same order, without those of one sample \
                (`p50-ms` `p99-ms` `max-ms`); `completed-kept` `cancelled-kept` (ended orders that are still remembered, \
                see `keep-ms`); `next-due` (when something is due next, nil if nothing is); `bytes`",
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
    let (key, value) = any_store(call.ctx, call.key)?;
    let value = value.ok_or(Refusal::NoStore)?;
    let stamp = call.time(value);
    // Streams that are another store's stay.
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
