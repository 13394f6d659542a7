"""Many real clients of the hub in one thread: each reads everything, checks the numbering, and answers a close frame.

A guest knows the wire (docs/protocol.md, plain subprotocol) and shares no code with the hub. It must not know what the
server is being put through. ``python -m tests.support.crowd`` is a crowd in a process of its own, to be stopped.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
# The hub's listening socket queues 2,048; more at once would be retried by the kernel after a second.
ARRIVING = 256
WAIT_S = 40.0


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return a masked frame of at most 65,535 bytes; a mask of zeros is a legal one."""
    size = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


def take_frame(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take the first whole server frame off ``buffer``; None if there is none."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1], 2
    if size == 126:
        size, start = int.from_bytes(buffer[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(buffer[2:10], "big"), 10
    if len(buffer) < start + size or (start > 2 and len(buffer) < start):
        return None
    opcode, payload = buffer[0] & 0xF, bytes(buffer[start : start + size])
    del buffer[: start + size]
    return opcode, payload


class Guest:
    """One client.

    Attributes:
        status: HTTP status of the answer to its handshake; None before.
        messages: What came, without room messages.
        offsets: Room -> offsets of its messages in the order in which they came.
        strays: Messages of a room after its end, and whatever came after a close frame: there must be none.
        close_code: From the server's close frame; None without one: what a browser calls 1006.
        ended: Whether the TCP connection has ended.
    """

    __slots__ = (
        "_buffer",
        "_sequence",
        "close_code",
        "ended",
        "messages",
        "offsets",
        "reading",
        "rooms",
        "sock",
        "status",
        "strays",
    )

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.status: int | None = None
        self.messages: list[dict[str, Any]] = []
        self.offsets: dict[str, list[int]] = {}
        self.rooms: set[str] = set()
        self.strays: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.ended = False
        self.reading = True
        self._buffer = bytearray()
        self._sequence = 0

    def say(self, kind: str, **members: Any) -> None:
        """Send a message."""
        self.sock.send(client_frame(TEXT, json.dumps({"type": kind, **members}).encode()))

    def heard(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        """Return the messages of that type with those members."""
        return [m for m in self.messages if m["type"] == kind and all(m.get(k) == v for k, v in wanted.items())]

    def read(self) -> None:
        """Take what has come."""
        try:
            data = self.sock.recv(262_144)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return
        self._buffer += data
        if self.status is None and not self._take_head():
            return
        while (frame := take_frame(self._buffer)) is not None:
            self._take(*frame)

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.status = int(self._buffer.split(b" ", 2)[1])
        del self._buffer[: end + 4]
        return self.status == 101

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            message = msgspec.json.decode(payload)
            self._sequence += 1
            assert message["sequence"] == self._sequence, "a hole in the connection's numbering"
            self._note(message)
        elif opcode == PING:
            self._send_last(client_frame(PONG, payload))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._send_last(client_frame(CLOSE, payload[:2]))

    def _note(self, message: dict[str, Any]) -> None:
        kind, room = message["type"], message.get("room_id")
        placed = "offset" in message and kind != "subscribed"
        if self.close_code is not None or (placed and room not in self.rooms):
            self.strays.append(message)
        if placed:
            self.offsets.setdefault(message["room_id"], []).append(message["offset"])
            return
        self.messages.append(message)
        if kind == "subscribed":
            self.rooms.add(message["room_id"])
        elif kind in ("unsubscribed", "gap"):
            self.rooms.discard(message["room_id"])

    def _send_last(self, frame: bytes) -> None:
        try:
            self.sock.send(frame)
        except ConnectionError:
            self.ended = True


class Crowd:
    """Guests, and the one loop that reads for all of them. Close it.

    Args:
        made: What each guest is.
    """

    def __init__(self, made: Callable[[socket.socket], Guest] = Guest) -> None:
        self._made = made
        self._poll = select.epoll()
        self._guests: dict[int, Guest] = {}

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for guest in self._guests.values():
            guest.sock.close()
        self._guests.clear()
        self._poll.close()

    def arrive(
        self,
        port: int,
        headers: Sequence[Mapping[str, str]],
        *,
        path: str = "/ws",
        receive_bytes: int | None = None,
    ) -> list[Guest]:
        """Connect one guest per set of headers; return them once each has been welcomed or refused."""
        guests: list[Guest] = []
        for first in range(0, len(headers), ARRIVING):
            fresh = [self._connect(port, path, given, receive_bytes) for given in headers[first : first + ARRIVING]]
            self.run(lambda fresh=fresh: all(map(_settled, fresh)), "welcome")  # type: ignore[misc]
            guests += fresh
        return guests

    def enter(self, guests: Iterable[Guest], room_id: str) -> None:
        """Subscribe them; return when each has been let in."""
        guests = list(guests)
        for guest in guests:
            guest.say("subscribe", room_id=room_id)
        self.run(lambda: all(guest.heard("subscribed", room_id=room_id) for guest in guests), f"entry to {room_id}")

    def run(self, until: Callable[[], bool], what: str, *, within_s: float = WAIT_S) -> None:
        """Read for everybody until something is so. Raises AssertionError if it does not come about."""
        deadline = time.monotonic() + within_s
        while not until():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {within_s:g} s for {what}: {self._describe()}")
            self.breathe(0.05)

    def breathe(self, within_s: float) -> None:
        """Read what comes within that time."""
        for fd, _ in self._poll.poll(within_s):
            guest = self._guests[fd]
            guest.read()
            if guest.ended:
                self.drop(guest)

    def stop_reading(self, guests: Iterable[Guest]) -> None:
        """Leave them connected and deaf."""
        for guest in guests:
            guest.reading = False
            self._poll.unregister(guest.sock)

    def drop(self, guest: Guest) -> None:
        """Close a guest's socket."""
        if self._guests.pop(guest.sock.fileno(), None) is not None:
            if guest.reading:
                self._poll.unregister(guest.sock)
            guest.sock.close()
            guest.ended = True

    def _connect(self, port: int, path: str, headers: Mapping[str, str], receive_bytes: int | None) -> Guest:
        sock = socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        # On loopback a connect to a listening socket with room in its queue is done at once.
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        sock.send(handshake(port, path, headers))
        guest = self._guests[sock.fileno()] = self._made(sock)
        self._poll.register(sock, select.EPOLLIN)
        return guest

    def _describe(self) -> str:
        kinds = Counter(g.messages[-1]["type"] if g.messages else f"HTTP {g.status}" for g in self._guests.values())
        return f"{len(self._guests)} are connected, whose last words were {dict(kinds)}"


def _settled(guest: Guest) -> bool:
    return guest.ended or guest.status not in (None, 101) or bool(guest.heard("connection", status="connected"))


def handshake(port: int, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the request of an upgrade."""
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": "tidewire.v1",
        **headers,
    }
    return (f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode()


def main() -> None:
    """Hold the sockets that standard input describes, read until all have ended, and say so in JSON."""
    order = json.loads(sys.stdin.readline())
    with Crowd() as crowd:
        guests = crowd.arrive(order["port"], order["headers"], receive_bytes=order.get("receive_bytes"))
        crowd.enter(guests, order["room_id"])
        print(json.dumps({"inside": len(guests)}), flush=True)
        crowd.run(lambda: all(guest.ended for guest in guests), "the end", within_s=order["within_s"])
        print(json.dumps({"codes": [guest.close_code for guest in guests]}), flush=True)


if __name__ == "__main__":
    main()
