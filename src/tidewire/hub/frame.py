"""Server-to-client WebSocket text frames as bytes, so that many can leave in one write. Pure.

It must not know what is in them. Frames to a client are never masked and here never fragmented.
Source: RFC 6455 section 5.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

# Room in front of a payload for the longest frame header (10 bytes; 14 with a mask, which picows asks for) and for the
# longest head: {"sequence":9007199254740991, is 29 bytes.
HEADROOM_BYTES = 48

_TEXT_FINAL = 0x81


def text_header(payload_bytes: int) -> bytes:
    """Return the header of an unfragmented text frame with ``payload_bytes`` bytes of UTF-8."""
    if payload_bytes < 126:
        return bytes((_TEXT_FINAL, payload_bytes))
    if payload_bytes < 65_536:
        return struct.pack(">BBH", _TEXT_FINAL, 126, payload_bytes)
    return struct.pack(">BBQ", _TEXT_FINAL, 127, payload_bytes)


def with_headroom(payload: bytes) -> bytearray:
    """Return a buffer that ends with ``payload``, with ``HEADROOM_BYTES`` of space before it."""
    return bytearray(HEADROOM_BYTES) + payload


def text_frames(payloads: Iterable[bytes]) -> bytes:
    """Return one text frame per payload, joined."""
    parts: list[bytes] = []
    for payload in payloads:
        parts.append(text_header(len(payload)))
        parts.append(payload)
    return b"".join(parts)


def payloads_of(frames: bytes) -> list[bytes]:
    """Return the payloads of joined frames, as ``text_frames`` makes them."""
    payloads: list[bytes] = []
    at = 0
    while at < len(frames):
        size, head = frames[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(frames[at + 2 : at + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(frames[at + 2 : at + 10], "big"), 10
        payloads.append(frames[at + head : at + head + size])
        at += head + size
    return payloads
