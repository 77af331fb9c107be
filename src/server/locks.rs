//! Locks: the type of their keys, the way they change and are replicated, how they are handed to those who wait.
//!
//! A lock's tokens grow while its key is there, because the key knows the last one. They grow past the end of the key
//! because of the floor: the highest token of any lock, one number for the whole server, which every lock begins above.
//! It is a part of the data set: saved beside the keys, and raised by the same commands on a replica.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};

use redis_module::raw;

use super::call::{Call, Stop};
use super::clock::{self, Ahead, Now};
use super::ctx::{Ctx, OwnStr, Str, api};
use super::keys::{Key, WRONGTYPE};
use super::line::{self, Answer, Ask};
use super::streams::signal_modified;
use super::value::{Io, NO_METHODS, next_uid};
use super::{deadlines, gate, memory_full, wire};
use holdfast_engine::base::units::{MAX_ID_BYTES, Ms};
use holdfast_engine::calls::locks::{FLOOR_MAX, Lock, Taken};
use holdfast_engine::terms::refusal::Refusal;

/// The name of the type; nine characters, as the server wants it.
const TYPE_NAME: &CStr = c"holdlocks";

/// The version of how an image is laid in an RDB file. What is in it has a version of its own, in the engine.
const ENCODING: c_int = 1;

static LOCK_TYPE: AtomicPtr<raw::RedisModuleType> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// The highest token of any lock, at most [`FLOOR_MAX`]. Only the server's main thread uses it.
    static FLOOR: Cell<u64> = const { Cell::new(0) };
}

/// The type of a lock's key, once the module is loaded.
fn lock_type() -> *mut raw::RedisModuleType {
    LOCK_TYPE.load(Ordering::Relaxed)
}

fn raise_floor(token: u64) {
    FLOOR.set(FLOOR.get().max(token.min(FLOOR_MAX)));
}

/// Forgets the floor: the data set is about to be replaced by a primary's, or a log's, with its own.
pub fn forget_floor() {
    FLOOR.set(0);
}

/// A lock and what the server's side knows of it.
pub struct LockValue {
    /// Tells values apart, in this process.
    uid: u64,
    lock: Lock,
    /// When the lock is registered to be due, or 0.
    due: Ms,
    /// Changes since it was made or loaded, here: tells whether something happened between two looks at it.
    changes: u64,
    /// How its time goes on where it is ahead of the clock.
    ahead: Ahead,
}

impl LockValue {
    fn new(lock: Lock) -> Box<Self> {
        Box::new(LockValue { uid: next_uid(), lock, due: 0, changes: 0, ahead: Ahead::default() })
    }

    /// The lock's time at a reading of the clock.
    fn time_at(&mut self, now: Now) -> Ms {
        self.ahead.time(now, self.lock.changed_at())
    }

    /// The time of a call on the lock: the primary's stamp, or the lock's time on this server.
    fn time_of(&mut self, call: &Call<'_>) -> Ms {
        call.stamp.unwrap_or_else(|| self.time_at(clock::now()))
    }

    /// Registers when it is due, wherever it is now.
    fn note(&mut self, db: c_int, key: Str) {
        self.due = self.lock.next_due();
        let look_at = self.ahead.look_at(clock::now(), self.lock.changed_at(), self.due);
        deadlines::set(self.uid, db, key.bytes(), Some(look_at));
    }
}

/// The lock that is there, unless the key holds something else.
///
/// # Safety
/// The value must not be reached by another way while the reference lives.
unsafe fn lock_of<'a>(key: &Key) -> Option<&'a mut LockValue> {
    if api!(RedisModule_KeyType(key.0)) != raw::REDISMODULE_KEYTYPE_MODULE as c_int
        || api!(RedisModule_ModuleTypeGetType(key.0)) != lock_type()
    {
        return None;
    }
    let value: *mut LockValue = api!(RedisModule_ModuleTypeGetValue(key.0)).cast();
    value.as_mut()
}

/// The lock at a key that has this uid.
fn find<'a>(ctx: Ctx, name: Str, uid: u64) -> Option<(Key, &'a mut LockValue)> {
    let key = Key::open(ctx, name, true)?;
    // SAFETY: the callers open one lock at a time.
    let value = unsafe { lock_of(&key) }.filter(|value| value.uid == uid)?;
    Some((key, value))
}

/// Opens a call's key; no value where the key is empty.
fn open<'a>(call: &Call<'_>, write: bool) -> Result<(Option<Key>, Option<&'a mut LockValue>), Stop> {
    let len = call.key.bytes().len();
    if len == 0 || len > MAX_ID_BYTES {
        return Err(Refusal::argument("key", format!("must be 1 to {MAX_ID_BYTES} bytes, got {len}")).into());
    }
    let Some(key) = Key::open(call.ctx, call.key, write).filter(|key| write || !key.is_empty()) else {
        return Ok((None, None));
    };
    if key.is_empty() {
        return Ok((Some(key), None));
    }
    // SAFETY: a command opens its key once.
    match unsafe { lock_of(&key) } {
        Some(value) => Ok((Some(key), Some(value))),
        None => Err(Stop::Server(WRONGTYPE.into())),
    }
}

fn put(key: &Key, value: Box<LockValue>) {
    // SAFETY: the key is open for writing and empty; the server owns the value from now on and frees it by `free`.
    unsafe {
        api!(RedisModule_ModuleTypeSetValue(key.0, lock_type(), Box::into_raw(value).cast()));
    }
}

/// A lock is only ever replicated with its time: whatever comes from a primary without one is not the module's.
fn check_stamp(call: &Call<'_>) -> Result<(), Stop> {
    if call.stamp.is_none() && call.ctx.is_replayed() {
        return Err(Stop::Server("ERR a replicated lock command must have its time".into()));
    }
    Ok(())
}

/// Takes the lock for the caller, who may be made to wait (`wait_ms`, 0 for ever); none if it is another's.
pub fn acquire(call: &Call<'_>, owner: &[u8], ttl_ms: Ms, wait_ms: Option<Ms>) -> Result<Option<u64>, Stop> {
    check_stamp(call)?;
    let (key, value) = open(call, true)?;
    let Some(key) = key else { return Ok(None) };
    let Some(value) = value else {
        memory_full::admit(call, call.ctx.flags(), || true)?;
        let now = call.time_without_value();
        let mut value = LockValue::new(Lock::new(FLOOR.get()));
        let taken = value.lock.acquire(now, owner, ttl_ms)?;
        put(&key, value);
        // SAFETY: as in `open`; the box has been given away.
        let value = unsafe { lock_of(&key) };
        return Ok(value.zip(taken).map(|(value, taken)| acquired(call, value, now, taken)));
    };
    let now = value.time_of(call);
    expire(call, value, now);
    // Whoever came first is first served; one that holds it already takes nothing from anybody.
    let behind = call.stamp.is_none() && line::anybody(value.uid) && !value.lock.is_held_by(now, owner);
    let taken = if behind { None } else { value.lock.acquire(now, owner, ttl_ms)? };
    match (taken, wait_ms) {
        (Some(taken), _) => Ok(Some(acquired(call, value, now, taken))),
        (None, Some(wait_ms)) if !call.ctx.denies_blocking() && call.ctx.is_primary() => {
            Err(line::wait(call, value.uid, Ask::Lock { owner: owner.to_vec(), ttl_ms }, wait_ms))
        }
        (None, _) => Ok(None),
    }
}

fn acquired(call: &Call<'_>, value: &mut LockValue, now: Ms, taken: Taken) -> u64 {
    raise_floor(taken.token);
    // Owner and ttl: nobody waits on a replica.
    let rest = call.rest.get(..2).unwrap_or(call.rest);
    let event = if taken.anew { c"lock.acquired" } else { c"lock.renewed" };
    changed(&Call { rest, ..*call }, value, now, event);
    taken.token
}

/// Begins the lease anew; false if the lock is not held under this token any more.
pub fn renew(call: &Call<'_>, token: u64, ttl_ms: Ms) -> Result<bool, Stop> {
    change(call, c"lock.renewed", |lock, now| lock.renew(now, token, ttl_ms))
}

/// Lets go of the lock; false if it is not held under this token any more.
pub fn release(call: &Call<'_>, token: u64) -> Result<bool, Stop> {
    change(call, c"lock.released", |lock, now| lock.release(now, token))
}

fn change(call: &Call<'_>, event: &CStr, run: impl FnOnce(&mut Lock, Ms) -> bool) -> Result<bool, Stop> {
    check_stamp(call)?;
    let (_key, value) = open(call, true)?;
    let Some(value) = value else { return Ok(false) };
    let now = value.time_of(call);
    expire(call, value, now);
    let done = run(&mut value.lock, now);
    if done {
        changed(call, value, now, event);
    }
    Ok(done)
}

/// After a change: replicates it, tells of it, and looks for someone to hand the lock to.
fn changed(call: &Call<'_>, value: &mut LockValue, now: Ms, event: &CStr) {
    value.changes += 1;
    if call.stamp.is_none() {
        wire::replicate(call.ctx, call.key, now, call.name, call.rest);
    }
    call.ctx.notify(raw::REDISMODULE_NOTIFY_MODULE, event, call.key);
    signal_modified(call.ctx, call.key);
    // One that is due later than it is registered is found out when the timer comes.
    if value.due == 0 || value.lock.next_due() < value.due {
        value.note(call.ctx.db(), call.key);
        deadlines::arm(call.ctx);
    }
    if value.lock.holder(now).is_none() {
        line::schedule(value.uid);
    }
}

/// A lease that has ended by now ends first, as a change of its own. Only a primary decides that by its clock.
fn expire(call: &Call<'_>, value: &mut LockValue, now: Ms) {
    let decides = call.stamp.is_none() && call.ctx.is_primary();
    if decides && value.lock.expire(now) {
        let sweep = Call { name: wire::LOCK_SWEEP, rest: &[], ..*call };
        changed(&sweep, value, now, c"lock.expired");
    }
}

/// Who holds a lock, told to a reader.
pub struct View {
    pub owner: Vec<u8>,
    /// The holder's; 0 if there is none. So are the times.
    pub token: u64,
    pub taken_at: Ms,
    pub deadline: Ms,
    /// What is left of the lease, milliseconds.
    pub ttl_ms: Ms,
    /// Callers that wait for it on this server.
    pub waiting: usize,
}

/// Reads a lock; one that is not there is as good as free. A replica does not judge by its own clock whether a lease has
/// ended.
pub fn view(call: &Call<'_>) -> Result<View, Stop> {
    let (_key, value) = open(call, false)?;
    let mut view = View { owner: Vec::new(), token: 0, taken_at: 0, deadline: 0, ttl_ms: 0, waiting: 0 };
    if let Some(value) = value {
        let time = value.time_of(call);
        let now = if call.ctx.is_primary() { time } else { 0 };
        view.waiting = line::count(value.uid);
        if let Some(holder) = value.lock.holder(now) {
            view = View {
                owner: holder.owner.to_vec(),
                token: holder.token,
                taken_at: holder.taken_at,
                deadline: holder.deadline,
                ttl_ms: holder.deadline.saturating_sub(time),
                ..view
            };
        }
    }
    Ok(view)
}

/// Ends a lease that is due and removes a lock that is idle, for the timer of deadlines. False if the key holds no lock
/// of this uid.
pub fn sweep_due(ctx: Ctx, name: Str, uid: u64, now: Now) -> bool {
    let Some((key, value)) = find(ctx, name, uid) else { return false };
    if !gate::may_write_keys(ctx, &[name]) {
        deadlines::look_again(uid, ctx.db(), name, now);
        return true;
    }
    let time = value.time_at(now);
    sweep(&Call { ctx, name: wire::LOCK_SWEEP, key: name, rest: &[], stamp: None }, &key, value, time);
    true
}

/// LOCKSWEEP: what a primary's timer did.
pub fn apply_sweep(call: &Call<'_>) -> Result<(), Stop> {
    if let (Some(key), Some(value)) = open(call, true)? {
        let now = value.time_of(call);
        sweep(call, &key, value, now);
    }
    call.ctx.status(c"OK");
    Ok(())
}

fn sweep(call: &Call<'_>, key: &Key, value: &mut LockValue, now: Ms) {
    if value.lock.expire(now) {
        changed(call, value, now, c"lock.expired");
    } else if value.lock.is_idle(now) && !line::anybody(value.uid) {
        if call.stamp.is_none() {
            wire::replicate(call.ctx, call.key, now, call.name, call.rest);
        }
        key.unlink();
        signal_modified(call.ctx, call.key);
        call.ctx.notify_deleted(call.key);
        return;
    }
    value.note(call.ctx.db(), call.key);
}

/// Hands a lock that is free to the first in its line, and says how many callers got an answer.
pub fn serve(ctx: Ctx, name: Str, uid: u64, most: usize) -> usize {
    let Some((_key, value)) = find(ctx, name, uid) else {
        line::leave(uid);
        return 0;
    };
    let now = value.time_at(clock::now());
    let call = Call { ctx, name: c"LOCK.ACQUIRE", key: name, rest: &[], stamp: None };
    expire(&call, value, now);
    let mut answered = 0;
    while answered < most {
        let ask = line::first(uid);
        let Some(Ask::Lock { owner, ttl_ms }) = ask.as_deref() else { break };
        match value.lock.acquire(now, owner, *ttl_ms) {
            Ok(None) => break,
            Ok(Some(taken)) => answered += hand_over(&call, value, now, (owner, *ttl_ms), taken),
            Err(refusal) => {
                line::answer_first(uid, Answer::new(move |ctx| ctx.error(&refusal.to_string())));
                answered += 1;
            }
        }
    }
    answered
}

/// The first in the line has the lock. Those behind with the same owner are the same one, who asked again, perhaps over
/// a new connection while the server has not noticed the end of the old: they get the same answer.
fn hand_over(call: &Call<'_>, value: &mut LockValue, now: Ms, (owner, ttl_ms): (&[u8], Ms), taken: Taken) -> usize {
    let words = [OwnStr::new(owner), OwnStr::new(itoa::Buffer::new().format(ttl_ms).as_bytes())];
    let token = acquired(&Call { rest: &words.each_ref().map(OwnStr::get), ..*call }, value, now, taken);
    let gift =
        Gift { db: call.ctx.db(), key: call.key.bytes().to_vec(), uid: value.uid, token, changes: value.changes };
    let (gift, delivered) = (Rc::new(gift), Rc::new(Cell::new(false)));
    let answer = || {
        let (gift, delivered, told) = (Rc::clone(&gift), Rc::clone(&delivered), Rc::clone(&delivered));
        let reply = move |ctx: Ctx| {
            told.set(true);
            ctx.int(token as i64);
        };
        Answer::new(reply).or_else(move |ctx| {
            if !delivered.get() {
                gift.take_back(ctx);
            }
        })
    };
    line::answer_first(value.uid, answer());
    let same = |ask: &Ask| matches!(ask, Ask::Lock { owner: other, .. } if other == owner);
    1 + line::answer_like(value.uid, same, answer)
}

/// A lock that was handed to a caller who may not have been told.
struct Gift {
    db: c_int,
    key: Vec<u8>,
    uid: u64,
    token: u64,
    /// How often the lock had changed by then.
    changes: u64,
}

impl Gift {
    /// Lets go of the lock, unless something has been done with it since: then its owner knows that it has it.
    fn take_back(&self, ctx: Ctx) {
        let name = OwnStr::new(&self.key);
        let found = if ctx.select(self.db) { find(ctx, name.get(), self.uid) } else { None };
        let Some((_key, value)) = found.filter(|(_, value)| value.changes == self.changes) else { return };
        let now = value.time_at(clock::now());
        if value.lock.release(now, self.token) {
            let word = OwnStr::new(itoa::Buffer::new().format(self.token).as_bytes());
            let rest = [word.get()];
            let call = Call { ctx, name: c"LOCK.RELEASE", key: name.get(), rest: &rest, stamp: None };
            changed(&call, value, now, c"lock.released");
        }
    }
}

/// A lock that was renamed, moved, copied or restored is registered under its new name; locks made anew stay above a
/// restored one. False if the key holds no lock.
pub fn moved(ctx: Ctx, name: Str, key: &Key) -> bool {
    // SAFETY: the only reference to the lock in the callback that calls this.
    let Some(value) = (unsafe { lock_of(key) }) else { return false };
    raise_floor(value.lock.floor());
    value.note(ctx.db(), name);
    true
}

/// LOCKLOAD: a whole lock and the floor, in a rewritten log.
pub fn apply_load(call: &Call<'_>) -> Result<(), Stop> {
    let malformed = || Stop::Server("ERR HOLDFAST.APPLY with a LOCKLOAD this version does not know".into());
    let [image, floor] = call.rest else { return Err(malformed()) };
    let floor = floor.integer().and_then(|n| u64::try_from(n).ok()).ok_or_else(malformed)?;
    let lock = Lock::load(image.bytes()).map_err(|problem| Stop::Server(format!("ERR {problem}")))?;
    raise_floor(floor.max(lock.floor()));
    if let Some(key) = Key::open(call.ctx, call.key, true) {
        key.unlink();
        let mut value = LockValue::new(lock);
        value.note(call.ctx.db(), call.key);
        put(&key, value);
        deadlines::arm(call.ctx);
    }
    call.ctx.status(c"OK");
    Ok(())
}

/// Registers the type.
pub fn register(ctx: Ctx) -> bool {
    // Redis 7.0 knows `aux_save` alone; later servers take `aux_save2` before it, and write nothing where it does not.
    let mut methods = raw::RedisModuleTypeMethods {
        rdb_load: Some(rdb_load),
        rdb_save: Some(rdb_save),
        aof_rewrite: Some(aof_rewrite),
        digest: Some(digest),
        free: Some(free),
        aux_load: Some(aux_load),
        aux_save: Some(aux_save),
        aux_save_triggers: raw::REDISMODULE_AUX_BEFORE_RDB as c_int,
        mem_usage2: Some(mem_usage),
        unlink2: Some(unlink),
        copy2: Some(copy),
        aux_save2: Some(aux_save2),
        ..NO_METHODS
    };
    // SAFETY: called while the module loads; the server copies the methods.
    let made = unsafe { api!(RedisModule_CreateDataType(ctx.0, TYPE_NAME.as_ptr(), ENCODING, &mut methods)) };
    LOCK_TYPE.store(made, Ordering::Relaxed);
    !made.is_null()
}

/// The value behind a pointer the server kept for us.
unsafe fn value_of<'a>(value: *const c_void) -> &'a LockValue {
    &*value.cast::<LockValue>()
}

extern "C" fn rdb_save(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    // SAFETY: the server passes a value of this type, and a live io; it copies the bytes.
    unsafe {
        let image = value_of(value).lock.save();
        api!(RedisModule_SaveStringBuffer(io, image.as_ptr().cast(), image.len()));
    }
}

extern "C" fn rdb_load(io: *mut raw::RedisModuleIO, encoding: c_int) -> *mut c_void {
    // SAFETY: the server passes a live io.
    let io = unsafe { Io::new(io) };
    let known = if encoding == ENCODING { Ok(()) } else { Err(format!("a lock of encoding {encoding}")) };
    let image = known.and_then(|()| io.piece());
    match image.and_then(|image| Lock::load(&image).map_err(str::to_owned)) {
        Ok(lock) => {
            let mut value = LockValue::new(lock);
            if let Some((db, key)) = io.place() {
                value.note(db, key);
            }
            Box::into_raw(value).cast()
        }
        Err(problem) => {
            io.warn(&problem);
            std::ptr::null_mut()
        }
    }
}

extern "C" fn aux_save(io: *mut raw::RedisModuleIO, _: c_int) {
    // SAFETY: the server passes a live io.
    unsafe { api!(RedisModule_SaveUnsigned(io, FLOOR.get())) };
}

/// A file of a server that has never had a lock stays readable without the module.
extern "C" fn aux_save2(io: *mut raw::RedisModuleIO, when: c_int) {
    if FLOOR.get() > 0 {
        aux_save(io, when);
    }
}

extern "C" fn aux_load(io: *mut raw::RedisModuleIO, encoding: c_int, _: c_int) -> c_int {
    // SAFETY: the server passes a live io.
    let (floor, failed) = unsafe { (api!(RedisModule_LoadUnsigned(io)), api!(RedisModule_IsIOError(io)) != 0) };
    if failed || encoding != ENCODING {
        return raw::REDISMODULE_ERR as c_int;
    }
    FLOOR.set(floor.min(FLOOR_MAX));
    raw::REDISMODULE_OK as c_int
}

/// Each lock carries the floor: a log without an RDB in front has no other place for it.
extern "C" fn aof_rewrite(io: *mut raw::RedisModuleIO, key: *mut raw::RedisModuleString, value: *mut c_void) {
    // SAFETY: the server passes a value of this type, its key and a live io; the format takes a string, an integer, a C
    // string, a buffer with its length and an integer.
    unsafe {
        let image = value_of(value).lock.save();
        let (name, load) = (wire::APPLY.as_ptr(), wire::LOCK_LOAD.as_ptr());
        let floor = FLOOR.get() as i64;
        api!(RedisModule_EmitAOF(io, name, c"slcbl".as_ptr(), key, 0i64, load, image.as_ptr(), image.len(), floor));
    }
}

extern "C" fn digest(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    // SAFETY: the server passes a value of this type and a live digest; it copies the bytes.
    unsafe {
        let sum = value_of(value).lock.digest().to_le_bytes();
        api!(RedisModule_DigestAddStringBuffer(digest, sum.as_ptr().cast(), sum.len()));
        api!(RedisModule_DigestEndSequence(digest));
    }
}

extern "C" fn free(value: *mut c_void) {
    // SAFETY: the pointer came from Box::into_raw and the server gives it up, perhaps on a thread of its own: a value
    // touches nothing that is shared.
    drop(unsafe { Box::from_raw(value.cast::<LockValue>()) });
}

extern "C" fn mem_usage(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void, _: usize) -> usize {
    // SAFETY: the server passes a value of this type.
    size_of::<LockValue>() + unsafe { value_of(value) }.lock.weight()
}

extern "C" fn unlink(_: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) {
    // SAFETY: the server passes a value of this type, on the main thread.
    let uid = unsafe { value_of(value) }.uid;
    deadlines::forget(uid);
    line::leave(uid);
}

extern "C" fn copy(ctx: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void {
    // SAFETY: the server passes a value of this type; the context and the name live for this call.
    let (mut copy, db, key) = unsafe {
        let copy = LockValue::new(value_of(value).lock.clone());
        (copy, api!(RedisModule_GetToDbIdFromOptCtx(ctx)), api!(RedisModule_GetToKeyNameFromOptCtx(ctx)))
    };
    if !key.is_null() {
        copy.note(db, Str(key.cast_mut()));
    }
    Box::into_raw(copy).cast()
}
