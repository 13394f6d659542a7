"""Client messages: from bytes to a checked struct, to its handler, to exactly one answer.

Features add their own message types to the table when the hub is made. It must not know sockets or what features mean.
Source: contract.md section 5 ("an unknown type, a missing field or bad JSON gets an explicit error, never a guess").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tidewire.core import protocol
from tidewire.core.errors import InvalidRequest, TidewireError
from tidewire.core.protocol import MAX_DEPTH, ClientHead, MessageId
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.session import Session

# What a handler returns is the reply's ``data`` (encoded JSON object), b"" for none; awaitables are awaited.
Answer = bytes | Awaitable[bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """One client message type.

    Attributes:
        message: Its struct; the tag is the type on the wire.
        handle: Does it, or raises RequestError. Called with the session and the decoded message.
    """

    message: type[msgspec.Struct]
    handle: Callable[[Session, Any], Answer]


@dataclass(frozen=True, slots=True)
class Request:
    """A client message as far as it could be understood."""

    kind: str | None
    id: MessageId | None
    command: Command | None
    message: msgspec.Struct | None
    error: TidewireError | None


_HEAD = msgspec.json.Decoder(ClientHead)
_ANY = msgspec.json.Decoder()
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_WILL_NOT = "Tidewire will not guess what was meant."
_SEE = "Send the message as docs/protocol.md describes it."


class Commands:
    """The table of client messages."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._table: dict[str, tuple[Command, msgspec.json.Decoder[Any]]] = {}
        for command in commands:
            self.add(command)

    def add(self, command: Command) -> None:
        """Understand one more. Raises ValueError if another one has its name."""
        kind = str(command.message.__struct_config__.tag)
        if kind in self._table:
            raise ValueError(f"two commands are called {kind}")
        self._table[kind] = (command, msgspec.json.Decoder(command.message))

    def read(self, payload: bytes) -> Request:
        """Understand one client message; never raises."""
        # Fewer brackets than levels allowed is what nearly every message has.
        if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH and depth(payload) > MAX_DEPTH:
            return Request(None, None, None, None, _bad(f"The JSON is nested more than {MAX_DEPTH} deep."))
        try:
            head = _HEAD.decode(payload)
        except UNREADABLE as exc:
            return Request(_kind_of(payload), None, None, None, _bad(_sentence(exc)))
        known = self._table.get(head.type)
        if known is None:
            return Request(head.type[:64], head.id, None, None, _unknown(head.type, self._table))
        command, decoder = known
        try:
            message = decoder.decode(payload)
        except UNREADABLE as exc:
            return Request(head.type, head.id, command, None, _bad(_sentence(exc)))
        return Request(head.type, head.id, command, message, None)


def depth(payload: bytes, enough: int = MAX_DEPTH + 1) -> int:
    """Return how deep the JSON is nested, or ``enough`` if it is at least that deep.

    Only whole-buffer operations: 64 KiB of brackets must not cost more than a millisecond; anybody may send them.
    """
    bare = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every second piece is inside a string; brackets there do not count.
    brackets = b"".join(bare.split(b'"')[::2]).translate(_ONE_KIND, _NOT_BRACKETS)
    deepest = 0
    while b"[" in brackets and deepest < enough:
        closed = brackets.replace(b"[]", b"")
        if closed == brackets:
            # Unbalanced: the parser will say so; how deep it would have been is the brackets that stay open.
            return min(enough, deepest + brackets.count(b"["))
        brackets = closed
        deepest += 1
    return deepest


def normal_json(raw: msgspec.Raw) -> bytes:
    """Return client JSON in one normal form, so that no receiver's parser meets what only another one takes.

    Raises:
        InvalidRequest: Duplicate-free, finite, well-formed Unicode cannot be made of it.
    """
    try:
        return msgspec.json.encode(_ANY.decode(raw))
    except (msgspec.DecodeError, msgspec.EncodeError, UnicodeError, RecursionError, OverflowError) as exc:
        raise _bad(f"data: {_sentence(exc)}") from exc


def answer(request_id: MessageId | None, kind: str | None, error: TidewireError | None, data: bytes) -> bytes | None:
    """Return the message that answers a client message, or None if there is nothing to say."""
    if request_id is not None:
        body = protocol.error_body(error) if error is not None else None
        raw = msgspec.Raw(data) if data else protocol.NOTHING
        return protocol.encode(protocol.Reply(id=request_id, ok=error is None, error=body, data=raw))
    if error is None:
        return None
    body = protocol.error_body(error)
    return protocol.encode(
        protocol.Error(
            code=body.code,
            message=body.message,
            required_action=body.required_action,
            will_not=body.will_not,
            temporary=body.temporary,
            retry_after_ms=body.retry_after_ms,
            about=kind,
            details=body.details,
        )
    )


def _kind_of(payload: bytes) -> str | None:
    """The type of a message whose head is wrong elsewhere, if it can be read at all."""
    try:
        whole = _ANY.decode(payload)
    except UNREADABLE:
        return None
    kind = whole.get("type") if isinstance(whole, dict) else None
    return kind[:64] if isinstance(kind, str) else None


def _sentence(error: Exception) -> str:
    # msgspec quotes the path and the types, never the value; 200 characters are enough for any path of ours.
    return str(error)[:200] or type(error).__name__


def _bad(message: str) -> InvalidRequest:
    return InvalidRequest(message, required_action=_SEE, will_not=_WILL_NOT)


def _unknown(kind: str, table: Mapping[str, object]) -> InvalidRequest:
    return InvalidRequest(
        f"There is no message of type {kind[:64]!r}.",
        required_action=f"Use one of: {', '.join(sorted(table))}.",
        will_not=_WILL_NOT,
        code="unknown_type",
    )
