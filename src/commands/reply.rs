//! Replies that several commands share.

use crate::host::Host;
use holdfast_engine::terms::streams::EntryId;

/// Bytes of the longest id of an entry: 64 bits, a dash, 32 bits.
const ENTRY_ID_BYTES_MAX: usize = 20 + 1 + 10;

/// An entry's id, `ms-seq`.
pub fn entry(ctx: impl Host, id: EntryId) {
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    let mut text = [b'-'; ENTRY_ID_BYTES_MAX];
    text[..ms.len()].copy_from_slice(ms);
    text[ms.len() + 1..][..seq.len()].copy_from_slice(seq);
    ctx.bulk(&text[..ms.len() + 1 + seq.len()]);
}

/// The same, nil where there is none.
pub fn entry_or_nil(ctx: impl Host, id: Option<EntryId>) {
    match id {
        Some(id) => entry(ctx, id),
        None => ctx.null(),
    }
}

/// A cursor and what was found: `[cursor, [id …]]`.
pub fn scan(ctx: impl Host, (cursor, ids): (u64, Vec<&[u8]>)) {
    ctx.array(2);
    ctx.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.array(ids.len());
    for id in ids {
        ctx.bulk(id);
    }
}

/// A pair of a map: a name and a number.
pub fn field_int(ctx: impl Host, name: &str, value: i64) {
    ctx.bulk(name.as_bytes());
    ctx.int(value);
}

/// A pair of a map: a name and a string, nil where it is empty.
pub fn field_text(ctx: impl Host, name: &str, value: &[u8]) {
    ctx.bulk(name.as_bytes());
    if value.is_empty() {
        ctx.null();
    } else {
        ctx.bulk(value);
    }
}

/// A pair of a map: a name and a time, nil where there is none yet.
pub fn field_time(ctx: impl Host, name: &str, at: u64) {
    ctx.bulk(name.as_bytes());
    if at == 0 {
        ctx.null();
    } else {
        ctx.int(at as i64);
    }
}

/// A sum over SKUs, at most the largest integer a client can read.
pub fn saturated(sum: u128) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}
