"""Gives memory that nobody uses any more back to the system. It must not know who used it.

glibc keeps freed memory that lies between used pieces. A server whose clients come and go then grows for hours by what
it no longer needs, and an operator cannot tell that from a leak: 2 MiB in half an hour of the long run in
docs/performance.md, none with this. Elsewhere than on glibc nothing is done.
Source: malloc_trim(3): since glibc 2.8 it "frees memory in all arenas and in all chunks with whole free pages".
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from functools import cache

# Takes a fraction of a millisecond for a heap of 40 MiB, in a thread of its own and without the interpreter's lock.
GIVE_BACK_EVERY_S = 60.0


# Threads of the database driver each get an arena of their own, up to eight for each core, and what one frees another
# cannot use. Two keep them from waiting for each other.
ARENAS = 2
_M_ARENA_MAX = -8


def limit_arenas() -> None:
    """Let all threads share a few arenas. Call before there are threads. Source: mallopt(3), ``M_ARENA_MAX``."""
    setting: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting is not None:
        setting(_M_ARENA_MAX, ARENAS)


@cache
def trimmer() -> Callable[[int], int] | None:
    """Return glibc's ``malloc_trim``; None where there is none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


async def give_back() -> None:
    """Give back what whole free pages there are."""
    trim = trimmer()
    if trim is not None:
        await asyncio.to_thread(trim, 0)
