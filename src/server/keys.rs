//! Keys: the store's own, and the names of the streams that live beside it.

use std::cell::RefCell;
use std::rc::Rc;

use redis_module::raw;
use smallvec::SmallVec;

use super::call::Stop;
use super::ctx::{Ctx, OwnStr, Str, api};
use super::value::{StoreValue, store_type};
use holdfast_engine::base::units::MAX_ID_BYTES;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::streams::StreamKind;

/// The server's text for a key of another type.
pub(super) const WRONGTYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// An open key. Closing it wakes those who wait for a stream that was added to.
pub struct Key(pub(super) *mut raw::RedisModuleKey);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { api!(RedisModule_CloseKey(self.0)) }
    }
}

impl Key {
    /// Opens a key; for reading there is none if it is missing.
    pub fn open(ctx: Ctx, name: Str, write: bool) -> Option<Key> {
        let mode = if write { raw::REDISMODULE_READ | raw::REDISMODULE_WRITE } else { raw::REDISMODULE_READ };
        // SAFETY: context and name are live.
        let key = unsafe { api!(RedisModule_OpenKey(ctx.0, name.0, mode as i32)) };
        (!key.is_null()).then_some(Key(key))
    }

    fn kind(&self) -> i32 {
        // SAFETY: the key is open.
        unsafe { api!(RedisModule_KeyType(self.0)) }
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.kind() == raw::REDISMODULE_KEYTYPE_EMPTY as i32
    }

    /// Whether a stream is there.
    pub fn is_stream(&self) -> bool {
        self.kind() == raw::REDISMODULE_KEYTYPE_STREAM as i32
    }

    /// Entries of a stream, elements of another type, 0 of nothing.
    pub fn len(&self) -> u64 {
        // SAFETY: the key is open.
        unsafe { api!(RedisModule_ValueLength(self.0)) as u64 }
    }

    /// The store that is there, unless the key holds something else.
    ///
    /// # Safety
    /// The value must not be reached by another way while the reference lives: one open key a store at a time.
    pub unsafe fn store<'a>(&self) -> Option<&'a mut StoreValue> {
        if self.kind() != raw::REDISMODULE_KEYTYPE_MODULE as i32
            || api!(RedisModule_ModuleTypeGetType(self.0)) != store_type()
        {
            return None;
        }
        let value: *mut StoreValue = api!(RedisModule_ModuleTypeGetValue(self.0)).cast();
        value.as_mut()
    }

    /// Puts a new store at an empty key.
    pub fn set_store(&self, value: Box<StoreValue>) {
        // SAFETY: the key is open for writing; the server owns the value from now on and frees it by the type's `free`.
        unsafe {
            api!(RedisModule_ModuleTypeSetValue(self.0, store_type(), Box::into_raw(value).cast()));
        }
    }

    /// Removes the key; what it held is freed off the main thread where it is large.
    pub fn unlink(&self) {
        // SAFETY: the key is open for writing.
        unsafe {
            api!(RedisModule_UnlinkKey(self.0));
        }
    }
}

/// The store at a key, for reading. The key may be empty or of another type.
pub fn read_store<'a>(ctx: Ctx, name: Str) -> Result<(Key, &'a mut StoreValue), Stop> {
    check_name(name.bytes())?;
    let key = Key::open(ctx, name, false).ok_or(Refusal::NoStore)?;
    // SAFETY: the command opens the store once.
    match unsafe { key.store() } {
        Some(value) => Ok((key, value)),
        None => Err(Stop::Server(WRONGTYPE.into())),
    }
}

/// The store at a key, for writing; none if the key is empty. One whose streams are another store's is refused.
pub fn write_store<'a>(ctx: Ctx, name: Str) -> Result<(Key, Option<&'a mut StoreValue>), Stop> {
    let (key, value) = any_store(ctx, name)?;
    if let Some(twin) = value.as_ref().and_then(|value| streams_of(ctx, name, value)) {
        // What the primary did is done here too: it goes on with the deadlines of such a store.
        if !ctx.is_replayed() {
            return Err(shares_with(&twin));
        }
    }
    Ok((key, value))
}

/// The same, whosever the streams are.
pub fn any_store<'a>(ctx: Ctx, name: Str) -> Result<(Key, Option<&'a mut StoreValue>), Stop> {
    check_name(name.bytes()).or_else(|stop| if ctx.is_replayed() { Ok(()) } else { Err(stop) })?;
    let Some(key) = Key::open(ctx, name, true) else {
        return Err(Refusal::NoStore.into());
    };
    if key.is_empty() {
        return Ok((key, None));
    }
    // SAFETY: the command opens the store once.
    match unsafe { key.store() } {
        Some(value) => Ok((key, Some(value))),
        None => Err(Stop::Server(WRONGTYPE.into())),
    }
}

/// Refuses a key that has no streams in its own slot, or whose streams another store's key would share.
pub fn check_new(ctx: Ctx, name: Str) -> Result<(), Stop> {
    match twin_store(ctx, name) {
        Some((_key, twin, _)) => Err(shares_with(&twin)),
        None => Ok(()),
    }
}

/// Refuses a key to whose streams another store may have written: one of before version 0.2, which kept nobody from that.
pub fn check_alone(ctx: Ctx, name: Str) -> Result<(), Stop> {
    match twin_store(ctx, name) {
        Some((_key, twin, value)) if !value.store.came_second() => Err(shares_with(&twin)),
        _ => Ok(()),
    }
}

fn shares_with(twin: &[u8]) -> Stop {
    let twin = twin.escape_ascii();
    Refusal::argument("key", format!("must not share its streams with the store {twin}: RENAME or delete one of them"))
        .into()
}

/// The key whose store would have the same streams: `{popup}` for `popup`, and the other way round.
fn twin(name: &[u8]) -> Option<Vec<u8>> {
    match name {
        [b'{', inner @ .., b'}'] if !inner.is_empty() && !inner.contains(&b'}') => Some(inner.to_vec()),
        _ if tag(name).is_none() && !name.contains(&b'}') => Some([b"{", name, b"}"].concat()),
        _ => None,
    }
}

/// The store that has, or would have, the same streams.
fn twin_store<'a>(ctx: Ctx, name: Str) -> Option<(Key, Vec<u8>, &'a mut StoreValue)> {
    let twin = twin(name.bytes())?;
    let other = OwnStr::new(&twin);
    let key = Key::open(ctx, other.get(), false)?;
    // SAFETY: the twin is another key than the one at hand, and its store is opened by nobody else.
    let value = unsafe { key.store() }?;
    Some((key, twin, value))
}

/// The store that has the streams of this one's key, if it is another: it was there first, and still is.
pub fn streams_of(ctx: Ctx, name: Str, value: &StoreValue) -> Option<Vec<u8>> {
    value.store.came_second().then(|| twin_store(ctx, name)).flatten().map(|(_key, twin, _)| twin)
}

/// Notes, when a store came to a key by RENAME, COPY, MOVE or RESTORE, whether another has the streams already: these
/// commands cannot be refused. A store that was alone with the streams until now has them, whenever it came.
pub fn note_arrival(ctx: Ctx, name: Str, value: &mut StoreValue) {
    let twin = twin_store(ctx, name);
    value.store.set_second(twin.is_some());
    if let Some((_key, twin, first)) = twin {
        first.store.set_second(false);
        let (name, twin) = (name.bytes().escape_ascii(), twin.escape_ascii());
        ctx.warn(&format!("the store {name} came to a key whose streams the store {twin} has: it writes to none"));
    }
}

/// Whether the streams of a store at this key would be in its slot. RENAME and RESTORE can put one where they are not.
pub fn has_streams(name: &[u8]) -> bool {
    check_name(name).is_ok()
}

fn check_name(name: &[u8]) -> Result<(), Stop> {
    if name.is_empty() || name.len() > MAX_ID_BYTES {
        let problem = format!("must be 1 to {MAX_ID_BYTES} bytes, got {}", name.len());
        return Err(Refusal::argument("key", problem).into());
    }
    if tag(name).is_none() && name.contains(&b'}') {
        let name = name.escape_ascii();
        let problem = format!(
            "must have braces as in 'shop:{{42}}' or none, so that its streams are in its hash slot, got '{name}'"
        );
        return Err(Refusal::argument("key", problem).into());
    }
    Ok(())
}

/// The hash tag of a key: what is between the first `{` and the first `}` behind it, if there is anything.
fn tag(name: &[u8]) -> Option<&[u8]> {
    let open = name.iter().position(|b| *b == b'{')?;
    let len = name[open + 1..].iter().position(|b| *b == b'}')?;
    (len > 0).then(|| &name[open + 1..open + 1 + len])
}

/// The names of the streams of one store, made when they are asked for.
struct StreamNames {
    store: Vec<u8>,
    names: [Option<Rc<OwnStr>>; StreamKind::ALL.len()],
}

thread_local! {
    /// The names of the store that was used last: mostly it is the next one too.
    static LAST: RefCell<StreamNames> = const {
        RefCell::new(StreamNames { store: Vec::new(), names: [const { None }; StreamKind::ALL.len()] })
    };
}

/// The key of a stream of the store `name`, in the store's slot: `{popup}:orders` for `popup`, `shop:{42}:orders` for
/// `shop:{42}`.
pub fn stream_name(name: &[u8], kind: StreamKind) -> Rc<OwnStr> {
    LAST.with_borrow_mut(|last| {
        if last.store != name {
            *last = StreamNames { store: name.to_vec(), names: [const { None }; StreamKind::ALL.len()] };
        }
        Rc::clone(last.names[kind as usize].get_or_insert_with(|| Rc::new(make_stream_name(name, kind))))
    })
}

fn make_stream_name(name: &[u8], kind: StreamKind) -> OwnStr {
    beside(name, &[kind.suffix().as_bytes()])
}

/// The key that has this suffix behind the store's name, in the store's slot.
pub fn beside(name: &[u8], suffix: &[&[u8]]) -> OwnStr {
    let mut key: SmallVec<[u8; 128]> = SmallVec::new();
    if tag(name).is_some() {
        key.extend_from_slice(name);
    } else {
        key.push(b'{');
        key.extend_from_slice(name);
        key.push(b'}');
    }
    suffix.iter().for_each(|part| key.extend_from_slice(part));
    OwnStr::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_whose_streams_would_leave_the_slot_are_refused() {
        for good in [&b"popup"[..], b"shop:{42}", b"a{b", b"{x}", b"a{b}c", b"a{b}c}", b"{"] {
            assert!(check_name(good).is_ok(), "{}", good.escape_ascii());
        }
        for bad in [&b""[..], b"}", b"}{", b"{}x", b"}a{", b"a}b", b"a{}b{c}", &[b'k'; 513]] {
            assert!(check_name(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn twins_have_the_same_streams() {
        for (name, other) in [(&b"p"[..], &b"{p}"[..]), (b"a{b", b"{a{b}"), (b"{", b"{{}"), (b"a:b", b"{a:b}")] {
            assert_eq!(twin(name).as_deref(), Some(other), "{}", name.escape_ascii());
            assert_eq!(twin(other).as_deref(), Some(name), "{}", other.escape_ascii());
        }
        for name in [&b"shop:{42}"[..], b"{42}x", b"{a}b}", b"{}", b"a}b"] {
            assert_eq!(twin(name), None, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn the_tag_is_the_servers() {
        assert_eq!(tag(b"shop:{42}:x{y}"), Some(&b"42"[..]));
        assert_eq!(tag(b"a{}b{c}"), None);
        assert_eq!(tag(b"}a{b"), None);
    }
}
