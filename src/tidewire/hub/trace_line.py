"""One line of a trace: a frame as it was, without what is secret. Pure.

A frame that says who somebody is, or that has a member whose name sounds secret, is written anew without it; one that
is no JSON is shown only if no such name is in it. It must not know connections or who looks.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from tidewire.core.telemetry import MASK

Direction = Literal["in", "out", "control"]
# A longer frame is cut: a trace is for people, and bounded.
TEXT_MAX_CHARS = 16_384
# Deeper than any message of ours; what lies deeper is not shown.
_DEPTH_MAX = 32
# What a frame has of money; for who looks without the permission to see it (contract.md section 6).
PREMIUM = re.compile(r"premium", re.IGNORECASE)
# Members that hold what a field, named beside them, contains.
_VALUES = frozenset({"value", "before", "after", "current"})
_SECRET = re.compile(r"passw|secret|token|api_?key|authorization|cookie|credential|bearer", re.IGNORECASE)
# What looks like a token wherever it stands: three dotted parts of base64url (RFC 7519 section 3), our own ones.
_TOKEN_LIKE = re.compile(r"\b[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\b|\btw[ck]_[A-Za-z0-9_.-]{8,}")


class TraceLine(msgspec.Struct, frozen=True, kw_only=True, tag="frame", tag_field="type"):
    """A frame.

    Attributes:
        at: Unix seconds.
        direction: From the client's server: ``in`` came from the client.
        bytes: Its length as it was.
        text: The payload; of a control frame what it is.
        cut: The text is only the beginning.
        redacted: Something secret has been taken out of it, so that it is not byte for byte what was sent.
        connection_id: Whose frame it is; empty if it is a room's message, which each member gets with a sequence.
    """

    at: float
    direction: Direction
    bytes: int
    text: str
    cut: bool = False
    redacted: bool = False
    connection_id: str = ""


def trace_line(
    direction: Direction, payload: bytes, at: float, connection_id: str = "", *, hide: re.Pattern[str] | None = None
) -> TraceLine:
    """Return a frame's line. ``hide``: members of these names are left out, too."""
    text, redacted = without_secrets(payload.decode("utf-8", "replace"), hide)
    cut = len(text) > TEXT_MAX_CHARS
    shown = text[:TEXT_MAX_CHARS]
    return TraceLine(
        at=at,
        direction=direction,
        bytes=len(payload),
        text=shown,
        cut=cut,
        redacted=redacted,
        connection_id=connection_id,
    )


def without_secrets(text: str, hide: re.Pattern[str] | None = None) -> tuple[str, bool]:
    """Return the text of a frame without secrets (and without what is to be hidden), and whether there was one."""
    if not _suspicious(text, hide):
        return text, False
    # The batch subprotocol has a number on the first line and an object on each other one.
    lines = [_line(line, hide) for line in text.split("\n")]
    return "\n".join(line for line, _ in lines), any(redacted for _, redacted in lines)


def _suspicious(text: str, hide: re.Pattern[str] | None) -> bool:
    hidden = hide is not None and hide.search(text) is not None
    return hidden or _SECRET.search(text) is not None or _TOKEN_LIKE.search(text) is not None


def _line(line: str, hide: re.Pattern[str] | None) -> tuple[str, bool]:
    if not _suspicious(line, hide):
        return line, False
    try:
        found = msgspec.json.decode(line.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return MASK, True
    clean = _clean(found, hide, 0)
    return (line, False) if clean == found else (msgspec.json.encode(clean).decode(), True)


def _clean(value: Any, hide: re.Pattern[str] | None, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        return MASK
    if isinstance(value, dict):
        # Of what belongs to somebody else nothing is shown, numbers neither; a field's name may be its value.
        named = hide is not None and any(isinstance(each, str) and hide.search(each) for each in value.values())
        return {
            key: MASK
            if _hides(key, each) or (hide is not None and hide.search(key)) or (named and key in _VALUES)
            else _clean(each, hide, depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_clean(each, hide, depth + 1) for each in value]
    if isinstance(value, str):
        return _TOKEN_LIKE.sub(MASK, value)
    return value


def _hides(key: str, value: Any) -> bool:
    """Whether a member is secret: by its name, unless it is a time, a number or nothing (``token_expires_at``)."""
    return bool(_SECRET.search(key)) and not (value is None or isinstance(value, bool | int | float))
