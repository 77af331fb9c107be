//! HOLDFAST.APPLY: a stamped command, as a primary replicates it and a log keeps it. Refused for everyone else.

use crate::server::keys::write_store;
use crate::server::register::{About, Access, Arg};
use crate::server::streams::{RawId, Streams, kind_name, signal_modified};
use crate::server::table::{Command, find};
use crate::server::value::load_piece;
use crate::server::{Call, Stop, Str, deadlines, gate, locks, wire, write};
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::metrics::Refused;
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::streams::{EntryId, StreamKind};

pub const APPLY: Command = Command {
    about: About {
        name: wire::APPLY,
        summary: "Applies a stamped command from a primary or an append-only file; not for clients",
        reply: "that of the command",
        complexity: "That of the command",
        since: "0.1.0",
        flags: "write no-monitor",
        access: Access::Insert,
        args: &[Arg::key(), Arg::integer("stamp"), Arg::text("command"), Arg::text("argument").opt().many()],
    },
    run: apply,
};

pub const MAY_WRITE: Command = Command {
    about: About {
        name: gate::MAY_WRITE,
        summary: "Does nothing; the module uses it to ask the server whether a write on these keys is allowed now",
        reply: "OK",
        complexity: "O(1)",
        since: "0.2.0",
        flags: "write no-monitor no-slowlog",
        access: Access::Update,
        args: &[Arg::key().many()],
    },
    run: |call| {
        call.ctx.status(c"OK");
        Ok(())
    },
};

fn apply(call: &Call<'_>) -> Result<(), Stop> {
    if !call.ctx.is_replayed() {
        let text = "ERR HOLDFAST.APPLY is what a primary sends its replicas and its log; call the command itself";
        return Err(Stop::Server(text.into()));
    }
    let words = call.rest;
    let [stamp, name, rest @ ..] = words else { return Err(malformed("arguments")) };
    let stamp = stamp.integer().and_then(|n| Ms::try_from(n).ok()).ok_or_else(|| malformed("stamp"))?;
    let call = Call { ctx: call.ctx, name: wire::APPLY, key: call.key, rest, stamp: Some(stamp) };
    let result = match name.bytes() {
        name if name == wire::SWEEP.to_bytes() => sweep(&call),
        name if name == wire::SAMPLE.to_bytes() => sample(&call),
        name if name == wire::TAKE_BACK.to_bytes() => take_back(&call),
        name if name == wire::REENTRY.to_bytes() => reentry(&call),
        name if name == wire::REMOVED.to_bytes() => removed(&call),
        name if name == wire::LOAD.to_bytes() => load(&call),
        name if name == wire::LOCK_SWEEP.to_bytes() => locks::apply_sweep(&call),
        name if name == wire::LOCK_LOAD.to_bytes() => locks::apply_load(&call),
        name => match find(name).filter(|command| !command.about.is_internal()) {
            Some(command) => (command.run)(&call),
            None => Err(malformed("command")),
        },
    };
    if let Err(Stop::Refused(refusal)) = &result {
        // The primary accepted it, so the state here differs from the state there.
        call.ctx.warn(&format!("a replicated {} was refused: {refusal}", name.bytes().escape_ascii()));
    }
    if result.is_ok() && call.ctx.flags().logs_replayed() {
        wire::log(call.ctx, wire::APPLY, call.key, words);
    }
    result
}

fn malformed(what: &str) -> Stop {
    Stop::Server(format!("ERR HOLDFAST.APPLY with a {what} this version does not know"))
}

fn integer(arg: Option<&Str>) -> Result<u64, Stop> {
    arg.and_then(|arg| arg.integer()).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| malformed("number"))
}

fn sweep(call: &Call<'_>) -> Result<(), Stop> {
    let budget = integer(call.rest.first())?;
    let (_key, value) = write_store(call.ctx, call.key)?;
    let value = value.ok_or(Refusal::NoStore)?;
    let now = call.time(value);
    write::sweep(call, value, now, budget);
    call.ctx.status(c"OK");
    Ok(())
}

fn sample(call: &Call<'_>) -> Result<(), Stop> {
    let mut refused = Refused::default();
    for pair in call.rest.chunks(2) {
        let at = Code::ALL.iter().position(|code| code.metric().as_bytes() == pair[0].bytes());
        refused.0[at.ok_or_else(|| malformed("refusal"))?] = integer(pair.get(1))?;
    }
    let (_key, value) = write_store(call.ctx, call.key)?;
    let value = value.ok_or(Refusal::NoStore)?;
    let now = call.time(value);
    write::sample(call, value, now, &refused);
    call.ctx.status(c"OK");
    Ok(())
}

fn take_back(call: &Call<'_>) -> Result<(), Stop> {
    let [order, token] = call.rest else { return Err(malformed("TAKEBACK")) };
    let token = integer(Some(token))?;
    write::write(call, write::QUIET, |store, now, fx| store.take_back(now, order.bytes(), token, fx))?;
    call.ctx.status(c"OK");
    Ok(())
}

fn reentry(call: &Call<'_>) -> Result<(), Stop> {
    let [stream, order, ms, seq, values @ ..] = call.rest else { return Err(malformed("REENTRY")) };
    let kind = stream_kind(stream)?;
    let id = EntryId::at_or_past(part_of_id(ms)?, part_of_id(seq)?);
    let (_key, value) = write_store(call.ctx, call.key)?;
    let value = value.ok_or(Refusal::NoStore)?;
    let slot = match order.bytes() {
        b"" => None,
        id => Some(value.store.order_at(id).ok_or_else(|| Refusal::NoOrder(id.into()))?),
    };
    let mut streams = Streams::new(call.ctx, call.key, call.time(value), false, None);
    streams.reentry(&mut value.store, kind, slot, id, values);
    streams.signal();
    signal_modified(call.ctx, call.key);
    call.ctx.status(c"OK");
    Ok(())
}

fn removed(call: &Call<'_>) -> Result<(), Stop> {
    let [stream, ids @ ..] = call.rest else { return Err(malformed("REMOVED")) };
    let kind = stream_kind(stream)?;
    let id = |pair: &[Str]| match pair {
        [ms, seq] => Ok(RawId { ms: part_of_id(ms)?, seq: part_of_id(seq)? }),
        _ => Err(malformed("REMOVED")),
    };
    let ids = ids.chunks(2).map(id).collect::<Result<Vec<_>, _>>()?;
    let mut streams = Streams::new(call.ctx, call.key, call.time_without_value(), false, None);
    streams.remove_foreign(kind, &ids);
    streams.signal();
    call.ctx.status(c"OK");
    Ok(())
}

fn stream_kind(name: &Str) -> Result<StreamKind, Stop> {
    let kind = StreamKind::ALL.into_iter().find(|kind| kind_name(*kind).to_bytes() == name.bytes());
    kind.ok_or_else(|| malformed("stream"))
}

/// A half of an entry's id: 64 bits, more than the server's integers.
fn part_of_id(arg: &Str) -> Result<u64, Stop> {
    std::str::from_utf8(arg.bytes()).ok().and_then(|text| text.parse().ok()).ok_or_else(|| malformed("number"))
}

fn load(call: &Call<'_>) -> Result<(), Stop> {
    let [piece] = call.rest else { return Err(malformed("LOAD")) };
    let loaded = load_piece(call.ctx.db(), call.key.bytes(), piece.bytes());
    if let Some(value) = loaded.map_err(|problem| Stop::Server(format!("ERR {problem}")))? {
        write::replace(call, value);
        deadlines::arm(call.ctx);
    }
    call.ctx.status(c"OK");
    Ok(())
}
