"""What a client tells: events of a room for its consumer, and actions for the shell that holds the socket. Pure data.

It must not decide anything. The TypeScript client has the same words; ``tests/client/cases`` binds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from tidewire.core.protocol import Identity, Member, Since

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# ---- for the consumer of a room --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a room.

    Attributes:
        kind: Its type on the wire: ``room_message`` or a feature's own.
        epoch, offset: Its place; both None if it is volatile.
        timestamp: When the server took it, Unix seconds.
        fields: What stands beside the envelope, e.g. ``data`` and ``sender``.
    """

    room_id: str
    kind: str
    epoch: str | None
    offset: int | None
    timestamp: float
    fields: Mapping[str, Json]

    @property
    def data(self) -> Json:
        """The ``data`` of a ``room_message``; None if there is none."""
        return self.fields.get("data")

    @property
    def place(self) -> Since | None:
        """What to give as ``since`` to continue after this message; None if it is volatile."""
        return None if self.epoch is None or self.offset is None else Since(self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Reset:
    """Something was missed for good (``recovered: false``): drop what you hold of the room and load it anew.

    Attributes:
        reason: The server's word, e.g. ``history_trimmed`` or ``epoch_changed``.
        missed_at_least: How many messages are known to be lost; None if nobody knows.
        offset: The room's newest offset.
        replayed: How many messages follow that are the room's present state.
    """

    room_id: str
    reason: str
    missed_at_least: int | None
    epoch: str
    offset: int
    replayed: int


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is in the room has changed; ``presence_state`` replaces everything that was known.

    Attributes:
        count: Users present, also those that are not listed.
        complete: False if the list of members is only a part of them.
    """

    room_id: str
    change: Literal["presence_state", "member_joined", "member_left", "presence_diff"]
    count: int
    joined: tuple[Member, ...]
    left: tuple[Member, ...]
    complete: bool


RoomEvent = Message | Reset | Presence


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not happen; ``code`` is the server's or one of ``failure.SENTENCES``.

    ``details`` is what a program needs to go on, such as the present value; unset if there is nothing.
    """

    code: str
    message: str = ""
    required_action: str = ""
    will_not: str = ""
    temporary: bool = False
    retry_after_ms: int | None = None
    details: Mapping[str, Json] | msgspec.UnsetType = msgspec.UNSET


# ---- for the shell ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a socket; events of an earlier one no longer count."""


@dataclass(frozen=True, slots=True)
class FetchToken:
    """Get a token: to connect, or to extend the connection in place."""

    purpose: Literal["connect", "refresh"]


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket and forget it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give an event to the room's consumer."""

    event: RoomEvent


@dataclass(frozen=True, slots=True)
class RoomEntered:
    """The server let us in (again); events of the room follow.

    Attributes:
        recovered: Nothing was missed since the last message.
        epoch, offset: The room's newest place; live messages come after it.
    """

    room_id: str
    recovered: bool
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class RoomEnded:
    """The room will bring nothing more; without an error because the program left it."""

    room_id: str
    error: Failure | None


@dataclass(frozen=True, slots=True)
class Settle:
    """A request is answered, or will never be."""

    op: int
    data: Json = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A message that belongs to no room and answers nothing, e.g. ``notification`` or ``error``."""

    kind: str
    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection is.

    Attributes:
        retry_in_ms: With ``waiting``.
        code, reason: Why it is not connected: a close code, or an HTTP status of a refused handshake.
        connection_id, user: With ``connected``; no user when anonymous.
    """

    state: Literal["connecting", "connected", "waiting", "ended"]
    retry_in_ms: int | None = None
    code: int | None = None
    reason: str | None = None
    connection_id: str | None = None
    user: Identity | None = field(default=None)


Action = Connect | FetchToken | Send | Close | Deliver | RoomEntered | RoomEnded | Settle | Note | Link
