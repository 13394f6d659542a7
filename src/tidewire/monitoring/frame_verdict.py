"""Reads one frame as the contract has it: which messages it holds, and whether each fits its shape. Pure.

A frame that was altered before it was shown (secrets taken out, or cut) is judged as far as that goes, and says so.
It must not know where frames come from or who looks. Source: contract.md section 5; dashboard.md M10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from tidewire.core.telemetry import MASK

# What became of the reading: it fits; it is no JSON or not in the contract; it cannot be told from what is shown.
Fit = Literal["fits", "unknown_type", "broken", "no_json", "altered", "control"]


class ReadMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a frame.

    Attributes:
        type: Its type on the wire, "" if it has none.
        struct: What the contract calls it, "" if it does not know it.
        problem: What does not fit, in words; "" if it fits.
        decoded: The JSON as it is, indented; "" if it is none.
    """

    type: str
    struct: str
    fit: Fit
    problem: str
    decoded: str


class ReadFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame. ``batch``: in the subprotocol that has several messages in one; ``sequence``: of its first message."""

    batch: bool
    sequence: int | None
    messages: list[ReadMessage]


class FrameReader:
    """See the module's text.

    Args:
        client, server: The types that clients and the server send.
    """

    def __init__(self, client: Iterable[type[msgspec.Struct]], server: Iterable[type[msgspec.Struct]]) -> None:
        self._types = {"in": _by_tag(client), "out": _by_tag(server)}

    def read(self, direction: Literal["in", "out", "control"], text: str, *, cut: bool, redacted: bool) -> ReadFrame:
        """Read a frame; ``cut`` and ``redacted`` as its line of the trace says."""
        if direction == "control":
            message = ReadMessage(type="", struct="", fit="control", problem="", decoded=text)
            return ReadFrame(batch=False, sequence=None, messages=[message])
        head, _, rest = text.partition("\n")
        batch = direction == "out" and head.isascii() and head.isdecimal() and len(head) <= 20 and bool(rest)
        parts = rest.split("\n") if batch else [text]
        types = self._types[direction]
        last = len(parts) - 1
        messages = [_read(types, part, cut=cut and n == last, redacted=redacted) for n, part in enumerate(parts)]
        return ReadFrame(batch=batch, sequence=int(head) if batch else _sequence(text, direction), messages=messages)


def _by_tag(types: Iterable[type[msgspec.Struct]]) -> dict[str, type[msgspec.Struct]]:
    return {str(each.__struct_config__.tag): each for each in types}


def _read(types: Mapping[str, type[msgspec.Struct]], text: str, *, cut: bool, redacted: bool) -> ReadMessage:
    try:
        found = msgspec.json.decode(text.encode())
        decoded = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as exc:
        fit: Fit = "altered" if cut or text == MASK else "no_json"
        return ReadMessage(type="", struct="", fit=fit, problem=str(exc)[:200], decoded="")
    kind = found.get("type") if isinstance(found, dict) else None
    name = kind if isinstance(kind, str) else ""
    wanted = types.get(name)
    if wanted is None:
        return ReadMessage(type=name[:64], struct="", fit="unknown_type", problem="", decoded=decoded)
    fit, problem = _fit(text, wanted, redacted=redacted)
    return ReadMessage(type=name, struct=wanted.__name__, fit=fit, problem=problem, decoded=decoded)


def _fit(text: str, wanted: type[msgspec.Struct], *, redacted: bool) -> tuple[Fit, str]:
    try:
        msgspec.json.decode(text.encode(), type=wanted)
    except (msgspec.DecodeError, RecursionError) as exc:
        # A member that was hidden is a word now, whatever it was.
        return ("altered" if redacted else "broken"), str(exc)[:200]
    return "fits", ""


def _sequence(text: str, direction: str) -> int | None:
    try:
        found: Any = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    sequence = found.get("sequence") if direction == "out" and isinstance(found, dict) else None
    return sequence if isinstance(sequence, int) else None
