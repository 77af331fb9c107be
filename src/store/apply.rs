//! What a primary, or a log, says of a store in words of its own ([`super::wire`]): done here as it was done there.

use std::ffi::CStr;

use super::fields::kind_name;
use super::keys::write_store;
use super::saved::load_piece;
use super::streams::{Entry, Streams};
use super::{wire, write};
use crate::host::stream::RawId;
use crate::host::{Call, Host, Stop, Str};
use holdfast_engine::terms::metrics::Refused;
use holdfast_engine::terms::refusal::{Code, Refusal};
use holdfast_engine::terms::streams::{EntryId, StreamKind};

/// What does what a word says.
type Run<H> = fn(&Call<'_, H>) -> Result<(), Stop>;

/// Does what a word says; none if it is not one of these words.
pub fn apply<H: Host>(call: &Call<'_, H>, word: &[u8]) -> Option<Result<(), Stop>> {
    let words: [(&CStr, Run<H>); 6] = [
        (wire::SWEEP, sweep),
        (wire::SAMPLE, sample),
        (wire::TAKE_BACK, take_back),
        (wire::REENTRY, reentry),
        (wire::REMOVED, removed),
        (wire::LOAD, load),
    ];
    words.into_iter().find(|(name, _)| name.to_bytes() == word).map(|(_, run)| run(call))
}

/// The refusal of what this version does not know.
pub fn malformed(what: &str) -> Stop {
    Stop::Server(format!("ERR HOLDFAST.APPLY with a {what} this version does not know"))
}

fn integer(arg: Option<&Str<'_>>) -> Result<u64, Stop> {
    arg.and_then(|arg| arg.integer()).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| malformed("number"))
}

fn sweep<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let budget = integer(call.rest.first())?;
    let mut value = write_store(call.ctx, call.key)?.store()?;
    let now = value.time_of(call);
    write::sweep(call, &mut value, now, budget);
    Ok(())
}

fn sample<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut refused = Refused::default();
    for pair in call.rest.chunks(2) {
        let at = Code::ALL.iter().position(|code| code.metric().as_bytes() == pair[0].bytes());
        refused.0[at.ok_or_else(|| malformed("refusal"))?] = integer(pair.get(1))?;
    }
    let mut value = write_store(call.ctx, call.key)?.store()?;
    let now = value.time_of(call);
    write::sample(call, &mut value, now, &refused);
    Ok(())
}

fn take_back<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let [order, token] = call.rest else { return Err(malformed("TAKEBACK")) };
    let token = integer(Some(token))?;
    write::write(call, write::QUIET, |store, now, fx| store.take_back(now, order.bytes(), token, fx)).map(drop)
}

fn reentry<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let [stream, order, ms, seq, values @ ..] = call.rest else { return Err(malformed("REENTRY")) };
    let kind = stream_kind(*stream)?;
    let id = EntryId::at_or_past(part_of_id(*ms)?, part_of_id(*seq)?);
    let mut value = write_store(call.ctx, call.key)?.store()?;
    let slot = match order.bytes() {
        b"" => None,
        id => Some(value.store.order_at(id).ok_or_else(|| Refusal::NoOrder(id.into()))?),
    };
    let mut streams = Streams::new(call.ctx, call.key, value.time_of(call), false, None);
    streams.reentry(&mut value.store, Entry { kind, order: slot, id, values });
    value.bytes += streams.reentered_bytes;
    streams.signal();
    call.ctx.signal_modified(call.key);
    Ok(())
}

fn removed<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let [stream, ids @ ..] = call.rest else { return Err(malformed("REMOVED")) };
    let kind = stream_kind(*stream)?;
    let id = |pair: &[Str<'_>]| match pair {
        [ms, seq] => Ok(RawId { ms: part_of_id(*ms)?, seq: part_of_id(*seq)? }),
        _ => Err(malformed("REMOVED")),
    };
    let ids = ids.chunks(2).map(id).collect::<Result<Vec<_>, _>>()?;
    let mut streams = Streams::new(call.ctx, call.key, call.time_without_value(), false, None);
    streams.remove_foreign(kind, &ids);
    streams.signal();
    Ok(())
}

fn stream_kind(name: Str<'_>) -> Result<StreamKind, Stop> {
    let kind = StreamKind::ALL.into_iter().find(|kind| kind_name(*kind).to_bytes() == name.bytes());
    kind.ok_or_else(|| malformed("stream"))
}

/// A half of an entry's id: 64 bits, more than the server's integers.
fn part_of_id(arg: Str<'_>) -> Result<u64, Stop> {
    std::str::from_utf8(arg.bytes()).ok().and_then(|text| text.parse().ok()).ok_or_else(|| malformed("number"))
}

fn load<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let [piece] = call.rest else { return Err(malformed("LOAD")) };
    let loaded = load_piece(call.ctx.db(), call.key.bytes(), piece.bytes(), call.ctx.seed());
    if let Some(value) = loaded.map_err(|problem| Stop::Server(format!("ERR {problem}")))? {
        write::replace(call, value);
    }
    Ok(())
}
