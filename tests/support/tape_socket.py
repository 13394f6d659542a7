"""A socket that writes down what the hub sends, and can stop reading. A scripted peer for tests without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def texts_of(frames: bytes) -> list[bytes]:
    """Take server text frames apart (RFC 6455 section 5.2: unmasked, unfragmented)."""
    texts = []
    while frames:
        assert frames[0] == 0x81
        length, start = frames[1], 2
        if length == 126:
            length, start = int.from_bytes(frames[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(frames[2:10], "big"), 10
        assert len(frames) >= start + length
        texts.append(frames[start : start + length])
        frames = frames[start + length :]
    return texts


def messages_of(text: bytes) -> list[dict[str, Any]]:
    """Return the messages in one frame of either subprotocol, each with its ``sequence``."""
    if text.startswith(b"{"):
        message = json.loads(text)
        assert next(iter(message)) == "sequence"
        return [message]
    head, *lines = text.split(b"\n")
    return [{"sequence": int(head) + n, **json.loads(line)} for n, line in enumerate(lines)]


class TapeSocket:
    """Implements hub.session.Socket.

    Attributes:
        writes: Each write as it came, text frames only.
        stuck: While True nothing reaches the peer: writes add to ``unwritten``.
        on_slow, on_quick: Called like the transport's pause and resume.
    """

    def __init__(self, soft_mark_bytes: int = 1_000) -> None:
        self.writes: list[bytes] = []
        self.pings: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.holding = False
        self.stuck = False
        self.soft_mark_bytes = soft_mark_bytes
        self.on_slow: Callable[[], None] = lambda: None
        self.on_quick: Callable[[], None] = lambda: None
        self._unwritten: list[bytes] = []
        self._read = 0
        self._parsed: list[dict[str, Any]] = []
        self._parsed_writes = 0

    def send(self, buffer: bytearray, start: int) -> None:
        """Take one text frame."""
        assert start >= 14
        self._take(bytes(buffer[start:]))

    def write(self, frames: bytes) -> None:
        """Take whole frames."""
        assert self.closed is None
        for text in texts_of(frames):
            self._take(text)

    def ping(self, payload: bytes) -> None:
        """Note a ping."""
        self.pings.append(payload)

    def unwritten_bytes(self) -> int:
        """What the peer has not taken."""
        return sum(map(len, self._unwritten))

    def hold_reading(self, hold: bool) -> None:
        """Note it."""
        self.holding = hold

    def close(self, code: int, reason: str) -> None:
        """Note the close frame."""
        assert self.closed is None
        self.closed = (code, reason)

    def abort(self) -> None:
        """Note it."""
        self.aborted = True

    def release(self) -> None:
        """Let everything reach the peer."""
        self.stuck = False
        self.writes += self._unwritten
        self._unwritten = []
        self.on_quick()

    def all_messages(self) -> list[dict[str, Any]]:
        """Every message that reached the peer; sequences must be 1, 2, 3, ..."""
        for text in self.writes[self._parsed_writes :]:
            for message in messages_of(text):
                self._parsed.append(message)
                assert message["sequence"] == len(self._parsed)
        self._parsed_writes = len(self.writes)
        return self._parsed

    def read(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The messages since the last ``read``, of one type if asked."""
        messages = self.all_messages()
        fresh, self._read = messages[self._read :], len(messages)
        return [message for message in fresh if kind in (None, message["type"])]

    def _take(self, text: bytes) -> None:
        if not self.stuck:
            self.writes.append(text)
            return
        before = self.unwritten_bytes()
        self._unwritten.append(text)
        if before <= self.soft_mark_bytes < self.unwritten_bytes():
            self.on_slow()
