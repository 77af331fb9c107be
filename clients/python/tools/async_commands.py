#!/usr/bin/env python3
"""Writes src/holdfast/aio/commands.py from src/holdfast/commands.py; --check: says whether it is up to date."""

import pathlib
import re
import sys

PACKAGE = pathlib.Path(__file__).parent.parent / "src/holdfast"
HEADING = '"""Every command as a coroutine. Written by tools/async_commands.py: change ../commands.py."""\n'


def awaited(source: str) -> str:
    """The source with every method a coroutine, or an asynchronous iterator."""
    source = re.sub(r'^""".*?"""\n', HEADING, source, count=1, flags=re.S)
    source = re.sub(r"^    def (?!_each|\w+_iter\b)", "    async def ", source, flags=re.M)
    source = source.replace("Callable[[str], Page]", "Callable[[str], Awaitable[Page]]")
    source = re.sub(r"\bIterator\[", "AsyncIterator[", source)
    source = source.replace("Callable, Iterable, Iterator", "AsyncIterator, Awaitable, Callable, Iterable")
    source = re.sub(r"return (self\._(?:run|run_once|wait)\()", r"return await \1", source)
    source = source.replace("from . import _wire", "from .. import _wire").replace("from .types", "from ..types")
    return source


if __name__ == "__main__":
    written = PACKAGE / "aio/commands.py"
    wanted = awaited((PACKAGE / "commands.py").read_text())
    if sys.argv[1:] != ["--check"]:
        written.write_text(wanted)
    elif not written.exists() or written.read_text() != wanted:
        sys.exit("src/holdfast/aio/commands.py is not up to date: run tools/async_commands.py")
