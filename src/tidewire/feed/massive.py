"""The Massive codec: bytes of one upstream frame in, events and statuses out. Pure; it knows no socket and no clock.

A whole frame of typical events is decoded and validated in one msgspec call. Only if that fails, each element is
decoded on its own: one malformed event costs one event, is named with a reason, and leaves a sample.
Numbers are read leniently (an int as a float, a whole float as an int, numeric strings); unknown fields are ignored.
Times become Unix milliseconds, whatever their unit was. Source: feed-protocol.md 1.2, 1.3, 1.6.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidewire.core.unreadable import UNREADABLE
from tidewire.feed.frame_split import split_elements

# 2000-01-01 and 2100-01-01, UTC: a time outside is a broken clock or a wrong unit, not a market.
MIN_TIME_MS: Final = 946_684_800_000
MAX_TIME_MS: Final = 4_102_444_800_000
# No share has cost a thousandth of this; above it a price is a decoding accident.
MAX_PRICE: Final = 1e9
# The Go client of the vendor allows 1 MB; four times that leaves room for a burst at the open.
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
# Samples are for people to look at.
SAMPLE_BYTES: Final = 200
# Rejecting costs microseconds each; a 4 MiB frame of rubbish must not stall the loop for seconds.
MAX_REJECTS: Final = 1_000

Symbol = Annotated[str, Meta(min_length=1, max_length=32)]
Price = Annotated[float, Meta(gt=0, le=MAX_PRICE)]
Size = Annotated[float, Meta(ge=0, le=1e15)]
Millis = Annotated[float, Meta(ge=MIN_TIME_MS, le=MAX_TIME_MS)]


class Trade(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="T"):
    """A trade. ``s`` shares, ``ds`` fractional shares, ``t`` ms, ``q`` rises per symbol and day (0: unknown)."""

    sym: Symbol
    p: Price
    t: Millis
    s: Size = 0.0
    ds: Size | None = None
    q: int = 0


class SecondBar(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="A"):
    """One second of trades; ``s`` and ``e`` are its start and end, ms. The venue may send it again."""

    sym: Symbol
    c: Price
    s: Millis
    e: Millis
    o: Price | None = None
    h: Price | None = None
    l: Price | None = None  # noqa: E741  the wire's own name
    v: Size = 0.0
    dv: Size | None = None


class MinuteBar(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="AM"):
    """One minute of trades; fields as SecondBar."""

    sym: Symbol
    c: Price
    s: Millis
    e: Millis
    o: Price | None = None
    h: Price | None = None
    l: Price | None = None  # noqa: E741
    v: Size = 0.0
    dv: Size | None = None


class Quote(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="Q"):
    """Best bid and offer; ``bs`` and ``as`` in round lots, ``t`` ms. A missing side is None or 0."""

    sym: Symbol
    t: Millis
    bp: Size | None = None
    bs: Size | None = None
    ap: Size | None = None
    as_: Size | None = msgspec.field(default=None, name="as")
    q: int = 0


class Band(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="LULD"):
    """Limit up, limit down. The wire calls the symbol ``T`` and sends nanoseconds; here ``t`` is ms."""

    sym: Symbol = msgspec.field(name="T")
    t: Millis
    h: Price | None = None
    l: Price | None = None  # noqa: E741
    q: int = 0


class FairValue(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="FMV"):
    """The venue's fair market value; ``t`` ms (the wire's unit is not settled)."""

    sym: Symbol
    fmv: Price
    t: Millis


class Status(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="status"):
    """A word of the protocol: ``connected``, ``auth_success``, ``success``, ``error``, ``max_connections``, ..."""

    status: str
    message: str = ""


Event = Trade | SecondBar | MinuteBar | Quote | Band | FairValue


class Reject(msgspec.Struct, frozen=True):
    """An element, or a whole frame, that was not understood.

    Attributes:
        reason: ``not_json``, ``not_array``, ``oversized``, ``too_deep``, ``not_object``, ``no_ev``, ``not_finite``,
            ``bad_field``, ``bad_symbol``, ``absurd_price``, ``absurd_size``, ``absurd_time`` or ``too_many_rejects``.
        detail: What was wrong, one sentence.
        sample: Its first 200 bytes as text.
    """

    reason: str
    detail: str
    sample: str


class Decoded(msgspec.Struct, frozen=True):
    """One frame: events and statuses in wire order, what was rejected, and ``ev`` words that are not known."""

    events: list[Event]
    statuses: list[Status] = []
    rejects: list[Reject] = []
    unknown: list[str] = []


_FRAME = msgspec.json.Decoder(list[Trade | SecondBar | MinuteBar | Quote], strict=False)
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_KINDS: Final[dict[str, type[Event | Status]]] = {
    "T": Trade,
    "A": SecondBar,
    "AM": MinuteBar,
    "Q": Quote,
    "LULD": Band,
    "FMV": FairValue,
    "status": Status,
}
_TIME_FIELDS: Final = {"T": ("t",), "Q": ("t",), "A": ("s", "e"), "AM": ("s", "e"), "LULD": ("t",), "FMV": ("t",)}
_PRICE_FIELDS: Final = frozenset({"p", "c", "o", "h", "l", "fmv", "bp", "ap"})
_FIELD = re.compile(r"at `\$\.(\w+)`")
_NOT_FINITE = re.compile(rb"[:\[,]\s*-?(?:NaN|Infinity)\b")


def decode_frame(frame: bytes, *, max_bytes: int = MAX_FRAME_BYTES) -> Decoded:
    """Decode one frame. Never raises, whatever the bytes.

    Args:
        frame: Payload of one WebSocket message.
        max_bytes: Longer frames are rejected unread.
    """
    if len(frame) > max_bytes:
        return _rejected(frame, "oversized", f"The frame has {len(frame)} bytes; at most {max_bytes} are read.")
    try:
        return Decoded(_FRAME.decode(frame))  # type: ignore[arg-type]  # list is invariant; these are Events
    except UNREADABLE:
        return _decode_slowly(frame)


def time_ms(value: float) -> float:
    """Return ``value`` as Unix milliseconds, guessing its unit from its size: ms, us or ns. Others stay as they are."""
    # An integer beyond any unit may be too large to be divided.
    if MIN_TIME_MS * 1_000_000 <= value <= MAX_TIME_MS * 1_000_000:
        return value / 1_000_000
    if value >= MIN_TIME_MS * 1_000 and value <= MAX_TIME_MS * 1_000:
        return value / 1_000
    return value


def decode_element(text: bytes) -> Event | Status | Reject | str:
    """Decode one element of a frame: the event or status, why not, or the ``ev`` word that is not known."""
    try:
        fields = msgspec.json.decode(text)
    except UNREADABLE as error:
        return _unreadable(text, error)
    if not isinstance(fields, dict):
        return _reject("not_object", "The element is not a JSON object.", text)
    kind = fields.get("ev")
    if not isinstance(kind, str):
        return _reject("no_ev", "The element has no `ev` that names its type.", text)
    if kind not in _KINDS:
        return kind[:32]
    for name in _TIME_FIELDS.get(kind, ()):
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            fields[name] = time_ms(value)
    try:
        return msgspec.convert(fields, _KINDS[kind], strict=False)
    except msgspec.ValidationError as error:
        return _reject(_reason(kind, str(error)), str(error), text)


def split_frame(frame: bytes) -> list[bytes]:
    """Return the elements of a frame as texts: exactly if it is a JSON array, else as well as can be told apart."""
    try:
        return [bytes(element) for element in _ELEMENTS.decode(frame)]
    except UNREADABLE:
        return list(split_elements(frame)) if frame.lstrip()[:1] == b"[" else [frame]


def _decode_slowly(frame: bytes) -> Decoded:
    if frame.lstrip()[:1] != b"[":
        return _not_an_array(frame)
    try:
        elements = [bytes(element) for element in _ELEMENTS.decode(frame)]
        well_formed = True
    except UNREADABLE:
        elements = list(split_elements(frame))
        well_formed = False
    decoded = Decoded([], [], [], [])
    for position, text in enumerate(elements):
        outcome = decode_element(text)
        if isinstance(outcome, Reject):
            decoded.rejects.append(outcome)
            if len(decoded.rejects) >= MAX_REJECTS:
                rest = len(elements) - position - 1
                decoded.rejects.append(_reject("too_many_rejects", f"{rest} more elements were not read.", frame))
                break
        elif isinstance(outcome, str):
            decoded.unknown.append(outcome)
        elif isinstance(outcome, Status):
            decoded.statuses.append(outcome)
        else:
            decoded.events.append(outcome)
    if not well_formed and not decoded.rejects:
        decoded.rejects.append(_reject("not_json", "The frame is cut off or garbled around its elements.", frame))
    return decoded


def _not_an_array(frame: bytes) -> Decoded:
    try:
        msgspec.json.decode(frame)
    except UNREADABLE as error:
        return Decoded([], [], [_unreadable(frame, error)], [])
    return _rejected(frame, "not_array", "The frame is JSON, but not an array of events.")


def _unreadable(text: bytes, error: Exception) -> Reject:
    if isinstance(error, RecursionError):
        return _reject("too_deep", "The element is nested too deeply.", text)
    if _NOT_FINITE.search(text):
        return _reject("not_finite", "NaN and Infinity are not numbers in JSON.", text)
    if "out of range" in str(error):
        return _reject("not_finite", "A number is too large to be represented.", text)
    return _reject("not_json", f"Not valid JSON: {error}", text)


def _reason(kind: str, complaint: str) -> str:
    """Name what msgspec complained about, from the field it points at and whether it was a bound or a type."""
    found = _FIELD.search(complaint)
    name = found.group(1) if found else ""
    if name in {"sym", "T"} or "required field `sym`" in complaint or "required field `T`" in complaint:
        return "bad_symbol"
    if not found or not re.match(r"Expected `(?:float|int)(?: \| null)?` [<>]", complaint):
        return "bad_field"
    if name in _TIME_FIELDS.get(kind, ()):
        return "absurd_time"
    return "absurd_price" if name in _PRICE_FIELDS else "absurd_size"


def _rejected(frame: bytes, reason: str, detail: str) -> Decoded:
    return Decoded([], [], [_reject(reason, detail, frame)], [])


def _reject(reason: str, detail: str, text: bytes) -> Reject:
    return Reject(reason, detail[:SAMPLE_BYTES], text[:SAMPLE_BYTES].decode("utf-8", "replace"))
