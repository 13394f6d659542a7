"""The people of ``bench.edits``: thousands of sockets in one epoll loop, one JSON command a line.

Each socket is one browser that looks at one quote. Edits are sent at fixed times, whatever became of those before, and
an edit's time counts from when it was due: a server that falls behind cannot hide it by slowing the people down. Every
frame of every socket is read and counted, so that a lost or doubled update is found. It must not know how a server
stores anything.
"""

from __future__ import annotations

import itertools
import json
import random
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.crowd import ARRIVING, PING, PONG, TEXT, client_frame, handshake, take_frame

from bench.measure import percentile
from bench.orders import obey

# Each entry is a read of the database by the server, which has eight connections for them.
ENTERING = 32
PATIENCE_S = 20.0
# Texts, which no calculation depends on: what they are changed to can never be wrong.
FIELDS = ("customer_name", "driver_name", "notes", "vehicle_make", "vehicle_model")


class Heard(msgspec.Struct):
    """What a message may have that matters here."""

    type: str
    id: str | None = None
    ok: bool = False
    op_id: str | None = None
    status: str = ""
    data: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    fields: dict[str, dict[str, Any]] | None = None


_decode = msgspec.json.Decoder(Heard).decode


@dataclass(eq=False, slots=True)
class Browser:
    """One socket."""

    sock: socket.socket
    quote: str = ""
    connected: bool = False
    unread: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class Sent:
    """One edit: when it was due, whose it is, how many have seen it, and whether it was answered well."""

    due: float
    author: Browser
    quote: str
    name: str
    seen: int = 0
    acked: bool | None = None


@dataclass
class Load:
    """The browsers and what they have seen."""

    poll: select.epoll = field(default_factory=select.epoll)
    browsers: dict[int, Browser] = field(default_factory=dict)
    members: dict[str, list[Browser]] = field(default_factory=dict)
    revisions: dict[tuple[str, str], int] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def connect(self, *, port: int, cookies: list[str], each: int) -> dict[str, Any]:
        """Open ``each`` sockets for each cookie; return when all have been welcomed."""
        origin = f"http://127.0.0.1:{port}"
        waiting = deque(cookies * each)
        arriving = 0

        def heard(browser: Browser, message: Heard) -> None:
            nonlocal arriving
            if message.status == "connected" and not browser.connected:
                browser.connected = True
                arriving -= 1

        while waiting or arriving:
            while waiting and arriving < ARRIVING:
                sock = socket.create_connection(("127.0.0.1", port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                headers = {"Origin": origin, "Cookie": f"tidewire_session={waiting.popleft()}"}
                sock.send(handshake(port, "/ws", headers))
                arriving += 1
                self._take(self._upgraded(sock), heard)
            self._read(0.05, heard)
        return {"open": len(self.browsers)}

    def _upgraded(self, sock: socket.socket) -> Browser:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(65_536)
            assert piece, f"refused: {head!r}"
            head += piece
        assert b" 101 " in head.partition(b"\r\n")[0], head
        sock.setblocking(False)
        self.browsers[sock.fileno()] = browser = Browser(sock)
        browser.unread += head.partition(b"\r\n\r\n")[2]
        self.poll.register(sock, select.EPOLLIN)
        return browser

    def enter(self, *, quotes: list[str], viewers: int) -> dict[str, Any]:
        """Let browsers look at the quotes, so many at each."""
        waiting = deque(zip(itertools.islice(itertools.cycle(quotes), len(quotes) * viewers), self.browsers.values(),
                            strict=True))  # fmt: skip
        entering = again = 0

        def heard(browser: Browser, message: Heard) -> None:
            nonlocal entering, again
            if message.fields is not None:
                for name, known in message.fields.items():
                    self.revisions[browser.quote, name] = known["revision"]
            if message.type == "reply":
                entering -= 1
                if message.ok:
                    self.members.setdefault(browser.quote, []).append(browser)
                else:
                    again += 1
                    waiting.append((browser.quote, browser))

        began = time.monotonic()
        while waiting or entering:
            while waiting and entering < ENTERING:
                quote, browser = waiting.popleft()
                browser.quote = quote
                self._say(browser, {"type": "quote_subscribe", "id": "s", "quote_id": quote})
                entering += 1
            self._read(0.05, heard)
        return {"wall_s": time.monotonic() - began, "again": again}

    def edit(self, *, rate: float, seconds: float) -> dict[str, Any]:
        """Change fields of random quotes, each by one of its people; return when everybody has seen everything."""
        sent: dict[str, Sent] = {}
        busy: Counter[str] = Counter()
        told, acks = [], []
        refused: Counter[str] = Counter()
        strays = 0

        def heard(browser: Browser, message: Heard) -> None:
            nonlocal strays
            now = time.monotonic()
            if message.type == "field_update":
                one = sent.get(message.op_id or "")
                if one is None:
                    strays += 1
                    return
                one.seen += 1
                if browser is not one.author:
                    told.append((now - one.due) * 1000)
            elif message.type == "reply" and message.id in sent:
                one = sent[message.id]
                one.acked = message.ok
                busy[one.quote] -= 1
                if message.ok and message.data is not None:
                    acks.append((now - one.due) * 1000)
                    self.revisions[one.quote, one.name] = message.data["revision"]
                elif message.error is not None:
                    refused[message.error["code"]] += 1

        quotes, chance = list(self.members), random.Random(7)
        count = round(rate * seconds)
        began = time.monotonic() + 0.1
        lag = 0.0
        for number in range(count):
            due = began + number / rate
            while (now := time.monotonic()) < due:
                self._read(due - now, heard)
            lag = max(lag, now - due)
            # Nobody edits blindly: base revisions are right, so that nothing but the server can refuse an edit.
            quote = chance.choice(quotes)
            while busy[quote]:
                quote = chance.choice(quotes)
            busy[quote] += 1
            author, name, op_id = chance.choice(self.members[quote]), chance.choice(FIELDS), f"o{next(self.numbers)}"
            sent[op_id] = Sent(due, author, quote, name)
            self._say(author, {
                "type": "field_edit", "id": op_id, "quote_id": quote, "field": name, "op_id": op_id,
                "base_revision": self.revisions.get((quote, name), 0), "value": f"value {op_id}",
            })  # fmt: skip
        until = time.monotonic() + PATIENCE_S
        while not all(map(self._complete, sent.values())) and time.monotonic() < until:
            self._read(0.05, heard)
        wrong = sum(one.seen != (len(self.members[one.quote]) if one.acked else 0) for one in sent.values())
        return {
            "edits": count, "acked": len(acks), "refused": dict(refused),
            "unanswered": sum(one.acked is None for one in sent.values()), "faults": wrong + strays,
            "deliveries": sum(one.seen for one in sent.values()), "sender_lag_ms": lag * 1000,
            "span_s": time.monotonic() - began,
            **_spread("told", told), **_spread("ack", acks),
        }  # fmt: skip

    def _complete(self, one: Sent) -> bool:
        return one.acked is False or (one.acked is True and one.seen >= len(self.members[one.quote]))

    def ping(self, *, rate: float, seconds: float) -> dict[str, Any]:
        """Send pings at the same rate from random sockets, and wait for their pongs: the floor under everything."""
        due: dict[Browser, float] = {}
        took = []

        def heard(browser: Browser, message: Heard) -> None:
            if message.type == "pong":
                took.append((time.monotonic() - due.pop(browser)) * 1000)

        people, chance = list(self.browsers.values()), random.Random(8)
        began = time.monotonic() + 0.1
        for number in range(round(rate * seconds)):
            at = began + number / rate
            while (now := time.monotonic()) < at:
                self._read(at - now, heard)
            browser = chance.choice(people)
            while browser in due:
                browser = chance.choice(people)
            due[browser] = at
            self._say(browser, {"type": "ping"})
        until = time.monotonic() + PATIENCE_S
        while due and time.monotonic() < until:
            self._read(0.05, heard)
        return _spread("pong", took)

    def _read(self, wait_s: float, heard: Callable[[Browser, Heard], None]) -> None:
        for fd, _ in self.poll.poll(wait_s):
            browser = self.browsers[fd]
            data = browser.sock.recv(262_144)
            assert data, "the server has cut a connection"
            browser.unread += data
            self._take(browser, heard)

    def _take(self, browser: Browser, heard: Callable[[Browser, Heard], None]) -> None:
        while (frame := take_frame(browser.unread)) is not None:
            opcode, payload = frame
            if opcode == TEXT:
                heard(browser, _decode(payload))
            elif opcode == PING:
                browser.sock.send(client_frame(PONG, payload))
            else:
                raise RuntimeError(f"closed: {payload!r}")

    def _say(self, browser: Browser, message: dict[str, Any]) -> None:
        browser.sock.send(client_frame(TEXT, json.dumps(message).encode()))


def _spread(name: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        f"{name}_p50_ms": percentile(values, 50),
        f"{name}_p99_ms": percentile(values, 99),
        f"{name}_max_ms": max(values),
    }


if __name__ == "__main__":
    obey(Load())
