"""A venue for benchmarks: Massive handshake, then trades at an exact rate, stamped with this machine's clock.

It is leaner than ``tidewire simulate`` (no market, no faults), so that the load takes little of the machine that is
measured. It must not know what is measured. As a program (``python -m bench.venue``) it prints its port, and serves
until standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

LINES = 3
# Frames a second on each line: a live venue sends what has gathered, not one trade per frame.
FRAMES_PER_S = 100
GREETING = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
AUTHENTICATED = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'


def symbols(line: int, count: int) -> list[str]:
    """Return the tickers of one line; the line's number is in the name, so that a subscription tells the line."""
    return [f"L{line}T{number}" for number in range(count)]


def trade(symbol: str, number: int, time_ms: int, sequence: int) -> str:
    """Return one trade with every field that the venue sends; ``sequence`` must rise within a symbol."""
    return (
        f'{{"ev":"T","sym":"{symbol}","x":4,"i":"{number}","z":3,"p":{100 + number % 997 / 100},"s":{100 + number % 7},'
        f'"ds":"{100 + number % 7}.0","c":[14,41],"t":{time_ms},"q":{sequence}}}'
    )


class Peer(WSListener):  # type: ignore[misc]
    """One connection: the handshake; ``begin`` is called once, when it has subscribed."""

    def __init__(self) -> None:
        self.transport: WSTransport | None = None
        self.symbols: list[str] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet."""
        self.transport = transport
        transport.send(WSMsgType.TEXT, GREETING)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer authentication and subscription; begin after the first of the latter."""
        if frame.msg_type != WSMsgType.TEXT:
            return
        request = json.loads(frame.get_payload_as_bytes())
        if request["action"] == "auth":
            transport.send(WSMsgType.TEXT, AUTHENTICATED)
            return
        topics = request["params"].split(",")
        answers = [{"ev": "status", "status": "success", "message": f"subscribed to: {topic}"} for topic in topics]
        transport.send(WSMsgType.TEXT, json.dumps(answers).encode())
        if not self.symbols:
            self.symbols = sorted({topic.partition(".")[2] for topic in topics})
            asyncio.get_running_loop().call_soon(self.begin)

    def begin(self) -> None:
        """Start to send."""


class Paced(Peer):
    """Sends ``rate`` trades a second, in frames of what is due every 10 ms."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate
        self._sent = 0
        self._started = 0.0

    def begin(self) -> None:
        """Start to send."""
        # The lines' frames must not all come at the same instant, or the bus sees one burst per 10 ms.
        line = int(self.symbols[0][1])
        self._started = asyncio.get_running_loop().time() + line / LINES / FRAMES_PER_S
        self._step()

    def _step(self) -> None:
        transport, loop = self.transport, asyncio.get_running_loop()
        assert transport is not None
        if transport.is_disconnected:
            return
        elapsed = loop.time() - self._started
        first, last = self._sent, int(elapsed * self._rate)
        if last > first:
            now_ms, names = int(time.time() * 1000), self.symbols
            events = [trade(names[n % len(names)], n, now_ms, n) for n in range(first + 1, last + 1)]
            transport.send(WSMsgType.TEXT, f"[{','.join(events)}]".encode())
            self._sent = last
        next_step = (int(max(0.0, elapsed) * FRAMES_PER_S) + 1) / FRAMES_PER_S
        loop.call_at(self._started + next_step, self._step)


async def serve(make: Callable[[], Peer]) -> None:
    """Serve connections made by ``make`` on a free port, print the port, end when standard input closes."""
    server = await ws_create_server(lambda _: make(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve at the rate that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, required=True, help="trades per second over all three lines")
    rate = parser.parse_args(arguments).rate
    gc.freeze()
    uvloop.run(serve(lambda: Paced(rate / LINES)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
