//! The value of a lock's key, and the floor of all locks.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use crate::host::clock::{self, Ahead, Now};
use crate::host::data_type::{At, DataType, Log, Pieces, Value, next_uid};
use crate::host::key::{Key, Mode};
use crate::host::opened::{Unfit, Write};
use crate::host::server::HostKey;
use crate::host::{Call, Ctx, Host, Stop, Str, deadlines, waiters};
use holdfast_engine::base::units::{MAX_ID_BYTES, Ms};
use holdfast_engine::calls::locks::{FLOOR_MAX, Lock};
use holdfast_engine::terms::refusal::Refusal;

static LOCK_TYPE: DataType<LockValue> = DataType::new();

/// `LOCKLOAD image floor`: a whole lock, in a rewritten log, and the highest token of any.
pub const LOCK_LOAD: &CStr = c"LOCKLOAD";

thread_local! {
    /// The highest token of any lock, at most [`FLOOR_MAX`]. Only the server's main thread uses it.
    static FLOOR: Cell<u64> = const { Cell::new(0) };
}

/// The highest token of any lock.
pub fn floor() -> u64 {
    FLOOR.get()
}

/// No token up to this one is given again.
pub fn raise_floor(token: u64) {
    FLOOR.set(FLOOR.get().max(token.min(FLOOR_MAX)));
}

/// Forgets the floor: the data set is about to be replaced by a primary's, or a log's, with its own.
pub fn forget_floor() {
    FLOOR.set(0);
}

/// A lock and what the server's side knows of it.
pub struct LockValue {
    /// Tells values apart, in this process.
    pub uid: u64,
    pub lock: Lock,
    /// When the lock is registered to be due, or 0.
    pub due: Ms,
    /// Changes since it was made or loaded, here: tells whether something happened between two looks at it.
    pub changes: u64,
    /// How its time continues where it is ahead of the clock.
    ahead: Ahead,
}

/// A lock that is changed, with its open key.
pub type Writing<H> = Write<<H as Host>::Key, LockValue>;

impl LockValue {
    pub fn new(lock: Lock) -> Self {
        LockValue { uid: next_uid(), lock, due: 0, changes: 0, ahead: Ahead::default() }
    }

    /// The lock's time at a reading of the clock, Unix milliseconds.
    pub fn time_at(&self, now: Now) -> Ms {
        self.ahead.time(now, self.lock.changed_at())
    }

    /// The time of a call on the lock: the primary's stamp, or the lock's time on this server.
    pub fn time_of<H: Host>(&self, call: &Call<'_, H>) -> Ms {
        call.stamp.unwrap_or_else(|| self.time_at(call.ctx.now()))
    }

    /// Registers the lock with when it is due.
    pub fn register(&mut self, host: impl Host, key: Str<'_>) {
        let look_at = self.next_look(host.now());
        host.look_at(self.uid, key, Some(look_at));
    }

    fn next_look(&mut self, now: Now) -> Ms {
        self.due = self.lock.next_due();
        self.ahead.look_at(now, self.lock.changed_at(), self.due)
    }
}

/// A key that is open for writing, with the lock that is there.
pub enum Opened<H: Host> {
    /// The key is empty.
    Empty(H::Key),
    Lock(Writing<H>),
}

/// Opens a call's key for writing.
///
/// # Errors
/// The key is of another type, or its name is too long.
pub fn open<H: Host>(call: &Call<'_, H>) -> Result<Opened<H>, Stop> {
    check_name(call.key)?;
    match call.ctx.open(call.key, Mode::Write) {
        Some(key) if key.is_empty() => Ok(Opened::Empty(key)),
        Some(key) => Ok(Opened::Lock(Write::open(key)?)),
        None => Err(Unfit::OtherType.into()),
    }
}

/// Refuses a name that is empty or too long.
///
/// # Errors
/// The argument `key` is refused.
pub fn check_name(name: Str<'_>) -> Result<(), Stop> {
    let len = name.bytes().len();
    if len == 0 || len > MAX_ID_BYTES {
        return Err(Refusal::argument("key", format!("must be 1 to {MAX_ID_BYTES} bytes, got {len}")).into());
    }
    Ok(())
}

/// The lock at a key that has this uid.
pub fn find<H: Host>(host: H, name: Str<'_>, uid: u64) -> Option<Writing<H>> {
    let key = host.open(name, Mode::Write)?;
    Write::<_, LockValue>::open(key).ok().filter(|value| value.uid == uid)
}

/// A lock that was renamed, moved, copied or restored is registered under its new name; locks made later stay above a
/// restored one.
pub fn arrived(ctx: Ctx<'_>, name: Str<'_>) {
    let Some(Ok(mut value)) = Key::open(ctx, name, Mode::Read).map(Write::<_, LockValue>::open) else { return };
    raise_floor(value.lock.floor());
    value.placed((ctx.db(), name));
    drop(value);
    deadlines::arm(ctx);
}

impl Value for LockValue {
    const NAME: &'static CStr = c"holdlocks";
    const ENCODING: c_int = 1;
    const HAS_EXTRA: bool = true;

    fn data_type() -> &'static DataType<Self> {
        &LOCK_TYPE
    }

    fn save(&self, write: &mut dyn FnMut(&[u8])) {
        write(&self.lock.save());
    }

    fn load(pieces: &Pieces<'_>) -> Result<Self, String> {
        Lock::load(&pieces.next()?).map(LockValue::new).map_err(str::to_owned)
    }

    /// Each lock carries the floor: a log without an RDB in front has it nowhere else.
    fn rewrite(&self, log: &Log<'_>) {
        log.apply_with(LOCK_LOAD, &self.lock.save(), FLOOR.get());
    }

    fn digest(&self) -> u128 {
        self.lock.digest()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.lock.weight()
    }

    fn copy(&self, _: Option<At<'_>>) -> Option<Self> {
        Some(LockValue::new(self.lock.clone()))
    }

    fn placed(&mut self, (db, key): At<'_>) {
        let look_at = self.next_look(clock::now());
        deadlines::set(self.uid, db, key.bytes(), Some(look_at));
    }

    fn unlinked(&self) {
        deadlines::forget(self.uid);
        waiters::leave(self.uid);
    }

    fn extra() -> u64 {
        FLOOR.get()
    }

    fn set_extra(floor: u64) {
        FLOOR.set(floor.min(FLOOR_MAX));
    }
}
