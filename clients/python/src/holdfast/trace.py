"""A trace goes through an order: W3C trace context in DATA, from who placed it to who works on it.

OpenTelemetry is used where it is installed, and not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import propagate, trace
except ImportError:  # pragma: no cover
    propagate = trace = None  # type: ignore[assignment]

_FIELDS = ("traceparent", "tracestate")


def traced(data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The data of an order, with the context of the current span as ``traceparent`` and ``tracestate``.

    Call it once for an order and keep what it returns: a call that is sent again must have the same data.
    """
    carrier: dict[str, str] = {}
    if propagate is not None:
        propagate.inject(carrier)
    return {**(data or {}), **{field: carrier[field] for field in _FIELDS if field in carrier}}


def context_of(data: Any) -> dict[str, str]:
    """The trace context in the data of an order: ``traceparent`` and ``tracestate``, as far as they are there."""
    if not isinstance(data, Mapping):
        return {}
    return {field: data[field] for field in _FIELDS if isinstance(data.get(field), str)}


@contextmanager
def span_of(store: str, order: Any) -> Iterator[None]:
    """A span of the order's trace while a worker handles it."""
    if trace is None:
        yield
        return
    attributes = {
        "messaging.system": "holdfast",
        "messaging.operation.type": "process",
        "messaging.destination.name": store,
        "messaging.message.id": order.order,
        "holdfast.attempt": order.attempt,
    }
    tracer = trace.get_tracer("holdfast")
    context = propagate.extract(context_of(order.data))
    kind = trace.SpanKind.CONSUMER
    with tracer.start_as_current_span(f"process {store}", context=context, kind=kind, attributes=attributes):
        yield
