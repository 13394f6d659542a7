"""What a feature may do beside publishing: answer messages of its own, let a client into a room, speak to one client.

``Hub.features`` is the one of a hub. A feature adds its messages to the table before the hub starts; each handler gets
the session and the decoded struct, and returns the data of the reply or raises RequestError. It must not know any
feature. Source: contract.md section 5, "the features' types".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable

from tidewire.accounts.grants import Address
from tidewire.accounts.model import Principal
from tidewire.accounts.permissions import NoteRefused
from tidewire.core.protocol import Subscribe, Unsubscribed, encode
from tidewire.hub.builtin import Builtin
from tidewire.hub.command import Command, Commands
from tidewire.hub.session import Session
from tidewire.hub.switchboard import Switchboard

# Called when somebody has other permissions than before, for each room in which they stay; with who they were before.
Moved = Callable[[Session, Address, Principal | None], None]


class Features:
    """See the module's text."""

    def __init__(self, board: Switchboard, builtin: Builtin, commands: Commands) -> None:
        self._board = board
        self._builtin = builtin
        self._commands = commands
        self._moved: list[Moved] = []

    def add(self, commands: Iterable[Command]) -> None:
        """Understand further client messages. Raises ValueError if one has the name of another."""
        for command in commands:
            self._commands.add(command)

    def on_refused(self, note: NoteRefused) -> None:
        """Call ``note`` when somebody is refused something for a missing permission; it must not wait."""
        self._board.on_refused = note

    async def enter(self, session: Session, room_id: str, *, presence: bool = False) -> None:
        """Let a client into a room as ``subscribe`` without ``since`` does, with the same answers and checks.

        Raises:
            RequestError: It may not, or the room cannot be entered.
            BusError: What is in the room cannot be found out now.
        """
        done = self._builtin.subscribe(session, Subscribe(room_id=room_id, presence=presence))
        if not isinstance(done, bytes):
            await done

    def leave(self, session: Session, room_id: str, reason: str, message: str) -> None:
        """Put a client out of a room and tell it; nothing happens if it is not inside."""
        if self._board.rooms.leave(session, room_id):
            self.send(session, encode(Unsubscribed(room_id=room_id, reason=reason, message=message)))

    def inside(self, session: Session, room_id: str) -> bool:
        """Whether a connection is in a room; also while a gap is told and it has not subscribed again."""
        return room_id in session.subscriptions

    def connected(self, connection_id: str, room_id: str) -> bool:
        """Whether a connection of this node lives and is in a room."""
        session = self._board.registry.get(connection_id)
        return session is not None and session.lifecycle.open and room_id in session.subscriptions

    def send(self, session: Session, encoded: bytes) -> bool:
        """Send one encoded message to a connection; False if it is closing."""
        return self._board.push(session, [encoded])

    def whisper(self, room_id: str, body: bytes, *, kind: str) -> int:
        """Send a volatile message to those who are in a room on this node; return how many connections they are."""
        room = self._board.rooms.get(room_id)
        if room is None or not len(room):
            return 0
        return self._board.rooms.publish(room_id, body, kind=kind, delivery="volatile").reached

    def occupied(self, prefix: str) -> list[str]:
        """Return the rooms of this node whose name begins with ``prefix`` and that somebody is in."""
        return list(self._board.rooms.occupied(prefix))

    @property
    def outlived(self) -> bool:
        """Whether rooms live longer than this process, so that somebody may resume here what they read elsewhere."""
        return self._board.shared is not None

    def epoch_and_offset(self, room_id: str) -> tuple[str, int] | None:
        """Return a room's place here; None if it does not exist."""
        room = self._board.rooms.get(room_id)
        return None if room is None else (room.epoch, room.offset)

    def on_moved(self, moved: Moved) -> None:
        """Call ``moved`` when a member of a room has other permissions from now on; must not block."""
        self._moved.append(moved)

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run a coroutine that handles its own errors; the hub's end ends it."""
        self._board.spawn(work, name)

    def tell_moved(self, session: Session, address: Address, before: Principal | None) -> None:
        """Tell the features whose room it may be; only the hub's door calls this."""
        for moved in self._moved:
            moved(session, address, before)
