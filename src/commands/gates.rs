//! ORDER.GATE, ORDER.PASS: what an order has to pass before workers get it.

use super::args::Args;
use super::reply::{field_int, field_text, field_time};
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::store::write::{QUIET, Rule, write};
use holdfast_engine::record::gate::{GateView, NewGate};
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::streams::StreamKind;

pub const GATE: Command = Command {
    about: About {
        name: c"ORDER.GATE",
        summary: "Puts a gate (a payment, a check) on an order that no worker has, or moves the gate's deadline",
        reply: "the gate's deadline, `ms` from now, Unix milliseconds; 0 for `ms` 0: no end. A queued or retrying \
                order becomes `pending` and keeps its place. An order has at most 8 gates. `BADSTATE` for a gate \
                that is passed",
        complexity: "O(log(M)) with M deadlines",
        since: "0.2.0",
        flags: "write fast",
        access: Access::Update,
        args: &[Arg::key(), Arg::text("order"), Arg::text("gate"), Arg::integer("ms")],
    },
    run: |call| gate(call),
};

pub fn gate<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let order = args.id("order")?;
    let gate = gate_named(&mut args)?;
    args.end()?;
    let rule = Rule { leaves: &[StreamKind::Retry], ..QUIET };
    let deadline = write(call, rule, |store, now, fx| store.gate(now, order, &gate, fx))?.reply;
    call.ctx.int(deadline as i64);
    Ok(())
}

pub const PASS: Command = Command {
    about: About {
        name: c"ORDER.PASS",
        summary: "Passes a gate of an order; with the last one the order is queued",
        reply: "how many gates the order has still to pass. 0: it is queued, at the end of its queue, or at its place \
                if it was queued before. Passing a gate again gets the first reply, `BADSTATE` once the order is \
                cancelled; `NOGATE` for a gate the order never had",
        complexity: "O(log(M)) with M deadlines and waiting orders",
        since: "0.2.0",
        flags: "write fast",
        access: Access::Update,
        args: &[Arg::key(), Arg::text("order"), Arg::text("gate")],
    },
    run: |call| pass(call),
};

pub fn pass<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (order, gate) = (args.id("order")?, args.id("gate")?);
    args.end()?;
    let rule = Rule { streams: &[StreamKind::Orders], ..QUIET };
    let left = write(call, rule, |store, now, fx| store.pass(now, order, gate, fx))?.reply;
    call.ctx.int(left as i64);
    Ok(())
}

/// A gate and its milliseconds.
pub fn gate_named<'a>(args: &mut Args<'a>) -> Result<NewGate<'a>, Refusal> {
    Ok(NewGate { name: args.id("gate")?, ms: args.count("ms")? })
}

/// The gates of an order, as ORDER.GET shows them.
pub fn reply_gates(ctx: impl Host, gates: &[GateView<'_>]) {
    ctx.bulk(b"gates");
    ctx.array(gates.len());
    for gate in gates {
        ctx.map(3);
        field_text(ctx, "gate", gate.name);
        field_time(ctx, "deadline", gate.deadline);
        field_int(ctx, "passed", i64::from(gate.is_passed));
    }
}
