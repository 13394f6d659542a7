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
    """

    at: float
    direction: Direction
    bytes: int
    text: str
    cut: bool = False
    redacted: bool = False


def trace_line(direction: Direction, payload: bytes, at: float) -> TraceLine:
    """Return a frame's line."""
    text, redacted = without_secrets(payload.decode("utf-8", "replace"))
    cut = len(text) > TEXT_MAX_CHARS
    shown = text[:TEXT_MAX_CHARS]
    return TraceLine(at=at, direction=direction, bytes=len(payload), text=shown, cut=cut, redacted=redacted)


def without_secrets(text: str) -> tuple[str, bool]:
    """Return the text of a frame without secrets, and whether there was one."""
    if not _SECRET.search(text) and not _TOKEN_LIKE.search(text):
        return text, False
    # The batch subprotocol has a number on the first line and an object on each other one.
    lines = [_line(line) for line in text.split("\n")]
    return "\n".join(line for line, _ in lines), any(redacted for _, redacted in lines)


def _line(line: str) -> tuple[str, bool]:
    if not _SECRET.search(line) and not _TOKEN_LIKE.search(line):
        return line, False
    try:
        found = msgspec.json.decode(line.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return MASK, True
    clean = _clean(found, 0)
    return (line, False) if clean == found else (msgspec.json.encode(clean).decode(), True)


def _clean(value: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        return MASK
    if isinstance(value, dict):
        return {key: MASK if _hides(key, each) else _clean(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each, depth + 1) for each in value]
    if isinstance(value, str):
        return _TOKEN_LIKE.sub(MASK, value)
    return value


def _hides(key: str, value: Any) -> bool:
    """Whether a member is secret: by its name, unless it is a time, a number or nothing (``token_expires_at``)."""
    return bool(_SECRET.search(key)) and not (value is None or isinstance(value, bool | int | float))
