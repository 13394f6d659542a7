"""The server side of the hub benches: a process that obeys one JSON command a line. ``hub``, ``node`` or ``limit``.

``hub`` is the real thing (uvicorn, gateway, hub, one port); ``node URL NAME`` is the same as one node of several, which
share their rooms over Redis. ``limit`` accepts sockets and writes prebuilt frames to
them in a plain loop of send(2): what the kernel costs, and Python's loop around it. All answer the same commands.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from tests.support.hub_server import RULES, Doorman, make_hub, running

from bench.orders import OPEN_FILES
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_members import RedisMembers
from tidewire.core import protocol
from tidewire.core.clock import SystemClock
from tidewire.core.telemetry import configure_logging
from tidewire.hub.frame import text_frames
from tidewire.hub.links import Links
from tidewire.hub.switchboard import HubOptions
from tidewire.web.footprint import settle

PAYLOAD_BYTES = 200


def body(size: int = PAYLOAD_BYTES) -> bytes:
    """Return a message's members of about ``size`` bytes, stamped with the monotonic time in microseconds."""
    head = b'{"t":%d,"pad":"' % int(time.monotonic() * 1e6)
    return protocol.data_body(head + b"x" * max(0, size - len(head) - 2) + b'"}')


async def obey(publish: Callable[[str], None], say: Callable[[], dict[str, Any]], **first: Any) -> None:
    """Answer commands until stdin ends."""
    settle()
    loop = asyncio.get_running_loop()
    print(json.dumps(first), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "publish":
            answer = await _publish(publish, command)
        elif command["do"] == "collect":
            gc.collect()
        answer |= {"rss_bytes": _rss(), "process_cpu_s": time.process_time(), **say()}
        print(json.dumps(answer), flush=True)


async def _publish(publish: Callable[[str], None], command: dict[str, Any]) -> dict[str, Any]:
    """Publish ``count`` messages at ``rate`` per second, round robin over ``rooms`` rooms."""
    rooms = [f"{command['room']}{n}" for n in range(command.get("rooms", 1))]
    rate, count = command["rate"], command["count"]
    cpu, start = time.process_time(), time.monotonic()
    for n in range(count):
        ahead = start + n / rate - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        elif n % 32 == 0:
            await asyncio.sleep(0)
        publish(rooms[n % len(rooms)])
    # The last messages are still being written: wait until the process is idle (which it never is under attack).
    while command.get("settle", True):
        before = time.process_time()
        await asyncio.sleep(0.1)
        if time.process_time() - before < 0.002:
            break
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - start}


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def serve_node(url: str, name: str) -> None:
    """Run the real server as a node; the broker is not told to be quick, as in tests."""
    clock, chance = SystemClock(), random.Random(name)
    bus, log = RedisBus(url, clock, chance), RedisRoomLog(url, clock, chance)
    await bus.start()
    await log.start()
    try:
        await serve_hub(Links(bus, log, RedisMembers(log.commands), name))
    finally:
        await log.stop()
        await bus.stop()


async def serve_hub(links: Links | None = None) -> None:
    """Run the real server."""
    options = HubOptions(connections_per_user=100_000)
    hub = make_hub(Doorman(), options=options, rules=RULES, links=links)
    posting: set[asyncio.Task[object]] = set()
    async with running(hub, max_connections=OPEN_FILES, connections_per_ip=OPEN_FILES) as server:

        def publish(room: str) -> None:
            if links is None:
                hub.publish(room, body())
                return
            task: asyncio.Task[object] = asyncio.create_task(hub.post(room, body()))
            posting.add(task)
            task.add_done_callback(_posted)

        def _posted(task: asyncio.Task[object]) -> None:
            posting.discard(task)
            # One that failed ends the bench: fewer messages than were counted would arrive.
            task.result()

        def say() -> dict[str, Any]:
            numbers = hub.statistics()
            places = {room.room_id: [room.epoch, room.offset] for room in hub.each_room() if room.room_id == "app:x0"}
            return {"connections": numbers.connections, "delivered": numbers.delivered, "places": places}

        await obey(publish, say, port=server.port)


async def serve_limit() -> None:
    """Run the plain loop: no HTTP, no hub; a socket that connects gets every frame."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    members: list[socket.socket] = []

    def accept() -> None:
        try:
            while True:
                member, _ = listener.accept()
                member.setblocking(False)
                member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                members.append(member)
        except BlockingIOError:
            return

    asyncio.get_running_loop().add_reader(listener, accept)

    def publish(room: str) -> None:
        encoded = protocol.room_message("room_message", room, body(), timestamp=time.time(), epoch="e", offset=1)
        frame = text_frames([protocol.plain_text(3, encoded)])
        for member in members:
            member.send(frame)

    await obey(publish, lambda: {"connections": len(members)}, port=listener.getsockname()[1])


if __name__ == "__main__":
    # Standard output is for answers.
    configure_logging(level="error")
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    kinds = {"hub": serve_hub, "node": serve_node, "limit": serve_limit}
    uvloop.run(kinds[sys.argv[1]](*sys.argv[2:]))
