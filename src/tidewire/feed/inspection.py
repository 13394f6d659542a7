"""The raw frame behind a tick, told apart for a person to look at (dashboard M10). Pure.

It must not know where frames are kept or who asks.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from tidewire.core.feed_status import FrameInspection
from tidewire.core.unreadable import UNREADABLE
from tidewire.feed.massive import Event, Reject, Status, decode_element, split_frame

# A page shows it; more than this is not read by anybody.
MAX_RAW_BYTES: Final = 64 * 1024


class FrameRing:
    """The newest raw frames of one line, bounded by bytes; the oldest leave first.

    Args:
        max_bytes: Bound on the sum of frame sizes; the newest frame is kept even if it is larger.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frames: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._next = 1

    def add(self, received: float, frame: bytes) -> int:
        """Keep ``frame``, read at ``received`` (Unix seconds), and return its number, counted from 1."""
        self._frames.append((received, frame))
        self._bytes += len(frame)
        while self._bytes > self._max_bytes and len(self._frames) > 1:
            self._bytes -= len(self._frames.popleft()[1])
        number = self._next
        self._next += 1
        return number

    def find(self, number: int) -> tuple[float, bytes] | None:
        """Return when frame ``number`` was read and its bytes; None if it has left the ring or never was."""
        index = number - (self._next - len(self._frames))
        return self._frames[index] if 0 <= index < len(self._frames) else None

    def statistics(self) -> tuple[int, int]:
        """Return how many frames and bytes are kept."""
        return len(self._frames), self._bytes


def find_element(frame: bytes, symbol: str) -> tuple[bytes, Event | Status | Reject | str, int] | None:
    """Return the last element of ``frame`` about ``symbol``, what it means, and how many there are; None if none."""
    found: list[bytes] = [text for text in split_frame(frame) if _symbol_of(text) == symbol]
    return (found[-1], decode_element(found[-1]), len(found)) if found else None


def inspect_frame(received: float, frame: bytes, symbol: str) -> FrameInspection:
    """Describe ``frame`` and its last event about ``symbol``."""
    found = find_element(frame, symbol)
    event_raw: str | None = None
    decoded: str | None = None
    verdict = f"no event about {symbol} in this frame"
    if found is not None:
        text, outcome, count = found
        event_raw = text[:MAX_RAW_BYTES].decode("utf-8", "replace")
        if isinstance(outcome, Reject):
            verdict = f"{outcome.reason}: {outcome.detail}"
        elif isinstance(outcome, str):
            verdict = f"unknown event type {outcome!r}: ignored"
        else:
            decoded = msgspec.json.encode(outcome).decode()
            verdict = "valid" if count == 1 else f"valid (the last of {count} events about {symbol} in this frame)"
    return FrameInspection(
        raw=frame[:MAX_RAW_BYTES].decode("utf-8", "replace"),
        raw_bytes=len(frame),
        truncated=len(frame) > MAX_RAW_BYTES,
        received=received,
        event_raw=event_raw,
        decoded=decoded,
        verdict=verdict,
    )


def _symbol_of(text: bytes) -> str | None:
    outcome = decode_element(text)
    if not isinstance(outcome, Reject | Status | str):
        return outcome.sym
    # A rejected event may still say which symbol it was about.
    try:
        fields = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    if not isinstance(fields, dict):
        return None
    name = fields.get("sym", fields.get("T"))
    return name if isinstance(name, str) else None
