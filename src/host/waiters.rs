//! Blocked callers of the real server: it blocks and unblocks clients, and calls back. Who waits for what, and who is
//! served when, is in [`super::callers`].
//!
//! The server's own lists of clients blocked on keys are not used: they wake all callers at once, and say nothing when
//! a key is deleted.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};

use redis_module::raw;

use super::api::api;
use super::callers::{self, Callers, Delivery, Kind};
use super::clock::Boot;
use super::ctx::Ctx;
use super::query;
use super::turn::{self, CLOSED_MS, Turn};

/// The server does not know the timeouts, the queue has its own: where one falls due in the same turn of the event loop
/// as the answer, Redis 7.0 lets the client go without either (`moduleBlockedClientTimedOut` sees that it is being
/// unblocked and replies nothing, the client is unblocked all the same, and the reply callback finds nobody).
const NO_TIMEOUT: i64 = 0;

/// The real servers.
pub enum Real {}

impl Kind for Real {
    type Ctx<'a> = Ctx<'a>;
    type Client = *mut raw::RedisModuleBlockedClient;
    type Turn = Turn;
}

type Waiters = callers::Waiters<Real>;

type Client = <Real as Kind>::Client;

thread_local! {
    /// Only the server's main thread uses it: commands, timers, events, and the callbacks of blocked clients.
    static WAITERS: RefCell<Waiters> = RefCell::new(Waiters::default());

    /// How many wait, for whatever: asked on every change, and mostly 0.
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

fn with<T>(run: impl FnOnce(&mut Waiters) -> T) -> T {
    WAITERS.with_borrow_mut(|waiters| {
        let done = run(waiters);
        WAITING.set(waiters.waiting());
        done
    })
}

impl Callers for Ctx<'_> {
    type Kind = Real;

    fn waiters<T>(self, run: impl FnOnce(&mut Waiters) -> T) -> T {
        with(run)
    }

    #[inline]
    fn is_anybody_waiting(self) -> bool {
        WAITING.get() > 0
    }

    fn block(self) -> Client {
        let (reply, timeout, free) = (on_reply as _, on_timeout as _, free_delivery as _);
        // SAFETY: the context is a command's, which may block; the callbacks are functions of this module, which is
        // never unloaded.
        unsafe {
            let client = api!(RedisModule_BlockClient(self.raw(), Some(reply), Some(timeout), Some(free), NO_TIMEOUT));
            api!(RedisModule_SetDisconnectCallback(client, Some(on_disconnect)));
            client
        }
    }

    fn deliver(self, client: Client, delivery: Delivery<Real>) {
        let delivery = Box::into_raw(Box::new(delivery));
        // SAFETY: the client was blocked by `block` and is unblocked once: it has left the queue. `free_delivery` frees
        // the delivery. The server takes this at any time: it only notes the client.
        unsafe { api!(RedisModule_UnblockClient(client, delivery.cast())) };
    }

    fn release(self, client: Client) {
        // SAFETY: as in `deliver`; there is no private data.
        unsafe { api!(RedisModule_UnblockClient(client, std::ptr::null_mut())) };
    }

    fn boot(self) -> Boot {
        Boot::now()
    }

    fn begin_turn(self) -> Turn {
        Turn::begin()
    }

    fn is_over_after(self, turn: Turn, us: u64) -> bool {
        turn.is_over_after(us)
    }

    fn request_turn(self) {
        turn::request();
    }

    fn wake_at(self, at: Boot) {
        turn::wake_at(at);
    }
}

/// Whether anybody waits for the value. It costs next to nothing while nobody waits anywhere.
#[inline]
pub fn anybody(uid: u64) -> bool {
    WAITING.get() > 0 && WAITERS.with_borrow(|waiters| waiters.count(uid) > 0)
}

/// How many wait for the value.
pub fn count(uid: u64) -> usize {
    WAITERS.with_borrow(|waiters| waiters.count(uid))
}

/// A value left the keyspace: those who wait for it get nothing, and may ask again for what is there now.
pub fn leave(uid: u64) {
    if WAITING.get() > 0 && with(|waiters| waiters.leave(uid)) {
        turn::request();
    }
}

/// As [`leave`], for all values whose slot is another node's by now, or whose keys were deleted without an event.
pub fn leave_moved(ctx: Ctx<'_>) {
    for (uid, db, key) in with(|waiters| waiters.values()) {
        if !ctx.select(db) || !query::has_key(ctx, key.get()) {
            leave(uid);
        }
    }
}

/// As [`leave`], for all values of a database, or of [`callers::ALL_DBS`].
pub fn leave_db(db: c_int) {
    if WAITING.get() > 0 {
        with(|waiters| waiters.in_db(db)).into_iter().for_each(leave);
    }
}

/// Has the queue of the value served, after what the server does now. Call it when something may have become available.
#[inline]
pub fn schedule(uid: u64) {
    if WAITING.get() > 0 && with(|waiters| waiters.schedule(uid)) {
        turn::request();
    }
}

/// The same, if any of those in the queue takes from one of these parts of the value.
#[cold]
pub fn schedule_of<'a>(uid: u64, parts: impl Iterator<Item = &'a [u8]>) {
    if with(|waiters| waiters.schedule_of(uid, parts)) {
        turn::request();
    }
}

/// When the next tick has something to do.
pub fn next_tick(_: Ctx<'_>) -> Option<Boot> {
    with(|waiters| waiters.next_tick(Boot::now(), CLOSED_MS))
}

/// The tick of the queues ([`callers::tick`]).
pub fn tick(ctx: Ctx<'_>, turn: Turn) {
    callers::tick::<Real>(ctx, turn);
}

/// The delivery of a client, if its answer is with the server.
///
/// # Safety
/// The context must be the one of a blocked client's callback. The reference must not outlive the callback.
unsafe fn delivery_of<'a>(ctx: *mut raw::RedisModuleCtx) -> Option<&'a mut Delivery<Real>> {
    // SAFETY: the private data of a client that `block` blocked is null or what `deliver` passed; nobody else uses it
    // now.
    unsafe { api!(RedisModule_GetBlockedClientPrivateData(ctx)).cast::<Delivery<Real>>().as_mut() }
}

unsafe extern "C" fn on_reply(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the context of this callback, used within it.
    let (delivery, ctx) = unsafe { (delivery_of(ctx), Ctx::new(ctx)) };
    delivery.into_iter().for_each(|delivery| delivery.reply(ctx));
    raw::REDISMODULE_OK as c_int
}

/// CLIENT UNBLOCK. The server's own timeouts are not used ([`NO_TIMEOUT`]).
unsafe extern "C" fn on_timeout(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the context is a blocked client's, and has its handle; it is used within this callback.
    let (client, ctx) = unsafe { (api!(RedisModule_GetBlockedClientHandle(ctx)), Ctx::new(ctx)) };
    callers::unblocked::<Real>(ctx, client);
    raw::REDISMODULE_OK as c_int
}

/// The client went away, or the server sends it away: it became a replica, the cluster is down, CLIENT UNBLOCK with
/// ERROR.
///
/// Where I/O threads are on, the server can still run commands between the tick and the delivery: CLIENT UNBLOCK then
/// ends up here, with the answer in the server's hands and no reply given. That client gets nothing, and what it would
/// have got is taken back ([`free_delivery`]). To one that is gone the reply does no harm.
unsafe extern "C" fn on_disconnect(ctx: *mut raw::RedisModuleCtx, client: Client) {
    // SAFETY: the context of this callback, used within it.
    let (own, delivery) = unsafe { (Ctx::new(ctx), delivery_of(ctx)) };
    if !callers::is_gone(own, client) {
        delivery.into_iter().for_each(|delivery| delivery.nothing(own));
    }
}

unsafe extern "C" fn free_delivery(ctx: *mut raw::RedisModuleCtx, delivery: *mut c_void) {
    // SAFETY: the context of this callback, used within it; the delivery was boxed by `deliver`, and is freed once.
    let (ctx, delivery) = unsafe { (Ctx::new(ctx), Box::from_raw(delivery.cast::<Delivery<Real>>())) };
    callers::delivered(ctx, *delivery);
}
