"""Those who watch everything: so many operators with every page open, each asking and listening as its pages do.

A process of its own, told by a line of JSON on standard input (``port``, ``cookies``), says when it is ready and ends
with the next line: ``python -m bench.operators``. It must not know what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx2
import websockets

# Path -> seconds between two questions of the page that asks it.
ASKED = {
    "/api/v1/admin/connections?sort=queued_bytes&descending=true": 1.0,
    "/api/v1/admin/connections/closed": 1.0,
    "/api/v1/admin/rooms?sort=members&descending=true": 1.0,
    "/api/v1/admin/analytics/system-health": 5.0,
}
FIGURES = {
    "figures": [
        {"metric": "tidewire_hub_connections"},
        {"metric": "tidewire_hub_delivered_total", "shown": "per_second"},
        {"metric": "tidewire_http_responses_total", "shown": "per_second"},
        {"metric": "process_resident_memory_bytes"},
    ],
    "range_s": 900,
}
FIGURES_EVERY_S = 5.0
SAID: list[dict[str, Any]] = [
    {"type": "start_monitoring", "config": {"interval_s": 1}},
    {"type": "start_performance", "interval_s": 1},
    {"type": "start_user_activity"},
    {"type": "start_analytics", "dashboard": "quotes"},
    {"type": "start_analytics", "dashboard": "conversion"},
    {"type": "start_analytics", "dashboard": "performance"},
]


class Tally:
    """What all of them were told."""

    def __init__(self) -> None:
        self.answers = 0
        self.messages: dict[str, int] = {}
        self.refused: list[str] = []
        self.waiting = 0
        self.ready = asyncio.Event()

    def replied(self) -> None:
        """One of the messages that begin it has been answered."""
        self.waiting -= 1
        if not self.waiting:
            self.ready.set()


async def listen(port: int, headers: dict[str, str], tally: Tally) -> None:
    """Watch all that is streamed."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", additional_headers=headers, max_size=None) as socket:
        for number, message in enumerate(SAID):
            await socket.send(json.dumps({**message, "id": number}))
        async for raw in socket:
            kind = json.loads(raw)["type"]
            tally.messages[kind] = tally.messages.get(kind, 0) + 1
            if kind == "reply":
                tally.replied()
                if not json.loads(raw)["ok"]:
                    tally.refused.append(str(raw)[:300])


async def ask(http: httpx2.AsyncClient, method: str, path: str, every_s: float, tally: Tally) -> None:
    """Ask again and again."""
    while True:
        answer = await http.request(method, path, json=FIGURES if method == "POST" else None)
        tally.answers += 1
        if answer.status_code != 200:
            tally.refused.append(f"{path} {answer.status_code}")
        await asyncio.sleep(every_s)


async def operate(port: int, cookies: list[str]) -> Tally:
    """Watch until standard input ends."""
    tally, origin = Tally(), f"http://127.0.0.1:{port}"
    tally.waiting, tasks = len(cookies) * len(SAID), []
    for cookie in cookies:
        headers = {"Origin": origin, "Cookie": f"tidewire_session={cookie}"}
        # The server closes a connection that is idle for 5 s, which is when some of these ask again.
        limits = httpx2.Limits(keepalive_expiry=3.0)
        http = httpx2.AsyncClient(base_url=origin, headers=headers, limits=limits)
        tasks += [asyncio.create_task(ask(http, "GET", path, every_s, tally)) for path, every_s in ASKED.items()]
        tasks.append(asyncio.create_task(ask(http, "POST", "/api/v1/admin/figures", FIGURES_EVERY_S, tally)))
        tasks.append(asyncio.create_task(listen(port, headers, tally)))
    await tally.ready.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    dead = [repr(task.exception()) for task in tasks if task.done()]
    tally.refused += dead
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return tally


def main() -> None:
    """Do what the first line says; print what was told."""
    order = json.loads(sys.stdin.readline())
    tally = asyncio.run(operate(order["port"], order["cookies"]))
    print(json.dumps({"answers": tally.answers, "messages": tally.messages, "refused": tally.refused}), flush=True)


if __name__ == "__main__":
    main()
