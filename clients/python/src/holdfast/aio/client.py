"""The client for the ``Redis`` and ``RedisCluster`` of redis.asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import redis as redis_py
from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from .. import _wire as wire
from ..errors import refusal
from ..types import Page
from .commands import Commands

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Client(Commands):
    """Holdfast's commands over a redis-py client, with its options as they are.

    >>> shop = Client(redis.asyncio.Redis())
    >>> await shop.inv_set("popup", "mug", 100)
    100
    >>> await shop.order_place("popup", "o-1", "alice", {"mug": 2})
    '1795318900107-0'

    Calls that change nothing when they are sent again may be sent again by redis-py. A claim is not: it has connections
    of its own, and waits on the server for less time than redis-py waits for a reply. Tasks can share a client.
    """

    def __init__(self, redis: Redis | RedisCluster) -> None:
        wire.must_not_be((redis_py.Redis, redis_py.RedisCluster), redis)
        self.redis = redis
        self._own: Redis | None = None if isinstance(redis, RedisCluster) else own_connections(redis)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that this client made itself; those of the redis-py client are its owner's."""
        if self._own is not None:
            await self._own.aclose()

    async def _run(self, parse: Callable[[Any], T], name: str, key: str, *args: Any) -> T:
        return parse(await _sent(self.redis, name, key, args, {}))

    async def _run_once(self, parse: Callable[[Any], T], name: str, key: str, *args: Any) -> T:
        if self._own is not None:
            return parse(await _sent(self._own, name, key, args, {}))
        # If this is the first call, the nodes are not known yet.
        await self.redis.initialize()
        # A node that is named makes redis-py follow redirections and send nothing twice.
        node = self.redis.get_node_from_key(wire.encoded((key,))[0])  # type: ignore[union-attr]
        return parse(await _sent(self.redis, name, key, args, {"target_nodes": node}))

    async def _wait(
        self, parse: Callable[[Any], T], word: str, wait_ms: int | None, name: str, key: str, *args: Any
    ) -> T:
        if wait_ms is None:
            return await self._run_once(parse, name, key, *args)
        end = time.monotonic() + wait_ms / 1000
        left = wait_ms
        while True:
            reply = await self._run_once(parse, name, key, *args, word, wire.rounds_ms(left, self.timeout_s))
            left = int((end - time.monotonic()) * 1000) if wait_ms else 0
            if reply or (wait_ms and left <= 0):
                return reply

    async def _each(self, page: Callable[[str], Awaitable[Page]]) -> AsyncIterator[str]:
        cursor = "0"
        while True:
            cursor, ids = await page(cursor)
            for one in ids:
                yield one
            if cursor == "0":
                return

    @property
    def timeout_s(self) -> float:
        """After how many seconds without a reply a waiting call gives up."""
        if isinstance(self.redis, RedisCluster):
            return wire.timeout_of(self.redis.get_connection_kwargs())
        return wire.timeout_of(self.redis.connection_pool.connection_kwargs)


def own_connections(redis: Redis) -> Redis:
    """A client of its own with the options of this one, but for the retries: it sends nothing twice."""
    pool = redis.connection_pool
    options = wire.own_options(pool.connection_kwargs)
    made = ConnectionPool(pool.connection_class, wire.MANY, retry=Retry(NoBackoff(), 0), **options)
    own = Redis(connection_pool=made)
    own.auto_close_connection_pool = True
    return own


async def _sent(redis: Any, name: str, key: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    encoded = wire.encoded((key, *args))
    try:
        return await redis.execute_command(name, *encoded, **{NEVER_DECODE: True}, **options)
    except ReadOnlyError:
        # Its server is no primary any more, and goes on answering; the address may lead to another one by now.
        await leave(redis)
        raise
    except ResponseError as error:
        raise refusal(error) from error
    except AttributeError as error:
        # At every fifth MOVED redis-py closes all connections of a cluster, even one that another task is just making.
        raise RedisConnectionError("the connection was closed meanwhile") from error


async def leave(redis: Any) -> None:
    """Closes the connections that nobody uses just now: the next call makes another."""
    if not isinstance(redis, RedisCluster):
        await redis.connection_pool.disconnect(inuse_connections=False)
        if redis.connection:
            await redis.connection.disconnect()
