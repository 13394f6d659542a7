"""What a session sends: numbered, paced, rooms before requests; and the list of actions that it leaves behind. Pure.

It must not know the connection's life or what answers mean.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidewire.client.event import Action, Json, Send
from tidewire.client.frame import write
from tidewire.client.ledger import Ledger, Pacer
from tidewire.client.rooms import Rooms


class Outgoing:
    """See the module's text.

    Attributes:
        actions: What the shell is to do, in order; emptied by ``take``.
        blocked: Something waits for the pace.
    """

    def __init__(self, rooms: Rooms, ledger: Ledger) -> None:
        self.actions: list[Action] = []
        self.blocked = False
        self.pacer = Pacer()
        self._rooms = rooms
        self._ledger = ledger
        self._next_id = 0

    def take(self) -> list[Action]:
        """Return the actions and forget them."""
        actions, self.actions = self.actions, []
        return actions

    def send(self, message: Mapping[str, Json], now_ms: int) -> int:
        """Send at once, whatever the pace, and return the id."""
        self.pacer.take(now_ms, force=True)
        return self._write(message)

    def ping(self, last_sequence: int, now_ms: int) -> None:
        """Send a ping; its answer is a ``pong``, no reply."""
        self.pacer.take(now_ms, force=True)
        self.actions.append(Send(write({"type": "ping", "last_sequence": last_sequence})))

    def leave(self, room_id: str, now_ms: int) -> None:
        """Send an unsubscribe; the room is deaf until it is answered."""
        self._rooms.left(room_id, self.send({"type": "unsubscribe", "room_id": room_id}, now_ms))

    def fill(self, now_ms: int) -> None:
        """Send what waits, rooms first, as fast as the server allows."""
        self.blocked = False
        self.actions += self._ledger.give_up(now_ms)
        while True:
            track = self._rooms.next_wanted(now_ms)
            if track is None and not self._ledger.waiting:
                return
            if not self.pacer.take(now_ms):
                self.blocked = True
                return
            message_id = self._next_id + 1
            if track is not None:
                self._write(self._rooms.ask(track, message_id))
            else:
                self._write(self._ledger.next(message_id, now_ms))

    def _write(self, message: Mapping[str, Json]) -> int:
        self._next_id += 1
        self.actions.append(Send(write({**message, "id": self._next_id})))
        return self._next_id
