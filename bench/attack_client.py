"""The attackers of ``bench.attack``, one process: opens sockets and misbehaves in one way until its stdin ends.

It must not be fair: it sends as fast as the server takes, and comes back as soon as it is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import uvloop
from tests.support.ws_client import CONTINUATION, PING, TEXT, frame, upgraded

FLOODS = {
    "pings": frame(PING, b"x" * 125) * 200,
    "fragments": frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b" ", fin=False) * 60,
    "messages": frame(TEXT, b'{"type":"subscribe","room_id":"app:*"}') * 50,
}
# An attacker that is cut comes back after this; without it the bench would measure connects.
BACK_AFTER_S = 0.5


async def misbehave(kind: str, number: int, port: int, cuts: list[int]) -> None:
    """Attack for ever as one user of one's own."""
    while True:
        with contextlib.suppress(OSError, AssertionError, asyncio.IncompleteReadError, TimeoutError):
            bearer = f"Bearer user-{100_000 + number}"
            async with upgraded(port, receive_bytes=4_096, Authorization=bearer) as client:
                client.say("subscribe", room_id="app:x0")
                await client.expect("subscribed", room_id="app:x0")
                while kind == "stalled" and not client.writer.is_closing():
                    client.say("ping")
                    await asyncio.sleep(1.0)
                while not client.writer.is_closing():
                    client.send(FLOODS[kind])
                    await client.writer.drain()
        cuts[0] += 1
        await asyncio.sleep(BACK_AFTER_S)


async def main(kind: str, port: int, count: int) -> None:
    """Attack until stdin ends, then say how often the attackers were cut."""
    cuts = [0]
    attackers = [asyncio.create_task(misbehave(kind, number, port, cuts)) for number in range(count)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for attacker in attackers:
        attacker.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    print(json.dumps({"cuts": cuts[0]}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
