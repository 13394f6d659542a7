"""What every room log is: an ordered, bounded memory of a room's messages that several nodes share. Pure.

``append`` gives a message its place (epoch and offset), keeps it, and announces it on the room's channel of the bus;
``read`` says what came after a place, or that it cannot. Within one epoch offsets rise by one, and one place never
holds two messages; when that can no longer be promised, the epoch changes. It must not know what payloads mean.
Source: contract.md section 5 (``subscribe`` with ``since``); reliability.md 1, finding 6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from tidewire.bus.base import BusState, ShardStatus, Watch

# How an announced message begins on the room's channel; everything else there is somebody else's.
PLACED = b"="


class Place(msgspec.Struct, frozen=True):
    """Where a message stands. Offset 0: before the first one of the epoch."""

    epoch: str
    offset: int


class Bounds(msgspec.Struct, frozen=True):
    """What a room's log keeps, whichever is reached first."""

    messages: int
    age_s: float
    bytes: int


class Entry(msgspec.Struct, frozen=True):
    """One kept message. ``age_s``: how long ago it was appended; 0 if it comes from the channel."""

    place: Place
    payload: bytes
    age_s: float = 0.0


class Reading(msgspec.Struct, frozen=True):
    """The answer to ``read``.

    Attributes:
        newest: The room's place now.
        entries: Without ``lost`` everything after the place that was asked for; with it, everything that is kept.
        lost: Why that is not all of it: ``epoch_changed`` or ``history_trimmed``; None if it is.
    """

    newest: Place
    entries: Sequence[Entry]
    lost: Literal["epoch_changed", "history_trimmed"] | None = None


class Appended(msgspec.Struct, frozen=True):
    """The answer to ``append``; ``repeated``: the same idempotency key was appended before, here is its place."""

    place: Place
    repeated: bool = False


class LogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the log is now.

    Attributes:
        state: ``up``, or ``down`` with ``reason``; ``degraded`` while only some shards of several are down.
        circuit: ``closed`` (in use), ``open`` (refusing at once), ``half_open`` (trying).
        since: When this state began, Unix seconds.
        durable: Whether the broker promises to keep what it confirmed across a kill (see docs/operations.md).
        calls, refused, unknown: Questions asked; refused at once; asked and never answered.
        connects, state_losses: Since start; how often the broker came back without what it had confirmed.
        redirected: Questions that a shard of a cluster sent elsewhere, or put off because a slot was being moved.
        in_flight: Questions that wait for their answer now.
        rtt_ms: The last answer's round trip, milliseconds.
        shards: Each server of a cluster; empty if there is only one.
    """

    state: BusState
    circuit: Literal["closed", "open", "half_open"]
    since: float
    reason: str = ""
    durable: bool = True
    calls: int = 0
    refused: int = 0
    unknown: int = 0
    connects: int = 0
    state_losses: int = 0
    redirected: int = 0
    in_flight: int = 0
    rtt_ms: float | None = None
    shards: tuple[ShardStatus, ...] = ()


# Whether a room, by its id, is one of those that are meant.
Concerns = Callable[[str], bool]


class RoomLog(Protocol):
    """Appends and reads. Every call answers within its own deadline (1 s) or raises BusError."""

    async def start(self) -> None:
        """Connect. Raises BusError if it cannot be reached, SettingsError if the broker must not be used as it is."""
        ...

    async def stop(self) -> None:
        """Disconnect. Idempotent."""
        ...

    async def append(
        self, room_id: str, payload: bytes, *, bounds: Bounds, key: str | None = None, known: Place | None = None
    ) -> Appended:
        """Give ``payload`` the room's next place, keep it, and announce it.

        Args:
            bounds: What the room's log keeps afterwards.
            key: Names this message; appending it again gives the same place and announces nothing.
            known: A place that the room had for certain. If the log is behind it, it has lost something: new epoch.

        Raises:
            BusError: It was refused, or (``outcome_unknown`` in its text) it is not known whether it was appended;
                the same call with the same ``key`` finds out.
        """
        ...

    async def read(self, room_id: str, *, bounds: Bounds, since: Place | None = None) -> Reading:
        """Return what came after ``since`` (a place that the room had for certain), or all that is kept."""
        ...

    def on_connect(self, notify: Callable[[Concerns], None]) -> Watch:
        """Call ``notify`` after each later connect: what the log says of rooms may have changed unannounced."""
        ...

    def on_state(self, notify: Callable[[], None]) -> Watch:
        """Call ``notify`` whenever the log becomes usable or stops being so."""
        ...

    def status(self) -> LogStatus:
        """Return the present state and counters."""
        ...


def channel_of(room_id: str) -> str:
    """Return the room's channel. The braces put it and the room's keys into one slot of a cluster."""
    return f"tidewire:room:{{{room_id}}}"


def announce(place: Place, payload: bytes) -> bytes:
    """Return a message as it goes over the channel."""
    return b"%b%b %d %b" % (PLACED, place.epoch.encode(), place.offset, payload)


def announced(message: bytes) -> Entry | None:
    """Read a message of the channel; None if it is not an announcement."""
    if not message.startswith(PLACED):
        return None
    epoch, _, rest = message[1:].partition(b" ")
    offset, separator, payload = rest.partition(b" ")
    # int() would take underscores, signs and foreign digits as well.
    if not (separator and 0 < len(epoch) <= 64 and epoch.isascii() and offset.isdigit() and len(offset) < 17):
        return None
    return Entry(Place(epoch.decode("ascii"), int(offset)), payload)


def judge(newest: Place, kept: Sequence[Entry], since: Place | None) -> Reading:
    """Return the part of ``kept`` (all that is kept, in order) that answers ``since``."""
    if since is None:
        return Reading(newest, kept)
    if since.epoch != newest.epoch:
        return Reading(newest, kept, "epoch_changed")
    missed = [entry for entry in kept if entry.place.offset > since.offset]
    if len(missed) < newest.offset - since.offset:
        return Reading(newest, kept, "history_trimmed")
    return Reading(newest, missed)
