"""Which sockets this process holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

# A loop closes a socket a turn or two after it was told to; this many turns pass in a second or so.
_TURNS = 1_000


def open_sockets() -> set[str]:
    """Return the sockets by the kernel's number; other files are the loop's and the test runner's own."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue  # the listing's own
        if target.startswith("socket:"):
            found.add(target)
    return found


async def assert_all_closed(before: set[str]) -> None:
    """Return once no socket is open that was not open ``before``; AssertionError if that does not come about."""
    leaked: set[str] = set()
    for _ in range(_TURNS):
        leaked = open_sockets() - before
        if not leaked:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"still open: {leaked}")
