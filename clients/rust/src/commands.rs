//! Every command as a function: ORDER.PLACE is [`order_place`], its arguments in the order of the command. Options are
//! methods of the [`Call`] that it returns.

use redis::Value;
use serde::Serialize;

use crate::call::{Call, Command, Waiting};
use crate::error::Error;
use crate::json;
use crate::reply::{self, *};

/// A command: its function, its options with a value, and those without one.
macro_rules! commands {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident $kind:ident = $word:literal ($($arg:ident: $type:ty),*) -> $reply:ty = $read:path
        { $($(#[doc = $odoc:literal])* $option:ident $(: $otype:ty)? = $oword:literal),* $(,)? }
    )*) => { $(
        #[doc = concat!("The command ", $word, ": see [`", stringify!($name), "`].")]
        #[derive(Debug)]
        pub enum $kind {}

        impl Command for $kind {
            const NAME: &'static str = $word;
            type Reply = $reply;
            fn read(reply: Value) -> Result<$reply, Error> {
                $read(reply)
            }
        }

        $(#[doc = $doc])*
        pub fn $name($($arg: $type),*) -> Call<$kind> {
            Call::new()$(.arg($arg))*
        }

        impl Call<$kind> {
            $($(#[doc = $odoc])* pub fn $option(self $(, value: $otype)?) -> Self {
                self.arg($oword)$(.arg::<$otype>(value))?
            })*
        }
    )* };
}

commands! {
    /// Sets settings of a store, and creates it.
    store_set StoreSet = "STORE.SET" (key: &str) -> () = reply::done {
        /// When the sale opens, Unix milliseconds; 0: no bound.
        opens: u64 = "opens",
        /// When the sale closes, Unix milliseconds; 0: no bound.
        closes: u64 = "closes",
        /// Units one customer may have; 0: no limit.
        limit: u64 = "limit",
        /// How long a hold lasts.
        hold_ms: u64 = "hold-ms",
        /// How long a lease lasts.
        lease_ms: u64 = "lease-ms",
        /// How many attempts an order has.
        attempts: u64 = "attempts",
        /// The wait before the first retry.
        backoff_ms: u64 = "backoff-ms",
        /// The longest wait before a retry.
        backoff_cap_ms: u64 = "backoff-cap-ms",
        /// How long what ended is remembered.
        keep_ms: u64 = "keep-ms",
        /// After how long an order is late; 0: never.
        sla_ms: u64 = "sla-ms",
        /// Entries of `…:complete`.
        history: u64 = "history",
        /// Entries of `…:journal`.
        journal: u64 = "journal",
        /// Entries of `…:metrics`.
        metrics: u64 = "metrics",
        /// Entries of `…:alerts`.
        alerts: u64 = "alerts",
        /// How long a hold can live, its extensions included; 0: no limit.
        hold_max_ms: u64 = "hold-max-ms",
        /// Units that one hold may have; 0: no limit.
        hold_max_units: u64 = "hold-max-units",
    }
    /// Returns settings of a store, or those of `fields`, spelled as in the command.
    store_get StoreGet = "STORE.GET" (key: &str, fields: &[&str]) -> Map = reply::map {}
    /// Returns counters and gauges of a store.
    store_info StoreInfo = "STORE.INFO" (key: &str) -> Info = reply::json {}
    /// Lists the lanes of a store.
    store_lanes StoreLanes = "STORE.LANES" (key: &str) -> Vec<Lane> = reply::json {}
    /// Recounts the store and lists what differs: nothing when the books balance.
    store_audit StoreAudit = "STORE.AUDIT" (key: &str) -> Vec<Difference> = reply::json {}
    /// Repairs the streams; how many entries it wrote or removed.
    store_repair StoreRepair = "STORE.REPAIR" (key: &str) -> u64 = reply::json {}
    /// Deletes a store and its streams.
    store_drop StoreDrop = "STORE.DROP" (key: &str) -> () = reply::done {}

    /// Sets the absolute count of a SKU, creates store and SKU; the units available.
    inv_set InvSet = "INV.SET" (key: &str, sku: &str, on_hand: u64) -> i64 = reply::json {
        /// Units that are never sold.
        safety: u64 = "SAFETY",
        /// At so many units left to sell, the SKU is low.
        low: u64 = "LOW",
        /// Units of it one customer may have.
        limit: u64 = "LIMIT",
        /// Units of it that may be waited for.
        backlog: u64 = "BACKLOG",
    }
    /// Returns the counts of SKUs; none for one that is unknown.
    inv_get InvGet = "INV.GET" (key: &str, skus: &[&str]) -> Vec<Option<Sku>> = reply::json {}
    /// Returns a page of the SKUs, from a cursor on; [`iter`](Call::iter) has them all.
    inv_scan InvScan = "INV.SCAN" (key: &str, cursor: &str) -> Page = reply::json {
        /// Those that match alone.
        matching: &str = "MATCH",
        /// Those at or under their low mark alone.
        low = "LOW",
    }
    /// When the hold expires then; never earlier than now.
    inv_extend InvExtend = "INV.EXTEND" (key: &str, hold: &str, ms: u64) -> u64 = reply::json {}
    /// Returns everything that is known about a hold.
    inv_hold InvHold = "INV.HOLD" (key: &str, hold: &str) -> Hold = reply::json {}
    /// Returns a page of the live holds, from a cursor on; [`iter`](Call::iter) has them all.
    inv_holds InvHolds = "INV.HOLDS" (key: &str, cursor: &str) -> Page = reply::json {
        /// Those of this customer alone.
        customer: &str = "CUSTOMER",
    }

    /// Gives orders to a worker under a lease. See [`Worker`](crate::Worker) for the whole loop.
    order_claim OrderClaim = "ORDER.CLAIM" (key: &str, worker: &str) -> Vec<ClaimedOrder> = reply::claimed {
        /// How many at most.
        count: u64 = "COUNT",
        /// How long the lease lasts.
        lease_ms: u64 = "LEASE",
        /// That very order, if a worker could get it now.
        order: &str = "ORDER",
    }
    /// Completes an order.
    order_complete OrderComplete = "ORDER.COMPLETE" (key: &str, order: &str) -> Completion = reply::completion {
        /// The token of the claim: refused if it is not the current one.
        token: u64 = "TOKEN",
        /// Claims the next order for this worker.
        claim: &str = "CLAIM",
        /// How long that lease lasts.
        lease_ms: u64 = "LEASE",
    }
    /// Reports a failed attempt: the order is retried, or is dead.
    order_fail OrderFail = "ORDER.FAIL" (key: &str, order: &str) -> Failure = reply::json {
        /// The token of the claim: refused if it is not the current one.
        token: u64 = "TOKEN",
        /// Why.
        reason: &str = "REASON",
        /// How long until the retry.
        after_ms: u64 = "AFTER",
        /// No attempt will succeed: it is dead.
        fatal = "FATAL",
    }
    /// Gives all orders of a worker back, without counting an attempt; how many.
    order_yield OrderYield = "ORDER.YIELD" (key: &str, worker: &str) -> u64 = reply::json {}
    /// Puts a gate on an order that no worker has, or moves its deadline; the deadline (0: no end).
    order_gate OrderGate = "ORDER.GATE" (key: &str, order: &str, gate: &str, ms: u64) -> u64 = reply::json {}
    /// Passes a gate; how many gates are left.
    order_pass OrderPass = "ORDER.PASS" (key: &str, order: &str, gate: &str) -> u64 = reply::json {}
    /// Sets the fulfilment step; its version.
    order_advance OrderAdvance = "ORDER.ADVANCE" (key: &str, order: &str, step: &str) -> u64 = reply::json {
        /// Only if this is the step now.
        from: &str = "FROM",
        /// The token of the claim: refused if it is not the current one.
        token: u64 = "TOKEN",
    }
    /// Cancels an open or dead order; the units put back.
    order_cancel OrderCancel = "ORDER.CANCEL" (key: &str, order: &str) -> u64 = reply::json {
        /// Why.
        reason: &str = "REASON",
    }
    /// Cancels dead orders; how many.
    order_purge OrderPurge = "ORDER.PURGE" (key: &str) -> u64 = reply::json {
        /// Those whose reason matches alone.
        reason: &str = "REASON",
        /// How many at most.
        count: u64 = "COUNT",
    }
    /// Returns everything that is known about an order, with its history.
    order_get OrderGet = "ORDER.GET" (key: &str, order: &str) -> Order = reply::json {}
    /// Returns a page of the orders, from a cursor on; [`iter`](Call::iter) has them all.
    order_scan OrderScan = "ORDER.SCAN" (key: &str, cursor: &str) -> Page = reply::json {
        /// Those of this state alone.
        state: &str = "STATE",
        /// Those of this customer alone.
        customer: &str = "CUSTOMER",
        /// Those in this lane alone; empty: the default one.
        lane: &str = "LANE",
        /// Those past their time alone.
        late = "LATE",
    }

    /// Acquires a lock; its token, or none.
    lock_acquire LockAcquire = "LOCK.ACQUIRE" (key: &str, owner: &str, ttl_ms: u64) -> Option<u64> = reply::json {}
    /// Restarts the lease of a lock; false if it is not held under this token any more.
    lock_renew LockRenew = "LOCK.RENEW" (key: &str, token: u64, ttl_ms: u64) -> bool = reply::truth {}
    /// Releases a lock; false if it is not held under this token any more.
    lock_release LockRelease = "LOCK.RELEASE" (key: &str, token: u64) -> bool = reply::truth {}
    /// Shows who owns a lock, and how many wait for it.
    lock_get LockGet = "LOCK.GET" (key: &str) -> LockState = reply::json {}
}

/// Commands whose call has items, or needs more than a macro can say.
macro_rules! with_items {
    ($($name:ident $kind:ident = $word:literal -> $reply:ty = $read:path
        { $($(#[doc = $odoc:literal])* $option:ident $(: $otype:ty)? = $oword:literal),* $(,)? })*) => { $(
        #[doc = concat!("The command ", $word, ": see [`", stringify!($name), "`].")]
        #[derive(Debug)]
        pub enum $kind {}

        impl Command for $kind {
            const NAME: &'static str = $word;
            type Reply = $reply;
            fn read(reply: Value) -> Result<$reply, Error> {
                $read(reply)
            }
        }

        impl Call<$kind> {
            $($(#[doc = $odoc])* pub fn $option(self $(, value: $otype)?) -> Self {
                self.arg($oword)$(.arg::<$otype>(value))?
            })*
        }
    )* };
}

with_items! {
    inv_adjust InvAdjust = "INV.ADJUST" -> u64 = reply::json {
        /// Why.
        reason: &str = "REASON",
    }
    inv_sync InvSync = "INV.SYNC" -> String = reply::json {}
    inv_reserve InvReserve = "INV.RESERVE" -> u64 = reply::json {
        /// Whose it is.
        customer: &str = "CUSTOMER",
        /// How long it lasts.
        ttl_ms: u64 = "TTL",
        /// The hold becomes exactly this, whatever it was before.
        replace = "REPLACE",
    }
    inv_commit InvCommit = "INV.COMMIT" -> u64 = reply::json {}
    inv_release InvRelease = "INV.RELEASE" -> u64 = reply::json {}
    order_place OrderPlace = "ORDER.PLACE" -> Option<String> = reply::json {
        /// Orders of a group are handed out one at a time.
        group: &str = "GROUP",
        /// The part of the queue that it waits in.
        lane: &str = "LANE",
    }
    order_renew OrderRenew = "ORDER.RENEW" -> u64 = reply::json {
        /// How long the lease lasts from now.
        lease_ms: u64 = "LEASE",
    }
    order_edit OrderEdit = "ORDER.EDIT" -> u64 = reply::json {
        /// The token of the claim, if a worker has the order.
        token: u64 = "TOKEN",
        /// What it gives up is written off.
        lost = "LOST",
    }
    order_split OrderSplit = "ORDER.SPLIT" -> Option<String> = reply::json {
        /// The token of the claim, if a worker has the order.
        token: u64 = "TOKEN",
        /// The lane of the new order.
        lane: &str = "LANE",
    }
    order_return OrderReturn = "ORDER.RETURN" -> u64 = reply::json {
        /// Whose they are.
        customer: &str = "CUSTOMER",
        /// They are written off instead of put back.
        scrap = "SCRAP",
    }
    order_redrive OrderRedrive = "ORDER.REDRIVE" -> u64 = reply::json {
        /// Of all dead orders, those whose reason matches alone.
        reason: &str = "REASON",
        /// How many at most.
        count: u64 = "COUNT",
    }
}

impl Call<StoreSet> {
    /// While paused, workers get no orders.
    pub fn paused(self, is_paused: bool) -> Self {
        self.arg("paused").arg(if is_paused { "yes" } else { "no" })
    }
}

/// Adds units or removes some; the new on-hand count. The same `reference` (the command's REF) counts once: for a call
/// that is sent again, name one, or send the same [`Call`].
pub fn inv_adjust(key: &str, sku: &str, delta: i64) -> Call<InvAdjust> {
    Call::new().arg(key).arg(sku).arg(delta)
}

impl Call<InvAdjust> {
    /// The same id counts once.
    pub fn reference(self, id: &str) -> Self {
        self.named_ref(id)
    }

    /// With an id of its own: this call counts once, however often it is sent.
    pub fn once(self) -> Self {
        self.with_ref()
    }
}

/// Applies counts of a numbered feed, each number once: APPLIED or DUPLICATE.
pub fn inv_sync<S: AsRef<str>>(
    key: &str,
    source: &str,
    seq: u64,
    items: impl IntoIterator<Item = (S, u64)>,
) -> Call<InvSync> {
    Call::new().arg(key).arg(source).arg(seq).items_of(items)
}

/// Holds units until a deadline, all items or none; when it expires.
pub fn inv_reserve<S: AsRef<str>>(
    key: &str,
    hold: &str,
    items: impl IntoIterator<Item = (S, u64)>,
) -> Call<InvReserve> {
    Call::new().arg(key).arg(hold).items_of(items)
}

/// Sells a hold's units, or some of them; the units left.
pub fn inv_commit(key: &str, hold: &str) -> Call<InvCommit> {
    Call::new().arg(key).arg(hold)
}

/// Releases a hold's units, or some of them; the units left.
pub fn inv_release(key: &str, hold: &str) -> Call<InvRelease> {
    Call::new().arg(key).arg(hold)
}

/// A part of a hold, which has a REF: the whole needs none.
macro_rules! parts_of_holds {
    ($($kind:ident)*) => { $(impl Call<$kind> {
        /// The same id counts once. A part without one gets an id of its own.
        pub fn reference(self, id: &str) -> Self {
            self.named_ref(id)
        }

        /// These units alone.
        pub fn items<S: AsRef<str>>(self, items: impl IntoIterator<Item = (S, u64)>) -> Self {
            self.with_ref().items_of(items)
        }
    })* };
}

parts_of_holds! { InvCommit InvRelease }

/// Places an order of [`items`](Call::items) or of a [`hold`](Call::hold); the id of its stream entry, none while it
/// waits or is gated. Sent again with the same content it changes nothing and returns the same.
pub fn order_place(key: &str, order: &str, customer: &str) -> Call<OrderPlace> {
    Call::new().arg(key).arg(order).arg(customer)
}

impl Call<OrderPlace> {
    /// Any JSON value, for the worker. The names in it are sent in alphabetical order, whatever theirs is: the same
    /// value is the same content, a `HashMap` too.
    pub fn data(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.json("DATA", value, json::in_order)
    }

    /// A gate that has to be passed within these milliseconds (0: no end) before workers get the order.
    pub fn gate(self, gate: &str, ms: u64) -> Self {
        self.arg("GATE").arg(gate).arg(ms)
    }

    /// Where units are short, it waits for them so long; 0: for ever.
    pub fn wait_ms(self, ms: u64) -> Self {
        self.arg("WAIT").arg(ms)
    }

    /// What is ordered.
    pub fn items<S: AsRef<str>>(self, items: impl IntoIterator<Item = (S, u64)>) -> Self {
        self.items_of(items)
    }

    /// The hold that becomes the order.
    pub fn hold(self, hold: &str) -> Self {
        self.last("HOLD", hold)
    }
}

impl Call<OrderClaim> {
    /// Orders of these lanes alone, of the first that has any.
    pub fn lanes(self, lanes: &[&str]) -> Self {
        if lanes.is_empty() { self } else { self.arg("LANES").arg(lanes.len()).arg(lanes) }
    }

    /// Waits for orders; 0: without limit.
    pub fn block_ms(self, ms: u64) -> Waiting<OrderClaim> {
        Waiting { call: self, word: "BLOCK", ms }
    }
}

impl Call<OrderComplete> {
    /// Any JSON value, which is kept.
    pub fn result(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.json("RESULT", value, Ok)
    }
}

/// Extends the lease of a claimed order; when it expires.
pub fn order_renew(key: &str, order: &str, token: u64) -> Call<OrderRenew> {
    Call::new().arg(key).arg(order).arg("TOKEN").arg(token)
}

/// Gives an open order exactly these items; its units.
pub fn order_edit<S: AsRef<str>>(key: &str, order: &str, items: impl IntoIterator<Item = (S, u64)>) -> Call<OrderEdit> {
    Call::new().arg(key).arg(order).items_of(items)
}

/// Moves units into an order of their own; the id of its stream entry, none while it waits.
pub fn order_split<S: AsRef<str>>(
    key: &str,
    order: &str,
    new_order: &str,
    items: impl IntoIterator<Item = (S, u64)>,
) -> Call<OrderSplit> {
    Call::new().arg(key).arg(order).arg(new_order).items_of(items)
}

/// Returns units of a completed order; how many. For a call that is sent again, name a `reference`, or use
/// [`once`](Call::once) and send the same [`Call`].
pub fn order_return<S: AsRef<str>>(
    key: &str,
    order: &str,
    items: impl IntoIterator<Item = (S, u64)>,
) -> Call<OrderReturn> {
    Call::new().arg(key).arg(order).items_of(items)
}

impl Call<OrderEdit> {
    /// The same id counts once.
    pub fn reference(self, id: &str) -> Self {
        self.named_ref(id)
    }
}

impl Call<OrderReturn> {
    /// The same id counts once.
    pub fn reference(self, id: &str) -> Self {
        self.named_ref(id)
    }

    /// With an id of its own: this call counts once, however often it is sent.
    pub fn once(self) -> Self {
        self.with_ref()
    }
}

/// Queues a dead order again; how many were queued.
pub fn order_redrive(key: &str, order: &str) -> Call<OrderRedrive> {
    Call::new().arg(key).arg(order)
}

/// Queues all dead orders again, or some of them; how many were queued.
pub fn order_redrive_all(key: &str) -> Call<OrderRedrive> {
    Call::new().arg(key).arg("ALL")
}

impl Call<LockAcquire> {
    /// Waits for the lock; 0: without limit.
    pub fn wait_ms(self, ms: u64) -> Waiting<LockAcquire> {
        Waiting { call: self, word: "WAIT", ms }
    }
}
