//! Keys: how a store is opened, and the names of the streams next to it.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::value::{Reading, StoreValue, Writing};
use crate::host::key::Mode;
use crate::host::opened::{Read, Unfit, Write};
use crate::host::server::HostKey;
use crate::host::slot::{tag, with_suffix};
use crate::host::{Host, OwnStr, Stop, Str};
use holdfast_engine::base::units::MAX_ID_BYTES;
use holdfast_engine::terms::refusal::{Refusal, refuse};
use holdfast_engine::terms::streams::StreamKind;

/// The store at a key, for reading.
///
/// # Errors
/// The key is empty or of another type.
pub fn read_store<H: Host>(host: H, name: Str<'_>) -> Result<Reading<H>, Stop> {
    check_name(name.bytes())?;
    let key = host.open(name, Mode::Read).ok_or(Refusal::NoStore)?;
    Ok(Read::open(key)?)
}

/// A key that is open for writing, with the store that is there.
pub enum Opened<H: Host> {
    /// The key is empty.
    Empty(H::Key),
    Store(Writing<H>),
}

impl<H: Host> Opened<H> {
    /// The store.
    ///
    /// # Errors
    /// NOSTORE, if the key is empty.
    pub fn store(self) -> Result<Writing<H>, Refusal> {
        match self {
            Opened::Empty(_) => Err(Refusal::NoStore),
            Opened::Store(value) => Ok(value),
        }
    }
}

/// The store at a key, for writing.
///
/// # Errors
/// The key is of another type, or its streams are another store's.
#[inline]
pub fn write_store<H: Host>(host: H, name: Str<'_>) -> Result<Opened<H>, Stop> {
    let opened = any_store(host, name)?;
    // What the primary did is done here too: it goes on with the deadlines of such a store.
    if let Opened::Store(value) = &opened
        && let Some(twin) = streams_of(host, name, value)
        && !host.flags().replayed()
    {
        return Err(refuse(|| shares_with(&twin)));
    }
    Ok(opened)
}

/// The same, whosever the streams are.
///
/// # Errors
/// The key is of another type.
pub fn any_store<H: Host>(host: H, name: Str<'_>) -> Result<Opened<H>, Stop> {
    check_name(name.bytes()).or_else(|stop| if host.flags().replayed() { Ok(()) } else { Err(stop) })?;
    let key = host.open(name, Mode::Write).ok_or(Refusal::NoStore)?;
    if key.is_empty() {
        return Ok(Opened::Empty(key));
    }
    Ok(Opened::Store(Write::open(key)?))
}

/// The store of this uid at a key, opened as `mode` says; none if the key holds something else by now.
pub fn same_store<H: Host>(host: H, name: Str<'_>, uid: u64, mode: Mode) -> Option<Writing<H>> {
    Write::<_, StoreValue>::open(host.open(name, mode)?).ok().filter(|value| value.uid == uid)
}

/// The same for writing, if the store has streams of its own.
pub fn own_store<H: Host>(host: H, name: Str<'_>, uid: u64) -> Option<Writing<H>> {
    write_store(host, name).ok()?.store().ok().filter(|value| value.uid == uid)
}

/// Refuses a key that has no streams in its own slot, or whose streams another store's key would share.
///
/// # Errors
/// The argument `key` is refused, with the other store's name.
pub fn check_new(host: impl Host, name: Str<'_>) -> Result<(), Stop> {
    match twin_store(host, name) {
        Some(twin) => Err(shares_with(&twin)),
        None => Ok(()),
    }
}

/// Refuses a key to whose streams another store may have written: one of before version 0.2, which kept nobody from
/// that.
///
/// # Errors
/// As [`check_new`].
pub fn check_alone(host: impl Host, name: Str<'_>) -> Result<(), Stop> {
    let Some((twin, key)) = twin_key(host, name) else { return Ok(()) };
    match Read::<_, StoreValue>::open(key) {
        Ok(value) if !value.store.came_second() => Err(shares_with(&twin)),
        _ => Ok(()),
    }
}

fn shares_with(twin: &[u8]) -> Stop {
    let twin = twin.escape_ascii();
    let problem = format!("must not share its streams with the store {twin}: RENAME or delete one of them");
    Refusal::argument("key", problem).into()
}

/// The key whose store would have the same streams: `{popup}` for `popup`, and the other way round.
fn twin(name: &[u8]) -> Option<Vec<u8>> {
    match name {
        [b'{', inner @ .., b'}'] if !inner.is_empty() && !inner.contains(&b'}') => Some(inner.to_vec()),
        _ if tag(name).is_none() && !name.contains(&b'}') => Some([b"{", name, b"}"].concat()),
        _ => None,
    }
}

/// The key whose store would have the same streams, open for reading: nothing may expire in here.
fn twin_key<H: Host>(host: H, name: Str<'_>) -> Option<(Vec<u8>, H::Key)> {
    let twin = twin(name.bytes())?;
    let key = host.open(OwnStr::new(&twin).get(), Mode::Read)?;
    Some((twin, key))
}

/// The key of the store that has, or would have, the same streams. It may be in use: COPY asks in the middle of reading
/// it.
fn twin_store(host: impl Host, name: Str<'_>) -> Option<Vec<u8>> {
    let (twin, key) = twin_key(host, name)?;
    (Read::<_, StoreValue>::open(key).err() != Some(Unfit::OtherType)).then_some(twin)
}

/// The store that has the streams of this one's key, if it is another: it was there first, and still is.
#[inline]
pub fn streams_of(host: impl Host, name: Str<'_>, value: &StoreValue) -> Option<Vec<u8>> {
    value.store.came_second().then(|| twin_store(host, name)).flatten()
}

/// Notes, when a store came to a key by RENAME, COPY, MOVE or RESTORE, whether another has the streams already: these
/// commands cannot be refused. A store that was alone with the streams until now has them, whenever it came.
pub fn note_arrival(host: impl Host, name: Str<'_>, value: &mut StoreValue) {
    let twin = twin_key(host, name).and_then(|(twin, key)| Some((twin, Write::<_, StoreValue>::open(key).ok()?)));
    value.store.set_second(twin.is_some());
    if let Some((twin, mut first)) = twin {
        first.store.set_second(false);
        let (name, twin) = (name.bytes().escape_ascii(), twin.escape_ascii());
        host.warn(&format!("the store {name} came to a key whose streams the store {twin} has: it writes to none"));
    }
}

/// Whether the streams of a store at this key would be in its slot. RENAME and RESTORE can put one where they are not.
pub fn has_streams(name: &[u8]) -> bool {
    check_name(name).is_ok()
}

fn check_name(name: &[u8]) -> Result<(), Stop> {
    let is_fit = !name.is_empty() && name.len() <= MAX_ID_BYTES && (!name.contains(&b'}') || tag(name).is_some());
    if is_fit { Ok(()) } else { Err(refuse(|| unfit(name))) }
}

fn unfit(name: &[u8]) -> Stop {
    let problem = if name.is_empty() || name.len() > MAX_ID_BYTES {
        format!("must be 1 to {MAX_ID_BYTES} bytes, got {}", name.len())
    } else {
        let name = name.escape_ascii();
        format!("must have braces as in 'shop:{{42}}' or none, so that its streams are in its hash slot, got '{name}'")
    };
    Refusal::argument("key", problem).into()
}

/// Stores whose streams' names are kept. Where there are more, they are made anew now and then.
const KEPT_NAMES: usize = 4096;

/// The names of the streams of one store, made when they are asked for.
struct StreamNames {
    store: Box<[u8]>,
    names: [OnceCell<Rc<OwnStr>>; StreamKind::ALL.len()],
}

/// Names by the store's key, and those of the store that was used last: mostly it is the next one too.
#[derive(Default)]
struct KnownNames {
    last: Option<Rc<StreamNames>>,
    all: HashMap<Box<[u8]>, Rc<StreamNames>>,
}

thread_local! {
    static NAMES: RefCell<KnownNames> = RefCell::default();
}

impl KnownNames {
    fn of(&mut self, store: &[u8]) -> &StreamNames {
        if self.last.as_ref().is_none_or(|last| *last.store != *store) {
            self.last = Some(self.look_up(store));
        }
        self.last.as_ref().expect("the names of the last store")
    }

    fn look_up(&mut self, store: &[u8]) -> Rc<StreamNames> {
        if let Some(known) = self.all.get(store) {
            return Rc::clone(known);
        }
        if self.all.len() == KEPT_NAMES {
            self.all.clear();
        }
        let names = Rc::new(StreamNames { store: store.into(), names: Default::default() });
        self.all.insert(store.into(), Rc::clone(&names));
        names
    }
}

/// The key of a stream of the store `name`, in the store's slot: `{popup}:orders` for `popup`, `shop:{42}:orders` for
/// `shop:{42}`.
pub fn stream_name(name: &[u8], kind: StreamKind) -> Rc<OwnStr> {
    NAMES.with_borrow_mut(|known| {
        let cell = &known.of(name).names[kind as usize];
        Rc::clone(cell.get_or_init(|| Rc::new(with_suffix(name, &[kind.suffix().as_bytes()]))))
    })
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
    fn streams_of_more_stores_than_are_kept_have_their_names() {
        for number in (0..KEPT_NAMES + 10).chain([3, 4, 3]) {
            let store = format!("shop:{{{number}}}");
            for kind in [StreamKind::Orders, StreamKind::Retry] {
                let wanted = format!("{store}:{}", kind.suffix().trim_start_matches(':'));
                assert_eq!(stream_name(store.as_bytes(), kind).get().bytes(), wanted.as_bytes());
            }
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
}
