"""The client side of the hub benches: thousands of sockets in one epoll loop, one JSON command a line.

It does as little per byte as it can, because it shares the machine with the server. Two ways of reading: ``collect``
counts every message on every socket and looks at the oldest timestamp of each read, so that latencies err on the high
side. ``follow`` reads a few sockets, evenly spread over the order in which the server writes, message by message: each
one's latency, and that none is missing, doubled or out of order. The others are emptied twenty times a second without
being looked at; that each of them got as many bytes as the followed ones is checked in the end, because in one room
all get the same bytes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.orders import obey

# A listening socket's queue is 2,048; more connects at once would be retried by the kernel after a second.
CONNECTING = 512
TOKEN = b'"type":"room_message"'
STAMP = b'"t":'
READY = b'"status":"connected"'
RECOVERED = b'"recovered":true'
# What a followed socket is read by: a message of the room with its place and the time of its publishing.
PLACED = re.compile(rb'"offset":(\d+),"timestamp":[^,]+,"data":\{"t":(\d+),')
# Sockets that are not followed are emptied in slices, so that a followed one never waits long for its turn.
SWEEP_S = 0.05
SLICES = 10
SINK = bytearray(4 * 1_048_576)
JOINED = b'"type":"subscribed","room_id":"app:'


@dataclass
class Load:
    """The sockets and what they have seen."""

    poll: select.epoll = field(default_factory=select.epoll)
    sockets: dict[int, socket.socket] = field(default_factory=dict)
    tails: dict[int, bytes] = field(default_factory=dict)
    stalled: set[int] = field(default_factory=set)

    def connect(self, *, port: int, count: int, batch: bool, raw: bool) -> dict[str, Any]:
        """Open ``count`` sockets; each is ready when the server has said who it is."""
        start = time.monotonic()
        waiting: dict[int, bytes] = {}
        number: dict[int, int] = {}
        opened = 0
        done = 0
        while done < count:
            while opened < count and len(waiting) < CONNECTING:
                peer = socket.socket()
                number[peer.fileno()] = opened
                peer.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    peer.connect(("127.0.0.1", port))
                self.sockets[peer.fileno()] = peer
                self.poll.register(peer.fileno(), select.EPOLLOUT)
                waiting[peer.fileno()] = b""
                opened += 1
            for fd, event in self.poll.poll(5):
                if fd not in waiting:
                    continue
                if event & select.EPOLLOUT:
                    if not raw:
                        self.sockets[fd].send(_request(number[fd], batch))
                    self.poll.modify(fd, select.EPOLLIN)
                    if raw:
                        del waiting[fd]
                        done += 1
                    continue
                got = self.sockets[fd].recv(65_536)
                if not got:
                    raise RuntimeError(f"refused: {waiting[fd]!r}")
                waiting[fd] += got
                if READY in waiting[fd]:
                    del waiting[fd]
                    done += 1
        return {"wall_s": time.monotonic() - start, "open": len(self.sockets)}

    def cut(self) -> dict[str, Any]:
        """Cut every connection at once, without a word."""
        for peer in self.sockets.values():
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        count = len(self.sockets)
        self.sockets.clear()
        self.tails.clear()
        return {"cut": count}

    def subscribe(
        self, *, room: str, rooms: int, since: dict[str, Any] | None = None, expect: int = 0
    ) -> dict[str, Any]:
        """Put every socket into a room, round robin; wait for the answer and ``expect`` replayed messages each."""
        start = time.monotonic()
        waiting: dict[int, bytes] = {}
        recovered = 0
        for n, fd in enumerate(self.sockets):
            message = {"type": "subscribe", "room_id": f"{room}{n % rooms}", **({"since": since} if since else {})}
            self.sockets[fd].send(_frame(json.dumps(message).encode()))
            waiting[fd] = b""
        while waiting:
            for fd, _ in self.poll.poll(5):
                waiting[fd] = waiting.get(fd, b"") + self.sockets[fd].recv(65_536)
                if JOINED in waiting[fd] and waiting[fd].count(TOKEN) >= expect:
                    recovered += RECOVERED in waiting[fd] and waiting[fd].count(TOKEN) == expect
                    del waiting[fd]
        return {"wall_s": time.monotonic() - start, "recovered": recovered}

    def stall(self, *, count: int) -> dict[str, Any]:
        """Stop reading on some sockets."""
        for fd in list(self.sockets)[:count]:
            self.poll.unregister(fd)
            self.stalled.add(fd)
        return {"stalled": len(self.stalled)}

    def collect(self, *, expect: int, timeout_s: float) -> dict[str, Any]:
        """Read until ``expect`` messages have come, or too long nothing."""
        samples: list[tuple[float, int]] = []
        seen = 0
        first = last = 0.0
        while seen < expect:
            events = self.poll.poll(timeout_s)
            if not events:
                break
            for fd, _ in events:
                data = self.tails.get(fd, b"") + self.sockets[fd].recv(262_144)
                now = time.monotonic()
                count = data.count(TOKEN)
                self.tails[fd] = data[-(len(TOKEN) - 1) :]
                if count:
                    at = data.find(STAMP)
                    if at >= 0:
                        digits = data[at + len(STAMP) : at + len(STAMP) + 20].split(b",", 1)[0]
                        if digits.isdigit():
                            samples.append((now - int(digits) / 1e6, count))
                    seen += count
                    first = first or now
                    last = now
        return {"seen": seen, "span_s": last - first, **_percentiles(samples)}

    def follow(self, *, messages: int, followed: int, timeout_s: float) -> dict[str, Any]:
        """Read until each socket has got ``messages`` messages, or nothing came for too long."""
        reading = [fd for fd in self.sockets if fd not in self.stalled]
        watched = reading[:: max(1, len(reading) // followed)]
        others = [peer for fd, peer in self.sockets.items() if fd not in self.stalled and fd not in set(watched)]
        for peer in others:
            self.poll.unregister(peer.fileno())
        got = dict.fromkeys(others, 0)
        trail = {fd: Trail() for fd in watched}
        slices = [others[n::SLICES] for n in range(SLICES)]
        turn, first = 0, 0.0
        sweep_at = last = time.monotonic()
        while time.monotonic() - last < timeout_s and not all(one.messages >= messages for one in trail.values()):
            for fd, _ in self.poll.poll(max(0.0, sweep_at - time.monotonic())):
                trail[fd].read(self.sockets[fd].recv(262_144))
                last = time.monotonic()
                first = first or last
            if time.monotonic() >= sweep_at:
                sweep_at += SWEEP_S / SLICES
                _discard(slices[turn % SLICES], got)
                turn += 1
        ended = time.monotonic()
        alike, whole = 0, {one.bytes for one in trail.values()}
        # The server may still be writing to those that it serves last.
        while alike < len(others) and time.monotonic() - ended < timeout_s:
            for fd, _ in self.poll.poll(0.02):
                trail[fd].read(self.sockets[fd].recv(262_144))
            _discard(others, got)
            whole = {one.bytes for one in trail.values()}
            alike = sum(count in whole for count in got.values())
        for peer in others:
            self.poll.register(peer.fileno(), select.EPOLLIN)
        # A socket with fewer or more bytes than the others has lost or doubled something.
        latencies = [(each, 1) for one in trail.values() for each in one.latencies]
        return {
            "seen": sum(one.messages for one in trail.values()) + alike * messages,
            "followed": len(watched),
            "faults": sum(one.faults for one in trail.values()) + len(others) - alike + len(whole) - 1,
            "span_s": last - first,
            **_percentiles(latencies),
        }


@dataclass
class Trail:
    """What one followed socket has got."""

    bytes: int = 0
    messages: int = 0
    faults: int = 0
    latencies: list[float] = field(default_factory=list)
    _offset: int = 0
    _tail: bytes = b""

    def read(self, data: bytes) -> None:
        """Take a read; a message that is cut off is looked at together with the next one."""
        now = time.monotonic()
        self.bytes += len(data)
        data = self._tail + data
        end = 0
        for match in PLACED.finditer(data):
            offset, end = int(match[1]), match.end()
            self.faults += self._offset not in (0, offset - 1)
            self._offset = offset
            self.latencies.append(now - int(match[2]) / 1e6)
            self.messages += 1
        self._tail = data[max(end, len(data) - 256) :]


def _discard(peers: Sequence[socket.socket], got: dict[socket.socket, int]) -> None:
    """Throw away what has come, in the kernel: nothing is copied (tcp(7), MSG_TRUNC)."""
    for peer in peers:
        with contextlib.suppress(BlockingIOError):
            got[peer] += peer.recv_into(SINK, len(SINK), socket.MSG_TRUNC)


def _percentiles(samples: list[tuple[float, int]]) -> dict[str, float]:
    samples.sort()
    total = sum(count for _, count in samples)
    result: dict[str, float] = {}
    for name, share in (("p50_ms", 0.50), ("p99_ms", 0.99), ("max_ms", 1.0)):
        passed = 0
        for latency, count in samples:
            passed += count
            if passed >= share * total:
                result[name] = latency * 1000
                break
    return result


def _request(number: int, batch: bool) -> bytes:
    protocol = "tidewire.v1.batch" if batch else "tidewire.v1"
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        "GET /ws HTTP/1.1",
        "Host: bench",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Protocol: {protocol}",
        f"Authorization: Bearer user-{number}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _frame(payload: bytes) -> bytes:
    # A mask of zeros is a legal mask and leaves the payload as it is.
    length = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
    return b"\x81" + length + bytes(4) + payload


if __name__ == "__main__":
    obey(Load())
