"""Print a room's messages, across reconnects: ``python watch.py ws://127.0.0.1:8000/ws app:lobby KEY``."""

import asyncio
import sys

from tidewire.client import Client, Reset


async def main(url: str, room: str, key: str) -> None:
    """Follow one room until the program is ended."""
    async with Client(url, bearer=key) as client:
        async for event in client.subscribe(room):
            print("LOST" if isinstance(event, Reset) else event, flush=True)


asyncio.run(main(*sys.argv[1:]))
