"""Memory that was freed goes back to the system, measured on this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidewire.core.memory import give_back, trimmer

pytestmark = pytest.mark.anyio
MIB = 1_048_576


def resident() -> int:
    """Return the memory in use, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(trimmer() is None, reason="this C library has no malloc_trim")
async def test_holes_between_used_pieces_are_given_back() -> None:
    """48 of 64 MiB are freed with something used between all of them; the system gets them back, and no more."""
    pieces = [bytearray(16_384) for _ in range(4_096)]
    kept = pieces[::4]
    del pieces
    before = resident()
    await give_back()
    assert before - resident() > 32 * MIB
    assert all(len(piece) == 16_384 for piece in kept)
