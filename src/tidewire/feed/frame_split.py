"""Cuts a frame that should be a JSON array into its elements, even if it is not valid JSON. Pure.

It must not know what the elements mean, only that upstream events begin with ``{"ev":``, where it can find its
footing again after garbage. It runs only when the one-call decoding of the whole frame has failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# An unterminated string matches up to the end, so that the scan stays linear on hostile input.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_EVENT_START = re.compile(rb'\{\s*+"ev"\s*+:')


def split_elements(frame: bytes) -> Iterator[bytes]:
    """Yield the elements of the array ``frame``, in order, each as its own text, possibly malformed.

    Whatever stands between two event starts cannot spoil what comes after: an unbalanced brace or quote costs
    only the element it is in.

    Args:
        frame: Text of one upstream frame; its first non-blank byte is ``[``.
    """
    body_start = frame.index(b"[") + 1
    cuts = [match.start() for match in _EVENT_START.finditer(frame, body_start)]
    start = body_start
    for end in (*cuts, len(frame)):
        yield from _split_chunk(frame[start:end])
        start = end


def _split_chunk(chunk: bytes) -> Iterator[bytes]:
    """Yield the comma-separated pieces of ``chunk``; a closing bracket of the surrounding array ends a piece too."""
    depth = 0
    start = 0
    for match in _TOKEN.finditer(chunk):
        token = chunk[match.start()]
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            if depth > 0:
                depth -= 1
                continue
            yield from _piece(chunk[start : match.start()])
            start = match.end()
        elif token == 0x2C and depth == 0:
            yield from _piece(chunk[start : match.start()])
            start = match.end()
    yield from _piece(chunk[start:])


def _piece(text: bytes) -> Iterator[bytes]:
    piece = text.strip()
    if piece:
        yield piece
