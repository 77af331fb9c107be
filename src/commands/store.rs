//! STORE.*: the store as a whole.

use super::args::Args;
use super::reply::{field_int, field_time, saturated};
use crate::host::ctx::Class;
use crate::host::register::{About, Access, Arg};
use crate::host::server::HostKey;
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::store::keys::{any_store, read_store, streams_of};
use crate::store::slices::{Task, begin};
use crate::store::streams::Streams;
use crate::store::write::{Rule, write};
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::terms::metrics::METRICS;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::settings::{FIELDS, Field, Settings};
use holdfast_engine::terms::states::OrderState;

pub const SET: Command = Command {
    about: About {
        name: c"STORE.SET",
        summary: "Sets settings of a store, and creates the store if it does not exist",
        reply: "OK. The table of settings, with units and defaults, is in docs/commands.md",
        complexity: "O(N) with N settings",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Insert,
        args: &[Arg::key(), Arg::block("field-value", &[Arg::text("field"), Arg::text("value")]).many()],
    },
    run: |call| set(call),
};

pub fn set<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
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
    run: |call| get(call),
};

pub fn get<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
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

fn setting(ctx: impl Host, settings: &Settings, field: Field) {
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
    run: |call| info(call),
};

pub fn info<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let value = read_store(call.ctx, call.key)?;
    let (ctx, now) = (call.ctx, value.time_of(call));
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

pub const LANES: Command = Command {
    about: About {
        name: c"STORE.LANES",
        summary: "Lists the lanes of a store: how many orders wait in each, are worked on and are retried",
        reply: "an array of maps `lane` (empty for the default one) `queued` `in-work` `retrying` `oldest-waiting-ms` \
                (how long ago the order that is next in the lane was placed, 0 if none waits), sorted by name. A lane \
                is listed while an order that has not ended, or a dead one, is in it",
        complexity: "O(N*log(N)) with N lanes, at most 65",
        since: "0.2.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key()],
    },
    run: |call| lanes(call),
};

pub fn lanes<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let value = read_store(call.ctx, call.key)?;
    let (ctx, lanes) = (call.ctx, value.store.lanes(value.time_of(call)));
    ctx.array(lanes.len());
    for view in lanes {
        ctx.map(5);
        ctx.bulk(b"lane");
        ctx.bulk(view.lane);
        field_int(ctx, "queued", view.queued as i64);
        field_int(ctx, "in-work", view.in_work as i64);
        field_int(ctx, "retrying", view.retrying as i64);
        field_int(ctx, "oldest-waiting-ms", view.oldest_waiting_ms as i64);
    }
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
    run: |call| drop_store(call),
};

pub fn drop_store<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let value = any_store(call.ctx, call.key)?.store()?;
    let stamp = value.time_of(call);
    // Streams that belong to another store are not deleted.
    if streams_of(call.ctx, call.key, &value).is_none() {
        Streams::new(call.ctx, call.key, stamp, call.stamp.is_none(), None).unlink()?;
    }
    value.into_key().unlink();
    call.ctx.signal_modified(call.key);
    if call.stamp.is_none() && !call.ctx.flags().replayed() {
        call.ctx.replicate(call.key, stamp, call.name, call.rest);
    }
    call.ctx.notify(Class::Generic, c"del", call.key);
    call.ctx.status(c"OK");
    Ok(())
}
