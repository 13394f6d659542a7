"""The Python client of the hub: one connection that is kept up, rooms to iterate over, requests to await.

It imports ``core`` only. The parts without asyncio (everything but ``carrier`` and ``client``) are pure.

Example::

    async with Client("ws://127.0.0.1:8000/ws", bearer=secret) as client:
        async for event in client.subscribe("app:lobby"):
            print(event)
"""

from tidewire.client.client import Client, Published, Room
from tidewire.client.event import Failure, Json, Link, Message, Note, Presence, Reset, RoomEvent
from tidewire.client.failure import ClientEnded, ClientError, OutcomeUnknown, Refused, Unsent
from tidewire.core.protocol import Member, Since

__all__ = [
    "Client",
    "ClientEnded",
    "ClientError",
    "Failure",
    "Json",
    "Link",
    "Member",
    "Message",
    "Note",
    "OutcomeUnknown",
    "Presence",
    "Published",
    "Refused",
    "Reset",
    "Room",
    "RoomEvent",
    "Since",
    "Unsent",
]
