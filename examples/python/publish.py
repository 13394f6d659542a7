"""Publish one message: ``python publish.py ws://127.0.0.1:8000/ws app:lobby KEY "hello"``."""

import asyncio
import sys

from tidewire.client import Client


async def main(url: str, room: str, key: str, text: str) -> None:
    """Publish, and say where the message stands."""
    async with Client(url, bearer=key) as client:
        done = await client.publish(room, {"text": text})
        print(done.epoch, done.offset)


asyncio.run(main(*sys.argv[1:]))
