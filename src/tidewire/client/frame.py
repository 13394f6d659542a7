"""Frames of both subprotocols as numbered messages, and client messages as bytes. Pure.

It must not know what a message means. Whatever is not the protocol raises ``FrameFault``; nothing is guessed.
Source: docs/protocol.md, "Subprotocols and sequence".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from tidewire.client.event import Failure, Json
from tidewire.core import protocol
from tidewire.core.protocol import MAX_DEPTH
from tidewire.core.unreadable import UNREADABLE

Message = TypeVar("Message", bound=msgspec.Struct)

# 2**53 - 1 has 16; Python refuses to read numbers of thousands of digits with an error of its own.
MAX_SEQUENCE_DIGITS = 16

_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


class FrameFault(Exception):
    """The server sent what is not the protocol; ``str()`` is the reason for the close frame."""


def read_frame(text: str | bytes, *, batch: bool) -> Iterator[tuple[int, dict[str, Json]]]:
    """Yield each message of a frame with its sequence. Raises FrameFault."""
    if not batch:
        message = _object(text)
        sequence = message.pop("sequence", None)
        if not isinstance(sequence, int) or isinstance(sequence, bool):
            raise FrameFault("no_sequence")
        yield sequence, message
        return
    data = text.encode() if isinstance(text, str) else text
    head, _, rest = data.partition(b"\n")
    if not head.isdigit() or len(head) > MAX_SEQUENCE_DIGITS or not rest:
        raise FrameFault("no_sequence")
    for sequence, line in enumerate(rest.split(b"\n"), int(head)):
        yield sequence, _object(line)


def read(body: Mapping[str, Json], kind: type[Message]) -> Message:
    """Return a control message as its struct. Raises FrameFault."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as exc:
        raise FrameFault("bad_message") from exc


def read_reply(body: Mapping[str, Json]) -> tuple[int | None, Json, Failure | None]:
    """Return the id (None if it is not one of ours), the data and the failure of a reply. Raises FrameFault."""
    reply = read({name: value for name, value in body.items() if name != "data"}, protocol.Reply)
    message_id = reply.id if isinstance(reply.id, int) else None
    error = reply.error
    if reply.ok:
        return message_id, body.get("data"), None
    if error is None:
        raise FrameFault("bad_message")
    failure = Failure(
        error.code,
        error.message,
        error.required_action,
        error.will_not,
        error.temporary,
        error.retry_after_ms,
        error.details,
    )
    return message_id, None, failure


def write(message: Mapping[str, Json]) -> bytes:
    """Return a client message as JSON. Raises ValueError or TypeError if it cannot be JSON."""
    try:
        return _ENCODER.encode(message)
    except (msgspec.EncodeError, OverflowError, RecursionError) as exc:
        raise ValueError("this is not JSON") from exc


def too_deep(value: Json, levels: int = MAX_DEPTH) -> bool:
    """Whether ``value`` is nested more than ``levels`` deep."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    if children is None:
        return False
    return levels == 0 or any(too_deep(child, levels - 1) for child in children)


def _object(text: str | bytes) -> dict[str, Json]:
    try:
        value = _ANY.decode(text)
    except UNREADABLE as exc:
        raise FrameFault("not_json") from exc
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise FrameFault("no_type")
    return value
