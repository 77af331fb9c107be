"""Client for Holdfast, the Redis module for a shop's busiest minute, on redis-py.

``Client`` has every command as a method, ``Worker`` the loop that works on orders; ``holdfast.aio`` has both for
asyncio. ``holdfast.errors`` has an exception for each code.
"""

from . import aio, errors
from .client import Client
from .errors import HoldfastError
from .trace import traced
from .types import ClaimedOrder
from .worker import Fatal, Job, Retry, Worker

__all__ = ["ClaimedOrder", "Client", "Fatal", "HoldfastError", "Job", "Retry", "Worker", "aio", "errors", "traced"]
__version__ = "0.2.0"
