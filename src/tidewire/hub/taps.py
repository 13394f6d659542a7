"""Listens to more than one connection: all of a user's, or the messages of a room. See ``tap``, which has the one.

It must not know who wants to see it, or nodes.
"""

from __future__ import annotations

from typing import Protocol

from tidewire.hub.history import Publication
from tidewire.hub.room import Room
from tidewire.hub.session import Session
from tidewire.hub.tap import Lines, Tap


class Local(Protocol):
    """What is asked of this node's hub."""

    def sessions_of(self, user_id: int) -> list[Session]:
        """Return a user's living connections."""
        ...

    def room_itself(self, room_id: str) -> Room[Session] | None:
        """Return one room."""
        ...


class UserTap:
    """All connections of a user, those too that come later: ``look`` takes them up. One traced already is left alone.

    Attributes:
        over: Never: somebody may come again.
    """

    over = False

    def __init__(self, local: Local, user_id: int, lines: Lines) -> None:
        self._local = local
        self._user_id = user_id
        self._taps: dict[str, Tap] = {}
        self.lines = lines
        self.look()

    def __len__(self) -> int:
        return len(self._taps)

    def look(self) -> None:
        """Let go of who has gone, and take up who has come."""
        for connection_id in [name for name, tap in self._taps.items() if tap.over]:
            self._taps.pop(connection_id).remove()
        for session in self._local.sessions_of(self._user_id):
            if session.tap is None and not session.lifecycle.ended:
                self._taps[session.connection_id] = Tap(session, self.lines)

    def remove(self) -> None:
        """Leave all of them as they were. Idempotent."""
        for tap in self._taps.values():
            tap.remove()
        self._taps.clear()


class RoomTap:
    """What a room sends to its members of one audience, each message once.

    Attributes:
        over: Never: a room that is forgotten may be opened again.
    """

    over = False

    def __init__(self, local: Local, room_id: str, audience: str, lines: Lines) -> None:
        self._local = local
        self._room_id = room_id
        self._audience = audience
        self._room: Room[Session] | None = None
        self.lines = lines
        self.look()

    def look(self) -> None:
        """Follow the room if it has been opened anew."""
        room = self._local.room_itself(self._room_id)
        if room is not self._room:
            self.remove()
            self._room = room
            if room is not None:
                room.tap = self._tell

    def remove(self) -> None:
        """Leave the room as it was. Idempotent."""
        if self._room is not None and self._room.tap == self._tell:
            self._room.tap = None
        self._room = None

    def _tell(self, publication: Publication) -> None:
        line = publication.encoded.get(self._audience)
        if line is not None:
            self.lines.tell("out", line)
