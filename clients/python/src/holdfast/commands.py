"""Every command as a method: ORDER.PLACE is ``order_place``, its arguments in the order of the command.

The methods of ``holdfast.aio`` are written from this file (``tools/async_commands.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from . import _wire as wire
from .types import (
    ClaimedOrder,
    Completion,
    Difference,
    Failure,
    Hold,
    Info,
    Items,
    Lane,
    LockState,
    Order,
    OrderState,
    Page,
    Settings,
    Sku,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Commands:
    """The commands. See docs/commands.md of Holdfast for what each does and replies."""

    def _run(self, parse: Callable[[Any], T], name: str, key: str, *args: Any) -> T:
        """Sends a call, again if the connection breaks: it changes nothing the second time."""
        raise NotImplementedError

    def _run_once(self, parse: Callable[[Any], T], name: str, key: str, *args: Any) -> T:
        """Sends a call that would hand out something else the second time."""
        raise NotImplementedError

    def _wait(
        self, parse: Callable[[Any], T], word: str, wait_ms: int | None, name: str, key: str, *args: Any
    ) -> T:
        """Sends a call that waits, in rounds that end before the client gives up."""
        raise NotImplementedError

    def _each(self, page: Callable[[str], Page]) -> Iterator[str]:
        """All ids, page by page."""
        raise NotImplementedError

    # Stores.

    def store_set(self, key: str, **settings: Unpack[Settings]) -> None:
        """Sets settings of a store, and creates it: ``store_set("popup", limit=2, hold_ms=600_000, paused=False)``."""
        return self._run(wire.done, "STORE.SET", key, *wire.settings_of(settings))

    def store_get(self, key: str, *fields: str) -> Settings:
        """Returns settings of a store, or those that are named."""
        return self._run(wire.settings, "STORE.GET", key, *(field.replace("_", "-") for field in fields))

    def store_info(self, key: str) -> Info:
        """Returns counters and gauges of a store: ``store_info("popup")["in_work"]``."""
        return self._run(wire.info, "STORE.INFO", key)

    def store_lanes(self, key: str) -> list[Lane]:
        """Lists the lanes of a store: how many orders wait in each, are worked on and are retried."""
        return self._run(wire.lanes, "STORE.LANES", key)

    def store_audit(self, key: str) -> list[Difference]:
        """Recounts the store and lists what differs: nothing when the books balance."""
        return self._run(wire.differences, "STORE.AUDIT", key)

    def store_repair(self, key: str) -> int:
        """Repairs the streams of orders, retries and dead letters; returns how many entries it wrote or removed."""
        return self._run(wire.number, "STORE.REPAIR", key)

    def store_drop(self, key: str) -> None:
        """Deletes a store and its streams."""
        return self._run(wire.done, "STORE.DROP", key)

    # Stock.

    def inv_set(
        self,
        key: str,
        sku: str,
        on_hand: int,
        *,
        safety: int | None = None,
        low: int | None = None,
        limit: int | None = None,
        backlog: int | None = None,
    ) -> int:
        """Sets the absolute count of a SKU, creates store and SKU; returns the units available."""
        options = (*wire.opt("SAFETY", safety), *wire.opt("LOW", low), *wire.opt("LIMIT", limit))
        return self._run(wire.number, "INV.SET", key, sku, on_hand, *options, *wire.opt("BACKLOG", backlog))

    def inv_adjust(
        self, key: str, sku: str, delta: int, *, reason: str | None = None, ref: str | None = None
    ) -> int:
        """Adds units or removes some; returns the new on-hand count. The same ``ref`` counts once."""
        options = (*wire.opt("REASON", reason), *wire.some_ref(ref))
        return self._run(wire.number, "INV.ADJUST", key, sku, delta, *options)

    def inv_get(self, key: str, *skus: str) -> list[Sku | None]:
        """Returns the counts of SKUs; None for one that is unknown."""
        return self._run(wire.skus, "INV.GET", key, *skus)

    def inv_scan(
        self,
        key: str,
        cursor: str | int = 0,
        *,
        match: str | None = None,
        count: int | None = None,
        low: bool = False,
    ) -> Page:
        """Returns a page of the SKUs: the next cursor (``"0"`` at the end), and SKUs. See ``inv_scan_iter``."""
        options = (*wire.opt("MATCH", match), *wire.opt("COUNT", count), *wire.flag("LOW", low))
        return self._run(wire.page, "INV.SCAN", key, cursor, *options)

    def inv_scan_iter(
        self, key: str, *, match: str | None = None, count: int = wire.PAGE, low: bool = False
    ) -> Iterator[str]:
        """Iterates over the SKUs; see ``order_scan_iter``."""
        return self._each(lambda cursor: self.inv_scan(key, cursor, match=match, count=count, low=low))

    def inv_sync(self, key: str, source: str, seq: int, items: Items) -> str:
        """Applies counts of a numbered feed, each number once: APPLIED or DUPLICATE."""
        return self._run(wire.text, "INV.SYNC", key, source, seq, *wire.items_of(items))

    # Holds.

    def inv_reserve(
        self,
        key: str,
        hold: str,
        items: Items,
        *,
        customer: str | None = None,
        ttl_ms: int | None = None,
        replace: bool = False,
    ) -> int:
        """Holds units until a deadline, all items or none; returns when it expires."""
        options = (*wire.opt("CUSTOMER", customer), *wire.opt("TTL", ttl_ms), *wire.flag("REPLACE", replace))
        return self._run(wire.number, "INV.RESERVE", key, hold, *options, *wire.items_of(items))

    def inv_extend(self, key: str, hold: str, ms: int) -> int:
        """Moves a hold's deadline to this many milliseconds from now; returns when it expires."""
        return self._run(wire.number, "INV.EXTEND", key, hold, ms)

    def inv_commit(self, key: str, hold: str, items: Items | None = None, *, ref: str | None = None) -> int:
        """Sells a hold's units, or some of them; returns the units left. The same ``ref`` counts once."""
        return self._run(
            wire.number, "INV.COMMIT", key, hold, *wire.ref_of_part(ref, items), *wire.items_of(items)
        )

    def inv_release(self, key: str, hold: str, items: Items | None = None, *, ref: str | None = None) -> int:
        """Releases a hold's units, or some of them; returns the units left. The same ``ref`` counts once."""
        return self._run(
            wire.number, "INV.RELEASE", key, hold, *wire.ref_of_part(ref, items), *wire.items_of(items)
        )

    def inv_hold(self, key: str, hold: str) -> Hold:
        """Returns everything that is known about a hold."""
        return self._run(wire.hold, "INV.HOLD", key, hold)

    def inv_holds(
        self, key: str, cursor: str | int = 0, *, customer: str | None = None, count: int | None = None
    ) -> Page:
        """Returns a page of the live holds: the next cursor (``"0"`` at the end), and ids. See ``inv_holds_iter``."""
        options = (*wire.opt("CUSTOMER", customer), *wire.opt("COUNT", count))
        return self._run(wire.page, "INV.HOLDS", key, cursor, *options)

    def inv_holds_iter(
        self, key: str, *, customer: str | None = None, count: int = wire.PAGE
    ) -> Iterator[str]:
        """Iterates over the ids of the live holds; see ``order_scan_iter``."""
        return self._each(lambda cursor: self.inv_holds(key, cursor, customer=customer, count=count))

    # Orders.

    def order_place(
        self,
        key: str,
        order: str,
        customer: str,
        items: Items | None = None,
        *,
        hold: str | None = None,
        group: str | None = None,
        lane: str | None = None,
        data: Any = None,
        gates: Mapping[str, int] | None = None,
        wait: bool | int = False,
    ) -> str | None:
        """Places an order of ``items``, or of a ``hold``; the id of its stream entry, None while it waits or is gated.

        ``data`` is any JSON value; the names in it are sent in alphabetical order, whatever theirs is. ``gates``
        are milliseconds by gate; ``wait`` is True, or for how many milliseconds; 0 is without end. Sent again with the
        same content it changes nothing and returns the same.
        """
        options = (*wire.opt("GROUP", group), *wire.opt("LANE", lane), *wire.data_opt(data))
        waits = (*wire.gates_of(gates), *wire.wait_of(wait))
        units = (*wire.items_of(items), *wire.opt("HOLD", hold))
        return self._run(wire.text_or_none, "ORDER.PLACE", key, order, customer, *options, *waits, *units)

    def order_claim(
        self,
        key: str,
        worker: str,
        *,
        count: int | None = None,
        lease_ms: int | None = None,
        lanes: Iterable[str] | None = None,
        order: str | None = None,
        block_ms: int | None = None,
    ) -> list[ClaimedOrder]:
        """Gives orders to a worker under a lease. ``block_ms`` 0 waits without limit.

        It waits in rounds that are shorter than the client's time-out, and is never sent twice. See ``Worker`` for the
        whole loop.
        """
        options = (*wire.opt("COUNT", count), *wire.opt("LEASE", lease_ms), *wire.lanes_of(lanes))
        options = (*options, *wire.opt("ORDER", order))
        return self._wait(wire.all_claimed, "BLOCK", block_ms, "ORDER.CLAIM", key, worker, *options)

    def order_complete(
        self,
        key: str,
        order: str,
        *,
        token: int | None = None,
        result: Any = None,
        claim: str | None = None,
        lease_ms: int | None = None,
    ) -> Completion:
        """Completes an order; with ``claim`` (a worker) claims the next one. ``result`` is any JSON value."""
        options = (*wire.opt("TOKEN", token), *wire.json_opt("RESULT", result), *wire.opt("CLAIM", claim))
        options = (*options, *wire.opt("LEASE", lease_ms))
        if claim is None:
            return self._run(wire.completion, "ORDER.COMPLETE", key, order, *options)
        return self._run_once(wire.completion, "ORDER.COMPLETE", key, order, *options)

    def order_fail(
        self,
        key: str,
        order: str,
        *,
        token: int | None = None,
        reason: str | None = None,
        after_ms: int | None = None,
        fatal: bool = False,
    ) -> Failure:
        """Reports a failed attempt: the order is retried, or is dead after its last attempt or with ``fatal``."""
        options = (*wire.opt("TOKEN", token), *wire.opt("REASON", reason), *wire.opt("AFTER", after_ms))
        return self._run(wire.failure, "ORDER.FAIL", key, order, *options, *wire.flag("FATAL", fatal))

    def order_renew(self, key: str, order: str, token: int, *, lease_ms: int | None = None) -> int:
        """Extends the lease of a claimed order; returns when it expires."""
        return self._run(wire.number, "ORDER.RENEW", key, order, "TOKEN", token, *wire.opt("LEASE", lease_ms))

    def order_yield(self, key: str, worker: str) -> int:
        """Gives all orders of a worker back, without counting an attempt; returns how many."""
        return self._run(wire.number, "ORDER.YIELD", key, worker)

    def order_gate(self, key: str, order: str, gate: str, ms: int) -> int:
        """Puts a gate on an order that no worker has, or moves its deadline; returns it (0: no end)."""
        return self._run(wire.number, "ORDER.GATE", key, order, gate, ms)

    def order_pass(self, key: str, order: str, gate: str) -> int:
        """Passes a gate; returns how many gates are left."""
        return self._run(wire.number, "ORDER.PASS", key, order, gate)

    def order_advance(
        self, key: str, order: str, step: str, *, from_step: str | None = None, token: int | None = None
    ) -> int:
        """Sets the fulfilment step; returns its version."""
        options = (*wire.opt("FROM", from_step), *wire.opt("TOKEN", token))
        return self._run(wire.number, "ORDER.ADVANCE", key, order, step, *options)

    def order_edit(
        self,
        key: str,
        order: str,
        items: Items,
        *,
        token: int | None = None,
        ref: str | None = None,
        lost: bool = False,
    ) -> int:
        """Gives an open order exactly these items; returns its units. ``lost``: what it gives up is written off."""
        options = (*wire.opt("TOKEN", token), *wire.some_ref(ref), *wire.flag("LOST", lost))
        return self._run(wire.number, "ORDER.EDIT", key, order, *options, *wire.items_of(items))

    def order_split(
        self, key: str, order: str, new_order: str, items: Items, *, token: int | None = None, lane: str | None = None
    ) -> str | None:
        """Moves units into an order of their own; returns the id of its stream entry, None while it waits."""
        options = (*wire.opt("TOKEN", token), *wire.opt("LANE", lane))
        return self._run(wire.text_or_none, "ORDER.SPLIT", key, order, new_order, *options, *wire.items_of(items))

    def order_cancel(self, key: str, order: str, *, reason: str | None = None) -> int:
        """Cancels an open or dead order; returns the units put back."""
        return self._run(wire.number, "ORDER.CANCEL", key, order, *wire.opt("REASON", reason))

    def order_return(
        self,
        key: str,
        order: str,
        items: Items,
        *,
        customer: str | None = None,
        ref: str | None = None,
        scrap: bool = False,
    ) -> int:
        """Returns units of a completed order; returns how many. The same ``ref`` counts once."""
        options = (*wire.opt("CUSTOMER", customer), *wire.some_ref(ref), *wire.flag("SCRAP", scrap))
        return self._run(wire.number, "ORDER.RETURN", key, order, *options, *wire.items_of(items))

    def order_redrive(
        self, key: str, order: str | None = None, *, reason: str | None = None, count: int | None = None
    ) -> int:
        """Queues a dead order again; without ``order`` all of them, or those whose reason matches."""
        which = ("ALL",) if order is None else (order,)
        return self._run(
            wire.number, "ORDER.REDRIVE", key, *which, *wire.opt("REASON", reason), *wire.opt("COUNT", count)
        )

    def order_purge(self, key: str, *, reason: str | None = None, count: int | None = None) -> int:
        """Cancels dead orders, all of them or those whose reason matches; returns how many."""
        return self._run(wire.number, "ORDER.PURGE", key, *wire.opt("REASON", reason), *wire.opt("COUNT", count))

    def order_get(self, key: str, order: str) -> Order:
        """Returns everything that is known about an order, with its history."""
        return self._run(wire.order, "ORDER.GET", key, order)

    def order_scan(
        self,
        key: str,
        cursor: str | int = 0,
        *,
        state: OrderState | None = None,
        customer: str | None = None,
        lane: str | None = None,
        late: bool = False,
        count: int | None = None,
    ) -> Page:
        """Returns a page of the orders: the next cursor (``"0"`` at the end), and ids. See ``order_scan_iter``."""
        orders = (*wire.opt("STATE", state), *wire.opt("CUSTOMER", customer), *wire.opt("LANE", lane))
        options = (*orders, *wire.flag("LATE", late))
        return self._run(wire.page, "ORDER.SCAN", key, cursor, *options, *wire.opt("COUNT", count))

    def order_scan_iter(
        self,
        key: str,
        *,
        state: OrderState | None = None,
        customer: str | None = None,
        lane: str | None = None,
        late: bool = False,
        count: int = wire.PAGE,
    ) -> Iterator[str]:
        """Iterates over the ids of the orders. Asks for a page when it is needed; ``count`` are looked at for one.

        An order that is there all the time comes once, as it was when its page was made. One that comes, goes or
        changes meanwhile may come or not. After a restart, a failover or a move of the store to another node begin
        anew: some may come twice or never.
        """
        return self._each(
            lambda cursor: self.order_scan(
                key, cursor, state=state, customer=customer, lane=lane, late=late, count=count
            )
        )

    # Locks.

    def lock_acquire(self, key: str, owner: str, ttl_ms: int, *, wait_ms: int | None = None) -> int | None:
        """Acquires a lock, or waits for it (0: without limit); returns its token, or None."""
        return self._wait(wire.number_or_none, "WAIT", wait_ms, "LOCK.ACQUIRE", key, owner, ttl_ms)

    def lock_renew(self, key: str, token: int, ttl_ms: int) -> bool:
        """Restarts the lease of a lock; False if it is not held under this token any more."""
        return self._run(wire.truth, "LOCK.RENEW", key, token, ttl_ms)

    def lock_release(self, key: str, token: int) -> bool:
        """Releases a lock; False if it is not held under this token any more."""
        return self._run(wire.truth, "LOCK.RELEASE", key, token)

    def lock_get(self, key: str) -> LockState:
        """Shows who owns a lock, and how many wait for it."""
        return self._run(wire.lock_state, "LOCK.GET", key)
