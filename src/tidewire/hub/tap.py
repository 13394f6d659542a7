"""Listens to one connection without changing it: everything that is sent, and what is received, goes by here.

While nobody traces it a connection has no tap and costs nothing more. It must not know who wants to see it, or nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from tidewire.hub.frame import payloads_of
from tidewire.hub.session import Session, Socket
from tidewire.hub.trace_line import Direction, TraceLine, trace_line

# What may wait until it is passed on; beyond it frames are counted, not kept.
PENDING_MAX_BYTES = 262_144


class TracedSocket:
    """A socket whose frames are told before they are sent; see ``session.Socket``."""

    def __init__(
        self, inner: Socket, send: Callable[[bytearray, int], None], tell: Callable[[Direction, bytes], None]
    ) -> None:
        self.inner = inner
        # Kept, because a socket that has ended may have let go of it.
        self.inner_send = send
        self._tell = tell

    def send(self, buffer: bytearray, start: int) -> None:
        """Send a frame."""
        # Copied first: the library writes the header into the buffer, and the fan-out uses it again.
        self._tell("out", bytes(buffer[start:]))
        self.inner_send(buffer, start)

    def write(self, frames: bytes) -> None:
        """Send whole frames."""
        for payload in payloads_of(frames):
            self._tell("out", payload)
        self.inner.write(frames)

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._tell("control", b"ping")
        self.inner.ping(payload)

    def unwritten_bytes(self) -> int:
        """Return what has not reached the kernel."""
        return self.inner.unwritten_bytes()

    def hold_reading(self, hold: bool) -> None:
        """Stop or go on reading."""
        self.inner.hold_reading(hold)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        self._tell("control", f"close {code} {reason}".encode())
        self.inner.close(code, reason)

    def abort(self) -> None:
        """End the connection at once."""
        self._tell("control", b"abort")
        self.inner.abort()


class Lines:
    """The lines of a trace that wait to be passed on.

    Args:
        wall: Tells the time, Unix seconds.
        max_bytes: After so many bytes of lines there are no more.
        hide: Members of frames by these names are left out.

    Attributes:
        frames: Lines made so far.
        dropped: Frames that there was no room for.
    """

    def __init__(self, wall: Callable[[], float], max_bytes: int, hide: re.Pattern[str] | None = None) -> None:
        self._wall = wall
        self._left = max_bytes
        self._hide = hide
        self._lines: list[bytes] = []
        self._pending = 0
        self.frames = 0
        self.dropped = 0

    @property
    def full(self) -> bool:
        """Whether as much has been told as may be."""
        return self._left <= 0

    def tell(self, direction: Direction, payload: bytes, connection_id: str = "") -> None:
        """Note a frame."""
        if self.full or self._pending >= PENDING_MAX_BYTES:
            self.dropped += 1
            return
        line: TraceLine = trace_line(direction, payload, self._wall(), connection_id, hide=self._hide)
        encoded = msgspec.json.encode(line)
        self._lines.append(encoded)
        self._pending += len(encoded)
        self._left -= len(encoded)
        self.frames += 1

    def take(self) -> list[bytes]:
        """Return what waits, and forget it."""
        lines, self._lines, self._pending = self._lines, [], 0
        return lines


class Tap:
    """See the module's text. Nothing is kept but what waits in ``lines``."""

    def __init__(self, session: Session, lines: Lines) -> None:
        self.session = session
        self.lines = lines
        self._socket = TracedSocket(session.socket, session.send, self.tell)
        session.socket, session.send, session.tap = self._socket, self._socket.send, self.tell

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.session.lifecycle.ended

    def look(self) -> None:
        """Nothing to be done; see ``taps.UserTap``."""

    def tell(self, direction: Direction, payload: bytes) -> None:
        """Note a frame."""
        self.lines.tell(direction, payload, self.session.connection_id)

    def remove(self) -> None:
        """Leave the connection as it was. Idempotent."""
        if self.session.socket is self._socket:
            self.session.socket, self.session.send = self._socket.inner, self._socket.inner_send
            self.session.tap = None
