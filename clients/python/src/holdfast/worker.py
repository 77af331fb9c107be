"""The loop that works on orders, in threads."""

from __future__ import annotations

import inspect
import logging
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from redis import Redis, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    DataError,
    MasterDownError,
    ReadOnlyError,
    RedisClusterException,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from . import _wire as wire
from .client import Client
from .errors import BadArgument, HoldfastError, NoStore, OutOfMemory, Unavailable
from .trace import span_of
from .types import ClaimedOrder, Completion, Failure

log = logging.getLogger("holdfast")

#: Errors after which the same call may succeed.
PASSING = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    RedisClusterException,
    MasterDownError,
    ReadOnlyError,
    TryAgainError,
    OutOfMemory,
    Unavailable,
    OSError,
)

#: Errors after which it never will, because of what a handler gave.
UNFIT: tuple[type[Exception], ...] = (BadArgument, DataError, UnicodeError)

#: A round of ORDER.CLAIM waits this long at most, so that a worker that is to stop does so soon.
BLOCK_MS = 2_000
#: More of a reason is not sent; a store keeps 200 bytes.
REASON_MAX = 1_000
#: A lease is renewed when this part of it is over.
RENEWED_AT = 1 / 3
#: What a connection that broke may take until the server sees that, beyond the time its call waits.
SETTLING_S = 1.0
#: How soon a server sees that a connection is closed.
CLOSING_S = 0.05
#: After the stop, what is in hand is given back within this time, or its lease has to end.
GIVEN_BACK_WITHIN_S = 2.0
#: Waits between attempts to reach the server, seconds: they double from the first to the longest, half of it random.
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 5.0


class Retry(Exception):
    """Raised by a handler: the order is to be tried again, after so many milliseconds if they are given."""

    def __init__(self, reason: str = "", *, after_ms: int | None = None) -> None:
        super().__init__(reason)
        if after_ms is not None and (not isinstance(after_ms, int) or after_ms < 0):
            raise ValueError(f"after_ms must be an integer from 0, got {after_ms!r}")
        self.after_ms = after_ms


class Fatal(Exception):
    """Raised by a handler: no attempt will succeed, the order is dead at once."""


@dataclass(frozen=True)
class Job(ClaimedOrder):
    """An order in the hands of a handler. ``lost`` is set when its lease is: another worker may have it now."""

    lost: threading.Event = field(default_factory=threading.Event, compare=False)


class Worker:
    """Claims orders of a store and hands each to ``handler(job)``.

    What the handler returns becomes the order's result (any JSON value); an exception is a failed attempt with its text
    as the reason; see ``Retry`` and ``Fatal``. While it runs, the lease is renewed. Claims have a connection of their
    own, which is made anew, with growing waits, when it breaks; orders that were handed out to a broken connection go
    back to the queue at once. SIGTERM and SIGINT end it gracefully: handlers may finish for ``stop_within_s`` seconds,
    then what is left is given back with ORDER.YIELD.

    ``name`` has to belong to this worker alone. With ``concurrency`` n there are n handlers at a time, each in a thread
    of its own, which claim as ``name``, ``name.2``, ``name.3`` … ``block_ms`` is how long one claim waits on the
    server, 2000 at most: a worker that is to stop lets it end.
    """

    def __init__(
        self,
        redis: Redis | RedisCluster,
        store: str,
        handler: Callable[[Job], Any],
        *,
        name: str | None = None,
        lanes: Sequence[str] | None = None,
        lease_ms: int = 30_000,
        concurrency: int = 1,
        block_ms: int = BLOCK_MS,
        stop_within_s: float = 25.0,
    ) -> None:
        if inspect.iscoroutinefunction(handler):
            raise TypeError("the handler must be a function; for a coroutine function there is holdfast.aio.Worker")
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
        self._stopping = threading.Event()
        self._in_hand: dict[str, Job] = {}
        self._reporting: set[str] = set()
        self._error: BaseException | None = None

    def stop(self) -> None:
        """Ends ``run`` gracefully; can be called from any thread or signal handler."""
        self._stopping.set()

    def run(self, *, signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Works until ``stop`` is called or one of the signals comes. Raises what no attempt would mend."""
        threads = [threading.Thread(target=self._guarded, args=(name,), daemon=True) for name in self._names]
        keeper = threading.Thread(target=self._keep_leases, daemon=True)
        log.info("worker %s of %s starts", self.name, self.store)
        with stopped_by(self.stop, signals):
            for thread in (*threads, keeper):
                thread.start()
            self._stopping.wait()
            # Claims that wait end at once; in a cluster, where they have no connections of their own, with their round.
            self.shop.close()
            end = time.monotonic() + self.stop_within_s
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
        # Until the server has seen that the claims' connections are closed, it may hand something to them.
        time.sleep(CLOSING_S)
        self._give_back()
        log.info("worker %s of %s has stopped", self.name, self.store)
        if self._error is not None:
            raise self._error

    def _guarded(self, name: str) -> None:
        try:
            self._loop(name)
        except BaseException as error:
            self._error = error
            self.stop()

    def _loop(self, name: str) -> None:
        waits, doubtful_until = Waits(self.store), 0.0
        while not self._stopping.is_set():
            try:
                if doubtful_until:
                    # Nothing is in hand now: what the server thinks this worker has was lost on the way.
                    now = time.monotonic()
                    self.shop.order_yield(self.store, name)
                    doubtful_until = doubtful_until if now < doubtful_until else 0.0
                orders = self.shop.order_claim(
                    self.store, name, lease_ms=self.lease_ms, lanes=self.lanes, block_ms=self.block_ms
                )
            except Exception as error:
                if self._stopping.is_set():
                    # Whatever redis-py makes of a connection that is closed under it.
                    return
                if not may_pass(error):
                    raise
                doubtful_until = time.monotonic() + self.block_ms / 1000 + SETTLING_S
                waits.wait(error, self._stopping)
                continue
            waits.start_anew()
            if orders and self._stopping.is_set():
                # They came with the stop, perhaps after it has given back what this worker had.
                return self._give_back_of(name, time.monotonic() + GIVEN_BACK_WITHIN_S)
            if orders:
                self._handle(name, Job(**{f.name: getattr(orders[0], f.name) for f in fields(ClaimedOrder)}))

    def _handle(self, name: str, job: Job) -> None:
        self._in_hand[name] = job
        try:
            self._report(job, self._outcome(job))
        finally:
            del self._in_hand[name]
            self._reporting.discard(job.order)

    def _outcome(self, job: Job) -> Callable[[], Completion | Failure]:
        """Runs the handler; what to send about it then."""
        try:
            with span_of(self.store, job):
                result = self.handler(job)
            wire.json_text(result)
        except Exception as error:
            return self._failed(job, failure_of(error, job))
        except BaseException as error:
            # It ends this worker. The attempt counts: an order that ended every worker would never end itself.
            self._report(job, self._failed(job, failure_of(error, job)))
            raise
        return lambda: self.shop.order_complete(self.store, job.order, token=job.token, result=result)

    def _failed(self, job: Job, how: dict[str, Any]) -> Callable[[], Failure]:
        return lambda: self.shop.order_fail(self.store, job.order, token=job.token, **how)

    def _report(self, job: Job, report: Callable[[], Completion | Failure]) -> None:
        """Sends the outcome until the server has it: the token makes that safe, whoever has the order by then."""
        waits, unfit = Waits(self.store), UNFIT
        self._reporting.add(job.order)
        while True:
            try:
                return log_outcome(job, report())
            except PASSING as error:
                waits.wait(error, threading.Event())
            except unfit as error:
                # What the handler gave is refused, so the attempt failed; no failure is told twice.
                report, unfit = self._failed(job, failure_of(error, job)), ()
            except HoldfastError as error:
                return log.warning("order %s of %s was not ours any more: %s", job.order, self.store, error)

    def _keep_leases(self) -> None:
        while not self._stopping.is_set() or self._in_hand:
            time.sleep(self.lease_ms / 1000 * RENEWED_AT)
            for job in list(self._in_hand.values()):
                self._renew(job)

    def _renew(self, job: Job) -> None:
        try:
            self.shop.order_renew(self.store, job.order, job.token, lease_ms=self.lease_ms)
        except PASSING as error:
            log.warning("cannot renew the lease of order %s yet: %s", job.order, error)
        except HoldfastError as error:
            # An outcome has ended the lease too: its reply was lost, or it came while the renewal was on its way.
            in_hand = list(self._in_hand.values())
            if job.order not in self._reporting and any(job is other for other in in_hand):
                log.warning("the lease of order %s is lost: %s", job.order, error)
                job.lost.set()

    def _give_back(self) -> None:
        """Gives back what is in hand, and what came after the stop."""
        end = time.monotonic() + GIVEN_BACK_WITHIN_S
        for name in self._names:
            self._give_back_of(name, end)

    def _give_back_of(self, name: str, end: float) -> None:
        waits = Waits(self.store)
        while True:
            try:
                self.shop.order_yield(self.store, name)
                return
            except (*PASSING, HoldfastError) as error:
                if not isinstance(error, PASSING) or time.monotonic() >= end:
                    log.warning("cannot give back the orders of %s, their leases will end: %s", name, error)
                    return
                time.sleep(waits.next_s(error))


def failure_of(error: BaseException, job: ClaimedOrder) -> dict[str, Any]:
    """How an exception of a handler, or the refusal of what it returned, is reported."""
    if not isinstance(error, (Retry, Fatal)):
        log.error("the handler failed with order %s, attempt %d", job.order, job.attempt, exc_info=error)
    after_ms = error.after_ms if isinstance(error, Retry) else None
    return {"reason": reason_of(error), "after_ms": after_ms, "fatal": isinstance(error, Fatal)}


def reason_of(error: BaseException) -> str:
    """An exception in words, whatever its class makes of that; they are text that can be sent."""
    try:
        reason = str(error)
    except Exception:
        reason = ""
    return (reason or type(error).__name__).encode(errors="replace").decode()[:REASON_MAX]


def log_outcome(job: ClaimedOrder, outcome: Completion | Failure) -> None:
    """Says what became of an order: dead is what somebody should know of."""
    if isinstance(outcome, Completion):
        log.info("order %s is completed, attempt %d", job.order, job.attempt)
    else:
        level = logging.WARNING if outcome.state == "dead" else logging.INFO
        log.log(level, "order %s is %s after attempt %d", job.order, outcome.state, outcome.attempt)


def may_pass(error: Exception) -> bool:
    """Whether a claim that ended with this may succeed later."""
    return isinstance(error, (*PASSING, NoStore)) and not isinstance(error, AuthenticationError)


def at_least_1(name: str, value: int) -> int:
    """The value, if it can be one."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


def round_of(block_ms: int, timeout_s: float) -> int:
    """How long a claim waits on the server: for less time than redis-py waits for a reply."""
    return min(at_least_1("block_ms", block_ms), BLOCK_MS, max(1, int(timeout_s * 500)))


def names_of(name: str, concurrency: int) -> list[str]:
    """The names under which a worker claims."""
    return [name if at == 0 else f"{name}.{at + 1}" for at in range(at_least_1("concurrency", concurrency))]


def unique_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{random.randrange(16**4):04x}"


class Waits:
    """Waits that double, up to a bound, half of each random."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._next_s = FIRST_WAIT_S

    def start_anew(self) -> None:
        """The server was reached."""
        self._next_s = FIRST_WAIT_S

    def next_s(self, error: BaseException) -> float:
        """How long to wait now."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)
        log.warning("%s: %s; trying again in %.2f s", self._store, reason_of(error), wait_s)
        self._next_s = min(self._next_s * 2, LONGEST_WAIT_S)
        return wait_s

    def wait(self, error: BaseException, until: threading.Event) -> None:
        """Waits, or until the event is set."""
        until.wait(self.next_s(error))


@contextmanager
def stopped_by(stop: Callable[[], None], signals: Sequence[signal.Signals]) -> Iterator[None]:
    """While it lasts, the first of these signals calls ``stop``; the next does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {which: signal.getsignal(which) for which in signals}

    def restore() -> None:
        for which, handler in before.items():
            signal.signal(which, handler)

    def first(*_: Any) -> None:
        restore()
        stop()

    for which in signals:
        signal.signal(which, first)
    try:
        yield
    finally:
        restore()
