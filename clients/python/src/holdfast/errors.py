"""What a call can be refused with: one class for each code, the first word of the error.

A refused call changed nothing. Every class is a ``redis.ResponseError``, so code that catches that one goes on working.
"""

from __future__ import annotations

import re

from redis.exceptions import ResponseError


class HoldfastError(ResponseError):
    """A call was refused. ``code`` is the first word of the error, ``message`` all of it."""

    code = "ERR"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def _number(self, word: str) -> int | None:
        """The number behind a word of the message."""
        found = re.search(rf"\b{word} (-?\d+)\b", self.message)
        return int(found.group(1)) if found else None


def shown_id(shown: str) -> str:
    r"""The id that an error shows, which has ``\xNN`` and the like for what is not printable ASCII."""
    return shown.encode("latin-1").decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")


class NoStore(HoldfastError):
    """There is no store at the key."""

    code = "NOSTORE"


class NoSku(HoldfastError):
    """The store does not know the SKU."""

    code = "NOSKU"


class NoHold(HoldfastError):
    """The store does not know the hold, or has forgotten it."""

    code = "NOHOLD"


class NoOrder(HoldfastError):
    """The store does not know the order, or has forgotten it."""

    code = "NOORDER"


class NoGate(HoldfastError):
    """The order never had the gate."""

    code = "NOGATE"


class OutOfStock(HoldfastError):
    """More was wanted than is available."""

    code = "OUTOFSTOCK"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # A SKU may look like what follows it.
        found = re.fullmatch(r"OUTOFSTOCK (.*) wanted (\d+) available (-?\d+)(?: backlog \d+ of \d+)?", message)
        sku, wanted, available = found.groups() if found else ("", 0, 0)
        #: The SKU of which there is too little, how many units were wanted, and how many are available.
        self.sku = shown_id(sku)
        self.wanted = int(wanted)
        self.available = int(available)


class Limit(HoldfastError):
    """The customer would have more units than the limit allows."""

    code = "LIMIT"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = re.fullmatch(r"LIMIT customer .* limit (\d+) has (\d+)(?: of .*)?", message)
        limit, has = found.groups() if found else (0, 0)
        #: How many units a customer may have, and how many the customer has.
        self.limit = int(limit)
        self.has = int(has)


class NotOpen(HoldfastError):
    """The sale has not opened yet."""

    code = "NOTOPEN"

    @property
    def opens(self) -> int | None:
        """When it opens, Unix milliseconds."""
        return self._number("opens at")


class Closed(HoldfastError):
    """The sale has closed."""

    code = "CLOSED"


class Expired(HoldfastError):
    """The hold expired before."""

    code = "EXPIRED"


class BadState(HoldfastError):
    """The order or hold is in a state that does not allow it."""

    code = "BADSTATE"


class Mismatch(HoldfastError):
    """The same id was used before, with other content."""

    code = "MISMATCH"


class Fenced(HoldfastError):
    """The lease expired, and the token is not the current one any more."""

    code = "FENCED"

    @property
    def current(self) -> int | None:
        """The token of the claim that is valid now; 0: nobody has the order."""
        return self._number("current token")


class Gap(HoldfastError):
    """A number is missing in an outside system's feed."""

    code = "GAP"

    @property
    def expected(self) -> int | None:
        """The number that has to come next."""
        return self._number("expected")


class OutOfMemory(HoldfastError):
    """The server's memory is full, and the call would take more."""

    code = "OOM"


class WrongType(HoldfastError):
    """The key holds something else."""

    code = "WRONGTYPE"


class BadArgument(HoldfastError):
    """An argument is missing or out of range; the message names it."""

    code = "ERR"


#: The class of each code.
BY_CODE: dict[str, type[HoldfastError]] = {
    kind.code: kind
    for kind in (
        NoStore, NoSku, NoHold, NoOrder, NoGate, OutOfStock, Limit, NotOpen, Closed, Expired, BadState, Mismatch,
        Fenced, Gap, OutOfMemory, WrongType,
    )
}  # fmt: skip

#: What an error begins with. redis-py leaves ERR out, and a keyword may come next: LIMIT is one, and a code.
_CODE = re.compile(r"[A-Z]{2,}\b")
_LIMIT = "LIMIT customer "
_KEYWORDS = frozenset(
    "AFTER ALL BACKLOG BLOCK CLAIM COUNT CUSTOMER DATA FATAL FROM GATE GROUP HOLD ITEMS LANE LANES LATE LEASE LIMIT "
    "LOST LOW MATCH ORDER REASON REF REPLACE RESULT SAFETY SCRAP STATE TOKEN TTL WAIT".split()
)


class Unavailable(ResponseError):
    """The server cannot answer now: its role changes, its disk is full, it misses replicas …

    The same call may succeed later. It is no answer of Holdfast's. Where redis-py has a class for such an error
    (``ReadOnlyError``), it is that one.
    """


def refusal(error: ResponseError) -> ResponseError:
    """The error as one of these classes, or itself if it is one of redis-py's own."""
    message = str(error)
    if "command not allowed when used memory" in message:
        return OutOfMemory(message)
    found = _CODE.match(message)
    code = found[0] if found else ""
    if code in _KEYWORDS and not message.startswith(_LIMIT):
        return BadArgument(message)
    if kind := BY_CODE.get(code):
        return kind(message)
    if type(error) is not ResponseError or message.startswith("unknown command"):
        return error
    return Unavailable(message) if code else BadArgument(message)
