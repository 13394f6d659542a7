"""The messages of the hub as frozen tagged structs, and how they become bytes. Pure.

It must not know sockets, rooms' rules or features: a feature's payload is bytes here. ``docs/protocol.md`` has one
example per message, checked by a test. Every message is encoded once; ``plain_text`` and ``batch_text`` put the
connection's sequence in front of the same bytes.
Source: contract.md section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from tidewire.core.errors import BusError, RequestError, StoreError, TidewireError

PLAIN = "tidewire.v1"
BATCH = "tidewire.v1.batch"
SUBPROTOCOLS = (BATCH, PLAIN)  # in the server's order of preference

# Client messages are short; an id is only ever echoed.
MAX_ID_CHARS = 64
MAX_ROOM_CHARS = 128
# The largest JSON nesting that a client may send (reliability.md 3.1 item 8).
MAX_DEPTH = 16

MessageId = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]
RoomId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ROOM_CHARS)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Epoch = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
# A raw value that is left out of the encoding.
NOTHING = msgspec.Raw(b"")
Delivery = Literal["lossless", "latest", "volatile"]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, for a program (``code``) and for a person (the sentences).

    Attributes:
        details: What a program needs to go on, such as the present value; absent if there is nothing.
    """

    code: str
    message: str
    required_action: str
    will_not: str
    temporary: bool = False
    retry_after_ms: int | None = None
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


# ---- server to client ------------------------------------------------------------------------------------------------


class _Server(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of what the server sends; ``sequence`` is added when it is written."""


class HeartbeatTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How often the server asks and how long it waits, milliseconds."""

    interval_ms: int
    timeout_ms: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What this connection may use."""

    message_bytes: int
    rooms: int
    messages_per_second: int
    burst: int
    connections_per_user: int


class ReconnectTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How to come back: full jitter between the delays, the count of failures forgotten after a stable time."""

    min_delay_ms: int
    max_delay_ms: int
    stable_after_ms: int


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the server takes the client for."""

    user_id: int
    username: str
    role: str
    permissions: list[str]


class Connection(_Server, frozen=True, kw_only=True, tag="connection"):
    """How the connection is: ``connected`` first, the others later.

    Attributes:
        user: Absent when anonymous.
        token_expires_at: Unix seconds; absent if the connection does not expire.
        code, reason, reconnect: Only with ``closing``; ``reconnect`` is a word of ``close_code.Reconnect``.
        message: With ``degraded``, what that means.
    """

    status: Literal["connected", "refreshed", "token_expiring", "draining", "closing", "degraded", "restored"]
    timestamp: float
    connection_id: str | None = None
    session_id: str | None = None
    protocol: str | None = None
    user: Identity | None = None
    heartbeat: HeartbeatTerms | None = None
    limits: Limits | None = None
    reconnect_terms: ReconnectTerms | None = None
    token_expires_at: float | None = None
    code: int | None = None
    reason: str | None = None
    reconnect: str | None = None
    reconnect_after_ms: int | None = None
    message: str | None = None


class Pong(_Server, frozen=True, kw_only=True, tag="pong"):
    """Answers ``ping``; ``last_sequence`` is the client's own, handed back."""

    timestamp: float
    last_sequence: int | None = None


class Heartbeat(_Server, frozen=True, kw_only=True, tag="heartbeat"):
    """Are you there? Any frame answers."""

    timestamp: float


class Reply(_Server, frozen=True, kw_only=True, tag="reply"):
    """Answers the client message that carried ``id``, exactly once."""

    id: MessageId
    ok: bool
    error: ErrorBody | None = None
    data: msgspec.Raw = NOTHING


class Error(_Server, frozen=True, kw_only=True, tag="error"):
    """A failure that no ``reply`` can carry. ``about`` is the type of the client message, if known."""

    code: str
    message: str
    required_action: str
    will_not: str
    temporary: bool = False
    retry_after_ms: int | None = None
    about: str | None = None
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Subscribed(_Server, frozen=True, kw_only=True, tag="subscribed"):
    """You are in the room. The next ``replayed`` messages of the room come before anything live.

    Attributes:
        offset: The room's newest offset; the next live message has ``offset + 1``.
        recovered: True: the replayed messages are all you missed. False: drop what you hold of the room;
            the replayed messages are its present state (newest per key), possibly none.
        reason: Why not recovered.
        missed_at_least: How many messages are known to be lost to you.
        delivery: In a ``latest`` room offsets may jump, because a newer message replaced an older one.
    """

    room_id: str
    epoch: str
    offset: int
    recovered: bool
    replayed: int
    delivery: Delivery
    reason: str | None = None
    missed_at_least: int | None = None


class Unsubscribed(_Server, frozen=True, kw_only=True, tag="unsubscribed"):
    """You are out of the room, by your wish or not; ``message`` says more when it was not."""

    room_id: str
    reason: str
    message: str | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user who is present in a room with at least one connection."""

    user_id: int
    username: str
    joined_at: float


class RoomEvent(_Server, frozen=True, kw_only=True, tag="room_event"):
    """Who is in the room. ``complete`` is false when ``members`` lists only a part of ``count``."""

    room_id: str
    event: Literal["presence_state", "member_joined", "member_left", "presence_diff"]
    timestamp: float
    count: int
    member: Member | None = None
    members: list[Member] | None = None
    joined: list[Member] | None = None
    left: list[Member] | None = None
    complete: bool | None = None


class Gap(_Server, frozen=True, kw_only=True, tag="gap"):
    """You did not get ``from_offset..to_offset``, and get no more of the room until you subscribe with ``since``."""

    room_id: str
    epoch: str
    from_offset: int
    to_offset: int
    reason: str


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who published a room message; absent if a server-side program did."""

    user_id: int
    username: str


class RoomMessage(_Server, frozen=True, kw_only=True, tag="room_message"):
    """A room's message when no feature gave it a type of its own. Volatile ones have neither epoch nor offset."""

    room_id: str
    timestamp: float
    data: msgspec.Raw
    epoch: str | None = None
    offset: int | None = None
    sender: Sender | None = None


ServerMessage = (
    Connection
    | Pong
    | Heartbeat
    | Reply
    | Error
    | Subscribed
    | Unsubscribed
    | RoomEvent
    | Gap
    | RoomMessage
)  # fmt: skip


# ---- client to server ------------------------------------------------------------------------------------------------


class _Client(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client sends. Unknown fields are ignored."""

    id: MessageId | None = None


class Since(msgspec.Struct, frozen=True):
    """The last message of the room that the client has."""

    epoch: Epoch
    offset: Offset


class Ping(_Client, frozen=True, kw_only=True, tag="ping"):
    """Sign of life; ``last_sequence`` is the newest the client has seen."""

    last_sequence: Offset | None = None


class Subscribe(_Client, frozen=True, kw_only=True, tag="subscribe"):
    """Enter a room, resuming after ``since`` if given."""

    room_id: RoomId
    since: Since | None = None
    presence: bool = False


class Unsubscribe(_Client, frozen=True, kw_only=True, tag="unsubscribe"):
    """Leave a room."""

    room_id: RoomId


class Publish(_Client, frozen=True, kw_only=True, tag="publish"):
    """Send ``data`` (any JSON) to a room; ``volatile`` ones may be dropped and are not kept.

    Attributes:
        op_id: The client's own name for it: sent again with the same one, it is published once.
    """

    room_id: RoomId
    data: msgspec.Raw
    volatile: bool = False
    op_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)] | None = None


class Authenticate(_Client, frozen=True, kw_only=True, tag="authenticate"):
    """Say who you are, as the first message."""

    token: Token


class AuthRefresh(_Client, frozen=True, kw_only=True, tag="auth_refresh"):
    """Extend the session in place with a new token of the same user."""

    token: Token


ClientMessage = Ping | Subscribe | Unsubscribe | Publish | Authenticate | AuthRefresh

CLIENT_TYPES: tuple[type[_Client], ...] = (Ping, Subscribe, Unsubscribe, Publish, Authenticate, AuthRefresh)


class ClientHead(msgspec.Struct, frozen=True):
    """What is read of every client message first: whose handler it is, and how to answer."""

    type: str
    id: MessageId | None = None


# ---- bytes -----------------------------------------------------------------------------------------------------------

# One encoder for the process: it holds no state between calls.
_ENCODER = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """Return the message as JSON without ``sequence``: what a room or outbox holds, shared by all receivers."""
    return _ENCODER.encode(message)


def room_message(
    kind: str, room_id: str, body: bytes, *, timestamp: float, epoch: str | None = None, offset: int | None = None
) -> bytes:
    """Return a room's message: the envelope, then the members of ``body``.

    Args:
        kind: Type on the wire; the feature's own or ``room_message``.
        body: A non-empty JSON object without the envelope's keys, e.g. ``{"data":{...}}``; see ``data_body``.
        epoch, offset: Both, or neither for a volatile message.
    """
    place = b"" if offset is None else b'"epoch":%b,"offset":%d,' % (_ENCODER.encode(epoch), offset)
    return b'{"type":%b,"room_id":%b,%b"timestamp":%b,%b' % (
        _ENCODER.encode(kind),
        _ENCODER.encode(room_id),
        place,
        _ENCODER.encode(timestamp),
        body[1:],
    )


def data_body(data: bytes, sender: Sender | None = None) -> bytes:
    """Return the members ``data`` (encoded JSON, any kind) and, if known, ``sender``."""
    if sender is None:
        return b'{"data":%b}' % data
    return b'{"sender":%b,"data":%b}' % (_ENCODER.encode(sender), data)


def plain_head(sequence: int) -> bytes:
    """Return what stands before ``encoded[1:]`` in a plain frame."""
    return b'{"sequence":%d,' % sequence


def plain_text(sequence: int, encoded: bytes) -> bytes:
    """Return the text of one frame of ``tidewire.v1``."""
    return plain_head(sequence) + encoded[1:]


def batch_head(first_sequence: int) -> bytes:
    """Return line 1 of a batch frame, with its line end."""
    return b"%d\n" % first_sequence


def batch_text(first_sequence: int, encoded: Sequence[bytes]) -> bytes:
    """Return the text of one frame of ``tidewire.v1.batch``: the sequence of the first message, then one a line."""
    return batch_head(first_sequence) + b"\n".join(encoded)


def is_temporary(error: TidewireError) -> bool:
    """Whether the same request may succeed later; the fault is then not in the request."""
    return error.temporary if isinstance(error, RequestError) else isinstance(error, StoreError | BusError)


def error_body(error: TidewireError) -> ErrorBody:
    """Return the error object of an error. Foreign details never enter it."""
    request = error if isinstance(error, RequestError) else None
    return ErrorBody(
        code=error.code,
        message=error.message,
        required_action=error.required_action,
        will_not=error.will_not,
        temporary=is_temporary(error),
        retry_after_ms=request.retry_after_ms if request is not None else None,
        details=dict(request.details) if request is not None and request.details else msgspec.UNSET,
    )
