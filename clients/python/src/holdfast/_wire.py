"""Between Python's values and a command: arguments out, replies in. Replies are bytes, as maps or flat arrays."""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from redis.connection import AbstractConnection

from .types import (
    ClaimedOrder,
    Completion,
    Difference,
    Failure,
    Gate,
    Hold,
    HoldItem,
    Info,
    Items,
    Lane,
    LockState,
    Order,
    OrderItem,
    Page,
    Settings,
    Sku,
)

T = TypeVar("T")
Args = tuple[Any, ...]

#: A blocking call asks the server to wait for this part of the time after which the client gives up.
_PART_OF_TIMEOUT = 0.5
#: A waiting call gives up after this long where the client would never: the other side may be gone without a word.
LONGEST_SILENCE_S = 20.0


def opt(word: str, value: Any) -> Args:
    """A keyword with its value, if there is one."""
    return () if value is None else (word, value)


def flag(word: str, is_set: bool) -> Args:
    """A keyword without value."""
    return (word,) if is_set else ()


#: How many elements an iterator has the server look at for one page. It takes the server well under a millisecond.
PAGE = 1_000


def json_text(value: Any, *, sort_keys: bool = False) -> str:
    """A value as JSON.

    Raises TypeError or ValueError where it has none: NaN is no JSON, and half a surrogate pair no text.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys, separators=(",", ":"))
    text.encode()
    return text


def data_opt(data: Any) -> Args:
    """``DATA``. The same value gives the same text, whatever the order of its names: a call can be sent again."""
    if data is None:
        return ()
    # Names that are no strings become some on the way; they could not be put in order with others before.
    return ("DATA", json_text(json.loads(json_text(data)), sort_keys=True))


def json_opt(word: str, value: Any) -> Args:
    """A keyword with a value as JSON."""
    return () if value is None else (word, json_text(value))


def items_of(items: Items | None) -> Args:
    """``ITEMS sku qty …``."""
    if items is None:
        return ()
    pairs = list(items.items() if isinstance(items, Mapping) else items)
    if not pairs or any(isinstance(pair, (str, bytes)) for pair in pairs):
        raise ValueError(f"items must be units by SKU, such as {{'mug': 2}}, got {items!r}")
    return ("ITEMS", *(part for pair in pairs for part in pair))


def gates_of(gates: Mapping[str, int] | None) -> Args:
    """``GATE gate ms`` for each."""
    return tuple(part for gate, ms in (gates or {}).items() for part in ("GATE", gate, ms))


def wait_of(wait: bool | int) -> Args:
    """``WAIT``, with milliseconds if there are any."""
    return () if wait is False else ("WAIT",) if wait is True else ("WAIT", wait)


def lanes_of(lanes: Iterable[str] | None) -> Args:
    """``LANES n lane …``."""
    if isinstance(lanes, (str, bytes)):
        raise TypeError(f"lanes must be a list of names, got the text {lanes!r}")
    names = list(lanes or ())
    return ("LANES", len(names), *names) if names else ()


def settings_of(settings: Mapping[str, object]) -> Args:
    """``field value …``; hold_ms is written hold-ms, and a truth value yes or no."""
    spelled = {True: "yes", False: "no"}
    return tuple(
        part
        for name, value in settings.items()
        for part in (name.replace("_", "-"), spelled[value] if isinstance(value, bool) else value)
    )


def some_ref(ref: str | None) -> Args:
    """A REF; a new one if none is given, so that the call counts once even if redis-py sends it again."""
    return ("REF", uuid.uuid4().hex if ref is None else ref)


def ref_of_part(ref: str | None, items: Items | None) -> Args:
    """A REF for a part of a hold. The whole needs none: the same call again changes nothing."""
    return some_ref(ref) if items is not None else opt("REF", ref)


def encoded(args: Args) -> list[Any]:
    """Arguments for redis-py; an id that came as bytes that are not UTF-8 goes back as the same bytes."""
    return [part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part for part in args]


def rounds_ms(wanted_ms: int, timeout_s: float) -> int:
    """How long one round of a blocking call may last on the server: the client gives up well after that."""
    longest = max(1, int(timeout_s * 1000 * _PART_OF_TIMEOUT))
    return longest if wanted_ms == 0 else min(wanted_ms, longest)


# Replies.


def text(reply: Any) -> str:
    """A text; bytes that are not UTF-8 are kept as they are."""
    return reply.decode("utf-8", "surrogateescape") if isinstance(reply, bytes) else str(reply)


def text_or_none(reply: Any) -> str | None:
    """A text, or None."""
    return None if reply is None else text(reply)


def number(reply: Any) -> int:
    """An integer."""
    return int(reply)


def number_or_none(reply: Any) -> int | None:
    """An integer, or None."""
    return None if reply is None else int(reply)


def truth(reply: Any) -> bool:
    """1 or 0."""
    return bool(reply)


def done(reply: Any) -> None:
    """OK."""


def texts(reply: Any) -> list[str]:
    """An array of texts."""
    return [text(one) for one in reply]


def page(reply: Any) -> Page:
    """The next cursor, and ids."""
    return text(reply[0]), texts(reply[1])


def fields(reply: Any) -> dict[str, Any]:
    """A map, of RESP3 or as RESP2 has it, with names as Python spells them."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text(name).replace("-", "_"): value for name, value in pairs}


def _made(kind: Callable[..., T], reply: Any, **of: Callable[[Any], Any]) -> T:
    """A record from a map; fields that a later server adds are left out."""
    found = fields(reply)
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: of.get(name, _plain)(found.get(name)) for name in names})


def _plain(value: Any) -> Any:
    return text(value) if isinstance(value, bytes) else value


def settings(reply: Any) -> Settings:
    """Settings of a store."""
    spelled = {"yes": True, "no": False}
    return cast(Settings, {name: spelled.get(_plain(value), value) for name, value in fields(reply).items()})


def info(reply: Any) -> Info:
    """Counters and gauges of a store; with those that a later server adds."""
    return cast(Info, {name: number_or_none(value) for name, value in fields(reply).items()})


def lanes(reply: Any) -> list[Lane]:
    """An array of lanes."""
    return [_made(Lane, one) for one in reply]


def differences(reply: Any) -> list[Difference]:
    """An array of differences."""
    return [_made(Difference, one) for one in reply]


def skus(reply: Any) -> list[Sku | None]:
    """An array of SKUs."""
    return [None if one is None else _made(Sku, one) for one in reply]


def hold(reply: Any) -> Hold:
    """A hold."""
    return _made(Hold, reply, items=lambda items: [_made(HoldItem, item) for item in items])


def _pairs(reply: Any) -> list[tuple[str, int]]:
    return [(text(sku), int(qty)) for sku, qty in reply]


def claimed(reply: Any) -> ClaimedOrder:
    """An order that was handed out."""
    found = fields(reply)
    found["data_text"] = found.pop("data")
    return _made(ClaimedOrder, {name.encode(): value for name, value in found.items()}, items=_pairs)


def all_claimed(reply: Any) -> list[ClaimedOrder]:
    """Orders that were handed out."""
    return [claimed(one) for one in reply]


def completion(reply: Any) -> Completion:
    """The entry; or an array of it and the next order."""
    if not isinstance(reply, list):
        return Completion(text(reply), None)
    return Completion(text(reply[0]), None if reply[1] is None else claimed(reply[1]))


def failure(reply: Any) -> Failure:
    """What became of an order that failed."""
    return _made(Failure, reply)


def order(reply: Any) -> Order:
    """Everything about an order."""
    found = fields(reply)
    found["data_text"], found["result_text"] = found.pop("data"), found.pop("result")
    return _made(
        Order,
        {name.encode(): value for name, value in found.items()},
        items=lambda items: [_made(OrderItem, item) for item in items],
        gates=lambda gates: [_made(Gate, gate, passed=truth) for gate in gates],
        late=truth,
        history=lambda events: [{name: _plain(value) for name, value in fields(event).items()} for event in events],
    )


def lock_state(reply: Any) -> LockState:
    """A lock."""
    return _made(LockState, reply)


# Connections.


def must_not_be(others: tuple[type, ...], client: Any) -> None:
    """Refuses the clients of redis-py's other side, asyncio or not, and pipelines, which give no reply."""
    kind = type(client)
    if isinstance(client, others) or kind.__name__.endswith("Pipeline"):
        raise TypeError(
            "redis must be a Redis or RedisCluster, for holdfast.aio one of redis.asyncio, "
            f"got {kind.__module__}.{kind.__name__}"
        )


#: More connections than anything opens: the pool of waiting calls is never the limit.
MANY = 2**31

#: What redis-py's connections do without a socket_timeout among their options: it differs from version to version.
_DEFAULT_TIMEOUT_S = inspect.signature(AbstractConnection.__init__).parameters["socket_timeout"].default

#: What redis-py keeps among a pool's options for that pool alone.
_OF_ONE_POOL = ("maint_notifications_", "oss_cluster_", "orig_", "himport_registry", "event_dispatcher", "retry")


def own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for connections of another pool, without retries."""
    kept = {name: value for name, value in options.items() if not name.startswith(_OF_ONE_POOL)}
    return {**kept, "socket_timeout": timeout_of(options)}


def timeout_of(options: Mapping[str, Any]) -> float:
    """The seconds after which a waiting call gives up, by the options of redis-py's connections."""
    found = options.get("socket_timeout", _DEFAULT_TIMEOUT_S)
    return LONGEST_SILENCE_S if found is None else float(found)
