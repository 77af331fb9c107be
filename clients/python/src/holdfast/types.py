"""What replies are made of. Times are Unix milliseconds; None stands for what is not set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

#: Units by SKU.
Items = Mapping[str, int] | Iterable[tuple[str, int]]


HoldState = Literal["live", "committed", "released", "expired", "ordered"]
OrderState = Literal["waitlisted", "pending", "queued", "claimed", "retrying", "completed", "dead", "cancelled"]

#: The next cursor (``"0"`` at the end), and ids.
Page = tuple[str, list[str]]


class Settings(TypedDict, total=False):
    """Settings of a store (STORE.SET, STORE.GET)."""

    opens: int
    closes: int
    limit: int
    hold_ms: int
    lease_ms: int
    attempts: int
    backoff_ms: int
    backoff_cap_ms: int
    keep_ms: int
    sla_ms: int
    history: int
    journal: int
    metrics: int
    alerts: int
    hold_max_ms: int
    hold_max_units: int
    paused: bool


class Info(TypedDict):
    """Counters and gauges of a store (STORE.INFO); docs/metrics.md says what each means.

    What a later server adds is there too, under its name; what an earlier one does not have is not.
    """

    placed: int
    completed: int
    cancelled: int
    returned: int
    failed: int
    retried: int
    dead: int
    expired: int
    claimed: int
    units_sold: int
    lapsed: int
    redriven: int
    late: int
    gates_expired: int
    waitlist_expired: int
    refused_nosku: int
    refused_nohold: int
    refused_noorder: int
    refused_outofstock: int
    refused_limit: int
    refused_notopen: int
    refused_closed: int
    refused_expired: int
    refused_badstate: int
    refused_mismatch: int
    refused_fenced: int
    refused_gap: int
    refused_err: int
    refused_nogate: int
    skus: int
    on_hand: int
    available: int
    held: int
    sold: int
    oversold: int
    queued: int
    in_work: int
    retrying: int
    dead_letters: int
    pending: int
    waitlisted: int
    overflow: int
    holds: int
    customers: int
    workers: int
    oldest_waiting_ms: int
    completed_kept: int
    cancelled_kept: int
    #: The next deadline; None: there is none.
    next_due: int | None
    bytes: int


@dataclass(frozen=True)
class Sku:
    """Counts of a SKU (INV.GET)."""

    on_hand: int
    held: int
    safety: int
    low: int
    available: int
    sold: int
    limit: int
    waiting: int
    backlog: int | None


@dataclass(frozen=True)
class HoldItem:
    """An item of a hold."""

    sku: str
    qty: int
    left: int
    committed: int


@dataclass(frozen=True)
class Hold:
    """Everything that is known about a hold (INV.HOLD)."""

    hold: str
    state: HoldState
    customer: str | None
    expires_at: int | None
    ended_at: int | None
    left: int
    items: list[HoldItem]


@dataclass(frozen=True)
class ClaimedOrder:
    """An order that a worker has, under a lease until ``deadline`` (ORDER.CLAIM)."""

    order: str
    token: int
    attempt: int
    customer: str
    lane: str
    items: list[tuple[str, int]]
    #: The JSON text that the order was placed with.
    data_text: str | None
    placed_at: int
    deadline: int

    @property
    def data(self) -> Any:
        """The value that the order was placed with."""
        return None if self.data_text is None else json.loads(self.data_text)


@dataclass(frozen=True)
class Completion:
    """The reply to ORDER.COMPLETE: the entry in the stream of completed orders, and with CLAIM the next order."""

    entry: str
    next: ClaimedOrder | None


@dataclass(frozen=True)
class Failure:
    """What became of an order that failed (ORDER.FAIL)."""

    state: Literal["retrying", "dead"]
    attempt: int
    due: int | None


@dataclass(frozen=True)
class Lane:
    """A lane of a store (STORE.LANES)."""

    lane: str
    queued: int
    in_work: int
    retrying: int
    oldest_waiting_ms: int


@dataclass(frozen=True)
class Difference:
    """Something that does not agree with its recount (STORE.AUDIT)."""

    what: str
    id: str
    books: int
    recount: int


@dataclass(frozen=True)
class OrderItem:
    """An item of an order."""

    sku: str
    qty: int
    returned: int
    missing: int


@dataclass(frozen=True)
class Gate:
    """A gate of an order."""

    gate: str
    #: None: no end.
    deadline: int | None
    passed: bool


@dataclass(frozen=True)
class Order:
    """Everything that is known about an order (ORDER.GET)."""

    order: str
    state: OrderState
    customer: str
    group: str | None
    lane: str
    hold: str | None
    items: list[OrderItem]
    #: The JSON text that the order was placed with.
    data_text: str | None
    entry: str | None
    placed_at: int
    ended_at: int | None
    complete: str | None
    #: The JSON text that the order was completed with.
    result_text: str | None
    reason: str | None
    late: bool
    attempts: int
    worker: str | None
    token: int | None
    due: int | None
    gates: list[Gate]
    step: str | None
    version: int
    history: list[dict[str, Any]]

    @property
    def data(self) -> Any:
        """The value that the order was placed with."""
        return None if self.data_text is None else json.loads(self.data_text)

    @property
    def result(self) -> Any:
        """The value that the order was completed with."""
        return None if self.result_text is None else json.loads(self.result_text)


@dataclass(frozen=True)
class LockState:
    """Who owns a lock, and how many wait for it (LOCK.GET)."""

    owner: str | None
    token: int | None
    acquired_at: int | None
    deadline: int | None
    ttl_ms: int | None
    waiting: int
