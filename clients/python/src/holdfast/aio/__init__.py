"""The same for asyncio: ``Client`` and ``Worker`` on ``redis.asyncio``."""

from ..worker import Fatal, Retry
from .client import Client
from .worker import Worker

__all__ = ["Client", "Fatal", "Retry", "Worker"]
