"""The loop that works on orders, in asyncio's tasks."""

from __future__ import annotations

import asyncio
import inspect
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster

from .. import _wire as wire
from ..errors import HoldfastError
from ..trace import span_of
from ..types import ClaimedOrder, Completion, Failure
from ..worker import (
    BLOCK_MS,
    CLOSING_S,
    GIVEN_BACK_WITHIN_S,
    PASSING,
    RENEWED_AT,
    SETTLING_S,
    UNFIT,
    Waits,
    at_least_1,
    failure_of,
    log,
    log_outcome,
    may_pass,
    names_of,
    round_of,
    unique_name,
)
from .client import Client

#: A task that has not ended by then is cancelled again.
CANCELLED_AGAIN_S = 1.0


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks until they have ended: a library may take a cancellation for a time-out of its own."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCELLED_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()


class LeaseLost(Exception):
    """The lease of an order ended while its handler ran, which was cancelled."""


class HandlerCancelled(Exception):
    """A handler was cancelled, and not by its worker."""


class HandlerExits(Exception):
    """A handler wants to end the program: ``cause`` does."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(*cause.args)
        self.cause = cause


class Worker:
    """As ``holdfast.Worker``, for a handler that is a coroutine function: ``await handler(order)``.

    If the lease of an order is lost, its handler is cancelled.
    """

    def __init__(
        self,
        redis: Redis | RedisCluster,
        store: str,
        handler: Callable[[ClaimedOrder], Any],
        *,
        name: str | None = None,
        lanes: Sequence[str] | None = None,
        lease_ms: int = 30_000,
        concurrency: int = 1,
        block_ms: int = BLOCK_MS,
        stop_within_s: float = 25.0,
    ) -> None:
        wire.lanes_of(lanes)
        self.shop = Client(redis)
        self.store = store
        self.handler = handler
        self.name = name or unique_name()
        self.lanes = lanes
        self.lease_ms = at_least_1("lease_ms", lease_ms)
        self.block_ms = round_of(block_ms, self.shop.timeout_s)
        self.stop_within_s = stop_within_s
        self._names = names_of(self.name, concurrency)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends ``run`` gracefully; to be called in the event loop."""
        self._stopping.set()

    async def run(self, *, signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Works until ``stop`` is called or one of the signals comes. Raises what no attempt would mend."""
        loop = asyncio.get_running_loop()
        for which in signals:
            loop.add_signal_handler(which, self.stop)
        log.info("worker %s of %s starts", self.name, self.store)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._loop(name)) for name in self._names]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            # Claims that wait end at once; in a cluster, where they have no connections of their own, with their round.
            await self.shop.close()
            await asyncio.wait(tasks, timeout=self.stop_within_s)
        finally:
            await _end(stopping, *tasks)
            # Until the server has seen that the claims' connections are closed, it may hand something to them.
            await asyncio.sleep(CLOSING_S)
            await self._give_back()
            await self.shop.close()
            log.info("worker %s of %s has stopped", self.name, self.store)
            for which in signals:
                loop.remove_signal_handler(which)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _loop(self, name: str) -> None:
        waits, doubtful_until = Waits(self.store), 0.0
        while not self._stopping.is_set():
            try:
                if doubtful_until:
                    # Nothing is in hand now: what the server thinks this worker has was lost on the way.
                    now = time.monotonic()
                    await self.shop.order_yield(self.store, name)
                    doubtful_until = doubtful_until if now < doubtful_until else 0.0
                orders = await self.shop.order_claim(
                    self.store, name, lease_ms=self.lease_ms, lanes=self.lanes, block_ms=self.block_ms
                )
            except Exception as error:
                if self._stopping.is_set():
                    # Whatever redis-py makes of a connection that is closed under it.
                    return
                if not may_pass(error):
                    raise
                doubtful_until = time.monotonic() + self.block_ms / 1000 + SETTLING_S
                await self._wait(waits.next_s(error))
                continue
            waits.start_anew()
            if orders and not self._stopping.is_set():
                await self._report(orders[0], await self._outcome(orders[0]))

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def _outcome(self, order: ClaimedOrder) -> Callable[[], Awaitable[Completion | Failure]]:
        """Runs the handler; what to send about it then."""
        try:
            result = await self._handled(order)
            wire.json_text(result)
        except HandlerExits as error:
            # It ends this worker. The attempt counts: an order that ended every worker would never end itself.
            await self._report(order, self._failed(order, failure_of(error, order)))
            raise error.cause from error
        except Exception as error:
            return self._failed(order, failure_of(error, order))
        return lambda: self.shop.order_complete(self.store, order.order, token=order.token, result=result)

    def _failed(self, order: ClaimedOrder, how: dict[str, Any]) -> Callable[[], Awaitable[Failure]]:
        return lambda: self.shop.order_fail(self.store, order.order, token=order.token, **how)

    async def _handled(self, order: ClaimedOrder) -> Any:
        handling = asyncio.create_task(self._spanned(order))
        keeping = asyncio.create_task(self._keep_lease(order))
        try:
            await asyncio.wait([handling, keeping], return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                raise LeaseLost(order.order)
            if handling.cancelled():
                raise HandlerCancelled("the handler was cancelled")
            return handling.result()
        finally:
            await _end(handling, keeping)

    async def _spanned(self, order: ClaimedOrder) -> Any:
        try:
            with span_of(self.store, order):
                result = self.handler(order)
                return await result if inspect.isawaitable(result) else result
        except (SystemExit, KeyboardInterrupt) as error:
            # It would end the event loop at once, and nothing would be said of the order.
            raise HandlerExits(error) from error

    async def _keep_lease(self, order: ClaimedOrder) -> None:
        """Renews the lease until that is refused."""
        while True:
            await asyncio.sleep(self.lease_ms / 1000 * RENEWED_AT)
            try:
                await self.shop.order_renew(self.store, order.order, order.token, lease_ms=self.lease_ms)
            except PASSING as error:
                log.warning("cannot renew the lease of order %s yet: %s", order.order, error)
            except HoldfastError as error:
                log.warning("the lease of order %s is lost: %s", order.order, error)
                return

    async def _report(self, order: ClaimedOrder, report: Callable[[], Awaitable[Completion | Failure]]) -> None:
        """Sends the outcome until the server has it: the token makes that safe, whoever has the order by then."""
        waits, unfit = Waits(self.store), UNFIT
        while True:
            try:
                return log_outcome(order, await report())
            except PASSING as error:
                await asyncio.sleep(waits.next_s(error))
            except unfit as error:
                # What the handler gave is refused, so the attempt failed; no failure is told twice.
                report, unfit = self._failed(order, failure_of(error, order)), ()
            except HoldfastError as error:
                return log.warning("order %s of %s was not ours any more: %s", order.order, self.store, error)

    async def _give_back(self) -> None:
        """Gives back what is in hand, and what came after the stop."""
        end = time.monotonic() + GIVEN_BACK_WITHIN_S
        for name in self._names:
            await self._give_back_of(name, end)

    async def _give_back_of(self, name: str, end: float) -> None:
        waits = Waits(self.store)
        while True:
            try:
                await self.shop.order_yield(self.store, name)
                return
            except (*PASSING, HoldfastError) as error:
                if not isinstance(error, PASSING) or time.monotonic() >= end:
                    log.warning("cannot give back the orders of %s, their leases will end: %s", name, error)
                    return
                await asyncio.sleep(waits.next_s(error))
